//! `PUT /controls/{name}`: set one control.

use std::sync::Arc;

use app::App;
use app::view::SetControl;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{Control, PartScope};
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
    /// `tenant`: only for the caller's tenant (allow-list only). Of the kill switch: the part that is stopped.
    #[serde(default)]
    scope: Scope,
    /// What becomes of effects on the wire when the kill switch is turned on.
    #[serde(default)]
    running: Running,
}

/// For whom or what a control holds.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
enum Scope {
    /// Everybody, or the caller's tenant.
    Word(Word),
    /// A part: the kill switch only.
    Part(PartScope),
}

impl Default for Scope {
    fn default() -> Self {
        Self::Word(Word::Global)
    }
}

/// For whom a control holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    /// Everybody.
    Global,
    /// The caller's tenant.
    Tenant,
}

/// What becomes of effects on the wire.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Running {
    /// They may end.
    #[default]
    Finish,
    /// Connections are cut, programs are killed.
    Cancel,
}

/// Set one control
///
/// Acknowledged when it is durable and in force: no effect starts after the kill switch was acknowledged. Turning the
/// kill switch on answers a signed `report` of what was on the wire; with `scope` it stops a part: several such stops
/// may stand at once, and each is lifted by its scope.
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
        tenant_only: matches!(body.scope, Scope::Word(Word::Tenant)),
        scope: match body.scope {
            Scope::Word(_) => None,
            Scope::Part(part) => Some(part.into()),
        },
        running: match body.running {
            Running::Finish => model::stop::Running::Finish,
            Running::Cancel => model::stop::Running::Cancel,
        },
    };
    Ok(Json(app.set_control(&caller, &name, set).await?.into()))
}
