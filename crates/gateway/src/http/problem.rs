//! Refusals and failures on the wire: RFC 9457 problem documents, written in one place.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::Problem;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

/// What is left of a quota, and when there is more (draft-ietf-httpapi-ratelimit-headers).
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What handlers answer.
pub(crate) type Answer<T> = Result<axum::Json<T>, Refusal>;

/// A problem on its way out. Its document is written by [`render`], where the request's id is known.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(pub(crate) Box<Problem>);

impl Refusal {
    /// The refusal that a problem becomes.
    pub(crate) fn of(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::of(problem)
    }
}

#[derive(Clone)]
struct Pending(Arc<Problem>);

/// Marks the answer to a request that was refused because there are too many: counted, and not told one by one.
#[derive(Clone)]
pub(crate) struct Shed;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Pending(Arc::new(*self.0)));
        response
    }
}

/// Writes the document of a pending problem and logs, once, what only the operator may see.
pub(crate) fn render(mut response: Response, request_id: &str) -> Response {
    let Some(Pending(problem)) = response.extensions_mut().remove::<Pending>() else {
        return response;
    };
    match (&problem.internal, response.status().is_server_error()) {
        (Some(internal), true) => {
            tracing::error!(request_id, code = %problem.code, internal, "{}", problem.title)
        }
        (Some(internal), false) => {
            tracing::info!(request_id, code = %problem.code, internal, "{}", problem.title)
        }
        (None, _) => {
            tracing::debug!(request_id, code = %problem.code, detail = problem.detail, "{}", problem.title)
        }
    }
    let body = serde_json::to_vec(&document(&problem, request_id)).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if problem.status == 401 {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"omnihub\""));
    }
    if matches!(problem.status, 429 | 503) && !headers.contains_key(header::RETRY_AFTER) {
        let told = problem.extra.get("retry_after_ms").and_then(Json::as_u64).unwrap_or(1_000);
        let seconds = told.div_ceil(1_000).max(1);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        if let Some(policy) = rate_policy(problem.code.0)
            && let Ok(value) = HeaderValue::from_str(&format!("\"{policy}\";r=0;t={seconds}"))
        {
            headers.insert(RATE_LIMIT, value);
        }
    }
    if matches!(problem.code.0, 5002 | 5063) {
        response.extensions_mut().insert(Shed);
    }
    *response.body_mut() = body.into();
    response
}

/// What a caller has used up, as the `RateLimit` field names it.
fn rate_policy(code: u16) -> Option<&'static str> {
    match code {
        4290 => Some("requests"),
        5060 | 5061 => Some("limit"),
        5063 => Some("admission"),
        _ => None,
    }
}

/// The members of a problem document.
fn document(problem: &Problem, request_id: &str) -> Map<String, Json> {
    let mut out = problem.extra.clone();
    out.insert("type".into(), format!("/errors/{}", problem.code).into());
    out.insert("title".into(), problem.title.into());
    out.insert("status".into(), problem.status.into());
    out.insert("detail".into(), problem.detail.clone().into());
    out.insert("code".into(), problem.code.to_string().into());
    out.insert("instance".into(), request_id.into());
    if !problem.fields.is_empty() {
        out.insert("fields".into(), serde_json::to_value(&problem.fields).unwrap_or_default());
    }
    out
}

/// A refusal or failure (RFC 9457). Some codes add members of their own, for example `candidates` or `problems`.
#[derive(ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/errors/OH-4040", "title": "not found", "status": 404, "detail": "there is no execution `refund-1042`",
    "code": "OH-4040", "instance": "0199e3c0-5d0e-7c10-9a51-5a7c6c1f0e11"
}))]
#[expect(dead_code, reason = "only its schema is used: the document is written from `model::Problem`")]
pub(crate) struct ProblemDocument {
    /// Page about the code, relative to this server.
    #[schema(rename = "type")]
    kind: String,
    /// One line, the same for every occurrence of the code.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What happened this time, and what to do.
    detail: String,
    /// Stable code, `OH-nnnn`.
    code: String,
    /// The request's id, as in the server's log.
    instance: String,
    /// Which fields are wrong.
    fields: Option<Vec<FieldDocument>>,
}

/// One wrong field.
#[derive(ToSchema)]
#[schema(as = FieldProblem)]
#[expect(dead_code, reason = "only its schema is used: the document is written from `model::FieldProblem`")]
pub(crate) struct FieldDocument {
    /// JSON Pointer into the body, or the name of a query parameter.
    field: String,
    /// What is wrong and what to write.
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_operator_may_see_is_not_sent() {
        let problem =
            Problem::machine("the disk said: secret path /x").with("candidates", serde_json::json!([1]));
        let text = serde_json::to_string(&document(&problem, "r-1")).unwrap();
        assert!(!text.contains("secret path"), "{text}");
        assert!(text.contains("\"instance\":\"r-1\"") && text.contains("\"candidates\":[1]"), "{text}");
    }

    #[test]
    fn extra_members_never_replace_the_standard_ones() {
        let problem = Problem::new(404, 4040, "not found", "x").with("status", 200.into());
        assert_eq!(document(&problem, "r")["status"], 404);
    }
}
