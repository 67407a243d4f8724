//! In process: the real application, store, worker and door, with a clock that can be set and a process that can die.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use app::view::{
    ApprovalWord, ExecutionView, GoalAnswer, GoalRequest, SignalRequest, UpdateRequest, WaitFor, WorkflowName,
};
use app::{App, Caller, Parts, RandomIds, SystemClock};
use async_trait::async_trait;
use egress::{AddressRule, SystemResolver};
use model::principal::{PrincipalKind, Role};
use model::{Clock, Principal, PrincipalId, Problem, Timestamp};
use sandbox::Sandbox;
use serde_json::Value as Json;
use store::{SqliteStore, Store};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::crash::{Life, Mortal};
use crate::house::{House, Refused, Seen, Workflow};
use crate::outside::Outside;

/// A start that takes longer than this has failed.
const START_MAX: Duration = Duration::from_secs(30);
/// Pause between looks at whether the application is ready.
const LOOK: Duration = Duration::from_millis(1);

/// The machine's clock, set forward.
#[derive(Debug, Default)]
pub struct SetClock {
    ahead_ms: AtomicI64,
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add(self.ahead_ms.load(Ordering::Acquire)))
    }
}

/// A house in this process.
pub struct Inside {
    /// What is durable; every process of the house uses it, and only the newest is heard.
    store: Arc<SqliteStore>,
    _scratch: TempDir,
    clock: Arc<SetClock>,
    outside: Outside,
    sandbox: Result<Arc<Sandbox>, String>,
    running: Option<Running>,
    /// What becomes of the present process.
    life: Arc<Life>,
    /// Commits of events after which it dies; none: it does not, or did.
    dies: Option<u32>,
    /// Commits of events of earlier processes.
    commits_before: u32,
    /// True once it died of that.
    died: bool,
}

struct Running {
    app: Arc<App>,
    tasks: Vec<JoinHandle<()>>,
    _stop: watch::Sender<bool>,
}

impl Inside {
    /// Opens a house on an empty directory, which dies right after `dies` commits of events.
    pub async fn open(
        outside: &Outside,
        sandbox: Result<Arc<Sandbox>, String>,
        dies: Option<u32>,
    ) -> Result<Self, Refused> {
        let scratch = TempDir::new().map_err(Refused::unasked)?;
        let clock = Arc::new(SetClock::default());
        let store = SqliteStore::open(&scratch.path().join("data"), Arc::clone(&clock) as _);
        let mut house = Self {
            store: store.map_err(Refused::unasked)?,
            _scratch: scratch,
            clock,
            outside: outside.clone(),
            sandbox,
            running: None,
            life: Life::of(dies),
            dies,
            commits_before: 0,
            died: false,
        };
        house.start_up().await?;
        Ok(house)
    }

    /// A sandbox that all houses of this process share, or why there is none.
    pub fn sandbox() -> Result<Arc<Sandbox>, String> {
        let config = sandbox::SandboxConfig {
            base: std::env::temp_dir(),
            given_up: std::collections::BTreeSet::new(),
            concurrency: 2,
            tools: Vec::new(),
        };
        Sandbox::new(config).map(Arc::new).map_err(|error| error.to_string())
    }

    /// Commits of events since it was opened.
    pub fn commits(&self) -> u32 {
        self.commits_before + self.life.commits()
    }

    /// True once it died after the commit that it was opened with.
    pub fn died(&self) -> bool {
        self.died || self.life.is_dead()
    }

    /// The history of an execution.
    pub async fn history(&self, id: &str) -> Result<Vec<model::Event>, Refused> {
        let id = model::ExecutionId::new(id).map_err(Refused::unasked)?;
        let found = self.store.load(&app::system_tenant(), &id).await.map_err(Refused::unasked)?;
        Ok(found.map(|history| history.events).unwrap_or_default())
    }

    async fn start_up(&mut self) -> Result<(), Refused> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let mortal = Mortal { inner: Arc::clone(&self.store) as _, life: Arc::clone(&self.life) };
        let parts = Parts { store: Arc::new(mortal), clock, ids: Arc::new(RandomIds::default()) };
        let app = App::open(app::Settings::default(), parts).await.map_err(refused)?;
        let (stop, stopping) = watch::channel(false);
        let config = self.pool()?;
        let workers = Arc::clone(&app);
        let tasks = vec![
            tokio::spawn(async move {
                if let Err(error) = worker::Pool::run(workers, config, stopping).await {
                    panic!("no worker: {error}");
                }
            }),
            tokio::spawn(Arc::clone(&app).run()),
        ];
        let began = tokio::time::Instant::now();
        while !app.ready() {
            if began.elapsed() > START_MAX {
                return Err(Refused::unasked("the application did not get ready"));
            }
            tokio::time::sleep(LOOK).await;
        }
        self.running = Some(Running { app, tasks, _stop: stop });
        Ok(())
    }

    fn pool(&self) -> Result<worker::PoolConfig, Refused> {
        let network = |text: &str| text.parse().map_err(Refused::unasked);
        Ok(worker::PoolConfig {
            concurrency: 16,
            private: vec![
                AddressRule { net: network("127.0.0.1/32")?, port: None },
                AddressRule { net: network("::1/128")?, port: None },
            ],
            hosts: vec![self.outside.host.parse().map_err(Refused::unasked)?],
            extra_roots_pem: vec![self.outside.authority.clone().into_bytes()],
            resolver: Arc::new(SystemResolver),
            http_limits: egress::Limits::default(),
            program_limits: sandbox::Limits::default(),
            sandbox: self.sandbox.clone(),
            containers: Err("no engine is configured (`containers.engine`)".to_owned()),
        })
    }

    /// Ends the process as a crash does: nothing is told and nothing is waited for. What still runs of it is never
    /// answered again, and the next process takes the lead of the store.
    async fn die(&mut self) {
        self.life.end();
        let Some(running) = self.running.take() else { return };
        for task in &running.tasks {
            task.abort();
        }
        for task in running.tasks {
            let _ = task.await;
        }
    }

    /// Asks the process, and once more the next one when it died meanwhile.
    async fn ask<T, F: Future<Output = Result<T, Problem>>>(
        &mut self,
        act: impl Fn(Arc<App>) -> F,
    ) -> Result<T, Refused> {
        loop {
            let running = self.running.as_ref().ok_or_else(|| Refused::unasked("nothing runs"))?;
            let (asked, life) = (act(Arc::clone(&running.app)), Arc::clone(&self.life));
            let answer = tokio::select! {
                biased;
                () = life.death() => None,
                answer = asked => Some(answer),
            };
            match answer {
                Some(answer) => return answer.map_err(refused),
                None => self.come_back().await?,
            }
        }
    }

    /// Starts on what the dead process left. It dies once at the most.
    async fn come_back(&mut self) -> Result<(), Refused> {
        self.died |= self.life.is_dead();
        self.die().await;
        self.commits_before += self.life.commits();
        let left =
            self.dies.filter(|_| !self.died).map(|dies| dies.saturating_sub(self.commits_before).max(1));
        self.life = Life::of(left);
        self.start_up().await
    }
}

/// Somebody of the default tenant.
fn caller(name: &str, role: Role) -> Result<Caller, Refused> {
    Ok(Caller {
        principal: Principal {
            id: PrincipalId::new(name).map_err(Refused::unasked)?,
            tenant: app::system_tenant(),
            kind: PrincipalKind::User,
            roles: [role].into(),
        },
        address: None,
        agent: None,
        request_id: "kit".to_owned(),
    })
}

fn author() -> Result<Caller, Refused> {
    caller("user:author", Role::Admin)
}

fn refused(problem: Problem) -> Refused {
    let own = problem.code.to_string();
    let told = problem.extra.get("problems").and_then(Json::as_array).cloned().unwrap_or_default();
    let codes = told.iter().filter_map(|one| one["code"].as_str().map(str::to_owned));
    let codes = std::iter::once(own).chain(codes).collect();
    let inner = problem.internal.as_deref().unwrap_or_default();
    Refused { codes, text: format!("{problem} {} {inner}", Json::from(told)) }
}

fn seen(view: ExecutionView, overdue: bool) -> Seen {
    let ran = view.tasks.into_iter().filter(|task| task.status != "skipped").map(|task| task.name);
    Seen {
        status: view.summary.status,
        blocked_on: view.summary.blocked_on,
        output: view.output,
        error: view.error,
        overdue,
        ran: ran.collect(),
    }
}

#[async_trait]
impl House for Inside {
    async fn publish_action(&mut self, text: &str) -> Result<(), Refused> {
        let author = author()?;
        self.ask(|app| {
            let author = author.clone();
            async move { app.publish_action(&author, text).await.map(drop) }
        })
        .await
    }

    async fn publish(&mut self, text: &str) -> Result<(), Refused> {
        let author = author()?;
        self.ask(|app| {
            let author = author.clone();
            async move { app.publish_workflow(&author, text).await.map(drop) }
        })
        .await
    }

    async fn start(&mut self, workflow: &Workflow, id: &str, input: &Json) -> Result<(), Refused> {
        let author = author()?;
        let goal = GoalRequest {
            workflow: Some(WorkflowName {
                namespace: workflow.namespace.clone(),
                name: workflow.name.clone(),
                version: Some(workflow.version.clone()),
            }),
            input: Some(input.clone()),
            execution_id: Some(id.to_owned()),
            ..GoalRequest::default()
        };
        let answer = self
            .ask(|app| {
                let (author, goal) = (author.clone(), goal.clone());
                async move { app.submit_goal(&author, goal).await }
            })
            .await?;
        match answer {
            GoalAnswer::Accepted(_) => Ok(()),
            GoalAnswer::Planned(_) => Err(Refused::unasked("a plan was not asked for")),
        }
    }

    async fn look(&mut self, id: &str) -> Result<Seen, Refused> {
        let author = author()?;
        let view = self
            .ask(|app| {
                let author = author.clone();
                async move { app.execution(&author, id).await }
            })
            .await?;
        let now = self.clock.now();
        let overdue = view.summary.due_at.is_some_and(|due| due <= now);
        Ok(seen(view, overdue))
    }

    async fn signal(&mut self, id: &str, name: &str, signal: &str, data: &Json) -> Result<(), Refused> {
        let author = author()?;
        let request =
            SignalRequest { name: name.to_owned(), id: Some(signal.to_owned()), data: data.clone() };
        self.ask(|app| {
            let (author, request) = (author.clone(), request.clone());
            async move { app.signal(&author, id, request).await.map(drop) }
        })
        .await
    }

    async fn update(&mut self, id: &str, name: &str, update: &str, data: &Json) -> Result<Json, Refused> {
        let author = author()?;
        let request = UpdateRequest {
            name: name.to_owned(),
            id: Some(update.to_owned()),
            data: data.clone(),
            wait_for: WaitFor::Completed,
            wait: START_MAX,
        };
        let view = self
            .ask(|app| {
                let (author, request) = (author.clone(), request.clone());
                async move { app.update(&author, id, request).await }
            })
            .await?;
        match view.answer {
            Some(Ok(output)) => Ok(output),
            Some(Err(error)) => Err(Refused::unasked(error.detail.unwrap_or(error.kind))),
            None => Err(Refused::unasked("the update is not answered")),
        }
    }

    async fn event(&mut self, event: &Json) -> Result<(), Refused> {
        let author = author()?;
        self.ask(|app| {
            let (author, event) = (author.clone(), event.clone());
            async move { app.publish_events(&author, vec![event]).await.map(drop) }
        })
        .await
    }

    async fn decide(&mut self, id: &str, yes: bool, answer: Option<&Json>) -> Result<(), Refused> {
        let approver = caller("user:approver", Role::Operator)?;
        let blocked = self.look(id).await?.blocked_on.unwrap_or_default();
        let Some(approval) = blocked.strip_prefix("approval:") else {
            return Err(Refused::unasked(format!("no approval is waited for, but `{blocked}`")));
        };
        self.ask(|app| {
            let approver = approver.clone();
            async move {
                let digest = app.approval(&approver, approval).await?.approval.digest.to_string();
                let word = ApprovalWord {
                    digest,
                    reason: "the kit says so".to_owned(),
                    arguments: None,
                    answer: answer.cloned(),
                };
                let said = if yes {
                    app.approve(&approver, approval, word).await
                } else {
                    app.reject(&approver, approval, word).await
                };
                match said {
                    // Said before the process died.
                    Err(problem) if problem.status == 409 => Ok(()),
                    said => said.map(drop),
                }
            }
        })
        .await
    }

    async fn cancel(&mut self, id: &str) -> Result<(), Refused> {
        let author = author()?;
        self.ask(|app| {
            let author = author.clone();
            async move {
                if app.execution(&author, id).await?.summary.status == "cancelled" {
                    return Ok(());
                }
                app.cancel(&author, id, "the kit says so", model::event::CancelMode::default())
                    .await
                    .map(drop)
            }
        })
        .await
    }

    async fn advance(&mut self, by: Duration) -> Result<(), Refused> {
        let by = i64::try_from(by.as_millis()).map_err(Refused::unasked)?;
        self.clock.ahead_ms.fetch_add(by, Ordering::AcqRel);
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), Refused> {
        self.come_back().await
    }
}
