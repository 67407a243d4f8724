//! Compiles `listen` and `emit`: events, some of which are addressed to one execution.

use std::sync::Arc;

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::document::node::{Node, NodeData};
use crate::plan::{EachEvent, EventFilter, Listen, Read, Strategy, TaskList};
use crate::template::Template;

/// The attribute that addresses one execution.
pub const ADDRESS: &str = "omnihubexecution";

/// What it must be, because nobody can listen for what is said to another execution.
const THIS: &str = "$workflow.id";

/// The attribute that makes an event an update, which is answered.
pub const UPDATE: &str = "omnihubupdate";

/// Strategies of one `listen` that end each other, at the most.
const STRATEGIES_MAX: usize = 8;

/// Filters of one `listen` at the most.
const FILTERS_MAX: usize = 100;

/// Attributes of one event at the most.
const ATTRIBUTES_MAX: usize = 50;

impl Compiler<'_, '_> {
    /// `listen`
    pub fn listen(&mut self, node: &Node, body: &Node, scope: &Scope) -> Option<Listen> {
        let written = node.get("foreach");
        let mut strategies = Vec::new();
        let mut next = body.get("to");
        while let Some(to) = next {
            if strategies.len() >= STRATEGIES_MAX {
                self.report
                    .node(
                        codes::WRONG_VALUE,
                        to,
                        format!("more than {STRATEGIES_MAX} strategies in each other"),
                    )
                    .hint("let fewer events end each other");
                return None;
            }
            let first = strategies.is_empty();
            let strategy = self.strategy(to, scope, first && written.is_some())?;
            if strategy.filters.is_empty() && (strategy.all || !first) {
                let (what, hint) = if first {
                    ("`all` of nothing", "name the events, or write `any: []` for any event at all")
                } else {
                    ("any event at all would end it", "name the event that ends it")
                };
                self.report.node(codes::WRONG_VALUE, to, what).hint(hint);
                return None;
            }
            let until = to.get("until");
            if let Some(until) = until.filter(|_| strategy.all) {
                self.report
                    .node(codes::WRONG_VALUE, until, "`until` stands only beside `any`")
                    .hint("remove it, or write `any` in place of `one` or `all`");
                return None;
            }
            next = until.filter(|until| until.text().is_none());
            strategies.push(strategy);
        }
        let read = match body.text_of("read") {
            Some("envelope") => Read::Envelope,
            Some("raw") => Read::Raw,
            _ => Read::Data,
        };
        let each = written.map(|written| self.each_event(written, scope));
        (!strategies.is_empty()).then_some(Listen { strategies, read, each })
    }

    /// `foreach`
    fn each_event(&mut self, node: &Node, scope: &Scope) -> EachEvent {
        let item = self.variable_name(node.get("item"), "item");
        let at = self.variable_name(node.get("at"), "index");
        if item == at {
            let place = node.get("at").or_else(|| node.get("item")).unwrap_or(node);
            self.report
                .node(codes::VARIABLE_NAME, place, format!("`item` and `at` are both called `{item}`"))
                .hint("give one of them another name");
        }
        let inner = scope.with(&[&item, &at]);
        let tasks = match node.get("do") {
            Some(list) => self.task_list(list, &inner),
            None => TaskList { pointer: Arc::from(format!("{}/do", node.path)), tasks: Vec::new() },
        };
        let output = self.output(node.get("output"), Place::TaskOutput, &inner);
        let export = self.output(node.get("export"), Place::TaskExport, &inner);
        if let Some(transform) = &export.transform {
            self.exports(transform);
            self.exported = true;
        }
        EachEvent { item, at, tasks, output, export }
    }

    /// `one`, `all` or `any` and what is tested of them; `until` as events is a strategy of its own.
    fn strategy(&mut self, to: &Node, scope: &Scope, answered: bool) -> Option<Strategy> {
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
            filters.iter().map(|filter| self.event_filter(filter, Place::Task, scope, answered)).collect();
        let until = to.get("until").filter(|until| !all && until.text().is_some());
        let until = until.and_then(|until| self.expression(until, Place::Task, scope));
        Some(Strategy { filters: filters.into_iter().collect::<Option<_>>()?, all, until })
    }

    /// `answered` is false where nobody would answer an update.
    pub(super) fn event_filter(
        &mut self,
        node: &Node,
        place: Place,
        scope: &Scope,
        answered: bool,
    ) -> Option<EventFilter> {
        let with = node.get("with")?;
        let (mut attributes, mut data) = (Vec::new(), None);
        let (mut addressed, mut update) = (false, false);
        for (attribute, member) in with.members()? {
            let template = self.data(&member.value, place, scope);
            match &**attribute {
                "data" => data = Some(template),
                UPDATE => {
                    (addressed, update) = (true, true);
                    self.update_mark(&member.value, answered);
                }
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
        let filter = EventFilter { attributes, data, addressed, correlate, update };
        if update && filter.name().is_none() {
            self.report
                .node(codes::MISSING_KEY, with, "the update has no name")
                .hint("write its name as `type`, without an expression");
            return None;
        }
        Some(filter)
    }

    /// What makes a filter one of updates.
    fn update_mark(&mut self, node: &Node, answered: bool) {
        if !matches!(node.data, NodeData::Bool(true)) {
            self.report
                .node(codes::WRONG_VALUE, node, format!("`{UPDATE}` is not `true`"))
                .hint(format!("write `{UPDATE}: true`, or leave it out to take signals"));
        }
        if !answered {
            self.report
                .node(codes::WRONG_VALUE, node, "nobody would answer this update")
                .hint("take updates in `to` itself, and add `foreach`: what it gives is the answer");
        }
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
            if !fine || matches!(&**name, "data_base64" | UPDATE) {
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
