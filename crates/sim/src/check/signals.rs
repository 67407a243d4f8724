//! Signals: none that was accepted is lost, and none is delivered twice.

use std::collections::BTreeMap;

use model::event::EventBody;
use serde_json::Value as Json;

use super::{Found, Look, Story, sagas};
use crate::reached_in;

pub(crate) fn signals(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for story in &look.stories {
        let mut came: BTreeMap<&str, Json> = BTreeMap::new();
        let mut order = Vec::new();
        for event in &story.kept.events {
            if let EventBody::Signalled { id, data, .. } = &event.body {
                order.push(data.to_json());
                if came.insert(id, data.to_json()).is_some() {
                    found.push(format!("{}: signal {id} came twice", story.id));
                }
            }
        }
        let of = |told: &&crate::acks::Told| told.tenant == *story.tenant && told.execution == *story.id;
        for told in look.facts.acks.told.iter().filter(of) {
            if came.get(told.id.as_str()) != Some(&told.data) {
                found.push(format!("{}: signal {} was accepted, and is not there", story.id, told.id));
            }
        }
        if story.kept.row.name == "listening" {
            found.extend(delivered(look, story, &order));
        }
    }
    found
}

/// What the steps of `listening` heard: the first two signals, and then the third.
fn delivered(look: &Look<'_>, story: &Story<'_>, order: &[Json]) -> Found {
    let mut found = Vec::new();
    let mut heard: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for effect in story.state.effects.iter().filter(|effect| effect.probe_of.is_none()) {
        let step = effect.arguments.get("step").and_then(|step| step.as_str().map(str::to_owned));
        let list = effect.arguments.get("heard").map(|heard| heard.to_json());
        if let (Some(step), Some(Json::Array(list))) = (step, list) {
            heard.insert(step, list);
        }
    }
    if heard.is_empty() {
        return found;
    }
    reached_in!(look, "a signal was delivered");
    let all: Vec<&Json> = heard.values().flatten().collect();
    let twice = all.iter().enumerate().any(|(at, one)| all[..at].contains(one));
    let unknown = all.iter().any(|one| !order.contains(one));
    // A fork hears what was said to the other execution before its point.
    let forked = story.state.started.origin.is_some();
    if (twice && !sagas::went_back(story)) || (unknown && !forked) {
        found.push(format!("{}: it heard {heard:?} of {order:?}", story.id));
    }
    let expected = |step: &str| match step {
        "one" => order.get(..2),
        _ => order.get(2..3),
    };
    if !sagas::went_back(story) {
        for (step, list) in &heard {
            if expected(step) != Some(list.as_slice()) {
                found.push(format!("{}: {step} heard {list:?} of {order:?}", story.id));
            }
        }
    }
    found
}
