//! Under pressure: how much a flood slows another tenant, and what is done while three times too much is asked for.

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

/// Executions that the flood, and the measurement of the peak, have under way all along.
const FLOOD: usize = 64;
/// Goals offered for each one that can be done.
const OVERLOAD: f64 = 3.0;
/// Goals that wait for their answer at the most: a client has sockets, not endless memory.
const OFFERED_MAX: usize = 4_096;
/// Executions that warm a house up.
const WARM_UP: u32 = 50;
/// A single execution that takes no longer than this many quiet ones is normal again.
const NORMAL: f64 = 2.0;
/// The longest that is waited for that.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

type Took = Histogram<u64>;

/// The start-to-finish time of one tenant, alone and beside a flood.
pub(super) async fn fairness(each: Duration) -> Result<Vec<Figure>, Failure> {
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

/// What is done of three times as much as can be done.
pub(super) async fn overload(each: Duration) -> Result<Vec<Figure>, Failure> {
    let house = Arc::new(House::open().await?);
    house.publish(steps::DOCUMENT).await?;
    let caller = house.caller.clone();
    for _ in 0..WARM_UP {
        house.run("five").await?;
    }
    let quiet = one_after_another(&house, &caller, Duration::from_secs(1)).await?;
    let normal = quiet.value_at_quantile(0.99) as f64 * NORMAL;
    let peak = peak(&house, &caller, each.min(Duration::from_secs(10))).await?;
    let before = resident_bytes()?;
    let offered = offer(&house, &caller, peak * OVERLOAD, each).await?;
    let begun = Instant::now();
    let mut recovered = None;
    loop {
        let one = Instant::now();
        if house.run_as(&caller, "five").await.is_ok() && one.elapsed().as_micros() as f64 <= normal {
            recovered = Some(begun.elapsed());
            break;
        }
        if begun.elapsed() > RECOVERY_MAX {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let recovered = recovered.ok_or_else(|| failed("it was not normal again within a minute"))?;
    let figure =
        |name: &str, value, unit, limit| Figure { group: "overload", name: name.into(), value, unit, limit };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(vec![
        figure("peak, 64 in flight", peak, "executions/s", None),
        figure("offered", offered.offered, "goals/s", Some((peak, "peak"))),
        figure("done of it", offered.done, "executions/s", Some((peak, "peak"))),
        figure("refused at the door", offered.refused, "goals/s", None),
        figure("accepted and not done", offered.left as f64, "executions", None),
        figure("memory before", mib(before), "MiB", None),
        figure("memory at the most", mib(offered.memory), "MiB", None),
        figure("normal again after", recovered.as_secs_f64(), "s", Some((10.0, "bound"))),
    ])
}

struct Offered {
    offered: f64,
    done: f64,
    refused: f64,
    left: u64,
    memory: u64,
}

/// Goals at a rate, whether or not earlier ones are answered. A goal comes as it comes through the door: it is asked for
/// admission first.
async fn offer(house: &Arc<House>, caller: &Caller, rate: f64, each: Duration) -> Result<Offered, Failure> {
    let [accepted, done, refused] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    let (mut sent, mut memory) = (0u64, 0);
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while begun.elapsed() < each {
        tick.tick().await;
        while tasks.try_join_next().is_some() {}
        let wanted = (begun.elapsed().as_secs_f64() * rate) as u64;
        while sent < wanted {
            sent += 1;
            if tasks.len() >= OFFERED_MAX || house.app.admit_goal(&caller.principal.tenant).is_err() {
                refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            accepted.fetch_add(1, Ordering::Relaxed);
            let (house, caller, done) = (Arc::clone(house), caller.clone(), Arc::clone(&done));
            tasks.spawn(async move {
                if house.run_as(&caller, "five").await.is_ok() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        memory = memory.max(resident_bytes()?);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let in_time = done.load(Ordering::Relaxed) as f64;
    let end = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(RECOVERY_MAX, end).await.is_err() {
        return Err(failed("what was accepted was not done within a minute"));
    }
    Ok(Offered {
        offered: sent as f64 / seconds,
        done: in_time / seconds,
        refused: refused.load(Ordering::Relaxed) as f64 / seconds,
        left: accepted.load(Ordering::Relaxed) - done.load(Ordering::Relaxed),
        memory,
    })
}

async fn peak(house: &Arc<House>, caller: &Caller, each: Duration) -> Result<f64, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut running = many(house, caller, &stop, &done);
    tokio::time::sleep(each).await;
    let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = running.join_next().await {
        ended.map_err(failed)??;
    }
    Ok(rate)
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

/// What this process has in memory.
fn resident_bytes() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/status").map_err(failed)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = line.trim().split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| failed("the kernel does not say how much memory is used"))
}
