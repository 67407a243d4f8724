//! `/retention`: when ended executions are removed.

mod delete;
mod list;
mod preview;
mod put;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(preview::preview))
        .routes(routes!(put::put, delete::delete))
}
