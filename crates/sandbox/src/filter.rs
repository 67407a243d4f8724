//! Seccomp: which system calls a program may not make. Compiled before the fork, put in force after it.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

/// How the program is held otherwise, which decides what more is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Surroundings {
    /// True when the program has a PID namespace of its own.
    pub(crate) own_tree: bool,
    /// True when the program runs under a user id that owns nothing else.
    pub(crate) own_user: bool,
}

/// The filters, to be installed in this order.
pub(crate) fn build(surroundings: Surroundings) -> Result<Vec<BpfProgram>, String> {
    let permission = u32::try_from(libc::EPERM).unwrap_or(1);
    let absent = u32::try_from(libc::ENOSYS).unwrap_or(38);
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    denied.insert(libc::SYS_clone, namespace_rules()?);
    if !surroundings.own_tree {
        denied.extend(TREE.iter().map(|call| (*call, Vec::new())));
        denied.insert(libc::SYS_prlimit64, other_process_rule()?);
    }
    if !surroundings.own_user {
        denied.extend(OWNER.iter().map(|call| (*call, Vec::new())));
        denied.insert(libc::SYS_utimensat, named_file_rule()?);
    }
    let hidden = HIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    Ok(vec![foreign_numbers(absent), compile(denied, permission)?, compile(hidden, absent)?])
}

/// True when filters can be built and installed here.
pub(crate) fn supported() -> Result<(), String> {
    let filters = build(Surroundings { own_tree: true, own_user: true })?;
    crate::spawn::can_filter(filters).map_err(|error| format!("the kernel takes no filter: {error}"))
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: u32) -> Result<BpfProgram, String> {
    let arch: TargetArch = std::env::consts::ARCH
        .try_into()
        .map_err(|_| format!("`{}` is not supported", std::env::consts::ARCH))?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

/// `clone` is how processes start; only its new namespaces are refused. (`clone3` hides its flags and is absent.)
fn namespace_rules() -> Result<Vec<SeccompRule>, String> {
    [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ]
    .into_iter()
    .map(|flag| {
        let flag = u64::try_from(flag).unwrap_or_default();
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|error| error.to_string())
    })
    .collect()
}

/// Limits may be read and lowered for oneself (process 0) only.
fn other_process_rule() -> Result<Vec<SeccompRule>, String> {
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0);
    let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
    Ok(vec![rule.map_err(|error| error.to_string())?])
}

/// Times may be set on open files only, which the program was allowed to open.
fn named_file_rule() -> Result<Vec<SeccompRule>, String> {
    let condition = SeccompCondition::new(1, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0);
    let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
    Ok(vec![rule.map_err(|error| error.to_string())?])
}

/// Refuses the second set of numbers under which x86-64 kernels offer the same calls (x32).
fn foreign_numbers(errno: u32) -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD_NUMBER, 0, 0, 0),
        step(JUMP_AT_LEAST, 0, 1, 0x4000_0000),
        step(RETURN, 0, 0, 0x0005_0000 | errno),
        step(RETURN, 0, 0, 0x7fff_0000),
    ]
}

/// Refused with "not permitted".
const DENIED: &[i64] = &[
    // The network and everything else that is a socket.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_vhangup,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_mknodat,
    // Memory that outlives a process or escapes its limits.
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
];

/// Answered as if the kernel did not have them, so that runtimes fall back.
const HIDDEN: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
];

/// Without a PID namespace the process group holds the tree: nobody leaves it, nobody signals outside.
const TREE: &[i64] = &[
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
];

/// Without a user id of its own, a program could change the modes of its owner's files; Landlock does not hold that.
const OWNER: &[i64] = &[
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// The same number on every architecture.
const FCHMODAT2: i64 = 452;
