//! Whether executions that run others, and those, say the same of one another.

use model::effect::{Answer, EffectNumber};
use model::event::EventBody;
use model::family::{ChildAnswer, ChildStatus};
use model::{ExecutionId, Problem, Request, TenantId};

use super::{Kept, Verification};
use crate::app::{App, store_problem, system_tenant};
use crate::family::mail::{KIND, Message, What};

impl App {
    /// Holds an execution against the one that runs it, and against those that it runs.
    pub(super) async fn check_family(&self, kept: &Kept, found: &mut Verification) -> Result<(), Problem> {
        self.check_parent(kept, found).await?;
        self.check_children(kept, found).await
    }

    async fn check_parent(&self, kept: &Kept, found: &mut Verification) -> Result<(), Problem> {
        let started = &kept.state.started;
        let Some(parent) = &started.family.parent else { return Ok(()) };
        let resource = format!("executions/{}", started.execution);
        let history =
            self.store.load(&started.tenant, &parent.execution).await.map_err(|e| store_problem(&e))?;
        // A rule of retention may have removed it.
        let Some(history) = history else { return Ok(()) };
        let began = history.events.iter().any(|event| {
            matches!(&event.body, EventBody::EffectStarted { effect, .. } if *effect == parent.effect)
        });
        if !began {
            let detail = format!(
                "it says that effect {} of execution `{}` runs it, and that effect never started",
                parent.effect.0, parent.execution
            );
            found.find(5050, &started.tenant, resource, detail);
        }
        Ok(())
    }

    async fn check_children(&self, kept: &Kept, found: &mut Verification) -> Result<(), Problem> {
        let (state, tenant) = (&kept.state, &kept.state.started.tenant);
        for event in &kept.events {
            if let EventBody::EffectAnswered { effect, answer: Answer::Child(told), .. } = &event.body {
                self.check_told(tenant, state, *effect, told, found).await?;
            }
        }
        for effect in state.open_effects().filter(|effect| effect.phase == engine::Phase::Started) {
            let (Request::Workflow(_), Some(child)) = (&effect.request, state.execution_of(effect)) else {
                continue;
            };
            let exists = self.store.execution(tenant, &child).await.map_err(|e| store_problem(&e))?.is_some();
            if !exists && !self.is_about_to_begin(tenant, state, effect.number, &child).await? {
                let resource = format!("executions/{}/effects/{}", state.started.execution, effect.number.0);
                let detail =
                    format!("it waits for execution `{child}`, which does not exist and nobody will begin");
                found.find(5050, tenant, resource, detail);
            }
        }
        Ok(())
    }

    /// What a parent was told is what became of the child.
    async fn check_told(
        &self,
        tenant: &TenantId,
        state: &engine::Execution,
        effect: EffectNumber,
        told: &ChildAnswer,
        found: &mut Verification,
    ) -> Result<(), Problem> {
        if !matches!(told.status, ChildStatus::Completed | ChildStatus::Undone) {
            return Ok(());
        }
        let row = self.store.execution(tenant, &told.execution).await.map_err(|e| store_problem(&e))?;
        let Some(row) = row else { return Ok(()) };
        let resource = format!("executions/{}/effects/{}", state.started.execution, effect.0);
        let child = self.brought_back(tenant, &row.id).await?.0;
        let ours = child.started.family.parent.as_ref();
        if ours.is_none_or(|parent| parent.execution != state.started.execution) {
            let detail = format!("it was told of execution `{}`, which it does not run", row.id);
            found.find(5050, tenant, resource, detail);
            return Ok(());
        }
        let now = child.child_answer();
        let same = match (&now, told.status) {
            // It may be undoing, or have undone, what it did since.
            (None | Some(ChildAnswer { status: ChildStatus::Undone, .. }), _) => true,
            (Some(now), ChildStatus::Completed) => {
                let output = |answer: &ChildAnswer| answer.output.as_ref().map(model::digest_of);
                let blob_or_same = told.output_blob.is_some() || output(now) == output(told);
                now.status == ChildStatus::Completed && blob_or_same
            }
            (Some(_), _) => false,
        };
        if !same {
            let detail = format!(
                "it was told that execution `{}` {}, and that one says otherwise",
                row.id,
                told.status.name()
            );
            found.find(5050, tenant, resource, detail);
        }
        Ok(())
    }

    async fn is_about_to_begin(
        &self,
        tenant: &TenantId,
        state: &engine::Execution,
        effect: EffectNumber,
        child: &ExecutionId,
    ) -> Result<bool, Problem> {
        let parent = state.started.execution.clone();
        let message = Message {
            tenant: tenant.clone(),
            execution: child.clone(),
            what: What::Begin { parent, effect },
        };
        let found = self.store.document(&system_tenant(), KIND, &message.key()).await;
        Ok(found.map_err(|e| store_problem(&e))?.is_some())
    }
}
