//! Compiles `listen` and `emit`: events, some of which are addressed to one execution.

use std::sync::Arc;

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::document::node::Node;
use crate::plan::{EventFilter, Listen, Read};
use crate::template::Template;

/// The attribute that addresses one execution.
pub const ADDRESS: &str = "omnihubexecution";

/// What it must be, because nobody can listen for what is said to another execution.
const THIS: &str = "$workflow.id";

/// Filters of one `listen` at the most.
const FILTERS_MAX: usize = 100;

/// Attributes of one event at the most.
const ATTRIBUTES_MAX: usize = 50;

impl Compiler<'_, '_> {
    /// `listen`; none when it wants what is not built.
    pub fn listen(&mut self, name: &str, node: &Node, body: &Node, scope: &Scope) -> Option<Listen> {
        if let Some(each) = node.get("foreach") {
            self.not_built(each, &format!("the task `{name}`: `foreach` of a `listen`"));
        }
        let to = body.get("to")?;
        let (all, filters) = self.strategy(to, scope)?;
        if all && filters.is_empty() {
            self.report
                .node(codes::WRONG_VALUE, to, "`all` of nothing")
                .hint("name the events, or write `any: []` for any event at all");
            return None;
        }
        let mut until = None;
        let (mut stop_all, mut stop) = (false, Vec::new());
        if let Some(node) = to.get("until") {
            if all {
                self.report
                    .node(codes::WRONG_VALUE, node, "`until` stands only beside `any`")
                    .hint("remove it, or write `any` in place of `one` or `all`");
                return None;
            }
            if node.text().is_some() {
                until = self.expression(node, Place::Task, scope);
            } else {
                if let Some(inner) = node.get("until") {
                    self.not_built(inner, &format!("the task `{name}`: `until` inside `until`"));
                }
                (stop_all, stop) = self.strategy(node, scope)?;
                if stop.is_empty() {
                    self.report
                        .node(codes::WRONG_VALUE, node, "any event at all would end it")
                        .hint("name the event that ends it");
                    return None;
                }
            }
        }
        let read = match body.text_of("read") {
            Some("envelope") => Read::Envelope,
            Some("raw") => Read::Raw,
            _ => Read::Data,
        };
        Some(Listen { filters, all, until, stop, stop_all, read })
    }

    /// `one`, `all` or `any`: whether each filter must have its event, and the filters.
    fn strategy(&mut self, to: &Node, scope: &Scope) -> Option<(bool, Vec<EventFilter>)> {
        let (all, filters) = match (to.get("one"), to.get("all"), to.get("any")) {
            (Some(one), _, _) => (true, std::slice::from_ref(one)),
            (None, Some(all), _) => (true, all.items()),
            (None, None, Some(any)) => (false, any.items()),
            (None, None, None) => return None,
        };
        if filters.len() > FILTERS_MAX {
            self.report
                .node(codes::WRONG_VALUE, to, format!("more than {FILTERS_MAX} filters"))
                .hint("listen for fewer events, and tell them apart by their data");
            return None;
        }
        let filters: Vec<Option<EventFilter>> =
            filters.iter().map(|filter| self.event_filter(filter, scope)).collect();
        Some((all, filters.into_iter().collect::<Option<_>>()?))
    }

    fn event_filter(&mut self, node: &Node, scope: &Scope) -> Option<EventFilter> {
        let with = node.get("with")?;
        let (mut attributes, mut data, mut addressed) = (Vec::new(), None, false);
        for (attribute, member) in with.members()? {
            let template = self.data(&member.value, Place::Task, scope);
            match &**attribute {
                "data" => data = Some(template),
                ADDRESS => {
                    addressed = true;
                    let own = matches!(&template, Template::Expr(expr) if expr.text().trim() == THIS);
                    if !own {
                        self.report
                            .node(
                                codes::WRONG_VALUE,
                                &member.value,
                                "nobody can listen for what is said to another execution",
                            )
                            .hint(format!("write `{ADDRESS}: ${{ {THIS} }}`"));
                    }
                }
                _ => attributes.push((attribute.clone(), template)),
            }
        }
        let mut correlate = Vec::new();
        for (name, member) in node.get("correlate").and_then(Node::members).into_iter().flatten() {
            let from = member
                .value
                .get("from")
                .and_then(|from| self.expression(from, Place::Event, &Scope::default()));
            let Some(expect) = member.value.get("expect") else {
                self.report
                    .node(
                        codes::MISSING_KEY,
                        &member.value,
                        format!("the correlation `{name}` expects nothing"),
                    )
                    .hint("write `expect: ${ … }`: what the execution knows that the event must say");
                continue;
            };
            let expect = self.expression(expect, Place::Task, scope);
            correlate.extend(from.zip(expect));
        }
        Some(EventFilter { attributes, data, addressed, correlate })
    }

    /// `emit`: the attributes and the data of the event.
    pub fn emit(&mut self, body: &Node, scope: &Scope) -> Option<Vec<(Arc<str>, Template)>> {
        let with = body.get("event").and_then(|event| event.get("with"))?;
        let members = with.members()?;
        if members.len() > ATTRIBUTES_MAX {
            self.report
                .node(codes::WRONG_VALUE, with, format!("more than {ATTRIBUTES_MAX} attributes"))
                .hint("put what belongs together into `data`");
            return None;
        }
        let mut made = Vec::with_capacity(members.len());
        for (name, member) in members {
            let fine = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            if !fine || &**name == "data_base64" {
                self.report
                    .member(codes::WRONG_VALUE, member, format!("`{name}` is not an attribute of an event"))
                    .hint(
                        "attributes are lower-case letters and digits; everything else belongs into `data`",
                    );
                continue;
            }
            made.push((name.clone(), self.data(&member.value, Place::Task, scope)));
        }
        Some(made)
    }
}
