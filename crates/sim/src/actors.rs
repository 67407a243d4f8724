//! People and programs around a node: clients, approvers, the operator, whoever swaps policies and sets clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use app::Caller;
use app::view::{
    ApprovalView, ApprovalWord, GoalAccepted, GoalAnswer, GoalRequest, SetControl, WorkflowName,
};
use model::approval::ApprovalStatus;
use model::event::{CancelMode, Choice};
use model::principal::Role;
use model::{Clock as _, Problem, TenantId};
use serde_json::json;
use store::{ApprovalQuery, ExecutionQuery};

use crate::acks::{Accepted, Decided, Kill, Left, Set, Swap};
use crate::random::Random;
use crate::world::World;
use crate::{note, reached, workloads};

/// Pause before something that failed is tried again.
const AGAIN: Duration = Duration::from_millis(700);
/// A clock is at the most this much off, in milliseconds: less than answers to idempotency keys are kept.
const CLOCK_MAX_MS: i64 = 2 * 3600 * 1000;

/// Submits goals until each is accepted, or refused for good.
pub async fn client(world: Arc<World>, number: u64) {
    let mut random = Random::stream(world.seed, &format!("client {number}"));
    let span = u64::try_from(world.swarm.safety.as_millis()).unwrap_or(u64::MAX) / 2;
    let at = random.millis(0, span);
    tokio::time::sleep(at).await;
    let drawn = if random.chance(500) { workloads::first_tenant() } else { workloads::second_tenant() };
    let tenant = world.swarm.tenant.clone().unwrap_or(drawn);
    let alice = workloads::caller(&tenant, "user:alice", &[Role::Developer, Role::Operator]);
    let kind = *random.pick(&world.swarm.workflows);
    let key = random.chance(850).then(|| format!("key-{number}"));
    let goal = GoalRequest {
        workflow: Some(WorkflowName {
            namespace: "sim".to_owned(),
            name: workloads::name(kind).to_owned(),
            version: None,
        }),
        input: Some(json!({ "n": number })),
        idempotency_key: key.clone(),
        ..GoalRequest::default()
    };
    let mut more = random.chance(200);
    if random.chance(world.swarm.planned) && crate::planner::run(&world, &mut random, &alice, &goal).await {
        return;
    }
    let doubled = key.is_some() && random.chance(world.swarm.goals_doubled);
    if key.is_some() {
        world.acks.add(|acks| acks.keyed.push((tenant.clone(), number)));
    }
    loop {
        let node = world.node().await;
        let ask = || world.ask(&node, Box::pin(node.app.submit_goal(&alice, goal.clone())));
        let answer = if doubled {
            // The same request, twice on the wire; either answer is one.
            let (one, other) = tokio::join!(biased; ask(), ask());
            reached!(world, "goal came twice at once");
            for answer in [&one, &other] {
                if let Some(Ok(GoalAnswer::Accepted(accepted))) = answer {
                    promised(&world, &tenant, accepted, key.as_ref());
                }
            }
            one
        } else {
            ask().await
        };
        match answer {
            Some(Ok(GoalAnswer::Accepted(accepted))) => {
                note!(world, "client {number} is promised {}", accepted.execution_id);
                if accepted.repeated {
                    reached!(world, "goal repeated with its key");
                }
                promised(&world, &tenant, &accepted, key.as_ref());
                if !(more && key.is_some()) {
                    return;
                }
                more = false;
            }
            Some(Ok(GoalAnswer::Planned(_))) => return,
            Some(Err(problem)) if problem.status != 503 => {
                unexpected(&world, "submit", &problem);
                return;
            }
            // Without a key nobody can know whether it was accepted, and asking again would start another one.
            _ if key.is_none() => return,
            _ => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn promised(world: &World, tenant: &TenantId, accepted: &GoalAccepted, key: Option<&String>) {
    let promise = Accepted {
        tenant: tenant.clone(),
        execution: accepted.execution_id.clone(),
        plan: accepted.plan_digest,
        key: key.cloned(),
    };
    world.acks.add(|acks| acks.accepted.push(promise));
}

/// Something that no fault explains.
pub fn unexpected(world: &World, what: &str, problem: &Problem) {
    note!(world, "{what}: {problem}");
    if problem.status == 500 {
        let told = format!("{what}: {problem}: {}", problem.internal.as_deref().unwrap_or_default());
        world.acks.add(|acks| acks.internal.push(told));
    }
}

/// Decides what waits for people in one tenant.
pub async fn approver(world: Arc<World>, tenant: TenantId) {
    let mut random = Random::stream(world.seed, &format!("approver {tenant}"));
    let bob = workloads::caller(&tenant, "user:bob", &[Role::Operator]);
    let mut ignored = BTreeSet::new();
    loop {
        let pause = random.millis(200, 4_000);
        tokio::time::sleep(pause).await;
        let Some(node) = world.node_now() else { continue };
        let query =
            ApprovalQuery { status: Some(ApprovalStatus::Pending), limit: 50, ..ApprovalQuery::default() };
        let Some(Ok(page)) = world.ask(&node, node.app.approvals(&bob, query)).await else { continue };
        for view in page.items {
            if view.approval.tenant != tenant {
                let told = format!("{tenant} saw approval {} of {}", view.approval.id, view.approval.tenant);
                world.acks.add(|acks| acks.foreign.push(told));
            }
            if view.approval.status != ApprovalStatus::Pending {
                continue;
            }
            if !world.is_healed() {
                if ignored.contains(&view.approval.id) {
                    continue;
                }
                if random.chance(world.swarm.silent) {
                    ignored.insert(view.approval.id.clone());
                    continue;
                }
                if random.chance(world.swarm.attack) {
                    Box::pin(attack(&world, &mut random, &view)).await;
                }
            }
            let dora = workloads::caller(&tenant, "user:dora", &[Role::Operator]);
            let gone = world.acks.all().left.iter().any(|left| left.tenant == tenant);
            let carol = workloads::caller(&tenant, "user:carol", &[Role::Operator]);
            // Whoever decided once lets somebody else decide, now and then.
            let voted = view.approval.votes.iter().any(|vote| vote.by == bob.principal.id);
            let other = if voted && random.chance(500) { &carol } else { &bob };
            let who = if random.chance(300) && !gone { &dora } else { other };
            Box::pin(decide(&world, &mut random, who, &view)).await;
        }
    }
}

async fn decide(world: &Arc<World>, random: &mut Random, bob: &Caller, view: &ApprovalView) {
    let approval = &view.approval;
    let healed = world.is_healed();
    if !healed && random.chance(100) {
        // As close to the deadline as the clock allows, on either side.
        let left = approval.expires_at.since(world.clock.now());
        let near = left.saturating_sub(Duration::from_millis(2)) + random.millis(0, 4);
        if near < Duration::from_secs(120) {
            tokio::time::sleep(near).await;
        }
    }
    let yes = healed || random.chance(world.swarm.approve);
    let edits = !healed && yes && approval.edited_by.is_none() && random.chance(world.swarm.edit);
    let mut arguments = None;
    if edits
        && let Some(mut changed) = approval.arguments.to_json().as_object().cloned()
        && changed.contains_key("amount")
    {
        changed.insert("amount".to_owned(), json!(random.between(1, 30)));
        arguments = Some(changed.into());
    }
    let edited = arguments.is_some();
    let word = ApprovalWord {
        digest: approval.digest.to_string(),
        reason: "the simulated person thinks so".to_owned(),
        arguments,
        answer: None,
    };
    if !healed && random.chance(100) {
        let carol = workloads::caller(&approval.tenant, "user:carol", &[Role::Operator]);
        let other = ApprovalWord { arguments: None, ..word.clone() };
        tokio::join!(biased; say(world, bob, view, word, yes, None), say(world, &carol, view, other, !yes, None));
        return;
    }
    // Who edited does not decide what came of it.
    let carol = workloads::caller(&approval.tenant, "user:carol", &[Role::Operator]);
    let who = if approval.edited_by.as_ref() == Some(&bob.principal.id) { &carol } else { bob };
    if say(world, who, view, word, yes, None).await && edited {
        reached!(world, "edited");
    }
}

/// Tries what must never be accepted.
async fn attack(world: &Arc<World>, random: &mut Random, view: &ApprovalView) {
    let approval = &view.approval;
    let tenant = &approval.tenant;
    let word = |digest: String| ApprovalWord {
        digest,
        reason: "an attack".to_owned(),
        arguments: None,
        answer: None,
    };
    let right = approval.digest.to_string();
    let operator = [Role::Operator];
    let chosen = match (&approval.edited_by, approval.votes.first()) {
        (Some(_), _) if random.chance(500) => 3,
        (_, Some(_)) if random.chance(500) => 4,
        _ => random.below(6),
    };
    match chosen {
        0 => {
            let alice = workloads::caller(tenant, approval.requester.as_str(), &operator);
            say(world, &alice, view, word(right), true, Some("by the requester")).await;
        }
        1 => {
            let bob = workloads::caller(tenant, "user:bob", &operator);
            let wrong = model::Digest::of(b"something else").to_string();
            say(world, &bob, view, word(wrong), true, Some("for another digest")).await;
        }
        2 => {
            let first = workloads::first_tenant();
            let other = if *tenant == first { workloads::second_tenant() } else { first };
            let eve = workloads::caller(&other, "user:bob", &operator);
            say(world, &eve, view, word(right), true, Some("from another tenant")).await;
        }
        3 => {
            let Some(editor) = &approval.edited_by else { return };
            let editor = workloads::caller(tenant, editor.as_str(), &operator);
            say(world, &editor, view, word(right), true, Some("by whoever edited it")).await;
        }
        4 => {
            let Some(vote) = approval.votes.first() else { return };
            let again = workloads::caller(tenant, vote.by.as_str(), &operator);
            say(world, &again, view, word(right), true, Some("a second time")).await;
        }
        _ => {
            let vera = workloads::caller(tenant, "user:vera", &[Role::Viewer, Role::Developer]);
            say(world, &vera, view, word(right), true, Some("without the right")).await;
        }
    }
}

/// Says yes or no; true when that was accepted.
async fn say(
    world: &Arc<World>,
    who: &Caller,
    view: &ApprovalView,
    word: ApprovalWord,
    yes: bool,
    wrong: Option<&'static str>,
) -> bool {
    let Some(node) = world.node_now() else { return false };
    let id = view.approval.id.as_str();
    let edits = word.arguments.is_some();
    let answer = if yes {
        world.ask(&node, node.app.approve(who, id, word)).await
    } else {
        world.ask(&node, node.app.reject(who, id, word)).await
    };
    match answer {
        Some(Ok(after)) => {
            note!(world, "{} decides {id}: {:?}", who.principal.id, after.approval.status);
            if !edits {
                reached!(world, if yes { "approved" } else { "rejected" });
            }
            let decided = Decided {
                tenant: view.approval.tenant.clone(),
                approval: id.to_owned(),
                yes,
                edited: edits,
                by: who.principal.id.to_string(),
                wrong,
            };
            world.acks.add(|acks| acks.decided.push(decided));
            true
        }
        Some(Err(problem)) => {
            if wrong.is_some() && (400..500).contains(&problem.status) {
                reached!(world, "a wrong decision was refused");
            }
            unexpected(world, "decide", &problem);
            false
        }
        None => false,
    }
}

/// Sets controls and acts on executions.
pub async fn operator(world: Arc<World>) {
    let Some(mean) = world.swarm.operator_ms else { return };
    let mut random = Random::stream(world.seed, "operator");
    while !world.is_healed() {
        let pause = random.millis(mean / 2, mean * 2);
        tokio::time::sleep(pause).await;
        if world.is_healed() {
            return;
        }
        match random.below(8) {
            0 | 1 if world.swarm.kill => {
                let on = random.chance(600);
                control(&world, "kill-switch", on, None).await;
            }
            2 if world.swarm.safe_mode => {
                let on = random.chance(400);
                control(&world, "safe-mode", on, None).await;
            }
            3 if world.swarm.takeover => {
                let on = random.chance(500);
                control(&world, "takeover", on, None).await;
            }
            4 if world.swarm.allow_list => {
                let on = random.chance(400);
                let lists: [&[&str]; 3] =
                    [&["put", "put-read", "look", "run:*"], &["put", "ship", "tick", "look"], &["b*", "p*"]];
                let list = random.pick(&lists).iter().map(|name| (*name).to_owned()).collect();
                control(&world, "allow-list", on, Some(list)).await;
            }
            _ if world.swarm.acts => act(&world, &mut random).await,
            _ => {}
        }
    }
}

/// Sets one control; true when that was acknowledged.
async fn control(world: &Arc<World>, name: &str, on: bool, operations: Option<Vec<String>>) -> bool {
    let Some(node) = world.node_now() else { return false };
    let oscar = workloads::caller(&workloads::first_tenant(), "user:oscar", &[Role::Operator]);
    if name == "kill-switch" && !on {
        let held = |row: &store::ExecutionRow| row.blocked_on.as_deref() == Some("control:kill-switch");
        if world.disk.with(|stored| stored.executions.values().any(|kept| held(&kept.row))) {
            reached!(world, "kill switch held work");
        }
        let number = note!(world, "the kill switch is asked to be off");
        world.acks.add(|acks| acks.kills.push(Kill::Off(number)));
    }
    let asked = note!(world, "control {name} is asked to be {on}");
    let reason = format!("simulated at {asked}");
    let mut told = Set {
        name: name.to_owned(),
        on,
        operations: operations.clone().unwrap_or_default(),
        reason: reason.clone(),
        asked,
        over: asked,
        acknowledged: false,
    };
    let set = SetControl {
        on: Some(on),
        operations,
        reason,
        tenant_only: false,
        scope: None,
        running: model::stop::Running::default(),
    };
    let answer = world.ask(&node, node.app.set_control(&oscar, name, set)).await;
    let number = note!(world, "control {name} is {on}: {}", matches!(answer, Some(Ok(_))));
    (told.over, told.acknowledged) = (number, matches!(answer, Some(Ok(_))));
    world.acks.add(|acks| acks.sets.push(told));
    match answer {
        Some(Ok(_)) => {
            if name == "takeover" && on {
                reached!(world, "taken over");
            }
            world.acks.add(|acks| {
                acks.controls += 1;
                // Whoever asked for the opposite meanwhile may have been later.
                let later = |kill: &Kill| matches!(kill, Kill::Off(at) if *at > asked);
                if name == "kill-switch" && on && !acks.kills.iter().any(later) {
                    acks.kills.push(Kill::On(number));
                }
            });
            true
        }
        Some(Err(problem)) => {
            unexpected(world, "control", &problem);
            false
        }
        None => false,
    }
}

/// Does something to an execution of some tenant.
async fn act(world: &Arc<World>, random: &mut Random) {
    let tenant = if random.chance(500) { workloads::first_tenant() } else { workloads::second_tenant() };
    let oscar = workloads::caller(&tenant, "user:oscar", &[Role::Operator]);
    let Some(node) = world.node_now() else { return };
    let query = ExecutionQuery { limit: 50, ..ExecutionQuery::default() };
    let Some(Ok(page)) = world.ask(&node, node.app.executions(&oscar, query)).await else { return };
    let foreign = page.items.iter().filter(|row| row.tenant != tenant);
    for row in foreign {
        let told = format!("{tenant} saw execution {} of {}", row.id, row.tenant);
        world.acks.add(|acks| acks.foreign.push(told));
    }
    if page.items.is_empty() {
        return;
    }
    let row = random.pick(&page.items);
    let id = row.id.as_str();
    let app = &node.app;
    let reason = "simulated";
    let mode = if random.chance(500) { CancelMode::Graceful } else { CancelMode::Forced };
    let (word, answer) = match random.below(10) {
        0 => ("execution.cancelled", world.ask(&node, app.cancel(&oscar, id, reason, mode)).await),
        1..=3 => ("execution.paused", world.ask(&node, app.pause(&oscar, id, reason)).await),
        4..=6 => ("execution.resumed", world.ask(&node, app.resume(&oscar, id, reason)).await),
        _ => ("execution.retried", world.ask(&node, app.retry(&oscar, id, reason)).await),
    };
    match answer {
        Some(Ok(_)) => {
            note!(world, "operator: {word} {id}");
            match word {
                "execution.cancelled" => reached!(world, "cancelled"),
                "execution.resumed" => reached!(world, "paused and resumed"),
                "execution.retried" if row.status == "faulted" => {
                    reached!(world, "retried after a fault");
                }
                _ => {}
            }
            world.acks.add(|acks| acks.acts.push((tenant.clone(), row.id.clone(), word)));
        }
        Some(Err(problem)) => unexpected(world, word, &problem),
        None => {}
    }
}

/// Swaps policies, and sets the clock.
pub async fn meddler(world: Arc<World>) {
    let mut random = Random::stream(world.seed, "meddler");
    while !world.is_healed() && (world.swarm.policies || world.swarm.clock || world.swarm.leaves) {
        let pause = random.millis(500, 20_000);
        tokio::time::sleep(pause).await;
        if world.is_healed() {
            return;
        }
        if world.swarm.policies && random.chance(500) {
            swap_policy(&world, &mut random).await;
        }
        if world.swarm.leaves && random.chance(200) {
            take_token(&world, &mut random).await;
        }
        if world.swarm.clock && random.chance(300) {
            set_clock(&world, &mut random);
        }
    }
}

async fn swap_policy(world: &Arc<World>, random: &mut Random) {
    let tenant = if random.chance(700) { workloads::first_tenant() } else { workloads::second_tenant() };
    let root = workloads::caller(&tenant, "user:root", &[Role::Admin]);
    let Some(node) = world.node_now() else { return };
    let app = &node.app;
    let text = match random.below(3) {
        0 => None,
        1 => Some(workloads::FUSSY),
        _ => Some(workloads::STRICT),
    };
    let asked = note!(world, "policy of {tenant} is to be swapped");
    let done = match text {
        None => world.ask(&node, app.delete_policy(&root, "extra")).await,
        Some(text) => {
            let modules = BTreeMap::from([("extra.rego".to_owned(), text.to_owned())]);
            world.ask(&node, app.put_policy(&root, "extra", modules, None)).await.map(|put| put.map(drop))
        }
    };
    let over = note!(world, "policy of {tenant} swapped: {}", matches!(done, Some(Ok(()))));
    let strict = text == Some(workloads::STRICT);
    let acknowledged = matches!(done, Some(Ok(())));
    let swap = Swap { tenant: tenant.clone(), strict, asked, over, acknowledged };
    world.acks.add(|acks| acks.swaps.push(swap));
    match done {
        Some(Ok(())) => {
            reached!(world, "policy swapped");
        }
        Some(Err(problem)) => unexpected(world, "policy", &problem),
        None => {}
    }
}

/// Dora loses her token in one tenant.
async fn take_token(world: &Arc<World>, random: &mut Random) {
    let tenant = if random.chance(700) { workloads::first_tenant() } else { workloads::second_tenant() };
    if world.acks.all().left.iter().any(|left| left.tenant == tenant) {
        return;
    }
    let root = workloads::caller(&tenant, "user:root", &[Role::Admin]);
    let Some(node) = world.node_now() else { return };
    let done = world.ask(&node, node.app.revoke_token(&root, &workloads::token_of_dora(&tenant))).await;
    let number = note!(world, "dora leaves {tenant}: {}", matches!(done, Some(Ok(()))));
    match done {
        Some(Ok(())) => {
            reached!(world, "an approver left");
            let left = Left { tenant, who: "user:dora".to_owned(), number };
            world.acks.add(|acks| acks.left.push(left));
        }
        Some(Err(problem)) => unexpected(world, "revoke", &problem),
        None => {}
    }
}

fn set_clock(world: &World, random: &mut Random) {
    let far = *random.pick(&[1_000, 30_000, 600_000, 3_600_000]);
    let millis = i64::try_from(random.between(1, far)).unwrap_or(0);
    let millis = if random.chance(500) { -millis } else { millis };
    // A clock that leaps ends every window at once, and of what is late then nobody could know.
    if millis > 0 && world.outside.is_anything_late() {
        return;
    }
    let after = world.clock.offset() + millis;
    if !(-CLOCK_MAX_MS..=CLOCK_MAX_MS).contains(&after) {
        return;
    }
    world.clock.jump(millis);
    world.trace.fault("the clock was set");
    note!(world, "the clock is set by {millis} ms");
    if millis < 0 {
        reached!(world, "clock set back");
    } else {
        reached!(world, "clock set forward");
    }
}

/// Once all faults are over: turns everything off that holds work, and lets go of what was paused or parked.
pub async fn let_go(world: &Arc<World>) {
    for (name, operations) in [
        ("kill-switch", None),
        ("safe-mode", None),
        ("takeover", None),
        ("allow-list", Some(vec!["*".to_owned()])),
    ] {
        loop {
            let node = world.node().await;
            let oscar = workloads::caller(&workloads::first_tenant(), "user:oscar", &[Role::Operator]);
            // What is off already has to let go by itself.
            let Some(Ok(controls)) = world.ask(&node, node.app.controls(&oscar)).await else { continue };
            let off = controls.controls.iter().all(|control| control.name != name || !control.on);
            if off || control(world, name, false, operations.clone()).await {
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
    crate::stops::lift_all(world).await;
    crate::house::tidy(world).await;
    let mut random = Random::stream(world.seed, "healer");
    let mut tried: BTreeMap<String, u32> = BTreeMap::new();
    let mut settled: BTreeMap<String, bool> = BTreeMap::new();
    loop {
        for tenant in [workloads::first_tenant(), workloads::second_tenant()] {
            let oscar = workloads::caller(&tenant, "user:oscar", &[Role::Operator]);
            let node = world.node().await;
            let query = ExecutionQuery {
                statuses: vec!["suspended".to_owned()],
                limit: 100,
                ..ExecutionQuery::default()
            };
            let Some(Ok(page)) = world.ask(&node, node.app.executions(&oscar, query)).await else { continue };
            for row in page.items {
                let id = row.id.as_str();
                let blocked = row.blocked_on.as_deref().unwrap_or_default();
                if blocked.starts_with("choice:") {
                    let tess = workloads::caller(&tenant, "user:tess", &[Role::Operator]);
                    crate::returns::choose(world, &node, &tess, &row, Choice::Keep).await;
                } else if blocked.starts_with("compensation:") {
                    let tess = workloads::caller(&tenant, "user:tess", &[Role::Operator]);
                    crate::returns::settle(world, &node, &tess, &row).await;
                } else if blocked == "operator:paused" {
                    let done = world.ask(&node, node.app.resume(&oscar, id, "healed")).await;
                    if let Some(Err(problem)) = done {
                        unexpected(world, "resume", &problem);
                    }
                } else if let Some(letter) = blocked.strip_prefix("dead-letter:") {
                    let times = tried.entry(letter.to_owned()).or_default();
                    if *times < 2 {
                        *times += 1;
                        let done = world.ask(&node, node.app.redrive(&oscar, letter, "healed")).await;
                        if let Some(Ok(_)) = &done {
                            reached!(world, "redriven");
                        }
                        if let Some(Err(problem)) = done {
                            unexpected(world, "redrive", &problem);
                        }
                        continue;
                    }
                    // Then people settle it, or leave it where it is.
                    let settles = *settled
                        .entry(letter.to_owned())
                        .or_insert_with(|| random.chance(world.swarm.settle));
                    if settles {
                        let tess = workloads::caller(&tenant, "user:tess", &[Role::Operator]);
                        crate::returns::settle(world, &node, &tess, &row).await;
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}
