//! `workflows fmt`: files in their one form.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::named;
use crate::commands::input;
use crate::exit::{Exit, Failure};
use crate::screen::{Screen, Tone, line};

/// Writes every file in its one form, or names those that are not in it. A file that cannot be read stays as it is.
pub(super) fn run(screen: Screen, files: &[PathBuf], check: bool) -> Result<(), Failure> {
    let mut changed = Vec::new();
    for file in files {
        let text = input::document(file)?;
        let written = dsl::format::format(&text).map_err(|problems| refused(file, &problems))?;
        if file.as_os_str() == "-" && !check {
            line(written.trim_end_matches('\n'))?;
        } else if written != text {
            if !check {
                replace(file, &written).map_err(|failure| named(failure, file))?;
            }
            changed.push(file.display().to_string());
        }
    }
    for file in &changed {
        line(&screen.paint(Tone::Strong, file))?;
    }
    match (check, changed.len()) {
        (false, _) | (true, 0) => Ok(()),
        (true, 1) => {
            Err(Failure::new(Exit::Failed, "one file is not in its form").hint("omnihub workflows fmt"))
        }
        (true, n) => Err(Failure::new(Exit::Failed, format!("{n} files are not in their form"))
            .hint("omnihub workflows fmt")),
    }
}

/// Whole or not at all: a new file takes the place of the old one.
fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("cannot be written: {error}"));
    // A link keeps being one: what it leads to is written.
    let file = std::fs::canonicalize(file).map_err(failed)?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.fmt", std::process::id()));
    let beside = file.with_file_name(name);
    let written =
        std::fs::OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut new| {
            new.write_all(text.as_bytes())?;
            new.set_permissions(std::fs::metadata(&file)?.permissions())?;
            new.sync_all()
        });
    let moved = written.and_then(|()| std::fs::rename(&beside, &file));
    if moved.is_err() {
        // What is left of the attempt is of no use to anybody; the failure itself is told.
        let _ = std::fs::remove_file(&beside);
    }
    moved.map_err(failed)
}

/// A document that cannot be read, in the words of `workflows validate`.
pub(super) fn refused(file: &Path, problems: &[dsl::Diagnostic]) -> Failure {
    let count = problems.iter().filter(|problem| problem.severity == dsl::Severity::Error).count();
    let what = if count == 1 { "one problem".to_owned() } else { format!("{count} problems") };
    let first = problems.iter().find(|problem| problem.severity == dsl::Severity::Error);
    let mut failure = Failure::new(Exit::Failed, format!("{}: {what}", file.display()));
    failure.code = first.map(|problem| problem.code.clone());
    for problem in problems.iter().take(20) {
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        failure = failure
            .hint(format!("{}:{}: {} {}{hint}", problem.line, problem.column, problem.code, problem.message));
    }
    failure
}
