//! How events, documents and cursors are written, and read back.

use model::{Event, compact};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::query::StoreError;

/// The first byte of encoded events, when a JSON array follows. Written until version 0.1, and read for ever.
const JSON_EVENTS: u8 = 1;
/// The first byte of encoded events, when a list in compact JSON follows (see [`model::compact`]).
const COMPACT_EVENTS: u8 = 2;

/// Encodes the events of one commit.
pub(crate) fn encode_events(events: &[Event]) -> Result<Vec<u8>, compact::Error> {
    let mut bytes = Vec::with_capacity(512);
    bytes.push(COMPACT_EVENTS);
    compact::write(&mut bytes, events)?;
    Ok(bytes)
}

/// Appends the events that were encoded together; says what is wrong with the bytes otherwise.
pub(crate) fn decode_events(bytes: &[u8], into: &mut Vec<Event>) -> Result<(), String> {
    let events: Vec<Event> = match bytes.split_first() {
        Some((&COMPACT_EVENTS, document)) => {
            compact::from_slice(document).map_err(|error| error.to_string())?
        }
        Some((&JSON_EVENTS, json)) => serde_json::from_slice(json).map_err(|error| error.to_string())?,
        Some((version, _)) => return Err(format!("encoding {version} is not known to this version")),
        None => return Err("no bytes".to_owned()),
    };
    into.extend(events);
    Ok(())
}

/// A document as text.
pub(crate) fn encode(document: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(document)
}

/// A document read back; the error names its table and key.
pub(crate) fn decode<T: DeserializeOwned>(text: &str, table: &str, key: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(table, key, error))
}

/// Something stored that makes no sense.
pub(crate) fn corrupt(table: &str, key: impl std::fmt::Display, what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("`{table}`, key `{key}`: {what}"))
}

/// The cursor after a row, from the row's key.
pub(crate) fn cursor_of(key: i64) -> String {
    hex::encode(key.to_be_bytes())
}

/// The key that a cursor stands for.
pub(crate) fn key_of(cursor: &str) -> Result<i64, StoreError> {
    let mut bytes = [0; 8];
    hex::decode_to_slice(cursor, &mut bytes).map_err(|_| StoreError::Cursor(shorten(cursor)))?;
    Ok(i64::from_be_bytes(bytes))
}

/// The cursor after a row whose key is text.
pub(crate) fn cursor_of_text(key: &str) -> String {
    hex::encode(key)
}

/// The text key that a cursor stands for.
pub(crate) fn text_of(cursor: &str) -> Result<String, StoreError> {
    hex::decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| StoreError::Cursor(shorten(cursor)))
}

/// 63 bits to search a correlation by: the leading ones of a time-ordered id, so that index pages fill from one
/// side; of its digest otherwise.
pub(crate) fn correlation_key(correlation: &str) -> i64 {
    let prefix = uuid_prefix(correlation).unwrap_or_else(|| {
        let digest = model::Digest::of(correlation.as_bytes()).0;
        digest[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    });
    (prefix >> 1).cast_signed()
}

/// The first 64 bits of a UUID in its usual text form.
fn uuid_prefix(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 || [8, 13, 18, 23].iter().any(|at| bytes[*at] != b'-') {
        return None;
    }
    // A sign in front is read over, as it always was: the keys are stored.
    let digits = bytes.get(usize::from(bytes[0] == b'+')..18)?.iter().filter(|digit| **digit != b'-');
    digits.copied().try_fold(0, |sum, digit| Some(sum << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

/// What of a wrong text is worth repeating.
fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_and_others_are_refused() {
        for key in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(key_of(&cursor_of(key)), Ok(key));
        }
        assert_eq!(text_of(&cursor_of_text("a/ü")), Ok("a/ü".to_owned()));
        assert!(matches!(key_of("zz"), Err(StoreError::Cursor(_))));
        assert!(matches!(text_of("0"), Err(StoreError::Cursor(_))));
    }

    #[test]
    fn correlation_keys_of_time_ordered_ids_are_ordered() {
        let early = correlation_key("01936b2a-7c3d-7000-8000-000000000000");
        let late = correlation_key("01936b2a-7c3e-7000-8000-000000000000");
        assert!(0 < early && early < late);
        assert_ne!(correlation_key("request-1"), correlation_key("request-2"));
        assert!(correlation_key("request-1") >= 0);
    }

    #[test]
    fn events_of_every_encoding_are_read() {
        let json =
            br#"[{"at":5,"event":"woke"},{"at":6,"event":"cancelled","by":"user:ada","reason":"enough"}]"#;
        let mut old = Vec::new();
        decode_events(&[&[JSON_EVENTS], json.as_slice()].concat(), &mut old).expect("is read");
        assert_eq!(old.len(), 2);
        let mut events = Vec::new();
        let bytes = encode_events(&old).expect("has a form");
        assert_eq!(bytes[0], COMPACT_EVENTS);
        decode_events(&bytes, &mut events).expect("is read");
        assert_eq!(events, old);
    }

    #[test]
    fn unknown_encodings_are_named() {
        let mut events = Vec::new();
        assert_eq!(
            decode_events(&[9], &mut events),
            Err("encoding 9 is not known to this version".to_owned())
        );
        assert_eq!(decode_events(&[], &mut events), Err("no bytes".to_owned()));
        assert!(decode_events(&[1, b'['], &mut events).is_err());
    }
}
