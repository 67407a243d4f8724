//! `call: approval:1.0.0`: people are asked, and what they say is what the task gives on.
//!
//! It is an effect that touches nothing: the gate opens an approval for it, whatever policy says, and its permit rests on that
//! one. What people filled in comes with their decision, so it is in the history before the flow goes on.

use dsl::plan::{Ask, Schema};
use model::effect::{APPROVAL, ApprovalRequest, EffectNumber};
use model::problem::WorkflowError;
use model::verdict::Quorum;
use model::{Label, PrincipalId, Request, Value};
use serde::{Deserialize, Serialize};

use crate::effects::Purpose;
use crate::flow::Signal;
use crate::scope::check_schema;
use crate::state::{Effect, Execution};

/// Bytes of JSON of what people fill in, at the most.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What people said to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Granted {
    /// Who said the last yes that was missing.
    pub by: Option<PrincipalId>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What they filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

impl Granted {
    /// What is kept of a yes; nothing when it was not a question.
    pub(crate) fn of(
        request: &Request,
        by: Option<&PrincipalId>,
        reason: &str,
        answer: Option<&Value>,
    ) -> Option<Box<Self>> {
        matches!(request, Request::Approval(_)).then(|| {
            Box::new(Self {
                by: by.cloned(),
                reason: reason.to_owned(),
                answer: answer.map(|a| a.with_only_label(Label::DEFINITION)),
            })
        })
    }
}

impl Execution {
    /// Requests that people are asked. The gate lets nothing else pass.
    pub(crate) fn begin_ask(&mut self, word: &Ask, input: &Value) -> Result<Signal, WorkflowError> {
        let scope = self.scope(input);
        let ask = scope.fill(&word.ask, input)?;
        if ask.as_str().is_none_or(|text| text.trim().is_empty()) {
            return Err(invalid("`ask` of `approval` must be text that says what is to be decided"));
        }
        let mut arguments = vec![("ask", ask)];
        if let Some(data) = &word.data {
            arguments.push(("data", scope.fill(data, input)?));
        }
        let deadline = scope.duration(&word.deadline, input)?;
        if let Some(why) = dsl::plan::misfit_of_deadline(deadline) {
            return Err(invalid(why));
        }
        let asked = ApprovalRequest {
            quorum: Quorum { approvers: word.approvers, roles: word.roles.clone() },
            form: word.form.as_ref().map(|form| form.document.clone()),
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        };
        let task = self.top_pointer();
        let key = self.default_key(&task);
        self.push_effect(
            task,
            APPROVAL.to_owned(),
            None,
            Value::object(arguments),
            Request::Approval(Box::new(asked)),
            key,
            Purpose::Task,
        )
    }

    /// Whether people may say yes to an effect with this answer; the error says why not.
    pub fn check_answer(&self, number: EffectNumber, answer: Option<&Value>) -> Result<(), String> {
        let form = match self.effect(number).map(|effect| &effect.request) {
            Some(Request::Approval(asked)) => asked.form.as_ref(),
            _ => None,
        };
        let (form, answer) = match (form, answer) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err("nothing is to be filled in: leave `answer` out".to_owned()),
            (Some(_), None) => return Err("the form is to be filled in: send it as `answer`".to_owned()),
            (Some(form), Some(answer)) => (form, answer),
        };
        if model::canonical::canonical(answer).len() > ANSWER_BYTES_MAX {
            return Err(format!("an answer has at most {ANSWER_BYTES_MAX} bytes of JSON"));
        }
        // It compiled when the workflow was published.
        let schema = Schema::of(form).map_err(|why| format!("the form cannot be read: {why}"))?;
        check_schema(&schema, answer, "the answer").map_err(|error| error.detail.unwrap_or(error.kind))
    }
}

/// What a question gives on; an error when nobody answered it.
pub(crate) fn said(effect: &Effect) -> Result<Value, WorkflowError> {
    let Some(granted) = effect.granted.as_ref().filter(|_| effect.approved.is_some()) else {
        let detail = "nobody said yes to it";
        return Err(WorkflowError::governed("approval-denied", 403, "Approval Denied", detail));
    };
    let by = granted.by.as_ref().map_or(Value::NULL, |by| Value::string(by.as_str()));
    let said = Value::object([
        ("by", by),
        ("reason", Value::string(&granted.reason)),
        ("answer", granted.answer.clone().unwrap_or(Value::NULL)),
    ]);
    Ok(said.with_label_everywhere(Label::CALLER))
}

fn invalid(detail: &str) -> WorkflowError {
    WorkflowError::standard("validation", 400, "Validation Error", detail)
}
