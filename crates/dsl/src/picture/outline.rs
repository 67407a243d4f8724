//! What a picture shows of a document: tasks, the lists inside them, and where the flow goes.

use crate::document::node::{Node, NodeData};
use crate::document::shape_task::kind_of;

/// Tasks that are drawn; the rest is counted.
pub(super) const TASKS_MAX: usize = 400;

/// A whole document.
pub(super) struct Outline {
    /// `namespace/name:version`
    pub name: String,
    pub tasks: Vec<Item>,
    /// Tasks that are not drawn.
    pub hidden: usize,
}

/// A task.
pub(super) struct Item {
    pub name: String,
    pub kind: &'static str,
    /// One line about what it does.
    pub label: String,
    /// `if`, as it is written.
    pub condition: Option<String>,
    /// Lists inside it.
    pub parts: Vec<Part>,
    /// Where the flow goes when it does not just go on.
    pub jumps: Vec<Jump>,
    /// False when the flow never goes on to the next task of the list.
    pub goes_on: bool,
}

/// A list inside a task.
pub(super) struct Part {
    pub role: Role,
    /// What is said above it; may be empty.
    pub title: String,
    pub tasks: Vec<Item>,
}

/// How a list stands to the others of its task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// What the task does.
    Body,
    /// What it does again and again.
    Loop,
    /// One of several at the same time.
    Branch,
    /// What follows an error of the body.
    Catch,
}

/// The flow goes somewhere else.
pub(super) struct Jump {
    /// The case of a `switch`, and its condition; empty for `then`.
    pub label: String,
    pub to: To,
}

/// Where.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum To {
    /// A task of the same list.
    Task(usize),
    /// `exit` or `end`
    Out(&'static str),
    /// Nowhere: a name that the list does not have.
    Lost(String),
}

/// The outline of a document whose shape is right.
pub(super) fn of(root: &Node) -> Outline {
    let head = root.get("document");
    let text = |name: &str| head.and_then(|head| head.text_of(name)).unwrap_or_default().to_owned();
    let mut left = Left { tasks: TASKS_MAX, hidden: 0 };
    let tasks = root.get("do").map(|list| list_of(list, &mut left)).unwrap_or_default();
    let name = format!("{}/{}:{}", text("namespace"), text("name"), text("version"));
    Outline { name, tasks, hidden: left.hidden }
}

struct Left {
    tasks: usize,
    hidden: usize,
}

fn list_of(list: &Node, left: &mut Left) -> Vec<Item> {
    let entries: Vec<(&str, &Node)> = list
        .items()
        .iter()
        .filter_map(Node::members)
        .flatten()
        .map(|(name, member)| (&**name, &member.value))
        .collect();
    let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
    let mut items = Vec::new();
    for (name, node) in &entries {
        if left.tasks == 0 {
            left.hidden += 1;
            continue;
        }
        left.tasks -= 1;
        items.push(item_of(name, node, &names, left));
    }
    // What is not drawn cannot be led to.
    let drawn = items.len();
    for jump in items.iter_mut().flat_map(|item| &mut item.jumps) {
        if let To::Task(position) = jump.to
            && position >= drawn
        {
            jump.to = To::Lost(names.get(position).copied().unwrap_or_default().to_owned());
        }
    }
    items
}

fn item_of(name: &str, node: &Node, names: &[&str], left: &mut Left) -> Item {
    let kind = kind_of(node).unwrap_or("task");
    let mut jumps = Vec::new();
    let mut goes_on = true;
    if kind == "switch" {
        for (case, member) in
            node.get("switch").map(Node::items).unwrap_or_default().iter().filter_map(Node::members).flatten()
        {
            let when = member.value.text_of("when");
            if let Some(to) = target(member.value.text_of("then"), names) {
                let label = when.map_or_else(|| case.to_string(), |when| format!("{case}: {}", bare(when)));
                jumps.push(Jump { label, to });
                goes_on &= when.is_some();
            }
        }
    }
    let caught = node.get("catch").and_then(|catch| catch.text_of("then"));
    if let Some(to) = target(caught, names) {
        jumps.push(Jump { label: "caught".to_owned(), to });
    }
    if let Some(to) = target(node.text_of("then"), names) {
        let label = if jumps.is_empty() { "" } else { "otherwise" };
        jumps.push(Jump { label: label.to_owned(), to });
        goes_on = node.get("if").is_some();
    }
    let (label, parts) = inside(kind, node, left);
    let condition = node.text_of("if").map(|text| bare(text).to_owned());
    Item { name: name.to_owned(), kind, label, condition, parts, jumps, goes_on }
}

fn target(then: Option<&str>, names: &[&str]) -> Option<To> {
    match then? {
        "continue" => None,
        "exit" => Some(To::Out("exit")),
        "end" => Some(To::Out("end")),
        name => Some(match names.iter().position(|known| *known == name) {
            Some(position) => To::Task(position),
            None => To::Lost(name.to_owned()),
        }),
    }
}

/// What a task does, in a line and in lists.
fn inside(kind: &str, node: &Node, left: &mut Left) -> (String, Vec<Part>) {
    let Some(body) = node.get(kind) else { return (String::new(), Vec::new()) };
    let mut part = |role, title: String, list: Option<&Node>| {
        list.map(|list| Part { role, title, tasks: list_of(list, left) })
    };
    match kind {
        "do" => (String::new(), part(Role::Body, String::new(), Some(body)).into_iter().collect()),
        "for" => {
            let each = body.text_of("each").unwrap_or("item");
            let condition =
                node.text_of("while").map(|text| format!(" while {}", bare(text))).unwrap_or_default();
            let items = match body.get("in").map(|items| (&items.data, items.items().len())) {
                Some((NodeData::Array(_), count)) => format!("a list of {count}"),
                _ => one_line(body.get("in")),
            };
            let label = format!("each ${each} in {items}{condition}");
            (label, part(Role::Loop, String::new(), node.get("do")).into_iter().collect())
        }
        "fork" => {
            let compete = matches!(body.get("compete").map(|node| &node.data), Some(NodeData::Bool(true)));
            let label = if compete { "the first success wins" } else { "all at the same time" };
            let branches = body.get("branches").map(|list| list_of(list, left)).unwrap_or_default();
            let branches = branches.into_iter().map(|task| Part {
                role: Role::Branch,
                title: String::new(),
                tasks: vec![task],
            });
            (label.to_owned(), branches.collect())
        }
        "try" => {
            let catch = node.get("catch");
            let title = catch.map(caught).unwrap_or_default();
            let tried = part(Role::Body, String::new(), Some(body));
            let caught = part(Role::Catch, title.clone(), catch.and_then(|catch| catch.get("do")));
            let label = match (catch.and_then(|catch| catch.get("retry")), &caught) {
                (Some(retry), _) => retried(retry),
                (None, Some(_)) => String::new(),
                (None, None) if catch.and_then(|catch| catch.get("then")).is_some() => title,
                (None, None) => format!("{title}, and goes on"),
            };
            (label, tried.into_iter().chain(caught).collect())
        }
        "listen" => {
            let label = listened(body);
            let each = node.get("foreach").and_then(|each| each.get("do"));
            (label, part(Role::Loop, "for each event".to_owned(), each).into_iter().collect())
        }
        _ => (about(kind, node, body), Vec::new()),
    }
}

/// Tasks that hold no others.
fn about(kind: &str, node: &Node, body: &Node) -> String {
    match kind {
        "call" => called(body.text().unwrap_or_default(), node.get("with")),
        "run" => {
            let (what, how) =
                match body.members().and_then(|members| members.iter().find(|(name, _)| is_program(name))) {
                    Some((name, member)) => (&**name, &member.value),
                    None => return String::new(),
                };
            match what {
                "workflow" => {
                    let part = |name: &str| how.text_of(name).unwrap_or_default();
                    format!("workflow {}/{}:{}", part("namespace"), part("name"), part("version"))
                }
                "script" => format!("{} script", how.text_of("language").unwrap_or_default()),
                "container" => format!("container {}", how.text_of("image").unwrap_or_default()),
                _ => format!("$ {}", one_line(how.get("command"))),
            }
        }
        "set" => match body.members() {
            Some(members) => members.keys().map(|name| &**name).collect::<Vec<_>>().join(", "),
            None => one_line(Some(body)),
        },
        "switch" => match body.items().len() {
            1 => "one case".to_owned(),
            n => format!("{n} cases"),
        },
        "wait" => duration(body),
        "raise" => match body.get("error") {
            Some(error) if error.text().is_some() => one_line(Some(error)),
            Some(error) => {
                let kind = error.text_of("type").unwrap_or_default();
                format!("{} {}", one_line(error.get("status")), kind.rsplit('/').next().unwrap_or(kind))
            }
            None => String::new(),
        },
        "emit" => body
            .get("event")
            .and_then(|event| event.get("with"))
            .and_then(|with| with.text_of("type"))
            .map(bare)
            .unwrap_or_default()
            .to_owned(),
        _ => String::new(),
    }
}

fn is_program(name: &str) -> bool {
    matches!(name, "workflow" | "script" | "container" | "shell")
}

fn called(function: &str, with: Option<&Node>) -> String {
    let part = |name: &str| with.and_then(|with| with.text_of(name)).unwrap_or_default();
    match function {
        "http" => {
            let endpoint = with.and_then(|with| with.get("endpoint"));
            let uri =
                endpoint.and_then(|node| node.text().or_else(|| node.text_of("uri"))).unwrap_or_default();
            format!("{} {}", part("method").to_uppercase(), bare(uri).trim_start_matches("https://"))
        }
        "openapi" => format!("openapi {}", part("operationId")),
        "grpc" => {
            let service =
                with.and_then(|with| with.get("service")).and_then(|service| service.text_of("name"));
            format!("grpc {}.{}", service.unwrap_or_default(), part("method"))
        }
        "asyncapi" | "mcp" | "a2a" => format!("{function} {}{}", part("method"), part("operation")),
        other => other.to_owned(),
    }
}

fn caught(catch: &Node) -> String {
    let with = catch.get("errors").and_then(|errors| errors.get("with")).and_then(Node::members);
    let filter: Vec<String> = with
        .into_iter()
        .flatten()
        .map(|(_, member)| {
            let text = one_line(Some(&member.value));
            text.rsplit('/').next().unwrap_or_default().to_owned()
        })
        .collect();
    let what = if filter.is_empty() { "any error".to_owned() } else { filter.join(" ") };
    match catch.text_of("when") {
        Some(when) => format!("catches {what} when {}", bare(when)),
        None => format!("catches {what}"),
    }
}

fn retried(retry: &Node) -> String {
    if let Some(name) = retry.text() {
        return format!("retries: {name}");
    }
    let count =
        retry.get("limit").and_then(|limit| limit.get("attempt")).and_then(|attempt| attempt.get("count"));
    let growth = retry.get("backoff").and_then(Node::members).and_then(|members| members.keys().next());
    let mut words = vec!["retries".to_owned()];
    words.extend(count.map(|count| format!("{}×", one_line(Some(count)))));
    words.extend(retry.get("delay").map(|delay| format!("after {}", duration(delay))));
    words.extend(growth.map(|growth| growth.to_string()));
    words.join(" ")
}

fn listened(body: &Node) -> String {
    let to = body.get("to");
    for (how, word) in [("one", ""), ("any", "any of "), ("all", "all of ")] {
        let Some(what) = to.and_then(|to| to.get(how)) else { continue };
        let filters = if how == "one" { std::slice::from_ref(what) } else { what.items() };
        let names: Vec<&str> = filters
            .iter()
            .filter_map(|filter| filter.get("with"))
            .map(|with| with.text_of("type").unwrap_or("an event"))
            .collect();
        return if names.is_empty() { "any event".to_owned() } else { format!("{word}{}", names.join(", ")) };
    }
    String::new()
}

fn duration(node: &Node) -> String {
    match node.members() {
        Some(parts) => {
            let parts =
                parts.iter().map(|(unit, member)| format!("{} {unit}", one_line(Some(&member.value))));
            parts.collect::<Vec<_>>().join(" ")
        }
        None => one_line(Some(node)),
    }
}

fn one_line(node: Option<&Node>) -> String {
    let text = match node.map(|node| (&node.data, node)) {
        Some((NodeData::String(text), _)) => bare(text).to_owned(),
        Some((_, node)) => node.value().to_json().to_string(),
        None => String::new(),
    };
    // More than any label holds.
    text.split_whitespace().take(40).collect::<Vec<_>>().join(" ")
}

/// An expression without its `${ }`.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).map_or(text, str::trim)
}
