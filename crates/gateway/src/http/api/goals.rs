//! `POST /goals`: what should happen.

use std::sync::Arc;

use app::App;
use app::view::{GoalAccepted as AppAccepted, GoalAnswer, GoalRequest};
use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use model::Problem;
use model::placing::Priority;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::plans::wire::Plan;
use crate::State;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::limits::Admitted;
use crate::http::problem::{ProblemDocument, Refusal};
use crate::http::query::{Query, wait};

/// Bytes of an idempotency key at the most.
const KEY_BYTES_MAX: usize = 200;

/// A goal: exactly one of `intent`, `workflow` and `plan`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"intent": "refund order 1042, 25.00 EUR, the cup arrived broken"}))]
pub(crate) struct Goal {
    /// Free text.
    intent: Option<String>,
    /// A workflow by name.
    workflow: Option<GoalWorkflow>,
    /// Structured input; with `intent`, members that the text leaves open.
    #[schema(value_type = Option<Object>)]
    input: Option<Value>,
    /// Chosen by the caller: the same id with the same plan answers the same execution.
    execution_id: Option<String>,
    /// `low`, `normal`, `high`, `critical`, or 1 (critical) to 5 (low); as the workflow says when absent. It counts among
    /// the goals of one tenant.
    #[schema(value_type = Option<String>, example = "high")]
    priority: Option<Value>,
    /// `plan` answers what would happen and runs nothing.
    #[serde(default)]
    mode: Mode,
    /// The digest of a signed plan: it runs with the workflow version and input that it was made with, and does nothing
    /// else without asking.
    plan: Option<String>,
    /// How to plan, with `"mode": "plan"`.
    planning: Option<Planning>,
}

/// How a plan is made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Planning {
    /// Take answers of earlier executions to the same action with the same arguments as stand-ins, marked as such.
    #[serde(default)]
    recorded: bool,
    /// Most iterations of a loop whose length nobody can know yet; 100 when absent.
    #[schema(minimum = 1, maximum = 1000)]
    iterations: Option<u32>,
    /// How many executions the plan is good for; 1 when absent.
    #[schema(minimum = 1, maximum = 100)]
    uses: Option<u32>,
}

impl Planning {
    fn read(self) -> Result<app::view::Planning, Refusal> {
        let within = |field: &str, given: Option<u32>, default: u32, most: u32| match given {
            None => Ok(default),
            Some(number) if (1..=most).contains(&number) => Ok(number),
            Some(number) => {
                let message = format!("`{number}` is not from 1 to {most}");
                Err(Refusal::of(
                    Problem::new(422, 4220, "wrong shape", message.clone()).field(field, message),
                ))
            }
        };
        let default = app::view::Planning::default();
        Ok(app::view::Planning {
            recorded: self.recorded,
            iterations: within("/planning/iterations", self.iterations, default.iterations, 1000)?,
            uses: within("/planning/uses", self.uses, default.uses, 100)?,
        })
    }
}

/// Names a workflow.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GoalWorkflow {
    /// Namespace.
    namespace: String,
    /// Name.
    name: String,
    /// Semantic version; the newest when absent.
    version: Option<String>,
}

/// Run, or only plan.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Run it.
    #[default]
    Run,
    /// Show the plan.
    Plan,
}

/// Whether to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wait {
    /// Wait so long for the end (ISO 8601 duration, PT1M at the most).
    #[param(example = "PT30S")]
    wait: Option<String>,
}

/// An accepted goal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GoalAccepted {
    /// The execution.
    execution_id: String,
    /// `pending`, `running`, `waiting`, `suspended`, `cancelled`, `faulted` or `completed`.
    status: String,
    /// Digest of its plan.
    plan_digest: String,
    /// `verified`, `unknown` or `failed`, once it ended.
    outcome: Option<String>,
    /// What it waits for, for example `approval:<id>`.
    blocked_on: Option<String>,
    /// Its output, once it completed.
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// Its error, once it faulted.
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
    /// True when this very goal had been accepted before.
    repeated: bool,
}

impl From<AppAccepted> for GoalAccepted {
    fn from(accepted: AppAccepted) -> Self {
        Self {
            execution_id: accepted.execution_id.to_string(),
            status: accepted.status,
            plan_digest: accepted.plan_digest.to_string(),
            outcome: accepted.outcome,
            blocked_on: accepted.blocked_on,
            output: accepted.output,
            error: accepted.error,
            repeated: accepted.repeated,
        }
    }
}

/// Submit a goal
///
/// Text or a workflow with input. It is filtered, planned and judged; then it runs, effect by effect, each behind a
/// permit. 202 says that it is durable; with `wait`, 200 says that it ended. Repeating the request with the same
/// `Idempotency-Key` or `execution_id` answers the same execution. With `"mode": "plan"` nothing runs:
/// the plan is kept under its digest, can be approved as a whole (`/plans`), and then be run with `"plan"`.
#[utoipa::path(
    post, path = "/goals", operation_id = "goals.submit", tag = "goals",
    params(
        Wait,
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating the request safe; 1 to 200 visible characters"),
    ),
    request_body(content = Goal, examples(
        ("text" = (value = json!({"intent": "refund order 1042, 25.00 EUR, the cup arrived broken"}))),
        ("structured" = (value = json!({
            "workflow": {"namespace": "shop", "name": "refund"},
            "input": {"order": "1042", "amount": 25.0, "currency": "EUR"}
        }))),
    )),
    responses(
        (status = 202, body = GoalAccepted, description = "accepted and durable"),
        (status = 200, body = GoalAccepted, description = "ended within `wait`, or the plan when only that was asked for"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "a limit has no place for it (OH-5060, OH-5061); `Retry-After` says when to try again"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "not admitted (OH-5063), or the kill switch is on"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "the id or key belongs to another goal, or the plan cannot run: not signed (OH-3042), expired (OH-3043), used (OH-3044), void (OH-3045 to OH-3047), damaged (OH-3048), approval lost (OH-3052)"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "not understood; `candidates` or `missing` say how to go on"),
    )
)]
pub(crate) async fn submit(
    Shared(state): Shared<State>,
    Authenticated(caller): Authenticated,
    Query(query): Query<Wait>,
    Admitted(admitted): Admitted,
    headers: HeaderMap,
    Body(goal): Body<Goal>,
) -> Result<Response, Refusal> {
    let app: Arc<App> = state.app.clone();
    let request = GoalRequest {
        wait: query.wait.as_deref().map(|text| wait(text, state.settings.wait_max)).transpose()?,
        idempotency_key: idempotency_key(&headers)?,
        ..goal.read()?
    };
    let waits = request.wait.is_some();
    match app.submit_admitted(&caller, request, admitted).await? {
        GoalAnswer::Planned(plan) => Ok(Json(Plan::from(*plan)).into_response()),
        GoalAnswer::Accepted(accepted) => {
            let ended = waits && matches!(accepted.status.as_str(), "completed" | "faulted" | "cancelled");
            let status = if ended { StatusCode::OK } else { StatusCode::ACCEPTED };
            let place = format!("/api/v1/executions/{}", accepted.execution_id);
            Ok((status, [(header::LOCATION, place)], Json(GoalAccepted::from(*accepted))).into_response())
        }
    }
}

impl Goal {
    fn read(self) -> Result<GoalRequest, Refusal> {
        let wrong = |field: &str, message: &str| {
            Err(Problem::new(422, 4220, "wrong shape", message).field(field, message).into())
        };
        let given = [self.intent.is_some(), self.workflow.is_some(), self.plan.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            return wrong("/intent", "give exactly one of `intent`, `workflow` and `plan`");
        }
        if self.plan.is_some() && self.input.is_some() {
            return wrong("/input", "a plan runs with the input that it was made with; leave `input` out");
        }
        if self.plan.is_some() && self.mode == Mode::Plan {
            return wrong("/mode", "this is a plan already; leave `mode` out to run it");
        }
        if self.planning.is_some() && self.mode != Mode::Plan {
            return wrong("/planning", "`planning` goes with `\"mode\": \"plan\"`");
        }
        if self.input.as_ref().is_some_and(|input| !input.is_object()) {
            let message = "the input is an object";
            return Err(Problem::new(422, 4220, "wrong shape", message).field("/input", message).into());
        }
        let workflow = self.workflow.map(|name| app::view::WorkflowName {
            namespace: name.namespace,
            name: name.name,
            version: name.version,
        });
        Ok(GoalRequest {
            intent: self.intent,
            workflow,
            input: self.input,
            execution_id: self.execution_id,
            plan_only: self.mode == Mode::Plan,
            planning: self.planning.map(Planning::read).transpose()?.unwrap_or_default(),
            plan: self.plan,
            idempotency_key: None,
            wait: None,
            priority: self.priority.map(|given| priority(&given)).transpose()?,
        })
    }
}

fn priority(given: &Value) -> Result<Priority, Refusal> {
    let text = match given {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Priority::parse(&text).ok_or_else(|| {
        let message = "write `low`, `normal`, `high`, `critical`, or a number from 1 (critical) to 5 (low)";
        Problem::new(422, 4220, "wrong shape", message).field("/priority", message).into()
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all("idempotency-key").iter();
    let key = match (given.next(), given.next()) {
        (None, _) => return Ok(None),
        (Some(only), None) => only.to_str().ok(),
        (Some(_), Some(_)) => None,
    };
    match key {
        Some(key)
            if (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Ok(Some(key.to_owned()))
        }
        _ => {
            let detail = "send one `Idempotency-Key` of 1 to 200 visible characters";
            Err(Problem::new(400, 4002, "bad parameter", detail).field("Idempotency-Key", detail).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn waiting_is_an_iso_duration_within_the_limit() {
        let longest = Duration::from_secs(60);
        for (text, seconds) in [("PT30S", 30), ("PT1M", 60), ("PT0S", 0)] {
            assert_eq!(wait(text, longest).ok(), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "PT61S", "-PT1S", "P1M", "P9999999999999999D"] {
            assert_eq!(wait(text, longest).err().map(|r| r.0.status), Some(400), "{text}");
        }
    }

    #[test]
    fn a_goal_is_text_or_a_workflow() {
        let read = |json: serde_json::Value| crate::http::strict::shape::<Goal>(json).unwrap().read();
        assert!(read(serde_json::json!({"intent": "x"})).is_ok());
        assert!(read(serde_json::json!({"intent": "x", "mode": "plan"})).unwrap().plan_only);
        for bad in [
            serde_json::json!({}),
            serde_json::json!({"intent": "x", "workflow": {"namespace": "a", "name": "b"}}),
            serde_json::json!({"intent": "x", "input": [1]}),
        ] {
            assert_eq!(read(bad.clone()).err().map(|r| r.0.status), Some(422), "{bad}");
        }
    }
}
