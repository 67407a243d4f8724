//! An operation with arguments becomes a request.

use std::collections::BTreeSet;

use model::{Data, Value};
use url::Url;

use super::operation::{At, Operation, Parameter, Server, Variable};
use super::style::{Escape, Parts, inline, pairs, parts};
use crate::document::report::nearest;

/// A request without its credentials.
#[derive(Clone, PartialEq, Debug)]
pub struct Built {
    /// The absolute URI, query included.
    pub uri: Url,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body: JSON, or a text by the content type.
    pub body: Option<Value>,
}

/// Arguments do not fit an operation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Misfit {
    /// Which member of the arguments; empty for all of them.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

fn misfit(name: &str, message: impl Into<String>) -> Misfit {
    Misfit { name: name.to_owned(), message: message.into(), hint: None }
}

/// What an argument may be called: `name`, or `path:name`, `query:name`, `server:name` … where several share a name.
enum Named<'o> {
    Parameter(&'o Parameter),
    Variable(&'o Variable),
    Body,
    Field,
}

impl Operation {
    /// Everything in which names of arguments do not fit; `complete` says that there are no others.
    pub fn misfits(&self, names: &[&str], complete: bool) -> Vec<Misfit> {
        let mut found: Vec<Misfit> = names.iter().filter_map(|name| self.named(name).err()).collect();
        if complete {
            let given = |parameter: &Parameter| {
                names.iter().any(|name| {
                    matches!(self.named(name), Ok(Named::Parameter(known)) if std::ptr::eq(known, parameter))
                })
            };
            let missing = self.parameters.iter().filter(|known| known.required && !given(known));
            found.extend(missing.map(|known| self.missing(&known.name, known.at.name())));
            if let Some(body) = &self.body {
                let whole = body.name.as_deref().filter(|name| body.required && !names.contains(name));
                found.extend(whole.map(|name| self.missing(name, "body")));
                let fields =
                    body.fields.iter().filter(|field| field.required && !names.contains(&&*field.name));
                found.extend(fields.map(|field| self.missing(&field.name, "form")));
            }
        }
        found
    }

    /// The request; the error is the first thing that does not fit.
    pub fn request(&self, arguments: &Value) -> Result<Built, Misfit> {
        let empty = Value::object::<&str>([]);
        let arguments = if arguments.is_null() { &empty } else { arguments };
        let Data::Object(members) = &arguments.data else {
            return Err(misfit(
                "",
                format!("the parameters are a {} and must be an object", arguments.kind()),
            ));
        };
        let given: Vec<(&str, &Value)> = members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (&**name, value))
            .collect();
        let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
        if let Some(first) = self.misfits(&names, true).into_iter().next() {
            return Err(first);
        }
        let mut path = self.path.clone();
        let (mut query, mut headers, mut cookies) = (Vec::new(), Vec::new(), Vec::new());
        let (mut whole, mut fields, mut variables) = (None, Vec::new(), Vec::new());
        for (name, value) in &given {
            match self.named(name)? {
                Named::Body => whole = Some((*value).clone()),
                Named::Field => fields.push((*name, (*value).clone())),
                Named::Variable(variable) => variables.push((variable, variable_text(variable, value)?)),
                Named::Parameter(parameter) => match parameter.at {
                    At::Path => path = self.path_with(&path, parameter, value)?,
                    At::Query => query.extend(pairs_of(parameter, value)?),
                    At::Cookie => cookies.extend(pairs_of(parameter, value)?),
                    At::Header => headers.push((parameter.name.clone(), header(parameter, value)?)),
                },
            }
        }
        if !cookies.is_empty() {
            headers.push(("Cookie".to_owned(), cookies.join("; ")));
        }
        if !self.accept.is_empty() {
            headers.push(("Accept".to_owned(), self.accept.join(", ")));
        }
        let body = match &self.body {
            Some(body) if body.name.is_none() && !fields.is_empty() => Some((body, Value::object(fields))),
            Some(body) => whole.map(|value| (body, value)),
            None => None,
        };
        let body = match body {
            Some((body, value)) => {
                let shown = body.name.as_deref().unwrap_or_default();
                let (media, written) =
                    body.written(&value).map_err(|why| misfit(shown, format!("the body: {why}")))?;
                headers.push(("Content-Type".to_owned(), media));
                Some(written)
            }
            None => None,
        };
        Ok(Built { uri: self.uri(&variables, &path, &query)?, headers, body })
    }

    fn named(&self, name: &str) -> Result<Named<'_>, Misfit> {
        let (place, bare) = match name.split_once(':') {
            Some((place @ ("path" | "query" | "header" | "cookie" | "server"), bare)) => (Some(place), bare),
            _ => (None, name),
        };
        if place == Some("server") {
            let known = self.server.variables.iter().find(|variable| variable.name == bare);
            return known.map(Named::Variable).ok_or_else(|| self.unknown(name));
        }
        let mut fitting = self
            .parameters
            .iter()
            .filter(|known| known.name == bare && place.is_none_or(|at| at == known.at.name()));
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => return Ok(Named::Parameter(one)),
            (Some(one), Some(other)) => {
                let (one, other) = (one.at.name(), other.at.name());
                let hint = format!("write `{one}:{bare}` and `{other}:{bare}`");
                let message = format!("`{bare}` is a parameter in {one} and in {other}");
                return Err(Misfit { hint: Some(hint), ..misfit(name, message) });
            }
            (None, _) => {}
        }
        match &self.body {
            Some(body) if body.name.as_deref() == Some(name) => Ok(Named::Body),
            Some(body) if body.name.is_none() && body.fields.iter().any(|field| field.name == name) => {
                Ok(Named::Field)
            }
            _ => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> Misfit {
        let mut known: BTreeSet<&str> = self.parameters.iter().map(|known| known.name.as_str()).collect();
        if let Some(body) = &self.body {
            known.extend(body.name.as_deref());
            if body.name.is_none() {
                known.extend(body.fields.iter().map(|field| field.name.as_str()));
            }
        }
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "it takes none".to_owned(),
            None => {
                let some: Vec<String> = known.iter().take(12).map(|name| format!("`{name}`")).collect();
                format!("it takes {}", some.join(", "))
            }
        };
        let message = format!("the operation `{}` has no parameter `{name}`", self.id);
        Misfit { hint: Some(hint), ..misfit(name, message) }
    }

    fn missing(&self, name: &str, place: &str) -> Misfit {
        let message = format!("the operation `{}` needs `{name}` ({place})", self.id);
        Misfit { hint: Some(format!("add `{name}` to `parameters`")), ..misfit(name, message) }
    }

    /// The path with a value in its place.
    fn path_with(&self, path: &str, parameter: &Parameter, value: &Value) -> Result<String, Misfit> {
        let name = &parameter.name;
        let parts = parts_of(parameter, value)?;
        let text = inline(name, parts, parameter.style, parameter.explode, Escape::All);
        if text.is_empty() || text == "." && parameter.style == super::Style::Label {
            return Err(misfit(name, format!("`{name}` is empty, and the path without it is another one")));
        }
        let place = format!("{{{name}}}");
        for segment in self.path.split('/').filter(|segment| segment.contains(&place)) {
            let filled = segment.replace(&place, &text);
            if matches!(filled.as_str(), "." | "..") {
                let message =
                    format!("`{name}` makes a dot segment, which would lead out of its place in the path");
                return Err(misfit(name, message));
            }
        }
        Ok(path.replace(&place, &text))
    }

    fn uri(&self, variables: &[(&Variable, String)], path: &str, query: &[String]) -> Result<Url, Misfit> {
        let Server { url, variables: known } = &self.server;
        let mut base = url.clone();
        for variable in known {
            let given = variables.iter().find(|(named, _)| named.name == variable.name);
            let text = given.map_or(variable.default.as_str(), |(_, text)| text);
            base = base.replace(&format!("{{{}}}", variable.name), text);
        }
        let mut whole = format!("{base}{}{}", if path.starts_with('/') { "" } else { "/" }, path);
        if !query.is_empty() {
            whole.push(if whole.contains('?') { '&' } else { '?' });
            whole.push_str(&query.join("&"));
        }
        let uri =
            Url::parse(&whole).map_err(|error| misfit("", format!("`{whole}` is not a URI: {error}")))?;
        match uri.scheme() {
            "http" | "https" => Ok(uri),
            other => Err(misfit("", format!("`{other}` is not a scheme that can be called"))),
        }
    }
}

/// A server's variable decides where a request goes, so nothing in it may begin another part of the URL.
fn variable_text(variable: &Variable, value: &Value) -> Result<String, Misfit> {
    let name = format!("server:{}", variable.name);
    let text = super::style::word(value)
        .ok_or_else(|| misfit(&name, format!("`{name}` is a {} and must be text", value.kind())))?;
    if !variable.allowed.is_empty() && !variable.allowed.contains(&text) {
        let allowed: Vec<String> = variable.allowed.iter().map(|one| format!("`{one}`")).collect();
        let hint = Some(format!("write one of {}", allowed.join(", ")));
        return Err(Misfit { hint, ..misfit(&name, format!("`{text}` is not allowed for `{name}`")) });
    }
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if variable.allowed.is_empty() && (!plain || text.contains("..")) {
        return Err(misfit(&name, format!("`{name}` may hold letters, digits, `-`, `_` and `.`")));
    }
    Ok(text)
}

fn parts_of(parameter: &Parameter, value: &Value) -> Result<Parts, Misfit> {
    if parameter.json {
        return Ok(Parts::One(value.to_json().to_string()));
    }
    parts(value).map_err(|why| misfit(&parameter.name, format!("`{}`: {why}", parameter.name)))
}

fn pairs_of(parameter: &Parameter, value: &Value) -> Result<Vec<String>, Misfit> {
    let escape = if parameter.reserved && parameter.at == At::Query { Escape::Reserved } else { Escape::All };
    let parts = parts_of(parameter, value)?;
    pairs(&parameter.name, parts, parameter.style, parameter.explode, escape)
        .map_err(|why| misfit(&parameter.name, format!("`{}`: {why}", parameter.name)))
}

fn header(parameter: &Parameter, value: &Value) -> Result<String, Misfit> {
    let parts = parts_of(parameter, value)?;
    Ok(inline(&parameter.name, parts, parameter.style, parameter.explode, Escape::None))
}
