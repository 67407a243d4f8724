//! Events: taken in once, kept, brought to whoever listens, early or late, over crashes; and published by workflows.

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Server};

use crate::shop::{eventually, text};

async fn server() -> Server {
    Server::start(env!("CARGO_BIN_EXE_omnihub"), "", &[]).await
}

async fn publish(server: &Server, name: &str, tasks: Json) {
    let document = json!({"dsl": "1.0.3", "namespace": "test", "name": name, "version": "1.0.0"});
    server.admin.post("/workflows", json!({"document": document, "do": tasks})).await.expect(201);
}

async fn start(server: &Server, name: &str, input: Json) -> String {
    let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": input});
    server.admin.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
}

async fn until(server: &Server, execution: &str, status: &str) -> Answer {
    eventually(&server.admin, &format!("/executions/{execution}"), |a| a.str("/status") == status).await
}

async fn blocked(server: &Server, execution: &str, on: &str) {
    eventually(&server.admin, &format!("/executions/{execution}"), |a| a.str("/blocked_on") == on).await;
}

fn event(kind: &str, id: &str, data: Json) -> Json {
    json!({"specversion": "1.0", "type": kind, "source": "/tests", "id": id, "data": data})
}

async fn send(client: &Client, event: Json) -> Answer {
    let headers = [("content-type", "application/cloudevents+json")];
    client.send("POST", "/api/v1/events", &headers, event.to_string().into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_everybody_who_waits_for_it_and_nobody_else() {
    let server = server().await;
    let placed = json!({"with": {"type": "placed"}, "correlate": {"order": {"from": ".data.order", "expect": "${ .order }"}}});
    publish(&server, "one", json!([{"wait": {"listen": {"to": {"one": placed}}}}])).await;
    publish(&server, "any", json!([{"wait": {"listen": {"to": {"any": [{"with": {"type": "placed", "data": "${ .amount > 10 }"}}]}, "read": "envelope"}}}])).await;
    let a = start(&server, "one", json!({"order": "a"})).await;
    let b = start(&server, "one", json!({"order": "b"})).await;
    let c = start(&server, "any", json!({})).await;
    for execution in [&a, &b, &c] {
        blocked(&server, execution, "event:placed").await;
    }
    let sent =
        send(&server.admin, event("placed", "1", json!({"order": "b", "amount": 12}))).await.expect(202);
    assert_eq!(sent.json["items"][0]["repeated"], json!(false));
    let shown = until(&server, &b, "completed").await;
    assert_eq!(shown.json["output"], json!([{"order": "b", "amount": 12}]));
    let shown = until(&server, &c, "completed").await;
    assert_eq!((shown.str("/output/0/id"), shown.str("/output/0/source")), ("1", "/tests"), "{}", shown.text);
    // The very same again changes nothing, and what nobody asked for leaves no trace in a history.
    let again = send(&server.admin, event("placed", "1", json!({"order": "a"}))).await.expect(202);
    assert_eq!(again.json["items"][0]["repeated"], json!(true));
    send(&server.admin, event("other", "2", json!({"order": "a"}))).await.expect(202);
    send(&server.admin, event("placed", "3", json!({"order": "c"}))).await.expect(202);
    let last = send(&server.admin, event("placed", "4", json!({"order": "a"}))).await.expect(202);
    assert_eq!(last.json["items"][0]["repeated"], json!(false));
    until(&server, &a, "completed").await;
    let history = server.admin.get(&format!("/executions/{a}/history")).await.expect(200);
    let kinds: Vec<&str> =
        history.json["items"].as_array().expect("a list").iter().map(|e| text(&e["kind"])).collect();
    assert_eq!(kinds, ["started", "signalled", "ended"]);
    let leaves = server.admin.get("/audit?action=event.received").await.expect(200);
    assert_eq!(leaves.json["items"].as_array().map(Vec::len), Some(4));
    assert!(!leaves.text.contains("amount"), "the data is only digested: {}", leaves.text);
    let listed = server.admin.get("/events?type=placed").await.expect(200);
    let ids: Vec<&str> =
        listed.json["items"].as_array().expect("a list").iter().map(|e| text(&e["event"]["id"])).collect();
    assert_eq!(ids, ["1", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_early_waits_and_a_crash_loses_nothing() {
    let mut server = server().await;
    let of = |kind: &str| json!({"with": {"type": kind}});
    publish(
        &server,
        "both",
        json!([{"first": {"wait": "PT0.3S"}}, {"wait": {"listen": {"to": {"all": [of("x"), of("y")]}}}},
            {"more": {"listen": {"to": {"any": [of("n")], "until": {"one": of("end")}}}}}]),
    )
    .await;
    // Before it begins is too early, before it listens is not.
    send(&server.admin, event("x", "old", json!("old"))).await.expect(202);
    let execution = start(&server, "both", json!({})).await;
    send(&server.admin, event("y", "y1", json!(1))).await.expect(202);
    send(&server.admin, event("n", "n1", json!(1))).await.expect(202);
    server.kill();
    server.start_again().await;
    send(&server.admin, event("x", "x1", json!(2))).await.expect(202);
    blocked(&server, &execution, "event:end,n").await;
    server.kill();
    server.start_again().await;
    send(&server.admin, event("n", "n2", json!(2))).await.expect(202);
    send(&server.admin, event("end", "e", json!(null))).await.expect(202);
    let shown = until(&server, &execution, "completed").await;
    assert_eq!(
        shown.json["output"],
        json!([1, 2]),
        "the event that ends it is no part of it: {}",
        shown.text
    );
    let checked = server.admin.post("/audit/verify", json!({})).await.expect(200);
    assert_eq!(checked.json["found"], json!(0), "{}", checked.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_publish_and_others_hear_them() {
    let server = server().await;
    publish(&server, "hear", json!([{"wait": {"listen": {"to": {"one": {"with": {"type": "greeted", "source": "https://fake-source.com"}}}}}}])).await;
    let hearing = start(&server, "hear", json!({})).await;
    blocked(&server, &hearing, "event:greeted").await;
    let with = json!({"source": "https://fake-source.com", "type": "greeted", "data": {"greetings": "${ \"Hello \" + .name }"}});
    publish(&server, "say", json!([{"say": {"emit": {"event": {"with": with}}}}])).await;
    let saying = start(&server, "say", json!({"name": "John"})).await;
    let said = until(&server, &saying, "completed").await;
    for name in ["id", "specversion", "time", "source", "type", "data"] {
        assert!(!said.json["output"][name].is_null(), "{name}: {}", said.text);
    }
    let heard = until(&server, &hearing, "completed").await;
    assert_eq!(heard.json["output"], json!([{"greetings": "Hello John"}]));
    let listed = server.admin.get("/events").await.expect(200);
    assert_eq!(text(&listed.json["items"][0]["execution"]), saying, "{}", listed.text);
    let leaves =
        server.admin.get(&format!("/audit?correlation={saying}&action=event.emitted")).await.expect(200);
    assert_eq!(leaves.json["items"].as_array().map(Vec::len), Some(1), "{}", leaves.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_event_at_all_ends_it_and_one_may_be_addressed() {
    let server = server().await;
    publish(&server, "any", json!([{"wait": {"listen": {"to": {"any": []}}}}])).await;
    publish(&server, "own", json!([{"wait": {"listen": {"to": {"one": {"with": {"type": "go", "omnihubexecution": "${ $workflow.id }"}}}}}}])).await;
    let any = start(&server, "any", json!({})).await;
    let own = start(&server, "own", json!({})).await;
    blocked(&server, &any, "event:*").await;
    blocked(&server, &own, "signal:go").await;
    let mut addressed = event("go", "1", json!("mine"));
    addressed["omnihubexecution"] = json!(own);
    send(&server.admin, event("go", "0", json!("everybody's"))).await.expect(202);
    send(&server.admin, addressed).await.expect(202);
    assert_eq!(until(&server, &own, "completed").await.json["output"], json!(["mine"]));
    assert_eq!(until(&server, &any, "completed").await.json["output"], json!(["everybody's"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_every_mode_and_what_is_none_is_refused() {
    let server = server().await;
    let headers = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "b1"),
        ("ce-source", "/a%20b"),
        ("ce-type", "t"),
    ];
    let sent = server.admin.send("POST", "/api/v1/events", &headers, "{\"n\":1}".into()).await.expect(202);
    assert_eq!(sent.str("/items/0/source"), "/a b");
    let batch = json!([event("t", "b2", json!(1)), event("t", "b3", json!(2)), event("t", "b2", json!(3))]);
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let sent =
        server.admin.send("POST", "/api/v1/events", &headers, batch.to_string().into()).await.expect(202);
    let repeated: Vec<&Json> =
        sent.json["items"].as_array().expect("a list").iter().map(|e| &e["repeated"]).collect();
    assert_eq!(repeated, [&json!(false), &json!(false), &json!(true)]);
    for (change, field) in [
        (json!({"specversion": "0.3"}), "/0/specversion"),
        (json!({"id": ""}), "/0/id"),
        (json!({"type": null}), "/0/type"),
        (json!({"orderId": "x"}), "/0/orderId"),
        (json!({"subject": {"a": 1}}), "/0/subject"),
        (json!({"data_base64": "AA=="}), "/0/data_base64"),
        (json!({"data": "x".repeat(70_000)}), "/0"),
    ] {
        let mut wrong = event("t", "w", json!(1));
        for (name, value) in change.as_object().expect("an object") {
            wrong[name] = value.clone();
        }
        let refused = send(&server.admin, wrong).await.expect(422);
        assert_eq!(
            (refused.str("/code"), refused.str("/fields/0/field")),
            ("OH-2180", field),
            "{}",
            refused.text
        );
    }
    let headers = [("content-type", "text/plain")];
    server.admin.send("POST", "/api/v1/events", &headers, "x".into()).await.expect(415);
    let viewer = server.principal("user:vera", &["viewer"]).await;
    send(&viewer, event("t", "v", json!(1))).await.expect(403);
    let stranger = server.principal_in("acme", "user:eve", "user", &["admin"]).await;
    let seen = stranger.get("/events").await.expect(200);
    assert_eq!(seen.json["items"], json!([]), "another tenant's");
}

async fn schedule_on(server: &Server, name: &str, on: Json, tasks: Json) {
    let document = json!({"dsl": "1.0.3", "namespace": "test", "name": name, "version": "1.0.0"});
    let body = json!({"document": document, "schedule": {"on": on}, "do": tasks});
    server.admin.post("/workflows", body).await.expect(201);
}

/// Executions of a workflow, once there are so many, oldest first.
async fn begun(server: &Server, name: &str, count: usize) -> Vec<Json> {
    let path = format!("/executions?workflow=test/{name}&limit=100");
    let many = |answer: &Answer| answer.json["items"].as_array().is_some_and(|items| items.len() >= count);
    let found = eventually(&server.admin, &path, many).await;
    let mut items = found.json["items"].as_array().cloned().expect("a list");
    items.reverse();
    assert_eq!(items.len(), count, "{}", found.text);
    items
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_begins_an_execution_is_read_as_said() {
    let server = server().await;
    let all = json!([{"take": {"set": "${ { got: . } }"}}]);
    for (name, read) in [("plain", None), ("whole", Some("envelope")), ("text", Some("raw"))] {
        let document = json!({"dsl": "1.1.0", "namespace": "test", "name": name, "version": "1.0.0"});
        let mut schedule = json!({"on": {"one": {"with": {"type": "placed"}}}});
        if let Some(read) = read {
            schedule["read"] = json!(read);
        }
        let body = json!({"document": document, "schedule": schedule, "do": all});
        server.admin.post("/workflows", body).await.expect(201);
    }
    send(&server.admin, event("placed", "1", json!({"n": 1}))).await.expect(202);
    for (name, wanted) in [("plain", json!([{"n": 1}])), ("text", json!(["{\"n\":1}"]))] {
        let one = begun(&server, name, 1).await;
        let shown = until(&server, text(&one[0]["execution_id"]), "completed").await;
        assert_eq!(shown.json["output"]["got"], wanted, "{name}: {}", shown.text);
    }
    let whole = begun(&server, "whole", 1).await;
    let shown = until(&server, text(&whole[0]["execution_id"]), "completed").await;
    let got = &shown.json["output"]["got"][0];
    assert_eq!((&got["data"], &got["id"], &got["type"]), (&json!({"n": 1}), &json!("1"), &json!("placed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_begins_one_execution_of_whoever_waits_for_it() {
    let mut server = server().await;
    let big = json!({"one": {"with": {"type": "placed", "data": "${ .n > 1 }"}}});
    schedule_on(
        &server,
        "big",
        big,
        json!([{"take": {"set": {"n": "${ .[0].data.n }", "id": "${ .[0].id }"}}}]),
    )
    .await;
    let either = json!({"any": [{"with": {"type": "placed"}}, {"with": {"type": "moved", "subject": "s"}}]});
    schedule_on(
        &server,
        "either",
        either,
        json!([{"say": {"emit": {"event": {"with": {"type": "placed", "source": "/either"}}}}}]),
    )
    .await;
    send(&server.admin, event("placed", "1", json!({"n": 1}))).await.expect(202);
    send(&server.admin, event("moved", "2", json!({"n": 9}))).await.expect(202);
    send(&server.admin, event("placed", "3", json!({"n": 3}))).await.expect(202);
    // Neither again, nor by what it publishes itself: `big` is not begun by data that is not there.
    send(&server.admin, event("placed", "3", json!({"n": 3}))).await.expect(202);
    let one = begun(&server, "big", 1).await;
    let shown = until(&server, text(&one[0]["execution_id"]), "completed").await;
    assert_eq!(shown.json["output"], json!({"n": 3, "id": "3"}));
    begun(&server, "either", 2).await;
    server.kill();
    server.start_again().await;
    send(&server.admin, event("placed", "4", json!({"n": 4}))).await.expect(202);
    server.kill();
    server.start_again().await;
    send(&server.admin, event("placed", "4", json!({"n": 4}))).await.expect(202);
    send(&server.admin, event("placed", "5", json!({"n": 5}))).await.expect(202);
    let all = begun(&server, "big", 3).await;
    for (execution, n) in all.iter().zip([3, 4, 5]) {
        let shown = until(&server, text(&execution["execution_id"]), "completed").await;
        assert_eq!(shown.json["output"]["n"], json!(n), "{}", shown.text);
    }
    begun(&server, "either", 4).await;
    let checked = server.admin.post("/audit/verify", json!({})).await.expect(200);
    assert_eq!(checked.json["found"], json!(0), "{}", checked.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_event_may_not_begin_is_told_and_a_pause_holds() {
    let server = server().await;
    let document = json!({"dsl": "1.0.3", "namespace": "test", "name": "strict", "version": "1.0.0"});
    let schema = json!({"schema": {"document": {"type": "array", "items": {"properties": {"data": {"type": "string"}}}}}});
    let body = json!({"document": document, "input": schema, "schedule": {"on": {"one": {"with": {"type": "t"}}}},
        "do": [{"done": {"set": {"x": 1}}}]});
    server.admin.post("/workflows", body).await.expect(201);
    send(&server.admin, event("t", "1", json!(7))).await.expect(202);
    let told = |answer: &Answer| answer.json["items"].as_array().is_some_and(|items| items.len() == 1);
    let refused = eventually(&server.admin, "/audit?action=schedule.refused", told).await;
    assert!(refused.text.contains("schedules/test/strict"), "{}", refused.text);
    let reason = json!({"reason": "not today"});
    server.admin.post("/schedules/test/strict/pause", reason.clone()).await.expect(200);
    send(&server.admin, event("t", "2", json!("paused"))).await.expect(202);
    // Another workflow hears the next event: then the one before is dealt with.
    let heard = json!({"one": {"with": {"type": "mark"}}});
    schedule_on(&server, "mark", heard, json!([{"done": {"set": {"x": 1}}}])).await;
    send(&server.admin, event("mark", "3", json!(null))).await.expect(202);
    begun(&server, "mark", 1).await;
    server.admin.post("/schedules/test/strict/resume", reason).await.expect(200);
    send(&server.admin, event("t", "4", json!("in force"))).await.expect(202);
    let one = begun(&server, "strict", 1).await;
    let shown = server.admin.get(&format!("/executions/{}", text(&one[0]["execution_id"]))).await.expect(200);
    assert_eq!(shown.str("/input/0/id"), "4", "{}", shown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_events_begin_wake_and_show_nothing() {
    let server = server().await;
    let eve = server.principal_in("rival", "user:eve", "user", &["admin", "developer"]).await;
    schedule_on(
        &server,
        "ours",
        json!({"one": {"with": {"type": "t"}}}),
        json!([{"done": {"set": {"x": 1}}}]),
    )
    .await;
    publish(&server, "waits", json!([{"wait": {"listen": {"to": {"any": []}}}}])).await;
    let waiting = start(&server, "waits", json!({})).await;
    blocked(&server, &waiting, "event:*").await;
    // Theirs, addressed to nobody and to ours; and ours behind it, so that theirs was dealt with.
    send(&eve, event("t", "theirs", json!("secret of eve"))).await.expect(202);
    let mut addressed = event("t", "addressed", json!("secret of eve"));
    addressed["omnihubexecution"] = json!(waiting);
    send(&eve, addressed).await.expect(202);
    // The same source and id in another tenant are another event.
    let ours = send(&server.admin, event("t", "theirs", json!("ours"))).await.expect(202);
    assert_eq!(ours.json["items"][0]["repeated"], json!(false));
    let shown = until(&server, &waiting, "completed").await;
    assert_eq!(shown.json["output"], json!(["ours"]));
    begun(&server, "ours", 1).await;
    assert!(!server.admin.get("/events").await.expect(200).text.contains("secret"));
    let theirs = eve.get("/events").await.expect(200);
    assert!(theirs.text.contains("secret of eve") && !theirs.text.contains("ours"), "{}", theirs.text);
    assert_eq!(eve.get("/executions").await.expect(200).json["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_keeps_so_many_events_and_no_more() {
    let mut server = Server::start(env!("CARGO_BIN_EXE_omnihub"), "[events]\nmax = 3\n", &[]).await;
    for id in ["1", "2", "3"] {
        send(&server.admin, event("t", id, json!(1))).await.expect(202);
    }
    let full = send(&server.admin, event("t", "4", json!(1))).await.expect(429);
    assert_eq!(full.str("/code"), "OH-2181");
    let again = send(&server.admin, event("t", "3", json!(1))).await.expect(202);
    assert_eq!(again.json["items"][0]["repeated"], json!(true), "what is kept needs no room");
    server.kill();
    server.start_again().await;
    send(&server.admin, event("t", "4", json!(1))).await.expect(429);
    // Another tenant has room of its own.
    let eve = server.principal_in("rival", "user:eve", "user", &["admin"]).await;
    send(&eve, event("t", "4", json!(1))).await.expect(202);
}
