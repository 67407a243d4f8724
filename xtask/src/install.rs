//! Installs the programs that tests start: interpreters for scripts, a browser for the console,
//! a clock that can be set.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Programs that tests start, and Debian's packages that bring them.
const NEEDED: &[(&str, &str)] = &[
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("jq", "jq"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("cc", "build-essential"),
    ("faketime", "faketime"),
    ("openssl", "openssl"),
];

/// Installs what is missing through apt-get; does nothing when all is there.
pub fn install() -> Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") {
        bail!("tests need {}; there is no apt-get here, so install them by hand", missing.join(", "));
    }
    eprintln!("installing {}", missing.join(", "));
    // A stale list of packages is the usual reason for a failed installation.
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0"));
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if !root {
        command.args(["-n", "apt-get"]);
    }
    let status = command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("cannot start apt-get")?;
    if !status.success() {
        bail!("`apt-get {}` failed; run it by hand as root", arguments.join(" "));
    }
    Ok(())
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| is_program(&dir.join(program))))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
