//! HTTP: send through the door, and say what the answer means for the effect.

use base64::Engine as _;
use egress::{HttpAnswer, Reading, SendError};
use model::effect::{Answer, HttpOutput, HttpRequest};
use model::problem::WorkflowError;
use model::{Label, Value};

use super::extract;
use crate::authenticate::{Proof, ProofError, Unsent, Way, masked, send};

/// Longest time that an outside may ask us to wait, in milliseconds (a day).
const RETRY_AFTER_MS_MAX: u64 = 24 * 3600 * 1000;

/// Performs one HTTP request. `extra` is a header and what to put into it (the fencing token).
///
/// The output carries [`Label::EXTERNAL`] on every node that came from outside.
pub async fn perform(
    way: &Way<'_>,
    request: &HttpRequest,
    proof: Option<&Proof>,
    extra: Option<(String, String)>,
) -> Answer {
    let mut sent = request.clone();
    if let Some((header, value)) = extra {
        // What the contract promises counts, whatever the definition says.
        sent.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(&header));
        sent.headers.push((header, value));
    }
    let read = is_read(&request.method);
    let mut secrets = Vec::new();
    match send(way, &sent, proof, way.may_go, Reading::default(), &mut secrets).await {
        Ok(answer) => judge(request, &answer, read),
        Err(unsent) => unsent_answer(&unsent, read, &secrets),
    }
}

/// What it means that there is no answer.
pub(super) fn unsent_answer(unsent: &Unsent, read: bool, secrets: &[String]) -> Answer {
    let refused = |error, transient| Answer::Refused { error, transient, retry_after_ms: None };
    match unsent {
        Unsent::Door(error) => failed(error, read, secrets),
        Unsent::Proof(error) => {
            let text = masked(&error.to_string(), secrets);
            match error {
                ProofError::Guarded(_) => refused(guarded(text), false),
                ProofError::Later(_) => {
                    refused(WorkflowError::standard("authentication", 503, "no token", text), true)
                }
                ProofError::NoToken(_) => {
                    refused(WorkflowError::standard("authentication", 401, "no token", text), false)
                }
            }
        }
    }
}

fn guarded(text: String) -> WorkflowError {
    WorkflowError::governed("egress-refused", 403, "connection refused by the guard", text)
}

/// Methods that change nothing: when their answer is lost, nothing happened.
fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// What a complete answer means.
fn judge(request: &HttpRequest, answer: &HttpAnswer, read: bool) -> Answer {
    match answer.status {
        200..=299 => done(request, answer),
        300..=399 if request.redirect => done(request, answer),
        408 | 425 | 429 | 503 => {
            Answer::Refused { error: refusal(answer), transient: true, retry_after_ms: retry_after(answer) }
        }
        // A gateway that gave up, or a server that broke, may have done it first.
        500 | 502 | 504 if read => {
            Answer::Refused { error: refusal(answer), transient: true, retry_after_ms: retry_after(answer) }
        }
        500 | 502 | 504 => Answer::Lost { error: refusal(answer) },
        _ => Answer::Refused { error: refusal(answer), transient: false, retry_after_ms: None },
    }
}

/// What no answer means.
fn failed(error: &SendError, read: bool, secrets: &[String]) -> Answer {
    let text = masked(&error.to_string(), secrets);
    let communication = |status, title| WorkflowError::standard("communication", status, title, text.clone());
    let refused = |error, transient| Answer::Refused { error, transient, retry_after_ms: None };
    match error {
        SendError::Refused(_) => refused(guarded(text.clone()), false),
        SendError::Invalid(_) => refused(
            WorkflowError::standard("configuration", 400, "request cannot be sent", text.clone()),
            false,
        ),
        SendError::Unreachable(_) => refused(communication(503, "unreachable"), true),
        SendError::Lost(_) if read => refused(communication(504, "no answer"), true),
        SendError::Lost(_) => Answer::Lost { error: communication(504, "no answer") },
        SendError::BadAnswer(_) if read => refused(communication(502, "answer cannot be taken"), false),
        SendError::BadAnswer(_) => Answer::Lost { error: communication(502, "answer cannot be taken") },
    }
}

fn done(request: &HttpRequest, answer: &HttpAnswer) -> Answer {
    let content = match request.output {
        HttpOutput::Raw => Ok(Value::string(base64::engine::general_purpose::STANDARD.encode(&answer.body))),
        HttpOutput::Content | HttpOutput::Response => content(answer),
    };
    match content {
        Ok(content) => {
            let output = match request.output {
                HttpOutput::Content | HttpOutput::Raw => content,
                HttpOutput::Response => response(request, answer, content),
            };
            Answer::Done { output: output.with_label_everywhere(Label::EXTERNAL) }
        }
        // The status says that it was done; an answer that cannot be read must not make it be done again.
        Err(reason) if is_read(&request.method) => Answer::Refused {
            error: WorkflowError::standard("communication", answer.status, "answer cannot be read", reason),
            transient: false,
            retry_after_ms: None,
        },
        Err(reason) => Answer::Lost {
            error: WorkflowError::standard("communication", answer.status, "answer cannot be read", reason),
        },
    }
}

/// The body: `null` when empty, parsed when it says that it is JSON, else text.
fn content(answer: &HttpAnswer) -> Result<Value, String> {
    if answer.body.is_empty() {
        return Ok(Value::NULL);
    }
    if !answer.is_json() {
        return Ok(Value::string(String::from_utf8_lossy(&answer.body)));
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer is not the JSON it says: {error}"))?;
    Ok(Value::from_json(&json, Label::EXTERNAL))
}

/// The whole answer, as the specification lays it out. Request headers are those of the definition, without secrets.
fn response(request: &HttpRequest, answer: &HttpAnswer, content: Value) -> Value {
    let asked = Value::object([
        ("method", Value::string(&request.method)),
        ("uri", Value::string(&answer.uri)),
        ("headers", headers(request.headers.iter().filter(|(name, _)| !is_secret(name)))),
    ]);
    let status = Value::new(model::Data::Int(i64::from(answer.status)));
    let answered = headers(answer.headers.iter().filter(|(name, _)| !is_secret(name)));
    Value::object([("request", asked), ("statusCode", status), ("headers", answered), ("content", content)])
}

/// Headers as an object; repeated ones are joined as RFC 9110 allows.
fn headers<'a>(pairs: impl Iterator<Item = &'a (String, String)>) -> Value {
    let mut joined: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs {
        match joined.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, all)) => {
                all.push_str(", ");
                all.push_str(value);
            }
            None => joined.push((name.clone(), value.clone())),
        }
    }
    Value::object(joined.into_iter().map(|(name, value)| (name, Value::string(value))))
}

/// Headers that are secrets by their nature and must not reach the history.
fn is_secret(name: &str) -> bool {
    ["authorization", "cookie", "set-cookie", "proxy-authorization"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

fn refusal(answer: &HttpAnswer) -> WorkflowError {
    let body = extract(&String::from_utf8_lossy(&answer.body));
    let detail = match body.is_empty() {
        true => format!("the answer was {} without a body", answer.status),
        false => format!("the answer was {}: {body}", answer.status),
    };
    WorkflowError::standard("communication", answer.status, "request answered with an error", detail)
}

/// `Retry-After` in seconds. Dates are not read: they need a clock that both sides share.
fn retry_after(answer: &HttpAnswer) -> Option<u64> {
    let seconds: u64 = answer.header("retry-after")?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000).min(RETRY_AFTER_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, output: HttpOutput) -> HttpRequest {
        HttpRequest {
            method: method.to_owned(),
            uri: "http://shop.test/x".to_owned(),
            headers: vec![
                ("Authorization".to_owned(), "hush".to_owned()),
                ("X-A".to_owned(), "1".to_owned()),
            ],
            body: None,
            authentication: None,
            output,
            redirect: false,
        }
    }

    fn answer(status: u16, kind: &str, body: &'static str) -> HttpAnswer {
        HttpAnswer {
            status,
            headers: vec![
                ("content-type".to_owned(), kind.to_owned()),
                ("retry-after".to_owned(), "7".to_owned()),
                ("set-cookie".to_owned(), "hush".to_owned()),
            ],
            body: body.as_bytes().to_vec().into(),
            uri: "http://shop.test/x".to_owned(),
        }
    }

    /// `done`, `refused`, `transient` or `lost`, and the status of the error.
    fn word(answer: &Answer) -> String {
        match answer {
            Answer::Done { .. } => "done".to_owned(),
            Answer::Refused { error, transient: true, retry_after_ms } => {
                format!("transient {} {}", error.status, retry_after_ms.unwrap_or(0))
            }
            Answer::Refused { error, transient: false, .. } => format!("refused {}", error.status),
            Answer::Lost { error } => format!("lost {}", error.status),
            Answer::Stored { .. } | Answer::Child(_) => "stored".to_owned(),
        }
    }

    #[test]
    fn errors_hold_no_secrets() {
        let error = SendError::Lost("no answer to a token of hush-hush".to_owned());
        let Answer::Lost { error } = failed(&error, false, &["hush-hush".to_owned()]) else {
            panic!("it may have happened")
        };
        assert!(!error.detail.unwrap_or_default().contains("hush"));
    }

    #[test]
    fn every_status_has_one_meaning() {
        let table = [
            (200, "POST", "done"),
            (204, "POST", "done"),
            (302, "GET", "refused 302"),
            (400, "POST", "refused 400"),
            (404, "GET", "refused 404"),
            (408, "POST", "transient 408 7000"),
            (409, "POST", "refused 409"),
            (425, "POST", "transient 425 7000"),
            (429, "POST", "transient 429 7000"),
            (500, "GET", "transient 500 7000"),
            (500, "POST", "lost 500"),
            (501, "POST", "refused 501"),
            (502, "HEAD", "transient 502 7000"),
            (502, "PUT", "lost 502"),
            (503, "POST", "transient 503 7000"),
            (504, "DELETE", "lost 504"),
        ];
        for (status, method, expected) in table {
            let request = request(method, HttpOutput::Content);
            let judged = judge(&request, &answer(status, "text/plain", ""), is_read(method));
            assert_eq!(word(&judged), expected, "{status} {method}");
        }
    }

    #[test]
    fn no_answer_means_by_how_far_it_got() {
        let table = [
            (SendError::Invalid("x".to_owned()), "refused 400", "refused 400"),
            (SendError::Unreachable("x".to_owned()), "transient 503 0", "transient 503 0"),
            (SendError::Lost("x".to_owned()), "transient 504 0", "lost 504"),
            (SendError::BadAnswer("x".to_owned()), "refused 502", "lost 502"),
            (SendError::Refused(egress::Refusal::Uri("x".to_owned())), "refused 403", "refused 403"),
        ];
        for (error, read, write) in table {
            assert_eq!(
                (word(&failed(&error, true, &[])), word(&failed(&error, false, &[]))),
                (read.to_owned(), write.to_owned())
            );
        }
    }

    #[test]
    fn outputs_have_the_asked_shape_and_are_external() {
        let table = [
            (HttpOutput::Content, "application/json", "{\"a\":[1]}", "{\"a\":[1]}"),
            (HttpOutput::Content, "text/plain", "a", "\"a\""),
            (HttpOutput::Content, "application/json", "", "null"),
            (HttpOutput::Raw, "application/json", "{}", "\"e30=\""),
            (
                HttpOutput::Response,
                "application/json",
                "1",
                "{\"request\":{\"method\":\"POST\",\"uri\":\"http://shop.test/x\",\"headers\":{\"X-A\":\"1\"}},\
                 \"statusCode\":200,\"headers\":{\"content-type\":\"application/json\",\"retry-after\":\"7\"},\
                 \"content\":1}",
            ),
        ];
        for (output, kind, body, expected) in table {
            let Answer::Done { output } = judge(&request("POST", output), &answer(200, kind, body), false)
            else {
                panic!("{kind} {body} is not done");
            };
            assert_eq!(output.to_string(), expected);
            assert!(output.provenance().iter().all(|(_, label)| label.untrusted()), "{output}");
        }
        let broken = answer(200, "application/json", "{");
        assert_eq!(word(&judge(&request("POST", HttpOutput::Content), &broken, false)), "lost 200");
        assert_eq!(word(&judge(&request("GET", HttpOutput::Content), &broken, true)), "refused 200");
    }
}
