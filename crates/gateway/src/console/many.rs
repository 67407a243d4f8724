//! One command for many executions: first how many it would look at, then the command, then how far it is.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use model::Problem;
use model::principal::Permission;
use serde::Deserialize;

use app::operations::Act as Command;
use app::view::{BulkRequest, OperationView};

use super::executions::Filter;
use super::layout::{Failure, Section, Shell, page as frame};
use super::session::{Act, Session};
use super::{format, icon};

const REASON_MAX: usize = 500;
/// Failures that are listed.
const FAILURES_MAX: usize = 100;
/// The reason of a look, which is recorded nowhere.
const LOOK: &str = "a look before acting on many";

/// What the reader wants to do, and with which executions.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Wanted {
    /// `cancel`, `pause`, `resume` or `retry`.
    #[serde(default)]
    pub act: String,
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
}

impl Wanted {
    fn filter(&self) -> Filter {
        Filter {
            status: self.status.clone(),
            outcome: self.outcome.clone(),
            workflow: self.workflow.clone(),
            q: self.q.clone(),
            cursor: String::new(),
        }
    }

    fn pairs(&self) -> [(&'static str, &str); 4] {
        [("status", &self.status), ("outcome", &self.outcome), ("workflow", &self.workflow), ("q", &self.q)]
    }

    fn request(&self, reason: &str, dry_run: bool) -> BulkRequest {
        BulkRequest {
            query: self.filter().query(),
            reason: reason.to_owned(),
            limit: None,
            operation_id: None,
            dry_run,
        }
    }

    fn back(&self) -> String {
        let query: Vec<String> = self
            .pairs()
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", format::segment(value)))
            .collect();
        format!("/console/executions?{}", query.join("&"))
    }
}

fn command(word: &str) -> Result<Command, Problem> {
    [Command::Cancel, Command::Pause, Command::Resume, Command::Retry]
        .into_iter()
        .find(|act| act.name() == word)
        .ok_or_else(|| Problem::new(422, 4220, "wrong shape", "choose cancel, pause, resume or retry"))
}

/// `GET /console/executions/many`: how many it would look at.
pub(crate) async fn look(
    State(state): State<crate::State>,
    mut session: Session,
    Query(wanted): Query<Wanted>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Executions).await.watching(&["execution"]);
    let act = command(&wanted.act)?;
    let counted = state.app.act_on_many(&session.caller, act, wanted.request(LOOK, true)).await?;
    Ok(preview(&shell, &wanted, &counted))
}

/// `POST /console/executions/many`: takes the command and goes to its progress.
pub(crate) async fn begin(State(state): State<crate::State>, form: Act) -> Response {
    let text = |name: &str| form.fields.text(name).to_owned();
    let wanted = Wanted {
        act: text("act"),
        status: text("status"),
        outcome: text("outcome"),
        workflow: text("workflow"),
        q: text("q"),
    };
    let done = match command(&wanted.act) {
        Ok(act) => {
            let mut request = wanted.request(form.fields.text("reason"), false);
            // No more than what was shown, whatever has come since.
            request.limit = form.fields.text("matched").parse().ok();
            state.app.act_on_many(&form.session.caller, act, request).await
        }
        Err(problem) => Err(problem),
    };
    match done {
        Ok(view) => form.go(
            format!("/console/operations/{}", format::segment(&view.id)),
            "The command is taken.".to_owned(),
        ),
        Err(problem) => {
            let back = wanted.back();
            form.answer(Err(problem), &back)
        }
    }
}

/// `GET /console/operations/{id}`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Path(id): Path<String>,
) -> Result<Markup, Failure> {
    let shell =
        Shell::load(&state, &mut session, Section::Executions).await.watching(&["execution", "operation"]);
    let view = state.app.operation(&session.caller, &id).await?;
    Ok(page(&shell, &view))
}

/// The line on the list of executions that leads here.
pub(super) fn offer(filter: &Filter) -> Markup {
    html! {
        details.many {
            summary { "Act on all of these" }
            form.acts method="get" action="/console/executions/many" {
                input type="hidden" name="status" value=(filter.status);
                input type="hidden" name="outcome" value=(filter.outcome);
                input type="hidden" name="workflow" value=(filter.workflow);
                input type="hidden" name="q" value=(filter.q);
                span.muted { "Every execution that the filters above find, on all pages. First you see how many." }
                button.button type="submit" name="act" value="pause" { "Pause…" }
                button.button type="submit" name="act" value="resume" { "Resume…" }
                button.button type="submit" name="act" value="retry" { "Retry…" }
                button.button.danger type="submit" name="act" value="cancel" { "Cancel…" }
            }
        }
    }
}

/// What a command would look at.
pub fn preview(shell: &Shell, wanted: &Wanted, counted: &OperationView) -> Markup {
    let matched = counted.matched.unwrap_or_default();
    let title = format!("{} {} executions?", capital(&counted.act), format::count(matched));
    let content = html! {
        header.page-head {
            nav.crumbs aria-label="Path" { a href=(wanted.back()) { "Executions" } " / act on many" }
            h1 { (title) }
            p.muted { (meaning(&counted.act)) }
        }
        section.card.narrow {
            h2 { "Which" }
            dl.facts {
                @for (name, value) in wanted.pairs().into_iter().filter(|(_, value)| !value.is_empty()) {
                    dt { (match name { "q" => "Text", "status" => "Status", "outcome" => "Outcome", _ => "Workflow" }) } dd { (value) }
                }
                dt { "Found" } dd { b.number { (format::count(matched)) } " that it can change now" }
            }
            @if matched == 0 { p { "There is nothing to do. " a href=(wanted.back()) { "Back to the list" } } }
            @else if shell.may(Permission::OperateExecution) {
                form.stacked method="post" action="/console/executions/many" data-act {
                    (shell.token())
                    input type="hidden" name="act" value=(counted.act);
                    input type="hidden" name="matched" value=(matched);
                    @for (name, value) in wanted.pairs() { input type="hidden" name=(name) value=(value); }
                    label.field { span { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) autocomplete="off"; }
                    div.buttons {
                        button class={ "button " (if counted.act == "cancel" { "danger" } else { "primary" }) } type="submit" { (capital(&counted.act)) " " (format::count(matched)) }
                        a.button href=(wanted.back()) { "Leave them" }
                    }
                }
            }
        }
    };
    frame(shell, "Act on many", &content)
}

/// How far a command is.
pub fn page(shell: &Shell, view: &OperationView) -> Markup {
    let looked = view.done + view.skipped + view.failed;
    let total = view.limit.max(looked).max(1);
    let share = |count: u64| count.saturating_mul(1000) / total;
    let over = view.status == "done";
    let content = html! {
        header.page-head data-announce={ "Command " (view.status) ", " (view.done) " done." } {
            nav.crumbs aria-label="Path" { a href="/console/executions" { "Executions" } " / " (format::id(&view.id)) }
            h1 { (capital(&view.act)) " many" }
            p.state-line {
                @if over { (format::chip("good", icon::CHECK, "done")) } @else { (format::chip("live", icon::PLAY, &view.status)) }
                span.muted { "by " (view.by) ", " (format::moment(view.started_at, shell.now)) }
                span.muted.number { (format::span(view.ended_at.unwrap_or(shell.now).0 - view.started_at.0)) }
            }
        }
        p.explanation { (view.reason) }
        section.card {
            svg.shares.tall viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label={ (looked) " looked at" } {
                rect.track x="0" y="0" width="1000" height="12" {}
                rect.share.verified x="0" y="0" width=(share(view.done)) height="12" {}
                rect.share.skipped x=(share(view.done)) y="0" width=(share(view.skipped)) height="12" {}
                rect.share.failed x=(share(view.done + view.skipped)) y="0" width=(share(view.failed)) height="12" {}
            }
            ul.share-words {
                li { b.number { (format::count(view.done)) } " done" }
                li title="their status did not allow it any more" { b.number { (format::count(view.skipped)) } " skipped" }
                li { b.number { (format::count(view.failed)) } " failed" }
                li.muted { (format::count(view.limit)) " at the most" }
            }
            @if !over { p.faint { "It goes on by itself, also when this page is closed or the server is started again." } }
        }
        @if !view.failures.is_empty() {
            section aria-labelledby="h-failures" {
                h2 #h-failures { "What could not be done" }
                table.list {
                    thead { tr { th { "Execution" } th { "Why" } th { "Code" } } }
                    tbody { @for failure in view.failures.iter().take(FAILURES_MAX) {
                        tr data-item tabindex="-1" {
                            td data-label="Execution" { (format::execution_link(&failure.execution_id)) }
                            td.wrap data-label="Why" { (format::prose(&failure.detail)) }
                            td data-label="Code" { a href={ "/errors/" (failure.code) } { (failure.code) } }
                        }
                    } }
                }
            }
        }
    };
    frame(shell, "Act on many", &content)
}

fn meaning(act: &str) -> &'static str {
    match act {
        "cancel" => "Each ends for good, after what can be undone is undone. This cannot be taken back.",
        "pause" => "Each is held before its next effect, until somebody resumes it.",
        "resume" => "Each that was held goes on.",
        "retry" => "Each that failed or is parked tries again from where it stands.",
        _ => "",
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
