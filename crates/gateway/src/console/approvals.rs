//! The approvals inbox: the exact effect, where each argument came from, the risk, and the decision.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use model::Problem;
use model::approval::ApprovalStatus;
use model::principal::Permission;
use serde::Deserialize;
use serde_json::Value as Json;

use app::view::{ApprovalView, ApprovalWord, PageOf};

use super::layout::{Failure, Section, Shell, empty, heading, more, page as frame};
use super::session::{Act, Fields, Session};
use super::{ApprovalQuery, data, form, format, icon};

/// Cards of one page.
const ROWS: u32 = 20;
/// Arguments that can be edited one by one.
const EDITS_MAX: usize = 64;
const REASON_MAX: usize = 500;

/// Which approvals, as the address says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Filter {
    /// A status; pending when empty, `all` for all.
    #[serde(default)]
    pub status: String,
    /// The page's cursor.
    #[serde(default)]
    pub cursor: String,
}

const STATUSES: [ApprovalStatus; 5] = [
    ApprovalStatus::Pending,
    ApprovalStatus::Approved,
    ApprovalStatus::Rejected,
    ApprovalStatus::Expired,
    ApprovalStatus::Withdrawn,
];

/// `GET /console/approvals`
pub(crate) async fn list(
    State(state): State<crate::State>,
    mut session: Session,
    Query(filter): Query<Filter>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Approvals).await;
    let status = match filter.status.as_str() {
        "" => Some(ApprovalStatus::Pending),
        word => STATUSES.into_iter().find(|status| status.name() == word),
    };
    let cursor = Some(filter.cursor.clone()).filter(|cursor| !cursor.is_empty());
    let query = ApprovalQuery { status, execution: None, cursor, limit: ROWS };
    let found = state.app.approvals(&session.caller, query).await?;
    Ok(inbox(&shell, &filter, &found))
}

/// `GET /console/approvals/{id}`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Path(id): Path<String>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Approvals).await.watching(&[
        "approval",
        "control",
        "execution",
        "dead-letter",
    ]);
    let view = state.app.approval(&session.caller, &id).await?;
    Ok(page(&shell, &view))
}

/// `POST /console/approvals/{id}/decide` with `word` = `approve`, `reject` or `edit`
pub(crate) async fn decide(State(state): State<crate::State>, Path(id): Path<String>, form: Act) -> Response {
    let back = format!("/console/approvals/{}", format::segment(&id));
    let done = decided(&state, &id, &form).await;
    form.answer(done, &back)
}

async fn decided(state: &crate::State, id: &str, act: &Act) -> Result<String, Problem> {
    let caller = &act.session.caller;
    let word = |arguments, answer| ApprovalWord {
        digest: act.fields.text("digest").to_owned(),
        reason: act.fields.text("reason").to_owned(),
        arguments,
        answer,
    };
    match act.fields.text("word") {
        "approve" => {
            let answer = match state.app.approval(caller, id).await?.approval.form {
                Some(schema) => Some(filled_in(&schema, &act.fields).map_err(|problem| *problem)?),
                None => None,
            };
            let view = state.app.approve(caller, id, word(None, answer)).await?;
            Ok(match view.missing {
                0 => "Approved. The execution goes on.".to_owned(),
                missing => format!("Your word counts; {missing} more needed."),
            })
        }
        "reject" => state.app.reject(caller, id, word(None, None)).await.map(|_| "Rejected.".to_owned()),
        "edit" => {
            let view = state.app.approval(caller, id).await?;
            let arguments =
                edited(&view.approval.arguments.to_json(), &act.fields).map_err(|problem| *problem)?;
            state.app.approve(caller, id, word(Some(arguments), None)).await?;
            Ok("Edited. The new effect is judged again.".to_owned())
        }
        _ => Err(Problem::new(422, 4220, "wrong shape", "say approve, reject or edit")),
    }
}

/// What the form of an approval is filled in with.
fn filled_in(schema: &Json, fields: &Fields) -> Result<Json, Box<Problem>> {
    form::to_input(Some(schema), fields).map_err(|(field, what)| {
        Box::new(Problem::new(422, 4220, "wrong shape", format!("`{field}` {what}")).field(field, what))
    })
}

/// The arguments with the fields `arg:<pointer>` put in place, each with the type that it had.
pub(crate) fn edited(arguments: &Json, fields: &Fields) -> Result<Json, Box<Problem>> {
    let mut changed = arguments.clone();
    for leaf in data::leaves(arguments).iter().take(EDITS_MAX) {
        let Some(text) =
            fields.0.iter().find(|(n, _)| n.strip_prefix("arg:") == Some(&leaf.pointer)).map(|(_, v)| v)
        else {
            continue;
        };
        let wrong =
            |what: &str| Problem::new(422, 4220, "wrong shape", what).field(leaf.pointer.clone(), what);
        let value = form::like(&leaf.value, text).map_err(|what| Box::new(wrong(&what)))?;
        if let Some(place) = changed.pointer_mut(&leaf.pointer) {
            *place = value;
        }
    }
    if changed == *arguments {
        let what = "change an argument, or approve it as it is";
        return Err(Box::new(Problem::new(422, 4220, "wrong shape", what)));
    }
    Ok(changed)
}

/// The inbox.
pub fn inbox(shell: &Shell, filter: &Filter, found: &PageOf<ApprovalView>) -> Markup {
    let chosen = if filter.status.is_empty() { "pending" } else { &filter.status };
    let next = found
        .next
        .as_deref()
        .map(|c| format!("/console/approvals?status={chosen}&cursor={}", format::segment(c)));
    let announce = match found.items.len() {
        1 => "1 approval in the list.".to_owned(),
        n => format!("{n} approvals in the list."),
    };
    let content = html! {
        div data-announce=(announce) { (heading("Approvals", "Effects that may only happen when people agree. Silence means no.")) }
        div.chips role="group" aria-label="Status" {
            @for status in STATUSES {
                a.filter role="button" href={ "/console/approvals?status=" (status.name()) } aria-pressed=(chosen == status.name()) { (format::approval_status(status.name())) }
            }
        }
        @if found.items.is_empty() { (empty("Nothing to decide", "New requests appear here by themselves.")) }
        div.inbox { @for view in &found.items { (card(shell, view)) } }
        (more(next.as_deref()))
    };
    frame(shell, "Approvals", &content)
}

/// One approval on its own page.
pub fn page(shell: &Shell, view: &ApprovalView) -> Markup {
    let content = html! {
        nav.crumbs aria-label="Path" { a href="/console/approvals" { "Approvals" } " / " (format::id(view.approval.id.as_str())) }
        h1.sr { "Approval of " (view.approval.operation) }
        (card(shell, view))
    };
    frame(shell, "Approval", &content)
}

/// One approval with everything that is needed to decide it.
pub fn card(shell: &Shell, view: &ApprovalView) -> Markup {
    let a = &view.approval;
    let pending = a.status == ApprovalStatus::Pending;
    let provenance: Vec<(String, Vec<String>)> = a
        .provenance
        .iter()
        .map(|(at, label)| (at.clone(), label.names().into_iter().map(str::to_owned).collect()))
        .collect();
    html! {
        article.card.approval #{ "approval-" (a.id) } data-item tabindex="-1" data-href={ "/console/approvals/" (a.id) } aria-label={ (a.operation) " on " (a.target) }
            data-announce={ "Approval " (a.status.name()) "." } {
            header {
                div {
                    p.kicker { (format::effect_kind(a.effect_kind.name())) span.tag.quiet { (a.class.name()) } code { (a.operation) } }
                    h2 { a href={ "/console/approvals/" (a.id) } { (a.predicted) } }
                    p.muted { "on " (a.target) @if let Some(intent) = &view.intent { " · for “" (intent) "”" } }
                }
                div.push.stack {
                    (format::approval_status(a.status.name()))
                    @if pending { (format::countdown(a.expires_at, shell.now)) }
                }
            }
            div.approval-body {
                section { h3 { @if pending { "Exactly this will be sent" } @else { "Exactly this was to be sent" } } (data::arguments(&a.arguments.to_json(), &provenance)) }
                section { h3 { "Risk" } (format::risk(&a.risk)) (circumstances(shell, view)) }
            }
            (votes(shell, view))
            @if let Some(answer) = &a.answer { section { h3 { "Filled in" } (data::arguments(&answer.to_json(), &[])) } }
            @if pending { (decision(shell, view)) }
        }
    }
}

fn circumstances(shell: &Shell, view: &ApprovalView) -> Markup {
    let a = &view.approval;
    let radius = &a.blast_radius;
    html! {
        dl.facts {
            dt { "Why" } dd { @for (i, reason) in a.reasons.iter().take(20).enumerate() { @if i > 0 { br; } (format::prose(reason)) } }
            @if !radius.scope.is_empty() { dt { "Can touch" } dd { "up to " (radius.max) " " (radius.unit) " of one " (radius.scope) } }
            dt { "Asked by" } dd { (a.requester) ", " (format::moment(a.requested_at, shell.now)) }
            @if let Some(editor) = &a.edited_by { dt { "Edited by" } dd { (editor) } }
            dt { "Execution" } dd { (format::execution_link(a.execution.as_str())) " " span.muted { (a.workflow) } }
            dt { "Digest" } dd { (format::id(&a.digest.to_string())) }
        }
    }
}

fn votes(shell: &Shell, view: &ApprovalView) -> Markup {
    let a = &view.approval;
    let given = a.votes.iter().filter(|vote| vote.approve).count();
    let needed = usize::try_from(a.quorum.approvers).unwrap_or(usize::MAX);
    html! {
        div.quorum {
            span.dots aria-hidden="true" { @for i in 0..needed.min(12) { i.given[i < given] {} } }
            span { b { (given) } " of " (a.quorum.approvers) " approved" }
            @if !a.quorum.roles.is_empty() { span.muted { "may decide: " (a.quorum.roles.join(", ")) } }
        }
        @if !a.votes.is_empty() {
            ul.votes {
                @for vote in a.votes.iter().take(50) {
                    li {
                        (format::chip(if vote.approve { "good" } else { "bad" }, if vote.approve { icon::CHECK } else { icon::CROSS }, if vote.approve { "yes" } else { "no" }))
                        b { (vote.by) } span { (vote.reason) } (format::moment(vote.at, shell.now))
                    }
                }
            }
        }
    }
}

fn decision(shell: &Shell, view: &ApprovalView) -> Markup {
    let a = &view.approval;
    let action = format!("/console/approvals/{}/decide", a.id);
    html! {
        @if let Some(refusal) = &view.refusal {
            p.refusal { (icon::draw(icon::WARNING)) span.sentence { (refusal) } }
        } @else if shell.may(Permission::DecideApproval) {
            form.decide method="post" action=(action) data-act data-decide {
                (shell.token())
                input type="hidden" name="digest" value=(a.digest);
                @if let Some(schema) = &a.form {
                    (form::of_schema(Some(schema), &a.answer.as_ref().map_or(Json::Null, |answer| answer.to_json())))
                }
                label { span { "Why" } input type="text" name="reason" required maxlength=(REASON_MAX) autocomplete="off" placeholder="a reason for the record"; }
                button.button.primary type="submit" name="word" value="approve" { (icon::draw(icon::CHECK)) "Approve" kbd aria-hidden="true" { "a" } }
                button.button.danger type="submit" name="word" value="reject" formnovalidate[a.form.is_some()] { (icon::draw(icon::CROSS)) "Reject" kbd aria-hidden="true" { "r" } }
            }
            @if a.operation != model::effect::APPROVAL && a.operation != model::effect::DECLASSIFY { (edit(shell, view, &action)) }
        } @else { p.muted { "Your roles let you look, not decide." } }
    }
}

fn edit(shell: &Shell, view: &ApprovalView, action: &str) -> Markup {
    let leaves = data::leaves(&view.approval.arguments.to_json());
    html! {
        @if !leaves.is_empty() {
            details.edit {
                summary { "Edit the arguments" }
                p.muted { "An edit makes a new effect: it is judged again, and it needs its own approval if policy says so." }
                form.stacked method="post" action=(action) data-act {
                    (shell.token())
                    input type="hidden" name="digest" value=(view.approval.digest);
                    @for leaf in leaves.iter().take(EDITS_MAX) {
                        label.field { span { (data::name(&leaf.pointer)) } (form::input_like(&format!("arg:{}", leaf.pointer), &leaf.value)) }
                    }
                    label.field { span { "Why" } input type="text" name="reason" required maxlength=(REASON_MAX) autocomplete="off"; }
                    button.button type="submit" name="word" value="edit" { "Send the edit" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn an_edit_keeps_types_and_touches_only_what_exists() {
        let arguments = json!({"amount": 25, "order": {"id": "1042"}, "urgent": false});
        let form = fields(&[
            ("arg:/amount", "12.5"),
            ("arg:/order/id", "7"),
            ("arg:/urgent", "true"),
            ("arg:/new", "x"),
        ]);
        let changed = edited(&arguments, &form).unwrap();
        assert_eq!(changed, json!({"amount": 12.5, "order": {"id": "7"}, "urgent": true}));
    }

    #[test]
    fn an_edit_that_is_none_or_wrong_is_refused() {
        let arguments = json!({"amount": 25});
        let same = edited(&arguments, &fields(&[("arg:/amount", "25")])).unwrap_err();
        assert!(same.detail.starts_with("change an argument"), "{same}");
        let wrong = edited(&arguments, &fields(&[("arg:/amount", "much")])).unwrap_err();
        assert_eq!((wrong.status, wrong.fields[0].field.as_str()), (422, "/amount"));
    }
}
