//! Simulated time and identifiers.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use model::{Clock, Ids, Timestamp};
use tokio::time::Instant;

/// When every simulated world begins: 2027-01-15T08:00:00Z, in milliseconds since 1970.
pub const EPOCH_MS: i64 = 1_800_000_000_000;

/// The wall clock of a simulated world: runs with the runtime's paused time, and can be set forward and back.
#[derive(Debug)]
pub struct SimClock {
    begun: Instant,
    /// By how much people, or a bad time server, have set it off, in milliseconds.
    offset: AtomicI64,
    /// Milliseconds at which the world ended; 0 while it lives.
    stopped: AtomicU64,
}

impl SimClock {
    /// A clock that begins now. Must be made inside the world's runtime.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), offset: AtomicI64::new(0), stopped: AtomicU64::new(0) }
    }

    /// Milliseconds since the world began, whatever the clock shows.
    pub fn elapsed_ms(&self) -> u64 {
        match self.stopped.load(Ordering::Relaxed) {
            0 => u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            stopped => stopped,
        }
    }

    /// The world has ended: from here on the clock shows its end, inside a runtime or not.
    pub fn stop(&self) {
        self.stopped.store(self.elapsed_ms().max(1), Ordering::Relaxed);
    }

    /// Sets the clock forward or back by so many milliseconds.
    pub fn jump(&self, millis: i64) {
        self.offset.fetch_add(millis, Ordering::Relaxed);
    }

    /// By how much it is off, in milliseconds.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed_ms()).unwrap_or(i64::MAX);
        Timestamp(EPOCH_MS.saturating_add(elapsed).saturating_add(self.offset()))
    }
}

/// Identifiers that count: unique in the world whatever the clock does, and the same for the same seed.
#[derive(Debug)]
pub struct SimIds {
    seed: u64,
    count: AtomicU64,
}

impl SimIds {
    /// Identifiers of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, count: AtomicU64::new(0) }
    }
}

impl Ids for SimIds {
    fn next(&self, now: Timestamp) -> uuid::Uuid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        // The bits before belong to the version and the variant.
        random[3..7].copy_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        random[7..].copy_from_slice(&self.seed.to_be_bytes()[5..]);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.0).unwrap_or(0), &random).into_uuid()
    }
}
