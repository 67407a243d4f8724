//! Policies: a bad bundle is refused with its place, a good one is in force at once, a failing one denies.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Fault};

use crate::shop::{Shop, eventually, text};

const LIMIT: &str = "package omnihub\nimport rego.v1\n\n\
    deny contains \"refunds over 100 are not made by machine\" if {\n\tstartswith(input.action.operation, \"refund-create:\")\n\tinput.amount.value > 100\n}\n\n\
    test_large_is_denied if count(deny) == 1 with input as {\"action\": {\"operation\": \"refund-create:1.0.0\"}, \"amount\": {\"value\": 250}}\n\
    test_small_is_not if count(deny) == 0 with input as {\"action\": {\"operation\": \"refund-create:1.0.0\"}, \"amount\": {\"value\": 25}}\n";
/// Two values for one rule: it compiles, and fails on every input that has money in it.
const FAILS: &str = "package omnihub\nimport rego.v1\n\n\
    level := \"low\" if input.amount.value > 0\nlevel := \"high\" if input.amount.value > 1\n\ndeny contains \"high\" if level == \"high\"\n";
const WRONG_TYPE: &str =
    "package omnihub\nimport rego.v1\n\ndeny contains 7 if input.action.effect == \"money\"\n";

impl Shop {
    async fn put_policy(&self, name: &str, rego: &str) -> Answer {
        self.server.admin.put(&format!("/policies/{name}"), json!({"modules": {"bundle.rego": rego}})).await
    }

    async fn refund(&self, amount: f64) -> String {
        let goal = json!({"workflow": {"namespace": "shop", "name": "refund"}, "input": {"orderId": "7", "amount": amount, "currency": "EUR"}});
        self.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
    }

    async fn denied(&self, execution: &str) -> Json {
        let ended = self.status(execution, "faulted").await;
        assert_eq!(
            (text(&ended["outcome"]), &ended["error"]["status"]),
            ("failed", &json!(403)),
            "{ended:#}"
        );
        assert!(text(&ended["error"]["type"]).ends_with("policy-denied"), "{ended:#}");
        ended
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_in_force_at_once() {
    let mut shop = Shop::open().await;
    let put = shop.put_policy("limit", LIMIT).await.expect(200);
    assert_eq!((put.str("/name"), &put.json["version"]), ("limit", &json!(1)), "{}", put.text);
    let large = shop.refund(250.0).await;
    let ended = shop.denied(&large).await;
    assert!(text(&ended["error"]["detail"]).contains("refunds over 100"), "{ended:#}");
    let small = shop.refund(25.0).await;
    shop.approve(&small).await.expect(200);
    shop.status(&small, "completed").await;
    let audit = shop.server.admin.get("/audit?action=policy.put").await.expect(200);
    assert_eq!(audit.str("/items/0/record/resource"), "policies/limit", "{}", audit.text);
    shop.server.kill();
    shop.restart().await;
    let after = shop.refund(250.0).await;
    shop.denied(&after).await;
    assert_eq!((shop.outside.posts(), shop.outside.refunds().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_bundle_is_refused_with_its_place_and_the_old_one_stays() {
    let shop = Shop::open().await;
    let good = shop.put_policy("limit", LIMIT).await.expect(200);
    let broken = "package omnihub\nimport rego.v1\n\ndeny contains \"x\" if {\n\tinput.amount.value >\n}\n";
    let cases = [
        (broken, "OH-3030", "bundle.rego:"),
        (
            "package omnihub\nimport rego.v1\n\ndeny contains \"x\" if no_such_function(1)\n",
            "OH-3030",
            "bundle.rego:4:",
        ),
        (
            "package omnihub\nimport rego.v1\n\ndeny contains \"x\" if time.now_ns() > 1\n",
            "OH-3030",
            "bundle.rego:4:",
        ),
        (
            "package omnihub\nimport rego.v1\n\ndeny contains \"x\" if http.send({\"url\": \"http://x\"})\n",
            "OH-3030",
            "bundle.rego:4:",
        ),
    ];
    for (rego, code, place) in cases {
        let refused = shop.put_policy("limit", rego).await.expect(422);
        assert_eq!(refused.str("/code"), code, "{}", refused.text);
        assert!(refused.str("/fields/0/field").starts_with(place), "{rego}: {}", refused.text);
        let parts: Vec<&str> = refused.str("/fields/0/field").split(':').collect();
        assert!(
            parts.len() == 3 && parts[1..].iter().all(|n| n.parse::<u32>().is_ok_and(|n| n > 0)),
            "{}",
            refused.text
        );
    }
    let failing = format!("{LIMIT}\ntest_that_fails if count(deny) == 7 with input as {{}}\n");
    let refused = shop.put_policy("limit", &failing).await.expect(422);
    assert_eq!(refused.str("/code"), "OH-3033", "{}", refused.text);
    assert!(refused.str("/detail").contains("test_that_fails"), "{}", refused.text);
    let empty = shop.server.admin.put("/policies/limit", json!({"modules": {}})).await.expect(422);
    assert!(empty.str("/code").starts_with("OH-"), "{}", empty.text);
    let kept = shop.bob.get("/policies/limit").await.expect(200);
    assert_eq!((kept.str("/digest"), &kept.json["version"]), (good.str("/digest"), &json!(1)));
    let large = shop.refund(250.0).await;
    shop.denied(&large).await;
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_fails_denies() {
    let shop = Shop::open().await;
    for (name, rego) in [("fails", FAILS), ("wrong-type", WRONG_TYPE)] {
        shop.put_policy(name, rego).await.expect(200);
        let execution = shop.refund(25.0).await;
        let ended = shop.denied(&execution).await;
        assert!(text(&ended["error"]["detail"]).contains("on doubt the answer is no"), "{ended:#}");
        let input = json!({"input": {"action": {"effect": "money"}, "amount": {"value": 25}}, "modules": {"x.rego": rego}});
        shop.bob.post("/policies/evaluate", input.clone()).await.expect(403);
        let evaluated = shop.server.admin.post("/policies/evaluate", input).await.expect(422);
        assert_eq!(evaluated.str("/code"), "OH-3034", "{}", evaluated.text);
        shop.server.admin.json("DELETE", &format!("/policies/{name}"), Json::Null).await.expect(204);
    }
    let execution = shop.refund(25.0).await;
    shop.approve(&execution).await.expect(200);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_read_is_replaced() {
    let shop = Shop::open().await;
    let admin = &shop.server.admin;
    let own = admin.get("/policies/default").await.expect(200);
    assert_eq!(own.json["version"], json!(0), "it comes with the product: {}", own.text);
    let tag = own.header("etag").expect("a policy has a tag").to_owned();
    assert_eq!(tag.trim_matches('"'), own.str("/digest"));

    let stricter = "package omnihub\nimport rego.v1\n\nallow if input.action.effect == \"read\"\n";
    let first = conditional(admin, "default", stricter, &tag).await.expect(200);
    assert_eq!(first.json["version"], json!(1));
    let stale = conditional(admin, "default", LIMIT, &tag).await.expect(412);
    assert_eq!(stale.str("/code"), "OH-4120", "{}", stale.text);
    conditional(admin, "default", LIMIT, "\"nonsense\"").await.expect(400);
    let next = first.header("etag").expect("a policy has a tag").to_owned();
    let second = conditional(admin, "default", stricter, &next).await.expect(200);
    assert_eq!(second.json["version"], json!(2), "versions count every change");
    conditional(admin, "unheard-of", LIMIT, &next).await.expect(412);

    // The tenant's own default says nothing about money, and what nothing allows is denied.
    let execution = shop.refund(25.0).await;
    shop.denied(&execution).await;
    admin.json("DELETE", "/policies/default", Json::Null).await.expect(204);
    let back = admin.get("/policies/default").await.expect(200);
    assert_eq!(
        (back.str("/digest"), &back.json["version"]),
        (own.str("/digest"), &json!(0)),
        "it falls back to the product's own"
    );
    admin.json("DELETE", "/policies/default", Json::Null).await.expect(404);
    let execution = shop.refund(25.0).await;
    shop.approve(&execution).await.expect(200);
    shop.status(&execution, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_can_be_asked_and_tested() {
    let shop = Shop::open().await;
    shop.put_policy("limit", LIMIT).await.expect(200);
    let input = |amount: u32| {
        json!({"input": {
            "action": {"operation": "refund-create:1.0.0", "effect": "money", "class": "probeable", "reviewed": true},
            "amount": {"value": amount}, "risk": {"level": "medium", "score": 40}, "provenance": [],
        }})
    };
    let asked = shop.bob.post("/policies/evaluate", input(25)).await.expect(200);
    assert_eq!(
        (asked.str("/decision"), &asked.json["approvers"]),
        ("require-approval", &json!(1)),
        "{}",
        asked.text
    );
    let denied = shop.bob.post("/policies/evaluate", input(250)).await.expect(200);
    assert_eq!(
        (denied.str("/decision"), denied.str("/reasons/0")),
        ("deny", "refunds over 100 are not made by machine"),
        "{}",
        denied.text
    );
    let nothing = shop.bob.post("/policies/evaluate", json!({"input": {}})).await.expect(200);
    assert_eq!(nothing.str("/decision"), "deny", "what is not understood is denied: {}", nothing.text);
    let mut candidate = input(250);
    candidate["modules"] = json!({"x.rego": "package omnihub\nimport rego.v1\n\nallow := true\n"});
    shop.bob.post("/policies/evaluate", candidate.clone()).await.expect(403);
    let allowed = shop.server.admin.post("/policies/evaluate", candidate).await.expect(200);
    assert_eq!(allowed.str("/decision"), "allow", "a candidate is asked alone: {}", allowed.text);
    assert_eq!(
        shop.bob.post("/policies/evaluate", input(250)).await.str("/decision"),
        "deny",
        "and asking puts nothing in force"
    );

    let tested = shop.bob.post("/policies/limit/test", json!({})).await.expect(200);
    let results =
        tested.json.as_array().or_else(|| tested.json["items"].as_array()).cloned().unwrap_or_default();
    assert_eq!(results.len(), 2, "{}", tested.text);
    assert!(results.iter().all(|r| r["passed"] == json!(true)), "{}", tested.text);
    shop.bob.post("/policies/none-such/test", json!({})).await.expect(404);
    for role in ["viewer", "developer", "operator", "compliance"] {
        let other = shop.server.principal(&format!("user:{role}"), &[role]).await;
        other.put("/policies/limit", json!({"modules": {"x.rego": LIMIT}})).await.expect(403);
        other.json("DELETE", "/policies/limit", Json::Null).await.expect(403);
    }
    let stranger = shop.server.principal_in("acme", "user:eve", "user", &["admin"]).await;
    stranger.get("/policies/limit").await.expect(404);
    stranger.json("DELETE", "/policies/limit", Json::Null).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_above_the_limit_is_denied() {
    let shop = Shop::open().await;
    shop.put_policy("limit", LIMIT).await.expect(200);
    let execution = shop.refund(25.0).await;
    let approval = shop.approval_of(&execution).await;
    let edited = shop
        .edit(&shop.bob, &approval, json!({"orderId": "7", "amount": 250, "currency": "EUR"}))
        .await
        .expect(200);
    assert_eq!(edited.str("/status"), "withdrawn", "{}", edited.text);
    shop.denied(&execution).await;
    assert_eq!(shop.outside.posts(), 0);
    let pending = shop.bob.get(&format!("/approvals?status=pending&execution={execution}")).await.expect(200);
    assert_eq!(pending.json["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_tightens_meets_what_was_approved_before() {
    let shop = Shop::open().await;
    let execution = shop.refund(250.0).await;
    let approval = shop.approval_of(&execution).await;
    shop.put_policy("limit", LIMIT).await.expect(200);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.denied(&execution).await;
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_parked_and_redriven() {
    let shop = Shop::open().await;
    shop.outside.fault(Fault::Down);
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    let listed =
        eventually(&shop.bob, "/dead-letters?open=true", |a| a.json["items"][0]["id"].is_string()).await;
    let letter = listed.json["items"][0].clone();
    assert_eq!(
        (text(&letter["execution_id"]), &letter["attempts"]),
        (execution.as_str(), &json!(4)),
        "{letter:#}"
    );
    assert!(text(&letter["reason"]).contains("503"), "it says why: {letter:#}");
    let parked = shop.status(&execution, "suspended").await;
    assert_eq!(parked["blocked_on"], json!(format!("dead-letter:{}", text(&letter["id"]))), "{parked:#}");
    let starts: Vec<u64> = parked["effects"][0]["attempts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|a| millis(&a["started_at"]))
        .collect();
    for (pause, wanted) in starts.windows(2).map(|w| w[1] - w[0]).zip([1000, 2000, 4000]) {
        assert!((wanted..wanted + 900).contains(&pause), "pauses of 1, 2 and 4 s: {starts:?}");
    }
    assert_eq!(shop.outside.posts(), 4);
    let path = format!("/dead-letters/{}/redrive", text(&letter["id"]));
    let viewer = shop.server.principal("user:viewer", &["viewer"]).await;
    viewer.post(&path, json!({"reason": "why"})).await.expect(403);
    let stranger = shop.server.principal_in("acme", "user:eve", "user", &["admin"]).await;
    stranger.post(&path, json!({"reason": "why"})).await.expect(404);

    shop.outside.fault(Fault::None);
    let redriven = shop.bob.post(&path, json!({"reason": "the shop is back"})).await.expect(202);
    assert_eq!(
        (&redriven.json["open"], redriven.str("/redriven_by")),
        (&json!(false), "user:bob"),
        "{}",
        redriven.text
    );
    let done = shop.status(&execution, "completed").await;
    assert_eq!((text(&done["outcome"]), shop.outside.refunds().len()), ("verified", 1), "{done:#}");
    let again = shop.bob.post(&path, json!({"reason": "once more"})).await.expect(409);
    assert_eq!(again.str("/code"), "OH-2011", "{}", again.text);
    let open = shop.bob.get("/dead-letters?open=true").await.expect(200);
    assert_eq!(open.json["items"], json!([]));
    assert!(
        shop.audited(&execution).await.contains(&("execution.retried".to_owned(), "user:bob".to_owned()))
    );
}

async fn conditional(who: &Client, name: &str, rego: &str, tag: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("if-match", tag)];
    let body = json!({"modules": {"bundle.rego": rego}}).to_string();
    who.send("PUT", &format!("/api/v1/policies/{name}"), &headers, Bytes::from(body)).await
}

/// Milliseconds since 1970 of a time as the API writes it.
pub fn millis(time: &Json) -> u64 {
    let time: jiff::Timestamp = text(time).parse().expect("a time of RFC 3339");
    u64::try_from(time.as_millisecond()).expect("after 1970")
}
