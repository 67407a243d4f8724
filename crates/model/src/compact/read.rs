//! Reads compact JSON.

use std::borrow::Cow;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

use super::{DEPTH_MAX, Error, REMEMBERED_BYTES_MIN, REMEMBERED_MAX, tag, words};

/// What a document holds.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut reader = Reader { bytes, at: 0, depth: 0, remembered: Vec::new() };
    let thing = T::deserialize(&mut reader)?;
    if reader.at == bytes.len() { Ok(thing) } else { Err(Error::Length(reader.at)) }
}

/// The same document as plain JSON.
pub fn transcode(bytes: &[u8]) -> Result<serde_json::Value, Error> {
    from_slice(bytes)
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
    remembered: Vec<Cow<'de, str>>,
}

impl<'de> Reader<'de> {
    fn take(&mut self, length: usize) -> Result<&'de [u8], Error> {
        let end = self.at.checked_add(length).ok_or(Error::Length(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(Error::Length(self.at))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| Error::Length(at))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    fn peek(&self) -> Result<u8, Error> {
        self.bytes.get(self.at).copied().ok_or(Error::Length(self.at))
    }

    fn leb128(&mut self) -> Result<u64, Error> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Error::Shape("a number of more than 64 bits".to_owned()))
    }

    /// A text whose first byte is read already.
    fn text(&mut self, first: u8) -> Result<Cow<'de, str>, Error> {
        let start = self.at - 1;
        let text = match first {
            tag::COMMON.. => return word(first - tag::COMMON, start),
            tag::WORD => return word(self.byte()?.checked_add(128).ok_or(Error::Text(start))?, start),
            tag::AGAIN => {
                let number = usize::from(self.byte()?);
                return self.remembered.get(number).cloned().ok_or(Error::Text(start));
            }
            tag::JOINED => return self.joined(),
            tag::SHORT..tag::COMMON => self.utf8(usize::from(first - tag::SHORT))?,
            tag::TEXT => {
                let length = self.leb128()?;
                self.utf8(usize::try_from(length).map_err(|_| Error::Length(start))?)?
            }
            tag::DIGEST => Cow::Owned(super::super::canonical::Digest(self.array()?).to_string()),
            tag::UUID => Cow::Owned(uuid::Uuid::from_bytes(self.array()?).hyphenated().to_string()),
            other => return Err(Error::Tag(other, start)),
        };
        if self.at - start >= REMEMBERED_BYTES_MIN && self.remembered.len() < REMEMBERED_MAX {
            self.remembered.push(text.clone());
        }
        Ok(text)
    }

    /// Three texts, none of which is itself joined.
    fn joined(&mut self) -> Result<Cow<'de, str>, Error> {
        let mut whole = String::new();
        for _ in 0..3 {
            match self.byte()? {
                tag::JOINED => return Err(Error::Tag(tag::JOINED, self.at - 1)),
                first => whole.push_str(&self.text(first)?),
            }
        }
        Ok(Cow::Owned(whole))
    }

    fn utf8(&mut self, length: usize) -> Result<Cow<'de, str>, Error> {
        let at = self.at;
        std::str::from_utf8(self.take(length)?).map(Cow::Borrowed).map_err(|_| Error::Text(at))
    }

    /// Something between its begin, which is read already, and its end.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::Depth);
        }
        self.depth += 1;
        let thing = read(self)?;
        self.depth -= 1;
        match self.byte()? {
            tag::END => Ok(thing),
            other => Err(Error::Tag(other, self.at - 1)),
        }
    }
}

fn word<'de>(index: u8, at: usize) -> Result<Cow<'de, str>, Error> {
    words::WORDS.get(usize::from(index)).map(|word| Cow::Borrowed(*word)).ok_or(Error::Text(at))
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.byte()? {
            tag::NULL => visitor.visit_unit(),
            tag::FALSE => visitor.visit_bool(false),
            tag::TRUE => visitor.visit_bool(true),
            tag::WHOLE => visitor.visit_u64(self.leb128()?),
            tag::NEGATIVE => {
                let number = self.leb128()?.cast_signed();
                if number < 0 {
                    return Err(Error::Shape("a number below −2⁶³".to_owned()));
                }
                visitor.visit_i64(!number)
            }
            tag::DOUBLE => visitor.visit_f64(f64::from_le_bytes(self.array()?)),
            tag::LIST => self.nested(|reader| visitor.visit_seq(Members(reader))),
            tag::OBJECT => self.nested(|reader| visitor.visit_map(Members(reader))),
            small @ tag::SMALL..tag::SHORT => visitor.visit_u64(u64::from(small - tag::SMALL)),
            first => match self.text(first)? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek()? == tag::NULL {
            self.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.byte()? {
            tag::OBJECT => self.nested(|reader| visitor.visit_enum(Variant(reader))),
            first => {
                let name = self.text(first)?;
                visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(&*name))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

/// The members of a list or object, up to its end.
struct Members<'a, 'de>(&'a mut Reader<'de>);

impl<'de> SeqAccess<'de> for Members<'_, 'de> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.0.peek()? == tag::END {
            return Ok(None);
        }
        seed.deserialize(&mut *self.0).map(Some)
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.0.peek()? {
            tag::END => Ok(None),
            tag::TEXT..=tag::UUID | tag::AGAIN | tag::JOINED | tag::SHORT.. => {
                seed.deserialize(&mut *self.0).map(Some)
            }
            other => Err(Error::Tag(other, self.0.at)),
        }
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.0)
    }
}

/// An enum's variant with what it holds: an object of one member.
struct Variant<'a, 'de>(&'a mut Reader<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(&mut *self.0)?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    fn unit_variant(self) -> Result<(), Error> {
        <()>::deserialize(self.0)
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.0)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.0.deserialize_any(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_any(visitor)
    }
}
