//! Reading, setting and deleting by path; missing containers are made on the way, as jq does.

use std::sync::Arc;

use model::value::Map;
use model::{Data, Label, Value};

use super::budget::Budget;
use super::error::Stop;
use super::json::brief;
use super::ops::{self, MEMBER_BYTES, NODE_BYTES, as_int, check_member};

/// The largest array that setting an index may make.
const INDEX_MAX: usize = 1_000_000;

/// The part of `base` at `key`: the part's own label joined with the base's own and the key's.
pub(super) fn index(base: &Value, key: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = base.label.join(key.label);
    let found = match (&base.data, &key.data) {
        (Data::Object(map), Data::String(name)) => map.get(name),
        (Data::Array(items), Data::Int(_) | Data::Float(_)) => {
            position(&key.data, items.len()).and_then(|i| items.get(i))
        }
        (Data::Null, Data::String(_) | Data::Int(_) | Data::Float(_) | Data::Null) => None,
        (Data::Array(_) | Data::Null, Data::Object(_)) => {
            let (from, to) = bounds_of(key)?;
            let found = slice(base, &from, &to, budget)?;
            return Ok(Value { label: found.label.join(label), ..found });
        }
        (Data::Array(items), Data::Array(wanted)) => {
            let label = label.join(ops::deep_label(base, budget)?);
            return super::strings::indices_of_items(items, wanted, label, budget);
        }
        _ => return Err(no_index(base, key)),
    };
    Ok(match found {
        Some(value) => Value { data: value.data.clone(), label: value.label.join(label) },
        None => Value { data: Data::Null, label },
    })
}

fn no_index(base: &Value, key: &Value) -> Stop {
    let label = base.label.join(key.label_of_all());
    let text = match &key.data {
        Data::String(name) => {
            format!("cannot index {} with \"{}\"", base.kind(), name.chars().take(60).collect::<String>())
        }
        _ => format!("cannot index {} with {}", base.kind(), key.kind()),
    };
    Stop::raise(text, label)
}

/// An index counted from the start; negative ones count from the end.
fn position(key: &Data, length: usize) -> Option<usize> {
    if ops::as_f64(key).is_some_and(f64::is_nan) {
        return None;
    }
    let at = match key {
        Data::Float(f) => as_int(&Data::Float(f.floor()))?,
        other => as_int(other)?,
    };
    if at >= 0 {
        usize::try_from(at).ok()
    } else {
        length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?)
    }
}

fn bounds_of(key: &Value) -> Result<(Value, Value), Stop> {
    match (key.get("start"), key.get("end")) {
        (from, to) if from.is_some() || to.is_some() => {
            Ok((from.cloned().unwrap_or(Value::NULL), to.cloned().unwrap_or(Value::NULL)))
        }
        _ => Err(Stop::raise("start and end of a slice must be given", key.label_of_all())),
    }
}

/// The key that stands for a slice in a path.
pub(super) fn slice_key(from: &Value, to: &Value) -> Value {
    Value::object([("start", from.clone()), ("end", to.clone())])
}

/// Bounds of a slice within `length`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped"
)]
fn range(from: &Value, to: &Value, length: usize) -> Result<(usize, usize), Stop> {
    let bound = |value: &Value, default: usize, up: bool| match &value.data {
        Data::Null => Ok(default),
        data => match ops::as_f64(data) {
            Some(f) => {
                let f = if f < 0.0 { f + length as f64 } else { f };
                let f = if up { f.ceil() } else { f.floor() };
                Ok(f.clamp(0.0, length as f64) as usize)
            }
            None => Err(Stop::raise("start and end of a slice must be numbers", value.label_of_all())),
        },
    };
    let (start, end) = (bound(from, 0, false)?, bound(to, length, true)?);
    Ok((start, end.max(start)))
}

pub(super) fn slice(base: &Value, from: &Value, to: &Value, budget: &mut Budget) -> Result<Value, Stop> {
    let label = base.label.join(from.label).join(to.label);
    let data = match &base.data {
        Data::Null => {
            range(from, to, 0)?;
            Data::Null
        }
        Data::Array(items) => {
            let (start, end) = range(from, to, items.len())?;
            budget.grow((end - start + 1) * NODE_BYTES)?;
            Data::Array(Arc::new(items[start..end].to_vec()))
        }
        Data::String(text) => {
            budget.step(text.len() / 64)?;
            let (start, end) = range(from, to, text.chars().count())?;
            let byte = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(i, _)| i);
            let part = &text[byte(start)..byte(end)];
            budget.grow(part.len() + 32)?;
            Data::String(part.into())
        }
        _ => return Err(Stop::raise(format!("cannot take a slice of {}", base.kind()), label)),
    };
    Ok(Value { data, label })
}

/// Every part with its key; parts carry the base's own label too.
pub(super) fn each(
    base: &Value,
    mut visit: impl FnMut(Value, &dyn Fn() -> Value) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let with = |value: &Value| Value { data: value.data.clone(), label: value.label.join(base.label) };
    match &base.data {
        Data::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let at = i64::try_from(i).unwrap_or(i64::MAX);
                visit(with(item), &|| Value { data: Data::Int(at), label: base.label })?;
            }
            Ok(())
        }
        Data::Object(map) => {
            for (key, item) in map.iter() {
                visit(with(item), &|| Value { data: Data::String(key.clone()), label: base.label })?;
            }
            Ok(())
        }
        _ => Err(Stop::raise(format!("cannot iterate over {} ({})", base.kind(), brief(base)), base.label)),
    }
}

/// jq's `getpath`: a path through `null` gives `null`.
pub(super) fn get(base: &Value, path: &[Value], budget: &mut Budget) -> Result<Value, Stop> {
    let mut value = base.clone();
    for key in path {
        budget.step(1)?;
        value = index(&value, key, budget)?;
    }
    Ok(value)
}

/// `base` with `new` at `path`; containers that nobody else holds are changed in place.
pub(super) fn set(base: Value, path: &[Value], new: Value, budget: &mut Budget) -> Result<Value, Stop> {
    check_member(&new, path.len(), budget)?;
    set_at(base, path, new, budget)
}

fn set_at(base: Value, path: &[Value], new: Value, budget: &mut Budget) -> Result<Value, Stop> {
    let Some((key, rest)) = path.split_first() else { return Ok(new) };
    budget.step(1)?;
    let label = base.label.join(key.label);
    let data = match (base.data, &key.data) {
        (Data::Null, Data::String(name)) => set_member(Arc::default(), name, rest, new, budget)?,
        (Data::Object(map), Data::String(name)) => set_member(map, name, rest, new, budget)?,
        (Data::Null, Data::Int(_) | Data::Float(_)) => set_item(Arc::default(), key, rest, new, budget)?,
        (Data::Array(items), Data::Int(_) | Data::Float(_)) => set_item(items, key, rest, new, budget)?,
        (Data::Null, Data::Object(_)) => set_slice(Arc::default(), key, label, rest, new, budget)?,
        (Data::Array(items), Data::Object(_)) => set_slice(items, key, label, rest, new, budget)?,
        (data, _) => return Err(no_index(&Value { data, label }, key)),
    };
    Ok(Value { data, label })
}

fn set_member(
    mut map: Arc<Map>,
    name: &Arc<str>,
    rest: &[Value],
    new: Value,
    budget: &mut Budget,
) -> Result<Data, Stop> {
    let copied = if Arc::get_mut(&mut map).is_some() { 1 } else { map.len() + 1 };
    budget.grow(copied * (NODE_BYTES + MEMBER_BYTES))?;
    let members = Arc::make_mut(&mut map);
    let slot = members.entry(name.clone()).or_insert(Value::NULL);
    let old = std::mem::replace(slot, Value::NULL);
    *slot = set_at(old, rest, new, budget)?;
    Ok(Data::Object(map))
}

fn set_item(
    mut items: Arc<Vec<Value>>,
    key: &Value,
    rest: &[Value],
    new: Value,
    budget: &mut Budget,
) -> Result<Data, Stop> {
    let at = position(&key.data, items.len())
        .ok_or_else(|| Stop::raise("the index is before the start of the array", key.label))?;
    if at >= INDEX_MAX {
        return Err(Stop::raise(
            format!("the index {at} is too large; at most {INDEX_MAX} items"),
            key.label,
        ));
    }
    let copied = if Arc::get_mut(&mut items).is_some() { 1 } else { items.len() + 1 };
    budget.grow((copied + at.saturating_sub(items.len())) * NODE_BYTES)?;
    let list = Arc::make_mut(&mut items);
    if at >= list.len() {
        list.resize(at + 1, Value::NULL);
    }
    let old = std::mem::replace(&mut list[at], Value::NULL);
    list[at] = set_at(old, rest, new, budget)?;
    Ok(Data::Array(items))
}

fn set_slice(
    items: Arc<Vec<Value>>,
    key: &Value,
    label: Label,
    rest: &[Value],
    new: Value,
    budget: &mut Budget,
) -> Result<Data, Stop> {
    let (from, to) = bounds_of(key)?;
    let (start, end) = range(&from, &to, items.len())?;
    let base = Value { data: Data::Array(items.clone()), label };
    let old = slice(&base, &from, &to, budget)?;
    let middle = set_at(old, rest, new, budget)?;
    let Data::Array(middle) = &middle.data else {
        return Err(Stop::raise("a slice of an array can only be set to an array", middle.label_of_all()));
    };
    budget.grow((items.len() + middle.len()) * NODE_BYTES)?;
    let parts = items[..start].iter().chain(middle.iter()).chain(&items[end..]);
    Ok(Data::Array(Arc::new(parts.cloned().collect())))
}

/// `base` without what is at the paths; the longest and last go first.
pub(super) fn delete_all(base: Value, paths: Vec<Value>, budget: &mut Budget) -> Result<Value, Stop> {
    let sorted = ops::sorted(paths.into_iter().map(|p| (p, ())).collect(), budget)?;
    let mut value = base;
    for (path, ()) in sorted.into_iter().rev() {
        let Data::Array(keys) = &path.data else {
            return Err(Stop::raise("a path must be an array", path.label_of_all()));
        };
        value = delete(value, keys, path.label, budget)?;
    }
    Ok(value)
}

fn delete(base: Value, path: &[Value], chosen: Label, budget: &mut Budget) -> Result<Value, Stop> {
    let Some((key, rest)) = path.split_first() else {
        return Ok(Value { data: Data::Null, label: base.label });
    };
    budget.step(1)?;
    let label = base.label.join(key.label).join(chosen);
    if base.is_null() {
        return Ok(base);
    }
    if !rest.is_empty() {
        let part = index(&base, key, budget)?;
        if part.is_null() {
            return Ok(base);
        }
        let part = delete(part, rest, chosen, budget)?;
        return set_at(base, std::slice::from_ref(key), part, budget);
    }
    let data = match (base.data, &key.data) {
        (Data::Object(mut map), Data::String(name)) => {
            budget.grow(if Arc::get_mut(&mut map).is_some() {
                0
            } else {
                map.len() * (NODE_BYTES + MEMBER_BYTES)
            })?;
            budget.step(map.len() / 16)?;
            Arc::make_mut(&mut map).shift_remove(name);
            Data::Object(map)
        }
        (Data::Array(mut items), Data::Int(_) | Data::Float(_)) => {
            budget.grow(if Arc::get_mut(&mut items).is_some() { 0 } else { items.len() * NODE_BYTES })?;
            budget.step(items.len() / 16)?;
            if let Some(at) = position(&key.data, items.len()).filter(|at| *at < items.len()) {
                Arc::make_mut(&mut items).remove(at);
            }
            Data::Array(items)
        }
        (Data::Array(items), Data::Object(_)) => {
            let (from, to) = bounds_of(key)?;
            let (start, end) = range(&from, &to, items.len())?;
            budget.grow(items.len() * NODE_BYTES)?;
            Data::Array(Arc::new(items[..start].iter().chain(&items[end..]).cloned().collect()))
        }
        (data, _) => {
            let base = Value { data, label };
            return Err(Stop::raise(format!("cannot delete {} from {}", key.kind(), base.kind()), label));
        }
    };
    Ok(Value { data, label })
}
