//! `approvals`: what waits for a person, shown exactly, and decided for exactly what was shown.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
use crate::commands::{PageArgs, input, say_next};
use crate::exit::Failure;
use crate::json::{items, text, when};
use crate::screen::{Screen, Tone, short};
use crate::view;

/// `omnihub approvals …`
#[derive(Debug, Subcommand)]
pub(crate) enum Approvals {
    /// List approvals, newest first.
    List {
        /// Only with this status.
        #[arg(long, default_value = "pending", value_parser = ["pending", "approved", "rejected", "expired", "withdrawn", "all"])]
        status: String,
        /// Only of this execution.
        #[arg(long)]
        execution: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show exactly what would be done, to whom, and why it needs a person.
    Show {
        /// The approval.
        id: String,
    },
    /// Say yes.
    Approve(DecideArgs),
    /// Say no.
    Reject(DecideArgs),
}

/// A decision.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The approval.
    id: String,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
    /// The digest that you looked at; without it, what is shown now is what you decide.
    #[arg(long)]
    digest: Option<String>,
    /// Other arguments (JSON, `@file` or `-`): the effect is judged again and needs a new approval.
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
    /// What the form is filled in with, when the approval has one (JSON, `@file` or `-`).
    #[arg(long, value_name = "JSON")]
    answer: Option<String>,
    /// Do not ask.
    #[arg(long, short = 'y')]
    yes: bool,
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Approvals) -> Result<(), Failure> {
    match command {
        Approvals::List { status, execution, page } => {
            let [limit, cursor] = page.query();
            let status = (status != "all").then_some(status);
            let query = [("status", status), ("execution", execution), limit, cursor];
            let page = client.query("/approvals", &query).await?;
            screen.data(&page, || table(screen, &page))?;
            say_next(screen, &page);
            Ok(())
        }
        Approvals::Show { id } => {
            let approval = client.get(&format!("/approvals/{}", segment(&id))).await?;
            screen.data(&approval, || view::approval::draw(screen, &approval))
        }
        Approvals::Approve(args) => decide(client, screen, "approve", args).await,
        Approvals::Reject(args) => decide(client, screen, "reject", args).await,
    }
}

fn table(screen: Screen, page: &Json) -> String {
    let rows = items(page).iter().map(|approval| {
        vec![
            text(approval, "/id"),
            text(approval, "/operation"),
            short(&text(approval, "/predicted"), 48),
            screen.word(&text(approval, "/risk/level")),
            screen.word(&text(approval, "/status")),
            text(approval, "/requester"),
            when(approval, "/expires_at"),
        ]
    });
    screen.table(&["id", "operation", "effect", "risk", "status", "requester", "expires"], rows.collect())
}

async fn decide(client: &Client, screen: Screen, word: &str, args: DecideArgs) -> Result<(), Failure> {
    let path = format!("/approvals/{}", segment(&args.id));
    let shown = client.get(&path).await?;
    screen.say(view::approval::draw(screen, &shown));
    let refusal = text(&shown, "/refusal");
    if !refusal.is_empty() {
        screen.say(screen.paint(Tone::Care, &format!("the server will refuse you: {refusal}")));
    }
    let mut body = json!({
        "digest": args.digest.unwrap_or_else(|| text(&shown, "/digest")),
        "reason": args.reason,
    });
    if let Some(arguments) = &args.arguments {
        body["arguments"] = input::json("--arguments", arguments)?;
    }
    if let Some(answer) = &args.answer {
        body["answer"] = input::json("--answer", answer)?;
    }
    let verb = if word == "approve" { "Approve" } else { "Reject" };
    input::confirm(&format!("{verb} exactly this?"), args.yes)?;
    let answer = client.post(&format!("{path}/{word}"), &body).await?;
    screen.data(&answer, || {
        let missing = crate::json::number(&answer, "/missing");
        let more = if missing > 0 { format!("  {missing} more needed") } else { String::new() };
        format!("{}  {}{more}", text(&answer, "/id"), screen.word(&text(&answer, "/status")))
    })
}
