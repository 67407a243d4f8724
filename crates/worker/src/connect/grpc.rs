//! gRPC over HTTP/2: one message there, one or a stream back, and what its status means.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use egress::{Limits, SendError, Trip};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::call::GrpcRequest;
use model::effect::Answer;
use model::problem::WorkflowError;
use model::{Label, Value};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::http::unsent_answer;
use crate::authenticate::{Proof, Unsent, Way, authorization, masked};
use crate::proto;

/// Messages of one answer.
const MESSAGES_MAX: usize = 1000;
/// Bytes before each message: a flag and its length.
const PREFIX: usize = 5;

/// What came back.
struct Answered {
    status: u16,
    told: String,
    messages: Vec<Bytes>,
}

/// Performs one call. `read` says that it changes nothing: then a lost answer is no harm.
pub(crate) async fn perform(
    way: &Way<'_>,
    call: &GrpcRequest,
    proof: Option<&Proof>,
    fencing: Option<(String, String)>,
    pool: &DescriptorPool,
    read: bool,
) -> Answer {
    let Some(method) = proto::method(pool, &call.service, &call.method) else {
        return refused(
            "configuration",
            400,
            "no such method",
            "the kept description has no such method".into(),
        );
    };
    let message = match proto::encoded(&method, &call.arguments) {
        Ok(message) => message,
        Err(why) => return refused("validation", 400, "message does not fit", why),
    };
    let mut headers = call.headers.clone();
    if let Some((name, value)) = fencing {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        headers.push((name, value));
    }
    let mut secrets = Vec::new();
    for again in [true, false] {
        let shown = match authorization(way, proof, &mut secrets).await {
            Ok(shown) => shown,
            Err(unsent) => return unsent_answer(&unsent, read, &secrets),
        };
        match exchange(way, call, &headers, shown.value.as_deref(), &message).await {
            // The token was taken back before its time: nothing was done with it.
            Ok(answered) if answered.status == UNAUTHENTICATED && shown.kept && again => {
                way.forget_token(proof, shown.value.as_deref());
            }
            Ok(answered) => return judge(&method, &answered, read, &secrets),
            Err(error) => return unsent_answer(&Unsent::Door(error), read, &secrets),
        }
    }
    unsent_answer(&Unsent::Door(SendError::Unreachable("the token is not taken".to_owned())), read, &secrets)
}

/// Ends the connection's task with what needs it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(
    way: &Way<'_>,
    call: &GrpcRequest,
    headers: &[(String, String)],
    authorization: Option<&str>,
    message: &[u8],
) -> Result<Answered, SendError> {
    let limits = way.limits_left();
    let deadline = Instant::now() + limits.whole;
    let request = request(call, headers, authorization, message, limits)?;
    let (connection, trip) = way.door.dial(&call.uri, true, way.grant, limits, way.may_go).await?;
    let untouched = trip.traffic();
    let failed = |reason: String| {
        if untouched() { SendError::Unreachable(reason) } else { SendError::Lost(reason) }
    };
    let result = async {
        let (mut sender, driver) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(connection))
            .await
            .map_err(|error| failed(format!("the connection cannot be used: {error}")))?;
        let _driver = Driver(tokio::spawn(async move {
            // What went wrong is told by the request, too.
            drop(driver.await);
        }));
        let exchanged = async {
            let response =
                sender.send_request(request).await.map_err(|error| failed(format!("no answer: {error}")))?;
            take(response, limits).await
        };
        match timeout_at(deadline, exchanged).await {
            Ok(answered) => answered,
            Err(_) => Err(failed(format!("no complete answer within {} ms", limits.whole.as_millis()))),
        }
    }
    .await;
    ended(trip, &result);
    result
}

fn ended(trip: Trip, result: &Result<Answered, SendError>) {
    match result {
        Ok(_) | Err(SendError::BadAnswer(_)) => trip.complete(Some(200)),
        Err(error) => trip.fail(&error.to_string()),
    }
}

fn request(
    call: &GrpcRequest,
    headers: &[(String, String)],
    authorization: Option<&str>,
    message: &[u8],
    limits: Limits,
) -> Result<Request<Full<Bytes>>, SendError> {
    let invalid = |what: String| SendError::Invalid(what);
    let length = u32::try_from(message.len()).map_err(|_| invalid("the message is too long".to_owned()))?;
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.extend_from_slice(&[0]);
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(message);
    let uri = format!("{}/{}/{}", call.uri, call.service, call.method);
    let mut request = Request::post(uri)
        .version(hyper::Version::HTTP_2)
        .body(Full::new(body.freeze()))
        .map_err(|error| invalid(format!("the request cannot be written: {error}")))?;
    let map = request.headers_mut();
    map.insert("content-type", HeaderValue::from_static("application/grpc+proto"));
    map.insert("te", HeaderValue::from_static("trailers"));
    map.insert("grpc-timeout", timeout(limits.whole)?);
    let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in given.chain(authorization.map(|value| ("authorization", value))) {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let (Ok(name), Ok(value)) = (parsed, HeaderValue::from_str(value)) else {
            return Err(invalid(format!(
                "metadata `{}` holds a character that is not allowed",
                name.escape_debug()
            )));
        };
        map.insert(name, value);
    }
    Ok(request)
}

/// At most eight digits, in milliseconds.
fn timeout(whole: Duration) -> Result<HeaderValue, SendError> {
    let text = format!("{}m", whole.as_millis().clamp(1, 99_999_999));
    HeaderValue::from_str(&text).map_err(|error| SendError::Invalid(error.to_string()))
}

async fn take(response: Response<Incoming>, limits: Limits) -> Result<Answered, SendError> {
    let (head, mut incoming) = response.into_parts();
    let kind = head.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/grpc") {
        // A proxy on the way; the mapping of its status is gRPC's own.
        let status = match head.status.as_u16() {
            400 => 13,
            401 => UNAUTHENTICATED,
            403 => 7,
            404 => 12,
            429 | 502..=504 => 14,
            _ => 2,
        };
        return Ok(Answered {
            status,
            told: format!("the answer was {} and no gRPC", head.status.as_u16()),
            messages: Vec::new(),
        });
    }
    let mut status = status_of(&head.headers);
    let (mut buffer, mut messages, mut bytes) = (BytesMut::new(), Vec::new(), 0usize);
    while let Some(frame) = incoming.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            // Some services reset the stream right after their trailers.
            Err(_) if status.is_some() => break,
            Err(error) => return Err(SendError::Lost(format!("the answer broke off: {error}"))),
        };
        match frame.into_data() {
            Ok(data) => {
                bytes += data.len();
                if bytes > limits.body_bytes {
                    return Err(over(format!("{} bytes", limits.body_bytes)));
                }
                buffer.extend_from_slice(&data);
                while let Some(message) = next_message(&mut buffer)? {
                    if messages.len() == MESSAGES_MAX {
                        return Err(over(format!("{MESSAGES_MAX} messages")));
                    }
                    messages.push(message);
                }
            }
            Err(frame) => status = frame.trailers_ref().and_then(status_of).or(status),
        }
    }
    let Some((status, told)) = status else {
        return Err(SendError::Lost("the answer ended without a status".to_owned()));
    };
    if !buffer.is_empty() {
        return Err(SendError::BadAnswer("the answer ends in the middle of a message".to_owned()));
    }
    Ok(Answered { status, told, messages })
}

fn over(limit: String) -> SendError {
    SendError::BadAnswer(format!("the answer is larger than {limit}"))
}

/// The next whole message; none when more has to come.
fn next_message(buffer: &mut BytesMut) -> Result<Option<Bytes>, SendError> {
    let Some((&[flag, a, b, c, d], _)) = buffer.split_first_chunk::<PREFIX>() else { return Ok(None) };
    if flag != 0 {
        return Err(SendError::BadAnswer("a message is compressed, which nobody asked for".to_owned()));
    }
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if buffer.len() - PREFIX < length {
        return Ok(None);
    }
    buffer.advance(PREFIX);
    Ok(Some(buffer.split_to(length).freeze()))
}

fn status_of(headers: &HeaderMap) -> Option<(u16, String)> {
    let status = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let told = headers.get("grpc-message").and_then(|told| told.to_str().ok()).unwrap_or_default();
    Some((status, unescaped(told).chars().take(500).collect()))
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const UNAUTHENTICATED: u16 = 16;

/// What each status means: the type of the error and its status, whether it may be sent again, whether it may have happened.
fn meaning(status: u16) -> (&'static str, u16, &'static str, Meaning) {
    match status {
        1 => ("communication", 499, "CANCELLED", Meaning::MayHave),
        3 => ("validation", 400, "INVALID_ARGUMENT", Meaning::No),
        4 => ("timeout", 408, "DEADLINE_EXCEEDED", Meaning::MayHave),
        5 => ("communication", 404, "NOT_FOUND", Meaning::No),
        6 => ("communication", 409, "ALREADY_EXISTS", Meaning::No),
        7 => ("authorization", 403, "PERMISSION_DENIED", Meaning::No),
        8 => ("communication", 429, "RESOURCE_EXHAUSTED", Meaning::Later),
        9 => ("validation", 400, "FAILED_PRECONDITION", Meaning::No),
        10 => ("communication", 409, "ABORTED", Meaning::No),
        11 => ("validation", 400, "OUT_OF_RANGE", Meaning::No),
        12 => ("communication", 501, "UNIMPLEMENTED", Meaning::No),
        14 => ("communication", 503, "UNAVAILABLE", Meaning::Later),
        15 => ("communication", 500, "DATA_LOSS", Meaning::MayHave),
        16 => ("authentication", 401, "UNAUTHENTICATED", Meaning::No),
        13 => ("communication", 500, "INTERNAL", Meaning::MayHave),
        _ => ("communication", 500, "UNKNOWN", Meaning::MayHave),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
    No,
    Later,
    MayHave,
}

fn judge(method: &MethodDescriptor, answered: &Answered, read: bool, secrets: &[String]) -> Answer {
    if answered.status == 0 {
        return match output(method, answered) {
            Ok(output) => Answer::Done { output: clean(output, secrets) },
            Err(why) if read => refused("communication", 502, "answer cannot be read", why),
            Err(why) => Answer::Lost {
                error: WorkflowError::standard("communication", 502, "answer cannot be read", why),
            },
        };
    }
    let (kind, status, word, meaning) = meaning(answered.status);
    let told = masked(&answered.told, secrets);
    let detail = if told.is_empty() { word.to_owned() } else { format!("{word}: {told}") };
    let error = WorkflowError::standard(kind, status, "call answered with an error", detail);
    match meaning {
        Meaning::No => Answer::Refused { error, transient: false, retry_after_ms: None },
        Meaning::Later => Answer::Refused { error, transient: true, retry_after_ms: None },
        // A read that broke may be read again.
        Meaning::MayHave if read => Answer::Refused { error, transient: true, retry_after_ms: None },
        Meaning::MayHave => Answer::Lost { error },
    }
}

fn output(method: &MethodDescriptor, answered: &Answered) -> Result<Value, String> {
    let messages: Vec<Value> =
        answered.messages.iter().map(|bytes| proto::decoded(method, bytes)).collect::<Result<_, _>>()?;
    match method.is_server_streaming() {
        true => Ok(Value::array(messages).with_label_everywhere(Label::EXTERNAL)),
        false if messages.len() == 1 => messages.into_iter().next().ok_or_else(String::new),
        false => Err(format!("the answer has {} messages and must have one", messages.len())),
    }
}

/// An output in which the service repeats a secret does not enter the history with it.
pub(super) fn clean(output: Value, secrets: &[String]) -> Value {
    let text = output.to_string();
    if !secrets.iter().any(|secret| text.contains(secret.as_str())) {
        return output;
    }
    let json = serde_json::from_str(&masked(&text, secrets)).unwrap_or(serde_json::Value::Null);
    Value::from_json(&json, Label::EXTERNAL)
}

fn refused(kind: &str, status: u16, title: &str, detail: String) -> Answer {
    let error = WorkflowError::standard(kind, status, title, detail);
    Answer::Refused { error, transient: false, retry_after_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_out_wherever_the_frames_end() {
        let wire = b"\0\0\0\0\x02hi\0\0\0\0\0\0\0\0\0\x03you";
        for step in 1..=wire.len() {
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for part in wire.chunks(step) {
                buffer.extend_from_slice(part);
                while let Some(message) = next_message(&mut buffer).expect("fine frames") {
                    found.push(message);
                }
            }
            assert_eq!(found, [&b"hi"[..], b"", b"you"], "{step}");
            assert!(buffer.is_empty());
        }
        assert!(next_message(&mut BytesMut::from(&b"\x01\0\0\0\0"[..])).is_err());
    }

    #[test]
    fn messages_of_statuses_are_unescaped() {
        for (text, plain) in [("a%20b", "a b"), ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%c3%a9", "é")] {
            assert_eq!(unescaped(text), plain);
        }
    }

    #[test]
    fn what_may_have_happened_is_never_called_refused_for_a_write() {
        for status in 1..=17 {
            let (.., meaning) = meaning(status);
            let may = matches!(status, 1 | 2 | 4 | 13 | 15 | 17);
            assert_eq!(meaning == Meaning::MayHave, may, "{status}");
        }
    }
}
