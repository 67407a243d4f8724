//! Text: splitting, joining, code points, formats.

use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use model::{Data, Label, Value};

use super::ast::Format;
use super::budget::Budget;
use super::error::Stop;
use super::json::{brief, to_text, write};
use super::ops::{self, NODE_BYTES};

pub(super) fn text(content: String, label: Label) -> Value {
    Value { data: Data::String(content.into()), label }
}

pub(super) fn split(whole: &str, by: &str, label: Label, budget: &mut Budget) -> Result<Value, Stop> {
    let mut parts = Vec::new();
    let mut push = |part: &str| {
        budget.grow(part.len() + NODE_BYTES + 16)?;
        parts.push(text(part.to_owned(), label));
        Ok::<(), Stop>(())
    };
    if by.is_empty() {
        whole.chars().try_for_each(|c| push(c.encode_utf8(&mut [0; 4])))?;
    } else if !whole.is_empty() {
        whole.split(by).try_for_each(push)?;
    }
    Ok(Value { data: Data::Array(Arc::new(parts)), label })
}

/// `join`: null is nothing, numbers and booleans are their text.
pub(super) fn join(items: &Value, by: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = ops::deep_label(items, budget)?.join(by.label);
    let (Data::Array(list), Data::String(between)) = (&items.data, &by.data) else {
        return Err(Stop::raise("join needs an array and a string", label));
    };
    let mut out = String::new();
    for (i, item) in list.iter().enumerate() {
        if i > 0 {
            budget.grow(between.len() + 1)?;
            out.push_str(between);
        }
        match &item.data {
            Data::Null => {}
            Data::Array(_) | Data::Object(_) => {
                return Err(Stop::raise(format!("cannot join {} ({})", item.kind(), brief(item)), label));
            }
            _ => out.push_str(&to_text(item, budget)?),
        }
        budget.step(1)?;
    }
    Ok(text(out, label))
}

pub(super) fn explode(whole: &str, label: Label, budget: &mut Budget) -> Result<Value, Stop> {
    budget.grow(whole.chars().count() * NODE_BYTES)?;
    let points = whole.chars().map(|c| Value { data: Data::Int(i64::from(u32::from(c))), label });
    Ok(Value { data: Data::Array(Arc::new(points.collect())), label })
}

pub(super) fn implode(points: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = ops::deep_label(points, budget)?;
    let Data::Array(list) = &points.data else {
        return Err(Stop::raise("implode needs an array of code points", label));
    };
    budget.grow(list.len() * 4)?;
    let chars = list.iter().map(|point| {
        let code = ops::as_int(&point.data).and_then(|i| u32::try_from(i).ok()).and_then(char::from_u32);
        code.ok_or_else(|| Stop::raise(format!("`{}` is not a code point", brief(point)), label))
    });
    Ok(text(chars.collect::<Result<String, Stop>>()?, label))
}

/// Positions of a text in a text (in characters), or of items or one item in an array.
pub(super) fn indices(whole: &Value, wanted: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = ops::deep_label(whole, budget)?.join(ops::deep_label(wanted, budget)?);
    match (&whole.data, &wanted.data) {
        (Data::Null, _) => Ok(Value { data: Data::Null, label }),
        (Data::String(text), Data::String(part)) => indices_of_text(text, part, label, budget),
        (Data::Array(items), Data::Array(wanted)) => indices_of_items(items, wanted, label, budget),
        (Data::Array(items), _) => indices_of_items(items, std::slice::from_ref(wanted), label, budget),
        _ => Err(Stop::raise(format!("cannot search {} for {}", whole.kind(), wanted.kind()), label)),
    }
}

/// Overlapping matches count, as in jq.
fn indices_of_text(whole: &str, part: &str, label: Label, budget: &mut Budget) -> Result<Value, Stop> {
    if part.is_empty() {
        return Ok(Value { data: Data::Null, label });
    }
    let mut found = Vec::new();
    let (mut from, mut chars) = (0, 0i64);
    while let Some(at) = whole[from..].find(part) {
        chars += i64::try_from(whole[from..from + at].chars().count()).unwrap_or(i64::MAX);
        budget.grow(NODE_BYTES)?;
        budget.step(1 + (at + part.len()) / 16)?;
        found.push(Value { data: Data::Int(chars), label });
        let first = whole[from + at..].chars().next().map_or(1, char::len_utf8);
        from += at + first;
        chars += 1;
    }
    Ok(Value { data: Data::Array(Arc::new(found)), label })
}

pub(super) fn indices_of_items(
    items: &[Value],
    wanted: &[Value],
    label: Label,
    budget: &mut Budget,
) -> Result<Value, Stop> {
    if wanted.is_empty() {
        return Ok(Value { data: Data::Null, label });
    }
    let mut found = Vec::new();
    let mut label = label;
    for value in wanted {
        label = label.join(ops::deep_label(value, budget)?);
    }
    for (i, window) in items.windows(wanted.len()).enumerate() {
        let mut same = true;
        for (a, b) in window.iter().zip(wanted) {
            budget.step(1)?;
            if ops::compare(a, b, budget)? != std::cmp::Ordering::Equal {
                same = false;
                break;
            }
        }
        if same {
            budget.grow(NODE_BYTES)?;
            found.push(Value { data: Data::Int(i64::try_from(i).unwrap_or(i64::MAX)), label });
        }
    }
    Ok(Value { data: Data::Array(Arc::new(found)), label })
}

/// A value in one of the `@` formats.
pub(super) fn format(format: Format, value: &Value, budget: &mut Budget) -> Result<String, Stop> {
    match format {
        Format::Text => to_text(value, budget),
        Format::Json => {
            let mut out = String::new();
            write(value, &mut out, budget)?;
            Ok(out)
        }
        Format::Base64 => {
            let plain = to_text(value, budget)?;
            budget.grow(plain.len() / 3 * 4 + 4)?;
            Ok(STANDARD.encode(plain))
        }
        Format::Base64Decode => decode(value, budget),
        Format::Uri => {
            let plain = to_text(value, budget)?;
            budget.grow(plain.len() * 3)?;
            let mut out = String::with_capacity(plain.len());
            for byte in plain.bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
            Ok(out)
        }
        Format::Html => {
            let plain = to_text(value, budget)?;
            escape(&plain, budget, |c| match c {
                '<' => Some("&lt;"),
                '>' => Some("&gt;"),
                '&' => Some("&amp;"),
                '\'' => Some("&#39;"),
                '"' => Some("&quot;"),
                _ => None,
            })
        }
        Format::Csv => row(value, ",", budget, |cell, budget| {
            let inner = escape(cell, budget, |c| (c == '"').then_some("\"\""))?;
            Ok(format!("\"{inner}\""))
        }),
        Format::Tsv => row(value, "\t", budget, |cell, budget| {
            escape(cell, budget, |c| match c {
                '\t' => Some("\\t"),
                '\n' => Some("\\n"),
                '\r' => Some("\\r"),
                '\\' => Some("\\\\"),
                _ => None,
            })
        }),
        Format::Sh => match &value.data {
            Data::Array(_) => row(value, " ", budget, quote),
            Data::String(plain) => quote(plain, budget),
            Data::Object(_) => Err(cannot(value, "be quoted for a shell")),
            _ => to_text(value, budget),
        },
    }
}

fn cannot(value: &Value, what: &str) -> Stop {
    Stop::raise(format!("{} ({}) cannot {what}", value.kind(), brief(value)), value.label_of_all())
}

fn quote(plain: &str, budget: &mut Budget) -> Result<String, Stop> {
    let inner = escape(plain, budget, |c| (c == '\'').then_some("'\\''"))?;
    Ok(format!("'{inner}'"))
}

fn escape(
    plain: &str,
    budget: &mut Budget,
    replace: impl Fn(char) -> Option<&'static str>,
) -> Result<String, Stop> {
    budget.grow(plain.len() * 2)?;
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match replace(c) {
            Some(text) => out.push_str(text),
            None => out.push(c),
        }
    }
    budget.grow(out.len().saturating_sub(plain.len() * 2))?;
    Ok(out)
}

fn row(
    value: &Value,
    between: &str,
    budget: &mut Budget,
    cell: impl Fn(&str, &mut Budget) -> Result<String, Stop>,
) -> Result<String, Stop> {
    let Data::Array(items) = &value.data else { return Err(cannot(value, "be a row; only an array can")) };
    let mut out = String::new();
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(between);
        }
        budget.grow(4)?;
        budget.step(1)?;
        match &item.data {
            Data::String(plain) => out.push_str(&cell(plain, budget)?),
            Data::Null => out.push_str(if between == " " { "null" } else { "" }),
            Data::Array(_) | Data::Object(_) => return Err(cannot(item, "be a cell of a row")),
            _ => out.push_str(&to_text(item, budget)?),
        }
    }
    Ok(out)
}

fn decode(value: &Value, budget: &mut Budget) -> Result<String, Stop> {
    let plain = to_text(value, budget)?;
    budget.grow(plain.len())?;
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let bytes = GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(plain.trim_end_matches('='));
    let bytes = bytes.map_err(|_| cannot(value, "be decoded: it is not base64"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
