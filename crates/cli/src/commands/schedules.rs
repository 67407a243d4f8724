//! `schedules`: executions that begin by themselves.

use app::SystemClock;
use clap::Subcommand;
use dsl::schedule::{CatchUp, Overlap, Schedule, When};
use model::{Clock as _, Label, Timestamp, Value};
use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
use crate::exit::Failure;
use crate::json::{items, text, truth, when};
use crate::screen::Screen;

/// Moments that `next` shows unless told.
const SHOWN: usize = 10;

/// `omnihub schedules …`
#[derive(Debug, Subcommand)]
pub(crate) enum Schedules {
    /// List the schedules in force and when they come next.
    List,
    /// Show one schedule.
    Show {
        /// The workflow, `namespace/name`.
        workflow: String,
    },
    /// Let nothing begin by a schedule until it is resumed.
    Pause {
        /// The workflow, `namespace/name`.
        workflow: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Let a paused schedule go on.
    Resume {
        /// The workflow, `namespace/name`.
        workflow: String,
        /// Why; it is kept in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Show when a cron pattern comes next, without a server.
    Next {
        /// Five fields: minute, hour, day of month, month, day of week.
        pattern: String,
        /// The time zone.
        #[arg(long, default_value = "UTC")]
        zone: String,
        /// How many moments.
        #[arg(long, default_value_t = SHOWN)]
        count: usize,
    },
}

/// Runs one of the commands that ask the server.
pub(crate) async fn run(client: &Client, screen: Screen, command: Schedules) -> Result<(), Failure> {
    match command {
        Schedules::List => {
            let all = client.get("/schedules").await?;
            screen.data(&all, || {
                let rows = items(&all).iter().map(row).collect();
                screen.table(&["workflow", "rule", "zone", "next", "begun", "skipped", "state"], rows)
            })
        }
        Schedules::Show { workflow } => {
            let found = client.get(&path(&workflow)?).await?;
            screen.data(&found, || described(&found))
        }
        Schedules::Pause { workflow, reason } => {
            let at = format!("{}/pause", path(&workflow)?);
            let found = client.post(&at, &json!({ "reason": reason })).await?;
            screen.data(&found, || described(&found))
        }
        Schedules::Resume { workflow, reason } => {
            let at = format!("{}/resume", path(&workflow)?);
            let found = client.post(&at, &json!({ "reason": reason })).await?;
            screen.data(&found, || described(&found))
        }
        Schedules::Next { .. } => Err(Failure::usage("`schedules next` asks no server".to_owned())),
    }
}

/// `omnihub schedules next`: no server is asked.
pub(crate) fn next(screen: Screen, pattern: &str, zone: &str, count: usize) -> Result<(), Failure> {
    let input = Value::from_json(&json!({}), Label::DEFINITION);
    let schedule = When::cron(pattern)
        .and_then(|rule| Schedule::new(rule, zone, Overlap::default(), CatchUp::default(), input))
        .map_err(Failure::usage)?;
    let now = SystemClock.now();
    let moments: Vec<String> =
        schedule.upcoming(now, now, count).into_iter().map(Timestamp::to_rfc3339).collect();
    screen.data(&json!({ "next": moments }), || moments.join("\n"))
}

fn path(workflow: &str) -> Result<String, Failure> {
    let Some((namespace, name)) = workflow.split_once('/') else {
        return Err(Failure::usage(format!("`{workflow}` is not `namespace/name`")));
    };
    Ok(format!("/schedules/{}/{}", segment(namespace), segment(name)))
}

fn state(schedule: &Json) -> String {
    if schedule["paused"].is_object() {
        return format!("paused: {}", text(schedule, "/paused/reason"));
    }
    match (schedule["refused"].is_object(), truth(schedule, "/running")) {
        (true, _) => format!("refused: {}", text(schedule, "/refused/code")),
        (_, true) => "running".to_owned(),
        _ => "in force".to_owned(),
    }
}

fn row(schedule: &Json) -> Vec<String> {
    vec![
        format!(
            "{}/{}:{}",
            text(schedule, "/namespace"),
            text(schedule, "/name"),
            text(schedule, "/version")
        ),
        text(schedule, "/rule"),
        text(schedule, "/time_zone"),
        when(schedule, "/next/0"),
        text(schedule, "/counts/begun"),
        text(schedule, "/counts/skipped"),
        state(schedule),
    ]
}

fn described(schedule: &Json) -> String {
    let mut lines = vec![
        format!(
            "{}/{}:{}  {}",
            text(schedule, "/namespace"),
            text(schedule, "/name"),
            text(schedule, "/version"),
            state(schedule)
        ),
        format!("{} ({})", text(schedule, "/rule"), text(schedule, "/time_zone")),
        format!("overlap {}, catch up {}", text(schedule, "/overlap"), text(schedule, "/catch_up")),
        format!("in the name of {} since {}", text(schedule, "/by"), when(schedule, "/since")),
        format!(
            "begun {}, skipped {}, missed {}, refused {}",
            text(schedule, "/counts/begun"),
            text(schedule, "/counts/skipped"),
            text(schedule, "/counts/missed"),
            text(schedule, "/counts/refused")
        ),
    ];
    if schedule["last"].is_object() {
        lines.push(format!(
            "last {} as {}",
            when(schedule, "/last/moment"),
            text(schedule, "/last/execution_id")
        ));
    }
    if schedule["refused"].is_object() {
        lines.push(format!(
            "refused {}: {}",
            text(schedule, "/refused/code"),
            text(schedule, "/refused/detail")
        ));
    }
    lines.extend(
        schedule["next"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(|at| format!("next {at}")),
    );
    lines.join("\n")
}
