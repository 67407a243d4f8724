//! The door: check, resolve, check again, connect, send, follow, and say exactly how far it got.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::LOCATION;
use hyper_util::rt::TokioIo;
use model::effect::HttpRequest;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};

use crate::breaker::{Breaker, BreakerConfig, Ended};
use crate::connect::{Connection, connect};
use crate::grant::{Grant, Refusal};
use crate::prepare::{Credentials, Prepared};
use crate::report::{Attempt, Observer};
use crate::resolve::Resolver;
use crate::tls;

/// Addresses of one name that are tried.
const ADDRESSES_TRIED_MAX: usize = 4;
/// Smallest head limit that the HTTP library takes, in bytes.
const HEAD_BYTES_MIN: usize = 8 * 1024;

/// What a door is built from.
pub struct DoorConfig {
    /// Is told of every attempt.
    pub observer: Arc<dyn Observer>,
    /// Finds addresses; [`crate::SystemResolver`] outside of tests.
    pub resolver: Arc<dyn Resolver>,
    /// PEM texts of authorities that are trusted beside the machine's own.
    pub extra_roots_pem: Vec<Vec<u8>>,
    /// Circuit breaker and bulkhead of each target.
    pub breaker: BreakerConfig,
}

/// Limits of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Resolving, connecting and the TLS handshake of one hop.
    pub connect: Duration,
    /// Everything, redirects included.
    pub whole: Duration,
    /// Head of an answer, in bytes; at least 8 KiB.
    pub head_bytes: usize,
    /// Body of an answer, in bytes.
    pub body_bytes: usize,
    /// Redirects that are followed.
    pub redirects: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            whole: Duration::from_secs(30),
            head_bytes: 64 * 1024,
            body_bytes: 8 * 1024 * 1024,
            redirects: 5,
        }
    }
}

/// Looks at everything that was read so far, and says whether it is enough.
pub type Enough<'a> = dyn Fn(&[u8]) -> bool + Send + Sync + 'a;

/// When the body of an answer has been read far enough, although it goes on.
#[derive(Clone, Copy, Default)]
pub struct Reading<'a> {
    /// Looks at everything that was read so far.
    pub enough: Option<&'a Enough<'a>>,
    /// What was read by then is the answer.
    pub until: Option<Instant>,
}

/// A complete answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case, values as text (bytes that are not UTF-8 are replaced), in order.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// The URI that answered, after redirects.
    pub uri: String,
}

impl HttpAnswer {
    /// The first header called `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// True when the content type says JSON.
    pub fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(crate::prepare::is_json)
    }
}

/// How a request failed, by what may have happened outside.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The guard said no; nothing was done. The same request is refused again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request cannot be sent as it is; nothing was done.
    #[error("the request cannot be sent: {0}")]
    Invalid(String),
    /// Not one byte of the request left; the same request may succeed later.
    #[error("{0}")]
    Unreachable(String),
    /// The request left, at least in part, and no complete answer came back: it may have happened.
    #[error("{0}")]
    Lost(String),
    /// The request left and its answer is over a limit or not HTTP: it may have happened.
    #[error("{0}")]
    BadAnswer(String),
}

/// A door cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A configured certificate authority cannot be read.
    #[error("a configured certificate authority cannot be read: {0}")]
    Authority(String),
    /// TLS cannot be set up.
    #[error("tls cannot be set up: {0}")]
    Tls(String),
}

/// The one way out. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

struct Inner {
    observer: Arc<dyn Observer>,
    resolver: Arc<dyn Resolver>,
    tls: Arc<rustls::ClientConfig>,
    tls_h2: Arc<rustls::ClientConfig>,
    breaker: Mutex<Breaker>,
    started: Instant,
}

impl Door {
    /// Builds a door; reads the machine's trust anchors.
    pub fn new(config: DoorConfig) -> Result<Self, SetupError> {
        let (tls, tls_h2) = tls::client_configs(&config.extra_roots_pem)?;
        Ok(Self {
            inner: Arc::new(Inner {
                tls,
                tls_h2,
                observer: config.observer,
                resolver: config.resolver,
                breaker: Mutex::new(Breaker::new(config.breaker)),
                started: Instant::now(),
            }),
        })
    }

    /// Sends a request and takes the whole answer, whatever its status.
    ///
    /// Redirects are followed when both the request and the grant want it; without the request's wish a 3xx is
    /// returned like any other answer.
    pub async fn send(
        &self,
        request: &HttpRequest,
        grant: &Grant,
        credentials: Option<Credentials>,
        limits: Limits,
    ) -> Result<HttpAnswer, SendError> {
        self.send_while(request, grant, credentials, limits, &|_, _| true).await
    }

    /// As [`Door::send`]; `may_go` is asked with host and port after connecting and before the first byte of each request. Finding and
    /// reaching a host takes seconds, in which the right to send may be withdrawn: then nothing of it leaves.
    pub async fn send_while(
        &self,
        request: &HttpRequest,
        grant: &Grant,
        credentials: Option<Credentials>,
        limits: Limits,
        may_go: &(dyn Fn(&str, u16) -> bool + Send + Sync),
    ) -> Result<HttpAnswer, SendError> {
        self.send_reading(request, grant, credentials, limits, may_go, Reading::default()).await
    }

    /// As [`Door::send_while`]; the body of the answer is read until it is enough.
    pub async fn send_reading(
        &self,
        request: &HttpRequest,
        grant: &Grant,
        credentials: Option<Credentials>,
        limits: Limits,
        may_go: &(dyn Fn(&str, u16) -> bool + Send + Sync),
        reading: Reading<'_>,
    ) -> Result<HttpAnswer, SendError> {
        let mut current = match Prepared::new(request, credentials) {
            Ok(prepared) => prepared,
            Err(error) => {
                let (host, port) = target_of(&request.uri);
                Attempt::start(&self.inner.observer, grant, &host, port).refuse(&error.to_string());
                return Err(error);
            }
        };
        let deadline = Instant::now() + limits.whole;
        let read = current.method.is_safe();
        let mut may_have_happened = false;
        for hop in 0..=limits.redirects {
            let answer = Box::pin(self.hop(&current, grant, limits, deadline, may_go, reading))
                .await
                .map_err(|error| after_redirect(error, may_have_happened))?;
            let Some(location) = location_of(&answer).filter(|_| request.redirect) else { return Ok(answer) };
            // 307 and 308 say that the request was not handled; the others may answer one that was.
            may_have_happened |= !read && !matches!(answer.status, 307 | 308);
            current = self
                .follow(&current, &answer, location, grant, hop == limits.redirects)
                .map_err(|error| after_redirect(error, may_have_happened))?;
        }
        Err(SendError::Lost("the redirects did not end".to_owned()))
    }

    /// The request that follows a redirect; a refused one is reported as an attempt to connect.
    fn follow(
        &self,
        current: &Prepared,
        answer: &HttpAnswer,
        location: &str,
        grant: &Grant,
        last: bool,
    ) -> Result<Prepared, SendError> {
        let refused = match current.redirected(answer.status, location) {
            Ok(_) if !grant.redirects => "redirects are not granted".to_owned(),
            Ok(_) if last => "there were too many before it".to_owned(),
            Ok(next) => return Ok(next),
            Err(reason) => reason,
        };
        let to = current.url.join(location).map(|url| url.to_string()).unwrap_or_default();
        let (host, port) = target_of(&to);
        Attempt::start(&self.inner.observer, grant, &host, port).refuse(&refused);
        let to = to.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
        Err(Refusal::Redirect { to, reason: refused }.into())
    }

    /// One connection, one request, one answer.
    async fn hop(
        &self,
        prepared: &Prepared,
        grant: &Grant,
        limits: Limits,
        deadline: Instant,
        may_go: &(dyn Fn(&str, u16) -> bool + Send + Sync),
        reading: Reading<'_>,
    ) -> Result<HttpAnswer, SendError> {
        let (port, default_port) = prepared.ports();
        let mut attempt = Attempt::start(&self.inner.observer, grant, prepared.host(), port);
        if let Err(refusal) = grant.check_host(prepared.host(), port, default_port) {
            attempt.refuse(&refusal.to_string());
            return Err(refusal.into());
        }
        let mut admitted = match self.admit(grant, prepared.host(), port) {
            Ok(admitted) => admitted,
            Err(denied) => {
                attempt.fail(&denied);
                return Err(SendError::Unreachable(denied));
            }
        };
        let connect_by = deadline.min(Instant::now() + limits.connect);
        let mut withdrawn = false;
        let (attempt, result) =
            match self.open(prepared, grant, &mut attempt, connect_by, &self.inner.tls).await {
                Ok(_) if !may_go(prepared.host(), port) => {
                    withdrawn = true;
                    let why = "the right to send it was withdrawn while connecting".to_owned();
                    (attempt, Err(SendError::Unreachable(why)))
                }
                Ok(connection) => {
                    let result =
                        exchange(prepared, connection, &mut attempt, limits, deadline, reading).await;
                    (attempt, result)
                }
                Err(error) => (attempt, Err(error)),
            };
        admitted.ended = match &result {
            // That says nothing about the target.
            _ if withdrawn => Ended::Unknown,
            Ok(answer) if !matches!(answer.status, 502..=504) => Ended::Well,
            Ok(_) | Err(SendError::Unreachable(_) | SendError::Lost(_)) => Ended::Badly,
            Err(SendError::BadAnswer(_)) => Ended::Well,
            Err(SendError::Refused(_) | SendError::Invalid(_)) => Ended::Unknown,
        };
        match &result {
            Ok(_) => attempt.complete(),
            Err(SendError::Refused(refusal)) => attempt.refuse(&refusal.to_string()),
            Err(error) => attempt.fail(&error.to_string()),
        }
        result
    }

    /// Connects, and gives the connection to a protocol that the door does not speak. What holds for requests holds for
    /// it: the grant, the breaker, the last look, the report. `uri` is `http` or `https`; with `h2` TLS agrees on HTTP/2.
    pub async fn dial(
        &self,
        uri: &str,
        h2: bool,
        grant: &Grant,
        limits: Limits,
        may_go: &(dyn Fn(&str, u16) -> bool + Send + Sync),
    ) -> Result<(Connection, Trip), SendError> {
        let prepared = match Prepared::place(uri) {
            Ok(prepared) => prepared,
            Err(error) => {
                let (host, port) = target_of(uri);
                Attempt::start(&self.inner.observer, grant, &host, port).refuse(&error.to_string());
                return Err(error);
            }
        };
        let (port, default_port) = prepared.ports();
        let mut attempt = Attempt::start(&self.inner.observer, grant, prepared.host(), port);
        if let Err(refusal) = grant.check_host(prepared.host(), port, default_port) {
            attempt.refuse(&refusal.to_string());
            return Err(refusal.into());
        }
        let mut admitted = match self.admit(grant, prepared.host(), port) {
            Ok(admitted) => admitted,
            Err(denied) => {
                attempt.fail(&denied);
                return Err(SendError::Unreachable(denied));
            }
        };
        let connect_by = Instant::now() + limits.whole.min(limits.connect);
        let tls = if h2 { &self.inner.tls_h2 } else { &self.inner.tls };
        match self.open(&prepared, grant, &mut attempt, connect_by, tls).await {
            Ok(_) if !may_go(prepared.host(), port) => {
                let why = "the right to send it was withdrawn while connecting".to_owned();
                attempt.fail(&why);
                Err(SendError::Unreachable(why))
            }
            Ok(connection) => Ok((connection, Trip { attempt, admitted })),
            Err(SendError::Refused(refusal)) => {
                attempt.refuse(&refusal.to_string());
                Err(refusal.into())
            }
            Err(error) => {
                admitted.ended = Ended::Badly;
                attempt.fail(&error.to_string());
                Err(error)
            }
        }
    }

    /// Resolves once, checks every address, and connects to one of those. Nothing of the request leaves here.
    async fn open(
        &self,
        prepared: &Prepared,
        grant: &Grant,
        attempt: &mut Attempt,
        connect_by: Instant,
        tls: &Arc<rustls::ClientConfig>,
    ) -> Result<Connection, SendError> {
        let (port, _) = prepared.ports();
        let host = prepared.host().to_owned();
        let addresses = self.resolve(prepared, connect_by).await?;
        for address in &addresses {
            if let Err(refusal) = grant.check_address(&host, *address, port) {
                attempt.address(SocketAddr::new(*address, port));
                return Err(refusal.into());
            }
        }
        let tried = addresses.len().min(ADDRESSES_TRIED_MAX);
        let mut last = format!("`{host}` has no address");
        for (index, ip) in addresses.into_iter().take(tried).enumerate() {
            if index > 0 {
                let fresh = Attempt::start(&self.inner.observer, grant, &host, port);
                std::mem::replace(attempt, fresh).fail(&last);
            }
            let address = SocketAddr::new(ip, port);
            attempt.address(address);
            // The time left is shared among the addresses left, so that one dead address does not take it all.
            let left = connect_by.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(tried - index).unwrap_or(1);
            let connecting = connect(address, tls_for(prepared, tls)?, Arc::clone(&attempt.traffic));
            last = match timeout_at(Instant::now() + share, connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => format!("`{host}` at `{address}` cannot be reached: {error}"),
                Err(_) => format!("`{host}` at `{address}` did not accept the connection in time"),
            };
        }
        Err(SendError::Unreachable(last))
    }

    async fn resolve(&self, prepared: &Prepared, connect_by: Instant) -> Result<Vec<IpAddr>, SendError> {
        let name = match prepared.url.host() {
            Some(url::Host::Ipv4(address)) => return Ok(vec![address.into()]),
            Some(url::Host::Ipv6(address)) => return Ok(vec![address.into()]),
            Some(url::Host::Domain(name)) => name,
            None => return Err(Refusal::Uri("it names no host".to_owned()).into()),
        };
        match timeout_at(connect_by, self.inner.resolver.resolve(name)).await {
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(SendError::Unreachable(format!("`{name}` cannot be resolved: {error}"))),
            Err(_) => Err(SendError::Unreachable(format!("`{name}` was not resolved in time"))),
        }
    }

    /// Tenants have circuits of their own, so that none can close another's way out.
    fn admit(&self, grant: &Grant, host: &str, port: u16) -> Result<Admitted, String> {
        let name = format!("{}/{host}:{port}", grant.tenant);
        match self.inner.breaker.lock().admit(&name, self.inner.now_ms()) {
            Ok(()) => Ok(Admitted { inner: Arc::clone(&self.inner), name, ended: Ended::Unknown }),
            Err(denied) => Err(denied.to_string()),
        }
    }
}

/// One use of a connection that [`Door::dial`] made. Reported when it ends, or as given up when it is dropped.
pub struct Trip {
    attempt: Attempt,
    admitted: Admitted,
}

impl Trip {
    /// True when not one byte was even offered to the connection.
    pub fn untouched(&self) -> bool {
        self.attempt.traffic.untouched()
    }

    /// A watch over [`Trip::untouched`] that outlives the borrow.
    pub fn traffic(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let traffic = Arc::clone(&self.attempt.traffic);
        move || traffic.untouched()
    }

    /// It ended as it should, with this status when the protocol has one.
    pub fn complete(mut self, status: Option<u16>) {
        if let Some(status) = status {
            self.attempt.answered(status);
        }
        self.admitted.ended = Ended::Well;
        self.attempt.complete();
    }

    /// It broke off.
    pub fn fail(mut self, why: &str) {
        self.admitted.ended = Ended::Badly;
        self.attempt.fail(why);
    }
}

impl Inner {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Settles with the breaker when dropped, so that an abandoned request gives its place back.
pub(crate) struct Admitted {
    inner: Arc<Inner>,
    name: String,
    pub(crate) ended: Ended,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let now = self.inner.now_ms();
        self.inner.breaker.lock().settle(&self.name, self.ended, now);
    }
}

type Tls = Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>;

fn tls_for(prepared: &Prepared, config: &Arc<rustls::ClientConfig>) -> Result<Tls, SendError> {
    if prepared.url.scheme() != "https" {
        return Ok(None);
    }
    let name = prepared.host().trim_matches(['[', ']']).to_owned();
    let name =
        ServerName::try_from(name).map_err(|_| SendError::Invalid("the host has no TLS name".to_owned()))?;
    Ok(Some((Arc::clone(config), name)))
}

/// Sends the request and reads the answer. What went wrong is judged by whether a byte was offered.
async fn exchange(
    prepared: &Prepared,
    connection: Connection,
    attempt: &mut Attempt,
    limits: Limits,
    deadline: Instant,
    reading: Reading<'_>,
) -> Result<HttpAnswer, SendError> {
    let message = prepared.message()?;
    let traffic = Arc::clone(&attempt.traffic);
    let failed = |reason: String| {
        if traffic.untouched() { SendError::Unreachable(reason) } else { SendError::Lost(reason) }
    };
    let (mut sender, driver) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(limits.head_bytes.max(HEAD_BYTES_MIN))
        .handshake(TokioIo::new(connection))
        .await
        .map_err(|error| failed(format!("the connection cannot be used: {error}")))?;
    let answered = async {
        let response = sender.send_request(message).await.map_err(|error| match error.is_parse() {
            true => SendError::BadAnswer(format!("the head of the answer is refused: {}", chain(&error))),
            false => failed(format!("no answer: {}", chain(&error))),
        })?;
        crash::at(crash::Point::Sent);
        attempt.answered(response.status().as_u16());
        take_answer(response, prepared, limits, reading).await
    };
    let mut answered = pin!(answered);
    let mut driver = pin!(driver);
    let mut driving = true;
    let both = async {
        loop {
            tokio::select! {
                biased;
                result = &mut answered => return result,
                _ended = &mut driver, if driving => driving = false,
            }
        }
    };
    match timeout_at(deadline, both).await {
        Ok(result) => result,
        Err(_) => Err(failed(format!("no complete answer within {} ms", limits.whole.as_millis()))),
    }
}

async fn take_answer(
    response: Response<Incoming>,
    prepared: &Prepared,
    limits: Limits,
    reading: Reading<'_>,
) -> Result<HttpAnswer, SendError> {
    let (head, mut incoming) = response.into_parts();
    // The library bounds its buffer, not the head: a head that came in one read may be a little over.
    let head_bytes: usize =
        head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head_bytes > limits.head_bytes {
        return Err(SendError::BadAnswer(format!(
            "the head of the answer is larger than {} bytes",
            limits.head_bytes
        )));
    }
    let mut body = BytesMut::new();
    while let Some(frame) = match reading.until {
        Some(until) => timeout_at(until, incoming.frame()).await.unwrap_or_default(),
        None => incoming.frame().await,
    } {
        let frame =
            frame.map_err(|error| SendError::Lost(format!("the answer broke off: {}", chain(&error))))?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + data.len() > limits.body_bytes {
            return Err(SendError::BadAnswer(format!(
                "the answer is larger than {} bytes",
                limits.body_bytes
            )));
        }
        body.extend_from_slice(&data);
        if reading.enough.is_some_and(|enough| enough(&body)) {
            break;
        }
    }
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    Ok(HttpAnswer {
        status: head.status.as_u16(),
        headers,
        body: body.freeze(),
        uri: prepared.url.to_string(),
    })
}

fn location_of(answer: &HttpAnswer) -> Option<&str> {
    matches!(answer.status, 301 | 302 | 303 | 307 | 308).then(|| answer.header(LOCATION.as_str())).flatten()
}

/// A write that was answered by a redirect may have been done, whatever became of the redirect.
fn after_redirect(error: SendError, may_have_happened: bool) -> SendError {
    match may_have_happened {
        true => SendError::Lost(format!(
            "the request was answered by a redirect that could not be followed: {error}"
        )),
        false => error,
    }
}

/// Host and port of a URI that may be wrong, for reports; bounded.
fn target_of(uri: &str) -> (String, u16) {
    let url = url::Url::parse(uri).ok();
    let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default().chars().take(260).collect();
    (host, url.as_ref().and_then(url::Url::port_or_known_default).unwrap_or_default())
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
