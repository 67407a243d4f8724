//! A reader of compact JSON by somebody who has nothing but `docs/storage.md`: the page is enough to read every leaf.

use serde_json::{Map, Value as Json};

const PAGE: &str = include_str!("../../../../docs/storage.md");

/// The record of a leaf's bytes.
pub(crate) fn record(leaf: &[u8]) -> Json {
    assert_eq!(leaf[8], 2, "the form of the record");
    let words = PAGE.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a list");
    let words = words.lines().map(|line| line.split_once(' ').expect("index and word").1).collect();
    let mut reader = Reader { rest: &leaf[9..], words, remembered: Vec::new() };
    let record = reader.item();
    assert!(reader.rest.is_empty(), "bytes behind the record");
    record
}

struct Reader<'a> {
    rest: &'a [u8],
    words: Vec<&'a str>,
    remembered: Vec<String>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn leb128(&mut self) -> u64 {
        let byte = self.byte();
        let low = u64::from(byte & 0x7f);
        if byte & 0x80 == 0 { low } else { low | (self.leb128() << 7) }
    }

    fn text(&mut self, first: u8) -> String {
        let before = self.rest.len();
        let text = match first {
            0x80.. => return self.words[usize::from(first - 0x80)].to_owned(),
            0x07 => {
                let index = usize::from(self.byte()) + 128;
                return self.words[index].to_owned();
            }
            0x0d => {
                let number = usize::from(self.byte());
                return self.remembered[number].clone();
            }
            0x0e => {
                let part = |reader: &mut Self| {
                    let first = reader.byte();
                    reader.text(first)
                };
                return [part(self), part(self), part(self)].concat();
            }
            0x08 => format!("sha256:{}", hex::encode(self.take(32))),
            0x09 => {
                let digits = hex::encode(self.take(16));
                [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
            }
            0x06 => {
                let length = usize::try_from(self.leb128()).expect("fits");
                String::from_utf8(self.take(length).to_vec()).expect("UTF-8")
            }
            0x40..0x80 => String::from_utf8(self.take(usize::from(first - 0x40)).to_vec()).expect("UTF-8"),
            other => panic!("{other:#x} begins no text"),
        };
        if before - self.rest.len() + 1 >= 4 {
            self.remembered.push(text.clone());
        }
        text
    }

    fn item(&mut self) -> Json {
        match self.byte() {
            0x00 => Json::Null,
            0x01 => Json::Bool(false),
            0x02 => Json::Bool(true),
            0x03 => self.leb128().into(),
            0x04 => (-1 - i64::try_from(self.leb128()).expect("fits")).into(),
            0x05 => f64::from_le_bytes(self.take(8).try_into().expect("8 bytes")).into(),
            small @ 0x20..0x40 => u64::from(small - 0x20).into(),
            0x0a => {
                let mut items = Vec::new();
                while self.rest[0] != 0x0c {
                    items.push(self.item());
                }
                self.byte();
                items.into()
            }
            0x0b => {
                let mut members = Map::new();
                while self.rest[0] != 0x0c {
                    let first = self.byte();
                    let name = self.text(first);
                    members.insert(name, self.item());
                }
                self.byte();
                members.into()
            }
            first => self.text(first).into(),
        }
    }
}
