//! `/controls`: stop, watch, take over, narrow.

mod get;
mod list;
mod set;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(get::get, set::set))
}
