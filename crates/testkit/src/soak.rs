//! Soak: the real binary under load, killed again and again, with a ledger outside that remembers everything.
//!
//! At the end every goal that was accepted has ended or is parked with a reason, the ledger has no refund twice, no
//! history has a gap, and the audit log is whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::client::Client;
use crate::outside::{Fault, Outside};
use crate::server::Server;

/// Tasks that ask for goals, and the pause of each between two.
const ASKERS: u64 = 4;
const ASK_EVERY: Duration = Duration::from_millis(150);
/// Pause of the approver between two looks.
const APPROVE_EVERY: Duration = Duration::from_millis(100);
/// What was accepted must have ended or be parked this long after the last kill.
const SETTLE_MAX: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(50);
/// Breaches that are told.
const TOLD_MAX: usize = 20;

const NAP: &str = "
document: { dsl: '1.0.3', namespace: soak, name: nap, version: '1.0.0' }
do:
  - before: { call: 'order-read:1.0.0', with: { id: '${ .orderId + \"-before\" }' }, output: { as: '${ $workflow.input }' } }
  - nap: { wait: PT0.3S }
  - after: { call: 'order-read:1.0.0', with: { id: '${ .orderId + \"-after\" }' } }
";
const CAREFUL: &str = "
document: { dsl: '1.0.3', namespace: soak, name: careful, version: '1.0.0' }
do:
  - before: { call: 'order-read:1.0.0', with: { id: '${ .orderId + \"-before\" }' }, output: { as: '${ $workflow.input }' } }
  - refund: { call: 'refund-create:1.0.0', with: { orderId: '${ .orderId }', amount: '${ .amount }', currency: EUR }, output: { as: '${ $workflow.input }' } }
  - rest: { wait: PT0.1S }
  - after: { call: 'order-read:1.0.0', with: { id: '${ .orderId + \"-after\" }' } }
";

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The binary.
    pub program: PathBuf,
    /// How long load and kills go on.
    pub time: Duration,
    /// Least and most time between a start and the next kill.
    pub between: (Duration, Duration),
    /// Where chance begins.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// `kill -9`
    pub kills: u64,
    /// Longest time from a start to ready, in milliseconds.
    pub start_ms_max: u128,
    /// Goals that were accepted (202).
    pub accepted: u64,
    /// Of these: completed.
    pub completed: u64,
    /// Of these: parked as a dead letter, or ended as faulted, with a reason.
    pub parked: u64,
    /// Refunds in the ledger.
    pub refunds: usize,
    /// Requests to refund that the outside got; more than refunds means repeated with the same key.
    pub posts: u32,
    /// Leaves of the audit log.
    pub leaves: u64,
    /// What should not be: the first few.
    pub breaches: Vec<String>,
}

struct Shared {
    admin: Mutex<Client>,
    alice: String,
    bob: String,
    accepted: Mutex<BTreeMap<u64, &'static str>>,
    next: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn client(&self, token: &str) -> Client {
        self.admin.lock().with_token(token)
    }
}

/// Runs the soak. Panics when the server cannot be started.
pub async fn run(plan: Plan) -> Figures {
    let program = plan.program.display().to_string();
    let outside = Outside::start().await;
    // Whoever looks every goal up again at the end must not be taken for a flood.
    let configuration =
        "egress.private = [\"127.0.0.1/32\"]\nlimits.rate = 1000000\nlimits.burst = 1000000\n";
    let mut server = Server::start(&program, configuration, &[]).await;
    publish(&server, &outside).await;
    let alice = server.principal("user:alice", &["developer", "operator"]).await;
    let bob = server.principal("user:bob", &["operator"]).await;
    let shared = Arc::new(Shared {
        admin: Mutex::new(server.admin.clone()),
        alice: alice.token.unwrap_or_default(),
        bob: bob.token.unwrap_or_default(),
        accepted: Mutex::default(),
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let askers: Vec<_> = (0..ASKERS).map(|_| tokio::spawn(ask(Arc::clone(&shared)))).collect();
    let approver = tokio::spawn(approve(Arc::clone(&shared)));
    let mut figures = Figures::default();
    kill_again_and_again(&plan, &mut server, (&shared, &outside), &mut figures).await;
    shared.stop.store(true, Ordering::Release);
    for asker in askers {
        if asker.await.is_err() {
            figures.breaches.push("a goal was refused: see the panic above".to_owned());
        }
    }
    settle(&shared, &mut figures).await;
    approver.abort();
    judge(&mut server, &outside, &shared, &mut figures).await;
    let verified = Command::new(&plan.program).args(["audit", "verify"]).arg(server.data()).output();
    if !verified.as_ref().is_ok_and(|output| output.status.success()) {
        figures.breaches.push(format!("`omnihub audit verify` says no: {verified:?}"));
    }
    figures.breaches.truncate(TOLD_MAX);
    figures
}

async fn publish(server: &Server, outside: &Outside) {
    let at = outside.address;
    let read = format!(
        "action: order-read:1.0.0\ntitle: Read an order\neffect: read\nclass: read\nhosts: ['{at}']\n\
         input: {{ schema: {{ type: object, required: [id] }} }}\n\
         run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{id}}' }} }}\n"
    );
    let (actions, _) = outside.documents();
    for action in actions.iter().chain([&read]) {
        server.admin.post_yaml("/actions", action).await.expect(201);
    }
    for workflow in [NAP, CAREFUL] {
        server.admin.post_yaml("/workflows", workflow).await.expect(201);
    }
}

async fn kill_again_and_again(
    plan: &Plan,
    server: &mut Server,
    (shared, outside): (&Shared, &Outside),
    figures: &mut Figures,
) {
    let mut state = plan.seed;
    let mut dice = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end.max(1)
    };
    let began = Instant::now();
    let spread = plan.between.1.saturating_sub(plan.between.0).as_millis();
    while began.elapsed() < plan.time {
        let more = dice(u64::try_from(spread).unwrap_or(u64::MAX));
        tokio::time::sleep(plan.between.0 + Duration::from_millis(more)).await;
        server.kill();
        figures.kills += 1;
        outside.fault(
            [Fault::None, Fault::Pending, Fault::LoseAnswer, Fault::None]
                [usize::try_from(dice(4)).unwrap_or(0)],
        );
        let start = Instant::now();
        server.start_again().await;
        figures.start_ms_max = figures.start_ms_max.max(start.elapsed().as_millis());
        *shared.admin.lock() = server.admin.clone();
    }
    outside.fault(Fault::None);
}

/// Asks for one goal after the other; each until it is accepted, with the same id.
async fn ask(shared: Arc<Shared>) {
    while !shared.stop.load(Ordering::Acquire) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let name = if number.is_multiple_of(2) { "nap" } else { "careful" };
        let goal = json!({
            "workflow": {"namespace": "soak", "name": name},
            "execution_id": format!("soak-{number}"),
            "input": {"orderId": number.to_string(), "amount": 5},
        });
        loop {
            let client = shared.client(&shared.alice);
            let body = goal.to_string().into();
            match client.try_send("POST", "/api/v1/goals", &[], body).await {
                Ok(answer) if answer.status == 202 => break,
                Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{}", answer.text),
                Err(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
        shared.accepted.lock().insert(number, name);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Says yes to everything that waits.
async fn approve(shared: Arc<Shared>) {
    loop {
        let bob = shared.client(&shared.bob);
        let list = bob.try_send("GET", "/api/v1/approvals?status=pending&limit=200", &[], Default::default());
        if let Ok(pending) = list.await {
            for approval in pending.json["items"].as_array().cloned().unwrap_or_default() {
                let body = json!({"digest": approval["digest"], "reason": "looks right"}).to_string();
                let id = approval["id"].as_str().unwrap_or_default();
                let path = format!("/api/v1/approvals/{id}/approve");
                // A server that was just killed is asked again.
                let _ = bob.try_send("POST", &path, &[], body.into()).await;
            }
        }
        tokio::time::sleep(APPROVE_EVERY).await;
    }
}

/// Waits until nothing is under way.
async fn settle(shared: &Shared, figures: &mut Figures) {
    let began = Instant::now();
    let bob = shared.client(&shared.bob);
    let mut open: Vec<u64> = shared.accepted.lock().keys().copied().collect();
    figures.accepted = open.len() as u64;
    while let Some(number) = open.last().copied() {
        let now = bob.get(&format!("/executions/soak-{number}")).await;
        match (now.status, now.str("/status")) {
            (200, "completed") => figures.completed += 1,
            (200, "faulted") if !now.json["error"].is_null() => figures.parked += 1,
            (200, _) if now.str("/blocked_on").starts_with("dead-letter") => figures.parked += 1,
            (200, status) if began.elapsed() < SETTLE_MAX => {
                debug_assert!(!status.is_empty());
                tokio::time::sleep(LOOK).await;
                continue;
            }
            _ => figures.breaches.push(format!("lost: soak-{number}: {}", now.text)),
        }
        open.pop();
    }
}

async fn judge(server: &mut Server, outside: &Outside, shared: &Shared, figures: &mut Figures) {
    let bob = shared.client(&shared.bob);
    let refunds = outside.refunds();
    figures.refunds = refunds.len();
    figures.posts = outside.posts();
    let mut of_order: BTreeMap<&str, u64> = BTreeMap::new();
    for refund in &refunds {
        *of_order.entry(refund["refund"]["orderId"].as_str().unwrap_or_default()).or_default() += 1;
    }
    for (order, count) in of_order.iter().filter(|(_, count)| **count > 1) {
        figures.breaches.push(format!("doubled: order {order} was refunded {count} times"));
    }
    let accepted = shared.accepted.lock().clone();
    for (number, name) in accepted {
        let row = bob.get(&format!("/executions/soak-{number}")).await;
        let refunded = of_order.contains_key(number.to_string().as_str());
        if row.str("/status") == "completed" && (name == "careful") != refunded {
            figures.breaches.push(format!("soak-{number} ({name}) completed, refunded: {refunded}"));
        }
        let history = bob.get(&format!("/executions/soak-{number}/history?limit=500")).await;
        let items = history.json["items"].as_array().cloned().unwrap_or_default();
        let gap = items.iter().zip(0u64..).any(|(item, at)| item["sequence"].as_u64() != Some(at));
        if items.is_empty() || gap {
            figures.breaches.push(format!("soak-{number}: its history has a gap: {}", history.text));
        }
    }
    let check = server.admin.post("/audit/check", json!({})).await;
    if check.json["intact"] != Json::Bool(true) {
        figures.breaches.push(format!("the audit log is not whole: {}", check.text));
    }
    figures.leaves = server.admin.get("/audit/head").await.json["size"].as_u64().unwrap_or(0);
    let code = server.terminate().await;
    if code != Some(0) {
        figures.breaches.push(format!("it did not stop in order: {code:?}"));
    }
}
