//! What the writer knows of the database without asking it, and its statements.
//!
//! The writer is the only one who writes, so what it wrote last is what is there, as long as the transaction stands: all
//! of this is forgotten with every transaction that is rolled back.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use model::{ExecutionId, TenantId};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::tree::count;
use crate::batch::ExecutionRow;

/// Most tenants that are remembered.
const TENANTS_MAX: usize = 10_000;
/// Most executions that are remembered; beyond that, the memory starts anew.
const EXECUTIONS_MAX: usize = 4_096;

/// Tenants and executions, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    tenants: HashMap<TenantId, i64>,
    /// The tenant that was asked for last: most batches are of the same.
    last: Option<(TenantId, i64)>,
    executions: HashMap<(i64, ExecutionId), Found>,
}

/// What must be known of an execution to change it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) key: i64,
    pub(crate) events: u64,
    pub(crate) status: String,
    pub(crate) due_at: Option<i64>,
    /// Its row, when it was written since the store was opened; `updated_at` and `blocked_on` may be older.
    pub(crate) row: Option<Arc<ExecutionRow>>,
}

impl Known {
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The small number of a tenant; a new one is given one.
    pub(crate) fn tenant(&mut self, db: &Connection, tenant: &TenantId) -> rusqlite::Result<i64> {
        if let Some((_, key)) = self.last.as_ref().filter(|(last, _)| last == tenant) {
            return Ok(*key);
        }
        let key = match self.tenants.get(tenant) {
            Some(key) => *key,
            None => {
                if self.tenants.len() >= TENANTS_MAX {
                    self.tenants.clear();
                }
                db.prepare_cached("INSERT INTO tenants (id) VALUES (?1) ON CONFLICT DO NOTHING")?
                    .execute([tenant.as_str()])?;
                let key = db
                    .prepare_cached("SELECT key FROM tenants WHERE id = ?1")?
                    .query_row([tenant.as_str()], |row| row.get(0))?;
                self.tenants.insert(tenant.clone(), key);
                key
            }
        };
        self.last = Some((tenant.clone(), key));
        Ok(key)
    }

    /// Takes what is known of an execution out of the memory, or asks the database. None when there is none.
    pub(crate) fn take(
        &mut self,
        statements: &mut Statements<'_>,
        tenant: &TenantId,
        id: &ExecutionId,
    ) -> rusqlite::Result<Option<Found>> {
        let tenant = self.tenant(statements.db, tenant)?;
        if let Some(found) = self.executions.remove(&(tenant, id.clone())) {
            return Ok(Some(found));
        }
        let read = |row: &rusqlite::Row<'_>| {
            let (events, status, due_at) = (count(row.get(1)?), row.get(2)?, row.get(3)?);
            Ok(Found { key: row.get(0)?, events, status, due_at, row: None })
        };
        statements.get(Hot::Find)?.query_row(params![tenant, id.as_str()], read).optional()
    }

    /// Remembers an execution as it was just written; one that has ended is not written soon again.
    pub(crate) fn remember(
        &mut self,
        db: &Connection,
        tenant: &TenantId,
        id: &ExecutionId,
        found: Found,
    ) -> rusqlite::Result<()> {
        if found.row.as_ref().is_none_or(|row| row.ended_at.is_some()) {
            return Ok(());
        }
        if self.executions.len() >= EXECUTIONS_MAX {
            self.executions.clear();
        }
        let tenant = self.tenant(db, tenant)?;
        self.executions.insert((tenant, id.clone()), found);
        Ok(())
    }
}

/// Statements that most batches need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hot {
    Find,
    Progress,
    Update,
    Status,
    Insert,
    History,
    Histories,
    Leaf,
    Leaves,
}

impl Hot {
    const COUNT: usize = 9;

    fn sql(self) -> &'static str {
        match self {
            Self::Find => "SELECT key, events, status, due_at FROM executions WHERE tenant = ?1 AND id = ?2",
            Self::Progress => {
                "UPDATE executions SET updated_at = ?2, events = ?3, blocked_on = ?4 WHERE key = ?1"
            }
            Self::Update => {
                "UPDATE executions SET namespace = ?2, name = ?3, version = ?4, outcome = ?5, requester = ?6, \
                 intent = ?7, error = ?8, started_at = ?9, updated_at = ?10, ended_at = ?11, events = ?12, \
                 blocked_on = ?13 WHERE key = ?1"
            }
            Self::Status => "UPDATE executions SET status = ?2, due_at = ?3 WHERE key = ?1",
            Self::Insert => {
                "INSERT INTO executions (tenant, id, events, namespace, name, version, status, outcome, blocked_on, \
                 requester, intent, error, started_at, updated_at, ended_at, due_at, parent) \
                 VALUES (?1, ?2, ?16, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?17)"
            }
            Self::History => HISTORY,
            Self::Histories => &HISTORIES,
            Self::Leaf => LEAF,
            Self::Leaves => &LEAVES,
        }
    }
}

/// Rows of one statement that adds many. `OR FAIL`: whatever fails undoes the group, or goes back to a savepoint, so
/// SQLite need not keep a copy of every page to undo the one statement.
pub(crate) const ROWS: usize = 16;
const HISTORY: &str = "INSERT OR FAIL INTO history (execution, first, events) VALUES (?, ?, ?)";
static HISTORIES: LazyLock<String> = LazyLock::new(|| format!("{HISTORY}{}", ", (?, ?, ?)".repeat(ROWS - 1)));
const LEAF: &str =
    "INSERT OR FAIL INTO leaves (sequence, tenant, correlation, hash, bytes) VALUES (?, ?, ?, ?, ?)";
static LEAVES: LazyLock<String> = LazyLock::new(|| format!("{LEAF}{}", ", (?, ?, ?, ?, ?)".repeat(ROWS - 1)));

/// The statements of one group, each looked up once.
pub(crate) struct Statements<'db> {
    pub(crate) db: &'db Connection,
    hot: [Option<CachedStatement<'db>>; Hot::COUNT],
}

impl<'db> Statements<'db> {
    pub(crate) fn new(db: &'db Connection) -> Self {
        Self { db, hot: [const { None }; Hot::COUNT] }
    }

    pub(crate) fn get(&mut self, which: Hot) -> rusqlite::Result<&mut CachedStatement<'db>> {
        let slot = &mut self.hot[which as usize];
        match slot {
            Some(statement) => Ok(statement),
            None => Ok(slot.insert(self.db.prepare_cached(which.sql())?)),
        }
    }
}
