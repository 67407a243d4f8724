//! The policy time machine: a candidate judges recorded history, or beside what is in force, and changes nothing.

use serde_json::{Value as Json, json};

use crate::shop::{Shop, eventually, text};

const LIMIT: &str = "package omnihub\nimport rego.v1\n\n\
    deny contains \"refunds over 100 are not made by machine\" if input.amount.value > 100\n";
const GENEROUS: &str = "package omnihub\nimport rego.v1\n\nallow if true\n";
const FAILS: &str = "package omnihub\nimport rego.v1\n\n\
    level := \"low\" if input.amount.value > 0\nlevel := \"high\" if input.amount.value > 1\n\ndeny contains \"high\" if level == \"high\"\n";

impl Shop {
    async fn refund_of(&self, amount: f64) -> String {
        let goal = json!({"workflow": {"namespace": "shop", "name": "refund"}, "input": {"orderId": "7", "amount": amount, "currency": "EUR"}});
        self.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
    }

    async fn simulate(&self, body: Json) -> Json {
        self.server.admin.post("/policies/simulate", body).await.expect(200).json
    }

    async fn control(&self, name: &str, on: bool) {
        let body = json!({"on": on, "reason": "a trial"});
        self.server.admin.put(&format!("/controls/{name}"), body).await.expect(200);
    }
}

/// Refunds of 25 and 250, both approved and done.
async fn with_history() -> (Shop, Vec<String>) {
    let shop = Shop::open().await;
    let mut executions = Vec::new();
    for amount in [25.0, 250.0] {
        let execution = shop.refund_of(amount).await;
        shop.approve(&execution).await.expect(200);
        shop.status(&execution, "completed").await;
        executions.push(execution);
    }
    (shop, executions)
}

fn counts(simulation: &Json) -> (u64, u64, u64) {
    let number = |name: &str| simulation[name].as_u64().expect("a number");
    (number("executions"), number("decisions"), number("changed"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_force_agrees_with_its_own_history() {
    let (shop, _) = with_history().await;
    let rejected = shop.refund_of(30.0).await;
    let approval = shop.approval_of(&rejected).await;
    let no = json!({"digest": approval["digest"], "reason": "no"});
    shop.bob.post(&format!("/approvals/{}/reject", text(&approval["id"])), no).await.expect(200);
    shop.status(&rejected, "faulted").await;
    shop.control("takeover", true).await;
    let taken = shop.refund_of(31.0).await;
    shop.approve(&taken).await.expect(200);
    eventually(&shop.bob, &format!("/approvals?status=pending&execution={taken}"), |a| {
        a.json["items"][0]["operation"].as_str().is_some_and(|o| o.starts_with("refund-read"))
    })
    .await;
    shop.control("takeover", false).await;
    shop.control("safe-mode", true).await;
    let predicted = shop.refund_of(32.0).await;
    shop.status(&predicted, "completed").await;
    shop.control("safe-mode", false).await;

    let own = shop.server.admin.get("/policies/default").await.expect(200).json["modules"].clone();
    let simulation = shop.simulate(json!({"modules": own})).await;
    let (executions, decisions, changed) = counts(&simulation);
    assert_eq!((executions, changed), (5, 0), "{simulation:#}");
    // Each refund and each probe; the probe of the rejected one was never asked for.
    assert!(decisions >= 8, "{simulation:#}");
    assert_eq!(simulation["candidate"], simulation["active"]);
    assert_eq!(simulation["approvals"]["more"], 0);
    assert_eq!((&simulation["failures"], &simulation["unreadable"]), (&json!(0), &json!(0)));
    assert!(simulation["next"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_candidate_shows_what_it_would_stop_and_stops_nothing() {
    let (shop, executions) = with_history().await;
    let before = shop.bob.get(&format!("/executions/{}/history", executions[1])).await.expect(200).text;
    let log = shop.server.admin.get("/audit/head").await.expect(200).json["size"].as_u64().expect("a size");
    let simulation = shop.simulate(json!({"name": "limit", "modules": {"limit.rego": LIMIT}})).await;
    assert_eq!((counts(&simulation).0, counts(&simulation).2), (2, 1), "{simulation:#}");
    let change = &simulation["changes"][0];
    assert_eq!(change["execution"], executions[1].as_str());
    assert_eq!(
        (text(&change["from"]["decision"]), text(&change["to"]["decision"])),
        ("require-approval", "deny")
    );
    assert_eq!(change["to"]["reasons"], json!(["refunds over 100 are not made by machine"]));
    assert_eq!(change["amount"], json!({"value": 250.0, "currency": "EUR"}));
    assert_eq!(simulation["transitions"], json!([{"from": "require-approval", "to": "deny", "count": 1}]));
    assert_eq!(simulation["concerns"]["requesters"], json!({"user:alice": 1}));
    assert_eq!(
        (&simulation["approvals"]["before"], &simulation["approvals"]["after"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(simulation["stopped_executions"], 1);
    assert_eq!(simulation["execution_changes"][0]["denied_at"], change["effect"]);

    let after = shop.bob.get(&format!("/executions/{}/history", executions[1])).await.expect(200).text;
    assert_eq!(before, after);
    let size = shop.server.admin.get("/audit/head").await.expect(200).json["size"].as_u64().expect("a size");
    assert_eq!(size, log + 1, "the act itself is the only record");
    let leaf = shop.server.admin.get("/audit?action=policy.simulated").await.expect(200);
    assert_eq!(leaf.str("/items/0/record/resource"), "policies/limit", "{}", leaf.text);
    shop.server.admin.get("/policies/limit").await.expect(404);
    let allowed = shop.refund_of(300.0).await;
    shop.approve(&allowed).await.expect(200);
    shop.status(&allowed, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generous_candidate_saves_approvals_and_one_that_fails_denies() {
    let (shop, executions) = with_history().await;
    let generous = shop.simulate(json!({"modules": {"all.rego": GENEROUS}})).await;
    assert_eq!(generous["approvals"]["more"], -2, "{generous:#}");
    assert_eq!(generous["transitions"][0], json!({"from": "require-approval", "to": "allow", "count": 2}));
    let one = shop.simulate(json!({"modules": {"all.rego": GENEROUS}, "execution": executions[0]})).await;
    assert_eq!((counts(&one).0, counts(&one).2), (1, 1), "{one:#}");
    let failing = shop.simulate(json!({"name": "fails", "modules": {"fails.rego": FAILS}})).await;
    assert!(failing["failures"].as_u64() >= Some(2), "{failing:#}");
    assert!(text(&failing["failure_details"][0]).contains("on doubt the answer is no"), "{failing:#}");
    assert_eq!(failing["transitions"][0]["to"], "deny");
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_after_going_back_are_made_again_too() {
    let shop = Shop::open().await;
    let execution = shop.refund_of(25.0).await;
    let first = shop.approval_of(&execution).await;
    let back = json!({"to": {"event": 1}, "effects": "keep", "reason": "look once more"});
    shop.bob.post(&format!("/executions/{execution}/rewind"), back).await.expect(202);
    eventually(&shop.bob, &format!("/approvals?status=pending&execution={execution}"), |a| {
        a.json["items"][0]["id"].is_string() && a.json["items"][0]["id"] != first["id"]
    })
    .await;
    shop.approve(&execution).await.expect(200);
    shop.status(&execution, "completed").await;
    let simulation = shop.simulate(json!({"modules": {"all.rego": GENEROUS}})).await;
    assert_eq!(simulation["unreadable"], 0, "{simulation:#}");
    let twice = json!([{"from": "require-approval", "to": "allow", "count": 2}]);
    assert_eq!(simulation["transitions"], twice, "before going back, and after: {simulation:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_add_up_and_bad_questions_are_refused() {
    let (shop, _) = with_history().await;
    let admin = &shop.server.admin;
    let mut cursor = Json::Null;
    let mut seen = (0, 0);
    loop {
        let mut body = json!({"modules": {"all.rego": GENEROUS}, "limit": 1});
        if !cursor.is_null() {
            body["cursor"] = cursor;
        }
        let page = shop.simulate(body).await;
        seen = (seen.0 + counts(&page).0, seen.1 + counts(&page).2);
        cursor = page["next"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, (2, 2));
    let none =
        shop.simulate(json!({"modules": {"all.rego": GENEROUS}, "until": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(counts(&none), (0, 0, 0));
    let path = "/policies/simulate";
    shop.bob.post(path, json!({"modules": {"all.rego": GENEROUS}})).await.expect(403);
    admin.post(path, json!({"name": "nobody"})).await.expect(404);
    admin.post(path, json!({"modules": {"a.rego": GENEROUS}, "execution": "nobody"})).await.expect(404);
    let broken =
        admin.post(path, json!({"modules": {"a.rego": "package omnihub\nallow if {"}})).await.expect(422);
    assert_eq!(broken.str("/code"), "OH-3030", "{}", broken.text);
    let wrong =
        admin.post(path, json!({"modules": {"a.rego": GENEROUS}, "since": "yesterday"})).await.expect(422);
    assert_eq!((wrong.str("/code"), wrong.str("/fields/0/field")), ("OH-4220", "/since"), "{}", wrong.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_recorded_and_does_not_enforce() {
    let mut shop = Shop::open().await;
    let put = json!({"modules": {"limit.rego": LIMIT}});
    shop.bob.put("/policies/limit/shadow", put.clone()).await.expect(403);
    let shadow = shop.server.admin.put("/policies/limit/shadow", put).await.expect(200);
    assert_eq!((shadow.str("/mode"), &shadow.json["enforces"]), ("shadow (does not enforce)", &json!(false)));
    for amount in [25.0, 250.0] {
        let execution = shop.refund_of(amount).await;
        shop.approve(&execution).await.expect(200);
        shop.status(&execution, "completed").await;
    }
    assert_eq!(shop.outside.refunds().len(), 2, "a shadow stops nothing");
    let shown = eventually(&shop.bob, "/policies/limit/shadow", |a| a.json["differed"] == 1).await.json;
    assert!(shown["judged"].as_u64() > Some(2), "{shown:#}");
    assert_eq!(
        shown["judged"].as_u64(),
        Some(shown["agreed"].as_u64().unwrap_or_default() + 1),
        "all but one agree: {shown:#}"
    );
    let difference = &shown["differences"][0];
    assert_eq!(
        (text(&difference["from"]["decision"]), text(&difference["to"]["decision"])),
        ("require-approval", "deny")
    );
    let listed = shop.bob.get("/policies").await.expect(200).json;
    let modes: Vec<&str> =
        listed["items"].as_array().into_iter().flatten().map(|p| text(&p["mode"])).collect();
    assert_eq!(modes, ["in force", "shadow (does not enforce)"], "{listed:#}");
    shop.server.kill();
    shop.restart().await;
    let kept = shop.bob.get("/policies/limit/shadow").await.expect(200).json;
    assert_eq!(kept["differed"], 1, "{kept:#}");
    shop.server.admin.json("DELETE", "/policies/limit/shadow", Json::Null).await.expect(204);
    shop.bob.get("/policies/limit/shadow").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_fails_is_suspended_and_stops_nothing() {
    let shop = Shop::open().await;
    let put = json!({"modules": {"fails.rego": FAILS}});
    shop.server.admin.put("/policies/fails/shadow", put).await.expect(200);
    for _ in 0..6 {
        let execution = shop.refund_of(25.0).await;
        shop.approve(&execution).await.expect(200);
        shop.status(&execution, "completed").await;
    }
    let shown =
        eventually(&shop.bob, "/policies/fails/shadow", |a| a.json["failed"].as_u64() >= Some(5)).await.json;
    assert!(shown["differed"].as_u64() > Some(0), "a failure would deny: {shown:#}");
    assert_eq!(shop.outside.refunds().len(), 6);
}
