//! When an execution wants to be woken, and why.

use model::Timestamp;

use crate::state::{Doing, Execution, Frame, Phase, TryPhase};
use crate::thread::{Course, Thread};

/// Why something wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WakeReason {
    /// A `wait` ends.
    Wait,
    /// A `try` goes into its next round.
    Retry,
    /// An effect is attempted again.
    Backoff,
    /// An outcome is probed again, or given up.
    Probe,
    /// Nobody decided.
    ApprovalExpiry,
    /// A time-out of a task, an attempt or the workflow.
    Timeout,
}

impl Execution {
    /// The next moment at which time alone changes something. None while paused, in line or ended.
    pub fn next_wakeup(&self) -> Option<(Timestamp, WakeReason)> {
        if self.is_held() || self.pending || self.end.is_some() {
            return None;
        }
        let deadline = self.deadline().map(|at| (at, WakeReason::Timeout));
        // Until everything behind a point is undone, the flow's own time stands still.
        let returns = self.returning().is_some();
        self.all_threads()
            .filter(|_| !returns)
            .flat_map(|thread| thread.timed())
            .flat_map(frame_wakeups)
            .chain(self.open_effects().filter_map(|effect| phase_wakeup(&effect.phase)))
            .chain(deadline)
            .min()
    }

    /// True when a time limit struck that nobody applied yet.
    pub(crate) fn is_overdue(&self, now: Timestamp) -> bool {
        let struck = |(at, reason): (Timestamp, WakeReason)| at <= now && reason == WakeReason::Timeout;
        !self.is_held()
            && !self.pending
            && self.end.is_none()
            && self.returning().is_none()
            && (self.deadline().is_some_and(|at| at <= now)
                || self.all_threads().flat_map(|thread| thread.timed()).flat_map(frame_wakeups).any(struck))
    }

    /// The workflow's time limit, until it has struck or the execution stops for another reason: what is undone is
    /// undone to the end.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let root = self.all_threads().find(|thread| thread.id == crate::thread::ThreadId::ROOT);
        let stops = |course: &Course| match course {
            Course::Stopping(_) => true,
            Course::Unwinding(unwinding) => !unwinding.goes_on(),
            Course::Running | Course::Ended(_) | Course::Failed(_) | Course::Cancelled => false,
        };
        let returns = || self.all_threads().any(Thread::returns);
        self.started.deadline.filter(|_| !returns() && root.is_some_and(|root| !stops(&root.course)))
    }
}

fn frame_wakeups(frame: &Frame) -> impl Iterator<Item = (Timestamp, WakeReason)> {
    let (own, timeout) = match frame {
        Frame::List(_) => (None, None),
        Frame::Task(frame) => {
            let own = match &frame.doing {
                Doing::Wait { until } => Some((*until, WakeReason::Wait)),
                Doing::Try(trying) => match trying.phase {
                    TryPhase::Waiting { until } => Some((until, WakeReason::Retry)),
                    TryPhase::Body { deadline } => deadline.map(|at| (at, WakeReason::Timeout)),
                    TryPhase::Catching => None,
                },
                Doing::Do | Doing::For { .. } | Doing::Effect(_) | Doing::Fork(_) | Doing::Listen(_) => None,
            };
            (own, frame.deadline.map(|at| (at, WakeReason::Timeout)))
        }
    };
    own.into_iter().chain(timeout)
}

fn phase_wakeup(phase: &Phase) -> Option<(Timestamp, WakeReason)> {
    match phase {
        Phase::AwaitingApproval { expires_at } => Some((*expires_at, WakeReason::ApprovalExpiry)),
        Phase::Backoff { until } => Some((*until, WakeReason::Backoff)),
        Phase::Verifying(v) => match (v.probe, v.next_at) {
            (None, Some(at)) => Some((at, WakeReason::Probe)),
            _ => None,
        },
        Phase::Requested | Phase::Started | Phase::Parked { .. } | Phase::Denied | Phase::Settled => None,
    }
}
