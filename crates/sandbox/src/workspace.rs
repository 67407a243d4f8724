//! The fresh directory of one run, and its removal, whatever the program left in it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// A fresh directory; removed when dropped.
pub(crate) struct Workspace {
    outer: PathBuf,
    inner: PathBuf,
}

impl Workspace {
    /// Makes a fresh directory below `base`, owned by `user` when one is given.
    pub(crate) fn create(base: &Path, user: Option<u32>) -> io::Result<Self> {
        let outer = tempfile::Builder::new().prefix("run-").tempdir_in(base)?.keep();
        let made = Self { inner: outer.join("work"), outer };
        // The outer directory can be passed through, not listed; the inner one is the program's alone.
        fs::set_permissions(&made.outer, Permissions::from_mode(0o711))?;
        fs::create_dir(&made.inner)?;
        fs::set_permissions(&made.inner, Permissions::from_mode(0o700))?;
        if let Some(user) = user {
            chown(&made.inner, Some(user), Some(user))?;
        }
        Ok(made)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.inner
    }

    /// Puts a file into the directory that the program can read.
    pub(crate) fn put(&self, name: &str, text: &str, user: Option<u32>) -> io::Result<()> {
        let path = self.inner.join(name);
        fs::write(&path, text)?;
        match user {
            Some(user) => chown(&path, Some(user), Some(user)),
            None => Ok(()),
        }
    }

    /// Removes everything without recursion: a program can nest directories deeper than any stack or path is long.
    /// Every directory found is moved to the top before it is emptied.
    fn sweep(&self) -> io::Result<()> {
        let mut moved = 0u64;
        let mut waiting = vec![self.inner.clone()];
        while let Some(directory) = waiting.pop() {
            fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                if !entry.file_type()?.is_dir() {
                    fs::remove_file(entry.path())?;
                    continue;
                }
                moved += 1;
                let top = self.outer.join(moved.to_string());
                // Moving a directory writes to it (its `..`), so its owner must be allowed to.
                fs::set_permissions(entry.path(), Permissions::from_mode(0o700))?;
                fs::rename(entry.path(), &top)?;
                waiting.push(top);
            }
            fs::remove_dir(&directory)?;
        }
        fs::remove_dir(&self.outer)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = self.sweep() {
            tracing::warn!(directory = %self.outer.display(), %error, "a sandbox directory could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_swept_away() {
        let base = tempfile::tempdir().expect("a directory");
        let made = Workspace::create(base.path(), None).expect("a workspace");
        let mut deep = made.path().to_owned();
        for _ in 0..50 {
            deep.push("d");
            fs::create_dir(&deep).expect("a directory");
        }
        made.put("file", "text", None).expect("a file");
        std::os::unix::fs::symlink("/", made.path().join("root")).expect("a link");
        fs::set_permissions(made.path().join("d"), Permissions::from_mode(0o000)).expect("a mode");
        drop(made);
        assert_eq!(fs::read_dir(base.path()).expect("a directory").count(), 0);
    }
}
