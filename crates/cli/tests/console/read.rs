//! Pages that prove and explain: the audit log and its proofs, M of N approvals, long and hostile values.

use serde_json::json;
use testkit::Driver;

use crate::shop::Shop;
use crate::window::Window;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_verified_and_a_record_is_proven() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    shop.status(&execution, "completed").await;
    let admin = Window::signed_in(&driver, &shop.server.admin, "/console/audit").await;
    admin.click("form[action='/console/audit/check'] button").await;
    admin.see(".audit-head [role=status]", "intact").await;

    admin.write("input[name=correlation]", &execution).await;
    admin.click("form[role=search] button").await;
    admin.see("table.audit", "approval.").await;
    let rows = admin.run("document.querySelectorAll('table.audit tbody tr').length").await;
    assert!(rows.as_u64().is_some_and(|n| n > 3), "{rows} records of a whole refund");
    admin.click("table.audit tbody tr:first-child a").await;
    admin.see("h1", "proof of record").await;
    admin.until("document.querySelectorAll('.merkle li').length > 2").await;
    let head = shop.server.admin.get("/audit/head").await.expect(200);
    let size = head.json["size"].as_u64().unwrap_or_default();
    let shown = admin.text("aside").await;
    assert!(shown.contains(&size.to_string()), "the head of {size} records: {shown}");
    assert_eq!(admin.complaints().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_and_long_text_stays_text_and_inside_the_page() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let long = "x".repeat(600);
    let reason = format!("<img src=x onerror=\"window.broken=1\"> </script><b>bold</b> {long}");
    let body = json!({"workflow": {"namespace": "shop", "name": "refund"},
        "input": {"orderId": "9", "amount": 3.5, "currency": "EUR", "reason": reason}});
    let accepted = shop.alice.post("/goals", body).await.expect(202);
    let execution = accepted.str("/execution_id").to_owned();
    shop.approval_of(&execution).await;
    let who = shop.server.principal("user:dana", &["operator", "compliance"]).await;
    let dana = Window::signed_in(&driver, &who, &format!("/console/executions/{execution}")).await;
    dana.see("article.approval .kv", "<b>bold</b>").await;
    for path in [
        format!("/console/executions/{execution}"),
        "/console/approvals".to_owned(),
        "/console/audit".to_owned(),
    ] {
        dana.go(&path).await;
        assert_eq!(dana.run("window.broken ?? 0").await, json!(0), "{path} ran what it should show");
        assert_eq!(
            dana.run("document.querySelectorAll('main b b, main img').length").await,
            json!(0),
            "{path}"
        );
        dana.until("document.documentElement.scrollWidth <= document.documentElement.clientWidth").await;
    }
    assert_eq!(dana.complaints().await, [""; 0]);
}
