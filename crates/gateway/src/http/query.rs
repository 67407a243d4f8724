//! Query parameters: only known ones, each once, well encoded, of the right type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::Problem;
use serde::de::DeserializeOwned;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};

use super::problem::Refusal;

/// Parameters of one request at the most.
const PARAMETERS_MAX: usize = 32;

/// Typed query parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let reader = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let name = error.path().to_string();
            refusal(&name, error.inner().to_string()).into_response()
        })
    }
}

/// A time to wait, as an ISO 8601 duration of `longest` at the most.
pub(crate) fn wait(text: &str, longest: Duration) -> Result<Duration, Refusal> {
    let given = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    given.filter(|wait| *wait <= longest).ok_or_else(|| {
        let message = format!("write an ISO 8601 duration of PT{}S at the most", longest.as_secs());
        Refusal::of(
            Problem::new(400, 4002, "bad parameter", format!("`wait`: {message}")).field("wait", message),
        )
    })
}

/// Operations and the query parameters that each one knows, from the published description.
static KNOWN: LazyLock<BTreeMap<(String, &'static str), BTreeSet<String>>> = LazyLock::new(|| {
    let mut known = BTreeMap::new();
    for (path, item) in crate::openapi().paths.paths {
        for (method, operation) in operations(&item) {
            let names =
                operation.parameters.iter().flatten().filter(|p| p.parameter_in == ParameterIn::Query);
            known.insert((path.clone(), method), names.map(|p| p.name.clone()).collect());
        }
    }
    known
});

/// The operations of a path with their methods.
pub(crate) fn operations(item: &PathItem) -> Vec<(&'static str, &Operation)> {
    [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("PATCH", &item.patch),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
    .collect()
}

/// Refuses parameters that the operation does not know: a misspelt filter must not mean "everything".
pub(crate) async fn check(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let known = path.and_then(|path| {
        KNOWN
            .iter()
            .find(|((known, m), _)| known == path.as_str() && *m == method.as_str())
            .map(|(_, names)| names)
    });
    let Some(known) = known else { return next.run(request).await };
    match names(request.uri().query().unwrap_or_default(), known) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn names(query: &str, known: &BTreeSet<String>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(_)) = (decoded(name), decoded(value)) else {
            let shown: String = name.chars().take(64).collect();
            return Err(refusal(&shown, "is not well encoded: use UTF-8, percent-encoded, without NUL"));
        };
        let shown: String = name.chars().take(64).collect();
        if !known.contains(&name) {
            let list: Vec<&str> = known.iter().map(String::as_str).collect();
            let list = if list.is_empty() {
                "it takes none".to_owned()
            } else {
                format!("it takes {}", list.join(", "))
            };
            return Err(refusal(&shown, format!("is not a parameter of this operation; {list}")));
        }
        if !seen.insert(name) || seen.len() > PARAMETERS_MAX {
            return Err(refusal(&shown, "is given twice"));
        }
    }
    Ok(())
}

fn refusal(name: &str, message: impl Into<String>) -> Refusal {
    let message = message.into();
    Refusal::of(Problem::new(400, 4002, "bad parameter", format!("`{name}`: {message}")).field(name, message))
}

/// Strict percent-decoding of a form value.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// Pages: how many items, and where to go on.
#[derive(Debug, Clone, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items at the most, 1 to 500; 50 when absent.
    #[param(minimum = 1, maximum = 500, example = 50)]
    pub(crate) limit: Option<u32>,
    /// The `next` of the page before.
    pub(crate) cursor: Option<String>,
}

/// Items of a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Items of a page at the most.
const LIMIT_MAX: u32 = 500;

/// The number of items that the caller wants (OH-4002 when out of range).
pub(crate) fn limit(given: Option<u32>) -> Result<u32, Refusal> {
    match given {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(refusal("limit", format!("write 1 to {LIMIT_MAX}"))),
    }
}

/// A moment given as RFC 3339 (OH-4002 when it is not one).
pub(crate) fn moment(name: &str, given: Option<String>) -> Result<Option<model::Timestamp>, Refusal> {
    given
        .map(|text| {
            model::Timestamp::parse(&text)
                .ok_or_else(|| refusal(name, "write a moment such as 2026-11-20T12:00:00Z"))
        })
        .transpose()
}

/// One of several words, or none (OH-4002 when it is another).
pub(crate) fn word(name: &str, given: Option<&str>, words: &[&str]) -> Result<Option<String>, Refusal> {
    match given {
        None => Ok(None),
        Some(text) if words.contains(&text) => Ok(Some(text.to_owned())),
        Some(_) => Err(refusal(name, format!("write one of {}", words.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_well_encoded_single_parameters_pass() {
        let known: BTreeSet<String> = ["limit".to_owned(), "q".to_owned()].into();
        for good in ["", "limit=1", "q=%C3%A4&limit=5", "&&q=a+b&"] {
            assert!(names(good, &known).is_ok(), "{good}");
        }
        for (bad, field) in
            [("lmit=1", "lmit"), ("q=%ff", "q"), ("q=%0", "q"), ("q=%00", "q"), ("q=1&q=2", "q"), ("%=", "%")]
        {
            let problem = names(bad, &known).unwrap_err().0;
            assert_eq!((problem.status, problem.fields[0].field.as_str()), (400, field), "{bad}");
        }
    }
}
