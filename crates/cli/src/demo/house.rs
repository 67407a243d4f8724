//! The demo's house: a shop in a process of its own, a server in this one, and three people with tokens.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::cli::Global;
use crate::client::Client;
use crate::commands::connect;
use crate::config::{self, LogFormat, Settings};
use crate::demo::shop::Fault;
use crate::exit::Failure;
use crate::json::text;
use crate::serve::{logs, wire};

/// The workflow of the demo.
const WORKFLOW: &str = include_str!("../../../../examples/refund/workflow.yaml");
/// Its actions. They name the address at which the shop listens by hand; the demo's own is written in its place.
const ACTIONS: &[&str] = &[
    include_str!("../../../../examples/refund/actions/order-read.yaml"),
    include_str!("../../../../examples/refund/actions/refund-read.yaml"),
    include_str!("../../../../examples/refund/actions/refund-create.yaml"),
];
/// The shop's address in the example documents.
const SHOP_BY_HAND: &str = "127.0.0.1:8499";
/// Time in which the shop must be there.
const SHOP_WITHIN: Duration = Duration::from_secs(15);

/// Everything that the demo runs on.
pub(crate) struct House {
    running: wire::Running,
    pub(crate) people: People,
    shop: Client,
    control: Client,
    // Dropped last to first: the shop ends before its directory is removed.
    shop_process: Child,
    _scratch: Option<TempDir>,
}

impl House {
    /// Starts shop and server on an empty data directory, makes tokens and publishes the example.
    pub(crate) async fn open(global: &Global, fault: Fault, exit: bool) -> Result<Self, Failure> {
        let (data, scratch) = data_directory(global)?;
        // `down` begins when the refund is about to be made, so that there is something to see before.
        let first = if fault == Fault::Down { Fault::None } else { fault };
        let (shop_process, shop_address, control_address) = start_shop(&data.join("shop"), first).await?;
        let settings = settings(&data.join("hub"), exit)?;
        logs::start(&settings.log)?;
        let running = wire::start(&settings).await?;
        match People::settle(&running, &data, &shop_address).await {
            Ok(people) => Ok(Self {
                people,
                shop: Client::new(&format!("http://{shop_address}"), None)?,
                control: Client::new(&format!("http://{control_address}"), None)?,
                running,
                shop_process,
                _scratch: scratch,
            }),
            // The directory may be removed only after the server has closed its store.
            Err(failure) => running.stop().await.and(Err(failure)),
        }
    }

    /// The server's address.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Where the administrator's token is.
    pub(crate) fn token_file(&self) -> &Path {
        &self.running.token_file
    }

    /// Where the shop's faults are switched.
    pub(crate) fn control_address(&self) -> String {
        self.control.address()
    }

    /// Switches the shop's fault.
    pub(crate) async fn set_fault(&self, fault: Fault) -> Result<(), Failure> {
        self.control.plain_post("/admin/fault", &json!({ "fault": fault.name() })).await.map(|_| ())
    }

    /// Every refund that the shop knows of.
    pub(crate) async fn ledger(&self) -> Result<Json, Failure> {
        self.shop.plain("/ledger").await
    }

    /// Ends server and shop.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        let stopped = self.running.stop().await;
        // A shop that has ended already is as good.
        let _ = self.shop_process.kill().await;
        stopped
    }
}

/// Three principals, each with a token of its own.
pub(crate) struct People {
    pub(crate) admin: Client,
    /// Who asks.
    pub(crate) alice: Client,
    /// Who answers.
    pub(crate) bob: Client,
    pub(crate) bob_token: PathBuf,
}

impl People {
    /// Makes tokens and publishes the example, with the shop's address in it.
    async fn settle(running: &wire::Running, data: &Path, shop_address: &str) -> Result<Self, Failure> {
        let address = format!("http://{}", running.address);
        let admin = Client::new(&address, Some(connect::read_token(&running.token_file)?))?;
        let alice = person(&admin, "user:alice", "developer").await?;
        let bob = person(&admin, "user:bob", "operator").await?;
        let bob_token = data.join("bob.token");
        write_private(&bob_token, &bob)?;
        for action in ACTIONS {
            admin
                .post_text("/actions", "application/yaml", action.replace(SHOP_BY_HAND, shop_address))
                .await?;
        }
        admin.post_text("/workflows", "application/yaml", WORKFLOW.to_owned()).await?;
        Ok(Self { alice: admin.with_token(alice), bob: admin.with_token(bob), bob_token, admin })
    }
}

/// An empty directory: the one that was named, or one that is removed at the end.
fn data_directory(global: &Global) -> Result<(PathBuf, Option<TempDir>), Failure> {
    let failed =
        |error: std::io::Error| Failure::internal(format!("cannot make the demo's directory: {error}"));
    let Some(dir) = &global.data_dir else {
        let scratch = tempfile::Builder::new().prefix("omnihub-demo-").tempdir().map_err(failed)?;
        return Ok((scratch.path().to_path_buf(), Some(scratch)));
    };
    if dir.exists() && dir.read_dir().map_err(failed)?.next().is_some() {
        return Err(Failure::usage(format!(
            "`{}` is not empty; the demo begins with nothing",
            dir.display()
        )));
    }
    std::fs::create_dir_all(dir).map_err(failed)?;
    Ok((dir.clone(), None))
}

fn settings(dir: &Path, exit: bool) -> Result<Settings, Failure> {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let mut settings = config::load(Some(dir), &variables)?;
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let usual = [8420, 8422].map(loopback);
    // A demo that stays open is easier to find at the usual place, when that is free.
    let free = !exit && usual.iter().all(|address| std::net::TcpListener::bind(address).is_ok());
    [settings.http.address, settings.admin] = if free { usual } else { [loopback(0), loopback(0)] };
    settings.log.format = LogFormat::Human;
    if !variables.contains_key("OMNIHUB_LOG__LEVEL") {
        settings.log.level = "error".to_owned();
    }
    settings.egress.private.push(IpNet::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST)));
    Ok(settings)
}

/// Starts the shop and reads its addresses from its first line.
async fn start_shop(data: &Path, fault: Fault) -> Result<(Child, String, String), Failure> {
    let failed = |what: &str| Failure::internal(format!("the demo's shop did not start: {what}"));
    let program = std::env::current_exe().map_err(|error| failed(&error.to_string()))?;
    let mut child = Command::new(program)
        .args(["demo-shop", "--until-stdin-ends", "--fault", fault.name(), "--data"])
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    let stdout = child.stdout.take().ok_or_else(|| failed("it has no output"))?;
    let mut first = String::new();
    let mut reader = BufReader::new(stdout);
    let read = tokio::time::timeout(SHOP_WITHIN, reader.read_line(&mut first));
    read.await.map_err(|_| failed("it said nothing"))?.map_err(|error| failed(&error.to_string()))?;
    let line: Json = serde_json::from_str(&first).map_err(|_| failed("its first line is not JSON"))?;
    Ok((child, text(&line, "/address"), text(&line, "/control")))
}

/// Makes a token for a person.
async fn person(admin: &Client, principal: &str, role: &str) -> Result<String, Failure> {
    let body = json!({"principal": principal, "kind": "user", "roles": [role], "days": 1});
    Ok(text(&admin.post("/tokens", &body).await?, "/secret"))
}

fn write_private(path: &Path, content: &str) -> Result<(), Failure> {
    let mut open = std::fs::OpenOptions::new();
    let written = open
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()));
    written.map_err(|error| Failure::internal(format!("cannot write `{}`: {error}", path.display())))
}
