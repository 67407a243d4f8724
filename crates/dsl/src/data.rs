//! Reads YAML or JSON as plain data, by the same strict rules as definitions.

use model::Value;

use crate::diagnostic::Diagnostic;
pub use crate::document::reader::Limits;
use crate::document::reader::{self, DEFINITION};
use crate::document::report::Report;

/// Reads one document as data, as large as a definition may be. Everything that is wrong with it otherwise.
pub fn read(text: &str) -> Result<Value, Vec<Diagnostic>> {
    read_within(text, DEFINITION)
}

/// As [`read`], with other limits.
pub fn read_within(text: &str, limits: Limits) -> Result<Value, Vec<Diagnostic>> {
    let mut report = Report::new(text);
    let root = reader::read_within(text, limits, &mut report);
    let failed = report.failed();
    match root {
        Some(root) if !failed => Ok(root.value()),
        _ => Err(report.finish()),
    }
}
