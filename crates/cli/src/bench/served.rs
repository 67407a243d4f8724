//! The real server as a process of its own, with an outside of one route, for measuring through the front door.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::bench::house::{failed, processor_ms};
use crate::client::Client;
use crate::exit::Failure;

/// Time in which the server must be there.
const START_WITHIN: Duration = Duration::from_secs(60);
/// Pause between two looks at it while it starts.
const LOOK: Duration = Duration::from_millis(20);
/// What the outside answers.
const ANSWER: &str = r#"{"state":"found","note":"as long as an answer is when somebody looks one order up and gets its state, who has it, when it was last changed and where it is now; so long, and not much longer than this"}"#;

/// Two reads outside; and what waits for a person, a month, or both.
const WORKFLOWS: [&str; 3] = [
    "document: { dsl: '1.0.3', namespace: bench, name: look, version: '1.0.0' }\ndo:\n  \
     - first: { call: 'order-read:1.0.0', with: { order: '1042' } }\n  \
     - second: { call: 'order-read:1.0.0', with: { order: '1043' } }\n",
    "document: { dsl: '1.0.3', namespace: bench, name: nap, version: '1.0.0' }\ndo:\n  - nap: { wait: P30D }\n",
    "document: { dsl: '1.0.3', namespace: bench, name: pay, version: '1.0.0' }\ndo:\n  \
     - pay: { call: 'order-pay:1.0.0', with: { order: '1042', amount: 900, currency: EUR } }\n",
];

/// A server in a process, ended when this is dropped.
pub(super) struct Served {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) admin: Client,
    outside: JoinHandle<()>,
    _directory: TempDir,
}

impl Served {
    /// Starts it on an empty directory and publishes what is measured.
    pub(super) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let outside_address = listener.local_addr().map_err(failed)?;
        let outside = tokio::spawn(answer_everything(listener));
        let directory = tempfile::tempdir().map_err(failed)?;
        let data = directory.path().join("data");
        let text = format!(
            "data_dir = {data:?}\nhttp.address = \"127.0.0.1:0\"\nadmin.address = \"127.0.0.1:0\"\n\
             egress.private = [\"127.0.0.1/32\"]\nlimits.rate = 1000000\nlimits.burst = 1000000\n"
        );
        let configuration = directory.path().join("omnihub.toml");
        std::fs::write(&configuration, text).map_err(failed)?;
        let log = std::fs::File::create(directory.path().join("server.log")).map_err(failed)?;
        let child = Command::new(std::env::current_exe().map_err(failed)?)
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("OMNIHUB_CONFIG", &configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (address, admin) = ready(&data, directory.path()).await?;
        let served = Self { child, address, admin, outside, _directory: directory };
        served.settle(outside_address).await?;
        Ok(served)
    }

    async fn settle(&self, outside: SocketAddr) -> Result<(), Failure> {
        let input = "input: { schema: { type: object, required: [order] } }";
        let read = format!(
            "action: order-read:1.0.0\ntitle: Look an order up\neffect: read\nclass: read\nhosts: ['{outside}']\n{input}\n\
             run: {{ call: http, with: {{ method: get, endpoint: 'http://{outside}/orders/{{order}}' }} }}\n"
        );
        let pay = format!(
            "action: order-pay:1.0.0\ntitle: Pay an order\neffect: money\nclass: irreversible\nhosts: ['{outside}']\n\
             blastRadius: {{ scope: customer, max: 1, unit: order }}\namount: {{ value: /amount, currency: /currency }}\n{input}\n\
             run: {{ call: http, with: {{ method: post, endpoint: 'http://{outside}/payments', body: '${{ . }}' }} }}\n"
        );
        for action in [read, pay] {
            self.admin.post_text("/actions", "application/yaml", action).await?;
        }
        for workflow in WORKFLOWS {
            self.admin.post_text("/workflows", "application/yaml", workflow.to_owned()).await?;
        }
        Ok(())
    }

    /// A token of its own for somebody.
    pub(super) async fn token(&self, name: &str, roles: &[&str]) -> Result<String, Failure> {
        let kind = name.split(':').next().unwrap_or_default();
        let made =
            self.admin.post("/tokens", &json!({"principal": name, "kind": kind, "roles": roles})).await?;
        made["secret"].as_str().map(str::to_owned).ok_or_else(|| failed("no token was made"))
    }

    /// How many executions have this status.
    pub(super) async fn count(&self, status: &str) -> Result<u64, Failure> {
        let overview = self.admin.get("/overview").await?;
        let counts = overview["by_status"].as_array().cloned().unwrap_or_default();
        let found = counts.iter().find(|count| count["name"] == status);
        Ok(found.and_then(|count| count["count"].as_u64()).unwrap_or(0))
    }

    /// Processor time of the server and of this process, which is load generator and outside, in milliseconds.
    pub(super) fn processor_ms(&self) -> Result<(f64, f64), Failure> {
        Ok((processor_ms(&self.process()?.to_string())?, processor_ms("self")?))
    }

    fn process(&self) -> Result<u32, Failure> {
        self.child.id().ok_or_else(|| failed("the server ended"))
    }

    /// Bytes of the process that are in memory.
    pub(super) fn resident_bytes(&self) -> Result<u64, Failure> {
        let id = self.process()?;
        let text = std::fs::read_to_string(format!("/proc/{id}/status")).map_err(failed)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib = line.trim().split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| failed("the kernel does not say how much memory is used"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.outside.abort();
    }
}

async fn ready(data: &Path, directory: &Path) -> Result<(SocketAddr, Client), Failure> {
    let begun = Instant::now();
    while begun.elapsed() < START_WITHIN {
        tokio::time::sleep(LOOK).await;
        let Ok(text) = std::fs::read_to_string(data.join("addresses.json")) else { continue };
        let addresses: Json = serde_json::from_str(&text).map_err(failed)?;
        let address = addresses["http"].as_str().and_then(|text| text.parse::<SocketAddr>().ok());
        let address = address.ok_or_else(|| failed("the server tells no address"))?;
        let token = std::fs::read_to_string(data.join("admin.token")).map_err(failed)?;
        let client = Client::new(&format!("http://{address}"), Some(token.trim().to_owned()))?;
        if client.plain("/ready").await.is_ok() {
            return Ok((address, client));
        }
    }
    let log = std::fs::read_to_string(directory.join("server.log")).unwrap_or_default();
    Err(failed(format!("the server did not start:\n{log}")))
}

/// The outside: the same document to everybody, at once.
async fn answer_everything(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let answer = |_: Request<hyper::body::Incoming>| async {
                let body = Full::new(Bytes::from_static(ANSWER.as_bytes()));
                Response::builder().header("content-type", "application/json").body(body)
            };
            // A peer that goes away is the end of its connection, and nothing else.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

/// A kept connection to the server.
pub(super) struct Connection {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
}

/// What an answer says of a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) status: StatusCode,
    pub(super) body: Json,
}

/// The body that asks for `bench/{name}`.
pub(super) fn goal(name: &str) -> Json {
    json!({"workflow": {"namespace": "bench", "name": name, "version": "1.0.0"}, "input": {}})
}

impl Connection {
    /// Connects as the holder of a token.
    pub(super) async fn open(address: SocketAddr, token: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string(), authorization: format!("Bearer {token}") })
    }

    /// Sends a request under `/api/v1` and reads the whole answer.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Heard, Failure> {
        self.sender.ready().await.map_err(failed)?;
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(bytes))
            .map_err(failed)?;
        let answer = self.sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(failed)?.to_bytes();
        Ok(Heard { status, body: serde_json::from_slice(&body).unwrap_or_default() })
    }

    /// Submits `bench/{name}`; `wait` as the API takes it, such as `PT30S`.
    pub(super) async fn goal(&mut self, name: &str, wait: Option<&str>) -> Result<Heard, Failure> {
        let body = goal(name);
        let query = wait.map(|wait| format!("?wait={wait}")).unwrap_or_default();
        self.send(Method::POST, &format!("/goals{query}"), Some(&body)).await
    }
}
