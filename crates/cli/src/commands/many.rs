//! `executions cancel|pause|resume|retry` without an id: one command for many executions.

use clap::Args;
use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
use crate::commands::input;
use crate::exit::{Exit, Failure};
use crate::json::text;
use crate::screen::Screen;

/// How often progress is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// Which executions, when no id is given.
#[derive(Debug, Args)]
pub(crate) struct ManyArgs {
    /// Many: with these statuses.
    #[arg(long, value_delimiter = ',', conflicts_with = "id")]
    status: Vec<String>,
    /// Many: of this workflow (`namespace/name`).
    #[arg(long, conflicts_with = "id")]
    workflow: Option<String>,
    /// Many: with this outcome.
    #[arg(long, value_parser = ["verified", "failed", "unknown"], conflicts_with = "id")]
    outcome: Option<String>,
    /// Many: with this text in id, workflow, intent, requester or error.
    #[arg(long, short = 's', conflicts_with = "id")]
    search: Option<String>,
    /// Many: started at or after this moment (RFC 3339).
    #[arg(long, conflicts_with = "id")]
    after: Option<String>,
    /// Many: started before this moment (RFC 3339).
    #[arg(long, conflicts_with = "id")]
    before: Option<String>,
    /// Many: at most so many.
    #[arg(long, conflicts_with = "id")]
    limit: Option<u64>,
    /// Many: only count them.
    #[arg(long, conflicts_with = "id")]
    dry_run: bool,
    /// Many: do not ask.
    #[arg(long, conflicts_with = "id")]
    yes: bool,
    /// Many: answer at once; `GET /operations/{id}` tells how far it is.
    #[arg(long, conflicts_with = "id")]
    no_wait: bool,
}

pub(crate) async fn run(
    client: &Client,
    screen: Screen,
    act: &str,
    reason: &str,
    args: &ManyArgs,
) -> Result<(), Failure> {
    let mut query = json!({});
    let status = (!args.status.is_empty()).then(|| args.status.join(","));
    let members = [
        ("status", &status),
        ("workflow", &args.workflow),
        ("outcome", &args.outcome),
        ("q", &args.search),
        ("after", &args.after),
        ("before", &args.before),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            query[name] = json!(value);
        }
    }
    let path = format!("/executions/{act}");
    let mut body = json!({ "query": query, "reason": reason, "dry_run": true });
    if let Some(limit) = args.limit {
        body["limit"] = json!(limit);
    }
    let counted = client.post(&path, &body).await?;
    if args.dry_run {
        return screen
            .data(&counted, || format!("{act} would look at {} executions", text(&counted, "/matched")));
    }
    input::confirm(&format!("{act} {} executions?", text(&counted, "/matched")), args.yes)?;
    body["dry_run"] = json!(false);
    let mut operation = client.post(&path, &body).await?;
    let id = text(&operation, "/operation_id");
    while !args.no_wait && text(&operation, "/status") == "running" {
        tokio::time::sleep(LOOK).await;
        operation = client.get(&format!("/operations/{}", segment(&id))).await?;
    }
    screen.data(&operation, || line_of(&operation))?;
    if operation["failed"].as_u64().unwrap_or(0) > 0 {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} executions could not be acted on", operation["failed"]),
        ));
    }
    Ok(())
}

fn line_of(operation: &Json) -> String {
    format!(
        "operation {}  {}  done {}  skipped {}  failed {}",
        text(operation, "/operation_id"),
        text(operation, "/status"),
        text(operation, "/done"),
        text(operation, "/skipped"),
        text(operation, "/failed"),
    )
}
