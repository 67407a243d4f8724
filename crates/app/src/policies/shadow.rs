//! Shadow policies: a candidate is judged beside the policies in force, and only recorded. It does not enforce.
//!
//! Judging happens away from the gate: a slow or broken candidate delays and changes nothing. What does not fit into
//! the queue is counted as not judged, and a candidate that keeps failing is suspended until it is put again.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Effect, Execution};
use model::principal::Permission;
use model::verdict::Verdict;
use model::{Digest, ExecutionId, Problem, TenantId, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{Batch, Put};
use tokio::sync::mpsc;

use super::simulate::compared;
use super::{Stored, TenantPolicies, compiled, compiled_set, refused};
use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::permit;
use crate::record;
use crate::view::{ShadowCase, ShadowView};

const KIND: &str = "policy-shadow";
const FIGURES: &str = "policy-shadow-figures";
/// Decisions that wait to be judged by shadows; more are counted as not judged.
const QUEUE_MAX: usize = 4096;
/// Decisions that are judged before the figures are written.
const GROUP_MAX: usize = 256;
/// Differing decisions that are kept; older ones are forgotten.
const CASES_MAX: usize = 200;
/// Failures one after the other after which a candidate is suspended.
const FAILURES_MAX: u32 = 5;
/// Shadows of one tenant at the most.
const SHADOWS_MAX: usize = 8;

/// The queue of decisions that shadows are to judge.
pub(crate) struct Shadows {
    sender: mpsc::Sender<Case>,
    receiver: Mutex<Option<mpsc::Receiver<Case>>>,
    /// Decisions that found the queue full, by tenant and shadow; added to the figures with the next group.
    missed: Mutex<BTreeMap<(TenantId, String), u64>>,
}

impl Default for Shadows {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        Self { sender, receiver: Mutex::new(Some(receiver)), missed: Mutex::default() }
    }
}

/// A candidate beside the policies in force.
pub(crate) struct Shadow {
    name: String,
    /// The set in force with the candidate in its place; none when they do not go together.
    set: Result<TenantPolicies, String>,
    digest: Digest,
}

/// One live decision.
struct Case {
    shadow: Arc<Shadow>,
    tenant: TenantId,
    execution: ExecutionId,
    effect: u32,
    at: Timestamp,
    operation: String,
    requester: String,
    input: Arc<Json>,
    verdict: Arc<Verdict>,
}

/// What a shadow has shown so far. Stored as one document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Figures {
    digest: String,
    judged: u64,
    agreed: u64,
    differed: u64,
    failed: u64,
    missed: u64,
    failures_in_a_row: u32,
    cases: Vec<ShadowCase>,
}

impl App {
    /// Puts a candidate beside the policies in force. It never enforces.
    pub async fn put_shadow(
        &self,
        caller: &Caller,
        name: &str,
        modules: BTreeMap<String, String>,
    ) -> Result<ShadowView, Problem> {
        caller.demand(Permission::ChangePolicy)?;
        model::id::TokenId::new(name).map_err(|e| {
            Problem::new(422, 3030, "policy refused", e.to_string()).field("name", e.to_string())
        })?;
        let tenant = &caller.principal.tenant;
        let bundle = compiled(name, &modules).map_err(|e| refused(&e))?;
        let _one_at_a_time = self.policies.changing.lock().await;
        let mut shadows = self.stored_shadows(tenant).await?;
        let now = self.clock.now();
        let entry = Stored {
            version: shadows.get(name).map_or(1, |before| before.version + 1),
            modules,
            by: caller.principal.id.to_string(),
            at: now,
        };
        shadows.insert(name.to_owned(), entry.clone());
        if shadows.len() > SHADOWS_MAX {
            let detail = format!("a tenant has at most {SHADOWS_MAX} shadow policies: take one away first");
            return Err(Problem::new(422, 3070, "too many shadow policies", detail));
        }
        // It has to go together with what is in force, or it would never be judged.
        let mut stored = self.stored_policies(tenant).await?;
        stored.insert(name.to_owned(), entry.clone());
        compiled_set(&stored).map_err(|e| refused(&e))?;
        let figures = Figures { digest: bundle.digest().to_string(), ..Figures::default() };
        let details = json!({ "version": entry.version, "digest": bundle.digest(), "enforces": false });
        self.commit_one(Batch {
            puts: vec![
                put(tenant, KIND, name, serde_json::to_value(&entry).map_err(Problem::machine)?),
                put(tenant, FIGURES, name, serde_json::to_value(&figures).map_err(Problem::machine)?),
            ],
            records: vec![record::by_caller(
                caller,
                now,
                "policy.shadow-put",
                format!("policies/{name}/shadow"),
                details,
            )],
            ..Batch::default()
        })
        .await?;
        self.reload_policies(tenant).await?;
        self.notify(tenant, "policy", name, entry.version);
        Ok(view(name, &entry, figures))
    }

    /// Takes a shadow away.
    pub async fn delete_shadow(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        caller.demand(Permission::ChangePolicy)?;
        let tenant = &caller.principal.tenant;
        let _one_at_a_time = self.policies.changing.lock().await;
        if !self.stored_shadows(tenant).await?.contains_key(name) {
            return Err(Problem::not_found("shadow policy", name));
        }
        let remove = |kind: &str| Put::Remove { tenant: tenant.clone(), kind: kind.into(), key: name.into() };
        let resource = format!("policies/{name}/shadow");
        let record =
            record::by_caller(caller, self.clock.now(), "policy.shadow-deleted", resource, json!({}));
        self.commit_one(Batch {
            puts: vec![remove(KIND), remove(FIGURES)],
            records: vec![record],
            ..Batch::default()
        })
        .await?;
        self.reload_policies(tenant).await?;
        self.notify(tenant, "policy", name, 0);
        Ok(())
    }

    /// What a shadow has shown so far.
    pub async fn shadow(&self, caller: &Caller, name: &str) -> Result<ShadowView, Problem> {
        let all = self.shadows(caller).await?;
        all.into_iter()
            .find(|shadow| shadow.name == name)
            .ok_or_else(|| Problem::not_found("shadow policy", name))
    }

    /// Every shadow of the tenant.
    pub async fn shadows(&self, caller: &Caller) -> Result<Vec<ShadowView>, Problem> {
        caller.demand(Permission::Read)?;
        let tenant = &caller.principal.tenant;
        let stored = self.stored_shadows(tenant).await?;
        let mut views = Vec::with_capacity(stored.len());
        for (name, entry) in &stored {
            views.push(view(name, entry, self.figures_of(tenant, name).await?));
        }
        Ok(views)
    }

    /// Lets the shadows of a tenant judge a decision, later and elsewhere.
    pub(crate) fn let_shadows_judge(
        &self,
        state: &Execution,
        effect: &Effect,
        policies: &TenantPolicies,
        verdict: &Arc<Verdict>,
        now: Timestamp,
    ) {
        // A verdict that stays as it was (after an approval, for another attempt) is no new decision.
        if policies.shadows.is_empty() || effect.verdict.as_deref() == Some(&**verdict) {
            return;
        }
        // What is denied whatever policies say is no matter of policy.
        let Some(input) = permit::input_for_shadows(state, effect, verdict) else { return };
        let input = Arc::new(input);
        for shadow in &policies.shadows {
            let case = Case {
                shadow: Arc::clone(shadow),
                tenant: state.started.tenant.clone(),
                execution: state.started.execution.clone(),
                effect: effect.number.0,
                at: now,
                operation: effect.operation.clone(),
                requester: state.started.requester.to_string(),
                input: Arc::clone(&input),
                verdict: Arc::clone(verdict),
            };
            if self.shadow_queue.sender.try_send(case).is_err() {
                let key = (state.started.tenant.clone(), shadow.name.clone());
                *self.shadow_queue.missed.lock().entry(key).or_default() += 1;
            }
        }
    }

    /// Judges what is queued until the application is dropped. Run it once.
    pub(crate) async fn keep_shadows(self: &Arc<Self>) {
        let Some(mut receiver) = self.shadow_queue.receiver.lock().take() else { return };
        let mut group = Vec::new();
        while receiver.recv_many(&mut group, GROUP_MAX).await > 0 {
            let mut by_shadow: BTreeMap<(TenantId, String), Vec<Case>> = BTreeMap::new();
            for case in group.drain(..) {
                by_shadow.entry((case.tenant.clone(), case.shadow.name.clone())).or_default().push(case);
            }
            for ((tenant, name), cases) in by_shadow {
                if let Err(problem) = self.judge_in_shadow(&tenant, &name, cases).await {
                    tracing::warn!(policy = %name, error = %problem, internal = problem.internal, "what a shadow policy showed was not recorded");
                }
            }
        }
    }

    async fn judge_in_shadow(&self, tenant: &TenantId, name: &str, cases: Vec<Case>) -> Result<(), Problem> {
        let before = self.figures_of(tenant, name).await?;
        let figures = tokio::task::spawn_blocking(move || judged(before, &cases))
            .await
            .map_err(|error| Problem::machine(format!("a shadow policy broke off: {error}")))?;
        let Some(mut figures) = figures else { return Ok(()) };
        let _one_at_a_time = self.policies.changing.lock().await;
        // Put again or taken away meanwhile: these figures are of another candidate.
        let now = self.store.document(tenant, FIGURES, name).await.map_err(|e| store_problem(&e))?;
        if now.and_then(|now| now["digest"].as_str().map(str::to_owned)).as_ref() != Some(&figures.digest) {
            return Ok(());
        }
        let key = (tenant.clone(), name.to_owned());
        figures.missed += self.shadow_queue.missed.lock().remove(&key).unwrap_or_default();
        let document = serde_json::to_value(&figures).map_err(Problem::machine)?;
        self.commit_one(Batch { puts: vec![put(tenant, FIGURES, name, document)], ..Batch::default() }).await
    }

    async fn stored_shadows(&self, tenant: &TenantId) -> Result<BTreeMap<String, Stored>, Problem> {
        let documents = self.store.documents(tenant, KIND, "", None, 100).await;
        let read = |(name, document): (String, Json)| {
            let stored = serde_json::from_value(document)
                .map_err(|e| Problem::machine(format!("shadow policy `{name}`: {e}")))?;
            Ok((name, stored))
        };
        documents.map_err(|e| store_problem(&e))?.into_iter().map(read).collect()
    }

    /// The shadows of a tenant beside the policies in force.
    pub(super) async fn shadows_beside(
        &self,
        tenant: &TenantId,
        stored: &BTreeMap<String, Stored>,
    ) -> Result<Vec<Arc<Shadow>>, Problem> {
        let shadows = self.stored_shadows(tenant).await?;
        Ok(shadows.into_iter().map(|(name, entry)| Arc::new(beside(name, entry, stored))).collect())
    }

    async fn figures_of(&self, tenant: &TenantId, name: &str) -> Result<Figures, Problem> {
        let document = self.store.document(tenant, FIGURES, name).await.map_err(|e| store_problem(&e))?;
        match document {
            Some(document) => serde_json::from_value(document).map_err(Problem::machine),
            None => Ok(Figures::default()),
        }
    }
}

fn beside(name: String, entry: Stored, stored: &BTreeMap<String, Stored>) -> Shadow {
    let digest = compiled(&name, &entry.modules).map_or(Digest::of(b""), |bundle| bundle.digest());
    let mut together = stored.clone();
    together.insert(name.clone(), entry);
    let set = compiled_set(&together).map_err(|error| error.to_string());
    Shadow { name, set, digest }
}

/// The figures after some more decisions; none when they are of another candidate.
fn judged(mut figures: Figures, cases: &[Case]) -> Option<Figures> {
    for case in cases {
        if figures.digest != case.shadow.digest.to_string() {
            return None;
        }
        if figures.failures_in_a_row >= FAILURES_MAX {
            figures.missed += 1;
            continue;
        }
        figures.judged += 1;
        let ruling = match &case.shadow.set {
            Ok(set) => set.decide(&case.input).map(Arc::unwrap_or_clone).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        let (from, to) = match ruling {
            Ok(ruling) => {
                figures.failures_in_a_row = 0;
                let policy = case.shadow.digest;
                let again = permit::from_ruling(ruling, policy, case.verdict.risk.clone());
                compared(&case.verdict, again)
            }
            Err(error) => {
                figures.failed += 1;
                figures.failures_in_a_row += 1;
                let again = permit::failed(&error, case.shadow.digest, case.verdict.risk.clone());
                compared(&case.verdict, again)
            }
        };
        if from.same_as(&to) {
            figures.agreed += 1;
            continue;
        }
        figures.differed += 1;
        if figures.cases.len() >= CASES_MAX {
            figures.cases.remove(0);
        }
        figures.cases.push(ShadowCase {
            execution: case.execution.clone(),
            effect: case.effect,
            at: case.at,
            operation: case.operation.clone(),
            requester: case.requester.clone(),
            from,
            to,
        });
    }
    Some(figures)
}

fn put(tenant: &TenantId, kind: &str, key: &str, document: Json) -> Put {
    Put::Document { tenant: tenant.clone(), kind: kind.into(), key: key.into(), document }
}

fn view(name: &str, entry: &Stored, figures: Figures) -> ShadowView {
    ShadowView {
        name: name.to_owned(),
        version: entry.version,
        digest: figures.digest,
        modules: entry.modules.clone(),
        by: entry.by.clone(),
        at: entry.at,
        judged: figures.judged,
        agreed: figures.agreed,
        differed: figures.differed,
        failed: figures.failed,
        missed: figures.missed,
        suspended: figures.failures_in_a_row >= FAILURES_MAX,
        cases: figures.cases,
    }
}
