//! The audit log, checked by a verifier of its own: what must be in it, proofs, who may read it, tampering.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use testkit::Client;

use crate::shop::{Shop, eventually, text};
use crate::stranger;

type Hash = [u8; 32];

/// The tree as RFC 6962 (2.1) defines it, recursively and slowly.
mod rfc6962 {
    use sha2::{Digest as _, Sha256};

    use super::Hash;

    pub fn leaf(bytes: &[u8]) -> Hash {
        Sha256::digest([&[0][..], bytes].concat()).into()
    }

    pub fn node(left: &Hash, right: &Hash) -> Hash {
        Sha256::digest([&[1][..], left, right].concat()).into()
    }

    pub fn split(count: usize) -> usize {
        let mut k = 1;
        while k * 2 < count {
            k *= 2;
        }
        k
    }

    pub fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node(&root(left), &root(right))
            }
        }
    }

    /// `PATH(m, D[n])`
    pub fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        let (mut path, other) = if index < left.len() {
            (path(index, left), root(right))
        } else {
            (path_of_right(index, left, right), root(left))
        };
        path.push(other);
        path
    }

    fn path_of_right(index: usize, left: &[Hash], right: &[Hash]) -> Vec<Hash> {
        path(index - left.len(), right)
    }

    /// `SUBPROOF(m, D[n], b)`
    pub fn consistency(first: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if first == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut proof, other) = if first <= k {
            (consistency(first, left, whole), root(right))
        } else {
            (consistency(first - k, right, false), root(left))
        };
        proof.push(other);
        proof
    }
}

fn hash(text: &str) -> Hash {
    hex::decode(text).expect("hexadecimal").try_into().expect("32 bytes")
}

fn hashes(list: &Json) -> Vec<Hash> {
    list.as_array().expect("a list").iter().map(|one| hash(text(one))).collect()
}

/// The signature over the text that the documentation lays out, by the key in the data directory.
fn signed(head: &Json, key: &VerifyingKey) {
    let said = format!(
        "omnihub audit tree head v1\n{}\n{}\n{}\n{}\n",
        text(&head["key_id"]),
        head["size"],
        text(&head["root"]),
        head["at_ms"]
    );
    let signature: [u8; 64] =
        hex::decode(text(&head["signature"])).expect("hexadecimal").try_into().expect("64 bytes");
    key.verify_strict(said.as_bytes(), &Signature::from_bytes(&signature)).expect("the signature holds");
    assert_eq!(text(&head["key_id"]), &hex::encode(Sha256::digest(key.as_bytes()))[..16]);
}

fn public_key(data: &Path) -> VerifyingKey {
    let text = std::fs::read_to_string(data.join("audit/public.key")).expect("the public key");
    VerifyingKey::from_bytes(&hash(text.trim())).expect("a key")
}

/// A shop with one refund done; answers its execution.
async fn refunded() -> (Shop, String) {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    shop.status(&execution, "completed").await;
    let path = format!("/audit?correlation={execution}&action=egress.connected");
    // The refund and its probe: connections are told of a moment after they were made.
    eventually(&shop.server.admin, &path, |a| {
        a.json["items"].as_array().is_some_and(|items| items.len() >= 2)
    })
    .await;
    (shop, execution)
}

/// Every leaf of the export, and the head.
async fn exported(client: &Client) -> (Vec<Json>, Json) {
    let export = client.get("/audit/export").await.expect(200);
    let mut lines: Vec<Json> =
        export.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let head = lines.pop().expect("a last line");
    (lines, head["head"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_leaves_its_whole_story() {
    let (shop, execution) = refunded().await;
    let found = shop.server.admin.get(&format!("/audit?correlation={execution}&limit=500")).await.expect(200);
    let records: Vec<&Json> =
        found.json["items"].as_array().expect("a list").iter().map(|item| &item["record"]).collect();
    let of = |action: &str| records.iter().filter(|r| r["action"] == action).copied().collect::<Vec<_>>();
    let started = of("execution.started");
    assert_eq!((started.len(), text(&started[0]["actor"])), (1, "user:alice"), "{}", found.text);
    assert_eq!(of("effect.judged").len(), 1, "{}", found.text);
    assert_eq!(of("effect.judged")[0]["details"]["verdict"], "require-approval");
    assert_eq!(of("approval.requested").len(), 1);
    let approved = of("approval.approved");
    assert_eq!((approved.len(), text(&approved[0]["actor"])), (1, "user:bob"), "{}", found.text);
    assert!(text(&approved[0]["agent"]).len() < 200 && approved[0]["address"].is_string(), "{}", approved[0]);
    let permitted = of("effect.permitted");
    assert_eq!(permitted.len(), 2, "the refund and its probe: {}", found.text);
    assert!(
        permitted.iter().all(|r| r["details"]["permit"].is_string() && r["details"]["digest"].is_string())
    );
    assert_eq!(of("effect.answered").len(), 2);
    assert_eq!(of("outcome.settled")[0]["details"]["outcome"], "verified", "{}", found.text);
    let ended = of("execution.ended");
    assert_eq!(
        (&ended[0]["details"]["status"], &ended[0]["details"]["outcome"]),
        (&json!("completed"), &json!("verified"))
    );
    // The order of the story: nothing was permitted before it was approved, nothing answered before it was permitted.
    let place = |action: &str| records.iter().position(|r| r["action"] == action).expect("it is there");
    let story = [
        "execution.started",
        "effect.judged",
        "approval.requested",
        "approval.approved",
        "effect.permitted",
        "effect.answered",
        "outcome.settled",
        "execution.ended",
    ];
    assert!(story.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{}", found.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_leaf_is_proven_to_a_stranger() {
    let (shop, execution) = refunded().await;
    let admin = &shop.server.admin;
    let key = public_key(&shop.server.data());
    let first = admin.get("/audit/head").await.expect(200).json;
    signed(&first, &key);
    admin.put("/controls/takeover", json!({"on": false, "reason": "one more leaf"})).await.expect(200);
    let (lines, head) = exported(admin).await;
    signed(&head, &key);
    assert_eq!(head["size"].as_u64(), Some(lines.len() as u64), "every leaf is exported");
    let mut leaves = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let bytes = STANDARD.decode(text(&line["leaf"])).expect("base64");
        assert_eq!(bytes[..8], (index as u64).to_be_bytes(), "a leaf begins with its index");
        let record = stranger::record(&bytes);
        for member in ["tenant", "actor", "actor_kind", "action", "resource", "correlation", "details"] {
            assert_eq!(record[member], line["record"][member], "what is shown is what was hashed");
        }
        assert_eq!(hash(text(&line["hash"])), rfc6962::leaf(&bytes));
        leaves.push(rfc6962::leaf(&bytes));
    }
    assert!(lines.iter().any(|line| line["record"]["correlation"] == json!(execution)));
    assert_eq!(rfc6962::root(&leaves), hash(text(&head["root"])), "the root over all leaves");
    for (index, leaf) in leaves.iter().enumerate() {
        let proof = admin.get(&format!("/audit/proof/{index}")).await.expect(200).json;
        let size = proof["head"]["size"].as_u64().expect("a size") as usize;
        assert_eq!(hash(text(&proof["leaf_hash"])), *leaf);
        assert_eq!(
            (hashes(&proof["path"]), hash(text(&proof["head"]["root"]))),
            (rfc6962::path(index, &leaves[..size]), rfc6962::root(&leaves[..size])),
            "leaf {index}"
        );
        signed(&proof["head"], &key);
    }
    let earlier = first["size"].as_u64().expect("a size") as usize;
    assert!(0 < earlier && earlier < leaves.len());
    assert_eq!(
        rfc6962::root(&leaves[..earlier]),
        hash(text(&first["root"])),
        "the earlier head is about the same leaves"
    );
    for first in 1..=leaves.len() {
        let path = format!("/audit/consistency?first={first}&second={}", leaves.len());
        let proof = admin.get(&path).await.expect(200).json;
        assert_eq!(hashes(&proof["path"]), rfc6962::consistency(first, &leaves, true), "{first}");
    }
    admin.get(&format!("/audit/proof/{}", u32::MAX)).await.expect(404);
    admin.get("/audit/consistency?first=9&second=3").await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_what_they_say() {
    let (shop, execution) = refunded().await;
    let admin = &shop.server.admin;
    let items = |query: String| async move {
        let found = admin.get(&format!("/audit?{query}")).await.expect(200);
        found.json["items"].as_array().cloned().unwrap_or_default()
    };
    let by_bob = items("actor=user:bob&limit=500".to_owned()).await;
    assert!(!by_bob.is_empty() && by_bob.iter().all(|i| i["record"]["actor"] == "user:bob"));
    let approvals = items("action=approval.&limit=500".to_owned()).await;
    assert!(
        approvals.len() >= 2
            && approvals.iter().all(|i| text(&i["record"]["action"]).starts_with("approval.")),
        "{approvals:?}"
    );
    let both = items(format!("correlation={execution}&action=execution.&limit=500")).await;
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(items("actor=user:nobody".to_owned()).await.is_empty());
    assert!(items("actor=user:bo".to_owned()).await.is_empty(), "an actor is a whole name");
    let newest = items("order=newest&limit=3".to_owned()).await;
    let numbers: Vec<u64> = newest.iter().filter_map(|i| i["sequence"].as_u64()).collect();
    assert!(numbers.len() == 3 && numbers.is_sorted_by(|a, b| a > b), "{numbers:?}");
    // Pages, one after the other, hold everything once.
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = admin.get(&format!("/audit?limit=3{cursor}")).await.expect(200);
        seen.extend(
            page.json["items"].as_array().expect("a list").iter().filter_map(|i| i["sequence"].as_u64()),
        );
        let Some(next) = page.json["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(seen.len() > 10 && seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_may_read_it() {
    let (shop, execution) = refunded().await;
    let server = &shop.server;
    let compliance = server.principal("user:carol", &["compliance"]).await;
    for path in
        ["/audit", "/audit/head", "/audit/proof/0", "/audit/consistency?first=1&second=2", "/audit/export"]
    {
        for client in [&shop.alice, &shop.bob] {
            assert_eq!(client.get(path).await.expect(403).str("/code"), "OH-4030");
        }
        compliance.get(path).await.expect(200);
    }
    shop.bob.post("/audit/check", json!({})).await.expect(403);
    compliance.put("/controls/takeover", json!({"on": true, "reason": "x"})).await.expect(403);
    let eve = server.principal_in("acme", "user:eve", "user", &["admin"]).await;
    let theirs = eve.get("/audit?limit=500").await.expect(200);
    let items = theirs.json["items"].as_array().expect("a list");
    assert!(items.iter().all(|i| i["record"]["tenant"] == "acme"), "{}", theirs.text);
    assert_eq!(
        eve.get(&format!("/audit?correlation={execution}")).await.expect(200).json["items"],
        json!([])
    );
    let export = eve.get("/audit/export").await.expect(200);
    assert!(!export.text.contains(&execution) && !export.text.contains("user:alice"), "{}", export.text);
    let (lines, _) = exported(&server.admin).await;
    for line in lines {
        let path = format!("/audit/proof/{}", line["sequence"]);
        let own = line["record"]["tenant"] == "acme";
        assert_eq!(eve.get(&path).await.status, if own { 200 } else { 404 }, "{line}");
    }
}

/// `omnihub audit verify DIR`: the exit code and its JSON.
fn verify(directory: &Path, more: &[&str]) -> (Option<i32>, Json) {
    let home = tempfile::tempdir().expect("a scratch directory");
    let output = Command::new(env!("CARGO_BIN_EXE_omnihub"))
        .env_clear()
        .env("HOME", home.path())
        .args(["-o", "json", "audit", "verify"])
        .arg(directory)
        .args(more)
        .output()
        .expect("it runs");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("the data directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_to_the_log_shows_offline() {
    let (mut shop, _) = refunded().await;
    let scratch = tempfile::tempdir().expect("a scratch directory");
    // A copy of a directory in use, and of one whose process was killed.
    let (live, killed) = (scratch.path().join("live"), scratch.path().join("killed"));
    assert_eq!(verify(&shop.server.data(), &[]).0, Some(0), "a directory in use is verified in place");
    copy(&shop.server.data(), &live);
    shop.server.kill();
    copy(&shop.server.data(), &killed);
    for directory in [&live, &killed] {
        let (code, report) = verify(directory, &[]);
        assert_eq!((code, &report["intact"]), (Some(0), &json!(true)), "{report}");
    }
    shop.server.start_again().await;
    assert_eq!(shop.server.terminate().await, Some(0));
    let data = shop.server.data();
    let key = std::fs::read_to_string(data.join("audit/public.key")).expect("the public key");
    let (code, report) = verify(&data, &["--key", key.trim()]);
    assert_eq!((code, &report["intact"]), (Some(0), &json!(true)), "{report}");
    let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(verify(&data, &["--key", other]).0, Some(1), "another key did not sign this");

    let size = report["size"].as_i64().expect("a size");
    let (middle, last) = (size / 2, size - 1);
    let flip = |index: i64, at: i64| {
        format!(
            "UPDATE leaves SET bytes = CAST(substr(bytes, 1, {at}) || x'ff' || substr(bytes, {at} + 2) AS BLOB) WHERE sequence = {index}"
        )
    };
    let swap = |a: i64, b: i64| {
        format!(
            "UPDATE leaves SET sequence = -1 WHERE sequence = {a}; UPDATE leaves SET sequence = {a} WHERE sequence = {b}; UPDATE leaves SET sequence = {b} WHERE sequence = -1"
        )
    };
    let swap_bytes = |a: i64, b: i64| {
        format!(
            "CREATE TEMP TABLE held AS SELECT sequence, hash, bytes, correlation FROM leaves WHERE sequence IN ({a}, {b}); \
             UPDATE leaves SET (hash, bytes, correlation) = (SELECT hash, bytes, correlation FROM held WHERE held.sequence = {a} + {b} - leaves.sequence) WHERE sequence IN ({a}, {b})"
        )
    };
    let mut table: Vec<(String, i64)> = Vec::new();
    for index in [0, 1, middle, last] {
        for at in [0, 7, 8, 40, 90] {
            table.push((flip(index, at), index));
        }
        table.push((format!("UPDATE leaves SET hash = zeroblob(32) WHERE sequence = {index}"), index));
        table.push((format!("UPDATE leaves SET bytes = x'' WHERE sequence = {index}"), index));
        table.push((
            format!("UPDATE leaves SET correlation = correlation + 1 WHERE sequence = {index}"),
            index,
        ));
        table.push((format!("DELETE FROM leaves WHERE sequence = {index}"), index));
    }
    table.push((swap(middle, middle + 1), middle));
    table.push((swap(0, last), 0));
    table.push((swap_bytes(middle, last), middle));
    table.push((format!("DELETE FROM leaves WHERE sequence >= {middle}"), middle));
    table.push((format!("DELETE FROM leaves WHERE sequence >= {middle}; DELETE FROM heads WHERE size > {middle}; DELETE FROM nodes"), middle));
    table.push(("DELETE FROM leaves; DELETE FROM heads; DELETE FROM nodes".to_owned(), 0));
    for (number, (sql, expected)) in table.iter().enumerate() {
        let bent = scratch.path().join(format!("bent-{number}"));
        copy(&data, &bent);
        tamper(&bent, sql, true).expect("SQL");
        let (code, report) = verify(&bent, &[]);
        assert_eq!(code, Some(1), "{sql}: {report}");
        assert_eq!(report["first_bad"]["index"].as_i64(), Some(*expected), "{sql}: {report}");
        assert_eq!(report["intact"], json!(false), "{sql}: {report}");
        std::fs::remove_dir_all(&bent).expect("removed");
    }
    for sql in [
        "UPDATE heads SET root = zeroblob(32)",
        "UPDATE heads SET signature = zeroblob(64)",
        "UPDATE heads SET at = at + 1",
    ] {
        let bent = scratch.path().join("bent-head");
        copy(&data, &bent);
        tamper(&bent, sql, true).expect("SQL");
        assert_eq!(verify(&bent, &[]).0, Some(1), "{sql}");
        std::fs::remove_dir_all(&bent).expect("removed");
    }
    // A trigger stops whoever goes the ordinary way.
    for sql in [
        "UPDATE leaves SET bytes = x'00'",
        "DELETE FROM leaves",
        "UPDATE heads SET at = 0",
        "DELETE FROM heads",
    ] {
        let refused = tamper(&data, sql, false).expect_err(sql).to_string();
        assert!(refused.contains("never"), "{sql}: {refused}");
    }
    assert_eq!(verify(&data, &[]).0, Some(0), "nothing of that stayed");
}

/// Changes the database behind the server's back.
fn tamper(directory: &Path, sql: &str, drop_triggers: bool) -> rusqlite::Result<()> {
    let db = rusqlite::Connection::open_with_flags_and_vfs(
        directory.join("omnihub.db"),
        rusqlite::OpenFlags::default(),
        pages::register(None).expect("a layer"),
    )?;
    if drop_triggers {
        let mut select = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")?;
        let names: rusqlite::Result<Vec<String>> = select.query_map([], |row| row.get(0))?.collect();
        for name in names? {
            db.execute_batch(&format!("DROP TRIGGER {name}"))?;
        }
    }
    db.execute_batch(sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_was_bent_does_not_go_on_as_if_nothing_was() {
    let (mut shop, _) = refunded().await;
    assert_eq!(shop.server.terminate().await, Some(0));
    tamper(&shop.server.data(), "UPDATE leaves SET bytes = CAST(substr(bytes, 1, 60) || x'ff' || substr(bytes, 62) AS BLOB) WHERE sequence = 3", true).expect("SQL");
    shop.server.start_again().await;
    let check = shop.server.admin.post("/audit/check", json!({})).await.expect(200);
    assert_eq!(
        (&check.json["intact"], &check.json["first_bad"][0]),
        (&json!(false), &json!(3)),
        "{}",
        check.text
    );
    let proof = shop.server.admin.get("/audit/proof/3").await;
    assert!(proof.status >= 400, "a bad leaf is not proven: {}", proof.text);
}
