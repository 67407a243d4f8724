//! Events that a workflow publishes.
//!
//! `emit` is recomputed like any task that asks nothing of the outside: its id follows from the execution and the number of
//! events of its history, and its time is that of the event that led to it. Whoever commits the step publishes it.

use std::sync::Arc;

use dsl::template::Template;
use model::problem::WorkflowError;
use model::{Digest, ExecutionId, Value};

use crate::flow::Signal;
use crate::state::Execution;
use crate::{EMITTED_MAX, EVENT_BYTES_MAX};

/// One commit has fewer events than this: what an older one published is published.
const KEPT: u64 = 4_096;

impl Execution {
    /// `emit`
    pub(crate) fn begin_emit(
        &mut self,
        with: &[(Arc<str>, Template)],
        input: &Value,
    ) -> Result<Signal, WorkflowError> {
        let invalid = |detail: String| WorkflowError::standard("validation", 400, "Validation Error", detail);
        let version = self.version;
        let before = self.emitted.iter().filter(|(at, _)| *at == version).count();
        if before >= EMITTED_MAX {
            let detail = format!("more than {EMITTED_MAX} events in one step: wait between them");
            return Err(WorkflowError::standard("runtime", 500, "Budget Spent", detail));
        }
        let scope = self.scope(input);
        let mut given = Vec::with_capacity(with.len());
        for (name, template) in with {
            let value = scope.fill(template, input)?;
            let text = !matches!(&**name, "data") && value.as_str().is_none_or(str::is_empty);
            let known = matches!(
                &**name,
                "id" | "source"
                    | "type"
                    | "time"
                    | "subject"
                    | "specversion"
                    | "datacontenttype"
                    | "dataschema"
            );
            if text && known {
                return Err(invalid(format!(
                    "`{name}` of an event gave a {} and must give text",
                    value.kind()
                )));
            }
            given.push((&**name, value));
        }
        let own = |name: &str| given.iter().any(|(known, _)| *known == name);
        if given.iter().any(|(name, value)| *name == "specversion" && value.as_str() != Some("1.0")) {
            return Err(invalid("`specversion` of an event is `1.0`".to_owned()));
        }
        let seed = format!("event|{}|{}|{version}|{before}", self.started.tenant, self.started.execution);
        let mut members: Vec<(&str, Value)> = Vec::new();
        if !own("specversion") {
            members.push(("specversion", Value::string("1.0")));
        }
        if !own("id") {
            let id = ExecutionId::derived(self.now, &Digest::of(seed.as_bytes()));
            members.push(("id", Value::string(id.as_str())));
        }
        if !own("time") {
            members.push(("time", Value::string(self.now.to_rfc3339())));
        }
        if !own("source") {
            let started = &self.started;
            members.push((
                "source",
                Value::string(format!("/workflows/{}/{}", started.namespace, started.name)),
            ));
        }
        if !own("type") {
            return Err(invalid("an event needs a `type`".to_owned()));
        }
        if own("data") && !own("datacontenttype") {
            members.push(("datacontenttype", Value::string("application/json")));
        }
        members.extend(given);
        let event = Value::object(members);
        if model::canonical::canonical(&event).len() > EVENT_BYTES_MAX {
            return Err(invalid(format!(
                "an event may have {EVENT_BYTES_MAX} bytes; publish a reference to more"
            )));
        }
        self.emitted.push((version, event.clone()));
        Ok(Signal::Complete(event))
    }

    /// Events that were published behind so many events of the history.
    pub fn emitted_since(&self, version: u64) -> impl Iterator<Item = &Value> {
        self.emitted.iter().filter(move |(at, _)| *at > version).map(|(_, event)| event)
    }

    pub(crate) fn forget_emitted(&mut self) {
        if !self.emitted.is_empty() {
            let oldest = self.version.saturating_sub(KEPT);
            self.emitted.retain(|(at, _)| *at > oldest);
        }
    }
}
