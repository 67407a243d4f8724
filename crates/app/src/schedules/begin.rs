//! A moment of a schedule has come: settle it, with an execution or without.

use std::sync::Arc;
use std::time::Duration;

use dsl::schedule::{CatchUp, Overlap, When};
use model::control::ControlName;
use model::principal::Permission;
use model::{ExecutionId, Principal, Problem, Timestamp, Value};
use store::Batch;

use super::shelf::{Known, compare};
use super::{Begun, Refused, Stored, rule};
use crate::app::App;
use crate::caller::Caller;
use crate::goals::{check_input, stopped};
use crate::record;

/// A moment that is settled later than this was missed: the server was down, or something was stopped.
const LATE: Duration = Duration::from_secs(60);
/// Moments that get an execution each when all are caught up with; earlier ones are counted as missed.
const CATCH_UP_MAX: usize = 100;

/// What a look at a schedule that is due comes to.
enum Verdict {
    /// An execution is to begin for this moment.
    Begin(Timestamp),
    /// Nothing begins.
    Settle,
}

impl App {
    /// Settles what is due. True when it was settled; false when it has to be tried again later.
    pub(super) async fn settle(self: &Arc<Self>, known: &Known) -> bool {
        let now = self.clock.now();
        let (mut stored, verdict) = judged(known, now);
        let done = match verdict {
            Verdict::Settle => self.settle_without(known, stored).await,
            Verdict::Begin(moment) => match self.begin_at(known, &mut stored, moment, now).await {
                Err(problem) if is_final(&problem) => {
                    stored.refused =
                        Some(Refused { moment, code: problem.code.to_string(), detail: problem.detail });
                    stored.counts.refused += 1;
                    self.settle_without(known, stored).await
                }
                other => other,
            },
        };
        match done {
            Ok(()) => true,
            Err(problem) => {
                tracing::warn!(
                    schedule = known.key().1, tenant = %known.stored.tenant, error = %problem,
                    "an execution cannot begin by schedule now; it is tried again"
                );
                false
            }
        }
    }

    async fn settle_without(&self, known: &Known, stored: Stored) -> Result<(), Problem> {
        let (expect, put) = compare(&known.stored, &stored)?;
        let mut records = Vec::new();
        // The first of a row of equal refusals is told; the others are counted.
        if let Some(refused) = stored
            .refused
            .as_ref()
            .filter(|now| known.stored.refused.as_ref().is_none_or(|b| b.code != now.code))
        {
            let resource = format!("schedules/{}", known.key().1);
            let details = serde_json::json!({ "moment": refused.moment, "code": refused.code, "detail": refused.detail });
            let now = self.clock.now();
            records.push(record::by_system(
                &stored.tenant,
                now,
                "schedule.refused",
                resource,
                "schedule",
                details,
            ));
        }
        self.commit_one(Batch { expect: vec![expect], puts: vec![put], records, ..Batch::default() }).await?;
        self.schedules.replace(&known.key(), stored);
        self.notify(&known.stored.tenant, "schedule", &known.key().1, 0);
        Ok(())
    }

    /// Begins an execution in the name of who published the workflow, with the rights of this moment.
    async fn begin_at(
        self: &Arc<Self>,
        known: &Known,
        stored: &mut Stored,
        moment: Timestamp,
        now: Timestamp,
    ) -> Result<(), Problem> {
        if self.switches.now().on(ControlName::KillSwitch) {
            return Err(stopped(ControlName::KillSwitch.name()));
        }
        let caller = self.publisher(stored, now).await?;
        let turn = self.turn_to_begin(&stored.tenant, None).await;
        let definition = &known.definition;
        let input = rule(known).map_or_else(
            || Value::from_json(&serde_json::json!({}), caller.principal.label()),
            |r| r.input.clone(),
        );
        check_input(definition, &input.to_json())?;
        let id = ExecutionId::generate(&*self.ids, now);
        let label = input.label;
        let mut started = self.started_with(&caller, definition, (input, label), id.clone(), now)?;
        started.scheduled = Some(moment);
        started.placing = crate::goals::placing(None, definition, &started.input)?;
        self.refuse_stopped(&started)?;
        started.placing.queued = self.place_for(&started)?;
        stored.last = Some(Begun { moment, execution: id.clone() });
        stored.refused = None;
        stored.counts.begun += 1;
        let (expect, put) = compare(&known.stored, stored)?;
        let execution = (stored.tenant.clone(), id);
        // Before it begins: it may have ended when the call below returns.
        self.schedules.watch(execution.clone(), known.key());
        let extra = (vec![put], vec![expect]);
        match self.start_execution(&caller, Arc::clone(definition), started, extra, turn).await {
            Ok(_) => {
                self.schedules.replace(&known.key(), stored.clone());
                self.notify(&known.stored.tenant, "schedule", &known.key().1, 0);
                Ok(())
            }
            Err(problem) => {
                self.schedules.forget(&execution);
                Err(problem)
            }
        }
    }

    /// Who published the schedule, with what they may do now.
    pub(super) async fn publisher(&self, stored: &Stored, now: Timestamp) -> Result<Caller, Problem> {
        let people = self.people_of(&stored.tenant).await?;
        let roles = people.roles(&stored.by, now).unwrap_or_default();
        let principal =
            Principal { id: stored.by.clone(), tenant: stored.tenant.clone(), kind: stored.by_kind, roles };
        let caller = Caller { principal, address: None, agent: None, request_id: "schedule".to_owned() };
        caller.demand(Permission::SubmitGoal)?;
        Ok(caller)
    }
}

/// What is settled now, and whether an execution begins for it.
fn judged(known: &Known, now: Timestamp) -> (Stored, Verdict) {
    let mut stored = known.stored.clone();
    let Some(rule) = rule(known) else { return (stored, Verdict::Settle) };
    if let Some(moment) = stored.queued.filter(|_| !known.running()) {
        stored.queued = None;
        return (stored, Verdict::Begin(moment));
    }
    if matches!(rule.when, When::After(_)) {
        return match known.due.filter(|_| !known.running()) {
            Some(moment) => {
                stored.settled = moment.max(stored.settled);
                (stored, Verdict::Begin(moment))
            }
            None => (stored, Verdict::Settle),
        };
    }
    let (moments, before) = rule.between(stored.since, stored.settled, now, CATCH_UP_MAX);
    stored.counts.missed += before;
    let (Some(first), Some(last)) = (moments.first().copied(), moments.last().copied()) else {
        return (stored, Verdict::Settle);
    };
    let all = rule.catch_up == CatchUp::All;
    let moment = if all { first } else { last };
    stored.settled = moment;
    if !all {
        stored.counts.missed += moments.len() as u64 - 1;
        if rule.catch_up == CatchUp::None && now.since(moment) > LATE {
            stored.counts.missed += 1;
            return (stored, Verdict::Settle);
        }
    }
    match rule.overlap {
        Overlap::Skip if known.running() => {
            stored.counts.skipped += 1;
            (stored, Verdict::Settle)
        }
        Overlap::Queue if known.running() => {
            stored.counts.skipped += u64::from(stored.queued.is_some());
            stored.queued = Some(moment);
            (stored, Verdict::Settle)
        }
        Overlap::Skip | Overlap::Queue | Overlap::Allow => (stored, Verdict::Begin(moment)),
    }
}

/// True when trying again at the same moment would be answered the same: not for what is stopped, full or out of order.
pub(super) fn is_final(problem: &Problem) -> bool {
    problem.status < 500 && problem.status != 409 && problem.status != 429
}
