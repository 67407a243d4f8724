//! Load and `kill -9` for a while: none lost, none doubled, no gap. `cargo xtask soak` goes on for longer.

use std::path::PathBuf;
use std::time::Duration;

use testkit::soak::{Plan, run};

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_under_load() {
    let figures = run(Plan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_omnihub")),
        time: Duration::from_secs(15),
        between: (Duration::from_secs(1), Duration::from_secs(4)),
        seed: 1,
    })
    .await;
    assert!(figures.breaches.is_empty(), "{figures:#?}");
    assert!(figures.kills >= 3 && figures.accepted > 10, "{figures:#?}");
    assert_eq!(figures.completed + figures.parked, figures.accepted, "{figures:#?}");
    assert!(figures.refunds > 0, "{figures:#?}");
}
