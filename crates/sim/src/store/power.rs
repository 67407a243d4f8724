//! The real SQLite under a world: what a node leaves behind when it dies is what the power cut leaves of its files.
//!
//! Each node has a directory of its own, made of the image of the one before it: what was synchronized, and any part of
//! the rest. Nothing is closed. Every batch that SQLite takes is given to the model disk too, and must mean the same there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use faulty_disk::disk::Disk as Watched;
use faulty_disk::image::{Honesty, State};
use model::{Clock, TenantId};
use parking_lot::Mutex;
use store::{AuditQuery, Options, SqliteStore, Store};

use super::Stored;

/// Leaves that are read at once.
const PAGE: u32 = 500;
/// Pages of log after which it is folded into the database: few, so that this happens within a world.
const LOG_PAGES: u32 = 40;

/// The directories of one world.
#[derive(Debug)]
pub struct Power {
    scratch: tempfile::TempDir,
    seed: u64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    generation: u64,
    disk: Option<Arc<Watched>>,
    /// Stores whose power went off: never closed while the world lives.
    stores: Vec<Arc<SqliteStore>>,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Power {
    /// Directories that begin with what lies in `base`; empty when none.
    ///
    /// The error is about files.
    pub fn new(seed: u64, base: Option<&Path>) -> Result<Arc<Self>, String> {
        let scratch = tempfile::Builder::new().prefix("sim").tempdir_in(faulty_disk::power::memory());
        let power = Self { scratch: scratch.map_err(text)?, seed, inner: Mutex::default() };
        if let Some(base) = base {
            copy(base, &power.root(0)).map_err(text)?;
        }
        Ok(Arc::new(power))
    }

    fn root(&self, generation: u64) -> PathBuf {
        self.scratch.path().join(generation.to_string())
    }

    /// The power comes back: opens what is found on the disk.
    ///
    /// The error is the store's, and means that it refuses what a crash left.
    pub fn on(&self, clock: Arc<dyn Clock>) -> Result<Arc<SqliteStore>, String> {
        let mut inner = self.inner.lock();
        if let Some(disk) = inner.disk.take() {
            let (from, to) = (self.root(inner.generation), self.root(inner.generation + 1));
            let mut state = State::default();
            for act in disk.log() {
                state.apply(&act, Honesty::Honest);
            }
            disk.forget();
            let mut dice = faulty_disk::Dice::new(self.seed ^ inner.generation);
            state.write(&mut dice, &from, &to).map_err(text)?;
            inner.generation += 1;
        }
        let root = self.root(inner.generation);
        let disk = Watched::holding(&root).map_err(text)?;
        let options = Options { inline: true, log_pages: LOG_PAGES, ..disk.options() };
        inner.disk = Some(disk);
        let store = SqliteStore::open_with(&root, clock, options).map_err(text)?;
        inner.stores.push(Arc::clone(&store));
        Ok(store)
    }

    /// Closes the newest store and answers its directory; for what all worlds begin with.
    ///
    /// The error is about files.
    pub fn keep(self: Arc<Self>, to: &Path) -> Result<(), String> {
        let root = {
            let mut inner = self.inner.lock();
            inner.stores.clear();
            self.root(inner.generation)
        };
        copy(&root, to).map_err(text)
    }

    /// Lets go of every store: nobody works on them any more.
    pub fn off(&self) {
        self.inner.lock().stores.clear();
    }

    /// Where SQLite, opened once more after the power went off, differs from the model.
    pub async fn differs(&self, stored: &Stored, clock: Arc<dyn Clock>) -> Vec<String> {
        match self.on(clock) {
            Ok(store) => compare(&*store, stored).await.unwrap_or_else(|error| vec![error]),
            Err(error) => vec![format!("what a crash left is refused: {error}")],
        }
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        if let Some(disk) = self.inner.lock().disk.take() {
            disk.forget();
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), std::io::Error> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn compare(store: &dyn Store, stored: &Stored) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut differ = |what: String, same: bool| {
        if !same {
            found.push(format!("{what} is another one in SQLite"));
        }
    };
    for ((tenant, id), kept) in &stored.executions {
        let history = store.load(tenant, id).await.map_err(text)?;
        differ(
            format!("the history of {id}"),
            history.map(|history| history.events) == Some(kept.events.clone()),
        );
        let row = store.execution(tenant, id).await.map_err(text)?;
        differ(format!("the row of {id}"), row.as_ref() == Some(&kept.row));
    }
    for ((tenant, id), (_, approval)) in &stored.approvals {
        let other = store.approval(tenant, id).await.map_err(text)?;
        differ(format!("approval {id}"), other.as_ref() == Some(approval));
    }
    for ((tenant, kind, key), document) in &stored.documents {
        let other = store.document(tenant, kind, key).await.map_err(text)?;
        differ(format!("{kind} {key}"), other.as_ref() == Some(&**document));
    }
    for ((tenant, id), (_, letter)) in &stored.dead_letters {
        let other = store.dead_letter(tenant, id).await.map_err(text)?;
        differ(format!("dead letter {id}"), other.as_ref() == Some(letter));
    }
    let tenants: std::collections::BTreeSet<&TenantId> =
        stored.executions.keys().map(|(tenant, _)| tenant).collect();
    for tenant in tenants {
        let count = stored.executions.keys().filter(|(owner, _)| owner == tenant).count() as u64;
        let other: u64 = store.count_by_status(tenant).await.map_err(text)?.into_iter().map(|(_, n)| n).sum();
        differ(format!("the number of executions of {tenant}"), count == other);
    }
    let mut cursor = None;
    let mut at = 0;
    loop {
        let query = AuditQuery { cursor, limit: PAGE, ..AuditQuery::default() };
        let page = store.leaves(query).await.map_err(text)?;
        for leaf in page.items {
            let same = stored
                .leaves
                .get(at)
                .is_some_and(|known| known.row.bytes == leaf.bytes && known.row.hash == leaf.hash);
            differ(format!("leaf {at}"), same);
            at += 1;
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    differ("the number of leaves".to_owned(), at == stored.leaves.len());
    let head = store.head().await.map_err(text)?;
    differ("the size of the tree".to_owned(), head.size == stored.leaves.len() as u64);
    Ok(found)
}
