//! Stop with proof: the kill switch in parts, at every door, and the signed report of what it stopped.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Answer, Client, Fault};

use crate::shop::{Shop, eventually, text};

/// Reads an order for each number; orders are named after execution and number.
const READS: &str = "
document: { dsl: '1.0.3', namespace: shop, name: reads, version: '1.0.0' }
do:
  - all:
      for: { each: n, in: '${ [range(.times)] }' }
      do:
        - look: { call: 'order-read:1.0.0', with: { id: '${ $workflow.id + \"_\" + ($n | tostring) }' } }
";
/// A program that does nothing for long.
const SLEEP: &str = "
document: { dsl: '1.0.3', namespace: shop, name: sleep, version: '1.0.0' }
do:
  - nap: { call: 'nap:1.0.0', with: {} }
";
const NAP: &str = "action: nap:1.0.0\ntitle: Sleep\neffect: read\nclass: pure\nrun: { run: { shell: { command: 'sleep 60' } } }\n";

impl Shop {
    async fn with_reads(environment: &[(&str, &str)]) -> Self {
        let shop = Self::open_with(environment).await;
        let at = shop.outside.address;
        let read = format!(
            "action: order-read:1.0.0\ntitle: Read an order\neffect: read\nclass: read\nhosts: ['{at}']\n\
             input: {{ schema: {{ type: object, required: [id] }} }}\n\
             run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{id}}' }} }}\n"
        );
        for action in [read.as_str(), NAP] {
            shop.server.admin.post_yaml("/actions", action).await.expect(201);
        }
        for workflow in [READS, SLEEP] {
            shop.server.admin.post_yaml("/workflows", workflow).await.expect(201);
        }
        shop
    }

    async fn launch(&self, client: &Client, name: &str, input: Json) -> Answer {
        let goal = json!({"workflow": {"namespace": "shop", "name": name}, "input": input});
        client.post("/goals", goal).await
    }

    async fn stop(&self, scope: &Json, running: &str) -> Answer {
        let body = json!({"on": true, "reason": "it looks wrong", "scope": scope, "running": running});
        self.bob.put("/controls/kill-switch", body).await.expect(200)
    }

    async fn lift(&self, scope: &Json) {
        let body = json!({"on": false, "reason": "it is over", "scope": scope});
        self.bob.put("/controls/kill-switch", body).await.expect(200);
    }

    async fn complete(&self, report: &str) -> Json {
        let path = format!("/controls/reports/{report}");
        eventually(&self.bob, &path, |a| a.json["report"]["complete"] == true).await.json
    }

    async fn held_by(&self, execution: &str, stop: &str) -> Json {
        let on = format!("control:kill-switch:{stop}");
        eventually(&self.bob, &format!("/executions/{execution}"), |a| a.str("/blocked_on") == on).await.json
    }
}

fn report_id(stopped: &Answer) -> String {
    stopped.str("/report/report/id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scope_stops_its_part_at_every_door_and_nothing_else() {
    let shop = Shop::with_reads(&[("OMNIHUB_LIMITS__EFFECTS", "1")]).await;
    let at = shop.outside.address.to_string();
    let carol = shop.server.principal("user:carol", &["developer", "operator"]).await;
    for (kind, name, refuses_goals) in [
        ("tenant", "default", true),
        ("workflow", "shop/refund", true),
        ("workflow", "shop/refund:1.0.0", true),
        ("action", "refund-create", false),
        ("action", "refund-*", false),
        ("target", at.as_str(), false),
        ("target", "127.0.0.1", false),
        ("principal", "user:alice", true),
    ] {
        let (scope, stop) = (json!({ kind: name }), format!("{kind}:{name}"));
        let posts = shop.outside.posts();
        // One waits for a person; of one the permit waits in the queue, behind a read that takes the only place.
        let waiting = shop.ask().await;
        shop.approval_of(&waiting).await;
        shop.outside.fault(Fault::HoldReads);
        let reads = shop.outside.reads();
        let reader = shop.launch(&carol, "reads", json!({"times": 1})).await.expect(202);
        while shop.outside.reads() == reads {
            tokio::task::yield_now().await;
        }
        let queued = shop.ask().await;
        shop.approve(&queued).await.expect(200);
        let stopped = shop.stop(&scope, "finish").await;
        // The door for goals.
        let goal = json!({"intent": "refund order 1042, 25.00 EUR, the cup arrived broken"});
        let asked = shop.alice.post("/goals", goal).await;
        if refuses_goals {
            assert_eq!((asked.status, asked.str("/code")), (503, "OH-3001"), "{stop}: {}", asked.text);
            assert!(asked.str("/detail").contains(&stop), "{}", asked.text);
        } else {
            // Accepted; what it asks for first is the stopped effect itself.
            shop.held_by(asked.expect(202).str("/execution_id"), &stop).await;
        }
        // The doors of permits and of people.
        shop.approve(&waiting).await.expect(200);
        shop.outside.fault(Fault::None);
        shop.outside.let_go();
        for execution in [&waiting, &queued] {
            let held = shop.held_by(execution, &stop).await;
            assert_eq!(text(&held["effects"][0]["state"]), "held", "{stop}: {held:#}");
            let again =
                shop.bob.post(&format!("/executions/{execution}/retry"), json!({"reason": "again"})).await;
            assert_eq!(again.status, 409, "{stop}: {}", again.text);
            for act in ["pause", "resume"] {
                let path = format!("/executions/{execution}/{act}");
                shop.bob.post(&path, json!({"reason": "again"})).await.expect(202);
            }
            shop.held_by(execution, &stop).await;
        }
        assert_eq!(shop.outside.posts(), posts, "{stop}");
        // What it does not concern goes on.
        if !matches!(kind, "tenant" | "target") {
            shop.status(reader.str("/execution_id"), "completed").await;
            let other = shop.launch(&carol, "reads", json!({"times": 1})).await.expect(202);
            shop.status(other.str("/execution_id"), "completed").await;
        }
        let listed = shop.bob.get("/controls").await.expect(200);
        assert_eq!(listed.json["stops"].as_array().map(Vec::len), Some(1), "{}", listed.text);
        assert_eq!(listed.str("/stops/0/id"), stop);
        let report = shop.complete(&report_id(&stopped)).await;
        assert_eq!(report["report"]["stop"], json!(stop), "{report:#}");
        shop.lift(&scope).await;
        assert_eq!(shop.bob.get("/controls").await.json["stops"], json!([]));
        for execution in [&waiting, &queued] {
            assert_eq!(shop.status(execution, "completed").await["outcome"], "verified", "{stop}");
        }
        assert_eq!(shop.outside.posts(), posts + 2, "{stop}: each once");
        // Those that were accepted and held ask for an approval now; they are not of interest any more.
        let left = shop.bob.get("/approvals?status=pending").await.expect(200);
        for approval in left.json["items"].as_array().into_iter().flatten() {
            let path = format!("/executions/{}/cancel", text(&approval["execution_id"]));
            shop.bob.post(&path, json!({"reason": "enough"})).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_stops_stand_at_once_and_each_is_lifted_by_its_scope() {
    let mut shop = Shop::with_reads(&[]).await;
    let (workflow, principal) = (json!({"workflow": "shop/reads"}), json!({"principal": "user:alice"}));
    shop.stop(&workflow, "finish").await;
    shop.stop(&principal, "finish").await;
    shop.server.kill();
    shop.restart().await;
    let listed = shop.bob.get("/controls").await.expect(200);
    let ids: Vec<&str> = [0, 1].map(|n| listed.str(&format!("/stops/{n}/id"))).into();
    assert_eq!(ids, ["principal:user:alice", "workflow:shop/reads"], "they outlive the process");
    shop.lift(&workflow).await;
    shop.launch(&shop.alice, "reads", json!({"times": 1})).await.expect(503);
    shop.launch(&shop.bob, "reads", json!({"times": 1})).await.expect(202);
    let body = json!({"on": false, "reason": "over", "scope": workflow});
    let none = shop.bob.put("/controls/kill-switch", body).await.expect(404);
    assert_eq!(none.str("/code"), "OH-2161");
    shop.lift(&principal).await;
    shop.launch(&shop.alice, "reads", json!({"times": 1})).await.expect(202);
    for scope in [
        json!({"workflow": "reads"}),
        json!({"action": "*"}),
        json!({"target": ""}),
        json!({"action": "a", "target": "b"}),
        json!({"planet": "mars"}),
        json!({}),
        json!("everything"),
    ] {
        let body = json!({"on": true, "reason": "why", "scope": scope});
        shop.bob.put("/controls/kill-switch", body).await.expect(422);
        let body = json!({"on": true, "reason": "why", "scope": {"action": "a"}});
        shop.bob.put("/controls/safe-mode", body).await.expect(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_health_says_what_is_stopped_to_those_whom_it_concerns() {
    let shop = Shop::with_reads(&[]).await;
    let acme = shop.server.principal_in("acme", "user:zoe", "user", &["operator"]).await;
    let told = |client: Client| async move {
        let deep = client.try_send("GET", "/health/deep", &[], Default::default()).await.expect("an answer");
        let parts = deep.expect(200).json["dependencies"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| {
            let part = parts.iter().find(|part| part["name"] == name);
            text(&part.unwrap_or_else(|| panic!("no `{name}` in {parts:?}"))["detail"]).to_owned()
        };
        (of("controls"), of("clock"), of("sandbox"))
    };
    let (controls, clock, sandbox) = told(shop.bob.clone()).await;
    assert_eq!((controls.as_str(), clock.as_str()), ("none is on", "time is the machine's"));
    assert!(sandbox.starts_with("in force") || sandbox.starts_with("NOT IN FORCE"), "{sandbox}");
    shop.stop(&json!({"workflow": "shop/refund"}), "finish").await;
    let own = json!({"on": true, "reason": "ours", "scope": {"workflow": "shop/reads"}});
    acme.put("/controls/kill-switch", own).await.expect(200);
    let (ours, theirs) = (told(shop.bob.clone()).await.0, told(acme.clone()).await.0);
    assert!(ours.contains("stop workflow:shop/refund") && ours.contains("it looks wrong"), "{ours}");
    assert!(!ours.contains("acme"), "{ours}");
    assert!(theirs.contains("stop workflow:shop/reads@acme stands: ours"), "{theirs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_stops_itself_and_nobody_else() {
    let shop = Shop::with_reads(&[]).await;
    shop.server.admin.post("/tenants", json!({"id": "acme", "title": "Acme"})).await.expect(201);
    let acme = shop.server.principal_in("acme", "user:dora", "user", &["operator"]).await;
    let set = |scope: Json| json!({"on": true, "reason": "why", "scope": scope});
    for scope in [json!("global"), json!({"tenant": "default"})] {
        acme.put("/controls/kill-switch", set(scope)).await.expect(403);
    }
    acme.put("/controls/kill-switch", set(json!({"workflow": "shop/reads"}))).await.expect(200);
    let stopped = acme.put("/controls/kill-switch", set(json!({"tenant": "acme"}))).await.expect(200);
    // The same names in another tenant are other things.
    shop.launch(&shop.alice, "reads", json!({"times": 1})).await.expect(202);
    assert_eq!(acme.get("/controls").await.json["stops"].as_array().map(Vec::len), Some(2));
    shop.bob.get(&format!("/controls/reports/{}", report_id(&stopped))).await.expect(404);
    shop.stop(&json!({"principal": "user:alice"}), "finish").await;
    let body = json!({"on": false, "reason": "why", "scope": {"principal": "user:alice"}});
    acme.put("/controls/kill-switch", body).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_what_was_on_the_wire_and_is_signed() {
    let shop = Shop::with_reads(&[]).await;
    shop.outside.fault(Fault::Hold);
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    while shop.outside.posts() == 0 {
        tokio::task::yield_now().await;
    }
    let stopped =
        shop.bob.put("/controls/kill-switch", json!({"on": true, "reason": "it looks wrong"})).await;
    let report = &stopped.json["report"]["report"];
    assert_eq!((report["complete"].clone(), report["on_the_wire"].clone()), (json!(false), json!(1)));
    let one = &report["wire"][0];
    assert_eq!(
        (text(&one["execution"]), &one["effect"], text(&one["operation"]), text(&one["target"])),
        (execution.as_str(), &json!(1), "refund-create:1.0.0", shop.outside.address.to_string().as_str())
    );
    assert!(one["fate"].is_null() && one["attempt"] == 1, "{one:#}");
    let id = report_id(&stopped);
    let early = shop.bob.get(&format!("/controls/reports/{id}?wait=PT0.2S")).await.expect(200);
    assert_eq!(early.json["report"]["complete"], false, "it is still on the wire");
    shop.outside.let_go();
    let whole = shop.complete(&id).await;
    assert_eq!(whole["report"]["wire"][0]["fate"], "answered", "{whole:#}");
    // Its probe is an effect like others, and waits.
    assert_eq!(whole["report"]["held_executions"][0]["execution"], json!(execution), "{whole:#}");
    shop.alice.with_token("nobody").get(&format!("/controls/reports/{id}")).await.expect(401);
    let viewer = shop.server.principal("user:vera", &["viewer"]).await;
    viewer.get(&format!("/controls/reports/{id}")).await.expect(403);

    let key = std::fs::read_to_string(shop.server.data().join("audit/public.key")).expect("a public key");
    let scratch = tempfile::tempdir().expect("a directory");
    let verify = |document: &Json, key: &str| {
        let file = scratch.path().join("report.json");
        std::fs::write(&file, document.to_string()).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_omnihub"));
        command.args(["controls", "report", "verify"]).arg(&file).args(["--key", key.trim()]);
        command.env_clear().env("HOME", scratch.path()).output().expect("it runs").status.code()
    };
    assert_eq!(verify(&whole, &key), Some(0));
    assert_eq!(verify(&stopped.json, &key), Some(0), "the answer that acknowledged is signed too");
    let mut forged = whole.clone();
    forged["report"]["wire"] = json!([]);
    assert_eq!(verify(&forged, &key), Some(1));
    let mut forged = whole.clone();
    forged["seal"]["kind"] = json!("drill");
    assert_eq!(verify(&forged, &key), Some(1));
    assert_eq!(
        verify(&whole, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
        Some(1),
        "another key"
    );
    // The log holds the digest of what was signed.
    let records = shop.server.admin.get("/audit?action=control.").await.expect(200);
    assert!(records.text.contains(text(&whole["seal"]["digest"])), "{}", records.text);
    assert!(records.text.contains(stopped.str("/report/seal/digest")), "{}", records.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_cuts_connections_and_kills_programs() {
    let shop = Shop::with_reads(&[]).await;
    shop.outside.fault(Fault::Hold);
    let refund = shop.ask().await;
    shop.approve(&refund).await.expect(200);
    let nap = shop.launch(&shop.alice, "sleep", json!({})).await.expect(202).str("/execution_id").to_owned();
    while shop.outside.posts() == 0 || sleepers(&shop) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let scope = json!({"tenant": "default"});
    let began = Instant::now();
    let stopped = shop.stop(&scope, "cancel").await;
    let whole = shop.complete(&report_id(&stopped)).await;
    let took = began.elapsed();
    assert_eq!(sleepers(&shop), 0, "the program is dead");
    let fate = |execution: &str| {
        let wire = whole["report"]["wire"].as_array().cloned().unwrap_or_default();
        let found = wire.iter().find(|one| text(&one["execution"]) == execution);
        found.map(|one| text(&one["fate"]).to_owned())
    };
    assert_eq!(fate(&refund).as_deref(), Some("unknown"), "{whole:#}");
    assert_eq!(fate(&nap).as_deref(), Some("killed"), "{whole:#}");
    assert_eq!(whole["report"]["programs_killed"], 1);
    assert!(took < Duration::from_secs(10), "nobody waited for the outside or for the program: {took:?}");
    for execution in [&refund, &nap] {
        shop.held_by(execution, "tenant:default").await;
    }
    shop.bob.post(&format!("/executions/{nap}/cancel"), json!({"reason": "enough"})).await.expect(202);
    shop.outside.fault(Fault::None);
    shop.lift(&scope).await;
    let done = shop.status(&refund, "completed").await;
    assert_eq!(
        (text(&done["outcome"]), shop.outside.posts()),
        ("verified", 1),
        "found by asking, not by repeating"
    );
}

/// Programs of the server that sleep for a minute.
fn sleepers(shop: &Shop) -> usize {
    let marker = shop.server.id().map(|id| id.to_string()).unwrap_or_default();
    let processes = std::fs::read_dir("/proc").expect("a process list").flatten();
    let of_ours = processes.filter(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        arguments.ends_with(b"sleep\x0060\x00") && descends(&entry.path(), &marker)
    });
    of_ours.count()
}

/// True when a process has the other among its parents.
fn descends(process: &std::path::Path, ancestor: &str) -> bool {
    let mut at = process.to_owned();
    for _ in 0..16 {
        let status = std::fs::read_to_string(at.join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim).unwrap_or("0");
        if parent == ancestor {
            return true;
        }
        at = std::path::Path::new("/proc").join(parent);
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_a_crash_left_open_is_completed() {
    let mut shop = Shop::with_reads(&[]).await;
    shop.outside.fault(Fault::Hold);
    let execution = shop.ask().await;
    shop.approve(&execution).await.expect(200);
    while shop.outside.posts() == 0 {
        tokio::task::yield_now().await;
    }
    let stopped = shop.stop(&json!({"action": "refund-*"}), "finish").await;
    shop.server.kill();
    shop.outside.fault(Fault::None);
    shop.restart().await;
    let whole = shop.complete(&report_id(&stopped)).await;
    assert_eq!(whole["report"]["wire"][0]["fate"], "unknown", "nobody heard its answer: {whole:#}");
    shop.held_by(&execution, "action:refund-*").await;
    assert_eq!((shop.outside.posts(), shop.outside.reads()), (1, 0));
    shop.lift(&json!({"action": "refund-*"})).await;
    assert_eq!(shop.status(&execution, "completed").await["outcome"], "verified");
    assert_eq!(shop.outside.posts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_in_flight_stop_and_the_report_names_all_on_the_wire() {
    const EXECUTIONS: usize = 1000;
    const AT_ONCE: usize = 32;
    let shop =
        Shop::with_reads(&[("OMNIHUB_LIMITS__EFFECTS", "32"), ("OMNIHUB_LIMITS__RATE", "100000")]).await;
    // They come to their first read and wait there together.
    let reads = json!({"action": "order-read"});
    shop.stop(&reads, "finish").await;
    for _ in 0..EXECUTIONS {
        shop.launch(&shop.alice, "reads", json!({"times": 10})).await.expect(202);
    }
    shop.outside.fault(Fault::HoldReads);
    shop.lift(&reads).await;
    while shop.outside.arrivals().len() < AT_ONCE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // All of them have been let go: what is not on the wire has its permit and waits for a place.
    let none = |a: &Answer| a.json["items"].as_array().is_some_and(Vec::is_empty);
    eventually(&shop.bob, "/executions?status=waiting", none).await;
    // Everything that the outside has seen waits for its answer there: the report must name exactly that.
    let scope = json!({"workflow": "shop/reads"});
    let stopped = shop.stop(&scope, "finish").await;
    let seen: BTreeSet<String> = shop.outside.arrivals().into_iter().map(|(_, order)| order).collect();
    assert_eq!(named(&stopped.json["report"]["report"]), seen);
    let called_back = &stopped.json["report"]["report"]["called_back"];
    assert_eq!(*called_back, json!(EXECUTIONS - AT_ONCE), "the rest had permits");
    shop.outside.fault(Fault::None);
    shop.outside.let_go();
    let whole = shop.complete(&report_id(&stopped)).await;
    assert_eq!(whole["report"]["held"], json!(EXECUTIONS), "all of them are held");
    assert_eq!(shop.outside.arrivals().len(), AT_ONCE, "nothing was sent meanwhile");
    // And in full motion.
    shop.lift(&scope).await;
    while shop.outside.arrivals().len() < 1500 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stopped =
        shop.bob.put("/controls/kill-switch", json!({"on": true, "reason": "a drill"})).await.expect(200);
    let acknowledged = Instant::now();
    let whole = shop.complete(&report_id(&stopped)).await;
    let on_the_wire = named(&whole["report"]);
    let late: Vec<_> = shop.outside.arrivals().into_iter().filter(|(at, _)| *at > acknowledged).collect();
    for (at, order) in &late {
        let after = at.duration_since(acknowledged);
        assert!(on_the_wire.contains(order), "`{order}` started {after:?} after the acknowledgement");
    }
    let fates = whole["report"]["wire"].as_array().cloned().unwrap_or_default();
    assert!(fates.iter().all(|one| one["fate"] == "answered"), "{fates:?}");
    let arrived = shop.outside.arrivals().len();
    assert!(arrived < EXECUTIONS * 10, "there was work left to stop");
    // Nothing more comes, however long one waits: every execution is held.
    let held = |a: &Answer| a.json["items"].as_array().is_some_and(Vec::is_empty);
    eventually(&shop.bob, "/executions?status=running", held).await;
    let arrived = shop.outside.arrivals().len();
    shop.bob.get("/controls").await.expect(200);
    assert_eq!(shop.outside.arrivals().len(), arrived);
}

/// The orders that a report says were being read.
fn named(report: &Json) -> BTreeSet<String> {
    let wire = report["wire"].as_array().cloned().unwrap_or_default();
    wire.iter()
        .map(|one| format!("{}_{}", text(&one["execution"]), one["effect"].as_u64().unwrap_or_default() - 1))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_measures_and_disturbs_nobody() {
    let shop = Shop::with_reads(&[]).await;
    let nap = shop.launch(&shop.alice, "sleep", json!({})).await.expect(202).str("/execution_id").to_owned();
    while sleepers(&shop) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = shop.bob.post("/controls/drill", json!({"trials": 3, "reason": "monthly"})).await.expect(202);
    let id = begun.str("/report/id").to_owned();
    let twice = shop.bob.post("/controls/drill", json!({"trials": 1, "reason": "monthly"})).await.expect(409);
    assert_eq!(twice.str("/code"), "OH-2162");
    let path = format!("/controls/drills/{id}");
    let ended = eventually(&shop.bob, &path, |a| a.json["report"]["complete"] == true).await.json;
    let report = &ended["report"];
    assert_eq!(report["error"], Json::Null, "{report:#}");
    assert_eq!(
        (&report["trials_done"], &report["trials_with_late_starts"]),
        (&json!(3), &json!(0)),
        "{report:#}"
    );
    assert!(report["programs_killed"].as_u64() >= Some(12), "{report:#}");
    assert!(report["programs_dead_us"]["max"].as_u64() > Some(0), "{report:#}");
    let state = shop.bob.get(&format!("/executions/{nap}")).await.expect(200);
    assert_eq!(state.str("/effects/0/state"), "started", "other programs go on: {}", state.text);
    assert_eq!(state.json["effects"][0]["attempts"].as_array().map(Vec::len), Some(1), "{}", state.text);
    assert_eq!(shop.bob.get("/controls").await.json["stops"], json!([]), "nothing stays stopped");
    let drills = shop.bob.get("/controls/drills").await.expect(200);
    assert_eq!(drills.str("/items/0/report/id"), id);
    for body in
        [json!({"trials": 0, "reason": "x"}), json!({"trials": 201, "reason": "x"}), json!({"reason": ""})]
    {
        shop.bob.post("/controls/drill", body).await.expect(422);
    }
    shop.server
        .principal("user:vera", &["viewer"])
        .await
        .post("/controls/drill", json!({"reason": "x"}))
        .await
        .expect(403);
}
