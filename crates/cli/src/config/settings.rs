//! The configuration as a value: typed, checked, complete.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) http: Http,
    pub(crate) admin: SocketAddr,
    pub(crate) log: Log,
    /// Time in which people must decide.
    pub(crate) approvals_expire: Duration,
    /// Time in which a plan can be approved and run.
    pub(crate) plans_expire: Duration,
    /// Events of one tenant that are kept.
    pub(crate) events_max: u64,
    pub(crate) egress: Egress,
    pub(crate) sandbox: Sandbox,
    pub(crate) containers: Containers,
    pub(crate) limits: Limits,
    /// Controls that the environment holds, by name, with their operations when it is the allow-list.
    pub(crate) controls: Vec<HeldControl>,
    /// Where the process is to crash; only in a build for tests.
    pub(crate) crash: Option<crash::Plan>,
}

/// API and console.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    pub(crate) origins: Vec<String>,
}

/// Logs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    /// `error warn info debug trace`
    pub(crate) level: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Json,
    Human,
}

/// The way to the outside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Egress {
    pub(crate) allow: Vec<String>,
    pub(crate) private: Vec<IpNet>,
    pub(crate) extra_ca: Option<PathBuf>,
    pub(crate) connect_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) body_bytes: u64,
}

/// Programs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sandbox {
    pub(crate) required: bool,
    pub(crate) timeout: Duration,
    pub(crate) memory_bytes: u64,
    pub(crate) processes: u64,
    pub(crate) output_bytes: u64,
    pub(crate) tools: Vec<PathBuf>,
}

/// Containers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Containers {
    /// The engine's program; none when no container is run.
    pub(crate) engine: Option<PathBuf>,
    /// What the engine's program needs of this process's environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// What one machine lets itself be asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limits {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    pub(crate) rate: u64,
    pub(crate) burst: u64,
    pub(crate) streams: u64,
    pub(crate) effects: u64,
}

/// A control that the environment sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldControl {
    pub(crate) name: model::control::ControlName,
    pub(crate) on: bool,
    pub(crate) operations: Vec<String>,
}
