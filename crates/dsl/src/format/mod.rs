//! Writes a document in the one form that everybody reads: order, comments and the author's way of quoting are kept,
//! indentation, spaces and blank lines are not.
//!
//! What is written is read again and compared before it is given away, so that the form can never change the meaning.

mod print;
mod tree;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::node::Node;
use crate::document::reader;
use crate::document::report::Report;

/// The text in its one form, or what keeps it from being read.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let meaning = read(text)?;
    let unreadable = |why: &str| {
        let mut report = Report::new(text);
        report
            .at(codes::SYNTAX, 1, 1, "", format!("this cannot be written in another form: {why}"))
            .hint("the document itself can be published as it is; format it by hand");
        report.finish()
    };
    let document = tree::read(text).map_err(|error| unreadable(&error))?;
    let written = print::print(&document);
    let same = read(&written).is_ok_and(|again| again == meaning);
    let remarks = tree::read(&written).map(|again| again.remarks()).unwrap_or_default();
    match same && remarks == document.remarks() {
        true => Ok(written),
        false => Err(unreadable("something in it would read differently")),
    }
}

/// The meaning of a document: its JSON, order included.
fn read(text: &str) -> Result<String, Vec<Diagnostic>> {
    let mut report = Report::new(text);
    let root: Option<Node> = reader::read(text, &mut report);
    match root {
        Some(root) if !report.failed() => Ok(root.value().to_json().to_string()),
        _ => Err(report.finish()),
    }
}

#[cfg(test)]
mod tests;
