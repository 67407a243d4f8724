//! Cases of a workflow: what comes in, what the outside answers, and what must come of it, run by the real engine.
//!
//! Nothing is sent anywhere. The only stand-ins are the answers that a case gives; time goes forward by itself, as far as
//! the next thing that happens.

mod compare;
mod file;
mod play;
mod stage;

pub(crate) use compare::differences;
pub(crate) use file::{Case, File};
pub(crate) use play::play;
pub(crate) use stage::Stage;
