//! Workflow text to a checked [`Definition`], and the expression language. Pure: returns a value and problems.

pub mod action;
pub mod asyncapi;
pub mod codes;
pub mod compile;
pub mod data;
pub mod describe;
pub mod diagnostic;
mod document;
pub mod duration;
pub mod expr;
pub mod format;
pub mod grpc;
pub mod json_schema;
pub mod mcp;
pub mod openapi;
pub mod picture;
pub mod placing;
pub mod plan;
pub mod schedule;
pub mod template;

pub use compile::{Catalogue, Compiled, compile};
pub use describe::{Description, Kind, Wanted};
pub use diagnostic::{Diagnostic, Severity};
pub use plan::Definition;
