//! The power goes off at any moment: what was acknowledged is there, whole, and the store opens.

use faulty_disk::image::Honesty;
use faulty_disk::power::{Plan, run};

const PLAN: Plan = Plan { seed: 1, sessions: 3, steps: 15, images: 60, threads: 2, honesty: Honesty::Honest };

#[test]
fn what_was_acknowledged_survives_a_power_loss() {
    let figures = run(PLAN).expect("the workload runs");
    assert_eq!(figures.images, PLAN.images);
    assert!(figures.failures.is_empty() && figures.failed == 0, "{figures:#?}");
    assert!(figures.ahead > 0, "no image held an unacknowledged commit: {figures:#?}");
}

/// The prober proven: on a disk that lies about syncs work is lost, and this shows it.
#[test]
fn a_disk_that_lies_is_noticed() {
    let figures = run(Plan { honesty: Honesty::Lies, ..PLAN }).expect("the workload runs");
    assert_eq!(figures.failed, 0, "{figures:#?}");
    assert!(figures.refused > 0, "nothing was refused: {figures:#?}");
}
