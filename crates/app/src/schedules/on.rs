//! Executions that an event begins.
//!
//! For each workflow that an event begins there is a message, written in the transaction that takes the event's own away, and
//! removed in the transaction in which the execution begins. Its id follows from the event and the workflow: none begins twice.

use std::sync::Arc;

use dsl::plan::Read;
use model::control::ControlName;
use model::{Digest, ExecutionId, Problem, Value};
use serde_json::json;
use store::Batch;

use super::begin::is_final;
use super::shelf::Known;
use crate::app::{App, store_problem};
use crate::events::{self, KeptEvent};
use crate::family::mail::{Message, What};
use crate::goals::{check_input, stopped};
use crate::record;

impl App {
    /// What begins because of an event, as messages.
    pub(crate) fn beginnings(
        &self,
        tenant: &model::TenantId,
        kept: &KeptEvent,
        event: &Value,
    ) -> Vec<Message> {
        let workflows = self.schedules.begun_by(tenant, kept.workflow.as_deref(), kept.at, event);
        let message = |workflow: String| {
            let seed = format!("on|{tenant}|{workflow}|{}", kept.key);
            let execution = ExecutionId::derived(kept.at, &Digest::of(seed.as_bytes()));
            let what = What::Start { workflow, key: kept.key.clone() };
            Message { tenant: tenant.clone(), execution, what }
        };
        workflows.into_iter().map(message).collect()
    }

    /// Delivers [`What::Start`].
    pub(crate) async fn begin_on(
        self: &Arc<Self>,
        message: &Message,
        workflow: &str,
        key: &str,
    ) -> Result<(), Problem> {
        let tenant = &message.tenant;
        let known = self.schedules.get(&(tenant.clone(), workflow.to_owned()));
        let document = self.store.document(tenant, events::KIND, key).await.map_err(|e| store_problem(&e))?;
        let begun = self.store.execution(tenant, &message.execution).await.map_err(|e| store_problem(&e))?;
        let known = known.filter(|known| known.stored.paused.is_none() && begun.is_none());
        let (Some(known), Some(document)) = (known, document) else {
            return self.drop_message(message).await;
        };
        let kept: KeptEvent = serde_json::from_value(document).map_err(Problem::machine)?;
        match self.begin_with(&known, message, &kept).await {
            Err(problem) if is_final(&problem) => {
                self.refuse_beginning(message, workflow, key, &problem).await
            }
            other => other,
        }
    }

    /// Begins it in the name of who published the workflow, with the rights of this moment; what the event carries is labelled
    /// with who sent it.
    async fn begin_with(
        self: &Arc<Self>,
        known: &Known,
        message: &Message,
        kept: &KeptEvent,
    ) -> Result<(), Problem> {
        if self.switches.now().on(ControlName::KillSwitch) {
            return Err(stopped(ControlName::KillSwitch.name()));
        }
        let now = self.clock.now();
        let caller = self.publisher(&known.stored, now).await?;
        let turn = self.turn_to_begin(&message.tenant, None).await;
        let read = known.definition.schedule.as_ref().map_or(Read::Envelope, |schedule| schedule.read);
        let event = Value::from_json(&kept.event, kept.label);
        let input = Value::array([read.of(&event)]).with_label_everywhere(kept.label);
        check_input(&known.definition, &input.to_json())?;
        let label = kept.label;
        let id = message.execution.clone();
        let mut started = self.started_with(&caller, &known.definition, (input, label), id, now)?;
        started.scheduled = Some(kept.at);
        started.placing = crate::goals::placing(None, &known.definition, &started.input)?;
        self.refuse_stopped(&started)?;
        started.placing.queued = self.place_for(&started)?;
        let extra = (vec![message.remove()], Vec::new());
        self.start_execution(&caller, Arc::clone(&known.definition), started, extra, turn).await?;
        self.notify(&message.tenant, "schedule", &known.key().1, 0);
        Ok(())
    }

    /// Trying again would be answered the same: the audit log says why nothing began.
    async fn refuse_beginning(
        &self,
        message: &Message,
        workflow: &str,
        key: &str,
        problem: &Problem,
    ) -> Result<(), Problem> {
        let details = json!({ "event": key, "code": problem.code.to_string(), "detail": problem.detail });
        let resource = format!("schedules/{workflow}");
        let now = self.clock.now();
        let record =
            record::by_system(&message.tenant, now, "schedule.refused", resource, "schedule", details);
        let batch = Batch { puts: vec![message.remove()], records: vec![record], ..Batch::default() };
        self.commit_one(batch).await
    }
}
