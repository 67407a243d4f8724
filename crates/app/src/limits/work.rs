//! Limits at work: asked before something begins, told when it ends, and letting in whoever waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::{Execution, Input, Phase};
use model::effect::EffectNumber;
use model::event::{EventBody, Started};
use model::{ExecutionId, Problem, TenantId};
use store::ExecutionQuery;

use super::Scope;
use super::ledger::Asked;
use super::limit::{Counted, Holder, Limit, Subject};
use crate::app::{App, store_problem, system_tenant};

/// Let in at once; the next ones follow.
const LET_IN_MAX: usize = 256;
/// Longest sleep: a clock that is set forward is noticed within this time.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// Pause after a failure of the store.
const PAUSE: Duration = Duration::from_millis(200);
/// Rows that are read at once when what runs is counted.
const PAGE: u32 = 500;

/// Who holds the place of an execution (0), or of its effect.
fn holder_of(started: &Started, effect: u32) -> Holder {
    (started.tenant.clone(), started.execution.clone(), effect)
}

fn subject_of(started: &Started, action: Option<&str>) -> Subject {
    Subject {
        tenant: started.tenant.clone(),
        workflow: format!("{}/{}", started.namespace, started.name),
        key: started.placing.key.clone(),
        action: action.map(str::to_owned),
    }
}

/// What the limits say to an effect that policy permits.
pub(crate) enum Room {
    /// It may be performed.
    Free,
    /// It waits for this limit.
    Wait(String),
    /// A limit refuses it, with the reason.
    Refused(String),
}

impl App {
    /// Asks for the place of a new execution. The limit that it has to wait for, or nothing when it may begin.
    pub(crate) fn place_for(&self, started: &Started) -> Result<Option<String>, Problem> {
        if !self.limits.active.load(Ordering::Acquire) {
            return Ok(None);
        }
        let now = self.clock.now().0;
        let asked = self.limits.ledger.lock().ask(&holder_of(started, 0), &subject_of(started, None), now);
        match asked {
            Asked::Free => Ok(None),
            Asked::Wait(limit) => Ok(Some(limit)),
            Asked::Refused { limit, retry_ms } => {
                let detail = format!("the limit `{limit}` has no place for it; try again in {retry_ms} ms");
                Err(Problem::new(429, 5060, "limit reached", detail)
                    .with("limit", limit.into())
                    .with("retry_after_ms", retry_ms.into()))
            }
            Asked::LineFull(limit) => {
                let detail = format!("the line before the limit `{limit}` is full; try again in a minute");
                Err(Problem::new(429, 5061, "line full", detail)
                    .with("limit", limit.into())
                    .with("retry_after_ms", 60_000.into()))
            }
        }
    }

    /// Gives back what was asked for something that was not recorded. When it may be there all the same (`taken`: somebody
    /// else's, or the store did not say), what runs under the id is counted anew.
    pub(crate) async fn give_back_place(self: &Arc<Self>, tenant: &TenantId, id: &ExecutionId, taken: bool) {
        if !self.limits.active.load(Ordering::Acquire) {
            return;
        }
        self.forget_places(tenant, id);
        self.limits.changed.notify_one();
        if taken {
            self.look_at_again(tenant, id).await;
        }
    }

    fn forget_places(&self, tenant: &TenantId, id: &ExecutionId) {
        let mut ledger = self.limits.ledger.lock();
        for holder in ledger.of_execution(tenant, id) {
            ledger.forget(&holder);
        }
    }

    /// Asks for the place of an effect that policy permits.
    pub(crate) fn room_for(&self, state: &Execution, effect: &engine::Effect) -> Room {
        if !self.limits.active.load(Ordering::Acquire) {
            return Room::Free;
        }
        let holder = holder_of(&state.started, effect.number.0);
        let subject = subject_of(&state.started, Some(&effect.operation));
        match self.limits.ledger.lock().ask(&holder, &subject, self.clock.now().0) {
            Asked::Free => Room::Free,
            Asked::Wait(limit) => Room::Wait(limit),
            Asked::Refused { limit, .. } => {
                Room::Refused(format!("the limit `{limit}` has no place for `{}`", effect.operation))
            }
            Asked::LineFull(limit) => Room::Refused(format!("the line before the limit `{limit}` is full")),
        }
    }

    /// Makes what the ledger says of an execution true again, after a step of it is durable. `waiting` are effects that a
    /// limit held back.
    pub(crate) fn settle_places(&self, state: &Execution, waiting: &[EffectNumber]) {
        // What was paused in line, and is let go when there is no limit any more, is still to be let in; and so is what a
        // limit held back that went while this was committed, or read.
        let in_line = state.pending && !state.paused && state.end.is_none();
        if !in_line && waiting.is_empty() && !self.limits.active.load(Ordering::Acquire) {
            return;
        }
        let started = &state.started;
        let own = holder_of(started, 0);
        let mut ledger = self.limits.ledger.lock();
        for holder in ledger.of_execution(&started.tenant, &started.execution) {
            let number = EffectNumber(holder.2);
            let stays = if holder.2 == 0 {
                state.end.is_none() && !(state.pending && state.paused)
            } else {
                let started = state.effect(number).is_some_and(|effect| effect.phase == Phase::Started);
                started || waiting.contains(&number)
            };
            if !stays {
                ledger.forget(&holder);
            }
        }
        let now = self.clock.now().0;
        let rank = |at: model::Timestamp| at.0.saturating_add(started.placing.priority.patience_ms());
        if state.end.is_some() {
            // Nothing of it counts any more.
        } else if !state.pending {
            ledger.adopt(&own, &subject_of(started, None));
        } else if !state.paused {
            // Whether it has a place at once or later, it begins when it is let in.
            ledger.stand_in_line(own, subject_of(started, None), rank(state.started_at), now);
        }
        for effect in state.open_effects() {
            let holder = holder_of(started, effect.number.0);
            let subject = subject_of(started, Some(&effect.operation));
            if effect.phase == Phase::Started {
                ledger.adopt(&holder, &subject);
            } else if waiting.contains(&effect.number) && effect.phase == Phase::Requested {
                ledger.stand_in_line(holder, subject, rank(effect.requested_at), now);
            }
        }
        drop(ledger);
        self.limits.changed.notify_one();
    }

    /// The limit in whose line an execution stands, as `blocked_on` names it.
    pub(crate) fn line_of(&self, started: &Started) -> Option<String> {
        let limits = self.limits.ledger.lock();
        limits.line_of(&holder_of(started, 0)).map(str::to_owned)
    }

    /// Lets in whoever waits, as soon as there is room, until the task is dropped.
    pub(crate) async fn keep_limits(self: &Arc<Self>) {
        let every: Vec<Limit> = self.limits.ledger.lock().limits().map(|(limit, _)| limit.clone()).collect();
        self.count_what_runs(&every).await;
        self.limits.ledger.lock().open = true;
        loop {
            let now = self.clock.now().0;
            let (granted, next) = {
                let mut ledger = self.limits.ledger.lock();
                let granted = ledger.let_in(now, LET_IN_MAX);
                ledger.tidy(now);
                (granted, ledger.next_room_ms(now))
            };
            if !granted.is_empty() {
                self.let_in(granted).await;
                continue;
            }
            let sleep = next.map_or(SLEEP_MAX, |at| {
                Duration::from_millis(u64::try_from(at - now).unwrap_or(0).max(1)).min(SLEEP_MAX)
            });
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.limits.changed.notified() => {}
            }
        }
    }

    async fn let_in(self: &Arc<Self>, granted: Vec<Holder>) {
        let inputs = granted.iter().map(|(tenant, id, effect)| {
            let input = if *effect == 0 { Input::Release } else { Input::Wake };
            (tenant.clone(), id.clone(), input)
        });
        let failed = self.give_each(inputs.collect()).await;
        if failed.is_empty() {
            return;
        }
        // What cannot begin gives its place to the next; what the store could not take stays in the store as it was.
        for (tenant, id) in &failed {
            self.forget_places(tenant, id);
        }
        tokio::time::sleep(PAUSE).await;
        for (tenant, id) in failed {
            self.look_at_again(&tenant, &id).await;
        }
    }

    /// After a commit that was not answered, of a step in which a limit held something back: it may be durable, and then
    /// nobody else would put that in line.
    pub(crate) fn stand_in_line_later(self: &Arc<Self>, started: &Started) {
        let (app, tenant, id) = (Arc::clone(self), started.tenant.clone(), started.execution.clone());
        tokio::spawn(async move { app.look_at_again(&tenant, &id).await });
    }

    /// Loads an execution and makes what the ledger says of it true again; later, if the store cannot be read now.
    async fn look_at_again(self: &Arc<Self>, tenant: &TenantId, id: &ExecutionId) {
        if self.looked_at(tenant, id).await {
            return;
        }
        let (app, tenant, id) = (Arc::clone(self), tenant.clone(), id.clone());
        tokio::spawn(async move {
            while app.leads() && !app.looked_at(&tenant, &id).await {
                tracing::warn!(execution.id = %id, "an execution in line cannot be read; it is tried again");
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// False when the store could not be read.
    async fn looked_at(self: &Arc<Self>, tenant: &TenantId, id: &ExecutionId) -> bool {
        match self.hold(tenant, id).await {
            Ok(held) => {
                if let Some(state) = held.state() {
                    let waiting: Vec<EffectNumber> = state.requested();
                    self.settle_places(state, &waiting);
                }
                self.let_go(held);
                true
            }
            Err(problem) => problem.status != 503,
        }
    }

    /// What stood in a line that is gone stands in the next one, or is let in.
    pub(super) fn ask_again(&self, waiting: Vec<(Holder, Subject, i64)>) {
        let now = self.clock.now().0;
        let mut ledger = self.limits.ledger.lock();
        for (holder, subject, rank) in waiting {
            ledger.stand_in_line(holder, subject, rank, now);
        }
        drop(ledger);
        self.limits.changed.notify_one();
    }

    /// Counts what runs already under some limits, and opens them. One that cannot be counted stays without room, and
    /// counting is tried again.
    pub(super) async fn count_what_runs(self: &Arc<Self>, limits: &[Limit]) {
        let mut tenants: Vec<TenantId> = Vec::new();
        for limit in limits.iter().filter(|limit| limit.counts()) {
            match &limit.scope {
                Scope::Tenant(named) if named == "*" => {
                    tenants.extend(self.every_tenant().await);
                }
                Scope::Tenant(named) => tenants.extend(TenantId::new(named.as_str())),
                Scope::Workflow(_) | Scope::Action(_) | Scope::Key(_) => tenants.push(limit.owner.clone()),
            }
        }
        tenants.sort();
        tenants.dedup();
        for tenant in tenants {
            while let Err(problem) = self.count_tenant(&tenant, limits).await {
                tracing::error!(tenant = %tenant, error = %problem, "what runs cannot be counted, so the limits have no room");
                tokio::time::sleep(PAUSE).await;
            }
        }
        let mut ledger = self.limits.ledger.lock();
        for limit in limits {
            ledger.counted(&(limit.owner.clone(), limit.name.clone()));
        }
        drop(ledger);
        self.limits.changed.notify_one();
    }

    async fn every_tenant(&self) -> Vec<TenantId> {
        loop {
            match self.tenants_there_are().await {
                Ok(tenants) => return tenants,
                Err(problem) => {
                    tracing::error!(error = %problem, "tenants cannot be read, so limits on each have no room");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn count_tenant(&self, tenant: &TenantId, limits: &[Limit]) -> Result<(), Problem> {
        let by_effect = limits.iter().any(|limit| limit.of == Counted::Effects);
        let by_key = limits.iter().any(|limit| matches!(limit.scope, Scope::Key(_)));
        let mut cursor = None;
        loop {
            let query = ExecutionQuery {
                statuses: ["running", "waiting", "suspended"].map(str::to_owned).to_vec(),
                cursor: cursor.take(),
                limit: PAGE,
                ..ExecutionQuery::default()
            };
            let page = self.store.executions(tenant, query).await.map_err(|e| store_problem(&e))?;
            for row in &page.items {
                // What is suspended may have been in line when people held it: then nothing of it has begun.
                if row.status == "suspended" && self.brought_back(tenant, &row.id).await?.0.pending {
                    continue;
                }
                let key = if by_key { self.key_of(tenant, &row.id).await? } else { None };
                let subject = Subject {
                    tenant: tenant.clone(),
                    workflow: format!("{}/{}", row.namespace, row.name),
                    key,
                    action: None,
                };
                self.limits.ledger.lock().adopt(&(tenant.clone(), row.id.clone(), 0), &subject);
                if by_effect && row.status == "running" {
                    self.count_effects(tenant, &row.id).await?;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn count_effects(&self, tenant: &TenantId, id: &ExecutionId) -> Result<(), Problem> {
        let (state, _) = self.brought_back(tenant, id).await?;
        for effect in state.open_effects().filter(|effect| effect.phase == Phase::Started) {
            let subject = subject_of(&state.started, Some(&effect.operation));
            self.limits.ledger.lock().adopt(&holder_of(&state.started, effect.number.0), &subject);
        }
        Ok(())
    }

    /// The key that an execution was started with.
    async fn key_of(&self, tenant: &TenantId, id: &ExecutionId) -> Result<Option<String>, Problem> {
        let first = self.store.load_from(tenant, id, 0, 1).await.map_err(|e| store_problem(&e))?;
        let first = first.and_then(|history| history.events.into_iter().next());
        Ok(match first.map(|event| event.body) {
            Some(EventBody::Started(started)) => started.placing.key,
            _ => None,
        })
    }

    /// Every tenant there is.
    async fn tenants_there_are(&self) -> Result<Vec<TenantId>, Problem> {
        let mut all = vec![system_tenant()];
        let mut after: Option<String> = None;
        loop {
            let page = self.store.documents(&system_tenant(), "tenant", "", after.as_deref(), 1000).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            all.extend(page.iter().filter_map(|(key, _)| TenantId::new(key.as_str()).ok()));
        }
        all.sort();
        all.dedup();
        Ok(all)
    }
}
