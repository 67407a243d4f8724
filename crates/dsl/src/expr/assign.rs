//! Assignments: the paths that the left side names, and what is put there.

use std::rc::Rc;
use std::sync::Arc;

use model::{Data, Label, Value};

use super::ast::{Node, Op};
use super::error::Stop;
use super::machine::{Env, Item, Machine, chosen};
use super::ops::{self, NODE_BYTES, truthy};
use super::paths;

/// A path into a value: names and positions.
type Path = Rc<Vec<Value>>;

impl<'a> Machine<'a> {
    /// The paths of a node, in order, and what decided which.
    pub(super) fn paths_of(
        &mut self,
        node: &Node,
        env: &Env<'_>,
        input: Value,
    ) -> Result<(Vec<Path>, Label), Stop> {
        let mut found = Vec::new();
        let ((), label) = self.deciding(|m| {
            m.run(node, env, Item { value: input, path: Some(Rc::default()) }, &mut |m, item| {
                m.budget.output()?;
                m.budget.grow(NODE_BYTES)?;
                found.extend(item.path);
                Ok(())
            })
        })?;
        Ok((found, label))
    }

    pub(super) fn assign(
        &mut self,
        path: &Node,
        env: &Env<'_>,
        input: Value,
        new: Value,
    ) -> Result<Value, Stop> {
        let (found, label) = self.paths_of(path, env, input.clone())?;
        let root =
            found.iter().try_fold(input, |root, path| paths::set(root, path, new.clone(), self.budget));
        Ok(chosen(root?, label))
    }

    /// `|=`: the first output of the filter replaces the part; no output deletes it.
    pub(super) fn update(
        &mut self,
        path: &Node,
        filter: &Node,
        env: &Env<'_>,
        input: Value,
    ) -> Result<Value, Stop> {
        let (found, mut label) = self.paths_of(path, env, input.clone())?;
        let (mut root, mut gone) = (input, Vec::new());
        for path in found {
            let old = paths::get(&root, &path, self.budget)?;
            let (new, decided) = self.deciding(|m| m.first(filter, env, Item::plain(old)))?;
            label = label.join(decided);
            match new {
                Some(new) => root = paths::set(root, &path, new.value, self.budget)?,
                None => gone.push(Value::new(Data::Array(Arc::new(path.to_vec())))),
            }
        }
        if !gone.is_empty() {
            root = paths::delete_all(root, gone, self.budget)?;
        }
        Ok(chosen(root, label))
    }

    pub(super) fn update_with(
        &mut self,
        op: Option<Op>,
        path: &Node,
        env: &Env<'_>,
        input: Value,
        right: Value,
    ) -> Result<Value, Stop> {
        let (found, label) = self.paths_of(path, env, input.clone())?;
        let mut root = input;
        for path in found {
            let old = paths::get(&root, &path, self.budget)?;
            let new = match op {
                Some(op) => ops::binary(op, old, right.clone(), self.budget)?,
                None if truthy(&old) => old,
                None => chosen(right.clone(), old.label),
            };
            root = paths::set(root, &path, new, self.budget)?;
        }
        Ok(chosen(root, label))
    }
}
