//! Token buckets: how often one caller may ask.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::Digest;
use parking_lot::Mutex;

/// Callers that are remembered at the most. When so many are active at once, a new one waits.
const CALLERS_MAX: usize = 50_000;
/// How often room is made for new callers at the most.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// One bucket for each caller, all of one size.
pub(crate) struct Buckets {
    per_second: f64,
    burst: f64,
    inner: Mutex<Inner>,
}

struct Inner {
    buckets: BTreeMap<Digest, Bucket>,
    swept: Option<Instant>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    /// Buckets that hold `burst` requests and fill with `per_second`; both at least 1.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let inner = Inner { buckets: BTreeMap::new(), swept: None };
        Self {
            per_second: f64::from(per_second.max(1)),
            burst: f64::from(burst.max(1)),
            inner: Mutex::new(inner),
        }
    }

    /// Takes one request from the caller's bucket; an empty one answers how long to wait.
    pub(crate) fn take(&self, caller: Digest, now: Instant) -> Result<(), Duration> {
        let mut inner = self.inner.lock();
        if inner.buckets.len() >= CALLERS_MAX && !inner.buckets.contains_key(&caller) {
            self.sweep(&mut inner, now)?;
        }
        let bucket = inner.buckets.entry(caller).or_insert(Bucket { tokens: self.burst, at: now });
        bucket.tokens = self.filled(bucket, now);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.per_second))
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        (bucket.tokens + now.duration_since(bucket.at).as_secs_f64() * self.per_second).min(self.burst)
    }

    /// Forgets every caller whose bucket is full again: remembering them changes nothing.
    fn sweep(&self, inner: &mut Inner, now: Instant) -> Result<(), Duration> {
        if inner.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_EVERY) {
            inner.swept = Some(now);
            inner.buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
        }
        if inner.buckets.len() < CALLERS_MAX { Ok(()) } else { Err(SWEEP_EVERY) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let buckets = Buckets::new(10, 3);
        let start = Instant::now();
        let caller = Digest::of(b"a");
        for _ in 0..3 {
            assert_eq!(buckets.take(caller, start), Ok(()));
        }
        let wait = buckets.take(caller, start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(buckets.take(Digest::of(b"b"), start), Ok(()), "another caller has a bucket of its own");
        assert_eq!(buckets.take(caller, start + wait), Ok(()));
        assert!(buckets.take(caller, start + wait).is_err());
    }

    #[test]
    fn the_number_of_callers_is_bounded() {
        let buckets = Buckets::new(1, 2);
        let start = Instant::now();
        for i in 0..CALLERS_MAX {
            assert_eq!(buckets.take(Digest::of(&i.to_be_bytes()), start), Ok(()));
        }
        assert_eq!(buckets.take(Digest::of(b"one more"), start), Err(SWEEP_EVERY));
        assert_eq!(buckets.take(Digest::of(b"one more"), start + Duration::from_secs(2)), Ok(()));
        assert_eq!(buckets.inner.lock().buckets.len(), 1, "full buckets were forgotten");
    }
}
