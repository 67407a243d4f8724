//! Durations as the language writes them: ISO 8601 text or `{days, hours, minutes, seconds, milliseconds}`.

use std::time::Duration;

use model::Value;

/// Reads a duration from a value: ISO 8601 text (`PT1M30S`, `P1DT2H`) or the object form.
///
/// Errors say what to write instead.
pub fn of(_value: &Value) -> Result<Duration, String> {
    Err(String::new())
}
