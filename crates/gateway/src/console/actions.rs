//! The catalogue: what can be done outside, and what each contract promises.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};

use app::view::{ActionView, PageOf};

use super::layout::{Failure, Section, Shell, empty, heading, more, page as frame};
use super::session::Session;
use super::workflows::{Cursor, source};
use super::{data, format, icon};

/// Cards of one page.
const ROWS: u32 = 60;

/// `GET /console/actions`
pub(crate) async fn list(
    State(state): State<crate::State>,
    mut session: Session,
    Query(at): Query<Cursor>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Actions)
        .await
        .watching(&["action", "control", "approval"]);
    let found = state.app.actions(&session.caller, at.cursor, ROWS).await?;
    Ok(list_page(&shell, &found))
}

/// `GET /console/actions/{reference}`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Path(reference): Path<String>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Actions).await;
    let view = state.app.action(&session.caller, &reference).await?;
    Ok(page(&shell, &view))
}

/// The list.
pub fn list_page(shell: &Shell, found: &PageOf<ActionView>) -> Markup {
    let next =
        found.next.as_deref().map(|cursor| format!("/console/actions?cursor={}", format::segment(cursor)));
    let content = html! {
        (heading("Actions", "What can be done outside. The contract is the only trusted source about an action."))
        @if found.items.is_empty() { (empty("No actions yet", "Publish one with `omnihub actions publish`.")) }
        div.cards { @for action in &found.items { (card(action, shell)) } }
        (more(next.as_deref()))
    };
    frame(shell, "Actions", &content)
}

/// One action.
pub fn page(shell: &Shell, action: &ActionView) -> Markup {
    let content = html! {
        nav.crumbs aria-label="Path" { a href="/console/actions" { "Actions" } " / " (action.reference) }
        (heading(action.title.as_deref().unwrap_or(&action.reference), "An action never changes once it is published."))
        div.two {
            div { (card(action, shell)) @if let Some(schema) = &action.input_schema { section.card { h2 { "Arguments" } (data::document(schema)) } } }
            section.card { h2 { "Source" } (source(&action.source)) }
        }
    };
    frame(shell, &action.reference, &content)
}

fn card(action: &ActionView, shell: &Shell) -> Markup {
    let c = &action.contract;
    html! {
        article.card.action data-item tabindex="-1" {
            header {
                h3 { a href={ "/console/actions/" (format::segment(&action.reference)) } { (action.reference) } }
                span.push { (format::effect_kind(c.effect.name())) }
            }
            @if let Some(title) = &action.title { p { (title) } }
            dl.facts {
                dt { "After a crash" } dd { b { (c.class.name()) } " " span.muted { (meaning(c.class.name())) } }
                @if !c.blast_radius.scope.is_empty() { dt { "Can touch" } dd { "up to " (c.blast_radius.max) " " (c.blast_radius.unit) " of one " (c.blast_radius.scope) } }
                @if !c.data.is_empty() { dt { "Data" } dd { (c.data.join(", ")) } }
                dt { "Outcome" } dd {
                    @if c.verified { (format::chip("good", icon::SEAL, "is checked")) }
                    @else if matches!(c.class.name(), "pure" | "read") { span.muted { "nothing is changed, so nothing needs checking" } }
                    @else { (format::chip("warn", icon::QUESTION, "is not checked")) }
                }
                @if let Some(undo) = &c.compensate { dt { "Undone by" } dd { a href={ "/console/actions/" (format::segment(&undo.to_string())) } { (undo) } } }
                @if !c.hosts.is_empty() { dt { "Connects to" } dd { @for host in c.hosts.iter().take(20) { code.line { (host) } } } }
                dt { "Retries" } dd { "up to " (c.retries_max) }
                dt { "Published" } dd { (format::moment(action.published_at, shell.now)) " by " (action.published_by) }
                dt { "Digest" } dd { (format::id(&action.digest.to_string())) }
            }
            @if !c.reviewed { p.refusal { (icon::draw(icon::WARNING)) "Nobody reviewed this contract." } }
        }
    }
}

fn meaning(class: &str) -> &'static str {
    match class {
        "pure" | "read" => "it is repeated",
        "idempotent" => "it is repeated with the same key",
        "probeable" => "the outside is asked whether it happened",
        "compensable" => "it can be undone",
        "irreversible" => "it is parked for a human, never blindly repeated",
        _ => "",
    }
}
