//! Large payloads as files by digest: `blobs/<tenant>/<first two digits>/<digest>`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use model::{Digest, TenantId};

use crate::codec::corrupt;
use crate::files::{Files, is_full, read_limited};
use crate::query::StoreError;

/// Largest blob, in bytes.
pub(crate) const BLOB_BYTES_MAX: u64 = 256 << 20;

/// Keeps bytes; the same bytes of the same tenant are kept once. Durable when it returns.
pub(crate) fn put(files: &Files, root: &Path, tenant: &TenantId, bytes: &[u8]) -> Result<Digest, StoreError> {
    if bytes.len() as u64 > BLOB_BYTES_MAX {
        return Err(StoreError::Failed(format!("a blob has at most {BLOB_BYTES_MAX} bytes")));
    }
    let digest = Digest::of(bytes);
    let path = path_of(root, tenant, &digest);
    let known = path.metadata().is_ok_and(|found| found.len() == bytes.len() as u64);
    if known && get(root, tenant, &digest).is_ok() {
        return Ok(digest);
    }
    let write = || {
        let shard = path.parent().unwrap_or(root);
        let owner = shard.parent().unwrap_or(root);
        files.private_directory(shard)?;
        // A shard that somebody else made a moment ago may not have a durable name yet.
        files.sync_directory(root)?;
        files.sync_directory(owner)?;
        files.replace(&path, bytes)
    };
    write().map_err(|error| {
        let why = format!("blob `{digest}`: {error}");
        if is_full(&error) { StoreError::Full(why) } else { StoreError::Failed(why) }
    })?;
    Ok(digest)
}

/// Bytes by digest, checked against it.
pub(crate) fn get(root: &Path, tenant: &TenantId, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
    match read_limited(&path_of(root, tenant, digest), BLOB_BYTES_MAX) {
        Ok(bytes) if Digest::of(&bytes) == *digest => Ok(Some(bytes)),
        Ok(_) => Err(corrupt("blobs", digest, "the bytes have another digest")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::Failed(format!("blob `{digest}`: {error}"))),
    }
}

/// A tenant's id may be `.` or `..`, which mean something to a file system; a prefix takes that away.
fn path_of(root: &Path, tenant: &TenantId, digest: &Digest) -> PathBuf {
    let name = hex::encode(digest.0);
    root.join(format!("t-{tenant}")).join(&name[..2]).join(&name)
}
