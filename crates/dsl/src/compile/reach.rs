//! Finds the actions a workflow reaches: those it calls, and the probes and compensations of their contracts.

use std::sync::Arc;

use model::{ActionRef, EffectKind};

use crate::codes;
use crate::compile::Compiler;
use crate::document::node::Node;
use crate::document::report::{nearest, split_hint};
use crate::plan::Action;
use crate::template::Template;

/// Actions a workflow may reach at the most.
const ACTIONS_MAX: usize = 1000;

impl Compiler<'_, '_> {
    /// The action that `call` of a task names, pinned with everything its contract needs.
    pub fn function(&mut self, task: &str, node: &Node, text: &str) -> Option<ActionRef> {
        if Self::is_governed(text) {
            self.not_built(node, &format!("the task `{task}`: `call: {text}`"));
            return None;
        }
        if self.inline(text).is_some() {
            self.report
                .node(codes::FUNCTION, node, format!("`{text}` is a function of the document"))
                .hint("only an action of the catalogue can stand here");
            return None;
        }
        let elsewhere = text.split_once('@').is_some_and(|(_, catalogue)| catalogue != "default");
        if text.contains("://") || elsewhere {
            self.report
                .node(codes::CATALOGS, node, format!("`{text}` is not in the catalogue of this server"))
                .hint("publish the action here and call it by `name:version`");
            return None;
        }
        let reference: ActionRef = match text.parse() {
            Ok(reference) => reference,
            Err(message) => {
                let builtin = nearest(text, ["http"]).map(|near| format!("did you mean `{near}`?"));
                let near = builtin.or_else(|| self.nearest_action(text));
                let (message, hint) = split_hint(&message);
                self.report.node(codes::UNKNOWN_FUNCTION, node, message).maybe(near.or(hint));
                return None;
            }
        };
        let Some(action) = self.catalogue.action(&reference) else {
            let near = self.nearest_action(text);
            self.report
                .node(codes::UNKNOWN_FUNCTION, node, format!("the catalogue has no action `{reference}`"))
                .hint(near.unwrap_or_else(|| "publish the action first".to_owned()));
            return None;
        };
        self.pin(node, action);
        Some(reference)
    }

    /// Checks arguments without expressions against the action's schema.
    pub fn arguments(&mut self, node: &Node, action: &ActionRef, with: &Template) {
        let Some(action) = self.actions.get(action).cloned() else { return };
        let (Some(schema), Template::Constant(value)) = (&action.input, with) else { return };
        let json = value.to_json();
        // Values are the author's own and not secret; still only the first few are told.
        for error in schema.validator.iter_errors(&json).take(5) {
            let place = node.get("with").unwrap_or(node);
            self.report
                .node(
                    codes::ARGUMENTS,
                    place,
                    format!("`{}` does not take these arguments: {error}", action.reference),
                )
                .hint(format!("look at `input.schema` of `{}`", action.reference));
        }
    }

    fn pin(&mut self, node: &Node, first: Arc<Action>) {
        let mut queue = vec![first];
        while let Some(action) = queue.pop() {
            if self.actions.contains_key(&action.reference) {
                continue;
            }
            if self.actions.len() >= ACTIONS_MAX {
                self.report
                    .node(
                        codes::TOO_MANY_ACTIONS,
                        node,
                        format!("more than {ACTIONS_MAX} actions are reached"),
                    )
                    .hint("split the workflow");
                return;
            }
            self.actions.insert(action.reference.clone(), action.clone());
            if let Some(ensure) = &action.ensure
                && let Some(probe) = self.part(node, &action, &ensure.probe)
            {
                if probe.contract.effect != EffectKind::Read {
                    self.report
                        .node(
                            codes::PROBE_NOT_READ,
                            node,
                            format!(
                                "`{}` is checked by `{}`, which is not a read",
                                action.reference, probe.reference
                            ),
                        )
                        .hint("let the contract's `ensure.probe` call an action with `effect: read`");
                }
                queue.push(probe);
            }
            if let Some((undo, _)) = &action.compensate {
                queue.extend(self.part(node, &action, undo));
            }
        }
    }

    fn part(&mut self, node: &Node, of: &Action, reference: &ActionRef) -> Option<Arc<Action>> {
        let found = self.catalogue.action(reference);
        if found.is_none() {
            let near = self.nearest_action(&reference.to_string());
            self.report
                .node(
                    codes::MISSING_ACTION,
                    node,
                    format!(
                        "the contract of `{}` refers to `{reference}`, which the catalogue does not have",
                        of.reference
                    ),
                )
                .hint(near.unwrap_or_else(|| format!("publish `{reference}` first")));
        }
        found
    }

    fn nearest_action(&mut self, text: &str) -> Option<String> {
        if self.report.full() {
            return None;
        }
        let catalogue = self.catalogue;
        let known = self
            .known_actions
            .get_or_insert_with(|| catalogue.actions().iter().map(ToString::to_string).collect());
        let bare = text.strip_suffix("@default").unwrap_or(text);
        let whole = nearest(bare, known.iter().map(String::as_str));
        // Another version of the same name is nearer than any spelling.
        let name = bare.split(':').next().unwrap_or(bare);
        let version = known.iter().rev().find(|k| k.split(':').next() == Some(name)).map(String::as_str);
        version.or(whole).map(|near| format!("did you mean `{near}`?"))
    }
}
