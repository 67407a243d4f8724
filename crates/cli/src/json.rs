//! Short ways to read members of the API's documents. A member that is missing or of another type reads as empty.

use serde_json::Value as Json;

/// The text at a JSON Pointer; numbers and booleans as text; empty when there is none.
pub(crate) fn text(document: &Json, pointer: &str) -> String {
    match document.pointer(pointer) {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The whole number at a JSON Pointer; zero when there is none.
pub(crate) fn number(document: &Json, pointer: &str) -> u64 {
    document.pointer(pointer).and_then(Json::as_u64).unwrap_or_default()
}

/// The boolean at a JSON Pointer; false when there is none.
pub(crate) fn truth(document: &Json, pointer: &str) -> bool {
    document.pointer(pointer).and_then(Json::as_bool).unwrap_or_default()
}

/// The array at a JSON Pointer; empty when there is none.
pub(crate) fn list<'a>(document: &'a Json, pointer: &str) -> &'a [Json] {
    document.pointer(pointer).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of an array, joined.
pub(crate) fn joined(document: &Json, pointer: &str) -> String {
    let texts: Vec<String> = list(document, pointer).iter().map(|item| text(item, "")).collect();
    texts.join(", ")
}

/// The items of a list answer: `{"items": […]}`, or the array itself.
pub(crate) fn items(document: &Json) -> &[Json] {
    document.as_array().map_or_else(|| list(document, "/items"), Vec::as_slice)
}

/// `namespace/name:version` of a workflow, given as text or as an object.
pub(crate) fn workflow(document: &Json, pointer: &str) -> String {
    match document.pointer(pointer) {
        Some(Json::Object(_)) => {
            let part = |name: &str| text(document, &format!("{pointer}/{name}"));
            format!("{}/{}:{}", part("namespace"), part("name"), part("version"))
        }
        _ => text(document, pointer),
    }
}

/// A moment in milliseconds since 1970, given as RFC 3339 text or as a number.
pub(crate) fn moment(document: &Json, pointer: &str) -> Option<i64> {
    match document.pointer(pointer)? {
        Json::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
        Json::Number(number) => number.as_i64(),
        _ => None,
    }
}

/// A moment for people: `2026-11-20 12:14:00Z`.
pub(crate) fn when(document: &Json, pointer: &str) -> String {
    moment(document, pointer)
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// A span of time for people: `3 ms`, `1.24 s`, `2 min 5 s`.
pub(crate) fn span(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{} ms", ms.max(0)),
        1_000..60_000 => format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_read_as_people_expect() {
        let document = json!({"a": {"b": 3, "c": null}, "t": "2026-11-20T12:14:00.250Z", "n": 1_000,
            "w": {"namespace": "shop", "name": "refund", "version": "1.0.0"}, "l": ["x", 2]});
        assert_eq!(text(&document, "/a/b"), "3");
        assert_eq!(text(&document, "/a/c"), "");
        assert_eq!(when(&document, "/t"), "2026-11-20 12:14:00Z");
        assert_eq!(moment(&document, "/n"), Some(1_000));
        assert_eq!(workflow(&document, "/w"), "shop/refund:1.0.0");
        assert_eq!(joined(&document, "/l"), "x, 2");
        assert_eq!(
            (span(12), span(1_249), span(125_000)),
            ("12 ms".into(), "1.24 s".into(), "2 min 5 s".into())
        );
    }
}
