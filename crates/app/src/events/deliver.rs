//! Brings events to the executions that listen for them.
//!
//! The events of a tenant come in groups, in their order. Everybody who may want one is found by index, and told together
//! with others: an event for ten thousand executions, and ten thousand events for one each, cost as many groups.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::Input;
use futures_util::future::join_all;
use model::{ExecutionId, Label, Problem, TenantId, Value};
use store::{Batch, Put};

use super::{ADDRESS, KIND, KeptEvent, PAGE};
use crate::app::{App, store_problem};
use crate::family::mail::{Message, What};
use crate::runner::Change;
use crate::schedule::turns::Step;

/// Executions times events that are told before the next event is looked at.
const TELLINGS_MAX: usize = 10_000;
/// Events that an execution looks at when it begins to listen, from its own beginning on.
const LOOKED_AT_MAX: usize = 20_000;
/// The code of what the engine has no place for: the execution has ended, or its inbox is full.
const NOT_POSSIBLE: [u16; 2] = [409, 429];

/// An event on its way.
struct Coming {
    kept: KeptEvent,
    event: Value,
    input: Input,
}

impl Coming {
    fn new(kept: KeptEvent) -> Self {
        let event = Value::from_json(&kept.event, Label::DEFINITION);
        let input = Input::Signal(kept.signal());
        Self { kept, event, input }
    }

    fn addressed(&self) -> Option<&str> {
        self.kept.event[ADDRESS].as_str()
    }
}

/// What each execution is to be told, by the places of the events in their group, oldest first.
type Told = BTreeMap<ExecutionId, VecDeque<usize>>;

impl App {
    /// Delivers messages of [`What::Event`], all of one tenant, in their order.
    pub(crate) async fn deliver_events(self: &Arc<Self>, messages: &[Message]) -> Result<(), Problem> {
        let Some(tenant) = messages.first().map(|message| &message.tenant) else { return Ok(()) };
        let coming: Vec<Coming> =
            self.kept_events(tenant, messages).await?.into_iter().map(Coming::new).collect();
        let mut begun = Vec::new();
        let mut told = Told::new();
        let mut tellings = 0;
        for (place, one) in coming.iter().enumerate() {
            let to = match one.addressed() {
                Some(execution) => ExecutionId::new(execution).into_iter().collect(),
                None => {
                    begun.extend(self.beginnings(tenant, &one.kept, &one.event));
                    self.listeners.wanting(tenant, one.kept.text("type"), &one.event)
                }
            };
            // A single event is nearly always for one execution: it is taken, and done with, in one commit.
            if let ([message], [execution], []) = (messages, &*to, &*begun)
                && self.tell_one(tenant, execution, &one.kept, vec![message.remove()]).await?
            {
                return Ok(());
            }
            tellings += to.len();
            for execution in to {
                told.entry(execution).or_default().push_back(place);
            }
            if tellings >= TELLINGS_MAX {
                self.tell_all(tenant, &coming, std::mem::take(&mut told)).await?;
                tellings = 0;
            }
        }
        self.tell_all(tenant, &coming, told).await?;
        let mut puts: Vec<Put> = messages.iter().map(Message::remove).collect();
        for message in &begun {
            puts.push(message.put()?);
        }
        self.commit_one(Batch { puts, ..Batch::default() }).await?;
        self.mail.post(begun);
        Ok(())
    }

    /// The events of these messages that are still kept, in their order.
    async fn kept_events(&self, tenant: &TenantId, messages: &[Message]) -> Result<Vec<KeptEvent>, Problem> {
        let keys: Vec<&str> = messages.iter().filter_map(key_of).collect();
        let mut found = BTreeMap::new();
        // They came one after the other, so they nearly always stand together.
        if let [first, .., last] = &*keys
            && first < last
        {
            let before = first.get(..first.len() - 1).unwrap_or_default();
            let page = self.store.documents(tenant, KIND, "", Some(before), PAGE).await;
            found.extend(page.map_err(|e| store_problem(&e))?);
        }
        let mut kept = Vec::with_capacity(keys.len());
        for key in keys {
            let document = match found.remove(key) {
                Some(document) => Some(document),
                None => self.store.document(tenant, KIND, key).await.map_err(|e| store_problem(&e))?,
            };
            if let Some(document) = document {
                kept.push(serde_json::from_value(document).map_err(Problem::machine)?);
            }
        }
        Ok(kept)
    }

    /// Tells each execution its events, one after the other, and all executions at the same time.
    async fn tell_all(
        self: &Arc<Self>,
        tenant: &TenantId,
        coming: &[Coming],
        mut told: Told,
    ) -> Result<(), Problem> {
        let mut first = true;
        while !told.is_empty() {
            let mut inputs = Vec::with_capacity(told.len());
            for (execution, places) in &mut told {
                // What it listens for changes as it takes events; what it begins to listen for it looks back for.
                let wants = |one: &Coming| {
                    first || one.addressed().is_some() || self.listeners.wants(tenant, execution, &one.event)
                };
                let next = std::iter::from_fn(|| places.pop_front()).filter_map(|place| coming.get(place));
                let next = { next }.find(|one| wants(one));
                inputs.extend(next.map(|one| (execution.clone(), one.input.clone())));
            }
            told.retain(|_, places| !places.is_empty());
            first = false;
            for (_, problem) in self.give_own(tenant, inputs).await? {
                if problem.status != 404 && !NOT_POSSIBLE.contains(&problem.status) {
                    return Err(problem);
                }
            }
        }
        Ok(())
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

    /// Delivers [`What::Listens`]: an execution that begins to listen gets what came since it began.
    pub(crate) async fn catch_up(self: &Arc<Self>, message: &Message) -> Result<(), Problem> {
        self.look_back(message).await?;
        self.drop_message(message).await
    }

    /// As [`App::catch_up`] for many, of which those that looked back are done with in one commit. Answers those that are
    /// done, and those that are not.
    pub(crate) async fn catch_up_all(
        self: &Arc<Self>,
        messages: Vec<Message>,
    ) -> (Vec<Message>, Vec<Message>) {
        let looked = join_all(messages.iter().map(|message| self.look_back(message))).await;
        let (mut done, mut left) = (Vec::with_capacity(messages.len()), Vec::new());
        for (message, looked) in messages.into_iter().zip(looked) {
            if looked.is_ok() { &mut done } else { &mut left }.push(message);
        }
        let puts = done.iter().map(Message::remove).collect();
        if self.commit_one(Batch { puts, ..Batch::default() }).await.is_err() {
            left.append(&mut done);
        }
        (done, left)
    }

    async fn look_back(self: &Arc<Self>, message: &Message) -> Result<(), Problem> {
        let (tenant, execution) = (&message.tenant, &message.execution);
        let began = match self.store.execution(tenant, execution).await.map_err(|e| store_problem(&e))? {
            Some(row) if row.ended_at.is_none() => row.started_at,
            Some(_) | None => return Ok(()),
        };
        let mut after = ExecutionId::derived(began, &model::Digest([0; 32])).to_string();
        let mut looked_at = 0;
        loop {
            let page = self.store.documents(tenant, KIND, "", Some(&after), PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after.clone_from(last);
            looked_at += page.len();
            for (_, document) in page {
                let kept: KeptEvent = serde_json::from_value(document).map_err(Problem::machine)?;
                if kept.event.get(ADDRESS).is_some() {
                    continue;
                }
                let event = Value::from_json(&kept.event, Label::DEFINITION);
                // What it listens for changes as it takes events.
                if self.listeners.wants(tenant, execution, &event) {
                    self.tell_one(tenant, execution, &kept, Vec::new()).await?;
                }
            }
            if looked_at >= LOOKED_AT_MAX {
                tracing::warn!(execution.id = %execution, events = looked_at, "more events came since it began than are looked at; the newest are passed over");
                return Ok(());
            }
        }
    }
}

fn key_of(message: &Message) -> Option<&str> {
    match &message.what {
        What::Event { key } => Some(key),
        _ => None,
    }
}
