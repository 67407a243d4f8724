//! What black-box tests need: the real server as a process, an API client, and an outside that can be faulty.
//!
//! Everything listens on loopback, on ports that the machine picks, in directories that go away.

pub mod browser;
pub mod client;
pub mod feed;
pub mod greeter;
pub mod outside;
pub mod recorder;
pub mod server;
pub mod soak;
pub mod tools;

pub use browser::Driver;
pub use client::{Answer, Client};
pub use feed::Feed;
pub use greeter::{GREETER, Greeter};
pub use outside::{Fault, Outside};
pub use recorder::{Recorder, Reply, Seen};
pub use server::Server;
pub use tools::Tools;
