//! What every store must do, one function for each behaviour, over the port alone.

use std::sync::Arc;

use model::id::{DeadLetterId, TokenId};
use model::{Digest, Timestamp, digest_of};
use serde_json::json;
use store::{AuditQuery, Batch, CommitError, Committed, ExecutionQuery, Expect, Put, Store, StoreError};

use crate::support::{commit, event, execution, record, row, step, tenant};

/// Calls a macro with the names of all behaviours.
macro_rules! behaviours {
    ($callback:ident) => {
        $callback! {
            histories_grow_and_come_back,
            histories_are_read_in_parts,
            snapshots_are_replaced_and_removed,
            a_wrong_length_is_a_conflict_and_spoils_nobody,
            first_events_need_a_row,
            a_refused_batch_leaves_nothing,
            batches_of_one_call_see_each_other,
            due_and_unfinished_and_blocked_are_found,
            what_runs_and_waits_in_turn_is_found_as_it_is,
            a_refused_step_does_not_confuse_the_next,
            what_is_due_is_divided_between_tenants,
            many_are_brought_back_at_once_in_their_order,
            executions_are_listed_by_page_and_filter,
            tenants_do_not_see_each_other,
            documents_are_guarded_and_listed,
            answers_run_out,
            dead_letters_tokens_and_secrets,
            blobs_are_kept_by_digest,
            leaves_are_found_and_proved,
            every_concurrent_commit_is_answered,
            wrong_cursors_are_refused,
            a_new_leader_fences_off_the_old_one,
            a_change_of_leader_parts_the_queue,
        }
    };
}
pub(crate) use behaviours;

pub async fn histories_grow_and_come_back(store: Arc<dyn Store>) {
    let (acme, one) = (tenant("acme"), execution("one"));
    assert_eq!(store.load(&acme, &one).await, Ok(None));
    commit(&*store, step(&acme, &one, 0, 2)).await;
    commit(&*store, step(&acme, &one, 2, 3)).await;
    let history = store.load(&acme, &one).await.expect("reads").expect("exists");
    assert_eq!(history.events, (0..5).map(event).collect::<Vec<_>>());
    assert_eq!(store.execution(&acme, &one).await, Ok(Some(row(&acme, &one))));
    assert!(store.ping().await.is_ok());
}

pub async fn histories_are_read_in_parts(store: Arc<dyn Store>) {
    let (acme, one) = (tenant("acme"), execution("one"));
    assert_eq!(store.load_from(&acme, &one, 0, 9).await, Ok(None));
    for (before, count) in [(0, 2), (2, 3), (5, 1), (6, 4)] {
        commit(&*store, step(&acme, &one, before, count)).await;
    }
    for from in 0..12 {
        for limit in [0, 1, 2, 3, 5, 10, u64::MAX] {
            let part = store.load_from(&acme, &one, from, limit).await.expect("reads").expect("exists");
            let wanted = from.min(10)..from.saturating_add(limit).min(10);
            let wanted: Vec<_> = wanted.map(|number| event(number.cast_signed())).collect();
            assert_eq!((part.events, part.total), (wanted, 10), "{limit} from {from}");
        }
    }
}

pub async fn snapshots_are_replaced_and_removed(store: Arc<dyn Store>) {
    let (acme, one) = (tenant("acme"), execution("one"));
    let put = |id: &str, version: u64| Put::Snapshot {
        tenant: tenant("acme"),
        execution: execution(id),
        version,
        bytes: version.to_be_bytes().to_vec(),
    };
    let puts = |puts: Vec<Put>| Batch { puts, ..Batch::default() };
    assert_eq!(store.snapshot(&acme, &one).await, Ok(None));
    commit(&*store, step(&acme, &one, 0, 3)).await;
    commit(&*store, puts(vec![put("one", 3), put("nobody", 1)])).await;
    assert_eq!(store.snapshot(&acme, &one).await, Ok(Some((3, 3u64.to_be_bytes().to_vec()))));
    let mut refused = step(&acme, &one, 9, 1);
    refused.puts.push(put("one", 10));
    assert!(matches!(store.commit(vec![refused]).await.as_slice(), [Err(CommitError::Conflict(_))]));
    let mut next = step(&acme, &one, 3, 2);
    next.puts.push(put("one", 5));
    commit(&*store, next).await;
    assert_eq!(store.snapshot(&acme, &one).await, Ok(Some((5, 5u64.to_be_bytes().to_vec()))));
    assert_eq!(store.snapshot(&tenant("other"), &one).await, Ok(None));
    assert_eq!(store.snapshot(&acme, &execution("nobody")).await, Ok(None));
    commit(&*store, puts(vec![Put::RemoveSnapshot { tenant: acme.clone(), execution: one.clone() }])).await;
    assert_eq!(store.snapshot(&acme, &one).await, Ok(None));
}

pub async fn a_wrong_length_is_a_conflict_and_spoils_nobody(store: Arc<dyn Store>) {
    let (acme, one, two) = (tenant("acme"), execution("one"), execution("two"));
    commit(&*store, step(&acme, &one, 0, 2)).await;
    let answers = store
        .commit(vec![
            step(&acme, &two, 0, 1),
            step(&acme, &one, 1, 1),
            step(&acme, &one, 2, 1),
            step(&acme, &two, 5, 1),
        ])
        .await;
    assert!(matches!(
        answers.as_slice(),
        [Ok(_), Err(CommitError::Conflict(_)), Ok(_), Err(CommitError::Conflict(_))]
    ));
    assert_eq!(store.load(&acme, &one).await.expect("reads").expect("exists").events.len(), 3);
    assert_eq!(store.head().await.expect("a head").size, 3);
}

pub async fn first_events_need_a_row(store: Arc<dyn Store>) {
    let (acme, one) = (tenant("acme"), execution("one"));
    let orphan = Batch { puts: Vec::new(), ..step(&acme, &one, 0, 1) };
    assert!(matches!(store.commit(vec![orphan]).await.as_slice(), [Err(CommitError::Failed(_))]));
    commit(&*store, step(&acme, &one, 0, 1)).await;
    commit(&*store, Batch { puts: Vec::new(), ..step(&acme, &one, 1, 1) }).await;
    assert_eq!(store.load(&acme, &one).await.expect("reads").expect("exists").events.len(), 2);
}

pub async fn a_refused_batch_leaves_nothing(store: Arc<dyn Store>) {
    let (acme, one) = (tenant("acme"), execution("one"));
    commit(&*store, step(&acme, &one, 0, 1)).await;
    let before = store.head().await.expect("a head");
    let mut refused = step(&acme, &one, 7, 1);
    refused.puts.push(document("rules", json!(1)));
    assert!(matches!(store.commit(vec![refused]).await.as_slice(), [Err(CommitError::Conflict(_))]));
    let starts_again =
        Batch { expect: vec![Expect::NoExecution(acme.clone(), one.clone())], ..step(&acme, &one, 1, 1) };
    assert!(matches!(store.commit(vec![starts_again]).await.as_slice(), [Err(CommitError::Conflict(_))]));
    assert_eq!(store.document(&acme, "policy", "rules").await, Ok(None));
    assert_eq!(store.load(&acme, &one).await.expect("reads").expect("exists").events.len(), 1);
    assert_eq!(store.head().await, Ok(before));
}

pub async fn batches_of_one_call_see_each_other(store: Arc<dyn Store>) {
    let (acme, one) = (tenant("acme"), execution("one"));
    let start =
        || Batch { expect: vec![Expect::NoExecution(acme.clone(), one.clone())], ..step(&acme, &one, 0, 1) };
    let answers = store.commit(vec![start(), step(&acme, &one, 1, 1), start()]).await;
    assert_eq!(answers[0], Ok(Committed { first_leaf: 0, leaves: 1 }));
    assert_eq!(answers[1], Ok(Committed { first_leaf: 1, leaves: 1 }));
    assert!(matches!(answers[2], Err(CommitError::Conflict(_))));
    assert_eq!(store.commit(Vec::new()).await, Vec::new());
}

/// Whose and which, of executions that wait.
fn names(
    found: Result<Vec<store::Blocked>, store::StoreError>,
) -> Vec<(model::TenantId, model::ExecutionId)> {
    let found = found.expect("reads");
    found.into_iter().map(|blocked| (blocked.tenant, blocked.execution)).collect()
}

pub async fn due_and_unfinished_and_blocked_are_found(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    assert_eq!(store.next_due().await, Ok(None));
    for (name, due, status, blocked) in [
        ("late", Some(300), "waiting", Some("timer")),
        ("early", Some(100), "waiting", Some("control:kill-switch")),
        ("busy", None, "running", None),
        ("new", None, "pending", Some("control:safe-mode")),
        ("done", None, "completed", None),
    ] {
        let mut changed = row(&acme, &execution(name));
        changed.status = status.to_owned();
        changed.due_at = due.map(Timestamp);
        changed.blocked_on = blocked.map(str::to_owned);
        commit(&*store, Batch { puts: vec![Put::Execution(Arc::new(changed))], ..Batch::default() }).await;
    }
    let named = |name: &str| (acme.clone(), execution(name));
    assert_eq!(store.next_due().await, Ok(Some(Timestamp(100))));
    assert_eq!(store.due(Timestamp(99), 9, &[]).await, Ok(vec![]));
    assert_eq!(store.due(Timestamp(299), 9, &[]).await, Ok(vec![named("early")]));
    assert_eq!(store.due(Timestamp(300), 9, &[]).await, Ok(vec![named("early"), named("late")]));
    assert_eq!(store.due(Timestamp(300), 1, &[]).await, Ok(vec![named("early")]));
    assert_eq!(store.due(Timestamp(300), 9, std::slice::from_ref(&acme)).await, Ok(vec![]));
    assert_eq!(names(store.blocked("control:", None, 9).await), [named("early"), named("new")]);
    assert_eq!(names(store.blocked("control:k", None, 9).await), [named("early")]);
    let first = store.blocked("control:", None, 1).await.expect("reads").remove(0);
    assert_eq!(first.on, "control:kill-switch");
    assert_eq!(names(store.blocked("control:", Some(first.key), 9).await), [named("new")]);
    let unfinished = store.unfinished(None, 9).await.expect("reads");
    assert_eq!(unfinished.iter().map(|found| found.2.as_str()).collect::<Vec<_>>(), ["busy", "new"]);
    let rest = store.unfinished(Some(unfinished[0].0), 9).await.expect("reads");
    assert_eq!(rest, unfinished[1..]);
    commit(
        &*store,
        Batch { puts: vec![Put::Execution(Arc::new(row(&acme, &execution("early"))))], ..Batch::default() },
    )
    .await;
    assert_eq!(store.next_due().await, Ok(Some(Timestamp(300))));
    assert_eq!(store.unfinished(None, 9).await.expect("reads").len(), 3);
    assert!(names(store.blocked("control:k", None, 9).await).is_empty());
}

/// What an execution waits for is found whatever it did before: what runs is kept apart from what waits.
pub async fn what_runs_and_waits_in_turn_is_found_as_it_is(store: Arc<dyn Store>) {
    let (acme, id) = (tenant("acme"), execution("turning"));
    let mut still = row(&acme, &execution("still"));
    (still.status, still.blocked_on) = ("suspended".to_owned(), Some("effect:1".to_owned()));
    commit(&*store, Batch { puts: vec![Put::Execution(Arc::new(still))], ..Batch::default() }).await;
    let turns = [
        ("running", Some("effect:1")),
        ("running", Some("effect:2")),
        ("waiting", Some("control:kill-switch")),
        ("running", Some("control:kill-switch")),
        ("running", Some("effect:3")),
        ("suspended", Some("effect:3")),
        ("running", Some("effect:4")),
        ("completed", None),
    ];
    for (step, (status, on)) in turns.into_iter().enumerate() {
        let mut changed = row(&acme, &id);
        changed.status = status.to_owned();
        changed.blocked_on = on.map(str::to_owned);
        changed.updated_at = Timestamp(1_000 + step as i64);
        let batch =
            Batch { puts: vec![Put::Execution(Arc::new(changed.clone()))], ..step_of(&acme, &id, step) };
        commit(&*store, batch).await;
        assert_eq!(store.execution(&acme, &id).await, Ok(Some(changed)), "step {step}");
        let found = |prefix: &str| {
            let (store, prefix, on, id) =
                (Arc::clone(&store), prefix.to_owned(), on, (acme.clone(), id.clone()));
            async move {
                let is_there = names(store.blocked(&prefix, None, 9).await).contains(&id);
                assert_eq!(is_there, on.is_some_and(|on| on.starts_with(&prefix)), "step {step}, `{prefix}`");
            }
        };
        for prefix in ["control:", "effect:", "effect:3", "eff", ""] {
            found(prefix).await;
        }
        let waiting = u64::from(on == Some("control:kill-switch"));
        let running = 1 + u64::from(on.is_some_and(|on| on.starts_with("effect:")));
        let mut kinds = vec![("control:kill-switch".to_owned(), waiting), ("effect".to_owned(), running)];
        kinds.retain(|(_, number)| *number > 0);
        assert_eq!(store.count_by_block(&acme).await, Ok(kinds), "step {step}");
    }
}

/// A batch that is refused, or a whole group that is, leaves no trace in what the writer remembers of an execution.
pub async fn a_refused_step_does_not_confuse_the_next(store: Arc<dyn Store>) {
    let (acme, id) = (tenant("acme"), execution("steady"));
    commit(&*store, step(&acme, &id, 0, 2)).await;
    for before in [0, 1, 3, 9] {
        let refused = store.commit(vec![step(&acme, &id, before, 1)]).await;
        assert!(matches!(refused[..], [Err(store::CommitError::Conflict(_))]), "before {before}");
    }
    let again =
        Batch { expect: vec![Expect::NoExecution(acme.clone(), id.clone())], ..step(&acme, &id, 2, 1) };
    assert!(matches!(store.commit(vec![again]).await[..], [Err(store::CommitError::Conflict(_))]));
    let results =
        store.commit(vec![step(&acme, &id, 2, 1), step(&acme, &id, 2, 1), step(&acme, &id, 3, 1)]).await;
    assert!(results[0].is_ok() && results[1].is_err() && results[2].is_ok(), "{results:?}");
    let history = store.load(&acme, &id).await.expect("reads").expect("is there");
    assert_eq!(history.events.len(), 4);
    commit(&*store, step(&acme, &id, 4, 1)).await;
}

fn step_of(tenant: &model::TenantId, id: &model::ExecutionId, number: usize) -> Batch {
    step(tenant, id, number as u64, 1)
}

pub async fn what_is_due_is_divided_between_tenants(store: Arc<dyn Store>) {
    let due = |name: &str, number: i64, at: i64| {
        let mut changed = row(&tenant(name), &execution(&format!("{name}-{number}")));
        changed.due_at = Some(Timestamp(at));
        Batch { puts: vec![Put::Execution(Arc::new(changed))], ..Batch::default() }
    };
    for number in 0..20 {
        commit(&*store, due("flood", number, 100 + number)).await;
    }
    for (name, at) in [("small", 150), ("late", 180), ("idle", 900)] {
        commit(&*store, due(name, 0, at)).await;
    }
    let found = async |limit: u32, except: &[model::TenantId]| {
        let found = store.due(Timestamp(500), limit, except).await.expect("reads");
        found.into_iter().map(|(_, id)| id.to_string()).collect::<Vec<_>>()
    };
    // A third for each of three; what the small ones leave is not the flood's, who was asked first.
    assert_eq!(found(6, &[]).await, ["flood-0", "flood-1", "small-0", "late-0"]);
    assert_eq!(found(2, &[]).await, ["flood-0", "small-0"]);
    assert_eq!(found(1, &[]).await, ["flood-0"], "who has waited longest is first");
    assert_eq!(found(0, &[]).await, Vec::<String>::new());
    assert_eq!(found(9, &[tenant("flood")]).await, ["small-0", "late-0"]);
    assert_eq!(found(100, &[]).await.len(), 22, "and nothing that is not due");
}

pub async fn many_are_brought_back_at_once_in_their_order(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    for name in ["one", "two"] {
        let id = execution(name);
        let puts = vec![Put::Execution(Arc::new(row(&acme, &id)))];
        let events = Some((acme.clone(), id, 0, vec![event(1), event(2)]));
        commit(&*store, Batch { puts, events, ..Batch::default() }).await;
    }
    let asked = [execution("two"), execution("none"), execution("one")];
    let all = store.stored_all(&acme, &asked).await.expect("reads");
    let found: Vec<_> = all
        .iter()
        .map(|stored| stored.as_ref().map(|s| (s.row.id.as_str(), s.history.events.len(), s.history.total)))
        .collect();
    assert_eq!(found, [Some(("two", 2, 2)), None, Some(("one", 2, 2))]);
    let others = store.stored_all(&tenant("other"), &asked).await.expect("reads");
    assert!(others.iter().all(Option::is_none), "no tenant sees another's");
}

pub async fn executions_are_listed_by_page_and_filter(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    let batches = (0..10).map(|n| {
        let mut made = row(&acme, &execution(&format!("e{n}")));
        made.status = if n % 2 == 0 { "completed" } else { "faulted" }.to_owned();
        made.outcome = (n == 4).then(|| "verified".to_owned());
        made.started_at = Timestamp(n * 100);
        made.error = (n == 3).then(|| "Shop UNREACHABLE".to_owned());
        Batch { puts: vec![Put::Execution(Arc::new(made))], ..Batch::default() }
    });
    assert!(store.commit(batches.collect()).await.iter().all(Result::is_ok));
    let list = async |query: ExecutionQuery| {
        let mut names = Vec::new();
        let mut cursor = None;
        loop {
            let query = ExecutionQuery { cursor, limit: 3, ..query.clone() };
            let page = store.executions(&acme, query).await.expect("reads");
            assert!(page.items.len() <= 3);
            names.extend(page.items.iter().map(|row| row.id.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                return names.join(" ");
            }
        }
    };
    let all = ExecutionQuery::default;
    assert_eq!(list(all()).await, "e9 e8 e7 e6 e5 e4 e3 e2 e1 e0");
    let statuses = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    assert_eq!(list(ExecutionQuery { statuses: statuses(&["faulted"]), ..all() }).await, "e9 e7 e5 e3 e1");
    assert_eq!(
        list(ExecutionQuery { statuses: statuses(&["faulted", "completed"]), ..all() }).await.len(),
        29
    );
    assert_eq!(list(ExecutionQuery { text: Some("unreach".to_owned()), ..all() }).await, "e3");
    assert_eq!(list(ExecutionQuery { outcome: Some("verified".to_owned()), ..all() }).await, "e4");
    assert_eq!(list(ExecutionQuery { workflow: Some("other/refund".to_owned()), ..all() }).await, "");
    let between = ExecutionQuery { after: Some(Timestamp(200)), before: Some(Timestamp(400)), ..all() };
    assert_eq!(list(between).await, "e3 e2");
    let counts = store.count_by_status(&acme).await;
    assert_eq!(counts, Ok(vec![("completed".to_owned(), 5), ("faulted".to_owned(), 5)]));
}

pub async fn tenants_do_not_see_each_other(store: Arc<dyn Store>) {
    let (acme, other, one) = (tenant("acme"), tenant("other"), execution("one"));
    commit(&*store, step(&acme, &one, 0, 1)).await;
    assert_eq!(store.load(&other, &one).await, Ok(None));
    assert_eq!(store.execution(&other, &one).await, Ok(None));
    commit(&*store, step(&other, &one, 0, 2)).await;
    assert_eq!(store.load(&acme, &one).await.expect("reads").expect("exists").events.len(), 1);
    let list = store
        .executions(&other, ExecutionQuery { limit: 9, ..ExecutionQuery::default() })
        .await
        .expect("reads");
    assert_eq!(list.items, [row(&other, &one)]);
    let query = AuditQuery {
        tenant: Some(other),
        correlation: Some("one".to_owned()),
        limit: 9,
        ..AuditQuery::default()
    };
    let leaves = store.leaves(query).await.expect("reads");
    assert_eq!(leaves.items.iter().map(|leaf| leaf.sequence).collect::<Vec<_>>(), [1]);
}

fn document(key: &str, document: serde_json::Value) -> Put {
    Put::Document { tenant: tenant("acme"), kind: "policy".to_owned(), key: key.to_owned(), document }
}

pub async fn documents_are_guarded_and_listed(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    let guarded = |expect, put| Batch { expect: vec![expect], puts: vec![put], ..Batch::default() };
    let absent = || Expect::NoDocument(acme.clone(), "policy".to_owned(), "a/1".to_owned());
    let is = |digest| Expect::Document(acme.clone(), "policy".to_owned(), "a/1".to_owned(), digest);
    let (first, second) = (json!({"b": 1.0, "a": 2}), json!({"v": 2}));
    let missing = store.commit(vec![guarded(is(Digest::of(b"")), document("a/1", first.clone()))]).await;
    assert!(matches!(missing.as_slice(), [Err(CommitError::Conflict(_))]));
    commit(&*store, guarded(absent(), document("a/1", first.clone()))).await;
    let again = store.commit(vec![guarded(absent(), document("a/1", second.clone()))]).await;
    assert!(matches!(again.as_slice(), [Err(CommitError::Conflict(_))]));
    commit(&*store, guarded(is(digest_of(&json!({"a": 2, "b": 1}))), document("a/1", second.clone()))).await;
    let stale = store.commit(vec![guarded(is(digest_of(&first)), document("a/1", first.clone()))]).await;
    assert!(matches!(stale.as_slice(), [Err(CommitError::Conflict(_))]));
    assert_eq!(store.document(&acme, "policy", "a/1").await, Ok(Some(second)));

    let puts = ["a/2", "a/3", "b/1"].map(|key| document(key, json!(key))).to_vec();
    commit(&*store, Batch { puts, ..Batch::default() }).await;
    let keys = async |prefix: &str, after: Option<&str>, limit| {
        let found = store.documents(&acme, "policy", prefix, after, limit).await.expect("reads");
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys("", None, 9).await, "a/1 a/2 a/3 b/1");
    assert_eq!(keys("a/", Some("a/1"), 9).await, "a/2 a/3");
    assert_eq!(keys("", Some("a/1"), 2).await, "a/2 a/3");
    let remove = Put::Remove { tenant: acme.clone(), kind: "policy".to_owned(), key: "a/2".to_owned() };
    commit(&*store, Batch { puts: vec![remove], ..Batch::default() }).await;
    assert_eq!(keys("", None, 9).await, "a/1 a/3 b/1");
}

pub async fn answers_run_out(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    let answer = |document| Put::Answer {
        tenant: acme.clone(),
        key: "k".to_owned(),
        expires_at: Timestamp(100),
        document,
    };
    let at = |now, document| Batch {
        expect: vec![Expect::NoAnswer(acme.clone(), "k".to_owned(), Timestamp(now))],
        puts: vec![answer(document)],
        ..Batch::default()
    };
    commit(&*store, at(50, json!(1))).await;
    assert!(matches!(store.commit(vec![at(99, json!(2))]).await.as_slice(), [Err(CommitError::Conflict(_))]));
    assert_eq!(store.deduplicated(&acme, "k", Timestamp(99)).await, Ok(Some(json!(1))));
    assert_eq!(store.deduplicated(&acme, "k", Timestamp(100)).await, Ok(None));
    commit(&*store, at(100, json!(2))).await;
}

pub async fn dead_letters_tokens_and_secrets(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    let letter = |name: &str| DeadLetterId::new(name).expect("an id");
    let put = |name: &str, open| Put::DeadLetter {
        tenant: acme.clone(),
        id: letter(name),
        open,
        document: json!(name),
    };
    let puts = vec![put("d1", true), put("d2", true), put("d3", true), put("d2", false)];
    commit(&*store, Batch { puts, ..Batch::default() }).await;
    let first = store.dead_letters(&acme, false, None, 2).await.expect("reads");
    assert_eq!(first.items, [json!("d3"), json!("d2")]);
    let rest = store.dead_letters(&acme, false, first.next, 2).await.expect("reads");
    assert_eq!((rest.items, rest.next), (vec![json!("d1")], None));
    let open = store.dead_letters(&acme, true, None, 9).await.expect("reads");
    assert_eq!(open.items, [json!("d3"), json!("d1")]);
    assert_eq!(store.dead_letter(&acme, &letter("d2")).await, Ok(Some(json!("d2"))));

    let token = TokenId::new("t1").expect("an id");
    let sealed = store.seal_secret(&acme, "shop", &json!({"token": "s3cret"})).expect("seals");
    let puts = vec![
        Put::Token { id: token.clone(), tenant: acme.clone(), document: json!({"hash": "x"}) },
        Put::Secret { tenant: acme.clone(), name: "shop".to_owned(), sealed: sealed.clone() },
        Put::Secret { tenant: acme.clone(), name: "moved".to_owned(), sealed },
    ];
    commit(&*store, Batch { puts, ..Batch::default() }).await;
    assert_eq!(store.token(&token).await, Ok(Some(json!({"hash": "x"}))));
    assert_eq!(store.secret(&acme, "shop").await, Ok(Some(json!({"token": "s3cret"}))));
    assert!(matches!(store.secret(&acme, "moved").await, Err(StoreError::Corrupt(_))));
    assert_eq!(store.secret_names(&acme).await, Ok(vec!["moved".to_owned(), "shop".to_owned()]));
    let puts = vec![
        Put::RemoveToken(token.clone()),
        Put::RemoveSecret { tenant: acme.clone(), name: "shop".to_owned() },
    ];
    commit(&*store, Batch { puts, ..Batch::default() }).await;
    assert_eq!(store.token(&token).await, Ok(None));
    assert_eq!(store.secret(&acme, "shop").await, Ok(None));
}

pub async fn blobs_are_kept_by_digest(store: Arc<dyn Store>) {
    let (acme, other) = (tenant("acme"), tenant(".."));
    let digest = store.put_blob(&acme, b"payload".to_vec()).await.expect("keeps");
    assert_eq!(digest, Digest::of(b"payload"));
    assert_eq!(store.put_blob(&acme, b"payload".to_vec()).await, Ok(digest));
    assert_eq!(store.blob(&acme, &digest).await, Ok(Some(b"payload".to_vec())));
    assert_eq!(store.blob(&other, &digest).await, Ok(None));
    assert_eq!(store.put_blob(&other, b"payload".to_vec()).await, Ok(digest));
}

pub async fn leaves_are_found_and_proved(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    let empty = store.head().await.expect("a head");
    assert_eq!((empty.size, empty.root), (0, audit::EMPTY_ROOT));
    let records = (0..600).map(|n| {
        let action = if n % 100 == 7 { "control.set" } else { "effect.judged" };
        record(&acme, &format!("c{}", n % 3), action)
    });
    let committed = commit(&*store, Batch { records: records.collect(), ..Batch::default() }).await;
    assert_eq!(committed, Committed { first_leaf: 0, leaves: 600 });
    let head = store.head().await.expect("a head");
    let page = store.leaves(AuditQuery { limit: 1000, ..AuditQuery::default() }).await.expect("reads");
    assert_eq!((page.items.len(), page.next), (600, None));
    for index in [0, 1, 255, 256, 511, 512, 599] {
        let leaf = &page.items[usize::try_from(index).expect("small")];
        assert_eq!(audit::leaf_hash(&leaf.bytes), leaf.hash);
        let proof = store.inclusion(index, 600).await.expect("a proof");
        assert_eq!(audit::verify_inclusion(&leaf.hash, index, 600, &proof, &head.root), Ok(()));
    }
    for first in [1, 255, 256, 300, 600] {
        let proof = store.consistency(first, 600).await.expect("a proof");
        let mut old = audit::Frontier::default();
        page.items[..usize::try_from(first).expect("small")]
            .iter()
            .for_each(|leaf| old.append(leaf.hash, |_, _, _| {}));
        assert_eq!(audit::verify_consistency(first, &old.root(), 600, &head.root, &proof), Ok(()));
    }
    assert!(store.inclusion(600, 600).await.is_err());
    assert!(store.inclusion(0, 601).await.is_err());
    assert!(store.consistency(1, 601).await.is_err());

    let find = async |query: AuditQuery| {
        let page = store.leaves(AuditQuery { limit: 3, ..query }).await.expect("reads");
        (page.items.iter().map(|leaf| leaf.sequence).collect::<Vec<_>>(), page.next)
    };
    let controls = || AuditQuery { action: Some("control.".to_owned()), ..AuditQuery::default() };
    let (first, next) = find(controls()).await;
    assert_eq!(first, [7, 107, 207]);
    assert_eq!(find(AuditQuery { cursor: next, ..controls() }).await, (vec![307, 407, 507], None));
    let (newest, next) = find(AuditQuery { newest_first: true, ..controls() }).await;
    assert_eq!(newest, [507, 407, 307]);
    assert_eq!(find(AuditQuery { newest_first: true, cursor: next, ..controls() }).await.0, [207, 107, 7]);
    let of_one = AuditQuery { correlation: Some("c1".to_owned()), from: 590, ..AuditQuery::default() };
    assert_eq!(find(of_one).await.0, [592, 595, 598]);
    assert_eq!(
        find(AuditQuery { actor: Some("bob".to_owned()), ..AuditQuery::default() }).await,
        (vec![], None)
    );
    assert_eq!(
        find(AuditQuery { tenant: Some(tenant("other")), ..AuditQuery::default() }).await,
        (vec![], None)
    );
}

pub async fn every_concurrent_commit_is_answered(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let (store, acme) = (Arc::clone(&store), acme.clone());
            tokio::spawn(async move {
                let id = execution(&format!("e{}", n / 2));
                // Two tasks want the same execution: exactly one of them may have it.
                let expect = vec![Expect::NoExecution(acme.clone(), id.clone())];
                store.commit(vec![Batch { expect, ..step(&acme, &id, 0, 1) }]).await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.expect("no panic").as_slice() {
            [Ok(_)] => won += 1,
            [Err(CommitError::Conflict(_))] => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 20);
    assert_eq!(store.head().await.expect("a head").size, 20);
}

pub async fn wrong_cursors_are_refused(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    let cursor = Some("nonsense".to_owned());
    let page = store
        .executions(&acme, ExecutionQuery { cursor: cursor.clone(), limit: 1, ..ExecutionQuery::default() });
    assert!(matches!(page.await, Err(StoreError::Cursor(_))));
    let page = store.leaves(AuditQuery { cursor: cursor.clone(), limit: 1, ..AuditQuery::default() });
    assert!(matches!(page.await, Err(StoreError::Cursor(_))));
    assert!(matches!(store.dead_letters(&acme, false, cursor, 1).await, Err(StoreError::Cursor(_))));
}

pub async fn a_new_leader_fences_off_the_old_one(store: Arc<dyn Store>) {
    let (acme, one) = (tenant("acme"), execution("one"));
    let held = |lease: Option<u64>, before: u64| Batch {
        lease,
        ..step(&tenant("acme"), &execution("one"), before, 1)
    };
    commit(&*store, held(None, 0)).await;
    let first = store.lead("first").await.expect("leads");
    let second = store.lead("second").await.expect("leads");
    assert!(first > 0 && second > first, "{first}, {second}");
    let size = store.head().await.expect("a head").size;
    let late = [held(Some(first), 1), held(None, 1), held(Some(second + 1), 1)];
    for (batch, lease) in late.into_iter().zip([first, 0, second + 1]) {
        let refused = store.commit(vec![batch]).await;
        assert_eq!(refused, [Err(CommitError::Fenced { held: lease, newest: second })]);
    }
    assert_eq!(store.head().await.expect("a head").size, size, "a refused batch leaves no leaf");
    // A call of both: each batch is judged by its own lease.
    let mixed = store.commit(vec![held(Some(first), 1), held(Some(second), 1)]).await;
    assert!(matches!(mixed.as_slice(), [Err(CommitError::Fenced { .. }), Ok(_)]), "{mixed:?}");
    assert_eq!(store.load(&acme, &one).await.expect("reads").expect("exists").events.len(), 2);
    assert!(store.lead("").await.is_err() && store.lead(&"x".repeat(256)).await.is_err());
    assert_eq!(store.lead("third").await, Ok(second + 1), "a refused name takes no lease");
}

/// Commits that race with a change of leader are whole, and none of the old leader's comes after one of the new.
pub async fn a_change_of_leader_parts_the_queue(store: Arc<dyn Store>) {
    let acme = tenant("acme");
    let old = store.lead("old").await.expect("leads");
    let commits: Vec<_> = (0..200)
        .map(|n| {
            let (store, acme) = (Arc::clone(&store), acme.clone());
            tokio::spawn(async move {
                let batch = Batch { lease: Some(old), ..step(&acme, &execution(&format!("old{n}")), 0, 1) };
                store.commit(vec![batch]).await.pop().expect("one answer")
            })
        })
        .collect();
    let new = store.lead("new").await.expect("leads");
    let first = commit(&*store, Batch { lease: Some(new), ..step(&acme, &execution("new"), 0, 1) }).await;
    for commit in commits {
        match commit.await.expect("no panic") {
            Ok(committed) => {
                assert!(committed.first_leaf < first.first_leaf, "{committed:?} after {first:?}")
            }
            Err(error) => assert_eq!(error, CommitError::Fenced { held: old, newest: new }),
        }
    }
}
