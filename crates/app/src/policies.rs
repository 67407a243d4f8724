//! Policy bundles: the product's default and what a tenant adds. A good bundle is in force at once; a bad one is
//! refused with its position, and the old one stays.

mod hashing;
mod nesting;
mod shadow;
mod simulate;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use guard::policy::{Bundle, PolicyError, PolicySet, Ruling, SetEvaluator};
use model::principal::Permission;
use model::sabotage::{self, Bug};
use model::verdict::{Decision, Risk, Verdict};
use model::{Digest, Problem, TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Batch, Expect, Put};

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::permit;
use crate::record::{self, verdict_word};
use crate::view::{PolicyTestView, PolicyView, RulingView};

pub(crate) use shadow::Shadows;

const KIND: &str = "policy";
/// The bundle that comes with the product; a tenant may put its own in its place.
const DEFAULT: &str = "default";
/// Evaluators that are kept for reuse; more threads at once make their own.
const EVALUATORS_MAX: usize = 64;
/// Rulings that are remembered; beyond that, the memory starts anew.
const KNOWN_MAX: usize = 4096;
/// Bytes of the largest input whose ruling is remembered.
const KNOWN_BYTES_MAX: usize = 4096;

/// The policies of every tenant that has been asked for.
#[derive(Default)]
pub(crate) struct Policies {
    pub(crate) tenants: RwLock<BTreeMap<TenantId, Arc<TenantPolicies>>>,
    changing: tokio::sync::Mutex<()>,
}

impl Policies {
    /// True when `digest` is that of the tenant's policies at this moment.
    pub(crate) fn in_force(&self, tenant: &TenantId, digest: Digest) -> bool {
        self.tenants.read().get(tenant).is_some_and(|policies| policies.digest() == digest)
    }
}

/// The bundles in force for one tenant.
pub(crate) struct TenantPolicies {
    rules: Arc<Rules>,
    /// Candidates that are judged beside them and do not enforce.
    shadows: Vec<Arc<shadow::Shadow>>,
}

impl TenantPolicies {
    fn new(bundles: Vec<Arc<Bundle>>) -> Result<Self, PolicyError> {
        Ok(Self { rules: Arc::new(Rules::new(bundles)?), shadows: Vec::new() })
    }

    /// What the policies decide; an error means no.
    pub(crate) fn decide(&self, input: &impl Serialize) -> Result<Arc<Ruling>, PolicyError> {
        self.rules.decide(input)
    }

    /// As [`TenantPolicies::decide`], as a verdict; `risk` is a part of the input.
    pub(crate) fn verdict(&self, input: &impl Serialize, risk: &Risk) -> Result<Arc<Verdict>, PolicyError> {
        self.rules.verdict(input, risk)
    }

    pub(crate) fn digest(&self) -> Digest {
        self.rules.digest
    }
}

/// Bundles together. All tenants with the same ones share them.
pub(crate) struct Rules {
    set: PolicySet,
    digest: Digest,
    idle: Mutex<Vec<SetEvaluator>>,
    /// Rulings by the likeness of the input. A policy reads nothing but its input, so the same input has the same
    /// ruling.
    known: Mutex<HashMap<Vec<u8>, Known, hashing::Seeded>>,
}

/// A ruling that was made.
#[derive(Clone)]
struct Known {
    ruling: Arc<Ruling>,
    /// The verdict that follows, once somebody asked for it.
    verdict: Option<Arc<Verdict>>,
}

impl Rules {
    fn new(bundles: Vec<Arc<Bundle>>) -> Result<Self, PolicyError> {
        let set = PolicySet::new(bundles)?;
        Ok(Self { digest: set.digest(), set, idle: Mutex::default(), known: Mutex::default() })
    }

    fn decide(&self, input: &impl Serialize) -> Result<Arc<Ruling>, PolicyError> {
        self.known(input).map(|(_, known)| known.ruling)
    }

    fn verdict(&self, input: &impl Serialize, risk: &Risk) -> Result<Arc<Verdict>, PolicyError> {
        let (key, Known { ruling, verdict }) = self.known(input)?;
        if let Some(verdict) = verdict {
            return Ok(verdict);
        }
        let verdict = Arc::new(permit::from_ruling((*ruling).clone(), self.digest, risk.clone()));
        if let Some(known) = self.known.lock().get_mut(&key) {
            known.verdict = Some(Arc::clone(&verdict));
        }
        Ok(verdict)
    }

    /// What the policies decide, and what it is remembered by; an error means no.
    fn known(&self, input: &impl Serialize) -> Result<(Vec<u8>, Known), PolicyError> {
        let unwritable = |error: &dyn std::fmt::Display| PolicyError {
            file: "input".to_owned(),
            line: 0,
            column: 0,
            message: format!("the input has no document: {error}"),
        };
        // The document itself is only made when it has to be judged: most of what comes was seen before.
        let key = model::compact::likeness(input).map_err(|error| unwritable(&error))?;
        if let Some(found) = self.known.lock().get(&key) {
            return Ok((key, found.clone()));
        }
        let document = serde_json::to_value(input).map_err(|error| unwritable(&error))?;
        let made = Known { ruling: Arc::new(self.evaluate(&document)?), verdict: None };
        if key.len() <= KNOWN_BYTES_MAX {
            let mut known = self.known.lock();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(key.clone(), made.clone());
        }
        Ok((key, made))
    }

    fn evaluate(&self, input: &serde_json::Value) -> Result<Ruling, PolicyError> {
        let idle = self.idle.lock().pop();
        let mut evaluator = idle.unwrap_or_else(|| self.set.evaluator());
        let ruling = evaluator.decide(input)?;
        let mut idle = self.idle.lock();
        if idle.len() < EVALUATORS_MAX {
            idle.push(evaluator);
        }
        Ok(ruling)
    }
}

/// A bundle as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    version: u64,
    modules: BTreeMap<String, String>,
    by: String,
    at: Timestamp,
}

impl App {
    /// The policies of a tenant, compiled once. A bundle that cannot be read means that nothing is allowed.
    pub(crate) async fn policies_of(&self, tenant: &TenantId) -> Result<Arc<TenantPolicies>, Problem> {
        if let Some(found) = self.policies.tenants.read().get(tenant) {
            return Ok(Arc::clone(found));
        }
        if sabotage::is(Bug::PolicyOfNeighbour)
            && let Some(found) = self.policies_of_neighbour(tenant)
        {
            return Ok(found);
        }
        // In a box, because it is rare and every step would carry room for it.
        Box::pin(async {
            let _one_at_a_time = self.policies.changing.lock().await;
            self.reload_policies(tenant).await
        })
        .await
    }

    async fn reload_policies(&self, tenant: &TenantId) -> Result<Arc<TenantPolicies>, Problem> {
        let stored = self.stored_policies(tenant).await?;
        let mut loaded = self.rules_of(&stored).map_err(|e| {
            Problem::new(
                503,
                3031,
                "policy unreadable",
                "the stored policy does not compile, so nothing is allowed",
            )
            .internal(e)
        })?;
        loaded.shadows = self.shadows_beside(tenant, &stored).await?;
        let loaded = Arc::new(loaded);
        self.policies.tenants.write().insert(tenant.clone(), Arc::clone(&loaded));
        Ok(loaded)
    }

    async fn stored_policies(&self, tenant: &TenantId) -> Result<BTreeMap<String, Stored>, Problem> {
        let documents =
            self.store.documents(tenant, KIND, "", None, 1000).await.map_err(|e| store_problem(&e))?;
        documents
            .into_iter()
            .map(|(name, document)| {
                let stored = serde_json::from_value(document)
                    .map_err(|e| Problem::machine(format!("policy `{name}`: {e}")))?;
                Ok((name, stored))
            })
            .collect()
    }

    /// Puts a bundle in force.
    pub async fn put_policy(
        &self,
        caller: &Caller,
        name: &str,
        modules: BTreeMap<String, String>,
        if_match: Option<String>,
    ) -> Result<PolicyView, Problem> {
        caller.demand(Permission::ChangePolicy)?;
        model::id::TokenId::new(name).map_err(|e| {
            Problem::new(422, 3030, "policy refused", e.to_string()).field("name", e.to_string())
        })?;
        let tenant = &caller.principal.tenant;
        let bundle = self.compiled_bundle(name, &modules).map_err(|e| refused(&e))?;
        let failed: Vec<String> = bundle
            .test()
            .into_iter()
            .filter(|test| !test.passed)
            .map(|test| format!("{}: {}", test.name, test.message.unwrap_or_default()))
            .collect();
        if !failed.is_empty() {
            let detail =
                format!("the bundle's own tests fail, and the one in force stays: {}", failed.join("; "));
            return Err(Problem::new(422, 3033, "policy tests fail", detail));
        }
        let _one_at_a_time = self.policies.changing.lock().await;
        let mut stored = self.stored_policies(tenant).await?;
        let before = stored.get(name).cloned();
        if let Some(expected) = if_match {
            // What `GET` shows is what `If-Match` names: the product's own `default` too.
            let digest = match with_default(&stored).get(name) {
                Some(shown) => compiled(name, &shown.modules).map_err(|e| refused(&e))?.digest().to_string(),
                None => String::new(),
            };
            if expected.trim_matches('"') != digest {
                return Err(Problem::new(
                    412,
                    4120,
                    "precondition failed",
                    "the policy is not the one that `If-Match` names; read it again",
                ));
            }
        }
        let now = self.clock.now();
        let entry = Stored {
            version: before.as_ref().map_or(1, |b| b.version + 1),
            modules,
            by: caller.principal.id.to_string(),
            at: now,
        };
        stored.insert(name.to_owned(), entry.clone());
        let mut set = self.rules_of(&stored).map_err(|e| refused(&e))?;
        set.shadows = self.shadows_beside(tenant, &stored).await?;
        let set = Arc::new(set);
        let document = serde_json::to_value(&entry).map_err(Problem::machine)?;
        let details = json!({ "version": entry.version, "digest": bundle.digest(), "set": set.digest() });
        self.commit_one(Batch {
            puts: vec![Put::Document {
                tenant: tenant.clone(),
                kind: KIND.into(),
                key: name.into(),
                document,
            }],
            records: vec![record::by_caller(caller, now, "policy.put", format!("policies/{name}"), details)],
            ..Batch::default()
        })
        .await?;
        self.policies.tenants.write().insert(tenant.clone(), set);
        self.notify(tenant, "policy", name, entry.version);
        Ok(view(name, &entry, bundle.digest()))
    }

    /// Takes a bundle out of force; `default` falls back to the product's own.
    pub async fn delete_policy(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        caller.demand(Permission::ChangePolicy)?;
        let tenant = &caller.principal.tenant;
        let _one_at_a_time = self.policies.changing.lock().await;
        let mut stored = self.stored_policies(tenant).await?;
        let Some(before) = stored.remove(name) else { return Err(Problem::not_found("policy", name)) };
        let mut set = self.rules_of(&stored).map_err(|e| refused(&e))?;
        set.shadows = self.shadows_beside(tenant, &stored).await?;
        let set = Arc::new(set);
        let guard = model::digest_of(&before);
        self.commit_one(Batch {
            expect: vec![Expect::Document(tenant.clone(), KIND.into(), name.into(), guard)],
            puts: vec![Put::Remove { tenant: tenant.clone(), kind: KIND.into(), key: name.into() }],
            records: vec![record::by_caller(
                caller,
                self.clock.now(),
                "policy.deleted",
                format!("policies/{name}"),
                json!({}),
            )],
            ..Batch::default()
        })
        .await?;
        self.policies.tenants.write().insert(tenant.clone(), set);
        self.notify(tenant, "policy", name, 0);
        Ok(())
    }

    /// Every bundle in force.
    pub async fn policies(&self, caller: &Caller) -> Result<Vec<PolicyView>, Problem> {
        caller.demand(Permission::Read)?;
        let stored = self.stored_policies(&caller.principal.tenant).await?;
        with_default(&stored)
            .iter()
            .map(|(name, entry)| {
                Ok(view(name, entry, compiled(name, &entry.modules).map_err(|e| refused(&e))?.digest()))
            })
            .collect()
    }

    /// One bundle.
    pub async fn policy(&self, caller: &Caller, name: &str) -> Result<PolicyView, Problem> {
        let all = self.policies(caller).await?;
        all.into_iter().find(|policy| policy.name == name).ok_or_else(|| Problem::not_found("policy", name))
    }

    /// What the policies in force decide about an input, or `modules` alone for those who may change policies.
    pub async fn evaluate_policy(
        &self,
        caller: &Caller,
        input: serde_json::Value,
        modules: Option<BTreeMap<String, String>>,
    ) -> Result<RulingView, Problem> {
        caller.demand(Permission::Read)?;
        let policies = match modules {
            Some(modules) => {
                // A candidate is a program: only who may put one in force may make the server run one.
                caller.demand(Permission::ChangePolicy)?;
                let bundle = compiled("candidate", &modules).map_err(|e| refused(&e))?;
                Arc::new(TenantPolicies::new(vec![Arc::new(bundle)]).map_err(|e| refused(&e))?)
            }
            None => self.policies_of(&caller.principal.tenant).await?,
        };
        let ruling = policies.decide(&input).map_err(|e| {
            Problem::new(
                422,
                3034,
                "policy failed",
                format!("the policy failed on this input, so it would deny: {e}"),
            )
        })?;
        let (approvers, roles) = match &ruling.decision {
            Decision::RequireApproval(quorum) => (quorum.approvers, quorum.roles.clone()),
            Decision::Allow | Decision::Deny => (0, Vec::new()),
        };
        let decision = verdict_word(&ruling.decision).to_owned();
        Ok(RulingView {
            decision,
            approvers,
            roles,
            reasons: ruling.reasons.clone(),
            policy: policies.digest(),
        })
    }

    /// Runs the `test_*` rules of a bundle.
    pub async fn test_policy(&self, caller: &Caller, name: &str) -> Result<Vec<PolicyTestView>, Problem> {
        let policy = self.policy(caller, name).await?;
        let bundle = compiled(name, &policy.modules).map_err(|e| refused(&e))?;
        let tests = bundle.test().into_iter();
        Ok(tests.map(|t| PolicyTestView { name: t.name, passed: t.passed, message: t.message }).collect())
    }

    fn compiled_bundle(
        &self,
        name: &str,
        modules: &BTreeMap<String, String>,
    ) -> Result<Arc<Bundle>, PolicyError> {
        self.compiled.bundle(name, modules, || compiled(name, modules))
    }

    /// The bundles in force together, compiled once for all tenants that have the same.
    fn rules_of(&self, stored: &BTreeMap<String, Stored>) -> Result<TenantPolicies, PolicyError> {
        let all = with_default(stored);
        let texts: Vec<_> = all.iter().map(|(name, entry)| (name, &entry.modules)).collect();
        let rules = self.compiled.rules(model::digest_of(&texts), || {
            let bundles: Result<Vec<_>, _> =
                all.iter().map(|(name, entry)| self.compiled_bundle(name, &entry.modules)).collect();
            Rules::new(bundles?)
        })?;
        Ok(TenantPolicies { rules, shadows: Vec::new() })
    }
}

fn compiled(name: &str, modules: &BTreeMap<String, String>) -> Result<Bundle, PolicyError> {
    let files: Vec<(&str, &str)> =
        modules.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    for (path, text) in &files {
        nesting::check(path, text)?;
    }
    Bundle::compile(name, &files)
}

fn compiled_set(stored: &BTreeMap<String, Stored>) -> Result<TenantPolicies, PolicyError> {
    let bundles: Result<Vec<_>, _> = with_default(stored)
        .iter()
        .map(|(name, entry)| compiled(name, &entry.modules).map(Arc::new))
        .collect();
    TenantPolicies::new(bundles?)
}

fn with_default(stored: &BTreeMap<String, Stored>) -> BTreeMap<String, Stored> {
    let mut all = stored.clone();
    all.entry(DEFAULT.to_owned()).or_insert_with(|| Stored {
        version: 0,
        modules: guard::policy::DEFAULT_FILES
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect(),
        by: "system".to_owned(),
        at: Timestamp(0),
    });
    all
}

fn view(name: &str, entry: &Stored, digest: Digest) -> PolicyView {
    PolicyView {
        name: name.to_owned(),
        version: entry.version,
        digest,
        modules: entry.modules.clone(),
        by: entry.by.clone(),
        at: entry.at,
    }
}

fn refused(error: &PolicyError) -> Problem {
    let place = format!("{}:{}:{}", error.file, error.line, error.column);
    Problem::new(
        422,
        3030,
        "policy refused",
        format!("the bundle does not compile, and the one in force stays: {error}"),
    )
    .field(place, error.message.clone())
}
