//! Who acts, and what each role may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{PrincipalId, TenantId};
use crate::value::Label;

/// What sort of actor a principal is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program that acts for people, by fixed rules.
    Service,
    /// A program that decides by a model. What it says is untrusted.
    Agent,
    /// OmniHub itself.
    System,
}

/// One of the five roles. Everything that no role grants is denied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads executions, workflows and actions.
    Viewer,
    /// Publishes workflows and submits goals.
    Developer,
    /// Decides approvals, sets controls, acts on executions, redrives dead letters.
    Operator,
    /// Reads the audit log and everything else, changes nothing.
    Compliance,
    /// Everything, also tenants, tokens, actions, policies and secrets.
    Admin,
}

/// One thing that may be done. Each API operation needs exactly one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// See executions, workflows, actions, policies, controls, approvals, dead letters.
    Read,
    /// Submit a goal, or signal an execution.
    SubmitGoal,
    /// Publish a workflow version.
    PublishWorkflow,
    /// Publish an action and its contract.
    PublishAction,
    /// Change a policy.
    ChangePolicy,
    /// Cancel, pause, resume, retry an execution.
    OperateExecution,
    /// Decide an approval.
    DecideApproval,
    /// Set one of the four controls.
    SetControl,
    /// Put parked work back to work.
    Redrive,
    /// Read the audit log, its heads, proofs and exports.
    ReadAudit,
    /// Manage tokens, tenants and secrets.
    Administer,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Role; 5] = [Role::Viewer, Role::Developer, Role::Operator, Role::Compliance, Role::Admin];

    /// True when this role grants `permission`.
    pub fn grants(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Role::Viewer => matches!(permission, P::Read),
            Role::Developer => matches!(permission, P::Read | P::SubmitGoal | P::PublishWorkflow),
            Role::Operator => matches!(
                permission,
                P::Read
                    | P::SubmitGoal
                    | P::OperateExecution
                    | P::DecideApproval
                    | P::SetControl
                    | P::Redrive
            ),
            Role::Compliance => matches!(permission, P::Read | P::ReadAudit),
            Role::Admin => true,
        }
    }

    /// The role by its name.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The role's name, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Developer => "developer",
            Role::Operator => "operator",
            Role::Compliance => "compliance",
            Role::Admin => "admin",
        }
    }
}

/// An authenticated actor in a tenant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Principal {
    /// The actor's name, unique in the tenant, for example `user:alice`.
    pub id: PrincipalId,
    /// The tenant whose things the actor may see.
    pub tenant: TenantId,
    /// What sort of actor.
    pub kind: PrincipalKind,
    /// What the actor may do.
    pub roles: BTreeSet<Role>,
}

impl Principal {
    /// True when some role of the principal grants `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.roles.iter().any(|role| role.grants(permission))
    }

    /// The label of structured input given by this principal.
    pub fn label(&self) -> Label {
        match self.kind {
            PrincipalKind::Agent => Label::MODEL,
            PrincipalKind::User | PrincipalKind::Service | PrincipalKind::System => Label::CALLER,
        }
    }
}
