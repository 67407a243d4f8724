//! A plan: every effect that can be foreseen, with its verdict.

use serde_json::Value as Json;

use crate::json::{joined, list, number, text, truth, workflow};
use crate::screen::{Screen, Tone};
use crate::view;

/// Draws a plan.
pub(crate) fn draw(screen: Screen, plan: &Json) -> String {
    let mut lines = vec![format!(
        "{}  {}",
        screen.paint(Tone::Strong, &workflow(plan, "/workflow")),
        text(plan, "/title")
    )];
    let intent = text(plan, "/intent");
    if !intent.is_empty() {
        lines.push(format!("goal    {intent}"));
    }
    lines.push(format!("digest  {}", screen.paint(Tone::Faint, &text(plan, "/digest"))));
    let status = text(plan, "/status");
    if !status.is_empty() {
        lines.push(format!("status  {}  until {}", screen.word(&status), text(plan, "/expires_at")));
    }
    for cost in list(plan, "/costs") {
        lines.push(format!(
            "costs   {} {}, at most {}",
            text(cost, "/amount"),
            text(cost, "/currency"),
            text(cost, "/at_most")
        ));
    }
    lines.push("input".to_owned());
    lines.extend(view::arguments(plan.pointer("/input").unwrap_or(&Json::Null), "  "));
    lines.push(String::new());
    for (index, effect) in list(plan, "/effects").iter().enumerate() {
        lines.extend(effect_lines(screen, index + 1, effect));
    }
    if list(plan, "/effects").is_empty() {
        lines.push("no effect is foreseen".to_owned());
    }
    for passed in list(plan, "/not_reached") {
        let line = format!("not foreseen: {} at {}", text(passed, "/operation"), text(passed, "/task"));
        lines.push(screen.paint(Tone::Faint, &line));
    }
    for task in list(plan, "/guessed") {
        let task = task.as_str().unwrap_or_default();
        lines.push(
            screen.paint(Tone::Care, &format!("`{task}` goes its way by an answer that nobody has yet")),
        );
    }
    let note = text(plan, "/note");
    if !note.is_empty() {
        lines.push(screen.paint(Tone::Care, &note));
    }
    lines.join("\n")
}

fn effect_lines(screen: Screen, number_shown: usize, effect: &Json) -> Vec<String> {
    let decision = text(effect, "/decision");
    let people = match number(effect, "/approvals") {
        0 => String::new(),
        1 => " by one person".to_owned(),
        n => format!(" by {n} people"),
    };
    let check = if truth(effect, "/probe") { "  (checks the one before)" } else { "" };
    let mut lines = vec![format!(
        "{number_shown}. {}  {} {}  risk {} {}  {}{people}{check}",
        screen.paint(Tone::Strong, &text(effect, "/operation")),
        text(effect, "/effect"),
        text(effect, "/class"),
        number(effect, "/risk/score"),
        screen.word(&text(effect, "/risk/level")),
        screen.word(&decision),
    )];
    lines.push(format!("   {}", text(effect, "/predicted")));
    let unknown = joined(effect, "/unknown");
    if !unknown.is_empty() {
        lines.push(format!("   {}", screen.paint(Tone::Care, &format!("not known yet: {unknown}"))));
    }
    if number(effect, "/uses") > 1 {
        let times = format!("in a loop of unknown length, at most {} times", number(effect, "/uses"));
        lines.push(format!("   {}", screen.paint(Tone::Care, &times)));
    }
    let reasons = joined(effect, "/reasons");
    if !reasons.is_empty() {
        lines.push(format!("   {}", screen.paint(Tone::Faint, &format!("because {reasons}"))));
    }
    lines
}
