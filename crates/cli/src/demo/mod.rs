//! `demo`: the whole way of one goal, on this machine, against a little shop.

mod flow;
pub(crate) mod house;
pub(crate) mod shop;
mod stage;

use clap::Args;

use crate::cli::Global;
use crate::exit::Failure;
use crate::screen::Screen;
use shop::Fault;

/// The goal of the demo.
const GOAL: &str = "refund order 1042, 25.00 EUR, the cup arrived broken";

/// `omnihub demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Answer what waits for a person as a second person, with an own principal and token.
    #[arg(long, short = 'y')]
    yes: bool,
    /// End when the goal has ended; otherwise the console stays open until Ctrl-C.
    #[arg(long)]
    exit: bool,
    /// How the shop misbehaves.
    #[arg(long, value_enum, default_value_t = Fault::None)]
    fault: Fault,
    /// Another goal.
    #[arg(long, default_value = GOAL)]
    goal: String,
}

/// Starts shop and server, and plays the goal. The exit code is 0 only when the outcome is verified.
pub(crate) async fn run(args: DemoArgs, global: &Global, screen: Screen) -> Result<(), Failure> {
    let stage = stage::Stage::new(screen);
    let house = house::House::open(global, args.fault, args.exit).await?;
    let played = flow::play(&stage, &house, &args).await;
    if !args.exit {
        stage.note(&format!("the console stays open at {}/console until Ctrl-C", house.address()));
        stage.note(&format!("sign in with the token in {}", house.token_file().display()));
        let waited = tokio::signal::ctrl_c().await;
        waited.map_err(|error| Failure::internal(format!("cannot wait for Ctrl-C: {error}")))?;
    }
    house.close().await?;
    played
}
