//! The outside from inside: hosts and addresses that are refused, secrets by reference, answers, programs.

use std::path::Path;

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Recorder, Reply, Server};

use crate::shop::{Shop, eventually, text};

/// A secret that must appear nowhere.
const CANARY: &str = "sesame-4711-canary";

/// A server and an outside that remembers.
struct House {
    server: Server,
    recorder: Recorder,
    /// Decides.
    bob: Client,
}

impl House {
    async fn open(configuration: &str, environment: &[(&str, &str)]) -> Self {
        let recorder = Recorder::start().await;
        let server = Server::start(env!("CARGO_BIN_EXE_omnihub"), configuration, environment).await;
        let bob = server.principal("user:bob", &["operator"]).await;
        Self { server, recorder, bob }
    }

    /// One that may reach the recorder.
    async fn near() -> Self {
        Self::open("egress.private = [\"127.0.0.1/32\"]\n", &[]).await
    }

    /// Publishes an action that does one HTTP request, and a workflow of the same name that calls it with `arguments`.
    async fn action(&self, name: &str, head: &str, with: Json, arguments: Json) {
        let mut action = json!({
            "action": format!("{name}:1.0.0"), "title": name, "run": {"call": "http", "with": with},
        });
        let head: Json = serde_json::from_str(head).expect("JSON");
        action.as_object_mut().expect("an object").extend(head.as_object().expect("an object").clone());
        self.server.admin.post_yaml("/actions", &action.to_string()).await.expect(201);
        let tasks = json!([{"act": {"call": format!("{name}:1.0.0"), "with": arguments}}]);
        self.workflow(name, tasks).await.expect(201);
    }

    async fn workflow(&self, name: &str, tasks: Json) -> Answer {
        let document = json!({"dsl": "1.0.3", "namespace": "test", "name": name, "version": "1.0.0"});
        self.server.admin.post("/workflows", json!({"document": document, "do": tasks})).await
    }

    /// Runs a workflow to its end; every approval is given.
    async fn run(&self, name: &str, input: Json) -> Json {
        let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": input});
        let started = self.server.admin.post("/goals", goal).await;
        assert_eq!(started.status, 202, "{name}: {}", started.text);
        let path = format!("/executions/{}", started.str("/execution_id"));
        let over = |a: &Answer| ["completed", "faulted", "cancelled"].contains(&a.str("/status"));
        let now =
            eventually(&self.bob, &path, |a| over(a) || a.str("/blocked_on").starts_with("approval:")).await;
        if over(&now) {
            return now.json;
        }
        let id = now.str("/blocked_on").trim_start_matches("approval:").to_owned();
        let approval = self.bob.get(&format!("/approvals/{id}")).await.expect(200);
        let body = json!({"digest": approval.json["digest"], "reason": "it is a test"});
        self.bob.post(&format!("/approvals/{id}/approve"), body).await.expect(200);
        eventually(&self.bob, &path, over).await.json
    }

    /// The reasons for which connections of an execution were refused, as audited.
    async fn refusals(&self, ended: &Json) -> Vec<String> {
        let path = format!("/audit?correlation={}&action=egress.refused", text(&ended["execution_id"]));
        let found = eventually(&self.server.admin, &path, |a| a.json["items"][0].is_object()).await;
        let items = found.json["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| text(&item["record"]["details"]["reason"]).to_owned()).collect()
    }

    /// Asserts that a call faulted because the guard said no, and that the audit log says so.
    async fn refused(&self, ended: &Json, at: &str, because: &str) {
        assert_eq!(
            (text(&ended["status"]), &ended["error"]["status"]),
            ("faulted", &json!(403)),
            "{at}: {ended:#}"
        );
        assert!(text(&ended["error"]["type"]).ends_with("/errors/egress-refused"), "{at}: {ended:#}");
        assert_eq!(text(&ended["outcome"]), "failed", "{at}: nothing happened, and that is known");
        let reasons = self.refusals(ended).await;
        assert!(
            reasons.iter().any(|reason| reason.contains(because)),
            "{at}: {reasons:?} do not say `{because}`"
        );
    }
}

fn read_of(hosts: &[String]) -> String {
    json!({"effect": "read", "class": "read", "hosts": hosts}).to_string()
}

fn uri() -> Json {
    json!({"uri": "${ .uri }"})
}

fn get(redirect: bool) -> Json {
    json!({"method": "get", "endpoint": "${ .uri }", "redirect": redirect})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_granted_is_refused_and_audited() {
    let house = House::near().await;
    let at = house.recorder.address;
    // Written in the workflow itself: unreviewed, so a human allows it, and still the guard does not.
    let call = json!([{"call": {"call": "http", "with": {"method": "get", "endpoint": format!("http://{at}/inline")}}}]);
    house.workflow("inline", call).await.expect(201);
    let ended = house.run("inline", json!({})).await;
    house.refused(&ended, "inline", "is not on the allow-list").await;
    // An action whose contract names no host is not published; one that names another is refused.
    let nowhere = json!({"action": "nowhere:1.0.0", "effect": "read", "class": "read", "run": {"call": "http", "with": get(false)}});
    let refused = house.server.admin.post_yaml("/actions", &nowhere.to_string()).await.expect(422);
    assert!(refused.text.contains("OH-1066"), "{}", refused.text);
    house.action("elsewhere", &read_of(&["127.0.0.1:1".to_owned()]), get(false), uri()).await;
    let ended = house.run("elsewhere", json!({"uri": format!("http://{at}/x")})).await;
    house.refused(&ended, "another port", "is not on the allow-list").await;
    assert!(house.recorder.seen().is_empty(), "{:?}", house.recorder.seen());
    // Granted, it is reached and audited.
    house.action("granted", &read_of(&[at.to_string()]), get(false), uri()).await;
    let ended = house.run("granted", json!({"uri": format!("http://{at}/x")})).await;
    assert_eq!(ended["output"], json!({"ok": true}), "{ended:#}");
    let path = format!("/audit?correlation={}&action=egress.connected", text(&ended["execution_id"]));
    let told = eventually(&house.server.admin, &path, |a| a.json["items"][0].is_object()).await;
    assert_eq!(told.json["items"][0]["record"]["details"]["status"], json!(200), "{}", told.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn special_addresses_are_refused_however_they_are_written() {
    let house = House::open("", &[]).await;
    let port = house.recorder.address.port();
    let on = |host: &str| format!("{host}:{port}");
    let hosts =
        ["localhost", "127.0.0.1", "[::1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "[64:ff9b::7f00:1]"]
            .map(on);
    let metadata = ["169.254.169.254", "[::ffff:a9fe:a9fe]"].map(str::to_owned);
    house
        .action("open", &read_of(&[hosts.as_slice(), metadata.as_slice()].concat()), get(false), uri())
        .await;
    for (uri, because) in [
        (format!("http://localhost:{port}/"), "loopback"),
        (format!("http://LOCALHOST:{port}/"), "loopback"),
        (format!("http://127.0.0.1:{port}/"), "loopback"),
        (format!("http://0x7f000001:{port}/"), "loopback"),
        (format!("http://2130706433:{port}/"), "loopback"),
        (format!("http://0177.0.0.1:{port}/"), "loopback"),
        (format!("http://127.1:{port}/"), "loopback"),
        (format!("http://[::1]:{port}/"), "loopback"),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), "loopback"),
        (format!("http://0.0.0.0:{port}/"), "0.0.0.0"),
        (format!("http://[::]:{port}/"), "::"),
        (format!("http://[64:ff9b::127.0.0.1]:{port}/"), "which is not granted"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "metadata"),
        ("http://[::ffff:169.254.169.254]/".to_owned(), "metadata"),
        ("http://2852039166/".to_owned(), "metadata"),
        (format!("http://user:pass@127.0.0.1:{port}/"), ""),
        ("http://0x7f000001/".to_owned(), "is not on the allow-list"),
        ("http://2130706433/".to_owned(), "is not on the allow-list"),
    ] {
        let ended = house.run("open", json!({"uri": uri})).await;
        house.refused(&ended, &uri, because).await;
    }
    for uri in [
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/_x",
        "ftp://127.0.0.1/",
        "unix:/run/x.sock",
        "data:text/plain,x",
        "//127.0.0.1/",
        "",
        "http://",
    ] {
        let ended = house.run("open", json!({"uri": uri})).await;
        assert_eq!(
            (text(&ended["status"]), &ended["error"]["status"]),
            ("faulted", &json!(400)),
            "{uri}: {ended:#}"
        );
        assert!(!text(&ended["error"]["detail"]).is_empty(), "{uri}: {ended:#}");
    }
    assert!(house.recorder.seen().is_empty(), "{:?}", house.recorder.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_new_connections() {
    let house = House::near().await;
    let (at, other) = (house.recorder.address, Recorder::start().await);
    house.action("follow", &read_of(&[at.to_string()]), get(true), uri()).await;
    house.action("stay", &read_of(&[at.to_string()]), get(false), uri()).await;
    for (path, to) in [
        ("/other-host", format!("http://{}/", other.address)),
        ("/metadata", "http://169.254.169.254/".to_owned()),
        ("/mapped", "http://[::ffff:169.254.169.254]/".to_owned()),
        ("/file", "file:///etc/passwd".to_owned()),
        ("/userinfo", format!("http://a:b@{at}/")),
    ] {
        house.recorder.reply(path, [Reply::new(302, "").with("location", &to)]);
        let ended = house.run("follow", json!({"uri": format!("http://{at}{path}")})).await;
        house.refused(&ended, path, "").await;
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());
    house.recorder.reply("/away", [Reply::new(302, "").with("location", "/home")]);
    let ended = house.run("follow", json!({"uri": format!("http://{at}/away")})).await;
    assert_eq!(ended["output"], json!({"ok": true}), "a redirect within the grant is followed: {ended:#}");
    let ended = house.run("stay", json!({"uri": format!("http://{at}/away")})).await;
    assert_eq!((text(&ended["status"]), &ended["error"]["status"]), ("faulted", &json!(302)), "{ended:#}");
    assert_eq!(house.recorder.seen_at("/home").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_put_in_at_the_last_moment_and_stay_nowhere() {
    let mut house = House::near().await;
    let at = house.recorder.address;
    let admin = house.server.admin.clone();
    let bearer = json!({"method": "post", "body": "${ . }", "output": "response",
        "endpoint": {"uri": format!("http://{at}/bearer"), "authentication": {"bearer": {"use": "shop-key"}}}});
    let basic = json!({"method": "get", "endpoint": {"uri": format!("http://{at}/basic"), "authentication": {"basic": {"use": "shop-login"}}}});
    let write = json!({"effect": "write", "class": "idempotent", "hosts": [at.to_string()],
        "idempotency": {"key": "${ $workflow.id }", "header": "Idempotency-Key"}});
    house.action("bearer", &write.to_string(), bearer, json!({"a": "${ .a }"})).await;
    house.action("basic", &read_of(&[at.to_string()]), basic, json!({})).await;
    let missing = house.run("bearer", json!({"a": 1})).await;
    assert_eq!(text(&missing["status"]), "faulted", "{missing:#}");
    assert!(text(&missing["error"]["detail"]).contains("there is no secret `shop-key`"), "{missing:#}");
    assert!(house.recorder.seen().is_empty(), "nothing is sent without the secret");

    admin.put("/secrets/shop-key", json!({"token": CANARY})).await.expect(204);
    admin.put("/secrets/shop-login", json!({"username": "ann", "password": CANARY})).await.expect(204);
    // An outside that tells the secret back must not bring it into the history either.
    let echo = json!({"you": {"sent": format!("Bearer {CANARY}")}}).to_string();
    house.recorder.reply("/bearer", [Reply::new(200, &echo).with("x-echo", CANARY)]);
    house.recorder.reply(
        "/basic",
        [Reply::new(403, &format!("{CANARY} or {} is wrong", base64_of(&format!("ann:{CANARY}"))))],
    );
    let ended = house.run("bearer", json!({"a": 1})).await;
    assert_eq!(text(&ended["status"]), "completed", "{ended:#}");
    assert_eq!(ended["output"]["content"], json!({"you": {"sent": "Bearer [secret]"}}), "{ended:#}");
    let wrong = house.run("basic", json!({})).await;
    assert!(text(&wrong["error"]["detail"]).contains("[secret] or [secret] is wrong"), "{wrong:#}");
    assert_eq!(house.recorder.seen_at("/bearer")[0].header("authorization"), format!("Bearer {CANARY}"));
    let sent = house.recorder.seen_at("/basic")[0].header("authorization").to_owned();
    assert_eq!(sent, format!("Basic {}", base64_of(&format!("ann:{CANARY}"))));

    let execution = text(&ended["execution_id"]).to_owned();
    let used = admin.get(&format!("/audit?correlation={execution}&action=secret.used")).await.expect(200);
    assert_eq!(
        used.str("/items/0/record/resource"),
        "secrets/shop-key",
        "every use is recorded: {}",
        used.text
    );
    for path in [
        "/executions",
        "/audit?limit=500",
        "/audit/export",
        "/secrets",
        "/overview",
        "/actions",
        "/workflows",
        &format!("/executions/{execution}"),
        &format!("/executions/{execution}/history"),
    ] {
        let answer = admin.get(path).await.expect(200);
        assert!(!holds_canary(answer.text.as_bytes()), "{path}");
    }
    house.server.terminate().await;
    assert!(!holds_canary(house.server.log().as_bytes()), "the log");
    no_file_holds_it(&house.server.data());
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn holds_canary(bytes: &[u8]) -> bool {
    let encoded = base64_of(&format!("ann:{CANARY}"));
    [CANARY.as_bytes(), encoded.as_bytes()]
        .iter()
        .any(|needle| bytes.windows(needle.len()).any(|window| window == *needle))
}

fn no_file_holds_it(directory: &Path) {
    for entry in std::fs::read_dir(directory).expect("the data directory").flatten() {
        if entry.path().is_dir() {
            no_file_holds_it(&entry.path());
        } else {
            let bytes = std::fs::read(entry.path()).expect("a file of the data directory");
            assert!(!holds_canary(&bytes), "{}", entry.path().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_does_not_follow_a_redirect_to_another_host() {
    let house = House::near().await;
    let (at, other) = (house.recorder.address, Recorder::start().await);
    let with = json!({"method": "get", "redirect": true, "endpoint": {"uri": format!("http://{at}/away"), "authentication": {"bearer": {"use": "shop-key"}}}});
    house.action("both", &read_of(&[at.to_string(), other.address.to_string()]), with, json!({})).await;
    house.server.admin.put("/secrets/shop-key", json!({"token": CANARY})).await.expect(204);
    house
        .recorder
        .reply("/away", [Reply::new(302, "").with("location", &format!("http://{}/there", other.address))]);
    house.run("both", json!({})).await;
    assert_eq!(house.recorder.seen_at("/away")[0].header("authorization"), format!("Bearer {CANARY}"));
    assert!(other.seen().iter().all(|seen| seen.header("authorization").is_empty()), "{:?}", other.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_do_not_leave_their_place() {
    let house = House::near().await;
    let at = house.recorder.address;
    let with = json!({"method": "get", "endpoint": format!("http://{at}/orders/{{id}}/lines"), "headers": {"x-order": "${ .id }"}, "query": {"q": "${ .id }"}});
    house.action("order", &read_of(&[at.to_string()]), with, json!({"id": "${ .id }"})).await;
    for (id, path, query) in [
        ("a/../b", "a%2F..%2Fb", "a%2F..%2Fb"),
        ("a?b=c&d", "a%3Fb%3Dc%26d", "a%3Fb%3Dc%26d"),
        ("a#b", "a%23b", "a%23b"),
        ("%2e%2e", "%252e%252e", "%252e%252e"),
        ("@evil.example", "%40evil.example", "%40evil.example"),
    ] {
        let ended = house.run("order", json!({"id": id})).await;
        assert_eq!(text(&ended["status"]), "completed", "{id}: {ended:#}");
        let seen = house.recorder.seen().pop().expect("a request");
        assert_eq!(seen.path, format!("/orders/{path}/lines?q={query}"), "{id}");
        assert_eq!(seen.header("x-order"), id);
    }
    let so_far = house.recorder.seen().len();
    for id in ["..", ".", "", "a\r\nx-forged: 1", "a\nb"] {
        let ended = house.run("order", json!({"id": id})).await;
        assert_eq!(
            (text(&ended["status"]), &ended["error"]["status"]),
            ("faulted", &json!(400)),
            "{id:?}: {ended:#}"
        );
        assert!(!text(&ended["error"]["detail"]).is_empty(), "{id:?}: {ended:#}");
    }
    let goal = json!({"workflow": {"namespace": "test", "name": "order"}, "input": {"id": "a\u{7f}b"}});
    let filtered = house.server.admin.post("/goals", goal).await.expect(422);
    assert_eq!(
        (filtered.str("/code"), filtered.str("/fields/0/field")),
        ("OH-3020", "/input/id"),
        "{}",
        filtered.text
    );
    assert_eq!(house.recorder.seen().len(), so_far, "{:?}", house.recorder.seen().last());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_mean_what_http_says() {
    let house = House::near().await;
    let at = house.recorder.address;
    house.action("read", &read_of(&[at.to_string()]), get(false), uri()).await;
    let once = |path: &'static str, reply: Reply| {
        house.recorder.reply(path, [reply]);
        let uri = format!("http://{at}{path}");
        let house = &house;
        async move { house.run("read", json!({"uri": uri})).await }
    };
    for (path, status) in
        [("/400", 400), ("/401", 401), ("/404", 404), ("/409", 409), ("/410", 410), ("/501", 501)]
    {
        let ended = once(path, Reply::new(status, "{\"why\":\"no\"}")).await;
        assert_eq!(
            (text(&ended["status"]), &ended["error"]["status"]),
            ("faulted", &json!(status)),
            "{path}: {ended:#}"
        );
        assert!(text(&ended["error"]["type"]).ends_with("/errors/communication"), "{path}: {ended:#}");
        assert_eq!(house.recorder.seen_at(path).len(), 1, "{path} is final");
    }
    let ended = once("/text", Reply::new(200, "plain").with("content-type", "text/plain")).await;
    assert_eq!(ended["output"], json!("plain"), "{ended:#}");
    let ended = once("/empty", Reply::new(204, "")).await;
    assert_eq!((text(&ended["status"]), &ended["output"]), ("completed", &Json::Null), "{ended:#}");
    let ended = once("/broken", Reply::new(200, "{\"a\":")).await;
    assert_eq!(text(&ended["status"]), "faulted", "{ended:#}");
    let ended =
        once("/large", Reply::new(200, &"x".repeat(9 << 20)).with("content-type", "text/plain")).await;
    assert_eq!(text(&ended["status"]), "faulted", "an answer beyond the limit is not taken");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let ended = once("/deep", Reply::new(200, &deep)).await;
    assert_eq!(text(&ended["status"]), "faulted", "an answer nested too deep is refused");
    let expression = once("/expression", Reply::new(200, "{\"a\":\"${ 1 + 1 }\"}")).await;
    assert_eq!(expression["output"], json!({"a": "${ 1 + 1 }"}), "data is never evaluated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_carries_the_same_key_and_waits_as_asked() {
    let house = House::near().await;
    let at = house.recorder.address;
    let head = json!({"effect": "write", "class": "idempotent", "hosts": [at.to_string()],
        "idempotency": {"key": "${ $workflow.id + \"/\" + .order }", "header": "Idempotency-Key"}});
    let with = json!({"method": "post", "endpoint": format!("http://{at}/write"), "body": "${ . }", "headers": {"idempotency-key": "forged", "x-a": "1"}});
    house.action("write", &head.to_string(), with, json!({"order": "${ .order }"})).await;
    house.recorder.reply(
        "/write",
        [Reply::new(429, "").with("retry-after", "2"), Reply::new(500, ""), Reply::new(200, "{}")],
    );
    let ended = house.run("write", json!({"order": "7"})).await;
    assert_eq!(text(&ended["status"]), "completed", "{ended:#}");
    let seen = house.recorder.seen_at("/write");
    let keys: Vec<&str> = seen.iter().map(|one| one.header("idempotency-key")).collect();
    let key = format!("{}/7", text(&ended["execution_id"]));
    assert_eq!(keys, [key.as_str(); 3], "one key for every try, and not the definition's own");
    assert!(seen.iter().all(|one| one.body == "{\"order\":\"7\"}"
        && one.header("x-a") == "1"
        && one.header("authorization").is_empty()));
    let attempts = &ended["effects"][0]["attempts"];
    let moment = |value: &Json| text(value).parse::<jiff::Timestamp>().expect("a moment").as_millisecond();
    let waited = moment(&attempts[1]["started_at"]) - moment(&attempts[0]["ended_at"]);
    assert!(waited >= 2000, "`Retry-After: 2` means at least 2 s, not {waited} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_see_nothing_and_reach_nothing() {
    let house = House::open("sandbox.timeout = \"PT20S\"\n", &[("CANARY", CANARY)]).await;
    let data = house.server.data();
    let id = house.server.id().expect("it runs");
    let code = format!(
        r#"
import json, os, socket
def tried(act):
    try:
        return "done: %r" % (act(),)
    except Exception as error:
        return type(error).__name__
def connect(family, kind, to):
    s = socket.socket(family, kind)
    s.connect(to)
    return "connected"
forks = 0
def fork():
    global forks
    for _ in range(500):
        if os.fork() == 0:
            import time
            time.sleep(3)
            os._exit(0)
        forks += 1
print(json.dumps({{
    "shadow": tried(lambda: open("/etc/shadow").read()),
    "token": tried(lambda: open("{data}/admin.token").read()),
    "database": tried(lambda: open("{data}/omnihub.db", "rb").read(8)),
    "listing": tried(lambda: os.listdir("{data}")),
    "environ": tried(lambda: open("/proc/{id}/environ").read()),
    "memory": tried(lambda: open("/proc/{id}/mem", "rb").read(1)),
    "outside write": tried(lambda: open("/tmp/omnihub-escape-{id}", "w").write("x")),
    "usr write": tried(lambda: open("/usr/omnihub-escape", "w").write("x")),
    "tcp": tried(lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", {port}))),
    "udp": tried(lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53))),
    "unix": tried(lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "/run/x")),
    "kill": tried(lambda: os.kill({id}, 9)),
    "own file": tried(lambda: open("note", "w").write("xy")),
    "names": sorted(os.environ),
    "canary": any("{CANARY}" in value for value in os.environ.values()),
    "fork": tried(fork),
    "forks": forks,
}}))
"#,
        data = data.display(),
        port = house.recorder.address.port(),
    );
    let task = json!([{"look": {"run": {"script": {"language": "python", "code": code}}}}]);
    house.workflow("look", task).await.expect(201);
    let ended = house.run("look", json!({})).await;
    assert_eq!(text(&ended["status"]), "completed", "{ended:#}");
    let told: Json = serde_json::from_str(text(&ended["output"])).expect("the script's JSON");
    for act in [
        "shadow",
        "token",
        "database",
        "listing",
        "environ",
        "memory",
        "outside write",
        "usr write",
        "tcp",
        "udp",
        "unix",
        "kill",
        "fork",
    ] {
        assert!(!text(&told[act]).starts_with("done"), "{act}: {told:#}");
    }
    assert_eq!(told["own file"], "done: 2", "{told:#}");
    assert_eq!(told["canary"], json!(false));
    let names: Vec<&str> = told["names"].as_array().expect("a list").iter().map(text).collect();
    assert!(
        names.iter().all(|name| ["HOME", "LC_CTYPE", "PATH", "PWD", "TMPDIR", "LANG"].contains(name)),
        "{names:?}"
    );
    assert!(told["forks"].as_u64().is_some_and(|forks| forks < 100), "{told:#}");
    assert!(house.recorder.seen().is_empty());
    house.server.admin.get("/whoami").await.expect(200);

    let shell = json!([{"look": {"run": {"shell": {"command": "env; cat /etc/shadow; ls /root; cat /proc/1/environ; exit 3"}, "return": "all"}}}]);
    house.workflow("shell", shell).await.expect(201);
    let ended = house.run("shell", json!({})).await;
    assert_eq!(ended["output"]["code"], json!(3), "{ended:#}");
    let stdout = text(&ended["output"]["stdout"]);
    assert!(!stdout.contains("root:") && !stdout.contains(CANARY), "{stdout}");
    assert!(
        stdout.lines().all(|line| ["HOME=", "PATH=", "PWD=", "TMPDIR=", "LANG=", "LC_"]
            .iter()
            .any(|name| line.starts_with(name))),
        "{stdout}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_end_in_time_and_say_so_much_only() {
    let house = House::open("sandbox.timeout = \"PT1S\"\nsandbox.output_bytes = 4096\n", &[]).await;
    let nap = format!("3{}.5", std::process::id());
    let slow =
        json!([{"slow": {"run": {"shell": {"command": format!("(setsid sleep {nap} &) ; sleep {nap}")}}}}]);
    house.workflow("slow", slow).await.expect(201);
    let ended = house.run("slow", json!({})).await;
    assert_eq!((text(&ended["status"]), &ended["error"]["status"]), ("faulted", &json!(408)), "{ended:#}");
    let left = std::fs::read_dir("/proc").expect("a process list").flatten().any(|process| {
        std::fs::read(process.path().join("cmdline"))
            .unwrap_or_default()
            .split(|b| *b == 0)
            .any(|part| part == nap.as_bytes())
    });
    assert!(!left, "nothing of the program is left");
    let loud = json!([{"loud": {"run": {"shell": {"command": "head -c 3000000 /dev/zero | tr '\\0' x"}}}}]);
    house.workflow("loud", loud).await.expect(201);
    let ended = house.run("loud", json!({})).await;
    assert_eq!(
        (text(&ended["status"]), text(&ended["error"]["title"])),
        ("faulted", "output too large"),
        "{ended:#}"
    );
    let unknown = house
        .workflow("cobol", json!([{"x": {"run": {"script": {"language": "cobol", "code": "x"}}}}]))
        .await;
    assert_eq!(unknown.status, 422, "a language that nobody speaks is refused at publish: {}", unknown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_house_reaches_nothing() {
    // The refund's own contract names the shop, and still a loopback address needs the operator's grant.
    let shop = Shop::open().await;
    let server = Server::start(env!("CARGO_BIN_EXE_omnihub"), "", &[]).await;
    let (actions, workflow) = shop.outside.documents();
    for action in &actions {
        server.admin.post_yaml("/actions", action).await.expect(201);
    }
    server.admin.post_yaml("/workflows", &workflow).await.expect(201);
    let bob = server.principal("user:bob", &["operator"]).await;
    let goal = json!({"workflow": {"namespace": "shop", "name": "refund"}, "input": {"orderId": "1", "amount": 5, "currency": "EUR"}});
    let execution = server.admin.post("/goals", goal).await.expect(202).str("/execution_id").to_owned();
    let path = format!("/approvals?status=pending&execution={execution}");
    let asked = eventually(&bob, &path, |a| a.json["items"][0]["id"].is_string()).await;
    let body = json!({"digest": asked.json["items"][0]["digest"], "reason": "looks right"});
    bob.post(&format!("/approvals/{}/approve", asked.str("/items/0/id")), body).await.expect(200);
    let ended =
        eventually(&bob, &format!("/executions/{execution}"), |a| a.str("/status") == "faulted").await;
    assert!(ended.str("/error/type").ends_with("egress-refused"), "{}", ended.text);
    assert_eq!(shop.outside.posts(), 0);
}
