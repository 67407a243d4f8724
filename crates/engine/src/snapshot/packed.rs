//! Values with their labels, compactly: plain JSON, and beside it the labels of its nodes.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Data, Label, Value};
use serde::{Deserialize, Serialize};

/// A value that keeps its labels and its exact numbers in JSON. Nodes are counted in the order of the document.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Packed {
    /// The plain JSON.
    #[serde(rename = "v")]
    value: Value,
    /// Runs of nodes with the same label: the label, and how many nodes.
    #[serde(rename = "l")]
    labels: Vec<(u8, u64)>,
    /// Numbers that are not whole, as their 64 bits: JSON text is not exact, and does not know all of them.
    #[serde(default, rename = "f", skip_serializing_if = "Vec::is_empty")]
    floats: Vec<u64>,
    /// Which nodes these are.
    #[serde(default, rename = "at", skip_serializing_if = "Vec::is_empty")]
    floats_at: Vec<u64>,
}

impl Packed {
    fn pack(value: &Value) -> Self {
        let mut packed =
            Self { value: value.clone(), labels: Vec::new(), floats: Vec::new(), floats_at: Vec::new() };
        packed.note(value, &mut 0);
        packed
    }

    fn note(&mut self, value: &Value, node: &mut u64) {
        match self.labels.last_mut() {
            Some((label, count)) if *label == value.label.0 => *count += 1,
            _ => self.labels.push((value.label.0, 1)),
        }
        if let Data::Float(float) = value.data {
            self.floats.push(float.to_bits());
            self.floats_at.push(*node);
        }
        *node += 1;
        match &value.data {
            Data::Array(items) => items.iter().for_each(|item| self.note(item, node)),
            Data::Object(map) => map.values().for_each(|member| self.note(member, node)),
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::String(_) => {}
        }
    }

    /// The value; none when labels and nodes do not fit each other.
    fn unpack(&self) -> Option<Value> {
        let mut left = Left {
            labels: self.labels.iter().copied(),
            run: (0, 0),
            floats: self.floats_at.iter().copied().zip(self.floats.iter().copied()).peekable(),
            node: 0,
        };
        let value = left.take(&self.value)?;
        (left.run.1 == 0 && left.labels.next().is_none() && left.floats.next().is_none()).then_some(value)
    }
}

/// What of the labels and numbers is left while a value is put together.
struct Left<L, F: Iterator<Item = (u64, u64)>> {
    labels: L,
    run: (u8, u64),
    floats: std::iter::Peekable<F>,
    node: u64,
}

impl<L: Iterator<Item = (u8, u64)>, F: Iterator<Item = (u64, u64)>> Left<L, F> {
    fn take(&mut self, plain: &Value) -> Option<Value> {
        if self.run.1 == 0 {
            self.run = self.labels.next()?;
        }
        self.run.1 = self.run.1.checked_sub(1)?;
        let label = Label(self.run.0);
        let float = self.floats.next_if(|(at, _)| *at == self.node);
        self.node += 1;
        let data = match (&plain.data, float) {
            (Data::Null | Data::Float(_), Some((_, bits))) => Data::Float(f64::from_bits(bits)),
            (_, Some(_)) => return None,
            (Data::Array(items), None) => {
                Data::Array(Arc::new(items.iter().map(|item| self.take(item)).collect::<Option<_>>()?))
            }
            (Data::Object(map), None) => {
                let members = map.iter().map(|(name, member)| Some((Arc::clone(name), self.take(member)?)));
                Data::Object(Arc::new(members.collect::<Option<_>>()?))
            }
            (other, None) => other.clone(),
        };
        Some(Value { data, label })
    }
}

/// Values by number. What is shared in memory is written once, and shared again when it is read.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) values: Vec<Packed>,
    /// Looked up by address, never walked: the order of addresses is not visible.
    seen: HashMap<(usize, u8), usize>,
}

impl Pool {
    /// The number of a value. The value must live as long as the pool.
    pub(crate) fn put(&mut self, value: &Value) -> usize {
        let address = match &value.data {
            Data::String(text) => Some(Arc::as_ptr(text).cast::<u8>().addr()),
            Data::Array(items) => Some(Arc::as_ptr(items).addr()),
            Data::Object(map) => Some(Arc::as_ptr(map).addr()),
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) => None,
        };
        let key = address.map(|address| (address, value.label.0));
        if let Some(number) = key.and_then(|key| self.seen.get(&key)) {
            return *number;
        }
        let number = self.values.len();
        self.values.push(Packed::pack(value));
        if let Some(key) = key {
            self.seen.insert(key, number);
        }
        number
    }
}

/// All values of a pool; the error is the number of the one that makes no sense.
pub(crate) fn unpacked(values: &[Packed]) -> Result<Vec<Value>, usize> {
    values.iter().enumerate().map(|(number, packed)| packed.unpack().ok_or(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(value: &Value) -> Value {
        let text = serde_json::to_string(&Packed::pack(value)).expect("it is JSON");
        let packed: Packed = serde_json::from_str(&text).expect("it is read back");
        packed.unpack().expect("it makes sense")
    }

    #[test]
    fn labels_and_numbers_come_back_exactly() {
        let float = |f: f64| Value::labelled(Data::Float(f), Label::EXTERNAL);
        let values = [
            Value::NULL,
            Value::labelled(Data::Null, Label::MODEL),
            Value::object([
                ("b", Value::string("x")),
                ("a", Value::labelled(Data::Int(i64::MIN), Label::CALLER)),
            ]),
            Value::array([Value::array([]), Value::object::<&str>([]), Value::NULL])
                .with_label_everywhere(Label::INTENT),
            Value::array([
                float(0.1 + 0.2),
                float(1.0),
                float(-0.0),
                float(f64::NAN),
                float(f64::INFINITY),
                float(5e-324),
            ]),
            float(f64::NEG_INFINITY),
        ];
        for value in values {
            assert_eq!(format!("{value:?}"), format!("{:?}", round(&value)));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in [
            r#"{"v":[1],"l":[[0,1]]}"#,
            r#"{"v":1,"l":[[0,2]]}"#,
            r#"{"v":1,"l":[[0,1]],"f":[0],"at":[0]}"#,
            r#"{"v":null,"l":[]}"#,
        ] {
            let packed: Packed = serde_json::from_str(text).expect("it is JSON");
            assert!(packed.unpack().is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_shared_is_written_once() {
        let shared = Value::string("long");
        let mut pool = Pool::default();
        let same = shared.clone();
        let other = shared.with_label_everywhere(Label::MODEL);
        assert_eq!([pool.put(&shared), pool.put(&same), pool.put(&other)], [0, 0, 1]);
    }
}
