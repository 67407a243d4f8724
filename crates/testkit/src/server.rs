//! The real server as a process: started, killed and started again on one data directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::client::Client;

/// A start that takes longer than this has failed.
const START_MAX: Duration = Duration::from_secs(60);
/// A stop that takes longer than this has failed.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks at a server that starts.
const LOOK: Duration = Duration::from_millis(20);

/// A server process and its data directory.
pub struct Server {
    /// The binary.
    program: PathBuf,
    directory: TempDir,
    child: Option<Child>,
    environment: Vec<(String, String)>,
    /// The administrator.
    pub admin: Client,
}

impl Server {
    /// Starts `program serve` on an empty data directory. `configuration` is TOML besides addresses and directory;
    /// `environment` is added to the process.
    pub async fn start(program: &str, configuration: &str, environment: &[(&str, &str)]) -> Self {
        let mut server = Self::prepared(program, configuration, environment);
        server.start_again().await;
        server
    }

    /// As [`Server::start`], without starting anything yet.
    pub fn prepared(program: &str, configuration: &str, environment: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a scratch directory");
        let text = format!(
            "data_dir = {:?}\nhttp.address = \"127.0.0.1:0\"\nadmin.address = \"127.0.0.1:0\"\n{configuration}",
            directory.path().join("data")
        );
        std::fs::write(directory.path().join("omnihub.toml"), text).expect("the configuration is written");
        Self {
            program: PathBuf::from(program),
            directory,
            child: None,
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            admin: Client { address: SocketAddr::from(([127, 0, 0, 1], 0)), token: None },
        }
    }

    /// Starts the process and kills it `after` that time, wherever it is by then.
    pub async fn start_and_kill(&mut self, after: Duration) {
        self.spawn();
        tokio::time::sleep(after).await;
        self.kill();
    }

    /// Starts another process on the same data directory, which must refuse to; answers what it says. Panics when it
    /// starts after all.
    pub async fn refused_start(&mut self) -> String {
        let before = self.log().len();
        let running = self.child.take();
        self.spawn();
        let refused = std::mem::replace(&mut self.child, running);
        let began = Instant::now();
        let mut refused = refused.expect("a process was started");
        loop {
            if let Some(ended) = refused.try_wait().expect("the process is ours") {
                let said = self.log().split_off(before);
                assert_ne!(ended.code(), Some(0), "{said}");
                return said;
            }
            if began.elapsed() > STOP_MAX || self.log()[before..].contains("\"ready\"") {
                let _ = refused.kill();
                let _ = refused.wait();
                panic!("it started:\n{}", self.log());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Starts the process on the same data directory.
    pub async fn start_again(&mut self) {
        let ended = self.start_or_end().await;
        assert!(ended.is_none(), "the server did not start ({ended:?}):\n{}", self.log());
    }

    /// Starts the process on the same data directory; answers how it ended, when it did so before it was ready.
    pub async fn start_or_end(&mut self) -> Option<ExitStatus> {
        let addresses = self.directory.path().join("data").join("addresses.json");
        let _ = std::fs::remove_file(&addresses);
        self.spawn();
        let began = Instant::now();
        loop {
            if let Some(address) = read_address(&addresses) {
                self.admin.address = address;
                let token = std::fs::read_to_string(self.data().join("admin.token"))
                    .expect("the first start keeps a token");
                self.admin.token = Some(token.trim().to_owned());
                let ready = self.admin.try_send("GET", "/ready", &[], bytes::Bytes::new()).await;
                if ready.is_ok_and(|answer| answer.status == 200) {
                    return None;
                }
            }
            let ended = self.ended();
            if ended.is_some() {
                return ended;
            }
            assert!(began.elapsed() < START_MAX, "the server did not start:\n{}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How the process ended, when it did by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let ended = self.child.as_mut()?.try_wait().expect("the process is ours");
        if ended.is_some() {
            self.child = None;
        }
        ended
    }

    fn spawn(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("server.log"))
            .expect("the log is opened");
        let child = Command::new(&self.program)
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("OMNIHUB_CONFIG", self.directory.path().join("omnihub.toml"))
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
    }

    /// Changes what the process gets at its next start.
    pub fn set_environment(&mut self, environment: &[(&str, &str)]) {
        self.environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks the process to stop (SIGTERM) and answers the code it ended with.
    pub async fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw)?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("the process is ours");
        let began = Instant::now();
        loop {
            if let Some(ended) = child.try_wait().expect("the process is ours") {
                return ended.code();
            }
            if began.elapsed() > STOP_MAX {
                let _ = child.kill();
                panic!("the server did not stop:\n{}", self.log());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join("omnihub.toml")
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default()
    }

    /// The process id of the running server.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// A client with a token of its own.
    pub async fn principal(&self, name: &str, roles: &[&str]) -> Client {
        self.principal_in("default", name, "user", roles).await
    }

    /// A client of a tenant, which is made when it does not exist.
    pub async fn principal_in(&self, tenant: &str, name: &str, kind: &str, roles: &[&str]) -> Client {
        if tenant != "default" {
            let made = self.admin.post("/tenants", json!({"id": tenant, "title": tenant})).await;
            assert!(matches!(made.status, 200 | 201 | 204 | 409), "{}", made.text);
        }
        let body = json!({"principal": name, "kind": kind, "tenant": tenant, "roles": roles});
        let made = self.admin.post("/tokens", body).await.expect(201);
        self.admin.with_token(made.str("/secret"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_address(path: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(path).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    json["http"].as_str()?.parse().ok()
}
