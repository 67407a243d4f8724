//! Compiles a workflow document: shape, then meaning, then the plan that `engine` walks.

mod approval;
mod asyncapi;
mod authentication;
mod child;
mod container;
pub(crate) mod expression;
mod flow;
mod fork;
mod function;
mod grpc;
mod listen;
mod metadata;
mod openapi;
mod parts;
mod profile;
mod reach;
mod rpc;
mod saga;
mod schedule;
pub(crate) mod schema;
mod task;
mod words;
mod work;

pub(crate) use work::{host_of, host_of_server};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{ActionRef, Digest, Value, digest_of};
use serde_json::json;

use crate::codes;
use crate::compile::expression::{Place, Scope};
use crate::describe::{Description, Kind, Wanted};
use crate::diagnostic::Diagnostic;
use crate::document::node::Node;
use crate::document::reader;
use crate::document::report::Report;
use crate::document::shape::{Shape, check, check_object};
use crate::document::shape_workflow::WORKFLOW;
use crate::plan::{Action, Definition};

/// Finds actions while a workflow is compiled.
pub trait Catalogue {
    /// The action, or none when the catalogue does not have it.
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>>;
    /// All names and versions, to suggest the nearest.
    fn actions(&self) -> Vec<ActionRef>;
    /// A description by its address: none when it has not been fetched, an error when it cannot be used.
    fn description(&self, kind: Kind, uri: &str) -> Option<Result<Description, String>> {
        let _ = (kind, uri);
        None
    }
}

/// A compiled workflow, or what is wrong with it.
#[derive(Debug)]
pub struct Compiled {
    /// None when there is an error among the problems.
    pub definition: Option<Arc<Definition>>,
    /// Everything found, in document order.
    pub problems: Vec<Diagnostic>,
    /// Descriptions that the catalogue did not have; without them there is no definition.
    pub wanted: Vec<Wanted>,
}

/// Compiles a workflow document (YAML or JSON).
pub fn compile(text: &str, catalogue: &dyn Catalogue) -> Compiled {
    let mut report = Report::new(text);
    let Some(root) = reader::read(text, &mut report) else {
        return Compiled { definition: None, problems: report.finish(), wanted: Vec::new() };
    };
    if root.members().is_none() {
        report
            .node(
                codes::NOT_ONE_DOCUMENT,
                &root,
                format!("a workflow must be an object, not {}", root.kind()),
            )
            .hint("begin with `document:` and `do:`");
        return Compiled { definition: None, problems: report.finish(), wanted: Vec::new() };
    }
    check_object(&root, &WORKFLOW, &mut report);
    let mut compiler = Compiler::new(&mut report, &root, catalogue);
    let definition = compiler.workflow();
    let wanted: Vec<Wanted> = std::mem::take(&mut compiler.wanted).into_values().collect();
    let whole = !report.failed() && wanted.is_empty();
    let definition = definition.filter(|_| whole).map(Arc::new);
    Compiled { definition, problems: report.finish(), wanted }
}

/// The state of one compilation.
pub(crate) struct Compiler<'a, 's> {
    pub report: &'a mut Report<'s>,
    pub root: &'a Node,
    pub catalogue: &'a dyn Catalogue,
    /// Everything reached so far.
    pub actions: BTreeMap<ActionRef, Arc<Action>>,
    /// The workflows that tasks run, by `namespace/name`, in these versions.
    pub children: BTreeMap<String, BTreeSet<String>>,
    /// Descriptions of what it calls, pinned.
    pub(crate) apis: BTreeMap<String, Digest>,
    /// Descriptions that the catalogue does not have, by their keys.
    pub(crate) wanted: BTreeMap<String, Wanted>,
    /// The names of all tasks of the document, to tell another scope from nowhere.
    task_names: BTreeSet<Arc<str>>,
    /// True once an earlier task has exported something.
    pub(crate) exported: bool,
    /// What the tasks of the present branch, or of the workflow around it, set up.
    thread: saga::Thread,
    /// The governed words that are called.
    words: BTreeSet<String>,
    /// Where `governed` stands, and what it lists.
    governed: Option<(Node, BTreeSet<String>)>,
    /// The catalogue's names, asked for once.
    known_actions: Option<Vec<String>>,
    /// The inline functions that are being compiled, each called by the one before.
    calling: Vec<String>,
    /// Values of all inline functions at the places of their calls.
    expanded: usize,
}

/// A catalogue without actions; action documents call none by themselves.
pub(crate) struct Nothing;

impl Catalogue for Nothing {
    fn action(&self, _reference: &ActionRef) -> Option<Arc<Action>> {
        None
    }
    fn actions(&self) -> Vec<ActionRef> {
        Vec::new()
    }
}

impl<'a, 's> Compiler<'a, 's> {
    /// Ready to compile a document.
    pub fn new(report: &'a mut Report<'s>, root: &'a Node, catalogue: &'a dyn Catalogue) -> Self {
        Self {
            report,
            root,
            catalogue,
            actions: BTreeMap::new(),
            children: BTreeMap::new(),
            apis: BTreeMap::new(),
            wanted: BTreeMap::new(),
            task_names: BTreeSet::new(),
            exported: false,
            thread: saga::Thread::default(),
            words: BTreeSet::new(),
            governed: None,
            known_actions: None,
            calling: Vec::new(),
            expanded: 0,
        }
    }

    fn workflow(&mut self) -> Option<Definition> {
        let root = self.root;
        self.profile();
        self.metadata(root.get("document").and_then(|d| d.get("metadata")));
        self.collect_names(root);
        let scope = Scope::default();
        let input = self.input(root.get("input"), Place::WorkflowInput, &scope);
        self.uses();
        self.functions();
        let tasks = root.get("do").map(|list| self.task_list(list, &scope));
        self.savepoints_known();
        self.needs_listed();
        let timeout = self.timeout(root.get("timeout"), Place::WorkflowTimeout, &scope);
        let output = self.output(root.get("output"), Place::WorkflowOutput, &scope);
        let schedule = self.schedule(&input);
        let head = root.get("document")?;
        let text = |name: &str| head.text_of(name).map(str::to_owned);
        let document = root.value();
        Some(Definition {
            namespace: text("namespace")?,
            name: text("name")?,
            version: text("version")?,
            title: text("title"),
            summary: text("summary"),
            metadata: claims(head),
            input,
            output,
            timeout,
            schedule,
            tasks: tasks?,
            digest: self.digest(&document),
            actions: std::mem::take(&mut self.actions),
            children: std::mem::take(&mut self.children),
            document,
        })
    }

    /// Entries of `use` are compiled where they are used; those nobody uses are checked here all the same.
    fn uses(&mut self) {
        let root = self.root;
        let Some(uses) = root.get("use") else { return };
        let entries =
            |name: &str| uses.get(name).and_then(Node::members).into_iter().flat_map(|m| m.values());
        let scope = Scope::of_use();
        for member in entries("errors") {
            self.error(&member.value, Place::TaskExport, &scope);
        }
        for member in entries("timeouts") {
            self.timeout(Some(&member.value).filter(|n| n.members().is_some()), Place::TaskExport, &scope);
        }
        for member in entries("authentications") {
            self.authentication(&member.value, Place::TaskExport, &scope);
        }
        for member in entries("retries") {
            self.retry(&member.value, Place::TaskExport, &scope);
        }
    }

    fn digest(&self, document: &Value) -> Digest {
        let actions: BTreeMap<String, String> =
            self.actions.iter().map(|(name, action)| (name.to_string(), action.digest.to_string())).collect();
        let mut content =
            json!({ "document": document, "actions": actions, "evaluator": crate::expr::VERSION });
        // Only where there are any: what was published without them keeps its digest.
        if !self.apis.is_empty() {
            content["apis"] = json!(self.apis);
        }
        digest_of(&content)
    }

    fn collect_names(&mut self, node: &Node) {
        for item in node.items() {
            for (name, member) in item.members().into_iter().flatten() {
                if crate::document::shape_task::kind_of(&member.value).is_some() {
                    self.task_names.insert(name.clone());
                }
            }
            self.collect_names(item);
        }
        for (_, member) in node.members().into_iter().flatten() {
            self.collect_names(&member.value);
        }
    }

    /// Tells what is wrong with the shape of a node.
    pub fn shape(&mut self, node: &Node, shape: &Shape) {
        check(node, shape, self.report);
    }
}

/// `document.metadata` with `document.tags` beside it.
fn claims(head: &Node) -> Value {
    let member = |name: &str| head.get(name).and_then(Node::members);
    let mut claims: Vec<(Arc<str>, Value)> =
        member("metadata").into_iter().flatten().map(|(k, m)| (k.clone(), m.value.value())).collect();
    if let Some(tags) = head.get("tags").filter(|_| claims.iter().all(|(k, _)| &**k != "tags")) {
        claims.push((Arc::from("tags"), tags.value()));
    }
    Value::object(claims)
}
