//! A small client of the HTTP API.
//!
//! One connection per request: a command makes few of them, and a connection that is not kept cannot be stale.

mod connect;
mod events;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, header};
use serde_json::Value as Json;
use url::Url;

use crate::exit::{Exit, Failure};
pub(crate) use events::Events;

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longest time for one answer; `?wait=` asks for at most 60 s of it.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// Talks to one server as one principal.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    base: Url,
    token: Option<String>,
}

impl Client {
    /// A client of the server at `address` (`http://…` or `https://…`).
    pub(crate) fn new(address: &str, token: Option<String>) -> Result<Self, Failure> {
        let wrong = || {
            Failure::usage(format!(
                "`{address}` is not a server's address; write for example `http://127.0.0.1:8420`"
            ))
        };
        let base = Url::parse(address).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong());
        }
        Ok(Self { base, token })
    }

    /// The same server, as somebody else.
    pub(crate) fn with_token(&self, token: impl Into<String>) -> Self {
        Self { base: self.base.clone(), token: Some(token.into()) }
    }

    /// The server's address without a slash at the end.
    pub(crate) fn address(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Reads a document. `path` comes after `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> Result<Json, Failure> {
        self.json(Method::GET, path, None).await
    }

    /// Reads a document with a query.
    pub(crate) async fn query(&self, path: &str, query: &[(&str, Option<String>)]) -> Result<Json, Failure> {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in query {
            if let Some(value) = value {
                text.append_pair(name, value);
            }
        }
        let text = text.finish();
        self.get(&if text.is_empty() { path.to_owned() } else { format!("{path}?{text}") }).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: &Json) -> Result<Json, Failure> {
        self.json(Method::POST, path, Some(Body::json(body))).await
    }

    /// Puts JSON.
    pub(crate) async fn put(&self, path: &str, body: &Json) -> Result<Json, Failure> {
        self.json(Method::PUT, path, Some(Body::json(body))).await
    }

    /// Deletes.
    pub(crate) async fn delete(&self, path: &str) -> Result<Json, Failure> {
        self.json(Method::DELETE, path, None).await
    }

    /// Posts a document as it stands.
    pub(crate) async fn post_text(
        &self,
        path: &str,
        kind: &'static str,
        text: String,
    ) -> Result<Json, Failure> {
        self.json(Method::POST, path, Some(Body { kind, bytes: text.into() })).await
    }

    /// Any method under `/api/v1`; the answer parsed, `null` when it is empty.
    pub(crate) async fn json(&self, method: Method, path: &str, body: Option<Body>) -> Result<Json, Failure> {
        let response = self.send(method, &format!("/api/v1{path}"), body, &[]).await?;
        let bytes = read(response).await?;
        parse(&bytes)
    }

    /// Any method with further headers; the answer parsed.
    pub(crate) async fn json_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        headers: &[(&'static str, String)],
    ) -> Result<Json, Failure> {
        let response = self.send(method, &format!("/api/v1{path}"), body, headers).await?;
        parse(&read(response).await?)
    }

    /// A document outside the API, for example `/health`.
    pub(crate) async fn plain(&self, path: &str) -> Result<Json, Failure> {
        parse(&read(self.send(Method::GET, path, None, &[]).await?).await?)
    }

    /// Posts JSON outside the API.
    pub(crate) async fn plain_post(&self, path: &str, body: &Json) -> Result<Json, Failure> {
        parse(&read(self.send(Method::POST, path, Some(Body::json(body)), &[]).await?).await?)
    }

    /// A stream that is read while it comes, for exports that fit nobody's memory.
    pub(crate) async fn stream(&self, path: &str) -> Result<Incoming, Failure> {
        let response = self.send(Method::GET, &format!("/api/v1{path}"), None, &[]).await?;
        Ok(response.into_body())
    }

    /// Server-sent events of an execution, after `after`.
    pub(crate) async fn events(&self, path: &str, after: Option<u64>) -> Result<Events, Failure> {
        let mut headers = vec![("accept", "text/event-stream".to_owned())];
        if let Some(after) = after {
            headers.push(("last-event-id", after.to_string()));
        }
        let response = self.send(Method::GET, &format!("/api/v1{path}"), None, &headers).await?;
        Ok(Events::new(response.into_body()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        headers: &[(&'static str, String)],
    ) -> Result<Response<Incoming>, Failure> {
        let request = self.request(method, path, body, headers)?;
        let sent = async {
            let mut sender = connect::open(&self.base).await?;
            sender.send_request(request).await.map_err(|error| unreachable(&self.base, &error.to_string()))
        };
        let response = tokio::time::timeout(ANSWER_WITHIN, sent).await.map_err(|_| {
            unreachable(&self.base, &format!("no answer within {} s", ANSWER_WITHIN.as_secs()))
        })??;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let bytes = read(response).await?;
        Err(Failure::of_problem(
            status,
            serde_json::from_slice(&bytes).unwrap_or_else(|_| serde_json::json!({})),
        ))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        headers: &[(&'static str, String)],
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let prefix = self.base.path().trim_end_matches('/');
        let host = match (self.base.host_str(), self.base.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => String::new(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{prefix}{path}"))
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("omnihub/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let (kind, bytes) = body.map_or((None, Bytes::new()), |body| (Some(body.kind), body.bytes));
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        request
            .body(Full::new(bytes))
            .map_err(|error| Failure::usage(format!("cannot ask for `{path}`: {error}")))
    }
}

/// A request's body.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) kind: &'static str,
    pub(crate) bytes: Bytes,
}

impl Body {
    pub(crate) fn json(document: &Json) -> Self {
        Self { kind: "application/json", bytes: document.to_string().into() }
    }
}

/// One segment of a path, with everything but plain characters written as percent signs.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // A segment of dots would be taken for a step up.
    if out.chars().all(|c| c == '.') { out.replace('.', "%2E") } else { out }
}

fn parse(bytes: &[u8]) -> Result<Json, Failure> {
    if bytes.is_empty() {
        return Ok(Json::Null);
    }
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::internal(format!("the answer is not JSON: {error}; is this an OmniHub server?"))
    })
}

async fn read(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
    let whole = tokio::time::timeout(ANSWER_WITHIN, body).await.map_err(|_| {
        Failure::new(Exit::Unreachable, "the server stopped in the middle of its answer").code("OH-5030")
    })?;
    let collected = whole.map_err(|error| {
        Failure::new(Exit::Unreachable, format!("cannot read the answer: {error}")).code("OH-5030")
    })?;
    Ok(collected.to_bytes())
}

/// The server cannot be reached.
fn unreachable(base: &Url, why: &str) -> Failure {
    Failure::new(Exit::Unreachable, format!("cannot reach `{base}`: {why}"))
        .code("OH-5030")
        .hint("start a server with `omnihub dev`, or name another one with --address or OMNIHUB_ADDRESS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cannot_leave_their_place() {
        assert_eq!(segment("refund-create:1.0.0"), "refund-create:1.0.0");
        assert_eq!(segment("a/b?c#d"), "a%2Fb%3Fc%23d");
        assert_eq!(segment(".."), "%2E%2E");
    }
}
