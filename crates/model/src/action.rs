//! Actions and their contracts: the only trusted source about what an action does outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name and version of an action in the catalogue, written `refund-create:1.0.0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActionRef {
    /// The action's name: letters, digits and hyphens.
    pub name: String,
    /// Semantic version.
    pub version: String,
}

impl fmt::Display for ActionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

impl FromStr for ActionRef {
    type Err = String;

    /// Reads `name:version` or `name:version@default`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not an action: write `name:version`, for example `refund-create:1.0.0`");
        let bare = text.strip_suffix("@default").unwrap_or(text);
        let (name, version) = bare.split_once(':').ok_or_else(wrong)?;
        let name_fine = !name.is_empty()
            && name.len() <= 63
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        let core = version.split(['-', '+']).next().unwrap_or_default();
        let parts: Vec<&str> = core.split('.').collect();
        let version_fine = version.len() <= 64
            && parts.len() == 3
            && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
            && version.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'));
        if name_fine && version_fine {
            Ok(Self { name: name.to_owned(), version: version.to_owned() })
        } else {
            Err(wrong())
        }
    }
}

impl From<ActionRef> for String {
    fn from(action: ActionRef) -> String {
        action.to_string()
    }
}

impl TryFrom<String> for ActionRef {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What an action does to the outside, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectKind {
    /// Looks.
    Read,
    /// Changes or creates.
    Write,
    /// Removes.
    Delete,
    /// Moves money.
    Money,
    /// Changes who may do what.
    Permission,
}

impl EffectKind {
    /// The word, as contracts write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Money => "money",
            Self::Permission => "permission",
        }
    }
}

/// What a crash, a time-out or a lost answer means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectClass {
    /// Touches nothing outside: repeat.
    Pure,
    /// Looks only: repeat.
    Read,
    /// Knows its key: repeat with the same key.
    Idempotent,
    /// Can be asked whether it happened: probe, then repeat or go on.
    Probeable,
    /// Can be undone.
    Compensable,
    /// Can be neither repeated, asked nor undone: a human decides.
    Irreversible,
}

impl EffectClass {
    /// The word, as contracts write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Probeable => "probeable",
            Self::Compensable => "compensable",
            Self::Irreversible => "irreversible",
        }
    }
}

/// How much one use of the action can touch.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlastRadius {
    /// For example `customer`, `tenant`, `everyone`.
    #[serde(default)]
    pub scope: String,
    /// How many units at the most.
    #[serde(default)]
    pub max: u64,
    /// What is counted.
    #[serde(default)]
    pub unit: String,
}

/// What the catalogue promises about an action. Expressions are text here; `dsl` compiles them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// What it does to the outside.
    pub effect: EffectKind,
    /// What a crash in the middle means.
    pub class: EffectClass,
    /// How much it can touch.
    #[serde(default)]
    pub blast_radius: BlastRadius,
    /// Classes of data it handles, for example `personal`, `card`.
    #[serde(default)]
    pub data: Vec<String>,
    /// The name of the argument that holds the amount of money, and its currency, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<AmountFields>,
    /// Which arguments decide who receives money, data or rights (JSON Pointers into the arguments).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// True when a person reviewed the contract and put it in the catalogue; false for inline calls.
    #[serde(default)]
    pub reviewed: bool,
    /// Retries of transient failures at the most (3 by default).
    #[serde(default = "retries_default")]
    pub retries_max: u32,
    /// Hosts the action may connect to, as `host` or `host:port`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// True when the contract says how the outcome is verified.
    #[serde(default)]
    pub verified: bool,
    /// The action that undoes this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<ActionRef>,
    /// What one use costs, when it costs something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<ContractCost>,
    /// The header that carries the fencing token, for outside systems that refuse older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_header: Option<String>,
}

/// The price of one use of an action.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractCost {
    /// Millionths of the currency's unit: whole numbers add up exactly.
    pub micros: u64,
    /// ISO 4217 code.
    pub currency: String,
}

impl ContractCost {
    /// Reads a decimal amount with at most six digits behind the point, and a currency of three capital letters.
    pub fn read(amount: &str, currency: &str) -> Option<Self> {
        let (whole, rest) = amount.split_once('.').unwrap_or((amount, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let fine = !whole.is_empty()
            && whole.len() <= 12
            && rest.len() <= 6
            && digits(whole)
            && digits(rest)
            && currency.len() == 3
            && currency.bytes().all(|b| b.is_ascii_uppercase());
        let micros = fine.then(|| format!("{whole}{rest:0<6}").parse().ok()).flatten()?;
        Some(Self { micros, currency: currency.to_owned() })
    }

    /// Millionths as a decimal number, without needless zeros.
    pub fn decimal(micros: u64) -> String {
        let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

fn retries_default() -> u32 {
    3
}

/// Which arguments say how much money moves (JSON Pointers into the arguments).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountFields {
    /// Pointer to the number, for example `/amount`.
    pub value: String,
    /// Pointer to the ISO 4217 code, for example `/currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl Contract {
    /// What is assumed of a call that nobody reviewed: reads are reads, anything else is an irreversible write.
    pub fn unreviewed(kind: EffectKind) -> Self {
        Self {
            effect: kind,
            class: if kind == EffectKind::Read { EffectClass::Read } else { EffectClass::Irreversible },
            blast_radius: BlastRadius::default(),
            data: Vec::new(),
            amount: None,
            recipients: Vec::new(),
            reviewed: false,
            retries_max: retries_default(),
            hosts: Vec::new(),
            verified: false,
            compensate: None,
            cost: None,
            fencing_header: None,
        }
    }

    /// What holds for a sandboxed program: no network, a fresh directory, so nothing outside changes.
    pub fn sandboxed() -> Self {
        Self { class: EffectClass::Pure, ..Self::unreviewed(EffectKind::Read) }
    }

    /// What holds for running another workflow: that by itself touches nothing outside, and each effect of the execution is
    /// judged on its own. What it did can be undone as a whole when somebody waits for its end.
    pub fn execution(waits: bool) -> Self {
        let class = if waits { EffectClass::Compensable } else { EffectClass::Idempotent };
        let blast_radius =
            BlastRadius { scope: "execution".to_owned(), max: 1, unit: "execution".to_owned() };
        Self { class, blast_radius, reviewed: true, verified: true, ..Self::unreviewed(EffectKind::Write) }
    }

    /// What holds for declassification and for asking people: nothing outside changes, and the language itself says what it does.
    pub fn declassify() -> Self {
        Self { reviewed: true, ..Self::sandboxed() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_exact() {
        let micros = |amount: &str| ContractCost::read(amount, "EUR").map(|cost| cost.micros);
        for (amount, wanted) in [
            ("0", Some(0)),
            ("1", Some(1_000_000)),
            ("0.1", Some(100_000)),
            ("12.000001", Some(12_000_001)),
            ("0.0000001", None),
            ("-1", None),
            ("1e3", None),
            ("", None),
            (".5", None),
            ("1,5", None),
            ("9999999999999", None),
        ] {
            assert_eq!(micros(amount), wanted, "{amount}");
        }
        assert!(ContractCost::read("1", "eur").is_none() && ContractCost::read("1", "EURO").is_none());
        for (micros, text) in [(0, "0"), (100_000, "0.1"), (12_000_001, "12.000001"), (3_000_000, "3")] {
            assert_eq!(ContractCost::decimal(micros), text);
        }
    }
}
