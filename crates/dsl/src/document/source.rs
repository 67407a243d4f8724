//! Finds the line and column of a character inside a scalar of the source text.

use crate::document::node::{Node, Style};

/// The text of a document, by lines.
pub(crate) struct Source<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Source<'a> {
    /// Splits the text into lines once.
    pub fn new(text: &'a str) -> Self {
        Self { lines: text.split('\n').collect() }
    }

    /// The place of byte `offset` of the scalar's text. Exact for scalars on one line and for `|` blocks;
    /// the scalar's own place otherwise.
    pub fn place(&self, node: &Node, offset: usize) -> (u32, u32) {
        let here = (node.line, node.column);
        let Some(text) = node.text() else { return here };
        let offset = (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let (before, rest) = text.split_at(offset);
        match node.style {
            Style::Literal => self.place_in_block(node, before),
            Style::Folded => here,
            Style::Plain | Style::Single if text.contains('\n') => here,
            Style::Plain => (node.line, node.column.saturating_add(count(before))),
            Style::Single => {
                let quotes = before.matches('\'').count();
                (node.line, node.column.saturating_add(1 + count(before)).saturating_add(narrow(quotes)))
            }
            Style::Double => {
                self.place_in_double(node, before.chars().count(), rest.is_empty()).unwrap_or(here)
            }
        }
    }

    fn line(&self, number: u32) -> Option<&'a str> {
        self.lines.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }

    fn place_in_block(&self, node: &Node, before: &str) -> (u32, u32) {
        let blank = |n: u32| self.line(n).is_none_or(|l| l.trim().is_empty());
        let column = usize::try_from(node.column).unwrap_or(usize::MAX).saturating_sub(1);
        let at_mark = self.line(node.line).and_then(|l| l.chars().nth(column)) == Some('|');
        // The parser gives the mark or the first line of the content, which blank lines may part from the mark.
        let header = match at_mark {
            true => node.line,
            false => (1..node.line).rev().find(|n| !blank(*n)).unwrap_or(node.line),
        };
        let first = (header.saturating_add(1)..)
            .take(self.lines.len())
            .filter_map(|n| self.line(n))
            .find(|l| !l.trim().is_empty());
        let indent = first.map_or(0, |l| l.len() - l.trim_start_matches(' ').len());
        let last = before.rsplit('\n').next().unwrap_or_default();
        let line = header.saturating_add(1).saturating_add(narrow(before.matches('\n').count()));
        (line, narrow(indent).saturating_add(count(last)).saturating_add(1))
    }

    /// Walks the escapes of a text in double quotes.
    fn place_in_double(&self, node: &Node, before: usize, at_end: bool) -> Option<(u32, u32)> {
        let line = self.line(node.line)?;
        let mut rest = line.chars().skip(usize::try_from(node.column).ok()?).peekable();
        let mut column = node.column.saturating_add(1);
        for _ in 0..before {
            let width = match rest.next() {
                Some('\\') => match rest.next() {
                    Some('x') => 4,
                    Some('u') => 6,
                    Some('U') => 10,
                    Some(_) => 2,
                    None => return None,
                },
                Some(_) => 1,
                None => return None,
            };
            (2..width).for_each(|_| {
                rest.next();
            });
            column = column.saturating_add(width);
        }
        (at_end || rest.peek().is_some()).then_some((node.line, column))
    }
}

fn count(text: &str) -> u32 {
    narrow(text.chars().count())
}

/// Documents are at most one MiB, so nothing is lost.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::reader;
    use crate::document::report::Report;

    /// Every `@` of a scalar is found where it stands in the source.
    #[test]
    fn characters_are_found_in_every_style() {
        for (text, wanted) in [
            ("a: x @", (1, 6)),
            ("a: 'it''s @'", (1, 11)),
            (r#"a: "\u00e9\n\"@""#, (1, 15)),
            (r#"{"a": "é@"}"#, (1, 9)),
            ("a: |\n  x\n    y @\n", (3, 7)),
            ("a:\n  - |\n    x | @\n", (3, 9)),
            ("a: >-\n  x\n  @\n", (2, 3)),
        ] {
            let mut report = Report::new(text);
            let root = reader::read(text, &mut report);
            let found = root.as_ref().and_then(|r| r.get("a")).map(|n| n.items().first().unwrap_or(n));
            let place = found.and_then(|n| Some(Source::new(text).place(n, n.text()?.find('@')?)));
            assert_eq!(place, Some(wanted), "{text}");
        }
    }
}
