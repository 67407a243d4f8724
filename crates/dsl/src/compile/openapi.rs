//! Compiles `call: openapi`: the description is looked up, the operation is found in it, and names of arguments are checked.

use std::sync::Arc;

use model::call::ToolProgram;
use model::effect::HttpOutput;

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::describe::{Description, Kind, Wanted};
use crate::document::node::{Node, NodeData};
use crate::openapi::{Document, UnknownOperation};
use crate::plan::{OpenApiWork, UriTemplate};
use crate::template::Template;

impl Compiler<'_, '_> {
    /// `with` of `call: openapi`
    pub fn openapi(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<OpenApiWork> {
        let authentication = node.get("authentication").map(|n| self.authentication(n, place, scope));
        let parameters = node.get("parameters").map(|n| self.data(n, place, scope));
        let document = node.get("document").and_then(|n| self.api(n, place, scope));
        let id = node.get("operationId").filter(|id| id.text().is_some());
        if let Some(id) = id.filter(|id| id.text().is_some_and(|text| text.contains("${"))) {
            self.report
                .node(codes::UNKNOWN_OPERATION, id, "the id of the operation must be written out")
                .hint("what a task may do is decided when it is published; use a `switch` to choose");
            return None;
        }
        let (document, id) = (document?, id?);
        let operation = match document.operation(id.text()?) {
            Ok(operation) => operation,
            Err(UnknownOperation::Missing(hint)) => {
                let told = format!("`{}` has no operation `{}`", document.uri, id.text().unwrap_or_default());
                self.report.node(codes::UNKNOWN_OPERATION, id, told).hint(hint);
                return None;
            }
            Err(UnknownOperation::Broken(why)) => {
                self.report
                    .node(codes::API_DOCUMENT, id, format!("`{}` cannot be used: {why}", document.uri))
                    .hint("this is a mistake in the description; its owner has to put it right");
                return None;
            }
        };
        self.parameters_fit(node, &operation, parameters.as_ref());
        let output = match node.text_of("output") {
            Some("raw") => HttpOutput::Raw,
            Some("response") => HttpOutput::Response,
            _ => HttpOutput::Content,
        };
        let authentication = match authentication {
            Some(compiled) => Some(compiled?),
            None => None,
        };
        Some(OpenApiWork {
            document: document.uri.to_string(),
            digest: document.digest,
            operation: Arc::new(operation),
            parameters,
            authentication,
            output,
            redirect: matches!(node.get("redirect").map(|n| &n.data), Some(NodeData::Bool(true))),
        })
    }

    /// Tells of names of arguments that the operation does not have, and of required ones that are missing.
    fn parameters_fit(
        &mut self,
        node: &Node,
        operation: &crate::openapi::Operation,
        parameters: Option<&Template>,
    ) {
        let written = node.get("parameters");
        let names: Vec<&str> = match written.map(|n| &n.data) {
            Some(NodeData::Object(members)) => members.keys().map(|name| &**name).collect(),
            Some(_) => return,
            None => Vec::new(),
        };
        let whole = !matches!(parameters, Some(Template::Expr(_)));
        for misfit in operation.misfits(&names, whole) {
            let place = written.and_then(|n| n.get(&misfit.name)).or(written).unwrap_or(node);
            self.report.node(codes::API_PARAMETERS, place, misfit.message).maybe(misfit.hint);
        }
    }

    /// The description that `document` names.
    fn api(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<Arc<Document>> {
        match self.described(Kind::OpenApi, node, place, scope)?.1 {
            Description::OpenApi(document) => Some(document),
            _ => None,
        }
    }

    /// The description that a resource names, and the node of its address. Not there yet: it is wanted, and whoever
    /// publishes fetches it.
    pub(super) fn described<'n>(
        &mut self,
        kind: Kind,
        resource: &'n Node,
        place: Place,
        scope: &Scope,
    ) -> Option<(&'n Node, Description)> {
        let endpoint = resource.get("endpoint")?;
        let address = if endpoint.members().is_some() { endpoint.get("uri")? } else { endpoint };
        let authentication = match endpoint.get("authentication") {
            Some(node) => Some(self.fixed_authentication(node, place, scope)?),
            None => None,
        };
        let UriTemplate::Pieces(pieces) = self.uri(address, place, scope)? else {
            return self.not_literal(address);
        };
        let [crate::plan::UriPiece::Text(text)] = pieces.as_slice() else { return self.not_literal(address) };
        let uri = url::Url::parse(text).ok()?.to_string();
        let found = self.known(kind, address, Wanted { kind, uri, authentication })?;
        Some((address, found))
    }

    /// A description by its address; what is not there is wanted.
    pub(super) fn known(&mut self, kind: Kind, address: &Node, wanted: Wanted) -> Option<Description> {
        let key = kind.key(&wanted.uri);
        match self.catalogue.description(kind, &wanted.uri) {
            Some(Ok(description)) => {
                self.apis.insert(key, description.digest());
                Some(description)
            }
            Some(Err(why)) => {
                let program = ToolProgram::of_uri(&wanted.uri);
                let (code, told, hint) = match (kind, program) {
                    (Kind::Image, _) => {
                        (codes::CONTAINER, format!("the container cannot be run: {why}"), kind.hint())
                    }
                    (_, Some(program)) => (
                        codes::STDIO,
                        format!("`{}` cannot be used as a tool server: {why}", program.in_one_line()),
                        "it must speak MCP over its standard streams, and `sandbox.tools` must name it and its files",
                    ),
                    (_, None) => (
                        codes::API_DOCUMENT,
                        format!("the description at `{}` cannot be used: {why}", wanted.uri),
                        kind.hint(),
                    ),
                };
                self.report.node(code, address, told).hint(hint);
                None
            }
            None => {
                self.wanted.entry(key).or_insert(wanted);
                let (told, hint) = match kind {
                    Kind::Image => (
                        "the image is looked for when this is published",
                        "whether it is there is checked then",
                    ),
                    Kind::OpenApi | Kind::Proto | Kind::AsyncApi | Kind::Tools | Kind::Card => (
                        "the description is fetched when this is published",
                        "operation and parameters are checked then",
                    ),
                };
                self.report.node(codes::API_LATER, address, told).hint(hint);
                None
            }
        }
    }

    fn not_literal<T>(&mut self, node: &Node) -> Option<T> {
        self.report
            .node(codes::ENDPOINT, node, "the address of a description must be written out")
            .hint("it is fetched and pinned when this is published, before there is any data");
        None
    }
}
