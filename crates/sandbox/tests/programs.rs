//! Real programs in the real sandbox: what they must not do, and what is left of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use model::effect::{ProcessOutput, ProcessRequest, Program};
use sandbox::{Killed, Limits, ProcessResult, Sandbox, SandboxConfig};
use tokio::sync::watch;

fn base() -> &'static Path {
    static BASE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        use std::os::unix::fs::PermissionsExt;
        let made = tempfile::tempdir().expect("a directory");
        // As root, programs run as another user, who must be able to pass.
        std::fs::set_permissions(made.path(), std::fs::Permissions::from_mode(0o711)).expect("a mode");
        made
    });
    base.path()
}

fn sandbox() -> Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    let make = || {
        let config = SandboxConfig {
            base: base().to_owned(),
            given_up: BTreeSet::new(),
            concurrency: 8,
            tools: Vec::new(),
        };
        Sandbox::new(config).expect("this machine holds every control")
    };
    SANDBOX.get_or_init(make).clone()
}

fn request(program: Program) -> ProcessRequest {
    ProcessRequest {
        program,
        arguments: Vec::new(),
        stdin: None,
        environment: Vec::new(),
        output: ProcessOutput::All,
        timeout_ms: 20_000,
    }
}

fn shell(command: &str) -> ProcessRequest {
    request(Program::Shell { command: command.to_owned() })
}

fn script(language: &str, code: &str) -> ProcessRequest {
    request(Program::Script { language: language.to_owned(), code: code.to_owned() })
}

async fn run(request: &ProcessRequest, limits: Limits) -> ProcessResult {
    let (_keep, never) = watch::channel(false);
    sandbox().run(request, limits, never).await.expect("it runs")
}

/// True when some process of this machine has `marker` among its arguments.
fn alive(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("a process list");
    processes.flatten().any(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).split('\0').any(|argument| argument == marker)
    })
}

#[tokio::test]
async fn programs_get_what_they_are_given_and_nothing_else() {
    let mut given =
        shell("cat; echo \"$1-$A\"; env | sort | cut -d= -f1 | tr '\\n' ' '; ls -A; echo no >&2; exit 3");
    given.stdin = Some("in\n".to_owned());
    given.arguments = vec!["one".to_owned()];
    given.environment = vec![("A".to_owned(), "b".to_owned())];
    let result = run(&given, Limits::default()).await;
    assert_eq!(result.stdout, "in\none-b\nA HOME PATH PWD TMPDIR ", "{result:?}");
    assert_eq!((result.code, result.stderr.as_str(), result.killed), (3, "no\n", None));
    assert!(!result.stdout_truncated && !result.stderr_truncated);
}

#[tokio::test]
async fn scripts_run_in_both_languages() {
    let python = "import sys, json, subprocess\nprint(json.dumps([sys.argv[1:], sys.stdin.read(), subprocess.run(['echo','x'],capture_output=True,text=True).stdout]))";
    let node = "const fs = require('fs'); fs.writeFileSync('a', 'x'); console.log(JSON.stringify([process.argv.slice(2), fs.readFileSync(0, 'utf8'), fs.readFileSync('a', 'utf8')]))";
    for (language, code, expected) in [
        ("python", python, "[[\"1\"], \"in\", \"x\\n\"]\n"),
        ("javascript", node, "[[\"1\"],\"in\",\"x\"]\n"),
    ] {
        let mut request = script(language, code);
        request.stdin = Some("in".to_owned());
        request.arguments = vec!["1".to_owned()];
        let result = run(&request, Limits::default()).await;
        assert_eq!((result.stdout.as_str(), result.code), (expected, 0), "{language}: {result:?}");
    }
    let (_keep, never) = watch::channel(false);
    assert!(sandbox().run(&script("cobol", ""), Limits::default(), never).await.is_err());
}

#[tokio::test]
async fn nothing_outside_the_directory_can_be_read_or_written() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "top secret").expect("a text");
    use std::os::unix::fs::PermissionsExt;
    // Readable and writable for everybody: what refuses is the sandbox, not the mode.
    std::fs::set_permissions(secret.path(), std::fs::Permissions::from_mode(0o666)).expect("a mode");
    let path = secret.path().display().to_string();
    for command in [
        format!("cat {path}"),
        format!("echo x >> {path}"),
        format!(": > {path}"),
        format!("truncate -s 0 {path}"),
        format!("ln {path} here && cat here"),
        format!("ln -s {path} here && cat here"),
        format!("rm {path}"),
        format!("mv {path} here"),
        format!("chmod 000 {path}"),
        "cat /etc/passwd".to_owned(),
        "cat /etc/shadow".to_owned(),
        "ls /root".to_owned(),
        "ls /home".to_owned(),
        "ls /tmp".to_owned(),
        "ls /proc".to_owned(),
        "cat /proc/self/environ".to_owned(),
        "ls ..".to_owned(),
        "echo x > ../x".to_owned(),
        "echo x > /tmp/x-omnihub".to_owned(),
        "echo x > /dev/shm/x-omnihub".to_owned(),
        "echo x > /usr/bin/x-omnihub".to_owned(),
        format!("ls {}", env!("CARGO_MANIFEST_DIR")),
    ] {
        let result = run(&shell(&command), Limits::default()).await;
        assert!(result.code != 0 && result.stdout.is_empty(), "{command}: {result:?}");
    }
    assert_eq!(std::fs::read_to_string(secret.path()).expect("still there"), "top secret");
    assert_eq!(std::fs::metadata(secret.path()).expect("still there").permissions().mode() & 0o777, 0o666);
}

#[tokio::test]
async fn there_is_no_network_and_no_way_into_the_kernel() {
    let code = r"
import socket, ctypes, os, errno
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 16, 17):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind); print('socket', family, kind)
        except OSError as e:
            if e.errno != errno.EPERM: print('socket errno', family, kind, e.errno)
try:
    socket.socketpair(); print('socketpair')
except OSError: pass
libc = ctypes.CDLL(None, use_errno=True)
# The numbers are those of x86-64; elsewhere the sockets above are what is tried.
for name, number, args in [] if os.uname().machine != 'x86_64' else [
    ('io_uring', 425, (1, 0)), ('ptrace', 101, (0, 0, 0, 0)), ('unshare', 272, (0x10000000,)),
    ('clone newuser', 56, (0x10000000 | 17, 0, 0, 0, 0)), ('clone3', 435, (0, 0)), ('mount', 165, (0, 0, 0, 0, 0)),
    ('bpf', 321, (0, 0, 0)), ('keyctl', 250, (0, 0, 0, 0, 0)), ('userfaultfd', 323, (0,)), ('memfd', 319, (0, 0)),
    ('x32 socket', 0x40000000 + 41, (2, 1, 0)), ('setns', 308, (0, 0)), ('process_vm_readv', 310, (1, 0, 0, 0, 0, 0)),
]:
    if libc.syscall(number, *args) >= 0: print(name)
    elif ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS): print(name, 'errno', ctypes.get_errno())
try:
    os.setuid(0); print('setuid')
except OSError: pass
print('end')
";
    let result = run(&script("python", code), Limits::default()).await;
    assert_eq!(result.stdout, "end\n", "{result:?}");
    let bash = shell("bash -c 'echo x > /dev/tcp/127.0.0.1/22'");
    assert_ne!(run(&bash, Limits::default()).await.code, 0);
}

#[tokio::test]
async fn a_fork_bomb_is_bounded_and_gone() {
    let code = r"
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(100)
            os._exit(0)
        count += 1
except OSError as e:
    print(count, e.errno, flush=True)
";
    let result = run(&script("python", code), Limits { processes: 20, ..Limits::default() }).await;
    let count: u32 = result.stdout.split(' ').next().and_then(|text| text.parse().ok()).expect("a count");
    assert!((1..=20).contains(&count), "{result:?}");
    // The children slept on; the end of the program was theirs too.
    assert!(result.duration_ms < 20_000 && result.killed.is_none(), "{result:?}");
    let mut bomb = shell("b() { b | b & }; b; sleep 100");
    bomb.arguments = vec![format!("bomb.{}", std::process::id())];
    let limits = Limits { wall: Duration::from_millis(500), processes: 30, ..Limits::default() };
    // The shell may give up by itself when it cannot fork; either way nothing is left.
    let result = run(&bomb, limits).await;
    assert!(result.duration_ms < 5_000 && !alive(&bomb.arguments[0]), "{result:?}");
}

#[tokio::test]
async fn time_over_ends_grandchildren_in_other_sessions_too() {
    let marker = format!("7777.{}", std::process::id());
    let command = format!(
        "setsid sh -c 'trap \"\" TERM HUP; sleep {marker}' >/dev/null 2>&1 </dev/null & (setsid sleep {marker} &) ; sleep {marker}"
    );
    let limits = Limits { wall: Duration::from_millis(300), ..Limits::default() };
    let started = Instant::now();
    let result = run(&shell(&command), limits).await;
    assert_eq!((result.killed, result.code), (Some(Killed::Timeout), 137), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(3) && !alive(&marker));
    // A program that ends by itself takes what it left behind with it.
    let left = format!("8888.{}", std::process::id());
    let result =
        run(&shell(&format!("setsid sleep {left} >/dev/null 2>&1 & exit 0")), Limits::default()).await;
    assert!(result.code == 0 && !alive(&left), "{result:?}");
}

#[tokio::test]
async fn cancelling_ends_everything_at_once() {
    let marker = format!("9999.{}", std::process::id());
    let (cancel, cancelled) = watch::channel(false);
    let request = shell(&format!("setsid sleep {marker} & sleep {marker}"));
    let sandbox = sandbox();
    let running = tokio::spawn(async move { sandbox.run(&request, Limits::default(), cancelled).await });
    while !alive(&marker) {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    cancel.send(true).expect("the run listens");
    let result = running.await.expect("no panic").expect("a result");
    assert_eq!(result.killed, Some(Killed::Cancelled));
    assert!(started.elapsed() < Duration::from_millis(250) && !alive(&marker), "{:?}", started.elapsed());
}

#[tokio::test]
async fn output_is_capped_and_the_program_goes_on() {
    let request = shell("head -c 5000000 /dev/zero | tr '\\0' a; head -c 3000000 /dev/zero >&2; exit 4");
    let result = run(&request, Limits::default()).await;
    assert_eq!((result.stdout.len(), result.stdout_truncated), (1024 * 1024, true));
    assert_eq!((result.stderr.len(), result.stderr_truncated, result.code), (1024 * 1024, true, 4));
}

#[tokio::test]
async fn processor_memory_and_disk_are_bounded() {
    let spin = run(&shell("while :; do :; done"), Limits { processor_s: 1, ..Limits::default() }).await;
    assert!(spin.code > 128 && spin.killed.is_none() && spin.duration_ms < 15_000, "{spin:?}");
    let little = Limits { memory_bytes: 100 << 20, ..Limits::default() };
    let hog = script("python", "x = bytearray(300 << 20)\nprint('had it')");
    let result = run(&hog, little).await;
    assert!(result.code != 0 && result.stdout.is_empty(), "{result:?}");
    // Shared memory is no data segment: only the count over all processes holds it.
    let shared = "import mmap, time\nm = mmap.mmap(-1, 300 << 20)\nfor i in range(0, 300 << 20, 4096): m[i] = 1\ntime.sleep(100)";
    assert_eq!(run(&script("python", shared), little).await.killed, Some(Killed::Memory));
    let small = Limits { disk_bytes: 1 << 20, ..Limits::default() };
    let big_file = run(&shell("head -c 3000000 /dev/zero > big"), small).await;
    assert_ne!(big_file.code, 0);
    let many = shell("i=0; while :; do i=$((i+1)); head -c 500000 /dev/zero > f$i; done");
    assert_eq!(run(&many, small).await.killed, Some(Killed::Disk));
}

#[tokio::test]
async fn no_directory_is_left_behind() {
    let nest = "import os\nfor i in range(3000):\n    os.mkdir('d'); os.chdir('d')\nos.chmod('.', 0)";
    let own = tempfile::tempdir_in(base()).expect("a directory");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(own.path(), std::fs::Permissions::from_mode(0o711)).expect("a mode");
    let config = SandboxConfig {
        base: own.path().to_owned(),
        given_up: BTreeSet::new(),
        concurrency: 1,
        tools: Vec::new(),
    };
    let sandbox = Sandbox::new(config).expect("this machine holds every control");
    let (_keep, never) = watch::channel(false);
    sandbox.run(&script("python", nest), Limits::default(), never).await.expect("it runs");
    assert_eq!(std::fs::read_dir(own.path()).expect("a directory").count(), 0);
}

#[test]
fn what_cannot_be_held_is_named() {
    let mut found = Sandbox::probe();
    assert!(found.landlock_abi >= 3 && found.interpreters.contains_key("shell"), "{found:?}");
    found.missing.insert(sandbox::Control::Files, "none".to_owned());
    assert_eq!(found.lacking(&BTreeSet::new()).len(), 1);
    assert!(found.lacking(&BTreeSet::from([sandbox::Control::Files])).is_empty());
    let nowhere = SandboxConfig {
        base: "/nonexistent".into(),
        given_up: BTreeSet::new(),
        concurrency: 1,
        tools: Vec::new(),
    };
    assert!(Sandbox::new(nowhere).is_err());
}
