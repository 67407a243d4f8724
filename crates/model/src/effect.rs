//! Effects: what is asked of the outside, what it answered, and whether it is real.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::{GrpcRequest, OAuth, RpcRequest, StreamRequest};
use crate::value::Value;
use crate::verdict::Quorum;

/// Counts the effects of one execution, from 1, in the order in which they were requested.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EffectNumber(pub u32);

/// One concrete act, with every expression evaluated. Secrets stand as references.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Request {
    /// An HTTP request.
    Http(HttpRequest),
    /// A sandboxed program.
    Process(ProcessRequest),
    /// A value becomes trusted: nothing leaves the house, and the arguments hold the value and the reason.
    Declassify,
    /// People are asked: nothing leaves the house, and the arguments hold what they are asked.
    Approval(Box<ApprovalRequest>),
    /// Another workflow runs as an execution of its own; the arguments hold its input.
    Workflow(WorkflowRequest),
    /// An execution that completed undoes what it did.
    Unwind(UnwindRequest),
    /// A gRPC call.
    Grpc(Box<GrpcRequest>),
    /// A message sent to, or messages taken from, a stream.
    Stream(Box<StreamRequest>),
    /// A call of a tool server or of an agent.
    Rpc(Box<RpcRequest>),
}

/// Who is asked, and what they fill in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// How many people must agree, and who.
    pub quorum: Quorum,
    /// JSON Schema of what everybody who says yes fills in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<serde_json::Value>,
    /// After how many milliseconds silence is no.
    pub deadline_ms: u64,
}

/// Which workflow runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkflowRequest {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version; never `latest`.
    pub version: String,
    /// False when the flow goes on as soon as it has begun.
    pub waits: bool,
}

/// Which execution undoes what it did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnwindRequest {
    /// Which.
    pub execution: crate::id::ExecutionId,
    /// `namespace/name:version` of its workflow.
    pub workflow: String,
}

/// The operation of [`Request::Declassify`], as allow-lists and policies name it.
pub const DECLASSIFY: &str = "declassify:1.0.0";

/// The operation of [`Request::Approval`], as allow-lists and policies name it.
pub const APPROVAL: &str = "approval:1.0.0";

impl Request {
    /// Who is acted upon: `host:port` of a URI, `sandbox`, `container`, `provenance`, `people`, or `workflow:` and a name. Part of
    /// the permit's digest.
    pub fn target(&self) -> Cow<'_, str> {
        match self {
            Self::Rpc(call) if call.is_program() => "sandbox".into(),
            Self::Process(process) if process.is_container() => "container".into(),
            Self::Http(_) | Self::Grpc(_) | Self::Stream(_) | Self::Rpc(_) => {
                let uri = self.uri().unwrap_or_default();
                match url::Url::parse(uri) {
                    Ok(uri) => {
                        let (host, port) = (uri.host_str(), uri.port_or_known_default());
                        format!("{}:{}", host.unwrap_or_default(), port.unwrap_or(0)).into()
                    }
                    Err(_) => uri.into(),
                }
            }
            Self::Process(_) => "sandbox".into(),
            Self::Declassify => "provenance".into(),
            Self::Approval(_) => "people".into(),
            Self::Workflow(workflow) => format!("workflow:{}/{}", workflow.namespace, workflow.name).into(),
            Self::Unwind(unwind) => match unwind.workflow.rsplit_once(':') {
                Some((name, _)) => format!("workflow:{name}").into(),
                None => format!("workflow:{}", unwind.workflow).into(),
            },
        }
    }

    /// Where it is sent, when it goes to an address.
    pub fn uri(&self) -> Option<&str> {
        match self {
            Self::Http(http) => Some(&http.uri),
            Self::Grpc(call) => Some(&call.uri),
            Self::Stream(stream) => Some(&stream.uri),
            Self::Rpc(call) => (!call.is_program()).then_some(&*call.uri),
            Self::Process(_) | Self::Declassify | Self::Approval(_) | Self::Workflow(_) | Self::Unwind(_) => {
                None
            }
        }
    }

    /// How it proves who we are.
    pub fn authentication(&self) -> Option<&Authentication> {
        match self {
            Self::Http(http) => http.authentication.as_ref(),
            Self::Grpc(call) => call.authentication.as_ref(),
            Self::Stream(stream) => stream.authentication.as_ref(),
            Self::Rpc(call) => call.authentication.as_ref(),
            Self::Process(_) | Self::Declassify | Self::Approval(_) | Self::Workflow(_) | Self::Unwind(_) => {
                None
            }
        }
    }

    /// True for what runs on this machine, cut off from everything, and is thrown away when it has ended.
    pub fn is_program(&self) -> bool {
        match self {
            Self::Process(_) => true,
            Self::Rpc(call) => call.is_program(),
            Self::Http(_)
            | Self::Grpc(_)
            | Self::Stream(_)
            | Self::Declassify
            | Self::Approval(_)
            | Self::Workflow(_)
            | Self::Unwind(_) => false,
        }
    }

    /// True for what another execution does: nothing is sent to the outside, and nobody's answer can be lost.
    pub fn is_execution(&self) -> bool {
        matches!(self, Self::Workflow(_) | Self::Unwind(_))
    }
}

/// An HTTP request, ready to send but for its secrets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HttpRequest {
    /// Upper case.
    pub method: String,
    /// Absolute URI, query included.
    pub uri: String,
    /// Header names and values, in order.
    pub headers: Vec<(String, String)>,
    /// JSON body; text when it is a string and the content type is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// How to prove who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// What the task's output is made of.
    pub output: HttpOutput,
    /// True when 3xx answers are not errors (each hop is checked like a new connection).
    pub redirect: bool,
}

/// Part of an HTTP answer that becomes the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpOutput {
    /// The body, parsed when it is JSON.
    Content,
    /// Request, status, headers and body.
    Response,
    /// The body in base64.
    Raw,
}

/// Credentials. The secret is named, never held: the worker puts it in at the last moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "lowercase")]
pub enum Authentication {
    /// HTTP basic with given values (they are in the definition or input, and so in history).
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// HTTP bearer with a given token.
    Bearer {
        /// The token.
        token: String,
    },
    /// HTTP digest with given values (they are in the definition or input, and so in history).
    Digest {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// A token of an authority, asked for with given values.
    OAuth {
        /// True when the authority is asked where its token endpoint is.
        discover: bool,
        /// The way to the token.
        with: Box<OAuth>,
    },
    /// A secret of the tenant by name: `{"username","password"}` for basic and digest, `{"token"}` for bearer, what
    /// [`OAuth`] holds for the others.
    Secret {
        /// Name in the secret store.
        name: String,
        /// How it is presented.
        with: SecretScheme,
    },
}

/// How a secret is presented.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretScheme {
    /// `Authorization: Basic`
    Basic,
    /// `Authorization: Bearer`
    Bearer,
    /// `Authorization: Digest`, by the server's challenge.
    Digest,
    /// `Authorization: Bearer`, with a token that the authority gives out.
    OAuth2,
    /// As `oauth2`, with an authority that tells where its token endpoint is.
    Oidc,
}

impl ProcessRequest {
    /// True for what an engine of containers runs.
    pub fn is_container(&self) -> bool {
        matches!(self.program, Program::Container { .. })
    }
}

/// A program to run in the sandbox: no network, empty environment, fresh directory. Or in a container, as bare.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProcessRequest {
    /// The program.
    pub program: Program,
    /// Arguments after the program's own.
    pub arguments: Vec<String>,
    /// What it reads on standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// What the task's output is made of.
    pub output: ProcessOutput,
    /// Time limit in milliseconds (5 minutes by default).
    pub timeout_ms: u64,
}

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Program {
    /// `sh -c command`
    Shell {
        /// The command line.
        command: String,
    },
    /// An interpreter by language (`javascript` or `python`).
    Script {
        /// The language.
        language: String,
        /// The source text.
        code: String,
    },
    /// A container of an image that is known by its digest.
    Container {
        /// `name@sha256:…`
        image: String,
        /// `sh -c command` inside it; what the image itself runs when it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
}

impl Program {
    /// As allow-lists and policies name it.
    pub fn operation(&self) -> String {
        match self {
            Self::Shell { .. } => "run:shell".to_owned(),
            Self::Script { language, .. } => format!("run:{language}"),
            Self::Container { .. } => "run:container".to_owned(),
        }
    }
}

/// Part of a program's result that becomes the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Exit code.
    Code,
    /// `{code, stdout, stderr}`
    All,
    /// `null`
    None,
}

/// How one attempt ended, as the worker reports it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// The outside answered, and the answer says yes.
    Done {
        /// The task's raw output.
        output: Value,
    },
    /// As `done`, with an output too large for the history: the shell puts it back before a replay.
    Stored {
        /// Digest of the output's JSON in the blob store.
        digest: crate::canonical::Digest,
    },
    /// The outside answered no, or could never be reached: the act did not happen.
    Refused {
        /// What went wrong.
        error: crate::problem::WorkflowError,
        /// True when the same request may succeed later (unreachable, 408, 425, 429, 503).
        transient: bool,
        /// The least time to wait before the next attempt, as the outside asked, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The request was sent and no answer came back: it may have happened.
    Lost {
        /// What went wrong.
        error: crate::problem::WorkflowError,
    },
    /// Another execution tells how it ended.
    Child(Box<crate::family::ChildAnswer>),
}

/// Whether an effect, or all effects of an execution, are real.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Checked, and it is so.
    Verified,
    /// Checked, and it is not so; or refused.
    Failed,
    /// Not checked, or could not be: nobody may assume either.
    Unknown,
}

impl Outcome {
    /// The outcome of two effects together: what is unknown needs the most attention.
    #[must_use]
    pub fn worst(self, other: Outcome) -> Outcome {
        self.max(other)
    }

    /// The word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// Delay before retry `n` (1, 2, 3 …) of a transient failure: 1 s, 2 s, 4 s.
pub fn retry_delay(n: u32) -> Duration {
    Duration::from_secs(1u64 << n.saturating_sub(1).min(6))
}
