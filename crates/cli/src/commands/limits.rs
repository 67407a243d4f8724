//! `limits`: how much runs at once and how often.

use clap::{ArgGroup, Args, Subcommand};
use hyper::Method;
use serde_json::{Value as Json, json};

use crate::client::{Body, Client, segment};
use crate::exit::Failure;
use crate::json::{items, text, truth};
use crate::screen::Screen;

/// `omnihub limits …`
#[derive(Debug, Subcommand)]
pub(crate) enum Limits {
    /// List limits and what they hold.
    List,
    /// Show one.
    Show {
        /// The limit.
        name: String,
    },
    /// Set one.
    Set(SetArgs),
    /// Take one out of force.
    Remove {
        /// The limit.
        name: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
}

/// How a limit is to be.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("scope").required(true))]
pub(crate) struct SetArgs {
    /// Its name.
    name: String,
    /// On a tenant; `*` is each (platform only).
    #[arg(long, group = "scope")]
    tenant: Option<String>,
    /// On a workflow, `namespace/name`.
    #[arg(long, group = "scope")]
    workflow: Option<String>,
    /// On an action, for example `refund-create` or `http:POST`.
    #[arg(long, group = "scope")]
    action: Option<String>,
    /// On each value of the `concurrencyKey` of a workflow, or `*`.
    #[arg(long, group = "scope")]
    key: Option<String>,
    /// What is counted.
    #[arg(long, value_parser = ["executions", "effects"])]
    of: Option<String>,
    /// So many at once.
    #[arg(long)]
    concurrency: Option<u32>,
    /// So many in a period, for example `10/PT1S`.
    #[arg(long, value_name = "COUNT/PERIOD")]
    rate: Option<String>,
    /// Turns in a row beside other tenants (platform only, on a tenant).
    #[arg(long)]
    weight: Option<u32>,
    /// Refuse what is beyond it; without this it waits in line.
    #[arg(long)]
    refuse: bool,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Limits) -> Result<(), Failure> {
    match command {
        Limits::List => {
            let all = client.get("/limits").await?;
            screen.data(&all, || {
                let rows = items(&all).iter().map(row).collect();
                screen.table(
                    &[
                        "limit",
                        "scope",
                        "of",
                        "at once",
                        "rate",
                        "beyond",
                        "under way",
                        "waiting",
                        "in force",
                    ],
                    rows,
                )
            })
        }
        Limits::Show { name } => {
            let limit = client.get(&format!("/limits/{}", segment(&name))).await?;
            screen.data(&limit, || one(&limit))
        }
        Limits::Set(args) => {
            let limit = client.put(&format!("/limits/{}", segment(&args.name)), &document(&args)?).await?;
            screen.data(&limit, || one(&limit))
        }
        Limits::Remove { name, reason } => {
            let body = Body::json(&json!({ "reason": reason }));
            client.json_with(Method::DELETE, &format!("/limits/{}", segment(&name)), Some(body), &[]).await?;
            screen.say(format!("the limit `{name}` is gone; what it held back goes on"));
            Ok(())
        }
    }
}

fn document(args: &SetArgs) -> Result<Json, Failure> {
    let scope = [
        ("tenant", &args.tenant),
        ("workflow", &args.workflow),
        ("action", &args.action),
        ("key", &args.key),
    ];
    let scope: serde_json::Map<String, Json> = scope
        .into_iter()
        .filter_map(|(name, given)| Some((name.to_owned(), json!(given.as_ref()?))))
        .collect();
    let mut document = json!({
        "scope": scope, "reason": args.reason, "on_excess": if args.refuse { "refuse" } else { "queue" },
    });
    let members = [
        ("of", args.of.as_ref().map(|of| json!(of))),
        ("concurrency", args.concurrency.map(|n| json!(n))),
        ("weight", args.weight.map(|n| json!(n))),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            document[name] = value;
        }
    }
    if let Some(rate) = &args.rate {
        let parsed = rate.split_once('/').and_then(|(count, per)| Some((count.parse::<u32>().ok()?, per)));
        let (count, per) = parsed
            .ok_or_else(|| Failure::usage("`--rate` is a count and a period, for example `10/PT1S`"))?;
        document["rate"] = json!({ "count": count, "per": per });
    }
    Ok(document)
}

fn row(limit: &Json) -> Vec<String> {
    vec![
        text(limit, "/name"),
        scope(limit),
        text(limit, "/of"),
        text(limit, "/concurrency"),
        rate(limit),
        text(limit, "/on_excess"),
        text(limit, "/under_way"),
        text(limit, "/waiting"),
        if truth(limit, "/in_force") { "yes".to_owned() } else { "counting".to_owned() },
    ]
}

fn scope(limit: &Json) -> String {
    let members = limit.get("scope").and_then(Json::as_object).into_iter().flatten();
    members.map(|(kind, name)| format!("{kind} {}", name.as_str().unwrap_or_default())).collect()
}

fn rate(limit: &Json) -> String {
    if limit.pointer("/rate/count").is_none() {
        return String::new();
    }
    format!("{} in {}", text(limit, "/rate/count"), text(limit, "/rate/per"))
}

fn one(limit: &Json) -> String {
    format!(
        "{}  {}  of {}\nat once: {}  rate: {}  beyond: {}\nunder way: {}  waiting: {}\nreason: {}  by {}",
        text(limit, "/name"),
        scope(limit),
        text(limit, "/of"),
        text(limit, "/concurrency"),
        rate(limit),
        text(limit, "/on_excess"),
        text(limit, "/under_way"),
        text(limit, "/waiting"),
        text(limit, "/reason"),
        text(limit, "/by"),
    )
}
