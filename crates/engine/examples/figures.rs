//! Prints what the language costs: compiling, loops, forks, a long history; each beside a limit measured in the same run.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dsl::Definition;
use engine::{Execution, Input, Snapshot};
use model::event::{Event, Mode, Started};
use model::principal::PrincipalKind;
use model::{Digest, ExecutionId, Label, PrincipalId, TenantId, Timestamp, Value};
use serde_json::json;

const BEGIN: Timestamp = Timestamp(1_800_000_000_000);
/// Each figure is the best of so many.
const ROUNDS: usize = 5;

struct Nothing;

impl dsl::Catalogue for Nothing {
    fn action(&self, _: &model::ActionRef) -> Option<Arc<dsl::plan::Action>> {
        None
    }
    fn actions(&self) -> Vec<model::ActionRef> {
        Vec::new()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    documents();
    expressions()?;
    let iterations =
        flow("- l: { for: { in: '[range(10000)]' }, do: [ { b: { set: { n: '${ $index }' } } } ] }")?;
    let (took, _) = best(|| begin(&iterations).map(|(state, _)| state.end.is_some()))?;
    let bare = flow("- l: { set: { n: '${ [range(10000)] | map({n: .}) | last }' } }")?;
    let (limit, _) = best(|| begin(&bare).map(|(state, _)| state.end.is_some()))?;
    row("10,000 iterations of `for`, one `set` each", took, limit, "one expression over the same list");

    let branches: String = (0..1000).map(|i| format!("    - b{i}: {{ wait: PT1S }}\n")).collect();
    let fork = flow(&format!("- f:\n   fork:\n    branches:\n{branches}"))?;
    let (took, _) = best(|| run(&fork).map(|(_, events)| events.len()))?;
    let sequence: String = (0..1000).map(|i| format!("- b{i}: {{ set: {{ x: {i} }} }}\n")).collect();
    let (limit, _) = best(|| begin(&flow(&sequence)?).map(|(state, _)| state.end.is_some()))?;
    row(
        "a fork of 1,000 branches that wait, to its end",
        took,
        limit,
        "compiling and running 1,000 `set` in a row",
    );
    long()
}

fn documents() {
    let text = include_str!("../../../examples/refund/workflow.yaml")
        .replace("call: order-read:1.0.0", "call: http");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/reference");
    let mut texts = vec![text];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let cases = std::fs::read_to_string(entry.path()).unwrap_or_default();
        if let Ok(value) = dsl::data::read(&cases) {
            texts.push(value.to_json()["workflow"].to_string());
        }
    }
    let per = |work: &dyn Fn(&str)| {
        let mut least = Duration::MAX;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            (0..20).for_each(|_| texts.iter().for_each(|text| work(text)));
            least = least.min(began.elapsed() / 20 / u32::try_from(texts.len()).unwrap_or(1));
        }
        least
    };
    let compile = per(&|text| drop(black_box(dsl::compile(text, &Nothing))));
    let read = per(&|text| drop(black_box(dsl::data::read(text))));
    row("validate and compile one document", compile, read, "reading its YAML");
}

fn expressions() -> Result<(), Box<dyn std::error::Error>> {
    let expr = dsl::expr::Expr::parse(".order.total > 100 and .customer.country == \"DE\"")
        .map_err(|e| e.message)?;
    let input = Value::from_json(
        &json!({ "order": { "total": 120.5 }, "customer": { "country": "DE" } }),
        Label::CALLER,
    );
    let rounds = 100_000_u32;
    let began = Instant::now();
    for _ in 0..rounds {
        let vars = dsl::expr::Vars(&[]);
        drop(black_box(expr.eval(black_box(&input), &vars, &mut dsl::expr::Budget::default())));
    }
    let took = began.elapsed() / rounds;
    let began = Instant::now();
    for _ in 0..rounds {
        let input = black_box(&input);
        let part = |a: &str, b: &str| input.get(a).and_then(|value| value.get(b)).cloned();
        black_box((part("order", "total"), part("customer", "country")));
    }
    row("a condition of two paths", took, began.elapsed() / rounds, "looking both values up in Rust");
    Ok(())
}

/// An execution of 100,000 events: how long, how large, and how fast it comes back.
fn long() -> Result<(), Box<dyn std::error::Error>> {
    let definition = flow("- l: { for: { in: '[range(99999)]' }, do: [ { w: { wait: PT1S } } ] }")?;
    let before = memory();
    let began = Instant::now();
    let (state, events) = run(&definition)?;
    let took = began.elapsed();
    println!("{:<52} {:>10} {} events", "an execution of 100,000 events, live", text(took), events.len());
    println!("{:<52} {:>7} KiB", "  memory of its state", memory_of(before));
    let stored = serde_json::to_string(&events)?;
    let began = Instant::now();
    let read: Vec<Event> = serde_json::from_str(&stored)?;
    let limit = began.elapsed();
    let (replay, _) = best(|| {
        let replayed = Execution::replay(Arc::clone(&definition), &read, false).ok_or("it does not begin")?;
        Ok(replayed.end == state.end)
    })?;
    row("  its replay from the beginning", replay, limit, "parsing its JSON");
    let half = Execution::replay(Arc::clone(&definition), &read[..read.len() - 100], false)
        .ok_or("it does not begin")?;
    let bytes = half.snapshot().to_bytes()?;
    let (restore, _) = best(|| {
        let mut state = Execution::restore(Arc::clone(&definition), Snapshot::from_bytes(&bytes)?)?;
        (read.len() - 100..read.len()).for_each(|position| state.follow(&read, position));
        Ok(state.end.is_some())
    })?;
    println!(
        "{:<52} {:>10} ({} bytes)",
        "  from a snapshot 100 events before its end",
        text(restore),
        bytes.len()
    );
    Ok(())
}

fn flow(tasks: &str) -> Result<Arc<Definition>, Box<dyn std::error::Error>> {
    let indented: String = tasks.lines().map(|line| format!("  {line}\n")).collect();
    let head = "document: { dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0' }";
    let compiled = dsl::compile(&format!("{head}\ndo:\n{indented}"), &Nothing);
    compiled.definition.ok_or_else(|| format!("{:?}", compiled.problems).into())
}

fn begin(definition: &Arc<Definition>) -> Result<(Execution, Vec<Event>), Box<dyn std::error::Error>> {
    let started = Started {
        execution: ExecutionId::new("e1")?,
        tenant: TenantId::new("acme")?,
        namespace: definition.namespace.clone(),
        name: definition.name.clone(),
        version: definition.version.clone(),
        definition: definition.digest,
        plan: Digest::of(b"plan"),
        input: Value::from_json(&json!({}), Label::CALLER),
        input_blob: None,
        input_label: Label::CALLER,
        requester: PrincipalId::new("user:alice")?,
        requester_kind: PrincipalKind::User,
        requester_roles: Default::default(),
        mode: Mode::Live,
        intent: None,
        signed: None,
        deadline: None,
        placing: Default::default(),
        scheduled: None,
        origin: None,
        family: Default::default(),
    };
    let (state, step) = Execution::start(Arc::clone(definition), started, BEGIN);
    Ok((state, step.events))
}

fn run(definition: &Arc<Definition>) -> Result<(Execution, Vec<Event>), Box<dyn std::error::Error>> {
    let (mut state, mut events) = begin(definition)?;
    while let Some((at, _)) = state.next_wakeup() {
        events.extend(engine::step(&mut state, Input::Wake, at)?.events);
    }
    if state.end.is_none() {
        return Err("it does not end".into());
    }
    Ok((state, events))
}

fn best<T>(
    work: impl Fn() -> Result<T, Box<dyn std::error::Error>>,
) -> Result<(Duration, T), Box<dyn std::error::Error>> {
    let mut least = Duration::MAX;
    let mut last = None;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        last = Some(black_box(work()?));
        least = least.min(began.elapsed());
    }
    Ok((least, last.ok_or("nothing was measured")?))
}

fn row(what: &str, took: Duration, limit: Duration, of: &str) {
    let ratio = took.as_secs_f64() / limit.as_secs_f64().max(1e-12);
    println!("{what:<52} {:>10}   limit {:>10} ({of}), {ratio:.1} times", text(took), text(limit));
}

fn text(span: Duration) -> String {
    match span.as_nanos() {
        n if n < 10_000 => format!("{n} ns"),
        n if n < 10_000_000 => format!("{:.1} µs", span.as_secs_f64() * 1e6),
        _ => format!("{:.1} ms", span.as_secs_f64() * 1e3),
    }
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn memory_of(before: u64) -> u64 {
    memory().saturating_sub(before)
}
