//! The sandbox itself: one program in, what it wrote and how it ended out.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::effect::{ProcessOutput, ProcessRequest, Program};
use tokio::sync::{Semaphore, watch};

use crate::capability::{Capabilities, Control};
use crate::confine::Confinement;
use crate::filter::{self, Surroundings};
use crate::spawn::Running;
use crate::workspace::{self, Workspace};
use crate::{interpreter, ruleset, watch as usage};

/// First of the user ids that belong to sandboxed programs of processes run by root.
const USERS_FROM: u32 = 1_000_000_000;
/// User ids for each server process, and the most programs at once.
const SLOTS_MAX: u32 = 64;
/// Most bytes of arguments, environment and script together.
const GIVEN_BYTES_MAX: usize = 1024 * 1024;
/// How often a running program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Looks between two countings of the directory.
const LOOKS_PER_COUNTING: u32 = 20;

/// What a sandbox is built from.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where fresh directories are made. As root it must be passable for every user.
    pub base: PathBuf,
    /// Controls that this machine lacks and that are given up knowingly.
    pub given_up: BTreeSet<Control>,
    /// Programs at once; 1 to 64. More wait.
    pub concurrency: u32,
    /// What tool servers may be and read: absolute paths of programs, and of directories with everything in them.
    pub tools: Vec<PathBuf>,
}

/// Limits of one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Time on the wall; the request's own limit applies when it is shorter.
    pub wall: Duration,
    /// Processor time of each process, in seconds.
    pub processor_s: u64,
    /// Memory of all processes together, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Open files of each process.
    pub files: u64,
    /// Everything in the directory together, and the largest file, in bytes.
    pub disk_bytes: u64,
    /// Kept of standard output, and of standard error, in bytes; the rest is read and thrown away.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(300),
            processor_s: 300,
            memory_bytes: 512 * 1024 * 1024,
            processes: 64,
            files: 256,
            disk_bytes: 256 * 1024 * 1024,
            output_bytes: 1024 * 1024,
        }
    }
}

/// How a program ended. Nothing that it started is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessResult {
    /// Exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
    /// True when standard output was longer than the limit.
    pub stdout_truncated: bool,
    /// True when standard error was longer than the limit.
    pub stderr_truncated: bool,
    /// From start to the end of the last process.
    pub duration_ms: u64,
    /// Why it was ended, when it did not end by itself.
    pub killed: Option<Killed>,
}

/// Why a program was ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Killed {
    /// Its time was over.
    Timeout,
    /// The caller no longer wants it.
    Cancelled,
    /// Its processes used too much memory together.
    Memory,
    /// Its directory held too much.
    Disk,
}

/// A program was not run, or its end could not be made certain.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Controls that are required cannot be held on this machine.
    #[error(
        "sandbox controls are not in force here: {0}; run on a machine that has them, or give them up expressly"
    )]
    NotInForce(String),
    /// The configuration does not work.
    #[error("the sandbox does not work in `{base}`: {reason}")]
    Unusable {
        /// Where fresh directories should be made.
        base: String,
        /// What failed.
        reason: String,
    },
    /// No interpreter for the language.
    #[error("there is no interpreter for `{0}` on this machine")]
    Language(String),
    /// The request cannot be run as it is.
    #[error("the program cannot be run: {0}")]
    Invalid(String),
    /// The system failed; the program did not run, or what it started may still be ending.
    #[error("the program could not be run: {0}")]
    System(String),
}

/// Runs programs. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: SandboxConfig,
    capabilities: Capabilities,
    places: Arc<Semaphore>,
    free_slots: std::sync::Mutex<Vec<u32>>,
}

impl Sandbox {
    /// Says what this machine can hold a program to.
    pub fn probe() -> Capabilities {
        Capabilities::probe()
    }

    /// Builds a sandbox, or says which control is missing. Removes what dead processes left in the base, and runs a
    /// short program to see that everything works.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let capabilities = Capabilities::probe();
        let lacking = capabilities.lacking(&config.given_up);
        if !lacking.is_empty() {
            let listed: Vec<String> =
                lacking.iter().map(|(control, reason)| format!("`{}` ({reason})", control.name())).collect();
            return Err(SandboxError::NotInForce(listed.join(", ")));
        }
        workspace::sweep_left(&config.base).map_err(|error| SandboxError::Unusable {
            base: config.base.display().to_string(),
            reason: error.to_string(),
        })?;
        let slots = config.concurrency.clamp(1, SLOTS_MAX);
        let sandbox = Self {
            inner: Arc::new(Inner {
                places: Arc::new(Semaphore::new(slots as usize)),
                free_slots: std::sync::Mutex::new((0..slots).rev().collect()),
                capabilities,
                config,
            }),
        };
        sandbox.try_out()?;
        Ok(sandbox)
    }

    /// What this sandbox holds programs to.
    pub fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    /// Runs a program to its end. When `cancel` turns true, or the future is dropped, everything is ended.
    pub async fn run(
        &self,
        request: &ProcessRequest,
        limits: Limits,
        cancel: watch::Receiver<bool>,
    ) -> Result<ProcessResult, SandboxError> {
        let run = self.run_while(request, limits, move || *cancel.borrow(), || true).await?;
        run.ok_or_else(|| SandboxError::System("it was not to be started".to_owned()))
    }

    /// As [`Sandbox::run`]. `may_start` is asked when everything is ready and the next thing is to start: waiting for
    /// a place takes long, in which the right to start may be withdrawn; then there is no result. `cancelled` is
    /// asked every few milliseconds while the program runs.
    pub async fn run_while(
        &self,
        request: &ProcessRequest,
        limits: Limits,
        cancelled: impl Fn() -> bool + Send + 'static,
        may_start: impl Fn() -> bool + Send + 'static,
    ) -> Result<Option<ProcessResult>, SandboxError> {
        let request = request.clone();
        self.in_a_place(cancelled, move |inner, cancelled| {
            inner.run_if(&request, limits, cancelled, &may_start)
        })
        .await
    }

    /// Works in a place of its own, once one is free. When the future is dropped, it is cancelled.
    pub(crate) async fn in_a_place<T: Send + 'static>(
        &self,
        cancelled: impl Fn() -> bool + Send + 'static,
        work: impl FnOnce(&Inner, &dyn Fn() -> bool) -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, SandboxError> {
        let place = Arc::clone(&self.inner.places).acquire_owned().await;
        let place = place.map_err(|_| SandboxError::System("the sandbox is closed".to_owned()))?;
        let given_up = GivenUp::default();
        let flag = given_up.flag();
        let inner = Arc::clone(&self.inner);
        // A thread of its own for the whole run: programs die with the thread that started them.
        let work = tokio::task::spawn_blocking(move || {
            let cancelled = || cancelled() || flag.load(Ordering::Acquire);
            let result = work(&inner, &cancelled);
            drop(place);
            result
        });
        work.await.map_err(|error| SandboxError::System(error.to_string()))?
    }

    /// Runs a program that uses what programs need and tries what they must not.
    fn try_out(&self) -> Result<(), SandboxError> {
        let unusable = |reason: String| SandboxError::Unusable {
            base: self.inner.config.base.display().to_string(),
            reason,
        };
        let command =
            "echo x > \"$HOME/x\" && cat \"$HOME/x\" || exit 11; cat /etc/passwd > x 2>&1 && exit 12; exit 0";
        let request = ProcessRequest {
            program: Program::Shell { command: command.to_owned() },
            arguments: Vec::new(),
            stdin: None,
            environment: Vec::new(),
            output: ProcessOutput::All,
            timeout_ms: 10_000,
        };
        let result = self.inner.run(&request, Limits::default(), &|| false)?;
        match result.code {
            0 if result.stdout == "x\n" => Ok(()),
            11 => Err(unusable(
                "a program cannot use its own directory; is the base passable for every user?".to_owned(),
            )),
            12 if !self.inner.capabilities.holds(Control::Files) => Ok(()),
            12 => Err(SandboxError::NotInForce(
                "`files` (a program read a file outside its directory)".to_owned(),
            )),
            code => Err(unusable(format!("a trial program ended with {code}: {}", result.stderr))),
        }
    }
}

/// Tells the run that nobody waits for it any more.
#[derive(Default)]
pub(crate) struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    /// True once nobody waits.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Makes a command for a fresh directory and the user that owns it.
pub(crate) type Make<'a> = dyn Fn(&Workspace, Option<u32>) -> Result<Command, SandboxError> + 'a;

/// A started program with what it holds. Let go of from the last to the first.
pub(crate) struct Begun<'a> {
    pub(crate) slot: Slot<'a>,
    pub(crate) workspace: Workspace,
    pub(crate) running: Running,
    pub(crate) started: Instant,
}

/// A user id of one's own for the time of one run.
pub(crate) struct Slot<'a> {
    inner: &'a Inner,
    number: u32,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.inner.slots().push(self.number);
    }
}

impl Inner {
    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.free_slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn run(
        &self,
        request: &ProcessRequest,
        limits: Limits,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<ProcessResult, SandboxError> {
        let run = self.run_if(request, limits, cancelled, &|| true)?;
        run.ok_or_else(|| SandboxError::System("it was not to be started".to_owned()))
    }

    fn run_if(
        &self,
        request: &ProcessRequest,
        limits: Limits,
        cancelled: &dyn Fn() -> bool,
        may_start: &dyn Fn() -> bool,
    ) -> Result<Option<ProcessResult>, SandboxError> {
        check(request)?;
        let make = |workspace: &Workspace, user| self.command(request, workspace, user);
        let Some(begun) = self.begin(&make, &[], limits, may_start)? else { return Ok(None) };
        let Begun { slot: _slot, workspace, running, started } = begun;
        let wall = limits.wall.min(Duration::from_millis(request.timeout_ms));
        attend(running, request.stdin.as_deref(), &workspace, limits, started, wall, cancelled).map(Some)
    }

    /// Starts what `make` makes in a fresh directory, with `readable` beside the system's programs.
    pub(crate) fn begin(
        &self,
        make: &Make<'_>,
        readable: &[PathBuf],
        limits: Limits,
        may_start: &dyn Fn() -> bool,
    ) -> Result<Option<Begun<'_>>, SandboxError> {
        let number = self.slots().pop().ok_or_else(|| SandboxError::System("no place is free".to_owned()))?;
        let slot = Slot { inner: self, number };
        let user = self.capabilities.own_user.then(|| {
            // Other servers on this machine use other ids.
            USERS_FROM + (std::process::id() % 1_000_000) * SLOTS_MAX + slot.number
        });
        let workspace = Workspace::create(&self.config.base, user).map_err(|error| {
            SandboxError::Unusable { base: self.config.base.display().to_string(), reason: error.to_string() }
        })?;
        let mut command = make(&workspace, user)?;
        command.current_dir(workspace.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let confinement = self.confinement(&workspace, readable, user, limits)?;
        let own_tree = self.capabilities.isolation().own_tree;
        if !may_start() {
            return Ok(None);
        }
        let started = Instant::now();
        let running = Running::start(command, confinement, own_tree)
            .map_err(|error| SandboxError::System(format!("it cannot be started: {error}")))?;
        Ok(Some(Begun { slot, workspace, running, started }))
    }

    fn command(
        &self,
        request: &ProcessRequest,
        workspace: &Workspace,
        user: Option<u32>,
    ) -> Result<Command, SandboxError> {
        let found = interpreter::command(&request.program, &self.capabilities.interpreters)
            .map_err(SandboxError::Language)?;
        if let Some(script) = &found.script {
            workspace
                .put(interpreter::SCRIPT, script, user)
                .map_err(|error| SandboxError::System(format!("the script cannot be written: {error}")))?;
        }
        let mut command = Command::new(found.path);
        command.args(found.arguments).args(&request.arguments);
        surround(&mut command, workspace);
        command.envs(request.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    fn confinement(
        &self,
        workspace: &Workspace,
        readable: &[PathBuf],
        user: Option<u32>,
        limits: Limits,
    ) -> Result<Confinement, SandboxError> {
        let isolation = self.capabilities.isolation();
        let system = |reason: String| SandboxError::System(format!("it cannot be confined: {reason}"));
        let ruleset = match self.capabilities.holds(Control::Files) {
            true => Some(ruleset::build(workspace.path(), readable).map_err(system)?),
            false => None,
        };
        let surroundings =
            Surroundings { own_tree: isolation.own_tree, own_user: self.capabilities.own_user };
        let filters = match self.capabilities.holds(Control::SystemCalls) {
            true => filter::build(surroundings).map_err(system)?,
            false => Vec::new(),
        };
        let mut rlimits = vec![
            (libc::RLIMIT_CPU, limits.processor_s),
            (libc::RLIMIT_DATA, limits.memory_bytes),
            (libc::RLIMIT_FSIZE, limits.disk_bytes),
            (libc::RLIMIT_NOFILE, limits.files),
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_MEMLOCK, 0),
            (libc::RLIMIT_MSGQUEUE, 0),
        ];
        if self.capabilities.holds(Control::ProcessCount) {
            rlimits.push((libc::RLIMIT_NPROC, limits.processes));
        }
        Ok(Confinement {
            namespaces: isolation.namespaces,
            tell: None,
            user,
            limits: rlimits,
            ruleset,
            filters,
        })
    }
}

/// The environment that every program gets.
pub(crate) fn surround(command: &mut Command, workspace: &Workspace) {
    command.env_clear().env("PATH", interpreter::PLACES.join(":"));
    command.env("HOME", workspace.path()).env("TMPDIR", workspace.path());
}

/// Refuses what the system would misread.
pub(crate) fn check(request: &ProcessRequest) -> Result<(), SandboxError> {
    let (code, is_argument) = match &request.program {
        Program::Shell { command } => (command.as_str(), true),
        Program::Script { code, .. } => (code.as_str(), false),
        Program::Container { command, .. } => (command.as_deref().unwrap_or_default(), true),
    };
    let variables = request.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    check_given(code.len(), request.arguments.iter().map(String::as_str), variables)?;
    if is_argument && code.contains('\0') {
        return Err(SandboxError::Invalid("the command holds a zero byte".to_owned()));
    }
    Ok(())
}

/// Refuses arguments and variables that the system would misread; `code_bytes` come with them.
pub(crate) fn check_given<'a>(
    code_bytes: usize,
    arguments: impl Iterator<Item = &'a str>,
    variables: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), SandboxError> {
    let mut given = code_bytes;
    let mut zero = false;
    for argument in arguments {
        given += argument.len();
        zero |= argument.contains('\0');
    }
    for (name, value) in variables {
        given += name.len() + value.len();
        zero |= name.contains('\0') || value.contains('\0');
        if name.is_empty() || name.contains('=') {
            return Err(SandboxError::Invalid(format!("`{name}` cannot name an environment variable")));
        }
    }
    match () {
        () if given > GIVEN_BYTES_MAX => {
            Err(SandboxError::Invalid("arguments, environment and script are larger than 1 MiB".to_owned()))
        }
        () if zero => Err(SandboxError::Invalid("an argument or variable holds a zero byte".to_owned())),
        () => Ok(()),
    }
}

/// Feeds and watches a running program until it and everything it started has ended.
fn attend(
    mut running: Running,
    stdin: Option<&str>,
    workspace: &Workspace,
    limits: Limits,
    started: Instant,
    wall: Duration,
    cancelled: &dyn Fn() -> bool,
) -> Result<ProcessResult, SandboxError> {
    let feeder = running.child.stdin.take().map(|pipe| feed(pipe, stdin.unwrap_or_default().to_owned()));
    let stdout = running.child.stdout.take().map(|pipe| collect(pipe, limits.output_bytes));
    let stderr = running.child.stderr.take().map(|pipe| collect(pipe, limits.output_bytes));
    let (status, killed) = watch_over(&mut running, workspace, limits, started, wall, cancelled, &|| false)?;
    if let Some(feeder) = feeder {
        // The pipe has no reader any more, so the feeder has ended or is about to.
        drop(feeder.join());
    }
    let (stdout, stdout_truncated) = collected(stdout)?;
    let (stderr, stderr_truncated) = collected(stderr)?;
    Ok(ProcessResult {
        code: code_of(status),
        stdout,
        stderr,
        stdout_truncated,
        stderr_truncated,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        killed,
    })
}

/// Waits until a program ends by itself, must be ended, or is `over`, which is no reason to be told.
pub(crate) fn watch_over(
    running: &mut Running,
    workspace: &Workspace,
    limits: Limits,
    started: Instant,
    wall: Duration,
    cancelled: &dyn Fn() -> bool,
    over: &dyn Fn() -> bool,
) -> Result<(std::process::ExitStatus, Option<Killed>), SandboxError> {
    let system = |error: std::io::Error| SandboxError::System(error.to_string());
    let mut looks = 0u32;
    let ended = loop {
        if let Some(status) = running.child.try_wait().map_err(system)? {
            break (status, None);
        }
        looks = looks.wrapping_add(1);
        let reason = match () {
            () if cancelled() => Some(Killed::Cancelled),
            () if started.elapsed() >= wall => Some(Killed::Timeout),
            () if usage::memory_below(running.root()) > limits.memory_bytes => Some(Killed::Memory),
            () if looks.is_multiple_of(LOOKS_PER_COUNTING)
                && usage::overfull(workspace.path(), limits.disk_bytes) =>
            {
                Some(Killed::Disk)
            }
            () => None,
        };
        if reason.is_some() || over() {
            break (running.end().map_err(system)?, reason);
        }
        std::thread::sleep(LOOK_EVERY);
    };
    if !running.in_own_tree() {
        running.end_group();
    }
    Ok(ended)
}

pub(crate) fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

pub(crate) fn feed(mut pipe: std::process::ChildStdin, text: String) -> JoinHandle<()> {
    std::thread::spawn(move || {
        // A program need not read its input; then the pipe breaks, which is no error.
        drop(pipe.write_all(text.as_bytes()));
    })
}

type Collected = (Vec<u8>, bool);

/// Reads to the end, keeps the first `bytes_max` bytes and says whether there were more.
pub(crate) fn collect(
    mut pipe: impl Read + Send + 'static,
    bytes_max: usize,
) -> JoinHandle<std::io::Result<Collected>> {
    std::thread::spawn(move || {
        let (mut kept, mut more) = (Vec::new(), false);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = match pipe.read(&mut buffer) {
                Ok(0) => return Ok((kept, more)),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let room = bytes_max.saturating_sub(kept.len()).min(read);
            kept.extend_from_slice(&buffer[..room]);
            more |= room < read;
        }
    })
}

pub(crate) fn collected(
    collecting: Option<JoinHandle<std::io::Result<Collected>>>,
) -> Result<(String, bool), SandboxError> {
    let Some(collecting) = collecting else { return Ok((String::new(), false)) };
    let (bytes, more) = collecting
        .join()
        .map_err(|_| SandboxError::System("the output could not be collected".to_owned()))?
        .map_err(|error| SandboxError::System(format!("the output could not be read: {error}")))?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(controls: &[Control], base: &std::path::Path) -> Inner {
        let mut capabilities = Capabilities::probe();
        capabilities.missing.extend(controls.iter().map(|control| (*control, "not here".to_owned())));
        Inner {
            config: SandboxConfig {
                base: base.to_owned(),
                given_up: controls.iter().copied().collect(),
                concurrency: 1,
                tools: Vec::new(),
            },
            capabilities,
            places: Arc::new(Semaphore::new(1)),
            free_slots: std::sync::Mutex::new(vec![0]),
        }
    }

    fn shell(command: &str) -> ProcessRequest {
        ProcessRequest {
            program: Program::Shell { command: command.to_owned() },
            arguments: Vec::new(),
            stdin: None,
            environment: Vec::new(),
            output: ProcessOutput::All,
            timeout_ms: 300,
        }
    }

    /// Without namespaces nobody leaves the process group, and so its end is everybody's.
    #[test]
    fn the_process_group_holds_the_tree_where_there_is_no_namespace() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o711)).expect("a mode");
        let inner = without(&[Control::ProcessTree, Control::Network], base.path());
        let marker = format!("6666.{}", std::process::id());
        for (command, killed) in [
            (format!("setsid sleep {marker} & sleep {marker} & sleep {marker}"), Some(Killed::Timeout)),
            (format!("sleep {marker} >/dev/null 2>&1 & setsid sleep {marker}; exit 0"), None),
        ] {
            let result = inner.run(&shell(&command), Limits::default(), &|| false).expect("it runs");
            assert_eq!(result.killed, killed, "{result:?}");
            assert!(result.stderr.contains("setsid"), "{result:?}");
            // What was killed may be seen for a moment, until its parent in the machine takes note of it.
            let until = Instant::now() + Duration::from_secs(5);
            while alive(&marker) {
                assert!(Instant::now() < until, "`{command}` left something behind");
                std::thread::yield_now();
            }
        }
        let outside = inner.run(&shell("kill -0 $PPID"), Limits::default(), &|| false).expect("it runs");
        assert_ne!(outside.code, 0);
    }

    fn alive(marker: &str) -> bool {
        let processes = std::fs::read_dir("/proc").expect("a process list");
        processes.flatten().any(|entry| {
            let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).split('\0').any(|argument| argument == marker)
        })
    }
}
