//! Compiles calls of inline functions (`use.functions`): tasks of the document that others call by name, with arguments.
//!
//! A call is made of what the language has: a list that sets the arguments and does the function's task with them. What such a
//! task does is marked with the function's name, because nobody reviewed it: the gate always asks people about it.

use std::sync::Arc;

use model::{Data, Value};

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::compile::flow::Siblings;
use crate::compile::words::task;
use crate::document::node::{Node, NodeData};
use crate::document::shape_task::{CALLS, kind_of};
use crate::plan::{Task, TaskKind, TaskList, Try};
use crate::template::Template;

/// Functions that call one another, at the most.
const DEPTH_MAX: usize = 8;
/// Values of all functions at the places of their calls, at the most: as many as a document may hold.
const EXPANDED_MAX: usize = 100_000;
/// Characters of text that count as one value.
const TEXT_UNIT: usize = 64;

impl<'a> Compiler<'a, '_> {
    /// Looks at every function, called or not.
    pub fn functions(&mut self) {
        let root = self.root;
        let functions = root.get("use").and_then(|uses| uses.get("functions"));
        for (name, member) in functions.and_then(Node::members).into_iter().flatten() {
            if name.contains([':', '@', '/']) || CALLS.iter().any(|(known, _)| *known == &**name) {
                self.report
                    .member(codes::FUNCTION, member, format!("`{name}` cannot be the name of a function"))
                    .hint("calls of the language and actions of the catalogue are called like that; choose another name");
            }
            match misfit(&member.value) {
                Some(what) => {
                    self.report
                        .node(codes::FUNCTION, &member.value, format!("{what} cannot be a function here"))
                        .hint("let it be a `call` of a protocol or of an action, or `run` a `shell` or `script`");
                }
                None => {
                    self.calling.push(name.to_string());
                    self.task(name, &member.value, &Siblings::new(), &Scope::default());
                    self.calling.pop();
                }
            }
        }
    }

    /// The function of this name.
    pub fn inline(&self, name: &str) -> Option<&'a Node> {
        self.root.get("use")?.get("functions")?.get(name)
    }

    /// A call of a function.
    pub fn call_function(
        &mut self,
        node: &Node,
        called: &Node,
        body: &Node,
        scope: &Scope,
    ) -> Option<TaskKind> {
        let name = called.text()?;
        let with = node.get("with").map(|with| self.data(with, Place::Task, scope));
        let with = with.unwrap_or_else(|| Template::Constant(Value::new(Data::Object(Arc::default()))));
        if misfit(body).is_some() {
            return None;
        }
        self.expanded = self.expanded.saturating_add(size_of(body));
        let refused = if self.calling.iter().any(|caller| caller == name) {
            Some((
                format!("`{name}` calls itself"),
                "a function that calls itself would never come to an end",
            ))
        } else if self.calling.len() >= DEPTH_MAX {
            Some((
                format!("more than {DEPTH_MAX} functions call one another"),
                "let fewer of them stand between",
            ))
        } else if self.expanded > EXPANDED_MAX {
            Some((
                format!(
                    "with its functions at the places of their calls the document has more than {EXPANDED_MAX} values"
                ),
                "publish what is called so often as an action, and call that",
            ))
        } else {
            None
        };
        if let Some((message, hint)) = refused {
            self.report.node(codes::FUNCTION, called, message).hint(hint);
            return None;
        }
        self.calling.push(name.to_owned());
        let done = self.task(&Arc::from(name), body, &Siblings::new(), &Scope::default());
        self.calling.pop();
        let here = node.path.to_string();
        let place =
            Placing { from: body.path.to_string(), to: format!("{here}/call"), function: Arc::from(name) };
        let done = place.task(done?)?;
        let sets = task("with", format!("{here}/with"), None, TaskKind::Set(with));
        Some(TaskKind::Do(TaskList { pointer: Arc::from(format!("{here}/call")), tasks: vec![sets, done] }))
    }
}

/// Moves what was compiled where it is written to where it is called from.
struct Placing {
    from: String,
    to: String,
    function: Arc<str>,
}

impl Placing {
    /// None when somebody else holds the task, which nobody does right after it was compiled.
    fn task(&self, task: Arc<Task>) -> Option<Arc<Task>> {
        let task = Arc::into_inner(task)?;
        let kind = match task.kind {
            TaskKind::Do(list) => TaskKind::Do(self.list(list)?),
            TaskKind::For(mut each) => {
                each.tasks = self.list(each.tasks)?;
                TaskKind::For(each)
            }
            TaskKind::Try(tried) => TaskKind::Try(Try {
                tasks: self.list(tried.tasks)?,
                catch: match tried.catch {
                    Some(list) => Some(self.list(list)?),
                    None => None,
                },
                ..tried
            }),
            TaskKind::Fork(mut fork) => {
                fork.branches = self.list(fork.branches)?;
                TaskKind::Fork(fork)
            }
            TaskKind::Listen(mut listen) => {
                if let Some(mut each) = listen.each.take() {
                    each.tasks = self.list(each.tasks)?;
                    listen.each = Some(each);
                }
                TaskKind::Listen(listen)
            }
            kind => kind,
        };
        let function = Some(task.function.unwrap_or_else(|| Arc::clone(&self.function)));
        Some(Arc::new(Task { pointer: self.pointer(&task.pointer), kind, function, ..task }))
    }

    fn list(&self, list: TaskList) -> Option<TaskList> {
        let tasks = list.tasks.into_iter().map(|task| self.task(task)).collect::<Option<Vec<_>>>()?;
        Some(TaskList { pointer: self.pointer(&list.pointer), tasks })
    }

    fn pointer(&self, pointer: &Arc<str>) -> Arc<str> {
        match pointer.strip_prefix(&self.from) {
            Some(rest) => Arc::from(format!("{}{rest}", self.to)),
            None => Arc::clone(pointer),
        }
    }
}

/// What a task is that cannot be a function; none when it can.
fn misfit(body: &Node) -> Option<String> {
    match kind_of(body)? {
        "call" => {
            let called = body.text_of("call").filter(|called| Compiler::is_saga_word(called))?;
            Some(format!("the word `{called}`"))
        }
        "run" if body.get("run").is_some_and(|run| run.get("shell").or(run.get("script")).is_some()) => None,
        kind => Some(format!("this `{kind}`")),
    }
}

fn size_of(node: &Node) -> usize {
    1 + match &node.data {
        NodeData::String(text) => text.len() / TEXT_UNIT,
        NodeData::Array(items) => items.iter().map(size_of).sum(),
        NodeData::Object(members) => members.values().map(|member| size_of(&member.value)).sum(),
        NodeData::Null | NodeData::Bool(_) | NodeData::Int(_) | NodeData::Float(_) => 0,
    }
}
