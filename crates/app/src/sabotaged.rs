//! What only seeded bugs do: each function stands behind a switch that every build that is shipped has not.

use std::sync::Arc;

use engine::{Execution, Input, Phase};
use model::TenantId;
use store::{Batch, CommitError};

use crate::app::App;
use crate::policies::TenantPolicies;
use crate::work::{Fence, work_of};

impl App {
    /// Behind `Bug::LeafApart`: the leaves are a commit of their own, before the step that they tell of.
    pub(crate) async fn leaves_first(&self, batch: Batch) -> Batch {
        let Batch { lease, leaves, records, .. } = batch;
        let told = Batch { lease, leaves, records, ..Batch::default() };
        self.store.commit(vec![told]).await;
        Batch { lease, expect: batch.expect, events: batch.events, puts: batch.puts, ..Batch::default() }
    }

    /// Behind `Bug::PolicyOfNeighbour`: the first policies in memory, whoever's they are.
    pub(crate) fn policies_of_neighbour(&self, tenant: &TenantId) -> Option<Arc<TenantPolicies>> {
        let mut tenants = self.policies.tenants.write();
        let found = tenants.values().next().cloned()?;
        tenants.insert(tenant.clone(), Arc::clone(&found));
        Some(found)
    }

    /// Behind `Bug::RecoveryResends`: what is under way goes to the workers once more, and no answer is lost.
    pub(crate) fn send_again(&self, state: &Execution) -> Option<Input> {
        let fence = Fence { epoch: self.switches.now().epoch, lease: self.lease };
        let revocations = self.standing.revocations();
        let sent = state.open_effects().filter(|effect| effect.phase == Phase::Started);
        let works = sent.filter_map(|effect| work_of(&self.wire, state, effect.number, fence, revocations));
        self.dispatch(works.collect());
        None
    }
}

/// Behind `Bug::KeyPerAttempt`: the key tells the attempt.
pub(crate) fn with_key_of(attempt: u32, request: &model::Request) -> model::Request {
    let mut request = request.clone();
    if let model::Request::Http(http) = &mut request {
        let keys = http.headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("idempotency-key"));
        keys.for_each(|(_, value)| value.push_str(&format!("-{attempt}")));
    }
    request
}

/// Behind `Bug::AckEarly`: the batch is written whenever there is time.
pub(crate) fn acknowledged_early(store: &Arc<dyn store::Store>, batch: Batch) -> Result<(), CommitError> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.commit(vec![batch]).await });
    Ok(())
}
