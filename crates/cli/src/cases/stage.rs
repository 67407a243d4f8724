//! The workflow of a file of cases with all that it needs, compiled once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dsl::openapi::Document;
use dsl::plan::Action;
use dsl::{Definition, Severity};
use model::ActionRef;
use serde_json::Value as Json;

use super::File;
use crate::config::read_limited;

/// Largest document, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;
/// Largest description of an API, in bytes.
const API_BYTES_MAX: u64 = 8 << 20;

/// What cases are run with.
pub(crate) struct Stage {
    /// The compiled workflow.
    pub definition: Arc<Definition>,
    /// What `latest` means.
    pub latest: BTreeMap<String, String>,
}

struct Known {
    actions: BTreeMap<ActionRef, Arc<Action>>,
    apis: BTreeMap<String, Result<Arc<Document>, String>>,
}

impl dsl::Catalogue for Known {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.actions.get(reference).cloned()
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.actions.keys().cloned().collect()
    }
    fn api(&self, uri: &str) -> Option<Result<Arc<Document>, String>> {
        self.apis.get(uri).cloned()
    }
}

impl Stage {
    /// Compiles what a file names; paths are those beside the file. The error names the document and what is wrong in it.
    pub(crate) fn set(file: &File, beside: &Path) -> Result<Self, String> {
        let mut known = Known { actions: BTreeMap::new(), apis: BTreeMap::new() };
        for action in &file.actions {
            let (name, text) = document(action, beside)?;
            let compiled = dsl::action::compile(&text);
            let action = compiled.action.ok_or_else(|| told(&name, &compiled.problems))?;
            known.actions.insert(action.reference.clone(), action);
        }
        for (uri, path) in &file.apis {
            let text = read_limited(&beside.join(path), API_BYTES_MAX).map_err(|failure| failure.message)?;
            let read = Document::read(uri, &text).map(Arc::new).map_err(|why| why.to_string());
            known.apis.insert(uri.clone(), read);
        }
        let (name, text) = document(&file.workflow, beside)?;
        let compiled = dsl::compile(&text, &known);
        if let Some(wanted) = compiled.wanted.first() {
            return Err(format!("{name}: `apis` does not say where the description `{wanted}` is"));
        }
        let definition = compiled.definition.ok_or_else(|| told(&name, &compiled.problems))?;
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
