//! What a document becomes.

use dsl::plan::{TaskKind, Then};

use crate::support::{compile, render, workflow};

const REFUND: &str = r#"
use:
  retries:
    slow: { delay: PT5S, backoff: { exponential: {} }, limit: { attempt: { count: 5 } } }
  errors:
    closed: { type: https://shop.example/errors/closed, status: 409 }
do:
  - check:
      switch:
        - open: { when: .open, then: pay }
        - closed: { then: refuse }
  - refuse: { raise: { error: closed } }
  - pay:
      try:
        - refund:
            call: refund-create:1.0.0@default
            with: { orderId: '${ .id }', amount: 5 }
      catch:
        errors: { with: { type: communication } }
        as: err
        retry: slow
        do:
          - note: { set: { failed: '${ $err.detail }' } }
  - all:
      for: { each: item, in: .items }
      do:
        - one: { run: { shell: { command: 'echo ${HOME}', arguments: [ '${ $item }' ] } } }
  - wait: { wait: PT1S }
"#;

#[test]
fn pointers_targets_and_references_are_in_place() {
    let compiled = compile(&workflow(REFUND));
    let Some(definition) = compiled.definition else { panic!("{}", render(&compiled.problems)) };
    let mut pointers = Vec::new();
    collect(&definition.tasks, &mut pointers);
    assert_eq!(
        pointers,
        [
            "/do/0/check",
            "/do/1/refuse",
            "/do/2/pay",
            "/do/2/pay/try/0/refund",
            "/do/2/pay/catch/do/0/note",
            "/do/3/all",
            "/do/3/all/do/0/one",
            "/do/4/wait",
        ]
    );
    let TaskKind::Switch(cases) = &definition.tasks.tasks[0].kind else { panic!("not a switch") };
    assert_eq!(cases.iter().map(|c| c.then).collect::<Vec<_>>(), [Then::Task(2), Then::Task(1)]);
    let reached: Vec<String> = definition.actions.keys().map(ToString::to_string).collect();
    assert_eq!(reached, ["refund-cancel:1.0.0", "refund-create:1.0.0", "refund-read:1.0.0"]);
    let TaskKind::Try(attempt) = &definition.tasks.tasks[2].kind else { panic!("not a try") };
    assert_eq!(attempt.retry.as_ref().and_then(|r| r.count), Some(5));
}

fn collect(list: &dsl::plan::TaskList, pointers: &mut Vec<String>) {
    for task in &list.tasks {
        pointers.push(task.pointer.to_string());
        task.kind.lists().into_iter().for_each(|list| collect(list, pointers));
    }
}

#[test]
fn yaml_and_json_have_the_same_digest() {
    let yaml = compile(&workflow(REFUND));
    let Some(from_yaml) = yaml.definition else { panic!("{}", render(&yaml.problems)) };
    let text = serde_json::to_string_pretty(&from_yaml.document.to_json()).unwrap_or_default();
    let json = compile(&text);
    let Some(from_json) = json.definition else { panic!("{}", render(&json.problems)) };
    assert_eq!(from_yaml.digest, from_json.digest);

    let other = compile(&workflow(&REFUND.replace("PT5S", "PT6S")));
    assert_ne!(other.definition.map(|d| d.digest), Some(from_yaml.digest));
}

#[test]
fn booleans_are_strict() {
    let compiled = compile(&workflow(
        "do: [ { a: { set: { a: no, b: on, c: 012, d: 0o17, e: 1e3, f: ~, g: '1', h: TRUE } } } ]",
    ));
    let Some(definition) = compiled.definition else { panic!("{}", render(&compiled.problems)) };
    let set = definition.document.to_json()["do"][0]["a"]["set"].to_string();
    assert_eq!(set, r#"{"a":"no","b":"on","c":12,"d":15,"e":1000.0,"f":null,"g":"1","h":true}"#);
}

#[test]
fn json_may_have_tabs_long_names_and_line_ends_of_any_kind() {
    let long = "n".repeat(3000);
    let text = format!(
        "{{\r\n\t\"document\": {{\"dsl\":\"1.0.3\",\"namespace\":\"a\",\"name\":\"b\",\"version\":\"1.0.0\"}},\r\n\t\"do\": [\r\n\t\t{{\"a\": {{\"set\": {{\"{long}\": \"\\u00e9\\/\\ud83c\\udfb5\", \"e\": [], \"f\": {{}}}}}}}}\r\n\t]\r\n}}\r\n"
    );
    let compiled = compile(&text);
    let Some(definition) = compiled.definition else { panic!("{}", render(&compiled.problems)) };
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(definition.document.to_json(), json);
}

/// What the repository shows must be publishable.
#[test]
fn the_shipped_examples_compile_without_a_word() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folders = std::fs::read_dir(&root).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    for folder in
        folders.filter_map(|f| f.ok().map(|f| f.path())).filter(|f| f.join("workflow.yaml").exists())
    {
        let mut shop = crate::support::Shop(std::collections::BTreeMap::new());
        for file in std::fs::read_dir(folder.join("actions")).into_iter().flatten().filter_map(Result::ok) {
            let compiled = dsl::action::compile(&std::fs::read_to_string(file.path()).unwrap_or_default());
            assert!(
                compiled.problems.is_empty(),
                "{}\n{}",
                file.path().display(),
                render(&compiled.problems)
            );
            shop.0.extend(compiled.action.map(|a| (a.reference.clone(), a)));
        }
        let text = std::fs::read_to_string(folder.join("workflow.yaml")).unwrap_or_default();
        let compiled = dsl::compile(&text, &shop);
        assert!(compiled.problems.is_empty(), "{}\n{}", folder.display(), render(&compiled.problems));
        assert!(compiled.definition.is_some(), "{}", folder.display());
    }
}
