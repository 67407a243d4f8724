//! `call: mcp` and `call: a2a` against a server of tools and an agent.

use serde_json::{Value as Json, json};
use testkit::Tools;

use super::House;
use crate::shop::text;

const TOKEN: &str = "tools-token-canary";

struct Shop {
    house: House,
    tools: Tools,
}

impl Shop {
    async fn open() -> Self {
        let tools = Tools::start().await;
        let house = House::near(&[tools.address.to_string()]).await;
        house.secret("tools", json!({"token": TOKEN})).await;
        Self { house, tools }
    }

    fn mcp(&self, method: &str, parameters: Json) -> Json {
        let endpoint = json!({"uri": format!("http://{}/mcp", self.tools.address), "authentication": {"bearer": {"use": "tools"}}});
        json!({"call": "mcp", "with": {"method": method, "parameters": parameters, "transport": {"http": {"endpoint": endpoint}}}})
    }

    fn post(&self) -> Json {
        self.mcp("tools/call", json!({"name": "post", "arguments": {"text": "${ .text }"}}))
    }

    fn a2a(&self, method: &str, parameters: Json) -> Json {
        let card = json!({"endpoint": format!("http://{}/card.json", self.tools.address)});
        json!({"call": "a2a", "with": {"agentCard": card, "method": method, "parameters": parameters}})
    }

    async fn run(&self, name: &str, task: Json) -> Json {
        self.house.publish(name, &["tools"], &json!([{"call": task}])).await.expect(201);
        self.house.run(name, json!({"text": "hello"})).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_is_called_in_a_session_and_asks_a_person() {
    let shop = Shop::open().await;
    let ended = shop.run("post", shop.post()).await;
    assert_eq!(ended["output"]["content"][0]["text"], json!("posted hello"), "{ended:#}");
    assert!(ended["effects"].to_string().contains("mcp:tools/call"), "{ended:#}");
    let methods: Vec<String> = shop.tools.asked().into_iter().map(|asked| asked.method).collect();
    let listing = ["initialize", "notifications/initialized", "tools/list", "tools/list"];
    let call = [&listing[..], &["tools/call", "DELETE"]].concat();
    let publish = [&listing[..], &["DELETE"]].concat();
    assert_eq!(methods, [publish, call].concat());
    for asked in shop.tools.asked() {
        assert_eq!(asked.authorization, format!("Bearer {TOKEN}"));
        assert!(asked.method == "initialize" || asked.version == "2025-06-18", "{asked:?}");
    }
    assert!(!shop.house.everything(&ended).await.contains(TOKEN), "the token is told somewhere");
    // Arguments that do not fit are not sent, and a tool that says that it failed is an error.
    let before = shop.tools.asked().len();
    let wrong = shop.mcp("tools/call", json!({"name": "post", "arguments": {"text": "${ 5 }"}}));
    let ended = shop.run("unfit", wrong).await;
    assert_eq!(ended["error"]["status"], json!(400), "{ended:#}");
    assert_eq!(shop.tools.asked_by("tools/call").len(), 1);
    assert!(shop.tools.asked().len() > before, "it was published");
    let ended = shop.run("fail", shop.mcp("tools/call", json!({"name": "fail"}))).await;
    assert!(text(&ended["error"]["detail"]).contains("no such channel"), "{ended:#}");
    // What only looks needs no list of tools, and asks nobody.
    let read = shop.run("read", shop.mcp("resources/read", json!({"uri": "a"}))).await;
    assert_eq!(read["output"]["contents"][0]["text"], json!("b"), "{read:#}");
    let none = shop.run("none", shop.mcp("prompts/get", json!({"name": "x"}))).await;
    assert_eq!(none["error"]["status"], json!(404), "{none:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_changed_is_not_called_until_it_is_published_anew() {
    let shop = Shop::open().await;
    assert_eq!(text(&shop.run("post", shop.post()).await["status"]), "completed");
    shop.tools.change(json!({"type": "object", "properties": {"text": {"type": "string"}, "everybody": {"type": "boolean"}}}));
    let ended = shop.house.run("post", json!({"text": "hello"})).await;
    assert!(text(&ended["error"]["type"]).ends_with("/errors/tool-changed"), "{ended:#}");
    assert_eq!((&ended["error"]["status"], text(&ended["outcome"])), (&json!(409), "failed"), "{ended:#}");
    assert_eq!(shop.tools.asked_by("tools/call").len(), 1, "it was not called");
    // The same text again keeps what was reviewed; a new version takes the change up.
    let tasks = json!([{"call": shop.post()}]);
    let again = shop.house.publish("post", &["tools"], &tasks).await;
    assert!([200, 201].contains(&again.status), "{}", again.text);
    let ended = shop.house.run("post", json!({"text": "hello"})).await;
    assert!(text(&ended["error"]["type"]).ends_with("/errors/tool-changed"), "{ended:#}");
    let newer = shop.house.publish_version("post", "1.1.0", &["tools"], &tasks).await.expect(201);
    assert_ne!(newer.json["apis"], again.json["apis"], "another pin");
    let ended = shop.house.run("post", json!({"text": "hello"})).await;
    assert_eq!(text(&ended["status"]), "completed", "{ended:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_spoken_to_where_its_card_says() {
    let shop = Shop::open().await;
    let message = json!({"message": {"kind": "message", "messageId": "m1", "role": "user", "parts": [{"kind": "text", "text": "${ .text }"}]}});
    let ended = shop.run("send", shop.a2a("message/send", message.clone())).await;
    assert_eq!(ended["output"]["parts"][0]["text"], json!("you said hello"), "{ended:#}");
    assert!(ended["effects"].to_string().contains("a2a:message/send"), "{ended:#}");
    let ended = shop.run("stream", shop.a2a("message/stream", message)).await;
    let states: Vec<&str> =
        ended["output"].as_array().into_iter().flatten().map(|e| text(&e["status"]["state"])).collect();
    assert_eq!(states, ["working", "completed"], "{ended:#}");
    let ended = shop.run("get", shop.a2a("tasks/get", json!({"id": "x"}))).await;
    assert_eq!(ended["error"]["status"], json!(404), "{ended:#}");
    assert!(text(&ended["error"]["detail"]).contains("task not found"), "{ended:#}");
    // A write that broke on the way may have happened: a person decides.
    let ended = shop.run("cancel", shop.a2a("tasks/cancel", json!({"id": "x"}))).await;
    assert_eq!(text(&ended["status"]), "suspended", "{ended:#}");
    assert_eq!(shop.tools.asked_by("tasks/cancel").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_known_at_publish_is_refused_at_publish() {
    let shop = Shop::open().await;
    let mut version = shop.mcp("tools/list", json!({}));
    version["with"]["protocolVersion"] = json!("1999-01-01");
    let mut odd = shop.post();
    odd["with"]["transport"]["http"]["endpoint"]["uri"] =
        json!(format!("http://{}/gone", shop.tools.address));
    let mut vague = shop.post();
    vague["with"]["transport"]["http"]["endpoint"]["uri"] = json!("${ .uri }");
    let cases = [
        (version, "OH-1013", "not spoken"),
        (odd, "OH-1080", "the answer was 404"),
        (vague, "OH-1039", "written out"),
        (shop.mcp("tools/call", json!({"name": "pots"})), "OH-1088", "did you mean `post`?"),
        (shop.mcp("tools/call", json!({"name": "${ .x }"})), "OH-1088", "written out"),
        (
            shop.mcp("tools/call", json!({"name": "post", "arguments": {"txt": "x"}})),
            "OH-1082",
            "do not fit `post`",
        ),
        (json!({"call": "a2a", "with": {"method": "message/send"}}), "OH-1011", "`agentCard` or `server`"),
    ];
    for (task, code, says) in cases {
        let refused = shop.house.publish("wrong", &["tools"], &json!([{"call": task}])).await.expect(422);
        assert!(
            refused.text.contains(code) && refused.text.contains(says),
            "{code} {says}: {}",
            refused.text
        );
    }
    assert!(shop.tools.asked_by("tools/call").is_empty());
}
