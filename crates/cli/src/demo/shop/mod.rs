//! A little shop as a service of its own, with its own database: what the demo acts upon.
//!
//! It keeps orders and a ledger of refunds, honours `Idempotency-Key`, and can be asked whether a refund is there. It
//! can also misbehave on purpose, the way real services do: lose an answer, be down, or say yes and do nothing.

mod ledger;
mod routes;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::exit::Failure;
use crate::screen;
use ledger::Ledger;

/// How the shop misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Not at all.
    None,
    /// Does the first refund and closes the connection without an answer.
    LostAnswer,
    /// Does not listen.
    Down,
    /// Answers that a refund was made, and makes none.
    Lies,
}

impl Fault {
    /// The word, as the command line and the control listener write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::LostAnswer => "lost-answer",
            Self::Down => "down",
            Self::Lies => "lies",
        }
    }
}

/// `omnihub demo-shop`
#[derive(Debug, Args)]
pub(crate) struct ShopArgs {
    /// Where its database is kept.
    #[arg(long)]
    data: PathBuf,
    /// Where it listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where its faults are switched (`POST /admin/fault`); port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// How it misbehaves.
    #[arg(long, value_enum, default_value_t = Fault::None)]
    fault: Fault,
    /// End when standard input ends, so that the shop never outlives the demo.
    #[arg(long)]
    until_stdin_ends: bool,
}

/// What the shop's requests share.
#[derive(Debug)]
pub(crate) struct Shop {
    ledger: Mutex<Ledger>,
    fault: watch::Sender<Fault>,
    /// The fault `lost-answer` happens once.
    lost_one: std::sync::atomic::AtomicBool,
}

/// Runs the shop until it is told to end. Its addresses are printed as one line of JSON.
pub(crate) async fn run(args: ShopArgs) -> Result<(), Failure> {
    // Dies with the demo even when that is killed; where the kernel cannot do it, standard input still ends.
    if args.until_stdin_ends {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::internal(format!("the shop cannot {what}: {error}"))
    };
    std::fs::create_dir_all(&args.data).map_err(|error| failed("make its directory", &error))?;
    let ledger =
        Ledger::open(&args.data.join("shop.db")).map_err(|error| failed("open its database", &error))?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| failed("listen", &error))?;
    let control = TcpListener::bind(args.control).await.map_err(|error| failed("listen", &error))?;
    let address = listener.local_addr().map_err(|error| failed("listen", &error))?;
    let control_address = control.local_addr().map_err(|error| failed("listen", &error))?;
    let (fault, faults) = watch::channel(args.fault);
    let shop = Arc::new(Shop {
        ledger: Mutex::new(ledger),
        fault,
        lost_one: std::sync::atomic::AtomicBool::new(false),
    });
    screen::line(
        &json!({"address": address.to_string(), "control": control_address.to_string()}).to_string(),
    )?;
    let serving = server::sell(Arc::clone(&shop), listener, address, faults);
    let switching = server::control(shop, control);
    tokio::select! {
        ended = serving => ended.map_err(|error| failed("go on listening", &error)),
        ended = switching => ended.map_err(|error| failed("go on listening", &error)),
        () = end_of_stdin(), if args.until_stdin_ends => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Returns when standard input ends.
async fn end_of_stdin() {
    // A thread of its own: the runtime would wait at its end for a read that never returns.
    let (ended, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = wait.await;
}
