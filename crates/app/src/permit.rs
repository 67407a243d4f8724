//! The permit gate: the one place that decides whether an effect may happen.
//!
//! controls → contract → provenance → risk → policy → approval → permit. Every door passes here: a first attempt,
//! a retry, a redrive, an edit. On doubt the answer is no.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use engine::{Effect, Execution, Judgement};
use guard::policy::{Ruling, stricter};
use guard::provenance::{self, Provenance};
use guard::risk::{ActorHistory, Facts};
use model::action::BlastRadius;
use model::approval::Approval;
use model::control::{ControlName, Controls};
use model::event::{Awaited, Mode};
use model::id::{ApprovalId, PermitId};
use model::principal::{PrincipalKind, Role};
use model::sabotage::{self, Bug};
use model::stop::Subject;
use model::verdict::{Decision, Quorum, Risk, Verdict};
use model::{Data, Digest, EffectClass, EffectKind, PrincipalId, TenantId, Timestamp, Value};
use serde::Serialize;

use crate::app::App;
use crate::approvals::no_longer_enough;
use crate::plans::{Held, StoredPlan, held};
use crate::policies::TenantPolicies;
use crate::standing::People;

/// Why people are asked about what the signed plan of an execution does not hold.
const NOT_SIGNED_REASON: &str = "not in the signed plan";
/// Why an effect waits that policy would allow.
pub(crate) const TAKEOVER_REASON: &str = "operator takeover: every effect waits for a human";
/// How the reason ends when people are asked because the requester may no longer act.
const GONE_REASON: &str = "who asked for it, has no valid token any more";
/// Why a value is not declassified by a policy alone: what becomes trusted by it says that a person approved it.
const DECLASSIFY_REASON: &str = "only a person can answer for a value from outside";
/// How the reason ends when people are asked about an inline function.
const FUNCTION_REASON: &str = "is a function of the document, which nobody reviewed";
/// Why people are asked whatever policy says.
const ASKED_REASON: &str = "the workflow asks people";
/// How the reason of a denial begins when a policy could not decide.
pub(crate) const FAILED_REASON: &str = "a policy failed, and on doubt the answer is no";

/// What the gate says.
pub(crate) enum Gate {
    /// The effect is judged.
    Judged(Judgement),
    /// A control holds it: it is judged again when the control changes. What holds, as `blocked_on` says it.
    Held(String),
}

/// What the gate must know besides the effect and the controls: read just before, because judging itself reads nothing.
pub(crate) struct Grounds {
    pub(crate) policies: Arc<TenantPolicies>,
    pub(crate) people: Arc<People>,
    /// The approvals that requested effects rest on, as they stand.
    pub(crate) approvals: Vec<Approval>,
    /// The signed plan of the execution, or why it cannot be relied on; none when it runs without one.
    pub(crate) signed: Option<Result<StoredPlan, String>>,
}

impl Grounds {
    pub(crate) fn approval(&self, id: &ApprovalId) -> Option<&Approval> {
        self.approvals.iter().find(|approval| approval.id == *id)
    }
}

/// Why the approval of an effect cannot be used now; none when it can. The empty reason: there never was one.
fn void(effect: &Effect, digest: Digest, grounds: &Grounds, now: Timestamp) -> Option<String> {
    let Some(approved) = effect.approved else { return Some(String::new()) };
    if approved != digest && !sabotage::is(Bug::ApprovalById) {
        return Some("what was approved before is not what would happen now: asked again".to_owned());
    }
    if effect.approved_until.is_none_or(|until| until <= now) && !sabotage::is(Bug::ApprovalOutlived) {
        return Some("the approval ran out before the effect started: asked again".to_owned());
    }
    let Some(approval) = effect.approval.as_ref().and_then(|id| grounds.approval(id)) else {
        return Some("the approval cannot be found: asked again".to_owned());
    };
    no_longer_enough(&grounds.people, &approval.votes, &approval.quorum, &approval.requester, now)
}

fn with_reason(mut verdict: Arc<Verdict>, reason: String) -> Arc<Verdict> {
    if !reason.is_empty() {
        Arc::make_mut(&mut verdict).reasons.insert(0, reason);
    }
    verdict
}

/// A ruling with everything that led to it.
pub(crate) struct Ruled {
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) digest: Digest,
}

impl Ruled {
    /// Lets people decide what policy alone would have allowed. What they decide is bound to the reason too: an approval
    /// from before it arose is void.
    fn ask(&mut self, effect: &Effect, reason: &str) {
        let verdict = Arc::make_mut(&mut self.verdict);
        if verdict.decision == Decision::Allow {
            verdict.decision = Decision::RequireApproval(operators());
        }
        if verdict.decision != Decision::Deny {
            verdict.reasons.insert(0, reason.to_owned());
            self.digest = model::digest_of(&(effect.digest, verdict.policy, &verdict.decision, reason));
        }
    }
}

/// True when people were asked although policy may have allowed it.
pub(crate) fn asked_anyway(verdict: &Verdict) -> bool {
    let anyway = |reason: &String| {
        reason == TAKEOVER_REASON || reason.ends_with(GONE_REASON) || reason.starts_with(NOT_SIGNED_REASON)
    };
    matches!(verdict.decision, Decision::RequireApproval(_)) && verdict.reasons.iter().any(anyway)
}

impl Ruled {
    /// People have decided already, by signing the plan that holds this effect.
    fn allow(&mut self, effect: &Effect, reason: &str) {
        let verdict = Arc::make_mut(&mut self.verdict);
        verdict.decision = Decision::Allow;
        verdict.reasons.insert(0, reason.to_owned());
        self.digest = model::digest_of(&(effect.digest, verdict.policy, &verdict.decision, reason));
    }
}

/// Who decides when no policy says who.
pub(crate) fn operators() -> Quorum {
    Quorum { approvers: 1, roles: vec!["operator".into(), "admin".into()] }
}

impl App {
    /// Judges one requested effect of an execution.
    pub(crate) fn judge(
        &self,
        state: &Execution,
        effect: &Effect,
        grounds: &Grounds,
        now: Timestamp,
    ) -> Gate {
        // History never runs backwards: a clock that was set back revives no approval.
        let now = now.max(state.now);
        let controls = self.switches.now();
        let started = &state.started;
        let subject = Subject {
            tenant: &started.tenant,
            workflow: &[started.namespace.as_str(), "/", &started.name].concat(),
            version: &started.version,
            requester: &started.requester,
            operation: Some(&effect.operation),
            target: Some(&effect.request.target()),
        };
        if let Some(holds) = controls.stopped(&subject) {
            return Gate::Held(holds);
        }
        if !controls.allows(&state.started.tenant, &effect.operation) {
            let reason = format!("`{}` is not on the allow-list of operations", effect.operation);
            return Gate::Judged(Judgement::Bar(reason));
        }
        let mut ruled = self.rule(state, effect, &grounds.policies, &controls);
        self.let_shadows_judge(state, effect, &grounds.policies, &ruled.verdict, now);
        if grounds.people.disabled(&state.started.requester) && !may_read(effect, &ruled.verdict.decision) {
            ruled.ask(effect, &format!("`{}`, {GONE_REASON}", state.started.requester));
        }
        let mut entry = None;
        if let Some(signed) = &grounds.signed
            && ruled.verdict.decision != Decision::Deny
        {
            let policy = ruled.verdict.policy;
            let found = signed.as_ref().map_err(Clone::clone).and_then(|plan| {
                held(plan, state, effect, policy, &controls, &grounds.people, now).map(|held| (plan, held))
            });
            match found {
                // Whoever signed the plan has decided about this effect already; not about doing it again after the flow went
                // back.
                Ok((plan, Held::By(number)))
                    // A question of the workflow is answered when it comes, by whoever then sees what it is about.
                    if !matches!(effect.request, model::Request::Approval(_))
                        && !grounds.people.disabled(&state.started.requester)
                        && state.caution(effect.number).is_none() =>
                {
                    entry = Some(number);
                    ruled.allow(
                        effect,
                        &format!("in the signed plan {}, entry {}", plan.digest().short(), number + 1),
                    );
                }
                Ok(_) => {}
                Err(why) => ruled.ask(effect, &format!("{NOT_SIGNED_REASON}: {why}")),
            }
        }
        let Ruled { verdict, digest } = ruled;
        let advisory = state.started.mode == Mode::Advisory || controls.on(ControlName::SafeMode);
        let forgets = sabotage::is(Bug::SafeModeOnce) && !effect.attempts.is_empty();
        let advisory = advisory && !forgets;
        if advisory && !may_read(effect, &verdict.decision) {
            return Gate::Judged(match verdict.decision {
                Decision::Deny => Judgement::Deny { digest, verdict },
                Decision::Allow | Decision::RequireApproval(_) => {
                    Judgement::Predict { digest, verdict, output: predicted(effect) }
                }
            });
        }
        Gate::Judged(match &verdict.decision {
            Decision::Deny => Judgement::Deny { digest, verdict },
            Decision::Allow => self.permit(digest, verdict, &controls, entry, effect, now),
            Decision::RequireApproval(_) => match void(effect, digest, grounds, now) {
                None => self.permit(digest, verdict, &controls, None, effect, now),
                Some(why) => {
                    let id = ApprovalId::generate(&*self.ids, now);
                    let expire = match &effect.request {
                        model::Request::Approval(asked) => Duration::from_millis(asked.deadline_ms),
                        _ => self.settings.approvals_expire,
                    };
                    let awaited = Awaited { id, expires_at: now.plus(expire) };
                    Judgement::Ask { digest, verdict: with_reason(verdict, why), awaited }
                }
            },
        })
    }

    fn permit(
        &self,
        digest: Digest,
        verdict: Arc<Verdict>,
        controls: &Controls,
        entry: Option<u32>,
        effect: &Effect,
        now: Timestamp,
    ) -> Judgement {
        let before = effect.permit.clone().filter(|_| sabotage::is(Bug::PermitReused));
        Judgement::Permit {
            digest,
            verdict,
            permit: before.unwrap_or_else(|| PermitId::generate(&*self.ids, now)),
            epoch: controls.epoch,
            lease: self.lease,
            entry,
        }
    }

    /// Risk and policy, without consequences. Also what plans are made of.
    pub(crate) fn rule(
        &self,
        state: &Execution,
        effect: &Effect,
        policies: &TenantPolicies,
        controls: &Controls,
    ) -> Ruled {
        let origins = provenance::describe(&effect.arguments);
        let risk = score(state, effect, &origins);
        let mut verdict = judged_by(policies, state, effect, &origins, risk);
        let takeover = controls.on(ControlName::Takeover)
            && !(sabotage::is(Bug::TakeoverOnce) && effect.verdict.is_some());
        if takeover && verdict.decision == Decision::Allow {
            let verdict = Arc::make_mut(&mut verdict);
            verdict.decision = Decision::RequireApproval(operators());
            verdict.reasons = vec![TAKEOVER_REASON.to_owned()];
        }
        if let Some(caution) = state.caution(effect.number) {
            let verdict = Arc::make_mut(&mut verdict);
            if verdict.decision == Decision::Allow {
                let roles = vec!["operator".into(), "admin".into()];
                verdict.decision = Decision::RequireApproval(Quorum { approvers: 1, roles });
            }
            verdict.reasons.insert(0, caution);
        }
        let digest = model::digest_of(&(effect.digest, verdict.policy, &verdict.decision));
        Ruled { verdict, digest }
    }
}

/// What a set of policies says about an effect whose risk is known, and what no policy can lift. Reads nothing else, so
/// that a recorded decision can be made again.
pub(crate) fn judged_by(
    policies: &TenantPolicies,
    state: &Execution,
    effect: &Effect,
    origins: &[Provenance],
    risk: Risk,
) -> Arc<Verdict> {
    let input = policy_input(state, effect, origins, &risk);
    let mut verdict = match policies.verdict(&input, &risk) {
        Ok(verdict) => verdict,
        Err(error) => {
            tracing::error!(error = %error, "a policy failed, so the effect is denied");
            Arc::new(failed(&error.to_string(), policies.digest(), risk))
        }
    };
    if effect.request == model::Request::Declassify && verdict.decision == Decision::Allow {
        let verdict = Arc::make_mut(&mut verdict);
        verdict.decision = Decision::RequireApproval(operators());
        verdict.reasons = vec![DECLASSIFY_REASON.to_owned()];
    }
    if let Some(function) = &effect.function
        && verdict.decision == Decision::Allow
    {
        let verdict = Arc::make_mut(&mut verdict);
        verdict.decision = Decision::RequireApproval(operators());
        verdict.reasons = vec![format!("`{function}` {FUNCTION_REASON}")];
    }
    if let model::Request::Approval(asked) = &effect.request {
        ask(Arc::make_mut(&mut verdict), &asked.quorum);
    }
    if let Some(reason) = unreadable_amount(effect) {
        let verdict = Arc::make_mut(&mut verdict);
        verdict.decision = Decision::Deny;
        verdict.reasons = vec![reason];
    }
    verdict
}

/// People decide, as many as the workflow wants and no fewer than policy does; only who suits both.
fn ask(verdict: &mut Verdict, wanted: &Quorum) {
    let quorum = match &verdict.decision {
        Decision::Deny => return,
        Decision::Allow => wanted.clone(),
        Decision::RequireApproval(quorum) => stricter(quorum, wanted),
    };
    if quorum.roles.is_empty() {
        verdict.reasons = vec![format!(
            "nobody could decide it: the workflow asks {}, and policy asks others",
            wanted.roles.join(", ")
        )];
        verdict.decision = Decision::Deny;
        return;
    }
    verdict.decision = Decision::RequireApproval(quorum);
    verdict.reasons.insert(0, ASKED_REASON.to_owned());
}

/// The verdict when a policy could not decide.
pub(crate) fn failed(error: &str, policy: Digest, risk: Risk) -> Verdict {
    Verdict { decision: Decision::Deny, reasons: vec![format!("{FAILED_REASON}: {error}")], policy, risk }
}

/// What policies saw of a decision; none when it was made whatever they said.
pub(crate) fn input_for_shadows(
    state: &Execution,
    effect: &Effect,
    verdict: &Verdict,
) -> Option<serde_json::Value> {
    let origins = provenance::describe(&effect.arguments);
    if unreadable_amount(effect).is_some() {
        return None;
    }
    serde_json::to_value(policy_input(state, effect, &origins, &verdict.risk)).ok()
}

pub(crate) fn from_ruling(ruling: Ruling, policy: Digest, risk: Risk) -> Verdict {
    // A limit or redaction that nobody enforces must not look as if it were in force.
    if !ruling.limits.is_empty() || !ruling.redact.is_empty() {
        let reasons = vec!["the policy asks for `limits` or `redact`, which are not built yet, so the effect is denied (OH-3032)".to_owned()];
        return Verdict { decision: Decision::Deny, reasons, policy, risk };
    }
    Verdict { decision: ruling.decision, reasons: ruling.reasons, policy, risk }
}

fn may_read(effect: &Effect, decision: &Decision) -> bool {
    let reads = matches!(effect.contract.class, EffectClass::Pure | EffectClass::Read)
        && effect.contract.effect == model::EffectKind::Read;
    // Another execution is begun in the same mode, and its own effects are judged in that.
    (reads || effect.request.is_execution()) && *decision == Decision::Allow
}

fn predicted(effect: &Effect) -> Value {
    if effect.request == model::Request::Declassify {
        return effect.arguments.get("value").cloned().unwrap_or(Value::NULL);
    }
    if let model::Request::Approval(_) = &effect.request {
        let nobody = "predicted: nobody was asked";
        return Value::object([
            ("by", Value::NULL),
            ("reason", Value::string(nobody)),
            ("answer", Value::NULL),
        ]);
    }
    effect.action.as_ref().map_or(Value::NULL, |action| action.predicted.clone())
}

fn score(state: &Execution, effect: &Effect, origins: &[Provenance]) -> Risk {
    let amount = amount(effect);
    let untrusted = provenance::untrusted(origins);
    let scored = guard::risk::score(&Facts {
        contract: &effect.contract,
        operation: &effect.operation,
        amount: amount.as_ref().map(|(value, currency)| (*value, currency.as_deref())),
        untrusted_arguments: &untrusted,
        principal: state.started.requester_kind,
        history: ActorHistory::default(),
    });
    match &effect.function {
        Some(function) => {
            guard::risk::at_least_high(scored, "inline-function", format!("`{function}` {FUNCTION_REASON}"))
        }
        None => scored,
    }
}

/// The amount of money and its currency, by the pointers of the contract.
pub(crate) fn amount(effect: &Effect) -> Option<(f64, Option<String>)> {
    let fields = effect.contract.amount.as_ref()?;
    let value = match &at_pointer(&effect.arguments, &fields.value)?.data {
        #[expect(clippy::cast_precision_loss, reason = "amounts of money are far below 2^53")]
        Data::Int(i) => *i as f64,
        Data::Float(f) => *f,
        Data::String(s) => s.parse().ok()?,
        _ => return None,
    };
    let currency = fields
        .currency
        .as_ref()
        .and_then(|p| at_pointer(&effect.arguments, p))
        .and_then(|v| v.as_str().map(str::to_owned));
    Some((value, currency))
}

/// Why an amount that the contract points at cannot be judged. Policies compare numbers: an amount that is none
/// would pass under every limit, so it is a no.
fn unreadable_amount(effect: &Effect) -> Option<String> {
    let fields = effect.contract.amount.as_ref()?;
    let given = at_pointer(&effect.arguments, &fields.value).filter(|value| !value.is_null())?;
    let readable = amount(effect).is_some_and(|(value, _)| value.is_finite());
    (!readable).then(|| {
        format!(
            "the amount at `{}` is a {} that is not a number, so no limit can be held against it",
            fields.value,
            given.kind()
        )
    })
}

fn at_pointer<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(value, |value, name| match &value.data {
        Data::Object(_) => value.get(&name.replace("~1", "/").replace("~0", "~")),
        Data::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The document that policies see; `docs/policies.md` describes it.
#[derive(Serialize)]
struct PolicyInput<'a> {
    tenant: &'a TenantId,
    principal: Requester<'a>,
    workflow: Workflow<'a>,
    task: &'a str,
    action: Acting<'a>,
    arguments: &'a Value,
    amount: Option<Amount>,
    provenance: &'a [Provenance],
    risk: &'a Risk,
    mode: Mode,
    /// Who runs it, the root first; absent when nobody does.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    callers: &'a [model::family::Ancestor],
}

#[derive(Serialize)]
struct Requester<'a> {
    id: &'a PrincipalId,
    kind: PrincipalKind,
    roles: &'a BTreeSet<Role>,
}

#[derive(Serialize)]
struct Workflow<'a> {
    namespace: &'a str,
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Acting<'a> {
    operation: &'a str,
    reviewed: bool,
    effect: EffectKind,
    class: EffectClass,
    blast_radius: &'a BlastRadius,
    data: &'a [String],
    recipients: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_pointer: Option<&'a str>,
    target: Cow<'a, str>,
    /// The inline function that it is a part of; absent when it is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
}

#[derive(Serialize)]
struct Amount {
    value: f64,
    currency: Option<String>,
}

fn policy_input<'a>(
    state: &'a Execution,
    effect: &'a Effect,
    origins: &'a [Provenance],
    risk: &'a Risk,
) -> PolicyInput<'a> {
    let started = &state.started;
    let contract = &effect.contract;
    PolicyInput {
        tenant: &started.tenant,
        principal: Requester {
            id: &started.requester,
            kind: started.requester_kind,
            roles: &started.requester_roles,
        },
        workflow: Workflow { namespace: &started.namespace, name: &started.name, version: &started.version },
        task: &effect.task,
        action: Acting {
            operation: &effect.operation,
            reviewed: contract.reviewed,
            effect: contract.effect,
            class: contract.class,
            blast_radius: &contract.blast_radius,
            data: &contract.data,
            recipients: &contract.recipients,
            amount_pointer: contract.amount.as_ref().map(|fields| fields.value.as_str()),
            target: effect.request.target(),
            function: effect.function.as_deref(),
        },
        arguments: &effect.arguments,
        amount: amount(effect).map(|(value, currency)| Amount { value, currency }),
        provenance: origins,
        risk,
        mode: started.mode,
        callers: started.family.parent.as_ref().map_or(&[], |parent| parent.callers.as_slice()),
    }
}

/// What is sent, in one line.
pub(crate) fn in_one_line(effect: &Effect) -> String {
    match &effect.request {
        model::Request::Http(http) => format!("{} {}", http.method, http.uri),
        model::Request::Process(process) => match &process.program {
            model::effect::Program::Shell { command } => {
                format!("sh -c {command}").chars().take(200).collect()
            }
            model::effect::Program::Script { language, code } => {
                format!("{language}: {}", code.lines().next().unwrap_or_default()).chars().take(200).collect()
            }
            model::effect::Program::Container { image, command } => {
                let command = command.as_deref().unwrap_or("what it runs by itself");
                format!("container {image}: {command}").chars().take(200).collect()
            }
        },
        model::Request::Grpc(call) => format!("{} at {}", call.operation(), call.uri),
        model::Request::Stream(stream) => format!("{} at {}", stream.operation(), stream.uri),
        model::Request::Rpc(call) if call.is_program() => {
            let program = call.program().map(|program| program.in_one_line()).unwrap_or_default();
            let name = call.parameters.get("name").and_then(model::Value::as_str).unwrap_or_default();
            format!("mcp {} {name} of `{program}`", call.method).chars().take(200).collect()
        }
        model::Request::Rpc(call) => match call.parameters.get("name").and_then(model::Value::as_str) {
            Some(name) => format!("{} {} {name} at {}", call.protocol.name(), call.method, call.uri),
            None => format!("{} {} at {}", call.protocol.name(), call.method, call.uri),
        },
        model::Request::Declassify => "a value from outside becomes trusted".to_owned(),
        model::Request::Approval(_) => {
            let ask = effect.arguments.get("ask").and_then(Value::as_str).unwrap_or_default();
            ask.chars().take(200).collect()
        }
        model::Request::Workflow(workflow) => format!(
            "run workflow {}/{}:{}{}",
            workflow.namespace,
            workflow.name,
            workflow.version,
            if workflow.waits { "" } else { ", and go on at once" }
        ),
        model::Request::Unwind(unwind) => {
            format!("undo execution {} of workflow {}", unwind.execution, unwind.workflow)
        }
    }
}
