//! Controls on the wire.

use app::view::{ControlView, ControlsView, SignedReport as AppReport, StopView};
use model::stop::Scope;
use model::{PrincipalId, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::wire::moment;

/// All controls.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Controls {
    /// Rises with every change of a control; permits of an older epoch are void.
    epoch: u64,
    /// The four.
    controls: Vec<Control>,
    /// The kill switch in parts: stops that stand, as far as they concern the caller's tenant.
    stops: Vec<Stop>,
}

/// A stop that stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "workflow:shop/refund", "scope": {"workflow": "shop/refund"}, "tenant": null, "reason": "refunds look wrong",
    "by": "user:bob", "at": "2026-11-20T12:00:00.000Z", "epoch": 7, "report": "01936b2a-7c3d-7000-8000-000000000000"}))]
pub(crate) struct Stop {
    /// Its name among the others, as `blocked_on` says it behind `control:kill-switch:`.
    id: String,
    /// What is stopped.
    scope: PartScope,
    /// In which tenant; null in all of them.
    tenant: Option<String>,
    /// Why.
    reason: String,
    /// Who.
    by: String,
    /// Since when.
    at: String,
    /// The epoch that it began with.
    epoch: u64,
    /// Its report: `GET /controls/reports/{id}`.
    report: String,
}

impl From<StopView> for Stop {
    fn from(view: StopView) -> Self {
        let stop = view.stop;
        Self {
            id: view.id,
            scope: stop.scope.into(),
            tenant: stop.tenant.map(String::from),
            reason: stop.reason,
            by: stop.by.to_string(),
            at: moment(stop.at),
            epoch: stop.epoch,
            report: stop.report,
        }
    }
}

/// A part of the house; exactly one member.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PartScope {
    /// Everything of one tenant.
    #[schema(value_type = String)]
    Tenant(TenantId),
    /// Executions of a workflow: `namespace/name`, or `namespace/name:version`.
    Workflow(String),
    /// Effects of an operation, as in the allow-list.
    Action(String),
    /// Effects on `host`, `host:port`, `*.domain` or `sandbox`.
    Target(String),
    /// Everything that a principal asked for.
    #[schema(value_type = String)]
    Principal(PrincipalId),
}

impl From<PartScope> for Scope {
    fn from(part: PartScope) -> Self {
        match part {
            PartScope::Tenant(id) => Self::Tenant(id),
            PartScope::Workflow(name) => Self::Workflow(name),
            PartScope::Action(name) => Self::Action(name),
            PartScope::Target(name) => Self::Target(name),
            PartScope::Principal(id) => Self::Principal(id),
        }
    }
}

impl From<Scope> for PartScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Tenant(id) => Self::Tenant(id),
            Scope::Workflow(name) => Self::Workflow(name),
            Scope::Action(name) => Self::Action(name),
            Scope::Principal(id) => Self::Principal(id),
            // The stop of everything is the control itself and stands in no list of parts.
            Scope::Global => Self::Target("*".to_owned()),
            Scope::Target(name) => Self::Target(name),
        }
    }
}

/// A report, and the signature over its canonical JSON (RFC 8785).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedReport {
    /// The report; `complete` once nothing that it names is on the wire.
    #[schema(value_type = Object)]
    report: serde_json::Value,
    /// Who signed it.
    seal: Seal,
}

/// An Ed25519 signature by the key that signs the audit log's heads.
#[derive(Debug, Serialize, ToSchema)]
struct Seal {
    /// What sort of document was signed.
    kind: String,
    /// Digest of the document's canonical JSON.
    digest: String,
    /// Which key: 16 hexadecimal digits.
    key_id: String,
    /// 128 hexadecimal digits.
    signature: String,
}

impl From<AppReport> for SignedReport {
    fn from(signed: AppReport) -> Self {
        let hex = signed.seal.signature.iter().map(|b| format!("{b:02x}")).collect();
        let seal = Seal {
            kind: signed.seal.kind,
            digest: signed.seal.digest.to_string(),
            key_id: signed.seal.key_id,
            signature: hex,
        };
        Self { report: signed.report, seal }
    }
}

impl From<ControlsView> for Controls {
    fn from(view: ControlsView) -> Self {
        Self {
            epoch: view.epoch,
            controls: view.controls.into_iter().map(Control::from).collect(),
            stops: view.stops.into_iter().map(Stop::from).collect(),
        }
    }
}

/// One control.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Control {
    /// `kill-switch`, `safe-mode`, `takeover` or `allow-list`.
    name: String,
    /// In force or not.
    on: bool,
    /// Its state; null when it was never set.
    control: Option<ControlState>,
    /// The tenant's own allow-list; only of `allow-list`.
    tenant: Option<ControlState>,
    /// What it does, in a sentence.
    description: String,
    /// What turning the kill switch on stopped; only in the answer to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<SignedReport>,
}

impl From<ControlView> for Control {
    fn from(view: ControlView) -> Self {
        Self {
            name: view.name,
            on: view.on,
            control: view.control.map(ControlState::from),
            tenant: view.tenant.map(ControlState::from),
            description: view.description,
            report: view.report.map(SignedReport::from),
        }
    }
}

/// How a control was set.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ControlState {
    /// In force or not.
    on: bool,
    /// The allow-list's operations; `*` at the end matches any rest.
    operations: Vec<String>,
    /// Why it was set.
    reason: String,
    /// Who set it.
    by: String,
    /// When.
    at: String,
    /// True when the environment holds it: it cannot be turned off here.
    from_environment: bool,
}

impl From<model::control::Control> for ControlState {
    fn from(control: model::control::Control) -> Self {
        Self {
            on: control.on,
            operations: control.operations,
            reason: control.reason,
            by: control.by.to_string(),
            at: moment(control.at),
            from_environment: control.from_environment,
        }
    }
}
