//! The kill switch under full load: when the last effect arrives outside after the switch was acknowledged, whether the
//! signed report names everything that was on the wire by then, and when programs in the sandbox are dead.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::bench::Figure;
use crate::bench::house::failed;
use crate::bench::served::{Connection, Served};
use crate::exit::Failure;

/// Executions in flight, each reading in a loop.
const EXECUTIONS: usize = 1000;
/// Reads of each: more than all trials let through.
const READS: u32 = 2000;
/// Fewer than this at the last stop prove nothing about so many.
const IN_FLIGHT_MIN: usize = 950;
/// Stops.
const TRIALS: usize = 100;
/// Stops of programs in the sandbox, while the reads go on.
const DRILL_TRIALS: u32 = 100;
/// Reads that arrive before each stop, so that everything is in motion; a little more each time, so that the stop does not
/// always meet the same moment.
const MOTION: usize = 400;
const MOTION_MORE: usize = 7;
/// How long the outside takes to answer a read, so that there is always something on the wire. A target takes 32 at
/// once of a tenant, so this says how many reads go by in a second as well.
const ANSWERS_AFTER: Duration = Duration::from_millis(25);
/// So long is looked for what still arrives after an acknowledgement.
const AFTERMATH: Duration = Duration::from_millis(500);
/// A flow that does not come back within this time has failed.
const MOTION_WITHIN: Duration = Duration::from_secs(120);
/// A drill that has not ended within this time has failed.
const DRILL_WITHIN: Duration = Duration::from_secs(300);
/// Pause between two looks at the drill.
const DRILL_LOOK: Duration = Duration::from_millis(250);
/// Pause between two looks at the flow.
const LOOK: Duration = Duration::from_millis(2);
/// Connections over which executions are started.
const STARTERS: usize = 8;
/// Nothing may arrive later than this after the acknowledgement, in milliseconds.
const BOUND_MS: f64 = 100.0;
/// Programs in the sandbox must be dead within this time, in milliseconds.
const DEAD_MS: f64 = 250.0;

/// One read at the outside: which one, when it arrived, and when it was answered.
struct Arrival {
    order: String,
    at: Instant,
    answered: Option<Instant>,
}

/// The outside: it stamps what arrives, and answers a little later.
struct Outside {
    address: SocketAddr,
    ledger: Arc<Mutex<Vec<Arrival>>>,
    serving: JoinHandle<()>,
}

/// What one stop came to.
#[derive(Default)]
struct Trial {
    /// From the request to its answer.
    acknowledged: Duration,
    /// The last arrival after the acknowledgement, counted from there.
    last: Duration,
    /// Arrivals after it.
    late: usize,
    /// Reads that were on the wire when it was acknowledged or arrived later, and how many of them the report names.
    open: usize,
    named: usize,
    /// Permits that were taken back before anything was sent.
    called_back: u64,
}

/// Stops 1,000 executions in full motion, again and again.
pub(super) async fn measure() -> Result<Vec<Figure>, Failure> {
    let served = Served::start().await?;
    let outside = Outside::start().await?;
    let person = served.token("user:bob", &["operator"]).await?;
    outside.publish(&served).await?;
    begin(&served).await?;
    let mut trials = Vec::with_capacity(TRIALS);
    for number in 0..TRIALS {
        outside.in_motion(MOTION + number * MOTION_MORE).await?;
        // A connection of its own: the server closes one that says nothing for as long as the flow may take to come back.
        let mut connection = Connection::open(served.address, &person).await?;
        trials.push(trial(&outside, &mut connection).await?);
    }
    let drill = drill(&served, &person).await?;
    // Some read faster than others, and a few may have read all they had to by the last stop.
    let ended = usize::try_from(served.count("completed").await?).unwrap_or(usize::MAX);
    let in_flight = EXECUTIONS.saturating_sub(ended);
    if in_flight < IN_FLIGHT_MIN {
        return Err(failed(format!("only {in_flight} executions were in flight at the last stop")));
    }
    let mut figures = figures(&trials, in_flight);
    figures.extend(sandboxes(&drill)?);
    Ok(figures)
}

/// The server's own drill: programs that sleep are stopped, again and again, beside the reads.
async fn drill(served: &Served, person: &str) -> Result<Json, Failure> {
    let mut connection = Connection::open(served.address, person).await?;
    let body = json!({"trials": DRILL_TRIALS, "reason": "it is measured"});
    let begun = connection.send(Method::POST, "/controls/drill", Some(&body)).await?;
    let id = begun.body["report"]["id"].as_str();
    let id = id.ok_or_else(|| failed(format!("a drill was answered {}: {}", begun.status, begun.body)))?;
    let started = Instant::now();
    while started.elapsed() < DRILL_WITHIN {
        tokio::time::sleep(DRILL_LOOK).await;
        let heard = connection.send(Method::GET, &format!("/controls/drills/{id}"), None).await?;
        let report = &heard.body["report"];
        if !report["error"].is_null() {
            return Err(failed(format!("the drill failed: {}", report["error"])));
        }
        if report["complete"] == true {
            return Ok(report.clone());
        }
    }
    Err(failed("the drill did not end in time"))
}

fn sandboxes(drill: &Json) -> Result<Vec<Figure>, Failure> {
    let figure =
        |name: &str, value, unit, limit| Figure { group: "stop", name: name.into(), value, unit, limit };
    let number = |path: &str| {
        let found = drill.pointer(path).and_then(Json::as_f64);
        found.ok_or_else(|| failed(format!("the drill does not say `{path}`")))
    };
    Ok(vec![
        figure("drill: trials", number("/trials_done")?, "trials", None),
        figure("drill: programs killed", number("/programs_killed")?, "programs", None),
        figure("drill: trials with a late start", number("/trials_with_late_starts")?, "trials", None),
        figure(
            "drill: programs dead and recorded, p50",
            number("/programs_dead_us/p50")? / 1000.0,
            "ms",
            Some((DEAD_MS, "bound")),
        ),
        figure(
            "drill: programs dead and recorded, p99",
            number("/programs_dead_us/p99")? / 1000.0,
            "ms",
            Some((DEAD_MS, "bound")),
        ),
    ])
}

fn figures(trials: &[Trial], in_flight: usize) -> Vec<Figure> {
    let figure =
        |name: &str, value, unit, limit| Figure { group: "stop", name: name.into(), value, unit, limit };
    let ms = |of: fn(&Trial) -> Duration, percent: usize| {
        let mut all: Vec<Duration> = trials.iter().map(of).collect();
        all.sort_unstable();
        // The smallest value that at least so many in a hundred do not exceed.
        let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
        all.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    };
    let sum = |of: fn(&Trial) -> usize| trials.iter().map(of).sum::<usize>() as f64;
    let called_back = trials.iter().map(|trial| trial.called_back).sum::<u64>() as f64;
    let open = sum(|trial| trial.open);
    vec![
        figure(
            "executions in flight at the last stop",
            in_flight as f64,
            "executions",
            Some((EXECUTIONS as f64, "started")),
        ),
        figure("stops", trials.len() as f64, "trials", None),
        figure("acknowledged after, p50", ms(|t| t.acknowledged, 50), "ms", None),
        figure("acknowledged after, max", ms(|t| t.acknowledged, 100), "ms", None),
        figure(
            "last arrival after the acknowledgement, p50",
            ms(|t| t.last, 50),
            "ms",
            Some((BOUND_MS, "bound")),
        ),
        figure(
            "last arrival after the acknowledgement, p99",
            ms(|t| t.last, 99),
            "ms",
            Some((BOUND_MS, "bound")),
        ),
        figure(
            "last arrival after the acknowledgement, max",
            ms(|t| t.last, 100),
            "ms",
            Some((BOUND_MS, "bound")),
        ),
        figure("arrivals after an acknowledgement", sum(|t| t.late), "reads", None),
        figure("permits called back", called_back, "permits", None),
        figure("on the wire, named in the report", sum(|t| t.named), "reads", Some((open, "on the wire"))),
    ]
}

/// Starts everything that is stopped later.
async fn begin(served: &Served) -> Result<(), Failure> {
    let token = served.token("service:load", &["developer"]).await?;
    let left = Arc::new(AtomicU64::new(EXECUTIONS as u64));
    let mut starting = Vec::new();
    for _ in 0..STARTERS {
        let mut connection = Connection::open(served.address, &token).await?;
        let left = Arc::clone(&left);
        starting.push(tokio::spawn(async move {
            let take = |left: u64| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                let body =
                    json!({"workflow": {"namespace": "bench", "name": "reads"}, "input": {"times": READS}});
                let heard = connection.send(Method::POST, "/goals", Some(&body)).await?;
                if heard.status != 202 {
                    return Err(failed(format!("a goal was answered {}: {}", heard.status, heard.body)));
                }
            }
            Ok(())
        }));
    }
    for one in starting {
        one.await.map_err(failed)??;
    }
    Ok(())
}

/// One stop, watched, and lifted.
async fn trial(outside: &Outside, person: &mut Connection) -> Result<Trial, Failure> {
    let asked = Instant::now();
    let stopped = switch(person, true).await?;
    let acknowledged = Instant::now();
    tokio::time::sleep(AFTERMATH).await;
    let id = stopped["report"]["report"]["id"].as_str().ok_or_else(|| failed("a stop has no report"))?;
    let report = person.send(Method::GET, &format!("/controls/reports/{id}?wait=PT30S"), None).await?;
    let report = &report.body["report"];
    if report["complete"] != true {
        return Err(failed(format!("the report `{id}` was not complete in time")));
    }
    let named: BTreeSet<String> = report["wire"].as_array().into_iter().flatten().map(order_of).collect();
    let mut trial = Trial { acknowledged: acknowledged - asked, ..Trial::default() };
    trial.called_back = report["called_back"].as_u64().unwrap_or_default();
    for arrival in outside.ledger.lock().drain(..) {
        let since = arrival.at.checked_duration_since(acknowledged);
        trial.last = trial.last.max(since.unwrap_or_default());
        trial.late += usize::from(since.is_some());
        if since.is_some() || arrival.answered.is_none_or(|at| at > acknowledged) {
            trial.open += 1;
            trial.named += usize::from(named.contains(&arrival.order));
        }
    }
    switch(person, false).await?;
    Ok(trial)
}

async fn switch(person: &mut Connection, on: bool) -> Result<Json, Failure> {
    let body = json!({"on": on, "reason": "it is measured"});
    let heard = person.send(Method::PUT, "/controls/kill-switch", Some(&body)).await?;
    if heard.status != 200 {
        return Err(failed(format!("the kill switch answered {}: {}", heard.status, heard.body)));
    }
    Ok(heard.body)
}

/// How the outside knows an attempt that a report names: effects are counted from 1, reads from 0.
fn order_of(attempt: &Json) -> String {
    let number = attempt["effect"].as_u64().unwrap_or_default();
    format!("{}_{}", attempt["execution"].as_str().unwrap_or_default(), number.saturating_sub(1))
}

impl Outside {
    async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let ledger = Arc::new(Mutex::new(Vec::new()));
        let serving = tokio::spawn(serve(listener, Arc::clone(&ledger)));
        Ok(Self { address, ledger, serving })
    }

    async fn publish(&self, served: &Served) -> Result<(), Failure> {
        let at = self.address;
        let read = format!(
            "action: stamped-read:1.0.0\ntitle: Look an order up\neffect: read\nclass: read\nhosts: ['{at}']\n\
             input: {{ schema: {{ type: object, required: [order] }} }}\n\
             run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{order}}' }} }}\n"
        );
        let reads = "document: { dsl: '1.0.3', namespace: bench, name: reads, version: '1.0.0' }\ndo:\n  - all:\n      \
             for: { each: n, in: '${ [range(.times)] }' }\n      do:\n        - look: { call: 'stamped-read:1.0.0', \
             with: { order: '${ $workflow.id + \"_\" + ($n | tostring) }' }, output: { as: '${ $workflow.input }' } }\n";
        served.admin.post_text("/actions", "application/yaml", read).await?;
        served.admin.post_text("/workflows", "application/yaml", reads.to_owned()).await?;
        Ok(())
    }

    /// Answers when so many reads have arrived since the last stop.
    async fn in_motion(&self, reads: usize) -> Result<(), Failure> {
        let begun = Instant::now();
        while self.ledger.lock().len() < reads {
            if begun.elapsed() > MOTION_WITHIN {
                return Err(failed(format!("{} reads arrived, of {reads}", self.ledger.lock().len())));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, ledger: Arc<Mutex<Vec<Arrival>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let answer = |request: Request<Incoming>| stamped(request, Arc::clone(&ledger));
            // A peer that goes away is the end of its connection, and nothing else.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn stamped(
    request: Request<Incoming>,
    ledger: Arc<Mutex<Vec<Arrival>>>,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let at = Instant::now();
    let order = request.uri().path().trim_start_matches("/orders/").to_owned();
    ledger.lock().push(Arrival { order: order.clone(), at, answered: None });
    tokio::time::sleep(ANSWERS_AFTER).await;
    // From the end: it came a moment ago. What a trial has counted meanwhile is not there any more.
    let mut known = ledger.lock();
    if let Some(arrival) = known.iter_mut().rev().find(|arrival| arrival.order == order) {
        arrival.answered = Some(Instant::now());
    }
    drop(known);
    let body = Full::new(Bytes::from_static(br#"{"state":"found"}"#));
    Response::builder().header("content-type", "application/json").body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_all_trials() {
        let trial = |last: u64, open, named| Trial {
            last: Duration::from_millis(last),
            late: usize::from(last > 0),
            open,
            named,
            ..Trial::default()
        };
        let trials: Vec<_> = [trial(0, 10, 10), trial(3, 10, 9), trial(90, 5, 5)].into();
        let value = |name: &str| {
            let all = figures(&trials, 990);
            let found = all.into_iter().find(|figure| figure.name == name).expect("a figure");
            (found.value, found.limit.map(|(limit, _)| limit))
        };
        assert_eq!(value("last arrival after the acknowledgement, p50"), (3.0, Some(BOUND_MS)));
        assert_eq!(value("last arrival after the acknowledgement, max"), (90.0, Some(BOUND_MS)));
        assert_eq!(value("on the wire, named in the report"), (24.0, Some(25.0)));
        assert_eq!(value("executions in flight at the last stop"), (990.0, Some(1000.0)));
        assert_eq!(value("arrivals after an acknowledgement"), (2.0, None));
    }

    #[test]
    fn an_attempt_is_the_read_that_the_outside_knows() {
        assert_eq!(order_of(&json!({"execution": "a", "effect": 1})), "a_0");
    }
}
