//! The store port in memory: what is durable, shared by all nodes, and what one node sees of it, faults included.

mod disk;
mod keep;
mod port;

pub use disk::{Disk, Kept, Stored};
pub use port::NodeStore;
