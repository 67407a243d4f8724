//! Durations as the language writes them: ISO 8601 text or `{days, hours, minutes, seconds, milliseconds}`.

use std::time::Duration;

use model::{Data, Value};

const MS_PER_SECOND: u64 = 1000;
const MS_PER_MINUTE: u64 = 60 * MS_PER_SECOND;
const MS_PER_HOUR: u64 = 60 * MS_PER_MINUTE;
const MS_PER_DAY: u64 = 24 * MS_PER_HOUR;
/// A hundred years: what timestamps can be added to without care.
const MS_MAX: u64 = 36_500 * MS_PER_DAY;

/// Reads a duration from a value: ISO 8601 text (`PT1M30S`, `P1DT2H`) or the object form.
///
/// Errors say what to write instead.
pub fn of(value: &Value) -> Result<Duration, String> {
    let ms = match &value.data {
        Data::String(text) => iso(text)?,
        Data::Object(_) => parts(value)?,
        Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::Array(_) => {
            return Err(format!("a {} is not a duration; write for example `PT30S`", value.kind()));
        }
    };
    match ms {
        ms if ms > MS_MAX => Err("a duration may be 100 years at the most".to_owned()),
        ms => Ok(Duration::from_millis(ms)),
    }
}

fn parts(value: &Value) -> Result<u64, String> {
    let Data::Object(members) = &value.data else {
        return Err("a duration must be an object or a text".to_owned());
    };
    if members.is_empty() {
        return Err("the duration is empty; write for example `{ seconds: 30 }`".to_owned());
    }
    let mut ms: u64 = 0;
    for (name, amount) in members.iter() {
        let unit = match &**name {
            "days" => MS_PER_DAY,
            "hours" => MS_PER_HOUR,
            "minutes" => MS_PER_MINUTE,
            "seconds" => MS_PER_SECOND,
            "milliseconds" => 1,
            _ => {
                return Err(format!(
                    "`{name}` is not a unit of durations; write days, hours, minutes, seconds or milliseconds"
                ));
            }
        };
        let Some(amount) = whole(amount) else {
            return Err(format!("`{name}` must be a whole number from 0"));
        };
        ms = ms.saturating_add(amount.saturating_mul(unit));
    }
    Ok(ms)
}

/// Expressions may give `2.0` where 2 is meant.
fn whole(value: &Value) -> Option<u64> {
    match value.data {
        Data::Int(int) => u64::try_from(int).ok(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and in range"
        )]
        Data::Float(float) if (0.0..=1e15).contains(&float) && float.fract() == 0.0 => Some(float as u64),
        Data::Null | Data::Bool(_) | Data::Float(_) | Data::String(_) | Data::Array(_) | Data::Object(_) => {
            None
        }
    }
}

fn iso(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a duration; write for example `PT30S`, `PT1M30S` or `P1DT2H`");
    let mut rest = text.strip_prefix('P').ok_or_else(wrong)?;
    let (mut ms, mut in_time, mut order, mut seen) = (0u64, false, 0u8, false);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            if in_time || after.is_empty() {
                return Err(wrong());
            }
            (rest, in_time) = (after, true);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(end);
        let designator = after.chars().next().ok_or_else(wrong)?;
        rest = after.get(designator.len_utf8()..).unwrap_or_default();
        let (rank, unit) = match (in_time, designator) {
            (false, 'Y' | 'M') => {
                return Err(format!(
                    "`{text}` counts years or months, which have no fixed length; write days, for example `P30D`"
                ));
            }
            (false, 'W') => (1, 7 * MS_PER_DAY),
            (false, 'D') => (2, MS_PER_DAY),
            (true, 'H') => (3, MS_PER_HOUR),
            (true, 'M') => (4, MS_PER_MINUTE),
            (true, 'S') => (5, MS_PER_SECOND),
            _ => return Err(wrong()),
        };
        if rank <= order {
            return Err(wrong());
        }
        if rank < 3 && number.contains('.') {
            return Err(format!(
                "`{text}` has a fraction of a day or week; write hours, for example `PT36H`"
            ));
        }
        (order, seen) = (rank, true);
        ms = ms.saturating_add(amount(number, unit).ok_or_else(wrong)?);
    }
    if seen { Ok(ms) } else { Err(wrong()) }
}

/// A decimal number of units in milliseconds, cut after the millisecond.
fn amount(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    if whole.is_empty() || whole.len() > 15 {
        return None;
    }
    let mut ms = whole.parse::<u64>().ok()?.saturating_mul(unit);
    if let Some(fraction) = fraction {
        if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let kept: String = fraction.chars().take(9).collect();
        let scale = 10u64.pow(u32::try_from(kept.len()).ok()?);
        ms = ms.saturating_add(kept.parse::<u64>().ok()?.saturating_mul(unit) / scale);
    }
    Some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: serde_json::Value) -> String {
        match of(&Value::from_json(&json, model::Label::DEFINITION)) {
            Ok(duration) => format!("{} ms", duration.as_millis()),
            Err(message) => message,
        }
    }

    #[test]
    fn both_forms_give_milliseconds() {
        let table = [
            (serde_json::json!("PT1M30S"), "90000 ms"),
            (serde_json::json!("P1DT2H"), "93600000 ms"),
            (serde_json::json!("P1W"), "604800000 ms"),
            (serde_json::json!("PT0.250S"), "250 ms"),
            (serde_json::json!("PT1.5H"), "5400000 ms"),
            (serde_json::json!("PT0S"), "0 ms"),
            (serde_json::json!({"days": 1, "milliseconds": 5}), "86400005 ms"),
            (serde_json::json!({"seconds": 2.0}), "2000 ms"),
        ];
        for (written, wanted) in table {
            assert_eq!(check(written.clone()), wanted, "{written}");
        }
    }

    #[test]
    fn everything_else_says_what_to_write() {
        for written in [
            "",
            "P",
            "PT",
            "1M",
            "PT1",
            "P1M",
            "P1Y",
            "P1.5D",
            "PT1S1M",
            "P1DT",
            "PT1.S",
            "P99999999D",
            "PTé",
        ] {
            let said = check(serde_json::json!(written));
            assert!(said.contains("write") || said.contains("at the most"), "{written}: {said}");
        }
        for written in [
            serde_json::json!({}),
            serde_json::json!({"months": 1}),
            serde_json::json!({"seconds": -1}),
            serde_json::json!({"seconds": 1.5}),
            serde_json::json!(5),
            serde_json::json!({"days": i64::MAX}),
        ] {
            assert!(!check(written.clone()).ends_with(" ms"), "{written}");
        }
    }
}
