//! Retention: ended executions are removed when they are old enough, by rule. Audit leaves stay for ever.
//!
//! Without a rule nothing is removed. What has not ended is never touched; what ended with an unknown outcome, or has an
//! open dead letter, only when the rule says so. A run goes through the executions in order of creation, a bounded number
//! at a time, each removal in one batch with its audit leaf, and begins anew after a rest.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use model::principal::Permission;
use model::{PrincipalId, Problem, TenantId, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Batch, CommitError, ExecutionRow, Expect, Put, Store};
use tokio::sync::Notify;

use crate::app::{App, commit_problem, store_problem, system_tenant};
use crate::caller::Caller;
use crate::executions::checked_reason;
use crate::letters::letters_of;
use crate::record;

const KIND: &str = "retention";
/// Rules of one tenant at the most.
const RULES_MAX: usize = 100;
/// Executions looked at and removed at once.
const PAGE: u32 = 200;
/// Rest between two runs, and after a failure.
const REST: Duration = Duration::from_secs(600);
/// Rest between two pages: what people ask for goes first.
const BREATH: Duration = Duration::from_millis(20);
/// Longest age that a rule may name: a hundred years, in milliseconds.
const AFTER_MS_MAX: i64 = 36_525 * 86_400_000;
/// Open dead letters that are read at once.
const LETTERS_PAGE: u32 = 1000;
/// Executions that a preview counts at the most, and how many it names.
const COUNTED_MAX: u64 = 100_000;
const NAMED_MAX: usize = 20;

/// What an administrator asks for.
#[derive(Debug, Clone)]
pub struct NewRule {
    /// Only of this workflow, `namespace/name`; all of the tenant when absent.
    pub workflow: Option<String>,
    /// Age since the end, in milliseconds.
    pub after_ms: i64,
    /// Also executions whose outcome is unknown.
    pub unknown: bool,
    /// Also executions with an open dead letter.
    pub dead_letters: bool,
    /// Why.
    pub reason: String,
}

/// A rule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whose executions.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Only of this workflow.
    pub workflow: Option<String>,
    /// Age since the end, in milliseconds.
    pub after_ms: i64,
    /// Also of unknown outcome.
    pub unknown: bool,
    /// Also with an open dead letter.
    pub dead_letters: bool,
    /// Why it was set.
    pub reason: String,
    /// By whom.
    pub by: PrincipalId,
    /// When.
    pub at: Timestamp,
}

/// A rule as it is shown.
#[derive(Debug, Clone)]
pub struct RuleView {
    /// The rule.
    pub rule: Rule,
    /// Executions that it removed since the start of this process.
    pub removed: u64,
    /// When a run went through everything last.
    pub ran_at: Option<Timestamp>,
}

/// What a rule would remove now.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    /// How many; counting ends at a hundred thousand.
    pub count: u64,
    /// The first ones.
    pub executions: Vec<String>,
}

/// The rules in force, and what they did.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Mutex<BTreeMap<(TenantId, String), Known>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
struct Known {
    rule: Rule,
    removed: u64,
    ran_at: Option<Timestamp>,
}

impl Rules {
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, Problem> {
        let mut rules = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.documents(&system_tenant(), KIND, "", after.as_deref(), 1000).await;
            let page = page.map_err(|e| store_problem(&e))?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, document) in page {
                let rule: Rule = serde_json::from_value(document).map_err(|e| {
                    Problem::machine(format!("the retention rule `{key}` cannot be read: {e}"))
                })?;
                rules.insert(
                    (rule.tenant.clone(), rule.name.clone()),
                    Known { rule, removed: 0, ran_at: None },
                );
            }
        }
        Ok(Self { rules: Mutex::new(rules), changed: Notify::new() })
    }
}

impl App {
    /// The rules of the caller's tenant.
    #[expect(
        clippy::unused_async,
        reason = "every use case is awaited alike, whether or not it has to read the store today"
    )]
    pub async fn retention_rules(&self, caller: &Caller) -> Result<Vec<RuleView>, Problem> {
        caller.demand(Permission::Read)?;
        let rules = self.rules.rules.lock();
        let own = rules.values().filter(|known| known.rule.tenant == caller.principal.tenant);
        Ok(own.cloned().map(Known::view).collect())
    }

    /// Sets a rule.
    pub async fn put_retention(
        &self,
        caller: &Caller,
        name: &str,
        asked: NewRule,
    ) -> Result<RuleView, Problem> {
        caller.demand(Permission::Administer)?;
        let reason = checked_reason(&asked.reason)?;
        let tenant = caller.principal.tenant.clone();
        let rule = checked(caller, name, NewRule { reason, ..asked }, self.clock.now())?;
        let others = self.rules.rules.lock().keys().filter(|(of, n)| *of == tenant && n != name).count();
        if others >= RULES_MAX {
            return Err(refused(
                "name",
                &format!("a tenant has at most {RULES_MAX} rules: remove one first"),
            ));
        }
        let details = json!({
            "workflow": rule.workflow, "after_ms": rule.after_ms, "unknown": rule.unknown,
            "dead_letters": rule.dead_letters, "reason": rule.reason,
        });
        let record =
            record::by_caller(caller, rule.at, "retention.set", format!("retention/{name}"), details);
        let document = serde_json::to_value(&rule).map_err(Problem::machine)?;
        let put = Put::Document {
            tenant: system_tenant(),
            kind: KIND.into(),
            key: format!("{tenant}/{name}"),
            document,
        };
        self.commit_one(Batch { puts: vec![put], records: vec![record], ..Batch::default() }).await?;
        let known = Known { rule, removed: 0, ran_at: None };
        self.rules.rules.lock().insert((tenant, name.to_owned()), known.clone());
        self.rules.changed.notify_one();
        Ok(known.view())
    }

    /// Removes a rule; what it removed stays removed.
    pub async fn delete_retention(&self, caller: &Caller, name: &str, reason: &str) -> Result<(), Problem> {
        caller.demand(Permission::Administer)?;
        let reason = checked_reason(reason)?;
        let key = (caller.principal.tenant.clone(), name.to_owned());
        // Out of force in memory first: on doubt nothing is removed.
        let Some(known) = self.rules.rules.lock().remove(&key) else {
            return Err(Problem::not_found("retention rule", &name.chars().take(64).collect::<String>()));
        };
        let now = self.clock.now();
        let details = json!({ "reason": reason });
        let record =
            record::by_caller(caller, now, "retention.removed", format!("retention/{name}"), details);
        let remove =
            Put::Remove { tenant: system_tenant(), kind: KIND.into(), key: format!("{}/{name}", key.0) };
        let done =
            self.commit_one(Batch { puts: vec![remove], records: vec![record], ..Batch::default() }).await;
        if done.is_err() {
            self.rules.rules.lock().insert(key, known);
        }
        done
    }

    /// What a rule would remove now, without removing it.
    pub async fn preview_retention(&self, caller: &Caller, asked: NewRule) -> Result<Preview, Problem> {
        caller.demand(Permission::Read)?;
        let now = self.clock.now();
        let rule = checked(caller, "preview", asked, now)?;
        let mut preview = Preview::default();
        let mut after = None;
        loop {
            let (rows, next) = self.old_enough(&rule, now, after).await?;
            preview.count += rows.len() as u64;
            let room = NAMED_MAX - preview.executions.len();
            preview.executions.extend(rows.iter().take(room).map(|row| row.id.to_string()));
            after = next;
            if after.is_none() || preview.count >= COUNTED_MAX {
                return Ok(preview);
            }
        }
    }

    /// Removes what the rules name, until the task is dropped.
    pub(crate) async fn keep_retention(self: &Arc<Self>) {
        loop {
            let keys: Vec<_> = self.rules.rules.lock().keys().cloned().collect();
            for key in keys {
                if let Err(problem) = self.run_rule(&key).await {
                    tracing::warn!(rule = key.1, tenant = %key.0, error = %problem, "retention was broken off; it is tried again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(REST) => {}
                () = self.rules.changed.notified() => {}
            }
        }
    }

    async fn run_rule(&self, key: &(TenantId, String)) -> Result<(), Problem> {
        let now = self.clock.now();
        let mut after = None;
        loop {
            // Looked up for each page: a rule that is gone or changed removes nothing more.
            let Some(rule) = self.rules.rules.lock().get(key).map(|known| known.rule.clone()) else {
                return Ok(());
            };
            let (rows, next) = self.old_enough(&rule, now, after).await?;
            let removed = self.remove_executions(&rule, rows).await?;
            {
                let mut rules = self.rules.rules.lock();
                if let Some(known) = rules.get_mut(key) {
                    known.removed += removed;
                    if next.is_none() {
                        known.ran_at = Some(now);
                    }
                }
            }
            metrics::counter!("omnihub_executions_removed_total").increment(removed);
            after = next;
            if after.is_none() {
                return Ok(());
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    async fn old_enough(
        &self,
        rule: &Rule,
        now: Timestamp,
        after: Option<i64>,
    ) -> Result<(Vec<ExecutionRow>, Option<i64>), Problem> {
        let before = Timestamp(now.0.saturating_sub(rule.after_ms));
        let page = self.store.ended(&rule.tenant, before, after, PAGE).await;
        let (mut rows, next) = page.map_err(|e| store_problem(&e))?;
        rows.retain(|row| {
            let workflow = format!("{}/{}", row.namespace, row.name);
            rule.workflow.as_ref().is_none_or(|wanted| *wanted == workflow)
                && (rule.unknown || row.outcome.as_deref() != Some("unknown"))
        });
        if !rule.dead_letters && !rows.is_empty() {
            let parked = self.with_open_letters(&rule.tenant).await?;
            rows.retain(|row| !parked.contains(row.id.as_str()));
        }
        Ok((rows, next))
    }

    async fn with_open_letters(&self, tenant: &TenantId) -> Result<HashSet<String>, Problem> {
        let mut parked = HashSet::new();
        let mut cursor = None;
        loop {
            let page = self.store.dead_letters(tenant, true, cursor, LETTERS_PAGE).await;
            let page = page.map_err(|e| store_problem(&e))?;
            parked.extend(
                page.items.iter().filter_map(|letter| letter["execution"].as_str().map(str::to_owned)),
            );
            cursor = page.next;
            if cursor.is_none() {
                return Ok(parked);
            }
        }
    }

    /// True while an execution may still be asked to undo what it did: until the last of those that run it has ended.
    async fn may_be_undone(&self, row: &ExecutionRow) -> Result<bool, Problem> {
        let mut above = row.parent.clone();
        for _ in 0..=engine::FAMILY_DEPTH_MAX {
            let Some(id) = above else { return Ok(false) };
            let found = self.store.execution(&row.tenant, &id).await.map_err(|e| store_problem(&e))?;
            let Some(parent) = found else { return Ok(false) };
            if parent.ended_at.is_none() {
                return Ok(true);
            }
            above = parent.parent;
        }
        Ok(false)
    }

    async fn remove_executions(&self, rule: &Rule, rows: Vec<ExecutionRow>) -> Result<u64, Problem> {
        let now = self.clock.now();
        let mut free = Vec::with_capacity(rows.len());
        for row in rows {
            if !self.may_be_undone(&row).await? {
                free.push(row);
            }
        }
        let removals = free.into_iter().filter_map(|row| removal(rule, row, now));
        let batches: Vec<Batch> = removals.map(|batch| Batch { lease: Some(self.lease), ..batch }).collect();
        if batches.is_empty() {
            return Ok(0);
        }
        let mut removed = 0;
        for done in self.store.commit(batches).await {
            match done {
                Ok(_) => removed += 1,
                // It began again in between: a retry was faster.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(commit_problem(&error)),
            }
        }
        Ok(removed)
    }
}

impl Known {
    fn view(self) -> RuleView {
        RuleView { rule: self.rule, removed: self.removed, ran_at: self.ran_at }
    }
}

fn removal(rule: &Rule, row: ExecutionRow, now: Timestamp) -> Option<Batch> {
    let ended_at = row.ended_at?;
    let details = json!({
        "rule": rule.name, "workflow": format!("{}/{}:{}", row.namespace, row.name, row.version),
        "status": row.status, "outcome": row.outcome, "ended_at": ended_at.to_rfc3339(),
    });
    let resource = format!("executions/{}", row.id);
    let record = record::by_system(&row.tenant, now, "execution.removed", resource, row.id.as_str(), details);
    let letters = letters_of(&row.tenant, &row.id, row.started_at);
    Some(Batch {
        expect: vec![Expect::Ended(row.tenant.clone(), row.id.clone(), ended_at)],
        puts: vec![Put::RemoveExecution { tenant: row.tenant, execution: row.id, letters }],
        records: vec![record],
        ..Batch::default()
    })
}

fn checked(caller: &Caller, name: &str, asked: NewRule, now: Timestamp) -> Result<Rule, Problem> {
    let usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(usual) {
        return Err(refused("name", "a name has 1 to 64 of `a-z`, `0-9` and `-`"));
    }
    if !(0..=AFTER_MS_MAX).contains(&asked.after_ms) {
        return Err(refused(
            "/after",
            "write an ISO 8601 duration of at most a hundred years, such as `P30D`",
        ));
    }
    let named = |text: &String| {
        text.len() <= 200 && text.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
    };
    if asked.workflow.as_ref().is_some_and(|workflow| !named(workflow)) {
        return Err(refused("/workflow", "write `namespace/name`"));
    }
    Ok(Rule {
        tenant: caller.principal.tenant.clone(),
        name: name.to_owned(),
        workflow: asked.workflow,
        after_ms: asked.after_ms,
        unknown: asked.unknown,
        dead_letters: asked.dead_letters,
        reason: asked.reason,
        by: caller.principal.id.clone(),
        at: now,
    })
}

fn refused(field: &str, message: &str) -> Problem {
    Problem::new(422, 5065, "retention refused", message).field(field, message)
}
