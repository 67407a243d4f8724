//! Plans: runs the engine on predictions, so that every effect that can be foreseen is judged before anything runs.

use std::sync::Arc;

use dsl::Definition;
use engine::{Execution, Input, Judgement};
use model::event::{Mode, Started};
use model::verdict::Decision;
use model::{Problem, Timestamp};

use crate::app::App;
use crate::permit::in_one_line;
use crate::record::verdict_word;
use crate::view::{PlanView, PlannedEffect, WorkflowName};

/// Effects that a plan shows at the most.
const EFFECTS_MAX: usize = 200;
/// Steps of simulated time at the most.
const WAKES_MAX: usize = 1000;

impl App {
    /// The plan of a workflow with this input. Touches nothing outside and stores nothing.
    pub(crate) async fn forecast(
        &self,
        definition: Arc<Definition>,
        started: Started,
        now: Timestamp,
    ) -> Result<PlanView, Problem> {
        let policies = self.policies_of(&started.tenant).await?;
        let controls = self.switches.now();
        let plan = started.plan;
        let mut view = PlanView {
            digest: plan,
            workflow: WorkflowName {
                namespace: started.namespace.clone(),
                name: started.name.clone(),
                version: Some(started.version.clone()),
            },
            title: definition.title.clone(),
            input: started.input.to_json(),
            intent: started.intent.clone(),
            effects: Vec::new(),
            note: None,
        };
        let started = Started { mode: Mode::Advisory, ..started };
        let (mut state, _) = Execution::start(definition, started, now);
        let mut now = now;
        for _ in 0..WAKES_MAX {
            while let Some(number) = state.requested().first().copied() {
                let Some(effect) = state.effect(number) else { break };
                let ruled = self.rule(&state, effect, &policies, &controls);
                let listed = controls.allows(&state.started.tenant, &effect.operation);
                view.effects.push(planned(effect, &ruled, listed));
                if view.effects.len() >= EFFECTS_MAX {
                    view.note = Some(format!("only the first {EFFECTS_MAX} effects are shown"));
                    return Ok(view);
                }
                let output = effect.action.as_ref().map_or(model::Value::NULL, |a| a.predicted.clone());
                let judgement = Judgement::Predict { digest: ruled.digest, verdict: ruled.verdict, output };
                if engine::step(&mut state, Input::Judged(number, judgement), now).is_err() {
                    break;
                }
            }
            let Some((at, _)) = state.next_wakeup() else { break };
            now = now.max(at);
            if engine::step(&mut state, Input::Wake, now).is_err() {
                break;
            }
        }
        if let Some(engine::End::Faulted(error)) = &state.end {
            let detail = error.detail.as_deref().unwrap_or(&error.kind);
            view.note = Some(format!("what follows depends on answers that nobody can foresee ({detail})"));
        }
        Ok(view)
    }
}

fn planned(effect: &engine::Effect, ruled: &crate::permit::Ruled, listed: bool) -> PlannedEffect {
    let verdict = &ruled.verdict;
    let (decision, approvals) = match &verdict.decision {
        _ if !listed => ("deny", 0),
        Decision::RequireApproval(quorum) => ("require-approval", quorum.approvers),
        other => (verdict_word(other), 0),
    };
    let mut reasons = verdict.reasons.clone();
    if !listed {
        reasons.insert(0, format!("`{}` is not on the allow-list of operations", effect.operation));
    }
    if let Some(ensure) = effect.action.as_ref().and_then(|a| a.ensure.as_ref()) {
        reasons.push(format!("verified by `{}` until `{}` holds", ensure.probe, ensure.that.text()));
    }
    PlannedEffect {
        task: effect.task.to_string(),
        operation: effect.operation.clone(),
        target: effect.request.target(),
        effect: effect.contract.effect.name().to_owned(),
        class: effect.contract.class.name().to_owned(),
        predicted: in_one_line(effect),
        arguments: effect.arguments.to_json(),
        risk: verdict.risk.clone(),
        decision: decision.to_owned(),
        approvals,
        reasons,
        probe: effect.probe_of.is_some(),
    }
}
