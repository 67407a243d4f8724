//! `secrets`: values that actions use by name. A value never stands on a command line, where others can see it.

use std::path::PathBuf;

use clap::Subcommand;

use crate::client::{Client, segment};
use crate::commands::input;
use crate::exit::Failure;
use crate::json::{items, text};
use crate::screen::Screen;

/// `omnihub secrets …`
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Keep a secret; its JSON document comes from stdin or a file.
    Put {
        /// The secret's name.
        name: String,
        /// The file; stdin when absent. `{"token": "…"}` or `{"username": "…", "password": "…"}`.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List names; values are never shown.
    List,
    /// Forget a secret.
    Delete {
        /// The secret's name.
        name: String,
        /// Do not ask.
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Secrets) -> Result<(), Failure> {
    match command {
        Secrets::Put { name, file } => {
            let text = match &file {
                Some(file) => input::document(file)?,
                None => input::stdin()?,
            };
            // The parser's own message would repeat a part of the secret.
            let document = serde_json::from_str(&text).map_err(|_| {
                Failure::usage("the secret is not JSON; write {\"token\": \"…\"} or {\"username\": \"…\", \"password\": \"…\"}")
            })?;
            client.put(&format!("/secrets/{}", segment(&name)), &document).await?;
            screen.say(format!("secret `{name}` is kept"));
            Ok(())
        }
        Secrets::List => {
            let page = client.get("/secrets").await?;
            screen.data(&page, || {
                let names = items(&page).iter().map(|secret| {
                    let name = text(secret, "/name");
                    vec![if name.is_empty() { text(secret, "") } else { name }]
                });
                screen.table(&["secret"], names.collect())
            })
        }
        Secrets::Delete { name, yes } => {
            input::confirm(&format!("Forget secret `{name}`?"), yes)?;
            client.delete(&format!("/secrets/{}", segment(&name))).await?;
            screen.say(format!("secret `{name}` is forgotten"));
            Ok(())
        }
    }
}
