//! The four controls with which operators stop, watch, take over and narrow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{PrincipalId, TenantId};
use crate::sabotage::{self, Bug};
use crate::stop::{Scope, Stop, Subject, key};
use crate::time::Timestamp;

/// Fences of lifted and standing stops that are kept apart; with more, all older permits are void.
const FENCES_MAX: usize = 256;

/// The names of the controls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlName {
    /// While on: no new work, no new effect.
    KillSwitch,
    /// While on: reads only, the rest is predicted.
    SafeMode,
    /// While on: every effect waits for a human.
    Takeover,
    /// While on: only listed operations.
    AllowList,
}

impl ControlName {
    /// Every control.
    pub const ALL: [ControlName; 4] = [Self::KillSwitch, Self::SafeMode, Self::Takeover, Self::AllowList];

    /// The name in paths: `kill-switch`, `safe-mode`, `takeover`, `allow-list`.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillSwitch => "kill-switch",
            Self::SafeMode => "safe-mode",
            Self::Takeover => "takeover",
            Self::AllowList => "allow-list",
        }
    }

    /// The control by its name; the environment's names are understood too.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name || c.variable().eq_ignore_ascii_case(name))
    }

    /// The environment variable that sets it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::KillSwitch => "OMNIHUB_KILL_SWITCH",
            Self::SafeMode => "EXECUTION_SAFE_MODE",
            Self::Takeover => "OPERATOR_TAKEOVER",
            Self::AllowList => "ALLOWED_OPERATIONS",
        }
    }
}

/// The state of one control. Stored as one document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Control {
    /// In force or not.
    pub on: bool,
    /// For the allow-list: operation names, `*` at the end matches any rest.
    #[serde(default)]
    pub operations: Vec<String>,
    /// Why it was set.
    pub reason: String,
    /// Who set it.
    pub by: PrincipalId,
    /// When.
    pub at: Timestamp,
    /// True when the environment holds it: the API cannot turn it off.
    #[serde(default)]
    pub from_environment: bool,
}

/// All controls as one snapshot: what every effect is checked against.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Controls {
    /// Rises with every change of a control; permits carry it, and those of an older epoch are void.
    pub epoch: u64,
    /// The platform's controls.
    pub global: BTreeMap<ControlName, Control>,
    /// Allow-lists of tenants.
    pub tenants: BTreeMap<TenantId, Control>,
    /// Stops that stand, besides the kill switch itself, by [`Stop::key`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stops: BTreeMap<String, Stop>,
    /// Permits of an older epoch are void. Permits do not outlive the process, so this is not stored.
    #[serde(skip)]
    fence: u64,
    /// As `fence`, for what a stop concerns or concerned.
    #[serde(skip)]
    fences: BTreeMap<String, Fence>,
}

/// Since which epoch permits for a part of the house hold.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Fence {
    stop: Stop,
    epoch: u64,
}

impl Controls {
    /// True when the control is in force.
    pub fn on(&self, name: ControlName) -> bool {
        self.global.get(&name).is_some_and(|control| control.on)
    }

    /// Raises the epoch for everybody: every permit that was not used is void.
    pub fn raise(&mut self) {
        self.epoch += 1;
        self.fence = self.epoch;
        self.fences.clear();
    }

    /// Raises the epoch for what the stop concerns: other permits stay good.
    pub fn raise_for(&mut self, stop: &Stop) {
        self.epoch += 1;
        if self.fences.len() >= FENCES_MAX && !self.fences.contains_key(&stop.key()) {
            self.fence = self.epoch;
            self.fences.clear();
            return;
        }
        self.fences.insert(stop.key(), Fence { stop: stop.clone(), epoch: self.epoch });
    }

    /// True when a permit of this epoch is still good for the subject.
    pub fn honours(&self, epoch: u64, subject: &Subject<'_>) -> bool {
        epoch >= self.fence
            && self.fences.values().all(|fence| epoch >= fence.epoch || !fence.stop.covers(subject))
    }

    /// The control that holds the subject, as `blocked_on` says it: `kill-switch`, or `kill-switch:` and the stop.
    pub fn stopped(&self, subject: &Subject<'_>) -> Option<String> {
        if self.on(ControlName::KillSwitch) {
            return Some(ControlName::KillSwitch.name().to_owned());
        }
        let stop = self.stops.values().find(|stop| stop.covers(subject))?;
        Some(format!("{}:{}", ControlName::KillSwitch.name(), stop.key()))
    }

    /// True when what holds (see [`Controls::stopped`]) still stands.
    pub fn stands(&self, holds: &str) -> bool {
        match holds.strip_prefix(ControlName::KillSwitch.name()).map(|rest| rest.strip_prefix(':')) {
            Some(Some(stop)) => self.on(ControlName::KillSwitch) || self.stops.contains_key(stop),
            Some(None) => self.on(ControlName::KillSwitch),
            None => false,
        }
    }

    /// The stop that stands for a scope in a tenant.
    pub fn stop(&self, scope: &Scope, tenant: Option<&TenantId>) -> Option<&Stop> {
        self.stops.get(&key(scope, tenant))
    }

    /// True when every allow-list in force names `operation`.
    pub fn allows(&self, tenant: &TenantId, operation: &str) -> bool {
        let listed = |control: &Control| {
            !control.on || control.operations.iter().any(|o| operation_matches(o, operation))
        };
        self.global.get(&ControlName::AllowList).is_none_or(listed)
            && self.tenants.get(tenant).is_none_or(listed)
    }
}

/// `refund-create` matches every version of it; `refund-*` matches by its beginning.
pub(crate) fn operation_matches(pattern: &str, operation: &str) -> bool {
    if sabotage::is(Bug::AllowTooWide) {
        return operation.starts_with(pattern.trim_end_matches('*'));
    }
    match pattern.strip_suffix('*') {
        Some(beginning) => operation.starts_with(beginning),
        None => {
            operation == pattern || operation.strip_prefix(pattern).is_some_and(|rest| rest.starts_with(':'))
        }
    }
}
