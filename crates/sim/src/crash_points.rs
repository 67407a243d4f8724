//! Exhaustive crash points: every workflow, a crash at each boundary, and each pair with a second crash after it.

use std::collections::BTreeSet;

use model::TenantId;

use crate::run::{Base, Broken, Ended};
use crate::swarm::Swarm;
use crate::workloads;
use crate::world::Crashes;

/// What one workflow's crash points added up to.
#[derive(Debug)]
pub struct Points {
    /// Which workflow.
    pub workflow: &'static str,
    /// Boundaries of a quiet run.
    pub boundaries: u64,
    /// Runs with one crash.
    pub singles: u64,
    /// Runs with two.
    pub pairs: u64,
    /// What broke: the boundaries at which nodes died, and the invariants.
    pub broken: Vec<(Vec<u64>, Broken)>,
}

/// Runs one workflow with a crash after each boundary; with `pairs`, each second crash after it too, the boundaries of
/// the recovery included.
///
/// The error is about the simulator itself.
pub fn workflow(base: &Base, number: usize, tenant: TenantId, pairs: bool) -> Result<Points, String> {
    let swarm = Swarm { tenant: Some(tenant), ..Swarm::quiet(number) };
    let run = |at: &[u64]| -> Result<Ended, String> {
        let crashes = Crashes::At(at.iter().copied().collect::<BTreeSet<u64>>());
        // One seed: what is drawn stays the same, only the crashes differ.
        base.run(1, swarm.clone(), crashes, false).map(|ran| ran.0)
    };
    let quiet = run(&[])?;
    let mut points = Points {
        workflow: workloads::name(number),
        boundaries: quiet.boundaries.len() as u64,
        singles: 0,
        pairs: 0,
        broken: Vec::new(),
    };
    let mut note = |at: Vec<u64>, ended: &Ended| {
        if !ended.broken.is_empty() {
            points.broken.push((at, ended.broken.clone()));
        }
    };
    note(Vec::new(), &quiet);
    let (mut singles, mut doubles) = (0, 0);
    for first in 0..quiet.boundaries.len() as u64 {
        let one = run(&[first])?;
        singles += 1;
        note(vec![first], &one);
        if !pairs {
            continue;
        }
        for second in first + 1..one.boundaries.len() as u64 {
            let two = run(&[first, second])?;
            doubles += 1;
            note(vec![first, second], &two);
        }
    }
    points.singles = singles;
    points.pairs = doubles;
    Ok(points)
}
