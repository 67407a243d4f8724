//! What people see and may edit of an act.

use std::sync::Arc;

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
            members.extend(
                http.authentication.as_ref().map(|with| ("authentication", shown_authentication(with))),
            );
            if http.redirect {
                members.push(("redirect", Value::new(Data::Bool(true))));
            }
            Value::object(members)
        }
        // Their arguments are not made from the request.
        Request::Declassify | Request::Workflow(_) | Request::Unwind(_) => Value::NULL,
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
    }
}

fn shown_authentication(authentication: &Authentication) -> Value {
    match authentication {
        Authentication::Basic { username, .. } => Value::object([("basic", Value::string(username))]),
        Authentication::Bearer { .. } => {
            Value::object([("bearer", Value::string("given in the definition"))])
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
