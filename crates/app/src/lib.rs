//! Every use case, once: authorize, judge, decide, commit one batch. The only writer of the store.
//!
//! A result from outside re-enters through [`App::report`], by the same door as every other input. Whether an
//! effect may happen is decided in one file, `permit`.

mod access;
pub mod admission;
mod apis;
mod app;
mod approvals;
mod audit_log;
mod batches;
pub mod caller;
mod catalogue;
mod compensation;
mod compiled;
mod condition;
mod controls;
mod dead_letters;
mod drill;
mod events;
mod executions;
mod family;
mod forecast;
mod goals;
mod health;
mod hot;
mod letters;
mod lifecycle;
pub mod limits;
mod machine;
pub mod operations;
mod overview;
mod payloads;
mod permit;
mod plans;
mod policies;
mod queries;
mod record;
mod rejected;
mod resolve;
pub mod retention;
mod rewind;
mod rows;
mod runner;
mod sabotaged;
mod schedule;
pub mod schedules;
mod signals;
mod snapshots;
mod standing;
mod stops;
mod time_keeper;
mod together;
mod unbroken;
mod updates;
mod verify;
pub mod view;
mod wire;
mod work;

pub use apis::{Fetch, FetchApi, Fetched, MayGo};
pub use app::{App, Parts, Settings, system_principal, system_tenant};
pub use caller::Caller;
pub use compiled::Compiled;
pub use condition::Test;
pub use controls::from_environment;
pub use drill::{DRILL_KIND, TRIALS_MAX};
/// What is fetched and kept of what is called, for whoever fetches and calls it.
pub use dsl::{Kind, Wanted, grpc, mcp};
pub use events::{EventAccepted, KeptEvent};
pub use lifecycle::Since;
pub use machine::{RandomIds, SteadyClock, SystemClock};
pub use stops::SEAL_KIND;
pub use verify::{Finding, Verification};
pub use wire::{Fate, Flight};
pub use work::{Connection, Place, Work, WorkReceiver};
