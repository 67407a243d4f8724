//! A hostile stranger, a curious colleague and a careless reader: what each of them must not get.

use serde_json::{Value as Json, json};
use testkit::Answer;

use crate::shop::{Shop, eventually, text};

const LIMIT: &str =
    "package omnihub\nimport rego.v1\n\ndeny contains \"too much\" if input.amount.value > 100\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_is_no_number_passes_under_no_limit() {
    let shop = Shop::open().await;
    shop.server.admin.put("/policies/limit", json!({"modules": {"limit.rego": LIMIT}})).await.expect(200);
    for amount in ["2,500", "NaN", "inf", "2500 EUR", ""] {
        let execution = shop.ask().await;
        let approval = shop.approval_of(&execution).await;
        let arguments = json!({"orderId": "1042", "amount": amount, "currency": "EUR"});
        shop.edit(&shop.bob, &approval, arguments).await.expect(200);
        let ended = shop.status(&execution, "faulted").await;
        assert!(text(&ended["error"]["type"]).ends_with("policy-denied"), "{amount}: {ended:#}");
        assert!(text(&ended["error"]["detail"]).contains("/amount"), "{amount}: {ended:#}");
    }
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_and_a_person_decides() {
    let shop = Shop::open().await;
    let agent = shop.server.principal_in("default", "agent:otto", "agent", &["operator", "admin"]).await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    for verb in ["approve", "reject"] {
        let refused = shop.decide(&agent, verb, &approval).await.expect(403);
        assert_eq!(refused.str("/code"), "OH-4030", "{}", refused.text);
    }
    let shown = agent.get(&format!("/approvals/{}", text(&approval["id"]))).await.expect(200);
    assert!(shown.str("/refusal").contains("agent"), "{}", shown.text);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.status(&execution, "completed").await;
    // What an agent asks for carries its label, in words and in fields.
    let goal = json!({"workflow": {"namespace": "shop", "name": "refund"}, "input": {"orderId": "7", "amount": 5, "currency": "EUR"}});
    let asked = agent.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let approval = shop.approval_of(&asked).await;
    assert!(approval["provenance"].to_string().contains("model"), "{approval:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_stays_dead_whoever_used_it_at_that_moment() {
    let shop = Shop::open().await;
    let admin = &shop.server.admin;
    for round in 0..20 {
        let body = json!({"principal": format!("user:eve{round}"), "roles": ["viewer"], "kind": "user"});
        let made = admin.post("/tokens", body).await.expect(201);
        let eve = admin.with_token(made.str("/secret"));
        let id = made.str("/id").to_owned();
        let id = if id.is_empty() { made.str("/token/id").to_owned() } else { id };
        let uses = (0..4).map(|_| {
            let eve = eve.clone();
            tokio::spawn(async move { eve.get("/executions").await.status })
        });
        let uses: Vec<_> = uses.collect();
        let gone = admin.json("DELETE", &format!("/tokens/{id}"), json!({})).await;
        assert!(matches!(gone.status, 200 | 204), "{}", gone.text);
        for used in uses {
            let status = used.await.expect("no panic");
            assert!(matches!(status, 200 | 401), "{status}");
        }
        eve.get("/executions").await.expect(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inline_call_shows_its_secret_by_name_and_its_origins() {
    let shop = Shop::open().await;
    let secret = "tok-1f0c9a7be2";
    let put = shop.server.admin.put("/secrets/shop", json!({"token": secret})).await;
    assert!(matches!(put.status, 200 | 201 | 204), "{}", put.text);
    let at = shop.outside.address;
    let workflow = format!(
        "document: {{ dsl: '1.0.3', namespace: shop, name: leak, version: '1.0.0' }}\nuse: {{ secrets: [shop] }}\ndo:\n  - pay:\n      call: http\n      \
         with: {{ method: post, endpoint: {{ uri: 'http://{at}/refunds/{{id}}', authentication: {{ bearer: {{ use: shop }} }} }} }}\n"
    );
    shop.server.admin.post_yaml("/workflows", &workflow).await.expect(201);
    let agent = shop.server.principal_in("default", "agent:otto", "agent", &["developer"]).await;
    let goal = json!({"workflow": {"namespace": "shop", "name": "leak"}, "input": {"id": "7"}});
    let execution = agent.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let path = format!("/executions/{execution}");
    let seen = eventually(&shop.bob, &path, |a: &Answer| a.json["effects"][0]["verdict"].is_object()).await;
    let effect = &seen.json["effects"][0];
    assert_eq!(effect["arguments"]["authentication"], json!({"secret": "shop"}), "{effect:#}");
    assert!(origins(effect, "/uri").contains("model"), "{effect:#}");
    let audit = shop.server.admin.get(&format!("/audit?correlation={execution}&limit=200")).await.expect(200);
    let history = shop.bob.get(&format!("{path}/history")).await.expect(200);
    for text in [&seen.text, &audit.text, &history.text] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn origins(effect: &Json, pointer: &str) -> String {
    let provenance = effect["provenance"].clone();
    let of_pair = provenance
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry.to_string().contains(pointer))
        .cloned();
    of_pair.or_else(|| provenance.get(pointer).cloned()).unwrap_or_default().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_would_fill_the_memory_is_an_ordinary_error() {
    let shop = Shop::open().await;
    let bombs = [
        "allow if count(numbers.range_step(0, 1000000000000, 1)) > 1",
        "allow if bits.lsh(1, 4000000000) > 1",
        "a := concat(\"\", [\"a\" | some i in numbers.range(1, 9000)])\nallow if count(replace(a, \"a\", a)) > 1",
    ];
    for bomb in bombs {
        let question = json!({"input": {}, "modules": {"x.rego": format!("package omnihub\nimport rego.v1\n\n{bomb}\n")}});
        let answer = shop.server.admin.post("/policies/evaluate", question.clone()).await;
        assert!(answer.status == 422, "{bomb}: {} {}", answer.status, answer.text);
        shop.bob.post("/policies/evaluate", question).await.expect(403);
    }
    shop.bob.get("/overview").await.expect(200);
}
