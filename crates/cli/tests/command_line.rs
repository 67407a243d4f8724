//! The command line from the outside: help, exit codes, configuration, completion.

mod support;

use std::net::TcpListener;

use support::{omnihub, run};

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch directory")
}

#[test]
fn help_names_every_group_and_the_exit_codes() {
    let home = home();
    let (code, out, _) = run(&mut omnihub(home.path(), &["--help"]));
    assert_eq!(code, 0);
    for word in [
        "demo",
        "dev",
        "serve",
        "plan",
        "run",
        "executions",
        "approvals",
        "controls",
        "workflows",
        "actions",
        "policies",
        "dead-letters",
        "audit",
        "tokens",
        "tenants",
        "secrets",
        "backup",
        "bench",
        "doctor",
        "login",
        "completion",
        "version",
        "Exit codes",
        "--output",
    ] {
        assert!(out.contains(word), "{word} is missing in\n{out}");
    }
    assert!(!out.contains("demo-shop"), "the demo's shop is no command for people");
}

#[test]
fn a_wrong_command_line_is_2_and_data_stays_off_stdout() {
    let home = home();
    for arguments in [
        &["nonsense"][..],
        &["run"],
        &["controls", "set", "kill-switch", "perhaps", "--reason", "x"],
        &["controls", "set", "kill-switch", "on"],
        &["executions", "list", "--limit", "0"],
        &["run", "--workflow", "no-namespace"],
        &["run", "--workflow", "a/b", "--input", "{broken"],
        &["--address", "ftp://x", "workflows", "list"],
        &["serve", "--roles", "janitor"],
        &["serve", "--store", "mongo"],
        &["demo", "--fault", "gremlins"],
    ] {
        let (code, out, err) = run(&mut omnihub(home.path(), arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty());
    }
}

#[test]
fn what_is_not_built_says_so_with_its_code() {
    let home = home();
    for arguments in [
        &["backup"][..],
        &["backup", "create"],
        &["serve", "--roles", "hooks"],
        &["serve", "--roles", "gateway"],
        &["serve", "--store", "postgres://x"],
    ] {
        let (code, _, err) = run(&mut omnihub(home.path(), arguments));
        assert_eq!(code, 4, "{arguments:?}: {err}");
        assert!(err.contains("OH-2900"), "{err}");
    }
}

#[test]
fn a_server_that_is_not_there_is_8_and_says_what_to_do() {
    let home = home();
    // A port that was free a moment ago, and that nobody listens on.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let address = format!("http://127.0.0.1:{port}");
    let (code, out, err) = run(&mut omnihub(home.path(), &["--address", &address, "executions", "list"]));
    assert_eq!((code, out.as_str()), (8, ""), "{err}");
    assert!(err.contains("OH-5030") && err.contains("omnihub dev"), "{err}");
    let (code, _, err) =
        run(&mut omnihub(home.path(), &["-o", "json", "--address", &address, "audit", "head"]));
    let problem: serde_json::Value = serde_json::from_str(&err).expect("the failure is JSON");
    assert_eq!((code, problem["code"].as_str()), (8, Some("OH-5030")));
}

#[test]
fn configuration_errors_stop_the_start_and_name_the_nearest() {
    let home = home();
    let start = |file: Option<&str>, variables: &[(&str, &str)]| {
        let mut command = omnihub(home.path(), &["serve", "--data-dir"]);
        command.arg(home.path().join("data"));
        if let Some(text) = file {
            let path = home.path().join("omnihub.toml");
            std::fs::write(&path, text).expect("the file is written");
            command.env("OMNIHUB_CONFIG", path);
        }
        run(command.envs(variables.iter().copied()))
    };
    let (code, _, err) = start(Some("[http]\nadress = \"127.0.0.1:1\"\n"), &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("OH-5020") && err.contains("did you mean `http.address`"), "{err}");
    let (code, _, err) = start(Some("[http]\naddress = 8420\n"), &[]);
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = start(Some("[http\n"), &[]);
    assert!(code == 2 && err.contains("omnihub.toml:1"), "{err}");
    let (code, _, err) = start(None, &[("OMNIHUB_LIMITS__RAET", "5")]);
    assert!(code == 2 && err.contains("OMNIHUB_LIMITS__RATE"), "{err}");
    let (code, _, err) = start(None, &[("OMNIHUB_KILL_SWITCH", "maybe")]);
    assert!(code == 2 && err.contains("OMNIHUB_KILL_SWITCH"), "{err}");
    assert!(!home.path().join("data").exists(), "a refused start leaves nothing behind");
}

#[test]
fn the_reference_of_the_configuration_knows_its_keys() {
    let home = home();
    let (code, out, _) = run(&mut omnihub(home.path(), &["serve", "--help-config"]));
    assert_eq!(code, 0);
    for word in ["http.address", "OMNIHUB_HTTP__ADDRESS", "approvals.expires", "ALLOWED_OPERATIONS"] {
        assert!(out.contains(word), "{word}");
    }
}

#[test]
fn completions_are_written_for_every_shell() {
    let home = home();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, _) = run(&mut omnihub(home.path(), &["completion", shell]));
        assert!(code == 0 && out.contains("dead-letters"), "{shell}");
    }
}

#[test]
fn the_version_is_data() {
    let home = home();
    let (code, out, err) = run(&mut omnihub(home.path(), &["version", "-o", "json"]));
    let version: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, version["version"].as_str(), err.as_str()), (0, Some(env!("CARGO_PKG_VERSION")), ""));
}

#[test]
fn colours_stay_off_when_nobody_sees_them() {
    let home = home();
    let (_, out, err) = run(&mut omnihub(home.path(), &["doctor"]));
    assert!(out.contains("sandbox: files") && out.contains("sqlite"), "{out}{err}");
    assert!(!out.contains('\x1b') && !err.contains('\x1b'));
}

#[test]
fn forgetting_nothing_is_fine() {
    let home = home();
    let (code, _, err) = run(&mut omnihub(home.path(), &["login", "--forget"]));
    assert!(code == 0 && err.contains("nothing was remembered"), "{err}");
}
