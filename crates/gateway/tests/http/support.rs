//! A server for one test, a client for it, and the list of operations that the walkers walk.

use std::net::SocketAddr;
use std::sync::Arc;

use app::{App, Parts, RandomIds, SystemClock};
use bytes::Bytes;
use gateway::{Settings, State};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running server with an administrator's token.
pub struct Server {
    pub address: SocketAddr,
    pub admin: String,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One operation of the published description.
pub struct Operation {
    pub method: Method,
    /// With `{names}`.
    pub path: String,
    pub id: String,
    /// A body that the operation understands, when it takes one.
    pub body: Option<(String, String)>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Settings { rate_per_second: 100_000, rate_burst: 100_000, ..Settings::default() }).await
    }

    pub async fn with(settings: Settings) -> Self {
        Self::serving(settings, gateway::router).await
    }

    /// The admin port alone.
    pub async fn admin() -> Self {
        Self::serving(Settings::default(), gateway::admin_router).await
    }

    async fn serving(settings: Settings, router: fn(State) -> axum::Router) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = store::SqliteStore::open(directory.path(), Arc::new(SystemClock)).unwrap();
        let parts = Parts { store, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds::default()) };
        let app = App::open(app::Settings::default(), parts).await.unwrap();
        let mut admin = String::new();
        let keep = |token: &str| {
            token.clone_into(&mut admin);
            Ok(())
        };
        app.first_administrator(keep).await.unwrap();
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let state = State::new(app, settings, Some(metrics));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            gateway::serve(listener, router(state.clone()), state, stopped).await.unwrap();
        });
        Self { address, admin, stop: Some(stop), served: Some(served), _directory: directory }
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(&mut self) {
        drop(self.stop.take());
        self.served.take().unwrap().await.unwrap();
    }

    /// Sends a request and answers as soon as the head is there.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = self.open(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(request(Method::GET, path, Some(token), None)).await
    }

    pub async fn post(&self, token: &str, path: &str, body: Json) -> Answer {
        let body = Some(("application/json", Bytes::from(body.to_string())));
        self.send(request(Method::POST, path, Some(token), body)).await
    }

    /// A token of the administrator's tenant with these roles.
    pub async fn token(&self, principal: &str, roles: &[&str]) -> String {
        let body = json!({"principal": principal, "kind": "user", "roles": roles});
        let answer = self.post(&self.admin, "/api/v1/tokens", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["secret"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks that this is a whole problem document with a status between 400 and 499.
    pub fn refused(&self, at: &str) -> Json {
        assert!((400..500).contains(&self.status), "{at}: {} {}", self.status, self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{at}: {}", self.text());
        let problem = self.json();
        for member in ["type", "title", "detail", "code", "instance"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{at}: no `{member}`: {problem}"
            );
        }
        assert_eq!(problem["status"], self.status, "{at}");
        assert_eq!(problem["instance"], self.header("x-request-id"), "{at}");
        problem
    }
}

pub fn request(
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<(&str, Bytes)>,
) -> Request<Full<Bytes>> {
    let (kind, bytes) = body.map_or((None, Bytes::new()), |(kind, bytes)| (Some(kind.to_owned()), bytes));
    let mut request = Request::new(Full::new(bytes));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    if let Some(kind) = kind {
        request.headers_mut().insert("content-type", kind.parse().unwrap());
    }
    request
}

/// Every operation below `/api`, from the published description.
pub fn operations() -> Vec<Operation> {
    let api = serde_json::to_value(gateway::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/"))
    {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
            let Some(id) = operation["operationId"].as_str() else { continue };
            all.push(Operation {
                method,
                path: path.clone(),
                id: id.to_owned(),
                body: example(&api, operation),
            });
        }
    }
    assert!(all.len() >= 50, "only {} operations", all.len());
    all
}

/// The path with every name replaced.
pub fn filled(path: &str, name: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { name } else { part }).collect::<Vec<_>>().join("/")
}

fn example(api: &Json, operation: &Json) -> Option<(String, String)> {
    let content = operation["requestBody"]["content"].as_object()?;
    let found = content.iter().find_map(|(kind, media)| {
        let reference = media["schema"]["$ref"].as_str().and_then(|r| api.pointer(r.trim_start_matches('#')));
        let named =
            media["examples"].as_object().and_then(|all| all.values().next()).map(|one| &one["value"]);
        let example = named
            .or_else(|| media.get("example"))
            .or_else(|| reference.and_then(|schema| schema.get("example")));
        Some((kind, example?))
    });
    let (kind, example) =
        found.unwrap_or_else(|| panic!("{} has a body without an example", operation["operationId"]));
    let text = match (kind.as_str(), example) {
        ("application/json", json) => json.to_string(),
        (_, Json::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    };
    Some((kind.clone(), text))
}
