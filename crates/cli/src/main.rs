//! The one binary `omnihub`: configuration, wiring, `serve`, the demo, and the client commands.

mod bench;
mod cases;
mod cli;
mod client;
mod commands;
mod config;
mod demo;
mod exit;
mod json;
mod screen;
mod serve;
mod view;

use std::process::ExitCode;

use clap::Parser as _;

use crate::exit::{Exit, Failure};
use crate::screen::{Output, Screen};

/// Every step makes and drops hundreds of small things.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    let screen = Screen::new(arguments.global.output, arguments.global.quiet);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(screen, &Failure::internal(format!("cannot start the runtime: {error}"))),
    };
    // The main thread itself waits: a child that dies with its parent dies with the thread that started it.
    match runtime.block_on(commands::run(arguments, screen)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(screen, &failure),
    }
}

/// Tells why, on stderr, and answers the exit code.
fn tell(screen: Screen, failure: &Failure) -> ExitCode {
    if screen.output == Output::Json {
        let own =
            serde_json::json!({"code": failure.code, "detail": failure.message, "hints": failure.hints});
        eprintln!("{}", screen::clean(&failure.problem.clone().unwrap_or(own).to_string()));
    } else if !failure.message.is_empty() {
        eprintln!("omnihub: {}", screen::clean(&failure.to_string()));
        for hint in &failure.hints {
            eprintln!("  {}", screen::clean(hint));
        }
        if failure.exit == Exit::Usage {
            eprintln!("  see `omnihub --help`");
        }
    }
    ExitCode::from(failure.exit as u8)
}
