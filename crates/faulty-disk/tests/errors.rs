//! The disk refuses: what was acknowledged stays, nothing is pretended, and what can go on goes on.

use std::sync::Arc;

use faulty_disk::reading::everything;
use faulty_disk::workload::{Refused, Still, Workload};
use faulty_disk::{Disk, Fault, On, Rule};
use store::{CommitError, Condition, Options, SqliteStore, Store, StoreError};

/// Steps before the disk refuses, and steps that are tried while it does.
const BEFORE: usize = 12;
const DURING: usize = 5;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn open(disk: &Arc<Disk>, log_pages: u32) -> Arc<SqliteStore> {
    let options = Options { inline: true, log_pages, ..disk.options() };
    SqliteStore::open_with(disk.root(), Arc::new(Still), options).expect("opens")
}

/// What the store did when the disk refused.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    refused: usize,
    stopped: bool,
    ping: bool,
    after_healing: bool,
}

/// Works, refuses, heals, opens again, and checks that exactly what was acknowledged is there.
fn with(rule: Rule, log_pages: u32) -> Seen {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Disk::over(&directory.path().join("data"));
    let run = runtime();
    let mut workload = Workload::new(7);
    let known = workload.known();
    let store = open(&disk, log_pages);
    let port: Arc<dyn Store> = Arc::clone(&store) as _;
    for _ in 0..BEFORE {
        run.block_on(workload.step(&port)).expect("the disk is whole");
    }
    disk.refuse(rule.clone());
    let mut refused = 0;
    let full = matches!(rule.fault, Fault::NoSpace(_));
    let mut acknowledged = BEFORE;
    for _ in 0..DURING {
        match run.block_on(workload.step(&port)) {
            Ok(_) => acknowledged += 1,
            // Nobody is told that there is no room when the disk is broken, or the other way round.
            Err(Refused::Commit(CommitError::Full(_)) | Refused::Store(StoreError::Full(_))) => {
                assert_eq!((store.condition(), full), (Condition::Full, true), "{rule:?}");
                refused += 1;
            }
            Err(Refused::Commit(CommitError::Stopped(_)) | Refused::Store(_)) => {
                assert_eq!((store.condition(), full), (Condition::Stopped, false), "{rule:?}");
                refused += 1;
            }
            Err(other) => panic!("{rule:?}: {other:?}"),
        }
    }
    assert!(disk.refused() > 0, "{rule:?}: the disk was never asked");
    let ping = run.block_on(port.ping()).is_ok();
    disk.heal();
    let after_healing = run.block_on(workload.step(&port)).is_ok();
    acknowledged += usize::from(after_healing);
    let stopped = store.stats().stopped;
    assert_eq!(store.condition() == Condition::Stopped, stopped, "{rule:?}");
    assert!(!after_healing || store.condition() == Condition::Working, "{rule:?}");
    drop((store, port));
    let store = open(&disk, log_pages);
    let head = run.block_on(store.head()).expect("a head");
    let there = usize::try_from(head.size).expect("few");
    // One commit whose sync failed may be there or not; it was not acknowledged, and it is whole.
    assert!((acknowledged..=acknowledged + 1).contains(&there), "{rule:?}: {there} of {acknowledged}");
    let answers = run.block_on(everything(&*store, &known));
    assert!(answers.iter().all(|(_, answer)| answer.is_ok()), "{rule:?}: {answers:?}");
    let port: Arc<dyn Store> = Arc::clone(&store) as _;
    run.block_on(port.ping()).expect("a restart heals");
    drop((store, port));
    let report = store::verify_directory(disk.root(), None).expect("can be read");
    assert_eq!((report.first_bad, report.size), (None, head.size), "{rule:?}");
    disk.forget();
    Seen { refused, stopped, ping, after_healing }
}

const fn rule(on: On, name: &'static str, times: u64, fault: Fault) -> Rule {
    Rule { on, name, after: 0, times, fault }
}

#[test]
fn a_failed_sync_of_the_log_stops_the_store_at_once_and_for_good() {
    // The second sync would be answered well, and would mean nothing.
    let seen = with(rule(On::Sync, "omnihub.db-wal", 1, Fault::Io), 4096);
    assert_eq!(seen, Seen { refused: DURING, stopped: true, ping: false, after_healing: false });
}

#[test]
fn a_failed_or_torn_write_of_the_log_stops_the_store() {
    for fault in [Fault::Io, Fault::Torn(3), Fault::Torn(7)] {
        let seen = with(rule(On::Write, "omnihub.db-wal", 1, fault), 4096);
        assert_eq!(
            seen,
            Seen { refused: DURING, stopped: true, ping: false, after_healing: false },
            "{fault:?}"
        );
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_once_there_is_room() {
    for share in [0, 3, 7] {
        let seen = with(rule(On::Write, "omnihub.db-wal", u64::MAX, Fault::NoSpace(share)), 4096);
        assert_eq!(
            seen,
            Seen { refused: DURING, stopped: false, ping: false, after_healing: true },
            "{share} eighths"
        );
    }
}

#[test]
fn what_fails_while_the_log_is_folded_in_is_not_passed_over() {
    for fault in [
        rule(On::Sync, "omnihub.db", u64::MAX, Fault::Io),
        rule(On::Write, "omnihub.db", u64::MAX, Fault::Io),
    ] {
        let seen = with(fault.clone(), 1);
        assert!(seen.stopped && !seen.ping && !seen.after_healing, "{fault:?}: {seen:?}");
    }
}

#[test]
fn a_disk_that_is_full_while_the_log_is_folded_in_stops_nobody() {
    let seen = with(rule(On::Write, "omnihub.db", u64::MAX, Fault::NoSpace(0)), 1);
    assert!(!seen.stopped && seen.after_healing, "{seen:?}");
}

#[test]
fn a_page_that_cannot_be_read_is_an_error_and_never_another_answer() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Disk::over(&directory.path().join("data"));
    let run = runtime();
    let mut workload = Workload::new(9);
    let known = workload.known();
    let port: Arc<dyn Store> = open(&disk, 4096);
    for _ in 0..BEFORE {
        run.block_on(workload.step(&port)).expect("the disk is whole");
    }
    drop(port);
    let whole: Arc<dyn Store> = open(&disk, 4096);
    let expected = run.block_on(everything(&*whole, &known));
    drop(whole);
    for fault in [Fault::Io, Fault::ShortRead(0), Fault::ShortRead(3)] {
        let mut errors = 0;
        for after in 0..8 {
            // A store of its own each time: a page that was read once stays in memory.
            let store: Arc<dyn Store> = open(&disk, 4096);
            disk.refuse(Rule { on: On::Read, name: "omnihub.db", after, times: 1, fault });
            let answers = run.block_on(everything(&*store, &known));
            disk.heal();
            assert_eq!(answers.len(), expected.len(), "{fault:?} after {after}");
            errors += answers.iter().filter(|(_, answer)| answer.is_err()).count();
            for (wanted, got) in expected.iter().zip(&answers) {
                assert!(
                    got.1.is_err() || wanted == got,
                    "{fault:?} after {after}: {wanted:?} became {got:?}"
                );
            }
            assert_eq!(run.block_on(everything(&*store, &known)), expected, "{fault:?} heals");
        }
        assert!(errors > 0, "{fault:?}: nobody noticed");
    }
    disk.forget();
}
