//! Keeps the schedules: reads them at the start, and settles every moment that comes.

use std::sync::Arc;
use std::time::Duration;

use model::Problem;
use tokio::task::JoinSet;

use super::shelf::Known;
use super::{KIND, Stored};
use crate::app::{App, store_problem, system_tenant};

/// Schedules that begin at once.
const AT_ONCE: usize = 32;
/// Documents that are read at once.
const PAGE: u32 = 1000;
/// Longest sleep: a clock that is set forward is noticed within this time.
const SLEEP_MAX: Duration = Duration::from_secs(1);

impl App {
    /// Settles moments as they come, until the task is dropped.
    pub(crate) async fn keep_schedules(self: &Arc<Self>) {
        loop {
            let now = self.clock.now();
            let (due, next) = self.schedules.due(now);
            if due.is_empty() {
                let sleep = next.map_or(SLEEP_MAX, |at| at.since(now).min(SLEEP_MAX));
                tokio::select! {
                    biased; // either way it looks at what is due
                    () = tokio::time::sleep(sleep) => {}
                    () = self.schedules.changed.notified() => {}
                }
                continue;
            }
            let mut running = JoinSet::new();
            for known in due {
                if running.len() >= AT_ONCE {
                    running.join_next().await;
                }
                let app = Arc::clone(self);
                running.spawn(async move {
                    if !app.settle(&known).await {
                        // Somebody may have changed it meanwhile: what is stored counts.
                        if let Err(problem) = app.read_again(&known).await {
                            tracing::error!(error = %problem, schedule = known.key().1, "a schedule cannot be read");
                        }
                        app.schedules.put_off(&known.key(), app.clock.now());
                    }
                });
            }
            while running.join_next().await.is_some() {}
        }
    }

    /// Reads every schedule. One that cannot be read is an error: it would be in force in name only.
    pub(crate) async fn read_schedules(self: &Arc<Self>) -> Result<(), Problem> {
        let mut after: Option<String> = None;
        loop {
            let page = self.store.documents(&system_tenant(), KIND, "", after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, document) in page {
                let stored: Stored = serde_json::from_value(document)
                    .map_err(|e| Problem::machine(format!("the schedule `{key}` cannot be read: {e}")))?;
                self.take_in(stored).await?;
            }
        }
    }

    async fn read_again(self: &Arc<Self>, known: &Known) -> Result<(), Problem> {
        let (tenant, name) = known.key();
        let found = self.store.document(&system_tenant(), KIND, &format!("{tenant}/{name}")).await;
        match found.map_err(|e| store_problem(&e))? {
            Some(document) => {
                let stored: Stored = serde_json::from_value(document)
                    .map_err(|e| Problem::machine(format!("the schedule `{name}` cannot be read: {e}")))?;
                if stored == known.stored { Ok(()) } else { self.take_in(stored).await }
            }
            None => {
                self.schedules.set(&known.key(), None);
                Ok(())
            }
        }
    }

    /// Puts a stored schedule in force: with its definition, and with what is known of its last execution.
    async fn take_in(self: &Arc<Self>, stored: Stored) -> Result<(), Problem> {
        let definition =
            self.definition(&stored.tenant, &stored.namespace, &stored.name, &stored.version).await?;
        let last = stored.last.clone();
        let known = Known::new(stored, definition);
        let (key, tenant) = (known.key(), known.stored.tenant.clone());
        self.schedules.set(&key, Some(known));
        let Some(last) = last else { return Ok(()) };
        // Watched first: it may end while its row is read.
        self.schedules.watch((tenant.clone(), last.execution.clone()), key.clone());
        let row = self.store.execution(&tenant, &last.execution).await.map_err(|e| store_problem(&e))?;
        // One that retention removed had ended long ago.
        let ended = row.map_or(Some(last.moment), |row| row.ended_at);
        if let Some(at) = ended {
            self.schedules.forget(&(tenant, last.execution.clone()));
            self.schedules.end_of(&key, &last.execution, at);
        }
        Ok(())
    }
}
