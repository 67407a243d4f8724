//! The simulated store keeps the contract of the port, as SQLite does.

#[path = "../../store/tests/contract/suite.rs"]
mod suite;
#[expect(dead_code, reason = "what opens SQLite is for the store's own tests")]
#[path = "../../store/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use sim::node::Life;
use sim::store::{NodeStore, Stored};
use sim::swarm::Swarm;
use sim::world::{Crashes, World};
use store::Store;

/// The view of a node that nothing happens to.
fn quiet() -> Arc<dyn Store> {
    let crashes = Crashes::At(Default::default());
    let world = World::new(1, Swarm::quiet(0), crashes, (Stored::default(), None), Arc::default(), false);
    let life = Life::new(1, Arc::clone(&world.clock));
    Arc::new(NodeStore::new(world, Arc::new(life)))
}

macro_rules! on_the_simulated_store {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test(start_paused = true)]
        async fn $name() {
            suite::$name(quiet()).await;
        })*
    };
}

suite::behaviours!(on_the_simulated_store);
