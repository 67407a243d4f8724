//! Puts what a text says into a workflow's slots, and asks for the rest.

use serde::Serialize;
use serde_json::Value as Json;

use crate::intent::money::{self, Number};
use crate::intent::template::{Into, Slot, SlotType, Template};
use crate::intent::words::{self, Token};
use crate::intent::{Parsed, scan};

/// Longest name of a thing.
const ID_BYTES_MAX: usize = 64;
/// Values that are named in a question.
const NAMED_MAX: usize = 5;
/// Words between a name and its value: `order number 1042`.
const FILLERS: [&str; 12] =
    ["number", "no", "nr", "num", "id", "with", "the", "is", "nummer", "of", "numero", "named"];
/// Words that join two values of one slot.
const JOINERS: [&str; 8] = ["and", "und", "et", "y", "or", "oder", "ou", "o"];
/// Words before a reason that are not part of it.
const CONNECTIVES: [&str; 14] = [
    "because", "since", "as", "for", "weil", "wegen", "da", "reason", "grund", "car", "porque", "is", "and",
    "due",
];

/// A slot's value and where it stood in the text.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Filled {
    /// The slot.
    pub slot: String,
    /// The words it was read from.
    pub text: String,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// What a person must still say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Question {
    /// The slot.
    pub slot: String,
    /// The question, for people.
    pub question: String,
}

/// Fills the slots of one template; the certain kinds first, free text last.
pub(crate) fn fill(template: &Template, text: &str, words: &[Token<'_>], confidence: f64) -> Parsed {
    let mut work = Work::new(template, text, words);
    work.quoted();
    work.emails();
    work.days();
    work.ids_by_context();
    work.sums();
    work.words_of_enums();
    work.numbers_by_context();
    work.ids_by_shape();
    work.bare_sums();
    work.bare_numbers();
    work.free_text();
    work.finish(confidence)
}

#[derive(Clone, PartialEq)]
enum State {
    Open,
    Done,
    Asked(String),
}

struct Work<'a> {
    template: &'a Template,
    text: &'a str,
    words: &'a [Token<'a>],
    numbers: Vec<Number>,
    states: Vec<State>,
    taken: Vec<(usize, usize)>,
    filled: Vec<Filled>,
    input: Json,
}

impl<'a> Work<'a> {
    fn new(template: &'a Template, text: &'a str, words: &'a [Token<'a>]) -> Self {
        Self {
            template,
            text,
            words,
            numbers: money::numbers(text),
            states: vec![State::Open; template.slots.len()],
            taken: Vec::new(),
            filled: Vec::new(),
            input: Json::Object(serde_json::Map::new()),
        }
    }

    fn open(&self, kinds: &[SlotType]) -> Vec<usize> {
        let slots = self.template.slots.iter().enumerate();
        slots
            .filter(|(i, s)| kinds.contains(&s.kind) && self.states[*i] == State::Open)
            .map(|(i, _)| i)
            .collect()
    }

    fn free(&self, start: usize, end: usize) -> bool {
        self.taken.iter().all(|(from, to)| end <= *from || start >= *to)
    }

    fn take(&mut self, i: usize, start: usize, end: usize, value: Json) {
        let slot = &self.template.slots[i];
        let pointer = match &slot.into {
            Into::Value(pointer) | Into::Money { amount: pointer, .. } => pointer.clone(),
        };
        set(&mut self.input, &pointer, value);
        self.mark(i, start, end);
        self.states[i] = State::Done;
    }

    fn mark(&mut self, i: usize, start: usize, end: usize) {
        let slot = self.template.slots[i].name.clone();
        self.taken.push((start, end));
        self.filled.push(Filled { slot, text: self.text[start..end].to_owned(), start, end });
    }

    /// One distinct value fills the slot; several are asked back.
    fn one_of(&mut self, i: usize, candidates: Vec<(usize, usize, Json)>) {
        let mut distinct: Vec<&Json> = Vec::new();
        for (_, _, value) in &candidates {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        if distinct.len() > 1 {
            let named: Vec<String> =
                candidates.iter().take(NAMED_MAX).map(|(s, e, _)| self.text[*s..*e].to_owned()).collect();
            let name = human(&self.template.slots[i].name);
            self.states[i] = State::Asked(format!("which {name} is meant: {}?", named.join(" or ")));
            self.taken.extend(candidates.iter().map(|(start, end, _)| (*start, *end)));
        } else if let Some((start, end, value)) = candidates.first().cloned() {
            self.take(i, start, end, value);
            self.taken.extend(candidates.iter().skip(1).map(|(start, end, _)| (*start, *end)));
        }
    }

    /// Text in double quotes belongs to the text slots, in order, when there are as many.
    fn quoted(&mut self) {
        let slots = self.open(&[SlotType::Text]);
        let mut quotes = Vec::new();
        let mut from: Option<usize> = None;
        for (at, c) in self.text.char_indices().filter(|(_, c)| matches!(c, '"' | '“' | '”' | '„')) {
            match from.take() {
                Some(start) => quotes.push((start, at)),
                None => from = Some(at + c.len_utf8()),
            }
        }
        if !slots.is_empty() && quotes.len() == slots.len() {
            for (i, (start, end)) in slots.into_iter().zip(quotes) {
                if !self.text[start..end].trim().is_empty() {
                    self.take(i, start, end, Json::from(self.text[start..end].trim()));
                }
            }
        }
    }

    fn emails(&mut self) {
        let found = scan::emails(self.text);
        for i in self.open(&[SlotType::Email]) {
            let free = found.iter().filter(|(s, e)| self.free(*s, *e));
            let candidates = free.map(|(s, e)| (*s, *e, Json::from(&self.text[*s..*e]))).collect();
            self.one_of(i, candidates);
        }
        self.taken.extend(found);
    }

    fn days(&mut self) {
        let found = scan::days(self.text);
        let slots = self.open(&[SlotType::Date]);
        for i in &slots {
            let mut free: Vec<_> = found.iter().filter(|day| self.free(day.start, day.end)).collect();
            if slots.len() > 1 {
                free.retain(|day| self.has_context(*i, day.start, day.end));
            }
            if let Some(unclear) = free.iter().find(|day| day.value.is_none()) {
                let shown = &self.text[unclear.start..unclear.end];
                self.states[*i] =
                    State::Asked(format!("`{shown}` is not one certain day: write it as 2026-11-20"));
                continue;
            }
            let candidates =
                free.into_iter().map(|day| (day.start, day.end, Json::from(day.value.clone()))).collect();
            self.one_of(*i, candidates);
        }
        self.taken.extend(found.iter().map(|day| (day.start, day.end)));
    }

    /// `order 1042`: the word before the place in an example, then the value; also `order 1042 and 1043`.
    fn ids_by_context(&mut self) {
        for i in self.open(&[SlotType::Id]) {
            let mut candidates: Vec<(usize, usize, Json)> = Vec::new();
            let mut last: Option<usize> = None;
            for at in 0..self.words.len() {
                let word = &self.words[at];
                let named = self.is_id(i, at) && self.before_matches(i, at);
                let joined = last.is_some_and(|last| self.joined(last, at)) && self.is_id(i, at);
                if named || joined {
                    candidates.push((word.start, word.end, self.id_value(i, word.text)));
                    last = Some(at);
                }
            }
            self.one_of(i, candidates);
        }
    }

    /// A value without its word, when nothing else in the text could be it.
    fn ids_by_shape(&mut self) {
        let slots = self.open(&[SlotType::Id]);
        for i in &slots {
            let candidates: Vec<_> = (0..self.words.len())
                .filter(|at| self.is_id(*i, *at))
                .map(|at| (self.words[at].start, self.words[at].end, self.id_value(*i, self.words[at].text)))
                .collect();
            if slots.len() > 1 && !candidates.is_empty() {
                let name = human(&self.template.slots[*i].name);
                self.states[*i] =
                    State::Asked(format!("what is the {name}? Write the word before the value"));
            } else {
                self.one_of(*i, candidates);
            }
        }
    }

    fn is_id(&self, i: usize, at: usize) -> bool {
        let word = &self.words[at];
        let fits = match &self.template.slots[i].pattern {
            Some(pattern) => pattern.is_match(word.text),
            None => {
                word.text.bytes().any(|b| b.is_ascii_digit())
                    && word.text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            }
        };
        fits && word.text.len() <= ID_BYTES_MAX
            && self.free(word.start, word.end)
            && !part_of_number(self.text, word)
            && !self.is_sum(word)
    }

    /// `25 EUR` is a sum, unless the currency stands before another number: `order 1042 EUR 25`.
    fn is_sum(&self, word: &Token<'_>) -> bool {
        let Some(at) = self.numbers.iter().position(|n| n.digits.0 < word.end && n.digits.1 > word.start)
        else {
            return currency_glued(word.text);
        };
        let number = &self.numbers[at];
        let shared = number.end > number.digits.1
            && self
                .numbers
                .get(at + 1)
                .is_some_and(|next| next.currency.is_some() && next.start < number.end);
        number.currency.is_some()
            && !(shared && self.template.slots.iter().any(|s| s.kind == SlotType::Money))
            || number.value.is_none() && word.text.starts_with('-')
    }

    fn id_value(&self, i: usize, text: &str) -> Json {
        match text.parse::<i64>() {
            Ok(number) if self.template.slots[i].as_number => Json::from(number),
            _ => Json::from(text),
        }
    }

    /// True when the word before, fillers skipped, is one that the examples or the slot's name put there.
    fn before_matches(&self, i: usize, at: usize) -> bool {
        let slot = &self.template.slots[i];
        let names: Vec<String> = name_words(&slot.name).iter().map(|word| words::stem(word)).collect();
        let mut before = self.words[..at].iter().rev().take(4);
        let filler = |word: &Token<'_>| FILLERS.contains(&word.text.to_lowercase().as_str());
        let Some(word) = before.find(|word| !filler(word) || slot.before.contains(&word.stem)) else {
            return false;
        };
        // A sentence that ended, or a comma, separates the word from the value.
        let between = &self.text[word.end..self.words[at].start];
        !between.contains([',', ';', '!', '?'])
            && (slot.before.contains(&word.stem) || names.contains(&word.stem))
    }

    fn joined(&self, last: usize, at: usize) -> bool {
        let between = self.text[self.words[last].end..self.words[at].start].trim();
        let money = self.template.slots.iter().any(|slot| slot.kind == SlotType::Money);
        match at - last {
            1 => matches!(between, "&" | "+" | "/") || between == "," && !money,
            2 => JOINERS.contains(&self.words[last + 1].text.to_lowercase().as_str()),
            _ => false,
        }
    }

    fn has_context(&self, i: usize, start: usize, end: usize) -> bool {
        let slot = &self.template.slots[i];
        let names: Vec<String> = name_words(&slot.name).iter().map(|word| words::stem(word)).collect();
        let before = self.words.iter().rev().find(|word| word.end <= start);
        let after = self.words.iter().find(|word| word.start >= end);
        before.is_some_and(|w| slot.before.contains(&w.stem) || names.contains(&w.stem))
            || after.is_some_and(|w| slot.after.contains(&w.stem) || names.contains(&w.stem))
    }

    /// Sums with a currency.
    fn sums(&mut self) {
        for i in self.open(&[SlotType::Money]) {
            let sums: Vec<Number> = self
                .numbers
                .iter()
                .filter(|n| n.currency.is_some() && self.free(n.digits.0, n.digits.1))
                .cloned()
                .collect();
            self.one_sum(i, &sums);
        }
    }

    /// A number without a currency: the amount is known, the currency must be said.
    fn bare_sums(&mut self) {
        for i in self.open(&[SlotType::Money]) {
            let bare: Vec<Number> =
                self.numbers.iter().filter(|n| self.free(n.digits.0, n.digits.1)).cloned().collect();
            self.one_sum(i, &bare);
        }
    }

    fn one_sum(&mut self, i: usize, sums: &[Number]) {
        let Some(first) = sums.first() else { return };
        let slot = &self.template.slots[i];
        let name = human(&slot.name);
        let differs = |n: &Number| n.value != first.value || n.currency != first.currency;
        let shown: Vec<&str> = sums.iter().take(NAMED_MAX).map(|n| &self.text[n.start..n.end]).collect();
        let asked = if sums.iter().any(differs) {
            Some(format!("which {name} is meant: {}?", shown.join(" or ")))
        } else if first.value.is_none_or(|value| value <= 0.0) {
            Some(format!("`{}` is not one certain {name}: write it as 25.00 EUR", shown[0]))
        } else {
            match &first.currency {
                Some(code) if !slot.values.is_empty() && !slot.values.contains(code) => {
                    Some(format!("{code} is not accepted for the {name}: use {}", slot.values.join(", ")))
                }
                _ => None,
            }
        };
        if let Some(asked) = asked {
            self.states[i] = State::Asked(asked);
            self.taken.extend(sums.iter().map(|n| (n.start, n.end)));
            return;
        }
        let only = if slot.values.len() == 1 { slot.values.first().cloned() } else { None };
        let code = first.currency.clone().or(only);
        let needs = matches!(slot.into, Into::Money { .. });
        let into_currency =
            if let Into::Money { currency, .. } = &slot.into { Some(currency.clone()) } else { None };
        let value = number_json(
            first.value.unwrap_or_default(),
            &self.text[first.digits.0..first.digits.1],
            slot.as_text,
        );
        self.take(i, first.start, first.end, value);
        self.taken.extend(sums.iter().skip(1).map(|n| (n.start, n.end)));
        match (into_currency, code) {
            (Some(pointer), Some(code)) => set(&mut self.input, &pointer, Json::from(code)),
            _ if needs => {
                let shown = &self.text[first.digits.0..first.digits.1];
                self.states[i] = State::Asked(format!("in which currency is the {name} {shown}?"));
            }
            _ => {}
        }
    }

    fn words_of_enums(&mut self) {
        for i in self.open(&[SlotType::Enum, SlotType::Currency]) {
            let slot = &self.template.slots[i];
            let mut candidates = Vec::new();
            for word in self.words.iter().filter(|word| self.free(word.start, word.end)) {
                let value = if slot.kind == SlotType::Currency {
                    let code = money::currency(word.text)
                        .filter(|_| word.text.len() > 3 || word.text.bytes().all(|b| b.is_ascii_uppercase()));
                    code.filter(|code| slot.values.is_empty() || slot.values.iter().any(|v| v == code))
                        .map(str::to_owned)
                } else {
                    slot.values.iter().find(|value| phrase_at(self.text, word.start, value)).cloned()
                };
                if let Some(value) = value {
                    let end = if slot.kind == SlotType::Enum { word.start + value.len() } else { word.end };
                    candidates.push((word.start, end, Json::from(value)));
                }
            }
            self.one_of(i, candidates);
        }
    }

    fn numbers_by_context(&mut self) {
        for i in self.open(&[SlotType::Integer, SlotType::Number]) {
            let numbers = self.loose_numbers(i);
            let candidates =
                numbers.into_iter().filter(|(start, end, _)| self.has_context(i, *start, *end)).collect();
            self.one_of(i, candidates);
        }
    }

    fn bare_numbers(&mut self) {
        for i in self.open(&[SlotType::Integer, SlotType::Number]) {
            let candidates = self.loose_numbers(i);
            self.one_of(i, candidates);
        }
    }

    fn loose_numbers(&self, i: usize) -> Vec<(usize, usize, Json)> {
        let slot = &self.template.slots[i];
        let whole = slot.kind == SlotType::Integer;
        let fits = |n: &&Number| {
            n.currency.is_none()
                && self.free(n.digits.0, n.digits.1)
                && n.value.is_some_and(|v| !whole || v.fract() == 0.0)
                && slot.pattern.as_ref().is_none_or(|p| p.is_match(&self.text[n.digits.0..n.digits.1]))
        };
        let value = |n: &Number| {
            number_json(n.value.unwrap_or_default(), &self.text[n.digits.0..n.digits.1], slot.as_text)
        };
        self.numbers.iter().filter(fits).map(|n| (n.digits.0, n.digits.1, value(n))).collect()
    }

    /// The one text slot that is still open gets the longest stretch that nothing else has claimed.
    fn free_text(&mut self) {
        let slots = self.open(&[SlotType::Text]);
        let [i] = slots[..] else { return };
        if let Some((start, end)) = self.longest_gap() {
            self.take(i, start, end, Json::from(&self.text[start..end]));
        }
    }

    fn longest_gap(&self) -> Option<(usize, usize)> {
        let stems = self.template.stems();
        let mut seen: Vec<&str> = Vec::new();
        let mut marks = self.taken.clone();
        let last_taken = self.taken.iter().map(|(_, end)| *end).max().unwrap_or(0);
        for word in self.words {
            // A word of the examples counts once, and not inside the words that follow the last value.
            let fresh = !seen.contains(&word.stem.as_str())
                && (word.start < last_taken || seen.is_empty() || last_taken == 0);
            if stems.contains(word.stem.as_str()) && fresh {
                seen.push(&word.stem);
                marks.push((word.start, word.end));
            }
        }
        marks.sort_unstable();
        marks.push((self.text.len(), self.text.len()));
        let (mut best, mut best_count, mut from) = (None, 0, 0);
        for (index, (start, end)) in marks.into_iter().enumerate() {
            if start > from {
                let gap = self.trim(from, start);
                let inside = self.words.iter().filter(|w| w.start >= gap.0 && w.end <= gap.1);
                let content =
                    inside.filter(|w| says_something(w) && !stems.contains(w.stem.as_str())).count();
                // What stands before the request is a greeting unless a mark ends it.
                let leading = index == 0
                    && !(self.text[..start].trim_end().ends_with([',', '.', ';', ':', '!']) && content >= 2);
                if content > 0 && content >= best_count && !leading {
                    (best, best_count) = (Some(gap), content);
                }
            }
            from = from.max(end);
        }
        best
    }

    /// Cuts white space, marks, and words that only lead over.
    fn trim(&self, start: usize, end: usize) -> (usize, usize) {
        let edge = |c: char| !c.is_alphanumeric() && !matches!(c, '(' | ')' | '%' | '!' | '?');
        let tail = self.text[start..end].trim_end_matches(edge);
        let mut from = start + (tail.len() - tail.trim_start_matches(edge).len());
        let end = start + tail.len();
        for word in self.words.iter().filter(|word| word.start >= start && word.end <= end) {
            let lead = CONNECTIVES.contains(&word.text.to_lowercase().as_str());
            let alone = word.start == from && lead;
            if !alone {
                break;
            }
            let rest = &self.text[word.end..end];
            from = word.end + (rest.len() - rest.trim_start_matches(edge).len());
        }
        (from, end.max(from))
    }

    fn finish(self, confidence: f64) -> Parsed {
        let Self { template, states, mut filled, input, .. } = self;
        let mut missing = Vec::new();
        for (slot, state) in template.slots.iter().zip(states) {
            let question = match state {
                State::Done => continue,
                State::Open if !slot.required => continue,
                State::Open => slot.question.clone().unwrap_or_else(|| question(slot)),
                State::Asked(question) => question,
            };
            missing.push(Question { slot: slot.name.clone(), question });
        }
        filled.sort_by_key(|filled| filled.start);
        let workflow = template.workflow.clone();
        if missing.is_empty() {
            Parsed::Match { workflow, input, slots: filled, confidence }
        } else {
            Parsed::Missing { workflow, missing, input, slots: filled }
        }
    }
}

fn says_something(word: &Token<'_>) -> bool {
    let lower = word.text.to_lowercase();
    !words::is_stop(word.text) && !FILLERS.contains(&lower.as_str()) && !JOINERS.contains(&lower.as_str())
}

fn question(slot: &Slot) -> String {
    let name = human(&slot.name);
    match slot.kind {
        SlotType::Money => format!("what is the {name}, with its currency? For example 25.00 EUR"),
        SlotType::Date => format!("what is the {name}? Write the day as 2026-11-20"),
        SlotType::Enum => format!("what is the {name}? One of {}", slot.values.join(", ")),
        SlotType::Currency => format!("what is the {name}? For example EUR"),
        SlotType::Email => format!("what is the {name}? Write an e-mail address"),
        SlotType::Number | SlotType::Integer | SlotType::Id | SlotType::Text => {
            format!("what is the {name}?")
        }
    }
}

/// `orderId` is `order id`.
fn human(name: &str) -> String {
    name_words(name).join(" ")
}

fn name_words(name: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for c in name.chars() {
        if (c.is_uppercase() || matches!(c, '_' | '-')) && found.last().is_some_and(|word| !word.is_empty()) {
            found.push(String::new());
        }
        if let Some(word) = found.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    found
}

fn number_json(value: f64, digits: &str, as_text: bool) -> Json {
    if as_text {
        return Json::from(digits);
    }
    #[expect(clippy::cast_possible_truncation, reason = "amounts are at most 10^12 and this one is whole")]
    if value.fract() == 0.0 { Json::from(value as i64) } else { Json::from(value) }
}

/// `25` of `25.00` is not a word of its own.
fn part_of_number(text: &str, word: &Token<'_>) -> bool {
    let before = &text.as_bytes()[..word.start];
    let after = &text.as_bytes()[word.end..];
    let digit_before = matches!(before, [.., d, b'.' | b','] if d.is_ascii_digit());
    let digit_after = matches!(after, [b'.' | b',', d, ..] if d.is_ascii_digit());
    (digit_before || digit_after) && word.text.bytes().all(|b| b.is_ascii_digit())
}

/// `25EUR` and `EUR25` are sums.
fn currency_glued(word: &str) -> bool {
    let letters: String = word.chars().filter(|c| c.is_alphabetic()).collect();
    let glued = word.starts_with(&letters) || word.ends_with(&letters);
    glued && letters.len() == 3 && money::currency(&letters).is_some()
}

fn phrase_at(text: &str, start: usize, phrase: &str) -> bool {
    let Some(part) = text.get(start..start + phrase.len()) else { return false };
    let ends = !text[start + phrase.len()..].chars().next().is_some_and(char::is_alphanumeric);
    ends && part.to_lowercase() == phrase.to_lowercase()
}

/// Sets a member by JSON Pointer, making the objects on the way.
fn set(input: &mut Json, pointer: &str, value: Json) {
    let mut at = input;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        if !at.is_object() {
            *at = Json::Object(serde_json::Map::new());
        }
        at = &mut at[name];
    }
    *at = value;
}
