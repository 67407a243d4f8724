//! Tokens on the wire.

use app::view::TokenView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::wire::moment;

/// A token without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    /// Its id.
    id: String,
    /// Whom it stands for.
    principal: String,
    /// `user`, `service`, `agent` or `system`.
    kind: String,
    /// The person who answers for a service or an agent.
    owner: Option<String>,
    /// Its tenant.
    tenant: String,
    /// Roles.
    roles: Vec<String>,
    /// When it was made.
    created_at: String,
    /// When it stops working.
    expires_at: Option<String>,
}

impl From<TokenView> for Token {
    fn from(view: TokenView) -> Self {
        Self {
            id: view.id,
            principal: view.principal,
            kind: view.kind,
            owner: view.owner,
            tenant: view.tenant,
            roles: view.roles,
            created_at: moment(view.created_at),
            expires_at: view.expires_at.map(moment),
        }
    }
}
