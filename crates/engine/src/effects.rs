//! Effects: how they are requested, answered, checked, repeated, parked and settled.
//!
//! What a lost answer means is decided by the effect class alone: `pure`, `read` and `idempotent` are repeated,
//! `probeable` is asked whether it happened, `compensable` is undone, anything else waits for a human.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use dsl::plan::{Action, Declassify, Work};
use model::action::{ActionRef, Contract, EffectClass, EffectKind};
use model::effect::{APPROVAL, Answer, DECLASSIFY, EffectNumber, retry_delay};
use model::problem::WorkflowError;
use model::sabotage::{self, Bug};
use model::{Canonical, Digest, Label, Outcome, Request, Timestamp, Value};
use serde::Serialize;

use crate::EFFECTS_MAX;
use crate::arguments::{inline_arguments, inline_edited, relabelled};
use crate::flow::Signal;
use crate::request;
use crate::scope::check_schema;
use crate::state::{Attempt, Doing, Effect, Execution, Phase};

/// What an effect is for.
#[derive(Clone)]
pub(crate) enum Purpose {
    /// The task on top waits for it.
    Task,
    /// It checks another effect.
    Probe(EffectNumber),
    /// It undoes another effect, or is an action that `on-rollback` armed in a task, with its key.
    Undo { of: Option<EffectNumber>, task: Arc<str>, key: String },
}

/// What a permit is bound to, besides the policy that the gate adds. In the order of the names, as it is digested.
#[derive(Serialize)]
struct Bound<'a> {
    arguments: &'a Value,
    contract: Promised<'a>,
    execution: &'a str,
    operation: &'a str,
    plan: &'a Digest,
    request: &'a Request,
    target: Cow<'a, str>,
    task: &'a str,
    tenant: &'a str,
}

/// A contract, or its canonical text.
#[derive(Serialize)]
#[serde(untagged)]
enum Promised<'a> {
    Contract(&'a Contract),
    Text(&'a Canonical),
}

/// What holds for every program, made once.
struct Sandboxed {
    contract: Arc<Contract>,
    text: Canonical,
}

static SANDBOXED: LazyLock<Sandboxed> = LazyLock::new(|| {
    let contract = Contract::sandboxed();
    Sandboxed { text: Canonical::of(&contract), contract: Arc::new(contract) }
});

fn promised(contract: &Arc<Contract>) -> Promised<'_> {
    if Arc::ptr_eq(contract, &SANDBOXED.contract) {
        Promised::Text(&SANDBOXED.text)
    } else {
        Promised::Contract(contract)
    }
}

impl Execution {
    /// Requests a catalogued action.
    pub(crate) fn begin_action(
        &mut self,
        reference: &ActionRef,
        arguments: Value,
        purpose: Purpose,
    ) -> Result<Signal, WorkflowError> {
        let definition = Arc::clone(&self.definition);
        let Some(action) = definition.actions.get(reference) else {
            return Err(WorkflowError::standard(
                "configuration",
                400,
                "Configuration Error",
                format!("`{reference}` is not pinned"),
            ));
        };
        let (task, default_key) = match &purpose {
            Purpose::Task => {
                let task = self.top_pointer();
                let key = self.default_key(&task);
                (task, key)
            }
            Purpose::Probe(number) => {
                let checked = self.effect_ref(*number);
                (Arc::clone(&checked.task), format!("{}/probe", checked.key))
            }
            Purpose::Undo { task, key, .. } => (Arc::clone(task), key.clone()),
        };
        let key = self.key_of(action, &arguments, default_key)?;
        let request = self.action_request(action, &arguments, &key)?;
        self.push_effect(
            task,
            action.reference.to_string(),
            Some(Arc::clone(action)),
            arguments,
            request,
            key,
            purpose,
        )
    }

    /// Requests an act that is written in the definition itself.
    pub(crate) fn request_inline(&mut self, work: &Work, input: &Value) -> Result<(), WorkflowError> {
        let task = self.top_pointer();
        let request = request::build(work, input, &self.scope(input), None)?;
        let key = self.default_key(&task);
        let operation = match &request {
            Request::Http(http) => format!("http:{}", http.method),
            Request::Grpc(call) => call.operation(),
            Request::Stream(stream) => stream.operation().to_owned(),
            Request::Rpc(call) => format!("{}:{}", call.protocol.name(), call.method),
            Request::Declassify => DECLASSIFY.to_owned(),
            Request::Approval(_) => APPROVAL.to_owned(),
            Request::Workflow(_) | Request::Unwind(_) => request.target().into_owned(),
            Request::Process(process) => process.program.operation(),
        };
        let arguments = request::labelled(work, input, &self.scope(input), &inline_arguments(&request));
        self.push_effect(task, operation, None, arguments, request, key, Purpose::Task)?;
        Ok(())
    }

    /// Requests that a person answers for a value. The gate lets nothing else pass.
    pub(crate) fn begin_declassify(
        &mut self,
        word: &Declassify,
        input: &Value,
    ) -> Result<Signal, WorkflowError> {
        let scope = self.scope(input);
        let value = scope.fill(&word.value, input)?;
        let reason = scope.fill(&word.reason, input)?;
        if reason.as_str().is_none_or(|text| text.trim().is_empty()) {
            let detail = "`reason` of `declassify` must be text that says why the value may be trusted";
            return Err(WorkflowError::standard("validation", 400, "Validation Error", detail.to_owned()));
        }
        if let Some(schema) = &word.schema {
            check_schema(schema, &value, "the value to declassify")?;
        }
        let task = self.top_pointer();
        let key = self.default_key(&task);
        let arguments = Value::object([("value", value), ("reason", reason)]);
        self.push_effect(
            task,
            DECLASSIFY.to_owned(),
            None,
            arguments,
            Request::Declassify,
            key,
            Purpose::Task,
        )
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one place makes effects; a struct would repeat the effect's own members"
    )]
    pub(crate) fn push_effect(
        &mut self,
        task: Arc<str>,
        operation: String,
        action: Option<Arc<Action>>,
        arguments: Value,
        request: Request,
        key: String,
        purpose: Purpose,
    ) -> Result<Signal, WorkflowError> {
        let number = EffectNumber(self.effects.requested().saturating_add(1));
        // What was done is undone, however much there was.
        if number.0 > EFFECTS_MAX && !matches!(purpose, Purpose::Undo { .. }) {
            return Err(WorkflowError::standard(
                "runtime",
                500,
                "Budget Spent",
                format!("more than {EFFECTS_MAX} effects"),
            ));
        }
        let function = match purpose {
            Purpose::Task => self.live.top_task().and_then(|frame| frame.task.function.clone()),
            // What a contract promises was reviewed with it.
            Purpose::Probe(_) | Purpose::Undo { .. } => None,
        };
        let contract = contract_of(action.as_deref(), &request, function.as_deref());
        let digest = self.digest_for(&task, &operation, &arguments, &request, &contract);
        let (probe_of, undo, compensates) = match purpose {
            Purpose::Task => (None, false, None),
            Purpose::Probe(checked) => (Some(checked), false, None),
            Purpose::Undo { of, .. } => (None, true, of),
        };
        let thread = probe_of.map_or(self.live.id, |checked| self.effect_ref(checked).thread);
        let visit = self.live.visits.get(&task).copied().unwrap_or(0);
        self.effects.push(Effect {
            number,
            task,
            operation,
            action,
            contract,
            arguments,
            request,
            key,
            digest,
            requested_at: self.now,
            phase: Phase::Requested,
            attempts: Vec::new(),
            failures: 0,
            verdict: None,
            approval: None,
            judged: None,
            approved: None,
            approved_until: None,
            permit: None,
            outcome: None,
            evidence: None,
            output: None,
            probe_of,
            probes: 0,
            settled_at: None,
            awaited: true,
            parked_at: None,
            edited_by: self.editor.clone(),
            thread,
            armed: false,
            undo,
            compensates,
            undone_by: None,
            visit,
            reused: None,
            resolved: None,
            function,
            granted: None,
        });
        self.open.push(number);
        if probe_of.is_none() && !undo {
            self.set_doing(Doing::Effect(number));
        }
        Ok(Signal::Blocked)
    }

    fn digest_for(
        &self,
        task: &str,
        operation: &str,
        arguments: &Value,
        request: &Request,
        contract: &Arc<Contract>,
    ) -> Digest {
        model::digest_of(&Bound {
            arguments,
            contract: promised(contract),
            execution: self.started.execution.as_str(),
            operation,
            plan: &self.started.plan,
            request,
            target: request.target(),
            task,
            tenant: self.started.tenant.as_str(),
        })
    }

    /// The concrete act of an action with these arguments.
    pub(crate) fn action_request(
        &self,
        action: &Action,
        arguments: &Value,
        key: &str,
    ) -> Result<Request, WorkflowError> {
        if let Some(schema) = &action.input {
            check_schema(schema, arguments, &format!("an argument of `{}`", action.reference))?;
        }
        let var = action_var(action, key, None, None);
        let scope = self.outer_scope().with("input", arguments).with("action", &var);
        request::build(&action.run, arguments, &scope, request::key_header(action, key))
    }

    /// The key that the contract makes of the arguments, or else the given one.
    pub(crate) fn key_of(
        &self,
        action: &Action,
        arguments: &Value,
        default: String,
    ) -> Result<String, WorkflowError> {
        match &action.key {
            Some(expr) => {
                let value = self.outer_scope().with("input", arguments).eval(expr, arguments)?;
                value.as_str().map(str::to_owned).ok_or_else(|| {
                    let detail = format!(
                        "`idempotency.key` of `{}` gave a {} and must give text",
                        action.reference,
                        value.kind()
                    );
                    WorkflowError::standard("expression", 400, "Expression Error", detail)
                })
            }
            None => Ok(default),
        }
    }

    /// Hash of execution, task (its pointer names the branch), and how often the flow came here. Retries of a `try` come
    /// with the same count.
    pub(crate) fn default_key(&self, task: &str) -> String {
        let visit = self.live.visits.get(task).copied().unwrap_or(0);
        let visit = if sabotage::is(Bug::KeyPerTask) { 0 } else { visit };
        let visit = visit.to_string();
        let (tenant, execution) = (self.started.tenant.as_str(), self.started.execution.as_str());
        let digest = Digest::of([tenant, "|", execution, "|", task, "|", &visit].concat().as_bytes());
        // 128 bits: two effects with one key would be one effect to the outside.
        let mut key = String::with_capacity(2 * 16 + 1 + visit.len());
        for byte in &digest.0[..16] {
            key.extend(
                [byte >> 4, byte & 0x0f].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])),
            );
        }
        key.push('-');
        key.push_str(&visit);
        key
    }

    pub(crate) fn top_pointer(&self) -> Arc<str> {
        self.live.top_task().map_or_else(|| Arc::from("/do"), |frame| Arc::clone(&frame.task.pointer))
    }

    /// An approver's arguments take the place of the requested ones.
    pub(crate) fn edit(
        &mut self,
        number: EffectNumber,
        arguments: &Value,
        by: &model::PrincipalId,
    ) -> Result<(), WorkflowError> {
        let (request, arguments, key) = self.edited_request(number, arguments)?;
        let effect = self.effect_ref(number);
        let digest = self.digest_for(&effect.task, &effect.operation, &arguments, &request, &effect.contract);
        let effect = self.effect_mut(number);
        effect.arguments = arguments;
        effect.request = request;
        effect.key = key;
        effect.digest = digest;
        effect.phase = Phase::Requested;
        effect.approved = None;
        effect.approval = None;
        effect.edited_by = Some(by.clone());
        Ok(())
    }

    /// What an edit would send, with which arguments and key; the error says why it cannot.
    pub(crate) fn edited_request(
        &self,
        number: EffectNumber,
        arguments: &Value,
    ) -> Result<(Request, Value, String), WorkflowError> {
        let effect = self.effect_ref(number);
        let arguments = relabelled(arguments, &effect.arguments);
        let Some(action) = &effect.action else {
            return Ok((inline_edited(&effect.request, &arguments)?, arguments, effect.key.clone()));
        };
        // What was never sent has no key that the outside knows, so the key follows the arguments.
        let key = match &action.key {
            Some(_) if effect.attempts.is_empty() => self.key_of(action, &arguments, effect.key.clone())?,
            _ => effect.key.clone(),
        };
        Ok((self.action_request(action, &arguments, &key)?, arguments, key))
    }

    /// An attempt ended.
    pub(crate) fn answered(&mut self, number: EffectNumber, attempt: u32, answer: &Answer) -> Signal {
        let now = self.now;
        if sabotage::is(Bug::ArmedLate) && matches!(answer, Answer::Done { .. }) {
            self.arm_effect(number)
        }
        let effect = self.effect_mut(number);
        if let Some(entry) = effect.attempts.iter_mut().find(|a| a.number == attempt) {
            entry.ended_at = Some(now);
            entry.answer = Some(match answer {
                Answer::Done { .. } | Answer::Stored { .. } => "done",
                Answer::Refused { .. } => "refused",
                Answer::Lost { .. } => "lost",
                Answer::Child(end) => end.word(),
            });
            entry.error = match answer {
                Answer::Done { .. } | Answer::Stored { .. } => None,
                Answer::Refused { error, .. } | Answer::Lost { error } => Some(error.clone()),
                Answer::Child(end) => end.error.clone(),
            };
        }
        if let Some(checked) = effect.probe_of {
            return self.probe_answered(number, checked, answer);
        }
        match answer {
            Answer::Done { output } => self.done(number, output),
            Answer::Refused { error, transient: true, retry_after_ms } => {
                self.failed_for_now(number, error, *retry_after_ms)
            }
            Answer::Refused { error, transient: false, .. } => {
                let evidence = format!("refused: {}", describe(error));
                if self.effect_ref(number).undo && !sabotage::is(Bug::UndoFailedIsDone) {
                    return self.park(number, evidence, true);
                }
                let outcome = self.outcome_without_yes(number);
                self.settle(number, outcome, evidence);
                self.resume_with_error(number, error.clone())
            }
            Answer::Lost { error } => self.lost(number, error),
            Answer::Child(end) => self.child_answered(number, end),
            Answer::Stored { digest } => {
                self.park(number, format!("its answer {digest} was not put back from the blob store"), true)
            }
        }
    }

    fn done(&mut self, number: EffectNumber, raw: &Value) -> Signal {
        let output = match self.action_output(number, raw) {
            Ok(output) => output,
            Err(error) => {
                self.settle(
                    number,
                    Outcome::Unknown,
                    format!("answered, but the answer is not of the promised shape: {}", describe(&error)),
                );
                return self.resume_with_error(number, error);
            }
        };
        let effect = self.effect_mut(number);
        effect.output = Some(output.clone());
        let checked = effect.action.as_ref().is_some_and(|action| action.ensure.is_some());
        match effect.contract.class {
            _ if sabotage::is(if checked { Bug::LieBelieved } else { Bug::AnsweredIsVerified }) => {
                self.settle(number, Outcome::Verified, "it answered".to_owned());
                self.resume_with_output(number, output)
            }
            _ if checked => self.begin_verification(number, false),
            EffectClass::Pure | EffectClass::Read => {
                self.settle(
                    number,
                    Outcome::Verified,
                    "the answer is the outcome: nothing outside changes".to_owned(),
                );
                self.resume_with_output(number, output)
            }
            EffectClass::Idempotent
            | EffectClass::Probeable
            | EffectClass::Compensable
            | EffectClass::Irreversible => {
                self.settle(
                    number,
                    Outcome::Unknown,
                    "it answered, and its contract names no check".to_owned(),
                );
                self.resume_with_output(number, output)
            }
        }
    }

    /// `output` of the action, applied to the raw answer. Answers are untrusted.
    pub(crate) fn action_output(&self, number: EffectNumber, raw: &Value) -> Result<Value, WorkflowError> {
        let effect = self.effect_ref(number);
        if effect.request == Request::Declassify {
            let value = effect.arguments.get("value").cloned().unwrap_or(Value::NULL);
            // Without a person's word it is what it was.
            return Ok(match effect.approved {
                Some(_) => value.with_only_label(Label::APPROVED),
                None => value,
            });
        }
        if let Request::Approval(_) = effect.request {
            return crate::asking::said(effect);
        }
        let raw = raw.with_label_everywhere(Label::EXTERNAL);
        let raw = if sabotage::is(Bug::LabelLost) { raw.with_only_label(Label::DEFINITION) } else { raw };
        let Some(action) = &effect.action else { return Ok(raw) };
        let output = match &action.output.transform {
            Some(template) => {
                let var = action_var(action, &effect.key, None, Some(&effect.arguments));
                self.outer_scope()
                    .with("input", &effect.arguments)
                    .with("action", &var)
                    .fill(template, &raw)?
            }
            None => raw,
        };
        if let Some(schema) = &action.output.schema {
            check_schema(schema, &output, &format!("the answer of `{}`", action.reference))?;
        }
        Ok(output)
    }

    fn failed_for_now(
        &mut self,
        number: EffectNumber,
        error: &WorkflowError,
        retry_after_ms: Option<u64>,
    ) -> Signal {
        let now = self.now;
        let undo = self.effect_ref(number).undo;
        let author_retries = self.effect_ref(number).awaited && !undo && self.author_retries(error);
        let effect = self.effect_mut(number);
        effect.failures += 1;
        let failures = effect.failures;
        if failures <= effect.contract.retries_max && !author_retries && effect.awaited {
            let asked = std::time::Duration::from_millis(retry_after_ms.unwrap_or(0).min(3_600_000));
            effect.phase = Phase::Backoff { until: now.plus(retry_delay(failures).max(asked)) };
            return Signal::Blocked;
        }
        if !undo && (!effect.awaited || self.caught(error)) {
            let outcome = self.outcome_without_yes(number);
            self.settle(number, outcome, format!("failed {failures} times: {}", describe(error)));
            return self.resume_with_error(number, error.clone());
        }
        self.park(number, format!("failed {failures} times: {}", describe(error)), true)
    }

    fn lost(&mut self, number: EffectNumber, error: &WorkflowError) -> Signal {
        let effect = self.effect_ref(number);
        let probe = effect.action.as_ref().is_some_and(|action| action.ensure.is_some());
        if !effect.awaited {
            self.settle(
                number,
                Outcome::Unknown,
                format!("nobody waited any more, and the answer was lost: {}", describe(error)),
            );
            return Signal::Blocked;
        }
        match effect.contract.class {
            EffectClass::Irreversible if sabotage::is(Bug::RetryIrreversible) => {
                self.failed_for_now(number, error, None)
            }
            EffectClass::Probeable if sabotage::is(Bug::ProbeSkipped) => {
                self.failed_for_now(number, error, None)
            }
            EffectClass::Probeable if sabotage::is(Bug::LostIsFailed) => {
                self.settle(number, Outcome::Failed, describe(error));
                self.resume_with_error(number, error.clone())
            }
            EffectClass::Pure | EffectClass::Read | EffectClass::Idempotent => {
                self.failed_for_now(number, error, None)
            }
            EffectClass::Probeable if probe => self.begin_verification(number, true),
            EffectClass::Compensable if effect.armed => {
                let evidence = format!("the answer was lost, so it is undone: {}", describe(error));
                self.settle(number, Outcome::Unknown, evidence);
                self.undone_first(number, error.clone())
            }
            EffectClass::Probeable | EffectClass::Compensable | EffectClass::Irreversible => self.park(
                number,
                format!("the answer was lost, and it cannot be repeated: {}", describe(error)),
                false,
            ),
        }
    }

    /// The gate said no to an effect.
    pub(crate) fn denied(&mut self, number: EffectNumber, error: WorkflowError) -> Signal {
        let evidence = error.detail.clone().unwrap_or_default();
        if let Some(checked) = self.effect_ref(number).probe_of {
            self.settle(number, Outcome::Failed, evidence);
            return self.park(
                checked,
                "its probe is not permitted, so nobody knows whether it is real".to_owned(),
                true,
            );
        }
        if self.effect_ref(number).undo {
            return self.park(number, evidence, true);
        }
        let outcome = self.outcome_without_yes(number);
        self.settle(number, outcome, evidence);
        self.effect_mut(number).phase = Phase::Denied;
        self.resume_with_error(number, error)
    }

    /// The outcome of an effect that no attempt said yes to. One that is repeated without asking may have happened in
    /// an attempt whose answer was lost, whatever the later ones said; any other was asked, or parked, before it went on.
    pub(crate) fn outcome_without_yes(&self, number: EffectNumber) -> Outcome {
        let effect = self.effect_ref(number);
        let lost = effect.attempts.iter().any(|attempt| attempt.answer == Some("lost"));
        if lost && effect.contract.class == EffectClass::Idempotent {
            Outcome::Unknown
        } else {
            Outcome::Failed
        }
    }

    fn last_lost(&self, number: EffectNumber) -> bool {
        self.effect_ref(number).attempts.last().is_some_and(|a| a.answer == Some("lost"))
    }

    /// Safe mode: what the catalogue predicts stands in for an answer.
    pub(crate) fn predicted(&mut self, number: EffectNumber, output: &Value) -> Signal {
        let output = output.with_label_everywhere(Label::EXTERNAL);
        if self.effect_ref(number).undo && !self.predicts_undo() {
            return self.park(number, "safe mode: it was predicted, and nothing was sent".to_owned(), true);
        }
        self.effect_mut(number).output = Some(output.clone());
        self.settle(number, Outcome::Unknown, "safe mode: predicted, nothing was sent".to_owned());
        match self.effect_ref(number).probe_of {
            Some(checked) => self.park(checked, "safe mode: its probe was predicted".to_owned(), true),
            None => self.resume_with_output(number, output),
        }
    }

    pub(crate) fn park(&mut self, number: EffectNumber, reason: String, repeatable: bool) -> Signal {
        let now = self.now;
        let effect = self.effect_mut(number);
        effect.evidence = Some(reason);
        effect.parked_at = Some(now);
        effect.phase = Phase::Parked { repeatable };
        Signal::Blocked
    }

    /// Puts a parked effect back to work: probes what may have happened, repeats what did not.
    pub(crate) fn redrive(&mut self, number: EffectNumber) -> Signal {
        let maybe_happened = self.last_lost(number) || self.effect_ref(number).output.is_some();
        let effect = self.effect_mut(number);
        effect.failures = 0;
        effect.evidence = None;
        let checked = effect.action.as_ref().is_some_and(|action| action.ensure.is_some());
        if maybe_happened && checked {
            let lost = effect.output.is_none();
            return self.begin_verification(number, lost);
        }
        effect.phase = Phase::Requested;
        Signal::Blocked
    }

    pub(crate) fn settle(&mut self, number: EffectNumber, outcome: Outcome, evidence: String) {
        let disarms = outcome == Outcome::Failed
            || (outcome == Outcome::Unknown && sabotage::is(Bug::UndoUnknownSkipped));
        if disarms && self.effect_ref(number).armed {
            self.disarm(number);
        }
        self.settle_armed(number, outcome, evidence);
    }

    /// As [`Execution::settle`]; an effect that is armed stays so, whatever its outcome.
    pub(crate) fn settle_armed(&mut self, number: EffectNumber, outcome: Outcome, evidence: String) {
        let now = self.now;
        let effect = self.effect_mut(number);
        effect.outcome = Some(outcome);
        effect.evidence = Some(evidence);
        effect.settled_at = Some(now);
        effect.phase = Phase::Settled;
        let (counts, armed, awaited) = (effect.probe_of.is_none(), effect.armed, effect.awaited);
        self.open.retain(|n| *n != number);
        self.unknown += u32::from(counts && outcome == Outcome::Unknown);
        // What is armed is kept until it is undone or released.
        if !armed {
            self.effects.over.push(number);
        }
        if !awaited {
            self.poke_unwinding();
        }
    }

    pub(crate) fn resume_with_output(&mut self, number: EffectNumber, output: Value) -> Signal {
        if self.effect_ref(number).undo {
            return self.undo_settled(number);
        }
        if self.waits_for(number) { Signal::Complete(output) } else { Signal::Blocked }
    }

    pub(crate) fn resume_with_error(&mut self, number: EffectNumber, mut error: WorkflowError) -> Signal {
        if self.effect_ref(number).undo {
            return self.undo_settled(number);
        }
        error.instance.get_or_insert_with(|| self.effect_ref(number).task.to_string());
        if self.waits_for(number) { Signal::Raise(error) } else { Signal::Blocked }
    }

    pub(crate) fn waits_for(&self, number: EffectNumber) -> bool {
        self.effect_ref(number).awaited
            && self
                .live
                .top_task()
                .is_some_and(|frame| matches!(frame.doing, Doing::Effect(n) if n == number))
    }

    pub(crate) fn start_attempt(&mut self, number: EffectNumber, attempt: u32, lease: u64, at: Timestamp) {
        let effect = self.effect_mut(number);
        effect.phase = Phase::Started;
        effect.attempts.push(Attempt {
            number: attempt,
            started_at: at,
            lease,
            ended_at: None,
            answer: None,
            error: None,
        });
        if !sabotage::is(Bug::ArmedLate) {
            self.arm_effect(number);
        }
    }
}

/// What is promised about an act: by the catalogue, or by nobody. Nobody looks whether an inline function only reads.
pub(crate) fn contract_of(
    action: Option<&Action>,
    request: &Request,
    function: Option<&str>,
) -> Arc<Contract> {
    match (action, request) {
        (Some(action), _) => Arc::new(action.contract.clone()),
        (None, _) if function.is_some() => Arc::new(Contract::unreviewed(EffectKind::Write)),
        // Whatever it says that it does, it reaches nothing that lasts.
        (None, request) if request.is_program() => Arc::clone(&SANDBOXED.contract),
        (None, Request::Process(_)) => Arc::clone(&SANDBOXED.contract),
        (None, Request::Declassify | Request::Approval(_)) => Arc::new(Contract::declassify()),
        (None, Request::Workflow(workflow)) => Arc::new(Contract::execution(workflow.waits)),
        (None, Request::Unwind(_)) => Arc::new(Contract::execution(false)),
        (None, Request::Http(http)) => Arc::new(Contract::unreviewed(kind_of_method(&http.method))),
        // Nobody promised that it only looks.
        (None, Request::Grpc(_)) => Arc::new(Contract::unreviewed(EffectKind::Write)),
        (None, Request::Stream(stream)) => Arc::new(Contract::unreviewed(match stream.take {
            Some(_) => EffectKind::Read,
            None => EffectKind::Write,
        })),
        (None, Request::Rpc(call)) => Arc::new(Contract::unreviewed(match call.is_read() {
            true => EffectKind::Read,
            false => EffectKind::Write,
        })),
    }
}

/// `$action` in the expressions of an action document.
pub(crate) fn action_var(
    action: &Action,
    key: &str,
    output: Option<&Value>,
    arguments: Option<&Value>,
) -> Value {
    let mut members = vec![
        ("key", Value::string(key)),
        ("name", Value::string(&action.reference.name)),
        ("version", Value::string(&action.reference.version)),
        ("output", output.cloned().unwrap_or(Value::NULL)),
    ];
    if let Some(arguments) = arguments {
        members.push(("arguments", arguments.clone()));
    }
    Value::object(members)
}

fn kind_of_method(method: &str) -> EffectKind {
    match method {
        "GET" | "HEAD" | "OPTIONS" => EffectKind::Read,
        "DELETE" => EffectKind::Delete,
        _ => EffectKind::Write,
    }
}

pub(crate) fn describe(error: &WorkflowError) -> String {
    let title = error.title.as_deref().unwrap_or(&error.kind);
    match &error.detail {
        Some(detail) => format!("{title} ({}): {detail}", error.status),
        None => format!("{title} ({})", error.status),
    }
}
