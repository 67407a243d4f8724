//! Compiles outside acts: `call` and `run`, endpoints and authentication.

use model::effect::{HttpOutput, ProcessOutput};
use model::{Data, Value};

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope, is_expression};
use crate::document::node::{Node, NodeData};
use crate::document::report::nearest;
use crate::document::shape::quoted;
use crate::plan::{HttpWork, ProcessWork, ProgramWork, TaskKind, UriPiece, UriTemplate, Work};
use crate::template::Template;

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const LANGUAGES: &[&str] = &["javascript", "python"];

impl Compiler<'_, '_> {
    /// `call`
    pub fn call(&mut self, name: &str, node: &Node, function: &Node, scope: &Scope) -> Option<TaskKind> {
        match function.text()? {
            "http" => self
                .http(node.get("with")?, Place::Task, scope)
                .map(|w| TaskKind::Work(Work::Http(Box::new(w)))),
            "openapi" => self
                .openapi(node.get("with")?, Place::Task, scope)
                .map(|work| TaskKind::Work(Work::OpenApi(Box::new(work)))),
            "grpc" => self
                .grpc(node, node.get("with")?, Place::Task, scope)
                .map(|work| TaskKind::Work(Work::Grpc(Box::new(work)))),
            "asyncapi" => self.asyncapi_task(name, node, scope),
            "mcp" => self
                .mcp(node.get("with")?, Place::Task, scope)
                .map(|work| TaskKind::Work(Work::Rpc(Box::new(work)))),
            "a2a" => self
                .a2a(node.get("with")?, Place::Task, scope)
                .map(|work| TaskKind::Work(Work::Rpc(Box::new(work)))),
            other if Self::is_saga_word(other) => self.saga_word(other, node, function, scope),
            other => {
                if let Some(body) = self.inline(other) {
                    return self.call_function(node, function, body, scope);
                }
                let action = self.function(name, function, other);
                let with = node.get("with").map(|w| self.data(w, Place::Task, scope));
                let with = with.unwrap_or_else(|| Template::Constant(empty()));
                let action = action?;
                self.arguments(node, &action, &with);
                Some(TaskKind::Action { action, with })
            }
        }
    }

    /// `with` of `call: http`
    pub fn http(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<HttpWork> {
        let method = node.get("method").and_then(|n| self.method(n));
        let endpoint = node.get("endpoint");
        let written = endpoint.and_then(|e| if e.members().is_some() { e.get("uri") } else { Some(e) });
        let uri = written.and_then(|n| self.uri(n, place, scope));
        let authentication =
            endpoint.and_then(|e| e.get("authentication")).map(|n| self.authentication(n, place, scope));
        let mut data = |name: &str| node.get(name).map(|n| self.data(n, place, scope));
        let (headers, query, body) = (data("headers"), data("query"), data("body"));
        for (name, template) in [("headers", &headers), ("query", &query)] {
            if let (Some(node), Some(Template::Constant(value))) = (node.get(name), template)
                && value.as_str().is_some()
            {
                self.report
                    .node(codes::WRONG_TYPE, node, format!("`{name}` must be an object or an expression"))
                    .hint("write `name: value` pairs, or one whole `${ }`");
            }
        }
        let output = match node.text_of("output") {
            Some("raw") => HttpOutput::Raw,
            Some("response") => HttpOutput::Response,
            _ => HttpOutput::Content,
        };
        let redirect = matches!(node.get("redirect").map(|n| &n.data), Some(NodeData::Bool(true)));
        let authentication = match authentication {
            Some(compiled) => Some(compiled?),
            None => None,
        };
        Some(HttpWork { method: method?, uri: uri?, headers, query, body, authentication, output, redirect })
    }

    fn method(&mut self, node: &Node) -> Option<String> {
        let method = node.text()?.to_ascii_uppercase();
        if METHODS.contains(&method.as_str()) {
            return Some(method);
        }
        let near = nearest(&method, METHODS.iter().copied()).map(|m| format!("did you mean `{m}`?"));
        self.report
            .node(codes::WRONG_VALUE, node, format!("`{method}` is not a method"))
            .hint(near.unwrap_or_else(|| format!("write one of {}", quoted(METHODS))));
        None
    }

    pub(super) fn uri(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<UriTemplate> {
        let text = node.text()?;
        if is_expression(text) {
            return self.expression(node, place, scope).map(UriTemplate::Expr);
        }
        if text.contains("${") {
            self.data(node, place, scope);
            return None;
        }
        match pieces(text) {
            Ok(pieces) => Some(UriTemplate::Pieces(pieces)),
            Err((message, hint)) => {
                self.report.node(codes::ENDPOINT, node, message).hint(hint);
                None
            }
        }
    }

    /// `run`
    pub fn run(&mut self, name: &str, node: &Node, place: Place, scope: &Scope) -> Option<Work> {
        if let Some(body) = node.get("workflow") {
            self.not_built(body, &format!("the task `{name}`: `run: workflow`"));
            return None;
        }
        if let Some(waits) = node.get("await").filter(|n| matches!(n.data, NodeData::Bool(false))) {
            self.not_built(waits, &format!("the task `{name}`: `await: false`"));
        }
        let mut code = |body: &Node, name: &str| {
            let code = body.get(name).filter(|n| n.text().is_some());
            code.map(|n| self.foreign(n, place, scope))
        };
        let (body, program) = match (node.get("shell"), node.get("script"), node.get("container")) {
            (Some(shell), ..) => (shell, code(shell, "command").map(ProgramWork::Shell)),
            (None, Some(script), _) => {
                let code = code(script, "code");
                let language = self.language(script)?;
                (script, code.map(|code| ProgramWork::Script { language, code }))
            }
            (None, None, Some(container)) => {
                let command = code(container, "command");
                let image = self.container(container)?;
                (container, Some(ProgramWork::Container { image, command }))
            }
            (None, None, None) => return None,
        };
        let mut data = |name: &str| body.get(name).map(|n| self.data(n, place, scope));
        let (arguments, stdin, environment) = (data("arguments"), data("stdin"), data("environment"));
        let output = match node.text_of("return") {
            Some("stderr") => ProcessOutput::Stderr,
            Some("code") => ProcessOutput::Code,
            Some("all") => ProcessOutput::All,
            Some("none") => ProcessOutput::None,
            _ => ProcessOutput::Stdout,
        };
        let program = program?;
        Some(Work::Process(Box::new(ProcessWork { program, arguments, stdin, environment, output })))
    }

    fn language(&mut self, script: &Node) -> Option<String> {
        if let Some(source) = script.get("source") {
            self.report
                .node(codes::EXTERNAL_RESOURCE, source, "scripts are not fetched from elsewhere")
                .hint("write the script here, under `code`");
            return None;
        }
        let node = script.get("language")?;
        let language = node.text()?;
        if !LANGUAGES.contains(&language) {
            self.report
                .node(codes::WRONG_VALUE, node, format!("`{language}` is not a language that is run here"))
                .hint(format!("write one of {}", quoted(LANGUAGES)));
            return None;
        }
        Some(language.to_owned())
    }
}

/// The host and, when it is written, the port of a literal endpoint.
pub(crate) fn host_of(uri: &UriTemplate) -> Option<String> {
    let UriTemplate::Pieces(pieces) = uri else { return None };
    let url = url::Url::parse(&sample(pieces)).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// The host of an API as its description writes it; none when variables make it.
pub(crate) fn host_of_server(url: &str) -> Option<String> {
    if authority(url).contains('{') {
        return None;
    }
    let sample = url.replace(['{', '}'], "x");
    host_of(&UriTemplate::Pieces(vec![UriPiece::Text(sample)]))
}

fn empty() -> Value {
    Value::new(Data::Object(std::sync::Arc::default()))
}

fn sample(pieces: &[UriPiece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            UriPiece::Text(text) => text.as_str(),
            UriPiece::Name(_) => "x",
        })
        .collect()
}

/// Splits a URI with `{name}` places; the error is what is wrong and what to write.
fn pieces(text: &str) -> Result<Vec<UriPiece>, (String, String)> {
    let example = || "write for example `https://shop.example/orders/{orderId}`".to_owned();
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        let close = after.find('}').ok_or_else(|| ("a `{` has no `}`".to_owned(), example()))?;
        let name = after.get(1..close).unwrap_or_default();
        let fine =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !fine {
            let hint =
                "write `{name}` for a top-level member of the data, or make the whole endpoint an expression";
            return Err((format!("`{{{name}}}` is not a place for a member"), hint.to_owned()));
        }
        if !before.is_empty() {
            pieces.push(UriPiece::Text(before.to_owned()));
        }
        pieces.push(UriPiece::Name(name.to_owned()));
        rest = after.get(close + 1..).unwrap_or_default();
    }
    if rest.contains('}') {
        return Err(("a `}` has no `{`".to_owned(), example()));
    }
    if !rest.is_empty() {
        pieces.push(UriPiece::Text(rest.to_owned()));
    }
    let whole = sample(&pieces);
    let url =
        url::Url::parse(&whole).map_err(|e| (format!("`{text}` is not an absolute URI: {e}"), example()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err((format!("`{text}` is not an `http` or `https` URI"), example()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "credentials do not belong in a URI".to_owned(),
            "use `endpoint.authentication`".to_owned(),
        ));
    }
    if authority(text).contains('{') {
        let hint = "write the host out; if it must vary, make the whole endpoint an expression";
        return Err(("the host must be literal".to_owned(), hint.to_owned()));
    }
    Ok(pieces)
}

fn authority(text: &str) -> &str {
    match text.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?', '#', '\\']).next().unwrap_or_default(),
        // Without `//` a place could be anywhere in the authority.
        None => text,
    }
}
