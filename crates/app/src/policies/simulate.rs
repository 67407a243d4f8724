//! The policy time machine: a candidate judges what was judged before, and nothing happens.
//!
//! Every recorded decision is made again from its own history: the arguments with their origins, the contract, the
//! requester and the risk as they were. The recorded verdict is the baseline, whichever policies were in force then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Effect, Execution};
use guard::provenance;
use model::event::{Event, EventBody};
use model::principal::Permission;
use model::verdict::{Decision, Verdict};
use model::{Digest, ExecutionId, Problem, TenantId, Timestamp};
use serde_json::json;
use store::{Batch, ExecutionQuery};

use super::{DEFAULT, Stored, TenantPolicies, compiled_set, refused};
use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::permit::{self, FAILED_REASON};
use crate::record::{self, verdict_word};
use crate::view::{
    ChangedDecision, ChangedExecution, Simulation, SimulationRequest, Transition, VerdictSummary,
};

/// Executions of one call when it names no limit, and at the most.
const EXECUTIONS_DEFAULT: u32 = 500;
const EXECUTIONS_MAX: u32 = 2000;
/// Executions listed at once.
const PAGE: u32 = 100;
/// One call goes on to the next execution for so long; the rest is for the next call.
const CALL_TIME: Duration = Duration::from_secs(10);
/// Changed decisions and executions that are listed one by one; all are counted.
const LISTED_MAX: usize = 500;
/// Failures of the candidate, and histories that cannot be read, that are listed one by one.
const FAILURES_MAX: usize = 20;
/// How a recorded prediction tells what it would have been live (written by the engine).
const PREDICTED_PREFIX: &str = "safe mode; live it would be ";
/// Milliseconds of a day.
const DAY: f64 = 86_400_000.0;

impl App {
    /// What a candidate would have decided about the tenant's recorded decisions, newest executions first.
    pub async fn simulate_policy(
        &self,
        caller: &Caller,
        request: SimulationRequest,
    ) -> Result<Simulation, Problem> {
        caller.demand(Permission::Read)?;
        // A candidate is a program: only who may put one in force may make the server run one.
        caller.demand(Permission::ChangePolicy)?;
        let tenant = caller.principal.tenant.clone();
        let name = request.name.clone().unwrap_or_else(|| DEFAULT.to_owned());
        let candidate = self.candidate(&tenant, &name, request.modules.clone()).await?;
        let _place = self.simulations.acquire().await.map_err(Problem::machine)?;
        let active = self.policies_of(&tenant).await?.digest();
        let mut findings = Findings::new(name, candidate.digest(), active);
        findings.next = self.simulated(&tenant, &candidate, &request, &mut findings).await?;
        let simulation = findings.summed_up();
        let details = json!({
            "candidate": simulation.candidate, "active": active, "executions": simulation.executions,
            "decisions": simulation.decisions, "changed": simulation.changed,
        });
        let resource = format!("policies/{}", simulation.name);
        let record = record::by_caller(caller, self.clock.now(), "policy.simulated", resource, details);
        self.commit_one(Batch { records: vec![record], ..Batch::default() }).await?;
        Ok(simulation)
    }

    /// The policies in force with one bundle replaced, added, or (without modules) taken away.
    async fn candidate(
        &self,
        tenant: &TenantId,
        name: &str,
        modules: Option<BTreeMap<String, String>>,
    ) -> Result<TenantPolicies, Problem> {
        let mut stored = self.stored_policies(tenant).await?;
        match modules {
            Some(modules) => {
                let entry = Stored { version: 0, modules, by: String::new(), at: Timestamp(0) };
                stored.insert(name.to_owned(), entry);
            }
            None if stored.remove(name).is_some() => {}
            None => return Err(Problem::not_found("policy", name)),
        }
        compiled_set(&stored).map_err(|e| refused(&e))
    }

    /// Goes through the executions; answers where the next call goes on.
    async fn simulated(
        &self,
        tenant: &TenantId,
        candidate: &TenantPolicies,
        request: &SimulationRequest,
        findings: &mut Findings,
    ) -> Result<Option<String>, Problem> {
        if let Some(id) = &request.execution {
            let id = ExecutionId::new(id.as_str()).map_err(|_| Problem::not_found("execution", id))?;
            if self.store.execution(tenant, &id).await.map_err(|e| store_problem(&e))?.is_none() {
                return Err(Problem::not_found("execution", id.as_str()));
            }
            findings.executions += 1;
            self.judge_again(tenant, &id, candidate, findings).await?;
            return Ok(None);
        }
        let limit = request.limit.unwrap_or(EXECUTIONS_DEFAULT).clamp(1, EXECUTIONS_MAX);
        let begun = Instant::now();
        let mut cursor = request.cursor.clone();
        loop {
            let left = limit - findings.executions;
            let query = ExecutionQuery {
                workflow: request.workflow.clone(),
                after: request.since,
                before: request.until,
                cursor: cursor.clone(),
                // Small pages, so that the time limit can be held between two of them.
                limit: left.min(PAGE),
                ..ExecutionQuery::default()
            };
            let page = self.store.executions(tenant, query).await.map_err(|e| store_problem(&e))?;
            for row in &page.items {
                findings.executions += 1;
                if let Err(problem) = self.judge_again(tenant, &row.id, candidate, findings).await {
                    findings.unreadable(&row.id, &problem);
                }
                tokio::task::yield_now().await;
            }
            cursor = page.next;
            if cursor.is_none() || findings.executions >= limit || begun.elapsed() > CALL_TIME {
                return Ok(cursor);
            }
        }
    }

    /// Makes every recorded decision of one execution again.
    async fn judge_again(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        candidate: &TenantPolicies,
        findings: &mut Findings,
    ) -> Result<(), Problem> {
        let history = self.store.load(tenant, id).await.map_err(|e| store_problem(&e))?;
        let Some(mut history) = history else { return Err(Problem::not_found("execution", id.as_str())) };
        for event in &mut history.events {
            self.inflate(tenant, event).await?;
        }
        let Some(first) = history.events.first() else {
            return Err(Problem::machine(format!("history of `{id}`: it is empty")));
        };
        let mut state = self.begun(tenant, id, first).await?;
        let mut told = Told::default();
        for (position, event) in history.events.iter().enumerate().skip(1) {
            if let EventBody::Judged { effect, verdict, .. } = &event.body {
                let Some(effect) = state.effect(*effect) else {
                    let what = format!("history of `{id}`: it judges effect {}, which it has not", effect.0);
                    return Err(Problem::machine(what));
                };
                let recorded = Recorded { at: event.at, verdict };
                told.compare(&state, effect, &recorded, candidate, findings);
            }
            // A history may go back in itself, so an event alone does not say what follows.
            state.follow(&history.events, position);
        }
        told.close(&state, findings);
        Ok(())
    }

    async fn begun(&self, tenant: &TenantId, id: &ExecutionId, first: &Event) -> Result<Execution, Problem> {
        let corrupt = |what: &str| Problem::machine(format!("history of `{id}`: {what}"));
        let EventBody::Started(started) = &first.body else {
            return Err(corrupt("it does not begin with `started`"));
        };
        let definition = self.definition(tenant, &started.namespace, &started.name, &started.version).await?;
        if definition.digest != started.definition {
            return Err(corrupt("its workflow version compiles to another digest than then"));
        }
        Execution::replay(Arc::clone(&definition), std::slice::from_ref(first), false)
            .ok_or_else(|| corrupt("it cannot be replayed"))
    }
}

/// A decision as history has it.
struct Recorded<'a> {
    at: Timestamp,
    verdict: &'a Verdict,
}

/// What was seen of one execution.
#[derive(Default)]
struct Told {
    decisions: u32,
    changed: u32,
    more_approvals: i64,
    first: Option<(u32, VerdictSummary, VerdictSummary)>,
    /// The first effect that only the candidate denies: what came after it might not have been reached.
    stopped_at: Option<u32>,
}

impl Told {
    fn compare(
        &mut self,
        state: &Execution,
        effect: &Effect,
        recorded: &Recorded<'_>,
        candidate: &TenantPolicies,
        findings: &mut Findings,
    ) {
        let origins = provenance::describe(&effect.arguments);
        let again = permit::judged_by(candidate, state, effect, &origins, recorded.verdict.risk.clone());
        let again = Arc::unwrap_or_clone(again);
        if let Some(reason) = again.reasons.iter().find(|reason| reason.starts_with(FAILED_REASON)) {
            findings.failed(state, effect, reason);
        }
        let (before, after) = compared(recorded.verdict, again);
        self.decisions += 1;
        findings.seen(state, recorded.at, &before, &after);
        let approvals = i64::from(after.approvers > 0) - i64::from(before.approvers > 0);
        if before.same_as(&after) {
            return;
        }
        self.changed += 1;
        self.more_approvals += approvals;
        let reached = self.stopped_at.is_none();
        if after.decision == "deny" {
            self.stopped_at.get_or_insert(effect.number.0);
        }
        self.first.get_or_insert_with(|| (effect.number.0, before.clone(), after.clone()));
        findings.changed(state, effect, recorded, (before, after), reached);
    }

    fn close(self, state: &Execution, findings: &mut Findings) {
        let Some((effect, from, to)) = self.first else { return };
        findings.changed_executions += 1;
        findings.stopped_executions += u64::from(self.stopped_at.is_some());
        if findings.listed_executions.len() < LISTED_MAX {
            findings.listed_executions.push(ChangedExecution {
                execution: state.started.execution.clone(),
                workflow: workflow_of(state),
                requester: state.started.requester.to_string(),
                decisions: self.decisions,
                changed: self.changed,
                more_approvals: self.more_approvals,
                first_effect: effect,
                from,
                to,
                denied_at: self.stopped_at,
            });
        }
    }
}

/// What is found over all executions.
struct Findings {
    executions: u32,
    changed_executions: u64,
    stopped_executions: u64,
    listed_executions: Vec<ChangedExecution>,
    next: Option<String>,
    sum: Simulation,
    between: Option<(Timestamp, Timestamp)>,
}

impl Findings {
    fn new(name: String, candidate: Digest, active: Digest) -> Self {
        Self {
            executions: 0,
            changed_executions: 0,
            stopped_executions: 0,
            listed_executions: Vec::new(),
            next: None,
            sum: Simulation { name, candidate, active, ..Simulation::default() },
            between: None,
        }
    }

    fn seen(&mut self, state: &Execution, at: Timestamp, before: &VerdictSummary, after: &VerdictSummary) {
        self.sum.decisions += 1;
        let (first, last) = self.between.unwrap_or((at, at));
        self.between = Some((first.min(at), last.max(at)));
        self.sum.approvals_before += u64::from(before.approvers > 0);
        self.sum.approvals_after += u64::from(after.approvers > 0);
        if after.approvers > before.approvers {
            for role in &after.roles {
                *self.sum.approver_roles.entry(role.clone()).or_default() += 1;
            }
        }
        if !before.same_as(after) {
            self.sum.changed += 1;
            *self.sum.requesters.entry(state.started.requester.to_string()).or_default() += 1;
            *self.sum.workflows.entry(workflow_of(state)).or_default() += 1;
            let pair = (before.to_string(), after.to_string());
            match self.sum.transitions.iter_mut().find(|t| (&t.from, &t.to) == (&pair.0, &pair.1)) {
                Some(transition) => transition.count += 1,
                None => self.sum.transitions.push(Transition { from: pair.0, to: pair.1, count: 1 }),
            }
        }
    }

    fn changed(
        &mut self,
        state: &Execution,
        effect: &Effect,
        recorded: &Recorded<'_>,
        (from, to): (VerdictSummary, VerdictSummary),
        reached: bool,
    ) {
        if self.sum.changes.len() >= LISTED_MAX {
            return;
        }
        self.sum.changes.push(ChangedDecision {
            execution: state.started.execution.clone(),
            effect: effect.number.0,
            at: recorded.at,
            workflow: workflow_of(state),
            operation: effect.operation.clone(),
            requester: state.started.requester.to_string(),
            amount: permit::amount(effect),
            from,
            to,
            reached,
        });
    }

    fn failed(&mut self, state: &Execution, effect: &Effect, reason: &str) {
        self.sum.failures += 1;
        if self.sum.listed_failures.len() < FAILURES_MAX {
            let what = format!("execution {}, effect {}: {reason}", state.started.execution, effect.number.0);
            self.sum.listed_failures.push(what);
        }
    }

    fn unreadable(&mut self, id: &ExecutionId, problem: &Problem) {
        self.sum.unreadable += 1;
        if self.sum.listed_failures.len() < FAILURES_MAX {
            self.sum.listed_failures.push(format!("execution {id} cannot be read: {}", problem.detail));
        }
    }

    fn summed_up(self) -> Simulation {
        let mut sum = self.sum;
        sum.executions = u64::from(self.executions);
        sum.changed_executions = self.changed_executions;
        sum.stopped_executions = self.stopped_executions;
        sum.execution_changes = self.listed_executions;
        sum.next = self.next;
        if let Some((first, last)) = self.between {
            sum.from = Some(first);
            sum.until = Some(last);
            // Less than a day counts as one: a rate of an hour would say too much.
            #[expect(clippy::cast_precision_loss, reason = "a number for people, far below 2^53")]
            let days = (last.since(first).as_millis() as f64 / DAY).max(1.0);
            #[expect(clippy::cast_precision_loss, reason = "as above")]
            {
                sum.approvals_per_day =
                    (sum.approvals_before as f64 / days, sum.approvals_after as f64 / days);
            }
        }
        sum.transitions
            .sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
        sum
    }
}

/// A recorded decision, and what another set of policies says in its place.
pub(super) fn compared(recorded: &Verdict, mut again: Verdict) -> (VerdictSummary, VerdictSummary) {
    // People were asked whatever policy said (takeover, for example); they would have been asked again.
    if permit::asked_anyway(recorded) && again.decision == Decision::Allow {
        again.decision.clone_from(&recorded.decision);
        again.reasons.clone_from(&recorded.reasons);
    }
    (baseline(recorded), summary(&again))
}

/// The recorded decision as it was, or would have been without safe mode.
fn baseline(verdict: &Verdict) -> VerdictSummary {
    let live = verdict.reasons.first().and_then(|reason| reason.strip_prefix(PREDICTED_PREFIX));
    match live {
        // A prediction does not record the quorum; one person is the least that it can have been.
        Some(word) => VerdictSummary {
            decision: word.to_owned(),
            approvers: u32::from(word == "require-approval"),
            roles: Vec::new(),
            reasons: verdict.reasons.iter().skip(1).cloned().collect(),
            quorum_known: false,
        },
        None => summary(verdict),
    }
}

fn summary(verdict: &Verdict) -> VerdictSummary {
    let (approvers, roles) = match &verdict.decision {
        Decision::RequireApproval(quorum) => (quorum.approvers, quorum.roles.clone()),
        Decision::Allow | Decision::Deny => (0, Vec::new()),
    };
    VerdictSummary {
        decision: verdict_word(&verdict.decision).to_owned(),
        approvers,
        roles,
        reasons: verdict.reasons.clone(),
        quorum_known: true,
    }
}

fn workflow_of(state: &Execution) -> String {
    format!("{}/{}:{}", state.started.namespace, state.started.name, state.started.version)
}
