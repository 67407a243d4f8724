//! One audit record: what a leaf says.

use serde::{Deserialize, Serialize};

use model::{ExecutionId, TenantId, Timestamp, compact};

/// How widely a record may be shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Classification {
    /// Anyone.
    Public,
    /// The organisation.
    #[default]
    Internal,
    /// Those who need it.
    Confidential,
    /// Those who are named.
    Restricted,
}

/// Days for which a record is kept.
pub const RETENTION_DAYS: u32 = 2555;

/// A decision, effect, approval, control change or administrative act. What a leaf's bytes
/// are made of says [`leaf_bytes`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: TenantId,
    /// Who: a principal's id.
    pub actor: String,
    /// What sort of actor: `user`, `service`, `agent`, `system`.
    pub actor_kind: String,
    /// What was done, dotted: `effect.judged`, `effect.permitted`, `effect.answered`, `outcome.settled`,
    /// `approval.requested`, `approval.approved`, `control.set`, `workflow.published`, `egress.connected`, …
    pub action: String,
    /// On what: `executions/<id>/effects/<n>`, `controls/kill-switch`, …
    pub resource: String,
    /// Ties together what belongs together: the execution's id, or the request's id.
    pub correlation: String,
    /// How widely it may be shown.
    #[serde(default)]
    pub classification: Classification,
    /// Network address of the caller, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// User agent of the caller, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Everything else, redacted.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
}

/// A record that is written where it is told: as [`Record`], borrowed, with details of any shape.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Entry<'a, D> {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: &'a TenantId,
    /// Who: a principal's id.
    pub actor: &'a str,
    /// What sort of actor.
    pub actor_kind: &'a str,
    /// What was done, dotted.
    pub action: &'a str,
    /// On what.
    pub resource: &'a str,
    /// Ties together what belongs together.
    pub correlation: &'a str,
    /// How widely it may be shown.
    pub classification: Classification,
    /// Network address of the caller, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<&'a str>,
    /// User agent of the caller, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<&'a str>,
    /// Everything else, redacted; an object.
    pub details: &'a D,
}

/// A leaf, all but its sequence number, which is only known when it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Whose.
    pub tenant: TenantId,
    /// What it is found by.
    pub correlation: Correlation,
    /// As [`leaf_bytes`] makes them, with the sequence number 0.
    pub bytes: Vec<u8>,
}

/// What a leaf is found by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Correlation {
    /// An execution.
    Execution(ExecutionId),
    /// A request.
    Other(String),
}

impl Correlation {
    /// As the record says it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Execution(id) => id.as_str(),
            Self::Other(text) => text,
        }
    }
}

impl<D: Serialize> Entry<'_, D> {
    /// Its leaf; `execution` is what its correlation says.
    ///
    /// Fails only when the details cannot be written as JSON.
    pub fn leaf(&self, execution: &ExecutionId) -> Result<Leaf, compact::Error> {
        let bytes = bytes_of(0, self)?;
        Ok(Leaf {
            tenant: self.tenant.clone(),
            correlation: Correlation::Execution(execution.clone()),
            bytes,
        })
    }
}

impl Record {
    /// Its leaf.
    ///
    /// Fails only when the details cannot be written as JSON.
    pub fn leaf(&self) -> Result<Leaf, compact::Error> {
        Ok(Leaf {
            tenant: self.tenant.clone(),
            correlation: Correlation::Other(self.correlation.clone()),
            bytes: leaf_bytes(0, self)?,
        })
    }
}

/// Bytes of the sequence number that a leaf begins with.
pub const SEQUENCE_BYTES: usize = 8;

/// The byte behind the sequence number, when the record follows as compact JSON (see [`model::compact`]). Leaves that were
/// written until version 0.1 have JSON text there, which begins with `{`.
const COMPACT: u8 = 2;

/// The bytes of a leaf: the sequence number as 8 big-endian bytes, a 2, then the record as compact JSON.
///
/// Fails only when the record's details cannot be written as JSON.
pub fn leaf_bytes(sequence: u64, record: &Record) -> Result<Vec<u8>, compact::Error> {
    bytes_of(sequence, record)
}

fn bytes_of(sequence: u64, record: &impl Serialize) -> Result<Vec<u8>, compact::Error> {
    let mut bytes = Vec::with_capacity(384);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.push(COMPACT);
    compact::write(&mut bytes, record)?;
    Ok(bytes)
}

/// The sequence number and the record that a leaf's bytes hold; none when they are not a leaf.
pub fn read_leaf(bytes: &[u8]) -> Option<(u64, Record)> {
    let (sequence, body) = bytes.split_first_chunk::<SEQUENCE_BYTES>()?;
    let record = match body.split_first()? {
        (&COMPACT, document) => compact::from_slice(document).ok()?,
        _ => serde_json::from_slice(body).ok()?,
    };
    Some((u64::from_be_bytes(*sequence), record))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_the_record_that_it_borrows() {
        let execution = ExecutionId::new("01936b2a-7c3d-7000-8000-000000000000").expect("an identifier");
        for (address, agent) in [(None, None), (Some("127.0.0.1"), Some("curl"))] {
            let record = Record {
                at: Timestamp(5),
                tenant: TenantId::new("acme").expect("an identifier"),
                actor: "user:ada".into(),
                actor_kind: "user".into(),
                action: "effect.permitted".into(),
                resource: format!("executions/{execution}/effects/1"),
                correlation: execution.to_string(),
                classification: Classification::Internal,
                address: address.map(str::to_owned),
                agent: agent.map(str::to_owned),
                details: json!({"attempt": 1, "approval": null}),
            };
            let entry = Entry {
                at: record.at,
                tenant: &record.tenant,
                actor: &record.actor,
                actor_kind: &record.actor_kind,
                action: &record.action,
                resource: &record.resource,
                correlation: &record.correlation,
                classification: record.classification,
                address,
                agent,
                details: &record.details,
            };
            let (leaf, whole) =
                (entry.leaf(&execution).expect("is written"), record.leaf().expect("is written"));
            assert_eq!(leaf.bytes, whole.bytes);
            assert_eq!(leaf.correlation.as_str(), whole.correlation.as_str());
            assert_eq!(read_leaf(&leaf.bytes), Some((0, record)));
        }
    }
}
