//! Pictures of small documents: what is in them, and that nothing overlaps.

use super::layout::{Rect, Shape, lay};
use super::{Frame, draw, outline};
use crate::document::reader;
use crate::document::report::Report;

const HEAD: &str = "document: { dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0' }\n";

fn shapes(tasks: &str) -> Vec<Shape> {
    let text = format!("{HEAD}{tasks}");
    let root = reader::read(&text, &mut Report::new(&text)).expect("it can be read");
    lay(&outline::of(&root)).shapes
}

const EVERYTHING: &str = "do:
- a: { set: { x: 1 }, if: .go }
- b:
    switch:
    - small: { when: .x < 10, then: d }
    - other: { then: end }
- c: { wait: PT5S, then: a }
- d:
    fork:
      branches:
      - one: { call: http, with: { method: get, endpoint: https://shop.example/a } }
      - two:
          do:
          - inner: { run: { shell: { command: ls } } }
          - last: { set: { y: 2 }, then: exit }
- e:
    try: [ { t: { raise: { error: { type: https://x.example/e, status: 500 } } } } ]
    catch: { errors: { with: { status: 500 } }, retry: { delay: PT1S, limit: { attempt: { count: 3 } } }, do: [ { f: { set: { z: 1 } } } ] }
- g:
    for: { each: n, in: .list }
    while: .n < 3
    do: [ { h: { emit: { event: { with: { source: https://x.example, type: t } } } } } ]
- i: { listen: { to: { any: [ { with: { type: a } }, { with: { type: b } } ] } } }
";

#[test]
fn boxes_stand_inside_or_beside_each_other() {
    let shapes = shapes(EVERYTHING);
    let boxes: Vec<(&str, Rect)> = shapes
        .iter()
        .filter_map(|shape| match shape {
            Shape::Task { at, name, .. } => Some((name.as_str(), *at)),
            _ => None,
        })
        .collect();
    assert_eq!(boxes.len(), 14);
    let within = |a: &Rect, b: &Rect| {
        a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height
    };
    let apart = |a: &Rect, b: &Rect| {
        a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y
    };
    for (i, (name, a)) in boxes.iter().enumerate() {
        for (other, b) in &boxes[i + 1..] {
            assert!(apart(a, b) || within(b, a), "{name} and {other}");
        }
    }
    let inside = |inner: &str, outer: &str| {
        let find = |name: &str| boxes.iter().find(|(known, _)| *known == name).expect("it is drawn").1;
        within(&find(inner), &find(outer))
    };
    for (inner, outer) in [("one", "d"), ("inner", "two"), ("t", "e"), ("f", "e"), ("h", "g")] {
        assert!(inside(inner, outer), "{inner} in {outer}");
    }
    assert!(!inside("a", "d"));
}

#[test]
fn the_flow_is_drawn_where_it_goes() {
    let shapes = shapes(EVERYTHING);
    let count = |wanted: &str| {
        shapes.iter().filter(|shape| matches!(shape, Shape::Arrow { class, .. } if *class == wanted)).count()
    };
    // Two inside the list (b to d, c back to a), one to the end of the workflow, one out of a list.
    assert_eq!(count("jump"), 4);
    assert_eq!((count("arrow caught"), count("arrow back")), (1, 1));
    let outs: Vec<&str> = shapes
        .iter()
        .filter_map(|shape| match shape {
            Shape::Out { word, .. } => Some(word.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(outs, ["exit", "end"]);
    let words: Vec<&str> = shapes
        .iter()
        .filter_map(|shape| match shape {
            Shape::Words { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(words, ["small: .x < 10", "other"]);
    // `b` has a case without a condition and `c` goes back: neither goes on to the next.
    assert_eq!(count("arrow"), 2 + 4 + 1);
}

#[test]
fn labels_say_what_a_task_does() {
    let picture = draw(&format!("{HEAD}{EVERYTHING}"), Frame::File).expect("it is a workflow");
    for words in [
        "GET shop.example/a",
        "$ ls",
        "retries 3× after PT1S",
        "catches 500",
        "each $n in .list while .n &lt; 3",
        "any of a, b",
        "if .go",
        "500 e",
        "test/flow:1.0.0",
    ] {
        assert!(picture.contains(words), "{words} in {picture}");
    }
}

#[test]
fn hostile_names_stay_text_and_large_documents_are_cut() {
    let text =
        format!("{HEAD}do:\n- '</text><script>': {{ set: {{ '\"><b>': 1 }}, then: \"\\u0007<i>\" }}\n");
    for frame in [Frame::File, Frame::Page] {
        let picture = draw(&text, frame).expect("it has the shape of a workflow");
        assert!(
            !picture.contains("<script") && !picture.contains("<b>") && !picture.contains("<i>"),
            "{picture}"
        );
        assert!(!picture.contains('\u{7}'));
    }
    let many: String =
        (0..1000).map(|i| format!("- t{i}: {{ set: {{ x: 1 }}, then: t{} }}\n", (i + 500) % 1000)).collect();
    let picture = draw(&format!("{HEAD}do:\n{many}"), Frame::File).expect("it is a workflow");
    assert!(picture.contains("600 more tasks are not drawn"));
    assert_eq!(picture.matches("<g class=\"node").count(), 400);
    let deep = (0..18).fold("- t: { set: { x: 1 } }".to_owned(), |inner, _| {
        format!("- t: {{ do: [ {{ {} }} ] }}", inner.trim_start_matches("- "))
    });
    assert!(draw(&format!("{HEAD}do:\n{deep}\n"), Frame::File).is_ok());
}

#[test]
fn what_is_no_workflow_is_refused_with_its_place() {
    let problems = draw("do: 1\n", Frame::File).expect_err("it is no workflow");
    assert!(problems.iter().any(|problem| problem.code == "OH-1011"));
}
