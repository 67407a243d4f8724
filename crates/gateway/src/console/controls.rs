//! The four controls: how they stand, and the forms that set them, each with a reason.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use model::Problem;
use model::control::Control;
use model::principal::Permission;

use app::view::{ControlView, ControlsView, SetControl};

use super::layout::{Failure, Section, Shell, heading, page as frame, words};
use super::session::{Act, Session};
use super::{format, icon, stops};

/// Operations of one allow-list.
const OPERATIONS_MAX: usize = 1_000;
const REASON_MAX: usize = 500;
/// What is typed to stop everything.
const CONFIRMATION: &str = "stop everything";

/// `GET /console/controls`
pub(crate) async fn get(State(state): State<crate::State>, mut session: Session) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Controls).await;
    let controls = state.app.controls(&session.caller).await?;
    Ok(page(&shell, &controls))
}

/// `POST /console/controls/{name}`
pub(crate) async fn set(State(state): State<crate::State>, Path(name): Path<String>, act: Act) -> Response {
    let done = match wanted(&name, &act) {
        Ok(set) => {
            let on = set.on;
            let done = state.app.set_control(&act.session.caller, &name, set).await;
            done.map(|_| format!("{} is {}.", words(&name), if on == Some(false) { "off" } else { "on" }))
        }
        Err(problem) => Err(*problem),
    };
    act.answer(done, "/console/controls")
}

fn wanted(name: &str, act: &Act) -> Result<SetControl, Box<Problem>> {
    let fields = &act.fields;
    let on = match fields.text("word") {
        "on" => true,
        "off" => false,
        _ => return Err(Box::new(Problem::new(422, 4220, "wrong shape", "say on or off"))),
    };
    if name == "kill-switch" && on && fields.text("confirm") != CONFIRMATION {
        let what = format!("type “{CONFIRMATION}” to turn the kill switch on");
        return Err(Box::new(Problem::new(422, 4220, "wrong shape", what)));
    }
    let operations = (name == "allow-list" && on).then(|| {
        fields
            .text("operations")
            .split(['\n', ','])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(OPERATIONS_MAX)
            .map(str::to_owned)
            .collect()
    });
    let tenant_only = name == "allow-list" && fields.text("scope") == "tenant";
    let reason = fields.text("reason").to_owned();
    Ok(SetControl { on: Some(on), operations, reason, tenant_only, ..SetControl::default() })
}

/// The page.
pub fn page(shell: &Shell, controls: &ControlsView) -> Markup {
    let content = html! {
        (heading("Controls", "Checked before every single effect. Every change needs a reason and is in the audit log."))
        div.controls { @for control in &controls.controls { (card(shell, control)) } }
        (stops::section(shell, &controls.stops))
        p.faint { "Epoch " (controls.epoch) ": permits of an older epoch are void." }
    };
    frame(shell, "Controls", &content)
}

fn card(shell: &Shell, view: &ControlView) -> Markup {
    let stop = view.name == "kill-switch";
    html! {
        article class={ "card control " @if view.on { @if stop { "on stop" } @else { "on" } } @else { "off" } }
            data-announce={ (words(&view.name)) @if view.on { " on." } @else { " off." } } {
            header {
                svg.switch viewBox="0 0 40 22" width="40" height="22" aria-hidden="true" {
                    rect x="1" y="1" width="38" height="20" rx="10" {}
                    circle cx=(if view.on { 29 } else { 11 }) cy="11" r="7" {}
                }
                h2 { (words(&view.name)) }
                b.push.state { @if view.on { "on" } @else { "off" } }
            }
            p { (view.description) }
            @if let Some(control) = &view.control { (state(shell, control, "")) }
            @if let Some(control) = &view.tenant { (state(shell, control, "This tenant: ")) }
            @if shell.may(Permission::SetControl) {
                @if view.on && view.control.as_ref().is_some_and(|c| c.on && c.from_environment) {
                    p.refusal { (icon::draw(icon::WARNING)) "The environment holds it: change the server's configuration to turn it off." }
                } @else { (form(shell, view, stop)) }
            }
        }
    }
}

fn state(shell: &Shell, control: &Control, whose: &str) -> Markup {
    html! {
        p.muted { (whose) @if control.on { "on" } @else { "off" } " since " (format::moment(control.at, shell.now)) " by " (control.by) ": " (control.reason) }
        @if !control.operations.is_empty() {
            ul.operations { @for operation in control.operations.iter().take(OPERATIONS_MAX) { li { code { (operation) } } } }
        }
    }
}

fn form(shell: &Shell, view: &ControlView, stop: bool) -> Markup {
    let list = view.name == "allow-list";
    let listed =
        view.control.as_ref().or(view.tenant.as_ref()).map(|c| c.operations.join("\n")).unwrap_or_default();
    html! {
        form.stacked method="post" action={ "/console/controls/" (view.name) } data-act {
            (shell.token())
            @if list {
                label.field { span { "Operations, one a line; " code { "*" } " at the end matches any rest" } textarea name="operations" rows="4" spellcheck="false" { (listed) } }
                label.field { span { "For" } select name="scope" { option value="" { "every tenant" } option value="tenant" { "this tenant" } } }
            }
            label.field { span { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) autocomplete="off"; }
            @if stop && !view.on {
                label.field { span { "Type “" (CONFIRMATION) "”" } input type="text" name="confirm" required pattern=(CONFIRMATION) autocomplete="off" spellcheck="false"; }
            }
            div.buttons {
                @if list { button.button.primary type="submit" name="word" value="on" { @if view.on { "Save the list" } @else { "Turn on" } } }
                @else if !view.on { button class={ "button " (if stop { "danger" } else { "primary" }) } type="submit" name="word" value="on" { "Turn on" } }
                @if view.on || list && view.tenant.as_ref().is_some_and(|c| c.on) { button.button type="submit" name="word" value="off" { "Turn off" } }
            }
        }
    }
}
