//! Workflows: the list, and one version with its picture, intents, run form and source.

use axum::extract::{Path, Query, State};
use maud::{Markup, PreEscaped, html};
use model::principal::Permission;
use serde::Deserialize;
use serde_json::Value as Json;

use app::view::{PageOf, WorkflowView};

use super::graph::States;
use super::layout::{Failure, Section, Shell, empty, heading, more, page as frame};
use super::session::Session;
use super::{data, form, format, goal, graph};

/// Rows of one page.
const ROWS: u32 = 100;
/// Lines of a source that are shown.
const LINES_MAX: usize = 3_000;

/// The page's cursor.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Cursor {
    /// Where to go on.
    pub cursor: Option<String>,
}

/// `GET /console/workflows`
pub(crate) async fn list(
    State(state): State<crate::State>,
    mut session: Session,
    Query(at): Query<Cursor>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Workflows)
        .await
        .watching(&["workflow", "control", "approval"]);
    let found = state.app.workflows(&session.caller, at.cursor, ROWS).await?;
    Ok(list_page(&shell, &found))
}

/// `GET /console/workflows/{namespace}/{name}/{version}`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Path((namespace, name, version)): Path<(String, String, String)>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Workflows).await;
    let view = state.app.workflow(&session.caller, &namespace, &name, &version).await?;
    Ok(page(&shell, &view))
}

/// The list.
pub fn list_page(shell: &Shell, found: &PageOf<WorkflowView>) -> Markup {
    let next =
        found.next.as_deref().map(|cursor| format!("/console/workflows?cursor={}", format::segment(cursor)));
    let content = html! {
        (heading("Workflows", "Published definitions. A version never changes."))
        @if shell.may(Permission::SubmitGoal) { (goal::ask(shell, "", None)) }
        @if found.items.is_empty() { (empty("No workflows yet", "Publish one with `omnihub workflows publish`.")) } @else {
            table.list {
                thead { tr { th { "Workflow" } th { "Says" } th { "Reaches" } th { "Owner" } th { "Published" } } }
                tbody {
                    @for w in &found.items {
                        tr data-item tabindex="-1" {
                            td.what data-label="Workflow" {
                                a href=(href(w)) { b { (w.title.as_deref().unwrap_or(&w.name)) } }
                                span.muted { (w.namespace) "/" (w.name) ":" (w.version) }
                            }
                            td.what data-label="Says" { @if let Some(intent) = w.intents.first() { span { "“" (intent) "”" } } @else { span.faint { "no examples" } } }
                            td.what data-label="Reaches" { @for action in w.actions.iter().take(4) { code { (action) } } @if w.actions.len() > 4 { span.faint { "and " (w.actions.len() - 4) " more" } } }
                            td data-label="Owner" { (w.owner.as_deref().unwrap_or("nobody")) }
                            td data-label="Published" { (format::moment(w.published_at, shell.now)) }
                        }
                    }
                }
            }
        }
        (more(next.as_deref()))
    };
    frame(shell, "Workflows", &content)
}

fn href(w: &WorkflowView) -> String {
    format!(
        "/console/workflows/{}/{}/{}",
        format::segment(&w.namespace),
        format::segment(&w.name),
        format::segment(&w.version)
    )
}

/// One version.
pub fn page(shell: &Shell, w: &WorkflowView) -> Markup {
    let content = html! {
        nav.crumbs aria-label="Path" { a href="/console/workflows" { "Workflows" } " / " (w.namespace) "/" (w.name) ":" (w.version) }
        (heading(w.title.as_deref().unwrap_or(&w.name), w.summary.as_deref().unwrap_or("")))
        div.two.wide-left {
            div {
                section.card { h2 { "Tasks" } div.picture { (picture(w)) } }
                @if !w.warnings.is_empty() {
                    section.card { h2 { "Warnings" } ul.reasons { @for warning in w.warnings.iter().take(50) { li { "line " (warning.line) ": " (warning.message) @if let Some(hint) = &warning.hint { " " span.muted { (hint) } } } } } }
                }
                section.card { details open[w.source.len() < 6_000] { summary { h2 { "Source" } } (source(&w.source)) } }
            }
            aside {
                @if shell.may(Permission::SubmitGoal) { (run_form(shell, w, &Json::Null)) }
                section.card {
                    h2 { "People say" }
                    @if w.intents.is_empty() { p.faint { "no example sentences" } }
                    ul.intents { @for intent in w.intents.iter().take(30) { li { "“" (intent) "”" } } }
                }
                section.card {
                    h2 { "Facts" }
                    dl.facts {
                        dt { "Owner" } dd { (w.owner.as_deref().unwrap_or("nobody")) }
                        dt { "Published" } dd { (format::moment(w.published_at, shell.now)) " by " (w.published_by) }
                        dt { "Digest" } dd { (format::id(&w.digest.to_string())) }
                        dt { "Reaches" } dd { @for action in w.actions.iter().take(50) { a.line href={ "/console/actions/" (format::segment(action)) } { code { (action) } } } }
                    }
                    a href={ "/console/executions?workflow=" (format::segment(&format!("{}/{}", w.namespace, w.name))) } { "Its executions" }
                }
                @if let Some(schema) = &w.input_schema { section.card { details { summary { h2 { "Input schema" } } (data::document(schema)) } } }
            }
        }
    };
    frame(shell, w.title.as_deref().unwrap_or(&w.name), &content)
}

/// The picture that `omnihub workflows graph` draws; for a text of an older form the plain one.
fn picture(w: &WorkflowView) -> Markup {
    match dsl::picture::draw(&w.source, dsl::picture::Frame::Page) {
        Ok(svg) => PreEscaped(svg),
        Err(_) => graph::draw(&w.graph, &States::new()),
    }
}

/// The form that makes a plan of this workflow; `given` fills what is known.
pub(crate) fn run_form(shell: &Shell, w: &WorkflowView, given: &Json) -> Markup {
    html! {
        section.card {
            h2 { "Run it" }
            form.stacked method="post" action="/console/goals/plan" {
                (shell.token())
                input type="hidden" name="namespace" value=(w.namespace);
                input type="hidden" name="name" value=(w.name);
                input type="hidden" name="version" value=(w.version);
                (form::of_schema(w.input_schema.as_ref(), given))
                button.button.primary type="submit" { "Show the plan" }
            }
        }
    }
}

/// Text with line numbers that can be linked to.
pub(crate) fn source(text: &str) -> Markup {
    let total = text.lines().count();
    html! {
        div.source tabindex="0" role="region" aria-label="Source" {
            ol { @for line in text.lines().take(LINES_MAX) { li { code { (line) } } } }
        }
        @if total > LINES_MAX { p.faint { (total - LINES_MAX) " more lines" } }
    }
}
