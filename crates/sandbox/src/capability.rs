//! What this machine can hold a program to, found out by trying.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::spawn::Isolation;
use crate::{filter, interpreter, ruleset, spawn};

/// One way in which a program is held.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Control {
    /// Landlock: only the system's programs are readable, only the fresh directory is writable.
    Files,
    /// Seccomp: no sockets, no tracing, no mounts, no new namespaces, no asynchronous back doors.
    SystemCalls,
    /// PID namespace: everything that was started ends with the program.
    ProcessTree,
    /// A user id or user namespace of its own, so that its processes are counted apart.
    ProcessCount,
    /// Network namespace without an interface, beside the refused sockets.
    Network,
}

impl Control {
    /// All of them.
    pub const ALL: [Control; 5] =
        [Control::Files, Control::SystemCalls, Control::ProcessTree, Control::ProcessCount, Control::Network];

    /// The name in configuration and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::SystemCalls => "system-calls",
            Self::ProcessTree => "process-tree",
            Self::ProcessCount => "process-count",
            Self::Network => "network",
        }
    }
}

/// What was found on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Version of the kernel's Landlock interface; 0 when there is none.
    pub landlock_abi: u32,
    /// Controls that cannot be held here, and why.
    pub missing: BTreeMap<Control, String>,
    /// Interpreters by language (`shell`, `javascript`, `python`) and where they are.
    pub interpreters: BTreeMap<&'static str, PathBuf>,
    /// True when programs get a user id of their own (this process is root).
    pub own_user: bool,
    /// True when programs get a user namespace of their own.
    pub user_namespace: bool,
}

impl Capabilities {
    /// Finds out by trying. Starts a few very short processes.
    pub fn probe() -> Self {
        let landlock_abi = ruleset::abi();
        let mut missing = BTreeMap::new();
        if landlock_abi < ruleset::ABI_NEEDED {
            let reason = format!("landlock has version {landlock_abi}, {} is needed", ruleset::ABI_NEEDED);
            missing.insert(Control::Files, reason);
        }
        if let Err(reason) = filter::supported() {
            missing.insert(Control::SystemCalls, reason);
        }
        let own_user = rustix::process::geteuid().is_root() && spawn::can_change_user();
        let user_namespace = !own_user && spawn::can_unshare(libc::CLONE_NEWUSER).is_ok();
        let with_user = if user_namespace { libc::CLONE_NEWUSER } else { 0 };
        if let Err(error) = spawn::can_unshare(with_user | libc::CLONE_NEWPID) {
            missing.insert(Control::ProcessTree, format!("no PID namespace: {error}"));
        }
        if let Err(error) = spawn::can_unshare(with_user | libc::CLONE_NEWNET | libc::CLONE_NEWIPC) {
            missing.insert(Control::Network, format!("no network namespace: {error}"));
        }
        if !own_user && !user_namespace {
            let reason = "neither root nor allowed to make a user namespace".to_owned();
            missing.insert(Control::ProcessCount, reason);
        }
        Self { landlock_abi, missing, interpreters: interpreter::find_all(), own_user, user_namespace }
    }

    /// The controls that are missing here and were not given up.
    pub fn lacking(&self, given_up: &BTreeSet<Control>) -> Vec<(Control, String)> {
        self.missing
            .iter()
            .filter(|(control, _)| !given_up.contains(control))
            .map(|(control, reason)| (*control, reason.clone()))
            .collect()
    }

    pub(crate) fn holds(&self, control: Control) -> bool {
        !self.missing.contains_key(&control)
    }

    /// The namespaces that a program gets here.
    pub(crate) fn isolation(&self) -> Isolation {
        let mut flags = 0;
        if self.user_namespace {
            flags |= libc::CLONE_NEWUSER;
        }
        if self.holds(Control::ProcessTree) {
            flags |= libc::CLONE_NEWPID;
        }
        if self.holds(Control::Network) {
            flags |= libc::CLONE_NEWNET | libc::CLONE_NEWIPC;
        }
        Isolation { namespaces: flags, own_tree: self.holds(Control::ProcessTree) }
    }
}
