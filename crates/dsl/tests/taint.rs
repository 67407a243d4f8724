//! Labels are sound: what a value from outside can change, in whatever expression, is labelled as coming from outside.
//!
//! An expression is made at random and evaluated over two inputs that differ only in values from outside. Wherever the
//! results differ, both carry the label, on the place that differs or on a container around it. Errors give no value.

use dsl::expr::{Budget, Expr, Vars};
use model::{Data, Label, Value};
use proptest::prelude::*;

/// What the outside may have answered.
const ANSWERS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "-1",
    "\"\"",
    "\"a\"",
    "\"k\"",
    "\"1\"",
    "[]",
    "[1]",
    "[0,\"k\"]",
    "{}",
    "{\"k\":1}",
    "{\"a\":[2]}",
];

/// Expressions without holes.
const ATOMS: &[&str] = &[
    ".",
    ".web",
    ".mix",
    ".mix[1]",
    ".own",
    ".own.l",
    ".own.s",
    ".own.o",
    ".m",
    ".m.x",
    ".m.y",
    "1",
    "0",
    "\"k\"",
    "null",
    "true",
    "empty",
    "[]",
    "{}",
    ".[]",
    ".web[]?",
    ".mix[]",
    ".own.l[]",
    "..",
    "$w",
    "$t",
    "length",
    "keys",
    "add",
    "not",
    "type",
    "tostring",
    "tonumber",
    "tojson",
    "fromjson",
    "reverse",
    "flatten",
    "sort",
    "unique",
    "to_entries",
    "paths",
    "transpose",
    "explode",
    "implode",
    "first",
    "last",
    "min",
    "max",
    "any",
    "all",
    "ascii_upcase",
    "trim",
    "error",
    "recurse",
    "values",
    "scalars",
    "@text",
    "@json",
    "@csv",
    "@sh",
    "floor",
    "abs",
    "group_by(.)",
    "from_entries",
    "leaf_paths",
    "combinations",
    "todate",
];

/// Expressions with holes, which are written `X`, `Y` and `Z`.
const FORMS: &[&str] = &[
    "(X | Y)",
    "(X | Y)",
    "(X, Y)",
    "[X]",
    "[X]",
    "{a: X, b: Y}",
    "{(X): Y}",
    "{\"k\": X}",
    "(X + Y)",
    "(X - Y)",
    "(X * Y)",
    "(X / Y)",
    "(X % Y)",
    "(X == Y)",
    "(X < Y)",
    "(X and Y)",
    "(X or Y)",
    "(X // Y)",
    "(X // Y)",
    "(-(X))",
    "(if X then Y else Z end)",
    "(if X then Y else empty end)",
    "(if X then error(Y) else Z end)",
    "(try (X) catch (Y))",
    "(try (X | Y) catch 0)",
    "((X)?)",
    "((X | Y)?)",
    "(reduce X as $w (Y; Z))",
    "(reduce X as $w (0; . + 1))",
    "[foreach X as $w (Y; Z)]",
    "(X as $w | Y)",
    "(X as [$w, $t] | Y)",
    "(X as {k: $w} | Y)",
    "(X as [$w] ?// $w | Y)",
    "(label $f | X | if Y then ., break $f else Z end)",
    "first(X)",
    "limit(1; X)",
    "[limit(X; Y)]",
    "(X | select(Y))",
    "[X | select(Y)]",
    "(X | map(Y))",
    "(X | map_values(Y))",
    "(X | map(select(Y)))",
    "(X | with_entries(Y))",
    "(X | with_entries(select(Y)))",
    "(X | sort_by(Y))",
    "(X | group_by(Y))",
    "(X | unique_by(Y))",
    "(X | min_by(Y))",
    "(X | max_by(Y))",
    "(X | any(Y))",
    "(X | all(Y))",
    "any(X; Y)",
    "isempty(X)",
    "(X | .[Y])",
    "(X | .[Y:])",
    "(X | .[:Y])",
    "(X | .a |= Y)",
    "(X | .[] |= Y)",
    "(X | (.[] | select(Y)) = Z)",
    "(X | .[Y] = Z)",
    "(X | .a += Y)",
    "(X | .a //= Y)",
    "(X | .[0] |= empty)",
    "(X | .[] |= select(Y))",
    "(X | del(.[Y]))",
    "(X | del(.[] | select(Y)))",
    "[X | path(Y)]",
    "[path(if X then .own else .mix end)]",
    "((if X then .own else .mix end) = Y)",
    "((.own, select(X) | .m) |= Y)",
    "(. as $w | [path(Y)] as $t | X | getpath($t[0]))",
    "(X | setpath([\"k\"]; Y))",
    "(. | setpath(X; Y))",
    "(. | delpaths(X))",
    "(. | delpaths([X]))",
    "(X | has(Y))",
    "(X | contains(Y))",
    "(X | inside(Y))",
    "(X | in(Y))",
    "(X | index(Y))",
    "(X | indices(Y))",
    "(X | join(Y))",
    "(X | split(Y))",
    "(X | ltrimstr(Y))",
    "(X | startswith(Y))",
    "(X | test(Y))",
    "[X | match(Y)]",
    "(X | sub(Y; \"z\"))",
    "[X | scan(Y)]",
    "(X | [splits(Y)])",
    "[range(X)]",
    "[range(0; X)]",
    "(X | flatten(Y))",
    "(X | [recurse(Y; . != null)] | length)",
    "(X | until(Y; 1))",
    "[X | while(Y; null)]",
    "(X | walk(Y))",
    "(X | pick(.a))",
    "(X | to_entries)",
    "(X | from_entries)",
    "\"-\\(X)-\\(Y)\"",
    "@base64 \"\\(X)\"",
    "add(X)",
    "last(X)",
    "nth(0; X)",
    "nth(1; X)",
    "(def f(g): [g]; f(X))",
    "(def f($w): Y; f(X))",
    "(X | ascii)",
    "(pow(X; Y))",
    "(X | splits(Y; null))",
    "(X | paths(Y))",
    "[limit(2; X)]",
    "((X // empty) | Y)",
    "[.mix[] | (X)?]",
];

fn expression() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(ATOMS).prop_map(str::to_owned);
    atom.prop_recursive(4, 12, 3, |inner| {
        (prop::sample::select(FORMS), inner.clone(), inner.clone(), inner).prop_map(|(form, x, y, z)| {
            // Holes are filled from a form that has no other capital letters of these.
            form.chars()
                .map(|c| match c {
                    'X' => format!("({x})"),
                    'Y' => format!("({y})"),
                    'Z' => format!("({z})"),
                    other => other.to_string(),
                })
                .collect()
        })
    })
}

fn json(text: &str, label: Label) -> Value {
    let parsed: Value = serde_json::from_str(text).expect("it is JSON");
    parsed.with_label_everywhere(label)
}

/// `.own` is the definition's; `.web`, one item of `.mix` and one member of `.m` are from outside.
fn input(answers: [usize; 3]) -> Value {
    let web = |i: usize| json(ANSWERS[i], Label::EXTERNAL);
    let own = |text| json(text, Label::DEFINITION);
    let [a, b, c] = answers;
    Value::object([
        ("web", web(a)),
        ("mix", Value::array([own("1"), web(b), own("\"a\"")])),
        ("own", own(r#"{"l":[3,1,2,[1]],"s":"k","o":{"a":1,"b":[1,null]}}"#)),
        ("m", Value::object([("x", web(c)), ("y", own("5"))])),
    ])
}

fn eval(text: &str, input: &Value) -> Option<Value> {
    let expr = Expr::parse(text).ok()?;
    let trusted = json("[1,\"k\"]", Label::DEFINITION);
    let web = input.get("web")?;
    let vars = [("w", web), ("t", &trusted)];
    expr.eval(input, &Vars(&vars), &mut Budget::default()).ok()
}

/// The first place where the results differ and one of them does not tell.
fn leak(a: &Value, b: &Value, above: (Label, Label), at: &str) -> Option<String> {
    let labels = (above.0.join(a.label), above.1.join(b.label));
    if labels.0.untrusted() && labels.1.untrusted() {
        return None;
    }
    match (&a.data, &b.data) {
        (Data::Array(x), Data::Array(y)) if x.len() == y.len() => x
            .iter()
            .zip(y.iter())
            .enumerate()
            .find_map(|(i, (x, y))| leak(x, y, labels, &format!("{at}/{i}"))),
        (Data::Object(x), Data::Object(y)) if x.keys().eq(y.keys()) => {
            x.iter().zip(y.values()).find_map(|((k, x), y)| leak(x, y, labels, &format!("{at}/{k}")))
        }
        _ if a.to_string() == b.to_string() => None,
        _ => Some(format!("at `{at}`: {a} or {b}")),
    }
}

fn check(text: &str, left: [usize; 3], right: [usize; 3]) -> Result<bool, String> {
    let (Some(a), Some(b)) = (eval(text, &input(left)), eval(text, &input(right))) else { return Ok(false) };
    match leak(&a, &b, (Label::DEFINITION, Label::DEFINITION), "") {
        None => Ok(a.to_string() != b.to_string()),
        Some(told) => Err(format!(
            "`{text}` leaks {told}, from {:?} and {:?}",
            left.map(|i| ANSWERS[i]),
            right.map(|i| ANSWERS[i])
        )),
    }
}

fn answers() -> impl Strategy<Value = [usize; 3]> {
    prop::array::uniform3(0..ANSWERS.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, max_global_rejects: 1_000_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_outside_can_change_is_labelled(text in expression(), left in answers(), right in answers()) {
        if let Err(told) = check(&text, left, right) {
            prop_assert!(false, "{}", told);
        }
    }
}

/// Every form with every answer, so that none of them is only made of errors or of equal results.
#[test]
fn every_choice_shows() {
    for text in [
        "[.mix[] | select(. == \"a\" or . == 1)] | length",
        "(.web | select(.) | 1), (.web | select(. | not) | 2)",
        "try (.web | tonumber | 1) catch 0",
        "[.web | tonumber? | 1]",
        "reduce (.mix[] | select(.)) as $x (0; . + 1)",
        "[path(if .web then .own else .mix end)]",
        "(.mix[] | select(.)) = 7",
        "[.web, 5] | flatten",
        "[.web, 5] - [1]",
        ".mix |= map(select(.))",
        "{a: {k: 2}} * {a: .web} | .a",
        "{a: .web} * {a: {z: 2}}",
        "(.web | select(.) | 1) // 2",
        "first((.web | select(.) | 1), 2)",
        "[label $f | 1, 2 | if $w then break $f else . end]",
        "isempty(.web | select(.))",
        "setpath((if .web then [\"a\"] else [\"b\"] end); 1)",
        "[limit((if .web then 1 else 2 end); 1, 2, 3)] | length",
        ".own.l as [$a] ?// $a | $a",
        "[..] | length",
    ] {
        let all = 0..ANSWERS.len();
        let mut differ = false;
        for left in all.clone() {
            for right in all.clone() {
                differ |= check(text, [left; 3], [right; 3]).unwrap_or_else(|told| panic!("{told}"));
            }
        }
        assert!(differ || text.contains("?//"), "`{text}` never differs, so it shows nothing");
    }
}
