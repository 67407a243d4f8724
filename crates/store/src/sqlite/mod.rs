//! SQLite behind the port: one writer thread, a few readers.

mod apply;
mod due;
mod known;
mod later;
pub(crate) mod open;
mod port;
mod prepare;
mod read;
mod readers;
pub(crate) mod tree;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use audit::{SigningKey, VerifyingKey};
use model::Clock;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::batch::{Batch, CommitError, Committed};
use crate::files::{FileWatch, Files};
use crate::query::StoreError;
use crate::secrets::Sealer;
use open::{DATABASE, HEAD_FILE, OpenError, open};
use prepare::{Prepared, prepare};
use readers::Readers;
use writer::{Command, Gauges, QUEUE_BYTES_MAX, QUEUE_CALLS_MAX, Writer};

/// A commit keeps its caller's thread only while commits take no longer than this: others wait for that thread.
const AT_ONCE_MICROS_MAX: u64 = 400;
/// Most batches of one call.
const CALL_BATCHES_MAX: usize = 1024;

/// A data directory, open: `omnihub.db`, `blobs/`, `keys/`, `audit/`. Nobody else can open it meanwhile.
///
/// Dropping it finishes what is queued, and then closes.
pub struct SqliteStore {
    directory: PathBuf,
    /// Dropped before the pen: the last one who closes folds the log into the database, and these only read.
    readers: Readers,
    pen: Pen,
    files: Files,
    sealer: Sealer,
    audit_key: VerifyingKey,
    plan_key: SigningKey,
    signing_key: SigningKey,
    gauges: Arc<Gauges>,
    /// Held until everything else is closed: fields are dropped in this order.
    _lock: File,
}

/// How a store is opened, besides where. The default is what is shipped.
#[derive(Debug, Clone)]
pub struct Options {
    /// The layer under SQLite, by the name that it is registered with; none for SQLite's own. For tests of what a
    /// disk can do.
    pub vfs: Option<String>,
    /// Hears of files beside the database. For the same tests.
    pub watch: Option<Arc<dyn FileWatch>>,
    /// Everything happens on the caller's thread, so that one thread and one seed decide the whole order. No future of
    /// such a store ever waits, and each call is a group of its own.
    pub inline: bool,
    /// Pages of the write-ahead log after which it is folded into the database.
    pub log_pages: u32,
}

impl Default for Options {
    fn default() -> Self {
        // 16 MiB of log: fewer, larger checkpoints in the way of commits.
        Self { vfs: None, watch: None, inline: false, log_pages: 4096 }
    }
}

/// Who writes.
enum Pen {
    /// A thread of its own; both are none only while the store is being dropped.
    Thread {
        commands: Option<SyncSender<Command>>,
        thread: Option<JoinHandle<()>>,
        /// Locked by the thread while it writes a group, and by whoever writes a lone one: see `at_once`.
        writer: Arc<Mutex<Writer>>,
    },
    /// Whoever calls. The channel stays empty.
    Inline(Box<Mutex<(Writer, Receiver<Command>)>>),
}

/// How the store does, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of the database and its log.
    pub database_bytes: u64,
    /// Calls that wait for the writer.
    pub queue_calls: usize,
    /// Encoded bytes that wait for the writer.
    pub queue_bytes: usize,
    /// Batches of the group that was committed last.
    pub last_group: usize,
    /// Groups committed since the store was opened.
    pub groups: u64,
    /// True when nothing is accepted any more because the database failed.
    pub stopped: bool,
}

impl SqliteStore {
    /// Opens a data directory, or makes a new one.
    pub fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        Self::open_with(directory, clock, Options::default())
    }

    /// As [`SqliteStore::open`], without any thread: see [`Options::inline`].
    pub fn open_inline(directory: &Path, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        Self::open_with(directory, clock, Options { inline: true, ..Options::default() })
    }

    /// As [`SqliteStore::open`], in another way than what is shipped.
    pub fn open_with(
        directory: &Path,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        let opened = open(directory, &*clock, &options)?;
        let readers = Readers::open(&directory.join(DATABASE), &options)?;
        let files = Files { watch: options.watch };
        let gauges = Arc::new(Gauges::default());
        let (audit_key, signing_key) = (opened.audit_key.verifying_key(), opened.audit_key.clone());
        let writer = Writer {
            db: opened.db,
            clock,
            key: opened.audit_key,
            frontier: opened.frontier,
            head: opened.head,
            lease: opened.lease,
            head_file: directory.join(HEAD_FILE),
            files: files.clone(),
            log_pages: options.log_pages,
            gauges: Arc::clone(&gauges),
            known: known::Known::default(),
            stopped: None,
        };
        let (sender, receiver) = sync_channel(QUEUE_CALLS_MAX);
        let pen = if options.inline {
            Pen::Inline(Box::new(Mutex::new((writer, receiver))))
        } else {
            let writer = Arc::new(Mutex::new(writer));
            let shared = Arc::clone(&writer);
            let thread = std::thread::Builder::new()
                .name("store-writer".to_owned())
                .spawn(move || Writer::run(&shared, &receiver))
                .map_err(|source| OpenError::File { path: directory.to_owned(), source })?;
            Pen::Thread { commands: Some(sender), thread: Some(thread), writer }
        };
        Ok(Arc::new(Self {
            directory: directory.to_owned(),
            pen,
            files,
            readers,
            sealer: Sealer::new(&opened.secret_key),
            audit_key,
            plan_key: opened.plan_key,
            signing_key,
            gauges,
            _lock: opened.lock,
        }))
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The key that checks the audit log's heads; pin it outside this machine.
    pub fn audit_key(&self) -> &VerifyingKey {
        &self.audit_key
    }

    /// How the store does.
    pub fn stats(&self) -> Stats {
        let bytes = |suffix: &str| {
            let path = self.directory.join(format!("{DATABASE}{suffix}"));
            path.metadata().map_or(0, |found| found.len())
        };
        Stats {
            database_bytes: bytes("") + bytes("-wal"),
            queue_calls: self.gauges.queued_calls.load(Ordering::Relaxed),
            queue_bytes: self.gauges.queued_bytes.load(Ordering::Relaxed),
            last_group: self.gauges.last_group.load(Ordering::Relaxed),
            groups: self.gauges.groups.load(Ordering::Relaxed),
            stopped: self.gauges.stopped.load(Ordering::Relaxed),
        }
    }

    /// Encodes here, on the caller's thread; the writer only writes.
    async fn commit_batches(&self, batches: Vec<Batch>) -> Vec<Result<Committed, CommitError>> {
        let count = batches.len();
        if count == 0 {
            return Vec::new();
        }
        if count > CALL_BATCHES_MAX {
            return vec![Err(CommitError::Overloaded); count];
        }
        let mut refused = Vec::new();
        let mut prepared = Vec::with_capacity(count);
        for (position, batch) in batches.into_iter().enumerate() {
            match prepare(batch) {
                Ok(batch) => prepared.push(batch),
                Err(error) => refused.push((position, error)),
            }
        }
        let mut answers = self.commit_prepared(prepared).await;
        for (position, error) in refused {
            answers.insert(position, Err(error));
        }
        answers
    }

    /// Runs work on files where it may wait: on a blocking thread, or here when the store is inline.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if matches!(self.pen, Pen::Inline(_)) {
            return work();
        }
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| StoreError::Failed(format!("file work ended early: {error}")))?
    }

    async fn commit_prepared(&self, batches: Vec<Prepared>) -> Vec<Result<Committed, CommitError>> {
        let count = batches.len();
        let all = |error: CommitError| vec![Err(error); count];
        if count == 0 {
            return Vec::new();
        }
        let bytes = batches.iter().map(|batch| batch.bytes).sum();
        let waiting = self.gauges.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > QUEUE_BYTES_MAX {
            self.gauges.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return all(CommitError::Overloaded);
        }
        let (reply, answer) = oneshot::channel();
        let sent = match self.at_once(Command::Commit { batches, bytes, reply }) {
            Some(command) => self.send(command),
            None => Ok(()),
        };
        if let Err(error) = sent {
            self.gauges.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return all(error);
        }
        match answer.await {
            Ok((answers, _written)) => answers,
            Err(_) => all(CommitError::Failed(WRITER_ENDED.to_owned())),
        }
    }

    /// Commits on the caller's thread when nobody else writes and the disk is fast: an execution that is alone then waits
    /// for the disk and not for two threads to be woken. Answers the command when it has to queue up.
    fn at_once(&self, command: Command) -> Option<Command> {
        let Pen::Thread { writer, .. } = &self.pen else { return Some(command) };
        let alone = self.gauges.queued_calls.load(Ordering::Relaxed) == 0
            && self.gauges.last_group.load(Ordering::Relaxed) <= 1
            && self.gauges.last_micros.load(Ordering::Relaxed) <= AT_ONCE_MICROS_MAX;
        let Some(mut writer) = writer.try_lock().filter(|_| alone) else { return Some(command) };
        self.gauges.queued_calls.fetch_add(1, Ordering::Relaxed);
        writer.take_group(command, || None);
        None
    }

    fn send(&self, command: Command) -> Result<(), CommitError> {
        let ended = || CommitError::Failed(WRITER_ENDED.to_owned());
        let commands = match &self.pen {
            Pen::Thread { commands, .. } => commands.as_ref().ok_or_else(ended)?,
            Pen::Inline(writer) => {
                self.gauges.queued_calls.fetch_add(1, Ordering::Relaxed);
                let (writer, nothing) = &mut *writer.lock();
                writer.take_group(command, || nothing.try_recv().ok());
                return Ok(());
            }
        };
        self.gauges.queued_calls.fetch_add(1, Ordering::Relaxed);
        commands.try_send(command).map_err(|error| {
            self.gauges.queued_calls.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => CommitError::Overloaded,
                TrySendError::Disconnected(_) => ended(),
            }
        })
    }
}

const WRITER_ENDED: &str = "the writer has ended; restart omnihub";

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.close();
        match &mut self.pen {
            Pen::Thread { commands, thread, .. } => {
                *commands = None;
                if let Some(thread) = thread.take()
                    && thread.join().is_err()
                {
                    tracing::error!("the store's writer ended by a panic");
                }
            }
            Pen::Inline(writer) => {
                writer.get_mut().0.write_head_file();
            }
        }
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("directory", &self.directory).finish_non_exhaustive()
    }
}
