//! Signals to executions: durable, once each, early or late, through the API and the command line.

use serde_json::{Value as Json, json};
use testkit::{Answer, Client};

use crate::shop::{Shop, eventually, text};

/// Waits for an hour or until told, then for two parcels.
const PARCELS: &str = "
document: { dsl: '1.0.3', namespace: shop, name: parcels, version: '1.0.0' }
do:
  - packed:
      listen: { to: { one: { with: { type: packed, omnihubexecution: '${ $workflow.id }' } } } }
      export: { as: { order: '${ .[0].order }' } }
  - scanned:
      listen:
        to:
          any: [ { with: { type: scanned, omnihubexecution: '${ $workflow.id }', data: '${ .order == $context.order }' } } ]
          until: 'length == 2'
        read: envelope
      output: { as: '${ { order: $context.order, scans: map(.data.parcel), by: map(.source) } }' }
";

async fn open() -> (Shop, String) {
    let shop = Shop::open().await;
    shop.server.admin.post_yaml("/workflows", PARCELS).await.expect(201);
    let execution = begin(&shop).await;
    (shop, execution)
}

async fn begin(shop: &Shop) -> String {
    let goal = json!({"workflow": {"namespace": "shop", "name": "parcels"}, "input": {}});
    shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
}

async fn send(client: &Client, execution: &str, name: &str, id: &str, data: Json) -> Answer {
    client.post(&format!("/executions/{execution}/signals/{name}"), json!({"id": id, "data": data})).await
}

fn scan(parcel: &str) -> Json {
    json!({"order": "1042", "parcel": parcel})
}

#[tokio::test(flavor = "multi_thread")]
async fn early_signals_wait_doubles_count_once_and_a_crash_loses_none() {
    let (mut shop, execution) = open().await;
    let path = format!("/executions/{execution}");
    let shown = eventually(&shop.bob, &path, |a| a.str("/status") == "waiting").await;
    assert_eq!(shown.str("/blocked_on"), "signal:packed", "{}", shown.text);
    assert!(shown.str("/explanation").contains("packed"), "{}", shown.text);

    // Scanned before it was packed, and once more by somebody who got no answer.
    let first = send(&shop.alice, &execution, "scanned", "s1", scan("A")).await.expect(202);
    assert_eq!((first.str("/id"), &first.json["repeated"]), ("s1", &json!(false)));
    assert_eq!(first.str("/blocked_on"), "signal:packed");
    shop.server.kill();
    shop.server.start_again().await;
    shop.alice.address = shop.server.admin.address;
    shop.bob.address = shop.server.admin.address;
    let again = send(&shop.alice, &execution, "scanned", "s1", scan("A")).await.expect(202);
    assert_eq!(again.json["repeated"], json!(true));
    let reused = send(&shop.alice, &execution, "scanned", "s1", scan("B")).await.expect(409);
    assert_eq!(reused.str("/code"), "OH-2140");

    let other = json!({"order": "7", "parcel": "Z"});
    send(&shop.alice, &execution, "scanned", "s2", other).await.expect(202);
    let packed = send(&shop.alice, &execution, "packed", "p1", json!({"order": "1042"})).await.expect(202);
    assert_eq!(packed.str("/blocked_on"), "signal:scanned", "the early scan is not enough");
    let done = send(&shop.bob, &execution, "scanned", "s3", scan("B")).await.expect(202);
    assert_eq!(done.str("/status"), "completed", "it went on in the same step");
    let shown = shop.bob.get(&path).await.expect(200);
    let output = json!({"order": "1042", "scans": ["A", "B"], "by": ["user:alice", "user:bob"]});
    assert_eq!(shown.json["output"], output, "{}", shown.text);

    let late = send(&shop.alice, &execution, "scanned", "s4", scan("C")).await.expect(409);
    assert_eq!(late.str("/code"), "OH-2010");
    let history = shop.bob.get(&format!("{path}/history")).await.expect(200);
    let came: Vec<&str> =
        history.json["items"].as_array().expect("a list").iter().map(|e| text(&e["kind"])).collect();
    assert_eq!(came, ["started", "signalled", "signalled", "signalled", "signalled", "ended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_for_those_who_may_and_are_recorded() {
    let (shop, execution) = open().await;
    let viewer = shop.server.principal("user:vera", &["viewer"]).await;
    let refused = send(&viewer, &execution, "packed", "p", json!({})).await.expect(403);
    assert_eq!(refused.str("/code"), "OH-4030");
    send(&shop.alice, "no-such-execution", "packed", "p", json!({})).await.expect(404);
    for (id, data) in [("with space", json!(1)), ("", json!(1)), ("p", json!("x".repeat(70_000)))] {
        let refused = send(&shop.alice, &execution, "packed", id, data).await.expect(422);
        assert_eq!(refused.str("/code"), "OH-2142", "{}", refused.text);
    }
    let path = format!("/executions/{execution}/signals/packed");
    let unknown = shop.alice.post(&path, json!({"data": 1, "dta": 2})).await.expect(422);
    assert_eq!(unknown.str("/fields/0/field"), "/dta", "{}", unknown.text);
    let shown = shop.bob.get(&format!("/executions/{execution}")).await.expect(200);
    assert_eq!(shown.json["version"], json!(1), "what was refused left nothing");

    // Without an id the server makes one, and each is another signal.
    let made = shop.alice.post(&path, json!({"data": {"order": "1042"}})).await.expect(202);
    assert!(!made.str("/id").is_empty(), "{}", made.text);
    let leaves = shop.server.admin.get("/audit?action=execution.signalled").await.expect(200);
    let leaf = &leaves.json["items"][0]["record"];
    assert_eq!(text(&leaf["actor"]), "user:alice", "{}", leaves.text);
    assert!(
        leaves.text.contains("packed") && !leaves.text.contains("order"),
        "the data is only digested: {}",
        leaves.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_each_taken_once() {
    let shop = Shop::open().await;
    let all = "
document: { dsl: '1.0.3', namespace: shop, name: many, version: '1.0.0' }
do:
  - all: { listen: { to: { any: [ { with: { type: n, omnihubexecution: '${ $workflow.id }' } } ], until: 'length == 50' } } }
";
    shop.server.admin.post_yaml("/workflows", all).await.expect(201);
    let goal = json!({"workflow": {"namespace": "shop", "name": "many"}, "input": {}});
    let execution = shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..50_u32 {
        let (alice, execution) = (shop.alice.clone(), execution.clone());
        // Every one is sent twice: whoever comes second is told so.
        senders.spawn(async move {
            let id = format!("n{number}");
            let first = send(&alice, &execution, "n", &id, json!(number)).await;
            let second = send(&alice, &execution, "n", &id, json!(number)).await;
            assert_eq!((first.status, second.status), (202, 202), "{} {}", first.text, second.text);
            assert_eq!((&first.json["repeated"], &second.json["repeated"]), (&json!(false), &json!(true)));
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.expect("it was accepted");
    }
    let shown = shop.status(&execution, "completed").await;
    let mut numbers: Vec<u64> =
        shown["output"].as_array().expect("a list").iter().filter_map(Json::as_u64).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_says_where_it_stands_and_changes_nothing() {
    let (shop, execution) = open().await;
    let path = format!("/executions/{execution}/state");
    send(&shop.alice, &execution, "scanned", "s1", scan("A")).await.expect(202);
    send(&shop.alice, &execution, "packed", "p1", json!({"order": "1042"})).await.expect(202);
    send(&shop.alice, &execution, "lost", "l1", json!(null)).await.expect(202);
    let state = shop.bob.get(&path).await.expect(200);
    assert_eq!(state.json["context"], json!({"order": "1042"}), "{}", state.text);
    assert_eq!((state.str("/status"), state.str("/blocked_on")), ("waiting", "signal:scanned"));
    assert_eq!((&state.json["version"], &state.json["inbox"]), (&json!(4), &json!(["lost"])));
    let places = state.json["places"].as_array().expect("a list");
    assert_eq!(places.len(), 1, "{}", state.text);
    assert_eq!((text(&places[0]["task"]), text(&places[0]["kind"])), ("/do/1/scanned", "listen"));
    assert_eq!(text(&places[0]["waits_for"]), "signal:scanned");
    let part = shop.bob.get(&format!("{path}?pointer=/order")).await.expect(200);
    assert_eq!(part.json["context"], "1042");
    shop.bob.get(&format!("{path}?pointer=/nothing")).await.expect(404);
    let again = shop.bob.get(&path).await.expect(200);
    assert_eq!(again.json, state.json, "asking leaves nothing");
    send(&shop.alice, &execution, "scanned", "s2", scan("B")).await.expect(202);
    let ended = shop.bob.get(&path).await.expect(200);
    assert_eq!((ended.str("/status"), &ended.json["places"]), ("completed", &json!([])), "{}", ended.text);
}
