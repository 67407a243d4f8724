//! Effects: how they are requested, answered, checked, repeated, parked and settled.
//!
//! What a lost answer means is decided by the effect class alone: `pure`, `read` and `idempotent` are repeated,
//! `probeable` is asked whether it happened, anything else waits for a human.

use std::sync::Arc;

use dsl::plan::{Action, Work};
use model::action::{ActionRef, Contract, EffectClass, EffectKind};
use model::effect::{Answer, EffectNumber, retry_delay};
use model::problem::WorkflowError;
use model::{Digest, Label, Outcome, Request, Timestamp, Value};
use serde::Serialize;

use crate::EFFECTS_MAX;
use crate::arguments::{inline_arguments, inline_edited, relabelled};
use crate::flow::Signal;
use crate::request;
use crate::scope::check_schema;
use crate::state::{Attempt, Doing, Effect, Execution, Phase};

/// What a permit is bound to, besides the policy that the gate adds.
#[derive(Serialize)]
struct Bound<'a> {
    tenant: &'a str,
    execution: &'a str,
    task: &'a str,
    operation: &'a str,
    arguments: &'a Value,
    request: &'a Request,
    target: String,
    contract: &'a Contract,
    plan: &'a Digest,
}

impl Execution {
    /// Requests a catalogued action for the task on top (or as a probe of an effect).
    pub(crate) fn begin_action(
        &mut self,
        reference: &ActionRef,
        arguments: Value,
        probe_of: Option<EffectNumber>,
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
        let task = match probe_of {
            Some(number) => Arc::clone(&self.effect_ref(number).task),
            None => self.top_pointer(),
        };
        let key = self.key_of(action, &arguments, &task, probe_of)?;
        let request = self.action_request(action, &arguments, &key)?;
        self.push_effect(
            task,
            action.reference.to_string(),
            Some(Arc::clone(action)),
            arguments,
            request,
            key,
            probe_of,
        )
    }

    /// Requests an act that is written in the definition itself.
    pub(crate) fn request_inline(&mut self, work: &Work, input: &Value) -> Result<(), WorkflowError> {
        let task = self.top_pointer();
        let request = request::build(work, input, &self.scope(input), None)?;
        let key = self.default_key(&task);
        let operation = match &request {
            Request::Http(http) => format!("http:{}", http.method),
            Request::Process(process) => match &process.program {
                model::effect::Program::Shell { .. } => "run:shell".to_owned(),
                model::effect::Program::Script { language, .. } => format!("run:{language}"),
            },
        };
        let arguments = request::labelled(work, input, &self.scope(input), &inline_arguments(&request));
        self.push_effect(task, operation, None, arguments, request, key, None)?;
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one place makes effects; a struct would repeat the effect's own members"
    )]
    fn push_effect(
        &mut self,
        task: Arc<str>,
        operation: String,
        action: Option<Arc<Action>>,
        arguments: Value,
        request: Request,
        key: String,
        probe_of: Option<EffectNumber>,
    ) -> Result<Signal, WorkflowError> {
        let number = EffectNumber(self.effects.requested().saturating_add(1));
        if number.0 > EFFECTS_MAX {
            return Err(WorkflowError::standard(
                "runtime",
                500,
                "Budget Spent",
                format!("more than {EFFECTS_MAX} effects"),
            ));
        }
        let contract = contract_of(action.as_deref(), &request);
        let digest = self.digest_for(&task, &operation, &arguments, &request, &contract);
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
            edited_by: None,
        });
        self.open.push(number);
        if probe_of.is_none() {
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
        contract: &Contract,
    ) -> Digest {
        model::digest_of(&Bound {
            tenant: self.started.tenant.as_str(),
            execution: self.started.execution.as_str(),
            task,
            operation,
            arguments,
            request,
            target: request.target(),
            contract,
            plan: &self.started.plan,
        })
    }

    /// The concrete act of an action with these arguments.
    fn action_request(
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

    fn key_of(
        &self,
        action: &Action,
        arguments: &Value,
        task: &str,
        probe_of: Option<EffectNumber>,
    ) -> Result<String, WorkflowError> {
        match (&action.key, probe_of) {
            (Some(expr), _) => {
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
            (None, Some(number)) => Ok(format!("{}/probe", self.effect_ref(number).key)),
            (None, None) => Ok(self.default_key(task)),
        }
    }

    /// Hash of execution, task, and how often the flow came here. Retries of a `try` come with the same count.
    fn default_key(&self, task: &str) -> String {
        let visit = self.visits.get(task).copied().unwrap_or(0);
        let digest = Digest::of(
            format!("{}|{}|{task}|{visit}", self.started.tenant, self.started.execution).as_bytes(),
        );
        // 128 bits: two effects with one key would be one effect to the outside.
        format!("{:032x}-{visit}", u128::from_be_bytes(digest.0[..16].try_into().unwrap_or_default()))
    }

    fn top_pointer(&self) -> Arc<str> {
        self.top_task().map_or_else(|| Arc::from("/do"), |frame| Arc::clone(&frame.task.pointer))
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
            Some(_) if effect.attempts.is_empty() => {
                self.key_of(action, &arguments, &effect.task, effect.probe_of)?
            }
            _ => effect.key.clone(),
        };
        Ok((self.action_request(action, &arguments, &key)?, arguments, key))
    }

    /// An attempt ended.
    pub(crate) fn answered(&mut self, number: EffectNumber, attempt: u32, answer: &Answer) -> Signal {
        let now = self.now;
        let effect = self.effect_mut(number);
        if let Some(entry) = effect.attempts.iter_mut().find(|a| a.number == attempt) {
            entry.ended_at = Some(now);
            entry.answer = Some(match answer {
                Answer::Done { .. } | Answer::Stored { .. } => "done",
                Answer::Refused { .. } => "refused",
                Answer::Lost { .. } => "lost",
            });
            entry.error = match answer {
                Answer::Done { .. } | Answer::Stored { .. } => None,
                Answer::Refused { error, .. } | Answer::Lost { error } => Some(error.clone()),
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
                let outcome = self.outcome_without_yes(number);
                self.settle(number, outcome, evidence);
                self.resume_with_error(number, error.clone())
            }
            Answer::Lost { error } => self.lost(number, error),
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
        let raw = raw.with_label_everywhere(Label::EXTERNAL);
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
        let author_retries = self.effect_ref(number).awaited && self.author_retries(error);
        let effect = self.effect_mut(number);
        effect.failures += 1;
        let failures = effect.failures;
        if failures <= effect.contract.retries_max && !author_retries && effect.awaited {
            let asked = std::time::Duration::from_millis(retry_after_ms.unwrap_or(0).min(3_600_000));
            effect.phase = Phase::Backoff { until: now.plus(retry_delay(failures).max(asked)) };
            return Signal::Blocked;
        }
        if !effect.awaited || self.caught(error) {
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
            EffectClass::Pure | EffectClass::Read | EffectClass::Idempotent => {
                self.failed_for_now(number, error, None)
            }
            EffectClass::Probeable if probe => self.begin_verification(number, true),
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
        let outcome = self.outcome_without_yes(number);
        self.settle(number, outcome, evidence);
        self.effect_mut(number).phase = Phase::Denied;
        self.resume_with_error(number, error)
    }

    /// The outcome of an effect that no attempt said yes to. One that is repeated without asking may have happened in
    /// an attempt whose answer was lost, whatever the later ones said; any other was asked, or parked, before it went on.
    fn outcome_without_yes(&self, number: EffectNumber) -> Outcome {
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
        let now = self.now;
        let effect = self.effect_mut(number);
        effect.outcome = Some(outcome);
        effect.evidence = Some(evidence);
        effect.settled_at = Some(now);
        effect.phase = Phase::Settled;
        let probe_of = effect.probe_of;
        self.open.retain(|n| *n != number);
        self.unknown |= probe_of.is_none() && outcome == Outcome::Unknown;
        self.effects.over.push(number);
    }

    /// The flow no longer waits for the effects of the frames from `position` on.
    pub(crate) fn abandon_above(&mut self, position: usize) {
        let numbers: Vec<EffectNumber> = self.stack[position..]
            .iter()
            .filter_map(|frame| match frame {
                crate::state::Frame::Task(task) => match task.doing {
                    Doing::Effect(number) => Some(number),
                    _ => None,
                },
                crate::state::Frame::List(_) => None,
            })
            .collect();
        for number in numbers {
            self.abandon(number);
        }
    }

    /// Gives up on an effect: what was never sent has failed, what is under way is unknown until it answers.
    pub(crate) fn abandon(&mut self, number: EffectNumber) {
        let probes: Vec<EffectNumber> =
            self.open.iter().copied().filter(|n| self.effect_ref(*n).probe_of == Some(number)).collect();
        for probe in probes {
            self.settle(probe, Outcome::Failed, "no longer needed".to_owned());
        }
        let effect = self.effect_ref(number);
        let reads = matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read);
        let answered = |answer| effect.attempts.iter().any(|attempt| attempt.answer == Some(answer));
        let (outcome, evidence) = match &effect.phase {
            Phase::Settled | Phase::Denied => (None, ""),
            Phase::Started if !reads => (Some(Outcome::Unknown), "given up while it was under way"),
            Phase::Verifying(_) if !reads => {
                (Some(Outcome::Unknown), "given up before its outcome was known")
            }
            Phase::Parked { .. } if !reads && (answered("done") || answered("lost")) => {
                (Some(Outcome::Unknown), "given up before its outcome was known")
            }
            _ => match self.outcome_without_yes(number) {
                Outcome::Failed => (Some(Outcome::Failed), "given up before it happened"),
                outcome => (Some(outcome), "given up after an answer was lost"),
            },
        };
        if let Some(outcome) = outcome {
            self.settle(number, outcome, evidence.to_owned());
        }
        self.effect_mut(number).awaited = false;
    }

    pub(crate) fn resume_with_output(&mut self, number: EffectNumber, output: Value) -> Signal {
        if self.waits_for(number) { Signal::Complete(output) } else { Signal::Blocked }
    }

    pub(crate) fn resume_with_error(&mut self, number: EffectNumber, mut error: WorkflowError) -> Signal {
        error.instance.get_or_insert_with(|| self.effect_ref(number).task.to_string());
        if self.waits_for(number) { Signal::Raise(error) } else { Signal::Blocked }
    }

    fn waits_for(&self, number: EffectNumber) -> bool {
        self.effect_ref(number).awaited
            && self.top_task().is_some_and(|frame| matches!(frame.doing, Doing::Effect(n) if n == number))
    }

    pub(crate) fn start_attempt(&mut self, number: EffectNumber, attempt: u32, at: Timestamp) {
        let effect = self.effect_mut(number);
        effect.phase = Phase::Started;
        effect.attempts.push(Attempt {
            number: attempt,
            started_at: at,
            ended_at: None,
            answer: None,
            error: None,
        });
    }
}

/// What is promised about an act: by the catalogue, or by nobody.
pub(crate) fn contract_of(action: Option<&Action>, request: &Request) -> Arc<Contract> {
    Arc::new(match (action, request) {
        (Some(action), _) => action.contract.clone(),
        (None, Request::Process(_)) => Contract::sandboxed(),
        (None, Request::Http(http)) => Contract::unreviewed(kind_of_method(&http.method)),
    })
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
