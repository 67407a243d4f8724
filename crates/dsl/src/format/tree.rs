//! A document as it stands on paper: nodes with the places where they begin and end, and comments beside them.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span};

/// Comments that may stand in one place.
const COMMENTS_MAX: usize = 100_000;

/// A whole document.
pub(super) struct Document<'t> {
    pub text: &'t str,
    pub root: Piece,
    /// In order of their places.
    pub comments: Vec<Comment>,
    /// True for a document that is JSON.
    pub json: bool,
}

/// A comment.
#[derive(Clone, Debug)]
pub(super) struct Comment {
    /// From 1.
    pub line: usize,
    /// From 0.
    pub column: usize,
    /// With its `#`, without the space at its end.
    pub text: String,
    /// True when nothing else stands before it on its line.
    pub alone: bool,
}

/// A node.
pub(super) struct Piece {
    /// First line, from 1.
    pub first: usize,
    /// Last line: of a block of text the line of its mark, of a collection the line of what follows it.
    pub last: usize,
    /// Column of its beginning, from 0.
    pub column: usize,
    pub body: Body,
}

/// What a node is.
pub(super) enum Body {
    /// Text on one line or several, as it stands in the source.
    Scalar(Range<usize>),
    /// Text that would be taken for the mark of a document where it is written; it goes into double quotes.
    Quoted(String),
    /// A block of text: its mark (`|` or `>`), what it says, and its lines in the source with their indentation.
    Block { mark: char, says: String, lines: Range<usize> },
    /// A list.
    List { flow: bool, items: Vec<Piece> },
    /// An object.
    Map { flow: bool, members: Vec<(Key, Piece)> },
}

/// The name of a member.
pub(super) struct Key {
    pub line: usize,
    /// As it is written.
    pub text: String,
}

impl Document<'_> {
    /// What its comments say, sorted: formatting may move them a little, and must not lose one.
    pub fn remarks(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.comments.iter().map(|comment| comment.text.clone()).collect();
        texts.sort();
        texts
    }
}

/// Reads a document that the strict reader took. The error says what it does not understand.
pub(super) fn read(text: &str) -> Result<Document<'_>, String> {
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: true,
        max_buffered_comment_events: COMMENTS_MAX,
        flow_nesting_limit: 128,
        block_nesting_limit: 128,
        simple_key_max_lookahead: 16 * 1024,
    };
    let mut builder = Builder { text, comments: Vec::new(), open: Vec::new(), root: None };
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| error.to_string())?;
        builder.event(event, span)?;
    }
    let root = builder.root.ok_or("it is empty")?;
    let mut comments = builder.comments;
    comments.sort_by_key(|comment| (comment.line, comment.column));
    let json = comments.is_empty()
        && text.trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    Ok(Document { text, root, comments, json })
}

struct Builder<'t> {
    text: &'t str,
    comments: Vec<Comment>,
    open: Vec<(Piece, Option<Key>)>,
    root: Option<Piece>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        let (first, column) = (span.start.line(), span.start.col());
        match event {
            Event::Comment(..) => {
                self.comment(span);
                Ok(())
            }
            Event::Scalar(says, style, 0, None) => self.scalar(&says, style, span),
            Event::SequenceStart(_, 0, None) | Event::MappingStart(_, 0, None) => {
                let flow = self.source(span).starts_with(['[', '{']);
                let body = match event {
                    Event::SequenceStart(..) => Body::List { flow, items: Vec::new() },
                    _ => Body::Map { flow, members: Vec::new() },
                };
                self.open.push((Piece { first, last: first, column, body }, None));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (mut piece, _) = self.open.pop().ok_or("it ends before it begins")?;
                piece.last = span.end.line();
                self.place(piece);
                Ok(())
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => Ok(()),
            _ => Err("it has an anchor, an alias or a tag".to_owned()),
        }
    }

    fn comment(&mut self, span: Span) {
        let before = span.start.byte_offset().and_then(|at| self.text.get(..at)).unwrap_or_default();
        let alone = before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
        self.comments.push(Comment {
            line: span.start.line(),
            column: span.start.col(),
            text: self.source(span).trim_end().to_owned(),
            alone,
        });
    }

    fn scalar(&mut self, says: &str, style: ScalarStyle, span: Span) -> Result<(), String> {
        let (first, column) = (span.start.line(), span.start.col());
        let range = span.byte_range().ok_or("it has no places")?;
        let wants_key = matches!(self.open.last(), Some((Piece { body: Body::Map { .. }, .. }, None)));
        if wants_key {
            let written = self.source(span);
            // A name that goes on over lines or stands in a block is written on one line.
            let one_line =
                !written.contains('\n') && !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
            let text = if one_line && !is_mark(written) { written.to_owned() } else { quoted(says) };
            if let Some((_, key)) = self.open.last_mut() {
                *key = Some(Key { line: first, text });
            }
            return Ok(());
        }
        let root_lines = self.open.is_empty() && self.source(span).contains('\n');
        let block = |mark| Body::Block { mark, says: says.to_owned(), lines: range.clone() };
        let (last, body) = match style {
            ScalarStyle::Literal => (first.saturating_sub(1), block('|')),
            ScalarStyle::Folded => (first.saturating_sub(1), block('>')),
            _ if root_lines || (style == ScalarStyle::Plain && is_mark(says)) => {
                (span.end.line(), Body::Quoted(says.to_owned()))
            }
            ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                (span.end.line(), Body::Scalar(range.clone()))
            }
        };
        self.place(Piece { first: first.min(last.max(1)), last, column, body });
        Ok(())
    }

    fn place(&mut self, piece: Piece) {
        match self.open.last_mut() {
            None => self.root = Some(piece),
            Some((Piece { body: Body::List { items, .. }, .. }, _)) => items.push(piece),
            Some((Piece { body: Body::Map { members, .. }, .. }, key)) => {
                members.extend(key.take().map(|key| (key, piece)));
            }
            Some(_) => {}
        }
    }

    fn source(&self, span: Span) -> &str {
        span.slice(self.text).unwrap_or_default()
    }
}

/// True for what begins or ends a document when it stands at the beginning of a line.
fn is_mark(text: &str) -> bool {
    text.starts_with("---") || text.starts_with("...")
}

/// A text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
