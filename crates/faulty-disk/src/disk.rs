//! The disk: writes down what is done to files, in order, and refuses what a test tells it to.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use store::{FileAct, FileWatch};

use crate::layer;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A name for a new, empty file.
    Create {
        /// The name.
        path: PathBuf,
        /// The file.
        file: usize,
    },
    /// A directory.
    MakeDirectory(PathBuf),
    /// Bytes at a place.
    Write {
        /// Of which file.
        file: usize,
        /// From where.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A new length.
    Truncate {
        /// Of which file.
        file: usize,
        /// Its length.
        length: u64,
    },
    /// What was written to a file is durable.
    Sync(usize),
    /// A sync that failed: what was written is not durable, and no later sync will make it so.
    SyncFailed(usize),
    /// A name moved.
    Rename {
        /// From here.
        from: PathBuf,
        /// To there.
        to: PathBuf,
    },
    /// A name is gone.
    Remove(PathBuf),
    /// The names in a directory are durable.
    SyncDirectory(PathBuf),
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Bytes are read (of the database and its log only).
    Read,
    /// Bytes are written.
    Write,
    /// A file is cut.
    Truncate,
    /// A file is synchronized.
    Sync,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// EIO.
    Io,
    /// ENOSPC; of a write so many eighths arrive.
    NoSpace(u8),
    /// EIO, after so many eighths arrived.
    Torn(u8),
    /// Fewer bytes than asked for: so many eighths.
    ShortRead(u8),
}

/// Makes something fail.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What.
    pub on: On,
    /// The end of the file's name, for example `omnihub.db-wal`; empty for any.
    pub name: &'static str,
    /// So many of these go well first.
    pub after: u64,
    /// So many fail then.
    pub times: u64,
    /// How.
    pub fault: Fault,
}

/// What the disk says to the layer.
pub(crate) enum Answer {
    GoOn,
    Fail { code: c_int, share: u8 },
}

/// A directory tree whose every change is written down.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    number: i64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    log: Vec<Act>,
    names: BTreeMap<PathBuf, usize>,
    files: usize,
    /// Opened files: which, its name, and whether its first sync makes the directory's names durable too.
    handles: Vec<(usize, PathBuf, bool)>,
    rules: Vec<Rule>,
    /// How often each kind of rule applied.
    refused: u64,
}

/// Disks of this process by root.
static DISKS: Mutex<Vec<Arc<Disk>>> = Mutex::new(Vec::new());
/// The number of the next disk.
static NUMBERS: AtomicI64 = AtomicI64::new(1);
/// Handles of a disk: more than any test opens.
const HANDLES: i64 = 1 << 32;

impl Disk {
    /// Watches a directory, which must be empty or absent. Ends with [`Disk::forget`].
    pub fn over(root: &Path) -> Arc<Self> {
        layer::register();
        // Never the number of an earlier one: whoever still has a file of that one open must not write to this one.
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let disk = Arc::new(Self { root: root.to_owned(), number, inner: Mutex::default() });
        DISKS.lock().push(Arc::clone(&disk));
        disk
    }

    /// Watches a directory with whatever lies in it, which counts as synchronized. Ends with [`Disk::forget`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn holding(root: &Path) -> Result<Arc<Self>, io::Error> {
        let disk = Self::over(root);
        if root.is_dir() {
            let mut inner = disk.inner.lock();
            let log = &mut inner.log;
            log.push(Act::MakeDirectory(root.to_owned()));
            log.extend(root.parent().map(|above| Act::SyncDirectory(above.to_owned())));
            inner.take_in(root)?;
        }
        Ok(disk)
    }

    /// How a store is opened on this disk.
    pub fn options(self: &Arc<Self>) -> store::Options {
        store::Options {
            vfs: Some(layer::VFS.to_owned()),
            watch: Some(Arc::clone(self) as _),
            ..store::Options::default()
        }
    }

    /// Watches no longer.
    pub fn forget(&self) {
        DISKS.lock().retain(|disk| disk.number != self.number);
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// How much was written down so far.
    pub fn now(&self) -> usize {
        self.inner.lock().log.len()
    }

    /// Everything that was written down.
    pub fn log(&self) -> Vec<Act> {
        self.inner.lock().log.clone()
    }

    /// From here on this fails too.
    pub fn refuse(&self, rule: Rule) {
        self.inner.lock().rules.push(rule);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.inner.lock().rules.clear();
    }

    /// How often something was refused.
    pub fn refused(&self) -> u64 {
        self.inner.lock().refused
    }

    pub(crate) fn of(path: &Path) -> Option<Arc<Self>> {
        DISKS.lock().iter().find(|disk| path.starts_with(&disk.root)).cloned()
    }

    pub(crate) fn of_handle(handle: i64) -> Option<Arc<Self>> {
        DISKS.lock().iter().find(|disk| disk.number == handle / HANDLES).cloned()
    }

    /// A file is opened by SQLite; answers its handle, 0 for one that is not there.
    pub(crate) fn opened(&self, path: &Path, create: bool, log: bool) -> i64 {
        let mut inner = self.inner.lock();
        let known = inner.names.get(path).copied();
        let file = match known {
            Some(file) => file,
            None if create => inner.create(path),
            None => return 0,
        };
        inner.handles.push((file, path.to_owned(), log && create));
        self.number * HANDLES + i64::try_from(inner.handles.len() - 1).unwrap_or(0)
    }

    pub(crate) fn deleted(&self, path: &Path, sync: bool) {
        let mut inner = self.inner.lock();
        if inner.names.remove(path).is_none() {
            return;
        }
        inner.log.push(Act::Remove(path.to_owned()));
        if sync && let Some(directory) = path.parent() {
            inner.log.push(Act::SyncDirectory(directory.to_owned()));
        }
    }

    pub(crate) fn read(&self, handle: i64) -> Answer {
        let mut inner = self.inner.lock();
        let Some((_, name, _)) = inner.handle(handle) else { return Answer::GoOn };
        inner.judge(On::Read, &name)
    }

    pub(crate) fn write(&self, handle: i64, offset: u64, bytes: &[u8]) -> Answer {
        let mut inner = self.inner.lock();
        let Some((file, name, _)) = inner.handle(handle) else { return Answer::GoOn };
        let answer = inner.judge(On::Write, &name);
        let arrived = match answer {
            Answer::GoOn => bytes.len(),
            Answer::Fail { share, .. } => bytes.len() / 8 * usize::from(share),
        };
        if let Some(bytes) = bytes.get(..arrived).filter(|bytes| !bytes.is_empty()) {
            inner.log.push(Act::Write { file, offset, bytes: bytes.into() });
        }
        answer
    }

    pub(crate) fn truncate(&self, handle: i64, length: u64) -> Answer {
        let mut inner = self.inner.lock();
        let Some((file, name, _)) = inner.handle(handle) else { return Answer::GoOn };
        let answer = inner.judge(On::Truncate, &name);
        if matches!(answer, Answer::GoOn) {
            inner.log.push(Act::Truncate { file, length });
        }
        answer
    }

    pub(crate) fn sync(&self, handle: i64) -> Answer {
        let mut inner = self.inner.lock();
        let Some((file, name, directory_too)) = inner.handle(handle) else { return Answer::GoOn };
        let answer = inner.judge(On::Sync, &name);
        if matches!(answer, Answer::Fail { .. }) {
            inner.log.push(Act::SyncFailed(file));
            return answer;
        }
        inner.log.push(Act::Sync(file));
        if directory_too {
            let place = usize::try_from(handle % HANDLES).unwrap_or(usize::MAX);
            if let Some(handle) = inner.handles.get_mut(place) {
                handle.2 = false;
            }
            if let Some(directory) = name.parent() {
                inner.log.push(Act::SyncDirectory(directory.to_owned()));
            }
        }
        answer
    }
}

impl FileWatch for Disk {
    fn before(&self, act: &FileAct<'_>) -> Result<(), io::Error> {
        let mut inner = self.inner.lock();
        let (on, path) = match act {
            FileAct::Write { path, .. } => (Some(On::Write), *path),
            FileAct::Sync(path) | FileAct::SyncDirectory(path) => (Some(On::Sync), *path),
            FileAct::MakeDirectory(path) | FileAct::Remove(path) | FileAct::Rename { from: path, .. } => {
                (None, *path)
            }
        };
        if let Some(on) = on
            && let Answer::Fail { code, .. } = inner.judge(on, path)
        {
            if let (FileAct::Sync(path), Some(file)) = (act, inner.names.get(path).copied()) {
                debug_assert!(path.starts_with(&self.root));
                inner.log.push(Act::SyncFailed(file));
            }
            let full = code == libsqlite3_sys::SQLITE_FULL;
            return Err(io::Error::from_raw_os_error(if full { 28 } else { 5 }));
        }
        match act {
            FileAct::MakeDirectory(path) => inner.log.push(Act::MakeDirectory((*path).to_owned())),
            FileAct::Write { path, bytes } => {
                let file = inner.create(path);
                inner.log.push(Act::Write { file, offset: 0, bytes: (*bytes).into() });
            }
            FileAct::Sync(path) => {
                if let Some(file) = inner.names.get(*path).copied() {
                    inner.log.push(Act::Sync(file));
                }
            }
            FileAct::Rename { from, to } => {
                if let Some(file) = inner.names.remove(*from) {
                    inner.names.insert((*to).to_owned(), file);
                    inner.log.push(Act::Rename { from: (*from).to_owned(), to: (*to).to_owned() });
                }
            }
            FileAct::Remove(path) => {
                if inner.names.remove(*path).is_some() {
                    inner.log.push(Act::Remove((*path).to_owned()));
                }
            }
            FileAct::SyncDirectory(path) => inner.log.push(Act::SyncDirectory((*path).to_owned())),
        }
        Ok(())
    }
}

impl Inner {
    /// Writes down what lies in a directory, as if it had just been made and synchronized. Shared memory is not durable.
    fn take_in(&mut self, directory: &Path) -> Result<(), io::Error> {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                self.log.push(Act::MakeDirectory(path.clone()));
                self.log.push(Act::SyncDirectory(directory.to_owned()));
                self.take_in(&path)?;
            } else if !path.to_string_lossy().ends_with("-shm") {
                let bytes = std::fs::read(&path)?;
                let file = self.create(&path);
                self.log.push(Act::Write { file, offset: 0, bytes: bytes.into() });
                self.log.push(Act::Sync(file));
            }
        }
        self.log.push(Act::SyncDirectory(directory.to_owned()));
        Ok(())
    }

    fn create(&mut self, path: &Path) -> usize {
        let file = self.files;
        self.files += 1;
        self.names.insert(path.to_owned(), file);
        self.log.push(Act::Create { path: path.to_owned(), file });
        file
    }

    fn handle(&self, handle: i64) -> Option<(usize, PathBuf, bool)> {
        self.handles.get(usize::try_from(handle % HANDLES).ok()?).cloned()
    }

    fn judge(&mut self, on: On, path: &Path) -> Answer {
        let name = path.to_string_lossy();
        let found = self.rules.iter_mut().find(|rule| rule.on == on && name.ends_with(rule.name));
        let Some(rule) = found else { return Answer::GoOn };
        if rule.after > 0 {
            rule.after -= 1;
            return Answer::GoOn;
        }
        if rule.times == 0 {
            return Answer::GoOn;
        }
        rule.times -= 1;
        self.refused += 1;
        let (code, share) = match (rule.fault, on) {
            (Fault::NoSpace(share), _) => (libsqlite3_sys::SQLITE_FULL, share),
            (Fault::ShortRead(share), _) => (libsqlite3_sys::SQLITE_IOERR_SHORT_READ, share),
            (Fault::Torn(share), _) => (libsqlite3_sys::SQLITE_IOERR_WRITE, share),
            (Fault::Io, On::Read) => (libsqlite3_sys::SQLITE_IOERR_READ, 0),
            (Fault::Io, On::Write) => (libsqlite3_sys::SQLITE_IOERR_WRITE, 0),
            (Fault::Io, On::Truncate) => (libsqlite3_sys::SQLITE_IOERR_TRUNCATE, 0),
            (Fault::Io, On::Sync) => (libsqlite3_sys::SQLITE_IOERR_FSYNC, 0),
        };
        Answer::Fail { code, share: share.min(7) }
    }
}
