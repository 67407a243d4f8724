//! One seed: build a world, let it be bad, heal it, demand progress, and check what is left.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use app::Compiled;
use tokio::task::JoinSet;

use crate::check::{self, Catalogue, Facts};
use crate::store::{Power, Stored};
use crate::swarm::Swarm;
use crate::world::{Boundary, Crashes, World};
use crate::{actors, director, house, node, note, returns, stops, talk, workloads};

/// Longest simulated time that a healed world may need, in seconds: longer than any approval, timer and clock jump.
const PROGRESS_MAX: u64 = 5 * 3600;
/// Simulated time after which nothing is on the wire any more.
const WIRE: Duration = Duration::from_secs(60);
/// Tasks that may be left when everything has settled, for each node that ever ran: its timers, its worker, and calls
/// that hang because it died.
const TASKS_MAX: usize = 400;

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What every seed of a thread begins with.
pub struct Base {
    compiled: Arc<Compiled>,
    stored: Stored,
    catalogue: Catalogue,
    /// The same in a data directory, for worlds on SQLite.
    directory: Option<tempfile::TempDir>,
}

/// Broken invariants, by name, with what broke them.
pub type Broken = Vec<(&'static str, String)>;

/// How one seed ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Which.
    pub seed: u64,
    /// Hash of everything that happened.
    pub hash: u64,
    /// Broken invariants with what broke them.
    pub broken: Broken,
    /// The last lines of the trace, when they were asked for.
    pub lines: Vec<String>,
    /// Marks that were reached.
    pub marks: BTreeMap<&'static str, u64>,
    /// Faults that were injected.
    pub faults: BTreeMap<&'static str, u64>,
    /// Simulated time.
    pub simulated: Duration,
    /// Executions, events and leaves.
    pub sizes: [u64; 3],
    /// Boundaries that were passed.
    pub boundaries: Vec<Boundary>,
}

impl Base {
    /// Publishes everything once.
    ///
    /// The error says what was refused.
    pub fn found() -> Result<Self, String> {
        Self::found_in(None)
    }

    /// As [`Base::found`], for worlds on the real SQLite.
    ///
    /// The error says what was refused.
    pub fn found_on_sqlite() -> Result<Self, String> {
        let directory = tempfile::Builder::new().prefix("sim-base").tempdir();
        Self::found_in(Some(directory.map_err(|error| error.to_string())?))
    }

    fn found_in(directory: Option<tempfile::TempDir>) -> Result<Self, String> {
        hear_panics();
        let compiled = Arc::new(Compiled::default());
        let power = directory.as_ref().map(|_| Power::new(0, None)).transpose()?;
        let stored = {
            let runtime = runtime()?;
            runtime.block_on(workloads::found(&compiled, power.clone()))?
        };
        if let (Some(power), Some(directory)) = (power, &directory) {
            power.keep(directory.path())?;
        }
        let catalogue = Catalogue::of(&stored)?;
        Ok(Self { compiled, stored, catalogue, directory })
    }

    /// Runs one seed with the faults that it draws. With lines, the histories of executions that broke something are among
    /// them.
    pub fn seed(&self, seed: u64, keep_lines: bool) -> Result<Ended, String> {
        let swarm = Swarm::draw(seed, workloads::count());
        let (mut ended, facts) = self.run(seed, swarm, Crashes::ByChance, keep_lines)?;
        if keep_lines {
            for ((_, id), kept) in facts.stored.executions.iter().chain(&facts.stored.buried) {
                if ended.broken.iter().any(|(_, what)| what.contains(id.as_str())) {
                    let events = kept.events.iter().enumerate();
                    let told = events.filter_map(|(at, event)| {
                        let text = serde_json::to_string(event).ok()?;
                        Some(format!("{id} {at}: {}", text.chars().take(600).collect::<String>()))
                    });
                    ended.lines.extend(told);
                }
            }
        }
        Ok(ended)
    }

    /// Runs one world, and answers what is left of it besides.
    pub fn run(
        &self,
        seed: u64,
        swarm: Swarm,
        crashes: Crashes,
        keep_lines: bool,
    ) -> Result<(Ended, Facts), String> {
        PANICS.take();
        let runtime = runtime()?;
        let power = self.directory.as_ref().map(|base| Power::new(seed, Some(base.path()))).transpose()?;
        let (world, unsettled) = runtime.block_on(async {
            let (stored, compiled) = ((self.stored.clone(), power), Arc::clone(&self.compiled));
            let world = World::new(seed, swarm, crashes, stored, compiled, keep_lines);
            let unsettled = live(&world).await;
            (world, unsettled)
        });
        let differs = match &world.power {
            Some(power) => {
                let stored = world.disk.with(|stored| stored.clone());
                runtime.block_on(power.differs(&stored, Arc::clone(&world.clock) as _))
            }
            None => Vec::new(),
        };
        // The node holds its store, which holds the world: without this none of them would ever go.
        world.set_node(None);
        if let Some(power) = &world.power {
            power.off();
        }
        let simulated = Duration::from_millis(world.clock.elapsed_ms());
        let tasks = runtime.metrics().num_alive_tasks();
        let mut facts = Facts {
            stored: world.disk.with(|stored| stored.clone()),
            base_leaves: self.stored.leaves.len(),
            head: world.disk.head(),
            audit_key: world.disk.audit_key(),
            ledger: world.outside.ledger(),
            acks: world.acks.all(),
            unsettled,
            differs,
            panics: PANICS.take(),
            tasks,
            tasks_max: TASKS_MAX,
            catalogue: self.catalogue.clone(),
            waits: workloads::WAITS.to_vec(),
            released: workloads::RELEASED.to_vec(),
            seed,
        };
        // What was forgotten is checked like the rest.
        let buried = std::mem::take(&mut facts.stored.buried_approvals);
        facts.stored.approvals.extend(buried);
        let broken = check::all(&facts, &world.trace);
        let sizes = [
            facts.stored.executions.len() as u64,
            facts.stored.executions.values().map(|kept| kept.events.len() as u64).sum(),
            facts.stored.leaves.len() as u64,
        ];
        let ended = Ended {
            seed,
            hash: world.trace.hash(),
            broken,
            lines: world.trace.lines(),
            marks: world.trace.marks(),
            faults: world.trace.faults(),
            simulated,
            sizes,
            boundaries: world.boundaries(),
        };
        Ok((ended, facts))
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| format!("no runtime: {error}"))
}

/// The safety phase, then the healing. Answers what has not settled.
async fn live(world: &Arc<World>) -> Vec<String> {
    let mut people = JoinSet::new();
    let mut clients = JoinSet::new();
    people.spawn(node::supervise(Arc::clone(world)));
    for number in 0..world.swarm.goals {
        clients.spawn(actors::client(Arc::clone(world), number));
    }
    for tenant in [workloads::first_tenant(), workloads::second_tenant()] {
        people.spawn(actors::approver(Arc::clone(world), tenant));
    }
    people.spawn(actors::operator(Arc::clone(world)));
    people.spawn(actors::meddler(Arc::clone(world)));
    people.spawn(stops::stopper(Arc::clone(world)));
    people.spawn(returns::traveller(Arc::clone(world)));
    people.spawn(talk::teller(Arc::clone(world)));
    people.spawn(house::keeper(Arc::clone(world)));
    if !world.swarm.script.is_empty() {
        clients.spawn(director::direct(Arc::clone(world)));
    }
    tokio::time::sleep(world.swarm.safety).await;
    world.heal();
    let heals = Arc::clone(world);
    people.spawn(async move { Box::pin(actors::let_go(&heals)).await });
    let unsettled = settle(world, &mut clients).await;
    // What is on the wire arrives, and must not change what is settled.
    tokio::time::sleep(WIRE).await;
    people.abort_all();
    while people.join_next().await.is_some() {}
    world.clock.stop();
    unsettled
}

/// Waits until every client has its answer and every execution has ended, or waits for people for a stated reason.
async fn settle(world: &World, clients: &mut JoinSet<()>) -> Vec<String> {
    // Parked work is let go twice, so a dead letter is where an execution may stay only after that.
    let mut calm = 0;
    for _ in 0..PROGRESS_MAX / 5 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        while clients.try_join_next().is_some() {}
        let left = if clients.is_empty() { open(world) } else { vec!["a client waits".to_owned()] };
        calm = if left.is_empty() { calm + 1 } else { 0 };
        if calm > 8 {
            return Vec::new();
        }
    }
    let mut left = open(world);
    if !clients.is_empty() {
        left.push(format!("{} clients have no answer", clients.len()));
    }
    for what in &left {
        note!(world, "unsettled: {what}");
    }
    left
}

/// Executions that neither ended nor are parked.
fn open(world: &World) -> Vec<String> {
    world.disk.with(|stored| {
        let waiting = stored.executions.values().map(|kept| &kept.row).filter(|row| {
            let parked = row.blocked_on.as_deref().is_some_and(|what| what.starts_with("dead-letter:"));
            row.ended_at.is_none() && !parked
        });
        waiting.map(|row| format!("{} is {} on {:?}", row.id, row.status, row.blocked_on)).collect()
    })
}

/// Panics inside tasks are caught by the runtime; here they are remembered instead of printed.
fn hear_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let simulated = tokio::runtime::Handle::try_current().is_ok();
            if simulated {
                PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            } else {
                before(panic);
            }
        }));
    });
}
