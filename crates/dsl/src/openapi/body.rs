//! Bodies by their kind of content: JSON, forms, several parts, text.

use std::sync::Arc;

use model::{Data, Digest, Value};
use serde_json::Value as Json;

use super::style::{Escape, Parts, Style, pairs, parts, word};

/// What an operation takes as its body.
#[derive(Clone, PartialEq, Debug)]
pub struct Body {
    /// The member of `parameters` that is the body; none when its fields stand among them (2.0 forms).
    pub name: Option<String>,
    /// The kind of content, as the description writes it.
    pub media: String,
    /// True when the operation cannot be called without.
    pub required: bool,
    /// Fields of a form that the description names.
    pub fields: Vec<Field>,
}

/// A field of a form.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// True when a 2.0 form cannot be sent without.
    pub required: bool,
    /// True when it is sent as a file.
    pub file: bool,
    /// The kind of content of its part.
    pub media: Option<String>,
    /// Whether each item of a list stands by itself; none: it does.
    pub explode: Option<bool>,
}

/// Kinds of content that are written differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Media {
    /// `application/json` and `+json`
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/…`
    Multipart,
    /// Anything else: must be text.
    Text,
}

impl Media {
    /// The kind of a content type.
    pub fn of(media: &str) -> Self {
        let kind = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" | "text/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            _ if kind.ends_with("+json") || kind == "*/*" || kind == "application/*" => Self::Json,
            _ if kind.starts_with("multipart/") => Self::Multipart,
            _ => Self::Text,
        }
    }

    /// The lower, the sooner it is chosen among several.
    pub fn rank(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Form => 1,
            Self::Multipart => 2,
            Self::Text => 3,
        }
    }
}

impl Body {
    /// A body that is one member of the parameters.
    pub fn new(name: &str, media: &str, required: bool) -> Self {
        Self { name: Some(name.to_owned()), media: media.to_owned(), required, fields: Vec::new() }
    }

    /// A form whose fields stand among the parameters.
    pub(super) fn form(media: &str) -> Self {
        Self { name: None, media: media.to_owned(), required: false, fields: Vec::new() }
    }

    pub(super) fn field(&mut self, name: &str, required: bool, multi: bool) {
        let field = self.entry(name);
        field.required = required;
        field.explode = Some(multi);
    }

    pub(super) fn file(&mut self, name: &str) {
        self.entry(name).file = true;
    }

    pub(super) fn encode(&mut self, name: &str, encoding: &Json) {
        let field = self.entry(name);
        field.media = encoding.get("contentType").and_then(Json::as_str).map(str::to_owned);
        field.explode = encoding.get("explode").and_then(Json::as_bool);
    }

    fn entry(&mut self, name: &str) -> &mut Field {
        let place = self.fields.iter().position(|field| field.name == name).unwrap_or_else(|| {
            self.fields.push(Field { name: name.to_owned(), ..Field::default() });
            self.fields.len() - 1
        });
        &mut self.fields[place]
    }

    /// The content type and the body of a request; the error says what is wrong with the value.
    pub(super) fn written(&self, value: &Value) -> Result<(String, Value), String> {
        let label = value.label_of_all();
        let text = |text: String| Value::labelled(Data::String(Arc::from(text)), label);
        match Media::of(&self.media) {
            Media::Json => {
                let wild = self.media.contains('*');
                let media = if wild { "application/json" } else { &self.media };
                Ok((media.to_owned(), value.clone()))
            }
            Media::Form => Ok((self.media.clone(), text(self.urlencoded(value)?))),
            Media::Multipart => {
                let (boundary, body) = self.multipart(value)?;
                let media = self.media.split(';').next().unwrap_or_default().trim();
                Ok((format!("{media}; boundary={boundary}"), text(body)))
            }
            Media::Text => match word(value) {
                Some(_) if value.as_str().is_some() => Ok((self.media.clone(), value.clone())),
                Some(word) => Ok((self.media.clone(), text(word))),
                None => Err(format!(
                    "it is a {} and must be text, since it is sent as `{}`",
                    value.kind(),
                    self.media
                )),
            },
        }
    }

    fn members(value: &Value) -> Result<Vec<(&str, &Value)>, String> {
        let Data::Object(members) = &value.data else {
            return Err(format!("it is a {} and must be an object of fields", value.kind()));
        };
        Ok(members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (&**name, value))
            .collect())
    }

    fn known(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn urlencoded(&self, value: &Value) -> Result<String, String> {
        let mut all = Vec::new();
        for (name, value) in Self::members(value)? {
            let explode = self.known(name).and_then(|field| field.explode).unwrap_or(true);
            let parts = match &value.data {
                // What no style can write is written as JSON.
                Data::Object(_) => Parts::One(value.to_json().to_string()),
                _ => parts(value).unwrap_or_else(|_| Parts::One(value.to_json().to_string())),
            };
            all.extend(pairs(name, parts, Style::Form, explode, Escape::All)?);
        }
        Ok(all.join("&"))
    }

    fn multipart(&self, value: &Value) -> Result<(String, String), String> {
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value) in Self::members(value)? {
            let field = self.known(name);
            let file = field.is_some_and(|field| field.file);
            let items = match &value.data {
                Data::Array(items) if items.iter().all(|item| word(item).is_some()) => items.as_slice(),
                _ => std::slice::from_ref(value),
            };
            for item in items {
                let (content, kind) = match word(item) {
                    Some(word) => {
                        (word, if file { "application/octet-stream" } else { "text/plain; charset=utf-8" })
                    }
                    None => (item.to_json().to_string(), "application/json"),
                };
                let kind = field.and_then(|field| field.media.as_deref()).unwrap_or(kind);
                if kind.contains(['\r', '\n']) || name.contains(['\r', '\n', '"']) {
                    return Err(format!("`{name}` cannot be the name of a part"));
                }
                let file = if file { format!("; filename=\"{name}\"") } else { String::new() };
                let head = format!(
                    "Content-Disposition: form-data; name=\"{name}\"{file}\r\nContent-Type: {kind}\r\n\r\n"
                );
                all.push((head, content));
            }
        }
        // The same content has the same boundary, so that a repeated request is the same; no content can hold it.
        let whole: String = all.iter().map(|(head, content)| format!("{head}{content}")).collect();
        let digest = Digest::of(whole.as_bytes()).to_string();
        let boundary: String = digest.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        let mut body = String::new();
        for (head, content) in all {
            body.push_str(&format!("--{boundary}\r\n{head}{content}\r\n"));
        }
        body.push_str(&format!("--{boundary}--\r\n"));
        Ok((boundary, body))
    }
}
