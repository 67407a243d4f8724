//! What reads answer, each over one connection.

use model::approval::Approval;
use model::{ExecutionId, TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::tree::count;
use crate::batch::ExecutionRow;
use crate::codec::{
    correlation_key, corrupt, cursor_of, cursor_of_text, decode, decode_events, key_of, text_of,
};
use crate::query::{
    ApprovalQuery, AuditQuery, Blocked, ExecutionQuery, History, LeafRow, Page, StoreError, Stored,
};

/// Most items of a page, whatever is asked for.
const PAGE_MAX: u32 = 1000;
/// Rows that one page of a search looks at; the page then ends with a cursor, perhaps before it is full.
const ROWS_SCANNED_MAX: usize = 20_000;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => Self::Corrupt(error.to_string()),
            other if other.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                Self::Corrupt(other.to_string())
            }
            other if pages::is_wrong_sum(&other) => {
                Self::Corrupt("a page of the database does not fit its checksum".to_owned())
            }
            other if other.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                Self::Full(other.to_string())
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Events number `from` and later, at most `limit`. Looks only at the rows that hold them.
pub(crate) fn history(
    db: &Connection,
    tenant: &TenantId,
    id: &ExecutionId,
    from: u64,
    limit: u64,
) -> Result<Option<History>, StoreError> {
    let sql = "SELECT key, events FROM executions \
               WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND id = ?2";
    let found: Option<(i64, i64)> = db
        .prepare_cached(sql)?
        .query_row([tenant.as_str(), id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((key, total)) = found else { return Ok(None) };
    let total = count(total);
    let wanted = from.min(total)..from.saturating_add(limit).min(total);
    if wanted.is_empty() {
        return Ok(Some(History { events: Vec::new(), total }));
    }
    let mut events = Vec::new();
    // The row that holds the first wanted event begins at it or before it.
    let sql = "SELECT first, events FROM history WHERE execution = ?1 AND first >= \
               (SELECT max(first) FROM history WHERE execution = ?1 AND first <= ?2) ORDER BY first";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query([key, wanted.start.cast_signed()])?;
    let mut begin = None;
    let mut reached = wanted.start;
    while let Some(row) = rows.next()? {
        let first = count(row.get(0)?);
        let gap = begin.is_some() && first != reached;
        if gap || first > reached {
            return Err(corrupt("history", id, format_args!("event {reached} is missing")));
        }
        begin.get_or_insert(first);
        let blob = row.get_ref(1)?.as_blob().map_err(|error| corrupt("history", id, error))?;
        let before = events.len() as u64;
        decode_events(blob, &mut events).map_err(|what| corrupt("history", id, what))?;
        reached = first + (events.len() as u64 - before);
        if reached >= wanted.end {
            break;
        }
    }
    if reached < wanted.end || reached > total {
        return Err(corrupt("history", id, format_args!("{reached} of {total} events are there")));
    }
    let skipped = usize::try_from(wanted.start - begin.unwrap_or(wanted.start)).unwrap_or(usize::MAX);
    events.drain(..skipped.min(events.len()));
    events.truncate(usize::try_from(wanted.end - wanted.start).unwrap_or(usize::MAX));
    Ok(Some(History { events, total }))
}

/// The newest snapshot: how many events it stands for, and its bytes.
pub(crate) fn snapshot(
    db: &Connection,
    tenant: &TenantId,
    id: &ExecutionId,
) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
    let sql = "SELECT snapshots.version, bytes FROM executions \
               JOIN snapshots ON snapshots.execution = executions.key \
               WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND id = ?2";
    let found = db
        .prepare_cached(sql)?
        .query_row([tenant.as_str(), id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(version, bytes): (i64, Vec<u8>)| (count(version), bytes)))
}

/// Everything that bringing an execution back takes.
pub(crate) fn stored(
    db: &Connection,
    tenant: &TenantId,
    id: &ExecutionId,
) -> Result<Option<Stored>, StoreError> {
    let Some(row) = execution(db, tenant, id)? else { return Ok(None) };
    let snapshot = snapshot(db, tenant, id)?;
    let from = snapshot.as_ref().map_or(0, |(version, _)| *version);
    let history = history(db, tenant, id, from, u64::MAX)?;
    Ok(history.map(|history| Stored { row, snapshot, history }))
}

pub(crate) fn unfinished(
    db: &Connection,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<(i64, TenantId, ExecutionId)>, StoreError> {
    let sql = "SELECT tenants.id, executions.id, executions.key FROM executions \
               JOIN tenants ON tenants.key = executions.tenant \
               WHERE status IN ('pending', 'running') AND executions.key > ?1 ORDER BY executions.key LIMIT ?2";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![after.unwrap_or(i64::MIN), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(2)?, tenant_at(row, 0)?, execution_at(row, 1)?));
    }
    Ok(found)
}

/// How `blocked_on` of what runs begins.
const RUNNING: &str = "effect:";
/// What the index of `blocked_on` says of its rows, in the very words of its definition.
const BLOCKED_INDEXED: &str = "(status <> 'running' OR substr(blocked_on, 1, 7) <> 'effect:')";

pub(crate) fn blocked(
    db: &Connection,
    prefix: &str,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<Blocked>, StoreError> {
    // Between the prefix and the prefix with the last code point behind it lies what begins with it.
    // What runs is not in the index: it is only looked through when the prefix may mean it.
    let indexed = !(RUNNING.starts_with(prefix) || prefix.starts_with(RUNNING));
    let part = if indexed { BLOCKED_INDEXED } else { "1" };
    let sql = format!(
        "SELECT tenants.id, executions.id, executions.key, blocked_on FROM executions \
         JOIN tenants ON tenants.key = executions.tenant \
         WHERE blocked_on IS NOT NULL AND {part} AND blocked_on >= ?1 AND blocked_on < ?2 AND executions.key > ?3 \
         ORDER BY executions.key LIMIT ?4"
    );
    let mut select = db.prepare_cached(&sql)?;
    let high = format!("{prefix}\u{10ffff}");
    let mut rows = select.query(params![prefix, high, after.unwrap_or(i64::MIN), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (tenant, execution) = (tenant_at(row, 0)?, execution_at(row, 1)?);
        found.push(Blocked { key: row.get(2)?, tenant, execution, on: row.get(3)? });
    }
    Ok(found)
}

const EXECUTION_COLUMNS: &str = "key, id, namespace, name, version, status, outcome, blocked_on, requester, intent, \
                                 error, started_at, updated_at, ended_at, due_at, parent";

pub(crate) fn execution(
    db: &Connection,
    tenant: &TenantId,
    id: &ExecutionId,
) -> Result<Option<ExecutionRow>, StoreError> {
    let sql = format!(
        "SELECT {EXECUTION_COLUMNS} FROM executions \
         WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND id = ?2"
    );
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query([tenant.as_str(), id.as_str()])?;
    rows.next()?.map(|row| execution_of(tenant, row)).transpose()
}

pub(crate) fn executions(
    db: &Connection,
    tenant: &TenantId,
    query: &ExecutionQuery,
) -> Result<Page<ExecutionRow>, StoreError> {
    let below = query.cursor.as_deref().map_or(Ok(i64::MAX), key_of)?;
    let limit = query.limit.clamp(1, PAGE_MAX) as usize;
    // One status has an index of its own; several are filtered like everything else.
    let status = match query.statuses.as_slice() {
        [one] => Some(one.as_str()),
        _ => None,
    };
    let by_status = if status.is_some() { "AND status = ?3" } else { "AND ?3 IS NULL" };
    let by_parent = if query.parent.is_some() { "AND parent = ?4" } else { "AND ?4 IS NULL" };
    let sql = format!(
        "SELECT {EXECUTION_COLUMNS} FROM executions \
         WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND key < ?2 {by_status} {by_parent} ORDER BY key DESC"
    );
    let text = query.text.as_ref().map(|text| text.to_lowercase());
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params![tenant.as_str(), below, status, query.parent])?;
    let mut items = Vec::new();
    let (mut last, mut scanned) = (below, 0);
    while let Some(row) = rows.next()? {
        let execution = execution_of(tenant, row)?;
        let fits = matches(query, text.as_deref(), &execution);
        if scanned == ROWS_SCANNED_MAX || (fits && items.len() == limit) {
            return Ok(Page { items, next: Some(cursor_of(last)) });
        }
        last = row.get(0)?;
        scanned += 1;
        if fits {
            items.push(execution);
        }
    }
    Ok(Page { items, next: None })
}

fn matches(query: &ExecutionQuery, text: Option<&str>, row: &ExecutionRow) -> bool {
    let holds = |text: &str| {
        let fields = [
            Some(row.id.as_str()),
            Some(&row.name),
            row.intent.as_deref(),
            Some(&row.requester),
            row.error.as_deref(),
        ];
        fields.into_iter().flatten().any(|field| field.to_lowercase().contains(text))
    };
    (query.statuses.is_empty() || query.statuses.contains(&row.status))
        && query.outcome.as_ref().is_none_or(|outcome| row.outcome.as_ref() == Some(outcome))
        && query.blocked_on.as_ref().is_none_or(|wanted| {
            let rest = row.blocked_on.as_ref().and_then(|blocked| blocked.strip_prefix(wanted.as_str()));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        })
        && query.requester.as_ref().is_none_or(|requester| row.requester == *requester)
        && query.workflow.as_ref().is_none_or(|workflow| match workflow.split_once('/') {
            Some((namespace, name)) => row.namespace == namespace && row.name == name,
            None => row.name == *workflow,
        })
        && query.after.is_none_or(|after| row.started_at >= after)
        && query.before.is_none_or(|before| row.started_at < before)
        && text.is_none_or(holds)
}

pub(crate) fn ended(
    db: &Connection,
    tenant: &TenantId,
    before: Timestamp,
    after: Option<i64>,
    limit: u32,
) -> Result<(Vec<ExecutionRow>, Option<i64>), StoreError> {
    let sql = format!(
        "SELECT {EXECUTION_COLUMNS} FROM executions \
         WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) AND key > ?2 ORDER BY key"
    );
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params![tenant.as_str(), after.unwrap_or(i64::MIN)])?;
    let (mut items, mut scanned) = (Vec::new(), 0);
    let mut last = after;
    while let Some(row) = rows.next()? {
        if scanned == ROWS_SCANNED_MAX || items.len() >= limit.clamp(1, PAGE_MAX) as usize {
            return Ok((items, last));
        }
        scanned += 1;
        last = Some(row.get(0)?);
        let ended_at: Option<i64> = row.get("ended_at")?;
        if ended_at.is_some_and(|at| at <= before.0) {
            items.push(execution_of(tenant, row)?);
        }
    }
    Ok((items, None))
}

pub(crate) fn count_by_block(db: &Connection, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
    // What stands before the colon is a handful of words. The tenant's own rows are looked through, nobody else's.
    let sql = "SELECT CASE WHEN blocked_on LIKE 'limit:%' OR blocked_on LIKE 'control:%' OR instr(blocked_on, ':') = 0 \
               THEN blocked_on ELSE substr(blocked_on, 1, instr(blocked_on, ':') - 1) END AS kind, count(*) \
               FROM executions WHERE blocked_on IS NOT NULL \
               AND tenant = (SELECT key FROM tenants WHERE id = ?1) GROUP BY kind ORDER BY kind";
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map([tenant.as_str()], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn count_by_status(db: &Connection, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
    let sql = "SELECT status, count(*) FROM executions \
               WHERE tenant = (SELECT key FROM tenants WHERE id = ?1) GROUP BY status ORDER BY status";
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map([tenant.as_str()], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One text column of at most one row, decoded.
pub(crate) fn one<T: serde::de::DeserializeOwned>(
    db: &Connection,
    table: &str,
    sql: &str,
    values: &[&str],
) -> Result<Option<T>, StoreError> {
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(rusqlite::params_from_iter(values))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let text = row.get_ref(0)?.as_str().map_err(|error| corrupt(table, values.join("/"), error))?;
    decode(text, table, &values.join("/")).map(Some)
}

pub(crate) fn approvals(
    db: &Connection,
    tenant: &TenantId,
    query: &ApprovalQuery,
) -> Result<Page<Approval>, StoreError> {
    let below = query.cursor.as_deref().map_or(Ok(i64::MAX), key_of)?;
    let limit = query.limit.clamp(1, PAGE_MAX);
    let mut sql = "SELECT key, id, document FROM approvals WHERE tenant = ?1 AND key < ?2".to_owned();
    sql.push_str(if query.status.is_some() { " AND status = ?3" } else { " AND ?3 IS NULL" });
    sql.push_str(if query.execution.is_some() { " AND execution = ?4" } else { " AND ?4 IS NULL" });
    sql.push_str(" ORDER BY key DESC LIMIT ?5");
    let mut select = db.prepare_cached(&sql)?;
    let status = query.status.map(model::approval::ApprovalStatus::name);
    let execution = query.execution.as_ref().map(ExecutionId::as_str);
    let mut rows = select.query(params![tenant.as_str(), below, status, execution, limit + 1])?;
    let mut items: Vec<Approval> = Vec::new();
    let mut last = below;
    while let Some(row) = rows.next()? {
        if items.len() == limit as usize {
            return Ok(Page { items, next: Some(cursor_of(last)) });
        }
        last = row.get(0)?;
        let (id, document): (String, String) = (row.get(1)?, row.get(2)?);
        items.push(decode(&document, "approvals", &id)?);
    }
    Ok(Page { items, next: None })
}

pub(crate) fn documents(
    db: &Connection,
    tenant: &TenantId,
    kind: &str,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<(String, serde_json::Value)>, StoreError> {
    let sql = "SELECT key, document FROM documents \
               WHERE tenant = ?1 AND kind = ?2 AND key >= ?3 AND (?4 IS NULL OR key > ?4) ORDER BY key LIMIT ?5";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params![tenant.as_str(), kind, prefix, after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, document): (String, String) = (row.get(0)?, row.get(1)?);
        if !key.starts_with(prefix) {
            break;
        }
        let document = decode(&document, "documents", &key)?;
        found.push((key, document));
    }
    Ok(found)
}

pub(crate) fn dead_letters(
    db: &Connection,
    tenant: &TenantId,
    open: bool,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<serde_json::Value>, StoreError> {
    let below = after.map(text_of).transpose()?;
    let limit = limit.clamp(1, PAGE_MAX);
    // Left to itself SQLite walks the closed ones too, which only ever grow.
    let (index, only_open) = if open { ("INDEXED BY dead_letters_open", "AND open = 1") } else { ("", "") };
    let sql = format!(
        "SELECT id, document FROM dead_letters {index} WHERE tenant = ?1 AND (?2 IS NULL OR id < ?2) {only_open} \
         ORDER BY id DESC LIMIT ?3"
    );
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params![tenant.as_str(), below, limit + 1])?;
    let mut items = Vec::new();
    let mut last = String::new();
    while let Some(row) = rows.next()? {
        if items.len() == limit as usize {
            return Ok(Page { items, next: Some(cursor_of_text(&last)) });
        }
        last = row.get(0)?;
        let document: String = row.get(1)?;
        items.push(decode(&document, "dead_letters", &last)?);
    }
    Ok(Page { items, next: None })
}

pub(crate) fn leaves(db: &Connection, query: &AuditQuery) -> Result<Page<LeafRow>, StoreError> {
    let cursor = query.cursor.as_deref().map(key_of).transpose()?;
    let limit = query.limit.clamp(1, PAGE_MAX) as usize;
    let from = i64::try_from(query.from).unwrap_or(i64::MAX);
    let mut sql = "SELECT sequence, hash, bytes FROM leaves WHERE ".to_owned();
    sql.push_str(if query.correlation.is_some() { "correlation = ?1" } else { "?1 IS NULL" });
    let tenant_known = query.correlation.is_none() && query.tenant.is_some();
    let by_tenant = "tenant = (SELECT key FROM tenants WHERE id = ?2)";
    sql.push_str(if tenant_known { " AND " } else { " AND (?2 IS NULL OR +" });
    sql.push_str(by_tenant);
    sql.push_str(if tenant_known { "" } else { ")" });
    let (low, high) = if query.newest_first {
        sql.push_str(" AND sequence >= ?3 AND sequence < ?4 ORDER BY sequence DESC");
        (from, cursor.unwrap_or(i64::MAX))
    } else {
        sql.push_str(" AND sequence >= ?3 AND sequence < ?4 ORDER BY sequence");
        (from.max(cursor.map_or(0, |cursor| cursor.saturating_add(1))), i64::MAX)
    };
    let correlation = query.correlation.as_deref().map(correlation_key);
    let tenant = query.tenant.as_ref().map(TenantId::as_str);
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params![correlation, tenant, low, high])?;
    let mut items = Vec::new();
    let (mut last, mut scanned) = (0, 0);
    while let Some(row) = rows.next()? {
        let sequence = row.get(0)?;
        let leaf = LeafRow { sequence: count(sequence), hash: row.get(1)?, bytes: row.get(2)? };
        let fits = leaf_matches(query, &leaf)?;
        if scanned == ROWS_SCANNED_MAX || (fits && items.len() == limit) {
            return Ok(Page { items, next: Some(cursor_of(last)) });
        }
        last = sequence;
        scanned += 1;
        if fits {
            items.push(leaf);
        }
    }
    Ok(Page { items, next: None })
}

/// Only the bytes that were hashed decide; what lies beside them only narrows the search.
fn leaf_matches(query: &AuditQuery, leaf: &LeafRow) -> Result<bool, StoreError> {
    if query.tenant.is_none()
        && query.correlation.is_none()
        && query.action.is_none()
        && query.actor.is_none()
    {
        return Ok(true);
    }
    let (_, record) = audit::read_leaf(&leaf.bytes)
        .ok_or_else(|| corrupt("leaves", leaf.sequence, "not an audit record"))?;
    Ok(query.tenant.as_ref().is_none_or(|tenant| record.tenant == *tenant)
        && query.correlation.as_ref().is_none_or(|correlation| record.correlation == *correlation)
        && query.action.as_ref().is_none_or(|action| record.action.starts_with(action.as_str()))
        && query.actor.as_ref().is_none_or(|actor| record.actor == *actor))
}

fn execution_of(tenant: &TenantId, row: &Row<'_>) -> Result<ExecutionRow, StoreError> {
    Ok(ExecutionRow {
        tenant: tenant.clone(),
        id: execution_at(row, 1)?,
        namespace: row.get(2)?,
        name: row.get(3)?,
        version: row.get(4)?,
        status: row.get(5)?,
        outcome: row.get(6)?,
        blocked_on: row.get(7)?,
        requester: row.get(8)?,
        intent: row.get(9)?,
        error: row.get(10)?,
        started_at: Timestamp(row.get(11)?),
        updated_at: Timestamp(row.get(12)?),
        ended_at: row.get::<_, Option<i64>>(13)?.map(Timestamp),
        due_at: row.get::<_, Option<i64>>(14)?.map(Timestamp),
        parent: row
            .get::<_, Option<String>>(15)?
            .map(|id| ExecutionId::new(&id).map_err(|e| corrupt("executions", &id, e)))
            .transpose()?,
    })
}

pub(crate) fn tenant_at(row: &Row<'_>, column: usize) -> Result<TenantId, StoreError> {
    let text: String = row.get(column)?;
    TenantId::new(&text).map_err(|error| corrupt("tenants", &text, error))
}

pub(crate) fn execution_at(row: &Row<'_>, column: usize) -> Result<ExecutionId, StoreError> {
    let text: String = row.get(column)?;
    ExecutionId::new(&text).map_err(|error| corrupt("executions", &text, error))
}
