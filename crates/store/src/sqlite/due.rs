//! What is due, shared out between tenants.

use model::{ExecutionId, TenantId, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::read::{execution_at, tenant_at};
use crate::query::StoreError;

/// A tenant of whom something is due.
struct Line {
    /// When the oldest of it was due.
    since: i64,
    /// The tenant's number.
    key: i64,
    tenant: TenantId,
}

/// At most `limit` executions whose time has come, fairly divided: see [`crate::Store::due`].
pub(crate) fn due(
    db: &Connection,
    now: Timestamp,
    limit: u32,
    except: &[TenantId],
) -> Result<Vec<(TenantId, ExecutionId)>, StoreError> {
    let mut lines = lines(db, now)?;
    lines.retain(|line| !except.contains(&line.tenant));
    lines.sort_by_key(|line| (line.since, line.key));
    let sql = "SELECT id FROM executions INDEXED BY executions_due_by_tenant \
               WHERE tenant = ?1 AND due_at IS NOT NULL AND due_at <= ?2 ORDER BY due_at, key LIMIT ?3";
    let mut select = db.prepare_cached(sql)?;
    let mut found = Vec::new();
    let mut left = limit as usize;
    let tenants = lines.len();
    for (index, line) in lines.into_iter().enumerate() {
        if left == 0 {
            break;
        }
        // What one leaves of its share is for those behind it.
        let share = left.div_ceil(tenants - index);
        let before = found.len();
        let mut rows = select.query(params![line.key, now.0, i64::try_from(share).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            found.push((line.tenant.clone(), execution_at(row, 0)?));
        }
        left -= found.len() - before;
    }
    Ok(found)
}

/// Every tenant of whom something is due. Costs one step down an index for each tenant that has a timer at all, and
/// nothing but one look while nothing is due.
fn lines(db: &Connection, now: Timestamp) -> Result<Vec<Line>, StoreError> {
    let any = "SELECT 1 FROM executions INDEXED BY executions_due WHERE due_at IS NOT NULL AND due_at <= ?1";
    if !db.prepare_cached(any)?.exists([now.0])? {
        return Ok(Vec::new());
    }
    let next = "SELECT tenant, due_at FROM executions INDEXED BY executions_due_by_tenant \
                WHERE due_at IS NOT NULL AND tenant > ?1 ORDER BY tenant, due_at LIMIT 1";
    let mut next = db.prepare_cached(next)?;
    let mut name = db.prepare_cached("SELECT id FROM tenants WHERE key = ?1")?;
    let mut lines = Vec::new();
    let mut after = i64::MIN;
    while let Some((key, since)) =
        next.query_row([after], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).optional()?
    {
        after = key;
        if since <= now.0 {
            let mut rows = name.query([key])?;
            if let Some(row) = rows.next()? {
                lines.push(Line { since, key, tenant: tenant_at(row, 0)? });
            }
        }
    }
    Ok(lines)
}
