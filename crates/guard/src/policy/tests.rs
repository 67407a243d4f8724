//! Bundles: what compiles, what is refused and where, what is ruled.

use std::sync::Arc;

use model::verdict::{Decision, Quorum};
use serde_json::{Value, json};

use super::*;

fn bundle(text: &str) -> Result<Bundle, PolicyError> {
    Bundle::compile("test", &[("test.rego", text)])
}

fn rule(text: &str, input: &Value) -> Result<Ruling, PolicyError> {
    bundle(&format!("package omnihub\nimport rego.v1\n{text}"))?.evaluator().decide(input)
}

fn shown(decision: &Decision) -> String {
    match decision {
        Decision::Allow => "allow".to_owned(),
        Decision::Deny => "deny".to_owned(),
        Decision::RequireApproval(Quorum { approvers, roles }) => {
            format!("{approvers} of {}", roles.join("|"))
        }
    }
}

fn input(changes: &[(&str, Value)]) -> Value {
    let mut input = json!({
        "tenant": "acme", "principal": { "id": "user:alice", "kind": "user", "roles": ["developer"] },
        "workflow": { "namespace": "shop", "name": "refund", "version": "1.0.0" }, "task": "/do/0/refund",
        "action": { "operation": "note:1.0.0", "reviewed": true, "effect": "write", "class": "idempotent",
            "blast_radius": { "scope": "customer", "max": 1, "unit": "order" }, "data": [], "target": "http://shop" },
        "arguments": { "orderId": "1042" }, "amount": null,
        "provenance": [{ "pointer": "/orderId", "origins": ["intent"], "untrusted": false }],
        "risk": { "score": 17, "level": "low", "factors": [] }, "mode": "run",
    });
    for (pointer, value) in changes {
        if let Some(place) = input.pointer_mut(pointer) {
            *place = value.clone();
        }
    }
    input
}

#[test]
fn the_default_policy_passes_its_own_tests() -> Result<(), PolicyError> {
    let results = default_bundle()?.test();
    assert!(results.len() >= 14, "{} tests", results.len());
    let failed: Vec<_> = results.iter().filter(|test| !test.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    Ok(())
}

#[test]
fn the_default_policy_rules() -> Result<(), PolicyError> {
    let mut evaluator = default_bundle()?.evaluator();
    let one = "1 of operator|admin";
    type Changes<'a> = &'a [(&'a str, Value)];
    let cases: [(&str, Changes<'_>, &str); 14] = [
        ("reviewed write", &[], "allow"),
        ("medium", &[("/risk/level", json!("medium"))], "allow"),
        ("high", &[("/risk/level", json!("high"))], one),
        ("critical", &[("/risk/level", json!("critical"))], "2 of operator|admin"),
        ("read", &[("/action/effect", json!("read")), ("/action/class", json!("read"))], "allow"),
        ("read that writes", &[("/action/effect", json!("read"))], one),
        ("money", &[("/action/effect", json!("money"))], one),
        ("delete", &[("/action/effect", json!("delete"))], one),
        ("permission", &[("/action/effect", json!("permission"))], one),
        ("irreversible", &[("/action/class", json!("irreversible"))], one),
        ("unreviewed", &[("/action/reviewed", json!(false))], one),
        ("steering", &[("/provenance/0", json!({"pointer": "/to/Email", "untrusted": true}))], one),
        ("unknown kind", &[("/action/effect", json!("summon"))], "deny"),
        ("no provenance", &[("/provenance", Value::Null)], "deny"),
    ];
    for (name, changes, expected) in cases {
        let ruling = evaluator.decide(&input(changes))?;
        assert_eq!(shown(&ruling.decision), expected, "{name}: {:?}", ruling.reasons);
        assert!(!ruling.reasons.is_empty(), "{name}");
    }
    assert_eq!(shown(&evaluator.decide(&json!({}))?.decision), "deny");
    assert_eq!(shown(&evaluator.decide(&Value::Null)?.decision), "deny");
    Ok(())
}

#[test]
fn rules_compose() -> Result<(), PolicyError> {
    let cases = [
        ("allow if true", "allow"),
        ("allow if false", "deny"),
        ("decision := {\"decision\": \"allow\"} if input.missing", "deny"),
        ("decision := {\"decision\": \"allow\", \"reasons\": [\"fine\"]}", "allow"),
        (
            "decision := {\"decision\": \"require-approval\", \"approvers\": 2, \"roles\": [\"admin\"]}",
            "2 of admin",
        ),
        ("allow if true\napprove contains \"look\" if true", "1 of operator|admin"),
        ("allow if true\napprove contains \"look\" if true\ndeny contains \"no\" if true", "deny"),
        (
            "approve contains {\"message\": \"a\", \"approvers\": 3} if true\napprove contains {\"message\": \"b\", \"roles\": [\"admin\"]} if true",
            "3 of admin",
        ),
        (
            "approve contains {\"message\": \"a\", \"roles\": [\"operator\"]} if true\napprove contains {\"message\": \"b\", \"roles\": [\"admin\"]} if true",
            "deny",
        ),
        ("deny contains \"never\" if false\nallow if true", "allow"),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(&rule(text, &json!({}))?.decision), expected, "{text}");
    }
    Ok(())
}

#[test]
fn explanation_redaction_and_limits() -> Result<(), PolicyError> {
    let text = "allow if true\ndeny contains \"over 100\" if input.amount.value > 100\nredact contains \"/iban\"\nlimits := {\"timeout_seconds\": 5}";
    let ruling = rule(text, &json!({ "amount": { "value": 250.5 } }))?;
    assert_eq!(
        (shown(&ruling.decision).as_str(), ruling.reasons.as_slice()),
        ("deny", &["over 100".to_owned()][..])
    );
    assert_eq!(ruling.redact, ["/iban"]);
    assert_eq!(ruling.limits.get("timeout_seconds"), Some(&5.0));
    let because: Vec<_> =
        ruling.explanation.iter().map(|b| format!("{} {} {}", b.bundle, b.rule, b.message)).collect();
    assert_eq!(because, ["test deny over 100", "test allow allowed"]);
    assert_eq!(shown(&rule(text, &json!({ "amount": { "value": 99 } }))?.decision), "allow");
    Ok(())
}

#[test]
fn wrong_types_and_failures_are_errors() {
    let cases = [
        ("decision := \"allow\"", "must be an object"),
        ("decision := {\"decision\": \"maybe\"}", "must be `allow`"),
        ("decision := {\"decision\": \"require-approval\", \"approvers\": 0}", "from 1 to 20"),
        ("decision := {\"decision\": \"require-approval\", \"approvers\": 1.5}", "from 1 to 20"),
        ("decision := {\"decision\": \"require-approval\", \"roles\": [\"viewer\"]}", "may not decide"),
        ("decision := {\"decision\": \"require-approval\", \"roles\": []}", "`roles` is empty"),
        ("allow := \"yes\"", "true or false"),
        ("deny := \"no\"", "must be a set"),
        ("deny contains 5", "texts or objects"),
        ("approve contains {\"text\": \"x\"}", "needs a text `message`"),
        ("allow if true\nredact contains \"email\"", "JSON Pointers"),
        ("allow if true\nlimits := 5", "object of numbers"),
        ("allow := input.a\nallow := input.b", "conflict"),
        ("allow if to_number(input.text) > 1", "number"),
        ("allow if count(numbers.range(1, 1000000000)) > 1", "limited to 10000"),
        (
            "a := concat(\"\", [\"a\" | some i in numbers.range(1, 9000)])\nallow if count(replace(a, \"a\", a)) > 1",
            "limited to 1048576",
        ),
    ];
    for (text, expected) in cases {
        match rule(text, &json!({ "a": true, "b": false, "text": "abc" })) {
            Ok(ruling) => panic!("{text}: {ruling:?}"),
            Err(e) => assert!(e.to_string().contains(expected), "{text}: {e}"),
        }
    }
}

#[test]
fn bad_bundles_are_refused_with_their_place() {
    let head = "package omnihub\nimport rego.v1\n";
    let cases = [
        ("allow if {", 3, "expecting"),
        ("allow if input.x ==", 3, "expecting"),
        ("allow if time.now_ns() > 5", 3, "reads the clock"),
        ("allow if rand.intn(\"a\", 5) == 1", 3, "random"),
        ("allow if opa.runtime().env", 3, "environment"),
        ("\nallow if http.send({\"url\": \"http://x\"}).status == 200", 4, "opens a connection"),
        ("allow if conut(input.x) > 1", 3, "`conut` is not a function"),
        ("allow if x > y", 3, "unsafe"),
        ("f(x) := x + 1", 0, "decides nothing"),
    ];
    for (text, line, expected) in cases {
        match bundle(&format!("{head}{text}")) {
            Ok(_) => panic!("`{text}` compiled"),
            Err(e) => {
                assert!(e.message.contains(expected), "{text}: {e}");
                assert_eq!(e.line, line, "{text}: {e}");
            }
        }
    }
    assert!(Bundle::compile("empty", &[]).is_err());
    assert!(Bundle::compile("twice", &[("a", "package omnihub"), ("a", "package omnihub")]).is_err());
    let long = format!("{head}allow if true # {}", "x".repeat(FILE_BYTES_MAX));
    assert!(bundle(&long).is_err());
}

#[test]
fn a_hidden_clock_fails_at_run_time() {
    let hidden = "allow if time[\"now_ns\"]() > 0";
    match rule(hidden, &json!({})) {
        Ok(ruling) => assert_eq!(shown(&ruling.decision), "deny", "{ruling:?}"),
        Err(e) => assert!(!e.message.is_empty()),
    }
}

#[test]
fn a_hostile_policy_is_stopped() {
    let loops =
        "n := numbers.range(1, 9000)\nallow if { some a in n; some b in n; some c in n; a + b + c == 0 }";
    match rule(loops, &json!({})) {
        Ok(ruling) => panic!("{ruling:?}"),
        Err(e) => assert!(e.to_string().contains("took longer than 2 s"), "{e}"),
    }
    let cyclic = "a if b\nb if a\nallow if a";
    assert!(rule(cyclic, &json!({})).is_err());
    let recursive = [
        "f(x) := f(x + 1)\nallow if f(1)",
        "f(x) := g(x)\ng(x) := h(x)\nh(x) := f(x)\nallow if f(1)",
        "f(x) := y if { y := g(x) with data.omnihub.g as data.omnihub.f }\ng(x) := x\nallow if f(1)",
        "f(x) := data.omnihub[\"f\"](x)\nallow if f(1)",
    ];
    for text in recursive {
        match rule(text, &json!({})) {
            Ok(ruling) => panic!("{text}: {ruling:?}"),
            Err(e) => assert!(e.message.contains("reaches itself"), "{text}: {e}"),
        }
    }
    let chain = |length: usize| {
        let links: Vec<String> = (1..length).map(|i| format!("f{i}(x) := f{}([x])", i + 1)).collect();
        format!("{}\nf{length}(x) := x\nallow if f1(1)", links.join("\n"))
    };
    assert!(rule(&chain(graph::CHAIN_MAX - 1), &json!({})).is_ok());
    assert!(rule(&chain(graph::CHAIN_MAX + 1), &json!({})).is_err());
}

#[test]
fn evaluations_do_not_remember() -> Result<(), PolicyError> {
    let bundle = bundle("package omnihub\nimport rego.v1\nallow if helper == 1\nhelper := input.x")?;
    let mut evaluator = bundle.evaluator();
    for (x, expected) in [(1, "allow"), (2, "deny"), (1, "allow")] {
        assert_eq!(shown(&evaluator.decide(&json!({ "x": x }))?.decision), expected);
    }
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    assert!(evaluator.decide(&deep).is_err());
    Ok(())
}

#[test]
fn failing_tests_say_why() -> Result<(), PolicyError> {
    let text = "package omnihub\nimport rego.v1\nallow if input.x == 1\ntest_good if { allow with input as {\"x\": 1} }\ntest_undefined if { allow with input as {\"x\": 2} }\ntest_value := 5\ntest_error if to_number(\"x\") > 1";
    let results = bundle(text)?.test();
    let shown: Vec<_> = results.iter().map(|t| (t.name.as_str(), t.passed, t.message.is_some())).collect();
    assert_eq!(
        shown,
        [
            ("omnihub.test_error", false, true),
            ("omnihub.test_good", true, false),
            ("omnihub.test_undefined", false, true),
            ("omnihub.test_value", false, true),
        ]
    );
    Ok(())
}

#[test]
fn a_set_takes_the_most_restrictive() -> Result<(), PolicyError> {
    let named = |name: &str, text: &str| {
        Bundle::compile(name, &[("p.rego", &format!("package omnihub\nimport rego.v1\n{text}"))])
            .map(Arc::new)
    };
    let allow = named("a", "allow if true\nlimits := {\"n\": 5}")?;
    let ask =
        named("b", "allow if true\napprove contains \"look\" if input.amount > 100\nlimits := {\"n\": 3}")?;
    let deny = named("c", "allow if true\ndeny contains \"too much\" if input.amount > 1000")?;
    let set = PolicySet::new(vec![deny.clone(), allow.clone(), ask])?;
    let mut evaluator = set.evaluator();
    for (amount, expected) in [(5, "allow"), (500, "1 of operator|admin"), (5000, "deny")] {
        let ruling = evaluator.decide(&json!({ "amount": amount }))?;
        assert_eq!(shown(&ruling.decision), expected);
        assert_eq!(ruling.limits.get("n"), Some(&3.0));
    }
    assert_ne!(set.digest(), PolicySet::new(vec![allow.clone(), deny.clone()])?.digest());
    assert_eq!(
        PolicySet::new(vec![allow.clone(), deny.clone()])?.digest(),
        PolicySet::new(vec![deny, allow.clone()])?.digest()
    );
    assert!(PolicySet::new(vec![allow.clone(), allow]).is_err());
    assert_eq!(shown(&PolicySet::default().evaluator().decide(&json!({}))?.decision), "deny");
    Ok(())
}

#[test]
fn digests_bind_names_and_texts() -> Result<(), PolicyError> {
    let text = "package omnihub\nallow := true";
    let digest =
        |name: &str, path: &str, text: &str| Bundle::compile(name, &[(path, text)]).map(|b| b.digest());
    let first = digest("a", "x.rego", text)?;
    assert_eq!(first, digest("a", "x.rego", text)?);
    assert_ne!(first, digest("b", "x.rego", text)?);
    assert_ne!(first, digest("a", "y.rego", text)?);
    assert_ne!(first, digest("a", "x.rego", &format!("{text} "))?);
    Ok(())
}

#[test]
fn evaluators_move_between_threads() {
    fn send<T: Send>() {}
    send::<Evaluator>();
    send::<SetEvaluator>();
}

#[test]
fn a_bundle_that_only_restricts_leaves_the_rest_to_others() {
    let limit = "package omnihub\nimport rego.v1\ndeny contains \"too much\" if input.amount.value > 100\n";
    let allow = "package omnihub\nimport rego.v1\nallow if true\n";
    for names in [["a-limit", "b-allow"], ["b-limit", "a-allow"]] {
        let bundle = |name: &str, text: &str| {
            std::sync::Arc::new(Bundle::compile(name, &[("p.rego", text)]).expect("compiles"))
        };
        let set = PolicySet::new(vec![bundle(names[0], limit), bundle(names[1], allow)]).expect("a set");
        let decide = |amount: i64| {
            set.evaluator()
                .decide(&serde_json::json!({ "amount": { "value": amount } }))
                .expect("decides")
                .decision
        };
        assert_eq!(decide(25), model::verdict::Decision::Allow);
        assert_eq!(decide(250), model::verdict::Decision::Deny);
    }
    let alone = PolicySet::new(vec![std::sync::Arc::new(
        Bundle::compile("limit", &[("p.rego", limit)]).expect("compiles"),
    )]);
    let ruling = alone
        .expect("a set")
        .evaluator()
        .decide(&serde_json::json!({ "amount": { "value": 1 } }))
        .expect("decides");
    assert_eq!(ruling.decision, model::verdict::Decision::Deny);
}
