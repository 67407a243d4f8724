//! Figures of the running process: what ended, how, and when.

use std::collections::BTreeMap;

use engine::Execution;
use model::approval::ApprovalStatus;
use model::control::ControlName;
use model::principal::Permission;
use model::{Problem, Timestamp};
use parking_lot::Mutex;
use store::ApprovalQuery;

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::view::Overview;

const MINUTES: usize = 60;
const MINUTE_MS: i64 = 60_000;
/// Rows that are counted for a badge; more are shown as this many.
const COUNTED_MAX: u32 = 500;

/// Counts since the start of the process, by tenant.
#[derive(Default)]
pub(crate) struct Figures(Mutex<BTreeMap<model::TenantId, Counts>>);

#[derive(Default)]
struct Counts {
    /// Executions ended in each of the last minutes; the key is the minute since 1970.
    ended: BTreeMap<i64, u32>,
    outcomes: BTreeMap<&'static str, u64>,
}

impl Figures {
    pub(crate) fn ended(&self, state: &Execution, at: Timestamp) {
        metrics::counter!("omnihub_executions_ended_total", "status" => state.status().name()).increment(1);
        let minute = at.0.div_euclid(MINUTE_MS);
        let mut tenants = self.0.lock();
        let counts = tenants.entry(state.started.tenant.clone()).or_default();
        *counts.ended.entry(minute).or_default() += 1;
        while counts.ended.len() > MINUTES {
            counts.ended.pop_first();
        }
        if let Some(outcome) = state.outcome() {
            *counts.outcomes.entry(outcome.name()).or_default() += 1;
        }
    }
}

impl App {
    /// Figures for the overview page.
    pub async fn overview(&self, caller: &Caller) -> Result<Overview, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let by_status = self.store.count_by_status(tenant).await.map_err(|e| store_problem(&e))?;
        let blocked_on = self.store.count_by_block(tenant).await.map_err(|e| store_problem(&e))?;
        let pending = ApprovalQuery {
            status: Some(ApprovalStatus::Pending),
            limit: COUNTED_MAX,
            ..ApprovalQuery::default()
        };
        let approvals = self.store.approvals(tenant, pending).await.map_err(|e| store_problem(&e))?;
        let letters =
            self.store.dead_letters(tenant, true, None, COUNTED_MAX).await.map_err(|e| store_problem(&e))?;
        let head = self.store.head().await.map_err(|e| store_problem(&e))?;
        let controls = self.switches.now();
        let now = self.clock.now().0.div_euclid(MINUTE_MS);
        let tenants = self.figures.0.lock();
        let counts = tenants.get(tenant);
        let minute = |ago: usize| now - i64::try_from(ago).unwrap_or(0);
        Ok(Overview {
            by_status,
            approvals_pending: approvals.items.len() as u64,
            dead_letters_open: letters.items.len() as u64,
            ended_per_minute: (0..MINUTES)
                .rev()
                .map(|ago| counts.and_then(|c| c.ended.get(&minute(ago))).copied().unwrap_or(0))
                .collect(),
            outcomes: counts
                .map(|c| c.outcomes.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect())
                .unwrap_or_default(),
            audit_size: head.size,
            blocked_on,
            controls_on: ControlName::ALL
                .into_iter()
                .filter(|c| controls.on(*c))
                .map(|c| c.name().to_owned())
                .collect(),
        })
    }
}
