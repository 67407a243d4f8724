//! Limits: how much of a tenant, workflow, action or key may run at once and begin in a period.
//!
//! A limit is a document; it is in force as soon as it is acknowledged. An execution that has no place is refused, or
//! recorded as pending: it stands in line, durable, and begins when [`engine::Input::Release`] comes. An effect that has
//! no place is not permitted: its execution waits, and it is judged anew when there is room. What holds a place is not
//! stored: after a restart it is counted again from the executions themselves.

mod ledger;
mod limit;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::principal::Permission;
use model::{Problem, TenantId};
use parking_lot::Mutex;
use serde_json::json;
use store::{Batch, Put, Store};
use tokio::sync::Notify;

use crate::app::{App, store_problem, system_tenant};
use crate::caller::Caller;
use crate::executions::checked_reason;
use crate::record;
use ledger::{Id, Ledger};

pub use ledger::BucketView;
pub use limit::{Counted, Limit, NewLimit, OnExcess, Rate, Scope};

pub(crate) use work::Room;

const KIND: &str = "limit";
/// Limits of one tenant at the most.
const LIMITS_MAX: usize = 200;
/// Limits that are read at once.
const PAGE: u32 = 1000;
/// Buckets that a list shows of each limit.
const BUCKETS_SHOWN: usize = 20;

/// Every limit in force, with what it counts.
pub(crate) struct Limits {
    ledger: Mutex<Ledger>,
    /// True while there is anything to look at: the usual house has no limits and pays nothing for them.
    active: AtomicBool,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    /// Somebody may have room.
    changed: Notify,
}

/// A limit as it is shown.
#[derive(Debug, Clone)]
pub struct LimitView {
    /// The limit.
    pub limit: Limit,
    /// False while what it counts is still collected; it has no room then.
    pub in_force: bool,
    /// Places taken.
    pub under_way: u64,
    /// In line.
    pub waiting: u64,
    /// The busiest buckets.
    pub buckets: Vec<BucketView>,
}

impl Limits {
    /// Reads every limit; one that cannot be read stops the start, because it would not be in force.
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, Problem> {
        let mut ledger = Ledger::default();
        let mut after: Option<String> = None;
        loop {
            let page = store.documents(&system_tenant(), KIND, "", after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, document) in page {
                let limit: Limit = serde_json::from_value(document).map_err(|e| {
                    Problem::machine(format!("the limit `{key}` cannot be read, so nothing may start: {e}"))
                })?;
                ledger.put(limit);
            }
        }
        let active = AtomicBool::new(!ledger.is_idle());
        Ok(Self {
            ledger: Mutex::new(ledger),
            active,
            changing: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
        })
    }

    /// Turns in a row of a tenant, beside others.
    pub(crate) fn weight(&self, tenant: &TenantId) -> u32 {
        if self.active.load(Ordering::Acquire) { self.ledger.lock().weight(tenant) } else { 1 }
    }

    fn look_again(&self) {
        self.active.store(!self.ledger.lock().is_idle(), Ordering::Release);
        self.changed.notify_one();
    }
}

impl App {
    /// The limits that concern the caller's tenant: its own, and the platform's upon it. The platform sees all.
    #[expect(
        clippy::unused_async,
        reason = "every use case is awaited alike, whether or not it has to read the store today"
    )]
    pub async fn limits(&self, caller: &Caller) -> Result<Vec<LimitView>, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let platform = *tenant == system_tenant();
        let ledger = self.limits.ledger.lock();
        let concerns = |limit: &Limit| match &limit.scope {
            Scope::Tenant(named) => named == "*" || named == tenant.as_str(),
            Scope::Workflow(_) | Scope::Action(_) | Scope::Key(_) => false,
        };
        let shown =
            ledger.limits().filter(|(limit, _)| platform || limit.owner == *tenant || concerns(limit));
        Ok(shown
            .map(|(limit, in_force)| {
                let id = (limit.owner.clone(), limit.name.clone());
                // What others do under a limit of the platform is not the caller's to see.
                let own = platform || limit.owner == *tenant;
                let only = (!own).then_some(tenant.as_str());
                let (under_way, waiting, buckets) = ledger.usage(&id, only, BUCKETS_SHOWN);
                LimitView { limit: limit.clone(), in_force, under_way, waiting, buckets }
            })
            .collect())
    }

    /// One of the caller's limits.
    pub async fn limit(&self, caller: &Caller, name: &str) -> Result<LimitView, Problem> {
        let own = |view: &LimitView| view.limit.name == name && view.limit.owner == caller.principal.tenant;
        let all = self.limits(caller).await?;
        all.into_iter().find(own).ok_or_else(|| Problem::not_found("limit", &cut(name)))
    }

    /// Sets a limit. Acknowledged when it is durable and in force: what runs already is counted, and nothing more begins
    /// beyond it.
    pub async fn put_limit(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        asked: NewLimit,
    ) -> Result<LimitView, Problem> {
        caller.demand(Permission::Administer)?;
        let asked = NewLimit { reason: checked_reason(&asked.reason)?, ..asked };
        let tenant = &caller.principal.tenant;
        let platform = *tenant == system_tenant();
        let by = caller.principal.id.clone();
        let now = self.clock.now();
        let limit = Limit::new(tenant.clone(), name, asked, platform, by, now)?;
        if let (Scope::Tenant(named), true) = (&limit.scope, platform)
            && named != "*"
            && let Ok(named) = TenantId::new(named.as_str())
        {
            self.demand_tenant(&named).await?;
        }
        let (app, caller, limit_name) = (Arc::clone(self), caller.clone(), name.to_owned());
        crate::runner::to_the_end(async move { app.put_whole(&caller, limit).await }).await?;
        self.limit_of(tenant, &limit_name)
    }

    async fn put_whole(self: &Arc<Self>, caller: &Caller, limit: Limit) -> Result<(), Problem> {
        let _one_at_a_time = self.limits.changing.lock().await;
        let id: Id = (limit.owner.clone(), limit.name.clone());
        {
            let ledger = self.limits.ledger.lock();
            let others =
                ledger.limits().filter(|(other, _)| other.owner == id.0 && other.name != id.1).count();
            if others >= LIMITS_MAX {
                let detail = format!("a tenant has at most {LIMITS_MAX} limits: remove one first");
                return Err(Problem::new(422, 5062, "limit refused", detail.clone()).field("name", detail));
            }
        }
        let document = serde_json::to_value(&limit).map_err(Problem::machine)?;
        let details = json!({
            "scope": limit.scope, "of": limit.of, "concurrency": limit.concurrency, "rate": limit.rate,
            "on_excess": limit.on_excess, "weight": limit.weight, "reason": limit.reason,
        });
        let record =
            record::by_caller(caller, limit.at, "limit.set", format!("limits/{}", limit.name), details);
        let put = Put::Document { tenant: system_tenant(), kind: KIND.into(), key: key_of(&id), document };
        self.commit_one(Batch { puts: vec![put], records: vec![record], ..Batch::default() }).await?;
        let again = self.limits.ledger.lock().put(limit.clone());
        self.limits.look_again();
        self.count_what_runs(&[limit]).await;
        self.ask_again(again);
        self.notify(&id.0, "limit", &id.1, 0);
        Ok(())
    }

    /// Takes a limit out of force; what it held back goes on.
    pub async fn delete_limit(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        reason: &str,
    ) -> Result<(), Problem> {
        caller.demand(Permission::Administer)?;
        let reason = checked_reason(reason)?;
        self.limit(caller, name).await?;
        let (app, caller, name) = (Arc::clone(self), caller.clone(), name.to_owned());
        crate::runner::to_the_end(async move {
            let _one_at_a_time = app.limits.changing.lock().await;
            let id: Id = (caller.principal.tenant.clone(), name.clone());
            let record = record::by_caller(
                &caller,
                app.clock.now(),
                "limit.removed",
                format!("limits/{name}"),
                json!({ "reason": reason }),
            );
            let remove = Put::Remove { tenant: system_tenant(), kind: KIND.into(), key: key_of(&id) };
            app.commit_one(Batch { puts: vec![remove], records: vec![record], ..Batch::default() }).await?;
            let again = app.limits.ledger.lock().remove(&id);
            app.ask_again(again);
            app.limits.look_again();
            app.notify(&id.0, "limit", &id.1, 0);
            Ok(())
        })
        .await
    }

    fn limit_of(&self, tenant: &TenantId, name: &str) -> Result<LimitView, Problem> {
        let ledger = self.limits.ledger.lock();
        let own = ledger.limits().find(|(limit, _)| limit.owner == *tenant && limit.name == name);
        let (limit, in_force) = own.ok_or_else(|| Problem::not_found("limit", &cut(name)))?;
        let (under_way, waiting, buckets) =
            ledger.usage(&(tenant.clone(), name.to_owned()), None, BUCKETS_SHOWN);
        Ok(LimitView { limit: limit.clone(), in_force, under_way, waiting, buckets })
    }
}

/// All limits are documents of the platform, so that one read finds them at the start.
fn key_of(id: &Id) -> String {
    format!("{}/{}", id.0, id.1)
}

fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}
