//! The published JSON Schema beside the validator: what one takes, the other takes.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::support::compile;

/// Documents that are made and compared.
const MUTATIONS: usize = 5_000;

fn validator() -> jsonschema::Validator {
    let schema = dsl::json_schema::workflow();
    jsonschema::meta::validate(&schema).expect("it is a JSON Schema");
    jsonschema::options().offline().build(&schema).expect("it compiles")
}

/// Our own documents: of the feature files and of the tables of diagnostics.
fn documents() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/features");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("the features are there").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("it can be read");
        for (index, document) in crate::kit::definitions(&text).into_iter().enumerate() {
            found.insert(format!("{} {index}", entry.path().display()), document);
        }
    }
    if let Some(spec) = crate::agreement::spec() {
        found.extend(crate::agreement::documents(&spec));
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/refund/workflow.yaml");
    found.insert("refund".to_owned(), std::fs::read_to_string(example).expect("it is there"));
    found
}

fn data(text: &str) -> Option<Json> {
    dsl::data::read(text).ok().map(|value| value.to_json())
}

#[test]
fn every_document_that_is_accepted_validates() {
    let schema = validator();
    let (mut accepted, mut wrong) = (0, Vec::new());
    for (name, text) in documents() {
        let Some(json) = data(&text) else { continue };
        let valid = schema.is_valid(&json);
        let fine = compile(&text).definition.is_some();
        accepted += usize::from(fine);
        if fine && !valid {
            let error = schema.iter_errors(&json).next().map(|error| error.to_string());
            wrong.push(format!("{name}: {error:?}"));
        }
        assert_eq!(valid, dsl::json_schema::problems(&text).is_empty(), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted > 60, "only {accepted} documents were accepted");
}

/// Every place of a document, as a JSON Pointer.
fn places(json: &Json, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match json {
        Json::Object(members) => {
            for (name, value) in members {
                places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Json::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_schema_and_the_validator_agree_about_mutations() {
    let schema = validator();
    let documents: Vec<(String, Json)> =
        documents().into_iter().filter_map(|(name, text)| Some((name, data(&text)?))).collect();
    // A fixed seed: the same documents every time.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below.max(1) as u64).unwrap_or(0)
    };
    let values = [
        json!(null),
        json!(true),
        json!(7),
        json!(1.5),
        json!("text"),
        json!(""),
        json!([]),
        json!({}),
        json!({ "x": 1 }),
        json!([{ "a": { "set": { "y": 1 } } }]),
        json!("1.0.0"),
        json!("-x"),
        json!("PT1S"),
        json!({ "set": { "y": 1 }, "wait": "PT1S" }),
        json!({ "call": "http" }),
        json!("/a~0"),
        json!("~"),
    ];
    let names = [
        "do", "set", "for", "call", "with", "then", "if", "document", "x", "use", "timeout", "catch", "run",
        "metadata", "omnihub", "schedule", "event", "one", "any", "until", "retry", "in", "branches",
    ];
    let (mut refused, mut taken) = (0, 0);
    for round in 0..MUTATIONS {
        let (name, json) = &documents[round % documents.len()];
        let mut mutant = json.clone();
        for _ in 0..=next(2) {
            let mut found = Vec::new();
            places(&mutant, "", &mut found);
            let place = found[next(found.len())].clone();
            let Some(value) = mutant.pointer_mut(&place) else { continue };
            match (next(4), value) {
                (0, value) => *value = values[next(values.len())].clone(),
                (1, Json::Object(members)) if !members.is_empty() => {
                    let key = members.keys().nth(next(members.len())).cloned().unwrap_or_default();
                    members.remove(&key);
                }
                (2, Json::Object(members)) => {
                    members.insert(names[next(names.len())].to_owned(), values[next(values.len())].clone());
                }
                (_, Json::Array(items)) if !items.is_empty() => {
                    items.truncate(next(items.len()));
                }
                (_, value) => *value = values[next(values.len())].clone(),
            }
        }
        let text = mutant.to_string();
        let told = dsl::json_schema::problems(&text);
        let valid = schema.is_valid(&mutant);
        let why =
            schema.iter_errors(&mutant).next().map(|error| format!("{} at {}", error, error.instance_path()));
        assert_eq!(told.is_empty(), valid, "{name}: {told:#?} {why:?}\n{text}");
        refused += usize::from(!valid);
        taken += usize::from(valid);
    }
    assert!(refused > MUTATIONS / 10 && taken > MUTATIONS / 10, "{taken} taken, {refused} refused");
}

/// The patterns are another way to say what the functions of the tables test.
#[test]
fn patterns_say_what_the_validator_tests() {
    let schema = validator();
    let document = |name: &str, version: &str| {
        json!({ "document": { "dsl": "1.0.3", "namespace": "test", "name": name, "version": version },
                "do": [ { "a": { "set": { "x": 1 } } } ] })
    };
    let longest = "a".repeat(63);
    let names = ["a", "A-9", "-a", "a-", "a_b", "", "a b", &longest, &format!("{longest}a"), "é", "a\n"];
    let long = format!("1.0.0-{}", "a".repeat(58));
    let versions = [
        "1.0.0",
        "0.0.0",
        "01.0.0",
        "1.0",
        "1.0.0.0",
        "1.0.0-rc.1",
        "1.0.0-01",
        "1.0.0-0a",
        "1.0.0-",
        "1.0.0+b.1",
        "1.0.0+",
        "1.0.0-a+b",
        "v1.0.0",
        "1.0.0 ",
        "1.0.0\n",
        "1.0.0-a..b",
        "1.0.0-é",
        &long,
        &format!("{long}a"),
        "",
    ];
    for (name, version) in names.iter().map(|name| (*name, "1.0.0")).chain(versions.iter().map(|v| ("a", *v)))
    {
        let json = document(name, version);
        let valid = schema.is_valid(&json);
        assert_eq!(valid, dsl::json_schema::problems(&json.to_string()).is_empty(), "{name:?} {version:?}");
    }
    for pointer in ["/a", "/", "", "a", "/a~0b", "/a~1", "/a~2", "/~", "/a/b", "//"] {
        let mut json = document("a", "1.0.0");
        json["document"]["metadata"] =
            json!({ "omnihub": { "slots": { "s": { "type": "text", "into": pointer } } } });
        let valid = schema.is_valid(&json);
        assert_eq!(valid, dsl::json_schema::problems(&json.to_string()).is_empty(), "{pointer:?}");
    }
}
