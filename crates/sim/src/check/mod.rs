//! The history checker: reads what is stored, what happened outside and what people were told, and names what is wrong.
//!
//! It trusts nothing that the application says about itself but the histories, which it replays.

mod approvals;
mod controls;
mod histories;
mod log;
mod outside;
mod parts;
mod plans;
mod promises;
mod returns;
mod sagas;
mod signals;

use std::collections::BTreeMap;
use std::sync::Arc;

use dsl::plan::Action;
use engine::Execution;
use model::{ActionRef, ExecutionId, TenantId};

use crate::acks;
use crate::outside::Ledger;
use crate::store::{Kept, Stored};
use crate::trace::Trace;

/// What is known of a world at its end.
#[derive(Clone)]
pub struct Facts {
    /// Everything that is durable.
    pub stored: Stored,
    /// Leaves that were there at the beginning.
    pub base_leaves: usize,
    /// The newest head, signed.
    pub head: audit::SignedHead,
    /// The key that checks it.
    pub audit_key: audit::VerifyingKey,
    /// What happened outside.
    pub ledger: Ledger,
    /// What people were told.
    pub acks: acks::Inner,
    /// What did not come to rest.
    pub unsettled: Vec<String>,
    /// Where SQLite holds something else than its model; empty when there is only the model.
    pub differs: Vec<String>,
    /// Panics.
    pub panics: Vec<String>,
    /// Tasks that are left.
    pub tasks: usize,
    /// Tasks that may be left.
    pub tasks_max: usize,
    /// What workflows are made of.
    pub catalogue: Catalogue,
    /// What each wait lasts in seconds, by workflow and task.
    pub waits: Vec<(&'static str, &'static str, u64)>,
    /// Steps that nothing undoes, by workflow.
    pub released: Vec<(&'static str, &'static str)>,
    /// For choosing where to look closer.
    pub seed: u64,
}

impl Facts {
    /// Whether an execution was forgotten by a rule of retention.
    pub(crate) fn is_buried(&self, story: &Story<'_>) -> bool {
        self.stored.buried.contains_key(&(story.tenant.clone(), story.id.clone()))
    }
}

/// Compiled workflows, by tenant and name.
#[derive(Clone, Default)]
pub struct Catalogue {
    definitions: BTreeMap<(TenantId, String), Arc<dsl::Definition>>,
}

struct Actions(BTreeMap<ActionRef, Arc<Action>>);

impl dsl::Catalogue for Actions {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.0.get(reference).cloned()
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.0.keys().cloned().collect()
    }
}

impl Catalogue {
    /// Compiles what is published, independently of the application.
    ///
    /// The error names what does not compile.
    pub fn of(stored: &Stored) -> Result<Self, String> {
        let texts = |kind: &str| {
            let of_kind = stored.documents.iter().filter(move |((_, sort, _), _)| sort == kind);
            of_kind
                .map(|((tenant, _, key), document)| {
                    (tenant.clone(), key.clone(), document["source"].as_str().unwrap_or_default().to_owned())
                })
                .collect::<Vec<_>>()
        };
        let mut actions: BTreeMap<TenantId, Actions> = BTreeMap::new();
        for (tenant, key, text) in texts("action") {
            let compiled = dsl::action::compile(&text);
            let action = compiled.action.ok_or_else(|| format!("{key}: {:?}", compiled.problems))?;
            let of_tenant = actions.entry(tenant).or_insert_with(|| Actions(BTreeMap::new()));
            of_tenant.0.insert(action.reference.clone(), action);
        }
        let mut definitions = BTreeMap::new();
        for (tenant, key, text) in texts("workflow") {
            let none = Actions(BTreeMap::new());
            let compiled = dsl::compile(&text, actions.get(&tenant).unwrap_or(&none));
            let definition = compiled.definition.ok_or_else(|| format!("{key}: {:?}", compiled.problems))?;
            definitions.insert((tenant, key), definition);
        }
        Ok(Self { definitions })
    }

    /// The workflow that an execution runs.
    pub fn of_execution(&self, kept: &Kept) -> Option<Arc<dsl::Definition>> {
        let row = &kept.row;
        let key = format!("{}/{}/{}", row.namespace, row.name, row.version);
        self.definitions.get(&(row.tenant.clone(), key)).cloned()
    }
}

/// An execution, replayed.
pub(crate) struct Story<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) id: &'a ExecutionId,
    pub(crate) kept: &'a Kept,
    /// The replay of its whole history, with all effects and tasks.
    pub(crate) state: Execution,
}

/// Everything a check may look at.
pub(crate) struct Look<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) stories: Vec<Story<'a>>,
    pub(crate) trace: &'a Trace,
}

/// What a check found wrong.
pub(crate) type Found = Vec<String>;
type Check = fn(&Look<'_>) -> Found;

/// Every invariant by its name.
const CHECKS: &[(&str, Check)] = &[
    ("every accepted execution is there", promises::none_lost),
    ("everything comes to rest or waits for a person", promises::progress),
    ("acknowledged decisions and acts are in the history", promises::acts_hold),
    ("nothing starts after a kill was acknowledged", promises::kill_holds),
    ("controls and policies hold from their acknowledgement on", controls::hold),
    ("what people must decide, people who may decided", controls::asked),
    ("a tenant is judged by its own policies", controls::own_policies),
    ("one key, one execution", promises::one_for_each_key),
    ("no tenant sees another's", promises::tenants_apart),
    ("nobody meets a panic or an internal error", promises::no_surprise),
    ("queues and memory are bounded", promises::bounded),
    ("what was committed is what is on the disk", |look| look.facts.differs.clone()),
    ("sequences have no gap and no reuse", histories::sequences),
    ("replay equals snapshot", histories::snapshots),
    ("replay equals what was stored by the living", histories::rows),
    ("no effect without an earlier matching allow", histories::permits),
    ("timers fire once and never early", histories::timers),
    ("an approval is used once, for its digest, by somebody else, in time", approvals::approvals),
    ("nothing is sent without a durable start, and once", outside::sends),
    ("a step is done at most once outside", outside::once),
    ("what is unrepeatable is tried once and then parked", outside::unrepeatable),
    ("an old token is not accepted", outside::fenced),
    ("outcomes are what really happened", outside::outcomes),
    ("a saga ends whole, undone, or parked", sagas::whole_or_undone),
    ("an undo follows its effect, once, newest first", sagas::undos),
    ("going back never repeats silently", returns::not_repeated),
    ("only what has ended is forgotten, and forks are there", returns::forgotten),
    ("an execution of a signed plan did only what it holds", plans::held),
    ("a stop of a part stops that part, and nothing else", parts::stops),
    ("nothing is sent on the word of who lost the right", parts::rights),
    ("no signal is lost or delivered twice", signals::signals),
    ("every effect, decision and act has a leaf", log::leaves),
    ("the log tells things in their order, to whom they belong", log::order),
    ("the log is whole and signed", log::tree),
];

/// Checks everything.
pub fn all(facts: &Facts, trace: &Trace) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    let mut stories = Vec::new();
    for ((tenant, id), kept) in facts.stored.executions.iter().chain(&facts.stored.buried) {
        match histories::replayed(facts, kept) {
            Ok(state) => stories.push(Story { tenant, id, kept, state }),
            Err(why) => broken.push(("every history replays", format!("{id}: {why}"))),
        }
    }
    let look = Look { facts, stories, trace };
    for (name, check) in CHECKS {
        broken.extend(check(&look).into_iter().map(|found| (*name, found)));
    }
    broken
}

/// The names of all invariants.
pub fn names() -> Vec<&'static str> {
    CHECKS.iter().map(|(name, _)| *name).chain(["every history replays"]).collect()
}
