//! Sagas through the API: what was done is undone in reverse, over a crash, and by force when an undo fails.

use serde_json::{Value as Json, json};
use testkit::{Recorder, Reply, Server};

use crate::shop::{eventually, text};

/// A reservation that can be taken back: `undo` says with which request.
fn action(name: &str, path: &str, at: &str, compensate: Option<&str>) -> String {
    let mut action = json!({
        "action": format!("{name}:1.0.0"), "title": name, "effect": "write",
        "class": if compensate.is_some() { "compensable" } else { "idempotent" },
        "idempotency": {"key": format!("\"{name}-\" + $workflow.id"), "header": "Idempotency-Key"},
        "retries": 0,
        "run": {"call": "http", "with": {"method": "post", "endpoint": format!("http://{at}{path}"), "body": "${ . }"}},
    });
    match compensate {
        Some(undo) => {
            action["compensate"] =
                json!({"call": format!("{undo}:1.0.0"), "with": {"of": "${ $action.key }"}})
        }
        None => {
            action["ensure"] = json!({"probe": {"call": "look:1.0.0", "with": {}}, "that": ".gone", "every": "PT0.1S", "within": "PT5S"});
        }
    }
    action.to_string()
}

/// Two reservations and a payment that is refused.
pub async fn house() -> (Server, Recorder) {
    let recorder = Recorder::start().await;
    let configuration = "egress.private = [\"127.0.0.1/32\"]\n";
    let server = Server::start(env!("CARGO_BIN_EXE_omnihub"), configuration, &[]).await;
    let at = recorder.address.to_string();
    let look = json!({
        "action": "look:1.0.0", "title": "look", "effect": "read", "class": "read",
        "run": {"call": "http", "with": {"method": "get", "endpoint": format!("http://{at}/look")}},
    });
    server.admin.post_yaml("/actions", &look.to_string()).await.expect(201);
    for (name, path, undo) in [
        ("flight-drop", "/flight/drop", None),
        ("room-drop", "/room/drop", None),
        ("flight", "/flight", Some("flight-drop")),
        ("room", "/room", Some("room-drop")),
        ("pay", "/pay", Some("flight-drop")),
    ] {
        server.admin.post_yaml("/actions", &action(name, path, &at, undo)).await.expect(201);
    }
    let document = json!({"dsl": "1.0.3", "namespace": "test", "name": "trip", "version": "1.0.0"});
    let tasks = json!([
        {"flight": {"call": "flight:1.0.0", "with": {}}},
        {"room": {"call": "room:1.0.0", "with": {}}},
        {"pay": {"call": "pay:1.0.0", "with": {}}},
    ]);
    server.admin.post("/workflows", json!({"document": document, "do": tasks})).await.expect(201);
    recorder.reply("/look", [Reply::new(200, "{\"gone\":true}")]);
    recorder.reply("/pay", [Reply::new(422, "{}")]);
    (server, recorder)
}

async fn begin(server: &Server) -> String {
    let goal = json!({"workflow": {"namespace": "test", "name": "trip"}, "input": {}});
    server.admin.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
}

async fn ended(server: &Server, id: &str) -> Json {
    eventually(&server.admin, &format!("/executions/{id}"), |a| !a.json["ended_at"].is_null()).await.json
}

/// The writes that the outside saw, in order.
pub fn writes(recorder: &Recorder) -> Vec<String> {
    recorder.seen().into_iter().filter(|seen| seen.method == "POST").map(|seen| seen.path).collect()
}

#[tokio::test]
async fn a_failing_saga_is_undone_in_reverse() {
    let (server, recorder) = house().await;
    let id = begin(&server).await;
    let view = ended(&server, &id).await;
    assert_eq!(writes(&recorder), ["/flight", "/room", "/pay", "/room/drop", "/flight/drop"], "{view:#}");
    assert_eq!((text(&view["status"]), text(&view["outcome"])), ("faulted", "failed"), "{view:#}");
    assert_eq!(text(&view["compensation"]["state"]), "undone", "{view:#}");
    let report = &view["error"]["compensation"];
    assert_eq!(
        (report[0]["operation"].clone(), report[0]["outcome"].clone()),
        (json!("room:1.0.0"), json!("verified"))
    );
    let keys: Vec<_> =
        ["/room", "/room/drop"].map(|path| recorder.seen_at(path)[0].headers.clone()).into_iter().collect();
    assert_ne!(keys[0], keys[1], "an undo has a key of its own");
}

#[tokio::test]
async fn a_parked_undo_survives_a_crash_and_can_be_forced() {
    let (mut server, recorder) = house().await;
    recorder.reply("/room/drop", [Reply::new(404, "{}")]);
    let id = begin(&server).await;
    let path = format!("/executions/{id}");
    let parked = eventually(&server.admin, &path, |a| a.str("/blocked_on").starts_with("dead-letter:")).await;
    assert_eq!(
        (parked.str("/status"), parked.str("/compensation/state")),
        ("suspended", "parked"),
        "{}",
        parked.text
    );
    // `kill -9` in the middle of undoing: nothing is lost, nothing is done again.
    server.kill();
    server.start_again().await;
    let parked = eventually(&server.admin, &path, |a| a.str("/compensation/state") == "parked").await;
    assert_eq!(writes(&recorder), ["/flight", "/room", "/pay", "/room/drop"]);
    let effects = parked.json["effects"].as_array().cloned().unwrap_or_default();
    let undo =
        effects.iter().find(|e| text(&e["state"]) == "parked").map_or(Json::Null, |e| e["number"].clone());
    server.admin.post(&format!("{path}/effects/1/force"), json!({"reason": "wrong one"})).await.expect(409);
    let stranger = server.principal("user:eve", &["viewer"]).await;
    stranger.post(&format!("{path}/effects/{undo}/force"), json!({"reason": "me too"})).await.expect(403);
    server
        .admin
        .post(&format!("{path}/effects/{undo}/force"), json!({"reason": "cancelled by phone"}))
        .await
        .expect(202);
    let view = ended(&server, &id).await;
    assert_eq!(writes(&recorder).last().map(String::as_str), Some("/flight/drop"), "{view:#}");
    assert_eq!((text(&view["status"]), text(&view["outcome"])), ("faulted", "unknown"), "{view:#}");
    assert_eq!(text(&view["compensation"]["state"]), "incomplete");
    let forced =
        server.admin.get(&format!("/audit?correlation={id}&action=compensation.forced")).await.expect(200);
    assert_eq!(forced.json["items"].as_array().map(Vec::len), Some(1), "{}", forced.text);
    let letters = server.admin.get("/dead-letters?open=true").await.expect(200);
    let open = letters.json["items"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|l| l["effect"] == undo && l["open"] == json!(true));
    assert!(!open, "the dead letter of the undo is closed: {}", letters.text);
}
