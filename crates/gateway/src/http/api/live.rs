//! `GET /live`: what changes in the caller's tenant, as it changes.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::State as Shared;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use futures_util::{Stream, StreamExt as _, stream};
use model::TenantId;
use model::principal::Permission;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use utoipa::ToSchema;

use super::executions::events::{HEARTBEAT, STREAM_AGE_MAX};
use crate::State;
use crate::http::Authenticated;
use crate::http::problem::Refusal;
use crate::http::streams::Slot;

/// Something changed: load what it points at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Change {
    /// `execution`, `approval`, `control`, `dead-letter`, `workflow`, `action` or `policy`.
    topic: &'static str,
    /// Its id or name.
    id: String,
    /// Number of events of the execution, for `execution`.
    version: u64,
}

/// Follow what changes
///
/// Server-sent events, named by topic. They are hints: load what they point at. An event `resync` says that some
/// may have been missed. A stream ends after a quarter of an hour; connect again.
#[utoipa::path(
    get, path = "/live", operation_id = "live.follow", tag = "overview",
    responses((status = 200, body = Change, content_type = "text/event-stream"))
)]
pub(crate) async fn follow(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
) -> Result<Sse<KeepAliveStream<Events>>, Refusal> {
    caller.demand(Permission::Read)?;
    let feed = Feed {
        _slot: state.shared.streams.open(&caller.principal)?,
        tenant: caller.principal.tenant.clone(),
        changes: state.app.subscribe(),
        stopping: state.shared.stopping.subscribe(),
        ready: VecDeque::from([Event::default().event("open").data("{}")]),
        until: tokio::time::Instant::now() + STREAM_AGE_MAX,
    };
    let events = stream::unfold(feed, |mut feed| async { Some((feed.next().await?, feed)) });
    Ok(Sse::new(events.map(Ok).boxed()).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// A stream of events on its way out.
pub(crate) type Events = std::pin::Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>;

struct Feed {
    _slot: Slot,
    tenant: TenantId,
    changes: broadcast::Receiver<app::view::Live>,
    stopping: watch::Receiver<bool>,
    ready: VecDeque<Event>,
    until: tokio::time::Instant,
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let change = tokio::select! {
                change = self.changes.recv() => change,
                _ = self.stopping.wait_for(|stop| *stop) => return None,
                () = tokio::time::sleep_until(self.until) => return None,
            };
            match change {
                // Controls are the platform's: they concern every tenant.
                Ok(live) if live.tenant == self.tenant || live.topic == "control" => {
                    let change = Change { topic: live.topic, id: live.id, version: live.version };
                    self.ready.extend(Event::default().event(change.topic).json_data(&change).ok());
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    self.ready.push_back(Event::default().event("resync").data("{}"))
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
