//! Documents in, diagnostics out: what people see when they publish.

mod actions;
mod agreement;
mod compiled;
mod hostile;
mod kit;
mod round_trip;
mod schema;
mod support;
mod workflows;

/// Codes that need a document too large or too odd for a table; each has a test of its own in `hostile`.
const ELSEWHERE: &[&str] = &["OH-1000", "OH-1005", "OH-1016", "OH-1069"];

#[test]
fn every_code_is_shown_at_least_once() {
    let mut shown: Vec<String> = workflows::codes();
    shown.extend(actions::codes());
    for entry in dsl::codes::ALL {
        let told = shown.iter().any(|c| c == entry.code) || ELSEWHERE.contains(&entry.code);
        assert!(told, "no document of the tables shows {}: {}", entry.code, entry.title);
    }
}
