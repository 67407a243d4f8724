//! From a signed plan to the execution that it allows.

use std::sync::Arc;

use dsl::Definition;
use model::event::Started;
use model::{ExecutionId, Problem, Value};
use serde_json::json;
use store::{Expect, Put};

use super::decide::{expired, missing};
use super::{PLAN, PlanStatus};
use crate::app::App;
use crate::caller::Caller;
use crate::view::PlanUse;

/// What starts the execution of a signed plan.
pub(crate) struct Redeemed {
    pub(crate) definition: Arc<Definition>,
    pub(crate) started: Started,
    /// The plan with its new use, and that nobody else changed it meanwhile.
    pub(crate) put: Put,
    pub(crate) expect: Expect,
}

impl App {
    /// Checks that a plan may run now, and for this caller.
    pub(crate) async fn redeem(
        &self,
        caller: &Caller,
        digest: &str,
        id: Option<ExecutionId>,
    ) -> Result<Redeemed, Problem> {
        let tenant = &caller.principal.tenant;
        let mut plan = self.found_plan(tenant, digest).await?;
        let digest = plan.digest();
        let before = model::digest_of(&plan);
        let now = self.clock.now();
        let content = plan.content.clone();
        if caller.principal.id != content.requester {
            let detail =
                format!("`{}` made the plan, and nobody else runs it; make your own", content.requester);
            return Err(Problem::new(403, 3050, "plan of somebody else", detail));
        }
        match (plan.status, plan.status_word(now)) {
            (_, "used") => {
                let by: Vec<_> = plan.used_by.iter().map(|used| &used.execution).collect();
                let detail = format!("plan `{digest}` was used already; make a new plan");
                return Err(Problem::new(409, 3044, "plan used", detail).with("executions", json!(by)));
            }
            (_, "expired") => return Err(expired(&digest)),
            (PlanStatus::Signed, _) => {}
            (_, status) => {
                let detail = format!("plan `{digest}` is {status}, and only a signed one runs");
                return Err(Problem::new(409, 3042, "plan not signed", detail));
            }
        }
        let people = self.people_of(tenant).await?;
        if !missing(&plan, &people, now).is_empty() {
            let detail = format!(
                "plan `{digest}` was approved by people who may not decide it any more; make a new plan"
            );
            return Err(Problem::new(409, 3052, "approval lost", detail));
        }
        self.demand_unchanged(&plan, &digest).await?;
        let workflow = &content.workflow;
        let version = workflow.version.clone().unwrap_or_default();
        let definition = self.definition(tenant, &workflow.namespace, &workflow.name, &version).await?;
        // The first execution has the id that the plan was made with; expressions may have shown it.
        let execution = match id {
            Some(id) => id,
            None if plan.used_by.is_empty() => content.execution.clone(),
            None => ExecutionId::generate(&*self.ids, now),
        };
        plan.used_by.push(PlanUse { execution: execution.clone(), at: now });
        let input = Value::from_json(&content.input, content.input_label);
        let started = self.started_with(caller, &definition, (input, content.input_label), execution, now)?;
        let started = Started { intent: content.intent, signed: Some(digest), ..started };
        Ok(Redeemed {
            definition,
            started,
            put: plan.put(&digest)?,
            expect: Expect::Document(tenant.clone(), PLAN.to_owned(), digest.to_string(), before),
        })
    }
}
