//! What a published workflow says about the sentences that ask for it.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde::Serialize;
use serde_json::Value as Json;

use crate::intent::words;

/// Example sentences of one workflow at the most.
const INTENTS_MAX: usize = 50;
/// Slots of one workflow at the most.
const SLOTS_MAX: usize = 32;
/// Longest example sentence, in bytes.
const INTENT_BYTES_MAX: usize = 500;
/// Largest compiled pattern of a slot, in bytes.
const PATTERN_SIZE_MAX: usize = 256 * 1024;

/// A published workflow version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct WorkflowRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// How one workflow is asked for.
#[derive(Clone, Debug)]
pub struct Template {
    /// Which workflow.
    pub workflow: WorkflowRef,
    /// Its title, for people.
    pub title: String,
    /// Example sentences with `{slot}` places.
    pub intents: Vec<String>,
    /// What the sentences fill.
    pub slots: Vec<Slot>,
    /// Who answers for the workflow.
    pub owner: String,
    pub(crate) sentences: Vec<Sentence>,
}

/// One example, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Sentence {
    pub(crate) stems: BTreeSet<String>,
}

/// One typed place.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its name in the examples.
    pub name: String,
    /// What it holds.
    pub kind: SlotType,
    /// What the whole value must look like.
    pub pattern: Option<Regex>,
    /// The values of an enum, or the currencies that are accepted.
    pub values: Vec<String>,
    /// Whether the workflow cannot do without.
    pub required: bool,
    /// Where the value goes.
    pub into: Into,
    /// What to ask when it is missing; made from the name when not given.
    pub question: Option<String>,
    /// True when the input's schema wants text there.
    pub(crate) as_text: bool,
    /// True when the input's schema wants a number there.
    pub(crate) as_number: bool,
    /// Stems of words that stand right before or after the place in an example.
    pub(crate) before: BTreeSet<String>,
    pub(crate) after: BTreeSet<String>,
}

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotType {
    /// An amount with its currency.
    Money,
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// A day, as `2026-11-20`.
    Date,
    /// A name of a thing: letters and digits.
    Id,
    /// An e-mail address.
    Email,
    /// Whatever is left.
    Text,
    /// A currency code.
    Currency,
    /// One of `values`.
    Enum,
}

/// Where a value goes: JSON Pointers into the input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Into {
    /// The value.
    Value(String),
    /// An amount and, apart from it, its currency.
    Money {
        /// The number.
        amount: String,
        /// The ISO 4217 code.
        currency: String,
    },
}

impl Template {
    /// Reads `metadata.omnihub` (`owner`, `intents`, `slots`) of a published workflow; an error says what is wrong.
    pub fn from_metadata(
        namespace: &str,
        name: &str,
        version: &str,
        title: &str,
        metadata: &Json,
        input_schema: Option<&Json>,
    ) -> Result<Self, String> {
        let mut slots = match &metadata["slots"] {
            Json::Null => Vec::new(),
            Json::Object(map) => map
                .iter()
                .map(|(name, slot)| read_slot(name, slot, input_schema))
                .collect::<Result<_, _>>()?,
            Json::Array(items) => items
                .iter()
                .map(|slot| {
                    let name = slot["name"].as_str().ok_or("a slot needs a `name`")?;
                    read_slot(name, slot, input_schema)
                })
                .collect::<Result<Vec<_>, String>>()?,
            _ => return Err("`slots` must be a list or an object".to_owned()),
        };
        let intents: Vec<String> = match &metadata["intents"] {
            Json::Null => Vec::new(),
            Json::Array(items) => items
                .iter()
                .map(|item| {
                    item.as_str().map(str::to_owned).ok_or("`intents` must be a list of sentences".to_owned())
                })
                .collect::<Result<_, _>>()?,
            _ => return Err("`intents` must be a list of sentences".to_owned()),
        };
        check_sizes(&intents, &slots)?;
        let sentences =
            intents.iter().map(|intent| take_apart(intent, &mut slots)).collect::<Result<_, _>>()?;
        Ok(Self {
            workflow: WorkflowRef {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                version: version.to_owned(),
            },
            title: title.to_owned(),
            intents,
            slots,
            owner: metadata["owner"].as_str().unwrap_or_default().to_owned(),
            sentences,
        })
    }

    pub(crate) fn stems(&self) -> BTreeSet<&str> {
        self.sentences.iter().flat_map(|sentence| sentence.stems.iter().map(String::as_str)).collect()
    }

    /// True when a negation stands before the first word that the examples share with the text.
    pub(crate) fn negated(&self, words: &[words::Token<'_>]) -> bool {
        let stems = self.stems();
        let first = words.iter().position(|word| stems.contains(word.stem.as_str())).unwrap_or(words.len());
        words[..first].iter().any(|word| words::is_negation(word.text))
    }
}

fn check_sizes(intents: &[String], slots: &[Slot]) -> Result<(), String> {
    if intents.len() > INTENTS_MAX || slots.len() > SLOTS_MAX {
        return Err(format!("at most {INTENTS_MAX} intents and {SLOTS_MAX} slots"));
    }
    match intents.iter().find(|intent| intent.len() > INTENT_BYTES_MAX) {
        Some(long) => Err(format!(
            "the intent `{}…` is longer than {INTENT_BYTES_MAX} bytes",
            long.chars().take(30).collect::<String>()
        )),
        None => Ok(()),
    }
}

fn read_slot(name: &str, json: &Json, schema: Option<&Json>) -> Result<Slot, String> {
    let kind = match json["type"].as_str().or(json.as_str()).unwrap_or("text") {
        "money" => SlotType::Money,
        "number" => SlotType::Number,
        "integer" => SlotType::Integer,
        "date" => SlotType::Date,
        "id" => SlotType::Id,
        "email" => SlotType::Email,
        "text" => SlotType::Text,
        "currency" => SlotType::Currency,
        "enum" => SlotType::Enum,
        other => {
            return Err(format!(
                "the slot `{name}` has the type `{other}`: use money, number, integer, date, id, email, text, currency or enum"
            ));
        }
    };
    let pattern = match &json["pattern"] {
        Json::Null => None,
        Json::String(text) => {
            let whole = format!("^(?:{text})$");
            let built = regex::RegexBuilder::new(&whole).size_limit(PATTERN_SIZE_MAX).build();
            Some(built.map_err(|_| format!("the pattern of the slot `{name}` is not a regular expression"))?)
        }
        _ => return Err(format!("the pattern of the slot `{name}` must be text")),
    };
    let values: Vec<String> =
        json["values"].as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect();
    if kind == SlotType::Enum && values.is_empty() {
        return Err(format!("the slot `{name}` is an enum without `values`"));
    }
    let into = read_into(name, kind, &json["into"], schema)?;
    let target = match &into {
        Into::Value(pointer) | Into::Money { amount: pointer, .. } => pointer,
    };
    let types = schema
        .and_then(|schema| schema_at(schema, target))
        .map(|s| type_names(&s["type"]))
        .unwrap_or_default();
    let required = match &json["required"] {
        Json::Null => schema.is_none_or(|schema| required_by(schema, target)),
        Json::Bool(b) => *b,
        _ => return Err(format!("`required` of the slot `{name}` must be true or false")),
    };
    let number = |t: &String| t == "number" || t == "integer";
    Ok(Slot {
        name: name.to_owned(),
        kind,
        pattern,
        values,
        required,
        into,
        question: json["question"].as_str().map(str::to_owned),
        as_text: types.iter().any(|t| t == "string") && !types.iter().any(number),
        as_number: types.iter().any(number),
        before: BTreeSet::new(),
        after: BTreeSet::new(),
    })
}

fn read_into(name: &str, kind: SlotType, json: &Json, schema: Option<&Json>) -> Result<Into, String> {
    let pointer = |text: &str| {
        if text.starts_with('/') && text.len() <= 256 {
            Ok(text.to_owned())
        } else {
            Err(format!("`into` of the slot `{name}` must be a JSON Pointer such as `/{name}`"))
        }
    };
    match json {
        Json::Null
            if kind == SlotType::Money && schema.is_some_and(|s| !s["properties"]["currency"].is_null()) =>
        {
            Ok(Into::Money { amount: format!("/{name}"), currency: "/currency".to_owned() })
        }
        Json::Null => Ok(Into::Value(format!("/{name}"))),
        Json::String(text) => pointer(text).map(Into::Value),
        Json::Object(_) if kind == SlotType::Money => {
            match (json["amount"].as_str(), json["currency"].as_str()) {
                (Some(amount), Some(currency)) => {
                    Ok(Into::Money { amount: pointer(amount)?, currency: pointer(currency)? })
                }
                _ => Err(format!("`into` of the slot `{name}` needs `amount` and `currency`")),
            }
        }
        _ => Err(format!(
            "`into` of the slot `{name}` must be a JSON Pointer, or of money `amount` and `currency`"
        )),
    }
}

fn schema_at<'a>(schema: &'a Json, pointer: &str) -> Option<&'a Json> {
    pointer.split('/').skip(1).try_fold(schema, |schema, name| schema.get("properties")?.get(name))
}

fn required_by(schema: &Json, pointer: &str) -> bool {
    let mut at = schema;
    for name in pointer.split('/').skip(1) {
        if !at["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name)) {
            return false;
        }
        at = &at["properties"][name];
    }
    true
}

fn type_names(json: &Json) -> Vec<String> {
    match json {
        Json::String(one) => vec![one.clone()],
        Json::Array(several) => several.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The example's words; each slot learns the words around its places.
fn take_apart(intent: &str, slots: &mut [Slot]) -> Result<Sentence, String> {
    let mut stems = BTreeSet::new();
    let mut before: Option<String> = None;
    let mut rest = intent;
    let mut after: Option<usize> = None;
    let index: BTreeMap<String, usize> =
        slots.iter().enumerate().map(|(i, slot)| (slot.name.clone(), i)).collect();
    loop {
        let (text, slot, next) = match rest.split_once('{') {
            Some((text, tail)) => {
                let (slot, next) =
                    tail.split_once('}').ok_or_else(|| format!("`{intent}` has a `{{` without `}}`"))?;
                (text, Some(slot.trim()), next)
            }
            None => (rest, None, ""),
        };
        let tokens = words::tokens(text);
        if let (Some(i), Some(first)) = (after.take(), tokens.first()) {
            // Only a word right behind the place belongs to it.
            if !text.trim_start().starts_with([',', '.', ';', ':']) && !words::is_stop(first.text) {
                slots[i].after.insert(first.stem.clone());
            }
        }
        if let Some(last) = tokens.last() {
            before = Some(last.stem.clone());
        }
        stems.extend(tokens.iter().filter(|t| !words::is_stop(t.text)).map(|t| t.stem.clone()));
        let Some(slot) = slot else { break };
        let i = *index
            .get(slot)
            .ok_or_else(|| format!("`{intent}` names the slot `{slot}`, which is not in `slots`"))?;
        if let Some(word) = before.take() {
            slots[i].before.insert(word);
        }
        after = Some(i);
        rest = next;
    }
    Ok(Sentence { stems })
}
