//! Prints what redaction costs: `cargo run --release -p guard --example redaction_speed`.

use std::time::Instant;

const ROUNDS: u32 = 100_000;

fn main() {
    let clean = "effect 3 of execution accepted by the shop, outcome verified after one probe";
    let ids = "execution 01890a5d-ac96-774b-bcce-b302099a8057 started at 2026-11-20T12:43:33Z by user:alice";
    let private = "refund order 1042 to alice@example.com, +49 170 1234567, DE89 3704 0044 0532 0130 00";
    for (name, text) in [("nothing suspicious", clean), ("ids and times", ids), ("three finds", private)] {
        let started = Instant::now();
        for _ in 0..ROUNDS {
            std::hint::black_box(guard::pii::redact(std::hint::black_box(text)));
        }
        println!("{name}: {} ns for {} bytes", started.elapsed().as_nanos() / u128::from(ROUNDS), text.len());
    }
}
