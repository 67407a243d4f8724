//! Starts a confined program and ends it with everything it started.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use seccompiler::BpfProgram;

use crate::confine::{Confinement, confine};

pub(crate) use crate::confine::landlock_version;

/// A user id that nobody has, for trying.
const NOBODY_ELSE: u32 = 1_000_000_000;
/// How long an ended tree may take to be gone. Killed processes only linger in the kernel.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The namespaces of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Isolation {
    pub(crate) namespaces: i32,
    pub(crate) own_tree: bool,
}

/// A started program with its tree.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// The first process of the namespace, unless it had ended at once.
    first: Option<OwnedFd>,
    /// True when a namespace holds the tree, and not the process group.
    own_tree: bool,
}

impl Running {
    /// Starts `command`, whose streams are set, inside `confinement`.
    pub(crate) fn start(
        mut command: Command,
        mut confinement: Confinement,
        own_tree: bool,
    ) -> io::Result<Self> {
        let mut told = None;
        if own_tree {
            let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            confinement.tell = Some(writer);
            told = Some(reader);
        }
        confine(&mut command, confinement);
        let child = command.spawn()?;
        // Lets go of this side's end of the pipe, so that a keeper that died is seen as its end.
        drop(command);
        let mut running = Self { child, first: None, own_tree };
        if let Some(reader) = told {
            running.first = match first_process(reader) {
                Ok(first) => first,
                Err(error) => {
                    running.end_group();
                    return Err(error);
                }
            };
        }
        Ok(running)
    }

    /// The process whose descendants are the tree.
    pub(crate) fn root(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// Ends the program and everything it started, and waits until all are gone.
    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(first) = &self.first {
            // An error means that it has ended already, and its tree with it.
            let _ = pidfd_send_signal(first, Signal::KILL);
        } else if !self.own_tree {
            self.end_group();
        }
        let started = Instant::now();
        while started.elapsed() < GONE_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.end_group();
        Err(io::Error::new(io::ErrorKind::TimedOut, "killed processes did not go away"))
    }

    /// Kills the process group; the filter keeps everything in it when there is no namespace.
    pub(crate) fn end_group(&self) {
        if let Some(group) = Pid::from_raw(self.root()) {
            // An error means that nobody is left in it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    pub(crate) fn in_own_tree(&self) -> bool {
        self.own_tree
    }
}

/// Takes hold of the first process by descriptor, so that its number can never mean another.
fn first_process(reader: OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut bytes = [0; 4];
    File::from(reader).read_exact(&mut bytes)?;
    let number = Pid::from_raw(i32::from_ne_bytes(bytes)).ok_or(io::ErrorKind::InvalidData)?;
    match pidfd_open(number, PidfdFlags::empty()) {
        Ok(first) => Ok(Some(first)),
        // It has ended already; the keeper's end will say how.
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Tries whether these namespaces can be made.
pub(crate) fn can_unshare(namespaces: i32) -> io::Result<()> {
    attempt(Confinement { namespaces, ..nothing() })
}

/// Tries whether the user can be changed.
pub(crate) fn can_change_user() -> bool {
    attempt(Confinement { user: Some(NOBODY_ELSE), ..nothing() }).is_ok()
}

/// Tries whether filters can be installed.
pub(crate) fn can_filter(filters: Vec<BpfProgram>) -> io::Result<()> {
    attempt(Confinement { filters, ..nothing() })
}

fn nothing() -> Confinement {
    Confinement {
        namespaces: 0,
        tell: None,
        user: None,
        limits: Vec::new(),
        ruleset: None,
        filters: Vec::new(),
    }
}

fn attempt(confinement: Confinement) -> io::Result<()> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exit 0"]).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    confine(&mut command, confinement);
    match command.status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("a trial program failed")),
    }
}
