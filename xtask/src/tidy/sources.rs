//! How source files look, and what pure ones must not name.

use std::path::Path;

use anyhow::Result;

use crate::run;
use crate::tidy::directions::PURE;

/// Lines of a file at the most.
const LINES_MAX: usize = 800;
/// What pure code must not name: clocks, environment, files, sockets, chance, threads of its own.
const IMPURE: &[&str] = &[
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "std::env::",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::thread::spawn",
    "getrandom",
    "rand::",
    "tokio",
    "rusqlite",
    "async fn",
];

/// Checks every file of ours.
pub fn check(breaches: &mut Vec<String>) -> Result<()> {
    let root = run::root();
    for folder in ["crates", "xtask"] {
        for file in run::files(&root.join(folder), ".rs")? {
            let text = run::read(&file)?;
            check_file(&run::shown(&file), &text, breaches);
        }
    }
    for pure in PURE {
        for file in run::files(&root.join("crates").join(pure).join("src"), ".rs")? {
            if !is_test(&file) {
                check_pure(&run::shown(&file), &run::read(&file)?, breaches);
            }
        }
    }
    check_workplace(&root, breaches)
}

fn check_file(shown: &str, text: &str, breaches: &mut Vec<String>) {
    if !text.starts_with("//!") {
        breaches.push(format!("{shown}: the first line must say what the file is for (`//! …`)"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        breaches.push(format!("{shown}: {lines} lines; split it by meaning, {LINES_MAX} is the limit"));
    }
    // Put together here so that this file does not hold what it looks for.
    let allow = ["#[", "allow("].concat();
    let ignore = ["#[", "ignore"].concat();
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with(&allow) || code.starts_with(&allow.replace("#[", "#![")) {
            breaches
                .push(format!("{shown}:{}: write `#[expect(…, reason = \"…\")]`, or repair it", number + 1));
        }
        if code.starts_with(&ignore) {
            breaches.push(format!("{shown}:{}: a test that does not run proves nothing", number + 1));
        }
    }
}

fn check_pure(shown: &str, text: &str, breaches: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("#[cfg(test)]") {
            return;
        }
        let code = line.split("//").next().unwrap_or_default();
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            breaches.push(format!("{shown}:{}: `{word}` in a pure crate", number + 1));
        }
    }
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
}

/// Nothing in the repository may point at the place where it was written.
fn check_workplace(root: &Path, breaches: &mut Vec<String>) -> Result<()> {
    let words = [["/work/", "shared"].concat(), ["/work/", "main"].concat(), [".lib", "rary/"].concat()];
    for ending in [".rs", ".md", ".toml", ".yaml", ".rego"] {
        for file in run::files(root, ending)? {
            let text = run::read(&file)?;
            for word in words.iter().filter(|word| text.contains(word.as_str())) {
                breaches.push(format!("{}: names `{word}`, which nobody else has", run::shown(&file)));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: impl FnOnce(&mut Vec<String>)) -> usize {
        let mut breaches = Vec::new();
        check(&mut breaches);
        breaches.len()
    }

    #[test]
    fn files_have_heads_and_no_open_permits() {
        assert_eq!(found(|b| check_file("x", "//! Fine.\n", b)), 0);
        assert_eq!(found(|b| check_file("x", "fn main() {}\n", b)), 1);
        let allow = ["//! x\n#[", "allow(dead_code)]\n"].concat();
        assert_eq!(found(|b| check_file("x", &allow, b)), 1);
        assert_eq!(found(|b| check_file("x", &format!("//! x\n{}", "\n".repeat(900)), b)), 1);
    }

    #[test]
    fn pure_code_names_no_clock_but_its_comments_and_tests_may() {
        assert_eq!(found(|b| check_pure("x", "let now = Instant::now();", b)), 1);
        assert_eq!(found(|b| check_pure("x", "// no Instant::now here\n#[cfg(test)]\nInstant::now()", b)), 0);
    }
}
