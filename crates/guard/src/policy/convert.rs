//! JSON to the interpreter's values without a detour through text.

use regorus::Value;

/// Deepest nesting of an input document.
const DEPTH_MAX: usize = 128;

/// Converts a document; an error names what is wrong.
pub(crate) fn to_rego(json: &serde_json::Value) -> Result<Value, String> {
    convert(json, 0)
}

fn convert(json: &serde_json::Value, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("the input is nested deeper than {DEPTH_MAX} levels"));
    }
    Ok(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(*b),
        serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(int), _, _) => Value::from(int),
            (None, Some(int), _) => Value::from(int),
            (None, None, Some(float)) => Value::from(float),
            (None, None, None) => return Err(format!("the number `{n}` is too large for a policy")),
        },
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(|item| convert(item, depth + 1)).collect::<Result<Vec<_>, _>>()?)
        }
        serde_json::Value::Object(map) => {
            let mut members = std::collections::BTreeMap::new();
            for (name, value) in map {
                members.insert(Value::from(name.as_str()), convert(value, depth + 1)?);
            }
            Value::from(members)
        }
    })
}
