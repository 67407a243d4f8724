//! `controls`: the kill switch, safe mode, takeover and the allow-list.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use crate::cli::Global;
use crate::client::segment;
use crate::commands::{connect, controls_report};
use crate::exit::Failure;
use crate::json::{joined, list, number, text, truth};
use crate::screen::{Screen, Tone};

/// `omnihub controls …`
#[derive(Debug, Subcommand)]
pub(crate) enum Controls {
    /// Show all four.
    List,
    /// Show one.
    Show {
        /// `kill-switch`, `safe-mode`, `takeover` or `allow-list`.
        name: String,
    },
    /// Turn one on or off.
    Set(SetArgs),
    /// Look at what stops stopped, and verify it.
    #[command(subcommand)]
    Report(Report),
    /// Measure the kill switch in the running server, on programs of its own.
    Drill(DrillArgs),
    /// Show what drills measured.
    Drills,
}

/// `omnihub controls report …`
#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    /// List the reports of stops.
    List,
    /// Show one as the server signed it; with `--output json` for a file to keep.
    Show {
        /// The report's id.
        id: String,
        /// Wait until it is complete, at most this long, for example `PT10S`.
        #[arg(long, value_name = "DURATION")]
        wait: Option<String>,
    },
    /// Verify a report or a drill in a file, without a server; exit code 1 when it is not what was signed.
    Verify {
        /// What `report show --output json` wrote; `-` for stdin.
        file: PathBuf,
        /// The public key that must have signed (64 hexadecimal digits): `DIR/audit/public.key`, pinned elsewhere.
        #[arg(long)]
        key: String,
    },
}

/// `omnihub controls drill`
#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// How often to stop.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    trials: u32,
    /// Why; it is kept in the audit log.
    #[arg(long, default_value = "a drill")]
    reason: String,
}

/// How a control is set.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// `kill-switch`, `safe-mode`, `takeover` or `allow-list`.
    name: String,
    /// In force or not.
    state: Switch,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
    /// What the allow-list allows, for example `refund-create,order-*`.
    #[arg(long, value_delimiter = ',')]
    operations: Option<Vec<String>>,
    /// Only for your own tenant (allow-list only).
    #[arg(long)]
    tenant_only: bool,
    /// Only a part (kill switch only): `tenant=acme`, `workflow=shop/refund`, `action=refund-create`,
    /// `target=api.example.com` or `principal=user:alice`.
    #[arg(long, value_name = "KIND=NAME", value_parser = part)]
    scope: Option<(String, String)>,
    /// What becomes of effects on the wire when the kill switch is turned on.
    #[arg(long, value_enum)]
    running: Option<Running>,
}

/// What becomes of effects on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Running {
    /// They may end.
    Finish,
    /// Connections are cut, programs are killed.
    Cancel,
}

fn part(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((kind @ ("tenant" | "workflow" | "action" | "target" | "principal"), name))
            if !name.is_empty() =>
        {
            Ok((kind.to_owned(), name.to_owned()))
        }
        _ => Err("write tenant=…, workflow=…, action=…, target=… or principal=…".to_owned()),
    }
}

/// In force or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// In force.
    On,
    /// Not in force.
    Off,
}

/// Runs one of the commands.
pub(crate) async fn run(global: &Global, screen: Screen, command: Controls) -> Result<(), Failure> {
    if let Controls::Report(Report::Verify { file, key }) = &command {
        return controls_report::verify(screen, file, key).await;
    }
    let client = &connect::client(global)?;
    match command {
        Controls::Report(report) => controls_report::run(client, screen, report).await,
        Controls::Drill(args) => controls_report::drill(client, screen, args.trials, &args.reason).await,
        Controls::Drills => controls_report::drills(client, screen).await,
        Controls::List => {
            let all = client.get("/controls").await?;
            screen.data(&all, || {
                let rows = list(&all, "/controls").iter().map(|control| row(screen, control)).collect();
                let table = screen.table(&["control", "state", "reason", "by", "since", "operations"], rows);
                let epoch = screen.paint(Tone::Faint, &format!("epoch {}", number(&all, "/epoch")));
                let stops = list(&all, "/stops");
                if stops.is_empty() {
                    return format!("{table}\n{epoch}");
                }
                let rows = stops.iter().map(|stop| {
                    vec![
                        screen.paint(Tone::Bad, &text(stop, "/id")),
                        text(stop, "/reason"),
                        text(stop, "/by"),
                        crate::json::when(stop, "/at"),
                        text(stop, "/report"),
                    ]
                });
                let parts = screen.table(&["stopped", "reason", "by", "since", "report"], rows.collect());
                format!("{table}\n{parts}\n{epoch}")
            })
        }
        Controls::Show { name } => {
            let control = client.get(&format!("/controls/{}", segment(&name))).await?;
            screen.data(&control, || one(screen, &control))
        }
        Controls::Set(args) => {
            let mut body = json!({"on": args.state == Switch::On, "reason": args.reason});
            if let Some(operations) = args.operations {
                body["operations"] = json!(operations);
            }
            if args.tenant_only {
                body["scope"] = json!("tenant");
            }
            if let Some((kind, name)) = args.scope {
                body["scope"] = json!({ kind: name });
            }
            if let Some(running) = args.running {
                body["running"] = json!(if running == Running::Cancel { "cancel" } else { "finish" });
            }
            let control = client.put(&format!("/controls/{}", segment(&args.name)), &body).await?;
            screen.data(&control, || {
                let mut seen = one(screen, &control);
                if control["report"].is_object() {
                    seen = format!("{seen}\n{}", controls_report::told(screen, &control["report"]));
                }
                seen
            })
        }
    }
}

fn row(screen: Screen, control: &Json) -> Vec<String> {
    vec![
        text(control, "/name"),
        state(screen, control),
        text(control, "/control/reason"),
        text(control, "/control/by"),
        crate::json::when(control, "/control/at"),
        joined(control, "/control/operations"),
    ]
}

fn one(screen: Screen, control: &Json) -> String {
    let environment = if truth(control, "/control/from_environment") {
        "\nheld by the environment: the API cannot turn it off"
    } else {
        ""
    };
    format!(
        "{}  {}\n{}\nreason: {}  by {}{environment}",
        screen.paint(Tone::Strong, &text(control, "/name")),
        state(screen, control),
        text(control, "/description"),
        text(control, "/control/reason"),
        text(control, "/control/by"),
    )
}

fn state(screen: Screen, control: &Json) -> String {
    if truth(control, "/on") { screen.paint(Tone::Bad, "ON") } else { screen.paint(Tone::Faint, "off") }
}
