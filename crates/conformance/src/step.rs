//! The vocabulary: what a line of a scenario means.
//!
//! The specification's kit uses the first part. Ours adds actions, time, crashes, signals, events, approvals and refusals.

use std::time::Duration;

use model::Value;
use serde_json::Value as Json;

/// One step of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// `a workflow with definition:` The last one is executed; earlier ones are published before it.
    Workflow(String),
    /// `an action with definition:`
    Action(String),
    /// `[given] the workflow input is:`
    Input(Json),
    /// `[given] event is published:` A CloudEvent, to whoever listens.
    Event(Json),
    /// `the workflow is published`: without an execution.
    Publish,
    /// `the workflow is executed`
    Execute,
    /// `the clock advances <ISO 8601 duration>`
    Advance(Duration),
    /// `the runtime restarts`
    Restart,
    /// `signal <name> is sent`, with data or `with data:`
    Signal(String, Json),
    /// `update <name> is sent`, with data or `with data:` The scenario goes on once it is answered or refused.
    Update(String, Json),
    /// `the description of the pet store changes`: from here on it is served as another document.
    ChangeDescription,
    /// `the approval is granted`, `the approval is granted with:` what its form is filled in with, `the approval is denied`
    Decide(bool, Option<Json>),
    /// `the workflow is cancelled`
    Cancel,
    /// What must be so.
    Then(Then),
}

/// What must be so.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// `the workflow should complete`
    Complete,
    /// `the workflow should complete with output:`
    CompleteWith(Json),
    /// `the workflow should fault`
    Fault,
    /// `the workflow should fault with error:` The members that are written.
    FaultWith(Json),
    /// `the workflow should be cancelled`
    Cancelled,
    /// `the workflow should wait`
    Wait,
    /// `the answer should be:` To the last update.
    Answer(Json),
    /// `the update should be refused with <code>`
    NoAnswer(String),
    /// `the workflow should be refused with <code>`: at publish.
    Refused(String),
    /// `the workflow output should have properties 'a', 'b.c'`
    Properties(Vec<String>),
    /// `the workflow output should have a 'a.b' property with value:`
    Property(String, Json),
    /// `the workflow output should have a 'a.b' property containing <n> items`
    Items(String, usize),
    /// `<task> should run first`
    First(String),
    /// `<task> should run last`
    Last(String),
    /// `<task> should run after <task>`
    After(String, String),
    /// `<task> should run <n> times`
    Times(String, usize),
    /// `<task> should not run`
    NotRun(String),
}

/// The fixed texts, to name the nearest.
const TEXTS: &[&str] = &[
    "a workflow with definition:",
    "an action with definition:",
    "the workflow input is:",
    "event is published:",
    "the workflow is published",
    "the workflow is executed",
    "the workflow is cancelled",
    "the runtime restarts",
    "the description of the pet store changes",
    "the approval is granted",
    "the approval is granted with:",
    "the approval is denied",
    "the workflow should complete",
    "the workflow should complete with output:",
    "the workflow should fault",
    "the workflow should fault with error:",
    "the workflow should be cancelled",
    "the workflow should wait",
    "the answer should be:",
];

impl Step {
    /// Reads a step; the error says what is wrong and what is near.
    pub fn parse(text: &str, doc: Option<String>) -> Result<Step, String> {
        let text = text.trim();
        let bare = text.strip_prefix("given ").unwrap_or(text);
        let document = || doc.clone().ok_or_else(|| format!("`{text}` needs a doc string"));
        let data = || data(&document()?).map_err(|problem| format!("`{text}`: {problem}"));
        Ok(match bare {
            "a workflow with definition:" => Step::Workflow(document()?),
            "an action with definition:" => Step::Action(document()?),
            "the workflow input is:" => Step::Input(data()?),
            "event is published:" => Step::Event(data()?),
            "the workflow is published" => Step::Publish,
            "the workflow is executed" => Step::Execute,
            "the workflow is cancelled" => Step::Cancel,
            "the runtime restarts" => Step::Restart,
            "the description of the pet store changes" => Step::ChangeDescription,
            "the approval is granted" => Step::Decide(true, None),
            "the approval is granted with:" => Step::Decide(true, Some(data()?)),
            "the approval is denied" => Step::Decide(false, None),
            "the workflow should complete" => Step::Then(Then::Complete),
            "the workflow should complete with output:" => Step::Then(Then::CompleteWith(data()?)),
            "the workflow should fault" => Step::Then(Then::Fault),
            "the workflow should fault with error:" => Step::Then(Then::FaultWith(data()?)),
            "the workflow should be cancelled" => Step::Then(Then::Cancelled),
            "the answer should be:" => Step::Then(Then::Answer(data()?)),
            "the workflow should wait" => Step::Then(Then::Wait),
            _ => return open_step(bare, &data),
        })
    }
}

/// A step with something of the author's in its text.
fn open_step(text: &str, data: &dyn Fn() -> Result<Json, String>) -> Result<Step, String> {
    if let Some(time) = text.strip_prefix("the clock advances ") {
        return duration(time).map(Step::Advance);
    }
    if let Some(rest) = text.strip_prefix("signal ") {
        if let Some(name) = rest.strip_suffix(" is sent with data:") {
            return Ok(Step::Signal(name.to_owned(), data()?));
        }
        if let Some(name) = rest.strip_suffix(" is sent") {
            return Ok(Step::Signal(name.to_owned(), Json::Null));
        }
    }
    if let Some(rest) = text.strip_prefix("update ") {
        if let Some(name) = rest.strip_suffix(" is sent with data:") {
            return Ok(Step::Update(name.to_owned(), data()?));
        }
        if let Some(name) = rest.strip_suffix(" is sent") {
            return Ok(Step::Update(name.to_owned(), Json::Null));
        }
    }
    if let Some(code) = text.strip_prefix("the update should be refused with ") {
        return Ok(Step::Then(Then::NoAnswer(code.to_owned())));
    }
    if let Some(code) = text.strip_prefix("the workflow should be refused with ") {
        return Ok(Step::Then(Then::Refused(code.to_owned())));
    }
    if let Some(names) = text.strip_prefix("the workflow output should have properties ") {
        let names = names.split(',').map(|name| quoted(name.trim())).collect::<Result<_, _>>()?;
        return Ok(Step::Then(Then::Properties(names)));
    }
    if let Some(rest) = text.strip_prefix("the workflow output should have a ") {
        let (name, rest) = rest.split_once(" property ").ok_or_else(|| unknown(text))?;
        let name = quoted(name)?;
        if rest == "with value:" {
            return Ok(Step::Then(Then::Property(name, data()?)));
        }
        let count = rest.strip_prefix("containing ").and_then(|rest| rest.strip_suffix(" items"));
        let count = count.and_then(|count| count.parse().ok()).ok_or_else(|| unknown(text))?;
        return Ok(Step::Then(Then::Items(name, count)));
    }
    let Some((task, how)) = text.split_once(" should ") else { return Err(unknown(text)) };
    let task = task.to_owned();
    if let Some(other) = how.strip_prefix("run after ") {
        return Ok(Step::Then(Then::After(task, other.to_owned())));
    }
    let times = how.strip_prefix("run ").and_then(|how| how.strip_suffix(" times"));
    if let Some(times) = times.and_then(|times| times.parse().ok()) {
        return Ok(Step::Then(Then::Times(task, times)));
    }
    match how {
        "run first" => Ok(Step::Then(Then::First(task))),
        "run last" => Ok(Step::Then(Then::Last(task))),
        "not run" => Ok(Step::Then(Then::NotRun(task))),
        _ => Err(unknown(text)),
    }
}

fn data(text: &str) -> Result<Json, String> {
    dsl::data::read(text)
        .map(|value| value.to_json())
        .map_err(|problems| problems.first().map_or_else(String::new, |first| first.message.clone()))
}

fn duration(text: &str) -> Result<Duration, String> {
    dsl::duration::of(&Value::string(text)).map_err(|problem| format!("`{text}`: {problem}"))
}

fn quoted(text: &str) -> Result<String, String> {
    let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    inner.map(str::to_owned).ok_or_else(|| format!("`{text}` must stand in single quotes"))
}

fn unknown(text: &str) -> String {
    let near = TEXTS.iter().max_by_key(|known| (shared(known, text), std::cmp::Reverse(known.len())));
    let near = near.filter(|known| shared(known, text) * 2 > text.len());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("`{text}` is not a step that is known here{hint}")
}

/// Bytes that two texts have in common at their beginning.
fn shared(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}
