//! `POST /policies/{name}/test`: run a bundle's own tests.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::PolicyTest;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::Segments;
use crate::http::wire::Page;

/// Run the `test_*` rules of a policy
#[utoipa::path(
    post, path = "/{name}/test", operation_id = "policies.test", tag = "policies",
    params(("name" = String, Path, description = "The policy's name")),
    responses((status = 200, body = Page<PolicyTest>))
)]
pub(crate) async fn test(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Page<PolicyTest>> {
    let Segments([name]) = segments;
    Ok(Json(Page::whole(app.test_policy(&caller, &name).await?)))
}
