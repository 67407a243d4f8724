//! Words and small marks that every page shares: times, statuses, outcomes, digests, risk.

use maud::{Markup, html};
use model::Timestamp;
use model::verdict::Risk;

use super::icon;

/// A moment as relative text with the exact time as its title; the page's script keeps the text fresh.
pub fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let exact = at.to_rfc3339();
    html! { time datetime=(exact) title=(exact) data-relative { (relative(at, now)) } }
}

/// Time left until `at`, counted down by the page's script.
pub fn countdown(at: Timestamp, now: Timestamp) -> Markup {
    let exact = at.to_rfc3339();
    let text = if at.0 <= now.0 { "expired".to_owned() } else { format!("{} left", span(at.0 - now.0)) };
    html! { time.countdown datetime=(exact) title=(exact) data-countdown { (text) } }
}

/// `3 min ago`, `in 5 s`, `just now`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let ago = now.0.saturating_sub(at.0);
    match ago {
        -999..=4_999 => "just now".to_owned(),
        5_000.. => format!("{} ago", coarse(ago)),
        _ => format!("in {}", coarse(ago.saturating_neg())),
    }
}

/// A duration in milliseconds in at most two units: `840 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
pub fn span(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    match ms {
        0..=999 => format!("{ms} ms"),
        1_000..=9_999 => format!("{}.{} s", seconds, (ms % 1000) / 100),
        10_000..=59_999 => format!("{seconds} s"),
        60_000..=3_599_999 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600_000..=86_399_999 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// A count with thin separators: `12 345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The status of an execution or task as a chip: mark, colour and word.
pub fn status(word: &str) -> Markup {
    let (tone, mark) = match word {
        "completed" => ("good", icon::CHECK),
        "faulted" => ("bad", icon::CROSS),
        "cancelled" | "skipped" => ("quiet", icon::DASH),
        "running" => ("live", icon::PLAY),
        "waiting" => ("wait", icon::HOURGLASS),
        "suspended" => ("warn", icon::PAUSE),
        _ => ("quiet", icon::DOT),
    };
    chip(tone, mark, word)
}

/// `verified`, `failed`, `unknown`, or a dash while it is open.
pub fn outcome(word: Option<&str>) -> Markup {
    match word {
        Some("verified") => chip("good", icon::SEAL, "verified"),
        Some("failed") => chip("bad", icon::CROSS, "failed"),
        Some("unknown") => chip("warn", icon::QUESTION, "unknown"),
        Some(other) => chip("quiet", icon::DOT, other),
        None => html! { span.faint { "open" } },
    }
}

/// The state of an effect in plain words.
pub fn effect_state(state: &str) -> Markup {
    let (tone, mark, word) = match state {
        "awaiting-approval" => ("wait", icon::HOURGLASS, "awaiting approval"),
        "started" => ("live", icon::PLAY, "under way"),
        "retrying" => ("warn", icon::REPEAT, "retrying"),
        "verifying" => ("live", icon::SEARCH, "verifying"),
        "parked" => ("bad", icon::BOX, "parked"),
        "denied" => ("bad", icon::CROSS, "denied"),
        "held" => ("warn", icon::PAUSE, "held by a control"),
        "predicted" => ("quiet", icon::DOT, "predicted only"),
        "settled" => ("quiet", icon::CHECK, "settled"),
        other => ("quiet", icon::DOT, other),
    };
    chip(tone, mark, word)
}

/// The status of an approval.
pub fn approval_status(word: &str) -> Markup {
    match word {
        "pending" => chip("wait", icon::HOURGLASS, "pending"),
        "approved" => chip("good", icon::CHECK, "approved"),
        "rejected" => chip("bad", icon::CROSS, "rejected"),
        "expired" => chip("bad", icon::HOURGLASS, "expired"),
        other => chip("quiet", icon::DASH, other),
    }
}

/// What policy decided.
pub fn decision(word: &str) -> Markup {
    match word {
        "allow" => chip("good", icon::CHECK, "allowed"),
        "deny" => chip("bad", icon::CROSS, "denied"),
        "require-approval" => chip("wait", icon::PERSON, "needs approval"),
        other => chip("quiet", icon::DOT, other),
    }
}

/// What an effect does: money and the like stand out.
pub fn effect_kind(word: &str) -> Markup {
    let tone = match word {
        "money" | "delete" | "permission" => "warn",
        _ => "quiet",
    };
    html! { span class={ "tag " (tone) } { (word) } }
}

/// A small labelled mark.
pub fn chip(tone: &str, mark: &str, word: &str) -> Markup {
    html! { span class={ "chip " (tone) } { (icon::draw(mark)) span { (word) } } }
}

/// The risk as a bar of 100 with its level; the factors stand below when `factors` are wanted.
pub fn risk(risk: &Risk) -> Markup {
    let level = risk.level.name();
    html! {
        div.risk {
            div.risk-line {
                svg class={ "risk-bar " (level) } viewBox="0 0 100 6" preserveAspectRatio="none" role="img"
                    aria-label={ "risk " (risk.score) " of 100" } {
                    rect.track x="0" y="0" width="100" height="6" rx="1" {}
                    rect.fill x="0" y="0" width=(risk.score.min(100)) height="6" rx="1" {}
                }
                span.risk-score { b { (risk.score) } " " (level) }
            }
            @if !risk.factors.is_empty() {
                ul.factors {
                    @for factor in risk.factors.iter().take(20) {
                        li {
                            span.points { @if factor.points > 0 { "+" } (factor.points) }
                            span { b { (factor.name) } " " span.muted { (prose(&factor.reason)) } }
                        }
                    }
                }
            }
        }
    }
}

/// An identifier: short on screen, whole as its title.
pub fn id(text: &str) -> Markup {
    html! { code.id title=(text) { (short(text.strip_prefix("sha256:").unwrap_or(text))) } }
}

/// The beginning and end of a long identifier; short ones whole.
pub fn short(text: &str) -> String {
    let count = text.chars().count();
    if count <= 22 {
        return text.to_owned();
    }
    let head: String = text.chars().take(8).collect();
    let tail: String = text.chars().skip(count - 6).collect();
    format!("{head}…{tail}")
}

/// The link to an execution's page. Identifiers are safe in paths by their alphabet; others are encoded.
pub fn execution_link(id: &str) -> Markup {
    html! { a href={ "/console/executions/" (segment(id)) } title=(id) { code.id { (short(id)) } } }
}

/// Percent-encodes text as one path segment or query value.
pub fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// What an execution waits for, in words, with a link when there is something to open.
pub fn blocked(on: &str) -> Markup {
    let (kind, rest) = on.split_once(':').unwrap_or((on, ""));
    match kind {
        "approval" => {
            html! { "waits for " a href={ "/console/approvals/" (segment(rest)) } { "an approval" } }
        }
        "dead-letter" => {
            html! { "parked as " a href={ "/console/dead-letters#" (rest) } { "a dead letter" } }
        }
        "control" => html! { "held by " a href="/console/controls" { (rest) } },
        "limit" => html! { "in line at the limit " a href="/console/system" { (rest) } },
        "worker" => html! { "waits for a worker" },
        "choice" => html! { "asks what becomes of effect " (rest) },
        "compensation" => html! { "the undo of effect " (rest) },
        "operator" => html! { "paused by an operator" },
        "effect" => html! { "effect " (rest) " is under way" },
        "retry" => html! { "effect " (rest) " is tried again later" },
        "verification" => html! { "effect " (rest) " is being checked" },
        "timer" => html! { "waits for a timer" },
        "signal" => html! { "listens for the signal " (rest.replace(',', " or ")) },
        _ => html! { "waits for " (on) },
    }
}

/// A sentence of the server; what stands in backticks is drawn as code.
pub fn prose(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd number of backticks quotes nothing.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! { @for (i, part) in parts.iter().enumerate() { @if i % 2 == 1 { code { (part) } } @else { (part) } } }
}

/// What an execution waits for as the server explains it, with a link where it names the thing that blocks it.
pub fn explained(text: &str, blocked_on: Option<&str>) -> Markup {
    let (kind, name) = blocked_on.and_then(|on| on.split_once(':')).unwrap_or_default();
    let href = match kind {
        "approval" => format!("/console/approvals/{}", segment(name)),
        "dead-letter" => format!("/console/dead-letters#{name}"),
        "control" => "/console/controls".to_owned(),
        "limit" => "/console/system".to_owned(),
        "child" => format!("/console/executions/{}", segment(name)),
        _ => return prose(text),
    };
    let Some((before, after)) = text.split_once(name).filter(|_| !name.is_empty()) else {
        return html! { (prose(text)) " " a href=(href) { "Open" } };
    };
    let (before, after) =
        (before.strip_suffix('`').unwrap_or(before), after.strip_prefix('`').unwrap_or(after));
    html! { (prose(before)) a href=(href) title=(name) { (short(name)) } (prose(after)) }
}

fn two(a: i64, unit_a: &str, b: i64, unit_b: &str) -> String {
    if b == 0 { format!("{a} {unit_a}") } else { format!("{a} {unit_a} {b} {unit_b}") }
}

fn coarse(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=86_399 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_show_code_and_lead_to_what_blocks() {
        for (text, on, shown) in [
            ("`a` held on `b`", None, "<code>a</code> held on <code>b</code>"),
            ("one ` alone <b>", None, "one ` alone &lt;b&gt;"),
            (
                "the control `x` holds it",
                Some("control:x"),
                "the control <a href=\"/console/controls\" title=\"x\">x</a> holds it",
            ),
            (
                "decide approval a1; or",
                Some("approval:a1"),
                "decide approval <a href=\"/console/approvals/a1\" title=\"a1\">a1</a>; or",
            ),
            ("an operator paused it", Some("operator:paused"), "an operator paused it"),
            ("parked", Some("dead-letter:d1"), "parked <a href=\"/console/dead-letters#d1\">Open</a>"),
        ] {
            assert_eq!(explained(text, on).into_string(), shown);
        }
    }

    #[test]
    fn durations_and_moments_read_well() {
        for (ms, text) in [
            (0, "0 ms"),
            (840, "840 ms"),
            (3_250, "3.2 s"),
            (59_000, "59 s"),
            (250_000, "4 min 10 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(span(ms), text);
        }
        let now = Timestamp(1_000_000);
        assert_eq!(relative(Timestamp(820_000), now), "3 min ago");
        assert_eq!(relative(Timestamp(1_090_000), now), "in 1 min");
        assert_eq!(relative(Timestamp(999_000), now), "just now");
        assert_eq!(relative(Timestamp(i64::MIN), now), relative(Timestamp(i64::MIN + 1), now));
    }

    #[test]
    fn path_segments_cannot_leave_their_place() {
        assert_eq!(segment("a/b?c#d e"), "a%2Fb%3Fc%23d%20e");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(12), "12");
    }
}
