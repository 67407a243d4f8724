//! The machine's own clock and randomness, for the shells that run on a real machine.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::{Clock, Ids, Timestamp};
use parking_lot::Mutex;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that never goes back, so that what has expired stays expired. While the clock behind it is behind, time goes on
/// from the latest moment that was told, a little slower than it should, until the clock has caught up.
#[derive(Debug)]
pub struct SteadyClock<C> {
    inner: C,
    /// The latest moment that was told, or recorded by an earlier process; milliseconds.
    latest: AtomicI64,
    /// From where time goes on by itself.
    behind: Mutex<Option<(i64, Instant)>>,
}

/// Time goes on by itself this much slower, in parts of itself: a clock that was a day ahead for a while is right again
/// after four days.
const SLOWER: u32 = 4;

impl<C: Clock> SteadyClock<C> {
    /// On a clock.
    pub fn new(inner: C) -> Self {
        Self { inner, latest: AtomicI64::new(i64::MIN), behind: Mutex::new(None) }
    }

    /// From now on no moment before this one is told.
    pub fn not_before(&self, moment: Timestamp) {
        self.latest.fetch_max(moment.0, Ordering::AcqRel);
    }

    fn by_itself(&self, latest: i64) -> i64 {
        let mut behind = self.behind.lock();
        let now = Instant::now();
        let gone_on = behind.map(|(from, since)| {
            let passed = now.duration_since(since);
            let passed = passed.saturating_sub(passed / SLOWER);
            from.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
        });
        match gone_on {
            Some(gone_on) if gone_on >= latest => gone_on,
            // The clock was right meanwhile, or nothing was told yet: it begins here.
            _ => {
                *behind = Some((latest, now));
                latest
            }
        }
    }
}

impl<C: Clock> Clock for SteadyClock<C> {
    fn now(&self) -> Timestamp {
        let told = self.inner.now();
        let latest = self.latest.fetch_max(told.0, Ordering::AcqRel);
        if latest <= told.0 {
            return told;
        }
        let by_itself = self.by_itself(latest);
        Timestamp(self.latest.fetch_max(by_itself, Ordering::AcqRel).max(by_itself))
    }

    fn ahead(&self) -> Duration {
        let ahead = self.latest.load(Ordering::Acquire).saturating_sub(self.inner.now().0);
        Duration::from_millis(u64::try_from(ahead).unwrap_or(0))
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

    /// Tells what it was told.
    #[derive(Debug, Default)]
    struct Told(AtomicI64);

    impl Clock for Told {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Acquire))
        }
    }

    #[test]
    fn time_never_goes_back_and_never_stands_still() {
        const DAY: i64 = 86_400_000;
        let clock = SteadyClock::new(Told::default());
        let tell = |moment: i64| clock.inner.0.store(moment, Ordering::Release);
        tell(5 * DAY);
        assert_eq!(clock.now(), Timestamp(5 * DAY));
        tell(4 * DAY);
        let back = clock.now();
        assert!(back.0 >= 5 * DAY && back.0 < 5 * DAY + 60_000, "{back:?}");
        assert_eq!(clock.ahead().as_millis() / 1000, 86_400);
        // It goes on although the clock stands: this ends, or the test hangs.
        while clock.now().0 < back.0 + 20 {
            std::thread::yield_now();
        }
        let mut last = clock.now();
        for moment in [4 * DAY, 3 * DAY, 5 * DAY - 1, 0] {
            tell(moment);
            let now = clock.now();
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
        // A clock that has caught up is believed again, and set back once more it is not.
        tell(6 * DAY);
        assert_eq!(clock.now(), Timestamp(6 * DAY));
        assert_eq!(clock.ahead(), Duration::ZERO);
        tell(0);
        assert!(clock.now().0 >= 6 * DAY);
    }

    #[test]
    fn what_an_earlier_process_recorded_is_in_the_past() {
        let clock = SteadyClock::new(Told::default());
        clock.not_before(Timestamp(1000));
        assert!(clock.now() >= Timestamp(1000));
        clock.not_before(Timestamp(10));
        assert!(clock.now() >= Timestamp(1000));
    }

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
