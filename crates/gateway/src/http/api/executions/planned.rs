//! Acts that are planned: they answer 501 OH-2900, to callers who are known.

use crate::http::Authenticated;
use crate::http::problem::Refusal;

/// Send a signal to an execution
///
/// Planned: answers 501 OH-2900 until it is built.
#[utoipa::path(
    post, path = "/{id}/signals/{name}", operation_id = "executions.signal", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("name" = String, Path, description = "The signal's name"),
    ),
    responses((status = 501, description = "not built yet (OH-2900)"))
)]
pub(crate) async fn signal(_: Authenticated) -> Refusal {
    app::not_built("sending signals").into()
}
