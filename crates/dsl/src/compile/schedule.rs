//! Compiles `schedule`, with what `metadata.omnihub` adds: time zone, overlap, catching up, input.

use model::Value;

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::compile::listen::{ADDRESS, UPDATE};
use crate::document::node::Node;
use crate::document::report::split_hint;
use crate::plan::{Input, Read};
use crate::schedule::{CatchUp, Overlap, Schedule, When, interval};

/// Filters of one `schedule.on` at the most.
const ON_MAX: usize = 20;

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
        let read = self.read(node);
        if let Some(events) = node.get("on") {
            if let Some(options) = options {
                self.report
                    .node(codes::SCHEDULE, options, "every event begins an execution, and is its input")
                    .hint("remove this: it is about moments");
            }
            let mut schedule = self.on_events(events)?;
            schedule.read = read;
            return Some(schedule);
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

    /// `schedule.read`: before it came, an event with its attributes was the input, and in documents from then it still is.
    fn read(&mut self, node: &Node) -> Read {
        let Some(written) = node.get("read") else {
            return if self.is_newer() { Read::Data } else { Read::Envelope };
        };
        self.newer(written, "`schedule.read`");
        if node.get("on").is_none() {
            self.report
                .node(codes::SCHEDULE, written, "`read` is about events, and no event begins this")
                .hint("remove it; `metadata.omnihub.schedule.input` gives an input");
        }
        match written.text() {
            Some("envelope") => Read::Envelope,
            Some("raw") => Read::Raw,
            _ => Read::Data,
        }
    }

    /// `schedule.on`: one execution for each event that fits.
    fn on_events(&mut self, node: &Node) -> Option<Schedule> {
        let filters = match (node.get("one"), node.get("any"), node.get("all")) {
            (Some(one), ..) => std::slice::from_ref(one),
            (None, Some(any), _) => any.items(),
            (None, None, Some(all)) if all.items().len() == 1 => all.items(),
            (None, None, Some(all)) => {
                self.not_built(all, "`all` of several events in `schedule.on`");
                return None;
            }
            (None, None, None) => return None,
        };
        if let Some(until) = node.get("until") {
            self.report
                .node(codes::SCHEDULE, until, "nothing ends what begins executions")
                .hint("remove `until`; publish a version without a schedule to end it");
        }
        if filters.is_empty() || filters.len() > ON_MAX {
            self.report
                .node(codes::SCHEDULE, node, format!("it names {} events", filters.len()))
                .hint(format!("name 1 to {ON_MAX} events: any event at all would begin one for each"));
            return None;
        }
        let mut read = Vec::with_capacity(filters.len());
        for written in filters {
            let with = written.get("with");
            let alone = [ADDRESS, UPDATE].into_iter().find_map(|name| with?.get(name));
            if let Some(wrong) = alone.or_else(|| written.get("correlate")) {
                self.report
                    .node(codes::SCHEDULE, wrong, "there is no execution yet that this could be about")
                    .hint("tell events apart by their attributes and by `data`");
                continue;
            }
            read.extend(self.event_filter(written, Place::Event, &Scope::default(), false));
        }
        let when = When::On(read.into());
        Schedule::new(when, "UTC", Overlap::Allow, CatchUp::All, empty()).ok()
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
