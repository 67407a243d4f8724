//! Tool servers that are programs (Model Context Protocol over standard streams), in the sandbox for one call each.
//!
//! As over HTTP, all but the call only prepares. Unlike there, the program reaches nothing that lasts: whatever breaks,
//! nothing has happened.

use model::call::{RpcRequest, ToolProgram};
use model::{Label, Value};
use sandbox::{Killed, Limits, ProcessResult, Sandbox, Talk, TalkError};
use serde_json::{Value as Json, json};

use super::extract;
use super::process::{self, Performed};
use super::rpc::{
    EVENTS_MAX, Failed, PAGES_MAX, WORD_BYTES_MAX, agreed, answer_of, hello, same_tool, text_of, tool_error,
};

/// What a server is told that asks something back: no capability was offered.
const NO_METHOD: i64 = -32601;

/// Why there is no result.
enum Broken {
    /// The right to call was withdrawn.
    Withdrawn,
    Failed(Failed),
    Talk(TalkError),
}

impl From<Failed> for Broken {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<TalkError> for Broken {
    fn from(error: TalkError) -> Self {
        Self::Talk(error)
    }
}

/// Performs one call of a program. `may_start` is asked before it starts, `may_call` right before the call itself.
pub(crate) async fn perform(
    sandbox: &Sandbox,
    program: &ToolProgram,
    request: &RpcRequest,
    limits: Limits,
    cancelled: impl Fn() -> bool + Send + 'static,
    may_start: impl Fn() -> bool + Send + 'static,
    may_call: impl Fn() -> bool + Send + 'static,
) -> Performed {
    let asked = request.clone();
    let talk = move |talk: &mut Talk| Session { talk, next: 1 }.call(&asked, &may_call);
    let answered = |answer, killed| Performed::Answered { answer, killed };
    let (told, result) = match sandbox.talk_while(program, limits, talk, cancelled, may_start).await {
        Ok(Some(talked)) => talked,
        Ok(None) => return Performed::NotStarted,
        Err(error) => return answered(process::failed(&error), false),
    };
    let broken = match told {
        Ok(output) => {
            let output = Value::from_json(&output, Label::EXTERNAL).with_label_everywhere(Label::EXTERNAL);
            return answered(model::effect::Answer::Done { output }, false);
        }
        Err(Broken::Withdrawn) => return Performed::NotStarted,
        Err(broken) => broken,
    };
    match (result.killed, broken) {
        (Some(killed), _) => answered(process::ended(killed, &result), killed == Killed::Cancelled),
        (None, broken) => answered(answer_of(failed_of(broken, &result), true, &[]), false),
    }
}

/// The list of tools of a program, as it is kept.
pub(crate) async fn described(
    sandbox: &Sandbox,
    program: &ToolProgram,
    limits: Limits,
    may_start: impl Fn() -> bool + Send + 'static,
) -> Result<String, String> {
    let talk = |talk: &mut Talk| Session { talk, next: 1 }.list();
    let talked = sandbox.talk_while(program, limits, talk, || false, may_start).await;
    let (told, result) = match talked {
        Ok(Some(talked)) => talked,
        Ok(None) => return Err("a control does not let it start".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    match (told, result.killed) {
        (Ok(tools), _) => Ok(json!({ "tools": tools }).to_string()),
        (Err(_), Some(killed)) => match process::ended(killed, &result) {
            model::effect::Answer::Refused { error, .. } => {
                Err(error.detail.or(error.title).unwrap_or_default())
            }
            _ => Err("it was ended".to_owned()),
        },
        (Err(broken), None) => Err(text_of(&failed_of(broken, &result))),
    }
}

fn failed_of(broken: Broken, result: &ProcessResult) -> Failed {
    match broken {
        Broken::Failed(failed) => failed,
        Broken::Withdrawn => Failed::Odd("the right to call it was withdrawn".to_owned()),
        Broken::Talk(TalkError::Ended) => {
            let told = extract(&result.stderr);
            let code = result.code;
            Failed::Odd(format!("the tool server ended with code {code} before it had answered: {told}"))
        }
        Broken::Talk(TalkError::TooMuch) => {
            Failed::Odd("the tool server wrote more than may be kept".to_owned())
        }
    }
}

/// One conversation.
struct Session<'a> {
    talk: &'a mut Talk,
    next: u32,
}

impl Session<'_> {
    fn call(mut self, request: &RpcRequest, may_call: &dyn Fn() -> bool) -> Result<Json, Broken> {
        let lists_tools = self.begin(request.version.as_deref(), request.client.as_ref())?;
        if let Some(digest) = &request.tool {
            let tools = if lists_tools { self.tools()? } else { Vec::new() };
            same_tool(&tools, request, digest)?;
        }
        if !may_call() {
            return Err(Broken::Withdrawn);
        }
        let result = self.ask(&request.method, &request.parameters.to_json())?;
        match tool_error(request, &result) {
            Some(failed) => Err(failed.into()),
            None => Ok(result),
        }
    }

    fn list(mut self) -> Result<Vec<Json>, Broken> {
        // A server without tools is asked for none.
        if self.begin(None, None)? { self.tools() } else { Ok(Vec::new()) }
    }

    /// Says who we are and agrees on a version; true when the server has tools.
    fn begin(&mut self, version: Option<&str>, client: Option<&(String, String)>) -> Result<bool, Broken> {
        let answer = self.ask("initialize", &hello(version, client))?;
        agreed(&answer)?;
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(answer["capabilities"]["tools"].is_object())
    }

    fn tools(&mut self) -> Result<Vec<Json>, Broken> {
        let (mut tools, mut cursor) = (Vec::new(), Json::Null);
        for _ in 0..PAGES_MAX {
            let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
            let mut page = self.ask("tools/list", &params)?;
            match page["tools"].take() {
                Json::Array(found) => tools.extend(found),
                _ => return Err(Failed::Odd("the answer holds no list of tools".to_owned()).into()),
            }
            cursor = page["nextCursor"].take();
            if cursor.as_str().is_none_or(|cursor| cursor.is_empty() || cursor.len() > WORD_BYTES_MAX) {
                return Ok(tools);
            }
        }
        Err(Failed::Odd(format!("the server lists more than {PAGES_MAX} pages of tools")).into())
    }

    fn say(&mut self, message: &Json) -> Result<(), Broken> {
        Ok(self.talk.say(&message.to_string())?)
    }

    fn ask(&mut self, method: &str, params: &Json) -> Result<Json, Broken> {
        let id = self.next;
        self.next += 1;
        let mut body = json!({"jsonrpc": "2.0", "id": id, "method": method});
        if !params.is_null() {
            body["params"] = params.clone();
        }
        self.say(&body)?;
        for _ in 0..EVENTS_MAX {
            let line = self.talk.hear()?;
            if line.trim().is_empty() {
                continue;
            }
            let Ok(mut message) = serde_json::from_str::<Json>(&line) else {
                let told = format!("the tool server wrote something that is no message: {}", extract(&line));
                return Err(Failed::Odd(told).into());
            };
            if let Some(answer) = answer_to(&message) {
                self.say(&answer)?;
            } else if message["id"] == json!(id) {
                if let Some(error) = message.get("error").filter(|error| !error.is_null()) {
                    let told = extract(error["message"].as_str().unwrap_or_default());
                    return Err(Failed::Said(error["code"].as_i64().unwrap_or_default(), told).into());
                }
                if message.get("result").is_some() {
                    return Ok(message["result"].take());
                }
            }
        }
        Err(Failed::Odd(format!("the tool server wrote {EVENTS_MAX} messages without an answer")).into())
    }
}

/// What is answered to a server that asks something itself; none for everything else that it says.
fn answer_to(message: &Json) -> Option<Json> {
    let method = message.get("method")?.as_str()?;
    let id = message.get("id").filter(|id| id.is_string() || id.is_number())?;
    Some(match method {
        "ping" => json!({"jsonrpc": "2.0", "id": id, "result": {}}),
        _ => {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": NO_METHOD, "message": "nothing was offered"}})
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_server_asks_is_answered() {
        let answered = |message: Json| answer_to(&message);
        assert_eq!(answered(json!({"id": "a", "method": "ping"})).expect("an answer")["result"], json!({}));
        let refused = answered(json!({"id": 3, "method": "sampling/createMessage"})).expect("an answer");
        assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(3), &json!(-32601)));
        for other in [
            json!({"method": "ping"}),
            json!({"id": 1, "result": {}}),
            json!({"id": {}, "method": "x"}),
            json!([]),
        ] {
            assert!(answered(other.clone()).is_none(), "{other}");
        }
    }
}
