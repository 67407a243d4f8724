//! Clocks that are set forward and back, servers that are down at a deadline, and decisions that race with one: no approval
//! and no token outlives its time, and none comes back to life.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::shop::{Shop, eventually, text};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The clock of a server process, set by whoever writes its file. What measures how long something takes is not touched.
struct Clock {
    directory: TempDir,
}

impl Clock {
    fn new() -> Self {
        let clock = Self { directory: TempDir::new().expect("a scratch directory") };
        clock.set(0);
        clock
    }

    /// So many seconds from the machine's time, from now on.
    fn set(&self, seconds: i64) {
        let (new, file) = (self.directory.path().join("new"), self.directory.path().join("clock"));
        std::fs::write(&new, format!("{seconds:+}\n")).expect("the clock is written");
        std::fs::rename(&new, &file).expect("the clock is set");
    }

    fn environment(&self) -> Vec<(String, String)> {
        let file = self.directory.path().join("clock");
        [
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// Debian's libfaketime, wherever this architecture has it.
fn library() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib").expect("a directory of libraries").flatten();
    let mut found = places.map(|place| place.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.is_file()).expect("libfaketime is installed: `cargo xtask test` does it")
}

async fn shop() -> (Shop, Clock) {
    let clock = Clock::new();
    let environment = clock.environment();
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    (Shop::open_with(&environment).await, clock)
}

impl Shop {
    /// The moment that the server puts on what it records now.
    async fn server_time(&self) -> String {
        let execution = self.ask().await;
        self.bob.get(&format!("/executions/{execution}")).await.expect(200).str("/started_at").to_owned()
    }

    /// Nobody can decide it any more, and nothing was sent.
    async fn is_over(&self, execution: &str, approval: &Json) {
        let refused = self.decide(&self.bob, "approve", approval).await.expect(409);
        assert_eq!(refused.str("/code"), "OH-3012", "{}", refused.text);
        self.status(execution, "faulted").await;
        assert_eq!(self.look(approval).await["status"], "expired");
        assert_eq!(self.outside.posts(), 0, "nothing was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_forward_a_day_ends_what_waits_for_a_decision() {
    let (shop, clock) = shop().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    clock.set(DAY);
    // Time decides at once, whether or not the server has noticed by itself.
    shop.is_over(&execution, &approval).await;
    clock.set(0);
    shop.is_over(&execution, &approval).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_forward_a_day_voids_an_approval_that_was_not_used() {
    let (shop, clock) = shop().await;
    let execution = shop.ask().await;
    let first = shop.approval_of(&execution).await;
    shop.set("kill-switch", json!({"on": true, "reason": "a drill"})).await.expect(200);
    shop.decide(&shop.bob, "approve", &first).await.expect(200);
    clock.set(DAY);
    shop.set("kill-switch", json!({"on": false, "reason": "over"})).await.expect(200);
    // Whoever approved it meant yesterday: people are asked anew, also when the clock is set back meanwhile.
    let second = shop.approval_of(&execution).await;
    assert_ne!(second["id"], first["id"]);
    clock.set(0);
    shop.decide(&shop.bob, "approve", &first).await.expect(409);
    assert_eq!(shop.outside.posts(), 0, "nothing was sent");
    shop.decide(&shop.bob, "approve", &second).await.expect(200);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_while_the_server_was_down_is_over_when_it_is_back() {
    let (mut shop, clock) = shop().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    shop.server.kill();
    clock.set(2 * HOUR);
    shop.restart().await;
    shop.is_over(&execution, &approval).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_revives_nothing() {
    let (mut shop, clock) = shop().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    let day = json!({"principal": "user:carol", "kind": "user", "roles": ["operator"], "days": 1});
    let made = shop.server.admin.post("/tokens", day).await.expect(201);
    let mut carol = shop.server.admin.with_token(made.str("/secret"));
    carol.get("/executions").await.expect(200);
    clock.set(2 * DAY);
    carol.get("/executions").await.expect(401);
    shop.is_over(&execution, &approval).await;
    let before = shop.server_time().await;
    // While it runs.
    clock.set(0);
    carol.get("/executions").await.expect(401);
    shop.is_over(&execution, &approval).await;
    let after = shop.server_time().await;
    assert!(after >= before, "{after} comes after {before}");
    // And over a restart, in order or not, on a clock that is a year behind.
    for kill in [true, false] {
        if kill {
            shop.server.kill();
        } else {
            assert_eq!(shop.server.terminate().await, Some(0), "{}", shop.server.log());
        }
        clock.set(-365 * DAY);
        shop.restart().await;
        carol.address = shop.server.admin.address;
        carol.get("/executions").await.expect(401);
        shop.is_over(&execution, &approval).await;
        let then = shop.server_time().await;
        assert!(then >= after, "{then} comes after {after}");
        assert!(shop.server.log().contains("clock is behind what is recorded"), "it is told");
    }
    // What begins now has its time: it goes on.
    let asked = shop.ask().await;
    shop.approve(&asked).await.expect(200);
    shop.status(&asked, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_races_with_the_deadline_counts_once_or_not_at_all() {
    let (shop, clock) = shop().await;
    let (mut given, mut refused) = (0, 0);
    for round in 0..14_u64 {
        let execution = shop.ask().await;
        let approval = shop.approval_of(&execution).await;
        let posts = shop.outside.posts();
        let people = [shop.bob.clone(), shop.server.admin.clone(), shop.bob.clone()];
        let decide = |who: testkit::Client| {
            let body = json!({"digest": approval["digest"], "reason": "just in time"});
            let path = format!("/approvals/{}/approve", text(&approval["id"]));
            tokio::spawn(async move { who.post(&path, body).await })
        };
        // The clock comes first, then a person does, and then they come together, closer or less so.
        let past = 2 * HOUR * (i64::try_from(round).expect("a small number") + 1);
        let mut asked = Vec::new();
        match round {
            0 => clock.set(past),
            1 => {
                decide(people[0].clone()).await.expect("an answer").expect(200);
                clock.set(past);
            }
            _ => {}
        }
        asked.extend(people.iter().cloned().map(decide));
        tokio::time::sleep(std::time::Duration::from_millis(round)).await;
        clock.set(past);
        let mut answers = Vec::new();
        for one in asked {
            answers.push(one.await.expect("an answer"));
        }
        let said_yes = answers.iter().filter(|answer| answer.status == 200).count() + usize::from(round == 1);
        for answer in &answers {
            assert!(answer.status == 200 || answer.str("/code") == "OH-3012", "{}", answer.text);
        }
        assert!(said_yes <= 1, "two people decided it: {answers:#?}");
        let path = format!("/executions/{execution}");
        let ended = eventually(&shop.bob, &path, |a| !a.json["ended_at"].is_null()).await;
        let status = shop.look(&approval).await["status"].clone();
        if said_yes == 1 {
            // Given in time, and used while it held; or void by the time it would have been used.
            given += 1;
            assert_eq!((ended.str("/status"), status), ("completed", json!("approved")), "{}", ended.text);
            assert_eq!(shop.outside.posts(), posts + 1);
        } else {
            refused += 1;
            assert_eq!((ended.str("/status"), status), ("faulted", json!("expired")), "{}", ended.text);
            assert_eq!(shop.outside.posts(), posts, "nothing was sent");
        }
    }
    assert!(given > 0 && refused > 0, "{given} were given in time, {refused} were not: nothing raced");
}
