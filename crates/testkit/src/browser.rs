//! Debian's Chromium behind chromedriver: started on a free port, gone with its profiles when dropped.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;

/// Lines that a driver says at the most before the one that names its port.
const LINES_MAX: usize = 50;
/// Times that a driver is started until it comes up. It binds the port that it picked for IPv4 to IPv6 as
/// well, and gives up when somebody else took that one in between.
const STARTS_MAX: usize = 5;
/// What stands before the port in the line that names it.
const STARTED: &str = "was started successfully on port ";
/// Nothing on a screen, nothing towards the network but what a test opens.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
];

/// A driver process; every browser it started ends with it.
pub struct Driver {
    child: Child,
    port: u16,
    profiles: TempDir,
}

impl Driver {
    /// Starts `chromedriver` on a port that it picks. Panics with what to install when there is none, and
    /// with what the driver said when it does not come up.
    pub fn start() -> Self {
        find("chromium");
        let program = find("chromedriver");
        let mut said = Vec::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start(&program) {
                Ok(driver) => return driver,
                Err(words) => said.push(words),
            }
        }
        panic!("chromedriver did not come up in {STARTS_MAX} starts; it said:\n{}", said.join("\n"));
    }

    /// One start, or what the driver said before it ended.
    fn try_start(program: &Path) -> Result<Self, String> {
        let mut child = Command::new(program)
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let mut said = Vec::new();
        for line in lines.by_ref().take(LINES_MAX).map_while(Result::ok) {
            let Some(port) = port_in(&line) else {
                said.push(line);
                continue;
            };
            // A driver whose output nobody reads would stop at a full pipe.
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
            return Ok(Self { child, port, profiles: TempDir::new().expect("a scratch directory") });
        }
        end(&mut child);
        Err(said.join("\n"))
    }

    /// Where it listens, as a URL.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Capabilities of a new browser with a profile of its own that keeps what its console says.
    pub fn capabilities(&self) -> Map<String, Json> {
        let profile = TempDir::new_in(self.profiles.path()).expect("a scratch directory").keep();
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(|argument| (*argument).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments, "binary": find("chromium")},
        });
        wanted.as_object().cloned().unwrap_or_default()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends the driver with its group: a driver that is killed alone leaves its browsers running.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once(STARTED)?;
    rest.trim_end_matches('.').parse().ok()
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("`{program}` is not on PATH: this test needs Debian's Chromium and its driver; `cargo xtask test` installs them")
    })
}
