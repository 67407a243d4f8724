//! `dead-letters`: work that is parked for a person.

use clap::Subcommand;
use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
use crate::commands::{PageArgs, say_next};
use crate::exit::Failure;
use crate::json::{items, text, truth, when};
use crate::screen::{Screen, short};

/// `omnihub dead-letters …`
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List parked work, newest first.
    List {
        /// Also what was put back to work.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one.
    Show {
        /// The dead letter.
        id: String,
    },
    /// Put one back to work.
    Redrive {
        /// The dead letter.
        id: String,
        /// Why; it is kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: DeadLetters) -> Result<(), Failure> {
    match command {
        DeadLetters::List { all, page } => {
            let [limit, cursor] = page.query();
            let open = (!all).then(|| "true".to_owned());
            let page = client.query("/dead-letters", &[("open", open), limit, cursor]).await?;
            screen.data(&page, || {
                let rows = items(&page).iter().map(|letter| {
                    vec![
                        text(letter, "/id"),
                        text(letter, "/operation"),
                        crate::commands::executions::id_of(&json!({"execution_id": execution(letter)})),
                        text(letter, "/attempts"),
                        when(letter, "/parked_at"),
                        short(&text(letter, "/reason"), 60),
                    ]
                });
                screen
                    .table(&["id", "operation", "execution", "attempts", "parked", "reason"], rows.collect())
            })?;
            say_next(screen, &page);
            Ok(())
        }
        DeadLetters::Show { id } => {
            let letter = client.get(&format!("/dead-letters/{}", segment(&id))).await?;
            screen.data(&letter, || one(&letter))
        }
        DeadLetters::Redrive { id, reason } => {
            let body = if reason.is_empty() { json!({}) } else { json!({ "reason": reason }) };
            let letter = client.post(&format!("/dead-letters/{}/redrive", segment(&id)), &body).await?;
            screen.data(&letter, || one(&letter))
        }
    }
}

/// The execution's id, by whichever name the document has for it.
pub(crate) fn execution(letter: &Json) -> String {
    let id = text(letter, "/execution_id");
    if id.is_empty() { text(letter, "/execution") } else { id }
}

fn one(letter: &Json) -> String {
    let state = if truth(letter, "/open") {
        "parked".to_owned()
    } else {
        format!("put back to work by {}", text(letter, "/redriven_by"))
    };
    format!(
        "{}  {state}\n{} of {} in {}\nafter {} attempts: {}",
        text(letter, "/id"),
        text(letter, "/operation"),
        execution(letter),
        text(letter, "/workflow"),
        text(letter, "/attempts"),
        text(letter, "/reason"),
    )
}
