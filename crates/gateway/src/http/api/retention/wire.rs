//! Retention rules on the wire.

use app::retention::{NewRule, Preview, RuleView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::problem::Refusal;
use crate::http::wire::{duration, millis, moment, reason};

/// How a rule is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"workflow": "shop/refund", "after": "P90D", "reason": "we keep refunds for a quarter"}))]
pub(crate) struct NewRetentionRule {
    /// Only of this workflow, `namespace/name`.
    workflow: Option<String>,
    /// Age since the end: an ISO 8601 duration in days, hours or less, such as `P30D`.
    after: String,
    /// Also executions whose outcome is unknown.
    #[serde(default)]
    unknown: bool,
    /// Also executions with an open dead letter.
    #[serde(default)]
    dead_letters: bool,
    /// Why; it is kept in the audit log.
    #[schema(max_length = 2000)]
    reason: String,
}

impl NewRetentionRule {
    pub(crate) fn read(self) -> Result<NewRule, Refusal> {
        Ok(NewRule {
            workflow: self.workflow,
            after_ms: millis("/after", &self.after)?,
            unknown: self.unknown,
            dead_letters: self.dead_letters,
            reason: reason(self.reason)?,
        })
    }
}

/// A rule in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionRule {
    /// Its name.
    name: String,
    /// Only of this workflow.
    workflow: Option<String>,
    /// Age since the end.
    after: String,
    /// Also of unknown outcome.
    unknown: bool,
    /// Also with an open dead letter.
    dead_letters: bool,
    /// Executions that it removed since the server started.
    removed: u64,
    /// When a run last went through everything.
    ran_at: Option<String>,
    /// Why it was set.
    reason: String,
    /// By whom.
    by: String,
    /// When.
    at: String,
}

impl From<RuleView> for RetentionRule {
    fn from(view: RuleView) -> Self {
        Self {
            name: view.rule.name,
            workflow: view.rule.workflow,
            after: duration(view.rule.after_ms),
            unknown: view.rule.unknown,
            dead_letters: view.rule.dead_letters,
            removed: view.removed,
            ran_at: view.ran_at.map(moment),
            reason: view.rule.reason,
            by: view.rule.by.to_string(),
            at: moment(view.rule.at),
        }
    }
}

/// What a rule would remove.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetentionPreview {
    /// How many executions; counting ends at a hundred thousand.
    count: u64,
    /// The first of them.
    executions: Vec<String>,
}

impl From<Preview> for RetentionPreview {
    fn from(preview: Preview) -> Self {
        Self { count: preview.count, executions: preview.executions }
    }
}
