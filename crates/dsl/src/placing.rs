//! What `metadata.omnihub` says of an execution's place in line: `priority` and `concurrencyKey`.

use model::placing::Priority;
use model::{Data, Value};

use crate::Definition;
use crate::expr::{Budget, Expr, Vars};

/// Characters of a key at the most.
const KEY_CHARS_MAX: usize = 200;

/// The priority that a workflow gives its executions; the usual one when it says nothing.
pub fn priority(definition: &Definition) -> Priority {
    let text = member(definition, "priority").and_then(Value::as_str);
    text.and_then(Priority::parse).unwrap_or_default()
}

/// What limits by key count an execution of this input under; none when the workflow has no `concurrencyKey`. The
/// error says what is wrong with the input.
pub fn key(definition: &Definition, input: &Value) -> Result<Option<String>, String> {
    let Some(text) = member(definition, "concurrencyKey").and_then(Value::as_str) else { return Ok(None) };
    let value = key_of(text)?
        .eval(input, &Vars(&[]), &mut Budget::default())
        .map_err(|error| format!("`concurrencyKey`: {error}"))?;
    let key = match &value.data {
        Data::String(text) => text.to_string(),
        // What has no key counts together: a limit that some input can step around is none.
        Data::Null => String::new(),
        Data::Int(_) | Data::Float(_) | Data::Bool(_) => value.to_json().to_string(),
        Data::Array(_) | Data::Object(_) => {
            return Err(format!("`concurrencyKey` gave a {} and must give text or a number", value.kind()));
        }
    };
    if key.chars().count() > KEY_CHARS_MAX {
        return Err(format!("`concurrencyKey` gave more than {KEY_CHARS_MAX} characters"));
    }
    Ok(Some(key))
}

/// The expression of a `concurrencyKey`.
pub(crate) fn key_of(text: &str) -> Result<Expr, String> {
    let inner = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let inner = inner.ok_or("`concurrencyKey` must be an expression `${ … }`")?;
    let expr = Expr::parse(inner.trim()).map_err(|error| format!("`concurrencyKey`: {error}"))?;
    if let Some(name) = expr.variables().next() {
        return Err(format!("`concurrencyKey` uses `${name}`, which does not exist before the start"));
    }
    Ok(expr)
}

fn member<'a>(definition: &'a Definition, name: &str) -> Option<&'a Value> {
    definition.metadata.get("omnihub")?.get(name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Label;
    use serde_json::json;

    use super::*;

    struct Nothing;
    impl crate::Catalogue for Nothing {
        fn action(&self, _: &model::ActionRef) -> Option<Arc<crate::plan::Action>> {
            None
        }
        fn actions(&self) -> Vec<model::ActionRef> {
            Vec::new()
        }
    }

    fn compiled(omnihub: &str) -> Result<Arc<Definition>, String> {
        let text = format!(
            "document: {{ dsl: '1.0.3', namespace: a, name: b, version: '1.0.0', metadata: {{ omnihub: {omnihub} }} }}\ndo:\n  - x: {{ set: {{ y: 1 }} }}\n"
        );
        let compiled = crate::compile(&text, &Nothing);
        compiled.definition.ok_or_else(|| format!("{:?}", compiled.problems))
    }

    #[test]
    fn a_key_is_text_whatever_the_input_holds() {
        let definition = compiled("{ concurrencyKey: '${ .customer }', priority: high }").unwrap();
        assert_eq!(priority(&definition), Priority::High);
        let key = |input| key(&definition, &Value::from_json(&input, Label::CALLER));
        assert_eq!(key(json!({"customer": "ada"})), Ok(Some("ada".into())));
        assert_eq!(key(json!({"customer": 7})), Ok(Some("7".into())));
        assert_eq!(key(json!({})), Ok(Some(String::new())), "what has none counts together");
        assert!(key(json!({"customer": ["ada"]})).is_err());
        assert!(key(json!({"customer": "x".repeat(201)})).is_err());
    }

    #[test]
    fn without_a_word_of_it_everything_is_as_usual() {
        let definition = compiled("{ owner: us }").unwrap();
        assert_eq!(priority(&definition), Priority::Normal);
        assert_eq!(key(&definition, &Value::NULL), Ok(None));
    }

    #[test]
    fn what_could_not_be_counted_is_refused_at_publication() {
        for wrong in ["customer", "${ .customer", "${ $context.x }", "${ .a | }"] {
            let told = compiled(&format!("{{ concurrencyKey: '{wrong}' }}")).unwrap_err();
            assert!(told.contains("OH-1041") || told.contains("1041"), "{wrong}: {told}");
        }
        assert!(compiled("{ priority: urgent }").is_err());
    }
}
