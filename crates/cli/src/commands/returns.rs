//! `executions checkpoints`, `rewind`, `fork` and `choose`: going back, and on from there.

use clap::Args;
use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
use crate::commands::executions::id_of;
use crate::exit::Failure;
use crate::json::{items, list, text};
use crate::screen::{Screen, short};

/// Which execution, and a name for where it stands.
#[derive(Debug, Args)]
pub(crate) struct CheckpointsArgs {
    /// The execution.
    id: String,
    /// Names the place where the flow stands, instead of showing the places.
    #[arg(long, requires = "reason")]
    name: Option<String>,
    /// Why it is named; it is kept in the audit log.
    #[arg(long)]
    reason: Option<String>,
    /// Only behind this event.
    #[arg(long)]
    after: Option<u64>,
    /// At most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

/// A point: exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct PointArgs {
    /// After so many events; 1 is the beginning.
    #[arg(long)]
    event: Option<u64>,
    /// A named checkpoint.
    #[arg(long)]
    checkpoint: Option<String>,
    /// Where the flow came to this task the last time (JSON Pointer, for example `/do/2/pay`).
    #[arg(long)]
    task: Option<String>,
}

impl PointArgs {
    fn json(&self) -> Json {
        match (&self.event, &self.checkpoint, &self.task) {
            (Some(event), _, _) => json!({ "event": event }),
            (None, Some(name), _) => json!({ "checkpoint": name }),
            (None, None, task) => json!({ "task": task }),
        }
    }
}

/// How to go on.
#[derive(Debug, Args)]
pub(crate) struct HowArgs {
    /// What becomes of the effects behind the point.
    #[arg(long, default_value = "keep", value_parser = ["keep", "compensate", "ask"])]
    effects: String,
    /// Another input (JSON); only from the beginning.
    #[arg(long)]
    input: Option<String>,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Only say what would become of the effects.
    #[arg(long)]
    dry_run: bool,
}

impl HowArgs {
    fn fill(&self, body: &mut Json) -> Result<(), Failure> {
        body["effects"] = json!(self.effects);
        body["reason"] = json!(self.reason);
        body["dry_run"] = json!(self.dry_run);
        if let Some(input) = &self.input {
            body["input"] = serde_json::from_str(input)
                .map_err(|error| Failure::usage(format!("--input is not JSON: {error}")))?;
        }
        Ok(())
    }
}

/// A return.
#[derive(Debug, Args)]
pub(crate) struct RewindArgs {
    /// The execution.
    id: String,
    #[command(flatten)]
    to: PointArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// A fork.
#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// The execution.
    id: String,
    #[command(flatten)]
    from: PointArgs,
    #[command(flatten)]
    how: HowArgs,
    /// The new execution's id.
    #[arg(long)]
    execution_id: Option<String>,
}

/// A choice about one effect.
#[derive(Debug, Args)]
pub(crate) struct ChooseArgs {
    /// The execution.
    id: String,
    /// The effect that is kept aside.
    effect: u32,
    /// What becomes of it.
    #[arg(value_parser = ["keep", "compensate", "repeat"])]
    choice: String,
    /// Why; it is kept in the audit log.
    #[arg(long)]
    reason: String,
}

pub(crate) async fn checkpoints(
    client: &Client,
    screen: Screen,
    args: CheckpointsArgs,
) -> Result<(), Failure> {
    let path = format!("/executions/{}/checkpoints", segment(&args.id));
    if let Some(name) = &args.name {
        let made = client.post(&path, &json!({ "name": name, "reason": args.reason })).await?;
        return screen.data(&made, || {
            format!("{}  event {}  {}", text(&made, "/name"), text(&made, "/event"), text(&made, "/sha256"))
        });
    }
    let query = [("after", args.after.map(|n| n.to_string())), ("limit", Some(args.limit.to_string()))];
    let page = client.query(&path, &query).await?;
    screen.data(&page, || {
        let rows = items(&page).iter().map(|place| {
            vec![
                text(place, "/event"),
                text(place, "/name"),
                text(place, "/effect"),
                text(place, "/task"),
                text(place, "/at"),
                text(place, "/bytes"),
                short(&text(place, "/sha256"), 23),
            ]
        });
        screen.table(&["event", "name", "before effect", "task", "at", "bytes", "sha256"], rows.collect())
    })?;
    let next = text(&page, "/next");
    if !next.is_empty() {
        screen.say(format!("there is more: --after {next}"));
    }
    Ok(())
}

pub(crate) async fn rewind(client: &Client, screen: Screen, args: RewindArgs) -> Result<(), Failure> {
    let mut body = json!({ "to": args.to.json() });
    args.how.fill(&mut body)?;
    show(client, screen, &args.id, "rewind", &body, args.how.dry_run).await
}

pub(crate) async fn fork(client: &Client, screen: Screen, args: ForkArgs) -> Result<(), Failure> {
    let mut body = json!({ "from": args.from.json() });
    args.how.fill(&mut body)?;
    if let Some(id) = &args.execution_id {
        body["execution_id"] = json!(id);
    }
    show(client, screen, &args.id, "fork", &body, args.how.dry_run).await
}

async fn show(
    client: &Client,
    screen: Screen,
    id: &str,
    act: &str,
    body: &Json,
    dry_run: bool,
) -> Result<(), Failure> {
    let done = client.post(&format!("/executions/{}/{act}", segment(id)), body).await?;
    screen.data(&done, || {
        let rows = list(&done, "/kept").iter().map(|kept| {
            let choice = text(kept, "/choice");
            vec![
                text(kept, "/effect"),
                text(kept, "/operation"),
                text(kept, "/task"),
                screen.word(&text(kept, "/outcome")),
                if choice.is_empty() { "choose".to_owned() } else { choice },
            ]
        });
        let table = screen.table(&["effect", "operation", "task", "outcome", "becomes"], rows.collect());
        let execution = done.pointer("/execution").cloned().unwrap_or_default();
        let status = screen.word(&text(&execution, "/status"));
        let what = if dry_run { "nothing was changed" } else { "goes on from" };
        format!("{}  {status}  {what}: event {}\n{table}", id_of(&execution), text(&done, "/event"))
    })
}

pub(crate) async fn choose(client: &Client, screen: Screen, args: ChooseArgs) -> Result<(), Failure> {
    let path = format!("/executions/{}/effects/{}/choose", segment(&args.id), args.effect);
    let row = client.post(&path, &json!({ "choice": args.choice, "reason": args.reason })).await?;
    screen.data(&row, || format!("{}  {}", id_of(&row), screen.word(&text(&row, "/status"))))
}
