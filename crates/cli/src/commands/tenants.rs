//! `tenants`: organisations whose things nobody else can see.

use clap::Subcommand;
use serde_json::json;

use crate::client::Client;
use crate::exit::Failure;
use crate::json::{items, text};
use crate::screen::Screen;

/// `omnihub tenants …`
#[derive(Debug, Subcommand)]
pub(crate) enum Tenants {
    /// Make a tenant.
    Create {
        /// Its id.
        id: String,
        /// Its name for people.
        #[arg(long, default_value = "")]
        title: String,
    },
    /// List tenants.
    List,
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Tenants) -> Result<(), Failure> {
    match command {
        Tenants::Create { id, title } => {
            let title = if title.is_empty() { id.clone() } else { title };
            client.post("/tenants", &json!({"id": id, "title": title})).await?;
            screen.say(format!("tenant `{id}` is there"));
            Ok(())
        }
        Tenants::List => {
            let page = client.get("/tenants").await?;
            screen.data(&page, || {
                let names = items(&page).iter().map(|tenant| {
                    let id = text(tenant, "/id");
                    vec![if id.is_empty() { text(tenant, "") } else { id }]
                });
                screen.table(&["tenant"], names.collect())
            })
        }
    }
}
