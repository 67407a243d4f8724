//! `controls`: the kill switch, safe mode, takeover and the allow-list.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
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
pub(crate) async fn run(client: &Client, screen: Screen, command: Controls) -> Result<(), Failure> {
    match command {
        Controls::List => {
            let all = client.get("/controls").await?;
            screen.data(&all, || {
                let rows = list(&all, "/controls").iter().map(|control| row(screen, control)).collect();
                let table = screen.table(&["control", "state", "reason", "by", "since", "operations"], rows);
                format!(
                    "{table}\n{}",
                    screen.paint(Tone::Faint, &format!("epoch {}", number(&all, "/epoch")))
                )
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
            let control = client.put(&format!("/controls/{}", segment(&args.name)), &body).await?;
            screen.data(&control, || one(screen, &control))
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
