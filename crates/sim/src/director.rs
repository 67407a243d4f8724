//! Does certain acts at certain places of one execution, so that crash points cover them too. Whatever it is told, it
//! reads from the history whether an act is done, and asks again until it is.

use std::sync::Arc;
use std::time::Duration;

use app::Caller;
use app::view::Target;
use model::EventBody;
use model::event::{CancelMode, Choice};
use model::principal::Role;

use crate::node::Node;
use crate::store::Kept;
use crate::world::World;
use crate::{note, returns, workloads};

/// Something that is done to the execution of a scenario.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Waits until it is blocked on something that begins so, or has this status.
    Until(&'static str),
    /// Goes back to a place.
    Back(Place, Option<Choice>),
    /// Goes back to the beginning with another input.
    Anew(Option<Choice>),
    /// Forks from a place.
    Fork(Place),
    /// Forks from the beginning with another input.
    ForkAnew,
    /// Chooses for whatever is asked about.
    Choose(Choice),
    /// Names where it stands.
    Mark(&'static str),
    /// Cancels.
    Cancel(CancelMode),
    /// Holds.
    Pause,
    /// Lets go on.
    Resume,
}

/// A place in a history.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// A task, by JSON Pointer.
    Task(&'static str),
    /// A name that was given.
    Mark(&'static str),
}

/// How often something is looked at, and how long at the most.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = 6_000;
/// Refusals of one act until it is given up: what was waited for has passed.
const REFUSALS_MAX: u32 = 10;

/// Directs the only execution of a world that nobody forked.
pub async fn direct(world: Arc<World>) {
    for step in world.swarm.script {
        if !Box::pin(take(&world, *step)).await {
            note!(world, "the director gives {step:?} up");
            return;
        }
    }
}

/// The execution, as it is stored.
fn first(world: &World) -> Option<Kept> {
    world.disk.with(|stored| stored.executions.values().min_by_key(|kept| kept.key).cloned())
}

fn forks(world: &World) -> usize {
    world.disk.with(|stored| stored.executions.len().saturating_sub(1))
}

async fn take(world: &Arc<World>, step: Step) -> bool {
    let (mut before, mut refusals) = (None, 0);
    for _ in 0..LOOKS_MAX {
        tokio::time::sleep(LOOK).await;
        let Some(kept) = first(world) else { continue };
        if let Step::Until(what) = step {
            let row = &kept.row;
            if row.status == what || row.blocked_on.as_deref().is_some_and(|on| on.starts_with(what)) {
                return true;
            }
            continue;
        }
        let asks = kept.row.blocked_on.as_deref().is_some_and(|on| on.starts_with("choice:"));
        if matches!(step, Step::Choose(_)) && !asks {
            return true;
        }
        let count =
            done(&kept, step) + if matches!(step, Step::Fork(_) | Step::ForkAnew) { forks(world) } else { 0 };
        let before = *before.get_or_insert(count);
        if count > before && !matches!(step, Step::Choose(_)) {
            return true;
        }
        let Some(node) = world.node_now() else { continue };
        if !Box::pin(act(world, &node, &kept, step)).await {
            refusals += 1;
        }
        if refusals > REFUSALS_MAX {
            return false;
        }
    }
    false
}

/// How often an act stands in the history.
fn done(kept: &Kept, step: Step) -> usize {
    let is_it = |body: &EventBody| match step {
        Step::Until(_) | Step::Fork(_) | Step::ForkAnew => false,
        Step::Back(..) | Step::Anew(_) => matches!(body, EventBody::Rewound(_)),
        Step::Choose(_) => matches!(body, EventBody::Chosen { .. }),
        Step::Mark(_) => matches!(body, EventBody::Checkpoint { .. }),
        Step::Cancel(_) => matches!(body, EventBody::Cancelled { .. }),
        Step::Pause => matches!(body, EventBody::Paused { .. }),
        Step::Resume => matches!(body, EventBody::Resumed { .. }),
    };
    kept.events.iter().filter(|event| is_it(&event.body)).count()
}

fn target(place: Place) -> Target {
    match place {
        Place::Task(task) => Target::Task(task.to_owned()),
        Place::Mark(name) => Target::Checkpoint(name.to_owned()),
    }
}

async fn act(world: &Arc<World>, node: &Node, kept: &Kept, step: Step) -> bool {
    let row = &kept.row;
    let (id, app) = (row.id.as_str(), &node.app);
    let tess: Caller = workloads::caller(&row.tenant, "user:tess", &[Role::Operator, Role::Developer]);
    let reason = "directed";
    match step {
        Step::Until(_) => true,
        Step::Back(place, effects) => {
            returns::back(world, node, &tess, row, target(place), effects, false).await
        }
        Step::Anew(effects) => returns::back(world, node, &tess, row, Target::Event(1), effects, true).await,
        Step::Fork(place) => Box::pin(returns::fork(world, node, &tess, row, target(place), false)).await,
        Step::ForkAnew => Box::pin(returns::fork(world, node, &tess, row, Target::Event(1), true)).await,
        Step::Choose(choice) => returns::choose(world, node, &tess, row, choice).await,
        Step::Mark(name) => returns::mark(world, node, &tess, row, name).await,
        Step::Cancel(mode) => {
            world.ask(node, app.cancel(&tess, id, reason, mode)).await.is_some_and(|d| d.is_ok())
        }
        Step::Pause => world.ask(node, app.pause(&tess, id, reason)).await.is_some_and(|d| d.is_ok()),
        Step::Resume => world.ask(node, app.resume(&tess, id, reason)).await.is_some_and(|d| d.is_ok()),
    }
}
