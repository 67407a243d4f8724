//! `controls report` and `controls drill`: what stops stopped, and how fast.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::client::{Client, segment};
use crate::commands::controls::Report;
use crate::exit::{Exit, Failure};
use crate::json::{items, list, number, text, truth, when};
use crate::screen::{Screen, Tone};

/// Largest report that is read from a file.
const REPORT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Pause between two looks at a drill.
const LOOK: Duration = Duration::from_millis(250);

/// Runs the commands that need a server.
pub(crate) async fn run(client: &Client, screen: Screen, command: Report) -> Result<(), Failure> {
    match command {
        Report::List => {
            let page = client.get("/controls/reports").await?;
            screen.data(&page, || {
                let rows = items(&page).iter().map(|signed| {
                    let report = &signed["report"];
                    vec![
                        text(report, "/id"),
                        text(report, "/stop"),
                        when(report, "/at"),
                        text(report, "/by"),
                        number(report, "/on_the_wire").to_string(),
                        number(report, "/held").to_string(),
                        if truth(report, "/complete") { "complete" } else { "open" }.to_owned(),
                    ]
                });
                screen.table(&["report", "stop", "at", "by", "wire", "held", ""], rows.collect())
            })
        }
        Report::Show { id, wait } => {
            let query = [("wait", wait)];
            let signed = client.query(&format!("/controls/reports/{}", segment(&id)), &query).await?;
            screen.data(&signed, || told(screen, &signed))
        }
        Report::Verify { file, key } => verify(screen, &file, &key).await,
    }
}

/// A report for people.
pub(crate) fn told(screen: Screen, signed: &Json) -> String {
    let report = &signed["report"];
    let complete = if truth(report, "/complete") { "complete" } else { "not complete yet" };
    let mut lines = vec![
        format!("report {}  {complete}", screen.paint(Tone::Strong, &text(report, "/id"))),
        format!(
            "stop {}  epoch {}  by {}: {}",
            text(report, "/stop"),
            number(report, "/epoch"),
            text(report, "/by"),
            text(report, "/reason")
        ),
        format!(
            "{} on the wire, {} called back, {} programs killed, {} executions held",
            number(report, "/on_the_wire"),
            number(report, "/called_back"),
            number(report, "/programs_killed"),
            number(report, "/held")
        ),
    ];
    let rows: Vec<Vec<String>> = list(report, "/wire")
        .iter()
        .map(|one| {
            let fate = if one["fate"].is_null() { "on the wire".to_owned() } else { text(one, "/fate") };
            vec![
                text(one, "/execution"),
                number(one, "/effect").to_string(),
                text(one, "/operation"),
                text(one, "/target"),
                fate,
            ]
        })
        .collect();
    if !rows.is_empty() {
        lines.push(screen.table(&["execution", "effect", "operation", "target", "fate"], rows));
    }
    lines.push(screen.paint(Tone::Faint, &format!("signed by key {}", text(signed, "/seal/key_id"))));
    lines.join("\n")
}

/// Checks a signed document offline.
pub(crate) async fn verify(screen: Screen, file: &Path, key: &str) -> Result<(), Failure> {
    let key = audit::VerifyingKey::parse(key).map_err(|error| Failure::usage(format!("--key is {error}")))?;
    let path = file.to_owned();
    let bytes = tokio::task::spawn_blocking(move || read(&path))
        .await
        .map_err(|error| Failure::internal(error.to_string()))?
        .map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", file.display())))?;
    let whole: Json = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::usage(format!("`{}` is no JSON: {error}", file.display())))?;
    // The answer that turned the switch on holds the report as a member.
    let signed = if whole["seal"].is_object() { &whole } else { &whole["report"] };
    let seal: audit::Seal = serde_json::from_value(signed["seal"].clone())
        .map_err(|error| Failure::usage(format!("`{}` holds no sealed report: {error}", file.display())))?;
    let kind = seal.kind.clone();
    let known = [app::SEAL_KIND, app::DRILL_KIND].contains(&kind.as_str());
    let good = known && key.accepts_document(&kind, &signed["report"], &seal);
    let document = json!({ "valid": good, "kind": kind, "key_id": key.id(), "digest": seal.digest });
    screen.data(&document, || {
        let word =
            if good { screen.paint(Tone::Good, "valid") } else { screen.paint(Tone::Bad, "NOT VALID") };
        format!("{word}  {kind}  {}  key {}", seal.digest, key.id())
    })?;
    if good { Ok(()) } else { Err(Failure::new(Exit::Failed, "the document is not what this key signed")) }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(REPORT_BYTES_MAX).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(REPORT_BYTES_MAX).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Starts a drill and waits for its end.
pub(crate) async fn drill(client: &Client, screen: Screen, trials: u32, reason: &str) -> Result<(), Failure> {
    let begun = client.post("/controls/drill", &json!({ "trials": trials, "reason": reason })).await?;
    let id = text(&begun, "/report/id");
    screen.say(screen.paint(Tone::Faint, &format!("drill {id}: {trials} trials")));
    let ended = loop {
        let seen = client.get(&format!("/controls/drills/{}", segment(&id))).await?;
        if truth(&seen, "/report/complete") {
            break seen;
        }
        tokio::time::sleep(LOOK).await;
    };
    screen.data(&ended, || {
        let report = &ended["report"];
        let mut lines = vec![screen.table(
            &["", "p50 ms", "p99 ms", "max ms"],
            vec![
                row(report, "acknowledged", "/acknowledged_us"),
                row(report, "programs dead", "/programs_dead_us"),
            ],
        )];
        lines.push(format!(
            "{} trials, {} programs killed, {} trials with a start after the acknowledgement",
            number(report, "/trials_done"),
            number(report, "/programs_killed"),
            number(report, "/trials_with_late_starts")
        ));
        lines.join("\n")
    })?;
    if truth(&ended, "/report/passed") {
        return Ok(());
    }
    let why = text(&ended, "/report/error");
    let why =
        if why.is_empty() { "something started late, or lived longer than 250 ms".to_owned() } else { why };
    Err(Failure::new(Exit::Failed, format!("the drill did not pass: {why}")))
}

fn row(report: &Json, name: &str, pointer: &str) -> Vec<String> {
    let ms = |figure: &str| {
        let micros = report.pointer(&format!("{pointer}/{figure}")).and_then(Json::as_u64);
        micros.map_or_else(|| "-".to_owned(), |us| format!("{}.{}", us / 1000, us % 1000 / 100))
    };
    vec![name.to_owned(), ms("p50"), ms("p99"), ms("max")]
}

/// What drills measured.
pub(crate) async fn drills(client: &Client, screen: Screen) -> Result<(), Failure> {
    let page = client.get("/controls/drills").await?;
    screen.data(&page, || {
        let rows = items(&page).iter().map(|signed| {
            let report = &signed["report"];
            let word = match (truth(report, "/complete"), truth(report, "/passed")) {
                (false, _) => "under way",
                (true, true) => "passed",
                (true, false) => "NOT PASSED",
            };
            let mut cells = vec![text(report, "/id"), when(report, "/at"), word.to_owned()];
            cells.extend(row(report, "", "/programs_dead_us").into_iter().skip(1));
            cells
        });
        screen.table(&["drill", "at", "", "p50 ms", "p99 ms", "max ms"], rows.collect())
    })
}
