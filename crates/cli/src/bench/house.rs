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
use model::{Label, Principal, PrincipalId, Value};
use parking_lot::Mutex;
use store::SqliteStore;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::exit::Failure;

/// Bytes that each step answers.
const ANSWER_BYTES: usize = 200;

type Ends = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

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
        Self::open_in(tempfile::tempdir().map_err(failed)?).await
    }

    /// Opens a house on a directory that may hold executions.
    pub(super) async fn open_in(directory: TempDir) -> Result<Self, Failure> {
        let store =
            SqliteStore::open(&directory.path().join("data"), Arc::new(SystemClock)).map_err(failed)?;
        let parts = Parts {
            store: Arc::clone(&store) as _,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds::default()),
        };
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
        self.app.publish_workflow(&self.caller, document).await.map(drop).map_err(failed)
    }

    /// Starts an execution of `bench/{name}`.
    pub(super) async fn start(&self, name: &str, id: Option<String>) -> Result<(), Failure> {
        let goal = GoalRequest {
            workflow: Some(WorkflowName {
                namespace: "bench".into(),
                name: name.into(),
                version: Some("1.0.0".into()),
            }),
            input: Some(serde_json::json!({"order": "1042"})),
            execution_id: id,
            ..GoalRequest::default()
        };
        match self.app.submit_goal(&self.caller, goal).await.map_err(failed)? {
            GoalAnswer::Accepted(_) => Ok(()),
            GoalAnswer::Planned(_) => Err(Failure::internal("a plan was not asked for")),
        }
    }

    /// Starts an execution and waits for its end.
    pub(super) async fn run(&self, name: &str, id: String) -> Result<(), Failure> {
        let (sender, ended) = oneshot::channel();
        self.ends.lock().insert(id.clone(), sender);
        self.start(name, Some(id)).await?;
        ended.await.map_err(failed)
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
        drop(self.store);
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
                if let Some(end) = ends.lock().remove(&notice.id) {
                    let _ = end.send(());
                }
            }
            Ok(_) => {}
            // A missed notice would make the measurement hang: better to end it with an error.
            Err(_) => ends.lock().clear(),
        }
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::internal(format!("cannot measure: {error}"))
}
