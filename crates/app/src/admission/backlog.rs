//! How much is at work, and how fast the house is done with it.
//!
//! Something is *at work* from the moment it is let in until it has ended or waits for somebody else: a person, a timer, a
//! limit. By Little's law, what is at work divided by the pace at which it leaves is how long a newcomer will take. That is
//! what admission holds on to, because it neither depends on how large executions are nor on how fast the machine is.
//!
//! Moments come in as parameters, so that everything here can be tested without waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::TenantId;
use parking_lot::Mutex;

/// How long is counted for one figure of the pace.
const PACE_EVERY: Duration = Duration::from_millis(500);
/// What is at work is done within this time, when the house is slow itself.
const WITHIN: Duration = Duration::from_secs(2);
/// So many may be at work however slow the pace is: the first burst comes before anything is known.
const LEAST: usize = 256;

/// Counts what is at work. Cheap to clone; a clone counts the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backlog(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    tenants: BTreeMap<TenantId, Lane>,
    total: usize,
    pace: Pace,
    /// The house as a whole had too much.
    full: Margin,
}

/// One tenant's part; none is kept of a tenant that has nothing at work.
#[derive(Debug, Default)]
struct Lane {
    count: usize,
    full: Margin,
}

/// One of those at work. It leaves when this is dropped.
#[derive(Debug)]
pub struct AtWork {
    backlog: Backlog,
    tenant: TenantId,
    /// True when the house is done with it, as opposed to: it was refused after all, or goes on elsewhere.
    done: bool,
}

/// What is counted elsewhere: of one tenant, and of all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Elsewhere {
    /// At work, and in nobody's hands: they were told that there is no room before the workers.
    pub(crate) turned_away: (usize, usize),
    /// Effects that are performed. Whoever waits for the outside keeps nobody waiting.
    pub(crate) under_way: (usize, usize),
}

/// How a newcomer is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// So much of one tenant is at work at the most.
    pub(crate) tenant_max: usize,
    /// The house itself is slow: then no more is at work in all than it will be done with soon.
    pub(crate) slow: bool,
}

/// Why a newcomer is not let in, with how long it takes until there is room, as far as the pace tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Enough of its tenant is at work.
    Tenant(Duration),
    /// The house has enough to do, and this tenant has its share of it.
    House(Duration),
}

impl Backlog {
    /// Counts one more, whatever there is.
    pub(crate) fn enter(&self, tenant: &TenantId, now: Instant) -> AtWork {
        self.0.lock().enter(tenant, now);
        AtWork { backlog: self.clone(), tenant: tenant.clone(), done: false }
    }

    /// Counts one more, or says why not. Decided and counted at once: of many newcomers none passes on what another has
    /// taken.
    pub(crate) fn let_in(
        &self,
        tenant: &TenantId,
        elsewhere: Elsewhere,
        rule: Rule,
        now: Instant,
    ) -> Result<AtWork, Refused> {
        let mut counts = self.0.lock();
        if let Some(refused) = counts.refuse(tenant, elsewhere, rule, now) {
            return Err(refused);
        }
        counts.enter(tenant, now);
        drop(counts);
        Ok(AtWork { backlog: self.clone(), tenant: tenant.clone(), done: false })
    }

    /// How much is at work of a tenant, and of all.
    pub(crate) fn at_work(&self, tenant: &TenantId) -> (usize, usize) {
        let counts = self.0.lock();
        (counts.tenants.get(tenant).map_or(0, |lane| lane.count), counts.total)
    }

    /// Tenants of whom anything is at work, in order.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        self.0.lock().tenants.keys().cloned().collect()
    }

    /// How many the house is done with in a second when it has enough to do.
    pub(crate) fn pace(&self) -> f64 {
        self.0.lock().pace.per_second
    }
}

impl AtWork {
    /// The house is done with it.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.backlog.0.lock().leave(&self.tenant, self.done, Instant::now());
    }
}

impl Counts {
    fn enter(&mut self, tenant: &TenantId, now: Instant) {
        self.pace.at(now, self.total);
        match self.tenants.get_mut(tenant) {
            Some(lane) => lane.count += 1,
            None => drop(self.tenants.insert(tenant.clone(), Lane { count: 1, ..Lane::default() })),
        }
        self.total += 1;
    }

    fn leave(&mut self, tenant: &TenantId, done: bool, now: Instant) {
        self.total = self.total.saturating_sub(1);
        if let Some(lane) = self.tenants.get_mut(tenant) {
            lane.count = lane.count.saturating_sub(1);
            if lane.count == 0 {
                self.tenants.remove(tenant);
            }
        }
        self.pace.at(now, self.total);
        self.pace.left += u32::from(done);
    }

    fn refuse(
        &mut self,
        tenant: &TenantId,
        elsewhere: Elsewhere,
        rule: Rule,
        now: Instant,
    ) -> Option<Refused> {
        self.pace.at(now, self.total);
        let waits = |count: usize, more: usize, less: usize| (count + more).saturating_sub(less);
        let all = waits(self.total, elsewhere.turned_away.1, elsewhere.under_way.1);
        let allowed = if rule.slow { self.pace.limit() } else { usize::MAX };
        let house_full = self.full.exceeded(all, allowed);
        let tenants = self.tenants.len();
        let lane = self.tenants.get_mut(tenant)?;
        let own = waits(lane.count, elsewhere.turned_away.0, elsewhere.under_way.0);
        if lane.full.exceeded(own, rule.tenant_max) {
            return Some(Refused::Tenant(self.pace.time_of(own / 8)));
        }
        // Whoever has less than its share is let in: what is too much is others'. So at most twice as much is at work.
        (house_full && own * tenants >= allowed).then(|| Refused::House(self.pace.time_of(all / 8)))
    }
}

/// Decides with a margin: from `allowed` on it is too much, and it stays so until an eighth less. Without it one would be
/// let in for each that leaves, and who that is were luck.
#[derive(Debug, Default)]
struct Margin {
    exceeded: bool,
}

impl Margin {
    fn exceeded(&mut self, value: usize, allowed: usize) -> bool {
        let until = allowed.saturating_sub((allowed / 8).max(1));
        self.exceeded = if self.exceeded { value > until } else { value >= allowed };
        self.exceeded
    }
}

/// How many leave in a second while there is enough to do.
///
/// What leaves while there is little to do says how much came, not how much could be done. So a period counts for less than
/// the figure before only when enough was at work all through it.
#[derive(Debug, Default)]
struct Pace {
    since: Option<Instant>,
    left: u32,
    /// The least that was at work in this period.
    least: usize,
    per_second: f64,
}

impl Pace {
    /// Tells how many are at work from this moment on.
    fn at(&mut self, now: Instant, at_work: usize) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed >= PACE_EVERY {
            let measured = f64::from(self.left) / passed.as_secs_f64();
            let loaded = self.least.saturating_mul(2) >= self.limit();
            self.per_second = match (loaded, self.per_second > 0.0) {
                // Half of the way each time: one odd period does not decide, and three do.
                (true, true) => f64::midpoint(self.per_second, measured),
                (true, false) => measured,
                (false, _) => self.per_second.max(measured),
            };
            (self.since, self.left, self.least) = (Some(now), 0, at_work);
        }
        self.least = self.least.min(at_work);
    }

    fn limit(&self) -> usize {
        ((self.per_second * WITHIN.as_secs_f64()) as usize).max(LEAST)
    }

    /// How long so many take; a second while nothing is known.
    fn time_of(&self, count: usize) -> Duration {
        if self.per_second < 1.0 {
            return Duration::from_secs(1);
        }
        Duration::from_secs_f64((count as f64 / self.per_second).min(60.0))
    }
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
