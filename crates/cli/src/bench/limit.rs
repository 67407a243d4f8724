//! The limit: what one SQLite writer reaches on this disk with full durability and nothing else to do.
//!
//! One writer thread, one row of 300 bytes with a time-ordered key for each step, the very settings of the store's file
//! (checksums of its pages included), and the same number in flight: so many producers, each waiting until its own row is
//! durable. The writer takes what has queued up, and nothing waits for a timer. Producers are tasks, as executions are.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::bench::Figure;
use crate::bench::house::failed;
use crate::exit::Failure;

/// Bytes of one row, as large as a typical step.
const ROW_BYTES: usize = 300;
/// Rows in flight.
pub(super) const IN_FLIGHT: [u64; 3] = [1, 64, 256];

/// A row, and whom to tell.
struct Row {
    body: [u8; ROW_BYTES],
    durable: oneshot::Sender<()>,
}

/// Rows a second with 1, 64 and 256 in flight.
pub(super) async fn measure(each: Duration) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for in_flight in IN_FLIGHT {
        let dir = tempfile::tempdir().map_err(failed)?;
        figures.push(Figure {
            group: "limit",
            name: format!("durable rows, {in_flight} in flight"),
            value: rows_a_second(&dir.path().join("limit.db"), in_flight, each).await?,
            unit: "rows/s",
            limit: None,
        });
    }
    Ok(figures)
}

async fn rows_a_second(path: &Path, in_flight: u64, each: Duration) -> Result<f64, Failure> {
    let db = store::bare_database(path).map_err(failed)?;
    db.execute_batch("CREATE TABLE rows (key INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
        .map_err(failed)?;
    let (sender, receiver) = sync_channel(1024);
    let writer = std::thread::spawn(move || write(&db, &receiver));
    let begun = Instant::now();
    let producers: Vec<_> =
        (0..in_flight).map(|_| tokio::spawn(produce(sender.clone(), begun, each))).collect();
    drop(sender);
    let mut rows = 0;
    for producer in producers {
        rows += producer.await.map_err(failed)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let written = writer.join().map_err(|_| failed("the writer of the limit panicked"))?;
    written.map_err(failed)?;
    Ok(f64::from(rows) / seconds)
}

/// One row after the other, each when the one before is durable. Answers how many.
async fn produce(rows: SyncSender<Row>, begun: Instant, each: Duration) -> u32 {
    let mut done = 0;
    while begun.elapsed() < each {
        let (durable, told) = oneshot::channel();
        // Fewer producers than places: nobody ever waits for one.
        let sent = rows.send(Row { body: [7; ROW_BYTES], durable });
        if sent.is_err() || told.await.is_err() {
            break;
        }
        done += 1;
    }
    done
}

fn write(db: &Connection, rows: &Receiver<Row>) -> rusqlite::Result<()> {
    let mut group = Vec::new();
    while let Ok(first) = rows.recv() {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        {
            let mut insert = db.prepare_cached("INSERT INTO rows (body) VALUES (?)")?;
            let mut next = Some(first);
            while let Some(row) = next {
                insert.execute([&row.body[..]])?;
                group.push(row.durable);
                next = rows.try_recv().ok();
            }
        }
        db.prepare_cached("COMMIT")?.execute([])?;
        for durable in group.drain(..) {
            // A producer never leaves before its row is durable.
            let _ = durable.send(());
        }
    }
    Ok(())
}
