//! The outside of a kit: a pet store and an echo service, on loopback behind TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use base64::Engine as _;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Hosts of the specification's kit; whatever a document sends there goes to the stand-in.
const HOSTS: &[&str] = &["https://petstore.swagger.io", "https://httpbin.org"];

/// A running stand-in; it ends with the process.
#[derive(Clone)]
pub struct Outside {
    /// `localhost:port`, the name that its certificate has.
    pub host: String,
    /// The authority that signed its certificate, in PEM.
    pub authority: String,
    changed: Arc<AtomicBool>,
}

impl Outside {
    /// Starts on a free loopback port with a certificate of its own authority.
    pub async fn start() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (acceptor, authority) = certified()?;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let host = format!("localhost:{}", listener.local_addr()?.port());
        let changed = Arc::new(AtomicBool::new(false));
        let router =
            router(Shared { host: host.clone(), asked: Arc::default(), changed: Arc::clone(&changed) });
        tokio::spawn(serve(listener, acceptor, router));
        Ok(Self { host, authority, changed })
    }

    /// A document in which the kit's hosts are the stand-in.
    pub fn mapped(&self, text: &str) -> String {
        HOSTS
            .iter()
            .fold(text.to_owned(), |text, host| text.replace(host, &format!("https://{}", self.host)))
            .replace("<outside>", &self.host)
    }

    /// Whether `/v2/swagger.json` is another document, in which `getPetById` means something else.
    pub fn change_description(&self, changed: bool) {
        self.changed.store(changed, Ordering::Release);
    }

    /// The text of a description, as it is before it changes.
    pub fn described(&self, uri: &str) -> Option<String> {
        let path = uri.strip_prefix(&format!("https://{}/", self.host))?;
        match path.strip_prefix("openapi/") {
            Some(name) => echo_text(&self.host, name),
            None => (path == "v2/swagger.json").then(|| swagger_text(&self.host, false)),
        }
    }
}

/// A server's end of TLS for `localhost`, and the authority that vouches for it.
fn certified() -> Result<(TlsAcceptor, String), Box<dyn std::error::Error + Send + Sync>> {
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.distinguished_name.push(DnType::CommonName, "a conformance kit");
    let certificate = authority.self_signed(&key)?;
    let issuer = Issuer::new(authority, key);
    let server_key = KeyPair::generate()?;
    let server = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&server_key, &issuer)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let secret = PrivateKeyDer::try_from(server_key.serialize_der())?;
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], secret)?;
    Ok((TlsAcceptor::from(Arc::new(config)), certificate.pem()))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = TowerToHyperService::new(router);
            // Whoever hangs up early says so by itself.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What descriptions are served as.
const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

#[derive(Clone)]
struct Shared {
    host: String,
    /// How often `/flaky` was asked.
    asked: Arc<AtomicU32>,
    changed: Arc<AtomicBool>,
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v2/pet/findByStatus", get(find_by_status))
        .route("/v2/pet/getPetByName/{name}", get(async || StatusCode::NOT_FOUND))
        .route("/v2/pet/{id}", get(pet))
        .route("/v2/swagger.json", get(swagger))
        .route("/basic-auth/{user}/{password}", get(basic))
        .route("/status/{code}", any(status))
        .route("/flaky", get(flaky))
        .route("/openapi/{name}", get(described))
        .route("/echo", any(echo))
        .route("/echo/{*rest}", any(echo))
        .with_state(shared)
}

fn pet_of(id: i64) -> Json {
    json!({"id": id, "name": if id == 1 { "Milou" } else { "Idefix" }, "status": "available"})
}

async fn find_by_status(Query(query): Query<Vec<(String, String)>>) -> Response {
    let wanted: Vec<&str> =
        query.iter().filter(|(name, _)| name == "status").flat_map(|(_, value)| value.split(',')).collect();
    let pets: Vec<Json> = [1, 2].map(pet_of).into_iter().filter(|_| wanted.contains(&"available")).collect();
    axum::Json(pets).into_response()
}

async fn pet(Path(id): Path<String>) -> Response {
    match id.parse() {
        Ok(id @ (1 | 2)) => axum::Json(pet_of(id)).into_response(),
        _ => (StatusCode::NOT_FOUND, axum::Json(json!({"message": "Pet not found"}))).into_response(),
    }
}

async fn swagger(State(shared): State<Shared>) -> Response {
    let changed = shared.changed.load(Ordering::Acquire);
    (JSON, swagger_text(&shared.host, changed)).into_response()
}

/// The pet store's description. In the changed one `getPetById` means something else.
fn swagger_text(host: &str, changed: bool) -> String {
    let path = if changed { "/status/{petId}" } else { "/pet/{petId}" };
    let mut document = json!({
        "swagger": "2.0",
        "info": {"title": "Pet store", "version": "1.0.0"},
        "host": host,
        "basePath": "/v2",
        "schemes": ["https"],
        "paths": {
            "/pet/findByStatus": {"get": {
                "operationId": "findPetsByStatus",
                "produces": ["application/json"],
                "parameters": [{"name": "status", "in": "query", "required": true, "type": "array",
                    "items": {"type": "string"}, "collectionFormat": "multi"}],
                "responses": {"200": {"description": "pets"}},
            }},
        },
    });
    document["paths"][path] = json!({"get": {
        "operationId": "getPetById",
        "parameters": [{"name": "petId", "in": "path", "required": true, "type": "integer"}],
        "responses": {"200": {"description": "a pet"}},
    }});
    document.to_string()
}

/// Descriptions of the echo service, for our own suite.
async fn described(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    match echo_text(&shared.host, &name) {
        Some(text) => (JSON, text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn echo_text(host: &str, name: &str) -> Option<String> {
    let text = match name {
        "echo-3.0.yaml" => include_str!("../openapi/echo-3.0.yaml"),
        "echo-3.1.json" => include_str!("../openapi/echo-3.1.json"),
        "page.html" => "<html>not a description</html>",
        _ => return None,
    };
    Some(text.replace("<outside>", host))
}

async fn basic(headers: HeaderMap, Path((user, password)): Path<(String, String)>) -> Response {
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given == Some(format!("Basic {wanted}").as_str()) {
        return axum::Json(json!({"authenticated": true, "user": user})).into_response();
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic")]).into_response()
}

async fn status(Path(code): Path<u16>) -> Response {
    Response::builder()
        .status(code)
        .body(Body::from(format!("status {code}")))
        .unwrap_or_else(|_| StatusCode::BAD_REQUEST.into_response())
}

/// Fails every other time, beginning with the first.
async fn flaky(State(shared): State<Shared>) -> Response {
    let times = shared.asked.fetch_add(1, Ordering::AcqRel) + 1;
    match times % 2 {
        1 => StatusCode::NOT_FOUND.into_response(),
        _ => axum::Json(json!({"answered": 2})).into_response(),
    }
}

/// Tells back what came.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let told: serde_json::Map<String, Json> = headers
        .iter()
        .filter(|(name, _)| name.as_str() != "authorization")
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let text = String::from_utf8_lossy(&body);
    let json: Json = serde_json::from_slice(&body).unwrap_or(Json::Null);
    axum::Json(json!({
        "method": method.as_str(), "path": uri.path(), "query": uri.query(), "headers": told, "body": text, "json": json,
    }))
    .into_response()
}
