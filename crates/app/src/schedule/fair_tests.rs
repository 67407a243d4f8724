//! The fair queue: bounds, order, no starvation.

use proptest::prelude::*;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("an identifier")
}

fn at(name: &str, priority: Priority) -> Standing {
    Standing { tenant: tenant(name), target: String::new(), priority, weight: 1 }
}

/// Everything that waits, in the order in which it is taken when one thing is under way at a time.
fn drained<T>(queue: &mut FairQueue<T>, now_ms: i64) -> Vec<T> {
    let mut order = Vec::new();
    while let Some((item, taken)) = queue.take(1, now_ms) {
        queue.done(&taken, now_ms);
        order.push(item);
    }
    order
}

#[test]
fn a_flood_delays_another_tenant_by_one_turn() {
    let mut queue = FairQueue::default();
    for number in 0..1000 {
        queue.push(at("flood", Priority::Critical), 0, ("flood", number));
    }
    queue.push(at("quiet", Priority::Low), 0, ("quiet", 0));
    let order = drained(&mut queue, 0);
    assert_eq!(order.iter().position(|(who, _)| *who == "quiet"), Some(1));
    assert_eq!(order.len(), 1001);
}

#[test]
fn a_tenant_has_so_many_connections_to_a_target_and_what_needs_none_goes_past() {
    let mut queue = FairQueue::default();
    queue.bound_connections(2);
    let to = |tenant: &str, target: &str| Standing { target: target.into(), ..at(tenant, Priority::Normal) };
    for number in 0..5 {
        queue.push(to("a", "shop:443"), 0, ("a", number));
    }
    queue.push(to("b", "shop:443"), 0, ("b", 0));
    for number in 5..8 {
        queue.push(to("a", "sandbox"), 0, ("a", number));
    }
    let mut under_way = Vec::new();
    let mut take = |queue: &mut FairQueue<(&'static str, i32)>| {
        while let Some((item, taken)) = queue.take(100, 0) {
            under_way.push((item, taken));
        }
        let mut items: Vec<_> = under_way.iter().map(|(item, _)| *item).collect();
        items.sort_unstable();
        (items, under_way.iter().position(|(item, _)| *item == ("a", 0)).map(|at| under_way.remove(at).1))
    };
    let (items, first) = take(&mut queue);
    assert_eq!(items, [("a", 0), ("a", 1), ("a", 5), ("a", 6), ("a", 7), ("b", 0)]);
    assert_eq!(queue.waiting_of(&tenant("a")), 3, "two connections are all that it has there");
    queue.done(&first.expect("it was taken"), 0);
    let (items, _) = take(&mut queue);
    assert_eq!(items, [("a", 1), ("a", 2), ("a", 5), ("a", 6), ("a", 7), ("b", 0)]);
}

#[test]
fn weights_are_turns_in_a_row() {
    let mut queue = FairQueue::default();
    for number in 0..40 {
        queue.push(Standing { weight: 3, ..at("large", Priority::Normal) }, 0, ("large", number));
        queue.push(at("small", Priority::Normal), 0, ("small", number));
    }
    let first: Vec<_> = drained(&mut queue, 0).into_iter().take(40).collect();
    assert_eq!(first.iter().filter(|(who, _)| *who == "large").count(), 30);
}

#[test]
fn urgent_things_go_first_and_old_ones_are_not_overtaken() {
    let mut queue = FairQueue::default();
    queue.push(at("a", Priority::Low), 0, "low at 0");
    queue.push(at("a", Priority::Normal), 1_000, "normal at 1");
    queue.push(at("a", Priority::Critical), 2_000, "critical at 2");
    queue.push(at("a", Priority::Critical), 119_000, "critical at 119");
    queue.push(at("a", Priority::Critical), 121_000, "critical at 121");
    assert_eq!(
        drained(&mut queue, 121_000),
        ["critical at 2", "normal at 1", "critical at 119", "low at 0", "critical at 121"]
    );
}

#[test]
fn a_slow_target_does_not_take_every_place() {
    let mut queue = FairQueue::default();
    let to = |target: &str| Standing { target: target.into(), ..at("a", Priority::Normal) };
    for number in 0..100 {
        queue.push(to("slow"), 0, ("slow", number));
    }
    queue.push(to("fast"), 0, ("fast", 0));
    let mut under_way = Vec::new();
    while let Some((item, _)) = queue.take(16, 0) {
        under_way.push(item.0);
    }
    assert_eq!(under_way.iter().filter(|target| **target == "slow").count(), 14);
    assert_eq!(under_way.iter().filter(|target| **target == "fast").count(), 1);
}

#[test]
fn who_is_alone_has_every_place_and_leaves_room_when_others_come() {
    let mut queue = FairQueue::default();
    for number in 0..100 {
        queue.push(at("a", Priority::Normal), 0, number);
    }
    let mut held = Vec::new();
    while let Some((_, taken)) = queue.take(16, 0) {
        held.push(taken);
    }
    assert_eq!(held.len(), 16, "nobody else is there");
    queue.push(at("b", Priority::Normal), 1, 1000);
    for taken in held.drain(..4) {
        queue.done(&taken, 1);
    }
    let mut of_b = 0;
    let mut of_a = 0;
    while let Some((item, _)) = queue.take(16, 1) {
        if item == 1000 { of_b += 1 } else { of_a += 1 }
    }
    assert_eq!(
        (of_a, of_b),
        (2, 1),
        "12 were under way; 14 are the most of one tenant, and one place stays free"
    );
}

#[test]
fn one_place_is_everybodys() {
    let mut queue = FairQueue::default();
    queue.push(at("a", Priority::Normal), 0, "a");
    queue.push(at("b", Priority::Normal), 0, "b");
    assert_eq!(drained(&mut queue, 0), ["a", "b"]);
}

proptest! {
    /// Whatever comes: everything is taken once; between two turns of a tenant that waits all along, nobody gets more
    /// than the weights allow; and inside a tenant nothing is overtaken by what came more than a patience later.
    #[test]
    fn fair_whatever_comes(arrivals in prop::collection::vec((0usize..5, 0usize..4, 0i64..200_000), 1..300)) {
        let names = ["a", "b", "c", "d", "e"];
        let mut queue = FairQueue::default();
        let mut arrivals = arrivals;
        arrivals.sort_by_key(|(_, _, at)| *at);
        for (number, (who, priority, ms)) in arrivals.iter().enumerate() {
            queue.push(at(names[*who], Priority::ALL[*priority]), *ms, number);
        }
        prop_assert_eq!(queue.waiting(), arrivals.len());
        let order = drained(&mut queue, 200_000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..arrivals.len()).collect::<Vec<_>>());
        prop_assert_eq!((queue.waiting(), queue.under_way()), (0, 0));
        let tenants = arrivals.iter().map(|(who, ..)| *who).collect::<std::collections::BTreeSet<_>>().len();
        for who in 0..5 {
            let turns: Vec<usize> =
                order.iter().enumerate().filter(|(_, n)| arrivals[**n].0 == who).map(|(turn, _)| turn).collect();
            prop_assert!(turns.first().is_none_or(|first| *first < tenants));
            prop_assert!(turns.windows(2).all(|pair| pair[1] - pair[0] <= tenants));
        }
        for (turn, earlier) in order.iter().enumerate() {
            for later in &order[turn + 1..] {
                let ((a, pa, ta), (b, pb, tb)) = (arrivals[*earlier], arrivals[*later]);
                let rank = |priority: usize, at: i64| at + Priority::ALL[priority].patience_ms();
                prop_assert!(a != b || rank(pa, ta) <= rank(pb, tb));
            }
        }
    }
}
