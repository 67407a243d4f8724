//! `GET /executions/{id}/events`: the history as it is written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use app::{App, Caller};
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use futures_util::{StreamExt as _, stream};
use model::Problem;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::super::live::Events;
use super::wire::HistoryEntry;
use crate::State;
use crate::http::Authenticated;
use crate::http::problem::Refusal;
use crate::http::segments::Segments;
use crate::http::streams::Slot;

/// A comment is sent so often when nothing happens, so that dead connections are noticed.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this long; its reader connects again, and is authenticated again.
pub(crate) const STREAM_AGE_MAX: Duration = Duration::from_secs(15 * 60);
/// The history is read again after this long even when no hint came: hints may vanish.
const RESYNC_EVERY: Duration = Duration::from_secs(10);
/// Events that are read at once.
const READ_MAX: u32 = 100;

/// Follow an execution
///
/// Server-sent events: every event of the history from its beginning (or after `Last-Event-ID`), then each new one.
/// `id` is the sequence, `event` the kind, `data` the entry. An event `end` closes the stream of an execution that
/// has ended. A stream ends after a quarter of an hour in any case; connect again with `Last-Event-ID`.
#[utoipa::path(
    get, path = "/{id}/events", operation_id = "executions.follow", tag = "executions",
    params(
        ("id" = String, Path, description = "The execution's id"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The sequence of the last event that was seen"),
    ),
    responses((status = 200, body = HistoryEntry, content_type = "text/event-stream"))
)]
pub(crate) async fn follow(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    headers: HeaderMap,
) -> Result<Sse<KeepAliveStream<Events>>, Refusal> {
    let Segments([id]) = segments;
    let next = after(&headers)?;
    // Subscribe first: what is written between the first read and the first wait must not be missed.
    let changes = state.app.subscribe();
    let view = state.app.execution(&caller, &id).await?;
    let tail = Tail {
        _slot: state.shared.streams.open(&caller.principal)?,
        app: state.app.clone(),
        caller,
        id,
        changes,
        stopping: state.shared.stopping.subscribe(),
        ready: VecDeque::new(),
        next,
        ended: view.summary.ended_at.is_some(),
        done: false,
        until: tokio::time::Instant::now() + STREAM_AGE_MAX,
    };
    let events = stream::unfold(tail, |mut tail| async { Some((tail.next().await?, tail)) });
    Ok(Sse::new(events.map(Ok).boxed()).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn after(headers: &HeaderMap) -> Result<u64, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(0) };
    let last = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
    last.and_then(|last| last.checked_add(1)).ok_or_else(|| {
        let detail = "`Last-Event-ID` is the sequence of an event: a whole number";
        Refusal::of(Problem::new(400, 4002, "bad parameter", detail).field("Last-Event-ID", detail))
    })
}

/// Where one reader is in one history.
struct Tail {
    _slot: Slot,
    app: Arc<App>,
    caller: Caller,
    id: String,
    changes: broadcast::Receiver<app::view::Live>,
    stopping: watch::Receiver<bool>,
    ready: VecDeque<Event>,
    next: u64,
    ended: bool,
    done: bool,
    until: tokio::time::Instant,
}

impl Tail {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.done {
                return None;
            }
            if self.read().await? {
                continue;
            }
            if self.ended {
                self.done = true;
                return Some(Event::default().event("end").data("{}"));
            }
            self.wait().await?;
        }
    }

    /// Reads what is new; true when there was something. None ends the stream.
    async fn read(&mut self) -> Option<bool> {
        let page = match self.app.history(&self.caller, &self.id, self.next, READ_MAX).await {
            Ok(page) => page,
            Err(problem) => {
                tracing::debug!(code = %problem.code, "an event stream ended early");
                return None;
            }
        };
        for entry in page.items.into_iter().filter(|entry| entry.sequence >= self.next).collect::<Vec<_>>() {
            self.next = entry.sequence + 1;
            // A retry goes on after an end: the newest entry decides.
            self.ended = entry.kind == "ended";
            let event = Event::default().id(entry.sequence.to_string()).event(entry.kind.clone());
            self.ready.extend(event.json_data(HistoryEntry::from(entry)).ok());
        }
        Some(!self.ready.is_empty())
    }

    /// Waits for a hint, or for the time to look without one. None ends the stream.
    async fn wait(&mut self) -> Option<()> {
        let resync = tokio::time::Instant::now() + RESYNC_EVERY;
        loop {
            tokio::select! {
                change = self.changes.recv() => match change {
                    Ok(live) if live.topic == "execution" && live.id == self.id => return Some(()),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return Some(()),
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep_until(resync) => {
                    return (tokio::time::Instant::now() < self.until).then_some(());
                }
                _ = self.stopping.wait_for(|stop| *stop) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_after_the_last_event() {
        let with = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", text.parse().unwrap());
            after(&headers).map_err(|refusal| refusal.0.status)
        };
        assert_eq!(after(&HeaderMap::new()).ok(), Some(0));
        assert_eq!(with("0"), Ok(1));
        assert_eq!(with("41"), Ok(42));
        for bad in ["", "-1", "x", "18446744073709551615"] {
            assert_eq!(with(bad), Err(400), "{bad}");
        }
    }
}
