//! Snapshots: a long execution comes back from its newest state and the events since, not from its beginning.
//!
//! They are a cache. One that is gone, damaged, or of another format or definition is passed over with a warning, and
//! the whole history is replayed.

use std::time::Instant;

use engine::{Execution, Snapshot};
use model::{ExecutionId, Problem, TenantId};
use store::Put;

use crate::app::{App, store_problem};

/// Events between two snapshots at the least. So many replay in some milliseconds; and a snapshot, which is larger than
/// a step, is written with one step of many.
const SNAPSHOT_EVENTS: u64 = 200;
/// One event more for every so many bytes of the last snapshot, so that large states do not cost more than their events.
const SNAPSHOT_BYTES_PER_EVENT: u64 = 2048;
/// A larger state is not kept as a snapshot, in bytes: its history is replayed.
const SNAPSHOT_BYTES_MAX: usize = 4 << 20;

/// When an execution was made a snapshot of last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Snapshotted {
    /// Number of events then; 0 when there is none.
    version: u64,
    /// Its size.
    bytes: u64,
}

impl Snapshotted {
    /// What has to be put for this state, in the batch of its newest events.
    pub(crate) fn put(&mut self, state: &Execution) -> Option<Put> {
        let (tenant, execution) = (state.started.tenant.clone(), state.started.execution.clone());
        if state.is_over() {
            let had = std::mem::take(self).version > 0;
            return had.then_some(Put::RemoveSnapshot { tenant, execution });
        }
        let pause = SNAPSHOT_EVENTS.max(self.bytes / SNAPSHOT_BYTES_PER_EVENT);
        if state.version < self.version + pause {
            return None;
        }
        match state.snapshot().to_bytes() {
            Ok(bytes) => {
                *self = Self { version: state.version, bytes: bytes.len() as u64 };
                if bytes.len() > SNAPSHOT_BYTES_MAX {
                    tracing::debug!(execution.id = %execution, bytes = bytes.len(), "its state is too large for a snapshot");
                    return None;
                }
                Some(Put::Snapshot { tenant, execution, version: state.version, bytes })
            }
            Err(error) => {
                tracing::warn!(execution.id = %execution, %error, "no snapshot was made");
                None
            }
        }
    }
}

impl App {
    /// The state of an execution, without the tasks that ran: from its snapshot, or else from its whole history.
    pub(crate) async fn brought_back(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<(Execution, Snapshotted), Problem> {
        let begun = Instant::now();
        match self.restored(tenant, id).await {
            Ok(Some((state, snapshotted))) => {
                let (from, micros) = (snapshotted.version, begun.elapsed().as_micros());
                tracing::debug!(execution.id = %id, events = state.version, from, micros, "brought back from a snapshot");
                return Ok((state, snapshotted));
            }
            Ok(None) => {}
            Err(problem) => {
                tracing::warn!(execution.id = %id, problem = %problem.internal.as_deref().unwrap_or(&problem.detail), "its snapshot cannot be used; the whole history is replayed");
            }
        }
        Ok((self.replayed(tenant, id, false).await?, Snapshotted::default()))
    }

    async fn restored(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<Option<(Execution, Snapshotted)>, Problem> {
        let Some((version, bytes)) = self.store.snapshot(tenant, id).await.map_err(|e| store_problem(&e))?
        else {
            return Ok(None);
        };
        let snapshot = Snapshot::from_bytes(&bytes).map_err(Problem::machine)?;
        let started = snapshot.started();
        if snapshot.version() != version || started.execution != *id || started.tenant != *tenant {
            return Err(Problem::machine(format!(
                "the snapshot stored for `{id}` at event {version} is of another state"
            )));
        }
        let definition = self.definition(tenant, &started.namespace, &started.name, &started.version).await?;
        let mut state = Execution::restore(definition, snapshot).map_err(Problem::machine)?;
        let rest =
            self.store.load_from(tenant, id, version, u64::MAX).await.map_err(|e| store_problem(&e))?;
        let rest = rest.filter(|rest| rest.total >= version);
        let Some(rest) = rest else {
            return Err(Problem::machine(format!("the history of `{id}` is shorter than its snapshot")));
        };
        for mut event in rest.events {
            self.inflate(tenant, &mut event).await?;
            state.apply(&event);
        }
        Ok(Some((state, Snapshotted { version, bytes: bytes.len() as u64 })))
    }
}
