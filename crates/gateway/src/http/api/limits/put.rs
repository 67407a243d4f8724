//! `PUT /limits/{name}`: set a limit.

use std::sync::Arc;

use app::App;
use app::limits::{Counted, NewLimit, OnExcess, Rate, Scope};
use axum::Json;
use axum::extract::State as Shared;
use model::Problem;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::Limit;
use crate::http::Authenticated;
use crate::http::body::Body;
use crate::http::problem::{Answer, ProblemDocument, Refusal};
use crate::http::segments::Segments;
use crate::http::wire::{millis, reason};

/// How a limit is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "scope": {"key": "shop/refund"}, "concurrency": 1, "rate": {"count": 10, "per": "PT1M"}, "on_excess": "queue",
    "reason": "one refund of a customer at a time"
}))]
pub(crate) struct NewLimitDocument {
    /// On what.
    scope: ScopeDocument,
    /// What is counted; effects for an action, executions for everything else when absent.
    of: Option<CountedWord>,
    /// So many at once.
    #[schema(minimum = 1, maximum = 100_000)]
    concurrency: Option<u32>,
    /// So many in any period.
    rate: Option<NewRate>,
    /// Beyond it: wait in line, or be refused.
    on_excess: ExcessWord,
    /// Turns in a row of the tenant, beside others (scope `tenant`, set by the platform).
    #[schema(minimum = 1, maximum = 100)]
    weight: Option<u32>,
    /// Why; it is kept in the audit log.
    #[schema(max_length = 2000)]
    reason: String,
}

/// On what a limit is set: exactly one member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ScopeDocument {
    /// A tenant's id: one's own; for the platform any, or `*` for each.
    tenant: Option<String>,
    /// A workflow, `namespace/name`.
    workflow: Option<String>,
    /// An operation: `refund-create`, `refund-create:1.0.0` or `http:POST`.
    action: Option<String>,
    /// Each value of the `concurrencyKey` of a workflow `namespace/name`, or `*`.
    key: Option<String>,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CountedWord {
    /// Executions that have begun and not ended.
    Executions,
    /// Effects that were permitted and not answered.
    Effects,
}

/// Beyond a limit.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExcessWord {
    /// Wait in line.
    Queue,
    /// Be refused with 429.
    Refuse,
}

/// So many in any period of a length.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRate {
    /// How many.
    #[schema(minimum = 1, maximum = 10_000)]
    count: u32,
    /// ISO 8601 duration, P1D at the most.
    per: String,
}

/// Set a limit
///
/// Acknowledged when it is durable and in force: what runs already is counted, and nothing more begins beyond it. What
/// waits is `pending` with `blocked_on: limit:<name>`, and begins in order.
#[utoipa::path(
    put, path = "/{name}", operation_id = "limits.put", tag = "limits",
    params(("name" = String, Path, description = "1 to 64 of `a-z`, `0-9` and `-`")),
    request_body = NewLimitDocument,
    responses(
        (status = 200, body = Limit),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "it makes no sense (OH-5062); `fields` says where")
    )
)]
pub(crate) async fn put(
    Shared(app): Shared<Arc<App>>,
    Authenticated(caller): Authenticated,
    segments: Segments<1>,
    Body(body): Body<NewLimitDocument>,
) -> Answer<Limit> {
    let Segments([name]) = segments;
    let rate = match body.rate {
        Some(rate) => Some(Rate { count: rate.count, per_ms: millis("/rate/per", &rate.per)? }),
        None => None,
    };
    let asked = NewLimit {
        scope: body.scope.read()?,
        of: body.of.map(|of| match of {
            CountedWord::Executions => Counted::Executions,
            CountedWord::Effects => Counted::Effects,
        }),
        concurrency: body.concurrency,
        rate,
        on_excess: match body.on_excess {
            ExcessWord::Queue => OnExcess::Queue,
            ExcessWord::Refuse => OnExcess::Refuse,
        },
        weight: body.weight,
        reason: reason(body.reason)?,
    };
    Ok(Json(app.put_limit(&caller, &name, asked).await?.into()))
}

impl ScopeDocument {
    fn read(self) -> Result<Scope, Refusal> {
        match (self.tenant, self.workflow, self.action, self.key) {
            (Some(tenant), None, None, None) => Ok(Scope::Tenant(tenant)),
            (None, Some(workflow), None, None) => Ok(Scope::Workflow(workflow)),
            (None, None, Some(action), None) => Ok(Scope::Action(action)),
            (None, None, None, Some(key)) => Ok(Scope::Key(key)),
            _ => {
                let message = "give exactly one of `tenant`, `workflow`, `action` and `key`";
                Err(Problem::new(422, 4220, "wrong shape", message).field("/scope", message).into())
            }
        }
    }
}
