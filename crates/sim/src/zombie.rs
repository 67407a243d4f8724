//! A node that slept while another one took the lead, and wakes with its clock behind: whatever it writes, sends and
//! says must be refused.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use app::view::{GoalAnswer, GoalRequest, SetControl, WorkflowName};
use model::principal::Role;

use crate::acks::{Accepted, Kill};
use crate::node::Life;
use crate::world::World;
use crate::{note, reached, workloads};

/// Longest sleep, in milliseconds.
const SLEEP_MAX_MS: u64 = 90_000;
/// A woken node's clock is so much behind at the most, in milliseconds.
const BEHIND_MAX_MS: u64 = 600_000;
/// What a woken node is given to find out that it does not lead any more.
const AWAKE: Duration = Duration::from_secs(40);

/// Lets a replaced node sleep, wake, and do what it was about to do; ends when it has given up, or after a while.
pub async fn haunt(world: &Arc<World>, life: &Arc<Life>, serves: Pin<Box<dyn Future<Output = bool> + Send>>) {
    let (sleep, behind) = world.draw(|random| {
        let behind = if random.chance(500) { random.between(0, BEHIND_MAX_MS) } else { 0 };
        (random.millis(6_000, SLEEP_MAX_MS), i64::try_from(behind).unwrap_or(0))
    });
    // Nothing is bad any more once the world is healed, so whoever sleeps wakes there at the latest.
    let mut slept = Duration::ZERO;
    while slept < sleep && !world.is_healed() {
        let nap = Duration::from_millis(500);
        tokio::time::sleep(nap).await;
        slept += nap;
    }
    note!(world, "node {} wakes, {behind} ms behind", life.number);
    reached!(world, "a sleeper woke");
    life.wake(behind);
    let asks = Arc::clone(world);
    let asked = Arc::clone(life);
    let mut asking = Box::pin(async move { ask(&asks, &asked).await });
    let mut serves = serves;
    let both = async {
        tokio::select! {
            biased;
            _ = &mut serves => {}
            () = &mut asking => { (&mut serves).await; }
        }
    };
    let _ = tokio::time::timeout(AWAKE, both).await;
    if life.app().is_some_and(|app| !app.leads()) {
        reached!(world, "a sleeper was fenced by the store");
    }
}

/// People whose connection still ends at the old node.
async fn ask(world: &Arc<World>, life: &Arc<Life>) {
    let Some(app) = life.app() else { return };
    let tenant = workloads::first_tenant();
    let oscar = workloads::caller(&tenant, "user:oscar", &[Role::Operator, Role::Developer]);
    let set = SetControl {
        on: Some(true),
        operations: None,
        reason: "said to a node that does not lead".to_owned(),
        tenant_only: false,
        scope: None,
        running: model::stop::Running::default(),
    };
    if app.set_control(&oscar, "kill-switch", set).await.is_ok() {
        let number = note!(world, "the sleeper, node {}, acknowledges a stop", life.number);
        world.acks.add(|acks| {
            acks.controls += 1;
            acks.kills.push(Kill::On(number));
        });
    }
    let goal = GoalRequest {
        workflow: Some(WorkflowName {
            namespace: "sim".to_owned(),
            name: "sequence".to_owned(),
            version: None,
        }),
        input: Some(serde_json::json!({ "n": 999_999 })),
        ..GoalRequest::default()
    };
    let alice = workloads::caller(&tenant, "user:alice", &[Role::Developer, Role::Operator]);
    if let Ok(GoalAnswer::Accepted(accepted)) = app.submit_goal(&alice, goal).await {
        note!(world, "the sleeper, node {}, promises {}", life.number, accepted.execution_id);
        let promise = Accepted {
            tenant,
            execution: accepted.execution_id.clone(),
            plan: accepted.plan_digest,
            key: None,
        };
        world.acks.add(|acks| acks.accepted.push(promise));
    }
}
