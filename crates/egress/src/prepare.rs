//! From a request of the model to what goes over the wire; everything that could smuggle is refused here.

use std::fmt;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use model::effect::{Authentication, HttpRequest};
use url::{Position, Url};

use crate::door::SendError;
use crate::grant::Refusal;

/// Longest URI, in bytes.
const URI_BYTES_MAX: usize = 8 * 1024;
/// Most request headers.
const HEADERS_MAX: usize = 64;
/// Most bytes of request header names and values.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Largest request body, in bytes.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Headers that belong to the door: they frame the message or belong to the connection.
const FORBIDDEN: [&str; 15] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// A secret, put in at the last moment. Debug output shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `Authorization: Basic`
    Basic {
        /// User name, without a colon.
        username: String,
        /// Password.
        password: String,
    },
    /// `Authorization: Bearer`
    Bearer {
        /// The token.
        token: String,
    },
    /// A whole `Authorization` value, made by whoever answers challenges.
    Ready {
        /// Scheme and parameters.
        value: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// A checked request that can be sent, and sent on.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Prepared {
    /// Nothing but a place to connect to.
    pub(crate) fn place(uri: &str) -> Result<Self, SendError> {
        let url = parse_target(uri)?;
        Ok(Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() })
    }

    /// Checks a request. Nothing was sent when this fails.
    pub(crate) fn new(request: &HttpRequest, credentials: Option<Credentials>) -> Result<Self, SendError> {
        let url = parse_target(&request.uri)?;
        let method = method(&request.method)?;
        let mut headers = headers(&request.headers)?;
        let body = body(request, &mut headers)?;
        if let Some(credentials) =
            credentials.map_or_else(|| inline_credentials(request), |given| Ok(Some(given)))?
        {
            if headers.contains_key(AUTHORIZATION) {
                return Err(invalid(
                    "`authorization` is given both as a header and as credentials; remove one",
                ));
            }
            headers.insert(AUTHORIZATION, authorization(&credentials)?);
        }
        Ok(Self { method, url, headers, body })
    }

    /// The host as the URI names it, brackets around IPv6.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The port, and the port that the scheme has by default.
    pub(crate) fn ports(&self) -> (u16, u16) {
        let default = if self.url.scheme() == "https" { 443 } else { 80 };
        (self.url.port().unwrap_or(default), default)
    }

    /// The message itself, in origin form.
    pub(crate) fn message(&self) -> Result<Request<Full<Bytes>>, SendError> {
        let host = match self.url.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        };
        let mut message = Request::builder()
            .method(self.method.clone())
            .uri(&self.url[Position::BeforePath..Position::AfterQuery])
            .body(Full::new(self.body.clone()))
            .map_err(|error| invalid(format!("the request cannot be written: {error}")))?;
        *message.headers_mut() = self.headers.clone();
        let host =
            HeaderValue::from_str(&host).map_err(|_| invalid("the host cannot be written as a header"))?;
        message.headers_mut().insert(HOST, host);
        Ok(message)
    }

    /// The request that follows a redirect, or why it may not be followed.
    pub(crate) fn redirected(&self, status: u16, location: &str) -> Result<Self, String> {
        let joined = self.url.join(location).map_err(|_| "the location is not a URI".to_owned())?;
        let url = parse_target(joined.as_str()).map_err(|refusal| refusal.to_string())?;
        if self.url.scheme() == "https" && url.scheme() == "http" {
            return Err("it leaves https for http".to_owned());
        }
        let mut next = Self { url, ..self.clone() };
        let rewrite = match status {
            303 => next.method != Method::HEAD,
            301 | 302 => next.method == Method::POST,
            _ => false,
        };
        if rewrite {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.remove(CONTENT_TYPE);
        }
        if next.url.origin() != self.url.origin() {
            next.forget_secrets();
        }
        Ok(next)
    }

    /// Another origin gets no header that could hold a secret: only what describes the message is kept.
    fn forget_secrets(&mut self) {
        let kept = ["accept", "accept-encoding", "accept-language", "content-type"];
        let all = std::mem::take(&mut self.headers);
        self.headers = all
            .into_iter()
            .filter_map(|(name, value)| {
                name.filter(|name| kept.contains(&name.as_str())).map(|name| (name, value))
            })
            .collect();
    }
}

/// Reads an absolute `http` or `https` URI as every part of the door reads it.
pub(crate) fn parse_target(uri: &str) -> Result<Url, Refusal> {
    let refused = |reason: &str| Err(Refusal::Uri(reason.to_owned()));
    if uri.len() > URI_BYTES_MAX {
        return refused("it is longer than 8 KiB");
    }
    // The parser drops or rewrites these silently; what a person approved must be what is called.
    if uri.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return refused("it holds white space, a control character or a backslash");
    }
    let mut url = Url::parse(uri).map_err(|error| Refusal::Uri(format!("it cannot be read: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return refused("only `http` and `https` are allowed");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("it holds a user name or password; use `authentication`");
    }
    match url.host() {
        None => return refused("it names no host"),
        Some(url::Host::Domain(name)) if name.ends_with('.') => return refused("the host ends with a dot"),
        Some(url::Host::Domain(_) | url::Host::Ipv4(_) | url::Host::Ipv6(_)) => {}
    }
    if url.port() == Some(0) {
        return refused("port 0 cannot be called");
    }
    url.set_fragment(None);
    Ok(url)
}

fn method(name: &str) -> Result<Method, SendError> {
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => {
            Err(invalid(format!("method `{name}` is not allowed")))
        }
        Ok(method) => Ok(method),
    }
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, SendError> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if given.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(invalid("more than 64 headers or 32 KiB of them"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("header name `{}` is not allowed", name.escape_debug())))?;
        if FORBIDDEN.contains(&parsed.as_str()) {
            return Err(invalid(format!("header `{parsed}` is set by the door; remove it")));
        }
        let value = HeaderValue::from_str(value).map_err(|_| {
            invalid(format!("the value of header `{parsed}` holds a character that is not allowed"))
        })?;
        headers.append(parsed, value);
    }
    headers.insert("accept-encoding", HeaderValue::from_static("identity"));
    Ok(headers)
}

/// Writes the body: JSON, or text when it is a string and the content type is not JSON.
fn body(request: &HttpRequest, headers: &mut HeaderMap) -> Result<Bytes, SendError> {
    let Some(value) = &request.body else { return Ok(Bytes::new()) };
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default().to_owned());
    let json = content_type.as_deref().map_or(value.as_str().is_none(), is_json);
    let bytes = match value.as_str() {
        Some(text) if !json => Bytes::copy_from_slice(text.as_bytes()),
        None if !json => return Err(invalid("a body that is not JSON must be text; give a string")),
        Some(_) | None => Bytes::from(
            serde_json::to_vec(value).map_err(|error| invalid(format!("the body is not JSON: {error}")))?,
        ),
    };
    if bytes.len() > BODY_BYTES_MAX {
        return Err(invalid("the body is larger than 8 MiB"));
    }
    if content_type.is_none() {
        let kind = if json { "application/json" } else { "text/plain; charset=utf-8" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(bytes)
}

/// True for `application/json` and every `+json` type.
pub(crate) fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

fn inline_credentials(request: &HttpRequest) -> Result<Option<Credentials>, SendError> {
    match &request.authentication {
        None => Ok(None),
        Some(Authentication::Basic { username, password }) => {
            Ok(Some(Credentials::Basic { username: username.clone(), password: password.clone() }))
        }
        Some(Authentication::Bearer { token }) => Ok(Some(Credentials::Bearer { token: token.clone() })),
        // Whoever answers challenges and asks for tokens does so before the door is asked.
        Some(Authentication::Digest { .. } | Authentication::OAuth { .. }) => {
            Err(invalid("the credentials were not given to the door"))
        }
        // Sending without the secret would be another request than the one that was approved.
        Some(Authentication::Secret { name, .. }) => {
            Err(invalid(format!("secret `{name}` was not given to the door")))
        }
    }
}

/// Credentials as an `Authorization` value, for protocols that the door only connects.
pub fn authorization_text(credentials: &Credentials) -> Result<String, SendError> {
    let value = authorization(credentials)?;
    value
        .to_str()
        .map(str::to_owned)
        .map_err(|_| invalid("the credentials hold a character that is not allowed"))
}

fn authorization(credentials: &Credentials) -> Result<HeaderValue, SendError> {
    let text = match credentials {
        Credentials::Basic { username, .. } if username.contains(':') => {
            return Err(invalid("a user name for basic authentication must not hold a colon"));
        }
        Credentials::Basic { username, password } => {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
            format!("Basic {pair}")
        }
        Credentials::Bearer { token } => format!("Bearer {token}"),
        Credentials::Ready { value } => value.clone(),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| invalid("the credentials hold a character that is not allowed"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn invalid(reason: impl Into<String>) -> SendError {
    SendError::Invalid(reason.into())
}

#[cfg(test)]
mod tests {
    use model::Value;
    use model::effect::HttpOutput;

    use super::*;

    fn request(uri: &str) -> HttpRequest {
        HttpRequest {
            method: "POST".to_owned(),
            uri: uri.to_owned(),
            headers: Vec::new(),
            body: None,
            authentication: None,
            output: HttpOutput::Content,
            redirect: false,
        }
    }

    #[test]
    fn odd_uris_are_read_in_one_way_or_refused() {
        let table = [
            ("http://2130706433/", Some("127.0.0.1")),
            ("http://0x7f.1/", Some("127.0.0.1")),
            ("http://0177.0.0.1/", Some("127.0.0.1")),
            ("http://%31%32%37.0.0.1/", Some("127.0.0.1")),
            ("http://[::ffff:169.254.169.254]/", Some("[::ffff:a9fe:a9fe]")),
            ("http://EXAMPLE.com/a#b", Some("example.com")),
            ("http://example.com./", None),
            ("http://u:p@example.com/", None),
            ("http://u@example.com/", None),
            ("http://example.com\\@evil.com/", None),
            ("http://exa\nmple.com/", None),
            (" http://example.com/", None),
            ("http://example.com:0/", None),
            ("ftp://example.com/", None),
            ("file:///etc/passwd", None),
            ("/relative", None),
            ("http://", None),
        ];
        for (uri, host) in table {
            let read = parse_target(uri).ok();
            assert_eq!(read.as_ref().and_then(Url::host_str), host, "{uri}");
        }
    }

    #[test]
    fn headers_that_smuggle_are_refused() {
        for (name, value) in [
            ("x-a", "1\r\nx-b: 2"),
            ("x-a\r\nx-b", "1"),
            ("x a", "1"),
            ("", "1"),
            ("Host", "evil.com"),
            ("Content-Length", "0"),
            ("transfer-encoding", "chunked"),
            ("Connection", "keep-alive"),
            ("x-a", "\u{0}"),
        ] {
            let mut request = request("http://example.com/");
            request.headers.push((name.to_owned(), value.to_owned()));
            assert!(matches!(Prepared::new(&request, None), Err(SendError::Invalid(_))), "{name}: {value}");
        }
        for method in ["CONNECT", "TRACE", "GE T", "", "GET / HTTP/1.1\r\n"] {
            let request = HttpRequest { method: method.to_owned(), ..request("http://example.com/") };
            assert!(matches!(Prepared::new(&request, None), Err(SendError::Invalid(_))), "{method}");
        }
    }

    #[test]
    fn bodies_are_json_or_text_by_content_type() {
        let table = [
            (None, Value::string("a"), Some(("a", "text/plain; charset=utf-8"))),
            (Some("application/json"), Value::string("a"), Some(("\"a\"", "application/json"))),
            (
                Some("application/problem+json"),
                Value::string("a"),
                Some(("\"a\"", "application/problem+json")),
            ),
            (None, Value::array([Value::NULL]), Some(("[null]", "application/json"))),
            (Some("text/csv"), Value::string("a,b"), Some(("a,b", "text/csv"))),
            (Some("text/csv"), Value::array([]), None),
        ];
        for (content_type, value, expected) in table {
            let mut request = request("http://example.com/");
            request.headers.extend(content_type.map(|kind| ("Content-Type".to_owned(), kind.to_owned())));
            request.body = Some(value);
            let prepared = Prepared::new(&request, None).ok();
            let found = prepared.as_ref().map(|made| {
                (
                    std::str::from_utf8(&made.body).expect("text"),
                    made.headers[CONTENT_TYPE].to_str().expect("text"),
                )
            });
            assert_eq!(found, expected, "{content_type:?}");
        }
    }

    #[test]
    fn secrets_are_hidden_and_needed() {
        let secret = Credentials::Bearer { token: "hush".to_owned() };
        assert!(!format!("{secret:?}").contains("hush"));
        let mut request = request("http://example.com/");
        let prepared = Prepared::new(&request, Some(secret)).expect("a fine request");
        assert!(!format!("{:?}", prepared.headers).contains("hush"));
        request.authentication = Some(Authentication::Secret {
            name: "shop".to_owned(),
            with: model::effect::SecretScheme::Bearer,
        });
        assert!(matches!(Prepared::new(&request, None), Err(SendError::Invalid(_))));
    }

    #[test]
    fn redirects_rewrite_and_forget() {
        let mut request = request("https://a.example/x");
        request.body = Some(Value::string("b"));
        request.headers.push(("X-Key".to_owned(), "k".to_owned()));
        let secret = Credentials::Bearer { token: "t".to_owned() };
        let first = Prepared::new(&request, Some(secret)).expect("a fine request");
        let same = first.redirected(307, "/y").expect("same origin");
        assert!(
            same.method == Method::POST && same.headers.contains_key(AUTHORIZATION) && !same.body.is_empty()
        );
        let other = first.redirected(307, "https://b.example/").expect("another origin");
        assert!(other.method == Method::POST && !other.headers.contains_key(AUTHORIZATION));
        assert!(!other.headers.contains_key("x-key"));
        let rewritten = first.redirected(303, "/y").expect("same origin");
        assert!(rewritten.method == Method::GET && rewritten.body.is_empty());
        assert!(first.redirected(307, "http://a.example/").is_err());
        assert!(first.redirected(307, "gopher://a.example/").is_err());
        assert!(first.redirected(307, "https://u:p@a.example/").is_err());
    }
}
