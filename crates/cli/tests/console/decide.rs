//! Approvals: decided by mouse, by keyboard, refused to the requester, edited by one and approved by another.

use serde_json::json;
use testkit::Driver;

use crate::shop::Shop;
use crate::window::{ENTER, Window};

/// Two people have to agree on money.
const TWO: &str = "package omnihub\nimport rego.v1\n\
    approve contains {\"message\": \"money needs two people\", \"approvers\": 2} if input.action.effect == \"money\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_approved_by_mouse_and_completes_before_the_eyes() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let execution = shop.ask().await;
    shop.approval_of(&execution).await;
    let bob = Window::signed_in(&driver, &shop.bob, &format!("/console/executions/{execution}")).await;
    bob.see(".state-line", "waiting").await;
    bob.mark().await;
    bob.write("form[data-decide] input[name=reason]", "the photo is clear").await;
    bob.click("form[data-decide] button[value=approve]").await;
    bob.see("#notices", "approved").await;
    bob.see(".state-line", "completed").await;
    bob.see(".state-line", "verified").await;
    bob.gone("article.approval").await;
    assert!(bob.is_marked().await, "the page was loaded again");
    assert_eq!(shop.outside.refunds().len(), 1);
    assert_eq!(bob.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_approved_by_keyboard_alone() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let first = shop.ask().await;
    shop.approval_of(&first).await;
    let second = shop.ask().await;
    shop.approval_of(&second).await;
    let bob = Window::signed_in(&driver, &shop.bob, "/console").await;
    bob.keys("ga").await;
    bob.see("h1", "approvals").await;
    bob.live().await;
    bob.until("document.querySelectorAll('article.approval').length == 2").await;
    bob.mark().await;
    // The second of two, and back to the first: what is chosen is what is decided.
    bob.keys("jjk").await;
    bob.until("document.querySelector('article.approval').matches('.chosen:focus')").await;
    let chosen = bob.run("document.querySelector('.chosen').id.replace('approval-', '')").await;
    bob.keys("a").await;
    bob.until("document.activeElement.name == 'reason' && document.activeElement.closest('.chosen')").await;
    bob.keys("the photo is clear").await;
    bob.keys(&ENTER.to_string()).await;
    bob.see("#notices", "approved").await;
    bob.until("document.querySelectorAll('article.approval').length == 1").await;
    assert!(bob.is_marked().await, "the page was loaded again");
    let approval =
        shop.bob.get(&format!("/approvals/{}", chosen.as_str().unwrap_or_default())).await.expect(200);
    let approved = approval.str("/execution_id").to_owned();
    assert_eq!(approval.str("/status"), "approved");
    shop.status(&approved, "completed").await;

    // The other one: opened with Enter, and refused with `r`.
    bob.keys("j").await;
    bob.until("document.querySelector('.chosen:focus')").await;
    bob.keys(&ENTER.to_string()).await;
    bob.until("location.pathname.startsWith('/console/approvals/')").await;
    bob.live().await;
    bob.keys("r").await;
    bob.keys("the photo shows another cup").await;
    bob.keys(&ENTER.to_string()).await;
    bob.see("#notices", "rejected").await;
    bob.see("article.approval header", "rejected").await;
    bob.see(".votes", "the photo shows another cup").await;
    let other = if approved == first { &second } else { &first };
    shop.status(other, "faulted").await;
    assert_eq!(shop.outside.refunds().len(), 1);
    assert_eq!(bob.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_what_they_asked_for() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let execution = shop.ask().await;
    shop.approval_of(&execution).await;
    let alice = Window::signed_in(&driver, &shop.alice, "/console/approvals").await;
    alice.see("article.approval .refusal", "nobody decides their own request").await;
    assert_eq!(alice.run("document.querySelectorAll('form[data-decide]').length").await, json!(0));
    // The keys have nothing to decide either.
    alice.keys("ja").await;
    alice.until("document.querySelector('.chosen')").await;
    assert_eq!(alice.run("document.activeElement.tagName").await, json!("ARTICLE"));
    assert_eq!(shop.outside.posts(), 0);
    assert_eq!(alice.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_edits_and_another_approves_the_edited_effect() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let carol = shop.server.principal("user:carol", &["operator"]).await;
    let execution = shop.ask().await;
    let before = shop.approval_of(&execution).await;
    let page = format!("/console/executions/{execution}");
    let bob = Window::signed_in(&driver, &shop.bob, &page).await;
    let carol = Window::signed_in(&driver, &carol, &page).await;
    carol.mark().await;
    carol.see("article.approval .kv", "25").await;

    bob.click("details.edit summary").await;
    bob.overwrite("details.edit input[name='arg:/amount']", "12.5").await;
    bob.write("details.edit input[name=reason]", "half of it was fine").await;
    bob.click("details.edit button[value=edit]").await;
    bob.see("#notices", "edited").await;
    // Whoever wrote the new effect is not the one to approve it.
    bob.see("article.approval .refusal", "you edited these arguments").await;

    carol.see("article.approval .kv", "12.5").await;
    carol.see("article.approval .facts", "edited by").await;
    let digest = carol.run("document.querySelector('form[data-decide] input[name=digest]').value").await;
    assert_ne!(digest, before["digest"], "another effect has another digest");
    carol.write("form[data-decide] input[name=reason]", "half is fair").await;
    carol.click("form[data-decide] button[value=approve]").await;
    carol.see(".state-line", "completed").await;
    carol.see(".state-line", "verified").await;
    assert!(carol.is_marked().await, "the page was loaded again");
    let refunds = shop.outside.refunds();
    assert_eq!((refunds.len(), &refunds[0]["refund"]["amount"]), (1, &json!(12.5)));
    assert_eq!(bob.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_two_see_each_other_decide() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let carol = shop.server.principal("user:carol", &["operator"]).await;
    let policy = json!({"modules": {"two.rego": TWO}});
    shop.server.admin.put("/policies/two", policy).await.expect(200);
    let execution = shop.ask().await;
    shop.approval_of(&execution).await;
    let bob = Window::signed_in(&driver, &shop.bob, "/console/approvals").await;
    let carol = Window::signed_in(&driver, &carol, "/console/approvals").await;
    carol.mark().await;
    carol.see(".quorum", "0 of 2 approved").await;
    // What somebody is writing stays when the page changes under it.
    carol.write("form[data-decide] input[name=reason]", "both photos").await;
    bob.write("form[data-decide] input[name=reason]", "the first photo").await;
    bob.click("form[data-decide] button[value=approve]").await;
    bob.see("#notices", "1 more needed").await;
    bob.see("article.approval .refusal", "you have decided this approval already").await;
    carol.see(".quorum", "1 of 2 approved").await;
    carol.see(".votes", "user:bob").await;
    carol.until("document.querySelectorAll('.dots i').length == 2 && document.querySelectorAll('.dots .given').length == 1").await;
    assert_eq!(shop.outside.posts(), 0, "one of two is not enough");
    let kept = carol.run("document.querySelector('form[data-decide] input[name=reason]').value").await;
    assert_eq!(kept, json!("both photos"));
    carol.click("form[data-decide] button[value=approve]").await;
    carol.see("#notices", "approved").await;
    carol.see(".empty", "nothing to decide").await;
    bob.see(".empty", "nothing to decide").await;
    assert!(carol.is_marked().await, "the page was loaded again");
    shop.status(&execution, "completed").await;
    assert_eq!(carol.complaints().await, [""; 0]);
}
