//! `/executions`: runs of plans.

mod act;
pub(crate) mod bulk;
mod effects;
pub(crate) mod events;
mod get;
mod history;
mod lifecycle;
mod list;
mod rewind;
mod signal;
mod state;
mod update;
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
        .routes(routes!(lifecycle::list))
        .routes(routes!(act::cancel))
        .routes(routes!(act::pause))
        .routes(routes!(act::resume))
        .routes(routes!(act::retry))
        .routes(routes!(act::force))
        .routes(routes!(bulk::cancel))
        .routes(routes!(bulk::pause))
        .routes(routes!(bulk::resume))
        .routes(routes!(bulk::retry))
        .routes(routes!(effects::list))
        .routes(routes!(effects::get))
        .routes(routes!(effects::resolve))
        .routes(routes!(rewind::rewind))
        .routes(routes!(rewind::fork))
        .routes(routes!(rewind::checkpoints, rewind::checkpoint))
        .routes(routes!(rewind::choose))
        .routes(routes!(signal::signal))
        .routes(routes!(state::state))
        .routes(routes!(update::update))
        .routes(routes!(update::get))
}
