//! `/policies`: Rego bundles that judge every effect.

mod delete;
mod evaluate;
mod get;
mod list;
mod put;
mod shadow;
mod simulate;
mod test;
mod wire;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get, put::put, delete::delete))
        .routes(routes!(shadow::get, shadow::put, shadow::delete))
        .routes(routes!(test::test))
        .routes(routes!(evaluate::evaluate))
        .routes(routes!(simulate::simulate))
}
