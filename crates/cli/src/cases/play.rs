//! Plays one case: the engine decides, the case answers, time jumps to whatever happens next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Effect, End, Execution, Input, Judgement, Phase, Signalled};
use model::effect::{Answer, EffectNumber};
use model::event::{ApprovalDecision, Awaited, Event, Mode, Started};
use model::family::{ChildAnswer, ChildStatus, Family, Origins};
use model::id::{ApprovalId, PermitId};
use model::principal::PrincipalKind;
use model::problem::WorkflowError;
use model::verdict::{Decision as Verdicts, Quorum, Risk, RiskLevel, Verdict};
use model::{Digest, ExecutionId, Label, Outcome, PrincipalId, Request, TenantId, Timestamp, Value};
use serde_json::Value as Json;

use super::Stage;
use super::file::{About, Case, Decision, Refusal};

/// Steps of one case at the most: what goes on longer never comes to rest.
const STEPS_MAX: usize = 100_000;
/// People have this long before silence means no.
const SILENCE: Duration = Duration::from_secs(3600);
/// When cases begin that do not say when: 2026-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp(1_767_225_600_000);

/// How a case went.
pub(crate) struct Played {
    /// In the language's words.
    pub status: &'static str,
    pub outcome: Option<Outcome>,
    pub output: Option<Json>,
    pub error: Option<Json>,
    /// What it waits for, when it has not ended.
    pub blocked: Option<String>,
    /// Names of the tasks that ran, in order of start.
    pub ran: Vec<String>,
    pub effects: Vec<Effect>,
    pub published: Vec<Json>,
    pub took: Duration,
}

/// Plays a case; the error says why it could not be played to its end.
pub(crate) fn play(stage: &Stage, case: &Case) -> Result<Played, String> {
    let mut player = Player::start(stage, case)?;
    player.run()?;
    player.played()
}

/// What happens at a moment.
enum Happening {
    Answer {
        effect: EffectNumber,
        attempt: u32,
        answer: Answer,
    },
    Decision {
        effect: EffectNumber,
        approval: ApprovalId,
        decision: ApprovalDecision,
        by: PrincipalId,
        reason: String,
        answer: Option<Value>,
    },
    Arrival(Box<Signalled>),
}

struct Player<'c> {
    stage: &'c Stage,
    case: &'c Case,
    state: Execution,
    events: Vec<Event>,
    begun: Timestamp,
    now: Timestamp,
    /// How often each answer was given.
    used: Vec<u32>,
    /// What is to come, by moment and order.
    coming: BTreeMap<(Timestamp, u64), Happening>,
    counted: u64,
    published: Vec<Json>,
}

impl<'c> Player<'c> {
    fn start(stage: &'c Stage, case: &'c Case) -> Result<Self, String> {
        let now = match &case.at {
            Some(text) => Timestamp::parse(text).ok_or_else(|| {
                format!("`at`: `{text}` is not a moment; write for example `2026-01-01T00:00:00Z`")
            })?,
            None => BEGIN,
        };
        let definition = &stage.definition;
        let after = match &definition.timeout {
            Some(dsl::template::Template::Constant(value)) => Some(dsl::duration::of(value)?),
            Some(_) | None => None,
        };
        let input = case.input.clone().unwrap_or_else(|| serde_json::json!({}));
        let started = Started {
            execution: ExecutionId::new("case").map_err(|error| error.to_string())?,
            tenant: TenantId::new("case").map_err(|error| error.to_string())?,
            namespace: definition.namespace.clone(),
            name: definition.name.clone(),
            version: definition.version.clone(),
            definition: definition.digest,
            plan: Digest::of(b"case"),
            input: Value::from_json(&input, Label::CALLER),
            input_blob: None,
            input_label: Label::CALLER,
            requester: who(None)?,
            requester_kind: PrincipalKind::User,
            requester_roles: Default::default(),
            mode: Mode::Live,
            intent: None,
            signed: None,
            deadline: after.map(|after| now.plus(after)),
            placing: Default::default(),
            scheduled: None,
            origin: None,
            family: Family { latest: stage.latest.clone(), ..Family::default() },
        };
        let (state, step) = Execution::start(Arc::clone(definition), started, now);
        let published = state.emitted_since(0).map(Value::to_json).collect();
        let mut player = Self {
            stage,
            case,
            state,
            events: step.events,
            begun: now,
            now,
            used: vec![0; case.answers.len()],
            coming: BTreeMap::new(),
            counted: 0,
            published,
        };
        player.arrivals()?;
        Ok(player)
    }

    fn arrivals(&mut self) -> Result<(), String> {
        for (position, arrival) in self.case.arrives.iter().enumerate() {
            let mut attributes = arrival.event.clone();
            let data = match &mut attributes {
                Some(attributes) => attributes.remove("data").unwrap_or(Json::Null),
                None => arrival.data.clone(),
            };
            let text =
                |name: &str| attributes.as_ref().and_then(|event| event.get(name)).and_then(Json::as_str);
            let id = match &attributes {
                Some(_) => format!(
                    "{}|{}",
                    text("source").unwrap_or_default(),
                    text("id").map_or_else(|| position.to_string(), str::to_owned)
                ),
                None => position.to_string(),
            };
            let name = arrival
                .signal
                .as_deref()
                .or_else(|| text("type"))
                .ok_or("an event needs a `type`")?
                .to_owned();
            let signal = Signalled {
                id,
                name,
                data: Value::from_json(&data, Label::EXTERNAL),
                label: Label::EXTERNAL,
                by: who(None)?,
                attributes: attributes.map(|event| Value::from_json(&Json::Object(event), Label::EXTERNAL)),
            };
            let at = self.begun.plus(span(arrival.after.as_deref())?);
            self.comes(at, Happening::Arrival(Box::new(signal)));
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), String> {
        for _ in 0..STEPS_MAX {
            while let Some(number) = self.state.requested().first().copied() {
                self.judge(number)?;
            }
            if self.state.end.is_some() {
                return Ok(());
            }
            let wake = self.state.next_wakeup().map(|(at, _)| at);
            let next = self.coming.first_key_value().map(|((at, _), _)| *at);
            match (next, wake) {
                (None, None) => return Ok(()),
                (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => {
                    self.now = self.now.max(at);
                    if let Some((_, happening)) = self.coming.pop_first() {
                        self.happens(happening)?;
                    }
                }
                (_, Some(at)) => {
                    self.now = self.now.max(at);
                    self.give(Input::Wake)?;
                }
                (Some(_), None) => {}
            }
        }
        Err(format!("after {STEPS_MAX} steps it has not come to rest"))
    }

    fn judge(&mut self, number: EffectNumber) -> Result<(), String> {
        let effect = self.effect(number)?.clone();
        let asked = self.case.approvals.iter().find(|approval| self.fits(&approval.about(), &effect));
        let (digest, verdict) = (effect.digest, |decision| verdict(decision));
        let judgement = match asked {
            Some(approval) if approval.decision == Decision::Denied => {
                Judgement::Deny { digest, verdict: verdict(Verdicts::Deny) }
            }
            Some(approval) if effect.approved.is_none() => {
                self.counted += 1;
                let id = ApprovalId::new(format!("approval-{}", self.counted))
                    .map_err(|error| error.to_string())?;
                let silence = match &effect.request {
                    Request::Approval(asked) => Duration::from_millis(asked.deadline_ms),
                    _ => SILENCE,
                };
                let awaited = Awaited { id: id.clone(), expires_at: self.now.plus(silence) };
                let decision = match approval.decision {
                    Decision::Approved => Some(ApprovalDecision::Approved),
                    Decision::Rejected => Some(ApprovalDecision::Rejected),
                    Decision::Expired | Decision::Denied => None,
                };
                if let Some(decision) = decision {
                    let at = self.now.plus(span(approval.takes.as_deref())?);
                    let (by, reason) =
                        (who(approval.by.as_deref())?, approval.reason.clone().unwrap_or_default());
                    let answer =
                        approval.answer.as_ref().map(|answer| Value::from_json(answer, Label::CALLER));
                    if decision == ApprovalDecision::Approved {
                        self.state
                            .check_answer(number, answer.as_ref())
                            .map_err(|why| self.unanswered(&effect, &format!("`approvals`: {why}")))?;
                    }
                    self.comes(
                        at,
                        Happening::Decision { effect: number, approval: id, decision, by, reason, answer },
                    );
                }
                let one = Quorum { approvers: 1, roles: vec!["operator".to_owned()] };
                Judgement::Ask { digest, verdict: verdict(Verdicts::RequireApproval(one)), awaited }
            }
            Some(_) => self.permit(digest)?,
            None if effect.function.is_some()
                || matches!(effect.request, Request::Declassify | Request::Approval(_)) =>
            {
                return Err(self.unanswered(
                    &effect,
                    "people are always asked about it, and `approvals` has no entry for it",
                ));
            }
            None => self.permit(digest)?,
        };
        let permitted = matches!(judgement, Judgement::Permit { .. });
        self.give(Input::Judged(number, judgement))?;
        if permitted { self.send(number) } else { Ok(()) }
    }

    fn permit(&mut self, digest: Digest) -> Result<Judgement, String> {
        self.counted += 1;
        let permit = PermitId::new(format!("permit-{}", self.counted)).map_err(|error| error.to_string())?;
        Ok(Judgement::Permit {
            digest,
            verdict: verdict(Verdicts::Allow),
            permit,
            epoch: 0,
            lease: 0,
            entry: None,
        })
    }

    /// Finds what the outside will answer.
    fn send(&mut self, number: EffectNumber) -> Result<(), String> {
        let Some(effect) = self.state.effect(number).filter(|effect| effect.phase == Phase::Started).cloned()
        else {
            return Ok(());
        };
        let attempt = effect.attempts.last().map_or(1, |attempt| attempt.number);
        if matches!(effect.request, Request::Declassify | Request::Approval(_)) {
            let answer = Answer::Done { output: Value::NULL };
            self.comes(self.now, Happening::Answer { effect: number, attempt, answer });
            return Ok(());
        }
        let found = self.case.answers.iter().enumerate().find(|(position, answer)| {
            answer.times.is_none_or(|times| self.used[*position] < times)
                && self.fits(&answer.about(), &effect)
        });
        let Some((position, answer)) = found else {
            return Err(self.unanswered(&effect, "`answers` has no entry for it"));
        };
        self.used[position] += 1;
        let at = self.now.plus(span(answer.takes.as_deref())?);
        let answer = match (&answer.output, &answer.error) {
            (Some(output), _) => self.done(&effect, output),
            (None, Some(refusal)) => self.refused(&effect, refusal),
            (None, None) => Answer::Lost {
                error: WorkflowError::governed(
                    "lost",
                    504,
                    "Answer Lost",
                    "the case says that no answer came",
                ),
            },
        };
        self.comes(at, Happening::Answer { effect: number, attempt, answer });
        Ok(())
    }

    fn done(&self, effect: &Effect, output: &Json) -> Answer {
        let output = Value::from_json(output, Label::EXTERNAL);
        match &effect.request {
            Request::Workflow(child) if child.waits => {
                self.child(effect, ChildStatus::Completed, Some(output), None)
            }
            Request::Workflow(_) => self.child(effect, ChildStatus::Started, None, None),
            Request::Unwind(_) => self.child(effect, ChildStatus::Undone, Some(output), None),
            Request::Http(_)
            | Request::Process(_)
            | Request::Declassify
            | Request::Approval(_)
            | Request::Grpc(_)
            | Request::Stream(_)
            | Request::Rpc(_) => Answer::Done { output },
        }
    }

    fn refused(&self, effect: &Effect, refusal: &Refusal) -> Answer {
        let standard = WorkflowError::standard(
            "communication",
            refusal.status,
            "Communication Error",
            "the case says no",
        );
        let error = WorkflowError {
            kind: refusal.kind.clone().unwrap_or(standard.kind),
            status: refusal.status,
            title: refusal.title.clone().or(standard.title),
            detail: refusal.detail.clone().or(standard.detail),
            instance: None,
        };
        if effect.request.is_execution() {
            return self.child(effect, ChildStatus::Faulted, None, Some(error));
        }
        let transient = refusal.transient.unwrap_or(matches!(refusal.status, 408 | 425 | 429 | 503));
        Answer::Refused { error, transient, retry_after_ms: None }
    }

    fn child(
        &self,
        effect: &Effect,
        status: ChildStatus,
        output: Option<Value>,
        error: Option<WorkflowError>,
    ) -> Answer {
        let execution = self.state.execution_of(effect).unwrap_or_else(|| self.state.child_of(effect.number));
        let outcome = if error.is_some() { Outcome::Failed } else { Outcome::Verified };
        let origins = Origins::default();
        Answer::Child(Box::new(ChildAnswer {
            execution,
            status,
            outcome,
            output,
            output_blob: None,
            origins,
            error,
        }))
    }

    fn happens(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Answer { effect, attempt, answer } => {
                self.give(Input::Answered { effect, attempt, answer })
            }
            Happening::Decision { effect, approval, decision, by, reason, answer } => {
                self.give(Input::Decided { effect, approval, decision, by, reason, answer })
            }
            Happening::Arrival(signal) => self.give(Input::Signal(*signal)),
        }
    }

    /// What comes too late for anything changes nothing, as outside.
    fn give(&mut self, input: Input) -> Result<(), String> {
        let before = self.state.version;
        let late = matches!(input, Input::Answered { .. } | Input::Decided { .. } | Input::Signal(_));
        match engine::step(&mut self.state, input, self.now) {
            Ok(step) => {
                self.events.extend(step.events);
                self.published.extend(self.state.emitted_since(before).map(Value::to_json));
                Ok(())
            }
            Err(engine::Rejected::InboxFull) => Err("its inbox is full".to_owned()),
            Err(_) if late => Ok(()),
            Err(rejected) => Err(format!("the engine does not take it: {rejected}")),
        }
    }

    fn comes(&mut self, at: Timestamp, happening: Happening) {
        self.counted += 1;
        self.coming.insert((at, self.counted), happening);
    }

    fn effect(&self, number: EffectNumber) -> Result<&Effect, String> {
        self.state.effect(number).ok_or_else(|| format!("there is no effect {}", number.0))
    }

    fn fits(&self, about: &About, effect: &Effect) -> bool {
        about.effect.as_deref().is_none_or(|operation| operation == effect.operation)
            && about.task.as_deref().is_none_or(|task| is_task(task, &effect.task))
            && about.arguments.as_ref().is_none_or(|wanted| {
                let arguments = effect.arguments.to_json();
                wanted.iter().all(|(name, value)| {
                    arguments.get(name).is_some_and(|found| super::compare::same(value, found))
                })
            })
    }

    fn unanswered(&self, effect: &Effect, why: &str) -> String {
        format!(
            "effect {}, `{}` of the task `{}` with {}: {why}",
            effect.number.0,
            effect.operation,
            effect.task,
            effect.arguments.to_json()
        )
    }

    /// The history is replayed from its beginning, with every task and every effect in sight; it must end where it ended.
    fn played(self) -> Result<Played, String> {
        let replayed = Execution::replay(Arc::clone(&self.stage.definition), &self.events, true)
            .ok_or("the history does not begin")?;
        if replayed.status() != self.state.status() || replayed.end != self.state.end {
            return Err("a replay of the history ends elsewhere; this is a mistake of the engine".to_owned());
        }
        let trace = replayed.trace.as_deref().unwrap_or_default();
        let ran = trace.iter().filter(|entry| entry.status != engine::TaskStatus::Skipped);
        let (output, error) = match &replayed.end {
            Some(End::Completed(output)) => (Some(output.to_json()), None),
            Some(End::Faulted(error)) => (None, serde_json::to_value(error).ok()),
            Some(End::Cancelled(_)) | None => (None, None),
        };
        let ended_at = self.events.last().map_or(self.begun, |event| event.at);
        let stands = replayed.stands();
        let blocked = stands.first().map(|stand| format!("in the {} task `{}`", stand.kind, stand.name));
        Ok(Played {
            status: replayed.status().name(),
            outcome: replayed.outcome(),
            output,
            error,
            blocked,
            ran: ran.map(|entry| entry.name.to_string()).collect(),
            effects: replayed.effects.iter().cloned().collect(),
            published: self.published,
            took: ended_at.since(self.begun),
        })
    }
}

/// A task by its name or its pointer.
pub(super) fn is_task(wanted: &str, pointer: &str) -> bool {
    wanted == pointer
        || pointer.rsplit('/').next().is_some_and(|name| name.replace("~1", "/").replace("~0", "~") == wanted)
}

fn verdict(decision: Verdicts) -> Arc<Verdict> {
    let risk = Risk { score: 0, level: RiskLevel::Low, factors: Vec::new() };
    Arc::new(Verdict { decision, reasons: Vec::new(), policy: Digest::of(b"case"), risk })
}

fn who(name: Option<&str>) -> Result<PrincipalId, String> {
    PrincipalId::new(name.unwrap_or("user:somebody")).map_err(|error| error.to_string())
}

fn span(text: Option<&str>) -> Result<Duration, String> {
    match text {
        Some(text) => dsl::duration::of(&Value::string(text)).map_err(|why| format!("`{text}`: {why}")),
        None => Ok(Duration::ZERO),
    }
}
