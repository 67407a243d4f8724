//! The compiled form of a workflow: a closed tree of tasks with compiled expressions and pinned actions.
//!
//! This is what `engine` walks. It has no names left to look up: `then` targets are positions, functions are
//! pinned by digest, reusable errors and retries are put in place.

mod listen;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::action::{ActionRef, Contract};
use model::effect::{HttpOutput, ProcessOutput, SecretScheme};
use model::{Digest, Value};

use crate::expr::Expr;
use crate::openapi::Operation;
use crate::template::Template;

pub use listen::{EachEvent, EventFilter, Listen, Read, Strategy};

/// A checked, compiled workflow version with everything it calls.
#[derive(Debug)]
pub struct Definition {
    /// `document.namespace`
    pub namespace: String,
    /// `document.name`
    pub name: String,
    /// `document.version`
    pub version: String,
    /// `document.title`
    pub title: Option<String>,
    /// `document.summary`
    pub summary: Option<String>,
    /// `document.tags` and `document.metadata`, as written (`metadata.omnihub` holds `owner`, `intents`, `slots`).
    pub metadata: Value,
    /// The whole document, for `$workflow.definition`.
    pub document: Value,
    /// `input` of the workflow.
    pub input: Input,
    /// `output` of the workflow.
    pub output: Output,
    /// The workflow's own time limit; not catchable.
    pub timeout: Option<Template>,
    /// When executions begin by themselves.
    pub schedule: Option<crate::schedule::Schedule>,
    /// The main task list.
    pub tasks: TaskList,
    /// Every action the workflow can reach (its calls, their probes and compensations), pinned.
    pub actions: BTreeMap<ActionRef, Arc<Action>>,
    /// Every workflow that it may run, by `namespace/name`, in the versions that it names; `latest` for the newest.
    pub children: BTreeMap<String, BTreeSet<String>>,
    /// Digest over the canonical document, the digests of all actions and the evaluator's version.
    pub digest: Digest,
}

/// An action of the catalogue, compiled.
#[derive(Debug)]
pub struct Action {
    /// Its name and version.
    pub reference: ActionRef,
    /// Digest of its canonical document.
    pub digest: Digest,
    /// Title for people.
    pub title: Option<String>,
    /// What the catalogue promises.
    pub contract: Contract,
    /// Schema of the arguments.
    pub input: Option<Arc<Schema>>,
    /// Example of an output; what safe mode predicts. `null` when there is none.
    pub predicted: Value,
    /// `idempotency.key`: evaluated with `.` = arguments and `$workflow`. Must give a string.
    pub key: Option<Expr>,
    /// `idempotency.header`: the request header that carries the key.
    pub key_header: Option<String>,
    /// `ensure`: how the outcome is checked.
    pub ensure: Option<Ensure>,
    /// `compensate`: the action that undoes this one, and its arguments (`.` = arguments, `$action`).
    pub compensate: Option<(ActionRef, Template)>,
    /// `run`: a single `call: http`, `run: shell` or `run: script` task. Its expressions see `.` = arguments,
    /// `$action = {key, name, version}` and `$workflow`.
    pub run: Work,
    /// `output.as` of the `run` task: `.` = raw answer.
    pub output: Output,
}

/// How the outcome of an action is checked.
#[derive(Debug)]
pub struct Ensure {
    /// The action that looks.
    pub probe: ActionRef,
    /// Its arguments; `.` = the checked action's arguments, `$action = {key, name, version, output}`.
    pub with: Template,
    /// True when the effect is real; `.` = the probe's output, `$action = {key, name, version, output, arguments}`.
    pub that: Expr,
    /// Pause between probes.
    pub every: Duration,
    /// How long to go on probing while `that` is false or the probe does not answer.
    pub within: Duration,
}

/// A JSON schema, compiled once.
pub struct Schema {
    /// As written.
    pub document: serde_json::Value,
    /// The compiled validator.
    pub validator: jsonschema::Validator,
}

impl Schema {
    /// Compiles a schema that a definition held; the error is one line.
    pub fn of(document: &serde_json::Value) -> Result<Self, String> {
        crate::compile::schema::compile(document)
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Schema({})", self.document)
    }
}

/// `input` of a workflow or task.
#[derive(Debug, Default)]
pub struct Input {
    /// Checked before `from`.
    pub schema: Option<Arc<Schema>>,
    /// Makes the task's data from the raw input.
    pub from: Option<Template>,
}

/// `output` or `export` of a workflow or task: `as`, then `schema`.
#[derive(Debug, Default)]
pub struct Output {
    /// Makes the result from the raw output.
    pub transform: Option<Template>,
    /// Checked after `transform`.
    pub schema: Option<Arc<Schema>>,
}

/// Named tasks in order.
#[derive(Debug)]
pub struct TaskList {
    /// JSON Pointer of the list, for example `/do` or `/do/2/attempt/try`.
    pub pointer: Arc<str>,
    /// The tasks.
    pub tasks: Vec<Arc<Task>>,
}

/// One node of the definition.
#[derive(Debug)]
pub struct Task {
    /// Its name, unique in its list.
    pub name: Arc<str>,
    /// JSON Pointer, for example `/do/0/refund`.
    pub pointer: Arc<str>,
    /// `if`
    pub condition: Option<Expr>,
    /// `input`
    pub input: Input,
    /// `output`
    pub output: Output,
    /// `export`; `as` replaces `$context`.
    pub export: Output,
    /// `timeout.after`; evaluates to a duration (object form or ISO 8601 text).
    pub timeout: Option<Template>,
    /// `then`
    pub then: Then,
    /// `metadata`
    pub metadata: Value,
    /// The inline function that it is a part of: nobody reviewed what it does.
    pub function: Option<Arc<str>>,
    /// What it does.
    pub kind: TaskKind,
}

/// Where the flow goes after a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Then {
    /// The next task of the list, or the list's end.
    #[default]
    Continue,
    /// Leaves the task list; in a loop, ends the iteration.
    Exit,
    /// Ends the workflow.
    End,
    /// The task at this position of the same list.
    Task(usize),
}

/// What a task does. Kinds that are not built are refused at publish (OH-1100), so they are not here.
#[derive(Debug)]
pub enum TaskKind {
    /// Tasks in sequence.
    Do(TaskList),
    /// Replaces the data.
    Set(Template),
    /// The first case whose condition holds (or that has none) decides where the flow goes.
    Switch(Vec<Case>),
    /// Tasks for each item of a collection.
    For(For),
    /// Tasks that run at the same time.
    Fork(Fork),
    /// Raises an error.
    Raise(RaiseError),
    /// Tasks whose errors may be caught and retried.
    Try(Try),
    /// Waits; evaluates to a duration.
    Wait(Template),
    /// Waits for events; signals are events that are addressed to one execution.
    Listen(Listen),
    /// Publishes an event; these are its attributes and its data.
    Emit(Vec<(Arc<str>, Template)>),
    /// One outside act written in the definition itself (`call: http`, `run: shell`, `run: script`).
    Work(Work),
    /// A catalogued action with its arguments (`.` = the task's data).
    Action {
        /// Which; always in [`Definition::actions`].
        action: ActionRef,
        /// `with`; an empty object when it is absent.
        with: Template,
    },
    /// `run: workflow`: another workflow as an execution of its own.
    Child(ChildWork),
    /// `call: checkpoint:1.0.0`: names a place on the compensation stack.
    Checkpoint(Arc<str>),
    /// `call: on-rollback:1.0.0`: arms a catalogued action with its arguments.
    OnRollback {
        /// Which; always in [`Definition::actions`].
        action: ActionRef,
        /// Evaluated when it is armed; an empty object when it is absent.
        with: Template,
    },
    /// `call: rollback:1.0.0`: undoes what was armed since this savepoint, or everything.
    Rollback(Option<Arc<str>>),
    /// `call: release:1.0.0`: what was armed since this savepoint, or everything, is not undone any more.
    Release(Option<Arc<str>>),
    /// `call: declassify:1.0.0`: asks a person to answer for a value.
    Declassify(Declassify),
    /// `call: approval:1.0.0`: asks people, and gives on what they say.
    Ask(Ask),
}

/// `run: workflow`
#[derive(Debug)]
pub struct ChildWork {
    /// `namespace`
    pub namespace: String,
    /// `name`
    pub name: String,
    /// `version`; none for `latest`.
    pub version: Option<String>,
    /// `input`; an empty object when it is absent.
    pub input: Option<Template>,
    /// `await`: false when the flow goes on as soon as the other one has begun.
    pub waits: bool,
}

/// `call: declassify:1.0.0`
#[derive(Debug)]
pub struct Declassify {
    /// `value`: exactly this becomes trusted.
    pub value: Template,
    /// `reason`: why it may; gives text.
    pub reason: Template,
    /// `schema`: what the value must be before anybody is asked.
    pub schema: Option<Arc<Schema>>,
}

/// `call: approval:1.0.0`
#[derive(Debug)]
pub struct Ask {
    /// `ask`: what is to be decided; gives text.
    pub ask: Template,
    /// `data`: what people are shown beside it.
    pub data: Option<Template>,
    /// `approvers`: how many must agree, at least 1.
    pub approvers: u32,
    /// `roles`: who may; never empty, and each may decide approvals.
    pub roles: Vec<String>,
    /// `form`: what everybody who says yes fills in.
    pub form: Option<Arc<Schema>>,
    /// `deadline`: when silence is no; a duration.
    pub deadline: Template,
}

/// Why people cannot be given this long; none when they can.
pub fn misfit_of_deadline(time: Duration) -> Option<&'static str> {
    let fits = (Duration::from_secs(1)..=DEADLINE_MAX).contains(&time);
    (!fits).then_some("`deadline` of `approval` is from one second to 366 days")
}

/// How long people may be given at the most.
const DEADLINE_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// `fork`
#[derive(Debug)]
pub struct Fork {
    /// One task for each branch, in declared order.
    pub branches: TaskList,
    /// True when the first branch that succeeds wins and the others are cancelled.
    pub compete: bool,
}

/// A case of a `switch`.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: Arc<str>,
    /// `when`; none means always.
    pub when: Option<Expr>,
    /// `then`
    pub then: Then,
}

/// `for` with `while` and `do`.
#[derive(Debug)]
pub struct For {
    /// Variable of the item, without `$` (`item` by default).
    pub each: Arc<str>,
    /// Variable of the position, without `$` (`index` by default).
    pub at: Arc<str>,
    /// The collection: an expression, or written out.
    pub items: Template,
    /// Tested before each iteration.
    pub condition: Option<Expr>,
    /// The body.
    pub tasks: TaskList,
}

/// `raise.error`, references put in place.
#[derive(Debug)]
pub struct RaiseError {
    /// `type`: a literal URI or an expression.
    pub kind: Template,
    /// `status`: a number or an expression that gives one.
    pub status: Template,
    /// `title`
    pub title: Option<Template>,
    /// `detail`
    pub detail: Option<Template>,
    /// `instance`; the task's own pointer when absent.
    pub instance: Option<Template>,
}

/// `try` and `catch`.
#[derive(Debug)]
pub struct Try {
    /// The tasks that are tried.
    pub tasks: TaskList,
    /// `catch.errors.with`: members that must be equal; a standard `type` matches every published form of it.
    pub errors: Vec<(String, Value)>,
    /// Variable of the error, without `$` (`error` by default).
    pub error_as: Arc<str>,
    /// `catch.when`
    pub when: Option<Expr>,
    /// `catch.exceptWhen`
    pub except_when: Option<Expr>,
    /// `catch.retry`
    pub retry: Option<Retry>,
    /// `catch.do`
    pub catch: Option<TaskList>,
    /// `catch.then`: where the flow goes after an error was caught, in place of the task's own `then`.
    pub then: Option<Then>,
}

/// A retry policy.
#[derive(Debug)]
pub struct Retry {
    /// `when`
    pub when: Option<Expr>,
    /// `exceptWhen`
    pub except_when: Option<Expr>,
    /// `delay`; zero when absent.
    pub delay: Template,
    /// How the delay grows.
    pub backoff: Backoff,
    /// `limit.attempt.count`: retries, not runs. None means the platform's maximum (`engine` knows it).
    pub count: Option<u32>,
    /// `limit.attempt.duration`
    pub attempt_limit: Option<Template>,
    /// `limit.duration`
    pub limit: Option<Template>,
    /// `jitter.from` and `jitter.to`
    pub jitter: Option<(Template, Template)>,
}

/// How the delay grows with the number of the retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// The same each time.
    Constant,
    /// delay × n
    Linear,
    /// delay × 2^(n-1)
    Exponential,
}

/// An outside act with its arguments still to be evaluated.
#[derive(Debug)]
pub enum Work {
    /// `call: http`
    Http(Box<HttpWork>),
    /// `call: openapi`
    OpenApi(Box<OpenApiWork>),
    /// `run: shell`, `run: script` or `run: container`
    Process(Box<ProcessWork>),
    /// `call: grpc`
    Grpc(Box<GrpcWork>),
    /// `call: asyncapi`
    AsyncApi(Box<AsyncApiWork>),
    /// `call: mcp` or `call: a2a`
    Rpc(Box<RpcWork>),
}

/// `call: mcp` or `call: a2a`
#[derive(Debug)]
pub struct RpcWork {
    /// What is spoken.
    pub protocol: model::call::RpcProtocol,
    /// Where; absolute, or a program as [`model::call::ToolProgram::uri`] writes it.
    pub uri: String,
    /// `headers`; evaluates to an object of texts.
    pub headers: Option<Template>,
    /// `method`
    pub method: String,
    /// `parameters`
    pub parameters: Option<Template>,
    /// `protocolVersion`
    pub version: Option<String>,
    /// `client`: name and version.
    pub client: Option<(String, String)>,
    /// Digest of the tool as it was when this was published.
    pub tool: Option<Digest>,
    /// What the tool's arguments must be.
    pub schema: Option<Arc<Schema>>,
    /// `timeout`; evaluates to a duration.
    pub timeout: Option<Template>,
    /// `authentication`
    pub authentication: Option<AuthenticationWork>,
}

/// `call: asyncapi`
#[derive(Debug)]
pub struct AsyncApiWork {
    /// Digest of the description that was read.
    pub digest: Digest,
    /// What is called.
    pub operation: Arc<crate::asyncapi::Operation>,
    /// `server.variables`; evaluates to an object.
    pub variables: Option<Template>,
    /// `message.payload`
    pub payload: Option<Template>,
    /// `message.headers`; evaluates to an object of texts.
    pub headers: Option<Template>,
    /// `subscription`; none when a message is sent.
    pub take: Option<TakeWork>,
    /// `authentication`
    pub authentication: Option<AuthenticationWork>,
}

/// `subscription` of `call: asyncapi`
#[derive(Debug)]
pub struct TakeWork {
    /// `filter`
    pub filter: Option<Expr>,
    /// `consume.amount`
    pub amount: Option<u32>,
    /// `consume.while`
    pub going: Option<Expr>,
    /// `consume.until`
    pub until: Option<Expr>,
    /// `consume.for`; evaluates to a duration.
    pub time: Option<Template>,
}

/// `call: grpc`
#[derive(Debug)]
pub struct GrpcWork {
    /// Digest of the kept description.
    pub proto: Digest,
    /// `https://host:port`, or `http://` without encryption.
    pub uri: String,
    /// Full name of the service.
    pub service: String,
    /// Name of the method.
    pub method: String,
    /// `arguments`; evaluates to the message, an empty one when it is absent.
    pub arguments: Option<Template>,
    /// `authentication`
    pub authentication: Option<AuthenticationWork>,
}

/// `call: http`
#[derive(Debug)]
pub struct HttpWork {
    /// Upper case.
    pub method: String,
    /// The endpoint's URI.
    pub uri: UriTemplate,
    /// `headers`; evaluates to an object of strings.
    pub headers: Option<Template>,
    /// `query`; evaluates to an object of strings (numbers and booleans are written as text).
    pub query: Option<Template>,
    /// `body`
    pub body: Option<Template>,
    /// `authentication`
    pub authentication: Option<AuthenticationWork>,
    /// `output`
    pub output: HttpOutput,
    /// `redirect`
    pub redirect: bool,
}

/// `call: openapi`
#[derive(Debug)]
pub struct OpenApiWork {
    /// Where the description was fetched.
    pub document: String,
    /// Digest of the description that was read.
    pub digest: Digest,
    /// What is called, everything it needs put in place.
    pub operation: Arc<Operation>,
    /// `parameters`; evaluates to an object.
    pub parameters: Option<Template>,
    /// `authentication`
    pub authentication: Option<AuthenticationWork>,
    /// `output`
    pub output: HttpOutput,
    /// `redirect`
    pub redirect: bool,
}

/// A URI: text with `{name}` places for top-level members of the data, or an expression.
#[derive(Debug)]
pub enum UriTemplate {
    /// Literal pieces and the names between them.
    Pieces(Vec<UriPiece>),
    /// Gives the whole URI.
    Expr(Expr),
}

/// A piece of a URI template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UriPiece {
    /// Copied.
    Text(String),
    /// Replaced by the percent-encoded member of the data.
    Name(String),
}

/// `authentication` with expressions.
#[derive(Debug)]
pub enum AuthenticationWork {
    /// `basic` with values.
    Basic {
        /// `username`
        username: Template,
        /// `password`
        password: Template,
    },
    /// `bearer` with a value.
    Bearer {
        /// `token`
        token: Template,
    },
    /// `digest` with values.
    Digest {
        /// `username`
        username: Template,
        /// `password`
        password: Template,
    },
    /// `oauth2` or `oidc` with values.
    OAuth {
        /// True for `oidc`: the authority tells where its token endpoint is.
        discover: bool,
        /// Evaluates to what [`model::call::OAuth`] holds.
        with: Template,
        /// `authority`, when it is written out.
        authority: Option<String>,
    },
    /// `use: secret` of any of them; the secret is in `use.secrets`.
    Secret {
        /// The secret's name.
        name: String,
        /// How it is presented.
        with: SecretScheme,
    },
}

/// `run: shell`, `run: script` or `run: container`
#[derive(Debug)]
pub struct ProcessWork {
    /// What is run.
    pub program: ProgramWork,
    /// `arguments`; evaluates to a list of texts (an object gives `--name value` pairs for `shell`).
    pub arguments: Option<Template>,
    /// `stdin`
    pub stdin: Option<Template>,
    /// `environment`; evaluates to an object of texts.
    pub environment: Option<Template>,
    /// `return`
    pub output: ProcessOutput,
}

/// What `run` runs.
#[derive(Debug)]
pub enum ProgramWork {
    /// A command line; a template that gives a string.
    Shell(Template),
    /// A script.
    Script {
        /// `javascript` or `python`
        language: String,
        /// The source text; a template that gives a string.
        code: Template,
    },
    /// A container.
    Container {
        /// The image with its digest.
        image: String,
        /// A command line inside it; a template that gives a string.
        command: Option<Template>,
    },
}

impl ProcessWork {
    /// What runs it: `shell`, the language of a script, or `container`.
    pub fn word(&self) -> &str {
        match &self.program {
            ProgramWork::Shell(_) => "shell",
            ProgramWork::Script { language, .. } => language,
            ProgramWork::Container { .. } => "container",
        }
    }

    /// The command line or the source text.
    pub fn code(&self) -> Option<&Template> {
        match &self.program {
            ProgramWork::Shell(code) | ProgramWork::Script { code, .. } => Some(code),
            ProgramWork::Container { command, .. } => command.as_ref(),
        }
    }
}

impl RpcWork {
    /// True when a program is spoken to, and no address.
    pub fn is_program(&self) -> bool {
        model::call::ToolProgram::of_uri(&self.uri).is_some()
    }
}

impl Work {
    /// True for what runs on this machine and is thrown away when it has ended.
    pub fn is_program(&self) -> bool {
        match self {
            Self::Process(_) => true,
            Self::Rpc(call) => call.is_program(),
            Self::Http(_) | Self::OpenApi(_) | Self::Grpc(_) | Self::AsyncApi(_) => false,
        }
    }

    /// `authentication`
    pub fn authentication(&self) -> Option<&AuthenticationWork> {
        match self {
            Self::Http(http) => http.authentication.as_ref(),
            Self::OpenApi(call) => call.authentication.as_ref(),
            Self::Grpc(call) => call.authentication.as_ref(),
            Self::AsyncApi(call) => call.authentication.as_ref(),
            Self::Rpc(call) => call.authentication.as_ref(),
            Self::Process(_) => None,
        }
    }

    /// The HTTP method, of an act that is a request.
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Http(http) => Some(&http.method),
            Self::OpenApi(call) => Some(&call.operation.method),
            // Only what is sent by one request.
            Self::AsyncApi(call) if call.take.is_none() && !call.operation.socket() => {
                Some(&call.operation.method)
            }
            Self::Process(_) | Self::Grpc(_) | Self::AsyncApi(_) | Self::Rpc(_) => None,
        }
    }
}

impl TaskKind {
    /// The lists of tasks that it runs, in order.
    pub fn lists(&self) -> Vec<&TaskList> {
        match self {
            Self::Do(list) => vec![list],
            Self::For(each) => vec![&each.tasks],
            Self::Fork(fork) => vec![&fork.branches],
            Self::Try(tried) => std::iter::once(&tried.tasks).chain(&tried.catch).collect(),
            Self::Listen(listen) => listen.each.iter().map(|each| &each.tasks).collect(),
            Self::Set(_)
            | Self::Switch(_)
            | Self::Raise(_)
            | Self::Wait(_)
            | Self::Emit(_)
            | Self::Work(_)
            | Self::Action { .. }
            | Self::Child(_)
            | Self::Checkpoint(_)
            | Self::OnRollback { .. }
            | Self::Rollback(_)
            | Self::Release(_)
            | Self::Declassify(_)
            | Self::Ask(_) => Vec::new(),
        }
    }
}

impl Definition {
    /// The names of the updates that some `listen` of it takes.
    pub fn updates(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut next: Vec<&Arc<Task>> = self.tasks.tasks.iter().collect();
        while let Some(task) = next.pop() {
            next.extend(task.kind.lists().into_iter().flat_map(|list| &list.tasks));
            if let TaskKind::Listen(listen) = &task.kind {
                let filters = listen.strategies.iter().flat_map(|strategy| &strategy.filters);
                found.extend(filters.filter(|filter| filter.update).filter_map(EventFilter::name));
            }
        }
        found
    }
}
