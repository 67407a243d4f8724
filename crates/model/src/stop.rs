//! Stops: the kill switch, narrowed to what it concerns.

use serde::{Deserialize, Serialize};

use crate::control::operation_matches;
use crate::id::{PrincipalId, TenantId};
use crate::time::Timestamp;

/// What a stop concerns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything.
    Global,
    /// Everything of one tenant.
    Tenant(TenantId),
    /// Executions of a workflow: `namespace/name`, or `namespace/name:version`.
    Workflow(String),
    /// Effects of an operation, as in the allow-list: `refund-create`, `refund-create:1.0.0`, `refund-*`.
    Action(String),
    /// Effects on a host (`api.example.com`, every port), on `host:port`, on `*.example.com`, or on `sandbox`.
    Target(String),
    /// Everything that a principal asked for.
    Principal(PrincipalId),
}

impl Scope {
    /// The sort of scope: `global`, `tenant`, `workflow`, `action`, `target` or `principal`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Tenant(_) => "tenant",
            Self::Workflow(_) => "workflow",
            Self::Action(_) => "action",
            Self::Target(_) => "target",
            Self::Principal(_) => "principal",
        }
    }

    /// The name it carries; empty for everything.
    pub fn name(&self) -> &str {
        match self {
            Self::Global => "",
            Self::Tenant(id) => id.as_str(),
            Self::Principal(id) => id.as_str(),
            Self::Workflow(name) | Self::Action(name) | Self::Target(name) => name,
        }
    }

    fn covers(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Global => true,
            Self::Tenant(tenant) => tenant == subject.tenant,
            Self::Principal(principal) => principal == subject.requester,
            Self::Workflow(name) => {
                name == subject.workflow
                    || name.strip_prefix(subject.workflow).and_then(|rest| rest.strip_prefix(':'))
                        == Some(subject.version)
            }
            Self::Action(pattern) => {
                subject.operation.is_some_and(|operation| operation_matches(pattern, operation))
            }
            Self::Target(pattern) => subject.target.is_some_and(|target| target_matches(pattern, target)),
        }
    }
}

/// What becomes of effects that are on the wire when a stop begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Running {
    /// They may end.
    #[default]
    Finish,
    /// Their connections are cut and their programs are killed.
    Cancel,
}

/// A part of the house in which nothing starts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stop {
    /// What it concerns.
    pub scope: Scope,
    /// In which tenant; none in all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: PrincipalId,
    /// Since when.
    pub at: Timestamp,
    /// The epoch that it began with.
    pub epoch: u64,
    /// The report of what it stopped.
    pub report: String,
}

impl Stop {
    /// The name by which it stands among others: `workflow:shop/refund`, with `@tenant` when it is of one tenant.
    pub fn key(&self) -> String {
        key(&self.scope, self.tenant.as_ref())
    }

    /// True when it concerns the subject.
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| tenant == subject.tenant) && self.scope.covers(subject)
    }
}

/// The name of a scope in a tenant, or in all.
pub fn key(scope: &Scope, tenant: Option<&TenantId>) -> String {
    match (scope, tenant) {
        (Scope::Global, _) => "global".to_owned(),
        (Scope::Tenant(id), _) => format!("tenant:{id}"),
        (_, None) => format!("{}:{}", scope.kind(), scope.name()),
        (_, Some(tenant)) => format!("{}:{}@{tenant}", scope.kind(), scope.name()),
    }
}

/// What is about to start.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Whose.
    pub tenant: &'a TenantId,
    /// `namespace/name` of the workflow.
    pub workflow: &'a str,
    /// The workflow's version.
    pub version: &'a str,
    /// Who asked for the execution.
    pub requester: &'a PrincipalId,
    /// The operation, when an effect is about to start.
    pub operation: Option<&'a str>,
    /// `host:port` or `sandbox`, when an effect is about to start.
    pub target: Option<&'a str>,
}

fn target_matches(pattern: &str, target: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let target = target.to_ascii_lowercase();
    // A port never holds a colon or a bracket, so `[::1]` alone is a host.
    let host = match target.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => target.as_str(),
    };
    match pattern.strip_prefix('*') {
        Some(end) if end.starts_with('.') => host.ends_with(end),
        _ => pattern == target || pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("a name")
    }

    #[test]
    fn a_scope_covers_what_it_names_and_nothing_else() {
        let (acme, alice) = (tenant("acme"), PrincipalId::new("user:alice").expect("a name"));
        let subject = Subject {
            tenant: &acme,
            workflow: "shop/refund",
            version: "1.2.0",
            requester: &alice,
            operation: Some("refund-create:1.0.0"),
            target: Some("API.example.com:443"),
        };
        let bare = Subject { operation: None, target: None, ..subject };
        let (workflow, action, target) = (
            |s: &str| Scope::Workflow(s.into()),
            |s: &str| Scope::Action(s.into()),
            |s: &str| Scope::Target(s.into()),
        );
        for (scope, effect, start) in [
            (Scope::Global, true, true),
            (Scope::Tenant(acme.clone()), true, true),
            (Scope::Tenant(tenant("acm")), false, false),
            (Scope::Principal(alice.clone()), true, true),
            (workflow("shop/refund"), true, true),
            (workflow("shop/refund:1.2.0"), true, true),
            (workflow("shop/refund:1.2"), false, false),
            (workflow("shop/ref"), false, false),
            (action("refund-create"), true, false),
            (action("refund-*"), true, false),
            (action("refund-create:2.0.0"), false, false),
            (target("api.example.com"), true, false),
            (target("api.example.com:443"), true, false),
            (target("api.example.com:80"), false, false),
            (target("*.example.com"), true, false),
            (target("*.ample.com"), false, false),
            (target("sandbox"), false, false),
        ] {
            assert_eq!((scope.covers(&subject), scope.covers(&bare)), (effect, start), "{scope:?}");
        }
    }

    #[test]
    fn a_stop_of_one_tenant_leaves_the_others_alone() {
        let (acme, other) = (tenant("acme"), tenant("other"));
        let alice = PrincipalId::new("user:alice").expect("a name");
        let stop = Stop {
            scope: Scope::Principal(alice.clone()),
            tenant: Some(acme.clone()),
            reason: String::new(),
            by: alice.clone(),
            at: Timestamp(0),
            epoch: 1,
            report: String::new(),
        };
        let subject = |tenant| Subject {
            tenant,
            workflow: "a/b",
            version: "1",
            requester: &alice,
            operation: None,
            target: None,
        };
        assert!(stop.covers(&subject(&acme)) && !stop.covers(&subject(&other)));
        assert_eq!(stop.key(), "principal:user:alice@acme");
        let json = serde_json::to_value(&stop.scope).expect("json");
        assert_eq!(json, serde_json::json!({"principal": "user:alice"}));
    }

    #[test]
    fn addresses_of_version_six_are_hosts() {
        assert!(target_matches("[::1]", "[::1]:80") && target_matches("[::1]:80", "[::1]:80"));
        assert!(!target_matches("[::2]", "[::1]:80"));
    }
}
