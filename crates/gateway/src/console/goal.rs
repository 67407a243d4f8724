//! The goal box: say what should happen, see the plan, then let it run.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use model::Problem;
use serde_json::Value as Json;

use app::view::{GoalAnswer, GoalRequest, PlanView, PlannedEffect, WorkflowName, WorkflowView};

use super::layout::{Failure, Section, Shell, heading, page as frame};
use super::session::{Act, random};
use super::{data, form, format, icon, workflows};

/// Characters of a goal at the most.
const INTENT_MAX: usize = 2_000;
/// Candidates that are offered.
const CANDIDATES_MAX: usize = 10;

/// `POST /console/goals/plan`: shows the plan, or asks for what is open.
pub(crate) async fn plan(State(state): State<crate::State>, mut act: Act) -> Result<Response, Failure> {
    // The answer to a form cannot be asked for again, so it is not refreshed.
    let shell = Shell::load(&state, &mut act.session, Section::Overview).await.watching(&[]);
    let goal = request(&state, &act, true).await?;
    let page = match state.app.submit_goal(&act.session.caller, goal.clone()).await {
        Ok(GoalAnswer::Planned(plan)) => planned(&shell, &plan, &goal, &random().map_err(Problem::machine)?),
        Ok(GoalAnswer::Accepted(accepted)) => {
            return Ok(
                act.go(format!("/console/executions/{}", accepted.execution_id), "Started.".to_owned())
            );
        }
        Err(problem) if problem.status == 422 => {
            let meant = meant(&state, &act, &goal, &problem).await;
            asked_back(&shell, &goal, &problem, meant.as_ref())
        }
        Err(problem) => return Err(problem.into()),
    };
    Ok(page.into_response())
}

/// `POST /console/goals/run`: runs exactly the plan that was shown.
pub(crate) async fn run(State(state): State<crate::State>, act: Act) -> Response {
    match started(&state, &act).await {
        Ok(id) => act.go(format!("/console/executions/{}", format::segment(&id)), "Started.".to_owned()),
        Err(problem) => act.answer(Err(problem), "/console"),
    }
}

async fn started(state: &crate::State, act: &Act) -> Result<String, Problem> {
    let caller = &act.session.caller;
    let goal = request(state, act, true).await?;
    // The plan is made again, so that what runs is what was seen.
    if let GoalAnswer::Planned(plan) = state.app.submit_goal(caller, goal.clone()).await?
        && plan.binding.to_string() != act.fields.text("plan")
    {
        return Err(Problem::new(
            409,
            4090,
            "conflict",
            "the plan is another one than you saw; look at it again",
        ));
    }
    let goal = GoalRequest { plan_only: false, idempotency_key: act.fields.some("once"), ..goal };
    match state.app.submit_goal(caller, goal).await? {
        GoalAnswer::Accepted(accepted) => Ok(accepted.execution_id.to_string()),
        GoalAnswer::Planned(_) => Err(Problem::machine("a goal to run was answered with a plan")),
    }
}

async fn request(state: &crate::State, act: &Act, plan_only: bool) -> Result<GoalRequest, Problem> {
    let fields = &act.fields;
    let given = match fields.some("input") {
        Some(text) => Some(serde_json::from_str(&text).map_err(|_| {
            Problem::new(422, 4220, "wrong shape", "the input is not JSON").field("/input", "is not JSON")
        })?),
        None => None,
    };
    let empty = GoalRequest { plan_only, ..GoalRequest::default() };
    let Some(name) = fields.some("name") else {
        let intent: String = fields.text("intent").chars().take(INTENT_MAX).collect();
        return Ok(GoalRequest { intent: Some(intent), input: given, ..empty });
    };
    let workflow = WorkflowName {
        namespace: fields.text("namespace").to_owned(),
        name,
        version: fields.some("version"),
    };
    let input = match given {
        Some(input) => input,
        None => {
            let version = workflow.version.as_deref().unwrap_or("latest");
            let view =
                state.app.workflow(&act.session.caller, &workflow.namespace, &workflow.name, version).await?;
            form::to_input(view.input_schema.as_ref(), fields).map_err(|(field, what)| {
                let told = format!("`{}` {what}", data::name(&field));
                Problem::new(422, 4220, "wrong shape", told).field(format!("/input{field}"), what)
            })?
        }
    };
    Ok(GoalRequest { workflow: Some(workflow), input: Some(input), ..empty })
}

/// The workflow that was meant, when that much is clear: its form can ask for the rest.
async fn meant(
    state: &crate::State,
    act: &Act,
    goal: &GoalRequest,
    problem: &Problem,
) -> Option<WorkflowView> {
    let named = problem
        .extra
        .get("workflow")
        .map(|w| (member(w, "namespace"), member(w, "name"), member(w, "version")));
    let asked = goal
        .workflow
        .as_ref()
        .map(|w| (w.namespace.as_str(), w.name.as_str(), w.version.as_deref().unwrap_or("")));
    let (namespace, name, version) = named.or(asked)?;
    let version = if version.is_empty() { "latest" } else { version };
    // Without the workflow the page still says what is missing.
    state.app.workflow(&act.session.caller, namespace, name, version).await.ok()
}

/// The goal box. `problem` explains why the last text was not enough.
pub fn ask(shell: &Shell, intent: &str, problem: Option<&Problem>) -> Markup {
    html! {
        section.goal aria-label="Goal" {
            form.goal-box method="post" action="/console/goals/plan" {
                (shell.token())
                label for="intent" { "What should happen?" }
                div.goal-line {
                    input #intent type="text" name="intent" value=(intent) required maxlength=(INTENT_MAX) autocomplete="off"
                        placeholder="for example: refund order 1042, 25.00 EUR, the cup arrived broken" data-search;
                    button.button.primary type="submit" { "Show the plan" }
                }
                @if let Some(problem) = problem { p.bad-text role="alert" { (icon::draw(icon::QUESTION)) span.sentence { (format::prose(&problem.detail)) } } }
                p.hint { "Nothing runs before you have seen the plan." }
            }
        }
    }
}

/// The page that asks back: the form of the workflow that was meant, or candidates to choose from.
pub fn asked_back(
    shell: &Shell,
    goal: &GoalRequest,
    problem: &Problem,
    meant: Option<&WorkflowView>,
) -> Markup {
    let candidates = problem.extra.get("candidates").and_then(Json::as_array).filter(|_| meant.is_none());
    let given = problem.extra.get("input").or(goal.input.as_ref()).unwrap_or(&Json::Null);
    let content = html! {
        (heading("Not quite clear yet", "A goal only becomes a plan when it says one thing."))
        @if let Some(intent) = &goal.intent { (ask(shell, intent, Some(problem))) } @else {
            p.bad-text { (format::prose(&problem.detail)) }
            @for field in problem.fields.iter().take(20) { p { code { (field.field) } " " (field.message) } }
        }
        @if let Some(workflow) = meant {
            section.narrow { h2 { "Or fill in what is open: " (workflow.title.as_deref().unwrap_or(&workflow.name)) } (workflows::run_form(shell, workflow, given)) }
        }
        @if let Some(list) = candidates {
            section {
                h2 { "It could be" }
                ul.candidates { @for candidate in list.iter().take(CANDIDATES_MAX) { li { (choice(candidate)) } } }
            }
        }
    };
    frame(shell, "Goal", &content)
}

fn choice(candidate: &Json) -> Markup {
    let workflow = candidate.get("workflow").unwrap_or(candidate);
    let (namespace, name) = (member(workflow, "namespace"), member(workflow, "name"));
    let version = Some(member(workflow, "version")).filter(|version| !version.is_empty()).unwrap_or("latest");
    let (title, example) = (member(candidate, "title"), member(candidate, "example"));
    html! {
        a href={ "/console/workflows/" (format::segment(namespace)) "/" (format::segment(name)) "/" (format::segment(version)) } {
            b { (if title.is_empty() { name } else { title }) }
        }
        span.muted { (namespace) "/" (name) }
        @if !example.is_empty() { span { "“" (example) "”" } }
    }
}

fn member<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// The plan with its effects, and the button that runs it. `once` keeps a second press from being a second goal.
pub fn planned(shell: &Shell, plan: &PlanView, goal: &GoalRequest, once: &str) -> Markup {
    let w = &plan.workflow;
    let denied = plan.effects.iter().any(|effect| effect.decision == "deny");
    let people: u32 = plan.effects.iter().map(|effect| effect.approvals).sum();
    let content = html! {
        (heading(plan.title.as_deref().unwrap_or(&w.name), "This is what would happen."))
        @if let Some(intent) = &plan.intent { blockquote.intent { (intent) } }
        div.two {
            section {
                h2 { "Effects, in order" }
                @if plan.effects.is_empty() { p.faint { "nothing outside is touched" } }
                ol.plan { @for (i, effect) in plan.effects.iter().enumerate() { li { (foreseen(i + 1, effect)) } } }
                @if let Some(note) = &plan.note { p.muted { (icon::draw(icon::QUESTION)) (format::prose(note)) } }
            }
            aside {
                section.card { h2 { "Input" } (data::document(&plan.input)) }
                section.card {
                    h2 { "Plan" }
                    dl.facts {
                        dt { "Workflow" } dd { (w.namespace) "/" (w.name) @if let Some(version) = &w.version { ":" (version) } }
                        dt { "Digest" } dd { a href={ "/console/plans/" (format::segment(&plan.digest.to_string())) } { (format::id(&plan.digest.to_string())) } }
                        @for cost in &plan.costs { dt { "Costs" } dd { (cost.amount) " " (cost.currency) @if cost.at_most != cost.amount { ", at most " (cost.at_most) } } }
                        dt { "Approvals" } dd { @if people == 0 { "none foreseen" } @else { (people) } }
                    }
                    form.stacked method="post" action="/console/goals/run" data-act {
                        (shell.token())
                        input type="hidden" name="plan" value=(plan.binding);
                        input type="hidden" name="once" value=(once);
                        (again(goal, plan))
                        @if denied { p.bad-text { "Policy denies an effect of this plan: the run would fail there." } }
                        // Not focused: a second Enter must not run what nobody has read.
                        div.buttons {
                            button.button.primary type="submit" { "Run this plan" }
                            a.button href="/console" { "Not now" }
                        }
                    }
                }
            }
        }
    };
    frame(shell, "Plan", &content)
}

fn again(goal: &GoalRequest, plan: &PlanView) -> Markup {
    html! {
        @if let Some(intent) = &goal.intent {
            input type="hidden" name="intent" value=(intent);
            @if let Some(input) = &goal.input { input type="hidden" name="input" value=(input); }
        } @else {
            input type="hidden" name="namespace" value=(plan.workflow.namespace);
            input type="hidden" name="name" value=(plan.workflow.name);
            input type="hidden" name="version" value=(plan.workflow.version.as_deref().unwrap_or(""));
            input type="hidden" name="input" value=(goal.input.as_ref().unwrap_or(&plan.input));
        }
    }
}

/// One foreseen effect as a card.
pub(super) fn foreseen(number: usize, effect: &PlannedEffect) -> Markup {
    html! {
        article.card.effect-card {
            header {
                span.effect-number { (number) }
                h3 { (effect.operation) }
                (format::effect_kind(&effect.effect)) @if effect.class != effect.effect { span.tag.quiet { (effect.class) } }
                @if effect.probe { span.tag.quiet { "check" } }
                span.push { (format::decision(&effect.decision)) }
            }
            p.predicted { (effect.predicted) " " span.muted { "on " (effect.target) } }
            @if effect.approvals > 0 { p.wait-text { (icon::draw(icon::PERSON)) (effect.approvals) @if effect.approvals == 1 { " person" } @else { " people" } " must agree" } }
            (format::risk(&effect.risk))
            @if !effect.reasons.is_empty() { ul.reasons { @for reason in effect.reasons.iter().take(20) { li { (format::prose(reason)) } } } }
            @if !effect.unknown.is_empty() { p.muted { "Not known yet: " (effect.unknown.join(", ")) } }
            details { summary { "Arguments" } (data::document(&effect.arguments)) }
        }
    }
}
