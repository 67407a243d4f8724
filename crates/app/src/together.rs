//! Many executions in one step: read at once, judged one after another, committed together.
//!
//! What is due at one moment, or was under way when the last process ended, comes in thousands. One by one each costs a
//! read, a turn, a place before the writer and several wake-ups; in groups of one tenant these are shared. Every
//! execution still has a batch of its own, which is committed or refused for itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use crash::Point;
use engine::Input;
use model::{ExecutionId, Problem, TenantId};
use store::CommitError;
use tokio::task::JoinSet;

use crate::app::{App, store_problem};
use crate::hot::Held;
use crate::runner::{Change, Ready};
use crate::schedule::turns::{Step, WRITING};

/// Executions of one group while a tenant is alone: large enough to share, small enough not to keep a processor for long.
const GROUP: usize = 32;
/// Groups at once.
const GROUPS: usize = 8;

impl App {
    /// Gives the same input to many executions, a bounded number at once, the tenants in turn. Answers those who did not
    /// take it.
    pub(crate) async fn give_all(
        self: &Arc<Self>,
        keys: Vec<(TenantId, ExecutionId)>,
        input: &Input,
    ) -> Vec<(TenantId, ExecutionId)> {
        // What others wait for is the group before their own.
        let group = if self.turns.several_tenants() { WRITING.narrow } else { GROUP };
        let mut running = JoinSet::new();
        let mut failed = Vec::new();
        for (tenant, ids) in groups(keys, group) {
            if running.len() >= GROUPS {
                failed.extend(running.join_next().await.and_then(Result::ok).unwrap_or_default());
            }
            let (app, input) = (Arc::clone(self), input.clone());
            running.spawn(async move {
                let inputs = ids.into_iter().map(|id| (id, input.clone())).collect();
                let failed = app.give_together(&tenant, inputs).await.into_iter();
                let failed = failed.filter_map(|(id, problem)| not_taken(id, &problem));
                failed.map(|id| (tenant.clone(), id)).collect::<Vec<_>>()
            });
        }
        while let Some(done) = running.join_next().await {
            failed.extend(done.unwrap_or_default());
        }
        failed
    }

    /// Gives each of many executions of one tenant its own input, a bounded number at once. No execution may be there
    /// twice. Answers what was refused, and why.
    pub(crate) async fn give_own(
        self: &Arc<Self>,
        tenant: &TenantId,
        inputs: Vec<(ExecutionId, Input)>,
    ) -> Result<Vec<(ExecutionId, Problem)>, Problem> {
        let size = if self.turns.several_tenants() { WRITING.narrow } else { GROUP };
        let mut running = JoinSet::new();
        let mut refused = Vec::new();
        let mut inputs = inputs.into_iter();
        loop {
            let group: Vec<_> = inputs.by_ref().take(size).collect();
            if group.is_empty() || running.len() >= GROUPS {
                match running.join_next().await {
                    Some(done) => refused.extend(done.map_err(Problem::machine)?),
                    None => return Ok(refused),
                }
            }
            if !group.is_empty() {
                let (app, tenant) = (Arc::clone(self), tenant.clone());
                running.spawn(async move { app.give_together(&tenant, group).await });
            }
        }
    }

    async fn give_together(
        self: &Arc<Self>,
        tenant: &TenantId,
        inputs: Vec<(ExecutionId, Input)>,
    ) -> Vec<(ExecutionId, Problem)> {
        let mut failed = Vec::new();
        let mut note = |id: ExecutionId, problem: &Problem| failed.push((id, problem.clone()));
        let recovers = matches!(inputs.first(), Some((_, Input::Recover { .. })));
        let ids: Vec<ExecutionId> = inputs.iter().map(|(id, _)| id.clone()).collect();
        let mut inputs: BTreeMap<ExecutionId, Input> = inputs.into_iter().collect();
        let turn = self.turn(tenant, Step::GoOn).await;
        let (held, busy) = self.hold_free(tenant, ids, &mut note).await;
        let mut ready: Vec<(ExecutionId, Ready)> = Vec::with_capacity(held.len());
        for held in held {
            let id = held.key.1.clone();
            if recovers {
                crash::at(Point::BeforeRecovery);
            }
            let change = Change { input: inputs.remove(&id), ..Change::default() };
            match self.made_ready(held, change, None).await {
                Ok(one) => ready.push((id, one)),
                Err(problem) => note(id, &problem),
            }
        }
        let batches: Vec<_> = ready.iter_mut().map(|(_, ready)| ready.batch.take()).collect();
        let writes: Vec<bool> = batches.iter().map(Option::is_some).collect();
        let place = self.writing.instead_of(turn).await;
        let batches: Vec<_> = batches.into_iter().flatten().collect();
        let done = if batches.is_empty() { Vec::new() } else { self.commit_steps(batches).await };
        drop(place);
        let mut done = done.into_iter();
        for ((id, ready), writes) in ready.into_iter().zip(writes) {
            let missing = || Err(CommitError::Failed("the store did not answer for a batch".to_owned()));
            let done = if writes { done.next().unwrap_or_else(missing) } else { Ok(()) };
            if let Err(problem) = self.settled(ready, done) {
                note(id, &problem);
            }
            if recovers {
                crash::at(Point::AfterRecovery);
            }
        }
        for id in busy {
            let Some(input) = inputs.remove(&id) else { continue };
            let turn = Some(self.turn(tenant, Step::GoOn).await);
            if let Err(problem) = self.advance_in(turn, tenant, &id, input).await {
                note(id, &problem);
            }
        }
        failed
    }

    /// Holds those that nobody else has, loaded with one read; and says who is busy. Never waits for a holder: whoever
    /// holds many must not.
    async fn hold_free(
        &self,
        tenant: &TenantId,
        ids: Vec<ExecutionId>,
        note: &mut impl FnMut(ExecutionId, &Problem),
    ) -> (Vec<Held>, Vec<ExecutionId>) {
        let (mut held, mut cold, mut busy) = (Vec::with_capacity(ids.len()), Vec::new(), Vec::new());
        for id in ids {
            let key = (tenant.clone(), id);
            match self.hot.locked_at_once(&key) {
                Some((slot, cell)) if cell.state.is_some() => held.push(Held { key, slot, cell }),
                Some((slot, cell)) => cold.push(Held { key, slot, cell }),
                None => busy.push(key.1),
            }
        }
        if cold.is_empty() {
            return (held, busy);
        }
        let names: Vec<ExecutionId> = cold.iter().map(|cold| cold.key.1.clone()).collect();
        let stored = match self.store.stored_all(tenant, &names).await {
            Ok(stored) => stored.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(store_problem(&error)); names.len()],
        };
        let mut stored = stored.into_iter();
        for (id, mut cold) in names.into_iter().zip(cold) {
            let loaded = match stored.next() {
                Some(Ok(Some(stored))) => self.made_of(tenant, &id, stored).await,
                Some(Ok(None)) | None => Err(Problem::not_found("execution", id.as_str())),
                Some(Err(problem)) => Err(problem),
            };
            match loaded {
                Ok(loaded) => {
                    cold.cell.fill(loaded);
                    held.push(cold);
                }
                Err(problem) => {
                    self.hot.forget(&cold.key, &cold.slot, &mut cold.cell);
                    note(id, &problem);
                }
            }
        }
        (held, busy)
    }
}

/// The execution, when it has to be given its input again.
pub(crate) fn not_taken(id: ExecutionId, problem: &Problem) -> Option<ExecutionId> {
    // What was never written, or is gone, waits for nothing.
    if problem.status == 404 {
        return None;
    }
    if problem.status >= 500 {
        tracing::error!(execution.id = %id, error = %problem, internal = problem.internal, "an execution could not be woken");
    }
    Some(id)
}

/// Groups of one tenant each, of each tenant one in turn, each tenant's own in order.
fn groups(keys: Vec<(TenantId, ExecutionId)>, size: usize) -> Vec<(TenantId, Vec<ExecutionId>)> {
    let mut tenants: BTreeMap<TenantId, Vec<Vec<ExecutionId>>> = BTreeMap::new();
    for (tenant, id) in keys {
        let groups = tenants.entry(tenant).or_default();
        match groups.last_mut().filter(|group| group.len() < size) {
            Some(group) => group.push(id),
            None => groups.push(vec![id]),
        }
    }
    let rounds = tenants.into_iter().flat_map(|(tenant, groups)| {
        groups.into_iter().enumerate().map(move |(round, group)| (round, tenant.clone(), group))
    });
    let mut rounds: Vec<_> = rounds.collect();
    rounds.sort_by_key(|(round, _, _)| *round);
    rounds.into_iter().map(|(_, tenant, group)| (tenant, group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns_by_groups() {
        let key = |tenant: &str, number: u32| {
            let tenant = TenantId::new(tenant).expect("an identifier");
            (tenant, ExecutionId::new(format!("e{number}")).expect("an identifier"))
        };
        let mut keys: Vec<_> = (0..5).map(|number| key("flood", number)).collect();
        keys.extend([key("small", 9), key("other", 7), key("small", 8)]);
        let grouped = groups(keys, 2);
        let text: Vec<String> = grouped
            .iter()
            .map(|(tenant, ids)| {
                let ids: Vec<&str> = ids.iter().map(ExecutionId::as_str).collect();
                format!("{tenant}:{}", ids.join("+"))
            })
            .collect();
        assert_eq!(text, ["flood:e0+e1", "other:e7", "small:e9+e8", "flood:e2+e3", "flood:e4"]);
        assert!(groups(Vec::new(), 2).is_empty());
    }
}
