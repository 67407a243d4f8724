//! Stops of a part: what one would concern, the acts that begin and lift it, and drills of the switch.

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use model::Problem;
use model::principal::Permission;
use model::stop::{Running, Scope};
use serde::Deserialize;

use app::view::{ExecutionSummary, SetControl, StopView};

use super::layout::{Failure, Section, Shell, page as frame};
use super::session::{Act, Fields, Session};
use super::{ExecutionQuery, executions, format, icon};

const REASON_MAX: usize = 500;
/// Characters of a name at the most.
const NAME_MAX: usize = 200;
/// Executions that are shown before a stop.
const SHOWN: u32 = 50;
/// Statuses of what is not over.
const OPEN: [&str; 4] = ["pending", "running", "waiting", "suspended"];
/// Sorts of parts: word, and what is written behind it.
const SORTS: [(&str, &str, &str); 5] = [
    ("workflow", "workflow", "shop/refund, or shop/refund:1.0.0"),
    ("action", "action", "refund-create, refund-create:1.0.0 or refund-*"),
    ("target", "target", "api.example.com, host:443, *.example.com or sandbox"),
    ("principal", "principal", "user:alice"),
    ("tenant", "tenant", "acme"),
];

/// The part that the reader asks about.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Part {
    /// `workflow`, `action`, `target`, `principal` or `tenant`.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// What a stop would concern, as far as a list can say it.
#[derive(Debug)]
pub struct Concerned {
    /// The first executions.
    pub executions: Vec<ExecutionSummary>,
    /// True when there are more.
    pub more: bool,
}

/// `GET /console/controls/stop`: what a stop of a part would concern, and the form that begins it.
pub(crate) async fn look(
    State(state): State<crate::State>,
    mut session: Session,
    Query(part): Query<Part>,
) -> Result<Markup, Failure> {
    let shell =
        Shell::load(&state, &mut session, Section::Controls).await.watching(&["execution", "control"]);
    let scope = scope(&part.kind, &part.name)?;
    let mut query = ExecutionQuery {
        statuses: OPEN.iter().map(|word| (*word).to_owned()).collect(),
        limit: SHOWN,
        ..ExecutionQuery::default()
    };
    let listed = match &scope {
        Scope::Workflow(name) => {
            query.workflow = Some(name.split(':').next().unwrap_or(name).to_owned());
            true
        }
        Scope::Principal(id) => {
            query.requester = Some(id.to_string());
            true
        }
        Scope::Tenant(tenant) => *tenant == session.caller.principal.tenant,
        Scope::Global | Scope::Action(_) | Scope::Target(_) => false,
    };
    let concerned = if listed {
        let found = state.app.executions(&session.caller, query).await?;
        Some(Concerned { executions: found.items, more: found.next.is_some() })
    } else {
        None
    };
    Ok(page(&shell, &scope, concerned.as_ref()))
}

/// `POST /console/controls/stop`: begins a stop of a part and goes to its report.
pub(crate) async fn begin(State(state): State<crate::State>, form: Act) -> Response {
    let done = set(&state, &form, true).await;
    match done {
        Ok(view) => match view.report.as_ref().and_then(|signed| signed.report["id"].as_str()) {
            Some(id) => form.go(
                format!("/console/controls/reports/{}", format::segment(id)),
                "Stopped. This is the report.".to_owned(),
            ),
            None => form.answer(Ok("Stopped.".to_owned()), "/console/controls"),
        },
        Err(problem) => form.answer(Err(problem), "/console/controls"),
    }
}

/// `POST /console/controls/lift`
pub(crate) async fn lift(State(state): State<crate::State>, form: Act) -> Response {
    let done = set(&state, &form, false).await;
    form.answer(done.map(|_| "The stop is lifted; what it held goes on.".to_owned()), "/console/controls")
}

/// `POST /console/controls/drill`
pub(crate) async fn drill(State(state): State<crate::State>, form: Act) -> Response {
    let Ok(trials) = form.fields.text("trials").parse() else {
        let problem = Problem::new(422, 4220, "wrong shape", "say how often to stop, for example 10");
        return form.answer(Err(problem), "/console/controls/reports");
    };
    match state.app.start_drill(&form.session.caller, trials, form.fields.text("reason")).await {
        Ok(signed) => {
            let id = signed.report["id"].as_str().unwrap_or_default().to_owned();
            form.go(
                format!("/console/controls/drills/{}", format::segment(&id)),
                "The drill began.".to_owned(),
            )
        }
        Err(problem) => form.answer(Err(problem), "/console/controls/reports"),
    }
}

async fn set(state: &crate::State, form: &Act, on: bool) -> Result<app::view::ControlView, Problem> {
    let fields: &Fields = &form.fields;
    let set = SetControl {
        on: Some(on),
        reason: fields.text("reason").to_owned(),
        scope: Some(scope(fields.text("kind"), fields.text("name"))?),
        running: if fields.text("running") == "cancel" { Running::Cancel } else { Running::Finish },
        ..SetControl::default()
    };
    state.app.set_control(&form.session.caller, "kill-switch", set).await
}

fn scope(kind: &str, name: &str) -> Result<Scope, Problem> {
    let name = name.trim();
    let refused = |what: String| Problem::new(422, 4220, "wrong shape", what.clone()).field("/name", what);
    if name.is_empty() || name.chars().count() > NAME_MAX {
        return Err(refused(format!("name what is to be stopped, in 1 to {NAME_MAX} characters")));
    }
    Ok(match kind {
        "workflow" => Scope::Workflow(name.to_owned()),
        "action" => Scope::Action(name.to_owned()),
        "target" => Scope::Target(name.to_owned()),
        "principal" => Scope::Principal(
            model::PrincipalId::new(name).map_err(|_| refused(format!("`{name}` is no principal")))?,
        ),
        "tenant" => {
            Scope::Tenant(model::TenantId::new(name).map_err(|_| refused(format!("`{name}` is no tenant")))?)
        }
        _ => return Err(refused("choose workflow, action, target, principal or tenant".to_owned())),
    })
}

/// What stands on the page of the controls: the stops of parts, and the way to a new one.
pub(super) fn section(shell: &Shell, stops: &[StopView]) -> Markup {
    html! {
        section.parts aria-labelledby="h-parts" {
            header.section-head { h2 #h-parts { "Stop a part" } a.push href="/console/controls/reports" { "Reports and drills" } }
            @for view in stops { (standing(shell, view)) }
            @if shell.may(Permission::SetControl) {
                form.card.acts.part method="get" action="/console/controls/stop" {
                    label { span { "Part" } select name="kind" { @for (kind, word, _) in SORTS { option value=(kind) { (word) } } } }
                    label.name { span { "Name" } input type="text" name="name" required maxlength=(NAME_MAX) placeholder="shop/refund · refund-* · api.example.com · user:alice" autocomplete="off" spellcheck="false"; }
                    button.button type="submit" { (icon::draw(icon::SEARCH)) "Show what it concerns" }
                }
            } @else if stops.is_empty() { p.faint { "no part is stopped" } }
        }
    }
}

fn standing(shell: &Shell, view: &StopView) -> Markup {
    let stop = &view.stop;
    html! {
        article.card.control.on.stop data-announce={ "Stopped: " (view.id) "." } {
            header {
                (icon::draw(icon::STOP))
                h3 { (stop.scope.kind()) " " code { (stop.scope.name()) } }
                @if let Some(tenant) = &stop.tenant { span.tag.quiet { "in " (tenant) } }
                b.push.state { "stopped" }
            }
            p.muted { (stop.reason) " — " (stop.by) ", " (format::moment(stop.at, shell.now)) ", epoch " (stop.epoch) }
            @if shell.may(Permission::SetControl) {
                form.acts method="post" action="/console/controls/lift" data-act {
                    (shell.token())
                    input type="hidden" name="kind" value=(stop.scope.kind());
                    input type="hidden" name="name" value=(stop.scope.name());
                    label { span.sr { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) placeholder="why it is lifted" autocomplete="off"; }
                    button.button type="submit" { "Lift" }
                    a.button href={ "/console/controls/reports/" (format::segment(&stop.report)) } { (icon::draw(icon::SEAL)) "Report" }
                }
            } @else { p { a href={ "/console/controls/reports/" (format::segment(&stop.report)) } { "Report" } } }
        }
    }
}

/// The page before a stop.
pub fn page(shell: &Shell, scope: &Scope, concerned: Option<&Concerned>) -> Markup {
    let content = html! {
        header.page-head {
            nav.crumbs aria-label="Path" { a href="/console/controls" { "Controls" } " / stop a part" }
            h1 { "Stop " (scope.kind()) " " (scope.name()) "?" }
            p.muted { (promise(scope)) }
        }
        @if shell.may(Permission::SetControl) {
            form.card.stacked.narrow method="post" action="/console/controls/stop" data-act {
                (shell.token())
                input type="hidden" name="kind" value=(scope.kind());
                input type="hidden" name="name" value=(scope.name());
                fieldset.options {
                    legend { "What is on the wire already" }
                    label { input type="radio" name="running" value="finish" checked; span { b { "may finish" } " — its answer is kept" } }
                    label { input type="radio" name="running" value="cancel"; span { b { "is cut" } " — connections are closed, programs are killed; some outcomes will be unknown" } }
                }
                label.field { span { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) autocomplete="off"; }
                div.buttons { button.button.danger type="submit" { (icon::draw(icon::STOP)) "Stop it" } a.button href="/console/controls" { "Leave it running" } }
            }
        }
        section aria-labelledby="h-concerned" {
            h2 #h-concerned { "What it concerns now" }
            @match concerned {
                Some(found) if found.executions.is_empty() => p.faint { "no execution is under way there; what begins later is refused" },
                Some(found) => {
                    p { b { @if found.more { "more than " } (found.executions.len()) } " executions under way" }
                    (executions::table(&found.executions, shell.now))
                },
                None => p.muted { "Every effect on it, whatever execution asks for it: those executions wait before their next such effect. Other effects go on." },
            }
        }
    };
    frame(shell, "Stop a part", &content)
}

fn promise(scope: &Scope) -> &'static str {
    match scope {
        Scope::Workflow(_) => "No execution of it begins, and none under way starts another effect.",
        Scope::Action(_) => "No effect of this operation starts, in any execution.",
        Scope::Target(_) => "No effect on this target starts, in any execution.",
        Scope::Principal(_) => "Nothing that this principal asked for starts another effect.",
        Scope::Tenant(_) | Scope::Global => "Nothing starts there: no execution, no effect.",
    }
}
