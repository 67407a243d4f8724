//! Prints a tree: two spaces for each level, one space where the author had some, at most one blank line.

use std::ops::Range;

use super::tree::{Body, Comment, Document, Key, Piece, quoted};

/// Characters of a line up to which a list or object stays on one line.
const WIDTH_MAX: usize = 120;

/// The text of a document.
pub(super) fn print(document: &Document<'_>) -> String {
    let mut printer = Printer {
        text: document.text,
        lines: document.text.split('\n').collect(),
        comments: &document.comments,
        out: String::new(),
        keeps: false,
    };
    if document.json {
        printer.json(&document.root, 0);
        printer.out.push('\n');
        return printer.out;
    }
    if matches!(&document.root.body, Body::Scalar(range) if range.is_empty()) {
        // Nothing at all is no document.
        printer.out.push_str("null\n");
        printer.rest(0, |_| true);
        return printer.out;
    }
    let limit = document.root.extent();
    printer.above(document.root.first, limit, 0);
    printer.piece(&document.root, 0, Lead::Line, limit);
    printer.rest(0, |_| true);
    printer.out
}

struct Printer<'d> {
    text: &'d str,
    lines: Vec<&'d str>,
    /// Those that are not printed yet.
    comments: &'d [Comment],
    out: String,
    /// True after a block whose last blank lines belong to it.
    keeps: bool,
}

/// What stands on the line before a piece.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// Nothing: a collection begins here.
    Line,
    /// `- `: a collection goes on behind it.
    Dash,
    /// `name:`: a collection begins on the next line.
    Name,
}

impl Piece {
    /// The last line of what is printed on the first line of a piece.
    fn extent(&self) -> usize {
        match &self.body {
            Body::Scalar(_) | Body::Quoted(_) | Body::Block { .. } => self.last,
            Body::List { items, .. } if !self.one_line() => items.first().map_or(self.last, Piece::extent),
            Body::Map { members, .. } if !self.one_line() => match members.first() {
                Some((key, value)) => extent_of(key, value),
                None => self.last,
            },
            Body::List { .. } | Body::Map { .. } => self.last,
        }
    }

    /// True for what the author wrote on one line between brackets, and for what is empty.
    fn one_line(&self) -> bool {
        match &self.body {
            Body::Scalar(range) => range.is_empty() || self.first == self.last,
            Body::Quoted(_) => true,
            Body::Block { .. } => false,
            Body::List { flow, items } => items.is_empty() || (*flow && self.first == self.last),
            Body::Map { flow, members } => members.is_empty() || (*flow && self.first == self.last),
        }
    }
}

/// The last line of what is printed on the line of a member's name.
fn extent_of(key: &Key, value: &Piece) -> usize {
    match &value.body {
        Body::Scalar(_) | Body::Quoted(_) | Body::Block { .. } => value.last.max(key.line),
        Body::List { .. } | Body::Map { .. } if value.one_line() => value.last.max(key.line),
        Body::List { .. } | Body::Map { .. } => key.line,
    }
}

impl Printer<'_> {
    /// A piece after its lead; ends with a line break. Comments up to `limit` are printed but for that of the line itself.
    fn piece(&mut self, piece: &Piece, indent: usize, lead: Lead, limit: usize) {
        if let Some(flat) = self.flat(piece, indent) {
            if lead == Lead::Name && !flat.is_empty() {
                self.out.push(' ');
            }
            self.out.push_str(&flat);
            return self.end_line(limit);
        }
        match &piece.body {
            Body::Scalar(range) => {
                if lead == Lead::Name {
                    self.out.push(' ');
                }
                self.folded(range.clone(), indent);
                self.end_line(limit);
            }
            // It is always on one line.
            Body::Quoted(_) => {}
            Body::Block { mark, says, lines } => {
                self.block(piece, (*mark, says, lines.clone()), indent, lead, limit)
            }
            Body::List { items, .. } => {
                if lead == Lead::Name {
                    self.end_line(limit);
                }
                for (position, item) in items.iter().enumerate() {
                    let limit = item.extent();
                    if position > 0 || lead == Lead::Name {
                        self.above(item.first, limit, indent);
                        self.space(indent);
                    }
                    self.out.push_str("- ");
                    self.piece(item, indent + 2, Lead::Dash, limit);
                }
                self.tail(piece, indent);
            }
            Body::Map { members, .. } => {
                if lead == Lead::Name {
                    self.end_line(limit);
                }
                for (position, (key, value)) in members.iter().enumerate() {
                    let limit = extent_of(key, value);
                    if position > 0 || lead == Lead::Name {
                        self.above(key.line, limit, indent);
                        self.space(indent);
                    }
                    self.out.push_str(&key.text);
                    self.out.push(':');
                    self.piece(value, indent + 2, Lead::Name, limit);
                }
                self.tail(piece, indent);
            }
        }
    }

    /// The piece on one line, when it was written so and is short enough.
    fn flat(&self, piece: &Piece, indent: usize) -> Option<String> {
        if !piece.one_line() {
            return None;
        }
        let flat = self.between_brackets(piece, false);
        let plain = matches!(piece.body, Body::Scalar(_) | Body::Quoted(_));
        (plain || indent + flat.chars().count() <= WIDTH_MAX || flat.len() <= 2).then_some(flat)
    }

    fn between_brackets(&self, piece: &Piece, inner: bool) -> String {
        let joined = |parts: Vec<String>| parts.join(", ");
        match &piece.body {
            Body::Scalar(range) if range.is_empty() && inner => "null".to_owned(),
            Body::Scalar(range) => self.source(range.clone()).to_owned(),
            Body::Quoted(says) | Body::Block { says, .. } => quoted(says),
            Body::List { items, .. } if items.is_empty() => "[]".to_owned(),
            Body::Map { members, .. } if members.is_empty() => "{}".to_owned(),
            Body::List { items, .. } => {
                format!(
                    "[ {} ]",
                    joined(items.iter().map(|item| self.between_brackets(item, true)).collect())
                )
            }
            Body::Map { members, .. } => {
                let parts = members
                    .iter()
                    .map(|(key, value)| format!("{}: {}", key.text, self.between_brackets(value, true)));
                format!("{{ {} }}", joined(parts.collect()))
            }
        }
    }

    /// A text that goes on over several lines.
    fn folded(&mut self, range: Range<usize>, indent: usize) {
        let source = self.source(range).to_owned();
        for (position, line) in source.split('\n').enumerate() {
            if position > 0 {
                self.out.push('\n');
                let line = line.trim_end_matches('\r').trim_start_matches([' ', '\t']);
                if !line.is_empty() {
                    self.space(indent);
                    self.out.push_str(line);
                }
                continue;
            }
            self.out.push_str(line.trim_end_matches('\r'));
        }
    }

    fn block(
        &mut self,
        piece: &Piece,
        block: (char, &str, Range<usize>),
        indent: usize,
        lead: Lead,
        limit: usize,
    ) {
        let (mark, says, range) = block;
        let content = says.trim_end_matches('\n');
        if lead == Lead::Name {
            self.out.push(' ');
        }
        // Blanks at the end of a block are easily lost; in quotes they are seen.
        let blank_end = content.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
        if blank_end || indent == 0 {
            self.out.push_str(&quoted(says));
            return self.end_line(limit);
        }
        self.out.push(mark);
        let blank = content.chars().take_while(|c| *c == '\n').count();
        if content.trim_start_matches('\n').starts_with([' ', '\t']) {
            self.out.push('2');
        }
        let ends = says.len() - content.len();
        match ends {
            0 => self.out.push('-'),
            1 => {}
            _ => self.out.push('+'),
        }
        self.end_line(limit);
        (0..blank).for_each(|_| self.out.push('\n'));
        let source = self.source(range).to_owned();
        for (position, line) in source.trim_end_matches(['\n', '\r', ' ', '\t']).split('\n').enumerate() {
            let line = line.trim_end_matches('\r');
            let spaces = line.len() - line.trim_start_matches(' ').len();
            let body =
                if position == 0 { line } else { line.get(spaces.min(piece.column)..).unwrap_or_default() };
            if !body.is_empty() {
                self.space(indent);
                self.out.push_str(body);
            }
            self.out.push('\n');
        }
        if ends > 1 {
            (1..ends).for_each(|_| self.out.push('\n'));
            self.keeps = true;
        }
    }

    fn json(&mut self, piece: &Piece, indent: usize) {
        match &piece.body {
            Body::List { items, .. } if !items.is_empty() => {
                self.out.push('[');
                for (position, item) in items.iter().enumerate() {
                    self.json_next(position, indent + 2);
                    self.json(item, indent + 2);
                }
                self.json_end(indent, ']');
            }
            Body::Map { members, .. } if !members.is_empty() => {
                self.out.push('{');
                for (position, (key, value)) in members.iter().enumerate() {
                    self.json_next(position, indent + 2);
                    self.out.push_str(&key.text);
                    self.out.push_str(": ");
                    self.json(value, indent + 2);
                }
                self.json_end(indent, '}');
            }
            Body::Scalar(_) | Body::Quoted(_) | Body::Block { .. } | Body::List { .. } | Body::Map { .. } => {
                self.out.push_str(&self.between_brackets(piece, true));
            }
        }
    }

    fn json_next(&mut self, position: usize, indent: usize) {
        self.out.push_str(if position > 0 { ",\n" } else { "\n" });
        self.space(indent);
    }

    fn json_end(&mut self, indent: usize, bracket: char) {
        self.out.push('\n');
        self.space(indent);
        self.out.push(bracket);
    }

    /// Comments that belong above what is printed next, which stands on the lines from `first` to `limit`; and a blank line
    /// where there was one.
    fn above(&mut self, first: usize, limit: usize, indent: usize) {
        while let Some((comment, rest)) = self.comments.split_first() {
            let beside = comment.line == limit && !comment.alone;
            if comment.line > limit || beside {
                break;
            }
            self.comments = rest;
            self.comment(comment, indent);
        }
        self.blank_above(first);
    }

    /// Comments at the end of a collection that are written as deep as its parts.
    fn tail(&mut self, piece: &Piece, indent: usize) {
        let (flow, list) = match &piece.body {
            Body::List { flow, .. } => (*flow, true),
            Body::Map { flow, .. } => (*flow, false),
            Body::Scalar(_) | Body::Quoted(_) | Body::Block { .. } => return,
        };
        // Between brackets columns mean nothing; a list may stand in the column of its name.
        let least = if flow { 0 } else { piece.column + usize::from(list && piece.column + 2 <= indent) };
        self.rest(indent, |comment| comment.line < piece.last && comment.alone && comment.column >= least);
    }

    fn rest(&mut self, indent: usize, fits: impl Fn(&Comment) -> bool) {
        while let Some((comment, rest)) = self.comments.split_first().filter(|(comment, _)| fits(comment)) {
            self.comments = rest;
            self.comment(comment, indent);
        }
    }

    fn comment(&mut self, comment: &Comment, indent: usize) {
        self.blank_above(comment.line);
        self.space(indent);
        self.out.push_str(&comment.text);
        self.out.push('\n');
        self.keeps = false;
    }

    fn blank_above(&mut self, line: usize) {
        let above = line.checked_sub(2).and_then(|at| self.lines.get(at));
        let blank = above.is_some_and(|text| text.trim().is_empty());
        if blank && !self.keeps && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
        self.keeps = false;
    }

    /// Ends a line with the comment that stands beside it.
    fn end_line(&mut self, limit: usize) {
        if let Some((comment, rest)) =
            self.comments.split_first().filter(|(comment, _)| comment.line <= limit)
        {
            self.comments = rest;
            self.out.push(' ');
            self.out.push_str(&comment.text);
        }
        while self.out.ends_with(' ') {
            self.out.pop();
        }
        self.out.push('\n');
    }

    fn space(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn source(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }
}
