//! How the values of parameters are written (RFC 6570 as OpenAPI uses it).

use model::{Data, Value};

use super::operation::At;

/// How a list or an object is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// `a,b`
    Simple,
    /// `.a.b`
    Label,
    /// `;name=a;name=b`
    Matrix,
    /// `name=a&name=b`
    Form,
    /// `name=a%20b`
    SpaceDelimited,
    /// `name=a%7Cb`
    PipeDelimited,
    /// `name=a%09b` (2.0 only)
    TabDelimited,
    /// `name[member]=a`
    DeepObject,
}

impl Style {
    /// The style of a place when none is written.
    pub fn default_of(at: At) -> Self {
        match at {
            At::Path | At::Header => Self::Simple,
            At::Query | At::Cookie => Self::Form,
        }
    }

    /// A style by its name, where it is allowed.
    pub fn named(name: &str, at: At) -> Option<Self> {
        Some(match (name, at) {
            ("simple", At::Path | At::Header) => Self::Simple,
            ("label", At::Path) => Self::Label,
            ("matrix", At::Path) => Self::Matrix,
            ("form", At::Query | At::Cookie) => Self::Form,
            ("spaceDelimited", At::Query) => Self::SpaceDelimited,
            ("pipeDelimited", At::Query) => Self::PipeDelimited,
            ("deepObject", At::Query) => Self::DeepObject,
            _ => return None,
        })
    }
}

/// How a text is made safe for its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// Everything but unreserved characters.
    All,
    /// Reserved characters stay, but for those that would end the value.
    Reserved,
    /// As it is: headers.
    None,
}

impl Escape {
    pub(super) fn apply(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            let kept = byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'.' | b'_' | b'~')
                || self == Self::None
                || (self == Self::Reserved && b":/?@!$'()*,;".contains(&byte));
            if kept && byte.is_ascii() {
                out.push(char::from(byte));
            } else if self == Self::None {
                // Headers are bytes; what is not ASCII is checked by the door.
                return text.to_owned();
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }
}

/// What a value is made of, as texts.
pub(super) enum Parts {
    One(String),
    List(Vec<String>),
    Members(Vec<(String, String)>),
}

/// A number, truth value or text as text; none for anything else.
pub(super) fn word(value: &Value) -> Option<String> {
    match &value.data {
        Data::String(text) => Some(text.to_string()),
        Data::Bool(_) | Data::Int(_) | Data::Float(_) => Some(model::canonical::canonical(value)),
        Data::Null | Data::Array(_) | Data::Object(_) => None,
    }
}

/// The parts of a value; the error names the part that is nested too deep to be written.
pub(super) fn parts(value: &Value) -> Result<Parts, String> {
    let inner = |value: &Value, name: &str| {
        word(value)
            .ok_or_else(|| format!("`{name}` is a {} and must be text, a number or a boolean", value.kind()))
    };
    Ok(match &value.data {
        Data::Array(items) => Parts::List(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| inner(item, &index.to_string()))
                .collect::<Result<_, _>>()?,
        ),
        Data::Object(members) => Parts::Members(
            members
                .iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(name, member)| Ok((name.to_string(), inner(member, name)?)))
                .collect::<Result<_, String>>()?,
        ),
        _ => Parts::One(word(value).unwrap_or_default()),
    })
}

/// `name=value` pairs of a query, a form or a cookie, escaped.
pub(super) fn pairs(
    name: &str,
    parts: Parts,
    style: Style,
    explode: bool,
    escape: Escape,
) -> Result<Vec<String>, String> {
    let key = Escape::All.apply(name);
    let safe = |text: &str| escape.apply(text);
    let joined =
        |texts: Vec<String>, by: &str| texts.iter().map(|text| safe(text)).collect::<Vec<_>>().join(by);
    let flat = |members: Vec<(String, String)>| {
        members.into_iter().flat_map(|(name, value)| [name, value]).collect()
    };
    let by = match style {
        Style::SpaceDelimited => "%20",
        Style::PipeDelimited => "%7C",
        Style::TabDelimited => "%09",
        Style::Form | Style::Simple | Style::Label | Style::Matrix | Style::DeepObject => ",",
    };
    Ok(match (parts, style) {
        (Parts::Members(members), Style::DeepObject) => members
            .iter()
            .map(|(member, value)| format!("{key}%5B{}%5D={}", Escape::All.apply(member), safe(value)))
            .collect(),
        (Parts::One(_) | Parts::List(_), Style::DeepObject) => {
            return Err("it must be an object, since its style is `deepObject`".to_owned());
        }
        (Parts::One(value), _) => vec![format!("{key}={}", safe(&value))],
        (Parts::List(items), _) if explode => {
            items.iter().map(|item| format!("{key}={}", safe(item))).collect()
        }
        (Parts::List(items), _) => vec![format!("{key}={}", joined(items, by))],
        (Parts::Members(members), _) if explode => members
            .iter()
            .map(|(name, value)| format!("{}={}", Escape::All.apply(name), safe(value)))
            .collect(),
        (Parts::Members(members), _) => vec![format!("{key}={}", joined(flat(members), by))],
    })
}

/// A value in a path or a header, escaped.
pub(super) fn inline(name: &str, parts: Parts, style: Style, explode: bool, escape: Escape) -> String {
    let safe = |text: &str| escape.apply(text);
    let assigned = |members: &[(String, String)], by: &str| {
        members
            .iter()
            .map(|(name, value)| format!("{}={}", safe(name), safe(value)))
            .collect::<Vec<_>>()
            .join(by)
    };
    let texts: Vec<String> = match &parts {
        Parts::One(value) => vec![safe(value)],
        Parts::List(items) => items.iter().map(|item| safe(item)).collect(),
        Parts::Members(members) => {
            members.iter().flat_map(|(name, value)| [safe(name), safe(value)]).collect()
        }
    };
    match (style, &parts) {
        (Style::Label, Parts::Members(members)) if explode => format!(".{}", assigned(members, ".")),
        (Style::Label, _) if explode => format!(".{}", texts.join(".")),
        (Style::Label, _) => format!(".{}", texts.join(",")),
        (Style::Matrix, Parts::Members(members)) if explode => format!(";{}", assigned(members, ";")),
        (Style::Matrix, Parts::List(_)) if explode => {
            texts.iter().map(|text| format!(";{}={text}", safe(name))).collect()
        }
        (Style::Matrix, Parts::One(value)) if value.is_empty() => format!(";{}", safe(name)),
        (Style::Matrix, _) => format!(";{}={}", safe(name), texts.join(",")),
        (_, Parts::Members(members)) if explode => assigned(members, ","),
        _ => texts.join(","),
    }
}
