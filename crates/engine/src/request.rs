//! Builds the concrete act of an effect from its definition: every expression evaluated, secrets by name.

use dsl::expr::Expr;
use dsl::plan::{
    Action, AsyncApiWork, AuthenticationWork, GrpcWork, HttpWork, OpenApiWork, ProcessWork, ProgramWork,
    RpcWork, TakeWork, UriPiece, UriTemplate, Work,
};
use dsl::template::Template;
use model::call::{Condition, GrpcRequest, OAuth, RpcRequest, StreamRequest, Take};
use model::effect::{Authentication, HttpOutput, HttpRequest, ProcessRequest, Program};
use model::problem::WorkflowError;
use model::{Data, Label, Request, Value};

use crate::scope::{Scope, check_schema};

/// Time limit of a sandboxed program, in milliseconds.
const PROCESS_TIMEOUT_MS: u64 = 300_000;

/// The longest time that messages are taken for, in milliseconds (an hour).
const TAKE_MS_MAX: u64 = 3_600_000;

/// Arguments and environment entries of a program at the most.
const WORDS_MAX: usize = 256;

/// Evaluates `work`; `input` is `.`.
pub(crate) fn build(
    work: &Work,
    input: &Value,
    scope: &Scope<'_>,
    key: Option<(&str, &str)>,
) -> Result<Request, WorkflowError> {
    Ok(match work {
        Work::Http(http) => Request::Http(build_http(http, input, scope, key)?),
        Work::OpenApi(call) => Request::Http(build_openapi(call, input, scope, key)?),
        Work::Grpc(call) => Request::Grpc(Box::new(build_grpc(call, input, scope, key)?)),
        Work::Rpc(call) => Request::Rpc(Box::new(build_rpc(call, input, scope, key)?)),
        Work::AsyncApi(call) => build_asyncapi(call, input, scope, key)?,
        Work::Process(process) => Request::Process(build_process(process, input, scope)?),
    })
}

/// What people and policies see of an inline act, with the origins of what was put into it. A request holds texts,
/// so the origins of a part are those of everything that it was made of.
pub(crate) fn labelled(work: &Work, input: &Value, scope: &Scope<'_>, arguments: &Value) -> Value {
    let of = |template: Option<&Template>| {
        template.and_then(|t| scope.fill(t, input).ok()).map_or(Label::DEFINITION, |v| v.label_of_all())
    };
    let label = |name: &str| match (work, name) {
        (Work::Http(http), "uri") => uri_label(&http.uri, input, scope).join(of(http.query.as_ref())),
        (Work::Http(http), "headers") => of(http.headers.as_ref()),
        // Any of the parameters may have gone anywhere.
        (Work::OpenApi(call), "uri" | "headers") => of(call.parameters.as_ref()),
        (_, "authentication") => match work.authentication() {
            Some(
                AuthenticationWork::Basic { username, password }
                | AuthenticationWork::Digest { username, password },
            ) => of(Some(username)).join(of(Some(password))),
            Some(AuthenticationWork::Bearer { token }) => of(Some(token)),
            Some(AuthenticationWork::OAuth { with, .. }) => of(Some(with)),
            Some(AuthenticationWork::Secret { .. }) | None => Label::DEFINITION,
        },
        (Work::Process(process), "program") => of(process.code()),
        (Work::Process(process), "arguments") => of(process.arguments.as_ref()),
        (Work::Process(process), "stdin") => of(process.stdin.as_ref()),
        (Work::Process(process), "environment") => of(process.environment.as_ref()),
        (Work::Rpc(call), "headers") => of(call.headers.as_ref()),
        // Variables may have gone anywhere in the address.
        (Work::AsyncApi(call), "uri") => of(call.variables.as_ref()),
        (Work::AsyncApi(call), "headers") => of(call.headers.as_ref()),
        // The body has its own; the others are written in the definition.
        _ => Label::DEFINITION,
    };
    match &arguments.data {
        // Everything is written in the definition: that is what the parts say already.
        Data::Object(members) if members.keys().all(|name| label(name) == Label::DEFINITION) => {
            arguments.clone()
        }
        Data::Object(members) => Value::object(
            members.iter().map(|(name, value)| (name, value.with_label_everywhere(label(name)))),
        ),
        _ => arguments.clone(),
    }
}

fn uri_label(template: &UriTemplate, input: &Value, scope: &Scope<'_>) -> Label {
    match template {
        UriTemplate::Expr(expr) => {
            scope.eval(expr, input).map_or(Label::DEFINITION, |value| value.label_of_all())
        }
        UriTemplate::Pieces(pieces) => pieces.iter().fold(Label::DEFINITION, |label, piece| match piece {
            UriPiece::Text(_) => label,
            UriPiece::Name(name) => {
                label.join(input.label).join(input.get(name).map_or(Label::DEFINITION, Value::label_of_all))
            }
        }),
    }
}

/// The idempotency header of an action, when it has one.
pub(crate) fn key_header<'a>(action: &'a Action, key: &'a str) -> Option<(&'a str, &'a str)> {
    action.key_header.as_deref().map(|header| (header, key))
}

fn build_http(
    http: &HttpWork,
    input: &Value,
    scope: &Scope<'_>,
    key: Option<(&str, &str)>,
) -> Result<HttpRequest, WorkflowError> {
    let mut uri = build_uri(&http.uri, input, scope)?;
    if let Some(query) = &http.query {
        for (name, value) in text_pairs(&scope.fill(query, input)?, "query")? {
            uri.query_pairs_mut().append_pair(&name, &value);
        }
    }
    let mut headers = match &http.headers {
        Some(headers) => text_pairs(&scope.fill(headers, input)?, "headers")?,
        None => Vec::new(),
    };
    if let Some((name, value)) = key {
        headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(HttpRequest {
        method: http.method.clone(),
        uri: uri.into(),
        headers,
        body: http.body.as_ref().map(|body| scope.fill(body, input)).transpose()?,
        authentication: http
            .authentication
            .as_ref()
            .map(|a| build_authentication(a, input, scope))
            .transpose()?,
        output: http.output,
        redirect: http.redirect,
    })
}

fn build_openapi(
    call: &OpenApiWork,
    input: &Value,
    scope: &Scope<'_>,
    key: Option<(&str, &str)>,
) -> Result<HttpRequest, WorkflowError> {
    let parameters = match &call.parameters {
        Some(parameters) => scope.fill(parameters, input)?,
        None => Value::NULL,
    };
    let built = call.operation.request(&parameters).map_err(|misfit| {
        invalid(match misfit.hint {
            Some(hint) => format!("{}: {hint}", misfit.message),
            None => misfit.message,
        })
    })?;
    let mut headers = built.headers;
    if let Some((name, value)) = key {
        headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(HttpRequest {
        method: call.operation.method.clone(),
        uri: built.uri.into(),
        headers,
        body: built.body,
        authentication: call
            .authentication
            .as_ref()
            .map(|a| build_authentication(a, input, scope))
            .transpose()?,
        output: call.output,
        redirect: call.redirect,
    })
}

fn build_grpc(
    call: &GrpcWork,
    input: &Value,
    scope: &Scope<'_>,
    key: Option<(&str, &str)>,
) -> Result<GrpcRequest, WorkflowError> {
    let arguments = match &call.arguments {
        Some(arguments) => scope.fill(arguments, input)?,
        None => Value::object::<&str>([]),
    };
    Ok(GrpcRequest {
        uri: call.uri.clone(),
        service: call.service.clone(),
        method: call.method.clone(),
        proto: call.proto,
        headers: key.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).into_iter().collect(),
        arguments,
        authentication: built(call.authentication.as_ref(), input, scope)?,
    })
}

fn build_rpc(
    call: &RpcWork,
    input: &Value,
    scope: &Scope<'_>,
    key: Option<(&str, &str)>,
) -> Result<RpcRequest, WorkflowError> {
    let mut headers = match &call.headers {
        Some(headers) => text_pairs(&scope.fill(headers, input)?, "headers")?,
        None => Vec::new(),
    };
    if let Some((name, value)) = key {
        headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        headers.push((name.to_owned(), value.to_owned()));
    }
    let parameters = match &call.parameters {
        Some(parameters) => scope.fill(parameters, input)?,
        None => Value::object::<&str>([]),
    };
    if let Some(schema) = &call.schema {
        let nothing = Value::object::<&str>([]);
        check_schema(schema, parameters.get("arguments").unwrap_or(&nothing), "an argument of the tool")?;
    }
    let timeout = call.timeout.as_ref().map(|timeout| scope.duration(timeout, input)).transpose()?;
    Ok(RpcRequest {
        protocol: call.protocol,
        uri: call.uri.clone(),
        headers,
        method: call.method.clone(),
        parameters,
        version: call.version.clone(),
        client: call.client.clone(),
        tool: call.tool,
        timeout_ms: timeout.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        authentication: built(call.authentication.as_ref(), input, scope)?,
    })
}

/// What is sent over HTTP is a request like any other; everything else is a stream.
fn build_asyncapi(
    call: &AsyncApiWork,
    input: &Value,
    scope: &Scope<'_>,
    key: Option<(&str, &str)>,
) -> Result<Request, WorkflowError> {
    let fill = |template: &Option<Template>| template.as_ref().map(|t| scope.fill(t, input)).transpose();
    let variables = fill(&call.variables)?.unwrap_or(Value::NULL);
    let uri = call.operation.uri(&variables).map_err(invalid)?;
    let mut headers = match fill(&call.headers)? {
        Some(headers) => text_pairs(&headers, "headers")?,
        None => Vec::new(),
    };
    if let Some((name, value)) = key {
        headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        headers.push((name.to_owned(), value.to_owned()));
    }
    let authentication = built(call.authentication.as_ref(), input, scope)?;
    if let Some(take) = &call.take {
        let take = build_take(take, call, input, scope)?;
        let stream = StreamRequest { uri, headers, payload: None, take: Some(take), authentication };
        return Ok(Request::Stream(Box::new(stream)));
    }
    let payload = fill(&call.payload)?.unwrap_or_else(|| Value::object::<&str>([]));
    if call.operation.socket() {
        let stream = StreamRequest { uri, headers, payload: Some(payload), take: None, authentication };
        return Ok(Request::Stream(Box::new(stream)));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".to_owned(), call.operation.content_type.clone()));
    }
    Ok(Request::Http(HttpRequest {
        method: call.operation.method.clone(),
        uri,
        headers,
        body: Some(payload),
        authentication,
        output: HttpOutput::Content,
        redirect: false,
    }))
}

fn build_take(
    take: &TakeWork,
    call: &AsyncApiWork,
    input: &Value,
    scope: &Scope<'_>,
) -> Result<Take, WorkflowError> {
    let condition = |expr: &Option<Expr>| {
        expr.as_ref()
            .map(|expr| Condition { expression: expr.text().to_owned(), variables: scope.captured(expr) })
    };
    let time = take.time.as_ref().map(|time| scope.duration(time, input)).transpose()?;
    let time = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    if time.is_some_and(|ms| ms > TAKE_MS_MAX) {
        return Err(invalid(format!("`for` of a subscription is at most {} minutes", TAKE_MS_MAX / 60_000)));
    }
    Ok(Take {
        filter: condition(&take.filter),
        amount: take.amount,
        going: condition(&take.going),
        until: condition(&take.until),
        correlation: call.operation.correlation.clone(),
        for_ms: time,
    })
}

fn built(
    work: Option<&AuthenticationWork>,
    input: &Value,
    scope: &Scope<'_>,
) -> Result<Option<Authentication>, WorkflowError> {
    work.map(|work| build_authentication(work, input, scope)).transpose()
}

fn build_uri(template: &UriTemplate, input: &Value, scope: &Scope<'_>) -> Result<url::Url, WorkflowError> {
    let text = match template {
        UriTemplate::Expr(expr) => {
            let value = scope.eval(expr, input)?;
            value
                .as_str()
                .map(str::to_owned)
                .ok_or_else(|| invalid(format!("the endpoint gave a {} and must give text", value.kind())))?
        }
        UriTemplate::Pieces(pieces) => {
            let mut text = String::new();
            // Where each value ends, to look at the path segment that it became a part of.
            let mut named: Vec<(usize, &str)> = Vec::new();
            for piece in pieces {
                match piece {
                    UriPiece::Text(literal) => text.push_str(literal),
                    UriPiece::Name(name) => {
                        let value = input.get(name).ok_or_else(|| {
                            invalid(format!(
                                "the endpoint needs `{name}`, and the task's data has no such member"
                            ))
                        })?;
                        let value = word(value).ok_or_else(|| {
                            invalid(format!("`{name}` is a {} and cannot stand in a URI", value.kind()))
                        })?;
                        if value.is_empty() && !text.contains('?') {
                            return Err(invalid(format!(
                                "`{name}` is empty, and the endpoint without it is another one"
                            )));
                        }
                        text.push_str(&percent_encoded(&value));
                        named.push((text.len(), name));
                    }
                }
            }
            if let Some((_, name)) = named.iter().find(|(end, _)| is_dots(segment_at(&text, *end))) {
                return Err(invalid(format!(
                    "`{name}` makes a dot segment, which would lead out of its place in the endpoint"
                )));
            }
            text
        }
    };
    let uri = url::Url::parse(&text).map_err(|e| invalid(format!("`{text}` is not a URI: {e}")))?;
    match uri.scheme() {
        "http" | "https" => Ok(uri),
        other => Err(invalid(format!("`{other}` is not a scheme that can be called: use http or https"))),
    }
}

/// The path segment that ends at or after `end`; nothing beyond the path.
fn segment_at(text: &str, end: usize) -> &str {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let (Some(before), Some(after)) = (path.get(..end), path.get(end..)) else { return "" };
    let start = before.rfind('/').map_or(0, |slash| slash + 1);
    let stop = after.find('/').map_or(path.len(), |slash| end + slash);
    path.get(start..stop).unwrap_or_default()
}

/// `.` and `..` also as URI parsers read them, with the dots encoded.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// Everything but unreserved characters (RFC 3986) is encoded, so that a value cannot leave its place.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn build_authentication(
    work: &AuthenticationWork,
    input: &Value,
    scope: &Scope<'_>,
) -> Result<Authentication, WorkflowError> {
    Ok(match work {
        AuthenticationWork::Basic { username, password } => Authentication::Basic {
            username: scope.text(username, input)?,
            password: scope.text(password, input)?,
        },
        AuthenticationWork::Bearer { token } => Authentication::Bearer { token: scope.text(token, input)? },
        AuthenticationWork::Digest { username, password } => Authentication::Digest {
            username: scope.text(username, input)?,
            password: scope.text(password, input)?,
        },
        AuthenticationWork::OAuth { discover, with, .. } => {
            Authentication::OAuth { discover: *discover, with: Box::new(build_oauth(with, input, scope)?) }
        }
        AuthenticationWork::Secret { name, with } => {
            Authentication::Secret { name: name.clone(), with: *with }
        }
    })
}

/// Errors say nothing of the values: they are secrets.
fn build_oauth(with: &Template, input: &Value, scope: &Scope<'_>) -> Result<OAuth, WorkflowError> {
    let value = scope.fill(with, input)?;
    let oauth: OAuth = serde_json::from_value(value.to_json()).map_err(|_| {
        invalid("a member of the authentication is not of the kind that it must be".to_owned())
    })?;
    match oauth.misfit() {
        Some((message, hint)) => {
            Err(invalid(format!("the authentication cannot be done: {message}; {hint}")))
        }
        None => Ok(oauth),
    }
}

fn build_process(
    process: &ProcessWork,
    input: &Value,
    scope: &Scope<'_>,
) -> Result<ProcessRequest, WorkflowError> {
    let program = match &process.program {
        ProgramWork::Shell(command) => Program::Shell { command: scope.text(command, input)? },
        ProgramWork::Script { language, code } => {
            Program::Script { language: language.clone(), code: scope.text(code, input)? }
        }
        ProgramWork::Container { image, command } => Program::Container {
            image: image.clone(),
            command: command.as_ref().map(|command| scope.text(command, input)).transpose()?,
        },
    };
    let arguments = match &process.arguments {
        Some(arguments) => words(&scope.fill(arguments, input)?)?,
        None => Vec::new(),
    };
    let environment = match &process.environment {
        Some(environment) => text_pairs(&scope.fill(environment, input)?, "environment")?,
        None => Vec::new(),
    };
    let stdin = process.stdin.as_ref().map(|stdin| scope.fill(stdin, input)).transpose()?;
    Ok(ProcessRequest {
        program,
        arguments,
        stdin: stdin.filter(|v| !v.is_null()).map(|v| word(&v).unwrap_or_else(|| v.to_string())),
        environment,
        output: process.output,
        timeout_ms: PROCESS_TIMEOUT_MS,
    })
}

/// An object of texts; numbers and booleans are written as text, `null` members are left out.
fn text_pairs(value: &Value, what: &str) -> Result<Vec<(String, String)>, WorkflowError> {
    let Data::Object(map) = &value.data else {
        return Err(invalid(format!("`{what}` gave a {} and must give an object", value.kind())));
    };
    if map.len() > WORDS_MAX {
        return Err(invalid(format!("`{what}` has more than {WORDS_MAX} members")));
    }
    map.iter()
        .filter(|(_, v)| !v.is_null())
        .map(|(name, v)| match word(v) {
            Some(text) => Ok((name.to_string(), text)),
            None => Err(invalid(format!("`{what}.{name}` is a {} and must be text", v.kind()))),
        })
        .collect()
}

/// A list of texts, or an object as `--name value` pairs.
fn words(value: &Value) -> Result<Vec<String>, WorkflowError> {
    let text =
        |v: &Value| word(v).ok_or_else(|| invalid(format!("an argument is a {} and must be text", v.kind())));
    let words: Vec<String> = match &value.data {
        Data::Null => Vec::new(),
        Data::Array(items) => items.iter().map(text).collect::<Result<_, _>>()?,
        Data::Object(map) => {
            let mut words = Vec::new();
            for (name, v) in map.iter() {
                words.push(format!("--{name}"));
                words.push(text(v)?);
            }
            words
        }
        _ => return Err(invalid(format!("`arguments` gave a {} and must give a list", value.kind()))),
    };
    if words.len() > WORDS_MAX { Err(invalid(format!("more than {WORDS_MAX} arguments"))) } else { Ok(words) }
}

fn word(value: &Value) -> Option<String> {
    match &value.data {
        Data::String(s) => Some(s.to_string()),
        Data::Bool(_) | Data::Int(_) | Data::Float(_) => Some(model::canonical::canonical(value)),
        Data::Null | Data::Array(_) | Data::Object(_) => None,
    }
}

fn invalid(detail: String) -> WorkflowError {
    WorkflowError::standard("validation", 400, "Validation Error", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_seen_where_a_value_made_them() {
        let table = [
            ("http://h/a/..", 13, "..", true),
            ("http://h/a/../b", 13, "..", true),
            ("http://h/a/.", 12, ".", true),
            ("http://h/a/%2e.", 14, "%2e.", true),
            ("http://h/a/..x/b", 13, "..x", false),
            ("http://h/a?q=..", 15, "", false),
        ];
        for (text, end, segment, dots) in table {
            assert_eq!((segment_at(text, end), is_dots(segment_at(text, end))), (segment, dots), "{text}");
        }
    }
}
