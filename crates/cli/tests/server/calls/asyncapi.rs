//! `call: asyncapi` over HTTP and WebSocket, against a server that describes itself.

use serde_json::{Value as Json, json};
use testkit::Feed;

use super::House;
use crate::shop::text;

const TOKEN: &str = "feed-token-canary";

fn said() -> Vec<Json> {
    (1..=6).map(|n| json!({"n": n, "user": if n % 2 == 0 { "ann" } else { "eve" }})).collect()
}

struct Shop {
    house: House,
    feed: Feed,
}

impl Shop {
    async fn open() -> Self {
        let feed = Feed::start(said()).await;
        let house = House::near(&[feed.address.to_string()]).await;
        house.secret("feed", json!({"token": TOKEN})).await;
        Self { house, feed }
    }

    fn task(&self, language: &str, more: Json) -> Json {
        let mut with =
            json!({"document": {"endpoint": format!("http://{}/{language}.json", self.feed.address)}});
        with.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!([{"call": {"call": "asyncapi", "with": with}}])
    }

    async fn run(&self, name: &str, language: &str, more: Json) -> Json {
        self.house.publish(name, &["feed"], &self.task(language, more)).await.expect(201);
        self.house.run(name, json!({"user": "ann"})).await
    }
}

fn numbers(ended: &Json) -> Vec<i64> {
    let messages = ended["output"].as_array().unwrap_or_else(|| panic!("no list: {ended:#}"));
    messages.iter().filter_map(|message| message["payload"]["n"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_taken_until_it_is_enough() {
    let shop = Shop::open().await;
    let by = json!({"bearer": {"use": "feed"}});
    let take = |consume: Json| json!({"operation": "news", "subscription": {"consume": consume}});
    // The filter sees the task's own variables and the message with its correlation.
    let filtered = json!({"operation": "news", "protocol": "ws", "authentication": by, "subscription": {
        "filter": "${ .correlationId == $input.user and .payload.n > 1 }", "consume": {"amount": 2}}});
    let ended = shop.run("amount", "two", filtered).await;
    assert_eq!(numbers(&ended), [2, 4], "{ended:#}");
    assert_eq!(
        ended["output"][0],
        json!({"payload": {"n": 2, "user": "ann"}, "headers": {}, "correlationId": "ann"})
    );
    assert_eq!(shop.feed.opened(), [format!("Bearer {TOKEN}")]);
    assert!(!shop.house.everything(&ended).await.contains(TOKEN), "the token is told somewhere");
    assert!(ended["effects"].to_string().contains("asyncapi:receive"), "{ended:#}");

    let going = shop
        .run(
            "while",
            "three",
            json!({"operation": "hear", "subscription": {"consume": {"while": "${ length < 3 }"}}}),
        )
        .await;
    assert_eq!(numbers(&going), [1, 2, 3]);
    let until = shop.run("until", "two", take(json!({"until": "${ any(.[]; .payload.n == 4) }"}))).await;
    assert_eq!(numbers(&until), [1, 2, 3, 4]);
    // Time ends it with what there is; without it, the end of the stream is no answer to a number.
    let time =
        shop.run("for", "two", take(json!({"for": {"milliseconds": 300}, "while": "${ true }"}))).await;
    assert_eq!(numbers(&time), [1, 2, 3, 4, 5, 6]);
    let channel = json!({"channel": "/short", "subscription": {"consume": {"while": "${ true }"}}});
    assert_eq!(numbers(&shop.run("short", "two", channel).await).len(), 6);
    // Over HTTP the same, from events.
    let events = json!({"operation": "events", "subscription": {"filter": "${ .payload.user == \"eve\" }", "consume": {"amount": 2}}});
    assert_eq!(numbers(&shop.run("events", "two", events).await), [1, 3]);
    let broken = shop.run("broken", "two", take(json!({"while": "${ 5 }"}))).await;
    assert_eq!(broken["error"]["status"], json!(400), "{broken:#}");
    assert!(text(&broken["error"]["type"]).ends_with("/expression"), "{broken:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_gone_through_one_by_one() {
    let shop = Shop::open().await;
    let each = json!({"operation": "news", "subscription": {"consume": {"amount": 3}, "foreach": {"item": "message", "at": "i",
        "do": [{"note": {"set": {"last": "${ $message.payload.n * 10 + $i }"}}}],
        "export": {"as": "${ $context + {(\"m\" + ($i | tostring)): .last} }"}}}});
    let ended = shop.run("each", "two", each).await;
    assert_eq!(ended["output"], json!({"last": 32}), "{ended:#}");
    assert_eq!(ended["context"], json!({"m0": 10, "m1": 21, "m2": 32}), "{ended:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_sent_and_what_is_not_confirmed_is_unknown() {
    let shop = Shop::open().await;
    let tell = json!({"operation": "tell", "message": {"payload": {"to": "${ .user }"}}, "authentication": {"bearer": {"use": "feed"}}});
    let ended = shop.run("tell", "two", tell).await;
    assert_eq!((text(&ended["status"]), &ended["output"]), ("completed", &Json::Null), "{ended:#}");
    assert_eq!(shop.feed.received(), ["{\"to\":\"ann\"}"]);
    let order = json!({"operation": "order", "server": {"name": "web", "variables": {"id": "a/7"}},
        "message": {"payload": {"total": 5}, "headers": {"X-Tag": "t"}}});
    let ended = shop.run("order", "two", order).await;
    assert_eq!(text(&ended["status"]), "completed", "{ended:#}");
    assert_eq!(shop.feed.received()[1], "a/7 application/vnd.shop+json t {\"total\":5}");
    assert!(ended["effects"].to_string().contains("http:POST"), "it is a request like any other");
    // The message arrived, and nobody can know it: a person decides.
    let rude = json!({"operation": "rude", "message": {"payload": {"x": 1}}});
    let ended = shop.run("rude", "two", rude).await;
    assert_eq!(shop.feed.received()[2], "{\"x\":1}");
    assert_eq!(text(&ended["status"]), "suspended", "{ended:#}");
    assert_eq!(shop.feed.received().len(), 3, "it is not sent again by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_and_mistakes_are_refused_at_publish() {
    let shop = Shop::open().await;
    let payload = json!({"payload": {}});
    let cases = [
        (json!({"operation": "old", "message": payload}), "OH-1087", "`kafka` is not spoken"),
        (
            json!({"operation": "tell", "protocol": "mqtt5", "message": payload}),
            "OH-1087",
            "`mqtt5` is not spoken",
        ),
        (json!({"operation": "tel", "message": payload}), "OH-1081", "did you mean `tell`?"),
        (json!({"channel": "/inn", "message": payload}), "OH-1081", "did you mean `/in`?"),
        (json!({"operation": "order", "message": payload}), "OH-1082", "needs the variable `id`"),
        (
            json!({"operation": "tell", "message": {"payload": {}, "headers": {"a": "b"}}}),
            "OH-1082",
            "has no headers",
        ),
        (json!({"operation": "${ .x }", "message": payload}), "OH-1081", "written out"),
        (json!({"operation": "news", "subscription": {"consume": {"amount": 5000}}}), "OH-1013", "1 to 1000"),
    ];
    for (more, code, says) in cases {
        let refused = shop.house.publish("wrong", &[], &shop.task("two", more)).await.expect(422);
        assert!(
            refused.text.contains(code) && refused.text.contains(says),
            "{code} {says}: {}",
            refused.text
        );
    }
    let gone = shop
        .house
        .publish("gone", &[], &shop.task("none", json!({"operation": "x", "message": payload})))
        .await;
    assert!(gone.expect(422).text.contains("OH-1080"));
}
