//! Somebody who stops parts and lets them go again, over and over.

use std::sync::Arc;

use app::view::SetControl;
use model::principal::Role;
use model::stop::{Running, Scope};
use model::{PrincipalId, TenantId};

use crate::acks::PartStop;
use crate::random::Random;
use crate::world::World;
use crate::{note, reached, workloads};

/// Stops parts and lifts the stops, until the world is healed.
pub async fn stopper(world: Arc<World>) {
    if !world.swarm.parts {
        return;
    }
    let mut random = Random::stream(world.seed, "stopper");
    while !world.is_healed() {
        let pause = random.millis(100, 12_000);
        tokio::time::sleep(pause).await;
        if world.is_healed() {
            return;
        }
        let scope = part(&mut random);
        // The platform's stops concern all tenants, anybody else's only their own.
        let by = if random.chance(600) { workloads::first_tenant() } else { workloads::second_tenant() };
        let on = random.chance(550);
        let running = if on && random.chance(300) { Running::Cancel } else { Running::Finish };
        set(&world, &by, scope, on, running).await;
    }
}

fn part(random: &mut Random) -> Scope {
    let workflow = workloads::name(usize::try_from(random.below(workloads::count() as u64)).unwrap_or(0));
    match random.below(6) {
        0 => Scope::Tenant(if random.chance(500) {
            workloads::first_tenant()
        } else {
            workloads::second_tenant()
        }),
        1 => Scope::Workflow(format!("sim/{workflow}")),
        2 | 3 => {
            let named =
                ["put", "keep:1.0.0", "take-back", "book", "hold", "put-read", "pay", "mail", "run:*"];
            Scope::Action((*random.pick(&named)).to_owned())
        }
        4 => Scope::Target(
            (*random.pick(&["idem.sim", "once.sim:80", "*.sim", "sandbox", "read.sim"])).to_owned(),
        ),
        _ => {
            let named = *random.pick(&["user:alice", "user:oscar", "user:nobody"]);
            Scope::Principal(PrincipalId::new(named).expect("a literal identifier is valid"))
        }
    }
}

/// Stops a part, or lets it go; true when that was acknowledged.
pub async fn set(world: &Arc<World>, by: &TenantId, scope: Scope, on: bool, running: Running) -> bool {
    let Some(node) = world.node_now() else { return false };
    let oscar = workloads::caller(by, "user:oscar", &[Role::Operator]);
    let tenant = (*by != workloads::first_tenant()).then(|| by.clone());
    let key = model::stop::key(&scope, tenant.as_ref());
    if !on {
        let number = note!(world, "{key} is asked to be let go");
        world.acks.add(|acks| {
            acks.lifts.push((key.clone(), number));
            let standing = acks.parts.iter_mut().filter(|part| part.until == u64::MAX);
            for part in standing.filter(|part| model::stop::key(&part.scope, part.tenant.as_ref()) == key) {
                part.until = number;
            }
        });
    }
    let before = world.trace.count();
    let asked = SetControl {
        on: Some(on),
        operations: None,
        reason: "simulated".to_owned(),
        tenant_only: false,
        scope: Some(scope.clone()),
        running,
    };
    match world.ask(&node, node.app.set_control(&oscar, "kill-switch", asked)).await {
        Some(Ok(_)) => {
            let number = note!(world, "the stop of {key} is {on} ({running:?})");
            if on {
                reached!(world, "a part was stopped");
                let part = PartStop { scope, tenant, from: number, until: u64::MAX };
                world.acks.add(|acks| {
                    // Whoever asked for the opposite meanwhile may have been later.
                    if !acks.lifts.iter().any(|(name, at)| *name == key && *at > before) {
                        acks.parts.push(part);
                    }
                });
            }
            true
        }
        Some(Err(problem)) => {
            crate::actors::unexpected(world, "stop", &problem);
            // Nobody asks twice for what is not there, and nobody may stop another tenant.
            (400..500).contains(&problem.status)
        }
        None => false,
    }
}

/// Lets go of every part that the store holds stopped.
pub async fn lift_all(world: &Arc<World>) {
    loop {
        let node = world.node().await;
        let mut left = 0;
        for tenant in [workloads::first_tenant(), workloads::second_tenant()] {
            let oscar = workloads::caller(&tenant, "user:oscar", &[Role::Operator]);
            let Some(Ok(view)) = world.ask(&node, node.app.controls(&oscar)).await else {
                left += 1;
                continue;
            };
            for stop in view.stops {
                let stop = stop.stop;
                let own = stop.tenant.as_ref() == Some(&tenant);
                let platform = stop.tenant.is_none() && tenant == workloads::first_tenant();
                if own || platform {
                    left += 1;
                    set(world, &tenant, stop.scope, false, Running::Finish).await;
                }
            }
        }
        if left == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    }
}
