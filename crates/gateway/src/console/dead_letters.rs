//! Dead letters: work that is parked for a human, and the act that puts it back to work.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use model::principal::Permission;
use serde::Deserialize;

use app::view::{DeadLetterView, PageOf};

use super::layout::{Failure, Section, Shell, empty, heading, more, page as frame};
use super::session::{Act, Session};
use super::{format, icon};

/// Cards of one page.
const ROWS: u32 = 50;
const REASON_MAX: usize = 500;

/// Which dead letters, as the address says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Filter {
    /// `all` for redriven ones too.
    #[serde(default)]
    pub show: String,
    /// The page's cursor.
    #[serde(default)]
    pub cursor: String,
}

/// `GET /console/dead-letters`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Query(filter): Query<Filter>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::DeadLetters).await.watching(&[
        "dead-letter",
        "control",
        "approval",
        "execution",
    ]);
    let cursor = Some(filter.cursor.clone()).filter(|cursor| !cursor.is_empty());
    let found = state.app.dead_letters(&session.caller, filter.show != "all", cursor, ROWS).await?;
    Ok(page(&shell, &filter, &found))
}

/// `POST /console/dead-letters/{id}/redrive`
pub(crate) async fn redrive(State(state): State<crate::State>, Path(id): Path<String>, act: Act) -> Response {
    let done = state.app.redrive(&act.session.caller, &id, act.fields.text("reason")).await;
    act.answer(done.map(|letter| format!("{} is back at work.", letter.operation)), "/console/dead-letters")
}

/// The page.
pub fn page(shell: &Shell, filter: &Filter, found: &PageOf<DeadLetterView>) -> Markup {
    let all = filter.show == "all";
    let next = found.next.as_deref().map(|c| {
        format!("/console/dead-letters?show={}&cursor={}", if all { "all" } else { "" }, format::segment(c))
    });
    let content = html! {
        (heading("Dead letters", "Work that gave up and waits for somebody. Put it back once the cause is gone."))
        div.chips role="group" aria-label="Which" {
            a.filter role="button" href="/console/dead-letters" aria-pressed=(if all { "false" } else { "true" }) { (format::chip("bad", icon::BOX, "parked")) }
            a.filter role="button" href="/console/dead-letters?show=all" aria-pressed=(if all { "true" } else { "false" }) { (format::chip("quiet", icon::LIST, "all")) }
        }
        @if found.items.is_empty() { (empty("Nothing is parked", "Work that cannot go on by itself will stand here.")) }
        @for letter in &found.items { (card(shell, letter)) }
        (more(next.as_deref()))
    };
    frame(shell, "Dead letters", &content)
}

fn card(shell: &Shell, letter: &DeadLetterView) -> Markup {
    html! {
        article.card.letter #(letter.id) data-item tabindex="-1" {
            header {
                h2 { (letter.operation) }
                span.muted { (letter.workflow) }
                span.push { @if letter.open { (format::chip("bad", icon::BOX, "parked")) } @else { (format::chip("good", icon::REPEAT, "redriven")) } }
            }
            p.bad-text { (letter.reason) }
            dl.facts.row {
                dt { "Execution" } dd { (format::execution_link(letter.execution.as_str())) " effect " (letter.effect) }
                dt { "Task" } dd { code { (letter.task) } }
                dt { "Attempts" } dd { (letter.attempts) }
                dt { "Parked" } dd { (format::moment(letter.parked_at, shell.now)) }
                @if let Some(at) = letter.redriven_at { dt { "Redriven" } dd { (format::moment(at, shell.now)) @if let Some(by) = &letter.redriven_by { " by " (by) } } }
            }
            @if letter.open && shell.may(Permission::Redrive) {
                form.acts method="post" action={ "/console/dead-letters/" (letter.id) "/redrive" } data-act {
                    (shell.token())
                    label { span.sr { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) placeholder="what changed, so that it will work" autocomplete="off"; }
                    button.button.primary type="submit" { (icon::draw(icon::REPEAT)) "Redrive" }
                }
            }
        }
    }
}
