//! Prints what one policy decision costs: `cargo run --release -p guard --example policy_speed`.

use std::time::Instant;

use serde_json::json;

fn main() -> Result<(), guard::policy::PolicyError> {
    let started = Instant::now();
    let bundle = guard::policy::default_bundle()?;
    println!("compile the default policy: {:?}", started.elapsed());
    let started = Instant::now();
    let mut evaluator = bundle.evaluator();
    println!("clone an evaluator:         {:?}", started.elapsed());
    let input = json!({
        "tenant": "acme", "principal": { "id": "user:alice", "kind": "user", "roles": ["developer"] },
        "workflow": { "namespace": "shop", "name": "refund", "version": "1.0.0" }, "task": "/do/0/refund",
        "action": { "operation": "refund-create:1.0.0", "reviewed": true, "effect": "money", "class": "probeable",
            "blast_radius": { "scope": "customer", "max": 1, "unit": "order" }, "data": ["personal"],
            "target": "http://127.0.0.1:9000/refunds" },
        "arguments": { "orderId": "1042", "amount": 25, "currency": "EUR", "reason": "the cup arrived broken" },
        "amount": { "value": 25, "currency": "EUR" },
        "provenance": [
            { "pointer": "/orderId", "origins": ["intent"], "untrusted": false },
            { "pointer": "/amount", "origins": ["intent"], "untrusted": false },
        ],
        "risk": { "score": 47, "level": "medium", "factors": [] }, "mode": "run",
    });
    let mut times = Vec::new();
    for _ in 0..10_000 {
        let started = Instant::now();
        std::hint::black_box(evaluator.decide(std::hint::black_box(&input))?);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!("decide: p50 {:?}, p99 {:?}, max {:?}", times[5_000], times[9_900], times[9_999]);
    Ok(())
}
