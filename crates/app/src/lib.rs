//! Every use case, once: authorize, judge, decide, commit one batch. The only writer.

pub mod caller;
mod facade_stub;
pub mod view;

pub use caller::Caller;
pub use facade_stub::App;

/// A planned part that does not exist yet (OH-2900).
pub fn not_built(what: &'static str) -> model::Problem {
    model::Problem::new(501, 2900, "not built yet", format!("{what} is planned and not built yet"))
}
