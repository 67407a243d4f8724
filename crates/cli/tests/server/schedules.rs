//! Schedules: what begins by itself, once for each moment, whatever dies; pauses, overlaps, versions and rights.

use std::time::Duration;

use serde_json::{Value as Json, json};
use testkit::Answer;

use crate::shop::{Shop, eventually, text};

/// A workflow with a schedule and one quick task, or one that waits for a moment.
fn tick(version: &str, schedule: &str, options: &str, task: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: shop, name: tick, version: '{version}', metadata: {{ omnihub: {{ {options} }} }} }}\n\
         {schedule}\ndo: [ {{ one: {task} }} ]\n"
    )
}

const QUICK: &str = "{ set: { done: true } }";
const SLOW: &str = "{ wait: { seconds: 600 } }";

impl Shop {
    async fn publish_tick(&self, version: &str, schedule: &str, options: &str, task: &str) -> Answer {
        self.server.admin.post_yaml("/workflows", &tick(version, schedule, options, task)).await
    }

    async fn tick(&self) -> Json {
        self.bob.get("/schedules/shop/tick").await.expect(200).json
    }

    /// Waits until this many moments were settled in this way.
    async fn counted(&self, how: &str, count: u64) -> Json {
        let enough = |a: &Answer| a.json["counts"][how].as_u64() >= Some(count);
        eventually(&self.bob, "/schedules/shop/tick", enough).await.json
    }

    /// Moments that have an execution, as those executions say.
    async fn moments(&self) -> Vec<String> {
        let all = self.bob.get("/executions?workflow=shop/tick&limit=500").await.expect(200);
        let mut moments = Vec::new();
        for row in all.json["items"].as_array().into_iter().flatten() {
            let one = self.bob.get(&format!("/executions/{}", text(&row["execution_id"]))).await.expect(200);
            moments.push(one.str("/scheduled_for").to_owned());
        }
        moments.sort();
        moments
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_begin_by_themselves_and_say_for_which_moment() {
    let shop = Shop::open().await;
    shop.publish_tick("1.0.0", "schedule: { every: PT1S }", "", QUICK).await.expect(201);
    let seen = shop.counted("begun", 3).await;
    assert_eq!((text(&seen["rule"]), text(&seen["by"])), ("every PT1S", "user:admin"), "{seen:#}");
    assert_eq!(seen["next"].as_array().map(Vec::len), Some(10), "{seen:#}");
    let paused = shop.bob.post("/schedules/shop/tick/pause", json!({"reason": "enough"})).await.expect(200);
    assert_eq!((paused.str("/paused/by"), &paused.json["next"]), ("user:bob", &json!([])));
    let (begun, moments) = (shop.tick().await["counts"]["begun"].as_u64(), shop.moments().await);
    assert_eq!(Some(moments.len() as u64), begun, "{moments:?}");
    let since = text(&seen["since"]);
    assert!(moments.iter().all(|at| at.as_str() > since && at[19..] == since[19..]), "{since} {moments:?}");
    assert!(moments.windows(2).all(|pair| pair[0] < pair[1]), "each moment once: {moments:?}");
    let last =
        shop.bob.get(&format!("/executions/{}", text(&seen["last"]["execution_id"]))).await.expect(200);
    assert_eq!((last.str("/requester"), last.str("/status")), ("user:admin", "completed"), "{}", last.text);
    for action in ["schedule.set", "schedule.paused"] {
        let leaves = shop.server.admin.get(&format!("/audit?action={action}")).await.expect(200);
        assert_eq!(leaves.json["items"].as_array().map(Vec::len), Some(1), "{action}: {}", leaves.text);
    }
    // Another tenant sees nothing of it.
    let stranger = shop.server.principal_in("acme", "user:zoe", "user", &["admin"]).await;
    assert_eq!(stranger.get("/schedules").await.expect(200).json["items"], json!([]));
    stranger.get("/schedules/shop/tick").await.expect(404);
    let viewer = shop.server.principal("user:vera", &["viewer"]).await;
    viewer.post("/schedules/shop/tick/resume", json!({"reason": "x"})).await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_moment_has_two_executions_across_kills_and_one_stands_for_the_missed() {
    let mut shop = Shop::open().await;
    shop.publish_tick("1.0.0", "schedule: { every: PT1S }", "", QUICK).await.expect(201);
    for round in 1..=3 {
        shop.counted("begun", round * 2).await;
        shop.server.kill();
        // Long enough that moments pass while it is down.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        shop.restart().await;
    }
    let seen = shop.counted("missed", 3).await;
    shop.bob.post("/schedules/shop/tick/pause", json!({"reason": "count"})).await.expect(200);
    let moments = shop.moments().await;
    assert!(moments.windows(2).all(|pair| pair[0] < pair[1]), "each moment once: {moments:?}");
    assert_eq!(Some(moments.len() as u64), shop.tick().await["counts"]["begun"].as_u64(), "{seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_overlaps_is_skipped_queued_or_allowed() {
    let shop = Shop::open().await;
    shop.publish_tick("1.0.0", "schedule: { every: PT1S }", "", SLOW).await.expect(201);
    let seen = shop.counted("skipped", 2).await;
    assert_eq!((&seen["counts"]["begun"], &seen["running"]), (&json!(1), &json!(true)), "{seen:#}");

    shop.publish_tick("1.1.0", "schedule: { every: PT1S }", "schedule: { overlap: queue }", SLOW)
        .await
        .expect(201);
    let first = text(&shop.tick().await["last"]["execution_id"]).to_owned();
    let skipped = shop.tick().await["counts"]["skipped"].as_u64().unwrap_or_default();
    // One is kept, and what comes after it takes its place.
    shop.counted("skipped", skipped + 1).await;
    assert_eq!(shop.tick().await["counts"]["begun"], json!(1));
    shop.bob.post(&format!("/executions/{first}/cancel"), json!({"reason": "next"})).await.expect(202);
    shop.counted("begun", 2).await;

    shop.publish_tick("1.2.0", "schedule: { every: PT1S }", "schedule: { overlap: allow }", SLOW)
        .await
        .expect(201);
    shop.counted("begun", 4).await;
    let open = shop.bob.get("/executions?workflow=shop/tick&status=waiting").await.expect(200);
    assert!(open.json["items"].as_array().map(Vec::len) >= Some(3), "{}", open.text);

    // A version without a schedule ends it, an older one changes nothing.
    shop.publish_tick("1.3.0", "", "", QUICK).await.expect(201);
    shop.bob.get("/schedules/shop/tick").await.expect(404);
    shop.publish_tick("0.9.0", "schedule: { every: PT1S }", "", QUICK).await.expect(201);
    shop.bob.get("/schedules/shop/tick").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_after_an_end_waits_for_that_end() {
    let shop = Shop::open().await;
    shop.publish_tick("1.0.0", "schedule: { after: PT1S }", "", SLOW).await.expect(201);
    let seen = shop.counted("begun", 1).await;
    assert_eq!((&seen["running"], &seen["next"]), (&json!(true), &json!([])), "{seen:#}");
    let first = text(&seen["last"]["execution_id"]).to_owned();
    shop.bob.post(&format!("/executions/{first}/cancel"), json!({"reason": "next"})).await.expect(202);
    let seen = shop.counted("begun", 2).await;
    let ended = shop.bob.get(&format!("/executions/{first}")).await.expect(200).str("/ended_at").to_owned();
    assert!(text(&seen["last"]["moment"]) > ended.as_str(), "{ended} {seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_has_the_rights_of_who_published_it_at_that_moment() {
    let shop = Shop::open().await;
    let dev = shop.server.principal("user:dev", &["developer"]).await;
    dev.post_yaml("/workflows", &tick("1.0.0", "schedule: { every: PT1S }", "", QUICK)).await.expect(201);
    shop.counted("begun", 1).await;
    shop.revoke("user:dev").await;
    let seen = shop.counted("refused", 1).await;
    assert_eq!(text(&seen["refused"]["code"]), "OH-4030", "{seen:#}");
    let begun = seen["counts"]["begun"].clone();
    let seen = shop.counted("refused", 3).await;
    assert_eq!(seen["counts"]["begun"], begun, "nothing begins without rights: {seen:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_holds_schedules_and_one_catches_up() {
    let shop = Shop::open().await;
    shop.publish_tick("1.0.0", "schedule: { every: PT1S }", "", QUICK).await.expect(201);
    shop.counted("begun", 1).await;
    shop.bob.put("/controls/kill-switch", json!({"on": true, "reason": "a drill"})).await.expect(200);
    let stood = shop.tick().await["counts"]["begun"].as_u64().unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(shop.tick().await["counts"]["begun"].as_u64(), Some(stood), "nothing begins while it is on");
    shop.bob.put("/controls/kill-switch", json!({"on": false, "reason": "over"})).await.expect(200);
    let seen = shop.counted("begun", stood + 1).await;
    assert!(seen["counts"]["missed"].as_u64() >= Some(1), "{seen:#}");
}
