//! JSON that means one thing only: no duplicate members, bounded nesting, numbers that can be held exactly.

use std::fmt;

use model::Problem;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

use super::problem::Refusal;

/// Nesting at the most.
pub(crate) const DEPTH_MAX: usize = 64;
/// Whole numbers beyond this lose digits as doubles, so they must be sent as text.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Reads a body into a type: 400 OH-4000 for text that is not strict JSON, 422 OH-4220 for the wrong shape. Both name the field.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::of(malformed("the body is not UTF-8")))?;
    shape(parse(text)?)
}

/// Reads strict JSON text.
pub(crate) fn parse(text: &str) -> Result<Json, Refusal> {
    let mut wrong: Option<(String, String)> = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut place = Place { pointer: String::new(), depth: 0, wrong: &mut wrong };
    let json = place.seed().deserialize(&mut reader).and_then(|json| reader.end().map(|()| json));
    match (json, wrong) {
        (Ok(json), _) => Ok(json),
        (Err(_), Some((field, message))) => {
            Err(malformed(format!("the body is refused at `{field}`: {message}"))
                .field(field, message)
                .into())
        }
        (Err(error), None) => Err(malformed(format!("the body is not JSON: {error}")).into()),
    }
}

/// Makes a typed value of JSON; refusals name the field.
pub(crate) fn shape<T: DeserializeOwned>(json: Json) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let mut field = pointer(error.path());
        let message = error.inner().to_string();
        // Both are found at the object that has the wrong member; callers want the member.
        for beginning in ["unknown field `", "missing field `"] {
            if let Some(name) = message.strip_prefix(beginning).and_then(|rest| rest.split('`').next()) {
                let mut member = String::new();
                push(&mut member, name);
                if !field.ends_with(&member) {
                    field.push_str(&member);
                }
            }
        }
        let detail = format!("the body is refused at `{field}`: {message}");
        Refusal::of(Problem::new(422, 4220, "wrong shape", detail).field(field, message))
    })
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(400, 4000, "malformed body", detail)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut out, &index.to_string()),
            Segment::Map { key } => push(&mut out, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    out
}

fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    // A name in an answer is shortened: it came from outside and may be as long as a body.
    for c in name.chars().take(128) {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// Where the reader is, and the first thing that is wrong.
struct Place<'a> {
    pointer: String,
    depth: usize,
    wrong: &'a mut Option<(String, String)>,
}

struct Seed<'p, 'a>(&'p mut Place<'a>);

impl<'a> Place<'a> {
    fn seed(&mut self) -> Seed<'_, 'a> {
        Seed(self)
    }

    fn refuse<E: serde::de::Error>(&mut self, message: impl Into<String>) -> E {
        let message = message.into();
        let error = E::custom(&message);
        self.wrong.get_or_insert((self.pointer.clone(), message));
        error
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth >= DEPTH_MAX {
            return Err(self.refuse(format!("nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Json, E> {
        i64::try_from(value)
            .map(Json::from)
            .map_err(|_| self.0.refuse("the number is out of range; send it as text"))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        // `-0` comes as a double, too, and is exact.
        if value.abs() > EXACT_MAX && value.fract() == 0.0 {
            return Err(self.0.refuse("the number cannot be held exactly; send it as text"));
        }
        Number::from_f64(value).map(Json::Number).ok_or_else(|| self.0.refuse("the number is out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Json, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Json, E> {
        if value.contains('\0') {
            Err(self.0.refuse("text must not hold NUL"))
        } else {
            Ok(Json::String(value))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let place = self.0;
        place.enter()?;
        let length = place.pointer.len();
        let mut items = Vec::new();
        loop {
            push(&mut place.pointer, &items.len().to_string());
            let item = access.next_element_seed(place.seed())?;
            place.pointer.truncate(length);
            match item {
                Some(item) => items.push(item),
                None => break,
            }
        }
        place.depth -= 1;
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let place = self.0;
        place.enter()?;
        let length = place.pointer.len();
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            push(&mut place.pointer, &name);
            if members.contains_key(&name) {
                return Err(place.refuse("the member is given twice"));
            }
            if name.contains('\0') {
                return Err(place.refuse("a name must not hold NUL"));
            }
            let value = access.next_value_seed(place.seed())?;
            place.pointer.truncate(length);
            members.insert(name, value);
        }
        place.depth -= 1;
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Order {
        id: String,
        #[serde(default)]
        lines: Vec<Line>,
    }

    #[derive(Debug, serde::Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Line {
        count: u32,
    }

    fn refused(text: &[u8]) -> (u16, String) {
        let problem = read::<Order>(text).unwrap_err().0;
        (problem.status, problem.fields.first().map(|f| f.field.clone()).unwrap_or_default())
    }

    #[test]
    fn good_bodies_are_read() {
        let order = read::<Order>(br#"{"id":"a","lines":[{"count":2}]}"#).unwrap();
        assert_eq!(order, Order { id: "a".into(), lines: vec![Line { count: 2 }] });
        for text in ["-0", "1e3", "9007199254740992", "0.1", "[]", "\"\\ud83d\\ude00\""] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_refusal_names_its_field() {
        let cases: [(&[u8], u16, &str); 13] = [
            (br#"{"id":1}"#, 422, "/id"),
            (br#"{}"#, 422, "/id"),
            (br#"{"id":"a","x/y":1}"#, 422, "/x~1y"),
            (br#"{"id":"a","lines":[{"count":1},{"count":-1}]}"#, 422, "/lines/1/count"),
            (br#"{"id":"a","lines":[{"count":1,"z":1}]}"#, 422, "/lines/0/z"),
            (br#"{"id":"a","lines":[{}]}"#, 422, "/lines/0/count"),
            (br#"{"id":"a","id":"b"}"#, 400, "/id"),
            (br#"{"id":"a","lines":[{"count":1,"count":1}]}"#, 400, "/lines/0/count"),
            (br#"{"id":"a\u0000"}"#, 400, "/id"),
            (br#"{"id":18446744073709551615}"#, 400, "/id"),
            (br#"{"id":123456789012345678901234567890}"#, 400, "/id"),
            (b"[]", 422, ""),
            (b"\"text\"", 422, ""),
        ];
        for (text, status, field) in cases {
            assert_eq!(refused(text), (status, field.to_owned()), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        let very_deep = "[".repeat(100_000);
        let cases: [&[u8]; 12] = [
            b"",
            b"{",
            b"{\"id\":}",
            b"{} {}",
            b"nul",
            b"{'id':1}",
            b"\xff\xfe",
            b"\"\\ud800\"",
            b"1e999",
            b"NaN",
            deep.as_bytes(),
            very_deep.as_bytes(),
        ];
        for text in cases {
            assert_eq!(refused(text).0, 400, "{}", String::from_utf8_lossy(&text[..text.len().min(40)]));
        }
    }

    #[test]
    fn nesting_up_to_the_limit_is_read() {
        assert!(parse(&format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX))).is_ok());
    }
}
