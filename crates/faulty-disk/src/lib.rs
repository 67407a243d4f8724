//! A disk that can lose, tear, reorder and refuse, under the real store: what only a test wants.
//!
//! [`Disk`] stands between SQLite and the file system (as a layer that SQLite opens by name) and hears of every other
//! file that the store touches. It writes down each write, truncation, sync and change of a directory in order, and
//! refuses what a test tells it to. From what was written down, [`image`] makes directories as they could be found
//! after the power went off at any moment: what was synchronized is there, the rest is there, lost, torn, or out of order.
//!
//! Never shipped: nothing but tests and `cargo xtask disk` uses it.

pub mod dice;
pub mod disk;
pub mod flips;
pub mod house;
pub mod image;
mod layer;
pub mod power;
pub mod reading;
pub mod workload;

pub use dice::Dice;
pub use disk::{Act, Disk, Fault, On, Rule};
pub use layer::VFS;
