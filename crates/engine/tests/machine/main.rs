//! The state machine, driven by hand.

mod asking;
mod calls;
mod children;
mod doubts;
mod driver;
mod effects;
mod events;
mod flow;
mod foreach;
mod forks;
mod functions;
mod hazards;
mod lifecycle;
mod limits;
mod newer;
mod origins;
mod pending;
mod resolve;
mod rewind;
mod rewind_undo;
mod sagas;
mod signals;
mod snapshots;
mod updates;
mod words;
