//! Runs every test, shows what the runner says, and adds it up.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::{install, run};

/// The one test target that needs a binary with crash points. It goes first, so that the binary that is left in `target`
/// has none. All of the workspace is chosen so that what others wrote is built once, with the same features.
const CRASH_POINTS: &[&str] =
    &["test", "--workspace", "--features", "omnihub/crash-points", "--test", "crash_points"];

/// Installs what is missing, builds once, runs everything, and ends with one plain line of totals. With arguments of
/// cargo's, only the tests that they choose, without crash points.
pub fn test(rest: &[&str]) -> Result<()> {
    install::install()?;
    let mut totals = Totals::default();
    let crashes = if rest.is_empty() { counted(CRASH_POINTS, &mut totals)? } else { true };
    run::cargo(&["build", "--workspace", "--all-targets"])?;
    let others = counted(&[&["test", "--workspace", "--no-fail-fast"], rest].concat(), &mut totals)?;
    println!("{} passed, {} failed", totals.passed, totals.failed);
    if totals.ignored > 0 {
        bail!("{} tests are ignored: a test that does not run proves nothing", totals.ignored);
    }
    if !crashes || !others || totals.failed > 0 {
        bail!("tests failed");
    }
    if totals.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Runs cargo, shows what it says, and counts; true when it was content.
fn counted(arguments: &[&str], totals: &mut Totals) -> Result<bool> {
    let mut command = run::cargo_command();
    command.args(arguments).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo test")?;
    let stdout = child.stdout.take().context("cargo test has no output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read what cargo test says")?;
        println!("{line}");
        totals.add(&line);
    }
    Ok(child.wait().context("cannot wait for cargo test")?.success())
}

/// What the runner's summaries add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Totals {
    /// Adds a line such as `test result: ok. 5 passed; 0 failed; 0 ignored; …`; other lines say nothing.
    fn add(&mut self, line: &str) {
        let Some(summary) = line.strip_prefix("test result: ") else { return };
        for part in summary.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(word)) =
                (words.next().and_then(|count| count.parse::<u64>().ok()), words.next())
            else {
                continue;
            };
            match word {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn summaries_add_up() {
        let mut totals = Totals::default();
        totals.add(
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.02s",
        );
        totals.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.02s");
        totals.add("test other ... ok");
        assert_eq!(totals, Totals { passed: 7, failed: 3, ignored: 1 });
    }
}
