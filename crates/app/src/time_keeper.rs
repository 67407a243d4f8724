//! Time: wakes executions that are due, and puts everything back to work after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::Input;
use model::control::ControlName;
use model::sabotage::{self, Bug};
use model::{ExecutionId, Problem, TenantId};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::app::{App, store_problem};
use crate::schedule::turns::Step;
use crate::together::not_taken;

/// Executions that are given an input of their own at once.
const AT_ONCE: usize = 64;
/// Due executions fetched at once. A timer that comes due just after waits for so many others at the most.
const DUE_MAX: u32 = 1024;
/// As many of a tenant are woken however much of it is at work, each time this pause is over: some of them may be
/// what makes room, such as an execution whose time has run out.
const DUE_LEAST: u32 = 64;
const ROOM_PAUSE: Duration = Duration::from_millis(20);
/// Held executions let go at once; the next ones follow.
const HELD_MAX: u32 = 1000;
/// Unfinished executions listed at once.
const UNFINISHED_PAGE: u32 = 1000;
/// Longest sleep: a clock that is set forward is noticed within this time.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// What an execution may be blocked on while something of it is on the wire.
const PERFORMING_BEHIND: [&str; 10] = [
    "operator:paused",
    "dead-letter:",
    "control:",
    "limit:",
    "worker:",
    "effect:",
    "compensation:",
    "retry:",
    "verification:",
    "approval:",
];
/// Pause after a failure of the store.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause before executions that could not be woken are tried again.
const AGAIN_PAUSE_MAX: Duration = Duration::from_secs(30);

impl App {
    /// Executions that were under way when the last process ended.
    pub(crate) async fn unfinished(&self) -> Result<Vec<(TenantId, ExecutionId)>, Problem> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.unfinished(after, UNFINISHED_PAGE).await.map_err(|e| store_problem(&e))?;
            let Some((last, _, _)) = page.last() else { break };
            after = Some(*last);
            all.extend(page.into_iter().map(|(_, tenant, id)| (tenant, id)));
        }
        // What was paused, or has one branch parked or held, may have been performing all the same in another one, and what
        // is blocked on says only the first reason. Nothing is listed twice: the second time would take for lost what this
        // process has begun.
        let mut listed: BTreeSet<(TenantId, ExecutionId)> = all.iter().cloned().collect();
        for reason in PERFORMING_BEHIND {
            if sabotage::is(Bug::RecoverySkipsPaused) && reason == "operator:paused" {
                continue;
            }
            let mut after = None;
            loop {
                let page = self.store.blocked(reason, after, UNFINISHED_PAGE).await;
                let page = page.map_err(|e| store_problem(&e))?;
                let Some(last) = page.last() else { break };
                after = Some(last.key);
                for found in page {
                    let key = (found.tenant, found.execution);
                    // Most of what waits for people does nothing else.
                    if reason == "approval:" && !self.is_suspended(&key).await? {
                        continue;
                    }
                    if listed.insert(key.clone()) {
                        all.push(key);
                    }
                }
            }
        }
        Ok(all)
    }

    async fn is_suspended(&self, (tenant, id): &(TenantId, ExecutionId)) -> Result<bool, Problem> {
        let row = self.store.execution(tenant, id).await.map_err(|e| store_problem(&e))?;
        Ok(row.is_some_and(|row| row.status == engine::Status::Suspended.name()))
    }

    /// Finds out, for each, what was on the wire, and goes on by effect class. What a control held is judged again.
    pub(crate) async fn recover(self: &Arc<Self>, unfinished: Vec<(TenantId, ExecutionId)>) {
        if !unfinished.is_empty() {
            tracing::info!(executions = unfinished.len(), "recovering executions that were under way");
        }
        // What the store did not let us find out has to be found out all the same: nobody else comes for it.
        self.give_until_taken(unfinished, &Input::Recover { lease: self.lease }).await;
        self.release_held();
        self.wake_those_without_room().await;
    }

    /// Gives the same input to many executions. Those that could not take it are given it again in a task of its own,
    /// until they can: the others need not wait for that.
    async fn give_until_taken(self: &Arc<Self>, keys: Vec<(TenantId, ExecutionId)>, input: &Input) {
        let mut left = self.give_all(keys, input).await;
        if left.is_empty() || sabotage::is(Bug::RecoveryGivesUp) {
            return;
        }
        let (app, input) = (Arc::clone(self), input.clone());
        tokio::spawn(async move {
            let mut pause = PAUSE;
            while !left.is_empty() && app.leads() {
                tracing::error!(executions = left.len(), "executions could not be woken; it is tried again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(AGAIN_PAUSE_MAX);
                left = app.give_all(left, &input).await;
            }
        });
    }

    /// Judges again whatever a control held.
    pub(crate) fn release_held(&self) {
        self.timers_changed.notify_one();
        self.held_changed.notify_one();
    }

    /// Wakes what is due until the task is dropped.
    ///
    /// Tenants share each page, and each page is woken in groups that take turns. What is due of a tenant that has as much
    /// at work as there is room for waits in the store, where it costs nothing, but for a few at a time; and what is due of
    /// one with an execution that cannot be woken rests for a moment, so that nobody else waits for it.
    pub(crate) async fn keep_time(self: &Arc<Self>) {
        let mut resting: BTreeMap<TenantId, Instant> = BTreeMap::new();
        let mut looked = Instant::now();
        // Whoever lost the lead wakes nothing: what the store says is due stays due for it, as fast as it can ask.
        while self.leads() {
            self.wake_held().await;
            resting.retain(|_, until| *until > Instant::now());
            let full = self.tenants_without_room();
            let mut except: Vec<TenantId> = resting.keys().cloned().collect();
            let limit = if full.is_empty() || looked.elapsed() >= ROOM_PAUSE {
                looked = Instant::now();
                if full.is_empty() { DUE_MAX } else { DUE_LEAST }
            } else {
                except.extend(full.iter().cloned());
                DUE_MAX
            };
            let now = self.clock.now();
            let due = match self.store.due(now, limit, &except).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::error!(error = %error, "due executions cannot be read");
                    if sabotage::is(Bug::TimerLost) {
                        return;
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            if !due.is_empty() {
                // What failed is still due; without a pause it would be tried as fast as the machine can.
                let until = Instant::now() + PAUSE;
                let failed = self.give_all(due, &Input::Wake).await;
                resting.extend(failed.into_iter().map(|(tenant, _)| (tenant, until)));
                continue;
            }
            let sleep = if except.is_empty() && full.is_empty() {
                match self.store.next_due().await {
                    Ok(Some(at)) => at.since(now).min(SLEEP_MAX),
                    Ok(None) => SLEEP_MAX,
                    Err(_) => PAUSE,
                }
            } else {
                ROOM_PAUSE
            };
            tokio::select! {
                biased; // neither can starve the other: either way it looks at what is due
                () = tokio::time::sleep(sleep) => {}
                () = self.timers_changed.notified() => {}
            }
        }
    }

    async fn wake_held(self: &Arc<Self>) {
        use futures_util::FutureExt as _;
        if self.held_changed.notified().now_or_never().is_none() {
            return;
        }
        if self.switches.now().on(ControlName::KillSwitch) {
            return;
        }
        let mut after = None;
        loop {
            let page = match self.store.blocked("control:", after, HELD_MAX).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(error = %error, "executions that a control holds cannot be read");
                    self.held_changed.notify_one();
                    return;
                }
            };
            let Some(last) = page.last() else { return };
            after = Some(last.key);
            let controls = self.switches.now();
            let stands = |on: &str| on.strip_prefix("control:").is_some_and(|holds| controls.stands(holds));
            let free = page.into_iter().filter(|held| !stands(&held.on));
            let free = free.map(|held| (held.tenant, held.execution)).collect();
            if !self.give_all(free, &Input::Wake).await.is_empty() {
                // What failed is still held; it is tried again after what lies behind it.
                self.held_changed.notify_one();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Effects that waited for a place when the last process ended ask again: who waits is known in memory only.
    async fn wake_those_without_room(self: &Arc<Self>) {
        for kind in ["limit:", "worker:"] {
            let mut after = None;
            loop {
                let page = match self.store.blocked(kind, after, HELD_MAX).await {
                    Ok(page) => page,
                    Err(error) => {
                        tracing::error!(error = %error, "executions without room cannot be read; it is tried again");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                let Some(last) = page.last() else { break };
                after = Some(last.key);
                let found = page.into_iter().map(|waits| (waits.tenant, waits.execution));
                self.give_until_taken(found.collect(), &Input::Wake).await;
            }
        }
    }

    /// Wakes executions whose effects found no room before the workers, as soon as there is some.
    pub(crate) async fn keep_places(self: &Arc<Self>) {
        while self.leads() {
            let found = self.work.with_room().await;
            self.give_until_taken(found, &Input::Wake).await;
        }
    }

    /// Gives many executions an input each, a bounded number at once, each in its tenant's turn. Answers those who did not
    /// take it.
    pub(crate) async fn give_each(
        self: &Arc<Self>,
        inputs: Vec<(TenantId, ExecutionId, Input)>,
    ) -> Vec<(TenantId, ExecutionId)> {
        let mut running = JoinSet::new();
        let mut failed = Vec::new();
        for (tenant, id, input) in interleaved(inputs) {
            if running.len() >= AT_ONCE {
                failed.extend(running.join_next().await.and_then(Result::ok).flatten());
            }
            let app = Arc::clone(self);
            running.spawn(async move {
                let turn = Some(app.turn(&tenant, Step::GoOn).await);
                let done = app.advance_in(turn, &tenant, &id, input).await;
                done.err().and_then(|problem| not_taken(id, &problem)).map(|id| (tenant, id))
            });
        }
        while let Some(done) = running.join_next().await {
            failed.extend(done.ok().flatten());
        }
        failed
    }
}

/// One of each tenant in turn, each tenant's own in order.
fn interleaved(inputs: Vec<(TenantId, ExecutionId, Input)>) -> Vec<(TenantId, ExecutionId, Input)> {
    let mut rounds: BTreeMap<TenantId, usize> = BTreeMap::new();
    let mut ordered: Vec<(usize, _)> = Vec::with_capacity(inputs.len());
    for one in inputs {
        let round = rounds.entry(one.0.clone()).or_default();
        ordered.push((*round, one));
        *round += 1;
    }
    ordered.sort_by_key(|(round, _)| *round);
    ordered.into_iter().map(|(_, one)| one).collect()
}
