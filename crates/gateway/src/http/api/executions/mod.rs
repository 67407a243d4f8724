//! `/executions`: runs of plans.

mod act;
pub(crate) mod events;
mod get;
mod history;
mod list;
mod planned;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(history::history))
        .routes(routes!(events::follow))
        .routes(routes!(act::cancel))
        .routes(routes!(act::pause))
        .routes(routes!(act::resume))
        .routes(routes!(act::retry))
        .routes(routes!(act::force))
        .routes(routes!(planned::rewind))
        .routes(routes!(planned::fork))
        .routes(routes!(planned::signal))
}
