//! What a case expected and what came of it, told as differences that can be read.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Effect;
use serde_json::{Map, Value as Json};

use super::file::{EffectParts, Expected};
use super::play::{Played, is_task};

/// Differences that are told of one value.
const TOLD_MAX: usize = 20;
/// Lines of two lists that are compared at the most.
const LINES_MAX: usize = 2_000;

/// Everything that is not as expected, line by line; empty when the case holds.
pub(crate) fn differences(expected: &Expected, played: &Played) -> Vec<String> {
    let mut told = Vec::new();
    status(expected, played, &mut told);
    if let Some(wanted) = &expected.outcome {
        let found = played.outcome.map_or("none", model::Outcome::name);
        line("outcome", wanted, found, &mut told);
    }
    if let Some(wanted) = &expected.output {
        match &played.output {
            Some(found) => values("output", wanted, found, &mut told),
            None => told.push(format!("output: expected {wanted}, there is none")),
        }
    }
    if let Some(wanted) = &expected.error {
        match &played.error {
            Some(found) => members("error", wanted, found, &mut told),
            None => told.push(format!("error: expected {}, there is none", Json::Object(wanted.clone()))),
        }
    }
    if let Some(wanted) = &expected.ran {
        lists("tasks that ran", wanted, &played.ran, &mut told);
    }
    for name in expected.not_run.iter().filter(|name| played.ran.contains(name)) {
        told.push(format!("task `{name}` ran, and must not"));
    }
    if let Some(wanted) = &expected.effects {
        let wanted: Vec<&EffectParts> = wanted.iter().map(|effect| &effect.0).collect();
        effects(&wanted, played, &mut told);
    }
    if let Some(wanted) = &expected.published {
        published(wanted, &played.published, &mut told);
    }
    if let Some(wanted) = &expected.took {
        match dsl::duration::of(&model::Value::string(wanted.clone())) {
            Ok(span) if span == played.took => {}
            Ok(_) => line("took", wanted, &seconds(played.took), &mut told),
            Err(why) => told.push(format!("took: {why}")),
        }
    }
    told
}

/// What is not said about the end follows from the rest: an output means completed, an error means faulted.
fn status(expected: &Expected, played: &Played, told: &mut Vec<String>) {
    let implied = match (&expected.output, &expected.error) {
        (Some(_), _) => Some("completed"),
        (None, Some(_)) => Some("faulted"),
        (None, None) => None,
    };
    let Some(wanted) = expected.status.as_deref().or(implied) else { return };
    if wanted == played.status {
        return;
    }
    line("status", wanted, played.status, told);
    let why = [
        played.error.as_ref().map(|error| format!("    its error is {error}")),
        played.blocked.as_ref().map(|blocked| format!("    it waits: {blocked}")),
    ];
    told.extend(why.into_iter().flatten());
}

fn effects(wanted: &[&EffectParts], played: &Played, told: &mut Vec<String>) {
    let name = |parts: &EffectParts| parts.effect.clone();
    let operations: Vec<String> = played.effects.iter().map(|effect| effect.operation.clone()).collect();
    let expected: Vec<String> = wanted.iter().map(|parts| name(parts)).collect();
    if expected != operations {
        return lists("effects", &expected, &operations, told);
    }
    for (position, (parts, effect)) in wanted.iter().zip(&played.effects).enumerate() {
        one_effect(&format!("effect {} `{}`", position + 1, parts.effect), parts, effect, told);
    }
}

fn one_effect(what: &str, parts: &EffectParts, effect: &Effect, told: &mut Vec<String>) {
    if let Some(wanted) = parts.task.as_ref().filter(|task| !is_task(task, &effect.task)) {
        line(&format!("{what}: task"), wanted, &effect.task, told);
    }
    if let Some(wanted) = &parts.arguments {
        values(&format!("{what}: arguments"), wanted, &effect.arguments.to_json(), told);
    }
    if let Some(wanted) = &parts.outcome {
        line(&format!("{what}: outcome"), wanted, effect.outcome.map_or("none", model::Outcome::name), told);
    }
    if let Some(wanted) = parts.attempts {
        line(&format!("{what}: attempts"), &wanted.to_string(), &effect.attempts.len().to_string(), told);
    }
    if let Some(wanted) = parts.undone {
        line(&format!("{what}: undone"), &wanted.to_string(), &effect.undone_by.is_some().to_string(), told);
    }
}

fn published(wanted: &[Map<String, Json>], found: &[Json], told: &mut Vec<String>) {
    if wanted.len() != found.len() {
        let kinds = |events: Vec<&Json>| {
            events
                .into_iter()
                .map(|event| event.as_str().unwrap_or("an event").to_owned())
                .collect::<Vec<_>>()
        };
        let nothing = Json::Null;
        let expected = kinds(wanted.iter().map(|event| event.get("type").unwrap_or(&nothing)).collect());
        let came = kinds(found.iter().map(|event| event.get("type").unwrap_or(&nothing)).collect());
        return lists("published events", &expected, &came, told);
    }
    for (position, (wanted, found)) in wanted.iter().zip(found).enumerate() {
        members(&format!("published event {}", position + 1), wanted, found, told);
    }
}

/// Members that must be there; others may be.
fn members(what: &str, wanted: &Map<String, Json>, found: &Json, told: &mut Vec<String>) {
    for (name, value) in wanted {
        match found.get(name) {
            Some(found) => values(&format!("{what}: {name}"), value, found, told),
            None => told.push(format!("{what}: {name}: expected {value}, there is none")),
        }
    }
}

fn line(what: &str, wanted: &str, found: &str, told: &mut Vec<String>) {
    if wanted != found {
        told.push(format!("{what}: expected {wanted}, found {found}"));
    }
}

fn values(what: &str, wanted: &Json, found: &Json, told: &mut Vec<String>) {
    let mut differences = Vec::new();
    walk(&mut String::new(), wanted, found, &mut differences);
    let more = differences.len().saturating_sub(TOLD_MAX);
    told.extend(differences.into_iter().take(TOLD_MAX).map(|difference| format!("{what}: {difference}")));
    if more > 0 {
        told.push(format!("{what}: and {more} more differences"));
    }
}

/// Every place where two values differ. Documents are at most 64 deep.
fn walk(at: &mut String, wanted: &Json, found: &Json, told: &mut Vec<String>) {
    let place = |at: &str| if at.is_empty() { String::new() } else { format!("{at}: ") };
    match (wanted, found) {
        (Json::Object(a), Json::Object(b)) => {
            let names: BTreeMap<&String, ()> = a.keys().chain(b.keys()).map(|name| (name, ())).collect();
            for name in names.into_keys() {
                let end = at.len();
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                both(at, a.get(name), b.get(name), told);
                at.truncate(end);
            }
        }
        (Json::Array(a), Json::Array(b)) => {
            for position in 0..a.len().max(b.len()) {
                let end = at.len();
                at.push_str(&format!("/{position}"));
                both(at, a.get(position), b.get(position), told);
                at.truncate(end);
            }
        }
        _ if same(wanted, found) => {}
        _ => told.push(format!("{}expected {wanted}, found {found}", place(at))),
    }
}

fn both(at: &mut String, wanted: Option<&Json>, found: Option<&Json>, told: &mut Vec<String>) {
    match (wanted, found) {
        (Some(wanted), Some(found)) => walk(at, wanted, found, told),
        (Some(wanted), None) => told.push(format!("{at}: expected {wanted}, there is none")),
        (None, Some(found)) => told.push(format!("{at}: unexpected {found}")),
        (None, None) => {}
    }
}

/// Equal as JSON: 1 and 1.0 are one number, the order of names does not count.
pub(super) fn same(wanted: &Json, found: &Json) -> bool {
    match (wanted, found) {
        (Json::Number(a), Json::Number(b)) => {
            a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64()))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => wanted == found,
    }
}

/// Two lists of names as a text with `-` before what is missing and `+` before what is too much.
fn lists(what: &str, wanted: &[String], found: &[String], told: &mut Vec<String>) {
    if wanted == found {
        return;
    }
    told.push(format!("{what} differ (- expected, + found):"));
    if wanted.len() > LINES_MAX || found.len() > LINES_MAX {
        told.push(format!("    {} expected, {} found", wanted.len(), found.len()));
        return;
    }
    // Length of the longest common part of what follows each pair of places.
    let mut common = vec![vec![0_u32; found.len() + 1]; wanted.len() + 1];
    for i in (0..wanted.len()).rev() {
        for j in (0..found.len()).rev() {
            common[i][j] = match wanted[i] == found[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < wanted.len() || j < found.len() {
        if i < wanted.len() && j < found.len() && wanted[i] == found[j] {
            told.push(format!("      {}", wanted[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < wanted.len() && (j == found.len() || common[i + 1][j] >= common[i][j + 1]) {
            told.push(format!("    - {}", wanted[i]));
            i += 1;
        } else {
            told.push(format!("    + {}", found[j]));
            j += 1;
        }
    }
}

fn seconds(span: Duration) -> String {
    format!("PT{}S", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_compared_place_by_place() {
        let told = |wanted: Json, found: Json| {
            let mut told = Vec::new();
            values("output", &wanted, &found, &mut told);
            told
        };
        assert_eq!(
            told(json!({"a": 1, "b": [1, {"c/d": "x"}]}), json!({"b": [1.0, {"c/d": "x"}], "a": 1.0})),
            [""; 0]
        );
        assert_eq!(
            told(
                json!({"a": 1, "b": [1, {"c/d": "x"}], "e": null}),
                json!({"a": 2, "b": [1, {"c/d": 3}, 4], "f": null})
            ),
            [
                "output: /a: expected 1, found 2",
                "output: /b/1/c~1d: expected \"x\", found 3",
                "output: /b/2: unexpected 4",
                "output: /e: expected null, there is none",
                "output: /f: unexpected null",
            ]
        );
        // Whole numbers that floating point cannot tell apart are still two.
        assert_eq!(told(json!(9007199254740993_i64), json!(9007199254740992_i64)).len(), 1);
    }

    #[test]
    fn lists_show_what_is_missing_and_what_is_too_much() {
        let list = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut told = Vec::new();
        lists("tasks", &list("a b c d"), &list("a x c d d"), &mut told);
        assert_eq!(
            told[1..],
            ["      a", "    - b", "    + x", "      c", "      d", "    + d"].map(str::to_owned)
        );
    }
}
