//! Throws mutated documents and expressions at everything that reads them, and runs what is accepted.
//!
//! `cargo xtask fuzz --minutes N [--seed S] [--case I]`. Case `I` of seed `S` is always the same. What is found (a panic, a
//! case that takes too long, one that needs too much memory, a form or a replay that differs) is printed with its number
//! and its text, and the exit code is 1.

mod check;
mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mutate::{Dice, Seeds};

/// One case takes this long at the most.
const HANG: Duration = Duration::from_secs(10);
/// Memory that one case may need, and that all together may leave behind, in bytes.
const GROWTH_MAX: u64 = 64 << 20;
/// Cases after which what stays is no longer the warming up.
const WARM: u64 = 2_000;
/// The stack of a server's thread.
const STACK: usize = 2 * 1024 * 1024;
/// Findings after which it stops.
const FOUND_MAX: usize = 10;

/// The case under way: its number, when it began, its text.
type Present = Arc<Mutex<Option<(u64, Instant, String)>>>;

fn main() -> ExitCode {
    let (minutes, seed, only) = match arguments() {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    // A panic is a finding and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    let present: Present = Arc::default();
    let watched = Arc::clone(&present);
    let work = move || work(Duration::from_secs(60 * minutes), seed, only, &present);
    let Ok(worker) = std::thread::Builder::new().stack_size(STACK).spawn(work) else {
        eprintln!("no thread");
        return ExitCode::from(2);
    };
    while !worker.is_finished() {
        std::thread::sleep(Duration::from_millis(100));
        let late = watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((case, began, text)) = &*late
            && began.elapsed() > HANG
        {
            println!("case {case} of seed {seed} hangs:\n{text}");
            return ExitCode::FAILURE;
        }
    }
    match worker.join() {
        Ok(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn work(time: Duration, seed: u64, only: Option<u64>, present: &Present) -> usize {
    let seeds = Seeds::gather();
    println!(
        "{} documents, {} expressions to begin with; seed {seed}",
        seeds.documents.len(),
        seeds.expressions.len()
    );
    let (began, mut case, mut found, mut settled) = (Instant::now(), only.unwrap_or(0), 0, None);
    let mut tally = check::Tally::default();
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    while began.elapsed() < time && found < FOUND_MAX {
        let mut dice = Dice::new(seed, case);
        let subject = mutate::subject(&seeds, &mut dice);
        let text = subject.text().to_owned();
        *present.lock().unwrap_or_else(PoisonError::into_inner) = Some((case, Instant::now(), text.clone()));
        let before = memory("VmRSS:");
        reset_peak();
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| check::check(&subject, &mut tally)));
        slowest = slowest.max(started.elapsed());
        let grown = memory("VmHWM:").saturating_sub(before);
        largest = largest.max(grown);
        *present.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let wrong = match result {
            Err(panic) => Some(format!("panics: {}", said(&*panic))),
            Ok(Err(why)) => Some(why),
            Ok(Ok(())) if grown > GROWTH_MAX => Some(format!("needs {} MiB", grown >> 20)),
            Ok(Ok(())) => None,
        };
        if let Some(wrong) = wrong {
            found += 1;
            println!("case {case} of seed {seed} {wrong}\n{text}\n");
        }
        if only.is_some() {
            break;
        }
        case += 1;
        if case == WARM {
            settled = Some(memory("VmRSS:"));
        }
    }
    let left = settled.map_or(0, |settled| memory("VmRSS:").saturating_sub(settled));
    if left > GROWTH_MAX {
        found += 1;
        println!("{} MiB more are in use than after the first {WARM} cases", left >> 20);
    }
    println!("{tally}");
    println!(
        "{case} cases in {:.0} s, the slowest {:.0} ms, the largest {:.1} MiB, {:.1} MiB left behind: {found} found",
        began.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1000.0,
        largest as f64 / 1048576.0,
        left as f64 / 1048576.0
    );
    found
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// A line of `/proc/self/status` in bytes; zero where there is none.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number =
        status.lines().find_map(|l| l.strip_prefix(line)).and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The peak begins at what is in use now. Without it the peak is that of the whole run, which only makes the check stricter.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn arguments() -> Result<(u64, u64, Option<u64>), String> {
    let (mut minutes, mut seed, mut case) = (10, 1, None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("`{word}` needs a value"))?;
        let number: u64 = value.parse().map_err(|_| format!("`{value}` is not a whole number"))?;
        match word.as_str() {
            "--minutes" => minutes = number,
            "--seed" => seed = number,
            "--case" => case = Some(number),
            _ => return Err(format!("`{word}` is not known; write `--minutes N --seed S --case I`")),
        }
    }
    Ok((minutes, seed, case))
}
