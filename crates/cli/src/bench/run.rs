//! The measurements of the running application.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use model::{ExecutionId, Timestamp};
use store::{Batch, ExecutionRow, Put, SqliteStore, Store as _};

use crate::bench::Figure;
use crate::bench::house::{House, STEPS, failed};
use crate::exit::Failure;

/// Executions that wait while their memory is measured.
const WAITING: u64 = 5_000;
/// Rows of one commit while the store is filled.
const FILL: u64 = 1_000;

/// Executions and steps a second at 1, 64 and 256 at once, the latency of a step, and bytes on disk.
pub(super) async fn steps(dir: &Path, each: Duration, limits: &[f64]) -> Result<Vec<Figure>, Failure> {
    let (house, _) = House::open(dir).await?;
    house.publish().await?;
    let house = Arc::new(house);
    let mut figures = Vec::new();
    let (mut ran, before) = (0, size(dir));
    for (index, at_once) in [1_u64, 64, 256].into_iter().enumerate() {
        let (done, took, latency) = load(&house, at_once, each).await?;
        ran += done;
        let limit = limits.get(index).map(|rows| (*rows, "durable rows/s"));
        let per_second = done as f64 / took.as_secs_f64();
        figures.push(figure("steps", format!("steps/s, {at_once} at once"), per_second * STEPS as f64, "steps/s", limit));
        figures.push(figure("steps", format!("executions/s, {at_once} at once"), per_second, "executions/s", None));
        if at_once == 1 {
            for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
                let step = latency.value_at_quantile(quantile) as f64 / STEPS as f64;
                let limit = limits.first().map(|rows| (1e6 / rows, "µs of one durable row"));
                figures.push(figure("steps", format!("one step, {name}"), step, "µs", limit));
            }
        }
    }
    let bytes = size(dir).saturating_sub(before) as f64 / (ran * STEPS).max(1) as f64;
    figures.push(figure("steps", "bytes of one step on disk".to_owned(), bytes, "bytes", None));
    if let Some(house) = Arc::into_inner(house) {
        house.close().await;
    }
    Ok(figures)
}

/// Runs `bench/five` with so many at once for a time.
async fn load(house: &Arc<House>, at_once: u64, each: Duration) -> Result<(u64, Duration, Histogram<u64>), Failure> {
    let begun = Instant::now();
    let runners: Vec<_> = (0..at_once)
        .map(|_| {
            let house = Arc::clone(house);
            tokio::spawn(async move {
                let mut times = Vec::new();
                while begun.elapsed() < each {
                    let one = Instant::now();
                    house.submit("five", true).await?;
                    times.push(one.elapsed());
                }
                Ok::<_, Failure>(times)
            })
        })
        .collect();
    let mut latency = histogram()?;
    for runner in runners {
        for time in runner.await.map_err(|error| failed(&error))?? {
            record(&mut latency, time);
        }
    }
    Ok((latency.len(), begun.elapsed(), latency))
}

/// Latency of submitting a goal, and memory of one that waits.
pub(super) async fn goals(dir: &Path) -> Result<Vec<Figure>, Failure> {
    let (house, _) = House::open(dir).await?;
    house.publish().await?;
    let mut latency = histogram()?;
    let before = resident();
    for _ in 0..WAITING {
        let one = Instant::now();
        house.submit("waiting", false).await?;
        record(&mut latency, one.elapsed());
    }
    let mut figures = Vec::new();
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let value = latency.value_at_quantile(quantile) as f64 / 1_000.0;
        figures.push(figure("goals", format!("submit a goal, {name}"), value, "ms", None));
    }
    let each = resident().saturating_sub(before) as f64 / WAITING as f64;
    figures.push(figure("goals", format!("memory of one waiting execution, of {WAITING}"), each, "bytes", None));
    house.close().await;
    Ok(figures)
}

/// Time of one policy decision, with the default policy.
pub(super) fn policy(each: Duration) -> Result<Vec<Figure>, Failure> {
    let bundle = guard::policy::default_bundle().map_err(|error| failed(&error))?;
    let mut evaluator = bundle.evaluator();
    let input = serde_json::json!({
        "tenant": "acme", "principal": {"id": "user:alice", "kind": "user", "roles": ["developer"]},
        "workflow": {"namespace": "shop", "name": "refund", "version": "1.0.0"}, "task": "/do/0/refund",
        "action": {"operation": "refund-create:1.0.0", "reviewed": true, "effect": "money", "class": "probeable",
            "blast_radius": {"scope": "customer", "max": 1, "unit": "order"}, "data": ["personal"], "target": "shop:443"},
        "arguments": {"orderId": "1042", "amount": 25, "currency": "EUR", "reason": "the cup arrived broken"},
        "amount": {"value": 25, "currency": "EUR"}, "provenance": [],
        "risk": {"score": 47, "level": "medium", "factors": []}, "mode": "live"
    });
    let mut latency: Histogram<u64> = histogram()?;
    let begun = Instant::now();
    while begun.elapsed() < each {
        let one = Instant::now();
        std::hint::black_box(evaluator.decide(std::hint::black_box(&input)).map_err(|error| failed(&error))?);
        latency.saturating_record(u64::try_from(one.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(vec![
        figure("policy", "one decision, p50".to_owned(), at(0.5), "µs", None),
        figure("policy", "one decision, p99".to_owned(), at(0.99), "µs", None),
    ])
}

/// Time from nothing to ready with so many executions stored.
pub(super) async fn start(dir: &Path, stored: u64) -> Result<Vec<Figure>, Failure> {
    fill(dir, stored).await?;
    let (house, took) = House::open(dir).await?;
    house.close().await;
    Ok(vec![figure("start", format!("ready with {stored} executions stored"), took.as_secs_f64() * 1_000.0, "ms", None)])
}

async fn fill(dir: &Path, stored: u64) -> Result<(), Failure> {
    let store = SqliteStore::open(dir, Arc::new(app::SystemClock)).map_err(|error| failed(&error))?;
    let mut at = 0;
    while at < stored {
        let upto = (at + FILL).min(stored);
        let batches = (at..upto).map(ended).collect::<Result<Vec<Batch>, Failure>>()?;
        for answer in store.commit(batches).await {
            answer.map_err(|error| failed(&error))?;
        }
        at = upto;
    }
    Ok(())
}

/// An execution that has ended, as it is stored.
fn ended(number: u64) -> Result<Batch, Failure> {
    let now = Timestamp(1_700_000_000_000 + i64::try_from(number).unwrap_or_default());
    let row = ExecutionRow {
        tenant: app::system_tenant(),
        id: ExecutionId::new(format!("stored-{number:09}")).map_err(|error| failed(&error))?,
        namespace: "bench".to_owned(),
        name: "five".to_owned(),
        version: "1.0.0".to_owned(),
        status: "completed".to_owned(),
        outcome: Some("verified".to_owned()),
        blocked_on: None,
        requester: "user:bench".to_owned(),
        intent: None,
        error: None,
        started_at: now,
        updated_at: now,
        ended_at: Some(now),
        due_at: None,
    };
    Ok(Batch { puts: vec![Put::Execution(Box::new(row))], ..Batch::default() })
}

fn figure(group: &'static str, name: String, value: f64, unit: &'static str, limit: Option<(f64, &'static str)>) -> Figure {
    Figure { group, name, value, unit, limit }
}

/// Microseconds (or nanoseconds, for decisions) up to a minute, three places.
fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(|error| failed(&error))
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
}

/// Bytes of all files under a directory, three levels deep.
fn size(dir: &Path) -> u64 {
    fn of(dir: &Path, depth: u32) -> u64 {
        let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
        entries
            .flatten()
            .map(|entry| match entry.metadata() {
                Ok(meta) if meta.is_dir() && depth > 0 => of(&entry.path(), depth - 1),
                Ok(meta) => meta.len(),
                Err(_) => 0,
            })
            .sum()
    }
    of(dir, 3)
}

/// Resident memory of this process in bytes; zero where the kernel does not say.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
