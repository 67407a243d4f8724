//! Writes the canonical text of anything that serializes to JSON, without a document in between.
//!
//! The members of an object are written one after the other. Only when they did not come in order are they moved, when
//! the object ends: a type whose members are declared in order is written once.

use std::fmt::Write as _;

use serde::ser::{
    Error as _, Impossible, Serialize, SerializeMap, SerializeStruct, SerializeStructVariant,
    SerializeTupleVariant, Serializer,
};

use super::{order, write_float, write_string};
use crate::forward::{forward_to_json, list_of_items};

type Error = serde_json::Error;

/// The name by which [`Canonical`](super::Canonical) is known here.
pub(super) const CANONICAL: &str = "model::canonical::Canonical";

/// The canonical text of anything that serializes to JSON.
pub(super) fn text_of<T: Serialize + ?Sized>(thing: &T) -> Result<String, Error> {
    let mut out = Out {
        text: String::with_capacity(2048),
        members: Vec::with_capacity(32),
        written: String::new(),
        canonical: false,
    };
    thing.serialize(Text(&mut out))?;
    Ok(out.text)
}

/// What is appended to.
struct Out {
    text: String,
    /// The members of the objects that are being written, outermost first.
    members: Vec<Member>,
    /// What was put in order last, as it was written.
    written: String,
    /// The next text is canonical JSON already: see [`Canonical`](super::Canonical).
    canonical: bool,
}

struct Member {
    name: Name,
    /// Where it begins and ends in the text.
    start: usize,
    end: usize,
}

/// The name of a member.
enum Name {
    Known(&'static str),
    /// Where it stands in the text, when nothing in it had to be escaped.
    Written(usize, usize),
    Other(String),
}

struct Text<'a>(&'a mut Out);

/// A list, with what closes it.
struct List<'a> {
    out: &'a mut Out,
    first: bool,
    close: &'static str,
}

/// An object.
struct Members<'a> {
    out: &'a mut Out,
    /// Where it begins in the text, and its members among all members.
    start: usize,
    first: usize,
    /// Every member so far comes after the one before it.
    ordered: bool,
    close: &'static str,
}

impl Name {
    /// The name; `text` is what was written from `base` on.
    fn text<'a>(&'a self, text: &'a str, base: usize) -> &'a str {
        match self {
            Self::Known(name) => name,
            Self::Written(start, end) => text.get(start - base..end - base).unwrap_or_default(),
            Self::Other(name) => name,
        }
    }
}

impl<'a> Text<'a> {
    fn list(self, close: &'static str) -> List<'a> {
        self.0.text.push('[');
        List { out: self.0, first: true, close }
    }

    fn members(self, close: &'static str) -> Members<'a> {
        let (start, first) = (self.0.text.len(), self.0.members.len());
        self.0.text.push('{');
        Members { out: self.0, start, first, ordered: true, close }
    }

    fn variant(self, name: &str) -> Self {
        self.0.text.push('{');
        write_string(&mut self.0.text, name);
        self.0.text.push(':');
        self
    }

    fn number(self, number: impl std::fmt::Display) {
        let _ = write!(self.0.text, "{number}");
    }
}

impl List<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.text.push(',');
        }
        value.serialize(Text(self.out))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the end of a list, as serde asks for it")]
    fn close(self) -> Result<(), Error> {
        self.out.text.push_str(self.close);
        Ok(())
    }
}

impl Members<'_> {
    /// Where the next member begins.
    fn next(&mut self) -> usize {
        if self.out.members.len() > self.first {
            self.out.text.push(',');
        }
        self.out.text.len()
    }

    fn begin(&mut self, name: Name, start: usize) {
        let Out { text, members, .. } = &mut *self.out;
        text.push(':');
        if let Some(before) = members.get(self.first..).and_then(<[Member]>::last) {
            self.ordered &= order(before.name.text(text, 0), name.text(text, 0)).is_lt();
        }
        members.push(Member { name, start, end: start });
    }

    fn known(&mut self, name: &'static str) {
        let start = self.next();
        write_string(&mut self.out.text, name);
        self.begin(Name::Known(name), start);
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Text(self.out))?;
        let end = self.out.text.len();
        if let Some(last) = self.out.members.last_mut() {
            last.end = end;
        }
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the end of an object, as serde asks for it")]
    fn close(mut self) -> Result<(), Error> {
        if !self.ordered {
            self.put_in_order();
        }
        let Out { text, members, .. } = self.out;
        members.truncate(self.first);
        text.push('}');
        text.push_str(self.close);
        Ok(())
    }

    /// The last of several members with one name counts, as in a JSON document.
    fn put_in_order(&mut self) {
        let Out { text, members, written, .. } = &mut *self.out;
        let base = self.start;
        written.clear();
        written.push_str(text.get(base..).unwrap_or_default());
        text.truncate(base);
        text.push('{');
        let Some(members) = members.get_mut(self.first..) else { return };
        members.sort_by(|a, b| order(a.name.text(written, base), b.name.text(written, base)));
        for (index, member) in members.iter().enumerate() {
            let name = member.name.text(written, base);
            if members.get(index + 1).is_some_and(|next| next.name.text(written, base) == name) {
                continue;
            }
            if text.len() > base + 1 {
                text.push(',');
            }
            text.push_str(written.get(member.start - base..member.end - base).unwrap_or_default());
        }
    }
}

impl<'a> Serializer for Text<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Members<'a>;

    forward_to_json! { (), Error, List<'a>, Members<'a> }

    fn serialize_bool(self, v: bool) -> Result<(), Error> {
        self.0.text.push_str(if v { "true" } else { "false" });
        Ok(())
    }
    fn serialize_i64(self, v: i64) -> Result<(), Error> {
        self.number(v);
        Ok(())
    }
    fn serialize_u64(self, v: u64) -> Result<(), Error> {
        self.number(v);
        Ok(())
    }
    fn serialize_f64(self, v: f64) -> Result<(), Error> {
        write_float(&mut self.0.text, v);
        Ok(())
    }
    fn serialize_str(self, v: &str) -> Result<(), Error> {
        if std::mem::take(&mut self.0.canonical) {
            self.0.text.push_str(v);
        } else {
            write_string(&mut self.0.text, v);
        }
        Ok(())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.0.canonical = name == CANONICAL;
        value.serialize(self)
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<(), Error> {
        let mut list = self.list("]");
        for byte in v {
            list.push(byte)?;
        }
        list.close()
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.0.text.push_str("null");
        Ok(())
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let Text(out) = self.variant(variant);
        value.serialize(Text(out))?;
        out.text.push('}');
        Ok(())
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, Error> {
        Ok(self.list("]"))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Error> {
        Ok(self.variant(variant).list("]}"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a>, Error> {
        Ok(self.members(""))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'a>, Error> {
        Ok(self.variant(variant).members("}"))
    }
}

list_of_items! { [] List<'_>, Error, push, close }

impl SerializeTupleVariant for List<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.push(value)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let start = self.next();
        let name = key.serialize(Key(&mut self.out.text))?;
        self.begin(name, start);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.known(name);
        self.value(value)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeStructVariant for Members<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.known(name);
        self.value(value)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

/// Writes the name of a member: text, and what JSON writes as text there.
struct Key<'a>(&'a mut String);

macro_rules! displayed {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, v: $type) -> Result<Name, Error> {
            self.serialize_str(&v.to_string())
        }
    )*};
}

macro_rules! refused {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$ok, Error> {
            Err(Error::custom("the name of a member must be text"))
        }
    )*};
}

impl Serializer for Key<'_> {
    type Ok = Name;
    type Error = Error;
    type SerializeSeq = Impossible<Name, Error>;
    type SerializeTuple = Impossible<Name, Error>;
    type SerializeTupleStruct = Impossible<Name, Error>;
    type SerializeTupleVariant = Impossible<Name, Error>;
    type SerializeMap = Impossible<Name, Error>;
    type SerializeStruct = Impossible<Name, Error>;
    type SerializeStructVariant = Impossible<Name, Error>;

    displayed! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_char: char
    }
    fn serialize_str(self, v: &str) -> Result<Name, Error> {
        let start = self.0.len() + 1;
        write_string(self.0, v);
        let end = self.0.len() - 1;
        Ok(if end - start == v.len() { Name::Written(start, end) } else { Name::Other(v.to_owned()) })
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Name, Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, v: &T) -> Result<Name, Error> {
        v.serialize(self)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Name, Error> {
        Err(Error::custom("the name of a member must be text"))
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Name, Error> {
        Err(Error::custom("the name of a member must be text"))
    }
    refused! {
        serialize_f32(f32) -> Name;
        serialize_f64(f64) -> Name;
        serialize_bytes(&[u8]) -> Name;
        serialize_none() -> Name;
        serialize_unit() -> Name;
        serialize_unit_struct(&'static str) -> Name;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}
