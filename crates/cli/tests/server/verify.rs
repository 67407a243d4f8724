//! `omnihub verify`: what is stored agrees with itself, and what somebody changed behind its back is found.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::shop::Shop;

/// Runs `omnihub verify` on a directory; answers its exit code and what it says.
fn verify(directory: &Path) -> (i32, Json) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_omnihub"));
    command.args(["verify", "--output", "json"]).arg(directory).env_clear().env("HOME", directory);
    let done = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let json = serde_json::from_str(&said).unwrap_or_else(|_| {
        panic!("no document: {said}{}", String::from_utf8_lossy(&done.stderr));
    });
    (done.status.code().unwrap_or(-1), json)
}

/// A copy of a stopped data directory in which something is changed.
fn changed(from: &Path, to: &Path, sql: &str) -> PathBuf {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
    if !sql.is_empty() {
        let db = rusqlite::Connection::open_with_flags_and_vfs(
            to.join("omnihub.db"),
            rusqlite::OpenFlags::default(),
            pages::register(None).expect("a layer"),
        )
        .expect("a database");
        let before = db.total_changes();
        db.execute_batch(sql).expect(sql);
        assert!(db.total_changes() > before, "`{sql}` changes nothing");
    }
    to.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_stored_agrees_and_every_change_is_found() {
    let mut shop = Shop::open().await;
    let done = shop.ask().await;
    shop.approve(&done).await.expect(200);
    shop.status(&done, "completed").await;
    let waits = shop.ask().await;
    shop.approval_of(&waits).await;
    let stopped = json!({"on": true, "reason": "a drill"});
    shop.bob.put("/controls/kill-switch", stopped).await.expect(200);
    let held = shop.ask_refused().await;
    assert_eq!(held, 503);
    let online = shop.server.admin.post("/audit/verify", json!({})).await.expect(200);
    assert_eq!(
        (&online.json["found"], &online.json["executions"]),
        (&json!(0), &json!(2)),
        "{}",
        online.text
    );
    assert!(online.json["permits"].as_u64() >= Some(2) && online.json["approvals"] == 1, "{}", online.text);
    assert!(online.json["leaves"].as_u64() >= Some(8), "{}", online.text);
    shop.bob.post("/audit/verify", json!({})).await.expect(403);
    shop.server.terminate().await;

    let data = shop.server.data();
    let scratch = tempfile::tempdir().expect("a directory");
    let (code, whole) = verify(&data);
    assert_eq!((code, &whole["found"], &whole["executions"]), (0, &json!(0), &json!(2)), "{whole:#}");
    let own = format!("(SELECT key FROM executions WHERE id = '{done}')");
    for (number, (code, sql)) in [
        ("OH-5044", format!("UPDATE executions SET outcome = 'failed' WHERE id = '{done}'")),
        ("OH-5044", format!("UPDATE executions SET blocked_on = NULL WHERE id = '{waits}'")),
        ("OH-5040", format!("DELETE FROM history WHERE execution = {own} AND first > 0")),
        (
            "OH-5041",
            format!(
                "UPDATE history SET events = CAST(replace(CAST(events AS TEXT), 'settled', 'settlex') AS BLOB) \
                 WHERE execution = {own}"
            ),
        ),
        (
            "OH-5049",
            "DROP TRIGGER leaves_remain; DELETE FROM leaves WHERE sequence = (SELECT max(sequence) FROM leaves)".to_owned(),
        ),
        (
            "OH-5048",
            format!("UPDATE approvals SET document = replace(document, 'user:bob', 'user:alice') WHERE execution = '{done}'"),
        ),
        ("OH-5048", format!("DELETE FROM approvals WHERE execution = '{done}'")),
        (
            "OH-5042",
            format!("INSERT OR REPLACE INTO snapshots (execution, version, bytes) VALUES ({own}, 1, x'7b7d')"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let copy = changed(&data, &scratch.path().join(number.to_string()), &sql);
        let (exit, found) = verify(&copy);
        let codes: Vec<&str> = found["findings"].as_array().into_iter().flatten().filter_map(|f| f["code"].as_str()).collect();
        assert!(exit == 1 && codes.contains(&code), "{sql}: {exit} {found:#}");
    }
    // Nothing was changed in the directory itself.
    assert_eq!(verify(&data), (0, whole));
}

/// Every file below a directory.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory").flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files_below(&path),
            path => vec![path],
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_gone_or_another_is_found() {
    let mut shop = Shop::open().await;
    let document = json!({"dsl": "1.0.3", "namespace": "test", "name": "long", "version": "1.0.0"});
    let long = json!([{"long": {"run": {"shell": {"command": "head -c 200000 /dev/zero | tr '\\0' x"}}}}]);
    shop.server.admin.post("/workflows", json!({"document": document, "do": long})).await.expect(201);
    let goal = json!({"workflow": {"namespace": "test", "name": "long"}});
    let id = shop.server.admin.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    shop.status(&id, "completed").await;
    shop.server.terminate().await;
    let data = shop.server.data();
    assert_eq!(verify(&data).0, 0);
    let scratch = tempfile::tempdir().expect("a directory");
    for bytes in [None, Some("another")] {
        let copy = changed(&data, &scratch.path().join(bytes.unwrap_or("gone")), "");
        let kept = files_below(&copy.join("blobs"));
        assert_eq!(kept.len(), 1, "{kept:?}");
        match bytes {
            None => std::fs::remove_file(&kept[0]).expect("it is there"),
            Some(bytes) => std::fs::write(&kept[0], bytes).expect("it is there"),
        }
        let (exit, found) = verify(&copy);
        assert_eq!((exit, &found["findings"][0]["code"]), (1, &json!("OH-5043")), "{found:#}");
    }
}

impl Shop {
    /// Alice asks for a refund; answers the status only.
    async fn ask_refused(&self) -> u16 {
        let goal = json!({"intent": "refund order 1042, 25.00 EUR, the cup arrived broken"});
        self.alice.post("/goals", goal).await.status
    }
}
