//! The four controls: what an operator stops stays stopped, through load, crashes and restarts.

use serde_json::{Value as Json, json};
use testkit::{Answer, Client};

use crate::shop::{Shop, eventually, text};

/// Reads in a loop, with a little pause between two.
const READER: &str = "
document: { dsl: '1.0.3', namespace: shop, name: reader, version: '1.0.0' }
do:
  - all:
      for: { each: n, in: '${ [range(.times)] }' }
      do:
        - look: { call: 'order-read:1.0.0', with: { id: '${ $n | tostring }' } }
        - nap: { wait: PT0.02S }
  - done: { set: { finished: true } }
";
/// Reads an order, then pays.
const READ_THEN_PAY: &str = "
document: { dsl: '1.0.3', namespace: shop, name: careful, version: '1.0.0' }
do:
  - look: { call: 'order-read:1.0.0', with: { id: '7' }, export: { as: '${ {total: .total} }' } }
  - pay: { call: 'refund-create:1.0.0', with: { orderId: '7', amount: '${ $context.total }', currency: EUR } }
";
/// More effects than one step judges.
const MANY: &str = "
document: { dsl: '1.0.3', namespace: shop, name: many, version: '1.0.0' }
do:
  - all:
      for: { each: n, in: '${ [range(600)] }' }
      do:
        - pay: { call: 'refund-create:1.0.0', with: { orderId: '${ $n | tostring }', amount: 1, currency: EUR } }
";

impl Shop {
    /// A shop whose orders can be read.
    async fn with_orders(environment: &[(&str, &str)]) -> Self {
        let shop = Self::open_with(environment).await;
        let at = shop.outside.address;
        let read = format!(
            "action: order-read:1.0.0\ntitle: Read an order\neffect: read\nclass: read\nhosts: ['{at}']\n\
             input: {{ schema: {{ type: object, required: [id] }} }}\n\
             run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{id}}' }} }}\n"
        );
        shop.server.admin.post_yaml("/actions", &read).await.expect(201);
        for workflow in [READER, READ_THEN_PAY, MANY] {
            shop.server.admin.post_yaml("/workflows", workflow).await.expect(201);
        }
        shop
    }

    async fn start(&self, name: &str, input: Json) -> String {
        let goal = json!({"workflow": {"namespace": "shop", "name": name}, "input": input});
        self.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
    }

    pub async fn set(&self, control: &str, body: Json) -> Answer {
        self.bob.put(&format!("/controls/{control}"), body).await
    }

    async fn on(&self, control: &str) -> Json {
        self.set(control, json!({"on": true, "reason": "a drill"})).await.expect(200).json
    }

    async fn off(&self, control: &str) -> Json {
        self.set(control, json!({"on": false, "reason": "the drill is over"})).await.expect(200).json
    }

    async fn is_on(&self, control: &str) -> bool {
        self.bob.get(&format!("/controls/{control}")).await.expect(200).json["on"] == json!(true)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_refuses_new_work() {
    let shop = Shop::open().await;
    let state = shop.on("kill-switch").await;
    assert_eq!((&state["on"], text(&state["control"]["by"])), (&json!(true), "user:bob"), "{state:#}");
    let refused = shop
        .alice
        .post("/goals", json!({"intent": "refund order 1042, 25.00 EUR, broken"}))
        .await
        .expect(503);
    assert_eq!(refused.str("/code"), "OH-3001", "{}", refused.text);
    assert!(refused.str("/detail").contains("kill switch"), "{}", refused.text);
    let listed = shop.bob.get("/executions").await.expect(200);
    assert_eq!(listed.json["items"], json!([]), "a refused goal leaves nothing behind");
    shop.off("kill-switch").await;
    shop.ask().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controls_are_set_by_the_right_people_with_a_reason() {
    let shop = Shop::open().await;
    for body in [
        json!({"on": true}),
        json!({"on": true, "reason": "  "}),
        json!({"reason": "why"}),
        json!({"on": "yes", "reason": "why"}),
    ] {
        let refused = shop.set("kill-switch", body).await.expect(422);
        assert!(!refused.str("/fields/0/field").is_empty(), "it names the field: {}", refused.text);
    }
    let operations =
        shop.set("kill-switch", json!({"on": true, "reason": "why", "operations": ["x"]})).await.expect(422);
    assert_eq!(operations.str("/fields/0/field"), "/operations", "{}", operations.text);
    let unknown = shop.set("red-button", json!({"on": true, "reason": "why"})).await.expect(404);
    assert!(unknown.text.contains("kill-switch"), "it names the known ones: {}", unknown.text);
    for role in ["viewer", "developer", "compliance"] {
        let other = shop.server.principal(&format!("user:{role}"), &[role]).await;
        let refused =
            other.put("/controls/kill-switch", json!({"on": true, "reason": "why"})).await.expect(403);
        assert_eq!(refused.str("/code"), "OH-4030", "{}", refused.text);
    }
    let stranger = shop.server.principal_in("acme", "user:eve", "user", &["admin"]).await;
    let refused =
        stranger.put("/controls/kill-switch", json!({"on": true, "reason": "why"})).await.expect(403);
    assert!(refused.str("/detail").contains("default"), "{}", refused.text);
    assert!(!shop.is_on("kill-switch").await);

    shop.on("kill-switch").await;
    let auditor = shop.server.principal("user:carla", &["compliance"]).await;
    for reader in [&auditor, &shop.server.admin] {
        let audit = reader.get("/audit?action=control.set&order=newest").await.expect(200);
        let record = &audit.json["items"][0]["record"];
        assert_eq!(
            (text(&record["actor"]), text(&record["resource"])),
            ("user:bob", "controls/kill-switch"),
            "{record:#}"
        );
        assert_eq!(
            (&record["details"]["on"], text(&record["details"]["reason"])),
            (&json!(true), "a drill"),
            "{record:#}"
        );
    }
    assert_eq!(shop.bob.get("/audit").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_under_the_kill_switch_even_when_it_was_approved() {
    let mut shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    shop.on("kill-switch").await;
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    let held = shop.status(&execution, "waiting").await;
    assert_eq!(text(&held["blocked_on"]), "control:kill-switch", "{held:#}");
    assert_eq!(text(&held["effects"][0]["state"]), "held");
    shop.server.kill();
    shop.restart().await;
    assert!(shop.is_on("kill-switch").await, "it outlives the process");
    let held = shop.status(&execution, "waiting").await;
    assert_eq!(text(&held["blocked_on"]), "control:kill-switch", "{held:#}");
    assert_eq!(shop.outside.posts(), 0);
    shop.off("kill-switch").await;
    let done = shop.status(&execution, "completed").await;
    assert_eq!((text(&done["outcome"]), shop.outside.posts()), ("verified", 1), "the approval still holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_stops_a_busy_house() {
    const EXECUTIONS: usize = 50;
    const EFFECTS_AT_ONCE: u32 = 4;
    let mut shop = Shop::with_orders(&[("OMNIHUB_LIMITS__EFFECTS", "4")]).await;
    let mut running = Vec::new();
    for _ in 0..EXECUTIONS {
        running.push(shop.start("reader", json!({"times": 40})).await);
    }
    while shop.outside.reads() < 100 {
        tokio::task::yield_now().await;
    }
    shop.on("kill-switch").await;
    let acknowledged = shop.outside.reads();
    for execution in &running {
        let held = |a: &Answer| a.str("/blocked_on") == "control:kill-switch";
        eventually(&shop.bob, &format!("/executions/{execution}"), held).await;
    }
    let reads = shop.outside.reads();
    assert!(reads < 40 * 50, "there was work left to stop");
    let late = reads - acknowledged;
    assert!(
        late <= EFFECTS_AT_ONCE,
        "only what was on the wire already arrived after the acknowledgement, not {late}"
    );
    shop.server.kill();
    shop.restart().await;
    assert_eq!(shop.outside.reads(), reads, "nothing started while it was on, and nothing at the restart");
    shop.off("kill-switch").await;
    for execution in &running {
        shop.status(execution, "completed").await;
    }
    assert!(shop.outside.reads() >= 40 * 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_environment_holds_the_api_cannot_loosen() {
    let mut shop = Shop::open().await;
    shop.on("kill-switch").await;
    shop.off("kill-switch").await;
    shop.server.kill();
    shop.server.set_environment(&[("OMNIHUB_KILL_SWITCH", "true"), ("ALLOWED_OPERATIONS", "refund-read")]);
    shop.restart().await;
    assert!(shop.is_on("kill-switch").await);
    for (name, body) in [
        ("kill-switch", json!({"on": false, "reason": "why"})),
        ("allow-list", json!({"on": false, "reason": "why"})),
        ("allow-list", json!({"operations": ["*"], "reason": "why"})),
    ] {
        let refused = shop.set(name, body).await.expect(409);
        assert_eq!(refused.str("/code"), "OH-3002", "{}", refused.text);
    }
    assert!(shop.is_on("kill-switch").await);
    // What a person sets as well stays when the environment lets go.
    shop.on("safe-mode").await;
    shop.on("kill-switch").await;
    shop.server.kill();
    shop.server.set_environment(&[]);
    shop.restart().await;
    assert!(shop.is_on("kill-switch").await && shop.is_on("safe-mode").await);
    assert!(!shop.is_on("allow-list").await, "the environment's own is gone with it");
    shop.off("kill-switch").await;
    shop.off("safe-mode").await;
    shop.server.kill();
    shop.server.set_environment(&[("OMNIHUB_KILL_SWITCH", "true")]);
    shop.restart().await;
    assert!(shop.is_on("kill-switch").await);
    shop.server.kill();
    shop.server.set_environment(&[]);
    shop.restart().await;
    assert!(!shop.is_on("kill-switch").await, "only the environment held it");
    let audit = shop.server.admin.get("/audit?action=control.set&actor=system").await.expect(200);
    assert!(audit.text.contains("OMNIHUB_KILL_SWITCH"), "{}", audit.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn safe_mode_reads_and_predicts() {
    let mut shop = Shop::with_orders(&[]).await;
    shop.on("safe-mode").await;
    shop.server.kill();
    shop.restart().await;
    assert!(shop.is_on("safe-mode").await, "it outlives the process");
    let execution = shop.start("careful", json!({})).await;
    let done = shop.status(&execution, "completed").await;
    assert_eq!(text(&done["mode"]), "advisory", "{done:#}");
    assert_eq!(text(&done["outcome"]), "unknown", "a prediction is not an outcome: {done:#}");
    let effects: Vec<_> = done["effects"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| (text(&e["operation"]), text(&e["state"])))
        .collect();
    assert_eq!(effects, [("order-read:1.0.0", "settled"), ("refund-create:1.0.0", "predicted")]);
    assert_eq!(done["effects"][1]["arguments"]["amount"], json!(89.0), "what was read is in the prediction");
    let reasons = done["effects"][1]["verdict"]["reasons"].to_string();
    assert!(reasons.contains("require-approval"), "it says what would happen: {reasons}");
    assert_eq!((shop.outside.reads(), shop.outside.posts()), (1, 0));
    shop.off("safe-mode").await;
    let live = shop.ask().await;
    shop.approve(&live).await.expect(200);
    shop.status(&live, "completed").await;
    assert_eq!(shop.outside.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn safe_mode_holds_for_what_was_approved_before() {
    let shop = Shop::open().await;
    let execution = shop.ask().await;
    let approval = shop.approval_of(&execution).await;
    shop.on("safe-mode").await;
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    let done = shop.status(&execution, "completed").await;
    assert_eq!((text(&done["effects"][0]["state"]), shop.outside.posts()), ("predicted", 0), "{done:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn safe_mode_predicts_long_workflows_to_their_end() {
    let shop = Shop::with_orders(&[]).await;
    shop.on("safe-mode").await;
    let execution = shop.start("many", json!({})).await;
    let done = shop.status(&execution, "completed").await;
    assert_eq!(done["effects"].as_array().map(Vec::len), Some(600));
    assert_eq!(shop.outside.posts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_takeover_even_a_read_waits() {
    let mut shop = Shop::with_orders(&[]).await;
    shop.on("takeover").await;
    shop.server.kill();
    shop.restart().await;
    assert!(shop.is_on("takeover").await, "it outlives the process");
    let execution = shop.start("reader", json!({"times": 1})).await;
    let approval = shop.approval_of(&execution).await;
    assert!(approval["reasons"].to_string().contains("takeover"), "{approval:#}");
    assert_eq!(
        shop.decide(&shop.alice, "approve", &approval).await.status,
        403,
        "takeover changes nothing about one's own request"
    );
    assert_eq!(shop.outside.reads(), 0);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.status(&execution, "completed").await;
    assert_eq!(shop.outside.reads(), 1);

    // What was asked stays asked when takeover ends; a yes is enough, and what comes later runs by itself.
    let waiting = shop.start("reader", json!({"times": 2})).await;
    let approval = shop.approval_of(&waiting).await;
    shop.off("takeover").await;
    let free = shop.start("reader", json!({"times": 1})).await;
    shop.status(&free, "completed").await;
    assert_eq!(shop.look(&approval).await["status"], "pending");
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.status(&waiting, "completed").await;
    assert_eq!(shop.outside.reads(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_allow_list_refuses_by_name() {
    let mut shop = Shop::with_orders(&[]).await;
    shop.set("allow-list", json!({"reason": "why"})).await.expect(422);
    shop.set("allow-list", json!({"operations": ["a b"], "reason": "why"})).await.expect(422);
    shop.set("allow-list", json!({"operations": ["order-read"], "reason": "reads only"})).await.expect(200);
    shop.server.kill();
    shop.restart().await;
    let listed = shop.bob.get("/controls/allow-list").await.expect(200);
    assert_eq!(listed.json["control"]["operations"], json!(["order-read"]), "it outlives the process");
    let allowed = shop.start("reader", json!({"times": 1})).await;
    shop.status(&allowed, "completed").await;
    let barred = shop.ask().await;
    let ended = shop.status(&barred, "faulted").await;
    assert_eq!((text(&ended["outcome"]), &ended["error"]["status"]), ("failed", &json!(403)), "{ended:#}");
    assert!(text(&ended["error"]["type"]).ends_with("not-allowed"), "{ended:#}");
    assert!(text(&ended["error"]["detail"]).contains("refund-create:1.0.0"), "{ended:#}");
    assert!(shop.audited(&barred).await.iter().any(|(action, _)| action == "effect.barred"));

    // What waits for people is looked at again when they have decided.
    shop.set("allow-list", json!({"operations": ["refund-*"], "reason": "refunds"})).await.expect(200);
    let refund = shop.ask().await;
    shop.approve(&refund).await.expect(200);
    shop.status(&refund, "completed").await;
    let late = shop.ask().await;
    let approval = shop.approval_of(&late).await;
    shop.set("allow-list", json!({"operations": [], "reason": "nothing"})).await.expect(200);
    shop.decide(&shop.bob, "approve", &approval).await.expect(200);
    shop.status(&late, "faulted").await;
    let nothing = shop.start("reader", json!({"times": 1})).await;
    shop.status(&nothing, "faulted").await;
    assert_eq!((shop.outside.posts(), shop.look(&approval).await["status"].clone()), (1, json!("approved")));
    shop.off("allow-list").await;
    let free = shop.start("reader", json!({"times": 1})).await;
    shop.status(&free, "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_narrows_only_itself() {
    let shop = Shop::with_orders(&[]).await;
    let eve = shop.server.principal_in("acme", "user:eve", "user", &["admin"]).await;
    let action = format!(
        "action: order-read:1.0.0\ntitle: Read an order\neffect: read\nclass: read\nhosts: ['{at}']\n\
         run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{id}}' }} }}\n",
        at = shop.outside.address
    );
    eve.post_yaml("/actions", &action).await.expect(201);
    eve.post_yaml("/workflows", READER).await.expect(201);
    let own = json!({"operations": [], "reason": "not us", "scope": "tenant"});
    let set = eve.put("/controls/allow-list", own).await.expect(200);
    assert_eq!(set.json["tenant"]["operations"], json!([]), "{}", set.text);
    let goal = json!({"workflow": {"namespace": "shop", "name": "reader"}, "input": {"times": 1}});
    let barred = eve.post("/goals?wait=PT20S", goal.clone()).await.expect(200);
    assert_eq!(barred.str("/status"), "faulted", "{}", barred.text);
    let other = shop.alice.post("/goals?wait=PT20S", goal.clone()).await.expect(200);
    assert_eq!(other.str("/status"), "completed", "{}", other.text);
    // A tenant's list never widens the platform's.
    eve.put("/controls/allow-list", json!({"operations": ["*"], "reason": "us", "scope": "tenant"}))
        .await
        .expect(200);
    shop.set("allow-list", json!({"operations": [], "reason": "nobody"})).await.expect(200);
    let barred = eve.post("/goals?wait=PT20S", goal).await.expect(200);
    assert_eq!(barred.str("/status"), "faulted", "{}", barred.text);
    assert_eq!(shop.outside.reads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_sets_controls() {
    let shop = Shop::open().await;
    let set = |state: &str, reason: &[&str]| {
        let mut command = command(&shop.bob);
        command.args(["controls", "set", "kill-switch", state]).args(reason);
        command.output().expect("the binary runs")
    };
    let mute = set("on", &[]);
    assert!(!mute.status.success(), "it needs a reason");
    let on = set("on", &["--reason", "drill"]);
    assert!(on.status.success(), "{}", String::from_utf8_lossy(&on.stderr));
    assert!(shop.is_on("kill-switch").await);
    let list = command(&shop.bob).args(["controls", "list"]).output().expect("the binary runs");
    assert!(
        String::from_utf8_lossy(&list.stdout).contains("drill"),
        "{}",
        String::from_utf8_lossy(&list.stdout)
    );
    assert!(set("off", &["--reason", "over"]).status.success());
    assert!(!shop.is_on("kill-switch").await);
}

/// The client of the command line, as somebody.
fn command(who: &Client) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_omnihub"));
    command
        .env_clear()
        .env("OMNIHUB_ADDRESS", format!("http://{}", who.address))
        .env("OMNIHUB_TOKEN", who.token.as_deref().unwrap_or_default());
    command
}
