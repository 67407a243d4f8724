//! Somebody who keeps house badly: limits that come and go, rules that forget what has ended, approvers who lose their
//! rights, and commands on many executions at once.

use std::sync::Arc;
use std::time::Duration;

use app::limits::{Counted, NewLimit, OnExcess, Rate, Scope};
use app::operations::Act;
use app::retention::NewRule;
use app::view::{BulkRequest, NewToken};
use model::TenantId;
use model::principal::Role;
use store::ExecutionQuery;

use crate::acks::Disabled;
use crate::actors::unexpected;
use crate::random::Random;
use crate::world::World;
use crate::{note, reached, workloads};

/// Names of limits that are set.
const LIMITS: [&str; 3] = ["narrow", "slow", "few"];
/// Pause before something that failed is tried again.
const AGAIN: Duration = Duration::from_millis(700);

/// Keeps house until the world is healed.
pub async fn keeper(world: Arc<World>) {
    let swarm = &world.swarm;
    let mut random = Random::stream(world.seed, "keeper");
    while !world.is_healed() && (swarm.limits || swarm.retention || swarm.rights || swarm.bulk) {
        let pause = random.millis(300, 12_000);
        tokio::time::sleep(pause).await;
        if world.is_healed() {
            return;
        }
        let tenant = if random.chance(500) { workloads::first_tenant() } else { workloads::second_tenant() };
        match random.below(4) {
            0 if swarm.limits => limit(&world, &mut random, &tenant).await,
            1 if swarm.retention => forget(&world, &mut random, &tenant).await,
            2 if swarm.rights => {
                let on = random.chance(500);
                rights(&world, &tenant, on).await;
            }
            3 if swarm.bulk => many(&world, &mut random, &tenant).await,
            _ => {}
        }
    }
}

async fn limit(world: &Arc<World>, random: &mut Random, tenant: &TenantId) {
    let root = workloads::caller(tenant, "user:root", &[Role::Admin]);
    let Some(node) = world.node_now() else { return };
    let name = *random.pick(&LIMITS);
    if random.chance(400) {
        if let Some(Err(problem)) = world.ask(&node, node.app.delete_limit(&root, name, "simulated")).await {
            unexpected(world, "limit", &problem);
        }
        return;
    }
    let workflow = workloads::name(usize::try_from(random.below(workloads::count() as u64)).unwrap_or(0));
    let (scope, of) = match random.below(3) {
        0 => (Scope::Workflow(format!("sim/{workflow}")), None),
        1 => (Scope::Action((*random.pick(&["put", "keep", "book", "take-back"])).to_owned()), None),
        _ => (Scope::Tenant(tenant.to_string()), Some(Counted::Executions)),
    };
    let rated = random.chance(400);
    let asked = NewLimit {
        scope,
        of,
        concurrency: (!rated).then(|| u32::try_from(random.between(1, 2)).unwrap_or(1)),
        rate: rated.then_some(Rate { count: 1, per_ms: 5_000 }),
        on_excess: if random.chance(800) { OnExcess::Queue } else { OnExcess::Refuse },
        weight: None,
        reason: "simulated".to_owned(),
    };
    match world.ask(&node, node.app.put_limit(&root, name, asked)).await {
        Some(Ok(view)) => {
            note!(world, "limit {name} of {tenant} on {:?}", view.limit.scope);
            reached!(world, "a limit was set");
        }
        Some(Err(problem)) => unexpected(world, "limit", &problem),
        None => {}
    }
}

async fn forget(world: &Arc<World>, random: &mut Random, tenant: &TenantId) {
    let root = workloads::caller(tenant, "user:root", &[Role::Admin]);
    let Some(node) = world.node_now() else { return };
    let rule = NewRule {
        workflow: None,
        after_ms: *random.pick(&[1_000, 20_000, 60_000]),
        unknown: random.chance(500),
        dead_letters: random.chance(500),
        reason: "simulated".to_owned(),
    };
    match world.ask(&node, node.app.put_retention(&root, "soon", rule)).await {
        Some(Ok(_)) => {
            note!(world, "{tenant} forgets");
        }
        Some(Err(problem)) => unexpected(world, "retention", &problem),
        None => {}
    }
}

/// Gives the approver of a tenant a token, or takes all of them away; true when that was acknowledged.
async fn rights(world: &Arc<World>, tenant: &TenantId, on: bool) -> bool {
    let root = workloads::caller(tenant, "user:root", &[Role::Admin]);
    let Some(node) = world.node_now() else { return false };
    let bob = "user:bob";
    if on {
        let number = note!(world, "{bob} of {tenant} is to be given a right");
        world.acks.add(|acks| {
            acks.grants.push((tenant.clone(), number));
            let lost =
                acks.disabled.iter_mut().filter(|lost| lost.tenant == *tenant && lost.until == u64::MAX);
            lost.for_each(|lost| lost.until = number);
        });
        let new = NewToken {
            principal: bob.to_owned(),
            kind: "user".to_owned(),
            owner: None,
            tenant: None,
            roles: vec!["operator".to_owned()],
            days: None,
        };
        return match world.ask(&node, node.app.create_token(&root, new)).await {
            Some(Ok(_)) => true,
            Some(Err(problem)) => {
                unexpected(world, "token", &problem);
                false
            }
            None => false,
        };
    }
    let before = world.trace.count();
    let Some(Ok(tokens)) = world.ask(&node, node.app.tokens(&root)).await else { return false };
    let own: Vec<_> = tokens.into_iter().filter(|token| token.principal == bob).collect();
    let mut all = !own.is_empty();
    for token in own {
        let done = world.ask(&node, node.app.revoke_token(&root, &token.id)).await;
        all &= matches!(done, Some(Ok(())));
        if let Some(Err(problem)) = done {
            unexpected(world, "token", &problem);
        }
    }
    if all {
        let from = note!(world, "{bob} of {tenant} has lost every right");
        reached!(world, "an approver lost the right");
        let lost = Disabled { tenant: tenant.clone(), who: bob.to_owned(), from, until: u64::MAX };
        world.acks.add(|acks| {
            // Whoever gave it back meanwhile may have been later.
            if !acks.grants.iter().any(|(of, at)| of == tenant && *at > before) {
                acks.disabled.push(lost);
            }
        });
    }
    all
}

async fn many(world: &Arc<World>, random: &mut Random, tenant: &TenantId) {
    let oscar = workloads::caller(tenant, "user:oscar", &[Role::Operator]);
    let Some(node) = world.node_now() else { return };
    let act = *random.pick(&[Act::Pause, Act::Pause, Act::Resume, Act::Resume, Act::Retry, Act::Cancel]);
    let statuses: &[&str] = match act {
        Act::Pause => &["running", "waiting", "pending"],
        Act::Resume => &["suspended"],
        Act::Retry => &["suspended", "faulted"],
        Act::Cancel => &["waiting", "suspended", "faulted"],
    };
    let statuses = statuses.iter().map(|status| (*status).to_owned()).collect();
    let request = BulkRequest {
        query: ExecutionQuery { statuses, ..ExecutionQuery::default() },
        reason: "simulated".to_owned(),
        limit: Some(random.between(1, 4)),
        operation_id: None,
        dry_run: random.chance(100),
    };
    match world.ask(&node, node.app.act_on_many(&oscar, act, request)).await {
        Some(Ok(view)) => {
            note!(world, "operator: {} many of {tenant}, {}", act.name(), view.id);
            reached!(world, "many were acted on");
        }
        Some(Err(problem)) => unexpected(world, "many", &problem),
        None => {}
    }
}

/// Once all faults are over: no limit holds anything, and approvers have their rights again.
pub async fn tidy(world: &Arc<World>) {
    for tenant in [workloads::first_tenant(), workloads::second_tenant()] {
        let root = workloads::caller(&tenant, "user:root", &[Role::Admin]);
        for name in LIMITS {
            loop {
                let node = world.node().await;
                match world.ask(&node, node.app.delete_limit(&root, name, "healed")).await {
                    Some(Ok(_)) => break,
                    Some(Err(problem)) if problem.status == 404 => break,
                    _ => tokio::time::sleep(AGAIN).await,
                }
            }
        }
        if world.swarm.rights {
            world.node().await;
            while !rights(world, &tenant, true).await {
                tokio::time::sleep(AGAIN).await;
                world.node().await;
            }
        }
    }
}
