//! Acts that are planned: they answer 501 OH-2900, to callers who are known.

use crate::http::Authenticated;
use crate::http::problem::Refusal;

/// Go back to a checkpoint
///
/// Planned: answers 501 OH-2900 until it is built.
#[utoipa::path(
    post, path = "/{id}/rewind", operation_id = "executions.rewind", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")),
    responses((status = 501, description = "not built yet (OH-2900)"))
)]
pub(crate) async fn rewind(_: Authenticated) -> Refusal {
    app::not_built("going back to a checkpoint").into()
}

/// Run on from a checkpoint as a new execution
///
/// Planned: answers 501 OH-2900 until it is built.
#[utoipa::path(
    post, path = "/{id}/fork", operation_id = "executions.fork", tag = "executions",
    params(("id" = String, Path, description = "The execution's id")),
    responses((status = 501, description = "not built yet (OH-2900)"))
)]
pub(crate) async fn fork(_: Authenticated) -> Refusal {
    app::not_built("forking an execution").into()
}

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
