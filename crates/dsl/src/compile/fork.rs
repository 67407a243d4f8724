//! Compiles `fork`: each branch is one task with a compensation stack and a `$context` of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Data;

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::Scope;
use crate::compile::flow::Siblings;
use crate::compile::saga::Thread;
use crate::document::node::{Node, NodeData};
use crate::plan::{Fork, TaskList};
use crate::template::Template;

impl Compiler<'_, '_> {
    /// `fork`
    pub fn fork(&mut self, body: &Node, scope: &Scope) -> Option<Fork> {
        let written = body.get("branches")?;
        // Names must differ, and yet no branch can go to another: they run at the same time.
        self.siblings(written);
        let nowhere = Siblings::new();
        let mut tasks = Vec::new();
        let mut exported: BTreeSet<Arc<str>> = BTreeSet::new();
        // Another branch's export is not one that came before.
        let (before, mut after) = (self.exported, self.exported);
        for item in written.items() {
            for (name, member) in item.members().into_iter().flatten() {
                let around = std::mem::take(&mut self.thread);
                self.exported = before;
                tasks.extend(self.task(name, &member.value, &nowhere, scope));
                self.savepoints_known();
                let Thread { exports, .. } = std::mem::replace(&mut self.thread, around);
                for key in exports.intersection(&exported) {
                    self.report
                        .member(
                            codes::EXPORT_TWICE,
                            member,
                            format!("the branch `{name}` exports `{key}`, as a branch before it does"),
                        )
                        .hint("export under different names, or export behind the fork from its output");
                }
                exported.extend(exports);
                after |= self.exported;
            }
        }
        self.exported = after;
        self.thread.exports.extend(exported);
        let compete = matches!(body.get("compete").map(|n| &n.data), Some(NodeData::Bool(true)));
        Some(Fork { branches: TaskList { pointer: Arc::from(written.path.to_string()), tasks }, compete })
    }

    /// Remembers which members of `$context` an `export.as` sets, as far as that can be read from it.
    pub fn exports(&mut self, transform: &Template) {
        match transform {
            Template::Object(members) => {
                self.thread.exports.extend(members.iter().map(|(name, _)| Arc::clone(name)));
            }
            Template::Constant(value) => {
                if let Data::Object(members) = &value.data {
                    self.thread.exports.extend(members.keys().cloned());
                }
            }
            Template::Expr(expr) => self.thread.exports.extend(expr.members_set()),
            Template::Array(_) => {}
        }
    }
}
