//! `call: grpc` against a service of its own, plain and behind TLS.

use serde_json::{Value as Json, json};
use testkit::{GREETER, Greeter, Recorder, Reply};

use super::House;
use crate::shop::text;

const TOKEN: &str = "grpc-token-canary";

struct Shop {
    house: House,
    greeter: Greeter,
    recorder: Recorder,
}

impl Shop {
    async fn open() -> Self {
        let (greeter, recorder) = (Greeter::start().await, Recorder::start().await);
        recorder.reply("/greet.proto", [Reply::new(200, GREETER).with("content-type", "text/plain")]);
        let house = House::near(&[greeter.address.to_string(), recorder.address.to_string()]).await;
        Self { house, greeter, recorder }
    }

    /// A task that calls `method`.
    fn task(&self, method: &str, arguments: Json, authentication: Option<Json>) -> Json {
        let mut service =
            json!({"name": "shop.Greeter", "host": "127.0.0.1", "port": self.greeter.address.port()});
        if let Some(authentication) = authentication {
            service["authentication"] = authentication;
        }
        json!({"call": "grpc", "with": {"proto": {"endpoint": format!("http://{}/greet.proto", self.recorder.address)},
            "service": service, "method": method, "arguments": arguments}})
    }

    async fn publish(&self, name: &str, task: Json) {
        self.house.publish(name, &["shop"], &json!([{"call": task}])).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_is_called_by_its_pinned_description() {
    let shop = Shop::open().await;
    shop.house.secret("shop", json!({"token": TOKEN})).await;
    let by = Some(json!({"bearer": {"use": "shop"}}));
    shop.publish("greet", shop.task("Greet", json!({"name": "${ .name }"}), by)).await;
    // What is published stays what it is when the description changes or goes.
    shop.recorder.reply("/greet.proto", [Reply::new(404, "gone")]);
    let ended = shop.house.run("greet", json!({"name": "ann"})).await;
    assert_eq!(ended["output"], json!({"text": "hello ann", "n": 1}), "{ended:#}");
    let calls = shop.greeter.calls();
    assert_eq!((calls.len(), calls[0].path.as_str()), (1, "/shop.Greeter/Greet"));
    assert_eq!(calls[0].header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(calls[0].header("content-type"), "application/grpc+proto");
    assert!(calls[0].header("grpc-timeout").ends_with('m'), "{:?}", calls[0].headers);
    assert!(!shop.house.everything(&ended).await.contains(TOKEN), "the token is told somewhere");
    let fetched = shop.recorder.seen_at("/greet.proto").len();
    assert_eq!(fetched, 1, "the description is asked for at publish alone");
    // It is an unreviewed write, and named for allow-lists and policies.
    let effects = &ended["effects"];
    assert!(effects.to_string().contains("grpc:shop.Greeter/Greet"), "{ended:#}");
    // A message that does not fit is never sent.
    let ended = shop.house.run("greet", json!({"name": 5})).await;
    assert_eq!(ended["error"]["status"], json!(400), "{ended:#}");
    assert_eq!(shop.greeter.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_collected_and_statuses_have_one_meaning() {
    let shop = Shop::open().await;
    shop.publish("many", shop.task("Many", json!({"name": "a", "n": 3}), None)).await;
    let ended = shop.house.run("many", json!({})).await;
    assert_eq!(
        ended["output"],
        json!([{"text": "hello a", "n": 1}, {"text": "hello a", "n": 2}, {"text": "hello a", "n": 3}])
    );
    let cases = [
        (3, "validation", 400),
        (5, "communication", 404),
        (7, "authorization", 403),
        (16, "authentication", 401),
        (9, "validation", 400),
    ];
    for (code, kind, status) in cases {
        let name = format!("fail-{code}");
        shop.publish(&name, shop.task("Fail", json!({"n": code}), None)).await;
        let ended = shop.house.run(&name, json!({})).await;
        assert_eq!(
            (text(&ended["status"]), &ended["error"]["status"]),
            ("faulted", &json!(status)),
            "{ended:#}"
        );
        assert!(text(&ended["error"]["type"]).ends_with(kind), "{code}: {ended:#}");
        assert!(text(&ended["error"]["detail"]).contains("not today"), "{code}: {ended:#}");
        assert_eq!(text(&ended["outcome"]), "failed", "{code}");
    }
    // A contract says that it only looks: tried again when the service is not there, and then it waits for somebody.
    let host = shop.greeter.address;
    let action = json!({"action": "look:1.0.0", "effect": "read", "class": "read", "hosts": [host.to_string()],
        "retries": 1, "run": shop.task("Fail", json!({"n": "${ .n }"}), None)});
    shop.house.server.admin.post_yaml("/actions", &action.to_string()).await.expect(201);
    shop.house
        .publish("look", &[], &json!([{"a": {"call": "look:1.0.0", "with": {"n": 14}}}]))
        .await
        .expect(201);
    let before = shop.greeter.calls().len();
    let ended = shop.house.run("look", json!({})).await;
    assert!(text(&ended["explanation"]).contains("UNAVAILABLE: not today"), "{ended:#}");
    assert_eq!(shop.greeter.calls().len() - before, 2, "a read is tried once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_called_is_not_published() {
    let shop = Shop::open().await;
    shop.recorder
        .reply("/other.proto", [Reply::new(200, "import \"x.proto\";").with("content-type", "text/plain")]);
    let with = |change: &dyn Fn(&mut Json)| {
        let mut task = shop.task("Greet", json!({}), None);
        change(&mut task["with"]);
        json!([{"call": task}])
    };
    type Change<'a> = &'a dyn Fn(&mut Json);
    let cases: [(Change<'_>, &str, &str); 7] = [
        (&|w| w["method"] = json!("In"), "OH-1086", "takes a stream"),
        (&|w| w["method"] = json!("Gret"), "OH-1081", "did you mean `Greet`?"),
        (&|w| w["service"]["name"] = json!("shop.Greter"), "OH-1081", "did you mean `shop.Greeter`?"),
        (&|w| w["method"] = json!("${ .method }"), "OH-1081", "written out"),
        (
            &|w| w["service"]["authentication"] = json!({"digest": {"username": "a", "password": "b"}}),
            "OH-1084",
            "challenge",
        ),
        (&|w| w["proto"] = json!({"endpoint": "file:///etc/greet.proto"}), "OH-1039", "http"),
        (
            &|w| w["proto"]["endpoint"] = json!(format!("http://{}/other.proto", shop.recorder.address)),
            "OH-1080",
            "holds everything",
        ),
    ];
    for (change, code, says) in cases {
        let refused = shop.house.publish("wrong", &[], &with(change)).await.expect(422);
        assert!(
            refused.text.contains(code) && refused.text.contains(says),
            "{code} {says}: {}",
            refused.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_the_rule_and_its_certificate_is_checked() {
    let (greeter, recorder) = (Greeter::start_encrypted().await, Recorder::start().await);
    recorder.reply("/greet.proto", [Reply::new(200, GREETER).with("content-type", "text/plain")]);
    let directory = tempfile::TempDir::new().expect("a directory");
    let authority = directory.path().join("ca.pem");
    std::fs::write(&authority, &greeter.authority).expect("it is written");
    let host = format!("localhost:{}", greeter.address.port());
    let hosts = [host, recorder.address.to_string()];
    let task = |tls: bool| {
        json!([{"call": {"metadata": {"omnihub": {"tls": tls}}, "call": "grpc", "with": {
        "proto": {"endpoint": format!("http://{}/greet.proto", recorder.address)},
        "service": {"name": "shop.Greeter", "host": "localhost", "port": greeter.address.port()},
        "method": "Greet", "arguments": {"name": "ann"}}}}])
    };
    let trusting = House::near_with(&hosts, &format!("egress.extra_ca = {:?}\n", authority)).await;
    trusting.publish("greet", &[], &task(true)).await.expect(201);
    let ended = trusting.run("greet", json!({})).await;
    assert_eq!(ended["output"]["text"], json!("hello ann"), "{ended:#}");
    let doubting = House::near(&hosts).await;
    doubting.publish("greet", &[], &task(true)).await.expect(201);
    let ended = doubting.run("greet", json!({})).await;
    assert!(text(&ended["explanation"]).contains("invalid peer certificate"), "{ended:#}");
    assert_eq!(greeter.calls().len(), 1, "nothing is said to who cannot prove who it is");
}
