//! Plans that are kept: what each foresees, who has to agree, and the signature that executions are held to.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use model::Problem;
use model::principal::Permission;
use serde::Deserialize;

use app::view::{GoalAnswer, GoalRequest, PageOf, PlanView};

use super::goal::foreseen;
use super::layout::{Failure, Section, Shell, empty, heading, more, page as frame};
use super::session::{Act, Session};
use super::{data, format, icon};

/// Plans of one page.
const PLANS: u32 = 25;
/// Effects and votes that are drawn.
const LINES_MAX: usize = 200;
const REASON_MAX: usize = 500;

/// Where the list goes on.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Cursor {
    /// As an earlier page said.
    pub cursor: Option<String>,
}

/// `GET /console/plans`
pub(crate) async fn list(
    State(state): State<crate::State>,
    mut session: Session,
    Query(at): Query<Cursor>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Plans).await.watching(&["plan", "control"]);
    let found = state.app.plans(&session.caller, at.cursor.as_deref(), PLANS).await?;
    Ok(list_page(&shell, &found))
}

/// `GET /console/plans/{digest}`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Path(digest): Path<String>,
) -> Result<Markup, Failure> {
    let shell =
        Shell::load(&state, &mut session, Section::Plans).await.watching(&["plan", "execution", "control"]);
    let plan = state.app.plan(&session.caller, &digest).await?;
    Ok(page(&shell, &plan))
}

/// `POST /console/plans/{digest}`: approve, reject or run.
pub(crate) async fn act(
    State(state): State<crate::State>,
    Path(digest): Path<String>,
    form: Act,
) -> Response {
    let caller = &form.session.caller;
    let reason = form.fields.text("reason");
    let back = format!("/console/plans/{}", format::segment(&digest));
    let done = match form.fields.text("word") {
        "approve" => state.app.approve_plan(caller, &digest, reason).await.map(|plan| match plan.seal {
            Some(_) => "The plan is signed.".to_owned(),
            None => "Your yes is recorded.".to_owned(),
        }),
        "reject" => {
            state.app.reject_plan(caller, &digest, reason).await.map(|_| "The plan is rejected.".to_owned())
        }
        "run" => {
            let goal = GoalRequest { plan: Some(digest.clone()), ..GoalRequest::default() };
            match state.app.submit_goal(caller, goal).await {
                Ok(GoalAnswer::Accepted(accepted)) => {
                    let to =
                        format!("/console/executions/{}", format::segment(accepted.execution_id.as_str()));
                    return form.go(to, "Started.".to_owned());
                }
                Ok(GoalAnswer::Planned(_)) => Err(Problem::machine("a plan to run was answered with a plan")),
                Err(problem) => Err(problem),
            }
        }
        _ => Err(Problem::new(422, 4220, "wrong shape", "say approve, reject or run")),
    };
    form.answer(done, &back)
}

fn status(word: &str) -> Markup {
    match word {
        "open" => format::chip("wait", icon::HOURGLASS, "waits for people"),
        "signed" => format::chip("good", icon::SEAL, "signed"),
        "rejected" => format::chip("bad", icon::CROSS, "rejected"),
        "expired" => format::chip("quiet", icon::HOURGLASS, "expired"),
        "used" => format::chip("quiet", icon::CHECK, "used"),
        other => format::chip("quiet", icon::DOT, other),
    }
}

fn title(plan: &PlanView) -> &str {
    plan.intent.as_deref().or(plan.title.as_deref()).unwrap_or(&plan.workflow.name)
}

/// The list.
pub fn list_page(shell: &Shell, found: &PageOf<PlanView>) -> Markup {
    let content = html! {
        (heading("Plans", "What would happen, before it does. Enough people sign a plan, and its executions can do nothing else."))
        @if found.items.is_empty() { (empty("No plans", "A goal that is only planned is kept here until it expires.")) } @else {
            table.list {
                thead { tr { th { "Plan" } th { "What" } th { "Status" } th.end { "Effects" } th { "Asked by" } th { "Until" } } }
                tbody { @for plan in &found.items {
                    tr data-item tabindex="-1" {
                        td data-label="Plan" { a href={ "/console/plans/" (format::segment(&plan.digest.to_string())) } { (format::id(&plan.digest.to_string())) } }
                        td.what data-label="What" { span.intent { (title(plan)) } span.muted { (plan.workflow.namespace) "/" (plan.workflow.name) } }
                        td data-label="Status" { (status(&plan.status)) @if plan.missing > 0 && plan.status == "open" { " " span.muted { (plan.missing) " to go" } } }
                        td.end.number data-label="Effects" { (plan.effects.len()) }
                        td data-label="Asked by" { (plan.requester) }
                        td data-label="Until" { (format::moment(plan.expires_at, shell.now)) }
                    }
                } }
            }
        }
        @let next = found.next.as_deref().map(|cursor| format!("/console/plans?cursor={}", format::segment(cursor)));
        (more(next.as_deref()))
    };
    frame(shell, "Plans", &content)
}

/// One plan.
pub fn page(shell: &Shell, plan: &PlanView) -> Markup {
    let content = html! {
        header.page-head.report-head data-announce={ "Plan " (plan.status) "." } {
            nav.crumbs aria-label="Path" { a href="/console/plans" { "Plans" } " / " (format::id(&plan.digest.to_string())) }
            h1 { (title(plan)) }
            p.state-line { (status(&plan.status)) span.muted { "asked by " (plan.requester) ", " (format::moment(plan.made_at, shell.now)) } @if plan.status == "open" || plan.status == "signed" { (format::countdown(plan.expires_at, shell.now)) } }
        }
        (decide(shell, plan))
        section aria-labelledby="h-table" { h2 #h-table { "At a glance" } (glance(plan)) }
        div.two {
            section {
                h2 { "Effects, in order" }
                ol.plan { @for (i, effect) in plan.effects.iter().take(LINES_MAX).enumerate() { li { (foreseen(i + 1, effect)) } } }
                @if let Some(note) = &plan.note { p.muted { (icon::draw(icon::QUESTION)) (format::prose(note)) } }
                @if !plan.not_reached.is_empty() {
                    details { summary { "Not foreseen on this way: " (plan.not_reached.len()) } ul.reasons { @for act in plan.not_reached.iter().take(LINES_MAX) { li { (act.operation) " " code.muted { (act.task) } } } } }
                }
            }
            aside {
                section.card aria-labelledby="h-people" {
                    h2 #h-people { "Who agrees" }
                    @if plan.quorums.is_empty() { p.muted { "nobody has to" } }
                    @for quorum in &plan.quorums { p { b { (quorum.approvers) } " of " (quorum.roles.join(", ")) } }
                    ul.votes { @for vote in plan.votes.iter().take(LINES_MAX) { li {
                        @if vote.approve { (format::chip("good", icon::CHECK, "yes")) } @else { (format::chip("bad", icon::CROSS, "no")) }
                        b { (vote.by) } span { (vote.reason) } (format::moment(vote.at, shell.now))
                    } } }
                }
                section.card { h2 { "Input" } (data::document(&plan.input)) }
                @if !plan.used_by.is_empty() { section.card { h2 { "Used by" } ul.ids { @for used in plan.used_by.iter().take(LINES_MAX) { li { (format::execution_link(used.execution.as_str())) " " (format::moment(used.at, shell.now)) } } } } }
                (seal(plan))
            }
        }
    };
    frame(shell, "Plan", &content)
}

/// Every effect as a line: what, how risky, what policy says, what it costs.
fn glance(plan: &PlanView) -> Markup {
    html! {
        @if plan.effects.is_empty() { p.faint { "nothing outside is touched" } } @else {
            table.list {
                thead { tr { th { "Effect" } th { "Class" } th { "Risk" } th { "Verdict" } th.end { "At most" } th.end { "Costs" } } }
                tbody { @for (i, effect) in plan.effects.iter().take(LINES_MAX).enumerate() {
                    tr {
                        td data-label="Effect" { span.muted { (i + 1) ". " } b { (effect.operation) } " " span.muted { "on " (effect.target) @if !effect.target_known { " (may be another)" } } }
                        td data-label="Class" { (format::effect_kind(&effect.effect)) " " @if effect.class != effect.effect { span.tag.quiet { (effect.class) } } }
                        td data-label="Risk" { span class={ "level " (effect.risk.level.name()) } { (effect.risk.score) " " (effect.risk.level.name()) } }
                        td data-label="Verdict" { (format::decision(&effect.decision)) }
                        td.end.number data-label="At most" { (effect.uses) "×" }
                        td.end.number data-label="Costs" { @match &effect.cost { Some(cost) => { (model::action::ContractCost::decimal(cost.micros)) " " (cost.currency) } None => "—" } }
                    }
                } }
            }
            @for cost in &plan.costs { p.number { "Together " b { (cost.amount) " " (cost.currency) } @if cost.at_most != cost.amount { ", at most " (cost.at_most) } } }
        }
    }
}

fn decide(shell: &Shell, plan: &PlanView) -> Markup {
    let own = plan.requester == shell.principal.id.as_str();
    let to = format!("/console/plans/{}", format::segment(&plan.digest.to_string()));
    html! {
        @if plan.status == "open" {
            @if let Some(why) = &plan.refusal { p.refusal { (icon::draw(icon::WARNING)) span { (format::prose(why)) } } }
            @else if shell.may(Permission::DecideApproval) {
                form.acts method="post" action=(to) data-act {
                    (shell.token())
                    label { span.sr { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) placeholder="why: approve or reject the whole plan" autocomplete="off"; }
                    button.button.primary type="submit" name="word" value="approve" { "Approve" }
                    button.button.danger type="submit" name="word" value="reject" { "Reject" }
                }
            }
        }
        @if plan.status == "signed" && own && shell.may(Permission::SubmitGoal) {
            form.acts method="post" action=(to) data-act { (shell.token()) button.button.primary type="submit" name="word" value="run" { (icon::draw(icon::PLAY)) "Run it as it is signed" } }
        }
    }
}

fn seal(plan: &PlanView) -> Markup {
    html! {
        section.card.seal aria-labelledby="h-seal" {
            h2 #h-seal { (icon::draw(icon::SEAL)) " Signature" }
            dl.facts {
                dt { "Digest" } dd { code { (plan.digest.to_string()) } }
                @if let Some(seal) = &plan.seal {
                    dt { "Signed for" } dd { @for (i, who) in seal.approvers.iter().enumerate() { @if i > 0 { ", " } (who) } }
                    dt { "Key" } dd { code { (seal.key_id) } }
                    dt { "Ed25519" } dd { code { (seal.signature.iter().map(|byte| format!("{byte:02x}")).collect::<String>()) } }
                }
            }
            @if plan.seal.is_none() { p.muted { "not signed" } }
        }
    }
}
