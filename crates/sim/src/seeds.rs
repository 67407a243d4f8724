//! Many seeds on a few threads, and what they add up to.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::marks;
use crate::run::{Base, Broken, Ended};

/// Seeds that fail before a run gives up.
const FAILURES_MAX: usize = 20;
/// Seeds from which on a mark that was never reached fails the run.
const MARKS_FROM: u64 = 2_000;

/// What a run of many seeds adds up to.
#[derive(Debug, Default)]
pub struct Totals {
    /// Seeds that ran.
    pub seeds: u64,
    /// Seeds with a broken invariant, and what broke.
    pub failed: Vec<(u64, Broken)>,
    /// Marks.
    pub marks: BTreeMap<&'static str, u64>,
    /// Faults.
    pub faults: BTreeMap<&'static str, u64>,
    /// Simulated time of all worlds together.
    pub simulated: Duration,
    /// Executions, events and leaves.
    pub sizes: [u64; 3],
    /// Real time.
    pub took: Duration,
    /// All hashes together, in the order of the seeds.
    pub hash: u64,
}

impl Totals {
    fn add(&mut self, ended: &Ended) {
        self.seeds += 1;
        self.simulated += ended.simulated;
        self.hash ^= ended.hash.rotate_left(u32::try_from(ended.seed % 64).unwrap_or(0));
        for (sum, size) in self.sizes.iter_mut().zip(ended.sizes) {
            *sum += size;
        }
        for (mark, times) in &ended.marks {
            *self.marks.entry(mark).or_default() += times;
        }
        for (fault, times) in &ended.faults {
            *self.faults.entry(fault).or_default() += times;
        }
        if !ended.broken.is_empty() {
            self.failed.push((ended.seed, ended.broken.clone()));
        }
    }

    /// Marks that were never reached.
    pub fn missing(&self) -> Vec<&'static str> {
        marks::ALL.iter().copied().filter(|mark| !self.marks.contains_key(mark)).collect()
    }

    /// True when nothing is wrong with the run.
    pub fn fine(&self) -> bool {
        self.failed.is_empty() && (self.seeds < MARKS_FROM || self.missing().is_empty())
    }
}

/// Runs `count` seeds from `from` on. `heard` hears how many have run, now and then.
///
/// The error is about the simulator itself.
pub fn run(from: u64, count: u64, threads: usize, heard: impl Fn(u64) + Sync) -> Result<Totals, String> {
    let began = Instant::now();
    let next = AtomicU64::new(from);
    let stop = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    let worked: Result<Vec<()>, String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| {
                scope.spawn(|| {
                    let base = Base::found()?;
                    while !stop.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= from + count {
                            break;
                        }
                        let ended = base.seed(seed, false)?;
                        let mut totals = totals.lock().map_err(|error| error.to_string())?;
                        totals.add(&ended);
                        if totals.failed.len() >= FAILURES_MAX {
                            stop.store(true, Ordering::Relaxed);
                        }
                        let done = totals.seeds;
                        drop(totals);
                        heard(done);
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err("a simulator thread panicked".to_owned())))
            .collect()
    });
    worked?;
    let mut totals = totals.into_inner().map_err(|error| error.to_string())?;
    totals.took = began.elapsed();
    totals.failed.sort();
    Ok(totals)
}
