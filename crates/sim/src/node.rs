//! One node: an application over the shared disk, that may die at any boundary and never answers again.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use app::{App, Parts, Settings};
use model::Clock as _;
use model::approval::{Approval, ApprovalStatus};
use tokio::sync::Notify;

use crate::clock::SimClock;
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
    asleep: AtomicBool,
    died: Notify,
    woke: Notify,
    /// By how much its clock is behind everybody's, in milliseconds.
    behind_ms: AtomicI64,
    clock: Arc<SimClock>,
    /// Whether another node took its place.
    replaced: AtomicBool,
    /// Its application, once it has one.
    app: OnceLock<std::sync::Weak<App>>,
}

impl Life {
    /// A node that lives.
    pub fn new(number: u32, clock: Arc<SimClock>) -> Self {
        Self {
            number,
            dead: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            died: Notify::new(),
            woke: Notify::new(),
            behind_ms: AtomicI64::new(0),
            clock,
            replaced: AtomicBool::new(false),
            app: OnceLock::new(),
        }
    }

    /// Remembers the application of its node.
    fn leads(&self, node: &Node) {
        let _ = self.app.set(Arc::downgrade(&node.app));
    }

    /// Its application, while it has one.
    pub fn app(&self) -> Option<Arc<App>> {
        self.app.get()?.upgrade()
    }

    /// From here on nothing of it answers.
    pub fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.asleep.store(false, Ordering::Relaxed);
        self.died.notify_waiters();
        self.woke.notify_waiters();
    }

    /// From here on nothing of it answers until it wakes, with a clock that is behind.
    pub fn sleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        self.replaced.store(true, Ordering::Relaxed);
        self.died.notify_waiters();
    }

    /// It goes on where it was.
    pub fn wake(&self, behind_ms: i64) {
        self.behind_ms.store(behind_ms, Ordering::Relaxed);
        self.asleep.store(false, Ordering::Relaxed);
        self.woke.notify_waiters();
    }

    /// True from its death on.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// True while it does not serve: it is dead, or slept long enough for another one to lead.
    pub fn is_gone(&self) -> bool {
        self.is_dead() || self.replaced.load(Ordering::Relaxed)
    }

    /// Goes on while the node lives; a dead node's handles never answer, and those of a sleeping one when it wakes.
    pub async fn or_hang(&self) {
        loop {
            let woke = self.woke.notified();
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            if !self.asleep.load(Ordering::Relaxed) {
                return;
            }
            woke.await;
        }
    }

    /// Answers when the node dies, or is replaced.
    pub async fn death(&self) {
        let died = self.died.notified();
        if !self.is_gone() {
            died.await;
        }
    }
}

impl model::Clock for Life {
    fn now(&self) -> model::Timestamp {
        let now = self.clock.now();
        model::Timestamp(now.0.saturating_sub(self.behind_ms.load(Ordering::Relaxed)))
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

/// Starts nodes one after another: when one dies, falls asleep, or cannot start, the next takes over after a while.
pub async fn supervise(world: Arc<World>) {
    for number in 1.. {
        if world.ran_away() {
            return;
        }
        let life = Arc::new(Life::new(number, Arc::clone(&world.clock)));
        note!(world, "node {number} starts");
        let mut serves = Box::pin(serve(Arc::clone(&world), Arc::clone(&life)));
        let served = tokio::select! {
            biased;
            () = life.death() => true,
            served = &mut serves => served,
        };
        world.set_node(None);
        if life.is_gone() && !life.is_dead() {
            let (world, life) = (Arc::clone(&world), Arc::clone(&life));
            tokio::spawn(async move {
                crate::zombie::haunt(&world, &life, serves).await;
                life.die();
            });
        } else {
            drop(serves);
            life.die();
        }
        note!(world, "node {number} is gone");
        if !served {
            reached!(world, "a start was refused");
        }
        let pause = world.draw(|random| random.millis(1, 5_000));
        tokio::time::sleep(pause).await;
    }
}

/// Runs one node until its application gives up. Dropped when the node dies.
async fn serve(world: Arc<World>, life: Arc<Life>) -> bool {
    let store = match world.store_of(&life) {
        Ok(store) => store,
        Err(why) => {
            note!(world, "node {} cannot open what it finds: {why}", life.number);
            world.acks.add(|acks| acks.internal.push(why));
            return false;
        }
    };
    let parts = Parts { store, clock: Arc::clone(&life) as _, ids: Arc::clone(&world.ids) as _ };
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
    let node = Node { life: Arc::clone(&life), app: Arc::clone(&app) };
    life.leads(&node);
    tokio::spawn(worker::work(Arc::clone(&world), node.clone()));
    let runs = tokio::spawn(Arc::clone(&app).run());
    let guard = AbortOnDrop(runs);
    while !app.ready() {
        if guard.0.is_finished() {
            note!(world, "node {} never got ready", life.number);
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if life.is_gone() {
        life.or_hang().await;
        return false;
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
