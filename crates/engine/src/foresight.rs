//! What a forecast had to assume: which decisions of the flow hang on answers that nobody has yet.
//!
//! A forecast answers each effect with a stand-in whose every node is labelled [`Label::PREDICTED`]. The label travels
//! through expressions like any other, so what depends on an answer can be told from what does not. Where the flow
//! itself depends on one, the forecast notes it here: a condition is followed as the stand-in says, and a loop over a
//! stand-in has one iteration whose item is unknown. None of this happens in an execution: no answer has the label.

use std::collections::BTreeSet;
use std::sync::Arc;

use dsl::expr::Expr;
use dsl::plan::Task;
use model::{Data, Label, Value};

use crate::state::Execution;
use crate::tasks::TaskVar;

/// What was assumed, by JSON Pointer of the task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foresight {
    /// Tasks (`if`, `switch`, `while`) whose condition depends on a stand-in: the flow may go another way.
    pub guessed: BTreeSet<Arc<str>>,
    /// `for` tasks over a stand-in: nobody knows how many iterations there will be.
    pub loops: BTreeSet<Arc<str>>,
}

impl Execution {
    /// Notes that a condition of this task depends on a stand-in, when it does.
    pub(crate) fn foresee_condition(
        &mut self,
        task: &Task,
        condition: &Expr,
        data: &Value,
        var: Option<&TaskVar>,
    ) {
        if self.foresight.is_none() {
            return;
        }
        let scope = self.scope(data);
        let scope = match var {
            Some(var) => scope.with_task(var, task),
            None => scope,
        };
        // A condition that fails is raised by whoever tests it.
        let Ok(value) = scope.eval(condition, data) else { return };
        if value.label_of_all().predicted()
            && let Some(foresight) = &mut self.foresight
        {
            foresight.guessed.insert(Arc::clone(&task.pointer));
        }
    }

    /// The items of a `for`: one unknown item when they depend on a stand-in.
    pub(crate) fn foresee_items(&mut self, task: &Task, items: Value) -> Value {
        let Some(foresight) = self.foresight.as_mut().filter(|_| items.label_of_all().predicted()) else {
            return items;
        };
        foresight.loops.insert(Arc::clone(&task.pointer));
        let first = match &items.data {
            Data::Array(list) => list.first().cloned(),
            _ => None,
        };
        let item = first.unwrap_or(Value::NULL).with_label_everywhere(Label::PREDICTED);
        Value::labelled(Data::Array(Arc::new(vec![item])), Label::PREDICTED)
    }
}
