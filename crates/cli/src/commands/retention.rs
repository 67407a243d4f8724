//! `retention`: how long ended executions are kept.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value as Json, json};

use crate::client::{Body, Client, segment};
use crate::exit::Failure;
use crate::json::{items, joined, text, truth, when};
use crate::screen::Screen;

/// `omnihub retention …`
#[derive(Debug, Subcommand)]
pub(crate) enum Retention {
    /// List the rules and what they removed.
    List,
    /// Show what a rule would remove, without removing it.
    Preview(RuleArgs),
    /// Set a rule.
    Set {
        /// Its name.
        name: String,
        #[command(flatten)]
        rule: RuleArgs,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Remove a rule.
    Remove {
        /// The rule.
        name: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
}

/// What a rule is about.
#[derive(Debug, Args)]
pub(crate) struct RuleArgs {
    /// Age since the end, for example `P30D`.
    #[arg(long)]
    after: String,
    /// Only of this workflow, `namespace/name`.
    #[arg(long)]
    workflow: Option<String>,
    /// Also executions whose outcome is unknown.
    #[arg(long)]
    unknown: bool,
    /// Also executions with an open dead letter.
    #[arg(long)]
    dead_letters: bool,
}

impl RuleArgs {
    fn document(&self, reason: &str) -> Json {
        json!({
            "workflow": self.workflow, "after": self.after, "unknown": self.unknown, "dead_letters": self.dead_letters,
            "reason": reason,
        })
    }
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Retention) -> Result<(), Failure> {
    match command {
        Retention::List => {
            let all = client.get("/retention").await?;
            screen.data(&all, || {
                let rows = items(&all).iter().map(row).collect();
                screen.table(&["rule", "workflow", "after", "also", "removed", "last run"], rows)
            })
        }
        Retention::Preview(rule) => {
            let shown = client.post("/retention/preview", &rule.document("a preview")).await?;
            screen.data(&shown, || {
                format!(
                    "{} executions, for example {}",
                    text(&shown, "/count"),
                    joined(&shown, "/executions")
                )
            })
        }
        Retention::Set { name, rule, reason } => {
            let set = client.put(&format!("/retention/{}", segment(&name)), &rule.document(&reason)).await?;
            screen.data(&set, || row(&set).join("  "))
        }
        Retention::Remove { name, reason } => {
            let body = Body::json(&json!({ "reason": reason }));
            client
                .json_with(Method::DELETE, &format!("/retention/{}", segment(&name)), Some(body), &[])
                .await?;
            screen.say(format!("the rule `{name}` is gone"));
            Ok(())
        }
    }
}

fn row(rule: &Json) -> Vec<String> {
    let also = [("/unknown", "unknown outcomes"), ("/dead_letters", "dead letters")];
    let also: Vec<&str> = also.into_iter().filter(|(at, _)| truth(rule, at)).map(|(_, word)| word).collect();
    let workflow = text(rule, "/workflow");
    vec![
        text(rule, "/name"),
        if workflow.is_empty() { "all".to_owned() } else { workflow },
        text(rule, "/after"),
        also.join(", "),
        text(rule, "/removed"),
        when(rule, "/ran_at"),
    ]
}
