//! Admission: beyond what this machine can do, new work is refused at the door, so that accepted work is completed.
//!
//! Measured are the line for turns, the line before the workers, how long the writer takes, and memory. A tenant is
//! refused for its own lines; when the machine as a whole is behind, only for using more than its share of it. What people
//! do to stop or decide things is never refused here, and whatever was accepted goes on.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::{Execution, Judgement};
use model::placing::Priority;
use model::{Problem, TenantId};
use parking_lot::Mutex;

use crate::app::App;
use crate::limits::Room;
use crate::schedule::turns::{Step, Turn};

/// Goals of one tenant that wait for their turn at the most.
const BEGINNING_MAX: usize = 256;
/// Executions of one tenant whose effects found no room before the workers: as many as are performed in [`BACKLOG`], within
/// these bounds. A backlog is accepted only if it is gone soon after nothing more comes.
const TURNED_AWAY_LEAST: usize = 256;
const TURNED_AWAY_MAX: usize = 10_000;
const BACKLOG: Duration = Duration::from_secs(4);
/// How long effects are counted for one figure of how many are performed.
const PACE_EVERY: Duration = Duration::from_secs(1);
/// The writer is behind when a commit takes longer than this, on average.
const COMMIT_SLOW: Duration = Duration::from_millis(750);
/// Memory is short from this part of it on, in thousandths.
const MEMORY_SHORT: u32 = 900;
/// What a refused caller is told to wait, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// What was measured of late.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// How long commits take, in microseconds: a moving average over the last dozen or so.
    commit_us: AtomicU64,
    /// How much of the memory is used, in thousandths; 0 while nobody measures it.
    memory: AtomicU32,
    refused: AtomicU64,
    pace: Mutex<Pace>,
}

/// How many effects are performed in a second.
#[derive(Debug, Default)]
struct Pace {
    since: Option<Instant>,
    counted: u32,
    per_second: f64,
}

impl Pace {
    /// The figure of the last whole period; of a longer one when nothing was counted lately.
    fn at(&mut self, now: Instant) -> f64 {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed >= PACE_EVERY {
            self.per_second = f64::from(self.counted) / passed.as_secs_f64();
            (self.since, self.counted) = (Some(now), 0);
        }
        self.per_second
    }

    fn count(&mut self, now: Instant) {
        self.at(now);
        self.counted = self.counted.saturating_add(1);
    }
}

impl Admission {
    /// Notes how long a commit took.
    pub(crate) fn committed(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / 16);
        let before = self.commit_us.load(Ordering::Relaxed);
        // Two steps at once may lose one of their figures, which an average does not mind.
        self.commit_us.store(before - before / 8 + took / 8, Ordering::Relaxed);
    }

    /// Notes that an effect was performed.
    pub(crate) fn performed(&self) {
        self.pace.lock().count(Instant::now());
    }

    /// Executions of one tenant that may wait for room before the workers.
    fn turned_away_max(&self) -> usize {
        let soon = self.pace.lock().at(Instant::now()) * BACKLOG.as_secs_f64();
        (soon as usize).clamp(TURNED_AWAY_LEAST, TURNED_AWAY_MAX)
    }

    fn behind(&self) -> Option<&'static str> {
        let commit = Duration::from_micros(self.commit_us.load(Ordering::Relaxed));
        if commit > COMMIT_SLOW {
            return Some("the store is behind");
        }
        (self.memory.load(Ordering::Relaxed) >= MEMORY_SHORT).then_some("memory is short")
    }
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
    /// Steps that wait for their turn, of all tenants.
    pub turns_waiting: usize,
    /// Permitted effects that wait for a worker, of all tenants.
    pub work_waiting: usize,
    /// Effects that are performed.
    pub work_under_way: usize,
    /// How long a commit takes of late, in microseconds.
    pub commit_us: u64,
    /// Part of the memory that is used, in thousandths; 0 when nobody measures it.
    pub memory_permille: u32,
    /// Goals refused at the door since the start.
    pub refused: u64,
}

impl App {
    /// Whether the house takes another goal of this tenant at this moment. Cheap: asked before the request's body is read.
    pub fn admit_goal(&self, tenant: &TenantId) -> Result<(), Problem> {
        let (own_turns, all_turns) = self.turns.waiting(tenant);
        let (own_work, all_work) = self.work.waiting(tenant);
        let turned_away = self.work.turned_away(tenant);
        let why = if own_turns >= BEGINNING_MAX {
            Some("too many of your goals wait for their turn")
        } else if turned_away >= self.admission.turned_away_max() {
            Some("too many of your effects wait for a worker")
        } else {
            // Behind as a whole: who uses more than half of a line has to wait; who has nothing in it is let in.
            let more = |own: usize, all: usize| own > 0 && own * 2 >= all;
            self.admission.behind().filter(|_| more(own_turns, all_turns) || more(own_work, all_work))
        };
        let Some(why) = why else { return Ok(()) };
        self.admission.refused.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("omnihub_goals_refused_total").increment(1);
        let detail = format!("{why}; what was accepted goes on, try again in {RETRY_MS} ms");
        Err(Problem::new(503, 5063, "not admitted", detail).with("retry_after_ms", RETRY_MS.into()))
    }

    /// Tells how much of the memory is used, in thousandths.
    pub fn note_memory(&self, permille: u32) {
        self.admission.memory.store(permille, Ordering::Relaxed);
    }

    /// What the house is busy with.
    pub fn load(&self) -> Load {
        let nobody = crate::app::system_tenant();
        Load {
            turns_waiting: self.turns.waiting(&nobody).1,
            work_waiting: self.work.waiting(&nobody).1,
            work_under_way: self.work.under_way(),
            commit_us: self.admission.commit_us.load(Ordering::Relaxed),
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
    fn what_is_performed_in_four_seconds_may_wait() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::default();
        for _ in 0..500 {
            pace.count(begun);
        }
        assert_eq!(pace.at(begun), 0.0, "nothing is known yet");
        assert_eq!(pace.at(begun + second), 500.0);
        assert_eq!(pace.at(begun + second + second / 2), 500.0, "until there is a newer figure");
        assert_eq!(pace.at(begun + 3 * second), 0.0, "it stands still");
        assert_eq!(Admission::default().turned_away_max(), TURNED_AWAY_LEAST);
        let quick = Admission {
            pace: Mutex::new(Pace { since: None, counted: 0, per_second: 1e3 }),
            ..Admission::default()
        };
        assert_eq!(quick.turned_away_max(), 4_000);
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
