//! The state machine, driven by hand.

mod doubts;
mod driver;
mod effects;
mod flow;
mod limits;
mod snapshots;
