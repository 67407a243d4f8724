//! Signed plans: an execution of one did only what it holds, or what people allowed besides.

use std::collections::{BTreeMap, BTreeSet};

use model::EffectClass;
use model::effect::EffectNumber;
use model::event::EventBody;
use serde_json::Value as Json;

use super::{Found, Look, Story};
use crate::reached_in;

pub(crate) fn held(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        let Some(digest) = story.state.started.signed else { continue };
        let name = (story.tenant.clone(), "plan".to_owned(), digest.to_string());
        let Some(plan) = look.facts.stored.documents.get(&name) else {
            found.push(format!("{}: its plan {digest} is gone", story.id));
            continue;
        };
        found.extend(signed(story, plan));
        let mut uses: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for (at, event) in story.kept.events.iter().enumerate() {
            let EventBody::EffectStarted { effect, entry, approval, .. } = &event.body else { continue };
            let Some(known) = story.state.effect(*effect) else { continue };
            let number = effect.0;
            let reads = matches!(known.contract.class, EffectClass::Pure | EffectClass::Read);
            let follows = (known.probe_of.is_some() && reads) || known.compensates.is_some();
            match entry {
                None if follows => {}
                None if approval.is_some() => reached_in!(look, "people allowed more than the plan"),
                None => found.push(format!("{}: effect {number} is in no plan, and nobody asked", story.id)),
                Some(entry) => {
                    reached_in!(look, "an effect was held to its plan");
                    uses.entry(*entry).or_default().insert(known.entry_use());
                    let held = &plan["content"]["effects"][*entry as usize];
                    // What people wrote into it afterwards says nothing of what was started before.
                    let since = story.kept.events.iter().skip(at);
                    if since.into_iter().any(|event| edits(&event.body, *effect)) {
                        continue;
                    }
                    if let Some(what) = differs(held, known) {
                        found.push(format!("{}: effect {number} has another {what} than its plan", story.id));
                    }
                }
            }
        }
        for (entry, used) in uses {
            let most = plan["content"]["effects"][entry as usize]["uses"].as_u64().unwrap_or(0);
            if used.len() as u64 > most {
                found.push(format!("{}: entry {entry} was used {} times of {most}", story.id, used.len()));
            }
        }
    }
    found
}

/// Signed by somebody else, and for this very execution.
fn signed(story: &Story<'_>, plan: &Json) -> Found {
    let mut found = Vec::new();
    let id = story.id;
    let requester = story.state.started.requester.as_str();
    let voices = plan["votes"].as_array().cloned().unwrap_or_default();
    let yes = |vote: &Json| vote["approve"] == Json::Bool(true);
    if plan["status"] != "signed" || plan["seal"].is_null() || !voices.iter().any(yes) {
        found.push(format!("{id}: its plan is not signed"));
    }
    let maker = plan["content"]["requester"].as_str().unwrap_or_default();
    if voices.iter().filter(|vote| yes(vote)).any(|vote| vote["by"] == maker || vote["by"] == requester) {
        found.push(format!("{id}: its plan was signed by whoever asked for it"));
    }
    let forked = story.state.started.origin.is_some();
    let uses = plan["used_by"].as_array().cloned().unwrap_or_default();
    if !forked && !uses.iter().any(|used| used["execution"] == id.as_str()) {
        found.push(format!("{id}: its plan does not know of it"));
    }
    found
}

fn edits(body: &EventBody, number: EffectNumber) -> bool {
    matches!(body, EventBody::Edited { effect, .. } if *effect == number)
}

/// What an effect has otherwise than its entry says.
fn differs(entry: &Json, effect: &engine::Effect) -> Option<&'static str> {
    if entry["task"] != *effect.task || entry["operation"] != effect.operation.as_str() {
        return Some("place");
    }
    if entry["class"] != effect.contract.class.name() {
        return Some("class");
    }
    let unknown: Vec<&str> =
        entry["unknown"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    (!same(&entry["arguments"], &effect.arguments.to_json(), "", &unknown)).then_some("argument")
}

fn same(signed: &Json, actual: &Json, at: &str, unknown: &[&str]) -> bool {
    if unknown.contains(&at) {
        return true;
    }
    match (signed, actual) {
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, signed)| {
                    let member = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                    b.get(name).is_some_and(|actual| same(signed, actual, &member, unknown))
                })
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).enumerate().all(|(n, (a, b))| same(a, b, &format!("{at}/{n}"), unknown))
        }
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        _ => signed == actual,
    }
}
