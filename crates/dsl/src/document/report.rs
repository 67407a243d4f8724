//! Collects problems while a document is read and compiled.

use std::collections::BTreeSet;

use crate::codes::Entry;
use crate::diagnostic::{Diagnostic, Severity};
use crate::document::node::{Member, Node};
use crate::document::source::Source;

/// Problems of one document at the most; the rest is cut and said so.
pub(crate) const PROBLEMS_MAX: usize = 100;

/// The problems found so far.
pub(crate) struct Report<'s> {
    source: Source<'s>,
    problems: Vec<Diagnostic>,
    /// Reusable parts are compiled at every use; each of their problems is told once.
    seen: BTreeSet<(String, String, String)>,
    cut: bool,
}

/// The problem just told, to add a hint to.
pub(crate) struct Told<'r>(Option<&'r mut Diagnostic>);

impl Told<'_> {
    /// Says what to write instead.
    pub fn hint(self, text: impl Into<String>) {
        if let Some(problem) = self.0 {
            problem.hint = Some(text.into());
        }
    }

    /// Says what to write instead, when there is something to say.
    pub fn maybe(self, text: Option<String>) {
        if let Some(text) = text {
            self.hint(text);
        }
    }
}

impl<'s> Report<'s> {
    /// An empty report about a text.
    pub fn new(text: &'s str) -> Self {
        Self { source: Source::new(text), problems: Vec::new(), seen: BTreeSet::new(), cut: false }
    }

    /// A problem of a node.
    pub fn node(&mut self, entry: Entry, node: &Node, message: impl Into<String>) -> Told<'_> {
        if self.full() {
            return Told(None);
        }
        self.at(entry, node.line, node.column, node.path.to_string(), message)
    }

    /// A problem of a member's name.
    pub fn member(&mut self, entry: Entry, member: &Member, message: impl Into<String>) -> Told<'_> {
        if self.full() {
            return Told(None);
        }
        self.at(entry, member.line, member.column, member.value.path.to_string(), message)
    }

    /// A problem at a byte of a scalar's text.
    pub fn inside(
        &mut self,
        entry: Entry,
        node: &Node,
        offset: usize,
        message: impl Into<String>,
    ) -> Told<'_> {
        if self.full() {
            return Told(None);
        }
        let (line, column) = self.source.place(node, offset);
        self.at(entry, line, column, node.path.to_string(), message)
    }

    /// A problem at a place.
    pub fn at(
        &mut self,
        entry: Entry,
        line: u32,
        column: u32,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Told<'_> {
        if self.full() {
            return Told(None);
        }
        let (pointer, message) = (shorten(pointer.into()), shorten(message.into()));
        if !self.seen.insert((entry.code.to_owned(), pointer.clone(), message.clone())) {
            return Told(None);
        }
        self.problems.push(Diagnostic {
            code: entry.code.to_owned(),
            severity: entry.severity,
            line,
            column,
            pointer,
            message,
            hint: None,
        });
        Told(self.problems.last_mut())
    }

    /// True when nothing more is told; checked before costly texts are made.
    pub fn full(&mut self) -> bool {
        self.cut |= self.problems.len() >= PROBLEMS_MAX;
        self.cut
    }

    /// True when something keeps the document from being published.
    pub fn failed(&self) -> bool {
        self.cut || self.problems.iter().any(|p| p.severity == Severity::Error)
    }

    /// Everything, in document order.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.problems.sort_by(|a, b| (a.line, a.column, &a.code).cmp(&(b.line, b.column, &b.code)));
        if self.cut {
            let entry = crate::codes::TOO_MANY;
            let (line, column) = self.problems.last().map_or((1, 1), |p| (p.line, p.column));
            self.problems.push(Diagnostic {
                code: entry.code.to_owned(),
                severity: entry.severity,
                line,
                column,
                pointer: String::new(),
                message: format!("these are the first {PROBLEMS_MAX} problems; there may be more"),
                hint: Some("solve these first".to_owned()),
            });
        }
        self.problems
    }
}

/// The nearest of the known names, when one is near.
pub(crate) fn nearest<'n>(wrong: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let limit = (wrong.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .take(NAMES_COMPARED_MAX)
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= limit || name.eq_ignore_ascii_case(wrong))
        .min()
        .map(|(_, name)| name)
}

/// Names compared for one hint at the most; hostile documents would otherwise cost quadratic time.
const NAMES_COMPARED_MAX: usize = 500;

/// Edit distance of two names, a swap of neighbours counted as one; looked at only up to 32 characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().take(32).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let changed = rows[i][j] + usize::from(x != y);
            let mut least = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *y && b[j - 1] == *x {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Splits a message that ends in what to write, so that it is told once, as the hint.
pub(crate) fn split_hint(message: &str) -> (String, Option<String>) {
    match message.split_once("; write ").or_else(|| message.split_once(": write ")) {
        Some((what, hint)) => (what.to_owned(), Some(format!("write {hint}"))),
        None => (message.to_owned(), None),
    }
}

/// Messages quote the document; a name of a megabyte is cut.
fn shorten(text: String) -> String {
    const MESSAGE_CHARS_MAX: usize = 600;
    match text.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
