//! Somebody who plans first, has the plan signed by somebody else, and then runs it.

use std::sync::Arc;
use std::time::Duration;

use app::Caller;
use app::view::{GoalAnswer, GoalRequest};
use model::principal::Role;

use crate::acks::Accepted;
use crate::actors::unexpected;
use crate::random::Random;
use crate::world::World;
use crate::{note, reached, workloads};

/// Pause before something that failed is tried again.
const AGAIN: Duration = Duration::from_millis(700);
/// How often each is tried: worlds in which nothing works go on without plans.
const TRIES_MAX: u32 = 60;

/// Plans a goal, has it signed, and runs it; false when none of that came to an execution.
pub async fn run(world: &Arc<World>, random: &mut Random, alice: &Caller, goal: &GoalRequest) -> bool {
    let Some(digest) = plan(world, alice, goal).await else { return false };
    // Nobody signs his own, and nobody runs what is not signed, or another's.
    let wrong = random.chance(300);
    if wrong {
        attack(world, alice, &digest).await;
    }
    if !sign(world, alice, &digest).await {
        return false;
    }
    let pause = random.millis(0, 4_000);
    tokio::time::sleep(pause).await;
    let key = goal.idempotency_key.clone().unwrap_or_else(|| format!("run-{digest}"));
    let asked = GoalRequest {
        plan: Some(digest.clone()),
        workflow: None,
        input: None,
        idempotency_key: Some(key.clone()),
        ..goal.clone()
    };
    // Whether one that got no answer began is not known, so it is asked for until there is one.
    loop {
        let node = world.node().await;
        match world.ask(&node, Box::pin(node.app.submit_goal(alice, asked.clone()))).await {
            Some(Ok(GoalAnswer::Accepted(accepted))) => {
                note!(world, "the plan {digest} runs as {}", accepted.execution_id);
                reached!(world, "a signed plan ran");
                let promise = Accepted {
                    tenant: alice.principal.tenant.clone(),
                    execution: accepted.execution_id.clone(),
                    plan: accepted.plan_digest,
                    key: Some(key),
                };
                world.acks.add(|acks| {
                    acks.accepted.push(promise);
                });
                return true;
            }
            Some(Ok(GoalAnswer::Planned(_))) => return false,
            Some(Err(problem)) if problem.status != 503 && problem.status != 429 => {
                unexpected(world, "run a plan", &problem);
                reached!(world, "a signed plan was void");
                return false;
            }
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
}

async fn plan(world: &Arc<World>, alice: &Caller, goal: &GoalRequest) -> Option<String> {
    let asked = GoalRequest { plan_only: true, idempotency_key: None, ..goal.clone() };
    for _ in 0..TRIES_MAX {
        let node = world.node().await;
        match world.ask(&node, Box::pin(node.app.submit_goal(alice, asked.clone()))).await {
            Some(Ok(GoalAnswer::Planned(plan))) => return Some(plan.digest.to_string()),
            Some(Ok(GoalAnswer::Accepted(_))) => return None,
            Some(Err(problem)) if problem.status != 503 && problem.status != 429 => {
                unexpected(world, "plan", &problem);
                return None;
            }
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
    None
}

async fn sign(world: &Arc<World>, alice: &Caller, digest: &str) -> bool {
    let bob = workloads::caller(&alice.principal.tenant, "user:bob", &[Role::Operator]);
    for _ in 0..TRIES_MAX {
        let node = world.node().await;
        if let Some(Ok(view)) = world.ask(&node, node.app.plan(&bob, digest)).await
            && view.status != "open"
        {
            return view.status == "signed";
        }
        match world.ask(&node, node.app.approve_plan(&bob, digest, "as agreed")).await {
            Some(Err(problem)) if (400..500).contains(&problem.status) && problem.status != 409 => {
                unexpected(world, "sign a plan", &problem);
                return false;
            }
            Some(Err(problem)) if problem.status == 500 => {
                unexpected(world, "sign a plan", &problem);
                return false;
            }
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
    false
}

/// What must be refused, whatever else happens.
async fn attack(world: &Arc<World>, alice: &Caller, digest: &str) {
    let Some(node) = world.node_now() else { return };
    let own = world.ask(&node, node.app.approve_plan(alice, digest, "mine")).await;
    let early = GoalRequest { plan: Some(digest.to_owned()), ..GoalRequest::default() };
    let unsigned = world.ask(&node, Box::pin(node.app.submit_goal(alice, early.clone()))).await;
    let carol = workloads::caller(&alice.principal.tenant, "user:carol", &[Role::Developer, Role::Operator]);
    let other = world.ask(&node, Box::pin(node.app.submit_goal(&carol, early))).await;
    let heard = [
        ("signed by its maker", own.is_some_and(|done| done.is_ok())),
        ("run unsigned", unsigned.is_some_and(|done| done.is_ok())),
        ("run by somebody else", other.is_some_and(|done| done.is_ok())),
    ];
    for (what, _) in heard.into_iter().filter(|(_, heard)| *heard) {
        world.acks.add(|acks| {
            acks.wrong.push(format!("the plan {digest} was {what}"));
        });
    }
    reached!(world, "a plan was attacked");
}
