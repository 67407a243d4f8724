//! Opens a data directory: alone, private, with a database, keys and an audit log that belong together.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use audit::{Frontier, SignedHead, SigningKey, VerifyingKey};
use crash::Point;
use model::Clock;
use model::sabotage::{self, Bug};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::{Options, tree};
use crate::files::{self, Files};
use crate::query::StoreError;

/// The database's name in the data directory.
pub(crate) const DATABASE: &str = "omnihub.db";
/// Where the newest tree head lies outside the database.
pub(crate) const HEAD_FILE: &str = "audit/head.json";
/// Where the public half of the audit key lies, for whoever checks a copy.
pub(crate) const PUBLIC_KEY_FILE: &str = "audit/public.key";
/// The lock file's name.
pub(crate) const LOCK_FILE: &str = "omnihub.lock";
/// Largest head file, in bytes.
pub(crate) const HEAD_FILE_BYTES_MAX: u64 = 4096;

/// Steps of the schema; each is applied once, in order. Only ever add at the end.
const MIGRATIONS: [&str; 6] = [
    include_str!("../../migrations/0001_start.sql"),
    include_str!("../../migrations/0002_snapshots.sql"),
    include_str!("../../migrations/0003_leadership.sql"),
    include_str!("../../migrations/0004_children.sql"),
    include_str!("../../migrations/0005_running.sql"),
    include_str!("../../migrations/0006_due_by_tenant.sql"),
];
/// SQLite before 3.51.3 can lose commits when a log is checkpointed while it is written.
const SQLITE_MIN: i32 = 3_051_003;
/// Prepared statements kept by each connection.
const STATEMENTS_MAX: usize = 64;

/// Why a data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory could not be used.
    #[error("`{path}` cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has the directory open.
    #[error("`{path}` is in use by process {holder}; stop it first, or choose another data directory")]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Process id of the holder, or `unknown`.
        holder: String,
    },
    /// SQLite is too old to be trusted.
    #[error("SQLite {0} is too old; 3.51.3 or later is needed")]
    OldSqlite(&'static str),
    /// The database was written by a later version.
    #[error("the database has schema {found}, this version knows {known}; use a later version of omnihub")]
    NewerSchema {
        /// Schema of the database.
        found: i64,
        /// Newest schema that is known.
        known: usize,
    },
    /// The key that sealed or signed what is stored is gone.
    #[error("`{0}` is missing but the database exists; restore it from a backup")]
    KeyMissing(PathBuf),
    /// The audit log is not what its newest signed head says.
    #[error("the audit log is not whole: {0}; run `omnihub audit verify` on this directory")]
    Audit(String),
    /// The database was made before pages had checksums.
    #[error("the pages of `{0}` have no checksums; start with an empty data directory")]
    NoChecksums(PathBuf),
    /// Something that is stored changed on the disk.
    #[error("damaged on the disk: {0}; restore the data directory from a backup")]
    Damaged(String),
    /// There is no room.
    #[error("the disk is full: {0}; make room and start again")]
    Full(String),
    /// The database could not be used.
    #[error("the database cannot be used: {0}")]
    Database(String),
}

impl OpenError {
    /// True when there was no room: nothing is wrong with the directory itself.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::File { source, .. } => files::is_full(source),
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match StoreError::from(error) {
            StoreError::Corrupt(what) => Self::Damaged(what),
            StoreError::Full(what) => Self::Full(what),
            StoreError::Failed(what) | StoreError::Stopped(what) | StoreError::Cursor(what) => {
                Self::Database(what)
            }
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Audit(error.to_string())
    }
}

/// Everything that opening finds.
pub(crate) struct Opened {
    pub(crate) lock: File,
    pub(crate) db: Connection,
    pub(crate) audit_key: SigningKey,
    pub(crate) plan_key: SigningKey,
    pub(crate) secret_key: [u8; 32],
    pub(crate) frontier: Frontier,
    pub(crate) head: SignedHead,
    /// The lease of the newest leader; 0 when nobody ever led.
    pub(crate) lease: u64,
}

/// Opens a data directory for writing, or makes a new one.
pub(crate) fn open(directory: &Path, clock: &dyn Clock, options: &Options) -> Result<Opened, OpenError> {
    if rusqlite::version_number() < SQLITE_MIN {
        return Err(OpenError::OldSqlite(rusqlite::version()));
    }
    let files = Files { watch: options.watch.clone() };
    for part in ["", "blobs", "keys", "audit"] {
        let path = directory.join(part);
        files.private_directory(&path).map_err(|source| OpenError::File { path, source })?;
    }
    let lock = take_lock(directory)?;
    let mut db = connect(&directory.join(DATABASE), OpenFlags::default(), options.vfs.as_deref())?;
    pages::reserve(&db).map_err(|_| OpenError::NoChecksums(directory.join(DATABASE)))?;
    tune_writer(&db)?;
    let schema: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len();
    let applied = usize::try_from(schema).ok().filter(|applied| *applied <= known);
    let applied = applied.ok_or(OpenError::NewerSchema { found: schema, known })?;
    let audit_key = SigningKey::from_bytes(&key(&files, directory, "keys/audit.key", applied == 0)?);
    let secret_key = key(&files, directory, "keys/secrets.key", applied == 0)?;
    // A new one makes every seal of an older one void: what was approved has to be approved again.
    let plan_key = SigningKey::from_bytes(&key(&files, directory, "keys/plans.key", true)?);
    migrate(&mut db, applied)?;
    let (frontier, head) = check_log(&db, directory, &audit_key, clock)?;
    // Only once the key is known to be the one that signed the log.
    publish_key(&files, directory, &audit_key.verifying_key())?;
    let lease = leadership(&db)?;
    Ok(Opened { lock, db, audit_key, plan_key, secret_key, frontier, head, lease })
}

/// A database file with the settings of a store's and nothing in it, to measure what they cost on this machine. Its log is
/// folded after as many frames as a store's.
pub fn bare_database(path: &Path) -> Result<Connection, OpenError> {
    let db = connect(path, OpenFlags::default(), None)?;
    pages::reserve(&db).map_err(|_| OpenError::NoChecksums(path.to_owned()))?;
    tune_writer(&db)?;
    db.pragma_update(None, "wal_autocheckpoint", Options::default().log_pages)?;
    Ok(db)
}

/// A connection that checks every page it reads, over a layer of the file system or SQLite's own.
pub(crate) fn connect(path: &Path, flags: OpenFlags, vfs: Option<&str>) -> rusqlite::Result<Connection> {
    let layer = pages::register(vfs).map_err(|refused| {
        let code = rusqlite::ffi::Error::new(refused.0);
        rusqlite::Error::SqliteFailure(code, Some(refused.to_string()))
    })?;
    Connection::open_with_flags_and_vfs(path, flags, layer)
}

/// A connection that only reads, beside the writer.
pub(crate) fn open_reader(path: &Path, vfs: Option<&str>) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = connect(path, flags, vfs)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "cache_size", -8192)?;
    db.pragma_update(None, "trusted_schema", false)?;
    keep_plans(&db)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(db)
}

/// Plans do not depend on the values that are bound. Otherwise SQLite plans a kept statement anew at each use, wherever a
/// value might let it choose a partial index: measured at a tenth of all processor time while timers fire.
fn keep_plans(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn take_lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let failed = |source| OpenError::File { path: path.clone(), source };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let read = file.take(32).read_to_string(&mut holder);
            let known = read.is_ok() && !holder.trim().is_empty();
            let holder = if known { holder.trim().to_owned() } else { "unknown".to_owned() };
            return Err(OpenError::InUse { path: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let sign = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    sign(&mut file).map_err(failed)?;
    Ok(file)
}

fn tune_writer(db: &Connection) -> Result<(), OpenError> {
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.pragma_update(None, "page_size", 4096)?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::Database(format!(
            "journal mode is `{mode}`, not `wal`; use a local file system"
        )));
    }
    db.pragma_update(None, "synchronous", if sabotage::is(Bug::SkipSync) { "off" } else { "full" })?;
    // The writer takes every key from the row that it has just found or made in the same transaction: looking each one up
    // once more opens another table for every row. A test checks the keys of all that it can write.
    db.pragma_update(None, "foreign_keys", false)?;
    // Whenever an index was balanced, SQLite looks at every page that it holds when the group is committed: what it holds is
    // what groups write to and little more, and the rest is in the machine's memory.
    db.pragma_update(None, "cache_size", -8_192)?;
    db.pragma_update(None, "temp_store", "memory")?;
    db.pragma_update(None, "trusted_schema", false)?;
    // The writer folds the log itself, to hear of failures.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "journal_size_limit", 64 << 20)?;
    keep_plans(db)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

fn key(files: &Files, directory: &Path, name: &str, create: bool) -> Result<[u8; 32], OpenError> {
    let path = directory.join(name);
    files.key(&path, create).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => OpenError::KeyMissing(path),
        _ => OpenError::File { path, source },
    })
}

fn publish_key(files: &Files, directory: &Path, key: &VerifyingKey) -> Result<(), OpenError> {
    let path = directory.join(PUBLIC_KEY_FILE);
    let text = format!("{key}\n");
    if files::read_limited(&path, 128).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    files.replace(&path, text.as_bytes()).map_err(|source| OpenError::File { path, source })
}

fn leadership(db: &Connection) -> Result<u64, OpenError> {
    let sql = "SELECT lease FROM leadership WHERE id = 1";
    let found: Option<i64> = db.query_row(sql, [], |row| row.get(0)).optional()?;
    u64::try_from(found.unwrap_or(0))
        .map_err(|_| OpenError::Database("the leadership lease is below zero".to_owned()))
}

fn migrate(db: &mut Connection, applied: usize) -> Result<(), OpenError> {
    for (number, sql) in MIGRATIONS.iter().enumerate().skip(applied) {
        let change = db.transaction()?;
        change.execute_batch(sql)?;
        change.pragma_update(None, "user_version", (number + 1).cast_signed() as i64)?;
        crash::at(Point::Migration);
        change.commit()?;
        crash::at(Point::Migrated);
    }
    Ok(())
}

/// Finds the tree's right edge, and holds it against the newest heads inside and outside the database.
fn check_log(
    db: &Connection,
    directory: &Path,
    key: &SigningKey,
    clock: &dyn Clock,
) -> Result<(Frontier, SignedHead), OpenError> {
    let size = tree::size(db)?;
    let frontier = tree::frontier(db, size)?;
    let outside = read_head_file(directory)?;
    let head = match tree::last_head(db)? {
        Some(head) => head,
        None if size == 0 && outside.is_none() => {
            let head = key.sign(0, frontier.root(), clock.now());
            tree::put_head(db, &head)?;
            head
        }
        None => return Err(OpenError::Audit("there is no signed head".to_owned())),
    };
    if head.size != size {
        return Err(OpenError::Audit(format!("there are {size} leaves, the newest head says {}", head.size)));
    }
    for head in outside.iter().chain([&head]) {
        if head.size > size {
            return Err(OpenError::Audit(format!(
                "`{HEAD_FILE}` says {} leaves, there are {size}",
                head.size
            )));
        }
        if !key.verifying_key().accepts(head) {
            return Err(OpenError::Audit(format!(
                "the head of {} leaves is not signed by our key",
                head.size
            )));
        }
        if tree::frontier(db, head.size)?.root() != head.root {
            return Err(OpenError::Audit(format!("the leaves differ from the head of {} leaves", head.size)));
        }
    }
    Ok((frontier, head))
}

/// The newest head outside the database, when there is one.
pub(crate) fn read_head_file(directory: &Path) -> Result<Option<SignedHead>, OpenError> {
    let path = directory.join(HEAD_FILE);
    match files::read_limited(&path, HEAD_FILE_BYTES_MAX) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| OpenError::Audit(format!("`{HEAD_FILE}` is not a tree head: {error}"))),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::File { path, source }),
    }
}
