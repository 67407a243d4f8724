//! The schedules in force, in memory; what is stored of them is the truth.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use dsl::Definition;
use dsl::schedule::When;
use model::{ExecutionId, Problem, TenantId, Timestamp};
use parking_lot::Mutex;
use store::{Expect, Put};
use tokio::sync::Notify;

use super::{KIND, SHOWN, ScheduleView, Stored, document, rule, stored_key};
use crate::app::system_tenant;

/// First and longest pause before a refused beginning is tried again.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Tenant and `namespace/name`.
pub(super) type Key = (TenantId, String);

/// The schedules in force.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    known: Mutex<BTreeMap<Key, Known>>,
    /// Executions whose end is waited for, by tenant and id.
    watched: Mutex<HashMap<(TenantId, ExecutionId), Key>>,
    /// Something may be due earlier than it was.
    pub(super) changed: Notify,
}

/// A schedule in force.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) stored: Stored,
    pub(super) definition: Arc<Definition>,
    /// When its last execution ended; none while that runs.
    pub(super) ended: Option<Timestamp>,
    /// When it is looked at next; none: when something changes.
    pub(super) due: Option<Timestamp>,
    /// An execution that ended before the schedule knew that it had begun.
    early: Option<(ExecutionId, Timestamp)>,
    pause: Duration,
}

impl Known {
    pub(super) fn new(stored: Stored, definition: Arc<Definition>) -> Self {
        let mut known = Self { stored, definition, ended: None, due: None, early: None, pause: PAUSE };
        known.plan();
        known
    }

    pub(super) fn key(&self) -> Key {
        (self.stored.tenant.clone(), format!("{}/{}", self.stored.namespace, self.stored.name))
    }

    /// True while its last execution has not ended.
    pub(super) fn running(&self) -> bool {
        self.stored.last.is_some() && self.ended.is_none()
    }

    /// Finds out when it is due.
    pub(super) fn plan(&mut self) {
        self.pause = PAUSE;
        self.due = self.next();
    }

    fn next(&self) -> Option<Timestamp> {
        if self.stored.paused.is_some() {
            return None;
        }
        let rule = rule(self)?;
        if let Some(moment) = self.stored.queued.filter(|_| !self.running()) {
            return Some(moment);
        }
        match (&rule.when, self.ended) {
            (When::After(_), _) if self.stored.last.is_none() => Some(self.stored.since),
            (When::After(_), ended) => ended.and_then(|ended| rule.after_end(ended)),
            (When::On(_), _) => None,
            (When::Cron(_) | When::Every(_), _) => rule.next(self.stored.since, self.stored.settled),
        }
    }

    /// It could not begin now: it is tried again later, and later still.
    fn put_off(&mut self, now: Timestamp) {
        self.due = Some(now.plus(self.pause));
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    pub(super) fn view(&self, now: Timestamp) -> ScheduleView {
        let stored = self.stored.clone();
        let rule = rule(self);
        let upcoming = match rule {
            Some(rule) if stored.paused.is_none() => match rule.when {
                When::After(_) | When::On(_) => self.next().into_iter().collect(),
                When::Cron(_) | When::Every(_) => rule.upcoming(stored.since, stored.settled.max(now), SHOWN),
            },
            _ => Vec::new(),
        };
        ScheduleView {
            rule: rule.map(|r| r.when.text()).unwrap_or_default(),
            zone: rule.map(|r| r.zone.to_string()).unwrap_or_default(),
            overlap: rule.map(|r| r.overlap).unwrap_or_default().name(),
            catch_up: rule.map(|r| r.catch_up).unwrap_or_default().name(),
            running: self.running(),
            namespace: stored.namespace,
            name: stored.name,
            version: stored.version,
            by: stored.by,
            since: stored.since,
            paused: stored.paused,
            last: stored.last,
            refused: stored.refused,
            counts: stored.counts,
            upcoming,
        }
    }
}

impl Schedules {
    pub(super) fn get(&self, key: &Key) -> Option<Known> {
        self.known.lock().get(key).cloned()
    }

    pub(super) fn of_tenant(&self, tenant: &TenantId) -> Vec<Known> {
        self.known.lock().values().filter(|known| known.stored.tenant == *tenant).cloned().collect()
    }

    /// Workflows of which this event begins an execution, in order. What a workflow publishes does not begin that workflow.
    pub(crate) fn begun_by(
        &self,
        tenant: &TenantId,
        from: Option<&str>,
        at: Timestamp,
        event: &model::Value,
    ) -> Vec<String> {
        let all = self.known.lock();
        let open = all.iter().filter(|((whose, name), known)| {
            whose == tenant
                && from != Some(name)
                && known.stored.paused.is_none()
                && known.stored.since <= at
                && rule(known).is_some_and(|rule| rule.begins_on(event))
        });
        open.map(|((_, name), _)| name.clone()).collect()
    }

    /// Puts a schedule in force, or takes it out. The end of its last execution is still waited for.
    pub(super) fn set(&self, key: &Key, known: Option<Known>) {
        let mut all = self.known.lock();
        match known {
            Some(mut known) => {
                known.ended = all.get(key).and_then(|before| before.ended);
                known.plan();
                all.insert(key.clone(), known);
            }
            None => {
                all.remove(key);
            }
        }
        drop(all);
        self.changed.notify_one();
    }

    /// Remembers what was committed. None when the schedule is gone meanwhile.
    pub(super) fn replace(&self, key: &Key, stored: Stored) -> Option<Known> {
        let known = {
            let mut all = self.known.lock();
            let known = all.get_mut(key)?;
            if known.stored.last != stored.last {
                let early = known.early.take();
                let of_this =
                    |id: &ExecutionId| stored.last.as_ref().is_some_and(|last| last.execution == *id);
                known.ended = early.filter(|(id, _)| of_this(id)).map(|(_, at)| at);
            }
            known.stored = stored;
            known.plan();
            known.clone()
        };
        self.changed.notify_one();
        Some(known)
    }

    pub(super) fn put_off(&self, key: &Key, now: Timestamp) {
        if let Some(known) = self.known.lock().get_mut(key) {
            known.put_off(now);
        }
    }

    /// Those that are due, in order of their workflows; and when the next one is.
    pub(super) fn due(&self, now: Timestamp) -> (Vec<Known>, Option<Timestamp>) {
        let all = self.known.lock();
        let due = all.values().filter(|known| known.due.is_some_and(|at| at <= now)).cloned().collect();
        (due, all.values().filter_map(|known| known.due).filter(|at| *at > now).min())
    }

    /// Waits for the end of an execution.
    pub(super) fn watch(&self, execution: (TenantId, ExecutionId), key: Key) {
        self.watched.lock().insert(execution, key);
    }

    pub(super) fn forget(&self, execution: &(TenantId, ExecutionId)) {
        self.watched.lock().remove(execution);
    }

    /// An execution ended: its schedule may go on.
    pub(crate) fn ended(&self, tenant: &TenantId, execution: &ExecutionId, at: Timestamp) {
        // Nearly always empty or a handful: looked at for every end.
        let mut watched = self.watched.lock();
        if watched.is_empty() {
            return;
        }
        let Some(key) = watched.remove(&(tenant.clone(), execution.clone())) else { return };
        drop(watched);
        self.end_of(&key, execution, at);
    }

    pub(super) fn end_of(&self, key: &Key, execution: &ExecutionId, at: Timestamp) {
        if let Some(known) = self.known.lock().get_mut(key) {
            if known.stored.last.as_ref().is_some_and(|last| last.execution == *execution) {
                known.ended = Some(at);
                known.plan();
            } else {
                known.early = Some((execution.clone(), at));
            }
        }
        self.changed.notify_one();
    }
}

/// The guard and the document of a change.
pub(super) fn compare(before: &Stored, after: &Stored) -> Result<(Expect, Put), Problem> {
    let stood = serde_json::to_value(before).map_err(Problem::machine)?;
    let key = stored_key(&(before.tenant.clone(), format!("{}/{}", before.namespace, before.name)));
    let guard = Expect::Document(system_tenant(), KIND.into(), key, model::digest_of(&stood));
    Ok((guard, document(after)?))
}
