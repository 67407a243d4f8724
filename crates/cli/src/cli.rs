//! The command line: one definition that feeds parsing, help, completion and `docs/guide/cli-reference.md`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    actions, approvals, audit, bench, controls, dead_letters, doctor, events, executions, goals, limits,
    login, plans, policies, retention, schedules, secrets, tenants, tokens, verify, workflows,
};
use crate::demo;
use crate::screen::Output;
use crate::serve;

/// From a goal to a verified outcome: durable execution in which no effect happens without a permit.
#[derive(Debug, Parser)]
#[command(name = "omnihub", version, propagate_version = true, max_term_width = 110, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 done            1 failed, or the answer is no   2 wrong command line or configuration
  3 not found       4 refused                       5 conflict (for example a stale digest)
  6 still waiting for an approval                   7 ended with an unknown outcome
  8 unreachable     70 internal error";

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// How to answer: for people, or the API's own JSON.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table, help_heading = "Global options")]
    pub(crate) output: Output,
    /// Write nothing but data and errors.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// The server, for example `http://127.0.0.1:8420`.
    #[arg(long, global = true, env = "OMNIHUB_ADDRESS", value_name = "URL", help_heading = "Global options")]
    pub(crate) address: Option<String>,
    /// A file that holds the API token (a token itself never belongs on a command line; use OMNIHUB_TOKEN).
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) token_file: Option<PathBuf>,
    /// The data directory of a server on this machine.
    #[arg(
        long,
        global = true,
        env = "OMNIHUB_DATA_DIR",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Everything `omnihub` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole way of one goal, with a little shop to act on.
    Demo(demo::DemoArgs),
    /// Start a server for one person at one machine, with logs for people.
    Dev(serve::ServeArgs),
    /// Start a server.
    Serve(serve::ServeArgs),
    /// Show what a goal would do, without doing it.
    Plan(goals::PlanArgs),
    /// Submit a goal.
    Run(goals::RunArgs),
    /// Look at executions and act on them.
    #[command(subcommand, visible_alias = "exec")]
    Executions(executions::Executions),
    /// Publish events and list those that came.
    #[command(subcommand)]
    Events(events::Events),
    /// Look at plans and decide them as a whole.
    #[command(subcommand)]
    Plans(plans::Plans),
    /// Decide what waits for a person.
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Stop, watch, take over and narrow.
    #[command(subcommand)]
    Controls(controls::Controls),
    /// Publish and look at workflows.
    #[command(subcommand)]
    Workflows(workflows::Workflows),
    /// Publish and look at actions and their contracts.
    #[command(subcommand)]
    Actions(actions::Actions),
    /// Manage and try policies.
    #[command(subcommand)]
    Policies(policies::Policies),
    /// Look at parked work and put it back to work.
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    /// Read, prove and verify the audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Limit how much runs at once and how often.
    #[command(subcommand)]
    Limits(limits::Limits),
    /// Say how long ended executions are kept.
    #[command(subcommand)]
    Retention(retention::Retention),
    /// Look at what begins by itself, pause it, resume it.
    #[command(subcommand)]
    Schedules(schedules::Schedules),
    /// Manage API tokens.
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    /// Manage tenants.
    #[command(subcommand)]
    Tenants(tenants::Tenants),
    /// Manage secrets that actions use by name.
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// Copy the data directory of a running server (planned).
    Backup {
        /// What to do: `create`, `restore` or `drill`.
        what: Option<String>,
    },
    /// Verify that everything that is stored agrees with the histories; exit code 1 when something does not.
    Verify(verify::VerifyArgs),
    /// Measure this machine and OmniHub on it.
    Bench(bench::BenchArgs),
    /// Say what is in force on this machine and what is not.
    Doctor(doctor::DoctorArgs),
    /// Remember a server's address and a token.
    Login(login::LoginArgs),
    /// Print a completion script for a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version,
    /// The shop of the demo, as a service of its own.
    #[command(hide = true)]
    DemoShop(demo::shop::ShopArgs),
    /// Print the reference of the command line, of the configuration or of the API.
    #[command(hide = true)]
    Reference {
        /// Which.
        #[arg(value_parser = ["cli", "configuration", "openapi"])]
        what: String,
    },
}
