//! The application: what every use case shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::control::{Control, ControlName};
use model::{Clock, Ids, Problem, TenantId};
use store::Store;
use tokio::sync::{Notify, broadcast};

use crate::admission::Admission;
use crate::catalogue::Catalogue;
use crate::compiled::Compiled;
use crate::controls::Switches;
use crate::hot::Hot;
use crate::limits::Limits;
use crate::policies::Policies;
use crate::retention::Rules;
use crate::schedule::turns::{JUDGING, Turns, WRITING};
use crate::view::Live;
use crate::work::WorkQueue;

/// Live notices that a slow reader may be behind before it has to load everything again.
const LIVE_CAPACITY: usize = 4096;
/// Runs of the policy time machine at once; further ones wait.
const SIMULATIONS_MAX: usize = 2;

/// Values that the shell has read from configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Silence on an approval becomes no after this long.
    pub approvals_expire: Duration,
    /// A plan can be approved and run for so long.
    pub plans_expire: Duration,
    /// Answers to `Idempotency-Key` are kept this long.
    pub answers_keep: Duration,
    /// Controls that the environment holds on; the API cannot turn them off.
    pub environment: BTreeMap<ControlName, Control>,
    /// Permitted effects of one tenant that wait for a worker at the most.
    pub work_max: usize,
    /// What the shell knows of this machine and this build, by name, as health tells it.
    pub machine: Vec<(&'static str, String)>,
    /// Events between two snapshots of an execution at the least.
    pub snapshot_events: u64,
    /// Events of one tenant that are kept at the most; further ones from outside are refused.
    pub events_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            approvals_expire: Duration::from_secs(3600),
            plans_expire: Duration::from_secs(24 * 3600),
            answers_keep: Duration::from_secs(24 * 3600),
            environment: BTreeMap::new(),
            work_max: 1_024,
            machine: Vec::new(),
            snapshot_events: crate::snapshots::SNAPSHOT_EVENTS,
            events_max: 100_000,
        }
    }
}

/// Pause before commands that could not be read are read again.
const RESUME_PAUSE: Duration = Duration::from_millis(500);

/// Components that the shell has made.
#[derive(Clone)]
pub struct Parts {
    /// Persistence.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers.
    pub ids: Arc<dyn Ids>,
}

/// Every use case, once. The only writer of the store.
pub struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) settings: Settings,
    pub(crate) switches: Arc<Switches>,
    pub(crate) policies: Policies,
    pub(crate) catalogue: Catalogue,
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) fetcher: crate::apis::Fetcher,
    pub(crate) hot: Hot,
    pub(crate) mail: crate::family::lines::Mail,
    pub(crate) listeners: crate::events::Listeners,
    pub(crate) tally: crate::events::Tally,
    pub(crate) work: WorkQueue,
    pub(crate) wire: Arc<crate::wire::Wire>,
    pub(crate) turns: Turns,
    /// Places before the writer of the store.
    pub(crate) writing: Turns,
    pub(crate) limits: Limits,
    pub(crate) admission: Admission,
    pub(crate) rules: Rules,
    pub(crate) schedules: crate::schedules::Schedules,
    pub(crate) live: broadcast::Sender<Live>,
    pub(crate) timers_changed: Notify,
    pub(crate) held_changed: Notify,
    pub(crate) tokens: crate::access::TokenCache,
    pub(crate) standing: crate::standing::Standing,
    pub(crate) figures: crate::overview::Figures,
    /// One drill at a time.
    pub(crate) drilling: Arc<tokio::sync::Mutex<()>>,
    /// One check of everything at a time.
    pub(crate) checking: tokio::sync::Semaphore,
    /// Places for runs of the policy time machine, which read and judge much.
    pub(crate) simulations: tokio::sync::Semaphore,
    pub(crate) shadow_queue: crate::policies::Shadows,
    /// Commands on many executions that may be under way.
    pub(crate) operations: Arc<tokio::sync::Semaphore>,
    recovered: AtomicBool,
    /// The leadership lease of this process; every commit carries it.
    pub(crate) lease: u64,
    /// True once the store refused a commit because another process leads.
    pub(crate) fenced: AtomicBool,
}

impl App {
    /// Opens the application on a store: reads the controls and policies, and refuses to start when it cannot.
    pub async fn open(settings: Settings, parts: Parts) -> Result<Arc<Self>, Problem> {
        Self::open_sharing(settings, parts, Arc::default()).await
    }

    /// As `open`, with what other applications of this process have compiled already.
    pub async fn open_sharing(
        settings: Settings,
        parts: Parts,
        compiled: Arc<Compiled>,
    ) -> Result<Arc<Self>, Problem> {
        // Whoever led before is fenced off from here on, so that nothing changes under what is read now.
        let holder = format!("process {}", parts.ids.next(parts.clock.now()));
        let lease = parts.store.lead(&holder).await.map_err(|e| store_problem(&e))?;
        let switches = Switches::load(&*parts.store, &settings).await?;
        let (live, _) = broadcast::channel(LIVE_CAPACITY);
        let app = Arc::new(Self {
            work: WorkQueue::new(settings.work_max, Arc::clone(&parts.clock)),
            turns: Turns::new(Arc::clone(&parts.clock), JUDGING).counted_in(parts.store.coming()),
            writing: Turns::new(Arc::clone(&parts.clock), WRITING),
            limits: Limits::load(&*parts.store).await?,
            admission: Admission::default(),
            rules: Rules::load(&*parts.store).await?,
            schedules: crate::schedules::Schedules::default(),
            wire: Arc::default(),
            store: parts.store,
            clock: parts.clock,
            ids: parts.ids,
            settings,
            switches: Arc::new(switches),
            policies: Policies::default(),
            catalogue: Catalogue::default(),
            compiled,
            fetcher: crate::apis::Fetcher::default(),
            hot: Hot::default(),
            mail: crate::family::lines::Mail::default(),
            listeners: crate::events::Listeners::default(),
            tally: crate::events::Tally::default(),
            live,
            timers_changed: Notify::new(),
            held_changed: Notify::new(),
            tokens: crate::access::TokenCache::default(),
            standing: crate::standing::Standing::default(),
            figures: crate::overview::Figures::default(),
            drilling: Arc::default(),
            checking: tokio::sync::Semaphore::new(1),
            simulations: tokio::sync::Semaphore::new(SIMULATIONS_MAX),
            shadow_queue: crate::policies::Shadows::default(),
            operations: Arc::new(tokio::sync::Semaphore::new(crate::operations::OPERATIONS_MAX)),
            recovered: AtomicBool::new(false),
            lease,
            fenced: AtomicBool::new(false),
        });
        app.policies_of(&system_tenant()).await?;
        app.record_environment_controls().await?;
        app.read_schedules().await?;
        Ok(app)
    }

    /// Puts everything back to work that was under way when the last process ended, then keeps time until the
    /// task is dropped. Run it once.
    pub async fn run(self: Arc<Self>) {
        // What is unfinished is listed before new work is accepted, so that nothing of this process is in the list.
        match self.unfinished().await {
            Ok(unfinished) => {
                self.recovered.store(true, Ordering::Release);
                self.recover(unfinished).await;
                self.complete_reports().await;
                while let Err(problem) = self.resume_operations().await {
                    tracing::error!(error = %problem, internal = problem.internal, "commands that were under way cannot be read; it is tried again");
                    if !self.leads() {
                        break;
                    }
                    tokio::time::sleep(RESUME_PAUSE).await;
                }
            }
            Err(problem) => {
                tracing::error!(error = %problem, internal = problem.internal, "recovery failed: not ready");
                return;
            }
        }
        tokio::join!(
            self.keep_time(),
            self.keep_shadows(),
            self.keep_limits(),
            self.keep_places(),
            self.keep_mail(),
            self.keep_events(),
            self.keep_retention(),
            self.keep_schedules()
        );
    }

    /// True once everything that was under way has been found again.
    pub fn ready(&self) -> bool {
        self.recovered.load(Ordering::Acquire) && self.leads()
    }

    /// False once another process has taken the lead of the store: this one can commit nothing any more.
    pub fn leads(&self) -> bool {
        !self.fenced.load(Ordering::Acquire)
    }

    /// The leadership lease of this process.
    pub fn lease(&self) -> u64 {
        self.lease
    }

    /// Live notices of what changed, of all tenants: front doors filter by tenant.
    pub fn subscribe(&self) -> broadcast::Receiver<Live> {
        self.live.subscribe()
    }

    pub(crate) fn notify(&self, tenant: &TenantId, topic: &'static str, id: &str, version: u64) {
        self.tell(Live { tenant: tenant.clone(), topic, id: id.to_owned(), version, ended: false });
    }

    pub(crate) fn tell(&self, notice: Live) {
        // Nobody listening is fine: a notice is a hint.
        let _ = self.live.send(notice);
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

/// The tenant that platform-wide things belong to, and the first administrator's.
pub fn system_tenant() -> TenantId {
    TenantId::new("default").expect("a literal identifier is valid")
}

/// The principal that acts for OmniHub itself.
pub fn system_principal() -> model::PrincipalId {
    model::PrincipalId::new("system").expect("a literal identifier is valid")
}

/// The disk failed, and the store writes nothing until the process is started again.
pub(crate) fn stopped_problem() -> Problem {
    Problem::new(
        503,
        5003,
        "store stopped",
        "the store stopped after an error of the disk; read it again after a restart before you repeat",
    )
}

/// The disk is full, and may have room again.
pub(crate) fn full_problem() -> Problem {
    Problem::new(
        503,
        5004,
        "disk full",
        "there is no room on the server's disk, so nothing was changed; try again once there is",
    )
}

/// Turns a failure of the store into a problem.
pub(crate) fn store_problem(error: &store::StoreError) -> Problem {
    match error {
        store::StoreError::Cursor(_) => {
            Problem::new(400, 4002, "bad parameter", error.to_string()).field("cursor", error.to_string())
        }
        store::StoreError::Stopped(_) => stopped_problem().internal(error),
        store::StoreError::Full(_) => full_problem().internal(error),
        store::StoreError::Failed(_) | store::StoreError::Corrupt(_) => {
            Problem::new(503, 5001, "store unavailable", "the store could not answer; nothing was changed")
                .internal(error)
        }
    }
}

/// Turns a failed commit into a problem.
pub(crate) fn commit_problem(error: &store::CommitError) -> Problem {
    match error {
        store::CommitError::Conflict(what) => Problem::new(
            409,
            4090,
            "conflict",
            format!("somebody else changed it at the same time: {what}; read it again"),
        ),
        store::CommitError::Fenced { held, newest } => Problem::new(
            503,
            3040,
            "another process leads",
            "another process has taken over this store; nothing was changed; ask that one",
        )
        .internal(format!("lease {held} was given up for lease {newest}")),
        store::CommitError::Overloaded => {
            Problem::new(503, 5002, "overloaded", "too much is being written; try again in a second")
        }
        store::CommitError::Stopped(_) => stopped_problem().internal(error),
        store::CommitError::Full(_) => full_problem().internal(error),
        store::CommitError::Failed(_) => Problem::new(
            503,
            5001,
            "store unavailable",
            "the store could not write; read it again before you repeat",
        )
        .internal(error),
    }
}
