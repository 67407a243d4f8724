//! Digest, OAuth 2 and OpenID Connect against a server that demands them, and descriptions behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value as Json, json};
use testkit::{Recorder, Reply, Seen};

use super::House;
use crate::shop::text;

/// Secrets that must appear nowhere.
const PASSWORD: &str = "sesame-4711-canary";
const TOKEN: &str = "token-canary-4712";

fn get(uri: &str, authentication: Json) -> Json {
    json!([{"get": {"call": "http", "with": {"method": "get",
        "endpoint": {"uri": uri, "authentication": authentication}}}}])
}

fn parameter(header: &str, name: &str) -> String {
    let after = header.split(&format!("{name}=")).nth(1).unwrap_or_default();
    after.trim_start_matches('"').split(['"', ',']).next().unwrap_or_default().to_owned()
}

/// A server's side of RFC 7616, made without ours.
fn digest_server(seen: &Seen, algorithm: &str) -> Reply {
    let challenge = |stale: &str| {
        let value = format!(
            "Digest realm=\"shop, \\\"main\\\"\", qop=\"auth\", algorithm={algorithm}, nonce=\"n1\", opaque=\"o\"{stale}"
        );
        Reply::new(401, "{}").with("www-authenticate", &value)
    };
    let given = seen.header("authorization").to_owned();
    if !given.starts_with("Digest ") {
        return challenge("");
    }
    let hash = |text: &str| hash(algorithm, text);
    let first = hash(&format!("ann:shop, \"main\":{PASSWORD}"));
    let second = hash(&format!("{}:{}", seen.method, seen.path));
    let (nc, cnonce) = (parameter(&given, "nc"), parameter(&given, "cnonce"));
    let wanted = hash(&format!("{first}:n1:{nc}:{cnonce}:auth:{second}"));
    let right =
        parameter(&given, "response") == wanted && parameter(&given, "uri") == seen.path && cnonce.len() > 8;
    if right { Reply::new(200, "{\"ok\":\"digest\"}") } else { challenge(", stale=true") }
}

/// By the machine's own programs, so that one mistake cannot be on both sides.
fn hash(algorithm: &str, text: &str) -> String {
    use std::io::Write as _;
    let program = if algorithm == "MD5" { "md5sum" } else { "sha256sum" };
    let mut child = std::process::Command::new(program)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("coreutils");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends").stdout;
    String::from_utf8_lossy(&output).split(' ').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn digest_answers_the_challenge_and_tells_nobody_the_password() {
    let recorder = Recorder::start().await;
    recorder.answer_by(|seen, _| {
        let algorithm = if seen.path.starts_with("/md5") { "MD5" } else { "SHA-256" };
        Some(digest_server(seen, algorithm))
    });
    let at = recorder.address;
    let house = House::near(&[at.to_string()]).await;
    house.secret("shop", json!({"username": "ann", "password": PASSWORD})).await;
    house.secret("wrong", json!({"username": "ann", "password": "another-password"})).await;
    let by = |secret: &str| json!({"digest": {"use": secret}});
    for path in ["md5", "sha"] {
        let tasks = get(&format!("http://{at}/{path}/x?q=1"), by("shop"));
        house.publish(path, &["shop"], &tasks).await.expect(201);
        let ended = house.run(path, json!({})).await;
        assert_eq!(ended["output"], json!({"ok": "digest"}), "{ended:#}");
        assert!(!house.everything(&ended).await.contains(PASSWORD), "{path}");
    }
    // A write is challenged before it is done, so it arrives twice and is done once.
    let write = json!([{"put": {"call": "http", "with": {"method": "put", "body": {"a": 1},
        "endpoint": {"uri": format!("http://{at}/sha/put"), "authentication": by("shop")}}}}]);
    house.publish("write", &["shop"], &write).await.expect(201);
    assert_eq!(house.run("write", json!({})).await["output"], json!({"ok": "digest"}));
    let puts = recorder.seen_at("/sha/put");
    assert_eq!((puts.len(), puts[0].header("authorization"), puts[1].body.as_str()), (2, "", "{\"a\":1}"));
    // The wrong password is tried, and the answer is what the server said.
    house.publish("wrong", &["wrong"], &get(&format!("http://{at}/sha/w"), by("wrong"))).await.expect(201);
    let ended = house.run("wrong", json!({})).await;
    assert_eq!(ended["error"]["status"], json!(401), "{ended:#}");
    assert!(recorder.seen_at("/sha/w").len() <= 3, "no endless answering of challenges");
}

/// An authority whose tokens are numbered, and an API that takes only the newest.
fn authority(recorder: &Recorder, issued: &Arc<AtomicU32>, good: &Arc<AtomicU32>) {
    let (issued, good) = (Arc::clone(issued), Arc::clone(good));
    let at = recorder.address;
    recorder.answer_by(move |seen, _| {
        let answer = match seen.path.as_str() {
            "/realm/.well-known/openid-configuration" => Reply::new(
                200,
                &json!({"issuer": format!("http://{at}/realm"), "token_endpoint": format!("http://{at}/realm/t")})
                    .to_string(),
            ),
            "/other/.well-known/openid-configuration" => Reply::new(
                200,
                &json!({"issuer": "http://elsewhere.test", "token_endpoint": format!("http://{at}/realm/t")})
                    .to_string(),
            ),
            "/realm/t" | "/realm/oauth2/token" => {
                if !(seen.body.contains(PASSWORD) || seen.header("authorization").starts_with("Basic ")) {
                    // It tells back what it was told: that must reach nobody.
                    let told = json!({"error": "invalid_client", "error_description": format!("not {}", seen.body)});
                    return Some(Reply::new(401, &told.to_string()));
                }
                let number = issued.fetch_add(1, Ordering::SeqCst) + 1;
                good.store(number, Ordering::SeqCst);
                let token = format!("{TOKEN}-{number}");
                Reply::new(200, &json!({"access_token": token, "token_type": "Bearer", "expires_in": 300}).to_string())
            }
            _ => {
                let wanted = format!("Bearer {TOKEN}-{}", good.load(Ordering::SeqCst));
                if seen.header("authorization") == wanted {
                    // A careless API that repeats the token.
                    Reply::new(200, &json!({"ok": seen.path, "you": seen.header("authorization")}).to_string())
                } else {
                    Reply::new(401, "{}")
                }
            }
        };
        Some(answer)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_asked_for_kept_and_replaced_once() {
    let recorder = Recorder::start().await;
    let (issued, good) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    authority(&recorder, &issued, &good);
    let at = recorder.address;
    let house = House::near(&[at.to_string()]).await;
    let realm = format!("http://{at}/realm");
    let client = json!({"id": "engine", "secret": PASSWORD});
    house.secret("plain", json!({"authority": realm, "client": client, "scopes": ["read", "write"]})).await;
    let tasks = get(&format!("http://{at}/api/a"), json!({"oauth2": {"use": "plain"}}));
    house.publish("plain", &["plain"], &tasks).await.expect(201);

    let ended = house.run("plain", json!({})).await;
    assert_eq!(ended["output"], json!({"ok": "/api/a", "you": "Bearer [secret]"}), "{ended:#}");
    let asked = recorder.seen_at("/realm/oauth2/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].body,
        format!("grant_type=client_credentials&scope=read+write&client_id=engine&client_secret={PASSWORD}")
    );
    let all = house.everything(&ended).await;
    assert!(!all.contains(PASSWORD) && !all.contains(TOKEN), "a secret is told somewhere");

    // Kept: not asked for again. Taken back: asked for once more, and the call is repeated once.
    house.run("plain", json!({})).await;
    assert_eq!(issued.load(Ordering::SeqCst), 1);
    good.store(99, Ordering::SeqCst);
    let before = recorder.seen_at("/api/a").len();
    let ended = house.run("plain", json!({})).await;
    assert_eq!(ended["output"]["ok"], "/api/a", "{ended:#}");
    assert_eq!((issued.load(Ordering::SeqCst), recorder.seen_at("/api/a").len() - before), (2, 2));

    // By discovery, with basic authentication of the client; and a configuration of somebody else is not believed.
    let basic = json!({"id": "engine", "secret": PASSWORD, "authentication": "client_secret_basic"});
    house.secret("found", json!({"authority": realm, "client": basic, "audiences": ["api"]})).await;
    house
        .publish("found", &["found"], &get(&format!("http://{at}/api/b"), json!({"oidc": {"use": "found"}})))
        .await
        .expect(201);
    assert_eq!(house.run("found", json!({})).await["output"]["ok"], "/api/b");
    let asked = recorder.seen_at("/realm/t").pop().expect("a token was asked for");
    assert_eq!(asked.body, "grant_type=client_credentials&audience=api");
    house.secret("other", json!({"authority": format!("http://{at}/other"), "client": basic})).await;
    house
        .publish("other", &["other"], &get(&format!("http://{at}/api/c"), json!({"oidc": {"use": "other"}})))
        .await
        .expect(201);
    let ended = house.run("other", json!({})).await;
    assert_eq!(ended["error"]["status"], json!(401), "{ended:#}");
    assert!(text(&ended["error"]["type"]).ends_with("/authentication"), "{ended:#}");
    assert!(recorder.seen_at("/api/c").is_empty(), "nothing is sent without the token");

    // A refused client: the call is never made, and what the authority repeats is masked.
    let bad = json!({"id": "engine", "secret": "wrong-secret-canary"});
    house.secret("bad", json!({"authority": realm, "client": bad})).await;
    house
        .publish("bad", &["bad"], &get(&format!("http://{at}/api/d"), json!({"oauth2": {"use": "bad"}})))
        .await
        .expect(201);
    let ended = house.run("bad", json!({})).await;
    assert!(text(&ended["error"]["detail"]).contains("invalid_client"), "{ended:#}");
    assert!(!house.everything(&ended).await.contains("wrong-secret-canary"));
    assert!(recorder.seen_at("/api/d").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_not_allowed_is_never_asked() {
    let (recorder, elsewhere) = (Recorder::start().await, Recorder::start().await);
    let house = House::near(&[recorder.address.to_string()]).await;
    let client = json!({"id": "engine", "secret": PASSWORD});
    house
        .secret("far", json!({"authority": format!("http://{}", elsewhere.address), "client": client}))
        .await;
    let tasks = get(&format!("http://{}/api", recorder.address), json!({"oauth2": {"use": "far"}}));
    house.publish("far", &["far"], &tasks).await.expect(201);
    let ended = house.run("far", json!({})).await;
    assert!(text(&ended["error"]["type"]).ends_with("/errors/egress-refused"), "{ended:#}");
    assert!(elsewhere.seen().is_empty() && recorder.seen().is_empty());
    // A stop of its host: nothing is asked there, nothing is sent, and somebody is told in the end.
    let house = House::near(&[recorder.address.to_string(), elsewhere.address.to_string()]).await;
    house
        .secret("far", json!({"authority": format!("http://{}", elsewhere.address), "client": client}))
        .await;
    house.publish("far", &["far"], &tasks).await.expect(201);
    let stop = json!({"on": true, "reason": "test", "scope": {"target": elsewhere.address.to_string()}});
    house.server.admin.put("/controls/kill-switch", stop).await.expect(200);
    let ended = house.run("far", json!({})).await;
    assert!(text(&ended["explanation"]).contains("no token"), "{ended:#}");
    assert!(elsewhere.seen().is_empty() && recorder.seen().is_empty());
    // Inline, what can be known at publish is refused at publish.
    let cases = [
        (
            json!({"oauth2": {"authority": "https://a.test", "grant": "authorization_code", "client": client}}),
            "OH-1084",
        ),
        (json!({"oauth2": {"authority": "https://a.test"}}), "OH-1084"),
        (json!({"oidc": {"authority": "https://{realm}.test", "client": client}}), "OH-1039"),
        (json!({"oauth2": {"use": "unlisted"}}), "OH-1033"),
    ];
    for (authentication, code) in cases {
        let tasks = get("https://a.test/x", authentication);
        let refused = house.publish("refused", &[], &tasks).await.expect(422);
        assert!(refused.text.contains(code), "{code}: {}", refused.text);
    }
}

/// The description of an API with one operation.
fn description(at: std::net::SocketAddr) -> String {
    json!({"openapi": "3.1.0", "servers": [{"url": format!("http://{at}")}],
        "paths": {"/orders": {"get": {"operationId": "list"}}}})
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_are_fetched_with_credentials_and_obey_the_controls() {
    let recorder = Recorder::start().await;
    let at = recorder.address;
    recorder.answer_by(move |seen, _| {
        if seen.path != "/openapi.json" {
            return None;
        }
        let wanted = format!("Bearer {TOKEN}");
        Some(if seen.header("authorization") == wanted {
            Reply::new(200, &description(at))
        } else {
            Reply::new(401, "{}")
        })
    });
    let house = House::near(&[at.to_string()]).await;
    house.secret("docs", json!({"token": TOKEN})).await;
    let tasks = |endpoint: Json| json!([{"list": {"call": "openapi", "with": {"document": {"endpoint": endpoint}, "operationId": "list"}}}]);
    let uri = format!("http://{at}/openapi.json");
    let with = tasks(json!({"uri": uri, "authentication": {"bearer": {"use": "docs"}}}));

    // The kill switch and the allow-list hold for publishing, too.
    let admin = &house.server.admin;
    admin.put("/controls/kill-switch", json!({"on": true, "reason": "test"})).await.expect(200);
    house.publish("api", &["docs"], &with).await.expect(503);
    admin.put("/controls/kill-switch", json!({"on": false, "reason": "test"})).await.expect(200);
    let only = json!({"on": true, "reason": "test", "operations": ["run:shell"]});
    admin.put("/controls/allow-list", only).await.expect(200);
    let refused = house.publish("api", &["docs"], &with).await.expect(422);
    assert!(refused.text.contains("the allow-list does not hold"), "{}", refused.text);
    admin.put("/controls/allow-list", json!({"on": false, "reason": "test"})).await.expect(200);
    let stop = json!({"on": true, "reason": "test", "scope": {"target": "127.0.0.1"}});
    admin.put("/controls/kill-switch", stop).await.expect(200);
    house.publish("api", &["docs"], &with).await.expect(422);
    let lift = json!({"on": false, "reason": "test", "scope": {"target": "127.0.0.1"}});
    admin.put("/controls/kill-switch", lift).await.expect(200);
    assert!(recorder.seen().is_empty(), "a control was not obeyed");

    let refused = house.publish("api", &["docs"], &tasks(json!(uri))).await.expect(422);
    assert!(refused.text.contains("the answer was 401"), "{}", refused.text);
    house.publish("api", &["docs"], &with).await.expect(201);
    assert_eq!(house.run("api", json!({})).await["output"], json!({"ok": true}));
    let audit = admin.get("/audit?action=secret.used").await.expect(200);
    assert_eq!(audit.json["items"][0]["record"]["resource"], json!("secrets/docs"), "{}", audit.text);
    // An expression has no value yet when it is published.
    let later = tasks(json!({"uri": uri, "authentication": {"bearer": {"token": "${ .token }"}}}));
    assert!(house.publish("later", &[], &later).await.expect(422).text.contains("OH-1039"));
}

/// Runs one of the machine's own programs.
fn machine(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it is installed");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_what_it_proves_itself_with() {
    let recorder = Recorder::start().await;
    recorder.answer_by(|seen, _| {
        Some(match seen.path.as_str() {
            "/oauth2/token" => {
                Reply::new(200, &json!({"access_token": TOKEN, "token_type": "Bearer"}).to_string())
            }
            _ => Reply::new(200, "{\"ok\":true}"),
        })
    });
    let at = recorder.address;
    let house = House::near(&[at.to_string()]).await;
    let shared = "shared-secret-canary-0123456789abcdef";
    let key =
        String::from_utf8(machine("openssl", &["genpkey", "-algorithm", "ED25519"], b"")).expect("a key");
    let with = |client: Json| json!({"authority": format!("http://{at}"), "client": client});
    let by_key = json!({"id": "me", "authentication": "private_key_jwt", "key": key, "keyId": "k1"});
    let by_secret = json!({"id": "me", "authentication": "client_secret_jwt", "secret": shared});
    for (name, client) in [("key", by_key), ("shared", by_secret)] {
        house.secret(name, with(client)).await;
        let tasks = get(&format!("http://{at}/{name}"), json!({"oauth2": {"use": name}}));
        house.publish(name, &[name], &tasks).await.expect(201);
        let ended = house.run(name, json!({})).await;
        assert_eq!(ended["output"], json!({"ok": true}), "{ended:#}");
        let told = house.everything(&ended).await;
        assert!(!told.contains(shared) && !told.contains(key.lines().nth(1).expect("a line")), "{name}");
    }
    let asked: Vec<String> = recorder
        .seen()
        .iter()
        .filter(|seen| seen.path == "/oauth2/token")
        .map(|seen| seen.body.clone())
        .collect();
    assert_eq!(asked.len(), 2);
    let field = |form: &str, name: &str| {
        let found = url::form_urlencoded::parse(form.as_bytes()).find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let check = "import sys, json, base64, hmac, hashlib\n\
        def part(text): return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))\n\
        head, claims, signature = sys.stdin.read().split('.')\n\
        good = hmac.compare_digest(hmac.new(sys.argv[1].encode(), (head + '.' + claims).encode(), hashlib.sha256).digest(), part(signature)) if len(sys.argv) > 1 else None\n\
        print(json.dumps({'head': json.loads(part(head)), 'claims': json.loads(part(claims)), 'good': good, 'signature': part(signature).hex()}))";
    for (form, algorithm) in asked.iter().zip(["EdDSA", "HS256"]) {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(
            (field(form, "client_assertion_type").as_str(), field(form, "client_id").as_str()),
            (kind, "me")
        );
        assert_eq!(field(form, "client_secret"), "", "it is never sent");
        let assertion = field(form, "client_assertion");
        let secret = if algorithm == "HS256" { vec!["-c", check, shared] } else { vec!["-c", check] };
        let read = machine("python3", &secret, assertion.as_bytes());
        let read: Json = serde_json::from_slice(&read).expect("what it read");
        assert_eq!(text(&read["head"]["alg"]), algorithm, "{read:#}");
        assert_eq!(text(&read["claims"]["aud"]), format!("http://{at}/oauth2/token"), "{read:#}");
        assert_eq!((text(&read["claims"]["iss"]), text(&read["claims"]["sub"])), ("me", "me"), "{read:#}");
        if algorithm == "HS256" {
            assert_eq!(read["good"], json!(true), "{read:#}");
            continue;
        }
        assert_eq!(text(&read["head"]["kid"]), "k1");
        let files = tempfile::tempdir().expect("a directory");
        let at = |name: &str| files.path().join(name).display().to_string();
        let (signed, _) = assertion.rsplit_once('.').expect("a signature");
        let signature = hex::decode(text(&read["signature"])).expect("hexadecimal");
        for (name, bytes) in
            [("key", key.as_bytes()), ("signed", signed.as_bytes()), ("signature", signature.as_slice())]
        {
            std::fs::write(at(name), bytes).expect("a file");
        }
        machine("openssl", &["pkey", "-in", &at("key"), "-pubout", "-out", &at("public")], b"");
        // Ends with an error when the signature is not good.
        let arguments = [
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            &at("public"),
            "-rawin",
            "-in",
            &at("signed"),
            "-sigfile",
            &at("signature"),
        ];
        machine("openssl", &arguments, b"");
    }
}
