//! Request bodies: what kind, how large, how long they may take, and that they are read strictly.

use std::time::Duration;

use axum::body::{Body as Stream, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use model::Problem;
use serde::de::DeserializeOwned;

use super::problem::Refusal;
use super::strict;

/// Bytes of a body at the most.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Time in which a whole body must have come.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// A JSON body, read strictly.
pub(crate) struct Body<T>(pub(crate) T);

/// A JSON body that may be left out: an empty one is the type's default.
pub(crate) struct OptionalBody<T>(pub(crate) T);

/// A document as text: YAML, JSON or plain.
pub(crate) struct Document {
    pub(crate) text: String,
    /// True when it was declared to be JSON.
    pub(crate) json: bool,
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let bytes = take(request, &["application/json"]).await.map_err(refuse)?;
        strict::read(&bytes).map(Self).map_err(IntoResponse::into_response)
    }
}

impl<T: DeserializeOwned + Default, S: Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            return Body::from_request(request, state).await.map(|Body(body)| Self(body));
        }
        let bytes = collect(request.headers().clone(), request.into_body()).await.map_err(refuse)?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { Err(refuse(wrong_type(&["application/json"]))) }
    }
}

impl<S: Sync> FromRequest<S> for Document {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        const KINDS: [&str; 5] =
            ["application/yaml", "application/json", "text/plain", "text/yaml", "application/x-yaml"];
        let json = media_type(request.headers()).as_deref() == Some("application/json");
        let bytes = take(request, &KINDS).await.map_err(refuse)?;
        let malformed = |detail: &str| refuse(Problem::new(400, 4000, "malformed body", detail));
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| malformed("the document is not UTF-8"))?;
        if text.contains('\0') {
            return Err(malformed("the document holds NUL"));
        }
        if text.trim().is_empty() {
            return Err(malformed("the document is empty"));
        }
        Ok(Self { text, json })
    }
}

fn refuse(problem: Problem) -> Response {
    Refusal::of(problem).into_response()
}

async fn take(request: Request, kinds: &[&str]) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    if !media_type(&parts.headers).is_some_and(|kind| kinds.contains(&kind.as_str())) {
        return Err(wrong_type(kinds));
    }
    collect(parts.headers, body).await
}

async fn collect(headers: HeaderMap, body: Stream) -> Result<Bytes, Problem> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Problem::new(
            415,
            4150,
            "unsupported content type",
            "send the body without `Content-Encoding`",
        ));
    }
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if past_limit(&error) => Err(too_large()),
        Ok(Err(error)) => {
            Err(Problem::new(400, 4000, "malformed body", "the body broke off; send it again")
                .internal(error))
        }
        Err(_) => {
            let detail = format!("the body took longer than {} s; send it faster", BODY_TIMEOUT.as_secs());
            Err(Problem::new(408, 4080, "request too slow", detail))
        }
    }
}

fn past_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn too_large() -> Problem {
    Problem::new(413, 4130, "body too large", format!("the body is larger than {BODY_BYTES_MAX} bytes"))
}

fn wrong_type(kinds: &[&str]) -> Problem {
    let detail = format!("send `Content-Type: {}`", kinds.join("` or `"));
    Problem::new(415, 4150, "unsupported content type", detail)
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(header::CONTENT_TYPE).iter();
    let (only, None) = (all.next()?, all.next()) else { return None };
    let text = only.to_str().ok()?;
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let charset = parameters
        .split(';')
        .find_map(|p| p.trim().to_ascii_lowercase().strip_prefix("charset=").map(str::to_owned));
    match charset.as_deref().map(|charset| charset.trim_matches('"')) {
        None | Some("utf-8" | "utf8" | "us-ascii") => Some(kind.trim().to_ascii_lowercase()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(content_type: Option<&str>, body: impl Into<Stream>) -> u16 {
        let mut request = Request::builder().method("POST").uri("/");
        if let Some(kind) = content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(body.into()).unwrap();
        match Body::<serde_json::Value>::from_request(request, &()).await {
            Ok(_) => 200,
            Err(response) => response.status().as_u16(),
        }
    }

    #[tokio::test]
    async fn bodies_are_json_and_bounded() {
        let json = Some("application/json");
        assert_eq!(status(json, "{}").await, 200);
        assert_eq!(status(Some("Application/JSON; charset=UTF-8"), "{}").await, 200);
        assert_eq!(status(Some("application/json; charset=latin1"), "{}").await, 415);
        assert_eq!(status(Some("text/plain"), "{}").await, 415);
        assert_eq!(status(None, "{}").await, 415);
        assert_eq!(status(json, "").await, 400);
        assert_eq!(status(json, format!("\"{}\"", "x".repeat(BODY_BYTES_MAX - 2))).await, 200);
        assert_eq!(status(json, format!("\"{}\"", "x".repeat(BODY_BYTES_MAX - 1))).await, 413);
        let endless = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 65_536]))
        });
        assert_eq!(status(json, Stream::from_stream(endless)).await, 413, "without a declared length");
        let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        assert_eq!(status(json, Stream::from_stream(broken)).await, 400);
    }
}
