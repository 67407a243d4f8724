//! Holds the effects of an execution against the plan that people signed.

use engine::{Effect, Execution};
use model::control::Controls;
use model::{Digest, EffectClass, Problem, Timestamp, Value};
use store::Put;

use super::decide::missing;
use super::{PLAN, StoredPlan, controls_digest};
use crate::app::{App, store_problem};
use crate::standing::People;
use crate::view::PlannedEffect;

/// What the plan says about an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// This entry holds it, with a use that is free.
    By(u32),
    /// It only checks or undoes an effect that was permitted, in the way that its contract says: policy alone decides.
    Check,
}

impl App {
    /// The signed plan of an execution: from what is just being put, or else from the store. The text says why it
    /// cannot be relied on.
    pub(crate) async fn signed_plan(
        &self,
        state: &Execution,
        puts: &[Put],
    ) -> Result<Option<Result<StoredPlan, String>>, Problem> {
        let Some(digest) = state.started.signed else { return Ok(None) };
        let tenant = &state.started.tenant;
        let fresh = puts.iter().find_map(|put| match put {
            Put::Document { kind, key, document, .. } if kind == PLAN && *key == digest.to_string() => {
                Some(document.clone())
            }
            _ => None,
        });
        let found = match fresh {
            Some(document) => Some(document),
            None => {
                self.store.document(tenant, PLAN, &digest.to_string()).await.map_err(|e| store_problem(&e))?
            }
        };
        Ok(Some(match found {
            None => Err("the plan is gone".to_owned()),
            Some(document) => self.checked_plan(tenant, &digest, document).map_err(|problem| problem.detail),
        }))
    }
}

/// Whether the plan holds this effect; the text says why not. The same cause always has the same text.
pub(crate) fn held(
    plan: &StoredPlan,
    state: &Execution,
    effect: &Effect,
    policy: Digest,
    controls: &Controls,
    people: &People,
    now: Timestamp,
) -> Result<Held, String> {
    // Checking what was permitted, in the way that its contract says, adds no effect; the policies judge it as ever.
    let reads = matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read);
    if effect.probe_of.is_some() && reads {
        return Ok(Held::Check);
    }
    // So does undoing it, in the way that its contract says: what is armed must not stay done because a plan ran out.
    if effect.compensates.is_some() {
        return Ok(Held::Check);
    }
    let content = &plan.content;
    let no = |why: &str| Err(why.to_owned());
    if plan.status != super::PlanStatus::Signed {
        return no("the plan is not signed");
    }
    if !plan.used_by.iter().any(|used| used.execution == state.started.execution) {
        return no("the plan was signed for another execution");
    }
    if content.definition != state.started.definition {
        return no("the plan is of another definition");
    }
    if content.expires_at <= now {
        return no("the plan has expired");
    }
    if content.policy != policy {
        return no("a policy changed since the plan was signed");
    }
    if content.controls != controls_digest(controls, &content.tenant) {
        return no("a control changed since the plan was signed");
    }
    if !missing(plan, people, now).is_empty() {
        return no("who approved the plan may not decide it any more");
    }
    if effect.edited_by.is_some() {
        return no("somebody edited its arguments");
    }
    let mut why = "it holds no such effect".to_owned();
    for (number, entry) in (0u32..).zip(&content.effects) {
        match fits(entry, effect) {
            Fit::No => {}
            Fit::Differs(pointer) => {
                why = format!("the argument at `{pointer}` is not the one that was signed")
            }
            Fit::Yes => {
                let used = state.entries.get(&number);
                let again = used.is_some_and(|used| used.contains(&effect.entry_use()));
                if again || used.map_or(0, std::collections::BTreeSet::len) < entry.uses as usize {
                    return Ok(Held::By(number));
                }
                "every use of its entry is spent".clone_into(&mut why);
            }
        }
    }
    Err(why)
}

#[derive(Debug, PartialEq, Eq)]
enum Fit {
    Yes,
    /// The same act with another argument, by JSON Pointer.
    Differs(String),
    No,
}

fn fits(entry: &PlannedEffect, effect: &Effect) -> Fit {
    let same = entry.task == *effect.task
        && entry.operation == effect.operation
        && !entry.probe
        && entry.class == effect.contract.class.name()
        && entry.contract == model::digest_of(&*effect.contract)
        && (entry.target == effect.request.target() || !entry.target_known);
    if !same || entry.decision == "deny" {
        return Fit::No;
    }
    match difference(&entry.arguments, &effect.arguments.to_json(), &entry.unknown, &mut String::new()) {
        None => Fit::Yes,
        Some(pointer) => Fit::Differs(pointer),
    }
}

/// Where two documents differ; what stands at one of the `unknown` pointers may be anything.
fn difference(
    signed: &serde_json::Value,
    actual: &serde_json::Value,
    unknown: &[String],
    at: &mut String,
) -> Option<String> {
    use serde_json::Value as Json;
    if unknown.iter().any(|pointer| pointer == at) {
        return None;
    }
    let mut member = |name: &str, signed: &Json, actual: &Json| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let found = difference(signed, actual, unknown, at);
        at.truncate(length);
        found
    };
    match (signed, actual) {
        (Json::Object(a), Json::Object(b)) if a.len() == b.len() => {
            for (name, signed) in a {
                match b.get(name) {
                    Some(actual) => {
                        if let Some(found) = member(name, signed, actual) {
                            return Some(found);
                        }
                    }
                    None => return Some(format!("{at}/{name}")),
                }
            }
            None
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            (0..).zip(a.iter().zip(b)).find_map(|(i, (a, b)): (usize, _)| member(&i.to_string(), a, b))
        }
        (Json::Object(_), Json::Object(_)) | (Json::Array(_), Json::Array(_)) => Some(at.clone()),
        // As the language compares: `25` and `25.0` are one number.
        _ => {
            let value = |json| Value::from_json(json, model::Label::DEFINITION);
            (value(signed) != value(actual)).then(|| at.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_known_must_be_the_same_and_what_is_not_may_be_anything() {
        let signed = json!({ "order": "1042", "amount": 25.0, "to": { "iban": null, "name": "A" }, "list": [1, null] });
        let unknown = ["/to/iban".to_owned(), "/list/1".to_owned()];
        let differs = |actual: serde_json::Value| difference(&signed, &actual, &unknown, &mut String::new());
        let base = json!({ "order": "1042", "amount": 25, "to": { "iban": "DE1", "name": "A" }, "list": [1, {"x": 2}] });
        assert_eq!(differs(base.clone()), None);
        for (pointer, value, at) in [
            ("/order", json!("1043"), "/order"),
            ("/amount", json!(25.5), "/amount"),
            ("/amount", json!("25"), "/amount"),
            ("/to/name", json!("B"), "/to/name"),
            ("/to", json!({ "iban": "x", "name": "A", "more": 1 }), "/to"),
            ("/to", json!({ "iban": "x", "nam": "A" }), "/to/name"),
            ("/list", json!([1]), "/list"),
            ("/list", json!([2, 1]), "/list/0"),
            ("", json!(null), ""),
        ] {
            let mut actual = base.clone();
            *actual.pointer_mut(pointer).expect("it is there") = value;
            assert_eq!(differs(actual), Some(at.to_owned()), "{pointer}");
        }
    }
}
