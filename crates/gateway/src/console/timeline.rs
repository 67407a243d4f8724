//! The timeline of an execution as a picture: a row for each task and effect, with waits, attempts and checks.
//!
//! Labels are HTML and bars are SVG that stretches, so that the same picture is legible at any width.

use maud::{Markup, html};
use model::Timestamp;

use app::view::{EffectView, ExecutionView, TaskView};

use super::format;

/// Rows that are drawn; the newest ones when there are more.
const ROWS_MAX: usize = 150;
/// Width of the drawing in its own units.
const WIDTH: f64 = 1000.0;
/// The least width of a bar, so that an instant is still seen.
const BAR_MIN: f64 = 4.0;

/// One stretch of time in a row.
#[derive(Debug, PartialEq)]
struct Segment {
    class: &'static str,
    from: Timestamp,
    to: Timestamp,
    title: String,
}

struct Row<'a> {
    label: &'a str,
    detail: String,
    depth: u32,
    effect: Option<u32>,
    segments: Vec<Segment>,
    length_ms: i64,
}

/// The picture. `now` ends what is still open.
pub fn draw(view: &ExecutionView, now: Timestamp) -> Markup {
    let start = view.summary.started_at;
    let end = view.summary.ended_at.unwrap_or(now).max(start.plus(std::time::Duration::from_millis(1)));
    let rows = rows(view, end);
    let hidden = rows.len().saturating_sub(ROWS_MAX);
    html! {
        @if rows.is_empty() { p.faint { "nothing ran yet" } } @else {
            div.timeline role="img" aria-label={ "Timeline of " (rows.len()) " tasks and effects over " (format::span(end.0 - start.0)) } {
                div.axis aria-hidden="true" {
                    @for i in 0..=4 { span { (format::span((end.0 - start.0) * i / 4)) } }
                }
                @if hidden > 0 { p.faint { (hidden) " earlier rows are not drawn" } }
                @for row in rows.iter().skip(hidden) { (draw_row(row, start, end)) }
            }
            (legend())
        }
    }
}

fn draw_row(row: &Row<'_>, start: Timestamp, end: Timestamp) -> Markup {
    let depth = row.depth.min(8);
    html! {
        div class={ "lane depth-" (depth) @if row.effect.is_some() { " effect" } } {
            div.lane-label {
                @if let Some(number) = row.effect { a href={ "#effect-" (number) } { (row.label) } } @else { span { (row.label) } }
                span.faint { (row.detail) }
            }
            svg.lane-bars viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true" {
                @for i in 1..4 { line.grid x1=(250 * i) x2=(250 * i) y1="0" y2="20" {} }
                @for segment in &row.segments {
                    @let (x, width) = place(segment, start, end);
                    rect class={ "bar " (segment.class) } x=(round(x)) width=(round(width)) y="4" height="12" { title { (segment.title) } }
                }
            }
            span.lane-length { (format::span(row.length_ms)) }
        }
    }
}

fn legend() -> Markup {
    let words = [
        ("task", "task"),
        ("wait", "waiting for people or a control"),
        ("attempt", "attempt"),
        ("retry", "waiting to retry"),
        ("check", "verifying"),
        ("bad", "failed"),
    ];
    html! {
        ul.legend aria-hidden="true" {
            @for (class, word) in words {
                li { svg viewBox="0 0 14 8" width="14" height="8" { rect class={ "bar " (class) } x="0" y="0" width="14" height="8" {} } (word) }
            }
        }
    }
}

fn rows(view: &ExecutionView, end: Timestamp) -> Vec<Row<'_>> {
    let mut rows = Vec::with_capacity(view.tasks.len() + view.effects.len());
    let mut drawn = vec![false; view.effects.len()];
    for (i, task) in view.tasks.iter().enumerate() {
        rows.push(task_row(task, end));
        // Repeated tasks (loops, retries) share a pointer: an effect belongs to the last start before its request.
        let next =
            view.tasks.iter().skip(i + 1).find(|later| later.pointer == task.pointer).map(|t| t.started_at);
        for (j, effect) in view.effects.iter().enumerate() {
            let in_time =
                effect.requested_at >= task.started_at && next.is_none_or(|next| effect.requested_at < next);
            if !drawn[j] && effect.task == task.pointer && in_time {
                drawn[j] = true;
                rows.push(effect_row(effect, task.depth + 1, end));
            }
        }
    }
    let rest = view
        .effects
        .iter()
        .zip(&drawn)
        .filter(|(_, drawn)| !**drawn)
        .map(|(effect, _)| effect_row(effect, 1, end));
    rows.extend(rest);
    rows
}

fn task_row(task: &TaskView, end: Timestamp) -> Row<'_> {
    let to = task.ended_at.unwrap_or(end);
    let class = match task.status.as_str() {
        "faulted" => "task bad",
        "skipped" => "task skipped",
        "running" if task.kind == "wait" => "wait",
        _ if task.kind == "wait" => "wait done",
        "running" => "task open",
        _ => "task",
    };
    let title =
        format!("{} {}: {}, {}", task.kind, task.name, task.status, format::span(to.0 - task.started_at.0));
    Row {
        label: &task.name,
        detail: task.kind.clone(),
        depth: task.depth,
        effect: None,
        length_ms: to.0 - task.started_at.0,
        segments: vec![Segment { class, from: task.started_at, to, title }],
    }
}

fn effect_row(effect: &EffectView, depth: u32, end: Timestamp) -> Row<'_> {
    let to = effect.settled_at.unwrap_or(end);
    Row {
        label: &effect.operation,
        detail: if effect.probe_of.is_some() {
            "check".to_owned()
        } else {
            format!("effect {}", effect.number)
        },
        depth,
        effect: Some(effect.number),
        length_ms: to.0 - effect.requested_at.0,
        segments: effect_segments(effect, to),
    }
}

fn effect_segments(effect: &EffectView, end: Timestamp) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut at = effect.requested_at;
    for attempt in &effect.attempts {
        if attempt.started_at > at {
            let (class, why) = match (attempt.number, effect.approval.is_some()) {
                (0 | 1, true) => ("wait", "waited for approval"),
                (0 | 1, false) => ("retry", "queued"),
                _ => ("retry", "waited to retry"),
            };
            segments.push(segment(class, at, attempt.started_at, why.to_owned()));
        }
        let to = attempt.ended_at.unwrap_or(end);
        let class = match attempt.answer.as_deref() {
            Some("refused" | "lost") => "attempt bad",
            Some(_) => "attempt",
            None => "attempt open",
        };
        let answer = attempt.answer.as_deref().unwrap_or("under way");
        segments.push(segment(
            class,
            attempt.started_at,
            to,
            format!("attempt {}: {answer}", attempt.number),
        ));
        at = to;
    }
    if end > at {
        let (class, why) = match effect.state.as_str() {
            "denied" => ("bad", "denied"),
            "parked" => ("bad", "parked"),
            "retrying" => ("retry", "waits to retry"),
            "settled" | "verifying" if !effect.attempts.is_empty() => ("check", "verification"),
            "awaiting-approval" => ("wait", "waits for approval"),
            _ => ("wait", "waits"),
        };
        segments.push(segment(class, at, end, why.to_owned()));
    }
    segments
}

fn segment(class: &'static str, from: Timestamp, to: Timestamp, what: String) -> Segment {
    Segment { class, from, to, title: format!("{what}, {}", format::span(to.0 - from.0)) }
}

/// Position and width in drawing units, kept inside the drawing.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a picture")]
fn place(segment: &Segment, start: Timestamp, end: Timestamp) -> (f64, f64) {
    let total = (end.0 - start.0).max(1) as f64;
    let x = ((segment.from.0 - start.0) as f64 / total * WIDTH).clamp(0.0, WIDTH - BAR_MIN);
    let width = ((segment.to.0 - segment.from.0) as f64 / total * WIDTH).clamp(BAR_MIN, WIDTH - x);
    (x, width)
}

fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_inside_the_picture() {
        for (from, to) in [(0, 10), (-50, 5000), (100, 100), (90, 500), (i64::MIN / 4, i64::MAX / 4)] {
            let bar =
                Segment { class: "task", from: Timestamp(from), to: Timestamp(to), title: String::new() };
            let (x, width) = place(&bar, Timestamp(0), Timestamp(100));
            assert!(x >= 0.0 && width >= BAR_MIN && x + width <= WIDTH + 0.001, "{from}..{to}: {x} {width}");
        }
    }
}
