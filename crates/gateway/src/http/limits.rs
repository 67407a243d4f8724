//! How many requests are at work at once, and how long each one may take.

use std::time::Duration;

use app::admission::AtWork;
use axum::extract::{FromRequestParts, Request, State as Shared};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::Problem;

use super::Authenticated;
use super::problem::Refusal;
use crate::State;

/// Where goals come in.
const GOALS: &str = "/api/v1/goals";

/// Sheds load: a request beyond the limit is answered at once, so that those at work can end. Goals leave a quarter of
/// the places to everything else; and what stops, decides or changes something finds places that nothing else takes.
pub(crate) async fn admit(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let goal = request.uri().path() == GOALS;
    let acts = !goal && !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let shared = &state.shared;
    let of_goals = if goal { shared.goals.clone().try_acquire_owned().ok() } else { None };
    if goal && of_goals.is_none() {
        return shed();
    }
    let place = shared.requests.clone().try_acquire_owned().ok();
    let place = place.or_else(|| if acts { shared.acts.clone().try_acquire_owned().ok() } else { None });
    match place {
        Some(_held) => next.run(request).await,
        None => shed(),
    }
}

fn shed() -> Response {
    metrics::counter!("http_requests_shed_total").increment(1);
    let detail = "the server is at its limit of requests at once; try again in a second";
    Refusal::of(Problem::new(503, 5002, "overloaded", detail)).into_response()
}

/// Says that the house takes another goal. Looked at before the body is read, so that a refusal costs little.
pub(crate) struct Admitted(pub(crate) Option<AtWork>);

impl FromRequestParts<State> for Admitted {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        let Some(Authenticated(caller)) = parts.extensions.get::<Authenticated>() else {
            return Ok(Self(None));
        };
        match state.app.admit_goal(&caller.principal.tenant) {
            Ok(admitted) => Ok(Self(Some(admitted))),
            Err(problem) => Err(Refusal::of(problem).into_response()),
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
