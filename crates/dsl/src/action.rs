//! Action documents: an action of the catalogue with its contract.

use std::sync::Arc;
use std::time::Duration;

use model::action::{ActionRef, AmountFields, BlastRadius, Contract, ContractCost, EffectClass, EffectKind};
use model::{Value, digest_of};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::codes;
use crate::compile::expression::{Place, Scope};
use crate::compile::{Catalogue, Compiler, Nothing, host_of, host_of_server};
use crate::diagnostic::Diagnostic;
use crate::document::node::{Node, NodeData};
use crate::document::reader;
use crate::document::report::{Report, split_hint};
use crate::document::shape::{Shape, check_object};
use crate::document::shape_action::{ACTION, WRAPPED_SCHEMA};
use crate::duration;
use crate::plan::{Action, AuthenticationWork, Ensure, Output, Schema, UriTemplate, Work};
use crate::template::Template;

/// Pause between probes when the contract does not say.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long to probe when the contract does not say.
const PROBE_WITHIN: Duration = Duration::from_secs(60);
/// Retries of transient failures when the contract does not say.
const RETRIES_DEFAULT: u32 = 3;
/// Arguments that a contract may name as recipients.
const RECIPIENTS_MAX: usize = 16;
/// Retries a contract may ask for.
const RETRIES_MAX: u32 = 20;

/// A compiled action, or what is wrong with it.
#[derive(Debug)]
pub struct CompiledAction {
    /// None when there is an error among the problems.
    pub action: Option<Arc<Action>>,
    /// Everything found, in document order.
    pub problems: Vec<Diagnostic>,
    /// Descriptions of APIs that were not there; without them there is no action.
    pub wanted: Vec<crate::describe::Wanted>,
}

/// Compiles an action document (YAML or JSON) that needs no description of an API.
pub fn compile(text: &str) -> CompiledAction {
    compile_with(text, &Nothing)
}

/// Compiles an action document; the catalogue gives the descriptions of APIs.
pub fn compile_with(text: &str, catalogue: &dyn Catalogue) -> CompiledAction {
    let mut report = Report::new(text);
    let Some(root) = reader::read(text, &mut report) else {
        return CompiledAction { action: None, problems: report.finish(), wanted: Vec::new() };
    };
    check_object(&root, &ACTION, &mut report);
    let mut compiler = Compiler::new(&mut report, &root, catalogue);
    let action = compiler.action();
    let wanted: Vec<_> = std::mem::take(&mut compiler.wanted).into_values().collect();
    let whole = !report.failed() && wanted.is_empty();
    let action = action.filter(|_| whole).map(Arc::new);
    CompiledAction { action, problems: report.finish(), wanted }
}

impl Compiler<'_, '_> {
    fn action(&mut self) -> Option<Action> {
        let root = self.root;
        let scope = Scope::default();
        let reference = root.get("action").and_then(|n| self.reference(n));
        let run = root.get("run").and_then(|n| self.action_run(n));
        let key = root.get("idempotency").and_then(|i| i.get("key"));
        let key = key.and_then(|n| self.expression(n, Place::ActionKey, &scope));
        self.key_is_sent(run.as_ref());
        let ensure = root.get("ensure").and_then(|n| self.ensure(n));
        let compensate = root.get("compensate").and_then(|n| self.contract_call(n));
        let input = root.get("input").and_then(|i| i.get("schema")).and_then(|n| self.either_schema(n));
        let output = self.action_output();
        let contract =
            self.contract(run.as_ref(), ensure.is_some(), compensate.as_ref().map(|(a, _)| a.clone()));
        let document = root.value();
        Some(Action {
            reference: reference?,
            digest: match self.apis.is_empty() {
                true => digest_of(&document),
                false => digest_of(&json!({ "action": document, "apis": self.apis })),
            },
            title: root.text_of("title").map(str::to_owned),
            contract: contract?,
            input,
            predicted: root.get("output").and_then(|o| o.get("example")).map_or(Value::NULL, Node::value),
            key,
            key_header: root.get("idempotency").and_then(|i| i.text_of("header")).map(str::to_owned),
            ensure,
            compensate,
            run: run?,
            output,
        })
    }

    fn reference(&mut self, node: &Node) -> Option<ActionRef> {
        let text = node.text()?;
        let told = match text.parse::<ActionRef>() {
            Ok(_) if text.contains('@') => "an action is published without `@`".to_owned(),
            Ok(_) if Self::is_governed(text) => format!("`{text}` is a word of the language"),
            Ok(reference) => return Some(reference),
            Err(message) => message,
        };
        let (told, _) = split_hint(&told);
        self.report
            .node(codes::WRONG_VALUE, node, told)
            .hint("write `name:version`, for example `refund-create:1.0.0`");
        None
    }

    fn action_run(&mut self, node: &Node) -> Option<Work> {
        let scope = Scope::default();
        self.shape(node, &Shape::Task);
        let extra = node
            .members()
            .into_iter()
            .flatten()
            .find(|(k, _)| !matches!(k.as_ref(), "call" | "with" | "run"));
        if let Some((name, member)) = extra {
            self.report
                .member(codes::ACTION_RUN, member, format!("`run` of an action has no `{name}`"))
                .hint("`run` holds only `call: http` with `with`, or `run: { shell: … }`");
        }
        match (node.text_of("call"), node.get("run")) {
            (Some("http"), None) => {
                self.http(node.get("with")?, Place::ActionRun, &scope).map(|work| Work::Http(Box::new(work)))
            }
            (Some("openapi"), None) => self
                .openapi(node.get("with")?, Place::ActionRun, &scope)
                .map(|work| Work::OpenApi(Box::new(work))),
            (Some("grpc"), None) => self
                .grpc(node, node.get("with")?, Place::ActionRun, &scope)
                .map(|work| Work::Grpc(Box::new(work))),
            (Some("mcp"), None) => {
                self.mcp(node.get("with")?, Place::ActionRun, &scope).map(|work| Work::Rpc(Box::new(work)))
            }
            (Some("a2a"), None) => {
                self.a2a(node.get("with")?, Place::ActionRun, &scope).map(|work| Work::Rpc(Box::new(work)))
            }
            (Some("asyncapi"), None) => self.action_asyncapi(node.get("with")?, &scope),
            (None, Some(run)) => self.run("run", run, Place::ActionRun, &scope),
            _ => {
                self.report
                    .node(
                        codes::ACTION_RUN,
                        node,
                        "`run` of an action must be one `call` of a protocol (`http`, `openapi`, `grpc`, `asyncapi`, `mcp`, `a2a`), `run: shell` or `run: script`",
                    )
                    .hint("put anything longer into a workflow that calls several actions");
                None
            }
        }
    }

    fn action_asyncapi(&mut self, with: &Node, scope: &Scope) -> Option<Work> {
        if let Some(each) = with.get("subscription").and_then(|n| n.get("foreach")) {
            self.report
                .node(codes::ACTION_RUN, each, "`run` of an action has no `foreach`")
                .hint("go through the messages in the workflow");
        }
        self.asyncapi(with, Place::ActionRun, scope).map(|work| Work::AsyncApi(Box::new(work)))
    }

    fn action_output(&mut self) -> Output {
        let Some(node) = self.root.get("output") else { return Output::default() };
        Output {
            transform: node.get("as").and_then(|n| self.filter(n, Place::ActionRun, &Scope::default())),
            schema: node.get("schema").and_then(|n| self.either_schema(n)),
        }
    }

    /// A schema as workflows write it (`{document: …}`), or the schema itself.
    fn either_schema(&mut self, node: &Node) -> Option<Arc<Schema>> {
        let wrapped = node.members().is_some_and(|m| {
            !m.is_empty() && m.keys().all(|k| matches!(k.as_ref(), "document" | "format" | "resource"))
        });
        if wrapped {
            self.shape(node, WRAPPED_SCHEMA);
            return self.schema(node);
        }
        self.schema_document(node)
    }

    /// `{call, with?}` of a contract.
    fn contract_call(&mut self, node: &Node) -> Option<(ActionRef, Template)> {
        let reference = node.get("call").and_then(|n| self.reference(n));
        let with = match node.get("with") {
            Some(with) => self.filter(with, Place::ActionContract, &Scope::default())?,
            None => Template::Constant(Value::object::<&str>([])),
        };
        Some((reference?, with))
    }

    fn ensure(&mut self, node: &Node) -> Option<Ensure> {
        let probe = node.get("probe").and_then(|n| self.contract_call(n));
        let that =
            node.get("that").and_then(|n| self.expression(n, Place::ActionContract, &Scope::default()));
        let every = self.constant_duration(node.get("every"), PROBE_EVERY);
        let within = self.constant_duration(node.get("within"), PROBE_WITHIN);
        let (probe, with) = probe?;
        Some(Ensure { probe, with, that: that?, every, within })
    }

    fn constant_duration(&mut self, node: Option<&Node>, default: Duration) -> Duration {
        let Some(node) = node.filter(|n| n.text().is_some() || n.members().is_some()) else { return default };
        let told = match duration::of(&node.value()) {
            Ok(duration) if duration.is_zero() => "the duration is zero".to_owned(),
            Ok(duration) => return duration,
            Err(message) => message,
        };
        let (told, _) = split_hint(&told);
        self.report
            .node(codes::DURATION, node, told)
            .hint("write a duration such as `PT5S`; a contract has no expressions here");
        default
    }

    fn contract(
        &mut self,
        run: Option<&Work>,
        verified: bool,
        compensate: Option<ActionRef>,
    ) -> Option<Contract> {
        let root = self.root;
        let effect: EffectKind = word(root.get("effect")?)?;
        let class: EffectClass = word(root.get("class")?)?;
        self.consistent(effect, class);
        if let (Some(method), EffectKind::Read) = (run.and_then(Work::method), effect)
            && !matches!(method, "GET" | "HEAD")
        {
            self.report
                .node(
                    codes::RUN_DISAGREES,
                    root.get("run")?,
                    format!("the effect is `read`, but the method is `{method}`"),
                )
                .hint("use `GET` or `HEAD`, or say what the action changes in `effect`");
        }
        let amount = root.get("amount").and_then(|n| {
            let currency = n.text_of("currency").map(str::to_owned);
            Some(AmountFields { value: n.text_of("value")?.to_owned(), currency })
        });
        if effect == EffectKind::Money && amount.is_none() {
            self.report
                .node(
                    codes::MONEY_WITHOUT_AMOUNT,
                    root.get("effect")?,
                    "policies cannot see how much money moves",
                )
                .hint("add `amount: { value: /amount, currency: /currency }`");
        }
        let radius = root.get("blastRadius");
        let radius_text = |name: &str| radius.and_then(|r| r.text_of(name)).unwrap_or_default().to_owned();
        Some(Contract {
            effect,
            class,
            blast_radius: BlastRadius {
                scope: radius_text("scope"),
                max: self.whole(radius.and_then(|r| r.get("max")), u64::MAX).unwrap_or_default(),
                unit: radius_text("unit"),
            },
            data: texts(root.get("data")),
            amount,
            recipients: self.recipients(),
            reviewed: true,
            retries_max: self
                .whole(root.get("retries"), u64::from(RETRIES_MAX))
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(RETRIES_DEFAULT),
            hosts: self.hosts(run),
            verified,
            compensate,
            cost: root.get("cost").and_then(|node| self.cost(node)),
            fencing_header: root.get("fencing").and_then(|node| self.fencing(node, run)),
        })
    }

    fn cost(&mut self, node: &Node) -> Option<ContractCost> {
        let (amount, currency) = (node.get("amount")?, node.text_of("currency")?);
        let text = amount.text().map_or_else(|| amount.value().to_string(), str::to_owned);
        let cost = ContractCost::read(&text, currency);
        if cost.is_none() {
            self.report
                .node(codes::WRONG_VALUE, node, format!("`{text} {currency}` is not a price"))
                .hint("write `cost: { amount: 0.25, currency: EUR }`: a decimal number with at most six digits behind the point, and three capital letters");
        }
        cost
    }

    /// A program is sent no headers: one that is named for it would never be in force.
    fn key_is_sent(&mut self, run: Option<&Work>) {
        let header = self.root.get("idempotency").and_then(|i| i.get("header"));
        if let Some(node) = header.filter(|_| run.is_some_and(Work::is_program)) {
            self.report
                .node(codes::WRONG_VALUE, node, "a program is sent no headers")
                .hint("leave `header` out, and give the program `$action.key` as an argument");
        }
    }

    fn fencing(&mut self, node: &Node, run: Option<&Work>) -> Option<String> {
        let header = node.get("header")?;
        let name = header.text()?;
        let token = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !token || run.is_some_and(Work::is_program) {
            self.report
                .node(codes::WRONG_VALUE, header, format!("`{name}` cannot carry the fencing token"))
                .hint("name a header of the HTTP call that `run` makes, for example `Fencing-Token`");
            return None;
        }
        Some(name.to_owned())
    }

    /// `recipients`: each named once, and none that the input schema does not know. A pointer that leads nowhere would
    /// look like a rule and never hold.
    fn recipients(&mut self) -> Vec<String> {
        let root = self.root;
        let listed = root.get("recipients").map(Node::items).unwrap_or_default();
        let properties = root.get("input").and_then(|input| input.get("schema")).and_then(|schema| {
            schema.get("document").unwrap_or(schema).get("properties").and_then(Node::members)
        });
        let mut found: Vec<String> = Vec::new();
        for node in listed {
            // Another shape was told of before.
            let Some(pointer) = node.text().filter(|text| text.starts_with('/')) else { continue };
            let first = pointer.split('/').nth(1).unwrap_or_default().replace("~1", "/").replace("~0", "~");
            let (told, hint) = if found.iter().any(|known| known == pointer) {
                (format!("`{pointer}` is listed twice"), "remove one".to_owned())
            } else if found.len() == RECIPIENTS_MAX {
                let told = format!("more than {RECIPIENTS_MAX} recipients");
                (told, "name the object or list that holds them".to_owned())
            } else if properties.is_some_and(|known| !known.keys().any(|name| **name == *first)) {
                let told = format!("`input.schema` has no property `{first}`, so `{pointer}` leads nowhere");
                (told, "write a JSON Pointer into the arguments, for example `/to`".to_owned())
            } else {
                found.push(pointer.to_owned());
                continue;
            };
            self.report.node(codes::WRONG_VALUE, node, told).hint(hint);
        }
        found
    }

    fn consistent(&mut self, effect: EffectKind, class: EffectClass) {
        let root = self.root;
        let Some(written) = root.get("class") else { return };
        let needs = |name: &str| root.get(name).is_none();
        match class {
            EffectClass::Idempotent if needs("idempotency") => {
                self.report
                    .node(
                        codes::MISSING_KEY_EXPRESSION,
                        written,
                        "the class is `idempotent`, but there is no `idempotency.key`",
                    )
                    .hint("add `idempotency: { key: …, header: Idempotency-Key }`, or choose another class");
            }
            EffectClass::Probeable if needs("ensure") => {
                self.report
                    .node(
                        codes::MISSING_PROBE,
                        written,
                        "the class is `probeable`, but there is no `ensure.probe`",
                    )
                    .hint("add `ensure: { probe: { call: … }, that: … }`, or choose another class");
            }
            EffectClass::Compensable if needs("compensate") => {
                self.report
                    .node(
                        codes::MISSING_COMPENSATION,
                        written,
                        "the class is `compensable`, but there is no `compensate`",
                    )
                    .hint("add `compensate: { call: …, with: { … } }`, or choose another class");
            }
            EffectClass::Pure
            | EffectClass::Read
            | EffectClass::Idempotent
            | EffectClass::Probeable
            | EffectClass::Compensable
            | EffectClass::Irreversible => {}
        }
        let looks = matches!(class, EffectClass::Pure | EffectClass::Read);
        if (effect == EffectKind::Read) != looks {
            let hint = match effect {
                EffectKind::Read => "write `class: read`",
                EffectKind::Write | EffectKind::Delete | EffectKind::Money | EffectKind::Permission => {
                    "write `class: irreversible`, unless it can be repeated, probed or compensated"
                }
            };
            self.report
                .node(
                    codes::CLASS_DISAGREES,
                    written,
                    format!("the effect is `{}`, but the class is `{}`", effect.name(), class.name()),
                )
                .hint(hint);
        }
    }

    /// `hosts`, or the host of a literal endpoint.
    fn hosts(&mut self, run: Option<&Work>) -> Vec<String> {
        let root = self.root;
        let listed = texts(root.get("hosts"));
        for node in root.get("hosts").map(Node::items).unwrap_or_default() {
            if let Some(text) = node.text().filter(|t| !is_host(t)) {
                self.report
                    .node(codes::HOST, node, format!("`{text}` is not a host"))
                    .hint("write `host` or `host:port`, for example `shop.example:443`");
            }
        }
        let (literal, varies) = match run {
            Some(Work::Http(http)) => (host_of(&http.uri), matches!(http.uri, UriTemplate::Expr(_))),
            Some(Work::OpenApi(call)) => {
                let host = host_of_server(&call.operation.server.url);
                let varies = host.is_none();
                (host, varies)
            }
            Some(Work::Grpc(call)) => (host_of_server(&call.uri), false),
            Some(Work::Rpc(call)) if call.is_program() => return listed,
            Some(Work::Rpc(call)) => (host_of_server(&call.uri), false),
            Some(Work::AsyncApi(call)) => {
                let host =
                    host_of_server(&format!("{}://{}", call.operation.http_scheme(), call.operation.address));
                let varies = host.is_none();
                (host, varies)
            }
            Some(Work::Process(_)) | None => return listed,
        };
        // Tokens are fetched by the same effect, so their authority is among what it connects to.
        let authority = run.and_then(Work::authentication).and_then(|work| match work {
            AuthenticationWork::OAuth { authority, .. } => host_of_server(authority.as_deref()?),
            _ => None,
        });
        match (varies, literal) {
            (true, _) if listed.is_empty() => {
                self.report
                    .node(
                        codes::MISSING_HOSTS,
                        root.get("run").unwrap_or(root),
                        "the endpoint is an expression, so `hosts` must list where it may connect",
                    )
                    .hint("add `hosts: [ shop.example ]`");
                listed
            }
            (_, Some(host)) if listed.is_empty() => {
                let also = authority.filter(|authority| *authority != host);
                std::iter::once(host).chain(also).collect()
            }
            (_, host) => {
                for host in host.into_iter().chain(authority) {
                    if !listed.iter().any(|l| covers(l, &host)) {
                        self.report
                            .node(
                                codes::HOST,
                                root.get("hosts").unwrap_or(root),
                                format!("`hosts` does not list `{host}`, where `run` connects"),
                            )
                            .hint(format!("add `{host}`"));
                    }
                }
                listed
            }
        }
    }

    fn whole(&mut self, node: Option<&Node>, most: u64) -> Option<u64> {
        let node = node?;
        let NodeData::Int(int) = node.data else { return None };
        let fine = u64::try_from(int).ok().filter(|n| *n <= most);
        if fine.is_none() {
            self.report.node(codes::WRONG_VALUE, node, format!("`{int}` is not allowed here")).hint(
                if most == u64::MAX {
                    "write a whole number from 0".to_owned()
                } else {
                    format!("write a whole number from 0 to {most}")
                },
            );
        }
        fine
    }
}

fn word<T: DeserializeOwned>(node: &Node) -> Option<T> {
    serde_json::from_value(serde_json::Value::from(node.text()?)).ok()
}

fn texts(node: Option<&Node>) -> Vec<String> {
    node.map(Node::items).unwrap_or_default().iter().filter_map(|n| n.text().map(str::to_owned)).collect()
}

/// `shop.example` covers every port of the host.
fn covers(listed: &str, host: &str) -> bool {
    let bare = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host, |(h, _)| h);
    listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(bare)
}

fn is_host(text: &str) -> bool {
    let plain = !text.is_empty() && !text.contains(['/', '?', '#', '@', '\\', '*', ' ']);
    plain
        && url::Url::parse(&format!("http://{text}/"))
            .is_ok_and(|u| u.host_str().is_some_and(|h| !h.is_empty()))
}
