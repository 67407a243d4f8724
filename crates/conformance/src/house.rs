//! What a scenario needs of a running OmniHub, whichever way it runs.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;

/// A running OmniHub.
#[async_trait]
pub trait House: Send {
    /// Publishes an action.
    async fn publish_action(&mut self, text: &str) -> Result<(), Refused>;
    /// Publishes a workflow.
    async fn publish(&mut self, text: &str) -> Result<(), Refused>;
    /// Starts an execution under this id; the same id again is the same execution.
    async fn start(&mut self, workflow: &Workflow, id: &str, input: &Json) -> Result<(), Refused>;
    /// How an execution stands.
    async fn look(&mut self, id: &str) -> Result<Seen, Refused>;
    /// Tells an execution something; the same `signal` id again counts once.
    async fn signal(&mut self, id: &str, name: &str, signal: &str, data: &Json) -> Result<(), Refused>;
    /// Asks an execution something, and waits for the answer.
    async fn update(&mut self, id: &str, name: &str, update: &str, data: &Json) -> Result<Json, Refused>;
    /// Publishes an event.
    async fn event(&mut self, event: &Json) -> Result<(), Refused>;
    /// Says yes or no to what the execution waits for, with what its form is filled in with.
    async fn decide(&mut self, id: &str, yes: bool, answer: Option<&Json>) -> Result<(), Refused>;
    /// Stops an execution for good.
    async fn cancel(&mut self, id: &str) -> Result<(), Refused>;
    /// Sets the clock forward.
    async fn advance(&mut self, by: Duration) -> Result<(), Refused>;
    /// Ends the runtime without a word, and starts it again on what it left.
    async fn restart(&mut self) -> Result<(), Refused>;
}

/// Names a workflow version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// OmniHub said no, or could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// Every code that it names (`OH-nnnn`), the problem's own first.
    pub codes: Vec<String>,
    /// The whole problem.
    pub text: String,
}

impl Refused {
    /// Without a code: it could not be asked.
    pub fn unasked(error: impl std::fmt::Display) -> Self {
        Self { codes: Vec::new(), text: error.to_string() }
    }
}

/// How an execution stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// In the language's words.
    pub status: String,
    /// What it waits for.
    pub blocked_on: Option<String>,
    /// Once it completed.
    pub output: Option<Json>,
    /// Once it faulted.
    pub error: Option<Json>,
    /// True when it should have gone on by now, and is about to.
    pub overdue: bool,
    /// Names of the tasks that ran, in order of start; skipped ones left out.
    pub ran: Vec<String>,
}

impl Seen {
    /// True when nothing more comes by itself, or only after time or somebody's act.
    pub fn rests(&self) -> bool {
        let retries = self.blocked_on.as_deref().is_some_and(|blocked| blocked.starts_with("retry:"));
        self.ended() || (matches!(self.status.as_str(), "waiting" | "suspended") && !retries)
    }

    /// True when it is over.
    pub fn ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "faulted" | "cancelled")
    }
}
