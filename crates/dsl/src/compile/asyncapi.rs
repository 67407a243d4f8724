//! Compiles `call: asyncapi`: the operation is found in the pinned description, and what it takes or sends is compiled.

use std::sync::Arc;

use crate::asyncapi::{Asked, Misfit, Operation};
use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::describe::{Description, Kind};
use crate::document::node::{Node, NodeData};
use crate::expr::Expr;
use crate::plan::{AsyncApiWork, For, Input, Output, TakeWork, Task, TaskKind, TaskList, Then, Work};
use crate::template::Template;

/// Protocols of the language that need a broker.
const BROKERS: &[&str] = &[
    "amqp",
    "amqp1",
    "anypointmq",
    "googlepubsub",
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
];
/// Messages that one task takes at the most.
const AMOUNT_MAX: i64 = 1000;

impl Compiler<'_, '_> {
    /// `call: asyncapi`; with `foreach`, the messages are taken and then gone through.
    pub fn asyncapi_task(&mut self, name: &str, node: &Node, scope: &Scope) -> Option<TaskKind> {
        let with = node.get("with")?;
        let work = self.asyncapi(with, Place::Task, scope);
        let each = with.get("subscription").and_then(|n| n.get("foreach"));
        let Some(each) = each else { return work.map(|work| TaskKind::Work(Work::AsyncApi(Box::new(work)))) };
        let item = self.variable_name(each.get("item"), "item");
        let at = self.variable_name(each.get("at"), "index");
        let inner = scope.with(&[&item, &at]);
        let body = each.get("do").map(|list| self.task_list(list, &inner));
        let output = self.output(each.get("output"), Place::TaskOutput, &inner);
        let export = self.output(each.get("export"), Place::TaskExport, &inner);
        let take = TaskKind::Work(Work::AsyncApi(Box::new(work?)));
        let path = format!("{}/subscription", with.path);
        let Some(body) = body else { return Some(take) };
        let message =
            plain("message", &format!("{path}/foreach/message"), TaskKind::Do(body), output, export);
        let tasks = TaskList { pointer: Arc::from(format!("{path}/foreach")), tasks: vec![message] };
        let items = Template::Expr(Expr::parse(".").ok()?);
        let going = TaskKind::For(For { each: item, at, items, condition: None, tasks });
        let tasks = vec![
            plain(name, &format!("{path}/consume"), take, Output::default(), Output::default()),
            plain("foreach", &format!("{path}/each"), going, Output::default(), Output::default()),
        ];
        Some(TaskKind::Do(TaskList { pointer: Arc::from(path), tasks }))
    }

    /// `with` of `call: asyncapi`
    pub fn asyncapi(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<AsyncApiWork> {
        let authentication = node.get("authentication").map(|n| self.authentication(n, place, scope));
        let message = node.get("message");
        let payload = message.and_then(|n| n.get("payload")).map(|n| self.data(n, place, scope));
        let headers = message.and_then(|n| n.get("headers")).map(|n| self.data(n, place, scope));
        let take = node.get("subscription").map(|n| self.take(n, place, scope));
        let server = node.get("server");
        let variables = server.and_then(|n| n.get("variables")).map(|n| self.data(n, place, scope));
        if let Some(node) =
            node.get("protocol").filter(|n| n.text().is_some_and(|text| BROKERS.contains(&text)))
        {
            self.broker(node, node.text().unwrap_or_default());
            return None;
        }
        let named = [node.get("operation"), node.get("channel"), server.and_then(|n| n.get("name"))];
        for node in named.into_iter().flatten() {
            if node.text().is_some_and(|text| text.contains("${")) {
                self.report
                    .node(codes::UNKNOWN_OPERATION, node, "operation, channel and server must be written out")
                    .hint("what a task may do is decided when it is published; use a `switch` to choose");
                return None;
            }
        }
        if named[0].is_none() && named[1].is_none() {
            self.report
                .node(codes::MISSING_KEY, node, "`operation` or `channel` is missing")
                .hint("name the operation of the description, or the channel");
            return None;
        }
        let (_, described) = self.described(Kind::AsyncApi, node.get("document")?, place, scope)?;
        let Description::AsyncApi(document) = described else { return None };
        let asked = Asked {
            operation: node.text_of("operation"),
            channel: node.text_of("channel"),
            server: server.and_then(|n| n.text_of("name")),
            protocol: node.text_of("protocol"),
            sends: message.is_some(),
        };
        let at = named[0].or(named[1]).unwrap_or(node);
        let operation = match document.operation(&asked) {
            Ok(operation) => operation,
            Err(Misfit::Unknown(message, hint)) => {
                self.report.node(codes::UNKNOWN_OPERATION, at, message).hint(hint);
                return None;
            }
            Err(Misfit::Broken(why)) => {
                self.report
                    .node(codes::API_DOCUMENT, at, format!("the description cannot be used: {why}"))
                    .hint("this is a mistake in the description; its owner has to put it right");
                return None;
            }
            Err(Misfit::Protocol(protocol)) => {
                self.broker(at, &protocol);
                return None;
            }
        };
        self.asyncapi_fits(node, &operation);
        if operation.socket()
            && let Some(n) = node.get("authentication")
        {
            self.no_challenge(n, authentication.as_ref().and_then(Option::as_ref));
        }
        let (authentication, take) = match (authentication, take) {
            (Some(None), _) | (_, Some(None)) => return None,
            (authentication, take) => (authentication.flatten(), take.flatten()),
        };
        let digest = document.digest;
        Some(AsyncApiWork {
            digest,
            operation: Arc::new(operation),
            variables,
            payload,
            headers,
            take,
            authentication,
        })
    }

    /// What the task gives beside what the operation takes.
    fn asyncapi_fits(&mut self, node: &Node, operation: &Operation) {
        let variables = node.get("server").and_then(|n| n.get("variables"));
        let (needed, known) = operation.names();
        let given: Vec<&str> =
            variables.and_then(Node::members).into_iter().flatten().map(|(name, _)| &**name).collect();
        let whole = variables.is_none_or(|n| n.members().is_some());
        for name in given.iter().filter(|name| !known.contains(*name)) {
            let at = variables.and_then(|n| n.get(name)).unwrap_or(node);
            self.report
                .node(codes::API_PARAMETERS, at, format!("the address has no variable `{name}`"))
                .hint(format!("it has {}", crate::document::shape::quoted(&known)));
        }
        for name in needed.iter().filter(|name| whole && !given.contains(*name)) {
            self.report
                .node(
                    codes::API_PARAMETERS,
                    variables.unwrap_or(node),
                    format!("the address needs the variable `{name}`"),
                )
                .hint(format!("add `{name}` to `server.variables`"));
        }
        let Some(message) = node.get("message") else { return };
        let kind = operation.content_type.split(';').next().unwrap_or_default().trim();
        if kind != "application/json" && !kind.ends_with("+json") {
            self.report
                .node(codes::API_DOCUMENT, message, format!("the message is `{kind}`, and only JSON is sent"))
                .hint("send it with `call: http`");
        }
        if let Some(headers) = message.get("headers").filter(|_| operation.socket()) {
            self.report
                .node(codes::API_PARAMETERS, headers, "a message of a WebSocket has no headers")
                .hint("put them into the payload");
        }
    }

    fn take(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<TakeWork> {
        let consume = node.get("consume")?;
        let filter = node.get("filter").map(|n| self.expression(n, place, scope));
        let going = consume.get("while").map(|n| self.expression(n, place, scope));
        let until = consume.get("until").map(|n| self.expression(n, place, scope));
        let time = consume.get("for").map(|n| self.duration(n, place, scope));
        let mut amount = None;
        if let Some(node) = consume.get("amount") {
            match node.data {
                NodeData::Int(number) if (1..=AMOUNT_MAX).contains(&number) => {
                    amount = u32::try_from(number).ok()
                }
                _ => {
                    self.report
                        .node(
                            codes::WRONG_VALUE,
                            node,
                            format!("`amount` is a number from 1 to {AMOUNT_MAX}"),
                        )
                        .hint("take them in several tasks");
                    return None;
                }
            }
        }
        // A broken part was told, and without it the rest would mean something else.
        if [&filter, &going, &until].into_iter().any(|part| matches!(part, Some(None)))
            || matches!(time, Some(None))
        {
            return None;
        }
        Some(TakeWork {
            filter: filter.flatten(),
            amount,
            going: going.flatten(),
            until: until.flatten(),
            time: time.flatten(),
        })
    }

    fn broker(&mut self, node: &Node, protocol: &str) {
        self.report
            .node(codes::PROTOCOL, node, format!("`{protocol}` is not spoken"))
            .hint("HTTP and WebSocket are; publish and take events with `emit` and `listen` instead");
    }
}

fn plain(name: &str, pointer: &str, kind: TaskKind, output: Output, export: Output) -> Arc<Task> {
    Arc::new(Task {
        name: Arc::from(name),
        pointer: Arc::from(pointer),
        condition: None,
        input: Input::default(),
        output,
        export,
        timeout: None,
        then: Then::Continue,
        metadata: model::Value::NULL,
        function: None,
        kind,
    })
}
