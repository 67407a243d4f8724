//! `/events`: CloudEvents in, and what came.

use std::sync::Arc;

use app::App;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::http::Authenticated;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::query::{self, Query};
use crate::http::wire::{Page, moment};

/// Bytes of a request at the most: a hundred events of 64 KiB would be more than anybody needs at once.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// An event that was taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventAccepted {
    /// Its source.
    source: String,
    /// Its id.
    id: String,
    /// True when it had come before: nothing was changed.
    repeated: bool,
}

/// Events that were taken in, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventsAccepted {
    /// One for each event.
    items: Vec<EventAccepted>,
}

/// An event that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    /// Its place in the order of arrival.
    key: String,
    /// When it came.
    at: String,
    /// Who sent it, or asked for the execution that published it.
    by: String,
    /// The execution that published it.
    execution: Option<String>,
    /// The CloudEvent.
    #[schema(value_type = Object)]
    event: Value,
}

impl From<app::KeptEvent> for Event {
    fn from(kept: app::KeptEvent) -> Self {
        Self {
            key: kept.key,
            at: moment(kept.at),
            by: kept.by.to_string(),
            execution: kept.execution.map(|id| id.to_string()),
            event: kept.event,
        }
    }
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// Only of this `type`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Items at the most, 1 to 500; 50 when absent. With `type` a page may be shorter.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Take CloudEvents in
///
/// CloudEvents 1.0 over HTTP: one event in structured mode (`application/cloudevents+json`) or binary mode (`ce-*` headers, JSON
/// or text as the body), or a list of at most 100 (`application/cloudevents-batch+json`). Each is durable when this answers. The
/// same source and id change nothing for seven days.
#[utoipa::path(
    post, path = "/events", operation_id = "events.publish", tag = "events",
    request_body(
        content = Object, content_type = "application/cloudevents+json",
        example = json!({
            "specversion": "1.0", "source": "https://shop.example", "id": "order-7-paid", "type": "shop.order.paid",
            "data": {"orderId": "7"}
        })
    ),
    responses(
        (status = 202, body = EventsAccepted),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "an event is refused (OH-2180), or its content is (OH-3020)")
    )
)]
pub(crate) async fn publish(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<EventsAccepted>), Refusal> {
    let bytes = to_bytes(body, BYTES_MAX).await.map_err(|_| {
        let detail = format!("the body may have {BYTES_MAX} bytes");
        Problem::new(413, 4130, "body too large", detail)
    })?;
    let events = read(&headers, &bytes)?;
    let accepted = app.publish_events(&caller, events).await?;
    let items = accepted
        .into_iter()
        .map(|event| EventAccepted { source: event.source, id: event.id, repeated: event.repeated })
        .collect();
    Ok((StatusCode::ACCEPTED, Json(EventsAccepted { items })))
}

/// List events in the order in which they came
///
/// Events are kept for seven days.
#[utoipa::path(
    get, path = "/events", operation_id = "events.list", tag = "events", params(Search),
    responses((status = 200, body = Page<Event>))
)]
pub(crate) async fn list(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    Query(search): Query<Search>,
) -> Answer<Page<Event>> {
    let limit = query::limit(search.limit)?;
    let page = app.events(&caller, search.kind.as_deref(), search.cursor.as_deref(), limit).await?;
    Ok(Json(Page::of(page)))
}

fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<Vec<Value>, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/cloudevents+json" => Ok(vec![json(bytes)?]),
        "application/cloudevents-batch+json" => match json(bytes)? {
            Value::Array(events) => Ok(events),
            _ => Err(refused("a batch is a list of events")),
        },
        _ if headers.contains_key("ce-id") => Ok(vec![binary(headers, &kind, bytes)?]),
        "application/json" => Ok(vec![json(bytes)?]),
        _ => Err(Problem::new(
            415,
            4150,
            "unsupported content type",
            "send `application/cloudevents+json`, `application/cloudevents-batch+json`, or `ce-` headers with a JSON or text body",
        )),
    }
}

fn json(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| refused(&format!("the body is not JSON: {error}")))
}

/// Binary mode: the attributes are headers, the body is the data.
fn binary(headers: &HeaderMap, kind: &str, bytes: &[u8]) -> Result<Value, Problem> {
    let mut event = Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        let text = value.to_str().map_err(|_| refused(&format!("the header `{name}` is not text")))?;
        let decoded =
            percent_decoded(text).ok_or_else(|| refused(&format!("the header `{name}` is not text")))?;
        event.insert(attribute.to_owned(), Value::String(decoded));
    }
    if !kind.is_empty() {
        event.insert("datacontenttype".to_owned(), Value::String(kind.to_owned()));
    }
    if !bytes.is_empty() {
        let data = if kind == "application/json" || kind.ends_with("+json") {
            json(bytes)?
        } else {
            let text =
                std::str::from_utf8(bytes).map_err(|_| refused("the body is neither JSON nor text"))?;
            Value::String(text.to_owned())
        };
        event.insert("data".to_owned(), data);
    }
    Ok(Value::Object(event))
}

/// Header values may be percent-encoded.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn refused(detail: &str) -> Problem {
    Problem::new(422, 2180, "event refused", detail)
}
