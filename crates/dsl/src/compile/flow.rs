//! Task lists and where the flow goes.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::Scope;
use crate::document::node::Node;
use crate::document::report::nearest;
use crate::plan::{TaskList, Then};

/// The names of a task list and their positions.
pub(crate) type Siblings = IndexMap<Arc<str>, usize>;

/// Words that `then` means by themselves.
const DIRECTIVES: &[&str] = &["continue", "exit", "end"];

impl Compiler<'_, '_> {
    /// A list of named tasks. Tasks that cannot be compiled are left out; their problems are told.
    pub fn task_list(&mut self, node: &Node, scope: &Scope) -> TaskList {
        let siblings = self.siblings(node);
        let mut tasks = Vec::new();
        for item in node.items() {
            for (name, member) in item.members().into_iter().flatten() {
                tasks.extend(self.task(name, &member.value, &siblings, scope));
            }
        }
        TaskList { pointer: Arc::from(node.path.to_string()), tasks }
    }

    pub(super) fn siblings(&mut self, node: &Node) -> Siblings {
        let mut siblings = Siblings::new();
        for (position, item) in node.items().iter().enumerate() {
            for (name, member) in item.members().into_iter().flatten() {
                if DIRECTIVES.contains(&&**name) {
                    self.report
                        .member(codes::WRONG_VALUE, member, format!("a task cannot be called `{name}`"))
                        .hint("`then` uses this word; choose another name");
                }
                if siblings.contains_key(name) {
                    self.report
                        .member(
                            codes::DUPLICATE_TASK,
                            member,
                            format!("the list has a task `{name}` already"),
                        )
                        .hint("give one of them another name");
                } else {
                    siblings.insert(name.clone(), position);
                }
            }
        }
        siblings
    }

    /// `then`
    pub fn then(&mut self, node: Option<&Node>, siblings: &Siblings) -> Then {
        let Some((node, target)) = node.and_then(|n| n.text().map(|t| (n, t))) else { return Then::Continue };
        match target {
            "continue" => Then::Continue,
            "exit" => Then::Exit,
            "end" => Then::End,
            name => match siblings.get(name) {
                Some(position) => Then::Task(*position),
                None => {
                    self.nowhere(node, name, siblings);
                    Then::Continue
                }
            },
        }
    }

    fn nowhere(&mut self, node: &Node, name: &str, siblings: &Siblings) {
        if self.report.full() {
            return;
        }
        if self.task_names.contains(name) {
            self.report
                .node(codes::OTHER_SCOPE, node, format!("the task `{name}` is in another list"))
                .hint("the flow goes only to tasks of the same list; `exit` leaves the list");
            return;
        }
        let names = siblings.keys().map(|k| &**k).chain(DIRECTIVES.iter().copied());
        let hint = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write `continue`, `exit`, `end` or the name of a task of this list".to_owned(),
        };
        self.report
            .node(codes::UNKNOWN_TARGET, node, format!("there is no task `{name}` in this list"))
            .hint(hint);
    }
}
