//! `GET /tokens`: who may call.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::extract::State as Shared;

use super::wire::Token;
use crate::http::Authenticated;
use crate::http::problem::Answer;
use crate::http::wire::Page;

/// List tokens, without their secrets
#[utoipa::path(get, path = "", operation_id = "tokens.list", tag = "access", responses((status = 200, body = Page<Token>)))]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
) -> Answer<Page<Token>> {
    Ok(Json(Page::whole(app.tokens(&caller).await?)))
}
