//! `workflows test`: runs files of cases in this process, without a server and without the outside.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::cases::{Case, File, Stage, differences, play};
use crate::commands::input;
use crate::exit::{Exit, Failure};
use crate::json::{items, text};
use crate::screen::{Screen, Tone};

/// Runs every case of every file; exit code 1 when one does not hold, 2 when a file makes no sense.
pub(super) fn run(screen: Screen, files: &[PathBuf], only: Option<&str>) -> Result<(), Failure> {
    let (mut held, mut failed) = (0, 0);
    for path in files {
        let report = test(path, only)?;
        for case in items(&report) {
            match text(case, "/verdict").as_str() {
                "passed" => held += 1,
                _ => failed += 1,
            }
        }
        screen.data(&report, || lines(screen, path, &report))?;
    }
    screen.say(format!("{held} passed, {failed} failed"));
    match (held, failed) {
        (_, 1) => Err(Failure::new(Exit::Failed, "one case does not hold")),
        (_, n) if n > 1 => Err(Failure::new(Exit::Failed, format!("{n} cases do not hold"))),
        // Nothing that ran proves nothing.
        (0, _) => Err(Failure::usage("no case has a name with that in it")),
        _ => Ok(()),
    }
}

fn test(path: &Path, only: Option<&str>) -> Result<Json, Failure> {
    let wrong = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let file = File::read(path, &input::document(path)?).map_err(wrong)?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let stage = Stage::set(&file, beside).map_err(|why| {
        let mut lines = why.lines().map(str::to_owned);
        let mut failure = Failure::new(Exit::Failed, lines.next().unwrap_or_default());
        failure.hints.extend(lines);
        failure
    })?;
    let cases = file.cases.iter().filter(|case| only.is_none_or(|only| case.name.contains(only)));
    let results: Vec<Json> = cases.map(|case| result(&stage, case)).collect();
    Ok(json!({ "file": path.display().to_string(), "items": results }))
}

fn result(stage: &Stage, case: &Case) -> Json {
    let (verdict, differences) = match play(stage, case) {
        Ok(played) => {
            let differences = differences(&case.expect, &played);
            (if differences.is_empty() { "passed" } else { "failed" }, differences)
        }
        Err(why) => ("broken", vec![why]),
    };
    json!({ "name": case.name, "verdict": verdict, "differences": differences })
}

fn lines(screen: Screen, path: &Path, report: &Json) -> String {
    let mut out = vec![path.display().to_string()];
    for case in items(report) {
        let verdict = text(case, "/verdict");
        let tone = if verdict == "passed" { Tone::Good } else { Tone::Bad };
        out.push(format!(
            "  {}  {}",
            screen.paint(tone, &verdict),
            screen.paint(Tone::Strong, &text(case, "/name"))
        ));
        for difference in crate::json::list(case, "/differences") {
            out.push(format!("      {}", screen.paint(Tone::Care, difference.as_str().unwrap_or_default())));
        }
    }
    out.join("\n")
}
