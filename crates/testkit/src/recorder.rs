//! An outside that remembers every request to the byte and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// Largest body that is remembered, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// For example `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Seen {
    /// A header's value; empty when it did not come.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers; without a `content-type` the body is JSON.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// JSON with a status.
    pub fn new(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned() }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Looks at a request and all that came before it, and answers it; none leaves it to the replies by path.
type Answering = Box<dyn Fn(&Seen, &[Seen]) -> Option<Reply> + Send>;

#[derive(Default)]
struct Inner {
    seen: Mutex<Vec<Seen>>,
    replies: Mutex<BTreeMap<String, VecDeque<Reply>>>,
    answering: Mutex<Option<Answering>>,
}

/// A running recorder. Paths without a reply answer 200 `{"ok":true}`.
#[derive(Clone)]
pub struct Recorder {
    /// Where it listens.
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

impl Recorder {
    /// Starts on a free loopback port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// Answers requests to a path with these, one after the other; the last one stays.
    pub fn reply(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.inner.replies.lock().insert(path.to_owned(), replies.into_iter().collect());
    }

    /// Answers by what came before, for an outside that tells the truth about itself.
    pub fn answer_by(&self, answering: impl Fn(&Seen, &[Seen]) -> Option<Reply> + Send + 'static) {
        *self.inner.answering.lock() = Some(Box::new(answering));
    }

    /// Every request so far, in order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().clone()
    }

    /// Requests to a path, in order of arrival.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path == path).collect()
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let request = Seen {
        method: head.method.to_string(),
        path: path.clone(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    let known = {
        let mut seen = inner.seen.lock();
        let answering = inner.answering.lock();
        let known = answering.as_ref().and_then(|answer| answer(&request, &seen));
        seen.push(request);
        known
    };
    let told = match inner.replies.lock().get_mut(&path) {
        Some(replies) if replies.len() > 1 => replies.pop_front(),
        Some(replies) => replies.front().cloned(),
        None => None,
    };
    let reply = known.or(told).unwrap_or_else(|| Reply::new(200, "{\"ok\":true}"));
    let mut response = Response::builder().status(reply.status);
    if reply.headers.iter().all(|(name, _)| name != "content-type") {
        response = response.header("content-type", "application/json");
    }
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("a test's reply is a response")
}
