//! `/audit`: the log that proves what happened.

mod check;
mod consistency;
mod export;
mod head;
mod list;
mod proof;
mod verify;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(head::head))
        .routes(routes!(proof::proof))
        .routes(routes!(consistency::consistency))
        .routes(routes!(check::check))
        .routes(routes!(verify::verify))
        .routes(routes!(export::export))
}
