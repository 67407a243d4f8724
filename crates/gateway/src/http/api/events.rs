//! `POST /events`: events from outside, planned.

use crate::http::Authenticated;
use crate::http::problem::Refusal;

/// Take a CloudEvent in
///
/// Planned: answers 501 OH-2900 until it is built.
#[utoipa::path(
    post, path = "/events", operation_id = "events.publish", tag = "events",
    responses((status = 501, description = "not built yet (OH-2900)"))
)]
pub(crate) async fn publish(_: Authenticated) -> Refusal {
    app::not_built("taking events in").into()
}
