//! What may enter at all: prompt injection, forbidden content, size and shape.
//!
//! Texts are normalised before they are judged (hidden characters removed, look-alike letters and accents folded,
//! spaced-out words joined, base64, hexadecimal and percent encodings opened once), so that one pattern meets every
//! disguise. Patterns ask for the act *and* its object: "ignore the small scratch" passes, "ignore all previous
//! instructions" does not. Deterministic, and linear in the length of what is checked.

mod normal;
mod rules;

use model::{Data, Value};
use serde::Serialize;

/// Limits of one text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextLimits {
    /// Longest text, in bytes.
    pub bytes_max: usize,
    /// Words and phrases that are refused, compared after normalisation, as whole words.
    pub forbidden: Vec<String>,
}

/// Limits of a structured input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputLimits {
    /// Limits of each string in it.
    pub text: TextLimits,
    /// All strings and names together, in bytes.
    pub bytes_max: usize,
    /// Deepest nesting.
    pub depth_max: usize,
    /// Members of one object or list.
    pub members_max: usize,
    /// Nodes in all.
    pub nodes_max: usize,
    /// Longest member name, in bytes.
    pub name_bytes_max: usize,
}

impl Default for TextLimits {
    fn default() -> Self {
        Self { bytes_max: 64 * 1024, forbidden: Vec::new() }
    }
}

impl Default for InputLimits {
    fn default() -> Self {
        Self {
            text: TextLimits::default(),
            bytes_max: 1024 * 1024,
            depth_max: 64,
            members_max: 10_000,
            nodes_max: 100_000,
            name_bytes_max: 256,
        }
    }
}

/// Whether something may enter, and why not.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct FilterVerdict {
    /// What was found, in order; empty means allowed. At most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
}

/// Findings of one verdict at the most.
pub const FINDINGS_MAX: usize = 20;

/// One reason to refuse.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The rule, for example `injection.ignore-instructions` or `limit.depth`.
    pub rule: String,
    /// What matched, normalised, at most 80 characters.
    pub matched: String,
    /// JSON Pointer of the text in the input; empty for a text alone.
    pub pointer: String,
}

impl FilterVerdict {
    /// True when nothing was found.
    pub fn allowed(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, rule: &str, matched: &str, pointer: &str) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding {
                rule: rule.to_owned(),
                matched: matched.chars().filter(|c| !c.is_control()).take(80).collect(),
                pointer: pointer.chars().take(256).collect(),
            });
        }
    }
}

/// Judges one text: a goal, or what a model answered.
pub fn check_text(text: &str, limits: &TextLimits) -> FilterVerdict {
    let mut verdict = FilterVerdict::default();
    judge(text, limits, "", &mut verdict);
    verdict
}

/// Judges a structured input: its shape, every string and every member name.
pub fn check_input(value: &Value, limits: &InputLimits) -> FilterVerdict {
    let mut walk =
        Walk { limits, verdict: FilterVerdict::default(), nodes: 0, bytes: 0, pointer: String::new() };
    walk.visit(value, 0);
    walk.verdict
}

fn judge(text: &str, limits: &TextLimits, pointer: &str, verdict: &mut FilterVerdict) {
    if text.len() > limits.bytes_max {
        verdict.add("limit.text-bytes", &format!("{} of {} bytes", text.len(), limits.bytes_max), pointer);
        return;
    }
    if let Some(hidden) = normal::hidden(text) {
        verdict.add(hidden, "", pointer);
    }
    for variant in normal::variants(text) {
        for (rule, matched) in rules::find(&variant) {
            let known = verdict.findings.iter().any(|f| f.rule == rule && f.pointer == pointer);
            if !known {
                verdict.add(rule, matched, pointer);
            }
        }
        for phrase in &limits.forbidden {
            let folded = normal::fold(phrase);
            let known = verdict.findings.iter().any(|f| f.rule == "content.forbidden" && f.matched == folded);
            if !known && holds_phrase(&variant, folded.trim()) {
                verdict.add("content.forbidden", &folded, pointer);
            }
        }
    }
}

fn holds_phrase(text: &str, phrase: &str) -> bool {
    !phrase.is_empty()
        && text.match_indices(phrase).any(|(at, found)| {
            !text[..at].ends_with(char::is_alphanumeric)
                && !text[at + found.len()..].starts_with(char::is_alphanumeric)
        })
}

struct Walk<'a> {
    limits: &'a InputLimits,
    verdict: FilterVerdict,
    nodes: usize,
    bytes: usize,
    pointer: String,
}

impl Walk<'_> {
    /// Stops at the first limit that is passed: what lies beyond is not looked at, and the verdict says no.
    fn visit(&mut self, value: &Value, depth: usize) -> bool {
        self.nodes += 1;
        let too_much = if depth > self.limits.depth_max {
            Some(("limit.depth", self.limits.depth_max))
        } else if self.nodes > self.limits.nodes_max {
            Some(("limit.nodes", self.limits.nodes_max))
        } else {
            None
        };
        if let Some((rule, limit)) = too_much {
            return self.refuse(rule, limit);
        }
        match &value.data {
            Data::String(text) => self.text(text),
            Data::Array(items) => {
                self.members(items.len())
                    && items.iter().enumerate().all(|(i, item)| self.member(&i.to_string(), item, depth))
            }
            Data::Object(map) => {
                self.members(map.len())
                    && map.iter().all(|(name, item)| self.name(name) && self.member(name, item, depth))
            }
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) => true,
        }
    }

    fn member(&mut self, name: &str, item: &Value, depth: usize) -> bool {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        let on = self.visit(item, depth + 1);
        self.pointer.truncate(length);
        on
    }

    fn members(&mut self, count: usize) -> bool {
        count <= self.limits.members_max || self.refuse("limit.members", self.limits.members_max)
    }

    fn name(&mut self, name: &str) -> bool {
        if name.len() > self.limits.name_bytes_max {
            return self.refuse("limit.name-bytes", self.limits.name_bytes_max);
        }
        self.text(name)
    }

    fn text(&mut self, text: &str) -> bool {
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > self.limits.bytes_max {
            return self.refuse("limit.bytes", self.limits.bytes_max);
        }
        judge(text, &self.limits.text, &self.pointer, &mut self.verdict);
        self.verdict.findings.len() < FINDINGS_MAX
    }

    fn refuse(&mut self, rule: &str, limit: usize) -> bool {
        self.verdict.add(rule, &format!("more than {limit}"), &self.pointer);
        false
    }
}

#[cfg(test)]
mod tests;
