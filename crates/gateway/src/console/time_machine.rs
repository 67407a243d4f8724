//! The policy time machine: a candidate over recorded history, and a candidate beside live decisions.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use model::principal::Permission;

use app::view::{ChangedDecision, ShadowView, Simulation, SimulationRequest, Transition, VerdictSummary};

use super::layout::{Failure, Section, Shell, page as frame};
use super::session::{Act, Fields};
use super::{format, icon};

/// Lines of one table.
const LINES_MAX: usize = 200;
/// Files of one candidate.
const FILES_MAX: usize = 50;
/// Beginning of the names of fields that hold a file.
const FILE: &str = "file:";
const DAY_MS: i64 = 86_400_000;

/// `POST /console/policies/{name}/simulate`: changes nothing, shows what would have been decided.
pub(crate) async fn simulate(
    State(state): State<crate::State>,
    Path(name): Path<String>,
    mut form: Act,
) -> Result<Response, Failure> {
    let modules = modules(&form.fields);
    let days = form.fields.text("days").parse::<i64>().ok().filter(|days| (1..=3650).contains(days));
    let request = SimulationRequest {
        name: Some(name.clone()),
        modules: Some(modules.clone()),
        workflow: form.fields.some("workflow"),
        since: days.map(|days| model::Timestamp(super::layout::now().0 - days * DAY_MS)),
        ..SimulationRequest::default()
    };
    let found = state.app.simulate_policy(&form.session.caller, request).await?;
    "/console/policies".clone_into(&mut form.session.path);
    // A refresh would take the result away.
    let shell = Shell::load(&state, &mut form.session, Section::Policies).await.watching(&[]);
    Ok(page(&shell, &found, &modules).into_response())
}

/// `POST /console/policies/{name}/shadow`
pub(crate) async fn shadow(
    State(state): State<crate::State>,
    Path(name): Path<String>,
    form: Act,
) -> Response {
    match state.app.put_shadow(&form.session.caller, &name, modules(&form.fields)).await {
        Ok(_) => {
            let told = "It is judged beside every live decision now, and enforces nothing.";
            form.go("/console/policies".to_owned(), told.to_owned())
        }
        Err(problem) => form.answer(Err(problem), "/console/policies"),
    }
}

/// `POST /console/policies/{name}/unshadow`
pub(crate) async fn unshadow(
    State(state): State<crate::State>,
    Path(name): Path<String>,
    form: Act,
) -> Response {
    let done = state.app.delete_shadow(&form.session.caller, &name).await;
    form.answer(done.map(|()| format!("The shadow of {name} is gone.")), "/console/policies")
}

fn modules(fields: &Fields) -> BTreeMap<String, String> {
    // Browsers send line ends as CRLF; the digest of a policy is over what was written.
    let file = |(name, text): &(String, String)| {
        name.strip_prefix(FILE).map(|file| (file.to_owned(), text.replace("\r\n", "\n")))
    };
    fields.0.iter().filter_map(file).filter(|(_, text)| !text.trim().is_empty()).take(FILES_MAX).collect()
}

/// The form in a policy's card.
pub(super) fn form(shell: &Shell, name: &str, files: &BTreeMap<String, String>) -> Markup {
    let at = format!("/console/policies/{}", format::segment(name));
    html! {
        details.candidate {
            summary { "Try another version" }
            form.stacked method="post" action={ (at) "/simulate" } {
                (shell.token())
                @for (file, text) in files.iter().take(FILES_MAX) {
                    label.field { span { code { (file) } } textarea name={ (FILE) (file) } rows="14" spellcheck="false" { (text) } }
                }
                div.fields {
                    label.field { span { "History of the last" } select name="days" { option value="1" { "day" } option value="7" selected { "7 days" } option value="30" { "30 days" } option value="365" { "year" } } }
                    label.field { span { "Only of the workflow" } input type="text" name="workflow" placeholder="all" autocomplete="off"; }
                }
                div.buttons {
                    button.button.primary type="submit" { (icon::draw(icon::BACK)) "Run over history" }
                    button.button type="submit" formaction={ (at) "/shadow" } { "Judge beside live decisions" }
                }
                p.hint { "Neither of them puts it in force." }
            }
        }
    }
}

/// What a candidate would have decided.
pub fn page(shell: &Shell, found: &Simulation, files: &BTreeMap<String, String>) -> Markup {
    let content = html! {
        header.page-head {
            nav.crumbs aria-label="Path" { a href="/console/policies" { "Policies" } " / " (found.name) }
            h1 { @if found.changed == 0 { "Nothing would change" } @else { (format::count(found.changed)) " of " (format::count(found.decisions)) " decisions would change" } }
            p.muted { "The candidate for " b { (found.name) } " over " (format::count(found.executions)) " recorded executions"
                @if let (Some(from), Some(until)) = (found.from, found.until) { ", decisions from " (format::moment(from, shell.now)) " to " (format::moment(until, shell.now)) } ". Nothing was changed." }
        }
        div.figures.four {
            (figure(found.changed_executions, "executions go another way", "warn"))
            (figure(found.stopped_executions, "are denied only by the candidate", "bad"))
            div.figure { b { (format::count(found.approvals_before)) " → " (format::count(found.approvals_after)) } span { "approvals" } }
            div.figure { b { (rate(found.approvals_per_day.0)) " → " (rate(found.approvals_per_day.1)) } span { "approvals a day" } }
        }
        @if found.failures > 0 || found.unreadable > 0 {
            section.card.trouble { h2 { "Could not be judged" }
                p { "Decisions on which the candidate fails, which means deny: " b { (found.failures) } ". Executions whose history cannot be read: " b { (found.unreadable) } "." }
                ul.reasons { @for what in found.listed_failures.iter().take(LINES_MAX) { li { (format::prose(what)) } } } }
        }
        @if !found.transitions.is_empty() {
            section.card aria-labelledby="h-flow" { h2 #h-flow { "From what to what" } (flow(&found.transitions, found.changed)) }
        }
        @if !found.changes.is_empty() {
            section aria-labelledby="h-changes" {
                h2 #h-changes { "Decisions that would change" }
                (changes(shell, &found.changes))
                @if found.changes.len() > LINES_MAX || found.changed > found.changes.len() as u64 { p.faint { (format::count(found.changed)) " in all; the rest is behind the API" } }
            }
        }
        @if found.next.is_some() { p.faint { "There is older history that was not looked at: choose a shorter time, or go on with " code { "omnihub policies simulate" } "." } }
        details.card { summary { h2 { "The candidate" } } (form(shell, &found.name, files)) }
    };
    frame(shell, "Time machine", &content)
}

fn figure(number: u64, word: &str, tone: &str) -> Markup {
    html! { div class={ "figure " (if number == 0 { "none" } else { tone }) } { b { (format::count(number)) } span { (word) } } }
}

fn rate(number: f64) -> String {
    if number >= 100.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// Each change as a band: how wide says how often.
fn flow(transitions: &[Transition], changed: u64) -> Markup {
    html! {
        ul.flow {
            @for change in transitions.iter().take(20) {
                li {
                    span.flow-from { (decision(&change.from)) }
                    svg viewBox="0 0 1000 16" preserveAspectRatio="none" aria-hidden="true" {
                        rect.track x="0" y="7" width="1000" height="2" {}
                        rect class={ "band " (tone(&change.to)) } x="0" y="1" width=(change.count.saturating_mul(1000) / changed.max(change.count).max(1)) height="14" rx="3" {}
                    }
                    span.flow-to { (decision(&change.to)) }
                    b.number { (format::count(change.count)) }
                }
            }
        }
    }
}

fn tone(word: &str) -> &'static str {
    match word.split(' ').next() {
        Some("allow") => "good",
        Some("deny") => "bad",
        _ => "wait",
    }
}

/// The decision as a chip, with the number of people when it is more than one.
fn decision(word: &str) -> Markup {
    let (name, rest) = word.split_once(' ').unwrap_or((word, ""));
    html! { (format::decision(name)) @if !rest.is_empty() { " " span.muted { (rest) } } }
}

fn changes(shell: &Shell, found: &[ChangedDecision]) -> Markup {
    html! {
        table.list {
            thead { tr { th { "Effect" } th { "Who asked" } th { "Decided" } th { "Would be" } th { "When" } } }
            tbody { @for change in found.iter().take(LINES_MAX) {
                tr data-item tabindex="-1" {
                    td data-label="Effect" {
                        b { (change.operation) } " "
                        @if let Some((amount, currency)) = &change.amount { span.number { (amount) @if let Some(currency) = currency { " " (currency) } } " " }
                        span.line.muted { "effect " (change.effect) " of " (format::execution_link(change.execution.as_str())) }
                        @if !change.reached { span.line.faint { "might not have come up: an earlier effect is denied" } }
                    }
                    td data-label="Who" { (change.requester) }
                    td data-label="Decided" { (verdict(&change.from)) }
                    td.wrap data-label="Would be" { (verdict(&change.to)) }
                    td data-label="When" { (format::moment(change.at, shell.now)) }
                }
            } }
        }
    }
}

fn verdict(verdict: &VerdictSummary) -> Markup {
    html! {
        (decision(&verdict.to_string()))
        @for reason in verdict.reasons.iter().take(3) { span.line.muted { (format::prose(reason)) } }
    }
}

/// A candidate that is judged beside live decisions.
pub(super) fn shadow_card(shell: &Shell, shadow: &ShadowView) -> Markup {
    let total = shadow.judged.max(1);
    let share = |count: u64| count.saturating_mul(1000) / total;
    html! {
        article.card.shadow {
            header {
                h2 { (shadow.name) " in the shadow" }
                @if shadow.suspended { (format::chip("bad", icon::PAUSE, "suspended: it failed too often")) } @else { (format::chip("quiet", icon::DOT, "does not enforce")) }
                span.muted { "since " (format::moment(shadow.at, shell.now)) " by " (shadow.by) }
                @if shell.may(Permission::ChangePolicy) {
                    form.push method="post" action={ "/console/policies/" (format::segment(&shadow.name)) "/unshadow" } data-act { (shell.token()) button.button type="submit" { "Take it away" } }
                }
            }
            svg.shares viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true" {
                rect.track x="0" y="0" width="1000" height="12" {}
                rect.share.verified x="0" y="0" width=(share(shadow.agreed)) height="12" {}
                rect.share.unknown x=(share(shadow.agreed)) y="0" width=(share(shadow.differed)) height="12" {}
                rect.share.failed x=(share(shadow.agreed + shadow.differed)) y="0" width=(share(shadow.failed)) height="12" {}
            }
            ul.share-words {
                li { b.number { (format::count(shadow.judged)) } " live decisions judged" }
                li { b.number { (format::count(shadow.agreed)) } " alike" }
                li { b.number { (format::count(shadow.differed)) } " otherwise" }
                li { b.number { (format::count(shadow.failed)) } " failed" }
                @if shadow.missed > 0 { li.muted { b.number { (format::count(shadow.missed)) } " not judged" } }
            }
            @if !shadow.cases.is_empty() {
                table.list {
                    thead { tr { th { "Effect" } th { "Who asked" } th { "Holds" } th { "Would be" } th { "When" } } }
                    tbody { @for case in shadow.cases.iter().rev().take(20) {
                        tr {
                            td data-label="Effect" { b { (case.operation) } " " span.line.muted { "effect " (case.effect) " of " (format::execution_link(case.execution.as_str())) } }
                            td data-label="Who" { (case.requester) }
                            td data-label="Holds" { (verdict(&case.from)) }
                            td.wrap data-label="Would be" { (verdict(&case.to)) }
                            td data-label="When" { (format::moment(case.at, shell.now)) }
                        }
                    } }
                }
            }
        }
    }
}
