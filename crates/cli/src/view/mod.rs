//! Pictures in text: plans, executions, approvals and proofs, drawn from the API's documents.

pub(crate) mod approval;
pub(crate) mod execution;
pub(crate) mod plan;
pub(crate) mod proof;

use serde_json::Value as Json;

use crate::screen::clean;

/// Arguments as lines `pointer  value`, at most 40.
pub(crate) fn arguments(document: &Json, indent: &str) -> Vec<String> {
    let mut flat = Vec::new();
    flatten(document, String::new(), &mut flat);
    let width = flat.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(32);
    let more = flat.len().saturating_sub(40);
    let mut lines: Vec<String> = flat
        .into_iter()
        .take(40)
        .map(|(name, value)| format!("{indent}{name:width$}  {}", clean(&value)))
        .collect();
    if more > 0 {
        lines.push(format!("{indent}and {more} more"));
    }
    lines
}

fn flatten(document: &Json, at: String, out: &mut Vec<(String, String)>) {
    match document {
        Json::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let inner = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                flatten(value, inner, out);
            }
        }
        Json::Array(list) if !list.is_empty() => {
            for (index, value) in list.iter().enumerate() {
                flatten(value, format!("{at}[{index}]"), out);
            }
        }
        Json::String(text) => out.push((at, text.clone())),
        Json::Null if at.is_empty() => {}
        other => out.push((at, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_read_as_a_table() {
        let document = serde_json::json!({"order": {"id": "1042"}, "lines": [1, "x"]});
        assert_eq!(arguments(&document, ""), ["order.id  1042", "lines[0]  1", "lines[1]  x"]);
    }
}
