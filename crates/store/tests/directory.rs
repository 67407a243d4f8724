//! The data directory: who may open it, what survives, and what tampering is found.

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rusqlite::Connection;
use store::{OpenError, SqliteStore, Store as _, verify_directory};
use support::{Still, commit, event, execution, open, record, row, step, tenant};

/// Tells the child process of this test binary where to write.
const CHILD_DIRECTORY: &str = "STORE_TEST_CHILD_DIRECTORY";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("a runtime")
}

/// Thirty leaves in ten groups, closed.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    runtime().block_on(async {
        let (acme, one) = (tenant("acme"), execution("one"));
        for n in 0..10 {
            let mut batch = step(&acme, &one, n, 1);
            batch.records.push(record(&acme, "one", "effect.started"));
            batch.records.push(record(&acme, "one", "effect.answered"));
            commit(&*store, batch).await;
        }
    });
    drop(store);
    directory
}

/// Changes the database of a closed directory behind the store's back.
fn tamper(directory: &Path, sql: &str) {
    let db = Connection::open_with_flags_and_vfs(
        directory.join("omnihub.db"),
        rusqlite::OpenFlags::default(),
        pages::register(None).expect("a layer"),
    )
    .expect("opens");
    db.execute_batch(
        "DROP TRIGGER leaves_stay; DROP TRIGGER leaves_remain; DROP TRIGGER heads_stay; DROP TRIGGER heads_remain;",
    )
    .expect("drops the triggers");
    db.execute_batch(sql).expect("changes");
}

fn first_bad(directory: &Path) -> Option<u64> {
    verify_directory(directory, None).expect("can be read").first_bad.map(|(index, _)| index)
}

/// Rows that a group writes many at a time: every one is there, in order, and belongs to something; also beside a batch that is
/// refused, and when an execution is removed by the group that wrote it.
#[test]
fn a_large_group_writes_whole_histories_and_leaves() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    let tenants: Vec<_> = ["acme", "globex", "initech"].into_iter().map(tenant).collect();
    let id = |number: usize| execution(&format!("e{number}"));
    let of = |number: usize| &tenants[number % tenants.len()];
    runtime().block_on(async {
        for round in 0..3u64 {
            let mut batches: Vec<_> =
                (0..45).map(|number| step(of(number), &id(number), round * 2, 2)).collect();
            batches.insert(20, step(of(7), &id(7), 99, 1));
            let removed = store::Put::RemoveExecution {
                tenant: of(44).clone(),
                execution: id(44),
                letters: String::new(),
            };
            let begun = round == 2;
            if begun {
                batches.push(store::Batch { puts: vec![removed], ..store::Batch::default() });
            }
            let answers = store.commit(batches).await;
            let refused: Vec<usize> =
                answers.iter().enumerate().filter(|(_, a)| a.is_err()).map(|(at, _)| at).collect();
            assert_eq!(refused, [20], "{answers:?}");
            let leaves = answers.iter().flatten().map(|done| done.first_leaf..done.first_leaf + done.leaves);
            let expected = round * 45..(round + 1) * 45;
            assert_eq!(leaves.flatten().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
        for number in 0..45 {
            let found = store.load(of(number), &id(number)).await.expect("is read");
            let found = found.map(|history| history.events);
            let expected = (number != 44).then(|| (0..6).map(event).collect::<Vec<_>>());
            assert_eq!(found, expected, "execution {number}");
        }
    });
    drop(store);
    assert_eq!(first_bad(directory.path()), None);
    let db = Connection::open(directory.path().join("omnihub.db")).expect("opens");
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("counts");
    assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_eq!(count("SELECT count(*) FROM history"), 44 * 3);
    assert_eq!(count("SELECT count(*) FROM leaves"), 45 * 3);
    let of_leaves =
        "SELECT count(*) FROM leaves JOIN tenants ON tenants.key = leaves.tenant WHERE tenants.id = 'acme'";
    assert_eq!(count(of_leaves), 15 * 3);
}

#[test]
fn a_second_opening_is_refused_and_names_the_holder() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    match SqliteStore::open(directory.path(), Arc::new(Still)) {
        Err(OpenError::InUse { holder, .. }) => assert_eq!(holder, std::process::id().to_string()),
        other => panic!("{other:?}"),
    }
    drop(store);
    open(directory.path());
}

#[test]
fn the_directory_and_its_keys_are_private() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("changes");
    open(directory.path());
    let mode =
        |path: &str| directory.path().join(path).metadata().expect("exists").permissions().mode() & 0o777;
    assert_eq!([mode(""), mode("keys"), mode("blobs")], [0o700; 3]);
    assert_eq!([mode("keys/audit.key"), mode("keys/secrets.key")], [0o600; 2]);
}

#[test]
fn lost_keys_and_newer_schemas_are_refused() {
    let directory = filled();
    let key = directory.path().join("keys/audit.key");
    let kept = std::fs::read(&key).expect("reads");
    std::fs::remove_file(&key).expect("removes");
    assert!(matches!(SqliteStore::open(directory.path(), Arc::new(Still)), Err(OpenError::KeyMissing(_))));
    std::fs::write(&key, [9; 32]).expect("writes");
    assert!(matches!(SqliteStore::open(directory.path(), Arc::new(Still)), Err(OpenError::Audit(_))));
    std::fs::write(&key, kept).expect("writes");
    open(directory.path());
    tamper(directory.path(), "PRAGMA user_version = 99");
    let refused = SqliteStore::open(directory.path(), Arc::new(Still));
    assert!(matches!(refused, Err(OpenError::NewerSchema { found: 99, .. })));
}

#[test]
fn the_database_itself_refuses_to_change_the_log() {
    let directory = filled();
    let db = Connection::open_with_flags_and_vfs(
        directory.path().join("omnihub.db"),
        rusqlite::OpenFlags::default(),
        pages::register(None).expect("a layer"),
    )
    .expect("opens");
    for sql in [
        "UPDATE leaves SET hash = x'00'",
        "DELETE FROM leaves",
        "UPDATE heads SET at = 0",
        "DELETE FROM heads",
    ] {
        assert!(db.execute_batch(sql).is_err(), "{sql}");
    }
}

#[test]
fn a_whole_log_passes_in_use_closed_and_as_a_read_only_copy() {
    let directory = filled();
    assert_eq!(first_bad(directory.path()), None);
    let store = open(directory.path());
    assert_eq!(first_bad(directory.path()), None);
    // A copy that was taken while the store was open has a write-ahead log beside the database.
    runtime().block_on(async { commit(&*store, step(&tenant("acme"), &execution("two"), 0, 1)).await });
    let copy = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(copy.path().join("audit")).expect("makes");
    for name in ["omnihub.db", "omnihub.db-wal", "audit/public.key", "audit/head.json"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).expect("copies");
        std::fs::set_permissions(copy.path().join(name), Permissions::from_mode(0o400)).expect("changes");
    }
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(copy.path())
            .expect("lists")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    let before = names();
    std::fs::set_permissions(copy.path(), Permissions::from_mode(0o500)).expect("changes");
    let report = verify_directory(copy.path(), Some(store.audit_key().clone())).expect("can be read");
    assert_eq!((report.size, report.first_bad), (31, None));
    assert_eq!(names(), before);
    std::fs::set_permissions(copy.path(), Permissions::from_mode(0o700)).expect("changes");
}

#[test]
fn every_kind_of_tampering_is_found_and_named() {
    let swap = "UPDATE leaves SET sequence = -1 WHERE sequence = 5; UPDATE leaves SET sequence = 5 WHERE sequence = 20; \
                UPDATE leaves SET sequence = 20 WHERE sequence = -1;";
    let table = [
        (
            "UPDATE leaves SET bytes = CAST(substr(bytes, 1, 40) || x'01' || substr(bytes, 42) AS BLOB) WHERE sequence = 12",
            12,
        ),
        ("UPDATE leaves SET bytes = CAST(x'ff' || substr(bytes, 2) AS BLOB) WHERE sequence = 0", 0),
        ("UPDATE leaves SET bytes = CAST(bytes || x'20' AS BLOB) WHERE sequence = 29", 29),
        ("UPDATE leaves SET hash = x'00' WHERE sequence = 3", 3),
        ("UPDATE leaves SET hash = zeroblob(32) WHERE sequence = 4", 4),
        ("UPDATE leaves SET correlation = 7 WHERE sequence = 6", 6),
        ("INSERT INTO tenants VALUES (99, 'evil'); UPDATE leaves SET tenant = 99 WHERE sequence = 8", 8),
        ("DELETE FROM leaves WHERE sequence = 15", 15),
        ("DELETE FROM leaves WHERE sequence = 0", 0),
        (swap, 5),
        ("DELETE FROM leaves WHERE sequence >= 25", 25),
        ("DELETE FROM leaves WHERE sequence >= 24; DELETE FROM heads WHERE size > 24", 24),
        ("DELETE FROM leaves", 0),
        (
            "DELETE FROM heads WHERE size > 24; INSERT INTO heads SELECT 30, root, at, key_id, signature FROM heads WHERE size = 24",
            24,
        ),
        ("UPDATE heads SET root = zeroblob(32) WHERE size = 9", 6),
    ];
    for (sql, index) in table {
        let directory = filled();
        tamper(directory.path(), sql);
        assert_eq!(first_bad(directory.path()), Some(index), "{sql}");
    }
}

#[test]
fn a_leaf_altered_together_with_its_hash_is_narrowed_to_its_group() {
    let directory = filled();
    let db = Connection::open_with_flags_and_vfs(
        directory.path().join("omnihub.db"),
        rusqlite::OpenFlags::default(),
        pages::register(None).expect("a layer"),
    )
    .expect("opens");
    let mut bytes: Vec<u8> =
        db.query_row("SELECT bytes FROM leaves WHERE sequence = 13", [], |row| row.get(0)).expect("reads");
    drop(db);
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    let (bytes, hash) = (hex::encode(&bytes), hex::encode(audit::leaf_hash(&bytes)));
    tamper(
        directory.path(),
        &format!("UPDATE leaves SET bytes = x'{bytes}', hash = x'{hash}' WHERE sequence = 13"),
    );
    // Group 4 holds leaves 12, 13 and 14: the head of 12 still holds, the head of 15 does not. The altered record
    // may also no longer be one, which names it exactly.
    assert!(matches!(first_bad(directory.path()), Some(12 | 13)));
    assert!(matches!(SqliteStore::open(directory.path(), Arc::new(Still)), Err(OpenError::Audit(_))));
}

#[test]
fn a_log_cut_together_with_its_heads_is_not_opened() {
    let directory = filled();
    tamper(directory.path(), "DELETE FROM leaves WHERE sequence >= 24; DELETE FROM heads WHERE size > 24");
    assert!(matches!(SqliteStore::open(directory.path(), Arc::new(Still)), Err(OpenError::Audit(_))));
}

#[test]
fn a_damaged_history_is_corrupt_and_a_damaged_blob_too() {
    let directory = filled();
    tamper(directory.path(), "DELETE FROM history WHERE first = 4");
    let store = open(directory.path());
    runtime().block_on(async {
        let acme = tenant("acme");
        let error = store.load(&acme, &execution("one")).await.expect_err("is damaged");
        assert_eq!(error.to_string(), "corrupt: `history`, key `one`: event 4 is missing");
        let digest = store.put_blob(&acme, b"payload".to_vec()).await.expect("keeps");
        let name = hex::encode(digest.0);
        let path = directory.path().join("blobs/t-acme").join(&name[..2]).join(&name);
        std::fs::write(&path, b"pAyload").expect("writes");
        assert!(matches!(store.blob(&acme, &digest).await, Err(store::StoreError::Corrupt(_))));
        assert_eq!(store.put_blob(&acme, b"payload".to_vec()).await, Ok(digest));
        assert_eq!(store.blob(&acme, &digest).await, Ok(Some(b"payload".to_vec())));
    });
}

#[test]
fn a_batch_that_the_database_refuses_spoils_nobody_else() {
    let directory = filled();
    tamper(
        directory.path(),
        "CREATE TRIGGER refuse BEFORE INSERT ON documents WHEN NEW.key = 'bad' BEGIN SELECT raise(ABORT, 'no'); END",
    );
    let store = open(directory.path());
    runtime().block_on(async {
        let acme = tenant("acme");
        let mut bad = step(&acme, &execution("bad"), 0, 1);
        bad.puts.push(store::Put::Document {
            tenant: acme.clone(),
            kind: "policy".to_owned(),
            key: "bad".to_owned(),
            document: serde_json::Value::Null,
        });
        let good = |name: &str| step(&acme, &execution(name), 0, 1);
        let answers = store.commit(vec![good("before"), bad, good("after")]).await;
        assert!(
            matches!(answers.as_slice(), [Ok(_), Err(store::CommitError::Failed(_)), Ok(_)]),
            "{answers:?}"
        );
        assert_eq!(store.load(&acme, &execution("bad")).await, Ok(None));
        assert_eq!(
            store.execution(&acme, &execution("after")).await,
            Ok(Some(row(&acme, &execution("after"))))
        );
        assert_eq!(store.head().await.expect("a head").size, 32);
    });
    drop(store);
    assert_eq!(first_bad(directory.path()), None);
}

#[test]
fn a_call_of_too_many_batches_is_refused_whole() {
    let directory = filled();
    let store = open(directory.path());
    let batches = vec![store::Batch::default(); 1025];
    let answers = runtime().block_on(store.commit(batches));
    assert_eq!(answers, vec![Err(store::CommitError::Overloaded); 1025]);
    let stats = store.stats();
    assert_eq!((stats.queue_calls, stats.queue_bytes, stats.groups, stats.stopped), (0, 0, 0, false));
    assert!(stats.database_bytes > 0);
}

/// Does nothing unless it runs as the child of the test below.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD_DIRECTORY) else { return };
    let store = open(Path::new(&directory));
    runtime().block_on(async {
        for n in 0.. {
            commit(&*store, step(&tenant("acme"), &execution("one"), n, 1)).await;
            println!("acknowledged {n}");
        }
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    use std::io::BufRead as _;
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD_DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = std::io::BufReader::new(child.stdout.take().expect("is piped"));
    let acknowledged = output
        .lines()
        .map(|line| line.expect("text"))
        .filter_map(|line| line.split_once("acknowledged ").map(|(_, number)| number.to_owned()))
        .nth(50)
        .expect("writes");
    child.kill().expect("kills");
    child.wait().expect("ends");
    let acknowledged: usize = acknowledged.parse().expect("a number");
    assert_eq!(first_bad(directory.path()), None);
    let store = open(directory.path());
    let history =
        runtime().block_on(store.load(&tenant("acme"), &execution("one"))).expect("reads").expect("exists");
    assert!(history.events.len() > acknowledged, "{} of {acknowledged}", history.events.len());
    assert!(history.events.iter().zip(0..).all(|(found, number)| *found == event(number)));
    assert_eq!(store.stats().queue_calls, 0);
}

#[test]
fn the_lease_outlives_the_process_and_rises_with_the_next_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = runtime();
    let store = open(directory.path());
    let before = run.block_on(store.lead("before")).expect("leads");
    drop(store);
    let store = open(directory.path());
    let late = store::Batch { lease: None, ..step(&tenant("acme"), &execution("one"), 0, 1) };
    assert_eq!(
        run.block_on(store.commit(vec![late])),
        [Err(store::CommitError::Fenced { held: 0, newest: before })],
        "a process that never led writes nothing"
    );
    assert_eq!(run.block_on(store.lead("after")), Ok(before + 1));
}

#[test]
fn plans_are_sealed_by_a_key_that_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path());
    let bob = model::PrincipalId::new("user:bob").expect("an id");
    let seal = store.seal_plan(&tenant("acme"), model::Digest::of(b"plan"), vec![bob], model::Timestamp(7));
    assert!(store.plan_key().accepts_seal(&seal));
    assert_ne!(store.plan_key(), *store.audit_key(), "each key signs one sort of thing");
    drop(store);
    assert!(open(directory.path()).plan_key().accepts_seal(&seal), "after a restart too");
    let key = directory.path().join("keys/plans.key");
    assert_eq!(key.metadata().expect("it is there").permissions().mode() & 0o077, 0, "nobody else reads it");
    std::fs::remove_file(key).expect("is removed");
    assert!(!open(directory.path()).plan_key().accepts_seal(&seal), "a new key takes no old seal");
}
