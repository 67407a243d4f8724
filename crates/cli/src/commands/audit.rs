//! `audit`: read the log, prove a leaf, and verify the whole of it without a server.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http_body_util::BodyExt as _;
use serde_json::{Value as Json, json};

use crate::cli::Global;
use crate::client::Client;
use crate::commands::{PageArgs, connect, say_next};
use crate::config;
use crate::exit::{Exit, Failure};
use crate::json::{items, list, number, text, truth, when};
use crate::screen::{Screen, Tone, short};
use crate::view;

/// `omnihub audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Verify the log in a data directory or a copy of it, offline; exit code 1 and the first bad index when it is not whole.
    Verify {
        /// The directory; the server's own when absent.
        dir: Option<PathBuf>,
        /// The public key that must have signed (64 hexadecimal digits); without it, the key in the directory is believed.
        #[arg(long)]
        key: Option<String>,
    },
    /// List records.
    List(ListArgs),
    /// Write the whole log as lines of JSON to stdout.
    Export,
    /// Prove that a leaf is in the log; the proof is checked here, not believed.
    Proof {
        /// The leaf's index.
        index: u64,
    },
    /// Show the newest signed tree head.
    Head,
    /// Let the server check its whole log.
    Check,
}

/// Filters.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only what belongs to this execution or request.
    #[arg(long)]
    correlation: Option<String>,
    /// Only actions that begin with this, for example `approval.`.
    #[arg(long)]
    action: Option<String>,
    /// Only by this actor.
    #[arg(long)]
    actor: Option<String>,
    /// From this index on.
    #[arg(long)]
    from: Option<u64>,
    /// Oldest first.
    #[arg(long)]
    oldest: bool,
    #[command(flatten)]
    page: PageArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(global: &Global, screen: Screen, command: Audit) -> Result<(), Failure> {
    let client = || connect::client(global);
    match command {
        Audit::Verify { dir, key } => {
            verify(screen, dir.unwrap_or_else(|| config::data_dir(global.data_dir.as_deref())), key).await
        }
        Audit::List(args) => show_list(&client()?, screen, args).await,
        Audit::Export => export(&client()?).await,
        Audit::Proof { index } => proof(&client()?, screen, index).await,
        Audit::Head => {
            let head = client()?.get("/audit/head").await?;
            screen.data(&head, || {
                format!(
                    "{} leaves\nroot  {}\nkey   {}\nat    {}",
                    number(&head, "/size"),
                    text(&head, "/root"),
                    text(&head, "/key_id"),
                    when(&head, "/at")
                )
            })
        }
        Audit::Check => {
            let check = client()?.post("/audit/check", &json!({})).await?;
            let intact = truth(&check, "/intact");
            screen.data(&check, || {
                format!(
                    "{} leaves, root {}: {}",
                    number(&check, "/size"),
                    text(&check, "/root"),
                    if intact { "intact" } else { "NOT INTACT" }
                )
            })?;
            if intact {
                Ok(())
            } else {
                Err(bad(&text(&check, "/first_bad/0"), &text(&check, "/first_bad/1")))
            }
        }
    }
}

async fn show_list(client: &Client, screen: Screen, args: ListArgs) -> Result<(), Failure> {
    let [limit, cursor] = args.page.query();
    let order = (!args.oldest).then(|| "newest".to_owned());
    let query = [
        ("correlation", args.correlation),
        ("action", args.action),
        ("actor", args.actor),
        ("from", args.from.map(|n| n.to_string())),
        ("order", order),
        limit,
        cursor,
    ];
    let page = client.query("/audit", &query).await?;
    screen.data(&page, || {
        let rows = items(&page).iter().map(|entry| {
            vec![
                text(entry, "/sequence"),
                when(entry, "/record/at"),
                text(entry, "/record/actor"),
                text(entry, "/record/action"),
                short(&text(entry, "/record/resource"), 60),
                text(entry, "/hash").chars().take(12).collect(),
            ]
        });
        screen.table(&["#", "at", "actor", "action", "resource", "hash"], rows.collect())
    })?;
    say_next(screen, &page);
    Ok(())
}

/// Copies the stream to stdout as it comes. A log that ends without its head was cut on the way.
async fn export(client: &Client) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut body = client.stream("/audit/export").await?;
    let mut stdout = std::io::stdout().lock();
    let mut tail: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken =
            |error| Failure::new(Exit::Unreachable, format!("the export broke: {error}")).code("OH-5030");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        stdout.write_all(&data).map_err(|error| Failure::internal(format!("cannot write: {error}")))?;
        tail.extend_from_slice(&data);
        // Only the beginning of the last line is of interest here.
        if let Some(at) = tail.iter().rposition(|b| *b == b'\n').filter(|at| at + 1 < tail.len()) {
            tail.drain(..=at);
        } else if let Some(at) = tail[..tail.len().saturating_sub(1)].iter().rposition(|b| *b == b'\n') {
            tail.drain(..=at);
        }
    }
    stdout.flush().map_err(|error| Failure::internal(format!("cannot write: {error}")))?;
    if tail.starts_with(b"{\"head\"") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "the export ended without the signed head: it was cut"))
    }
}

async fn proof(client: &Client, screen: Screen, index: u64) -> Result<(), Failure> {
    let proof = client.get(&format!("/audit/proof/{index}")).await?;
    let checked = view::proof::check(&proof);
    screen.data(&proof, || {
        let mut lines = vec![
            format!("leaf  {index}  {}", text(&proof, "/record/action")),
            format!("hash  {}", text(&proof, "/leaf_hash")),
        ];
        lines.extend(list(&proof, "/path").iter().map(|hash| format!("with  {}", text(hash, ""))));
        lines.push(format!(
            "root  {}  of {} leaves",
            text(&proof, "/head/root"),
            number(&proof, "/head/size")
        ));
        lines.join("\n")
    })?;
    checked.map_err(|why| Failure::new(Exit::Failed, format!("the proof does not hold: {why}")))?;
    screen.say(screen.paint(Tone::Good, "the leaf is in the log: its path leads to the root"));
    Ok(())
}

async fn verify(screen: Screen, dir: PathBuf, key: Option<String>) -> Result<(), Failure> {
    let key = match key {
        Some(text) => Some(
            audit::VerifyingKey::parse(&text).map_err(|error| Failure::usage(format!("--key is {error}")))?,
        ),
        None => None,
    };
    let shown = dir.display().to_string();
    let report = tokio::task::spawn_blocking(move || store::verify_directory(&dir, key))
        .await
        .map_err(|error| Failure::internal(error.to_string()))?
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot verify `{shown}`: {error}")))?;
    let document = json!({
        "size": report.size,
        "root": hex::encode(report.root),
        "intact": report.first_bad.is_none(),
        "first_bad": report.first_bad.as_ref().map(|(index, reason)| json!({"index": index, "reason": reason})),
    });
    screen.data(&document, || outcome_line(screen, &document))?;
    match report.first_bad {
        None => Ok(()),
        Some((index, reason)) => Err(bad(&index.to_string(), &reason)),
    }
}

fn outcome_line(screen: Screen, document: &Json) -> String {
    let word = if truth(document, "/intact") {
        screen.paint(Tone::Good, "intact")
    } else {
        screen.paint(Tone::Bad, "NOT INTACT")
    };
    format!("{word}  {} leaves  root {}", number(document, "/size"), text(document, "/root"))
}

fn bad(index: &str, reason: &str) -> Failure {
    Failure::new(Exit::Failed, format!("first bad index {index}: {reason}"))
}
