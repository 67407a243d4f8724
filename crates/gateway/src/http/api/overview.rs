//! `GET /overview`: the figures of a first look.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Authenticated;
use crate::http::problem::Answer;

/// Figures of a first look.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// Executions by status.
    by_status: Vec<Count>,
    /// Approvals that wait.
    approvals_pending: u64,
    /// Parked work.
    dead_letters_open: u64,
    /// Executions ended in each of the last 60 minutes, oldest first.
    ended_per_minute: Vec<u32>,
    /// Effects settled since the start, by outcome.
    outcomes: Vec<Count>,
    /// Leaves in the audit log.
    audit_size: u64,
    /// Executions that wait, by what they wait for.
    blocked_on: Vec<Count>,
    /// Controls in force.
    controls_on: Vec<String>,
}

/// How many of one sort.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Count {
    /// The sort.
    name: String,
    /// How many.
    count: u64,
}

fn counts(pairs: Vec<(String, u64)>) -> Vec<Count> {
    pairs.into_iter().map(|(name, count)| Count { name, count }).collect()
}

/// Figures of a first look
#[utoipa::path(get, path = "/overview", operation_id = "overview", tag = "overview", responses((status = 200, body = Overview)))]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Overview> {
    let figures = app.overview(&caller).await?;
    Ok(Json(Overview {
        by_status: counts(figures.by_status),
        approvals_pending: figures.approvals_pending,
        dead_letters_open: figures.dead_letters_open,
        ended_per_minute: figures.ended_per_minute,
        outcomes: counts(figures.outcomes),
        audit_size: figures.audit_size,
        blocked_on: counts(figures.blocked_on),
        controls_on: figures.controls_on,
    }))
}
