//! Policies: the Rego in force, and their tests.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use model::principal::Permission;

use app::view::{PolicyTestView, PolicyView, ShadowView};

use super::layout::{Failure, Section, Shell, empty, heading, page as frame};
use super::session::{Act, Session};
use super::workflows::source;
use super::{format, icon, time_machine};

/// Test results that are shown.
const TESTS_MAX: usize = 500;

/// `GET /console/policies`
pub(crate) async fn list(State(state): State<crate::State>, mut session: Session) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Policies)
        .await
        .watching(&["policy", "control", "approval"]);
    let found = state.app.policies(&session.caller).await?;
    let shadows = state.app.shadows(&session.caller).await?;
    Ok(page(&shell, &found, &shadows, None))
}

/// `POST /console/policies/{name}/test`: runs the bundle's tests, then shows the page with the results.
pub(crate) async fn test(
    State(state): State<crate::State>,
    Path(name): Path<String>,
    mut act: Act,
) -> Result<Response, Failure> {
    let results = state.app.test_policy(&act.session.caller, &name).await?;
    "/console/policies".clone_into(&mut act.session.path);
    // A refresh would take the results away.
    let shell = Shell::load(&state, &mut act.session, Section::Policies).await.watching(&[]);
    let found = state.app.policies(&act.session.caller).await?;
    let shadows = state.app.shadows(&act.session.caller).await?;
    Ok(page(&shell, &found, &shadows, Some((&name, &results))).into_response())
}

/// The page; `tested` holds the results of one bundle.
pub fn page(
    shell: &Shell,
    found: &[PolicyView],
    shadows: &[ShadowView],
    tested: Option<(&str, &[PolicyTestView])>,
) -> Markup {
    let content = html! {
        (heading("Policies", "Every effect is judged by these. What no rule allows is denied; a rule that fails denies."))
        @if found.is_empty() { (empty("No policies", "Without a policy nothing is allowed.")) }
        @for shadow in shadows { (time_machine::shadow_card(shell, shadow)) }
        @for policy in found {
            article.card.policy {
                header {
                    h2 { (policy.name) }
                    span.muted {
                        // The policies that come with the server have no moment of their own.
                        @if policy.at.0 == 0 { "built in" } @else { "version " (policy.version) ", " (format::moment(policy.at, shell.now)) " by " (policy.by) }
                    }
                    form.push method="post" action={ "/console/policies/" (format::segment(&policy.name)) "/test" } {
                        (shell.token())
                        button.button type="submit" { (icon::draw(icon::PLAY)) "Run its tests" }
                    }
                }
                p.faint { "digest " (format::id(&policy.digest.to_string())) }
                @if let Some((_, results)) = tested.filter(|(name, _)| *name == policy.name) { (outcomes(results)) }
                @for (file, text) in &policy.modules {
                    details open[policy.modules.len() == 1] { summary { code { (file) } } (source(text)) }
                }
                @if shell.may(Permission::ChangePolicy) { (time_machine::form(shell, &policy.name, &policy.modules)) }
            }
        }
    };
    frame(shell, "Policies", &content)
}

fn outcomes(results: &[PolicyTestView]) -> Markup {
    let passed = results.iter().filter(|result| result.passed).count();
    html! {
        p class=(if passed == results.len() { "good-text" } else { "bad-text" }) role="status" { (passed) " of " (results.len()) " tests passed" }
        ul.tests {
            @for result in results.iter().take(TESTS_MAX) {
                li {
                    @if result.passed { (format::chip("good", icon::CHECK, "passed")) } @else { (format::chip("bad", icon::CROSS, "failed")) }
                    code { (result.name) }
                    @if let Some(message) = &result.message { span.bad-text { (message) } }
                }
            }
        }
    }
}
