//! Connectors: one request of the outside each, its answer put into the words of the model.
//!
//! A connector never decides whether an effect may happen and never retries. It says what came back, and when nothing
//! did, whether the act can have happened.

pub(crate) mod grpc;
pub mod http;
pub mod process;
pub(crate) mod rpc;
pub(crate) mod stream;
pub(crate) mod tool;

/// Most bytes of an answer's text that go into an error.
const EXTRACT_BYTES_MAX: usize = 500;

/// The first part of a text, cut at a character, on one line.
fn extract(text: &str) -> String {
    let mut end = text.len().min(EXTRACT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = text.get(..end).unwrap_or_default().trim();
    let line: String = cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if end < text.len() { format!("{line} …") } else { line }
}
