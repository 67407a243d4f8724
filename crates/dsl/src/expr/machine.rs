//! The machine: walks the tree, gives each value to a callback, counts everything.
//!
//! [`Machine::one`] computes nodes that give exactly one value and is the fast way. [`Machine::run`] is the general
//! way: a generator that calls `out` for each value, in value mode or (when the item has a path) in path mode. The
//! environment is a chain of bindings on the stack; nothing outlives the call that made it.

use std::rc::Rc;
use std::sync::Arc;

use model::{Data, Label, Value};

use super::ast::{Function, Kind, Node, Op, Part, Program};
use super::budget::Budget;
use super::error::Stop;
use super::functions::{self, build_object};
use super::json::brief;
use super::native::Native;
use super::ops::{self, NODE_BYTES, check_member, deep_label, truthy};
use super::paths;
use super::regexes::Regexes;
use super::strings;

/// The state of one evaluation.
pub(super) struct Machine<'a> {
    pub(super) budget: &'a mut Budget,
    pub(super) program: &'a Program,
    pub(super) globals: Vec<&'a Value>,
    pub(super) regexes: Regexes,
    pub(super) labels: u64,
    /// Labels of what decided how many values came so far, and which paths: put on whatever gathers them.
    pub(super) decided: Label,
    /// Labels of what was computed so far: whether that failed depends on nothing else.
    pub(super) seen: Label,
}

/// A value and, in path mode, how it was reached.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) value: Value,
    pub(super) path: Option<Rc<Vec<Value>>>,
}

/// One link of the environment.
#[derive(Clone, Copy)]
pub(super) struct Env<'e> {
    parent: Option<&'e Env<'e>>,
    binding: Binding<'e>,
}

#[derive(Clone, Copy)]
pub(super) enum Binding<'e> {
    Root,
    Value(&'e Value),
    Closure(&'e Node, &'e Env<'e>),
    Function(&'e Function),
    Label(u64),
}

pub(super) type Done = Result<(), Stop>;
pub(super) type Out<'o, 'a> = &'o mut dyn FnMut(&mut Machine<'a>, Item) -> Done;

impl Item {
    pub(super) fn plain(value: Value) -> Item {
        Item { value, path: None }
    }
}

impl<'e> Env<'e> {
    pub(super) const ROOT: Env<'static> = Env { parent: None, binding: Binding::Root };

    pub(super) fn with(&'e self, binding: Binding<'e>) -> Env<'e> {
        Env { parent: Some(self), binding }
    }

    fn nth(&'e self, index: usize) -> &'e Env<'e> {
        let mut env = self;
        for _ in 0..index {
            env = env.parent.unwrap_or(env);
        }
        env
    }
}

pub(super) fn bug() -> Stop {
    Stop::raise("the expression refers to something that is not in scope", Label::DEFINITION)
}

/// The label of a condition put on what it chose.
pub(super) fn chosen(value: Value, label: Label) -> Value {
    Value { label: value.label.join(label), data: value.data }
}

impl<'a> Machine<'a> {
    /// The one value of a node; for nodes that may give none or many, the only one.
    pub(super) fn one(&mut self, node: &Node, env: &Env<'_>, input: Value) -> Result<Value, Stop> {
        self.budget.enter()?;
        let result = self.one_inside(node, env, input);
        self.budget.leave();
        if let Ok(value) = &result {
            self.saw(value);
        }
        result
    }

    pub(super) fn saw(&mut self, value: &Value) {
        self.seen = self.seen.join(value.label);
    }

    pub(super) fn decide(&mut self, label: Label) {
        self.decided = self.decided.join(label);
    }

    /// What decided how many values came inside, apart from what came before.
    pub(super) fn deciding<T>(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<(T, Label), Stop> {
        let before = std::mem::take(&mut self.decided);
        let done = inside(self);
        let found = std::mem::replace(&mut self.decided, before);
        match done {
            Ok(value) => Ok((value, found)),
            Err(stop) => {
                self.decide(found);
                Err(stop)
            }
        }
    }

    /// A built-in function of values.
    pub(super) fn native(&mut self, native: Native, input: Value, args: &[Value]) -> Result<Value, Stop> {
        // Whether a path can be set depends on all that it leads through.
        if matches!(native, Native::Setpath | Native::Delpaths) {
            self.seen = self.seen.join(deep_label(&input, self.budget)?);
        }
        let value = functions::call(native, input, args, &mut self.regexes, self.budget)?;
        self.saw(&value);
        Ok(value)
    }

    fn one_inside(&mut self, node: &Node, env: &Env<'_>, input: Value) -> Result<Value, Stop> {
        match &node.kind {
            Kind::Identity => Ok(input),
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Variable(index) => variable(env, *index),
            Kind::Global(slot) => self.globals.get(*slot).map(|v| (*v).clone()).ok_or_else(bug),
            Kind::Index(base, key) if node.single => self.one_index(base, key, env, input),
            Kind::Binary(op, a, b) if node.single => self.one_binary(*op, a, b, env, input),
            Kind::Pipe(stages) if node.single => {
                stages.iter().try_fold(input, |value, stage| self.one(stage, env, value))
            }
            Kind::And(a, b) if node.single => self.one_logic(a, b, false, env, input),
            Kind::Or(a, b) if node.single => self.one_logic(a, b, true, env, input),
            Kind::If(condition, then, other) if node.single => {
                let (holds, label) = self.condition(condition, env, &input)?;
                Ok(chosen(self.one(if holds { then } else { other }, env, input)?, label))
            }
            Kind::Object(members) if node.single => self.one_object(members, env, &input),
            Kind::Native(native, args) if node.single => {
                let args = args
                    .iter()
                    .map(|arg| self.one(arg, env, input.clone()))
                    .collect::<Result<Vec<_>, _>>()?;
                self.native(*native, input, &args)
            }
            Kind::Text(format, parts) if node.single => self.one_text(*format, parts, env, &input),
            Kind::Negate(inner) if node.single => ops::negate(self.one(inner, env, input)?),
            Kind::Alternative(a, b) if node.single => self.one_alternative(a, b, env, input),
            Kind::Array(inner) => self.array(inner.as_deref(), env, input),
            Kind::Bind(source, _, _, body) if node.single => {
                let value = self.one(source, env, input.clone())?;
                self.one(body, &env.with(Binding::Value(&value)), input)
            }
            Kind::Define(function, body) if node.single => {
                self.one(body, &env.with(Binding::Function(function)), input)
            }
            Kind::Slice(base, from, to) if node.single => {
                let from = self.one_bound(from.as_deref(), env, &input)?;
                let to = self.one_bound(to.as_deref(), env, &input)?;
                let base = self.one(base, env, input)?;
                paths::slice(&base, &from, &to, self.budget)
            }
            Kind::Update(path, filter) => self.update(path, filter, env, input),
            Kind::Assign(path, value) if node.single => {
                let new = self.one(value, env, input.clone())?;
                self.assign(path, env, input, new)
            }
            Kind::UpdateWith(op, path, value) if node.single => {
                let right = self.one(value, env, input.clone())?;
                self.update_with(*op, path, env, input, right)
            }
            _ => self.only(node, env, input),
        }
    }

    /// The only output of a generator, or an error.
    pub(super) fn only(&mut self, node: &Node, env: &Env<'_>, input: Value) -> Result<Value, Stop> {
        let mut found = None;
        let ((), label) = self.deciding(|m| {
            m.generate(node, env, Item::plain(input), &mut |_, item| match found.replace(item.value) {
                None => Ok(()),
                Some(_) => Err(Stop::raise("expected one value, found more than one", Label::DEFINITION)),
            })
        })?;
        let found = found.ok_or_else(|| Stop::raise("expected one value, found none", label))?;
        Ok(chosen(found, label))
    }

    fn one_index(&mut self, base: &Node, key: &Node, env: &Env<'_>, input: Value) -> Result<Value, Stop> {
        if let Kind::Literal(key) = &key.kind {
            let base = if matches!(base.kind, Kind::Identity) { input } else { self.one(base, env, input)? };
            return paths::index(&base, key, self.budget);
        }
        let key = self.one(key, env, input.clone())?;
        let base = self.one(base, env, input)?;
        paths::index(&base, &key, self.budget)
    }

    /// The left operand takes the input itself, so that `. + …` may grow in place.
    fn one_binary(&mut self, op: Op, a: &Node, b: &Node, env: &Env<'_>, input: Value) -> Result<Value, Stop> {
        let right = self.one(b, env, input.clone())?;
        let left = self.one(a, env, input)?;
        ops::binary(op, left, right, self.budget)
    }

    fn one_logic(
        &mut self,
        a: &Node,
        b: &Node,
        decides: bool,
        env: &Env<'_>,
        input: Value,
    ) -> Result<Value, Stop> {
        let (first, label) = self.condition(a, env, &input)?;
        if first == decides {
            return Ok(Value { data: Data::Bool(decides), label });
        }
        let (second, other) = self.condition(b, env, &input)?;
        Ok(Value { data: Data::Bool(second), label: label.join(other) })
    }

    fn condition(&mut self, node: &Node, env: &Env<'_>, input: &Value) -> Result<(bool, Label), Stop> {
        let value = self.one(node, env, input.clone())?;
        Ok((truthy(&value), deep_label(&value, self.budget)?))
    }

    fn one_alternative(&mut self, a: &Node, b: &Node, env: &Env<'_>, input: Value) -> Result<Value, Stop> {
        let before = std::mem::take(&mut self.seen);
        let first = self.one(a, env, input.clone());
        // An error counts as nothing, so what could have failed decides as well.
        let seen = std::mem::replace(&mut self.seen, before);
        self.seen = self.seen.join(seen);
        let label = match first {
            Ok(value) if truthy(&value) => return Ok(chosen(value, seen)),
            Ok(value) => value.label,
            Err(Stop::Raised(error)) => deep_label(&error, self.budget)?,
            Err(stop) => return Err(stop),
        };
        Ok(chosen(self.one(b, env, input)?, label.join(seen)))
    }

    fn one_object(&mut self, members: &[(Node, Node)], env: &Env<'_>, input: &Value) -> Result<Value, Stop> {
        let mut built = Vec::with_capacity(members.len());
        for (key, value) in members {
            let key = self.one(key, env, input.clone())?;
            let value = self.one(value, env, input.clone())?;
            check_member(&value, 1, self.budget)?;
            built.push((key, value));
        }
        build_object(built, self.budget)
    }

    fn one_bound(&mut self, node: Option<&Node>, env: &Env<'_>, input: &Value) -> Result<Value, Stop> {
        node.map_or(Ok(Value::NULL), |node| self.one(node, env, input.clone()))
    }

    fn one_text(
        &mut self,
        format: Option<super::ast::Format>,
        parts: &[Part],
        env: &Env<'_>,
        input: &Value,
    ) -> Result<Value, Stop> {
        let (mut text, mut label) = (String::new(), Label::DEFINITION);
        for part in parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Node(node) => {
                    let value = self.one(node, env, input.clone())?;
                    label = label.join(deep_label(&value, self.budget)?);
                    let format = format.unwrap_or(super::ast::Format::Text);
                    text.push_str(&strings::format(format, &value, self.budget)?);
                }
            }
        }
        self.budget.grow(text.len() + 32)?;
        Ok(strings::text(text, label))
    }

    fn array(&mut self, inner: Option<&Node>, env: &Env<'_>, input: Value) -> Result<Value, Stop> {
        self.budget.grow(NODE_BYTES)?;
        let Some(inner) = inner else { return Ok(Value::new(Data::Array(Arc::default()))) };
        let mut items = Vec::new();
        let ((), label) = self.deciding(|m| {
            m.run(inner, env, Item::plain(input), &mut |m, item| {
                m.budget.output()?;
                m.budget.grow(NODE_BYTES)?;
                check_member(&item.value, 1, m.budget)?;
                items.push(item.value);
                Ok(())
            })
        })?;
        Ok(Value { data: Data::Array(Arc::new(items)), label })
    }

    /// Every value of a node, each given to `out`.
    pub(super) fn run(&mut self, node: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        if node.single && item.path.is_none() {
            let value = self.one(node, env, item.value)?;
            return out(self, Item::plain(value));
        }
        self.budget.enter()?;
        let done = self.generate(node, env, item, out);
        self.budget.leave();
        done
    }

    fn generate(&mut self, node: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        match &node.kind {
            Kind::Identity => out(self, item),
            Kind::Pipe(stages) => self.pipe(stages, env, item, out),
            Kind::Comma(nodes) => nodes.iter().try_for_each(|n| self.run(n, env, item.clone(), out)),
            Kind::If(condition, then, other) => self.run_if(condition, then, other, env, item, out),
            Kind::Try(body, handler) => self.run_try(body, handler.as_deref(), env, item, out),
            Kind::Alternative(a, b) => self.run_alternative(a, b, env, item, out),
            Kind::Index(base, key) => self.run_index(base, key, env, item, out),
            Kind::Iterate(base) => self.run_iterate(base, env, item, out),
            Kind::Slice(base, from, to) => {
                self.run_slice(base, from.as_deref(), to.as_deref(), env, item, out)
            }
            Kind::Bind(source, patterns, slots, body) => {
                self.run_bind(source, patterns, *slots, body, env, item, out)
            }
            Kind::Reduce(fold) => self.run_reduce(fold, env, item, out),
            Kind::Foreach(fold) => self.run_foreach(fold, env, item, out),
            Kind::Label(body) => self.run_label(body, env, item, out),
            Kind::Break(index) => match env.nth(*index).binding {
                Binding::Label(id) => Err(Stop::Break(id)),
                _ => Err(bug()),
            },
            Kind::Define(function, body) => self.run(body, &env.with(Binding::Function(function)), item, out),
            Kind::Closure(index) => match env.nth(*index).binding {
                Binding::Closure(body, home) => self.run(body, home, item, out),
                _ => Err(bug()),
            },
            Kind::Call(index, args) => {
                let home = env.nth(*index);
                match home.binding {
                    Binding::Function(function) => self.call(function, args, 0, home, env, item, out),
                    _ => Err(bug()),
                }
            }
            Kind::CallTop(slot, args) => {
                let program = self.program;
                let function = program.functions.get(*slot).ok_or_else(bug)?;
                self.call(function, args, 0, &Env::ROOT, env, item, out)
            }
            Kind::Native(native, args) => self.run_native(*native, args, env, item, out),
            _ => self.run_value(node, env, item, out),
        }
    }

    /// Nodes that make new values: no path leads to what they give.
    fn run_value(&mut self, node: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        let tracked = item.path.is_some();
        self.values(node, env, item.value, &mut |m, value| {
            if tracked {
                let text = format!("invalid path expression with result {}", brief(&value));
                return Err(Stop::raise(text, value.label));
            }
            out(m, Item::plain(value))
        })
    }

    fn values(
        &mut self,
        node: &Node,
        env: &Env<'_>,
        input: Value,
        out: &mut dyn FnMut(&mut Machine<'a>, Value) -> Done,
    ) -> Done {
        if node.single {
            let value = self.one_inside(node, env, input)?;
            return out(self, value);
        }
        match &node.kind {
            Kind::Binary(op, a, b) => self.run(b, env, Item::plain(input.clone()), &mut |m, right| {
                m.run(a, env, Item::plain(input.clone()), &mut |m, left| {
                    let value = ops::binary(*op, left.value, right.value.clone(), m.budget)?;
                    m.saw(&value);
                    out(m, value)
                })
            }),
            Kind::And(a, b) => self.run_logic(a, b, false, env, input, out),
            Kind::Or(a, b) => self.run_logic(a, b, true, env, input, out),
            Kind::Negate(inner) => self.run(inner, env, Item::plain(input), &mut |m, item| {
                let value = ops::negate(item.value)?;
                out(m, value)
            }),
            Kind::Object(members) => self.run_object(members, &mut Vec::new(), env, &input, out),
            Kind::Text(format, parts) => {
                self.run_text(format.unwrap_or(super::ast::Format::Text), parts, None, env, &input, out)
            }
            Kind::Assign(path, value) => self.run(value, env, Item::plain(input.clone()), &mut |m, new| {
                let done = m.assign(path, env, input.clone(), new.value)?;
                out(m, done)
            }),
            Kind::UpdateWith(op, path, value) => {
                self.run(value, env, Item::plain(input.clone()), &mut |m, new| {
                    let done = m.update_with(*op, path, env, input.clone(), new.value)?;
                    out(m, done)
                })
            }
            _ => Err(bug()),
        }
    }

    fn run_logic(
        &mut self,
        a: &Node,
        b: &Node,
        decides: bool,
        env: &Env<'_>,
        input: Value,
        out: &mut dyn FnMut(&mut Machine<'a>, Value) -> Done,
    ) -> Done {
        self.run(a, env, Item::plain(input.clone()), &mut |m, first| {
            let label = deep_label(&first.value, m.budget)?;
            if !b.single {
                m.decide(label);
            }
            if truthy(&first.value) == decides {
                return out(m, Value { data: Data::Bool(decides), label });
            }
            m.run(b, env, Item::plain(input.clone()), &mut |m, second| {
                let label = label.join(deep_label(&second.value, m.budget)?);
                out(m, Value { data: Data::Bool(truthy(&second.value)), label })
            })
        })
    }

    fn run_object(
        &mut self,
        members: &[(Node, Node)],
        built: &mut Vec<(Value, Value)>,
        env: &Env<'_>,
        input: &Value,
        out: &mut dyn FnMut(&mut Machine<'a>, Value) -> Done,
    ) -> Done {
        let Some(((key, value), rest)) = members.split_first() else {
            let object = build_object(built.clone(), self.budget)?;
            self.saw(&object);
            return out(self, object);
        };
        self.run(key, env, Item::plain(input.clone()), &mut |m, key| {
            m.run(value, env, Item::plain(input.clone()), &mut |m, value| {
                check_member(&value.value, 1, m.budget)?;
                built.push((key.value.clone(), value.value));
                let done = m.run_object(rest, built, env, input, out);
                built.pop();
                done
            })
        })
    }

    /// The last interpolation is the outermost loop, as in jq; `tail` is the text after `parts`.
    fn run_text(
        &mut self,
        format: super::ast::Format,
        parts: &[Part],
        tail: Option<&Value>,
        env: &Env<'_>,
        input: &Value,
        out: &mut dyn FnMut(&mut Machine<'a>, Value) -> Done,
    ) -> Done {
        let Some((last, before)) = parts.split_last() else {
            return out(self, tail.cloned().unwrap_or_else(|| Value::string("")));
        };
        let (rest, label) = tail.map_or(("", Label::DEFINITION), |t| (t.as_str().unwrap_or(""), t.label));
        match last {
            Part::Text(text) => {
                self.budget.grow(text.len() + rest.len())?;
                let tail = strings::text([text, rest].concat(), label);
                self.run_text(format, before, Some(&tail), env, input, out)
            }
            Part::Node(node) => self.run(node, env, Item::plain(input.clone()), &mut |m, item| {
                let label = label.join(deep_label(&item.value, m.budget)?);
                m.seen = m.seen.join(label);
                let text = strings::format(format, &item.value, m.budget)?;
                m.budget.grow(text.len() + rest.len())?;
                let tail = strings::text([&text, rest].concat(), label);
                m.run_text(format, before, Some(&tail), env, input, out)
            }),
        }
    }

    fn pipe(&mut self, stages: &[Node], env: &Env<'_>, mut item: Item, out: Out<'_, 'a>) -> Done {
        let mut rest = stages;
        while let Some((stage, after)) = rest.split_first() {
            if after.is_empty() {
                return self.run(stage, env, item, out);
            }
            if !stage.single || item.path.is_some() {
                return self.run(stage, env, item, &mut |m, item| m.pipe(after, env, item, out));
            }
            item = Item::plain(self.one(stage, env, item.value)?);
            rest = after;
        }
        out(self, item)
    }

    fn run_if(
        &mut self,
        condition: &Node,
        then: &Node,
        other: &Node,
        env: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        self.run(condition, env, Item::plain(item.value.clone()), &mut |m, found| {
            let label = deep_label(&found.value, m.budget)?;
            // How many values come is open, or which path leads on.
            if !then.single || !other.single || item.path.is_some() {
                m.decide(label);
            }
            let branch = if truthy(&found.value) { then } else { other };
            m.run(branch, env, item.clone(), &mut |m, mut result| {
                result.value.label = result.value.label.join(label);
                out(m, result)
            })
        })
    }

    /// Only what the body itself raises is caught, not what happens to its outputs later.
    fn run_try(
        &mut self,
        body: &Node,
        handler: Option<&Node>,
        env: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        let mut later = false;
        let before = std::mem::take(&mut self.seen);
        let done = self.run(body, env, item.clone(), &mut |m, mut result| {
            // That it came at all depends on what could have failed.
            let seen = m.seen;
            result.value.label = result.value.label.join(seen);
            m.decide(seen);
            let done = out(m, result);
            later = done.is_err();
            m.seen = seen;
            done
        });
        let seen = self.seen;
        self.seen = before.join(seen);
        self.decide(seen);
        match done {
            Err(Stop::Raised(error)) if !later => match handler {
                // jq's `error(null)` caught without a handler is silent as well.
                None => {
                    let label = deep_label(&error, self.budget)?;
                    self.decide(label);
                    Ok(())
                }
                Some(handler) => {
                    let tracked = item.path.is_some();
                    let label = deep_label(&error, self.budget)?.join(seen);
                    self.decide(label);
                    self.run(handler, env, Item::plain(*error), &mut |m, mut result| {
                        result.value.label = result.value.label.join(label);
                        if tracked {
                            let text =
                                format!("invalid path expression with result {}", brief(&result.value));
                            return Err(Stop::raise(text, result.value.label));
                        }
                        out(m, result)
                    })
                }
            },
            done => done,
        }
    }

    fn run_alternative(&mut self, a: &Node, b: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        let (mut any, mut later, mut label) = (false, false, Label::DEFINITION);
        let before = std::mem::take(&mut self.seen);
        let done = self.run(a, env, item.clone(), &mut |m, mut result| {
            label = label.join(result.value.label);
            if !truthy(&result.value) {
                return Ok(());
            }
            any = true;
            let seen = m.seen;
            m.decide(label.join(seen));
            result.value.label = result.value.label.join(m.decided);
            let done = out(m, result);
            later = done.is_err();
            m.seen = seen;
            done
        });
        label = label.join(self.seen);
        self.seen = before.join(self.seen);
        match done {
            Err(Stop::Raised(error)) if !later => label = label.join(deep_label(&error, self.budget)?),
            done => done?,
        }
        self.decide(label);
        let label = self.decided;
        if any {
            return Ok(());
        }
        self.run(b, env, item, &mut |m, mut result| {
            result.value.label = result.value.label.join(label);
            out(m, result)
        })
    }

    fn run_index(&mut self, base: &Node, key: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        self.run(key, env, Item::plain(item.value.clone()), &mut |m, key| {
            m.run(base, env, item.clone(), &mut |m, base| {
                let value = paths::index(&base.value, &key.value, m.budget)?;
                m.saw(&value);
                let path = m.longer(&base.path, || key.value.clone())?;
                out(m, Item { value, path })
            })
        })
    }

    fn run_iterate(&mut self, base: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        self.run(base, env, item, &mut |m, base| m.each(&base, out))
    }

    /// Every part of an item, with its path in path mode.
    pub(super) fn each(&mut self, base: &Item, out: Out<'_, 'a>) -> Done {
        self.saw(&base.value);
        self.decide(base.value.label);
        paths::each(&base.value, |value, key| {
            self.budget.step(1)?;
            let path = self.longer(&base.path, key)?;
            out(self, Item { value, path })
        })
    }

    fn run_slice(
        &mut self,
        base: &Node,
        from: Option<&Node>,
        to: Option<&Node>,
        env: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        let none = Node::literal(Value::NULL);
        let (from, to) = (from.unwrap_or(&none), to.unwrap_or(&none));
        self.run(to, env, Item::plain(item.value.clone()), &mut |m, to| {
            m.run(from, env, Item::plain(item.value.clone()), &mut |m, from| {
                m.run(base, env, item.clone(), &mut |m, base| {
                    let value = paths::slice(&base.value, &from.value, &to.value, m.budget)?;
                    m.saw(&value);
                    let path = m.longer(&base.path, || paths::slice_key(&from.value, &to.value))?;
                    out(m, Item { value, path })
                })
            })
        })
    }

    pub(super) fn longer(
        &mut self,
        path: &Option<Rc<Vec<Value>>>,
        key: impl FnOnce() -> Value,
    ) -> Result<Option<Rc<Vec<Value>>>, Stop> {
        let Some(path) = path else { return Ok(None) };
        self.budget.grow((path.len() + 1) * NODE_BYTES)?;
        let mut longer = Vec::with_capacity(path.len() + 1);
        longer.extend(path.iter().cloned());
        longer.push(key());
        Ok(Some(Rc::new(longer)))
    }

    fn run_label(&mut self, body: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        let id = self.fresh_label();
        match self.run(body, &env.with(Binding::Label(id)), item, out) {
            Err(Stop::Break(other)) if other == id => Ok(()),
            done => done,
        }
    }

    pub(super) fn fresh_label(&mut self) -> u64 {
        self.labels += 1;
        self.labels
    }

    /// Binds the arguments one after the other, then the `$name` parameters, then runs the body.
    #[expect(
        clippy::too_many_arguments,
        reason = "the generator's state travels as arguments, so that nothing is allocated"
    )]
    fn call(
        &mut self,
        function: &Function,
        args: &[Node],
        next: usize,
        home: &Env<'_>,
        caller: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        match args.get(next) {
            Some(arg) if next < function.params => {
                let env = home.with(Binding::Closure(arg, caller));
                self.call(function, args, next + 1, &env, caller, item, out)
            }
            _ => self.call_values(function, args, 0, home, caller, item, out),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the generator's state travels as arguments, so that nothing is allocated"
    )]
    fn call_values(
        &mut self,
        function: &Function,
        args: &[Node],
        next: usize,
        home: &Env<'_>,
        caller: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        let Some(arg) = function.values.get(next).and_then(|i| args.get(*i)) else {
            return self.run(&function.body, home, item, out);
        };
        self.run(arg, caller, Item::plain(item.value.clone()), &mut |m, value| {
            let env = home.with(Binding::Value(&value.value));
            m.call_values(function, args, next + 1, &env, caller, item.clone(), out)
        })
    }

    /// The first output of a node, when there is one.
    pub(super) fn first(&mut self, node: &Node, env: &Env<'_>, item: Item) -> Result<Option<Item>, Stop> {
        if node.single && item.path.is_none() {
            return self.one(node, env, item.value).map(|value| Some(Item::plain(value)));
        }
        let id = self.fresh_label();
        let mut found = None;
        match self.run(node, env, item, &mut |_, item| {
            found = Some(item);
            Err(Stop::Break(id))
        }) {
            Err(Stop::Break(other)) if other == id => Ok(found),
            done => done.map(|()| found),
        }
    }
}

fn variable(env: &Env<'_>, index: usize) -> Result<Value, Stop> {
    match env.nth(index).binding {
        Binding::Value(value) => Ok(value.clone()),
        _ => Err(bug()),
    }
}

pub(super) fn nothing(tracked: bool) -> Item {
    Item { value: Value::NULL, path: tracked.then(Rc::default) }
}
