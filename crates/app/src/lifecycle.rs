//! The life of an execution as CloudEvents of the specification's published types, derived from its history when somebody asks.

use std::sync::Arc;

use dsl::Definition;
use engine::lifecycle::{Moment, TaskEvent, What, lifecycle};
use model::event::{EventBody, Started};
use model::principal::Permission;
use model::problem::WorkflowError;
use model::{Event, Problem, TenantId, Timestamp};
use serde_json::{Value as Json, json};

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::executions::execution_id;
use crate::view::{LifecycleView, PageOf};

/// An output that is larger than this in JSON is left out of its event: it is read from the execution.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// From where somebody follows an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From this event of the history on.
    Sequence(u64),
    /// From the step on that made the history this long.
    Step(u64),
}

impl App {
    /// What an execution went through, after the first `after` of its lifecycle events, at most `limit`.
    pub async fn lifecycle(
        &self,
        caller: &Caller,
        id: &str,
        after: u64,
        limit: u32,
    ) -> Result<PageOf<LifecycleView>, Problem> {
        caller.demand(Permission::Read)?;
        let limit = limit.clamp(1, 500) as usize;
        let (started, mut moments) =
            self.moments(&caller.principal.tenant, id, after, limit.saturating_add(1)).await?;
        let more = moments.len() > limit;
        moments.truncate(limit);
        let next = more.then(|| after.saturating_add(moments.len() as u64).to_string());
        let items = moments.into_iter().map(|moment| told(&started, moment)).collect();
        Ok(PageOf { items, next })
    }

    /// What an execution went through since an event of its history, for who follows it; and how long the history is now.
    pub async fn lifecycle_since(
        &self,
        caller: &Caller,
        id: &str,
        since: Since,
    ) -> Result<(Vec<LifecycleView>, u64), Problem> {
        caller.demand(Permission::Read)?;
        let (events, definition, started) = self.life_of(&caller.principal.tenant, id).await?;
        let (from, at) = match since {
            Since::Sequence(sequence) => (sequence, Timestamp(i64::MIN)),
            Since::Step(version) => {
                let last = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
                (0, last.and_then(|last| events.get(last)).map_or(Timestamp(i64::MIN), |event| event.at))
            }
        };
        let moments = lifecycle(definition, &events, 0, usize::MAX).ok_or_else(|| corrupt(id))?;
        let new = moments.into_iter().filter(|moment| moment.sequence >= from && moment.at >= at);
        Ok((new.map(|moment| told(&started, moment)).collect(), events.len() as u64))
    }

    async fn moments(
        &self,
        tenant: &TenantId,
        id: &str,
        skip: u64,
        limit: usize,
    ) -> Result<(Box<Started>, Vec<Moment>), Problem> {
        let (events, definition, started) = self.life_of(tenant, id).await?;
        let moments = lifecycle(definition, &events, skip, limit).ok_or_else(|| corrupt(id))?;
        Ok((started, moments))
    }

    async fn life_of(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<(Vec<Event>, Arc<Definition>, Box<Started>), Problem> {
        let id = execution_id(id)?;
        let history = self.store.load(tenant, &id).await.map_err(|e| store_problem(&e))?;
        let mut events = history.ok_or_else(|| Problem::not_found("execution", id.as_str()))?.events;
        for event in &mut events {
            self.inflate(tenant, event).await?;
        }
        let Some(EventBody::Started(started)) = events.first().map(|event| &event.body) else {
            return Err(corrupt(id.as_str()));
        };
        let started = started.clone();
        let definition = self.definition(tenant, &started.namespace, &started.name, &started.version).await?;
        if definition.digest != started.definition {
            return Err(corrupt(id.as_str()));
        }
        Ok((events, definition, started))
    }
}

fn corrupt(id: &str) -> Problem {
    Problem::machine(format!("the history of `{id}` cannot be replayed"))
}

fn told(started: &Started, moment: Moment) -> LifecycleView {
    let execution = &started.execution;
    let name = format!("{}-{execution}.{}", started.name, started.namespace);
    let at = moment.at.to_rfc3339();
    let (of, word, data) = match moment.what {
        What::Task(task, event) => {
            let (word, since, error) = of_task(event);
            let mut data = json!({ "workflow": name, "task": &*task, since: at });
            if let Some(error) = error {
                data["error"] = error_of(&error);
            }
            ("task", word, data)
        }
        what => {
            let (word, data) = of_workflow(started, &name, &at, what);
            ("workflow", word, data)
        }
    };
    let event = json!({
        "specversion": "1.0",
        "id": format!("{execution}/{}.{}", moment.sequence, moment.number),
        "source": format!("/api/v1/executions/{execution}"),
        "type": format!("io.serverlessworkflow.{of}.{word}.v1"),
        "time": at,
        "datacontenttype": "application/json",
        "data": data,
    });
    LifecycleView { sequence: moment.sequence, at: moment.at, event }
}

/// The word of the event's type, the member that says when, and the error.
fn of_task(event: TaskEvent) -> (&'static str, &'static str, Option<Arc<WorkflowError>>) {
    match event {
        TaskEvent::Created => ("created", "createdAt", None),
        TaskEvent::Started => ("started", "startedAt", None),
        TaskEvent::Suspended => ("suspended", "suspendedAt", None),
        TaskEvent::Resumed => ("resumed", "resumedAt", None),
        TaskEvent::Retried => ("retried", "retriedAt", None),
        TaskEvent::Cancelled => ("cancelled", "cancelledAt", None),
        TaskEvent::Completed => ("completed", "completedAt", None),
        TaskEvent::Faulted(error) => ("faulted", "faultedAt", Some(error)),
    }
}

fn of_workflow(started: &Started, name: &str, at: &str, what: What) -> (&'static str, Json) {
    match what {
        What::Started => {
            let definition =
                json!({ "name": started.name, "namespace": started.namespace, "version": started.version });
            ("started", json!({ "name": name, "definition": definition, "startedAt": at }))
        }
        What::Suspended => ("suspended", json!({ "name": name, "suspendedAt": at })),
        What::Resumed => ("resumed", json!({ "name": name, "resumedAt": at })),
        What::CorrelationStarted => ("correlation-started", json!({ "name": name, "startedAt": at })),
        What::CorrelationCompleted => ("correlation-completed", json!({ "name": name, "completedAt": at })),
        What::Cancelled => ("cancelled", json!({ "name": name, "cancelledAt": at })),
        What::Faulted(error) => {
            ("faulted", json!({ "name": name, "faultedAt": at, "error": error_of(&error) }))
        }
        What::Completed(output) => {
            let mut data = json!({ "name": name, "completedAt": at });
            let output = output.to_json();
            if serde_json::to_vec(&output).is_ok_and(|bytes| bytes.len() <= OUTPUT_BYTES_MAX) {
                data["output"] = output;
            }
            ("completed", data)
        }
        What::StatusChanged(status) => {
            ("status-changed", json!({ "name": name, "updatedAt": at, "status": status.name() }))
        }
        // A task's is made where its pointer is.
        What::Task(..) => ("status-changed", Json::Null),
    }
}

fn error_of(error: &WorkflowError) -> Json {
    serde_json::to_value(error).unwrap_or_default()
}
