//! `doctor`: what is in force on this machine, what is not, and why.

mod machine;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::cli::Global;
use crate::commands::connect;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::json::{list, text, truth};
use crate::screen::{Screen, Tone};

/// Oldest SQLite whose write-ahead log is sound.
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);

/// `omnihub doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Exit with 1 also when something is only worth knowing.
    #[arg(long)]
    strict: bool,
}

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    Note,
    Bad,
}

/// One finding.
#[derive(Debug)]
struct Finding {
    what: String,
    grade: Grade,
    detail: String,
}

fn finding(what: impl Into<String>, grade: Grade, detail: impl Into<String>) -> Finding {
    Finding { what: what.into(), grade, detail: detail.into() }
}

/// Looks at configuration, data directory, SQLite, sandbox, and the server when there is one.
pub(crate) async fn run(args: DoctorArgs, global: &Global, screen: Screen) -> Result<(), Failure> {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let settings = config::load(global.data_dir.as_deref(), &variables);
    let mut findings = Vec::new();
    match &settings {
        Ok(_) => findings.push(finding("configuration", Grade::Good, "every key is known and fine")),
        Err(failure) => findings.push(finding("configuration", Grade::Bad, failure.to_string())),
    }
    let dir = settings
        .as_ref()
        .map_or_else(|_| config::data_dir(global.data_dir.as_deref()), |s| s.data_dir.clone());
    findings.push(data_directory(&dir));
    findings.push(sqlite());
    findings.push(crash_points());
    if model::sabotage::BUILT_IN {
        let detail = "seeded bugs are built in, each of which breaks a promise; build it without `sabotage`";
        findings.push(finding("build", Grade::Bad, detail));
    }
    let looked = dir.clone();
    let machine = tokio::task::spawn_blocking(move || machine::findings(&looked)).await;
    findings.extend(machine.unwrap_or_else(|error| vec![finding("machine", Grade::Bad, error.to_string())]));
    if let Ok(settings) = &settings {
        findings.extend(machine::configured(settings));
    }
    let required = settings.as_ref().map_or(true, |settings| settings.sandbox.required);
    let probed = tokio::task::spawn_blocking(sandbox::Capabilities::probe).await;
    findings.extend(probed.map_or_else(
        |error| vec![finding("sandbox", Grade::Bad, error.to_string())],
        |found| sandbox_findings(&found, required),
    ));
    findings.extend(server(global).await);
    report(screen, &findings)?;
    let worst = findings.iter().any(|f| f.grade == Grade::Bad || (args.strict && f.grade == Grade::Note));
    if worst { Err(Failure::new(Exit::Failed, "not everything is in force")) } else { Ok(()) }
}

fn data_directory(dir: &Path) -> Finding {
    let what = format!("data directory {}", dir.display());
    match dir.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            finding(what, Grade::Note, "is not there yet; the first start makes it")
        }
        Err(error) => finding(what, Grade::Bad, error.to_string()),
        Ok(meta) if !meta.is_dir() => finding(what, Grade::Bad, "is no directory"),
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => finding(
            what,
            Grade::Bad,
            format!("others can enter it (mode {:o}); run chmod 700", meta.permissions().mode() & 0o777),
        ),
        Ok(_) => finding(what, Grade::Good, "only its owner can enter it"),
    }
}

fn sqlite() -> Finding {
    let version = rusqlite::version();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let own = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if own >= SQLITE_MIN {
        finding("sqlite", Grade::Good, version)
    } else {
        finding("sqlite", Grade::Bad, format!("{version} can lose its write-ahead log; 3.51.3 is needed"))
    }
}

fn crash_points() -> Finding {
    if crash::BUILT_IN {
        finding("crash points", Grade::Bad, "BUILT IN: this build is for tests, never for work")
    } else {
        finding("crash points", Grade::Good, "not built in")
    }
}

fn sandbox_findings(found: &sandbox::Capabilities, required: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = sandbox::Control::ALL
        .into_iter()
        .map(|control| {
            let what = format!("sandbox: {}", control.name());
            match found.missing.get(&control) {
                None => finding(what, Grade::Good, "in force"),
                Some(why) if required => finding(
                    what,
                    Grade::Bad,
                    format!("NOT IN FORCE ({why}); sandbox.required stops the start"),
                ),
                Some(why) => {
                    finding(what, Grade::Note, format!("NOT IN FORCE ({why}); programs are refused"))
                }
            }
        })
        .collect();
    for language in ["shell", "javascript", "python"] {
        let what = format!("interpreter: {language}");
        findings.push(match found.interpreters.get(language) {
            Some(path) => finding(what, Grade::Good, path.display().to_string()),
            None => finding(what, Grade::Note, "not installed; such scripts are refused"),
        });
    }
    findings
}

/// What the server says about itself.
async fn server(global: &Global) -> Vec<Finding> {
    let client = match connect::client(global) {
        Ok(client) => client,
        Err(failure) => return vec![finding("server", Grade::Bad, failure.to_string())],
    };
    let what = format!("server {}", client.address());
    match client.plain("/health").await {
        Err(failure) if failure.exit == Exit::Unreachable => {
            return vec![finding(what, Grade::Note, "does not answer; start one with `omnihub dev`")];
        }
        Err(failure) => return vec![finding(what, Grade::Bad, failure.to_string())],
        Ok(_) => {}
    }
    let mut findings = vec![finding(what, Grade::Good, "answers")];
    match client.get("/controls").await {
        Ok(all) => findings.extend(list(&all, "/controls").iter().map(|control| {
            let what = format!("control: {}", text(control, "/name"));
            if truth(control, "/on") {
                finding(what, Grade::Note, format!("IN FORCE: {}", text(control, "/control/reason")))
            } else {
                finding(what, Grade::Good, "not in force")
            }
        })),
        Err(failure) => findings.push(finding("controls", Grade::Note, format!("cannot be read: {failure}"))),
    }
    if let Ok(all) = client.get("/controls").await {
        findings.extend(list(&all, "/stops").iter().map(|stop| {
            let what = format!("stop: {}", text(stop, "/id"));
            finding(what, Grade::Note, format!("IN FORCE: {}", text(stop, "/reason")))
        }));
    }
    if let Ok(health) = client.plain("/health/deep").await {
        let parts = if health.is_array() { list(&health, "") } else { list(&health, "/dependencies") };
        findings.extend(parts.iter().map(|part| {
            let grade = if truth(part, "/ok") { Grade::Good } else { Grade::Bad };
            let code = text(part, "/code");
            let detail = text(part, "/detail");
            let detail = if code.is_empty() { detail } else { format!("{code}: {detail}") };
            finding(format!("server: {}", text(part, "/name")), grade, detail)
        }));
    }
    findings
}

fn report(screen: Screen, findings: &[Finding]) -> Result<(), Failure> {
    let word = |grade: Grade| match grade {
        Grade::Good => "ok",
        Grade::Note => "note",
        Grade::Bad => "bad",
    };
    let document = json!({ "findings": findings.iter().map(|found| {
        json!({"what": found.what, "grade": word(found.grade), "detail": found.detail})
    }).collect::<Vec<_>>() });
    screen.data(&document, || {
        let rows = findings.iter().map(|found| {
            let tone = match found.grade {
                Grade::Good => Tone::Good,
                Grade::Note => Tone::Care,
                Grade::Bad => Tone::Bad,
            };
            vec![screen.paint(tone, word(found.grade)), found.what.clone(), found.detail.clone()]
        });
        screen.table(&["", "what", "detail"], rows.collect())
    })
}
