//! Which faults are on in one world, and how much: drawn from the seed, so that each world is bad in its own way.

use std::time::Duration;

use model::TenantId;

use crate::random::Random;

/// The faults of one world. Chances are in a thousand.
#[derive(Debug, Clone)]
pub struct Swarm {
    /// Whose goals they are; drawn for each when none.
    pub tenant: Option<TenantId>,
    /// Goals that clients submit.
    pub goals: u64,
    /// Whether each kind of workflow may be used; at least one is.
    pub workflows: Vec<usize>,
    /// How long faults last.
    pub safety: Duration,
    /// Silence on an approval becomes no after this long.
    pub approvals_expire: Duration,
    /// Effects under way and waiting for a worker at the most.
    pub work_max: usize,
    /// Store calls that take time.
    pub store_slow: u32,
    /// Longest such time, in milliseconds.
    pub store_slow_ms: u64,
    /// Reads that fail.
    pub read_fails: u32,
    /// Commits that are refused because the store is overloaded.
    pub overload: u32,
    /// Commits that fail and are not durable.
    pub fail_before: u32,
    /// Commits that fail and are durable all the same.
    pub fail_after: u32,
    /// Boundaries at which the node dies.
    pub crash: u32,
    /// Times that an outside system is down for, in a thousand acts.
    pub outside_down: u32,
    /// Acts that are answered `yes` and not done.
    pub lies: u32,
    /// Acts whose answer never comes.
    pub answer_lost: u32,
    /// Requests that never arrive, though they were sent.
    pub request_lost: u32,
    /// Answers that come after the attempt's time limit.
    pub answer_late: u32,
    /// Acts that happen only after the attempt's time limit.
    pub act_late: u32,
    /// Requests that arrive twice.
    pub doubled: u32,
    /// Requests that the outside refuses for good.
    pub refused: u32,
    /// Answers that make no sense.
    pub malformed: u32,
    /// Longest time on the wire, in milliseconds.
    pub wire_ms: u64,
    /// Longest pause between a permit and its last look, in milliseconds.
    pub worker_ms: u64,
    /// Approvals that somebody approves; the rest is rejected, edited or left to silence.
    pub approve: u32,
    /// Approvals that are edited before.
    pub edit: u32,
    /// Approvals that nobody looks at in time.
    pub silent: u32,
    /// Wrong decisions that are tried: by the requester, twice, with another digest, in another tenant.
    pub attack: u32,
    /// Mean pause between acts of the operator, in milliseconds; none when he sleeps.
    pub operator_ms: Option<u64>,
    /// Whether he flaps the kill switch.
    pub kill: bool,
    /// Whether he turns on safe mode.
    pub safe_mode: bool,
    /// Whether he takes over.
    pub takeover: bool,
    /// Whether he narrows the allow-list.
    pub allow_list: bool,
    /// Whether he pauses, resumes, cancels and retries executions.
    pub acts: bool,
    /// Whether policies are swapped.
    pub policies: bool,
    /// Whether the clock jumps.
    pub clock: bool,
    /// Goals with a key that come twice at the same moment.
    pub goals_doubled: u32,
    /// Whether one of the approvers loses the right to decide.
    pub leaves: bool,
    /// Events between two snapshots of an execution at the least.
    pub snapshot_events: u64,
    /// Whether he stops parts: a tenant, a workflow, an action, a target, what somebody asked for.
    pub parts: bool,
    /// Whether he goes back, forks, settles and forces by hand.
    pub returns: bool,
    /// Whether he acts on many executions at once.
    pub bulk: bool,
    /// Whether limits are set and removed.
    pub limits: bool,
    /// Whether what has ended is removed after a while.
    pub retention: bool,
    /// Whether approvers get tokens and lose them.
    pub rights: bool,
    /// Goals that are planned first, signed, and then run.
    pub planned: u32,
    /// Parked work that people settle once the world is healed; the rest stays parked.
    pub settle: u32,
    /// Deaths that are none: the node sleeps, and wakes when another one leads.
    pub zombies: u32,
    /// What people do at certain places, for worlds with one execution.
    pub script: &'static [crate::director::Step],
}

impl Swarm {
    /// Draws the faults of a seed. Each kind is off in about half of the worlds, so that rare ones are seen alone.
    pub fn draw(seed: u64, workflows: usize) -> Self {
        let mut random = Random::stream(seed, "swarm");
        let wild = random.chance(700);
        let mut upto = |most: u64| {
            let on = wild && random.chance(500);
            let drawn = random.between(1, most.max(1));
            if on { u32::try_from(drawn).unwrap_or(u32::MAX) } else { 0 }
        };
        let (read_fails, overload, fail_before, fail_after) = (upto(30), upto(40), upto(40), upto(40));
        let crash = upto(25);
        let outside_down = upto(300);
        let (lies, answer_lost, request_lost, answer_late) = (upto(150), upto(300), upto(200), upto(100));
        let (act_late, doubled, refused, malformed) = (upto(80), upto(200), upto(150), upto(150));
        let (attack, edit, silent) = (upto(500), upto(300), upto(300));
        let store_slow = upto(300);
        let flag = |random: &mut Random| wild && random.chance(400);
        let mut kinds: Vec<usize> = (0..workflows).collect();
        let keep = usize::try_from(random.between(1, kinds.len() as u64)).unwrap_or(1);
        while kinds.len() > keep {
            let at = usize::try_from(random.below(kinds.len() as u64)).unwrap_or(0);
            kinds.swap_remove(at);
        }
        Self {
            tenant: None,
            goals: random.between(1, 8),
            workflows: kinds,
            safety: random.millis(5_000, 120_000),
            approvals_expire: *random.pick(&[
                Duration::from_secs(10),
                Duration::from_secs(30),
                Duration::from_secs(120),
                Duration::from_secs(3600),
            ]),
            work_max: *random.pick(&[1, 4, 1024]),
            store_slow,
            store_slow_ms: *random.pick(&[2, 50, 2_000]),
            read_fails,
            overload,
            fail_before,
            fail_after,
            crash,
            outside_down,
            lies,
            answer_lost,
            request_lost,
            answer_late,
            act_late,
            doubled,
            refused,
            malformed,
            wire_ms: *random.pick(&[2, 100, 5_000]),
            worker_ms: *random.pick(&[0, 0, 20, 2_000]),
            approve: *random.pick(&[1000, 800, 500]),
            edit,
            silent,
            attack,
            operator_ms: flag(&mut random).then(|| *random.pick(&[500, 3_000, 15_000])),
            kill: random.chance(500),
            safe_mode: random.chance(300),
            takeover: random.chance(300),
            allow_list: random.chance(300),
            acts: random.chance(600),
            policies: flag(&mut random),
            clock: flag(&mut random),
            goals_doubled: if flag(&mut random) { 500 } else { 0 },
            leaves: flag(&mut random),
            snapshot_events: *random.pick(&[1, 3, 200]),
            parts: flag(&mut random),
            returns: flag(&mut random),
            bulk: flag(&mut random),
            limits: flag(&mut random),
            retention: random.chance(150),
            rights: flag(&mut random),
            planned: *random.pick(&[0, 0, 300, 1000]),
            settle: *random.pick(&[0, 500, 1000]),
            zombies: if flag(&mut random) { *random.pick(&[200, 1000]) } else { 0 },
            script: &[],
        }
    }

    /// A world without a single fault, for one workflow, in the tenant where policies ask people.
    pub fn quiet(workflow: usize) -> Self {
        Self {
            tenant: Some(crate::workloads::first_tenant()),
            goals: 1,
            workflows: vec![workflow],
            safety: Duration::from_secs(1),
            approvals_expire: Duration::from_secs(3600),
            work_max: 1024,
            store_slow: 0,
            store_slow_ms: 1,
            read_fails: 0,
            overload: 0,
            fail_before: 0,
            fail_after: 0,
            crash: 0,
            outside_down: 0,
            lies: 0,
            answer_lost: 0,
            request_lost: 0,
            answer_late: 0,
            act_late: 0,
            doubled: 0,
            refused: 0,
            malformed: 0,
            wire_ms: 2,
            worker_ms: 0,
            approve: 1000,
            edit: 0,
            silent: 0,
            attack: 0,
            operator_ms: None,
            kill: false,
            safe_mode: false,
            takeover: false,
            allow_list: false,
            acts: false,
            policies: false,
            clock: false,
            goals_doubled: 0,
            leaves: false,
            snapshot_events: 200,
            parts: false,
            returns: false,
            bulk: false,
            limits: false,
            retention: false,
            rights: false,
            planned: 0,
            settle: 1000,
            zombies: 0,
            script: &[],
        }
    }
}
