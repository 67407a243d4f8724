//! Permits: one effect, once, and void as soon as something changes: what was decided last decides.

use serde_json::json;
use testkit::{Answer, Fault};

use crate::shop::{Shop, eventually};

const NO_MONEY: &str = "package omnihub\nimport rego.v1\n\ndeny contains \"no money today\" if input.action.effect == \"money\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_was_not_used_yet_is_void() {
    for change in ["kill-switch", "safe-mode", "allow-list", "policy"] {
        let shop = Shop::open_with(&[("OMNIHUB_LIMITS__EFFECTS", "1")]).await;
        shop.outside.fault(Fault::Hold);
        let first = shop.ask().await;
        shop.approve(&first).await.expect(200);
        while shop.outside.posts() == 0 {
            tokio::task::yield_now().await;
        }
        // The only place is taken, so this one has its permit and waits in the queue.
        let second = shop.ask().await;
        shop.approve(&second).await.expect(200);
        eventually(&shop.bob, &format!("/executions/{second}"), |a| {
            a.str("/blocked_on").starts_with("effect:")
        })
        .await;
        match change {
            "policy" => shop
                .server
                .admin
                .put("/policies/none", json!({"modules": {"none.rego": NO_MONEY}}))
                .await
                .expect(200),
            "allow-list" => shop
                .set(change, json!({"operations": ["refund-read"], "reason": "a drill"}))
                .await
                .expect(200),
            _ => shop.set(change, json!({"on": true, "reason": "a drill"})).await.expect(200),
        };
        shop.outside.fault(Fault::None);
        shop.outside.let_go();
        let wanted = |a: &Answer| match change {
            "kill-switch" => a.str("/blocked_on") == "control:kill-switch",
            "safe-mode" => a.str("/effects/0/state") == "predicted",
            _ => a.str("/effects/0/state") == "denied" || a.str("/status") == "faulted",
        };
        let seen = eventually(&shop.bob, &format!("/executions/{second}"), wanted).await;
        assert_eq!(shop.outside.posts(), 1, "{change}: {}", seen.text);
        let voided = shop.audited(&second).await;
        assert!(voided.iter().any(|(action, _)| action == "effect.voided"), "{change}: {voided:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_even_asked_under_the_kill_switch_after_a_crash() {
    let mut shop = Shop::open_with(&[("OMNIHUB_LIMITS__EFFECTS", "1")]).await;
    shop.outside.fault(Fault::Hold);
    let mut running = vec![shop.ask().await];
    shop.approve(&running[0]).await.expect(200);
    while shop.outside.posts() == 0 {
        tokio::task::yield_now().await;
    }
    running.push(shop.ask().await);
    shop.approve(&running[1]).await.expect(200);
    eventually(&shop.bob, &format!("/executions/{}", running[1]), |a| {
        a.str("/blocked_on").starts_with("effect:")
    })
    .await;
    shop.set("kill-switch", json!({"on": true, "reason": "a drill"})).await.expect(200);
    shop.server.kill();
    shop.outside.fault(Fault::None);
    shop.restart().await;
    for execution in &running {
        let path = format!("/executions/{execution}");
        eventually(&shop.bob, &path, |a| a.str("/blocked_on") == "control:kill-switch").await;
    }
    assert_eq!((shop.outside.posts(), shop.outside.reads()), (1, 0), "a probe is an effect too");
    shop.set("kill-switch", json!({"on": false, "reason": "over"})).await.expect(200);
    for execution in &running {
        assert_eq!(shop.status(execution, "completed").await["outcome"], "verified");
    }
    // The first had happened, and was found by asking; the second had not, and was sent.
    assert_eq!((shop.outside.posts(), shop.outside.refunds().len()), (2, 2));
}
