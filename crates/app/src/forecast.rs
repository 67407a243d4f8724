//! Forecasts: runs the engine on stand-ins for answers, so that every effect that can be foreseen is judged before
//! anything runs. Nothing outside is touched.
//!
//! Stand-ins are labelled, so what depends on them is marked as unknown and never guessed. The forecast is made twice,
//! for two moments: what differs between the two depends on when it runs, and is unknown too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use dsl::Definition;
use dsl::plan::{Task, TaskKind, TaskList, UriPiece, UriTemplate, Work};
use engine::{Effect, Execution, Foresight, Input, Judgement};
use model::action::ContractCost;
use model::control::Controls;
use model::effect::EffectNumber;
use model::event::{Mode, Started};
use model::family::Family;
use model::verdict::Decision;
use model::{Digest, Label, Problem, TenantId, Timestamp, Value};
use store::ExecutionQuery;

use crate::app::{App, store_problem};
use crate::permit::{Ruled, in_one_line};
use crate::plans::{PlanContent, controls_digest, format};
use crate::policies::TenantPolicies;
use crate::record::verdict_word;
use crate::view::{Cost, NotReached, PlannedEffect, Planning, WorkflowName};

/// Effects that a plan holds at the most.
const EFFECTS_MAX: usize = 200;
/// Steps of simulated time at the most.
const WAKES_MAX: usize = 1000;
/// Ended executions whose answers are looked through, newest first.
const RECORDED_MAX: u32 = 50;
/// Workflows that a forecast looks into at the most.
const KIN_MAX: usize = 200;
/// Between the two moments that a forecast is made for: no two parts of a date stay the same.
const LATER: Duration = Duration::from_secs(403 * 24 * 3600 + 11 * 3600 + 13 * 60 + 7);

/// Definitions that may be run, with what `latest` means in each.
type Kin = BTreeMap<String, (Arc<Definition>, Family)>;

/// Answers of earlier executions by operation and arguments: the output, and whose it was.
type Recorded = HashMap<(String, Digest), (Value, String)>;

/// One run through the engine.
struct Seen {
    effects: Vec<PlannedEffect>,
    foresight: Foresight,
    note: Option<String>,
    /// Its output, when it comes to its end.
    output: Option<Value>,
}

/// What a forecast is made with.
struct Grounds<'a> {
    policies: &'a TenantPolicies,
    controls: &'a Controls,
    recorded: &'a Recorded,
    planning: &'a Planning,
    kin: &'a Kin,
}

impl App {
    /// The plan of a workflow with this input.
    pub(crate) async fn forecast(
        &self,
        definition: Arc<Definition>,
        started: Started,
        planning: &Planning,
        now: Timestamp,
    ) -> Result<PlanContent, Problem> {
        let policies = self.policies_of(&started.tenant).await?;
        let controls = self.switches.now();
        let recorded =
            if planning.recorded { self.recorded_answers(&started).await? } else { Recorded::new() };
        let kin = self.kin_of(&started.tenant, &definition).await?;
        let grounds =
            Grounds { policies: &policies, controls: &controls, recorded: &recorded, planning, kin: &kin };
        let started = Started { mode: Mode::Advisory, ..started };
        let mut seen = self.foresee(&definition, &started, &grounds, now);
        let later = self.foresee(&definition, &started, &grounds, now.plus(LATER));
        mark_what_differs(&mut seen, &later);
        let not_reached = not_reached(&definition.tasks, &seen.effects);
        let (tenant, input_label) = (started.tenant.clone(), started.input_label);
        Ok(PlanContent {
            format: format(),
            tenant: started.tenant,
            execution: started.execution,
            workflow: WorkflowName {
                namespace: started.namespace,
                name: started.name,
                version: Some(started.version),
            },
            title: definition.title.clone(),
            definition: definition.digest,
            input: started.input.to_json(),
            input_label,
            intent: started.intent,
            requester: started.requester,
            requester_kind: started.requester_kind,
            requester_roles: started.requester_roles,
            policy: policies.digest(),
            controls: controls_digest(&controls, &tenant),
            made_at: now,
            expires_at: now.plus(self.settings.plans_expire),
            uses: planning.uses,
            costs: costs(&seen.effects),
            effects: seen.effects,
            not_reached,
            guessed: seen.foresight.guessed.iter().map(ToString::to_string).collect(),
            note: seen.note,
        })
    }

    fn foresee(
        &self,
        definition: &Arc<Definition>,
        started: &Started,
        grounds: &Grounds<'_>,
        now: Timestamp,
    ) -> Seen {
        let (mut state, _) = Execution::start(Arc::clone(definition), started.clone(), now);
        state.foresight = Some(Foresight::default());
        let mut effects = Vec::new();
        let mut shown = BTreeSet::new();
        let mut ran: BTreeMap<EffectNumber, Value> = BTreeMap::new();
        let mut note = None;
        let mut now = now;
        'time: for _ in 0..WAKES_MAX {
            while let Some(number) = state.requested().first().copied() {
                // All that is requested at once is shown before the first is answered: where branches compete, the
                // others are given up then, but they may have been sent.
                for number in state.requested() {
                    let Some(effect) = state.effect(number).filter(|_| shown.insert(number)) else {
                        continue;
                    };
                    if effects.len() >= EFFECTS_MAX {
                        note = Some(format!("only the first {EFFECTS_MAX} effects are foreseen"));
                        break 'time;
                    }
                    let ruled = self.rule(&state, effect, grounds.policies, grounds.controls);
                    let listed = grounds.controls.allows(&state.started.tenant, &effect.operation);
                    let mut entry = planned(effect, &ruled, listed);
                    entry.stand_in = stand_in(effect, grounds.recorded).1;
                    effects.push(entry);
                    if let Some(inner) = self.foresee_child(&state, effect, grounds, now) {
                        let within = |entry: PlannedEffect| PlannedEffect {
                            task: format!("{} > {}", effect.task, entry.task),
                            ..entry
                        };
                        let room = EFFECTS_MAX.saturating_sub(effects.len());
                        effects.extend(inner.effects.into_iter().take(room).map(within));
                        note = note.or(inner.note);
                        ran.extend(inner.output.map(|output| (number, output)));
                    }
                }
                let Some(effect) = state.effect(number) else { break };
                let Ruled { digest, verdict } = self.rule(&state, effect, grounds.policies, grounds.controls);
                let output = match ran.remove(&number) {
                    Some(output) => output,
                    None => stand_in(effect, grounds.recorded).0,
                };
                let judgement = Judgement::Predict { digest, verdict, output };
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
        let signals: Vec<String> = state.listens_for().into_iter().collect();
        if !signals.is_empty() {
            let names = signals.join(", ");
            note = Some(format!("what follows waits for a signal that nobody can foresee ({names})"));
        }
        if let Some(engine::End::Faulted(error)) = &state.end {
            let detail = error.detail.as_deref().unwrap_or(&error.kind);
            note = Some(format!("what follows depends on answers that nobody can foresee ({detail})"));
        }
        let foresight = state.foresight.take().unwrap_or_default();
        for entry in &mut effects {
            let inside = foresight.loops.iter().find(|pointer| {
                entry.task.strip_prefix(&***pointer).is_some_and(|rest| rest.starts_with('/'))
            });
            if let Some(pointer) = inside {
                entry.uses = grounds.planning.iterations;
                entry.per_iteration_of = Some(pointer.to_string());
            }
        }
        let output = match state.end {
            Some(engine::End::Completed(output)) => Some(output),
            _ => None,
        };
        Seen { effects, foresight, note, output }
    }

    /// What another execution would do; none when that cannot be foreseen.
    fn foresee_child(
        &self,
        state: &Execution,
        effect: &Effect,
        grounds: &Grounds<'_>,
        now: Timestamp,
    ) -> Option<Seen> {
        let model::Request::Workflow(workflow) = &effect.request else { return None };
        let name = format!("{}/{}:{}", workflow.namespace, workflow.name, workflow.version);
        let (definition, family) = grounds.kin.get(&name)?;
        let input = effect.arguments.get("input").cloned().unwrap_or(Value::NULL);
        let started = Started {
            execution: state.child_of(effect.number),
            namespace: definition.namespace.clone(),
            name: definition.name.clone(),
            version: definition.version.clone(),
            definition: definition.digest,
            plan: model::digest_of(&(definition.digest, &input)),
            input,
            input_label: Label::DEFINITION,
            deadline: crate::goals::deadline_of(definition, now).ok()?,
            family: Family { parent: state.parent_of(effect), ..family.clone() },
            ..(*state.started).clone()
        };
        Some(self.foresee(definition, &started, grounds, now))
    }

    /// Everything that a workflow may run, directly or not, by `namespace/name:version`.
    async fn kin_of(&self, tenant: &TenantId, definition: &Arc<Definition>) -> Result<Kin, Problem> {
        let mut kin = Kin::new();
        let mut next = vec![(Arc::clone(definition), self.family_of(tenant, definition).await?)];
        while let Some((definition, family)) = next.pop() {
            for (workflow, versions) in &definition.children {
                for version in versions {
                    let version =
                        family.latest.get(workflow).filter(|_| version == "latest").unwrap_or(version);
                    let name = format!("{workflow}:{version}");
                    let Some((namespace, short)) = workflow.split_once('/') else { continue };
                    if kin.contains_key(&name) || kin.len() >= KIN_MAX {
                        continue;
                    }
                    let found = self.definition(tenant, namespace, short, version).await?;
                    let own = self.family_of(tenant, &found).await?;
                    kin.insert(name, (Arc::clone(&found), own.clone()));
                    next.push((found, own));
                }
            }
        }
        Ok(kin)
    }

    /// What actions answered in executions that have ended: of several equal requests the newest.
    async fn recorded_answers(&self, started: &Started) -> Result<Recorded, Problem> {
        let mut recorded = Recorded::new();
        let query = ExecutionQuery {
            statuses: vec!["completed".to_owned()],
            limit: RECORDED_MAX,
            ..ExecutionQuery::default()
        };
        let page = self.store.executions(&started.tenant, query).await.map_err(|e| store_problem(&e))?;
        for row in page.items {
            let state = self.replayed(&started.tenant, &row.id, true).await?;
            if state.started.mode != Mode::Live {
                continue;
            }
            for effect in state.effects.iter().filter(|effect| effect.outcome != Some(model::Outcome::Failed))
            {
                let Some(output) = &effect.output else { continue };
                let from = format!("recorded:{}/{}", row.id, effect.number.0);
                let key = (effect.operation.clone(), model::digest_of(&effect.arguments));
                recorded.entry(key).or_insert_with(|| (output.clone(), from));
            }
        }
        Ok(recorded)
    }
}

/// What stands in for an effect's answer, labelled so that all that comes of it can be told.
fn stand_in(effect: &Effect, recorded: &Recorded) -> (Value, String) {
    let known = unknown_parts(&effect.arguments).is_empty();
    let found = known
        .then(|| recorded.get(&(effect.operation.clone(), model::digest_of(&effect.arguments))))
        .flatten();
    let (value, from) = match (found, &effect.action) {
        (Some((output, from)), _) => (output.clone(), from.clone()),
        (None, Some(action)) if !action.predicted.is_null() => {
            (action.predicted.clone(), "example".to_owned())
        }
        (None, _) => (Value::NULL, "none".to_owned()),
    };
    (value.with_label_everywhere(Label::PREDICTED), from)
}

fn planned(effect: &Effect, ruled: &Ruled, listed: bool) -> PlannedEffect {
    let verdict = &ruled.verdict;
    let (decision, approvals, roles) = match &verdict.decision {
        _ if !listed => ("deny", 0, Vec::new()),
        Decision::RequireApproval(quorum) => ("require-approval", quorum.approvers, quorum.roles.clone()),
        other => (verdict_word(other), 0, Vec::new()),
    };
    let mut reasons = verdict.reasons.clone();
    if !listed {
        reasons.insert(0, format!("`{}` is not on the allow-list of operations", effect.operation));
    }
    let ensure = effect.action.as_ref().and_then(|a| a.ensure.as_ref());
    if let Some(ensure) = ensure {
        reasons.push(format!("verified by `{}` until `{}` holds", ensure.probe, ensure.that.text()));
    }
    let unknown = unknown_parts(&effect.arguments);
    let mut arguments = effect.arguments.to_json();
    blank(&mut arguments, &unknown);
    let about = if unknown.is_empty() { "" } else { "for example " };
    PlannedEffect {
        task: effect.task.to_string(),
        operation: effect.operation.clone(),
        target: effect.request.target().into_owned(),
        target_known: unknown.is_empty() || target_is_fixed(effect),
        effect: effect.contract.effect.name().to_owned(),
        class: effect.contract.class.name().to_owned(),
        predicted: format!("{about}{}", in_one_line(effect)),
        arguments_digest: unknown.is_empty().then(|| model::digest_of(&effect.arguments)),
        arguments,
        unknown,
        contract: model::digest_of(&*effect.contract),
        uses: 1,
        per_iteration_of: None,
        stand_in: String::new(),
        check: ensure.map(|ensure| ensure.probe.to_string()),
        undo: effect.contract.compensate.as_ref().map(ToString::to_string),
        cost: effect.contract.cost.clone(),
        risk: verdict.risk.clone(),
        decision: decision.to_owned(),
        approvals,
        roles,
        reasons,
        probe: effect.probe_of.is_some(),
    }
}

/// JSON Pointers of what depends on a stand-in, each the highest one.
fn unknown_parts(arguments: &Value) -> Vec<String> {
    fn visit(value: &Value, at: &mut String, found: &mut Vec<String>) {
        if value.label.predicted() {
            found.push(at.clone());
            return;
        }
        let mut member = |name: &str, value: &Value| {
            let length = at.len();
            at.push('/');
            at.push_str(&name.replace('~', "~0").replace('/', "~1"));
            visit(value, at, found);
            at.truncate(length);
        };
        match &value.data {
            model::Data::Object(map) => map.iter().for_each(|(name, value)| member(name, value)),
            model::Data::Array(items) => {
                items.iter().enumerate().for_each(|(i, value)| member(&i.to_string(), value));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit(arguments, &mut String::new(), &mut found);
    found
}

/// Takes the stand-ins out: what is unknown is not shown as if it were known.
fn blank(arguments: &mut serde_json::Value, unknown: &[String]) {
    for pointer in unknown {
        if let Some(part) = arguments.pointer_mut(pointer) {
            *part = serde_json::Value::Null;
        }
    }
}

/// True when no argument can change who is acted upon.
fn target_is_fixed(effect: &Effect) -> bool {
    let Some(action) = &effect.action else {
        // The whole URI of an act in the definition is among its arguments.
        return !unknown_parts(&effect.arguments).iter().any(|p| p.is_empty() || p == "/uri");
    };
    match &action.run {
        Work::AsyncApi(call) => call.operation.variables.is_empty(),
        // Where it goes is written out.
        Work::Process(_) | Work::Grpc(_) | Work::Rpc(_) => true,
        // Only variables of the server can move it; everything else of the parameters stays below the server.
        Work::OpenApi(call) => call.operation.server.variables.is_empty(),
        Work::Http(http) => match &http.uri {
            // Scheme and host stand in the first piece when a path begins in it.
            UriTemplate::Pieces(pieces) => match pieces.first() {
                Some(UriPiece::Text(text)) => {
                    pieces.len() == 1 || text.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
                }
                Some(UriPiece::Name(_)) | None => false,
            },
            UriTemplate::Expr(_) => false,
        },
    }
}

/// Marks what another moment would have made different.
fn mark_what_differs(seen: &mut Seen, later: &Seen) {
    let same = seen
        .effects
        .iter()
        .zip(&later.effects)
        .take_while(|(a, b)| a.task == b.task && a.operation == b.operation)
        .count();
    if same < seen.effects.len().max(later.effects.len()) {
        seen.effects.truncate(same);
        seen.note = Some("what follows depends on when it runs".to_owned());
    }
    for (entry, later) in seen.effects.iter_mut().zip(&later.effects) {
        let mut found = Vec::new();
        differences(&entry.arguments, &later.arguments, &mut String::new(), &mut found);
        entry.target_known &= entry.target == later.target;
        if !found.is_empty() {
            blank(&mut entry.arguments, &found);
            entry.unknown.extend(found);
            entry.unknown.sort();
            entry.unknown.dedup();
            entry.arguments_digest = None;
        }
    }
}

fn differences(a: &serde_json::Value, b: &serde_json::Value, at: &mut String, found: &mut Vec<String>) {
    use serde_json::Value as Json;
    let mut member = |name: &str, a: &Json, b: &Json| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        differences(a, b, at, found);
        at.truncate(length);
    };
    match (a, b) {
        (Json::Object(a), Json::Object(b)) if a.len() == b.len() && a.keys().all(|k| b.contains_key(k)) => {
            a.iter().for_each(|(name, value)| member(name, value, &b[name]));
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| member(&i.to_string(), a, b));
        }
        _ if a == b => {}
        _ => found.push(at.clone()),
    }
}

/// Acts of the definition that no foreseen effect comes from, in document order.
fn not_reached(tasks: &TaskList, effects: &[PlannedEffect]) -> Vec<NotReached> {
    let seen: BTreeSet<&str> = effects.iter().map(|effect| effect.task.as_str()).collect();
    let mut found = Vec::new();
    let mut next: Vec<&Arc<Task>> = tasks.tasks.iter().rev().collect();
    while let Some(task) = next.pop() {
        let operation = match &task.kind {
            TaskKind::Action { action, .. } => Some(action.to_string()),
            TaskKind::Work(Work::Http(http)) => Some(format!("http:{}", http.method)),
            TaskKind::Work(Work::OpenApi(call)) => Some(format!("http:{}", call.operation.method)),
            TaskKind::Work(Work::Grpc(call)) => Some(format!("grpc:{}/{}", call.service, call.method)),
            TaskKind::Work(Work::AsyncApi(call)) => Some(match (&call.take, call.operation.socket()) {
                (Some(_), _) => "asyncapi:receive".to_owned(),
                (None, true) => "asyncapi:send".to_owned(),
                (None, false) => format!("http:{}", call.operation.method),
            }),
            TaskKind::Work(Work::Rpc(call)) => Some(format!("{}:{}", call.protocol.name(), call.method)),
            TaskKind::Work(Work::Process(process)) => Some(format!("run:{}", process.word())),
            TaskKind::Ask(_) => Some(model::effect::APPROVAL.to_owned()),
            TaskKind::Child(child) => {
                let version = child.version.as_deref().unwrap_or("latest");
                Some(format!("workflow:{}/{}:{version}", child.namespace, child.name))
            }
            _ => None,
        };
        if let Some(operation) = operation.filter(|_| !seen.contains(&*task.pointer)) {
            found.push(NotReached { task: task.pointer.to_string(), operation });
        }
        let inner = task.kind.lists();
        next.extend(inner.into_iter().rev().flat_map(|list| list.tasks.iter().rev()));
    }
    found
}

/// Sums by currency: what is foreseen, and the most that it can be.
fn costs(effects: &[PlannedEffect]) -> Vec<Cost> {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for effect in effects {
        if let Some(cost) = &effect.cost {
            let sum = sums.entry(&cost.currency).or_default();
            sum.0 = sum.0.saturating_add(cost.micros);
            sum.1 = sum.1.saturating_add(cost.micros.saturating_mul(u64::from(effect.uses)));
        }
    }
    let decimal = ContractCost::decimal;
    let cost = |(currency, (sum, most)): (&str, (u64, u64))| Cost {
        currency: currency.to_owned(),
        amount: decimal(sum),
        at_most: decimal(most),
    };
    sums.into_iter().map(cost).collect()
}
