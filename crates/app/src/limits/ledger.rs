//! Who holds a place under which limit, and who waits for one, in order.
//!
//! Pure: moments come in as parameters. A subject needs a place in every bucket that counts it, and takes all of them at
//! once or none, so nobody waits while holding. It stands in the line of the first bucket without room; when that one
//! has room and another has not, it moves there and keeps its rank.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::TenantId;

use super::limit::{Holder, Limit, OnExcess, Subject};

/// Waiting in all lines together, of one tenant, at the most.
pub(crate) const LINE_MAX: usize = 50_000;

/// A limit by owner and name.
pub(crate) type Id = (TenantId, String);
type BucketKey = (Id, String);
/// Arrival plus patience, then who.
type Rank = (i64, Holder);

/// Every limit with what it counts.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    limits: BTreeMap<Id, Entry>,
    holdings: BTreeMap<Holder, Vec<BucketKey>>,
    /// In which line each one waits, and with which rank.
    queued: BTreeMap<Holder, (BucketKey, i64)>,
    /// In line although no limit is about it any more.
    unlimited: BTreeSet<Rank>,
    /// Waiting, by tenant.
    waiting: BTreeMap<TenantId, usize>,
    /// Buckets whose line is not empty.
    lines: BTreeSet<BucketKey>,
    /// Holders that went while something was being counted from the store.
    gone: BTreeSet<Holder>,
    /// Nobody is let in before everything of the last process is found again.
    pub(crate) open: bool,
}

#[derive(Debug)]
struct Entry {
    limit: Limit,
    /// What it counts is still being collected: it has no room.
    counting: bool,
    buckets: BTreeMap<String, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    holders: BTreeSet<Holder>,
    /// Starts of the last period, oldest first.
    starts: VecDeque<i64>,
    line: BTreeMap<Rank, Subject>,
}

/// What came of asking for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It has its places, or needs none.
    Free,
    /// This limit has no place now; it may wait.
    Wait(String),
    /// This limit refuses it; there may be a place after so many milliseconds.
    Refused { limit: String, retry_ms: i64 },
    /// Too many of the tenant wait already.
    LineFull(String),
}

/// A bucket as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketView {
    /// Tenant, workflow, action or key.
    pub of: String,
    /// Places taken.
    pub under_way: u64,
    /// In line.
    pub waiting: u64,
}

impl Ledger {
    /// True when nothing is limited and nothing held, so that nothing has to be looked at.
    pub(crate) fn is_idle(&self) -> bool {
        self.limits.is_empty()
            && self.holdings.is_empty()
            && self.queued.is_empty()
            && self.unlimited.is_empty()
    }

    /// Puts a limit in force, uncounted: it has no room before [`Ledger::counted`]. What it or an older one of the name
    /// had in line has to ask again; it is answered.
    pub(crate) fn put(&mut self, limit: Limit) -> Vec<(Holder, Subject, i64)> {
        let id = (limit.owner.clone(), limit.name.clone());
        let asks_again = self.remove(&id);
        self.limits.insert(id, Entry { limit, counting: true, buckets: BTreeMap::new() });
        asks_again
    }

    /// Ends the counting of a limit.
    pub(crate) fn counted(&mut self, id: &Id) {
        if let Some(entry) = self.limits.get_mut(id) {
            entry.counting = false;
        }
        if self.limits.values().all(|entry| !entry.counting) {
            self.gone.clear();
        }
    }

    /// Takes a limit out of force. What stood in its lines has to ask again; it is answered.
    pub(crate) fn remove(&mut self, id: &Id) -> Vec<(Holder, Subject, i64)> {
        let Some(entry) = self.limits.remove(id) else { return Vec::new() };
        for held in self.holdings.values_mut() {
            held.retain(|(of, _)| of != id);
        }
        self.holdings.retain(|_, held| !held.is_empty());
        self.lines.retain(|(of, _)| of != id);
        let mut again = Vec::new();
        for bucket in entry.buckets.into_values() {
            for ((rank, holder), subject) in bucket.line {
                self.no_longer_queued(&holder);
                again.push((holder, subject, rank));
            }
        }
        again.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
        again
    }

    /// Takes every place that the subject needs, or says which limit is in the way.
    pub(crate) fn ask(&mut self, holder: &Holder, subject: &Subject, now_ms: i64) -> Asked {
        if self.holdings.contains_key(holder) {
            return Asked::Free;
        }
        let keys = self.keys(subject);
        let blocked: Vec<&BucketKey> = keys.iter().filter(|key| !self.has_room(key, now_ms, None)).collect();
        let refuses = |key: &&&BucketKey| self.limits[&key.0].limit.on_excess == OnExcess::Refuse;
        if let Some(key) = blocked.iter().find(refuses) {
            return Asked::Refused { limit: key.0.1.clone(), retry_ms: self.retry_ms(key, now_ms) };
        }
        match blocked.first() {
            None => {
                self.hold(holder, keys, Some(now_ms));
                Asked::Free
            }
            Some(key) if self.waiting_of(&holder.0) >= LINE_MAX && !self.queued.contains_key(holder) => {
                Asked::LineFull(key.0.1.clone())
            }
            Some(key) => Asked::Wait(key.0.1.clone()),
        }
    }

    /// Puts something in line behind the first limit that has no room for it, to be let in when all have.
    pub(crate) fn stand_in_line(&mut self, holder: Holder, subject: Subject, rank: i64, now_ms: i64) {
        if self.holdings.contains_key(&holder) || self.queued.contains_key(&holder) {
            return;
        }
        let keys = self.keys(&subject);
        let blocked = keys.iter().find(|key| !self.has_room(key, now_ms, Some((rank, holder.clone()))));
        match blocked.or(keys.first()).cloned() {
            Some(key) => self.join(key, holder, subject, rank),
            None => {
                self.unlimited.insert((rank, holder));
            }
        }
    }

    /// Counts something that runs already, whether or not there is room.
    pub(crate) fn adopt(&mut self, holder: &Holder, subject: &Subject) {
        if self.gone.contains(holder) {
            return;
        }
        let keys = self.keys(subject);
        self.hold(holder, keys, None);
    }

    /// Gives everything up: places, and the place in line.
    pub(crate) fn forget(&mut self, holder: &Holder) {
        if self.limits.values().any(|entry| entry.counting) {
            self.gone.insert(holder.clone());
        }
        for (id, of) in self.holdings.remove(holder).unwrap_or_default() {
            if let Some(bucket) = self.limits.get_mut(&id).and_then(|entry| entry.buckets.get_mut(&of)) {
                bucket.holders.remove(holder);
            }
        }
        self.unlimited.retain(|(_, waiting)| waiting != holder);
        let Some((key, rank)) = self.no_longer_queued(holder) else { return };
        if let Some(bucket) = self.limits.get_mut(&key.0).and_then(|entry| entry.buckets.get_mut(&key.1)) {
            bucket.line.remove(&(rank, holder.clone()));
            if bucket.line.is_empty() {
                self.lines.remove(&key);
            }
        }
    }

    /// What an execution holds or waits for: 0 is itself, others are its effects.
    pub(crate) fn of_execution(&self, tenant: &TenantId, execution: &model::ExecutionId) -> Vec<Holder> {
        let range = (tenant.clone(), execution.clone(), 0)..=(tenant.clone(), execution.clone(), u32::MAX);
        let held = self.holdings.range(range.clone()).map(|(holder, _)| holder);
        held.chain(self.queued.range(range).map(|(holder, _)| holder)).cloned().collect()
    }

    /// The limit in whose line something stands.
    pub(crate) fn line_of(&self, holder: &Holder) -> Option<&str> {
        self.queued.get(holder).map(|((id, _), _)| id.1.as_str())
    }

    /// Lets in whom there is room for, at most `max`, in order.
    pub(crate) fn let_in(&mut self, now_ms: i64, max: usize) -> Vec<Holder> {
        let mut granted = Vec::new();
        if !self.open {
            return granted;
        }
        while granted.len() < max
            && let Some((_, holder)) = self.unlimited.pop_first()
        {
            granted.push(holder);
        }
        for key in self.lines.clone() {
            while granted.len() < max {
                let Some((rank, holder)) = self.head(&key) else { break };
                if !self.has_room(&key, now_ms, Some((rank, holder.clone()))) {
                    break;
                }
                let Some(subject) = self.leave(&key, rank, &holder) else { break };
                let keys = self.keys(&subject);
                let other = keys.iter().find(|k| !self.has_room(k, now_ms, Some((rank, holder.clone()))));
                match other.cloned() {
                    None => {
                        self.hold(&holder, keys, Some(now_ms));
                        granted.push(holder);
                    }
                    Some(other) => self.join(other, holder, subject, rank),
                }
            }
        }
        granted
    }

    /// When time alone makes room for somebody in line.
    pub(crate) fn next_room_ms(&self, now_ms: i64) -> Option<i64> {
        self.lines.iter().filter_map(|key| self.rate_room_ms(key, now_ms)).min()
    }

    /// Forgets buckets that say nothing.
    pub(crate) fn tidy(&mut self, now_ms: i64) {
        for entry in self.limits.values_mut() {
            let per = entry.limit.rate.map_or(0, |rate| rate.per_ms);
            entry.buckets.retain(|_, bucket| {
                bucket.forget_before(now_ms - per);
                !(bucket.holders.is_empty() && bucket.line.is_empty() && bucket.starts.is_empty())
            });
        }
    }

    /// All limits of an owner, or that concern a tenant, in order.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (&Limit, bool)> {
        self.limits.values().map(|entry| (&entry.limit, !entry.counting))
    }

    /// What is under way and waits under a limit: in all, and the busiest buckets.
    pub(crate) fn usage(&self, id: &Id, only: Option<&str>, max: usize) -> (u64, u64, Vec<BucketView>) {
        let Some(entry) = self.limits.get(id) else { return (0, 0, Vec::new()) };
        let view = |(of, bucket): (&String, &Bucket)| BucketView {
            of: of.clone(),
            under_way: bucket.holders.len() as u64,
            waiting: bucket.line.len() as u64,
        };
        let shown = |(of, _): &(&String, &Bucket)| only.is_none_or(|only| only == of.as_str());
        let mut views: Vec<BucketView> = entry.buckets.iter().filter(shown).map(view).collect();
        let totals = views.iter().fold((0, 0), |(u, w), view| (u + view.under_way, w + view.waiting));
        views.sort_by(|a, b| (b.waiting, b.under_way, &a.of).cmp(&(a.waiting, a.under_way, &b.of)));
        views.truncate(max);
        (totals.0, totals.1, views)
    }

    /// Turns in a row of a tenant.
    pub(crate) fn weight(&self, tenant: &TenantId) -> u32 {
        self.limits.values().filter_map(|entry| entry.limit.weight_of(tenant)).min().unwrap_or(1)
    }

    fn waiting_of(&self, tenant: &TenantId) -> usize {
        self.waiting.get(tenant).copied().unwrap_or(0)
    }

    fn keys(&self, subject: &Subject) -> Vec<BucketKey> {
        let key = |(id, entry): (&Id, &Entry)| Some((id.clone(), entry.limit.bucket(subject)?));
        self.limits.iter().filter_map(key).collect()
    }

    /// Whether a bucket takes one more: for a newcomer, or for somebody with this rank.
    fn has_room(&self, key: &BucketKey, now_ms: i64, rank: Option<Rank>) -> bool {
        let Some(entry) = self.limits.get(&key.0) else { return true };
        if entry.counting || !self.open {
            return false;
        }
        let Some(bucket) = entry.buckets.get(&key.1) else { return true };
        let first = match (bucket.line.keys().next(), rank) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(head), Some(rank)) => rank <= *head,
        };
        first
            && entry.limit.concurrency.is_none_or(|most| bucket.holders.len() < most as usize)
            && entry.limit.rate.is_none_or(|rate| bucket.recent(now_ms - rate.per_ms) < rate.count as usize)
    }

    fn rate_room_ms(&self, key: &BucketKey, now_ms: i64) -> Option<i64> {
        let entry = self.limits.get(&key.0)?;
        let rate = entry.limit.rate?;
        let bucket = entry.buckets.get(&key.1)?;
        let recent = bucket.recent(now_ms - rate.per_ms);
        if recent < rate.count as usize {
            return None;
        }
        // The start that has to run out before one more fits.
        let index = bucket.starts.len().checked_sub(rate.count as usize)?;
        bucket.starts.get(index).map(|at| at + rate.per_ms)
    }

    fn retry_ms(&self, key: &BucketKey, now_ms: i64) -> i64 {
        self.rate_room_ms(key, now_ms).map_or(1_000, |at| (at - now_ms).max(1))
    }

    fn hold(&mut self, holder: &Holder, keys: Vec<BucketKey>, starts_ms: Option<i64>) {
        if keys.is_empty() {
            return;
        }
        for (id, of) in &keys {
            let Some(entry) = self.limits.get_mut(id) else { continue };
            let rate = entry.limit.rate;
            let bucket = entry.buckets.entry(of.clone()).or_default();
            bucket.holders.insert(holder.clone());
            if let (Some(rate), Some(at)) = (rate, starts_ms) {
                bucket.forget_before(at - rate.per_ms);
                bucket.starts.push_back(at);
            }
        }
        let held = self.holdings.entry(holder.clone()).or_default();
        held.extend(keys);
        held.sort();
        held.dedup();
    }

    fn join(&mut self, key: BucketKey, holder: Holder, subject: Subject, rank: i64) {
        let Some(entry) = self.limits.get_mut(&key.0) else { return };
        entry.buckets.entry(key.1.clone()).or_default().line.insert((rank, holder.clone()), subject);
        *self.waiting.entry(holder.0.clone()).or_default() += 1;
        self.queued.insert(holder, (key.clone(), rank));
        self.lines.insert(key);
    }

    fn head(&self, key: &BucketKey) -> Option<Rank> {
        self.limits.get(&key.0)?.buckets.get(&key.1)?.line.keys().next().cloned()
    }

    fn leave(&mut self, key: &BucketKey, rank: i64, holder: &Holder) -> Option<Subject> {
        let bucket = self.limits.get_mut(&key.0)?.buckets.get_mut(&key.1)?;
        let subject = bucket.line.remove(&(rank, holder.clone()))?;
        if bucket.line.is_empty() {
            self.lines.remove(key);
        }
        self.no_longer_queued(holder);
        Some(subject)
    }

    fn no_longer_queued(&mut self, holder: &Holder) -> Option<(BucketKey, i64)> {
        let found = self.queued.remove(holder)?;
        if let Some(count) = self.waiting.get_mut(&holder.0) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&holder.0);
            }
        }
        Some(found)
    }
}

impl Bucket {
    fn recent(&self, after_ms: i64) -> usize {
        self.starts.len() - self.starts.partition_point(|at| *at <= after_ms)
    }

    fn forget_before(&mut self, ms: i64) {
        while self.starts.front().is_some_and(|at| *at <= ms) {
            self.starts.pop_front();
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
