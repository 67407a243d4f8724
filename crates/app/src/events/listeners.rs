//! Who listens for events that are addressed to nobody.
//!
//! Ten thousand executions that wait for the same type are told apart by what they correlate: what is read from an event is
//! read once for all that read the same, and its value names those that expect it. Only those are looked at one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dsl::expr::{Budget, Expr, Vars};
use engine::Subscription;
use model::{Data, ExecutionId, TenantId, Value};
use parking_lot::Mutex;

/// Numbers up to here are the same whole or not.
const EXACT: i64 = 1 << 53;

/// Who listens. Memory only: made again from the store at the start.
#[derive(Default)]
pub(crate) struct Listeners {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What each execution listens for.
    of: BTreeMap<(TenantId, ExecutionId), Arc<Vec<Subscription>>>,
    /// By the `type` that they name; the empty one is any.
    by_kind: BTreeMap<(TenantId, String), Group>,
}

/// Executions that listen for one type.
#[derive(Default)]
struct Group {
    /// Those that correlate nothing, or something else than text and whole numbers.
    plain: BTreeSet<ExecutionId>,
    /// The others, by the text of what they read from the event.
    read: BTreeMap<String, Read>,
}

/// Executions that read the same from an event.
struct Read {
    from: Expr,
    by_value: BTreeMap<String, BTreeSet<ExecutionId>>,
}

/// Where a subscription stands in its group; none for the plain ones.
fn place(subscription: &Subscription) -> Option<(&Expr, String)> {
    let (from, expected) = subscription.correlation()?;
    Some((from, named(expected)?))
}

/// Equal values have one name; none for what is not looked up by name.
fn named(value: &Value) -> Option<String> {
    match &value.data {
        Data::String(text) => Some(format!("\"{text}")),
        Data::Int(int) if int.abs() < EXACT => Some(int.to_string()),
        #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough")]
        #[expect(clippy::cast_precision_loss, reason = "exact up to there")]
        Data::Float(float) if float.fract() == 0.0 && float.abs() < EXACT as f64 => {
            Some((*float as i64).to_string())
        }
        _ => None,
    }
}

impl Group {
    fn add(&mut self, subscription: &Subscription, execution: &ExecutionId) {
        match place(subscription) {
            None => drop(self.plain.insert(execution.clone())),
            Some((from, value)) => {
                let read = self.read.entry(from.text().to_owned());
                let read = read.or_insert_with(|| Read { from: from.clone(), by_value: BTreeMap::new() });
                read.by_value.entry(value).or_default().insert(execution.clone());
            }
        }
    }

    fn remove(&mut self, subscription: &Subscription, execution: &ExecutionId) {
        let Some((from, value)) = place(subscription) else {
            self.plain.remove(execution);
            return;
        };
        let Some(read) = self.read.get_mut(from.text()) else { return };
        if let Some(executions) = read.by_value.get_mut(&value) {
            executions.remove(execution);
            if executions.is_empty() {
                read.by_value.remove(&value);
            }
        }
        if read.by_value.is_empty() {
            self.read.remove(from.text());
        }
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.read.is_empty()
    }

    /// Executions that may want an event.
    fn candidates<'a>(&'a self, event: &Value, found: &mut BTreeSet<&'a ExecutionId>) {
        found.extend(&self.plain);
        for read in self.read.values() {
            let said = read.from.eval(event, &Vars(&[]), &mut Budget::default());
            let name = said.ok().as_ref().and_then(named);
            found.extend(name.and_then(|name| read.by_value.get(&name)).into_iter().flatten());
        }
    }
}

impl Known {
    fn forget(&mut self, key: &(TenantId, ExecutionId)) {
        let Some(old) = self.of.remove(key) else { return };
        for subscription in old.iter() {
            let kind = (key.0.clone(), subscription.kind.clone().unwrap_or_default());
            if let Some(group) = self.by_kind.get_mut(&kind) {
                group.remove(subscription, &key.1);
                if group.is_empty() {
                    self.by_kind.remove(&kind);
                }
            }
        }
    }
}

impl Listeners {
    /// Notes what an execution listens for now.
    pub(super) fn put(&self, key: (TenantId, ExecutionId), subscriptions: Vec<Subscription>) {
        let mut known = self.known.lock();
        known.forget(&key);
        if subscriptions.is_empty() {
            return;
        }
        for subscription in &subscriptions {
            let kind = (key.0.clone(), subscription.kind.clone().unwrap_or_default());
            known.by_kind.entry(kind).or_default().add(subscription, &key.1);
        }
        known.of.insert(key, Arc::new(subscriptions));
    }

    /// Whether an execution may want an event.
    pub(super) fn wants(&self, tenant: &TenantId, execution: &ExecutionId, event: &Value) -> bool {
        let all = self.known.lock().of.get(&(tenant.clone(), execution.clone())).map(Arc::clone);
        all.is_some_and(|all| all.iter().any(|one| one.may_take(event)))
    }

    /// Executions that may want an event, in order.
    pub(super) fn wanting(&self, tenant: &TenantId, kind: &str, event: &Value) -> Vec<ExecutionId> {
        let candidates: Vec<(ExecutionId, Arc<Vec<Subscription>>)> = {
            let known = self.known.lock();
            let mut ids = BTreeSet::new();
            for kind in [kind, ""] {
                if let Some(group) = known.by_kind.get(&(tenant.clone(), kind.to_owned())) {
                    group.candidates(event, &mut ids);
                }
            }
            let with = |id: &ExecutionId| {
                Some((id.clone(), Arc::clone(known.of.get(&(tenant.clone(), id.clone()))?)))
            };
            ids.into_iter().filter_map(with).collect()
        };
        let wants =
            |(_, all): &(ExecutionId, Arc<Vec<Subscription>>)| all.iter().any(|one| one.may_take(event));
        candidates.into_iter().filter(wants).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_name() {
        let json = |json: serde_json::Value| Value::from_json(&json, model::Label::DEFINITION);
        let values = [
            json(serde_json::json!(1)),
            json(serde_json::json!(1.0)),
            json(serde_json::json!("1")),
            json(serde_json::json!(0)),
            Value::new(Data::Float(-0.0)),
            json(serde_json::json!(1.5)),
            json(serde_json::json!(9_007_199_254_740_993_i64)),
            Value::new(Data::Float(9_007_199_254_740_992.0)),
            json(serde_json::json!(i64::MIN + 1)),
            json(serde_json::json!(null)),
            json(serde_json::json!([1])),
        ];
        for a in &values {
            for b in &values {
                // What has a name is equal to what has the same one, and to nothing that has none.
                if let Some(name) = named(a) {
                    assert_eq!(named(b) == Some(name), a == b, "{a} {b}");
                }
            }
        }
    }
}
