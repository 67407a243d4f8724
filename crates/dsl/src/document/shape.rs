//! Closed shapes, and the check of a node against one. Every key of the language is in a table; what is not
//! there is an error with the nearest name.

use crate::codes;
use crate::document::node::{Node, NodeData};
use crate::document::report::{Report, nearest};
use crate::document::shape_task;

/// What may stand in a place.
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Whole,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A text that passes a test; the words say what it must be, the pattern says the same to other programs (ECMA 262).
    Matches(fn(&str) -> bool, &'static str, &'static str),
    /// A list of at least so many items.
    List(&'static Shape, usize),
    /// An object with names of the author's choice, at least so many.
    Named(&'static Shape, usize),
    /// A list of objects that each have exactly one name of the author's choice.
    Entries(&'static Shape, usize),
    /// An object with known names.
    Object(&'static Object),
    /// The first of several that fits the kind of value.
    Either(&'static [Shape]),
    /// A task; its one kind decides which names are known.
    Task,
}

/// An object with known names.
pub(crate) struct Object {
    /// What it is, for messages.
    pub what: &'static str,
    /// Its names.
    pub fields: &'static [Field],
    /// More names, shared with other objects.
    pub base: &'static [Field],
    /// Exactly one of these must be there (none: no such rule).
    pub one_of: &'static [&'static str],
    /// The least number of members.
    pub members_min: usize,
    /// True when other names are data of the author.
    pub open: bool,
}

impl Object {
    /// A closed object.
    pub const fn closed(what: &'static str, fields: &'static [Field]) -> Self {
        Self { what, fields, base: &[], one_of: &[], members_min: 0, open: false }
    }

    /// The same with exactly one of some names.
    pub const fn one_of(self, names: &'static [&'static str]) -> Self {
        Self { one_of: names, ..self }
    }

    /// The same with shared names.
    pub const fn on(self, base: &'static [Field]) -> Self {
        Self { base, ..self }
    }

    /// The same with names of the author's choice beside the known ones.
    pub const fn open(self) -> Self {
        Self { open: true, ..self }
    }

    /// The same with a least number of members.
    pub const fn at_least(self, members: usize) -> Self {
        Self { members_min: members, ..self }
    }

    /// Every known name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Field> + Clone {
        self.fields.iter().chain(self.base)
    }
}

/// A known name of an object.
pub(crate) struct Field {
    pub name: &'static str,
    pub shape: &'static Shape,
    pub required: bool,
}

/// A name that may be there.
pub(crate) const fn may(name: &'static str, shape: &'static Shape) -> Field {
    Field { name, shape, required: false }
}

/// A name that must be there.
pub(crate) const fn must(name: &'static str, shape: &'static Shape) -> Field {
    Field { name, shape, required: true }
}

/// Tells everything in which a node differs from a shape.
pub(crate) fn check(node: &Node, shape: &Shape, report: &mut Report<'_>) {
    if report.full() {
        return;
    }
    match shape {
        Shape::Any => {}
        Shape::Text | Shape::Boolean | Shape::Whole => {
            if !fits(node, shape) {
                wrong_type(node, shape, report);
            }
        }
        Shape::Word(words) => match node.text() {
            Some(text) if words.contains(&text) => {}
            Some(text) => {
                let hint = nearest(text, words.iter().copied()).map_or_else(
                    || format!("write one of {}", quoted(words)),
                    |w| format!("did you mean `{w}`?"),
                );
                report.node(codes::WRONG_VALUE, node, format!("`{text}` is not allowed here")).hint(hint);
            }
            None => wrong_type(node, shape, report),
        },
        Shape::Matches(test, what, _) => match node.text() {
            Some(text) if test(text) => {}
            Some(text) => report
                .node(codes::WRONG_VALUE, node, format!("`{text}` is not allowed here"))
                .hint(format!("write {what}")),
            None => wrong_type(node, shape, report),
        },
        Shape::List(of, least) => match &node.data {
            NodeData::Array(items) => {
                at_least(node, items.len(), *least, report);
                items.iter().for_each(|item| check(item, of, report));
            }
            _ => wrong_type(node, shape, report),
        },
        Shape::Named(of, least) => match node.members() {
            Some(members) => {
                at_least(node, members.len(), *least, report);
                members.values().for_each(|m| check(&m.value, of, report));
            }
            None => wrong_type(node, shape, report),
        },
        Shape::Entries(of, least) => match &node.data {
            NodeData::Array(items) => {
                at_least(node, items.len(), *least, report);
                items.iter().for_each(|item| entry(item, of, report));
            }
            _ => wrong_type(node, shape, report),
        },
        Shape::Object(object) => check_object(node, object, report),
        Shape::Either(shapes) => match shapes.iter().find(|s| fits(node, s)) {
            Some(shape) => check(node, shape, report),
            None => wrong_type(node, shape, report),
        },
        Shape::Task => shape_task::check_task(node, report),
    }
}

/// Tells everything in which a node differs from an object.
pub(crate) fn check_object(node: &Node, object: &Object, report: &mut Report<'_>) {
    let Some(members) = node.members() else {
        report
            .node(codes::WRONG_TYPE, node, format!("{} must be an object, not {}", object.what, node.kind()))
            .maybe(example(object).map(|keys| format!("write an object with {keys}")));
        return;
    };
    for (name, member) in members {
        if report.full() {
            return;
        }
        match object.all().find(|f| f.name == &**name) {
            Some(field) => check(&member.value, field.shape, report),
            None if object.open => {}
            None => {
                let near = nearest(name, object.all().map(|f| f.name));
                let hint = near.map_or_else(
                    || example(object).map(|k| format!("known here: {k}")),
                    |n| Some(format!("did you mean `{n}`?")),
                );
                report
                    .member(codes::UNKNOWN_KEY, member, format!("{} has no key `{name}`", object.what))
                    .maybe(hint);
            }
        }
    }
    for field in object.all().filter(|f| f.required && !members.contains_key(f.name)) {
        report
            .node(codes::MISSING_KEY, node, format!("{} needs `{}`", object.what, field.name))
            .hint(format!("add `{}:`", field.name));
    }
    let present: Vec<&str> = object.one_of.iter().copied().filter(|n| members.contains_key(*n)).collect();
    if !object.one_of.is_empty() && present.len() != 1 {
        let found = if present.is_empty() {
            "has none of them".to_owned()
        } else {
            format!("has {}", quoted(&present))
        };
        report
            .node(
                codes::NOT_EXACTLY_ONE,
                node,
                format!("{} needs exactly one of {}, and {found}", object.what, quoted(object.one_of)),
            )
            .hint(if present.is_empty() { "add one of them" } else { "keep one of them" });
    }
    at_least(node, members.len(), object.members_min, report);
}

/// Words in backticks, with commas.
pub(crate) fn quoted(words: &[&str]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}

fn entry(item: &Node, of: &Shape, report: &mut Report<'_>) {
    let Some(members) = item.members() else {
        report
            .node(
                codes::WRONG_TYPE,
                item,
                format!("an entry must be an object with one name, not {}", item.kind()),
            )
            .hint("write `- name:` and indent the rest under it");
        return;
    };
    if members.len() != 1 {
        report
            .node(
                codes::NOT_EXACTLY_ONE,
                item,
                format!("an entry needs exactly one name and has {}", members.len()),
            )
            .hint("begin each entry with `- name:` and indent its content by two more than the name");
    }
    members.values().for_each(|m| check(&m.value, of, report));
}

fn at_least(node: &Node, count: usize, least: usize, report: &mut Report<'_>) {
    if count < least {
        report.node(codes::EMPTY, node, "this is empty").hint("add at least one entry, or remove it");
    }
}

fn fits(node: &Node, shape: &Shape) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Text | Shape::Word(_) | Shape::Matches(..) => matches!(node.data, NodeData::String(_)),
        Shape::Boolean => matches!(node.data, NodeData::Bool(_)),
        Shape::Whole => matches!(node.data, NodeData::Int(_)),
        Shape::List(..) | Shape::Entries(..) => matches!(node.data, NodeData::Array(_)),
        Shape::Named(..) | Shape::Object(_) | Shape::Task => matches!(node.data, NodeData::Object(_)),
        Shape::Either(shapes) => shapes.iter().any(|s| fits(node, s)),
    }
}

fn wrong_type(node: &Node, shape: &Shape, report: &mut Report<'_>) {
    let wanted = wanted(shape);
    let hint = match (shape, node.text()) {
        (Shape::Boolean, Some("yes" | "Yes" | "on" | "On" | "y")) => "write `true`".to_owned(),
        (Shape::Boolean, Some("no" | "No" | "off" | "Off" | "n")) => "write `false`".to_owned(),
        (Shape::Text | Shape::Word(_) | Shape::Matches(..), None)
            if !matches!(node.data, NodeData::Array(_) | NodeData::Object(_)) =>
        {
            "put it in quotes".to_owned()
        }
        _ => format!("write {wanted}"),
    };
    report.node(codes::WRONG_TYPE, node, format!("this must be {wanted}, not {}", node.kind())).hint(hint);
}

fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Text => "a text".to_owned(),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Whole => "a whole number".to_owned(),
        Shape::Word(words) => format!("one of {}", quoted(words)),
        Shape::Matches(_, what, _) => (*what).to_owned(),
        Shape::List(..) => "a list".to_owned(),
        Shape::Entries(..) => "a list of `- name:` entries".to_owned(),
        Shape::Named(..) => "an object".to_owned(),
        Shape::Object(object) => object.what.to_owned(),
        Shape::Task => "a task".to_owned(),
        Shape::Either(shapes) => shapes.iter().map(self::wanted).collect::<Vec<_>>().join(" or "),
    }
}

fn example(object: &Object) -> Option<String> {
    let names: Vec<&str> = object.all().map(|f| f.name).collect();
    (!names.is_empty()).then(|| quoted(&names))
}
