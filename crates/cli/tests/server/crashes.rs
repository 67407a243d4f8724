//! `kill -9` at every moment: what was accepted completes by itself, and nothing that was done is done again.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use testkit::{Fault, Server};

use crate::shop::{Shop, eventually, text};

/// Looks at the outside at the most this often, 20 ms apart.
const LOOKS_MAX: u32 = 1000;
/// Random kills in one run.
const KILLS: u32 = 15;
/// Data directories whose first start is killed.
const FIRST_STARTS: u32 = 12;
/// Executions that run while the server is killed at random.
const EXECUTIONS: u64 = 8;

/// A workflow with a read before and after the refund, so that repetitions of what was done show.
const CAREFUL: &str = "
document: { dsl: '1.0.3', namespace: shop, name: careful, version: '1.0.0' }
do:
  - before: { call: 'order-read:1.0.0', with: { id: '${ .orderId + \"-before\" }' }, output: { as: '${ $workflow.input }' } }
  - refund: { call: 'refund-create:1.0.0', with: { orderId: '${ .orderId }', amount: '${ .amount }', currency: EUR }, output: { as: '${ $workflow.input }' } }
  - after: { call: 'order-read:1.0.0', with: { id: '${ .orderId + \"-after\" }' } }
";

/// As above, with a timer and a program between.
const LONG: &str = "
document: { dsl: '1.0.3', namespace: shop, name: long, version: '1.0.0' }
do:
  - before: { call: 'order-read:1.0.0', with: { id: '${ .orderId + \"-before\" }' }, output: { as: '${ $workflow.input }' } }
  - nap: { wait: PT0.1S }
  - work: { run: { shell: { command: 'sleep 0.05; printf done' } }, output: { as: '${ $workflow.input }' } }
  - refund: { call: 'refund-create:1.0.0', with: { orderId: '${ .orderId }', amount: '${ .amount }', currency: EUR }, output: { as: '${ $workflow.input }' } }
  - rest: { wait: PT0.05S }
  - after: { call: 'order-read:1.0.0', with: { id: '${ .orderId + \"-after\" }' } }
";

impl Shop {
    async fn careful() -> Self {
        let shop = Self::open().await;
        let at = shop.outside.address;
        let read = format!(
            "action: order-read:1.0.0\ntitle: Read an order\neffect: read\nclass: read\nhosts: ['{at}']\n\
             input: {{ schema: {{ type: object, required: [id] }} }}\n\
             run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{id}}' }} }}\n"
        );
        shop.server.admin.post_yaml("/actions", &read).await.expect(201);
        shop.server.admin.post_yaml("/workflows", CAREFUL).await.expect(201);
        shop
    }

    async fn begin(&self, order: &str) -> String {
        let goal = json!({"workflow": {"namespace": "shop", "name": "careful"}, "input": {"orderId": order, "amount": 5}});
        self.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
    }

    /// A goal with a key of its own.
    async fn keyed(&self, key: &str) -> String {
        let goal = json!({"workflow": {"namespace": "shop", "name": "careful"}, "input": {"orderId": key, "amount": 5}});
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        self.alice
            .send("POST", "/api/v1/goals", &headers, goal.to_string().into())
            .await
            .expect(202)
            .str("/execution_id")
            .to_owned()
    }

    /// `kill -9`, and a start on the same data directory.
    async fn crash(&mut self) {
        self.server.kill();
        self.rise().await;
    }

    async fn rise(&mut self) {
        self.server.start_again().await;
        self.alice.address = self.server.admin.address;
        self.bob.address = self.server.admin.address;
    }

    /// Completed and verified; no gap in the history; the log intact; each step once.
    async fn whole(&self, execution: &str, order: &str) -> Json {
        let done = self.status(execution, "completed").await;
        assert_eq!(text(&done["outcome"]), "verified", "{done:#}");
        let refunded =
            self.outside.refunds().iter().filter(|r| text(&r["refund"]["orderId"]) == order).count();
        assert_eq!(refunded, 1, "refunds of {order}: {:#?}", self.outside.refunds());
        self.no_gap(execution).await;
        let check = self.server.admin.post("/audit/check", json!({})).await.expect(200);
        assert_eq!(check.json["intact"], json!(true), "{}", check.text);
        done
    }

    async fn no_gap(&self, execution: &str) {
        let history = self.bob.get(&format!("/executions/{execution}/history?limit=500")).await.expect(200);
        let items = history.json["items"].as_array().expect("a list");
        let sequences: Vec<u64> = items.iter().filter_map(|e| e["sequence"].as_u64()).collect();
        assert_eq!(sequences, (0..items.len() as u64).collect::<Vec<_>>(), "{}", history.text);
        let story: Vec<&str> = items.iter().map(|e| text(&e["summary"])).collect();
        let count = |kind: &str| items.iter().filter(|e| e["kind"] == kind).count();
        // What was put back to work may have faulted before; nothing else ends twice.
        assert!((1..=1 + count("retried")).contains(&count("ended")), "{story:#?}");
        assert_eq!(text(&items[items.len() - 1]["kind"]), "ended", "{story:#?}");
    }
}

/// Waits for something at the outside.
async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..LOOKS_MAX {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came to be: {what}");
}

fn once(orders: &BTreeMap<String, u32>, order: &str) {
    let count = |part: &str| orders.get(&format!("{order}-{part}")).copied();
    assert_eq!((count("before"), count("after")), (Some(1), Some(1)), "{orders:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_people_decide() {
    let mut shop = Shop::careful().await;
    let execution = shop.begin("1").await;
    let asked = shop.approval_of(&execution).await;
    let keyed = shop.keyed("k-1").await;
    shop.crash().await;
    assert_eq!(shop.keyed("k-1").await, keyed, "a repeated request is the same goal after the crash");
    let still = shop.approval_of(&execution).await;
    assert_eq!(
        (&still["id"], &still["digest"]),
        (&asked["id"], &asked["digest"]),
        "the same question after the crash"
    );
    assert_eq!(shop.outside.posts(), 0);
    shop.approve(&execution).await.expect(200);
    // The answer to the approval means that it is durable, whatever comes next.
    shop.crash().await;
    shop.whole(&execution, "1").await;
    once(&shop.outside.orders(), "1");
    let again = shop
        .bob
        .post(
            &format!("/approvals/{}/approve", text(&asked["id"])),
            json!({"digest": asked["digest"], "reason": "again"}),
        )
        .await;
    assert_eq!(again.status, 409, "{}", again.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_answer_is_on_its_way() {
    let mut shop = Shop::careful().await;
    shop.outside.fault(Fault::Hold);
    let execution = shop.begin("2").await;
    shop.approve(&execution).await.expect(200);
    until("the refund arrives", || shop.outside.posts() == 1).await;
    shop.server.kill();
    shop.outside.fault(Fault::None);
    shop.rise().await;
    let done = shop.whole(&execution, "2").await;
    assert_eq!(shop.outside.posts(), 1, "it was asked whether it happened, not sent again");
    let refund = done["effects"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|e| e["operation"] == "refund-create:1.0.0")
        .cloned();
    assert_eq!(refund.expect("the refund")["attempts"].as_array().map(Vec::len), Some(1), "{done:#}");
    once(&shop.outside.orders(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_is_verified() {
    let mut shop = Shop::careful().await;
    shop.outside.fault(Fault::Pending);
    let execution = shop.begin("3").await;
    shop.approve(&execution).await.expect(200);
    until("it was probed twice", || shop.outside.reads() >= 3).await;
    shop.server.kill();
    shop.outside.fault(Fault::None);
    shop.rise().await;
    shop.whole(&execution, "3").await;
    assert_eq!(shop.outside.posts(), 1);
    once(&shop.outside.orders(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_is_retried() {
    let mut shop = Shop::careful().await;
    shop.outside.fault(Fault::Down);
    let execution = shop.begin("4").await;
    shop.approve(&execution).await.expect(200);
    until("it was tried twice", || shop.outside.posts() >= 2).await;
    shop.server.kill();
    shop.outside.fault(Fault::None);
    shop.rise().await;
    shop.whole(&execution, "4").await;
    assert!(shop.outside.posts() <= 4, "{} tries", shop.outside.posts());
    once(&shop.outside.orders(), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_timer_runs() {
    let mut shop = Shop::careful().await;
    let workflow = "
document: { dsl: '1.0.3', namespace: shop, name: nap, version: '1.0.0' }
do:
  - before: { call: 'order-read:1.0.0', with: { id: nap-before } }
  - nap: { wait: PT1S }
  - after: { call: 'order-read:1.0.0', with: { id: nap-after } }
";
    shop.server.admin.post_yaml("/workflows", workflow).await.expect(201);
    let goal = json!({"workflow": {"namespace": "shop", "name": "nap"}, "input": {}});
    let execution = shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let path = format!("/executions/{execution}");
    eventually(&shop.bob, &path, |a| a.str("/blocked_on") == "timer").await;
    shop.crash().await;
    let waiting = shop.bob.get(&path).await.expect(200);
    let done = shop.status(&execution, "completed").await;
    once(&shop.outside.orders(), "nap");
    let tasks = done["tasks"].as_array().expect("a list");
    let nap = tasks.iter().find(|t| t["name"] == "nap").expect("the nap");
    let moment = |value: &Json| text(value).parse::<jiff::Timestamp>().expect("a moment").as_millisecond();
    let slept = moment(&nap["ended_at"]) - moment(&nap["started_at"]);
    assert!(slept >= 1000, "it slept {slept} ms, and was {} after the crash", waiting.str("/status"));
    shop.no_gap(&execution).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_program_runs() {
    let mut shop = Shop::careful().await;
    let nap = format!("1.{}", 1_000_000 + std::process::id());
    let workflow = format!(
        "
document: {{ dsl: '1.0.3', namespace: shop, name: program, version: '1.0.0' }}
do:
  - before: {{ call: 'order-read:1.0.0', with: {{ id: program-before }} }}
  - work: {{ run: {{ shell: {{ command: 'sleep {nap}; echo done' }} }} }}
  - after: {{ call: 'order-read:1.0.0', with: {{ id: program-after }}, output: {{ as: '${{ $workflow.input }}' }} }}
"
    );
    shop.server.admin.post_yaml("/workflows", &workflow).await.expect(201);
    let goal = json!({"workflow": {"namespace": "shop", "name": "program"}, "input": {}});
    let execution = shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    until("the program runs", || running(&nap)).await;
    shop.server.kill();
    until("the program is gone with its server", || !running(&nap)).await;
    shop.rise().await;
    shop.status(&execution, "completed").await;
    once(&shop.outside.orders(), "program");
    shop.no_gap(&execution).await;
}

/// True when a process of this machine has this word among its arguments.
fn running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("a process list");
    processes.flatten().any(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|part| part == word.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_probed_and_not_sent_again() {
    let shop = Shop::careful().await;
    shop.outside.fault(Fault::LoseAnswer);
    let execution = shop.begin("5").await;
    shop.approve(&execution).await.expect(200);
    let done = shop.whole(&execution, "5").await;
    assert_eq!(shop.outside.posts(), 1);
    let refund = done["effects"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|e| e["operation"] == "refund-create:1.0.0")
        .cloned();
    let refund = refund.expect("the refund");
    assert_eq!(refund["attempts"][0]["answer"], "lost", "{refund:#}");
    assert!(text(&refund["evidence"]).contains("refund-read:1.0.0"), "{refund:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_is_a_failure() {
    let shop = Shop::careful().await;
    shop.outside.fault(Fault::Lie);
    let execution = shop.begin("6").await;
    shop.approve(&execution).await.expect(200);
    let ended = shop.status(&execution, "faulted").await;
    assert_eq!(text(&ended["outcome"]), "failed", "{ended:#}");
    assert_eq!(ended["error"]["status"], json!(412), "{ended:#}");
    assert!(text(&ended["error"]["type"]).ends_with("/errors/postcondition"), "{ended:#}");
    assert_eq!((shop.outside.posts(), shop.outside.refunds().len()), (1, 0));
    assert_eq!(shop.outside.orders().get("6-after"), None, "nothing goes on after a lie");
}

#[tokio::test(flavor = "multi_thread")]
async fn down_is_parked_and_a_redrive_completes_it_after_a_crash() {
    let mut shop = Shop::careful().await;
    shop.outside.fault(Fault::Down);
    let execution = shop.begin("7").await;
    shop.approve(&execution).await.expect(200);
    let letters =
        eventually(&shop.bob, "/dead-letters?open=true", |a| a.json["items"][0]["id"].is_string()).await;
    assert_eq!(letters.str("/items/0/execution_id"), execution, "{}", letters.text);
    let tries = shop.outside.posts();
    assert!(tries >= 2, "{tries} tries");
    shop.crash().await;
    assert_eq!(shop.outside.posts(), tries, "a restart sends nothing that is parked");
    shop.outside.fault(Fault::None);
    let redrive = format!("/dead-letters/{}/redrive", letters.str("/items/0/id"));
    shop.bob.post(&redrive, json!({"reason": "the shop is back"})).await.expect(202);
    shop.approve_if_asked(&execution).await;
    shop.whole(&execution, "7").await;
    let left = shop.bob.get("/dead-letters?open=true").await.expect(200);
    assert_eq!(left.json["items"], json!([]), "{}", left.text);
}

impl Shop {
    /// An approval that was used or ran out is asked for again; then it is given again.
    async fn approve_if_asked(&self, execution: &str) {
        let path = format!("/executions/{execution}");
        let now = eventually(&self.bob, &path, |a| {
            a.str("/status") == "completed" || a.str("/blocked_on").starts_with("approval")
        })
        .await;
        if now.str("/status") != "completed" {
            self.approve(execution).await.expect(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_stops_in_order_and_goes_on_later() {
    let mut shop = Shop::careful().await;
    shop.outside.fault(Fault::Hold);
    let held = shop.begin("8").await;
    shop.approve(&held).await.expect(200);
    until("the refund arrives", || shop.outside.posts() == 1).await;
    let waiting = shop.begin("9").await;
    shop.approval_of(&waiting).await;
    assert_eq!(shop.server.terminate().await, Some(0), "{}", shop.server.log());
    shop.outside.fault(Fault::None);
    shop.rise().await;
    shop.whole(&held, "8").await;
    shop.approve(&waiting).await.expect(200);
    shop.whole(&waiting, "9").await;
    assert_eq!(shop.outside.posts(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_server() {
    let mut shop = Shop::careful().await;
    let said = shop.server.refused_start().await;
    assert!(said.contains("in use") || said.contains("another process"), "{said}");
    let execution = shop.begin("10").await;
    shop.approve(&execution).await.expect(200);
    shop.whole(&execution, "10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_or_cut_stops_the_start() {
    let mut shop = Shop::careful().await;
    let execution = shop.begin("11").await;
    shop.approve(&execution).await.expect(200);
    shop.whole(&execution, "11").await;
    assert_eq!(shop.server.terminate().await, Some(0));
    let data = shop.server.data();
    for name in ["keys/audit.key", "keys/secrets.key"] {
        let (at, away) = (data.join(name), data.join("away"));
        std::fs::rename(&at, &away).unwrap_or_else(|error| panic!("{name}: {error}"));
        let said = shop.server.refused_start().await;
        assert!(said.contains(name), "it names `{name}`: {said}");
        std::fs::rename(&away, &at).expect("it comes back");
    }
    let whole = std::fs::read(data.join("omnihub.db")).expect("the database");
    let db = rusqlite::Connection::open_with_flags_and_vfs(
        data.join("omnihub.db"),
        rusqlite::OpenFlags::default(),
        pages::register(None).expect("a layer"),
    )
    .expect("the database");
    let size: i64 = db.query_row("SELECT count(*) FROM leaves", [], |row| row.get(0)).expect("SQL");
    db.execute_batch(&format!(
        "DROP TRIGGER leaves_remain; DROP TRIGGER heads_remain; DELETE FROM leaves WHERE sequence >= {k}; DELETE FROM heads WHERE size > {k}; DELETE FROM nodes",
        k = size / 2
    ))
    .expect("SQL");
    drop(db);
    let said = shop.server.refused_start().await;
    assert!(said.contains("audit"), "it says that the audit log lost something: {said}");
    std::fs::write(data.join("omnihub.db"), &whole[..whole.len() / 2]).expect("half of it");
    shop.server.refused_start().await;
    std::fs::write(data.join("omnihub.db"), &whole).expect("all of it");
    shop.rise().await;
    shop.whole(&execution, "11").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_everything_completes_once() {
    let seed = seed();
    let mut dice = Dice(seed);
    let mut shop = Shop::careful().await;
    shop.server.admin.post_yaml("/workflows", LONG).await.expect(201);
    let mut executions = BTreeMap::new();
    for kill in 0..KILLS {
        for order in 0..EXECUTIONS {
            if dice.below(4) == 0 || kill > KILLS / 2 {
                begin_once(&shop, &mut executions, order).await;
            }
        }
        if dice.below(3) == 0 {
            shop.outside
                .fault([Fault::None, Fault::Pending, Fault::LoseAnswer, Fault::Down][dice.below(4) as usize]);
        }
        let approving = approve_all(&shop);
        // The moment of the kill is what is tried here.
        let _ = tokio::time::timeout(Duration::from_millis(dice.below(300)), approving).await;
        shop.server.kill();
        for _ in 0..dice.below(3) {
            shop.server.start_and_kill(Duration::from_millis(dice.below(600))).await;
        }
        shop.rise().await;
    }
    shop.outside.fault(Fault::None);
    for order in 0..EXECUTIONS {
        begin_once(&shop, &mut executions, order).await;
    }
    for (order, id) in &executions {
        for _ in 0..LOOKS_MAX {
            let now = shop.bob.get(&format!("/executions/{id}")).await.expect(200);
            if now.str("/status") == "completed" {
                break;
            }
            approve_all(&shop).await;
            redrive_all(&shop).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        shop.whole(id, &order.to_string()).await;
    }
    let refunds = shop.outside.refunds();
    assert_eq!(refunds.len() as u64, EXECUTIONS, "{refunds:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_starts_for_the_first_time() {
    let seed = seed();
    let mut dice = Dice(seed);
    for _ in 0..FIRST_STARTS {
        let mut server = Server::prepared(env!("CARGO_BIN_EXE_omnihub"), "", &[]);
        for _ in 0..=dice.below(3) {
            server.start_and_kill(Duration::from_millis(dice.below(500))).await;
        }
        server.start_again().await;
        assert_eq!(server.admin.get("/whoami").await.expect(200).json["roles"], json!(["admin"]));
        let check = server.admin.post("/audit/check", json!({})).await.expect(200);
        assert_eq!(check.json["intact"], json!(true), "{}", check.text);
        assert_eq!(
            server.admin.get("/tokens").await.expect(200).json["items"].as_array().map(Vec::len),
            Some(1),
            "one first token"
        );
    }
}

/// The moment, or what the environment says, printed so that a failure can be had again.
fn seed() -> u64 {
    let clock =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_secs() ^ u64::from(d.subsec_nanos()));
    let seed = std::env::var("OMNIHUB_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(clock);
    eprintln!("OMNIHUB_TEST_SEED={seed}");
    seed
}

/// Asks with an id of our own: a goal that was accepted before a crash is the same goal after it.
async fn begin_once(shop: &Shop, executions: &mut BTreeMap<u64, String>, order: u64) {
    let id = format!("random-{order}");
    let goal = json!({"workflow": {"namespace": "shop", "name": "long"}, "execution_id": id, "input": {"orderId": order.to_string(), "amount": 5}});
    let accepted = shop.alice.post("/goals", goal).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    executions.insert(order, id);
}

async fn approve_all(shop: &Shop) {
    let Ok(pending) =
        shop.bob.try_send("GET", "/api/v1/approvals?status=pending", &[], Default::default()).await
    else {
        return;
    };
    for approval in pending.json["items"].as_array().cloned().unwrap_or_default() {
        let body = json!({"digest": approval["digest"], "reason": "looks right"}).to_string();
        let path = format!("/api/v1/approvals/{}/approve", text(&approval["id"]));
        if let Ok(answer) = shop.bob.try_send("POST", &path, &[], body.into()).await {
            assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
        }
    }
}

async fn redrive_all(shop: &Shop) {
    let letters = shop.bob.get("/dead-letters?open=true").await.expect(200);
    for letter in letters.json["items"].as_array().cloned().unwrap_or_default() {
        let answer =
            shop.bob.post(&format!("/dead-letters/{}/redrive", text(&letter["id"])), json!({})).await;
        assert!(matches!(answer.status, 202 | 409), "{}", answer.text);
    }
}

/// SplitMix64: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
