//! The state machine, driven by hand.

mod driver;
mod effects;
mod flow;
mod snapshots;
