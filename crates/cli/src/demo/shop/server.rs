//! Two small HTTP listeners: the shop itself, which can go down and come back, and the switch of its faults.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::demo::shop::routes::{Asked, Reply, answer};
use crate::demo::shop::{Fault, Shop};

/// Largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Connections at once; more wait at the listener.
const CONNECTIONS_MAX: usize = 256;
/// Longest time in which a request must arrive.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// Sells until the process ends. While the fault is `down`, nothing listens and nothing is kept open.
pub(super) async fn sell(
    shop: Arc<Shop>,
    listener: TcpListener,
    address: SocketAddr,
    mut faults: watch::Receiver<Fault>,
) -> std::io::Result<()> {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *faults.borrow_and_update() == Fault::Down {
            listener = None;
            connections.shutdown().await;
            if faults.changed().await.is_err() {
                return Ok(());
            }
            continue;
        }
        let open = match listener.take() {
            Some(open) => open,
            None => TcpListener::bind(address).await?,
        };
        tokio::select! {
            accepted = open.accept(), if connections.len() < CONNECTIONS_MAX => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(converse(Arc::clone(&shop), stream));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            changed = faults.changed() => if changed.is_err() { return Ok(()) },
        }
        listener = Some(open);
    }
}

/// Serves one connection. An error of the service closes it without a word, which is what `lost-answer` needs.
async fn converse(shop: Arc<Shop>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let shop = Arc::clone(&shop);
        async move {
            let asked = read(request).await?;
            match answer(&shop, &asked) {
                Reply::Json(status, document) => Ok(respond(status, &document)),
                Reply::Silence => Err("the answer is lost on purpose".to_owned()),
            }
        }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(REQUEST_WITHIN);
    // The other side sees for itself that a connection broke.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// `GET` and `POST /admin/fault`
pub(super) async fn control(shop: Arc<Shop>, listener: TcpListener) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => accepted?,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let shop = Arc::clone(&shop);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shop = Arc::clone(&shop);
                async move { Ok::<_, Infallible>(switch(&shop, request).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(REQUEST_WITHIN);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn switch(shop: &Shop, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Ok(asked) = read(request).await else { return respond(400, &json!({"error": "unreadable"})) };
    if asked.path != "/admin/fault" {
        return respond(404, &json!({"error": "there is nothing here"}));
    }
    if asked.method == Method::POST {
        let wanted = serde_json::from_slice::<serde_json::Value>(&asked.body)
            .ok()
            .and_then(|body| Fault::from_str(&crate::json::text(&body, "/fault"), false).ok());
        match wanted {
            Some(fault) => {
                shop.fault.send_replace(fault);
            }
            None => {
                return respond(
                    400,
                    &json!({"error": "write {\"fault\": \"none\" or \"lost-answer\" or \"down\" or \"lies\"}"}),
                );
            }
        }
    }
    let fault = *shop.fault.borrow();
    respond(200, &json!({ "fault": fault.name() }))
}

async fn read(request: Request<Incoming>) -> Result<Asked, String> {
    let (head, body) = request.into_parts();
    let query =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let key = head.headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let limited = Limited::new(body, BODY_BYTES_MAX).collect();
    let collected = tokio::time::timeout(REQUEST_WITHIN, limited).await.map_err(|error| error.to_string())?;
    let body = collected.map_err(|error| error.to_string())?.to_bytes().to_vec();
    Ok(Asked { method: head.method, path: head.uri.path().to_owned(), query, key, body })
}

fn respond(status: u16, document: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}
