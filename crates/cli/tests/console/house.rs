//! Acts that need a look first: settling what nobody knows, going back, stopping a part, many at once, the time machine.

use serde_json::json;
use testkit::{Client, Driver, Fault, Server};

use crate::shop::{Shop, eventually, text};
use crate::window::{ENTER, Screen, Window};

const SCREENS: [Screen; 2] =
    [Screen { width: 1280, height: 900, theme: "light" }, Screen { width: 390, height: 844, theme: "dark" }];

/// Pays by an act that can be neither asked about nor repeated.
const PAYOUT: &str = "
document: { dsl: '1.0.3', namespace: shop, name: payout, version: '1.0.0' }
do:
  - pay: { call: 'payout:1.0.0', with: { orderId: '${ .orderId }' } }
  - after: { set: { paid: '${ .id }' } }
";

/// A payout whose answer was lost: it happened, and nobody here knows.
async fn lost(shop: &Shop, dave: &Client) -> String {
    let at = shop.outside.address;
    let payout = format!(
        "action: payout:1.0.0\ntitle: Pay\neffect: money\nclass: irreversible\nhosts: ['{at}']\n\
         input: {{ schema: {{ type: object, required: [orderId] }} }}\n\
         idempotency: {{ key: '.orderId', header: Idempotency-Key }}\n\
         run: {{ call: http, with: {{ method: post, endpoint: 'http://{at}/refunds', body: '${{ . }}' }} }}\n"
    );
    let server: &Server = &shop.server;
    server.admin.post_yaml("/actions", &payout).await.expect(201);
    server.admin.post_yaml("/workflows", PAYOUT).await.expect(201);
    shop.outside.fault(Fault::LoseAnswer);
    let goal = json!({"workflow": {"namespace": "shop", "name": "payout"}, "input": {"orderId": "77"}});
    let execution = shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let approval = shop.approval_of(&execution).await;
    for client in [&shop.bob, dave] {
        let word = json!({"digest": approval["digest"], "reason": "looks right"});
        client.post(&format!("/approvals/{}/approve", text(&approval["id"])), word).await.expect(200);
    }
    let path = format!("/executions/{execution}");
    eventually(&shop.bob, &path, |a| a.str("/blocked_on").starts_with("dead-letter:")).await;
    shop.outside.fault(Fault::None);
    execution
}

/// Keeps pictures of the page on a wide and a narrow screen, which it must fit.
async fn pictured(window: &Window, name: &str) {
    for screen in SCREENS {
        window.show_on(screen).await;
        let wide =
            window.run("[document.documentElement.scrollWidth, document.documentElement.clientWidth]").await;
        assert!(wide[0].as_u64() <= wide[1].as_u64(), "{name} is {wide} wide on {} px", screen.width);
        window.picture(&format!("{name}-{}-{}", screen.width, screen.theme)).await;
    }
    window.show_on(SCREENS[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_settled_by_who_looked_and_the_flow_goes_on() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let dave = shop.server.principal("user:dave", &["operator"]).await;
    let execution = lost(&shop, &dave).await;
    let page = format!("/console/executions/{execution}");

    let alice = Window::signed_in(&driver, &shop.alice, &page).await;
    alice.see(".settle .refusal", "somebody else has to look").await;
    assert_eq!(alice.run("document.querySelector(\"form[action$='/resolve']\")").await, json!(null));

    let window = Window::signed_in(&driver, &dave, &page).await;
    window.see(".settle h4", "nobody knows").await;
    pictured(&window, "settle").await;
    // Without evidence there is nothing to take anybody's word for.
    window.click(".settle button[value=verified]").await;
    let open = shop.bob.get(&format!("/executions/{execution}")).await.expect(200);
    assert_ne!(open.str("/status"), "completed");
    window.write(".settle textarea[name=evidence]", "the ledger shows payout 77").await;
    window.click(".settle button[value=verified]").await;
    window.see("#notices", "it happened").await;
    window.see(".state-line", "completed").await;
    alice.see(".state-line", "completed").await;
    window.see(".effect-card .evidence", "the ledger shows payout 77").await;
    assert_eq!(shop.outside.posts(), 1, "the payout was not sent again");
    assert_eq!(window.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_shows_first_what_stays_and_then_does_it() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let dave = shop.server.principal("user:dave", &["operator", "developer"]).await;
    let execution = lost(&shop, &dave).await;
    let page = format!("/console/executions/{execution}");
    let window = Window::signed_in(&driver, &dave, &page).await;
    let before = shop.bob.get(&format!("/executions/{execution}/history?limit=500")).await.expect(200);

    window.click(".more-acts a.button").await;
    window.see("h1", "go back or fork").await;
    window.see("ol.places", "payout").await;
    window.click("ol.places .begin a").await;
    window.see("#h-preview + p", "after event 1").await;
    window.see("ul.kept", "payout:1.0.0").await;
    window.see("ul.kept", "unknown").await;
    pictured(&window, "return").await;
    let looked = shop.bob.get(&format!("/executions/{execution}/history?limit=500")).await.expect(200);
    assert_eq!(looked.json, before.json, "looking changes nothing");

    window.write("form[action$='/return'] input[name=reason]", "from the beginning").await;
    window.click("form[action$='/return'] button[value=rewind]").await;
    window.until(&format!("location.pathname == {}", json!(page))).await;
    window.see("#h-kept ~ ul.kept", "payout:1.0.0").await;
    assert_eq!(shop.outside.posts(), 1, "what may have happened is not sent again by itself");
    assert_eq!(window.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_stopped_after_a_look_and_lifted_again() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let execution = shop.ask().await;
    shop.approval_of(&execution).await;
    let window = Window::signed_in(&driver, &shop.server.admin, "/console/controls").await;
    window.write("form.part input[name=name]", "shop/refund").await;
    window.keys(&ENTER.to_string()).await;
    window.see("h1", "stop workflow shop/refund?").await;
    window.see("table.list", "refund order 1042").await;
    let none = shop.server.admin.get("/controls").await.expect(200);
    assert_eq!(none.json["stops"], json!([]), "looking stops nothing");

    window.write("form[action='/console/controls/stop'] input[name=reason]", "incident 4711").await;
    window.click("form[action='/console/controls/stop'] button.danger").await;
    window.until("location.pathname.startsWith('/console/controls/reports/')").await;
    window.see("h1", "stop of workflow shop/refund").await;
    window.see(".state-line", "complete, signed").await;
    window.see(".explanation", "incident 4711").await;
    window.see(".banner", "shop/refund").await;
    pictured(&window, "report").await;
    shop.approve(&execution).await.expect(200);
    let path = format!("/executions/{execution}");
    eventually(&shop.bob, &path, |a| a.str("/blocked_on").starts_with("control:kill-switch:")).await;
    assert_eq!(shop.outside.posts(), 0);

    window.go("/console/controls").await;
    window.live().await;
    window.write("form[action='/console/controls/lift'] input[name=reason]", "it was a false alarm").await;
    window.click("form[action='/console/controls/lift'] button").await;
    window.see("#notices", "lifted").await;
    window.gone(".banner").await;
    shop.status(&execution, "completed").await;
    assert_eq!(window.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_counted_first_and_then_cancelled_together() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    for _ in 0..3 {
        let execution = shop.ask().await;
        shop.approval_of(&execution).await;
    }
    let window =
        Window::signed_in(&driver, &shop.bob, "/console/executions?status=waiting&workflow=shop%2Frefund")
            .await;
    window.click("details.many summary").await;
    window.click("details.many button[value=cancel]").await;
    window.see("h1", "cancel 3 executions?").await;
    let still = shop.bob.get("/executions?status=waiting").await.expect(200);
    assert_eq!(still.json["items"].as_array().map(Vec::len), Some(3), "counting cancels nothing");
    window.write("form[data-act] input[name=reason]", "the shop is closed").await;
    window.click("form[data-act] button.danger").await;
    window.until("location.pathname.startsWith('/console/operations/')").await;
    window.see(".share-words li:first-child b", "3").await;
    window.see(".state-line", "done").await;
    pictured(&window, "operation").await;
    let none = shop.bob.get("/executions?status=waiting").await.expect(200);
    assert_eq!(none.json["items"], json!([]));
    assert_eq!(window.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_policy_is_run_over_history_without_being_put_in_force() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    shop.status(&execution, "completed").await;
    let window = Window::signed_in(&driver, &shop.server.admin, "/console/policies").await;
    window.click("details.candidate summary").await;
    let deny = "\\n\\ndeny contains \\\"no refunds today\\\" if input.action.effect == \\\"money\\\"\\n";
    window.run(&format!("document.querySelector('details.candidate textarea').value += \"{deny}\"")).await;
    let before = shop.server.admin.get("/policies").await.expect(200);
    window.click("details.candidate button.primary").await;
    window.see("h1", "decisions would change").await;
    window.see("ul.flow", "denied").await;
    window.see("table.list", "refund-create").await;
    pictured(&window, "time-machine").await;
    let after = shop.server.admin.get("/policies").await.expect(200);
    assert_eq!(after.json, before.json, "nothing is in force");
    assert_eq!(window.complaints().await, [""; 0]);

    window.go("/console/system").await;
    window.see("#h-health", "health").await;
    pictured(&window, "system").await;
}
