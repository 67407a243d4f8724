//! Rows that a group adds at the end of its tables: gathered while the batches are taken, and written many with one
//! statement.
//!
//! A statement opens its table and its indexes, looks for its place, and closes them again. History and leaves of a group
//! come in order, so one statement for many of them finds its place once. Nothing that a batch is checked against reads
//! these tables; what is about to remove some of their rows writes first what is left here.

use super::known::{Hot, ROWS, Statements};

/// New events of one execution.
struct Events<'b> {
    execution: i64,
    first: i64,
    blob: &'b [u8],
}

/// A leaf with its place in the log.
pub(crate) struct Leaf<'b> {
    pub(crate) sequence: i64,
    pub(crate) tenant: i64,
    pub(crate) correlation: i64,
    pub(crate) hash: [u8; 32],
    pub(crate) bytes: &'b [u8],
}

/// What is still to be written of a group, or of one batch.
#[derive(Default)]
pub(crate) struct Later<'b> {
    events: Vec<Events<'b>>,
    leaves: Vec<Leaf<'b>>,
}

impl<'b> Later<'b> {
    /// Events that follow `first` others.
    pub(crate) fn events(&mut self, execution: i64, first: i64, blob: &'b [u8]) {
        self.events.push(Events { execution, first, blob });
    }

    pub(crate) fn leaf(&mut self, leaf: Leaf<'b>) {
        self.leaves.push(leaf);
    }

    /// Writes everything that is left.
    pub(crate) fn write(&mut self, statements: &mut Statements<'_>) -> rusqlite::Result<()> {
        for many in chunks(&self.events) {
            let statement = statements.get(if many.len() == ROWS { Hot::Histories } else { Hot::History })?;
            for (row, events) in many.iter().enumerate() {
                let at = row * 3;
                statement.raw_bind_parameter(at + 1, events.execution)?;
                statement.raw_bind_parameter(at + 2, events.first)?;
                statement.raw_bind_parameter(at + 3, events.blob)?;
            }
            statement.raw_execute()?;
        }
        for many in chunks(&self.leaves) {
            let statement = statements.get(if many.len() == ROWS { Hot::Leaves } else { Hot::Leaf })?;
            for (row, leaf) in many.iter().enumerate() {
                let at = row * 5;
                statement.raw_bind_parameter(at + 1, leaf.sequence)?;
                statement.raw_bind_parameter(at + 2, leaf.tenant)?;
                statement.raw_bind_parameter(at + 3, leaf.correlation)?;
                statement.raw_bind_parameter(at + 4, &leaf.hash[..])?;
                statement.raw_bind_parameter(at + 5, leaf.bytes)?;
            }
            statement.raw_execute()?;
        }
        self.events.clear();
        self.leaves.clear();
        Ok(())
    }
}

/// As many as one statement takes, as long as there are so many, and then one by one.
fn chunks<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let whole = rows.chunks_exact(ROWS);
    let rest = whole.remainder().chunks(1);
    whole.chain(rest)
}
