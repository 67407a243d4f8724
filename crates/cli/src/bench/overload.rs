//! Three times too much through the front door: what is done of it, what is refused, who is still answered, and how long
//! it takes until nothing is left of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use hyper::Method;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use crate::bench::Figure;
use crate::bench::house::failed;
use crate::bench::raw::RawConnection;
use crate::bench::served::{Connection, Served, goal};
use crate::exit::Failure;

/// Connections with which the peak is measured: each waits for the end of its goal before it asks for the next.
const PEAK_CONNECTIONS: usize = 64;
/// Connections of the storm: more than the server lets wait, fewer than it lets in.
const STORM_CONNECTIONS: usize = 640;
/// Goals offered for each one that can be done.
const OVERLOAD: f64 = 3.0;
/// Longest measurement of the peak, and of what is quiet.
const PEAK_MAX: Duration = Duration::from_secs(20);
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Goals that warm the server up.
const WARM_UP: u32 = 30;
/// Of so many accepted goals one is looked at afterwards, and so many are looked at, at the most.
const SAMPLE_EVERY: u64 = 16;
const SAMPLE_MAX: usize = 2_000;
/// What was accepted ends within this time.
const BOUND: Duration = Duration::from_secs(5);
/// Pause between two rounds of what people do meanwhile, and how many rounds are prepared at the most.
const ACTS_EVERY: Duration = Duration::from_millis(500);
const ROUNDS_MAX: usize = 100;
/// Pause between two looks at the memory.
const LOOK: Duration = Duration::from_millis(200);
/// Afterwards it is watched for so long.
const AFTERWARDS: Duration = Duration::from_secs(20);
/// What takes no longer than this many times the quiet p99 is normal.
const NORMAL: f64 = 2.0;
/// How long a goal's end is waited for, as the API takes it.
const WAIT: &str = "PT60S";

type Took = Histogram<u64>;

/// Measures for `each` at three times the peak.
pub(super) async fn measure(each: Duration) -> Result<Vec<Figure>, Failure> {
    let served = Arc::new(Served::start().await?);
    let load = served.token("service:load", &["developer"]).await?;
    let person = served.token("user:bob", &["operator"]).await?;
    let mut one = Connection::open(served.address, &load).await?;
    for _ in 0..WARM_UP {
        whole(&mut one).await?;
    }
    let mut quiet = histogram()?;
    let begun = Instant::now();
    while begun.elapsed() < each.min(QUIET_MAX) {
        quiet.saturating_record(micros(whole(&mut one).await?));
    }
    let normal = quiet.value_at_quantile(0.99) as f64 * NORMAL;
    let peak = peak(&served, &load, each.min(PEAK_MAX)).await?;
    let Peak { per_second: peak, server_ms, generator_ms } = peak;
    let acts = Acts::prepare(&served, &load, person, each).await?;
    let memory_before = served.resident_bytes()?;
    let storm = storm(&served, &load, acts, peak * OVERLOAD, each).await?;
    let after = afterwards(&served, &load, normal).await?;
    let sample = look_at(&served, &load, &storm.sample).await?;
    let bound_ms = BOUND.as_secs_f64() * 1000.0;
    // What a refusal costs is what is left when each execution costs what it does at the peak.
    let refusals = (storm.refused + storm.shed).max(1.0);
    let refusal_ms = (storm.server_ms - storm.done * server_ms).max(0.0) / refusals;
    let figure =
        |name: &str, value, unit, limit| Figure { group: "overload", name: name.into(), value, unit, limit };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let ms = |took: &Took, at: f64| took.value_at_quantile(at) as f64 / 1000.0;
    let mut figures = vec![
        figure("one goal at a time, p99", ms(&quiet, 0.99), "ms", None),
        figure("peak, 64 connections", peak, "executions/s", None),
        figure("server, at the peak", server_ms, "ms/execution", None),
        figure("load generator and outside, at the peak", generator_ms, "ms/execution", None),
        figure("offered", storm.offered, "goals/s", Some((peak, "peak"))),
        figure("accepted", storm.accepted, "goals/s", None),
        figure("done meanwhile", storm.done, "executions/s", Some((peak, "peak"))),
        figure("from accepted to ended, p50", ms(&sample.took, 0.5), "ms", Some((bound_ms, "bound, ms"))),
        figure("from accepted to ended, p99", ms(&sample.took, 0.99), "ms", Some((bound_ms, "bound, ms"))),
        figure("looked at of what was accepted", sample.looked_at as f64, "executions", None),
        figure("of these ended verified", sample.verified as f64, "executions", None),
        figure("server, in the storm", storm.server_ms, "ms/s", None),
        figure("load generator and outside, in the storm", storm.generator_ms, "ms/s", None),
        figure("server, for a refusal, at the most", refusal_ms, "ms", None),
        figure("refused at the door (OH-5063)", storm.refused, "goals/s", None),
        figure("shed before that (OH-5002)", storm.shed, "goals/s", None),
        figure("neither accepted nor refused", storm.failed as f64, "goals", None),
        figure("a refusal, p99", ms(&storm.refusals, 0.99), "ms", None),
        figure("people's acts answered", storm.acts.len() as f64, "acts", None),
        figure("people's acts refused", storm.acts_refused as f64, "acts", None),
        figure("people's acts, p99", ms(&storm.acts, 0.99), "ms", None),
        figure("memory before", mib(memory_before), "MiB", None),
        figure("memory at the most", mib(storm.memory), "MiB", None),
    ];
    figures.push(figure("accepted and not ended when it was over", storm.left as f64, "executions", None));
    let after = after.map_or(f64::INFINITY, |after| after.as_secs_f64());
    figures.push(figure("normal again after", after, "s", Some((10.0, "bound"))));
    Ok(figures)
}

/// Submits one goal and waits for its end.
async fn whole(connection: &mut Connection) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let heard = connection.goal("look", Some(WAIT)).await?;
    if heard.status != 200 || heard.body["status"] != "completed" {
        return Err(failed(format!("a goal was answered {}: {}", heard.status, heard.body)));
    }
    Ok(begun.elapsed())
}

/// The most that can be done, and what it costs.
struct Peak {
    per_second: f64,
    server_ms: f64,
    generator_ms: f64,
}

async fn peak(served: &Arc<Served>, token: &str, each: Duration) -> Result<Peak, Failure> {
    let before = served.processor_ms()?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..PEAK_CONNECTIONS {
        let mut connection = Connection::open(served.address, token).await?;
        tasks.spawn(async move {
            let mut done = 0u64;
            while begun.elapsed() < each {
                whole(&mut connection).await?;
                done += 1;
            }
            Ok::<_, Failure>(done)
        });
    }
    let mut done = 0;
    while let Some(ended) = tasks.join_next().await {
        done += ended.map_err(failed)??;
    }
    let (server, generator) = served.processor_ms()?;
    let done = done as f64;
    Ok(Peak {
        per_second: done / begun.elapsed().as_secs_f64(),
        server_ms: (server - before.0) / done,
        generator_ms: (generator - before.1) / done,
    })
}

/// What the storm left.
struct Storm {
    offered: f64,
    accepted: f64,
    done: f64,
    /// Processor time in each second.
    server_ms: f64,
    generator_ms: f64,
    /// Some of what was accepted.
    sample: Vec<String>,
    refused: f64,
    shed: f64,
    failed: u64,
    left: u64,
    memory: u64,
    refusals: Took,
    acts: Took,
    acts_refused: u64,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    shed: AtomicU64,
    failed: AtomicU64,
    sample: Mutex<Vec<String>>,
}

/// Goals at a rate, whether or not earlier ones are answered, while people act.
async fn storm(
    served: &Arc<Served>,
    token: &str,
    acts: Acts,
    rate: f64,
    each: Duration,
) -> Result<Storm, Failure> {
    let counts = Arc::new(Counts::default());
    let mut connections = Vec::with_capacity(STORM_CONNECTIONS);
    for _ in 0..STORM_CONNECTIONS {
        connections
            .push(RawConnection::open(served.address, token, "/goals", &goal("look").to_string()).await?);
    }
    let before = served.count("completed").await?;
    let over = Arc::new(AtomicBool::new(false));
    let people = tokio::spawn(acts.go_on(Arc::clone(&over)));
    let processor = served.processor_ms()?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in connections {
        tasks.spawn(offer(connection, Arc::clone(&counts), begun, rate, each));
    }
    let mut memory = 0;
    while begun.elapsed() < each {
        memory = memory.max(served.resident_bytes()?);
        tokio::time::sleep(LOOK).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let sent = counts.sent.load(Ordering::Relaxed);
    over.store(true, Ordering::Relaxed);
    let done = served.count("completed").await?.saturating_sub(before);
    let (server, generator) = served.processor_ms()?;
    let mut refusals = histogram()?;
    while let Some(ended) = tasks.join_next().await {
        refusals.add(ended.map_err(failed)??).map_err(failed)?;
    }
    let people = people.await.map_err(failed)??;
    // What people approved was done as well, and is no part of what was offered.
    let done = done.saturating_sub(people.approved);
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    Ok(Storm {
        offered: sent as f64 / seconds,
        accepted: count(&counts.accepted) as f64 / seconds,
        server_ms: (server - processor.0) / seconds,
        generator_ms: (generator - processor.1) / seconds,
        sample: std::mem::take(&mut *counts.sample.lock()),
        done: done as f64 / seconds,
        refused: count(&counts.refused) as f64 / seconds,
        shed: count(&counts.shed) as f64 / seconds,
        failed: count(&counts.failed),
        left: count(&counts.accepted).saturating_sub(done),
        memory,
        refusals,
        acts: people.took,
        acts_refused: people.refused,
    })
}

/// One of the connections: it takes the next goal that is due, whoever that would have been.
async fn offer(
    mut connection: RawConnection,
    counts: Arc<Counts>,
    begun: Instant,
    rate: f64,
    each: Duration,
) -> Result<Took, Failure> {
    let mut refusals = histogram()?;
    loop {
        let number = counts.sent.fetch_add(1, Ordering::Relaxed);
        let due = Duration::from_secs_f64(number as f64 / rate);
        if due >= each || begun.elapsed() >= each {
            counts.sent.fetch_sub(1, Ordering::Relaxed);
            return Ok(refusals);
        }
        tokio::time::sleep_until((begun + due).into()).await;
        let one = Instant::now();
        let (status, answer) = connection.again().await?;
        let count = match status {
            202 => &counts.accepted,
            503 if answer.contains("OH-5063") => {
                refusals.saturating_record(micros(one.elapsed()));
                &counts.refused
            }
            503 if answer.contains("OH-5002") => &counts.shed,
            _ => &counts.failed,
        };
        let number = count.fetch_add(1, Ordering::Relaxed);
        if status == 202 && number.is_multiple_of(SAMPLE_EVERY) {
            let id = answer.split("\"execution_id\":\"").nth(1).and_then(|rest| rest.split('"').next());
            let mut sample = counts.sample.lock();
            if sample.len() < SAMPLE_MAX {
                sample.extend(id.map(str::to_owned));
            }
        }
    }
}

/// What people do while the storm goes on: cancel, decide, stop.
struct Acts {
    person: Connection,
    naps: Vec<String>,
    /// Pending approvals and their digests.
    approvals: Vec<(String, Json)>,
}

struct Acted {
    took: Took,
    refused: u64,
    approved: u64,
}

impl Acts {
    /// Starts what will be cancelled and decided.
    async fn prepare(served: &Served, load: &str, person: String, each: Duration) -> Result<Self, Failure> {
        let rounds = usize::try_from(each.as_millis() / ACTS_EVERY.as_millis()).unwrap_or(ROUNDS_MAX);
        let rounds = rounds.min(ROUNDS_MAX);
        let mut asking = Connection::open(served.address, load).await?;
        let (mut naps, mut pays) = (Vec::new(), 0);
        for _ in 0..rounds {
            let nap = asking.goal("nap", None).await?;
            naps.extend(nap.body["execution_id"].as_str().map(str::to_owned));
            pays += usize::from(asking.goal("pay", None).await?.status == 202);
        }
        let mut person = Connection::open(served.address, &person).await?;
        let listed = person.send(Method::GET, "/approvals?status=pending&limit=100", None).await?;
        let items = listed.body["items"].as_array().cloned().unwrap_or_default();
        let approvals: Vec<_> = items
            .iter()
            .filter_map(|item| Some((item["id"].as_str()?.to_owned(), item["digest"].clone())))
            .collect();
        if naps.len() < rounds || pays < rounds || approvals.len() < rounds {
            return Err(failed(format!("{} wait and {} ask, of {rounds}", naps.len(), approvals.len())));
        }
        Ok(Self { person, naps, approvals })
    }

    /// One of each at a time, until it is over.
    async fn go_on(mut self, over: Arc<AtomicBool>) -> Result<Acted, Failure> {
        let mut acted = Acted { took: histogram()?, refused: 0, approved: 0 };
        let mut tick = tokio::time::interval(ACTS_EVERY);
        let mut on = false;
        loop {
            tick.tick().await;
            if over.load(Ordering::Relaxed) {
                return Ok(acted);
            }
            on = !on;
            let body = json!({"on": on, "reason": "it is tried", "scope": {"workflow": "bench/none"}});
            self.act(&mut acted, Method::PUT, "/controls/kill-switch", &body).await?;
            if let Some(nap) = self.naps.pop() {
                let body = json!({"reason": "it is tried"});
                self.act(&mut acted, Method::POST, &format!("/executions/{nap}/cancel"), &body).await?;
            }
            if let Some((approval, digest)) = self.approvals.pop() {
                let body = json!({"digest": digest, "reason": "it is tried"});
                let path = format!("/approvals/{approval}/approve");
                acted.approved += u64::from(self.act(&mut acted, Method::POST, &path, &body).await?);
            }
        }
    }

    async fn act(
        &mut self,
        acted: &mut Acted,
        method: Method,
        path: &str,
        body: &Json,
    ) -> Result<bool, Failure> {
        let begun = Instant::now();
        let heard = self.person.send(method, path, Some(body)).await?;
        let good = heard.status.is_success();
        if good {
            acted.took.saturating_record(micros(begun.elapsed()));
        } else {
            acted.refused += 1;
        }
        Ok(good)
    }
}

/// What became of what was accepted.
struct Sample {
    looked_at: usize,
    verified: usize,
    /// From its acceptance to its end.
    took: Took,
}

async fn look_at(served: &Served, token: &str, ids: &[String]) -> Result<Sample, Failure> {
    let mut connection = Connection::open(served.address, token).await?;
    let mut sample = Sample { looked_at: ids.len(), verified: 0, took: histogram()? };
    for id in ids {
        let heard = connection.send(Method::GET, &format!("/executions/{id}"), None).await?;
        let moment =
            |field: &str| heard.body[field].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let (Some(started), Some(ended)) = (moment("started_at"), moment("ended_at")) else { continue };
        let took = ended.as_millisecond().saturating_sub(started.as_millisecond());
        sample.took.saturating_record(u64::try_from(took).unwrap_or(0) * 1000);
        sample.verified += usize::from(heard.body["outcome"] == "verified");
    }
    Ok(sample)
}

/// How long after the storm everything is normal, and stays so for as long as it is watched: nothing refused, and p99
/// within `normal` microseconds. None when it never is.
async fn afterwards(served: &Served, token: &str, normal: f64) -> Result<Option<Duration>, Failure> {
    let mut connection = Connection::open(served.address, token).await?;
    let begun = Instant::now();
    let mut runs = Vec::new();
    while begun.elapsed() < AFTERWARDS {
        let since = begun.elapsed();
        let one = Instant::now();
        let heard = connection.goal("look", Some(WAIT)).await?;
        let good = heard.status == 200 && heard.body["status"] == "completed";
        runs.push((since, good.then(|| micros(one.elapsed()))));
    }
    Ok(normal_from(&runs, normal))
}

/// The first moment from which on all runs succeed, and ninety-nine of a hundred within `normal` microseconds.
fn normal_from(runs: &[(Duration, Option<u64>)], normal: f64) -> Option<Duration> {
    let (mut all, mut slow, mut first) = (0usize, 0usize, None);
    for (since, took) in runs.iter().rev() {
        let Some(took) = took else { break };
        all += 1;
        slow += usize::from(*took as f64 > normal);
        if slow * 100 <= all {
            first = Some(*since);
        }
    }
    first
}

fn histogram() -> Result<Took, Failure> {
    Took::new_with_bounds(1, 60_000_000_000, 3).map_err(failed)
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_normal_from_where_nothing_is_refused_and_little_is_slow() {
        let run = |second: u64, took: Option<u64>| (Duration::from_secs(second), took);
        let runs = [run(0, Some(10)), run(1, None), run(2, Some(900)), run(3, Some(10)), run(4, Some(20))];
        assert_eq!(normal_from(&runs, 20.0), Some(Duration::from_secs(3)));
        assert_eq!(normal_from(&runs, 900.0), Some(Duration::from_secs(2)));
        assert_eq!(normal_from(&runs, 15.0), None, "the last one was slow");
        let mut many: Vec<_> = (0..300).map(|second| run(second, Some(10))).collect();
        many[100] = run(100, Some(900));
        assert_eq!(normal_from(&many, 20.0), Some(Duration::ZERO), "one of three hundred is slow");
        many.push(run(300, None));
        assert_eq!(normal_from(&many, 20.0), None);
    }
}
