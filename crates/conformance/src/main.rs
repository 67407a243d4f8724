//! `conformance --kit DIR [--way in-process|binary|replay|all] [--program PATH] [--only TEXT]`

use std::path::PathBuf;
use std::process::ExitCode;

use conformance::kit;
use conformance::run::{Runner, Verdict, Way};

/// What was asked for.
struct Asked {
    kit: PathBuf,
    ways: Vec<Way>,
    program: Option<String>,
    only: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<bool, String> {
    let asked = asked(std::env::args().skip(1))?;
    let mut scenarios = kit::read(&asked.kit).map_err(|error| error.to_string())?;
    if let Some(only) = &asked.only {
        scenarios.retain(|scenario| format!("{}: {}", scenario.file, scenario.name).contains(only.as_str()));
    }
    let program = asked.program.as_deref().filter(|_| asked.ways.contains(&Way::Binary));
    let mut runner = Runner::start(program).await.map_err(|refused| refused.text)?;
    let (mut passed, mut failed, mut left) = (0, 0, 0);
    for way in asked.ways {
        for scenario in &scenarios {
            let line = runner.run(scenario, way).await;
            println!("{line}");
            match line.verdict {
                Verdict::Passed(_) => passed += 1,
                Verdict::Failed(_) => failed += 1,
                Verdict::Left(_) => left += 1,
            }
        }
    }
    if left > 0 {
        println!("{left} left out");
    }
    println!("{passed} passed, {failed} failed");
    // Nothing that ran proves nothing.
    Ok(failed == 0 && passed > 0)
}

fn asked(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let (mut kit, mut program, mut only) = (None, None, None);
    let mut ways = Way::ALL.to_vec();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
        match word.as_str() {
            "--kit" => kit = Some(PathBuf::from(value()?)),
            "--program" => program = Some(value()?),
            "--only" => only = Some(value()?),
            "--way" => {
                let name = value()?;
                ways = Way::ALL.into_iter().filter(|way| name == "all" || way.name() == name).collect();
                if ways.is_empty() {
                    return Err(format!("`{name}` is not a way: write in-process, binary, replay or all"));
                }
            }
            other => return Err(format!("`{other}` is not known; write `--kit DIR`")),
        }
    }
    let kit = kit.ok_or("`--kit DIR` says where the feature files are")?;
    Ok(Asked { kit, ways, program, only })
}
