//! The server and the client commands together: one process is started, used, killed and started again.

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value as Json;
use support::{omnihub, run};

/// A server on ports of its own, and the client commands that talk to it.
struct Server {
    child: Child,
    address: String,
    home: PathBuf,
}

impl Server {
    fn start(home: &Path) -> Self {
        let mut command = omnihub(home, &["serve", "--data-dir"]);
        command
            .arg(home.join("data"))
            .env("OMNIHUB_HTTP__ADDRESS", "127.0.0.1:0")
            .env("OMNIHUB_ADMIN__ADDRESS", "127.0.0.1:0");
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut seen = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("no address in\n{seen}")).expect("text");
            let log: Json = serde_json::from_str(&line).unwrap_or_default();
            if log["message"] == "ready" {
                break log["address"].as_str().expect("an address").to_owned();
            }
            seen.push_str(&line);
        };
        // What is logged later is read, so that the server never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: format!("http://{address}"), home: home.to_path_buf() }
    }

    fn ask(&self, arguments: &[&str]) -> (i32, Json, String) {
        let mut command = omnihub(&self.home, &["-o", "json", "--address", &self.address]);
        let (code, out, err) = run(command.args(arguments).env("OMNIHUB_DATA_DIR", self.home.join("data")));
        (code, serde_json::from_str(&out).unwrap_or_default(), err)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HELLO: &str = "document: {dsl: '1.0.3', namespace: test, name: hello, version: '1.0.0'}
do:
  - greet: {set: {greeting: '${ \"hello \" + .name }'}}
";

#[test]
fn a_workflow_is_published_run_and_found_again_after_a_kill() {
    let home = tempfile::tempdir().expect("a scratch directory");
    let file = home.path().join("hello.yaml");
    std::fs::write(&file, HELLO).expect("a file");
    let file = file.display().to_string();
    let server = Server::start(home.path());
    let (code, checked, err) = server.ask(&["workflows", "validate", &file]);
    assert_eq!((code, &checked["valid"]), (0, &true.into()), "{err}");
    let (code, _, err) = server.ask(&["workflows", "publish", &file]);
    assert_eq!(code, 0, "{err}");
    let goal = [
        "run",
        "--workflow",
        "test/hello",
        "--input",
        "{\"name\": \"ada\"}",
        "--execution-id",
        "e1",
        "--wait",
    ];
    let (code, ended, err) = server.ask(&goal);
    assert_eq!((code, &ended["output"]["greeting"]), (0, &"hello ada".into()), "{err}");
    drop(server);

    let server = Server::start(home.path());
    let (code, shown, err) = server.ask(&["executions", "show", "e1"]);
    assert_eq!((code, &shown["status"]), (0, &"completed".into()), "{err}");
    let (code, ..) = server.ask(&["executions", "show", "e2"]);
    assert_eq!(code, 3);
    let (code, check, err) = server.ask(&["audit", "check"]);
    assert_eq!((code, &check["intact"]), (0, &true.into()), "{err}");
    let (code, ..) = server.ask(&["audit", "proof", "0"]);
    assert_eq!(code, 0);
}

#[test]
fn the_kill_switch_refuses_goals_survives_a_kill_and_lets_go() {
    let home = tempfile::tempdir().expect("a scratch directory");
    let file = home.path().join("hello.yaml");
    std::fs::write(&file, HELLO).expect("a file");
    let server = Server::start(home.path());
    assert_eq!(server.ask(&["workflows", "publish", &file.display().to_string()]).0, 0);
    let goal = ["run", "--workflow", "test/hello", "--input", "{\"name\": \"ada\"}", "--wait"];
    let (code, set, err) = server.ask(&["controls", "set", "kill-switch", "on", "--reason", "a drill"]);
    assert_eq!((code, &set["on"]), (0, &true.into()), "{err}");
    let (code, _, err) = server.ask(&goal);
    assert!(code == 4 && err.contains("OH-3001"), "{code} {err}");
    drop(server);

    let server = Server::start(home.path());
    let (code, _, err) = server.ask(&goal);
    assert!(code == 4 && err.contains("OH-3001"), "{code} {err}");
    assert_eq!(server.ask(&["controls", "set", "kill-switch", "off", "--reason", "the drill is over"]).0, 0);
    let (code, _, err) = server.ask(&goal);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn a_token_does_what_its_role_may_and_no_more() {
    let home = tempfile::tempdir().expect("a scratch directory");
    let server = Server::start(home.path());
    let (code, made, err) = server.ask(&["tokens", "create", "user:vera", "--roles", "viewer"]);
    assert_eq!(code, 0, "{err}");
    let token = made["secret"].as_str().expect("a secret").to_owned();
    let as_vera = |arguments: &[&str]| {
        let mut command = omnihub(home.path(), &["-o", "json", "--address", &server.address]);
        run(command.args(arguments).env("OMNIHUB_TOKEN", &token)).0
    };
    assert_eq!(as_vera(&["executions", "list"]), 0);
    assert_eq!(as_vera(&["controls", "set", "takeover", "on", "--reason", "x"]), 4);
    assert_eq!(as_vera(&["audit", "list"]), 4);
    let id = made["token"]["id"].as_str().or_else(|| made["id"].as_str()).expect("an id");
    assert_eq!(server.ask(&["tokens", "revoke", id]).0, 0);
    assert_eq!(as_vera(&["executions", "list"]), 4, "a revoked token is nobody's");
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let home = tempfile::tempdir().expect("a scratch directory");
    let server = Server::start(home.path());
    let mut command = omnihub(home.path(), &["serve", "--data-dir"]);
    command
        .arg(home.path().join("data"))
        .env("OMNIHUB_HTTP__ADDRESS", "127.0.0.1:0")
        .env("OMNIHUB_ADMIN__ADDRESS", "127.0.0.1:0");
    let (code, _, err) = run(&mut command);
    assert!(code == 70 && err.contains("OH-5010"), "{code} {err}");
    assert_eq!(server.ask(&["executions", "list"]).0, 0);
}
