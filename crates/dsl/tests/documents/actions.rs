//! What is wrong with action documents.

use crate::support::{REFUND_CREATE, action, render};

const CASES: &[(&str, &str)] = &[
    ("missing and unknown parts", "action: a\nefect: read\n"),
    (
        "idempotent without key",
        "action: a:1.0.0\neffect: write\nclass: idempotent\nrun: { call: http, with: { method: put, endpoint: 'https://a.example/x' } }\n",
    ),
    (
        "probeable without probe",
        "action: a:1.0.0\neffect: write\nclass: probeable\nrun: { call: http, with: { method: put, endpoint: 'https://a.example/x' } }\n",
    ),
    (
        "compensable without compensation",
        "action: a:1.0.0\neffect: write\nclass: compensable\nrun: { call: http, with: { method: put, endpoint: 'https://a.example/x' } }\n",
    ),
    (
        "read that is no read",
        "action: a:1.0.0\neffect: read\nclass: irreversible\nrun: { call: http, with: { method: post, endpoint: 'https://a.example/x' } }\n",
    ),
    (
        "money that is read, without amount",
        "action: a:1.0.0\neffect: money\nclass: read\nrun: { call: http, with: { method: post, endpoint: 'https://a.example/x' } }\n",
    ),
    (
        "endpoint by expression without hosts",
        "action: a:1.0.0\neffect: read\nclass: read\nrun: { call: http, with: { method: get, endpoint: '${ .url }' } }\n",
    ),
    (
        "hosts",
        "action: a:1.0.0\neffect: read\nclass: read\nhosts: [ 'https://a.example/', b.example ]\nrun: { call: http, with: { method: get, endpoint: 'https://c.example:8443/' } }\n",
    ),
    ("run of another kind", "action: a:1.0.0\neffect: read\nclass: pure\nrun: { set: { x: 1 } }\n"),
    (
        "run with more",
        "action: a:1.0.0\neffect: read\nclass: pure\nrun: { run: { shell: { command: ls } }, then: end }\n",
    ),
    (
        "variables",
        "action: a:1.0.0\neffect: write\nclass: idempotent\nidempotency: { key: $action.key }\noutput: { as: $input }\nrun: { call: http, with: { method: put, endpoint: 'https://a.example/x', body: '${ $context }' } }\n",
    ),
    (
        "recipients",
        "action: a:1.0.0\neffect: write\nclass: irreversible\nrecipients: [ to, /to, /to, /too ]\ninput: { schema: { type: object, properties: { to: { type: string } } } }\nrun: { call: http, with: { method: put, endpoint: 'https://a.example/x' } }\n",
    ),
    (
        "contract values",
        "action: approval:1.0.0\neffect: write\nclass: irreversible\nretries: 100\namount: { value: amount }\nensure: { probe: { call: x }, that: ., every: PT0S, within: P1M }\ninput: { schema: { type: strnig } }\nrun: { run: { shell: { command: ls } } }\n",
    ),
];

/// Every code the table shows.
pub fn codes() -> Vec<String> {
    CASES.iter().flat_map(|(_, text)| dsl::action::compile(text).problems).map(|p| p.code).collect()
}

#[test]
fn contracts_that_contradict_themselves_are_refused() {
    let mut out = String::new();
    for (name, text) in CASES {
        let compiled = dsl::action::compile(text);
        assert!(compiled.action.is_none(), "{name}");
        out.push_str(&format!("# {name}\n{}\n", render(&compiled.problems)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn a_contract_is_read_whole() {
    let action = action(REFUND_CREATE);
    let contract = serde_json::to_string_pretty(&action.contract).unwrap_or_default();
    insta::assert_snapshot!(contract);
    assert_eq!(action.key_header.as_deref(), Some("Idempotency-Key"));
    assert!(action.key.is_some() && action.compensate.is_some());
    let ensure = action.ensure.as_ref().map(|e| (e.probe.to_string(), e.every.as_secs(), e.within.as_secs()));
    assert_eq!(ensure, Some(("refund-read:1.0.0".to_owned(), 5, 60)));
}
