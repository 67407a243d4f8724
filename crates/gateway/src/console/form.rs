//! Form fields from JSON schemas and from values, and back to JSON.

use maud::{Markup, html};
use serde_json::{Map, Value as Json};

use super::data;
use super::session::Fields;

/// Nesting of objects that becomes fields; deeper parts are written as JSON.
const DEPTH_MAX: usize = 3;
/// Fields of one form.
const FIELDS_MAX: usize = 64;
/// Beginning of the names of input fields; a JSON Pointer follows.
const PREFIX: &str = "in:";

/// Fields for an input schema; one JSON field when there is no usable schema.
pub(crate) fn of_schema(schema: Option<&Json>, given: &Json) -> Markup {
    let plans = schema.map(plan).unwrap_or_default();
    html! {
        @if plans.is_empty() {
            label.field { span { "Input as JSON" } textarea name={ (PREFIX) } rows="4" spellcheck="false" { (json_text(given)) } }
        }
        @for field in &plans {
            label.field {
                span { (data::name(&field.pointer)) @if field.required { span.required title="required" { " *" } } }
                (input(field, given.pointer(&field.pointer)))
                @if let Some(about) = &field.about { small.muted { (about) } }
            }
        }
    }
}

/// The input that a form of [`of_schema`] says; problems name the field.
pub(crate) fn to_input(schema: Option<&Json>, fields: &Fields) -> Result<Json, (String, String)> {
    let plans = schema.map(plan).unwrap_or_default();
    if plans.is_empty() {
        let text = fields.text(PREFIX);
        let text = if text.is_empty() { "{}" } else { text };
        return serde_json::from_str(text).map_err(|e| (String::new(), format!("is not JSON: {e}")));
    }
    let mut input = Json::Object(Map::new());
    for field in &plans {
        let text = fields.text(&format!("{PREFIX}{}", field.pointer));
        if text.is_empty() {
            if field.required && field.kind != "string" {
                return Err((field.pointer.clone(), "is required".to_owned()));
            }
            if !field.required || field.choices.is_empty() && field.kind != "string" {
                continue;
            }
        }
        let value = parse(&field.kind, text).map_err(|what| (field.pointer.clone(), what))?;
        put(&mut input, &field.pointer, value);
    }
    Ok(input)
}

/// A field for a value, of the kind that the value has.
pub(crate) fn input_like(name: &str, value: &Json) -> Markup {
    html! {
        @match value {
            Json::Bool(yes) => select name=(name) { option value="true" selected[*yes] { "yes" } option value="false" selected[!*yes] { "no" } },
            Json::Number(number) => input type="text" inputmode="decimal" name=(name) value=(number) autocomplete="off";,
            Json::String(text) if text.len() < 100 && !text.contains('\n') => input type="text" name=(name) value=(text) autocomplete="off";,
            Json::String(text) => textarea name=(name) rows="4" { (text) },
            other => input type="text" name=(name) value=(json_text(other)) autocomplete="off";,
        }
    }
}

/// Reads text as the kind that `old` has; what had no kind is read as JSON.
pub(crate) fn like(old: &Json, text: &str) -> Result<Json, String> {
    match old {
        Json::String(_) => Ok(Json::String(text.to_owned())),
        Json::Number(_) => parse("number", text.trim()),
        Json::Bool(_) => parse("boolean", text.trim()),
        Json::Null | Json::Array(_) | Json::Object(_) => parse("json", text.trim()),
    }
}

#[derive(Debug)]
struct Field {
    pointer: String,
    kind: String,
    required: bool,
    choices: Vec<String>,
    about: Option<String>,
}

fn plan(schema: &Json) -> Vec<Field> {
    let mut found = Vec::new();
    collect(schema, "", 0, true, &mut found);
    found
}

fn collect(schema: &Json, at: &str, depth: usize, required: bool, found: &mut Vec<Field>) {
    let Some(properties) = schema.get("properties").and_then(Json::as_object) else { return };
    let needed =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    for (name, inner) in properties {
        if found.len() >= FIELDS_MAX {
            return;
        }
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        let required = required && needed(name);
        let nested = inner.get("properties").is_some_and(Json::is_object);
        if nested && depth + 1 < DEPTH_MAX {
            collect(inner, &pointer, depth + 1, required, found);
            continue;
        }
        let choices: Vec<String> = inner["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .take(100)
            .map(str::to_owned)
            .collect();
        let kind = match inner["type"].as_str() {
            Some(kind @ ("string" | "number" | "integer" | "boolean")) => kind,
            _ if !choices.is_empty() => "string",
            _ => "json",
        };
        let about = inner["description"]
            .as_str()
            .or(inner["title"].as_str())
            .map(|text| text.chars().take(300).collect());
        found.push(Field { pointer, kind: kind.to_owned(), required, choices, about });
    }
}

fn input(field: &Field, given: Option<&Json>) -> Markup {
    let name = format!("{PREFIX}{}", field.pointer);
    let text =
        given.map(|value| value.as_str().map_or_else(|| json_text(value), str::to_owned)).unwrap_or_default();
    html! {
        @match field.kind.as_str() {
            _ if !field.choices.is_empty() => select name=(name) required[field.required] {
                @if !field.required { option value="" { "—" } }
                @for choice in &field.choices { option value=(choice) selected[*choice == text] { (choice) } }
            },
            "boolean" => select name=(name) {
                @if !field.required { option value="" { "—" } }
                option value="true" selected[text == "true"] { "yes" } option value="false" selected[text == "false"] { "no" }
            },
            "number" | "integer" => input type="text" inputmode="decimal" name=(name) value=(text) required[field.required] autocomplete="off";,
            "string" => input type="text" name=(name) value=(text) required[field.required] autocomplete="off";,
            _ => textarea name=(name) rows="3" spellcheck="false" required[field.required] placeholder="JSON" { (text) },
        }
    }
}

fn parse(kind: &str, text: &str) -> Result<Json, String> {
    match kind {
        "string" => Ok(Json::String(text.to_owned())),
        "boolean" => text.parse().map(Json::Bool).map_err(|_| "write true or false".to_owned()),
        "integer" => text.parse::<i64>().map(Json::from).map_err(|_| "write a whole number".to_owned()),
        "number" => match serde_json::from_str::<Json>(text) {
            Ok(number @ Json::Number(_)) => Ok(number),
            _ => Err("write a number, for example 12.50".to_owned()),
        },
        _ => serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}")),
    }
}

fn put(input: &mut Json, pointer: &str, value: Json) {
    let mut place = input;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        if !place.is_object() {
            *place = Json::Object(Map::new());
        }
        let Some(map) = place.as_object_mut() else { return };
        place = map.entry(name).or_insert(Json::Null);
    }
    *place = value;
}

fn json_text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Json {
        json!({"type": "object", "required": ["order", "amount"], "properties": {
            "order": {"type": "string", "description": "the \"<order>\""},
            "amount": {"type": "number"},
            "urgent": {"type": "boolean"},
            "reason": {"enum": ["broken", "late"]},
            "customer": {"type": "object", "properties": {"name": {"type": "string"}}},
            "extra": {"type": "array"}
        }})
    }

    #[test]
    fn a_filled_form_is_the_input() {
        let pairs = [
            ("in:/order", "1042"),
            ("in:/amount", "25.50"),
            ("in:/urgent", "true"),
            ("in:/customer/name", "Ann"),
            ("in:/extra", "[1]"),
        ];
        let fields = Fields(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        let input = to_input(Some(&schema()), &fields).unwrap();
        assert_eq!(
            input,
            json!({"order": "1042", "amount": 25.50, "urgent": true, "customer": {"name": "Ann"}, "extra": [1]})
        );
    }

    #[test]
    fn wrong_fields_are_named() {
        for (pairs, field) in [
            (vec![("in:/order", "1")], "/amount"),
            (vec![("in:/order", "1"), ("in:/amount", "x")], "/amount"),
        ] {
            let fields = Fields(pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect());
            assert_eq!(to_input(Some(&schema()), &fields).unwrap_err().0, field);
        }
    }

    #[test]
    fn schemas_cannot_break_out() {
        let page = of_schema(Some(&schema()), &json!({"order": "\"><script>"})).into_string();
        assert!(!page.contains("<script>") && !page.contains("<order>"), "{page}");
    }
}
