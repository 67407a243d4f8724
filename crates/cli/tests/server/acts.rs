//! What operators do with executions: settle what nobody knows, go back, run on from a point, act on many at once.

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Fault, Reply};

use crate::sagas::{house, writes};
use crate::shop::{Shop, eventually, text};

/// Pays by an act that can be neither asked about nor repeated, then reads an order.
const PAYOUT: &str = "
document: { dsl: '1.0.3', namespace: shop, name: payout, version: '1.0.0' }
do:
  - pay: { call: 'payout:1.0.0', with: { orderId: '${ .orderId }', amount: '${ .amount }' } }
  - after: { set: { paid: '${ .id }' } }
";

struct Desk {
    shop: Shop,
    /// Operators who neither asked nor act.
    carol: Client,
    dave: Client,
}

impl Desk {
    async fn open() -> Self {
        let shop = Shop::open().await;
        let at = shop.outside.address;
        let payout = format!(
            "action: payout:1.0.0\ntitle: Pay\neffect: money\nclass: irreversible\nhosts: ['{at}']\n\
             input: {{ schema: {{ type: object, required: [orderId] }} }}\n\
             idempotency: {{ key: '.orderId', header: Idempotency-Key }}\n\
             run: {{ call: http, with: {{ method: post, endpoint: 'http://{at}/refunds', body: '${{ . }}' }} }}\n"
        );
        shop.server.admin.post_yaml("/actions", &payout).await.expect(201);
        shop.server.admin.post_yaml("/workflows", PAYOUT).await.expect(201);
        let carol = shop.server.principal("user:carol", &["operator"]).await;
        let dave = shop.server.principal("user:dave", &["operator"]).await;
        Self { shop, carol, dave }
    }

    /// Two people agree: nothing undoes a payout.
    async fn agree(&self, execution: &str) {
        let approval = self.shop.approval_of(execution).await;
        let path = format!("/approvals/{}/approve", text(&approval["id"]));
        for client in [&self.shop.bob, &self.dave] {
            client
                .post(&path, json!({"digest": approval["digest"], "reason": "looks right"}))
                .await
                .expect(200);
        }
    }

    async fn start(&self, workflow: &str, input: Json) -> String {
        let goal = json!({"workflow": {"namespace": "shop", "name": workflow}, "input": input});
        self.shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
    }

    /// A payout whose answer was lost.
    async fn parked(&self, order: &str) -> String {
        self.shop.outside.fault(Fault::LoseAnswer);
        let execution = self.start("payout", json!({"orderId": order, "amount": 5})).await;
        self.agree(&execution).await;
        let path = format!("/executions/{execution}");
        eventually(&self.carol, &path, |a| a.str("/blocked_on").starts_with("dead-letter:")).await;
        self.shop.outside.fault(Fault::None);
        execution
    }

    async fn actions(&self, execution: &str) -> Vec<String> {
        let log = self
            .shop
            .server
            .admin
            .get(&format!("/audit?correlation={execution}&limit=500"))
            .await
            .expect(200);
        let items = log.json["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| text(&item["record"]["action"]).to_owned()).collect()
    }
}

/// A refusal of this kind.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.str("/code")), (status, code), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_settles_what_nobody_knows() {
    let desk = Desk::open().await;
    let execution = desk.parked("77").await;
    let path = format!("/executions/{execution}/effects/1/resolve");
    let word = json!({"outcome": "verified", "evidence": "the ledger shows 77", "output": {"id": 77}});
    refused(&desk.shop.alice.post(&path, word.clone()).await, 403, "OH-2121");
    refused(&desk.carol.post("/executions/none/effects/1/resolve", word.clone()).await, 404, "OH-4040");
    refused(
        &desk.carol.post(&format!("/executions/{execution}/effects/9/resolve"), word.clone()).await,
        404,
        "OH-4040",
    );
    let viewer = desk.shop.server.principal("user:vera", &["viewer"]).await;
    refused(&viewer.post(&path, word.clone()).await, 403, "OH-4030");
    refused(&desk.carol.post(&path, json!({"outcome": "verified", "evidence": " "})).await, 422, "OH-2123");
    refused(&desk.carol.post(&path, json!({"outcome": "perhaps", "evidence": "x"})).await, 422, "OH-2123");
    refused(
        &desk.carol.post(&path, json!({"outcome": "failed", "evidence": "x", "output": 1})).await,
        422,
        "OH-2123",
    );
    let letters = desk.carol.get("/dead-letters?open=true").await.expect(200);
    assert_eq!(letters.json["items"].as_array().map(Vec::len), Some(1), "{}", letters.text);

    let settled = desk.carol.post(&path, word.clone()).await.expect(200);
    assert_eq!((settled.str("/outcome"), settled.str("/state")), ("verified", "settled"), "{}", settled.text);
    assert!(settled.str("/evidence").contains("user:carol"), "{}", settled.text);
    let done = desk.shop.status(&execution, "completed").await;
    assert_eq!((text(&done["outcome"]), &done["output"]), ("verified", &json!({"paid": 77})), "{done:#}");
    assert_eq!(desk.shop.outside.posts(), 1, "it was settled, not sent again");
    let letters = desk.carol.get("/dead-letters?open=true").await.expect(200);
    assert_eq!(letters.json["items"], json!([]), "the letter is closed");
    assert!(desk.actions(&execution).await.contains(&"effect.resolved".to_owned()));

    desk.carol.post(&path, word).await.expect(200);
    refused(&desk.carol.post(&path, json!({"outcome": "failed", "evidence": "no"})).await, 409, "OH-2122");
    let one = desk.carol.get(&format!("/executions/{execution}/effects/1")).await.expect(200);
    let all = desk.carol.get(&format!("/executions/{execution}/effects")).await.expect(200);
    assert_eq!((&one.json, &all.json["items"][0]), (&settled.json, &settled.json));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_happen_raises_the_error_and_closes_the_letter() {
    let desk = Desk::open().await;
    let execution = desk.parked("78").await;
    let path = format!("/executions/{execution}/effects/1/resolve");
    desk.carol
        .post(&path, json!({"outcome": "failed", "evidence": "nothing in the ledger"}))
        .await
        .expect(200);
    let done = desk.shop.status(&execution, "faulted").await;
    assert_eq!(text(&done["outcome"]), "failed", "{done:#}");
    let letters = desk.carol.get("/dead-letters?open=true").await.expect(200);
    assert_eq!(letters.json["items"], json!([]), "{}", letters.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_execution_becomes_verified_and_survives_a_kill() {
    let mut desk = Desk::open().await;
    let execution = desk.start("payout", json!({"orderId": "79", "amount": 5})).await;
    desk.agree(&execution).await;
    let done = desk.shop.status(&execution, "completed").await;
    assert_eq!(text(&done["outcome"]), "unknown", "its contract names no check: {done:#}");
    let path = format!("/executions/{execution}/effects/1/resolve");
    desk.carol
        .post(&path, json!({"outcome": "verified", "evidence": "the ledger shows it"}))
        .await
        .expect(200);
    desk.shop.server.kill();
    desk.shop.server.start_again().await;
    desk.carol.address = desk.shop.server.admin.address;
    let row = desk.carol.get(&format!("/executions/{execution}")).await.expect(200);
    assert_eq!((row.str("/status"), row.str("/outcome")), ("completed", "verified"), "{}", row.text);
    let history = desk.carol.get(&format!("/executions/{execution}/history?limit=500")).await.expect(200);
    let kinds: Vec<&str> =
        history.json["items"].as_array().expect("a list").iter().map(|e| text(&e["kind"])).collect();
    assert_eq!(kinds[kinds.len() - 3..], ["ended", "resolved", "ended"], "{kinds:?}");
    refused(
        &desk.carol.post(&path, json!({"outcome": "verified", "evidence": "otherwise"})).await,
        409,
        "OH-2122",
    );
}

/// Reads, refunds, then pays out: three acts of which the last waits for people.
const JOURNEY: &str = "
document: { dsl: '1.0.3', namespace: shop, name: journey, version: '1.0.0' }
do:
  - refund: { call: 'refund-create:1.0.0', with: { orderId: '${ .orderId }', amount: '${ .amount }', currency: EUR }, output: { as: '${ $workflow.input }' } }
  - pay: { call: 'payout:1.0.0', with: { orderId: '${ \"p-\" + .orderId }', amount: '${ .amount }' } }
";

impl Desk {
    /// Refunded, and waiting for the approval of the payout.
    async fn halfway(&self, order: &str) -> String {
        self.shop.server.admin.post_yaml("/workflows", JOURNEY).await.expect(201);
        let execution = self.start("journey", json!({"orderId": order, "amount": 5})).await;
        self.shop.approve(&execution).await.expect(200);
        let path = format!("/executions/{execution}");
        eventually(&self.carol, &path, |a| {
            a.str("/effects/0/outcome") == "verified" && a.str("/blocked_on").starts_with("approval:")
        })
        .await;
        execution
    }

    async fn restart(&mut self) {
        self.shop.server.kill();
        self.shop.server.start_again().await;
        let address = self.shop.server.admin.address;
        for client in [&mut self.carol, &mut self.dave, &mut self.shop.alice, &mut self.shop.bob] {
            client.address = address;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_repeats_nothing_and_survives_a_kill() {
    let mut desk = Desk::open().await;
    let execution = desk.halfway("1").await;
    let path = format!("/executions/{execution}/rewind");
    let back = json!({"to": {"task": "/do/0/refund"}, "reason": "look again"});
    refused(&desk.carol.post("/executions/none/rewind", back.clone()).await, 404, "OH-4040");
    refused(&desk.carol.post(&path, json!({"to": {"event": 1}})).await, 422, "OH-4001");
    refused(&desk.carol.post(&path, json!({"to": {}, "reason": "x"})).await, 422, "OH-4220");
    refused(&desk.carol.post(&path, json!({"to": {"event": 999}, "reason": "x"})).await, 422, "OH-2125");
    refused(
        &desk.carol.post(&path, json!({"to": {"checkpoint": "no"}, "reason": "x"})).await,
        422,
        "OH-2125",
    );
    refused(&desk.carol.post(&path, json!({"to": {"task": "/do/9"}, "reason": "x"})).await, 422, "OH-2125");
    let viewer = desk.shop.server.principal("user:vera", &["viewer"]).await;
    refused(&viewer.post(&path, back.clone()).await, 403, "OH-4030");

    let mut dry = back.clone();
    dry["dry_run"] = json!(true);
    let before = desk.carol.get(&format!("/executions/{execution}")).await.json["version"].clone();
    let told = desk.carol.post(&path, dry).await.expect(202);
    assert_eq!(
        (told.str("/kept/0/operation"), told.str("/kept/0/outcome")),
        ("refund-create:1.0.0", "verified")
    );
    assert_eq!(
        desk.carol.get(&format!("/executions/{execution}")).await.json["version"],
        before,
        "nothing changed"
    );

    let posts = desk.shop.outside.posts();
    desk.carol.post(&path, back).await.expect(202);
    desk.restart().await;
    let now = desk.carol.get(&format!("/executions/{execution}")).await.expect(200);
    let effects = now.json["effects"].as_array().cloned().unwrap_or_default();
    let reused: Vec<&Json> = effects.iter().filter(|e| e["reused"] == json!(1)).collect();
    assert_eq!(reused.len(), 1, "{}", now.text);
    assert_eq!(text(&reused[0]["outcome"]), "verified");
    desk.agree(&execution).await;
    desk.shop.status(&execution, "completed").await;
    assert_eq!(desk.shop.outside.posts(), posts + 1, "only the payout was sent");
    let orders: Vec<Json> =
        desk.shop.outside.refunds().iter().map(|r| r["refund"]["orderId"].clone()).collect();
    assert_eq!(orders.len(), 2, "{orders:?}");
    let actions = desk.actions(&execution).await;
    assert!(
        ["execution.rewound", "effect.reused"].iter().all(|a| actions.iter().any(|b| b == a)),
        "{actions:?}"
    );
    refused(&desk.carol.post(&path, json!({"to": {"event": 1}, "reason": "x"})).await, 409, "OH-2124");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_return_is_decided_by_people_and_not_by_its_editor() {
    let desk = Desk::open().await;
    let execution = desk.halfway("2").await;
    let path = format!("/executions/{execution}/rewind");
    let inside = json!({"to": {"event": 3}, "reason": "x", "input": {"orderId": "2", "amount": 7}});
    refused(&desk.carol.post(&path, inside).await, 422, "OH-2125");
    let posts = desk.shop.outside.posts();
    let edited =
        json!({"to": {"event": 1}, "reason": "the amount was wrong", "input": {"orderId": "2", "amount": 7}});
    desk.carol.post(&path, edited).await.expect(202);
    let approval = desk.shop.approval_of(&execution).await;
    let reasons = approval["reasons"].to_string();
    assert!(reasons.contains("did this with other arguments, and it is real"), "{approval:#}");
    let word = json!({"digest": approval["digest"], "reason": "fine"});
    let path = format!("/approvals/{}/approve", text(&approval["id"]));
    refused(&desk.carol.post(&path, word.clone()).await, 403, "OH-3011");
    assert_eq!(desk.shop.outside.posts(), posts, "nothing is sent before people decide");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_carries_what_was_done() {
    let mut desk = Desk::open().await;
    let execution = desk.halfway("3").await;
    desk.agree(&execution).await;
    desk.shop.status(&execution, "completed").await;
    let posts = desk.shop.outside.posts();
    let path = format!("/executions/{execution}/fork");
    let fork = json!({"from": {"event": 1}, "reason": "once more", "execution_id": "fork-3"});
    let made = desk.carol.post(&path, fork.clone()).await.expect(202);
    assert_eq!(made.str("/execution/execution_id"), "fork-3");
    let again = desk.carol.post(&path, fork.clone()).await.expect(202);
    assert_eq!(again.str("/execution/execution_id"), "fork-3", "the same fork is the same execution");
    refused(
        &desk.carol.post(&path, json!({"from": {"event": 2}, "reason": "x", "execution_id": "fork-3"})).await,
        409,
        "OH-2002",
    );
    let done = desk.shop.status("fork-3", "completed").await;
    assert_eq!(done["origin"], json!({"execution_id": execution, "event": 1}), "{done:#}");
    assert_eq!(text(&done["requester"]), "user:carol");
    assert_eq!(desk.shop.outside.posts(), posts, "everything was done already");
    desk.restart().await;
    assert_eq!(desk.shop.status("fork-3", "completed").await["output"], done["output"]);
    let other = json!({"from": {"event": 1}, "reason": "another", "execution_id": "fork-4", "input": {"orderId": "33", "amount": 5}});
    desk.carol.post(&path, other).await.expect(202);
    let asked = desk.shop.approval_of("fork-4").await;
    assert!(asked["reasons"].to_string().contains("with other arguments"), "{asked:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_can_ask_about_each_effect() {
    let desk = Desk::open().await;
    let execution = desk.halfway("4").await;
    let path = format!("/executions/{execution}");
    let ask = json!({"to": {"event": 1}, "reason": "let people choose", "effects": "ask"});
    let told = desk.carol.post(&format!("{path}/rewind"), ask).await.expect(202);
    assert_eq!((told.str("/execution/status"), told.str("/execution/blocked_on")), ("suspended", "choice:1"));
    let choose = format!("{path}/effects/1/choose");
    refused(&desk.carol.post(&choose, json!({"choice": "keep"})).await, 422, "OH-4001");
    let stays = desk.carol.post(&choose, json!({"choice": "compensate", "reason": "x"})).await;
    refused(&stays, 409, "OH-2124");
    assert!(stays.str("/detail").contains("1 (`refund-create:1.0.0`)"), "{}", stays.text);
    let keep = json!({"choice": "keep", "reason": "the customer has it"});
    desk.carol.post(&choose, keep).await.expect(202);
    refused(&desk.carol.post(&choose, json!({"choice": "repeat", "reason": "x"})).await, 409, "OH-2010");
    eventually(&desk.carol, &path, |a| a.str("/blocked_on").starts_with("approval:")).await;
    assert_eq!(desk.shop.outside.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_the_point_is_undone_over_a_crash_before_it_goes_on() {
    let (mut server, outside) = house().await;
    let document = json!({"dsl": "1.0.3", "namespace": "test", "name": "stay", "version": "1.0.0"});
    let tasks = json!([
        {"flight": {"call": "flight:1.0.0", "with": {}}},
        {"see": {"call": "look:1.0.0", "with": {}}},
        {"room": {"call": "room:1.0.0", "with": {}}},
        {"nap": {"wait": "PT1H"}},
    ]);
    server.admin.post("/workflows", json!({"document": document, "do": tasks})).await.expect(201);
    outside.reply("/room/drop", [Reply::new(404, "{}"), Reply::new(200, "{}")]);
    let goal = json!({"workflow": {"namespace": "test", "name": "stay"}, "input": {}});
    let execution = server.admin.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let path = format!("/executions/{execution}");
    eventually(&server.admin, &path, |a| a.str("/blocked_on") == "timer").await;

    let back = json!({"to": {"event": 1}, "reason": "the wrong town", "effects": "compensate"});
    let mut dry = back.clone();
    dry["dry_run"] = json!(true);
    let told = server.admin.post(&format!("{path}/rewind"), dry).await.expect(202);
    let kept = told.json["kept"].as_array().cloned().unwrap_or_default();
    let named: Vec<&str> = kept.iter().map(|kept| text(&kept["operation"])).collect();
    assert_eq!(named, ["flight:1.0.0", "room:1.0.0"], "reads are forgotten: {}", told.text);
    assert_eq!(writes(&outside), ["/flight", "/room"], "nothing changed");
    server.admin.post(&format!("{path}/rewind"), back.clone()).await.expect(202);
    let held = |a: &Answer| a.str("/compensation/state") == "parked";
    eventually(&server.admin, &path, held).await;
    server.kill();
    server.start_again().await;
    let parked = eventually(&server.admin, &path, held).await;
    assert_eq!(parked.str("/status"), "suspended", "{}", parked.text);
    assert_eq!(writes(&outside), ["/flight", "/room", "/room/drop"], "nothing goes on before all is undone");
    refused(&server.admin.post(&format!("{path}/rewind"), back).await, 409, "OH-2124");
    server.admin.post(&format!("{path}/retry"), json!({"reason": "they answer again"})).await.expect(202);
    let done = eventually(&server.admin, &path, |a| a.str("/blocked_on") == "timer").await;
    assert_eq!(
        writes(&outside),
        ["/flight", "/room", "/room/drop", "/room/drop", "/flight/drop", "/flight", "/room"],
        "{}",
        done.text
    );
    let undone = done.json["compensation"]["undone"].as_array().cloned().unwrap_or_default();
    let report: Vec<_> = undone.iter().map(|u| (text(&u["operation"]), text(&u["outcome"]))).collect();
    assert_eq!(report, [("room:1.0.0", "verified"), ("flight:1.0.0", "verified")], "{}", done.text);
    let log = server.admin.get(&format!("/audit?correlation={execution}&limit=500")).await.expect(200);
    assert!(log.text.contains("execution.rewound"), "{}", log.text);
    server.kill();
    server.start_again().await;
    let again = server.admin.get(&path).await.expect(200);
    assert_eq!((again.str("/blocked_on"), writes(&outside).len()), ("timer", 7), "{}", again.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_named_listed_and_returned_to() {
    let desk = Desk::open().await;
    let execution = desk.halfway("5").await;
    let path = format!("/executions/{execution}/checkpoints");
    refused(&desk.carol.post(&path, json!({"name": "before-pay"})).await, 422, "OH-4001");
    refused(&desk.carol.post(&path, json!({"name": "a b", "reason": "x"})).await, 422, "OH-4001");
    let made =
        desk.carol.post(&path, json!({"name": "before-pay", "reason": "a good place"})).await.expect(201);
    assert!(
        made.str("/sha256").starts_with("sha256:") && made.json["bytes"].as_u64() > Some(100),
        "{}",
        made.text
    );
    refused(&desk.carol.post(&path, json!({"name": "before-pay", "reason": "x"})).await, 409, "OH-2129");
    let all = desk.carol.get(&path).await.expect(200);
    let items = all.json["items"].as_array().cloned().unwrap_or_default();
    assert!(items.iter().any(|place| place["effect"] == json!(1)), "{}", all.text);
    assert_eq!(items.iter().filter(|place| place["name"] == "before-pay").count(), 1, "{}", all.text);
    let rewind = json!({"to": {"checkpoint": "before-pay"}, "reason": "back"});
    desk.carol.post(&format!("/executions/{execution}/rewind"), rewind).await.expect(202);
    desk.agree(&execution).await;
    desk.shop.status(&execution, "completed").await;
}

/// Waits an hour.
const NAP: &str = "
document: { dsl: '1.0.3', namespace: shop, name: nap, version: '1.0.0' }
do:
  - nap: { wait: PT1H }
";

#[tokio::test(flavor = "multi_thread")]
async fn one_command_acts_on_many_and_survives_a_kill() {
    let mut desk = Desk::open().await;
    desk.shop.server.admin.post_yaml("/workflows", NAP).await.expect(201);
    let total = 150;
    for number in 0..total {
        desk.start("nap", json!({"n": number})).await;
    }
    let other = desk.halfway("6").await;
    let query = json!({"workflow": "shop/nap"});
    refused(&desk.carol.post("/executions/cancel", json!({"query": query})).await, 422, "OH-4001");
    refused(
        &desk.carol.post("/executions/cancel", json!({"query": {}, "reason": "x"})).await,
        422,
        "OH-2131",
    );
    let odd = json!({"query": {"status": "odd"}, "reason": "x"});
    refused(&desk.carol.post("/executions/cancel", odd).await, 400, "OH-4002");
    refused(&desk.carol.get("/operations/none").await, 404, "OH-4040");
    let viewer = desk.shop.server.principal("user:vera", &["viewer"]).await;
    refused(&viewer.post("/executions/pause", json!({"query": query, "reason": "x"})).await, 403, "OH-4030");
    let dry = json!({"query": query, "reason": "count", "dry_run": true});
    let counted = desk.carol.post("/executions/cancel", dry).await.expect(202);
    assert_eq!((counted.str("/status"), counted.json["matched"].as_u64()), ("dry-run", Some(total)));

    let pause = json!({"query": query, "reason": "hold on", "operation_id": "pause-all"});
    desk.carol.post("/executions/pause", pause.clone()).await.expect(202);
    desk.restart().await;
    let done = eventually(&desk.carol, "/operations/pause-all", |a| a.str("/status") == "done").await;
    assert_eq!(
        (done.json["done"].as_u64(), done.json["failed"].as_u64()),
        (Some(total), Some(0)),
        "{}",
        done.text
    );
    let again = desk.carol.post("/executions/pause", pause).await.expect(202);
    assert_eq!(again.str("/status"), "done", "the same command is the same operation");
    let otherwise = json!({"query": query, "reason": "otherwise", "operation_id": "pause-all"});
    refused(&desk.carol.post("/executions/pause", otherwise).await, 409, "OH-2130");

    let log = desk.shop.server.admin.get("/audit?action=execution.paused&limit=500").await.expect(200);
    assert_eq!(log.json["items"].as_array().map(Vec::len), Some(150), "one leaf each, and none twice");
    for (action, count) in [("operation.started", 1), ("operation.ended", 1)] {
        let log = desk.shop.server.admin.get(&format!("/audit?action={action}")).await.expect(200);
        assert_eq!(log.json["items"].as_array().map(Vec::len), Some(count), "{}", log.text);
    }
    let cancel =
        json!({"query": {"workflow": "shop/nap", "status": "suspended"}, "reason": "enough", "limit": 20});
    let id = desk.carol.post("/executions/cancel", cancel).await.expect(202).str("/operation_id").to_owned();
    let done = eventually(&desk.carol, &format!("/operations/{id}"), |a| a.str("/status") == "done").await;
    assert_eq!(done.json["done"].as_u64(), Some(20), "{}", done.text);
    let left = desk.carol.get("/executions?workflow=shop/nap&status=suspended&limit=500").await.expect(200);
    assert_eq!(left.json["items"].as_array().map(Vec::len), Some(130));
    let untouched = desk.carol.get(&format!("/executions/{other}")).await.expect(200);
    assert!(untouched.str("/blocked_on").starts_with("approval:"), "{}", untouched.text);
}
