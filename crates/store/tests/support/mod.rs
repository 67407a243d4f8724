//! Things to put into a store.

use std::sync::Arc;

use model::event::EventBody;
use model::{Clock, Event, ExecutionId, TenantId, Timestamp};
use store::{Batch, ExecutionRow, Put, SqliteStore, Store};

/// A clock that stands still.
#[derive(Debug)]
pub struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}

/// Opens a directory.
pub fn open(directory: &std::path::Path) -> Arc<SqliteStore> {
    SqliteStore::open(directory, Arc::new(Still)).expect("opens")
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("an id")
}

pub fn execution(name: &str) -> ExecutionId {
    ExecutionId::new(name).expect("an id")
}

pub fn row(tenant: &TenantId, id: &ExecutionId) -> ExecutionRow {
    ExecutionRow {
        tenant: tenant.clone(),
        id: id.clone(),
        namespace: "shop".to_owned(),
        name: "refund".to_owned(),
        version: "1.0.0".to_owned(),
        status: "running".to_owned(),
        outcome: None,
        blocked_on: None,
        requester: "ada".to_owned(),
        intent: Some("refund order 1042".to_owned()),
        error: None,
        started_at: Timestamp(1_000),
        updated_at: Timestamp(1_000),
        ended_at: None,
        due_at: None,
        parent: None,
    }
}

/// An event that can be told from others.
pub fn event(number: i64) -> Event {
    Event { at: Timestamp(number), body: EventBody::Woke }
}

pub fn record(tenant: &TenantId, correlation: &str, action: &str) -> audit::Record {
    audit::Record {
        at: Timestamp(1_000),
        tenant: tenant.clone(),
        actor: "ada".to_owned(),
        actor_kind: "user".to_owned(),
        action: action.to_owned(),
        resource: format!("executions/{correlation}"),
        correlation: correlation.to_owned(),
        classification: audit::Classification::Internal,
        address: None,
        agent: None,
        details: serde_json::Value::Null,
    }
}

/// A step: `count` events after `before`, the row, one leaf.
pub fn step(tenant: &TenantId, id: &ExecutionId, before: u64, count: u64) -> Batch {
    let numbers = before..before + count;
    Batch {
        events: Some((
            tenant.clone(),
            id.clone(),
            before,
            numbers.map(|number| event(number.cast_signed())).collect(),
        )),
        puts: vec![Put::Execution(Arc::new(row(tenant, id)))],
        records: vec![record(tenant, id.as_str(), "effect.judged")],
        ..Batch::default()
    }
}

/// Commits one batch that must succeed.
pub async fn commit(store: &dyn Store, batch: Batch) -> store::Committed {
    let answers = store.commit(vec![batch]).await;
    assert_eq!(answers.len(), 1);
    answers.into_iter().next().expect("one answer").expect("is committed")
}
