//! Messages from execution to execution: durable until what they ask for is.

use std::sync::Arc;
use std::time::Duration;

use model::effect::EffectNumber;
use model::event::CancelMode;
use model::{ExecutionId, Problem, TenantId};
use serde::{Deserialize, Serialize};
use store::Put;
use tokio::task::JoinSet;

use crate::app::{App, store_problem, system_tenant};

/// The kind of document that messages are; all of them are the platform's, so that one read finds them at the start.
pub(crate) const KIND: &str = "message";
/// Messages read at once.
const PAGE: u32 = 500;
/// Messages delivered at once.
const AT_ONCE: usize = 32;
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

    pub(super) fn address(&self) -> (TenantId, ExecutionId) {
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
                let Some(messages) = self.mail.take() else { break };
                let app = Arc::clone(self);
                delivering.spawn(async move { app.deliver_group(messages).await });
            }
            if delivering.is_empty() && self.mail.take_more() && self.read_mail().await.is_err() {
                self.mail.read_again();
                tokio::time::sleep(PAUSE_LAST).await;
                continue;
            }
            tokio::select! {
                Some(_) = delivering.join_next(), if !delivering.is_empty() => {}
                () = self.mail.changed() => {}
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

    /// Executions that began to listen look back together; those that cannot, and all other messages, are tried until they
    /// are taken.
    async fn deliver_group(self: &Arc<Self>, messages: Vec<Message>) {
        if !matches!(&*messages, [Message { what: What::Listens { .. }, .. }, _, ..]) {
            return self.deliver_until_done(messages).await;
        }
        let (done, left) = self.catch_up_all(messages).await;
        self.mail.delivered(&done);
        let mut single = JoinSet::new();
        for message in left {
            let app = Arc::clone(self);
            single.spawn(async move { app.deliver_until_done(vec![message]).await });
        }
        while single.join_next().await.is_some() {}
    }

    /// Tries until the messages to one address are taken, or turn out to be about what is over. What has to wait for long
    /// makes room for the others.
    async fn deliver_until_done(self: &Arc<Self>, messages: Vec<Message>) {
        let mut pause = PAUSE_FIRST;
        while self.leads() {
            let Err(problem) = self.deliver(&messages).await else {
                self.mail.delivered(&messages);
                return;
            };
            if problem.status == 500 {
                let to = messages.first().map(|message| message.execution.as_str());
                tracing::error!(execution.id = to, error = %problem, internal = problem.internal, "a message between executions could not be delivered; it is tried again");
            }
            if pause > PAUSE_FIRST * 4 {
                let app = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    let mut pause = pause;
                    while app.leads() && app.deliver(&messages).await.is_err() {
                        pause = (pause * 2).min(PAUSE_LAST);
                        tokio::time::sleep(pause).await;
                    }
                    app.mail.delivered(&messages);
                });
                return;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Delivers what [`super::lines::Mail::take`] gave: events together, everything else one by one.
    async fn deliver(self: &Arc<Self>, messages: &[Message]) -> Result<(), Problem> {
        if let [Message { what: What::Event { .. }, .. }, ..] = messages {
            return self.deliver_events(messages).await;
        }
        for message in messages {
            self.deliver_one(message).await?;
        }
        Ok(())
    }

    async fn deliver_one(self: &Arc<Self>, message: &Message) -> Result<(), Problem> {
        match &message.what {
            What::Begin { parent, effect } => self.begin_child(message, parent, *effect).await,
            What::Ended { child, effect } => self.hear_of(message, child, *effect).await,
            What::Undo { parent, effect } => self.undo_child(message, parent, *effect).await,
            What::Act { parent, act } => self.act_on_child(message, parent, *act).await,
            What::Listens { .. } => self.catch_up(message).await,
            What::Event { .. } => self.deliver_events(std::slice::from_ref(message)).await,
            What::Start { workflow, key } => self.begin_on(message, workflow, key).await,
        }
    }

    /// Takes a message away that is about what is over.
    pub(crate) async fn drop_message(&self, message: &Message) -> Result<(), Problem> {
        self.commit_one(store::Batch { puts: vec![message.remove()], ..store::Batch::default() }).await
    }
}
