//! Limits on the wire.

use app::limits::{BucketView, LimitView, OnExcess, Scope as AppScope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::wire::{duration, moment};

/// A limit, and what it holds at this moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Limit {
    /// Its name.
    name: String,
    /// The tenant whose limit it is: another one than yours when the platform set it.
    owner: String,
    /// On what.
    scope: LimitScope,
    /// `executions` or `effects`.
    of: &'static str,
    /// So many at once.
    concurrency: Option<u32>,
    /// So many in any period.
    rate: Option<LimitRate>,
    /// `queue` or `refuse`.
    on_excess: &'static str,
    /// Turns in a row of the tenant, beside others.
    weight: Option<u32>,
    /// False while what runs already is still counted: nothing more begins under it until then.
    in_force: bool,
    /// Places taken.
    under_way: u64,
    /// In line.
    waiting: u64,
    /// The busiest tenants, workflows, actions or keys.
    buckets: Vec<LimitBucket>,
    /// Why it was set.
    reason: String,
    /// By whom.
    by: String,
    /// When.
    at: String,
}

/// On what a limit is set; one member.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct LimitScope {
    /// A tenant, or `*` for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// A workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    /// An operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Each key of a workflow, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// So many in any period of a length.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitRate {
    /// How many.
    count: u32,
    /// ISO 8601 duration.
    per: String,
}

/// What is counted apart under a limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitBucket {
    /// Tenant, workflow, action or key.
    of: String,
    /// Places taken.
    under_way: u64,
    /// In line.
    waiting: u64,
}

impl From<LimitView> for Limit {
    fn from(view: LimitView) -> Self {
        let limit = view.limit;
        Self {
            name: limit.name,
            owner: limit.owner.to_string(),
            scope: match limit.scope {
                AppScope::Tenant(name) => LimitScope { tenant: Some(name), ..LimitScope::default() },
                AppScope::Workflow(name) => LimitScope { workflow: Some(name), ..LimitScope::default() },
                AppScope::Action(name) => LimitScope { action: Some(name), ..LimitScope::default() },
                AppScope::Key(name) => LimitScope { key: Some(name), ..LimitScope::default() },
            },
            of: limit.of.name(),
            concurrency: limit.concurrency,
            rate: limit.rate.map(|rate| LimitRate { count: rate.count, per: duration(rate.per_ms) }),
            on_excess: match limit.on_excess {
                OnExcess::Queue => "queue",
                OnExcess::Refuse => "refuse",
            },
            weight: limit.weight,
            in_force: view.in_force,
            under_way: view.under_way,
            waiting: view.waiting,
            buckets: view.buckets.into_iter().map(LimitBucket::from).collect(),
            reason: limit.reason,
            by: limit.by.to_string(),
            at: moment(limit.at),
        }
    }
}

impl From<BucketView> for LimitBucket {
    fn from(view: BucketView) -> Self {
        Self { of: view.of, under_way: view.under_way, waiting: view.waiting }
    }
}
