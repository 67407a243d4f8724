//! Compiles `run: workflow`: another workflow as an execution of its own.

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::document::node::{Node, NodeData};
use crate::plan::ChildWork;

/// Names the newest version.
const LATEST: &str = "latest";

/// Different workflows that one may run, at the most.
const CHILDREN_MAX: usize = 100;

impl Compiler<'_, '_> {
    /// `run` with `workflow`. Whether there is such a workflow is looked up when an execution begins: workflows may run
    /// one another, and themselves, so none of them can be first.
    pub fn child(&mut self, run: &Node, scope: &Scope) -> Option<ChildWork> {
        let body = run.get("workflow")?;
        if let Some(part) = run.get("return") {
            self.report
                .node(codes::WRONG_VALUE, part, "`return` is of programs, and a workflow has an output")
                .hint("remove it; take a part of the output with `output.as`");
        }
        let namespace = self.child_name(body, "namespace");
        let name = self.child_name(body, "name");
        let version = self.child_version(body.get("version")?);
        let input = body.get("input").map(|node| self.data(node, Place::Task, scope));
        let (namespace, name, version) = (namespace?, name?, version?);
        let versions = self.children.entry(format!("{namespace}/{name}")).or_default();
        versions.insert(version.clone());
        if self.children.values().map(std::collections::BTreeSet::len).sum::<usize>() > CHILDREN_MAX {
            self.report
                .node(codes::WRONG_VALUE, body, format!("more than {CHILDREN_MAX} workflows are run"))
                .hint("let a workflow between them run some of them");
            return None;
        }
        let waits = !matches!(run.get("await").map(|n| &n.data), Some(NodeData::Bool(false)));
        let version = (version != LATEST).then_some(version);
        Some(ChildWork { namespace, name, version, input, waits })
    }

    /// Namespaces and names are those of documents: what no document can have, nothing can be found under.
    fn child_name(&mut self, body: &Node, field: &str) -> Option<String> {
        let node = body.get(field)?;
        let text = node.text()?;
        let fine = (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        if !fine {
            self.report
                .node(codes::WRONG_VALUE, node, format!("`{text}` is not the {field} of a workflow"))
                .hint(format!(
                    "write the {field} as it stands in its document; expressions are not evaluated here"
                ));
            return None;
        }
        Some(text.to_owned())
    }

    fn child_version(&mut self, node: &Node) -> Option<String> {
        let text = node.text()?;
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let parts: Vec<&str> = core.split('.').collect();
        let numbered = parts.len() == 3
            && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
            && text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'));
        if !numbered && text != LATEST {
            self.report
                .node(codes::WRONG_VALUE, node, format!("`{text}` is not a version"))
                .hint("write for example `1.0.0`, or `latest` for the newest when the execution begins");
            return None;
        }
        Some(text.to_owned())
    }
}
