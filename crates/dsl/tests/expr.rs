//! What expressions give: a table, the same table against Debian's jq, labels, variables, messages.

use std::io::Write;
use std::process::{Command, Stdio};

use dsl::expr::{Budget, ErrorKind, Expr, Limits, Vars};
use model::{Label, Value};

/// `jq` or `ours` (where jq 1.6 differs), input, expression, result.
const TABLE: &str = include_str!("expr_table.txt");

fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    TABLE.lines().map(|line| {
        let cells: Vec<&str> = line.split(" ¦ ").collect();
        cells.try_into().unwrap_or_else(|_| panic!("a row has four cells: {line}"))
    })
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("`{text}`: {e}"))
}

fn eval(text: &str, input: &Value) -> Result<Value, String> {
    let expr = Expr::parse(text).map_err(|e| format!("at {}: {} ({:?})", e.offset, e.message, e.hint))?;
    expr.eval(input, &Vars(&[]), &mut Budget::default()).map_err(|e| e.message)
}

#[test]
fn the_table_holds() {
    let mut wrong = Vec::new();
    for [_, input, text, expected] in rows() {
        match eval(text, &json(input)) {
            Ok(value) if value == json(expected) => {}
            other => wrong.push(format!("{input} | {text}\n  expected {expected}\n  got      {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows().count() > 290);
}

#[test]
fn results_agree_with_jq_when_it_is_installed() {
    let rows: Vec<_> = rows().filter(|row| row[0] == "jq").collect();
    assert!(rows.len() > 150);
    let parts: Vec<String> =
        rows.iter().map(|[_, input, text, _]| format!("(({input}) | [{text}\n])")).collect();
    let program = format!("[{}]", parts.join(",\n"));
    let spawned = Command::new("jq")
        .args(["-n", "-c", "-f", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut jq) = spawned else {
        println!("skipped: `jq` is not installed");
        return;
    };
    jq.stdin.take().expect("stdin is piped").write_all(program.as_bytes()).expect("jq reads its program");
    let output = jq.wait_with_output().expect("jq ends");
    assert!(output.status.success(), "jq failed");
    let theirs: Vec<Value> = serde_json::from_slice::<Vec<Value>>(&output.stdout).expect("jq writes JSON");
    assert_eq!(theirs.len(), rows.len());
    for ([_, input, text, _], theirs) in rows.iter().zip(theirs) {
        let ours = eval(text, &json(input)).map(|value| Value::array([value]));
        assert_eq!(ours.as_ref(), Ok(&theirs), "{input} | {text}");
    }
}

#[test]
fn members_keep_their_order() {
    let value = eval("{z: 1, a: 2} + {m: 3} | .b = 4 | del(.a)", &Value::NULL);
    assert_eq!(value.map(|v| v.to_string()), Ok(r#"{"z":1,"m":3,"b":4}"#.to_owned()));
}

#[test]
fn exactly_one_value_is_wanted() {
    for (text, part) in [
        ("empty", "no value"),
        ("1, 2", "more than one"),
        (".[]?", "no value"),
        ("range(1e9)", "more than one"),
    ] {
        let error = Expr::parse(text).expect("valid").eval(&Value::NULL, &Vars(&[]), &mut Budget::default());
        let error = error.expect_err("not one value");
        assert_eq!(error.kind, ErrorKind::NotOne, "{text}");
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[test]
fn free_variables_are_known_before_and_missing_ones_are_errors() {
    let expr = Expr::parse("$workflow.id as $x | $secrets.a + $x + $workflow.id").expect("valid");
    assert_eq!(expr.variables().collect::<Vec<_>>(), ["workflow", "secrets"]);
    let workflow = json(r#"{"id":"w"}"#);
    let error = expr.eval(&Value::NULL, &Vars(&[("workflow", &workflow)]), &mut Budget::default());
    assert_eq!(error.expect_err("missing").kind, ErrorKind::Variable("secrets".into()));
    let secrets = json(r#"{"a":"s"}"#);
    let given = Vars(&[("workflow", &workflow), ("secrets", &secrets)]);
    assert_eq!(expr.eval(&Value::NULL, &given, &mut Budget::default()), Ok(Value::string("sww")));
}

#[test]
fn raised_values_reach_the_caller() {
    let error = Expr::parse("error({code: 7})").expect("valid").eval(
        &Value::NULL,
        &Vars(&[]),
        &mut Budget::default(),
    );
    assert_eq!(error.expect_err("raised").kind, ErrorKind::Raised(json(r#"{"code":7}"#)));
}

#[test]
fn every_limit_can_be_set_and_is_named() {
    for (limits, text, name) in [
        (Limits { steps: 10, ..Limits::default() }, "1+1+1+1+1+1+1+1+1+1", "10 steps"),
        (Limits { depth: 3, ..Limits::default() }, "[[[[1]]]]", "3 depth"),
        (Limits { bytes: 100, ..Limits::default() }, "\"abc\" * 100", "100 bytes"),
        (Limits { outputs: 5, ..Limits::default() }, "[range(9)]", "5 outputs"),
    ] {
        let result =
            Expr::parse(text).expect("valid").eval(&Value::NULL, &Vars(&[]), &mut Budget::new(limits));
        let message = result.expect_err("a budget").message;
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn mistakes_say_where_and_what_to_write() {
    for (text, offset, part, hint) in [
        (".a | selct(.b)", 5, "unknown function `selct`", "did you mean `select`?"),
        ("1 | map", 4, "unknown function `map`", "another number of arguments"),
        (".a ==", 5, "ends where a value", ""),
        ("(1", 2, "expected `)`", ""),
        ("1 )", 2, "expected the end", ""),
        ("{1: 2}", 1, "is a number", "write \"1\""),
        ("1 == 2 == 3", 2, "cannot be chained", "parentheses"),
        ("@foo", 0, "unknown format", "@csv"),
        ("\"abc", 1, "no closing quote", ""),
        ("\"a\\q\"", 3, "unknown escape", ""),
        ("if 1 then 2", 11, "expected `elif`, `else` or `end`", ""),
        (". & 1", 2, "unexpected character", ""),
        ("", 0, "ends where a value", ""),
        ("env.HOME", 0, "`env` is not available", "pass the value as input"),
    ] {
        let error = Expr::parse(text).expect_err(text);
        assert!(error.message.contains(part), "`{text}`: {}", error.message);
        assert_eq!(error.offset, offset, "`{text}`: {}", error.message);
        assert!(error.hint.unwrap_or_default().contains(hint), "`{text}`");
    }
}

/// `.user` came from the caller, `.web` from outside, `.bot` from a model; the object itself is the definition's.
fn labelled() -> Value {
    let of = |text: &str, label| json(text).with_label_everywhere(label);
    Value::object([
        ("user", of(r#"{"name":"ada","n":3}"#, Label::CALLER)),
        ("web", of(r#"{"name":"eve","list":[3,1,2],"on":true}"#, Label::EXTERNAL)),
        ("bot", of(r#"{"name":"hal","key":"k"}"#, Label::MODEL)),
    ])
}

#[test]
fn labels_follow_values() {
    let (none, user, web, bot) = (Label::DEFINITION, Label::CALLER, Label::EXTERNAL, Label::MODEL);
    for (text, at, label) in [
        (".user.name", "", user),
        (".web.list[0]", "", web),
        (".web.missing", "", web),
        ("\"x\"", "", none),
        ("{a: .web.name, b: 1}", "/a", web),
        ("{a: .web.name, b: 1}", "/b", none),
        ("[.user.n, .web.name]", "/0", user),
        (".user.name + .web.name", "", user.join(web)),
        (".user.n * 2 + 1", "", user),
        ("\"\\(.user.name) \\(.bot.name)\"", "", user.join(bot)),
        (".user.n == .web.list[0]", "", user.join(web)),
        (".web.list | length", "", web),
        (". | tojson", "", user.join(web).join(bot)),
        ("if .web.on then \"a\" else \"b\" end", "", web),
        ("if .web.on then .user.name else 1 end", "", user.join(web)),
        ("1 | select(true)", "", none),
        (".user.n | select(. > 1)", "", user),
        (". as $d | 1 | select($d.bot.key == \"k\")", "", bot),
        (".web.missing // \"default\"", "", web),
        (".user.name // .web.name", "", user),
        ("(.web.on and .user.n) | .", "", web.join(user)),
        (".web.list | sort | .[0]", "", web),
        (". as $d | [1, 2] | sort_by(if . == $d.bot.n then 1 else 2 end) | .[0]", "", bot),
        ("{(.bot.key): 1} | .[\"k\"]", "", bot),
        (". as $d | {k: 1} | .[$d.bot.key]", "", bot),
        (".x = .web.name | .x", "", web),
        (".user.name |= ascii_upcase | .user.name", "", user),
        (".user.n += 1 | .user.n", "", user),
        (". as $d | [1, 2] | any(. == $d.web.list[0])", "", web),
        ("[.web.list[] | . + 1] | add", "", web),
        ("reduce .web.list[] as $x (0; . + $x)", "", web),
        (".user | keys | .[0]", "", user),
        (".user | to_entries | .[0].key", "", user),
        (".user | with_entries(.value |= tostring) | .n", "", user),
        ("try error(.bot.name) catch .", "", bot),
        ("try (.web.name | tonumber) catch .", "", web),
        (".web.name | test(\"e\")", "", web),
        (". as $d | \"hal\" | test($d.bot.name)", "", bot),
        (".web.name | gsub(\"e\"; \"x\")", "", web),
        (".web.name | @base64", "", web),
        ("[limit(.web.list[1]; 1, 2)] | .[0]", "", web),
        ("[range(.web.list[0])] | .[1]", "", web),
        (". as $d | 1 | until(. > $d.web.list[0]; . + 1)", "", web),
        ("def f($a): $a; f(.bot.name)", "", bot),
        (".bot as {name: $n} | $n", "", bot),
        ("[.web.list[:1], 1] | .[0][0]", "", web),
        (".web.list | join(\"-\")", "", web),
        (". as $d | [\"a\", \"b\"] | join($d.bot.key)", "", bot),
        (".web | del(.name) | .on", "", web),
        // How many paths there are, and so which is the second, is told by everything.
        ("[paths] | .[1][1]", "", user.join(web).join(bot)),
    ] {
        let value = eval(text, &labelled()).unwrap_or_else(|e| panic!("`{text}`: {e}"));
        let provenance = value.provenance();
        let found = provenance.iter().find(|(pointer, _)| pointer == at).map(|(_, label)| *label);
        assert_eq!(found, Some(label), "`{text}` gave {value} with {provenance:?}");
    }
}
