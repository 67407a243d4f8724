//! The overview: what runs, what ended, what needs somebody.

use axum::extract::State;
use maud::{Markup, html};
use model::principal::Permission;

use app::view::{ApprovalView, DeadLetterView, ExecutionSummary, Overview};

use super::layout::{Failure, Section, Shell, empty, page as frame};
use super::session::Session;
use super::{ApprovalQuery, ExecutionQuery, executions, format, goal, icon, picture};

/// Rows of each list on this page.
const ROWS: u32 = 6;

/// What the page shows.
#[derive(Debug)]
pub struct Facts {
    /// Figures.
    pub overview: Overview,
    /// The first pending approvals.
    pub approvals: Vec<ApprovalView>,
    /// The first open dead letters.
    pub dead_letters: Vec<DeadLetterView>,
    /// The newest executions.
    pub recent: Vec<ExecutionSummary>,
}

/// `GET /console`
pub(crate) async fn get(State(state): State<crate::State>, mut session: Session) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Overview).await.watching(&[
        "execution",
        "approval",
        "control",
        "dead-letter",
    ]);
    let caller = &session.caller;
    let pending = ApprovalQuery {
        status: Some(model::approval::ApprovalStatus::Pending),
        limit: ROWS,
        ..ApprovalQuery::default()
    };
    let facts = Facts {
        overview: state.app.overview(caller).await?,
        approvals: state.app.approvals(caller, pending).await?.items,
        dead_letters: state.app.dead_letters(caller, true, None, ROWS).await?.items,
        recent: state
            .app
            .executions(caller, ExecutionQuery { limit: ROWS, ..ExecutionQuery::default() })
            .await?
            .items,
    };
    Ok(page(&shell, &facts))
}

/// The page.
pub fn page(shell: &Shell, facts: &Facts) -> Markup {
    let overview = &facts.overview;
    let content = html! {
        h1.sr { "Overview" }
        @if shell.may(Permission::SubmitGoal) { (goal::ask(shell, "", None)) }
        section.figures aria-label="Figures" {
            @for (word, tone) in [("running", "live"), ("waiting", "wait"), ("suspended", "warn"), ("faulted", "bad")] {
                @let number = overview.by_status.iter().find(|(status, _)| status == word).map_or(0, |(_, n)| *n);
                (figure(number, word, &format!("/console/executions?status={word}"), tone))
            }
            (figure(overview.approvals_pending, "to approve", "/console/approvals", "wait"))
            (figure(overview.dead_letters_open, "dead letters", "/console/dead-letters", "bad"))
        }
        (attention(shell, facts))
        div.two {
            section.card {
                h2 { "Ended per minute" }
                @let total: u64 = overview.ended_per_minute.iter().map(|n| u64::from(*n)).sum();
                p.muted { b { (format::count(total)) } " in the last hour" }
                (picture::sparkline(&overview.ended_per_minute))
                div.spark-axis aria-hidden="true" { span { "1 h ago" } span { "now" } }
            }
            section.card {
                h2 { "Outcomes of effects" }
                @if overview.outcomes.iter().all(|(_, n)| *n == 0) { p.faint { "no effect was settled since the start" } }
                @else { (picture::shares(&overview.outcomes)) }
                @if shell.may(Permission::ReadAudit) {
                    p.muted { "The audit log holds " a href="/console/audit" { (format::count(overview.audit_size)) " records" } "." }
                }
            }
        }
        section {
            h2 { "Newest executions" }
            (executions::table(&facts.recent, shell.now))
            @if !facts.recent.is_empty() { p { a href="/console/executions" { "All executions" } } }
        }
    };
    frame(shell, "Overview", &content)
}

fn figure(number: u64, word: &str, href: &str, tone: &str) -> Markup {
    html! {
        a class={ "figure " @if number > 0 { (tone) } @else { "none" } } href=(href) {
            b { (format::count(number)) }
            span { (word) }
        }
    }
}

fn attention(shell: &Shell, facts: &Facts) -> Markup {
    html! {
        section aria-label="Needs attention" {
            h2 { "Needs attention" }
            @if facts.approvals.is_empty() && facts.dead_letters.is_empty() {
                (empty("Nothing waits for you", "Approvals and parked work will stand here as they come."))
            } @else {
                ul.attention {
                    @for view in &facts.approvals {
                        @let approval = &view.approval;
                        li {
                            (format::chip("wait", icon::PERSON, "approve"))
                            a.row-link href={ "/console/approvals/" (approval.id) } { b { (approval.predicted) } }
                            span.muted { "asked by " (approval.requester) }
                            span class={ "level " (approval.risk.level.name()) } { (approval.risk.level.name()) " risk" }
                            (format::countdown(approval.expires_at, shell.now))
                        }
                    }
                    @for letter in &facts.dead_letters {
                        li {
                            (format::chip("bad", icon::BOX, "parked"))
                            a.row-link href={ "/console/dead-letters#" (letter.id) } { b { (letter.operation) } }
                            span.muted { (letter.reason) }
                            (format::moment(letter.parked_at, shell.now))
                        }
                    }
                }
            }
        }
    }
}
