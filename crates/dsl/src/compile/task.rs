//! Compiles tasks.

use std::sync::Arc;

use model::Value;

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope, mentions};
use crate::compile::flow::Siblings;
use crate::document::node::{Node, NodeData};
use crate::document::shape_task::kind_of;
use crate::plan::{Case, For, Task, TaskKind, Try};
use crate::template::Template;

/// Variables of the language, which loops and catches must not hide.
const RESERVED: &[&str] = &[
    "context",
    "input",
    "output",
    "secrets",
    "authorization",
    "task",
    "workflow",
    "runtime",
    "action",
    "__loc__",
    "ENV",
];

impl Compiler<'_, '_> {
    /// One named task; none when its kind is unknown or cannot be compiled.
    pub fn task(
        &mut self,
        name: &Arc<str>,
        node: &Node,
        siblings: &Siblings,
        scope: &Scope,
    ) -> Option<Arc<Task>> {
        let then = self.then(node.get("then"), siblings);
        let condition = node.get("if").and_then(|n| self.expression(n, Place::Task, scope));
        let input = self.input(node.get("input"), Place::TaskInput, scope);
        let timeout = self.timeout(node.get("timeout"), Place::Task, scope);
        let kind = kind_of(node).and_then(|kind| self.kind(kind, name, node, siblings, scope));
        let output = self.output(node.get("output"), Place::TaskOutput, scope);
        let export = self.output(node.get("export"), Place::TaskExport, scope);
        if let (Some(written), Some(transform)) =
            (node.get("export").and_then(|e| e.get("as")), &export.transform)
        {
            self.exports(transform);
            if self.exported && !mentions(transform, "context") {
                self.report
                    .node(codes::CONTEXT_LOST, written, "this replaces everything that was exported before")
                    .hint("write `${ $context + { … } }` to keep it");
            }
            self.exported = true;
        }
        Some(Arc::new(Task {
            name: name.clone(),
            pointer: Arc::from(node.path.to_string()),
            condition,
            input,
            output,
            export,
            timeout,
            then,
            metadata: node.get("metadata").map_or(Value::NULL, Node::value),
            function: None,
            kind: kind?,
        }))
    }

    fn kind(
        &mut self,
        kind: &str,
        name: &str,
        node: &Node,
        siblings: &Siblings,
        scope: &Scope,
    ) -> Option<TaskKind> {
        let body = node.get(kind)?;
        match kind {
            "do" => Some(TaskKind::Do(self.task_list(body, scope))),
            "set" => Some(TaskKind::Set(self.data(body, Place::Task, scope))),
            "switch" => Some(TaskKind::Switch(self.cases(body, siblings, scope))),
            "for" => self.for_each(node, body, scope).map(TaskKind::For),
            "raise" => body.get("error").and_then(|e| self.error(e, Place::Task, scope)).map(TaskKind::Raise),
            "try" => self.attempt(node, body, siblings, scope).map(TaskKind::Try),
            "wait" => self.duration(body, Place::Task, scope).map(TaskKind::Wait),
            "call" => self.call(name, node, body, scope),
            "run" if body.get("workflow").is_some() => self.child(body, scope).map(TaskKind::Child),
            "run" => self.run(name, body, Place::Task, scope).map(TaskKind::Work),
            "fork" => self.fork(body, scope).map(TaskKind::Fork),
            "listen" => self.listen(node, body, scope).map(TaskKind::Listen),
            "emit" => self.emit(body, scope).map(TaskKind::Emit),
            _ => None,
        }
    }

    fn cases(&mut self, node: &Node, siblings: &Siblings, scope: &Scope) -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        for (name, member) in node.items().iter().filter_map(Node::members).flatten() {
            if cases.iter().any(|c| c.name == *name) {
                self.report
                    .member(codes::DUPLICATE_TASK, member, format!("the switch has a case `{name}` already"))
                    .hint("give one of them another name");
            }
            let when = member.value.get("when").and_then(|n| self.expression(n, Place::Task, scope));
            let then = self.then(member.value.get("then"), siblings);
            cases.push(Case { name: name.clone(), when, then });
        }
        cases
    }

    fn for_each(&mut self, node: &Node, body: &Node, scope: &Scope) -> Option<For> {
        let each = self.variable_name(body.get("each"), "item");
        let at = self.variable_name(body.get("at"), "index");
        if each == at {
            let place = body.get("at").or_else(|| body.get("each")).unwrap_or(body);
            self.report
                .node(codes::VARIABLE_NAME, place, format!("`each` and `at` are both called `{each}`"))
                .hint("give one of them another name");
        }
        let items = body.get("in").and_then(|items| match items.data {
            NodeData::Array(_) => {
                self.newer(items, "a list that is written out in `for.in`");
                Some(self.data(items, Place::Task, scope))
            }
            _ => self.expression(items, Place::Task, scope).map(Template::Expr),
        });
        let inner = scope.with(&[&each, &at]);
        let condition = node.get("while").and_then(|n| self.expression(n, Place::Task, &inner));
        let tasks = node.get("do").map(|list| self.task_list(list, &inner));
        Some(For { each, at, items: items?, condition, tasks: tasks? })
    }

    fn attempt(&mut self, node: &Node, body: &Node, siblings: &Siblings, scope: &Scope) -> Option<Try> {
        let tasks = self.task_list(body, scope);
        let catch = node.get("catch")?;
        let error_as = self.variable_name(catch.get("as"), "error");
        let inner = scope.with(&[&error_as]);
        let mut condition =
            |name: &str| catch.get(name).and_then(|n| self.expression(n, Place::Task, &inner));
        let (when, except_when) = (condition("when"), condition("exceptWhen"));
        Some(Try {
            tasks,
            errors: self.error_filter(catch.get("errors").and_then(|e| e.get("with"))),
            when,
            except_when,
            retry: catch.get("retry").and_then(|n| self.retry(n, Place::Task, &inner)),
            catch: catch.get("do").map(|list| self.task_list(list, &inner)),
            then: catch.get("then").map(|then| {
                self.newer(then, "`catch.then`");
                self.then(Some(then), siblings)
            }),
            error_as,
        })
    }

    pub fn variable_name(&mut self, node: Option<&Node>, default: &str) -> Arc<str> {
        let Some((node, NodeData::String(name))) = node.map(|n| (n, &n.data)) else {
            return Arc::from(default);
        };
        let fine = !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fine {
            let hint = match name.strip_prefix('$') {
                Some(bare) => format!("write `{bare}`, without `$`"),
                None => "write letters, digits and `_`, not beginning with a digit".to_owned(),
            };
            self.report
                .node(codes::VARIABLE_NAME, node, format!("`{name}` is not a variable name"))
                .hint(hint);
        } else if RESERVED.contains(&&**name) {
            self.report
                .node(codes::VARIABLE_NAME, node, format!("`{name}` is a variable of the language"))
                .hint("choose another name");
        }
        name.clone()
    }
}
