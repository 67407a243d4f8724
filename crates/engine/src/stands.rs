//! Where an execution stands: one place for each thread that has not ended.

use std::sync::Arc;

use model::Timestamp;
use model::effect::EffectNumber;

use crate::listen::open_names;
use crate::state::{Doing, Execution, Frame, TryPhase};
use crate::tasks::kind_name;

/// The task at which a thread stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// JSON Pointer of the branch; none for the workflow's own tasks.
    pub branch: Option<Arc<str>>,
    /// JSON Pointer of the task.
    pub task: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its keyword.
    pub kind: &'static str,
    /// When it began.
    pub since: Timestamp,
    /// What it waits for.
    pub waits: Waits,
    /// When its own time limit strikes.
    pub deadline: Option<Timestamp>,
}

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// Time.
    Timer(Timestamp),
    /// The next round of a `try`.
    Retry(Timestamp),
    /// An effect.
    Effect(EffectNumber),
    /// Its branches.
    Branches,
    /// Signals of these names.
    Signals(Vec<String>),
    /// Nothing: what it did is being undone.
    Nothing,
}

impl Execution {
    /// Where it stands, the workflow's own tasks first; empty in line and at the end.
    pub fn stands(&self) -> Vec<Stand> {
        if self.end.is_some() {
            return Vec::new();
        }
        let mut threads: Vec<_> = self.all_threads().filter(|thread| !thread.is_settled()).collect();
        threads.sort_unstable_by_key(|thread| thread.id);
        let stand = |thread: &&crate::thread::Thread| {
            let frame = thread.top_task()?;
            let running = matches!(thread.course, crate::thread::Course::Running);
            Some(Stand {
                branch: self.branch_task(thread),
                task: Arc::clone(&frame.task.pointer),
                name: Arc::clone(&frame.task.name),
                kind: kind_name(&frame.task.kind),
                since: frame.begun_at,
                waits: if running { waits(thread.stack.last()) } else { Waits::Nothing },
                deadline: frame.deadline,
            })
        };
        threads.iter().filter_map(stand).collect()
    }
}

fn waits(top: Option<&Frame>) -> Waits {
    let Some(Frame::Task(frame)) = top else { return Waits::Nothing };
    match &frame.doing {
        Doing::Wait { until } => Waits::Timer(*until),
        Doing::Effect(number) => Waits::Effect(*number),
        Doing::Fork(_) => Waits::Branches,
        Doing::Listen(listening) => Waits::Signals(open_names(listening, &frame.task)),
        Doing::Try(trying) => match trying.phase {
            TryPhase::Waiting { until } => Waits::Retry(until),
            TryPhase::Body { .. } | TryPhase::Catching => Waits::Nothing,
        },
        Doing::Do | Doing::For { .. } => Waits::Nothing,
    }
}
