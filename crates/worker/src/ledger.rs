//! Tells the audit log of every outbound connection, without making the connection wait for it.

use std::sync::Arc;

use app::{App, Connection};
use egress::{ConnectionReport, Observer};
use serde_json::json;
use tokio::sync::mpsc;

/// Reports that may wait to be written: several times what the work queue can hold. Beyond that, a connection is
/// told of in the log of the process only.
const REPORTS_MAX: usize = 65_536;
/// Reports written in one batch.
const BATCH_MAX: usize = 256;

/// The door's observer.
pub(crate) struct Ledger {
    sender: mpsc::Sender<Connection>,
}

impl Ledger {
    /// An observer and the task that writes what it is told.
    pub(crate) fn new(app: Arc<App>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, mut receiver) = mpsc::channel(REPORTS_MAX);
        let writer = async move {
            let mut batch = Vec::new();
            while receiver.recv_many(&mut batch, BATCH_MAX).await > 0 {
                if let Err(problem) = app.record_connections(std::mem::take(&mut batch)).await {
                    tracing::error!(error = %problem, internal = problem.internal, "outbound connections could not be recorded");
                }
            }
        };
        (Self { sender }, writer)
    }
}

impl Observer for Ledger {
    fn connected(&self, report: ConnectionReport) {
        metrics::counter!("omnihub_egress_connections_total", "allowed" => if report.allowed { "true" } else { "false" }).increment(1);
        let connection = Connection {
            details: json!({
                "host": report.host, "port": report.port, "address": report.address.map(|a| a.ip().to_string()),
                "reason": report.reason, "sent": report.bytes_sent, "received": report.bytes_received,
                "duration_ms": report.duration_ms, "status": report.status,
            }),
            tenant: report.tenant,
            execution: report.execution.to_string(),
            effect: report.effect.0,
            allowed: report.allowed,
        };
        if self.sender.try_send(connection).is_err() {
            tracing::error!("the ledger of outbound connections is full; a connection is recorded only here");
        }
    }
}
