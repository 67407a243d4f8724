//! Messages from execution to execution: durable until what they ask for is.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::effect::EffectNumber;
use model::event::CancelMode;
use model::{ExecutionId, Problem, TenantId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::Put;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::app::{App, store_problem, system_tenant};

/// The kind of document that messages are; all of them are the platform's, so that one read finds them at the start.
pub(crate) const KIND: &str = "message";
/// Messages read at once.
const PAGE: u32 = 500;
/// Messages delivered at once.
const AT_ONCE: usize = 32;
/// Messages in memory; whatever is beyond that is read from the store when these are delivered.
const WAITING_MAX: usize = 100_000;
/// Pauses before what could not be delivered is tried again: from the first, doubled, to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(15);

/// Something that one execution wants of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Whose.
    pub(crate) tenant: TenantId,
    /// To which execution.
    pub(crate) execution: ExecutionId,
    /// What is wanted.
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub(crate) enum What {
    /// Begin, for this effect of the parent.
    Begin { parent: ExecutionId, effect: EffectNumber },
    /// Take note that the child has ended, or begun when nobody waits for its end.
    Ended { child: ExecutionId, effect: EffectNumber },
    /// Undo what was done, for this effect of the parent.
    Undo { parent: ExecutionId, effect: EffectNumber },
    /// As an operator of the parent did.
    Act { parent: ExecutionId, act: Act },
    /// Take the events that came before it began to listen.
    Listens { since: String },
    /// Bring an event to those who listen for it.
    Event { key: String },
    /// Begin, because this event came to a workflow that says so.
    Start { workflow: String, key: String },
}

/// What becomes of the executions that another one runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Act {
    /// Nobody wants its end any more.
    Cancel(CancelMode),
    /// Its parent is held.
    Pause,
    /// Its parent goes on.
    Resume,
}

impl Message {
    /// Its key among the documents. What is wanted once has one key.
    pub(crate) fn key(&self) -> String {
        let what = match &self.what {
            What::Begin { .. } => "begin".to_owned(),
            What::Ended { child, effect } => format!("ended/{child}/{}", effect.0),
            What::Undo { effect, .. } => format!("undo/{}", effect.0),
            What::Act { act, .. } => match act {
                Act::Cancel(mode) => format!("cancel/{}", mode.name()),
                Act::Pause => "pause".to_owned(),
                Act::Resume => "resume".to_owned(),
            },
            What::Listens { since } => format!("listens/{since}"),
            What::Event { key } => format!("event/{key}"),
            What::Start { key, .. } => format!("start/{key}"),
        };
        format!("{}/{}/{what}", self.tenant, self.execution)
    }

    fn address(&self) -> (TenantId, ExecutionId) {
        (self.tenant.clone(), self.execution.clone())
    }

    /// Writes it.
    pub(crate) fn put(&self) -> Result<Put, Problem> {
        let document = serde_json::to_value(self).map_err(Problem::machine)?;
        Ok(Put::Document { tenant: system_tenant(), kind: KIND.to_owned(), key: self.key(), document })
    }

    /// Takes it away.
    pub(crate) fn remove(&self) -> Put {
        Put::Remove { tenant: system_tenant(), kind: KIND.to_owned(), key: self.key() }
    }
}

/// Messages that wait to be delivered. What is in memory is a hint: the store has all of them.
pub(crate) struct Mail {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    /// What came while the store is read: it is delivered after what the store had before.
    late: VecDeque<Message>,
    reading: bool,
    /// Executions to which a message is being delivered: the next one to the same waits for that.
    busy: BTreeSet<(TenantId, ExecutionId)>,
    /// Some are in the store only.
    more: bool,
}

impl Default for Mail {
    fn default() -> Self {
        // What the last process left comes first.
        let waiting = Waiting { reading: true, ..Waiting::default() };
        Self { waiting: Mutex::new(waiting), changed: Notify::default() }
    }
}

impl Waiting {
    /// Whatever finds no room is in the store, and everything after it stays there too: it would overtake it.
    fn push(&mut self, message: Message) {
        let line = if self.reading { &mut self.late } else { &mut self.messages };
        if self.more || line.len() >= WAITING_MAX {
            self.more = true;
        } else {
            line.push_back(message);
        }
    }
}

impl Mail {
    /// Messages that are durable since just now.
    pub(crate) fn post(&self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        for message in messages {
            waiting.push(message);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// The oldest message to an execution to which none is being delivered.
    fn take(&self) -> Option<Message> {
        let mut waiting = self.waiting.lock();
        let free = |message: &Message| !waiting.busy.contains(&message.address());
        let position = waiting.messages.iter().position(free)?;
        let message = waiting.messages.remove(position)?;
        waiting.busy.insert(message.address());
        Some(message)
    }

    fn delivered(&self, message: &Message) {
        self.waiting.lock().busy.remove(&message.address());
        self.changed.notify_one();
    }

    /// Messages that were found in the store: those that are not in memory.
    fn found(&self, messages: Vec<Message>) {
        let mut waiting = self.waiting.lock();
        let known: BTreeSet<String> = waiting.messages.iter().map(Message::key).collect();
        for message in messages.into_iter().filter(|message| !known.contains(&message.key())) {
            if waiting.messages.len() >= WAITING_MAX {
                waiting.more = true;
                return;
            }
            waiting.messages.push_back(message);
        }
    }

    /// The store was read to its end: what came meanwhile follows, unless it was found there.
    fn read(&self) {
        let mut waiting = self.waiting.lock();
        waiting.reading = false;
        let known: BTreeSet<String> = waiting.messages.iter().map(Message::key).collect();
        for message in std::mem::take(&mut waiting.late) {
            if !known.contains(&message.key()) {
                waiting.push(message);
            }
        }
    }

    /// True when there are messages that are in the store only: it is to be read again.
    fn take_more(&self) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.reading |= waiting.more;
        std::mem::take(&mut waiting.more)
    }
}

impl App {
    /// Delivers messages until the task is dropped; first those that the last process left.
    pub(crate) async fn keep_mail(self: &Arc<Self>) {
        let mut pause = PAUSE_FIRST;
        while let Err(problem) = self.read_listeners().await {
            tracing::error!(error = %problem, internal = problem.internal, "who listens for events cannot be read; it is tried again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
        while let Err(problem) = self.read_mail().await {
            tracing::error!(error = %problem, internal = problem.internal, "messages between executions cannot be read; it is tried again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
        let mut delivering = JoinSet::new();
        loop {
            while delivering.len() < AT_ONCE {
                let Some(message) = self.mail.take() else { break };
                let app = Arc::clone(self);
                delivering.spawn(async move { app.deliver_until_done(message).await });
            }
            if delivering.is_empty() && self.mail.take_more() && self.read_mail().await.is_err() {
                self.mail.waiting.lock().more = true;
                tokio::time::sleep(PAUSE_LAST).await;
                continue;
            }
            tokio::select! {
                Some(_) = delivering.join_next(), if !delivering.is_empty() => {}
                () = self.mail.changed.notified() => {}
            }
        }
    }

    async fn read_mail(&self) -> Result<(), Problem> {
        let mut after: Option<String> = None;
        loop {
            let page = self.store.documents(&system_tenant(), KIND, "", after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let Some((last, _)) = page.last() else {
                self.mail.read();
                return Ok(());
            };
            after = Some(last.clone());
            let mut messages = Vec::with_capacity(page.len());
            for (key, document) in page {
                messages.push(serde_json::from_value(document).map_err(|e| {
                    Problem::machine(format!("the message `{key}` between executions cannot be read: {e}"))
                })?);
            }
            self.mail.found(messages);
        }
    }

    /// Tries until the message is taken, or turns out to be about what is over. What has to wait for long makes room for
    /// the others.
    async fn deliver_until_done(self: &Arc<Self>, message: Message) {
        let mut pause = PAUSE_FIRST;
        while self.leads() {
            let Err(problem) = self.deliver(&message).await else {
                self.mail.delivered(&message);
                return;
            };
            if problem.status == 500 {
                tracing::error!(execution.id = %message.execution, error = %problem, internal = problem.internal, "a message between executions could not be delivered; it is tried again");
            }
            if pause > PAUSE_FIRST * 4 {
                let (app, message) = (Arc::clone(self), message.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    let mut pause = pause;
                    while app.leads() && app.deliver(&message).await.is_err() {
                        pause = (pause * 2).min(PAUSE_LAST);
                        tokio::time::sleep(pause).await;
                    }
                    app.mail.delivered(&message);
                });
                return;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn deliver(self: &Arc<Self>, message: &Message) -> Result<(), Problem> {
        match &message.what {
            What::Begin { parent, effect } => self.begin_child(message, parent, *effect).await,
            What::Ended { child, effect } => self.hear_of(message, child, *effect).await,
            What::Undo { parent, effect } => self.undo_child(message, parent, *effect).await,
            What::Act { parent, act } => self.act_on_child(message, parent, *act).await,
            What::Listens { .. } => self.catch_up(message).await,
            What::Event { key } => self.deliver_event(message, key).await,
            What::Start { workflow, key } => self.begin_on(message, workflow, key).await,
        }
    }

    /// Takes a message away that is about what is over.
    pub(crate) async fn drop_message(&self, message: &Message) -> Result<(), Problem> {
        self.commit_one(store::Batch { puts: vec![message.remove()], ..store::Batch::default() }).await
    }
}
