//! Names in paths: what cannot be a name does not exist.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use model::Problem;

use super::problem::Refusal;

/// Bytes of one name at the most.
const NAME_BYTES_MAX: usize = 200;

/// The `N` names in the path, in order: 1 to 200 characters of `A-Z a-z 0-9 . _ : + -`, else 404.
pub(crate) struct Segments<const N: usize>(pub(crate) [String; N]);

impl<const N: usize, S: Send + Sync> FromRequestParts<S> for Segments<N> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let missing = || {
            Refusal::of(Problem::new(404, 4040, "not found", "there is nothing at this path")).into_response()
        };
        let given = RawPathParams::from_request_parts(parts, state).await.map_err(|_| missing())?;
        let names: Vec<String> =
            given.iter().map(|(_, value)| value.to_owned()).filter(|name| possible(name)).collect();
        names.try_into().map(Self).map_err(|_| missing())
    }
}

fn possible(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'+' | b'-'))
}

/// A position in a log, from 0; 404 when it is no number.
pub(crate) fn position(text: &str) -> Result<u64, Refusal> {
    text.parse().map_err(|_| Refusal::of(Problem::not_found("position", text)))
}
