//! Files of the data directory: made private, and durable before they are relied on.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crash::Point;
use model::sabotage::{self, Bug};

/// What is about to be done to a file beside the database.
#[derive(Debug)]
pub enum FileAct<'a> {
    /// A directory is made.
    MakeDirectory(&'a Path),
    /// A new file is made with these bytes.
    Write {
        /// Which.
        path: &'a Path,
        /// All of it.
        bytes: &'a [u8],
    },
    /// What was written to a file is made durable.
    Sync(&'a Path),
    /// A file takes the place of another.
    Rename {
        /// Its name.
        from: &'a Path,
        /// Its next name.
        to: &'a Path,
    },
    /// A file is removed.
    Remove(&'a Path),
    /// The names in a directory are made durable.
    SyncDirectory(&'a Path),
}

/// Hears of everything that is done to files beside the database before it is done, and may make it fail: for tests
/// of what a disk can do.
pub trait FileWatch: Send + Sync + std::fmt::Debug {
    /// Called before each act; an error is what the act ends with.
    fn before(&self, act: &FileAct<'_>) -> Result<(), Error>;
}

/// Files beside the database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    pub(crate) watch: Option<Arc<dyn FileWatch>>,
}

impl Files {
    /// Makes a directory that only its owner can enter, or takes the rights of others away from one that exists.
    pub(crate) fn private_directory(&self, path: &Path) -> Result<(), Error> {
        for missing in missing_directories(path).iter().rev() {
            self.tell(&FileAct::MakeDirectory(missing))?;
            match DirBuilder::new().mode(0o700).create(missing) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other?,
            }
            // A directory whose own name is not durable loses everything in it.
            self.sync_directory(
                missing.parent().filter(|path| *path != Path::new("")).unwrap_or(Path::new(".")),
            )?;
        }
        private(path)
    }

    /// Puts a file in place whole and durable: written beside its place, synchronized, renamed.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let directory = path.parent().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        let temporary = directory.join(format!(".new-{}", random_hex()?));
        let written = self.write_new(&temporary, bytes).and_then(|()| {
            self.tell(&FileAct::Rename { from: &temporary, to: path })?;
            crash::at(Point::FileWritten);
            std::fs::rename(&temporary, path)
        });
        if written.is_err() {
            // The file beside its place is of no use to anybody; the first error is the one to report.
            let _ = self.tell(&FileAct::Remove(&temporary));
            let _ = std::fs::remove_file(&temporary);
        }
        written?;
        crash::at(Point::FileRenamed);
        self.sync_directory(directory)
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_directory(&self, path: &Path) -> Result<(), Error> {
        self.tell(&FileAct::SyncDirectory(path))?;
        File::open(path)?.sync_all()
    }

    /// Reads a key file, or makes it of random bytes when there is none and `create` is given.
    pub(crate) fn key(&self, path: &Path, create: bool) -> Result<[u8; 32], Error> {
        match read_key(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && create => {
                let mut key = [0; 32];
                getrandom::fill(&mut key).map_err(|error| Error::other(error.to_string()))?;
                self.replace(path, &key)?;
                Ok(key)
            }
            other => other,
        }
    }

    /// Writes a file that must not exist yet; only its owner can read it.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.tell(&FileAct::Write { path, bytes })?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        if sabotage::is(Bug::BlobUnsynced) {
            return Ok(());
        }
        self.tell(&FileAct::Sync(path))?;
        file.sync_all()
    }

    fn tell(&self, act: &FileAct<'_>) -> Result<(), Error> {
        self.watch.as_ref().map_or(Ok(()), |watch| watch.before(act))
    }
}

/// True when there was no room for it.
pub(crate) fn is_full(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The directories that have to be made for this one, the innermost first.
fn missing_directories(path: &Path) -> Vec<PathBuf> {
    let parts = path.ancestors().filter(|part| *part != Path::new(""));
    parts.take_while(|part| !part.exists()).map(Path::to_owned).collect()
}

/// Takes the rights of others away from a directory.
pub(crate) fn private(path: &Path) -> Result<(), Error> {
    if path.metadata()?.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Reads at most `limit` bytes of a file; a longer one is an error.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(ErrorKind::InvalidData, format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// Sixteen random bytes as text, for names that nobody else has.
pub(crate) fn random_hex() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::other(error.to_string()))?;
    Ok(hex::encode(bytes))
}

fn read_key(path: &Path) -> Result<[u8; 32], Error> {
    let bytes = read_limited(path, 32)?;
    bytes.try_into().map_err(|_| Error::new(ErrorKind::InvalidData, "a key file has 32 bytes"))
}
