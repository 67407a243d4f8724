//! A simulated world: one clock, one disk, one outside, and the node that serves at the moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use app::Compiled;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::acks::Acks;
use crate::clock::{SimClock, SimIds};
use crate::node::{Life, Node};
use crate::outside::Outside;
use crate::random::Random;
use crate::store::{Disk, NodeStore, Power, SqliteNode, Stored};
use crate::swarm::Swarm;
use crate::trace::Trace;
use crate::{note, reached};

/// A place at which a node may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boundary {
    /// A commit is about to be written.
    CommitBefore,
    /// It is durable, and nobody knows yet.
    CommitDurable,
    /// The application was told.
    CommitAnswered,
    /// A worker has had its last look and sends.
    SendBefore,
    /// The request is on the wire.
    SendAfter,
    /// The outside answered, and nothing is recorded yet.
    Answered,
}

/// When nodes die.
#[derive(Debug, Clone)]
pub enum Crashes {
    /// By chance, as the swarm says.
    ByChance,
    /// At these boundaries, counted from 0 over the whole world.
    At(BTreeSet<u64>),
}

/// What happens to one call of the store.
#[derive(Debug, Default, Clone, Copy)]
pub struct StoreFaults {
    /// It takes this long.
    pub latency: Option<Duration>,
    /// A read fails.
    pub fail_read: bool,
    /// A commit is refused because too much is being written.
    pub overload: bool,
    /// A commit fails and is not durable.
    pub fail_before: bool,
    /// A commit fails and is durable.
    pub fail_after: bool,
}

/// Boundaries after which a world is stopped: so many mean that it turns in circles, which time alone never ends.
const BOUNDARIES_MAX: u64 = 50_000;
/// Calls of the store after which it is stopped for the same reason.
const CALLS_MAX: u64 = 500_000;

/// One simulated world.
#[derive(Debug)]
pub struct World {
    /// The seed that everything is drawn from.
    pub seed: u64,
    /// What happened.
    pub trace: Trace,
    /// The wall clock of every node.
    pub clock: Arc<SimClock>,
    /// Identifiers.
    pub ids: Arc<SimIds>,
    /// What is durable.
    pub disk: Disk,
    /// The real SQLite, when the disk is only its model.
    pub power: Option<Arc<Power>>,
    /// What is acted upon.
    pub outside: Outside,
    /// What clients were told.
    pub acks: Acks,
    /// Which faults are on.
    pub swarm: Swarm,
    /// Texts compiled once for all worlds of a thread.
    pub compiled: Arc<Compiled>,
    random: Mutex<Random>,
    crashes: Crashes,
    /// Boundaries passed so far.
    boundaries: Mutex<Vec<Boundary>>,
    /// No more faults.
    healed: AtomicBool,
    recovering: AtomicBool,
    ran_away: AtomicBool,
    calls: AtomicU64,
    node: Mutex<Option<Node>>,
    node_changed: Notify,
}

impl World {
    /// A world of a seed. Must be made inside its runtime.
    pub fn new(
        seed: u64,
        swarm: Swarm,
        crashes: Crashes,
        (stored, power): (Stored, Option<Arc<Power>>),
        compiled: Arc<Compiled>,
        keep_lines: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            seed,
            trace: Trace::new(keep_lines),
            clock: Arc::new(SimClock::begin()),
            ids: Arc::new(SimIds::new(seed)),
            disk: Disk::holding(stored),
            power,
            outside: Outside::new(seed),
            acks: Acks::default(),
            swarm,
            compiled,
            random: Mutex::new(Random::stream(seed, "world")),
            crashes,
            boundaries: Mutex::default(),
            healed: AtomicBool::new(false),
            recovering: AtomicBool::new(false),
            ran_away: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            node: Mutex::new(None),
            node_changed: Notify::new(),
        })
    }

    /// Draws from the world's own stream.
    pub fn draw<T>(&self, drawn: impl FnOnce(&mut Random) -> T) -> T {
        drawn(&mut self.random.lock())
    }

    /// True once no more faults happen.
    pub fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        note!(self, "healed");
    }

    /// The store as a node sees it. A new node finds what a power cut left.
    ///
    /// The error says why what it finds is refused.
    pub fn store_of(self: &Arc<Self>, life: &Arc<Life>) -> Result<Arc<dyn store::Store>, String> {
        let (world, life) = (Arc::clone(self), Arc::clone(life));
        Ok(match &self.power {
            None => Arc::new(NodeStore::new(world, life)),
            Some(power) => {
                let store = power.on(Arc::clone(&self.clock) as _)?;
                Arc::new(SqliteNode::new(world, life, store))
            }
        })
    }

    /// What happens to the next call of the store.
    pub fn store_faults(&self) -> StoreFaults {
        if self.is_healed() {
            return StoreFaults::default();
        }
        let swarm = &self.swarm;
        self.draw(|random| StoreFaults {
            latency: random.chance(swarm.store_slow).then(|| random.millis(1, swarm.store_slow_ms)),
            fail_read: random.chance(swarm.read_fails),
            overload: random.chance(swarm.overload),
            fail_before: random.chance(swarm.fail_before),
            fail_after: random.chance(swarm.fail_after),
        })
    }

    /// Passes a boundary of a node, where it may die.
    pub fn at_boundary(&self, life: &Life, boundary: Boundary) {
        if life.is_gone() {
            return;
        }
        let number = {
            let mut passed = self.boundaries.lock();
            passed.push(boundary);
            passed.len() as u64 - 1
        };
        if number == BOUNDARIES_MAX {
            return self.run_away(life);
        }
        let dies = match &self.crashes {
            Crashes::ByChance => {
                !self.is_healed()
                    && self.swarm.crash > 0
                    && self.draw(|random| random.chance(self.swarm.crash))
            }
            Crashes::At(numbers) => numbers.contains(&number),
        };
        if !dies {
            return;
        }
        if self.recovering.load(Ordering::Relaxed) {
            reached!(self, "crash in recovery");
        }
        if matches!(self.crashes, Crashes::ByChance) && self.draw(|random| random.chance(self.swarm.zombies))
        {
            self.trace.fault("a node fell asleep");
            note!(self, "node {} falls asleep at boundary {number} ({boundary:?})", life.number);
            return life.sleep();
        }
        reached!(self, crash_mark(boundary));
        self.trace.fault("a node died");
        note!(self, "node {} dies at boundary {number} ({boundary:?})", life.number);
        life.die();
    }

    /// Counts one call of the store. A node that only asks and never waits is stopped: time would never come to it.
    pub fn called(&self, life: &Life) {
        if self.calls.fetch_add(1, Ordering::Relaxed) == CALLS_MAX {
            self.run_away(life);
        }
    }

    fn run_away(&self, life: &Life) {
        note!(self, "the world turns in circles: no node serves any more");
        self.ran_away.store(true, Ordering::Relaxed);
        life.die();
    }

    /// True when it was stopped because it turned in circles.
    pub fn ran_away(&self) -> bool {
        self.ran_away.load(Ordering::Relaxed)
    }

    /// Boundaries passed so far, in order.
    pub fn boundaries(&self) -> Vec<Boundary> {
        self.boundaries.lock().clone()
    }

    /// Whether the node that serves has found its work again.
    pub fn recovering(&self, recovering: bool) {
        self.recovering.store(recovering, Ordering::Relaxed);
    }

    /// The node that serves from now on.
    pub fn set_node(&self, node: Option<Node>) {
        *self.node.lock() = node;
        self.node_changed.notify_waiters();
    }

    /// The node that serves at this moment.
    pub fn node_now(&self) -> Option<Node> {
        self.node.lock().clone().filter(|node| !node.life.is_gone())
    }

    /// A node that serves; waits for one.
    pub async fn node(&self) -> Node {
        loop {
            let changed = self.node_changed.notified();
            if let Some(node) = self.node_now() {
                return node;
            }
            changed.await;
        }
    }

    /// Asks a node something; none when it died before it answered.
    pub async fn ask<T>(&self, node: &Node, question: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = node.life.death() => None,
            answer = question => if node.life.is_gone() { None } else { Some(answer) },
        }
    }
}

fn crash_mark(boundary: Boundary) -> &'static str {
    match boundary {
        Boundary::CommitBefore => "crash before a commit",
        Boundary::CommitDurable => "crash after a commit was durable",
        Boundary::CommitAnswered => "crash after a commit was answered",
        Boundary::SendBefore => "crash before a send",
        Boundary::SendAfter => "crash after a send",
        Boundary::Answered => "crash after an answer",
    }
}
