//! How the demo speaks: numbered headings, indented notes. With `--output json` all of it goes to stderr.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::exit::Failure;
use crate::screen::{Output, Screen, Tone, line};

/// Where the demo is told.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) screen: Screen,
    step: AtomicU32,
}

impl Stage {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, step: AtomicU32::new(0) }
    }

    /// Begins the next part.
    pub(super) fn heading(&self, text: &str) {
        let number = self.step.fetch_add(1, Ordering::Relaxed) + 1;
        self.tell(&format!(
            "\n{} {}",
            self.screen.paint(Tone::Accent, &format!("{number}.")),
            self.screen.paint(Tone::Strong, text)
        ));
    }

    /// Something that was drawn, indented.
    pub(super) fn show(&self, drawn: &str) {
        let indented: Vec<String> = drawn
            .lines()
            .map(|text| if text.is_empty() { String::new() } else { format!("   {text}") })
            .collect();
        self.tell(&indented.join("\n"));
    }

    /// A remark.
    pub(super) fn note(&self, text: &str) {
        self.show(&self.screen.paint(Tone::Faint, text));
    }

    fn tell(&self, text: &str) {
        match self.screen.output {
            Output::Json => self.screen.say(text),
            // A closed stdout is told by the last line, which is data.
            Output::Table => drop(line(text)),
        }
    }

    /// The end of it as data.
    pub(super) fn data(&self, document: &serde_json::Value) -> Result<(), Failure> {
        match self.screen.output {
            Output::Json => line(&crate::screen::pretty(document)),
            Output::Table => Ok(()),
        }
    }
}
