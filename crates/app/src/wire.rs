//! What is on its way to the outside: every permitted attempt from its permit to its recorded answer.
//!
//! An attempt *boards* when it is permitted, *departs* when it passes its last look at the controls, and *lands* when
//! its answer is recorded or its permit is given back. Departing happens under the read lock of the controls: whoever
//! has put a stop in force sees everything that departed before it, and nothing departs after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use model::effect::EffectNumber;
use model::stop::{Stop, Subject};
use model::{ExecutionId, PrincipalId, TenantId, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

/// Which attempt it is, and whom it concerns.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) tenant: TenantId,
    pub(crate) execution: ExecutionId,
    pub(crate) effect: EffectNumber,
    pub(crate) attempt: u32,
    pub(crate) operation: String,
    pub(crate) target: String,
    pub(crate) class: &'static str,
    pub(crate) workflow: String,
    pub(crate) version: String,
    pub(crate) requester: PrincipalId,
    /// A program in the sandbox.
    pub(crate) program: bool,
}

impl Manifest {
    /// What a stop is held against; `target` in place of its own when a redirect leads elsewhere.
    pub(crate) fn subject<'a>(&'a self, target: Option<&'a str>) -> Subject<'a> {
        Subject {
            tenant: &self.tenant,
            workflow: &self.workflow,
            version: &self.version,
            requester: &self.requester,
            operation: Some(&self.operation),
            target: Some(target.unwrap_or(&self.target)),
        }
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The outside answered: done or refused.
    Answered,
    /// The answer was lost: whether it happened is found out by the effect's class.
    Unknown,
    /// Its program was ended; what it did is thrown away.
    Killed,
    /// Nothing was sent: its permit was given back.
    Withdrawn,
}

/// Everything under way. Holds no more than the work queue and the workers do.
#[derive(Default)]
pub(crate) struct Wire {
    flights: Mutex<Flights>,
}

#[derive(Default)]
struct Flights {
    next: u64,
    entries: BTreeMap<u64, Entry>,
    /// A workflow whose last departure is noted.
    watched: Option<(String, Option<Instant>)>,
}

struct Entry {
    manifest: Arc<Manifest>,
    departed: Option<(Timestamp, Instant)>,
    /// Made when somebody asks for it.
    cut: Option<watch::Sender<bool>>,
    /// It is not wanted any more.
    unwanted: bool,
    watches: Vec<Arc<Watch>>,
}

/// One attempt under way. Its end, if nobody says another, is that it was never sent, or that nobody knows.
pub struct Flight {
    wire: Arc<Wire>,
    number: u64,
    manifest: Arc<Manifest>,
}

impl Flight {
    /// Turns true when the attempt is not wanted any more: nothing may be sent, and what runs is to be ended.
    pub fn cut(&self) -> watch::Receiver<bool> {
        let mut flights = self.wire.flights.lock();
        let Some(entry) = flights.entries.get_mut(&self.number) else {
            // It has landed: nothing will cut it.
            return watch::channel(false).1;
        };
        let unwanted = entry.unwanted;
        entry.cut.get_or_insert_with(|| watch::channel(unwanted).0).subscribe()
    }

    /// True when it passed its last look.
    pub fn departed(&self) -> bool {
        self.wire.flights.lock().entries.get(&self.number).is_some_and(|entry| entry.departed.is_some())
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// It passes its last look; asked under the read lock of the controls.
    pub(crate) fn depart(&self, at: Timestamp) {
        let mut flights = self.wire.flights.lock();
        let Flights { entries, watched, .. } = &mut *flights;
        let Some(entry) = entries.get_mut(&self.number).filter(|entry| entry.departed.is_none()) else {
            return;
        };
        let now = Instant::now();
        entry.departed = Some((at, now));
        if let Some((_, last)) = watched.as_mut().filter(|(name, _)| *name == self.manifest.workflow) {
            *last = Some(now);
        }
    }

    /// How it ended, durably. Only the first word counts.
    pub(crate) fn land(&self, fate: Fate) {
        self.wire.land(self.number, |_| fate);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.wire.land(self.number, |departed| if departed { Fate::Unknown } else { Fate::Withdrawn });
    }
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Flight").field(&self.number).finish()
    }
}

/// What a stop found under way.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) number: u64,
    pub(crate) manifest: Arc<Manifest>,
    /// Since when on the wire; none when it had a permit and was not sent.
    pub(crate) since: Option<Timestamp>,
}

/// Waits for the end of everything that a stop found.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    fates: Mutex<BTreeMap<u64, (Fate, Instant)>>,
    changed: Notify,
}

impl Watch {
    /// Answers when so many have landed, with the fate of each and when it was known.
    pub(crate) async fn all(&self, count: usize) -> BTreeMap<u64, (Fate, Instant)> {
        loop {
            let changed = self.changed.notified();
            {
                let fates = self.fates.lock();
                if fates.len() >= count {
                    return fates.clone();
                }
            }
            changed.await;
        }
    }
}

impl Wire {
    /// A permitted attempt begins its way.
    pub(crate) fn board(self: &Arc<Self>, manifest: Manifest) -> Arc<Flight> {
        let manifest = Arc::new(manifest);
        let mut flights = self.flights.lock();
        flights.next += 1;
        let number = flights.next;
        let entry = Entry {
            manifest: Arc::clone(&manifest),
            departed: None,
            cut: None,
            unwanted: false,
            watches: Vec::new(),
        };
        flights.entries.insert(number, entry);
        drop(flights);
        Arc::new(Flight { wire: Arc::clone(self), number, manifest })
    }

    fn land(&self, number: u64, fate: impl FnOnce(bool) -> Fate) {
        let Some(entry) = self.flights.lock().entries.remove(&number) else { return };
        let fate = fate(entry.departed.is_some());
        for watch in entry.watches {
            watch.fates.lock().insert(number, (fate, Instant::now()));
            watch.changed.notify_one();
        }
    }

    /// Everything under way that the stop concerns. What has not departed never will, and is called back; what has is
    /// cut when `cut` says so. Call it when the stop is in force.
    pub(crate) fn stop(&self, stop: &Stop, cut: bool) -> (Vec<Found>, Arc<Watch>) {
        let watch = Arc::new(Watch::default());
        let mut found = Vec::new();
        let mut flights = self.flights.lock();
        for (number, entry) in &mut flights.entries {
            if !stop.covers(&entry.manifest.subject(None)) {
                continue;
            }
            entry.watches.push(Arc::clone(&watch));
            if cut || entry.departed.is_none() {
                entry.unwanted = true;
                if let Some(cut) = &entry.cut {
                    cut.send_replace(true);
                }
            }
            let since = entry.departed.map(|(at, _)| at);
            found.push(Found { number: *number, manifest: Arc::clone(&entry.manifest), since });
        }
        (found, watch)
    }

    /// How many attempts of a workflow are on the wire.
    pub(crate) fn departures(&self, workflow: &str) -> usize {
        let flights = self.flights.lock();
        let of = flights.entries.values().filter(|entry| entry.manifest.workflow == workflow);
        of.filter(|entry| entry.departed.is_some()).count()
    }

    /// Notes from now on when an attempt of this workflow departs; none to stop noting.
    pub(crate) fn watch_departures(&self, workflow: Option<&str>) {
        self.flights.lock().watched = workflow.map(|workflow| (workflow.to_owned(), None));
    }

    /// When an attempt of the watched workflow departed last.
    pub(crate) fn last_departure(&self) -> Option<Instant> {
        self.flights.lock().watched.as_ref().and_then(|(_, last)| *last)
    }
}
