//! One node: an application over the shared disk, that may die at any boundary and never answers again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::{App, Parts, Settings};
use model::Clock as _;
use model::approval::{Approval, ApprovalStatus};
use tokio::sync::Notify;

use crate::store::NodeStore;
use crate::worker;
use crate::world::World;
use crate::{note, reached};

/// Simulated time after a start in which a crash counts as one in recovery.
const RECOVERY: Duration = Duration::from_millis(500);

/// Whether a node lives. Everything that it holds asks here before it answers.
#[derive(Debug)]
pub struct Life {
    /// Which node, from 1.
    pub number: u32,
    dead: AtomicBool,
    died: Notify,
}

impl Life {
    /// A node that lives.
    pub fn new(number: u32) -> Self {
        Self { number, dead: AtomicBool::new(false), died: Notify::new() }
    }

    /// From here on nothing of it answers.
    pub fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_waiters();
    }

    /// True from its death on.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Goes on while the node lives; a dead node's handles never answer.
    pub async fn or_hang(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// Answers when the node dies.
    pub async fn death(&self) {
        let died = self.died.notified();
        if !self.is_dead() {
            died.await;
        }
    }
}

/// A node that serves.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its life.
    pub life: Arc<Life>,
    /// Its application.
    pub app: Arc<App>,
}

/// Starts nodes one after another: when one dies, or cannot start, the next takes over after a while.
pub async fn supervise(world: Arc<World>) {
    for number in 1.. {
        if world.ran_away() {
            return;
        }
        let life = Arc::new(Life::new(number));
        note!(world, "node {number} starts");
        let served = tokio::select! {
            biased;
            () = life.death() => true,
            served = serve(&world, &life) => served,
        };
        life.die();
        world.set_node(None);
        note!(world, "node {number} is gone");
        if !served {
            reached!(world, "a start was refused");
        }
        let pause = world.draw(|random| random.millis(1, 5_000));
        tokio::time::sleep(pause).await;
    }
}

/// Runs one node until its application gives up. Dropped when the node dies.
async fn serve(world: &Arc<World>, life: &Arc<Life>) -> bool {
    let store = Arc::new(NodeStore::new(Arc::clone(world), Arc::clone(life)));
    let parts = Parts { store, clock: Arc::clone(&world.clock) as _, ids: Arc::clone(&world.ids) as _ };
    let settings = Settings {
        approvals_expire: world.swarm.approvals_expire,
        work_max: world.swarm.work_max,
        snapshot_events: world.swarm.snapshot_events,
        ..Settings::default()
    };
    let app = match App::open_sharing(settings, parts, Arc::clone(&world.compiled)).await {
        Ok(app) => app,
        Err(problem) => {
            note!(world, "node {} cannot start: {problem}", life.number);
            return false;
        }
    };
    let unfinished = world.disk.with(|stored| {
        stored.executions.values().any(|kept| matches!(kept.row.status.as_str(), "pending" | "running"))
    });
    if unfinished {
        reached!(world, "work was found under way at a start");
    }
    let now = world.clock.now();
    let late = |approval: &Approval| approval.status == ApprovalStatus::Pending && approval.expires_at <= now;
    if world.disk.with(|stored| stored.approvals.values().any(|(_, approval)| late(approval))) {
        reached!(world, "expired while nobody served");
    }
    world.recovering(true);
    let node = Node { life: Arc::clone(life), app: Arc::clone(&app) };
    tokio::spawn(worker::work(Arc::clone(world), node.clone()));
    let runs = tokio::spawn(Arc::clone(&app).run());
    let guard = AbortOnDrop(runs);
    while !app.ready() {
        if guard.0.is_finished() {
            note!(world, "node {} never got ready", life.number);
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.set_node(Some(node));
    let mut guard = guard;
    // What was under way is found again right after the start; later crashes are of another kind.
    if tokio::time::timeout(RECOVERY, &mut guard.0).await.is_err() {
        world.recovering(false);
        let _ = (&mut guard.0).await;
    }
    note!(world, "node {} stopped keeping time", life.number);
    false
}

/// Ends a task with whoever waits for it.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
