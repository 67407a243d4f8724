//! What waits must cost nothing: memory of waiting executions, the start of a server that finds many stored, and how
//! fast they fire when their time has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use app::SystemClock;
use model::{Clock, Timestamp};
use store::Store as _;

use crate::bench::Figure;
use crate::bench::house::{House, failed, processor_ms};
use crate::bench::steps;
use crate::exit::Failure;

/// Executions that are started at once while the store is filled.
const AT_ONCE: u64 = 256;

/// Pause between two looks at what still waits.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// As long as they wait, and a day.
const MONTH: Duration = Duration::from_secs(31 * 24 * 3600);

const WAITING: &str = "
document: { dsl: '1.0.3', namespace: bench, name: waiting, version: '1.0.0' }
do:
  - first: { run: { shell: { command: 'true' } } }
  - nap: { wait: P30D }
  - last: { run: { shell: { command: 'true' } } }
";

/// Stores `stored` executions that wait for a timer, then measures memory, and the start of a new process' house.
pub(super) async fn measure(stored: u64) -> Result<Vec<Figure>, Failure> {
    let house = Arc::new(House::open().await?);
    house.publish(WAITING).await?;
    house.publish(steps::DOCUMENT).await?;
    let before = resident_bytes()?;
    let mut tasks = Vec::new();
    for task in 0..AT_ONCE {
        let house = Arc::clone(&house);
        let share = stored / AT_ONCE + u64::from(task < stored % AT_ONCE);
        tasks.push(tokio::spawn(async move {
            for _ in 0..share {
                house.start("waiting").await?;
            }
            Ok::<(), Failure>(())
        }));
    }
    for task in tasks {
        task.await.map_err(failed)??;
    }
    // The answers of the first steps come back on their own; everything waits once the row says so.
    while count(&house, "waiting").await? < stored {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let after = resident_bytes()?;
    let disk = house.store.stats().database_bytes;
    let house = Arc::try_unwrap(house).map_err(|_| failed("the house is still in use"))?;
    let directory = house.close().await;
    let begun = Instant::now();
    let clock = Arc::new(Shifted::default());
    let house = House::open_in(directory, Arc::clone(&clock) as _).await?;
    while !house.app.ready() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let ready = begun.elapsed();
    house.run("five").await?;
    let success = begun.elapsed();
    let resident = resident_bytes()?;
    // A month later everything is due at once: the hardest minute there can be.
    clock.0.store(MONTH.as_millis().try_into().unwrap_or(i64::MAX), Ordering::Relaxed);
    let (processor, begun) = (processor_ms("self")?, Instant::now());
    let mut memory = 0;
    // Asked of an index: counting a million rows again and again would take a processor from what is measured.
    while house.store.next_due().await.map_err(failed)?.is_some() {
        memory = memory.max(resident_bytes()?);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let fired = begun.elapsed();
    // And the one that was the first success.
    while count(&house, "completed").await? <= stored {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let (ended, processor) = (begun.elapsed(), processor_ms("self")? - processor);
    let figure = |name: String, value: f64, unit| Figure { group: "waiting", name, value, unit, limit: None };
    Ok(vec![
        figure(
            format!("memory of each of {stored} waiting executions"),
            after.saturating_sub(before) as f64 / stored as f64,
            "bytes",
        ),
        figure(format!("memory of a process that finds {stored} waiting"), resident as f64 / 1e6, "MB"),
        figure(format!("disk of each of {stored} waiting executions"), disk as f64 / stored as f64, "bytes"),
        figure(
            format!("start-up with {stored} executions stored, until ready"),
            ready.as_secs_f64() * 1000.0,
            "ms",
        ),
        figure(
            format!("start-up with {stored} executions stored, until the first success"),
            success.as_secs_f64() * 1000.0,
            "ms",
        ),
        figure(format!("{stored} executions due at once have all fired after"), fired.as_secs_f64(), "s"),
        figure("executions fired".to_owned(), stored as f64 / fired.as_secs_f64(), "executions/s"),
        figure("processor time of each, to its end".to_owned(), processor / stored as f64, "ms"),
        figure("all have ended after".to_owned(), ended.as_secs_f64(), "s"),
        figure("memory at the most while they fire".to_owned(), memory as f64 / 1e6, "MB"),
    ])
}

/// How many executions have this status.
async fn count(house: &House, status: &str) -> Result<u64, Failure> {
    let counts = house.app.overview(&house.caller).await.map_err(failed)?.by_status;
    Ok(counts.iter().find(|(found, _)| found == status).map_or(0, |(_, count)| *count))
}

/// The machine's clock, set forward.
#[derive(Debug, Default)]
struct Shifted(AtomicI64);

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add(self.0.load(Ordering::Relaxed)))
    }
}

fn resident_bytes() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/statm").map_err(failed)?;
    let pages: u64 = text.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    Ok(pages * 4096)
}
