//! What people and scripts see: data on stdout, everything else on stderr, colour only on a terminal.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value as Json;

use crate::exit::{Exit, Failure};

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: the API's own documents.
    Json,
}

/// Colours by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Strong,
    Faint,
    Good,
    Bad,
    Care,
    Accent,
}

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) output: Output,
    pub(crate) quiet: bool,
    color: bool,
}

impl Screen {
    pub(crate) fn new(output: Output, quiet: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { output, quiet, color: !plain && std::io::stdout().is_terminal() }
    }

    /// True when a person sits in front of both ends.
    pub(crate) fn interactive() -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Text in a tone; plain text when colours are off. Control characters of the outside never reach the terminal.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let clean = clean(text);
        if !self.color {
            return clean;
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Care => "33",
            Tone::Accent => "36",
        };
        format!("\x1b[{code}m{clean}\x1b[0m")
    }

    /// A status, outcome or decision in its own colour.
    pub(crate) fn word(self, word: &str) -> String {
        self.paint(tone_of(word), word)
    }

    /// Writes data for people, or the document itself with `--output json`.
    pub(crate) fn data(self, document: &Json, people: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.output {
            Output::Json => line(&pretty(document)),
            Output::Table => line(people().trim_end_matches('\n')),
        }
    }

    /// Tells a person something that is no data.
    pub(crate) fn say(self, text: impl AsRef<str>) {
        if !self.quiet {
            // Nobody reads a closed stderr; that is no reason to fail.
            let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
        }
    }

    /// A table in the manner of kubectl: capital headings, no lines.
    pub(crate) fn table(self, headings: &[&str], rows: Vec<Vec<String>>) -> String {
        if rows.is_empty() {
            return self.paint(Tone::Faint, "nothing to show");
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if !std::io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.set_header(headings.iter().map(|h| h.to_uppercase()));
        for row in rows {
            table.add_row(row);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text = table.to_string();
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// Writes lines to stdout. A reader that went away (`| head`) ends the program quietly.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(Exit::Internal, format!("cannot write the answer: {error}"))),
    }
}

/// JSON with indentation.
pub(crate) fn pretty(document: &Json) -> String {
    serde_json::to_string_pretty(document).unwrap_or_else(|_| document.to_string())
}

/// Text without control characters other than the line feed, so that stored text cannot drive the terminal.
pub(crate) fn clean(text: &str) -> String {
    let hostile = |c: char| {
        (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.contains(hostile) { text.replace(hostile, "\u{fffd}") } else { text.to_owned() }
}

/// Shortens to `width` characters with an ellipsis.
pub(crate) fn short(text: &str, width: usize) -> String {
    let text = clean(text).replace('\n', " ");
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

fn tone_of(word: &str) -> Tone {
    match word {
        "verified" | "completed" | "approved" | "allow" | "passed" | "settled" | "done" | "ok" => Tone::Good,
        "failed" | "faulted" | "rejected" | "deny" | "denied" | "expired" | "refused" | "critical" => {
            Tone::Bad
        }
        "unknown" | "waiting" | "pending" | "suspended" | "require-approval" | "awaiting-approval"
        | "parked" | "lost" | "retrying" | "high" | "medium" => Tone::Care,
        "running" | "started" | "verifying" => Tone::Accent,
        _ => Tone::Strong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_cannot_drive_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c\nd"), "a\u{fffd}[2Jb\u{fffd}c\nd");
        assert_eq!(short("abcdef\nghi", 8), "abcdef …");
    }
}
