//! Everything that is done to this repository besides writing it: tests, checks, generated files, measurements.
//!
//! `cargo xtask test` is the one command of the README; `cargo xtask ci` is what must pass before a merge.

mod codegen;
mod install;
mod reference;
mod run;
mod test;
mod tidy;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask <command>

  test            install what tests need, build once, run every test
  ci              formatting, lints, tidy, generated files, tests
  tidy            directions, purity, file heads and lengths, error pages
  codegen         write generated references (--check: only compare)
  bench [...]     release build, then `omnihub bench`
  disk power-loss [--images N] [--seed S]
                  a workload on a disk that loses power: opens N images of what is left (10,000)
  disk bit-flips [--flips N] [--seed S]
                  damages a data directory of the real binary N times (10,000), asks it everything
  soak [--minutes M] [--seed S]
                  the real binary under load, killed every 2 to 10 s (30 minutes)
  conformance --kit DIR [--way in-process|binary|replay|all] [--only TEXT]
                  every scenario of a folder of feature files, in every way
  fuzz [--minutes N] [--seed S] [--case I]
                  mutated documents and expressions, read, formatted, drawn, compiled, run, replayed (10 minutes)
  sim [...]       release build, then the simulator: --seeds N, --seed S, crash-points
  sim prove [--bug NAME] [--seeds 1000] [--write]
                  a build with seeded bugs in it: whether the simulator finds each (--write: the list in docs/)
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match arguments.first().map(String::as_str) {
        Some("test") => test::test(&rest),
        Some("ci") => ci(),
        Some("tidy") => tidy::tidy(),
        Some("codegen") => codegen::codegen(rest.contains(&"--check")),
        Some("bench") => bench(&rest),
        Some("disk") => disk(&rest),
        Some("soak") => disk(&[&["soak"], rest.as_slice()].concat()),
        Some("conformance") => conformance(&rest),
        Some("fuzz") => fuzz(&rest),
        Some("sim") => sim(&rest),
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("there is no command `{other}`\n\n{HELP}"),
    }
}

/// What must pass before a merge, cheapest first.
fn ci() -> Result<()> {
    run::step("formatting", || run::cargo(&["fmt", "--all", "--check"]))?;
    run::step("tidy", tidy::tidy)?;
    run::step("lints", || run::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run::step("lints with crash points", || {
        let lints = ["clippy", "--package", "omnihub", "--features", "crash-points", "--all-targets"];
        run::cargo(&[&lints[..], &["--", "-D", "warnings"]].concat())
    })?;
    run::step("generated files", || codegen::codegen(true))?;
    run::step("tests", || test::test(&[]))
}

/// Thousands of images are only quick in a release build.
fn disk(rest: &[&str]) -> Result<()> {
    run::cargo(&["build", "--release", "--package", "omnihub"])?;
    let program = run::root().join("target/release/omnihub").display().to_string();
    let mut arguments = vec!["run", "--release", "--package", "faulty-disk", "--bin", "disk", "--"];
    arguments.extend(rest);
    arguments.extend(["--program", &program]);
    run::cargo(&arguments)
}

/// Figures count only when they are measured on what is shipped.
fn bench(rest: &[&str]) -> Result<()> {
    let mut arguments = vec!["run", "--release", "--package", "omnihub", "--", "bench"];
    arguments.extend(rest);
    run::cargo(&arguments)
}

/// The program is built first, since one of the ways is to run it.
fn conformance(rest: &[&str]) -> Result<()> {
    run::cargo(&["build", "--package", "omnihub", "--package", "conformance"])?;
    let program = run::root().join("target/debug/omnihub").display().to_string();
    let mut arguments = vec!["run", "--quiet", "--package", "conformance", "--", "--program", &program];
    arguments.extend(rest);
    run::cargo(&arguments)
}

/// What it finds counts for what is shipped, and a release build finds more in the same time.
fn fuzz(rest: &[&str]) -> Result<()> {
    let mut arguments = vec!["run", "--release", "--package", "engine", "--example", "fuzz", "--"];
    arguments.extend(rest);
    run::cargo(&arguments)
}

/// Worlds are many and small: only a release build gets through enough of them.
fn sim(rest: &[&str]) -> Result<()> {
    let mut arguments = vec!["run", "--release", "--package", "sim"];
    if rest.first() == Some(&"prove") {
        arguments.extend(["--features", "sabotage"]);
    }
    arguments.push("--");
    arguments.extend(rest);
    let list = run::root().join("docs/seeded-bugs.md").display().to_string();
    if let Some(at) = arguments.iter().position(|argument| *argument == "--write") {
        arguments.insert(at + 1, &list);
    }
    run::cargo(&arguments)
}
