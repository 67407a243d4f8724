//! `POST /approvals/{id}/approve`, `/reject`: a person's word on one effect.

use std::sync::Arc;

use app::App;
use app::view::ApprovalWord;
use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::wire::Approval;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::segments::Segments;
use crate::http::wire::reason;

/// What an approver says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "reason": "the photo shows the broken cup"
}))]
pub(crate) struct Word {
    /// The digest that the approver saw.
    digest: String,
    /// Why; it is kept in the audit log.
    #[schema(max_length = 2000)]
    reason: String,
    /// New arguments: this approval is withdrawn and the edited effect is judged again.
    #[schema(value_type = Option<Object>)]
    arguments: Option<Value>,
    /// What the approval's form is filled in with; needed to approve when it has one, and only then.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
}

impl Word {
    fn read(self) -> Result<ApprovalWord, Refusal> {
        Ok(ApprovalWord {
            digest: self.digest,
            reason: reason(self.reason)?,
            arguments: self.arguments,
            answer: self.answer,
        })
    }
}

/// Approve exactly this effect
///
/// Nobody approves what they asked for. A digest that no longer matches is refused: read the approval again.
#[utoipa::path(
    post, path = "/{id}/approve", operation_id = "approvals.approve", tag = "approvals",
    params(("id" = String, Path, description = "The approval's id")), request_body = Word,
    responses(
        (status = 200, body = Approval),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "another digest (OH-3010), no longer pending (OH-3012), or another answer than those before (OH-3015)")
    )
)]
pub(crate) async fn approve(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(word): Body<Word>,
) -> Answer<Approval> {
    let Segments([id]) = segments;
    Ok(Json(app.approve(&caller, &id, word.read()?).await?.into()))
}

/// Reject this effect
#[utoipa::path(
    post, path = "/{id}/reject", operation_id = "approvals.reject", tag = "approvals",
    params(("id" = String, Path, description = "The approval's id")), request_body = Word,
    responses(
        (status = 200, body = Approval),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "another digest (OH-3010), or no longer pending (OH-3012)")
    )
)]
pub(crate) async fn reject(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(word): Body<Word>,
) -> Answer<Approval> {
    let Segments([id]) = segments;
    Ok(Json(app.reject(&caller, &id, word.read()?).await?.into()))
}
