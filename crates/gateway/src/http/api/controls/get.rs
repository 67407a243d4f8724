//! `GET /controls/{name}`: one control.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;
use model::Problem;

use super::wire::Control;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::segments::Segments;

/// Read one control
#[utoipa::path(
    get, path = "/{name}", operation_id = "controls.get", tag = "controls",
    params(("name" = String, Path, description = "`kill-switch`, `safe-mode`, `takeover` or `allow-list`")),
    responses((status = 200, body = Control))
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
) -> Answer<Control> {
    let Segments([name]) = segments;
    let all = app.controls(&caller).await?.controls;
    let one = all.into_iter().find(|control| control.name == name);
    Ok(Json(one.ok_or_else(|| Problem::not_found("control", &name))?.into()))
}
