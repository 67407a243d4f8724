//! What one execution of five trivial steps costs in processor time, apart from everything else.
//!
//! `cargo run --release -p app --example step_cost -- EXECUTIONS IN_FLIGHT`: so many whole executions, so many at once,
//! with everything that governs, on a store in a new directory. A fixed amount of work, so that a profiler can count.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use app::view::{GoalAnswer, GoalRequest, WorkflowName};
use app::{App, Caller, Parts, RandomIds, SystemClock};
use model::effect::Answer;
use model::principal::{PrincipalKind, Role};
use model::{Label, Principal, PrincipalId, Value};
use parking_lot::Mutex;
use store::SqliteStore;
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DOCUMENT: &str = "
document: { dsl: '1.0.3', namespace: bench, name: five, version: '1.0.0' }
do:
  - one: { run: { shell: { command: 'true' } } }
  - two: { run: { shell: { command: 'true' } } }
  - three: { run: { shell: { command: 'true' } } }
  - four: { run: { shell: { command: 'true' } } }
  - five: { run: { shell: { command: 'true' } } }
";

/// Executions whose end somebody waits for; none when it was heard of before.
type Ends = Arc<Mutex<HashMap<String, Option<oneshot::Sender<()>>>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let executions = numbers.next().transpose()?.unwrap_or(20_000);
    let in_flight = numbers.next().transpose()?.unwrap_or(256);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(executions, in_flight))
}

async fn measure(executions: u64, in_flight: u64) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let store = SqliteStore::open(&directory.path().join("data"), Arc::new(SystemClock))?;
    let parts = Parts {
        store: Arc::clone(&store) as _,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds::default()),
    };
    let app = App::open(app::Settings::default(), parts).await.map_err(|problem| problem.detail)?;
    let principal = Principal {
        id: PrincipalId::new("service:bench")?,
        tenant: app::system_tenant(),
        kind: PrincipalKind::Service,
        roles: [Role::Admin].into(),
    };
    let caller = Caller { principal, address: None, agent: None, request_id: "bench".to_owned() };
    let ends = Ends::default();
    tokio::spawn(Arc::clone(&app).run());
    tokio::spawn(answer_everything(Arc::clone(&app)));
    tokio::spawn(hear_of_ends(Arc::clone(&app), Arc::clone(&ends)));
    app.publish_workflow(&caller, DOCUMENT).await.map_err(|problem| problem.detail)?;
    let left = Arc::new(AtomicU64::new(executions));
    let before = processor_ms()?;
    let begun = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (app, caller, ends, left) =
                (Arc::clone(&app), caller.clone(), Arc::clone(&ends), Arc::clone(&left));
            tokio::spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    run(&app, &caller, &ends).await?;
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let (cpu, seconds) = (processor_ms()? - before, begun.elapsed().as_secs_f64());
    let groups = store.stats().groups;
    let executions = executions as f64;
    println!(
        "{:.4} ms of processor time per execution; {:.0} steps/s; {groups} groups, {:.1} commits each",
        cpu / executions,
        executions * 5.0 / seconds,
        executions * 6.0 / groups as f64,
    );
    Ok(())
}

async fn run(app: &Arc<App>, caller: &Caller, ends: &Ends) -> Result<(), String> {
    let goal = GoalRequest {
        workflow: Some(WorkflowName {
            namespace: "bench".into(),
            name: "five".into(),
            version: Some("1.0.0".into()),
        }),
        input: Some(serde_json::json!({"order": "1042"})),
        ..GoalRequest::default()
    };
    let GoalAnswer::Accepted(accepted) = app.submit_goal(caller, goal).await.map_err(|p| p.detail.clone())?
    else {
        return Err("a plan was not asked for".to_owned());
    };
    let (sender, ended) = oneshot::channel();
    {
        let mut ends = ends.lock();
        if ends.remove(accepted.execution_id.as_str()).is_some() {
            return Ok(());
        }
        ends.insert(accepted.execution_id.to_string(), Some(sender));
    }
    ended.await.map_err(|error| error.to_string())
}

/// The outside: a function that answers at once.
async fn answer_everything(app: Arc<App>) {
    let Some(mut work) = app.take_work() else { return };
    let output = Value::string("x".repeat(200)).with_label_everywhere(Label::EXTERNAL);
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
    while let Ok(notice) = live.recv().await {
        if !notice.ended {
            continue;
        }
        let mut ends = ends.lock();
        match ends.remove(&notice.id) {
            Some(Some(sender)) => drop(sender.send(())),
            Some(None) | None => drop(ends.insert(notice.id, None)),
        }
    }
}

/// User and system time of this process so far, in milliseconds.
fn processor_ms() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<f64> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    Ok((fields[11] + fields[12]) * 10.0)
}
