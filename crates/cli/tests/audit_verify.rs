//! `omnihub audit verify` on a data directory: whole, bent, shortened, and with a foreign key.

mod support;

use std::path::Path;
use std::sync::Arc;

use model::{Clock, TenantId, Timestamp};
use store::{Batch, SqliteStore, Store as _};
use support::{omnihub, run};

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}

/// A closed data directory with some leaves; answers the key that signs.
async fn directory(dir: &Path, leaves: usize) -> String {
    let store = SqliteStore::open(dir, Arc::new(Still)).expect("opens");
    for number in 0..leaves {
        let record = audit::Record {
            at: Timestamp(1_000),
            tenant: TenantId::new("acme").expect("an id"),
            actor: "user:ada".to_owned(),
            actor_kind: "user".to_owned(),
            action: "control.set".to_owned(),
            resource: "controls/takeover".to_owned(),
            correlation: format!("r{number}"),
            classification: audit::Classification::Internal,
            address: None,
            agent: None,
            details: serde_json::Value::Null,
        };
        let answers = store.commit(vec![Batch { records: vec![record], ..Batch::default() }]).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    store.audit_key().to_string()
}

/// Changes the stored log behind the store's back.
fn tamper(dir: &Path, sql: &str) {
    let db = rusqlite::Connection::open_with_flags_and_vfs(
        dir.join("omnihub.db"),
        rusqlite::OpenFlags::default(),
        pages::register(None).expect("a layer"),
    )
    .expect("opens");
    let mut triggers = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").expect("SQL");
    let names: Vec<String> =
        triggers.query_map([], |row| row.get(0)).expect("SQL").map(|name| name.expect("a name")).collect();
    for name in names {
        db.execute_batch(&format!("DROP TRIGGER {name}")).expect("SQL");
    }
    db.execute_batch(sql).expect("SQL");
}

fn verify(dir: &Path, more: &[&str]) -> (i32, serde_json::Value, String) {
    let home = tempfile::tempdir().expect("a scratch directory");
    let mut command = omnihub(home.path(), &["-o", "json", "audit", "verify"]);
    let (code, out, err) = run(command.arg(dir).args(more));
    (code, serde_json::from_str(&out).unwrap_or_default(), err)
}

#[tokio::test]
async fn an_untouched_log_passes_also_with_its_key() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    let key = directory(dir.path(), 5).await;
    let (code, report, err) = verify(dir.path(), &["--key", &key]);
    assert_eq!((code, &report["intact"], &report["size"]), (0, &true.into(), &5.into()), "{err}");
    let (code, ..) = verify(dir.path(), &[]);
    assert_eq!(code, 0);
}

#[tokio::test]
async fn what_was_bent_or_cut_is_named_by_index() {
    for (sql, first_bad) in [
        ("UPDATE leaves SET bytes = CAST(bytes || x'20' AS BLOB) WHERE sequence = 2", 2),
        ("DELETE FROM leaves WHERE sequence = 3", 3),
        ("DELETE FROM leaves WHERE sequence = 4", 4),
    ] {
        let dir = tempfile::tempdir().expect("a scratch directory");
        directory(dir.path(), 5).await;
        tamper(dir.path(), sql);
        let (code, report, err) = verify(dir.path(), &[]);
        assert_eq!((code, &report["intact"]), (1, &false.into()), "{sql}: {err}");
        assert_eq!(report["first_bad"]["index"], first_bad, "{sql}: {report}");
        assert!(err.contains(&format!("first bad index {first_bad}")), "{err}");
    }
}

#[tokio::test]
async fn a_foreign_key_and_a_foreign_directory_are_refused() {
    let dir = tempfile::tempdir().expect("a scratch directory");
    directory(dir.path(), 2).await;
    let other = audit::SigningKey::from_bytes(&[9; 32]).verifying_key().to_string();
    let (code, ..) = verify(dir.path(), &["--key", &other]);
    assert_eq!(code, 1);
    let (code, ..) = verify(dir.path(), &["--key", "nonsense"]);
    assert_eq!(code, 2);
    let empty = tempfile::tempdir().expect("a scratch directory");
    let (code, _, err) = verify(empty.path(), &[]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(std::fs::read_dir(empty.path()).expect("readable").count(), 0, "verifying writes nothing");
}
