//! Calls of protocols that are more than one HTTP request: gRPC, streams of messages, JSON-RPC; and the OAuth way to a token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical::Digest;
use crate::effect::Authentication;
use crate::value::Value;

/// A gRPC call of one method.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GrpcRequest {
    /// `https://host:port`, or `http://` without encryption.
    pub uri: String,
    /// Full name of the service, package included.
    pub service: String,
    /// Name of the method.
    pub method: String,
    /// Digest of the kept description that knows the messages.
    pub proto: Digest,
    /// Metadata: names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The message, in its JSON form.
    pub arguments: Value,
    /// How to prove who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
}

/// One message sent over a WebSocket, or messages taken from a WebSocket or an HTTP stream.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StreamRequest {
    /// `ws`, `wss`, `http` or `https`.
    pub uri: String,
    /// Headers of the request that opens it.
    pub headers: Vec<(String, String)>,
    /// The message that is sent; none when messages are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// What is taken; none when a message is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<Take>,
    /// How to prove who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
}

/// Which messages are taken, and when it is enough.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Take {
    /// Only messages for which this holds count; `.` is the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Condition>,
    /// This many are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u32>,
    /// Goes on after each message while this holds; `.` is the list of what was taken.
    #[serde(default, rename = "while", skip_serializing_if = "Option::is_none")]
    pub going: Option<Condition>,
    /// Ends when this holds, looked at before each message; `.` is the list of what was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Condition>,
    /// JSON Pointer into the payload of who a message belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// Ends after this time, in milliseconds, with what was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// An expression with everything that it refers to, to be evaluated where the messages arrive.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// Its text.
    pub expression: String,
    /// Its variables by name, as they were when the effect was requested.
    pub variables: Value,
}

/// A JSON-RPC call of a tool server or of an agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RpcRequest {
    /// What is spoken.
    pub protocol: RpcProtocol,
    /// Where; `http` or `https`, or a program as [`ToolProgram::uri`] writes it.
    pub uri: String,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// For example `tools/call`.
    pub method: String,
    /// `params`
    pub parameters: Value,
    /// The protocol version that is offered; none for the newest that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who we say that we are: name and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<(String, String)>,
    /// Digest of the called tool as it was published; a tool that changed since is not called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Digest>,
    /// Time limit, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How to prove who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
}

/// What is spoken over JSON-RPC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RpcProtocol {
    /// Model Context Protocol, over HTTP or the standard streams of a program.
    Mcp,
    /// Agent2Agent.
    A2a,
}

impl RpcProtocol {
    /// The word, as operations begin with it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
        }
    }
}

impl RpcRequest {
    /// True for methods that change nothing.
    pub fn is_read(&self) -> bool {
        is_read(self.protocol, &self.method)
    }

    /// The program that is spoken to, when it is one.
    pub fn program(&self) -> Option<ToolProgram> {
        ToolProgram::of_uri(&self.uri)
    }

    /// True when a program is spoken to, and no address.
    pub fn is_program(&self) -> bool {
        self.uri.starts_with(STDIO)
    }
}

/// What the address of a tool server that is a program begins with.
const STDIO: &str = "stdio:";

/// A tool server that is a program: started for one call, and spoken to over its standard streams.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolProgram {
    /// A path, or a name in the system's directories of programs.
    pub command: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Its whole environment, but for what every program gets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl ToolProgram {
    /// One text for one program, which stands where the address of another server stands.
    pub fn uri(&self) -> String {
        // Texts in lists and maps of texts: nothing here fails to be written.
        format!("{STDIO}{}", serde_json::to_string(self).unwrap_or_default())
    }

    /// The program of [`ToolProgram::uri`].
    pub fn of_uri(uri: &str) -> Option<Self> {
        serde_json::from_str(uri.strip_prefix(STDIO)?).ok()
    }

    /// As a command line, for people.
    pub fn in_one_line(&self) -> String {
        let words: Vec<&str> =
            std::iter::once(&self.command).chain(&self.arguments).map(String::as_str).collect();
        words.join(" ")
    }
}

/// True for methods that change nothing.
pub fn is_read(protocol: RpcProtocol, method: &str) -> bool {
    match protocol {
        RpcProtocol::Mcp => method != "tools/call",
        RpcProtocol::A2a => matches!(
            method,
            "tasks/get"
                | "tasks/list"
                | "tasks/resubscribe"
                | "tasks/pushNotificationConfig/get"
                | "tasks/pushNotificationConfig/list"
                | "agent/getAuthenticatedExtendedCard"
        ),
    }
}

impl GrpcRequest {
    /// As allow-lists and policies name it.
    pub fn operation(&self) -> String {
        format!("grpc:{}/{}", self.service, self.method)
    }
}

impl StreamRequest {
    /// As allow-lists and policies name it.
    pub fn operation(&self) -> &'static str {
        if self.take.is_some() { "asyncapi:receive" } else { "asyncapi:send" }
    }
}

/// The way to an access token, as `oauth2` and `oidc` write it; secrets may hold the same.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// Absolute URI of the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Where tokens are given out, below the authority; found out for `oidc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<OAuthEndpoints>,
    /// What is asked for; `client_credentials` when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<OAuthClient>,
    /// How the request is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<OAuthEncoding>,
    /// Issuers whose tokens are taken; all when it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<String>,
    /// Scopes that are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Audiences that are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// User name of grant `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password of grant `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// On whose behalf, of a token exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<OAuthToken>,
    /// Who acts, of a token exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<OAuthToken>,
}

/// Places below an authority.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthEndpoints {
    /// `/oauth2/token` when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<String>,
    /// Not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection: Option<String>,
}

/// The client of an authority.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthClient {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// A signed assertion, instead of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<String>,
    /// `client_secret_post` when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<String>,
    /// The private key (PKCS#8, PEM) that assertions of `private_key_jwt` are signed with. Secrets have it, documents never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The name under which the authority knows the key.
    #[serde(default, rename = "keyId", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

/// How a token request is written.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthEncoding {
    /// A form when it is absent, else `application/json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// A token of somebody else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthToken {
    /// The token.
    pub token: String,
    /// Its type, a URI.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The grant of a token exchange.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

impl OAuth {
    /// What is asked for.
    pub fn grant(&self) -> &str {
        self.grant.as_deref().unwrap_or("client_credentials")
    }

    /// How the client proves who it is.
    pub fn client_authentication(&self) -> &str {
        let client = self.client.as_ref();
        client.and_then(|client| client.authentication.as_deref()).unwrap_or("client_secret_post")
    }

    /// What is missing or cannot be done: what it is, and what to write.
    pub fn misfit(&self) -> Option<(String, &'static str)> {
        let client = self.client.clone().unwrap_or_default();
        let missing = |what: &str| format!("`{what}` is missing");
        if self.authority.as_deref().is_none_or(str::is_empty) {
            return Some((missing("authority"), "write the address of who gives out tokens"));
        }
        match self.grant() {
            "client_credentials" => {}
            "password" if self.username.is_none() || self.password.is_none() => {
                return Some((
                    missing("username` or `password"),
                    "grant `password` needs `username` and `password`",
                ));
            }
            TOKEN_EXCHANGE if self.subject.is_none() => {
                return Some((missing("subject"), "a token exchange needs `subject: { token, type }`"));
            }
            "password" | TOKEN_EXCHANGE => {}
            other => {
                return Some((
                    format!("grant `{other}` cannot be done by a workflow"),
                    "use `client_credentials`, `password` or a token exchange",
                ));
            }
        }
        match self.client_authentication() {
            "none" => None,
            "client_secret_basic" | "client_secret_post" => (client.id.is_none() || client.secret.is_none())
                .then(|| {
                    (missing("client.id` or `client.secret"), "write both, or `client.authentication: none`")
                }),
            "private_key_jwt" | "client_secret_jwt" if client.assertion.is_some() => None,
            "private_key_jwt" => (client.id.is_none() || client.key.is_none()).then(|| {
                (
                    missing("client.id` or `client.key"),
                    "put the whole configuration with `client.id` and `client.key` (PKCS#8, PEM) into a secret and name it with `use`, or give a signed `client.assertion`",
                )
            }),
            "client_secret_jwt" => (client.id.is_none() || client.secret.is_none()).then(|| {
                (missing("client.id` or `client.secret"), "write both, or give a signed `client.assertion`")
            }),
            other => Some((
                format!("`{other}` is no way in which a client proves who it is"),
                "use `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt` or `none`",
            )),
        }
    }
}
