//! Compiles expression fields and data fields, and checks that every variable exists in its place.

use std::sync::Arc;

use model::Value;

use crate::codes;
use crate::compile::Compiler;
use crate::document::node::{Node, NodeData};
use crate::document::report::nearest;
use crate::expr::Expr;
use crate::template::Template;

/// Where an expression stands; decides which variables of the language it sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// `input.from` of the workflow.
    WorkflowInput,
    /// `output.as` of the workflow.
    WorkflowOutput,
    /// `timeout.after` of the workflow.
    WorkflowTimeout,
    /// `input.from` of a task.
    TaskInput,
    /// What a task does, its `if` and its `timeout`.
    Task,
    /// `output.as` of a task.
    TaskOutput,
    /// `export.as` of a task.
    TaskExport,
    /// `correlate.from` of a `listen`: the event, and nothing else.
    Event,
    /// `run` of an action and its `output.as`.
    ActionRun,
    /// `idempotency.key` of an action.
    ActionKey,
    /// `ensure` and `compensate` of an action.
    ActionContract,
}

impl Place {
    fn variables(self) -> &'static [&'static str] {
        match self {
            Place::WorkflowInput => &["workflow", "runtime"],
            Place::WorkflowOutput => &["context", "workflow", "runtime"],
            Place::WorkflowTimeout => &["input", "workflow", "runtime"],
            Place::TaskInput => &["context", "task", "workflow", "runtime"],
            Place::Task => &["context", "input", "task", "workflow", "runtime"],
            Place::TaskOutput => &["context", "input", "task", "workflow", "runtime"],
            Place::TaskExport => &["context", "input", "output", "task", "workflow", "runtime"],
            Place::Event => &[],
            Place::ActionRun => &["action", "workflow"],
            Place::ActionKey => &["workflow"],
            Place::ActionContract => &["action", "workflow"],
        }
    }
}

/// Variables that loops and catches add, innermost last.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    names: Vec<Arc<str>>,
    /// True for reusable parts, which see what the place of their use adds; there they are checked again.
    open: bool,
}

impl Scope {
    /// The same scope with more variables.
    pub fn with(&self, more: &[&Arc<str>]) -> Scope {
        let mut names = self.names.clone();
        names.extend(more.iter().map(|n| (*n).clone()));
        Scope { names, open: self.open }
    }

    /// The scope of an entry of `use`.
    pub fn of_use() -> Scope {
        Scope { names: Vec::new(), open: true }
    }
}

/// How a data field treats `${` inside a longer text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// It is a mistake.
    Refused,
    /// It belongs to another language: a shell command or a script.
    Kept,
}

impl Compiler<'_, '_> {
    /// An expression field: bare, or in `${ }`.
    pub fn expression(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<Expr> {
        let text = node.text()?;
        match wrapped(text) {
            Wrapped::Whole { start, body } => self.parse(node, start, body, place, scope),
            Wrapped::Bare => self.parse(node, 0, text, place, scope),
            Wrapped::More | Wrapped::Open => {
                self.interpolation(node);
                None
            }
        }
    }

    /// `from` and `as`: a text is an expression field, an object is data.
    pub fn filter(&mut self, node: &Node, place: Place, scope: &Scope) -> Option<Template> {
        match node.data {
            NodeData::String(_) => self.expression(node, place, scope).map(Template::Expr),
            _ => Some(self.data(node, place, scope)),
        }
    }

    /// A data field. What is wrong in it is told and taken as text.
    pub fn data(&mut self, node: &Node, place: Place, scope: &Scope) -> Template {
        self.template(node, place, scope, Inside::Refused)
    }

    /// A data field in another language, in which `${` may stand.
    pub fn foreign(&mut self, node: &Node, place: Place, scope: &Scope) -> Template {
        self.template(node, place, scope, Inside::Kept)
    }

    fn template(&mut self, node: &Node, place: Place, scope: &Scope, inside: Inside) -> Template {
        match &node.data {
            NodeData::String(text) => self.text(node, text, place, scope, inside),
            NodeData::Array(items) => {
                let parts: Vec<Template> =
                    items.iter().map(|i| self.template(i, place, scope, inside)).collect();
                match parts.iter().all(is_constant) {
                    true => Template::Constant(Value::array(parts.into_iter().filter_map(constant))),
                    false => Template::Array(parts),
                }
            }
            NodeData::Object(members) => {
                let parts: Vec<(Arc<str>, Template)> = members
                    .iter()
                    .map(|(k, m)| (k.clone(), self.template(&m.value, place, scope, inside)))
                    .collect();
                match parts.iter().all(|(_, t)| is_constant(t)) {
                    true => Template::Constant(Value::object(
                        parts.into_iter().filter_map(|(k, t)| Some((k, constant(t)?))),
                    )),
                    false => Template::Object(parts),
                }
            }
            NodeData::Null | NodeData::Bool(_) | NodeData::Int(_) | NodeData::Float(_) => {
                Template::Constant(node.value())
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str, place: Place, scope: &Scope, inside: Inside) -> Template {
        let literal = || Template::Constant(node.value());
        match wrapped(text) {
            Wrapped::Whole { start, body } => {
                self.parse(node, start, body, place, scope).map_or_else(literal, Template::Expr)
            }
            Wrapped::Bare if inside == Inside::Kept || !text.contains("${") => literal(),
            Wrapped::More | Wrapped::Open if inside == Inside::Kept => literal(),
            Wrapped::Bare | Wrapped::More | Wrapped::Open => {
                self.interpolation(node);
                literal()
            }
        }
    }

    fn interpolation(&mut self, node: &Node) {
        let at = node.text().and_then(|t| t.find("${")).unwrap_or(0);
        self.report
            .inside(
                codes::INTERPOLATION,
                node,
                at,
                "an expression must be the whole value, from `${` to its `}`",
            )
            .hint("build the text in the expression: `${ \"Hello \\(.name)\" }`");
    }

    fn parse(&mut self, node: &Node, start: usize, body: &str, place: Place, scope: &Scope) -> Option<Expr> {
        if body.trim().is_empty() {
            self.report
                .node(codes::EXPRESSION, node, "the expression is empty")
                .hint("write `.` for the data itself");
            return None;
        }
        match Expr::parse(body) {
            Ok(expr) => {
                for name in expr.variables() {
                    self.variable(node, start, body, name, place, scope);
                }
                Some(expr)
            }
            Err(error) => {
                let told = self.report.inside(
                    codes::EXPRESSION,
                    node,
                    start.saturating_add(error.offset),
                    error.message,
                );
                told.hint(error.hint.unwrap_or_else(|| {
                    "check the brackets, quotes and operators around this place".to_owned()
                }));
                None
            }
        }
    }

    fn variable(&mut self, node: &Node, start: usize, body: &str, name: &str, place: Place, scope: &Scope) {
        if place.variables().contains(&name) || scope.names.iter().any(|n| &**n == name) {
            return;
        }
        let at = start + body.find(&format!("${name}")).unwrap_or(0);
        if name == "secrets" {
            self.report
                .inside(codes::SECRET_IN_EXPRESSION, node, at, "`$secrets` is not allowed in expressions")
                .hint("name the secret in `use.secrets` and refer to it by `authentication: { bearer: { use: name } }`");
            return;
        }
        if scope.open || self.report.full() {
            return;
        }
        let known: Vec<&str> =
            place.variables().iter().copied().chain(scope.names.iter().map(|n| &**n)).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `${near}`?"),
            None => format!(
                "known here: {}",
                known.iter().map(|k| format!("`${k}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        self.report
            .inside(
                codes::UNKNOWN_VARIABLE,
                node,
                at,
                format!("there is no variable `${name}` in this place"),
            )
            .hint(hint);
    }
}

/// True when some expression of a template mentions a variable.
pub(crate) fn mentions(template: &Template, variable: &str) -> bool {
    match template {
        Template::Constant(_) => false,
        Template::Expr(expr) => expr.variables().any(|name| name == variable),
        Template::Array(items) => items.iter().any(|t| mentions(t, variable)),
        Template::Object(members) => members.iter().any(|(_, t)| mentions(t, variable)),
    }
}

/// True when a text is one whole `${ }`.
pub(crate) fn is_expression(text: &str) -> bool {
    matches!(wrapped(text), Wrapped::Whole { .. })
}

fn is_constant(template: &Template) -> bool {
    matches!(template, Template::Constant(_))
}

fn constant(template: Template) -> Option<Value> {
    match template {
        Template::Constant(value) => Some(value),
        Template::Expr(_) | Template::Array(_) | Template::Object(_) => None,
    }
}

enum Wrapped<'t> {
    /// `${ body }` and nothing else; `start` is where the body begins.
    Whole { start: usize, body: &'t str },
    /// Does not begin with `${`.
    Bare,
    /// Something follows the `}`.
    More,
    /// The `}` is missing.
    Open,
}

fn wrapped(text: &str) -> Wrapped<'_> {
    let lead = text.len() - text.trim_start().len();
    let trimmed = text.trim();
    let Some(rest) = trimmed.strip_prefix("${") else { return Wrapped::Bare };
    match closing(rest) {
        Some(end) if end + 1 == rest.len() => {
            Wrapped::Whole { start: lead + 2, body: rest.get(..end).unwrap_or_default() }
        }
        Some(_) => Wrapped::More,
        None => Wrapped::Open,
    }
}

/// The `}` that closes an expression, texts and their `\( )` parts skipped.
fn closing(text: &str) -> Option<usize> {
    #[derive(PartialEq)]
    enum In {
        Text,
        Parenthesis,
        Brace,
    }
    let mut stack: Vec<In> = Vec::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if stack.last() == Some(&In::Text) {
            match c {
                '"' => {
                    stack.pop();
                }
                '\\' if chars.next().is_some_and(|(_, c)| c == '(') => {
                    stack.push(In::Parenthesis);
                }
                _ => {}
            }
            continue;
        }
        match c {
            '"' => stack.push(In::Text),
            '(' => stack.push(In::Parenthesis),
            '{' => stack.push(In::Brace),
            ')' if stack.last() == Some(&In::Parenthesis) => {
                stack.pop();
            }
            '}' => match stack.iter().rposition(|i| *i == In::Brace) {
                // An unclosed parenthesis inside is the parser's to tell.
                Some(open) => stack.truncate(open),
                None => return Some(at),
            },
            _ => {}
        }
    }
    None
}
