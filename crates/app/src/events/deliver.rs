//! Brings events to the executions that listen for them.

use std::sync::Arc;

use engine::Input;
use model::{ExecutionId, Label, Problem, TenantId, Value};
use store::{Batch, Put};
use tokio::task::JoinSet;

use super::{ADDRESS, KIND, KeptEvent, PAGE};
use crate::app::{App, store_problem};
use crate::family::mail::Message;
use crate::runner::Change;
use crate::schedule::turns::Step;

/// Executions that are told of one event at once.
const AT_ONCE: usize = 64;
/// Events that an execution looks at when it begins to listen, from its own beginning on.
const LOOKED_AT_MAX: usize = 20_000;
/// The code of what the engine has no place for: the execution has ended, or its inbox is full.
const NOT_POSSIBLE: [u16; 2] = [409, 429];

impl App {
    /// Delivers [`crate::family::mail::What::Event`].
    pub(crate) async fn deliver_event(self: &Arc<Self>, message: &Message, key: &str) -> Result<(), Problem> {
        let tenant = &message.tenant;
        let found = self.store.document(tenant, KIND, key).await.map_err(|e| store_problem(&e))?;
        let Some(document) = found else { return self.drop_message(message).await };
        let kept: KeptEvent = serde_json::from_value(document).map_err(Problem::machine)?;
        let mut begun = Vec::new();
        let to = match kept.event[ADDRESS].as_str() {
            Some(one) => ExecutionId::new(one).into_iter().collect(),
            None => {
                let event = Value::from_json(&kept.event, Label::DEFINITION);
                begun = self.beginnings(tenant, &kept, &event);
                self.listeners.wanting(tenant, kept.text("type"), &event)
            }
        };
        // Nearly every event is for one execution: it is taken, and done with, in one commit.
        if let ([one], []) = (&*to, &*begun)
            && self.tell_one(tenant, one, &kept, vec![message.remove()]).await?
        {
            return Ok(());
        }
        self.tell_all(tenant, to, &kept).await?;
        let mut puts = vec![message.remove()];
        for message in &begun {
            puts.push(message.put()?);
        }
        self.commit_one(Batch { puts, ..Batch::default() }).await?;
        self.mail.post(begun);
        Ok(())
    }

    async fn tell_all(
        self: &Arc<Self>,
        tenant: &TenantId,
        to: Vec<ExecutionId>,
        kept: &KeptEvent,
    ) -> Result<(), Problem> {
        let kept = Arc::new(kept.clone());
        let mut telling = JoinSet::new();
        let mut failed = None;
        for execution in to {
            if telling.len() >= AT_ONCE {
                failed = telling.join_next().await.and_then(Result::ok).and_then(Result::err).or(failed);
            }
            let (app, tenant, kept) = (Arc::clone(self), tenant.clone(), Arc::clone(&kept));
            telling.spawn(async move { app.tell_one(&tenant, &execution, &kept, Vec::new()).await });
        }
        while let Some(told) = telling.join_next().await {
            failed = told.map_err(Problem::machine).and_then(|told| told).err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Gives an event to an execution, which takes it when something there listens for it. True when `puts` are committed.
    async fn tell_one(
        self: &Arc<Self>,
        tenant: &TenantId,
        execution: &ExecutionId,
        kept: &KeptEvent,
        puts: Vec<Put>,
    ) -> Result<bool, Problem> {
        let turn = Some(self.turn(tenant, Step::GoOn).await);
        let held = match self.hold(tenant, execution).await {
            Ok(held) => held,
            Err(problem) if problem.status == 404 => return Ok(false),
            Err(problem) => return Err(problem),
        };
        let change = Change { input: Some(Input::Signal(kept.signal())), puts, turn, ..Change::default() };
        match self.go_on(held, change, None).await {
            Ok(_) => Ok(true),
            Err(problem) if NOT_POSSIBLE.contains(&problem.status) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Delivers [`crate::family::mail::What::Listens`]: an execution that begins to listen gets what came since it began.
    pub(crate) async fn catch_up(self: &Arc<Self>, message: &Message) -> Result<(), Problem> {
        let (tenant, execution) = (&message.tenant, &message.execution);
        let began = match self.store.execution(tenant, execution).await.map_err(|e| store_problem(&e))? {
            Some(row) if row.ended_at.is_none() => row.started_at,
            Some(_) | None => return self.drop_message(message).await,
        };
        let mut after = ExecutionId::derived(began, &model::Digest([0; 32])).to_string();
        let mut looked_at = 0;
        loop {
            let page = self.store.documents(tenant, KIND, "", Some(&after), PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            looked_at += page.len();
            for (_, document) in page {
                let kept: KeptEvent = serde_json::from_value(document).map_err(Problem::machine)?;
                if kept.event.get(ADDRESS).is_some() {
                    continue;
                }
                let event = Value::from_json(&kept.event, Label::DEFINITION);
                // What it listens for changes as it takes events.
                if self.listeners.wanting(tenant, kept.text("type"), &event).contains(execution) {
                    self.tell_one(tenant, execution, &kept, Vec::new()).await?;
                }
            }
            if looked_at >= LOOKED_AT_MAX {
                tracing::warn!(execution.id = %execution, events = looked_at, "more events came since it began than are looked at; the newest are passed over");
                break;
            }
        }
        self.drop_message(message).await
    }
}
