//! One canonical encoding (RFC 8785, JSON Canonicalization Scheme) and one digest (SHA-256).

mod serialize;

use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::value::{Data, Value};

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The text, without asking for memory: digests are written with every step.
    fn with_text<T>(&self, use_text: impl FnOnce(&str) -> T) -> T {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"sha256:................................................................";
        for (pair, byte) in text[7..].chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0x0f)];
        }
        use_text(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }

    /// Reads `sha256:<hex>`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.strip_prefix("sha256:")?, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Digest::parse(&text)
            .ok_or_else(|| format!("`{text}` is not a digest: write sha256: and 64 hexadecimal digits"))
    }
}

/// The digest of the canonical encoding of anything that serializes to JSON.
///
/// Panics never: the types of this crate serialize without error; a type that cannot is digested as `null`.
pub fn digest_of<T: Serialize>(thing: &T) -> Digest {
    Digest::of(serialize::text_of(thing).as_deref().unwrap_or("null").as_bytes())
}

/// The canonical text of something that is digested again and again as a part of other things: there it is not made anew.
/// The digest of the whole is the same. To any other serializer than that of digests it is a text like others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical(String);

impl Canonical {
    /// The text of anything that serializes to JSON; `null` of what does not.
    pub fn of<T: Serialize>(thing: &T) -> Self {
        Self(serialize::text_of(thing).unwrap_or_else(|_| "null".to_owned()))
    }
}

impl Serialize for Canonical {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(serialize::CANONICAL, &self.0)
    }
}

/// The canonical text of a value: members sorted by UTF-16 code units, shortest numbers, no white space.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// The canonical text of plain JSON.
pub fn canonical_json(json: &serde_json::Value) -> String {
    let mut out = String::new();
    write_json(&mut out, json);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match &value.data {
        Data::Null => out.push_str("null"),
        Data::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Data::Int(i) => {
            let _ = write!(out, "{i}");
        }
        Data::Float(f) => write_float(out, *f),
        Data::String(s) => write_string(out, s),
        Data::Array(items) => write_list(out, items.iter(), write_value),
        Data::Object(map) => {
            let members = map.iter().map(|(k, v)| (&**k, v)).collect();
            write_members(out, members, write_value);
        }
    }
}

fn write_json(out: &mut String, json: &serde_json::Value) {
    match json {
        serde_json::Value::Null => out.push_str("null"),
        serde_json::Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => {
                let _ = write!(out, "{i}");
            }
            (None, Some(u)) => {
                let _ = write!(out, "{u}");
            }
            (None, None) => write_float(out, n.as_f64().unwrap_or(0.0)),
        },
        serde_json::Value::String(s) => write_string(out, s),
        serde_json::Value::Array(items) => write_list(out, items.iter(), write_json),
        serde_json::Value::Object(map) => {
            write_members(out, map.iter().map(|(k, v)| (k.as_str(), v)).collect(), write_json);
        }
    }
}

fn write_list<'a, T: 'a>(out: &mut String, items: impl Iterator<Item = &'a T>, write: fn(&mut String, &T)) {
    out.push('[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn write_members<T>(out: &mut String, mut members: Vec<(&str, &T)>, write: fn(&mut String, &T)) {
    members.sort_by(|a, b| order(a.0, b.0));
    out.push('{');
    for (i, (name, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

/// The order of names: by UTF-16 code units, which is that of bytes where nothing lies beyond the basic plane.
fn order(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() || b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    if is_plain(text.as_bytes()) {
        out.push_str(text);
        out.push('"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{9}' => out.push_str("\\t"),
            '\u{a}' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\u{d}' => out.push_str("\\r"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// True when nothing in a text has to be escaped: eight bytes at a time, the last eight of a text once more.
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                let both = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
                !has_special(both)
            }
            _ => text.iter().all(|byte| !matches!(byte, 0..b' ' | b'"' | b'\\')),
        };
    };
    let words = text.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    !words.fold(has_special(u64::from_le_bytes(*last)), |found, word| found | has_special(word))
}

/// True when one of eight bytes is a control character, a quotation mark or a backslash.
fn has_special(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte that is below `limit`, which is at most 128; bits above such a byte may be wrong.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, b' ') | equal(b'"') | equal(b'\\') != 0
}

/// Numbers as ECMAScript prints them: whole numbers without a point, exponents only outside 1e-6..1e21.
fn write_float(out: &mut String, f: f64) {
    if !f.is_finite() {
        out.push_str("null");
    } else if f == 0.0 {
        out.push('0');
    } else if (1e-6..1e21).contains(&f.abs()) {
        let _ = write!(out, "{f}");
    } else {
        let text = format!("{f:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                let _ = write!(out, "{digits}e+{exponent}");
            }
            _ => out.push_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let json: serde_json::Value = serde_json::from_str(json).expect("test data parses");
        assert_eq!(canonical_json(&json), expected);
        assert_eq!(canonical(&Value::from_json(&json, crate::Label::CALLER)), expected);
        assert_eq!(serialize::text_of(&json).expect("JSON serializes"), expected);
    }

    #[test]
    fn members_are_sorted_and_numbers_shortest() {
        check(
            r#"{"b": 1.0, "a": [25.00, 1e30, 0.000001, 1e-7, -0.0]}"#,
            r#"{"a":[25,1e+30,0.000001,1e-7,0],"b":1}"#,
        );
    }

    #[test]
    fn text_is_escaped_as_rfc_8785_says() {
        check(r#""\u20ac$\u000f\nA'B\"\\\"/""#, "\"€$\\u000f\\nA'B\\\"\\\\\\\"/\"");
    }

    #[test]
    fn what_has_to_be_escaped_is_found_at_every_place() {
        for length in 0..40 {
            let plain = "é~ab[]!#".repeat(5).into_bytes();
            let plain = &plain[..length];
            assert!(is_plain(plain), "{length}");
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut text = plain.to_vec();
                    text[at] = byte;
                    assert_eq!(
                        is_plain(&text),
                        byte >= b' ' && byte != b'"' && byte != b'\\',
                        "{byte} at {at} of {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_are_ordered_by_utf_16() {
        check(
            r#"{"\ufb33": 1, "\ud83d\ude00": 2, "\u20ac": 3, "1": 4}"#,
            "{\"1\":4,\"€\":3,\"😀\":2,\"\u{fb33}\":1}",
        );
    }

    #[test]
    fn equal_money_has_one_digest() {
        let a = Value::from_json(&serde_json::json!({"amount": 25.0}), crate::Label::CALLER);
        let b = Value::from_json(&serde_json::json!({"amount": 25}), crate::Label::EXTERNAL);
        assert_eq!(Digest::of(canonical(&a).as_bytes()), Digest::of(canonical(&b).as_bytes()));
    }

    /// Every shape that a type can have, with members out of order.
    #[derive(Serialize)]
    enum Shape {
        Unit,
        Newtype(f64),
        Tuple(u8, Option<&'static str>),
        Struct { z: (), b: [i64; 2], a: std::collections::BTreeMap<i32, char> },
    }

    #[test]
    fn members_in_any_order_in_any_depth_are_put_in_order() {
        let texts = [
            r#"{"z":{"y":[{"b":{"d":1,"c":2},"a":{"\n":3,"\"":4,"!":5}},{"a":1,"b":2}],"x":{}},"a":{"b":1,"a":{"b":2,"a":1}}}"#,
            r#"{"a":{"b":{"d":1,"c":{"f":[],"e":{"h":1,"g":[[],{}]}}}},"b":{"d":1,"c":2},"0":0}"#,
            r#"{"\u20ac":{"b":0,"a":0},"b\u0001":{"b":0,"a":0},"b":1,"a":{"\u0002":1,"\u0001":2}}"#,
        ];
        for text in texts {
            let json: serde_json::Value = serde_json::from_str(text).expect("test data parses");
            assert_eq!(serialize::text_of(&json).expect("JSON serializes"), canonical_json(&json));
        }
    }

    #[test]
    fn a_part_that_is_canonical_already_changes_no_digest() {
        #[derive(Serialize)]
        struct Whole<P> {
            z: P,
            #[serde(rename = "\"quoted\"")]
            quoted: P,
            plain: &'static str,
        }
        let part = serde_json::json!({"b": [1, "\n"], "a": {"d": 1.0, "c": null}});
        let kept = Canonical::of(&part);
        let of_parts = Whole { z: part.clone(), quoted: part, plain: "\"x\"" };
        let of_kept = Whole { z: kept.clone(), quoted: kept, plain: "\"x\"" };
        assert_eq!(
            serialize::text_of(&of_kept).expect("serializes"),
            serialize::text_of(&of_parts).expect("serializes")
        );
        assert_eq!(digest_of(&of_kept), digest_of(&of_parts));
    }

    #[test]
    fn a_type_has_the_digest_of_its_document() {
        let shapes = [
            Shape::Unit,
            Shape::Newtype(f64::NAN),
            Shape::Newtype(1e21),
            Shape::Tuple(7, None),
            Shape::Struct { z: (), b: [-1, i64::MAX], a: [(10, '"'), (9, 'é')].into() },
        ];
        let json = serde_json::to_value(&shapes).expect("serializes");
        assert_eq!(serialize::text_of(&shapes).expect("serializes"), canonical_json(&json));
        assert_eq!(digest_of(&shapes), Digest::of(canonical_json(&json).as_bytes()));
        // What has no JSON is digested as `null`, as it always was.
        let nothing: std::collections::HashMap<Vec<u8>, u8> = [(vec![1], 1)].into();
        assert_eq!(digest_of(&nothing), Digest::of(b"null"));
    }
}
