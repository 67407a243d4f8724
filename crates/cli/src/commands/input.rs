//! What commands read besides flags: files, stdin, JSON values, and a yes or no from a person.

use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::Value as Json;

use crate::config;
use crate::exit::Failure;
use crate::screen::Screen;

/// Largest document that is sent, in bytes: what the server takes at the most.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Text of a file, or of stdin for `-`.
pub(crate) fn document(path: &Path) -> Result<String, Failure> {
    if path.as_os_str() == "-" { stdin() } else { config::read_limited(path, DOCUMENT_BYTES_MAX) }
}

/// All of stdin, at most 1 MiB.
pub(crate) fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let mut limited = std::io::stdin().lock().take(DOCUMENT_BYTES_MAX + 1);
    limited
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read stdin: {error}")))?;
    if text.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(Failure::usage("stdin is longer than 1 MiB"));
    }
    Ok(text)
}

/// JSON given on the command line, as `@file`, or as `-` for stdin.
pub(crate) fn json(flag: &str, given: &str) -> Result<Json, Failure> {
    let text = match given.strip_prefix('@') {
        Some(path) => document(Path::new(path))?,
        None if given == "-" => stdin()?,
        None => given.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("`{flag}` is not JSON: {error}; give JSON, `@file` or `-` for stdin"))
    })
}

/// The content type of a workflow or action document.
pub(crate) fn kind_of(text: &str) -> &'static str {
    if text.trim_start().starts_with('{') { "application/json" } else { "application/yaml" }
}

/// Asks a person; without a terminal the answer must have been given by `--yes`.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !Screen::interactive() {
        return Err(Failure::usage(format!("{question} Nobody can be asked here: say --yes")));
    }
    eprint!("{question} [y/N] ");
    // An unflushed question is still answered by what the person types.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::usage(format!("cannot read the answer: {error}")))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(crate::exit::Exit::Failed, "nothing was done")),
    }
}
