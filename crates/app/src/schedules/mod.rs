//! Schedules: executions that begin by themselves, as their published workflow says.
//!
//! The newest version of a workflow decides; publishing it puts its schedule in force in the same transaction. An
//! execution begins in the name of whoever published it, with the rights that person has at that moment, and in the
//! transaction that marks the moment as settled: so no moment gets two executions, whatever dies in between.

mod begin;
mod keeper;
mod on;
mod shelf;

use dsl::schedule::Schedule;
use model::principal::{Permission, PrincipalKind};
use model::{ExecutionId, PrincipalId, Problem, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Put;

pub(crate) use shelf::Schedules;

use crate::app::{App, system_tenant};
use crate::caller::Caller;
use crate::executions::checked_reason;
use crate::record;
use shelf::{Known, compare};

const KIND: &str = "schedule";
/// Moments that a view names.
const SHOWN: usize = 10;

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    tenant: TenantId,
    namespace: String,
    name: String,
    /// The version that it stands in.
    version: String,
    /// Who published that version.
    by: PrincipalId,
    by_kind: PrincipalKind,
    /// When it was set: intervals are counted from here.
    since: Timestamp,
    /// Moments up to this one are settled.
    settled: Timestamp,
    /// A moment that waits for the end of the last execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queued: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<Paused>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Begun>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
    #[serde(default)]
    counts: Counts,
}

/// A schedule that a person paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who.
    pub by: PrincipalId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// An execution that began by schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The moment it stands for.
    pub moment: Timestamp,
    /// The execution.
    pub execution: ExecutionId,
}

/// Why nothing began at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which moment.
    pub moment: Timestamp,
    /// The problem's code, for example `OH-4030`.
    pub code: String,
    /// What it says.
    pub detail: String,
}

/// What became of the moments so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// An execution began.
    pub begun: u64,
    /// The last execution had not ended.
    pub skipped: u64,
    /// They passed while nothing could begin; one execution may have stood for them.
    pub missed: u64,
    /// The execution was refused.
    pub refused: u64,
}

/// A schedule as it is shown.
#[derive(Debug, Clone)]
pub struct ScheduleView {
    /// Workflow namespace.
    pub namespace: String,
    /// Workflow name.
    pub name: String,
    /// The version whose schedule it is.
    pub version: String,
    /// The rule: `cron 30 2 * * *`, `every PT15M`, `after PT5M`.
    pub rule: String,
    /// The time zone it is read in.
    pub zone: String,
    /// `skip queue allow`
    pub overlap: &'static str,
    /// `one none all`
    pub catch_up: &'static str,
    /// In whose name executions begin.
    pub by: PrincipalId,
    /// Since when it is in force.
    pub since: Timestamp,
    /// By whom and why it is paused, when it is.
    pub paused: Option<Paused>,
    /// The newest execution of it.
    pub last: Option<Begun>,
    /// True while that has not ended.
    pub running: bool,
    /// Why nothing began the last time, when nothing did.
    pub refused: Option<Refused>,
    /// What became of the moments so far.
    pub counts: Counts,
    /// The next moments; empty while it is paused, or waits for an end.
    pub upcoming: Vec<Timestamp>,
}

impl App {
    /// The schedules of the caller's tenant, by workflow.
    #[expect(
        clippy::unused_async,
        reason = "every use case is awaited alike, whether or not it has to read the store today"
    )]
    pub async fn schedules(&self, caller: &Caller) -> Result<Vec<ScheduleView>, Problem> {
        caller.demand(Permission::Read)?;
        let now = self.clock.now();
        let known = self.schedules.of_tenant(&caller.principal.tenant);
        Ok(known.iter().map(|known| known.view(now)).collect())
    }

    /// The schedule of one workflow.
    #[expect(
        clippy::unused_async,
        reason = "every use case is awaited alike, whether or not it has to read the store today"
    )]
    pub async fn schedule(
        &self,
        caller: &Caller,
        namespace: &str,
        name: &str,
    ) -> Result<ScheduleView, Problem> {
        caller.demand(Permission::Read)?;
        Ok(self.known_schedule(caller, namespace, name)?.view(self.clock.now()))
    }

    /// Pauses a schedule: nothing begins by it until it is resumed. What runs goes on.
    pub async fn pause_schedule(
        &self,
        caller: &Caller,
        namespace: &str,
        name: &str,
        reason: &str,
    ) -> Result<ScheduleView, Problem> {
        caller.demand(Permission::OperateExecution)?;
        let (reason, now) = (checked_reason(reason)?, self.clock.now());
        let known = self.known_schedule(caller, namespace, name)?;
        if known.stored.paused.is_some() {
            return Ok(known.view(now));
        }
        let mut stored = known.stored.clone();
        stored.paused = Some(Paused { by: caller.principal.id.clone(), at: now, reason });
        self.change_schedule(caller, known, stored, "schedule.paused").await
    }

    /// Lets a paused schedule go on. Moments of the pause are not caught up with: they were meant to pass.
    pub async fn resume_schedule(
        &self,
        caller: &Caller,
        namespace: &str,
        name: &str,
        reason: &str,
    ) -> Result<ScheduleView, Problem> {
        caller.demand(Permission::OperateExecution)?;
        checked_reason(reason)?;
        let now = self.clock.now();
        let known = self.known_schedule(caller, namespace, name)?;
        let mut stored = known.stored.clone();
        if stored.paused.take().is_none() {
            return Ok(known.view(now));
        }
        stored.settled = now.max(stored.settled);
        stored.queued = None;
        self.change_schedule(caller, known, stored, "schedule.resumed").await
    }

    fn known_schedule(&self, caller: &Caller, namespace: &str, name: &str) -> Result<Known, Problem> {
        let key = (caller.principal.tenant.clone(), format!("{namespace}/{name}"));
        self.schedules.get(&key).ok_or_else(|| Problem::not_found("schedule of workflow", &key.1))
    }

    async fn change_schedule(
        &self,
        caller: &Caller,
        known: Known,
        stored: Stored,
        action: &str,
    ) -> Result<ScheduleView, Problem> {
        let now = self.clock.now();
        let key = known.key();
        let details =
            json!({ "version": stored.version, "reason": stored.paused.as_ref().map(|p| &p.reason) });
        let record = record::by_caller(caller, now, action, format!("schedules/{}", key.1), details);
        let (expect, put) = compare(&known.stored, &stored)?;
        let batch = store::Batch {
            expect: vec![expect],
            puts: vec![put],
            records: vec![record],
            ..store::Batch::default()
        };
        self.commit_one(batch).await?;
        let changed = self.schedules.replace(&key, stored);
        self.notify(&key.0, "schedule", &key.1, 0);
        Ok(changed.map_or_else(|| known.view(now), |known| known.view(now)))
    }

    /// What publishing this version changes about the schedule of its workflow: nothing unless it is the newest.
    pub(crate) fn published_schedule(
        &self,
        caller: &Caller,
        definition: &std::sync::Arc<dsl::Definition>,
        newest: bool,
        now: Timestamp,
    ) -> Result<Option<Set>, Problem> {
        if definition.schedule.is_some() {
            // Who publishes it begins its executions.
            caller.demand(Permission::SubmitGoal)?;
        }
        if !newest {
            return Ok(None);
        }
        let tenant = caller.principal.tenant.clone();
        let key = (tenant.clone(), format!("{}/{}", definition.namespace, definition.name));
        let before = self.schedules.get(&key).map(|known| known.stored);
        let expect = match &before {
            Some(stood) => compare(stood, stood)?.0,
            None => store::Expect::NoDocument(system_tenant(), KIND.into(), stored_key(&key)),
        };
        let Some(schedule) = &definition.schedule else {
            if before.is_none() {
                return Ok(None);
            }
            let record = record::by_caller(
                caller,
                now,
                "schedule.removed",
                format!("schedules/{}", key.1),
                json!({ "version": definition.version }),
            );
            let put = Put::Remove { tenant: system_tenant(), kind: KIND.into(), key: stored_key(&key) };
            return Ok(Some(Set { key, expect, put, record, known: None }));
        };
        let stored = Stored {
            tenant,
            namespace: definition.namespace.clone(),
            name: definition.name.clone(),
            version: definition.version.clone(),
            by: caller.principal.id.clone(),
            by_kind: caller.principal.kind,
            since: now,
            settled: now,
            queued: None,
            // A person paused it for a reason that a new version does not take away.
            paused: before.as_ref().and_then(|b| b.paused.clone()),
            last: before.as_ref().and_then(|b| b.last.clone()),
            refused: None,
            counts: before.map(|b| b.counts).unwrap_or_default(),
        };
        let details = json!({
            "version": stored.version, "rule": schedule.when.text(), "zone": &*schedule.zone,
            "overlap": schedule.overlap.name(), "catch_up": schedule.catch_up.name(),
        });
        let record = record::by_caller(caller, now, "schedule.set", format!("schedules/{}", key.1), details);
        let put = document(&stored)?;
        Ok(Some(Set {
            key,
            expect,
            put,
            record,
            known: Some(Known::new(stored, std::sync::Arc::clone(definition))),
        }))
    }

    /// Takes into force what was published.
    pub(crate) fn schedule_set(&self, set: Set) {
        self.schedules.set(&set.key, set.known);
        self.notify(&set.key.0, "schedule", &set.key.1, 0);
    }
}

/// A change of a schedule that goes with a publication.
pub(crate) struct Set {
    key: (TenantId, String),
    /// What stood before: it must still stand.
    expect: store::Expect,
    put: Put,
    record: audit::Record,
    known: Option<Known>,
}

impl Set {
    /// Adds it to the batch of the publication.
    pub(crate) fn join(&self, batch: &mut store::Batch) {
        batch.expect.push(self.expect.clone());
        batch.puts.push(self.put.clone());
        batch.records.push(self.record.clone());
    }
}

fn document(stored: &Stored) -> Result<Put, Problem> {
    Ok(Put::Document {
        tenant: system_tenant(),
        kind: KIND.into(),
        key: stored_key(&(stored.tenant.clone(), format!("{}/{}", stored.namespace, stored.name))),
        document: serde_json::to_value(stored).map_err(Problem::machine)?,
    })
}

fn stored_key(key: &(TenantId, String)) -> String {
    format!("{}/{}", key.0, key.1)
}

fn rule(known: &Known) -> Option<&Schedule> {
    known.definition.schedule.as_ref()
}
