//! How long events are kept.

use std::sync::Arc;
use std::time::Duration;

use model::{Digest, ExecutionId, Problem, TenantId, Timestamp};
use store::{Batch, Put};

use super::{KIND, PAGE};
use crate::app::{App, store_problem, system_tenant};

/// How long an event is kept, and its source and id are known.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often old ones are looked for.
const EVERY: Duration = Duration::from_secs(600);
/// Tenants that are looked at.
const TENANTS_MAX: u32 = 10_000;

impl App {
    /// Removes events that are too old, until the task is dropped. What an execution took stays in its history.
    pub(crate) async fn keep_events(self: &Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(problem) = self.remove_old_events().await {
                tracing::error!(error = %problem, internal = problem.internal, "old events could not be removed; it is tried again later");
            }
        }
    }

    async fn remove_old_events(&self) -> Result<(), Problem> {
        let oldest = Timestamp(self.clock.now().0 - i64::try_from(KEPT_FOR.as_millis()).unwrap_or(i64::MAX));
        let made = self.store.documents(&system_tenant(), "tenant", "", None, TENANTS_MAX).await;
        let mut tenants: Vec<TenantId> = made
            .map_err(|e| store_problem(&e))?
            .into_iter()
            .filter_map(|(id, _)| TenantId::new(id).ok())
            .collect();
        tenants.push(system_tenant());
        let end = ExecutionId::derived(oldest, &Digest([0; 32])).to_string();
        for tenant in tenants {
            loop {
                let page = self.store.documents(&tenant, KIND, "", None, PAGE).await;
                let page = page.map_err(|e| store_problem(&e))?;
                let old: Vec<Put> = page
                    .iter()
                    .filter(|(key, _)| *key < end)
                    .map(|(key, _)| Put::Remove {
                        tenant: tenant.clone(),
                        kind: KIND.to_owned(),
                        key: key.clone(),
                    })
                    .collect();
                let whole = old.len() == PAGE as usize;
                if !old.is_empty() {
                    let removed = old.len() as u64;
                    self.commit_one(Batch { puts: old, ..Batch::default() }).await?;
                    self.tally.went(&tenant, removed);
                }
                if !whole {
                    break;
                }
            }
        }
        Ok(())
    }
}
