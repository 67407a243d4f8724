//! The workflow of a file of cases with all that it needs, compiled once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dsl::plan::Action;
use dsl::{Definition, Description, Kind, Severity, Wanted};
use model::ActionRef;
use serde_json::Value as Json;

use super::File;
use crate::config::read_limited;

/// Largest document, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;
/// Largest description of an API, in bytes.
const API_BYTES_MAX: u64 = 8 << 20;
/// Descriptions may name others; so deep.
const ROUNDS_MAX: usize = 4;

/// What cases are run with.
pub(crate) struct Stage {
    /// The compiled workflow.
    pub definition: Arc<Definition>,
    /// What `latest` means.
    pub latest: BTreeMap<String, String>,
}

struct Known {
    actions: BTreeMap<ActionRef, Arc<Action>>,
    apis: BTreeMap<(Kind, String), Result<Description, String>>,
}

impl dsl::Catalogue for Known {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.actions.get(reference).cloned()
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.actions.keys().cloned().collect()
    }
    fn description(&self, kind: Kind, uri: &str) -> Option<Result<Description, String>> {
        self.apis.get(&(kind, uri.to_owned())).cloned()
    }
}

impl Known {
    /// Reads the descriptions that a document wants from the files that the cases name.
    fn read(&mut self, wanted: &[Wanted], file: &File, beside: &Path) -> Result<(), String> {
        for wanted in wanted {
            let path = file
                .apis
                .get(&wanted.uri)
                .ok_or_else(|| format!("`apis` does not say where the description `{}` is", wanted.uri))?;
            let text = read_limited(&beside.join(path), API_BYTES_MAX).map_err(|failure| failure.message)?;
            let read = Description::read(wanted.kind, &wanted.uri, &text);
            self.apis.insert((wanted.kind, wanted.uri.clone()), read);
        }
        Ok(())
    }

    fn action_of(&mut self, given: &Json, file: &File, beside: &Path) -> Result<(), String> {
        let (name, text) = document(given, beside)?;
        for _ in 0..ROUNDS_MAX {
            let compiled = dsl::action::compile_with(&text, self);
            if compiled.wanted.is_empty() {
                let action = compiled.action.ok_or_else(|| told(&name, &compiled.problems))?;
                self.actions.insert(action.reference.clone(), action);
                return Ok(());
            }
            self.read(&compiled.wanted, file, beside)?;
        }
        Err(format!("{name}: its descriptions go too deep"))
    }

    fn workflow_of(&mut self, given: &Json, file: &File, beside: &Path) -> Result<Arc<Definition>, String> {
        let (name, text) = document(given, beside)?;
        for _ in 0..ROUNDS_MAX {
            let compiled = dsl::compile(&text, self);
            if compiled.wanted.is_empty() {
                return compiled.definition.ok_or_else(|| told(&name, &compiled.problems));
            }
            self.read(&compiled.wanted, file, beside)?;
        }
        Err(format!("{name}: its descriptions go too deep"))
    }
}

impl Stage {
    /// Compiles what a file names; paths are those beside the file. The error names the document and what is wrong in it.
    pub(crate) fn set(file: &File, beside: &Path) -> Result<Self, String> {
        let mut known = Known { actions: BTreeMap::new(), apis: BTreeMap::new() };
        for action in &file.actions {
            known.action_of(action, file, beside)?;
        }
        let definition = known.workflow_of(&file.workflow, file, beside)?;
        Ok(Self { definition, latest: file.latest.clone() })
    }
}

/// The text of a document that is named by its path, or written out.
fn document(given: &Json, beside: &Path) -> Result<(String, String), String> {
    match given {
        Json::String(path) => {
            let path = beside.join(path);
            let text = read_limited(&path, DOCUMENT_BYTES_MAX).map_err(|failure| failure.message)?;
            Ok((path.display().to_string(), text))
        }
        Json::Object(_) => Ok(("the document".to_owned(), given.to_string())),
        _ => Err("a document is a path, or is written out as an object".to_owned()),
    }
}

fn told(name: &str, problems: &[dsl::Diagnostic]) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).take(10);
    let lines = errors.map(|problem| {
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{name}:{}:{}: {} {}{hint}", problem.line, problem.column, problem.code, problem.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}
