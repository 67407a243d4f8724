//! Collects what the egress door tells of connections, so that it is recorded together with the answer.
//!
//! The door tells of an attempt before it answers, so everything of an attempt is here when its answer is.

use std::collections::HashMap;

use app::{Connection, Work};
use egress::{ConnectionReport, Observer};
use model::effect::EffectNumber;
use model::{ExecutionId, TenantId};
use parking_lot::Mutex;
use serde_json::json;

type Key = (TenantId, ExecutionId, EffectNumber);

/// The door's observer. Holds no more than the effects under way.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<HashMap<Key, Vec<Connection>>>);

impl Ledger {
    /// The connections of an attempt that has ended.
    pub(crate) fn take(&self, work: &Work) -> Vec<Connection> {
        self.take_of(work.tenant.clone(), work.execution.clone(), work.effect)
    }

    /// The connections of what has ended.
    pub(crate) fn take_of(
        &self,
        tenant: TenantId,
        execution: ExecutionId,
        effect: EffectNumber,
    ) -> Vec<Connection> {
        self.0.lock().remove(&(tenant, execution, effect)).unwrap_or_default()
    }
}

impl Observer for Ledger {
    fn connected(&self, report: ConnectionReport) {
        let allowed = if report.allowed { "true" } else { "false" };
        metrics::counter!("omnihub_egress_connections_total", "allowed" => allowed).increment(1);
        let connection = Connection {
            allowed: report.allowed,
            details: json!({
                "host": report.host, "port": report.port, "address": report.address.map(|a| a.ip().to_string()),
                "reason": report.reason, "sent": report.bytes_sent, "received": report.bytes_received,
                "duration_ms": report.duration_ms, "status": report.status,
            }),
        };
        self.0.lock().entry((report.tenant, report.execution, report.effect)).or_default().push(connection);
    }
}
