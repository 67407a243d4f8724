//! A workload on the store that has something of everything, the same for the same seed; one audit leaf each step.

use std::sync::Arc;

use audit::{Classification, Record};
use model::event::EventBody;
use model::id::{DeadLetterId, TokenId};
use model::{Clock, Digest, Event, ExecutionId, TenantId, Timestamp};
use serde_json::json;
use store::{Batch, CommitError, ExecutionRow, Put, Store, StoreError};

use crate::dice::Dice;
use crate::reading::Known;

/// Executions that the steps go to.
const EXECUTIONS: u64 = 8;
/// Names that documents, answers and so on have.
const NAMES: u64 = 6;

/// A clock that stands still.
#[derive(Debug)]
pub struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000)
    }
}

/// Makes one step after the other.
#[derive(Debug)]
pub struct Workload {
    dice: Dice,
    tenant: TenantId,
    lengths: Vec<u64>,
    step: i64,
}

impl Workload {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        let tenant = TenantId::new("acme").expect("a literal identifier is valid");
        Self { dice: Dice::new(seed), tenant, lengths: vec![0; EXECUTIONS as usize], step: 0 }
    }

    /// What any step may have touched.
    pub fn known(&self) -> Known {
        let mut known = Known::default();
        known.tenants.insert(self.tenant.clone());
        for n in 0..EXECUTIONS {
            known.executions.insert((self.tenant.clone(), execution(n)));
        }
        for n in 0..NAMES {
            known.documents.insert((self.tenant.clone(), "policy".to_owned(), format!("d{n}")));
            known.documents.insert((self.tenant.clone(), "blob".to_owned(), format!("b{n}")));
            known.letters.insert((self.tenant.clone(), letter(n)));
            known.tokens.insert(token(n));
            known.answers.insert((self.tenant.clone(), format!("a{n}")));
            known.secrets.insert((self.tenant.clone(), format!("s{n}")));
        }
        known
    }

    /// Does the next step; answers the blob that it kept, if any.
    ///
    /// # Errors
    /// What the store said; the step may or may not be durable then.
    pub async fn step(&mut self, store: &Arc<dyn Store>) -> Result<Option<Digest>, Refused> {
        let place = self.dice.index(self.lengths.len());
        let id = execution(place as u64);
        let before = self.lengths[place];
        let count = 1 + self.dice.below(3);
        let mut puts = vec![Put::Execution(Arc::new(self.row(&id)))];
        let mut blob = None;
        for _ in 0..=self.dice.below(3) {
            let name = self.dice.below(NAMES);
            let put = match self.dice.below(9) {
                8 => {
                    let bytes = self.noise(70_000);
                    let digest = store.put_blob(&self.tenant, bytes).await?;
                    blob = Some(digest);
                    self.document("blob", &format!("b{name}"), json!(hex::encode(digest.0)))
                }
                _ => self.put(store, &id, before + count, name)?,
            };
            puts.push(put);
        }
        self.step += 1;
        let events = (0..count).map(|_| Event { at: Timestamp(self.step), body: EventBody::Woke }).collect();
        let batch = Batch {
            events: Some((self.tenant.clone(), id.clone(), before, events)),
            puts,
            records: vec![self.record(&id)],
            ..Batch::default()
        };
        let answer = store.commit(vec![batch]).await.pop();
        answer.unwrap_or_else(|| Err(CommitError::Failed("no answer".to_owned())))?;
        self.lengths[place] += count;
        Ok(blob)
    }

    fn put(
        &mut self,
        store: &Arc<dyn Store>,
        id: &ExecutionId,
        version: u64,
        name: u64,
    ) -> Result<Put, StoreError> {
        let tenant = self.tenant.clone();
        let number = self.dice.roll();
        Ok(match self.dice.below(8) {
            0 => {
                let length = self.dice.below(5000);
                Put::Snapshot { tenant, execution: id.clone(), version, bytes: self.noise(length) }
            }
            1 => Put::Remove { tenant, kind: "policy".to_owned(), key: format!("d{name}") },
            2 => Put::DeadLetter {
                tenant,
                id: letter(name),
                open: number.is_multiple_of(2),
                document: json!(number),
            },
            3 => Put::Answer {
                tenant,
                key: format!("a{name}"),
                expires_at: Timestamp(i64::MAX),
                document: json!({"status": number}),
            },
            4 => Put::Token { id: token(name), tenant, document: json!({"hash": number}) },
            5 => {
                let sealed = store.seal_secret(&tenant, &format!("s{name}"), &json!(number))?;
                Put::Secret { tenant, name: format!("s{name}"), sealed }
            }
            _ => {
                let length = 1 + self.dice.below(2000);
                let text = hex::encode(self.noise(length));
                self.document("policy", &format!("d{name}"), json!({"number": number, "text": text}))
            }
        })
    }

    fn document(&self, kind: &str, key: &str, document: serde_json::Value) -> Put {
        Put::Document { tenant: self.tenant.clone(), kind: kind.to_owned(), key: key.to_owned(), document }
    }

    fn noise(&mut self, length: u64) -> Vec<u8> {
        (0..length.div_ceil(8)).flat_map(|_| self.dice.roll().to_le_bytes()).collect()
    }

    fn row(&mut self, id: &ExecutionId) -> ExecutionRow {
        let status = ["pending", "running", "waiting", "completed"][self.dice.index(4)];
        ExecutionRow {
            tenant: self.tenant.clone(),
            id: id.clone(),
            namespace: "shop".to_owned(),
            name: "refund".to_owned(),
            version: "1.0.0".to_owned(),
            status: status.to_owned(),
            outcome: (status == "completed").then(|| "verified".to_owned()),
            blocked_on: (status == "waiting").then(|| "timer".to_owned()),
            requester: "ada".to_owned(),
            intent: Some(format!("refund order {}", self.dice.below(100))),
            error: None,
            started_at: Timestamp(1_000),
            updated_at: Timestamp(self.step),
            ended_at: None,
            parent: None,
            due_at: (status == "waiting").then(|| Timestamp(self.step + 10)),
        }
    }

    fn record(&self, id: &ExecutionId) -> Record {
        Record {
            at: Timestamp(self.step),
            tenant: self.tenant.clone(),
            actor: "ada".to_owned(),
            actor_kind: "user".to_owned(),
            action: "effect.judged".to_owned(),
            resource: format!("executions/{id}"),
            correlation: id.to_string(),
            classification: Classification::Internal,
            address: None,
            agent: None,
            details: json!({"step": self.step}),
        }
    }
}

/// Why a step was refused.
#[derive(Debug)]
pub enum Refused {
    /// By a commit.
    Commit(CommitError),
    /// By something else.
    Store(StoreError),
}

impl From<CommitError> for Refused {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn execution(number: u64) -> ExecutionId {
    ExecutionId::new(format!("e{number}")).expect("a literal identifier is valid")
}

fn letter(number: u64) -> DeadLetterId {
    DeadLetterId::new(format!("letter-{number}")).expect("a literal identifier is valid")
}

fn token(number: u64) -> TokenId {
    TokenId::new(format!("token-{number}")).expect("a literal identifier is valid")
}
