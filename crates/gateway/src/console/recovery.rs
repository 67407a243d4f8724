//! What an execution would undo, has undone, keeps aside, and asks people about.

use maud::{Markup, html};

use app::view::{ArmedView, CompensationView, ExecutionView, KeptView, UndoneView};
use model::principal::Permission;

use super::effect::address;
use super::layout::Shell;
use super::{data, format, icon};

/// Lines of one panel.
const LINES_MAX: usize = 100;
const REASON_MAX: usize = 500;
/// Characters of a checkpoint's name at the most.
const NAME_MAX: usize = 64;

/// The stack of undos: what is armed, newest first as it would be undone, and what was undone.
pub(super) fn compensation(view: &ExecutionView) -> Markup {
    let stack = &view.compensation;
    html! {
        @if stack.state != "idle" {
            section.card.undo aria-labelledby="h-undo" {
                header { h2 #h-undo { "Undo" } span.push { (state(&stack.state)) } }
                p.muted { (meaning(stack)) }
                @if !stack.undone.is_empty() {
                    ol.stack-of { @for undone in stack.undone.iter().take(LINES_MAX) { (undone_line(undone)) } }
                }
                @if !stack.armed.is_empty() {
                    ol.stack-of { @for armed in stack.armed.iter().rev().take(LINES_MAX) { (armed_line(armed)) } }
                }
                @let more = stack.armed.len().saturating_sub(LINES_MAX) + stack.undone.len().saturating_sub(LINES_MAX);
                @if more > 0 { p.faint { "and " (more) " more" } }
            }
        }
    }
}

fn state(word: &str) -> Markup {
    match word {
        "armed" => format::chip("quiet", icon::BACK, "armed"),
        "undoing" => format::chip("live", icon::BACK, "undoing"),
        "parked" => format::chip("bad", icon::BOX, "waits for a person"),
        "undone" => format::chip("good", icon::SEAL, "undone"),
        "incomplete" => format::chip("warn", icon::QUESTION, "not all undone"),
        "left" => format::chip("warn", icon::DASH, "left as done"),
        other => format::chip("quiet", icon::DOT, other),
    }
}

fn meaning(stack: &CompensationView) -> &'static str {
    match stack.state.as_str() {
        "armed" => "If this execution fails or is cancelled, these are undone, from the top.",
        "undoing" => "What was done is being undone, from the top.",
        "parked" => {
            "An undo could not be made. Try it again, settle it by what you see outside, or give up on it."
        }
        "undone" => "All that was to be undone is undone, and that was checked.",
        "incomplete" => "It ended, and what follows is not proven to be undone.",
        "left" => "It ended without undoing these: they stay done.",
        _ => "",
    }
}

fn armed_line(armed: &ArmedView) -> Markup {
    html! {
        @if let Some(name) = &armed.savepoint {
            li.savepoint { span { (icon::draw(icon::FLAG)) "savepoint " b { (name) } } }
        } @else {
            li {
                @match armed.effect {
                    Some(number) => a.effect-number href={ "#effect-" (number) } title={ "effect " (number) } { (number) },
                    None => span.effect-number { "·" },
                }
                span { (armed.operation.as_deref().unwrap_or("an armed action")) }
                @if let Some(branch) = &armed.branch { code.muted { (branch) } }
            }
        }
    }
}

fn undone_line(undone: &UndoneView) -> Markup {
    html! {
        li.gone {
            @match undone.effect {
                Some(number) => a.effect-number href={ "#effect-" (number) } title={ "effect " (number) } { (number) },
                None => span.effect-number { "·" },
            }
            span { s { (undone.operation) }
                @match undone.undone_by {
                    Some(by) => span.muted { " by " a href={ "#effect-" (by) } { "effect " (by) } },
                    None => span.muted { " no undo could be made" },
                }
            }
            span.push { (format::outcome(Some(&undone.outcome))) }
        }
    }
}

/// Branches of forks that are not joined yet.
pub(super) fn branches(view: &ExecutionView) -> Markup {
    html! {
        @if !view.branches.is_empty() {
            section.card aria-labelledby="h-branches" {
                h2 #h-branches { "Branches" }
                ul.branches {
                    @for branch in view.branches.iter().take(LINES_MAX) {
                        li {
                            @if branch.status == "undoing" { (format::chip("live", icon::BACK, "undoing")) } @else { (format::status(&branch.status)) }
                            span { (last(&branch.task)) @if let Some(at) = &branch.at { span.muted { " at " (last(at)) } } }
                        }
                    }
                }
                @if view.branches.len() > LINES_MAX { p.faint { "and " (view.branches.len() - LINES_MAX) " more" } }
            }
        }
    }
}

/// The name at the end of a task's pointer.
pub(super) fn last(pointer: &str) -> String {
    let name = pointer.rsplit('/').next().unwrap_or(pointer);
    if name.is_empty() { "the beginning".to_owned() } else { data::name(&format!("/{name}")) }
}

/// Effects that the flow went back behind.
pub(super) fn kept(view: &ExecutionView) -> Markup {
    html! {
        @if !view.kept.is_empty() {
            section.card aria-labelledby="h-kept" {
                h2 #h-kept { "Kept aside" }
                p.muted { "The flow went back behind these. They stand in when it asks for the very same again." }
                (kept_list(&view.kept))
            }
        }
    }
}

/// Effects behind a point, and what becomes of each.
pub(super) fn kept_list(kept: &[KeptView]) -> Markup {
    html! {
        ul.kept {
            @for effect in kept.iter().take(LINES_MAX) {
                li {
                    span.effect-number { (effect.effect) }
                    span { b { (effect.operation) } " " (format::outcome(Some(&effect.outcome)))
                        @if let Some(origin) = &effect.origin { span.muted { " of " (format::execution_link(origin)) } }
                    }
                    span.push.muted { (fate(effect)) }
                }
            }
        }
        @if kept.len() > LINES_MAX { p.faint { "and " (kept.len() - LINES_MAX) " more" } }
    }
}

fn fate(effect: &KeptView) -> &'static str {
    match (effect.choice.as_deref(), effect.answered) {
        (Some("keep"), true) => "stands in, is not sent again",
        (Some("keep"), false) => "stays; people decide before it is sent again",
        (Some("repeat"), _) => "may be asked for again",
        (Some("compensate"), _) => "is undone first",
        _ => "a person chooses",
    }
}

/// The forms for effects that nobody has chosen about yet.
pub(super) fn asked(shell: &Shell, view: &ExecutionView) -> Markup {
    let open = || view.kept.iter().filter(|effect| effect.choice.is_none());
    let asks = view.summary.ended_at.is_none() && shell.may(Permission::OperateExecution);
    html! {
        @if asks && open().next().is_some() {
            section.card.settle aria-labelledby="h-choose" {
                h2 #h-choose { "Choose what becomes of what was done" }
                p { "The flow went back behind these effects. Nothing goes on before there is a choice for each." }
                @for effect in open().take(LINES_MAX) {
                    form.acts.choice method="post" action={ (address(view)) "/choose" } data-act {
                        (shell.token())
                        input type="hidden" name="effect" value=(effect.effect);
                        span.what { span.effect-number { (effect.effect) } b { (effect.operation) } (format::outcome(Some(&effect.outcome))) }
                        label { span.sr { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) placeholder="why" autocomplete="off"; }
                        button.button.primary type="submit" name="choice" value="keep" { "Keep it" }
                        button.button type="submit" name="choice" value="repeat" { "Ask for it again" }
                    }
                }
            }
        }
    }
}

/// The form that names the place where the flow stands.
pub(super) fn checkpoint(shell: &Shell, view: &ExecutionView) -> Markup {
    html! {
        details.inline-form {
            summary.button { (icon::draw(icon::FLAG)) "Name this place" }
            form.acts method="post" action={ (address(view)) "/checkpoint" } data-act {
                (shell.token())
                label { span.sr { "Name" } input type="text" name="name" required maxlength=(NAME_MAX) pattern="[A-Za-z0-9._\\-]+" placeholder="name, for example before-payment" autocomplete="off"; }
                label { span.sr { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) placeholder="why" autocomplete="off"; }
                button.button.primary type="submit" { "Set the checkpoint" }
            }
        }
    }
}
