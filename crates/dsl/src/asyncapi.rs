//! Descriptions of messages (AsyncAPI 2.x and 3.0): what one operation or channel is over HTTP or a WebSocket.

use std::collections::BTreeMap;

use model::{Data, Digest, Value};
use serde_json::{Map, Value as Json};

use crate::document::report::nearest;
use crate::openapi::parse;

/// References that lead to references, at the most.
const REFERENCES_MAX: usize = 32;
/// Protocols that are spoken.
const SPOKEN: &[&str] = &["http", "https", "ws", "wss"];

/// A description that can be read.
#[derive(Debug)]
pub struct Document {
    /// Digest of its text.
    pub digest: Digest,
    /// True for 3.0.
    three: bool,
    root: Json,
}

/// What a task asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `operation`
    pub operation: Option<&'a str>,
    /// `channel`
    pub channel: Option<&'a str>,
    /// `server.name`
    pub server: Option<&'a str>,
    /// `protocol`
    pub protocol: Option<&'a str>,
    /// True when a message is sent.
    pub sends: bool,
}

/// How it is called, everything put in place but the variables of its address.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// `http`, `https`, `ws` or `wss`.
    pub scheme: String,
    /// Host, port and path, with `{name}` places.
    pub address: String,
    /// The places that the description knows: the default, and the values that are allowed.
    pub variables: BTreeMap<String, Variable>,
    /// Upper case, of HTTP.
    pub method: String,
    /// The content type of what is sent.
    pub content_type: String,
    /// JSON Pointer into the payload of who a message belongs to.
    pub correlation: Option<String>,
}

/// A place in an address.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// When the task gives none.
    pub default: Option<String>,
    /// Any when it is empty.
    pub allowed: Vec<String>,
}

/// Why an operation cannot be called.
#[derive(Debug, PartialEq, Eq)]
pub enum Misfit {
    /// There is none; what is said, and what to write.
    Unknown(String, String),
    /// It is there, and the description of it cannot be used.
    Broken(String),
    /// It is spoken over this, which is not spoken here.
    Protocol(String),
}

impl Document {
    /// Reads a description.
    pub fn read(text: &str) -> Result<Self, String> {
        let root = parse(text).map_err(|why| why.to_string())?;
        let three = match root.get("asyncapi").and_then(Json::as_str) {
            Some(version) if version.starts_with("2.") => false,
            Some(version) if version.starts_with("3.0.") => true,
            Some(other) => return Err(format!("AsyncAPI `{other}` is not supported: 2.x and 3.0 are")),
            None => return Err("it has no `asyncapi`, so it is no AsyncAPI description".to_owned()),
        };
        Ok(Self { digest: Digest::of(text.as_bytes()), three, root })
    }

    /// What a task asks for.
    pub fn operation(&self, asked: &Asked<'_>) -> Result<Operation, Misfit> {
        let (channel_name, operation) = self.find(asked)?;
        let channel = self.channel(&channel_name)?;
        let (server, protocol) = self.server(asked, channel)?;
        let mut variables = BTreeMap::new();
        self.variables(server.get("variables"), &mut variables)?;
        self.variables(channel.get("parameters"), &mut variables)?;
        let text =
            |json: &Json, name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let base = if self.three {
            format!("{}{}", text(server, "host"), text(server, "pathname"))
        } else {
            let url = text(server, "url");
            url.split_once("://").map_or(url.clone(), |(_, rest)| rest.to_owned())
        };
        // Since 3.0 the name of a channel is only a name.
        let path = if self.three { text(channel, "address") } else { channel_name };
        let slash = if path.is_empty() || path.starts_with(['/', '?']) { "" } else { "/" };
        let address = format!("{}{slash}{path}", base.trim_end_matches('/'));
        self.places_known(&address, &variables)?;
        let operation = operation.unwrap_or(&Json::Null);
        let message = self.message(channel, operation)?;
        let content_type = message
            .and_then(|message| message.get("contentType"))
            .or_else(|| self.root.get("defaultContentType"))
            .and_then(Json::as_str)
            .unwrap_or("application/json");
        let correlation = match message.and_then(|message| message.get("correlationId")) {
            Some(id) => {
                let location = self.followed(id)?.get("location").and_then(Json::as_str).unwrap_or_default();
                location.strip_prefix("$message.payload#").map(str::to_owned)
            }
            None => None,
        };
        let bound = operation.get("bindings").map(|bindings| self.followed(bindings)).transpose()?;
        let method =
            bound.and_then(|b| b.get("http")).and_then(|http| http.get("method")).and_then(Json::as_str);
        let method = method.unwrap_or(if asked.sends { "POST" } else { "GET" }).to_ascii_uppercase();
        Ok(Operation {
            scheme: protocol,
            address,
            variables,
            method,
            content_type: content_type.to_owned(),
            correlation,
        })
    }

    /// The name of the channel, and the operation when one is asked for or there.
    fn find(&self, asked: &Asked<'_>) -> Result<(String, Option<&Json>), Misfit> {
        let words = if asked.sends { ["publish", "subscribe"] } else { ["subscribe", "publish"] };
        let Some(wanted) = asked.operation else {
            let wanted = asked.channel.unwrap_or_default();
            let channels = self.members("channels");
            let by_address = channels.iter().find(|(name, channel)| {
                *name == wanted
                    || (self.three && channel.get("address").and_then(Json::as_str) == Some(wanted))
            });
            let Some((name, channel)) = by_address else {
                let names: Vec<&str> = channels.iter().map(|(name, _)| *name).collect();
                return Err(unknown("channel", wanted, &names));
            };
            let operation = if self.three { None } else { self.followed(channel)?.get(words[0]) };
            return Ok(((*name).to_owned(), operation));
        };
        if self.three {
            let operations = self.members("operations");
            let Some((_, operation)) = operations.iter().find(|(name, _)| *name == wanted) else {
                let names: Vec<&str> = operations.iter().map(|(name, _)| *name).collect();
                return Err(unknown("operation", wanted, &names));
            };
            let operation = self.followed(operation)?;
            let reference =
                operation.get("channel").and_then(|channel| channel.get("$ref")).and_then(Json::as_str);
            let name = reference.and_then(|to| to.strip_prefix("#/channels/")).ok_or_else(|| {
                Misfit::Broken(format!("the operation `{wanted}` refers to no channel of the description"))
            })?;
            return Ok((name.replace("~1", "/").replace("~0", "~"), Some(operation)));
        }
        let mut names = Vec::new();
        for (name, channel) in self.members("channels") {
            let channel = self.followed(channel)?;
            for word in words {
                let Some(operation) = channel.get(word) else { continue };
                match operation.get("operationId").and_then(Json::as_str) {
                    Some(id) if id == wanted => return Ok((name.to_owned(), Some(operation))),
                    Some(id) => names.push(id),
                    None => {}
                }
            }
        }
        Err(unknown("operation", wanted, &names))
    }

    fn channel(&self, name: &str) -> Result<&Json, Misfit> {
        let found = self.root.get("channels").and_then(|channels| channels.get(name));
        self.followed(found.ok_or_else(|| Misfit::Broken(format!("it has no channel `{name}`")))?)
    }

    /// The server that is asked for, or the first one that can be spoken to; and its protocol.
    fn server<'d>(&'d self, asked: &Asked<'_>, channel: &'d Json) -> Result<(&'d Json, String), Misfit> {
        let servers = self.members("servers");
        let mut usable = Vec::new();
        for (name, server) in &servers {
            let listed = channel.get("servers").and_then(Json::as_array).filter(|list| !list.is_empty());
            let named = |entry: &Json| match entry.get("$ref").and_then(Json::as_str) {
                Some(reference) => reference.rsplit('/').next() == Some(*name),
                None => entry.as_str() == Some(*name),
            };
            if listed.is_none_or(|list| list.iter().any(named)) {
                let server = self.followed(server)?;
                let protocol =
                    server.get("protocol").and_then(Json::as_str).unwrap_or_default().to_ascii_lowercase();
                usable.push((*name, server, protocol));
            }
        }
        if let Some(wanted) = asked.server {
            let names: Vec<&str> = usable.iter().map(|(name, ..)| *name).collect();
            usable.retain(|(name, ..)| *name == wanted);
            if usable.is_empty() {
                return Err(unknown("server", wanted, &names));
            }
        }
        if let Some(wanted) = asked.protocol {
            let names: Vec<String> = usable.iter().map(|(.., protocol)| protocol.clone()).collect();
            usable.retain(|(.., protocol)| protocol == wanted || *protocol == format!("{wanted}s"));
            if usable.is_empty() {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(unknown("server with the protocol", wanted, &names));
            }
        }
        let first = usable.first().map(|(.., protocol)| protocol.clone());
        let spoken = usable.into_iter().find(|(.., protocol)| SPOKEN.contains(&protocol.as_str()));
        match (spoken, first) {
            (Some((_, server, protocol)), _) => Ok((server, protocol)),
            (None, Some(protocol)) => Err(Misfit::Protocol(protocol)),
            (None, None) => Err(Misfit::Broken("it names no server".to_owned())),
        }
    }

    fn variables(&self, given: Option<&Json>, all: &mut BTreeMap<String, Variable>) -> Result<(), Misfit> {
        for (name, variable) in given.and_then(Json::as_object).into_iter().flatten() {
            let variable = self.followed(variable)?;
            // Parameters of 2.x have a schema.
            let place =
                variable.get("schema").map(|schema| self.followed(schema)).transpose()?.unwrap_or(variable);
            let allowed = place.get("enum").and_then(Json::as_array).into_iter().flatten();
            let allowed = allowed.filter_map(Json::as_str).map(str::to_owned).collect();
            let default = place.get("default").and_then(Json::as_str).map(str::to_owned);
            all.insert(name.clone(), Variable { default, allowed });
        }
        Ok(())
    }

    fn places_known(&self, address: &str, variables: &BTreeMap<String, Variable>) -> Result<(), Misfit> {
        let host = address.split('/').next().unwrap_or_default();
        if host.is_empty() {
            return Err(Misfit::Broken("its server has no host".to_owned()));
        }
        match places(address).find(|place| !variables.contains_key(*place)) {
            Some(place) => Err(Misfit::Broken(format!("`{{{place}}}` of the address is described nowhere"))),
            None => Ok(()),
        }
    }

    /// The first message that the operation has, or the channel.
    fn message<'d>(&'d self, channel: &'d Json, operation: &'d Json) -> Result<Option<&'d Json>, Misfit> {
        let own = operation.get("message").or_else(|| operation.get("messages"));
        let found = own.or_else(|| channel.get("messages"));
        let Some(found) = found else { return Ok(None) };
        let first = match self.followed(found)? {
            Json::Array(list) => list.first(),
            Json::Object(members) => match members.get("oneOf").and_then(Json::as_array) {
                Some(list) => list.first(),
                // A message, or messages by name.
                None if own.is_some() && !self.three => Some(found),
                None => members.values().next(),
            },
            _ => None,
        };
        first.map(|message| self.followed(message)).transpose()
    }

    fn members(&self, name: &str) -> Vec<(&str, &Json)> {
        let members: Option<&Map<String, Json>> = self.root.get(name).and_then(Json::as_object);
        members.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
    }

    /// What stands in a place, references followed.
    fn followed<'d>(&'d self, mut value: &'d Json) -> Result<&'d Json, Misfit> {
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = value.get("$ref").and_then(Json::as_str) else { return Ok(value) };
            let found = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            value =
                found.ok_or_else(|| Misfit::Broken(format!("`$ref: {reference}` leads nowhere in it")))?;
        }
        Err(Misfit::Broken("a `$ref` leads to itself".to_owned()))
    }
}

impl Operation {
    /// True when messages go over a WebSocket.
    pub fn socket(&self) -> bool {
        self.scheme.starts_with("ws")
    }

    /// The scheme of the request that opens it.
    pub fn http_scheme(&self) -> &'static str {
        if matches!(self.scheme.as_str(), "https" | "wss") { "https" } else { "http" }
    }

    /// Names of variables that a task must give, and names that it may.
    pub fn names(&self) -> (Vec<&str>, Vec<&str>) {
        let needed = places(&self.address)
            .filter(|place| self.variables.get(*place).is_some_and(|variable| variable.default.is_none()));
        (needed.collect(), self.variables.keys().map(String::as_str).collect())
    }

    /// The whole address. A value cannot leave its place: in the host it is letters, digits and dots.
    pub fn uri(&self, given: &Value) -> Result<String, String> {
        let (host, path) = self.address.split_at(self.address.find('/').unwrap_or(self.address.len()));
        let mut uri = format!("{}://", self.scheme);
        for (part, in_host) in [(host, true), (path, false)] {
            let mut rest = part;
            while let Some((before, after)) = rest.split_once('{') {
                let (name, after) = after.split_once('}').ok_or("a place of the address is not closed")?;
                uri.push_str(before);
                let variable = self.variables.get(name);
                let value = match given.get(name).map(|value| &value.data) {
                    Some(Data::String(text)) => text.to_string(),
                    Some(Data::Int(number)) => number.to_string(),
                    Some(_) => return Err(format!("the variable `{name}` must be text")),
                    None => variable
                        .and_then(|variable| variable.default.clone())
                        .ok_or_else(|| format!("the variable `{name}` of the address is missing"))?,
                };
                if let Some(allowed) = variable.map(|variable| &variable.allowed).filter(|a| !a.is_empty())
                    && !allowed.contains(&value)
                {
                    return Err(format!("`{value}` is not one of the values of `{name}`"));
                }
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
                if value.is_empty()
                    || matches!(value.as_str(), "." | "..")
                    || (in_host && !value.bytes().all(plain))
                {
                    return Err(format!("`{value}` cannot stand in the place of `{name}`"));
                }
                for byte in value.bytes() {
                    match plain(byte) || byte == b'~' {
                        true => uri.push(char::from(byte)),
                        false => uri.push_str(&format!("%{byte:02X}")),
                    }
                }
                rest = after;
            }
            uri.push_str(rest);
        }
        url::Url::parse(&uri).map(String::from).map_err(|error| format!("`{uri}` is not a URI: {error}"))
    }
}

/// The names of the `{name}` places of an address.
fn places(address: &str) -> impl Iterator<Item = &str> {
    address.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

fn unknown(what: &str, name: &str, known: &[&str]) -> Misfit {
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("it has no {what}s"),
        None => {
            let some: Vec<String> = known.iter().take(8).map(|name| format!("`{name}`")).collect();
            format!("it has for example {}", some.join(", "))
        }
    };
    Misfit::Unknown(format!("the description has no {what} `{name}`"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r##"{ "asyncapi": "2.6.0", "defaultContentType": "application/json",
      "servers": { "broker": { "url": "kafka.test:9092", "protocol": "kafka" },
                   "live": { "url": "wss://{region}.shop.test/v1", "protocol": "wss", "variables": { "region": { "default": "eu", "enum": [ "eu", "us" ] } } },
                   "web": { "url": "shop.test/v1/", "protocol": "https" } },
      "channels": { "orders/{id}": { "servers": [ "web" ], "parameters": { "id": { "schema": { "type": "string" } } },
                      "publish": { "operationId": "order", "bindings": { "http": { "type": "request", "method": "put" } }, "message": { "$ref": "#/components/messages/order" } } },
                    "news": { "servers": [ "live" ], "subscribe": { "operationId": "news", "message": { "correlationId": { "location": "$message.payload#/user/id" } } } },
                    "old": { "servers": [ "broker" ], "publish": { "operationId": "old" } } },
      "components": { "messages": { "order": { "contentType": "application/vnd.shop+json" } } } }"##;
    const THREE: &str = r##"{ "asyncapi": "3.0.0",
      "servers": { "live": { "host": "shop.test:8443", "pathname": "/live", "protocol": "ws" } },
      "channels": { "news": { "address": "news?all=1", "servers": [ { "$ref": "#/servers/live" } ], "messages": { "told": { "contentType": "text/plain" } } } },
      "operations": { "listen": { "action": "send", "channel": { "$ref": "#/channels/news" } } } }"##;

    fn asked(operation: &str, sends: bool) -> Asked<'_> {
        Asked { operation: Some(operation), channel: None, server: None, protocol: None, sends }
    }

    #[test]
    fn operations_of_both_languages_become_one_address() {
        let two = Document::read(TWO).expect("it is read");
        let order = two.operation(&asked("order", true)).expect("it is there");
        assert_eq!((order.scheme.as_str(), order.method.as_str()), ("https", "PUT"));
        assert_eq!(order.content_type, "application/vnd.shop+json");
        let given = |json: Json| Value::from_json(&json, model::Label::CALLER);
        let uri = order.uri(&given(serde_json::json!({"id": "a/b"})));
        assert_eq!(uri.as_deref(), Ok("https://shop.test/v1/orders/a%2Fb"));
        for wrong in [serde_json::json!({}), serde_json::json!({"id": ".."}), serde_json::json!({"id": ""})] {
            assert!(order.uri(&given(wrong)).is_err());
        }
        let news = two.operation(&asked("news", false)).expect("it is there");
        assert_eq!(news.uri(&Value::NULL).as_deref(), Ok("wss://eu.shop.test/v1/news"));
        assert_eq!(news.correlation.as_deref(), Some("/user/id"));
        for region in ["asia", "us.evil.test/", "us@evil.test"] {
            assert!(news.uri(&given(serde_json::json!({"region": region}))).is_err(), "{region}");
        }
        let three = Document::read(THREE).expect("it is read");
        let listen = three.operation(&asked("listen", false)).expect("it is there");
        assert_eq!(listen.uri(&Value::NULL).as_deref(), Ok("ws://shop.test:8443/live/news?all=1"));
        assert_eq!(listen.content_type, "text/plain");
        let channel = Asked { operation: None, channel: Some("news?all=1"), ..asked("", false) };
        assert_eq!(three.operation(&channel).expect("by its address").address, listen.address);
    }

    #[test]
    fn what_cannot_be_called_says_why() {
        let two = Document::read(TWO).expect("it is read");
        assert_eq!(two.operation(&asked("old", true)), Err(Misfit::Protocol("kafka".to_owned())));
        let near = two.operation(&asked("ordr", true)).expect_err("there is none");
        assert_eq!(
            near,
            Misfit::Unknown("the description has no operation `ordr`".into(), "did you mean `order`?".into())
        );
        let wrong = Asked { protocol: Some("ws"), ..asked("order", true) };
        assert!(matches!(two.operation(&wrong), Err(Misfit::Unknown(..))));
        for text in ["{}", "{\"asyncapi\": \"4.0.0\"}", "["] {
            assert!(Document::read(text).is_err(), "{text}");
        }
    }
}
