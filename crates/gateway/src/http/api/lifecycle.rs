//! `GET /lifecycle`: what the executions of the caller's tenant go through, as it happens, as CloudEvents.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use app::view::Live;
use app::{App, Caller, Since};
use axum::extract::State as Shared;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use futures_util::{StreamExt as _, stream};
use model::principal::Permission;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::executions::events::{HEARTBEAT, STREAM_AGE_MAX};
use super::live::Events;
use crate::State;
use crate::http::Authenticated;
use crate::http::problem::Refusal;
use crate::http::streams::Slot;

/// Executions that are followed at once; beyond that it begins anew, and each is told from its newest step on.
const FOLLOWED_MAX: usize = 10_000;
/// A longer history is not replayed for every step: its reader is told to read it.
const REPLAYED_MAX: u64 = 5_000;

/// Follow the lifecycle events of all executions
///
/// Server-sent events from now on: `event` is the CloudEvent's type, `id` its id, `data` the CloudEvent. An event `resync` says
/// that some are not told here, of one execution (`{"execution_id": …}`) or of any (`{}`): read
/// `/executions/{id}/lifecycle`, which has all of them under the same ids. A stream ends after a quarter of an hour; connect
/// again.
#[utoipa::path(
    get, path = "/lifecycle", operation_id = "lifecycle.follow", tag = "events",
    responses((status = 200, body = Object, content_type = "text/event-stream"))
)]
pub(crate) async fn follow(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
) -> Result<Sse<KeepAliveStream<Events>>, Refusal> {
    caller.demand(Permission::Read)?;
    let feed = Feed {
        _slot: state.shared.streams.open(&caller.principal)?,
        app: state.app.clone(),
        caller,
        changes: state.app.subscribe(),
        stopping: state.shared.stopping.subscribe(),
        ready: VecDeque::from([Event::default().event("open").data("{}")]),
        next: BTreeMap::new(),
        until: tokio::time::Instant::now() + STREAM_AGE_MAX,
    };
    let events = stream::unfold(feed, |mut feed| async { Some((feed.next().await?, feed)) });
    Ok(Sse::new(events.map(Ok).boxed()).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

struct Feed {
    _slot: Slot,
    app: Arc<App>,
    caller: Caller,
    changes: broadcast::Receiver<Live>,
    stopping: watch::Receiver<bool>,
    ready: VecDeque<Event>,
    /// The event of each history that was not told yet.
    next: BTreeMap<String, u64>,
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
                Ok(live) if live.topic == "execution" && live.tenant == self.caller.principal.tenant => {
                    self.tell(&live).await;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    self.next.clear();
                    self.ready.push_back(resync(&serde_json::json!({})));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn tell(&mut self, live: &Live) {
        let next = self.next.get(&live.id).copied();
        if next.is_some_and(|next| live.version <= next) {
            return;
        }
        let of_this = serde_json::json!({ "execution_id": live.id });
        if live.version > REPLAYED_MAX {
            self.next.insert(live.id.clone(), live.version);
            self.ready.push_back(resync(&of_this));
            return;
        }
        let since = next.map_or(Since::Step(live.version), Since::Sequence);
        match self.app.lifecycle_since(&self.caller, &live.id, since).await {
            Ok((events, length)) => {
                if self.next.len() >= FOLLOWED_MAX {
                    self.next.clear();
                }
                self.next.insert(live.id.clone(), length);
                for told in events {
                    let name = |name: &str| told.event[name].as_str().unwrap_or_default().to_owned();
                    let event = Event::default().id(name("id")).event(name("type"));
                    self.ready.extend(event.json_data(&told.event).ok());
                }
            }
            Err(problem) => {
                tracing::debug!(code = %problem.code, "what an execution went through could not be told");
                self.ready.push_back(resync(&of_this));
            }
        }
    }
}

fn resync(data: &serde_json::Value) -> Event {
    Event::default().event("resync").data(data.to_string())
}
