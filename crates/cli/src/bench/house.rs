//! A whole house in one process for measuring: real store, real gate, real policies; the outside is a function.
//!
//! Everything that governs is on: content filter, risk, default policy, permits, audit leaves, signed heads, and
//! `synchronous=FULL`. Only the outside costs nothing, so that what is measured is OmniHub.

use std::collections::HashMap;
use std::sync::Arc;

use app::view::{GoalAnswer, GoalRequest, WorkflowName};
use app::{App, Caller, Parts, RandomIds, SystemClock};
use model::effect::Answer;
use model::principal::{PrincipalKind, Role};
use model::{Clock, Label, Principal, PrincipalId, Value};
use parking_lot::Mutex;
use store::SqliteStore;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::exit::Failure;

/// Bytes that each step answers.
const ANSWER_BYTES: usize = 200;

type Ends = Arc<Mutex<HashMap<String, End>>>;

/// The end of an execution: it may be heard of before whoever started it asks.
enum End {
    Awaited(oneshot::Sender<()>),
    Heard,
}

/// A running house.
pub(super) struct House {
    pub(super) app: Arc<App>,
    pub(super) store: Arc<SqliteStore>,
    pub(super) caller: Caller,
    pub(super) directory: TempDir,
    ends: Ends,
    tasks: Vec<JoinHandle<()>>,
}

impl House {
    /// Opens a house on an empty directory.
    pub(super) async fn open() -> Result<Self, Failure> {
        Self::open_in(tempfile::tempdir().map_err(failed)?, Arc::new(SystemClock)).await
    }

    /// Opens a house on a directory that may hold executions, with a clock of its own.
    pub(super) async fn open_in(directory: TempDir, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let store = SqliteStore::open(&directory.path().join("data"), Arc::clone(&clock)).map_err(failed)?;
        let parts = Parts { store: Arc::clone(&store) as _, clock, ids: Arc::new(RandomIds::default()) };
        let app = App::open(app::Settings::default(), parts).await.map_err(failed)?;
        let principal = Principal {
            id: PrincipalId::new("service:bench").map_err(failed)?,
            tenant: app::system_tenant(),
            kind: PrincipalKind::Service,
            roles: [Role::Admin].into(),
        };
        let caller = Caller { principal, address: None, agent: None, request_id: "bench".to_owned() };
        let ends = Ends::default();
        let tasks = vec![
            tokio::spawn(Arc::clone(&app).run()),
            tokio::spawn(answer_everything(Arc::clone(&app))),
            tokio::spawn(hear_of_ends(Arc::clone(&app), Arc::clone(&ends))),
        ];
        Ok(Self { app, store, caller, directory, ends, tasks })
    }

    pub(super) async fn publish(&self, document: &str) -> Result<(), Failure> {
        self.publish_as(&self.caller, document).await
    }

    pub(super) async fn publish_as(&self, caller: &Caller, document: &str) -> Result<(), Failure> {
        self.app.publish_workflow(caller, document).await.map(drop).map_err(failed)
    }

    /// A caller of another tenant, which is made for it.
    pub(super) async fn tenant(&self, name: &str) -> Result<Caller, Failure> {
        self.app.create_tenant(&self.caller, name, name).await.map_err(failed)?;
        let tenant = model::TenantId::new(name).map_err(failed)?;
        let principal = Principal { tenant, ..self.caller.principal.clone() };
        Ok(Caller { principal, ..self.caller.clone() })
    }

    /// Starts an execution of `bench/{name}` and answers its id.
    pub(super) async fn start(&self, name: &str) -> Result<String, Failure> {
        self.start_as(&self.caller, name).await
    }

    async fn start_as(&self, caller: &Caller, name: &str) -> Result<String, Failure> {
        self.start_with(caller, name, serde_json::json!({"order": "1042"})).await
    }

    /// Starts an execution of `bench/{name}` with an input.
    pub(super) async fn start_with(
        &self,
        caller: &Caller,
        name: &str,
        input: serde_json::Value,
    ) -> Result<String, Failure> {
        let goal = GoalRequest {
            workflow: Some(WorkflowName {
                namespace: "bench".into(),
                name: name.into(),
                version: Some("1.0.0".into()),
            }),
            input: Some(input),
            ..GoalRequest::default()
        };
        match self.app.submit_goal(caller, goal).await.map_err(failed)? {
            GoalAnswer::Accepted(accepted) => Ok(accepted.execution_id.to_string()),
            GoalAnswer::Planned(_) => Err(Failure::internal("a plan was not asked for")),
        }
    }

    /// Starts an execution and waits for its end.
    pub(super) async fn run(&self, name: &str) -> Result<(), Failure> {
        self.run_as(&self.caller, name).await
    }

    /// As [`House::run`], for somebody.
    pub(super) async fn run_as(&self, caller: &Caller, name: &str) -> Result<(), Failure> {
        let id = self.start_as(caller, name).await?;
        self.ended(id).await
    }

    /// Waits for the end of an execution; each end can be waited for once.
    pub(super) async fn ended(&self, id: String) -> Result<(), Failure> {
        let (sender, ended) = oneshot::channel();
        {
            let mut ends = self.ends.lock();
            if let Some(End::Heard) = ends.remove(&id) {
                return Ok(());
            }
            ends.insert(id, End::Awaited(sender));
        }
        ended.await.map_err(failed)
    }

    /// Bytes of the house's directory when it is closed: its log is folded into the database then.
    pub(super) async fn close_and_weigh(self) -> Result<u64, Failure> {
        let directory = self.close().await;
        weigh(directory.path())
    }

    /// Ends the house, keeps its directory.
    pub(super) async fn close(self) -> TempDir {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            let _ = task.await;
        }
        drop(self.app);
        // The last reports may still be on their way; the store is closed when nobody has it any more.
        let store = Arc::downgrade(&self.store);
        drop(self.store);
        while store.strong_count() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        self.directory
    }
}

/// The outside: a function that answers at once.
async fn answer_everything(app: Arc<App>) {
    let Some(mut work) = app.take_work() else { return };
    let output = Value::string("x".repeat(ANSWER_BYTES)).with_label_everywhere(Label::EXTERNAL);
    while let Some(work) = work.recv().await {
        let (app, output) = (Arc::clone(&app), output.clone());
        tokio::spawn(async move {
            if app.may_start(&work) {
                app.report(&work, Answer::Done { output }, Vec::new()).await;
            }
        });
    }
}

async fn hear_of_ends(app: Arc<App>, ends: Ends) {
    let mut live = app.subscribe();
    loop {
        match live.recv().await {
            Ok(notice) if notice.ended => {
                let mut ends = ends.lock();
                match ends.remove(&notice.id) {
                    // Whoever no longer waits has failed already.
                    Some(End::Awaited(sender)) => drop(sender.send(())),
                    Some(End::Heard) | None => drop(ends.insert(notice.id, End::Heard)),
                }
            }
            Ok(_) => {}
            // A missed notice would make the measurement hang: better to end it with an error.
            Err(_) => ends.lock().clear(),
        }
    }
}

fn weigh(directory: &std::path::Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let found = entry.metadata().map_err(failed)?;
        bytes += if found.is_dir() { weigh(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

/// User and system time of a process so far, in milliseconds; `self` is this one.
pub(super) fn processor_ms(process: &str) -> Result<f64, Failure> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).map_err(failed)?;
    // The command's name may hold blanks; the numbers begin after its closing bracket.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) * 10.0)
}

pub(super) fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::internal(format!("cannot measure: {error}"))
}
