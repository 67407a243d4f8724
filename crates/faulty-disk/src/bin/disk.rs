//! `cargo xtask disk`: power loss and bit flips at length, with figures.

use std::process::ExitCode;

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
    let done = match arguments.first().map(String::as_str) {
        Some("power-loss") => number("--images", 10_000).and_then(|images| {
            number("--seed", 1).map(|seed| power_loss(usize::try_from(images).unwrap_or(usize::MAX), seed))
        }),
        _ => {
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
