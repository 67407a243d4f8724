//! The live feed of pages: tells which topics changed; the page then asks for itself again.
//!
//! A hint only, like every feed: the first event of each stream makes the page refresh, so nothing that happened
//! between rendering and subscribing is missed, and neither is anything during a lost connection.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use model::TenantId;
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until, timeout_at};

use app::view::Live;

use super::layout::Failure;
use super::session::Session;
use crate::http::streams::Slot;

/// Changes within this time become one event.
const GATHER: Duration = Duration::from_millis(120);
/// A stream ends after this long; the page opens another, which authenticates anew.
const AGE_MAX: Duration = Duration::from_secs(600);
/// A comment this often keeps proxies from closing the stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub(crate) struct Watch {
    #[serde(default)]
    watch: String,
    only: Option<String>,
}

struct Feed {
    live: Receiver<Live>,
    tenant: TenantId,
    topics: BTreeSet<String>,
    only: Option<String>,
    end: Instant,
    greeted: bool,
    _place: Slot,
}

/// `GET /console/live?watch=execution,approval&only=<execution>`
pub(crate) async fn get(
    State(state): State<crate::State>,
    session: Session,
    Query(watch): Query<Watch>,
) -> Response {
    let place = match session.streams.open(&session.caller.principal) {
        Ok(place) => place,
        Err(refusal) => return Failure(*refusal.0).into_response(),
    };
    let feed = Feed {
        live: state.app.subscribe(),
        tenant: session.caller.principal.tenant.clone(),
        topics: watch.watch.split(',').take(16).map(str::to_owned).collect(),
        only: watch.only,
        end: Instant::now() + AGE_MAX,
        greeted: false,
        _place: place,
    };
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response()
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        if !self.greeted {
            self.greeted = true;
            return Some(Event::default().event("changed").data("hello"));
        }
        let mut topics = BTreeSet::new();
        while topics.is_empty() {
            match timeout_at(self.end, self.live.recv()).await.ok()? {
                Ok(live) => self.note(&live, &mut topics),
                Err(RecvError::Lagged(_)) => {
                    topics.insert("all");
                }
                Err(RecvError::Closed) => return None,
            }
        }
        self.gather(&mut topics).await;
        let names: Vec<&str> = topics.into_iter().collect();
        Some(Event::default().event("changed").data(names.join(",")))
    }

    async fn gather(&mut self, topics: &mut BTreeSet<&'static str>) {
        let until = Instant::now() + GATHER;
        // A burst longer than the channel only makes the receiver lag, which counts as a change of everything.
        while let Ok(Ok(live)) = timeout_at(until, self.live.recv()).await {
            self.note(&live, topics);
        }
        sleep_until(until).await;
    }

    fn note(&self, live: &Live, topics: &mut BTreeSet<&'static str>) {
        // Controls hold for every tenant.
        let ours = live.tenant == self.tenant || live.topic == "control";
        let other = live.topic == "execution" && self.only.as_ref().is_some_and(|only| *only != live.id);
        if ours && !other && self.topics.contains(live.topic) {
            topics.insert(live.topic);
        }
    }
}
