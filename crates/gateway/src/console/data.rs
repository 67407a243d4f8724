//! JSON as people read it: tables of names and values, nested parts folded, never a wall of braces.

use maud::{Markup, html};
use serde_json::Value as Json;

/// Nesting that is drawn; deeper parts are told by their size.
const DEPTH_MAX: usize = 12;
/// Members of one object or items of one list that are drawn.
const MEMBERS_MAX: usize = 100;
/// Characters of one text that are shown unfolded.
const TEXT_MAX: usize = 240;
/// Characters of one text that are shown at all.
const TEXT_WHOLE_MAX: usize = 20_000;
/// Rows of an argument table.
const ROWS_MAX: usize = 200;

/// One leaf of a JSON document.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// JSON Pointer.
    pub pointer: String,
    /// The value: a scalar, or an empty container.
    pub value: Json,
}

/// A whole document as a nested table.
pub fn document(json: &Json) -> Markup {
    html! { div.data { (value(json, 0)) } }
}

/// Arguments with the origin of each one.
pub fn arguments(json: &Json, provenance: &[(String, Vec<String>)]) -> Markup {
    let leaves = leaves(json);
    html! {
        @if leaves.is_empty() { p.faint { "no arguments" } } @else {
            table.kv {
                tbody {
                    @for leaf in leaves.iter().take(ROWS_MAX) {
                        tr {
                            th scope="row" { (name(&leaf.pointer)) }
                            td { (value(&leaf.value, 1)) }
                            td.origin {
                                @match labels(provenance, &leaf.pointer) {
                                    Some(labels) => (origin(labels)),
                                    // An empty list or object holds nothing that could come from anywhere.
                                    None if leaf.value.is_array() || leaf.value.is_object() => "",
                                    None => span.origin-chip.untrusted title="no origin was recorded: treat it as untrusted" { "not known" },
                                }
                            }
                        }
                    }
                }
            }
            @if leaves.len() > ROWS_MAX { p.faint { "and " (leaves.len() - ROWS_MAX) " more arguments" } }
        }
    }
}

/// Chips that say where a value came from.
pub fn origin(labels: &[String]) -> Markup {
    html! {
        @if labels.is_empty() { span.origin-chip title="written in the published definition" { "definition" } }
        @for label in labels {
            @let untrusted = label == "external" || label == "model";
            span class={ "origin-chip" @if untrusted { " untrusted" } } title=(meaning(label)) { (label) }
        }
    }
}

/// Every scalar (and empty container) with its pointer, in document order.
pub fn leaves(json: &Json) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect(json, &mut String::new(), 0, &mut found);
    if let [only] = found.as_slice()
        && only.pointer.is_empty()
        && matches!(only.value, Json::Object(_) | Json::Null)
    {
        found.clear();
    }
    found
}

/// A pointer as people say it: `/customer/name` is `customer › name`.
pub fn name(pointer: &str) -> String {
    let parts: Vec<String> =
        pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    if parts.is_empty() { "value".to_owned() } else { parts.join(" › ") }
}

/// The labels of a place; none when nothing was recorded about it.
fn labels<'a>(provenance: &'a [(String, Vec<String>)], pointer: &str) -> Option<&'a [String]> {
    let exact = provenance.iter().find(|(at, _)| at == pointer);
    // A label of a container holds for what is inside it when the inside has none of its own.
    let above = || {
        provenance
            .iter()
            .filter(|(at, _)| pointer.strip_prefix(at.as_str()).is_some_and(|rest| rest.starts_with('/')))
            .max_by_key(|(at, _)| at.len())
    };
    exact.or_else(above).map(|(_, labels)| labels.as_slice())
}

fn meaning(label: &str) -> &'static str {
    match label {
        "caller" => "given as structured input by an authenticated caller",
        "intent" => "taken from the text of the goal",
        "external" => "answered by an outside system: untrusted",
        "model" => "made by a model or an agent: untrusted",
        _ => "origin",
    }
}

fn collect(json: &Json, at: &mut String, depth: usize, found: &mut Vec<Leaf>) {
    let length = at.len();
    match json {
        Json::Object(map) if !map.is_empty() && depth < DEPTH_MAX => {
            for (name, value) in map {
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                collect(value, at, depth + 1, found);
                at.truncate(length);
            }
        }
        Json::Array(items) if !items.is_empty() && depth < DEPTH_MAX => {
            for (i, value) in items.iter().enumerate() {
                at.push('/');
                at.push_str(&i.to_string());
                collect(value, at, depth + 1, found);
                at.truncate(length);
            }
        }
        _ => found.push(Leaf { pointer: at.clone(), value: json.clone() }),
    }
}

fn value(json: &Json, depth: usize) -> Markup {
    match json {
        Json::Null => html! { span.faint { "none" } },
        Json::Bool(yes) => html! { span.v-bool { @if *yes { "yes" } @else { "no" } } },
        Json::Number(number) => html! { span.v-number { (number) } },
        Json::String(text) => self::text(text),
        Json::Array(items) if items.is_empty() => html! { span.faint { "empty list" } },
        Json::Object(map) if map.is_empty() => html! { span.faint { "empty" } },
        Json::Array(items) if depth >= DEPTH_MAX => html! { span.faint { "list of " (items.len()) } },
        Json::Object(map) if depth >= DEPTH_MAX => html! { span.faint { (map.len()) " members" } },
        Json::Array(items) => fold(depth, &format!("list of {}", items.len()), &list(items, depth)),
        Json::Object(map) => fold(depth, &format!("{} members", map.len()), &object(map, depth)),
    }
}

fn fold(depth: usize, label: &str, inner: &Markup) -> Markup {
    html! { @if depth < 2 { (inner) } @else { details { summary { (label) } (inner) } } }
}

fn object(map: &serde_json::Map<String, Json>, depth: usize) -> Markup {
    html! {
        table.kv {
            tbody {
                @for (name, inner) in map.iter().take(MEMBERS_MAX) {
                    tr { th scope="row" { (name) } td { (value(inner, depth + 1)) } }
                }
            }
        }
        @if map.len() > MEMBERS_MAX { p.faint { "and " (map.len() - MEMBERS_MAX) " more" } }
    }
}

fn list(items: &[Json], depth: usize) -> Markup {
    html! {
        ol.values {
            @for inner in items.iter().take(MEMBERS_MAX) { li { (value(inner, depth + 1)) } }
        }
        @if items.len() > MEMBERS_MAX { p.faint { "and " (items.len() - MEMBERS_MAX) " more" } }
    }
}

fn text(text: &str) -> Markup {
    if text.is_empty() {
        return html! { span.faint { "empty text" } };
    }
    if text.chars().count() <= TEXT_MAX {
        return html! { span.v-text { (text) } };
    }
    let start: String = text.chars().take(TEXT_MAX).collect();
    let whole: String = text.chars().take(TEXT_WHOLE_MAX).collect();
    html! { details { summary { span.v-text { (start) "…" } } pre.text { (whole) } } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leaves_carry_pointers_and_their_containers_labels() {
        let found = leaves(&json!({"a": {"b/c": 1}, "d": [true, {}]}));
        let pointers: Vec<&str> = found.iter().map(|leaf| leaf.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a/b~1c", "/d/0", "/d/1"]);
        assert_eq!(name("/a/b~1c"), "a › b/c");
        let provenance = vec![("/a".to_owned(), vec!["external".to_owned()])];
        assert_eq!(labels(&provenance, "/a/b~1c"), Some(&["external".to_owned()][..]));
        assert_eq!(labels(&provenance, "/ab"), None);
    }

    #[test]
    fn hostile_names_and_values_stay_text() {
        let page = document(&json!({"<script>": "</td><img src=x onerror=alert(1)>", "n": [{"\"": "'"}]}))
            .into_string();
        assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn what_has_no_recorded_origin_is_never_shown_as_trusted() {
        let page = arguments(&json!({"a": 1, "b": 2}), &[("/a".to_owned(), vec![])]).into_string();
        assert_eq!(
            (page.matches(">definition<").count(), page.matches(">not known<").count()),
            (1, 1),
            "{page}"
        );
    }

    #[test]
    fn deep_documents_end() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(document(&deep).into_string().contains("list of 1"));
        assert_eq!(leaves(&deep).len(), 1);
    }
}
