//! The commands, one file per group.

pub(crate) mod actions;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod connect;
pub(crate) mod controls;
mod controls_report;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod executions;
pub(crate) mod goals;
pub(crate) mod input;
pub(crate) mod limits;
pub(crate) mod login;
pub(crate) mod many;
pub(crate) mod plans;
pub(crate) mod policies;
mod reference;
pub(crate) mod retention;
pub(crate) mod returns;
pub(crate) mod schedules;
pub(crate) mod secrets;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod verify;
pub(crate) mod workflows;

use clap::{Args, CommandFactory as _};
use serde_json::Value as Json;

use crate::cli::{Cli, Command};
use crate::exit::Failure;
use crate::json::text;
use crate::screen::{Screen, Tone, line};
use crate::{demo, serve};

/// Runs one command line.
pub(crate) async fn run(arguments: Cli, screen: Screen) -> Result<(), Failure> {
    let global = arguments.global;
    let client = || connect::client(&global);
    match arguments.command {
        Command::Demo(args) => demo::run(args, &global, screen).await,
        Command::Dev(args) => serve::dev(args, &global, screen).await,
        Command::Serve(args) => serve::serve(args, &global, screen).await,
        Command::Plan(args) => goals::plan(&client()?, screen, args).await,
        Command::Run(args) => goals::run(&client()?, screen, args).await,
        Command::Executions(command) => executions::run(&client()?, screen, command).await,
        Command::Events(command) => events::run(&client()?, screen, command).await,
        Command::Plans(command) => plans::run(&client()?, screen, command).await,
        Command::Approvals(command) => approvals::run(&client()?, screen, command).await,
        Command::Controls(command) => controls::run(&global, screen, command).await,
        Command::Workflows(command) => workflows::run(&global, screen, command).await,
        Command::Actions(command) => actions::run(&client()?, screen, command).await,
        Command::Policies(command) => policies::run(&client()?, screen, command).await,
        Command::DeadLetters(command) => dead_letters::run(&client()?, screen, command).await,
        Command::Audit(command) => audit::run(&global, screen, command).await,
        Command::Limits(command) => limits::run(&client()?, screen, command).await,
        Command::Retention(command) => retention::run(&client()?, screen, command).await,
        Command::Schedules(schedules::Schedules::Next { pattern, zone, count }) => {
            schedules::next(screen, &pattern, &zone, count)
        }
        Command::Schedules(command) => schedules::run(&client()?, screen, command).await,
        Command::Tokens(command) => tokens::run(&client()?, screen, command).await,
        Command::Tenants(command) => tenants::run(&client()?, screen, command).await,
        Command::Secrets(command) => secrets::run(&client()?, screen, command).await,
        Command::Backup { .. } => Err(Failure::not_built("`backup`")
            .hint("stop the server and copy the whole data directory; check the copy with `omnihub audit verify DIR`")),
        Command::Verify(args) => verify::run(args, &global, screen).await,
        Command::Bench(args) => bench::run(args, screen).await,
        Command::Doctor(args) => doctor::run(args, &global, screen).await,
        Command::Login(args) => login::run(args, &global, screen).await,
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "omnihub", &mut std::io::stdout());
            Ok(())
        }
        Command::Version => version(screen),
        Command::DemoShop(args) => demo::shop::run(args).await,
        Command::Reference { what } => reference::run(&what),
    }
}

/// Pages of lists.
#[derive(Debug, Clone, Args)]
pub(crate) struct PageArgs {
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where an earlier page said to go on.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

impl PageArgs {
    /// The members of the query.
    pub(crate) fn query(&self) -> [(&'static str, Option<String>); 2] {
        [("limit", Some(self.limit.to_string())), ("cursor", self.cursor.clone())]
    }
}

/// Says where the next page begins.
pub(crate) fn say_next(screen: Screen, page: &Json) {
    let next = text(page, "/next");
    if !next.is_empty() {
        screen.say(screen.paint(Tone::Faint, &format!("there is more: --cursor {next}")));
    }
}

fn version(screen: Screen) -> Result<(), Failure> {
    let sqlite = rusqlite::version();
    let mut document = serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "sqlite": sqlite});
    let mut build = "";
    if crash::BUILT_IN {
        document["crash_points"] = true.into();
        build = " WITH CRASH POINTS, FOR TESTS ONLY";
    }
    if model::sabotage::BUILT_IN {
        document["seeded_bugs"] = true.into();
        build = " WITH SEEDED BUGS, FOR THE PROBER ONLY";
    }
    match screen.output {
        crate::screen::Output::Json => line(&document.to_string()),
        crate::screen::Output::Table => {
            line(&format!("omnihub {} (SQLite {sqlite}){build}", env!("CARGO_PKG_VERSION")))
        }
    }
}
