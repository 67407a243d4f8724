//! The built-in functions that take filters: loops without recursion, limits, paths, ranges.

use std::rc::Rc;
use std::sync::Arc;

use model::{Data, Label, Value};

use super::ast::Node;
use super::error::Stop;
use super::json::brief;
use super::machine::{Done, Env, Item, Machine, Out};
use super::native::Native;
use super::ops::{self, NODE_BYTES, as_f64, deep_label, truthy};
use super::paths;

impl<'a> Machine<'a> {
    pub(super) fn run_native(
        &mut self,
        native: Native,
        args: &[Node],
        env: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        match (native, args) {
            (Native::Empty, _) => Ok(()),
            (Native::Recurse, _) => self.recurse(None, env, item, out),
            (Native::RecurseWith, [step]) => self.recurse(Some(step), env, item, out),
            (Native::First, [body]) => match self.first(body, env, item)? {
                Some(found) => out(self, found),
                None => Ok(()),
            },
            (Native::Limit, [count, body]) => self.limit(count, body, env, item, out),
            (Native::Until, [condition, step]) => self.looped(condition, step, false, env, item, out),
            (Native::While, [condition, step]) => self.looped(condition, step, true, env, item, out),
            (Native::Repeat, [step]) => self.repeat(step, env, item, out),
            (Native::Getpath, [path]) if item.path.is_some() => self.getpath(path, env, item, out),
            (Native::Error | Native::ErrorWith, _) => {
                self.with_args(native, args, env, &Item::plain(item.value), &mut Vec::new(), out)
            }
            _ if item.path.is_some() => {
                let plain = Item::plain(item.value);
                self.run_native(native, args, env, plain, &mut |_, result| {
                    let text = format!("invalid path expression with result {}", brief(&result.value));
                    Err(Stop::raise(text, result.value.label))
                })
            }
            (Native::Path, [body]) => self.path(body, env, item, out),
            (Native::Range, _) => self.range(args, &mut Vec::new(), env, &item.value, out),
            (Native::Any, [source, condition]) => self.quantify(source, condition, true, env, item, out),
            (Native::All, [source, condition]) => self.quantify(source, condition, false, env, item, out),
            _ => self.with_args(native, args, env, &item, &mut Vec::new(), out),
        }
    }

    /// A function of values for every combination of its arguments.
    fn with_args(
        &mut self,
        native: Native,
        args: &[Node],
        env: &Env<'_>,
        input: &Item,
        values: &mut Vec<Value>,
        out: Out<'_, 'a>,
    ) -> Done {
        let Some((last, before)) = args.split_last() else {
            let given: Vec<Value> = values.iter().rev().cloned().collect();
            let value = self.native(native, input.value.clone(), &given)?;
            return out(self, Item::plain(value));
        };
        self.run(last, env, Item::plain(input.value.clone()), &mut |m, arg| {
            values.push(arg.value);
            let done = m.with_args(native, before, env, input, values, out);
            values.pop();
            done
        })
    }

    fn path(&mut self, body: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        self.run(body, env, Item { value: item.value, path: Some(Rc::default()) }, &mut |m, found| {
            let keys = found.path.map(|p| p.to_vec()).unwrap_or_default();
            m.budget.grow((keys.len() + 1) * NODE_BYTES)?;
            for key in &keys {
                ops::check_member(key, 1, m.budget)?;
            }
            let label = m.decided;
            out(m, Item::plain(Value { data: Data::Array(Arc::new(keys)), label }))
        })
    }

    fn getpath(&mut self, path: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        self.run(path, env, Item::plain(item.value.clone()), &mut |m, found| {
            let Data::Array(keys) = &found.value.data else {
                return Err(Stop::raise("getpath needs an array as its path", found.value.label));
            };
            m.decide(found.value.label);
            let mut at = item.clone();
            for key in keys.iter() {
                let value = paths::index(&at.value, key, m.budget)?;
                let path = m.longer(&at.path, || key.clone())?;
                at = Item { value, path };
            }
            out(m, at)
        })
    }

    /// Depth first without recursion: what is still to be visited waits on a stack, newest last.
    fn recurse(&mut self, step: Option<&Node>, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        let mut waiting = vec![item];
        while let Some(item) = waiting.pop() {
            self.budget.step(1)?;
            // A value that could have been a container would have given more.
            self.decide(item.value.label);
            let start = waiting.len();
            match step {
                None if !matches!(item.value.data, Data::Array(_) | Data::Object(_)) => {}
                None => self.each(&item, &mut |m, part| m.wait(&mut waiting, part))?,
                Some(_) => {}
            }
            out(self, item.clone())?;
            if let Some(step) = step {
                self.run(step, env, item, &mut |m, part| m.wait(&mut waiting, part))?;
            }
            waiting[start..].reverse();
        }
        Ok(())
    }

    fn wait(&mut self, waiting: &mut Vec<Item>, item: Item) -> Done {
        self.budget.grow(NODE_BYTES)?;
        waiting.push(item);
        Ok(())
    }

    fn repeat(&mut self, step: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        self.recurse(Some(step), env, item, out)
    }

    /// `until` gives what first meets the condition; `while` gives what does, on the way.
    fn looped(
        &mut self,
        condition: &Node,
        step: &Node,
        going: bool,
        env: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        let mut waiting = vec![item];
        while let Some(item) = waiting.pop() {
            self.budget.step(1)?;
            let verdict = self.one(condition, env, item.value.clone())?;
            let label = deep_label(&verdict, self.budget)?;
            let holds = truthy(&verdict);
            self.decide(label);
            // What holds is shown: `while` then goes on, `until` has arrived.
            let go_on = holds == going;
            if holds {
                let mut shown = item.clone();
                shown.value.label = shown.value.label.join(label);
                out(self, shown)?;
            }
            if go_on {
                let start = waiting.len();
                self.run(step, env, item, &mut |m, mut part| {
                    part.value.label = part.value.label.join(label);
                    m.wait(&mut waiting, part)
                })?;
                waiting[start..].reverse();
            }
        }
        Ok(())
    }

    fn limit(&mut self, count: &Node, body: &Node, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        self.run(count, env, Item::plain(item.value.clone()), &mut |m, count| {
            let Some(mut left) = ops::as_int(&count.value.data) else {
                return Err(Stop::raise("limit needs a number", count.value.label));
            };
            m.decide(count.value.label);
            if left <= 0 {
                return Ok(());
            }
            let id = m.fresh_label();
            match m.run(body, env, item.clone(), &mut |m, mut found| {
                left -= 1;
                found.value.label = found.value.label.join(count.value.label);
                out(m, found)?;
                if left == 0 { Err(Stop::Break(id)) } else { Ok(()) }
            }) {
                Err(Stop::Break(other)) if other == id => Ok(()),
                done => done,
            }
        })
    }

    fn quantify(
        &mut self,
        source: &Node,
        condition: &Node,
        decides: bool,
        env: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        let id = self.fresh_label();
        let mut label = item.value.label;
        let before = std::mem::take(&mut self.decided);
        let mut verdict = !decides;
        let done = self.run(source, env, item, &mut |m, found| {
            m.run(condition, env, found, &mut |m, answer| {
                label = label.join(deep_label(&answer.value, m.budget)?);
                if truthy(&answer.value) == decides {
                    verdict = decides;
                    return Err(Stop::Break(id));
                }
                Ok(())
            })
        });
        let decided = std::mem::replace(&mut self.decided, before);
        match done {
            Err(Stop::Break(other)) if other == id => {}
            done => {
                self.decide(decided);
                done?;
                self.decided = before;
            }
        }
        out(self, Item::plain(Value { data: Data::Bool(verdict), label: label.join(decided) }))
    }

    fn range(
        &mut self,
        args: &[Node],
        values: &mut Vec<Value>,
        env: &Env<'_>,
        input: &Value,
        out: Out<'_, 'a>,
    ) -> Done {
        let Some((first, rest)) = args.split_first() else {
            let label = values.iter().fold(Label::DEFINITION, |l, v| l.join(v.label));
            let numbers: Option<Vec<f64>> = values.iter().map(|v| as_f64(&v.data)).collect();
            let (from, to, by) = match numbers.as_deref() {
                Some([to]) => (0.0, *to, 1.0),
                Some([from, to]) => (*from, *to, 1.0),
                Some([from, to, by]) => (*from, *to, *by),
                _ => return Err(Stop::raise("range needs numbers", label)),
            };
            return self.count(from, to, by, label, out);
        };
        self.run(first, env, Item::plain(input.clone()), &mut |m, value| {
            values.push(value.value);
            let done = m.range(rest, values, env, input, out);
            values.pop();
            done
        })
    }

    fn count(&mut self, from: f64, to: f64, by: f64, label: Label, out: Out<'_, 'a>) -> Done {
        self.decide(label);
        let mut at = from;
        while (by > 0.0 && at < to) || (by < 0.0 && at > to) || (by == 0.0 && at < to) {
            self.budget.step(1)?;
            out(self, Item::plain(Value { data: ops::number(at), label }))?;
            at += by;
        }
        Ok(())
    }
}
