//! `tokens`: who may call the API.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::client::{Client, segment};
use crate::exit::Failure;
use crate::json::{items, joined, text, when};
use crate::screen::{Screen, Tone};

/// `omnihub tokens …`
#[derive(Debug, Subcommand)]
pub(crate) enum Tokens {
    /// Make a token; its secret is shown once.
    Create(CreateArgs),
    /// List tokens.
    List,
    /// Make a token useless.
    Revoke {
        /// The token's id.
        id: String,
    },
}

/// A token to make.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Who it stands for, for example `user:bob`.
    principal: String,
    /// `viewer`, `developer`, `operator`, `compliance`, `admin`; several with commas.
    #[arg(long, value_delimiter = ',', required = true)]
    roles: Vec<String>,
    /// What sort of actor.
    #[arg(long, default_value = "user", value_parser = ["user", "service", "agent"])]
    kind: String,
    /// Who answers for a service or an agent, and so decides nothing that it asks for; you when absent.
    #[arg(long, value_name = "PRINCIPAL")]
    owner: Option<String>,
    /// The tenant; your own when absent.
    #[arg(long)]
    tenant: Option<String>,
    /// Days until it stops working.
    #[arg(long)]
    days: Option<u32>,
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Tokens) -> Result<(), Failure> {
    match command {
        Tokens::Create(args) => {
            let mut body = json!({"principal": args.principal, "kind": args.kind, "roles": args.roles});
            if let Some(owner) = args.owner {
                body["owner"] = json!(owner);
            }
            if let Some(tenant) = args.tenant {
                body["tenant"] = json!(tenant);
            }
            if let Some(days) = args.days {
                body["days"] = json!(days);
            }
            let created = client.post("/tokens", &body).await?;
            screen.data(&created, || text(&created, "/secret"))?;
            screen.say(screen.paint(Tone::Care, "this is the only time that the token is shown"));
            Ok(())
        }
        Tokens::List => {
            let page = client.get("/tokens").await?;
            screen.data(&page, || {
                let rows = items(&page).iter().map(|token| {
                    vec![
                        text(token, "/id"),
                        text(token, "/principal"),
                        text(token, "/kind"),
                        text(token, "/tenant"),
                        joined(token, "/roles"),
                        when(token, "/expires_at"),
                    ]
                });
                screen.table(&["id", "principal", "kind", "tenant", "roles", "expires"], rows.collect())
            })
        }
        Tokens::Revoke { id } => {
            client.delete(&format!("/tokens/{}", segment(&id))).await?;
            screen.say(format!("token `{id}` is revoked"));
            Ok(())
        }
    }
}
