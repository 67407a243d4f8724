//! The store port in memory: what is durable, shared by all nodes, and what one node sees of it, faults included. And the
//! real SQLite, over files that a power cut may leave in any state.

mod disk;
mod keep;
mod port;
mod power;
mod sqlite;

pub use disk::{Disk, Kept, Stored};
pub use port::NodeStore;
pub use power::Power;
pub use sqlite::SqliteNode;
