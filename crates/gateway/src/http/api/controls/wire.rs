//! Controls on the wire.

use app::view::{ControlView, ControlsView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::wire::moment;

/// All controls.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Controls {
    /// Rises with every change of a control; permits of an older epoch are void.
    epoch: u64,
    /// The four.
    controls: Vec<Control>,
}

impl From<ControlsView> for Controls {
    fn from(view: ControlsView) -> Self {
        Self { epoch: view.epoch, controls: view.controls.into_iter().map(Control::from).collect() }
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
}

impl From<ControlView> for Control {
    fn from(view: ControlView) -> Self {
        Self {
            name: view.name,
            on: view.on,
            control: view.control.map(ControlState::from),
            tenant: view.tenant.map(ControlState::from),
            description: view.description,
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
