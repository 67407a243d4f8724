//! A server of tools and an agent, as their protocols say, with answers as JSON and as events that never end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

/// A request that arrived: its method and its parameters.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `method` of JSON-RPC, or `DELETE`.
    pub method: String,
    /// `params`
    pub params: Json,
    /// `Authorization`
    pub authorization: String,
    /// `MCP-Protocol-Version`
    pub version: String,
}

/// A running server; it ends with the process.
#[derive(Clone)]
pub struct Tools {
    /// Where it listens.
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    address: SocketAddr,
    asked: Mutex<Vec<Asked>>,
    schema: Mutex<Json>,
}

impl Tools {
    /// Starts on a free loopback port with the tools `post` and `fail`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let schema =
            json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}});
        let inner = Arc::new(Inner { address, asked: Mutex::default(), schema: Mutex::new(schema) });
        let router = Router::new()
            .route("/mcp", post(mcp).delete(end))
            .route("/card.json", get(card))
            .route("/agent", post(agent))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// Changes what the tool `post` says that it takes.
    pub fn change(&self, schema: Json) {
        *self.inner.schema.lock() = schema;
    }

    /// Everything that was asked, in order of arrival.
    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().clone()
    }

    /// Parameters of what was asked by a method.
    pub fn asked_by(&self, method: &str) -> Vec<Json> {
        self.asked().into_iter().filter(|asked| asked.method == method).map(|asked| asked.params).collect()
    }
}

fn note(inner: &Inner, headers: &HeaderMap, method: &str, params: &Json) {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    inner.asked.lock().push(Asked {
        method: method.to_owned(),
        params: params.clone(),
        authorization: header("authorization"),
        version: header("mcp-protocol-version"),
    });
}

async fn end(State(inner): State<Arc<Inner>>, headers: HeaderMap) -> StatusCode {
    note(&inner, &headers, "DELETE", &Json::Null);
    StatusCode::NO_CONTENT
}

async fn mcp(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: axum::Json<Json>) -> Response {
    let method = body["method"].as_str().unwrap_or_default();
    note(&inner, &headers, method, &body["params"]);
    let answer = |result: Json| json!({"jsonrpc": "2.0", "id": body["id"], "result": result});
    if method == "initialize" {
        let version = match body["params"]["clientInfo"]["name"].as_str() {
            Some("odd") => "1999-01-01",
            _ => "2025-06-18",
        };
        let hello = json!({"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"}});
        return ([("mcp-session-id", "s-1")], axum::Json(answer(hello))).into_response();
    }
    if headers.get("mcp-session-id").is_none_or(|id| id != "s-1") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match method {
        "notifications/initialized" => StatusCode::ACCEPTED.into_response(),
        "tools/list" if body["params"]["cursor"] == "2" => {
            let tools = json!([{"name": "fail", "inputSchema": {"type": "object"}}]);
            axum::Json(answer(json!({"tools": tools}))).into_response()
        }
        "tools/list" => {
            let tools =
                json!([{"name": "post", "description": "Posts a text", "inputSchema": *inner.schema.lock()}]);
            axum::Json(answer(json!({"tools": tools, "nextCursor": "2"}))).into_response()
        }
        "tools/call" if body["params"]["name"] == "fail" => {
            let content = json!([{"type": "text", "text": "no such channel"}]);
            axum::Json(answer(json!({"content": content, "isError": true}))).into_response()
        }
        "tools/call" => {
            let text = body["params"]["arguments"]["text"].as_str().unwrap_or_default();
            let content = json!([{"type": "text", "text": format!("posted {text}")}]);
            let progress =
                json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}});
            unending(vec![progress, answer(json!({"content": content, "isError": false}))])
        }
        "resources/read" => {
            axum::Json(answer(json!({"contents": [{"uri": "a", "text": "b"}]}))).into_response()
        }
        _ => {
            let error = json!({"code": -32601, "message": "method not found"});
            axum::Json(json!({"jsonrpc": "2.0", "id": body["id"], "error": error})).into_response()
        }
    }
}

/// Events, and then a silence that never ends.
fn unending(events: Vec<Json>) -> Response {
    let lines: Vec<Result<Bytes, Infallible>> =
        events.iter().map(|event| Ok(Bytes::from(format!("event: message\ndata: {event}\n\n")))).collect();
    let body = futures_util::stream::iter(lines).chain(futures_util::stream::pending());
    ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response()
}

async fn card(State(inner): State<Arc<Inner>>) -> Response {
    let url = format!("http://{}/agent", inner.address);
    axum::Json(
        json!({"name": "helper", "url": url, "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0"}),
    )
    .into_response()
}

async fn agent(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: axum::Json<Json>) -> Response {
    let method = body["method"].as_str().unwrap_or_default();
    note(&inner, &headers, method, &body["params"]);
    let answer = |result: Json| json!({"jsonrpc": "2.0", "id": body["id"], "result": result});
    let text = &body["params"]["message"]["parts"][0]["text"];
    let state = |state: &str, last: bool| {
        answer(json!({"kind": "status-update", "taskId": "t", "status": {"state": state}, "final": last}))
    };
    match method {
        "message/send" => {
            let parts =
                json!([{"kind": "text", "text": format!("you said {}", text.as_str().unwrap_or_default())}]);
            axum::Json(answer(json!({"kind": "message", "role": "agent", "parts": parts}))).into_response()
        }
        "message/stream" => unending(vec![state("working", false), state("completed", true)]),
        "tasks/get" => {
            let error = json!({"code": -32001, "message": "task not found"});
            axum::Json(json!({"jsonrpc": "2.0", "id": body["id"], "error": error})).into_response()
        }
        "tasks/cancel" => StatusCode::BAD_GATEWAY.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
