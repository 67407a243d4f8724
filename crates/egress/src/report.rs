//! What is told about every attempt to connect, allowed or refused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use model::effect::EffectNumber;
use model::{ExecutionId, TenantId};

use crate::grant::Grant;

/// One attempt to connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionReport {
    /// Whose effect it was.
    pub tenant: TenantId,
    /// Which execution asked.
    pub execution: ExecutionId,
    /// Which of its effects.
    pub effect: EffectNumber,
    /// The host of the URI; empty when the URI has none.
    pub host: String,
    /// The port; 0 when the URI has none.
    pub port: u16,
    /// The address that was connected to, when one was chosen.
    pub address: Option<SocketAddr>,
    /// False when the guard said no.
    pub allowed: bool,
    /// Why it was refused, or why it failed.
    pub reason: Option<String>,
    /// Bytes of the request that were handed to the connection (before encryption).
    pub bytes_sent: u64,
    /// Bytes of the answer that were read (after decryption).
    pub bytes_received: u64,
    /// From the start of the attempt to its end.
    pub duration_ms: u64,
    /// Status of the answer, when its head arrived.
    pub status: Option<u16>,
}

/// Is told of every attempt, once, when it has ended. Must not block.
pub trait Observer: Send + Sync {
    /// An attempt has ended.
    fn connected(&self, report: ConnectionReport);
}

/// Bytes that went over one connection.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) offered: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

impl Traffic {
    /// True when not one byte of the request was even offered to the connection.
    pub(crate) fn untouched(&self) -> bool {
        self.offered.load(Ordering::Acquire) == 0
    }
}

/// One attempt under way. Reports when dropped, so that an abandoned attempt is reported too.
pub(crate) struct Attempt {
    observer: Arc<dyn Observer>,
    started: Instant,
    report: Option<ConnectionReport>,
    pub(crate) traffic: Arc<Traffic>,
}

impl Attempt {
    pub(crate) fn start(observer: &Arc<dyn Observer>, grant: &Grant, host: &str, port: u16) -> Self {
        let report = ConnectionReport {
            tenant: grant.tenant.clone(),
            execution: grant.execution.clone(),
            effect: grant.effect,
            host: host.to_owned(),
            port,
            address: None,
            allowed: true,
            reason: Some("given up before it ended".to_owned()),
            bytes_sent: 0,
            bytes_received: 0,
            duration_ms: 0,
            status: None,
        };
        Self {
            observer: Arc::clone(observer),
            started: Instant::now(),
            report: Some(report),
            traffic: Arc::default(),
        }
    }

    pub(crate) fn address(&mut self, address: SocketAddr) {
        self.change(|report| report.address = Some(address));
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.change(|report| report.status = Some(status));
    }

    pub(crate) fn complete(mut self) {
        self.change(|report| report.reason = None);
    }

    pub(crate) fn fail(mut self, reason: &str) {
        self.change(|report| report.reason = Some(reason.to_owned()));
    }

    pub(crate) fn refuse(mut self, reason: &str) {
        self.change(|report| {
            report.allowed = false;
            report.reason = Some(reason.to_owned());
        });
    }

    fn change(&mut self, change: impl FnOnce(&mut ConnectionReport)) {
        if let Some(report) = &mut self.report {
            change(report);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(mut report) = self.report.take() {
            report.bytes_sent = self.traffic.sent.load(Ordering::Acquire);
            report.bytes_received = self.traffic.received.load(Ordering::Acquire);
            report.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.observer.connected(report);
        }
    }
}
