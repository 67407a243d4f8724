//! The machine's own clock and randomness, for the shells that run on a real machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use model::{Clock, Ids, Timestamp};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Time-ordered identifiers (UUID version 7) from the machine's randomness, unique and ordered in this process.
#[derive(Debug, Default)]
pub struct RandomIds {
    count: AtomicU64,
}

impl Ids for RandomIds {
    fn next(&self, now: Timestamp) -> uuid::Uuid {
        let mut random = [0u8; 10];
        // Without randomness the count alone keeps identifiers of this process apart.
        let _ = getrandom::fill(&mut random);
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // The count stands right after the time, so that identifiers of one millisecond are in order.
        random[0] = u8::try_from((count >> 8) & 0x0f).unwrap_or(0);
        random[1] = u8::try_from(count & 0xff).unwrap_or(0);
        let millis = u64::try_from(now.0).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_of_one_millisecond_are_in_order() {
        let ids = RandomIds::default();
        let made: Vec<_> = (0..1000).map(|_| ids.next(Timestamp(1_700_000_000_000))).collect();
        let mut sorted = made.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(made, sorted);
    }
}
