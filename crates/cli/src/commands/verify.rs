//! `verify`: hold everything that is stored against the histories, in a stopped data directory or in a running server.

use std::path::PathBuf;
use std::sync::Arc;

use app::{App, Parts, RandomIds, SystemClock, Verification};
use clap::Args;
use serde_json::{Value as Json, json};
use store::SqliteStore;

use crate::cli::Global;
use crate::commands::connect;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::json::{list, number, text};
use crate::screen::{Screen, Tone};

/// `omnihub verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A stopped data directory, or a copy of one; the server is asked when absent. Nothing in it is changed.
    dir: Option<PathBuf>,
    /// The public key that must have signed the audit log (with a directory only).
    #[arg(long, requires = "dir")]
    key: Option<String>,
}

/// Verifies, prints, and fails when something is wrong.
pub(crate) async fn run(args: VerifyArgs, global: &Global, screen: Screen) -> Result<(), Failure> {
    let document = match args.dir.or_else(|| stopped_directory(global)) {
        Some(dir) => offline(dir, args.key).await?,
        None => online(global).await?,
    };
    screen.data(&document, || {
        let counts = ["executions", "events", "leaves", "snapshots", "blobs", "permits", "approvals", "busy"];
        let counts: Vec<String> =
            counts.map(|name| format!("{} {name}", number(&document, &format!("/{name}")))).into();
        let word = match number(&document, "/found") {
            0 => screen.paint(Tone::Good, "everything agrees"),
            found => screen.paint(Tone::Bad, &format!("{found} FINDINGS")),
        };
        let rows: Vec<Vec<String>> = list(&document, "/findings")
            .iter()
            .map(|one| {
                vec![text(one, "/code"), text(one, "/tenant"), text(one, "/resource"), text(one, "/detail")]
            })
            .collect();
        let table = if rows.is_empty() {
            String::new()
        } else {
            format!("\n{}", screen.table(&["code", "tenant", "what", "detail"], rows))
        };
        format!("{word}  {}{table}", counts.join(", "))
    })?;
    match number(&document, "/found") {
        0 => Ok(()),
        found => Err(Failure::new(Exit::Failed, format!("{found} things that are stored do not agree"))),
    }
}

/// The directory that was named, when no server was.
fn stopped_directory(global: &Global) -> Option<PathBuf> {
    let named = global.data_dir.is_some() && global.address.is_none();
    named.then(|| config::data_dir(global.data_dir.as_deref()))
}

async fn offline(dir: PathBuf, key: Option<String>) -> Result<Json, Failure> {
    let key = key.map(|text| audit::VerifyingKey::parse(&text)).transpose();
    let key = key.map_err(|error| Failure::usage(format!("--key is {error}")))?;
    let shown = dir.display().to_string();
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("cannot verify `{shown}`: {error}"))
    };
    let directory = dir.clone();
    let log = tokio::task::spawn_blocking(move || store::verify_directory(&directory, key))
        .await
        .map_err(|error| Failure::internal(error.to_string()))?
        .map_err(|error| cannot(&error))?;
    let copied = tokio::task::spawn_blocking(move || store::StoppedCopy::make(&dir))
        .await
        .map_err(|error| Failure::internal(error.to_string()))?
        .map_err(|error| cannot(&error))?;
    let mut found = Verification::default();
    match SqliteStore::open(copied.path(), Arc::new(SystemClock)) {
        Ok(store) => {
            let parts = Parts { store, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds::default()) };
            let app = App::open(app::Settings::default(), parts).await.map_err(|p| cannot(&p.detail))?;
            found = app.verify_everything().await.map_err(|p| cannot(&p.internal.unwrap_or(p.detail)))?;
        }
        Err(error) if log.first_bad.is_none() => return Err(cannot(&error)),
        // The store refuses a log that is not whole, which is a finding below.
        Err(_) => {}
    }
    if let Some((index, reason)) = log.first_bad {
        found.found += 1;
        found.findings.insert(
            0,
            app::Finding {
                code: "OH-5049".to_owned(),
                tenant: String::new(),
                resource: format!("audit/{index}"),
                detail: reason,
            },
        );
    }
    let mut document = json!(found);
    document["log_size"] = json!(log.size);
    document["log_root"] = json!(hex::encode(log.root));
    Ok(document)
}

async fn online(global: &Global) -> Result<Json, Failure> {
    let client = connect::client(global)?;
    let log = client.post("/audit/check", &json!({})).await?;
    let mut whole = json!({ "found": 0, "findings": [] });
    let mut next: Option<String> = None;
    loop {
        let cursor = next.as_deref().map(|at| format!("?cursor={}", crate::client::segment(at)));
        let page = client.post(&format!("/audit/verify{}", cursor.unwrap_or_default()), &json!({})).await?;
        for (name, value) in page.as_object().into_iter().flatten() {
            if let Some(more) = value.as_u64() {
                whole[name] = json!(whole[name].as_u64().unwrap_or_default() + more);
            }
        }
        if let (Some(all), Some(more)) = (whole["findings"].as_array_mut(), page["findings"].as_array()) {
            all.extend(more.iter().cloned());
        }
        match page["next"].as_str() {
            Some(at) => next = Some(at.to_owned()),
            None => break,
        }
    }
    if log["intact"] != true {
        whole["found"] = json!(number(&whole, "/found") + 1);
        let finding = json!({ "code": "OH-5049", "tenant": "", "resource": format!("audit/{}", text(&log, "/first_bad/0")),
            "detail": text(&log, "/first_bad/1") });
        if let Some(all) = whole["findings"].as_array_mut() {
            all.insert(0, finding);
        }
    }
    Ok(whole)
}
