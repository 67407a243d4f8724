//! A workflow document as a picture: tasks in the order of the flow, where `then` leads, and what stands inside what.
//!
//! It is drawn from the document alone: actions need not be published, and nothing is asked.

mod layout;
mod outline;
mod svg;

use crate::diagnostic::Diagnostic;
use crate::document::reader;
use crate::document::report::Report;
use crate::document::shape::check_object;
use crate::document::shape_workflow::WORKFLOW;

/// Where a picture is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A file of its own, with colours for light and dark.
    File,
    /// Inside a page that has its own colours.
    Page,
}

/// The picture of a workflow document as SVG, or what is wrong with the document's shape.
pub fn draw(text: &str, frame: Frame) -> Result<String, Vec<Diagnostic>> {
    let mut report = Report::new(text);
    let Some(root) = reader::read(text, &mut report) else { return Err(report.finish()) };
    check_object(&root, &WORKFLOW, &mut report);
    if report.failed() {
        return Err(report.finish());
    }
    let outline = outline::of(&root);
    Ok(svg::write(&layout::lay(&outline), &outline, frame))
}

#[cfg(test)]
mod tests;
