//! Configuration: one table of keys that feeds the file, the environment, and the reference.
//!
//! A value comes from, weakest first: the default, the TOML file, the environment, a flag. A key that is not in the
//! table is an error with the nearest one that is, wherever it stands.

mod crashes;
mod environment;
mod keys;
mod load;
mod reference;
mod settings;
mod suggest;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

pub(crate) use crashes::arm;
pub(crate) use load::load;
pub(crate) use reference::reference;
pub(crate) use settings::{Log, LogFormat, Settings};

/// Something in the configuration is wrong.
pub(crate) fn wrong(message: impl Into<String>) -> Failure {
    Failure::usage(message).code("OH-5020")
}

/// The data directory: the flag or `OMNIHUB_DATA_DIR`, or the user's own place for data.
pub(crate) fn data_dir(given: Option<&Path>) -> PathBuf {
    if let Some(given) = given {
        return given.to_path_buf();
    }
    std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("."))
        .join("omnihub")
}

/// Text of a file of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("cannot read `{}`: {error}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(limit + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > limit {
        return Err(Failure::usage(format!("`{}` is longer than {limit} bytes", path.display())));
    }
    Ok(text)
}
