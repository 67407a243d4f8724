//! Dead letters: work that is parked for a human.

use std::sync::Arc;

use engine::Input;
use model::Problem;
use model::id::DeadLetterId;
use model::principal::Permission;

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::executions::checked_reason;
use crate::view::{DeadLetterView, PageOf};

impl App {
    /// Dead letters, newest first; only open ones when `open`.
    pub async fn dead_letters(
        &self,
        caller: &Caller,
        open: bool,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<PageOf<DeadLetterView>, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let page = self
            .store
            .dead_letters(tenant, open, cursor, limit.clamp(1, 500))
            .await
            .map_err(|e| store_problem(&e))?;
        let items: Result<Vec<_>, Problem> = page.items.into_iter().map(read).collect();
        Ok(PageOf { items: items?, next: page.next })
    }

    /// One dead letter.
    pub async fn dead_letter(&self, caller: &Caller, id: &str) -> Result<DeadLetterView, Problem> {
        caller.demand(Permission::Read)?;
        let missing = || Problem::not_found("dead letter", &id.chars().take(64).collect::<String>());
        let parsed = DeadLetterId::new(id).map_err(|_| missing())?;
        let found =
            self.store.dead_letter(&caller.principal.tenant, &parsed).await.map_err(|e| store_problem(&e))?;
        read(found.ok_or_else(missing)?)
    }

    /// Puts parked work back to work. What may have happened is asked first; what cannot be asked is refused.
    pub async fn redrive(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        reason: &str,
    ) -> Result<DeadLetterView, Problem> {
        caller.demand(Permission::Redrive)?;
        let letter = self.dead_letter(caller, id).await?;
        if !letter.open {
            return Err(Problem::new(
                409,
                2011,
                "not parked",
                format!("dead letter `{id}` is not parked any more"),
            ));
        }
        let reason = checked_reason(if reason.trim().is_empty() { "redriven" } else { reason })?;
        let input = Input::Retry(caller.principal.id.clone(), reason);
        self.advance(&caller.principal.tenant, &letter.execution, input, Some(caller)).await?;
        self.dead_letter(caller, id).await
    }
}

fn read(document: serde_json::Value) -> Result<DeadLetterView, Problem> {
    serde_json::from_value(document).map_err(|e| Problem::machine(format!("dead letter: {e}")))
}
