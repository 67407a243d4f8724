//! Every page on wide and narrow, dark and light screens: whole, inside the page, without a complaint; pictures are kept.

use serde_json::json;
use testkit::{Client, Driver, Fault};

use crate::shop::{Shop, eventually};
use crate::window::{ENTER, Screen, Window};

const SCREENS: [Screen; 4] = [
    Screen { width: 1280, height: 900, theme: "light" },
    Screen { width: 1280, height: 900, theme: "dark" },
    Screen { width: 390, height: 844, theme: "light" },
    Screen { width: 390, height: 844, theme: "dark" },
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_busy_console_fits_and_is_whole() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let pages = busy(&shop).await;
    let dana = shop.server.principal("user:dana", &["operator", "compliance"]).await;
    let window = Window::signed_in(&driver, &dana, "/console").await;
    for screen in SCREENS {
        window.show_on(screen).await;
        for (name, path) in &pages {
            check(&window, screen, name, path).await;
        }
        for (name, goal, heading) in [
            ("plan", "refund order 7, 3.00 EUR, the cup arrived broken", "refund an order"),
            ("asked-back", "refund order", "not quite clear"),
        ] {
            window.go("/console").await;
            window.write("#intent", goal).await;
            window.keys(&ENTER.to_string()).await;
            window.see("h1", heading).await;
            whole(&window, screen, name).await;
            assert_eq!(window.complaints().await, [""; 0], "{name}");
        }
        window.go("/console/executions/01900000-0000-7000-8000-000000000000").await;
        window.see("h1", "not found").await;
        whole(&window, screen, "not-found").await;
        let told = window.complaints().await;
        assert!(told.len() == 1 && told[0].contains("404"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_an_empty_console_says_what_will_stand_there() {
    let (shop, driver) = (Shop::open().await, Driver::start());
    let nobody = shop.server.principal_in("acme", "user:zoe", "user", &["admin"]).await;
    let window = Window::open(&driver, &nobody).await;
    for screen in [SCREENS[0], SCREENS[3]] {
        window.show_on(screen).await;
        check(&window, screen, "sign-in", "/console/sign-in").await;
    }
    window.go("/console").await;
    window.sign_in(&nobody).await;
    window.live().await;
    for screen in [SCREENS[0], SCREENS[3]] {
        window.show_on(screen).await;
        for name in [
            "",
            "executions",
            "approvals",
            "dead-letters",
            "workflows",
            "schedules",
            "actions",
            "policies",
            "audit",
        ] {
            let path = if name.is_empty() { "/console".to_owned() } else { format!("/console/{name}") };
            check(
                &window,
                screen,
                &format!("empty-{}", if name.is_empty() { "overview" } else { name }),
                &path,
            )
            .await;
        }
    }
}

/// Texts whose colour is too close to what is behind them: 4.5 to 1, or 3 to 1 where letters are large.
const FAINT: &str = r"(() => {
    const brush = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (colour) => { brush.clearRect(0, 0, 1, 1); brush.fillStyle = colour; brush.fillRect(0, 0, 1, 1); return brush.getImageData(0, 0, 1, 1).data; };
    const behind = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 250) return c; } return [255, 255, 255]; };
    const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => { const v = c[i] / 255; return sum + share * (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
    const found = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const text = walk.currentNode.data.trim(), e = walk.currentNode.parentElement;
        if (!text || !e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || e.closest('svg, .sr, .skip, [aria-hidden=true]')) continue;
        const style = getComputedStyle(e), size = parseFloat(style.fontSize);
        const [a, b] = [light(rgba(style.color)), light(behind(e))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < (size >= 24 || (size >= 18.6 && style.fontWeight >= 700) ? 3 : 4.5)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)} (${e.className})`);
    }
    return [...new Set(found)];
})()";

/// One of everything: completed, waiting, parked; with a control in force.
async fn busy(shop: &Shop) -> Vec<(&'static str, String)> {
    let done = shop.ask().await;
    shop.approve(&done).await.expect(200);
    shop.status(&done, "completed").await;
    shop.outside.fault(Fault::Down);
    let parked = shop.ask().await;
    shop.approve(&parked).await.expect(200);
    eventually(&shop.bob, "/dead-letters?open=true", |a| a.json["items"][0]["id"].is_string()).await;
    let waiting = shop.ask().await;
    let approval = shop.approval_of(&waiting).await;
    let admin: &Client = &shop.server.admin;
    let nightly = "document: { dsl: '1.0.3', namespace: shop, name: nightly, version: '1.0.0', metadata: { omnihub: { timeZone: Europe/Madrid } } }\n\
        schedule: { cron: '30 2 * * *' }\ndo: [ { count: { set: { done: true } } } ]\n";
    admin.post_yaml("/workflows", nightly).await.expect(201);
    let planned = planned(shop).await;
    let drilled = drilled(admin).await;
    let stop = json!({"on": true, "scope": {"workflow": "shop/other"}, "reason": "it looks odd"});
    let stopped = admin.put("/controls/kill-switch", stop).await.expect(200);
    let report = stopped.str("/report/report/id").to_owned();
    let list =
        json!({"on": true, "operations": ["refund-*", "http"], "reason": "only refunds while we look"});
    admin.put("/controls/allow-list", list).await;
    let at = |name: &str| format!("/console/{name}");
    vec![
        ("overview", "/console".to_owned()),
        ("executions", at("executions")),
        ("execution-completed", at(&format!("executions/{done}"))),
        ("execution-parked", at(&format!("executions/{parked}"))),
        ("execution-waiting", at(&format!("executions/{waiting}"))),
        ("approvals", at("approvals")),
        ("approval", at(&format!("approvals/{}", approval["id"].as_str().unwrap_or_default()))),
        ("approvals-approved", at("approvals?status=approved")),
        ("controls", at("controls")),
        ("dead-letters", at("dead-letters")),
        ("audit", at("audit")),
        ("audit-found", at("audit?action=approval.")),
        ("audit-proof", at("audit/proof/3")),
        ("workflows", at("workflows")),
        ("workflow", at("workflows/shop/refund/latest")),
        ("actions", at("actions")),
        ("action", at("actions/refund-create:1.0.0")),
        ("policies", at("policies")),
        ("schedules", at("schedules")),
        ("plans", at("plans")),
        ("plan-open", at(&format!("plans/{}", planned[0]))),
        ("plan-signed", at(&format!("plans/{}", planned[1]))),
        ("return", at(&format!("executions/{done}/return"))),
        ("many", at("executions/many?status=suspended&act=cancel")),
        ("stop-look", at("controls/stop?kind=workflow&name=shop/refund")),
        ("reports", at("controls/reports")),
        ("report", at(&format!("controls/reports/{report}"))),
        ("drill", at(&format!("controls/drills/{drilled}"))),
        ("system", at("system")),
    ]
}

/// Two plans: one that waits for somebody, one that is signed.
async fn planned(shop: &Shop) -> [String; 2] {
    let mut digests = [String::new(), String::new()];
    for (n, digest) in digests.iter_mut().enumerate() {
        let goal = json!({
            "workflow": {"namespace": "shop", "name": "refund"}, "mode": "plan",
            "input": {"orderId": "7", "amount": n + 1, "currency": "EUR"},
        });
        let plan = shop.alice.post("/goals", goal).await.expect(200);
        plan.str("/digest").clone_into(digest);
    }
    let signed = format!("/plans/{}/approve", digests[1]);
    shop.bob.post(&signed, json!({"reason": "as agreed"})).await.expect(200);
    digests
}

/// A measured stop.
async fn drilled(admin: &Client) -> String {
    let begun = admin.post("/controls/drill", json!({"trials": 5, "reason": "monthly"})).await.expect(202);
    let id = begun.str("/report/id").to_owned();
    eventually(admin, &format!("/controls/drills/{id}"), |a| a.json["report"]["complete"] == true).await;
    id
}

async fn check(window: &Window, screen: Screen, name: &str, path: &str) {
    window.go(path).await;
    whole(window, screen, name).await;
    assert_eq!(window.complaints().await, [""; 0], "{name} at {} px, {}", screen.width, screen.theme);
}

/// The page that is shown: one heading, inside its boxes, readable, everything with a name; its picture is kept.
async fn whole(window: &Window, screen: Screen, name: &str) {
    let told = format!("{name} at {} px, {}", screen.width, screen.theme);
    window.until("document.readyState == 'complete'").await;
    assert_eq!(window.run("document.querySelectorAll('h1').length").await, json!(1), "headings of {told}");
    let wide =
        window.run("[document.documentElement.scrollWidth, document.documentElement.clientWidth]").await;
    assert!(wide[0].as_u64() <= wide[1].as_u64(), "{told} is {wide} wide");
    let unnamed = "[...document.querySelectorAll('button, a, input:not([type=hidden]), select, textarea')].filter(e => \
        !(e.innerText || '').trim() && !(e.textContent || '').trim() && !e.getAttribute('aria-label') && !e.title && \
        !(e.labels && e.labels.length) && e.getAttribute('aria-hidden') != 'true').map(e => e.outerHTML.slice(0, 120))";
    assert_eq!(window.run(unnamed).await, json!([]), "things without a name on {told}");
    let over = "[...document.querySelectorAll('td, th, dd, .card, header, nav')].filter(e => e.scrollWidth > e.clientWidth + 1 && \
        e.clientWidth && getComputedStyle(e).overflowX == 'visible').map(e => e.outerHTML.slice(0, 120))";
    assert_eq!(window.run(over).await, json!([]), "what does not fit into its box on {told}");
    assert_eq!(window.run(FAINT).await, json!([]), "what is hard to read on {told}");
    window.picture(&format!("{name}-{}-{}", screen.width, screen.theme)).await;
}
