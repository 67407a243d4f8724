//! Verdicts beside those of the specification's own JSON Schema, on its examples and on seeded mutations of them.
//!
//! Needs `OMNIHUB_SPEC_DIR`: a folder with `schema/workflow.yaml`, `examples` and `ctk`. Without it the tests say so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dsl::Severity;
use serde_json::{Map, Value as Json, json};

use crate::support::compile;

/// Documents that are made and compared.
const MUTATIONS: u64 = 10_000;
/// Says how many more, for a longer look.
const MORE: &str = "OMNIHUB_SPEC_MUTATIONS";
/// Changes of one document at the most.
const CHANGES_MAX: u64 = 3;

/// Codes by which we may refuse what the schema takes: rules that a schema cannot say, what the profile refuses, and what
/// is not built. `docs/conformance.md` lists them.
const STRICTER: &[&str] = &[
    "OH-1000", "OH-1002", "OH-1003", "OH-1005", "OH-1007", "OH-1014", "OH-1020", "OH-1021", "OH-1022",
    "OH-1023", "OH-1030", "OH-1031", "OH-1032", "OH-1033", "OH-1034", "OH-1035", "OH-1036", "OH-1037",
    "OH-1038", "OH-1039", "OH-1040", "OH-1041", "OH-1042", "OH-1043", "OH-1044", "OH-1072", "OH-1080",
    "OH-1081", "OH-1082", "OH-1084", "OH-1086", "OH-1087", "OH-1088", "OH-1089", "OH-1095", "OH-1100",
    "OH-1101", "OH-1102", "OH-1103", "OH-1104", "OH-1105", "OH-1106", "OH-2100", "OH-2101", "OH-2103",
];

/// Objects that the schema leaves open: what stands in them is the language's all the same.
const OPEN: &[&str] = &[
    "an authentication has no key",
    "`with` of `call: mcp` has no key",
    "`transport` has no key",
    "`stdio` has no key",
    "`errors` has no key",
    "an error filter has no key",
    "`event` has no key",
];

/// Names that the schema takes as any text.
const NAMES: &[&str] = &[
    "is not a method",
    "is not the name of a workflow",
    "`amount` is a number from 1 to 1000",
    "is not an attribute of an event",
    "this version of the protocol is not spoken",
];

/// The specification's folder, or none with a word about it.
pub fn spec() -> Option<PathBuf> {
    let folder = std::env::var_os("OMNIHUB_SPEC_DIR").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: OMNIHUB_SPEC_DIR is not set");
    }
    folder
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn data(text: &str) -> Option<Json> {
    dsl::data::read(text).ok().map(|value| value.to_json())
}

fn schema(folder: &Path) -> jsonschema::Validator {
    let text = read(&folder.join("schema/workflow.yaml"));
    let document = data(&text).expect("the schema is YAML");
    jsonschema::options().offline().build(&document).expect("the schema compiles")
}

/// The examples, and the workflows of the kit, by name.
pub fn documents(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let entries = |name: &str| {
        let folder = folder.join(name);
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    };
    for entry in entries("examples").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(name, read(&path));
        }
    }
    for entry in entries("ctk").flatten() {
        let name = entry.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (index, text) in crate::kit::definitions(&read(&entry.path())).into_iter().enumerate() {
            found.insert(format!("{name} {index}"), text);
        }
    }
    found
}

/// What we say: the codes of errors.
fn ours(text: &str) -> Vec<(String, String, String)> {
    let compiled = compile(text);
    let errors = compiled.problems.into_iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| (problem.code, problem.pointer, problem.message)).collect()
}

/// True when a documented rule makes us stricter than the schema.
fn stricter((code, pointer, message): &(String, String, String)) -> bool {
    // Places that the schema leaves open, so that a typing error in them would be ignored.
    let open = pointer.rsplit_once('/').is_some_and(|(parent, _)| parent.is_empty())
        || OPEN.iter().any(|place| message.starts_with(place));
    STRICTER.contains(&code.as_str())
        // A correlation that expects nothing would take every event; an event without attributes says nothing.
        || (code == "OH-1011" && (message.ends_with("expects nothing") || message == "`event` needs `with`"))
        || (code == "OH-1010" && open)
        || (code == "OH-1015" && pointer == "/schedule")
        || (code == "OH-1013" && NAMES.iter().any(|what| message.ends_with(what)))
}

/// None when both agree, or we are stricter by a documented rule; what differs otherwise.
fn differs(schema: &jsonschema::Validator, json: &Json, text: &str) -> Option<String> {
    let ours = ours(text);
    if !schema.is_valid(json) {
        if !ours.is_empty() {
            return None;
        }
        let error = schema.iter_errors(json).next();
        return Some(error.map_or_else(
            || "the schema refuses it, we do not".to_owned(),
            |error| format!("we take what the schema refuses: at `{}`: {error}", error.instance_path()),
        ));
    }
    let unknown: Vec<_> = ours.iter().filter(|error| !stricter(error)).collect();
    // One documented reason is reason enough; others may follow from it.
    let known = ours.iter().any(stricter);
    (!unknown.is_empty() && !known).then(|| format!("we refuse what the schema takes: {unknown:?}"))
}

#[test]
fn every_example_is_taken_or_refused_for_one_documented_reason() {
    let Some(folder) = spec() else { return };
    let schema = schema(&folder);
    let (mut taken, mut refused, mut wrong) = (0, BTreeMap::<String, Vec<String>>::new(), Vec::new());
    for (name, text) in documents(&folder) {
        let json = data(&text).unwrap_or_else(|| panic!("{name} is not YAML"));
        if let Some(difference) = differs(&schema, &json, &text) {
            wrong.push(format!("{name}: {difference}"));
        }
        let mut codes: Vec<String> = ours(&text).into_iter().map(|(code, ..)| code).collect();
        codes.dedup();
        match codes.as_slice() {
            [] => taken += 1,
            [one] => refused.entry(one.clone()).or_default().push(name),
            several => wrong.push(format!("{name}: several reasons: {several:?}")),
        }
    }
    println!("{taken} taken; {refused:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken > 0, "nothing was taken");
}

#[test]
fn mutations_are_judged_as_the_schema_judges_them() {
    let Some(folder) = spec() else { return };
    let schema = schema(&folder);
    let seeds: Vec<(String, Json)> = documents(&folder)
        .into_iter()
        .filter_map(|(name, text)| Some((name, data(&text)?)))
        .filter(|(_, json)| schema.is_valid(json))
        .collect();
    assert!(seeds.len() > 50, "only {} documents to begin with", seeds.len());
    let (mut wrong, mut valid) = (BTreeMap::<String, (u64, String)>::new(), 0u64);
    let most = std::env::var(MORE).ok().and_then(|most| most.parse().ok()).unwrap_or(MUTATIONS);
    for number in 0..most {
        let mut random = Random(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03);
        let (name, json) = &seeds[random.below(seeds.len())];
        let (_, other) = &seeds[random.below(seeds.len())];
        let mut json = json.clone();
        for _ in 0..=random.below(CHANGES_MAX as usize - 1) {
            mutate(&mut json, other, &mut random);
        }
        valid += u64::from(schema.is_valid(&json));
        let text = json.to_string();
        if let Some(difference) = differs(&schema, &json, &text) {
            let kind = kind_of(&difference);
            let entry = wrong
                .entry(kind)
                .or_insert_with(|| (0, format!("seed {number}, {name}: {difference}\n{text}")));
            entry.0 += 1;
        }
    }
    println!("{valid} of {most} are valid by the schema");
    let told: Vec<String> =
        wrong.values().map(|(count, first)| format!("{count} times, first {first}")).collect();
    assert!(valid > most / 20 && valid < most, "the mutations are one-sided");
    assert!(told.is_empty(), "{} kinds of disagreement:\n{}", told.len(), told.join("\n\n"));
}

/// The disagreement without names and positions, to tell each kind once.
fn kind_of(difference: &str) -> String {
    let mut kind = String::new();
    // What stands in backticks, digits and quotes varies.
    for (index, part) in difference.split('`').enumerate() {
        if index % 2 == 0 {
            kind.extend(part.chars().filter(|c| !c.is_ascii_digit()));
        }
    }
    match kind.find("{\"") {
        Some(at) => kind.truncate(at),
        None => kind.truncate(kind.floor_char_boundary(200)),
    }
    let pointer = difference.split('`').nth(1).unwrap_or_default();
    let place = pointer.rsplit('/').next().unwrap_or_default();
    if difference.starts_with("we take") { format!("{kind} {place}") } else { kind }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).unwrap_or(0)
    }
}

/// One change somewhere: a member less, another one, a typing error, another type, a part of another document.
fn mutate(json: &mut Json, other: &Json, random: &mut Random) {
    let count = containers(json).len();
    let path = containers(json)[random.below(count)].clone();
    let donor = {
        let all = containers(other);
        other.pointer(&all[random.below(all.len())]).cloned()
    };
    let Some(place) = json.pointer_mut(&path) else { return };
    match place {
        Json::Object(members) => mutate_object(members, donor, random),
        Json::Array(items) => mutate_list(items, donor, random),
        _ => {}
    }
}

fn mutate_object(members: &mut Map<String, Json>, donor: Option<Json>, random: &mut Random) {
    let keys: Vec<String> = members.keys().cloned().collect();
    let Some(key) = keys.get(random.below(keys.len())).cloned() else {
        members.insert("x".to_owned(), json!(1));
        return;
    };
    match random.below(7) {
        0 => drop(members.shift_remove(&key)),
        1 => {
            if let Some(value) = members.shift_remove(&key) {
                members.insert(format!("{key}x"), value);
            }
        }
        2 => drop(members.insert("unknownKey".to_owned(), json!("x"))),
        3 => drop(members.insert(key, value(random))),
        4 => drop(members.insert(key, donor.unwrap_or(Json::Null))),
        5 => drop(members.insert(words(random).to_owned(), value(random))),
        _ => {
            if let Some(Json::Object(more)) = donor {
                let all: Vec<(String, Json)> = more.into_iter().collect();
                if let Some((name, value)) = all.get(random.below(all.len())).cloned() {
                    members.insert(name, value);
                }
            }
        }
    }
}

fn mutate_list(items: &mut Vec<Json>, donor: Option<Json>, random: &mut Random) {
    let at = random.below(items.len());
    match random.below(4) {
        0 if !items.is_empty() => drop(items.remove(at)),
        1 => items.push(value(random)),
        2 => items.extend(donor),
        _ if !items.is_empty() => items[at] = value(random),
        _ => {}
    }
}

fn value(random: &mut Random) -> Json {
    [
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("x"),
        json!("${ . }"),
        json!("PT1S"),
        json!("https://example.com/a"),
        json!([]),
        json!({}),
        json!(["x"]),
        json!({"x": 1}),
        json!("latest"),
        json!("1.0.0"),
    ][random.below(16)]
    .clone()
}

fn words(random: &mut Random) -> &'static str {
    const WORDS: &[&str] = &[
        "if", "then", "input", "output", "export", "timeout", "metadata", "do", "set", "wait", "while",
        "foreach", "catch", "schedule", "use", "as", "from", "schema", "with", "until", "retry", "limit",
        "await", "return", "title", "tags",
    ];
    WORDS[random.below(WORDS.len())]
}

/// Pointers of every object and list of a document, its own first.
fn containers(json: &Json) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), json)];
    while let Some((pointer, value)) = waiting.pop() {
        match value {
            Json::Object(members) => {
                waiting.extend(members.iter().map(|(name, value)| {
                    (format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), value)
                }));
                found.push(pointer);
            }
            Json::Array(items) => {
                waiting.extend(
                    items.iter().enumerate().map(|(index, value)| (format!("{pointer}/{index}"), value)),
                );
                found.push(pointer);
            }
            _ => {}
        }
    }
    found
}
