//! Checks the audit log of a data directory, or of a copy, without writing to it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use audit::{Report, Verifier, VerifyingKey};
use rusqlite::{Connection, OpenFlags};

use crate::codec::correlation_key;
use crate::files;
use crate::query::StoreError;
use crate::sqlite::open::{DATABASE, LOCK_FILE, PUBLIC_KEY_FILE, connect, read_head_file};
use crate::sqlite::tree::{self, count};

/// Why a log could not be checked at all. A log that was checked and is bad is a [`Report`].
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file could not be read.
    #[error("`{path}` cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no key to check signatures with.
    #[error("`{0}` holds no public key; give the key that was pinned")]
    Key(PathBuf),
    /// The head file or the database makes no sense.
    #[error("the log cannot be read: {0}")]
    Unreadable(String),
}

impl From<rusqlite::Error> for VerifyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Checks every leaf of a data directory against every signed head, the one outside the database included.
///
/// Works on a directory in use, on a copy, and on one that cannot be written; changes nothing there. Without a
/// `pinned` key the directory's own public key is used: this finds damage and tampering by whoever has not the
/// signing key, but only a key that was pinned elsewhere finds a log that was signed anew as a whole.
pub fn verify_directory(directory: &Path, pinned: Option<VerifyingKey>) -> Result<Report, VerifyError> {
    let key = match pinned {
        Some(key) => key,
        None => own_key(directory)?,
    };
    // The file is read first: a log in use only grows after it.
    let outside = read_head_file(directory).map_err(|error| VerifyError::Unreadable(error.to_string()))?;
    let database = open_unchanged(directory)?;
    let db = &database.db;
    let snapshot = db.unchecked_transaction()?;
    let mut heads = tree::heads(db)?;
    heads.extend(outside);
    let report = verify(db, Verifier::new(heads, key));
    drop(snapshot);
    report
}

fn verify(db: &Connection, mut verifier: Verifier) -> Result<Report, VerifyError> {
    let sql = "SELECT sequence, hash, bytes, correlation, tenants.id FROM leaves \
               LEFT JOIN tenants ON tenants.key = leaves.tenant ORDER BY sequence";
    let mut select = db.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        // A hash or bytes of another shape are wrong like any other: an empty one never matches.
        let hash: [u8; 32] = row.get(1).unwrap_or_default();
        let bytes = row.get_ref(2)?.as_bytes().unwrap_or_default();
        if !verifier.push(count(row.get(0)?), bytes, &hash) {
            break;
        }
        let beside = (row.get_ref(3)?.as_i64().ok(), row.get_ref(4)?.as_str().ok());
        let told = audit::read_leaf(bytes).is_some_and(|(_, record)| {
            beside == (Some(correlation_key(&record.correlation)), Some(record.tenant.as_str()))
        });
        if !told {
            verifier.refuse_last("its search columns differ from its bytes".to_owned());
            break;
        }
    }
    Ok(verifier.finish())
}

fn own_key(directory: &Path) -> Result<VerifyingKey, VerifyError> {
    let path = directory.join(PUBLIC_KEY_FILE);
    let text =
        files::read_limited(&path, 128).map_err(|source| VerifyError::File { path: path.clone(), source })?;
    let text = std::str::from_utf8(&text).map_err(|_| VerifyError::Key(path.clone()))?;
    VerifyingKey::parse(text).map_err(|_| VerifyError::Key(path))
}

/// A database opened without touching its directory.
struct Unchanged {
    db: Connection,
    _copy: Option<PrivateCopy>,
}

/// Chooses how to read without writing: beside the process that has it open; as it lies when nothing is left in the
/// write-ahead log; and from a private copy otherwise, because reading a log that was left behind writes.
fn open_unchanged(directory: &Path) -> Result<Unchanged, VerifyError> {
    let path = directory.join(DATABASE);
    let log = directory.join(format!("{DATABASE}-wal"));
    if !path.is_file() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(VerifyError::File { path, source });
    }
    if in_use(directory) {
        return Ok(Unchanged { db: read_only(&path, "")?, _copy: None });
    }
    if log.metadata().is_ok_and(|found| found.len() > 0) {
        let copy = PrivateCopy::make(&path, &log)?;
        let db = connect(&copy.0.join(DATABASE), OpenFlags::default(), None)?;
        return Ok(Unchanged { db, _copy: Some(copy) });
    }
    Ok(Unchanged { db: read_only(&path, "&immutable=1")?, _copy: None })
}

fn in_use(directory: &Path) -> bool {
    let lock = File::open(directory.join(LOCK_FILE));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn read_only(path: &Path, options: &str) -> Result<Connection, VerifyError> {
    let path =
        std::path::absolute(path).map_err(|source| VerifyError::File { path: path.to_owned(), source })?;
    let text =
        path.to_str().ok_or_else(|| VerifyError::Unreadable(format!("`{}` is not UTF-8", path.display())))?;
    let text = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(connect(Path::new(&format!("file:{text}?mode=ro{options}")), flags, None)?)
}

/// A directory of our own that is removed again.
struct PrivateCopy(PathBuf);

impl PrivateCopy {
    fn make(database: &Path, log: &Path) -> Result<Self, VerifyError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| VerifyError::File { path, source }
        };
        let name = files::random_hex().map_err(failed(database))?;
        let directory = std::env::temp_dir().join(format!("omnihub-verify-{name}"));
        files::Files::default().private_directory(&directory).map_err(failed(&directory))?;
        let copy = Self(directory);
        for (from, to) in [(database, DATABASE.to_owned()), (log, format!("{DATABASE}-wal"))] {
            let mut source = File::open(from).map_err(failed(from))?;
            let to = copy.0.join(to);
            let mut target = File::create_new(&to).map_err(failed(&to))?;
            std::io::copy(&mut source, &mut target).map_err(failed(&to))?;
        }
        Ok(copy)
    }
}

/// A data directory that nobody uses, once more, so that it can be opened without changing anything in it. Blobs and
/// keys are not copied but linked to: they are only read.
pub struct StoppedCopy(PrivateCopy);

impl StoppedCopy {
    /// Copies the database. Refuses a directory that a server has open.
    pub fn make(directory: &Path) -> Result<Self, VerifyError> {
        if in_use(directory) {
            let text = "a server has it open; stop the server, or ask it: leave the directory out";
            return Err(VerifyError::Unreadable(text.to_owned()));
        }
        let directory = std::path::absolute(directory)
            .map_err(|source| VerifyError::File { path: directory.to_owned(), source })?;
        let (database, log) = (directory.join(DATABASE), directory.join(format!("{DATABASE}-wal")));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| VerifyError::File { path, source }
        };
        let name = files::random_hex().map_err(failed(&database))?;
        let target = std::env::temp_dir().join(format!("omnihub-verify-{name}"));
        files::Files::default().private_directory(&target).map_err(failed(&target))?;
        let copy = PrivateCopy(target);
        for file in [&database, &log] {
            if *file == log && !log.is_file() {
                continue;
            }
            let to = copy.0.join(file.file_name().unwrap_or_default());
            let mut source = File::open(file).map_err(failed(file))?;
            let mut written = File::create_new(&to).map_err(failed(&to))?;
            std::io::copy(&mut source, &mut written).map_err(failed(&to))?;
        }
        for part in ["keys", "audit"] {
            let own = copy.0.join(part);
            files::Files::default().private_directory(&own).map_err(failed(&own))?;
            let from = directory.join(part);
            for entry in std::fs::read_dir(&from).map_err(failed(&from))? {
                let entry = entry.map_err(failed(&from))?;
                let to = own.join(entry.file_name());
                // What the log writes beside itself is written in the copy only.
                let done = if part == "keys" {
                    std::os::unix::fs::symlink(entry.path(), &to)
                } else {
                    std::fs::copy(entry.path(), &to).map(drop)
                };
                done.map_err(failed(&to))?;
            }
        }
        let blobs = copy.0.join("blobs");
        if directory.join("blobs").is_dir() {
            std::os::unix::fs::symlink(directory.join("blobs"), &blobs).map_err(failed(&blobs))?;
        }
        Ok(Self(copy))
    }

    /// Where the copy is.
    pub fn path(&self) -> &Path {
        &self.0.0
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "a private copy was not removed");
        }
    }
}
