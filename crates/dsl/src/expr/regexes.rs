//! `match` and `test` over regular expressions in linear time, bounded in size and counted by length.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Data, Label, Value};
use regex::{Regex, RegexBuilder};

use super::budget::Budget;
use super::error::Stop;
use super::ops::{NODE_BYTES, deep_label};

/// The largest compiled form of one pattern, in bytes.
const SIZE_MAX: usize = 256 * 1024;
/// The largest compiled form that counts as ordinary.
const SIZE_SMALL: usize = 48 * 1024;
/// Patterns kept during one evaluation.
const CACHE_MAX: usize = 32;
/// Steps for compiling one pattern.
const COMPILE_STEPS: usize = 2_000;

/// The patterns compiled during one evaluation.
#[derive(Default)]
pub(super) struct Regexes {
    cache: BTreeMap<(Arc<str>, Flags), Arc<Compiled>>,
}

struct Compiled {
    regex: Regex,
    names: Vec<Option<Arc<str>>>,
    /// Bytes of text for one step.
    bytes_per_step: usize,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Flags {
    global: bool,
    insensitive: bool,
    extended: bool,
    dot_all: bool,
    longest: bool,
    skip_empty: bool,
}

impl Regexes {
    /// jq's `_match_impl`: `true`/`false` when only testing, else an array of matches.
    pub(super) fn matches(
        &mut self,
        input: &Value,
        pattern: &Value,
        flags: &Value,
        testing: bool,
        budget: &mut Budget,
    ) -> Result<Value, Stop> {
        let label = input.label.join(deep_label(pattern, budget)?).join(deep_label(flags, budget)?);
        let Data::String(text) = &input.data else {
            return Err(Stop::raise(
                format!("{} cannot be matched, as it is not a string", input.kind()),
                label,
            ));
        };
        let (pattern, flags) = pattern_and_flags(pattern, flags, label)?;
        let compiled = self.compile(&pattern, flags, label, budget)?;
        budget.step(1 + text.len() / compiled.bytes_per_step)?;
        if testing {
            return Ok(Value { data: Data::Bool(compiled.regex.is_match(text)), label });
        }
        let mut found = Vec::new();
        let mut place = Place { text, byte: 0, char: 0 };
        for captures in compiled.regex.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            if !(flags.skip_empty && whole.is_empty()) {
                found.push(describe(&compiled, &captures, &mut place, label, budget)?);
            }
            if !flags.global {
                break;
            }
        }
        Ok(Value { data: Data::Array(Arc::new(found)), label })
    }

    fn compile(
        &mut self,
        pattern: &Arc<str>,
        flags: Flags,
        label: Label,
        budget: &mut Budget,
    ) -> Result<Arc<Compiled>, Stop> {
        let key = (pattern.clone(), flags);
        if let Some(compiled) = self.cache.get(&key) {
            return Ok(compiled.clone());
        }
        budget.step(COMPILE_STEPS + pattern.len())?;
        let mut builder = RegexBuilder::new(pattern);
        builder.case_insensitive(flags.insensitive).ignore_whitespace(flags.extended);
        builder.dot_matches_new_line(flags.dot_all).nest_limit(64).dfa_size_limit(1 << 20);
        let (regex, bytes_per_step) = match builder.size_limit(SIZE_SMALL).build() {
            Ok(regex) => (regex, 32),
            Err(regex::Error::CompiledTooBig(_)) => {
                budget.step(10 * COMPILE_STEPS)?;
                let built = builder.size_limit(SIZE_MAX).build();
                (built.map_err(|e| refused(pattern, &e, label))?, 1)
            }
            Err(error) => return Err(refused(pattern, &error, label)),
        };
        let names = regex.capture_names().skip(1).map(|n| n.map(Arc::from)).collect();
        let compiled = Arc::new(Compiled { regex, names, bytes_per_step });
        if self.cache.len() < CACHE_MAX {
            self.cache.insert(key, compiled.clone());
        }
        Ok(compiled)
    }
}

fn refused(pattern: &str, error: &regex::Error, label: Label) -> Stop {
    let why = match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        other => other.to_string().lines().last().unwrap_or("it is not valid").trim().to_owned(),
    };
    let shown: String = pattern.chars().take(60).collect();
    Stop::raise(format!("`{shown}` is not a usable regular expression: {why}"), label)
}

/// The pattern may be `[pattern, flags]`.
fn pattern_and_flags(pattern: &Value, flags: &Value, label: Label) -> Result<(Arc<str>, Flags), Stop> {
    if let Data::Array(pair) = &pattern.data {
        return match pair.as_slice() {
            [inner] if !matches!(inner.data, Data::Array(_)) => pattern_and_flags(inner, flags, label),
            [inner, own] if !matches!(inner.data, Data::Array(_)) => pattern_and_flags(inner, own, label),
            _ => Err(Stop::raise("a regular expression is a string or [string, flags]", label)),
        };
    }
    let Data::String(text) = &pattern.data else {
        return Err(Stop::raise(format!("{} is not a regular expression", pattern.kind()), label));
    };
    let mut set = Flags::default();
    match &flags.data {
        Data::Null => {}
        Data::String(letters) => {
            for letter in letters.chars() {
                match letter {
                    'g' => set.global = true,
                    'i' => set.insensitive = true,
                    'x' => set.extended = true,
                    's' => set.dot_all = true,
                    'n' => set.skip_empty = true,
                    'p' => set.dot_all = true,
                    'l' => set.longest = true,
                    _ => {
                        return Err(Stop::raise(
                            format!("`{letter}` is not a flag of regular expressions"),
                            label,
                        ));
                    }
                }
            }
        }
        _ => return Err(Stop::raise("flags of a regular expression are a string", label)),
    }
    if set.longest {
        return Err(Stop::raise("the flag `l` is not supported; write the longer alternative first", label));
    }
    Ok((text.clone(), set))
}

/// Turns byte offsets into character offsets without starting over for each match.
struct Place<'a> {
    text: &'a str,
    byte: usize,
    char: usize,
}

impl Place<'_> {
    fn of(&mut self, byte: usize) -> Data {
        if byte >= self.byte {
            self.char += self.text[self.byte..byte].chars().count();
        } else {
            self.char = self.char.saturating_sub(self.text[byte..self.byte].chars().count());
        }
        self.byte = byte;
        Data::Int(i64::try_from(self.char).unwrap_or(i64::MAX))
    }
}

fn describe(
    compiled: &Compiled,
    captures: &regex::Captures<'_>,
    place: &mut Place<'_>,
    label: Label,
    budget: &mut Budget,
) -> Result<Value, Stop> {
    let node = |data| Value { data, label };
    let mut one = |found: Option<regex::Match<'_>>, budget: &mut Budget| {
        budget.grow(8 * NODE_BYTES + 256 + found.map_or(0, |m| m.len()))?;
        budget.step(4 + found.map_or(0, |m| m.len() / 32))?;
        Ok::<_, Stop>(match found {
            Some(m) => [
                ("offset", node(place.of(m.start()))),
                ("length", node(Data::Int(i64::try_from(m.as_str().chars().count()).unwrap_or(i64::MAX)))),
                ("string", node(Data::String(m.as_str().into()))),
            ],
            None => [
                ("offset", node(Data::Int(-1))),
                ("length", node(Data::Int(0))),
                ("string", node(Data::Null)),
            ],
        })
    };
    let whole = one(captures.get(0), budget)?;
    let mut groups = Vec::new();
    for (i, name) in compiled.names.iter().enumerate() {
        let name = node(name.clone().map_or(Data::Null, Data::String));
        let group = one(captures.get(i + 1), budget)?.into_iter().chain([("name", name)]);
        groups.push(Value { label, ..Value::object(group) });
    }
    let captures = node(Data::Array(Arc::new(groups)));
    Ok(Value { label, ..Value::object(whole.into_iter().chain([("captures", captures)])) })
}
