//! The audit log: search, the signed head, the check of the whole log, and inclusion proofs as pictures.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use model::Digest;
use model::principal::Permission;
use serde::Deserialize;
use serde_json::Value as Json;

use app::view::{AuditCheck, AuditEntry, AuditSearch, PageOf, ProofView};

use super::layout::{Failure, Section, Shell, empty, heading, more, page as frame};
use super::session::{Act, Session};
use super::{data, format, icon, picture};

/// Rows of one page.
const ROWS: u32 = 50;
/// Characters of a search at the most.
const SEARCH_MAX: usize = 200;

/// What the reader looks for, as the address says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Filter {
    /// An execution's or request's id.
    #[serde(default)]
    pub correlation: String,
    /// Beginning of the action.
    #[serde(default)]
    pub action: String,
    /// Actor.
    #[serde(default)]
    pub actor: String,
    /// The page's cursor.
    #[serde(default)]
    pub cursor: String,
}

/// The size and root of the tree, as the signed head says it.
#[derive(Debug, Clone)]
pub struct Head {
    /// Leaves.
    pub size: u64,
    /// Root hash in hexadecimal.
    pub root: String,
    /// The key that signed it.
    pub key_id: String,
    /// When it was signed.
    pub at: model::Timestamp,
}

/// `GET /console/audit`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Query(filter): Query<Filter>,
) -> Result<Markup, Failure> {
    show(&state, &mut session, &filter, None).await
}

/// `POST /console/audit/check`: checks every leaf, then shows the page with the result.
pub(crate) async fn check(State(state): State<crate::State>, mut act: Act) -> Result<Response, Failure> {
    let found = state.app.audit_check(&act.session.caller).await?;
    "/console/audit".clone_into(&mut act.session.path);
    Ok(show(&state, &mut act.session, &Filter::default(), Some(&found)).await?.into_response())
}

/// `GET /console/audit/proof/{index}`
pub(crate) async fn proof(
    State(state): State<crate::State>,
    mut session: Session,
    Path(index): Path<u64>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Audit).await;
    let view = state.app.audit_proof(&session.caller, index).await?;
    Ok(proof_page(&shell, &view))
}

async fn show(
    state: &crate::State,
    session: &mut Session,
    filter: &Filter,
    checked: Option<&AuditCheck>,
) -> Result<Markup, Failure> {
    let mut shell = Shell::load(state, session, Section::Audit).await;
    if checked.is_some() {
        // A refresh would take the result away.
        shell = shell.watching(&[]);
    }
    let some =
        |text: &str| Some(text.trim().chars().take(SEARCH_MAX).collect()).filter(|t: &String| !t.is_empty());
    let search = AuditSearch {
        correlation: some(&filter.correlation),
        action: some(&filter.action),
        actor: some(&filter.actor),
        from: 0,
        newest_first: true,
        cursor: some(&filter.cursor),
        limit: ROWS,
    };
    let found = state.app.audit(&session.caller, search).await?;
    let head = state.app.audit_head(&session.caller).await?;
    let head = Head { size: head.size, root: hex(head.root), key_id: head.key_id, at: head.at };
    Ok(page(&shell, filter, &found, &head, checked))
}

fn hex(root: [u8; 32]) -> String {
    Digest(root).to_string().trim_start_matches("sha256:").to_owned()
}

/// The page.
pub fn page(
    shell: &Shell,
    filter: &Filter,
    found: &PageOf<AuditEntry>,
    head: &Head,
    checked: Option<&AuditCheck>,
) -> Markup {
    let next = found.next.as_deref().map(|cursor| {
        let pairs =
            [("correlation", &filter.correlation), ("action", &filter.action), ("actor", &filter.actor)];
        let kept: String =
            pairs.iter().map(|(name, value)| format!("{name}={}&", format::segment(value))).collect();
        format!("/console/audit?{kept}cursor={}", format::segment(cursor))
    });
    let content = html! {
        (heading("Audit", "Every decision, effect, approval, control and administrative act, in one tamper-evident log."))
        div.audit-head {
            section.card {
                h2 { "Signed tree head" }
                dl.facts {
                    dt { "Records" } dd { (format::count(head.size)) }
                    dt { "Root" } dd { (format::id(&head.root)) }
                    dt { "Key" } dd { (format::id(&head.key_id)) }
                    dt { "Signed" } dd { (format::moment(head.at, shell.now)) }
                }
            }
            section.card {
                h2 { "Is the log whole?" }
                @match checked {
                    Some(check) => (verdict(check)),
                    None => p.muted { "Reads every record and rebuilds the tree." },
                }
                @if shell.may(Permission::ReadAudit) {
                    form method="post" action="/console/audit/check" { (shell.token()) button.button.primary type="submit" { (icon::draw(icon::SEAL)) "Verify the whole log" } }
                }
            }
        }
        form.filters role="search" method="get" action="/console/audit" {
            label.search { (icon::draw(icon::SEARCH)) span.sr { "Correlation" } input type="search" name="correlation" value=(filter.correlation) maxlength=(SEARCH_MAX) placeholder="execution or request id" data-search; }
            label.field-inline { span.sr { "Action" } input type="text" name="action" value=(filter.action) maxlength=(SEARCH_MAX) placeholder="action"; }
            label.field-inline { span.sr { "Actor" } input type="text" name="actor" value=(filter.actor) maxlength=(SEARCH_MAX) placeholder="actor"; }
            button.button type="submit" { "Find" }
        }
        @if found.items.is_empty() { (empty("No records", "Nothing matches.")) } @else { (table(shell, &found.items)) }
        (more(next.as_deref()))
    };
    frame(shell, "Audit", &content)
}

fn verdict(check: &AuditCheck) -> Markup {
    html! {
        @match &check.first_bad {
            None if check.intact => p.good-text role="status" { (icon::draw(icon::SEAL)) "Intact: " (format::count(check.size)) " records, root " (format::id(&check.root)) },
            Some((index, why)) => p.bad-text role="alert" { (icon::draw(icon::WARNING)) "Not intact. First bad record: " (index) ". " (why) },
            None => p.bad-text role="alert" { (icon::draw(icon::WARNING)) "Not intact." },
        }
    }
}

fn table(shell: &Shell, entries: &[AuditEntry]) -> Markup {
    html! {
        table.list.audit {
            thead { tr { th.end { "Record" } th { "When" } th { "Who" } th { "Did" } th { "On" } th { "Details" } } }
            tbody {
                @for entry in entries {
                    @let r = &entry.record;
                    tr data-item tabindex="-1" {
                        td.end.number data-label="Record" { a href={ "/console/audit/proof/" (entry.sequence) } title={ "Proof of record " (entry.sequence) ", hash " (entry.hash) } { (entry.sequence) } }
                        td data-label="When" { (format::moment(r.at, shell.now)) }
                        td data-label="Who" { (r.actor) }
                        td data-label="Did" { b { (r.action) } }
                        td.wrap data-label="On" { (resource(&r.resource)) }
                        td.wrap data-label="Details" {
                            @if let Json::Null = r.details { span.faint { "none" } } @else { details { summary { "show" } (data::document(&r.details)) } }
                        }
                    }
                }
            }
        }
    }
}

/// A resource with its long identifiers shortened; executions lead to their pages.
fn resource(text: &str) -> Markup {
    let mut parts = text.split('/');
    let execution = (parts.next() == Some("executions")).then(|| parts.next()).flatten();
    let told = if execution.is_some() { text.strip_prefix("executions/").unwrap_or(text) } else { text };
    let shown: Vec<String> = told.split('/').map(format::short).collect();
    let shown = shown.join("/");
    html! {
        @match execution {
            Some(id) => a href={ "/console/executions/" (format::segment(id)) } title=(text) { code.id { (shown) } },
            None => code title=(text) { (shown) },
        }
    }
}

/// The proof that a record is in the log.
pub fn proof_page(shell: &Shell, view: &ProofView) -> Markup {
    let root = hex(view.head.root);
    let r = &view.record;
    let content = html! {
        nav.crumbs aria-label="Path" { a href="/console/audit" { "Audit" } " / record " (view.index) }
        (heading(&format!("Proof of record {}", view.index), "Whoever holds the tree head can check that this record is in the log, and was never changed."))
        div.two {
            section.card {
                h2 { "Path to the root" }
                (picture::proof(view, view.head.size, &root))
            }
            aside {
                section.card {
                    h2 { "Record" }
                    dl.facts {
                        dt { "When" } dd { (format::moment(r.at, shell.now)) }
                        dt { "Who" } dd { (r.actor) " " span.muted { (r.actor_kind) } }
                        dt { "Did" } dd { b { (r.action) } }
                        dt { "On" } dd { code { (r.resource) } }
                        dt { "Belongs to" } dd { a href={ "/console/audit?correlation=" (format::segment(&r.correlation)) } { (format::short(&r.correlation)) } }
                        @if let Some(address) = &r.address { dt { "From" } dd { (address) } }
                    }
                    (data::document(&r.details))
                }
                section.card {
                    h2 { "Tree head" }
                    dl.facts {
                        dt { "Records" } dd { (format::count(view.head.size)) }
                        dt { "Root" } dd { (format::id(&root)) }
                        dt { "Key" } dd { (format::id(&view.head.key_id)) }
                        dt { "Signed" } dd { (format::moment(view.head.at, shell.now)) }
                    }
                }
            }
        }
    };
    frame(shell, &format!("Proof of record {}", view.index), &content)
}
