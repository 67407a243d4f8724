//! Errors on their way up the stack: which `try` catches, retries, or lets pass.

use std::time::Duration;

use dsl::plan::{Backoff, Retry, Task, TaskKind, Try};
use model::problem::WorkflowError;
use model::{Timestamp, Value};

use crate::TRY_RETRIES_MAX;
use crate::flow::Signal;
use crate::scope::{Scope, error_value};
use crate::state::{Doing, End, Execution, Frame, TryPhase, Trying};
use crate::unwind::After;

/// Longest delay between two rounds of a `try`.
const DELAY_MAX: Duration = Duration::from_secs(24 * 3600);

/// The kinds of errors that the language itself raises.
const STANDARD_KINDS: [&str; 8] = [
    "configuration",
    "validation",
    "expression",
    "authentication",
    "authorization",
    "timeout",
    "communication",
    "runtime",
];

/// What a `try` does with an error.
enum Handling {
    /// Lets it pass.
    Pass,
    /// Runs its body again after this time.
    Retry(Duration),
    /// Runs `catch.do`, or goes on when there is none.
    Catch,
}

/// An error was caught and dealt with: `catch.then` says where the flow goes, or else the task does.
pub(crate) fn caught(task: &Task, data: Value) -> Signal {
    match &task.kind {
        TaskKind::Try(Try { then: Some(then), .. }) => Signal::CompleteTo(data, *then),
        _ => Signal::Complete(data),
    }
}

impl Execution {
    /// Gives an error to the nearest `try` that catches it, or ends the execution.
    pub(crate) fn raise(&mut self, error: WorkflowError) -> Signal {
        self.raise_within(self.live.stack.len(), error)
    }

    /// As [`Execution::raise`], from the frame at `end` outwards. Nothing is dropped until some `try` catches.
    pub(crate) fn raise_within(&mut self, end: usize, mut error: WorkflowError) -> Signal {
        if error.instance.is_none() {
            error.instance = self.live.top_task().map(|frame| frame.task.pointer.to_string());
        }
        self.tell_error(&error);
        if let Some(signal) = self.stopped_first(&error, end, end) {
            return signal;
        }
        let mut value = error_value(&error);
        let mut end = end;
        while let Some(position) = self.live.stack[..end].iter().rposition(is_trying_body) {
            match self.handling(position, &error, &value) {
                Ok(Handling::Pass) => {}
                Ok(Handling::Retry(delay)) => {
                    self.fail_updates(position + 1, &error);
                    return self.retry(position, value, delay);
                }
                Ok(Handling::Catch) => {
                    self.fail_updates(position + 1, &error);
                    return self.catch(position, value);
                }
                // A `catch` that cannot be evaluated catches nothing: its own error goes on.
                Err(mut broken) => {
                    broken.instance = self.task_at(position).map(|frame| frame.task.pointer.to_string());
                    value = error_value(&broken);
                    error = broken;
                }
            }
            end = position;
        }
        self.fault(error)
    }

    /// Nothing caught an error: what the thread did is undone, and then the execution or the branch has failed. A
    /// branch that does not compete takes the others of its fork with it.
    pub(crate) fn fault(&mut self, error: WorkflowError) -> Signal {
        self.tell_error(&error);
        if self.in_root() {
            if let Some(Doing::Effect(number)) = self.live.top_task().map(|frame| &frame.doing) {
                let (number, now) = (*number, self.now);
                self.effect_mut(number).parked_at = Some(now);
            }
            return self.stop(After::Fault(error));
        }
        let (branch, parent) = (self.live.id, self.live.parent);
        self.fail_updates(0, &error);
        self.trace_faults();
        self.enter(parent);
        if self.competes() {
            self.enter(branch);
            return self.stop(After::Fault(error));
        }
        self.raise(error)
    }

    /// Ends the execution with an error. The stack stays, so that a retry can begin where it stopped.
    pub(crate) fn end_faulted(&mut self, error: WorkflowError) {
        self.trace_faults();
        if let Some(Doing::Effect(number)) = self.live.top_task().map(|frame| &frame.doing) {
            let (number, now) = (*number, self.now);
            self.effect_mut(number).parked_at = Some(now);
        }
        self.end = Some(End::Faulted(error));
    }

    /// True when the `try` that this error would come to, here or around the fork, has a retry policy of its own.
    pub(crate) fn author_retries(&mut self, error: &WorkflowError) -> bool {
        self.in_thread_or_around(|state, inside| {
            if inside && state.competes() {
                return Some(false);
            }
            state.nearest_retries(error)
        })
    }

    /// True when some `try` of this thread, or one around its fork, retries or catches this error. In a branch that
    /// competes, failing is a way to go on.
    pub(crate) fn caught(&mut self, error: &WorkflowError) -> bool {
        self.in_thread_or_around(|state, inside| {
            ((inside && state.competes()) || state.caught_here(error)).then_some(true)
        })
    }

    /// Asks the live thread, then those around it, until one answers. `inside` is true for those around.
    fn in_thread_or_around(&mut self, ask: impl Fn(&Self, bool) -> Option<bool>) -> bool {
        let here = self.live.id;
        let mut answer = ask(self, false);
        while answer.is_none() && !self.in_root() {
            let parent = self.live.parent;
            if !self.enter(parent) {
                break;
            }
            answer = ask(self, true);
        }
        self.enter(here);
        answer == Some(true)
    }

    /// Whether the nearest `try` of this thread that catches this error retries; none when there is no such `try`.
    fn nearest_retries(&self, error: &WorkflowError) -> Option<bool> {
        let value = error_value(error);
        let nearest = (0..self.live.stack.len()).rev().find(|position| {
            is_trying_body(&self.live.stack[*position]) && self.catches(*position, error, &value) == Ok(true)
        });
        nearest.and_then(|position| try_at(&self.live.stack[position])).map(|task| task.retry.is_some())
    }

    fn caught_here(&self, error: &WorkflowError) -> bool {
        let value = error_value(error);
        (0..self.live.stack.len()).any(|position| {
            is_trying_body(&self.live.stack[position])
                && self
                    .handling(position, error, &value)
                    .is_ok_and(|handling| !matches!(handling, Handling::Pass))
        })
    }

    /// Retry first; then `catch.do`. An error whose retries are spent and that nothing else handles is not swallowed.
    fn handling(
        &self,
        position: usize,
        error: &WorkflowError,
        value: &Value,
    ) -> Result<Handling, WorkflowError> {
        let Some(task) = try_at(&self.live.stack[position]) else { return Ok(Handling::Pass) };
        if !self.catches(position, error, value)? {
            return Ok(Handling::Pass);
        }
        if let Some(delay) = self.next_round(position, value)? {
            return Ok(Handling::Retry(delay));
        }
        let spent = task.retry.is_some() && task.catch.is_none() && task.then.is_none();
        Ok(if spent { Handling::Pass } else { Handling::Catch })
    }

    fn catches(&self, position: usize, error: &WorkflowError, value: &Value) -> Result<bool, WorkflowError> {
        let Some(task) = try_at(&self.live.stack[position]) else { return Ok(false) };
        if !task.errors.iter().all(|(member, expected)| member_matches(member, expected, error, value)) {
            return Ok(false);
        }
        let input = self.task_at(position).map_or(Value::NULL, |frame| frame.input.clone());
        let scope = self.scope_at(position, &input).with(&task.error_as, value);
        let when = task.when.as_ref().map_or(Ok(true), |when| scope.test(when, &input))?;
        let except = task.except_when.as_ref().map_or(Ok(false), |except| scope.test(except, &input))?;
        Ok(when && !except)
    }

    /// Goes back to the `try` at `position`, which waits and then runs its body again.
    fn retry(&mut self, position: usize, value: Value, delay: Duration) -> Signal {
        let now = self.now;
        let Some(trying) = self.back_to(position, value) else { return Signal::Blocked };
        trying.retries += 1;
        trying.phase = TryPhase::Waiting { until: now.plus(delay) };
        let visits = trying.visits.clone();
        self.live.visits = visits;
        if let Some(index) = self.live.top_task().and_then(|frame| frame.trace) {
            self.tell(index, crate::lifecycle::Turn::Retried);
        }
        if delay.is_zero() { self.begin_try_body() } else { Signal::Blocked }
    }

    /// Goes back to the `try` at `position` and runs its `catch.do`, if it has one.
    fn catch(&mut self, position: usize, value: Value) -> Signal {
        let Some(trying) = self.back_to(position, value) else { return Signal::Blocked };
        trying.phase = TryPhase::Catching;
        let Some(frame) = self.live.top_task() else { return Signal::Blocked };
        let input = frame.input.clone();
        let has_tasks = matches!(&frame.task.kind, TaskKind::Try(task) if task.catch.is_some());
        if has_tasks { self.enter_list(crate::state::Part::Catch, input) } else { caught(&frame.task, input) }
    }

    /// Drops everything above the `try` at `position`, and gives it the error.
    fn back_to(&mut self, position: usize, value: Value) -> Option<&mut Trying> {
        self.abandon_above(position);
        self.cut(position + 1);
        let Some(Frame::Task(frame)) = self.live.stack.last_mut() else { return None };
        let Doing::Try(trying) = &mut frame.doing else { return None };
        trying.error_var = value;
        Some(trying)
    }

    /// The delay before the next round; none when there is no further round.
    fn next_round(&self, position: usize, value: &Value) -> Result<Option<Duration>, WorkflowError> {
        let Frame::Task(frame) = &self.live.stack[position] else { return Ok(None) };
        let (TaskKind::Try(task), Doing::Try(trying)) = (&frame.task.kind, &frame.doing) else {
            return Ok(None);
        };
        let Some(retry) = &task.retry else { return Ok(None) };
        let scope = self.scope_at(position, &frame.input).with(&task.error_as, value);
        let wanted = retry.when.as_ref().map_or(Ok(true), |e| scope.test(e, &frame.input))?;
        let unwanted = retry.except_when.as_ref().map_or(Ok(false), |e| scope.test(e, &frame.input))?;
        if !wanted || unwanted || trying.retries >= retry.count.unwrap_or(TRY_RETRIES_MAX) {
            return Ok(None);
        }
        let number = trying.retries + 1;
        let jitter = self.jitter(&scope, retry, &frame.input, &frame.task.pointer, number)?;
        let delay = grown(scope.duration(&retry.delay, &frame.input)?, retry.backoff, number) + jitter;
        if let Some(limit) = &retry.limit {
            let limit = scope.duration(limit, &frame.input)?;
            if self.now.plus(delay) > trying.first_at.plus(limit) {
                return Ok(None);
            }
        }
        Ok(Some(delay))
    }

    /// Jitter is drawn from the execution's id, the task and the round, so that a replay draws the same.
    fn jitter(
        &self,
        scope: &Scope<'_>,
        retry: &Retry,
        input: &Value,
        pointer: &str,
        number: u32,
    ) -> Result<Duration, WorkflowError> {
        let Some((from, to)) = &retry.jitter else { return Ok(Duration::ZERO) };
        let (from, to) = (scope.duration(from, input)?, scope.duration(to, input)?);
        let digest = model::Digest::of(format!("{}|{pointer}|{number}", self.started.execution).as_bytes());
        let drawn = u64::from_be_bytes(digest.0[..8].try_into().unwrap_or_default());
        let span = u64::try_from(to.saturating_sub(from).as_millis()).unwrap_or(0).saturating_add(1);
        Ok(from + Duration::from_millis(drawn % span))
    }
}

/// The delay of round `number` (from 1).
fn grown(delay: Duration, backoff: Backoff, number: u32) -> Duration {
    let factor = match backoff {
        Backoff::Constant => 1,
        Backoff::Linear => number,
        Backoff::Exponential => 2u32.saturating_pow(number - 1),
    };
    delay.saturating_mul(factor).min(DELAY_MAX)
}

fn is_trying_body(frame: &Frame) -> bool {
    matches!(frame, Frame::Task(task) if matches!(&task.doing, Doing::Try(t) if matches!(t.phase, TryPhase::Body { .. })))
}

fn try_at(frame: &Frame) -> Option<&Try> {
    match frame {
        Frame::Task(task) => match &task.task.kind {
            TaskKind::Try(task) => Some(task),
            _ => None,
        },
        Frame::List(_) => None,
    }
}

fn member_matches(member: &str, expected: &Value, error: &WorkflowError, value: &Value) -> bool {
    match (member, expected.as_str()) {
        ("type", Some(kind)) => same_kind(kind, &error.kind),
        _ => value.get(member).unwrap_or(&Value::NULL) == expected,
    }
}

/// Two error types are the same when they are equal, or are published forms of one standard kind.
fn same_kind(a: &str, b: &str) -> bool {
    a == b || standard_kind(a).is_some_and(|kind| standard_kind(b) == Some(kind))
}

fn standard_kind(uri: &str) -> Option<&'static str> {
    if !(uri.contains("serverlessworkflow.io/") || uri.contains("openworkflow")) || !uri.contains("/errors/")
    {
        return None;
    }
    let last = uri.trim_end_matches('/').rsplit('/').next()?;
    STANDARD_KINDS.into_iter().find(|kind| *kind == last)
}

/// The end of a waiting round, for `apply`.
pub(crate) fn round_due(frame: &Frame, now: Timestamp) -> bool {
    matches!(frame, Frame::Task(task) if matches!(&task.doing, Doing::Try(t) if matches!(t.phase, TryPhase::Waiting { until } if until <= now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_forms_of_a_standard_kind_are_one() {
        let forms = [
            "https://serverlessworkflow.io/spec/1.0.0/errors/communication",
            "https://serverlessworkflow.io/dsl/errors/types/communication",
            "https://serverlessworkflow.io/errors/types/communication",
        ];
        for a in forms {
            for b in forms {
                assert!(same_kind(a, b), "{a} and {b}");
            }
            assert!(!same_kind(a, "https://serverlessworkflow.io/spec/1.0.0/errors/timeout"));
            assert!(!same_kind(a, "https://example.com/errors/communication"));
        }
    }

    #[test]
    fn delays_grow_as_the_policy_says() {
        let second = Duration::from_secs(1);
        let table = [
            (Backoff::Constant, [1, 1, 1, 1]),
            (Backoff::Linear, [1, 2, 3, 4]),
            (Backoff::Exponential, [1, 2, 4, 8]),
        ];
        for (backoff, expected) in table {
            let delays: Vec<u64> = (1..=4).map(|n| grown(second, backoff, n).as_secs()).collect();
            assert_eq!(delays, expected, "{backoff:?}");
        }
        assert_eq!(grown(second, Backoff::Exponential, 90), DELAY_MAX);
    }
}
