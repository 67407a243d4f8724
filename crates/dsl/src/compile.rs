//! Compiles a workflow document.

use std::sync::Arc;

use model::ActionRef;

use crate::diagnostic::Diagnostic;
use crate::plan::{Action, Definition};

/// Finds actions while a workflow is compiled.
pub trait Catalogue {
    /// The action, or none when the catalogue does not have it.
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>>;
    /// All names and versions, to suggest the nearest.
    fn actions(&self) -> Vec<ActionRef>;
}

/// A compiled workflow, or what is wrong with it.
#[derive(Debug)]
pub struct Compiled {
    /// None when there is an error among the problems.
    pub definition: Option<Arc<Definition>>,
    /// Everything found, in document order.
    pub problems: Vec<Diagnostic>,
}

/// Compiles a workflow document (YAML or JSON).
pub fn compile(_text: &str, _catalogue: &dyn Catalogue) -> Compiled {
    Compiled { definition: None, problems: Vec::new() }
}
