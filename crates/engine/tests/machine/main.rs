//! The state machine, driven by hand.

mod driver;
mod doubts;
mod effects;
mod flow;
mod limits;
mod snapshots;
