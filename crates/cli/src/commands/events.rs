//! `events`: publish and list.

use clap::Subcommand;
use serde_json::{Map, Value as Json, json};

use crate::client::Client;
use crate::commands::{PageArgs, input, say_next};
use crate::exit::Failure;
use crate::json::{items, text, when};
use crate::screen::{Screen, short};

/// `omnihub events …`
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Publish one: every execution that listens for it gets it.
    Publish {
        /// What happened, for example `shop.order.placed`.
        #[arg(long = "type")]
        kind: String,
        /// Where, as a URI or a path.
        #[arg(long)]
        source: String,
        /// Its own id: the same source and id change nothing.
        #[arg(long)]
        id: String,
        /// What it is about.
        #[arg(long)]
        subject: Option<String>,
        /// Only for this execution.
        #[arg(long)]
        execution: Option<String>,
        /// What it carries: JSON, `@file` or `-` for stdin.
        #[arg(long)]
        data: Option<String>,
    },
    /// List events in the order in which they came.
    List {
        /// Only of this type.
        #[arg(long = "type")]
        kind: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
}

pub(crate) async fn run(client: &Client, screen: Screen, command: Events) -> Result<(), Failure> {
    match command {
        Events::Publish { kind, source, id, subject, execution, data } => {
            let mut event = Map::new();
            for (name, value) in [("specversion", "1.0"), ("type", &kind), ("source", &source), ("id", &id)] {
                event.insert(name.to_owned(), json!(value));
            }
            for (name, value) in [("subject", subject), ("omnihubexecution", execution)] {
                event.extend(value.map(|value| (name.to_owned(), json!(value))));
            }
            if let Some(data) = data {
                event.insert("data".to_owned(), input::json("--data", &data)?);
            }
            let accepted = client.post("/events", &Json::Object(event)).await?;
            screen.data(&accepted, || {
                let again = if accepted["items"][0]["repeated"] == true { "  had come already" } else { "" };
                format!("{}  {}{again}", text(&accepted, "/items/0/source"), text(&accepted, "/items/0/id"))
            })
        }
        Events::List { kind, page } => {
            let [limit, cursor] = page.query();
            let page = client.query("/events", &[("type", kind), limit, cursor]).await?;
            screen.data(&page, || {
                let row = |row: &Json| {
                    vec![
                        when(row, "/at"),
                        text(row, "/event/type"),
                        text(row, "/event/source"),
                        short(&text(row, "/event/id"), 40),
                        text(row, "/by"),
                    ]
                };
                screen.table(&["came", "type", "source", "id", "by"], items(&page).iter().map(row).collect())
            })?;
            say_next(screen, &page);
            Ok(())
        }
    }
}
