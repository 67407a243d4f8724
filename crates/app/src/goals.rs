//! Goals: filter → plan → start. Text or structured, live or plan only.

use std::sync::Arc;
use std::time::Instant;

use dsl::Definition;
use guard::filter::{self, InputLimits, TextLimits};
use guard::intent::Parsed;
use model::control::ControlName;
use model::event::{Mode, Started};
use model::placing::{Placing, Priority};
use model::principal::Permission;
use model::stop::Subject;
use model::{Digest, ExecutionId, Label, Problem, TenantId, Timestamp, Value};
use serde_json::json;
use store::{Expect, Put};

use crate::admission::AtWork;
use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::plans::StoredPlan;
use crate::schedule::turns::Turn;
use crate::view::{GoalAccepted, GoalAnswer, GoalRequest, WorkflowName};

/// Longest time that a caller may wait for the end.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);
/// Longest `Idempotency-Key`.
const KEY_BYTES_MAX: usize = 255;

/// A goal that is understood: what would run, with which input.
struct Understood {
    definition: Arc<Definition>,
    input: Value,
    input_label: Label,
    intent: Option<String>,
}

impl App {
    /// Takes a goal. Text that is ambiguous or incomplete is asked back (422), never guessed.
    pub async fn submit_goal(
        self: &Arc<Self>,
        caller: &Caller,
        goal: GoalRequest,
    ) -> Result<GoalAnswer, Problem> {
        self.submit_admitted(caller, goal, None).await
    }

    /// As [`App::submit_goal`], for a goal that was let in by [`App::admit_goal`].
    pub async fn submit_admitted(
        self: &Arc<Self>,
        caller: &Caller,
        goal: GoalRequest,
        admitted: Option<AtWork>,
    ) -> Result<GoalAnswer, Problem> {
        caller.demand(Permission::SubmitGoal)?;
        let now = self.clock.now();
        if let Some(answer) = self.answered_before(caller, &goal, now).await? {
            drop(admitted);
            return self.wait_if_asked(caller, answer, goal.wait).await;
        }
        if !goal.plan_only && self.switches.now().on(ControlName::KillSwitch) {
            return Err(stopped(ControlName::KillSwitch.name()));
        }
        let tenant = &caller.principal.tenant;
        let admitted = admitted.unwrap_or_else(|| self.admission.backlog.enter(tenant, Instant::now()));
        let mut turn = self.turn_to_begin(tenant, goal.priority).await;
        turn.admitted = Some(admitted);
        let id = match &goal.execution_id {
            Some(id) => ExecutionId::new(id).map_err(|e| {
                Problem::new(422, 4001, "invalid request", e.to_string())
                    .field("/execution_id", e.to_string())
            })?,
            None => ExecutionId::generate(&*self.ids, now),
        };
        if let Some(plan) = &goal.plan {
            let chosen = goal.execution_id.is_some().then_some(id);
            let accepted = self.run_plan(caller, &goal, plan, chosen, turn).await?;
            return self.wait_if_asked(caller, accepted, goal.wait).await;
        }
        let understood = self.understand(caller, &goal).await?;
        let mut started = self.started(caller, &understood, id.clone(), now)?;
        started.placing = placing(goal.priority, &understood.definition, &understood.input)?;
        started.family = self.family_of(&caller.principal.tenant, &understood.definition).await?;
        if goal.plan_only {
            let content = self.forecast(understood.definition, started, &goal.planning, now).await?;
            let view = self.keep_plan(caller, StoredPlan::open(content)?).await?;
            return Ok(GoalAnswer::Planned(Box::new(view)));
        }
        if goal.execution_id.is_some()
            && let Some(answer) = self.same_execution(caller, &id, &started.plan).await?
        {
            drop(turn);
            return self.wait_if_asked(caller, answer, goal.wait).await;
        }
        self.refuse_stopped(&started)?;
        started.placing.queued = self.place_for(&started)?;
        let plan = started.plan;
        let mut accepted = GoalAccepted {
            execution_id: id.clone(),
            status: "pending".to_owned(),
            plan_digest: plan,
            outcome: None,
            blocked_on: None,
            output: None,
            error: None,
            repeated: false,
        };
        let puts = self.answer_put(caller, &goal, &accepted, now);
        let extra = (puts, Vec::new());
        match self.start_execution(caller, understood.definition, started, extra, turn).await {
            Ok(advanced) => {
                accepted.status.clone_from(&advanced.row.status);
                accepted.blocked_on.clone_from(&advanced.row.blocked_on);
                accepted.outcome.clone_from(&advanced.row.outcome);
            }
            // Somebody started the same id, or sent the same key, at the same time: theirs is the answer.
            Err(problem) if problem.status == 409 => match self.same_execution(caller, &id, &plan).await? {
                Some(answer) => return self.wait_if_asked(caller, answer, goal.wait).await,
                None => return Err(problem),
            },
            Err(problem) => return Err(problem),
        }
        self.wait_if_asked(caller, accepted, goal.wait).await
    }

    /// Refuses an execution that a stop concerns.
    pub(crate) fn refuse_stopped(&self, started: &Started) -> Result<(), Problem> {
        let subject = Subject {
            tenant: &started.tenant,
            workflow: &format!("{}/{}", started.namespace, started.name),
            version: &started.version,
            requester: &started.requester,
            operation: None,
            target: None,
        };
        self.switches.now().stopped(&subject).map_or(Ok(()), |holds| Err(stopped(&holds)))
    }

    /// Runs a signed plan: what it holds, and nothing else without asking.
    async fn run_plan(
        self: &Arc<Self>,
        caller: &Caller,
        goal: &GoalRequest,
        digest: &str,
        chosen: Option<ExecutionId>,
        turn: Turn,
    ) -> Result<GoalAccepted, Problem> {
        let now = self.clock.now();
        let mut redeemed = self.redeem(caller, digest, chosen).await?;
        self.refuse_stopped(&redeemed.started)?;
        redeemed.started.placing = placing(goal.priority, &redeemed.definition, &redeemed.started.input)?;
        redeemed.started.placing.queued = self.place_for(&redeemed.started)?;
        let mut accepted = GoalAccepted {
            execution_id: redeemed.started.execution.clone(),
            status: "pending".to_owned(),
            plan_digest: redeemed.started.plan,
            outcome: None,
            blocked_on: None,
            output: None,
            error: None,
            repeated: false,
        };
        let mut puts = self.answer_put(caller, goal, &accepted, now);
        puts.push(redeemed.put);
        let extra = (puts, vec![redeemed.expect]);
        match self.start_execution(caller, redeemed.definition, redeemed.started, extra, turn).await {
            Ok(advanced) => {
                accepted.status.clone_from(&advanced.row.status);
                accepted.blocked_on.clone_from(&advanced.row.blocked_on);
                accepted.outcome.clone_from(&advanced.row.outcome);
            }
            // Of two at once, with one key, the other's is the answer.
            Err(problem) if problem.status == 409 => match self.answered_before(caller, goal, now).await? {
                Some(answer) => accepted = answer,
                None => return Err(problem),
            },
            Err(problem) => return Err(problem),
        }
        Ok(accepted)
    }

    async fn understand(&self, caller: &Caller, goal: &GoalRequest) -> Result<Understood, Problem> {
        let tenant = &caller.principal.tenant;
        let extra = goal.input.clone().unwrap_or_else(|| json!({}));
        let given = Value::from_json(&extra, caller.principal.label());
        refuse_filtered(&filter::check_input(&given, &InputLimits::default()), "/input")?;
        match (&goal.intent, &goal.workflow) {
            (Some(text), None) => {
                refuse_filtered(&filter::check_text(text, &TextLimits::default()), "/intent")?;
                let (workflow, mut input) = self.read_intent(tenant, text, &extra).await?;
                if let (Some(input), Some(extra)) = (input.as_object_mut(), extra.as_object()) {
                    input.extend(extra.clone());
                }
                let version = workflow.version.clone().unwrap_or_default();
                let definition =
                    self.definition(tenant, &workflow.namespace, &workflow.name, &version).await?;
                // An agent's sentence is still a model's: the label of the speaker joins the parser's.
                let label = Label::INTENT.join(caller.principal.label());
                check_input(&definition, &input)?;
                Ok(Understood {
                    definition,
                    input: Value::from_json(&input, label),
                    input_label: label,
                    intent: Some(text.clone()),
                })
            }
            (None, Some(workflow)) => {
                let definition = self.named(tenant, workflow).await?;
                check_input(&definition, &extra)?;
                Ok(Understood {
                    definition,
                    input: given,
                    input_label: caller.principal.label(),
                    intent: None,
                })
            }
            (Some(_), Some(_)) | (None, None) => {
                let detail = "give either `intent` (a sentence) or `workflow` (a name), and not both";
                Err(Problem::new(422, 4001, "invalid request", detail).field("/intent", detail))
            }
        }
    }

    async fn named(&self, tenant: &TenantId, workflow: &WorkflowName) -> Result<Arc<Definition>, Problem> {
        let version = match &workflow.version {
            Some(version) if version != "latest" => version.clone(),
            _ => self.newest(tenant, &workflow.namespace, &workflow.name).await?,
        };
        self.definition(tenant, &workflow.namespace, &workflow.name, &version).await
    }

    /// The workflow and input that a sentence asks for; `extra` fills what the sentence leaves open.
    async fn read_intent(
        &self,
        tenant: &TenantId,
        text: &str,
        extra: &serde_json::Value,
    ) -> Result<(WorkflowName, serde_json::Value), Problem> {
        let index = self.intents(tenant).await?;
        let name = |w: &guard::intent::WorkflowRef| WorkflowName {
            namespace: w.namespace.clone(),
            name: w.name.clone(),
            version: Some(w.version.clone()),
        };
        match index.parse(text) {
            Parsed::Match { workflow, input, .. } => Ok((name(&workflow), input)),
            Parsed::Missing { workflow, missing, input, .. } => {
                let open: Vec<_> =
                    missing.into_iter().filter(|question| extra.get(&question.slot).is_none()).collect();
                if open.is_empty() {
                    return Ok((name(&workflow), input));
                }
                let asked: Vec<&str> = open.iter().map(|q| q.question.as_str()).collect();
                let mut problem = Problem::new(422, 2021, "something is missing", asked.join(" "))
                    .with("workflow", json!(name(&workflow)))
                    .with("missing", json!(open))
                    .with("input", input)
                    .with("candidates", json!([{ "workflow": name(&workflow) }]));
                for question in &open {
                    problem = problem.field(format!("/input/{}", question.slot), question.question.clone());
                }
                Err(problem)
            }
            Parsed::Ambiguous { candidates } => {
                let names: Vec<String> =
                    candidates.iter().map(|c| format!("`{}` ({})", c.title, c.example)).collect();
                let detail = format!(
                    "several workflows fit equally well: {}; name one, or say more",
                    names.join(", ")
                );
                Err(Problem::new(422, 2022, "ambiguous intent", detail).with("candidates", json!(candidates)))
            }
            Parsed::Unknown { nearest } => {
                let names: Vec<String> =
                    nearest.iter().map(|c| format!("`{}` (\"{}\")", c.title, c.example)).collect();
                let detail = if names.is_empty() {
                    "no published workflow has example intents: publish one, or name a workflow".to_owned()
                } else {
                    format!("no workflow does that; the nearest are {}", names.join(", "))
                };
                Err(Problem::new(422, 2023, "unknown intent", detail).with("candidates", json!(nearest)))
            }
        }
    }

    fn started(
        &self,
        caller: &Caller,
        understood: &Understood,
        id: ExecutionId,
        now: Timestamp,
    ) -> Result<Started, Problem> {
        let input = (understood.input.clone(), understood.input_label);
        let started = self.started_with(caller, &understood.definition, input, id, now)?;
        Ok(Started { intent: understood.intent.clone(), ..started })
    }

    /// The first event of an execution of this definition by this caller, with labelled input.
    pub(crate) fn started_with(
        &self,
        caller: &Caller,
        definition: &Definition,
        (input, input_label): (Value, Label),
        id: ExecutionId,
        now: Timestamp,
    ) -> Result<Started, Problem> {
        let plan = model::digest_of(&(definition.digest, &input));
        let deadline = deadline_of(definition, now)?;
        let safe = self.switches.now().on(ControlName::SafeMode);
        Ok(Started {
            execution: id,
            tenant: caller.principal.tenant.clone(),
            namespace: definition.namespace.clone(),
            name: definition.name.clone(),
            version: definition.version.clone(),
            definition: definition.digest,
            plan,
            input,
            input_blob: None,
            input_label,
            requester: caller.principal.id.clone(),
            requester_kind: caller.principal.kind,
            requester_roles: caller.principal.roles.clone(),
            mode: if safe { Mode::Advisory } else { Mode::Live },
            intent: None,
            signed: None,
            deadline,
            placing: Placing::default(),
            scheduled: None,
            origin: None,
            family: Default::default(),
        })
    }

    /// The answer when an execution of this id exists: the same plan is the same goal, another one a conflict.
    async fn same_execution(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        plan: &Digest,
    ) -> Result<Option<GoalAccepted>, Problem> {
        let tenant = &caller.principal.tenant;
        let Some(row) = self.store.execution(tenant, id).await.map_err(|e| store_problem(&e))? else {
            return Ok(None);
        };
        let state = self.brought_back(tenant, id).await?.0;
        if state.started.plan != *plan {
            let detail = format!("execution `{id}` exists with another plan; choose another id");
            return Err(Problem::new(409, 2002, "execution exists", detail));
        }
        Ok(Some(GoalAccepted {
            execution_id: id.clone(),
            status: row.status,
            plan_digest: *plan,
            outcome: row.outcome,
            blocked_on: row.blocked_on,
            output: None,
            error: None,
            repeated: true,
        }))
    }

    async fn answered_before(
        &self,
        caller: &Caller,
        goal: &GoalRequest,
        now: Timestamp,
    ) -> Result<Option<GoalAccepted>, Problem> {
        let Some(key) = &goal.idempotency_key else { return Ok(None) };
        if key.is_empty()
            || key.len() > KEY_BYTES_MAX
            || !key.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        {
            let detail = "`Idempotency-Key` must be 1 to 255 printable ASCII characters";
            return Err(Problem::new(400, 4002, "bad parameter", detail).field("Idempotency-Key", detail));
        }
        let stored_key = answer_key(caller, key);
        let found = self
            .store
            .deduplicated(&caller.principal.tenant, &stored_key, now)
            .await
            .map_err(|e| store_problem(&e))?;
        let Some(found) = found else { return Ok(None) };
        if found["body"] != json!(goal_digest(goal)) {
            let detail = "this `Idempotency-Key` was used for another request; use a new key";
            return Err(Problem::new(422, 4091, "idempotency key reused", detail));
        }
        let id = found["execution_id"].as_str().and_then(|id| ExecutionId::new(id).ok());
        let plan = found["plan_digest"].as_str().and_then(Digest::parse);
        match (id, plan) {
            (Some(id), Some(plan)) => self.same_execution(caller, &id, &plan).await,
            _ => Err(Problem::machine("a recorded answer makes no sense")),
        }
    }

    fn answer_put(
        &self,
        caller: &Caller,
        goal: &GoalRequest,
        accepted: &GoalAccepted,
        now: Timestamp,
    ) -> Vec<Put> {
        let Some(key) = &goal.idempotency_key else { return Vec::new() };
        vec![Put::Answer {
            tenant: caller.principal.tenant.clone(),
            key: answer_key(caller, key),
            expires_at: now.plus(self.settings.answers_keep),
            document: json!({
                "body": goal_digest(goal), "execution_id": accepted.execution_id, "plan_digest": accepted.plan_digest,
            }),
        }]
    }

    /// The guard that goes with [`App::answer_put`].
    pub(crate) fn answer_guard(puts: &[Put], now: Timestamp) -> Vec<Expect> {
        puts.iter()
            .filter_map(|put| match put {
                Put::Answer { tenant, key, .. } => Some(Expect::NoAnswer(tenant.clone(), key.clone(), now)),
                _ => None,
            })
            .collect()
    }

    async fn wait_if_asked(
        &self,
        caller: &Caller,
        mut accepted: GoalAccepted,
        wait: Option<std::time::Duration>,
    ) -> Result<GoalAnswer, Problem> {
        if let Some(wait) = wait {
            let view = self.wait_for_end(caller, accepted.execution_id.as_str(), wait.min(WAIT_MAX)).await?;
            accepted.status = view.summary.status;
            accepted.outcome = view.summary.outcome;
            accepted.blocked_on = view.summary.blocked_on;
            accepted.output = view.output;
            accepted.error = view.error;
        }
        Ok(GoalAnswer::Accepted(Box::new(accepted)))
    }
}

/// The answer to new work that a stop concerns.
pub(crate) fn stopped(holds: &str) -> Problem {
    let detail = match holds.split_once(':') {
        None => "the kill switch is on: no new work is accepted until an operator turns it off".to_owned(),
        Some((_, stop)) => {
            format!(
                "the kill switch is on for `{stop}`: no new work of it is accepted until an operator lifts that"
            )
        }
    };
    Problem::new(503, 3001, "kill switch is on", detail).with("control", json!(holds))
}

/// What makes two requests the same, for those that carry one key.
fn goal_digest(goal: &GoalRequest) -> Digest {
    let mut given = json!({
        "intent": goal.intent, "workflow": goal.workflow, "input": goal.input, "id": goal.execution_id, "plan": goal.plan_only,
        "signed": goal.plan,
    });
    if let Some(priority) = goal.priority {
        given["priority"] = json!(priority);
    }
    model::digest_of(&given)
}

fn answer_key(caller: &Caller, key: &str) -> String {
    Digest::of(format!("goals|{}|{key}", caller.principal.id).as_bytes()).to_string()
}

pub(crate) fn check_input(definition: &Definition, input: &serde_json::Value) -> Result<(), Problem> {
    let Some(schema) = &definition.input.schema else { return Ok(()) };
    let mut problem =
        Problem::new(422, 2020, "invalid input", "the input is not what the workflow's schema asks for");
    for error in schema.validator.iter_errors(input).take(20) {
        problem = problem.field(format!("/input{}", error.instance_path()), error.to_string());
    }
    if problem.fields.is_empty() { Ok(()) } else { Err(problem) }
}

pub(crate) fn refuse_filtered(verdict: &filter::FilterVerdict, field: &str) -> Result<(), Problem> {
    if verdict.allowed() {
        return Ok(());
    }
    let mut problem = Problem::new(
        422,
        3020,
        "refused by the content filter",
        "the content filter refuses this request; the fields say why",
    );
    for finding in &verdict.findings {
        problem = problem
            .field(format!("{field}{}", finding.pointer), format!("{}: `{}`", finding.rule, finding.matched));
    }
    Err(problem)
}

/// When an execution of this definition must have ended that begins now.
pub(crate) fn deadline_of(definition: &Definition, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    match &definition.timeout {
        Some(dsl::template::Template::Constant(value)) => {
            let after =
                dsl::duration::of(value).map_err(|e| Problem::new(422, 1000, "workflow refused", e))?;
            Ok(Some(now.plus(after)))
        }
        Some(_) => {
            let detail =
                "the workflow's `timeout.after` is an expression, which is not built yet: write a duration";
            Err(Problem::new(501, 2900, "not built yet", detail))
        }
        None => Ok(None),
    }
}

/// How the execution will stand in line: as the goal says, or else its workflow.
pub(crate) fn placing(
    asked: Option<Priority>,
    definition: &Definition,
    input: &Value,
) -> Result<Placing, Problem> {
    let key = dsl::placing::key(definition, input).map_err(|detail| {
        Problem::new(422, 5064, "no key for limits", detail.clone()).field("/input", detail)
    })?;
    let priority = asked.unwrap_or_else(|| dsl::placing::priority(definition));
    Ok(Placing { priority, key, queued: None })
}
