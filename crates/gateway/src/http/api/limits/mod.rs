//! `/limits`: how much may run at once, and how often.

mod delete;
mod get;
mod list;
mod put;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(get::get, put::put, delete::delete))
}
