//! Begins the execution that an effect of another one is.

use std::sync::Arc;

use dsl::Definition;
use engine::{Effect, Execution, Input, Phase};
use model::control::ControlName;
use model::effect::{Answer, EffectNumber, WorkflowRequest};
use model::event::{Mode, Started};
use model::family::{ChildAnswer, ChildStatus, Family, Origins};
use model::placing::Placing;
use model::problem::WorkflowError;
use model::{ExecutionId, Label, Outcome, Problem, Request, TenantId, Timestamp, Value};

use super::mail::{Message, What};
use crate::app::{App, store_problem};
use crate::runner::Change;

impl App {
    /// What `latest` means at this moment, for every workflow that this one may run; and that all of them are there.
    pub(crate) async fn family_of(
        &self,
        tenant: &TenantId,
        definition: &Definition,
    ) -> Result<Family, Problem> {
        let mut family = Family::default();
        for (workflow, versions) in &definition.children {
            let Some((namespace, name)) = workflow.split_once('/') else { continue };
            for version in versions {
                // What runs itself is there.
                let itself = definition.namespace == namespace && definition.name == name;
                if version == "latest" {
                    let newest = match self.newest(tenant, namespace, name).await {
                        Ok(newest) => newest,
                        Err(problem) if problem.status == 404 => return Err(no_child(workflow, version)),
                        Err(problem) => return Err(problem),
                    };
                    family.latest.insert(workflow.clone(), newest);
                } else if !(itself && *version == definition.version) {
                    match self.definition(tenant, namespace, name, version).await {
                        Ok(_) => {}
                        Err(problem) if problem.status == 404 => return Err(no_child(workflow, version)),
                        Err(problem) => return Err(problem),
                    }
                }
            }
        }
        Ok(family)
    }

    /// Delivers [`What::Begin`].
    pub(crate) async fn begin_child(
        self: &Arc<Self>,
        message: &Message,
        parent: &ExecutionId,
        number: EffectNumber,
    ) -> Result<(), Problem> {
        let tenant = &message.tenant;
        let state = match self.brought_back(tenant, parent).await {
            Ok((state, _)) => state,
            Err(problem) if problem.status == 404 => return self.drop_message(message).await,
            Err(problem) => return Err(problem),
        };
        let effect = state.effect(number).filter(|effect| effect.phase == Phase::Started && effect.awaited);
        let Some((effect, Request::Workflow(workflow))) = effect.map(|effect| (effect, &effect.request))
        else {
            // The flow gave it up before it began. Whether it must be told to stop is another message.
            return self.never_began(message, &state, number).await;
        };
        if let Some(row) =
            self.store.execution(tenant, &message.execution).await.map_err(|e| store_problem(&e))?
        {
            let known = self.brought_back(tenant, &row.id).await?.0;
            let ours = known.started.family.parent.as_ref();
            if ours.is_some_and(|known| known.execution == *parent && known.effect == number) {
                return self.drop_message(message).await;
            }
            let detail = format!("the id `{}` belongs to an execution that this one did not begin", row.id);
            return self
                .refuse_child(
                    message,
                    parent,
                    number,
                    WorkflowError::governed("conflict", 409, "Conflict", detail),
                )
                .await;
        }
        let definition =
            match self.definition(tenant, &workflow.namespace, &workflow.name, &workflow.version).await {
                Ok(definition) => definition,
                Err(problem) if problem.status == 404 => {
                    let error =
                        WorkflowError::standard("configuration", 404, "Configuration Error", problem.detail);
                    return self.refuse_child(message, parent, number, error).await;
                }
                Err(problem) => return Err(problem),
            };
        let now = self.clock.now();
        let started =
            match self.child_started(&state, effect, &definition, message.execution.clone(), now).await {
                Ok(started) => started,
                Err(problem) if problem.status == 422 => {
                    let error =
                        WorkflowError::standard("configuration", 422, "Configuration Error", problem.detail);
                    return self.refuse_child(message, parent, number, error).await;
                }
                Err(problem) => return Err(problem),
            };
        self.begin_this(message, &state, workflow, definition, started).await
    }

    async fn begin_this(
        self: &Arc<Self>,
        message: &Message,
        parent: &Execution,
        workflow: &WorkflowRequest,
        definition: Arc<Definition>,
        mut started: Started,
    ) -> Result<(), Problem> {
        let tenant = &message.tenant;
        let mut puts = vec![message.remove()];
        let mut told = Vec::new();
        let effect = started.family.parent.as_ref().map_or(EffectNumber(0), |known| known.effect);
        if !workflow.waits {
            // Whoever is not waited for stands in line like anybody; whoever is would make the place that it waits for.
            match self.place_for(&started) {
                Ok(queued) => started.placing.queued = queued,
                Err(problem) if problem.code == model::problem::Code(5060) => {
                    let error =
                        WorkflowError::governed("limit-reached", 429, "Limit Reached", problem.detail);
                    return self.refuse_child(message, &parent.started.execution, effect, error).await;
                }
                Err(problem) => return Err(problem),
            }
            let what = What::Ended { child: message.execution.clone(), effect };
            let message =
                Message { tenant: tenant.clone(), execution: parent.started.execution.clone(), what };
            puts.push(message.put()?);
            told.push(message);
        }
        let key = (started.tenant.clone(), started.execution.clone());
        let begin = move |now| Ok(Execution::start(definition, started, now));
        let turn = self.turn_to_begin(tenant, Some(parent.started.placing.priority)).await;
        match self.begin_execution(None, key, Box::new(begin), (puts, Vec::new()), Some(turn)).await {
            Ok(_) => {
                self.mail.post(told);
                Ok(())
            }
            Err(problem) => Err(problem),
        }
    }

    /// The first event of the execution that an effect is. It asks for what the parent asks for, in the name of whom the
    /// parent acts, with that one's rights and in the parent's mode: it can do nothing that the parent could not.
    async fn child_started(
        &self,
        parent: &Execution,
        effect: &Effect,
        definition: &Definition,
        id: ExecutionId,
        now: Timestamp,
    ) -> Result<Started, Problem> {
        let input = effect.arguments.get("input").cloned().unwrap_or(Value::NULL);
        let above = &parent.started;
        let family = Family {
            parent: parent.parent_of(effect),
            origins: Origins::of(&input),
            ..self.family_of(&above.tenant, definition).await?
        };
        let safe = self.switches.now().on(ControlName::SafeMode);
        let key = dsl::placing::key(definition, &input)
            .map_err(|detail| Problem::new(422, 5064, "no key for limits", detail))?;
        Ok(Started {
            execution: id,
            tenant: above.tenant.clone(),
            namespace: definition.namespace.clone(),
            name: definition.name.clone(),
            version: definition.version.clone(),
            definition: definition.digest,
            plan: model::digest_of(&(definition.digest, &input)),
            input,
            input_blob: None,
            input_label: Label::DEFINITION,
            requester: above.requester.clone(),
            requester_kind: above.requester_kind,
            requester_roles: above.requester_roles.clone(),
            mode: if safe { Mode::Advisory } else { above.mode },
            intent: None,
            // The plan that people signed names the effects of its own execution: they are asked about any other.
            signed: above.signed,
            deadline: crate::goals::deadline_of(definition, now)?,
            placing: Placing { priority: above.placing.priority, key, queued: None },
            scheduled: None,
            origin: None,
            family,
        })
    }

    /// Tells the parent that there will be no such execution.
    async fn refuse_child(
        self: &Arc<Self>,
        message: &Message,
        parent: &ExecutionId,
        number: EffectNumber,
        error: WorkflowError,
    ) -> Result<(), Problem> {
        let answer = ChildAnswer {
            execution: message.execution.clone(),
            status: ChildStatus::Faulted,
            outcome: Outcome::Failed,
            output: None,
            output_blob: None,
            origins: Origins::default(),
            error: Some(error),
        };
        self.answer_effect(message, parent, number, answer).await
    }

    /// An effect that the flow gave up before its execution began: there is nothing to stop, and nothing was done.
    async fn never_began(
        self: &Arc<Self>,
        message: &Message,
        parent: &Execution,
        number: EffectNumber,
    ) -> Result<(), Problem> {
        let waits = parent.effect(number).is_some_and(|effect| effect.phase == Phase::Started);
        let exists = self.store.execution(&message.tenant, &message.execution).await;
        let exists = exists.map_err(|e| store_problem(&e))?.is_some();
        if exists || !waits {
            return self.drop_message(message).await;
        }
        let detail = "it was given up before it began";
        let error = WorkflowError::governed("cancelled", 409, "Cancelled", detail);
        let parent = parent.started.execution.clone();
        self.refuse_child(message, &parent, number, error).await
    }

    /// Gives an effect the answer of an execution, and takes the message away in the same transaction.
    pub(crate) async fn answer_effect(
        self: &Arc<Self>,
        message: &Message,
        parent: &ExecutionId,
        number: EffectNumber,
        answer: ChildAnswer,
    ) -> Result<(), Problem> {
        let tenant = &message.tenant;
        let turn = Some(self.turn(tenant, crate::schedule::turns::Step::GoOn).await);
        let held = match self.hold(tenant, parent).await {
            Ok(held) => held,
            Err(problem) if problem.status == 404 => return self.drop_message(message).await,
            Err(problem) => return Err(problem),
        };
        let attempt = held
            .state()
            .and_then(|state| state.effect(number))
            .filter(|effect| effect.phase == Phase::Started)
            .and_then(|effect| effect.attempts.last())
            .map(|attempt| attempt.number);
        let Some(attempt) = attempt else {
            // The flow gave it up: what became of it stands in its own history.
            self.let_go(held);
            return self.drop_message(message).await;
        };
        let input = Input::Answered { effect: number, attempt, answer: Answer::Child(Box::new(answer)) };
        let puts = vec![message.remove()];
        self.go_on(held, Change { input: Some(input), puts, turn, ..Change::default() }, None).await.map(drop)
    }
}

fn no_child(workflow: &str, version: &str) -> Problem {
    let detail =
        format!("it runs the workflow `{workflow}` in version `{version}`, and no such version is published");
    Problem::new(422, 2170, "workflow missing", detail)
}
