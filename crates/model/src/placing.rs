//! How an execution stands in line with others: its priority, its key, and the limit that it waits for.

use serde::{Deserialize, Serialize};

/// How urgent something is. Inside a tenant only: nobody's urgency takes another tenant's share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Whenever there is room.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// Before everything else of its tenant.
    Critical,
}

impl Priority {
    /// Every priority, least urgent first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The priority by its name, or by a number from 1 (critical) to 5 (low; 3 and 4 are normal).
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "low" | "5" => Some(Self::Low),
            "normal" | "3" | "4" => Some(Self::Normal),
            "high" | "2" => Some(Self::High),
            "critical" | "1" => Some(Self::Critical),
            _ => None,
        }
    }

    /// Its name, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// By how much what comes later may overtake it, in milliseconds: a place in line is the moment of arrival plus
    /// this. What waits grows older and its place does not change, so nothing starves.
    pub fn patience_ms(self) -> i64 {
        match self {
            Self::Critical => 0,
            Self::High => 5_000,
            Self::Normal => 30_000,
            Self::Low => 120_000,
        }
    }
}

/// How an execution stands in line with others.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Placing {
    /// How urgent it is.
    #[serde(default, skip_serializing_if = "is_normal")]
    pub priority: Priority,
    /// What limits by key count it under: the value of its workflow's `omnihub.concurrencyKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The limit that made it wait when it was accepted: it began with `released`, and not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<String>,
}

impl Placing {
    /// True when it says nothing that is not so anyhow.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde calls")]
fn is_normal(priority: &Priority) -> bool {
    *priority == Priority::Normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_name_a_priority() {
        for priority in Priority::ALL {
            assert_eq!(Priority::parse(priority.name()), Some(priority));
        }
        let numbers: Vec<_> = ["1", "2", "3", "4", "5"].into_iter().filter_map(Priority::parse).collect();
        assert_eq!(
            numbers,
            [Priority::Critical, Priority::High, Priority::Normal, Priority::Normal, Priority::Low]
        );
        assert_eq!([Priority::parse("0"), Priority::parse("urgent")], [None, None]);
    }

    #[test]
    fn the_more_urgent_is_never_more_patient() {
        assert!(Priority::ALL.windows(2).all(|pair| pair[0].patience_ms() > pair[1].patience_ms()));
    }

    #[test]
    fn the_usual_is_not_written() {
        let usual = Placing::default();
        assert_eq!(serde_json::to_string(&usual).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Placing>("{}").unwrap(), usual);
    }
}
