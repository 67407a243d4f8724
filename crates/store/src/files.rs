//! Files of the data directory: made private, and durable before they are relied on.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Makes a directory that only its owner can enter, or takes the rights of others away from one that exists.
pub(crate) fn private_directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if path.metadata()?.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Puts a file in place whole and durable: written beside its place, synchronized, renamed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let directory = path.parent().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
    let temporary = directory.join(format!(".new-{}", random_hex()?));
    let written = write_new(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The file beside its place is of no use to anybody; the first error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    sync_directory(directory)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path)?.sync_all()
}

/// Reads a key file, or makes it of random bytes when there is none and `create` is given.
pub(crate) fn key(path: &Path, create: bool) -> Result<[u8; 32], Error> {
    match read_key(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && create => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| Error::other(error.to_string()))?;
            replace(path, &key)?;
            Ok(key)
        }
        other => other,
    }
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

/// Writes a file that must not exist yet; only its owner can read it.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
