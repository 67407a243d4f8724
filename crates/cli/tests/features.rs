//! Our own scenarios of the workflow language (`tests/features`), in every way there is.

use std::path::Path;

use conformance::kit::{self, CLOCK, ONCE, Scenario};
use conformance::run::{Runner, Verdict, Way};

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/features");
    kit::read(&folder).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs every scenario; only those with the tag may be left out.
async fn run(way: Way, tag: Option<&str>) {
    let program = (way == Way::Binary).then_some(env!("CARGO_BIN_EXE_omnihub"));
    let mut runner = Runner::start(program).await.unwrap_or_else(|refused| panic!("{refused}"));
    let scenarios = scenarios();
    let mut wrong = Vec::new();
    for scenario in &scenarios {
        let line = runner.run(scenario, way).await;
        let fine = match &line.verdict {
            Verdict::Passed(_) => true,
            Verdict::Failed(_) => false,
            Verdict::Left(_) => tag.is_some_and(|tag| scenario.is(tag)),
        };
        if !fine {
            wrong.push(line.to_string());
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), scenarios.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_holds_in_process() {
    run(Way::InProcess, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_holds_in_the_binary() {
    run(Way::Binary, Some(CLOCK)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_holds_with_a_crash_after_every_commit() {
    run(Way::Replay, Some(ONCE)).await;
}
