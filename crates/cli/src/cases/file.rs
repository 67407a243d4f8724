//! The shape of a file of cases. Unknown words are refused: a typing error must not make a test weaker.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// Cases of one file at the most.
const CASES_MAX: usize = 1_000;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Path of the workflow beside this file, or the document itself.
    pub workflow: Json,
    /// Paths of the actions that it reaches, or the documents themselves.
    #[serde(default)]
    pub actions: Vec<Json>,
    /// Paths of the descriptions of APIs, by the address that the workflow names.
    #[serde(default)]
    pub apis: BTreeMap<String, String>,
    /// What `latest` of other workflows means, by `namespace/name`.
    #[serde(default)]
    pub latest: BTreeMap<String, String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One run and what must come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What is said about it.
    pub name: String,
    /// The input; an empty object when absent.
    pub input: Option<Json>,
    /// When it begins: RFC 3339; the first of January 2026 when absent.
    pub at: Option<String>,
    /// What the outside answers; the first entry that fits and is not used up counts.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// What people decide; an effect that no entry fits is allowed without asking.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// Signals and events that come.
    #[serde(default)]
    pub arrives: Vec<Arrival>,
    /// What must come of it.
    pub expect: Expected,
}

/// Which effects an entry is about; every word narrows it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct About {
    /// The operation: `refund-create:1.0.0`, `http:POST`, `run:shell`, `workflow:shop/refund:1.0.0`.
    pub effect: Option<String>,
    /// The task: its name, or its JSON Pointer.
    pub task: Option<String>,
    /// Members that the arguments must have.
    pub arguments: Option<Map<String, Json>>,
}

/// What the outside answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub effect: Option<String>,
    pub task: Option<String>,
    pub arguments: Option<Map<String, Json>>,
    /// How often it is given; for ever when absent.
    pub times: Option<u32>,
    /// How long it takes; no time when absent.
    pub takes: Option<String>,
    /// It is done, and this is the task's raw output.
    #[serde(default, deserialize_with = "given")]
    pub output: Option<Json>,
    /// It said no.
    pub error: Option<Refusal>,
    /// Nothing came back: it may have happened.
    #[serde(default)]
    pub lost: bool,
}

/// How the outside says no.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    /// Like those of HTTP.
    pub status: u16,
    /// `communication` when absent.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub title: Option<String>,
    pub detail: Option<String>,
    /// Whether the same request may succeed later; by the status when absent (408, 425, 429, 503).
    pub transient: Option<bool>,
}

/// What people decide.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approval {
    pub effect: Option<String>,
    pub task: Option<String>,
    pub arguments: Option<Map<String, Json>>,
    /// What they say.
    pub decision: Decision,
    /// How long it takes them; no time when absent.
    pub takes: Option<String>,
    /// Who says it, `user:somebody` when absent.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What they fill in, when the workflow asks for something.
    pub answer: Option<Json>,
}

/// The four ways in which a decision goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    /// Somebody says yes.
    Approved,
    /// Somebody says no.
    Rejected,
    /// Nobody says anything in time.
    Expired,
    /// Policy says no, and nobody is asked.
    Denied,
}

/// Something that comes from outside by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arrival {
    /// How long after the beginning.
    pub after: Option<String>,
    /// A signal of this name.
    pub signal: Option<String>,
    /// What the signal carries.
    #[serde(default)]
    pub data: Json,
    /// An event with its attributes and its data.
    pub event: Option<Map<String, Json>>,
}

/// What must come of a run. What is not named may be anything, but something must be named.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// `completed`, `faulted`, `cancelled`, `waiting` or `suspended`.
    pub status: Option<String>,
    /// `verified`, `failed` or `unknown`.
    pub outcome: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub output: Option<Json>,
    /// Members that the error has.
    pub error: Option<Map<String, Json>>,
    /// Names of the tasks that ran, in order.
    pub ran: Option<Vec<String>>,
    /// Names of tasks that must not run.
    #[serde(default, rename = "notRun")]
    pub not_run: Vec<String>,
    /// Every effect that was asked for, in order: its operation, or an object.
    pub effects: Option<Vec<ExpectedEffect>>,
    /// Members of every event that was published, in order.
    pub published: Option<Vec<Map<String, Json>>>,
    /// How long it took from beginning to end.
    pub took: Option<String>,
}

/// An effect that must have been asked for.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Json")]
pub(crate) struct ExpectedEffect(pub EffectParts);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EffectParts {
    pub effect: String,
    pub task: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub arguments: Option<Json>,
    pub outcome: Option<String>,
    pub attempts: Option<usize>,
    pub undone: Option<bool>,
}

impl TryFrom<Json> for ExpectedEffect {
    type Error = String;
    fn try_from(json: Json) -> Result<Self, String> {
        match json {
            Json::String(effect) => Ok(Self(EffectParts { effect, ..EffectParts::default() })),
            other => serde_json::from_value(other).map(Self).map_err(|error| format!("an effect: {error}")),
        }
    }
}

/// `null` that is written is a value, not nothing.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}

impl File {
    /// Reads a file of cases; the error says what is wrong and what to write.
    pub(crate) fn read(path: &Path, text: &str) -> Result<Self, String> {
        let problems = |problems: Vec<dsl::Diagnostic>| match problems.first() {
            Some(first) => format!("{}:{}: {}", first.line, first.column, first.message),
            None => "it cannot be read".to_owned(),
        };
        let json = dsl::data::read(text).map_err(problems)?.to_json();
        let file: Self = serde_path_to_error::deserialize(json)
            .map_err(|error| format!("`{}`: {}", error.path(), error.inner()))?;
        if file.cases.is_empty() || file.cases.len() > CASES_MAX {
            return Err(format!("{} has {} cases: write 1 to {CASES_MAX}", path.display(), file.cases.len()));
        }
        for (position, case) in file.cases.iter().enumerate() {
            let known = |other: &Case| other.name == case.name;
            if file.cases.iter().take(position).any(known) {
                return Err(format!("two cases are called `{}`", case.name));
            }
            case.check().map_err(|why| format!("case `{}`: {why}", case.name))?;
        }
        Ok(file)
    }
}

impl Case {
    /// What cannot fail proves nothing, and what contradicts itself cannot be kept.
    fn check(&self) -> Result<(), String> {
        let expect = &self.expect;
        let something = expect.status.is_some()
            || expect.outcome.is_some()
            || expect.output.is_some()
            || expect.error.is_some()
            || expect.ran.is_some()
            || !expect.not_run.is_empty()
            || expect.effects.is_some()
            || expect.published.is_some();
        if !something {
            return Err(
                "`expect` names nothing that could fail: name at least `status` or `output`".to_owned()
            );
        }
        if expect.output.is_some() && expect.error.is_some() {
            return Err("`expect` has an `output` and an `error`: keep one of them".to_owned());
        }
        for answer in &self.answers {
            let ways = [answer.output.is_some(), answer.error.is_some(), answer.lost];
            if ways.iter().filter(|way| **way).count() != 1 {
                return Err("an answer has exactly one of `output`, `error` and `lost: true`".to_owned());
            }
            if answer.effect.is_none() && answer.task.is_none() {
                return Err("an answer needs `effect` or `task`".to_owned());
            }
        }
        if self.approvals.iter().any(|approval| approval.effect.is_none() && approval.task.is_none()) {
            return Err("an approval needs `effect` or `task`".to_owned());
        }
        if self.arrives.iter().any(|arrival| arrival.signal.is_some() == arrival.event.is_some()) {
            return Err("what arrives is either a `signal` or an `event`".to_owned());
        }
        Ok(())
    }
}

impl Answer {
    pub(super) fn about(&self) -> About {
        About { effect: self.effect.clone(), task: self.task.clone(), arguments: self.arguments.clone() }
    }
}

impl Approval {
    pub(super) fn about(&self) -> About {
        About { effect: self.effect.clone(), task: self.task.clone(), arguments: self.arguments.clone() }
    }
}
