//! Writes a layout as SVG. Every text of the document is escaped and shortened to its place.

use std::fmt::Write as _;

use super::Frame;
use super::layout::{Layout, Rect, Shape};
use super::outline::Outline;

/// Colours of a picture that stands alone; a page brings its own for the same classes.
const STYLE: &str = "\
.ground{fill:#fff}.node .body{fill:#fff;stroke:#b9beb7}.node.is-frame .body{fill:#f5f6f4;stroke:#dcdfda}\
.part{fill:none;stroke:#dcdfda}.part.caught{stroke:#b4282a;stroke-dasharray:4 3}.part-title{font-size:11px;fill:#5a6268}\
.node-name{font-size:13px;font-weight:600;fill:#1a1d1f}.node-kind{font-size:11px;fill:#666d73}\
.node-label{font-size:11.5px;fill:#5a6268}.node-if{font-size:11px;fill:#8a5a00}\
.edge{fill:#b9beb7}.k-call .edge,.k-run .edge{fill:#2457c5}.k-raise .edge,.k-try .edge{fill:#b4282a}\
.k-listen .edge,.k-emit .edge,.k-wait .edge{fill:#6a43b8}.k-set .edge,.k-switch .edge{fill:#17714a}\
.arrow,.jump{fill:none;stroke:#5a6268;stroke-width:1.4;stroke-linejoin:round}.jump{stroke:#2457c5;stroke-dasharray:4 3}\
.arrow.caught{stroke:#b4282a;stroke-dasharray:4 3}.arrow.back{stroke-dasharray:2 3}\
.jump-label,.out{font-size:10.5px;fill:#2457c5}.mark{fill:#5a6268;stroke:#5a6268}.mark.ring{fill:none;stroke-width:1.4}\
@media(prefers-color-scheme:dark){.ground{fill:#101315}.node .body{fill:#181c1f;stroke:#465058}\
.node.is-frame .body{fill:#121518;stroke:#2a3036}.part{stroke:#2a3036}.node-name{fill:#e7eaec}\
.node-kind,.node-label,.part-title{fill:#a3adb5}.node-if{fill:#e3b25b}.jump{stroke:#86adff}.jump-label,.out{fill:#86adff}\
.k-call .edge,.k-run .edge{fill:#86adff}.arrow{stroke:#a3adb5}.mark{fill:#a3adb5;stroke:#a3adb5}}";

/// Characters of a label that fit beside a jump.
const WORDS_MAX: usize = 24;

/// The whole picture.
pub(super) fn write(layout: &Layout, outline: &Outline, frame: Frame) -> String {
    let more = if outline.hidden > 0 { 24 } else { 0 };
    let (width, height) = (layout.width, layout.height + more);
    let mut out = String::new();
    // A `String` takes every write.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"Tasks of {}\"",
        escaped(&outline.name)
    );
    match frame {
        Frame::Page => out.push('>'),
        Frame::File => {
            let _ = write!(
                out,
                " font-family=\"ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif\"><title>{}</title><style>{STYLE}</style><rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>",
                escaped(&outline.name)
            );
        }
    }
    for shape in &layout.shapes {
        write_shape(shape, &mut out);
    }
    if outline.hidden > 0 {
        let _ = write!(
            out,
            "<text class=\"node-label\" x=\"16\" y=\"{}\">{} more tasks are not drawn</text>",
            height - 10,
            outline.hidden
        );
    }
    out.push_str("</svg>");
    out
}

fn write_shape(shape: &Shape, out: &mut String) {
    match shape {
        Shape::Task { at, name, kind, label, condition, frame } => {
            task(*at, (name, kind, label, condition.as_deref()), *frame, out);
        }
        Shape::Part { at, title, caught } => {
            let class = if *caught { "part caught" } else { "part" };
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>",
                at.x, at.y, at.width, at.height
            );
            text("part-title", (at.x + 10, at.y + 15), title, fitting(at.width - 20, 6), out);
        }
        Shape::Arrow { points, class } => arrow(points, class, out),
        Shape::Words { x, y, text: words } => text("jump-label", (*x, *y), words, WORDS_MAX, out),
        Shape::Out { x, y, word } => text("out", (*x, y + 4), word, 8, out),
        Shape::Mark { x, y, last: false } => {
            let _ = write!(out, "<circle class=\"mark\" cx=\"{x}\" cy=\"{y}\" r=\"7\"/>");
        }
        Shape::Mark { x, y, last: true } => {
            let _ = write!(
                out,
                "<circle class=\"mark ring\" cx=\"{x}\" cy=\"{y}\" r=\"8\"/><circle class=\"mark\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>"
            );
        }
    }
}

fn task(
    at: Rect,
    (name, kind, label, condition): (&str, &str, &str, Option<&str>),
    frame: bool,
    out: &mut String,
) {
    let class = if frame { " is-frame" } else { "" };
    let _ = write!(
        out,
        "<g class=\"node idle k-{kind}{class}\"><title>{kind} {}: {}</title><rect class=\"body\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/><rect class=\"edge\" x=\"{}\" y=\"{}\" width=\"4\" height=\"{}\" rx=\"2\"/>",
        escaped(name),
        escaped(label),
        at.x,
        at.y,
        at.width,
        at.height,
        at.x,
        at.y,
        at.height
    );
    text(
        "node-name",
        (at.x + 14, at.y + 19),
        name,
        fitting(at.width - 30, 7).saturating_sub(kind.len()),
        out,
    );
    let _ = write!(
        out,
        "<text class=\"node-kind\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{kind}</text>",
        at.x + at.width - 10,
        at.y + 19
    );
    text("node-label", (at.x + 14, at.y + 36), label, fitting(at.width - 24, 6), out);
    if let Some(condition) = condition {
        text("node-if", (at.x + 14, at.y + 52), &format!("if {condition}"), fitting(at.width - 24, 6), out);
    }
    out.push_str("</g>");
}

/// A line with its head at the last point.
fn arrow(points: &[(i32, i32)], class: &str, out: &mut String) {
    let [.., (from_x, from_y), (x, y)] = points else { return };
    let _ = write!(out, "<path class=\"{class}\" d=\"M");
    for (x, y) in points {
        let _ = write!(out, "{x} {y} ");
    }
    let head = match (x - from_x, y - from_y) {
        (0, down) if down >= 0 => "m-4 -5 4 5 4 -5",
        (0, _) => "m-4 5 4 -5 4 5",
        (right, _) if right > 0 => "m-5 -4 5 4 -5 4",
        _ => "m5 -4 -5 4 5 4",
    };
    let _ = write!(out, "{head}\"/>");
}

fn text(class: &str, (x, y): (i32, i32), words: &str, most: usize, out: &mut String) {
    if words.is_empty() {
        return;
    }
    let _ = write!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">");
    let clipped = clip(words, most);
    out.push_str(&escaped(&clipped));
    if clipped != words {
        let _ = write!(out, "<title>{}</title>", escaped(words));
    }
    out.push_str("</text>");
}

/// Characters that fit into a width.
fn fitting(width: i32, each: i32) -> usize {
    usize::try_from(width / each).unwrap_or(0)
}

fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Text as XML text and attribute; what XML cannot hold becomes a mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
