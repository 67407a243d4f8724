//! `bench`: each figure beside the limit that this very machine has, measured in the same run.

use clap::Args;

use crate::bench;
use crate::exit::Failure;
use crate::screen::Screen;

/// `omnihub bench`
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Executions that wait for a timer: what they cost, the start-up with them, and how fast they fire.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub(crate) stored: u64,
    /// Only these groups; all when absent.
    #[arg(long, value_delimiter = ',', value_parser = ["limit", "steps", "goals", "policy", "fairness", "overload", "stop", "listen", "waiting"])]
    pub(crate) only: Vec<String>,
}

/// Measures and prints.
pub(crate) async fn run(args: BenchArgs, screen: Screen) -> Result<(), Failure> {
    bench::run(&args, screen).await
}
