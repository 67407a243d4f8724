//! A fair queue: deficit round robin between tenants, patience inside a tenant, and room for every target.
//!
//! Pure: moments come in as parameters. What waits has a rank: the moment it came plus the patience of its priority
//! (see [`Priority::patience_ms`]). Ranks never change, so what waits long is overtaken by nothing, and an urgent thing
//! overtakes only what came a bounded time before it. Between tenants nothing of this counts: each takes its turn, with
//! as many in a row as its weight.
//!
//! What is under way cannot be taken back. So while several tenants (or targets) have been seen of late, none of them
//! holds all places: an eighth of the places is kept from each for the others.

use std::collections::{BTreeMap, VecDeque};

use model::TenantId;
use model::placing::Priority;

/// A tenant or target counts as active so long after it was last seen.
const ACTIVE_MS: i64 = 60_000;
/// Idle tenants are forgotten at most so often.
const SWEEP_EVERY_MS: i64 = 1_000;
/// The part of all places that one tenant or target leaves to others.
const KEPT_PART: usize = 8;
/// Largest weight of a tenant.
pub(crate) const WEIGHT_MAX: u32 = 100;

/// What waits and what is under way.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    lanes: BTreeMap<TenantId, Lane<T>>,
    /// Tenants of whom something waits, in the order of their turns.
    ring: VecDeque<TenantId>,
    waiting: usize,
    under_way: usize,
    /// Under way and last seen, by target.
    targets: BTreeMap<String, Use>,
    /// Of one tenant at one target that is reached over a connection (`host:port`), at the most.
    connections_max: usize,
    pushed: u64,
    swept_ms: i64,
}

#[derive(Debug)]
struct Lane<T> {
    /// By target, then by rank and order of arrival.
    waiting: BTreeMap<String, BTreeMap<(i64, u64), T>>,
    count: usize,
    weight: u32,
    deficit: u32,
    usage: Use,
    /// Under way, by target; none is kept of a target where nothing is.
    under_way: BTreeMap<String, usize>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Use {
    under_way: usize,
    seen_ms: i64,
}

/// Where something stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) tenant: TenantId,
    /// What it acts on; empty when that does not matter.
    pub(crate) target: String,
    pub(crate) priority: Priority,
    /// From 1 to [`WEIGHT_MAX`]: turns in a row.
    pub(crate) weight: u32,
}

/// What was taken: given back to [`FairQueue::done`] when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    tenant: TenantId,
    target: String,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            ring: VecDeque::new(),
            waiting: 0,
            under_way: 0,
            targets: BTreeMap::new(),
            connections_max: usize::MAX,
            pushed: 0,
            swept_ms: 0,
        }
    }
}

impl<T> FairQueue<T> {
    /// Bounds what one tenant has under way at one target that is reached over a connection.
    pub(crate) fn bound_connections(&mut self, max: usize) {
        self.connections_max = max.max(1);
    }

    /// Puts something in line.
    pub(crate) fn push(&mut self, standing: Standing, now_ms: i64, item: T) {
        let Standing { tenant, target, priority, weight } = standing;
        self.sweep(now_ms);
        self.pushed += 1;
        let key = (now_ms.saturating_add(priority.patience_ms()), self.pushed);
        let lane = self.lane(&tenant, now_ms);
        lane.weight = weight.clamp(1, WEIGHT_MAX);
        lane.waiting.entry(target).or_default().insert(key, item);
        lane.count += 1;
        if lane.count == 1 {
            lane.deficit = 0;
            self.ring.push_back(tenant);
        }
        self.waiting += 1;
    }

    /// The next one, when one of `places` is free for it.
    pub(crate) fn take(&mut self, places: usize, now_ms: i64) -> Option<(T, Taken)> {
        if self.under_way >= places {
            return None;
        }
        let lane_max = most_of(places, self.several_tenants(now_ms));
        for _ in 0..self.ring.len() {
            let tenant = self.ring.front()?.clone();
            let Some(target) = self.eligible(&tenant, lane_max, places, now_ms) else {
                // It cannot use its turn; a turn is not saved up.
                if let Some(lane) = self.lanes.get_mut(&tenant) {
                    lane.deficit = 0;
                }
                self.ring.rotate_left(1);
                continue;
            };
            let item = self.take_from(&tenant, &target)?;
            let taken = Taken { tenant, target };
            self.begin(&taken, now_ms);
            return Some((item, taken));
        }
        None
    }

    /// Notes that something begins without having been in line, when nothing waits and a place is free for it.
    pub(crate) fn begin_at_once(&mut self, standing: &Standing, places: usize, now_ms: i64) -> Option<Taken> {
        if self.waiting > 0 || self.under_way >= places {
            return None;
        }
        let lane = self.lane(&standing.tenant, now_ms);
        lane.weight = standing.weight.clamp(1, WEIGHT_MAX);
        let under_way = lane.usage.under_way;
        if under_way >= most_of(places, self.several_tenants(now_ms)) {
            return None;
        }
        let taken = Taken { tenant: standing.tenant.clone(), target: standing.target.clone() };
        self.begin(&taken, now_ms);
        Some(taken)
    }

    /// Notes that something taken is over.
    pub(crate) fn done(&mut self, taken: &Taken, now_ms: i64) {
        self.under_way = self.under_way.saturating_sub(1);
        let lane = self.lane(&taken.tenant, now_ms);
        lane.usage.under_way = lane.usage.under_way.saturating_sub(1);
        if taken.target.is_empty() {
            return;
        }
        if let Some(count) = lane.under_way.get_mut(&taken.target) {
            *count -= 1;
            if *count == 0 {
                lane.under_way.remove(&taken.target);
            }
        }
        if let Some(target) = self.targets.get_mut(&taken.target) {
            target.under_way = target.under_way.saturating_sub(1);
            target.seen_ms = now_ms;
        }
    }

    /// How much of a tenant waits.
    pub(crate) fn waiting_of(&self, tenant: &TenantId) -> usize {
        self.lanes.get(tenant).map_or(0, |lane| lane.count)
    }

    /// How much waits in all.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How much of a tenant is under way.
    pub(crate) fn under_way_of(&self, tenant: &TenantId) -> usize {
        self.lanes.get(tenant).map_or(0, |lane| lane.usage.under_way)
    }

    /// How much is under way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// True when more than one tenant was seen of late.
    pub(crate) fn several_tenants(&self, now_ms: i64) -> bool {
        let active = |lane: &&Lane<T>| lane.count > 0 || lane.usage.active(now_ms);
        self.lanes.values().filter(active).nth(1).is_some()
    }

    fn lane(&mut self, tenant: &TenantId, now_ms: i64) -> &mut Lane<T> {
        if !self.lanes.contains_key(tenant) {
            let lane = Lane {
                waiting: BTreeMap::new(),
                count: 0,
                weight: 1,
                deficit: 0,
                usage: Use::default(),
                under_way: BTreeMap::new(),
            };
            self.lanes.insert(tenant.clone(), lane);
        }
        let lane = self.lanes.get_mut(tenant).expect("it was put there just now");
        lane.usage.seen_ms = now_ms;
        lane
    }

    /// The target of the tenant's best that has a place.
    fn eligible(&self, tenant: &TenantId, lane_max: usize, places: usize, now_ms: i64) -> Option<String> {
        let lane = self.lanes.get(tenant)?;
        if lane.usage.under_way >= lane_max {
            return None;
        }
        let target_max = most_of(places, self.several_targets(lane, now_ms));
        let has_connection = |target: &str| {
            !target.contains(':')
                || lane.under_way.get(target).is_none_or(|count| *count < self.connections_max)
        };
        let free = |target: &str| {
            target.is_empty()
                || (self.targets.get(target).is_none_or(|used| used.under_way < target_max)
                    && has_connection(target))
        };
        let heads = lane.waiting.iter().filter(|(target, _)| free(target));
        heads
            .filter_map(|(target, items)| Some((items.keys().next()?, target)))
            .min()
            .map(|(_, target)| target.clone())
    }

    fn several_targets(&self, lane: &Lane<T>, now_ms: i64) -> bool {
        let active = self.targets.iter().filter(|(name, used)| !name.is_empty() && used.active(now_ms));
        let names = active.map(|(name, _)| name).chain(lane.waiting.keys().filter(|name| !name.is_empty()));
        let mut first = None;
        names.into_iter().any(|name| *first.get_or_insert(name) != name)
    }

    fn take_from(&mut self, tenant: &TenantId, target: &str) -> Option<T> {
        let lane = self.lanes.get_mut(tenant)?;
        if lane.deficit == 0 {
            lane.deficit = lane.weight;
        }
        lane.deficit -= 1;
        let items = lane.waiting.get_mut(target)?;
        let (_, item) = items.pop_first()?;
        if items.is_empty() {
            lane.waiting.remove(target);
        }
        lane.count -= 1;
        self.waiting -= 1;
        if lane.count == 0 {
            self.ring.pop_front();
        } else if lane.deficit == 0 {
            self.ring.rotate_left(1);
        }
        Some(item)
    }

    fn begin(&mut self, taken: &Taken, now_ms: i64) {
        self.under_way += 1;
        let lane = self.lane(&taken.tenant, now_ms);
        lane.usage.under_way += 1;
        if !taken.target.is_empty() {
            *lane.under_way.entry(taken.target.clone()).or_default() += 1;
            let target = self.targets.entry(taken.target.clone()).or_default();
            target.under_way += 1;
            target.seen_ms = now_ms;
        }
    }

    /// Forgets who was not seen for long.
    fn sweep(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.swept_ms) < SWEEP_EVERY_MS {
            return;
        }
        self.swept_ms = now_ms;
        self.lanes.retain(|_, lane| lane.count > 0 || lane.usage.active(now_ms));
        self.targets.retain(|_, used| used.active(now_ms));
    }
}

impl Use {
    fn active(&self, now_ms: i64) -> bool {
        self.under_way > 0 || now_ms.saturating_sub(self.seen_ms) < ACTIVE_MS
    }
}

/// All places, or all but those that are kept for others; at least one.
fn most_of(places: usize, several: bool) -> usize {
    if !several || places <= 1 {
        return places;
    }
    places - (places / KEPT_PART).max(1)
}

#[cfg(test)]
#[path = "fair_tests.rs"]
mod tests;
