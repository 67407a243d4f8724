//! Landlock: what a program may read, run and write. Built before the fork, put in force after it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};

/// Below this version a program could cut files that it may not write.
pub(crate) const ABI_NEEDED: u32 = 3;

/// Directories with the system's programs and libraries.
const PROGRAMS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives"];
/// Files that loaders and runtimes need, none of them secret.
const FILES: [&str; 6] = [
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
    "/dev/zero",
    "/dev/urandom",
    "/dev/random",
];

/// The kernel's Landlock version; 0 when there is none.
pub(crate) fn abi() -> u32 {
    crate::spawn::landlock_version()
}

/// A ruleset that allows programs to be read and run, the system's and those below `readable`, and everything inside
/// `directory`.
pub(crate) fn build(directory: &Path, readable: &[PathBuf]) -> Result<OwnedFd, String> {
    let inside = PathFd::new(directory).map_err(|error| error.to_string())?;
    let created = create(inside, readable).map_err(|error| error.to_string())?;
    Option::<OwnedFd>::from(created).ok_or_else(|| "the kernel has no landlock".to_owned())
}

fn create(inside: PathFd, readable: &[PathBuf]) -> Result<landlock::RulesetCreated, RulesetError> {
    let known = ABI::V3;
    let run = AccessFs::from_read(known);
    let read = BitFlags::from(AccessFs::ReadFile);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(known))?
        // Newer kernels hold more: device controls, and signals and abstract sockets out of the sandbox.
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?;
    for path in PROGRAMS {
        ruleset = allow(ruleset, path, run)?;
    }
    for path in readable {
        // A file has no list of entries to be read.
        let access = if path.is_dir() { run } else { read | AccessFs::Execute };
        ruleset = allow(ruleset, path, access)?;
    }
    for path in FILES {
        ruleset = allow(ruleset, path, read)?;
    }
    ruleset = allow(ruleset, "/dev/null", read | AccessFs::WriteFile)?;
    ruleset.add_rule(PathBeneath::new(inside, AccessFs::from_all(known)))
}

/// Adds a rule; what does not exist on this machine needs none.
fn allow(
    ruleset: landlock::RulesetCreated,
    path: impl AsRef<Path>,
    access: BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(opened) => ruleset.add_rule(PathBeneath::new(opened, access)),
        Err(_) => Ok(ruleset),
    }
}
