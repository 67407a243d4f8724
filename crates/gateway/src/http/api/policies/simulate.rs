//! `POST /policies/simulate`: a candidate over recorded history, planned.

use crate::http::Authenticated;
use crate::http::problem::Refusal;

/// Run a candidate policy over recorded history
///
/// Planned: answers 501 OH-2900 until it is built.
#[utoipa::path(
    post, path = "/simulate", operation_id = "policies.simulate", tag = "policies",
    responses((status = 501, description = "not built yet (OH-2900)"))
)]
pub(crate) async fn simulate(_: Authenticated) -> Refusal {
    app::not_built("simulating a policy over history").into()
}
