//! One execution: what it is, what it waits for, its picture, its effects, its data, its history, and the acts on it.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use model::Problem;
use model::event::Choice;
use model::principal::Permission;

use app::view::{ApprovalView, ExecutionView, GraphNode, HistoryEntry, ResolveRequest};
use model::approval::ApprovalStatus;

use super::effect::{address, card};
use super::layout::{Failure, Section, Shell, page as frame};
use super::session::{Act, Session};
use super::{ApprovalQuery, approvals, data, format, graph, icon, recovery, timeline};

/// Events of the history on the page; the rest is behind the API.
const HISTORY_MAX: u32 = 500;
/// Approvals that are shown for deciding.
const APPROVALS_MAX: u32 = 5;
/// Effects drawn as cards.
const EFFECTS_MAX: usize = 100;
/// Characters of a reason at the most.
const REASON_MAX: usize = 500;

/// `GET /console/executions/{id}`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Path(id): Path<String>,
) -> Result<Markup, Failure> {
    let mut shell = Shell::load(&state, &mut session, Section::Executions).await.watching(&[
        "execution",
        "approval",
        "control",
        "dead-letter",
    ]);
    let view = state.app.execution(&session.caller, &id).await?;
    shell.only = Some(view.summary.id.to_string());
    let history = state.app.history(&session.caller, &id, 0, HISTORY_MAX).await?.items;
    let s = &view.summary;
    let waiting = ApprovalQuery {
        status: Some(ApprovalStatus::Pending),
        execution: Some(s.id.clone()),
        cursor: None,
        limit: APPROVALS_MAX,
    };
    let waiting = state.app.approvals(&session.caller, waiting).await?.items;
    let nodes = match state.app.workflow(&session.caller, &s.namespace, &s.name, &s.version).await {
        Ok(workflow) => workflow.graph,
        Err(problem) if problem.status == 404 => Vec::new(),
        Err(problem) => return Err(problem.into()),
    };
    Ok(page(&shell, &view, &waiting, &history, &nodes))
}

/// `POST /console/executions/{id}/{act}`
pub(crate) async fn act(
    State(state): State<crate::State>,
    Path((id, act)): Path<(String, String)>,
    form: Act,
) -> Response {
    let caller = &form.session.caller;
    let reason = form.fields.text("reason").to_owned();
    let done = match act.as_str() {
        "cancel" => state
            .app
            .cancel(caller, &id, &reason, model::event::CancelMode::Graceful)
            .await
            .map(|row| if row.ended_at.is_some() { "cancelled" } else { "being undone" }),
        "pause" => state.app.pause(caller, &id, &reason).await.map(|_| "paused"),
        "resume" => state.app.resume(caller, &id, &reason).await.map(|_| "resumed"),
        "retry" => state.app.retry(caller, &id, &reason).await.map(|_| "tried again"),
        "resolve" => resolve(&state, &form, &id).await,
        "force" => {
            state.app.force(caller, &id, form.fields.text("effect"), &reason).await.map(|_| "goes on undoing")
        }
        "choose" => choose(&state, &form, &id, &reason).await,
        "checkpoint" => {
            let name = form.fields.text("name");
            state.app.checkpoint(caller, &id, name, &reason).await.map(|_| "has a new checkpoint")
        }
        _ => Err(Problem::not_found("act", &act)),
    };
    let back = format!("/console/executions/{}", format::segment(&id));
    form.answer(done.map(|word| format!("Execution {word}.")), &back)
}

/// Takes a person's word for what became of an effect.
async fn resolve(state: &crate::State, form: &Act, id: &str) -> Result<&'static str, Problem> {
    let fields = &form.fields;
    let output = match fields.some("output") {
        Some(text) => Some(serde_json::from_str(&text).map_err(|error| {
            let what = format!("the answer is not JSON: {error}");
            Problem::new(422, 4220, "wrong shape", what.clone()).field("/output", what)
        })?),
        None => None,
    };
    let request = ResolveRequest {
        outcome: fields.text("outcome").to_owned(),
        evidence: fields.text("evidence").to_owned(),
        output,
        reason: String::new(),
    };
    let done = state.app.resolve(&form.session.caller, id, fields.text("effect"), request).await?;
    Ok(if done.outcome.as_deref() == Some("verified") {
        "knows that it happened"
    } else {
        "knows that it did not happen"
    })
}

/// Takes a person's choice about an effect that the flow went back behind.
async fn choose(state: &crate::State, form: &Act, id: &str, reason: &str) -> Result<&'static str, Problem> {
    let (choice, word) = match form.fields.text("choice") {
        "keep" => (Choice::Keep, "keeps what was done"),
        "repeat" => (Choice::Repeat, "may do it again"),
        _ => return Err(Problem::new(422, 4220, "wrong shape", "choose keep or repeat")),
    };
    state.app.choose(&form.session.caller, id, form.fields.text("effect"), choice, reason).await.map(|_| word)
}

/// The page; `waiting` are the approvals that can be decided right here.
pub fn page(
    shell: &Shell,
    view: &ExecutionView,
    waiting: &[ApprovalView],
    history: &[HistoryEntry],
    nodes: &[GraphNode],
) -> Markup {
    let summary = &view.summary;
    let content = html! {
        (head(shell, view))
        @for approval in waiting { (approvals::card(shell, approval)) }
        (recovery::asked(shell, view))
        div.execution {
            section.card.wide aria-labelledby="h-time" {
                h2 #h-time { "Timeline" }
                (timeline::draw(view, shell.now))
            }
            section aria-labelledby="h-effects" {
                h2 #h-effects { "Effects" }
                @if view.effects.is_empty() { p.faint { "nothing was asked of the outside yet" } }
                @for effect in view.effects.iter().take(EFFECTS_MAX) { (card(shell, view, effect)) }
                @if view.effects.len() > EFFECTS_MAX { p.faint { (view.effects.len() - EFFECTS_MAX) " more effects are in the history" } }
            }
            aside {
                (recovery::compensation(view))
                (recovery::branches(view))
                (recovery::kept(view))
                section.card {
                    h2 { "Definition" }
                    div.picture { (graph::draw(nodes, &graph::state_of(view))) }
                    p { a href={ "/console/workflows/" (format::segment(&summary.namespace)) "/" (format::segment(&summary.name)) "/" (format::segment(&summary.version)) } {
                        (summary.namespace) "/" (summary.name) ":" (summary.version)
                    } }
                }
                section.card { h2 { "Input" } (data::document(&view.input)) }
                @if let Some(output) = &view.output { section.card { h2 { "Output" } (data::document(output)) } }
                @if let Some(error) = &view.error { section.card.trouble { h2 { "Error" } (data::document(error)) } }
                @if !view.context.is_null() && view.context.as_object().is_none_or(|map| !map.is_empty()) {
                    section.card { h2 { "Context" } (data::document(&view.context)) }
                }
                section.card {
                    h2 { "Record" }
                    dl.facts {
                        @if let Some(at) = view.scheduled { dt { "Scheduled" } dd { "for " (format::moment(at, shell.now)) } }
                        @if let Some((id, event)) = &view.origin { dt { "Forked from" } dd { (format::execution_link(id)) " after event " (event) } }
                        @if let Some(id) = &summary.parent { dt { "Run by" } dd { (format::execution_link(id.as_str())) } }
                        dt { "Plan" } dd { (format::id(&view.plan_digest.to_string())) }
                        dt { "Events" } dd { (format::count(view.version)) }
                        @if shell.may(Permission::ReadAudit) { dt { "Audit" } dd { a href={ "/console/audit?correlation=" (format::segment(summary.id.as_str())) } { "records of this execution" } } }
                    }
                }
            }
            section.card.wide {
                details.history {
                    summary { h2 { "History" } span.muted { (history.len()) " events" @if view.version > u64::from(HISTORY_MAX) { " of " (format::count(view.version)) } } }
                    ol.events {
                        @for entry in history {
                            li {
                                span.number { (entry.sequence) }
                                (format::moment(entry.at, shell.now))
                                span.tag.quiet { (entry.kind.replace('-', " ")) }
                                span { (entry.summary) }
                                details { summary { "whole event" } (data::document(&entry.event)) }
                            }
                        }
                    }
                }
            }
        }
    };
    let title = summary.intent.as_deref().or(view.title.as_deref()).unwrap_or(&summary.name);
    frame(shell, title, &content)
}

fn head(shell: &Shell, view: &ExecutionView) -> Markup {
    let s = &view.summary;
    let ended = s.ended_at.is_some();
    let said = match s.outcome.as_deref().filter(|_| ended) {
        Some(outcome) => format!("Execution {}, outcome {outcome}.", s.status),
        None => format!("Execution {}. {}", s.status, view.explanation),
    };
    html! {
        header.execution-head data-announce=(said) {
            nav.crumbs aria-label="Path" { a href="/console/executions" { "Executions" } " / " (format::id(s.id.as_str())) }
            h1 { (s.intent.as_deref().or(view.title.as_deref()).unwrap_or(&s.name)) }
            p.state-line {
                (format::status(&s.status)) @if s.outcome.is_some() { (format::outcome(s.outcome.as_deref())) }
                @if view.mode == "advisory" { (format::chip("warn", icon::WARNING, "advisory: nothing is changed outside")) }
                span.muted { "asked by " (s.requester) ", " (format::moment(s.started_at, shell.now)) }
                span.muted.number { (format::span(s.ended_at.unwrap_or(shell.now).0 - s.started_at.0)) }
            }
            p.explanation { (format::explained(&view.explanation, s.blocked_on.as_deref().filter(|_| !ended))) }
            @if let Some(error) = s.error.as_deref().filter(|error| !view.explanation.contains(error)) { p.bad-text { (format::prose(error)) } }
            @if shell.may(Permission::OperateExecution) {
                (acts(shell, view))
                div.more-acts {
                    a.button href={ (address(view)) "/return" } { (icon::draw(icon::BACK)) "Go back or fork" }
                    @if !ended { (recovery::checkpoint(shell, view)) }
                }
            }
        }
    }
}

fn acts(shell: &Shell, view: &ExecutionView) -> Markup {
    let s = &view.summary;
    let blocked = s.blocked_on.as_deref().map_or("", |on| on.split(':').next().unwrap_or_default());
    let possible: &[(&str, &str, &str)] = match (s.status.as_str(), blocked) {
        ("faulted", _) => &[("retry", "Retry", "primary")],
        ("completed" | "cancelled", _) => &[],
        (_, "operator") => &[("resume", "Resume", "primary"), ("cancel", "Cancel", "danger")],
        (_, "dead-letter") => &[("retry", "Retry parked work", "primary"), ("cancel", "Cancel", "danger")],
        // Behind a control an execution may be paused or not; the server knows which of the two it can do.
        ("suspended", _) => {
            &[("pause", "Pause", ""), ("resume", "Resume", ""), ("cancel", "Cancel", "danger")]
        }
        _ => &[("pause", "Pause", ""), ("cancel", "Cancel", "danger")],
    };
    let words: Vec<String> = possible.iter().map(|(_, word, _)| word.to_lowercase()).collect();
    html! {
        @if !possible.is_empty() {
            form.acts method="post" data-act {
                (shell.token())
                label { span.sr { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) placeholder={ "why: " (words.join(" or ")) } autocomplete="off"; }
                @for (act, word, tone) in possible {
                    button class={ "button " (tone) } type="submit" formaction={ "/console/executions/" (format::segment(s.id.as_str())) "/" (act) } { (word) }
                }
            }
        }
    }
}
