//! Takes events in: from outside, and from workflows that publish them.

use std::sync::Arc;

use engine::Execution;
use guard::filter::{self, InputLimits};
use model::principal::Permission;
use model::{Digest, ExecutionId, Label, Problem, Timestamp, Value};
use serde::Serialize;
use serde_json::{Value as Json, json};
use store::{Batch, Put};

use super::keep::KEPT_FOR;
use super::{KIND, KeptEvent};
use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::family::mail::{Message, What};
use crate::goals::refuse_filtered;
use crate::record;
use crate::view::PageOf;

/// Events of one request at the most.
const BATCH_MAX: usize = 100;
/// Bytes of a text attribute at the most.
const ATTRIBUTE_BYTES_MAX: usize = 512;
/// Attributes of an event at the most.
const ATTRIBUTES_MAX: usize = 50;
/// What messages about events are addressed to: they are delivered one after the other, as they came.
const EVERYBODY: &str = "events";

/// An event that was taken in.
#[derive(Debug, Clone, Serialize)]
pub struct EventAccepted {
    /// Its source.
    pub source: String,
    /// Its id.
    pub id: String,
    /// True when it had come before: nothing was changed.
    pub repeated: bool,
}

/// An event from outside that is to be committed.
struct ToCommit {
    accepted: EventAccepted,
    /// The key that it is known by for as long as it is kept.
    known: String,
    batch: Batch,
    message: Message,
}

impl App {
    /// Takes events in, in order: each is durable when this answers, and brought to those who listen for it.
    pub async fn publish_events(
        self: &Arc<Self>,
        caller: &Caller,
        events: Vec<Json>,
    ) -> Result<Vec<EventAccepted>, Problem> {
        caller.demand(Permission::SubmitGoal)?;
        if events.is_empty() || events.len() > BATCH_MAX {
            return Err(refused("", &format!("send 1 to {BATCH_MAX} events at once")));
        }
        let label = caller.principal.label();
        for (position, event) in events.iter().enumerate() {
            check(event).map_err(|(field, detail)| refused(&format!("/{position}{field}"), &detail))?;
            let data = Value::from_json(event, label);
            refuse_filtered(&filter::check_input(&data, &InputLimits::default()), &format!("/{position}"))?;
        }
        self.take_events_in(caller, events, label).await
    }

    /// All in one commit, in which each stands for itself: what came before is told so, and everything else is durable.
    async fn take_events_in(
        self: &Arc<Self>,
        caller: &Caller,
        events: Vec<Json>,
        label: Label,
    ) -> Result<Vec<EventAccepted>, Problem> {
        let now = self.clock.now();
        let tenant = &caller.principal.tenant;
        let mut room = self.room_for_events(tenant).await?;
        let scarce = room < events.len() as u64;
        let (mut accepted, mut batches, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        let mut full = None;
        for (place, event) in events.into_iter().enumerate() {
            let one = self.event_to_commit(caller, event, (label, now, place))?;
            // What is kept needs no room, and is told apart inside the transaction otherwise.
            let before = scarce && {
                let before = self.store.deduplicated(tenant, &one.known, now).await;
                before.map_err(|e| store_problem(&e))?.is_some()
            };
            if !before && room == 0 {
                full = Some(self.no_room());
                break;
            }
            accepted.push(EventAccepted { repeated: before, ..one.accepted });
            if !before {
                room -= 1;
                batches.push(one.batch);
                messages.push((accepted.len() - 1, one.message));
            }
        }
        let (mut done, mut failed) = (Vec::with_capacity(messages.len()), full);
        let answers = if batches.is_empty() { Vec::new() } else { self.store.commit(batches).await };
        let mut answers = answers.into_iter();
        for (place, message) in messages {
            match answers.next() {
                Some(Ok(_)) => done.push(message),
                // It came before, or at the same moment.
                Some(Err(store::CommitError::Conflict(_))) => {
                    if let Some(one) = accepted.get_mut(place) {
                        one.repeated = true;
                    }
                }
                Some(Err(error)) => failed = Some(crate::app::commit_problem(&error)),
                None => failed = Some(Problem::machine("the store answered nothing to a batch")),
            }
        }
        for one in accepted.iter().filter(|one| !one.repeated && failed.is_none()) {
            self.notify(tenant, "event", &one.id, 0);
        }
        // Whatever became durable is delivered, also when the request as a whole is not: sent again, it is repeated.
        self.post(done);
        match failed {
            Some(problem) => Err(problem),
            None => Ok(accepted),
        }
    }

    fn event_to_commit(
        &self,
        caller: &Caller,
        mut event: Json,
        (label, now, place): (Label, Timestamp, usize),
    ) -> Result<ToCommit, Problem> {
        let tenant = &caller.principal.tenant;
        if let Some(members) = event.as_object_mut() {
            members.entry("time").or_insert_with(|| json!(now.to_rfc3339()));
        }
        let kept = KeptEvent {
            key: String::new(),
            at: now,
            by: caller.principal.id.clone(),
            label,
            execution: None,
            workflow: None,
            event,
        };
        let (source, id) = (kept.text("source").to_owned(), kept.text("id").to_owned());
        let known = format!("events|{}", Digest::of(format!("{source} {id}").as_bytes()));
        let (mut puts, message, details) = self.puts_of(tenant, kept, (now, place))?;
        puts.push(message.put()?);
        puts.push(Put::Answer {
            tenant: tenant.clone(),
            key: known.clone(),
            expires_at: now.plus(KEPT_FOR),
            document: json!({ "source": source, "id": id }),
        });
        let expect = App::answer_guard(&puts, now);
        let What::Event { key } = &message.what else {
            return Err(Problem::machine("no message of an event"));
        };
        let record = record::by_caller(caller, now, "event.received", format!("events/{key}"), details);
        let batch =
            Batch { expect, puts, records: vec![record], lease: Some(self.lease), ..Batch::default() };
        let accepted = EventAccepted { source, id, repeated: false };
        Ok(ToCommit { accepted, known, batch, message })
    }

    /// Puts the events that a step published into its batch; answers the messages that bring them to those who listen.
    pub(crate) fn emitted(
        &self,
        state: &Execution,
        before: u64,
        batch: &mut Batch,
        now: Timestamp,
    ) -> Result<Vec<Message>, Problem> {
        let started = &state.started;
        let mut messages = Vec::new();
        for (place, event) in state.emitted_since(before).enumerate() {
            let kept = KeptEvent {
                key: String::new(),
                at: now,
                by: started.requester.clone(),
                label: event.label_of_all(),
                execution: Some(started.execution.clone()),
                workflow: Some(format!("{}/{}", started.namespace, started.name)),
                event: event.to_json(),
            };
            let (puts, message, details) = self.puts_of(&started.tenant, kept, (now, place))?;
            batch.puts.extend(puts);
            let What::Event { key } = &message.what else { continue };
            let resource = format!("events/{key}");
            let execution = started.execution.as_str();
            batch.records.push(record::by_system(
                &started.tenant,
                now,
                "event.emitted",
                resource,
                execution,
                details,
            ));
            messages.push(message);
        }
        Ok(messages)
    }

    #[expect(clippy::unused_self, reason = "a method like its neighbours, which read the settings")]
    fn puts_of(
        &self,
        tenant: &model::TenantId,
        mut kept: KeptEvent,
        (now, place): (Timestamp, usize),
    ) -> Result<(Vec<Put>, Message, Json), Problem> {
        let (source, id) = (kept.text("source"), kept.text("id"));
        // What came at one moment stands in its order, as far as one request or step brought it.
        let mut digest = Digest::of(format!("{source} {id}").as_bytes());
        let place = u16::try_from(place).unwrap_or(u16::MAX).to_be_bytes();
        digest.0[..2].copy_from_slice(&place);
        let key = ExecutionId::derived(now, &digest).to_string();
        let details = json!({
            "type": kept.text("type"), "source": source, "id": id,
            "digest": model::digest_of(&kept.event),
        });
        kept.key.clone_from(&key);
        let document = serde_json::to_value(&kept).map_err(Problem::machine)?;
        let put = Put::Document { tenant: tenant.clone(), kind: KIND.to_owned(), key: key.clone(), document };
        let execution = ExecutionId::new(EVERYBODY).map_err(Problem::machine)?;
        let message = Message { tenant: tenant.clone(), execution, what: What::Event { key } };
        Ok((vec![put], message, details))
    }

    /// Events in the order in which they came, after the place `after`.
    pub async fn events(
        &self,
        caller: &Caller,
        kind: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<PageOf<KeptEvent>, Problem> {
        caller.demand(Permission::Read)?;
        let limit = limit.clamp(1, 500);
        let page = self.store.documents(&caller.principal.tenant, KIND, "", after, limit).await;
        let page = page.map_err(|e| store_problem(&e))?;
        let next = (page.len() == limit as usize).then(|| page.last().map(|(key, _)| key.clone())).flatten();
        let read =
            page.into_iter().map(|(_, document)| serde_json::from_value(document).map_err(Problem::machine));
        let mut items = read.collect::<Result<Vec<KeptEvent>, Problem>>()?;
        items.retain(|kept| kind.is_none_or(|kind| kept.text("type") == kind));
        Ok(PageOf { items, next })
    }
}

/// What an event must be; the field and what is wrong with it.
fn check(event: &Json) -> Result<(), (String, String)> {
    let Some(members) = event.as_object() else {
        return Err((String::new(), "an event is an object".to_owned()));
    };
    if members.len() > ATTRIBUTES_MAX {
        return Err((String::new(), format!("an event has at most {ATTRIBUTES_MAX} attributes")));
    }
    if event["specversion"] != "1.0" {
        return Err(("/specversion".to_owned(), "`specversion` must be `1.0`".to_owned()));
    }
    for name in ["id", "source", "type"] {
        if event[name].as_str().is_none_or(str::is_empty) {
            return Err((format!("/{name}"), format!("an event needs `{name}`")));
        }
    }
    if members.contains_key("omnihubupdate") {
        let what = "updates are sent to one execution: `POST /executions/{id}/updates/{name}`";
        return Err(("/omnihubupdate".to_owned(), what.to_owned()));
    }
    if members.contains_key("data_base64") {
        return Err((
            "/data_base64".to_owned(),
            "binary data is not built yet: send JSON or text as `data`".to_owned(),
        ));
    }
    for (name, value) in members.iter().filter(|(name, _)| *name != "data") {
        let fine = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !fine {
            let what = "the name of an attribute is lower-case letters and digits; everything else belongs into `data`";
            return Err((format!("/{name}"), what.to_owned()));
        }
        let fine = match value {
            Json::String(text) => text.len() <= ATTRIBUTE_BYTES_MAX && !text.chars().any(char::is_control),
            Json::Bool(_) | Json::Number(_) => true,
            Json::Null | Json::Array(_) | Json::Object(_) => false,
        };
        if !fine {
            let what =
                format!("an attribute is text of at most {ATTRIBUTE_BYTES_MAX} bytes, a number or a boolean");
            return Err((format!("/{name}"), what));
        }
    }
    if serde_json::to_vec(event).map_or(true, |bytes| bytes.len() > engine::EVENT_BYTES_MAX) {
        return Err((
            String::new(),
            format!("an event may have {} bytes; send a reference to more", engine::EVENT_BYTES_MAX),
        ));
    }
    Ok(())
}

fn refused(field: &str, detail: &str) -> Problem {
    Problem::new(422, 2180, "event refused", detail).field(field, detail)
}
