//! What `omnihub workflows` does without a server: form, picture, cases, schema.

mod support;

use std::path::{Path, PathBuf};

use support::{omnihub, run};

const UNTIDY: &str = "document: {dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0'}\ndo:\n# the first\n- a:\n    set: {x: 1}   # kept\n    then:   end\n";
const TIDY: &str = "document: { dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0' }\ndo:\n  # the first\n  - a:\n      set: { x: 1 } # kept\n      then: end\n";

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch directory")
}

fn write(home: &Path, name: &str, text: &str) -> PathBuf {
    let path = home.join(name);
    std::fs::write(&path, text).expect("it can be written");
    path
}

fn told(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    run(&mut omnihub(home, arguments))
}

#[test]
fn fmt_writes_files_in_place_and_check_only_looks() {
    let home = home();
    let (untidy, tidy) = (write(home.path(), "untidy.yaml", UNTIDY), write(home.path(), "tidy.yaml", TIDY));
    let files = [untidy.to_str().expect("a name"), tidy.to_str().expect("a name")];
    let read = |path: &Path| std::fs::read_to_string(path).expect("it is there");

    let (code, out, err) = told(home.path(), &["workflows", "fmt", "--check", files[0], files[1]]);
    assert_eq!((code, out.trim_end()), (1, files[0]), "{err}");
    assert_eq!(read(&untidy), UNTIDY, "a check writes nothing");

    let (code, out, err) = told(home.path(), &["workflows", "fmt", files[0], files[1]]);
    assert_eq!((code, out.trim_end()), (0, files[0]), "{err}");
    assert_eq!((read(&untidy).as_str(), read(&tidy).as_str()), (TIDY, TIDY));
    let (code, out, _) = told(home.path(), &["workflows", "fmt", "--check", files[0], files[1]]);
    assert_eq!((code, out.as_str()), (0, ""));

    let broken = write(home.path(), "broken.yaml", "do: [\n");
    let (code, out, err) = told(home.path(), &["workflows", "fmt", broken.to_str().expect("a name")]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("OH-1001"), "{err}");
    assert_eq!(read(&broken), "do: [\n");
    let left: Vec<_> =
        std::fs::read_dir(home.path()).expect("a directory").flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".fmt")), "{left:?}");
}

#[test]
fn our_examples_are_in_their_form() {
    let home = home();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files = Vec::new();
    documents(&folder, &mut files);
    assert!(files.len() >= 4, "{files:?}");
    let mut arguments = vec!["workflows", "fmt", "--check"];
    arguments.extend(files.iter().map(String::as_str));
    let (code, out, err) = told(home.path(), &arguments);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
}

fn documents(folder: &Path, found: &mut Vec<String>) {
    for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
        match path.is_dir() {
            true => documents(&path, found),
            false if path.extension().is_some_and(|ending| ending == "yaml") => {
                found.push(path.display().to_string())
            }
            false => {}
        }
    }
}

#[test]
fn graph_draws_a_document_without_its_actions_and_refuses_what_is_none() {
    let home = home();
    let text = format!("{TIDY}  - b: {{ call: 'not-published:1.0.0', if: .x > 1 }}\n");
    let file = write(home.path(), "flow.yaml", &text);
    let file = file.to_str().expect("a name");
    let (code, out, err) = told(home.path(), &["workflows", "graph", file]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("<svg xmlns=") && out.trim_end().ends_with("</svg>"), "{out}");
    for words in [">a<", ">not-published:1.0.0<", ">end<", "if .x &gt; 1", "test/flow:1.0.0"] {
        assert!(out.contains(words), "{words} in {out}");
    }
    let to = home.path().join("flow.svg");
    let (code, said, err) =
        told(home.path(), &["workflows", "graph", file, "--to", to.to_str().expect("a name")]);
    assert_eq!((code, said.as_str()), (0, ""), "{err}");
    assert_eq!(std::fs::read_to_string(to).expect("it was written"), out);

    let wrong = write(home.path(), "wrong.yaml", "document: 1\ndoo: []\n");
    let (code, out, err) = told(home.path(), &["workflows", "graph", wrong.to_str().expect("a name")]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("1:11") && err.contains("did you mean `do`?"), "{err}");
}

const FLOW: &str = "
workflow:
  document: { dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0' }
  do:
  - wait: { wait: PT1H }
  - look: { call: http, with: { method: get, endpoint: 'https://shop.example/{id}' }, output: { as: '{ got: .n }' } }
  - heard: { listen: { to: { one: { with: { type: go } } } }, output: { as: '{ n: .[0].n }' } }
  - told: { emit: { event: { with: { source: https://shop.example, type: said, data: '${ . }' } } } }
  - never: { if: 'false', set: { x: 1 } }
";

const HOLDS: &str = "
- name: holds
  input: { id: a }
  answers: [ { effect: 'http:GET', output: { n: 7 }, takes: PT1M } ]
  arrives: [ { after: PT2H, event: { source: https://other.example, id: '1', type: go, data: { n: 9 } } } ]
  expect:
    status: completed
    ran: [ wait, look, heard, told ]
    notRun: [ never ]
    effects: [ { effect: 'http:GET', task: look } ]
    published: [ { type: said, data: { n: 9 } } ]
    took: PT2H
";

fn cases(cases: &str) -> String {
    let indented: String = cases.trim().lines().map(|line| format!("  {line}\n")).collect();
    format!("{}cases:\n{indented}", FLOW.trim_start())
}

fn tested(home: &Path, text: &str) -> (i32, String, String) {
    let file = write(home, "cases.yaml", text);
    told(home, &["workflows", "test", file.to_str().expect("a name")])
}

#[test]
fn cases_that_hold_pass_without_a_server_and_without_waiting() {
    let home = home();
    let began = std::time::Instant::now();
    let (code, out, err) = tested(home.path(), &cases(HOLDS));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("passed  holds") && err.contains("1 passed, 0 failed"), "{out}{err}");
    assert!(began.elapsed().as_secs() < 60, "two hours are over in no time");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/refund/cases.yaml");
    let (code, out, err) = told(home.path(), &["workflows", "test", example.to_str().expect("a name")]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("4 passed, 0 failed"), "{err}");
}

/// One change of what holds, and the line that must tell it.
#[test]
fn every_difference_is_told_with_its_place() {
    let home = home();
    for (from, to, line) in [
        ("status: completed", "status: faulted", "status: expected faulted, found completed"),
        ("[ wait, look, heard, told ]", "[ wait, heard, look, told ]", "- heard"),
        ("notRun: [ never ]", "notRun: [ look ]", "task `look` ran, and must not"),
        ("task: look } ]", "task: heard } ]", "effect 1 `http:GET`: task: expected heard"),
        ("task: look } ]", "arguments: {} } ]", "effect 1 `http:GET`: arguments: /"),
        ("task: look } ]", "attempts: 2 } ]", "attempts: expected 2, found 1"),
        ("task: look } ]", "outcome: failed } ]", "outcome: expected failed, found verified"),
        ("effects: [ { effect: 'http:GET', task: look } ]", "effects: []", "+ http:GET"),
        ("data: { n: 9 } } ]\n    took", "data: { n: 8 } } ]\n    took", "/n: expected 8, found 9"),
        ("took: PT2H", "took: PT2H1S", "took: expected PT2H1S, found PT7200S"),
        ("status: completed", "output: { n: 1 }", "output: /n: expected 1, there is none"),
        ("status: completed", "error: { status: 404 }", "status: expected faulted, found completed"),
        ("status: completed", "outcome: unknown", "outcome: expected unknown, found verified"),
        ("effect: 'http:GET', output", "effect: 'http:PUT', output", "`http:GET` of the task `/do/1/look`"),
        ("after: PT2H, event", "after: PT2H, event", ""),
    ] {
        let changed = cases(&HOLDS.replacen(from, to, 1));
        let (code, out, err) = tested(home.path(), &changed);
        let wanted = i32::from(!line.is_empty());
        assert_eq!(code, wanted, "{to}: {out}{err}");
        assert!(out.contains(line), "{line} in {out}");
    }
    let (code, out, err) = told(
        home.path(),
        &["workflows", "test", "--output", "json", home.path().join("cases.yaml").to_str().expect("a name")],
    );
    assert_eq!(code, 0, "{err}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(report["items"][0]["verdict"], "passed");
}

#[test]
fn errors_of_the_outside_are_retried_and_told() {
    let home = home();
    let case = |answers: &str, expect: &str| {
        cases(&format!("- name: x\n  input: {{ id: a }}\n  answers: [ {answers} ]\n  expect: {expect}\n"))
    };
    for (answers, expect) in [
        (
            "{ task: look, error: { status: 404 } }",
            "{ error: { status: 404, type: https://serverlessworkflow.io/spec/1.0.0/errors/communication, instance: /do/1/look } }",
        ),
        (
            "{ task: look, times: 2, error: { status: 503 } }, { task: look, output: {} }",
            "{ status: waiting, effects: [ { effect: 'http:GET', attempts: 3 } ] }",
        ),
        (
            "{ task: look, error: { status: 503 } }",
            "{ status: suspended, outcome: none, effects: [ { effect: 'http:GET', outcome: none } ] }",
        ),
        (
            "{ task: look, arguments: { method: PUT }, output: 1 }, { task: look, arguments: { method: GET }, lost: true }, { task: look, output: 1 }",
            "{ effects: [ { effect: 'http:GET' } ] }",
        ),
    ] {
        let (code, out, err) = tested(home.path(), &case(answers, expect));
        assert_eq!(code, 0, "{answers}: {out}{err}");
    }
}

#[test]
fn files_that_make_no_sense_are_refused() {
    let home = home();
    for (text, word) in [
        (cases("- name: a\n  expect: {}"), "could fail"),
        (cases("- name: a\n  expects: { status: completed }"), "expects"),
        (cases("- name: a\n  expect: { statuss: completed }"), "statuss"),
        (
            cases("- name: a\n  answers: [ { output: 1 } ]\n  expect: { status: completed }"),
            "`effect` or `task`",
        ),
        (
            cases("- name: a\n  answers: [ { task: look } ]\n  expect: { status: completed }"),
            "exactly one of",
        ),
        (
            cases("- name: a\n  arrives: [ { after: PT1S } ]\n  expect: { status: completed }"),
            "either a `signal` or an `event`",
        ),
        (
            cases(
                "- name: a\n  approvals: [ { task: x, decision: perhaps } ]\n  expect: { status: completed }",
            ),
            "perhaps",
        ),
        (
            cases("- name: a\n  expect: { status: completed }\n- name: a\n  expect: { status: completed }"),
            "two cases",
        ),
        (
            "workflow: nowhere.yaml\ncases: [ { name: a, expect: { status: completed } } ]\n".to_owned(),
            "nowhere.yaml",
        ),
        (
            "workflow: { do: [] }\ncases: [ { name: a, expect: { status: completed } } ]\n".to_owned(),
            "OH-1011",
        ),
        ("workflow: x\ncases: []\n".to_owned(), "0 cases"),
        ("a: [\n".to_owned(), "1:"),
    ] {
        let (code, out, err) = tested(home.path(), &text);
        assert!(code == 2 || code == 1, "{text}: {code}");
        assert_eq!(out, "");
        assert!(err.contains(word), "{word} in {err}");
    }
    let (code, _, _) = told(
        home.path(),
        &[
            "workflows",
            "test",
            "--only",
            "nothing",
            write(home.path(), "c.yaml", &cases(HOLDS)).to_str().expect("a name"),
        ],
    );
    assert_eq!(code, 2, "no case that ran proves nothing");
}

#[test]
fn schema_prints_what_a_server_serves() {
    let home = home();
    let (code, out, err) = told(home.path(), &["workflows", "schema"]);
    assert_eq!(code, 0, "{err}");
    let schema: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["required"], serde_json::json!(["document", "do"]));
}

/// The pages of the reference show these files.
#[test]
fn every_example_of_the_reference_holds() {
    let home = home();
    let mut files = Vec::new();
    documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/reference"), &mut files);
    files.sort();
    let kinds: Vec<&str> =
        files.iter().filter_map(|file| Path::new(file).file_stem().and_then(|name| name.to_str())).collect();
    let tasks =
        ["call", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait"];
    assert_eq!(kinds, tasks, "one for each task");
    for file in &files {
        let (code, out, err) = told(home.path(), &["workflows", "test", file]);
        assert_eq!(code, 0, "{out}{err}");
    }
}
