//! Going back: the places of an execution as a path, what would become of the effects behind one, and the acts.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use model::Problem;
use model::event::Choice;
use serde::Deserialize;

use app::view::{CheckpointView, ExecutionView, PageOf, ReturnRequest, ReturnView, Target};

use super::effect::address;
use super::layout::{Failure, Section, Shell, page as frame};
use super::recovery::{kept_list, last};
use super::session::{Act, Session};
use super::{format, icon};

/// Places of one page.
const PLACES: u32 = 100;
const REASON_MAX: usize = 500;
/// The reason of a look, which is recorded nowhere.
const LOOK: &str = "a look before going back";

/// What the reader points at, as the address says it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Point {
    /// After so many events.
    #[serde(default)]
    pub event: Option<u64>,
    /// `keep` or `ask`.
    #[serde(default)]
    pub effects: String,
    /// Only places behind this event.
    #[serde(default)]
    pub after: u64,
}

/// What going back to a point and forking from it would do, or why it cannot be.
#[derive(Debug)]
pub struct Looked {
    /// The point.
    pub event: u64,
    /// Going back.
    pub rewind: Result<ReturnView, Problem>,
    /// A new execution.
    pub fork: Result<ReturnView, Problem>,
}

/// `GET /console/executions/{id}/return`
pub(crate) async fn get(
    State(state): State<crate::State>,
    mut session: Session,
    Path(id): Path<String>,
    Query(point): Query<Point>,
) -> Result<Markup, Failure> {
    let mut shell = Shell::load(&state, &mut session, Section::Executions).await.watching(&["execution"]);
    let view = state.app.execution(&session.caller, &id).await?;
    shell.only = Some(view.summary.id.to_string());
    let places = state.app.checkpoints(&session.caller, &id, point.after, PLACES).await?;
    let looked = match point.event {
        Some(event) => {
            let request = |dry| ReturnRequest {
                to: Target::Event(event),
                effects: choice(&point.effects),
                input: None,
                reason: LOOK.to_owned(),
                execution_id: None,
                dry_run: dry,
            };
            let rewind = state.app.rewind(&session.caller, &id, request(true)).await;
            let fork = state.app.fork(&session.caller, &id, request(true)).await;
            Some(Looked { event, rewind, fork })
        }
        None => None,
    };
    Ok(page(&shell, &view, &point, &places, looked.as_ref()))
}

/// `POST /console/executions/{id}/return`
pub(crate) async fn post(State(state): State<crate::State>, Path(id): Path<String>, form: Act) -> Response {
    let fields = &form.fields;
    let back = format!("/console/executions/{}", format::segment(&id));
    let Ok(event) = fields.text("event").parse() else {
        return form.answer(Err(Problem::new(422, 4220, "wrong shape", "choose a place first")), &back);
    };
    let request = ReturnRequest {
        to: Target::Event(event),
        effects: choice(fields.text("effects")),
        input: None,
        reason: fields.text("reason").to_owned(),
        execution_id: None,
        dry_run: false,
    };
    let caller = &form.session.caller;
    let (done, word) = match fields.text("word") {
        "rewind" => (state.app.rewind(caller, &id, request).await, "The execution went back."),
        "fork" => (state.app.fork(caller, &id, request).await, "A new execution goes on from there."),
        _ => (Err(Problem::new(422, 4220, "wrong shape", "say rewind or fork")), ""),
    };
    match done {
        Ok(view) => {
            let to = format!("/console/executions/{}", format::segment(view.execution.id.as_str()));
            form.go(to, word.to_owned())
        }
        Err(problem) => form.answer(Err(problem), &format!("{back}/return?event={event}")),
    }
}

fn choice(word: &str) -> Option<Choice> {
    (word != "ask").then_some(Choice::Keep)
}

/// The page.
pub fn page(
    shell: &Shell,
    view: &ExecutionView,
    point: &Point,
    places: &PageOf<CheckpointView>,
    looked: Option<&Looked>,
) -> Markup {
    let title = view.summary.intent.as_deref().or(view.title.as_deref()).unwrap_or(&view.summary.name);
    let content = html! {
        header.page-head {
            nav.crumbs aria-label="Path" { a href="/console/executions" { "Executions" } " / " a href=(address(view)) { (format::id(view.summary.id.as_str())) } }
            h1 { "Go back or fork" }
            p.muted { (title) }
        }
        div.two.returning {
            section.card aria-labelledby="h-places" {
                h2 #h-places { "Places" }
                p.muted { "Choose where the flow is to stand again. The history stays; nothing is sent twice." }
                (path(shell, view, point, places))
            }
            div { @match looked {
                Some(looked) => (preview(shell, view, point, looked)),
                None => section.card { h2 { "What would happen" } p.muted { "Choose a place to see which effects are behind it, and what becomes of them. Nothing changes by looking." } },
            } }
        }
    };
    frame(shell, "Go back or fork", &content)
}

fn href(view: &ExecutionView, event: u64, point: &Point) -> String {
    let effects = if point.effects == "ask" { "&effects=ask" } else { "" };
    let after = if point.after > 0 { format!("&after={}", point.after) } else { String::new() };
    format!("{}/return?event={event}{effects}{after}", address(view))
}

fn path(shell: &Shell, view: &ExecutionView, point: &Point, places: &PageOf<CheckpointView>) -> Markup {
    let here = point.event;
    let behind = |event: u64| here.is_some_and(|here| event > here);
    html! {
        ol.places {
            @if point.after == 0 {
                li.place.begin.here[here == Some(1)] { a href=(href(view, 1, point)) data-item aria-current=[(here == Some(1)).then_some("step")] { b { "The beginning" } span.muted { "event 1" } } }
            }
            @for place in &places.items {
                li.place.named[place.name.is_some()].behind[behind(place.event)].here[here == Some(place.event)] {
                    a href=(href(view, place.event, point)) data-item aria-current=[(here == Some(place.event)).then_some("step")] {
                        @match (&place.name, place.effect) {
                            (Some(name), _) => b { (icon::draw(icon::FLAG)) (name) },
                            (None, Some(effect)) => span { "before effect " (effect) @if let Some(known) = view.effects.iter().find(|e| e.number == effect) { " " b { (known.operation) } } },
                            (None, None) => span { "a place" },
                        }
                        span.muted { @if let Some(task) = &place.task { (last(task)) " · " } "event " (place.event) " · " (format::moment(place.at, shell.now)) }
                    }
                }
            }
            @if places.next.is_none() { li.place.now.behind[here.is_some()] { span { "now" span.muted { " event " (view.version) } } } }
        }
        @if let Some(next) = &places.next { nav.more aria-label="Pages" { a.button rel="next" href={ (address(view)) "/return?after=" (format::segment(next)) } { "Later places" } } }
    }
}

fn preview(shell: &Shell, view: &ExecutionView, point: &Point, looked: &Looked) -> Markup {
    let seen = looked.rewind.as_ref().or(looked.fork.as_ref()).ok();
    let ask = point.effects == "ask";
    let toggle =
        |ask: bool| Point { effects: if ask { "ask".to_owned() } else { String::new() }, ..point.clone() };
    html! {
        section.card aria-labelledby="h-preview" {
            h2 #h-preview { "What would happen" }
            @if let Some(seen) = seen {
                p { "The flow stands again after event " b { (seen.event) } @if let Some(task) = &seen.task { " at " b { (last(task)) } } ". "
                    (format::count(view.version.saturating_sub(seen.event))) " later events stay in the history." }
                @if seen.kept.is_empty() { p.good-text { (icon::draw(icon::CHECK)) "No effect that happened is behind this place." } } @else {
                    h3 { (seen.kept.len()) @if seen.kept.len() == 1 { " effect happened" } @else { " effects happened" } " behind this place" }
                    (kept_list(&seen.kept))
                    div.chips role="group" aria-label="What becomes of them" {
                        a.filter role="button" aria-pressed=(!ask) href=(href(view, looked.event, &toggle(false))) { (format::chip("live", icon::CHECK, "keep: they stand in")) }
                        a.filter role="button" aria-pressed=(ask) href=(href(view, looked.event, &toggle(true))) { (format::chip("wait", icon::PERSON, "ask about each")) }
                    }
                }
                form.stacked method="post" action={ (address(view)) "/return" } data-act {
                    (shell.token())
                    input type="hidden" name="event" value=(looked.event);
                    input type="hidden" name="effects" value=(if ask { "ask" } else { "keep" });
                    label.field { span { "Reason" } input type="text" name="reason" required maxlength=(REASON_MAX) autocomplete="off"; }
                    div.buttons {
                        @if looked.rewind.is_ok() { button.button.danger type="submit" name="word" value="rewind" { (icon::draw(icon::BACK)) "Go back here" } }
                        @if looked.fork.is_ok() { button.button type="submit" name="word" value="fork" { (icon::draw(icon::FORK)) "Fork from here" } }
                    }
                }
            }
            (refused("It cannot go back", &looked.rewind))
            (refused("It cannot be forked", &looked.fork))
        }
    }
}

fn refused(what: &str, result: &Result<ReturnView, Problem>) -> Markup {
    html! {
        @if let Err(problem) = result {
            p.refusal { (icon::draw(icon::WARNING)) span { (what) ": " (format::prose(&problem.detail)) " (" a href={ "/errors/" (problem.code) } { (problem.code) } ")" } }
        }
    }
}
