//! Exhaustive crash points: every scenario, a crash at each boundary, and each pair with a second crash after it.

use std::collections::BTreeSet;

use model::TenantId;
use model::event::{CancelMode, Choice};

use crate::check::Facts;
use crate::director::{Place, Step};
use crate::run::{Base, Broken, Ended};
use crate::swarm::Swarm;
use crate::workloads;
use crate::world::Crashes;

/// One workflow, and what people do to its only execution.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Its workflow.
    pub workflow: usize,
    /// Whose.
    pub tenant: TenantId,
    /// Whether it is planned and signed first.
    pub planned: bool,
    /// What people do.
    pub script: &'static [Step],
}

/// What is done to executions of `returning` and of others, beside running them.
const ACTED: &[(&str, &str, bool, &[Step])] = &[
    (
        "back, keeping",
        "returning",
        false,
        &[Step::Until("timer"), Step::Back(Place::Task("/do/1/b"), Some(Choice::Keep))],
    ),
    (
        "back, undoing",
        "returning",
        false,
        &[Step::Until("timer"), Step::Back(Place::Task("/do/1/b"), Some(Choice::Compensate))],
    ),
    (
        "back, asking",
        "returning",
        false,
        &[
            Step::Until("timer"),
            Step::Back(Place::Task("/do/1/b"), None),
            Step::Choose(Choice::Compensate),
            Step::Choose(Choice::Keep),
        ],
    ),
    (
        "back to a name",
        "returning",
        false,
        &[
            Step::Until("timer"),
            Step::Mark("here"),
            Step::Pause,
            Step::Back(Place::Mark("here"), Some(Choice::Repeat)),
            Step::Resume,
        ],
    ),
    ("anew, edited", "returning", false, &[Step::Until("timer"), Step::Anew(Some(Choice::Compensate))]),
    ("forked", "returning", false, &[Step::Until("timer"), Step::Fork(Place::Task("/do/1/b"))]),
    ("forked, edited", "returning", false, &[Step::Until("timer"), Step::ForkAnew]),
    ("cancelled", "returning", false, &[Step::Until("timer"), Step::Cancel(CancelMode::Graceful)]),
    ("cancelled, forced", "returning", false, &[Step::Until("timer"), Step::Cancel(CancelMode::Forced)]),
    ("planned", "paying", true, &[]),
    (
        "planned, back",
        "returning",
        true,
        &[Step::Until("timer"), Step::Back(Place::Task("/do/2/c"), Some(Choice::Compensate))],
    ),
];

/// Every workflow in both tenants, and what people do.
pub fn scenarios() -> Vec<Scenario> {
    let tenants = [workloads::first_tenant(), workloads::second_tenant()];
    let plain = (0..workloads::count()).flat_map(|workflow| {
        tenants.iter().map(move |tenant| Scenario {
            name: workloads::name(workflow),
            workflow,
            tenant: tenant.clone(),
            planned: false,
            script: &[],
        })
    });
    let acted = ACTED.iter().map(|(name, workflow, planned, script)| Scenario {
        name,
        workflow: workloads::number(workflow).unwrap_or(0),
        tenant: if *planned { workloads::first_tenant() } else { workloads::second_tenant() },
        planned: *planned,
        script,
    });
    plain.chain(acted).collect()
}

/// What one scenario's crash points added up to.
#[derive(Debug)]
pub struct Points {
    /// Which.
    pub name: &'static str,
    /// Boundaries of a quiet run.
    pub boundaries: u64,
    /// Runs with one crash.
    pub singles: u64,
    /// Runs with two.
    pub pairs: u64,
    /// What broke: the boundaries at which nodes died, and the invariants.
    pub broken: Vec<(Vec<u64>, Broken)>,
}

/// What faults a scenario has: none.
fn swarm(scenario: &Scenario) -> Swarm {
    Swarm {
        tenant: Some(scenario.tenant.clone()),
        planned: if scenario.planned { 1000 } else { 0 },
        script: scenario.script,
        ..Swarm::quiet(scenario.workflow)
    }
}

/// Runs one scenario without a crash.
///
/// The error is about the simulator itself.
pub fn quiet(base: &Base, scenario: &Scenario) -> Result<(Ended, Facts), String> {
    base.run(1, swarm(scenario), Crashes::At(BTreeSet::new()), true)
}

/// Which crashes are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// One at each boundary whose number leaves this rest when it is divided by seven: a sample, for bounded runs.
    Seventh(u64),
    /// One at each boundary.
    Singles,
    /// That, and each second crash after it, the boundaries of the recovery included.
    Pairs,
}

/// Runs one scenario with crashes.
///
/// The error is about the simulator itself.
pub fn explore(base: &Base, scenario: &Scenario, depth: Depth) -> Result<Points, String> {
    let swarm = swarm(scenario);
    let run = |at: &[u64]| -> Result<Ended, String> {
        let crashes = Crashes::At(at.iter().copied().collect::<BTreeSet<u64>>());
        // One seed: what is drawn stays the same, only the crashes differ.
        base.run(1, swarm.clone(), crashes, false).map(|ran| ran.0)
    };
    let quiet = run(&[])?;
    let mut points = Points {
        name: scenario.name,
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
        if matches!(depth, Depth::Seventh(rest) if first % 7 != rest % 7) {
            continue;
        }
        let one = run(&[first])?;
        singles += 1;
        note(vec![first], &one);
        if depth != Depth::Pairs {
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
