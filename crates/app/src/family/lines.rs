//! Messages that wait to be delivered: a line for each address, and the addresses that are free, in turn.
//!
//! One address gets its messages in their order, one after the other; ten thousand addresses cost as much as one. What is
//! delivered together is taken together: the events of a tenant, which have one address, and executions of a tenant that
//! began to listen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::{ExecutionId, TenantId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::mail::{Message, What};

/// Messages in memory; whatever is beyond that is read from the store when these are delivered.
const WAITING_MAX: usize = 100_000;
/// Events that are brought together.
const EVENTS_AT_ONCE: usize = 256;
/// Executions that look back together when they began to listen.
const LISTENS_AT_ONCE: usize = 32;

type Address = (TenantId, ExecutionId);

/// Messages that wait to be delivered. What is in memory is a hint: the store has all of them.
pub(crate) struct Mail {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Messages to each address, oldest first; none is empty.
    lines: BTreeMap<Address, VecDeque<Message>>,
    /// Addresses with messages to which none is being delivered, in the order of their turns.
    free: VecDeque<Address>,
    /// Addresses to which a message is being delivered: the next one waits for that.
    busy: BTreeSet<Address>,
    /// Messages in the lines.
    count: usize,
    /// What came while the store is read: it is delivered after what the store had before.
    late: VecDeque<Message>,
    reading: bool,
    /// Keys of what is in the lines, while the store is read.
    known: BTreeSet<String>,
    /// Some are in the store only.
    more: bool,
}

impl Default for Mail {
    fn default() -> Self {
        // What the last process left comes first.
        let waiting = Waiting { reading: true, ..Waiting::default() };
        Self { waiting: Mutex::new(waiting), changed: Notify::default() }
    }
}

impl Waiting {
    /// Whatever finds no room is in the store, and everything after it stays there too: it would overtake it.
    fn push(&mut self, message: Message) {
        let length = if self.reading { self.late.len() } else { self.count };
        if self.more || length >= WAITING_MAX {
            self.more = true;
        } else if self.reading {
            self.late.push_back(message);
        } else {
            self.line_up(message);
        }
    }

    fn line_up(&mut self, message: Message) {
        let address = message.address();
        let line = self.lines.entry(address.clone()).or_default();
        line.push_back(message);
        self.count += 1;
        if line.len() == 1 && !self.busy.contains(&address) {
            self.free.push_back(address);
        }
    }

    fn front(&self, address: &Address) -> Option<&Message> {
        self.lines.get(address).and_then(VecDeque::front)
    }

    fn pop(&mut self, address: &Address) -> Option<Message> {
        let line = self.lines.get_mut(address)?;
        let message = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(address);
        }
        self.count -= 1;
        Some(message)
    }

    /// Takes the oldest message to the address whose turn it is, with those that are delivered together with it.
    fn take(&mut self) -> Option<Vec<Message>> {
        let address = self.free.pop_front()?;
        let first = self.pop(&address)?;
        let (events, listens) =
            (matches!(first.what, What::Event { .. }), matches!(first.what, What::Listens { .. }));
        let mut taken = vec![first];
        while events && taken.len() < EVENTS_AT_ONCE {
            let next = self.front(&address).filter(|next| matches!(next.what, What::Event { .. }));
            let Some(next) = next.is_some().then(|| self.pop(&address)).flatten() else { break };
            taken.push(next);
        }
        while listens && taken.len() < LISTENS_AT_ONCE {
            let next = self.free.front().filter(|next| next.0 == address.0).cloned();
            let Some(next) = next.filter(|next| {
                self.front(next).is_some_and(|message| matches!(message.what, What::Listens { .. }))
            }) else {
                break;
            };
            self.free.pop_front();
            taken.extend(self.pop(&next));
            self.busy.insert(next);
        }
        self.busy.insert(address);
        Some(taken)
    }

    fn delivered(&mut self, message: &Message) {
        let address = message.address();
        if self.busy.remove(&address) && self.lines.contains_key(&address) {
            self.free.push_back(address);
        }
    }

    /// Takes in a message that was found in the store, unless it is in memory.
    fn found(&mut self, message: Message) {
        if self.count >= WAITING_MAX {
            self.more = true;
        } else if self.known.insert(message.key()) {
            self.line_up(message);
        }
    }

    fn begin_to_read(&mut self) {
        self.reading = true;
        self.known = self.lines.values().flatten().map(Message::key).collect();
    }

    fn end_to_read(&mut self) {
        self.reading = false;
        let known = std::mem::take(&mut self.known);
        for message in std::mem::take(&mut self.late) {
            if !known.contains(&message.key()) {
                self.push(message);
            }
        }
    }
}

impl Mail {
    /// Messages that are durable since just now.
    pub(crate) fn post(&self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        for message in messages {
            waiting.push(message);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// The oldest message to an address to which none is being delivered, the addresses in turn; with those that are
    /// delivered together with it: to the same address, or of the same kind.
    pub(super) fn take(&self) -> Option<Vec<Message>> {
        self.waiting.lock().take()
    }

    pub(super) fn delivered(&self, messages: &[Message]) {
        let mut waiting = self.waiting.lock();
        for message in messages {
            waiting.delivered(message);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Messages that were found in the store: those that are not in memory.
    pub(super) fn found(&self, messages: Vec<Message>) {
        let mut waiting = self.waiting.lock();
        for message in messages {
            waiting.found(message);
        }
    }

    /// The store was read to its end: what came meanwhile follows, unless it was found there.
    pub(super) fn read(&self) {
        self.waiting.lock().end_to_read();
    }

    /// True when there are messages that are in the store only: it is to be read again.
    pub(super) fn take_more(&self) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.more {
            waiting.begin_to_read();
        }
        std::mem::take(&mut waiting.more)
    }

    /// The store could not be read.
    pub(super) fn read_again(&self) {
        self.waiting.lock().more = true;
    }

    /// Waits until something is different.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use model::effect::EffectNumber;

    use super::*;

    fn to(execution: &str, what: What) -> Message {
        let tenant = TenantId::new("acme").expect("an identifier");
        Message { tenant, execution: ExecutionId::new(execution).expect("an identifier"), what }
    }

    fn ended(execution: &str, effect: usize) -> Message {
        let child = ExecutionId::new("child").expect("an identifier");
        to(execution, What::Ended { child, effect: EffectNumber(u32::try_from(effect).expect("small")) })
    }

    fn mail(messages: Vec<Message>) -> Mail {
        let mail = Mail::default();
        mail.read();
        mail.post(messages);
        mail
    }

    fn names(taken: &Option<Vec<Message>>) -> Vec<String> {
        let name = |message: &Message| message.key().trim_start_matches("acme/").to_owned();
        taken.iter().flatten().map(name).collect()
    }

    #[test]
    fn an_address_gets_its_messages_in_order_and_the_addresses_take_turns() {
        let mail = mail(vec![ended("a", 1), ended("a", 2), ended("a", 3), ended("b", 1)]);
        let (first, second) = (mail.take(), mail.take());
        assert_eq!(
            (names(&first), names(&second)),
            (vec!["a/ended/child/1".into()], vec!["b/ended/child/1".into()])
        );
        assert!(mail.take().is_none(), "both are busy");
        mail.post(vec![ended("b", 2), ended("c", 1)]);
        mail.delivered(&first.expect("taken"));
        mail.delivered(&second.expect("taken"));
        let order: Vec<String> = std::iter::from_fn(|| {
            let taken = mail.take()?;
            mail.delivered(&taken);
            Some(names(&Some(taken)))
        })
        .flatten()
        .collect();
        assert_eq!(order, ["c/ended/child/1", "a/ended/child/2", "b/ended/child/2", "a/ended/child/3"]);
    }

    #[test]
    fn events_come_together_and_so_do_those_that_begin_to_listen() {
        let event = |number: usize| to("events", What::Event { key: format!("{number:05}") });
        let listens = |number: usize| to(&format!("e{number}"), What::Listens { since: "x".into() });
        let mut all: Vec<_> = (0..EVENTS_AT_ONCE + 1).map(event).collect();
        all.extend((0..LISTENS_AT_ONCE).map(listens));
        all.push(ended("e0", 1));
        all.push(ended("f", 1));
        all.push(listens(99));
        let mail = mail(all);
        let events = mail.take().expect("events");
        assert_eq!(events, (0..EVENTS_AT_ONCE).map(event).collect::<Vec<_>>());
        let listening = mail.take().expect("those that listen");
        assert_eq!(listening, (0..LISTENS_AT_ONCE).map(listens).collect::<Vec<_>>());
        assert_eq!(names(&mail.take()), ["f/ended/child/1"]);
        assert_eq!(names(&mail.take()), ["e99/listens/x"]);
        assert!(mail.take().is_none(), "the rest waits for its addresses");
        mail.delivered(&events);
        assert_eq!(mail.take(), Some(vec![event(EVENTS_AT_ONCE)]));
        mail.delivered(&listening);
        assert_eq!(names(&mail.take()), ["e0/ended/child/1"]);
        assert!(mail.take().is_none());
    }

    #[test]
    fn what_the_store_had_comes_before_what_came_while_it_was_read_and_nothing_comes_twice() {
        let mail = Mail::default();
        mail.post(vec![ended("a", 2), ended("a", 3)]);
        mail.found(vec![ended("a", 1), ended("a", 2)]);
        mail.read();
        let order: Vec<String> = std::iter::from_fn(|| {
            let taken = mail.take()?;
            mail.delivered(&taken);
            Some(names(&Some(taken)))
        })
        .flatten()
        .collect();
        assert_eq!(order, ["a/ended/child/1", "a/ended/child/2", "a/ended/child/3"]);
    }

    #[test]
    fn what_finds_no_room_is_read_from_the_store_in_its_place() {
        let mail = mail((0..WAITING_MAX).map(|number| ended(&format!("e{}", number % 7), number)).collect());
        mail.post(vec![ended("late", 1), ended("e0", 1_000_000)]);
        let mut taken = 0;
        while let Some(messages) = mail.take() {
            taken += messages.len();
            mail.delivered(&messages);
        }
        assert_eq!(taken, WAITING_MAX);
        assert!(mail.take_more() && !mail.take_more());
        mail.post(vec![ended("late", 2)]);
        mail.found(vec![ended("e0", 1_000_000), ended("late", 1)]);
        mail.read();
        let order: Vec<String> = std::iter::from_fn(|| Some(names(&Some(mail.take()?)))).flatten().collect();
        assert_eq!(
            order,
            ["e0/ended/child/1000000", "late/ended/child/1"],
            "the second waits for its address"
        );
    }
}
