//! Messages over a WebSocket, and messages of an HTTP stream (server-sent events, JSON lines, or one answer).

use std::time::Duration;

use app::Test;
use base64::Engine as _;
use bytes::Bytes;
use egress::{Connection, Reading, SendError, Trip};
use futures_util::{SinkExt as _, StreamExt as _};
use model::call::{StreamRequest, Take};
use model::effect::{Answer, HttpOutput, HttpRequest};
use model::problem::WorkflowError;
use model::{Label, Value};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::grpc::clean;
use super::http::unsent_answer;
use crate::authenticate::{May, Proof, Unsent, Way, authorization, masked, send};

/// Messages that one task takes at the most.
const MESSAGES_MAX: usize = 1000;
/// Largest message of a WebSocket that is sent, in bytes.
const SENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Expressions see everything that was taken; together with it they may look at this many bytes.
const LOOKED_AT_MAX: usize = 64 * 1024 * 1024;
/// How long a closing handshake is waited for.
const CLOSING: Duration = Duration::from_secs(2);

/// Performs one exchange of messages.
pub(crate) async fn perform(way: &Way<'_>, request: &StreamRequest, proof: Option<&Proof>) -> Answer {
    let mut secrets = Vec::new();
    let done = match (&request.payload, &request.take) {
        (Some(payload), _) => put(way, request, payload, proof, &mut secrets).await,
        (None, Some(take)) => match Taking::new(take, way.limits.body_bytes) {
            Ok(taking) if request.uri.starts_with("ws") => {
                socket(way, request, taking, proof, &mut secrets).await
            }
            Ok(taking) => http(way, request, taking, proof, &mut secrets).await,
            Err(why) => Err(Failed::Expression(why)),
        },
        (None, None) => Err(Failed::Expression("it neither sends nor takes".to_owned())),
    };
    let read = request.take.is_some();
    match done {
        Ok(output) => Answer::Done { output: clean(output, &secrets) },
        Err(Failed::Unsent(unsent)) => unsent_answer(&unsent, read, &secrets),
        Err(Failed::Expression(why)) => {
            refused("expression", 400, "expression error", masked(&why, &secrets), false)
        }
        Err(Failed::Time(why)) => refused("timeout", 408, "too few messages in time", why, false),
        Err(Failed::Ended(why)) => {
            refused("communication", 502, "stream ended", masked(&why, &secrets), true)
        }
        Err(Failed::Status(status)) => {
            let again = matches!(status, 408 | 425 | 429 | 500..=599);
            refused("communication", status, "stream refused", format!("the answer was {status}"), again)
        }
    }
}

/// Why there is no output.
enum Failed {
    Unsent(Unsent),
    Expression(String),
    Time(String),
    Ended(String),
    Status(u16),
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        Self::Unsent(Unsent::Door(error))
    }
}

fn refused(kind: &str, status: u16, title: &str, detail: String, transient: bool) -> Answer {
    let error = WorkflowError::standard(kind, status, title, detail);
    Answer::Refused { error, transient, retry_after_ms: None }
}

/// What was taken so far, and what is asked of it.
struct Taking<'a> {
    take: &'a Take,
    filter: Option<Test>,
    going: Option<Test>,
    until: Option<Test>,
    taken: Vec<Value>,
    bytes: usize,
    bytes_max: usize,
    looked_at: usize,
}

impl<'a> Taking<'a> {
    fn new(take: &'a Take, bytes_max: usize) -> Result<Self, String> {
        let test = |condition: &Option<model::call::Condition>| condition.as_ref().map(Test::new).transpose();
        Ok(Self {
            take,
            filter: test(&take.filter)?,
            going: test(&take.going)?,
            until: test(&take.until)?,
            taken: Vec::new(),
            bytes: 0,
            bytes_max,
            looked_at: 0,
        })
    }

    /// When taking ends with what there is; none when it is not limited in time.
    fn time(&self) -> Option<Instant> {
        self.take.for_ms.map(|ms| Instant::now() + Duration::from_millis(ms))
    }

    /// True when no message is to be waited for.
    fn enough(&mut self) -> Result<bool, Failed> {
        let Some(until) = &self.until else { return Ok(false) };
        until.holds(&Value::array(self.taken.iter().cloned())).map_err(Failed::Expression)
    }

    /// Takes a message when it counts. True when it was the last one.
    fn message(&mut self, bytes: &[u8]) -> Result<bool, Failed> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.looked_at = self.looked_at.saturating_add(self.bytes);
        let message = self.read(bytes);
        if let Some(filter) = &self.filter
            && !filter.holds(&message).map_err(Failed::Expression)?
        {
            self.bytes -= bytes.len();
            return Ok(false);
        }
        if self.bytes > self.bytes_max || self.taken.len() == MESSAGES_MAX || self.looked_at > LOOKED_AT_MAX {
            let told = format!("more than {MESSAGES_MAX} messages or {} bytes", self.bytes_max);
            return Err(SendError::BadAnswer(told).into());
        }
        self.taken.push(message);
        if self
            .take
            .amount
            .is_some_and(|amount| self.taken.len() >= usize::try_from(amount).unwrap_or(usize::MAX))
        {
            return Ok(true);
        }
        if let Some(going) = &self.going
            && !going.holds(&Value::array(self.taken.iter().cloned())).map_err(Failed::Expression)?
        {
            return Ok(true);
        }
        self.enough()
    }

    fn read(&self, bytes: &[u8]) -> Value {
        let payload = match serde_json::from_slice::<serde_json::Value>(bytes) {
            Ok(json) => Value::from_json(&json, Label::EXTERNAL),
            Err(_) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::string(text),
                Err(_) => Value::string(base64::engine::general_purpose::STANDARD.encode(bytes)),
            },
        };
        let correlation =
            self.take.correlation.as_ref().and_then(|pointer| {
                pointer.split('/').skip(1).try_fold(&payload, |value, name| value.get(name))
            });
        let correlation = correlation.cloned();
        let mut members = vec![("payload", payload), ("headers", Value::object::<&str>([]))];
        members.extend(correlation.map(|id| ("correlationId", id)));
        Value::object(members).with_label_everywhere(Label::EXTERNAL)
    }

    /// The end of the stream, or of the time that was given.
    fn ended(self, why: &str) -> Result<Value, Failed> {
        match self.take.amount {
            Some(amount) if self.take.for_ms.is_none() => {
                Err(Failed::Ended(format!("{why} after {} of {amount} messages", self.taken.len())))
            }
            _ => Ok(self.output()),
        }
    }

    fn output(self) -> Value {
        Value::array(self.taken).with_label_everywhere(Label::EXTERNAL)
    }
}

type Socket = WebSocketStream<Connection>;

async fn open(
    way: &Way<'_>,
    request: &StreamRequest,
    proof: Option<&Proof>,
    secrets: &mut Vec<String>,
    deadline: Instant,
    may: &May<'_>,
) -> Result<(Socket, Trip), Failed> {
    let limits = way.limits_left();
    for again in [true, false] {
        let shown = authorization(way, proof, secrets).await.map_err(Failed::Unsent)?;
        let mut opening = request.uri.as_str().into_client_request().map_err(|error| invalid(&error))?;
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in headers.chain(shown.value.as_deref().map(|value| ("authorization", value))) {
            let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
            else {
                return Err(
                    SendError::Invalid("a header holds a character that is not allowed".to_owned()).into()
                );
            };
            opening.headers_mut().insert(name, value);
        }
        // The door opens what it opens for requests.
        let place = request.uri.replacen("ws", "http", 1);
        let (connection, trip) = way.door.dial(&place, false, way.grant, limits, may).await?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits.body_bytes))
            .max_frame_size(Some(limits.body_bytes));
        let handshake = client_async_with_config(opening, connection, Some(config));
        match timeout_at(deadline, handshake).await {
            Ok(Ok((socket, _))) => return Ok((socket, trip)),
            Ok(Err(tungstenite::Error::Http(answer))) => {
                let status = answer.status().as_u16();
                trip.complete(Some(status));
                match status == 401 && shown.kept && again {
                    true => way.forget_token(proof, shown.value.as_deref()),
                    false => return Err(Failed::Status(status)),
                }
            }
            Ok(Err(error)) => {
                let told = format!("the connection cannot be used: {error}");
                trip.fail(&told);
                return Err(SendError::Unreachable(told).into());
            }
            Err(_) => {
                trip.fail("no handshake in time");
                return Err(SendError::Unreachable("there was no handshake in time".to_owned()).into());
            }
        }
    }
    Err(Failed::Status(401))
}

fn invalid(error: &tungstenite::Error) -> Failed {
    SendError::Invalid(format!("the address cannot be opened: {error}")).into()
}

/// Sends one message. Opening only prepares; from the message on it may have happened.
async fn put(
    way: &Way<'_>,
    request: &StreamRequest,
    payload: &Value,
    proof: Option<&Proof>,
    secrets: &mut Vec<String>,
) -> Result<Value, Failed> {
    let text = payload.to_string();
    if text.len() > SENT_BYTES_MAX {
        return Err(SendError::Invalid(format!("the message is larger than {SENT_BYTES_MAX} bytes")).into());
    }
    let deadline = Instant::now() + way.limits_left().whole;
    let (mut socket, trip) = open(way, request, proof, secrets, deadline, way.may_look).await?;
    let target = url::Url::parse(&request.uri).ok();
    let host = target.as_ref().and_then(url::Url::host_str).unwrap_or_default();
    let port = target.as_ref().and_then(url::Url::port_or_known_default).unwrap_or_default();
    if !(way.may_go)(host, port) {
        trip.fail("the right to send it was withdrawn while connecting");
        let told = "the right to send it was withdrawn while connecting".to_owned();
        return Err(SendError::Unreachable(told).into());
    }
    match timeout_at(deadline, socket.send(Message::text(text))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            trip.fail(&error.to_string());
            return Err(SendError::Lost(format!("the message may not have arrived: {error}")).into());
        }
        Err(_) => {
            trip.fail("not sent in time");
            return Err(SendError::Lost("the message was not sent in time".to_owned()).into());
        }
    }
    // The other side confirms the close only after it read what came before.
    let confirmed = timeout_at(deadline.min(Instant::now() + CLOSING), closed(&mut socket)).await;
    match confirmed {
        Ok(true) => {
            trip.complete(Some(101));
            Ok(Value::NULL)
        }
        Ok(false) | Err(_) => {
            trip.fail("the close was not confirmed");
            Err(SendError::Lost("nobody confirmed that the message was read".to_owned()).into())
        }
    }
}

/// Closes, and reads until the other side has closed. False when it broke off.
async fn closed(socket: &mut Socket) -> bool {
    if socket.close(None).await.is_err() {
        return false;
    }
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Close(_)) => return true,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return true,
            Err(_) => return false,
        }
    }
    false
}

/// Takes messages from a WebSocket.
async fn socket(
    way: &Way<'_>,
    request: &StreamRequest,
    mut taking: Taking<'_>,
    proof: Option<&Proof>,
    secrets: &mut Vec<String>,
) -> Result<Value, Failed> {
    let deadline = Instant::now() + way.limits_left().whole;
    let (mut socket, trip) = open(way, request, proof, secrets, deadline, way.may_go).await?;
    let time = taking.time();
    let result = async {
        if taking.enough()? {
            return Ok(true);
        }
        loop {
            match timeout_at(time.unwrap_or(deadline).min(deadline), socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    if taking.message(text.as_bytes())? {
                        return Ok(true);
                    }
                }
                Ok(Some(Ok(Message::Binary(bytes)))) => {
                    if taking.message(&bytes)? {
                        return Ok(true);
                    }
                }
                Ok(Some(Ok(Message::Close(_))) | None | Some(Err(tungstenite::Error::ConnectionClosed))) => {
                    return Ok(false);
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => {
                    return Err(SendError::Lost(format!("the stream broke off: {error}")).into());
                }
                Err(_) if time.is_some_and(|time| time <= Instant::now()) => return Ok(true),
                Err(_) => {
                    let told = format!("{} messages came, and then no more in time", taking.taken.len());
                    return Err(Failed::Time(told));
                }
            }
        }
    }
    .await;
    match result {
        Ok(whole) => {
            // Good manners; what was taken is taken.
            drop(tokio::time::timeout(CLOSING, socket.close(None)).await);
            trip.complete(Some(101));
            if whole { Ok(taking.output()) } else { taking.ended("the stream ended") }
        }
        Err(failed) => {
            trip.fail("what came was not what was asked for");
            Err(failed)
        }
    }
}

/// Takes messages from the answer to one request.
async fn http(
    way: &Way<'_>,
    request: &StreamRequest,
    taking: Taking<'_>,
    proof: Option<&Proof>,
    secrets: &mut Vec<String>,
) -> Result<Value, Failed> {
    let asked = HttpRequest {
        method: "GET".to_owned(),
        uri: request.uri.clone(),
        headers: [(
            "Accept".to_owned(),
            "text/event-stream, application/x-ndjson;q=0.9, application/json;q=0.8".to_owned(),
        )]
        .into_iter()
        .chain(request.headers.clone())
        .collect(),
        body: None,
        authentication: None,
        output: HttpOutput::Raw,
        redirect: false,
    };
    let time = taking.time();
    let looking = Mutex::new((taking, Cut::default(), None::<Result<bool, Failed>>));
    // The kind of the answer is not known here; whole events and whole lines are told apart by how they begin.
    let enough = |body: &[u8]| {
        let mut looking = looking.lock();
        let (taking, cut, result) = &mut *looking;
        if result.is_none() {
            match cut
                .feed(body, false)
                .into_iter()
                .try_fold(false, |end, message| Ok(end || taking.message(&message)?))
            {
                Ok(false) => {}
                ended => *result = Some(ended),
            }
        }
        result.is_some()
    };
    let reading = Reading { enough: Some(&enough), until: time };
    let answer = send(way, &asked, proof, way.may_go, reading, secrets).await.map_err(Failed::Unsent)?;
    if answer.status != 200 {
        return Err(Failed::Status(answer.status));
    }
    let (mut taking, mut cut, result) = looking.into_inner();
    match result {
        Some(Ok(_)) => return Ok(taking.output()),
        Some(Err(failed)) => return Err(failed),
        None => {}
    }
    if time.is_none_or(|time| time > Instant::now()) {
        for message in cut.feed(&answer.body, true) {
            if taking.message(&message)? {
                return Ok(taking.output());
            }
        }
        return taking.ended("the answer ended");
    }
    Ok(taking.output())
}

/// Cuts a body into messages: server-sent events when it begins like them, else JSON texts one after the other.
#[derive(Default)]
pub(super) struct Cut {
    read: usize,
}

impl Cut {
    /// The messages that are whole now; at the end also what has no end of its own.
    pub(super) fn feed(&mut self, body: &[u8], end: bool) -> Vec<Bytes> {
        let mut found = Vec::new();
        let events = is_events(body);
        while let Some(rest) = body.get(self.read..).filter(|rest| !rest.is_empty()) {
            let whole = match events {
                true => event_end(rest),
                false => rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1),
            };
            let Some(length) = whole.or_else(|| end.then_some(rest.len())) else { break };
            self.read += length;
            let part = &rest[..length];
            match events {
                true => found.extend(event_data(part)),
                // A JSON text that is written over several lines is one message when the body has ended.
                false
                    if !end
                        && serde_json::from_slice::<serde::de::IgnoredAny>(part).is_err()
                        && !blank(part) =>
                {
                    self.read -= length;
                    break;
                }
                false if !blank(part) => found.push(Bytes::copy_from_slice(part.trim_ascii())),
                false => {}
            }
        }
        found
    }
}

fn blank(part: &[u8]) -> bool {
    part.trim_ascii().is_empty()
}

fn is_events(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    [&b"data:"[..], b"event:", b"id:", b"retry:", b":"].iter().any(|word| body.starts_with(word))
}

/// Where an event ends: after an empty line.
fn event_end(rest: &[u8]) -> Option<usize> {
    let mut line = 0;
    for (at, byte) in rest.iter().enumerate() {
        if *byte == b'\n' {
            if blank(&rest[line..at]) && line > 0 {
                return Some(at + 1);
            }
            line = at + 1;
        }
    }
    None
}

/// The data of an event; none when it has none.
fn event_data(event: &[u8]) -> Option<Bytes> {
    let mut data = Vec::new();
    let mut any = false;
    for line in event.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(value) = line.strip_prefix(b"data:") else { continue };
        if any {
            data.push(b'\n');
        }
        data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        any = true;
    }
    any.then(|| data.into())
}
