//! Executions in memory, each in the hands of at most one step at a time.

use std::collections::HashMap;
use std::sync::Arc;

use engine::Execution;
use model::{ExecutionId, TenantId, Timestamp};
use parking_lot::Mutex;
use store::ExecutionRow;
use tokio::sync::OwnedMutexGuard;

use crate::admission::AtWork;
use crate::snapshots::Snapshotted;

pub(crate) type Key = (TenantId, ExecutionId);

/// Executions in memory.
#[derive(Default)]
pub(crate) struct Hot {
    slots: Mutex<HashMap<Key, Slot>>,
}

/// One execution in memory. Whoever holds the lock is the only one who changes it.
#[derive(Default, Clone)]
pub(crate) struct Slot(Arc<tokio::sync::Mutex<Cell>>);

/// What is known of it.
#[derive(Default)]
pub(crate) struct Cell {
    /// Behind a pointer: a step takes it out and puts it back.
    pub(crate) state: Option<Box<Execution>>,
    /// What the row says about being woken, to know whether it has to be written again.
    pub(crate) due_at: Option<Timestamp>,
    /// What the row says it waits for, for the same reason: whoever wakes those that wait for something reads rows.
    pub(crate) blocked_on: Option<String>,
    /// Taken out of the map: whoever waited for it looks again.
    gone: bool,
    /// The snapshot that the store has.
    pub(crate) snapshot: Snapshotted,
    /// It counts as at work for as long as it is kept.
    pub(crate) at_work: Option<AtWork>,
}

/// An execution that its holder alone may change.
pub(crate) struct Held {
    pub(crate) key: Key,
    pub(crate) slot: Slot,
    pub(crate) cell: OwnedMutexGuard<Cell>,
}

impl Held {
    /// Its state.
    pub(crate) fn state(&self) -> Option<&Execution> {
        self.cell.state.as_deref()
    }
}

impl Cell {
    /// Takes in what the store holds.
    pub(crate) fn fill(&mut self, (state, snapshot, row): (Execution, Snapshotted, ExecutionRow)) {
        self.state = Some(Box::new(state));
        self.snapshot = snapshot;
        self.due_at = row.due_at;
        self.blocked_on = row.blocked_on;
    }
}

impl Hot {
    /// The slot of an execution, locked. A slot that was given up while we waited is left for a new one.
    pub(crate) async fn locked(&self, key: &Key) -> (Slot, OwnedMutexGuard<Cell>) {
        loop {
            let slot = self.slots.lock().entry(key.clone()).or_default().clone();
            let cell = Arc::clone(&slot.0).lock_owned().await;
            if !cell.gone {
                return (slot, cell);
            }
        }
    }

    /// As [`Hot::locked`], when nobody has it at this moment.
    pub(crate) fn locked_at_once(&self, key: &Key) -> Option<(Slot, OwnedMutexGuard<Cell>)> {
        let slot = self.slots.lock().entry(key.clone()).or_default().clone();
        let cell = Arc::clone(&slot.0).try_lock_owned().ok()?;
        (!cell.gone).then_some((slot, cell))
    }

    /// Gives a slot up.
    pub(crate) fn forget(&self, key: &Key, slot: &Slot, cell: &mut Cell) {
        cell.state = None;
        cell.at_work = None;
        cell.gone = true;
        let mut slots = self.slots.lock();
        if slots.get(key).is_some_and(|held| Arc::ptr_eq(&held.0, &slot.0)) {
            slots.remove(key);
        }
    }
}
