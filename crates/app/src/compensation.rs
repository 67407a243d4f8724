//! Branches and compensation as people see them.

use engine::{Execution, Phase};
use model::Outcome;
use serde_json::{Value as Json, json};

use crate::view::{ArmedView, BranchView, CompensationView, UndoneView};

/// The branches that are not joined yet.
pub(crate) fn branches(state: &Execution) -> Vec<BranchView> {
    let view = |branch: engine::Branch| BranchView {
        task: branch.task.to_string(),
        status: branch.status.to_owned(),
        at: branch.at.map(|at| at.to_string()),
    };
    state.branches().into_iter().map(view).collect()
}

/// What is armed, and what was undone.
pub(crate) fn view(state: &Execution) -> CompensationView {
    let armed: Vec<ArmedView> = state
        .armed()
        .into_iter()
        .map(|item| ArmedView {
            branch: item.branch.map(|branch| branch.to_string()),
            effect: item.effect.map(|number| number.0),
            operation: item.operation,
            savepoint: item.savepoint.map(|name| name.to_string()),
        })
        .collect();
    let undone: Vec<UndoneView> = state.undone.iter().map(entry).collect();
    CompensationView { state: word(state, &armed).to_owned(), armed, undone }
}

/// The error of a faulted execution with the report of what was undone.
pub(crate) fn reported(mut error: Json, state: &Execution) -> Json {
    if !state.undone.is_empty() && error.is_object() {
        error["compensation"] = json!(state.undone.iter().map(entry).collect::<Vec<_>>());
    }
    error
}

fn word(state: &Execution, armed: &[ArmedView]) -> &'static str {
    let arms = armed.iter().any(|item| item.savepoint.is_none());
    let parked = |effect: &engine::Effect| effect.undo && matches!(effect.phase, Phase::Parked { .. });
    if state.stuck().is_some() || state.open_effects().any(parked) {
        "parked"
    } else if state.is_undoing() {
        "undoing"
    } else if state.end.is_some() && arms {
        "left"
    } else if arms {
        "armed"
    } else if state.undone.is_empty() {
        "idle"
    } else if state.undone.iter().all(|undone| undone.outcome == Outcome::Verified) {
        "undone"
    } else {
        "incomplete"
    }
}

fn entry(undone: &engine::Undone) -> UndoneView {
    UndoneView {
        effect: undone.effect.map(|number| number.0),
        operation: undone.operation.clone(),
        undone_by: undone.undone_by.map(|number| number.0),
        outcome: undone.outcome.name().to_owned(),
    }
}
