//! Sentences in, answers out.

use super::*;
use serde_json::json;

fn index() -> IntentIndex {
    let refund = json!({
        "owner": "shop", "intents": ["refund order {orderId}, {amount}, {reason}", "give the money for order {orderId} back", "Bestellung {orderId} erstatten {amount} {reason}"],
        "slots": { "orderId": { "type": "id", "pattern": "[0-9]{1,10}" },
            "amount": { "type": "money", "into": { "amount": "/amount", "currency": "/currency" } },
            "reason": { "type": "text", "required": false } },
    });
    let refund_schema = json!({ "type": "object", "required": ["orderId", "amount", "currency"], "properties": {
        "orderId": { "type": "string" }, "amount": { "type": "number" }, "currency": { "type": "string" }, "reason": { "type": "string" } } });
    let invite = json!({ "intents": ["invite {email} as {role} from {start}"],
        "slots": [{ "name": "email", "type": "email" }, { "name": "role", "type": "enum", "values": ["viewer", "operator"] },
            { "name": "start", "type": "date", "required": false }] });
    let restock = json!({ "intents": ["restock {quantity} pieces of article {article}"],
        "slots": { "quantity": { "type": "integer" }, "article": { "type": "id", "pattern": "[A-Z]{2}-[0-9]+" } } });
    let make = |name: &str, metadata: &serde_json::Value, schema: Option<&serde_json::Value>| {
        Template::from_metadata("shop", name, "1.0.0", name, metadata, schema)
            .expect("the metadata is written above")
    };
    IntentIndex::new(vec![
        make("refund", &refund, Some(&refund_schema)),
        make("invite", &invite, None),
        make("restock", &restock, None),
    ])
}

fn shown(parsed: &Parsed) -> String {
    match parsed {
        Parsed::Match { workflow, input, .. } => format!("{} {input}", workflow.name),
        Parsed::Missing { workflow, missing, input, .. } => {
            let names: Vec<&str> = missing.iter().map(|q| q.slot.as_str()).collect();
            format!("{}? {} {input}", workflow.name, names.join(","))
        }
        Parsed::Ambiguous { candidates } => {
            format!(
                "either {}",
                candidates.iter().map(|c| c.workflow.name.as_str()).collect::<Vec<_>>().join(",")
            )
        }
        Parsed::Unknown { .. } => "unknown".to_owned(),
    }
}

#[test]
fn sentences() {
    let cup = r#"refund {"orderId":"1042","amount":25,"currency":"EUR","reason":"the cup arrived broken"}"#;
    let plain = r#"refund {"orderId":"1042","amount":25,"currency":"EUR"}"#;
    let both = "refund? orderId,amount {}";
    let no_amount = r#"refund? amount {"orderId":"1042"}"#;
    let cases = [
        ("refund order 1042, 25.00 EUR, the cup arrived broken", cup),
        ("Refund order 1042 25 EUR because the cup arrived broken", cup),
        ("please refund the order number 1042, €25, the cup arrived broken", cup),
        ("refund 25,00 € for order 1042: the cup arrived broken", cup),
        ("refund order #1042, EUR 25, the cup arrived broken", cup),
        ("refund order 1042, 25.00 EUR, \"the cup arrived broken\"", cup),
        ("refund order 1042 25 EUR", plain),
        ("refund order 1042 EUR 25", plain),
        ("refund order 1042 €25", plain),
        ("refund order 1042 25€", plain),
        ("refund order 1042 25EUR", plain),
        ("refund order 1042 25 euro", plain),
        ("refund order 1042 eur 25.00", plain),
        ("REFUND ORDER 1042 25.00 EUR", plain),
        ("could you refund order no. 1042, 25 EUR please", plain),
        ("refund order 1042, 25.00 EUR and 25.00 EUR", plain),
        ("refund order 1042 1.234,56 EUR", r#"refund {"orderId":"1042","amount":1234.56,"currency":"EUR"}"#),
        ("refund order 1042 $1,234.50", r#"refund {"orderId":"1042","amount":1234.5,"currency":"USD"}"#),
        ("refund order 1042 1.234 EUR", r#"refund {"orderId":"1042","amount":1234,"currency":"EUR"}"#),
        ("refund order 1042 1'234.50 CHF", r#"refund {"orderId":"1042","amount":1234.5,"currency":"CHF"}"#),
        ("refund order 1042 £9.99", r#"refund {"orderId":"1042","amount":9.99,"currency":"GBP"}"#),
        ("refund order 7 0.50 EUR", r#"refund {"orderId":"7","amount":0.5,"currency":"EUR"}"#),
        ("refund order", both),
        ("refund the order please", both),
        ("refund order 1042", no_amount),
        ("refund order 1042, 25.00 EUR or 30.00 EUR", no_amount),
        ("refund order 1042, -25.00 EUR", no_amount),
        ("refund order 1042, 0 EUR", no_amount),
        ("refund order 1042, 25.001.00 EUR", no_amount),
        ("refund order 1042, 0.123 EUR", no_amount),
        ("refund order 1042, 25 EUR 30", no_amount),
        ("refund order 1042, 25.00", r#"refund? amount {"orderId":"1042","amount":25}"#),
        ("refund order 1042, 25", r#"refund? amount {"orderId":"1042","amount":25}"#),
        ("refund order 25 EUR", r#"refund? orderId {"amount":25,"currency":"EUR"}"#),
        ("refund orders 1042 and 1043, 25 EUR", r#"refund? orderId {"amount":25,"currency":"EUR"}"#),
        ("refund order 1042 and order 1043, 25 EUR", r#"refund? orderId {"amount":25,"currency":"EUR"}"#),
        (
            "Bestellung 1042 erstatten, 25,00 EUR, Tasse kaputt",
            r#"refund {"orderId":"1042","amount":25,"currency":"EUR","reason":"Tasse kaputt"}"#,
        ),
        ("do not refund order 1042, 25 EUR", "unknown"),
        ("never refund order 1042, 25 EUR", "unknown"),
        ("don't refund order 1042, 25 EUR", "unknown"),
        ("make me a sandwich", "unknown"),
        ("", "unknown"),
        ("1042 25 EUR", "unknown"),
        ("hello", "unknown"),
        ("{}[]\"'\\ \u{0} 💥", "unknown"),
        ("invite bob@example.com as operator", r#"invite {"email":"bob@example.com","role":"operator"}"#),
        (
            "invite bob@example.com as Viewer from 2026-12-01",
            r#"invite {"email":"bob@example.com","role":"viewer","start":"2026-12-01"}"#,
        ),
        (
            "invite bob@example.com as viewer from 1.12.2026",
            r#"invite {"email":"bob@example.com","role":"viewer","start":"2026-12-01"}"#,
        ),
        (
            "invite bob@example.com as viewer from 1 December 2026",
            r#"invite {"email":"bob@example.com","role":"viewer","start":"2026-12-01"}"#,
        ),
        (
            "invite bob@example.com as viewer from December 1st, 2026",
            r#"invite {"email":"bob@example.com","role":"viewer","start":"2026-12-01"}"#,
        ),
        (
            "invite bob@example.com as viewer from 25/12/2026",
            r#"invite {"email":"bob@example.com","role":"viewer","start":"2026-12-25"}"#,
        ),
        (
            "invite bob@example.com as viewer from 03/04/2026",
            r#"invite? start {"email":"bob@example.com","role":"viewer"}"#,
        ),
        (
            "invite bob@example.com as viewer from 2026-02-30",
            r#"invite? start {"email":"bob@example.com","role":"viewer"}"#,
        ),
        ("invite bob@example.com and eve@example.com as viewer", r#"invite? email {"role":"viewer"}"#),
        ("invite bob@example.com as viewer or operator", r#"invite? role {"email":"bob@example.com"}"#),
        ("invite bob", "invite? email,role {}"),
        ("inviting bob@example.com as king", r#"invite? role {"email":"bob@example.com"}"#),
        ("restock 12 pieces of article AB-7", r#"restock {"quantity":12,"article":"AB-7"}"#),
        ("restock 1,200 pieces of article AB-7", r#"restock {"quantity":1200,"article":"AB-7"}"#),
        ("restock 1.5 pieces of article AB-7", r#"restock? quantity {"article":"AB-7"}"#),
        ("restock article AB-7, 12 pieces", r#"restock {"article":"AB-7","quantity":12}"#),
        ("restock pieces of article ab-7", "restock? quantity,article {}"),
        ("restock 12 pieces of article AB-7 and AB-8", r#"restock? article {"quantity":12}"#),
    ];
    let index = index();
    let wrong: Vec<String> = cases
        .iter()
        .map(|(text, expected)| (text, expected, shown(&index.parse(text))))
        .filter(|(_, expected, found)| {
            let split = |s: &str| {
                (
                    s.split_once(['{']).map_or(s.to_owned(), |p| p.0.to_owned()),
                    s.find('{').and_then(|at| serde_json::from_str::<serde_json::Value>(&s[at..]).ok()),
                )
            };
            split(expected) != split(found)
        })
        .map(|(text, expected, found)| format!("\n{text}\n  wanted {expected}\n  found  {found}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn long_and_hostile_texts_are_bounded() {
    let index = index();
    let long = format!("refund order 1042 25 EUR {}", "x ".repeat(TEXT_BYTES_MAX));
    assert_eq!(shown(&index.parse(&long)), "unknown");
    for text in [
        "refund order ".repeat(300),
        "1 ".repeat(2000),
        "€".repeat(1300),
        "\"".repeat(4000),
        "refund order 9".to_owned() + &"9".repeat(3000),
    ] {
        let parsed = index.parse(&text);
        assert!(!matches!(parsed, Parsed::Match { .. }), "{parsed:?}");
        assert_eq!(parsed, index.parse(&text));
    }
}

#[test]
fn equal_workflows_are_both_offered_and_nearest_ones_named() {
    let make = |name: &str, intent: &str| {
        Template::from_metadata("shop", name, "1.0.0", name, &json!({ "intents": [intent] }), None)
            .expect("a plain template")
    };
    let index = IntentIndex::new(vec![
        make("b", "clean the kitchen"),
        make("a", "clean the kitchen"),
        make("c", "clean the kitchen floor"),
    ]);
    assert_eq!(shown(&index.parse("clean the kitchen")), "either a,b");
    assert_eq!(shown(&index.parse("clean the kitchen floor")), "c {}");
    match index.parse("make me a sandwich") {
        Parsed::Unknown { nearest } => assert_eq!(nearest.len(), 3),
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_metadata_is_refused() {
    let cases = [
        (json!({ "slots": { "a": { "type": "colour" } } }), "use money"),
        (json!({ "slots": { "a": { "type": "enum" } } }), "without `values`"),
        (json!({ "slots": { "a": { "type": "id", "pattern": "(" } } }), "regular expression"),
        (json!({ "slots": { "a": { "type": "id", "into": "a" } } }), "JSON Pointer"),
        (json!({ "slots": { "a": { "type": "money", "into": { "amount": "/a" } } } }), "needs `amount`"),
        (json!({ "intents": ["do {it}"] }), "not in `slots`"),
        (json!({ "intents": ["do {it"] }), "without `}`"),
        (json!({ "intents": "do" }), "list of sentences"),
    ];
    for (metadata, expected) in cases {
        match Template::from_metadata("n", "w", "1.0.0", "t", &metadata, None) {
            Ok(template) => panic!("{template:?}"),
            Err(e) => assert!(e.contains(expected), "{e}"),
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_sentence_breaks_the_parser(text in "(refund|Bestellung|invite|order|as|from|[0-9]{1,12}|[.,;:!-]|€|EUR|İ|ß|ﬀ|e\u{301}|\u{200d}|\\PC| |\n){0,40}") {
        let index = index();
        proptest::prop_assert!(!shown(&index.parse(&text)).is_empty());
    }
}
