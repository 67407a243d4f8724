//! `policies`: Rego bundles, tried before they count.

mod time_machine;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value as Json, json};

use crate::client::{Body, Client, segment};
use crate::commands::input;
use crate::exit::{Exit, Failure};
use crate::json::{items, joined, text, truth, when};
use crate::screen::{Output, Screen, Tone, line};

/// Files of one bundle at the most.
const MODULES_MAX: usize = 100;

/// `omnihub policies …`
#[derive(Debug, Subcommand)]
pub(crate) enum Policies {
    /// Put a bundle in force; one that does not compile is refused and the old one stays.
    Put(PutArgs),
    /// List bundles.
    List,
    /// Show a bundle.
    Show {
        /// The bundle.
        name: String,
    },
    /// Run a bundle's own tests; exit code 1 when one fails.
    Test {
        /// The bundle.
        name: String,
    },
    /// Ask what policy says about an input.
    Evaluate {
        /// The input document: JSON, `@file` or `-`.
        #[arg(long)]
        input: String,
        /// Rego files to ask instead of what is in force.
        files: Vec<PathBuf>,
    },
    /// Run a candidate over recorded decisions: what would change, whom it concerns, how many more approvals.
    Simulate(SimulateArgs),
    /// Candidates that are judged beside what is in force, and do not enforce.
    Shadow {
        /// What to do.
        #[command(subcommand)]
        command: Shadow,
    },
    /// Take a bundle out of force.
    Delete {
        /// The bundle.
        name: String,
        /// Do not ask.
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

/// A bundle to put.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The bundle.
    name: String,
    /// Its Rego files, or directories of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only when the bundle still has this digest.
    #[arg(long)]
    if_match: Option<String>,
}

/// A candidate and the history that it is to judge.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The bundle that the candidate would replace or add.
    name: String,
    /// Its Rego files, or directories of them; none asks what would be without the bundle.
    files: Vec<PathBuf>,
    /// Only executions started at or after (RFC 3339).
    #[arg(long)]
    since: Option<String>,
    /// Only executions started before (RFC 3339).
    #[arg(long)]
    until: Option<String>,
    /// Only executions of this workflow: `namespace/name`, or `name`.
    #[arg(long)]
    workflow: Option<String>,
    /// Only this execution.
    #[arg(long)]
    execution: Option<String>,
    /// Executions at the most; the newest are taken.
    #[arg(long, default_value_t = 2000)]
    limit: u64,
}

/// `omnihub policies shadow …`
#[derive(Debug, Subcommand)]
pub(crate) enum Shadow {
    /// Judge a candidate beside what is in force, from now on.
    Put {
        /// The bundle that it would replace or add.
        name: String,
        /// Its Rego files, or directories of them.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show what a shadow has shown since it was put.
    Show {
        /// The shadow.
        name: String,
    },
    /// Take a shadow away.
    Delete {
        /// The shadow.
        name: String,
    },
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Policies) -> Result<(), Failure> {
    match command {
        Policies::Put(args) => {
            let body = json!({ "modules": modules(&args.files)? });
            let headers: Vec<_> =
                args.if_match.iter().map(|digest| ("if-match", format!("\"{digest}\""))).collect();
            let path = format!("/policies/{}", segment(&args.name));
            let view = client.json_with(Method::PUT, &path, Some(Body::json(&body)), &headers).await?;
            screen.data(&view, || row(&view).join("  "))
        }
        Policies::List => {
            let page = client.get("/policies").await?;
            screen.data(&page, || {
                screen.table(
                    &["name", "version", "digest", "by", "at", "mode"],
                    items(&page).iter().map(listed).collect(),
                )
            })
        }
        Policies::Show { name } => {
            let view = client.get(&format!("/policies/{}", segment(&name))).await?;
            screen.data(&view, || source(screen, &view))
        }
        Policies::Test { name } => test(client, screen, &name).await,
        Policies::Evaluate { input: given, files } => evaluate(client, screen, &given, &files).await,
        Policies::Simulate(args) => time_machine::simulate(client, screen, args).await,
        Policies::Shadow { command } => time_machine::shadow(client, screen, command).await,
        Policies::Delete { name, yes } => {
            input::confirm(&format!("Take policy `{name}` out of force?"), yes)?;
            client.delete(&format!("/policies/{}", segment(&name))).await?;
            screen.say(format!("policy `{name}` is no longer in force"));
            Ok(())
        }
    }
}

fn row(view: &Json) -> Vec<String> {
    vec![
        text(view, "/name"),
        text(view, "/version"),
        text(view, "/digest"),
        text(view, "/by"),
        when(view, "/at"),
    ]
}

fn listed(view: &Json) -> Vec<String> {
    let mut cells = row(view);
    cells.push(text(view, "/mode"));
    cells
}

fn source(screen: Screen, view: &Json) -> String {
    let mut out = row(view).join("  ");
    if let Some(modules) = view.pointer("/modules").and_then(Json::as_object) {
        for (name, module) in modules {
            out.push_str(&format!(
                "\n\n{}\n{}",
                screen.paint(Tone::Strong, &format!("# {name}")),
                text(module, "")
            ));
        }
    }
    out
}

async fn test(client: &Client, screen: Screen, name: &str) -> Result<(), Failure> {
    let results = client.post(&format!("/policies/{}/test", segment(name)), &json!({})).await?;
    let failed = items(&results).iter().filter(|result| !truth(result, "/passed")).count();
    screen.data(&results, || {
        let rows = items(&results).iter().map(|result| {
            let word = if truth(result, "/passed") { "passed" } else { "failed" };
            vec![text(result, "/name"), screen.word(word), text(result, "/message")]
        });
        screen.table(&["test", "result", "message"], rows.collect())
    })?;
    if failed > 0 {
        Err(Failure::new(Exit::Failed, format!("{failed} tests of `{name}` failed")))
    } else {
        Ok(())
    }
}

async fn evaluate(client: &Client, screen: Screen, given: &str, files: &[PathBuf]) -> Result<(), Failure> {
    let mut body = json!({ "input": input::json("--input", given)? });
    if !files.is_empty() {
        body["modules"] = modules(files)?;
    }
    let ruling = client.post("/policies/evaluate", &body).await?;
    if screen.output == Output::Json {
        return line(&crate::screen::pretty(&ruling));
    }
    let approvers = crate::json::number(&ruling, "/approvers");
    let people =
        if approvers > 0 { format!("  {approvers} of {}", joined(&ruling, "/roles")) } else { String::new() };
    line(&format!("{}{people}\n{}", screen.word(&text(&ruling, "/decision")), joined(&ruling, "/reasons")))
}

/// The Rego files by name; directories give all `.rego` files in them, in order of name.
pub(super) fn modules(paths: &[PathBuf]) -> Result<Json, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |error| Failure::usage(format!("cannot read `{}`: {error}", path.display()));
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "rego") {
                files.push(file);
            }
        }
    }
    files.sort();
    if files.is_empty() || files.len() > MODULES_MAX {
        return Err(Failure::usage(format!(
            "a bundle has 1 to {MODULES_MAX} Rego files; these are {}",
            files.len()
        )));
    }
    let mut modules = Map::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if modules.insert(name.clone(), json!(input::document(&file)?)).is_some() {
            return Err(Failure::usage(format!("two files are called `{name}`")));
        }
    }
    Ok(Json::Object(modules))
}
