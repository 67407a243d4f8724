//! Log lines to stderr, as JSON or for people.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::config::wrong;
use crate::exit::Failure;

/// Starts logging for the whole process; once.
pub(crate) fn start(log: &crate::config::Log) -> Result<(), Failure> {
    // The level is ours; libraries below us only warn.
    let filter = EnvFilter::try_new(format!("{},hyper=warn,rustls=warn,h2=warn", log.level))
        .map_err(|error| wrong(format!("`log.level` is `{}`: {error}", log.level)))?;
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || !std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(!plain).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Human => builder.with_target(false).compact().try_init(),
    };
    started.map_err(|error| Failure::internal(format!("cannot start logging: {error}")))
}
