//! Runs Gherkin scenarios of the workflow language against OmniHub, in several ways that must all agree.
//!
//! A *kit* is a folder of feature files in the vocabulary of the specification's conformance kit, and a few steps more
//! (see [`step`]). Each scenario can run:
//!
//! - **in process**: the real application, store, worker and door in this process;
//! - **in the binary**: the released program as a process of its own, through its HTTP API;
//! - **crashing**: in process once for every commit of the history, with a crash right after that commit is durable and
//!   a new start on the same directory; and, for each of these histories, a replay from its beginning and from a
//!   snapshot after every single event.
//!
//! The outside is a stand-in on loopback behind TLS, reached through the real door.

pub mod crash;
pub mod house;
pub mod inside;
pub mod kit;
pub mod outside;
pub mod replay;
pub mod run;
pub mod scenario;
pub mod served;
pub mod step;
