//! `/actions`: what can be done outside, with contracts.

mod get;
mod list;
mod publish;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(list::list, publish::publish)).routes(routes!(get::get))
}
