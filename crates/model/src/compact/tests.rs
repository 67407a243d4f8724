//! What is written comes back the same, and what was not written by us is refused and never a panic.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn round(json: &Json) -> Vec<u8> {
    let bytes = to_vec(json).expect("JSON has a document");
    assert_eq!(&transcode(&bytes).expect("is read back"), json);
    bytes
}

#[test]
fn each_kind_of_item_has_the_bytes_that_are_documented() {
    let uuid = "01936b2a-7c3d-7000-8000-0123456789ab";
    let digest = format!("sha256:{}", "0f".repeat(32));
    let table = [
        (json!(null), "00".to_owned()),
        (json!([false, true]), "0a01020c".to_owned()),
        (json!([0, 31, 32, 300, -1, -129]), "0a203f032003ac020400048001 0c".replace(' ', "")),
        (json!(1.5), "05000000000000f83f".to_owned()),
        (json!({"at": "hi", "effect": 3}), "0b8042686982230c".to_owned()),
        (json!(uuid), "0901936b2a7c3d700080000123456789ab".to_owned()),
        (json!(digest), format!("08{}", "0f".repeat(32))),
        (json!(["same text", "same text"]), "0a4973616d6520746578740d000c".to_owned()),
        (
            json!(format!("jobs/{uuid}/x")),
            "0e456a6f62732f0901936b2a7c3d700080000123456789ab422f78".to_owned(),
        ),
    ];
    for (json, expected) in table {
        assert_eq!(hex::encode(round(&json)), expected, "{json}");
    }
}

#[test]
fn every_word_is_found_and_its_place_never_changes() {
    for (index, word) in words::WORDS.iter().enumerate() {
        assert_eq!(words::index_of(word).map(usize::from), Some(index), "{word}");
    }
    assert_eq!(words::index_of("no such word"), None);
    // Stored documents hold indexes: a word that moves makes every one of them lie.
    let first = words::WORDS[..FROZEN_WORDS].join("\n");
    assert_eq!(crate::Digest::of(first.as_bytes()).short(), FROZEN_DIGEST);
}

#[test]
fn the_page_lists_every_word() {
    let page = include_str!("../../../../docs/storage.md");
    let list = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a list");
    let listed: Vec<String> = list.lines().map(str::to_owned).collect();
    let words: Vec<String> =
        words::WORDS.iter().enumerate().map(|(index, word)| format!("{index} {word}")).collect();
    assert_eq!(listed, words);
}

#[test]
fn only_what_is_the_same_has_the_same_likeness() {
    let known = [
        json!({"at": "at", "effect": ["same text", "same text"]}),
        json!({"at": "at", "effect": ["same text", "same texts"]}),
        json!({"at": "a", "effect": ["tsame text", "same text"]}),
        json!({"at": "at", "effect": ["same text"]}),
        json!({"at": "at", "effect": "same text"}),
        json!({"effect": ["same text", "same text"], "at": "at"}),
        json!([1, "1", 1.0, null, false, -1]),
        json!([1, "1", 1.5, null, false, -1]),
    ];
    for (index, one) in known.iter().enumerate() {
        for (other_index, other) in known.iter().enumerate() {
            let same = likeness(one).expect("has bytes") == likeness(other).expect("has bytes");
            assert_eq!(same, index == other_index, "{one} and {other}");
        }
    }
}

/// Words of the first release of this form, and the digest of their list.
const FROZEN_WORDS: usize = 237;
const FROZEN_DIGEST: &str = "67d62af43696";

#[test]
fn texts_that_only_look_like_ids_stay_as_they_are() {
    for text in [
        "01936B2A-7c3d-7000-8000-0123456789ab",
        "01936b2a+7c3d-7000-8000-0123456789ab",
        "sha256:0F",
        "/01936b2a-7c3d-7000-8000-0123456789ab/01936b2a-7c3d-7000-8000-0123456789ab",
        "a/01936b2a-7c3d-7000-8000-0123456789abc",
        "é/01936b2a-7c3d-7000-8000-0123456789aé",
        "",
    ] {
        round(&json!(text));
        round(&json!({ text: [text, text] }));
    }
    round(&json!(format!("sha256:{}", "0F".repeat(32))));
}

#[test]
fn more_texts_than_are_remembered_come_back() {
    let texts: Vec<String> = (0..400).map(|n| format!("text number {n}")).collect();
    round(&json!([texts, texts]));
}

#[test]
fn depth_is_limited() {
    let nested = |levels: usize| [vec![tag::LIST; levels], vec![tag::END; levels]].concat();
    assert!(transcode(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(transcode(&nested(DEPTH_MAX + 1)), Err(Error::Depth));
}

#[test]
fn what_is_no_document_is_refused() {
    let table: [(&[u8], Error); 9] = [
        (&[], Error::Length(0)),
        (&[tag::NULL, tag::NULL], Error::Length(1)),
        (&[tag::END], Error::Tag(tag::END, 0)),
        (&[0x0f], Error::Tag(0x0f, 0)),
        (&[tag::LIST, tag::NULL], Error::Length(2)),
        (&[tag::TEXT, 0xff, 0xff, 0x7f, b'x'], Error::Length(4)),
        (&[tag::SHORT + 1, 0xff], Error::Text(1)),
        (&[tag::AGAIN, 0], Error::Text(0)),
        (&[tag::OBJECT, tag::TRUE, tag::NULL, tag::END], Error::Tag(tag::TRUE, 1)),
    ];
    for (bytes, error) in table {
        assert_eq!(transcode(bytes), Err(error), "{bytes:02x?}");
    }
}

fn document() -> impl Strategy<Value = Json> {
    let text = prop_oneof![
        ".{0,80}",
        Just("effect.permitted".to_owned()),
        "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
        "executions/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}(/effects/[0-9]{1,2})?",
        "sha256:[0-9a-f]{64}",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_filter("JSON has none other", |f| f.is_finite()).prop_map(Json::from),
        text.clone().prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Json::from),
            prop::collection::vec((text.clone(), inner), 0..8)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_comes_back(json in document()) {
        round(&json);
        let text = crate::canonical::canonical_json(&json);
        assert_eq!(crate::digest_of(&json), crate::Digest::of(text.as_bytes()), "{text}");
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(json) = transcode(&bytes) {
            round(&json);
        }
    }
}
