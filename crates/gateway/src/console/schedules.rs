//! Schedules: what begins by itself, when it comes next, and the acts that pause it and let it go on.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use model::principal::Permission;

use app::schedules::ScheduleView;

use super::layout::{Failure, Section, Shell, empty, heading, page as frame};
use super::session::{Act, Session};
use super::{format, icon};

/// Schedules that are drawn.
const CARDS_MAX: usize = 200;
const REASON_MAX: usize = 500;
/// Width of the strip of moments.
const WIDTH: i64 = 1000;

/// `GET /console/schedules`
pub(crate) async fn get(State(state): State<crate::State>, mut session: Session) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Schedules)
        .await
        .watching(&["schedule", "workflow", "control"]);
    let found = state.app.schedules(&session.caller).await?;
    Ok(page(&shell, &found))
}

/// `POST /console/schedules/{namespace}/{name}/{act}`
pub(crate) async fn act(
    State(state): State<crate::State>,
    Path((namespace, name, verb)): Path<(String, String, String)>,
    act: Act,
) -> Response {
    let (caller, reason) = (&act.session.caller, act.fields.text("reason"));
    let done = match verb.as_str() {
        "pause" => state.app.pause_schedule(caller, &namespace, &name, reason).await.map(|_| "is paused"),
        "resume" => state.app.resume_schedule(caller, &namespace, &name, reason).await.map(|_| "goes on"),
        _ => Err(model::Problem::not_found("act", &verb)),
    };
    act.answer(done.map(|what| format!("{namespace}/{name} {what}.")), "/console/schedules")
}

/// The page.
pub fn page(shell: &Shell, found: &[ScheduleView]) -> Markup {
    let content = html! {
        (heading("Schedules", "What begins by itself, in the name of who published it."))
        @if found.is_empty() { (empty("No schedules yet", "Publish a workflow with `schedule: { cron: … }`, `every` or `after`.")) }
        @for schedule in found.iter().take(CARDS_MAX) { (card(shell, schedule)) }
        @if found.len() > CARDS_MAX { p.muted { "and " (found.len() - CARDS_MAX) " more; " code { "omnihub schedules list" } " shows them all" } }
    };
    frame(shell, "Schedules", &content)
}

fn card(shell: &Shell, view: &ScheduleView) -> Markup {
    let workflow = format!("{}/{}", view.namespace, view.name);
    let at = |verb: &str| {
        format!(
            "/console/schedules/{}/{}/{verb}",
            format::segment(&view.namespace),
            format::segment(&view.name)
        )
    };
    html! {
        article.card.schedule data-item tabindex="-1" {
            header {
                h2 { a href={ "/console/workflows/" (format::segment(&view.namespace)) "/" (format::segment(&view.name)) "/" (format::segment(&view.version)) } { (workflow) } }
                span.muted { (view.version) }
                span.push { (state_chip(view)) }
            }
            p { b { (view.rule) } " " span.muted { (view.zone) ", in the name of " (view.by) } }
            @if let Some(paused) = &view.paused { p.wait-text { "Paused by " (paused.by) " " (format::moment(paused.at, shell.now)) ": " (paused.reason) } }
            @if let Some(refused) = &view.refused { p.bad-text { "Nothing began " (format::moment(refused.moment, shell.now)) ": " (format::prose(&refused.detail)) " (" (refused.code) ")" } }
            (strip(shell, view))
            dl.facts.row {
                dt { "Next" } dd { @if let Some(next) = view.upcoming.first() { (format::countdown(*next, shell.now)) } @else if view.running { "after the end of the last one" } @else { "—" } }
                dt { "Last" } dd { @if let Some(last) = &view.last { (format::execution_link(last.execution.as_str())) " " (format::moment(last.moment, shell.now)) } @else { "none yet" } }
                dt { "Begun" } dd.number { (format::count(view.counts.begun)) }
                @if view.counts.skipped > 0 { dt { "Skipped" } dd.number title="the last execution had not ended" { (format::count(view.counts.skipped)) } }
                @if view.counts.missed > 0 { dt { "Missed" } dd.number title="they passed while nothing could begin" { (format::count(view.counts.missed)) } }
                @if view.counts.refused > 0 { dt { "Refused" } dd.number { (format::count(view.counts.refused)) } }
            }
            @if shell.may(Permission::OperateExecution) {
                @let verb = if view.paused.is_some() { "resume" } else { "pause" };
                form.acts method="post" action=(at(verb)) data-act {
                    (shell.token())
                    label { span.sr { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) placeholder={ "why it is " (verb) "d" } autocomplete="off"; }
                    button.button type="submit" { (icon::draw(if verb == "pause" { icon::PAUSE } else { icon::PLAY })) (if verb == "pause" { "Pause" } else { "Resume" }) }
                }
            }
        }
    }
}

fn state_chip(view: &ScheduleView) -> Markup {
    match (&view.paused, &view.refused, view.running) {
        (Some(_), ..) => format::chip("warn", icon::PAUSE, "paused"),
        (None, Some(_), _) => format::chip("bad", icon::CROSS, "refused"),
        (None, None, true) => format::chip("live", icon::DOT, "running"),
        (None, None, false) => format::chip("good", icon::CHECK, "in force"),
    }
}

/// The next moments as marks on a line from now to the last of them.
fn strip(shell: &Shell, view: &ScheduleView) -> Markup {
    let Some(last) = view.upcoming.last().filter(|_| view.upcoming.len() > 1) else { return html! {} };
    let whole = (last.0 - shell.now.0).max(1);
    let place = |at: i64| ((at - shell.now.0).max(0).saturating_mul(WIDTH - 8) / whole) + 4;
    html! {
        div.strip {
            svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label={ "the next " (view.upcoming.len()) " moments" } {
                rect.track x="0" y="7" width=(WIDTH) height="2" {}
                @for at in &view.upcoming { rect.tick x=(place(at.0) - 2) y="2" width="4" height="12" { title { (at) } } }
            }
            span.muted { "now" } span.muted.push { (last) }
        }
    }
}
