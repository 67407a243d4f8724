//! A server that crashes where it is told, the outside that remembers what it was asked, and the people around it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Outside, Recorder, Reply, Seen, Server};

/// Rounds of what people do before something never comes to be, and the pause between two: five minutes.
const ROUNDS_MAX: u32 = 6000;
const PAUSE: Duration = Duration::from_millis(50);
const ABORTED: i32 = 6;
/// A person who had to look so often at one goal would stop.
const REDRIVES_MAX: usize = 20;

/// A read before and after the refund, a timer between, so that there is a step of every kind.
const CAREFUL: &str = "
document: { dsl: '1.0.3', namespace: shop, name: careful, version: '1.0.0' }
do:
  - before: { call: 'order-read:1.0.0', with: { id: '${ .orderId }' }, output: { as: '${ $workflow.input }' } }
  - nap: { wait: PT0.1S }
  - refund: { call: 'refund-create:1.0.0', with: { orderId: '${ .orderId }', amount: '${ .amount }', currency: EUR }, output: { as: '${ $workflow.input }' } }
  - after: { call: 'order-read:1.0.0', with: { id: '${ .orderId }' } }
";

/// Many reads, so that there are snapshots and a long log.
const EACH: &str = "
document: { dsl: '1.0.3', namespace: shop, name: each, version: '1.0.0' }
do:
  - all:
      for: { each: n, in: '${ [range(.count)] }', at: at }
      do:
        - look: { call: 'order-read:1.0.0', with: { id: '${ .orderId + ($n | tostring) }' }, output: { as: '${ $workflow.input }' } }
";

/// What somebody asked for.
pub struct Goal {
    /// Also the order's number at the outside.
    pub id: String,
    workflow: &'static str,
    input: Json,
    accepted: bool,
    long: bool,
    /// The execution as it was seen last.
    pub seen: Json,
    /// How often it was parked for a person and put back to work.
    redriven: usize,
}

impl Goal {
    fn new(id: &str, workflow: &'static str, input: Json) -> Self {
        Self {
            id: id.to_owned(),
            workflow,
            input,
            accepted: false,
            long: false,
            seen: Json::Null,
            redriven: 0,
        }
    }

    /// A refund between two reads.
    pub fn careful(id: &str) -> Self {
        Self::new(id, "careful", json!({"orderId": id, "amount": 5}))
    }

    /// So many reads.
    pub fn each(id: &str, count: u32) -> Self {
        Self { long: true, ..Self::new(id, "each", json!({"orderId": id, "count": count})) }
    }

    /// Two reservations and a payment that is refused, so that they are taken back.
    pub fn trip(id: &str) -> Self {
        Self::new(id, "trip", json!({}))
    }

    fn ended(&self) -> bool {
        !self.seen["ended_at"].is_null() && self.seen.is_object()
    }
}

/// Everything that a crash could tear apart.
pub struct House {
    pub server: Server,
    pub outside: Outside,
    pub recorder: Recorder,
    alice: Client,
    bob: Client,
    /// Crashes that came about.
    pub crashes: u32,
}

impl House {
    pub async fn open() -> Self {
        let (outside, recorder) = (Outside::start().await, Recorder::start().await);
        let server =
            Server::start(env!("CARGO_BIN_EXE_omnihub"), "egress.private = [\"127.0.0.1/32\"]\n", &[]).await;
        let (actions, _) = outside.documents();
        let at = outside.address;
        let read = format!(
            "action: order-read:1.0.0\ntitle: Read an order\neffect: read\nclass: read\nhosts: ['{at}']\n\
             input: {{ schema: {{ type: object, required: [id] }} }}\n\
             run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{id}}' }} }}\n"
        );
        for action in actions.iter().chain([&read]).chain(&saga(&recorder.address.to_string())) {
            server.admin.post_yaml("/actions", action).await.expect(201);
        }
        let document = json!({"dsl": "1.0.3", "namespace": "shop", "name": "trip", "version": "1.0.0"});
        let tasks = json!([
            {"flight": {"call": "flight:1.0.0", "with": {}}},
            {"room": {"call": "room:1.0.0", "with": {}}},
            {"pay": {"call": "pay:1.0.0", "with": {}}},
        ]);
        let trip = json!({"document": document, "do": tasks}).to_string();
        for workflow in [CAREFUL, EACH, &trip] {
            server.admin.post_yaml("/workflows", workflow).await.expect(201);
        }
        recorder.reply("/pay", [Reply::new(422, "{}")]);
        recorder.answer_by(|request, before| {
            let key = request.path.strip_prefix("/look/")?;
            Some(Reply::new(200, &json!({"gone": is_gone(key, before)}).to_string()))
        });
        let alice = server.principal("user:alice", &["developer", "operator"]).await;
        let bob = server.principal("user:bob", &["operator"]).await;
        Self { server, outside, recorder, alice, bob, crashes: 0 }
    }

    /// Starts the server anew, told to crash there (or nowhere); true when it is ready, false when it crashed before.
    pub async fn start(&mut self, at: Option<&str>) -> bool {
        self.server.kill();
        let told: Vec<(&str, &str)> = at.iter().map(|at| ("OMNIHUB_CRASH_AT", *at)).collect();
        self.server.set_environment(&told);
        let ended = self.server.start_or_end().await;
        self.alice.address = self.server.admin.address;
        self.bob.address = self.server.admin.address;
        ended.is_none_or(|status| {
            self.crashed(status, at);
            false
        })
    }

    /// Does what people do until all ended (false) or the server crashed where it was told (true).
    pub async fn drive(&mut self, at: Option<&str>, goals: &mut [Goal]) -> bool {
        for _ in 0..ROUNDS_MAX {
            if let Some(status) = self.server.ended() {
                self.crashed(status, at);
                return true;
            }
            for goal in goals.iter_mut() {
                self.push(goal).await;
            }
            if goals.iter().all(Goal::ended) {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let states: Vec<_> = goals.iter().map(|goal| (&goal.id, &goal.seen)).collect();
        panic!("told to crash at {at:?}, it never ended: {states:#?}\n{}", self.server.log());
    }

    /// Starts told to crash, and drives; true when it crashed.
    pub async fn crash(&mut self, at: &str, goals: &mut [Goal]) -> bool {
        !self.start(Some(at)).await || self.drive(Some(at), goals).await
    }

    /// The whole case: a crash there at work, once more there while what was torn apart is put together, before and after
    /// an execution is recovered, and then a start that goes through. Everything ends as if nothing had been.
    pub async fn survives(&mut self, at: &str, goals: &mut [Goal]) {
        assert!(self.crash(at, goals).await, "the server never came by `{at}`");
        let first = at.split(':').next().unwrap_or_default().to_owned();
        for again in [first.as_str(), "before-recovery", "after-recovery"] {
            self.crash(again, goals).await;
        }
        self.start(None).await;
        assert!(!self.drive(None, goals).await);
        for goal in goals.iter() {
            self.no_gap(&goal.id).await;
        }
    }

    /// Waits for a crash that comes by itself.
    pub async fn crashes_by_itself(&mut self, at: &str) {
        for _ in 0..ROUNDS_MAX {
            if let Some(status) = self.server.ended() {
                return self.crashed(status, Some(at));
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the server never came by `{at}`:\n{}", self.server.log());
    }

    fn crashed(&mut self, status: ExitStatus, at: Option<&str>) {
        let log = self.server.log();
        assert_eq!(status.signal(), Some(ABORTED), "told to crash at {at:?}, it ended with {status}:\n{log}");
        let point = at.and_then(|at| at.split(':').next()).unwrap_or("(nowhere)");
        let last = log.lines().rev().find(|line| line.starts_with("omnihub: crash point"));
        assert_eq!(last, Some(format!("omnihub: crash point `{point}`").as_str()), "{log}");
        self.crashes += 1;
    }

    /// Asks for it, decides about it, looks at it. Whoever is not answered tries again in the next round.
    async fn push(&self, goal: &mut Goal) {
        if !goal.accepted {
            let body = json!({"workflow": {"namespace": "shop", "name": goal.workflow}, "execution_id": goal.id, "input": goal.input});
            let asked = self.alice.try_send("POST", "/api/v1/goals", &[], body.to_string().into()).await;
            goal.accepted = asked.is_ok_and(|answer| {
                assert!(answer.status < 500 || answer.status == 503, "{}", answer.text);
                answer.status == 202
            });
            return;
        }
        if goal.long && !self.has_ended(&goal.id).await {
            return;
        }
        let Some(found) = get(&self.bob, &format!("/executions/{}", goal.id)).await else { return };
        assert_eq!(found.status, 200, "what was accepted is lost: {}", found.text);
        goal.seen = found.json;
        if goal.seen["blocked_on"].as_str().is_some_and(|on| on.starts_with("dead-letter:")) {
            self.redrive(goal).await;
        }
        let pending = format!("/approvals?status=pending&execution={}", goal.id);
        let Some(pending) = get(&self.bob, &pending).await else { return };
        for approval in pending.json["items"].as_array().into_iter().flatten() {
            let id = approval["id"].as_str().unwrap_or_default();
            let body = json!({"digest": approval["digest"], "reason": "looks right"}).to_string();
            let path = format!("/api/v1/approvals/{id}/approve");
            if let Ok(answer) = self.bob.try_send("POST", &path, &[], body.into()).await {
                assert!(matches!(answer.status, 200 | 409 | 503), "{}", answer.text);
            }
        }
    }

    /// As the list has it, which costs nothing, however many effects there are.
    async fn has_ended(&self, execution: &str) -> bool {
        let found = get(&self.bob, &format!("/executions?q={execution}")).await;
        let items = found.as_ref().and_then(|found| found.json["items"].as_array());
        let own = items.and_then(|items| items.iter().find(|item| item["execution_id"] == execution));
        own.is_some_and(|own| own["ended_at"].is_string())
    }

    /// What could not be known in time, because the server was down for too long, is parked; a person looks again.
    async fn redrive(&self, goal: &mut Goal) {
        let Some(letters) = get(&self.bob, "/dead-letters?open=true").await else { return };
        let own = |letter: &&Json| letter["execution_id"] == goal.id.as_str();
        let letters: Vec<Json> =
            letters.json["items"].as_array().into_iter().flatten().filter(own).cloned().collect();
        for letter in letters {
            let path = format!("/api/v1/dead-letters/{}/redrive", letter["id"].as_str().unwrap_or_default());
            let body = json!({"reason": "look again"}).to_string();
            goal.redriven += 1;
            assert!(goal.redriven <= REDRIVES_MAX, "it is parked again and again: {:#}", goal.seen);
            if let Ok(answer) = self.bob.try_send("POST", &path, &[], body.into()).await {
                assert!(matches!(answer.status, 202 | 409 | 503), "{}", answer.text);
            }
        }
    }

    async fn no_gap(&self, execution: &str) {
        let path = format!("/executions/{execution}/history?limit=500");
        let history = self.bob.get(&path).await.expect(200);
        let items = history.json["items"].as_array().expect("a list");
        let sequences: Vec<u64> = items.iter().filter_map(|e| e["sequence"].as_u64()).collect();
        assert_eq!(sequences, (0..items.len() as u64).collect::<Vec<_>>(), "{}", history.text);
        let ends = items.iter().filter(|event| event["kind"] == "ended").count();
        assert!(ends <= 1, "{}", history.text);
    }

    /// Completed and verified, and refunded once: the outside was asked once, too.
    pub fn refunded_once(&self, goals: &[Goal]) {
        for goal in goals {
            let seen = &goal.seen;
            assert_eq!(
                (&seen["status"], &seen["outcome"]),
                (&json!("completed"), &json!("verified")),
                "{seen:#}"
            );
            let refunds = self.outside.refunds();
            let own = refunds.iter().filter(|refund| refund["refund"]["orderId"] == goal.id.as_str()).count();
            assert_eq!(own, 1, "refunds of {}: {refunds:#?}", goal.id);
        }
        // Whoever puts a refund back to work may let it be sent once more, under the same key.
        let (posts, refunds) = (self.outside.posts() as usize, self.outside.refunds().len());
        let redriven: usize = goals.iter().map(|goal| goal.redriven).sum();
        assert!((refunds..=refunds + redriven).contains(&posts), "{posts} requests for {refunds} refunds");
    }

    /// Whatever was booked was dropped, the later one first, and no booking has two keys. Requests before `since` are of
    /// other goals.
    pub fn taken_back(&self, goal: &Goal, since: usize) {
        let seen = &goal.seen;
        assert_eq!((&seen["status"], &seen["outcome"]), (&json!("faulted"), &json!("failed")), "{seen:#}");
        let mut keys: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut order = Vec::new();
        let requests = self.recorder.seen();
        for request in requests[since..].iter().filter(|seen| seen.method == "POST") {
            let key = request.header("idempotency-key").to_owned();
            keys.entry(&request.path).or_default().insert(key);
            order.push(request.path.as_str());
        }
        assert!(order.contains(&"/flight"), "{order:?}");
        for (path, keys) in &keys {
            assert_eq!(keys.len(), 1, "{path} was asked for with {keys:?}");
        }
        let last = |path: &str| order.iter().rposition(|seen| *seen == path);
        for thing in ["/flight", "/room"] {
            let (booked, dropped) = (last(thing), last(&format!("{thing}/drop")));
            assert!(booked.is_none() || dropped > booked, "{thing} was left: {order:?}\n{seen:#}");
        }
        if let (Some(room), Some(flight)) = (last("/room/drop"), last("/flight/drop")) {
            assert!(room < flight, "the later one first: {order:?}");
        }
        assert_eq!(seen["compensation"]["state"], "undone", "{seen:#}");
    }

    /// Stops in order, and holds everything that is stored against the histories and the audit log.
    pub async fn agrees(mut self) {
        assert_eq!(self.server.terminate().await, Some(0), "{}", self.server.log());
        verified(&self.server);
    }
}

/// `omnihub verify` and `omnihub audit verify` on a stopped directory.
pub fn verified(server: &Server) {
    let data = server.data();
    for arguments in [&["verify"][..], &["audit", "verify"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_omnihub"));
        command.args(arguments).arg(&data).args(["--output", "json"]).env_clear().env("HOME", &data);
        let done = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&done.stderr));
    }
}

/// An answer, when there is one.
async fn get(client: &Client, path: &str) -> Option<Answer> {
    client.try_send("GET", &format!("/api/v1{path}"), &[], Default::default()).await.ok()
}

/// Whether what was booked under that key is not there: its last drop came after its last booking.
fn is_gone(key: &str, requests: &[Seen]) -> bool {
    // A payment is refused: there is never one to drop.
    let booking = |seen: &Seen| {
        matches!(seen.path.as_str(), "/flight" | "/room") && seen.header("idempotency-key") == key
    };
    let dropping = |seen: &Seen| {
        let of = serde_json::from_str::<Json>(&seen.body).unwrap_or_default();
        seen.path.ends_with("/drop") && of["of"] == key
    };
    let last =
        |what: &dyn Fn(&Seen) -> bool| requests.iter().rposition(|seen| seen.method == "POST" && what(seen));
    last(&booking) <= last(&dropping)
}

/// Reservations that can be taken back, and a payment.
fn saga(at: &str) -> Vec<String> {
    let look = json!({
        "action": "look:1.0.0", "title": "look", "effect": "read", "class": "read",
        "run": {"call": "http", "with": {"method": "get", "endpoint": format!("http://{at}/look/{{of}}")}},
    });
    let mut all = vec![look.to_string()];
    for (name, path, undo) in [
        ("flight-drop", "/flight/drop", None),
        ("room-drop", "/room/drop", None),
        ("flight", "/flight", Some("flight-drop")),
        ("room", "/room", Some("room-drop")),
        ("pay", "/pay", Some("flight-drop")),
    ] {
        let mut action = json!({
            "action": format!("{name}:1.0.0"), "title": name, "effect": "write",
            "class": if undo.is_some() { "compensable" } else { "idempotent" },
            "idempotency": {"key": format!("\"{name}-\" + $workflow.id"), "header": "Idempotency-Key"},
            // What is booked is never sent twice; what drops it may be, after each of the crashes.
            "retries": if undo.is_some() { 0 } else { 9 },
            "run": {"call": "http", "with": {"method": "post", "endpoint": format!("http://{at}{path}"), "body": "${ . }"}},
        });
        match undo {
            Some(undo) => {
                action["compensate"] =
                    json!({"call": format!("{undo}:1.0.0"), "with": {"of": "${ $action.key }"}});
            }
            None => {
                action["ensure"] = json!({"probe": {"call": "look:1.0.0", "with": {"of": "${ .of }"}}, "that": ".gone", "every": "PT0.1S", "within": "PT5S"});
            }
        }
        all.push(action.to_string());
    }
    all
}
