//! A full disk, as the application tells of it: not ready while nothing can be written, ready again by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use app::{App, Caller, Parts, RandomIds, Settings, SystemClock, system_tenant};
use faulty_disk::{Disk, Fault, On, Rule};
use model::principal::{PrincipalKind, Role};
use model::problem::Code;
use model::{Principal, PrincipalId};
use store::{Options, SqliteStore};

const FULL: Code = Code(5004);

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
async fn a_full_disk_is_told_by_its_code_until_there_is_room() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Disk::over(&directory.path().join("data"));
    let options = Options { inline: true, ..disk.options() };
    let store = SqliteStore::open_with(disk.root(), Arc::new(SystemClock), options).expect("opens");
    let parts = Parts { store, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds::default()) };
    let app = App::open(Settings::default(), parts).await.expect("opens");
    assert_eq!(app.readiness().await, Err(None), "it has not recovered yet");
    let running = tokio::spawn(Arc::clone(&app).run());
    while !app.ready() {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.readiness().await, Ok(()));
    disk.refuse(Rule {
        on: On::Write,
        name: "omnihub.db-wal",
        after: 0,
        times: u64::MAX,
        fault: Fault::NoSpace(0),
    });
    let caller = administrator();
    let refused = app.create_tenant(&caller, "during", "no room").await.expect_err("there is no room");
    assert_eq!((refused.status, refused.code), (503, FULL), "{refused}");
    assert_eq!(app.readiness().await, Err(Some(FULL)));
    let parts = app.health_deep(None).await;
    let store = parts.iter().find(|part| part.name == "store").expect("the store is a part");
    assert_eq!((store.ok, store.code.as_deref()), (false, Some("OH-5004")), "{store:?}");
    disk.heal();
    assert_eq!(app.readiness().await, Ok(()), "nobody has to start it again");
    app.create_tenant(&caller, "after", "there is room").await.expect("there is room");
    let tenants = app.tenants(&caller).await.expect("reads");
    assert!(tenants.contains(&"after".to_owned()) && !tenants.contains(&"during".to_owned()), "{tenants:?}");
    running.abort();
    disk.forget();
}
