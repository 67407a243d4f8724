//! Reads an operation of Swagger 2.0: `host`, `basePath`, `schemes`, `consumes`, `collectionFormat`.

use serde_json::Value as Json;

use super::body::{Body, Media};
use super::document::{Unreadable, unreadable};
use super::operation::{At, Operation, Parameter, Place, Server, absolute, is_true, text};
use super::style::Style;

/// A parameter, or what 2.0 writes like one.
enum Written {
    /// Into path, query or header.
    Parameter(Parameter),
    /// The whole body, by the name that it has for the author.
    Body { name: String, required: bool },
    /// A field of a form.
    Field { name: String, required: bool, file: bool, multi: bool },
}

/// Reads an operation.
pub(super) fn operation(id: &str, place: &Place<'_>) -> Result<Operation, Unreadable> {
    let mut parameters = Vec::new();
    let mut body: Option<Body> = None;
    let consumes = kinds(place, "consumes");
    for written in place.parameters(parameter, same)? {
        match written {
            Written::Parameter(parameter) => parameters.push(parameter),
            Written::Body { name, required } => {
                let media = consumes.iter().min_by_key(|kind| Media::of(kind).rank());
                body = Some(Body::new(&name, media.map_or("application/json", String::as_str), required));
            }
            Written::Field { name, required, file, multi } => {
                let form = body.get_or_insert_with(|| form(&consumes));
                form.field(&name, required, multi);
                if file {
                    form.file(&name);
                }
            }
        }
    }
    place.places_filled(&parameters)?;
    Ok(Operation {
        id: id.to_owned(),
        method: place.method.to_ascii_uppercase(),
        server: Server { url: base(place)?, variables: Vec::new() },
        path: place.path.to_owned(),
        parameters,
        body,
        accept: kinds(place, "produces"),
    })
}

fn same(a: &Written, b: &Written) -> bool {
    match (a, b) {
        (Written::Parameter(a), Written::Parameter(b)) => a.at == b.at && a.name == b.name,
        (Written::Body { .. }, Written::Body { .. }) => true,
        (Written::Field { name: a, .. }, Written::Field { name: b, .. }) => a == b,
        _ => false,
    }
}

fn parameter(written: &Json) -> Result<Option<Written>, Unreadable> {
    let Some(name) = text(written, "name") else { return unreadable("a parameter has no `name`") };
    let required = is_true(written, "required");
    let name = name.to_owned();
    let at = match text(written, "in") {
        Some("path") => At::Path,
        Some("query") => At::Query,
        Some("header")
            if ["accept", "content-type", "authorization"].contains(&&*name.to_ascii_lowercase()) =>
        {
            return Ok(None);
        }
        Some("header") => At::Header,
        Some("body") => return Ok(Some(Written::Body { name, required })),
        Some("formData") => {
            let file = text(written, "type") == Some("file");
            let multi = text(written, "collectionFormat") == Some("multi");
            return Ok(Some(Written::Field { name, required, file, multi }));
        }
        other => return unreadable(format!("the parameter `{name}` is in `{}`", other.unwrap_or("nothing"))),
    };
    let (style, explode) = match (text(written, "collectionFormat").unwrap_or("csv"), at) {
        ("csv", At::Query) => (Style::Form, false),
        ("csv", _) => (Style::Simple, false),
        ("multi", At::Query) => (Style::Form, true),
        ("ssv", At::Query) => (Style::SpaceDelimited, false),
        ("pipes", At::Query) => (Style::PipeDelimited, false),
        ("tsv", At::Query) => (Style::TabDelimited, false),
        (other, at) => {
            return unreadable(format!(
                "the {} parameter `{name}` has the collectionFormat `{other}`",
                at.name()
            ));
        }
    };
    let required = required || at == At::Path;
    Ok(Some(Written::Parameter(Parameter {
        name,
        at,
        required,
        style,
        explode,
        reserved: false,
        json: false,
    })))
}

fn form(consumes: &[String]) -> Body {
    let multipart = consumes.iter().any(|kind| Media::of(kind) == Media::Multipart)
        && !consumes.iter().any(|kind| Media::of(kind) == Media::Form);
    let media = if multipart { "multipart/form-data" } else { "application/x-www-form-urlencoded" };
    Body::form(media)
}

/// `consumes` or `produces`: the operation's, or else the description's.
fn kinds(place: &Place<'_>, name: &str) -> Vec<String> {
    let listed = place.operation.get(name).or_else(|| place.document.member(name));
    let texts = listed.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    texts.take(32).map(str::to_owned).collect()
}

fn base(place: &Place<'_>) -> Result<String, Unreadable> {
    let document = &place.document.uri;
    let own = place.operation.get("schemes").or_else(|| place.document.member("schemes"));
    let listed: Vec<&str> =
        own.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let scheme = match listed.as_slice() {
        [] => document.scheme(),
        all if all.contains(&"https") => "https",
        all if all.contains(&"http") => "http",
        _ => {
            return unreadable(format!(
                "the schemes `{}` hold neither `https` nor `http`",
                listed.join(", ")
            ));
        }
    };
    let host = match place.document.member("host").and_then(Json::as_str) {
        Some(host) if host.is_empty() || host.contains(['/', '{', '@', '?', '#', '\\']) => {
            return unreadable(format!("`{host}` is not a host"));
        }
        Some(host) => host.to_owned(),
        None => {
            let port = document.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{port}", document.host_str().unwrap_or_default())
        }
    };
    let path = place.document.member("basePath").and_then(Json::as_str).unwrap_or("/");
    absolute(document, &format!("{scheme}://{host}/{}", path.trim_start_matches('/')))
}
