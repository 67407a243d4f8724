//! Approvals: nobody decides their own request, a decision is for one digest and serves one effect, silence is no.

use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Fault};

use crate::policies::millis;
use crate::shop::{Shop, eventually, text};

/// Two people have to agree on money.
const FOUR_EYES: &str = "package omnihub\nimport rego.v1\n\
    approve contains {\"message\": \"money needs two people\", \"approvers\": 2} if input.action.effect == \"money\"\n";
/// Only administrators decide about money.
const ADMINS_ONLY: &str = "package omnihub\nimport rego.v1\n\
    approve contains {\"message\": \"money is for administrators\", \"roles\": [\"admin\"]} if input.action.effect == \"money\"\n";

impl Shop {
    /// Decides on an approval as somebody; `verb` is `approve` or `reject`.
    pub async fn decide(&self, who: &Client, verb: &str, approval: &Json) -> Answer {
        let body = json!({"digest": approval["digest"], "reason": "decided in a test"});
        who.post(&format!("/approvals/{}/{verb}", text(&approval["id"])), body).await
    }

    /// Approves with other arguments.
    pub async fn edit(&self, who: &Client, approval: &Json, arguments: Json) -> Answer {
        let body =
            json!({"digest": approval["digest"], "reason": "edited in a test", "arguments": arguments});
        who.post(&format!("/approvals/{}/approve", text(&approval["id"])), body).await
    }

    /// An approval as it stands.
    pub async fn look(&self, approval: &Json) -> Json {
        self.bob.get(&format!("/approvals/{}", text(&approval["id"]))).await.expect(200).json
    }

    /// Starts the server again; everybody speaks to it where it listens now.
    pub async fn restart(&mut self) {
        self.server.start_again().await;
        for client in [&mut self.alice, &mut self.bob] {
            client.address = self.server.admin.address;
        }
    }

    /// The actions of an execution's audit records, in order.
    pub async fn audited(&self, execution: &str) -> Vec<(String, String)> {
        let path = format!("/audit?correlation={execution}&limit=200");
        let page = self.server.admin.get(&path).await.expect(200);
        let items = page.json["items"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .map(|i| (text(&i["record"]["action"]).to_owned(), text(&i["record"]["actor"]).to_owned()))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_decides_their_own_request() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    // The same person with more rights, by another token, is the same person.
    let chief = shop.server.principal("user:alice", &["admin", "operator"]).await;
    for alice in [&shop.alice, &chief] {
        for verb in ["approve", "reject"] {
            let refused = shop.decide(alice, verb, &approval).await.expect(403);
            assert_eq!(refused.str("/code"), "OH-3011", "{}", refused.text);
        }
        let edited = shop
            .edit(alice, &approval, json!({"orderId": "1", "amount": 1, "currency": "EUR"}))
            .await
            .expect(403);
        assert_eq!(edited.str("/code"), "OH-3011", "{}", edited.text);
        let seen = alice.get(&format!("/approvals/{}", text(&approval["id"]))).await.expect(200);
        assert!(seen.str("/refusal").contains("nobody decides their own"), "{}", seen.text);
    }
    assert_eq!(shop.look(&approval).await["status"], "pending");
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_may_decide() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    for role in ["viewer", "developer", "compliance"] {
        let other = shop.server.principal(&format!("user:{role}"), &[role]).await;
        let refused = shop.decide(&other, "approve", &approval).await.expect(403);
        assert_eq!(refused.str("/code"), "OH-4030", "{}", refused.text);
    }
    let stranger = shop.server.principal_in("acme", "user:bob", "user", &["admin"]).await;
    shop.decide(&stranger, "approve", &approval).await.expect(404);
    stranger.get(&format!("/approvals/{}", text(&approval["id"]))).await.expect(404);
    let empty = stranger.get("/approvals").await.expect(200);
    assert_eq!(empty.json["items"], json!([]));
    let unknown = shop
        .bob
        .post("/approvals/none-such/approve", json!({"digest": approval["digest"], "reason": "x"}))
        .await
        .expect(404);
    assert_eq!(unknown.str("/code"), "OH-4040", "{}", unknown.text);
    let mute = format!("/approvals/{}/approve", text(&approval["id"]));
    let mute = shop.bob.post(&mute, json!({"digest": approval["digest"], "reason": " "})).await.expect(422);
    assert_eq!(mute.str("/fields/0/field"), "/reason");
    assert_eq!(shop.look(&approval).await["status"], "pending");
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_digest_is_a_conflict() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    let other = shop.ask().await;
    let foreign = shop.approval_of(&other).await;
    assert_ne!(
        approval["digest"], foreign["digest"],
        "the same arguments of another execution are another effect"
    );
    let mut mixed = approval.clone();
    mixed["digest"] = foreign["digest"].clone();
    for verb in ["approve", "reject"] {
        let stale = shop.decide(&shop.bob, verb, &mixed).await.expect(409);
        assert_eq!(stale.str("/code"), "OH-3010", "{}", stale.text);
        assert_eq!(stale.json["digest"], approval["digest"], "it says what the digest is");
    }
    assert_eq!(shop.look(&approval).await["status"], "pending");
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.status(&execution, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_another_effect_for_somebody_else_to_decide() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let first = shop.approval_of(&execution).await;
    let bad = shop.edit(&shop.bob, &first, json!({"orderId": "1042", "amount": 5})).await.expect(422);
    assert_eq!(bad.str("/code"), "OH-3013", "{}", bad.text);
    assert!(bad.str("/detail").contains("currency"), "it names what is missing: {}", bad.text);
    assert_eq!(shop.look(&first).await["status"], "pending", "a refused edit changes nothing");

    let edited = json!({"orderId": "1042", "amount": 20, "currency": "EUR", "reason": "less"});
    let answer = shop.edit(&shop.bob, &first, edited.clone()).await.expect(200);
    assert_eq!(answer.str("/status"), "withdrawn", "{}", answer.text);
    let second = shop.approval_of(&execution).await;
    assert_ne!(second["id"], first["id"]);
    assert_ne!(second["digest"], first["digest"]);
    assert_eq!((&second["arguments"], text(&second["edited_by"])), (&edited, "user:bob"));
    let own = shop.decide(&shop.bob, "approve", &second).await.expect(403);
    assert_eq!(own.str("/code"), "OH-3011", "{}", own.text);
    let gone = shop.decide(&shop.server.admin, "approve", &first).await.expect(409);
    assert_eq!(gone.str("/code"), "OH-3012", "{}", gone.text);
    shop.decide(&shop.server.admin, "approve", &second).await.expect(200);
    let done = shop.status(&execution, "completed").await;
    assert_eq!(text(&done["outcome"]), "verified", "{done:#}");
    assert_eq!(shop.outside.refunds().len(), 1);
    assert_eq!(shop.outside.refunds()[0]["refund"], edited, "what was approved is what was sent");
    let edits: Vec<_> = shop
        .audited(&execution)
        .await
        .into_iter()
        .filter(|(action, _)| action == "approval.edited")
        .collect();
    assert_eq!(edits, [("approval.edited".to_owned(), "user:bob".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_people_have_to_agree() {
    let shop = Shop::open().await;
    let four_eyes = json!({"modules": {"four-eyes.rego": FOUR_EYES}});
    shop.server.admin.put("/policies/four-eyes", four_eyes).await.expect(200);
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    assert_eq!((&approval["quorum"]["approvers"], &approval["missing"]), (&json!(2), &json!(2)));
    let first = shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    assert_eq!((first.str("/status"), &first.json["missing"]), ("pending", &json!(1)), "{}", first.text);
    let twice = shop.decide(&shop.bob, "approve", &approval).await.expect(409);
    assert_eq!(twice.str("/code"), "OH-3014", "{}", twice.text);
    let again = shop.server.principal("user:bob", &["admin"]).await;
    shop.decide(&again, "approve", &approval).await.expect(409);
    assert_eq!(shop.outside.posts(), 0, "one vote is not enough");
    let second = shop.decide(&shop.server.admin, "approve", &approval).await.expect(200);
    assert_eq!(second.str("/status"), "approved", "{}", second.text);
    assert_eq!(second.json["votes"].as_array().map(Vec::len), Some(2));
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.refunds().len(), 1);

    // Votes of the same moment all count: of three, two complete it and the third comes too late.
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    let carol = shop.server.principal("user:carol", &["operator"]).await;
    let votes = tokio::join!(
        shop.decide(&shop.bob, "approve", &approval),
        shop.decide(&carol, "approve", &approval),
        shop.decide(&shop.server.admin, "approve", &approval),
    );
    let mut statuses = [votes.0.status, votes.1.status, votes.2.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 409]);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.look(&approval).await["votes"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_names_who_decides() {
    let shop = Shop::open().await;
    shop.server
        .admin
        .put("/policies/admins", json!({"modules": {"admins.rego": ADMINS_ONLY}}))
        .await
        .expect(200);
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    assert_eq!(approval["quorum"]["roles"], json!(["admin"]));
    assert!(text(&approval["refusal"]).contains("admin"), "the page can say why: {approval:#}");
    let refused = shop.decide(&shop.bob, "approve", &approval).await.expect(403);
    assert!(refused.str("/detail").contains("admin"), "{}", refused.text);
    shop.decide(&shop.server.admin, "approve", &approval).await.expect(200);
    shop.status(&execution, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_ends_it() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    let rejected = shop.decide(&shop.bob, "reject", &approval).await.expect(200);
    assert_eq!(rejected.str("/status"), "rejected", "{}", rejected.text);
    let ended = shop.status(&execution, "faulted").await;
    assert_eq!(text(&ended["outcome"]), "failed", "{ended:#}");
    assert!(text(&ended["error"]["type"]).ends_with("approval-denied"), "{ended:#}");
    assert_eq!(text(&ended["error"]["detail"]), "rejected by user:bob: decided in a test");
    let late = shop.decide(&shop.server.admin, "approve", &approval).await.expect(409);
    assert!(late.str("/detail").contains("is rejected"), "{}", late.text);
    assert_eq!(shop.outside.posts(), 0);
    assert!(
        shop.audited(&execution).await.contains(&("approval.rejected".to_owned(), "user:bob".to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_no() {
    let shop = Shop::open_with(&[("OMNIHUB_APPROVALS__EXPIRES", "PT1S")]).await;
    let execution = shop.ask().await;
    let approval = eventually(&shop.bob, &format!("/approvals?execution={execution}"), |a| {
        a.json["items"][0]["id"].is_string()
    })
    .await;
    let approval = approval.json["items"][0].clone();
    let ended = shop.status(&execution, "faulted").await;
    assert_eq!(text(&ended["outcome"]), "failed", "{ended:#}");
    assert_eq!(text(&ended["error"]["detail"]), "nobody decided in time, which means no");
    assert_eq!(shop.look(&approval).await["status"], "expired");
    let late = shop.decide(&shop.bob, "approve", &approval).await.expect(409);
    assert_eq!(late.str("/code"), "OH-3012", "{}", late.text);
    assert_eq!(shop.outside.posts(), 0);
    assert!(shop.audited(&execution).await.contains(&("approval.expired".to_owned(), "system".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_no_while_the_server_is_down() {
    let mut shop = Shop::open_with(&[("OMNIHUB_APPROVALS__EXPIRES", "PT2S")]).await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    shop.server.kill();
    // The deadline is the machine's clock's: nothing but that clock can bring it.
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(millis(&approval["expires_at"]));
    tokio::time::sleep(deadline.duration_since(SystemTime::now()).unwrap_or_default()).await;
    shop.restart().await;
    let late = shop.decide(&shop.bob, "approve", &approval).await.expect(409);
    assert_eq!(late.str("/code"), "OH-3012", "{}", late.text);
    let ended = shop.status(&execution, "faulted").await;
    assert_eq!(text(&ended["outcome"]), "failed", "{ended:#}");
    assert_eq!(shop.look(&approval).await["status"], "expired");
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_approval_serves_one_effect() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    let carol = shop.server.principal("user:carol", &["operator"]).await;
    let calls = (0..8).map(|n| {
        let (who, approval) = (if n % 2 == 0 { shop.bob.clone() } else { carol.clone() }, approval.clone());
        let body = json!({"digest": approval["digest"], "reason": "at once"});
        tokio::spawn(
            async move { who.post(&format!("/approvals/{}/approve", text(&approval["id"])), body).await },
        )
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.expect("the call ends").status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    let done = shop.status(&execution, "completed").await;
    let replayed = shop.decide(&shop.bob, "approve", &approval).await.expect(409);
    assert!(replayed.str("/detail").contains("is approved"), "{}", replayed.text);
    assert_eq!((shop.outside.posts(), shop.outside.refunds().len()), (1, 1));
    assert_eq!(done["effects"][0]["attempts"].as_array().map(Vec::len), Some(1));
    let audited = shop.audited(&execution).await;
    let times = |wanted: &str| audited.iter().filter(|(action, _)| action == wanted).count();
    assert_eq!((times("approval.approved"), times("approval.requested")), (1, 1), "{audited:?}");
    let permits = shop
        .server
        .admin
        .get(&format!("/audit?correlation={execution}&action=effect.permitted"))
        .await
        .expect(200);
    let used: Vec<&Json> = permits.json["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|i| &i["record"]["details"]["approval"])
        .collect();
    assert_eq!(
        used.iter().filter(|id| ***id == approval["id"]).count(),
        1,
        "one permit was given for it: {}",
        permits.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_refund_needs_its_own_approval() {
    let shop = Shop::open().await;
    shop.outside.fault(Fault::None);
    let first = shop.ask().await;
    shop.approve(&first).await.expect(200);
    shop.status(&first, "completed").await;
    let second = shop.ask().await;
    let waiting = shop.status(&second, "waiting").await;
    assert!(text(&waiting["blocked_on"]).starts_with("approval:"), "{waiting:#}");
    assert_eq!(shop.outside.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_withdraws_what_waits() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    shop.bob
        .post(&format!("/executions/{execution}/cancel"), json!({"reason": "no longer wanted"}))
        .await
        .expect(202);
    assert_eq!(shop.look(&approval).await["status"], "withdrawn");
    let late = shop.decide(&shop.bob, "approve", &approval).await.expect(409);
    assert!(late.str("/detail").contains("is withdrawn"), "{}", late.text);
    assert_eq!(shop.status(&execution, "cancelled").await["outcome"], "failed");
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_means_another_decision() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let first = shop.approval_of(&execution).await;
    shop.server
        .admin
        .put("/policies/four-eyes", json!({"modules": {"four-eyes.rego": FOUR_EYES}}))
        .await
        .expect(200);
    // Bob says yes under the old policy; the new one wants two people, and his yes does not count for it.
    shop.decide(&shop.bob, "approve", &first).await.expect(200);
    let second = shop.approval_of(&execution).await;
    assert_ne!(second["id"], first["id"]);
    assert_ne!(second["digest"], first["digest"], "the policy is part of what is approved");
    assert_eq!((&second["quorum"]["approvers"], &second["votes"]), (&json!(2), &json!([])));
    assert_eq!(shop.outside.posts(), 0);
    shop.decide(&shop.bob, "approve", &second).await.expect(200);
    shop.decide(&shop.server.admin, "approve", &second).await.expect(200);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_try_is_judged_by_the_policy_of_its_time() {
    let shop = Shop::open().await;
    shop.outside.fault(Fault::Down);
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    eventually(&shop.bob, &format!("/executions/{execution}"), |a| {
        a.str("/blocked_on").starts_with("retry:")
    })
    .await;
    shop.server
        .admin
        .put("/policies/four-eyes", json!({"modules": {"four-eyes.rego": FOUR_EYES}}))
        .await
        .expect(200);
    let second = shop.approval_of(&execution).await;
    assert_eq!(
        second["quorum"]["approvers"],
        json!(2),
        "the old yes does not count for the next try: {second:#}"
    );
    let sent = shop.outside.posts();
    shop.bob.post(&format!("/executions/{execution}/cancel"), json!({"reason": "enough"})).await.expect(202);
    assert_eq!(shop.look(&second).await["status"], "withdrawn");
    assert_eq!(shop.outside.posts(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_execution_starts_nothing_when_it_is_approved() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    shop.bob.post(&format!("/executions/{execution}/pause"), json!({"reason": "wait"})).await.expect(202);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    let paused = shop.bob.get(&format!("/executions/{execution}")).await.expect(200);
    assert_eq!((paused.str("/blocked_on"), shop.outside.posts()), ("operator:paused", 0), "{}", paused.text);
    shop.bob.post(&format!("/executions/{execution}/resume"), json!({"reason": "go on"})).await.expect(202);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.refunds().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_in_the_workflow_itself_can_be_edited_within_bounds() {
    let shop = Shop::open().await;
    let workflow = "
document: { dsl: '1.0.3', namespace: test, name: echo, version: '1.0.0' }
do:
  - echo: { run: { shell: { command: 'printf %s \"$1\"', arguments: ['before'] } } }
";
    shop.server.admin.post_yaml("/workflows", workflow).await.expect(201);
    shop.bob.put("/controls/takeover", json!({"on": true, "reason": "a drill"})).await.expect(200);
    let goal = json!({"workflow": {"namespace": "test", "name": "echo"}, "input": {}});
    let execution = shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let first = shop.approval_of(&execution).await;
    let mut arguments = first["arguments"].clone();
    arguments["program"]["command"] = json!("cat /etc/passwd");
    let program = shop.edit(&shop.bob, &first, arguments).await.expect(422);
    assert_eq!(
        program.str("/code"),
        "OH-3013",
        "the program is not the approver's to choose: {}",
        program.text
    );
    let mut arguments = first["arguments"].clone();
    arguments["arguments"] = json!(["after"]);
    shop.edit(&shop.bob, &first, arguments).await.expect(200);
    let second = shop.approval_of(&execution).await;
    shop.decide(&shop.server.admin, "approve", &second).await.expect(200);
    assert_eq!(shop.status(&execution, "completed").await["output"], "after");
}
