//! Updates of executions: weighed first, durable when accepted, handled once, answered; through the API and the command line.

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Server};

use crate::shop::{Shop, eventually, text};

/// Keeps an address until it is closed; a slow one takes half a second for each move.
const ADDRESSES: &str = "
document: { dsl: '1.0.3', namespace: shop, name: NAME, version: '1.0.0' }
do:
  - handle:
      listen:
        to:
          any: [ { with: { type: move, omnihubupdate: true, data: '${ if .to == null then error(\"say where to\") else true end }' } } ]
          until: { one: { with: { type: close, omnihubexecution: '${ $workflow.id }' } } }
      foreach:
        item: wanted
        at: n
        do:
          - rest: { wait: PAUSE }
          - done: { set: { to: '${ $wanted.to }', was: '${ $context.to }', n: '${ $n }' } }
        export: { as: '${ $context + { to: .to } }' }
";

async fn publish(server: &Server, name: &str, pause: &str) {
    let text = ADDRESSES.replace("NAME", name).replace("PAUSE", pause);
    server.admin.post_yaml("/workflows", &text).await.expect(201);
}

async fn begin(client: &Client, name: &str) -> String {
    let goal = json!({"workflow": {"namespace": "shop", "name": name}, "input": {}});
    client.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
}

async fn open(name: &str, pause: &str) -> (Shop, String) {
    let shop = Shop::open().await;
    publish(&shop.server, name, pause).await;
    let execution = begin(&shop.alice, name).await;
    (shop, execution)
}

async fn ask(client: &Client, execution: &str, id: &str, to: &str, more: Json) -> Answer {
    let mut body = json!({"id": id, "data": {"to": to}});
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    client.post(&format!("/executions/{execution}/updates/move"), body).await
}

async fn close(client: &Client, execution: &str) -> Answer {
    client.post(&format!("/executions/{execution}/signals/close"), json!({})).await.expect(202);
    eventually(client, &format!("/executions/{execution}"), |a| a.str("/status") == "completed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_answered_once_and_the_same_again() {
    let (shop, execution) = open("addresses", "PT0S").await;
    // It is sent before anything can listen: it waits for that.
    let first = ask(&shop.alice, &execution, "m1", "a", json!({})).await.expect(200);
    assert_eq!((first.str("/status"), first.str("/name")), ("completed", "move"));
    assert_eq!(first.json["output"], json!({"to": "a", "was": null, "n": 0}));
    assert_eq!(first.json["repeated"], json!(false));
    let again = ask(&shop.bob, &execution, "m1", "a", json!({})).await.expect(200);
    assert_eq!((&again.json["output"], &again.json["repeated"]), (&first.json["output"], &json!(true)));
    let second = ask(&shop.alice, &execution, "m2", "b", json!({})).await.expect(200);
    assert_eq!(second.json["output"], json!({"to": "b", "was": "a", "n": 1}));
    let shown = shop.bob.get(&format!("/executions/{execution}")).await.expect(200);
    assert_eq!(shown.str("/blocked_on"), "signal:close,move", "{}", shown.text);
    let state = shop.bob.get(&format!("/executions/{execution}/state")).await.expect(200);
    assert_eq!(state.json["updates"], json!(["move"]));
    let done = close(&shop.alice, &execution).await;
    assert_eq!(done.json["output"].as_array().map(Vec::len), Some(2), "{}", done.text);
    let late = ask(&shop.alice, &execution, "m3", "c", json!({})).await.expect(409);
    assert_eq!(late.str("/code"), "OH-2010");
    // The answers outlive the execution.
    let kept = shop.bob.get(&format!("/executions/{execution}/updates/move/m2")).await.expect(200);
    assert_eq!(kept.json["output"], second.json["output"]);
    shop.bob.get(&format!("/executions/{execution}/updates/move/m3")).await.expect(404);
    let history = shop.bob.get(&format!("/executions/{execution}/history")).await.expect(200);
    let kinds: Vec<&str> =
        history.json["items"].as_array().expect("a list").iter().map(|e| text(&e["kind"])).collect();
    assert_eq!(kinds, ["started", "signalled", "signalled", "signalled", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing_and_says_why() {
    let (shop, execution) = open("addresses", "PT0S").await;
    let path = |name: &str| format!("/executions/{execution}/updates/{name}");
    eventually(&shop.bob, &format!("/executions/{execution}"), |a| a.str("/status") == "waiting").await;
    let refused = shop.alice.post(&path("move"), json!({"data": {}})).await.expect(422);
    assert_eq!(refused.str("/code"), "OH-2152");
    assert!(refused.str("/detail").contains("say where to"), "{}", refused.text);
    let unknown = shop.alice.post(&path("turn"), json!({})).await.expect(422);
    assert_eq!(unknown.str("/code"), "OH-2150");
    assert!(unknown.str("/detail").contains("`move`"), "{}", unknown.text);
    for (id, data) in [("with space", json!(1)), ("", json!(1)), ("p", json!("x".repeat(70_000)))] {
        let refused = shop.alice.post(&path("move"), json!({"id": id, "data": data})).await.expect(422);
        assert_eq!(refused.str("/code"), "OH-2152", "{}", refused.text);
    }
    shop.alice.post(&path("move"), json!({"dta": 1})).await.expect(422);
    shop.alice.post("/executions/no-such-execution/updates/move", json!({})).await.expect(404);
    let viewer = shop.server.principal("user:vera", &["viewer"]).await;
    let no = ask(&viewer, &execution, "v", "a", json!({})).await.expect(403);
    assert_eq!(no.str("/code"), "OH-4030");
    // Neither an event from outside nor a signal can pass for an update.
    let event = json!({"specversion": "1.0", "type": "move", "source": "/s", "id": "e", "omnihubexecution": execution,
        "omnihubupdate": true, "data": {"to": "x"}});
    let headers = [("content-type", "application/cloudevents+json")];
    let sent = shop.alice.send("POST", "/api/v1/events", &headers, event.to_string().into()).await;
    assert_eq!(sent.expect(422).str("/code"), "OH-2180");
    let shown = shop.bob.get(&format!("/executions/{execution}")).await.expect(200);
    assert_eq!(shown.json["version"], json!(1), "what was refused left nothing");
    shop.alice
        .post(&format!("/executions/{execution}/signals/move"), json!({"data": {"to": "x"}}))
        .await
        .expect(202);
    ask(&shop.alice, &execution, "m1", "a", json!({})).await.expect(200);
    let reused = ask(&shop.alice, &execution, "m1", "b", json!({})).await.expect(409);
    assert_eq!(reused.str("/code"), "OH-2153");
    let leaves = shop.server.admin.get("/audit?action=execution.update-accepted").await.expect(200);
    let items = leaves.json["items"].as_array().expect("a list");
    assert_eq!(items.len(), 1, "{}", leaves.text);
    assert_eq!(text(&items[0]["record"]["actor"]), "user:alice");
    assert!(!leaves.text.contains("\"to\""), "the data is only digested: {}", leaves.text);
    let done = close(&shop.alice, &execution).await;
    assert_eq!(done.json["output"], json!([{"to": "a", "was": null, "n": 0}]), "the signal moved nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_accepted_survives_a_crash_and_is_handled_once() {
    let (mut shop, execution) = open("slowly", "PT0.5S").await;
    let accepted = json!({"wait_for": "accepted"});
    for (id, to) in [("m1", "a"), ("m2", "b"), ("m3", "c")] {
        let answer = ask(&shop.alice, &execution, id, to, accepted.clone()).await.expect(202);
        assert_eq!((answer.str("/status"), &answer.json["output"]), ("accepted", &json!(null)));
    }
    shop.server.kill();
    shop.server.start_again().await;
    shop.alice.address = shop.server.admin.address;
    shop.bob.address = shop.server.admin.address;
    // Whoever had no answer asks again.
    let again = ask(&shop.alice, &execution, "m1", "a", accepted.clone()).await;
    assert!(matches!(again.status, 200 | 202), "{}", again.text);
    assert_eq!(again.json["repeated"], json!(true));
    let path = format!("/executions/{execution}/updates/move/m3?wait=PT30S");
    let third = shop.bob.get(&path).await.expect(200);
    assert_eq!(third.json["output"], json!({"to": "c", "was": "b", "n": 2}), "{}", third.text);
    shop.server.kill();
    shop.server.start_again().await;
    shop.alice.address = shop.server.admin.address;
    shop.bob.address = shop.server.admin.address;
    let third = ask(&shop.alice, &execution, "m3", "c", json!({})).await.expect(200);
    assert_eq!(third.json["repeated"], json!(true));
    let done = close(&shop.alice, &execution).await;
    let moved: Vec<&str> =
        done.json["output"].as_array().expect("a list").iter().map(|one| text(&one["to"])).collect();
    assert_eq!(moved, ["a", "b", "c"], "each once");
    let checked = shop.server.admin.post("/audit/verify", json!({})).await.expect(200);
    assert_eq!(checked.json["found"], json!(0), "{}", checked.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_answers_what_nobody_handled() {
    let (shop, execution) = open("never", "PT1H").await;
    let accepted = json!({"wait_for": "accepted"});
    ask(&shop.alice, &execution, "m1", "a", accepted.clone()).await.expect(202);
    let (bob, path) = (shop.bob.clone(), format!("/executions/{execution}/updates/move/m1?wait=PT30S"));
    let waiting = tokio::spawn(async move { bob.get(&path).await });
    let reason = json!({"reason": "enough"});
    shop.server.admin.post(&format!("/executions/{execution}/cancel"), reason).await.expect(202);
    let answer = waiting.await.expect("it was asked").expect(200);
    assert_eq!((answer.str("/status"), answer.str("/execution_status")), ("failed", "cancelled"));
    assert!(answer.str("/error/detail").contains("ended first"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_neither_asks_nor_sees() {
    let (shop, execution) = open("addresses", "PT0S").await;
    ask(&shop.alice, &execution, "m1", "a", json!({})).await.expect(200);
    let eve = shop.server.principal_in("rival", "user:eve", "user", &["admin", "developer"]).await;
    ask(&eve, &execution, "m2", "b", json!({})).await.expect(404);
    eve.get(&format!("/executions/{execution}/updates/move/m1")).await.expect(404);
    let done = close(&shop.alice, &execution).await;
    assert_eq!(done.json["output"].as_array().map(Vec::len), Some(1), "{}", done.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_asks_and_shows_the_answer() {
    let (shop, execution) = open("addresses", "PT0S").await;
    let asked =
        run(&shop.alice, &["update", &execution, "move", "--data", "{\"to\": \"a\"}", "--update-id", "m1"])
            .await;
    assert_eq!(asked.0, Some(0), "{asked:?}");
    assert!(asked.1.contains("m1") && asked.1.contains("\"to\":\"a\""), "{asked:?}");
    let unknown = run(&shop.alice, &["update", &execution, "turn"]).await;
    assert!(unknown.0 != Some(0) && unknown.2.contains("OH-2150"), "{unknown:?}");
    let accepted = run(
        &shop.alice,
        &["update", &execution, "move", "--data", "{\"to\": \"b\"}", "--wait-for", "accepted"],
    )
    .await;
    assert_eq!(accepted.0, Some(0), "{accepted:?}");
}

/// Runs `omnihub executions …` as somebody: exit code, what it said, and what else.
async fn run(who: &Client, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_omnihub"));
    command
        .arg("executions")
        .args(arguments)
        .env_clear()
        .env("OMNIHUB_ADDRESS", format!("http://{}", who.address))
        .env("OMNIHUB_TOKEN", who.token.as_deref().unwrap_or_default());
    let output = command.output().await.expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
