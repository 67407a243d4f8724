//! Descriptions of tools (Model Context Protocol) and of agents (Agent2Agent), as they were when something was published.

use std::sync::Arc;

use model::{Digest, digest_of};
use serde_json::Value as Json;

use crate::document::report::nearest;
use crate::plan::Schema;

/// Largest list of tools or card, in bytes.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// The tools of a server.
#[derive(Debug)]
pub struct Tools {
    /// Digest of the kept text.
    pub digest: Digest,
    tools: Vec<Json>,
}

/// A tool as it was published.
#[derive(Debug)]
pub struct Tool {
    /// Digest of everything that the server says of it.
    pub digest: Digest,
    /// What its arguments must be.
    pub schema: Arc<Schema>,
}

/// The card of an agent.
#[derive(Debug)]
pub struct Card {
    /// Digest of its text.
    pub digest: Digest,
    /// Where it is spoken to; absolute.
    pub url: String,
}

impl Tools {
    /// Reads what was kept: `{"tools": […]}`.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut json = read(text)?;
        let tools = match json["tools"].take() {
            Json::Array(tools) => tools,
            _ => return Err("it has no list of `tools`".to_owned()),
        };
        Ok(Self { digest: Digest::of(text.as_bytes()), tools })
    }

    /// A tool by its name, or what to say about it.
    pub fn tool(&self, name: &str) -> Result<Tool, (String, String)> {
        let named = |tool: &&Json| tool["name"].as_str() == Some(name);
        let Some(tool) = self.tools.iter().find(named) else {
            let names: Vec<&str> = self.tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
            let hint = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => "it has no tools".to_owned(),
                None => format!(
                    "it has for example `{}`",
                    names.iter().take(8).copied().collect::<Vec<_>>().join("`, `")
                ),
            };
            return Err((format!("the server has no tool `{name}`"), hint));
        };
        let document = tool["inputSchema"].clone();
        let wrong = |why: String| {
            let hint = "this is a mistake of the server; its owner has to put it right".to_owned();
            (format!("the `inputSchema` of `{name}` cannot be used: {why}"), hint)
        };
        if !document.is_object() {
            return Err(wrong("it is no object".to_owned()));
        }
        let validator =
            jsonschema::options().offline().build(&document).map_err(|error| wrong(error.to_string()))?;
        Ok(Tool { digest: tool_digest(tool), schema: Arc::new(Schema { document, validator }) })
    }
}

/// Digest of everything that a server says of a tool.
pub fn tool_digest(tool: &Json) -> Digest {
    digest_of(tool)
}

impl Card {
    /// Reads a card that was fetched at `uri`.
    pub fn read(uri: &str, text: &str) -> Result<Self, String> {
        let json = read(text)?;
        let spoken = |interface: &&Json| {
            let word = interface["transport"].as_str().or(interface["protocolBinding"].as_str());
            word.is_some_and(|word| word.eq_ignore_ascii_case("JSONRPC"))
        };
        let lists = ["additionalInterfaces", "supportedInterfaces"];
        let listed = lists.iter().filter_map(|list| json[list].as_array()).flatten().find(spoken);
        // JSON-RPC is what an agent speaks when it says nothing else.
        let first = match json["preferredTransport"].as_str() {
            None | Some("JSONRPC") => json["url"].as_str(),
            Some(_) => None,
        };
        let url = first.or_else(|| listed.and_then(|interface| interface["url"].as_str()));
        let url = url.ok_or("it names no address that speaks JSON-RPC")?;
        let base = url::Url::parse(uri).map_err(|error| error.to_string())?;
        let url = base.join(url).map_err(|error| format!("`{url}` is not a URI: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some()
        {
            return Err("its address is not a plain `http` or `https` URI".to_owned());
        }
        Ok(Self { digest: Digest::of(text.as_bytes()), url: url.into() })
    }
}

fn read(text: &str) -> Result<Json, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("it has {} bytes; the limit is {BYTES_MAX}", text.len()));
    }
    serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_found_and_a_change_is_another_tool() {
        let text = |kind: &str| {
            format!(
                "{{\"tools\": [{{\"name\": \"put\", \"inputSchema\": {{\"type\": \"{kind}\"}}}}, {{\"name\": \"bad\"}}]}}"
            )
        };
        let before = Tools::read(&text("object")).expect("it is read");
        let after = Tools::read(&text("array")).expect("it is read");
        assert_ne!(before.tool("put").expect("is there").digest, after.tool("put").expect("is there").digest);
        assert_eq!(before.tool("pt").expect_err("is not").1, "did you mean `put`?");
        assert!(before.tool("bad").expect_err("no schema").0.contains("cannot be used"));
        // The order of members is nobody's change.
        let (a, b) = (serde_json::json!({"name": "x", "a": 1}), serde_json::json!({"a": 1, "name": "x"}));
        assert_eq!(tool_digest(&a), tool_digest(&b));
    }

    #[test]
    fn cards_say_where_json_rpc_is_spoken() {
        let at = "https://agent.test/.well-known/agent-card.json";
        let table = [
            ("{\"url\": \"https://agent.test/rpc\"}", Some("https://agent.test/rpc")),
            ("{\"url\": \"/rpc\", \"preferredTransport\": \"JSONRPC\"}", Some("https://agent.test/rpc")),
            (
                "{\"url\": \"/g\", \"preferredTransport\": \"GRPC\", \"additionalInterfaces\": [{\"transport\": \"JSONRPC\", \"url\": \"/r\"}]}",
                Some("https://agent.test/r"),
            ),
            (
                "{\"supportedInterfaces\": [{\"protocolBinding\": \"GRPC\", \"url\": \"/g\"}, {\"protocolBinding\": \"JSONRPC\", \"url\": \"/r\"}]}",
                Some("https://agent.test/r"),
            ),
            ("{\"url\": \"/g\", \"preferredTransport\": \"GRPC\"}", None),
            ("{\"url\": \"https://u:p@agent.test/\"}", None),
            ("{\"url\": \"ftp://agent.test/\"}", None),
            ("{}", None),
            ("no", None),
        ];
        for (text, url) in table {
            assert_eq!(Card::read(at, text).ok().map(|card| card.url).as_deref(), url, "{text}");
        }
    }
}
