//! The audit log from outside: every line of an export can be checked by hand.

use base64::Engine as _;
use serde_json::Value as Json;

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_the_bytes_that_were_hashed_and_ends_with_the_head() {
    let server = Server::start().await;
    for i in 0..5 {
        server.token(&format!("user:u{i}"), &["viewer"]).await;
    }
    let export = server.get(&server.admin, "/api/v1/audit/export").await;
    assert_eq!((export.status, export.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Json> = export.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, leaves) = lines.split_last().unwrap();
    assert!(leaves.len() >= 5);
    for (i, line) in leaves.iter().enumerate() {
        let leaf = base64::engine::general_purpose::STANDARD.decode(line["leaf"].as_str().unwrap()).unwrap();
        let mut hashed = vec![0];
        hashed.extend_from_slice(&leaf);
        assert_eq!(line["hash"], hex::encode(model::Digest::of(&hashed).0), "line {i}");
        assert_eq!(leaf[..8], line["sequence"].as_u64().unwrap().to_be_bytes());
    }
    assert_eq!(last["head"]["root"].as_str().map(str::len), Some(64));
    assert_eq!(last["head"]["signature"].as_str().map(str::len), Some(128));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_is_proven_and_the_log_is_checked() {
    let server = Server::start().await;
    let proof = server.get(&server.admin, "/api/v1/audit/proof/0").await.json();
    assert_eq!((&proof["index"], &proof["verified"]), (&0.into(), &true.into()), "{proof}");
    assert!(proof["head"]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{proof}");
    let check =
        server.post(&server.admin, "/api/v1/audit/check", Json::Object(Default::default())).await.json();
    assert_eq!((&check["intact"], &check["first_bad"]), (&true.into(), &Json::Null));
    let page = server.get(&server.admin, "/api/v1/audit?order=newest&limit=1").await.json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(server.get(&server.admin, "/api/v1/audit/proof/99999").await.status, 404);
}
