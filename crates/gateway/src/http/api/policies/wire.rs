//! Policies on the wire.

use std::collections::BTreeMap;

use app::view::{PolicyTestView, PolicyView, RulingView, ShadowView};
use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::wire::moment;

/// How a shadow is called everywhere.
pub(super) const SHADOW: &str = "shadow (does not enforce)";

/// A policy bundle.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Policy {
    /// Its name; `default` comes with the product.
    name: String,
    /// Rises with every change.
    version: u64,
    /// `in force`, or `shadow (does not enforce)`.
    mode: &'static str,
    /// Digest of its modules; also the `ETag`.
    digest: String,
    /// File name to Rego text.
    modules: BTreeMap<String, String>,
    /// Who put it.
    by: String,
    /// When.
    at: String,
}

impl From<PolicyView> for Policy {
    fn from(view: PolicyView) -> Self {
        Self {
            name: view.name,
            version: view.version,
            mode: "in force",
            digest: view.digest.to_string(),
            modules: view.modules,
            by: view.by,
            at: moment(view.at),
        }
    }
}

impl From<ShadowView> for Policy {
    fn from(view: ShadowView) -> Self {
        Self {
            name: view.name,
            version: view.version,
            mode: SHADOW,
            digest: view.digest,
            modules: view.modules,
            by: view.by,
            at: moment(view.at),
        }
    }
}

impl Policy {
    /// The answer with its `ETag`.
    pub(crate) fn tagged(self) -> Response {
        let tag = format!("\"{}\"", self.digest);
        ([(header::ETAG, tag)], Json(self)).into_response()
    }
}

/// What a policy says about an input.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ruling {
    /// `allow`, `deny` or `require-approval`.
    decision: String,
    /// Approvals needed.
    approvers: u32,
    /// Who may approve.
    roles: Vec<String>,
    /// Why.
    reasons: Vec<String>,
    /// Digest of the policy set.
    policy: String,
}

impl From<RulingView> for Ruling {
    fn from(view: RulingView) -> Self {
        Self {
            decision: view.decision,
            approvers: view.approvers,
            roles: view.roles,
            reasons: view.reasons,
            policy: view.policy.to_string(),
        }
    }
}

/// The result of one `test_*` rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyTest {
    /// Package and rule.
    name: String,
    /// Whether it held.
    passed: bool,
    /// What went wrong, when something did.
    message: Option<String>,
}

impl From<PolicyTestView> for PolicyTest {
    fn from(view: PolicyTestView) -> Self {
        Self { name: view.name, passed: view.passed, message: view.message }
    }
}
