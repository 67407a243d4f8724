//! OpenAPI: a description of an API (2.0, 3.0, 3.1) to operations, and an operation with arguments to a request.
//!
//! Pure. Whoever fetched a description gives its text; what runs later is the [`Operation`] that was read from it when
//! the workflow was compiled, so a description that changes changes nothing.

mod body;
mod document;
mod operation;
mod request;
mod style;
mod two;

pub use body::{Body, Media};
pub(crate) use document::parse;
pub use document::{DOCUMENT, Document, UnknownOperation, Unreadable};
pub use operation::{At, Operation, Parameter, Server, Variable};
pub use request::{Built, Misfit};
pub use style::Style;

#[cfg(test)]
mod tests;
