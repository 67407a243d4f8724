//! Drills: the kill switch measured in the running server, on probes of its own.
//!
//! A probe is an execution of the workflow `omnihub-drill/sleep`: one program in the sandbox that sleeps. It passes the
//! same gate, queue and worker as all work. A trial starts probes, stops that workflow while more probes are being
//! started, and measures; the stop concerns nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Problem;
use model::control::Control;
use model::id::ReportId;
use model::principal::{Permission, Principal, PrincipalKind, Role};
use model::stop::{Running, Scope};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use store::{Batch, Put};

use crate::app::{App, store_problem, system_principal};
use crate::caller::Caller;
use crate::executions::checked_reason;
use crate::record;
use crate::view::{GoalAnswer, GoalRequest, PageOf, SetControl, SignedReport, WorkflowName};

/// What seals of drills are for, and the kind of their documents.
pub const DRILL_KIND: &str = "drill";
/// Trials of one drill at the most.
pub const TRIALS_MAX: u32 = 200;
/// Programs that sleep when the stop comes. Half of the places in the sandbox: other programs go on.
const PROBES: usize = 4;
/// Probes that are started while the stop comes, at the most.
const RACERS_MAX: usize = 8;
/// A trial whose probes do not sleep within this time has failed.
const SLEEPING_MAX: Duration = Duration::from_secs(15);
/// A trial whose report is not complete within this time has failed.
const REPORT_MAX: Duration = Duration::from_secs(15);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// Programs live this long before they are stopped, so that it is programs that die and not their beginnings.
const LIVE: Duration = Duration::from_millis(25);
/// After this long nothing may start that raced with the stop.
const AFTERMATH: Duration = Duration::from_millis(150);
/// Programs must be dead within this time, in 99 of 100 trials.
const DEAD_WITHIN_US: u64 = 250_000;

const WORKFLOW: &str = "omnihub-drill/sleep";
const ACTION_TEXT: &str = "action: omnihub-drill-sleep:1.0.0\ntitle: Sleep until the drill ends it\neffect: read\n\
    class: pure\nrun: { run: { shell: { command: 'sleep 60' } } }\n";
const WORKFLOW_TEXT: &str = "document: { dsl: '1.0.3', namespace: omnihub-drill, name: sleep, version: '1.0.0', title: A probe of a drill }\n\
    do:\n  - sleep: { call: 'omnihub-drill-sleep:1.0.0', with: {} }\n";

/// What one trial measured.
struct Trial {
    acknowledged: Duration,
    dead_us: u64,
    killed: u64,
    /// Starts after the acknowledgement: none when the switch works.
    late: Option<Duration>,
}

impl App {
    /// Begins a drill in the caller's tenant; its result is recorded when it ends. One drill at a time.
    pub async fn start_drill(
        self: &Arc<Self>,
        caller: &Caller,
        trials: u32,
        reason: &str,
    ) -> Result<SignedReport, Problem> {
        caller.demand(Permission::SetControl)?;
        let reason = checked_reason(reason)?;
        if trials == 0 || trials > TRIALS_MAX {
            let detail = format!("`trials` is 1 to {TRIALS_MAX}");
            return Err(Problem::new(422, 4001, "invalid request", detail.clone()).field("/trials", detail));
        }
        let Ok(place) = Arc::clone(&self.drilling).try_lock_owned() else {
            let detail = "a drill is under way; wait for its end: `omnihub controls drills`";
            return Err(Problem::new(409, 2162, "drill under way", detail));
        };
        let id = ReportId::generate(&*self.ids, self.clock.now()).to_string();
        let begun = json!({
            "id": id, "at": self.clock.now(), "by": caller.principal.id, "reason": reason, "trials": trials,
            "probes": PROBES, "complete": false,
        });
        let signed = self.write_drill(caller, &begun, "control.drill-started").await?;
        let (app, caller, trials_wanted) = (Arc::clone(self), caller.clone(), trials);
        tokio::spawn(async move {
            let ended = app.drill(&caller, trials_wanted, &begun).await;
            if let Err(problem) = app.write_drill(&caller, &ended, "control.drilled").await {
                tracing::error!(error = %problem, internal = problem.internal, "a drill could not be recorded");
            }
            app.notify(&caller.principal.tenant, "control", ended["id"].as_str().unwrap_or_default(), 0);
            drop(place);
        });
        Ok(signed)
    }

    async fn drill(self: &Arc<Self>, caller: &Caller, wanted: u32, begun: &Json) -> Json {
        let mut trials = Vec::new();
        let mut error = None;
        for _ in 0..wanted {
            match self.trial(caller).await {
                Ok(trial) => trials.push(trial),
                Err(problem) => {
                    error = Some(problem.detail);
                    break;
                }
            }
        }
        let mut ended = begun.clone();
        let killed: u64 = trials.iter().map(|trial| trial.killed).sum();
        let late = trials.iter().filter(|trial| trial.late.is_some()).count();
        let dead = figures(trials.iter().map(|trial| trial.dead_us).collect());
        let passed =
            error.is_none() && late == 0 && killed > 0 && dead["p99"].as_u64() <= Some(DEAD_WITHIN_US);
        ended["complete"] = json!(true);
        ended["ended_at"] = json!(self.clock.now());
        ended["trials_done"] = json!(trials.len());
        ended["passed"] = json!(passed);
        ended["error"] = json!(error);
        ended["acknowledged_us"] = figures(trials.iter().map(|trial| micros(trial.acknowledged)).collect());
        ended["programs_killed"] = json!(killed);
        ended["programs_dead_us"] = dead;
        ended["trials_with_late_starts"] = json!(late);
        ended["last_start_after_acknowledgement_us"] =
            json!(trials.iter().filter_map(|trial| trial.late).max().map_or(0, micros));
        ended
    }

    /// Starts probes, stops them, measures, and clears up whatever came of it.
    async fn trial(self: &Arc<Self>, caller: &Caller) -> Result<Trial, Problem> {
        let system = as_system(caller);
        self.publish_action(&system, ACTION_TEXT).await?;
        self.publish_workflow(&system, WORKFLOW_TEXT).await?;
        let started = Arc::new(Mutex::new(Vec::new()));
        let measured = self.measure(caller, &system, &started).await;
        let begun = std::mem::take(&mut *started.lock());
        for id in begun {
            // One that ended by itself is over as well.
            if let Err(problem) =
                self.cancel(&system, &id, "the drill is over", model::event::CancelMode::Forced).await
                && problem.status != 409
            {
                tracing::warn!(execution.id = id, error = %problem, "a probe could not be cancelled");
            }
        }
        let control = self.drill_control(caller, false);
        let lifted = self.lift(caller, scope(), &control).await;
        self.wire.watch_departures(None);
        let trial = measured?;
        lifted?;
        Ok(trial)
    }

    async fn measure(
        self: &Arc<Self>,
        caller: &Caller,
        system: &Caller,
        started: &Arc<Mutex<Vec<String>>>,
    ) -> Result<Trial, Problem> {
        for _ in 0..PROBES {
            let id = self.probe(system).await?;
            started.lock().push(id);
        }
        self.probes_sleep().await?;
        tokio::time::sleep(LIVE).await;
        self.wire.watch_departures(Some(WORKFLOW));
        let (app, racer, ids) = (Arc::clone(self), system.clone(), Arc::clone(started));
        let racers = tokio::spawn(async move {
            for _ in 0..RACERS_MAX {
                // Refused as soon as the stop is in force.
                let Ok(id) = app.probe(&racer).await else { return };
                ids.lock().push(id);
            }
        });
        let set = SetControl { scope: Some(scope()), running: Running::Cancel, ..SetControl::default() };
        let began = Instant::now();
        let stopped = self.stop(caller, &set, self.drill_control(caller, true)).await;
        let acknowledged_at = Instant::now();
        let _ = racers.await;
        let stopped = stopped?;
        let id = stopped.report["id"].as_str().unwrap_or_default().to_owned();
        let report = self.stop_report(caller, &id, Some(REPORT_MAX)).await?.report;
        tokio::time::sleep(AFTERMATH.saturating_sub(acknowledged_at.elapsed())).await;
        if report["complete"] != true {
            return Err(failed(format!("the report `{id}` was not complete in time")));
        }
        let killed = report["programs_killed"].as_u64().unwrap_or_default();
        let dead_us = report["programs_dead_after_us"].as_u64();
        let dead_us = dead_us.ok_or_else(|| failed("no program was killed: there was none to kill"))?;
        let late = self.wire.last_departure().and_then(|at| at.checked_duration_since(acknowledged_at));
        Ok(Trial { acknowledged: acknowledged_at - began, dead_us, killed, late })
    }

    async fn probe(self: &Arc<Self>, system: &Caller) -> Result<String, Problem> {
        let (namespace, name) = WORKFLOW.split_once('/').unwrap_or_default();
        let workflow = WorkflowName { namespace: namespace.to_owned(), name: name.to_owned(), version: None };
        let goal = GoalRequest { workflow: Some(workflow), ..GoalRequest::default() };
        match self.submit_goal(system, goal).await? {
            GoalAnswer::Accepted(accepted) => Ok(accepted.execution_id.to_string()),
            GoalAnswer::Planned(_) => Err(failed("a probe was only planned")),
        }
    }

    /// Answers when every probe has its program.
    async fn probes_sleep(&self) -> Result<(), Problem> {
        let began = Instant::now();
        while self.wire.departures(WORKFLOW) < PROBES {
            if began.elapsed() > SLEEPING_MAX {
                return Err(failed(
                    "the probes did not start: look at executions of `omnihub-drill/sleep` (a control, a policy, or a \
                     sandbox that is not in force holds them)",
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn drill_control(&self, caller: &Caller, on: bool) -> Control {
        Control {
            on,
            operations: Vec::new(),
            reason: "a drill".to_owned(),
            by: caller.principal.id.clone(),
            at: self.clock.now(),
            from_environment: false,
        }
    }

    async fn write_drill(
        &self,
        caller: &Caller,
        drill: &Json,
        action: &str,
    ) -> Result<SignedReport, Problem> {
        let seal = self.store.seal(DRILL_KIND, drill);
        let signed = SignedReport { report: drill.clone(), seal };
        let id = drill["id"].as_str().unwrap_or_default().to_owned();
        let details = json!({
            "digest": signed.seal.digest, "trials": drill["trials"], "passed": drill["passed"], "reason": drill["reason"],
            "programs_dead_us": drill["programs_dead_us"], "acknowledged_us": drill["acknowledged_us"],
        });
        let resource = format!("controls/drills/{id}");
        let put = Put::Document {
            tenant: caller.principal.tenant.clone(),
            kind: DRILL_KIND.to_owned(),
            key: id,
            document: serde_json::to_value(&signed).map_err(Problem::machine)?,
        };
        let record = record::by_caller(caller, self.clock.now(), action, resource, details);
        self.commit_one(Batch { puts: vec![put], records: vec![record], ..Batch::default() }).await?;
        Ok(signed)
    }

    /// Drills of the caller's tenant, oldest first.
    pub async fn drills(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: u32,
    ) -> Result<PageOf<SignedReport>, Problem> {
        caller.demand(Permission::Read)?;
        let limit = limit.clamp(1, 100);
        let found = self.store.documents(&caller.principal.tenant, DRILL_KIND, "", after, limit).await;
        let found = found.map_err(|e| store_problem(&e))?;
        let next = found.last().filter(|_| found.len() == limit as usize).map(|(id, _)| id.clone());
        let items = found.into_iter().map(|(_, signed)| serde_json::from_value(signed));
        Ok(PageOf { items: items.collect::<Result<_, _>>().map_err(Problem::machine)?, next })
    }

    /// One drill; `complete` when it has ended.
    pub async fn drill_result(&self, caller: &Caller, id: &str) -> Result<SignedReport, Problem> {
        caller.demand(Permission::Read)?;
        let found = self.store.document(&caller.principal.tenant, DRILL_KIND, id).await;
        let found = found.map_err(|e| store_problem(&e))?;
        let short: String = id.chars().take(64).collect();
        let found = found.ok_or_else(|| Problem::not_found("drill", &short))?;
        serde_json::from_value(found).map_err(Problem::machine)
    }
}

fn scope() -> Scope {
    Scope::Workflow(WORKFLOW.to_owned())
}

fn failed(detail: impl Into<String>) -> Problem {
    Problem::new(503, 2163, "drill failed", detail)
}

/// OmniHub itself in the caller's tenant: probes are its own work.
fn as_system(caller: &Caller) -> Caller {
    let principal = Principal {
        id: system_principal(),
        tenant: caller.principal.tenant.clone(),
        kind: PrincipalKind::System,
        roles: [Role::Admin].into(),
    };
    Caller { principal, address: None, agent: None, request_id: caller.request_id.clone() }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Median, 99th of 100 and largest; nulls when there is nothing.
fn figures(mut values: Vec<u64>) -> Json {
    values.sort_unstable();
    // The smallest value that at least so many in a hundred do not exceed.
    let at = |percent: usize| values.get((values.len() * percent).div_ceil(100).saturating_sub(1));
    json!({ "p50": at(50), "p99": at(99), "max": values.last() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_values() {
        assert_eq!(figures(vec![]), json!({"p50": null, "p99": null, "max": null}));
        assert_eq!(figures((1..=100).rev().collect()), json!({"p50": 50, "p99": 99, "max": 100}));
        assert_eq!(figures(vec![7]), json!({"p50": 7, "p99": 7, "max": 7}));
    }
}
