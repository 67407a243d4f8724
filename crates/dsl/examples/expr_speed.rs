//! Prints nanoseconds per evaluation for ten typical expressions.

use std::hint::black_box;
use std::time::Instant;

use dsl::expr::{Budget, Expr, Vars};
use model::Value;

const ROUNDS: u32 = 20_000;

const TYPICAL: &[&str] = &[
    ".order.id",
    ".order.total > 100 and .customer.country == \"DE\"",
    "{id: .order.id, total: (.order.total * 1.19)}",
    "\"order \\(.order.id) of \\(.customer.name)\"",
    ".order.items | map(.price * .count) | add",
    ".order.items | map(select(.count > 1)) | length",
    ".missing.value // \"none\"",
    ".customer.email | test(\"@example\\\\.org$\")",
    "$workflow.id + \"/\" + .order.id",
    ".customer.country = \"FR\" | .order.total += 1",
];

fn main() {
    let input: Value = serde_json::from_str(
        r#"{"order":{"id":"o-17","total":120.5,"items":[{"price":10,"count":2},{"price":20.5,"count":1},{"price":3,"count":7}]},
            "customer":{"name":"Ada","country":"DE","email":"ada@example.org"}}"#,
    )
    .unwrap_or(Value::NULL);
    let workflow = Value::object([("id", Value::string("w-1"))]);
    for text in TYPICAL {
        match Expr::parse(text) {
            Ok(expr) => measure(&expr, &input, &workflow),
            Err(error) => println!("{text}: {error}"),
        }
    }
}

fn measure(expr: &Expr, input: &Value, workflow: &Value) {
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let result = expr.eval(black_box(input), &Vars(&[("workflow", workflow)]), &mut Budget::default());
        if let Err(error) = black_box(result) {
            println!("{}: {error}", expr.text());
            return;
        }
    }
    println!("{:>8} ns  {}", started.elapsed().as_nanos() / u128::from(ROUNDS), expr.text());
}
