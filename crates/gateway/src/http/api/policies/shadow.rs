//! `/policies/{name}/shadow`: a candidate that is judged beside the policies in force and does not enforce.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::App;
use app::view::{ShadowCase, ShadowView};
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::simulate::Decided;
use super::wire::SHADOW;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::segments::Segments;
use crate::http::wire::moment;

/// A candidate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"modules": {"refunds.rego": "package omnihub\nimport rego.v1\n\ndeny contains \"too much\" if input.amount.value > 100\n"}}))]
pub(crate) struct NewShadow {
    /// File name to Rego text.
    modules: BTreeMap<String, String>,
}

/// What a shadow has shown since it was put.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Shadow {
    /// The bundle that it would replace or add.
    name: String,
    /// `shadow (does not enforce)`.
    mode: &'static str,
    /// Always false.
    enforces: bool,
    /// Rises with every change.
    version: u64,
    /// Digest of its modules.
    digest: String,
    /// File name to Rego text.
    modules: BTreeMap<String, String>,
    /// Who put it.
    by: String,
    /// When; the figures begin here.
    at: String,
    /// Live decisions that it judged, too.
    judged: u64,
    /// Those on which it agrees with the policies in force.
    agreed: u64,
    /// Those on which it does not.
    differed: u64,
    /// Those on which it failed, which would mean deny.
    failed: u64,
    /// Live decisions that it did not judge: too many at once, or it was suspended.
    missed: u64,
    /// True when it failed so often that it is no longer asked; put it again.
    suspended: bool,
    /// The newest decisions on which it does not agree, oldest first; at most 200.
    differences: Vec<Difference>,
}

/// A live decision on which a shadow does not agree.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Difference {
    /// The execution.
    execution: String,
    /// Its effect.
    effect: u32,
    /// When it was judged.
    at: String,
    /// The operation.
    operation: String,
    /// Who asked.
    requester: String,
    /// What was decided, and holds.
    from: Decided,
    /// What the shadow would have decided.
    to: Decided,
}

impl From<ShadowView> for Shadow {
    fn from(view: ShadowView) -> Self {
        Self {
            name: view.name,
            mode: SHADOW,
            enforces: false,
            version: view.version,
            digest: view.digest,
            modules: view.modules,
            by: view.by,
            at: moment(view.at),
            judged: view.judged,
            agreed: view.agreed,
            differed: view.differed,
            failed: view.failed,
            missed: view.missed,
            suspended: view.suspended,
            differences: view.cases.into_iter().map(Difference::from).collect(),
        }
    }
}

impl From<ShadowCase> for Difference {
    fn from(case: ShadowCase) -> Self {
        Self {
            execution: case.execution.to_string(),
            effect: case.effect,
            at: moment(case.at),
            operation: case.operation,
            requester: case.requester,
            from: case.from.into(),
            to: case.to.into(),
        }
    }
}

/// Judge a candidate beside the policies in force
///
/// Every live decision from now on is judged by the candidate, too, and only recorded: a shadow does not enforce, and
/// delays nothing. The figures begin anew with each `PUT`.
#[utoipa::path(
    put, path = "/{name}/shadow", operation_id = "policies.shadow.put", tag = "policies", request_body = NewShadow,
    params(("name" = String, Path, description = "The bundle that it would replace or add")),
    responses(
        (status = 200, body = Shadow),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "it does not compile (OH-3030), or there are too many (OH-3070)")
    )
)]
pub(crate) async fn put(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(shadow): Body<NewShadow>,
) -> Answer<Shadow> {
    let Segments([name]) = segments;
    Ok(Json(app.put_shadow(&caller, &name, shadow.modules).await?.into()))
}

/// Read what a shadow has shown
#[utoipa::path(
    get, path = "/{name}/shadow", operation_id = "policies.shadow.get", tag = "policies",
    params(("name" = String, Path, description = "The shadow's name")),
    responses((status = 200, body = Shadow))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Shadow> {
    let Segments([name]) = segments;
    Ok(Json(app.shadow(&caller, &name).await?.into()))
}

/// Take a shadow away
#[utoipa::path(
    delete, path = "/{name}/shadow", operation_id = "policies.shadow.delete", tag = "policies",
    params(("name" = String, Path, description = "The shadow's name")),
    responses((status = 204, description = "it is gone"))
)]
pub(crate) async fn delete(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Result<StatusCode, Refusal> {
    let Segments([name]) = segments;
    app.delete_shadow(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
