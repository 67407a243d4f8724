//! `plan` and `run`: from a goal to a plan, and from a plan to an outcome.

use std::time::{Duration, Instant};

use clap::Args;
use hyper::Method;
use serde_json::{Value as Json, json};

use crate::client::{Body, Client, segment};
use crate::commands::{executions, input};
use crate::exit::{Exit, Failure};
use crate::json::{text, truth};
use crate::screen::{Output, Screen, Tone};
use crate::view;

/// The longest time for which one request waits at the server.
const WAIT_EACH: Duration = Duration::from_secs(30);

/// What is wanted: text, or a workflow with its input.
#[derive(Debug, Args)]
pub(crate) struct GoalArgs {
    /// The goal in your own words, for example `refund order 1042, 25.00 EUR, the cup arrived broken`.
    #[arg(required_unless_present_any = ["workflow", "plan"], conflicts_with_all = ["workflow", "plan"])]
    pub(crate) intent: Option<String>,
    /// A workflow instead: `namespace/name` or `namespace/name:version`.
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    /// The workflow's input: JSON, `@file`, or `-` for stdin.
    #[arg(long, value_name = "JSON")]
    pub(crate) input: Option<String>,
}

/// `omnihub plan`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("plan"))]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    goal: GoalArgs,
    /// Take answers of earlier executions to the same action with the same arguments as stand-ins.
    #[arg(long)]
    recorded: bool,
    /// Most iterations of a loop whose length nobody can know yet.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    iterations: u32,
    /// How many executions the plan is good for.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    uses: u32,
}

/// `omnihub run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    goal: GoalArgs,
    /// A signed plan instead, by digest: it does what the plan holds, and nothing else without asking.
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["workflow", "input"])]
    plan: Option<String>,
    /// Start by id is idempotent: the same id and plan give the same execution.
    #[arg(long, value_name = "ID")]
    execution_id: Option<String>,
    /// How urgent it is among your tenant's goals; as the workflow says when absent.
    #[arg(long, value_parser = ["low", "normal", "high", "critical"])]
    priority: Option<String>,
    /// The same key within a day gives the same answer.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait for the end, at most this many seconds (an hour when no number is given).
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "3600")]
    wait: Option<u64>,
    /// Show what happens while it happens, until the end.
    #[arg(long, conflicts_with = "wait")]
    watch: bool,
}

/// Shows the plan of a goal.
pub(crate) async fn plan(client: &Client, screen: Screen, args: PlanArgs) -> Result<(), Failure> {
    let mut goal = goal_of(&args.goal)?;
    goal["mode"] = json!("plan");
    goal["planning"] = json!({"recorded": args.recorded, "iterations": args.iterations, "uses": args.uses});
    let plan = client.post("/goals", &goal).await?;
    screen.data(&plan, || view::plan::draw(screen, &plan))
}

/// Submits a goal, and waits or watches when asked.
pub(crate) async fn run(client: &Client, screen: Screen, args: RunArgs) -> Result<(), Failure> {
    let mut goal = goal_of(&args.goal)?;
    if let Some(plan) = &args.plan {
        goal["plan"] = json!(plan);
    }
    if let Some(id) = &args.execution_id {
        goal["execution_id"] = json!(id);
    }
    if let Some(priority) = &args.priority {
        goal["priority"] = json!(priority);
    }
    let headers: Vec<(&'static str, String)> =
        args.idempotency_key.iter().map(|key| ("idempotency-key", key.clone())).collect();
    let accepted = client.json_with(Method::POST, "/goals", Some(Body::json(&goal)), &headers).await?;
    let id = text(&accepted, "/execution_id");
    if truth(&accepted, "/repeated") {
        screen.say("this goal had been accepted before; nothing new was started");
    }
    if args.watch {
        if screen.output == Output::Table {
            screen.say(format!("execution {id}"));
        }
        executions::watch(client, screen, &id).await?;
        return outcome(client, screen, &id).await;
    }
    match args.wait {
        Some(seconds) => wait(client, screen, &id, Duration::from_secs(seconds)).await,
        None => screen.data(&accepted, || {
            format!(
                "execution {}  {}\n{}",
                screen.paint(Tone::Strong, &id),
                screen.word(&text(&accepted, "/status")),
                screen.paint(Tone::Faint, &format!("follow it with `omnihub executions watch {id}`"))
            )
        }),
    }
}

/// Waits for the end and answers with the exit code of the outcome.
async fn wait(client: &Client, screen: Screen, id: &str, limit: Duration) -> Result<(), Failure> {
    let until = Instant::now() + limit;
    let mut told = String::new();
    loop {
        let view = client.get(&format!("/executions/{}", segment(id))).await?;
        if ended(&view) {
            return outcome(client, screen, id).await;
        }
        let blocked = text(&view, "/blocked_on");
        if !blocked.is_empty() && blocked != told {
            screen.say(screen.paint(Tone::Care, &text(&view, "/explanation")));
            told = blocked;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            screen.data(&view, || view::execution::draw(screen, &view))?;
            let exit = if told.starts_with("approval") { Exit::Waiting } else { Exit::Failed };
            return Err(Failure::new(exit, format!("`{id}` has not ended within {} s", limit.as_secs())));
        }
        next_change(client, id, left.min(WAIT_EACH)).await?;
    }
}

/// Returns at the next event of the execution, or after `within`.
async fn next_change(client: &Client, id: &str, within: Duration) -> Result<(), Failure> {
    let version = client.get(&format!("/executions/{}", segment(id))).await?;
    let seen = crate::json::number(&version, "/version").saturating_sub(1);
    if ended(&version) {
        return Ok(());
    }
    let mut events = client.events(&format!("/executions/{}/events", segment(id)), Some(seen)).await?;
    match tokio::time::timeout(within, events.next()).await {
        Ok(event) => event.map(|_| ()),
        Err(_) => Ok(()),
    }
}

/// Prints how it ended; the exit code says it too.
pub(crate) async fn outcome(client: &Client, screen: Screen, id: &str) -> Result<(), Failure> {
    let view = client.get(&format!("/executions/{}", segment(id))).await?;
    screen.data(&view, || view::execution::draw(screen, &view))?;
    verdict_of(&view)
}

/// The exit code of an ended execution.
pub(crate) fn verdict_of(view: &Json) -> Result<(), Failure> {
    let (status, outcome) = (text(view, "/status"), text(view, "/outcome"));
    match (status.as_str(), outcome.as_str()) {
        ("completed", "verified") => Ok(()),
        // Nothing outside was touched, or only by effects that nobody can check.
        ("completed", "") => Ok(()),
        (_, "unknown") => Err(Failure::new(Exit::Unknown, format!("{status}, outcome unknown"))),
        _ => {
            let mut failure = Failure::new(Exit::Failed, format!("{status}, outcome {outcome}"));
            let detail = text(view, "/error/detail");
            if !detail.is_empty() {
                failure = failure.hint(detail);
            }
            Err(failure)
        }
    }
}

/// True when nothing more will happen.
pub(crate) fn ended(view: &Json) -> bool {
    matches!(text(view, "/status").as_str(), "completed" | "faulted" | "cancelled")
}

fn goal_of(args: &GoalArgs) -> Result<Json, Failure> {
    let mut goal = json!({});
    if let Some(intent) = &args.intent {
        goal["intent"] = json!(intent);
    }
    if let Some(name) = &args.workflow {
        goal["workflow"] = workflow_of(name)?;
    }
    if let Some(given) = &args.input {
        goal["input"] = input::json("--input", given)?;
    }
    Ok(goal)
}

/// Reads `namespace/name` or `namespace/name:version`.
pub(crate) fn workflow_of(name: &str) -> Result<Json, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "`{name}` is not a workflow; write `namespace/name` or `namespace/name:1.0.0`"
        ))
    };
    let (namespace, rest) = name.split_once('/').ok_or_else(wrong)?;
    let (name_only, version) = rest.split_once(':').map_or((rest, None), |(n, v)| (n, Some(v)));
    if namespace.is_empty() || name_only.is_empty() || version.is_some_and(str::is_empty) {
        return Err(wrong());
    }
    Ok(match version {
        Some(version) => json!({"namespace": namespace, "name": name_only, "version": version}),
        None => json!({"namespace": namespace, "name": name_only}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_are_named_with_and_without_a_version() {
        assert_eq!(workflow_of("shop/refund"), Ok(json!({"namespace": "shop", "name": "refund"})));
        let full = json!({"namespace": "shop", "name": "refund", "version": "1.0.0"});
        assert_eq!(workflow_of("shop/refund:1.0.0"), Ok(full));
        assert!(workflow_of("refund").is_err() && workflow_of("shop/refund:").is_err());
    }

    #[test]
    fn the_exit_code_tells_the_outcome() {
        let exit = |status: &str, outcome: &str| {
            verdict_of(&json!({"status": status, "outcome": outcome})).map_err(|failure| failure.exit)
        };
        assert_eq!(exit("completed", "verified"), Ok(()));
        assert_eq!(exit("completed", "unknown"), Err(Exit::Unknown));
        assert_eq!(exit("completed", "failed"), Err(Exit::Failed));
        assert_eq!(exit("faulted", "verified"), Err(Exit::Failed));
        assert_eq!(exit("cancelled", ""), Err(Exit::Failed));
    }
}
