//! Schedules on the wire.

use app::schedules::{Begun, Counts, Paused, Refused, ScheduleView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::wire::moment;

/// Executions that begin by themselves.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Schedule {
    /// Workflow namespace.
    namespace: String,
    /// Workflow name.
    name: String,
    /// The version whose schedule it is.
    version: String,
    /// `cron 30 2 * * *`, `every PT15M` or `after PT5M`.
    rule: String,
    /// The time zone it is read in.
    time_zone: String,
    /// `skip`, `queue` or `allow`: what happens when it is time and the last execution has not ended.
    overlap: &'static str,
    /// `one`, `none` or `all`: what happens to moments that passed while nothing could begin.
    catch_up: &'static str,
    /// In whose name executions begin.
    by: String,
    /// Since when it is in force.
    since: String,
    /// By whom and why it is paused, when it is.
    paused: Option<SchedulePaused>,
    /// The newest execution of it.
    last: Option<ScheduleBegun>,
    /// True while that has not ended.
    running: bool,
    /// Why nothing began the last time, when nothing did.
    refused: Option<ScheduleRefused>,
    /// What became of the moments so far.
    counts: ScheduleCounts,
    /// The next moments (ten at the most); empty while it is paused, or waits for an end.
    next: Vec<String>,
}

/// Who paused a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchedulePaused {
    /// Who.
    by: String,
    /// When.
    at: String,
    /// Why.
    reason: String,
}

/// An execution that began by schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleBegun {
    /// The moment it stands for.
    moment: String,
    /// The execution.
    execution_id: String,
}

/// Why nothing began at a moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleRefused {
    /// Which moment.
    moment: String,
    /// The problem's code.
    code: String,
    /// What it says.
    detail: String,
}

/// What became of the moments so far.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleCounts {
    /// An execution began.
    begun: u64,
    /// The last execution had not ended.
    skipped: u64,
    /// They passed while nothing could begin.
    missed: u64,
    /// The execution was refused.
    refused: u64,
}

impl From<ScheduleView> for Schedule {
    fn from(view: ScheduleView) -> Self {
        Self {
            namespace: view.namespace,
            name: view.name,
            version: view.version,
            rule: view.rule,
            time_zone: view.zone,
            overlap: view.overlap,
            catch_up: view.catch_up,
            by: view.by.to_string(),
            since: moment(view.since),
            paused: view.paused.map(SchedulePaused::from),
            last: view.last.map(ScheduleBegun::from),
            running: view.running,
            refused: view.refused.map(ScheduleRefused::from),
            counts: view.counts.into(),
            next: view.upcoming.into_iter().map(moment).collect(),
        }
    }
}

impl From<Paused> for SchedulePaused {
    fn from(paused: Paused) -> Self {
        Self { by: paused.by.to_string(), at: moment(paused.at), reason: paused.reason }
    }
}

impl From<Begun> for ScheduleBegun {
    fn from(begun: Begun) -> Self {
        Self { moment: moment(begun.moment), execution_id: begun.execution.to_string() }
    }
}

impl From<Refused> for ScheduleRefused {
    fn from(refused: Refused) -> Self {
        Self { moment: moment(refused.moment), code: refused.code, detail: refused.detail }
    }
}

impl From<Counts> for ScheduleCounts {
    fn from(counts: Counts) -> Self {
        Self { begun: counts.begun, skipped: counts.skipped, missed: counts.missed, refused: counts.refused }
    }
}
