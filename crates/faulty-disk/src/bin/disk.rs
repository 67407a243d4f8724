//! `cargo xtask disk` and `cargo xtask soak`: power loss, bit flips and kills at length, with figures.

use std::process::ExitCode;
use std::time::Duration;

use faulty_disk::image::Honesty;
use faulty_disk::power::{self, Plan};

/// Images of one workload; then the next seed makes another.
const IMAGES_EACH: usize = 1000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, otherwise: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).map_or(Ok(otherwise), |text| text.parse())
    };
    let program = arguments.iter().position(|argument| argument == "--program");
    let program = program.and_then(|at| arguments.get(at + 1)).cloned().unwrap_or_default();
    let done = match arguments.first().map(String::as_str) {
        Some("power-loss") => number("--images", 10_000).and_then(|images| {
            number("--seed", 1).map(|seed| power_loss(usize::try_from(images).unwrap_or(usize::MAX), seed))
        }),
        Some("soak") => number("--minutes", 30)
            .and_then(|minutes| number("--seed", 1).map(|seed| soak(&program, minutes, seed))),
        Some("bit-flips") => number("--flips", 10_000).and_then(|flips| {
            let flips = usize::try_from(flips).unwrap_or(usize::MAX);
            number("--seed", 1).map(|seed| bit_flips(&program, flips, seed))
        }),
        _ => {
            eprintln!("disk soak --program OMNIHUB [--minutes M] [--seed S]");
            eprintln!("disk bit-flips --program OMNIHUB [--flips N] [--seed S]");
            eprintln!("disk power-loss [--images N] [--seed S]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("not a number: {error}");
            ExitCode::from(2)
        }
    }
}

/// The binary under load, killed every 2 to 10 s; true when nothing was lost or doubled.
fn soak(program: &str, minutes: u64, seed: u64) -> bool {
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return false };
    let figures = runtime.block_on(testkit::soak::run(testkit::soak::Plan {
        program: program.into(),
        time: Duration::from_secs(60 * minutes),
        between: (Duration::from_secs(2), Duration::from_secs(10)),
        seed,
    }));
    for breach in &figures.breaches {
        println!("BREACH {breach}");
    }
    println!(
        "soak: {minutes} minutes, seed {seed}, {} kills, slowest start {} ms; {} goals accepted, {} completed, {} \
         parked with a reason; {} refunds in the ledger of {} requests; {} audit leaves; {} breaches",
        figures.kills,
        figures.start_ms_max,
        figures.accepted,
        figures.completed,
        figures.parked,
        figures.refunds,
        figures.posts,
        figures.leaves,
        figures.breaches.len()
    );
    figures.breaches.is_empty()
}

/// Damages of a directory that the binary made; true when no answer was a wrong one.
fn bit_flips(program: &str, flips: usize, seed: u64) -> bool {
    let began = std::time::Instant::now();
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return false };
    let server = runtime.block_on(faulty_disk::house::real_directory(program));
    let figures = match faulty_disk::flips::run(&server.data(), flips, seed) {
        Ok(figures) => figures,
        Err(error) => {
            println!("FAILED: {error}");
            return false;
        }
    };
    for told in &figures.told {
        println!("WRONG {told}");
    }
    for (what, count) in &figures.damages {
        println!("{count:>7} {what}");
    }
    println!(
        "bit flips: {} damages, {} questions each: {} refused at the start, {} answered with errors, {} found by the \
         check of the log, {} harmless, {} silently wrong; {:.0} s",
        figures.total(),
        figures.questions,
        figures.refused,
        figures.answered_with_errors,
        figures.found_by_verify,
        figures.harmless,
        figures.wrong,
        began.elapsed().as_secs_f64()
    );
    figures.wrong == 0
}

/// Workloads of seed after seed until there are enough images; true when all of them are as promised.
fn power_loss(images: usize, seed: u64) -> bool {
    let began = std::time::Instant::now();
    let (mut made, mut failed, mut seed_now) = (0, 0, seed);
    let mut sums = power::Figures::default();
    while made < images {
        let plan = Plan {
            seed: seed_now,
            sessions: 4,
            steps: 40,
            images: IMAGES_EACH.min(images - made),
            threads: 2,
            honesty: Honesty::Honest,
        };
        match power::run(plan) {
            Ok(figures) => {
                made += figures.images;
                failed += figures.failed;
                sums.at_syncs += figures.at_syncs;
                sums.acts += figures.acts;
                sums.syncs += figures.syncs;
                sums.ahead += figures.ahead;
                for failure in figures.failures {
                    println!("FAILED {failure}");
                }
            }
            Err(error) => {
                println!("FAILED seed {seed_now}: {error}");
                return false;
            }
        }
        seed_now += 1;
    }
    println!(
        "power loss: {made} images of {} workloads (seeds {seed} to {}), {} acts on the disk, {} syncs; {} images at a \
         sync; {} held more than was acknowledged, whole; {failed} failed; {:.0} s",
        seed_now - seed,
        seed_now - 1,
        sums.acts,
        sums.syncs,
        sums.at_syncs,
        sums.ahead,
        began.elapsed().as_secs_f64()
    );
    failed == 0
}
