//! Snapshots: a long execution comes back from its newest state and the events since, not from its beginning.
//!
//! They are a cache. One that is gone, damaged, or of another format or definition is passed over with a warning, and
//! the whole history is replayed.

use std::time::Instant;

use engine::{Execution, Snapshot};
use model::event::{Event, EventBody};
use model::sabotage::{self, Bug};
use model::{ExecutionId, Problem, TenantId};
use store::{ExecutionRow, History, Put, Stored};

use crate::app::{App, store_problem};

/// Events between two snapshots at the least. So many replay in some milliseconds; and a snapshot, which is larger than
/// a step, is written with one step of many.
pub(crate) const SNAPSHOT_EVENTS: u64 = 200;
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
    /// What has to be put for this state, in the batch of its newest events, when there were `every` events since the last.
    pub(crate) fn put(&mut self, state: &Execution, every: u64) -> Option<Put> {
        let (tenant, execution) = (state.started.tenant.clone(), state.started.execution.clone());
        if state.is_over() {
            let had = std::mem::take(self).version > 0;
            return had.then_some(Put::RemoveSnapshot { tenant, execution });
        }
        let pause = every.max(self.bytes / SNAPSHOT_BYTES_PER_EVENT);
        if state.version < self.version + pause {
            return None;
        }
        self.put_now(state)
    }

    /// As [`Snapshotted::put`], however few events there were since.
    pub(crate) fn put_now(&mut self, state: &Execution) -> Option<Put> {
        let (tenant, execution) = (state.started.tenant.clone(), state.started.execution.clone());
        if state.is_over() {
            let had = std::mem::take(self).version > 0;
            return had.then_some(Put::RemoveSnapshot { tenant, execution });
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
    /// Replays the whole history of an execution; with `tracing` the state has all effects and the tasks that ran.
    pub(crate) async fn replayed(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        tracing: bool,
    ) -> Result<Execution, Problem> {
        let history = self.store.load(tenant, id).await.map_err(|e| store_problem(&e))?;
        let Some(history) = history else { return Err(Problem::not_found("execution", id.as_str())) };
        self.replay(tenant, id, history.events, tracing).await
    }

    pub(crate) async fn replay(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        mut events: Vec<Event>,
        tracing: bool,
    ) -> Result<Execution, Problem> {
        for event in &mut events {
            self.inflate(tenant, event).await?;
        }
        let corrupt = |what: &str| Problem::machine(format!("history of `{id}`: {what}"));
        let Some(EventBody::Started(started)) = events.first().map(|event| &event.body) else {
            return Err(corrupt("it does not begin with `started`"));
        };
        let definition = self.definition(tenant, &started.namespace, &started.name, &started.version).await?;
        if definition.digest != started.definition {
            return Err(corrupt(
                "its workflow version compiles to another digest than the one it was started with",
            ));
        }
        Execution::replay(definition, &events, tracing).ok_or_else(|| corrupt("it cannot be replayed"))
    }

    /// The state of an execution, without the tasks that ran: from its snapshot, or else from its whole history.
    pub(crate) async fn brought_back(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<(Execution, Snapshotted), Problem> {
        let (state, snapshotted, _) = self.brought_back_with_row(tenant, id).await?;
        Ok((state, snapshotted))
    }

    /// As [`App::brought_back`], with its row of the same moment.
    pub(crate) async fn brought_back_with_row(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> Result<(Execution, Snapshotted, ExecutionRow), Problem> {
        let stored = self.store.stored(tenant, id).await.map_err(|e| store_problem(&e))?;
        let stored = stored.ok_or_else(|| Problem::not_found("execution", id.as_str()))?;
        self.made_of(tenant, id, stored).await
    }

    /// The state that what the store holds leads to.
    pub(crate) async fn made_of(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        stored: Stored,
    ) -> Result<(Execution, Snapshotted, ExecutionRow), Problem> {
        let begun = Instant::now();
        let Stored { row, snapshot, history } = stored;
        let Some((version, bytes)) = snapshot else {
            let state = self.replay(tenant, id, history.events, false).await?;
            return Ok((state, Snapshotted::default(), row));
        };
        // What went back went to before its snapshot, too: only the whole history leads there.
        if history.events.iter().any(|event| matches!(event.body, EventBody::Rewound(_))) {
            return Ok((self.replayed(tenant, id, false).await?, Snapshotted::default(), row));
        }
        match self.restored(tenant, id, version, &bytes, history).await {
            Ok(state) => {
                let micros = begun.elapsed().as_micros();
                tracing::debug!(execution.id = %id, events = state.version, from = version, micros, "brought back from a snapshot");
                Ok((state, Snapshotted { version, bytes: bytes.len() as u64 }, row))
            }
            Err(problem) => {
                tracing::warn!(execution.id = %id, problem = %problem.internal.as_deref().unwrap_or(&problem.detail), "its snapshot cannot be used; the whole history is replayed");
                Ok((self.replayed(tenant, id, false).await?, Snapshotted::default(), row))
            }
        }
    }

    async fn restored(
        &self,
        tenant: &TenantId,
        id: &ExecutionId,
        version: u64,
        bytes: &[u8],
        rest: History,
    ) -> Result<Execution, Problem> {
        let snapshot = Snapshot::from_bytes(bytes).map_err(Problem::machine)?;
        let started = snapshot.started();
        if snapshot.version() != version || started.execution != *id || started.tenant != *tenant {
            return Err(Problem::machine(format!(
                "the snapshot stored for `{id}` at event {version} is of another state"
            )));
        }
        if rest.total < version {
            return Err(Problem::machine(format!("the history of `{id}` is shorter than its snapshot")));
        }
        let definition = self.definition(tenant, &started.namespace, &started.name, &started.version).await?;
        let mut state = Execution::restore(definition, snapshot).map_err(Problem::machine)?;
        let skipped = usize::from(sabotage::is(Bug::SnapshotSkips));
        for mut event in rest.events.into_iter().skip(skipped) {
            self.inflate(tenant, &mut event).await?;
            state.apply(&event);
        }
        Ok(state)
    }
}
