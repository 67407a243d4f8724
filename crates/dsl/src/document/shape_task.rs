//! Shapes of the twelve tasks.

use crate::codes;
use crate::document::node::Node;
use crate::document::report::{Report, nearest};
use crate::document::shape::{Field, Object, Shape, check_object, may, must, quoted};
use crate::document::shape_parts::{
    ANY, AUTHENTICATION_OR_USE, BOOLEAN, DATA, DATA_OR_TEXT, DURATION, EMITTED_EVENT, ENDPOINT, ERROR_FILTER,
    ERROR_OR_NAME, EVENT_STRATEGY, EXPORT, INPUT, ITERATOR, NAMED_TEXTS, OUTPUT, RESOURCE, RETRY_OR_NAME,
    TASK_LIST, TEXT, TEXTS, TIMEOUT_OR_NAME, WHOLE,
};

/// The keys that make a task what it is.
pub(crate) const KINDS: &[&str] =
    &["call", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait"];

/// The kind of a task, when it has exactly one.
pub(crate) fn kind_of(node: &Node) -> Option<&'static str> {
    match kinds_of(node).as_slice() {
        [kind] => Some(kind),
        _ => None,
    }
}

/// Tells everything in which a node is not a task.
pub(crate) fn check_task(node: &Node, report: &mut Report<'_>) {
    let Some(members) = node.members() else {
        check_object(node, &NO_KIND, report);
        return;
    };
    match kinds_of(node).as_slice() {
        [kind] => check_object(node, object_of(kind, node), report),
        [] => {
            let near = members.keys().find_map(|k| nearest(k, KINDS.iter().copied()).map(|kind| (k, kind)));
            match near {
                Some((wrong, kind)) => {
                    if let Some(member) = members.get(wrong) {
                        report
                            .member(codes::UNKNOWN_KEY, member, format!("a task has no key `{wrong}`"))
                            .hint(format!("did you mean `{kind}`?"));
                    }
                }
                None => {
                    report
                        .node(codes::NOT_EXACTLY_ONE, node, "a task needs a kind and has none")
                        .hint(format!("add one of {}", quoted(KINDS)));
                }
            }
        }
        several => {
            report
                .node(
                    codes::NOT_EXACTLY_ONE,
                    node,
                    format!("a task has exactly one kind, and this has {}", quoted(several)),
                )
                .hint("make a task of each");
        }
    }
}

/// `for` has a `do` of its own.
fn kinds_of(node: &Node) -> Vec<&'static str> {
    let loops = node.get("for").is_some();
    KINDS.iter().copied().filter(|k| node.get(k).is_some() && !(loops && *k == "do")).collect()
}

fn object_of(kind: &str, node: &Node) -> &'static Object {
    match kind {
        "call" => call_of(node.text_of("call")),
        kind => TASKS.iter().find(|(known, _)| *known == kind).map_or(&NO_KIND, |(_, object)| object),
    }
}

fn call_of(function: Option<&str>) -> &'static Object {
    CALLS.iter().find(|(known, _)| Some(*known) == function).map_or(&CALL_FUNCTION, |(_, object)| object)
}

/// The tasks of each kind but `call`.
pub(crate) static TASKS: [(&str, &Object); 11] = [
    ("do", &DO),
    ("emit", &EMIT),
    ("for", &FOR),
    ("fork", &FORK),
    ("listen", &LISTEN),
    ("raise", &RAISE),
    ("run", &RUN),
    ("set", &SET),
    ("switch", &SWITCH),
    ("try", &TRY),
    ("wait", &WAIT),
];

/// The calls that the language knows by name.
pub(crate) static CALLS: [(&str, &Object); 6] = [
    ("http", &CALL_HTTP),
    ("grpc", &CALL_GRPC),
    ("openapi", &CALL_OPENAPI),
    ("asyncapi", &CALL_ASYNCAPI),
    ("a2a", &CALL_A2A),
    ("mcp", &CALL_MCP),
];

const BASE: &[Field] = &[
    may("if", &TEXT),
    may("input", &INPUT),
    may("output", &OUTPUT),
    may("export", &EXPORT),
    may("timeout", &TIMEOUT_OR_NAME),
    may("then", &TEXT),
    may("metadata", &DATA),
];

static NO_KIND: Object = Object::closed("a task", &[]).on(BASE);
static DO: Object = Object::closed("a `do` task", &[must("do", &TASK_LIST)]).on(BASE);
static SET: Object = Object::closed("a `set` task", &[must("set", &SET_VALUE)]).on(BASE);
static SET_VALUE: Shape = Shape::Either(&[Shape::Named(&ANY, 1), Shape::Text]);
static WAIT: Object = Object::closed("a `wait` task", &[must("wait", &DURATION)]).on(BASE);

static SWITCH: Object = Object::closed("a `switch` task", &[must("switch", &CASES)]).on(BASE);
static CASES: Shape = Shape::Entries(&CASE, 1);
static CASE: Shape = Shape::Object(&CASE_OBJECT);
static CASE_OBJECT: Object = Object::closed("a case", &[may("when", &TEXT), must("then", &TEXT)]);

static FOR: Object =
    Object::closed("a `for` task", &[must("for", &LOOP), may("while", &TEXT), must("do", &TASK_LIST)])
        .on(BASE);
static LOOP: Shape = Shape::Object(&LOOP_OBJECT);
static LOOP_OBJECT: Object =
    Object::closed("`for`", &[may("each", &TEXT), must("in", &ITEMS), may("at", &TEXT)]);

static ITEMS: Shape = Shape::Either(&[Shape::Text, Shape::List(&DATA, 0)]);

static FORK: Object = Object::closed("a `fork` task", &[must("fork", &BRANCHES)]).on(BASE);
static BRANCHES: Shape = Shape::Object(&BRANCHES_OBJECT);
static BRANCHES_OBJECT: Object =
    Object::closed("`fork`", &[must("branches", &TASK_LIST), may("compete", &BOOLEAN)]);

static EMIT: Object = Object::closed("an `emit` task", &[must("emit", &EMITTED)]).on(BASE);
static EMITTED: Shape = Shape::Object(&EMITTED_OBJECT);
static EMITTED_OBJECT: Object = Object::closed("`emit`", &[must("event", &EMITTED_WITH)]);
static EMITTED_WITH: Shape = Shape::Object(&EMITTED_WITH_OBJECT);
static EMITTED_WITH_OBJECT: Object = Object::closed("`event`", &[must("with", &EMITTED_EVENT)]);

static LISTEN: Object =
    Object::closed("a `listen` task", &[must("listen", &LISTENER), may("foreach", &ITERATOR)]).on(BASE);
static LISTENER: Shape = Shape::Object(&LISTENER_OBJECT);
static LISTENER_OBJECT: Object =
    Object::closed("`listen`", &[must("to", &EVENT_STRATEGY), may("read", &READ)]);
static READ: Shape = Shape::Word(&["data", "envelope", "raw"]);

static RAISE: Object = Object::closed("a `raise` task", &[must("raise", &RAISED)]).on(BASE);
static RAISED: Shape = Shape::Object(&RAISED_OBJECT);
static RAISED_OBJECT: Object = Object::closed("`raise`", &[must("error", &ERROR_OR_NAME)]);

static TRY: Object =
    Object::closed("a `try` task", &[must("try", &TASK_LIST), must("catch", &CATCH)]).on(BASE);
static CATCH: Shape = Shape::Object(&CATCH_OBJECT);
static CATCH_OBJECT: Object = Object::closed(
    "`catch`",
    &[
        may("errors", &CATCH_ERRORS),
        may("as", &TEXT),
        may("when", &TEXT),
        may("exceptWhen", &TEXT),
        may("retry", &RETRY_OR_NAME),
        may("do", &TASK_LIST),
        may("then", &TEXT),
    ],
);
static CATCH_ERRORS: Shape = Shape::Object(&CATCH_ERRORS_OBJECT);
static CATCH_ERRORS_OBJECT: Object = Object::closed("`errors`", &[may("with", &ERROR_FILTER)]);

static RUN: Object = Object::closed("a `run` task", &[must("run", &RUN_VALUE)]).on(BASE);
static RUN_VALUE: Shape = Shape::Object(&RUN_OBJECT);
static RUN_OBJECT: Object = Object::closed(
    "`run`",
    &[
        may("container", &CONTAINER),
        may("script", &SCRIPT),
        may("shell", &SHELL),
        may("workflow", &SUB_WORKFLOW),
        may("await", &BOOLEAN),
        may("return", &RETURN),
    ],
)
.one_of(&["container", "script", "shell", "workflow"]);
static RETURN: Shape = Shape::Word(&["stdout", "stderr", "code", "all", "none"]);
static SHELL: Shape = Shape::Object(&SHELL_OBJECT);
static SHELL_OBJECT: Object = Object::closed("`shell`", &[must("command", &TEXT)]).on(PROCESS);
static SCRIPT: Shape = Shape::Object(&SCRIPT_OBJECT);
static SCRIPT_OBJECT: Object =
    Object::closed("`script`", &[must("language", &TEXT), may("code", &TEXT), may("source", &RESOURCE)])
        .on(PROCESS)
        .one_of(&["code", "source"]);
const PROCESS: &[Field] = &[may("stdin", &TEXT), may("arguments", &TEXTS), may("environment", &DATA)];
static CONTAINER: Shape = Shape::Object(&CONTAINER_OBJECT);
static CONTAINER_OBJECT: Object = Object::closed(
    "`container`",
    &[
        must("image", &TEXT),
        may("name", &TEXT),
        may("command", &TEXT),
        may("ports", &DATA),
        may("volumes", &DATA),
        may("environment", &DATA),
        may("stdin", &TEXT),
        may("arguments", &TEXTS),
        may("lifetime", &LIFETIME),
        may("pullPolicy", &PULL_POLICY),
    ],
);
static LIFETIME: Shape = Shape::Object(&LIFETIME_OBJECT);
static LIFETIME_OBJECT: Object =
    Object::closed("`lifetime`", &[must("cleanup", &CLEANUP), may("after", &DURATION)]);
static CLEANUP: Shape = Shape::Word(&["always", "never", "eventually"]);
static PULL_POLICY: Shape = Shape::Word(&["ifNotPresent", "always", "never"]);
static SUB_WORKFLOW: Shape = Shape::Object(&SUB_WORKFLOW_OBJECT);
static SUB_WORKFLOW_OBJECT: Object = Object::closed(
    "`workflow`",
    &[must("namespace", &TEXT), must("name", &TEXT), must("version", &TEXT), may("input", &DATA)],
);

static CALL: Shape = Shape::Text;
pub(crate) static CALL_FUNCTION: Object =
    Object::closed("a `call` task", &[must("call", &CALL), may("with", &DATA)]).on(BASE);

static CALL_HTTP: Object =
    Object::closed("a `call: http` task", &[must("call", &CALL), must("with", &HTTP)]).on(BASE);
static HTTP: Shape = Shape::Object(&HTTP_OBJECT);
static HTTP_OBJECT: Object = Object::closed(
    "`with` of `call: http`",
    &[
        must("method", &TEXT),
        must("endpoint", &ENDPOINT),
        may("headers", &HEADERS),
        may("body", &ANY),
        may("query", &QUERY),
        may("output", &HTTP_OUTPUT),
        may("redirect", &BOOLEAN),
    ],
);
static HEADERS: Shape = Shape::Either(&[Shape::Named(&TEXT, 0), Shape::Text]);
static QUERY: Shape = Shape::Either(&[Shape::Named(&TEXT, 0), Shape::Text]);
static HTTP_OUTPUT: Shape = Shape::Word(&["raw", "content", "response"]);

static CALL_GRPC: Object =
    Object::closed("a `call: grpc` task", &[must("call", &CALL), must("with", &GRPC)]).on(BASE);
static GRPC: Shape = Shape::Object(&GRPC_OBJECT);
static GRPC_OBJECT: Object = Object::closed(
    "`with` of `call: grpc`",
    &[
        must("proto", &RESOURCE),
        must("service", &GRPC_SERVICE),
        must("method", &TEXT),
        may("arguments", &DATA),
    ],
);
static GRPC_SERVICE: Shape = Shape::Object(&GRPC_SERVICE_OBJECT);
static GRPC_SERVICE_OBJECT: Object = Object::closed(
    "`service`",
    &[
        must("name", &TEXT),
        must("host", &TEXT),
        may("port", &WHOLE),
        may("authentication", &AUTHENTICATION_OR_USE),
    ],
);

static CALL_OPENAPI: Object =
    Object::closed("a `call: openapi` task", &[must("call", &CALL), must("with", &OPENAPI)]).on(BASE);
static OPENAPI: Shape = Shape::Object(&OPENAPI_OBJECT);
static OPENAPI_OBJECT: Object = Object::closed(
    "`with` of `call: openapi`",
    &[
        must("document", &RESOURCE),
        must("operationId", &TEXT),
        may("parameters", &DATA),
        may("authentication", &AUTHENTICATION_OR_USE),
        may("output", &HTTP_OUTPUT),
        may("redirect", &BOOLEAN),
    ],
);

static CALL_ASYNCAPI: Object =
    Object::closed("a `call: asyncapi` task", &[must("call", &CALL), must("with", &ASYNCAPI)]).on(BASE);
static ASYNCAPI: Shape = Shape::Object(&ASYNCAPI_OBJECT);
static ASYNCAPI_OBJECT: Object = Object::closed(
    "`with` of `call: asyncapi`",
    &[
        must("document", &RESOURCE),
        may("channel", &TEXT),
        may("operation", &TEXT),
        may("server", &ASYNCAPI_SERVER),
        may("protocol", &ASYNCAPI_PROTOCOL),
        may("message", &ASYNCAPI_MESSAGE),
        may("subscription", &ASYNCAPI_SUBSCRIPTION),
        may("authentication", &AUTHENTICATION_OR_USE),
    ],
)
.one_of(&["message", "subscription"]);
static ASYNCAPI_SERVER: Shape = Shape::Object(&ASYNCAPI_SERVER_OBJECT);
static ASYNCAPI_SERVER_OBJECT: Object =
    Object::closed("`server`", &[must("name", &TEXT), may("variables", &DATA)]);
static ASYNCAPI_PROTOCOL: Shape = Shape::Word(&[
    "amqp",
    "amqp1",
    "anypointmq",
    "googlepubsub",
    "http",
    "ibmmq",
    "jms",
    "kafka",
    "mercure",
    "mqtt",
    "mqtt5",
    "nats",
    "pulsar",
    "redis",
    "sns",
    "solace",
    "sqs",
    "stomp",
    "ws",
]);
static ASYNCAPI_MESSAGE: Shape = Shape::Object(&ASYNCAPI_MESSAGE_OBJECT);
static ASYNCAPI_MESSAGE_OBJECT: Object =
    Object::closed("`message`", &[may("payload", &DATA), may("headers", &DATA)]);
static ASYNCAPI_SUBSCRIPTION: Shape = Shape::Object(&ASYNCAPI_SUBSCRIPTION_OBJECT);
static ASYNCAPI_SUBSCRIPTION_OBJECT: Object = Object::closed(
    "`subscription`",
    &[may("filter", &TEXT), must("consume", &ASYNCAPI_CONSUME), may("foreach", &ITERATOR)],
);
static ASYNCAPI_CONSUME: Shape = Shape::Object(&ASYNCAPI_CONSUME_OBJECT);
static ASYNCAPI_CONSUME_OBJECT: Object = Object::closed(
    "`consume`",
    &[may("for", &DURATION), may("amount", &WHOLE), may("while", &TEXT), may("until", &TEXT)],
)
.one_of(&["amount", "while", "until"]);

static CALL_A2A: Object =
    Object::closed("a `call: a2a` task", &[must("call", &CALL), must("with", &A2A)]).on(BASE);
static A2A: Shape = Shape::Object(&A2A_OBJECT);
static A2A_OBJECT: Object = Object::closed(
    "`with` of `call: a2a`",
    &[
        may("agentCard", &RESOURCE),
        may("server", &ENDPOINT),
        must("method", &A2A_METHOD),
        may("parameters", &DATA_OR_TEXT),
    ],
);
static A2A_METHOD: Shape = Shape::Word(&[
    "message/send",
    "message/stream",
    "tasks/get",
    "tasks/list",
    "tasks/cancel",
    "tasks/resubscribe",
    "tasks/pushNotificationConfig/set",
    "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/delete",
    "agent/getAuthenticatedExtendedCard",
]);

static CALL_MCP: Object =
    Object::closed("a `call: mcp` task", &[must("call", &CALL), must("with", &MCP)]).on(BASE);
static MCP: Shape = Shape::Object(&MCP_OBJECT);
static MCP_OBJECT: Object = Object::closed(
    "`with` of `call: mcp`",
    &[
        may("protocolVersion", &TEXT),
        must("method", &MCP_METHOD),
        may("parameters", &DATA_OR_TEXT),
        may("timeout", &DURATION),
        must("transport", &MCP_TRANSPORT),
        may("client", &MCP_CLIENT),
    ],
);
static MCP_METHOD: Shape = Shape::Word(&[
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/read",
    "resources/templates/list",
]);
static MCP_TRANSPORT: Shape = Shape::Object(&MCP_TRANSPORT_OBJECT);
static MCP_TRANSPORT_OBJECT: Object = Object::closed(
    "`transport`",
    &[may("http", &MCP_HTTP), may("stdio", &MCP_STDIO), may("options", &NAMED_TEXTS)],
)
.one_of(&["http", "stdio"]);
static MCP_HTTP: Shape = Shape::Object(&MCP_HTTP_OBJECT);
static MCP_HTTP_OBJECT: Object =
    Object::closed("`http`", &[must("endpoint", &ENDPOINT), may("headers", &NAMED_TEXTS)]);
static MCP_STDIO: Shape = Shape::Object(&MCP_STDIO_OBJECT);
static MCP_STDIO_OBJECT: Object = Object::closed(
    "`stdio`",
    &[must("command", &TEXT), may("arguments", &TEXTS), may("environment", &NAMED_TEXTS)],
);
static MCP_CLIENT: Shape = Shape::Object(&MCP_CLIENT_OBJECT);
static MCP_CLIENT_OBJECT: Object = Object::closed("`client`", &[must("name", &TEXT), must("version", &TEXT)]);
