//! Fairness: how much a flood of one tenant slows another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use app::Caller;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::bench::Figure;
use crate::bench::house::{House, failed};
use crate::bench::steps;
use crate::exit::Failure;

/// Executions that the flood has under way all along.
const FLOOD: usize = 64;
/// Executions that warm a house up.
const WARM_UP: u32 = 50;

type Took = Histogram<u64>;

/// The start-to-finish time of one tenant, alone and beside a flood.
pub(super) async fn measure(each: Duration) -> Result<Vec<Figure>, Failure> {
    let house = Arc::new(House::open().await?);
    let (quiet, flood) = (house.tenant("quiet").await?, house.tenant("flood").await?);
    for caller in [&quiet, &flood] {
        house.publish_as(caller, steps::DOCUMENT).await?;
    }
    for _ in 0..WARM_UP {
        house.run_as(&quiet, "five").await?;
    }
    let alone = one_after_another(&house, &quiet, each).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let mut flooding = many(&house, &flood, &stop, &done);
    let begun = Instant::now();
    let beside = one_after_another(&house, &quiet, each).await?;
    let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = flooding.join_next().await {
        ended.map_err(failed)??;
    }
    let p99 = |took: &Took| took.value_at_quantile(0.99) as f64 / 1000.0;
    let p50 = |took: &Took| took.value_at_quantile(0.5) as f64 / 1000.0;
    let figure =
        |name: &str, value, unit, limit| Figure { group: "fairness", name: name.into(), value, unit, limit };
    Ok(vec![
        figure("one tenant alone, start to finish, p50", p50(&alone), "ms", None),
        figure("one tenant alone, start to finish, p99", p99(&alone), "ms", None),
        figure("beside a flood of 64, p50", p50(&beside), "ms", Some((p50(&alone), "alone"))),
        figure("beside a flood of 64, p99", p99(&beside), "ms", Some((p99(&alone), "alone"))),
        figure("the flood meanwhile", rate, "executions/s", None),
    ])
}

/// Many executions of somebody, one after another in each of many tasks, until it stops.
fn many(
    house: &Arc<House>,
    caller: &Caller,
    stop: &Arc<AtomicBool>,
    done: &Arc<AtomicU64>,
) -> JoinSet<Result<(), Failure>> {
    let mut tasks = JoinSet::new();
    for _ in 0..FLOOD {
        let (house, caller) = (Arc::clone(house), caller.clone());
        let (stop, done) = (Arc::clone(stop), Arc::clone(done));
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                house.run_as(&caller, "five").await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    tasks
}

async fn one_after_another(house: &House, caller: &Caller, each: Duration) -> Result<Took, Failure> {
    let mut took = Took::new_with_bounds(1, 60_000_000_000, 3).map_err(failed)?;
    let begun = Instant::now();
    while took.is_empty() || begun.elapsed() < each {
        let one = Instant::now();
        house.run_as(caller, "five").await?;
        took.saturating_record(u64::try_from(one.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(took)
}
