//! An execution: header, what it waits for, effects, and a timeline of bars.

use serde_json::Value as Json;

use crate::json::{self, list, moment, number, text, when, workflow};
use crate::screen::{Screen, Tone, clean, short};
use crate::view;

/// Width of the timeline's bars in characters.
const BAR_WIDTH: i64 = 48;
/// Rows of the timeline at the most.
const ROWS_MAX: usize = 60;

/// Draws an execution.
pub(crate) fn draw(screen: Screen, view: &Json) -> String {
    let mut lines = header(screen, view);
    if !list(view, "/effects").is_empty() {
        lines.push(String::new());
        let rows = list(view, "/effects").iter().map(|effect| effect_row(screen, effect)).collect();
        lines.push(screen.table(
            &["#", "operation", "effect", "verdict", "state", "outcome", "attempts", "evidence"],
            rows,
        ));
    }
    lines.extend(saga(screen, view));
    let bars = timeline(screen, view);
    if !bars.is_empty() {
        lines.push(String::new());
        lines.extend(bars);
    }
    for (title, pointer) in [("output", "/output"), ("error", "/error")] {
        if let Some(value) = view.pointer(pointer).filter(|value| !value.is_null()) {
            lines.push(String::new());
            lines.push(screen.paint(Tone::Strong, title));
            lines.extend(view::arguments(value, "  "));
        }
    }
    lines.join("\n")
}

fn header(screen: Screen, view: &Json) -> Vec<String> {
    let id = crate::commands::executions::id_of(view);
    let outcome = text(view, "/outcome");
    let outcome_shown =
        if outcome.is_empty() { String::new() } else { format!("  outcome: {}", screen.word(&outcome)) };
    let mut lines = vec![format!(
        "{}  {}{outcome_shown}",
        screen.paint(Tone::Strong, &id),
        screen.word(&text(view, "/status"))
    )];
    lines.push(format!("{}  {}", workflow(view, "/workflow"), text(view, "/title")));
    let intent = text(view, "/intent");
    if !intent.is_empty() {
        lines.push(format!("goal      {}", clean(&intent)));
    }
    lines.push(format!("asked by  {}  {}", text(view, "/requester"), when(view, "/started_at")));
    let parent = text(view, "/parent");
    if !parent.is_empty() {
        lines.push(format!("run by    {parent}"));
    }
    for effect in list(view, "/effects").iter().filter(|effect| !text(effect, "/execution").is_empty()) {
        let word = if effect["undo"] == true { "undoes" } else { "runs" };
        lines.push(format!("{word:<9} {}  {}", text(effect, "/execution"), text(effect, "/operation")));
    }
    if text(view, "/mode") == "advisory" {
        lines.push(screen.paint(Tone::Care, "safe mode: reads are performed, the rest is predicted"));
    }
    let explanation = text(view, "/explanation");
    if !explanation.is_empty() {
        lines.push(screen.paint(Tone::Care, &explanation));
    }
    lines
}

/// Branches that are not joined yet, what is armed, and what was undone.
fn saga(screen: Screen, view: &Json) -> Vec<String> {
    let mut lines = Vec::new();
    for branch in list(view, "/branches") {
        lines.push(format!("branch    {}  {}", text(branch, "/task"), screen.word(&text(branch, "/status"))));
    }
    let state = text(view, "/compensation/state");
    if !matches!(state.as_str(), "" | "idle") {
        lines.push(format!("undo      {}", screen.word(&state)));
    }
    for item in list(view, "/compensation/armed") {
        lines.push(match text(item, "/savepoint") {
            name if !name.is_empty() => format!("  savepoint {name}"),
            _ => format!("  armed {} {}", text(item, "/effect"), text(item, "/operation")),
        });
    }
    for item in list(view, "/compensation/undone") {
        lines.push(format!(
            "  undone {} {} by {}  {}",
            text(item, "/effect"),
            text(item, "/operation"),
            text(item, "/undone_by"),
            screen.word(&text(item, "/outcome"))
        ));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn effect_row(screen: Screen, effect: &Json) -> Vec<String> {
    let operation = match effect.pointer("/probe_of").and_then(Json::as_u64) {
        Some(checked) => format!("{} (checks {checked})", text(effect, "/operation")),
        None => match effect.pointer("/compensates").and_then(Json::as_u64) {
            Some(undone) => format!("{} (undoes {undone})", text(effect, "/operation")),
            None => text(effect, "/operation"),
        },
    };
    vec![
        text(effect, "/number"),
        operation,
        format!("{} {}", text(effect, "/effect"), text(effect, "/class")),
        screen.word(&text(effect, "/verdict/decision"))
            + &screen.word(&text(effect, "/verdict/decision/decision")),
        screen.word(&text(effect, "/state")),
        screen.word(&text(effect, "/outcome")),
        list(effect, "/attempts").len().to_string(),
        short(&text(effect, "/evidence"), 48),
    ]
}

/// One bar per task and attempt, on one scale.
pub(crate) fn timeline(screen: Screen, view: &Json) -> Vec<String> {
    let mut spans: Vec<(String, i64, Option<i64>, String)> = Vec::new();
    for task in list(view, "/tasks") {
        if let Some(from) = moment(task, "/started_at") {
            let indent = "  ".repeat(number(task, "/depth").min(8) as usize);
            spans.push((
                format!("{indent}{}", text(task, "/name")),
                from,
                moment(task, "/ended_at"),
                text(task, "/status"),
            ));
        }
    }
    for effect in list(view, "/effects") {
        for attempt in list(effect, "/attempts") {
            if let Some(from) = moment(attempt, "/started_at") {
                let name = format!("· {} #{}", text(effect, "/operation"), text(attempt, "/number"));
                spans.push((name, from, moment(attempt, "/ended_at"), text(attempt, "/answer")));
            }
        }
    }
    let (Some(first), Some(last)) =
        (spans.iter().map(|span| span.1).min(), spans.iter().map(|span| span.2.unwrap_or(span.1)).max())
    else {
        return Vec::new();
    };
    let whole = (last - first).max(1);
    let width = spans.iter().map(|span| span.0.chars().count()).max().unwrap_or(0).min(36);
    let mut lines = vec![screen.paint(Tone::Strong, &format!("timeline, {}", json::span(whole)))];
    for (name, from, to, word) in spans.iter().take(ROWS_MAX) {
        let start = (from - first) * BAR_WIDTH / whole;
        let end =
            ((to.unwrap_or(last) - first) * BAR_WIDTH / whole).max(start + 1).min(BAR_WIDTH.max(start + 1));
        let bar = format!("{}{}", " ".repeat(start as usize), "━".repeat((end - start) as usize));
        let took = to.map_or_else(|| "…".to_owned(), |to| json::span(to - from));
        lines.push(format!("{:<width$}  {bar:<48}  {took:>10}  {}", short(name, width), screen.word(word)));
    }
    if spans.len() > ROWS_MAX {
        lines.push(format!("and {} more", spans.len() - ROWS_MAX));
    }
    lines
}

/// One event of a history as a line.
pub(crate) fn event_line(screen: Screen, entry: &Json) -> String {
    let at = text(entry, "/at");
    let clock: String = at.chars().skip(11).take(12).collect();
    format!(
        "{}  {:<18} {}",
        screen.paint(Tone::Faint, &clock),
        screen.paint(Tone::Accent, &text(entry, "/kind")),
        clean(&text(entry, "/summary"))
    )
}

/// What the whole of an execution came to, in one line.
pub(crate) fn in_short(screen: Screen, view: &Json) -> String {
    let outcome = text(view, "/outcome");
    let evidence: Vec<String> = list(view, "/effects")
        .iter()
        .filter(|effect| text(effect, "/effect") != "read")
        .map(|effect| text(effect, "/evidence"))
        .filter(|text| !text.is_empty())
        .collect();
    format!(
        "outcome: {}  {}",
        screen.word(&outcome),
        screen.paint(Tone::Faint, &short(&evidence.join("; "), 120))
    )
}

/// Where an execution stands: its places, its inbox and its data.
pub(crate) fn stand(screen: Screen, state: &Json) -> String {
    let status = screen.word(&text(state, "/status"));
    let mut lines =
        vec![format!("{status}  {}  after {} events", text(state, "/blocked_on"), text(state, "/version"))];
    let rows = list(state, "/places").iter().map(|place| {
        let name = text(place, "/name");
        let waits = [text(place, "/waits_for"), moment_or_none(place)].join(" ");
        vec![text(place, "/task"), name, text(place, "/kind"), when(place, "/since"), waits.trim().to_owned()]
    });
    lines.push(screen.table(&["task", "name", "kind", "since", "waits for"], rows.collect()));
    let inbox: Vec<String> = list(state, "/inbox").iter().filter_map(Json::as_str).map(clean).collect();
    if !inbox.is_empty() {
        lines.push(format!("inbox     {}", inbox.join(", ")));
    }
    if let Some(context) = state.pointer("/context").filter(|context| !context.is_null()) {
        lines.extend(view::arguments(context, "  "));
    }
    lines.join("\n")
}

fn moment_or_none(place: &Json) -> String {
    let until = text(place, "/until");
    if until.is_empty() { until } else { format!("until {}", when(place, "/until")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Output;

    #[test]
    fn bars_share_one_scale() {
        let view = serde_json::json!({
            "execution_id": "e1", "status": "completed", "outcome": "verified",
            "tasks": [
                {"name": "read", "depth": 0, "status": "completed", "started_at": 0, "ended_at": 50},
                {"name": "refund", "depth": 1, "status": "completed", "started_at": 50, "ended_at": 100}
            ]
        });
        let lines = timeline(Screen::new(Output::Table, false), &view);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].matches('━').count(), 24, "{lines:?}");
        assert!(lines[2].contains(&" ".repeat(24)), "{lines:?}");
    }

    #[test]
    fn an_execution_that_has_done_nothing_is_drawn() {
        let text = draw(
            Screen::new(Output::Table, false),
            &serde_json::json!({"execution_id": "e1", "status": "pending"}),
        );
        assert!(text.starts_with("e1  pending"), "{text}");
    }
}
