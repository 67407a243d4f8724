//! What the expressions of one step use together.
//!
//! Each expression has a budget of its own. A loop evaluates many of them in one step, and a step must end in time, so
//! that no definition starves the others.

use std::sync::atomic::{AtomicU64, Ordering};

use dsl::expr::Budget;

use crate::{EXPRESSION_BYTES_MAX, EXPRESSION_STEPS_MAX};

/// A counter that evaluations, which only look at the state, may move.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    steps: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    /// Counts what one evaluation used.
    pub(crate) fn count(&self, budget: &Budget) {
        self.steps.fetch_add(budget.steps_used(), Ordering::Relaxed);
        self.bytes.fetch_add(budget.bytes_used(), Ordering::Relaxed);
    }

    /// What is used up, when something is.
    pub(crate) fn spent(&self) -> Option<String> {
        if self.steps.load(Ordering::Relaxed) > EXPRESSION_STEPS_MAX {
            return Some(format!(
                "the expressions of one step took more than {EXPRESSION_STEPS_MAX} operations"
            ));
        }
        (self.bytes.load(Ordering::Relaxed) > EXPRESSION_BYTES_MAX)
            .then(|| format!("the expressions of one step allocated more than {EXPRESSION_BYTES_MAX} bytes"))
    }
}

impl Clone for Meter {
    fn clone(&self) -> Self {
        let copy = |counter: &AtomicU64| AtomicU64::new(counter.load(Ordering::Relaxed));
        Self { steps: copy(&self.steps), bytes: copy(&self.bytes) }
    }
}
