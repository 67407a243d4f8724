//! Descriptions of what is called: fetched when something is published, pinned by digest, read again for every run.

use std::sync::Arc;

use model::Digest;
use model::effect::Authentication;

use crate::{asyncapi, grpc, mcp, openapi};

/// What a description describes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// An API, by OpenAPI.
    OpenApi,
    /// gRPC services, by a `.proto`.
    Proto,
    /// Messages, by AsyncAPI.
    AsyncApi,
    /// Tools, by the server that has them.
    Tools,
    /// An agent, by its card.
    Card,
    /// An image of containers, by what the engine says of it.
    Image,
}

/// A description that has to be fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// What it describes.
    pub kind: Kind,
    /// Where it is; absolute, `http` or `https`. Or a program as [`model::call::ToolProgram::uri`] writes it, or an image.
    pub uri: String,
    /// How to prove who we are.
    pub authentication: Option<Authentication>,
}

/// A description that can be used. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Description {
    /// An API, by OpenAPI.
    OpenApi(Arc<openapi::Document>),
    /// gRPC services.
    Proto(Arc<grpc::Proto>),
    /// Messages.
    AsyncApi(Arc<asyncapi::Document>),
    /// Tools.
    Tools(Arc<mcp::Tools>),
    /// An agent.
    Card(Arc<mcp::Card>),
    /// An image, which is there; the digest of what the engine said.
    Image(Digest),
}

impl Kind {
    /// The name under which a description is pinned. Those of APIs are pinned by their address alone.
    pub fn key(self, uri: &str) -> String {
        match self {
            Self::OpenApi => uri.to_owned(),
            Self::Proto => format!("proto {uri}"),
            Self::AsyncApi => format!("asyncapi {uri}"),
            Self::Tools => format!("tools {uri}"),
            Self::Card => format!("card {uri}"),
            Self::Image => format!("image {uri}"),
        }
    }

    /// The kind and the address of [`Kind::key`].
    pub fn of_key(key: &str) -> (Self, &str) {
        match key.split_once(' ') {
            Some(("proto", uri)) => (Self::Proto, uri),
            Some(("asyncapi", uri)) => (Self::AsyncApi, uri),
            Some(("tools", uri)) => (Self::Tools, uri),
            Some(("card", uri)) => (Self::Card, uri),
            Some(("image", uri)) => (Self::Image, uri),
            _ => (Self::OpenApi, key),
        }
    }
}

impl Kind {
    /// What such a description must be.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::OpenApi => {
                "it must be an OpenAPI description (2.0, 3.0, 3.1) on a host that `egress.allow` names"
            }
            Self::Tools => "it must speak MCP over HTTP, on a host that `egress.allow` names",
            Self::Card => "it must be the card of an agent, on a host that `egress.allow` names",
            Self::Image => {
                "configure `containers.engine`, and load the image by its digest before: nothing is pulled"
            }
            Self::AsyncApi => {
                "it must be an AsyncAPI description (2.x, 3.0) on a host that `egress.allow` names"
            }
            Self::Proto => {
                "it must be one `.proto` that holds everything, on a host that `egress.allow` names"
            }
        }
    }
}

impl Description {
    /// Reads the text that was fetched at `uri`; the error says what is wrong with it.
    pub fn read(kind: Kind, uri: &str, text: &str) -> Result<Self, String> {
        match kind {
            Kind::OpenApi => openapi::Document::read(uri, text)
                .map(|document| Self::OpenApi(Arc::new(document)))
                .map_err(|why| why.to_string()),
            Kind::Tools => mcp::Tools::read(text).map(|tools| Self::Tools(Arc::new(tools))),
            Kind::Card => mcp::Card::read(uri, text).map(|card| Self::Card(Arc::new(card))),
            Kind::AsyncApi => {
                asyncapi::Document::read(text).map(|document| Self::AsyncApi(Arc::new(document)))
            }
            Kind::Proto => grpc::Proto::read(text).map(|proto| Self::Proto(Arc::new(proto))),
            Kind::Image => Ok(Self::Image(Digest::of(text.as_bytes()))),
        }
    }

    /// Digest of its text.
    pub fn digest(&self) -> Digest {
        match self {
            Self::OpenApi(document) => document.digest,
            Self::Proto(proto) => proto.digest,
            Self::AsyncApi(document) => document.digest,
            Self::Tools(tools) => tools.digest,
            Self::Card(card) => card.digest,
            Self::Image(digest) => *digest,
        }
    }
}
