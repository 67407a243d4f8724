//! Workflows on the wire.

use app::view::{Checked as AppChecked, GraphNode as AppNode, WorkflowView};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::wire::{Diagnostic, WorkflowName, diagnostics, moment};

/// A published workflow version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Workflow {
    /// Namespace.
    namespace: String,
    /// Name.
    name: String,
    /// Semantic version.
    version: String,
    /// Title.
    title: Option<String>,
    /// Summary.
    summary: Option<String>,
    /// Digest of the compiled definition.
    digest: String,
    /// Who answers for it.
    owner: Option<String>,
    /// Example sentences by which goals find it.
    intents: Vec<String>,
    /// JSON Schema of the input.
    #[schema(value_type = Option<Object>)]
    input_schema: Option<Value>,
    /// Actions it can reach.
    actions: Vec<String>,
    /// Descriptions of APIs that it calls: address, and digest of the text that was pinned when it was published.
    apis: std::collections::BTreeMap<String, String>,
    /// Who published it.
    published_by: String,
    /// When.
    published_at: String,
    /// The text, as it was published.
    source: String,
    /// Warnings of the compiler.
    warnings: Vec<Diagnostic>,
    /// The task tree, for drawing.
    graph: Vec<GraphNode>,
}

impl From<WorkflowView> for Workflow {
    fn from(view: WorkflowView) -> Self {
        Self {
            namespace: view.namespace,
            name: view.name,
            version: view.version,
            title: view.title,
            summary: view.summary,
            digest: view.digest.to_string(),
            owner: view.owner,
            intents: view.intents,
            input_schema: view.input_schema,
            actions: view.actions,
            apis: view.apis.into_iter().map(|(uri, digest)| (uri, digest.to_string())).collect(),
            published_by: view.published_by,
            published_at: moment(view.published_at),
            source: view.source,
            warnings: diagnostics(&view.warnings),
            graph: view.graph.into_iter().map(GraphNode::from).collect(),
        }
    }
}

/// A task of a definition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GraphNode {
    /// JSON Pointer.
    pointer: String,
    /// Name.
    name: String,
    /// `do`, `set`, `switch`, `for`, `raise`, `try`, `wait`, `call` or `run`.
    kind: String,
    /// What it does, in a few words.
    label: String,
    /// Tasks inside, in order.
    #[schema(no_recursion)]
    children: Vec<GraphNode>,
    /// Where the flow may go next.
    next: Vec<GraphEdge>,
}

/// Where the flow may go, as a pair: JSON Pointer of the task, and a label.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GraphEdge(String, String);

impl From<AppNode> for GraphNode {
    fn from(node: AppNode) -> Self {
        Self {
            pointer: node.pointer,
            name: node.name,
            kind: node.kind,
            label: node.label,
            children: node.children.into_iter().map(GraphNode::from).collect(),
            next: node.next.into_iter().map(|(pointer, label)| GraphEdge(pointer, label)).collect(),
        }
    }
}

/// What the compiler says about a document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Checked {
    /// True when it can be published.
    valid: bool,
    /// Everything found.
    problems: Vec<Diagnostic>,
    /// The name in the document, when it has one.
    workflow: Option<WorkflowName>,
    /// The digest, when it compiled.
    digest: Option<String>,
}

impl From<AppChecked> for Checked {
    fn from(checked: AppChecked) -> Self {
        Self {
            valid: checked.valid,
            problems: diagnostics(&checked.problems),
            workflow: checked.workflow.map(WorkflowName::from),
            digest: checked.digest.map(|digest| digest.to_string()),
        }
    }
}
