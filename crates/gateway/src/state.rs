//! What every handler gets.

use std::sync::Arc;

use app::App;
use axum::extract::FromRef;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Semaphore, watch};

use crate::Settings;
use crate::http::rate::Buckets;
use crate::http::streams::Streams;

/// What every handler gets: the use cases, the limits, and what counts towards them. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// The use cases.
    pub app: Arc<App>,
    /// The limits.
    pub settings: Arc<Settings>,
    pub(crate) shared: Arc<Shared>,
}

/// Counters of this process. Memory only: they may vanish at any time.
pub(crate) struct Shared {
    pub(crate) requests: Arc<Semaphore>,
    /// Of these, what goals may take.
    pub(crate) goals: Arc<Semaphore>,
    /// Beside them, what only acts of people may take.
    pub(crate) acts: Arc<Semaphore>,
    pub(crate) tokens: Buckets,
    pub(crate) strangers: Buckets,
    pub(crate) streams: Arc<Streams>,
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) stopping: watch::Sender<bool>,
}

impl State {
    /// A state for `app`; `metrics` is what `/metrics` shows (404 when absent).
    pub fn new(app: Arc<App>, settings: Settings, metrics: Option<PrometheusHandle>) -> Self {
        let shared = Shared {
            requests: Arc::new(Semaphore::new(settings.requests_max)),
            goals: Arc::new(Semaphore::new((settings.requests_max - settings.requests_max / 4).max(1))),
            acts: Arc::new(Semaphore::new(settings.requests_max / 8 + 1)),
            tokens: Buckets::new(settings.rate_per_second, settings.rate_burst),
            strangers: Buckets::new(settings.rate_per_second, settings.rate_burst),
            streams: Streams::new(settings.streams_max, settings.streams_per_principal_max),
            metrics,
            stopping: watch::Sender::new(false),
        };
        Self { app, settings: Arc::new(settings), shared: Arc::new(shared) }
    }
}

impl FromRef<State> for Arc<App> {
    fn from_ref(state: &State) -> Self {
        state.app.clone()
    }
}
