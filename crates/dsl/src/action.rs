//! Action documents: an action of the catalogue with its contract.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::plan::Action;

/// A compiled action, or what is wrong with it.
#[derive(Debug)]
pub struct CompiledAction {
    /// None when there is an error among the problems.
    pub action: Option<Arc<Action>>,
    /// Everything found, in document order.
    pub problems: Vec<Diagnostic>,
}

/// Compiles an action document (YAML or JSON).
pub fn compile(_text: &str) -> CompiledAction {
    CompiledAction { action: None, problems: Vec::new() }
}
