//! Arithmetic, order, equality and labels of values.

use std::cmp::Ordering;
use std::sync::Arc;

use model::value::Map;
use model::{Data, Label, Value};

use super::ast::Op;
use super::budget::Budget;
use super::error::Stop;
use super::json::brief;

/// The deepest value an expression may build; inputs nest at most half as deep (their readers see to that).
pub(super) const VALUE_DEPTH_MAX: usize = 256;
/// Memory counted for one node of a container.
pub(super) const NODE_BYTES: usize = 40;
/// Memory counted for one member of an object beside its node.
pub(super) const MEMBER_BYTES: usize = 48;

pub(super) fn truthy(value: &Value) -> bool {
    !matches!(value.data, Data::Null | Data::Bool(false))
}

/// The labels of all nodes, counted as steps.
pub(super) fn deep_label(value: &Value, budget: &mut Budget) -> Result<Label, Stop> {
    fn walk(value: &Value, depth: usize, budget: &mut Budget) -> Result<Label, Stop> {
        check_depth(depth)?;
        let mut label = value.label;
        match &value.data {
            Data::Array(items) => {
                budget.step(1 + items.len() / 16)?;
                for item in items.iter() {
                    label = label.join(walk(item, depth + 1, budget)?);
                }
            }
            Data::Object(map) => {
                budget.step(1 + map.len() / 16)?;
                for item in map.values() {
                    label = label.join(walk(item, depth + 1, budget)?);
                }
            }
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::String(_) => {}
        }
        Ok(label)
    }
    match &value.data {
        Data::Array(_) | Data::Object(_) => walk(value, 0, budget),
        _ => Ok(value.label),
    }
}

pub(super) fn check_depth(depth: usize) -> Result<(), Stop> {
    if depth > 2 * VALUE_DEPTH_MAX {
        return Err(Stop::Budget { name: "depth (nesting of a value)", limit: VALUE_DEPTH_MAX as u64 });
    }
    Ok(())
}

/// Refuses a value that would nest too deeply when it is put `above` levels down.
pub(super) fn check_member(value: &Value, above: usize, budget: &mut Budget) -> Result<(), Stop> {
    if above > VALUE_DEPTH_MAX {
        return Err(Stop::Budget { name: "depth (nesting of a value)", limit: VALUE_DEPTH_MAX as u64 });
    }
    match &value.data {
        Data::Array(items) => {
            budget.step(1 + items.len() / 16)?;
            items.iter().try_for_each(|item| check_member(item, above + 1, budget))
        }
        Data::Object(map) => {
            budget.step(1 + map.len() / 16)?;
            map.values().try_for_each(|item| check_member(item, above + 1, budget))
        }
        Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::String(_) => Ok(()),
    }
}

/// A number as data: exact when it is whole and fits.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked: whole and below 2^53")]
pub(super) fn number(value: f64) -> Data {
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        Data::Int(value as i64)
    } else {
        Data::Float(value)
    }
}

pub(super) fn parse_number(text: &str) -> Option<Data> {
    if let Ok(int) = text.parse::<i64>() {
        return Some(Data::Int(int));
    }
    let lone = text.strip_prefix('-').unwrap_or(text);
    if !lone.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.parse::<f64>()
        .ok()
        .map(|f| if f.is_finite() { number(f) } else { Data::Float(f64::MAX.copysign(f)) })
}

#[expect(clippy::cast_precision_loss, reason = "jq's numbers are doubles")]
pub(super) fn as_f64(data: &Data) -> Option<f64> {
    match data {
        Data::Int(i) => Some(*i as f64),
        Data::Float(f) => Some(*f),
        _ => None,
    }
}

/// A number as a whole one, cut towards zero and to the range.
#[expect(clippy::cast_possible_truncation, reason = "saturating by definition of `as`")]
pub(super) fn as_int(data: &Data) -> Option<i64> {
    match data {
        Data::Int(i) => Some(*i),
        Data::Float(f) => Some(*f as i64),
        _ => None,
    }
}

fn rank(data: &Data) -> u8 {
    match data {
        Data::Null => 0,
        Data::Bool(false) => 1,
        Data::Bool(true) => 2,
        Data::Int(_) | Data::Float(_) => 3,
        Data::String(_) => 4,
        Data::Array(_) => 5,
        Data::Object(_) => 6,
    }
}

/// jq's order: null, false, true, numbers, strings, arrays, objects. `nan` is below every number.
pub(super) fn compare(a: &Value, b: &Value, budget: &mut Budget) -> Result<Ordering, Stop> {
    compare_at(a, b, 0, budget)
}

fn compare_at(a: &Value, b: &Value, depth: usize, budget: &mut Budget) -> Result<Ordering, Stop> {
    check_depth(depth)?;
    match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => Ok(x.cmp(y)),
        (Data::String(x), Data::String(y)) => {
            budget.step(x.len().min(y.len()) / 256)?;
            Ok(x.cmp(y))
        }
        (Data::Array(x), Data::Array(y)) => {
            if Arc::ptr_eq(x, y) {
                return Ok(Ordering::Equal);
            }
            for (p, q) in x.iter().zip(y.iter()) {
                budget.step(1)?;
                match compare_at(p, q, depth + 1, budget)? {
                    Ordering::Equal => {}
                    other => return Ok(other),
                }
            }
            Ok(x.len().cmp(&y.len()))
        }
        (Data::Object(x), Data::Object(y)) => compare_objects(x, y, depth, budget),
        (x, y) => match (as_f64(x), as_f64(y)) {
            (Some(f), Some(_)) if f.is_nan() => Ok(Ordering::Less),
            (Some(f), Some(g)) => Ok(f.partial_cmp(&g).unwrap_or(Ordering::Greater)),
            _ => Ok(rank(x).cmp(&rank(y))),
        },
    }
}

fn compare_objects(a: &Arc<Map>, b: &Arc<Map>, depth: usize, budget: &mut Budget) -> Result<Ordering, Stop> {
    if Arc::ptr_eq(a, b) {
        return Ok(Ordering::Equal);
    }
    let (mut x, mut y): (Vec<_>, Vec<_>) = (a.iter().collect(), b.iter().collect());
    budget.step(1 + (x.len() + y.len()) / 4)?;
    x.sort_by(|p, q| p.0.cmp(q.0));
    y.sort_by(|p, q| p.0.cmp(q.0));
    let keys = x.iter().map(|p| p.0).cmp(y.iter().map(|p| p.0));
    if keys != Ordering::Equal {
        return Ok(keys);
    }
    for (p, q) in x.iter().zip(&y) {
        match compare_at(p.1, q.1, depth + 1, budget)? {
            Ordering::Equal => {}
            other => return Ok(other),
        }
    }
    Ok(Ordering::Equal)
}

/// One binary operation on two values; labels of both are joined as the module says.
pub(super) fn binary(op: Op, a: Value, b: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let holds = match op {
        Op::Add => return add(a, b, budget),
        Op::Subtract => return subtract(a, b, budget),
        Op::Multiply => return multiply(a, b, budget),
        Op::Divide => return divide(a, b, budget),
        Op::Modulo => return modulo(a, b, budget),
        Op::Equal => compare(&a, &b, budget)? == Ordering::Equal,
        Op::NotEqual => compare(&a, &b, budget)? != Ordering::Equal,
        Op::Less => compare(&a, &b, budget)? == Ordering::Less,
        Op::LessEqual => compare(&a, &b, budget)? != Ordering::Greater,
        Op::Greater => compare(&a, &b, budget)? == Ordering::Greater,
        Op::GreaterEqual => compare(&a, &b, budget)? != Ordering::Less,
    };
    let label = deep_label(&a, budget)?.join(deep_label(&b, budget)?);
    Ok(Value { data: Data::Bool(holds), label })
}

fn mismatch(a: &Value, b: &Value, what: &str, budget: &mut Budget) -> Stop {
    let label = match (deep_label(a, budget), deep_label(b, budget)) {
        (Ok(x), Ok(y)) => x.join(y),
        (Err(stop), _) | (_, Err(stop)) => return stop,
    };
    let text = format!("{} ({}) and {} ({}) cannot be {what}", a.kind(), brief(a), b.kind(), brief(b));
    Stop::raise(text, label)
}

fn add(a: Value, b: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = a.label.join(b.label);
    let data = match (a.data, b.data) {
        (Data::Null, other) | (other, Data::Null) => other,
        (Data::Int(x), Data::Int(y)) => exact(x.checked_add(y), x, y, |f, g| f + g),
        (Data::String(x), Data::String(y)) => {
            budget.grow(x.len() + y.len() + 32)?;
            Data::String([&*x, &*y].concat().into())
        }
        (Data::Array(mut x), Data::Array(y)) => {
            let copied = if Arc::get_mut(&mut x).is_some() { 0 } else { x.len() };
            budget.grow((copied + y.len() + 1) * NODE_BYTES)?;
            Arc::make_mut(&mut x).extend(y.iter().cloned());
            Data::Array(x)
        }
        (Data::Object(mut x), Data::Object(y)) => {
            let copied = if Arc::get_mut(&mut x).is_some() { 0 } else { x.len() };
            budget.grow((copied + y.len() + 1) * (NODE_BYTES + MEMBER_BYTES))?;
            Arc::make_mut(&mut x).extend(y.iter().map(|(k, v)| (k.clone(), v.clone())));
            Data::Object(x)
        }
        (x, y) => match (as_f64(&x), as_f64(&y)) {
            (Some(f), Some(g)) => number(f + g),
            _ => {
                let (a, b) = (Value { data: x, label: a.label }, Value { data: y, label: b.label });
                return Err(mismatch(&a, &b, "added", budget));
            }
        },
    };
    Ok(Value { data, label })
}

#[expect(clippy::cast_precision_loss, reason = "what overflows becomes a double, as in jq")]
fn exact(result: Option<i64>, x: i64, y: i64, float: impl Fn(f64, f64) -> f64) -> Data {
    result.map_or_else(|| number(float(x as f64, y as f64)), Data::Int)
}

fn subtract(a: Value, b: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = a.label.join(b.label);
    let data = match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => exact(x.checked_sub(*y), *x, *y, |f, g| f - g),
        (Data::Array(x), Data::Array(y)) => {
            budget.grow((x.len() + 1) * NODE_BYTES)?;
            let mut kept = Vec::new();
            // What is left was chosen by what was taken away.
            let label = label.join(deep_label(&a, budget)?).join(deep_label(&b, budget)?);
            'items: for item in x.iter() {
                budget.step(1)?;
                for other in y.iter() {
                    budget.step(1)?;
                    if compare(item, other, budget)? == Ordering::Equal {
                        continue 'items;
                    }
                }
                kept.push(item.clone());
            }
            return Ok(Value { data: Data::Array(Arc::new(kept)), label });
        }
        (x, y) => match (as_f64(x), as_f64(y)) {
            (Some(f), Some(g)) => number(f - g),
            _ => return Err(mismatch(&a, &b, "subtracted", budget)),
        },
    };
    Ok(Value { data, label })
}

fn multiply(a: Value, b: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = a.label.join(b.label);
    let data = match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) => exact(x.checked_mul(*y), *x, *y, |f, g| f * g),
        (Data::String(text), times) | (times, Data::String(text)) if as_f64(times).is_some() => {
            repeat(text, as_f64(times).unwrap_or(0.0), budget)?
        }
        (Data::Object(x), Data::Object(y)) => return merge(x, y, label, 0, budget),
        (x, y) => match (as_f64(x), as_f64(y)) {
            (Some(f), Some(g)) => number(f * g),
            _ => return Err(mismatch(&a, &b, "multiplied", budget)),
        },
    };
    Ok(Value { data, label })
}

/// jq repeats a string `ceil(times)` times and gives `null` for nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturating, and counted before use"
)]
fn repeat(text: &str, times: f64, budget: &mut Budget) -> Result<Data, Stop> {
    if times.is_nan() || times <= 0.0 {
        return Ok(Data::Null);
    }
    let times = times.ceil() as usize;
    budget.grow(text.len().max(1).saturating_mul(times))?;
    Ok(Data::String(text.repeat(times).into()))
}

fn merge(a: &Map, b: &Map, label: Label, depth: usize, budget: &mut Budget) -> Result<Value, Stop> {
    check_depth(depth)?;
    budget.grow((a.len() + b.len() + 1) * (NODE_BYTES + MEMBER_BYTES))?;
    let mut map = a.clone();
    for (key, new) in b {
        let merged = match (map.get(key).map(|v| (&v.data, v.label)), &new.data) {
            (Some((Data::Object(x), old)), Data::Object(y)) => {
                merge(x, y, old.join(new.label), depth + 1, budget)?
            }
            // Were the old one an object, its members would have stayed.
            (Some((_, old)), Data::Object(_)) => Value { data: new.data.clone(), label: new.label.join(old) },
            _ => new.clone(),
        };
        map.insert(key.clone(), merged);
    }
    Ok(Value { data: Data::Object(Arc::new(map)), label })
}

fn divide(a: Value, b: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = a.label.join(b.label);
    if let (Data::String(x), Data::String(y)) = (&a.data, &b.data) {
        return super::strings::split(x, y, label, budget);
    }
    let (Some(f), Some(g)) = (as_f64(&a.data), as_f64(&b.data)) else {
        return Err(mismatch(&a, &b, "divided", budget));
    };
    if g == 0.0 {
        return Err(mismatch(&a, &b, "divided because the divisor is zero", budget));
    }
    let data = match (&a.data, &b.data) {
        (Data::Int(x), Data::Int(y)) if x.checked_rem(*y) == Some(0) => {
            x.checked_div(*y).map_or_else(|| number(f / g), Data::Int)
        }
        _ => number(f / g),
    };
    Ok(Value { data, label })
}

fn modulo(a: Value, b: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = a.label.join(b.label);
    let (Some(x), Some(y)) = (as_int(&a.data), as_int(&b.data)) else {
        return Err(mismatch(&a, &b, "divided", budget));
    };
    if y == 0 {
        return Err(mismatch(&a, &b, "divided because the divisor is zero", budget));
    }
    Ok(Value { data: Data::Int(x.checked_rem(y).unwrap_or(0)), label })
}

pub(super) fn negate(value: Value) -> Result<Value, Stop> {
    let data = match &value.data {
        Data::Int(i) => {
            i.checked_neg().map_or_else(|| number(-(as_f64(&value.data).unwrap_or(0.0))), Data::Int)
        }
        Data::Float(f) => number(-f),
        _ => {
            let text = format!("{} ({}) cannot be negated", value.kind(), brief(&value));
            return Err(Stop::raise(text, value.label_of_all()));
        }
    };
    Ok(Value { data, label: value.label })
}

/// Sorts by keys that were computed before; equal keys keep their order.
pub(super) fn sorted<T>(mut items: Vec<(Value, T)>, budget: &mut Budget) -> Result<Vec<(Value, T)>, Stop> {
    let mut failed = None;
    items.sort_by(|(a, _), (b, _)| {
        if failed.is_some() {
            return Ordering::Equal;
        }
        let order = budget.step(1).and_then(|()| compare(a, b, budget));
        order.unwrap_or_else(|stop| {
            failed = Some(stop);
            Ordering::Equal
        })
    });
    failed.map_or(Ok(items), Err)
}
