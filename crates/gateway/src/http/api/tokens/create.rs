//! `POST /tokens`: make a token.

use std::sync::Arc;

use app::App;
use app::view::NewToken as AppToken;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::wire::Token;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::Refusal;

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"principal": "user:bob", "kind": "user", "roles": ["operator"], "days": 30}))]
pub(crate) struct NewToken {
    /// Whom it stands for.
    principal: String,
    /// `user`, `service` or `agent`.
    #[serde(default = "user")]
    kind: String,
    /// The person who answers for a service or an agent, and who therefore decides nothing that it asks for; the caller
    /// when absent.
    owner: Option<String>,
    /// Its tenant; the caller's when absent.
    tenant: Option<String>,
    /// `viewer`, `developer`, `operator`, `compliance`, `admin`.
    roles: Vec<String>,
    /// Days until it stops working.
    days: Option<u32>,
}

fn user() -> String {
    "user".to_owned()
}

/// A new token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenCreated {
    /// Its public part.
    token: Token,
    /// The whole token: shown this once.
    secret: String,
}

/// Make a token
///
/// The secret is in this answer and nowhere else.
#[utoipa::path(
    post, path = "", operation_id = "tokens.create", tag = "access", request_body = NewToken,
    responses((status = 201, body = TokenCreated))
)]
pub(crate) async fn create(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Body(body): Body<NewToken>,
) -> Result<(StatusCode, Json<TokenCreated>), Refusal> {
    let new = AppToken {
        principal: body.principal,
        kind: body.kind,
        owner: body.owner,
        tenant: body.tenant,
        roles: body.roles,
        days: body.days,
    };
    let created = app.create_token(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(TokenCreated { token: created.token.into(), secret: created.secret })))
}
