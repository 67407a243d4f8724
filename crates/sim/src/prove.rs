//! The prober proven: one seeded bug after the other is switched on, until the checks notice it.
//!
//! A bug of the application is hunted in simulated worlds, one of the store on a disk that loses power. Each hunt stops
//! at the first seed that shows it. With no bug on, the same seeds must be clean: what finds everything finds nothing.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use faulty_disk::image::Honesty;
use faulty_disk::power::{self, Plan};
use model::sabotage::{self, Bug};

use crate::run::Base;

/// Bugs that must be found, or the whole proof fails.
pub const FOUND_MIN: usize = 38;
/// The invariant that a disk that loses power checks.
const POWER: &str = "what was acknowledged survives a power loss";
/// Workloads on a disk that must be clean without a bug; each is opened many times.
const CLEAN_DISKS: u64 = 20;

/// What showed a bug.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The first seed that did.
    pub seed: u64,
    /// The invariants that broke, each once.
    pub invariants: Vec<&'static str>,
    /// What broke first.
    pub what: String,
}

/// One bug, hunted.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Which; none when nothing was switched on.
    pub bug: Option<Bug>,
    /// What showed it; none when nothing did.
    pub finding: Option<Finding>,
    /// Seeds that were run.
    pub seeds: u64,
    /// How long it took.
    pub took: Duration,
}

/// Hunts bugs. Only one prober may run in a process: the switch is the process's.
pub struct Prober {
    bases: Vec<Base>,
}

impl Prober {
    /// Publishes everything once for each thread, with no bug on.
    ///
    /// The error says what was refused.
    pub fn new(threads: usize) -> Result<Self, String> {
        sabotage::choose(None);
        let bases: Result<Vec<_>, _> = (0..threads.max(1)).map(|_| Base::found()).collect();
        Ok(Self { bases: bases? })
    }

    /// Hunts one bug through so many seeds, or looks for what is found without any.
    ///
    /// The error is about the simulator itself.
    pub fn hunt(&self, bug: Option<Bug>, seeds: u64) -> Result<Proof, String> {
        let begun = Instant::now();
        sabotage::choose(bug);
        let done = match bug {
            Some(bug) if on_disk(bug) => self.seek(seeds, power_loss),
            _ => self.seek(seeds, world),
        };
        let done = match (done, bug) {
            (Ok((None, _)), None) => self.seek(CLEAN_DISKS, power_loss).map(|(found, _)| (found, seeds)),
            (done, _) => done,
        };
        sabotage::choose(None);
        let (finding, seeds) = done?;
        Ok(Proof { bug, finding, seeds, took: begun.elapsed() })
    }

    /// Runs seeds in order on all threads until one shows something. The lowest seed counts, so every hunt ends the same.
    fn seek(
        &self,
        seeds: u64,
        run: fn(&Base, u64) -> Result<Option<Finding>, String>,
    ) -> Result<(Option<Finding>, u64), String> {
        let (next, end) = (AtomicU64::new(0), AtomicU64::new(seeds));
        let found: Mutex<Option<Finding>> = Mutex::new(None);
        let worked: Result<Vec<()>, String> = std::thread::scope(|scope| {
            let work = |base| {
                let (next, end, found) = (&next, &end, &found);
                scope.spawn(move || {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end.load(Ordering::Relaxed) {
                            return Ok(());
                        }
                        let Some(finding) = run(base, seed)? else { continue };
                        // Seeds behind it need not run; those before it that still do may take its place.
                        end.fetch_min(seed, Ordering::Relaxed);
                        let mut found = found.lock().map_err(|error| error.to_string())?;
                        if found.as_ref().is_none_or(|before| seed < before.seed) {
                            *found = Some(finding);
                        }
                    }
                })
            };
            let threads: Vec<_> = self.bases.iter().map(work).collect();
            let panicked = || Err("a thread of the prober panicked".to_owned());
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
        });
        worked?;
        let found = found.into_inner().map_err(|error| error.to_string())?;
        let ran = found.as_ref().map_or(seeds, |finding| finding.seed + 1);
        Ok((found, ran))
    }
}

/// Whether a bug is in the real store, which simulated worlds do not have.
fn on_disk(bug: Bug) -> bool {
    matches!(bug, Bug::SkipSync | Bug::BlobUnsynced | Bug::HeadApart)
}

fn world(base: &Base, seed: u64) -> Result<Option<Finding>, String> {
    let ended = base.seed(seed, false)?;
    let Some((_, what)) = ended.broken.first().cloned() else { return Ok(None) };
    let mut invariants = Vec::new();
    for (invariant, _) in ended.broken {
        if !invariants.contains(&invariant) {
            invariants.push(invariant);
        }
    }
    Ok(Some(Finding { seed, invariants, what }))
}

fn power_loss(_: &Base, seed: u64) -> Result<Option<Finding>, String> {
    let plan = Plan { seed, sessions: 2, steps: 12, images: 24, threads: 1, honesty: Honesty::Honest };
    match power::run(plan) {
        Ok(figures) if figures.failed == 0 => Ok(None),
        Ok(figures) => {
            let what = figures.failures.into_iter().next().unwrap_or_default();
            Ok(Some(Finding { seed, invariants: vec![POWER], what }))
        }
        Err(error) => Err(format!("the workload on a disk: {error}")),
    }
}

/// The list that the documentation holds.
pub fn list(proofs: &[Proof], seeds: u64) -> String {
    let mut text = String::from(
        "# Seeded bugs\n\nEach of these mistakes can be switched on, one at a time, in a build that is never shipped, and the \
         simulator has to notice it.\nWritten by `cargo xtask sim prove --write`; [the simulator](simulator.md) says what a \
         seed and an invariant are, [decision\n0026](decisions/0026-seeded-bugs.md) why the switches stand in the code.\n\n",
    );
    let found = proofs.iter().filter(|proof| proof.finding.is_some()).count();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{found} of {} are found within {seeds} seeds. Without any of them the same seeds are clean.\n\n\
         | area | bug | what it does | the promise it breaks | found by | seed |\n| --- | --- | --- | --- | --- | --- |",
        proofs.len()
    );
    for proof in proofs {
        let Some(bug) = proof.bug else { continue };
        let (by, seed) = match &proof.finding {
            Some(finding) => (finding.invariants[0], finding.seed.to_string()),
            None => ("nothing", "–".to_owned()),
        };
        let (area, name, what, promise) = (bug.area(), bug.name(), bug.what(), bug.promise());
        let _ = writeln!(text, "| {area} | `{name}` | {what} | {promise} | {by} | {seed} |");
    }
    text
}
