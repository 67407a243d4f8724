//! `/api/v1`: everything here needs a token.

mod actions;
mod approvals;
mod audit;
mod controls;
mod dead_letters;
mod events;
mod executions;
mod goals;
mod lifecycle;
mod limits;
mod live;
mod overview;
mod plans;
mod policies;
mod retention;
mod schedules;
mod secrets;
mod tenants;
mod tokens;
mod whoami;
mod workflows;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

/// Every operation below `/api/v1`.
pub(crate) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(goals::submit))
        .nest("/executions", executions::routes())
        .nest("/plans", plans::routes())
        .nest("/approvals", approvals::routes())
        .nest("/controls", controls::routes())
        .nest("/workflows", workflows::routes())
        .nest("/actions", actions::routes())
        .nest("/policies", policies::routes())
        .nest("/limits", limits::routes())
        .nest("/retention", retention::routes())
        .nest("/schedules", schedules::routes())
        .nest("/dead-letters", dead_letters::routes())
        .nest("/audit", audit::routes())
        .nest("/tokens", tokens::routes())
        .nest("/tenants", tenants::routes())
        .nest("/secrets", secrets::routes())
        .routes(routes!(executions::bulk::get))
        .routes(routes!(overview::get))
        .routes(routes!(whoami::get))
        .routes(routes!(live::follow))
        .routes(routes!(lifecycle::follow))
        .routes(routes!(events::publish, events::list))
}
