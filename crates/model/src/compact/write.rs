//! Writes compact JSON.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeStruct, SerializeStructVariant, SerializeTupleVariant, Serializer};

use super::{Error, REMEMBERED_BYTES_MIN, REMEMBERED_MAX, tag, words};
use crate::forward::{forward_to_json, list_of_items};

/// The document of anything that serializes to JSON.
pub fn to_vec<T: Serialize + ?Sized>(thing: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(256);
    write(&mut bytes, thing)?;
    Ok(bytes)
}

/// Appends the document of anything that serializes to JSON.
pub fn write<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, thing: &T) -> Result<(), Error> {
    thing.serialize(&mut Writer { bytes, remembered: Vec::with_capacity(32), bare: false })
}

/// Bytes that two things have in common exactly when they have the same document: to find again what was seen before,
/// not to be stored. Texts are written as they are, which is several times faster.
pub fn likeness<T: Serialize + ?Sized>(thing: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(1024);
    thing.serialize(&mut Writer { bytes: &mut bytes, remembered: Vec::new(), bare: true })?;
    Ok(bytes)
}

/// A document that is being written.
struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    /// How long each remembered item is with its first bytes, and where it begins.
    remembered: Vec<(u64, u32)>,
    /// No words, no references: see [`likeness`].
    bare: bool,
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
        if self.bare {
            self.bytes.push(tag::TEXT);
            self.leb128(text.len() as u64);
            return self.bytes.extend_from_slice(text.as_bytes());
        }
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
        let Some(first) = item.first_chunk::<REMEMBERED_BYTES_MIN>() else { return };
        // Beyond 4 GiB nothing is found again, and both sides still count alike.
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let key = u64::from(short(length)) << 32 | u64::from(u32::from_le_bytes(*first));
        let same = |&(known, at): &(u64, u32)| {
            known == key && before.get(at as usize..(at as usize).saturating_add(length)) == Some(item)
        };
        match self.remembered.iter().position(same).and_then(|number| u8::try_from(number).ok()) {
            Some(number) => {
                self.bytes.truncate(start);
                self.bytes.extend_from_slice(&[tag::AGAIN, number]);
            }
            None if self.remembered.len() < REMEMBERED_MAX => self.remembered.push((key, short(start))),
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
    digits[..8].copy_from_slice(&bytes[..8]);
    digits[8..12].copy_from_slice(&bytes[9..13]);
    digits[12..16].copy_from_slice(&bytes[14..18]);
    digits[16..20].copy_from_slice(&bytes[19..23]);
    digits[20..].copy_from_slice(&bytes[24..]);
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

    forward_to_json! { (), Error, Self, Self }

    fn serialize_bool(self, v: bool) -> Result<(), Error> {
        self.bytes.push(if v { tag::TRUE } else { tag::FALSE });
        Ok(())
    }
    fn serialize_i64(self, v: i64) -> Result<(), Error> {
        self.signed(v);
        Ok(())
    }
    fn serialize_u64(self, v: u64) -> Result<(), Error> {
        self.whole(v);
        Ok(())
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
    fn serialize_unit(self) -> Result<(), Error> {
        self.bytes.push(tag::NULL);
        Ok(())
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

impl Writer<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the end of a list or object, as serde asks for it")]
    fn close(&mut self) -> Result<(), Error> {
        self.bytes.push(tag::END);
        Ok(())
    }
}

list_of_items! { ['b, 'w] &'w mut Writer<'b>, Error, item, close }

/// A list or object that is the one member of an object.
struct Nested<W>(W);

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
        self.close()
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
        self.close()
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
