//! `GET /controls/reports`: what stops stopped.

use app::view::PageOf;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use utoipa::IntoParams;

use super::wire::SignedReport;
use crate::State;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::query::{Query, wait};
use crate::http::segments::Segments;
use crate::http::wire::Page;

/// Which reports.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Where an earlier page said to go on.
    cursor: Option<String>,
    /// At most this many (1 to 100).
    limit: Option<u32>,
}

/// Whether to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Waiting {
    /// Answer when the report is complete, or after this time, for example `PT10S`.
    wait: Option<String>,
}

/// Read the reports of stops
#[utoipa::path(
    get, path = "/reports", operation_id = "controls.reports.list", tag = "controls", params(Which),
    responses((status = 200, body = Page<SignedReport>))
)]
pub(crate) async fn list(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    Query(which): Query<Which>,
) -> Answer<Page<SignedReport>> {
    let page: PageOf<_> =
        state.app.stop_reports(&caller, which.cursor.as_deref(), which.limit.unwrap_or(20)).await?;
    Ok(Json(Page::of(page)))
}

/// Read the report of a stop
///
/// Complete once nothing that was on the wire at the stop is on it any more. Save the whole answer to a file and check
/// it anywhere: `omnihub controls report verify FILE --key KEY`.
#[utoipa::path(
    get, path = "/reports/{id}", operation_id = "controls.reports.get", tag = "controls",
    params(("id" = String, Path, description = "the report's id"), Waiting),
    responses((status = 200, body = SignedReport))
)]
pub(crate) async fn get(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Query(waiting): Query<Waiting>,
) -> Answer<SignedReport> {
    let Segments([id]) = segments;
    let longest = state.settings.wait_max;
    let time = waiting.wait.as_deref().map(|text| wait(text, longest)).transpose()?;
    Ok(Json(state.app.stop_report(&caller, &id, time).await?.into()))
}
