//! Stops: the kill switch as a whole and in part, and the signed report of what each of them stopped.
//!
//! A stop is in force in memory before anything is said of it. What departed before is listed, the list is stored and
//! signed with the stop itself in one commit, and only then the stop is acknowledged. When everything on the list has
//! landed, the report is completed and signed anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::control::{Control, ControlName, Controls};
use model::principal::Permission;
use model::sabotage::{self, Bug};
use model::stop::{Running, Scope, Stop};
use model::{Problem, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{Batch, Put};

use crate::app::{App, store_problem, system_tenant};
use crate::caller::Caller;
use crate::controls::{Switches, put};
use crate::record;
use crate::view::{PageOf, SetControl, SignedReport, StopView};
use crate::wire::{Fate, Found, Watch};

/// Documents of reports, in the tenant of whoever stopped.
const REPORT: &str = "stop-report";
/// Reports that are not complete, in the system's tenant.
const OPEN: &str = "stop-report-open";
/// What seals of reports are for.
pub const SEAL_KIND: &str = "stop-report";
/// Stops that stand at once.
const STOPS_MAX: usize = 256;
/// Attempts and executions that a report names one by one; it counts all.
const LISTED_MAX: usize = 10_000;
/// Held executions that are counted.
const COUNTED_MAX: u64 = 1_000_000;
/// Held executions read at once.
const PAGE: u32 = 1000;
/// Pauses before a report is written again while the store does not take it.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LAST: Duration = Duration::from_secs(30);
/// A report is looked at again after this long even without a notice.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Longest name of a workflow, action or target.
const NAME_BYTES_MAX: usize = 300;

/// A report: what a stop found, and what became of it. Stored as it is signed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    id: String,
    stop: String,
    scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    running: Running,
    epoch: u64,
    at: Timestamp,
    by: String,
    reason: String,
    /// When the stop was durable; none in the report that was made durable with it.
    acknowledged_at: Option<Timestamp>,
    complete: bool,
    completed_at: Option<Timestamp>,
    /// Attempts on the wire when the stop came into force.
    on_the_wire: u64,
    wire: Vec<Attempt>,
    /// Attempts that had a permit and were not sent.
    called_back: u64,
    programs_killed: u64,
    /// From the stop to the end of the last program that was killed.
    programs_dead_after_us: Option<u64>,
    /// Executions that the stop holds, when the report was completed.
    held: u64,
    held_executions: Vec<HeldExecution>,
}

/// An attempt that was on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Attempt {
    tenant: TenantId,
    execution: String,
    effect: u32,
    attempt: u32,
    operation: String,
    target: String,
    class: String,
    since: Timestamp,
    /// None while it is on the wire.
    fate: Option<Fate>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct HeldExecution {
    tenant: TenantId,
    execution: String,
}

/// A report that waits for what was on the wire.
pub(crate) struct Draft {
    report: Report,
    owner: TenantId,
    found: Vec<Found>,
    watch: Arc<Watch>,
    since: Instant,
}

impl App {
    /// Puts a stop in force, and answers its report. Acknowledged when it is durable: nothing that it concerns starts
    /// after it was in force, which is earlier.
    pub(crate) async fn stop(
        self: &Arc<Self>,
        caller: &Caller,
        set: &SetControl,
        control: Control,
    ) -> Result<SignedReport, Problem> {
        let scope = checked_scope(set.scope.clone())?;
        let owner = owner(caller, &scope)?;
        let mut stored = self.switches.stored.lock().await;
        let mut after = stored.clone();
        let report = model::id::ReportId::generate(&*self.ids, control.at).to_string();
        let mut stop = Stop {
            tenant: owner,
            reason: control.reason.clone(),
            by: control.by.clone(),
            at: control.at,
            epoch: after.epoch + 1,
            report,
            scope,
        };
        if stop.scope == Scope::Global {
            after.global.insert(ControlName::KillSwitch, control);
            after.raise();
        } else {
            if after.stops.len() >= STOPS_MAX && !after.stops.contains_key(&stop.key()) {
                let detail = format!("{STOPS_MAX} stops stand already: lift one, or stop more at once");
                return Err(Problem::new(409, 2160, "too many stops", detail));
            }
            after.raise_for(&stop);
            after.stops.insert(stop.key(), stop.clone());
        }
        stop.epoch = after.epoch;
        *stored = after.clone();
        if sabotage::is(Bug::KillAfterAck) {
            self.force_later()
        } else {
            self.switches.put_in_force(&after);
        }
        let since = Instant::now();
        let (found, watch) = self.wire.stop(&stop, set.running == Running::Cancel);
        let draft = self.draft(caller, &stop, set.running, found, watch, since);
        let signed = self.write_stop(caller, &after, &draft).await?;
        drop(stored);
        self.notify(&caller.principal.tenant, "control", ControlName::KillSwitch.name(), after.epoch);
        tracing::warn!(stop = stop.key(), principal = %caller.principal.id, report = draft.report.id, "stopped");
        tokio::spawn(Arc::clone(self).finish(draft, self.clock.now()));
        Ok(signed)
    }

    /// Behind `Bug::KillAfterAck`: what is stored comes into force a second later.
    fn force_later(self: &Arc<Self>) {
        let app = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let stored = app.switches.stored.lock().await.clone();
            app.switches.put_in_force(&stored);
        });
    }

    fn draft(
        &self,
        caller: &Caller,
        stop: &Stop,
        running: Running,
        found: Vec<Found>,
        watch: Arc<Watch>,
        since: Instant,
    ) -> Draft {
        let flying = || found.iter().filter_map(|one| one.since.map(|since| (one, since)));
        let on_the_wire = flying().count() as u64;
        let wire = flying().take(LISTED_MAX).map(|(one, since)| Attempt {
            tenant: one.manifest.tenant.clone(),
            execution: one.manifest.execution.to_string(),
            effect: one.manifest.effect.0,
            attempt: one.manifest.attempt,
            operation: one.manifest.operation.clone(),
            target: one.manifest.target.clone(),
            class: one.manifest.class.to_owned(),
            since,
            fate: None,
        });
        let report = Report {
            id: stop.report.clone(),
            stop: stop.key(),
            scope: stop.scope.clone(),
            tenant: stop.tenant.clone(),
            running,
            epoch: stop.epoch,
            at: stop.at,
            by: stop.by.to_string(),
            reason: stop.reason.clone(),
            acknowledged_at: None,
            complete: false,
            completed_at: None,
            on_the_wire,
            wire: wire.collect(),
            called_back: found.len() as u64 - on_the_wire,
            programs_killed: 0,
            programs_dead_after_us: None,
            held: 0,
            held_executions: Vec::new(),
        };
        Draft { report, owner: caller.principal.tenant.clone(), found, watch, since }
    }

    /// The stop, its report and their leaves, in one commit.
    async fn write_stop(
        &self,
        caller: &Caller,
        after: &Controls,
        draft: &Draft,
    ) -> Result<SignedReport, Problem> {
        let report = &draft.report;
        let signed = self.signed(report)?;
        let details = json!({
            "on": true, "operations": [], "reason": report.reason, "epoch": report.epoch, "scope": report.stop,
            "running": report.running, "report": report.id, "digest": signed.seal.digest, "on_the_wire": report.on_the_wire,
        });
        let open = json!({ "tenant": draft.owner });
        let forgotten = sabotage::is(Bug::KillForgotten).then(|| without_kill_switch(after));
        let batch = Batch {
            puts: vec![
                put(forgotten.as_ref().unwrap_or(after))?,
                report_put(&draft.owner, &report.id, &signed)?,
                Put::Document {
                    tenant: system_tenant(),
                    kind: OPEN.to_owned(),
                    key: report.id.clone(),
                    document: open,
                },
            ],
            records: vec![record::by_caller(
                caller,
                report.at,
                "control.set",
                "controls/kill-switch".to_owned(),
                details,
            )],
            ..Batch::default()
        };
        self.commit_one(batch).await?;
        Ok(signed)
    }

    /// Waits for everything that was under way, then completes the report.
    async fn finish(self: Arc<Self>, draft: Draft, acknowledged_at: Timestamp) {
        let Draft { mut report, owner, found, watch, since } = draft;
        let fates = watch.all(found.len()).await;
        report.acknowledged_at = Some(acknowledged_at);
        settle(&mut report, &found, &fates, since);
        self.complete(report, owner).await;
    }

    async fn complete(self: &Arc<Self>, mut report: Report, owner: TenantId) {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.write_complete(&mut report, &owner).await {
                Ok(()) => {
                    self.notify(&owner, "control", &report.id, report.epoch);
                    return;
                }
                Err(problem) => {
                    // It stays open in the store: the next start completes it if this process does not.
                    tracing::error!(report = report.id, error = %problem, internal = problem.internal, "a stop's report could not be completed");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }

    async fn write_complete(&self, report: &mut Report, owner: &TenantId) -> Result<(), Problem> {
        self.count_held(report).await?;
        let now = self.clock.now();
        report.complete = true;
        report.completed_at = Some(now);
        let signed = self.signed(report)?;
        let fated = |fate| report.wire.iter().filter(|one| one.fate == Some(fate)).count();
        let details = json!({
            "stop": report.stop, "digest": signed.seal.digest, "on_the_wire": report.on_the_wire,
            "answered": fated(Fate::Answered), "unknown": fated(Fate::Unknown), "killed": fated(Fate::Killed),
            "called_back": report.called_back, "held": report.held,
        });
        let resource = format!("controls/reports/{}", report.id);
        let batch = Batch {
            puts: vec![
                report_put(owner, &report.id, &signed)?,
                Put::Remove { tenant: system_tenant(), kind: OPEN.to_owned(), key: report.id.clone() },
            ],
            records: vec![record::by_system(owner, now, "control.reported", resource, &report.id, details)],
            ..Batch::default()
        };
        self.commit_one(batch).await
    }

    /// Executions that wait for this very stop.
    async fn count_held(&self, report: &mut Report) -> Result<(), Problem> {
        let kill_switch = ControlName::KillSwitch.name();
        let on = match report.scope {
            Scope::Global => format!("control:{kill_switch}"),
            _ => format!("control:{kill_switch}:{}", report.stop),
        };
        (report.held, report.held_executions) = (0, Vec::new());
        let mut after = None;
        while report.held < COUNTED_MAX {
            let page = self.store.blocked(&on, after, PAGE).await.map_err(|e| store_problem(&e))?;
            let Some(last) = page.last() else { break };
            after = Some(last.key);
            for held in page.into_iter().filter(|held| held.on == on) {
                report.held += 1;
                if report.held_executions.len() < LISTED_MAX {
                    let (tenant, execution) = (held.tenant, held.execution.to_string());
                    report.held_executions.push(HeldExecution { tenant, execution });
                }
            }
        }
        Ok(())
    }

    /// Completes what an earlier process left open: what was on its wire has an answer that nobody heard.
    pub(crate) async fn complete_reports(self: &Arc<Self>) {
        let open = match self.store.documents(&system_tenant(), OPEN, "", None, PAGE).await {
            Ok(open) => open,
            Err(error) => {
                tracing::error!(error = %error, "open reports of stops cannot be read");
                return;
            }
        };
        for (id, document) in open {
            let owner = document["tenant"].as_str().and_then(|tenant| TenantId::new(tenant).ok());
            let Some(owner) = owner else { continue };
            let Ok(Some(stored)) = self.store.document(&owner, REPORT, &id).await else { continue };
            let Ok(signed) = serde_json::from_value::<SignedReport>(stored) else { continue };
            let Ok(mut report) = serde_json::from_value::<Report>(signed.report) else { continue };
            for attempt in &mut report.wire {
                attempt.fate.get_or_insert(Fate::Unknown);
            }
            // The next reports must not wait for a store that does not take this one.
            let app = Arc::clone(self);
            tokio::spawn(async move { app.complete(report, owner).await });
        }
    }

    /// Lifts a stop of a part.
    pub(crate) async fn lift(&self, caller: &Caller, scope: Scope, control: &Control) -> Result<(), Problem> {
        let scope = checked_scope(Some(scope))?;
        let tenant = owner(caller, &scope)?;
        let mut stored = self.switches.stored.lock().await;
        let mut after = stored.clone();
        let key = model::stop::key(&scope, tenant.as_ref());
        let Some(stop) = after.stops.remove(&key) else {
            let detail = format!("no stop `{key}` stands; `omnihub controls list` shows those that do");
            return Err(Problem::new(404, 2161, "no such stop", detail).with("id", json!(key)));
        };
        after.raise_for(&stop);
        let details = json!({
            "on": false, "operations": [], "reason": control.reason, "epoch": after.epoch, "scope": key, "report": stop.report,
        });
        let record =
            record::by_caller(caller, control.at, "control.set", "controls/kill-switch".to_owned(), details);
        self.commit_one(Batch { puts: vec![put(&after)?], records: vec![record], ..Batch::default() })
            .await?;
        self.switches.put_in_force(&after);
        *stored = after;
        drop(stored);
        self.notify(&caller.principal.tenant, "control", ControlName::KillSwitch.name(), 0);
        tracing::info!(stop = key, principal = %caller.principal.id, "stop lifted");
        self.release_held();
        Ok(())
    }

    /// A report as it stands, or once it is complete, or after `wait`.
    pub async fn stop_report(
        &self,
        caller: &Caller,
        id: &str,
        wait: Option<Duration>,
    ) -> Result<SignedReport, Problem> {
        may_read_reports(caller)?;
        let mut live = self.subscribe();
        let deadline = tokio::time::Instant::now() + wait.unwrap_or_default();
        loop {
            let found = self.store.document(&caller.principal.tenant, REPORT, id).await;
            let found = found.map_err(|e| store_problem(&e))?;
            let found = found.ok_or_else(|| Problem::not_found("stop report", &short(id)))?;
            let signed: SignedReport = serde_json::from_value(found).map_err(Problem::machine)?;
            if signed.report["complete"] == true || tokio::time::Instant::now() >= deadline {
                return Ok(signed);
            }
            let look = (tokio::time::Instant::now() + LOOK_AGAIN).min(deadline);
            while let Ok(Ok(notice)) = tokio::time::timeout_at(look, live.recv()).await {
                if notice.topic == "control" && notice.id == id {
                    break;
                }
            }
        }
    }

    /// Reports of the caller's tenant, oldest first.
    pub async fn stop_reports(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: u32,
    ) -> Result<PageOf<SignedReport>, Problem> {
        may_read_reports(caller)?;
        let limit = limit.clamp(1, 100);
        let found = self.store.documents(&caller.principal.tenant, REPORT, "", after, limit).await;
        let found = found.map_err(|e| store_problem(&e))?;
        let full = found.len() == limit as usize;
        let next = found.last().filter(|_| full).map(|(id, _)| id.clone());
        let items = found.into_iter().map(|(_, signed)| serde_json::from_value(signed));
        Ok(PageOf { items: items.collect::<Result<_, _>>().map_err(Problem::machine)?, next })
    }

    fn signed(&self, report: &Report) -> Result<SignedReport, Problem> {
        let report = serde_json::to_value(report).map_err(Problem::machine)?;
        let seal = self.store.seal(SEAL_KIND, &report);
        Ok(SignedReport { report, seal })
    }
}

/// Behind `Bug::KillForgotten`: what is stored instead.
fn without_kill_switch(controls: &Controls) -> Controls {
    let mut kept = controls.clone();
    kept.global.remove(&ControlName::KillSwitch);
    kept
}

/// Writes down what became of everything that the stop found.
fn settle(report: &mut Report, found: &[Found], fates: &BTreeMap<u64, (Fate, Instant)>, since: Instant) {
    let flying = found.iter().filter(|one| one.since.is_some());
    for (attempt, one) in report.wire.iter_mut().zip(flying.clone()) {
        attempt.fate = fates.get(&one.number).map(|(fate, _)| *fate);
    }
    let killed = flying.filter(|one| one.manifest.program).filter_map(|one| fates.get(&one.number));
    let killed: Vec<Instant> = killed.filter(|(fate, _)| *fate == Fate::Killed).map(|(_, at)| *at).collect();
    report.programs_killed = killed.len() as u64;
    report.programs_dead_after_us = killed
        .into_iter()
        .max()
        .map(|at| u64::try_from(at.saturating_duration_since(since).as_micros()).unwrap_or(u64::MAX));
}

/// Whose the stop is: the platform's own concern every tenant, others only the tenant that set them.
fn owner(caller: &Caller, scope: &Scope) -> Result<Option<TenantId>, Problem> {
    let own = &caller.principal.tenant;
    if *own == system_tenant() {
        return Ok(None);
    }
    match scope {
        Scope::Global => Err(not_yours("only the `default` tenant stops everything; a tenant stops itself")),
        Scope::Tenant(tenant) if tenant != own => Err(not_yours("a tenant stops only itself")),
        Scope::Tenant(_) => Ok(None),
        Scope::Workflow(_) | Scope::Action(_) | Scope::Target(_) | Scope::Principal(_) => {
            Ok(Some(own.clone()))
        }
    }
}

fn not_yours(detail: &str) -> Problem {
    Problem::new(403, 4030, "not permitted", detail)
}

fn checked_scope(scope: Option<Scope>) -> Result<Scope, Problem> {
    let scope = scope.unwrap_or(Scope::Global);
    let name = scope.name();
    let fine = match &scope {
        Scope::Global | Scope::Tenant(_) | Scope::Principal(_) => true,
        Scope::Workflow(name) => name.split('/').filter(|part| !part.is_empty()).count() == 2,
        Scope::Action(name) => name != "*" && !name.is_empty(),
        Scope::Target(name) => !name.is_empty() && !matches!(name.as_str(), "*" | "*."),
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    if fine && name.len() <= NAME_BYTES_MAX && !name.contains(odd) {
        return Ok(scope);
    }
    let message = "name one thing without blanks: `{\"workflow\": \"namespace/name\"}`, `{\"action\": \"refund-create\"}`, \
                   `{\"target\": \"api.example.com\"}`, `{\"principal\": \"user:alice\"}` or `{\"tenant\": \"acme\"}`";
    Err(Problem::new(422, 3003, "invalid control", message).field("/scope", message))
}

/// Stops that stand, as far as they concern the caller's tenant.
pub(crate) fn standing(switches: &Switches, caller: &Caller) -> Vec<StopView> {
    let own = &caller.principal.tenant;
    let platform = *own == system_tenant();
    let concerns = |stop: &&Stop| match (&stop.tenant, &stop.scope) {
        (Some(tenant), _) | (None, Scope::Tenant(tenant)) => tenant == own,
        (None, _) => true,
    };
    let controls = switches.now();
    let stops = controls.stops.iter().filter(|(_, stop)| platform || concerns(stop));
    stops.map(|(id, stop)| StopView { id: id.clone(), stop: stop.clone() }).collect()
}

fn may_read_reports(caller: &Caller) -> Result<(), Problem> {
    if caller.principal.may(Permission::ReadAudit) { Ok(()) } else { caller.demand(Permission::SetControl) }
}

fn report_put(owner: &TenantId, id: &str, signed: &SignedReport) -> Result<Put, Problem> {
    let document: Json = serde_json::to_value(signed).map_err(Problem::machine)?;
    Ok(Put::Document { tenant: owner.clone(), kind: REPORT.to_owned(), key: id.to_owned(), document })
}

fn short(id: &str) -> String {
    id.chars().take(64).collect()
}
