//! Events of a tenant: taken in, published by workflows, kept for a while, and brought to the executions that listen.
//!
//! An event is durable with a message in the same transaction; delivering the message brings it to everybody who listens
//! and is not sure not to want it. An execution that begins to listen is written down, and gets a message in its own
//! transaction to look at the events that came since it began. Whichever of the two is committed later finds the other, so
//! none is missed; an execution knows what it took by source and id, so none counts twice.

mod deliver;
mod keep;
mod listeners;
mod publish;
mod tally;

pub(crate) use listeners::Listeners;
pub use publish::EventAccepted;
pub(crate) use tally::Tally;

use engine::Execution;
use model::{ExecutionId, Label, PrincipalId, Problem, TenantId, Timestamp, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::Put;

use crate::app::{App, store_problem, system_tenant};

/// The kind of document that events are.
pub(crate) const KIND: &str = "event";
/// The kind of document that says which executions listen; all of them are the platform's.
const LISTENS: &str = "listens";
/// Documents read at once.
const PAGE: u32 = 500;
/// The attribute that addresses one execution.
pub(crate) const ADDRESS: &str = "omnihubexecution";

/// An event as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptEvent {
    /// Its place in the order of arrival.
    #[serde(default)]
    pub key: String,
    /// When it came.
    pub at: Timestamp,
    /// Who sent it, or asked for the execution that published it.
    pub by: PrincipalId,
    /// Where its data came from.
    pub label: Label,
    /// The execution that published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionId>,
    /// The workflow of that execution, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The CloudEvent.
    pub event: Json,
}

impl KeptEvent {
    fn text(&self, name: &str) -> &str {
        self.event[name].as_str().unwrap_or_default()
    }

    /// As an execution takes it.
    fn signal(&self) -> engine::Signalled {
        let mut attributes = self.event.clone();
        let data =
            attributes.as_object_mut().and_then(|members| members.remove("data")).unwrap_or(Json::Null);
        engine::Signalled {
            id: format!("{} {}", self.text("source"), self.text("id")),
            name: self.text("type").to_owned(),
            data: Value::from_json(&data, self.label),
            label: self.label,
            by: self.by.clone(),
            attributes: Some(Value::from_json(&attributes, self.label)),
        }
    }
}

/// Writes down, or takes away, that an execution listens.
pub(crate) fn listener_put(state: &Execution, before: Option<&str>) -> Option<Put> {
    let key = || format!("{}/{}", state.started.tenant, state.started.execution);
    match (before, state.listens_outside()) {
        (None, Some(_)) => Some(Put::Document {
            tenant: system_tenant(),
            kind: LISTENS.to_owned(),
            key: key(),
            document: json!({ "tenant": state.started.tenant, "execution": state.started.execution }),
        }),
        (Some(_), None) => {
            Some(Put::Remove { tenant: system_tenant(), kind: LISTENS.to_owned(), key: key() })
        }
        (Some(_), Some(_)) | (None, None) => None,
    }
}

#[derive(Deserialize)]
struct Listens {
    tenant: TenantId,
    execution: ExecutionId,
}

impl App {
    /// Makes what is known of a listener true again, after a step of it is durable.
    pub(crate) fn note_listener(&self, state: &mut Execution, listened: bool) {
        let listens = state.listens_outside().is_some();
        if listens || listened {
            let key = (state.started.tenant.clone(), state.started.execution.clone());
            let subscriptions = state.subscriptions();
            self.listeners.put(key, subscriptions);
        }
    }

    /// Finds everybody who listened when the last process ended.
    pub(crate) async fn read_listeners(&self) -> Result<(), Problem> {
        let mut after: Option<String> = None;
        loop {
            let page = self.store.documents(&system_tenant(), LISTENS, "", after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, document) in page {
                let listens: Listens = serde_json::from_value(document)
                    .map_err(|e| Problem::machine(format!("the listener `{key}` cannot be read: {e}")))?;
                match self.hold(&listens.tenant, &listens.execution).await {
                    Ok(held) => {
                        // Nobody changes it while its subscriptions are noted.
                        if let Some(state) = held.state() {
                            self.note_listener(&mut state.clone(), true);
                        }
                        self.let_go(held);
                    }
                    Err(problem) if problem.status == 404 => {}
                    Err(problem) => return Err(problem),
                }
            }
        }
    }
}
