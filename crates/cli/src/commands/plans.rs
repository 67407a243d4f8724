//! `plans`: what goals would do, approved as a whole before anything runs.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
use crate::commands::{PageArgs, input, say_next};
use crate::exit::Failure;
use crate::json::{items, list, number, text, when, workflow};
use crate::screen::{Screen, Tone};
use crate::view;

/// `omnihub plans …`
#[derive(Debug, Subcommand)]
pub(crate) enum Plans {
    /// List plans, newest first.
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a plan: every effect that can be foreseen, and what is not known yet.
    Get {
        /// The plan's digest.
        digest: String,
    },
    /// Say yes to a whole plan: with enough votes it is signed, and `omnihub run --plan` may run it.
    Approve(DecideArgs),
    /// Say no to a plan.
    Reject(DecideArgs),
}

/// A decision.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// The plan's digest.
    digest: String,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Do not ask.
    #[arg(long, short = 'y')]
    yes: bool,
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Plans) -> Result<(), Failure> {
    match command {
        Plans::List { page } => {
            let page = client.query("/plans", &page.query()).await?;
            screen.data(&page, || table(screen, &page))?;
            say_next(screen, &page);
            Ok(())
        }
        Plans::Get { digest } => {
            let plan = client.get(&format!("/plans/{}", segment(&digest))).await?;
            screen.data(&plan, || view::plan::draw(screen, &plan))
        }
        Plans::Approve(args) => decide(client, screen, "approve", args).await,
        Plans::Reject(args) => decide(client, screen, "reject", args).await,
    }
}

fn table(screen: Screen, page: &Json) -> String {
    let rows = items(page).iter().map(|plan| {
        vec![
            text(plan, "/digest"),
            workflow(plan, "/workflow"),
            list(plan, "/effects").len().to_string(),
            screen.word(&text(plan, "/status")),
            text(plan, "/requester"),
            when(plan, "/expires_at"),
        ]
    });
    screen.table(&["digest", "workflow", "effects", "status", "requester", "expires"], rows.collect())
}

async fn decide(client: &Client, screen: Screen, word: &str, args: DecideArgs) -> Result<(), Failure> {
    let path = format!("/plans/{}", segment(&args.digest));
    let shown = client.get(&path).await?;
    screen.say(view::plan::draw(screen, &shown));
    let refusal = text(&shown, "/refusal");
    if !refusal.is_empty() {
        screen.say(screen.paint(Tone::Care, &format!("the server will refuse you: {refusal}")));
    }
    let verb = if word == "approve" { "Approve" } else { "Reject" };
    input::confirm(&format!("{verb} exactly this?"), args.yes)?;
    let answer = client.post(&format!("{path}/{word}"), &json!({"reason": args.reason})).await?;
    screen.data(&answer, || {
        let missing = number(&answer, "/missing");
        let more = if missing > 0 { format!("  {missing} more needed") } else { String::new() };
        format!("{}  {}{more}", text(&answer, "/digest"), screen.word(&text(&answer, "/status")))
    })
}
