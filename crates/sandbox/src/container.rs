//! Containers: an engine that the operator names runs an image that is there, with nothing but what it is given.
//!
//! What the sandbox does for programs, the engine does here: no network, no privileges, no files of this machine, a root
//! that cannot be written, limits. Every container carries the name of its attempt and the label of its house, so that
//! a stop ends it by its name, and a start finds whatever a crash left.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use model::effect::{ProcessRequest, Program};
use tokio::sync::Semaphore;

use crate::run::{
    GivenUp, Killed, Limits, ProcessResult, SandboxError, check, code_of, collect, collected, feed,
};

/// The label that tells the containers of one house from everybody else's.
const LABEL: &str = "io.omnihub.house";
/// Processor of one container.
const CPUS: &str = "1";
/// What a container may write to, all of it in memory.
const SCRATCH: &str = "/tmp:rw,noexec,nosuid,nodev,size=64m";
/// Nobody inside, and so nobody outside.
const USER: &str = "65534:65534";
/// How long one question to the engine may take.
const ASKING: Duration = Duration::from_secs(60);
/// How long a killed container may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// How often something that runs is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Kept of what the engine answers, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// The exit code by which an engine says that it failed itself.
const ENGINE_FAILED: i32 = 125;
/// Longest name of a container, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// What an engine is built from.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The engine's program, an absolute path: `podman`, `docker`, or what takes their arguments.
    pub program: PathBuf,
    /// The engine's whole environment.
    pub environment: Vec<(String, String)>,
    /// Tells this house's containers from others': letters and digits.
    pub house: String,
    /// Containers at once. More wait.
    pub concurrency: u32,
}

/// Runs containers. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<EngineConfig>,
    places: Arc<Semaphore>,
}

impl Engine {
    /// Sees that the engine answers.
    pub fn new(config: EngineConfig) -> Result<Self, SandboxError> {
        if !config.program.is_absolute() {
            return Err(SandboxError::Invalid(format!(
                "the engine `{}` is no absolute path",
                config.program.display()
            )));
        }
        let places = Arc::new(Semaphore::new(config.concurrency.max(1) as usize));
        let engine = Self { inner: Arc::new(config), places };
        engine.ask(&["info"])?;
        Ok(engine)
    }

    /// Ends and removes what a house that is gone has left. Only its holder may do that. Says how many there were.
    pub fn sweep(&self) -> Result<usize, SandboxError> {
        let label = format!("label={LABEL}={}", self.inner.house);
        let listed = self.ask(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label])?;
        let left: Vec<&str> = listed.split_whitespace().collect();
        for id in &left {
            self.ask(&["rm", "--force", id])?;
        }
        Ok(left.len())
    }

    /// What the engine knows an image as. An image that is not there is an error: nothing is pulled.
    pub async fn image(&self, image: &str) -> Result<String, SandboxError> {
        let (engine, image) = (self.clone(), image.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            engine.ask(&["image", "inspect", "--format", "{{.Id}}", &image]).map_err(|error| {
                SandboxError::Invalid(format!("the engine does not have the image `{image}`: {error}"))
            })
        });
        let id = asked.await.map_err(|error| SandboxError::System(error.to_string()))??;
        Ok(id.trim().to_owned())
    }

    /// Runs a container to its end, under this name. When it is `cancelled`, or the future is dropped, it is ended.
    /// `may_start` is asked at the last moment; then there is no result.
    pub async fn run_while(
        &self,
        name: &str,
        request: &ProcessRequest,
        limits: Limits,
        cancelled: impl Fn() -> bool + Send + 'static,
        may_start: impl Fn() -> bool + Send + 'static,
    ) -> Result<Option<ProcessResult>, SandboxError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| SandboxError::System("the engine is closed".to_owned()))?;
        let given_up = GivenUp::default();
        let flag = given_up.flag();
        let (engine, name, request) = (self.clone(), self.named(name)?, request.clone());
        let work = tokio::task::spawn_blocking(move || {
            let cancelled = || cancelled() || flag.load(Ordering::Acquire);
            let result = engine.run_if(&name, &request, limits, &cancelled, &may_start);
            drop(place);
            result
        });
        work.await.map_err(|error| SandboxError::System(error.to_string()))?
    }

    /// The container's whole name: letters, digits and dashes.
    fn named(&self, name: &str) -> Result<String, SandboxError> {
        let clean: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let whole = format!("omnihub-{}-{clean}", self.inner.house);
        match whole.len() {
            0..=NAME_BYTES_MAX => Ok(whole),
            _ => Err(SandboxError::Invalid(format!("the name `{whole}` is too long for a container"))),
        }
    }

    fn run_if(
        &self,
        name: &str,
        request: &ProcessRequest,
        limits: Limits,
        cancelled: &dyn Fn() -> bool,
        may_start: &dyn Fn() -> bool,
    ) -> Result<Option<ProcessResult>, SandboxError> {
        check(request)?;
        let mut command = self.command();
        command.args(arguments(name, &self.inner.house, request, limits)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !may_start() {
            return Ok(None);
        }
        let started = Instant::now();
        let system = |error: std::io::Error| SandboxError::System(format!("the engine failed: {error}"));
        let mut child = command.spawn().map_err(system)?;
        let stdin = request.stdin.clone().unwrap_or_default();
        let feeder = child.stdin.take().map(|pipe| feed(pipe, stdin));
        let stdout = child.stdout.take().map(|pipe| collect(pipe, limits.output_bytes));
        let stderr = child.stderr.take().map(|pipe| collect(pipe, limits.output_bytes));
        let wall = limits.wall.min(Duration::from_millis(request.timeout_ms));
        let (status, killed) = loop {
            match child.try_wait() {
                Ok(Some(status)) => break (status, None),
                Ok(None) => {}
                Err(error) => {
                    self.end(name)?;
                    return Err(system(error));
                }
            }
            let reason = match () {
                () if cancelled() => Some(Killed::Cancelled),
                () if started.elapsed() >= wall => Some(Killed::Timeout),
                () => None,
            };
            if reason.is_some() {
                // Who would start it goes first; an error means that it has ended by itself.
                let _ = child.kill();
                let status = child.wait().map_err(system)?;
                self.end(name)?;
                break (status, reason);
            }
            std::thread::sleep(LOOK_EVERY);
        };
        if let Some(feeder) = feeder {
            drop(feeder.join());
        }
        let (stdout, stdout_truncated) = collected(stdout)?;
        let (stderr, stderr_truncated) = collected(stderr)?;
        let code = code_of(status);
        if killed.is_none() && code == ENGINE_FAILED {
            // Whatever came of it is taken away before anybody tries again.
            self.end(name)?;
            let told: String = stderr.trim().chars().take(500).collect();
            return Err(SandboxError::System(format!("the engine did not run the container: {told}")));
        }
        Ok(Some(ProcessResult {
            code,
            stdout,
            stderr,
            stdout_truncated,
            stderr_truncated,
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            killed,
        }))
    }

    /// Ends a container and sees that it is gone.
    fn end(&self, name: &str) -> Result<(), SandboxError> {
        let filter = format!("name=^{name}$");
        let until = Instant::now() + GONE_WITHIN;
        let mut last = None;
        while Instant::now() < until {
            // An error most often means that there is none; what counts is whether one is seen.
            last = self.ask(&["rm", "--force", name]).err();
            let seen = self.ask(&["ps", "--all", "--quiet", "--filter", &filter]);
            if seen.is_ok_and(|seen| seen.trim().is_empty()) {
                return Ok(());
            }
        }
        let told = last.map_or_else(String::new, |error| format!(": {error}"));
        tracing::error!(container = name, "a container could not be ended");
        Err(SandboxError::System(format!("the container `{name}` could not be ended{told}")))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.inner.program);
        command.env_clear().envs(self.inner.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir("/");
        command
    }

    /// Asks the engine something and gives what it wrote.
    fn ask(&self, arguments: &[&str]) -> Result<String, SandboxError> {
        let failed = |why: String| {
            let engine = self.inner.program.display();
            SandboxError::System(format!("`{engine} {}` failed: {why}", arguments.first().unwrap_or(&"")))
        };
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let stdout = child.stdout.take().map(|pipe| collect(pipe, ANSWER_BYTES_MAX));
        let stderr = child.stderr.take().map(|pipe| collect(pipe, ANSWER_BYTES_MAX));
        let until = Instant::now() + ASKING;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| failed(error.to_string()))? {
                break status;
            }
            if Instant::now() >= until {
                // An error means that it has just ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("no answer within {} s", ASKING.as_secs())));
            }
            std::thread::sleep(LOOK_EVERY);
        };
        let (stdout, _) = collected(stdout)?;
        let (stderr, _) = collected(stderr)?;
        match status.success() {
            true => Ok(stdout),
            false => Err(failed(stderr.trim().chars().take(300).collect())),
        }
    }
}

/// The engine's arguments for one run. Everything after the image is the container's own.
fn arguments(
    name: &str,
    house: &str,
    request: &ProcessRequest,
    limits: Limits,
) -> Result<Vec<String>, SandboxError> {
    let Program::Container { image, command } = &request.program else {
        return Err(SandboxError::Invalid("it is no container".to_owned()));
    };
    let memory = limits.memory_bytes;
    let mut words: Vec<String> = [
        "run",
        "--rm",
        "--interactive",
        "--pull=never",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--log-driver=none",
    ]
    .map(str::to_owned)
    .to_vec();
    words.extend([
        format!("--name={name}"),
        format!("--label={LABEL}={house}"),
        format!("--user={USER}"),
        format!("--tmpfs={SCRATCH}"),
        format!("--cpus={CPUS}"),
        // No swap beside the memory.
        format!("--memory={memory}b"),
        format!("--memory-swap={memory}b"),
        format!("--pids-limit={}", limits.processes),
        format!("--ulimit=nofile={0}:{0}", limits.files),
        "--ulimit=core=0:0".to_owned(),
    ]);
    words.extend(request.environment.iter().map(|(name, value)| format!("--env={name}={value}")));
    if let Some(command) = command {
        // The `sh` after the command is its own name, `$0`; the caller's arguments follow as `$1`.
        let own = ["-c", command, "sh"].map(str::to_owned);
        words.extend(["--entrypoint=/bin/sh".to_owned(), image.clone()]);
        words.extend(own);
    } else {
        words.push(image.clone());
    }
    words.extend(request.arguments.iter().cloned());
    Ok(words)
}

#[cfg(test)]
mod tests {
    use model::effect::ProcessOutput;

    use super::*;

    fn request(command: Option<&str>) -> ProcessRequest {
        ProcessRequest {
            program: Program::Container {
                image: "a@sha256:0".to_owned(),
                command: command.map(str::to_owned),
            },
            arguments: vec!["--privileged".to_owned(), "x y".to_owned()],
            stdin: None,
            environment: vec![("A".to_owned(), "b c".to_owned())],
            output: ProcessOutput::All,
            timeout_ms: 1000,
        }
    }

    #[test]
    fn a_container_gets_nothing_but_what_it_is_given() {
        let limits = Limits { memory_bytes: 1 << 20, processes: 7, files: 9, ..Limits::default() };
        let words = arguments("n", "h", &request(None), limits).expect("a container");
        let at = words.iter().position(|word| word == "a@sha256:0").expect("the image");
        assert_eq!(
            words[at + 1..],
            ["--privileged", "x y"],
            "arguments are the container's, never the engine's"
        );
        let given: Vec<&str> = words[..at].iter().map(String::as_str).collect();
        let expected = [
            "run",
            "--rm",
            "--interactive",
            "--pull=never",
            "--network=none",
            "--read-only",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--log-driver=none",
            "--name=n",
            "--label=io.omnihub.house=h",
            "--user=65534:65534",
            "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=64m",
            "--cpus=1",
            "--memory=1048576b",
            "--memory-swap=1048576b",
            "--pids-limit=7",
            "--ulimit=nofile=9:9",
            "--ulimit=core=0:0",
            "--env=A=b c",
        ];
        assert_eq!(given, expected);
        let words = arguments("n", "h", &request(Some("echo $1")), limits).expect("a container");
        let at = words.iter().position(|word| word == "a@sha256:0").expect("the image");
        assert_eq!(words[at - 1], "--entrypoint=/bin/sh");
        assert_eq!(words[at + 1..], ["-c", "echo $1", "sh", "--privileged", "x y"]);
    }

    #[test]
    fn names_hold_nothing_that_an_engine_could_misread() {
        let config = EngineConfig {
            program: PathBuf::from("/bin/true"),
            environment: Vec::new(),
            house: "h".to_owned(),
            concurrency: 1,
        };
        let engine = Engine::new(config.clone()).expect("it answers");
        assert_eq!(engine.named("shop/1 --x").expect("a name"), "omnihub-h-shop-1---x");
        assert!(engine.named(&"x".repeat(300)).is_err());
        for program in ["docker", "/bin/false", "/no/such/engine"] {
            assert!(
                Engine::new(EngineConfig { program: program.into(), ..config.clone() }).is_err(),
                "{program}"
            );
        }
    }
}
