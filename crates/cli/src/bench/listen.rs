//! Executions that listen: how fast one of ten thousand is found, and how fast all of them are woken, one event for each and
//! one event for all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use app::view::Live;
use serde_json::{Value as Json, json};
use store::Store as _;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::bench::Figure;
use crate::bench::house::{House, failed};
use crate::exit::Failure;

/// Executions that listen.
const LISTENING: usize = 10_000;
/// Executions that are started at once.
const AT_ONCE: usize = 64;
/// Events of one request.
const BATCH: usize = 100;
/// Single events that are measured.
const SINGLES: usize = 200;
/// All of them are to be woken in this time.
const BOUND_MS: f64 = 1_000.0;
/// A figure that takes longer than this is none.
const TIME_MAX: Duration = Duration::from_secs(300);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(5);

const EACH: &str = "
document: { dsl: '1.0.3', namespace: bench, name: each, version: '1.0.0' }
do:
  - paid: { listen: { to: { one: { with: { type: bench.paid }, correlate: { order: { from: .data.order, expect: '${ .order }' } } } } } }
";

const ALL: &str = "
document: { dsl: '1.0.3', namespace: bench, name: all, version: '1.0.0' }
do:
  - open: { listen: { to: { one: { with: { type: bench.open } } } } }
";

pub(super) async fn measure() -> Result<Vec<Figure>, Failure> {
    let house = Arc::new(House::open().await?);
    house.publish(EACH).await?;
    house.publish(ALL).await?;
    let figure = |name: &str, value: f64, limit: Option<(f64, &'static str)>| Figure {
        group: "listen",
        name: name.to_owned(),
        value,
        unit: "ms",
        limit,
    };
    fill(&house, "each", LISTENING + SINGLES).await?;
    let mut took = Vec::with_capacity(SINGLES);
    for number in 0..SINGLES {
        let ends = house.app.subscribe();
        let begun = Instant::now();
        publish(&house, vec![paid(LISTENING + number)]).await?;
        ended(&house, ends, 1, LISTENING + SINGLES - number - 1).await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let ends = house.app.subscribe();
    let ended_all = tokio::spawn({
        let house = Arc::clone(&house);
        async move { ended(&house, ends, LISTENING, 0).await }
    });
    let begun = Instant::now();
    for first in (0..LISTENING).step_by(BATCH) {
        publish(&house, (first..first + BATCH).map(paid).collect()).await?;
    }
    let taken_in = begun.elapsed();
    ended_all.await.map_err(failed)??;
    let each = begun.elapsed();
    fill(&house, "all", LISTENING).await?;
    let ends = house.app.subscribe();
    let begun = Instant::now();
    let open =
        json!({"specversion": "1.0", "type": "bench.open", "source": "/bench", "id": "open", "data": 1});
    publish(&house, vec![open]).await?;
    ended(&house, ends, LISTENING, 0).await?;
    let all = begun.elapsed();
    let bound = Some((BOUND_MS, "all in one second"));
    Ok(vec![
        figure("one event finds one of 10,000, p50", ms(took[took.len() / 2]), None),
        figure("10,000 events are taken in", ms(taken_in), bound),
        figure("10,000 events wake one of 10,000 each", ms(each), bound),
        figure("one event wakes 10,000", ms(all), bound),
    ])
}

fn paid(order: usize) -> Json {
    json!({"specversion": "1.0", "type": "bench.paid", "source": "/bench", "id": format!("paid-{order}"),
        "data": {"order": format!("order-{order}")}})
}

async fn publish(house: &House, events: Vec<Json>) -> Result<(), Failure> {
    house.app.publish_events(&house.caller, events).await.map(drop).map_err(failed)
}

/// Starts executions, and waits until all of them listen.
async fn fill(house: &Arc<House>, name: &'static str, count: usize) -> Result<(), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..AT_ONCE {
        let house = Arc::clone(house);
        tasks.spawn(async move {
            for number in (task..count).step_by(AT_ONCE) {
                let input = json!({"order": format!("order-{number}")});
                house.start_with(&house.caller, name, input).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(failed)??;
    }
    left(house, count).await
}

/// Waits for so many ends, without asking the store, which would take part in what is measured; when notices were missed, until
/// so many are left.
async fn ended(house: &House, mut ends: Receiver<Live>, count: usize, rest: usize) -> Result<(), Failure> {
    let mut seen = 0;
    while seen < count {
        match tokio::time::timeout(TIME_MAX, ends.recv()).await.map_err(failed)? {
            Ok(live) => seen += usize::from(live.ended),
            Err(RecvError::Lagged(_)) => return left(house, rest).await,
            Err(error @ RecvError::Closed) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Waits until so many executions listen, and have looked back at what came before.
async fn left(house: &House, count: usize) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let waiting = house.store.count_by_status(&app::system_tenant()).await.map_err(failed)?;
        let waiting = waiting.iter().find(|(status, _)| status == "waiting").map_or(0, |(_, count)| *count);
        if usize::try_from(waiting).unwrap_or(usize::MAX) == count {
            let messages = house.store.documents(&app::system_tenant(), "message", "", None, 1).await;
            if messages.map_err(failed)?.is_empty() {
                return Ok(());
            }
        }
        if begun.elapsed() > TIME_MAX {
            return Err(failed(format!("{waiting} executions listen, and {count} should")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}
