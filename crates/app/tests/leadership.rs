//! Two processes on one store: the later one leads, and the earlier one can change and start nothing any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::{App, Caller, Parts, RandomIds, Settings, SystemClock, system_tenant};
use model::principal::{PrincipalKind, Role};
use model::{Principal, PrincipalId};
use store::{AuditQuery, SqliteStore, Store as _};

async fn opened(store: &Arc<SqliteStore>) -> Arc<App> {
    let parts = Parts {
        store: Arc::clone(store) as _,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds::default()),
    };
    App::open(Settings::default(), parts).await.expect("opens")
}

fn administrator() -> Caller {
    let principal = Principal {
        id: PrincipalId::new("user:admin").expect("an identifier"),
        kind: PrincipalKind::User,
        tenant: system_tenant(),
        roles: BTreeSet::from([Role::Admin]),
    };
    Caller { principal, address: None, agent: None, request_id: "test".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lost_the_lead_is_fenced_off() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(directory.path(), Arc::new(SystemClock)).expect("opens");
    let caller = administrator();
    let old = opened(&store).await;
    old.create_tenant(&caller, "before", "made in time").await.expect("it leads");
    assert!(old.leads());
    let new = opened(&store).await;
    assert!(new.lease() > old.lease());
    let size = store.head().await.expect("a head").size;
    let refused = old.create_tenant(&caller, "late", "made too late").await.expect_err("it is fenced off");
    assert_eq!((refused.status, refused.code.0), (503, 3040), "{refused}");
    assert!(!old.leads() && !old.ready(), "it knows");
    new.create_tenant(&caller, "after", "made by the leader").await.expect("it leads");
    let tenants = new.tenants(&caller).await.expect("reads");
    assert!(tenants.contains(&"after".to_owned()) && !tenants.contains(&"late".to_owned()), "{tenants:?}");
    let leaves =
        store.leaves(AuditQuery { from: size, limit: 10, ..AuditQuery::default() }).await.expect("reads");
    assert_eq!(leaves.items.len(), 1, "a refused change leaves no record");
}
