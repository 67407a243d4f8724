//! What risk and policy say about one effect.

use serde::{Deserialize, Serialize};

use crate::canonical::Digest;

/// How much could go wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Score 0–24.
    Low,
    /// Score 25–49.
    Medium,
    /// Score 50–74.
    High,
    /// Score 75–100.
    Critical,
}

impl RiskLevel {
    /// The level of a score of 0 to 100.
    pub fn of(score: u8) -> Self {
        match score {
            0..=24 => Self::Low,
            25..=49 => Self::Medium,
            50..=74 => Self::High,
            _ => Self::Critical,
        }
    }

    /// The word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A score with the factors that made it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Risk {
    /// 0 to 100.
    pub score: u8,
    /// The score's level.
    pub level: RiskLevel,
    /// Each factor with its points, largest first.
    pub factors: Vec<RiskFactor>,
}

/// One reason for a score.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RiskFactor {
    /// For example `money`, `irreversible`, `untrusted-argument`.
    pub name: String,
    /// Points added (or taken away).
    pub points: i16,
    /// Why, in a sentence.
    pub reason: String,
}

/// What policy decided about one effect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum Decision {
    /// It may happen.
    Allow,
    /// It may not.
    Deny,
    /// It may when people agree.
    RequireApproval(Quorum),
}

/// How many people must agree, and who.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quorum {
    /// Approvals needed, at least 1.
    pub approvers: u32,
    /// Roles that may approve; a principal with any of them may.
    pub roles: Vec<String>,
}

/// A decision with its reasons and what it was decided by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// What was decided.
    pub decision: Decision,
    /// Why, for people: rule names or sentences.
    pub reasons: Vec<String>,
    /// The digest of the policy bundle that decided.
    pub policy: Digest,
    /// The risk that policy saw.
    pub risk: Risk,
}
