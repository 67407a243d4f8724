//! Plans: what would happen is shown, approved as a whole, and held to.

use serde_json::{Value as Json, json};
use testkit::{Answer, Client};

use crate::shop::{Shop, eventually, text};

impl Shop {
    /// Alice's plan of a refund.
    pub async fn plan(&self, amount: f64) -> Json {
        let goal = json!({
            "workflow": {"namespace": "shop", "name": "refund"}, "mode": "plan",
            "input": {"orderId": "1042", "amount": amount, "currency": "EUR"},
        });
        self.alice.post("/goals", goal).await.expect(200).json
    }

    pub async fn decide_plan(&self, who: &Client, verb: &str, plan: &Json) -> Answer {
        who.post(&format!("/plans/{}/{verb}", text(&plan["digest"])), json!({"reason": "as agreed"})).await
    }

    pub async fn run_plan(&self, who: &Client, plan: &Json) -> Answer {
        who.post("/goals", json!({"plan": plan["digest"]})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_plan_runs_once_without_a_second_approval() {
    let shop = Shop::open().await;
    let plan = shop.plan(25.0).await;
    assert_eq!((text(&plan["status"]), &plan["missing"]), ("open", &json!(1)), "{plan:#}");
    let effect = &plan["effects"][0];
    assert_eq!(effect["unknown"], json!([]), "{plan:#}");
    assert!(text(&effect["arguments_digest"]).starts_with("sha256:"), "{plan:#}");
    assert_eq!(shop.outside.posts(), 0, "a plan touches nothing");
    let early = shop.run_plan(&shop.alice, &plan).await.expect(409);
    assert_eq!(early.str("/code"), "OH-3042", "{}", early.text);

    let own = shop.decide_plan(&shop.alice, "approve", &plan).await.expect(403);
    assert_eq!(own.str("/code"), "OH-3011", "{}", own.text);
    let signed = shop.decide_plan(&shop.bob, "approve", &plan).await.expect(200);
    assert_eq!(signed.str("/status"), "signed", "{}", signed.text);
    assert_eq!(signed.json["seal"]["approvers"], json!(["user:bob"]));
    let other = shop.run_plan(&shop.bob, &plan).await.expect(403);
    assert_eq!(other.str("/code"), "OH-3050", "{}", other.text);

    let accepted = shop.run_plan(&shop.alice, &plan).await.expect(202);
    let execution = accepted.str("/execution_id").to_owned();
    assert_eq!(execution, text(&plan["execution_id"]));
    let done = shop.status(&execution, "completed").await;
    assert_eq!(text(&done["outcome"]), "verified", "{done:#}");
    assert_eq!(done["plan_digest"], plan["binding"]);
    assert_eq!(shop.outside.refunds().len(), 1);
    let audited = shop.audited(&execution).await;
    assert!(!audited.iter().any(|(action, _)| action == "approval.requested"), "{audited:?}");
    let again = shop.run_plan(&shop.alice, &plan).await.expect(409);
    assert_eq!((again.str("/code"), &again.json["executions"]), ("OH-3044", &json!([execution])));
    assert_eq!(shop.outside.posts(), 1);
    for action in ["plan.made", "plan.signed"] {
        let leaves = shop.server.admin.get(&format!("/audit?action={action}")).await.expect(200);
        assert_eq!(leaves.json["items"].as_array().map(Vec::len), Some(1), "{action}: {}", leaves.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_or_foreign_plan_does_not_run() {
    let shop = Shop::open().await;
    let plan = shop.plan(25.0).await;
    shop.decide_plan(&shop.bob, "reject", &plan).await.expect(200);
    let late = shop.decide_plan(&shop.server.admin, "approve", &plan).await.expect(409);
    assert_eq!(late.str("/code"), "OH-3041", "{}", late.text);
    let refused = shop.run_plan(&shop.alice, &plan).await.expect(409);
    assert_eq!(refused.str("/code"), "OH-3042", "{}", refused.text);
    let stranger = shop.server.principal_in("acme", "user:alice", "user", &["admin"]).await;
    let path = format!("/plans/{}", text(&plan["digest"]));
    stranger.get(&path).await.expect(404);
    shop.run_plan(&stranger, &plan).await.expect(404);
    stranger.post(&format!("{path}/approve"), json!({"reason": "x"})).await.expect(404);
    assert_eq!(stranger.get("/plans").await.expect(200).json["items"], json!([]));
    let viewer = shop.server.principal("user:eve", &["viewer"]).await;
    let open = shop.plan(26.0).await;
    shop.decide_plan(&viewer, "approve", &open).await.expect(403);
    let listed = viewer.get("/plans?limit=1").await.expect(200);
    assert_eq!(listed.json["items"][0]["digest"], open["digest"], "newest first");
    let next = viewer.get(&format!("/plans?limit=1&cursor={}", listed.str("/next"))).await.expect(200);
    assert_eq!(next.json["items"][0]["digest"], plan["digest"]);
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_void_once_what_judged_it_changed() {
    let shop = Shop::open().await;
    let strict = "package omnihub\nimport rego.v1\n\napprove contains \"look twice\" if input.action.effect == \"money\"\n";
    let by_policy = shop.plan(25.0).await;
    shop.decide_plan(&shop.bob, "approve", &by_policy).await.expect(200);
    shop.server.admin.put("/policies/twice", json!({"modules": {"twice.rego": strict}})).await.expect(200);
    let void = shop.run_plan(&shop.alice, &by_policy).await.expect(409);
    assert_eq!(void.str("/code"), "OH-3046", "{}", void.text);

    let by_control = shop.plan(25.0).await;
    shop.decide_plan(&shop.bob, "approve", &by_control).await.expect(200);
    shop.set("takeover", json!({"on": true, "reason": "a drill"})).await.expect(200);
    let void = shop.run_plan(&shop.alice, &by_control).await.expect(409);
    assert_eq!(void.str("/code"), "OH-3047", "{}", void.text);
    shop.set("takeover", json!({"on": false, "reason": "over"})).await.expect(200);
    // The controls are again what they were.
    let accepted = shop.run_plan(&shop.alice, &by_control).await.expect(202);
    shop.status(accepted.str("/execution_id"), "completed").await;

    let by_person = shop.plan(27.0).await;
    let carol = shop.server.principal("user:carol", &["operator"]).await;
    shop.decide_plan(&carol, "approve", &by_person).await.expect(200);
    shop.revoke("user:carol").await;
    let void = shop.run_plan(&shop.alice, &by_person).await.expect(409);
    assert_eq!(void.str("/code"), "OH-3052", "{}", void.text);
    assert_eq!(shop.outside.refunds().len(), 1);
}

/// Two orders are read, and what is paid back is what the second answer says.
const FOLLOWS: &str = "document: { dsl: '1.0.3', namespace: shop, name: follows, version: '1.0.0' }\n\
    do:\n  - look:\n      call: refund-read:1.0.0\n      with: { key: 'k1' }\n      output: { as: '${ { status: .status } }' }\n  \
    - pay:\n      call: refund-create:1.0.0\n      with: { orderId: '7', amount: 5, currency: EUR, reason: '${ .status }' }\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_know_yet_is_marked_and_may_be_anything() {
    let shop = Shop::open().await;
    shop.server.admin.post_yaml("/workflows", FOLLOWS).await.expect(201);
    let goal = json!({"workflow": {"namespace": "shop", "name": "follows"}, "mode": "plan"});
    let plan = shop.alice.post("/goals", goal).await.expect(200).json;
    let pay = &plan["effects"][1];
    assert_eq!(pay["unknown"], json!(["/reason"]), "{plan:#}");
    assert_eq!((&pay["arguments"]["reason"], &pay["arguments"]["orderId"]), (&Json::Null, &json!("7")));
    shop.decide_plan(&shop.bob, "approve", &plan).await.expect(200);
    let accepted = shop.run_plan(&shop.alice, &plan).await.expect(202);
    let done = shop.status(accepted.str("/execution_id"), "completed").await;
    assert_eq!(done["effects"][1]["arguments"]["reason"], "none", "{done:#}");
    assert_eq!(shop.outside.refunds().len(), 1);
}

/// What is done depends on an answer: the plan follows the stand-in, and shows what it does not come to.
const BRANCHES: &str = "document: { dsl: '1.0.3', namespace: shop, name: branches, version: '1.0.0' }\n\
    do:\n  - look:\n      call: refund-read:1.0.0\n      with: { key: 'k1' }\n  \
    - choose:\n      switch:\n        - none: { when: '.status == \"none\"', then: pay }\n        - other: { then: end }\n  \
    - pay:\n      call: refund-create:1.0.0\n      with: { orderId: '8', amount: 5, currency: EUR }\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_signed_plan_opens_the_review_again() {
    let shop = Shop::open().await;
    shop.server.admin.post_yaml("/workflows", BRANCHES).await.expect(201);
    let goal = json!({"workflow": {"namespace": "shop", "name": "branches"}, "mode": "plan"});
    let plan = shop.alice.post("/goals", goal).await.expect(200).json;
    assert_eq!(plan["effects"].as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(plan["guessed"], json!(["/do/1/choose"]), "{plan:#}");
    assert_eq!(plan["not_reached"], json!([{"task": "/do/2/pay", "operation": "refund-create:1.0.0"}]));
    shop.decide_plan(&shop.bob, "approve", &plan).await.expect(200);
    let accepted = shop.run_plan(&shop.alice, &plan).await.expect(202);
    let execution = accepted.str("/execution_id").to_owned();
    let approval = shop.approval_of(&execution).await;
    assert!(text(&approval["reasons"][0]).starts_with("not in the signed plan"), "{approval:#}");
    assert_eq!(shop.outside.posts(), 0);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_under_a_signed_plan_opens_the_review_again() {
    let shop = Shop::open().await;
    let plan = shop.plan(25.0).await;
    shop.decide_plan(&shop.bob, "approve", &plan).await.expect(200);
    let strict = "package omnihub\nimport rego.v1\n\napprove contains \"look twice\" if input.action.effect == \"money\"\n";
    shop.outside.fault(testkit::Fault::Down);
    let accepted = shop.run_plan(&shop.alice, &plan).await.expect(202);
    let execution = accepted.str("/execution_id").to_owned();
    eventually(&shop.bob, &format!("/executions/{execution}"), |a| {
        a.str("/blocked_on").starts_with("retry:")
    })
    .await;
    shop.server.admin.put("/policies/twice", json!({"modules": {"twice.rego": strict}})).await.expect(200);
    shop.outside.fault(testkit::Fault::None);
    let approval = shop.approval_of(&execution).await;
    assert_eq!(
        text(&approval["reasons"][0]),
        "not in the signed plan: a policy changed since the plan was signed"
    );
    assert_eq!(shop.outside.refunds().len(), 0);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_changed_in_the_store_is_refused() {
    let mut shop = Shop::open().await;
    let (forged, changed) = (shop.plan(25.0).await, shop.plan(26.0).await);
    shop.decide_plan(&shop.bob, "approve", &changed).await.expect(200);
    shop.server.terminate().await;
    {
        let db = rusqlite::Connection::open_with_flags_and_vfs(
            shop.server.data().join("omnihub.db"),
            rusqlite::OpenFlags::default(),
            pages::register(None).expect("a layer"),
        )
        .expect("opens");
        let alter = |plan: &Json, from: &str, to: &str| {
            let key = text(&plan["digest"]);
            let sql =
                "UPDATE documents SET document = replace(document, ?1, ?2) WHERE kind = 'plan' AND key = ?3";
            assert_eq!(db.execute(sql, [from, to, key]).expect("changes"), 1);
        };
        // An approval that nobody gave, and an amount that nobody saw.
        alter(&forged, "\"status\":\"open\"", "\"status\":\"signed\"");
        alter(&changed, "\"amount\":26", "\"amount\":9600");
    }
    shop.restart().await;
    for plan in [&forged, &changed] {
        let refused = shop.run_plan(&shop.alice, plan).await.expect(409);
        assert_eq!(refused.str("/code"), "OH-3048", "{}", refused.text);
        shop.bob.get(&format!("/plans/{}", text(&plan["digest"]))).await.expect(409);
    }
    assert_eq!(shop.outside.posts(), 0);
}
