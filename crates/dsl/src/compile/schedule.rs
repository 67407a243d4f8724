//! Compiles `schedule`, with what `metadata.omnihub` adds: time zone, overlap, catching up, input.

use model::Value;

use crate::codes;
use crate::compile::Compiler;
use crate::document::node::Node;
use crate::document::report::split_hint;
use crate::plan::Input;
use crate::schedule::{CatchUp, Overlap, Schedule, When, interval};

impl Compiler<'_, '_> {
    /// The schedule, when the document has one.
    pub fn schedule(&mut self, input: &Input) -> Option<Schedule> {
        let root = self.root;
        let omnihub = root.get("document")?.get("metadata").and_then(|m| m.get("omnihub"));
        let options = omnihub.and_then(|o| o.get("schedule"));
        let Some(node) = root.get("schedule") else {
            if let Some(options) = options {
                self.report
                    .node(codes::OMNIHUB_METADATA, options, "there is no `schedule` that this could be about")
                    .hint("add for example `schedule: { every: PT15M }` beside `document`, or remove it");
            }
            return None;
        };
        if let Some(events) = node.get("on") {
            self.not_built(events, "`schedule.on`");
            return None;
        }
        let when = self.when(node)?;
        let option = |name: &str| options.and_then(|o| o.text_of(name));
        let zone_node = omnihub.and_then(|o| o.get("timeZone"));
        let given = options.and_then(|o| o.get("input"));
        let with = given.map_or_else(empty, Node::value);
        // Wrong words are told by the shape of the metadata.
        let overlap = option("overlap").map_or(Some(Overlap::default()), Overlap::parse)?;
        let catch_up = option("catchUp").map_or(Some(CatchUp::default()), CatchUp::parse)?;
        self.fits(given.unwrap_or(node), &with, input);
        let zone = zone_node.and_then(Node::text).unwrap_or("UTC");
        match Schedule::new(when, zone, overlap, catch_up, with) {
            Ok(schedule) => Some(schedule),
            Err(message) => {
                let (message, hint) = split_hint(&message);
                let place = zone_node.filter(|_| message.contains("time zone")).unwrap_or(node);
                self.report.node(codes::SCHEDULE, place, message).maybe(hint);
                None
            }
        }
    }

    fn when(&mut self, node: &Node) -> Option<When> {
        let read = |name: &str| node.get(name);
        let (place, found) = match (read("cron"), read("every"), read("after")) {
            (Some(cron), ..) => (cron, When::cron(cron.text()?)),
            (None, Some(every), _) => (every, interval(&every.value()).map(When::Every)),
            (None, None, Some(after)) => (after, interval(&after.value()).map(When::After)),
            (None, None, None) => return None,
        };
        match found {
            Ok(when) => Some(when),
            Err(message) => {
                let (message, hint) = split_hint(&message);
                self.report.node(codes::SCHEDULE, place, message).maybe(hint);
                None
            }
        }
    }

    /// Nobody is there to correct the input when it is time.
    fn fits(&mut self, node: &Node, with: &Value, input: &Input) {
        let Some(schema) = &input.schema else { return };
        if let Some(error) = schema.validator.iter_errors(&with.to_json()).next() {
            self.report
                .node(
                    codes::SCHEDULE,
                    node,
                    format!("executions that begin by schedule have an input that does not fit: {error}"),
                )
                .hint("give them one in `document.metadata.omnihub.schedule.input`");
        }
    }
}

fn empty() -> Value {
    Value::from_json(&serde_json::json!({}), model::Label::DEFINITION)
}
