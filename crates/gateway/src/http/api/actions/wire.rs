//! Actions on the wire.

use app::view::ActionView;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::wire::{Contract, moment};

/// A published action.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Action {
    /// `name:version`
    reference: String,
    /// Title.
    title: Option<String>,
    /// What it promises.
    contract: Contract,
    /// Digest of its document.
    digest: String,
    /// JSON Schema of the arguments.
    #[schema(value_type = Option<Object>)]
    input_schema: Option<Value>,
    /// Descriptions of APIs that it calls: address, and digest of the text that was pinned when it was published.
    apis: std::collections::BTreeMap<String, String>,
    /// Who published it.
    published_by: String,
    /// When.
    published_at: String,
    /// The text, as it was published.
    source: String,
}

impl From<ActionView> for Action {
    fn from(view: ActionView) -> Self {
        Self {
            reference: view.reference,
            title: view.title,
            contract: view.contract.into(),
            digest: view.digest.to_string(),
            input_schema: view.input_schema,
            apis: view.apis.into_iter().map(|(uri, digest)| (uri, digest.to_string())).collect(),
            published_by: view.published_by,
            published_at: moment(view.published_at),
            source: view.source,
        }
    }
}
