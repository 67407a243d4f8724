//! Acts from the console: goals, the kill switch, parked work, and signing in again after a restart.

use serde_json::json;
use testkit::{Driver, Fault};

use crate::shop::Shop;
use crate::window::{ENTER, Window};

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_is_planned_first_and_runs_when_told_to() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let alice = Window::signed_in(&driver, &shop.alice, "/console").await;
    alice.write("#intent", "refund order 1042, 25.00 EUR, the cup arrived broken").await;
    alice.keys(&ENTER.to_string()).await;
    alice.see("h1", "refund an order").await;
    alice.see("ol.plan", "refund-create").await;
    alice.see("ol.plan", "approv").await;
    // A second Enter does not run what nobody has read.
    alice.keys(&ENTER.to_string()).await;
    alice
        .until("document.activeElement == document.body && location.pathname == '/console/goals/plan'")
        .await;
    let none = shop.alice.get("/executions").await.expect(200);
    assert_eq!(none.json["items"], json!([]), "looking at a plan runs nothing");
    assert_eq!(shop.outside.posts(), 0);

    alice.click("form[action='/console/goals/run'] button.primary").await;
    alice.until("location.pathname.startsWith('/console/executions/')").await;
    alice.see(".state-line", "waiting").await;
    alice.see("article.approval .refusal", "nobody decides their own request").await;
    alice.live().await;
    alice.mark().await;
    let execution = alice.path().await.rsplit('/').next().unwrap_or_default().to_owned();
    shop.approve(&execution).await.expect(200);
    alice.see(".state-line", "verified").await;
    assert!(alice.is_marked().await, "the page was loaded again");
    assert_eq!(alice.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_goal_is_asked_back_and_can_be_filled_in() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let alice = Window::signed_in(&driver, &shop.alice, "/console").await;
    alice.write("#intent", "refund order").await;
    alice.keys(&ENTER.to_string()).await;
    alice.see("h1", "not quite clear").await;
    alice.see("main [role=alert]", "order").await;
    assert_eq!(alice.run("document.querySelector('#intent').value").await, json!("refund order"));
    let none = shop.alice.get("/executions").await.expect(200);
    assert_eq!(none.json["items"], json!([]), "a guess would have run");

    alice.overwrite("#intent", "refund order 7, 3.00 EUR").await;
    alice.keys(&ENTER.to_string()).await;
    alice.see("ol.plan", "refund-create").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_takes_typed_words_and_everybody_sees_it() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let admin = Window::signed_in(&driver, &shop.server.admin, "/console/controls").await;
    let bob = Window::signed_in(&driver, &shop.bob, "/console").await;
    bob.mark().await;
    let execution = shop.ask().await;
    shop.approval_of(&execution).await;
    let form = "form[action='/console/controls/kill-switch']";
    admin.write(&format!("{form} input[name=reason]"), "a drill").await;
    admin.write(&format!("{form} input[name=confirm]"), "stop").await;
    admin.click(&format!("{form} button[value=on]")).await;
    assert_eq!(admin.run("document.querySelector('input[name=confirm]').validity.valid").await, json!(false));
    let off = shop.server.admin.get("/controls").await.expect(200);
    assert_eq!(off.str("/controls/0/name"), "kill-switch");
    assert_eq!(off.json["controls"][0]["on"], json!(false), "half the words are not the words");

    admin.overwrite(&format!("{form} input[name=confirm]"), "stop everything").await;
    admin.click(&format!("{form} button[value=on]")).await;
    admin.see("#notices", "kill switch is on").await;
    admin.see(".banner.stop", "a drill").await;
    bob.see(".banner.stop", "kill switch is on").await;

    assert_eq!(shop.outside.posts(), 0);
    admin.write(&format!("{form} input[name=reason]"), "the drill is over").await;
    admin.click(&format!("{form} button[value=off]")).await;
    admin.see("#notices", "kill switch is off").await;
    admin.gone(".banner").await;
    bob.gone(".banner").await;
    assert!(bob.is_marked().await, "the page was loaded again");
    shop.approve(&execution).await.expect(200);
    shop.status(&execution, "completed").await;
    assert_eq!(admin.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_work_is_seen_and_put_back_to_work() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let bob = Window::signed_in(&driver, &shop.bob, "/console/dead-letters").await;
    bob.see(".empty", "nothing is parked").await;
    bob.mark().await;
    shop.outside.fault(Fault::Down);
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    bob.see("article.letter", "refund-create").await;
    bob.see("nav.side [data-key=d] .count", "1").await;

    shop.outside.fault(Fault::None);
    bob.write("article.letter input[name=reason]", "the shop is back").await;
    bob.click("article.letter button.primary").await;
    bob.see("#notices", "back at work").await;
    bob.gone("article.letter").await;
    assert!(bob.is_marked().await, "the page was loaded again");
    // What the parked effect may do is judged again, as everything that goes out.
    bob.go(&format!("/console/executions/{execution}")).await;
    bob.live().await;
    if bob.text(".state-line").await.to_lowercase().contains("waiting") {
        bob.write("form[data-decide] input[name=reason]", "still right").await;
        bob.click("form[data-decide] button[value=approve]").await;
    }
    bob.see(".state-line", "completed").await;
    bob.see(".state-line", "verified").await;
    assert_eq!(shop.outside.refunds().len(), 1);
    assert_eq!(bob.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_page_asks_to_sign_in_and_comes_back() {
    let (mut shop, driver) = (Shop::open().await, Driver::start());
    let bob = Window::signed_in(&driver, &shop.bob, "/console/executions?status=waiting").await;
    let cookie = bob.run("document.cookie").await;
    assert!(
        !cookie.as_str().unwrap_or_default().contains("session"),
        "scripts cannot read the session: {cookie}"
    );
    shop.server.kill();
    bob.see("#live-mark span", "reconnecting").await;
    shop.server.start_again().await;

    // The machine picked another port, so this is another address; cookies do not tell ports apart.
    let again = Window::at(bob, &shop.server.admin);
    again.go("/console/executions?status=waiting").await;
    again.see("[role=alert]", "your session has ended").await;
    again.sign_in(&shop.bob).await;
    again.until("location.pathname + location.search == '/console/executions?status=waiting'").await;
    again.see(".principal", "user:bob").await;
    again.click("form[action='/console/sign-out'] button").await;
    again.see("h1", "sign in").await;
    again.go("/console/approvals").await;
    again.see("h1", "sign in").await;
    again.keys("omh_nobody").await;
    again.keys(&ENTER.to_string()).await;
    again.see("[role=alert]", "not known").await;
}
