//! Large payloads: out of the history into the blob store, and back before a replay.

use model::effect::Answer;
use model::event::{Event, EventBody, KeptEffects};
use model::{Problem, TenantId, Value};

use crate::app::{App, store_problem};

/// Payloads above this size go to the blob store, in bytes of JSON.
pub(crate) const INLINE_BYTES_MAX: usize = 64 * 1024;

impl App {
    /// Moves large payloads of an event to the blob store.
    pub(crate) async fn offload(&self, tenant: &TenantId, event: &mut Event) -> Result<(), Problem> {
        match &mut event.body {
            EventBody::EffectAnswered { answer, .. } => {
                if let Answer::Child(end) = answer
                    && let Some(output) = end.output.take_if(|output| weighs_more(output, INLINE_BYTES_MAX))
                {
                    end.output_blob = Some(self.put_blob(tenant, &output).await?);
                }
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
            EventBody::Resolved(resolved) => {
                if let Some(output) = resolved.output.take_if(|output| weighs_more(output, INLINE_BYTES_MAX))
                {
                    resolved.output_blob = Some(self.put_blob(tenant, &output).await?);
                }
            }
            EventBody::Rewound(rewound) => {
                self.offload_kept(tenant, &mut rewound.kept).await?;
                if let Some(input) = &mut rewound.input
                    && weighs_more(&input.value, INLINE_BYTES_MAX)
                {
                    input.blob = Some(self.put_blob(tenant, &input.value).await?);
                    input.value = Value::NULL;
                }
            }
            EventBody::Forked(forked) => {
                self.offload_kept(tenant, &mut forked.kept).await?;
                for event in &mut forked.events {
                    Box::pin(self.offload(tenant, event)).await?;
                }
                forked.events_blob = self.offload_list(tenant, &mut forked.events).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn offload_kept(&self, tenant: &TenantId, kept: &mut KeptEffects) -> Result<(), Problem> {
        kept.blob = self.offload_list(tenant, &mut kept.list).await?;
        Ok(())
    }

    async fn inflate_kept(&self, tenant: &TenantId, kept: &mut KeptEffects) -> Result<(), Problem> {
        if let Some(digest) = kept.blob.take() {
            kept.list = self.read_blob(tenant, &digest).await?;
        }
        Ok(())
    }

    /// Moves a list whose JSON is too large for the history to the blob store.
    async fn offload_list<T: serde::Serialize>(
        &self,
        tenant: &TenantId,
        list: &mut Vec<T>,
    ) -> Result<Option<model::Digest>, Problem> {
        let bytes = serde_json::to_vec(&list).map_err(Problem::machine)?;
        if bytes.len() <= INLINE_BYTES_MAX {
            return Ok(None);
        }
        list.clear();
        self.store.put_blob(tenant, bytes).await.map(Some).map_err(|e| store_problem(&e))
    }

    async fn put_blob(&self, tenant: &TenantId, value: &Value) -> Result<model::Digest, Problem> {
        let bytes = serde_json::to_vec(value).map_err(Problem::machine)?;
        self.store.put_blob(tenant, bytes).await.map_err(|e| store_problem(&e))
    }

    /// Puts large payloads back.
    pub(crate) async fn inflate(&self, tenant: &TenantId, event: &mut Event) -> Result<(), Problem> {
        match &mut event.body {
            EventBody::EffectAnswered { answer, .. } => {
                if let Answer::Child(end) = answer
                    && let Some(digest) = end.output_blob.take()
                {
                    end.output = Some(self.read_blob(tenant, &digest).await?);
                }
                if let Answer::Stored { digest } = answer {
                    *answer = Answer::Done { output: self.read_blob(tenant, digest).await? };
                }
            }
            EventBody::Started(started) => {
                if let Some(digest) = started.input_blob.take() {
                    started.input = self.read_blob(tenant, &digest).await?;
                }
            }
            EventBody::Resolved(resolved) => {
                if let Some(digest) = resolved.output_blob.take() {
                    resolved.output = Some(self.read_blob(tenant, &digest).await?);
                }
            }
            EventBody::Rewound(rewound) => {
                self.inflate_kept(tenant, &mut rewound.kept).await?;
                if let Some(input) = &mut rewound.input
                    && let Some(digest) = input.blob.take()
                {
                    input.value = self.read_blob(tenant, &digest).await?;
                }
            }
            EventBody::Forked(forked) => {
                self.inflate_kept(tenant, &mut forked.kept).await?;
                if let Some(digest) = forked.events_blob.take() {
                    forked.events = self.read_blob(tenant, &digest).await?;
                }
                for event in &mut forked.events {
                    Box::pin(self.inflate(tenant, event)).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn read_blob<T: serde::de::DeserializeOwned>(
        &self,
        tenant: &TenantId,
        digest: &model::Digest,
    ) -> Result<T, Problem> {
        let bytes = self.store.blob(tenant, digest).await.map_err(|e| store_problem(&e))?;
        let bytes = bytes.ok_or_else(|| Problem::machine(format!("the blob {digest} is gone")))?;
        serde_json::from_slice(&bytes).map_err(Problem::machine)
    }
}

/// True when something of an event may have to go to the blob store.
pub(crate) fn may_be_large(event: &Event) -> bool {
    match &event.body {
        EventBody::EffectAnswered { answer, .. } => match answer {
            Answer::Done { output } => weighs_more(output, INLINE_BYTES_MAX),
            Answer::Child(_) => true,
            Answer::Stored { .. } | Answer::Refused { .. } | Answer::Lost { .. } => false,
        },
        EventBody::Started(started) => weighs_more(&started.input, INLINE_BYTES_MAX),
        EventBody::Resolved(_) | EventBody::Rewound(_) | EventBody::Forked(_) => true,
        _ => false,
    }
}

/// True when the JSON of a value is larger than `bytes`; stops counting as soon as that is known.
pub(crate) fn weighs_more(value: &Value, bytes: usize) -> bool {
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
