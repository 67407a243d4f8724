//! Large payloads: out of the history into the blob store, and back before a replay.

use model::effect::Answer;
use model::event::{Event, EventBody};
use model::{Problem, TenantId, Value};

use crate::app::{App, store_problem};

/// Payloads above this size go to the blob store, in bytes of JSON.
const INLINE_BYTES_MAX: usize = 64 * 1024;

impl App {
    /// Moves large payloads of an event to the blob store.
    pub(crate) async fn offload(&self, tenant: &TenantId, event: &mut Event) -> Result<(), Problem> {
        match &mut event.body {
            EventBody::EffectAnswered { answer, .. } => {
                if let Answer::Done { output } = answer
                    && weighs_more(output, INLINE_BYTES_MAX)
                {
                    *answer = Answer::Stored { digest: self.put_blob(tenant, output).await? };
                }
            }
            EventBody::Started(started) if weighs_more(&started.input, INLINE_BYTES_MAX) => {
                started.input_blob = Some(self.put_blob(tenant, &started.input).await?);
                started.input = Value::NULL;
            }
            _ => {}
        }
        Ok(())
    }

    async fn put_blob(&self, tenant: &TenantId, value: &Value) -> Result<model::Digest, Problem> {
        let bytes = serde_json::to_vec(value).map_err(Problem::machine)?;
        self.store.put_blob(tenant, bytes).await.map_err(|e| store_problem(&e))
    }

    /// Puts large payloads back.
    pub(crate) async fn inflate(&self, tenant: &TenantId, event: &mut Event) -> Result<(), Problem> {
        match &mut event.body {
            EventBody::EffectAnswered { answer, .. } => {
                if let Answer::Stored { digest } = answer {
                    *answer = Answer::Done { output: self.read_blob(tenant, digest).await? };
                }
            }
            EventBody::Started(started) => {
                if let Some(digest) = started.input_blob.take() {
                    started.input = self.read_blob(tenant, &digest).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn read_blob(&self, tenant: &TenantId, digest: &model::Digest) -> Result<Value, Problem> {
        let bytes = self.store.blob(tenant, digest).await.map_err(|e| store_problem(&e))?;
        let bytes = bytes.ok_or_else(|| Problem::machine(format!("the blob {digest} is gone")))?;
        serde_json::from_slice(&bytes).map_err(Problem::machine)
    }
}

/// True when the JSON of a value is larger than `bytes`; stops counting as soon as that is known.
fn weighs_more(value: &Value, bytes: usize) -> bool {
    fn weigh(value: &Value, left: &mut usize) -> bool {
        use model::Data;
        let own = match &value.data {
            Data::String(s) => s.len() + 2,
            Data::Null | Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::Array(_) | Data::Object(_) => {
                8
            }
        };
        if own > *left {
            return true;
        }
        *left -= own;
        match &value.data {
            Data::Array(items) => items.iter().any(|v| weigh(v, left)),
            Data::Object(map) => map.iter().any(|(k, v)| {
                *left = left.saturating_sub(k.len() + 3);
                weigh(v, left)
            }),
            _ => false,
        }
    }
    weigh(value, &mut { bytes })
}
