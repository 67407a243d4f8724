//! The simulator's command line; `cargo xtask sim` builds it and passes its arguments on.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use sim::crash_points::{Depth, Scenario};
use sim::run::{Base, Ended};
use sim::seeds::Totals;
use sim::{crash_points, marks, seeds};

const HELP: &str = "\
sim --seeds N [--from S] [--threads T] [--json]   run many seeds
sim --seed S                                      run one seed, and show its trace
sim crash-points [--singles] [--store sqlite]     a crash at each boundary of each scenario, and each pair; on the real
                                                  SQLite each single one, and the power goes off with it
sim prove [--bug NAME] [--seeds N] [--write]      whether seeded bugs are found (needs the feature `sabotage`)
";

/// Threads that explore crash points.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("crash-points") => points(&arguments),
        Some("prove") => prove(&arguments),
        Some("--seed") => one(number(&arguments, "--seed").unwrap_or(0)),
        Some("--seeds" | "--from" | "--threads" | "--json") => many(&arguments),
        _ => {
            print!("{HELP}");
            Ok(true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn number(arguments: &[String], name: &str) -> Option<u64> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1)?.replace(['_', ','], "").parse().ok()
}

fn one(seed: u64) -> Result<bool, String> {
    let ended = Base::found()?.seed(seed, true)?;
    show(&ended);
    Ok(ended.broken.is_empty())
}

fn show(ended: &Ended) {
    for line in &ended.lines {
        println!("{line}");
    }
    println!("seed {}: hash {:016x}, {:?} simulated", ended.seed, ended.hash, ended.simulated);
    for (invariant, what) in &ended.broken {
        println!("BROKEN {invariant}: {what}");
    }
}

fn many(arguments: &[String]) -> Result<bool, String> {
    let count = number(arguments, "--seeds").unwrap_or(100);
    let from = number(arguments, "--from").unwrap_or(0);
    let threads = number(arguments, "--threads").unwrap_or(2);
    let totals = seeds::run(from, count, usize::try_from(threads).unwrap_or(1), |done| {
        if done % 1_000 == 0 {
            eprintln!("{done} of {count} seeds");
        }
    })?;
    if arguments.iter().any(|argument| argument == "--json") {
        println!("{}", json(from, &totals));
    } else {
        told(from, &totals);
    }
    Ok(totals.fine())
}

fn json(from: u64, totals: &Totals) -> serde_json::Value {
    serde_json::json!({
        "from": from, "seeds": totals.seeds, "failed": totals.failed, "marks": totals.marks, "missing": totals.missing(),
        "faults": totals.faults, "simulated_s": totals.simulated.as_secs(), "executions": totals.sizes[0],
        "events": totals.sizes[1], "leaves": totals.sizes[2], "took_s": totals.took.as_secs_f64(),
        "hash": format!("{:016x}", totals.hash),
    })
}

fn told(from: u64, totals: &Totals) {
    println!("seeds {from}..{}: hash {:016x}", from + totals.seeds, totals.hash);
    let each = totals.took.as_secs_f64() * 1000.0 / totals.seeds.max(1) as f64;
    println!(
        "{:.1} s, {each:.2} ms a seed; {:.1} hours simulated; {} executions, {} events, {} leaves",
        totals.took.as_secs_f64(),
        totals.simulated.as_secs_f64() / 3600.0,
        totals.sizes[0],
        totals.sizes[1],
        totals.sizes[2],
    );
    let faults: u64 = totals.faults.values().sum();
    println!("{faults} faults injected:");
    for (fault, times) in &totals.faults {
        println!("  {times:>8} {fault}");
    }
    println!("marks reached ({} of {}):", marks::ALL.len() - totals.missing().len(), marks::ALL.len());
    for mark in marks::ALL {
        println!("  {:>8} {mark}", totals.marks.get(mark).copied().unwrap_or(0));
    }
    for (seed, broken) in &totals.failed {
        for (invariant, what) in broken.iter().take(5) {
            println!("BROKEN seed {seed}: {invariant}: {what}");
        }
    }
    println!("{} of {} seeds failed", totals.failed.len(), totals.seeds);
}

fn points(arguments: &[String]) -> Result<bool, String> {
    let given =
        arguments.iter().position(|argument| argument == "--store").and_then(|at| arguments.get(at + 1));
    let sqlite = match given.map(String::as_str) {
        None | Some("memory") => false,
        Some("sqlite") => true,
        Some(other) => return Err(format!("there is no store `{other}`: use memory or sqlite")),
    };
    let singles = sqlite || arguments.iter().any(|a| a == "--singles");
    let depth = if singles { Depth::Singles } else { Depth::Pairs };
    let scenarios = crash_points::scenarios();
    let next = AtomicUsize::new(0);
    let worked: Result<Vec<bool>, String> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| explore_all(&scenarios, &next, sqlite, depth))).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.map(|done| done.unwrap_or_else(|_| Err("a simulator thread panicked".to_owned()))).collect()
    });
    Ok(worked?.into_iter().all(|fine| fine))
}

/// Takes scenarios until there are no more, and tells of each; true when nothing is broken.
fn explore_all(
    scenarios: &[Scenario],
    next: &AtomicUsize,
    sqlite: bool,
    depth: Depth,
) -> Result<bool, String> {
    let base = if sqlite { Base::found_on_sqlite()? } else { Base::found()? };
    let mut fine = true;
    while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
        let points = crash_points::explore(&base, scenario, depth)?;
        println!(
            "{:<8} {:<17} {:>4} boundaries, {:>4} single crashes, {:>6} pairs, {} broken",
            scenario.tenant.as_str(),
            points.name,
            points.boundaries,
            points.singles,
            points.pairs,
            points.broken.len()
        );
        for (at, broken) in points.broken.iter().take(10) {
            for (invariant, what) in broken {
                println!("  BROKEN at {at:?}: {invariant}: {what}");
            }
        }
        fine &= points.broken.is_empty();
    }
    Ok(fine)
}

#[cfg(not(feature = "sabotage"))]
fn prove(_: &[String]) -> Result<bool, String> {
    Err("this build has no seeded bugs in it: run `cargo xtask sim prove`, which makes one that has"
        .to_owned())
}

/// Hunts the seeded bugs, or one of them, and tells what found each.
#[cfg(feature = "sabotage")]
fn prove(arguments: &[String]) -> Result<bool, String> {
    use model::sabotage::Bug;
    use sim::prove::{FOUND_MIN, Prober};

    let after = |name: &str| arguments.iter().position(|argument| argument == name).map(|at| at + 1);
    let wanted = after("--bug").and_then(|at| arguments.get(at));
    let bugs: Vec<Bug> = match wanted {
        None => Bug::ALL.to_vec(),
        Some(names) => names.split(',').map(named).collect::<Result<_, _>>()?,
    };
    let seeds = number(arguments, "--seeds").unwrap_or(1_000);
    let prober = Prober::new(usize::try_from(number(arguments, "--threads").unwrap_or(2)).unwrap_or(2))?;
    let begun = std::time::Instant::now();
    let mut proofs = Vec::new();
    for bug in bugs {
        let proof = prober.hunt(Some(bug), seeds)?;
        println!("{}", line(&proof));
        proofs.push(proof);
    }
    let found = proofs.iter().filter(|proof| proof.finding.is_some()).count();
    let mut fine = found >= if wanted.is_some() { proofs.len() } else { FOUND_MIN };
    println!("{found} of {} found in {:.0} s", proofs.len(), begun.elapsed().as_secs_f64());
    if wanted.is_none() {
        let clean = prober.hunt(None, seeds)?;
        println!("{}", line(&clean));
        fine &= clean.finding.is_none();
        if let Some(at) = after("--write") {
            let path = arguments.get(at).ok_or("say where to write the list")?;
            std::fs::write(path, sim::prove::list(&proofs, seeds)).map_err(|e| format!("`{path}`: {e}"))?;
        }
    }
    Ok(fine)
}

#[cfg(feature = "sabotage")]
fn named(name: &str) -> Result<model::sabotage::Bug, String> {
    let plain = |text: &str| text.replace(['-', '_'], "").to_lowercase();
    let found = model::sabotage::Bug::ALL.iter().find(|bug| plain(bug.name()) == plain(name));
    found.copied().ok_or_else(|| format!("there is no seeded bug `{name}`; `docs/seeded-bugs.md` lists them"))
}

#[cfg(feature = "sabotage")]
fn line(proof: &sim::prove::Proof) -> String {
    let (area, name) = proof.bug.map_or(("", "no bug at all"), |bug| (bug.area(), bug.name()));
    let took = proof.took.as_secs_f64();
    match &proof.finding {
        Some(finding) => {
            let what: String = finding.what.chars().take(110).collect();
            let by = finding.invariants.join("; ");
            format!("{area:<22} {name:<20} seed {:>4} {took:>6.1} s  {by}: {what}", finding.seed)
        }
        None => format!("{area:<22} {name:<20} NOT FOUND in {} seeds, {took:.1} s", proof.seeds),
    }
}
