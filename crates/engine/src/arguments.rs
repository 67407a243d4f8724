//! What people see and may edit of an act.

use std::sync::Arc;

use model::call::{Condition, Take, ToolProgram};
use model::effect::{Authentication, Program};
use model::problem::WorkflowError;
use model::{Data, Label, Request, Value};

/// Edited arguments: what a person changed comes from that person, what stayed keeps its origins.
pub(crate) fn relabelled(edited: &Value, before: &Value) -> Value {
    if edited == before {
        return before.clone();
    }
    let data = match (&edited.data, &before.data) {
        (Data::Object(edited), Data::Object(before)) => Data::Object(Arc::new(
            edited
                .iter()
                .map(|(name, value)| {
                    (name.clone(), relabelled(value, before.get(name).unwrap_or(&Value::NULL)))
                })
                .collect(),
        )),
        (Data::Array(edited), Data::Array(before)) => Data::Array(Arc::new(
            edited
                .iter()
                .enumerate()
                .map(|(i, value)| relabelled(value, before.get(i).unwrap_or(&Value::NULL)))
                .collect(),
        )),
        _ => return edited.with_label_everywhere(Label::CALLER),
    };
    Value::labelled(data, before.label)
}

/// What people see and may edit of an act written in the definition.
pub(crate) fn inline_arguments(request: &Request) -> Value {
    let pairs =
        |pairs: &[(String, String)]| Value::object(pairs.iter().map(|(k, v)| (k.as_str(), Value::string(v))));
    match request {
        Request::Http(http) => {
            let mut members = vec![
                ("method", Value::string(&http.method)),
                ("uri", Value::string(&http.uri)),
                ("headers", pairs(&http.headers)),
                ("body", http.body.clone().unwrap_or(Value::NULL)),
            ];
            // Whose rights it uses is a part of what is decided; values of secrets are not.
            members.extend(shown(http.authentication.as_ref()));
            if http.redirect {
                members.push(("redirect", Value::new(Data::Bool(true))));
            }
            Value::object(members)
        }
        Request::Grpc(call) => {
            let mut members = vec![
                ("uri", Value::string(&call.uri)),
                ("service", Value::string(&call.service)),
                ("method", Value::string(&call.method)),
                ("body", call.arguments.clone()),
            ];
            members.extend(shown(call.authentication.as_ref()));
            Value::object(members)
        }
        Request::Stream(stream) => {
            let mut members = vec![("uri", Value::string(&stream.uri)), ("headers", pairs(&stream.headers))];
            members.push(match (&stream.payload, &stream.take) {
                (Some(payload), _) => ("body", payload.clone()),
                (None, take) => ("take", shown_take(take.as_ref())),
            });
            members.extend(shown(stream.authentication.as_ref()));
            Value::object(members)
        }
        Request::Rpc(call) => {
            let uri = || vec![("uri", Value::string(&call.uri))];
            let mut members =
                call.program().map_or_else(uri, |program| vec![("program", shown_server(&program))]);
            members.extend([
                ("method", Value::string(&call.method)),
                ("headers", pairs(&call.headers)),
                ("body", call.parameters.clone()),
            ]);
            members.extend(shown(call.authentication.as_ref()));
            Value::object(members)
        }
        // Their arguments are not made from the request.
        Request::Declassify | Request::Approval(_) | Request::Workflow(_) | Request::Unwind(_) => Value::NULL,
        Request::Process(process) => Value::object([
            ("program", shown_program(&process.program)),
            ("arguments", Value::array(process.arguments.iter().map(Value::string))),
            ("stdin", process.stdin.as_ref().map_or(Value::NULL, Value::string)),
            ("environment", pairs(&process.environment)),
        ]),
    }
}

/// As [`Program`] is written.
fn shown_program(program: &Program) -> Value {
    match program {
        Program::Shell { command } => {
            Value::object([("kind", Value::string("shell")), ("command", Value::string(command))])
        }
        Program::Script { language, code } => Value::object([
            ("kind", Value::string("script")),
            ("language", Value::string(language)),
            ("code", Value::string(code)),
        ]),
        Program::Container { image, command } => Value::object([
            ("kind", Value::string("container")),
            ("image", Value::string(image)),
            ("command", command.as_ref().map_or(Value::NULL, Value::string)),
        ]),
    }
}

/// As a document writes a tool server that is a program.
fn shown_server(program: &ToolProgram) -> Value {
    let environment = program.environment.iter().map(|(name, value)| (name.as_str(), Value::string(value)));
    Value::object([
        ("command", Value::string(&program.command)),
        ("arguments", Value::array(program.arguments.iter().map(Value::string))),
        ("environment", Value::object(environment)),
    ])
}

fn shown(authentication: Option<&Authentication>) -> Option<(&'static str, Value)> {
    authentication.map(|with| ("authentication", shown_authentication(with)))
}

/// What ends the taking of messages, as it is written.
fn shown_take(take: Option<&Take>) -> Value {
    let Some(take) = take else { return Value::NULL };
    let text = |condition: &Option<Condition>| condition.as_ref().map(|c| Value::string(&c.expression));
    let number = |number: i64| Value::new(Data::Int(number));
    let members = [
        ("filter", text(&take.filter)),
        ("amount", take.amount.map(|amount| number(i64::from(amount)))),
        ("while", text(&take.going)),
        ("until", text(&take.until)),
        ("for_ms", take.for_ms.map(|ms| number(i64::try_from(ms).unwrap_or(i64::MAX)))),
    ];
    Value::object(members.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))))
}

fn shown_authentication(authentication: &Authentication) -> Value {
    match authentication {
        Authentication::Basic { username, .. } => Value::object([("basic", Value::string(username))]),
        Authentication::Bearer { .. } => {
            Value::object([("bearer", Value::string("given in the definition"))])
        }
        Authentication::Digest { username, .. } => Value::object([("digest", Value::string(username))]),
        Authentication::OAuth { with, .. } => {
            let text = |text: Option<&String>| text.map_or(Value::NULL, Value::string);
            let client = with.client.as_ref().and_then(|client| client.id.as_ref());
            let shown = Value::object([
                ("authority", text(with.authority.as_ref())),
                ("grant", Value::string(with.grant())),
                ("client", text(client)),
                ("scopes", Value::array(with.scopes.iter().map(Value::string))),
            ]);
            Value::object([("oauth2", shown)])
        }
        Authentication::Secret { name, .. } => Value::object([("secret", Value::string(name))]),
    }
}

/// An inline act with edited members; method and program cannot be edited.
pub(crate) fn inline_edited(request: &Request, arguments: &Value) -> Result<Request, WorkflowError> {
    let invalid =
        |detail: &str| WorkflowError::standard("validation", 400, "Validation Error", detail.to_owned());
    let mut edited = request.clone();
    match &mut edited {
        Request::Declassify => {
            return Err(invalid(
                "a value to declassify cannot be edited: approve exactly this one, or reject it",
            ));
        }
        Request::Approval(_) => {
            return Err(invalid("what people are asked cannot be edited: approve it, or reject it"));
        }
        Request::Unwind(_) => return Err(invalid("which execution is undone cannot be edited")),
        Request::Workflow(workflow) => {
            let fixed = arguments.get("workflow") == Some(&crate::child::workflow_value(workflow));
            let whole = matches!(&arguments.data, Data::Object(members) if members.len() == 2);
            return if fixed && whole && arguments.get("input").is_some() {
                Ok(edited)
            } else {
                Err(invalid("only `input` of another workflow can be edited"))
            };
        }
        Request::Http(http) => {
            if arguments.get("method").and_then(Value::as_str) != Some(&http.method) {
                return Err(invalid("`method` of an inline call cannot be edited"));
            }
            let uri =
                arguments.get("uri").and_then(Value::as_str).ok_or_else(|| invalid("`uri` must be text"))?;
            let uri = url::Url::parse(uri).map_err(|e| invalid(&format!("`uri` is not a URI: {e}")))?;
            http.uri = uri.into();
            http.body = arguments.get("body").filter(|body| !body.is_null()).cloned();
        }
        Request::Grpc(call) => {
            call.arguments = arguments.get("body").cloned().ok_or_else(|| invalid("`body` is missing"))?;
        }
        Request::Stream(stream) if stream.payload.is_some() => {
            stream.payload = arguments.get("body").cloned();
        }
        Request::Stream(_) => return Err(invalid("what is taken from a stream cannot be edited")),
        // Everything but the name of the tool or prompt, which was reviewed.
        Request::Rpc(call) => {
            let edited = arguments.get("body").ok_or_else(|| invalid("`body` is missing"))?;
            if edited.get("name") != call.parameters.get("name") {
                return Err(invalid("which tool is called cannot be edited"));
            }
            call.parameters = edited.clone();
        }
        Request::Process(process) => {
            let list = match arguments.get("arguments").map(|v| &v.data) {
                Some(Data::Array(items)) => {
                    items.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
                }
                _ => None,
            };
            process.arguments = list.ok_or_else(|| invalid("`arguments` must be a list of texts"))?;
            process.stdin = arguments.get("stdin").and_then(Value::as_str).map(str::to_owned);
        }
    }
    if inline_arguments(&edited) == *arguments {
        Ok(edited)
    } else {
        Err(invalid("only `uri`, `body`, `arguments` and `stdin` of an inline act can be edited"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_shown_as_it_is_written() {
        let programs = [
            Program::Shell { command: "true".to_owned() },
            Program::Script { language: "python".to_owned(), code: "print(1)".to_owned() },
        ];
        for program in programs {
            let written = serde_json::to_value(&program).expect("has a document");
            assert_eq!(shown_program(&program).to_json().to_string(), written.to_string());
        }
    }
}
