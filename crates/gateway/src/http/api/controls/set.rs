//! `PUT /controls/{name}`: set one control.

use std::sync::Arc;

use app::App;
use app::view::SetControl;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::Control;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument};
use crate::http::segments::Segments;
use crate::http::wire::reason;

/// How a control is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"on": true, "reason": "refunds look wrong, incident 4711"}))]
pub(crate) struct NewControl {
    /// In force or not; on when only `operations` are given.
    on: Option<bool>,
    /// Why; it is kept in the audit log.
    #[schema(max_length = 2000)]
    reason: String,
    /// The allow-list's operations; `*` at the end matches any rest.
    operations: Option<Vec<String>>,
    /// `tenant`: only for the caller's tenant (allow-list only).
    #[serde(default)]
    scope: Scope,
}

/// For whom a control holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// Everybody.
    #[default]
    Global,
    /// The caller's tenant.
    Tenant,
}

/// Set one control
///
/// Acknowledged when it is durable and in force: no effect starts after the kill switch was acknowledged.
#[utoipa::path(
    put, path = "/{name}", operation_id = "controls.set", tag = "controls",
    params(("name" = String, Path, description = "`kill-switch`, `safe-mode`, `takeover` or `allow-list`")),
    request_body = NewControl,
    responses(
        (status = 200, body = Control),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "the environment holds it")
    )
)]
pub(crate) async fn set(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(body): Body<NewControl>,
) -> Answer<Control> {
    let Segments([name]) = segments;
    let set = SetControl {
        on: body.on,
        operations: body.operations,
        reason: reason(body.reason)?,
        tenant_only: body.scope == Scope::Tenant,
    };
    Ok(Json(app.set_control(&caller, &name, set).await?.into()))
}
