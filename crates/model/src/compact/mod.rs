//! Compact JSON: a binary form of any JSON document, for what is stored by the million and kept for ever.
//!
//! It holds exactly what the JSON text holds, no more and no less, and needs no schema to be read: whoever has this
//! page can write a reader in any language. Names that OmniHub itself uses are one byte ([`words`]); digests and UUIDs
//! are their bytes; a text that was written before in the same document is a reference to it.
//!
//! A document is one item. An item is a byte, and what the byte asks for:
//!
//! | byte | item |
//! | --- | --- |
//! | `00` | `null` |
//! | `01`, `02` | `false`, `true` |
//! | `03` | a whole number from 0: LEB128 |
//! | `04` | a whole number below 0: LEB128 of −1 minus the number |
//! | `05` | any other number: IEEE 754 double, 8 bytes, little-endian |
//! | `06` | text: its length in bytes as LEB128, then UTF-8 |
//! | `07` | a word: one more byte, its index less 128 |
//! | `08` | the text `sha256:` and 64 lower-case hexadecimal digits: 32 bytes |
//! | `09` | the text of a lower-case UUID: 16 bytes |
//! | `0a` | a list: items until `0c` |
//! | `0b` | an object: a text and an item for each member, until `0c` |
//! | `0d` | a text that was remembered: its number as one byte |
//! | `0e` | three texts joined to one |
//! | `20`–`3f` | the whole number 0–31 |
//! | `40`–`7f` | text of 0–63 bytes in UTF-8 |
//! | `80`–`ff` | the word with index 0–127 |
//!
//! Remembered are, in order and from number 0, the first 128 texts of a document whose item (`06`, `08`, `09`, or
//! `40`–`7f`) has at least four bytes; the parts of a joined text count, the joined text does not. Any other byte is an
//! error, and so is a document of more than 128 levels.

mod read;
pub mod words;
mod write;

pub use read::{from_slice, transcode};
pub use write::{likeness, to_vec, write};

/// Levels that lists and objects may be nested.
const DEPTH_MAX: usize = 128;
/// Texts that are remembered in one document.
const REMEMBERED_MAX: usize = 128;
/// Bytes of the shortest item that is remembered: a reference takes two.
const REMEMBERED_BYTES_MIN: usize = 4;

mod tag {
    pub(super) const NULL: u8 = 0x00;
    pub(super) const FALSE: u8 = 0x01;
    pub(super) const TRUE: u8 = 0x02;
    pub(super) const WHOLE: u8 = 0x03;
    pub(super) const NEGATIVE: u8 = 0x04;
    pub(super) const DOUBLE: u8 = 0x05;
    pub(super) const TEXT: u8 = 0x06;
    pub(super) const WORD: u8 = 0x07;
    pub(super) const DIGEST: u8 = 0x08;
    pub(super) const UUID: u8 = 0x09;
    pub(super) const LIST: u8 = 0x0a;
    pub(super) const OBJECT: u8 = 0x0b;
    pub(super) const END: u8 = 0x0c;
    pub(super) const AGAIN: u8 = 0x0d;
    pub(super) const JOINED: u8 = 0x0e;
    pub(super) const SMALL: u8 = 0x20;
    pub(super) const SHORT: u8 = 0x40;
    pub(super) const COMMON: u8 = 0x80;
}

/// Bytes that are no document of this form, or a thing that has none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside an item, or go on after the document.
    #[error("the bytes end too early or too late, at {0}")]
    Length(usize),
    /// A byte that begins no item here.
    #[error("byte {0:#04x} means nothing at {1}")]
    Tag(u8, usize),
    /// A text that is not UTF-8, a word or a reference that does not exist.
    #[error("no text at {0}")]
    Text(usize),
    /// Lists and objects in each other without end.
    #[error("more than 128 levels")]
    Depth,
    /// What is read does not fit what is expected, or cannot be written as JSON.
    #[error("{0}")]
    Shape(String),
}

impl serde::ser::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }
}

#[cfg(test)]
mod tests;
