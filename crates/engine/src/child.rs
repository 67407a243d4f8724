//! Workflows that run other workflows.
//!
//! The other one is an execution of its own. Here it is an effect: requested, judged and permitted like any other, and
//! armed before it begins. Nothing is sent for it: the shell begins the execution whose id follows from this one's and the
//! number of the effect, and its end comes back as an answer. An execution that completed keeps what it has armed, so that
//! it can undo itself as a whole; that too is an effect of the one that runs it.

use std::sync::Arc;

use dsl::plan::ChildWork;
use model::effect::{EffectNumber, UnwindRequest, WorkflowRequest};
use model::event::EventBody;
use model::family::{Ancestor, ChildAnswer, ChildStatus, Parent};
use model::problem::WorkflowError;
use model::{Digest, ExecutionId, Outcome, Request, Value};

use crate::decide::Rejected;
use crate::effects::{Purpose, describe};
use crate::flow::Signal;
use crate::state::{Effect, End, Execution, Phase};
use crate::thread::{Course, ThreadId};
use crate::unwind::After;
use crate::{CHILDREN_MAX, FAMILY_DEPTH_MAX};

impl Execution {
    /// `run: workflow`
    pub(crate) fn begin_child(&mut self, child: &ChildWork, input: &Value) -> Result<Signal, WorkflowError> {
        let name = format!("{}/{}", child.namespace, child.name);
        if self.callers().len() >= FAMILY_DEPTH_MAX {
            let detail = format!(
                "`{name}` would be execution {} of which each runs the next: does a workflow run itself for ever?",
                FAMILY_DEPTH_MAX + 1
            );
            return Err(WorkflowError::governed("too-deep", 400, "Too Many Levels", detail));
        }
        if self.children >= CHILDREN_MAX {
            let detail =
                format!("one execution runs at most {CHILDREN_MAX} others: let one between them run some");
            return Err(WorkflowError::governed("too-many-children", 400, "Too Many Executions", detail));
        }
        let latest = || self.started.family.latest.get(&name).cloned();
        let Some(version) = child.version.clone().or_else(latest) else {
            let detail = format!("no version of `{name}` was published when this execution began");
            return Err(WorkflowError::standard("configuration", 404, "Configuration Error", detail));
        };
        let given = match &child.input {
            Some(template) => self.scope(input).fill(template, input)?,
            None => Value::object::<&str>([]),
        };
        self.children += 1;
        let workflow = WorkflowRequest {
            namespace: child.namespace.clone(),
            name: child.name.clone(),
            version,
            waits: child.waits,
        };
        let arguments = Value::object([("workflow", workflow_value(&workflow)), ("input", given)]);
        let task = self.top_pointer();
        let key = self.default_key(&task);
        let operation = format!("workflow:{}", reference(&workflow));
        self.push_effect(task, operation, None, arguments, Request::Workflow(workflow), key, Purpose::Task)
    }

    /// Everybody of whom each runs the next, the root first, this execution last.
    pub fn callers(&self) -> Vec<Ancestor> {
        let started = &self.started;
        let above = started.family.parent.as_ref().map(|parent| parent.callers.clone()).unwrap_or_default();
        let own = Ancestor {
            execution: started.execution.clone(),
            workflow: format!("{}/{}:{}", started.namespace, started.name, started.version),
        };
        above.into_iter().chain([own]).collect()
    }

    /// The execution that an effect of this one is. It follows from this execution and the number of the effect, which is
    /// never used again: however often it is begun, there is one.
    pub fn child_of(&self, effect: EffectNumber) -> ExecutionId {
        let started = &self.started;
        let seed = format!("child|{}|{}|{}", started.tenant, started.execution, effect.0);
        ExecutionId::derived(self.started_at, &Digest::of(seed.as_bytes()))
    }

    /// The execution that an effect of this one stands for; none when it is no execution.
    pub fn execution_of(&self, effect: &Effect) -> Option<ExecutionId> {
        match (&effect.request, &effect.reused) {
            (Request::Unwind(unwind), _) => Some(unwind.execution.clone()),
            // What stands in for an effect behind a point is the execution that that one was.
            (Request::Workflow(_), Some((of, None))) => Some(self.child_of(*of)),
            (Request::Workflow(_), None) => Some(self.child_of(effect.number)),
            // Another execution ran it, and undoes it.
            _ => None,
        }
    }

    /// What the execution of an effect is told about the one that runs it.
    pub fn parent_of(&self, effect: &Effect) -> Option<Parent> {
        let Request::Workflow(workflow) = &effect.request else { return None };
        Some(Parent {
            execution: self.started.execution.clone(),
            effect: effect.number,
            waits: workflow.waits,
            callers: self.callers(),
            editor: effect.edited_by.clone(),
        })
    }

    /// What an execution that has ended tells the one that waits for it; none before its end.
    pub fn child_answer(&self) -> Option<ChildAnswer> {
        let end = self.end.as_ref()?;
        let outcome = self.outcome()?;
        let answer = |status, outcome, output: Option<Value>, error| ChildAnswer {
            execution: self.started.execution.clone(),
            status,
            outcome,
            origins: output.as_ref().map(model::family::Origins::of).unwrap_or_default(),
            output,
            output_blob: None,
            error,
        };
        if self.undo_for.is_some() {
            let whole = self.unknown == 0 && self.undone.iter().all(|item| item.outcome == Outcome::Verified);
            let outcome = if whole { Outcome::Verified } else { Outcome::Unknown };
            return Some(answer(ChildStatus::Undone, outcome, None, None));
        }
        Some(match end {
            End::Completed(output) => answer(ChildStatus::Completed, outcome, Some(output.clone()), None),
            End::Faulted(error) => answer(ChildStatus::Faulted, outcome, None, Some(error.clone())),
            End::Cancelled(reason) => {
                let detail = format!("execution `{}` was cancelled: {reason}", self.started.execution);
                let error = WorkflowError::governed("cancelled", 409, "Cancelled", detail);
                answer(ChildStatus::Cancelled, outcome, None, Some(error))
            }
        })
    }

    /// The effect of the parent to which this execution tells its end, or told its last one.
    pub fn tells(&self) -> Option<EffectNumber> {
        let parent = self.started.family.parent.as_ref().filter(|parent| parent.waits)?;
        Some(self.undo_for.unwrap_or(parent.effect))
    }

    /// Another execution told how it ended.
    pub(crate) fn child_answered(&mut self, number: EffectNumber, end: &ChildAnswer) -> Signal {
        let who = format!("execution `{}`", end.execution);
        let output = end.labelled_output();
        let error = || {
            let missing =
                || WorkflowError::governed("lost", 504, "Answer Lost", format!("{who} told no error"));
            end.error.clone().unwrap_or_else(missing)
        };
        match (end.status, self.effect_ref(number).undo) {
            (ChildStatus::Undone, true) => {
                let evidence = match end.outcome {
                    Outcome::Verified => format!("{who} undid everything that it had armed"),
                    Outcome::Unknown | Outcome::Failed => {
                        format!("{who} undid what it had armed, and not every undo could be checked")
                    }
                };
                self.settle(number, end.outcome, evidence);
                self.undo_settled(number)
            }
            (_, true) => self.park(number, format!("{who} {} instead of undoing", end.status.name()), true),
            (ChildStatus::Started, false) => {
                self.effect_mut(number).output = Some(output.clone());
                self.settle(number, Outcome::Verified, format!("{who} began; nobody waits for its end"));
                self.resume_with_output(number, output)
            }
            (ChildStatus::Completed, false) => {
                self.effect_mut(number).output = Some(output.clone());
                self.refuted |= end.outcome == Outcome::Failed;
                // It stays armed whatever became of its effects: only it knows which of them are to be undone.
                self.settle_armed(number, end.outcome, format!("{who} completed: {}", end.outcome.name()));
                self.resume_with_output(number, output)
            }
            (ChildStatus::Faulted | ChildStatus::Cancelled | ChildStatus::Undone, false) => {
                // It has undone what it did, as far as it could, before it ended.
                self.disarm(number);
                let error = error();
                let evidence = format!("{who} {}: {}", end.status.name(), describe(&error));
                self.settle(number, end.outcome, evidence);
                self.resume_with_error(number, error)
            }
        }
    }

    /// Requests that an execution that completed undoes what it did.
    pub(crate) fn request_unwind(
        &mut self,
        number: EffectNumber,
        workflow: &WorkflowRequest,
    ) -> Result<Signal, WorkflowError> {
        let effect = self.effect_ref(number);
        let execution = self.execution_of(effect).unwrap_or_else(|| self.child_of(number));
        let (task, key) = (Arc::clone(&effect.task), format!("{}/undo", effect.key));
        let unwind = UnwindRequest { execution, workflow: reference(workflow) };
        let arguments = Value::object([
            ("workflow", workflow_value(workflow)),
            ("execution", Value::string(unwind.execution.as_str())),
        ]);
        let operation = format!("undo-workflow:{}", reference(workflow));
        let purpose = Purpose::Undo { of: Some(number), task: Arc::clone(&task), key: key.clone() };
        self.push_effect(task, operation, None, arguments, Request::Unwind(unwind), key, purpose)
    }

    pub(crate) fn decide_undo(&self, effect: EffectNumber) -> Result<Vec<EventBody>, Rejected> {
        let Some(parent) = self.started.family.parent.as_ref().filter(|parent| parent.waits) else {
            return Err(Rejected::Nothing("no execution waits for it"));
        };
        match &self.end {
            Some(End::Completed(_)) => {
                Ok(vec![EventBody::UndoAsked { parent: parent.execution.clone(), effect }])
            }
            Some(_) => Err(Rejected::Ended(self.status().name())),
            None => Err(Rejected::Nothing("it has not completed, or is undoing what it did already")),
        }
    }

    pub(crate) fn undo_asked(&mut self, parent: &ExecutionId, effect: EffectNumber) -> Signal {
        if !matches!(self.end, Some(End::Completed(_))) {
            return Signal::Blocked;
        }
        self.end = None;
        self.end_recorded = false;
        self.undo_for = Some(effect);
        self.enter(ThreadId::ROOT);
        self.live.course = Course::Running;
        self.unwind(0, After::Cancel(format!("undone for effect {} of execution `{parent}`", effect.0)))
    }

    /// Effects of which each is an execution under way that this one waits for: the effect, its execution, and whether the
    /// flow still wants it.
    pub fn children_under_way(&self) -> Vec<(EffectNumber, ExecutionId, bool)> {
        let waits = |effect: &&Effect| {
            matches!(&effect.request, Request::Workflow(workflow) if workflow.waits)
                && effect.phase == Phase::Started
        };
        let under_way = self.open_effects().filter(waits);
        under_way.map(|effect| (effect.number, self.child_of(effect.number), effect.awaited)).collect()
    }
}

impl Effect {
    /// Whether there is a way to undo it: by its contract, or because it is an execution that undoes itself.
    pub(crate) fn has_undo(&self) -> bool {
        let action = self.action.as_ref().is_some_and(|action| action.compensate.is_some());
        let execution = matches!(&self.request, Request::Workflow(workflow) if workflow.waits);
        !self.undo && (action || execution)
    }
}

/// `namespace/name:version`
fn reference(workflow: &WorkflowRequest) -> String {
    format!("{}/{}:{}", workflow.namespace, workflow.name, workflow.version)
}

/// A workflow as the arguments of its effect name it.
pub(crate) fn workflow_value(workflow: &WorkflowRequest) -> Value {
    Value::object([
        ("namespace", Value::string(&workflow.namespace)),
        ("name", Value::string(&workflow.name)),
        ("version", Value::string(&workflow.version)),
    ])
}
