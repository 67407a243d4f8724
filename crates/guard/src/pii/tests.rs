//! What is masked and what stays.

use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn private_things_are_masked() {
    let cases = [
        ("write to alice.b+shop@example.co.uk today", "write to [email] today"),
        ("alice@example.com,bob@example.org", "[email],[email]"),
        ("call +14155552671 now", "call [phone] now"),
        ("call +49 170 1234567.", "call [phone]."),
        ("call +44 (0)20 7946 0958", "call [phone]"),
        ("call (415) 555-2671", "call [phone]"),
        ("call 415-555-2671 or 415.555.2671", "call [phone] or [phone]"),
        ("Tel. 0170/1234567", "Tel. [phone]"),
        ("Tel. 030 1234567", "Tel. [phone]"),
        ("06 12 34 56 78", "[phone]"),
        ("0049 170 1234567", "[phone]"),
        ("pay DE89 3704 0044 0532 0130 00 today", "pay [iban] today"),
        ("pay DE89370400440532013000", "pay [iban]"),
        ("de89370400440532013000.", "[iban]."),
        ("GB29 NWBK 6016 1331 9268 19 is mine", "[iban] is mine"),
        ("FR1420041010050500013M02606", "[iban]"),
        ("card 4111 1111 1111 1111 ok", "card [card] ok"),
        ("4111111111111111", "[card]"),
        ("5555-5555-5555-4444", "[card]"),
        ("378282246310005", "[card]"),
        ("ssn 123-45-6789", "ssn [ssn]"),
        ("from 192.168.1.20:8080", "from [ip]:8080"),
        ("peer 8.8.8.8.", "peer [ip]."),
        ("peer 2001:db8::8a2e:370:7334 said", "peer [ip] said"),
        ("[fe80::1ff:fe23:4567:890a]:80", "[[ip]]:80"),
        ("::ffff:169.254.169.254", "[ip]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_123", "jwt [token]"),
        ("Authorization: Bearer abc123def456", "Authorization: [secret]"),
        ("sent bearer Zm9vYmFyMTIz", "sent bearer [token]"),
        ("password=hunter2!", "password=[secret]"),
        ("\"api_key\": \"k-123456\"", "\"api_key\": \"[secret]\""),
        ("sk_live_abcdefghij0123456789", "[key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[key]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- end", "[private-key] end"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut off", "[private-key]"),
        ("größe alice@example.com größe", "größe [email] größe"),
    ];
    for (text, expected) in cases {
        assert_eq!(redact(text), expected, "{text}");
    }
}

#[test]
fn ordinary_things_stay() {
    let cases = [
        "refund order 1042, 25.00 EUR, the cup arrived broken",
        "order ORD-2026-000123 and 1000000042",
        "123e4567-e89b-12d3-a456-426614174000",
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "11111111-1111-1111-1111-111111111111",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "41111111111111111111111111111111",
        "2026-11-20T12:43:33.123456Z",
        "2026-11-20T12:43:33+02:00",
        "12:43:33",
        "1763642613 1763642613123 1763642613123456789",
        "1,234,567.89 EUR and 1.234.567,89 EUR",
        "+1234567.50",
        "4111111111111112",
        "DE89370400440532013001",
        "version 1.2.3, refund-create:1.0.0@default",
        "127.0.0.1:8420 and 0.0.0.0 and ::1",
        "std::fmt::Display and a::b",
        "basic information, bearer of news",
        "executions/01890a5d-ac96-774b-bcce-b302099a8057/effects/3",
        "https://shop.example/orders/1042?limit=50",
        "token count 512",
        "555-1234",
        "20-30-4567",
        "",
    ];
    for text in cases {
        let found = redact(text);
        assert_eq!(found, text);
        assert!(matches!(found, Cow::Borrowed(_)), "{text} was copied");
    }
}

#[test]
fn documents_are_masked_by_text_and_by_name() {
    let document = json!({
        "order": "1042", "amount": 25.0, "contact": ["alice@example.com", 5],
        "password": "x", "nested": { "api-key": { "a": 1 }, "token": null, "tokens": 12 },
        "bob@example.com": true, "number": 4_111_111_111_111_111_u64, "at": 1_763_642_613_123_u64,
    });
    assert_eq!(
        redact_json(&document),
        json!({
            "order": "1042", "amount": 25.0, "contact": ["[email]", 5],
            "password": "[secret]", "nested": { "api-key": "[secret]", "token": null, "tokens": 12 },
            "[email]": true, "number": "[card]", "at": 1_763_642_613_123_u64,
        })
    );
    let deep = (0..DEPTH_MAX + 10).fold(json!("alice@example.com"), |inner, _| json!([inner]));
    assert!(!redact_json(&deep).to_string().contains("alice"));
}

proptest! {
    #[test]
    fn an_address_never_survives(before in "[a-z ,]{0,40}", after in "[ ,;][a-z ,]{0,40}") {
        let text = format!("{before} alice@example.com 4111 1111 1111 1111{after}");
        let found = redact(&text);
        prop_assert!(!found.contains("alice@") && !found.contains("4111"), "{}", found);
    }

    #[test]
    fn masking_is_stable_and_never_panics(text in "\\PC{0,200}") {
        let once = redact(&text).into_owned();
        prop_assert_eq!(redact(&once), once.as_str());
    }
}
