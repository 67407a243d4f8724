//! Somebody who tells executions that listen what they wait for: early, late, twice, and never something else.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::view::SignalRequest;
use model::principal::Role;
use model::{ExecutionId, TenantId};
use serde_json::json;

use crate::acks::Told;
use crate::random::Random;
use crate::world::World;
use crate::{note, reached, workloads};

/// Signals to one execution at the most: more than any of them takes.
const EACH_MAX: u32 = 12;

/// What was said to one execution.
#[derive(Debug, Default, Clone)]
struct Talk {
    /// Signals whose answer came.
    told: u32,
    /// How often the next one was tried.
    tries: u32,
}

/// Tells until the world ends.
pub async fn teller(world: Arc<World>) {
    let mut random = Random::stream(world.seed, "teller");
    let mut talks: BTreeMap<(TenantId, ExecutionId), Talk> = BTreeMap::new();
    loop {
        let pause = random.millis(100, 4_000);
        tokio::time::sleep(pause).await;
        for (name, waits) in listening(&world) {
            let talk = talks.entry(name.clone()).or_default();
            // Early ones too; and once nothing is bad any more, whatever is waited for.
            let speaks = if world.is_healed() { waits || talk.tries > 0 } else { random.chance(400) };
            if !speaks || talk.told >= EACH_MAX {
                continue;
            }
            let again = talk.told > 0 && talk.tries == 0 && random.chance(200);
            let number = if again { random.below(u64::from(talk.told)) } else { u64::from(talk.told) };
            let known = tell(&world, &name, number, again || talk.tries > 0).await;
            if again {
                continue;
            }
            match known {
                // Whether it came is not known: it is said again, with the same id.
                None => talk.tries += 1,
                Some(_) => *talk = Talk { told: talk.told + 1, tries: 0 },
            }
        }
    }
}

/// Executions that listen now, or will, and whether they wait.
fn listening(world: &World) -> Vec<((TenantId, ExecutionId), bool)> {
    world.disk.with(|stored| {
        let open = stored
            .executions
            .iter()
            .filter(|(_, kept)| kept.row.name == "listening" && kept.row.ended_at.is_none());
        let waits = |on: &Option<String>| on.as_deref().is_some_and(|on| on.starts_with("signal:"));
        open.map(|(name, kept)| (name.clone(), waits(&kept.row.blocked_on))).collect()
    })
}

/// Says one thing; whether it was taken, when that is known.
async fn tell(
    world: &Arc<World>,
    (tenant, execution): &(TenantId, ExecutionId),
    number: u64,
    again: bool,
) -> Option<bool> {
    let node = world.node_now()?;
    let alice = workloads::caller(tenant, "user:alice", &[Role::Developer, Role::Operator]);
    let id = format!("tell-{execution}-{number}");
    let data = json!({ "said": format!("{execution} {number}") });
    let request = SignalRequest { name: "tell".to_owned(), data: data.clone(), id: Some(id.clone()) };
    match world.ask(&node, node.app.signal(&alice, execution.as_str(), request)).await? {
        Ok(accepted) => {
            note!(world, "{execution} is told {number}");
            reached!(world, "a signal was accepted");
            if accepted.repeated && again {
                reached!(world, "a signal was said twice");
            }
            let told = Told { tenant: tenant.clone(), execution: execution.clone(), id, data };
            world.acks.add(|acks| {
                acks.told.push(told);
            });
            Some(true)
        }
        Err(problem) if problem.status == 503 || problem.status == 429 => None,
        Err(problem) => {
            crate::actors::unexpected(world, "signal", &problem);
            (problem.status != 500).then_some(false)
        }
    }
}
