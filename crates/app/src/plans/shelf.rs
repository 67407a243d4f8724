//! Plans as they are kept: stored under their digest, found by time, and gone when nobody can use them any more.

use std::time::Duration;

use model::principal::Permission;
use model::{Digest, Problem, TenantId, Timestamp};
use serde_json::json;
use store::{Batch, Expect, Put};

use super::{PLAN, PLAN_BY_TIME, StoredPlan};
use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::record;
use crate::view::{PageOf, PlanView};

/// Plans are kept so long after they were made.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// Old plans that go with each new one, at the most.
const PURGED_MAX: u32 = 20;
/// Plans of one page at the most.
const PAGE_MAX: u32 = 100;

impl App {
    /// Keeps a new plan, and answers it.
    pub(crate) async fn keep_plan(&self, caller: &Caller, plan: StoredPlan) -> Result<PlanView, Problem> {
        let digest = plan.digest();
        let tenant = plan.content.tenant.clone();
        let now = plan.content.made_at;
        let details = json!({
            "workflow": plan.content.workflow, "effects": plan.content.effects.len(),
            "expires_at": plan.content.expires_at.to_rfc3339(),
        });
        let mut puts = self.old_plans(&tenant, now).await?;
        puts.push(plan.put(&digest)?);
        puts.push(Put::Document {
            tenant: tenant.clone(),
            kind: PLAN_BY_TIME.to_owned(),
            key: by_time(now, &digest.to_string()),
            document: json!({ "digest": digest }),
        });
        let record = record::by_caller(caller, now, "plan.made", format!("plans/{digest}"), details);
        self.commit_one(Batch {
            expect: vec![Expect::NoDocument(tenant.clone(), PLAN.to_owned(), digest.to_string())],
            puts,
            records: vec![record],
            ..Batch::default()
        })
        .await?;
        self.notify(&tenant, "plan", &digest.to_string(), 0);
        self.plan_view(caller, &plan).await
    }

    /// Removals of plans that were made too long ago.
    async fn old_plans(&self, tenant: &TenantId, now: Timestamp) -> Result<Vec<Put>, Problem> {
        let keep = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let from = by_time(Timestamp(now.0.saturating_sub(keep)), "");
        let old = self.store.documents(tenant, PLAN_BY_TIME, "", Some(&from), PURGED_MAX).await;
        let mut puts = Vec::new();
        for (key, document) in old.map_err(|e| store_problem(&e))? {
            let remove =
                |kind: &str, key: String| Put::Remove { tenant: tenant.clone(), kind: kind.to_owned(), key };
            if let Some(digest) = document["digest"].as_str() {
                puts.push(remove(PLAN, digest.to_owned()));
            }
            puts.push(remove(PLAN_BY_TIME, key));
        }
        Ok(puts)
    }

    /// One plan.
    pub async fn plan(&self, caller: &Caller, digest: &str) -> Result<PlanView, Problem> {
        caller.demand(Permission::Read)?;
        let plan = self.found_plan(&caller.principal.tenant, digest).await?;
        self.plan_view(caller, &plan).await
    }

    /// Plans, newest first.
    pub async fn plans(
        &self,
        caller: &Caller,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<PageOf<PlanView>, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let limit = limit.clamp(1, PAGE_MAX);
        if let Some(cursor) = cursor
            && (cursor.len() > 256
                || !cursor.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':')))
        {
            let detail = "`cursor` is not one that a page gave";
            return Err(Problem::new(400, 4002, "bad parameter", detail).field("cursor", detail));
        }
        let found = self.store.documents(tenant, PLAN_BY_TIME, "", cursor, limit + 1).await;
        let mut found = found.map_err(|e| store_problem(&e))?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = more.then(|| found.last().map(|(key, _)| key.clone())).flatten();
        let mut items = Vec::with_capacity(found.len());
        for (_, document) in found {
            let digest = document["digest"].as_str().unwrap_or_default();
            items.push(self.plan_view(caller, &self.found_plan(tenant, digest).await?).await?);
        }
        Ok(PageOf { items, next })
    }

    /// A plan by its digest, read and held against it: one that was changed in the store is refused.
    pub(crate) async fn found_plan(&self, tenant: &TenantId, digest: &str) -> Result<StoredPlan, Problem> {
        let unknown = || Problem::not_found("plan", &digest.chars().take(80).collect::<String>());
        let parsed = Digest::parse(digest).ok_or_else(unknown)?;
        let found =
            self.store.document(tenant, PLAN, &parsed.to_string()).await.map_err(|e| store_problem(&e))?;
        self.checked_plan(tenant, &parsed, found.ok_or_else(unknown)?)
    }

    /// Holds a stored document against the digest that it is kept under, and its approval against its seal.
    pub(crate) fn checked_plan(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        document: serde_json::Value,
    ) -> Result<StoredPlan, Problem> {
        let damaged = |why: &str| {
            let detail = format!("plan `{digest}` is not what was made or approved: {why}; make a new plan");
            Problem::new(409, 3048, "plan damaged", detail)
        };
        let plan: StoredPlan = serde_json::from_value(document).map_err(|_| damaged("it cannot be read"))?;
        if plan.digest() != *digest
            || plan.content.tenant != *tenant
            || plan.content.format != super::format()
        {
            return Err(damaged("its content has another digest"));
        }
        let voted: Vec<_> = plan.votes.iter().filter(|v| v.approve).map(|v| v.by.clone()).collect();
        let sealed = plan.seal.as_ref().is_some_and(|seal| {
            self.store.plan_key().accepts_seal(seal)
                && seal.digest == *digest
                && seal.tenant == *tenant
                && seal.approvers == voted
        });
        if plan.status == super::PlanStatus::Signed && !sealed {
            return Err(damaged("its seal does not hold"));
        }
        Ok(plan)
    }
}

/// The newest comes first in the order of keys.
fn by_time(at: Timestamp, digest: &str) -> String {
    format!("{:016x}-{digest}", u64::MAX - at.0.max(0).unsigned_abs())
}
