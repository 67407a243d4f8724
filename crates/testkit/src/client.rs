//! A client of the HTTP API that hides nothing: status, headers, body.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::net::TcpStream;

/// Speaks to one server as one principal.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The bearer token; none to come without.
    pub token: Option<String>,
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub text: String,
    /// The body as JSON; `null` when it is not JSON.
    pub json: Json,
}

impl Answer {
    /// A string member by JSON Pointer; empty when there is none.
    pub fn str(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    /// The answer, when it has this status; panics with the whole answer otherwise.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Client {
    /// The same server as another principal.
    pub fn with_token(&self, token: &str) -> Self {
        Self { address: self.address, token: Some(token.to_owned()) }
    }

    /// `GET /api/v1{path}`
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", &format!("/api/v1{path}"), &[], Bytes::new()).await
    }

    /// `POST /api/v1{path}` with JSON.
    pub async fn post(&self, path: &str, body: Json) -> Answer {
        self.json("POST", path, body).await
    }

    /// `PUT /api/v1{path}` with JSON.
    pub async fn put(&self, path: &str, body: Json) -> Answer {
        self.json("PUT", path, body).await
    }

    /// Any method with JSON, below `/api/v1`.
    pub async fn json(&self, method: &str, path: &str, body: Json) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send(method, &format!("/api/v1{path}"), &headers, Bytes::from(body.to_string())).await
    }

    /// `POST /api/v1{path}` with YAML.
    pub async fn post_yaml(&self, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/yaml")];
        self.send("POST", &format!("/api/v1{path}"), &headers, Bytes::from(body.to_owned())).await
    }

    /// Any request on a connection of its own. Panics when the server cannot be reached.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        match self.try_send(method, path, headers, body).await {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    /// As [`Client::send`]; an error when the server cannot be reached or breaks off.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes())?)
            .uri(path)
            .header(HOST, self.address.to_string());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("content-type")) && !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(body))?).await?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let bytes = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Json::Null);
        Ok(Answer { status, headers, text, json })
    }
}
