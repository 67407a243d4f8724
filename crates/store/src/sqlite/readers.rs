//! A few read-only connections, used on blocking threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::Options;
use super::open::open_reader;
use crate::query::StoreError;

/// Reads that run at once; more wait their turn.
const READERS: usize = 4;

/// The pool.
#[derive(Clone)]
pub(crate) struct Readers(Arc<Pool>);

struct Pool {
    path: PathBuf,
    options: Options,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn open(path: &Path, options: &Options) -> rusqlite::Result<Self> {
        let idle =
            (0..READERS).map(|_| open_reader(path, options.vfs.as_deref())).collect::<Result<Vec<_>, _>>()?;
        let turns = Arc::new(Semaphore::new(READERS));
        Ok(Self(Arc::new(Pool {
            path: path.to_owned(),
            options: options.clone(),
            turns,
            idle: Mutex::new(idle),
        })))
    }

    /// Closes what is idle. Whoever closes last folds the log into the database, and a reader cannot.
    pub(crate) fn close(&self) {
        self.0.idle.lock().clear();
    }

    /// Runs a read on a blocking thread (or here, when the store is inline); everything it reads is of one moment.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended =
            |error: &dyn std::fmt::Display| StoreError::Failed(format!("a read ended early: {error}"));
        let turn = Arc::clone(&self.0.turns).acquire_owned().await.map_err(|error| ended(&error))?;
        let pool = Arc::clone(&self.0);
        let inline = pool.options.inline;
        let read = move || {
            let _turn = turn;
            let idle = pool.idle.lock().pop();
            // A read that panicked took its connection along.
            let db = match idle {
                Some(db) => db,
                None => open_reader(&pool.path, pool.options.vfs.as_deref())?,
            };
            let snapshot = db.unchecked_transaction()?;
            let result = work(&db);
            drop(snapshot);
            pool.idle.lock().push(db);
            result
        };
        if inline {
            return read();
        }
        tokio::task::spawn_blocking(read).await.map_err(|error| ended(&error))?
    }
}
