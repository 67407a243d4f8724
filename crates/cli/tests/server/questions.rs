//! `call: approval:1.0.0`: a workflow asks people, through the API and the command line.

use serde_json::{Value as Json, json};
use testkit::{Answer, Client};

use crate::shop::{Shop, text};

/// Asks two people how much may be spent; catches a no.
const DOCUMENT: &str = "document: { dsl: '1.0.3', namespace: shop, name: budget, version: '1.0.0' }
do:
  - ask:
      try:
        - sure:
            call: approval:1.0.0
            with:
              ask: 'How much may ${ORDER} cost?'
              data: '${ { order: .order } }'
              approvers: 2
              form: { type: object, properties: { limit: { type: integer } }, required: [ limit ], additionalProperties: false }
              deadline: PT3H
      catch:
        do:
          - no: { set: '${ { refused: $error.status } }' }
";

async fn ask(shop: &Shop) -> (String, Json) {
    let started = json!({"workflow": {"namespace": "shop", "name": "budget"}, "input": {"order": "1042"}});
    let accepted = shop.alice.post("/goals", started).await.expect(202);
    let execution = accepted.str("/execution_id").to_owned();
    let approval = shop.approval_of(&execution).await;
    (execution, approval)
}

async fn open() -> Shop {
    let shop = Shop::open().await;
    shop.server.admin.post_yaml("/workflows", &DOCUMENT.replace("${ORDER}", "it")).await.expect(201);
    shop
}

async fn says(who: &Client, verb: &str, approval: &Json, answer: Option<Json>) -> Answer {
    let mut body = json!({"digest": approval["digest"], "reason": "decided in a test"});
    if let Some(answer) = answer {
        body["answer"] = answer;
    }
    who.post(&format!("/approvals/{}/{verb}", text(&approval["id"])), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_fills_in_the_same() {
    let shop = open().await;
    let (execution, approval) = ask(&shop).await;
    assert_eq!(text(&approval["operation"]), "approval:1.0.0");
    assert_eq!(text(&approval["predicted"]), "How much may it cost?");
    assert_eq!(approval["arguments"], json!({"ask": "How much may it cost?", "data": {"order": "1042"}}));
    assert_eq!(approval["quorum"], json!({"approvers": 2, "roles": ["operator", "admin"]}));
    assert_eq!((&approval["form"]["required"], &approval["answer"]), (&json!(["limit"]), &Json::Null));

    let own = says(&shop.alice, "approve", &approval, Some(json!({"limit": 5}))).await.expect(403);
    assert_eq!(own.str("/code"), "OH-3011", "{}", own.text);
    for wrong in [None, Some(json!({})), Some(json!({"limit": "5"})), Some(json!({"limit": 5, "x": 1}))] {
        let refused = says(&shop.bob, "approve", &approval, wrong).await.expect(422);
        assert_eq!(
            (refused.str("/code"), refused.str("/fields/0/field")),
            ("OH-4220", "answer"),
            "{}",
            refused.text
        );
    }
    let no = says(&shop.bob, "reject", &approval, Some(json!({"limit": 5}))).await.expect(422);
    assert_eq!(no.str("/code"), "OH-4220", "{}", no.text);
    let edit = shop.edit(&shop.bob, &approval, json!({"ask": "May it be free?"})).await.expect(422);
    assert_eq!(edit.str("/code"), "OH-3013", "{}", edit.text);
    let untouched = shop.look(&approval).await;
    assert_eq!((&untouched["votes"], &untouched["answer"]), (&json!([]), &Json::Null), "{untouched:#}");

    let first = says(&shop.bob, "approve", &approval, Some(json!({"limit": 5}))).await.expect(200);
    assert_eq!((first.str("/status"), &first.json["answer"]), ("pending", &json!({"limit": 5})));
    let other = says(&shop.server.admin, "approve", &approval, Some(json!({"limit": 500}))).await.expect(409);
    assert_eq!(
        (other.str("/code"), &other.json["answer"]),
        ("OH-3015", &json!({"limit": 5})),
        "{}",
        other.text
    );
    let carol = shop.server.principal("user:carol", &["operator"]).await;
    says(&carol, "approve", &approval, Some(json!({"limit": 5}))).await.expect(200);
    let done = shop.status(&execution, "completed").await;
    let output = json!({"by": "user:carol", "reason": "decided in a test", "answer": {"limit": 5}});
    assert_eq!((&done["output"], text(&done["outcome"])), (&output, "verified"), "{done:#}");
    let acts = shop.audited(&execution).await;
    assert!(acts.contains(&("approval.voted".to_owned(), "user:bob".to_owned())), "{acts:?}");
    assert!(acts.contains(&("approval.approved".to_owned(), "user:carol".to_owned())), "{acts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_is_caught_and_a_cancelled_question_is_withdrawn() {
    let mut shop = open().await;
    let (execution, approval) = ask(&shop).await;
    // Asked before, decided after: the history holds the question.
    shop.server.kill();
    shop.restart().await;
    shop.decide(&shop.bob, "reject", &approval).await.expect(200);
    let done = shop.status(&execution, "completed").await;
    assert_eq!(done["output"], json!({"refused": 403}), "{done:#}");

    let (execution, approval) = ask(&shop).await;
    let stop = json!({"reason": "nobody wants to know any more"});
    shop.bob.post(&format!("/executions/{execution}/cancel"), stop).await.expect(202);
    shop.status(&execution, "cancelled").await;
    assert_eq!(shop.look(&approval).await["status"], "withdrawn");
    let late = says(&shop.bob, "approve", &approval, Some(json!({"limit": 5}))).await.expect(409);
    assert_eq!(late.str("/code"), "OH-3012", "{}", late.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_says_who_decides_and_a_signed_plan_answers_nothing() {
    let shop = open().await;
    let admins = "package omnihub\nimport rego.v1\n\
        approve contains {\"message\": \"for administrators\", \"approvers\": 1, \"roles\": [\"admin\"]} if input.action.operation == \"approval:1.0.0\"\n";
    let bundle = json!({"modules": {"admins.rego": admins}});
    shop.server.admin.put("/policies/admins", bundle).await.expect(200);
    let (_, approval) = ask(&shop).await;
    // The larger number, and only who suits both.
    assert_eq!(approval["quorum"], json!({"approvers": 2, "roles": ["admin"]}));
    let refused = says(&shop.bob, "approve", &approval, Some(json!({"limit": 5}))).await.expect(403);
    assert_eq!(refused.str("/code"), "OH-4030", "{}", refused.text);

    let goal = json!({"mode": "plan", "workflow": {"namespace": "shop", "name": "budget"}, "input": {"order": "1042"}});
    let plan = shop.alice.post("/goals", goal).await.expect(200).json;
    let effect = &plan["effects"][0];
    assert_eq!(
        (text(&effect["operation"]), text(&effect["decision"])),
        ("approval:1.0.0", "require-approval")
    );
    let carol = shop.server.principal("user:carol", &["admin"]).await;
    for who in [&shop.server.admin, &carol] {
        shop.decide_plan(who, "approve", &plan).await.expect(200);
    }
    let accepted = shop.run_plan(&shop.alice, &plan).await.expect(202);
    let execution = accepted.str("/execution_id").to_owned();
    let approval = shop.approval_of(&execution).await;
    assert_eq!(
        approval["reasons"],
        json!(["the workflow asks people", "for administrators"]),
        "it is no surprise"
    );
    for who in [&shop.server.admin, &carol] {
        says(who, "approve", &approval, Some(json!({"limit": 5}))).await.expect(200);
    }
    let done = shop.status(&execution, "completed").await;
    assert_eq!(done["output"]["answer"], json!({"limit": 5}), "{done:#}");
}

const COUNT: &str = "action: count:1.0.0
effect: read
class: pure
run: { run: { shell: { command: 'printf 3' } } }
";
/// Counts as it was reviewed, in a function of its own, and by a program of its own.
const INLINE: &str = "document: { dsl: '1.0.3', namespace: shop, name: inline, version: '1.0.0' }
use:
  functions:
    counts: { call: 'count:1.0.0' }
    prints: { run: { shell: { command: 'printf 4' } } }
do:
  - one: { call: 'count:1.0.0' }
  - two: { call: counts }
  - three: { call: prints }
";

#[tokio::test(flavor = "multi_thread")]
async fn what_an_inline_function_does_is_always_asked_about() {
    let shop = Shop::open().await;
    shop.server.admin.post_yaml("/actions", COUNT).await.expect(201);
    shop.server.admin.post_yaml("/workflows", INLINE).await.expect(201);
    let goal = json!({"mode": "plan", "workflow": {"namespace": "shop", "name": "inline"}});
    let plan = shop.alice.post("/goals", goal).await.expect(200).json;
    let seen: Vec<_> = plan["effects"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|effect| {
            (
                text(&effect["operation"]),
                text(&effect["effect"]),
                text(&effect["decision"]),
                text(&effect["risk"]["level"]),
            )
        })
        .collect();
    let wanted = [
        ("count:1.0.0", "read", "allow", "low"),
        ("count:1.0.0", "read", "require-approval", "high"),
        ("run:shell", "write", "require-approval", "high"),
    ];
    assert_eq!(seen, wanted, "{plan:#}");
    let started = json!({"workflow": {"namespace": "shop", "name": "inline"}});
    let accepted = shop.alice.post("/goals", started).await.expect(202);
    let execution = accepted.str("/execution_id").to_owned();
    for number in [2, 3] {
        let approval = shop.approval_of(&execution).await;
        assert_eq!(approval["effect"], json!(number), "{approval:#}");
        let own = shop.decide(&shop.alice, "approve", &approval).await.expect(403);
        assert_eq!(own.str("/code"), "OH-3011", "{}", own.text);
        shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    }
    let done = shop.status(&execution, "completed").await;
    assert_eq!(done["output"], json!("4"), "{done:#}");
}
