//! `call: mcp` over `stdio` with a real program in the real sandbox, and `run: container` with a program that stands for an
//! engine and writes down what it was asked.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::House;
use crate::shop::text;

/// A tool server: tells what it was asked and what it can see; its list of tools depends on a file beside it.
const TOOLS: &str = r#"
import json, os, socket, sys
asked = []
here = os.path.dirname(os.path.abspath(__file__))
def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
def tools():
    kind = open(os.path.join(here, "kind")).read().strip()
    shape = {"type": "object", "properties": {"text": {"type": kind}}, "required": ["text"]}
    return [{"name": name, "inputSchema": shape} for name in ("tell", "fail", "die", "sleep", "flood")]
def network():
    try:
        socket.create_connection(("127.0.0.1", 1), 1)
        return "open"
    except ConnectionRefusedError:
        return "there"
    except OSError as error:
        return "none"
for line in sys.stdin:
    message = json.loads(line)
    asked.append(message["method"]) if "method" in message else None
    method, id = message.get("method"), message.get("id")
    if method == "initialize":
        say({"jsonrpc": "2.0", "id": "own", "method": "ping"})
        say({"jsonrpc": "2.0", "id": id, "result": {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"}}})
    elif method == "tools/list":
        say({"jsonrpc": "2.0", "method": "notifications/progress"})
        say({"jsonrpc": "2.0", "id": id, "result": {"tools": tools()}})
    elif method == "resources/list":
        say({"jsonrpc": "2.0", "id": id, "result": {"resources": []}})
    elif method == "tools/call":
        name = message["params"]["name"]
        if name == "die":
            sys.stderr.write("out of ideas\n")
            sys.exit(7)
        if name == "sleep":
            os.execvp("sleep", ["sleep", message["params"]["arguments"]["text"]])
        if name == "flood":
            sys.stdout.write("x" * 3000000)
            sys.stdout.flush()
        told = json.dumps({"asked": asked, "text": message["params"]["arguments"]["text"], "network": network(), "environment": sorted(os.environ), "word": os.environ.get("WORD"), "secret": os.path.exists("/root/.profile")})
        say({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": told}], "isError": name == "fail"}})
"#;

/// Where a tool server is, and a house that may start it.
struct Bench {
    house: House,
    files: TempDir,
}

impl Bench {
    async fn open(more: &str) -> Self {
        let files = readable();
        std::fs::write(files.path().join("tools.py"), TOOLS).expect("a file");
        std::fs::write(files.path().join("kind"), "string").expect("a file");
        let tools = json!(["/usr/bin/python3", files.path()]);
        let house = House::near_with(&[], &format!("sandbox.tools = {tools}\n{more}")).await;
        Self { house, files }
    }

    fn transport(&self) -> Json {
        let script = self.files.path().join("tools.py");
        json!({"stdio": {"command": "python3", "arguments": [script], "environment": {"WORD": "given"}}})
    }

    fn call(&self, tool: &str) -> Json {
        let parameters = json!({"name": tool, "arguments": {"text": "${ .text }"}});
        json!({"call": "mcp", "with": {"method": "tools/call", "parameters": parameters, "transport": self.transport()}})
    }

    async fn run(&self, name: &str, task: Json, input: &str) -> Json {
        self.house.publish(name, &[], &json!([{"call": task}])).await.expect(201);
        self.house.run(name, json!({"text": input})).await
    }
}

/// A directory that every user can read.
fn readable() -> TempDir {
    let files = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(files.path(), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    files
}

/// True when a process of this machine has this argument.
fn alive(marker: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("a process list").flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|line| line.split(|byte| *byte == 0).any(|part| part == marker.as_bytes()))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what} did not come about"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_server_runs_in_the_sandbox_for_one_call() {
    let bench = Bench::open("sandbox.output_bytes = 65536\n").await;
    let ended = bench.run("tell", bench.call("tell"), "hello").await;
    assert_eq!(text(&ended["status"]), "completed", "{ended:#}");
    let told: Json =
        serde_json::from_str(text(&ended["output"]["content"][0]["text"])).expect("what it told");
    assert_eq!((&told["text"], &told["word"]), (&json!("hello"), &json!("given")));
    let methods = json!(["initialize", "notifications/initialized", "tools/list", "tools/call"]);
    assert_eq!(told["asked"], methods, "one session, and nothing of another");
    assert_eq!((&told["network"], &told["secret"]), (&json!("none"), &json!(false)), "{told:#}");
    let names: Vec<&str> = told["environment"].as_array().into_iter().flatten().map(text).collect();
    let known = ["HOME", "LC_CTYPE", "PATH", "TMPDIR", "WORD"];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert!(ended["effects"].to_string().contains("mcp:tools/call"), "{ended:#}");
    assert!(ended["effects"].to_string().contains("sandbox"), "{ended:#}");
    // What breaks has not happened: nothing is parked.
    let ended = bench.run("fail", bench.call("fail"), "x").await;
    assert_eq!((text(&ended["status"]), &ended["error"]["status"]), ("faulted", &json!(422)), "{ended:#}");
    let ended = bench.run("die", bench.call("die"), "x").await;
    assert_eq!((text(&ended["status"]), &ended["error"]["status"]), ("faulted", &json!(502)), "{ended:#}");
    assert!(text(&ended["error"]["detail"]).contains("code 7"), "{ended:#}");
    assert!(text(&ended["error"]["detail"]).contains("out of ideas"), "{ended:#}");
    let ended = bench.run("flood", bench.call("flood"), "x").await;
    assert!(text(&ended["error"]["detail"]).contains("more than may be kept"), "{ended:#}");
    // Another method needs no tool.
    let list = json!({"call": "mcp", "with": {"method": "resources/list", "transport": bench.transport()}});
    let ended = bench.run("list", list, "x").await;
    assert_eq!(ended["output"], json!({"resources": []}), "{ended:#}");
    // A tool that changed is not called.
    std::fs::write(bench.files.path().join("kind"), "object").expect("a file");
    let ended = bench.house.run("tell", json!({"text": "hello"})).await;
    assert!(text(&ended["error"]["type"]).ends_with("/errors/tool-changed"), "{ended:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_server_ends_by_its_time_and_by_a_stop() {
    let bench = Bench::open("").await;
    let nap = |n: u32| format!("{n}{}.5", std::process::id());
    let mut slow = bench.call("sleep");
    slow["with"]["timeout"] = json!("PT1S");
    let ended = bench.run("slow", slow, &nap(4)).await;
    assert_eq!((text(&ended["status"]), &ended["error"]["status"]), ("faulted", &json!(408)), "{ended:#}");
    assert!(!alive(&nap(4)), "nothing of it is left");
    bench.house.publish("sleep", &[], &json!([{"call": bench.call("sleep")}])).await.expect(201);
    let goal = json!({"workflow": {"namespace": "test", "name": "sleep"}, "input": {"text": nap(5)}});
    let admin = &bench.house.server.admin;
    let execution = admin.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    until("the call", || alive(&nap(5))).await;
    let report = stop(&bench.house).await;
    until("the end of the program", || !alive(&nap(5))).await;
    assert!(report.contains(&execution), "{report}");
    lift(&bench.house).await;
    // It is what a program is: it runs again.
    until("the second run", || alive(&nap(5))).await;
    stop(&bench.house).await;
    until("the end of the program", || !alive(&nap(5))).await;
}

/// Stops everything at once, and ends what runs.
async fn stop(house: &House) -> String {
    let on = json!({"on": true, "reason": "it is a test", "running": "cancel"});
    house.server.admin.put("/controls/kill-switch", on).await.expect(200).text
}

async fn lift(house: &House) {
    let off = json!({"on": false, "reason": "it is over"});
    house.server.admin.put("/controls/kill-switch", off).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_server_that_may_not_start_is_refused_at_publish() {
    let bench = Bench::open("").await;
    let stdio =
        |stdio: Json| json!({"call": "mcp", "with": {"method": "tools/list", "transport": {"stdio": stdio}}});
    let script = bench.files.path().join("tools.py");
    let cases = [
        (stdio(json!({"command": "sh", "arguments": ["-c", "exit 0"]})), "`sandbox.tools` does not name"),
        (stdio(json!({"command": "no-such-program"})), "there is no program"),
        (stdio(json!({"command": "python3", "arguments": ["-c", "exit(9)"]})), "code 9"),
        (stdio(json!({"command": "python3", "arguments": ["-c", "print('hi')"]})), "no message"),
        (stdio(json!({"command": "python3", "arguments": [script, "${ .x }"]})), "written out"),
        (stdio(json!({"command": "${ .x }"})), "written out"),
        (stdio(json!({"command": "python3", "environment": {"A": "${ .x }"}})), "written out"),
    ];
    for (n, (task, told)) in cases.into_iter().enumerate() {
        let refused = bench.house.publish(&format!("n{n}"), &[], &json!([{"call": task}])).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains("OH-1089") && refused.text.contains(told), "{told}: {}", refused.text);
    }
    let wrong = json!({"call": "mcp", "with": {"method": "tools/call", "parameters": {"name": "tel"}, "transport": bench.transport()}});
    let refused = bench.house.publish("wrong", &[], &json!([{"call": wrong}])).await;
    assert!(
        refused.text.contains("OH-1088") && refused.text.contains("did you mean `tell`?"),
        "{}",
        refused.text
    );
}

/// Stands for an engine: containers are processes that only `rm` ends, whoever asked for them.
const ENGINE: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/asked"
mkdir -p "$here/running"
for last; do :; done
case "$1" in
info) ;;
image) case "$last" in *@sha256:1*) echo sha256:known ;; *) echo "no such image" >&2; exit 1 ;; esac ;;
ps)
    for one in "$here"/running/*; do
        [ -e "$one" ] || continue
        case "$last" in "name=^$(basename "$one")\$" | label=*) basename "$one" ;; esac
    done ;;
rm)
    [ -e "$here/running/$last" ] || { echo "no such container" >&2; exit 1; }
    kill -9 "-$(cat "$here/running/$last")" 2>/dev/null
    rm -f "$here/running/$last" ;;
run)
    for word; do
        shift
        case "$word" in
        run) ;;
        --name=*) name=${word#--name=} ;;
        --env=*) export "${word#--env=}" ;;
        --entrypoint=*) entry=${word#--entrypoint=} ;;
        --*) ;;
        *) break ;;
        esac
    done
    [ -z "$BROKEN" ] || { echo "no cgroup" >&2; exit 125; }
    exec 3<&0
    setsid ${entry:-echo} "$@" <&3 &
    echo $! > "$here/running/$name"
    wait $!
    code=$?
    rm -f "$here/running/$name"
    exit $code ;;
esac
"#;

struct Harbour {
    house: House,
    files: TempDir,
}

impl Harbour {
    async fn open() -> Self {
        let files = readable();
        let engine = files.path().join("engine");
        std::fs::write(&engine, ENGINE).expect("a file");
        std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        let house =
            House::near_with(&[], &format!("containers.engine = {engine:?}\nsandbox.processes = 7\n")).await;
        Self { house, files }
    }

    fn asked(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.files.path().join("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }

    fn running(&self) -> usize {
        std::fs::read_dir(self.files.path().join("running")).map_or(0, Iterator::count)
    }
}

fn image(first: char) -> String {
    format!("tools@sha256:{first}{}", "0".repeat(63))
}

fn container(more: &Json) -> Json {
    let mut container = json!({"image": image('1')});
    for (name, value) in more.as_object().into_iter().flatten() {
        container[name] = value.clone();
    }
    json!({"run": {"container": container, "return": "all"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_gets_what_it_is_given_and_is_named_after_its_attempt() {
    let harbour = Harbour::open().await;
    let command = "cat; echo \"$1-$A\"; echo no >&2; exit 3";
    let task = container(
        &json!({"command": command, "stdin": "${ .text }", "arguments": ["${ .text }"], "environment": {"A": "b c"}, "lifetime": {"cleanup": "always"}, "pullPolicy": "never"}),
    );
    harbour.house.publish("count", &[], &json!([{"count": task}])).await.expect(201);
    let ended = harbour.house.run("count", json!({"text": "hello"})).await;
    let output = &ended["output"];
    assert_eq!(text(&ended["status"]), "completed", "{ended:#}");
    assert_eq!((&output["code"], text(&output["stdout"])), (&json!(3), "hellohello-b c\n"), "{ended:#}");
    assert_eq!(text(&output["stderr"]), "no\n", "{ended:#}");
    assert!(ended["effects"].to_string().contains("run:container"), "{ended:#}");
    let asked = harbour.asked();
    let run = asked.iter().find(|line| line.starts_with("run ")).expect("it was run");
    let execution = text(&ended["execution_id"]);
    for word in [
        "--rm",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--pull=never",
        "--pids-limit=7",
        "--security-opt=no-new-privileges",
        "--user=65534:65534",
    ] {
        assert!(run.split(' ').any(|given| given == word), "{word}: {run}");
    }
    assert!(run.contains("--name=omnihub-") && run.contains(&format!("-{execution}-1-1 ")), "{run}");
    // Without a command, the image runs what it runs, with these arguments.
    let bare = container(&json!({"arguments": ["--privileged", "x"]}));
    harbour.house.publish("bare", &[], &json!([{"bare": bare}])).await.expect(201);
    let ended = harbour.house.run("bare", json!({})).await;
    assert_eq!(text(&ended["output"]["stdout"]), "--privileged x\n", "{ended:#}");
    assert_eq!(harbour.running(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_ended_by_a_stop_and_by_the_start_after_a_crash() {
    let mut harbour = Harbour::open().await;
    let nap = format!("6{}.5", std::process::id());
    let slow = container(&json!({"command": format!("sleep {nap}")}));
    harbour.house.publish("slow", &[], &json!([{"slow": slow}])).await.expect(201);
    let goal = json!({"workflow": {"namespace": "test", "name": "slow"}});
    let started = harbour.house.server.admin.post("/goals", goal).await.expect(202);
    until("the container", || alive(&nap)).await;
    let execution = started.str("/execution_id");
    let report = stop(&harbour.house).await;
    until("the end of the container", || !alive(&nap) && harbour.running() == 0).await;
    assert!(report.contains(execution), "{report}");
    lift(&harbour.house).await;
    until("the second container", || alive(&nap) && harbour.running() == 1).await;
    // What a crash leaves is ended by the next start, and then the attempt is made again.
    harbour.house.server.kill();
    let before = harbour.asked().len();
    assert!(alive(&nap), "an engine goes on without whoever asked");
    harbour.house.server.start_again().await;
    let since = |word: &str| harbour.asked()[before..].iter().any(|line| line.starts_with(word));
    until("the sweep", || since("rm --force omnihub-")).await;
    until("another attempt", || since("run ")).await;
    until("one container", || harbour.running() == 1 && alive(&nap)).await;
    stop(&harbour.house).await;
    until("the end of all", || !alive(&nap) && harbour.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reaches_out_of_a_container_is_refused_at_publish() {
    let harbour = Harbour::open().await;
    let none = House::near(&[]).await;
    let plain = container(&json!({}));
    let refused = none.publish("none", &[], &json!([{"a": plain}])).await;
    assert!(
        refused.text.contains("OH-1095") && refused.text.contains("no engine is configured"),
        "{}",
        refused.text
    );
    let cases = [
        (json!({"image": image('2')}), "does not have the image"),
        (json!({"image": "tools:latest"}), "not named by its digest"),
        (json!({"image": "${ .image }"}), "not named by its digest"),
        (json!({"ports": {"80": 80}}), "no network"),
        (json!({"volumes": {"/etc": "/etc"}}), "no files of this machine"),
        (json!({"name": "mine"}), "named after its execution"),
        (json!({"lifetime": {"cleanup": "never"}}), "removed as soon"),
        (json!({"lifetime": {"cleanup": "eventually", "after": {"minutes": 5}}}), "removed as soon"),
        (json!({"lifetime": {"cleanup": "always", "after": {"minutes": 5}}}), "lives no longer"),
        (json!({"pullPolicy": "ifNotPresent"}), "not pulled"),
    ];
    for (n, (more, told)) in cases.into_iter().enumerate() {
        let refused = harbour.house.publish(&format!("n{n}"), &[], &json!([{"a": container(&more)}])).await;
        assert_eq!(refused.status, 422, "{told}: {}", refused.text);
        assert!(refused.text.contains("OH-1095") && refused.text.contains(told), "{told}: {}", refused.text);
    }
    assert!(!harbour.asked().iter().any(|line| line.starts_with("run ")));
    // An engine that cannot run it says so, and nothing is taken for an exit code of the container.
    let broken = container(&json!({"environment": {"BROKEN": "yes"}}));
    harbour.house.publish("broken", &[], &json!([{"a": broken}])).await.expect(201);
    let ended = harbour.house.run("broken", json!({})).await;
    assert!(text(&ended["explanation"]).contains("no cgroup"), "{ended:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_does_not_answer_stops_the_start() {
    for engine in ["/bin/false", "/no/such/engine", "podman"] {
        let configuration = format!("containers.engine = {engine:?}\n");
        let program = Path::new(env!("CARGO_BIN_EXE_omnihub"));
        let mut server = testkit::Server::prepared(&program.display().to_string(), &configuration, &[]);
        let told = server.refused_start().await;
        assert!(told.contains("OH-5020") && told.contains("containers.engine"), "{engine}: {told}");
    }
}
