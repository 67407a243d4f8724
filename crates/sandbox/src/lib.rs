//! Runs foreign programs with nothing but what they were given.
//!
//! A program gets a fresh directory, an empty environment, no network, no other files than the system's own
//! programs, and limits on time, processor, memory, processes, files and output. Each of these is a [`Control`];
//! [`Capabilities`] says by trying which of them this machine can hold, and [`Sandbox::new`] refuses to exist when
//! one is missing that the configuration does not expressly give up.
//!
//! How the process tree is held: the program is process 1 of its own PID namespace, so that its end, or its
//! keeper's end, or the end of this process, is the end of everything it ever started, whatever sessions and groups
//! were made. Started by root, it runs under a user id that nobody else has; started by anybody else, in a user
//! namespace of its own. Either way the kernel counts its processes apart, which makes the process limit hold.

mod capability;
mod confine;
mod container;
mod filter;
mod interpreter;
mod ruleset;
mod run;
mod spawn;
mod talk;
mod watch;
mod workspace;

pub use capability::{Capabilities, Control};
pub use container::{Engine, EngineConfig};
pub use run::{Killed, Limits, ProcessResult, Sandbox, SandboxConfig, SandboxError};
pub use talk::{Talk, TalkError};
