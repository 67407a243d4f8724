//! Plans: what a goal would do, kept under a digest, approved by people, and held to when it runs.

mod decide;
mod held;
mod redeem;
mod shelf;

pub(crate) use held::{Held, held};

use std::collections::BTreeSet;

use model::approval::Vote;
use model::control::{ControlName, Controls};
use model::principal::{PrincipalKind, Role};
use model::verdict::Quorum;
use model::{Digest, ExecutionId, Label, PrincipalId, Problem, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Put;

use crate::permit::operators;
use crate::view::{Cost, NotReached, PlanUse, PlannedEffect, WorkflowName};

/// Documents of plans, by digest.
pub(crate) const PLAN: &str = "plan";
/// The digests of plans by time, newest first.
pub(crate) const PLAN_BY_TIME: &str = "plan-by-time";
/// Largest plan, in bytes of JSON.
const PLAN_BYTES_MAX: usize = 1 << 20;
/// The shape of a plan's content.
const FORMAT: u32 = 1;

/// Everything that a plan's digest covers, and that people approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlanContent {
    pub(crate) format: u32,
    pub(crate) tenant: TenantId,
    /// The id of the execution that the plan was made for: expressions may show it.
    pub(crate) execution: ExecutionId,
    pub(crate) workflow: WorkflowName,
    pub(crate) title: Option<String>,
    pub(crate) definition: Digest,
    pub(crate) input: serde_json::Value,
    pub(crate) input_label: Label,
    pub(crate) intent: Option<String>,
    pub(crate) requester: PrincipalId,
    pub(crate) requester_kind: PrincipalKind,
    pub(crate) requester_roles: BTreeSet<Role>,
    /// Digest of the policies that judged it.
    pub(crate) policy: Digest,
    /// Digest of the controls that were in force.
    pub(crate) controls: Digest,
    pub(crate) made_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// How many executions it is good for.
    pub(crate) uses: u32,
    pub(crate) effects: Vec<PlannedEffect>,
    pub(crate) not_reached: Vec<NotReached>,
    /// Tasks whose way was chosen by an answer that nobody has yet.
    pub(crate) guessed: Vec<String>,
    pub(crate) costs: Vec<Cost>,
    pub(crate) note: Option<String>,
}

/// Where a plan stands. That it has expired or is used up follows from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PlanStatus {
    /// Waits for people.
    Open,
    /// Enough people approved it.
    Signed,
    /// Somebody said no.
    Rejected,
}

/// A plan as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredPlan {
    pub(crate) content: PlanContent,
    pub(crate) status: PlanStatus,
    pub(crate) votes: Vec<Vote>,
    pub(crate) decided_at: Option<Timestamp>,
    pub(crate) seal: Option<audit::PlanSeal>,
    pub(crate) used_by: Vec<PlanUse>,
}

impl StoredPlan {
    /// A plan that nobody has decided.
    pub(crate) fn open(content: PlanContent) -> Result<Self, Problem> {
        let bytes = serde_json::to_vec(&content).map_err(Problem::machine)?.len();
        if bytes > PLAN_BYTES_MAX {
            let detail = format!(
                "the plan has {bytes} bytes, and {PLAN_BYTES_MAX} are the most that people can be asked to sign; run the workflow in parts"
            );
            return Err(Problem::new(422, 3051, "plan too large", detail));
        }
        Ok(Self {
            content,
            status: PlanStatus::Open,
            votes: Vec::new(),
            decided_at: None,
            seal: None,
            used_by: Vec::new(),
        })
    }

    /// Its name: binds everything that people approve.
    pub(crate) fn digest(&self) -> Digest {
        model::digest_of(&self.content)
    }

    /// What executions of it show as their plan.
    pub(crate) fn binding(&self) -> Digest {
        let input = model::Value::from_json(&self.content.input, self.content.input_label);
        model::digest_of(&(self.content.definition, &input))
    }

    /// The word that the API shows.
    pub(crate) fn status_word(&self, now: Timestamp) -> &'static str {
        match self.status {
            PlanStatus::Rejected => "rejected",
            _ if self.used_by.len() >= self.content.uses as usize => "used",
            _ if self.content.expires_at <= now => "expired",
            PlanStatus::Signed => "signed",
            PlanStatus::Open => "open",
        }
    }

    /// Every group of people that has to agree. The same vote may count in several.
    pub(crate) fn quorums(&self) -> Vec<Quorum> {
        let mut all: Vec<Quorum> = Vec::new();
        for effect in self.content.effects.iter().filter(|effect| effect.approvals > 0) {
            let quorum = Quorum { approvers: effect.approvals, roles: effect.roles.clone() };
            if !all.contains(&quorum) {
                all.push(quorum);
            }
        }
        if all.is_empty() {
            all.push(operators());
        }
        all
    }

    pub(crate) fn put(&self, digest: &Digest) -> Result<Put, Problem> {
        Ok(Put::Document {
            tenant: self.content.tenant.clone(),
            kind: PLAN.to_owned(),
            key: digest.to_string(),
            document: serde_json::to_value(self).map_err(Problem::machine)?,
        })
    }
}

/// The format that this version writes and reads.
pub(crate) fn format() -> u32 {
    FORMAT
}

/// What the controls say about a tenant's effects; who set them, why and when does not count.
pub(crate) fn controls_digest(controls: &Controls, tenant: &TenantId) -> Digest {
    let shown =
        |control: &model::control::Control| json!({ "on": control.on, "operations": control.operations });
    // A control that is off, or was never set, is the same thing.
    let global: Vec<_> = ControlName::ALL
        .into_iter()
        .filter_map(|name| controls.global.get(&name).filter(|c| c.on).map(|c| (name.name(), shown(c))))
        .collect();
    let own = controls.tenants.get(tenant).filter(|control| control.on).map(shown);
    model::digest_of(&json!({ "global": global, "tenant": own }))
}
