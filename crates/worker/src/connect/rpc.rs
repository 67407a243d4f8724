//! JSON-RPC over HTTP: tools of a server (Model Context Protocol) and agents (Agent2Agent).
//!
//! A call of a tool is a session: who we are, which version is spoken, the tool as it is now, the call, the end. All but the
//! call only prepares. Answers come as JSON or as server-sent events, which need not end.

use std::time::Duration;

use app::{Kind, Wanted, mcp};
use bytes::Bytes;
use egress::{HttpAnswer, Reading};
use model::call::{RpcProtocol, RpcRequest};
use model::effect::{Answer, HttpOutput, HttpRequest};
use model::problem::WorkflowError;
use model::{Digest, Label, Value};
use serde_json::{Value as Json, json};

use super::extract;
use super::grpc::clean;
use super::http::unsent_answer;
use super::stream::Cut;
use crate::authenticate::{May, Proof, Unsent, Way, masked, send};

/// Versions that are spoken; the last one is offered.
pub(super) const VERSIONS: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
/// The version that is offered when the task names none: what the language says.
pub(super) const VERSION: &str = "2025-06-18";
/// Pages of a list of tools.
pub(super) const PAGES_MAX: usize = 20;
/// Events of one streamed answer.
pub(super) const EVENTS_MAX: usize = 1000;
/// Longest session id and cursor, in bytes.
pub(super) const WORD_BYTES_MAX: usize = 1024;
/// How long the end of a session may take.
const ENDING: Duration = Duration::from_secs(2);

/// Why there is no result.
pub(super) enum Failed {
    Unsent(Unsent),
    /// The answer was this status.
    Status(u16, String),
    /// The other side said no: its code and its words.
    Said(i64, String),
    /// What came back is not what the protocol says.
    Odd(String),
    /// The tool is not the one that was published.
    Changed(String),
}

/// Performs one call. `read` says that it changes nothing.
pub(crate) async fn perform(
    way: &Way<'_>,
    request: &RpcRequest,
    proof: Option<&Proof>,
    read: bool,
) -> Answer {
    let mut line = Line::new(way, &request.uri, request.headers.clone(), proof);
    let done = match request.protocol {
        RpcProtocol::Mcp => mcp_call(&mut line, request).await,
        RpcProtocol::A2a => a2a_call(&mut line, request).await.map_err(|failed| (failed, true)),
    };
    let secrets = line.secrets;
    match done {
        Ok(output) => Answer::Done { output: clean(output.with_label_everywhere(Label::EXTERNAL), &secrets) },
        // What only prepared has done nothing, whatever was said to it.
        Err((failed, called)) => answer_of(failed, read || !called, &secrets),
    }
}

/// One conversation.
struct Line<'a> {
    way: &'a Way<'a>,
    uri: &'a str,
    headers: Vec<(String, String)>,
    proof: Option<&'a Proof>,
    secrets: Vec<String>,
    session: Option<String>,
    next: u32,
}

impl<'a> Line<'a> {
    fn new(way: &'a Way<'a>, uri: &'a str, headers: Vec<(String, String)>, proof: Option<&'a Proof>) -> Self {
        Self { way, uri, headers, proof, secrets: Vec::new(), session: None, next: 1 }
    }

    fn request(&self, method: &str, body: Option<&Json>) -> HttpRequest {
        let mut headers = vec![("Accept".to_owned(), "application/json, text/event-stream".to_owned())];
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        headers.extend(self.session.iter().map(|id| ("Mcp-Session-Id".to_owned(), id.clone())));
        let own = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let given: Vec<_> = self.headers.iter().filter(|(name, _)| !own(name)).cloned().collect();
        headers.extend(given);
        HttpRequest {
            method: method.to_owned(),
            uri: self.uri.to_owned(),
            headers,
            body: body.map(|body| Value::from_json(body, Label::DEFINITION)),
            authentication: None,
            output: HttpOutput::Raw,
            redirect: false,
        }
    }

    /// Sends a request and gives every result that answers it; more than one only when it `streams`.
    async fn ask(
        &mut self,
        method: &str,
        params: &Json,
        may: &May<'_>,
        streams: bool,
    ) -> Result<(Vec<Json>, HttpAnswer), Failed> {
        let id = self.next;
        self.next += 1;
        let mut body = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !params.is_null() {
            body["params"] = params.clone();
        }
        let request = self.request("POST", Some(&body));
        let enough = |body: &[u8]| {
            let found = answers(body, id, false);
            found.iter().any(|answer| !streams || is_last(answer)) || found.len() >= EVENTS_MAX
        };
        let reading = Reading { enough: Some(&enough), until: None };
        let sent = send(self.way, &request, self.proof, may, reading, &mut self.secrets).await;
        let answer = sent.map_err(Failed::Unsent)?;
        if answer.status != 200 {
            return Err(Failed::Status(answer.status, extract(&String::from_utf8_lossy(&answer.body))));
        }
        let mut results = Vec::new();
        for mut found in answers(&answer.body, id, true).into_iter().take(EVENTS_MAX) {
            if let Some(error) = found.get("error").filter(|error| !error.is_null()) {
                let told = extract(error["message"].as_str().unwrap_or_default());
                return Err(Failed::Said(error["code"].as_i64().unwrap_or_default(), told));
            }
            results.push(found["result"].take());
        }
        if results.is_empty() {
            return Err(Failed::Odd("nothing in the answer answers the request".to_owned()));
        }
        Ok((results, answer))
    }

    async fn one(&mut self, method: &str, params: &Json, may: &May<'_>) -> Result<Json, Failed> {
        let (results, _) = self.ask(method, params, may, false).await?;
        results.into_iter().next().ok_or_else(|| Failed::Odd("there is no result".to_owned()))
    }

    /// Says who we are, and agrees on a version.
    async fn begin(
        &mut self,
        version: Option<&str>,
        client: Option<&(String, String)>,
    ) -> Result<(), Failed> {
        let hello = hello(version, client);
        let (mut results, answer) = self.ask("initialize", &hello, self.way.may_look, false).await?;
        let agreed = agreed(&results.pop().unwrap_or_default())?;
        let session = answer.header("mcp-session-id").map(str::to_owned);
        if session.as_ref().is_some_and(|id| id.len() > WORD_BYTES_MAX) {
            return Err(Failed::Odd("the session's id is too long".to_owned()));
        }
        self.session = session;
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("mcp-protocol-version"));
        self.headers.push(("MCP-Protocol-Version".to_owned(), agreed));
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let request = self.request("POST", Some(&ready));
        let may = self.way.may_look;
        let sent = send(self.way, &request, self.proof, may, Reading::default(), &mut self.secrets).await;
        let answer = sent.map_err(Failed::Unsent)?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(Failed::Status(status, extract(&String::from_utf8_lossy(&answer.body)))),
        }
    }

    /// Every tool of the server.
    async fn tools(&mut self) -> Result<Vec<Json>, Failed> {
        let (mut tools, mut cursor) = (Vec::new(), Json::Null);
        for _ in 0..PAGES_MAX {
            let params = if cursor.is_null() { Json::Null } else { json!({"cursor": cursor}) };
            let mut page = self.one("tools/list", &params, self.way.may_look).await?;
            match page["tools"].take() {
                Json::Array(found) => tools.extend(found),
                _ => return Err(Failed::Odd("the server's answer holds no list of tools".to_owned())),
            }
            cursor = page["nextCursor"].take();
            if cursor.as_str().is_none_or(|cursor| cursor.is_empty() || cursor.len() > WORD_BYTES_MAX) {
                return Ok(tools);
            }
        }
        Err(Failed::Odd(format!("the server lists more than {PAGES_MAX} pages of tools")))
    }

    /// Good manners: nothing depends on it.
    async fn end(&mut self) {
        if self.session.is_some() {
            let request = self.request("DELETE", None);
            let may = self.way.may_look;
            let ending = send(self.way, &request, self.proof, may, Reading::default(), &mut self.secrets);
            drop(tokio::time::timeout(ENDING, ending).await);
        }
    }
}

/// The error says whether the call itself had begun.
async fn mcp_call(line: &mut Line<'_>, request: &RpcRequest) -> Result<Value, (Failed, bool)> {
    line.begin(request.version.as_deref(), request.client.as_ref())
        .await
        .map_err(|failed| (failed, false))?;
    let prepared = match &request.tool {
        Some(digest) => unchanged(line, request, digest).await,
        None => Ok(()),
    };
    let done = match prepared {
        Ok(()) => {
            let (may, params) = (line.way.may_go, request.parameters.to_json());
            line.one(&request.method, &params, may).await.map_err(|failed| (failed, true))
        }
        Err(failed) => Err((failed, false)),
    };
    line.end().await;
    let result = done?;
    match tool_error(request, &result) {
        Some(failed) => Err((failed, true)),
        None => Ok(Value::from_json(&result, Label::EXTERNAL)),
    }
}

/// What a tool says that did not do what it was asked for.
pub(super) fn tool_error(request: &RpcRequest, result: &Json) -> Option<Failed> {
    if request.method != "tools/call" || result["isError"] != Json::Bool(true) {
        return None;
    }
    let texts = result["content"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str());
    Some(Failed::Said(TOOL_ERROR, extract(&texts.collect::<Vec<_>>().join(" "))))
}

/// Who says hello, in which version.
pub(super) fn hello(version: Option<&str>, client: Option<&(String, String)>) -> Json {
    let (name, number) = client.map_or(("omnihub", env!("CARGO_PKG_VERSION")), |(n, v)| (n, v));
    json!({
        "protocolVersion": version.unwrap_or(VERSION), "capabilities": {},
        "clientInfo": {"name": name, "version": number},
    })
}

/// The version that both speak.
pub(super) fn agreed(answer: &Json) -> Result<String, Failed> {
    let agreed = answer["protocolVersion"].as_str().unwrap_or_default();
    if VERSIONS.contains(&agreed) {
        return Ok(agreed.to_owned());
    }
    let agreed: String = agreed.chars().take(40).collect();
    Err(Failed::Odd(format!("the server speaks version `{agreed}`, which is not spoken here")))
}

/// What a tool that says `isError` counts as: it answered that it did not do it.
pub(super) const TOOL_ERROR: i64 = 0;

/// A tool that was changed since it was reviewed is not called.
async fn unchanged(line: &mut Line<'_>, request: &RpcRequest, digest: &Digest) -> Result<(), Failed> {
    same_tool(&line.tools().await?, request, digest)
}

/// Compares the tool that is called with the one that was published.
pub(super) fn same_tool(tools: &[Json], request: &RpcRequest, digest: &Digest) -> Result<(), Failed> {
    let name = request.parameters.get("name").and_then(Value::as_str).unwrap_or_default();
    match tools.iter().find(|tool| tool["name"].as_str() == Some(name)) {
        Some(tool) if mcp::tool_digest(tool) == *digest => Ok(()),
        Some(_) => Err(Failed::Changed(format!(
            "the tool `{name}` is not the one that was published; look at what changed, and publish a new version"
        ))),
        None => Err(Failed::Changed(format!("the server has no tool `{name}` any more"))),
    }
}

async fn a2a_call(line: &mut Line<'_>, request: &RpcRequest) -> Result<Value, Failed> {
    let params = request.parameters.to_json();
    let may = line.way.may_go;
    if matches!(request.method.as_str(), "message/stream" | "tasks/resubscribe") {
        let (results, _) = line.ask(&request.method, &params, may, true).await?;
        return Ok(Value::from_json(&Json::Array(results), Label::EXTERNAL));
    }
    line.one(&request.method, &params, may).await.map(|result| Value::from_json(&result, Label::EXTERNAL))
}

/// The list of tools of a server, as it is kept.
pub(crate) async fn described(
    way: &Way<'_>,
    wanted: &Wanted,
    proof: Option<&Proof>,
) -> Result<String, String> {
    debug_assert_eq!(wanted.kind, Kind::Tools);
    let mut line = Line::new(way, &wanted.uri, Vec::new(), proof);
    let listed = match line.begin(None, None).await {
        Ok(()) => line.tools().await,
        Err(failed) => Err(failed),
    };
    line.end().await;
    match listed {
        Ok(tools) => Ok(json!({"tools": tools}).to_string()),
        Err(failed) => Err(masked(&text_of(&failed), &line.secrets)),
    }
}

/// JSON-RPC messages in a body that answer request `id`.
fn answers(body: &[u8], id: u32, end: bool) -> Vec<Json> {
    // One document over several lines is no stream.
    let read: Vec<Json> = match serde_json::from_slice(body) {
        Ok(whole) if end => vec![whole],
        _ => {
            let messages: Vec<Bytes> = Cut::default().feed(body, end);
            messages.iter().filter_map(|message| serde_json::from_slice(message).ok()).collect()
        }
    };
    let answers = |message: &Json| {
        message["id"] == json!(id) && (message.get("result").is_some() || message.get("error").is_some())
    };
    read.into_iter().filter(answers).collect()
}

/// True for the last answer of a stream.
fn is_last(answer: &Json) -> bool {
    let result = &answer["result"];
    let over = result["kind"]
        .as_str()
        .is_some_and(|kind| kind == "message" || kind == "task" && done(&result["status"]));
    answer.get("error").is_some() || result["final"] == Json::Bool(true) || over
}

fn done(status: &Json) -> bool {
    matches!(status["state"].as_str(), Some("completed" | "failed" | "canceled" | "rejected"))
}

pub(super) fn text_of(failed: &Failed) -> String {
    match failed {
        Failed::Unsent(unsent) => unsent.to_string(),
        Failed::Status(status, told) if told.is_empty() => format!("the answer was {status}"),
        Failed::Status(status, told) => format!("the answer was {status}: {told}"),
        Failed::Said(TOOL_ERROR, told) => format!("the tool says that it failed: {told}"),
        Failed::Said(code, told) => format!("the answer was error {code}: {told}"),
        Failed::Odd(told) | Failed::Changed(told) => told.clone(),
    }
}

/// What it means: `harmless` when nothing can have happened by it.
pub(super) fn answer_of(failed: Failed, harmless: bool, secrets: &[String]) -> Answer {
    let text = masked(&text_of(&failed), secrets);
    let refused = |error, transient| Answer::Refused { error, transient, retry_after_ms: None };
    let error = |kind: &str, status, title: &str| WorkflowError::standard(kind, status, title, text.clone());
    let may_have = |error: WorkflowError| match harmless {
        true => Answer::Refused { error, transient: true, retry_after_ms: None },
        false => Answer::Lost { error },
    };
    match failed {
        Failed::Unsent(unsent) => unsent_answer(&unsent, harmless, secrets),
        Failed::Status(status @ (408 | 425 | 429 | 503), _) => {
            refused(error("communication", status, "request answered with an error"), true)
        }
        Failed::Status(status @ (500 | 502 | 504), _) => {
            may_have(error("communication", status, "request answered with an error"))
        }
        Failed::Status(status, _) => {
            refused(error("communication", status, "request answered with an error"), false)
        }
        Failed::Said(TOOL_ERROR, _) => refused(error("communication", 422, "tool failed"), false),
        Failed::Said(-32700 | -32600 | -32602, _) => refused(error("validation", 400, "call refused"), false),
        Failed::Said(-32601 | -32001 | -32002, _) => {
            refused(error("communication", 404, "call refused"), false)
        }
        Failed::Said(-32007..=-32003, _) => refused(error("communication", 400, "call refused"), false),
        Failed::Said(..) => may_have(error("communication", 500, "call failed")),
        Failed::Odd(_) if harmless => refused(error("communication", 502, "answer cannot be taken"), false),
        Failed::Odd(_) => Answer::Lost { error: error("communication", 502, "answer cannot be taken") },
        Failed::Changed(_) => {
            let error = WorkflowError::governed("tool-changed", 409, "the tool changed", text.clone());
            refused(error, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use egress::SendError;

    use super::*;

    #[test]
    fn answers_are_found_among_what_else_is_said() {
        let events = b"event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n\
            data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":1}}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{}}\n\n";
        assert_eq!(answers(events, 7, true).len(), 1);
        assert_eq!(answers(&events[..events.len() - 60], 8, false).len(), 0);
        let plain = b"{\n \"jsonrpc\": \"2.0\",\n \"id\": 7, \"error\": {\"code\": -32602}\n}";
        assert_eq!(answers(plain, 7, true)[0]["error"]["code"], -32602);
        for other in [&b"[]"[..], b"", b"{\"id\":7}", b"no"] {
            assert!(answers(other, 7, true).is_empty());
        }
    }

    #[test]
    fn what_may_have_happened_is_never_called_refused_for_a_write() {
        let table: [(fn() -> Failed, bool); 9] = [
            (|| Failed::Status(500, String::new()), true),
            (|| Failed::Status(400, String::new()), false),
            (|| Failed::Status(503, String::new()), false),
            (|| Failed::Said(-32603, String::new()), true),
            (|| Failed::Said(-32050, String::new()), true),
            (|| Failed::Said(-32602, String::new()), false),
            (|| Failed::Odd(String::new()), true),
            (|| Failed::Changed(String::new()), false),
            (|| Failed::Unsent(Unsent::Door(SendError::Lost(String::new()))), true),
        ];
        for (failed, may) in table {
            let told = text_of(&failed());
            assert_eq!(matches!(answer_of(failed(), false, &[]), Answer::Lost { .. }), may, "{told}");
            assert!(matches!(answer_of(failed(), true, &[]), Answer::Refused { .. }), "{told}");
        }
    }
}
