//! One limit: what it counts, how much it allows, and what happens beyond.

use model::{ExecutionId, PrincipalId, Problem, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::schedule::fair::WEIGHT_MAX;

/// Executions or effects at once that a limit may name at the most.
const CONCURRENCY_MAX: u32 = 100_000;
/// Starts in one period of a rate at the most; each is remembered for one period.
const COUNT_MAX: u32 = 10_000;
/// Longest period of a rate: a day, in milliseconds.
const PER_MS_MAX: i64 = 86_400_000;
/// Stands for every tenant, or every workflow.
const ANY: &str = "*";

/// What a limit is set on. Buckets are counted apart: each tenant, each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// A tenant by its id; `*` is each tenant (platform only).
    Tenant(String),
    /// A workflow, `namespace/name`.
    Workflow(String),
    /// An action: `refund-create`, `refund-create:1.0.0` or `http:POST`. Counts effects.
    Action(String),
    /// Each value of `concurrencyKey` of a workflow `namespace/name`; `*` is any workflow that has one.
    Key(String),
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// Executions that have begun and not ended.
    Executions,
    /// Effects that were permitted and not answered.
    Effects,
}

impl Counted {
    /// Its name, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Executions => "executions",
            Self::Effects => "effects",
        }
    }
}

/// So many starts in any period of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how many milliseconds.
    pub per_ms: i64,
}

/// What happens to what a limit has no place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnExcess {
    /// It waits in line.
    Queue,
    /// It is refused.
    Refuse,
}

/// What an administrator asks for.
#[derive(Debug, Clone)]
pub struct NewLimit {
    /// On what.
    pub scope: Scope,
    /// Executions, or effects; by the scope when absent.
    pub of: Option<Counted>,
    /// At once.
    pub concurrency: Option<u32>,
    /// In a period.
    pub rate: Option<Rate>,
    /// Beyond it.
    pub on_excess: OnExcess,
    /// Turns in a row of the tenant, beside others (scope `tenant`, platform only).
    pub weight: Option<u32>,
    /// Why.
    pub reason: String,
}

/// A limit as it is stored and in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Whose document it is.
    pub owner: TenantId,
    /// Its name, unique for its owner.
    pub name: String,
    /// On what.
    pub scope: Scope,
    /// What it counts.
    pub of: Counted,
    /// At once.
    pub concurrency: Option<u32>,
    /// In a period.
    pub rate: Option<Rate>,
    /// Beyond it.
    pub on_excess: OnExcess,
    /// Turns in a row of the tenant, beside others.
    pub weight: Option<u32>,
    /// Why it was set.
    pub reason: String,
    /// By whom.
    pub by: PrincipalId,
    /// When.
    pub at: Timestamp,
}

/// What wants a place: an execution, or an effect of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) tenant: TenantId,
    /// `namespace/name`
    pub(crate) workflow: String,
    pub(crate) key: Option<String>,
    /// The operation; none for the execution itself.
    pub(crate) action: Option<String>,
}

/// Who holds a place: an execution (0), or its effect of that number.
pub(crate) type Holder = (TenantId, ExecutionId, u32);

impl Limit {
    /// Checks what was asked for. `platform` says that the owner is the platform's own tenant.
    pub(crate) fn new(
        owner: TenantId,
        name: &str,
        asked: NewLimit,
        platform: bool,
        by: PrincipalId,
        at: Timestamp,
    ) -> Result<Self, Problem> {
        let wrong = |field: &str, message: String| {
            Err(Problem::new(422, 5062, "limit refused", message.clone()).field(field, message))
        };
        let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(usual) {
            return wrong("name", "a name has 1 to 64 of `a-z`, `0-9` and `-`".to_owned());
        }
        let of = asked.of.unwrap_or(match asked.scope {
            Scope::Action(_) => Counted::Effects,
            Scope::Tenant(_) | Scope::Workflow(_) | Scope::Key(_) => Counted::Executions,
        });
        match &asked.scope {
            Scope::Tenant(tenant) if tenant != owner.as_str() && !platform => {
                return wrong(
                    "/scope/tenant",
                    format!("only the `default` tenant limits others: write `{owner}`"),
                );
            }
            Scope::Tenant(tenant) if tenant != ANY && TenantId::new(tenant.as_str()).is_err() => {
                return wrong("/scope/tenant", "write the id of a tenant, or `*` for each".to_owned());
            }
            Scope::Workflow(name) if !is_path(name) => {
                return wrong("/scope/workflow", "write `namespace/name`".to_owned());
            }
            Scope::Key(name) if name != ANY && !is_path(name) => {
                return wrong(
                    "/scope/key",
                    "write `namespace/name` of a workflow, or `*` for any that has a key".to_owned(),
                );
            }
            Scope::Action(name)
                if name.is_empty() || name.len() > 200 || name.chars().any(char::is_whitespace) =>
            {
                return wrong(
                    "/scope/action",
                    "write an operation such as `refund-create` or `http:POST`".to_owned(),
                );
            }
            Scope::Action(_) if of == Counted::Executions => {
                return wrong("/of", "a limit on an action counts effects".to_owned());
            }
            Scope::Tenant(_) | Scope::Workflow(_) | Scope::Key(_) | Scope::Action(_) => {}
        }
        if asked.concurrency.is_none() && asked.rate.is_none() && asked.weight.is_none() {
            return wrong(
                "/concurrency",
                "give `concurrency`, `rate` or both: a limit without them limits nothing".to_owned(),
            );
        }
        if asked.concurrency.is_some_and(|n| n == 0 || n > CONCURRENCY_MAX) {
            return wrong(
                "/concurrency",
                format!("write 1 to {CONCURRENCY_MAX}; to stop work, use a control"),
            );
        }
        if asked.rate.is_some_and(|rate| rate.count == 0 || rate.count > COUNT_MAX) {
            return wrong("/rate/count", format!("write 1 to {COUNT_MAX}; to stop work, use a control"));
        }
        if asked.rate.is_some_and(|rate| rate.per_ms < 1 || rate.per_ms > PER_MS_MAX) {
            return wrong("/rate/per", "write an ISO 8601 duration of PT0.001S to P1D".to_owned());
        }
        if let Some(weight) = asked.weight {
            if !platform || !matches!(asked.scope, Scope::Tenant(_)) {
                return wrong(
                    "/weight",
                    "the weight of a tenant is set by the `default` tenant, on a tenant".to_owned(),
                );
            }
            if weight == 0 || weight > WEIGHT_MAX {
                return wrong("/weight", format!("write 1 to {WEIGHT_MAX}"));
            }
        }
        Ok(Self {
            owner,
            name: name.to_owned(),
            scope: asked.scope,
            of,
            concurrency: asked.concurrency,
            rate: asked.rate,
            on_excess: asked.on_excess,
            weight: asked.weight,
            reason: asked.reason,
            by,
            at,
        })
    }

    /// True when there is something to count.
    pub(crate) fn counts(&self) -> bool {
        self.concurrency.is_some() || self.rate.is_some()
    }

    /// The bucket that the subject is counted in; none when the limit is not about it.
    pub(crate) fn bucket(&self, subject: &Subject) -> Option<String> {
        let wanted = if subject.action.is_some() { Counted::Effects } else { Counted::Executions };
        if self.of != wanted || !self.counts() {
            return None;
        }
        let own = self.owner == subject.tenant;
        match &self.scope {
            Scope::Tenant(tenant) => {
                (tenant == ANY || tenant == subject.tenant.as_str()).then(|| subject.tenant.to_string())
            }
            Scope::Workflow(workflow) => (own && *workflow == subject.workflow).then(|| workflow.clone()),
            Scope::Action(action) => {
                let operation = subject.action.as_deref()?;
                let named = operation == action
                    || operation.strip_prefix(action.as_str()).is_some_and(|rest| rest.starts_with(':'));
                (own && named).then(|| action.clone())
            }
            Scope::Key(workflow) => {
                let key = subject.key.as_ref()?;
                (own && (workflow == ANY || *workflow == subject.workflow)).then(|| key.clone())
            }
        }
    }

    /// How many turns in a row it gives the tenant; none when it says nothing of that.
    pub(crate) fn weight_of(&self, tenant: &TenantId) -> Option<u32> {
        match &self.scope {
            Scope::Tenant(named) if named == tenant.as_str() || named == ANY => self.weight,
            Scope::Tenant(_) | Scope::Workflow(_) | Scope::Action(_) | Scope::Key(_) => None,
        }
    }
}

fn is_path(text: &str) -> bool {
    text.len() <= 200
        && text.split_once('/').is_some_and(|(namespace, name)| {
            !namespace.is_empty()
                && !name.is_empty()
                && !name.contains('/')
                && !text.contains(char::is_whitespace)
        })
}
