//! The one writer: a thread that takes what has queued up and commits it with one `fsync`.
//!
//! The usual group has no savepoints, because every check of a batch comes before its first row. When the database
//! refuses a row all the same, the group is rolled back and done again with a savepoint around each batch, so that
//! one bad batch spoils nobody else's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use audit::{Frontier, SignedHead, SigningKey};
use crash::Point;
use model::Clock;
use model::sabotage::{self, Bug};
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, params};
use tokio::sync::oneshot;

use super::apply::{Refused, apply};
use super::known::{Known, Statements};
use super::later::Later;
use super::prepare::Prepared;
use super::tree;
use crate::batch::{CommitError, Committed};
use crate::files::Files;
use crate::query::StoreError;

/// Calls that may wait for the writer.
pub(crate) const QUEUE_CALLS_MAX: usize = 4096;
/// Encoded bytes that may wait for the writer.
pub(crate) const QUEUE_BYTES_MAX: usize = 256 << 20;
/// Batches after which a group is closed.
const GROUP_BATCHES_MAX: usize = 512;
/// Encoded bytes after which a group is closed.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// A group is waited for in naps, so many at the most, while no fewer commits than this are about to come and no more than
/// this wait.
const NAP: Duration = Duration::from_micros(100);
const NAPS_MAX: usize = 4;
const COMING_MIN: usize = 8;
const GATHERED_MAX: usize = 128;
/// Least time between two writings of the head file.
const HEAD_FILE_EVERY: Duration = Duration::from_secs(1);
/// Least time between two purges of answers that have run out, and how many go at once.
const PURGE_EVERY: Duration = Duration::from_secs(60);
const PURGE_ROWS_MAX: i64 = 1000;

/// What the writer answers to a commit.
pub(crate) type Answers = Vec<Result<Committed, CommitError>>;
/// The answers, and what was committed: it is dropped where it was made, and not by the thread that all wait for.
pub(crate) type Reply = (Answers, Vec<Prepared>);

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// Commit these, in order.
    Commit { batches: Vec<Prepared>, bytes: usize, reply: oneshot::Sender<Reply> },
    /// Take the lead: from here on only batches of the new lease are written.
    Lead { holder: String, reply: oneshot::Sender<Result<u64, StoreError>> },
    /// Write something, to show that writing works.
    Ping { reply: oneshot::Sender<Result<(), StoreError>> },
}

/// Numbers that the writer shares with the store.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) queued_calls: AtomicUsize,
    pub(crate) queued_bytes: AtomicUsize,
    pub(crate) last_group: AtomicUsize,
    pub(crate) groups: AtomicU64,
    /// How long the last group took.
    pub(crate) last_micros: AtomicU64,
    pub(crate) stopped: AtomicBool,
    /// The last write found no room.
    pub(crate) full: AtomicBool,
    /// Commits that are about to come, as far as the caller tells.
    pub(crate) coming: Arc<AtomicUsize>,
}

impl Gauges {
    /// Waits a little for commits that are about to come, when they are more than those that wait already. A group costs
    /// the same whatever its size, so larger ones leave more of a busy processor to those who decide the next steps. An
    /// idle one is not left idle: from some steps on there is something to do meanwhile, and below that nobody waits.
    fn gather(&self) {
        for _ in 0..NAPS_MAX {
            let (coming, queued) =
                (self.coming.load(Ordering::Relaxed), self.queued_calls.load(Ordering::Relaxed));
            if coming < COMING_MIN || coming <= queued || queued >= GATHERED_MAX {
                break;
            }
            std::thread::sleep(NAP);
        }
    }
}

/// The writer's own state.
pub(crate) struct Writer {
    pub(crate) db: Connection,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) key: SigningKey,
    pub(crate) frontier: Frontier,
    pub(crate) head: SignedHead,
    /// The newest lease, as the database has it: this thread is the only one that writes it.
    pub(crate) lease: u64,
    pub(crate) head_file: PathBuf,
    pub(crate) files: Files,
    /// Frames of the write-ahead log after which it is folded into the database.
    pub(crate) log_pages: u32,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) known: Known,
    /// Why nothing is written any more.
    pub(crate) stopped: Option<String>,
}

/// One commit that is part of a group.
struct Call {
    batches: Vec<Prepared>,
    reply: oneshot::Sender<Reply>,
}

/// How much of a group a database error spoils.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoils {
    Batch,
    Group,
    /// As a group: nothing of it is durable, because there was no room.
    Full,
    Store,
}

/// A group that was not committed.
struct GroupFailed {
    error: String,
    spoils: Spoils,
}

impl Writer {
    /// Works until every sender is gone. The writer is locked for as long as a group takes.
    pub(crate) fn run(writer: &Mutex<Self>, commands: &Receiver<Command>) {
        let mut head_file_at = Instant::now();
        let mut head_file_size = None;
        let mut purged_at = Instant::now();
        let gauges = Arc::clone(&writer.lock().gauges);
        loop {
            // Whoever commits on a thread of its own tells nobody: the head file is looked at in any case.
            let next = commands.recv_timeout(HEAD_FILE_EVERY.saturating_sub(head_file_at.elapsed()));
            if next.is_ok() {
                gauges.gather();
            }
            let mut writer = writer.lock();
            match next {
                Ok(command) => writer.take_group(command, || commands.try_recv().ok()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if head_file_at.elapsed() >= HEAD_FILE_EVERY {
                head_file_at = Instant::now();
                if head_file_size != Some(writer.head.size) {
                    head_file_size = writer.write_head_file().or(head_file_size);
                }
            }
            if purged_at.elapsed() >= PURGE_EVERY {
                writer.purge();
                purged_at = Instant::now();
            }
        }
        let writer = writer.lock();
        crash::at(Point::WriterEnds);
        if head_file_size != Some(writer.head.size) {
            writer.write_head_file();
        }
    }

    /// Takes what has queued up behind `first`, commits it, answers.
    pub(crate) fn take_group(&mut self, first: Command, mut more: impl FnMut() -> Option<Command>) {
        let (mut calls, mut pings) = (Vec::new(), Vec::new());
        let (mut batches_count, mut bytes_count) = (0, 0);
        let mut next = Some(first);
        while let Some(command) = next {
            self.gauges.queued_calls.fetch_sub(1, Ordering::Relaxed);
            match command {
                Command::Commit { batches, bytes, reply } => {
                    self.gauges.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    batches_count += batches.len();
                    bytes_count += bytes;
                    calls.push(Call { batches, reply });
                }
                Command::Ping { reply } => pings.push(reply),
                // What came before is judged by the older lease, what comes after by the new one.
                Command::Lead { holder, reply } => {
                    if !calls.is_empty() {
                        self.commit_group(std::mem::take(&mut calls), std::mem::take(&mut batches_count));
                    }
                    // Nobody waiting any more is fine: the lease is taken, and the next one is higher.
                    let _ = reply.send(self.lead(&holder));
                }
            }
            let full = batches_count >= GROUP_BATCHES_MAX || bytes_count >= GROUP_BYTES_MAX;
            next = if full { None } else { more() };
        }
        if !calls.is_empty() {
            self.commit_group(calls, batches_count);
        }
        if !pings.is_empty() {
            let result = self.pulse();
            for reply in pings {
                // Nobody waiting any more is fine.
                let _ = reply.send(result.clone());
            }
        }
    }

    /// Folds the log into the database once it is long. SQLite would do it by itself and keep quiet when the disk
    /// fails; a disk that fails is not to be relied on for the next commit.
    fn fold_log(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        let frames: rusqlite::Result<i64> = self
            .db
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
            .and_then(|mut look| look.query_row([], |row| row.get(1)));
        let folded = frames.and_then(|frames| {
            if frames < i64::from(self.log_pages) {
                return Ok(());
            }
            crash::at(Point::BeforeFold);
            self.db.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))?;
            crash::at(Point::AfterFold);
            Ok(())
        });
        if let Err(error) = folded {
            if spoils(&error) == Spoils::Store {
                self.stop(format!("folding the log into the database: {error}"));
            } else {
                tracing::warn!(%error, "the log was not folded into the database; it is tried again");
            }
        }
    }

    fn commit_group(&mut self, calls: Vec<Call>, batches: usize) {
        let begun = Instant::now();
        self.gauges.last_group.store(batches, Ordering::Relaxed);
        self.gauges.groups.fetch_add(1, Ordering::Relaxed);
        self.commit(calls);
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.gauges.last_micros.store(micros, Ordering::Relaxed);
        self.fold_log();
    }

    /// Raises the lease, durably. The database commits one statement whole or not at all.
    fn lead(&mut self, holder: &str) -> Result<u64, StoreError> {
        if let Some(reason) = &self.stopped {
            return Err(StoreError::Stopped(reason.clone()));
        }
        let next = self.lease.checked_add(1).and_then(|next| i64::try_from(next).ok());
        let next = next.ok_or_else(|| StoreError::Failed("there are no more leases".to_owned()))?;
        let sql = "INSERT OR REPLACE INTO leadership (id, lease, holder, since) VALUES (1, ?1, ?2, ?3)";
        self.write_alone(sql, params![next, holder, self.clock.now().0])?;
        crash::at(Point::LeaseTaken);
        self.lease = next.unsigned_abs();
        Ok(self.lease)
    }

    fn commit(&mut self, mut calls: Vec<Call>) {
        let answers = self.commit_all(&mut calls);
        for (call, answers) in calls.into_iter().zip(answers) {
            // Whoever no longer waits finds out by reading.
            let _ = call.reply.send((answers, call.batches));
        }
    }

    fn commit_all(&mut self, calls: &mut [Call]) -> Vec<Answers> {
        let failed = match self.stopped.clone() {
            Some(reason) => CommitError::Stopped(reason),
            None => match self.attempt(calls, false) {
                Ok(answers) => return answers,
                Err(failed) if failed.spoils == Spoils::Batch => match self.attempt(calls, true) {
                    Ok(answers) => return answers,
                    Err(failed) => self.failed(failed),
                },
                Err(failed) => self.failed(failed),
            },
        };
        calls.iter().map(|call| vec![Err(failed.clone()); call.batches.len()]).collect()
    }

    /// Notes a failed group; stops for good when the database can no longer be trusted.
    fn failed(&mut self, failed: GroupFailed) -> CommitError {
        let GroupFailed { error, spoils } = failed;
        if spoils == Spoils::Store {
            self.stop(error.clone());
        } else {
            tracing::error!(error, "a group was not committed");
        }
        self.note_room(spoils);
        match spoils {
            Spoils::Store => CommitError::Stopped(error),
            Spoils::Full => CommitError::Full(error),
            Spoils::Batch | Spoils::Group => CommitError::Failed(error),
        }
    }

    /// Remembers whether the last failure was want of room.
    fn note_room(&self, spoils: Spoils) {
        self.gauges.full.store(spoils == Spoils::Full, Ordering::Relaxed);
    }

    fn stop(&mut self, error: String) {
        tracing::error!(error, "the store stopped: nothing more is accepted until it is opened again");
        self.gauges.stopped.store(true, Ordering::Relaxed);
        self.stopped = Some(format!("the store stopped after: {error}"));
    }

    /// One transaction. Whatever fails, the writer's own state is as before.
    fn attempt(&mut self, calls: &mut [Call], isolate: bool) -> Result<Vec<Answers>, GroupFailed> {
        let before = self.frontier.clone();
        let written = self.write(calls, isolate);
        crash::at(Point::BeforeCommit);
        match written {
            Ok((answers, head)) => match self.db.execute_batch("COMMIT") {
                Ok(()) => {
                    crash::at(Point::AfterCommit);
                    self.gauges.full.store(false, Ordering::Relaxed);
                    self.head = head.unwrap_or_else(|| self.head.clone());
                    Ok(answers)
                }
                Err(error) => {
                    self.roll_back(before);
                    // A commit that failed may be durable all the same; only a full disk surely is not.
                    let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
                    let spoils = if full { Spoils::Full } else { Spoils::Store };
                    Err(GroupFailed { error: format!("commit: {error}"), spoils })
                }
            },
            Err(error) => {
                self.roll_back(before);
                Err(GroupFailed { spoils: spoils(&error), error: error.to_string() })
            }
        }
    }

    fn roll_back(&mut self, frontier: Frontier) {
        self.frontier = frontier;
        self.known.forget();
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            self.stop(format!("rollback: {error}"));
        }
    }

    fn write(
        &mut self,
        calls: &mut [Call],
        isolate: bool,
    ) -> rusqlite::Result<(Vec<Answers>, Option<SignedHead>)> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let size = self.frontier.size();
        let mut group = Group {
            statements: Statements::new(&self.db),
            known: &mut self.known,
            frontier: &mut self.frontier,
            later: Later::default(),
            lease: self.lease,
        };
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            let mut own = Vec::with_capacity(call.batches.len());
            for batch in &mut call.batches {
                own.push(if isolate { group.write_isolated(batch)? } else { group.write_one(batch)? });
            }
            answers.push(own);
        }
        group.later.write(&mut group.statements)?;
        drop(group);
        if self.frontier.size() == size {
            return Ok((answers, None));
        }
        let head = self.key.sign(self.frontier.size(), self.frontier.root(), self.clock.now());
        if sabotage::is(Bug::HeadApart) {
            self.db.execute_batch("COMMIT; BEGIN IMMEDIATE")?
        }
        tree::put_head(&self.db, &head)?;
        Ok((answers, Some(head)))
    }

    fn pulse(&mut self) -> Result<(), StoreError> {
        if let Some(reason) = &self.stopped {
            return Err(StoreError::Stopped(reason.clone()));
        }
        let sql = "INSERT OR REPLACE INTO pulse (id, at) VALUES (1, ?1)";
        self.write_alone(sql, params![self.clock.now().0])
    }

    /// One statement that is its own transaction. As with a group, a failure that says nothing about what is durable
    /// stops the store.
    fn write_alone(&mut self, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        let written = self.db.prepare_cached(sql).and_then(|mut write| write.execute(values));
        let Err(error) = written else {
            self.gauges.full.store(false, Ordering::Relaxed);
            return Ok(());
        };
        self.note_room(spoils(&error));
        if spoils(&error) == Spoils::Store {
            self.stop(error.to_string());
            return Err(StoreError::Stopped(error.to_string()));
        }
        Err(error.into())
    }

    /// Forgets answers that have run out. A failure shows again at the next commit, so it is only told.
    fn purge(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        let sql = "DELETE FROM answers WHERE (tenant, key) IN \
                   (SELECT tenant, key FROM answers WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
        let purged =
            self.db.prepare_cached(sql).and_then(|mut sql| sql.execute([self.clock.now().0, PURGE_ROWS_MAX]));
        if let Err(error) = purged {
            tracing::warn!(%error, "answers that have run out were not removed");
            if spoils(&error) == Spoils::Store {
                self.stop(error.to_string());
            }
        }
    }

    /// Keeps the newest head outside the database, so that cutting leaves and heads together is found.
    /// Answers the size that was written; a failure is tried again.
    pub(crate) fn write_head_file(&self) -> Option<u64> {
        crash::at(Point::HeadFile);
        let written = serde_json::to_vec(&self.head)
            .map_err(std::io::Error::other)
            .and_then(|text| self.files.replace(&self.head_file, &text));
        if let Err(error) = written {
            tracing::error!(%error, file = %self.head_file.display(), "the tree head was not written");
            return None;
        }
        Some(self.head.size)
    }
}

/// What writing one group needs of the writer.
struct Group<'a, 'b> {
    statements: Statements<'a>,
    known: &'a mut Known,
    frontier: &'a mut Frontier,
    later: Later<'b>,
    lease: u64,
}

impl<'b> Group<'_, 'b> {
    fn write_one(&mut self, batch: &'b mut Prepared) -> rusqlite::Result<Result<Committed, CommitError>> {
        let held = batch.lease.unwrap_or(0);
        if held != self.lease {
            return Ok(Err(CommitError::Fenced { held, newest: self.lease }));
        }
        match apply(&mut self.statements, self.known, self.frontier, &mut self.later, batch) {
            Ok(committed) => Ok(Ok(committed)),
            Err(Refused::Conflict(message)) => Ok(Err(CommitError::Conflict(message))),
            Err(Refused::Invalid(message)) => Ok(Err(CommitError::Failed(message))),
            Err(Refused::Sql(error)) => Err(error),
        }
    }

    fn write_isolated(
        &mut self,
        batch: &'b mut Prepared,
    ) -> rusqlite::Result<Result<Committed, CommitError>> {
        let before = self.frontier.clone();
        let db = self.statements.db;
        db.execute_batch("SAVEPOINT batch")?;
        let written = self.write_one(batch).and_then(|done| {
            self.later.write(&mut self.statements)?;
            Ok(done)
        });
        let result = match written {
            Err(error) if spoils(&error) == Spoils::Batch => {
                db.execute_batch("ROLLBACK TO batch")?;
                self.later = Later::default();
                *self.frontier = before;
                self.known.forget();
                Err(CommitError::Failed(error.to_string()))
            }
            other => other?,
        };
        db.execute_batch("RELEASE batch")?;
        Ok(result)
    }
}

fn spoils(error: &rusqlite::Error) -> Spoils {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed,
        ) => Spoils::Store,
        Some(
            ErrorCode::OutOfMemory
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OperationInterrupted,
        ) => Spoils::Group,
        Some(ErrorCode::DiskFull) => Spoils::Full,
        _ => Spoils::Batch,
    }
}
