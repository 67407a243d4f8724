//! One effect of an execution as a card: what it is, what is known about it, and what people can say about it.

use maud::{Markup, html};
use model::principal::Permission;
use model::verdict::Decision;

use app::view::{EffectView, ExecutionView};

use super::layout::Shell;
use super::{data, format, icon};

/// Characters of a reason at the most.
const REASON_MAX: usize = 500;
/// Characters of what was seen at the most, as the server takes them.
const EVIDENCE_MAX: usize = 2_000;

/// One effect as a card.
pub fn card(shell: &Shell, of: &ExecutionView, effect: &EffectView) -> Markup {
    html! {
        article.card.effect-card #{ "effect-" (effect.number) } {
            header {
                span.effect-number { (effect.number) }
                h3 { (effect.operation) }
                (format::effect_kind(&effect.effect)) @if effect.class != effect.effect { span.tag.quiet { (effect.class) } }
                @if let Some(of) = effect.probe_of { span.tag.quiet { "checks effect " (of) } }
                @if let Some(of) = effect.compensates { span.tag.quiet { "undoes effect " (of) } }
                @if let Some(by) = effect.reused { span.tag.quiet title="nothing was sent for this one" { "stands in: effect " (by) } }
                @if let Some(id) = &effect.execution { span.tag.quiet { (format::execution_link(id.as_str())) } }
                @if let Some(by) = effect.undone_by { span.tag.quiet { "undone by effect " (by) } }
                span.push { @if effect.state == "settled" { (format::outcome(effect.outcome.as_deref())) } @else { (format::effect_state(&effect.state)) } }
            }
            p.predicted { (effect.predicted) " " span.muted { "on " (effect.target) } }
            @if let Some(evidence) = &effect.evidence { (proven(evidence, effect.outcome.as_deref())) }
            @if let Some(approval) = &effect.approval {
                p { (icon::draw(icon::PERSON)) a href={ "/console/approvals/" (approval) } {
                    @if effect.state == "awaiting-approval" { "Decide this effect" } @else { "The approval" }
                } }
            }
            (attempts(shell, effect))
            @if shell.may(Permission::OperateExecution) {
                @if resolvable(effect) { (resolve(shell, of, effect)) }
                @if forcible(of, effect) { (force(shell, of, effect)) }
            }
            details { summary { "Arguments" } (data::arguments(&effect.arguments, &effect.provenance)) }
            @if let Some(verdict) = &effect.verdict {
                details {
                    summary { "Verdict " (decided(&verdict.decision)) " " span.muted { "risk " (verdict.risk.score) } }
                    (format::risk(&verdict.risk))
                    ul.reasons { @for reason in verdict.reasons.iter().take(50) { li { (format::prose(reason)) } } }
                    p.faint { "policy " (format::id(&verdict.policy.to_string())) }
                }
            }
            @if let Some(output) = &effect.output { details { summary { "Answer" } (data::document(output)) } }
            details {
                summary { "Proof" }
                dl.facts {
                    dt { "Digest" } dd { (format::id(&effect.digest.to_string())) }
                    dt { "Key" } dd { (format::id(&effect.key)) }
                    @if let Some(permit) = &effect.permit { dt { "Permit" } dd { (format::id(permit)) } }
                    dt { "Task" } dd { code { (effect.task) } }
                }
            }
        }
    }
}

/// What is known about the outcome, in the colour of the outcome.
fn proven(evidence: &str, outcome: Option<&str>) -> Markup {
    let (tone, mark) = match outcome {
        Some("verified") => ("good-text", icon::SEAL),
        Some("failed") => ("bad-text", icon::CROSS),
        Some(_) => ("muted", icon::QUESTION),
        None => ("bad-text", icon::WARNING),
    };
    html! { p class={ "evidence " (tone) } { (icon::draw(mark)) span { (format::prose(evidence)) } } }
}

fn attempts(shell: &Shell, effect: &EffectView) -> Markup {
    html! {
        @if !effect.attempts.is_empty() {
            ol.attempts {
                @for attempt in effect.attempts.iter().take(50) {
                    @let tone = match attempt.answer.as_deref() { Some("done") => "good", Some("refused") => "bad", Some(_) => "warn", None => "live" };
                    li {
                        span.muted { "attempt " (attempt.number) }
                        (format::chip(tone, icon::DOT, attempt.answer.as_deref().unwrap_or("under way")))
                        (format::moment(attempt.started_at, shell.now))
                        @if let Some(end) = attempt.ended_at { span.number.muted { (format::span(end.0 - attempt.started_at.0)) } }
                        @if let Some(error) = &attempt.error { span.bad-text { (error) } }
                    }
                }
            }
        }
    }
}

fn decided(decision: &Decision) -> Markup {
    match decision {
        Decision::Allow => format::decision("allow"),
        Decision::Deny => format::decision("deny"),
        Decision::RequireApproval(_) => format::decision("require-approval"),
    }
}

/// Nobody knows what became of it, and a person can find out.
fn resolvable(effect: &EffectView) -> bool {
    let unknown = effect.state == "settled" && effect.outcome.as_deref() == Some("unknown");
    let asked = effect.probe_of.is_none() && effect.compensates.is_none() && !effect.attempts.is_empty();
    effect.state == "parked" || unknown && asked && effect.reused.is_none()
}

/// An undo that waits for a person, or an effect whose undo cannot be made.
fn forcible(of: &ExecutionView, effect: &EffectView) -> bool {
    let stuck =
        || of.summary.blocked_on.as_deref() == Some(format!("compensation:{}", effect.number).as_str());
    of.compensation.state == "parked"
        && of.summary.ended_at.is_none()
        && (effect.undo && effect.state == "parked" || stuck())
}

fn resolve(shell: &Shell, of: &ExecutionView, effect: &EffectView) -> Markup {
    html! {
        section.settle aria-label={ "Settle effect " (effect.number) } {
            h4 { (icon::draw(icon::QUESTION)) "Nobody knows whether this happened" }
            p { "Look at " b { (effect.target) } " for the key " code { (effect.key) } ", then say what you saw. Your word goes into history and audit log." }
            @if of.summary.requester == shell.principal.id.as_str() {
                p.refusal { (icon::draw(icon::WARNING)) "You asked for this execution: somebody else has to look." }
            } @else {
                form.stacked method="post" action={ (address(of)) "/resolve" } data-act {
                    (shell.token())
                    input type="hidden" name="effect" value=(effect.number);
                    label.field { span { "What was seen, and where" } textarea.prose name="evidence" rows="2" required maxlength=(EVIDENCE_MAX) placeholder="for example: the ledger shows refund 77, settled" {} }
                    @if effect.state == "parked" {
                        details { summary { "The answer that the flow goes on with" }
                            label.field { span { "As JSON; what the contract predicts when empty" } textarea name="output" rows="2" spellcheck="false" {} }
                        }
                    }
                    div.buttons {
                        button.button.primary type="submit" name="outcome" value="verified" { (icon::draw(icon::SEAL)) "It happened" }
                        @if !effect.undo { button.button.danger type="submit" name="outcome" value="failed" { (icon::draw(icon::CROSS)) "It did not happen" } }
                    }
                }
            }
        }
    }
}

fn force(shell: &Shell, of: &ExecutionView, effect: &EffectView) -> Markup {
    html! {
        details.settle {
            summary { "Give up on this undo" }
            form.stacked method="post" action={ (address(of)) "/force" } data-act {
                (shell.token())
                input type="hidden" name="effect" value=(effect.number);
                p { "What it was to undo stays done, undoing goes on with what is behind it, and the execution’s outcome is " b { "unknown" } "." }
                label.field { span { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) autocomplete="off"; }
                div.buttons { button.button.danger type="submit" { "Give up on it" } }
            }
        }
    }
}

/// The execution's page.
pub(super) fn address(of: &ExecutionView) -> String {
    format!("/console/executions/{}", format::segment(of.summary.id.as_str()))
}
