//! Compiles `call: mcp` and `call: a2a`: the server or agent as it was when this is published, and what is asked of it.

use model::call::{RpcProtocol, ToolProgram};

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::describe::{Description, Kind, Wanted};
use crate::document::node::Node;
use crate::plan::{AuthenticationWork, RpcWork, UriPiece, UriTemplate};
use crate::template::Template;

/// Versions of the protocol that are spoken, oldest first.
const VERSIONS: &[&str] = &["2025-03-26", "2025-06-18", "2025-11-25"];

impl Compiler<'_, '_> {
    /// `with` of `call: mcp`
    pub fn mcp(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<RpcWork> {
        let parameters = node.get("parameters").map(|n| self.data(n, place, scope));
        let timeout = node.get("timeout").map(|n| self.duration(n, place, scope));
        let transport = node.get("transport")?;
        if let Some(options) = transport.get("options") {
            self.not_built(options, "`options` of a transport");
        }
        if let Some(version) =
            node.get("protocolVersion").filter(|n| n.text().is_none_or(|v| !VERSIONS.contains(&v)))
        {
            self.report
                .node(codes::WRONG_VALUE, version, "this version of the protocol is not spoken")
                .hint(format!("write one of {}", crate::document::shape::quoted(VERSIONS)));
            return None;
        }
        let (at, uri, headers, authentication) = match transport.get("stdio") {
            Some(stdio) => (stdio, self.tool_program(stdio)?.uri(), None, None),
            None => {
                let http = transport.get("http")?;
                let headers = http.get("headers").map(|n| self.data(n, place, scope));
                let endpoint = http.get("endpoint")?;
                let (uri, authentication) = self.fixed_endpoint(endpoint, place, scope)?;
                (endpoint, uri, headers, authentication)
            }
        };
        let method = node.text_of("method")?.to_owned();
        let client = node.get("client").and_then(|client| {
            Some((client.text_of("name")?.to_owned(), client.text_of("version")?.to_owned()))
        });
        let mut work = RpcWork {
            protocol: RpcProtocol::Mcp,
            uri,
            headers,
            method,
            parameters,
            version: node.text_of("protocolVersion").map(str::to_owned),
            client,
            tool: None,
            schema: None,
            timeout: None,
            authentication,
        };
        work.timeout = match timeout {
            Some(timeout) => Some(timeout?),
            None => None,
        };
        if work.method == "tools/call" {
            return self.tool(node, at, work);
        }
        // Whether a program may be started is seen by starting it, whatever it is asked for later.
        if work.is_program() {
            let wanted = Wanted { kind: Kind::Tools, uri: work.uri.clone(), authentication: None };
            self.known(Kind::Tools, at, wanted)?;
        }
        Some(work)
    }

    /// The program of `stdio`. Everything is written out: what is started is what was reviewed.
    fn tool_program(&mut self, stdio: &Node) -> Option<ToolProgram> {
        let arguments = stdio.get("arguments").map(Node::items).unwrap_or_default();
        let variables = stdio.get("environment").and_then(Node::members);
        let given = variables.into_iter().flat_map(|members| members.values()).map(|member| &member.value);
        let varies = |node: &&Node| node.text().is_none_or(|text| text.contains("${"));
        let command = stdio.get("command")?;
        let whole = stdio.get("environment").filter(|node| node.members().is_none());
        let odd = std::iter::once(command).chain(arguments).chain(given).find(varies).or(whole);
        if let Some(odd) = odd {
            self.report
                .node(codes::STDIO, odd, "the program of a tool server must be written out")
                .hint("what is started is pinned when this is published; data belongs into `parameters`");
            return None;
        }
        let text = |node: &Node| node.text().map(str::to_owned);
        Some(ToolProgram {
            command: text(command)?,
            arguments: arguments.iter().filter_map(text).collect(),
            environment: variables
                .into_iter()
                .flatten()
                .filter_map(|(name, member)| Some((name.to_string(), text(&member.value)?)))
                .collect(),
        })
    }

    /// The tool that is called, as the server describes it now.
    fn tool(&mut self, node: &Node, endpoint: &Node, mut work: RpcWork) -> Option<RpcWork> {
        let name = node.get("parameters").and_then(|n| n.get("name"));
        let Some((at, name)) =
            name.and_then(|n| Some((n, n.text()?))).filter(|(_, text)| !text.contains("${"))
        else {
            let at = name.or_else(|| node.get("parameters")).unwrap_or(node);
            self.report
                .node(codes::UNKNOWN_TOOL, at, "`parameters.name` must be written out")
                .hint("what a task may do is decided when it is published; use a `switch` to choose");
            return None;
        };
        let authentication = match &work.authentication {
            Some(authentication) => Some(self.fixed(endpoint, authentication)?),
            None => None,
        };
        let wanted = Wanted { kind: Kind::Tools, uri: work.uri.clone(), authentication };
        let Description::Tools(tools) = self.known(Kind::Tools, endpoint, wanted)? else { return None };
        match tools.tool(name) {
            Ok(tool) => {
                work.tool = Some(tool.digest);
                // Arguments without expressions can be judged now.
                let value = match &work.parameters {
                    Some(Template::Constant(all)) => all.get("arguments").cloned(),
                    Some(Template::Object(members)) => members.iter().find_map(|(name, part)| match part {
                        Template::Constant(value) if &**name == "arguments" => Some(value.clone()),
                        _ => None,
                    }),
                    _ => None,
                };
                let arguments = node.get("parameters").and_then(|n| n.get("arguments"));
                if let (Some(arguments), Some(value)) = (arguments, value)
                    && let Some(error) = tool.schema.validator.iter_errors(&value.to_json()).next()
                {
                    self.report
                        .node(
                            codes::API_PARAMETERS,
                            arguments,
                            format!("the arguments do not fit `{name}`: {error}"),
                        )
                        .hint("write what the tool's `inputSchema` asks for");
                }
                work.schema = Some(tool.schema);
                Some(work)
            }
            Err((message, hint)) => {
                self.report.node(codes::UNKNOWN_TOOL, at, message).hint(hint);
                None
            }
        }
    }

    /// `with` of `call: a2a`
    pub fn a2a(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<RpcWork> {
        let parameters = node.get("parameters").map(|n| self.data(n, place, scope));
        let (uri, authentication) = match (node.get("server"), node.get("agentCard")) {
            (Some(server), _) => self.fixed_endpoint(server, place, scope)?,
            (None, Some(resource)) => {
                let Description::Card(card) = self.described(Kind::Card, resource, place, scope)?.1 else {
                    return None;
                };
                let endpoint = resource.get("endpoint")?;
                let at = endpoint.text().or_else(|| endpoint.text_of("uri")).unwrap_or_default();
                // Who proves something to the card's server proves nothing to another.
                let same = |a: &str, b: &str| match (url::Url::parse(a), url::Url::parse(b)) {
                    (Ok(a), Ok(b)) => a.origin() == b.origin(),
                    _ => false,
                };
                let authentication = match endpoint.get("authentication").filter(|_| same(at, &card.url)) {
                    Some(node) => Some(self.authentication(node, place, scope)?),
                    None => None,
                };
                (card.url.clone(), authentication)
            }
            (None, None) => {
                self.report
                    .node(codes::MISSING_KEY, node, "`agentCard` or `server` is missing")
                    .hint("name the card of the agent, or where it is");
                return None;
            }
        };
        Some(RpcWork {
            protocol: RpcProtocol::A2a,
            uri,
            headers: None,
            method: node.text_of("method")?.to_owned(),
            parameters,
            version: None,
            client: None,
            tool: None,
            schema: None,
            timeout: None,
            authentication,
        })
    }

    /// An endpoint that is written out: what is there is a part of what is reviewed.
    fn fixed_endpoint(
        &mut self,
        endpoint: &Node,
        place: Place,
        scope: &Scope,
    ) -> Option<(String, Option<AuthenticationWork>)> {
        let address = if endpoint.members().is_some() { endpoint.get("uri")? } else { endpoint };
        let authentication = match endpoint.get("authentication") {
            Some(node) => Some(self.authentication(node, place, scope)?),
            None => None,
        };
        let fixed = match self.uri(address, place, scope)? {
            UriTemplate::Pieces(pieces) => match pieces.as_slice() {
                [UriPiece::Text(text)] => url::Url::parse(text).ok().map(String::from),
                _ => None,
            },
            UriTemplate::Expr(_) => None,
        };
        if fixed.is_none() {
            self.report
                .node(codes::ENDPOINT, address, "the address of a server must be written out")
                .hint("what is there is pinned when this is published, before there is any data");
        }
        fixed.map(|uri| (uri, authentication))
    }
}
