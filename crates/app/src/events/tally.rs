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

    /// Refuses an event from outside when the tenant keeps as many as it may.
    pub(super) async fn room_for_event(&self, tenant: &TenantId) -> Result<(), Problem> {
        let most = self.settings.events_max;
        let kept = match self.tally.of(tenant) {
            Some(kept) => kept,
            None => self.events_in_store(tenant).await?,
        };
        if kept < most {
            return Ok(());
        }
        let detail = format!("{kept} events are kept, and {most} may be; each is for seven days");
        Err(Problem::new(429, 2181, "too many events kept", detail))
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
