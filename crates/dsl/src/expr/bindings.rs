//! Bindings: `as`, destructuring, `reduce` and `foreach`.

use model::{Data, Value};

use super::ast::{Fold, Node, Pattern};
use super::error::Stop;
use super::machine::{Binding, Done, Env, Item, Machine, Out, bug, nothing};
use super::ops::deep_label;
use super::paths;

impl<'a> Machine<'a> {
    #[expect(
        clippy::too_many_arguments,
        reason = "the generator's state travels as arguments, so that nothing is allocated"
    )]
    pub(super) fn run_bind(
        &mut self,
        source: &Node,
        patterns: &[Pattern],
        slots: usize,
        body: &Node,
        env: &Env<'_>,
        item: Item,
        out: Out<'_, 'a>,
    ) -> Done {
        self.run(source, env, Item::plain(item.value.clone()), &mut |m, found| {
            let Some((last, before)) = patterns.split_last() else { return Err(bug()) };
            if before.is_empty() {
                return m.with_pattern(last, slots, &found.value, env, &mut |m, env| {
                    m.run(body, env, item.clone(), out)
                });
            }
            // Which pattern is taken depends on the value and on all that could have failed.
            let mut label = deep_label(&found.value, m.budget)?;
            for pattern in before {
                let mut later = false;
                let seen = std::mem::take(&mut m.seen);
                let done = m.with_pattern(pattern, slots, &found.value, env, &mut |m, env| {
                    m.run(body, env, item.clone(), &mut |m, mut result| {
                        let seen = m.seen;
                        m.decide(label.join(seen));
                        result.value.label = result.value.label.join(label).join(seen);
                        let done = out(m, result);
                        later = done.is_err();
                        m.seen = seen;
                        done
                    })
                });
                label = label.join(m.seen);
                m.seen = m.seen.join(seen);
                m.decide(label);
                match done {
                    Err(Stop::Raised(error)) if !later => label = label.join(deep_label(&error, m.budget)?),
                    done => return done,
                }
            }
            m.decide(label);
            m.with_pattern(last, slots, &found.value, env, &mut |m, env| {
                m.run(body, env, item.clone(), &mut |m, mut result| {
                    result.value.label = result.value.label.join(label);
                    out(m, result)
                })
            })
        })
    }

    /// Destructures a value and goes on in an environment that has the pattern's variables.
    pub(super) fn with_pattern(
        &mut self,
        pattern: &Pattern,
        slots: usize,
        value: &Value,
        env: &Env<'_>,
        go: &mut dyn FnMut(&mut Machine<'a>, &Env<'_>) -> Done,
    ) -> Done {
        if let (Pattern::Variable(0), 1) = (pattern, slots) {
            return go(self, &env.with(Binding::Value(value)));
        }
        let mut values = vec![Value::NULL; slots];
        self.destructure(pattern, value, env, &mut values)?;
        self.with_values(&values, env, go)
    }

    pub(super) fn with_values(
        &mut self,
        values: &[Value],
        env: &Env<'_>,
        go: &mut dyn FnMut(&mut Machine<'a>, &Env<'_>) -> Done,
    ) -> Done {
        self.budget.enter()?;
        let done = match values.split_first() {
            None => go(self, env),
            Some((first, rest)) => self.with_values(rest, &env.with(Binding::Value(first)), go),
        };
        self.budget.leave();
        done
    }

    pub(super) fn destructure(
        &mut self,
        pattern: &Pattern,
        value: &Value,
        env: &Env<'_>,
        values: &mut [Value],
    ) -> Done {
        match pattern {
            Pattern::Variable(slot) => {
                if let Some(place) = values.get_mut(*slot) {
                    *place = value.clone();
                }
                Ok(())
            }
            Pattern::Array(items) => {
                if !matches!(value.data, Data::Array(_) | Data::Null) {
                    return Err(Stop::raise(
                        format!("cannot index {} with number", value.kind()),
                        value.label,
                    ));
                }
                for (i, inner) in items.iter().enumerate() {
                    let key = Value::new(Data::Int(i64::try_from(i).unwrap_or(i64::MAX)));
                    let part = paths::index(value, &key, self.budget)?;
                    self.destructure(inner, &part, env, values)?;
                }
                Ok(())
            }
            Pattern::Object(members) => {
                for (key, slot, inner) in members {
                    let key = self.one(key, env, value.clone())?;
                    let part = paths::index(value, &key, self.budget)?;
                    if let Some(place) = slot.and_then(|slot| values.get_mut(slot)) {
                        *place = part.clone();
                    }
                    if let Some(inner) = inner {
                        self.destructure(inner, &part, env, values)?;
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn run_reduce(&mut self, fold: &Fold, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        let source = Item::plain(item.value.clone());
        self.run(&fold.init, env, item, &mut |m, state| {
            let tracked = state.path.is_some();
            let mut state = Some(state);
            let before = std::mem::take(&mut m.decided);
            let done = m.run(&fold.source, env, source.clone(), &mut |m, found| {
                let mut before = state.take();
                m.with_pattern(&fold.pattern, fold.slots, &found.value, env, &mut |m, env| {
                    let item = before.take().unwrap_or_else(|| nothing(tracked));
                    m.run(&fold.update, env, item, &mut |_, after| {
                        state = Some(after);
                        Ok(())
                    })
                })
            });
            // How often it went round, and whether an update gave nothing, shows in the end.
            let decided = std::mem::replace(&mut m.decided, before);
            if tracked || done.is_err() {
                m.decide(decided);
            }
            done?;
            let mut end = state.take().unwrap_or_else(|| nothing(tracked));
            end.value.label = end.value.label.join(decided);
            out(m, end)
        })
    }

    pub(super) fn run_foreach(&mut self, fold: &Fold, env: &Env<'_>, item: Item, out: Out<'_, 'a>) -> Done {
        let source = Item::plain(item.value.clone());
        self.run(&fold.init, env, item, &mut |m, state| {
            let mut state = state;
            m.run(&fold.source, env, source.clone(), &mut |m, found| {
                m.with_pattern(&fold.pattern, fold.slots, &found.value, env, &mut |m, env| {
                    let before = state.clone();
                    m.run(&fold.update, env, before, &mut |m, after| {
                        state = after.clone();
                        match &fold.extract {
                            Some(extract) => m.run(extract, env, after, out),
                            None => out(m, after),
                        }
                    })
                })
            })
        })
    }
}
