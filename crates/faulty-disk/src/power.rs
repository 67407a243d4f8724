//! Power loss: a workload on the real store, and what is found when the power goes off at any moment of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::Digest;
use parking_lot::Mutex;
use store::{Options, SqliteStore, Store, verify_directory};

use crate::dice::Dice;
use crate::disk::{Act, Disk};
use crate::image::{Honesty, State};
use crate::reading::{Answered, Known, everything};
use crate::workload::{Still, Workload};

/// Pages of log after which it is folded into the database: few, so that this happens often.
const LOG_PAGES: u32 = 60;
/// Failures that are told in full.
const TOLD_MAX: usize = 10;

/// What to try.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where chance begins.
    pub seed: u64,
    /// Times that the store is opened, worked on, and closed.
    pub sessions: usize,
    /// Steps in each.
    pub steps: usize,
    /// Images to make.
    pub images: usize,
    /// Threads that open them.
    pub threads: usize,
    /// Whether the disk told the truth about syncs.
    pub honesty: Honesty,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Images made and opened.
    pub images: usize,
    /// Of these at moments where something was synchronized.
    pub at_syncs: usize,
    /// Acts on the disk in the workload.
    pub acts: usize,
    /// Syncs among them.
    pub syncs: usize,
    /// Images that the store refused to open, loudly. With an honest disk each is a failure too.
    pub refused: usize,
    /// Images where more than what was acknowledged was found, all of it whole.
    pub ahead: usize,
    /// What should not be: the first few.
    pub failures: Vec<String>,
    /// How many there were.
    pub failed: usize,
}

/// What the workload left behind.
struct Run {
    acts: Vec<Act>,
    /// After each step: where the log of acts was when it was acknowledged.
    acknowledged: Vec<usize>,
    /// Blobs, and where the log was when each was acknowledged.
    blobs: Vec<(usize, Digest)>,
    /// What the store answered after each number of steps.
    expected: Vec<Vec<Answered>>,
    known: Known,
}

/// Runs the workload and opens its images.
///
/// # Errors
/// When files cannot be written or the workload itself is refused.
pub fn run(plan: Plan) -> Result<Figures, Box<dyn std::error::Error + Send + Sync>> {
    let scratch = tempfile::Builder::new().prefix("power-loss").tempdir_in(memory())?;
    let root = scratch.path().join("data");
    let run = work(plan, &root)?;
    let figures = Mutex::new(Figures {
        acts: run.acts.len(),
        syncs: run.acts.iter().filter(|act| is_sync(act)).count(),
        ..Figures::default()
    });
    let moments = moments(plan, &run.acts);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.threads.max(1))
            .map(|number| {
                let (run, root, moments, next, figures) = (&run, &root, &moments, &next, &figures);
                let to = scratch.path().join(format!("image-{number}"));
                scope.spawn(move || try_images(plan, run, root, &to, (moments, next), figures))
            })
            .collect();
        for thread in threads {
            if thread.join().is_err() {
                let mut figures = figures.lock();
                figures.failed += 1;
                figures.failures.push("a thread that opens images panicked".to_owned());
            }
        }
    });
    Ok(figures.into_inner())
}

fn is_sync(act: &Act) -> bool {
    matches!(act, Act::Sync(_) | Act::SyncDirectory(_))
}

/// Memory is quicker than a disk, and what is tried here is not the real one.
pub fn memory() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn work(plan: Plan, root: &Path) -> Result<Run, Box<dyn std::error::Error + Send + Sync>> {
    let disk = Disk::over(root);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut workload = Workload::new(plan.seed);
    let mut run = Run {
        acts: Vec::new(),
        acknowledged: Vec::new(),
        blobs: Vec::new(),
        expected: Vec::new(),
        known: workload.known(),
    };
    for _ in 0..plan.sessions {
        let options = Options { inline: true, log_pages: LOG_PAGES, ..disk.options() };
        let store: Arc<dyn Store> = SqliteStore::open_with(root, Arc::new(Still), options)?;
        if run.expected.is_empty() {
            run.expected.push(runtime.block_on(everything(&*store, &run.known)));
        }
        for _ in 0..plan.steps {
            let blob = runtime
                .block_on(workload.step(&store))
                .map_err(|refused| format!("the workload was refused: {refused:?}"))?;
            run.acknowledged.push(disk.now());
            if let Some(digest) = blob {
                run.blobs.push((disk.now(), digest));
            }
            run.expected.push(runtime.block_on(everything(&*store, &run.known)));
        }
    }
    run.acts = disk.log();
    disk.forget();
    Ok(run)
}

/// Where the power goes off: right before and after each sync, and anywhere; in order, so that one pass makes all.
fn moments(plan: Plan, acts: &[Act]) -> Vec<usize> {
    let mut dice = Dice::new(plan.seed ^ 0x6d6f_6d65_6e74);
    let syncs: Vec<usize> = (0..acts.len()).filter(|at| is_sync(&acts[*at])).collect();
    let mut moments: Vec<usize> = (0..plan.images)
        .map(|number| match number % 4 {
            0 => syncs[dice.index(syncs.len())],
            1 => syncs[dice.index(syncs.len())] + 1,
            _ => dice.index(acts.len() + 1),
        })
        .collect();
    moments.sort_unstable();
    moments
}

fn try_images(
    plan: Plan,
    run: &Run,
    root: &Path,
    to: &Path,
    (moments, next): (&[usize], &AtomicUsize),
    figures: &Mutex<Figures>,
) {
    let mut state = State::default();
    let mut applied = 0;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(moment) = moments.get(number).copied() else { return };
        for act in &run.acts[applied..moment] {
            state.apply(act, plan.honesty);
        }
        applied = moment;
        let mut dice = Dice::new(plan.seed.wrapping_mul(31).wrapping_add(number as u64));
        let made = std::fs::remove_dir_all(to)
            .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .and_then(|()| state.write(&mut dice, root, to));
        let found = match made {
            Ok(()) => check(run, moment, to),
            Err(error) => Err(Wrong::Harness(error.to_string())),
        };
        let mut figures = figures.lock();
        figures.images += 1;
        let boundary = moment < run.acts.len() && is_sync(&run.acts[moment])
            || moment > 0 && is_sync(&run.acts[moment - 1]);
        figures.at_syncs += usize::from(boundary);
        let failure = match found {
            Ok(ahead) => {
                figures.ahead += usize::from(ahead);
                None
            }
            Err(Wrong::Refused(what)) => {
                figures.refused += 1;
                (plan.honesty == Honesty::Honest).then(|| format!("refused to open: {what}"))
            }
            // A disk that lies may lose what was acknowledged; what is found must be whole all the same.
            Err(Wrong::Lost(_)) if plan.honesty == Honesty::Lies => None,
            Err(Wrong::Lost(what) | Wrong::Harness(what)) => Some(what),
        };
        if let Some(what) = failure {
            figures.failed += 1;
            if figures.failures.len() < TOLD_MAX {
                let told = format!(
                    "seed {} image {number} at act {moment} of {}: {what}",
                    plan.seed,
                    run.acts.len()
                );
                figures.failures.push(told);
            }
        }
    }
}

/// What is wrong with an image.
enum Wrong {
    /// The store does not open it.
    Refused(String),
    /// Something acknowledged is not there, or something is half there.
    Lost(String),
    /// The image could not be made.
    Harness(String),
}

/// Opens an image; true when it holds more than was acknowledged.
fn check(run: &Run, moment: usize, image: &Path) -> Result<bool, Wrong> {
    let acknowledged = run.acknowledged.partition_point(|at| *at <= moment);
    let options = Options { inline: true, ..Options::default() };
    let store = SqliteStore::open_with(image, Arc::new(Still), options)
        .map_err(|error| Wrong::Refused(chain(&error)))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Wrong::Harness(error.to_string()))?;
    let found = runtime.block_on(everything(&*store, &run.known));
    let head = runtime.block_on(store.head()).map_err(|error| Wrong::Lost(error.to_string()))?;
    let steps = usize::try_from(head.size).unwrap_or(usize::MAX);
    if steps < acknowledged {
        return Err(Wrong::Lost(format!("{steps} of {acknowledged} acknowledged steps are there")));
    }
    let Some(expected) = run.expected.get(steps) else {
        return Err(Wrong::Lost(format!("{steps} steps are there, more than were made")));
    };
    compare(expected, &found)?;
    let durable: BTreeSet<[u8; 32]> =
        run.blobs.iter().filter(|(at, _)| *at <= moment).map(|(_, digest)| digest.0).collect();
    for digest in durable {
        let tenant = run.known.tenants.first().ok_or_else(|| Wrong::Harness("no tenant".to_owned()))?;
        match runtime.block_on(store.blob(tenant, &Digest(digest))) {
            Ok(Some(_)) => {}
            other => {
                return Err(Wrong::Lost(format!("blob {}: {:?}", Digest(digest), other.map(|_| "none"))));
            }
        }
    }
    drop(store);
    let report = verify_directory(image, None).map_err(|error| Wrong::Lost(chain(&error)))?;
    if let Some((at, what)) = report.first_bad {
        return Err(Wrong::Lost(format!("the audit log is bad at {at}: {what:?}")));
    }
    Ok(steps > acknowledged)
}

/// Every answer is what it was when the store was alive.
fn compare(expected: &[Answered], found: &[Answered]) -> Result<(), Wrong> {
    if expected.len() != found.len() {
        return Err(Wrong::Lost(format!("{} answers, not {}", found.len(), expected.len())));
    }
    let empty =
        expected.iter().any(|(question, answer)| question == "leaves" && *answer == Ok(String::new()));
    for ((question, wanted), (_, got)) in expected.iter().zip(found) {
        // A power loss before the first commit may leave a directory without its key; the next start makes another.
        let other_key = empty && question == "head" && got.is_ok();
        if wanted != got && !other_key {
            let short = |text: &Result<String, store::StoreError>| -> String {
                format!("{text:?}").chars().take(300).collect()
            };
            return Err(Wrong::Lost(format!("{question}: {} became {}", short(wanted), short(got))));
        }
    }
    Ok(())
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
