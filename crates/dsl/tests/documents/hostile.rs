//! Documents that mean harm: too large, too deep, too many, mutated.

use proptest::prelude::*;

use crate::support::{REFUND_CREATE, compile, render, workflow};

fn first_code(text: &str) -> String {
    let compiled = compile(text);
    assert!(compiled.definition.is_none());
    compiled.problems.first().map(|p| p.code.clone()).unwrap_or_default()
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(first_code(&" ".repeat(1024 * 1024 + 1)), "OH-1000");
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    assert_eq!(first_code(&workflow(&format!("do: [ {{ a: {{ set: {{ x: {deep} }} }} }} ]"))), "OH-1005");
    let many = "1,".repeat(100_001);
    assert_eq!(first_code(&format!("[{many}]")), "OH-1005");
}

#[test]
fn the_list_of_problems_is_bounded() {
    let keys: String = (0..500).map(|i| format!("k{i}: 1\n")).collect();
    let compiled = compile(&workflow(&format!("do: [ {{ a: {{ set: {{ x: 1 }} }} }} ]\n{keys}")));
    assert_eq!(compiled.problems.len(), 101);
    assert_eq!(compiled.problems.last().map(|p| p.code.as_str()), Some("OH-1016"));
}

/// What costs time for each mistake stops with the hundredth.
#[test]
fn a_mebibyte_of_mistakes_is_answered() {
    let keys: String = (0..60_000).map(|i| format!("dcument{i}: 1\n")).collect();
    let thens: String =
        (0..15_000).map(|i| format!("  - task{i}: {{ wait: PT1S, then: tsak{i} }}\n")).collect();
    let variables: String =
        (0..15_000).map(|i| format!("  - t{i}: {{ set: {{ x: '${{ $input_{i} }}' }} }}\n")).collect();
    for text in [keys, format!("do:\n{thens}"), format!("do:\n{variables}")] {
        let compiled = compile(&workflow(&text));
        assert_eq!(compiled.problems.len(), 101);
    }
}

#[test]
fn reached_actions_are_bounded() {
    let mut shop = crate::support::Shop(std::collections::BTreeMap::new());
    for i in 0..1001 {
        let next = format!(
            "action: a{i}:1.0.0\neffect: write\nclass: compensable\ncompensate: {{ call: 'a{}:1.0.0' }}\nrun: {{ run: {{ shell: {{ command: ls }} }} }}\n",
            i + 1
        );
        let action = crate::support::action(&next);
        shop.0.insert(action.reference.clone(), action);
    }
    let compiled = dsl::compile(&workflow("do: [ { a: { call: 'a0:1.0.0' } } ]"), &shop);
    assert!(compiled.problems.iter().any(|p| p.code == "OH-1069"), "{}", render(&compiled.problems));
}

#[test]
fn contracts_that_refer_to_each_other_end() {
    let one = "action: one:1.0.0\neffect: write\nclass: compensable\ncompensate: { call: 'two:1.0.0' }\nrun: { run: { shell: { command: ls } } }\n";
    let actions = [one.to_owned(), one.replace("one:", "X:").replace("two:", "one:").replace("X:", "two:")];
    let shop = crate::support::Shop(
        actions.iter().map(|t| crate::support::action(t)).map(|a| (a.reference.clone(), a)).collect(),
    );
    let compiled = dsl::compile(&workflow("do: [ { a: { call: 'one:1.0.0' } } ]"), &shop);
    assert_eq!(compiled.definition.map(|d| d.actions.len()), Some(2));
}

#[test]
fn schemas_cannot_blow_up() {
    let doubling: String = (0..40)
        .map(|i| {
            format!(
                "        d{i}: {{ allOf: [ {{ $ref: '#/$defs/d{n}' }}, {{ $ref: '#/$defs/d{n}' }} ] }}\n",
                n = i + 1
            )
        })
        .collect();
    let chain: String =
        (0..5000).map(|i| format!("        d{i}: {{ $ref: '#/$defs/d{n}' }}\n", n = i + 1)).collect();
    for (defs, last) in [(doubling, 40), (chain, 5000)] {
        let text = workflow(&format!(
            "input:\n  schema:\n    document:\n      $ref: '#/$defs/d0'\n      $defs:\n{defs}        d{last}: {{ type: string }}\ndo: [ {{ a: {{ set: {{ x: 1 }} }} }} ]\n"
        ));
        assert_eq!(first_code(&text), "OH-1035");
    }
    let hidden = "input: { schema: { document: { properties: { enum: { $ref: '#' } } } } }\ndo: [ { a: { set: { x: 1 } } } ]";
    assert_eq!(first_code(&workflow(hidden)), "OH-1035");
}

/// A document that uses most of the language.
fn seed() -> String {
    workflow(
        "input: { schema: { document: { type: object } }, from: .a }\ntimeout: { after: { seconds: 5 } }\nuse: { secrets: [ s ], retries: { r: { delay: PT1S, jitter: { from: PT0S, to: PT1S } } } }\ndo:\n  - a: { if: .x > 1, set: { x: '${ \"a\\(.b)\" }' }, export: { as: '${ . }' }, then: b }\n  - b: { call: http, with: { method: get, endpoint: { uri: 'https://a.example/{id}', authentication: { bearer: { use: s } } }, headers: { a: b } } }\n  - c: { try: [ { d: { wait: PT1S } } ], catch: { errors: { with: { status: 404 } }, retry: r, do: [ { e: { raise: { error: { type: timeout, status: 408 } } } } ] } }\n  - f: { for: { each: o, in: .os }, while: $o.more, do: [ { g: { call: 'refund-create:1.0.0', with: { orderId: '${ $o.id }', amount: 1 } } } ] }\n",
    )
}

#[test]
fn the_seed_of_the_mutations_is_sound() {
    let compiled = compile(&seed());
    assert!(compiled.definition.is_some(), "{}", render(&compiled.problems));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cutting, doubling and replacing parts of sound documents never panics, and never both fails and succeeds.
    #[test]
    fn mutated_documents_are_answered(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[\\PC\n]{0,6}"), 1..5),
        action in any::<bool>(),
    ) {
        let mut chars: Vec<char> = if action { REFUND_CREATE.to_owned() } else { seed() }.chars().collect();
        for (at, length, text) in edits {
            let at = at.index(chars.len());
            let end = (at + length).min(chars.len());
            chars.splice(at..end, text.chars());
            if chars.is_empty() {
                chars.push(' ');
            }
        }
        let text: String = chars.into_iter().collect();
        let (made, problems) = if action {
            let compiled = dsl::action::compile(&text);
            (compiled.action.is_some(), compiled.problems)
        } else {
            let compiled = compile(&text);
            (compiled.definition.is_some(), compiled.problems)
        };
        let failed = problems.iter().any(|p| p.severity == dsl::Severity::Error);
        prop_assert_ne!(made, failed, "{}", render(&problems));
        prop_assert!(problems.iter().all(|p| p.line > 0 && p.column > 0));
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let compiled = compile(&text);
        prop_assert!(compiled.definition.is_some() || !compiled.problems.is_empty());
    }
}
