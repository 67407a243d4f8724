//! Circuit breaker and bulkhead per target: a pure state machine; the time is passed in.

use std::collections::BTreeMap;

/// When a target is left alone, and how much it is given at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerConfig {
    /// Failures in a row that open the circuit.
    pub failures_max: u32,
    /// How long an open circuit refuses, in milliseconds; then one request tries.
    pub open_ms: u64,
    /// Requests to one target at the same time.
    pub concurrency_max: u32,
    /// Targets that are remembered; quiet healthy ones are forgotten first.
    pub targets_max: usize,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures_max: 5, open_ms: 10_000, concurrency_max: 32, targets_max: 1024 }
    }
}

/// Every target's circuit.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    targets: BTreeMap<String, Target>,
}

/// How an admitted request ended, seen from the target's health.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The target answered.
    Well,
    /// The target could not be reached, broke off, or said that it is unwell.
    Badly,
    /// Nothing was learned, for example because the caller gave up.
    Unknown,
}

/// Why a request was not admitted. Nothing was sent; it may be tried later.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// Too many failures in a row.
    #[error("the circuit of `{target}` is open after repeated failures; it is tried again in {wait_ms} ms")]
    Open {
        /// The target.
        target: String,
        /// How long it stays open.
        wait_ms: u64,
    },
    /// Too many requests at once.
    #[error("`{target}` has {limit} requests under way, which is the limit")]
    Busy {
        /// The target.
        target: String,
        /// The limit that was met.
        limit: u32,
    },
    /// Too many targets are in use or unwell at once.
    #[error("{limit} targets are in use, which is the limit")]
    Crowded {
        /// The limit that was met.
        limit: usize,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Target {
    failures: u32,
    open_until: Option<u64>,
    probing: bool,
    under_way: u32,
    used_at: u64,
}

impl Breaker {
    /// A breaker that knows no target yet.
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, targets: BTreeMap::new() }
    }

    /// Admits a request or says why not. Every admission is followed by exactly one [`Breaker::settle`].
    pub fn admit(&mut self, name: &str, now_ms: u64) -> Result<(), Denied> {
        if !self.targets.contains_key(name) {
            self.make_room()?;
        }
        let config = self.config;
        let target = self.targets.entry(name.to_owned()).or_default();
        target.used_at = now_ms;
        if let Some(until) = target.open_until {
            // One request tries a target that was left alone; the others wait for its result.
            if now_ms < until || target.probing {
                let wait_ms = until.saturating_sub(now_ms);
                return Err(Denied::Open { target: name.to_owned(), wait_ms });
            }
        }
        if target.under_way >= config.concurrency_max {
            return Err(Denied::Busy { target: name.to_owned(), limit: config.concurrency_max });
        }
        target.probing = target.open_until.is_some();
        target.under_way += 1;
        Ok(())
    }

    /// Takes the result of an admitted request.
    pub fn settle(&mut self, name: &str, ended: Ended, now_ms: u64) {
        let Some(target) = self.targets.get_mut(name) else { return };
        target.under_way = target.under_way.saturating_sub(1);
        target.used_at = now_ms;
        match ended {
            Ended::Well => {
                (target.failures, target.open_until, target.probing) = (0, None, false);
            }
            Ended::Badly => {
                target.failures = target.failures.saturating_add(1);
                target.probing = false;
                if target.failures >= self.config.failures_max {
                    target.open_until = Some(now_ms.saturating_add(self.config.open_ms));
                }
            }
            Ended::Unknown => target.probing = false,
        }
    }

    /// Forgets the quiet healthy target that was used longest ago, or else the unwell one.
    fn make_room(&mut self) -> Result<(), Denied> {
        if self.targets.len() < self.config.targets_max {
            return Ok(());
        }
        let oldest = self
            .targets
            .iter()
            .filter(|(_, target)| target.under_way == 0)
            .min_by_key(|(_, target)| (target.open_until.is_some(), target.used_at))
            .map(|(name, _)| name.clone());
        match oldest {
            Some(name) => {
                self.targets.remove(&name);
                Ok(())
            }
            None => Err(Denied::Crowded { limit: self.config.targets_max }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig =
        BreakerConfig { failures_max: 2, open_ms: 100, concurrency_max: 2, targets_max: 2 };

    /// Reads a script of `time act` and writes what each admission said.
    fn play(script: &str) -> String {
        let mut breaker = Breaker::new(CONFIG);
        let mut said = Vec::new();
        for step in script.split(';').map(str::trim) {
            let mut words = step.split(' ');
            let now: u64 = words.next().expect("a time").parse().expect("a number");
            let act = words.next().expect("an act");
            let name = words.next().unwrap_or("a");
            match act {
                "admit" => said.push(match breaker.admit(name, now) {
                    Ok(()) => "yes".to_owned(),
                    Err(Denied::Open { wait_ms, .. }) => format!("open:{wait_ms}"),
                    Err(Denied::Busy { .. }) => "busy".to_owned(),
                    Err(Denied::Crowded { .. }) => "crowded".to_owned(),
                }),
                "well" => breaker.settle(name, Ended::Well, now),
                "badly" => breaker.settle(name, Ended::Badly, now),
                _ => breaker.settle(name, Ended::Unknown, now),
            }
        }
        said.join(" ")
    }

    #[test]
    fn circuits_open_try_once_and_close() {
        let table = [
            ("0 admit; 0 badly; 1 admit; 1 well; 2 admit; 2 badly; 3 admit", "yes yes yes yes"),
            ("0 admit; 0 badly; 1 admit; 1 badly; 2 admit; 100 admit", "yes yes open:99 open:1"),
            ("0 admit; 0 badly; 0 admit; 0 badly; 100 admit; 100 admit", "yes yes yes open:0"),
            (
                "0 admit; 0 badly; 0 admit; 0 badly; 100 admit; 101 well; 101 admit; 101 admit",
                "yes yes yes yes yes",
            ),
            ("0 admit; 0 badly; 0 admit; 0 badly; 100 admit; 101 badly; 102 admit", "yes yes yes open:99"),
            ("0 admit; 0 badly; 0 admit; 0 badly; 100 admit; 101 unknown; 102 admit", "yes yes yes yes"),
            ("0 admit; 0 admit; 0 admit; 1 well; 1 admit", "yes yes busy yes"),
            ("0 admit a; 0 admit b; 0 admit c; 1 well a; 1 admit c", "yes yes crowded yes"),
            (
                "0 admit a; 0 badly a; 0 admit a; 0 badly a; 5 admit b; 6 well b; 7 admit c; 8 admit a",
                "yes yes yes yes open:92",
            ),
        ];
        for (script, expected) in table {
            assert_eq!(play(script), expected, "{script}");
        }
    }

    proptest::proptest! {
        #[test]
        fn concurrency_and_memory_stay_bounded(acts in proptest::collection::vec((0u8..3, 0u8..6), 0..200)) {
            let mut breaker = Breaker::new(CONFIG);
            let mut under_way = BTreeMap::<String, u32>::new();
            for (now, (act, name)) in (0u64..).zip(acts) {
                let name = name.to_string();
                let count = under_way.entry(name.clone()).or_default();
                if act == 0 {
                    *count += u32::from(breaker.admit(&name, now).is_ok());
                } else if *count > 0 {
                    *count -= 1;
                    breaker.settle(&name, if act == 1 { Ended::Well } else { Ended::Badly }, now);
                }
                proptest::prop_assert!(*count <= CONFIG.concurrency_max);
                proptest::prop_assert!(breaker.targets.len() <= CONFIG.targets_max);
            }
        }
    }
}
