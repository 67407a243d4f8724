//! Every key of the configuration: its name, what it holds, its default, and what it is for.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `host:port` with a numeric host.
    Address,
    /// A path; empty means none.
    Path,
    /// A list of texts; in the environment with commas.
    Texts,
    /// A list of networks such as `127.0.0.1/32`; in the environment with commas.
    Networks,
    /// A list of origins such as `https://console.example.com`.
    Origins,
    /// An ISO 8601 duration such as `PT1H`.
    Duration,
    /// A whole number between two bounds, both included.
    Number(u64, u64),
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Dotted, as in the file.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written in the environment.
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
}

impl Key {
    /// `http.address` is `OMNIHUB_HTTP__ADDRESS`.
    pub(crate) fn variable(&self) -> String {
        format!("OMNIHUB_{}", self.name.replace('.', "__").to_ascii_uppercase())
    }
}

const fn key(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key { name, kind, default, about }
}

/// The table, in the order of the reference.
pub(crate) const KEYS: &[Key] = &[
    key("data_dir", Kind::Path, "", "Where everything is kept. The user's place for data when empty."),
    key(
        "http.address",
        Kind::Address,
        "127.0.0.1:8420",
        "API and console. Put TLS in front of any address but loopback.",
    ),
    key(
        "http.origins",
        Kind::Origins,
        "",
        "Origins of other sites whose pages may call the API. None by default.",
    ),
    key("admin.address", Kind::Address, "127.0.0.1:8422", "Metrics and health, without a token."),
    key("log.format", Kind::Word(&["json", "human"]), "json", "How log lines are written (to stderr)."),
    key(
        "log.level",
        Kind::Word(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "The least important lines that are written.",
    ),
    key(
        "approvals.expires",
        Kind::Duration,
        "PT1H",
        "How long people have to decide; after it, the answer is no.",
    ),
    key(
        "plans.expires",
        Kind::Duration,
        "P1D",
        "How long a plan can be approved and run, and its effects started under it.",
    ),
    key(
        "events.max",
        Kind::Number(1, 10_000_000),
        "100000",
        "Events of one tenant that are kept; further ones from outside are refused. Each is kept for seven days.",
    ),
    key(
        "egress.allow",
        Kind::Texts,
        "",
        "Hosts that calls of workflows themselves may reach (`host`, `host:port`, `*.example.com`). Catalogued actions bring their own.",
    ),
    key(
        "egress.private",
        Kind::Networks,
        "",
        "Networks of private, loopback or link-local addresses that may be reached. None by default.",
    ),
    key("egress.extra_ca", Kind::Path, "", "A PEM file of further certificate authorities."),
    key("egress.connect_timeout", Kind::Duration, "PT5S", "How long opening one connection may take."),
    key("egress.timeout", Kind::Duration, "PT30S", "How long one request may take in all."),
    key("egress.body_bytes", Kind::Number(1_024, 1 << 30), "8388608", "Largest answer that is read."),
    key(
        "sandbox.required",
        Kind::Boolean,
        "true",
        "Do not start when this machine lacks a protection for programs. With `false` the server starts and refuses programs; `doctor` shows which protection.",
    ),
    key("sandbox.timeout", Kind::Duration, "PT5M", "How long one program may run."),
    key("sandbox.memory_bytes", Kind::Number(16 << 20, 1 << 40), "536870912", "Memory of one program."),
    key("sandbox.processes", Kind::Number(1, 4_096), "64", "Processes and threads of one program."),
    key(
        "sandbox.output_bytes",
        Kind::Number(1_024, 1 << 28),
        "1048576",
        "Output of one program that is kept, each of stdout and stderr.",
    ),
    key(
        "sandbox.tools",
        Kind::Texts,
        "",
        "Programs that tools (`call: mcp` over `stdio`) may be, and directories that they may read: absolute paths. None by default.",
    ),
    key(
        "containers.engine",
        Kind::Path,
        "",
        "The program that runs containers, an absolute path: `/usr/bin/podman` or `/usr/bin/docker`. None by default: `run: container` is refused.",
    ),
    key("limits.connections", Kind::Number(1, 1_000_000), "4096", "Connections at once."),
    key(
        "limits.requests",
        Kind::Number(1, 1_000_000),
        "1024",
        "Requests at once; more are refused with 503.",
    ),
    key("limits.rate", Kind::Number(1, 1_000_000), "500", "Requests a second of one token, on average."),
    key(
        "limits.burst",
        Kind::Number(1, 1_000_000),
        "1000",
        "Requests of one token at once, above the average.",
    ),
    key("limits.streams", Kind::Number(1, 100_000), "1000", "Live streams at once."),
    key("limits.effects", Kind::Number(1, 100_000), "64", "Effects that are performed at once."),
];
