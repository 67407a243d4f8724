//! Somebody who goes back, forks, names places, chooses, settles by looking outside, and gives up on undos.

use std::sync::Arc;

use app::view::{EffectView, ResolveRequest, ReturnRequest, Target};
use app::{App, Caller};
use model::event::Choice;
use model::principal::Role;
use model::{ExecutionId, Problem, TenantId};
use serde_json::json;
use store::{ExecutionQuery, ExecutionRow};

use crate::node::Node;
use crate::random::Random;
use crate::world::World;
use crate::{note, reached, workloads};

/// Executions that one execution is forked into at the most, so that worlds stay small.
const FORKS_MAX: usize = 3;

/// Acts until the world is healed.
pub async fn traveller(world: Arc<World>) {
    if !world.swarm.returns {
        return;
    }
    let mut random = Random::stream(world.seed, "traveller");
    while !world.is_healed() {
        let pause = random.millis(300, 9_000);
        tokio::time::sleep(pause).await;
        let tenant = if random.chance(500) { workloads::first_tenant() } else { workloads::second_tenant() };
        let Some(node) = world.node_now() else { continue };
        let tess = workloads::caller(&tenant, "user:tess", &[Role::Operator, Role::Developer]);
        let query = ExecutionQuery { limit: 50, ..ExecutionQuery::default() };
        let Some(Ok(page)) = world.ask(&node, node.app.executions(&tess, query)).await else { continue };
        if page.items.is_empty() || world.is_healed() {
            continue;
        }
        let row = random.pick(&page.items).clone();
        Box::pin(act(&world, &mut random, &node, &tess, &row)).await;
    }
}

async fn act(world: &Arc<World>, random: &mut Random, node: &Node, tess: &Caller, row: &ExecutionRow) {
    let id = row.id.as_str();
    let blocked = row.blocked_on.clone().unwrap_or_default();
    if blocked.starts_with("choice:") {
        let choice = *random.pick(&[Choice::Keep, Choice::Compensate, Choice::Repeat]);
        choose(world, node, tess, row, choice).await;
        return;
    }
    if blocked.starts_with("dead-letter:") && random.chance(700) {
        settle(world, node, tess, row).await;
        return;
    }
    match random.below(10) {
        0..=4 => {
            let to = target(world, random, row);
            let effects =
                *random.pick(&[Some(Choice::Keep), Some(Choice::Compensate), Some(Choice::Repeat), None]);
            let begins = matches!(to, Target::Event(1)) && random.chance(500);
            back(world, node, tess, row, to, effects, begins).await;
        }
        5 | 6 => {
            let to = target(world, random, row);
            let begins = matches!(to, Target::Event(1)) && random.chance(700);
            Box::pin(fork(world, node, tess, row, to, begins)).await;
        }
        7 | 8 => {
            let name = format!("cp-{}", random.below(4));
            mark(world, node, tess, row, &name).await;
        }
        _ => {
            // Nobody settles what he asked for himself.
            let alice = workloads::caller(&row.tenant, &row.requester, &[Role::Operator]);
            let lie = ResolveRequest {
                outcome: "failed".to_owned(),
                evidence: "it would suit me".to_owned(),
                ..ResolveRequest::default()
            };
            if let Some(Ok(_)) = world.ask(node, node.app.resolve(&alice, id, "1", lie)).await {
                let told = format!("{} settled effect 1 of {id}, which is her own", alice.principal.id);
                world.acks.add(|acks| {
                    acks.wrong.push(told);
                });
            }
        }
    }
}

fn target(world: &World, random: &mut Random, row: &ExecutionRow) -> Target {
    let name = (row.tenant.clone(), row.id.clone());
    let events =
        world.disk.with(|stored| stored.executions.get(&name).map_or(1, |kept| kept.events.len() as u64));
    match random.below(5) {
        0 => Target::Checkpoint(format!("cp-{}", random.below(4))),
        1 => Target::Event(1),
        _ => Target::Event(random.between(1, events.max(1))),
    }
}

fn request(to: Target, effects: Option<Choice>, edited: bool) -> ReturnRequest {
    ReturnRequest {
        to,
        effects,
        input: edited.then(|| json!({ "n": 1_000 })),
        reason: "simulated".to_owned(),
        execution_id: None,
        dry_run: false,
    }
}

/// Goes back; true when that was acknowledged.
pub async fn back(
    world: &Arc<World>,
    node: &Node,
    by: &Caller,
    row: &ExecutionRow,
    to: Target,
    effects: Option<Choice>,
    edited: bool,
) -> bool {
    let asked = request(to, effects, edited);
    let done = world.ask(node, node.app.rewind(by, row.id.as_str(), asked)).await;
    let word = match effects {
        Some(Choice::Keep) => "went back and kept",
        Some(Choice::Compensate) => "went back and undid",
        Some(Choice::Repeat) => "went back to repeat",
        None => "went back and asked",
    };
    let fine = told(world, done.map(|done| done.map(drop)), row, "execution.rewound");
    if fine {
        reached!(world, word);
        if edited {
            reached!(world, "went back with another input");
        }
    }
    fine
}

/// Forks; true when that was acknowledged.
pub async fn fork(
    world: &Arc<World>,
    node: &Node,
    by: &Caller,
    row: &ExecutionRow,
    to: Target,
    edited: bool,
) -> bool {
    let forks = |stored: &mut crate::store::Stored| {
        let of = |kept: &&crate::store::Kept| match kept.events.first().map(|event| &event.body) {
            Some(model::EventBody::Started(started)) => {
                started.origin.as_ref().is_some_and(|origin| origin.execution == row.id)
            }
            _ => false,
        };
        stored.executions.values().filter(of).count()
    };
    if world.disk.with(forks) >= FORKS_MAX {
        return false;
    }
    let asked = request(to, Some(Choice::Keep), edited);
    match Box::pin(world.ask(node, node.app.fork(by, row.id.as_str(), asked))).await {
        Some(Ok(view)) => {
            note!(world, "{} forks {} into {}", by.principal.id, row.id, view.execution.id);
            reached!(world, if edited { "forked with another input" } else { "forked" });
            let promise = (row.tenant.clone(), view.execution.id);
            world.acks.add(|acks| {
                acks.forks.push(promise);
            });
            true
        }
        Some(Err(problem)) => {
            crate::actors::unexpected(world, "fork", &problem);
            false
        }
        None => false,
    }
}

/// Names where it stands; true when that was acknowledged.
pub async fn mark(world: &Arc<World>, node: &Node, by: &Caller, row: &ExecutionRow, name: &str) -> bool {
    let done = world.ask(node, node.app.checkpoint(by, row.id.as_str(), name, "simulated")).await;
    told(world, done.map(|done| done.map(drop)), row, "execution.checkpoint")
}

/// Chooses for the effect that is asked about; true when that was acknowledged.
pub async fn choose(
    world: &Arc<World>,
    node: &Node,
    by: &Caller,
    row: &ExecutionRow,
    choice: Choice,
) -> bool {
    let Some(number) = row.blocked_on.as_deref().and_then(|on| on.strip_prefix("choice:")) else {
        return false;
    };
    let done = node.app.choose(by, row.id.as_str(), number, choice, "simulated");
    let done = world.ask(node, done).await;
    // What cannot be undone is kept.
    if let Some(Err(problem)) = &done
        && problem.status == 409
        && choice != Choice::Keep
    {
        let kept = node.app.choose(by, row.id.as_str(), number, Choice::Keep, "simulated");
        let kept = world.ask(node, kept).await;
        return told(world, kept.map(|done| done.map(drop)), row, "effect.chosen");
    }
    let fine = told(world, done.map(|done| done.map(drop)), row, "effect.chosen");
    if fine {
        reached!(world, "chosen");
    }
    fine
}

/// Looks outside and says what became of whatever is parked; gives up on an undo that will never be done.
pub async fn settle(world: &Arc<World>, node: &Node, by: &Caller, row: &ExecutionRow) {
    let id = row.id.as_str();
    let Some(Ok(view)) = world.ask(node, node.app.execution(by, id)).await else { return };
    let parked: Vec<EffectView> =
        view.effects.into_iter().filter(|effect| effect.state == "parked").collect();
    if parked.is_empty() && row.blocked_on.as_deref().is_some_and(|on| on.starts_with("compensation:")) {
        let number = row.blocked_on.as_deref().and_then(|on| on.strip_prefix("compensation:"));
        give_up(world, node, by, row, number.unwrap_or_default()).await;
    }
    for effect in parked {
        // Who looks outside while something is still on its way sees too little.
        if world.outside.is_flying(&row.tenant, &row.id, effect.number) {
            continue;
        }
        settle_one(world, node, by, row, &effect).await;
    }
}

async fn settle_one(world: &Arc<World>, node: &Node, by: &Caller, row: &ExecutionRow, effect: &EffectView) {
    let step = effect.arguments["step"].as_str().unwrap_or_default();
    let there = world.outside.ledger().there(&row.tenant, &row.id, step);
    let number = effect.number.to_string();
    if effect.undo && there {
        give_up(world, node, by, row, &number).await;
        return;
    }
    let happened = if effect.undo { !there } else { there };
    let said = ResolveRequest {
        outcome: if happened { "verified" } else { "failed" }.to_owned(),
        evidence: format!("the ledger outside {} it", if happened { "has" } else { "does not have" }),
        output: happened.then(|| json!({ "status": "settled", "n": 1 })),
        reason: "simulated".to_owned(),
    };
    let done = resolve(world, node, by, &row.id, &number, said).await;
    if told(world, done, row, "effect.resolved") {
        reached!(world, if happened { "settled as verified" } else { "settled as failed" });
    }
}

async fn resolve(
    world: &Arc<World>,
    node: &Node,
    by: &Caller,
    id: &ExecutionId,
    number: &str,
    said: ResolveRequest,
) -> Option<Result<(), Problem>> {
    world.ask(node, node.app.resolve(by, id.as_str(), number, said)).await.map(|done| done.map(drop))
}

async fn give_up(world: &Arc<World>, node: &Node, by: &Caller, row: &ExecutionRow, number: &str) {
    let app: &Arc<App> = &node.app;
    let done = world.ask(node, app.force(by, row.id.as_str(), number, "it will never be undone")).await;
    if told(world, done.map(|done| done.map(drop)), row, "compensation.forced") {
        reached!(world, "forced");
    }
}

fn told(world: &World, done: Option<Result<(), Problem>>, row: &ExecutionRow, word: &'static str) -> bool {
    match done {
        Some(Ok(())) => {
            note!(world, "{word} {}", row.id);
            let act: (TenantId, ExecutionId, &'static str) = (row.tenant.clone(), row.id.clone(), word);
            world.acks.add(|acks| {
                acks.acts.push(act);
            });
            true
        }
        Some(Err(problem)) => {
            crate::actors::unexpected(world, word, &problem);
            false
        }
        None => false,
    }
}
