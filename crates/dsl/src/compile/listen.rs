//! Compiles `listen`: signals, which are events addressed to one execution.

use crate::codes;
use crate::compile::Compiler;
use crate::compile::expression::{Place, Scope};
use crate::document::node::Node;
use crate::plan::{EventFilter, Listen, Read};
use crate::template::Template;

/// The attribute that addresses one execution.
pub const ADDRESS: &str = "omnihubexecution";

/// What it must be, because nobody can listen for the signals of another execution.
const THIS: &str = "$workflow.id";

/// Filters of one `listen` at the most.
const FILTERS_MAX: usize = 100;

impl Compiler<'_, '_> {
    /// `listen`; none when it wants what is not built.
    pub fn listen(&mut self, name: &str, node: &Node, body: &Node, scope: &Scope) -> Option<Listen> {
        if let Some(each) = node.get("foreach") {
            self.not_built(each, &format!("the task `{name}`: `foreach` of a `listen`"));
        }
        let to = body.get("to")?;
        let (all, filters) = match (to.get("one"), to.get("all"), to.get("any")) {
            (Some(one), _, _) => (true, std::slice::from_ref(one)),
            (None, Some(all), _) => (true, all.items()),
            (None, None, Some(any)) => (false, any.items()),
            (None, None, None) => return None,
        };
        if filters.is_empty() {
            self.not_built(to, &format!("the task `{name}`: a `listen` for any event at all"));
            return None;
        }
        if filters.len() > FILTERS_MAX {
            self.report
                .node(codes::WRONG_VALUE, to, format!("more than {FILTERS_MAX} filters"))
                .hint("listen for fewer signals, and tell them apart by their data");
            return None;
        }
        let filters: Vec<Option<EventFilter>> =
            filters.iter().map(|filter| self.event_filter(name, filter, scope)).collect();
        let until = to.get("until").and_then(|until| self.until(name, until, all, scope));
        let read = match body.text_of("read") {
            Some("envelope") => Read::Envelope,
            Some("raw") => Read::Raw,
            _ => Read::Data,
        };
        Some(Listen { filters: filters.into_iter().collect::<Option<_>>()?, all, until, read })
    }

    fn until(&mut self, name: &str, node: &Node, all: bool, scope: &Scope) -> Option<crate::expr::Expr> {
        if all {
            self.report
                .node(codes::WRONG_VALUE, node, "`until` stands only beside `any`")
                .hint("remove it, or write `any` in place of `one` or `all`");
            return None;
        }
        if node.text().is_none() {
            self.not_built(node, &format!("the task `{name}`: `until` as an event"));
            return None;
        }
        self.expression(node, Place::Task, scope)
    }

    fn event_filter(&mut self, name: &str, node: &Node, scope: &Scope) -> Option<EventFilter> {
        if let Some(correlate) = node.get("correlate") {
            self.not_built(correlate, &format!("the task `{name}`: `correlate`"));
        }
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
                                "a `listen` takes only events that are addressed to its own execution",
                            )
                            .hint(format!("write `{ADDRESS}: ${{ {THIS} }}`"));
                    }
                }
                _ => attributes.push((attribute.clone(), template)),
            }
        }
        if !addressed {
            let what = "events that are not addressed to this execution are";
            self.report
                .node(codes::NOT_BUILT, with, format!("the task `{name}`: {what} not built yet"))
                .hint(format!("to take signals, add `{ADDRESS}: ${{ {THIS} }}` beside `type`"));
            return None;
        }
        Some(EventFilter { attributes, data })
    }
}
