//! A gRPC service that knows nothing of our code: its messages are written by hand, plain or behind TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the service is, for whoever calls it.
pub const GREETER: &str = "syntax = \"proto3\";\npackage shop;\n\
    message Ask { string name = 1; int32 n = 2; }\nmessage Told { string text = 1; int32 n = 2; }\n\
    service Greeter {\n  rpc Greet (Ask) returns (Told);\n  rpc Many (Ask) returns (stream Told);\n\
    rpc Fail (Ask) returns (Told);\n  rpc Mute (Ask) returns (Told);\n  rpc In (stream Ask) returns (Told);\n}\n";

/// A call that arrived.
#[derive(Debug, Clone)]
pub struct Called {
    /// `/service/method`
    pub path: String,
    /// Names (lower case) and values of its metadata.
    pub headers: Vec<(String, String)>,
    /// `name`
    pub name: String,
}

impl Called {
    /// A value of the metadata; empty when it did not come.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// A running service; it ends with the process.
#[derive(Clone)]
pub struct Greeter {
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority of its certificate for `localhost`, in PEM; empty when it is plain.
    pub authority: String,
    calls: Arc<Mutex<Vec<Called>>>,
}

impl Greeter {
    /// Starts without encryption on a free loopback port.
    pub async fn start() -> Self {
        Self::begin(None, String::new()).await
    }

    /// Starts behind TLS with a certificate of its own authority.
    pub async fn start_encrypted() -> Self {
        let (acceptor, authority) = certified();
        Self::begin(Some(acceptor), authority).await
    }

    /// Every call so far, in order of arrival.
    pub fn calls(&self) -> Vec<Called> {
        self.calls.lock().clone()
    }

    async fn begin(acceptor: Option<TlsAcceptor>, authority: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let greeter = Self { address, authority, calls: Arc::default() };
        let calls = Arc::clone(&greeter.calls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, calls) = (acceptor.clone(), Arc::clone(&calls));
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, calls).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, calls).await;
                            }
                        }
                    }
                });
            }
        });
        greeter
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, calls: Arc<Mutex<Vec<Called>>>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&calls)));
    // A client that goes away is no failure of the service.
    drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
}

type Frames = futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

async fn answer(
    request: Request<Incoming>,
    calls: Arc<Mutex<Vec<Called>>>,
) -> Result<Response<StreamBody<Frames>>, Infallible> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let (name, n) = asked(bytes.get(5..).unwrap_or_default());
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let path = head.uri.path().to_owned();
    calls.lock().push(Called { path: path.clone(), headers: headers.collect(), name: name.clone() });
    let mut frames = Vec::new();
    let mut status = 0;
    match path.as_str() {
        "/shop.Greeter/Greet" => frames.push(told(&format!("hello {name}"), 1)),
        "/shop.Greeter/Many" => frames.extend((1..=n).map(|i| told(&format!("hello {name}"), i))),
        "/shop.Greeter/Fail" => status = n,
        // It acts, and its answer never ends.
        "/shop.Greeter/Mute" => std::future::pending::<()>().await,
        _ => status = 12,
    }
    let mut all: Vec<Result<Frame<Bytes>, Infallible>> =
        frames.into_iter().map(|m| Ok(Frame::data(m))).collect();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    if status != 0 {
        trailers.insert("grpc-message", "not%20today".parse().expect("a value"));
    }
    all.push(Ok(Frame::trailers(trailers)));
    let body = StreamBody::new(futures_util::stream::iter(all));
    Ok(Response::builder().header("content-type", "application/grpc").body(body).expect("a response"))
}

/// `name` and `n` of an `Ask`.
fn asked(mut bytes: &[u8]) -> (String, i32) {
    let (mut name, mut n) = (String::new(), 0);
    while let [tag, after @ ..] = bytes {
        let (value, rest) = varint(after);
        bytes = rest;
        if *tag == 0x0a {
            let (text, rest) = bytes.split_at(usize::try_from(value).expect("a length"));
            name = String::from_utf8_lossy(text).into_owned();
            bytes = rest;
        } else {
            n = i32::try_from(value).expect("a small number");
        }
    }
    (name, n)
}

fn varint(bytes: &[u8]) -> (u64, &[u8]) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
    let (number, rest) = bytes.split_at(length);
    (number.iter().rev().fold(0, |all, byte| (all << 7) | u64::from(byte & 0x7f)), rest)
}

/// A `Told` of at most 127 bytes with its prefix.
fn told(text: &str, n: i32) -> Bytes {
    let mut message = vec![0x0a, u8::try_from(text.len()).expect("a short text")];
    message.extend_from_slice(text.as_bytes());
    message.extend([0x10, u8::try_from(n).expect("a small number")]);
    let mut framed = vec![0, 0, 0, 0, u8::try_from(message.len()).expect("a short message")];
    framed.extend(message);
    framed.into()
}

fn certified() -> (TlsAcceptor, String) {
    let key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let certificate = authority.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(authority, key);
    let server_key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let server = server.signed_by(&server_key, &issuer).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = PrivateKeyDer::try_from(server_key.serialize_der()).expect("a key");
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], private)
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), certificate.pem())
}
