//! The fresh directory of one run, and its removal, whatever the program left in it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Names of fresh directories: this, the number of the process that made it, and something random.
const PREFIX: &str = "run-";

/// Removes what processes that are gone have left in `base`, for example after a crash.
pub(crate) fn sweep_left(base: &Path) -> io::Result<()> {
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        let name = entry.file_name();
        let maker =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        let Some(maker) = maker else { continue };
        if entry.file_type()?.is_dir() && !Path::new(&format!("/proc/{maker}")).exists() {
            let outer = entry.path();
            drop(Workspace { inner: outer.join("work"), outer });
        }
    }
    Ok(())
}

/// A fresh directory; removed when dropped.
pub(crate) struct Workspace {
    outer: PathBuf,
    inner: PathBuf,
}

impl Workspace {
    /// Makes a fresh directory below `base`, owned by `user` when one is given.
    pub(crate) fn create(base: &Path, user: Option<u32>) -> io::Result<Self> {
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let outer = tempfile::Builder::new().prefix(&prefix).tempdir_in(base)?.keep();
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
        let mut waiting = Vec::new();
        // The directory of a run, and what an interrupted removal had moved up.
        for entry in fs::read_dir(&self.outer)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            moved = moved.max(number.unwrap_or(0));
            waiting.push(path);
        }
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

    #[test]
    fn what_a_dead_process_left_is_swept_and_what_a_living_one_uses_is_not() {
        let base = tempfile::tempdir().expect("a directory");
        // Beyond the largest process number of any kernel.
        for dead in ["run-4294967295-a/work/deep", "run-4294967295-b/17/x", "run-4294967295-c"] {
            fs::create_dir_all(base.path().join(dead)).expect("a directory");
        }
        let used = Workspace::create(base.path(), None).expect("a workspace");
        sweep_left(base.path()).expect("a sweep");
        assert_eq!(fs::read_dir(base.path()).expect("a directory").count(), 1);
        assert!(used.path().is_dir());
    }
}
