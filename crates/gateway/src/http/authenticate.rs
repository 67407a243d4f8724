//! Who calls: before the body is read and before anything is looked up.

use std::net::SocketAddr;
use std::time::Instant;

use app::Caller;
use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts, Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::principal::PrincipalKind;
use model::{Digest, Problem};

use super::observe::{RequestId, Who};
use super::problem::Refusal;
use crate::State;

/// Bytes of a token at the most.
const TOKEN_BYTES_MAX: usize = 1_024;
/// Characters of a user agent that are kept.
const AGENT_CHARS_MAX: usize = 200;

/// The caller of a request, known by a bearer token. Without one the request is refused (401 OH-4010).
#[derive(Debug, Clone)]
pub struct Authenticated(pub Caller);

impl FromRequestParts<State> for Authenticated {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        if let Some(known) = parts.extensions.get::<Authenticated>() {
            return Ok(known.clone());
        }
        let caller = identify(parts, state).await.map_err(IntoResponse::into_response)?;
        parts.extensions.insert(Authenticated(caller.clone()));
        Ok(Self(caller))
    }
}

/// For routes that are open but tell more to a known caller. A wrong token is refused, none is fine.
impl OptionalFromRequestParts<State> for Authenticated {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Option<Self>, Response> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<State>>::from_request_parts(parts, state).await.map(Some)
    }
}

/// Refuses everything under `/api` that comes without a good token, known path or not; then counts it.
pub(crate) async fn guard(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/api") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let caller = match identify(&parts, &state).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    let who = Who::of(&caller.principal);
    parts.extensions.insert(Authenticated(caller));
    let mut response = next.run(Request::from_parts(parts, body)).await;
    response.extensions_mut().insert(who);
    response
}

async fn identify(parts: &Parts, state: &State) -> Result<Caller, Refusal> {
    let token = match bearer(&parts.headers) {
        Ok(token) => token,
        Err(refusal) => return Err(stranger(parts, state, refusal)),
    };
    // A token's bucket is filled by its holder only; guesses draw from the bucket of their address.
    let principal = match state.app.authenticate(token).await {
        Ok(principal) => principal,
        Err(problem) if problem.status == 401 => return Err(stranger(parts, state, problem.into())),
        Err(problem) => return Err(problem.into()),
    };
    state.shared.tokens.take(Digest::of(token.as_bytes()), Instant::now()).map_err(too_many)?;
    Ok(Caller {
        address: address(parts),
        agent: text(&parts.headers, header::USER_AGENT)
            .map(|agent| agent.chars().take(AGENT_CHARS_MAX).collect()),
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default(),
        principal,
    })
}

/// The refusal of a caller who is not known, or the refusal to be asked so often.
fn stranger(parts: &Parts, state: &State, refusal: Refusal) -> Refusal {
    metrics::counter!("http_authentication_failures_total").increment(1);
    let address = address(parts).unwrap_or_default();
    match state.shared.strangers.take(Digest::of(address.as_bytes()), Instant::now()) {
        Ok(()) => refusal,
        Err(wait) => too_many(wait),
    }
}

fn too_many(wait: std::time::Duration) -> Refusal {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    let detail = format!("more requests than the limit allows; try again in {wait_ms} ms");
    Refusal::of(Problem::new(429, 4290, "too many requests", detail).with("retry_after_ms", wait_ms.into()))
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let refuse = |detail: &str| Refusal::of(Problem::new(401, 4010, "not authenticated", detail));
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (given.next(), given.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(refuse("send `Authorization: Bearer <token>`")),
        (Some(_), Some(_)) => return Err(refuse("send one `Authorization` header, not several")),
    };
    let token = HeaderValue::to_str(value)
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match token {
        Some(token) if !token.is_empty() && token.len() <= TOKEN_BYTES_MAX => Ok(token),
        _ => Err(refuse("the `Authorization` header is not `Bearer <token>`")),
    }
}

fn address(parts: &Parts) -> Option<String> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip().to_string())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The kind of a principal, as the API writes it.
pub(crate) fn kind(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::Service => "service",
        PrincipalKind::Agent => "agent",
        PrincipalKind::System => "system",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_well_formed_bearer_token_is_taken() {
        let cases: [(&[&str], Option<&str>); 8] = [
            (&["Bearer omh_1"], Some("omh_1")),
            (&["bearer omh_1"], Some("omh_1")),
            (&[], None),
            (&["Bearer "], None),
            (&["Bearer"], None),
            (&["Basic abc"], None),
            (&["Bearer a", "Bearer b"], None),
            (&[""], None),
        ];
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(bearer(&headers).ok(), expected, "{given:?}");
        }
        let mut headers = HeaderMap::new();
        let long = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        headers.append(header::AUTHORIZATION, HeaderValue::from_str(&long).unwrap());
        assert_eq!(bearer(&headers).map_err(|refusal| refusal.0.status), Err(401));
    }
}
