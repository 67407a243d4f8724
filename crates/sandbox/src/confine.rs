//! The system calls between fork and exec. Everything here is prepared before the fork: no allocation, no lock,
//! nothing that is not safe in a signal handler.
#![expect(
    unsafe_code,
    reason = "entering a sandbox is done by system calls that have no safe form between fork and exec"
)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::sock_filter;

/// What a program is put into, ready made.
pub(crate) struct Confinement {
    /// `CLONE_NEW…` flags.
    pub(crate) namespaces: i32,
    /// Where the process number of the program is written; present when it gets a PID namespace.
    pub(crate) tell: Option<OwnedFd>,
    /// User and group id of its own.
    pub(crate) user: Option<u32>,
    /// Resource limits, as `RLIMIT_…` and a value for both soft and hard.
    pub(crate) limits: Vec<(Resource, u64)>,
    /// Landlock.
    pub(crate) ruleset: Option<OwnedFd>,
    /// Seccomp, in order.
    pub(crate) filters: Vec<Vec<sock_filter>>,
}

#[cfg(target_env = "gnu")]
pub(crate) type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
pub(crate) type Resource = libc::c_int;

/// Makes `command` enter the confinement before it becomes the program.
pub(crate) fn confine(command: &mut Command, confinement: Confinement) {
    // SAFETY: `enter` only makes system calls and touches memory that was made before the fork.
    unsafe { command.pre_exec(move || enter(&confinement)) };
}

/// Version of the kernel's Landlock; 0 when there is none.
pub(crate) fn landlock_version() -> u32 {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with a null attribute and size 0 the call only answers the version.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0usize, VERSION)
    };
    u32::try_from(version).unwrap_or(0)
}

fn enter(confinement: &Confinement) -> io::Result<()> {
    // SAFETY: no arguments; it fails only for a group leader, which a fresh process is not.
    check(unsafe { libc::setsid() })?;
    if confinement.namespaces != 0 {
        // SAFETY: flags only.
        check(unsafe { libc::unshare(confinement.namespaces) })?;
    }
    if let Some(tell) = &confinement.tell {
        split(tell.as_raw_fd())?;
    }
    for (resource, value) in &confinement.limits {
        let limit = libc::rlimit { rlim_cur: *value, rlim_max: *value };
        // SAFETY: the pointer is to a live local.
        check(unsafe { libc::setrlimit(*resource, &raw const limit) })?;
    }
    if let Some(user) = confinement.user {
        become_user(user)?;
    }
    // After the change of user, which would clear it.
    die_with_parent()?;
    forbid_new_privileges()?;
    if let Some(ruleset) = &confinement.ruleset {
        // SAFETY: a ruleset descriptor and no flags.
        check_long(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0u32) })?;
    }
    // Nothing but the three standard streams survives the exec.
    close_from(3, libc::CLOSE_RANGE_CLOEXEC)?;
    for filter in &confinement.filters {
        install(filter)?;
    }
    Ok(())
}

/// Forks: the child goes on as process 1 of the new namespace; the parent stays as its keeper and ends with it.
fn split(tell: RawFd) -> io::Result<()> {
    // SAFETY: a plain fork without a new stack; this process has one thread.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    match i32::try_from(check_long(child)?) {
        Ok(0) => Ok(()),
        Ok(child) => keep(child, tell),
        Err(_) => Err(io::Error::from_raw_os_error(libc::EOVERFLOW)),
    }
}

/// The keeper: says who the program is, lets go of every descriptor, waits, and ends as the program ended.
fn keep(child: i32, tell: RawFd) -> ! {
    let told = die_with_parent().is_ok() && write_number(tell, child) && close_from(0, 0).is_ok();
    if !told {
        // SAFETY: the child is ours and was not waited for.
        unsafe { libc::kill(child, libc::SIGKILL) };
    }
    let mut status = 0;
    loop {
        // SAFETY: the pointer is to a live local.
        let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
        if ended == child || (ended < 0 && io::Error::last_os_error().raw_os_error() != Some(libc::EINTR)) {
            break;
        }
    }
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    // SAFETY: ends the process without running anything of the parent's.
    unsafe { libc::_exit(code) }
}

fn write_number(to: RawFd, number: i32) -> bool {
    let bytes = number.to_ne_bytes();
    // SAFETY: the pointer and length are of a live local; four bytes to a pipe are written whole or not at all.
    let written = unsafe { libc::write(to, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written) == Ok(bytes.len())
}

fn die_with_parent() -> io::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })
}

fn forbid_new_privileges() -> io::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

fn become_user(user: u32) -> io::Result<()> {
    // SAFETY: an empty list.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::setresgid(user, user, user) })?;
    // SAFETY: numbers only.
    check(unsafe { libc::setresuid(user, user, user) })
}

fn close_from(first: u32, flags: u32) -> io::Result<()> {
    // SAFETY: closes or marks descriptors of this process, which owns none that it uses afterwards.
    check_long(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) }).map(drop)
}

fn install(filter: &[sock_filter]) -> io::Result<()> {
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // `sock_filter` of the two crates is the kernel's own layout.
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut().cast() };
    // SAFETY: the program points to `filter`, which outlives the call; the kernel copies it.
    let installed =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0u32, &raw const program) };
    check_long(installed).map(drop)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn check_long(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
