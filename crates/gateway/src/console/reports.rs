//! Signed reports of stops and results of drills: lists, and pages that can be handed to an auditor.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use model::principal::Permission;
use serde::Deserialize;
use serde_json::Value as Json;

use app::view::{PageOf, SignedReport};
use model::Timestamp;

use super::layout::{Failure, Section, Shell, empty, heading, more, page as frame};
use super::session::Session;
use super::{format, icon};

/// Reports of one page.
const REPORTS: u32 = 50;
/// Lines of one table.
const LINES_MAX: usize = 500;
const REASON_MAX: usize = 500;

/// Where the lists go on.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Cursor {
    /// Of the reports.
    pub cursor: Option<String>,
    /// Of the drills.
    pub drills: Option<String>,
}

/// `GET /console/controls/reports`
pub(crate) async fn list(
    State(state): State<crate::State>,
    mut session: Session,
    Query(at): Query<Cursor>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Controls).await;
    let reports = state.app.stop_reports(&session.caller, at.cursor.as_deref(), REPORTS).await?;
    let drills = state.app.drills(&session.caller, at.drills.as_deref(), REPORTS).await?;
    Ok(list_page(&shell, &reports, &drills))
}

/// `GET /console/controls/reports/{id}`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Path(id): Path<String>,
) -> Result<Markup, Failure> {
    let shell =
        Shell::load(&state, &mut session, Section::Controls).await.watching(&["control", "execution"]);
    let signed = state.app.stop_report(&session.caller, &id, None).await?;
    Ok(page(&shell, &signed))
}

/// `GET /console/controls/drills/{id}`
pub(crate) async fn drill(
    State(state): State<crate::State>,
    mut session: Session,
    Path(id): Path<String>,
) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::Controls).await;
    let signed = state.app.drill_result(&session.caller, &id).await?;
    Ok(drill_page(&shell, &signed))
}

/// Both lists.
pub fn list_page(shell: &Shell, reports: &PageOf<SignedReport>, drills: &PageOf<SignedReport>) -> Markup {
    let content = html! {
        (heading("Reports and drills", "What every stop found and left behind, and how fast the switch is. Each is signed with the key of the audit log."))
        section aria-labelledby="h-reports" {
            h2 #h-reports { "Stops" }
            @if reports.items.is_empty() { (empty("No stop yet", "When something is stopped, its signed report stands here.")) } @else {
                table.list {
                    thead { tr { th { "Stopped" } th { "Why" } th.end { "On the wire" } th.end { "Held" } th { "When" } th { "Report" } } }
                    tbody { @for signed in reports.items.iter().rev() {
                        @let r = &signed.report;
                        tr data-item tabindex="-1" {
                            td data-label="Stopped" { a href={ "/console/controls/reports/" (format::segment(text(r, "id"))) } { (title(r)) } }
                            td.wrap data-label="Why" { (text(r, "reason")) " " span.muted { "— " (text(r, "by")) } }
                            td.end.number data-label="On the wire" { (format::count(number(r, "on_the_wire"))) }
                            td.end.number data-label="Held" { (format::count(number(r, "held"))) }
                            td data-label="When" { (when(r, "at", shell)) }
                            td data-label="Report" { (completeness(r)) }
                        }
                    } }
                }
            }
            @let next = reports.next.as_deref().map(|c| format!("/console/controls/reports?cursor={}", format::segment(c)));
            (more(next.as_deref()))
        }
        section aria-labelledby="h-drills" {
            h2 #h-drills { "Drills" }
            p.muted { "A drill starts harmless programs of its own, stops them again and again, and measures. Nothing else is stopped." }
            @if shell.may(Permission::SetControl) {
                form.card.acts.part method="post" action="/console/controls/drill" data-act {
                    (shell.token())
                    label { span { "Trials" } select name="trials" { option { "5" } option selected { "10" } option { "50" } option { "100" } } }
                    label.name { span { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) placeholder="monthly drill" autocomplete="off"; }
                    button.button.primary type="submit" { (icon::draw(icon::PULSE)) "Measure the switch" }
                }
            }
            @if !drills.items.is_empty() {
                table.list {
                    thead { tr { th { "Drill" } th { "Why" } th.end { "Acknowledged, p99" } th.end { "Programs dead, p99" } th { "Result" } } }
                    tbody { @for signed in drills.items.iter().rev() {
                        @let r = &signed.report;
                        tr data-item tabindex="-1" {
                            td data-label="Drill" { a href={ "/console/controls/drills/" (format::segment(text(r, "id"))) } { (when(r, "at", shell)) } }
                            td.wrap data-label="Why" { (text(r, "reason")) " " span.muted { "— " (text(r, "by")) } }
                            td.end.number data-label="Acknowledged" { (quantile(&r["acknowledged_us"], "p99")) }
                            td.end.number data-label="Dead" { (quantile(&r["programs_dead_us"], "p99")) }
                            td data-label="Result" { (passed(r)) }
                        }
                    } }
                }
            }
            @let next = drills.next.as_deref().map(|c| format!("/console/controls/reports?drills={}", format::segment(c)));
            (more(next.as_deref()))
        }
    };
    frame(shell, "Reports and drills", &content)
}

/// One stop's report.
pub fn page(shell: &Shell, signed: &SignedReport) -> Markup {
    let r = &signed.report;
    let wire = r["wire"].as_array().map(Vec::as_slice).unwrap_or_default();
    let held = r["held_executions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let fated = |fate: &str| wire.iter().filter(|attempt| attempt["fate"] == fate).count();
    let open = wire.iter().filter(|attempt| attempt["fate"].is_null()).count();
    let content = html! {
        header.page-head.report-head data-announce={ "Report " @if r["complete"] == true { "complete." } @else { "being completed." } } {
            nav.crumbs aria-label="Path" { a href="/console/controls/reports" { "Reports" } " / " (format::id(text(r, "id"))) }
            h1 { "Stop of " (title(r)) }
            p.state-line { (completeness(r)) span.muted { "ordered by " (text(r, "by")) " · " (exact(r, "at")) } }
        }
        p.explanation { (text(r, "reason")) }
        div.figures.four {
            (figure(number(r, "on_the_wire"), "on the wire at the stop", "live"))
            (figure(fated("unknown") as u64, "of them unknown", "warn"))
            (figure(number(r, "called_back"), "called back, never sent", ""))
            (figure(number(r, "held"), "executions held", "wait"))
        }
        section.card aria-labelledby="h-order" {
            h2 #h-order { "In order" }
            ol.course {
                li { b { "Ordered and in force" } span.muted { (exact(r, "at")) ", epoch " (number(r, "epoch")) ": every permit of an older epoch is void here" } }
                @if r["acknowledged_at"].is_i64() || r["acknowledged_at"].is_string() { li { b { "Durable and acknowledged" } span.muted { (exact(r, "acknowledged_at")) } } }
                @if number(r, "programs_killed") > 0 { li { b { "Programs ended: " (number(r, "programs_killed")) } span.muted { @if let Some(us) = r["programs_dead_after_us"].as_u64() { "the last one after " (micros(us)) } } } }
                @if r["complete"] == true { li.good-text { b { "Nothing of it is on the wire any more" } span.muted { (exact(r, "completed_at")) } } }
                @else { li.open { b { (open) " still on the wire" } span.muted { "this page follows them" } } }
            }
        }
        section.card aria-labelledby="h-wire" {
            h2 #h-wire { "What was on the wire" }
            @if wire.is_empty() { p.good-text { (icon::draw(icon::CHECK)) "Nothing was on its way out." } } @else {
                (shares(wire.len(), &[("answered", fated("answered"), "verified"), ("killed", fated("killed"), "killed"), ("withdrawn", fated("withdrawn"), "killed"), ("unknown", fated("unknown"), "unknown"), ("still on the wire", open, "open")]))
                table.list {
                    thead { tr { th { "Effect" } th { "On" } th { "Class" } th { "Since" } th { "What became of it" } } }
                    tbody { @for attempt in wire.iter().take(LINES_MAX) {
                        tr {
                            td data-label="Effect" { b { (text(attempt, "operation")) } " " span.muted { "effect " (number(attempt, "effect")) ", attempt " (number(attempt, "attempt")) " of " } (format::execution_link(text(attempt, "execution"))) }
                            td data-label="On" { (text(attempt, "target")) }
                            td data-label="Class" { span.tag.quiet { (text(attempt, "class")) } }
                            td data-label="Since" { (when(attempt, "since", shell)) }
                            td data-label="Fate" { (fate(attempt["fate"].as_str())) }
                        }
                    } }
                }
                @if wire.len() > LINES_MAX { p.faint { "and " (wire.len() - LINES_MAX) " more, in the signed document" } }
            }
        }
        @if !held.is_empty() {
            section.card aria-labelledby="h-held" {
                h2 #h-held { "Executions that it holds" }
                ul.ids { @for one in held.iter().take(LINES_MAX) { li { (format::execution_link(text(one, "execution"))) } } }
                @if number(r, "held") > held.len() as u64 { p.faint { (format::count(number(r, "held"))) " in all" } }
            }
        }
        (seal(signed, &format!("/api/v1/controls/reports/{}", text(r, "id"))))
    };
    frame(shell, "Report of a stop", &content)
}

/// One drill's result.
pub fn drill_page(shell: &Shell, signed: &SignedReport) -> Markup {
    let r = &signed.report;
    let content = html! {
        header.page-head.report-head data-announce={ "Drill " @if r["complete"] == true { "complete." } @else { "under way." } } {
            nav.crumbs aria-label="Path" { a href="/console/controls/reports" { "Reports and drills" } " / " (format::id(text(r, "id"))) }
            h1 { "Drill of the kill switch" }
            p.state-line { (passed(r)) span.muted { "ordered by " (text(r, "by")) " · " (exact(r, "at")) } }
        }
        p.explanation { (text(r, "reason")) }
        @if let Some(error) = r["error"].as_str() { p.bad-text { (format::prose(error)) } }
        @if r["complete"] == true {
            div.figures.four {
                (figure(number(r, "trials_done"), "trials", ""))
                (figure(number(r, "programs_killed"), "programs killed", ""))
                (figure(number(r, "trials_with_late_starts"), "trials with a start after the stop", "bad"))
                div.figure { b { (quantile(&r["programs_dead_us"], "p99")) } span { "to the last program’s end, p99" } }
            }
            section.card aria-labelledby="h-times" {
                h2 #h-times { "Measured" }
                (times("stop acknowledged", &r["acknowledged_us"], &r["programs_dead_us"]))
                (times("last program dead", &r["programs_dead_us"], &r["programs_dead_us"]))
            }
        } @else { p.muted { "The drill is under way; this page shows its result when it ends." } }
        (seal(signed, &format!("/api/v1/controls/drills/{}", text(r, "id"))))
    };
    frame(shell, "Drill", &content)
}

/// A row of marks on a scale that ends at the slowest time measured.
fn times(word: &str, of: &Json, scale: &Json) -> Markup {
    let longest = scale["max"].as_u64().max(of["max"].as_u64()).unwrap_or(1).max(1);
    // Thousandths of the drawing's width.
    let place = |name: &str| of[name].as_u64().map(|us| us.saturating_mul(1000) / longest);
    html! {
        div.measured {
            span { (word) }
            svg viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true" {
                rect.track x="0" y="8" width="1000" height="4" {}
                @if let Some(to) = place("p99") { rect.mid x="0" y="6" width=(to) height="8" {} }
                @if let Some(to) = place("p50") { rect.fill x="0" y="6" width=(to) height="8" {} }
            }
            span.number.muted { "p50 " (quantile(of, "p50")) " · p99 " (quantile(of, "p99")) " · max " (quantile(of, "max")) }
        }
    }
}

fn seal(signed: &SignedReport, at: &str) -> Markup {
    let signature: String = signed.seal.signature.iter().map(|byte| format!("{byte:02x}")).collect();
    html! {
        section.card.seal aria-labelledby="h-seal" {
            h2 #h-seal { (icon::draw(icon::SEAL)) " Signature" }
            dl.facts {
                dt { "Digest" } dd { code { (signed.seal.digest.to_string()) } }
                dt { "Key" } dd { code { (signed.seal.key_id) } }
                dt { "Ed25519" } dd { code { (signature) } }
            }
            p.muted.screen-only { "Save the answer of " code { "GET " (at) } ", and check it anywhere with " code { "omnihub controls report verify FILE --key KEY" } ": KEY is the public key of the audit log, pinned beforehand." }
        }
    }
}

fn shares(total: usize, parts: &[(&str, usize, &str)]) -> Markup {
    let total = total.max(1);
    let mut end = 0;
    let placed: Vec<(usize, usize, &str)> = parts
        .iter()
        .map(|(_, count, class)| {
            let (from, width) = (end, count * 1000 / total);
            end += width;
            (from, width, *class)
        })
        .collect();
    html! {
        svg.shares viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true" {
            rect.track x="0" y="0" width="1000" height="12" {}
            @for (from, width, class) in placed { rect class={ "share " (class) } x=(from) y="0" width=(width) height="12" {} }
        }
        ul.share-words { @for (word, count, _) in parts.iter().filter(|(_, count, _)| *count > 0) { li { b.number { (count) } " " (word) } } }
    }
}

fn fate(word: Option<&str>) -> Markup {
    match word {
        Some("answered") => format::chip("good", icon::CHECK, "answered"),
        Some("unknown") => format::chip("warn", icon::QUESTION, "unknown: is found out by its class"),
        Some("killed") => format::chip("quiet", icon::CROSS, "its program was ended"),
        Some("withdrawn") => format::chip("quiet", icon::DASH, "never sent"),
        Some(other) => format::chip("quiet", icon::DOT, other),
        None => format::chip("live", icon::PLAY, "on the wire"),
    }
}

fn figure(number: u64, word: &str, tone: &str) -> Markup {
    html! { div class={ "figure " (if number == 0 { "none" } else { tone }) } { b { (format::count(number)) } span { (word) } } }
}

/// What was stopped, in words.
fn title(report: &Json) -> String {
    let words = match report["stop"].as_str() {
        Some("global") | None => "everything".to_owned(),
        Some(key) => key.replacen(':', " ", 1),
    };
    match report["running"].as_str() {
        Some("cancel") => format!("{words}, and what was on the wire cut"),
        _ => words,
    }
}

fn completeness(report: &Json) -> Markup {
    if report["complete"] == true {
        format::chip("good", icon::SEAL, "complete, signed")
    } else {
        format::chip("live", icon::PLAY, "being completed")
    }
}

fn passed(report: &Json) -> Markup {
    match (report["complete"] == true, report["passed"] == true) {
        (false, _) => format::chip("live", icon::PLAY, "under way"),
        (true, true) => format::chip("good", icon::SEAL, "passed"),
        (true, false) => format::chip("bad", icon::CROSS, "failed"),
    }
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_default()
}

fn number(json: &Json, name: &str) -> u64 {
    json[name].as_u64().unwrap_or_default()
}

fn moment(json: &Json, name: &str) -> Option<Timestamp> {
    json[name].as_i64().map(Timestamp).or_else(|| json[name].as_str().and_then(Timestamp::parse))
}

fn when(json: &Json, name: &str, shell: &Shell) -> Markup {
    html! { @if let Some(at) = moment(json, name) { (format::moment(at, shell.now)) } @else { "—" } }
}

/// A moment to the millisecond, as a report says it.
fn exact(json: &Json, name: &str) -> String {
    moment(json, name).map_or_else(|| "—".to_owned(), Timestamp::to_rfc3339)
}

fn quantile(of: &Json, name: &str) -> String {
    of[name].as_u64().map_or_else(|| "—".to_owned(), micros)
}

fn micros(us: u64) -> String {
    if us < 10_000 { format!("{}.{:02} ms", us / 1000, us % 1000 / 10) } else { format!("{} ms", us / 1000) }
}
