//! JSON text of values and values of JSON text.

use std::fmt::Write;

use model::{Data, Label, Value};

use super::budget::Budget;
use super::error::Stop;
use super::ops::{NODE_BYTES, check_depth};

/// Writes a value as JSON without spaces, counting every byte.
pub(super) fn write(value: &Value, out: &mut String, budget: &mut Budget) -> Result<(), Stop> {
    write_at(value, 0, out, budget)
}

fn write_at(value: &Value, depth: usize, out: &mut String, budget: &mut Budget) -> Result<(), Stop> {
    check_depth(depth)?;
    match &value.data {
        Data::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                budget.grow(2)?;
                write_at(item, depth + 1, out, budget)?;
            }
            out.push(']');
        }
        Data::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                budget.grow(key.len() + 4)?;
                write_text(key, out);
                out.push(':');
                write_at(item, depth + 1, out, budget)?;
            }
            out.push('}');
        }
        Data::String(text) => {
            budget.grow(text.len() + 2)?;
            write_text(text, out);
        }
        scalar => {
            budget.grow(8)?;
            write_scalar(scalar, out);
        }
    }
    budget.step(1)
}

fn write_scalar(data: &Data, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match data {
        Data::Null => write!(out, "null"),
        Data::Bool(b) => write!(out, "{b}"),
        Data::Int(i) => write!(out, "{i}"),
        Data::Float(f) if f.is_nan() => write!(out, "null"),
        Data::Float(f) if f.is_infinite() => {
            write!(out, "{}1.7976931348623157e308", if *f < 0.0 { "-" } else { "" })
        }
        Data::Float(f) => match serde_json::Number::from_f64(*f) {
            Some(n) => write!(out, "{n}"),
            None => write!(out, "null"),
        },
        Data::String(_) | Data::Array(_) | Data::Object(_) => Ok(()),
    };
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The start of a value's JSON, for messages: at most about 60 characters, at most a few levels.
pub(super) fn brief(value: &Value) -> String {
    fn short(value: &Value, depth: usize, out: &mut String) {
        if out.len() > 60 {
            return;
        }
        match &value.data {
            Data::Array(_) | Data::Object(_) if depth > 4 => out.push('…'),
            Data::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().take(16).enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    short(item, depth + 1, out);
                }
                out.push(']');
            }
            Data::Object(map) => {
                out.push('{');
                for (i, (key, item)) in map.iter().take(16).enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(&key.chars().take(60).collect::<String>(), out);
                    out.push(':');
                    short(item, depth + 1, out);
                }
                out.push('}');
            }
            Data::String(text) => write_text(&text.chars().take(60).collect::<String>(), out),
            scalar => write_scalar(scalar, out),
        }
    }
    let mut out = String::new();
    short(value, 0, &mut out);
    if out.chars().count() > 60 {
        out = out.chars().take(57).collect();
        out.push_str("...");
    }
    out
}

/// Text for `tostring` and interpolation: strings stay as they are.
pub(super) fn to_text(value: &Value, budget: &mut Budget) -> Result<String, Stop> {
    if let Data::String(text) = &value.data {
        budget.grow(text.len())?;
        return Ok(text.to_string());
    }
    let mut out = String::new();
    write(value, &mut out, budget)?;
    Ok(out)
}

/// Reads JSON text; nesting is bounded at 127 by the reader.
pub(super) fn read(text: &str, label: Label, budget: &mut Budget) -> Result<Value, Stop> {
    // A byte of text can become at most about one node for two bytes, in two copies.
    budget.grow(text.len().saturating_mul(NODE_BYTES))?;
    match serde_json::from_str::<Value>(text) {
        Ok(value) => Ok(if label == Label::DEFINITION { value } else { value.with_label_everywhere(label) }),
        Err(error) => Err(Stop::raise(format!("not JSON: {error}"), label)),
    }
}
