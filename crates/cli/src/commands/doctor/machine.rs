//! What the doctor looks at without a server: disk, keys, clock, trust anchors, and what the configuration loosens.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::{Finding, Grade, finding};
use crate::config::Settings;

/// Free space below which a server is about to stop.
const FREE_BYTES_BAD: u64 = 256 << 20;
/// Free space below which somebody should look.
const FREE_BYTES_NOTE: u64 = 2 << 30;
/// A sync that is faster than this was not one: no disk answers in this time.
const SYNC_TOO_FAST: Duration = Duration::from_micros(5);
/// Syncs that are measured.
const SYNCS: u32 = 20;
/// A file of the data directory that is this much in the future tells of a clock that was set back.
const FUTURE: Duration = Duration::from_secs(60);
/// Any clock before this is wrong: 2026-01-01, in seconds since 1970.
const CLOCK_MIN: u64 = 1_767_225_600;

/// Disk, keys, clock and trust anchors.
pub(super) fn findings(dir: &Path) -> Vec<Finding> {
    let mut findings = vec![clock(dir), roots()];
    if dir.is_dir() {
        findings.extend([durability(dir), sync(dir), space(dir)]);
        findings.extend(keys(dir));
    }
    findings
}

/// What the configuration loosens or leaves out.
pub(super) fn configured(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let egress = &settings.egress;
    findings.push(if egress.private.is_empty() {
        finding("egress: private addresses", Grade::Good, "refused")
    } else {
        let listed: Vec<String> = egress.private.iter().map(ToString::to_string).collect();
        finding("egress: private addresses", Grade::Note, format!("allowed: {}", listed.join(", ")))
    });
    findings.push(if egress.allow.is_empty() {
        finding("egress: hosts", Grade::Good, "only those that contracts name")
    } else {
        finding(
            "egress: hosts",
            Grade::Note,
            format!("besides those of contracts: {}", egress.allow.join(", ")),
        )
    });
    if !settings.sandbox.tools.is_empty() {
        let listed: Vec<String> =
            settings.sandbox.tools.iter().map(|path| path.display().to_string()).collect();
        findings.push(finding(
            "sandbox: tools",
            Grade::Note,
            format!("may be run and read: {}", listed.join(", ")),
        ));
    }
    findings.push(match crate::serve::wire::engine_config(settings) {
        None => finding("containers", Grade::Good, "no engine is configured; `run: container` is refused"),
        Some(config) => {
            let program = config.program.display().to_string();
            match sandbox::Engine::new(config) {
                Ok(_) => finding("containers", Grade::Good, format!("`{program}` answers")),
                Err(error) => finding("containers", Grade::Bad, error.to_string()),
            }
        }
    });
    for held in settings.controls.iter().filter(|held| held.on) {
        let what = format!("environment: {}", held.name.variable());
        let list = held.operations.join(", ");
        let detail =
            if list.is_empty() { "holds the control on".to_owned() } else { format!("allows only {list}") };
        findings.push(finding(what, Grade::Note, detail));
    }
    findings.push(finding(
        "approvals: notification",
        Grade::Note,
        format!(
            "NOT IN FORCE: nobody is told outside the console and its live feed; silence becomes no after {} s",
            settings.approvals_expire.as_secs()
        ),
    ));
    for address in [settings.http.address, settings.admin] {
        if !address.ip().is_loopback() {
            let detail = "NOT IN FORCE: it is not loopback and speaks plain HTTP; put TLS in front of it";
            findings.push(finding(format!("transport: {address}"), Grade::Note, detail));
        }
    }
    findings
}

/// What the writer's connection asks of SQLite, read from a connection that is set up the same way.
fn durability(dir: &Path) -> Finding {
    let what = "database: write-ahead log";
    let database = dir.join("omnihub.db");
    let mut header = [0u8; 20];
    let read =
        std::fs::File::open(&database).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut header));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            finding(what, Grade::Note, "there is no database yet; the first start makes it")
        }
        Err(error) => finding(what, Grade::Bad, format!("`{}` cannot be read: {error}", database.display())),
        // Bytes 18 and 19 of the header are 2 when the file is written through a write-ahead log.
        Ok(()) if header.starts_with(b"SQLite format 3\0") && header[18..20] == [2, 2] => finding(
            what,
            Grade::Good,
            "in force; every commit is synced (synchronous=FULL is not configurable)",
        ),
        Ok(()) => finding(what, Grade::Bad, "NOT IN FORCE: the file is no SQLite database in WAL mode"),
    }
}

/// Whether a sync costs what a disk costs.
fn sync(dir: &Path) -> Finding {
    let what = "disk: sync";
    let measured = tempfile::NamedTempFile::new_in(dir).and_then(|mut file| {
        let began = Instant::now();
        for _ in 0..SYNCS {
            file.write_all(&[0; 512])?;
            file.as_file().sync_data()?;
        }
        Ok(began.elapsed() / SYNCS)
    });
    match measured {
        Err(error) => finding(what, Grade::Bad, format!("nothing can be written and synced: {error}")),
        Ok(each) if each < SYNC_TOO_FAST => finding(
            what,
            Grade::Note,
            format!("{each:?} each: NOT IN FORCE, this file system does not wait for a disk"),
        ),
        Ok(each) => finding(what, Grade::Good, format!("{} µs each", each.as_micros())),
    }
}

fn space(dir: &Path) -> Finding {
    let what = "disk: space";
    match rustix::fs::statvfs(dir) {
        Err(error) => finding(what, Grade::Bad, error.to_string()),
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let grade = match free {
                ..FREE_BYTES_BAD => Grade::Bad,
                FREE_BYTES_BAD..FREE_BYTES_NOTE => Grade::Note,
                _ => Grade::Good,
            };
            finding(what, grade, format!("{} MiB free", free >> 20))
        }
    }
}

/// Every key is its owner's alone.
fn keys(dir: &Path) -> Vec<Finding> {
    let Ok(entries) = std::fs::read_dir(dir.join("keys")) else {
        return vec![finding("keys", Grade::Note, "there are none yet; the first start makes them")];
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let each = files.into_iter().map(|path| {
        let what = format!("key: {}", path.file_name().unwrap_or_default().to_string_lossy());
        match path.metadata() {
            Err(error) => finding(what, Grade::Bad, error.to_string()),
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => finding(
                what,
                Grade::Bad,
                format!(
                    "others can read it (mode {:o}); run chmod 600, and think of it as known",
                    meta.permissions().mode() & 0o777
                ),
            ),
            Ok(_) => finding(what, Grade::Good, "only its owner can read it"),
        }
    });
    each.collect()
}

fn clock(dir: &Path) -> Finding {
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since.as_secs() < CLOCK_MIN {
        return finding(
            "clock",
            Grade::Bad,
            "it is before 2026: approvals, time limits and leaves would lie",
        );
    }
    let newest = ["omnihub.db", "omnihub.db-wal"]
        .iter()
        .filter_map(|name| dir.join(name).metadata().and_then(|meta| meta.modified()).ok())
        .max();
    match newest {
        Some(at) if at > now + FUTURE => {
            finding("clock", Grade::Bad, "the database was written in the future: the clock was set back")
        }
        _ => finding("clock", Grade::Good, "plausible, and not behind the database"),
    }
}

fn roots() -> Finding {
    let native = rustls_native_certs::load_native_certs();
    match native.certs.len() {
        0 => finding(
            "tls: trust anchors",
            Grade::Note,
            "NONE: no outside can be trusted; install ca-certificates",
        ),
        count => finding("tls: trust anchors", Grade::Good, format!("{count} of this machine")),
    }
}
