//! The list of executions: search, filters, live rows, pages.

use axum::extract::{Query, State};
use maud::{Markup, html};
use model::Timestamp;
use model::principal::Permission;
use serde::Deserialize;

use app::view::{ExecutionSummary, PageOf};

use super::layout::{Failure, Section, Shell, empty, heading, more, page as frame};
use super::session::Session;
use super::{ExecutionQuery, format, icon, many};

/// Rows of one page.
const ROWS: u32 = 50;
/// Characters of a search at the most.
const SEARCH_MAX: usize = 200;
const STATUSES: [&str; 7] =
    ["pending", "running", "waiting", "suspended", "completed", "faulted", "cancelled"];
const OUTCOMES: [&str; 3] = ["verified", "unknown", "failed"];

/// What the reader looks for, as the address says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Filter {
    /// Statuses with commas between.
    #[serde(default)]
    pub status: String,
    /// An outcome.
    #[serde(default)]
    pub outcome: String,
    /// A workflow.
    #[serde(default)]
    pub workflow: String,
    /// Text.
    #[serde(default)]
    pub q: String,
    /// The page's cursor.
    #[serde(default)]
    pub cursor: String,
}

impl Filter {
    fn statuses(&self) -> Vec<&str> {
        self.status.split(',').filter(|word| STATUSES.contains(word)).collect()
    }

    /// What the store is asked.
    pub(super) fn query(&self) -> ExecutionQuery {
        let some = |text: &str| {
            Some(text.trim().chars().take(SEARCH_MAX).collect()).filter(|t: &String| !t.is_empty())
        };
        ExecutionQuery {
            statuses: self.statuses().into_iter().map(str::to_owned).collect(),
            workflow: some(&self.workflow),
            blocked_on: None,
            requester: None,
            parent: None,
            outcome: some(&self.outcome).filter(|word| OUTCOMES.contains(&word.as_str())),
            text: some(&self.q),
            after: None,
            before: None,
            cursor: some(&self.cursor),
            limit: ROWS,
        }
    }

    /// The address of the list with another status, outcome or cursor.
    fn href(&self, status: &str, outcome: &str, cursor: &str) -> String {
        let pairs = [
            ("status", status),
            ("outcome", outcome),
            ("workflow", &self.workflow),
            ("q", &self.q),
            ("cursor", cursor),
        ];
        let query: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", format::segment(value)))
            .collect();
        format!("/console/executions?{}", query.join("&"))
    }

    fn toggled(&self, word: &str) -> String {
        let mut words = self.statuses();
        match words.iter().position(|known| *known == word) {
            Some(at) => drop(words.remove(at)),
            None => words.push(word),
        }
        self.href(&words.join(","), &self.outcome, "")
    }
}

/// `GET /console/executions`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Query(filter): Query<Filter>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Executions).await.watching(&[
        "execution",
        "approval",
        "control",
        "dead-letter",
    ]);
    let found = state.app.executions(&session.caller, filter.query()).await?;
    Ok(page(&shell, &filter, &found))
}

/// The page.
pub fn page(shell: &Shell, filter: &Filter, found: &PageOf<ExecutionSummary>) -> Markup {
    let chosen = filter.statuses();
    let next = found.next.as_deref().map(|cursor| filter.href(&filter.status, &filter.outcome, cursor));
    let content = html! {
        (heading("Executions", "Every run of a plan, newest first. Rows change as the work goes on."))
        form.filters role="search" method="get" action="/console/executions" {
            label.search {
                (icon::draw(icon::SEARCH)) span.sr { "Search" }
                input type="search" name="q" value=(filter.q) maxlength=(SEARCH_MAX) placeholder="id, goal, requester, error" data-search;
            }
            label.field-inline {
                span.sr { "Workflow" }
                input type="text" name="workflow" value=(filter.workflow) maxlength=(SEARCH_MAX) placeholder="namespace/workflow";
            }
            input type="hidden" name="status" value=(filter.status);
            input type="hidden" name="outcome" value=(filter.outcome);
            button.button type="submit" { "Find" }
        }
        div.chips role="group" aria-label="Filters" {
            @for word in STATUSES {
                a.filter href=(filter.toggled(word)) aria-pressed=(chosen.contains(&word)) role="button" { (format::status(word)) }
            }
            span.divider aria-hidden="true" {}
            @for word in OUTCOMES {
                @let on = filter.outcome == word;
                a.filter href=(filter.href(&filter.status, if on { "" } else { word }, "")) aria-pressed=(on) role="button" { (format::outcome(Some(word))) }
            }
            @if !filter.status.is_empty() || !filter.outcome.is_empty() || !filter.q.is_empty() || !filter.workflow.is_empty() {
                a.clear href="/console/executions" { "Clear" }
            }
        }
        @if shell.may(Permission::OperateExecution) && !found.items.is_empty() { (many::offer(filter)) }
        (table(&found.items, shell.now))
        (more(next.as_deref()))
    };
    frame(shell, "Executions", &content)
}

/// Executions as rows; cards where the page is narrow.
pub fn table(rows: &[ExecutionSummary], now: Timestamp) -> Markup {
    html! {
        @if rows.is_empty() {
            (empty("No executions here", "Submit a goal, or look for something else."))
        } @else {
            table.list {
                thead {
                    tr { th { "Execution" } th { "What" } th { "Status" } th { "Outcome" } th { "Started" } th.end { "Took" } }
                }
                tbody {
                    @for row in rows {
                        tr #{ "row-" (row.id) } data-item tabindex="-1" {
                            td data-label="Execution" { (format::execution_link(row.id.as_str())) }
                            td.what data-label="What" {
                                @if let Some(intent) = &row.intent { span.intent { (intent) } }
                                span.muted { (row.namespace) "/" (row.name) ":" (row.version) }
                                @if let Some(error) = &row.error { span.bad-text { (error) } }
                                @else if let Some(on) = row.blocked_on.as_deref() { span.wait-text { (format::blocked(on)) } }
                            }
                            td data-label="Status" { (format::status(&row.status)) }
                            td data-label="Outcome" { (format::outcome(row.outcome.as_deref())) }
                            td data-label="Started" { (format::moment(row.started_at, now)) }
                            td.end.number data-label="Took" {
                                (format::span(row.ended_at.unwrap_or(now).0 - row.started_at.0))
                            }
                        }
                    }
                }
            }
        }
    }
}
