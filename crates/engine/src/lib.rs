//! The durable state machine: no clock, no I/O, no async, deterministic.
//!
//! A shell loads the history, calls [`step`] with an [`Input`], commits the events, and then performs what the
//! state asks for. [`Execution::apply`] cannot fail: everything that can go wrong inside a workflow is itself a
//! state. Tasks that touch nothing outside (`set`, `switch`, `for` …) are recomputed by `apply` and leave no event.

mod abandon;
mod apply;
mod arguments;
mod asking;
mod child;
mod decide;
mod effects;
mod emit;
mod errors;
mod flow;
mod foresight;
mod fork;
mod kept;
mod kept_aside;
pub mod lifecycle;
mod listen;
mod meter;
pub mod places;
mod request;
mod resolve;
mod returning;
mod rewind;
mod saga;
mod scope;
mod snapshot;
mod stands;
mod state;
mod tasks;
mod thread;
mod trace;
mod unwind;
mod updates;
mod verification;
mod wakeup;

pub use asking::{ANSWER_BYTES_MAX, Granted};
pub use decide::{Input, Judgement, Rejected, Step, step};
pub use foresight::Foresight;
pub use kept::Effects;
pub use listen::{Signalled, Subscription};
pub use resolve::{Resolution, Resolvable};
pub use rewind::{NoReturn, REWINDS_MAX, Rewinding};
pub use saga::{ArmedItem, Branch};
pub use snapshot::{Snapshot, SnapshotError};
pub use stands::{Stand, Waits};
pub use state::{Attempt, Effect, End, Execution, Phase, Status, Verification};
pub use trace::{TaskStatus, TraceEntry};
pub use unwind::Undone;
pub use updates::{UpdateAnswer, Updated};
pub use wakeup::WakeReason;

/// Transitions of one step at the most; a definition that loops for ever without an effect faults here.
pub const TRANSITIONS_MAX: u32 = 1_000_000;

/// Operations of all expressions of one step at the most: each has a budget of its own, and a loop evaluates many.
pub const EXPRESSION_STEPS_MAX: u64 = 50_000_000;

/// Bytes that all expressions of one step allocate at the most, alive or not.
pub const EXPRESSION_BYTES_MAX: u64 = 4 << 30;

/// Nested tasks at the most.
pub const DEPTH_MAX: usize = 256;

/// Effects of one execution at the most.
pub const EFFECTS_MAX: u32 = 1_000_000;

/// Branches of one execution that run at the same time, at the most.
pub const THREADS_MAX: usize = 10_000;

/// Executions of which each runs the next, at the most.
pub const FAMILY_DEPTH_MAX: usize = 16;

/// Executions that one execution runs at the most.
pub const CHILDREN_MAX: u32 = 10_000;

/// Entries on one compensation stack at the most.
pub const ARMED_MAX: usize = 100_000;

/// Retries of a `try` whose policy names no limit.
pub const TRY_RETRIES_MAX: u32 = 100;

/// Signals that wait in one inbox at the most; twice as many of a name that something listens for.
pub const INBOX_MAX: usize = 256;

/// Events that one step may publish.
pub const EMITTED_MAX: usize = 100;

/// Bytes of JSON of one event at the most.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Signals of one execution whose ids are remembered, so that the same one does not count twice.
pub const SIGNALS_REMEMBERED: usize = 10_000;

/// Updates that wait while another one is worked on, at the most.
pub const UPDATES_OPEN_MAX: usize = 100;

/// Updates whose answers are kept; of older ones it is known that they came.
pub const UPDATES_REMEMBERED: usize = 1_000;

/// Bytes of JSON of the answer to an update at the most.
pub const UPDATE_ANSWER_MAX: usize = 16 * 1024;

/// Events that one `listen` takes at the most.
pub const LISTENED_MAX: usize = 10_000;
