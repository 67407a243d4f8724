//! Every behaviour of the port on SQLite, with and without threads.

mod suite;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use store::Store;
use support::{event, execution, open, step, tenant};

/// Opens a directory without threads.
fn open_inline(directory: &std::path::Path) -> Arc<dyn Store> {
    store::SqliteStore::open_inline(directory, Arc::new(support::Still)).expect("opens")
}

macro_rules! on_sqlite {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let directory = tempfile::tempdir().expect("a directory");
                super::suite::$name(super::open(directory.path())).await;
            })*
        }
        mod inline {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let directory = tempfile::tempdir().expect("a directory");
                super::suite::$name(super::open_inline(directory.path())).await;
            })*
        }
    };
}

suite::behaviours!(on_sqlite);

/// What the store should hold after a sequence of batches: lengths of histories by execution, and leaves.
#[derive(Debug, Default)]
struct Simple {
    lengths: BTreeMap<u8, u64>,
    leaves: u64,
}

impl Simple {
    fn commit(&mut self, (id, before, count): (u8, u64, u64)) -> bool {
        let length = self.lengths.get(&id).copied().unwrap_or(0);
        if length == before {
            self.lengths.insert(id, before + count);
            self.leaves += 1;
        }
        length == before
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_batches_end_as_in_a_simple_model(
        calls in prop::collection::vec(prop::collection::vec((0u8..4, 0u64..6, 0u64..3), 1..12), 1..8)
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let acme = tenant("acme");
            let name = |id: u8| execution(&format!("e{id}"));
            let mut simple = Simple::default();
            let mut store = open(directory.path());
            for (number, call) in calls.into_iter().enumerate() {
                let batches = call.iter().map(|(id, before, count)| step(&acme, &name(*id), *before, *count)).collect();
                let answers = store.commit(batches).await;
                let expected: Vec<bool> = call.into_iter().map(|batch| simple.commit(batch)).collect();
                prop_assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), expected);
                if number % 3 == 2 {
                    drop(store);
                    store = open(directory.path());
                }
            }
            for (id, length) in &simple.lengths {
                let history = store.load(&acme, &name(*id)).await.expect("reads").expect("exists");
                prop_assert_eq!(history.events, (0..length.cast_signed()).map(event).collect::<Vec<_>>());
            }
            prop_assert_eq!(store.head().await.expect("a head").size, simple.leaves);
            prop_assert_eq!(store::verify_directory(directory.path(), None).expect("reads").first_bad, None);
            Ok(())
        })?;
    }
}
