//! The simulator: the real application on one thread, from one seed, in a world where everything may fail.
//!
//! A seed draws a world: its faults, its goals, its people. The world runs the real `app` over a simulated disk, a
//! simulated outside and a clock that stands still until everybody waits, so the same seed always gives the same
//! history. After a while the world is healed and must come to rest; then the checker reads what is stored, what
//! happened outside and what people were told, and names every invariant that does not hold.

pub mod acks;
pub mod actors;
pub mod check;
pub mod clock;
pub mod crash_points;
pub mod director;
pub mod house;
pub mod marks;
pub mod node;
pub mod outside;
pub mod planner;
#[cfg(feature = "sabotage")]
pub mod prove;
pub mod random;
pub mod returns;
pub mod run;
pub mod seeds;
pub mod stops;
pub mod store;
pub mod swarm;
pub mod talk;
pub mod trace;
pub mod worker;
pub mod workloads;
pub mod world;
pub mod zombie;
