//! `POST /audit/verify`: hold everything that is stored against the histories.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::State;
use crate::http::Authenticated;
use crate::http::problem::{Answer, ProblemDocument};
use crate::http::query::Query;

/// Time that one call looks, well below the time limit of a request.
const LOOK: Duration = Duration::from_secs(15);

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Where {
    /// The `next` of an earlier answer.
    cursor: Option<String>,
}

/// What was looked at, and what was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verification {
    /// Executions that were verified.
    executions: u64,
    /// Events replayed.
    events: u64,
    /// Audit leaves held against events.
    leaves: u64,
    /// Snapshots restored and compared.
    snapshots: u64,
    /// Blobs read and compared with their digests.
    blobs: u64,
    /// Started attempts whose right to start was looked for.
    permits: u64,
    /// Approvals held against what they allowed.
    approvals: u64,
    /// Executions that changed while they were looked at, and were left out.
    busy: u64,
    /// Number of findings.
    found: u64,
    /// The findings, at most 1,000.
    findings: Vec<Finding>,
    /// Where to go on; null when everything was looked at.
    next: Option<String>,
}

/// What is wrong with something.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Finding {
    /// A stable code with a page in `docs/errors`.
    code: String,
    /// Whose.
    tenant: String,
    /// What, for example `executions/<id>/effects/1`.
    resource: String,
    /// What is wrong with it.
    detail: String,
}

impl From<app::Verification> for Verification {
    fn from(found: app::Verification) -> Self {
        let finding = |one: app::Finding| Finding {
            code: one.code,
            tenant: one.tenant,
            resource: one.resource,
            detail: one.detail,
        };
        Self {
            executions: found.executions,
            events: found.events,
            leaves: found.leaves,
            snapshots: found.snapshots,
            blobs: found.blobs,
            permits: found.permits,
            approvals: found.approvals,
            busy: found.busy,
            found: found.found,
            findings: found.findings.into_iter().map(finding).collect(),
            next: found.next,
        }
    }
}

/// Verify everything that is stored
///
/// Replays histories, and holds recorded ends, snapshots, rows, blobs, permits, approvals and audit leaves against them.
/// One call looks for some seconds; `next` says where to go on. The platform's tenant sees every tenant.
#[utoipa::path(
    post, path = "/verify", operation_id = "audit.verify", tag = "audit", params(Where),
    responses(
        (status = 200, body = Verification),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "another check is under way")
    )
)]
pub(crate) async fn verify(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    Query(place): Query<Where>,
) -> Answer<Verification> {
    Ok(Json(state.app.verify(&caller, place.cursor.as_deref(), LOOK).await?.into()))
}
