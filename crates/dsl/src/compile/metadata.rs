//! Checks `document.metadata.omnihub`: how a goal in words finds the workflow.

use crate::codes;
use crate::compile::Compiler;
use crate::document::node::Node;
use crate::document::report::{Report, nearest};
use crate::document::shape::check_object;
use crate::document::shape_workflow::OMNIHUB;

/// Sentences and slots of a workflow at the most.
const INTENTS_MAX: usize = 100;

impl Compiler<'_, '_> {
    /// Tells everything that is wrong with `metadata.omnihub`.
    pub fn metadata(&mut self, metadata: Option<&Node>) {
        let Some(node) = metadata.and_then(|m| m.get("omnihub")) else { return };
        self.shape_of_metadata(node);
        let slots = node.get("slots").and_then(Node::members);
        let intents = node.get("intents").map(Node::items).unwrap_or_default();
        if intents.len() > INTENTS_MAX || slots.is_some_and(|s| s.len() > INTENTS_MAX) {
            self.report
                .node(codes::OMNIHUB_METADATA, node, format!("more than {INTENTS_MAX} intents or slots"))
                .hint("keep the sentences that differ");
        }
        for intent in intents.iter().take(INTENTS_MAX) {
            self.intent(intent, node.get("slots"));
        }
        if let Some(key) = node.get("concurrencyKey") {
            self.concurrency_key(key);
        }
        for (_, member) in slots.into_iter().flatten().take(INTENTS_MAX) {
            self.slot(&member.value);
        }
    }

    /// A key that cannot be read would leave a limit without its count.
    fn concurrency_key(&mut self, node: &Node) {
        let Some(text) = node.text() else { return };
        let hint =
            "write for example `${ .customer }`; `.` is the workflow's input, and nothing else is known yet";
        match crate::placing::key_of(text) {
            Ok(_) => {}
            Err(message) => self.report.node(codes::OMNIHUB_METADATA, node, message).hint(hint),
        };
    }

    /// The shape's problems are told under one code, with the words of the shape.
    fn shape_of_metadata(&mut self, node: &Node) {
        let mut inner = Report::new("");
        check_object(node, &OMNIHUB, &mut inner);
        for problem in inner.finish() {
            self.report
                .at(codes::OMNIHUB_METADATA, problem.line, problem.column, problem.pointer, problem.message)
                .maybe(problem.hint);
        }
    }

    fn intent(&mut self, node: &Node, slots: Option<&Node>) {
        let Some(text) = node.text() else { return };
        let tell = |report: &mut Report<'_>, message: String, hint: String| {
            report.node(codes::OMNIHUB_METADATA, node, message).hint(hint);
        };
        if text.trim().is_empty() {
            tell(
                self.report,
                "an intent must be a sentence".to_owned(),
                "write for example `refund order {orderId}`".to_owned(),
            );
        }
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let after = rest.get(open..).unwrap_or_default();
            let Some((name, tail)) = after.strip_prefix('{').and_then(|a| a.split_once('}')) else {
                tell(self.report, "a brace has no partner".to_owned(), "write slots as `{name}`".to_owned());
                return;
            };
            if slots.and_then(|s| s.get(name)).is_none() {
                let known = slots.and_then(Node::members).into_iter().flat_map(|m| m.keys().map(|k| &**k));
                let near = nearest(name, known).map(|n| format!("did you mean `{n}`?"));
                tell(
                    self.report,
                    format!("there is no slot `{name}`"),
                    near.unwrap_or_else(|| format!("add `{name}: {{ type: text }}` to `slots`")),
                );
            }
            rest = tail;
        }
    }

    fn slot(&mut self, node: &Node) {
        let kind = node.text_of("type");
        if kind == Some("enum") && node.get("values").is_none_or(|v| v.items().is_empty()) {
            self.report
                .node(codes::OMNIHUB_METADATA, node, "a slot of type `enum` needs `values`")
                .hint("add `values: [ … ]`");
        }
        if let Some(pattern) = node.get("pattern")
            && let Some(Err(error)) = pattern.text().map(regex::Regex::new)
        {
            let last = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            self.report
                .node(codes::OMNIHUB_METADATA, pattern, format!("the pattern does not compile: {last}"))
                .hint("write a regular expression without look-around and back-references");
        }
        if let Some(into) =
            node.get("into").filter(|i| i.members().is_some() && kind.is_some_and(|k| k != "money"))
        {
            self.report
                .node(codes::OMNIHUB_METADATA, into, "only a slot of type `money` fills two members")
                .hint("write one JSON Pointer, for example `into: /orderId`");
        }
    }
}
