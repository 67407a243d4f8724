//! `/workflows`: published, immutable definitions.

mod get;
mod list;
mod publish;
mod validate;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list::list, publish::publish))
        .routes(routes!(validate::validate))
        .routes(routes!(get::get))
}
