//! How many events each tenant keeps, and whether there is room for one more.

use std::collections::BTreeMap;

use model::{Problem, TenantId};
use parking_lot::Mutex;

use super::{KIND, PAGE};
use crate::app::{App, store_problem};
use crate::family::mail::{Message, What};

/// Events by tenant, of those that were asked about. Memory only: counted in the store when it is asked first.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<TenantId, u64>>);

impl Tally {
    fn of(&self, tenant: &TenantId) -> Option<u64> {
        self.0.lock().get(tenant).copied()
    }

    /// Events that are durable since just now.
    fn came(&self, tenant: &TenantId, events: u64) {
        if let Some(kept) = self.0.lock().get_mut(tenant) {
            *kept = kept.saturating_add(events);
        }
    }

    /// Events that were removed.
    pub(super) fn went(&self, tenant: &TenantId, events: u64) {
        if let Some(kept) = self.0.lock().get_mut(tenant) {
            *kept = kept.saturating_sub(events);
        }
    }
}

impl App {
    /// Posts messages that are durable since just now.
    pub(crate) fn post(&self, messages: Vec<Message>) {
        for message in messages.iter().filter(|message| matches!(message.what, What::Event { .. })) {
            self.tally.came(&message.tenant, 1);
        }
        self.mail.post(messages);
    }

    /// How many more events from outside a tenant may keep.
    pub(super) async fn room_for_events(&self, tenant: &TenantId) -> Result<u64, Problem> {
        let kept = match self.tally.of(tenant) {
            Some(kept) => kept,
            None => self.events_in_store(tenant).await?,
        };
        Ok(self.settings.events_max.saturating_sub(kept))
    }

    /// The answer to an event that there is no room for.
    pub(super) fn no_room(&self) -> Problem {
        let most = self.settings.events_max;
        let detail = format!("{most} events are kept, and no more may be; each is for seven days");
        Problem::new(429, 2181, "too many events kept", detail)
    }

    /// Counts in the store. Those that come meanwhile may be counted twice or not at all: the limit is one of memory and disk.
    async fn events_in_store(&self, tenant: &TenantId) -> Result<u64, Problem> {
        let (mut kept, mut after) = (0_u64, None::<String>);
        loop {
            let page = self.store.documents(tenant, KIND, "", after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            kept += page.len() as u64;
            match page.last() {
                Some((last, _)) if kept < self.settings.events_max => after = Some(last.clone()),
                _ => break,
            }
        }
        self.tally.0.lock().insert(tenant.clone(), kept);
        Ok(kept)
    }
}
