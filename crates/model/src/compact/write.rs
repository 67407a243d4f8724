//! Writes compact JSON.

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{Error, REMEMBERED_BYTES_MIN, REMEMBERED_MAX, tag, words};

/// The document of anything that serializes to JSON.
pub fn to_vec<T: Serialize + ?Sized>(thing: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(256);
    write(&mut bytes, thing)?;
    Ok(bytes)
}

/// Appends the document of anything that serializes to JSON.
pub fn write<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, thing: &T) -> Result<(), Error> {
    thing.serialize(&mut Writer { bytes, remembered: Vec::new() })
}

/// A document that is being written.
struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where each remembered item begins, and how long it is.
    remembered: Vec<(u32, u32)>,
}

impl Writer<'_> {
    fn whole(&mut self, number: u64) {
        match u8::try_from(number) {
            Ok(small) if small < 32 => self.bytes.push(tag::SMALL + small),
            _ => {
                self.bytes.push(tag::WHOLE);
                self.leb128(number);
            }
        }
    }

    fn leb128(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    fn signed(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.whole(number),
            Err(_) => {
                self.bytes.push(tag::NEGATIVE);
                self.leb128((!number).cast_unsigned());
            }
        }
    }

    fn text(&mut self, text: &str) {
        match parted(text) {
            Some(parts) => {
                self.bytes.push(tag::JOINED);
                parts.into_iter().for_each(|part| self.plain(part));
            }
            None => self.plain(text),
        }
    }

    /// A word, or a text in one piece.
    fn plain(&mut self, text: &str) {
        match words::index_of(text) {
            Some(index) if index < 128 => return self.bytes.push(tag::COMMON + index),
            Some(index) => return self.bytes.extend_from_slice(&[tag::WORD, index - 128]),
            None => {}
        }
        let start = self.bytes.len();
        if let Some(digest) = digest_in(text) {
            self.bytes.push(tag::DIGEST);
            self.bytes.extend_from_slice(&digest);
        } else if let Some(uuid) = uuid_in(text) {
            self.bytes.push(tag::UUID);
            self.bytes.extend_from_slice(&uuid);
        } else {
            match u8::try_from(text.len()) {
                Ok(short) if short < 64 => self.bytes.push(tag::SHORT + short),
                _ => {
                    self.bytes.push(tag::TEXT);
                    self.leb128(text.len() as u64);
                }
            }
            self.bytes.extend_from_slice(text.as_bytes());
        }
        self.remember(start);
    }

    /// Replaces the item that was written last by a reference when it was written before, and remembers it otherwise.
    fn remember(&mut self, start: usize) {
        let length = self.bytes.len() - start;
        if length < REMEMBERED_BYTES_MIN {
            return;
        }
        let (before, item) = self.bytes.split_at(start);
        let same = |&(at, size): &(u32, u32)| {
            size as usize == length && before.get(at as usize..at as usize + length) == Some(item)
        };
        match self.remembered.iter().position(same).and_then(|number| u8::try_from(number).ok()) {
            Some(number) => {
                self.bytes.truncate(start);
                self.bytes.extend_from_slice(&[tag::AGAIN, number]);
            }
            None if self.remembered.len() < REMEMBERED_MAX => {
                // Beyond 4 GiB nothing is found again, and both sides still count alike.
                let at = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                self.remembered.push((at(start), at(length)));
            }
            None => {}
        }
    }
}

/// A text with a UUID in it as what is before, the UUID and what is after: ids of things are made so.
fn parted(text: &str) -> Option<[&str; 3]> {
    if text.len() <= 37 || text.len() > 256 {
        return None;
    }
    let slash = text.find('/')? + 1;
    let (before, rest) = text.split_at(slash);
    let (uuid, after) = rest.split_at_checked(36)?;
    ((after.is_empty() || after.starts_with('/')) && uuid_in(uuid).is_some()).then_some([before, uuid, after])
}

fn digest_in(text: &str) -> Option<[u8; 32]> {
    if text.len() != 71 {
        return None;
    }
    lower_hex(text.strip_prefix("sha256:")?.as_bytes())
}

fn uuid_in(text: &str) -> Option<[u8; 16]> {
    let bytes: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if [8, 13, 18, 23].iter().any(|at| bytes[*at] != b'-') {
        return None;
    }
    let mut digits = [0; 32];
    let mut next = digits.iter_mut();
    for (at, byte) in bytes.iter().enumerate() {
        if ![8, 13, 18, 23].contains(&at)
            && let Some(digit) = next.next()
        {
            *digit = *byte;
        }
    }
    lower_hex(&digits)
}

fn lower_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // Bits 4 to 7 of a value are set when its digit is none.
    let mut wrong = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
        wrong |= high | low;
        *byte = (high << 4) | (low & 0x0f);
    }
    (wrong & 0xf0 == 0).then_some(bytes)
}

/// Values of lower-case hexadecimal digits.
static HEX: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit.to_le_bytes()[0];
        digit += 1;
    }
    values
};

impl<'b> Serializer for &mut Writer<'b> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Nested<Self>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Nested<Self>;

    fn serialize_bool(self, v: bool) -> Result<(), Error> {
        self.bytes.push(if v { tag::TRUE } else { tag::FALSE });
        Ok(())
    }
    fn serialize_i8(self, v: i8) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }
    fn serialize_i16(self, v: i16) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }
    fn serialize_i32(self, v: i32) -> Result<(), Error> {
        self.serialize_i64(v.into())
    }
    fn serialize_i64(self, v: i64) -> Result<(), Error> {
        self.signed(v);
        Ok(())
    }
    fn serialize_u8(self, v: u8) -> Result<(), Error> {
        self.serialize_u64(v.into())
    }
    fn serialize_u16(self, v: u16) -> Result<(), Error> {
        self.serialize_u64(v.into())
    }
    fn serialize_u32(self, v: u32) -> Result<(), Error> {
        self.serialize_u64(v.into())
    }
    fn serialize_u64(self, v: u64) -> Result<(), Error> {
        self.whole(v);
        Ok(())
    }
    fn serialize_f32(self, v: f32) -> Result<(), Error> {
        self.serialize_f64(v.into())
    }
    /// JSON has no number for infinity: it is `null` there and here.
    fn serialize_f64(self, v: f64) -> Result<(), Error> {
        if v.is_finite() {
            self.bytes.push(tag::DOUBLE);
            self.bytes.extend_from_slice(&v.to_le_bytes());
        } else {
            self.bytes.push(tag::NULL);
        }
        Ok(())
    }
    fn serialize_char(self, v: char) -> Result<(), Error> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, v: &str) -> Result<(), Error> {
        self.text(v);
        Ok(())
    }
    /// A list of numbers, as in JSON.
    fn serialize_bytes(self, v: &[u8]) -> Result<(), Error> {
        self.bytes.push(tag::LIST);
        v.iter().for_each(|byte| self.whole(u64::from(*byte)));
        self.bytes.push(tag::END);
        Ok(())
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.bytes.push(tag::NULL);
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.bytes.push(tag::OBJECT);
        self.text(variant);
        value.serialize(&mut *self)?;
        self.bytes.push(tag::END);
        Ok(())
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Error> {
        self.bytes.push(tag::LIST);
        Ok(self)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        self.serialize_seq(None)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        self.serialize_seq(None)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Nested<Self>, Error> {
        self.bytes.push(tag::OBJECT);
        self.text(variant);
        self.bytes.push(tag::LIST);
        Ok(Nested(self))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        self.bytes.push(tag::OBJECT);
        Ok(self)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        self.serialize_map(None)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Nested<Self>, Error> {
        self.bytes.push(tag::OBJECT);
        self.text(variant);
        self.bytes.push(tag::OBJECT);
        Ok(Nested(self))
    }
}

/// A list or object that is the one member of an object.
struct Nested<W>(W);

impl SerializeSeq for &mut Writer<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), Error> {
        self.bytes.push(tag::END);
        Ok(())
    }
}

impl SerializeTuple for &mut Writer<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleStruct for &mut Writer<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeTupleVariant for Nested<&mut Writer<'_>> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.0)
    }
    fn end(self) -> Result<(), Error> {
        self.0.bytes.extend_from_slice(&[tag::END, tag::END]);
        Ok(())
    }
}

impl SerializeMap for &mut Writer<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let at = self.bytes.len();
        key.serialize(&mut **self)?;
        match self.bytes.get(at) {
            Some(
                &(tag::TEXT | tag::WORD | tag::DIGEST | tag::UUID | tag::AGAIN | tag::JOINED | tag::SHORT..),
            ) => Ok(()),
            _ => Err(Error::Shape("the name of a member must be text".to_owned())),
        }
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeStruct for &mut Writer<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.text(name);
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), Error> {
        SerializeSeq::end(self)
    }
}

impl SerializeStructVariant for Nested<&mut Writer<'_>> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.0.text(name);
        value.serialize(&mut *self.0)
    }
    fn end(self) -> Result<(), Error> {
        self.0.bytes.extend_from_slice(&[tag::END, tag::END]);
        Ok(())
    }
}
