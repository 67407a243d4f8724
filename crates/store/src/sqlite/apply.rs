//! Writes one prepared batch inside the writer's transaction: first every check, then every row.

use std::collections::HashMap;

use audit::Frontier;
use model::{ExecutionId, TenantId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::prepare::{NewEvents, NewLeaf, Prepared, Row};
use super::tree::{NODE_LEVELS, count};
use crate::batch::{Committed, ExecutionRow, Expect};
use crate::codec::decode;

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) enum Refused {
    /// An expectation does not hold. Nothing was written.
    Conflict(String),
    /// The batch makes no sense. Nothing was written.
    Invalid(String),
    /// The database failed; some rows may have been written inside the transaction.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// The small numbers of tenants, as far as they are known. Must be forgotten when a transaction is rolled back.
#[derive(Debug, Default)]
pub(crate) struct Tenants(HashMap<TenantId, i64>);

/// Most tenants that are remembered.
const TENANTS_MAX: usize = 10_000;

impl Tenants {
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    fn key(&mut self, db: &Connection, tenant: &TenantId) -> rusqlite::Result<i64> {
        if let Some(key) = self.0.get(tenant) {
            return Ok(*key);
        }
        if self.0.len() >= TENANTS_MAX {
            self.0.clear();
        }
        db.prepare_cached("INSERT INTO tenants (id) VALUES (?1) ON CONFLICT DO NOTHING")?
            .execute([tenant.as_str()])?;
        let key = db
            .prepare_cached("SELECT key FROM tenants WHERE id = ?1")?
            .query_row([tenant.as_str()], |row| row.get(0))?;
        self.0.insert(tenant.clone(), key);
        Ok(key)
    }
}

/// Checks and writes one batch. After [`Refused::Sql`] the caller must roll back, and restore `frontier`.
pub(crate) fn apply(
    db: &Connection,
    tenants: &mut Tenants,
    frontier: &mut Frontier,
    batch: &mut Prepared,
) -> Result<Committed, Refused> {
    for expect in &batch.expect {
        check(db, expect)?;
    }
    let mut known = match &batch.events {
        Some(events) => {
            let found = find(db, tenants, &events.tenant, &events.id)?;
            check_events(&batch.rows, events, found.as_ref())?;
            found
        }
        None => None,
    };
    for row in &batch.rows {
        match row {
            Row::Execution(row) => put_execution(db, tenants, batch.events.as_ref(), &mut known, row)?,
            Row::RemoveExecution { tenant, execution, letters } => {
                remove_execution(db, tenants, tenant, execution, letters)?;
            }
            row => put(db, row)?,
        }
    }
    if let Some(events) = &batch.events {
        append_events(db, events, known.as_ref())?;
    }
    let first_leaf = frontier.size();
    for leaf in &mut batch.leaves {
        append_leaf(db, tenants, frontier, leaf)?;
    }
    Ok(Committed { first_leaf, leaves: frontier.size() - first_leaf })
}

/// What must be known of an execution to change it.
#[derive(Debug)]
struct Found {
    key: i64,
    events: u64,
    status: String,
    due_at: Option<i64>,
}

fn check(db: &Connection, expect: &Expect) -> Result<(), Refused> {
    let exists = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<bool, Refused> {
        Ok(db.prepare_cached(sql)?.exists(values)?)
    };
    let conflict = |message: String| Err(Refused::Conflict(message));
    match expect {
        Expect::NoExecution(tenant, id) => {
            let sql =
                "SELECT 1 FROM executions WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND id = ?2";
            if exists(sql, params![tenant.as_str(), id.as_str()])? {
                return conflict(format!("execution `{id}` exists already"));
            }
        }
        Expect::NoDocument(tenant, kind, key) => {
            let sql = "SELECT 1 FROM documents WHERE tenant = ?1 AND kind = ?2 AND key = ?3";
            if exists(sql, params![tenant.as_str(), kind, key])? {
                return conflict(format!("{kind} `{key}` exists already"));
            }
        }
        Expect::Document(tenant, kind, key, digest) => {
            let sql = "SELECT document FROM documents WHERE tenant = ?1 AND kind = ?2 AND key = ?3";
            let text: Option<String> = db
                .prepare_cached(sql)?
                .query_row(params![tenant.as_str(), kind, key], |row| row.get(0))
                .optional()?;
            let Some(text) = text else {
                return conflict(format!("{kind} `{key}` does not exist"));
            };
            let document: serde_json::Value =
                decode(&text, "documents", key).map_err(|error| Refused::Invalid(error.to_string()))?;
            if model::digest_of(&document) != *digest {
                return conflict(format!("{kind} `{key}` was changed by somebody else; read it again"));
            }
        }
        Expect::Ended(tenant, id, at) => {
            let sql = "SELECT 1 FROM executions WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND id = ?2 \
                       AND ended_at = ?3";
            if !exists(sql, params![tenant.as_str(), id.as_str(), at.0])? {
                return conflict(format!("execution `{id}` did not end then, or began again"));
            }
        }
        Expect::NoAnswer(tenant, key, now) => {
            let sql = "SELECT 1 FROM answers WHERE tenant = ?1 AND key = ?2 AND expires_at > ?3";
            if exists(sql, params![tenant.as_str(), key, now.0])? {
                return conflict(format!("idempotency key `{key}` was answered already"));
            }
        }
    }
    Ok(())
}

fn find(
    db: &Connection,
    tenants: &mut Tenants,
    tenant: &TenantId,
    id: &ExecutionId,
) -> Result<Option<Found>, Refused> {
    let sql = "SELECT key, events, status, due_at FROM executions WHERE tenant = ?1 AND id = ?2";
    let tenant = tenants.key(db, tenant)?;
    let found = db
        .prepare_cached(sql)?
        .query_row(params![tenant, id.as_str()], |row| {
            Ok(Found {
                key: row.get(0)?,
                events: count(row.get(1)?),
                status: row.get(2)?,
                due_at: row.get(3)?,
            })
        })
        .optional()?;
    Ok(found)
}

fn check_events(rows: &[Row], events: &NewEvents, found: Option<&Found>) -> Result<(), Refused> {
    let length = found.map_or(0, |found| found.events);
    if length != events.before {
        let message = format!("execution `{}` has {length} events, not {}", events.id, events.before);
        return Err(Refused::Conflict(message));
    }
    let put =
        |row: &Row| matches!(row, Row::Execution(row) if row.id == events.id && row.tenant == events.tenant);
    if found.is_none() && !rows.iter().any(put) {
        return Err(Refused::Invalid(format!(
            "the first events of execution `{}` come without its row",
            events.id
        )));
    }
    Ok(())
}

fn put_execution(
    db: &Connection,
    tenants: &mut Tenants,
    events: Option<&NewEvents>,
    known: &mut Option<Found>,
    row: &ExecutionRow,
) -> Result<(), Refused> {
    let own = events.filter(|events| events.id == row.id && events.tenant == row.tenant);
    let found = if own.is_some() { known.take() } else { find(db, tenants, &row.tenant, &row.id)? };
    let events =
        own.map_or_else(|| found.as_ref().map_or(0, |found| found.events), |own| own.before + own.count);
    let key = match found {
        Some(found) => update_execution(db, &found, events, row)?,
        None => insert_execution(db, tenants, events, row)?,
    };
    if own.is_some() {
        *known = Some(Found { key, events, status: row.status.clone(), due_at: row.due_at.map(|at| at.0) });
    }
    Ok(())
}

fn update_execution(db: &Connection, found: &Found, events: u64, row: &ExecutionRow) -> Result<i64, Refused> {
    let due_at = row.due_at.map(|at| at.0);
    let sql = "UPDATE executions SET namespace = ?2, name = ?3, version = ?4, outcome = ?5, requester = ?6, \
               intent = ?7, error = ?8, started_at = ?9, updated_at = ?10, ended_at = ?11, events = ?12, \
               blocked_on = ?13 WHERE key = ?1";
    db.prepare_cached(sql)?.execute(params![
        found.key,
        row.namespace,
        row.name,
        row.version,
        row.outcome,
        row.requester,
        row.intent,
        row.error,
        row.started_at.0,
        row.updated_at.0,
        row.ended_at.map(|at| at.0),
        events.cast_signed(),
        row.blocked_on,
    ])?;
    // Setting an indexed column writes its indexes even when nothing changes: most steps change neither of these.
    if found.status != row.status || found.due_at != due_at {
        let sql = "UPDATE executions SET status = ?2, due_at = ?3 WHERE key = ?1";
        db.prepare_cached(sql)?.execute(params![found.key, row.status, due_at])?;
    }
    Ok(found.key)
}

fn insert_execution(
    db: &Connection,
    tenants: &mut Tenants,
    events: u64,
    row: &ExecutionRow,
) -> Result<i64, Refused> {
    let sql = "INSERT INTO executions (tenant, id, events, namespace, name, version, status, outcome, blocked_on, \
               requester, intent, error, started_at, updated_at, ended_at, due_at, parent) \
               VALUES (?1, ?2, ?16, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?17)";
    let tenant = tenants.key(db, &row.tenant)?;
    Ok(db.prepare_cached(sql)?.insert(params![
        tenant,
        row.id.as_str(),
        row.namespace,
        row.name,
        row.version,
        row.status,
        row.outcome,
        row.blocked_on,
        row.requester,
        row.intent,
        row.error,
        row.started_at.0,
        row.updated_at.0,
        row.ended_at.map(|at| at.0),
        row.due_at.map(|at| at.0),
        events.cast_signed(),
        row.parent.as_ref().map(ExecutionId::as_str),
    ])?)
}

fn remove_execution(
    db: &Connection,
    tenants: &mut Tenants,
    tenant: &TenantId,
    id: &ExecutionId,
    letters: &str,
) -> Result<(), Refused> {
    let Some(found) = find(db, tenants, tenant, id)? else { return Ok(()) };
    for sql in [
        "DELETE FROM history WHERE execution = ?1",
        "DELETE FROM snapshots WHERE execution = ?1",
        "DELETE FROM executions WHERE key = ?1",
    ] {
        db.prepare_cached(sql)?.execute([found.key])?;
    }
    db.prepare_cached("DELETE FROM approvals WHERE tenant = ?1 AND execution = ?2")?
        .execute([tenant.as_str(), id.as_str()])?;
    if !letters.is_empty() {
        let end = format!("{letters}\u{10ffff}");
        db.prepare_cached("DELETE FROM dead_letters WHERE tenant = ?1 AND id >= ?2 AND id < ?3")?
            .execute([tenant.as_str(), letters, &end])?;
    }
    Ok(())
}

fn append_events(db: &Connection, events: &NewEvents, known: Option<&Found>) -> Result<(), Refused> {
    let Some(found) = known else {
        // Rows may have been written by now, so this must roll back; the checks before them exclude it.
        return Err(Refused::Sql(rusqlite::Error::QueryReturnedNoRows));
    };
    if events.count == 0 {
        return Ok(());
    }
    db.prepare_cached("INSERT INTO history (execution, first, events) VALUES (?1, ?2, ?3)")?
        .execute(params![found.key, events.before.cast_signed(), events.blob,])?;
    let length = events.before + events.count;
    if found.events != length {
        let sql = "UPDATE executions SET events = ?2 WHERE key = ?1";
        db.prepare_cached(sql)?.execute([found.key, length.cast_signed()])?;
    }
    Ok(())
}

fn put(db: &Connection, row: &Row) -> Result<(), Refused> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| db.prepare_cached(sql)?.execute(values);
    match row {
        Row::Execution(_) | Row::RemoveExecution { .. } => Ok(0),
        Row::Snapshot { tenant, execution, version, bytes } => {
            let put = run(
                "INSERT OR REPLACE INTO snapshots (execution, version, bytes) SELECT key, ?3, ?4 FROM executions \
                 WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND id = ?2",
                params![tenant.as_str(), execution.as_str(), version.cast_signed(), bytes],
            );
            crash::at(crash::Point::SnapshotPut);
            put
        }
        Row::RemoveSnapshot { tenant, execution } => run(
            "DELETE FROM snapshots WHERE execution = (SELECT key FROM executions \
             WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND id = ?2)",
            params![tenant.as_str(), execution.as_str()],
        ),
        Row::Approval { tenant, id, execution, status, document } => run(
            "INSERT INTO approvals (tenant, id, execution, status, document) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (tenant, id) DO UPDATE SET execution = ?3, status = ?4, document = ?5",
            params![tenant.as_str(), id, execution, status, document],
        ),
        Row::Document { tenant, kind, key, document } => run(
            "INSERT OR REPLACE INTO documents (tenant, kind, key, document) VALUES (?1, ?2, ?3, ?4)",
            params![tenant.as_str(), kind, key, document],
        ),
        Row::Remove { tenant, kind, key } => run(
            "DELETE FROM documents WHERE tenant = ?1 AND kind = ?2 AND key = ?3",
            params![tenant.as_str(), kind, key],
        ),
        Row::DeadLetter { tenant, id, open, document } => run(
            "INSERT OR REPLACE INTO dead_letters (tenant, id, open, document) VALUES (?1, ?2, ?3, ?4)",
            params![tenant.as_str(), id, open, document],
        ),
        Row::Answer { tenant, key, expires_at, document } => run(
            "INSERT OR REPLACE INTO answers (tenant, key, expires_at, document) VALUES (?1, ?2, ?3, ?4)",
            params![tenant.as_str(), key, expires_at.0, document],
        ),
        Row::Token { id, tenant, document } => run(
            "INSERT OR REPLACE INTO tokens (id, tenant, document) VALUES (?1, ?2, ?3)",
            params![id, tenant.as_str(), document],
        ),
        Row::RemoveToken(id) => run("DELETE FROM tokens WHERE id = ?1", params![id]),
        Row::Secret { tenant, name, sealed } => run(
            "INSERT OR REPLACE INTO secrets (tenant, name, sealed) VALUES (?1, ?2, ?3)",
            params![tenant.as_str(), name, sealed],
        ),
        Row::RemoveSecret { tenant, name } => {
            run("DELETE FROM secrets WHERE tenant = ?1 AND name = ?2", params![tenant.as_str(), name])
        }
    }?;
    Ok(())
}

fn append_leaf(
    db: &Connection,
    tenants: &mut Tenants,
    frontier: &mut Frontier,
    leaf: &mut NewLeaf,
) -> Result<(), Refused> {
    let sequence = frontier.size();
    if let Some(number) = leaf.bytes.first_chunk_mut() {
        *number = sequence.to_be_bytes();
    }
    let hash = audit::leaf_hash(&leaf.bytes);
    let tenant = tenants.key(db, &leaf.tenant)?;
    let sql = "INSERT INTO leaves (sequence, tenant, correlation, hash, bytes) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![
        sequence.cast_signed(),
        tenant,
        leaf.correlation,
        hash,
        leaf.bytes
    ])?;
    let mut stored = Ok(0);
    frontier.append(hash, |level, position, hash| {
        if level % NODE_LEVELS == 0 && stored.is_ok() {
            let sql = "INSERT INTO nodes (level, position, hash) VALUES (?1, ?2, ?3)";
            stored = db
                .prepare_cached(sql)
                .and_then(|mut insert| insert.execute(params![level, position.cast_signed(), hash]));
        }
    });
    stored?;
    Ok(())
}
