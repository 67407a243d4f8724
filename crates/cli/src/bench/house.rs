//! The application in this process, with a worker that answers at once: what is measured is OmniHub and its disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use app::view::{GoalAnswer, GoalRequest, WorkflowName};
use app::{App, Caller, Parts, RandomIds, SystemClock};
use model::effect::Answer;
use model::principal::{PrincipalKind, Role};
use model::{Principal, PrincipalId, Value};
use store::SqliteStore;
use tokio::task::JoinHandle;

use crate::exit::Failure;

/// Steps of the measured workflow.
pub(super) const STEPS: u64 = 5;
/// Longest time that one measured execution may take.
const WAIT: Duration = Duration::from_secs(60);

const ACTION: &str = "
action: bench-read:1.0.0
effect: read
class: read
input: { schema: { type: object } }
output: { example: { ok: true } }
hosts: [ '127.0.0.1:9' ]
run: { call: http, with: { method: get, endpoint: 'http://127.0.0.1:9/' } }
";

const FIVE: &str = "
document: { dsl: '1.0.3', namespace: bench, name: five, version: '1.0.0' }
do:
  - one: { call: 'bench-read:1.0.0', with: { n: 1 } }
  - two: { call: 'bench-read:1.0.0', with: { n: 2 } }
  - three: { call: 'bench-read:1.0.0', with: { n: 3 } }
  - four: { call: 'bench-read:1.0.0', with: { n: 4 } }
  - five: { call: 'bench-read:1.0.0', with: { n: 5 } }
";

const WAITING: &str = "
document: { dsl: '1.0.3', namespace: bench, name: waiting, version: '1.0.0' }
do:
  - wait: { wait: { hours: 1 } }
";

/// An application on a directory.
pub(super) struct House {
    pub(super) app: Arc<App>,
    pub(super) caller: Caller,
    tasks: Vec<JoinHandle<()>>,
}

impl House {
    /// Opens the directory and answers how long it took until the application was ready.
    pub(super) async fn open(dir: &Path) -> Result<(Self, Duration), Failure> {
        let begun = Instant::now();
        let store = SqliteStore::open(dir, Arc::new(SystemClock)).map_err(|error| failed(&error))?;
        let parts = Parts { store, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds::default()) };
        let app = App::open(app::Settings::default(), parts).await.map_err(|problem| failed(&problem))?;
        let time = tokio::spawn(Arc::clone(&app).run());
        while !app.ready() {
            tokio::task::yield_now().await;
        }
        let took = begun.elapsed();
        let worker = tokio::spawn(answer_at_once(Arc::clone(&app)));
        Ok((Self { app, caller: caller()?, tasks: vec![time, worker] }, took))
    }

    /// Publishes what is measured.
    pub(super) async fn publish(&self) -> Result<(), Failure> {
        self.app.publish_action(&self.caller, ACTION).await.map_err(|problem| failed(&problem))?;
        for text in [FIVE, WAITING] {
            self.app.publish_workflow(&self.caller, text).await.map_err(|problem| failed(&problem))?;
        }
        Ok(())
    }

    /// Submits `bench/five` or `bench/waiting`; with `wait`, until it has ended.
    pub(super) async fn submit(&self, name: &str, wait: bool) -> Result<(), Failure> {
        let goal = GoalRequest {
            workflow: Some(WorkflowName { namespace: "bench".into(), name: name.into(), version: None }),
            input: Some(serde_json::json!({})),
            wait: wait.then_some(WAIT),
            ..GoalRequest::default()
        };
        match self.app.submit_goal(&self.caller, goal).await.map_err(|problem| failed(&problem))? {
            GoalAnswer::Accepted(accepted) if wait && accepted.status != "completed" => {
                Err(Failure::internal(format!("a measured execution is `{}`: {:?}", accepted.status, accepted.error)))
            }
            GoalAnswer::Accepted(_) => Ok(()),
            GoalAnswer::Planned(_) => Err(Failure::internal("a plan came back for a goal")),
        }
    }

    /// Ends the tasks, so that the directory can be opened again.
    pub(super) async fn close(self) {
        for task in self.tasks {
            task.abort();
            // Aborted on purpose.
            let _ = task.await;
        }
    }
}

/// Performs nothing and says yes: the network is not what is measured.
async fn answer_at_once(app: Arc<App>) {
    let Some(mut work) = app.take_work() else { return };
    while let Some(work) = work.recv().await {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            if app.may_start(&work) {
                let output = Value::from_json(&serde_json::json!({"ok": true}), model::Label::EXTERNAL);
                app.report(&work, Answer::Done { output }).await;
            } else {
                app.give_back(&work, "a control changed before the effect started").await;
            }
        });
    }
}

fn caller() -> Result<Caller, Failure> {
    let principal = Principal {
        id: PrincipalId::new("user:bench").map_err(|error| failed(&error))?,
        tenant: app::system_tenant(),
        kind: PrincipalKind::User,
        roles: [Role::Admin].into(),
    };
    Ok(Caller { principal, address: None, agent: None, request_id: "bench".to_owned() })
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::internal(format!("cannot measure: {error}"))
}
