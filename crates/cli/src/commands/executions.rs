//! `executions`: look, follow, and act.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
use crate::commands::{PageArgs, goals, input, many, returns, say_next};
use crate::exit::{Exit, Failure};
use crate::json::{items, list, text, when, workflow};
use crate::screen::{Output, Screen, line, short};
use crate::view;

/// Broken streams that are taken up again before the command gives up.
const RECONNECTS_MAX: u32 = 5;

/// `omnihub executions …`
#[derive(Debug, Subcommand)]
pub(crate) enum Executions {
    /// List executions, newest first.
    List(ListArgs),
    /// Show one execution: what it waits for, its effects and its timeline.
    Show {
        /// The execution.
        id: String,
    },
    /// Show the executions that one runs, those that they run, and so on, as a tree.
    Children {
        /// The execution.
        id: String,
    },
    /// Show every recorded event of one execution.
    History {
        /// The execution.
        id: String,
        /// Only events after this sequence number.
        #[arg(long)]
        after: Option<u64>,
        /// At most this many.
        #[arg(long, default_value_t = 500)]
        limit: u32,
    },
    /// Follow one execution until it ends; the exit code tells the outcome.
    Watch {
        /// The execution.
        id: String,
    },
    /// Stop one for good: what it did is undone first.
    Cancel {
        #[command(flatten)]
        act: ActArgs,
        /// Stop at once, and leave what it did as it is.
        #[arg(long)]
        force: bool,
    },
    /// Give up on an undo that is parked: what it was to undo stays done, and undoing goes on.
    Force {
        /// The execution.
        id: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
        /// The number of the undo, or of the effect whose undo cannot be made.
        #[arg(long)]
        effect: u32,
    },
    /// Hold one.
    Pause(ActArgs),
    /// Let a held one go on.
    Resume(ActArgs),
    /// Try a faulted one, or its parked effect, again.
    Retry(ActArgs),
    /// Say what became of an effect whose outcome is unknown, after looking outside.
    Resolve(ResolveArgs),
    /// Show the places that one can go back to, or name the place where it stands.
    Checkpoints(returns::CheckpointsArgs),
    /// Go back to an earlier point, and on from there.
    Rewind(returns::RewindArgs),
    /// Run on from a point as a new execution.
    Fork(returns::ForkArgs),
    /// Choose what becomes of an effect that a rewind or fork asks about.
    Choose(returns::ChooseArgs),
    /// Ask one where it stands: its tasks, what they wait for, and its data.
    State {
        /// The execution.
        id: String,
        /// Only this part of `$context`: a JSON Pointer, for example `/order/id`.
        #[arg(long)]
        pointer: Option<String>,
    },
    /// Tell one something that it listens for, or will listen for.
    Signal {
        /// The execution.
        id: String,
        /// The signal's name.
        name: String,
        /// What it carries: JSON, `@file` or `-` for stdin.
        #[arg(long, default_value = "null")]
        data: String,
        /// The signal's own id: sending the same one again changes nothing.
        #[arg(long)]
        signal_id: Option<String>,
    },
    /// Ask one something, and wait for its answer.
    Update {
        /// The execution.
        id: String,
        /// The update's name.
        name: String,
        /// What it carries: JSON, `@file` or `-` for stdin.
        #[arg(long, default_value = "null")]
        data: String,
        /// The update's own id: asking the same again changes nothing, and gets the same answer.
        #[arg(long)]
        update_id: Option<String>,
        /// What to wait for.
        #[arg(long, value_parser = ["accepted", "completed"], default_value = "completed")]
        wait_for: String,
        /// How long to wait, as an ISO 8601 duration.
        #[arg(long)]
        wait: Option<String>,
    },
}

/// Filters.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only with these: `pending running waiting suspended cancelled faulted completed`.
    #[arg(long, value_delimiter = ',')]
    status: Vec<String>,
    /// Only of this workflow: `namespace/name`.
    #[arg(long)]
    workflow: Option<String>,
    /// Only with this outcome.
    #[arg(long, value_parser = ["verified", "failed", "unknown"])]
    outcome: Option<String>,
    /// Only what waits for this, for example `approval` or `limit:one-at-a-time`.
    #[arg(long)]
    blocked_on: Option<String>,
    /// Only of this principal, for example `user:alice`.
    #[arg(long)]
    requester: Option<String>,
    /// Only those that this execution runs.
    #[arg(long)]
    parent: Option<String>,
    /// Text in id, workflow, intent, requester or error.
    #[arg(long, short = 's')]
    search: Option<String>,
    /// Started at or after this moment (RFC 3339).
    #[arg(long)]
    after: Option<String>,
    /// Started before this moment (RFC 3339).
    #[arg(long)]
    before: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// An act on one execution.
#[derive(Debug, Args)]
pub(crate) struct ActArgs {
    /// The execution; leave it out to act on many.
    #[arg(required_unless_present_any = ["status", "workflow", "outcome", "search", "after", "before"])]
    id: Option<String>,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    many: many::ManyArgs,
}

/// What was found out about an effect.
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// The execution.
    id: String,
    /// The effect's number.
    effect: u32,
    /// What became of it.
    #[arg(long, value_parser = ["verified", "failed"])]
    outcome: String,
    /// What was seen, and where.
    #[arg(long)]
    evidence: String,
    /// JSON that the flow goes on with; what the contract predicts when absent.
    #[arg(long)]
    output_json: Option<String>,
    /// Why it is settled by hand.
    #[arg(long, default_value = "")]
    reason: String,
}

/// Runs one of the commands.
pub(crate) async fn run(client: &Client, screen: Screen, command: Executions) -> Result<(), Failure> {
    match command {
        Executions::List(args) => show_list(client, screen, args).await,
        Executions::Show { id } => {
            let view = client.get(&format!("/executions/{}", segment(&id))).await?;
            screen.data(&view, || view::execution::draw(screen, &view))
        }
        Executions::Children { id } => children(client, screen, &id).await,
        Executions::History { id, after, limit } => history(client, screen, &id, after, limit).await,
        Executions::Watch { id } => {
            watch(client, screen, &id).await?;
            goals::outcome(client, screen, &id).await
        }
        Executions::Cancel { act: args, force: false } => act(client, screen, "cancel", args).await,
        Executions::Cancel { act, force: true } => {
            let Some(id) = &act.id else {
                return Err(Failure::usage("--force is for one execution: give its id"));
            };
            let body = json!({ "reason": act.reason, "mode": "forced" });
            post(client, screen, &format!("/executions/{}/cancel", segment(id)), &body).await
        }
        Executions::Force { id, reason, effect } => {
            let path = format!("/executions/{}/effects/{effect}/force", segment(&id));
            post(client, screen, &path, &json!({ "reason": reason })).await
        }
        Executions::Pause(args) => act(client, screen, "pause", args).await,
        Executions::Resume(args) => act(client, screen, "resume", args).await,
        Executions::Retry(args) => act(client, screen, "retry", args).await,
        Executions::Resolve(args) => resolve(client, screen, args).await,
        Executions::Checkpoints(args) => returns::checkpoints(client, screen, args).await,
        Executions::Rewind(args) => returns::rewind(client, screen, args).await,
        Executions::Fork(args) => returns::fork(client, screen, args).await,
        Executions::Choose(args) => returns::choose(client, screen, args).await,
        Executions::State { id, pointer } => {
            let path = format!("/executions/{}/state", segment(&id));
            let state = client.query(&path, &[("pointer", pointer)]).await?;
            screen.data(&state, || view::execution::stand(screen, &state))
        }
        Executions::Signal { id, name, data, signal_id } => {
            let mut body = json!({ "data": input::json("--data", &data)? });
            if let Some(signal_id) = signal_id {
                body["id"] = json!(signal_id);
            }
            let path = format!("/executions/{}/signals/{}", segment(&id), segment(&name));
            let accepted = client.post(&path, &body).await?;
            screen.data(&accepted, || {
                let again = if accepted["repeated"] == true { "  had come already" } else { "" };
                format!("{}  {}{again}", text(&accepted, "/id"), screen.word(&text(&accepted, "/status")))
            })
        }
        Executions::Update { id, name, data, update_id, wait_for, wait } => {
            let mut body = json!({ "data": input::json("--data", &data)?, "wait_for": wait_for });
            if let Some(update_id) = update_id {
                body["id"] = json!(update_id);
            }
            let wait = wait.map(|wait| format!("?wait={}", segment(&wait))).unwrap_or_default();
            let path = format!("/executions/{}/updates/{}{wait}", segment(&id), segment(&name));
            let update = client.post(&path, &body).await?;
            screen.data(&update, || {
                let what = match text(&update, "/status").as_str() {
                    "completed" => update["output"].to_string(),
                    "failed" => text(&update, "/error/detail"),
                    _ => "not answered yet: ask again with the same --update-id".to_owned(),
                };
                let status = screen.word(&text(&update, "/status"));
                format!("{}  {status}  {what}", text(&update, "/id"))
            })?;
            match text(&update, "/status").as_str() {
                "failed" => Err(Failure::new(Exit::Failed, "the execution did not do what was asked")),
                "accepted" if wait_for == "completed" => Err(Failure::new(
                    Exit::Waiting,
                    "the time to wait is over, and the update is not answered yet",
                )),
                _ => Ok(()),
            }
        }
    }
}

async fn show_list(client: &Client, screen: Screen, args: ListArgs) -> Result<(), Failure> {
    let status = (!args.status.is_empty()).then(|| args.status.join(","));
    let [limit, cursor] = args.page.query();
    let query = [
        ("blocked_on", args.blocked_on),
        ("requester", args.requester),
        ("parent", args.parent),
        ("status", status),
        ("workflow", args.workflow),
        ("outcome", args.outcome),
        ("q", args.search),
        ("after", args.after),
        ("before", args.before),
        limit,
        cursor,
    ];
    let page = client.query("/executions", &query).await?;
    screen.data(&page, || {
        let rows = items(&page).iter().map(|row| row_of(screen, row)).collect();
        screen.table(&["id", "workflow", "status", "outcome", "blocked on", "started", "requester"], rows)
    })?;
    say_next(screen, &page);
    Ok(())
}

/// Executions that a tree shows at the most; whoever runs more is listed page by page.
const TREE_MAX: usize = 500;
/// Levels of a tree at the most; the server allows no more.
const LEVELS_MAX: usize = 16;

/// The executions that one runs, oldest first, each with those that it runs below it.
async fn children(client: &Client, screen: Screen, id: &str) -> Result<(), Failure> {
    let root = client.get(&format!("/executions/{}", segment(id))).await?;
    let mut next = vec![(0, root)];
    let mut tree: Vec<(usize, Json)> = Vec::new();
    while let Some((level, row)) = next.pop() {
        if level < LEVELS_MAX && tree.len() < TREE_MAX {
            let query = [("parent", Some(id_of(&row))), ("limit", Some("500".to_owned()))];
            let page = client.query("/executions", &query).await?;
            // Newest first as they come, so that the oldest is the next one taken.
            next.extend(items(&page).iter().map(|child| (level + 1, child.clone())));
        }
        tree.push((level, row));
    }
    let listed: Vec<Json> = tree
        .iter()
        .map(|(level, row)| {
            let mut row = row.clone();
            if let Some(members) = row.as_object_mut() {
                members.retain(|name, _| {
                    ["execution_id", "workflow", "status", "outcome", "blocked_on", "parent", "started_at"]
                        .contains(&name.as_str())
                });
                members.insert("level".to_owned(), json!(level));
            }
            row
        })
        .collect();
    screen.data(&json!({ "items": listed }), || {
        let row = |(level, row): &(usize, Json)| {
            let mut cells = row_of(screen, row);
            if let Some(id) = cells.first_mut() {
                *id = format!("{}{id}", "  ".repeat(*level));
            }
            cells
        };
        let rows = tree.iter().map(row).collect();
        screen.table(&["id", "workflow", "status", "outcome", "blocked on", "started", "requester"], rows)
    })
}

fn row_of(screen: Screen, row: &Json) -> Vec<String> {
    vec![
        id_of(row),
        workflow(row, "/workflow"),
        screen.word(&text(row, "/status")),
        screen.word(&text(row, "/outcome")),
        short(&text(row, "/blocked_on"), 32),
        when(row, "/started_at"),
        text(row, "/requester"),
    ]
}

/// The execution's id, by whichever name the document has for it.
pub(crate) fn id_of(row: &Json) -> String {
    let id = text(row, "/execution_id");
    if id.is_empty() { text(row, "/id") } else { id }
}

async fn history(
    client: &Client,
    screen: Screen,
    id: &str,
    after: Option<u64>,
    limit: u32,
) -> Result<(), Failure> {
    let query = [("after", after.map(|n| n.to_string())), ("limit", Some(limit.to_string()))];
    let page = client.query(&format!("/executions/{}/history", segment(id)), &query).await?;
    screen.data(&page, || {
        let rows = list(&page, "/items").iter().map(|entry| {
            let at = text(entry, "/at");
            vec![text(entry, "/sequence"), at, text(entry, "/kind"), short(&text(entry, "/summary"), 90)]
        });
        screen.table(&["#", "at", "event", "summary"], rows.collect())
    })?;
    let next = text(&page, "/next");
    if !next.is_empty() {
        screen.say(format!("there is more: --after {next}"));
    }
    Ok(())
}

/// Prints events as they come, until the execution has ended.
pub(crate) async fn watch(client: &Client, screen: Screen, id: &str) -> Result<(), Failure> {
    let path = format!("/executions/{}/events", segment(id));
    let mut seen: Option<u64> = None;
    let mut broken = 0;
    loop {
        let mut events = client.events(&path, seen).await?;
        loop {
            match events.next().await {
                Ok(Some(event)) if event.kind == "end" => return Ok(()),
                Ok(Some(event)) => {
                    seen = event.id.or(seen);
                    broken = 0;
                    let entry: Json = serde_json::from_str(&event.data).unwrap_or(Json::Null);
                    print_event(screen, &entry)?;
                }
                Ok(None) | Err(_) => break,
            }
        }
        broken += 1;
        let view = client.get(&format!("/executions/{}", segment(id))).await?;
        if goals::ended(&view) {
            return Ok(());
        }
        if broken > RECONNECTS_MAX {
            return Err(Failure::new(Exit::Unreachable, "the stream of events breaks again and again")
                .code("OH-5030"));
        }
    }
}

fn print_event(screen: Screen, entry: &Json) -> Result<(), Failure> {
    match screen.output {
        Output::Json => line(&entry.to_string()),
        Output::Table => {
            screen.say(view::execution::event_line(screen, entry));
            Ok(())
        }
    }
}

async fn act(client: &Client, screen: Screen, act: &str, args: ActArgs) -> Result<(), Failure> {
    let Some(id) = &args.id else {
        return many::run(client, screen, act, &args.reason, &args.many).await;
    };
    let path = format!("/executions/{}/{act}", segment(id));
    post(client, screen, &path, &json!({ "reason": args.reason })).await
}

async fn post(client: &Client, screen: Screen, path: &str, body: &Json) -> Result<(), Failure> {
    let summary = client.post(path, body).await?;
    screen.data(&summary, || format!("{}  {}", id_of(&summary), screen.word(&text(&summary, "/status"))))
}

async fn resolve(client: &Client, screen: Screen, args: ResolveArgs) -> Result<(), Failure> {
    let mut body = json!({ "outcome": args.outcome, "evidence": args.evidence, "reason": args.reason });
    if let Some(output) = &args.output_json {
        body["output"] = serde_json::from_str(output)
            .map_err(|error| Failure::usage(format!("--output-json is not JSON: {error}")))?;
    }
    let path = format!("/executions/{}/effects/{}/resolve", segment(&args.id), args.effect);
    let effect = client.post(&path, &body).await?;
    screen.data(&effect, || {
        format!(
            "effect {}  {}  {}",
            text(&effect, "/number"),
            screen.word(&text(&effect, "/outcome")),
            text(&effect, "/evidence")
        )
    })
}
