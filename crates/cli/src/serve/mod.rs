//! `serve` and `dev`: start a server, say what it accepts, and stop it in order.

pub(crate) mod logs;
mod memory;
pub(crate) mod wire;

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::Global;
use crate::config::{self, LogFormat, Settings};
use crate::exit::{Exit, Failure};
use crate::screen::{Screen, Tone, line};

/// Parts of a server; one machine runs all of them in one process.
const ROLES: &[&str] = &["gateway", "orchestrator", "worker"];
/// Parts that are planned.
const ROLES_PLANNED: &[&str] = &["hooks"];

/// `omnihub serve`
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Which parts run here: `gateway,orchestrator,worker`, all by default.
    #[arg(long, value_delimiter = ',')]
    roles: Vec<String>,
    /// Where executions are kept: `sqlite` (the data directory).
    #[arg(long, default_value = "sqlite", value_name = "STORE")]
    store: String,
    /// Print every key of the configuration and end.
    #[arg(long)]
    help_config: bool,
}

/// Starts a server with logs for machines, and runs until it is told to stop.
pub(crate) async fn serve(args: ServeArgs, global: &Global, screen: Screen) -> Result<(), Failure> {
    start(args, global, screen, None).await
}

/// Starts a server with logs for people, and says how to begin.
pub(crate) async fn dev(args: ServeArgs, global: &Global, screen: Screen) -> Result<(), Failure> {
    start(args, global, screen, Some(LogFormat::Human)).await
}

async fn start(
    args: ServeArgs,
    global: &Global,
    screen: Screen,
    format: Option<LogFormat>,
) -> Result<(), Failure> {
    if args.help_config {
        return line(config::reference().trim_end());
    }
    if model::sabotage::BUILT_IN {
        let detail = "this build has seeded bugs in it, each of which breaks a promise: it serves nobody";
        return Err(Failure::new(Exit::Failed, detail));
    }
    check_roles(&args.roles)?;
    check_store(&args.store)?;
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let mut settings = config::load(global.data_dir.as_deref(), &variables)?;
    if let Some(format) = format {
        settings.log.format = format;
    }
    if let Some(plan) = settings.crash {
        config::arm(plan)?;
    }
    logs::start(&settings.log)?;
    warn_of_plain_text(screen, &settings);
    let running = wire::start(&settings).await?;
    tracing::info!(address = %running.address, admin = %running.admin, token_file = %running.token_file.display(), "ready");
    if format.is_some() {
        begin(screen, &running);
    }
    told_to_stop().await?;
    screen.say("stopping: requests under way may end");
    running.stop().await
}

/// Unknown parts, and parts that cannot run apart yet, must not look obeyed.
fn check_roles(roles: &[String]) -> Result<(), Failure> {
    if let Some(planned) = roles.iter().find(|role| ROLES_PLANNED.contains(&role.as_str())) {
        return Err(Failure::not_built(&format!("the role `{planned}`")));
    }
    if let Some(unknown) = roles.iter().find(|role| !ROLES.contains(&role.as_str())) {
        let failure = Failure::usage(format!("there is no role `{unknown}`")).code("OH-5021");
        return Err(failure.hint(format!("the roles are {}", ROLES.join(", "))));
    }
    if !roles.is_empty() && !ROLES.iter().all(|role| roles.iter().any(|given| given == role)) {
        return Err(Failure::not_built("running only some of the roles in a process")
            .hint(format!("leave --roles out, or give all: {}", ROLES.join(","))));
    }
    Ok(())
}

fn check_store(store: &str) -> Result<(), Failure> {
    match store.split(':').next().unwrap_or_default() {
        "sqlite" if matches!(store, "sqlite" | "sqlite:") => Ok(()),
        "sqlite" => Err(Failure::usage(format!(
            "`{store}`: the place is given by --data-dir; write `--store sqlite`"
        ))
        .code("OH-5021")),
        "postgres" | "postgresql" => Err(Failure::not_built("the PostgreSQL store")),
        _ => Err(Failure::usage(format!("there is no store `{store}`; write `sqlite`")).code("OH-5021")),
    }
}

/// Tokens in plain text on a network are everybody's tokens.
fn warn_of_plain_text(screen: Screen, settings: &Settings) {
    for address in [settings.http.address, settings.admin] {
        if !address.ip().is_loopback() {
            let text =
                format!("warning: {address} is not loopback and speaks plain HTTP: put TLS in front of it");
            screen.say(screen.paint(Tone::Care, &text));
        }
    }
}

fn begin(screen: Screen, running: &wire::Running) {
    let address = format!("http://{}", running.address);
    screen.say(format!(
        "\n{}\n  console   {address}/console\n  token     {}\n  try       omnihub --address {address} workflows list\n  metrics   http://{}/metrics\n",
        screen.paint(Tone::Strong, "omnihub is ready"),
        running.token_file.display(),
        running.admin,
    ));
}

/// Returns at SIGINT or SIGTERM.
async fn told_to_stop() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Failure::internal(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended.map_err(failed),
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<(), Failure>) -> Option<String> {
        result.err().and_then(|failure| failure.code)
    }

    #[test]
    fn what_is_not_there_is_refused_with_a_code() {
        let roles = |text: &str| code(check_roles(&text.split(',').map(str::to_owned).collect::<Vec<_>>()));
        assert_eq!(code(check_roles(&[])), None);
        assert_eq!(roles("gateway,orchestrator,worker"), None);
        assert_eq!(roles("gateway"), Some("OH-2900".into()));
        assert_eq!(roles("gateway,orchestrator,worker,hooks"), Some("OH-2900".into()));
        assert_eq!(roles("janitor"), Some("OH-5021".into()));
        assert_eq!(code(check_store("sqlite")), None);
        assert_eq!(code(check_store("postgres://db/x")), Some("OH-2900".into()));
        assert_eq!(code(check_store("mongo")), Some("OH-5021".into()));
        assert_eq!(code(check_store("sqlite:///x")), Some("OH-5021".into()));
    }
}
