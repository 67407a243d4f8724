//! An approval: exactly what would be done, and why a person must say so.

use serde_json::Value as Json;

use crate::json::{joined, list, number, text, when};
use crate::screen::{Screen, Tone};
use crate::view;

/// Draws an approval.
pub(crate) fn draw(screen: Screen, approval: &Json) -> String {
    let field = |name: &str, value: String| format!("{name:<10}{value}");
    let mut lines = vec![format!(
        "{}  {}",
        screen.paint(Tone::Strong, &text(approval, "/operation")),
        screen.word(&text(approval, "/status"))
    )];
    lines.push(field("effect", text(approval, "/predicted")));
    lines.push(field("target", text(approval, "/target")));
    lines.push(field("kind", format!("{}, {}", text(approval, "/effect_kind"), text(approval, "/class"))));
    lines.push("arguments".to_owned());
    lines.extend(view::arguments(approval.pointer("/arguments").unwrap_or(&Json::Null), "  "));
    lines.extend(provenance(screen, approval));
    for (name, title) in [("/form", "form"), ("/answer", "answer")] {
        if let Some(shown) = approval.pointer(name).filter(|shown| !shown.is_null()) {
            lines.push(field(title, shown.to_string()));
        }
    }
    lines.push(field(
        "risk",
        format!("{} {}", number(approval, "/risk/score"), screen.word(&text(approval, "/risk/level"))),
    ));
    for factor in list(approval, "/risk/factors") {
        let points = text(factor, "/points");
        lines.push(format!(
            "  {points:>4}  {}  {}",
            text(factor, "/name"),
            screen.paint(Tone::Faint, &text(factor, "/reason"))
        ));
    }
    lines.push(field("why", joined(approval, "/reasons")));
    lines.push(field("asked by", text(approval, "/requester")));
    let intent = text(approval, "/intent");
    if !intent.is_empty() {
        lines.push(field("goal", intent));
    }
    let needed =
        format!("{} of {}", number(approval, "/quorum/approvers"), joined(approval, "/quorum/roles"));
    lines.push(field("needs", format!("{needed}, {} missing", number(approval, "/missing"))));
    lines.push(field("expires", when(approval, "/expires_at")));
    for vote in list(approval, "/votes") {
        let word = if crate::json::truth(vote, "/approve") { "approved" } else { "rejected" };
        lines.push(field(
            "vote",
            format!("{} by {}: {}", screen.word(word), text(vote, "/by"), text(vote, "/reason")),
        ));
    }
    lines.push(field("digest", screen.paint(Tone::Faint, &text(approval, "/digest"))));
    lines.join("\n")
}

/// Which arguments came from where; `[pointer, [label, …]]` pairs.
fn provenance(screen: Screen, approval: &Json) -> Vec<String> {
    let mut lines = Vec::new();
    for pair in list(approval, "/provenance").iter().take(40) {
        let labels = joined(pair, "/1");
        if !labels.is_empty() {
            let line = format!("  {} comes from {labels}", text(pair, "/0"));
            lines.push(screen.paint(Tone::Faint, &line));
        }
    }
    lines
}
