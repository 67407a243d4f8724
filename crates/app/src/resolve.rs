//! Resolution: a person who looked outside settles an effect whose outcome nobody knew.
//!
//! Nobody settles his own: neither who asked for the execution nor who last edited the effect's arguments may say what
//! became of it.

use std::sync::Arc;

use engine::{Input, Rejected, Resolvable};
use model::effect::EffectNumber;
use model::event::Resolved;
use model::principal::Permission;
use model::{ExecutionId, Label, Outcome, Problem, Value};

use crate::app::App;
use crate::caller::Caller;
use crate::executions::{checked_reason, effect_view, execution_id};
use crate::rejected::rejected_problem;
use crate::runner::Change;
use crate::view::{EffectView, ResolveRequest};

/// Characters of the evidence at the most.
const EVIDENCE_CHARS_MAX: usize = 2_000;

impl App {
    /// The effects of an execution, in order.
    pub async fn effects(&self, caller: &Caller, id: &str) -> Result<Vec<EffectView>, Problem> {
        Ok(self.execution(caller, id).await?.effects)
    }

    /// One effect of an execution.
    pub async fn effect(&self, caller: &Caller, id: &str, number: &str) -> Result<EffectView, Problem> {
        let number = effect_number(number)?;
        let found = self.effects(caller, id).await?.into_iter().find(|effect| effect.number == number.0);
        found.ok_or_else(|| missing(number))
    }

    /// Takes a person's word for what became of an effect; the flow goes on when it waited for it. Saying the same
    /// again changes nothing.
    pub async fn resolve(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        number: &str,
        request: ResolveRequest,
    ) -> Result<EffectView, Problem> {
        caller.demand(Permission::OperateExecution)?;
        let (id, number) = (execution_id(id)?, effect_number(number)?);
        let resolved = stated(caller, number, request)?;
        let tenant = &caller.principal.tenant;
        let held = self.hold(tenant, &id).await?;
        // Settled effects are forgotten by the state that runs; nobody else changes it while it is held.
        let change = match self.resolution(caller, &id, &resolved).await {
            Ok(change) => change,
            Err(problem) => {
                self.let_go(held);
                return Err(problem);
            }
        };
        if change == Resolvable::Same {
            self.let_go(held);
        } else {
            let looked_up = change == Resolvable::Settled;
            let input = Input::Resolve { resolved: Box::new(resolved), looked_up };
            self.go_on(held, Change { input: Some(input), ..Change::default() }, Some(caller)).await?;
        }
        self.effect_of(tenant, &id, number).await
    }

    async fn resolution(
        &self,
        caller: &Caller,
        id: &ExecutionId,
        resolved: &Resolved,
    ) -> Result<Resolvable, Problem> {
        let whole = self.replayed(&caller.principal.tenant, id, true).await?;
        let effect = whole.effect(resolved.effect).ok_or_else(|| missing(resolved.effect))?;
        let own = whole.started.requester == caller.principal.id;
        if own || effect.edited_by.as_ref() == Some(&caller.principal.id) {
            let detail = format!(
                "`{}` {}: somebody else has to look and say what became of it",
                caller.principal.id,
                if own { "asked for this execution" } else { "edited the arguments of this effect" }
            );
            return Err(Problem::new(403, 2121, "not one's own", detail));
        }
        whole.resolvable(resolved).map_err(|rejected| match rejected {
            Rejected::Settled { .. } => Problem::new(409, 2120, "nothing to resolve", rejected.to_string()),
            Rejected::Resolved(_) => Problem::new(409, 2122, "resolved otherwise", rejected.to_string()),
            Rejected::BadArguments(why) => {
                Problem::new(422, 2123, "resolution refused", why.clone()).field("/output", why)
            }
            other @ (Rejected::Ended(_)
            | Rejected::NoEffect(_)
            | Rejected::Elsewhere { .. }
            | Rejected::NoReturn(_)
            | Rejected::SignalReused(_)
            | Rejected::UpdateReused(_)
            | Rejected::UpdateUnknown { .. }
            | Rejected::UpdateNotNow(_)
            | Rejected::UpdateRefused { .. }
            | Rejected::UpdatesFull
            | Rejected::InboxFull
            | Rejected::Nothing(_)) => rejected_problem(&other),
        })
    }

    async fn effect_of(
        &self,
        tenant: &model::TenantId,
        id: &ExecutionId,
        number: EffectNumber,
    ) -> Result<EffectView, Problem> {
        let row = self.row(tenant, id).await?;
        let whole = self.replayed(tenant, id, true).await?;
        whole.effect(number).map(|effect| effect_view(effect, &whole, &row)).ok_or_else(|| missing(number))
    }
}

fn stated(caller: &Caller, effect: EffectNumber, request: ResolveRequest) -> Result<Resolved, Problem> {
    let refused = |field: &str, detail: String| {
        Problem::new(422, 2123, "resolution refused", detail.clone()).field(field, detail)
    };
    let outcome = match request.outcome.as_str() {
        "verified" => Outcome::Verified,
        "failed" => Outcome::Failed,
        _ => return Err(refused("/outcome", "`outcome` must be `verified` or `failed`".to_owned())),
    };
    let evidence = request.evidence.trim();
    if evidence.is_empty() || evidence.chars().count() > EVIDENCE_CHARS_MAX {
        let detail = format!(
            "say in 1 to {EVIDENCE_CHARS_MAX} characters what was seen and where: it goes into history and audit log"
        );
        return Err(refused("/evidence", detail));
    }
    let reason =
        if request.reason.trim().is_empty() { String::new() } else { checked_reason(&request.reason)? };
    Ok(Resolved {
        effect,
        outcome,
        evidence: evidence.to_owned(),
        output: request
            .output
            .filter(|output| !output.is_null())
            .map(|output| Value::from_json(&output, Label::EXTERNAL)),
        output_blob: None,
        by: caller.principal.id.clone(),
        reason,
    })
}

pub(crate) fn effect_number(text: &str) -> Result<EffectNumber, Problem> {
    text.parse()
        .map(EffectNumber)
        .map_err(|_| Problem::not_found("effect", &text.chars().take(64).collect::<String>()))
}

fn missing(number: EffectNumber) -> Problem {
    Problem::not_found("effect", &number.0.to_string())
}
