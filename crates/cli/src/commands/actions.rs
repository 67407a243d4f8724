//! `actions`: the catalogue and its contracts.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value as Json;

use crate::client::{Client, segment};
use crate::commands::workflows::named;
use crate::commands::{PageArgs, input, say_next};
use crate::exit::Failure;
use crate::json::{items, joined, text, truth, when};
use crate::screen::{Output, Screen, Tone, line, short};

/// `omnihub actions …`
#[derive(Debug, Subcommand)]
pub(crate) enum Actions {
    /// Publish action documents (YAML or JSON); a published version never changes.
    Publish {
        /// Files; `-` is stdin.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List published actions.
    List(PageArgs),
    /// Show one with its contract: `name:version`.
    Show {
        /// The action.
        reference: String,
        /// Print the text as it was published.
        #[arg(long)]
        source: bool,
    },
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Actions) -> Result<(), Failure> {
    match command {
        Actions::Publish { files } => {
            for file in files {
                let text = input::document(&file)?;
                let kind = input::kind_of(&text);
                let published =
                    client.post_text("/actions", kind, text).await.map_err(|f| named(f, &file))?;
                screen.data(&published, || contract(screen, &published))?;
            }
            Ok(())
        }
        Actions::List(page) => {
            let page = client.query("/actions", &page.query()).await?;
            screen.data(&page, || {
                let rows = items(&page).iter().map(|action| {
                    vec![
                        text(action, "/reference"),
                        text(action, "/contract/effect"),
                        text(action, "/contract/class"),
                        if truth(action, "/contract/verified") { "yes".to_owned() } else { "no".to_owned() },
                        short(&text(action, "/title"), 40),
                        when(action, "/published_at"),
                    ]
                });
                screen.table(&["action", "effect", "class", "checked", "title", "published"], rows.collect())
            })?;
            say_next(screen, &page);
            Ok(())
        }
        Actions::Show { reference, source } => {
            let view = client.get(&format!("/actions/{}", segment(&reference))).await?;
            if source && screen.output == Output::Table {
                return line(text(&view, "/source").trim_end());
            }
            screen.data(&view, || contract(screen, &view))
        }
    }
}

fn contract(screen: Screen, view: &Json) -> String {
    let verified = if truth(view, "/contract/verified") {
        "checked by a probe"
    } else if matches!(text(view, "/contract/class").as_str(), "read" | "pure") {
        "the answer is the outcome"
    } else {
        "not checked: its outcome is unknown"
    };
    format!(
        "{}  {}\neffect   {}, {}\noutcome  {verified}\nhosts    {}\nretries  {}\ndigest   {}",
        screen.paint(Tone::Strong, &text(view, "/reference")),
        text(view, "/title"),
        text(view, "/contract/effect"),
        text(view, "/contract/class"),
        joined(view, "/contract/hosts"),
        text(view, "/contract/retries_max") + &text(view, "/contract/retriesMax"),
        text(view, "/digest"),
    )
}
