//! One operation, everything it needs put in place: where it goes and what it takes. Read from OpenAPI 3 here.

use serde_json::Value as Json;
use url::Url;

use super::body::{Body, Media};
use super::document::{Document, Unreadable, unreadable};
use super::style::Style;

/// Parameters of one operation at the most.
const PARAMETERS_MAX: usize = 256;
/// Kinds of content that an operation may name, at the most.
const MEDIA_MAX: usize = 32;
/// Headers that are not parameters, whatever a description says.
const NOT_PARAMETERS: &[&str] = &["accept", "content-type", "authorization"];

/// One operation of an API.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    /// `operationId`
    pub id: String,
    /// Upper case.
    pub method: String,
    /// Where the API is.
    pub server: Server,
    /// The path below the server, with `{name}` places.
    pub path: String,
    /// What goes into path, query, headers and cookies.
    pub parameters: Vec<Parameter>,
    /// What goes into the body; none when it takes none.
    pub body: Option<Body>,
    /// Kinds of content that it answers with, in the order of the description.
    pub accept: Vec<String>,
}

/// Where an API is.
#[derive(Clone, PartialEq, Debug)]
pub struct Server {
    /// An absolute URL with `{name}` places.
    pub url: String,
    /// What may stand in these places.
    pub variables: Vec<Variable>,
}

/// A place in the URL of a server.
#[derive(Clone, PartialEq, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What stands there when nothing is said.
    pub default: String,
    /// The values that are allowed; any when empty.
    pub allowed: Vec<String>,
}

/// Where a parameter goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum At {
    /// Into a place of the path.
    Path,
    /// Behind the `?`.
    Query,
    /// Into a header of its name.
    Header,
    /// Into `Cookie`.
    Cookie,
}

impl At {
    /// The word of descriptions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

/// One parameter.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where it goes.
    pub at: At,
    /// True when the operation cannot be called without.
    pub required: bool,
    /// How lists and objects are written.
    pub style: Style,
    /// True when each item or member stands by itself.
    pub explode: bool,
    /// True when reserved characters are written as they are.
    pub reserved: bool,
    /// True when the value is written as JSON, whatever it is.
    pub json: bool,
}

/// An operation's place in its description.
pub(super) struct Place<'d> {
    pub(super) document: &'d Document,
    pub(super) path: &'d str,
    pub(super) item: &'d Json,
    pub(super) method: &'d str,
    pub(super) operation: &'d Json,
}

impl Place<'_> {
    /// Every parameter: those of the path, and those of the operation over them.
    pub(super) fn parameters<T>(
        &self,
        read: impl Fn(&Json) -> Result<Option<T>, Unreadable>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Result<Vec<T>, Unreadable> {
        let mut all: Vec<T> = Vec::new();
        for owner in [self.item, self.operation] {
            for written in owner.get("parameters").and_then(Json::as_array).into_iter().flatten() {
                let Some(parameter) = read(self.document.followed(written)?)? else { continue };
                match all.iter_mut().find(|known| same(known, &parameter)) {
                    Some(known) => *known = parameter,
                    None => all.push(parameter),
                }
                if all.len() > PARAMETERS_MAX {
                    return unreadable(format!("the operation has more than {PARAMETERS_MAX} parameters"));
                }
            }
        }
        Ok(all)
    }

    /// Every place of the path has a parameter, and every path parameter a place.
    pub(super) fn places_filled(&self, parameters: &[Parameter]) -> Result<(), Unreadable> {
        for name in places(self.path)? {
            if !parameters.iter().any(|known| known.at == At::Path && known.name == name) {
                return unreadable(format!(
                    "the path `{}` has `{{{name}}}`, and no parameter is called so",
                    self.path
                ));
            }
        }
        for parameter in parameters.iter().filter(|known| known.at == At::Path) {
            if !self.path.contains(&format!("{{{}}}", parameter.name)) {
                return unreadable(format!(
                    "`{}` is a path parameter without a place in `{}`",
                    parameter.name, self.path
                ));
            }
        }
        Ok(())
    }
}

/// The names of the `{name}` places of a text.
pub(super) fn places(text: &str) -> Result<Vec<&str>, Unreadable> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else {
            return unreadable(format!("`{text}` has a `{{` without `}}`"));
        };
        names.push(name);
        rest = behind;
    }
    Ok(names)
}

/// The text of a member.
pub(super) fn text<'d>(value: &'d Json, name: &str) -> Option<&'d str> {
    value.get(name).and_then(Json::as_str)
}

/// A member that is `true`.
pub(super) fn is_true(value: &Json, name: &str) -> bool {
    value.get(name).and_then(Json::as_bool).unwrap_or(false)
}

/// An absolute address of an API, from what a description says and where it was fetched.
pub(super) fn absolute(document: &Url, written: &str) -> Result<String, Unreadable> {
    let whole = if written.contains("://") {
        written.to_owned()
    } else {
        // Places must survive, so a relative address is put behind the origin as text.
        let origin = document.origin().ascii_serialization();
        match written.strip_prefix('/') {
            Some(path) => format!("{origin}/{path}"),
            None => {
                let folder = document.path().rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{origin}{folder}/{}", written.strip_prefix("./").unwrap_or(written))
            }
        }
    };
    if !whole.starts_with("https://") && !whole.starts_with("http://") {
        return unreadable(format!("the server `{written}` is neither `http` nor `https`"));
    }
    Ok(whole.trim_end_matches('/').to_owned())
}

/// Reads an operation of OpenAPI 3.
pub(super) fn operation(id: &str, place: &Place<'_>) -> Result<Operation, Unreadable> {
    let same = |a: &Parameter, b: &Parameter| a.at == b.at && a.name == b.name;
    let parameters = place.parameters(|written| parameter(place.document, written), same)?;
    place.places_filled(&parameters)?;
    let body = match place.operation.get("requestBody") {
        Some(written) => body(place.document, place.document.followed(written)?)?,
        None => None,
    };
    Ok(Operation {
        id: id.to_owned(),
        method: place.method.to_ascii_uppercase(),
        server: server(place)?,
        path: place.path.to_owned(),
        parameters,
        body,
        accept: accept(place)?,
    })
}

fn parameter(document: &Document, written: &Json) -> Result<Option<Parameter>, Unreadable> {
    let Some(name) = text(written, "name") else { return unreadable("a parameter has no `name`") };
    let at = match text(written, "in") {
        Some("path") => At::Path,
        Some("query") => At::Query,
        Some("header") if NOT_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) => return Ok(None),
        Some("header") => At::Header,
        Some("cookie") => At::Cookie,
        other => return unreadable(format!("the parameter `{name}` is in `{}`", other.unwrap_or("nothing"))),
    };
    let content = written.get("content").and_then(Json::as_object).and_then(|content| content.keys().next());
    let style = match text(written, "style") {
        None => Style::default_of(at),
        Some(style) => match Style::named(style, at) {
            Some(style) => style,
            None => {
                return unreadable(format!("the {} parameter `{name}` has the style `{style}`", at.name()));
            }
        },
    };
    let explode = written.get("explode").and_then(Json::as_bool).unwrap_or(style == Style::Form);
    if let Some(schema) = written.get("schema") {
        document.followed(schema)?;
    }
    Ok(Some(Parameter {
        name: name.to_owned(),
        at,
        required: at == At::Path || is_true(written, "required"),
        style,
        explode,
        reserved: is_true(written, "allowReserved"),
        json: content.is_some_and(|media| Media::of(media) == Media::Json),
    }))
}

fn body(document: &Document, written: &Json) -> Result<Option<Body>, Unreadable> {
    let Some(content) =
        written.get("content").and_then(Json::as_object).filter(|content| !content.is_empty())
    else {
        return Ok(None);
    };
    if content.len() > MEDIA_MAX {
        return unreadable(format!("the body has more than {MEDIA_MAX} kinds of content"));
    }
    let best = content.iter().min_by_key(|(media, _)| Media::of(media).rank());
    let Some((media, how)) = best else { return Ok(None) };
    let schema = match how.get("schema") {
        Some(schema) => Some(document.followed(schema)?),
        None => None,
    };
    let mut body = Body::new("body", media, is_true(written, "required"));
    for (name, encoding) in how.get("encoding").and_then(Json::as_object).into_iter().flatten() {
        body.encode(name, encoding);
    }
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Json::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if text(document.followed(property)?, "format") == Some("binary") {
            body.file(name);
        }
    }
    Ok(Some(body))
}

fn server(place: &Place<'_>) -> Result<Server, Unreadable> {
    let listed =
        |value: Option<&'_ Json>| value.and_then(Json::as_array).and_then(|all| all.first()).cloned();
    let first = listed(place.operation.get("servers"))
        .or_else(|| listed(place.item.get("servers")))
        .or_else(|| listed(place.document.member("servers")))
        .unwrap_or_else(|| serde_json::json!({ "url": "/" }));
    let Some(url) = text(&first, "url") else { return unreadable("a server has no `url`") };
    let mut variables = Vec::new();
    for name in places(url)? {
        let Some(variable) = first.get("variables").and_then(|all| all.get(name)) else {
            return unreadable(format!("the server `{url}` has `{{{name}}}`, and no variable is called so"));
        };
        let Some(default) = text(variable, "default") else {
            return unreadable(format!("the variable `{name}` of the server has no `default`"));
        };
        let allowed = variable.get("enum").and_then(Json::as_array).into_iter().flatten();
        let allowed = allowed.filter_map(Json::as_str).map(str::to_owned).collect();
        variables.push(Variable { name: name.to_owned(), default: default.to_owned(), allowed });
    }
    Ok(Server { url: absolute(&place.document.uri, url)?, variables })
}

fn accept(place: &Place<'_>) -> Result<Vec<String>, Unreadable> {
    let mut kinds: Vec<String> = Vec::new();
    for (status, response) in place.operation.get("responses").and_then(Json::as_object).into_iter().flatten()
    {
        if !status.starts_with('2') && status != "default" {
            continue;
        }
        let response = place.document.followed(response)?;
        for kind in response.get("content").and_then(Json::as_object).into_iter().flat_map(|all| all.keys()) {
            if !kinds.contains(kind) && kinds.len() < MEDIA_MAX {
                kinds.push(kind.clone());
            }
        }
    }
    Ok(kinds)
}
