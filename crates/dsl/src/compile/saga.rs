//! Compiles the words about the compensation stack (`checkpoint`, `on-rollback`, `rollback`, `release`), and `declassify`.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Value;

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::document::node::Node;
use crate::document::report::nearest;
use crate::plan::{Declassify, TaskKind};
use crate::template::Template;

/// The words, with the only version that there is.
pub(super) const WORDS: [&str; 8] = [
    "checkpoint:1.0.0",
    "on-rollback:1.0.0",
    "rollback:1.0.0",
    "release:1.0.0",
    model::effect::DECLASSIFY,
    "governed:1.0.0",
    "verify:1.0.0",
    model::effect::APPROVAL,
];

/// Characters of the name of a savepoint at the most.
const NAME_MAX: usize = 64;

/// What the tasks of a branch set up for each other.
#[derive(Default)]
pub(crate) struct Thread {
    /// Names of its checkpoints.
    savepoints: BTreeSet<Arc<str>>,
    /// Names that its `rollback` and `release` tasks want, where they are written.
    wanted: Vec<(Node, Arc<str>)>,
    /// Members of `$context` that its tasks set.
    pub(crate) exports: BTreeSet<Arc<str>>,
}

impl Compiler<'_, '_> {
    /// True for `checkpoint:1.0.0` and its like, with and without `@default`.
    pub fn is_saga_word(function: &str) -> bool {
        WORDS.contains(&bare(function))
    }

    /// A call of one of the words.
    pub fn saga_word(&mut self, word: &str, node: &Node, function: &Node, scope: &Scope) -> Option<TaskKind> {
        self.words.insert(bare(word).to_owned());
        match bare(word) {
            "governed:1.0.0" => self.governed(node, function),
            model::effect::APPROVAL => self.approval(node, function, scope),
            "verify:1.0.0" => self.verify(node, function, scope),
            "checkpoint:1.0.0" => {
                self.only(node, function, &["name"]);
                let name = self.savepoint_name(node, function, "name")?;
                self.thread.savepoints.insert(Arc::clone(&name));
                Some(TaskKind::Checkpoint(name))
            }
            "rollback:1.0.0" => Some(TaskKind::Rollback(self.savepoint_of(node, function)?)),
            "release:1.0.0" => Some(TaskKind::Release(self.savepoint_of(node, function)?)),
            model::effect::DECLASSIFY => self.declassify(node, function, scope),
            _ => self.on_rollback(node, function, scope),
        }
    }

    /// Tells of names that no checkpoint of this branch sets.
    pub fn savepoints_known(&mut self) {
        let Thread { savepoints, wanted, .. } = &mut self.thread;
        for (node, name) in std::mem::take(wanted) {
            if savepoints.contains(&name) {
                continue;
            }
            let near = nearest(&name, savepoints.iter().map(|known| &**known));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            self.report
                .node(
                    codes::UNKNOWN_SAVEPOINT,
                    &node,
                    format!("no checkpoint of this branch is called `{name}`"),
                )
                .hint(hint.unwrap_or_else(|| {
                    format!("add `call: checkpoint:1.0.0` with `name: {name}` before it")
                }));
        }
    }

    fn on_rollback(&mut self, node: &Node, function: &Node, scope: &Scope) -> Option<TaskKind> {
        self.only(node, function, &["call", "with"]);
        let written = node.get("with");
        let call = written.and_then(|with| with.get("call"));
        let Some((call, text)) = call.and_then(|call| call.text().map(|text| (call, text))) else {
            self.report
                .node(
                    codes::WORD_ARGUMENTS,
                    written.unwrap_or(function),
                    "`on-rollback` needs the action to call",
                )
                .hint("write `with: { call: 'refund-cancel:1.0.0', with: { … } }`");
            return None;
        };
        let arguments = written.and_then(|with| with.get("with"));
        let with = match arguments {
            Some(with) => self.data(with, Place::Task, scope),
            None => Template::Constant(Value::object::<&str>([])),
        };
        let action = self.function("on-rollback", call, text)?;
        if let Some(written) = written {
            self.arguments(written, &action, &with);
        }
        Some(TaskKind::OnRollback { action, with })
    }

    fn declassify(&mut self, node: &Node, function: &Node, scope: &Scope) -> Option<TaskKind> {
        self.only(node, function, &["value", "reason", "schema"]);
        let with = node.get("with");
        let member = |name: &str| with.and_then(|with| with.get(name));
        let (value, reason) = (member("value"), member("reason"));
        for (name, found) in [("value", value.is_some()), ("reason", reason.is_some())] {
            if !found {
                self.report
                    .node(codes::WORD_ARGUMENTS, with.unwrap_or(function), format!("`declassify` needs `{name}`"))
                    .hint("write `with: { value: '${ .to }', reason: 'the address was read back to the caller' }`");
            }
        }
        let schema = member("schema").and_then(|n| self.schema_document(n));
        let value = value.map(|n| self.data(n, Place::Task, scope));
        let written = reason.map(|n| self.data(n, Place::Task, scope));
        if let (Some(node), Some(Template::Constant(text))) = (reason, &written)
            && text.as_str().is_none_or(|text| text.trim().is_empty())
        {
            self.report
                .node(codes::WORD_ARGUMENTS, node, "`reason` must be text")
                .hint("say why the value may be trusted: people read it before they decide");
        }
        Some(TaskKind::Declassify(Declassify { value: value?, reason: written?, schema }))
    }

    /// `to` of `rollback` and `release`: the outer option is none when it is wrong.
    fn savepoint_of(&mut self, node: &Node, function: &Node) -> Option<Option<Arc<str>>> {
        self.only(node, function, &["to"]);
        let Some(written) = node.get("with").and_then(|with| with.get("to")) else { return Some(None) };
        let name = self.savepoint_name(node, function, "to")?;
        self.thread.wanted.push((written.clone(), Arc::clone(&name)));
        Some(Some(name))
    }

    fn savepoint_name(&mut self, node: &Node, function: &Node, member: &str) -> Option<Arc<str>> {
        let written = node.get("with").and_then(|with| with.get(member));
        let text = written.and_then(Node::text).unwrap_or_default();
        let fine = !text.is_empty()
            && text.len() <= NAME_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !fine {
            let place = written.or_else(|| node.get("with")).unwrap_or(function);
            self.report
                .node(codes::WORD_ARGUMENTS, place, format!("`{member}` must be the name of a savepoint"))
                .hint(format!(
                    "write `with: {{ {member}: before-payment }}`: letters, digits, `-` and `_`, at most {NAME_MAX}"
                ));
        }
        fine.then(|| Arc::from(text))
    }

    /// Tells of members that a word does not take.
    pub(super) fn only(&mut self, node: &Node, function: &Node, known: &[&str]) {
        let Some(with) = node.get("with") else { return };
        let Some(members) = with.members() else {
            self.report
                .node(codes::WORD_ARGUMENTS, with, "`with` must be an object here")
                .hint(format!("write `with: {{ {}: … }}`", known.first().unwrap_or(&"name")));
            return;
        };
        let word = function.text().unwrap_or_default();
        for (name, member) in members.iter().filter(|(name, _)| !known.contains(&&***name)) {
            let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            self.report
                .member(codes::WORD_ARGUMENTS, member, format!("`{word}` does not take `{name}`"))
                .hint(near.unwrap_or_else(|| format!("it takes `{}`", known.join("` and `"))));
        }
    }
}

pub(super) fn bare(function: &str) -> &str {
    function.strip_suffix("@default").unwrap_or(function)
}
