//! `PUT /policies/{name}`: put a bundle in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::App;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use model::Problem;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::Policy;
use crate::http::Authenticated;
use crate::http::body::Document;
use crate::http::problem::{ProblemDocument, Refusal};
use crate::http::segments::Segments;
use crate::http::strict;

/// A bundle.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"modules": {"refunds.rego": "package omnihub.refunds\n\ndeny contains \"too much\" if input.amount > 100\n"}}))]
pub(crate) struct NewPolicy {
    /// File name to Rego text.
    modules: BTreeMap<String, String>,
}

/// Put a policy in force
///
/// A bundle that compiles is in force when this is answered. One that does not is refused with file, line and
/// column, and the one before stays. With `If-Match` it is only put in place of that digest.
#[utoipa::path(
    put, path = "/{name}", operation_id = "policies.put", tag = "policies",
    params(
        ("name" = String, Path, description = "The policy's name"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` that is to be replaced"),
    ),
    request_body(content((NewPolicy = "application/json"), (String = "text/plain")), description = "A bundle, or one module as text"),
    responses(
        (status = 200, body = Policy, headers(("ETag" = String, description = "its digest"))),
        (status = 412, body = ProblemDocument, content_type = "application/problem+json", description = "another digest is in force"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "it does not compile (OH-3030); `fields` names file, line and column")
    )
)]
pub(crate) async fn put(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    let Segments([name]) = segments;
    let modules = if document.json {
        strict::read::<NewPolicy>(document.text.as_bytes())?.modules
    } else {
        BTreeMap::from([(format!("{name}.rego"), document.text)])
    };
    let view = app.put_policy(&caller, &name, modules, if_match(&headers)?).await?;
    Ok(Policy::from(view).tagged())
}

fn if_match(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let tag = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    match model::Digest::parse(tag) {
        Some(digest) => Ok(Some(digest.to_string())),
        None => {
            let detail = "`If-Match` is one `ETag` of this policy";
            Err(Problem::new(400, 4002, "bad parameter", detail).field("If-Match", detail).into())
        }
    }
}
