//! What can be found on the disk after the power went off.
//!
//! The rules are the weakest that POSIX leaves: bytes are safe once their file was synchronized, names once their
//! directory was. Of everything else any part may be there, in any order, in sectors of 512 or pages of 4096 bytes.
//! Shared memory and the lock file are not durable; a `-shm` file of noise stands for whatever is found there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dice::Dice;
use crate::disk::Act;

/// Units in which a write may be torn.
const TEARS: [usize; 2] = [512, 4096];

/// The disk at one moment.
#[derive(Debug, Clone, Default)]
pub struct State {
    files: Vec<File>,
    /// Durable names.
    names: BTreeMap<PathBuf, Entry>,
    /// Names as the running process sees them, to know what a rename moves.
    live: BTreeMap<PathBuf, usize>,
    /// Changes of names that no sync has covered, in order.
    pending: Vec<(PathBuf, Change)>,
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
enum Pending {
    Write { offset: usize, bytes: Arc<[u8]> },
    Truncate(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(usize),
    Directory,
}

#[derive(Debug, Clone)]
enum Change {
    Put(PathBuf, Entry),
    Move { from: PathBuf, to: PathBuf, file: usize },
    Remove(PathBuf),
}

/// How honest the disk was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honesty {
    /// A sync that was answered happened.
    Honest,
    /// Syncs were answered and did not happen.
    Lies,
}

impl State {
    /// One more act. The disk of the acts lies when its syncs are not to count.
    pub fn apply(&mut self, act: &Act, honesty: Honesty) {
        match act {
            Act::Create { path, file } => {
                if self.files.len() <= *file {
                    self.files.resize(file + 1, File::default());
                }
                self.live.insert(path.clone(), *file);
                self.change(path, Change::Put(path.clone(), Entry::File(*file)));
            }
            Act::MakeDirectory(path) => self.change(path, Change::Put(path.clone(), Entry::Directory)),
            Act::Write { file, offset, bytes } => {
                let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
                self.files[*file].pending.push(Pending::Write { offset, bytes: Arc::clone(bytes) });
            }
            Act::Truncate { file, length } => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                self.files[*file].pending.push(Pending::Truncate(length));
            }
            Act::Sync(file) if honesty == Honesty::Honest => {
                let file = &mut self.files[*file];
                for pending in std::mem::take(&mut file.pending) {
                    pending.land(&mut file.durable);
                }
            }
            // After a failed sync the kernel believes that nothing is left to write.
            Act::SyncFailed(file) => self.files[*file].pending.clear(),
            Act::Sync(_) => {}
            Act::Rename { from, to } => {
                if let Some(file) = self.live.remove(from) {
                    self.live.insert(to.clone(), file);
                    self.change(from, Change::Move { from: from.clone(), to: to.clone(), file });
                }
            }
            Act::Remove(path) => {
                self.live.remove(path);
                self.change(path, Change::Remove(path.clone()));
            }
            Act::SyncDirectory(directory) => {
                if honesty == Honesty::Honest {
                    let (now, later) =
                        std::mem::take(&mut self.pending).into_iter().partition(|(at, _)| at == directory);
                    self.pending = later;
                    let now: Vec<(PathBuf, Change)> = now;
                    for (_, change) in now {
                        change.land(&mut self.names);
                    }
                }
            }
        }
    }

    fn change(&mut self, path: &Path, change: Change) {
        let directory = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        self.pending.push((directory, change));
    }

    /// Writes one of the images of this moment to `to`, in place of `root`.
    pub fn write(&self, dice: &mut Dice, root: &Path, to: &Path) -> Result<(), io::Error> {
        let mut names = self.names.clone();
        let choice = Choice::roll(dice, self.pending.len());
        for (number, (_, change)) in self.pending.iter().enumerate() {
            if choice.takes(dice, number) {
                change.land(&mut names);
            }
        }
        std::fs::create_dir_all(to)?;
        let mut directories = BTreeSet::from([root.to_path_buf()]);
        for (path, entry) in &names {
            // What lies in a directory without a name is lost with it.
            let known = path.parent().is_some_and(|parent| directories.contains(parent));
            let Ok(inside) = path.strip_prefix(root) else { continue };
            match entry {
                Entry::Directory if known || path == root => {
                    directories.insert(path.clone());
                    std::fs::create_dir_all(to.join(inside))?;
                }
                Entry::File(file) if known => std::fs::write(to.join(inside), self.files[*file].image(dice))?,
                Entry::Directory | Entry::File(_) => {}
            }
        }
        if dice.once_in(2) {
            let noise: Vec<u8> = (0..4096).flat_map(|_| dice.roll().to_le_bytes()).collect();
            std::fs::write(to.join("omnihub.db-shm"), noise)?;
        }
        Ok(())
    }
}

impl File {
    /// The durable bytes with some part of what was not synchronized.
    fn image(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let choice = Choice::roll(dice, self.pending.len());
        for (number, pending) in self.pending.iter().enumerate() {
            if !choice.takes(dice, number) {
                continue;
            }
            match pending {
                Pending::Write { offset, bytes: written } if choice.tears(dice) => {
                    tear(dice, &mut bytes, *offset, written);
                }
                other => other.land(&mut bytes),
            }
        }
        bytes
    }
}

/// Lands a random part of a write, in whole sectors or pages of the file.
fn tear(dice: &mut Dice, into: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let unit = TEARS[dice.index(TEARS.len())];
    let mut at = 0;
    while at < written.len() {
        let end = (at + unit - (offset + at) % unit).min(written.len());
        if dice.once_in(2) {
            put(into, offset + at, &written[at..end]);
        }
        at = end;
    }
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

impl Pending {
    fn land(&self, into: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(into, *offset, bytes),
            Self::Truncate(length) => into.resize(*length, 0),
        }
    }
}

impl Change {
    fn land(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Put(path, entry) => {
                names.insert(path.clone(), *entry);
            }
            Self::Move { from, to, file } => {
                names.remove(from);
                names.insert(to.clone(), Entry::File(*file));
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

/// Which part of what was not synchronized is there.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Nothing,
    All,
    First(usize),
    Some,
    SomeTorn,
}

impl Choice {
    fn roll(dice: &mut Dice, length: usize) -> Self {
        match dice.below(6) {
            0 => Self::Nothing,
            1 => Self::All,
            2 => Self::First(dice.index(length + 1)),
            3 => Self::Some,
            _ => Self::SomeTorn,
        }
    }

    fn takes(self, dice: &mut Dice, number: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::First(count) => number < count,
            Self::Some | Self::SomeTorn => dice.once_in(2),
        }
    }

    fn tears(self, dice: &mut Dice) -> bool {
        matches!(self, Self::SomeTorn) && dice.once_in(2)
    }
}
