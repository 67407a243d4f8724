//! Writes one prepared batch inside the writer's transaction: first every check, then every row.

use std::sync::Arc;

use audit::Frontier;
use model::{ExecutionId, TenantId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::known::{Found, Hot, Known, Statements};
use super::later::{Later, Leaf};
use super::prepare::{NewEvents, NewLeaf, Prepared, Row};
use super::tree::NODE_LEVELS;
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

/// Checks and writes one batch, all but what goes into `later`. After [`Refused::Sql`] the caller must roll back, and restore
/// `frontier`.
pub(crate) fn apply<'b>(
    statements: &mut Statements<'_>,
    known: &mut Known,
    frontier: &mut Frontier,
    later: &mut Later<'b>,
    batch: &'b mut Prepared,
) -> Result<Committed, Refused> {
    let db = statements.db;
    let Prepared { lease: _, expect, events, rows, leaves, bytes: _ } = batch;
    let events: Option<&'b NewEvents> = events.as_ref();
    let mut found = match events {
        Some(events) => {
            let found = known.take(statements, &events.tenant, &events.id)?;
            for expect in &*expect {
                match expect {
                    // What was looked for already is not looked for again.
                    Expect::NoExecution(tenant, id) if *tenant == events.tenant && *id == events.id => {
                        refuse_existing(found.is_some(), id)?;
                    }
                    expect => check(db, expect)?,
                }
            }
            check_events(rows, events, found.as_ref())?;
            found
        }
        None => {
            expect.iter().try_for_each(|expect| check(db, expect))?;
            None
        }
    };
    for row in &*rows {
        match row {
            Row::Execution(row) => put_execution(statements, known, events, &mut found, row)?,
            Row::RemoveExecution { tenant, execution, letters } => {
                later.write(statements)?;
                remove_execution(statements, known, tenant, execution, letters)?;
            }
            row => put(db, row)?,
        }
    }
    if let Some(events) = events {
        append_events(statements, later, events, found.as_mut())?;
        if let Some(found) = found {
            known.remember(db, &events.tenant, &events.id, found)?;
        }
    }
    let first_leaf = frontier.size();
    for leaf in leaves {
        append_leaf(db, known, frontier, later, leaf)?;
    }
    Ok(Committed { first_leaf, leaves: frontier.size() - first_leaf })
}

fn refuse_existing(exists: bool, id: &ExecutionId) -> Result<(), Refused> {
    if exists { Err(Refused::Conflict(format!("execution `{id}` exists already"))) } else { Ok(()) }
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
            refuse_existing(exists(sql, params![tenant.as_str(), id.as_str()])?, id)?;
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
    statements: &mut Statements<'_>,
    known: &mut Known,
    events: Option<&NewEvents>,
    held: &mut Option<Found>,
    row: &Arc<ExecutionRow>,
) -> Result<(), Refused> {
    let own = events.filter(|events| events.id == row.id && events.tenant == row.tenant);
    let found = if own.is_some() { held.take() } else { known.take(statements, &row.tenant, &row.id)? };
    let events =
        own.map_or_else(|| found.as_ref().map_or(0, |found| found.events), |own| own.before + own.count);
    let key = match found {
        Some(found) => update_execution(statements, &found, events, row)?,
        None => insert_execution(statements, known, events, row)?,
    };
    let due_at = row.due_at.map(|at| at.0);
    let found = Found { key, events, status: row.status.clone(), due_at, row: Some(Arc::clone(row)) };
    if own.is_some() {
        *held = Some(found);
    } else {
        known.remember(statements.db, &row.tenant, &row.id, found)?;
    }
    Ok(())
}

fn update_execution(
    statements: &mut Statements<'_>,
    found: &Found,
    events: u64,
    row: &ExecutionRow,
) -> Result<i64, Refused> {
    let due_at = row.due_at.map(|at| at.0);
    if found.row.as_ref().is_some_and(|before| goes_on(before, row)) {
        let values = params![found.key, row.updated_at.0, events.cast_signed(), row.blocked_on];
        statements.get(Hot::Progress)?.execute(values)?;
        return Ok(found.key);
    }
    statements.get(Hot::Update)?.execute(params![
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
        statements.get(Hot::Status)?.execute(params![found.key, row.status, due_at])?;
    }
    Ok(found.key)
}

/// True when a step changed nothing of a row but when it was and what it waits for.
fn goes_on(before: &ExecutionRow, row: &ExecutionRow) -> bool {
    let ExecutionRow {
        tenant,
        id,
        namespace,
        name,
        version,
        status,
        outcome,
        blocked_on: _,
        requester,
        intent,
        error,
        started_at,
        updated_at: _,
        ended_at,
        due_at,
        parent,
    } = row;
    before.tenant == *tenant
        && before.id == *id
        && before.namespace == *namespace
        && before.name == *name
        && before.version == *version
        && before.status == *status
        && before.outcome == *outcome
        && before.requester == *requester
        && before.intent == *intent
        && before.error == *error
        && before.started_at == *started_at
        && before.ended_at == *ended_at
        && before.due_at == *due_at
        && before.parent == *parent
}

fn insert_execution(
    statements: &mut Statements<'_>,
    known: &mut Known,
    events: u64,
    row: &ExecutionRow,
) -> Result<i64, Refused> {
    let tenant = known.tenant(statements.db, &row.tenant)?;
    Ok(statements.get(Hot::Insert)?.insert(params![
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
    statements: &mut Statements<'_>,
    known: &mut Known,
    tenant: &TenantId,
    id: &ExecutionId,
    letters: &str,
) -> Result<(), Refused> {
    let Some(found) = known.take(statements, tenant, id)? else { return Ok(()) };
    let db = statements.db;
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

fn append_events<'b>(
    statements: &mut Statements<'_>,
    later: &mut Later<'b>,
    events: &'b NewEvents,
    found: Option<&mut Found>,
) -> Result<(), Refused> {
    let Some(found) = found else {
        // Rows may have been written by now, so this must roll back; the checks before them exclude it.
        return Err(Refused::Sql(rusqlite::Error::QueryReturnedNoRows));
    };
    if events.count == 0 {
        return Ok(());
    }
    later.events(found.key, events.before.cast_signed(), &events.blob);
    let length = events.before + events.count;
    if found.events != length {
        let sql = "UPDATE executions SET events = ?2 WHERE key = ?1";
        statements.db.prepare_cached(sql)?.execute([found.key, length.cast_signed()])?;
        found.events = length;
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

fn append_leaf<'b>(
    db: &Connection,
    known: &mut Known,
    frontier: &mut Frontier,
    later: &mut Later<'b>,
    leaf: &'b mut NewLeaf,
) -> Result<(), Refused> {
    let sequence = frontier.size();
    if let Some(number) = leaf.bytes.first_chunk_mut() {
        *number = sequence.to_be_bytes();
    }
    let leaf: &'b NewLeaf = leaf;
    let hash = audit::leaf_hash(&leaf.bytes);
    let tenant = known.tenant(db, &leaf.tenant)?;
    let (sequence, correlation) = (sequence.cast_signed(), leaf.correlation);
    later.leaf(Leaf { sequence, tenant, correlation, hash, bytes: &leaf.bytes });
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
