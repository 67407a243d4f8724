//! `GET /whoami`: who the token stands for.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::Authenticated;
use crate::http::authenticate::kind;

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"principal": "user:alice", "tenant": "default", "kind": "user", "roles": ["operator"]}))]
pub(crate) struct Whoami {
    /// Its name.
    principal: String,
    /// Its tenant.
    tenant: String,
    /// `user`, `service`, `agent` or `system`.
    kind: &'static str,
    /// What it may do.
    roles: Vec<&'static str>,
}

/// Who the token stands for
#[utoipa::path(get, path = "/whoami", operation_id = "whoami", tag = "access", responses((status = 200, body = Whoami)))]
pub(crate) async fn get(Authenticated(caller): Authenticated) -> Json<Whoami> {
    let principal = caller.principal;
    Json(Whoami {
        principal: principal.id.to_string(),
        tenant: principal.tenant.to_string(),
        kind: kind(principal.kind),
        roles: principal.roles.into_iter().map(|role| role.name()).collect(),
    })
}
