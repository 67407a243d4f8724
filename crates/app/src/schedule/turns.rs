//! Turns: how many steps are judged, and how many are written, at once, and whose is next.
//!
//! A step costs processor time and a place in the writer's group. While one tenant is alone, many at once make the
//! groups large; as soon as others are there, few at once keep the way through short, and who waits is let in fairly. So
//! a flood waits here, in its tenant's own line, and neither before the processor nor before the writer.
//!
//! A step is judged in a turn and keeps it until it has a place before the writer. So the line before the writer is never
//! longer than there are turns, and the processor judges while the disk writes.
//!
//! What ends work goes before what begins it: answers and timers are taken first. What people do (approvals, controls,
//! cancelling) never waits for a turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::placing::Priority;
use model::{Clock, TenantId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::fair::{FairQueue, Standing, Taken};
use crate::admission::AtWork;

/// How many at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Width {
    /// While one tenant is alone.
    pub(crate) wide: usize,
    /// While there are several.
    pub(crate) narrow: usize,
}

/// Steps that are judged. Alone: more than there are processors; whatever exceeds it stands in line, where what ends work
/// goes before what begins it, and not before the processor, where nothing does.
pub(crate) const JUDGING: Width = Width { wide: 64, narrow: 4 };
/// Steps that are written. Alone: as many as one group of the writer holds. Beside others: what one of them waits for is the group before its own, so groups are small.
pub(crate) const WRITING: Width = Width { wide: 512, narrow: 8 };

/// Hands out turns.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    width: Width,
    queue: Mutex<FairQueue<oneshot::Sender<Place>>>,
    /// Told how many have a turn or wait for one, while one tenant is alone; 0 beside others, where nobody is to wait for
    /// a group to become large.
    count: Option<Arc<AtomicUsize>>,
}

/// The right to take a step; given back when it is dropped.
pub(crate) struct Turn {
    _place: Place,
    standing: Standing,
    /// What begins with this step counts as at work from before it until the execution itself does.
    pub(crate) admitted: Option<AtWork>,
}

/// What a turn holds; also while it is on its way to somebody who may have left.
struct Place {
    shared: Arc<Shared>,
    taken: Option<Taken>,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A new execution.
    Begin(Priority),
    /// An answer, a timer, a release: work that was accepted goes on.
    GoOn,
}

impl Turns {
    pub(crate) fn new(clock: Arc<dyn Clock>, width: Width) -> Self {
        Self(Arc::new(Shared { clock, width, queue: Mutex::default(), count: None }))
    }

    /// The same, telling how many have a turn or wait for one.
    pub(crate) fn counted_in(self, count: Option<Arc<AtomicUsize>>) -> Self {
        let Shared { clock, width, .. } = &*self.0;
        Self(Arc::new(Shared { clock: Arc::clone(clock), width: *width, queue: Mutex::default(), count }))
    }

    /// Waits for a turn. Dropping the future leaves the line.
    pub(crate) async fn enter(&self, tenant: &TenantId, step: Step, weight: u32) -> Turn {
        let priority = match step {
            Step::Begin(priority) => priority,
            Step::GoOn => Priority::Critical,
        };
        self.wait(Standing { tenant: tenant.clone(), target: String::new(), priority, weight }).await
    }

    /// Waits for a turn here as the holder of a turn elsewhere, which ends when this one begins.
    pub(crate) async fn instead_of(&self, mut turn: Turn) -> Turn {
        let admitted = turn.admitted.take();
        Turn { admitted, ..self.wait(turn.standing.clone()).await }
    }

    async fn wait(&self, standing: Standing) -> Turn {
        let shared = &self.0;
        let answer = {
            let now = shared.clock.now().0;
            let mut queue = shared.queue.lock();
            let width = shared.width.of(&queue, now);
            if let Some(taken) = queue.begin_at_once(&standing, width, now) {
                shared.tell(&queue, width);
                let place = Place { shared: Arc::clone(shared), taken: Some(taken) };
                return Turn { _place: place, standing, admitted: None };
            }
            let (sender, answer) = oneshot::channel();
            queue.push(standing.clone(), now, sender);
            answer
        };
        Shared::hand_out(shared);
        let place = answer.await;
        // The line is dropped only with the application, and then nobody is left to be unfair to.
        let place = place.unwrap_or_else(|_| Place { shared: Arc::clone(shared), taken: None });
        Turn { _place: place, standing, admitted: None }
    }

    /// True when more than one tenant took a turn of late.
    pub(crate) fn several_tenants(&self) -> bool {
        let now = self.0.clock.now().0;
        self.0.queue.lock().several_tenants(now)
    }

    /// How many of a tenant wait, and how many in all.
    pub(crate) fn waiting(&self, tenant: &TenantId) -> (usize, usize) {
        let queue = self.0.queue.lock();
        (queue.waiting_of(tenant), queue.waiting())
    }
}

impl Shared {
    fn tell<T>(&self, queue: &FairQueue<T>, width: usize) {
        if let Some(count) = &self.count {
            let alone = width == self.width.wide;
            count.store(if alone { queue.under_way() + queue.waiting() } else { 0 }, Ordering::Relaxed);
        }
    }

    /// Lets in whom there is room for. A turn for somebody who has left goes to the next.
    fn hand_out(shared: &Arc<Self>) {
        loop {
            let now = shared.clock.now().0;
            let next = {
                let mut queue = shared.queue.lock();
                let width = shared.width.of(&queue, now);
                let next = queue.take(width, now);
                shared.tell(&queue, width);
                next
            };
            let Some((sender, taken)) = next else { return };
            let place = Place { shared: Arc::clone(shared), taken: Some(taken) };
            if let Err(mut unwanted) = sender.send(place)
                && let Some(taken) = unwanted.taken.take()
            {
                shared.queue.lock().done(&taken, now);
            }
        }
    }
}

impl Width {
    fn of<T>(self, queue: &FairQueue<T>, now_ms: i64) -> usize {
        if queue.several_tenants(now_ms) { self.narrow } else { self.wide }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(taken) = self.taken.take() else { return };
        let now = self.shared.clock.now().0;
        self.shared.queue.lock().done(&taken, now);
        Shared::hand_out(&self.shared);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use model::Timestamp;

    use super::*;

    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp(1_000)
        }
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("an identifier")
    }

    #[tokio::test]
    async fn a_flood_waits_in_its_own_line() {
        let turns = Turns::new(Arc::new(Still), JUDGING);
        let (flood, quiet) = (tenant("flood"), tenant("quiet"));
        let mut held = Vec::new();
        for _ in 0..JUDGING.wide {
            held.push(turns.enter(&flood, Step::GoOn, 1).await);
        }
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(turns.enter(&flood, Step::GoOn, 1))).collect();
        assert!(waiting.iter_mut().all(|w| w.now_or_never().is_none()));
        let mut mine = Box::pin(turns.enter(&quiet, Step::Begin(Priority::Low), 1));
        assert!(mine.as_mut().now_or_never().is_none());
        // The flood's own line goes on only below its share; the quiet one gets the first place that is free.
        held.truncate(JUDGING.narrow - 1);
        assert!(mine.as_mut().now_or_never().is_some());
        assert!(waiting.iter_mut().filter_map(|w| w.now_or_never()).count() <= 1);
    }

    #[tokio::test]
    async fn who_leaves_takes_nothing_along() {
        let turns = Turns::new(Arc::new(Still), JUDGING);
        let one = tenant("one");
        let held: Vec<_> =
            futures_util::future::join_all((0..JUDGING.wide).map(|_| turns.enter(&one, Step::GoOn, 1))).await;
        {
            let mut left = Box::pin(turns.enter(&one, Step::GoOn, 1));
            assert!(left.as_mut().now_or_never().is_none());
        }
        let mut next = Box::pin(turns.enter(&one, Step::GoOn, 1));
        assert!(next.as_mut().now_or_never().is_none());
        drop(held);
        assert!(next.as_mut().now_or_never().is_some());
        drop(next);
        assert_eq!(turns.waiting(&one), (0, 0));
        let all = futures_util::future::join_all((0..JUDGING.wide).map(|_| turns.enter(&one, Step::GoOn, 1)));
        assert!(Box::pin(all).now_or_never().is_some(), "every turn is back");
    }

    #[tokio::test]
    async fn what_ends_work_goes_before_what_begins_it() {
        let turns = Turns::new(Arc::new(Still), JUDGING);
        let one = tenant("one");
        let mut held: Vec<_> =
            futures_util::future::join_all((0..JUDGING.wide).map(|_| turns.enter(&one, Step::GoOn, 1))).await;
        let mut begin = Box::pin(turns.enter(&one, Step::Begin(Priority::High), 1));
        assert!(begin.as_mut().now_or_never().is_none());
        let mut end = Box::pin(turns.enter(&one, Step::GoOn, 1));
        assert!(end.as_mut().now_or_never().is_none());
        held.pop();
        assert!(begin.as_mut().now_or_never().is_none() && end.as_mut().now_or_never().is_some());
    }
}
