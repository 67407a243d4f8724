//! Wire types that several routes share. Domain types are converted here by hand, so that either can change alone.

use model::action::{BlastRadius as ModelRadius, Contract as ModelContract};
use model::verdict::{Decision, Quorum, Risk as ModelRisk, Verdict as ModelVerdict};
use model::{Label, Problem, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::problem::Refusal;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Give this as `cursor` for the next page; null at the end.
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// A page of converted items.
    pub(crate) fn of<V>(page: app::view::PageOf<V>) -> Self
    where
        T: From<V>,
    {
        Self { items: page.items.into_iter().map(T::from).collect(), next: page.next }
    }

    /// A list that is always whole.
    pub(crate) fn whole<V>(items: Vec<V>) -> Self
    where
        T: From<V>,
    {
        Self { items: items.into_iter().map(T::from).collect(), next: None }
    }
}

/// Names a workflow version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"namespace": "shop", "name": "refund", "version": "1.0.0"}))]
pub(crate) struct WorkflowName {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Semantic version.
    pub(crate) version: Option<String>,
}

impl From<app::view::WorkflowName> for WorkflowName {
    fn from(name: app::view::WorkflowName) -> Self {
        Self { namespace: name.namespace, name: name.name, version: name.version }
    }
}

/// How much could go wrong, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Risk {
    /// 0 to 100.
    pub(crate) score: u8,
    /// `low`, `medium`, `high` or `critical`.
    pub(crate) level: &'static str,
    /// What made the score, largest first.
    pub(crate) factors: Vec<RiskFactor>,
}

/// One reason for a score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RiskFactor {
    /// For example `money`.
    pub(crate) name: String,
    /// Points added or taken away.
    pub(crate) points: i16,
    /// Why, in a sentence.
    pub(crate) reason: String,
}

impl From<ModelRisk> for Risk {
    fn from(risk: ModelRisk) -> Self {
        let factors =
            risk.factors.into_iter().map(|f| RiskFactor { name: f.name, points: f.points, reason: f.reason });
        Self { score: risk.score, level: risk.level.name(), factors: factors.collect() }
    }
}

/// What policy decided about an effect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// `allow`, `deny` or `require-approval`.
    pub(crate) decision: &'static str,
    /// Approvals needed; 0 when none is.
    pub(crate) approvers: u32,
    /// Roles that may approve.
    pub(crate) roles: Vec<String>,
    /// Why.
    pub(crate) reasons: Vec<String>,
    /// Digest of the policy that decided.
    pub(crate) policy: String,
    /// The risk that it saw.
    pub(crate) risk: Risk,
}

impl From<ModelVerdict> for Verdict {
    fn from(verdict: ModelVerdict) -> Self {
        let (decision, quorum) = match verdict.decision {
            Decision::Allow => ("allow", Quorum { approvers: 0, roles: Vec::new() }),
            Decision::Deny => ("deny", Quorum { approvers: 0, roles: Vec::new() }),
            Decision::RequireApproval(quorum) => ("require-approval", quorum),
        };
        Self {
            decision,
            approvers: quorum.approvers,
            roles: quorum.roles,
            reasons: verdict.reasons,
            policy: verdict.policy.to_string(),
            risk: verdict.risk.into(),
        }
    }
}

/// How much one use of an action can touch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlastRadius {
    /// For example `customer`.
    pub(crate) scope: String,
    /// Units at the most.
    pub(crate) max: u64,
    /// What is counted.
    pub(crate) unit: String,
}

impl From<ModelRadius> for BlastRadius {
    fn from(radius: ModelRadius) -> Self {
        Self { scope: radius.scope, max: radius.max, unit: radius.unit }
    }
}

/// What the catalogue promises about an action.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Contract {
    /// `read`, `write`, `delete`, `money` or `permission`.
    pub(crate) effect: &'static str,
    /// `pure`, `read`, `idempotent`, `probeable`, `compensable` or `irreversible`.
    pub(crate) class: &'static str,
    /// How much it can touch.
    pub(crate) blast_radius: BlastRadius,
    /// Classes of data it handles.
    pub(crate) data: Vec<String>,
    /// Which arguments say how much money moves.
    pub(crate) amount: Option<AmountFields>,
    /// Which arguments decide who receives money, data or rights: JSON Pointers.
    pub(crate) recipients: Vec<String>,
    /// True when a person reviewed it.
    pub(crate) reviewed: bool,
    /// Retries of transient failures at the most.
    pub(crate) retries_max: u32,
    /// Hosts it may connect to.
    pub(crate) hosts: Vec<String>,
    /// True when it says how the outcome is verified.
    pub(crate) verified: bool,
    /// The action that undoes it.
    pub(crate) compensate: Option<String>,
    /// What one use costs: a decimal number in text, and the currency.
    pub(crate) cost: Option<(String, String)>,
    /// The header that carries the fencing token.
    pub(crate) fencing_header: Option<String>,
}

/// JSON Pointers into the arguments of an action.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AmountFields {
    /// The number.
    pub(crate) value: String,
    /// The ISO 4217 code.
    pub(crate) currency: Option<String>,
}

impl From<ModelContract> for Contract {
    fn from(contract: ModelContract) -> Self {
        Self {
            effect: contract.effect.name(),
            class: contract.class.name(),
            blast_radius: contract.blast_radius.into(),
            data: contract.data,
            amount: contract.amount.map(|a| AmountFields { value: a.value, currency: a.currency }),
            recipients: contract.recipients,
            reviewed: contract.reviewed,
            retries_max: contract.retries_max,
            hosts: contract.hosts,
            verified: contract.verified,
            compensate: contract.compensate.map(|action| action.to_string()),
            cost: contract
                .cost
                .map(|cost| (model::action::ContractCost::decimal(cost.micros), cost.currency)),
            fencing_header: contract.fencing_header,
        }
    }
}

/// Where one argument came from, as a pair: its JSON Pointer, and its origins (`caller`, `intent`, `external`,
/// `model`; none when it is written in the definition).
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!(["/order", ["intent"]]))]
pub(crate) struct Provenance(String, Vec<String>);

impl From<(String, Vec<String>)> for Provenance {
    fn from((pointer, labels): (String, Vec<String>)) -> Self {
        Self(pointer, labels)
    }
}

impl From<(String, Label)> for Provenance {
    fn from((pointer, label): (String, Label)) -> Self {
        Self(pointer, label.names().into_iter().map(str::to_owned).collect())
    }
}

/// One finding about a document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Diagnostic {
    /// Stable code, `OH-1nnn`.
    pub(crate) code: String,
    /// `error` or `warning`.
    pub(crate) severity: String,
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column, from 1.
    pub(crate) column: u32,
    /// JSON Pointer of the place.
    pub(crate) pointer: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
}

/// Findings of the compiler, which this crate does not name: they are plain documents of the same members.
pub(crate) fn diagnostics(found: &[impl Serialize]) -> Vec<Diagnostic> {
    found.iter().filter_map(|one| serde_json::from_value(serde_json::to_value(one).ok()?).ok()).collect()
}

/// Why something is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the customer called again"}))]
pub(crate) struct Reason {
    /// Why; it is kept in the audit log.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub(crate) reason: String,
}

/// How an execution is cancelled, and why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the customer called again", "mode": "graceful"}))]
pub(crate) struct Cancel {
    /// Why; it is kept in the audit log.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub(crate) reason: String,
    /// `graceful` undoes what was done first; `forced` leaves it as it is.
    #[serde(default)]
    pub(crate) mode: CancelMode,
}

/// `graceful` or `forced`
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CancelMode {
    /// What was done is undone first.
    #[default]
    Graceful,
    /// At once; what was done stays.
    Forced,
}

/// Characters of a reason at the most.
const REASON_CHARS_MAX: usize = 2_000;

/// A reason within its limit (OH-4220 otherwise).
pub(crate) fn reason(text: String) -> Result<String, super::problem::Refusal> {
    if text.chars().count() <= REASON_CHARS_MAX {
        return Ok(text);
    }
    let message = format!("write {REASON_CHARS_MAX} characters at the most");
    Err(super::problem::Refusal::of(
        model::Problem::new(422, 4220, "wrong shape", format!("`reason`: {message}"))
            .field("/reason", message),
    ))
}

/// A moment as RFC 3339.
pub(crate) fn moment(at: Timestamp) -> String {
    at.to_rfc3339()
}

/// The word of something that is written as one word.
pub(crate) fn word(thing: &impl Serialize) -> String {
    match serde_json::to_value(thing) {
        Ok(Json::String(word)) => word,
        _ => String::new(),
    }
}

/// An ISO 8601 duration without months and years, in milliseconds. A day has 24 hours.
pub(crate) fn millis(field: &str, text: &str) -> Result<i64, Refusal> {
    let span = text.parse::<jiff::Span>().ok().filter(|span| span.get_years() == 0 && span.get_months() == 0);
    let millis = span.and_then(|span| {
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        let total = span.to_duration(days).ok()?.as_millis();
        i64::try_from(total).ok().filter(|millis| *millis >= 0)
    });
    millis.ok_or_else(|| {
        let message =
            "write an ISO 8601 duration in days, hours, minutes and seconds, such as `P30D` or `PT1S`";
        Problem::new(422, 4220, "wrong shape", message).field(field, message).into()
    })
}

/// Milliseconds as an ISO 8601 duration.
pub(crate) fn duration(millis: i64) -> String {
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    let (hours, minutes, ms) = (rest / 3_600_000, rest / 60_000 % 60, rest % 60_000);
    let day = if days > 0 { format!("{days}D") } else { String::new() };
    let mut time = String::new();
    if hours > 0 {
        time.push_str(&format!("{hours}H"));
    }
    if minutes > 0 {
        time.push_str(&format!("{minutes}M"));
    }
    if ms % 1000 > 0 {
        let fraction = format!("{:03}", ms % 1000);
        time.push_str(&format!("{}.{}S", ms / 1000, fraction.trim_end_matches('0')));
    } else if ms > 0 || (day.is_empty() && time.is_empty()) {
        time.push_str(&format!("{}S", ms / 1000));
    }
    if time.is_empty() { format!("P{day}") } else { format!("P{day}T{time}") }
}

#[cfg(test)]
mod duration_tests {
    use super::{duration, millis};

    #[test]
    fn durations_are_read_and_written_alike() {
        for text in ["P30D", "PT1S", "PT0.25S", "P1DT2H3M4.005S", "PT0S", "PT1M"] {
            let read = millis("/after", text).ok();
            assert_eq!(read.map(duration).as_deref(), Some(text));
        }
        assert_eq!(millis("/after", "P2W").ok(), Some(14 * 86_400_000));
        for wrong in ["", "P1M", "P1Y", "-P1D", "30", "P99999999999D"] {
            assert!(millis("/after", wrong).is_err(), "{wrong}");
        }
    }
}
