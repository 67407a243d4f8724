//! The same expressions on the same inputs in Debian's jq and here: what one gives, the other gives, but for listed gaps.

use std::io::Write;
use std::process::{Command, Stdio};

use dsl::expr::{Budget, Expr, Vars};
use model::Value;
use serde_json::{Value as Json, json};

/// Inputs of every kind.
const INPUTS: &[&str] = &[
    "null",
    "7",
    "-2.5",
    "\"a,B c1\"",
    "[3,1,2,null,\"x\",[1]]",
    "[{\"k\":\"b\",\"v\":2},{\"k\":\"a\",\"v\":1},{\"k\":\"b\",\"v\":0}]",
    "{\"b\":{\"c\":[1,2]},\"a\":null,\"k\":\"v\"}",
    "true",
];

/// One expression a line.
const EXPRESSIONS: &str = include_str!("jq_expressions.txt");

/// Where the results differ, and why. Each must differ somewhere, and `docs/expressions.md` tells them all.
const GAPS: &[(&str, &str)] = &[
    (".a.b?", PATH),
    (".[1:][0]?", PATH),
    ("[.[]?.k?]", PATH),
    (".a // 1", DEFAULT),
    (".b.c // 1", DEFAULT),
    ("flatten?", STRICT),
    ("index(\",\")?", STRICT),
    ("has(\"a\")?", STRICT),
    ("has(0)?", STRICT),
    ("has(99)?", STRICT),
    ("reverse?", NEWER),
    ("[leaf_paths]", "a `null` is a leaf, too"),
    ("with_entries(.value |= type)?", "positions of a list become names"),
    ("[{name:\"a\",value:1},{k:\"b\",v:2},{Key:\"c\",Value:3}] | from_entries", NEWER),
    ("[{key:null,value:1},{key:false},{key:1}] | from_entries", NEWER),
    ("[limit(4; 1 | repeat(. * 2))]", "`repeat` feeds each result to the next, as its manual says"),
    ("try error(null) catch .", NEWER),
    ("[1,2,3][1.7]", NEWER),
    ("\"test\" | [match(\"\"; \"g\").offset]", NEWER),
    (
        "\"a\\nb\" | test(\"a.b\"), test(\"a.b\"; \"s\")",
        "`s` lets `.` match a line break, as its manual says",
    ),
];
const PATH: &str = "`?` holds for the whole path before it, in jq only for its last step";
const DEFAULT: &str = "`//` also stands in for an error, as in jq 1.7";
const STRICT: &str = "what is asked of a value of another kind is an error";
const NEWER: &str = "as in jq 1.7 and later";

fn expressions() -> Vec<&'static str> {
    EXPRESSIONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// All outputs, or that there was an error.
fn ours(text: &str, input: &Json) -> Json {
    let Ok(expr) = Expr::parse(&format!("[{text}\n]")) else { return json!("does not parse") };
    let input: Value = serde_json::from_value(input.clone()).expect("JSON is a value");
    match expr.eval(&input, &Vars(&[]), &mut Budget::default()) {
        Ok(value) => value.to_json(),
        Err(_) => json!("error"),
    }
}

/// Runs jq with some expressions on every input: for each input all outputs of each, or that there was an error.
fn theirs(texts: &[&str]) -> std::io::Result<Vec<Vec<Json>>> {
    let parts: Vec<String> = texts.iter().map(|text| format!("(try [{text}\n] catch \"error\")")).collect();
    let mut jq = Command::new("jq")
        .args(["-c", &format!("[{}]", parts.join(",\n"))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    jq.stdin.take().expect("stdin is piped").write_all(INPUTS.join("\n").as_bytes()).expect("jq reads");
    let output = jq.wait_with_output()?;
    let lines = String::from_utf8(output.stdout).expect("jq writes UTF-8");
    let results: Vec<Vec<Json>> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(results.len(), INPUTS.len(), "jq does not take one of {texts:#?}");
    Ok(results)
}

/// Equal as numbers go: jq knows only doubles.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[test]
fn every_expression_gives_what_jq_gives() {
    let expressions = expressions();
    let (mut agreed, mut wrong, mut gaps) = (0, Vec::new(), std::collections::BTreeSet::new());
    for texts in expressions.chunks(12) {
        let results = match theirs(texts) {
            Ok(results) => results,
            Err(error) => {
                println!("skipped: `jq` cannot be run: {error}");
                return;
            }
        };
        for (input, results) in INPUTS.iter().zip(results) {
            let json: Json = serde_json::from_str(input).expect("JSON");
            for (text, theirs) in texts.iter().zip(results) {
                let ours = ours(text, &json);
                if same(&ours, &theirs) {
                    agreed += 1;
                } else if GAPS.iter().any(|(known, _)| known == text) {
                    gaps.insert(*text);
                } else {
                    wrong.push(format!("{input} | {text}\n  jq   {theirs}\n  ours {ours}"));
                }
            }
        }
    }
    println!(
        "{} expressions, {agreed} of {} results agree, {} expressions differ somewhere",
        expressions.len(),
        expressions.len() * INPUTS.len(),
        gaps.len()
    );
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(expressions.len() >= 500, "{} expressions", expressions.len());
    for (text, why) in GAPS {
        assert!(gaps.contains(text), "`{text}` does not differ any more ({why})");
    }
}

/// What jq has and we have not is refused with words that help.
#[test]
fn what_is_left_out_is_refused_clearly() {
    let pages = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/expressions.md"))
        .expect("the page is there");
    for name in LEFT_OUT {
        let text = match *name {
            "$ENV" => "$ENV.PATH".to_owned(),
            "$__loc__" => "$__loc__".to_owned(),
            "import" => "import \"x\" as x; 1".to_owned(),
            "include" => "include \"x\"; 1".to_owned(),
            "strftime" | "strptime" => format!("{name}(\"%Y\")"),
            "fromstream" | "truncate_stream" => format!("{name}(.)"),
            name => name.to_owned(),
        };
        let error = Expr::parse(&text).expect_err(name);
        assert!(!error.message.is_empty(), "{name}");
        assert!(pages.contains(&format!("`{name}`")), "docs/expressions.md does not name `{name}`");
    }
}

/// Words of jq 1.6 that are not there.
const LEFT_OUT: &[&str] = &[
    "$ENV",
    "$__loc__",
    "@base32",
    "@base32d",
    "cos",
    "debug",
    "env",
    "fromstream",
    "gmtime",
    "halt",
    "halt_error",
    "import",
    "include",
    "input",
    "input_filename",
    "input_line_number",
    "inputs",
    "localtime",
    "mktime",
    "now",
    "sin",
    "stderr",
    "strftime",
    "strptime",
    "tostream",
    "truncate_stream",
];
