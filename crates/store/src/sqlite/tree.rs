//! The Merkle tree as the database holds it: leaf hashes, every eighth level of inner nodes, signed heads.
//!
//! Storing every node would cost a row for each leaf; storing none would make a proof read all leaves. With every
//! eighth level any node is at most 128 neighbouring hashes away, for one row in 256 leaves.

use audit::{Frontier, SignedHead};
use model::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::codec::corrupt;
use crate::query::StoreError;

/// Distance of the levels whose nodes are stored.
pub(crate) const NODE_LEVELS: u32 = 8;

/// Number of leaves.
pub(crate) fn size(db: &Connection) -> Result<u64, StoreError> {
    let last: Option<i64> =
        db.prepare_cached("SELECT max(sequence) FROM leaves")?.query_row([], |row| row.get(0))?;
    Ok(last.map_or(0, |last| count(last) + 1))
}

/// The hash of the complete subtree at a level and position.
pub(crate) fn node(db: &Connection, level: u32, position: u64) -> Result<[u8; 32], StoreError> {
    let above = level % NODE_LEVELS;
    let base = level - above;
    let (start, wanted) = (position << above, 1u64 << above);
    let mut frontier = Frontier::default();
    if base == 0 {
        let sql = "SELECT hash FROM leaves WHERE sequence >= ?1 AND sequence < ?2 ORDER BY sequence";
        let mut select = db.prepare_cached(sql)?;
        let mut rows = select.query([start.cast_signed(), (start + wanted).cast_signed()])?;
        while let Some(row) = rows.next()? {
            frontier.append(row.get(0)?, |_, _, _| {});
        }
    } else {
        let sql =
            "SELECT hash FROM nodes WHERE level = ?1 AND position >= ?2 AND position < ?3 ORDER BY position";
        let mut select = db.prepare_cached(sql)?;
        let mut rows = select.query(params![base, start.cast_signed(), (start + wanted).cast_signed()])?;
        while let Some(row) = rows.next()? {
            frontier.append(row.get(0)?, |_, _, _| {});
        }
    }
    if frontier.size() != wanted {
        let (table, key) = if base == 0 { ("leaves", start) } else { ("nodes", position) };
        return Err(corrupt(table, key, format_args!("{} of {wanted} hashes are there", frontier.size())));
    }
    Ok(frontier.root())
}

/// The tree's right edge at a size.
pub(crate) fn frontier(db: &Connection, size: u64) -> Result<Frontier, StoreError> {
    Frontier::load(size, |level, position| node(db, level, position))
}

/// The newest signed head.
pub(crate) fn last_head(db: &Connection) -> Result<Option<SignedHead>, StoreError> {
    let sql = "SELECT size, root, at, key_id, signature FROM heads ORDER BY size DESC LIMIT 1";
    Ok(db.prepare_cached(sql)?.query_row([], head_of).optional()?)
}

/// All signed heads, by size.
pub(crate) fn heads(db: &Connection) -> Result<Vec<SignedHead>, StoreError> {
    let sql = "SELECT size, root, at, key_id, signature FROM heads ORDER BY size";
    Ok(db.prepare(sql)?.query_map([], head_of)?.collect::<Result<_, _>>()?)
}

/// Stores a signed head.
pub(crate) fn put_head(db: &Connection, head: &SignedHead) -> rusqlite::Result<()> {
    let sql = "INSERT INTO heads (size, root, at, key_id, signature) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![
        head.size.cast_signed(),
        head.root,
        head.at.0,
        head.key_id,
        head.signature
    ])?;
    Ok(())
}

/// A number that counts, from SQLite's signed ones; a negative one cannot be reached and becomes too large.
pub(crate) fn count(number: i64) -> u64 {
    number.cast_unsigned()
}

fn head_of(row: &Row<'_>) -> rusqlite::Result<SignedHead> {
    Ok(SignedHead {
        size: count(row.get(0)?),
        root: row.get(1)?,
        at: Timestamp(row.get(2)?),
        key_id: row.get(3)?,
        signature: row.get(4)?,
    })
}
