//! Too much, as callers and people meet it: refused at the door with a time to come back, and nothing accepted is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Fault, Outside, Server};

use crate::shop::{eventually, text};

/// Reads one order.
const LOOK: &str = "
document: { dsl: '1.0.3', namespace: test, name: look, version: '1.0.0' }
do:
  - look: { call: 'order-read:1.0.0', with: { id: '${ $workflow.id }' } }
";
/// Waits for a moment, then reads one order.
const LATER: &str = "
document: { dsl: '1.0.3', namespace: test, name: later, version: '1.0.0' }
do:
  - nap: { wait: { milliseconds: 50 } }
  - look: { call: 'order-read:1.0.0', with: { id: '${ $workflow.id }' } }
";
/// Waits for as long as nobody cancels it.
const LONG: &str = "
document: { dsl: '1.0.3', namespace: test, name: long, version: '1.0.0' }
do:
  - nap: { wait: { hours: 1 } }
";
/// What may be at work of a tenant.
const ROOM: usize = 1_024;
/// Effects that are performed at once.
const PLACES: usize = 8;
/// Clients that ask at once.
const CLIENTS: usize = 16;

struct House {
    server: Server,
    outside: Outside,
    load: Client,
}

impl House {
    async fn open() -> Self {
        Self::with_places(PLACES).await
    }

    async fn with_places(places: usize) -> Self {
        let outside = Outside::start().await;
        let at = outside.address;
        let configuration = format!(
            "egress.private = [\"127.0.0.1/32\"]\nlimits.effects = {places}\nlimits.rate = 100000\nlimits.burst = 100000\n"
        );
        let server = Server::start(env!("CARGO_BIN_EXE_omnihub"), &configuration, &[]).await;
        let read = format!(
            "action: order-read:1.0.0\ntitle: Read an order\neffect: read\nclass: read\nhosts: ['{at}']\n\
             input: {{ schema: {{ type: object, required: [id] }} }}\n\
             run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{id}}' }} }}\n"
        );
        server.admin.post_yaml("/actions", &read).await.expect(201);
        for workflow in [LOOK, LATER, LONG] {
            server.admin.post_yaml("/workflows", workflow).await.expect(201);
        }
        let load = server.principal("service:load", &["developer"]).await;
        Self { server, outside, load }
    }

    async fn count(&self, status: &str) -> u64 {
        let seen = self.server.admin.get("/overview").await.expect(200);
        counted(&seen, status)
    }

    /// Asks with many clients at once until one is refused, or `most` were asked for; answers how many were accepted.
    async fn fill(&self, workflow: &str, most: usize) -> (usize, Option<Answer>) {
        let (asked, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let refused = Arc::new(parking_lot::Mutex::new(None));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let (load, body) = (self.load.clone(), goal(workflow));
            let (asked, accepted, refused) =
                (Arc::clone(&asked), Arc::clone(&accepted), Arc::clone(&refused));
            tasks.spawn(async move {
                while refused.lock().is_none() && asked.fetch_add(1, Ordering::Relaxed) < most {
                    let answer = load.post("/goals", body.clone()).await;
                    match answer.status {
                        202 => drop(accepted.fetch_add(1, Ordering::Relaxed)),
                        _ => *refused.lock() = Some(answer),
                    }
                }
            });
        }
        tasks.join_all().await;
        let refused = refused.lock().take();
        (accepted.load(Ordering::Relaxed), refused)
    }
}

fn goal(workflow: &str) -> Json {
    json!({"workflow": {"namespace": "test", "name": workflow}, "input": {}})
}

fn counted(overview: &Answer, status: &str) -> u64 {
    let counts = overview.json["by_status"].as_array().cloned().unwrap_or_default();
    let found = counts.iter().find(|count| count["name"] == status);
    found.and_then(|count| count["count"].as_u64()).unwrap_or(0)
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.str("/code")), (503, "OH-5063"), "{}", answer.text);
    let seconds: u64 = answer.header("retry-after").and_then(|after| after.parse().ok()).expect("a time");
    let told = answer.json["retry_after_ms"].as_u64().expect("the same in milliseconds");
    assert!((1..=10).contains(&seconds) && told.div_ceil(1_000) == seconds, "{}", answer.text);
    assert_eq!(answer.header("ratelimit"), Some(format!("\"admission\";r=0;t={seconds}").as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_work_is_bounded_people_are_answered_and_nothing_accepted_is_lost() {
    let house = House::open().await;
    let bob = house.server.principal("user:bob", &["operator"]).await;
    let waits = house.load.post("/goals", goal("long")).await.expect(202).str("/execution_id").to_owned();
    house.outside.fault(Fault::HoldReads);
    let (accepted, refused) = house.fill("look", 3 * ROOM).await;
    assert_refused(&refused.expect("three times as many as there is room for are not accepted"));
    // What the outside holds keeps nobody waiting; beyond that the bound holds, whoever asks at the same time.
    assert!((ROOM..=ROOM + PLACES).contains(&accepted), "{accepted} were accepted");
    assert_refused(&house.load.post("/goals", goal("look")).await);
    let figures = house.server.admin.send("GET", "/metrics", &[], bytes::Bytes::new()).await;
    let at_work = figures.text.lines().find_map(|line| line.strip_prefix("omnihub_executions_at_work "));
    assert_eq!(
        at_work.and_then(|count| count.parse::<f64>().ok()),
        Some(accepted as f64),
        "{}",
        figures.text
    );

    // People act, and others work, as if nothing were.
    let reason = json!({"reason": "it is tried"});
    bob.post(&format!("/executions/{waits}/cancel"), reason.clone()).await.expect(202);
    let stop = |on: bool| json!({"on": on, "reason": "it is tried", "scope": {"workflow": "test/none"}});
    bob.put("/controls/kill-switch", stop(true)).await.expect(200);
    bob.put("/controls/kill-switch", stop(false)).await.expect(200);
    let other = house.server.principal_in("other", "service:other", "service", &["developer"]).await;
    other.post_yaml("/workflows", LONG).await.expect(201);
    other.post("/goals", goal("long")).await.expect(202);
    // A cancelled execution makes room for one, but only below the margin is anybody let in again.
    let running = house.load.get("/executions?status=running&limit=1").await.expect(200);
    let one = running.str("/items/0/execution_id").to_owned();
    bob.post(&format!("/executions/{one}/cancel"), reason).await.expect(202);
    assert_refused(&house.load.post("/goals", goal("look")).await);

    house.outside.fault(Fault::None);
    house.outside.let_go();
    let all = accepted as u64 - 1;
    eventually(&house.server.admin, "/overview", |seen| counted(seen, "completed") == all).await;
    assert_eq!(house.count("running").await + house.count("pending").await, 0);
    let (again, refused) = house.fill("look", 50).await;
    assert_eq!((again, refused.map(|answer| answer.text)), (50, None), "it is over when it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_does_not_take_at_once_waits_and_is_no_failed_attempt() {
    const AT_ONCE: usize = 32;
    let house = House::with_places(64).await;
    house.outside.fault(Fault::HoldReads);
    let (accepted, _) = house.fill("look", 2 * AT_ONCE).await;
    assert_eq!(accepted, 2 * AT_ONCE);
    while house.outside.arrivals().len() < AT_ONCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Every execution has its permit; those that the target does not take at once wait for a place, and not for a retry.
    eventually(&house.server.admin, "/overview", |seen| counted(seen, "running") == accepted as u64).await;
    assert_eq!(house.outside.arrivals().len(), AT_ONCE);
    house.outside.fault(Fault::None);
    house.outside.let_go();
    eventually(&house.server.admin, "/overview", |seen| counted(seen, "completed") == accepted as u64).await;
    let page = house.load.get("/executions?status=completed&limit=100").await.expect(200);
    let ids: Vec<String> = page.json["items"]
        .as_array()
        .expect("a page")
        .iter()
        .map(|one| text(&one["execution_id"]).to_owned())
        .collect();
    assert_eq!(ids.len(), accepted);
    for id in ids {
        let seen = house.load.get(&format!("/executions/{id}")).await.expect(200);
        let attempts = seen.json["effects"][0]["attempts"].as_array().map(Vec::len);
        assert_eq!(attempts, Some(1), "each was tried once: {}", seen.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_asking_gets_as_much_done_as_can_be_and_each_answer_is_true() {
    const ASKED: usize = 6_000;
    let house = House::open().await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let asked = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    // Four times as many clients as effects are performed at once, and none of them heeds `Retry-After`.
    for _ in 0..PLACES * 4 {
        let (load, accepted) = (house.load.clone(), Arc::clone(&accepted));
        let asked = Arc::clone(&asked);
        tasks.spawn(async move {
            while asked.fetch_add(1, Ordering::Relaxed) < ASKED {
                let answer = load.post("/goals", goal("look")).await;
                match answer.status {
                    202 => drop(accepted.fetch_add(1, Ordering::Relaxed)),
                    _ => assert_refused(&answer),
                }
            }
        });
    }
    while !tasks.is_empty() {
        let ended = house.count("completed").await;
        let open = accepted.load(Ordering::Relaxed).saturating_sub(usize::try_from(ended).unwrap_or(0));
        most.fetch_max(open, Ordering::Relaxed);
        match tokio::time::timeout(Duration::from_millis(50), tasks.join_next()).await {
            Ok(Some(ended)) => ended.expect("each answer is one of two"),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    // Counted before the answers of this moment, so as many more as there are clients.
    let most = most.load(Ordering::Relaxed);
    assert!(most <= ROOM + PLACES + PLACES * 4, "{most} were under way");
    let all = accepted.load(Ordering::Relaxed) as u64;
    assert!(all >= PLACES as u64, "{all} were accepted");
    eventually(&house.server.admin, "/overview", |seen| counted(seen, "completed") == all).await;
    let page = house.load.get("/executions?status=completed&limit=100").await.expect(200);
    let ended = page.json["items"].as_array().cloned().unwrap_or_default();
    assert!(
        !ended.is_empty() && ended.iter().all(|one| text(&one["outcome"]) == "verified"),
        "{}",
        page.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_of_one_tenant_wait_for_room_and_another_tenants_come_all_the_same() {
    let house = House::open().await;
    // Twice the room: all fall due while the outside answers nothing.
    let other = house.server.principal_in("other", "service:other", "service", &["developer"]).await;
    let doc = LONG.replace("hours: 1", "milliseconds: 50");
    other.post_yaml("/workflows", &doc).await.expect(201);
    house.outside.fault(Fault::HoldReads);
    let (accepted, _) = house.fill("later", 2 * ROOM).await;
    assert!(accepted > ROOM / 2, "{accepted} were accepted");
    let mine = other.post("/goals?wait=PT30S", goal("long")).await.expect(200);
    assert_eq!(mine.str("/status"), "completed", "{}", mine.text);
    house.outside.fault(Fault::None);
    house.outside.let_go();
    let all = accepted as u64;
    eventually(&house.server.admin, "/overview", |seen| counted(seen, "completed") == all).await;
}
