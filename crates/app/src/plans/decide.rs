//! Approving a plan signs it; one no ends it.

use std::sync::Arc;

use model::approval::Vote;
use model::principal::{Permission, PrincipalKind};
use model::problem::Code;
use model::{Digest, Problem, Timestamp};
use serde_json::json;
use store::{Batch, Expect};

use super::{PLAN, PlanStatus, StoredPlan, controls_digest};
use crate::app::App;
use crate::approvals::{may_decide, no_longer_enough, own_request, voted_before};
use crate::caller::Caller;
use crate::executions::checked_reason;
use crate::record;
use crate::runner::to_the_end;
use crate::standing::People;
use crate::view::PlanView;

impl App {
    /// Says yes to a plan. When enough people have, it is signed.
    pub async fn approve_plan(
        self: &Arc<Self>,
        caller: &Caller,
        digest: &str,
        reason: &str,
    ) -> Result<PlanView, Problem> {
        self.decide_plan(caller, digest, reason, true).await
    }

    /// Says no to a plan. One no is enough.
    pub async fn reject_plan(
        self: &Arc<Self>,
        caller: &Caller,
        digest: &str,
        reason: &str,
    ) -> Result<PlanView, Problem> {
        self.decide_plan(caller, digest, reason, false).await
    }

    async fn decide_plan(
        self: &Arc<Self>,
        caller: &Caller,
        digest: &str,
        reason: &str,
        yes: bool,
    ) -> Result<PlanView, Problem> {
        caller.demand(Permission::DecideApproval)?;
        let (app, caller) = (Arc::clone(self), caller.clone());
        let (digest, reason) = (digest.to_owned(), checked_reason(reason)?);
        to_the_end(async move { app.decide_plan_whole(&caller, &digest, reason, yes).await }).await
    }

    async fn decide_plan_whole(
        &self,
        caller: &Caller,
        digest: &str,
        reason: String,
        yes: bool,
    ) -> Result<PlanView, Problem> {
        let tenant = &caller.principal.tenant;
        let mut plan = self.found_plan(tenant, digest).await?;
        let digest = plan.digest();
        let before = model::digest_of(&plan);
        let people = self.people_of(tenant).await?;
        let now = self.clock.now();
        demand_open(&plan, &digest, now)?;
        if let Some(problem) = refusal(caller, &plan, &people) {
            return Err(problem);
        }
        if yes {
            self.demand_unchanged(&plan, &digest).await?;
            demand_no_denial(&plan)?;
        }
        plan.votes.push(Vote {
            by: caller.principal.id.clone(),
            approve: yes,
            reason: reason.clone(),
            at: now,
        });
        let enough = yes && missing(&plan, &people, now).is_empty();
        let action = match (yes, enough) {
            (false, _) => {
                plan.status = PlanStatus::Rejected;
                plan.decided_at = Some(now);
                "plan.rejected"
            }
            (true, false) => "plan.voted",
            (true, true) => {
                let by = plan.votes.iter().filter(|vote| vote.approve).map(|vote| vote.by.clone()).collect();
                plan.status = PlanStatus::Signed;
                plan.decided_at = Some(now);
                plan.seal = Some(self.store.seal_plan(tenant, digest, by, now));
                "plan.signed"
            }
        };
        let details = json!({
            "reason": guard::pii::redact(&reason), "votes": plan.votes.len(),
            "seal": plan.seal.as_ref().map(|seal| &seal.key_id),
        });
        let record = record::by_caller(caller, now, action, format!("plans/{digest}"), details);
        self.commit_one(Batch {
            // Of two decisions at once one finds the other's, and is told to look again.
            expect: vec![Expect::Document(tenant.clone(), PLAN.to_owned(), digest.to_string(), before)],
            puts: vec![plan.put(&digest)?],
            records: vec![record],
            ..Batch::default()
        })
        .await?;
        self.notify(tenant, "plan", &digest.to_string(), 0);
        self.plan_view(caller, &plan).await
    }

    /// Refuses a plan that was made under other policies, controls, or a definition that is not there any more.
    pub(crate) async fn demand_unchanged(&self, plan: &StoredPlan, digest: &Digest) -> Result<(), Problem> {
        let content = &plan.content;
        let void = |code: Code, what: &str| {
            let detail =
                format!("plan `{digest}` is void: {what} changed since it was made; make a new plan");
            Err(Problem::new(409, code.0, "plan void", detail))
        };
        let version = content.workflow.version.clone().unwrap_or_default();
        let workflow = &content.workflow;
        let definition =
            self.definition(&content.tenant, &workflow.namespace, &workflow.name, &version).await?;
        // The digest of a definition covers the actions that are pinned in it, contracts included.
        if definition.digest != content.definition {
            return void(Code(3045), "the workflow or a contract");
        }
        if self.policies_of(&content.tenant).await?.digest() != content.policy {
            return void(Code(3046), "a policy");
        }
        if controls_digest(&self.switches.now(), &content.tenant) != content.controls {
            return void(Code(3047), "a control");
        }
        Ok(())
    }

    /// A plan with what the caller may do about it.
    pub(crate) async fn plan_view(&self, caller: &Caller, plan: &StoredPlan) -> Result<PlanView, Problem> {
        let people = self.people_of(&plan.content.tenant).await?;
        let now = self.clock.now();
        let missing = missing(plan, &people, now);
        let open = plan.status_word(now) == "open";
        let content = plan.content.clone();
        Ok(PlanView {
            digest: plan.digest(),
            binding: plan.binding(),
            status: plan.status_word(now).to_owned(),
            execution: content.execution,
            workflow: content.workflow,
            title: content.title,
            input: content.input,
            intent: content.intent,
            requester: content.requester.to_string(),
            made_at: content.made_at,
            expires_at: content.expires_at,
            uses: content.uses,
            used_by: plan.used_by.clone(),
            quorums: plan.quorums(),
            missing: missing.into_iter().max().unwrap_or(0),
            votes: plan.votes.clone(),
            seal: plan.seal.clone(),
            refusal: if open { refusal(caller, plan, &people).map(|problem| problem.detail) } else { None },
            effects: content.effects,
            not_reached: content.not_reached,
            guessed: content.guessed,
            costs: content.costs,
            note: content.note,
        })
    }
}

/// Refuses to decide a plan that is decided, used or expired.
fn demand_open(plan: &StoredPlan, digest: &Digest, now: Timestamp) -> Result<(), Problem> {
    match plan.status_word(now) {
        "open" => Ok(()),
        "expired" => Err(expired(digest)),
        status => {
            let detail = format!("plan `{digest}` is {status}; it can no longer be decided");
            Err(Problem::new(409, 3041, "plan not open", detail))
        }
    }
}

pub(super) fn expired(digest: &Digest) -> Problem {
    Problem::new(409, 3043, "plan expired", format!("plan `{digest}` has expired; make a new plan"))
}

/// People can let an effect through that policy asks about, and none that it forbids.
fn demand_no_denial(plan: &StoredPlan) -> Result<(), Problem> {
    let denied: Vec<&str> = plan
        .content
        .effects
        .iter()
        .filter(|effect| effect.decision == "deny")
        .map(|effect| effect.operation.as_str())
        .collect();
    if denied.is_empty() {
        return Ok(());
    }
    let detail = format!("policy denies {}, and nobody can approve that; reject the plan", denied.join(", "));
    Err(Problem::new(409, 3049, "plan holds what is denied", detail))
}

/// How many votes each group of people still lacks; empty when all have enough.
pub(super) fn missing(plan: &StoredPlan, people: &People, now: Timestamp) -> Vec<u32> {
    let enough = |quorum: &model::verdict::Quorum| {
        no_longer_enough(people, &plan.votes, quorum, &plan.content.requester, now).is_none()
    };
    let lacking = |quorum: model::verdict::Quorum| {
        (1..=quorum.approvers).find(|fewer| {
            enough(&model::verdict::Quorum {
                approvers: quorum.approvers - fewer,
                roles: quorum.roles.clone(),
            })
        })
    };
    plan.quorums().into_iter().filter(|quorum| !enough(quorum)).filter_map(lacking).collect()
}

/// Why this caller may not decide this plan.
fn refusal(caller: &Caller, plan: &StoredPlan, people: &People) -> Option<Problem> {
    let me = &caller.principal;
    if let Some(problem) = own_request(people, &me.id, &plan.content.requester) {
        return Some(problem);
    }
    if let Some(problem) = voted_before(people, &me.id, &plan.votes) {
        return Some(problem);
    }
    if me.kind == PrincipalKind::Agent {
        let detail = "an agent decides by a model, and an approval is a person's word; ask a person";
        return Some(Problem::new(403, 4030, "not permitted", detail));
    }
    let quorums = plan.quorums();
    if !quorums.iter().any(|quorum| may_decide(&me.roles, quorum)) {
        let roles: Vec<String> = quorums.iter().map(|quorum| quorum.roles.join(" or ")).collect();
        let detail = format!("this plan is decided by the roles {}", roles.join("; "));
        return Some(Problem::new(403, 4030, "not permitted", detail));
    }
    None
}
