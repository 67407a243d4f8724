//! How fast steps become durable, beside the limit of this machine measured in the same run.
//!
//! The limit is one thread that commits rows of 300 bytes with a time-ordered key, with the same settings of the file,
//! in groups of as many as are in flight. A step is what an execution commits: two events (about 600 bytes), its row,
//! and two audit records. Run it with `cargo run --release -p store --example commit_speed [SECONDS]`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::event::EventBody;
use model::{Clock, Event, ExecutionId, PrincipalId, TenantId, Timestamp};
use rusqlite::{Connection, params};
use store::{Batch, ExecutionRow, Put, SqliteStore, Store as _};

/// Steps of one execution, after which the next one begins.
const STEPS_EACH: u64 = 10;

#[derive(Debug)]
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(2), |text| text.parse())?;
    let time = Duration::from_secs(seconds);
    println!(
        "{:>9} {:>14} {:>14} {:>8} {:>10} {:>14}",
        "in flight", "limit rows/s", "steps/s", "share", "group", "bytes/step"
    );
    for in_flight in [1, 64, 256] {
        let scratch =
            std::env::current_dir()?.join(format!("commit-speed-{}-{in_flight}", std::process::id()));
        std::fs::create_dir(&scratch)?;
        let measured =
            limit(&scratch, in_flight, time).and_then(|limit| Ok((limit, steps(&scratch, in_flight, time)?)));
        std::fs::remove_dir_all(&scratch)?;
        let (limit, steps) = measured?;
        println!(
            "{in_flight:>9} {limit:>14.0} {:>14.0} {:>7.0}% {:>10.1} {:>14.0}",
            steps.each_second,
            100.0 * steps.each_second / limit,
            steps.group,
            steps.bytes
        );
    }
    Ok(())
}

/// Rows per second of one writer that does nothing else.
fn limit(scratch: &Path, in_flight: u64, time: Duration) -> Result<f64, Box<dyn std::error::Error>> {
    let db = Connection::open(scratch.join("limit.db"))?;
    db.pragma_update(None, "page_size", 4096)?;
    db.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "wal_autocheckpoint", 4096)?;
    db.execute_batch("CREATE TABLE rows (key INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT")?;
    let payload = [7u8; 300];
    let started = Instant::now();
    let mut count = 0u64;
    while started.elapsed() < time {
        db.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..in_flight {
            db.prepare_cached("INSERT INTO rows (payload) VALUES (?1)")?.execute(params![payload])?;
        }
        db.execute_batch("COMMIT")?;
        count += in_flight;
    }
    Ok(per_second(count, started.elapsed()))
}

struct Steps {
    each_second: f64,
    group: f64,
    bytes: f64,
}

/// Steps per second of the store, each answered before the next of its execution.
fn steps(scratch: &Path, in_flight: u64, time: Duration) -> Result<Steps, Box<dyn std::error::Error>> {
    let directory = scratch.join("data");
    let store = SqliteStore::open(&directory, Arc::new(Wall))?;
    let count = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let started = Instant::now();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..in_flight)
            .map(|task| tokio::spawn(run(Arc::clone(&store), task, started + time, Arc::clone(&count))))
            .collect();
        for task in tasks {
            task.await?.map_err(|error| error as Box<dyn std::error::Error>)?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let elapsed = started.elapsed();
    let count = count.load(Ordering::Relaxed);
    let groups = store.stats().groups;
    drop(store);
    let bytes = directory.join("omnihub.db").metadata()?.len();
    Ok(Steps {
        each_second: per_second(count, elapsed),
        group: ratio(count, groups),
        bytes: ratio(bytes, count),
    })
}

async fn run(
    store: Arc<SqliteStore>,
    task: u64,
    until: Instant,
    count: Arc<AtomicU64>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let tenant = TenantId::new("default")?;
    let requester = PrincipalId::new("ada")?;
    for number in 0.. {
        let id = ExecutionId::new(time_ordered(task, number))?;
        for step in 0..STEPS_EACH {
            if Instant::now() >= until {
                return Ok(());
            }
            let batch = batch(&tenant, &id, &requester, step);
            for answer in store.commit(vec![batch]).await {
                answer?;
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn batch(tenant: &TenantId, id: &ExecutionId, requester: &PrincipalId, step: u64) -> Batch {
    let now = Wall.now();
    let event =
        || Event { at: now, body: EventBody::Paused { by: requester.clone(), reason: "r".repeat(220) } };
    let record = |action: &str| audit::Record {
        at: now,
        tenant: tenant.clone(),
        actor: "ada".to_owned(),
        actor_kind: "user".to_owned(),
        action: action.to_owned(),
        resource: format!("executions/{id}/effects/{step}"),
        correlation: id.to_string(),
        classification: audit::Classification::Internal,
        address: None,
        agent: None,
        details: serde_json::json!({"outcome": "allow", "risk": 20}),
    };
    let row = ExecutionRow {
        tenant: tenant.clone(),
        id: id.clone(),
        namespace: "bench".to_owned(),
        name: "steps".to_owned(),
        version: "1.0.0".to_owned(),
        status: "running".to_owned(),
        outcome: None,
        blocked_on: None,
        requester: requester.to_string(),
        intent: None,
        error: None,
        started_at: now,
        updated_at: now,
        ended_at: None,
        due_at: None,
        parent: None,
    };
    Batch {
        lease: None,
        expect: Vec::new(),
        events: Some((tenant.clone(), id.clone(), 2 * step, vec![event(), event()])),
        puts: vec![Put::Execution(Arc::new(row))],
        leaves: Vec::new(),
        records: vec![record("effect.judged"), record("effect.answered")],
    }
}

/// An id in the form of a version 7 UUID, unique in this run.
fn time_ordered(task: u64, number: u64) -> String {
    let now = Wall.now().0.cast_unsigned();
    format!("{:08x}-{:04x}-7{:03x}-8000-{:012x}", now >> 16, now & 0xffff, task & 0xfff, number)
}

fn per_second(count: u64, time: Duration) -> f64 {
    ratio(count, 1) / time.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
