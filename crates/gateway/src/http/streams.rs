//! How many event streams are open, in all and for each principal.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Principal, Problem};
use parking_lot::Mutex;

use super::problem::Refusal;

/// Counts open streams.
pub(crate) struct Streams {
    all_max: usize,
    each_max: usize,
    open: Mutex<BTreeMap<String, usize>>,
}

/// One open stream; ends its count when dropped.
pub(crate) struct Slot {
    streams: Arc<Streams>,
    who: String,
}

impl Streams {
    /// At most `all_max` streams, at most `each_max` of one principal.
    pub(crate) fn new(all_max: usize, each_max: usize) -> Arc<Self> {
        Arc::new(Self { all_max, each_max, open: Mutex::new(BTreeMap::new()) })
    }

    /// Opens a stream (OH-4291 when there are too many).
    pub(crate) fn open(self: &Arc<Self>, principal: &Principal) -> Result<Slot, Refusal> {
        let who = format!("{}/{}", principal.tenant, principal.id);
        let mut open = self.open.lock();
        let all: usize = open.values().sum();
        let own = open.get(&who).copied().unwrap_or(0);
        if own >= self.each_max || all >= self.all_max {
            let detail =
                format!("`{}` has {own} event streams open, the server {all}; close one", principal.id);
            return Err(Refusal::of(Problem::new(429, 4291, "too many event streams", detail)));
        }
        open.insert(who.clone(), own + 1);
        Ok(Slot { streams: self.clone(), who })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock();
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(id: &str) -> Principal {
        Principal {
            id: id.parse().unwrap(),
            tenant: "t".parse().unwrap(),
            kind: model::principal::PrincipalKind::User,
            roles: std::collections::BTreeSet::new(),
        }
    }

    #[test]
    fn each_principal_and_all_together_are_bounded() {
        let streams = Streams::new(3, 2);
        let first = streams.open(&principal("a")).unwrap();
        let _second = streams.open(&principal("a")).unwrap();
        assert_eq!(streams.open(&principal("a")).err().map(|refusal| refusal.0.status), Some(429));
        let _third = streams.open(&principal("b")).unwrap();
        assert_eq!(streams.open(&principal("b")).err().map(|refusal| refusal.0.code.0), Some(4291));
        drop(first);
        assert!(streams.open(&principal("b")).is_ok());
    }
}
