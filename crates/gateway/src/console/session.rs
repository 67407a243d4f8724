//! Who looks at the pages: sessions that stand for an API token, their cookie, and the check that an act was meant.
//!
//! The cookie is a random key; the token stays in memory on this side, and every request authenticates it anew, so a
//! revoked token ends its sessions at once. A restart ends all sessions. An act needs the cookie (never sent from other
//! sites), a request that the browser says came from our own pages, and the session's form token.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use model::{Digest, Problem};
use parking_lot::Mutex;
use serde::Serialize;

use super::layout::Failure;
use crate::http::streams::Streams;

/// Sessions at the most; the one unused for longest makes room.
const SESSIONS_MAX: usize = 10_000;
/// A session unused for this long ends.
const IDLE_MAX: Duration = Duration::from_secs(8 * 3600);
/// A session ends after this long in any case.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Sessions of one token at the most; its own one unused for longest makes room.
const SESSIONS_EACH_MAX: usize = 100;
/// Live streams of all pages at the most.
const STREAMS_MAX: usize = 1_000;
/// Live streams of one reader's pages at the most, so that nobody takes those of all.
const STREAMS_EACH_MAX: usize = 50;
/// Bytes of a submitted form at the most.
const FORM_BYTES_MAX: usize = 256 * 1024;
/// Fields of a submitted form at the most.
const FORM_FIELDS_MAX: usize = 500;
/// Bytes of a token at the most.
const TOKEN_BYTES_MAX: usize = 1_024;
/// The cookie that holds a session's key.
pub(crate) const COOKIE: &str = "omnihub_session";
/// The cookie that holds the chosen theme; written by the page's script.
const THEME_COOKIE: &str = "omnihub_theme";

/// All sessions of this process.
pub(crate) struct Sessions {
    open: Mutex<BTreeMap<Digest, Entry>>,
    /// Bounds the live streams.
    pub(crate) streams: Arc<Streams>,
}

struct Entry {
    token: Arc<str>,
    csrf: Arc<str>,
    opened: Instant,
    used: Instant,
    notice: Option<Notice>,
}

/// One line that tells how an act went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// `good` or `bad`
    pub tone: &'static str,
    /// What happened.
    pub text: String,
    /// Where to go on, when not back to the same page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub go: Option<String>,
}

/// The signed-in reader of a page.
pub(crate) struct Session {
    pub(crate) caller: app::Caller,
    pub(crate) csrf: Arc<str>,
    pub(crate) theme: Option<&'static str>,
    pub(crate) notice: Option<Notice>,
    pub(crate) path: String,
    pub(crate) streams: Arc<Streams>,
}

/// A submitted form of a signed-in reader, known to come from our own pages.
pub(crate) struct Act {
    pub(crate) session: Session,
    pub(crate) fields: Fields,
    sessions: Arc<Sessions>,
    key: Digest,
    scripted: bool,
}

/// The fields of a form, in order.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The first field called `name`, trimmed; empty when absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.trim())
    }

    /// The same, or none when empty.
    pub(crate) fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

impl Act {
    /// Answers an act: to the page's script as a notice; to a plain form by going to `back` with the notice there.
    pub(crate) fn answer(self, done: Result<String, Problem>, back: &str) -> Response {
        let (status, notice) = match done {
            Ok(text) => (200, Notice { tone: "good", text, go: None }),
            Err(problem) => (problem.status, super::layout::notice_of(&problem)),
        };
        if self.scripted {
            let status = axum::http::StatusCode::from_u16(status).unwrap_or_default();
            return (status, axum::Json(notice)).into_response();
        }
        self.sessions.leave(&self.key, notice);
        Redirect::to(back).into_response()
    }

    /// Goes to another page, by script or without.
    pub(crate) fn go(self, to: String, text: String) -> Response {
        let notice = Notice { tone: "good", text, go: Some(to.clone()) };
        if self.scripted {
            return axum::Json(notice).into_response();
        }
        self.sessions.leave(&self.key, notice);
        Redirect::to(&to).into_response()
    }
}

impl Sessions {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::new(BTreeMap::new()),
            streams: Streams::new(STREAMS_MAX, STREAMS_EACH_MAX),
        })
    }

    /// Opens a session for a token that was authenticated; answers the cookie's value.
    pub(crate) fn open(&self, token: &str) -> Result<String, getrandom::Error> {
        let key = random()?;
        let csrf = random()?;
        let now = Instant::now();
        let mut open = self.open.lock();
        open.retain(|_, entry| entry.alive(now));
        let own = open.values().filter(|entry| *entry.token == *token).count();
        let gives_room = |entry: &Entry| own < SESSIONS_EACH_MAX || *entry.token == *token;
        if (own >= SESSIONS_EACH_MAX || open.len() >= SESSIONS_MAX)
            && let Some(oldest) =
                open.iter().filter(|(_, e)| gives_room(e)).min_by_key(|(_, e)| e.used).map(|(key, _)| *key)
        {
            open.remove(&oldest);
        }
        let entry = Entry { token: token.into(), csrf: csrf.into(), opened: now, used: now, notice: None };
        open.insert(Digest::of(key.as_bytes()), entry);
        Ok(key)
    }

    /// Ends the session of a cookie.
    pub(crate) fn close(&self, headers: &HeaderMap) {
        if let Some(key) = cookie(headers, COOKIE) {
            self.open.lock().remove(&Digest::of(key.as_bytes()));
        }
    }

    fn leave(&self, key: &Digest, notice: Notice) {
        if let Some(entry) = self.open.lock().get_mut(key) {
            entry.notice = Some(notice);
        }
    }

    fn find(&self, key: &Digest) -> Option<(Arc<str>, Arc<str>)> {
        let now = Instant::now();
        let mut open = self.open.lock();
        let entry = open.get_mut(key)?;
        if !entry.alive(now) {
            open.remove(key);
            return None;
        }
        entry.used = now;
        Some((entry.token.clone(), entry.csrf.clone()))
    }

    fn take_notice(&self, key: &Digest) -> Option<Notice> {
        self.open.lock().get_mut(key)?.notice.take()
    }
}

impl Entry {
    fn alive(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE_MAX && now.duration_since(self.opened) < AGE_MAX
    }
}

impl FromRequestParts<crate::State> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &crate::State) -> Result<Self, Response> {
        let sessions = sessions(parts, state).await?;
        let (session, key) = signed_in(parts, state, &sessions).await?;
        // A refresh by script must not eat the notice that is meant for the next whole page.
        let notice = if scripted(&parts.headers) { None } else { sessions.take_notice(&key) };
        Ok(Self { notice, ..session })
    }
}

impl FromRequest<crate::State> for Act {
    type Rejection = Response;

    async fn from_request(request: Request, state: &crate::State) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let sessions = sessions(&mut parts, state).await?;
        let (session, key) = signed_in(&parts, state, &sessions).await?;
        if !from_our_pages(&parts.headers, &parts.uri) {
            return Err(refuse(
                "this act did not come from a page of this console; open the console and try again",
            ));
        }
        let fields = read_form(body).await?;
        if !same(fields.text("csrf"), &session.csrf) {
            return Err(refuse("the form is from another session; reload the page and try again"));
        }
        let scripted = scripted(&parts.headers);
        Ok(Self { session, fields, sessions, key, scripted })
    }
}

/// Reads a form within its limits.
pub(crate) async fn read_form(body: axum::body::Body) -> Result<Fields, Response> {
    let large = || {
        Failure(Problem::new(413, 4130, "body too large", "the form is too large; 256 KiB is the most"))
            .into_response()
    };
    let bytes = axum::body::to_bytes(body, FORM_BYTES_MAX).await.map_err(|_| large())?;
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&bytes)
        .take(FORM_FIELDS_MAX + 1)
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    if fields.len() > FORM_FIELDS_MAX { Err(large()) } else { Ok(Fields(fields)) }
}

/// True when the browser says that one of our own pages sent the request.
pub(crate) fn from_our_pages(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = text("host").or(uri.host());
    match text("origin") {
        Some(origin) => origin.split_once("://").map(|(_, rest)| rest) == host && host.is_some(),
        // No browser: the form token decides.
        None => true,
    }
}

/// The header that sets the session's cookie; `Secure` behind TLS.
pub(crate) fn set_cookie(headers: &HeaderMap, value: &str, seconds: u64) -> Option<HeaderValue> {
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).ok()
}

/// A token that is worth authenticating: visible characters within the limit.
pub(crate) fn token_shape(token: &str) -> bool {
    !token.is_empty() && token.len() <= TOKEN_BYTES_MAX && token.bytes().all(|b| b.is_ascii_graphic())
}

/// The theme that the reader chose, when there is one.
pub(crate) fn theme(headers: &HeaderMap) -> Option<&'static str> {
    match cookie(headers, THEME_COOKIE)? {
        "dark" => Some("dark"),
        "light" => Some("light"),
        _ => None,
    }
}

/// 32 random bytes as hexadecimal text.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

async fn sessions(parts: &mut Parts, state: &crate::State) -> Result<Arc<Sessions>, Response> {
    match Extension::<Arc<Sessions>>::from_request_parts(parts, state).await {
        Ok(Extension(sessions)) => Ok(sessions),
        Err(missing) => Err(missing.into_response()),
    }
}

async fn signed_in(
    parts: &Parts,
    state: &crate::State,
    sessions: &Sessions,
) -> Result<(Session, Digest), Response> {
    let path = parts.uri.path_and_query().map_or("/console", |p| p.as_str()).to_owned();
    let away = || sign_in_first(parts, &path);
    let key = Digest::of(cookie(&parts.headers, COOKIE).ok_or_else(away)?.as_bytes());
    let (token, csrf) = sessions.find(&key).ok_or_else(away)?;
    let principal = match state.app.authenticate(&token).await {
        Ok(principal) => principal,
        Err(problem) if problem.status == 401 => return Err(away()),
        Err(problem) => return Err(Failure(problem).into_response()),
    };
    let taken = state.shared.tokens.take(Digest::of(token.as_bytes()), Instant::now());
    taken.map_err(|wait| Failure(too_many(wait)).into_response())?;
    let text = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let caller = app::Caller {
        principal,
        address: parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(address)| address.ip().to_string()),
        agent: text(header::USER_AGENT).map(|agent| agent.chars().take(200).collect()),
        request_id: match text(header::HeaderName::from_static("x-request-id")) {
            Some(id) => id.chars().take(128).collect(),
            None => random()
                .map_err(|error| Failure(Problem::machine(error)).into_response())?
                .chars()
                .take(32)
                .collect(),
        },
    };
    let theme = theme(&parts.headers);
    Ok((Session { caller, csrf, theme, notice: None, path, streams: sessions.streams.clone() }, key))
}

/// The refusal to be asked so often.
pub(crate) fn too_many(wait: Duration) -> Problem {
    let detail = format!("more requests than the limit allows; try again in {} ms", wait.as_millis().max(1));
    Problem::new(429, 4290, "too many requests", detail)
}

fn sign_in_first(parts: &Parts, path: &str) -> Response {
    if scripted(&parts.headers) {
        let notice = Notice {
            tone: "bad",
            text: "the session has ended; sign in again".into(),
            go: Some("/console/sign-in".into()),
        };
        return (axum::http::StatusCode::UNAUTHORIZED, axum::Json(notice)).into_response();
    }
    // Only a page that was asked for is worth coming back to.
    let next = if parts.method == axum::http::Method::GET { path } else { "/console" };
    let ended = if cookie(&parts.headers, COOKIE).is_some() { "&ended=1" } else { "" };
    Redirect::to(&format!("/console/sign-in?next={}{ended}", super::format::segment(next))).into_response()
}

fn scripted(headers: &HeaderMap) -> bool {
    headers.contains_key("x-console")
}

fn refuse(why: &str) -> Response {
    Failure(Problem::new(403, 4030, "not permitted", why)).into_response()
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// Compares digests, so that the time taken says nothing about the texts.
fn same(a: &str, b: &str) -> bool {
    Digest::of(a.as_bytes()) == Digest::of(b.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_pages_act() {
        let uri: Uri = "/console/controls".parse().unwrap();
        for (pairs, fine) in [
            (vec![("host", "hub:8420"), ("origin", "http://hub:8420")], true),
            (vec![("host", "hub:8420"), ("origin", "http://evil")], false),
            (vec![("host", "hub:8420"), ("origin", "null")], false),
            (vec![("host", "hub"), ("sec-fetch-site", "cross-site"), ("origin", "http://hub")], false),
            (vec![("host", "hub"), ("sec-fetch-site", "same-site")], false),
            (vec![("host", "hub"), ("sec-fetch-site", "same-origin"), ("origin", "null")], true),
            (vec![("host", "hub")], true),
        ] {
            assert_eq!(from_our_pages(&headers(&pairs), &uri), fine, "{pairs:?}");
        }
    }

    #[test]
    fn a_session_is_found_by_its_cookie_and_ends() {
        let sessions = Sessions::new();
        let key = sessions.open("omh_x").unwrap();
        let digest = Digest::of(key.as_bytes());
        assert_eq!(&*sessions.find(&digest).unwrap().0, "omh_x");
        for _ in 0..2 * SESSIONS_EACH_MAX {
            sessions.open("omh_many").unwrap();
        }
        assert_eq!(sessions.open.lock().len(), 1 + SESSIONS_EACH_MAX, "one token crowds out nobody else");
        let cookie = headers(&[("cookie", &format!("a=b; {COOKIE}={key}"))]);
        sessions.close(&cookie);
        assert!(sessions.find(&digest).is_none());
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = Sessions::new();
        let first = sessions.open("t").unwrap();
        for n in 0..SESSIONS_MAX {
            sessions.open(&format!("t{n}")).unwrap();
        }
        assert_eq!(sessions.open.lock().len(), SESSIONS_MAX);
        assert!(sessions.find(&Digest::of(first.as_bytes())).is_none(), "the oldest made room");
    }

    #[test]
    fn the_cookie_is_closed_to_scripts_and_other_sites() {
        let plain = set_cookie(&headers(&[]), "k", 60).unwrap();
        assert_eq!(plain, "omnihub_session=k; Path=/; HttpOnly; SameSite=Strict; Max-Age=60");
        let tls = set_cookie(&headers(&[("x-forwarded-proto", "https")]), "k", 60).unwrap();
        assert!(tls.to_str().unwrap().ends_with("; Secure"));
    }
}
