//! The plain data that every other crate speaks.
//!
//! Identifiers, labelled values, principals, contracts, effects, verdicts, approvals, controls, events and errors,
//! with one canonical encoding and one digest. Nothing here reads a clock, a file or a socket; time and
//! randomness come in as [`Clock`] and [`Ids`].

pub mod action;
pub mod approval;
pub mod call;
pub mod canonical;
pub mod compact;
pub mod control;
pub mod effect;
pub mod event;
pub mod family;
mod forward;
pub mod id;
pub mod placing;
pub mod principal;
pub mod problem;
pub mod sabotage;
pub mod stop;
pub mod time;
pub mod value;
pub mod verdict;

pub use action::{ActionRef, Contract, EffectClass, EffectKind};
pub use canonical::{Canonical, Digest, digest_of};
pub use effect::{Outcome, Request};
pub use event::{Event, EventBody};
pub use id::{ExecutionId, Ids, PrincipalId, TenantId};
pub use principal::Principal;
pub use problem::Problem;
pub use time::{Clock, Timestamp};
pub use value::{Data, Label, Value};
