//! Admission: beyond what this machine can do, new work is refused at the door, so that accepted work is completed.
//!
//! What is accepted and not done waits somewhere: for a turn, for the writer, for a worker. However long those lines are,
//! nothing is done sooner for it; but each accepted goal costs what would have ended another. So what is *at work* is
//! bounded (see [`backlog`]): for each tenant by the line before the workers, and for the house as a whole, when it is slow
//! itself, by what it is done with in about two seconds. Beyond that one goal is let in for one that ends, and refusing the
//! others costs little: nothing is read but the head of the request.
//!
//! A tenant is refused for its own lines; when the machine as a whole is behind, only for using more than its share of it.
//! What people do to stop or decide things is never refused here, and whatever was accepted goes on.

pub(crate) mod backlog;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::{Execution, Judgement};
use model::placing::Priority;
use model::{Problem, TenantId};

use crate::app::App;
use crate::limits::Room;
use crate::schedule::turns::{Step, Turn};
use backlog::{Backlog, Elsewhere, Refused, Rule};

pub use backlog::AtWork;

/// Goals of one tenant that wait for their turn at the most.
const BEGINNING_MAX: usize = 256;
/// The writer is behind when a commit takes longer than this, on average.
const COMMIT_SLOW: Duration = Duration::from_millis(750);
/// The house is slow when taking an answer takes longer than this, on average, from when it is there until it is durable.
const STEP_SLOW: Duration = Duration::from_millis(250);
/// Memory is short from this part of it on, in thousandths.
const MEMORY_SHORT: u32 = 900;
/// What a refused caller is told to wait, in milliseconds: at the least and at the most.
const RETRY_LEAST_MS: u64 = 1_000;
const RETRY_MOST_MS: u64 = 10_000;
/// Timers leave a quarter of what may be at work of a tenant to its goals.
const TIMERS_PART: (usize, usize) = (3, 4);

/// What was measured of late.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    pub(crate) backlog: Backlog,
    /// How long commits take, in microseconds: a moving average over the last dozen or so.
    commit_us: AtomicU64,
    /// How long it takes to take an answer in, likewise.
    step_us: AtomicU64,
    /// How much of the memory is used, in thousandths; 0 while nobody measures it.
    memory: AtomicU32,
    refused: AtomicU64,
}

impl Admission {
    /// Notes how long a commit took.
    pub(crate) fn committed(&self, took: Duration) {
        average(&self.commit_us, took);
    }

    /// Notes how long an answer took to be taken in.
    pub(crate) fn stepped(&self, took: Duration) {
        average(&self.step_us, took);
    }

    fn is_slow(&self) -> bool {
        let of = |average: &AtomicU64| Duration::from_micros(average.load(Ordering::Relaxed));
        of(&self.step_us) > STEP_SLOW || of(&self.commit_us) > COMMIT_SLOW
    }

    fn behind(&self) -> Option<&'static str> {
        let commit = Duration::from_micros(self.commit_us.load(Ordering::Relaxed));
        if commit > COMMIT_SLOW {
            return Some("the store is behind");
        }
        (self.memory.load(Ordering::Relaxed) >= MEMORY_SHORT).then_some("memory is short")
    }

    /// A refusal. Callers are told different times, so that they do not all come back at once.
    fn refuse(&self, why: &str, room: Duration) -> Problem {
        let number = self.refused.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("omnihub_goals_refused_total").increment(1);
        let room = u64::try_from(room.as_millis()).unwrap_or(RETRY_MOST_MS);
        let wait = room.clamp(RETRY_LEAST_MS, RETRY_MOST_MS / 2);
        let wait = wait + number.wrapping_mul(619) % wait;
        let detail = format!("{why}; what was accepted goes on, try again in {wait} ms");
        Problem::new(503, 5063, "not admitted", detail).with("retry_after_ms", wait.into())
    }
}

/// A moving average, in microseconds.
fn average(of: &AtomicU64, took: Duration) {
    let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 16);
    let before = of.load(Ordering::Relaxed);
    // Two at once may lose one of their figures, which an average does not mind.
    of.store(before - before / 8 + took / 8, Ordering::Relaxed);
}

/// Why an effect that policy permits is not performed yet.
pub(crate) enum Full {
    /// Its tenant's line before the workers is full.
    Workers,
    /// This limit has no place.
    Limit(String),
}

impl Full {
    /// As `blocked_on` names it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Workers => "worker:place".to_owned(),
            Self::Limit(limit) => format!("limit:{limit}"),
        }
    }

    pub(crate) fn by_limit(&self) -> bool {
        matches!(self, Self::Limit(_))
    }
}

/// What the house is busy with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Executions that are at work: begun, and neither ended nor waiting for somebody else.
    pub at_work: usize,
    /// How many of them the house is done with in a second when it has enough to do; 0 while that is not known.
    pub pace_per_second: u64,
    /// Steps that wait for their turn, of all tenants.
    pub turns_waiting: usize,
    /// Permitted effects that wait for a worker, of all tenants.
    pub work_waiting: usize,
    /// Effects that are performed.
    pub work_under_way: usize,
    /// How long a commit takes of late, in microseconds.
    pub commit_us: u64,
    /// How long it takes of late to take an answer in, in microseconds.
    pub step_us: u64,
    /// Part of the memory that is used, in thousandths; 0 when nobody measures it.
    pub memory_permille: u32,
    /// Goals refused at the door since the start.
    pub refused: u64,
}

impl App {
    /// Lets another goal of this tenant in, or refuses it. Cheap: asked before the request's body is read. What is answered
    /// counts as at work until the goal's execution does, or it is dropped.
    pub fn admit_goal(&self, tenant: &TenantId) -> Result<AtWork, Problem> {
        let now = Instant::now();
        let (own_turns, all_turns) = self.turns.waiting(tenant);
        if own_turns >= BEGINNING_MAX {
            return Err(self.admission.refuse("too many of your goals wait for their turn", Duration::ZERO));
        }
        let (own_work, all_work) = self.work.waiting(tenant);
        // Behind as a whole: who uses more than half of a line has to wait; who has nothing in it is let in.
        let more = |own: usize, all: usize| own > 0 && own * 2 >= all;
        if let Some(why) = self.admission.behind()
            && (more(own_turns, all_turns) || more(own_work, all_work))
        {
            return Err(self.admission.refuse(why, Duration::ZERO));
        }
        let rule = Rule { tenant_max: self.settings.work_max, slow: self.admission.is_slow() };
        let let_in = self.admission.backlog.let_in(tenant, self.elsewhere(tenant), rule, now);
        let_in.map_err(|refused| match refused {
            Refused::Tenant(room) => {
                self.admission.refuse("as many of your executions are at work as there is room for", room)
            }
            Refused::House(room) => {
                self.admission.refuse("more is at work than will be done soon, much of it yours", room)
            }
        })
    }

    fn elsewhere(&self, tenant: &TenantId) -> Elsewhere {
        Elsewhere { turned_away: self.work.turned_away(tenant), under_way: self.work.under_way(tenant) }
    }

    /// Tenants of whom so much is at work that their timers had better wait in the store, in order.
    pub(crate) fn tenants_without_room(&self) -> Vec<TenantId> {
        let most = self.settings.work_max * TIMERS_PART.0 / TIMERS_PART.1;
        let mut tenants = self.admission.backlog.tenants();
        tenants.extend(self.work.tenants_turned_away());
        tenants.sort();
        tenants.dedup();
        tenants.retain(|tenant| {
            let Elsewhere { turned_away, under_way } = self.elsewhere(tenant);
            let own = self.admission.backlog.at_work(tenant).0 + turned_away.0;
            own.saturating_sub(under_way.0) >= most.max(1)
        });
        tenants
    }

    /// Tells how much of the memory is used, in thousandths.
    pub fn note_memory(&self, permille: u32) {
        self.admission.memory.store(permille, Ordering::Relaxed);
    }

    /// What the house is busy with.
    pub fn load(&self) -> Load {
        let nobody = crate::app::system_tenant();
        Load {
            at_work: self.admission.backlog.at_work(&nobody).1,
            pace_per_second: self.admission.backlog.pace() as u64,
            turns_waiting: self.turns.waiting(&nobody).1,
            work_waiting: self.work.waiting(&nobody).1,
            work_under_way: self.work.under_way(&nobody).1,
            commit_us: self.admission.commit_us.load(Ordering::Relaxed),
            step_us: self.admission.step_us.load(Ordering::Relaxed),
            memory_permille: self.admission.memory.load(Ordering::Relaxed),
            refused: self.admission.refused.load(Ordering::Relaxed),
        }
    }

    /// Waits for the turn of a step.
    pub(crate) async fn turn(&self, tenant: &TenantId, step: Step) -> Turn {
        self.turns.enter(tenant, step, self.limits.weight(tenant)).await
    }

    /// The turn of a new goal.
    pub(crate) async fn turn_to_begin(&self, tenant: &TenantId, priority: Option<Priority>) -> Turn {
        self.turn(tenant, Step::Begin(priority.unwrap_or_default())).await
    }

    /// What policy permits is permitted when there is room for it; otherwise it stays requested and is judged again.
    pub(crate) fn with_room(
        &self,
        state: &Execution,
        effect: &engine::Effect,
        judgement: Judgement,
    ) -> Result<Judgement, Full> {
        if !matches!(judgement, Judgement::Permit { .. }) {
            return Ok(judgement);
        }
        let started = &state.started;
        // No worker performs what another execution does.
        if !effect.request.is_execution() && !self.work.has_room(&started.tenant, &started.execution) {
            return Err(Full::Workers);
        }
        match self.room_for(state, effect) {
            Room::Free => Ok(judgement),
            Room::Wait(limit) => Err(Full::Limit(limit)),
            Room::Refused(reason) => Ok(Judgement::Bar(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_callers_come_back_at_different_times_and_not_too_late() {
        let admission = Admission::default();
        let told = |room: u64| {
            let problem = admission.refuse("it is full", Duration::from_millis(room));
            problem.extra["retry_after_ms"].as_u64().expect("a number")
        };
        let soon: Vec<u64> = (0..100).map(|_| told(0)).collect();
        assert!(soon.iter().all(|wait| (1_000..2_000).contains(wait)), "{soon:?}");
        assert!(soon.iter().collect::<std::collections::BTreeSet<_>>().len() > 50, "{soon:?}");
        assert!((0..100).all(|_| (3_000..6_000).contains(&told(3_000))));
        assert!((0..100).all(|_| told(600_000) < RETRY_MOST_MS));
    }

    #[test]
    fn one_slow_commit_is_no_reason_and_many_are() {
        let admission = Admission::default();
        admission.committed(Duration::from_secs(3));
        assert_eq!(admission.behind(), None);
        for _ in 0..20 {
            admission.committed(Duration::from_secs(1));
        }
        assert_eq!(admission.behind(), Some("the store is behind"));
        for _ in 0..20 {
            admission.committed(Duration::from_millis(2));
        }
        assert_eq!(admission.behind(), None, "it is over as soon as it is over");
    }
}
