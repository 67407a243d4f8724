//! The API under attack: no token, another tenant, wrong types, hostile bytes, hostile expressions.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Fault, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::shop::{Shop, eventually, text};

/// Most memory that the server may ever have held, in KiB (600 MB).
const MEMORY_KIB_MAX: u64 = 600_000;
/// Most bytes of a raw answer that are looked at.
const RAW_BYTES_MAX: u64 = 1 << 20;

/// One operation of the published description.
struct Operation {
    method: String,
    path: String,
    id: String,
    /// Content type and an example that works.
    body: Option<(String, Json)>,
}

impl Operation {
    fn filled(&self, fill: impl Fn(&str) -> String) -> String {
        let parts = self.path.split('/').map(|part| match part.strip_prefix('{') {
            Some(name) => fill(name.trim_end_matches('}')),
            None => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// Sends the example, or another JSON body.
    async fn send(&self, client: &Client, path: &str, body: Option<&Json>) -> Answer {
        let (kind, json) = match (&self.body, body) {
            (Some((kind, example)), body) => (kind.as_str(), body.unwrap_or(example)),
            (None, _) => return client.send(&self.method, path, &[], Bytes::new()).await,
        };
        let bytes = match json {
            Json::String(document) if kind != "application/json" => document.clone(),
            json => json.to_string(),
        };
        client.send(&self.method, path, &[("content-type", kind)], bytes.into()).await
    }
}

async fn operations(client: &Client) -> Vec<Operation> {
    let api = client.send("GET", "/openapi.json", &[], Bytes::new()).await.expect(200).json;
    let mut all = Vec::new();
    for (path, item) in
        api["paths"].as_object().expect("paths").iter().filter(|(path, _)| path.starts_with("/api/"))
    {
        for (method, operation) in item.as_object().expect("operations") {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let body = example(&api, operation);
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                id: id.to_owned(),
                body,
            });
        }
    }
    assert!(all.len() >= 50, "only {} operations", all.len());
    all
}

fn example(api: &Json, operation: &Json) -> Option<(String, Json)> {
    let content = operation["requestBody"]["content"].as_object()?;
    content.iter().find_map(|(kind, media)| {
        let schema = media["schema"]["$ref"].as_str().and_then(|r| api.pointer(r.trim_start_matches('#')));
        let named =
            media["examples"].as_object().and_then(|all| all.values().next()).map(|one| &one["value"]);
        let example = named
            .or_else(|| media.get("example"))
            .or_else(|| schema.and_then(|schema| schema.get("example")));
        Some((kind.clone(), example?.clone()))
    })
}

/// A refusal in the one form that all have.
#[track_caller]
fn problem(answer: &Answer, at: &str) -> String {
    assert!((400..500).contains(&answer.status), "{at}: {} {}", answer.status, answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{at}: {}", answer.text);
    let code = answer.str("/code");
    assert!(
        code.starts_with("OH-") && answer.str("/type") == format!("/errors/{code}"),
        "{at}: {}",
        answer.text
    );
    assert_eq!(answer.json["status"].as_u64(), Some(u64::from(answer.status)), "{at}: {}", answer.text);
    assert!(
        !answer.str("/detail").is_empty() && !answer.str("/instance").is_empty(),
        "{at}: {}",
        answer.text
    );
    code.to_owned()
}

async fn plain() -> Server {
    Server::start(env!("CARGO_BIN_EXE_omnihub"), "", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_there_is_nothing() {
    let server = plain().await;
    let nobody = Client { address: server.admin.address, token: None };
    let stranger = server.admin.with_token("omh_0123456789abcdef0123456789abcdef");
    for operation in operations(&server.admin).await {
        let path = operation.filled(|_| "x".to_owned());
        for client in [&nobody, &stranger] {
            let answer = operation.send(client, &path, None).await;
            assert_eq!(
                (answer.status, problem(&answer, &operation.id).as_str()),
                (401, "OH-4010"),
                "{}",
                operation.id
            );
        }
    }
    for header in ["Basic YWRtaW46YWRtaW4=", "Bearer", "Bearer ", "bearer x y", "Token x"] {
        let answer = nobody.send("GET", "/api/v1/whoami", &[("authorization", header)], Bytes::new()).await;
        assert_eq!(answer.status, 401, "{header}: {}", answer.text);
    }
    let by_query = nobody
        .send(
            "GET",
            &format!("/api/v1/whoami?token={}", server.admin.token.as_deref().unwrap_or_default()),
            &[],
            Bytes::new(),
        )
        .await;
    assert_eq!(by_query.status, 401, "a token never goes in a URL");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_things_do_not_exist() {
    let shop = Shop::open().await;
    let admin = &shop.server.admin;
    shop.outside.fault(Fault::Down);
    let parked = shop.ask().await;
    shop.approve(&parked).await.expect(200);
    let waiting = shop.ask().await;
    let approval = shop.approval_of(&waiting).await;
    admin.put("/secrets/theirs", json!({"token": "x"})).await.expect(204);
    let letters =
        eventually(&shop.bob, "/dead-letters?open=true", |a| a.json["items"][0]["id"].is_string()).await;
    let letter = letters.str("/items/0/id").to_owned();
    let token = admin.get("/tokens").await.expect(200).str("/items/0/id").to_owned();
    let policies = admin.get("/policies").await.expect(200);
    let eve = shop.server.principal_in("acme", "user:eve", "user", &["admin"]).await;

    let theirs = |operation: &Operation, name: &str| match (
        operation.path.split('/').nth(3).unwrap_or_default(),
        name,
    ) {
        ("executions", "id") => waiting.clone(),
        ("approvals", _) => text(&approval["id"]).to_owned(),
        ("dead-letters", _) => letter.clone(),
        ("tokens", _) => token.clone(),
        ("secrets", _) => "theirs".to_owned(),
        ("workflows", "namespace") => "shop".to_owned(),
        ("workflows", "name") => "refund".to_owned(),
        ("workflows", _) => "1.0.0".to_owned(),
        ("actions", _) => "refund-create:1.0.0".to_owned(),
        ("audit", _) => "0".to_owned(),
        _ => "nothing".to_owned(),
    };
    // What each tenant has of its own, and what is planned.
    let own = [
        "controls.get",
        "controls.set",
        "policies.put",
        "policies.shadow.put",
        "secrets.put",
        "limits.put",
        "retention.put",
        "executions.rewind",
        "executions.fork",
        "executions.signal",
    ];
    let mut walked = 0;
    for operation in operations(admin).await {
        if !operation.path.contains('{') || own.contains(&operation.id.as_str()) {
            continue;
        }
        let path = operation.filled(|name| theirs(&operation, name));
        let answer = operation.send(&eve, &path, None).await;
        assert_eq!(answer.status, 404, "{} {path}: {}", operation.id, answer.text);
        problem(&answer, &operation.id);
        walked += 1;
    }
    assert!(walked >= 18, "{walked}");
    for path in ["/executions", "/approvals", "/dead-letters", "/workflows", "/actions", "/secrets"] {
        assert_eq!(eve.get(path).await.expect(200).json["items"], json!([]), "{path}");
    }
    for path in ["/tokens", "/overview", "/tenants"] {
        let seen = eve.get(path).await.expect(200);
        for word in ["user:alice", "refund", &waiting, "default\""] {
            assert!(!seen.text.contains(word), "{path} shows {word}: {}", seen.text);
        }
    }
    let goal = json!({"workflow": {"namespace": "shop", "name": "refund"}, "input": {}});
    let unknown = eve.post("/goals", goal).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    let spoken = eve.post("/goals", json!({"intent": "refund order 1042, 25.00 EUR, broken"})).await;
    assert!(spoken.status == 422 && !spoken.text.contains("shop"), "{}", spoken.text);
    let mine = eve
        .post("/tokens", json!({"principal": "user:mallory", "tenant": "default", "roles": ["admin"]}))
        .await;
    assert!(matches!(mine.status, 403 | 404), "a tenant makes no tokens for another: {}", mine.text);
    // Nothing of that did anything.
    let still = shop.approval_of(&waiting).await;
    assert_eq!(still["digest"], approval["digest"]);
    assert_eq!(admin.get("/policies").await.expect(200).json, policies.json);
    assert_eq!(admin.get("/secrets").await.expect(200).json["items"], json!(["theirs"]));
    shop.bob.get("/whoami").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_every_body_is_checked() {
    let server = plain().await;
    let admin = &server.admin;
    let mut codes = BTreeSet::new();
    let (mut refused, mut sent) = (0, 0);
    for operation in operations(admin).await {
        let Some((kind, example)) = &operation.body else { continue };
        if kind != "application/json" {
            continue;
        }
        let path = operation.filled(|_| "x".to_owned());
        for pointer in pointers(example) {
            for wrong in [
                json!(null),
                json!(true),
                json!(7),
                json!(-1),
                json!(1.5),
                json!(""),
                json!("x"),
                json!("\u{202e}x"),
                json!("x".repeat(70_000)),
                json!([]),
                json!([[]]),
                json!({}),
                json!({"a": 1}),
            ] {
                let mut body = example.clone();
                let Some(place) = body.pointer_mut(&pointer) else { continue };
                if kind_of(place) == kind_of(&wrong) && !wrong.is_string() {
                    continue;
                }
                *place = wrong.clone();
                let at = format!(
                    "{} {pointer} = {}",
                    operation.id,
                    wrong.to_string().chars().take(20).collect::<String>()
                );
                let answer = operation.send(admin, &path, Some(&body)).await;
                sent += 1;
                if answer.status == 501 {
                    assert_eq!(answer.str("/code"), "OH-2900", "{at}: {}", answer.text);
                    continue;
                }
                assert!(answer.status < 500, "{at}: {} {}", answer.status, answer.text);
                if answer.status >= 400 {
                    refused += 1;
                    let code = problem(&answer, &at);
                    if code == "OH-4220" {
                        assert!(
                            answer.str("/fields/0/field").starts_with('/'),
                            "{at} names no field: {}",
                            answer.text
                        );
                    }
                    codes.insert(code);
                }
            }
        }
        let mut more = example.clone();
        if let Some(members) = more.as_object_mut().filter(|_| operation.id != "secrets.put") {
            members.insert("no such member".to_owned(), json!(1));
            let answer = operation.send(admin, &path, Some(&more)).await;
            assert_eq!(answer.status, 422, "{}: {}", operation.id, answer.text);
            assert_eq!(answer.str("/fields/0/field"), "/no such member", "{}: {}", operation.id, answer.text);
        }
        let unknown = operation.send(admin, &format!("{path}?no_such_parameter=1"), None).await;
        assert!(matches!(unknown.status, 400 | 501), "{}: {}", operation.id, unknown.text);
    }
    assert!(sent > 300 && refused > sent / 2, "{refused} of {sent}");
    for code in codes {
        admin.send("GET", &format!("/errors/{code}"), &[], Bytes::new()).await.expect(200);
    }
    healthy(&server).await;
}

/// Every member and element of a document, as JSON Pointers.
fn pointers(json: &Json) -> Vec<String> {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    let children: Vec<(String, &Json)> = match json {
        Json::Object(members) => members.iter().map(|(name, value)| (escape(name), value)).collect(),
        Json::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    let mut all = Vec::new();
    for (name, value) in children {
        all.push(format!("/{name}"));
        all.extend(pointers(value).into_iter().map(|below| format!("/{name}{below}")));
    }
    all
}

fn kind_of(json: &Json) -> u8 {
    match json {
        Json::Null => 0,
        Json::Bool(_) => 1,
        Json::Number(_) => 2,
        Json::String(_) => 3,
        Json::Array(_) => 4,
        Json::Object(_) => 5,
    }
}

async fn healthy(server: &Server) {
    server.admin.send("GET", "/ready", &[], Bytes::new()).await.expect(200);
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    let id = server.id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process lives");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    assert!(peak.is_some_and(|kib| kib < MEMORY_KIB_MAX), "the server held {peak:?} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_and_paths_are_ordinary_refusals() {
    let server = plain().await;
    let admin = &server.admin;
    let json = [("content-type", "application/json")];
    let deep = format!("{{\"intent\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_yaml = format!("document: {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let laughs = (1..30).fold("a0: &a0 [x]\n".to_owned(), |all, n| {
        format!("{all}a{n}: &a{n} [*a{p}, *a{p}, *a{p}, *a{p}]\n", p = n - 1)
    });
    let indented = (0..5_000).fold(String::new(), |all, n| format!("{all}{}a:\n", " ".repeat(n % 200)));
    let many = format!("{{{}}}", (0..60_000).map(|n| format!("\"m{n}\":0")).collect::<Vec<_>>().join(","));
    for (at, body) in [
        ("oversized", vec![b' '; 2 << 20]),
        ("deep", deep.into_bytes()),
        ("duplicate", br#"{"intent":"a","intent":"b"}"#.to_vec()),
        ("NUL", br#"{"intent":"a\u0000"}"#.to_vec()),
        ("lone surrogate", br#"{"intent":"\udc00"}"#.to_vec()),
        ("not UTF-8", b"{\"intent\":\"\xc0\xaf\"}".to_vec()),
        ("huge number", br#"{"workflow":{"namespace":"a","name":"b"},"input":{"a":1e400}}"#.to_vec()),
        ("long number", format!("{{\"intent\":{}}}", "9".repeat(100_000)).into_bytes()),
        ("many members", many.into_bytes()),
        ("empty", Vec::new()),
        ("BOM", b"\xef\xbb\xbf{}".to_vec()),
    ] {
        let answer = admin.send("POST", "/api/v1/goals", &json, body.into()).await;
        problem(&answer, at);
    }
    for (at, body) in [
        ("deep", deep_yaml.as_str()),
        ("laughs", &laughs),
        ("indented", &indented),
        ("tag", "document: !!python/object:os.system x"),
        ("merge", "a: &a {b: 1}\nc: {<<: *a}"),
        ("a number", "7"),
        ("bomb of documents", "---\n---\n---\n"),
    ] {
        for path in ["/workflows", "/workflows/validate", "/actions"] {
            let answer = admin.post_yaml(path, body).await;
            let checked =
                path.ends_with("validate") && answer.status == 200 && answer.json["valid"] == json!(false);
            if !checked {
                problem(&answer, &format!("{at} to {path}"));
            }
        }
    }
    for id in [
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "%ff",
        "a%0d%0ab",
        "x%20y",
        "%F0%9F%98%80",
        "-",
        "'%20OR%201=1--",
        &"x".repeat(3_000),
    ] {
        for base in
            ["executions", "approvals", "dead-letters", "policies", "actions", "audit/proof", "controls"]
        {
            let path = format!("/api/v1/{base}/{id}");
            let answer = admin.send("GET", &path, &[], Bytes::new()).await;
            assert!(matches!(answer.status, 400 | 404 | 414), "{path}: {} {}", answer.status, answer.text);
            problem(&answer, &path);
        }
    }
    for (path, status) in [
        ("/api/v1/executions/../../etc/passwd", 404),
        ("/errors/..%2f..%2fCargo.toml", 404),
        ("/assets/../Cargo.toml", 404),
        ("/api/v1/audit/proof/-1", 404),
        ("/api/v1/audit/proof/99999999999999999999", 404),
    ] {
        assert_eq!(admin.send("GET", path, &[], Bytes::new()).await.status, status, "{path}");
    }
    for (method, path, status, code) in [
        ("PATCH", "/api/v1/goals", 405, "OH-4050"),
        ("DELETE", "/api/v1/executions", 405, "OH-4050"),
        ("GET", "/api/v1/nothing", 404, "OH-4040"),
        ("BREW", "/api/v1/goals", 405, "OH-4050"),
    ] {
        let answer = admin.send(method, path, &[], Bytes::new()).await;
        assert_eq!((answer.status, answer.str("/code")), (status, code), "{method} {path}: {}", answer.text);
    }
    for kind in ["text/html", "application/xml", "application/json; charset=utf-16", "x"] {
        let answer = admin.send("POST", "/api/v1/goals", &[("content-type", kind)], "{}".into()).await;
        assert_eq!((answer.status, answer.str("/code")), (415, "OH-4150"), "{kind}: {}", answer.text);
    }
    raw_requests(&server).await;
    healthy(&server).await;
}

/// What no HTTP library would send.
async fn raw_requests(server: &Server) {
    let token = server.admin.token.clone().unwrap_or_default();
    for head in [
        "GET /api/v1/whoami HTTP/9.9\r\n\r\n".to_owned(),
        "GET  HTTP/1.1\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        format!("GET /api/v1/whoami HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(200_000)),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(200_000)),
        format!(
            "POST /api/v1/goals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!(
            "POST /api/v1/goals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: -1\r\n\r\n"
        ),
        format!(
            "POST /api/v1/goals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"
        ),
        format!(
            "POST /api/v1/goals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        ),
    ] {
        let mut stream = tokio::net::TcpStream::connect(server.admin.address).await.expect("it listens");
        // The server may hang up before everything is sent; that is an answer, too.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.take(RAW_BYTES_MAX).read_to_end(&mut answer).await;
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        assert!(
            line.is_empty() || line.starts_with("HTTP/1.1 4"),
            "{line} to {}",
            head.chars().take(120).collect::<String>()
        );
    }
}

/// Expressions that must end in an error, at publish or when they run.
const HAZARDS: &[&str] = &[
    "def f: f; f",
    "def f: 1+f; f",
    "def f: [f]; f",
    "def f(g): f(g|g); f(.)",
    "[repeat(1)]",
    "last(repeat(1))",
    "until(false; .)",
    "until(false; [.])",
    "[while(true; .)]",
    "[range(1e9)]",
    "reduce range(1e9) as $i (0; .+1)",
    "last(range(1e18))",
    "\"x\" * 3e9",
    "reduce range(60) as $i (\"ab\"; . + .)",
    "reduce range(60) as $i ([1]; . + .)",
    "reduce range(100000) as $i (1; [.])",
    "reduce range(60) as $i ([1]; [., .]) | tojson",
    "[recurse([.])]",
    "[limit(1e9; repeat(1))]",
    "setpath([1000000000]; 1)",
    ".[\"a\"] = 1 | .a[900000000] = 1",
    "[range(90000)] | [combinations(3)]",
    "env",
    "env.PATH",
    "$ENV",
    "$ENV.HOME",
    "halt",
    "halt_error",
    "input",
    "[inputs]",
    "now",
    "debug",
    "stderr",
    "input_filename",
    "input_line_number",
    "$__prog_args",
    "import \"a\" as a; 1",
    "include \"/etc/passwd\"; 1",
    "getpath([\"a\"",
    "error(\"x\")",
    "error",
    "1, 2",
    "empty",
    "$secrets.x",
    "$nothing",
    "nothing(1)",
    "localtime",
    "get_search_list",
    "ltrimstr",
    "splits",
];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_expressions_are_ordinary_errors() {
    let server = plain().await;
    let chain = (1..200)
        .fold("\"x\" as $a0".to_owned(), |all, n| format!("{all} | ($a{p}+$a{p}) as $a{n}", p = n - 1))
        + " | $a199";
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let parens = format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000));
    let minus = "-".repeat(100_000) + "1";
    let pipes = vec!["."; 100_000].join("|");
    let adds = vec!["1"; 100_000].join("+");
    let ifs = "if . then ".repeat(20_000) + "1" + &" else 2 end".repeat(20_000);
    let generated = [chain, nested, parens, minus, "(".repeat(100_000), "\"\\(".repeat(30_000)];
    let mut refused = 0;
    for text in HAZARDS.iter().copied().chain(generated.iter().map(String::as_str)) {
        refused += u32::from(!evaluated(&server, text, true).await);
    }
    // Long ones may be fine, if they end.
    let backtracking =
        ["\"a\" * 50000 | test(\"(a+)+$b\")", "(\"a\" * 100000 + \"b\") | [match(\"(a*)*c\"; \"g\")]"]
            .map(str::to_owned);
    for text in backtracking.into_iter().chain([pipes, adds, ifs]) {
        evaluated(&server, &text, false).await;
    }
    assert!(refused > 10, "{refused} were refused at publish");
    // Many at once, of the worst kind.
    let mut running = tokio::task::JoinSet::new();
    for n in 0..16 {
        let client = server.admin.clone();
        let workflow = workflow_of(&format!("many{n}"), "[range(1e9)] | length");
        running.spawn(async move {
            client.post("/workflows", workflow).await.expect(201);
            let goal = json!({"workflow": {"namespace": "test", "name": format!("many{n}")}, "input": {}});
            client.post("/goals?wait=PT30S", goal).await.expect(200).str("/status").to_owned()
        });
    }
    while let Some(status) = running.join_next().await {
        assert_eq!(status.expect("no panic"), "faulted");
    }
    // What works, works.
    for (name, text, expected) in [
        ("assign", "{} | .a.b = 1", json!({"a": {"b": 1}})),
        ("add", "[range(5)] | add", json!(10)),
        ("times", "\"x\" * 3", json!("xxx")),
    ] {
        server.admin.post("/workflows", workflow_of(name, text)).await.expect(201);
        let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": {}});
        let ended = server.admin.post("/goals?wait=PT30S", goal).await.expect(200);
        assert_eq!(ended.json["output"]["x"], expected, "{text}: {}", ended.text);
    }
    healthy(&server).await;
}

fn workflow_of(name: &str, expression: &str) -> Json {
    json!({
        "document": {"dsl": "1.0.3", "namespace": "test", "name": name, "version": "1.0.0"},
        "do": [{"x": {"set": {"x": format!("${{ {expression} }}")}}}],
    })
}

/// Publishes and runs; false when it was refused at publish. One that must fail and completes fails the test.
async fn evaluated(server: &Server, expression: &str, must_fail: bool) -> bool {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    expression.hash(&mut hasher);
    let name = format!("h{:x}", hasher.finish());
    let at: String = expression.chars().take(60).collect();
    let published = server.admin.post("/workflows", workflow_of(&name, expression)).await;
    if published.status != 201 {
        problem(&published, &at);
        return false;
    }
    let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": {}});
    let ended = server.admin.post("/goals?wait=PT30S", goal).await;
    assert_eq!(ended.status, 200, "{at} did not end: {}", ended.text);
    match ended.str("/status") {
        "faulted" => {
            assert!(ended.text.contains("xpression") || ended.text.contains("budget"), "{at}: {}", ended.text)
        }
        "completed" if !must_fail => {}
        other => panic!("{at} ended {other}: {}", ended.text.chars().take(500).collect::<String>()),
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_expressions_are_errors_wherever_they_stand() {
    let server = plain().await;
    let bad = "${ [range(1e9)] | length == 0 }";
    let set = |more: Json| {
        let mut task = json!({"set": {"x": 1}});
        task.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        task
    };
    let shell = |arguments: Json, more: &str| json!({"run": {"shell": {"command": format!("true{more}"), "arguments": arguments}}});
    for (name, task) in [
        ("if", set(json!({"if": bad}))),
        ("from", set(json!({"input": {"from": bad}}))),
        ("as", set(json!({"output": {"as": bad}}))),
        ("export", set(json!({"export": {"as": bad}}))),
        ("switch", json!({"switch": [{"one": {"when": bad, "then": "end"}}]})),
        ("in", json!({"for": {"each": "x", "in": "${ [range(1e9)] }"}, "do": [{"y": {"set": {"x": 1}}}]})),
        (
            "while",
            json!({"for": {"each": "x", "in": "${ [1] }"}, "while": bad, "do": [{"y": {"set": {"x": 1}}}]}),
        ),
        (
            "raise",
            json!({"raise": {"error": {"type": "https://example.com/e", "status": 500, "detail": bad}}}),
        ),
        ("arguments", shell(json!(["${ \"x\" * 3e9 }"]), "")),
        ("many", shell(json!("${ [range(90000) | tostring] }"), "")),
        ("endpoint", json!({"call": "http", "with": {"method": "get", "endpoint": bad}})),
        (
            "catch",
            json!({"try": [{"y": {"raise": {"error": {"type": "https://example.com/e", "status": 500}}}}], "catch": {"when": bad, "do": [{"z": {"set": {"x": 1}}}]}}),
        ),
        (
            "endless",
            json!({"for": {"each": "x", "in": "${ [range(90000)] }"}, "do": [{"y": {"for": {"each": "z", "in": "${ [range(90000)] }"}, "do": [{"y": {"set": {"x": 1}}}]}}]}),
        ),
    ] {
        let workflow = json!({"document": {"dsl": "1.0.3", "namespace": "test", "name": name, "version": "1.0.0"}, "do": [{"t": task}]});
        let published = server.admin.post("/workflows", workflow).await;
        if published.status != 201 {
            problem(&published, name);
            assert!(
                published.text.contains("OH-29") || published.text.contains("OH-10"),
                "{name}: {}",
                published.text
            );
            continue;
        }
        let goal = json!({"workflow": {"namespace": "test", "name": name}, "input": {}});
        let ended = server.admin.post("/goals?wait=PT30S", goal).await;
        assert_eq!((ended.status, ended.str("/status")), (200, "faulted"), "{name}: {}", ended.text);
    }
    healthy(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_schemas_are_refused_or_bounded() {
    let server = plain().await;
    let doubling: serde_json::Map<String, Json> = (0..40)
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            (
                format!("d{n}"),
                if n == 39 { json!({"type": "object"}) } else { json!({"allOf": [next, next]}) },
            )
        })
        .collect();
    let tree = (0..50).fold(json!({}), |inner, _| json!({"a": inner}));
    let below = json!({"properties": {"a": {"$ref": "#"}}});
    let word = "a".repeat(5_000) + "!";
    for (name, schema, input) in [
        ("doubling", json!({"$defs": doubling, "$ref": "#/$defs/d0"}), json!({})),
        ("recursive", json!({"allOf": [below, below]}), tree.clone()),
        (
            "any",
            json!({"anyOf": [{"properties": {"a": {"$ref": "#"}}, "required": ["z"]}, {"properties": {"a": {"$ref": "#"}}, "required": ["y"]}]}),
            tree,
        ),
        ("itself", json!({"$ref": "#"}), json!({})),
        ("pattern", json!({"properties": {"x": {"pattern": "^(a+)+$"}}}), json!({"x": word})),
        ("lookaround", json!({"properties": {"x": {"pattern": "^(?=(a+)+b)(a+)+$"}}}), json!({"x": word})),
        ("back reference", json!({"properties": {"x": {"pattern": "^((a+)+)\\1+$"}}}), json!({"x": word})),
        (
            "huge count",
            json!({"properties": {"x": {"pattern": "^(a{1000}){1000}{1000}$"}}}),
            json!({"x": "a"}),
        ),
        ("remote", json!({"$ref": "http://169.254.169.254/schema"}), json!({})),
        ("file", json!({"$ref": "file:///etc/passwd"}), json!({})),
        ("dynamic", json!({"$dynamicAnchor": "x", "allOf": [{"$dynamicRef": "#x"}]}), json!({})),
        (
            "unique",
            json!({"properties": {"x": {"uniqueItems": true}}}),
            json!({"x": (0..50_000).collect::<Vec<_>>()}),
        ),
    ] {
        let workflow = json!({
            "document": {"dsl": "1.0.3", "namespace": "test", "name": name.replace(' ', "-"), "version": "1.0.0"},
            "input": {"schema": {"format": "json", "document": schema}},
            "do": [{"t": {"set": {"x": 1}}}],
        });
        let published = server.admin.post("/workflows", workflow).await;
        if published.status != 201 {
            problem(&published, name);
            continue;
        }
        let goal = json!({"workflow": {"namespace": "test", "name": name.replace(' ', "-")}, "input": input});
        let began = std::time::Instant::now();
        let ended = server.admin.post("/goals?wait=PT10S", goal).await;
        assert!(ended.status < 500 && ended.status != 202, "{name}: {} {}", ended.status, ended.text);
        assert!(began.elapsed().as_secs() < 20, "{name} took {:?}", began.elapsed());
    }
    healthy(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_has_its_page() {
    let server = plain().await;
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    let nobody = Client { address: server.admin.address, token: None };
    let mut served = 0;
    for entry in std::fs::read_dir(pages).expect("the pages").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(code) = name.strip_suffix(".md").filter(|code| code.starts_with("OH-")) else { continue };
        let page = nobody.send("GET", &format!("/errors/{code}"), &[], Bytes::new()).await;
        assert_eq!(page.status, 200, "{code}: {}", page.text);
        assert!(
            page.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
                && page.text.contains(&format!("<h1>{code}")),
            "{code}: {}",
            page.text
        );
        served += 1;
    }
    assert!(served >= 70, "{served}");
}
