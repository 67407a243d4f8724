//! An effect as plain data.

use std::sync::Arc;

use dsl::Definition;
use model::action::ActionRef;
use model::effect::EffectNumber;
use model::id::{ApprovalId, PermitId};
use model::problem::WorkflowError;
use model::sabotage::{self, Bug};
use model::verdict::Verdict;
use model::{Digest, ExecutionId, Outcome, PrincipalId, Request, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::packed::Pool;
use super::{SnapshotError, Values};
use crate::effects::contract_of;
use crate::state::{Attempt, Effect, Phase};
use crate::thread::ThreadId;

/// What an attempt may have ended with.
const ANSWERS: [&str; 4] = ["done", "refused", "lost", "void"];

/// As [`Effect`]; values by number, the action by name, the contract found again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EffectImage {
    number: EffectNumber,
    task: Arc<str>,
    operation: String,
    action: Option<ActionRef>,
    arguments: usize,
    /// Without its body, which has labels.
    request: Request,
    body: Option<usize>,
    key: String,
    digest: Digest,
    requested_at: Timestamp,
    phase: Phase,
    attempts: Vec<AttemptImage>,
    failures: u32,
    verdict: Option<Arc<Verdict>>,
    approval: Option<ApprovalId>,
    judged: Option<Digest>,
    approved: Option<Digest>,
    approved_until: Option<Timestamp>,
    permit: Option<PermitId>,
    outcome: Option<Outcome>,
    evidence: Option<String>,
    output: Option<usize>,
    probe_of: Option<EffectNumber>,
    probes: u32,
    settled_at: Option<Timestamp>,
    awaited: bool,
    parked_at: Option<Timestamp>,
    edited_by: Option<PrincipalId>,
    thread: ThreadId,
    armed: bool,
    undo: bool,
    compensates: Option<EffectNumber>,
    undone_by: Option<EffectNumber>,
    #[serde(default)]
    visit: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reused: Option<(EffectNumber, Option<ExecutionId>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved: Option<Box<crate::Resolution>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    granted: Option<Box<crate::Granted>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<Arc<str>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct AttemptImage {
    number: u32,
    started_at: Timestamp,
    #[serde(default)]
    lease: u64,
    ended_at: Option<Timestamp>,
    answer: Option<String>,
    error: Option<WorkflowError>,
}

/// Takes out of a request what the arguments made of it.
fn held(request: &mut Request) -> Option<Value> {
    match request {
        Request::Http(http) => http.body.take(),
        Request::Stream(stream) => stream.payload.take(),
        Request::Grpc(call) => Some(std::mem::replace(&mut call.arguments, Value::NULL)),
        Request::Rpc(call) => Some(std::mem::replace(&mut call.parameters, Value::NULL)),
        Request::Process(_)
        | Request::Declassify
        | Request::Approval(_)
        | Request::Workflow(_)
        | Request::Unwind(_) => None,
    }
}

/// Puts it back.
fn hold(request: &mut Request, value: Value) {
    match request {
        Request::Http(http) => http.body = Some(value),
        Request::Stream(stream) => stream.payload = Some(value),
        Request::Grpc(call) => call.arguments = value,
        Request::Rpc(call) => call.parameters = value,
        Request::Process(_)
        | Request::Declassify
        | Request::Approval(_)
        | Request::Workflow(_)
        | Request::Unwind(_) => {}
    }
}

impl EffectImage {
    pub(super) fn of(effect: &Effect, pool: &mut Pool) -> Self {
        let mut request = effect.request.clone();
        // Kept with its origins, and once.
        let body = held(&mut request).map(|value| pool.put(&value));
        Self {
            number: effect.number,
            task: Arc::clone(&effect.task),
            operation: effect.operation.clone(),
            action: effect.action.as_ref().map(|action| action.reference.clone()),
            arguments: pool.put(&effect.arguments),
            request,
            body,
            key: effect.key.clone(),
            digest: effect.digest,
            requested_at: effect.requested_at,
            phase: effect.phase.clone(),
            attempts: effect.attempts.iter().map(AttemptImage::of).collect(),
            failures: if sabotage::is(Bug::SnapshotForgets) { 0 } else { effect.failures },
            verdict: effect.verdict.clone(),
            approval: effect.approval.clone(),
            judged: effect.judged,
            approved: effect.approved,
            approved_until: effect.approved_until,
            permit: effect.permit.clone(),
            outcome: effect.outcome,
            evidence: effect.evidence.clone(),
            output: effect.output.as_ref().map(|output| pool.put(output)),
            probe_of: effect.probe_of,
            probes: effect.probes,
            settled_at: effect.settled_at,
            awaited: effect.awaited,
            parked_at: effect.parked_at,
            edited_by: effect.edited_by.clone(),
            thread: effect.thread,
            armed: effect.armed,
            undo: effect.undo,
            compensates: effect.compensates,
            undone_by: effect.undone_by,
            visit: effect.visit,
            reused: effect.reused.clone(),
            resolved: effect.resolved.clone(),
            granted: effect.granted.clone(),
            function: effect.function.clone(),
        }
    }

    pub(super) fn restore(self, definition: &Definition, values: &Values) -> Result<Effect, SnapshotError> {
        let action = match self.action {
            None => None,
            Some(name) => {
                let found = definition.actions.get(&name).cloned();
                Some(found.ok_or_else(|| SnapshotError::Place(name.to_string()))?)
            }
        };
        let mut request = self.request;
        if let Some(body) = self.body.map(|number| values.get(number)).transpose()? {
            hold(&mut request, body);
        }
        Ok(Effect {
            number: self.number,
            task: self.task,
            operation: self.operation,
            contract: contract_of(action.as_deref(), &request, self.function.as_deref()),
            action,
            arguments: values.get(self.arguments)?,
            request,
            key: self.key,
            digest: self.digest,
            requested_at: self.requested_at,
            phase: self.phase,
            attempts: self.attempts.into_iter().map(AttemptImage::restore).collect::<Result<_, _>>()?,
            failures: self.failures,
            verdict: self.verdict,
            approval: self.approval,
            judged: self.judged,
            approved: self.approved,
            approved_until: self.approved_until,
            permit: self.permit,
            outcome: self.outcome,
            evidence: self.evidence,
            output: self.output.map(|number| values.get(number)).transpose()?,
            probe_of: self.probe_of,
            probes: self.probes,
            settled_at: self.settled_at,
            awaited: self.awaited,
            parked_at: self.parked_at,
            edited_by: self.edited_by,
            thread: self.thread,
            armed: self.armed,
            undo: self.undo,
            compensates: self.compensates,
            undone_by: self.undone_by,
            visit: self.visit,
            reused: self.reused,
            resolved: self.resolved,
            granted: self.granted,
            function: self.function,
        })
    }
}

impl AttemptImage {
    fn of(attempt: &Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            lease: attempt.lease,
            ended_at: attempt.ended_at,
            answer: attempt.answer.map(str::to_owned),
            error: attempt.error.clone(),
        }
    }

    fn restore(self) -> Result<Attempt, SnapshotError> {
        let answer = match self.answer {
            None => None,
            Some(word) => {
                let known = ANSWERS.into_iter().find(|known| *known == word);
                Some(known.ok_or_else(|| SnapshotError::Unreadable(format!("`{word}` is not an answer")))?)
            }
        };
        let Self { number, started_at, lease, ended_at, error, .. } = self;
        Ok(Attempt { number, started_at, lease, ended_at, answer, error })
    }
}
