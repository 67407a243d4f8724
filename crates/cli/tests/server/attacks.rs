//! Attacks on approvals, as somebody would try them from outside. None may let an effect through.

use serde_json::{Value as Json, json};

use crate::shop::{Shop, eventually, text};

impl Shop {
    /// Takes every token of a principal away.
    pub async fn revoke(&self, principal: &str) {
        let tokens = self.server.admin.get("/tokens").await.expect(200);
        for token in tokens.json["items"].as_array().expect("a list") {
            if token["principal"] == principal {
                let path = format!("/tokens/{}", text(&token["id"]));
                let path = format!("/api/v1{path}");
                let sent = self.server.admin.try_send("DELETE", &path, &[], bytes::Bytes::new()).await;
                assert_eq!(sent.expect("an answer").status, 204);
            }
        }
    }

    /// The kill switch holds what is approved meanwhile, so that something can change before it starts.
    async fn hold(&self) {
        self.set("kill-switch", json!({"on": true, "reason": "a drill"})).await.expect(200);
    }

    async fn release(&self) {
        self.set("kill-switch", json!({"on": false, "reason": "over"})).await.expect(200);
    }

    /// Approved while the switch holds it: an approval that is given and not used.
    async fn approved_and_held(&self, who: &testkit::Client) -> (String, Json) {
        let execution = self.ask().await;
        let approval = self.approval_of(&execution).await;
        self.hold().await;
        self.decide(who, "approve", &approval).await.expect(200);
        (execution, approval)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_who_lost_the_right_does_not_count_any_more() {
    let shop = Shop::open().await;
    let carol = shop.server.principal("user:carol", &["operator"]).await;
    let (execution, first) = shop.approved_and_held(&carol).await;
    shop.revoke("user:carol").await;
    shop.server.principal("user:carol", &["viewer"]).await;
    shop.release().await;
    let second = shop.approval_of(&execution).await;
    assert_ne!(second["id"], first["id"]);
    assert!(text(&second["reasons"][0]).contains("`user:carol` may not decide it now"), "{second:#}");
    assert_eq!(shop.look(&first).await["status"], "withdrawn");
    assert_eq!(shop.outside.posts(), 0);
    assert!(shop.audited(&execution).await.iter().any(|(action, _)| action == "approval.voided"));
    shop.decide(&shop.bob, "approve", &second).await.expect(200);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_who_was_disabled_is_asked_about_again() {
    let shop = Shop::open().await;
    let (execution, _) = shop.approved_and_held(&shop.bob).await;
    shop.revoke("user:alice").await;
    shop.release().await;
    let second = shop.approval_of(&execution).await;
    assert!(
        text(&second["reasons"]).is_empty() && second["reasons"].to_string().contains("has no valid token"),
        "{second:#}"
    );
    assert_eq!(shop.outside.posts(), 0);
    shop.decide(&shop.bob, "approve", &second).await.expect(200);
    shop.status(&execution, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_one_voice_by_whichever_door() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    let token = |principal: &str, kind: &str, owner: Option<&str>| {
        let mut body = json!({"principal": principal, "kind": kind, "roles": ["admin", "operator"]});
        if let Some(owner) = owner {
            body["owner"] = json!(owner);
        }
        body
    };
    for body in [
        token("user:Alice", "user", None),
        token("service:alice", "service", Some("user:zoe")),
        token("service:deploy", "service", Some("user:alice")),
        token("service:nested", "service", Some("service:deploy")),
    ] {
        let made = shop.server.admin.post("/tokens", body.clone()).await.expect(201);
        let door = shop.server.admin.with_token(made.str("/secret"));
        let refused = shop.decide(&door, "approve", &approval).await.expect(403);
        assert_eq!(refused.str("/code"), "OH-3011", "{body}: {}", refused.text);
    }
    let own = shop.server.admin.post("/tokens", token("user:x", "user", Some("user:y"))).await.expect(422);
    assert_eq!(own.str("/fields/0/field"), "/owner", "{}", own.text);

    // Whoever makes a service answers for it: what it asks for, its maker does not decide.
    let service = shop.server.principal_in("default", "service:night", "service", &["developer"]).await;
    let goal = json!({"intent": "refund order 1042, 25.00 EUR, the cup arrived broken"});
    let asked = service.post("/goals", goal).await.expect(202);
    let of_service = shop.approval_of(asked.str("/execution_id")).await;
    let refused = shop.decide(&shop.server.admin, "approve", &of_service).await.expect(403);
    assert_eq!(refused.str("/code"), "OH-3011", "{}", refused.text);
    shop.decide(&shop.bob, "approve", &of_service).await.expect(200);
    assert_eq!(shop.look(&approval).await["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_names_of_one_person_are_not_two_people() {
    let shop = Shop::open().await;
    let four_eyes = "package omnihub\nimport rego.v1\n\
        approve contains {\"message\": \"money needs two people\", \"approvers\": 2} if input.action.effect == \"money\"\n";
    shop.server.admin.put("/policies/two", json!({"modules": {"two.rego": four_eyes}})).await.expect(200);
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    let body =
        json!({"principal": "service:helper", "kind": "service", "owner": "user:bob", "roles": ["operator"]});
    let made = shop.server.admin.post("/tokens", body).await.expect(201);
    let door = shop.server.admin.with_token(made.str("/secret"));
    let twice = shop.decide(&door, "approve", &approval).await.expect(409);
    assert_eq!(twice.str("/code"), "OH-3014", "{}", twice.text);
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_outlives_a_crash_and_serves_once() {
    let mut shop = Shop::open().await;
    let (execution, approval) = shop.approved_and_held(&shop.bob.clone()).await;
    shop.server.kill();
    shop.restart().await;
    let again = shop.decide(&shop.bob, "approve", &approval).await.expect(409);
    assert_eq!(again.str("/code"), "OH-3012", "{}", again.text);
    assert_eq!(shop.outside.posts(), 0, "the switch still holds it");
    shop.release().await;
    shop.status(&execution, "completed").await;
    assert_eq!((shop.outside.posts(), shop.outside.refunds().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_was_tightened_after_the_approval_asks_again() {
    let shop = Shop::open().await;
    let (execution, first) = shop.approved_and_held(&shop.bob).await;
    let strict = "package omnihub\nimport rego.v1\n\
        approve contains {\"message\": \"for administrators\", \"roles\": [\"admin\"]} if input.action.effect == \"money\"\n";
    shop.server.admin.put("/policies/strict", json!({"modules": {"strict.rego": strict}})).await.expect(200);
    shop.release().await;
    let second = shop.approval_of(&execution).await;
    assert_ne!(second["id"], first["id"]);
    shop.decide(&shop.bob, "approve", &second).await.expect(403);
    assert_eq!(shop.outside.posts(), 0);
    shop.decide(&shop.server.admin, "approve", &second).await.expect(200);
    shop.status(&execution, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_ran_out_before_the_start_is_asked_about_again() {
    let shop = Shop::open_with(&[("OMNIHUB_APPROVALS__EXPIRES", "PT2S")]).await;
    let (execution, first) = shop.approved_and_held(&shop.bob).await;
    // The deadline is the machine's clock's: nothing but that clock can bring it.
    let until = crate::policies::millis(&first["expires_at"]);
    while std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_millis()) <= u128::from(until) {
        tokio::task::yield_now().await;
    }
    shop.release().await;
    eventually(&shop.bob, &format!("/approvals?execution={execution}"), |a| {
        a.json["items"].as_array().is_some_and(|items| items.len() == 2)
    })
    .await;
    assert_eq!(shop.look(&first).await["status"], "withdrawn");
    shop.status(&execution, "faulted").await;
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn yes_and_no_at_once_have_one_winner() {
    let shop = Shop::open().await;
    let carol = shop.server.principal("user:carol", &["operator"]).await;
    for _ in 0..5 {
        let execution = shop.ask().await;
        let approval = shop.approval_of(&execution).await;
        let (yes, no) = tokio::join!(
            shop.decide(&shop.bob, "approve", &approval),
            shop.decide(&carol, "reject", &approval)
        );
        let mut statuses = [yes.status, no.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", yes.text, no.text);
        let wanted = if yes.status == 200 { "completed" } else { "faulted" };
        let before = shop.outside.posts();
        shop.status(&execution, wanted).await;
        if no.status == 200 {
            assert_eq!(shop.outside.posts(), before);
        }
        let plan = shop.plan(25.0).await;
        let (yes, no) = tokio::join!(
            shop.decide_plan(&shop.bob, "approve", &plan),
            shop.decide_plan(&carol, "reject", &plan)
        );
        let mut statuses = [yes.status, no.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", yes.text, no.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_ids_that_try_to_be_two_things_are_refused() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    let (id, digest) = (text(&approval["id"]), text(&approval["digest"]));
    let path = format!("/api/v1/approvals/{id}/approve");
    let twice = format!("{{\"digest\":\"{digest}\",\"digest\":\"{digest}\",\"reason\":\"x\"}}");
    let more = format!("{{\"digest\":\"{digest}\",\"reason\":\"x\",\"approved\":true}}");
    let shouted = format!("{{\"digest\":\"{}\",\"reason\":\"x\"}}", digest.to_uppercase());
    for (body, statuses) in [(twice, [400, 422]), (more, [400, 422]), (shouted, [409, 409])] {
        let headers = [("content-type", "application/json")];
        let sent = shop.bob.try_send("POST", &path, &headers, bytes::Bytes::from(body.clone())).await;
        let status = sent.expect("an answer").status;
        assert!(statuses.contains(&status), "{body}: {status}");
    }
    // A digit that only looks like one, an escape, a path of its own.
    for other in
        [id.replacen('0', "%EF%BC%90", 1), format!("{id}%00"), format!("{id}%2F..%2F{id}"), id.to_uppercase()]
    {
        let path = format!("/api/v1/approvals/{other}/approve");
        let body = json!({"digest": digest, "reason": "x"}).to_string();
        let headers = [("content-type", "application/json")];
        let sent = shop.bob.try_send("POST", &path, &headers, bytes::Bytes::from(body)).await;
        let status = sent.expect("an answer").status;
        assert!(matches!(status, 400 | 404 | 422), "{other}: {status}");
    }
    assert_eq!(shop.look(&approval).await["status"], "pending");
    shop.revoke("user:bob").await;
    shop.decide(&shop.bob, "approve", &approval).await.expect(401);
    assert_eq!(shop.outside.posts(), 0);
}
