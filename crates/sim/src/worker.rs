//! Performs permitted work on the simulated outside, as the real pool does: places, last look, one report.

use std::sync::Arc;
use std::time::Duration;

use app::Work;
use model::effect::{Answer, ProcessOutput};
use model::{Label, Request, Value};

use crate::node::Node;
use crate::outside::{self, Sent};
use crate::world::{Boundary, World};
use crate::{note, reached};

/// Works until the application or its node ends.
pub async fn work(world: Arc<World>, node: Node) {
    let Some(queue) = node.app.take_work() else { return };
    let mut queue =
        queue.with_places(usize::try_from(world.draw(|random| random.between(1, 4))).unwrap_or(1));
    while let Some(work) = queue.recv().await {
        node.life.or_hang().await;
        let (world, node) = (Arc::clone(&world), node.clone());
        tokio::spawn(async move {
            let answer = perform(&world, &node, &work).await;
            work.place.free();
            node.life.or_hang().await;
            world.at_boundary(&node.life, Boundary::Answered);
            node.life.or_hang().await;
            match answer {
                Some(answer) => node.app.report(&work, answer, Vec::new()).await,
                None => node.app.give_back(&work, "a control or a policy changed", Vec::new()).await,
            }
        });
    }
}

/// None when the permit was void at the last moment.
async fn perform(world: &Arc<World>, node: &Node, work: &Work) -> Option<Answer> {
    let most = if world.is_healed() { 0 } else { world.swarm.worker_ms };
    if most > 0 {
        let pause = world.draw(|random| random.millis(0, most));
        tokio::time::sleep(pause).await;
    }
    node.life.or_hang().await;
    world.at_boundary(&node.life, Boundary::SendBefore);
    node.life.or_hang().await;
    if !node.app.depart(work, None) {
        reached!(world, "a permit was void at the last look");
        return None;
    }
    let number = note!(
        world,
        "node {} sends {} of {} effect {} attempt {} token {:x}",
        node.life.number,
        work.operation,
        work.execution,
        work.effect.0,
        work.attempt,
        work.fence.token()
    );
    let sent = Sent {
        number,
        tenant: work.tenant.clone(),
        execution: work.execution.clone(),
        effect: work.effect.0,
        attempt: work.attempt,
        node: node.life.number,
        writes: work.contract.effect != model::EffectKind::Read,
        money: work.contract.effect == model::EffectKind::Money,
        stale: node.life.is_gone(),
        operation: work.operation.clone(),
        target: work.request.target().into_owned(),
    };
    world.outside.sends(sent.clone());
    let answer = match &work.request {
        Request::Http(http) => {
            // What checks no token is not safe from who slept: see `docs/simulator.md`.
            if node.life.is_gone() && !outside::is_fenced(&http.uri) {
                world.trace.fault("a sleeper's request was too old for what checks no token");
                return Some(outside::lost("the request was too old"));
            }
            if node.life.is_gone() {
                reached!(world, "a sleeper sent");
            }
            let request = outside::Request {
                http: http.clone(),
                sent,
                token: work.fence.token(),
                timeout: work.timeout,
            };
            let sending = outside::send(world, &node.life, request);
            world.at_boundary(&node.life, Boundary::SendAfter);
            tokio::select! {
                biased;
                answer = sending => answer,
                () = cut_off(work) => {
                    reached!(world, "a stop cut a request off");
                    outside::lost("a stop cut it off")
                }
            }
        }
        Request::Process(process) => tokio::select! {
            biased;
            answer = run(world, process) => answer,
            () = cut_off(work) => {
                reached!(world, "a stop killed a program");
                return None;
            }
        },
        Request::Declassify | Request::Approval(_) => Answer::Done { output: model::Value::NULL },
        // No workload of the simulator calls them.
        Request::Grpc(_) | Request::Stream(_) | Request::Rpc(_) => {
            outside::lost("the simulated outside does not speak it")
        }
        // No worker is ever given one: a message begins the other execution.
        Request::Workflow(_) | Request::Unwind(_) => Answer::Lost {
            error: model::problem::WorkflowError::standard(
                "configuration",
                500,
                "Configuration Error",
                "no worker runs executions",
            ),
        },
    };
    node.life.or_hang().await;
    Some(answer)
}

/// Answers when a stop cuts off what is on the wire.
async fn cut_off(work: &Work) {
    let mut cut = work.flight.cut();
    while !*cut.borrow_and_update() {
        if cut.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A program: it touches nothing outside, and may be cut off.
async fn run(world: &Arc<World>, process: &model::effect::ProcessRequest) -> Answer {
    let (pause, cut) = world.draw(|random| {
        let most = *random.pick(&[200, 5_000]);
        (random.millis(0, most), random.chance(100))
    });
    tokio::time::sleep(pause.min(Duration::from_millis(process.timeout_ms))).await;
    if cut && !world.is_healed() {
        world.trace.fault("a program was cut off");
        return outside::lost("the program was cut off");
    }
    let output = match process.output {
        ProcessOutput::Code => Value::from_json(&serde_json::json!(0), Label::EXTERNAL),
        _ => Value::from_json(&serde_json::json!("ok"), Label::EXTERNAL),
    };
    Answer::Done { output }
}
