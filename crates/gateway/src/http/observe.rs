//! What surrounds every request: its id, its trace, its log line, its metrics, its headers, and a net for panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use model::{Principal, Problem};
use tracing::Instrument as _;

use super::problem::{Refusal, Shed, render};

/// The header that ties a request to its log lines and audit records.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a request id at the most.
const REQUEST_ID_MAX: usize = 128;

/// The id of a request: the caller's when it is well formed, else a new one.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// Who made a request, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    principal: String,
    tenant: String,
}

impl Who {
    pub(crate) fn of(principal: &Principal) -> Self {
        Self { principal: principal.id.to_string(), tenant: principal.tenant.to_string() }
    }
}

/// The outermost layer of both listeners.
pub(crate) async fn observe(path: Option<MatchedPath>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route: Arc<str> = path.as_ref().map_or("unmatched", MatchedPath::as_str).into();
    let method = method(request.method());
    let id = request_id(request.headers());
    let value = HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("-"));
    request.headers_mut().insert(REQUEST_ID, value.clone());
    request.extensions_mut().insert(RequestId(id.clone()));
    let trace = trace_id(request.headers()).unwrap_or_default();
    let span = tracing::info_span!("request", request_id = &*id, trace_id = trace);

    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span).await;
    let response =
        answered.unwrap_or_else(|panic| Refusal::of(Problem::machine(told(&panic))).into_response());
    let mut response = render(response, &id);
    secure(response.headers_mut());
    response.headers_mut().insert(REQUEST_ID, value);

    let status = response.status().as_u16();
    let latency = started.elapsed();
    let who = response.extensions_mut().remove::<Who>();
    // A line for each refused request would cost what refusing them is to save; they are counted below.
    if response.extensions_mut().remove::<Shed>().is_none() {
        tracing::info!(
            target: "access",
            request_id = &*id,
            trace_id = trace,
            method,
            route = &*route,
            status,
            latency_ms = latency.as_secs_f64() * 1_000.0,
            principal = who.as_ref().map_or("", |who| &who.principal),
            tenant = who.as_ref().map_or("", |who| &who.tenant),
        );
    }
    let status = status.to_string();
    metrics::counter!("http_requests_total", "route" => route.clone(), "method" => method, "status" => status).increment(1);
    metrics::histogram!("http_request_duration_seconds", "route" => route, "method" => method)
        .record(latency);
    response
}

fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_else(|| "no message".into()))
}

/// Known methods by name; anything else as one word, so that callers cannot make metrics grow.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'))
    });
    given.map_or_else(|| uuid::Uuid::now_v7().to_string().into(), Into::into)
}

/// The trace id of a W3C `traceparent`.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let [version, trace, parent, flags, ..] = parts[..] else { return None };
    let fine = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (fine && trace.bytes().any(|b| b != b'0')).then(|| trace.to_owned())
}

/// Headers that every answer has; a page may have set its own before.
fn secure(headers: &mut HeaderMap) {
    let defaults = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn a_well_formed_request_id_is_kept_and_any_other_replaced() {
        assert_eq!(&*request_id(&headers("x-request-id", "abc-1.2:3_4")), "abc-1.2:3_4");
        for bad in ["", "a b", "a\"b", "ä", &"x".repeat(129)] {
            let id = request_id(&headers("x-request-id", bad));
            assert_ne!(&*id, bad);
            assert_eq!(id.len(), 36);
        }
    }

    #[test]
    fn a_trace_id_is_read_from_a_valid_traceparent_only() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(
            trace_id(&headers("traceparent", good)).as_deref(),
            Some("4bf92f3577b34da6a3ce929d0e0e4736")
        );
        let zero = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for bad in [
            "",
            "00",
            "00-4bf9-00f067aa0ba902b7-01",
            &zero,
            &good.to_uppercase(),
            &good.replace("00-4b", "ff-4b"),
        ] {
            assert_eq!(trace_id(&headers("traceparent", bad)), None, "{bad}");
        }
    }
}
