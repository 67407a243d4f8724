//! How much the front door takes in. `cli` reads these from the configuration.

use std::time::Duration;

/// Limits of the front door. [`Settings::default`] suits one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Requests a second that one token may make in the long run.
    pub rate_per_second: u32,
    /// Requests that one token may make at once.
    pub rate_burst: u32,
    /// Connections at the most; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Requests at work at the most; more are answered 503.
    pub requests_max: usize,
    /// Event streams at the most.
    pub streams_max: usize,
    /// Event streams of one principal at the most.
    pub streams_per_principal_max: usize,
    /// Time for one request; waiting that the caller asked for comes on top.
    pub request_timeout: Duration,
    /// Longest waiting that a caller may ask for by `?wait=`.
    pub wait_max: Duration,
    /// Time in which a client must have sent the head of a request; idle connections are closed after it, too.
    pub head_timeout: Duration,
    /// Time for requests under way to end when the server stops.
    pub drain_timeout: Duration,
    /// Origins whose pages may call the API, for example `https://ops.example.com`. None: no other origin may.
    pub origins: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate_per_second: 500,
            rate_burst: 1_000,
            connections_max: 4_096,
            requests_max: 1_024,
            streams_max: 1_000,
            streams_per_principal_max: 16,
            request_timeout: Duration::from_secs(30),
            wait_max: Duration::from_secs(60),
            head_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
            origins: Vec::new(),
        }
    }
}
