//! Workflows that run others: started once across crashes, stopped and undone with whoever runs them.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Recorder, Reply, Server};

use crate::shop::{eventually, text};

/// A server with actions that book and drop, and a place that writes down what it was asked.
struct House {
    server: Server,
    recorder: Recorder,
}

impl House {
    async fn open() -> Self {
        let recorder = Recorder::start().await;
        let server =
            Server::start(env!("CARGO_BIN_EXE_omnihub"), "egress.private = [\"127.0.0.1/32\"]\n", &[]).await;
        let at = recorder.address.to_string();
        let action = |name: &str, undo: Option<&str>| {
            let mut action = json!({
                "action": format!("{name}:1.0.0"), "title": name, "effect": "write",
                "class": if undo.is_some() { "compensable" } else { "idempotent" },
                "idempotency": {"key": format!("\"{name}-\" + $workflow.id"), "header": "Idempotency-Key"},
                "run": {"call": "http", "with": {"method": "post", "endpoint": format!("http://{at}/{name}"), "body": "${ . }"}},
            });
            match undo {
                Some(undo) => {
                    action["compensate"] =
                        json!({"call": format!("{undo}:1.0.0"), "with": "${ $action.arguments }"});
                }
                None => {
                    action["ensure"] = json!({"probe": {"call": "look:1.0.0", "with": {}}, "that": ".gone", "every": "PT0.1S", "within": "PT5S"})
                }
            }
            action.to_string()
        };
        let look = json!({
            "action": "look:1.0.0", "title": "look", "effect": "read", "class": "read",
            "run": {"call": "http", "with": {"method": "get", "endpoint": format!("http://{at}/look")}},
        });
        server.admin.post_yaml("/actions", &look.to_string()).await.expect(201);
        for (name, undo) in [("drop", None), ("mark", None), ("book", Some("drop"))] {
            server.admin.post_yaml("/actions", &action(name, undo)).await.expect(201);
        }
        recorder.reply("/look", [Reply::new(200, "{\"gone\":true}")]);
        Self { server, recorder }
    }

    async fn publish(&self, name: &str, version: &str, tasks: Json) {
        let document = json!({"dsl": "1.0.3", "namespace": "test", "name": name, "version": version});
        self.admin().post("/workflows", json!({"document": document, "do": tasks})).await.expect(201);
    }

    fn admin(&self) -> &Client {
        &self.server.admin
    }

    async fn start(&self, name: &str, input: Json) -> String {
        let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": input});
        self.admin().post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
    }

    async fn until(&self, execution: &str, status: &str) -> Answer {
        eventually(self.admin(), &format!("/executions/{execution}"), |a| a.str("/status") == status).await
    }

    /// The executions that this one runs, once there are so many, oldest first.
    async fn children(&self, parent: &str, count: usize) -> Vec<Json> {
        let path = format!("/executions?parent={parent}");
        let so = |a: &Answer| a.json["items"].as_array().is_some_and(|items| items.len() == count);
        let mut items =
            eventually(self.admin(), &path, so).await.json["items"].as_array().expect("a list").clone();
        items.reverse();
        items
    }

    /// What the outside was asked to do, in order.
    fn asked(&self) -> Vec<String> {
        let seen = self.recorder.seen();
        let acts = seen.iter().filter(|seen| seen.path != "/look");
        acts.map(|seen| {
            let body: Json = serde_json::from_str(&seen.body).unwrap_or_default();
            format!("{} {}", seen.path.trim_start_matches('/'), text(&body["n"]))
        })
        .collect()
    }

    async fn sound(&self) {
        let checked = self.admin().post("/audit/verify", json!({})).await.expect(200);
        assert_eq!(checked.json["found"], json!(0), "{}", checked.text);
    }
}

fn runs(name: &str, input: Json) -> Json {
    json!({"run": {"workflow": {"namespace": "test", "name": name, "version": "latest", "input": input}}})
}

fn book(n: &str) -> Json {
    json!({"call": "book:1.0.0", "with": {"n": n}})
}

fn no() -> Json {
    json!({"raise": {"error": {"type": "https://test.example/errors/no", "status": 409, "title": "No"}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn one_runs_another_and_each_shows_the_other() {
    let house = House::open().await;
    house.publish("leg", "1.0.0", json!([{"one": book("old")}])).await;
    house
        .publish(
            "leg",
            "1.1.0",
            json!([{"one": book("leg")}, {"shape": {"set": {"seat": "${ $workflow.input.to + \"-4A\" }"}, "then": "end"}}, {"never": no()}]),
        )
        .await;
    house
        .publish("trip", "1.0.0", json!([{"leg": runs("leg", json!({"to": "${ .city }"}))}, {"after": {"set": {"got": "${ .seat }"}}}]))
        .await;
    let parent = house.start("trip", json!({"city": "Rome"})).await;
    let shown = house.until(&parent, "completed").await;
    assert_eq!(
        shown.json["output"],
        json!({"got": "Rome-4A"}),
        "`then: end` ended only the other one: {}",
        shown.text
    );
    let children = house.children(&parent, 1).await;
    let child = text(&children[0]["execution_id"]).to_owned();
    assert_eq!(text(&children[0]["workflow"]["version"]), "1.1.0", "the newest when it began");
    assert_eq!(text(&children[0]["parent"]), parent);
    assert_eq!(shown.json["effects"][0]["execution"], json!(child));
    assert_eq!(shown.json["effects"][0]["operation"], json!("workflow:test/leg:1.1.0"));
    assert_eq!(shown.json["outcome"], json!("unknown"), "its booking names no check: {}", shown.text);
    let inner = house.admin().get(&format!("/executions/{child}")).await.expect(200);
    assert_eq!((inner.str("/parent"), inner.str("/requester")), (parent.as_str(), shown.str("/requester")));
    assert_eq!(house.asked(), ["book leg"]);
    // What is told of one another agrees, and nobody may go back behind what was told.
    house.sound().await;
    let back = json!({"to": {"event": 1}, "reason": "again"});
    house.admin().post(&format!("/executions/{child}/rewind"), back).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_the_fault_of_whoever_runs_it_and_everything_is_undone_newest_first() {
    let house = House::open().await;
    house.publish("inner", "1.0.0", json!([{"one": book("inner")}])).await;
    house.publish("leg", "1.0.0", json!([{"one": book("leg")}, {"two": runs("inner", json!({}))}])).await;
    house.publish("full", "1.0.0", json!([{"one": book("full")}, {"two": no()}])).await;
    house
        .publish("trip", "1.0.0", json!([{"first": book("trip")}, {"leg": runs("leg", json!({}))}, {"full": runs("full", json!({}))}]))
        .await;
    let parent = house.start("trip", json!({})).await;
    let shown = house.until(&parent, "faulted").await;
    assert_eq!(
        shown.str("/error/type"),
        "https://test.example/errors/no",
        "as it was raised: {}",
        shown.text
    );
    assert_eq!(
        house.asked(),
        [
            "book trip",
            "book leg",
            "book inner",
            "book full",
            "drop full",
            "drop inner",
            "drop leg",
            "drop trip"
        ]
    );
    let children = house.children(&parent, 2).await;
    let statuses: Vec<&str> = children.iter().map(|child| text(&child["status"])).collect();
    assert_eq!(statuses, ["cancelled", "faulted"], "the first had completed, and was undone");
    assert_eq!(shown.json["outcome"], json!("failed"), "every undo was checked: {}", shown.text);
    house.sound().await;
    // It is caught like any other.
    house
        .publish(
            "careful",
            "1.0.0",
            json!([{"all": {"try": [{"full": runs("full", json!({}))}], "catch": {"errors": {"with": {"status": 409}}, "as": "error",
                "do": [{"sorry": {"set": {"sorry": "${ $error.title }"}}}]}}}]),
        )
        .await;
    let careful = house.start("careful", json!({})).await;
    assert_eq!(house.until(&careful, "completed").await.json["output"], json!({"sorry": "No"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_starts_none_twice_and_loses_none() {
    const PARENTS: usize = 12;
    let mut house = House::open().await;
    house.publish("leg", "1.0.0", json!([{"one": {"call": "mark:1.0.0", "with": {"n": "${ .n }"}}}, {"two": {"set": {"done": true}}}])).await;
    house
        .publish(
            "trip",
            "1.0.0",
            json!([{"a": runs("leg", json!({"n": "${ $workflow.input.n + \"a\" }"}))}, {"b": runs("leg", json!({"n": "${ $workflow.input.n + \"b\" }"}))}]),
        )
        .await;
    let mut parents = Vec::new();
    for n in 0..PARENTS {
        parents.push(house.start("trip", json!({"n": format!("{n}-")})).await);
        if n % 3 == 2 {
            // At whatever point it happens to be.
            house.server.kill();
            house.server.start_again().await;
        }
    }
    for parent in &parents {
        house.until(parent, "completed").await;
        let children = house.children(parent, 2).await;
        let ids: BTreeSet<&str> = children.iter().map(|child| text(&child["execution_id"])).collect();
        assert_eq!(ids.len(), 2);
    }
    // The outside knows each key once, however often it was sent.
    let keys: BTreeSet<String> = house
        .recorder
        .seen_at("/mark")
        .iter()
        .map(|seen| seen.header("idempotency-key").to_owned())
        .collect();
    assert_eq!(keys.len(), 2 * PARENTS);
    house.sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_it_runs_are_held_stopped_and_undone_with_it() {
    let house = House::open().await;
    house.publish("leg", "1.0.0", json!([{"one": book("leg")}, {"two": {"wait": "PT10H"}}])).await;
    house
        .publish(
            "trip",
            "1.0.0",
            json!([{"first": book("trip")}, {"free": {"run": {"workflow": {"namespace": "test", "name": "leg", "version": "1.0.0"}, "await": false}}},
                {"leg": runs("leg", json!({}))}]),
        )
        .await;
    let parent = house.start("trip", json!({})).await;
    let children = house.children(&parent, 2).await;
    let [free, leg] = [0, 1].map(|n| text(&children[n]["execution_id"]).to_owned());
    let shown = eventually(house.admin(), &format!("/executions/{parent}"), |a| {
        a.str("/blocked_on") == format!("child:{leg}") && a.str("/status") == "waiting"
    })
    .await;
    assert!(shown.str("/explanation").contains(&leg), "{}", shown.text);
    assert_eq!(shown.json["effects"][1]["output"]["id"], json!(free), "its identity is the output");
    for child in [&free, &leg] {
        eventually(house.admin(), &format!("/executions/{child}"), |a| a.str("/blocked_on") == "timer").await;
    }
    let act = |id: &str, word: &str| (format!("/executions/{id}/{word}"), json!({"reason": "a test"}));
    let (path, body) = act(&parent, "pause");
    house.admin().post(&path, body).await.expect(202);
    house.until(&leg, "suspended").await;
    assert_eq!(house.until(&free, "waiting").await.str("/blocked_on"), "timer", "nobody waits for it");
    let (path, body) = act(&parent, "resume");
    house.admin().post(&path, body).await.expect(202);
    house.until(&leg, "waiting").await;
    let (path, body) = act(&parent, "cancel");
    house.admin().post(&path, body).await.expect(202);
    house.until(&parent, "cancelled").await;
    house.until(&leg, "cancelled").await;
    house.until(&free, "waiting").await;
    assert_eq!(house.asked(), ["book trip", "book leg", "book leg", "drop leg", "drop trip"]);
    let leaves =
        house.admin().get(&format!("/audit?correlation={leg}&action=execution.cancelled")).await.expect(200);
    assert!(leaves.text.contains(&parent), "it says for whom: {}", leaves.text);
    house.sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_before_anything_happens() {
    let house = House::open().await;
    house
        .publish("lost", "1.0.0", json!([{"first": book("lost")}, {"leg": runs("nowhere", json!({}))}]))
        .await;
    let goal = json!({"workflow": {"namespace": "test", "name": "lost"}, "input": {}});
    let refused = house.admin().post("/goals", goal).await.expect(422);
    assert_eq!(refused.str("/code"), "OH-2170", "{}", refused.text);
    // One that runs itself ends where the limit is, and says so.
    house.publish("mirror", "1.0.0", json!([{"again": runs("mirror", json!({}))}])).await;
    let mirror = house.start("mirror", json!({})).await;
    let shown = house.until(&mirror, "faulted").await;
    assert!(shown.str("/error/type").ends_with("/too-deep"), "{}", shown.text);
    let all = house.admin().get("/executions?workflow=test/mirror&limit=100").await.expect(200);
    assert_eq!(all.json["items"].as_array().map(Vec::len), Some(16));
    assert!(house.asked().is_empty());
    house.sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_see_who_runs_it_and_plans_what_it_will_do() {
    let house = House::open().await;
    house.publish("leg", "1.0.0", json!([{"one": {"call": "book:1.0.0", "with": {"n": "${ .n }"}}}])).await;
    house.publish("trip", "1.0.0", json!([{"leg": runs("leg", json!({"n": "${ .n }"}))}])).await;
    let goal =
        json!({"workflow": {"namespace": "test", "name": "trip"}, "input": {"n": "x"}, "mode": "plan"});
    let plan = house.admin().post("/goals", goal).await.expect(200);
    let effects = plan.json["effects"].as_array().expect("a list");
    let foreseen: Vec<(&str, &str)> =
        effects.iter().map(|e| (text(&e["task"]), text(&e["operation"]))).collect();
    assert_eq!(
        foreseen,
        [("/do/0/leg", "workflow:test/leg:1.0.0"), ("/do/0/leg > /do/0/one", "book:1.0.0")],
        "{}",
        plan.text
    );
    assert_eq!(effects[1]["arguments"], json!({"n": "x"}), "{}", plan.text);
    let policy = "package omnihub\nimport rego.v1\ndeny contains \"only by itself\" if { some c in input.callers\n startswith(c.workflow, \"test/trip:\") }\n";
    house.admin().put("/policies/alone", json!({"modules": {"x.rego": policy}})).await.expect(200);
    let parent = house.start("trip", json!({"n": "y"})).await;
    let shown = house.until(&parent, "faulted").await;
    assert!(shown.text.contains("only by itself"), "{}", shown.text);
    let leg = house.start("leg", json!({"n": "z"})).await;
    house.until(&leg, "completed").await;
    assert_eq!(house.asked(), ["book z"]);
}
