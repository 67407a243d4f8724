//! The frame of every page: head, navigation, banners of controls in force, notices, help.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use model::principal::Permission;
use model::{Principal, Problem, Timestamp};

use app::view::ControlView;

use super::session::{Notice, Session};
use super::{assets, format, icon};

/// A part of the console, as the navigation shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Figures and what needs attention.
    Overview,
    /// Runs.
    Executions,
    /// What would happen, and who signed it.
    Plans,
    /// What waits for people.
    Approvals,
    /// The four controls.
    Controls,
    /// Parked work.
    DeadLetters,
    /// The log.
    Audit,
    /// Published definitions.
    Workflows,
    /// What begins by itself.
    Schedules,
    /// The catalogue.
    Actions,
    /// Rego bundles.
    Policies,
    /// Health, limits and retention.
    System,
}

impl Section {
    /// All, in the order of the navigation.
    pub const ALL: [Section; 12] = [
        Self::Overview,
        Self::Executions,
        Self::Plans,
        Self::Approvals,
        Self::Controls,
        Self::DeadLetters,
        Self::Audit,
        Self::Workflows,
        Self::Schedules,
        Self::Actions,
        Self::Policies,
        Self::System,
    ];

    /// True when the reader may see what is there.
    fn is_for(self, shell: &Shell) -> bool {
        self != Self::Audit || shell.may(Permission::ReadAudit)
    }

    /// Address, word, icon and the second key after `g`.
    fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Overview => ("/console", "Overview", icon::GAUGE, "o"),
            Self::Executions => ("/console/executions", "Executions", icon::LIST, "e"),
            Self::Plans => ("/console/plans", "Plans", icon::PLAN, "l"),
            Self::Approvals => ("/console/approvals", "Approvals", icon::INBOX, "a"),
            Self::Controls => ("/console/controls", "Controls", icon::SLIDERS, "c"),
            Self::DeadLetters => ("/console/dead-letters", "Dead letters", icon::BOX, "d"),
            Self::Audit => ("/console/audit", "Audit", icon::BOOK, "u"),
            Self::Workflows => ("/console/workflows", "Workflows", icon::FLOW, "w"),
            Self::Schedules => ("/console/schedules", "Schedules", icon::CLOCK, "h"),
            Self::Actions => ("/console/actions", "Actions", icon::PLUG, "t"),
            Self::Policies => ("/console/policies", "Policies", icon::SCALES, "p"),
            Self::System => ("/console/system", "System", icon::PULSE, "s"),
        }
    }
}

/// Everything around a page's content.
#[derive(Debug, Clone)]
pub struct Shell {
    /// Who reads.
    pub principal: Principal,
    /// The session's form token.
    pub csrf: String,
    /// `dark` or `light` when chosen; otherwise the browser decides.
    pub theme: Option<&'static str>,
    /// Where we are.
    pub section: Section,
    /// The page's own address; live refreshes ask for it.
    pub path: String,
    /// Topics whose changes refresh the page (words of [`app::view::Live::topic`]).
    pub watch: &'static [&'static str],
    /// Only this execution's changes count, when there is one.
    pub only: Option<String>,
    /// Controls in force; none when they could not be read.
    pub controls_on: Option<Vec<ControlView>>,
    /// Names of the parts that are stopped.
    pub stopped: Vec<String>,
    /// Pending approvals.
    pub approvals_pending: u64,
    /// Open dead letters.
    pub dead_letters_open: u64,
    /// How the last act went.
    pub notice: Option<Notice>,
    /// When the page was made.
    pub now: Timestamp,
}

impl Shell {
    /// Reads what the frame shows. Figures that cannot be read are shown as none; controls as unreadable.
    pub(crate) async fn load(state: &crate::State, session: &mut Session, section: Section) -> Self {
        let overview = state.app.overview(&session.caller).await;
        let controls = state.app.controls(&session.caller).await;
        if let Err(problem) = &controls {
            tracing::warn!(code = %problem.code, "the console could not read the controls");
        }
        let (approvals_pending, dead_letters_open) =
            overview.as_ref().map_or((0, 0), |o| (o.approvals_pending, o.dead_letters_open));
        Self {
            principal: session.caller.principal.clone(),
            csrf: session.csrf.to_string(),
            theme: session.theme,
            section,
            path: session.path.clone(),
            watch: &["control", "approval", "dead-letter"],
            only: None,
            stopped: controls
                .as_ref()
                .map_or_else(|_| Vec::new(), |all| all.stops.iter().map(|s| s.id.clone()).collect()),
            controls_on: controls.ok().map(|all| {
                all.controls.into_iter().filter(|c| c.on || c.tenant.as_ref().is_some_and(|t| t.on)).collect()
            }),
            approvals_pending,
            dead_letters_open,
            notice: session.notice.take(),
            now: now(),
        }
    }

    /// The same shell that refreshes on other topics too.
    #[must_use]
    pub fn watching(mut self, topics: &'static [&'static str]) -> Self {
        self.watch = topics;
        self
    }

    /// True when the reader may.
    pub fn may(&self, permission: Permission) -> bool {
        self.principal.may(permission)
    }

    /// The hidden field that every form carries.
    pub fn token(&self) -> Markup {
        html! { input type="hidden" name="csrf" value=(self.csrf); }
    }
}

/// The present moment.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A whole page: the frame with `content` in it.
pub fn page(shell: &Shell, title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[shell.theme] {
            (head(title))
            body {
                a.skip href="#main" { "Skip to content" }
                div #live data-path=(shell.path) data-watch=(shell.watch.join(",")) data-only=[shell.only.as_deref()] {
                    (top(shell))
                    div.frame {
                        (navigation(shell))
                        div.column {
                            (banners(shell))
                            main #main tabindex="-1" { (content) }
                        }
                    }
                }
                (notices(shell.notice.as_ref()))
                (help())
            }
        }
    }
}

/// A page without navigation: sign-in and failures.
pub(crate) fn bare(title: &str, theme: Option<&'static str>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme] {
            (head(title))
            body.bare { main #main { (content) } }
        }
    }
}

/// A heading with its line of explanation.
pub fn heading(title: &str, about: &str) -> Markup {
    html! { header.page-head { h1 { (title) } p.muted { (about) } } }
}

/// What stands where a list is empty.
pub fn empty(title: &str, about: &str) -> Markup {
    html! { div.empty { (icon::draw(icon::CHECK)) div { strong { (title) } p.muted { (format::prose(about)) } } } }
}

/// A link to the next page of a list.
pub fn more(href: Option<&str>) -> Markup {
    html! { @if let Some(href) = href { nav.more aria-label="Pages" { a.button href=(href) rel="next" { "Older" } } } }
}

/// A problem as one line for a notice.
pub(crate) fn notice_of(problem: &Problem) -> Notice {
    let mut text = problem.detail.clone();
    for field in problem.fields.iter().take(5) {
        text.push_str(&format!(" · {} {}", field.field, field.message));
    }
    Notice { tone: "bad", text: format!("{text} ({})", problem.code), go: None }
}

/// A problem as a page.
pub(crate) struct Failure(pub(crate) Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        if let Some(internal) = &problem.internal {
            tracing::error!(code = %problem.code, internal, "a console page failed");
        }
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let page = bare(problem.title, None, &failure(&problem));
        (status, [(header::CACHE_CONTROL, "no-store")], page).into_response()
    }
}

/// What a failure says.
pub fn failure(problem: &Problem) -> Markup {
    html! {
        section.card.failure {
            h1 { (icon::draw(icon::WARNING)) span.sentence { (problem.title) } }
            p.sentence { (format::prose(&problem.detail)) }
            @if !problem.fields.is_empty() {
                ul { @for field in problem.fields.iter().take(20) { li { code { (field.field) } " " (field.message) } } }
            }
            p.muted { a href={ "/errors/" (problem.code) } { (problem.code) } }
            p { a.button href="/console" { "To the overview" } }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · OmniHub" }
            link rel="icon" type="image/svg+xml" href=(assets::href("icon.svg"));
            link rel="stylesheet" href=(assets::href("console.css"));
            script src=(assets::href("idiomorph.js")) defer {}
            script src=(assets::href("console.js")) defer {}
        }
    }
}

fn top(shell: &Shell) -> Markup {
    html! {
        header.top {
            label.menu-button for="menu" { (icon::draw(icon::MENU)) span.sr { "Menu" } }
            a.brand href="/console" { (icon::draw(icon::HUB)) span { "OmniHub" } }
            @if !shell.watch.is_empty() {
                span.live-mark #live-mark title="Whether this page is updated live" { i {} span { "connecting" } }
            }
            div.who {
                span.tenant title="Tenant" { (shell.principal.tenant) }
                span.principal title=(roles(&shell.principal)) { (icon::draw(icon::PERSON)) (shell.principal.id) }
                button.plain type="button" data-do="theme" title="Dark or light" {
                    (icon::draw(icon::THEME)) span.sr { "Change theme" }
                }
                button.plain type="button" data-do="help" title="Keys (?)" {
                    (icon::draw(icon::KEYS)) span.sr { "Keys" }
                }
                form method="post" action="/console/sign-out" {
                    (shell.token())
                    button.plain type="submit" title="Sign out" { (icon::draw(icon::EXIT)) span.sr { "Sign out" } }
                }
            }
        }
    }
}

fn roles(principal: &Principal) -> String {
    principal.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

fn navigation(shell: &Shell) -> Markup {
    html! {
        input.sr #menu type="checkbox" tabindex="-1" aria-hidden="true";
        nav.side aria-label="Console" {
            ul {
                @for section in Section::ALL.into_iter().filter(|section| section.is_for(shell)) {
                    @let (href, word, mark, key) = section.parts();
                    @let waiting = match section {
                        Section::Approvals => shell.approvals_pending,
                        Section::DeadLetters => shell.dead_letters_open,
                        _ => 0,
                    };
                    li {
                        a href=(href) data-key=(key) aria-current=[(section == shell.section).then_some("page")] {
                            (icon::draw(mark))
                            span.word { (word) }
                            @if waiting > 0 { span.count { (format::count(waiting)) } }
                            kbd aria-hidden="true" { "g " (key) }
                        }
                    }
                }
            }
        }
    }
}

fn banners(shell: &Shell) -> Markup {
    html! {
        @if let [first, rest @ ..] = shell.stopped.as_slice() {
            div.banner.hold role="status" {
                (icon::draw(icon::STOP))
                span { strong { "Stopped in part: " } (first) @if !rest.is_empty() { " and " (rest.len()) " more" } }
                a href="/console/controls" { "Controls" }
            }
        }
        @match &shell.controls_on {
            None => div.banner.stop role="alert" {
                (icon::draw(icon::WARNING))
                span { strong { "The controls cannot be read." } " While that is so, nothing is done outside." }
            },
            Some(on) => @for control in on {
                div class={ "banner " (if control.name == "kill-switch" { "stop" } else { "hold" }) } role="status" {
                    (icon::draw(icon::WARNING))
                    span {
                        strong { (words(&control.name)) " is on." }
                        @if let Some(state) = control.control.as_ref().filter(|c| c.on).or(control.tenant.as_ref()) {
                            " " (state.reason) " " span.muted { "— " (state.by) ", " (format::moment(state.at, shell.now)) }
                        }
                    }
                    a href="/console/controls" { "Controls" }
                }
            },
        }
    }
}

/// The name of a control as people say it.
pub fn words(control: &str) -> &str {
    match control {
        "kill-switch" => "Kill switch",
        "safe-mode" => "Safe mode",
        "takeover" => "Takeover",
        "allow-list" => "Allow-list",
        other => other,
    }
}

fn notices(notice: Option<&Notice>) -> Markup {
    html! {
        div #notices role="status" aria-live="polite" {
            @if let Some(notice) = notice {
                div class={ "notice " (notice.tone) } { span { (notice.text) } button.plain type="button" data-do="dismiss" { "Close" } }
            }
        }
        div.sr #announcer role="status" aria-live="polite" {}
    }
}

fn help() -> Markup {
    let keys = [
        ("?", "this help"),
        ("/", "search"),
        ("j  k", "next, previous"),
        ("Enter", "open"),
        ("a", "approve: write why, then Enter"),
        ("r", "reject: write why, then Enter"),
        ("Esc", "leave a field or close"),
    ];
    html! {
        dialog #help aria-labelledby="help-title" {
            h2 #help-title { "Keys" }
            dl.keys {
                @for (key, what) in keys { dt { kbd { (key) } } dd { (what) } }
                @for section in Section::ALL {
                    @let (_, word, _, key) = section.parts();
                    dt { kbd { "g " (key) } } dd { (word) }
                }
            }
            form method="dialog" { button.button { "Close" } }
        }
    }
}
