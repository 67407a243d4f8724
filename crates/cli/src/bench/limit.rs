//! The limit: what one SQLite writer reaches on this disk with full durability and nothing else to do.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::bench::Figure;
use crate::exit::Failure;

/// Bytes of one row, as large as a typical step.
const ROW_BYTES: usize = 300;

/// Rows a second with one commit for each 1, 64 and 256 rows.
pub(super) fn measure(each: Duration) -> Result<Vec<Figure>, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::internal(format!("cannot measure the limit: {error}"));
    let dir = tempfile::tempdir().map_err(|error| failed(&error))?;
    let mut db = Connection::open(dir.path().join("limit.db")).map_err(|error| failed(&error))?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE rows (key INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;",
    )
    .map_err(|error| failed(&error))?;
    let mut figures = Vec::new();
    for group in [1_u64, 64, 256] {
        let (rows, took) = rows(&mut db, group, each).map_err(|error| failed(&error))?;
        figures.push(Figure {
            group: "limit",
            name: format!("durable rows, {group} to a commit"),
            value: rows as f64 / took.as_secs_f64(),
            unit: "rows/s",
            limit: None,
        });
    }
    Ok(figures)
}

fn rows(db: &mut Connection, group: u64, each: Duration) -> rusqlite::Result<(u64, Duration)> {
    let body = [7_u8; ROW_BYTES];
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < each {
        let transaction = db.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO rows (body) VALUES (?)")?;
            for _ in 0..group {
                insert.execute([&body[..]])?;
            }
        }
        transaction.commit()?;
        done += group;
    }
    Ok((done, begun.elapsed()))
}
