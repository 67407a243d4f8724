//! `/executions/{id}/rewind`, `/fork`, `/checkpoints` and `/effects/{n}/choose`: going back, and on from there.

use std::sync::Arc;

use app::App;
use app::view::{CheckpointView, KeptView, ReturnRequest, ReturnView, Target};
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use model::Problem;
use model::event::Choice;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::wire::ExecutionSummary;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::query::{self, Query};
use crate::http::segments::Segments;
use crate::http::wire::{Page, moment, reason};

/// A point of an execution: exactly one member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"checkpoint": "before-payment"}))]
pub(crate) struct Point {
    /// After so many events; 1 is the beginning.
    #[serde(default)]
    event: Option<u64>,
    /// A named checkpoint.
    #[serde(default)]
    #[schema(max_length = 64)]
    checkpoint: Option<String>,
    /// JSON Pointer of a task: where the flow came to it the last time.
    #[serde(default)]
    #[schema(max_length = 2000)]
    task: Option<String>,
}

/// What becomes of effects behind the point.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effects {
    /// What they did stays, and stands in when the flow asks for the very same again.
    #[default]
    Keep,
    /// They are undone first, by their contracts.
    Compensate,
    /// A person chooses for each of them before anything goes on.
    Ask,
}

/// Where to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": {"event": 1}, "reason": "the address was wrong", "effects": "keep"}))]
pub(crate) struct Rewind {
    /// The point.
    to: Point,
    /// Why; it is kept in history and audit log.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
    /// What becomes of the effects behind the point; `keep` when absent.
    #[serde(default)]
    effects: Effects,
    /// Another input; only when going back to the beginning (event 1).
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    input: Option<serde_json::Value>,
    /// True: say what would become of the effects, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Where a new execution goes on from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": {"event": 1}, "reason": "once more with another address"}))]
pub(crate) struct Fork {
    /// The point.
    from: Point,
    /// Why; it is kept in history and audit log.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
    /// What becomes of the effects behind the point; `keep` when absent.
    #[serde(default)]
    effects: Effects,
    /// Another input; only when forking from the beginning (event 1).
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    input: Option<serde_json::Value>,
    /// The new execution's id; the same id with the same point answers the same fork.
    #[serde(default)]
    #[schema(max_length = 128)]
    execution_id: Option<String>,
    /// True: say what would become of the effects, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What a return or a fork did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Returned {
    /// The execution as it is now; the new one, when one was forked.
    execution: ExecutionSummary,
    /// Number of events that make the point.
    event: u64,
    /// The task that the flow stood at there.
    task: Option<String>,
    /// The effects behind the point that happened, or may have.
    kept: Vec<KeptEffect>,
}

/// An effect behind the point.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeptEffect {
    /// Its number.
    effect: u32,
    /// The execution that it belongs to, when that is another one.
    origin: Option<String>,
    /// JSON Pointer of its task.
    task: String,
    /// For example `refund-create:1.0.0`.
    operation: String,
    /// `verified` or `unknown`.
    outcome: String,
    /// True when its answer is known, and can stand in.
    answered: bool,
    /// `keep`, `compensate` or `repeat`; null until a person chooses.
    choice: Option<String>,
}

impl From<KeptView> for KeptEffect {
    fn from(kept: KeptView) -> Self {
        Self {
            effect: kept.effect,
            origin: kept.origin,
            task: kept.task,
            operation: kept.operation,
            outcome: kept.outcome,
            answered: kept.answered,
            choice: kept.choice,
        }
    }
}

impl From<ReturnView> for Returned {
    fn from(view: ReturnView) -> Self {
        Self {
            execution: view.execution.into(),
            event: view.event,
            task: view.task,
            kept: view.kept.into_iter().map(KeptEffect::from).collect(),
        }
    }
}

/// A place to go back to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Checkpoint {
    /// Its name; null for a place right before an effect.
    name: Option<String>,
    /// When.
    at: String,
    /// Number of events that make it.
    event: u64,
    /// The task that the flow stood at.
    task: Option<String>,
    /// The effect that was about to be judged there.
    effect: Option<u32>,
    /// Size of the recorded state, in bytes.
    bytes: u64,
    /// SHA-256 of the recorded state.
    sha256: String,
}

impl From<CheckpointView> for Checkpoint {
    fn from(view: CheckpointView) -> Self {
        Self {
            name: view.name,
            at: moment(view.at),
            event: view.event,
            task: view.task,
            effect: view.effect,
            bytes: view.bytes,
            sha256: view.sha256.to_string(),
        }
    }
}

/// Go back to an earlier point, and on from there
///
/// The flow stands again where it stood then. Effects behind the point are never silently repeated: what was verified or
/// answered stands in when the flow asks for the very same again; anything else in its place is decided by people. Refused
/// while an effect is on the wire (OH-2124); an execution that completed or was cancelled can only be forked.
#[utoipa::path(
    post, path = "/{id}/rewind", operation_id = "executions.rewind", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")), request_body = Rewind,
    responses(
        (status = 202, body = Returned),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "it cannot go back now (OH-2124), or the checkpoint is damaged (OH-2126)"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "there is no such point (OH-2125)")
    )
)]
pub(crate) async fn rewind(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(body): Body<Rewind>,
) -> Result<(StatusCode, Json<Returned>), Refusal> {
    let Segments([id]) = segments;
    let request = ReturnRequest {
        to: target(body.to, "/to")?,
        effects: choice_of(body.effects),
        input: body.input,
        reason: reason(body.reason)?,
        execution_id: None,
        dry_run: body.dry_run,
    };
    let view = app.rewind(&caller, &id, request).await?;
    Ok((StatusCode::ACCEPTED, Json(view.into())))
}

/// Run on from a point as a new execution
///
/// Works for every execution, whatever its status. The new one has ids, keys and permits of its own, and its caller is its
/// requester. What effects behind the point did stands in when it asks for the very same.
#[utoipa::path(
    post, path = "/{id}/fork", operation_id = "executions.fork", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")), request_body = Fork,
    responses(
        (status = 202, body = Returned),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "the id is taken (OH-2002), the checkpoint is damaged (OH-2126), or the history is too long (OH-2128)"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "there is no such point (OH-2125)")
    )
)]
pub(crate) async fn fork(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(body): Body<Fork>,
) -> Result<(StatusCode, Json<Returned>), Refusal> {
    let Segments([id]) = segments;
    let request = ReturnRequest {
        to: target(body.from, "/from")?,
        effects: choice_of(body.effects),
        input: body.input,
        reason: reason(body.reason)?,
        execution_id: body.execution_id,
        dry_run: body.dry_run,
    };
    let view = app.fork(&caller, &id, request).await?;
    Ok((StatusCode::ACCEPTED, Json(view.into())))
}

/// A page of places.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Places {
    /// Only behind this event.
    after: Option<u64>,
    /// Items at the most, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// List the places to go back to, in order: named checkpoints, and the places before each effect
///
/// `next` is the `after` of the next page.
#[utoipa::path(
    get, path = "/{id}/checkpoints", operation_id = "executions.checkpoints.list", tag = "executions",
    params(("id" = String, Path, description = "The execution's id"), Places),
    responses((status = 200, body = Page<Checkpoint>))
)]
pub(crate) async fn checkpoints(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Query(places): Query<Places>,
) -> Answer<Page<Checkpoint>> {
    let Segments([id]) = segments;
    let limit = query::limit(places.limit)?;
    Ok(Json(Page::of(app.checkpoints(&caller, &id, places.after.unwrap_or(0), limit).await?)))
}

/// A new checkpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "before-payment", "reason": "a good place to return to"}))]
pub(crate) struct NewCheckpoint {
    /// 1 to 64 characters of `A-Z a-z 0-9 . _ -`, unique in the execution.
    #[schema(max_length = 64)]
    name: String,
    /// Why; it is kept in history and audit log.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
}

/// Name the place where the flow stands
#[utoipa::path(
    post, path = "/{id}/checkpoints", operation_id = "executions.checkpoints.create", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")), request_body = NewCheckpoint,
    responses(
        (status = 201, body = Checkpoint),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "the name is taken (OH-2129), or the execution has ended (OH-2010)")
    )
)]
pub(crate) async fn checkpoint(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(body): Body<NewCheckpoint>,
) -> Result<(StatusCode, Json<Checkpoint>), Refusal> {
    let Segments([id]) = segments;
    let view = app.checkpoint(&caller, &id, &body.name, &reason(body.reason)?).await?;
    Ok((StatusCode::CREATED, Json(view.into())))
}

/// What becomes of one effect that is kept aside.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"choice": "keep", "reason": "the customer has the money"}))]
pub(crate) struct Choose {
    /// What becomes of it.
    choice: Chosen,
    /// Why; it is kept in history and audit log.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
}

/// A person's choice.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Chosen {
    /// What it did stays, and stands in when the flow asks for the very same again.
    Keep,
    /// It is undone first, by its contract.
    Compensate,
    /// The flow may ask for it again.
    Repeat,
}

/// Choose what becomes of an effect behind the point that the flow went back to
///
/// Only after a rewind or a fork with `effects: ask`. Nothing goes on before there is a choice for each.
#[utoipa::path(
    post, path = "/{id}/effects/{number}/choose", operation_id = "executions.effects.choose", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("number" = String, Path, description = "The number of the effect that is kept aside"),
    ),
    request_body = Choose,
    responses(
        (status = 202, body = ExecutionSummary),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "nothing is asked about this effect")
    )
)]
pub(crate) async fn choose(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<2>,
    Body(body): Body<Choose>,
) -> Result<(StatusCode, Json<ExecutionSummary>), Refusal> {
    let Segments([id, number]) = segments;
    let choice = match body.choice {
        Chosen::Keep => Choice::Keep,
        Chosen::Compensate => Choice::Compensate,
        Chosen::Repeat => Choice::Repeat,
    };
    let row = app.choose(&caller, &id, &number, choice, &reason(body.reason)?).await?;
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}

fn choice_of(effects: Effects) -> Option<Choice> {
    match effects {
        Effects::Keep => Some(Choice::Keep),
        Effects::Compensate => Some(Choice::Compensate),
        Effects::Ask => None,
    }
}

fn target(point: Point, field: &str) -> Result<Target, Refusal> {
    match (point.event, point.checkpoint, point.task) {
        (Some(event), None, None) => Ok(Target::Event(event)),
        (None, Some(name), None) => Ok(Target::Checkpoint(name)),
        (None, None, Some(task)) => Ok(Target::Task(task)),
        _ => {
            let message = "give exactly one of `event`, `checkpoint` and `task`";
            let problem = Problem::new(422, 4220, "wrong shape", format!("`{}`: {message}", &field[1..]));
            Err(Refusal::of(problem.field(field, message)))
        }
    }
}
