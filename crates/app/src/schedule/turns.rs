//! Turns: how many steps (judge, commit) are at work at once, and whose is next.
//!
//! A step costs processor time and a place in the writer's group. While one tenant is alone, many at once make the
//! groups large; as soon as others are there, few at once keep the way through short, and who waits is let in fairly. So
//! a flood waits here, in its tenant's own line, and neither before the processor nor before the writer.
//!
//! What ends work goes before what begins it: answers and timers are taken first. What people do (approvals, controls,
//! cancelling) never waits for a turn.

use std::sync::Arc;

use model::placing::Priority;
use model::{Clock, TenantId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::fair::{FairQueue, Standing, Taken};

/// Steps at once while one tenant is alone: as many as one group of the writer holds.
const WIDE: usize = 512;
/// Steps at once while there are several.
const NARROW: usize = 16;

/// Hands out turns.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    queue: Mutex<FairQueue<oneshot::Sender<Turn>>>,
}

/// The right to take a step; given back when it is dropped.
pub(crate) struct Turn {
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
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { clock, queue: Mutex::default() }))
    }

    /// Waits for a turn. Dropping the future leaves the line.
    pub(crate) async fn enter(&self, tenant: &TenantId, step: Step, weight: u32) -> Turn {
        let shared = &self.0;
        let priority = match step {
            Step::Begin(priority) => priority,
            Step::GoOn => Priority::Critical,
        };
        let standing = Standing { tenant: tenant.clone(), target: String::new(), priority, weight };
        let answer = {
            let now = shared.clock.now().0;
            let mut queue = shared.queue.lock();
            let width = width(&queue, now);
            if let Some(taken) = queue.begin_at_once(&standing, width, now) {
                return Turn { shared: Arc::clone(shared), taken: Some(taken) };
            }
            let (sender, answer) = oneshot::channel();
            queue.push(standing, now, sender);
            answer
        };
        Shared::hand_out(shared);
        match answer.await {
            Ok(turn) => turn,
            // The line is dropped only with the application, and then nobody is left to be unfair to.
            Err(_) => Turn { shared: Arc::clone(shared), taken: None },
        }
    }

    /// How many of a tenant wait, and how many in all.
    pub(crate) fn waiting(&self, tenant: &TenantId) -> (usize, usize) {
        let queue = self.0.queue.lock();
        (queue.waiting_of(tenant), queue.waiting())
    }
}

impl Shared {
    /// Lets in whom there is room for. A turn for somebody who has left goes to the next.
    fn hand_out(shared: &Arc<Self>) {
        loop {
            let now = shared.clock.now().0;
            let next = {
                let mut queue = shared.queue.lock();
                let width = width(&queue, now);
                queue.take(width, now)
            };
            let Some((sender, taken)) = next else { return };
            let turn = Turn { shared: Arc::clone(shared), taken: Some(taken) };
            if let Err(mut unwanted) = sender.send(turn)
                && let Some(taken) = unwanted.taken.take()
            {
                shared.queue.lock().done(&taken, now);
            }
        }
    }
}

fn width<T>(queue: &FairQueue<T>, now_ms: i64) -> usize {
    if queue.several_tenants(now_ms) { NARROW } else { WIDE }
}

impl Drop for Turn {
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
        let turns = Turns::new(Arc::new(Still));
        let (flood, quiet) = (tenant("flood"), tenant("quiet"));
        let mut held = Vec::new();
        for _ in 0..WIDE {
            held.push(turns.enter(&flood, Step::GoOn, 1).await);
        }
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(turns.enter(&flood, Step::GoOn, 1))).collect();
        assert!(waiting.iter_mut().all(|w| w.now_or_never().is_none()));
        let mut mine = Box::pin(turns.enter(&quiet, Step::Begin(Priority::Low), 1));
        assert!(mine.as_mut().now_or_never().is_none());
        // The flood's own line goes on only below its share; the quiet one gets the first place that is free.
        held.truncate(NARROW - 1);
        assert!(mine.as_mut().now_or_never().is_some());
        assert!(waiting.iter_mut().filter_map(|w| w.now_or_never()).count() <= 1);
    }

    #[tokio::test]
    async fn who_leaves_takes_nothing_along() {
        let turns = Turns::new(Arc::new(Still));
        let one = tenant("one");
        let held: Vec<_> =
            futures_util::future::join_all((0..WIDE).map(|_| turns.enter(&one, Step::GoOn, 1))).await;
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
        let all = futures_util::future::join_all((0..WIDE).map(|_| turns.enter(&one, Step::GoOn, 1)));
        assert!(Box::pin(all).now_or_never().is_some(), "every turn is back");
    }

    #[tokio::test]
    async fn what_ends_work_goes_before_what_begins_it() {
        let turns = Turns::new(Arc::new(Still));
        let one = tenant("one");
        let mut held: Vec<_> =
            futures_util::future::join_all((0..WIDE).map(|_| turns.enter(&one, Step::GoOn, 1))).await;
        let mut begin = Box::pin(turns.enter(&one, Step::Begin(Priority::High), 1));
        assert!(begin.as_mut().now_or_never().is_none());
        let mut end = Box::pin(turns.enter(&one, Step::GoOn, 1));
        assert!(end.as_mut().now_or_never().is_none());
        held.pop();
        assert!(begin.as_mut().now_or_never().is_none() && end.as_mut().now_or_never().is_some());
    }
}
