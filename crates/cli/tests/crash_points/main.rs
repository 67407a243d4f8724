//! The real binary, built with crash points, ends at each of them: at work, inside the recovery from that, as it starts,
//! as it takes back what it did, as it stops. Nothing is lost, nothing is done twice, and everything stored agrees.

mod house;

use serde_json::json;
use testkit::Server;

use house::{Goal, House, verified};

/// Points that every step or effect of an execution comes by, with how often before the crash.
async fn crashes_at_work(points: &[(&str, &[u32])]) {
    let mut house = House::open().await;
    let mut goals = Vec::new();
    for (point, counts) in points {
        for count in *counts {
            let mut goal = [Goal::careful(&format!("{point}-{count}"))];
            house.survives(&format!("{point}:{count}"), &mut goal).await;
            goals.extend(goal);
            house.refunded_once(&goals);
        }
    }
    assert!(house.crashes as usize > goals.len(), "recovery was never torn apart");
    house.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn around_a_commit() {
    crashes_at_work(&[("before-commit", &[3, 5, 7, 9]), ("after-commit", &[2, 4, 6, 8])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_an_acknowledgement_and_its_consequences() {
    crashes_at_work(&[("step-acknowledged", &[1, 2, 3, 4, 6]), ("reported", &[1, 2])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_way_to_the_outside() {
    crashes_at_work(&[("before-send", &[1, 2, 3]), ("departed", &[1, 2, 3])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_way_back() {
    crashes_at_work(&[("sent", &[1, 2, 3]), ("before-report", &[1, 2, 3])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_an_undo() {
    let mut house = House::open().await;
    let points = [
        "undo-step:1",
        "undo-step:2",
        "undo-step:3",
        "undo-stepped:1",
        "undo-stepped:2",
        "before-send:4",
        "sent:5",
        "before-report:4",
    ];
    for point in points {
        let since = house.recorder.seen().len();
        let mut goal = [Goal::trip(&format!("trip-{}", point.replace(':', "-")))];
        house.survives(point, &mut goal).await;
        house.taken_back(&goal[0], since);
    }
    house.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn again_and_again_while_executions_are_recovered() {
    let mut house = House::open().await;
    let mut goals = [Goal::careful("torn-1"), Goal::careful("torn-2")];
    assert!(house.crash("sent", &mut goals).await);
    for again in ["before-recovery", "before-recovery", "lease-taken", "before-recovery", "after-recovery"] {
        assert!(house.crash(again, &mut goals).await, "the server never came by `{again}`");
    }
    house.start(None).await;
    assert!(!house.drive(None, &mut goals).await);
    house.refunded_once(&goals);
    house.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_long_execution_is_kept() {
    let mut house = House::open().await;
    let points = [("snapshot-put", SNAPSHOTS), ("before-fold", FOLDS), ("after-fold", FOLDS)];
    for (number, (point, count)) in points.into_iter().enumerate() {
        let mut goals = [Goal::each(&format!("long-{number}"), count)];
        assert!(house.crash(point, &mut goals).await, "the server never came by `{point}`");
        house.start(None).await;
        assert!(!house.drive(None, &mut goals).await);
        assert_eq!(goals[0].seen["status"], json!("completed"), "{}", goals[0].seen["error"]);
        let reads = house.outside.orders();
        for n in 0..count {
            let times = reads.get(&format!("long-{number}{n}")).copied().unwrap_or_default();
            // Only what was under way at the crash may be read once more.
            assert!((1..=2).contains(&times), "order {n} was read {times} times");
        }
    }
    house.agrees().await;
}

/// Reads of one execution: enough for a snapshot.
const SNAPSHOTS: u32 = 150;
/// Enough for a log that is folded into the database.
const FOLDS: u32 = 700;

#[tokio::test(flavor = "multi_thread")]
async fn as_it_stops() {
    let mut house = House::open().await;
    for point in ["stop-asked", "before-close", "writer-ends"] {
        let mut goals = [Goal::careful(point)];
        assert!(house.start(Some(point)).await, "it starts");
        assert!(!house.drive(Some(point), &mut goals).await, "it works");
        let before = house.server.log().len();
        assert_eq!(house.server.terminate().await, None, "a crash has no exit code");
        let said = house.server.log().split_off(before);
        assert!(said.contains(&format!("omnihub: crash point `{point}`")), "{said}");
        verified(&house.server);
        house.start(None).await;
        house.refunded_once(&goals);
    }
    // The head outside the database is at most a second behind.
    let mut goals = [Goal::careful("head-file")];
    if !house.crash("head-file", &mut goals).await {
        house.crashes_by_itself("head-file").await;
    }
    house.start(None).await;
    assert!(!house.drive(None, &mut goals).await);
    house.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_it_starts_for_the_first_time() {
    let points = [
        "migration:1",
        "migration:2",
        "migration:3",
        "migrated:1",
        "migrated:2",
        "migrated:3",
        "lease-taken",
        "file-written:1",
        "file-written:2",
        "file-written:3",
        "file-written:4",
        "file-renamed:1",
        "file-renamed:2",
        "file-renamed:3",
        "file-renamed:4",
        "first-token",
        "before-commit:1",
        "before-commit:2",
        "after-commit:1",
        "after-commit:2",
    ];
    for point in points {
        let told = [("OMNIHUB_CRASH_AT", point)];
        let mut server = Server::prepared(env!("CARGO_BIN_EXE_omnihub"), "", &told);
        let ended = server.start_or_end().await;
        assert!(
            ended.is_some_and(|status| status.code().is_none()),
            "`{point}`: {ended:?}\n{}",
            server.log()
        );
        let first = point.split(':').next().unwrap_or_default();
        assert!(server.log().contains(&format!("omnihub: crash point `{first}`")), "{}", server.log());
        // What is there by now may come by the point, or not.
        server.start_or_end().await;
        server.kill();
        server.set_environment(&[]);
        server.start_again().await;
        assert_eq!(server.admin.get("/whoami").await.expect(200).json["roles"], json!(["admin"]), "{point}");
        let tokens = server.admin.get("/tokens").await.expect(200);
        assert_eq!(tokens.json["items"].as_array().map(Vec::len), Some(1), "`{point}`: {}", tokens.text);
        assert_eq!(server.terminate().await, Some(0), "{}", server.log());
        verified(&server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_kept_stops_the_start() {
    for wrong in ["nowhere", "sent:0", "sent:often"] {
        let mut server = Server::prepared(env!("CARGO_BIN_EXE_omnihub"), "", &[("OMNIHUB_CRASH_AT", wrong)]);
        let ended = server.start_or_end().await;
        assert_eq!(ended.and_then(|status| status.code()), Some(2), "{wrong}: {}", server.log());
        assert!(
            server.log().contains("OH-5012") && server.log().contains("before-commit"),
            "{}",
            server.log()
        );
    }
}
