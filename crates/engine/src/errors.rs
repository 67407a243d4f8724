//! Errors on their way up the stack: which `try` catches, retries, or lets pass.

use std::time::Duration;

use dsl::plan::{Backoff, Retry, TaskKind, Try};
use model::problem::WorkflowError;
use model::{Timestamp, Value};

use crate::TRY_RETRIES_MAX;
use crate::flow::Signal;
use crate::scope::error_value;
use crate::state::{Doing, End, Execution, Frame, TryPhase};

/// Longest delay between two rounds of a `try`.
const DELAY_MAX: Duration = Duration::from_secs(24 * 3600);

/// The kinds of errors that the language itself raises.
const STANDARD_KINDS: [&str; 8] = [
    "configuration", "validation", "expression", "authentication", "authorization", "timeout", "communication", "runtime",
];

impl Execution {
    /// Gives an error to the nearest `try` that catches it, or ends the execution.
    pub(crate) fn raise(&mut self, mut error: WorkflowError) -> Signal {
        if error.instance.is_none() {
            error.instance = self.top_task().map(|frame| frame.task.pointer.to_string());
        }
        let value = error_value(&error);
        let mut at = self.stack.len();
        while let Some(position) = self.stack[..at].iter().rposition(is_trying_body) {
            match self.catches(position, &error, &value) {
                Ok(true) => return self.catch(position, value),
                Ok(false) => at = position,
                Err(broken) => return self.raise_from(position, broken),
            }
        }
        self.fault(error)
    }

    /// Ends the execution with an error. The stack stays, so that a retry can begin where it stopped.
    pub(crate) fn fault(&mut self, error: WorkflowError) -> Signal {
        self.trace_faults();
        if let Some(Doing::Effect(number)) = self.top_task().map(|frame| &frame.doing) {
            let (number, now) = (*number, self.now);
            self.effect_mut(number).parked_at = Some(now);
        }
        self.end = Some(End::Faulted(error));
        Signal::Blocked
    }

    /// True when some `try` on the stack would retry this error by a policy of its own.
    pub(crate) fn author_retries(&self, error: &WorkflowError) -> bool {
        let value = error_value(error);
        self.stack.iter().enumerate().any(|(position, frame)| {
            is_trying_body(frame)
                && try_at(frame).is_some_and(|task| task.retry.is_some())
                && self.catches(position, error, &value) == Ok(true)
        })
    }

    /// True when some `try` on the stack catches this error.
    pub(crate) fn caught(&self, error: &WorkflowError) -> bool {
        let value = error_value(error);
        (0..self.stack.len())
            .any(|position| is_trying_body(&self.stack[position]) && self.catches(position, error, &value) == Ok(true))
    }

    fn raise_from(&mut self, position: usize, error: WorkflowError) -> Signal {
        self.cut(position);
        self.raise(error)
    }

    fn catches(&self, position: usize, error: &WorkflowError, value: &Value) -> Result<bool, WorkflowError> {
        let Some(task) = try_at(&self.stack[position]) else { return Ok(false) };
        if !task.errors.iter().all(|(member, expected)| member_matches(member, expected, error, value)) {
            return Ok(false);
        }
        let input = self.task_at(position).map_or(Value::NULL, |frame| frame.input.clone());
        let scope = self.scope(&input).with(&task.error_as, value);
        let when = task.when.as_ref().map_or(Ok(true), |when| scope.test(when, &input))?;
        let except = task.except_when.as_ref().map_or(Ok(false), |except| scope.test(except, &input))?;
        Ok(when && !except)
    }

    fn catch(&mut self, position: usize, value: Value) -> Signal {
        let round = match self.next_round(position, &value) {
            Ok(round) => round,
            Err(broken) => return self.raise_from(position, broken),
        };
        self.abandon_above(position);
        self.cut(position + 1);
        let now = self.now;
        let Some(Frame::Task(frame)) = self.stack.last_mut() else { return Signal::Blocked };
        let Doing::Try(trying) = &mut frame.doing else { return Signal::Blocked };
        trying.error_var = value;
        match round {
            Some(delay) => {
                trying.retries += 1;
                self.visits = trying.visits.clone();
                trying.phase = TryPhase::Waiting { until: now.plus(delay) };
                if delay.is_zero() { self.begin_try_body() } else { Signal::Blocked }
            }
            None => {
                let TaskKind::Try(task) = &frame.task.kind else { return Signal::Blocked };
                trying.phase = TryPhase::Catching;
                let input = frame.input.clone();
                if task.catch.is_some() { self.enter_list(crate::state::Part::Catch, input) } else { Signal::Complete(input) }
            }
        }
    }

    /// The delay before the next round; none when there is no further round.
    fn next_round(&self, position: usize, value: &Value) -> Result<Option<Duration>, WorkflowError> {
        let Frame::Task(frame) = &self.stack[position] else { return Ok(None) };
        let (TaskKind::Try(task), Doing::Try(trying)) = (&frame.task.kind, &frame.doing) else { return Ok(None) };
        let Some(retry) = &task.retry else { return Ok(None) };
        let scope = self.scope(&frame.input).with(&task.error_as, value);
        let wanted = retry.when.as_ref().map_or(Ok(true), |e| scope.test(e, &frame.input))?;
        let unwanted = retry.except_when.as_ref().map_or(Ok(false), |e| scope.test(e, &frame.input))?;
        if !wanted || unwanted || trying.retries >= retry.count.unwrap_or(TRY_RETRIES_MAX) {
            return Ok(None);
        }
        let number = trying.retries + 1;
        let delay = grown(scope.duration(&retry.delay, &frame.input)?, retry.backoff, number)
            + self.jitter(retry, &frame.input, &frame.task.pointer, number)?;
        if let Some(limit) = &retry.limit {
            let limit = scope.duration(limit, &frame.input)?;
            if self.now.plus(delay) > trying.first_at.plus(limit) {
                return Ok(None);
            }
        }
        Ok(Some(delay))
    }

    /// Jitter is drawn from the execution's id, the task and the round, so that a replay draws the same.
    fn jitter(&self, retry: &Retry, input: &Value, pointer: &str, number: u32) -> Result<Duration, WorkflowError> {
        let Some((from, to)) = &retry.jitter else { return Ok(Duration::ZERO) };
        let scope = self.scope(input);
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
    if !(uri.contains("serverlessworkflow.io/") || uri.contains("openworkflow")) || !uri.contains("/errors/") {
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
        let table = [(Backoff::Constant, [1, 1, 1, 1]), (Backoff::Linear, [1, 2, 3, 4]), (Backoff::Exponential, [1, 2, 4, 8])];
        for (backoff, expected) in table {
            let delays: Vec<u64> = (1..=4).map(|n| grown(second, backoff, n).as_secs()).collect();
            assert_eq!(delays, expected, "{backoff:?}");
        }
        assert_eq!(grown(second, Backoff::Exponential, 90), DELAY_MAX);
    }
}
