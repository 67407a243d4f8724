//! What the checksums cost: the same work on databases with and without them, in turns, in one run.
//!
//! `cargo bench --package pages` prints the medians and their ratio. No sync is waited for, so that the disk does not
//! hide the difference: with one, the ratio is nearer to 1.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, params};

/// Turns; each does everything once with and once without checksums.
const TURNS: usize = 9;
/// Rows of one database, and their length in bytes: 20,000 rows of 300 bytes are some 1,700 pages.
const ROWS: u64 = 20_000;
const ROW_BYTES: usize = 300;
/// Rows looked up one by one.
const LOOKUPS: u64 = 20_000;
/// The cache while it is read, in KiB: next to nothing, so that a page comes from the file each time.
const CACHE_KIB: i64 = 64;

/// What is measured, in this order.
const WORK: [&str; 4] =
    ["commit rows into the log", "fold the log into the database", "scan every page", "look up rows"];

fn main() {
    let mut times: [[Vec<Duration>; 2]; 4] = Default::default();
    let mut pages = 0;
    for turn in 0..TURNS {
        for place in 0..2 {
            // Whoever comes first in one turn comes second in the next.
            let sums = (turn + place) % 2 == 0;
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("cost.db");
            let (done, count) = round(&path, sums);
            pages = count;
            for (kept, took) in times.iter_mut().zip(done) {
                kept[usize::from(sums)].push(took);
            }
        }
    }
    println!("{TURNS} turns, {pages} pages of 4096 bytes, medians");
    println!("{:32} {:>12} {:>12} {:>7}", "", "without", "with", "ratio");
    for (work, [without, with]) in WORK.iter().zip(&mut times) {
        let (without, with) = (median(without), median(with));
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        println!("{work:32} {without:>12.2?} {with:>12.2?} {ratio:>7.3}");
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn open(path: &Path, sums: bool) -> Connection {
    let db = if sums {
        let layer = pages::register(None).expect("a layer");
        Connection::open_with_flags_and_vfs(path, OpenFlags::default(), layer).expect("opens")
    } else {
        Connection::open(path).expect("opens")
    };
    if sums {
        pages::reserve(&db).expect("room for the sums");
    }
    db.pragma_update(None, "page_size", 4096).expect("pragma");
    let mode: String =
        db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).expect("pragma");
    assert_eq!(mode, "wal");
    db.pragma_update(None, "synchronous", "off").expect("pragma");
    db.pragma_update(None, "wal_autocheckpoint", 0).expect("pragma");
    db
}

/// All work once on a new database: how long each took, and how many pages there were.
fn round(path: &Path, sums: bool) -> ([Duration; 4], u32) {
    let mut db = open(path, sums);
    db.execute_batch("CREATE TABLE kept (key INTEGER PRIMARY KEY, bytes BLOB) STRICT").expect("SQL");
    let row = [7_u8; ROW_BYTES];
    let commit = timed(|| {
        let change = db.transaction().expect("a transaction");
        {
            let mut insert = change.prepare("INSERT INTO kept VALUES (?1, ?2)").expect("SQL");
            for key in 0..ROWS {
                insert.execute(params![key.cast_signed(), row]).expect("a row");
            }
        }
        change.commit().expect("a commit");
    });
    let fold = timed(|| {
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
    });
    drop(db);
    let db = open(path, sums);
    db.pragma_update(None, "cache_size", -CACHE_KIB).expect("pragma");
    let scan = timed(|| {
        let sum: i64 =
            db.query_row("SELECT sum(length(bytes)) FROM kept", [], |row| row.get(0)).expect("a scan");
        assert_eq!(sum, i64::try_from(ROWS).expect("few") * ROW_BYTES as i64);
    });
    let look = timed(|| {
        let mut find = db.prepare("SELECT length(bytes) FROM kept WHERE key = ?1").expect("SQL");
        for step in 0..LOOKUPS {
            // A step that is prime to the number of rows comes by each of them, far from the one before.
            let key = (step * 7919) % ROWS;
            find.query_row([key.cast_signed()], |row| row.get::<_, i64>(0)).expect("a row");
        }
    });
    let pages = db.pragma_query_value(None, "page_count", |row| row.get(0)).expect("a number");
    ([commit, fold, scan, look], pages)
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}
