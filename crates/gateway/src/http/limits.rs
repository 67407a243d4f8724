//! How many requests are at work at once, and how long each one may take.

use std::time::Duration;

use axum::extract::{Request, State as Shared};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::Problem;

use super::problem::Refusal;
use crate::State;

/// Sheds load: a request beyond the limit is answered at once, so that those at work can end.
pub(crate) async fn admit(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    match state.shared.requests.clone().try_acquire_owned() {
        Ok(_held) => next.run(request).await,
        Err(_) => {
            metrics::counter!("http_requests_shed_total").increment(1);
            let detail = "the server is at its limit of requests at once; try again in a second";
            Refusal::of(Problem::new(503, 5002, "overloaded", detail)).into_response()
        }
    }
}

/// Ends a request that takes too long. Work that it has made durable goes on; only the answer is given up.
pub(crate) async fn deadline(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let settings = &state.settings;
    let limit = settings.request_timeout + if waits(&request) { settings.wait_max } else { Duration::ZERO };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail =
                format!("no answer within {} s; what was accepted goes on, look it up", limit.as_secs());
            Refusal::of(Problem::new(503, 5031, "took too long", detail)).into_response()
        }
    }
}

fn waits(request: &Request) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("wait=")))
}
