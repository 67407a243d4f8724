//! The ledger: never more than allowed, in order, nobody forgotten.

use model::{ExecutionId, PrincipalId, Timestamp};
use proptest::prelude::*;

use super::super::limit::{Counted, NewLimit, Rate, Scope};
use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("an identifier")
}

fn who(number: u32) -> Holder {
    (tenant("acme"), ExecutionId::new(format!("e{number:05}")).expect("an identifier"), 0)
}

fn subject(key: &str) -> Subject {
    Subject { tenant: tenant("acme"), workflow: "shop/refund".into(), key: Some(key.into()), action: None }
}

fn limit(
    name: &str,
    scope: Scope,
    concurrency: Option<u32>,
    rate: Option<Rate>,
    on_excess: OnExcess,
) -> Limit {
    let asked =
        NewLimit { scope, of: None, concurrency, rate, on_excess, weight: None, reason: "a test".into() };
    let by = PrincipalId::new("user:ops").expect("an identifier");
    Limit::new(tenant("acme"), name, asked, false, by, Timestamp(0)).expect("a good limit")
}

fn ledger(limits: Vec<Limit>) -> Ledger {
    let mut ledger = Ledger { open: true, ..Ledger::default() };
    for limit in limits {
        let id = (limit.owner.clone(), limit.name.clone());
        assert!(ledger.put(limit).is_empty());
        ledger.counted(&id);
    }
    ledger
}

fn workflow() -> Scope {
    Scope::Workflow("shop/refund".into())
}

#[test]
fn so_many_at_once_and_then_in_order() {
    let mut ledger = ledger(vec![limit("two", workflow(), Some(2), None, OnExcess::Queue)]);
    assert_eq!(ledger.ask(&who(1), &subject(""), 0), Asked::Free);
    assert_eq!(ledger.ask(&who(2), &subject(""), 0), Asked::Free);
    assert_eq!(ledger.ask(&who(1), &subject(""), 0), Asked::Free, "who holds a place asks for none");
    assert_eq!(ledger.ask(&who(3), &subject(""), 0), Asked::Wait("two".into()));
    for (number, rank) in [(5, 50), (3, 30), (4, 40)] {
        ledger.stand_in_line(who(number), subject(""), rank, 0);
    }
    assert_eq!(ledger.let_in(0, 10), []);
    ledger.forget(&who(1));
    assert_eq!(ledger.ask(&who(6), &subject(""), 0), Asked::Wait("two".into()), "nobody jumps the line");
    assert_eq!(ledger.let_in(0, 10), [who(3)]);
    ledger.forget(&who(4));
    ledger.forget(&who(2));
    assert_eq!(ledger.let_in(0, 10), [who(5)], "who left the line is not let in");
    assert_eq!(ledger.line_of(&who(5)), None);
}

#[test]
fn a_rate_holds_in_any_period() {
    let rate = Some(Rate { count: 2, per_ms: 1_000 });
    let mut ledger = ledger(vec![limit("slow", workflow(), None, rate, OnExcess::Refuse)]);
    assert_eq!(ledger.ask(&who(1), &subject(""), 0), Asked::Free);
    assert_eq!(ledger.ask(&who(2), &subject(""), 900), Asked::Free);
    ledger.forget(&who(1));
    ledger.forget(&who(2));
    let refused = |retry_ms| Asked::Refused { limit: "slow".into(), retry_ms };
    assert_eq!(ledger.ask(&who(3), &subject(""), 950), refused(50), "an end does not give a start back");
    assert_eq!(ledger.ask(&who(3), &subject(""), 1_000), Asked::Free);
    assert_eq!(
        ledger.ask(&who(4), &subject(""), 1_001),
        refused(899),
        "no burst across the edge of a period"
    );
}

#[test]
fn a_line_behind_a_rate_knows_when_it_goes_on() {
    let rate = Some(Rate { count: 1, per_ms: 1_000 });
    let mut ledger = ledger(vec![limit("slow", workflow(), None, rate, OnExcess::Queue)]);
    assert_eq!(ledger.ask(&who(1), &subject(""), 100), Asked::Free);
    ledger.stand_in_line(who(2), subject(""), 2, 100);
    assert_eq!((ledger.let_in(1_099, 10), ledger.next_room_ms(1_099)), (vec![], Some(1_100)));
    assert_eq!(ledger.let_in(1_100, 10), [who(2)]);
}

#[test]
fn keys_are_counted_apart() {
    let mut ledger = ledger(vec![limit("each", Scope::Key("*".into()), Some(1), None, OnExcess::Queue)]);
    assert_eq!(ledger.ask(&who(1), &subject("ada"), 0), Asked::Free);
    assert_eq!(ledger.ask(&who(2), &subject("bob"), 0), Asked::Free);
    assert_eq!(ledger.ask(&who(3), &subject("ada"), 0), Asked::Wait("each".into()));
    let none = Subject { key: None, ..subject("") };
    assert_eq!(ledger.ask(&who(4), &none, 0), Asked::Free, "a workflow without keys is not counted by key");
}

#[test]
fn nobody_waits_while_holding() {
    let limits = vec![
        limit("a", workflow(), Some(1), None, OnExcess::Queue),
        limit("b", Scope::Key("*".into()), Some(1), None, OnExcess::Queue),
    ];
    let mut ledger = ledger(limits);
    assert_eq!(ledger.ask(&who(1), &subject("ada"), 0), Asked::Free);
    ledger.stand_in_line(who(2), subject("ada"), 2, 0);
    assert_eq!(ledger.line_of(&who(2)), Some("a"));
    let elsewhere = Subject { workflow: "shop/other".into(), ..subject("ada") };
    ledger.adopt(&who(3), &elsewhere);
    ledger.forget(&who(1));
    assert_eq!(ledger.let_in(0, 10), [], "the key is taken by another workflow");
    assert_eq!(ledger.line_of(&who(2)), Some("b"));
    assert_eq!(
        ledger.ask(&who(4), &subject("bob"), 0),
        Asked::Free,
        "and its place under `a` is free meanwhile"
    );
    ledger.forget(&who(3));
    assert_eq!(ledger.let_in(0, 10), []);
    ledger.forget(&who(4));
    assert_eq!(ledger.let_in(0, 10), [who(2)]);
}

#[test]
fn a_limit_that_is_being_counted_has_no_room() {
    let mut ledger = Ledger { open: true, ..Ledger::default() };
    let one = limit("one", workflow(), Some(1), None, OnExcess::Queue);
    let id = (one.owner.clone(), one.name.clone());
    ledger.put(one);
    ledger.stand_in_line(who(2), subject(""), 2, 0);
    ledger.forget(&who(1));
    ledger.adopt(&who(1), &subject(""));
    ledger.counted(&id);
    assert_eq!(ledger.let_in(0, 10), [who(2)], "what ended while it was counted is not counted");
}

#[test]
fn what_a_limit_held_back_asks_again_when_it_is_gone() {
    let mut ledger = ledger(vec![limit("one", workflow(), Some(1), None, OnExcess::Queue)]);
    assert_eq!(ledger.ask(&who(1), &subject(""), 0), Asked::Free);
    ledger.stand_in_line(who(2), subject(""), 2, 0);
    let again = ledger.remove(&(tenant("acme"), "one".into()));
    assert_eq!(again.iter().map(|(holder, ..)| holder.clone()).collect::<Vec<_>>(), [who(2)]);
    assert!(ledger.is_idle());
    ledger.stand_in_line(who(2), subject(""), 2, 0);
    assert_eq!(ledger.let_in(0, 10), [who(2)], "nothing is in its way");
}

#[test]
fn nobody_is_let_in_before_the_house_is_open() {
    let mut ledger = ledger(vec![limit("one", workflow(), Some(1), None, OnExcess::Queue)]);
    ledger.open = false;
    assert_eq!(ledger.ask(&who(1), &subject(""), 0), Asked::Wait("one".into()));
    ledger.stand_in_line(who(2), subject(""), 20, 0);
    ledger.stand_in_line(who(1), subject(""), 10, 0);
    ledger.open = true;
    assert_eq!(ledger.let_in(0, 10), [who(1)], "by rank, not by who was found first");
}

#[test]
fn wrong_limits_are_refused() {
    let asked = |scope, of, concurrency| NewLimit {
        scope,
        of,
        concurrency,
        rate: None,
        on_excess: OnExcess::Queue,
        weight: None,
        reason: "a test".into(),
    };
    let by = || PrincipalId::new("user:ops").expect("an identifier");
    let refused = |name: &str, asked: NewLimit, platform| {
        Limit::new(tenant("acme"), name, asked, platform, by(), Timestamp(0))
            .err()
            .map(|p| p.fields[0].field.clone())
    };
    let cases = [
        ("n", asked(Scope::Tenant("other".into()), None, Some(1)), Some("/scope/tenant")),
        ("n", asked(Scope::Tenant("*".into()), None, Some(1)), Some("/scope/tenant")),
        ("n", asked(Scope::Workflow("refund".into()), None, Some(1)), Some("/scope/workflow")),
        ("n", asked(Scope::Action("x".into()), Some(Counted::Executions), Some(1)), Some("/of")),
        ("n", asked(workflow(), None, None), Some("/concurrency")),
        ("n", asked(workflow(), None, Some(0)), Some("/concurrency")),
        ("N", asked(workflow(), None, Some(1)), Some("name")),
        ("n", asked(workflow(), None, Some(1)), None),
        ("n", asked(Scope::Tenant("acme".into()), None, Some(1)), None),
    ];
    for (name, asked, wrong) in cases {
        let told = format!("{asked:?}");
        assert_eq!(refused(name, asked, false).as_deref(), wrong, "{told}");
    }
    assert_eq!(refused("n", asked(Scope::Tenant("other".into()), None, Some(1)), true), None);
}

proptest! {
    /// Whatever happens: no bucket ever has more than its limit, and everything that waits comes to its turn.
    #[test]
    fn never_more_than_allowed(acts in prop::collection::vec((0u8..3, 0u32..40, 0usize..3), 1..300)) {
        let keys = ["a", "b", "c"];
        let mut ledger = ledger(vec![
            limit("all", workflow(), Some(4), None, OnExcess::Queue),
            limit("each", Scope::Key("*".into()), Some(2), None, OnExcess::Queue),
        ]);
        let mut running = BTreeMap::new();
        let mut waiting = BTreeMap::new();
        for (now, (act, number, key)) in (0i64..).zip(acts) {
            let holder = who(number);
            if act < 2 && !running.contains_key(&holder) && !waiting.contains_key(&holder) {
                ledger.stand_in_line(holder.clone(), subject(keys[key]), now, now);
                waiting.insert(holder, key);
            } else if act == 2 && running.remove(&holder).is_some() {
                ledger.forget(&holder);
            }
            for granted in ledger.let_in(now, 100) {
                let key = waiting.remove(&granted).expect("only who waits is let in");
                running.insert(granted, key);
            }
            prop_assert!(running.len() <= 4);
            prop_assert!((0..3).all(|key| running.values().filter(|k| **k == key).count() <= 2));
        }
        for _ in 0..100 {
            let Some(holder) = running.keys().next().cloned() else { break };
            running.remove(&holder);
            ledger.forget(&holder);
            for granted in ledger.let_in(1_000, 100) {
                let key = waiting.remove(&granted).expect("only who waits is let in");
                running.insert(granted, key);
            }
        }
        prop_assert!(running.is_empty() && waiting.is_empty(), "left: {running:?} {waiting:?}");
    }
}
