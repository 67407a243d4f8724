//! Compiles `call: grpc`: the method is found in the pinned `.proto`, and where it is called is settled.

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::describe::{Description, Kind};
use crate::document::node::{Node, NodeData};
use crate::plan::{AuthenticationWork, GrpcWork};

/// The port of a service that names none.
const PORT: i64 = 443;

impl Compiler<'_, '_> {
    /// `with` of `call: grpc`; `task` may say in its metadata that the way is not encrypted.
    pub fn grpc(&mut self, task: &Node, node: &Node, place: Place, scope: &Scope) -> Option<GrpcWork> {
        let arguments = node.get("arguments").map(|n| self.data(n, place, scope));
        let service = node.get("service")?;
        let authentication = service.get("authentication").map(|n| self.authentication(n, place, scope));
        if let Some(n) = service.get("authentication") {
            self.no_challenge(n, authentication.as_ref().and_then(Option::as_ref));
        }
        let uri = self.grpc_uri(task, service);
        let described = node.get("proto").and_then(|n| self.described(Kind::Proto, n, place, scope));
        let (name, method) = (service.get("name")?, node.get("method")?);
        for node in [name, method] {
            if node.text().is_some_and(|text| text.contains("${")) {
                self.report
                    .node(codes::UNKNOWN_OPERATION, node, "service and method must be written out")
                    .hint("what a task may do is decided when it is published; use a `switch` to choose");
                return None;
            }
        }
        let Description::Proto(proto) = described?.1 else { return None };
        let found = match proto.method(name.text()?, method.text()?) {
            Ok(found) => found,
            Err((message, hint)) => {
                self.report.node(codes::UNKNOWN_OPERATION, method, message).hint(hint);
                return None;
            }
        };
        if found.client_streaming {
            self.report
                .node(
                    codes::STREAMS_IN,
                    method,
                    format!("`{}` takes a stream", method.text().unwrap_or_default()),
                )
                .hint("call a method that takes one message");
            return None;
        }
        let authentication = match authentication {
            Some(compiled) => Some(compiled?),
            None => None,
        };
        Some(GrpcWork {
            proto: proto.digest,
            uri: uri?,
            service: name.text()?.to_owned(),
            method: method.text()?.to_owned(),
            arguments,
            authentication,
        })
    }

    /// Encrypted, unless it stays on this machine or the task says that it is not.
    fn grpc_uri(&mut self, task: &Node, service: &Node) -> Option<String> {
        let host = service.get("host")?;
        let text = host.text()?;
        let port = match service.get("port").map(|n| &n.data) {
            Some(NodeData::Int(port)) => *port,
            _ => PORT,
        };
        let metadata = task.get("metadata").and_then(|m| m.get("omnihub")).and_then(|m| m.get("tls"));
        let plain = match metadata.map(|n| &n.data) {
            Some(NodeData::Bool(tls)) => !tls,
            _ => text == "localhost" || text.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
        };
        let uri = format!("{}://{text}:{port}", if plain { "http" } else { "https" });
        let plain_host =
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !plain_host || url::Url::parse(&uri).is_err() || !(1..=65535).contains(&port) {
            self.report
                .node(codes::ENDPOINT, host, format!("`{text}:{port}` is not a host and a port"))
                .hint("write for example `host: greeter.example` and `port: 443`; a host is written out");
            return None;
        }
        Some(uri)
    }

    /// Digest authentication answers a challenge, which only HTTP has.
    pub(super) fn no_challenge(&mut self, node: &Node, work: Option<&AuthenticationWork>) {
        let digest = match work {
            Some(AuthenticationWork::Digest { .. }) => true,
            Some(AuthenticationWork::Secret { with, .. }) => *with == model::effect::SecretScheme::Digest,
            _ => false,
        };
        if digest {
            self.report
                .node(codes::AUTHENTICATION, node, "`digest` answers a challenge, and this protocol has none")
                .hint("use `basic`, `bearer`, `oauth2` or `oidc`");
        }
    }
}
