//! Hostile expressions: each must end as an ordinary error or value, in time, on a stack of 2 MiB.

use std::time::{Duration, Instant};

use dsl::expr::{Budget, ErrorKind, Expr, Vars};
use model::Value;
use proptest::prelude::*;

/// Runs `work` on the smallest stack a server thread has.
fn on_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(work);
    thread.expect("a thread starts").join().expect("the work does not panic")
}

fn outcome(text: &str) -> Result<String, String> {
    let text = text.to_owned();
    on_small_stack(move || {
        let expr = Expr::parse(&text).map_err(|e| format!("parse: {}", e.message))?;
        let mut budget = Budget::default();
        let started = Instant::now();
        let result = expr.eval(&Value::NULL, &Vars(&[]), &mut budget);
        assert!(started.elapsed() < Duration::from_secs(20), "`{text}` took {:?}", started.elapsed());
        match result {
            Ok(value) => Ok(value.to_string().chars().take(200).collect()),
            Err(error) => Err(match error.kind {
                ErrorKind::Budget(name) => format!("budget: {name}"),
                _ => error.message,
            }),
        }
    })
}

/// Expressions that must run into a budget, and which ones may stop them.
const UNBOUNDED: &[(&str, &[&str])] = &[
    ("def f: f; f", &["depth"]),
    ("def f: 1 + f; f", &["depth"]),
    ("def f: [f]; f", &["depth"]),
    ("def f: {a: f}; f", &["depth"]),
    ("def f(g): f(g | g); f(.)", &["depth"]),
    ("def f($a): f($a + 1); f(1)", &["depth"]),
    ("def f: reduce f as $x (0; .); f", &["depth"]),
    ("def f: if f then 1 else 2 end; f", &["depth"]),
    ("def f: try f catch .; f", &["depth"]),
    ("def f: f as [$a, $b, {c: $d}] | $a; f", &["depth"]),
    ("def f: \"\\(f)\"; f", &["depth"]),
    ("def f: first(f); f", &["depth"]),
    ("def f: . as $x | f; f", &["depth"]),
    ("def f: path(f); f", &["depth"]),
    ("def f: .a |= f; {} | f", &["depth"]),
    ("def f: label $x | f; f", &["depth"]),
    ("def f: f, f; f", &["depth"]),
    ("def f: (f) // 1; f", &["depth"]),
    ("def f: [.[f:f]]; f", &["depth"]),
    ("def f: limit(f; f); f", &["depth"]),
    ("def f: sort_by([1] | f); [1] | f", &["depth"]),
    ("def f: any(f; f); f", &["depth"]),
    ("def f: foreach f as $x (f; f; f); f", &["depth"]),
    ("def f: f | f; f", &["depth"]),
    ("[repeat(1)]", &["outputs", "bytes", "steps"]),
    ("last(repeat(1))", &["steps", "bytes"]),
    ("until(false; .)", &["steps", "bytes"]),
    ("until(false; [.])", &["depth (nesting of a value)"]),
    ("until(false; {a: .})", &["depth (nesting of a value)"]),
    ("until(false; [[.]] | group_by(.))", &["depth (nesting of a value)"]),
    ("until(false; setpath([\"a\", 0]; .))", &["depth (nesting of a value)"]),
    ("[while(true; .)]", &["outputs", "steps", "bytes"]),
    ("[range(1e9)]", &["outputs"]),
    ("[range(0; 1; 0)]", &["outputs"]),
    ("[limit(1e9; repeat(1))]", &["outputs", "bytes"]),
    ("reduce range(1e9) as $i (0; . + 1)", &["steps"]),
    ("last(range(1e9))", &["steps"]),
    ("\"x\" * 3e9", &["bytes"]),
    ("[recurse(.)]", &["outputs", "bytes"]),
    ("last(recurse(.))", &["steps", "bytes"]),
    ("[recurse([.])]", &["outputs", "bytes", "depth (nesting of a value)"]),
    ("reduce range(60) as $i ([1]; . + .)", &["bytes"]),
    ("reduce range(60) as $i (\"ab\"; . + .)", &["bytes"]),
    ("reduce range(60) as $i ([1]; [., .]) | tojson", &["steps", "bytes"]),
    ("reduce range(60) as $i ([1]; [., .]) | flatten", &["steps", "bytes"]),
    ("reduce range(60) as $i ([1]; [., .]) | [..]", &["steps", "outputs", "bytes", "steps"]),
    ("reduce range(60) as $i ([1]; [., .]) | length", &["steps"]),
    ("reduce range(60) as $i ([1]; [., .]) | tostring", &["steps", "bytes"]),
    ("reduce range(60) as $i ({}; {a: ., b: .}) | [paths]", &["steps", "outputs", "bytes", "steps"]),
    ("reduce range(60) as $i ({}; {a: ., b: .}) | walk(.)", &["steps", "bytes", "outputs", "depth"]),
    ("[range(40000)] | join(\"y\" * 1000)", &["bytes"]),
    ("\"x\" * 4000000 | explode", &["bytes"]),
    ("\"x\" * 4000000 | . / \"\"", &["bytes"]),
    ("\"x\" * 4000000 | split(\"x\")", &["bytes"]),
    ("\"x\" * 4000000 | gsub(\"x\"; \"yyyy\")", &["bytes", "steps"]),
    ("\"x\" * 4000000 | @uri | @uri", &["bytes"]),
    ("\"<\" * 8000000 | @html", &["bytes"]),
    ("\"x\" * 8000000 | [., .] | @csv", &["bytes"]),
    ("\"x\" * 9000000 | ltrimstr(\"x\")", &["bytes"]),
    ("[range(1000)] | [., ., .] | [combinations]", &["outputs", "bytes", "steps"]),
    ("[range(10000)] | . - map(. + 1)", &["steps"]),
    ("setpath([900000]; 1)", &["bytes"]),
    (
        "[range(90000)] | map(12) | map([.]) | map([.]) | map([.]) | map([.]) | map([.])",
        &["outputs", "bytes"],
    ),
    ("[range(90000) | 70000] | implode | [splits(\"\")]", &["outputs", "bytes", "steps"]),
    ("reduce range(100000) as $i (\"\"; test(\"a\\($i)\") | \"\")", &["steps"]),
    ("last(range(1e9) | try error(1) catch .)", &["steps", "bytes"]),
    ("[range(1e9)]? // 1", &["outputs"]),
    ("try [range(1e9)] catch 1", &["outputs"]),
];

#[test]
fn unbounded_work_meets_a_budget_at_every_level() {
    let mut wrong = Vec::new();
    for (text, names) in UNBOUNDED {
        for wrapped in [
            (*text).to_owned(),
            format!("[{{a: ({text})}}] | .[0].a"),
            format!("try ({text}) catch 1"),
            format!("def outer(g): g | .; outer({text})"),
        ] {
            match outcome(&wrapped) {
                Err(error) if names.iter().any(|name| error == format!("budget: {name}")) => {}
                other => wrong.push(format!("`{wrapped}` ended with {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_chain_of_doublings_is_refused_or_runs_out_of_bytes() {
    for count in [20, 40, 200] {
        let chain = "($a + $a) as $a | ".repeat(count);
        let error = outcome(&format!("[1, 2, 3] as $a | {chain} ($a | length)"));
        let refused = |e: &String| e.starts_with("parse: ") || e == "budget: bytes";
        assert!(matches!(&error, Err(e) if refused(e)), "{count}: {error:?}");
    }
}

#[test]
fn what_is_too_large_or_not_there_is_an_ordinary_error() {
    for (text, part) in [
        ("setpath([1000000000]; 1)", "too large"),
        ("[1] | .[1e18] = 1", "too large"),
        ("\"a\" | test(\"(a{1000}){1000}\")", "too large"),
        ("\"a\" | test(\"(((((a{99}){99}){99}){99}){99})\")", "too large"),
        ("\"a\" | test(\"(\")", "not a usable"),
        ("\"[\" * 100000 | fromjson", "not JSON"),
        ("halt", "parse: `halt` is not available"),
        ("env", "parse: `env` is not available"),
        ("$ENV.PATH", "parse: `$ENV` is not available"),
        ("$__loc__", "parse: `$__loc__` is not available"),
        ("now", "parse: `now` is not available"),
        ("input", "parse: `input` is not available"),
        ("[inputs]", "parse: `inputs` is not available"),
        ("1 | debug", "parse: `debug` is not available"),
        ("input_line_number", "parse: `input_line_number` is not available"),
        ("get_search_list", "parse: `get_search_list` is not available"),
        ("import \"a\" as a; 1", "parse: "),
        ("include \"a\"; 1", "parse: "),
        ("a::b", "parse: expressions have no modules"),
        ("break $x", "parse: there is no `label $x`"),
        ("_match(1; 2; 3)", "parse: unknown function"),
    ] {
        match outcome(text) {
            Err(error) => assert!(error.contains(part), "`{text}` ended with `{error}`"),
            Ok(value) => panic!("`{text}` gave `{value}`"),
        }
    }
}

#[test]
fn nested_texts_are_refused_before_they_hurt() {
    for part in [
        "(",
        "[",
        "{a:",
        "-",
        "if ",
        "try ",
        "reduce ",
        "def f: ",
        ".[",
        "\"\\(",
        "1 as $x | ",
        "label $a | ",
        ". as [",
        ". as {a:",
        "not(",
        "1 // ",
        "1 = ",
        "first(",
        ".a?",
        ".a",
        "|",
        "1|",
        "1,",
        "1+",
        "1 or ",
        "if 1 then 2 elif ",
        "\"\\(1)",
        "def f: 1; ",
        "foreach ",
        "..",
        "{\"\\(1)\":1}|",
    ] {
        for count in [50, 99, 100, 101, 5000, 30_000] {
            let text: String = part.repeat(count).chars().take(64 * 1024).collect();
            let closed = format!("{}1", text.chars().take(60_000).collect::<String>());
            let _ = outcome(&text);
            let _ = outcome(&closed);
        }
    }
    assert!(outcome(&"1".repeat(70_000)).is_err_and(|e| e.contains("at most 65536")));
}

#[test]
fn a_slow_pattern_ends_in_time() {
    for text in [
        r#""a" * 60000 | test("(a*)*b")"#,
        r#""a" * 60000 | test("(a|aa)+$x")"#,
        r#""a" * 30000 | [match("(?:a?){30}a{30}"; "g")] | length"#,
        r#""ab" * 100000 | test("[ab]{1,200}c")"#,
        r#""é" * 100000 | [match("\\w"; "g")] | length"#,
    ] {
        let _ = outcome(text);
    }
}

#[test]
fn one_budget_serves_several_evaluations() {
    let mut budget = Budget::default();
    let expr = Expr::parse("[range(30000)] | length").expect("a valid expression");
    let mut results = (0..8).map(|_| expr.eval(&Value::NULL, &Vars(&[]), &mut budget));
    assert!(results.next().is_some_and(|r| r.is_ok()));
    assert!(results.any(|r| r.is_err()), "the budget is shared");
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        ".",
        "..",
        ".a",
        ".[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "|",
        ",",
        ":",
        ";",
        "+",
        "-",
        "*",
        "/",
        "%",
        "=",
        "|=",
        "//",
        "==",
        "<",
        "and",
        "or",
        "not",
        "if",
        "then",
        "else",
        "end",
        "try",
        "catch",
        "reduce",
        "foreach",
        "as",
        "$x",
        "def f:",
        "f",
        "label $o |",
        "break $o",
        "1",
        "-7",
        "1e9",
        "0.5",
        "\"a\"",
        "\"\\(",
        "null",
        "true",
        "[1,2]",
        "{\"a\":1}",
        "map(",
        "select(",
        "path(",
        "first(",
        "limit(3;",
        "range(",
        "sort_by(",
        "group_by(.)",
        "add",
        "keys",
        "tojson",
        "fromjson",
        "explode",
        "implode",
        "test(\"a\")",
        "gsub(\"a\";\"b\")",
        "split(\",\")",
        "walk(",
        "to_entries",
        "with_entries(",
        "del(.a)",
        "paths",
        "@csv",
        "@base64d",
        "?",
        "[]",
        "empty",
        "error",
        "recurse(",
        "until(",
        "while(",
        "repeat(",
        "todate",
        "fromdate",
        "getpath([\"a\"])",
        "setpath([0];1)",
        "nan",
        "infinite",
        "transpose",
        "flatten",
        "combinations",
        "indices(1)",
        "tonumber",
        "ltrimstr(\"a\")",
        ".[1:]",
    ]);
    prop::collection::vec(word, 1..24).prop_map(|words| words.join(" "))
}

/// Well-formed expressions of a few levels.
fn trees() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        ".",
        "1",
        "-2.5",
        "\"ab\"",
        "null",
        "[1,[2]]",
        "{a:{b:1}}",
        ".a",
        ".[0]",
        ".[]?",
        "..",
        "nan",
        "$x",
        "keys?",
        "empty",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        (inner.clone(), inner.clone(), inner, 0..26usize).prop_map(|(a, b, c, form)| match form {
            0 => format!("({a} | {b})"),
            1 => format!("({a}, {b})"),
            2 => format!("({a} + {b})"),
            3 => format!("({a} - {b})?"),
            4 => format!("({a} * {b})?"),
            5 => format!("({a} / {b})?"),
            6 => format!("({a} % {b})?"),
            7 => format!("({a} // {b})"),
            8 => format!("(({a}) = ({b}))?"),
            9 => format!("(({a}) |= ({b}))?"),
            10 => format!("(if {a} then {b} else {c} end)"),
            11 => format!("(try ({a}) catch ({b}))"),
            12 => format!("[{a}]"),
            13 => format!("({{a: ({a}), b: ({b})}})"),
            14 => format!("(reduce ({a}) as $y ({b}; {c}))"),
            15 => format!("[foreach ({a}) as $y ({b}; {c})]"),
            16 => format!("[limit(3; {a})]"),
            17 => format!("(def f(g): g | {a}; f({b}))"),
            18 => format!("({a} as [$y, {{a: $z}}] | $y)?"),
            19 => format!("[{a}] | sort_by({b})?"),
            20 => format!("\"\\({a})-\\({b})\""),
            21 => format!("[({a}) | path({b})]?"),
            22 => format!("[.[{a}:{b}]]?"),
            23 => format!("(({a}) == ({b}))"),
            24 => format!("[limit(5; ({a}) | until({b}; {c}))]?"),
            _ => format!("(({a}) | del({b}))?"),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = outcome(&text);
    }

    #[test]
    fn any_words_are_read_or_refused(text in words()) {
        let _ = outcome(&text);
    }

    #[test]
    fn any_tree_ends_and_ends_alike(text in trees()) {
        let text = format!("[{text}]").replace("$x", "1");
        prop_assert!(Expr::parse(&text).is_ok() || outcome(&text).is_err_and(|e| e.contains("deeper")), "{}", text);
        prop_assert_eq!(outcome(&text), outcome(&text));
    }
}
