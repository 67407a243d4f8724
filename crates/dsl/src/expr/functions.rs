//! The built-in functions of values: an input, some arguments, one result.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;
use model::value::Map;
use model::{Data, Label, Value};

use super::ast::Format;
use super::budget::Budget;
use super::error::Stop;
use super::json::{self, brief};
use super::native::Native;
use super::ops::{self, MEMBER_BYTES, NODE_BYTES, as_f64, compare, deep_label, number};
use super::paths;
use super::regexes::Regexes;
use super::strings;

pub(super) fn call(
    native: Native,
    input: Value,
    args: &[Value],
    regexes: &mut Regexes,
    budget: &mut Budget,
) -> Result<Value, Stop> {
    match (native, args) {
        (Native::Getpath, [path]) => {
            let found = paths::get(&input, list(path, "getpath needs an array as its path")?, budget);
            Ok(joined(found?, deep_label(path, budget)?))
        }
        (Native::Setpath, [path, new]) => {
            let keys = list(path, "setpath needs an array as its path")?;
            Ok(joined(paths::set(input, keys, new.clone(), budget)?, path.label))
        }
        (Native::Delpaths, [all]) => {
            let label = deep_label(all, budget)?;
            let all = list(all, "delpaths needs an array of paths")?.to_vec();
            Ok(joined(paths::delete_all(input, all, budget)?, label))
        }
        (Native::Error, []) => Err(Stop::Raised(Box::new(input))),
        (Native::ErrorWith, [message]) => Err(Stop::Raised(Box::new(message.clone()))),
        (Native::Has, [key]) => has(&input, key),
        (Native::Contains, [part]) => {
            let label = deep_label(&input, budget)?.join(deep_label(part, budget)?);
            Ok(Value { data: Data::Bool(contains(&input, part, 0, label, budget)?), label })
        }
        (Native::Flatten, []) => flatten(&input, f64::INFINITY, budget),
        (Native::Flatten, [depth]) => match as_f64(&depth.data) {
            Some(levels) if levels >= 0.0 => Ok(joined(flatten(&input, levels, budget)?, depth.label)),
            _ => Err(Stop::raise("flatten needs a depth that is not negative", depth.label)),
        },
        (Native::SortBy | Native::GroupBy | Native::UniqueBy | Native::MinBy | Native::MaxBy, [keys]) => {
            ordered(native, &input, keys, budget)
        }
        (Native::Sort, []) => ordered(Native::SortBy, &input, &input, budget),
        (
            Native::Ltrimstr | Native::Rtrimstr | Native::Startswith | Native::Endswith | Native::Split,
            [part],
        ) => affix(native, input, part, budget),
        (Native::Join, [by]) => strings::join(&input, by, budget),
        (Native::Match, [pattern, flags, testing]) => {
            regexes.matches(&input, pattern, flags, ops::truthy(testing), budget)
        }
        (Native::Indices, [wanted]) => strings::indices(&input, wanted, budget),
        (Native::Pow, [base, exponent]) => match (as_f64(&base.data), as_f64(&exponent.data)) {
            (Some(x), Some(y)) => {
                Ok(Value { data: number(x.powf(y)), label: base.label.join(exponent.label) })
            }
            _ => Err(Stop::raise("pow needs two numbers", base.label.join(exponent.label))),
        },
        (Native::Format, [name]) => {
            let format = name.as_str().and_then(Format::named);
            let format =
                format.ok_or_else(|| Stop::raise(format!("{} is not a format", brief(name)), name.label))?;
            let label = deep_label(&input, budget)?.join(name.label);
            Ok(strings::text(strings::format(format, &input, budget)?, label))
        }
        (native, []) => plain(native, input, budget),
        _ => Err(Stop::raise("a built-in function was called with the wrong arguments", Label::DEFINITION)),
    }
}

fn joined(value: Value, label: Label) -> Value {
    Value { label: value.label.join(label), ..value }
}

fn list<'a>(value: &'a Value, message: &str) -> Result<&'a [Value], Stop> {
    match &value.data {
        Data::Array(items) => Ok(items),
        _ => Err(Stop::raise(message, value.label)),
    }
}

/// Functions without arguments.
fn plain(native: Native, input: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = deep_label(&input, budget)?;
    let node = |data| Ok(Value { data, label });
    match native {
        Native::Not => node(Data::Bool(!ops::truthy(&input))),
        Native::Length => node(length(&input)?),
        Native::Utf8Length => match &input.data {
            Data::String(text) => node(Data::Int(whole(text.len()))),
            _ => Err(cannot(&input, "has no length in bytes; only strings do")),
        },
        Native::Keys | Native::KeysUnsorted => keys(native, &input, budget),
        Native::Add => sum(&input, budget),
        Native::Reverse => reverse(input, budget),
        Native::Type => Ok(Value { data: Data::String(input.kind().into()), label: input.label }),
        Native::Tostring => match &input.data {
            Data::String(_) => Ok(input),
            _ => Ok(strings::text(json::to_text(&input, budget)?, label)),
        },
        Native::Tojson => Ok(strings::text(strings::format(Format::Json, &input, budget)?, label)),
        Native::Tonumber => match &input.data {
            Data::Int(_) | Data::Float(_) => Ok(input),
            Data::String(text) => match ops::parse_number(text.trim()) {
                Some(data) => node(data),
                None => Err(cannot(&input, "cannot be read as a number")),
            },
            _ => Err(cannot(&input, "cannot be read as a number")),
        },
        Native::Fromjson => match &input.data {
            Data::String(text) => json::read(text, label, budget),
            _ => Err(cannot(&input, "cannot be read as JSON; only strings can")),
        },
        Native::Downcase
        | Native::Upcase
        | Native::Trim
        | Native::Ltrim
        | Native::Rtrim
        | Native::Explode
        | Native::Fromdate => of_text(native, &input, label, budget),
        Native::Implode => strings::implode(&input, budget),
        Native::Transpose => transpose(&input, budget),
        Native::Infinite => Ok(Value::new(Data::Float(f64::INFINITY))),
        Native::Nan => Ok(Value::new(Data::Float(f64::NAN))),
        Native::Abs if matches!(input.data, Data::Int(i) if i >= 0) => Ok(input),
        Native::Floor | Native::Ceil | Native::Round | Native::Trunc
            if matches!(input.data, Data::Int(_)) =>
        {
            Ok(input)
        }
        Native::Todate => todate(&input),
        _ => match as_f64(&input.data) {
            Some(x) => node(of_number(native, x)),
            None => Err(cannot(&input, "is not a number")),
        },
    }
}

fn cannot(value: &Value, what: &str) -> Stop {
    Stop::raise(format!("{} ({}) {what}", value.kind(), brief(value)), value.label_of_all())
}

fn whole(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn of_number(native: Native, x: f64) -> Data {
    number(match native {
        Native::Floor => x.floor(),
        Native::Ceil => x.ceil(),
        Native::Round => x.round(),
        Native::Trunc => x.trunc(),
        Native::Abs => x.abs(),
        Native::Sqrt => x.sqrt(),
        Native::Log => x.ln(),
        Native::Log2 => x.log2(),
        Native::Log10 => x.log10(),
        Native::Exp => x.exp(),
        Native::Exp2 => x.exp2(),
        Native::Exp10 => 10f64.powf(x),
        Native::Isnan => return Data::Bool(x.is_nan()),
        Native::Isinfinite => return Data::Bool(x.is_infinite()),
        Native::Isnormal => return Data::Bool(x.is_normal()),
        _ => f64::NAN,
    })
}

fn of_text(native: Native, input: &Value, label: Label, budget: &mut Budget) -> Result<Value, Stop> {
    let Data::String(text) = &input.data else { return Err(cannot(input, "is not a string")) };
    budget.grow(text.len())?;
    Ok(match native {
        Native::Downcase => strings::text(text.to_ascii_lowercase(), label),
        Native::Upcase => strings::text(text.to_ascii_uppercase(), label),
        Native::Trim => strings::text(text.trim().to_owned(), label),
        Native::Ltrim => strings::text(text.trim_start().to_owned(), label),
        Native::Rtrim => strings::text(text.trim_end().to_owned(), label),
        Native::Explode => return strings::explode(text, label, budget),
        _ => {
            let time: Timestamp = text
                .parse()
                .map_err(|_| cannot(input, "is not an ISO 8601 time such as \"2015-03-05T23:51:47Z\""))?;
            Value { data: Data::Int(time.as_second()), label }
        }
    })
}

fn todate(input: &Value) -> Result<Value, Stop> {
    let second = ops::as_int(&input.data).ok_or_else(|| cannot(input, "is not a number of seconds"))?;
    let time =
        Timestamp::from_second(second).map_err(|_| cannot(input, "is not a time within the calendar"))?;
    Ok(strings::text(time.to_string(), input.label))
}

fn length(input: &Value) -> Result<Data, Stop> {
    Ok(match &input.data {
        Data::Null => Data::Int(0),
        Data::Bool(_) => return Err(cannot(input, "has no length")),
        Data::Int(i) => i.checked_abs().map_or_else(|| Data::Float(9_223_372_036_854_775_808.0), Data::Int),
        Data::Float(f) => number(f.abs()),
        Data::String(text) => Data::Int(whole(text.chars().count())),
        Data::Array(items) => Data::Int(whole(items.len())),
        Data::Object(map) => Data::Int(whole(map.len())),
    })
}

/// Keys carry the label of the node whose keys they are.
fn keys(native: Native, input: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = input.label;
    let keys: Vec<Value> = match &input.data {
        Data::Array(items) => {
            budget.grow(items.len() * NODE_BYTES)?;
            (0..whole(items.len())).map(|i| Value { data: Data::Int(i), label }).collect()
        }
        Data::Object(map) => {
            budget.grow(map.len() * NODE_BYTES)?;
            let mut names: Vec<_> = map.keys().cloned().collect();
            if native == Native::Keys {
                budget.step(names.len())?;
                names.sort();
            }
            names.into_iter().map(|name| Value { data: Data::String(name), label }).collect()
        }
        _ => return Err(cannot(input, "has no keys")),
    };
    Ok(Value { data: Data::Array(Arc::new(keys)), label })
}

fn has(input: &Value, key: &Value) -> Result<Value, Stop> {
    let found = match (&input.data, &key.data) {
        (Data::Object(map), Data::String(name)) => map.contains_key(name),
        (Data::Array(items), Data::Int(at)) => usize::try_from(*at).is_ok_and(|at| at < items.len()),
        (Data::Array(items), Data::Float(f)) => {
            *f >= 0.0 && as_f64(&Data::Int(whole(items.len()))).is_some_and(|n| *f < n)
        }
        _ => {
            let text = format!("cannot check whether {} has a {} key", input.kind(), key.kind());
            return Err(Stop::raise(text, input.label.join(key.label)));
        }
    };
    Ok(Value { data: Data::Bool(found), label: input.label.join(key.label) })
}

fn contains(a: &Value, b: &Value, depth: usize, label: Label, budget: &mut Budget) -> Result<bool, Stop> {
    ops::check_depth(depth)?;
    budget.step(1)?;
    match (&a.data, &b.data) {
        (Data::Object(x), Data::Object(y)) => {
            for (key, part) in y.iter() {
                match x.get(key) {
                    Some(value) if contains(value, part, depth + 1, label, budget)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Data::Array(x), Data::Array(y)) => {
            'parts: for part in y.iter() {
                for value in x.iter() {
                    if value.kind() == part.kind() && contains(value, part, depth + 1, label, budget)? {
                        continue 'parts;
                    }
                }
                return Ok(false);
            }
            Ok(true)
        }
        (Data::String(x), Data::String(y)) => {
            budget.step(x.len() / 64)?;
            Ok(x.contains(&**y))
        }
        _ if a.kind() == b.kind() => Ok(compare(a, b, budget)? == Ordering::Equal),
        _ => Err(Stop::raise(
            format!(
                "{} ({}) and {} ({}) cannot have their containment checked",
                a.kind(),
                brief(a),
                b.kind(),
                brief(b)
            ),
            label,
        )),
    }
}

/// `add`; strings are gathered in one go.
fn sum(input: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let items: Vec<&Value> = match &input.data {
        Data::Array(items) => items.iter().collect(),
        Data::Object(map) => map.values().collect(),
        _ => return Err(cannot(input, "cannot be added up; only arrays and objects can")),
    };
    budget.step(items.len())?;
    let part = |value: &Value| Value { data: value.data.clone(), label: value.label.join(input.label) };
    if items.len() > 1 && items.iter().all(|v| matches!(v.data, Data::String(_))) {
        budget.grow(items.iter().filter_map(|v| v.as_str()).map(str::len).sum())?;
        let label = items.iter().fold(input.label, |l, v| l.join(v.label));
        return Ok(strings::text(items.iter().filter_map(|v| v.as_str()).collect(), label));
    }
    let mut total = Value { data: Data::Null, label: input.label };
    for item in items {
        total = ops::binary(super::ast::Op::Add, total, part(item), budget)?;
    }
    Ok(total)
}

fn flatten(input: &Value, levels: f64, budget: &mut Budget) -> Result<Value, Stop> {
    fn into(
        items: &[Value],
        above: Label,
        levels: f64,
        depth: usize,
        out: &mut Vec<Value>,
        shape: &mut Label,
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        ops::check_depth(depth)?;
        for item in items {
            budget.grow(NODE_BYTES)?;
            let label = item.label.join(above);
            if levels >= 1.0 {
                // Whether an item is a list decides how many there are in the end.
                *shape = shape.join(label);
            }
            match &item.data {
                Data::Array(inner) if levels >= 1.0 => {
                    into(inner, label, levels - 1.0, depth + 1, out, shape, budget)?
                }
                data => out.push(Value { data: data.clone(), label }),
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    let mut shape = input.label;
    match &input.data {
        Data::Array(items) => into(items, input.label, levels, 0, &mut out, &mut shape, budget)?,
        _ => return Err(cannot(input, "cannot be flattened; only arrays can")),
    }
    Ok(Value { data: Data::Array(Arc::new(out)), label: shape })
}

fn reverse(input: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = input.label;
    match &input.data {
        Data::Null => Ok(Value { data: Data::Array(Arc::default()), label }),
        Data::String(text) => {
            budget.grow(text.len())?;
            Ok(strings::text(text.chars().rev().collect(), label))
        }
        Data::Array(items) => {
            budget.grow(items.len() * NODE_BYTES)?;
            Ok(Value { data: Data::Array(Arc::new(items.iter().rev().cloned().collect())), label })
        }
        _ => Err(cannot(&input, "cannot be reversed")),
    }
}

/// Sorting, grouping and choosing by keys computed before; the keys' labels go onto what they order.
fn ordered(native: Native, input: &Value, keys: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let (Data::Array(items), Data::Array(order)) = (&input.data, &keys.data) else {
        return Err(cannot(input, "cannot be sorted; only arrays can"));
    };
    let label = input.label.join(deep_label(keys, budget)?);
    budget.grow((items.len() + 1) * NODE_BYTES * 2)?;
    let pairs: Vec<_> = order.iter().cloned().zip(items.iter().cloned()).collect();
    if matches!(native, Native::MinBy | Native::MaxBy) {
        return extreme(native, pairs, label, budget);
    }
    let pairs = ops::sorted(pairs, budget)?;
    let mut out: Vec<Value> = Vec::with_capacity(pairs.len());
    if native == Native::SortBy {
        out.extend(pairs.into_iter().map(|(_, item)| item));
        return Ok(Value { data: Data::Array(Arc::new(out)), label });
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in pairs {
        budget.grow(NODE_BYTES)?;
        ops::check_member(&item, 2, budget)?;
        match groups.last_mut() {
            Some((last, group)) if compare(last, &key, budget)? == Ordering::Equal => group.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    for (_, mut group) in groups {
        out.push(match native {
            Native::GroupBy => Value { data: Data::Array(Arc::new(group)), label },
            _ => group.swap_remove(0),
        });
    }
    Ok(Value { data: Data::Array(Arc::new(out)), label })
}

fn extreme(
    native: Native,
    pairs: Vec<(Value, Value)>,
    label: Label,
    budget: &mut Budget,
) -> Result<Value, Stop> {
    let mut best: Option<(Value, Value)> = None;
    for (key, item) in pairs {
        budget.step(1)?;
        let better = match &best {
            None => true,
            Some((held, _)) => match compare(&key, held, budget)? {
                Ordering::Less => native == Native::MinBy,
                Ordering::Greater | Ordering::Equal => native == Native::MaxBy,
            },
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(joined(best.map_or(Value::NULL, |(_, item)| item), label))
}

fn affix(native: Native, input: Value, part: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = input.label.join(part.label);
    let (Data::String(text), Data::String(affix)) = (&input.data, &part.data) else {
        return match native {
            Native::Ltrimstr | Native::Rtrimstr => Ok(joined(input, part.label)),
            Native::Split => Err(Stop::raise("split input and separator must be strings", label)),
            _ => Err(Stop::raise("startswith and endswith need strings", label)),
        };
    };
    budget.step(1 + affix.len() / 256)?;
    let trimmed = match native {
        Native::Startswith => return Ok(Value { data: Data::Bool(text.starts_with(&**affix)), label }),
        Native::Endswith => return Ok(Value { data: Data::Bool(text.ends_with(&**affix)), label }),
        Native::Split => return strings::split(text, affix, label, budget),
        Native::Ltrimstr => text.strip_prefix(&**affix),
        _ => text.strip_suffix(&**affix),
    };
    match trimmed {
        Some(rest) => {
            budget.grow(rest.len())?;
            Ok(strings::text(rest.to_owned(), label))
        }
        None => Ok(joined(input, part.label)),
    }
}

fn transpose(input: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let Data::Array(rows) = &input.data else {
        return Err(cannot(input, "cannot be transposed; only arrays can"));
    };
    let rows = rows
        .iter()
        .map(|row| list(row, "cannot transpose a row that is not an array"))
        .collect::<Result<Vec<_>, _>>()?;
    let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    budget.grow((rows.len() + 1).saturating_mul(width).saturating_mul(NODE_BYTES))?;
    let column = |i: usize| Value::array(rows.iter().map(|row| row.get(i).cloned().unwrap_or(Value::NULL)));
    Ok(Value {
        data: Data::Array(Arc::new((0..width).map(column).collect())),
        label: deep_label(input, budget)?,
    })
}

/// An object from members; a computed key's label goes onto the object's node.
pub(super) fn build_object(members: Vec<(Value, Value)>, budget: &mut Budget) -> Result<Value, Stop> {
    budget.grow((members.len() + 1) * (NODE_BYTES + MEMBER_BYTES))?;
    let mut map = Map::with_capacity(members.len());
    let mut label = Label::DEFINITION;
    for (key, value) in members {
        let Data::String(name) = &key.data else {
            return Err(Stop::raise(
                format!("object keys must be strings, not {} ({})", key.kind(), brief(&key)),
                key.label,
            ));
        };
        label = label.join(key.label);
        map.insert(name.clone(), value);
    }
    Ok(Value { data: Data::Object(Arc::new(map)), label })
}
