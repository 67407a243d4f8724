//! How the server is: what it depends on, which limits hold and how full they are, and what is removed when.

use axum::extract::State;
use maud::{Markup, html};

use app::limits::{LimitView, OnExcess, Scope};
use app::retention::RuleView;
use app::view::DependencyView;

use super::layout::{Failure, Section, Shell, heading, page as frame};
use super::session::Session;
use super::{format, icon};

/// Limits and rules that are drawn.
const LINES_MAX: usize = 200;

/// What the page shows.
#[derive(Debug)]
pub struct Facts {
    /// What it depends on.
    pub dependencies: Vec<DependencyView>,
    /// Limits that concern the reader's tenant.
    pub limits: Vec<LimitView>,
    /// Rules of retention; none when the reader may not see them.
    pub rules: Option<Vec<RuleView>>,
}

/// `GET /console/system`
pub(crate) async fn get(State(state): State<crate::State>, mut session: Session) -> Result<Markup, Failure> {
    let shell = Shell::load(&state, &mut session, Section::System).await.watching(&["execution", "control"]);
    let facts = Facts {
        dependencies: state.app.health_deep(Some(&session.caller.principal.tenant)).await,
        limits: state.app.limits(&session.caller).await?,
        rules: match state.app.retention_rules(&session.caller).await {
            Ok(rules) => Some(rules),
            Err(problem) if problem.status == 403 => None,
            Err(problem) => return Err(problem.into()),
        },
    };
    Ok(page(&shell, &facts))
}

/// The page.
pub fn page(shell: &Shell, facts: &Facts) -> Markup {
    let ill = facts.dependencies.iter().filter(|found| !found.ok).count();
    let content = html! {
        (heading("System", "What the server depends on, how full its limits are, and what it forgets."))
        section.card aria-labelledby="h-health" data-announce={ (ill) " of the parts do not work." } {
            header { h2 #h-health { "Health" } span.push { @if ill == 0 { (format::chip("good", icon::CHECK, "everything works")) } @else { (format::chip("bad", icon::CROSS, &format!("{ill} not working"))) } } }
            ul.health { @for part in &facts.dependencies {
                li {
                    @if part.ok { (format::chip("good", icon::CHECK, &part.name)) } @else { (format::chip("bad", icon::CROSS, &part.name)) }
                    span class=[(!part.ok).then_some("bad-text")] { (format::prose(&part.detail)) }
                    span.push.muted.number { (latency(part.latency_us)) }
                }
            } }
        }
        section aria-labelledby="h-limits" {
            h2 #h-limits { "Limits" }
            @if facts.limits.is_empty() { p.faint { "no limit is set; " code { "omnihub limits set" } " sets one" } }
            div.cards { @for view in facts.limits.iter().take(LINES_MAX) { (limit(shell, view)) } }
        }
        @if let Some(rules) = &facts.rules {
            section aria-labelledby="h-retention" {
                h2 #h-retention { "Retention" }
                @if rules.is_empty() { p.faint { "nothing is ever removed; " code { "omnihub retention set" } " sets a rule" } } @else {
                    table.list {
                        thead { tr { th { "Rule" } th { "Removes" } th { "Why" } th.end { "Removed" } th { "Last run" } } }
                        tbody { @for view in rules.iter().take(LINES_MAX) {
                            tr {
                                td data-label="Rule" { b { (view.rule.name) } }
                                td data-label="Removes" {
                                    "executions of " (view.rule.workflow.as_deref().unwrap_or("any workflow")) ", " (format::span(view.rule.after_ms)) " after their end"
                                    @if view.rule.unknown { " " span.tag.warn { "also unknown outcomes" } }
                                    @if view.rule.dead_letters { " " span.tag.warn { "also parked" } }
                                }
                                td.wrap data-label="Why" { (view.rule.reason) " " span.muted { "— " (view.rule.by) } }
                                td.end.number data-label="Removed" { (format::count(view.removed)) }
                                td data-label="Last run" { @if let Some(at) = view.ran_at { (format::moment(at, shell.now)) } @else { "not yet" } }
                            }
                        } }
                    }
                }
            }
        }
    };
    frame(shell, "System", &content)
}

fn latency(us: u64) -> String {
    if us < 1_000 { format!("{us} µs") } else { format!("{}.{} ms", us / 1_000, us % 1_000 / 100) }
}

fn limit(shell: &Shell, view: &LimitView) -> Markup {
    let limit = &view.limit;
    let most = u64::from(limit.concurrency.unwrap_or_default());
    let (kind, name) = match &limit.scope {
        Scope::Tenant(name) => ("tenant", name),
        Scope::Workflow(name) => ("workflow", name),
        Scope::Action(name) => ("action", name),
        Scope::Key(name) => ("key of", name),
    };
    html! {
        article.card.limit {
            header { h3 { (limit.name) } span.tag.quiet { (kind) " " (name) }
                @if !view.in_force { (format::chip("warn", icon::HOURGLASS, "being counted")) }
                span.push.muted { (limit.of.name()) }
            }
            @if most > 0 {
                svg.shares viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label={ (view.under_way) " of " (most) " places taken" } {
                    rect.track x="0" y="0" width="1000" height="12" {}
                    rect class={ "share " (if view.under_way >= most { "unknown" } else { "verified" }) } x="0" y="0" width=((view.under_way.saturating_mul(1000) / most).min(1000)) height="12" {}
                }
            }
            ul.share-words {
                li { b.number { (format::count(view.under_way)) } @if most > 0 { " of " (format::count(most)) } " under way" }
                li class=[(view.waiting > 0).then_some("wait-text")] { b.number { (format::count(view.waiting)) } @if limit.on_excess == OnExcess::Queue { " in line" } @else { " refused beyond it" } }
                @if let Some(rate) = limit.rate { li { b.number { (rate.count) } " in " (format::span(rate.per_ms)) } }
                @if let Some(weight) = limit.weight { li { "weight " b.number { (weight) } } }
            }
            @if view.buckets.len() > 1 {
                table.kv { tbody { @for bucket in view.buckets.iter().take(20) { tr { th scope="row" { (bucket.of) } td.number { (bucket.under_way) " under way, " (bucket.waiting) " in line" } } } } }
            }
            p.muted { (limit.reason) " — " (limit.by) ", " (format::moment(limit.at, shell.now)) }
        }
    }
}
