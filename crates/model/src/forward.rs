//! What every serializer of this crate does alike: small numbers are large ones, a character is text, `Some(x)` is `x`,
//! a tuple is a list and a struct is an object.

/// The methods of a `Serializer` that hand on to another one. `$seq` and `$map` are what lists and objects become.
macro_rules! forward_to_json {
    (@number $ok:ty, $error:ty, $($method:ident: $type:ty => $to:ident),*) => {$(
        fn $method(self, v: $type) -> Result<$ok, $error> {
            self.$to(v.into())
        }
    )*};
    ($ok:ty, $error:ty, $seq:ty, $map:ty) => {
        forward_to_json! { @number $ok, $error,
            serialize_i8: i8 => serialize_i64, serialize_i16: i16 => serialize_i64, serialize_i32: i32 => serialize_i64,
            serialize_u8: u8 => serialize_u64, serialize_u16: u16 => serialize_u64, serialize_u32: u32 => serialize_u64,
            serialize_f32: f32 => serialize_f64
        }
        fn serialize_char(self, v: char) -> Result<$ok, $error> {
            self.serialize_str(v.encode_utf8(&mut [0; 4]))
        }
        fn serialize_none(self) -> Result<$ok, $error> {
            self.serialize_unit()
        }
        fn serialize_some<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<$ok, $error> {
            value.serialize(self)
        }
        fn serialize_unit_struct(self, _: &'static str) -> Result<$ok, $error> {
            self.serialize_unit()
        }
        fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<$ok, $error> {
            self.serialize_str(variant)
        }
        fn serialize_tuple(self, length: usize) -> Result<$seq, $error> {
            self.serialize_seq(Some(length))
        }
        fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<$seq, $error> {
            self.serialize_seq(Some(length))
        }
        fn serialize_struct(self, _: &'static str, length: usize) -> Result<$map, $error> {
            self.serialize_map(Some(length))
        }
    };
}

/// Lists of every kind: each item by `$push`, the end by `$close`.
macro_rules! list_of_items {
    ([$($generics:lifetime),*] $type:ty, $error:ty, $push:ident, $close:ident) => {
        list_of_items! { @one [$($generics),*] $type, $error, SerializeSeq, serialize_element, $push, $close }
        list_of_items! { @one [$($generics),*] $type, $error, SerializeTuple, serialize_element, $push, $close }
        list_of_items! { @one [$($generics),*] $type, $error, SerializeTupleStruct, serialize_field, $push, $close }
    };
    (@one [$($generics:lifetime),*] $type:ty, $error:ty, $trait:ident, $method:ident, $push:ident, $close:ident) => {
        impl<$($generics),*> serde::ser::$trait for $type {
            type Ok = ();
            type Error = $error;
            fn $method<T: serde::Serialize + ?Sized>(&mut self, value: &T) -> Result<(), $error> {
                self.$push(value)
            }
            fn end(self) -> Result<(), $error> {
                self.$close()
            }
        }
    };
}

pub(crate) use {forward_to_json, list_of_items};
