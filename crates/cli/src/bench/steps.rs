//! Durable, governed steps: how many a second, how long one takes, what it costs in processor time and on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::bench::Figure;
use crate::bench::house::{House, failed, processor_ms};
use crate::bench::limit::IN_FLIGHT;
use crate::exit::Failure;

/// Steps of the workflow.
const STEPS: u64 = 5;

/// A workflow of five trivial steps, each an effect with verdict, permit, leaf and durable answer.
pub(super) const DOCUMENT: &str = "
document: { dsl: '1.0.3', namespace: bench, name: five, version: '1.0.0' }
do:
  - one: { run: { shell: { command: 'true' } } }
  - two: { run: { shell: { command: 'true' } } }
  - three: { run: { shell: { command: 'true' } } }
  - four: { run: { shell: { command: 'true' } } }
  - five: { run: { shell: { command: 'true' } } }
";

/// The figure that executions through HTTP are held against.
pub(super) const EXECUTIONS_64: &str = "executions of 5 steps, 64 at once";

/// Measures at 1, 64 and 256 executions at once. `limits` are rows a second of a bare writer at the same numbers.
pub(super) async fn measure(each: Duration, limits: [f64; 3]) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for (in_flight, limit) in IN_FLIGHT.into_iter().zip(limits) {
        let house = Arc::new(House::open().await?);
        house.publish(DOCUMENT).await?;
        let mut measured = Measured::of(&house, in_flight, each).await?;
        let house = Arc::try_unwrap(house).map_err(|_| failed("the house is still in use"))?;
        measured.bytes_per_step = house.close_and_weigh().await? as f64 / (measured.executed * STEPS) as f64;
        let figure =
            |name: String, value: f64, unit, limit| Figure { group: "steps", name, value, unit, limit };
        figures.push(figure(
            format!("durable governed steps, {in_flight} at once"),
            measured.executions * STEPS as f64,
            "steps/s",
            Some((limit, "bare rows/s")),
        ));
        figures.push(figure(
            format!("executions of 5 steps, {in_flight} at once"),
            measured.executions,
            "executions/s",
            None,
        ));
        figures.push(figure(
            format!("whole execution, {in_flight} at once, p50"),
            measured.p50_ms,
            "ms",
            // Only alone does an execution wait for nobody but its own commits.
            (in_flight == 1).then_some((6_000.0 / limits[0], "6 single commits, ms")),
        ));
        figures.push(figure(
            format!("whole execution, {in_flight} at once, p99"),
            measured.p99_ms,
            "ms",
            None,
        ));
        figures.push(figure(
            format!("processor time, {in_flight} at once"),
            measured.cpu_ms,
            "ms/execution",
            None,
        ));
        figures.push(figure(
            format!("on disk, {in_flight} at once"),
            measured.bytes_per_step,
            "bytes/step",
            None,
        ));
    }
    Ok(figures)
}

struct Measured {
    executed: u64,
    executions: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_ms: f64,
    bytes_per_step: f64,
}

impl Measured {
    async fn of(house: &Arc<House>, in_flight: u64, each: Duration) -> Result<Self, Failure> {
        let done = Arc::new(AtomicU64::new(0));
        let before = processor_ms("self")?;
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..in_flight {
            let (house, done) = (Arc::clone(house), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(failed)?;
                while begun.elapsed() < each {
                    let one = Instant::now();
                    house.run("five").await?;
                    took.saturating_record(u64::try_from(one.elapsed().as_micros()).unwrap_or(u64::MAX));
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Failure>(took)
            }));
        }
        let mut took = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).map_err(failed)?;
        for task in tasks {
            took.add(task.await.map_err(failed)??).map_err(failed)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let executed = done.load(Ordering::Relaxed);
        let executions = executed as f64;
        Ok(Self {
            executed,
            executions: executions / seconds,
            p50_ms: took.value_at_quantile(0.5) as f64 / 1000.0,
            p99_ms: took.value_at_quantile(0.99) as f64 / 1000.0,
            cpu_ms: (processor_ms("self")? - before) / executions,
            bytes_per_step: 0.0,
        })
    }
}
