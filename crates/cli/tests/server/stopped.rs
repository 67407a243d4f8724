//! A disk that fails under the real server: nothing more is written, and whoever asks whether it works is told.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use testkit::{Answer, Client, Server};

async fn plain(client: &Client, path: &str) -> Answer {
    client.send("GET", path, &[], Default::default()).await
}

/// Files of this process may grow to so many bytes; a write beyond fails, as on a disk that is broken there.
fn files_end_at(server: &Server, bytes: Option<u64>) {
    let id = server.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let own = getrlimit(Resource::Fsize);
    prlimit(id, Resource::Fsize, Rlimit { current: bytes.or(own.current), maximum: own.maximum })
        .expect("it is ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stopped_shows_wherever_it_is_asked() {
    let scratch = tempfile::tempdir().expect("a directory");
    // Without the signal that the kernel sends first, the write itself fails.
    let program = scratch.path().join("omnihub");
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_omnihub"));
    std::fs::write(&program, script).expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut server = Server::start(program.to_str().expect("a name"), "", &[]).await;
    server.admin.post("/tenants", json!({"id": "before", "title": "before"})).await.expect(201);
    assert_eq!(plain(&server.admin, "/ready").await.expect(200).json, json!({"status": "ok"}));

    let log = server.data().join("omnihub.db-wal").metadata().expect("a log").len();
    files_end_at(&server, Some(log));
    let tenant = |id: &str| json!({"id": id, "title": id});
    let refused = server.admin.post("/tenants", tenant("during")).await.expect(503);
    assert_eq!(refused.str("/code"), "OH-5003", "{}", refused.text);
    // The next write would go well, and must not be tried: what the disk says can no longer be relied on.
    files_end_at(&server, None);
    let refused = server.admin.post("/tenants", tenant("after")).await.expect(503);
    assert_eq!(refused.str("/code"), "OH-5003", "{}", refused.text);
    let ready = plain(&server.admin, "/ready").await.expect(503);
    assert_eq!(ready.json, json!({"status": "failing", "code": "OH-5003"}));
    let deep = plain(&server.admin, "/health/deep").await.expect(503);
    assert_eq!(
        (&deep.json["failing"], &deep.json["codes"]),
        (&json!(["store"]), &json!(["OH-5003"])),
        "{}",
        deep.text
    );
    let store =
        deep.json["dependencies"].as_array().into_iter().flatten().find(|part| part["name"] == "store");
    let store = store.expect("the store is a part");
    assert_eq!((&store["ok"], &store["code"]), (&json!(false), &json!("OH-5003")), "{store:#}");
    let mut stranger = server.admin.clone();
    stranger.token = None;
    let told = plain(&stranger, "/health/deep").await.expect(503);
    assert_eq!(told.json, json!({"status": "failing", "failing": ["store"], "codes": ["OH-5003"]}));
    assert_eq!(
        plain(&server.admin, "/health").await.expect(200).json,
        json!({"status": "ok"}),
        "it is alive"
    );
    server.admin.get("/tenants").await.expect(200);

    server.kill();
    server.start_again().await;
    let there = server.admin.get("/tenants").await.expect(200);
    assert!(there.text.contains("before") && !there.text.contains("\"after\""), "{}", there.text);
    server.admin.post("/tenants", tenant("restarted")).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shipped_refuses_to_crash_on_purpose() {
    let mut server =
        Server::prepared(env!("CARGO_BIN_EXE_omnihub"), "", &[("OMNIHUB_CRASH_AT", "before-commit")]);
    let ended = server.start_or_end().await;
    assert_eq!(ended.and_then(|status| status.code()), Some(2), "{}", server.log());
    assert!(server.log().contains("OH-5012") && server.log().contains("no crash points"), "{}", server.log());
}
