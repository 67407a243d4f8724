//! The controller over steps of load and pace: nothing here waits or reads a clock but for its first moment.

use proptest::prelude::*;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("an identifier")
}

const ANY: Rule = Rule { tenant_max: 1_000, slow: true };

/// A house that is done with `pace` executions a second, offered `offered` a second, in steps of ten milliseconds.
struct House {
    counts: Counts,
    now: Instant,
    owed: f64,
    offer: f64,
    done: u32,
    refused: u32,
    most: usize,
}

impl House {
    fn new() -> Self {
        let (counts, now) = (Counts::default(), Instant::now());
        Self { counts, now, owed: 0.0, offer: 0.0, done: 0, refused: 0, most: 0 }
    }

    fn run(&mut self, seconds: f64, pace: f64, offered: f64, rule: Rule) {
        let acme = tenant("acme");
        (self.done, self.refused, self.most) = (0, 0, 0);
        for _ in 0..(seconds * 100.0) as u32 {
            self.now += Duration::from_millis(10);
            self.offer += offered / 100.0;
            while self.offer >= 1.0 {
                self.offer -= 1.0;
                match self.counts.refuse(&acme, Elsewhere::default(), rule, self.now) {
                    None => self.counts.enter(&acme, self.now),
                    Some(_) => self.refused += 1,
                }
            }
            self.most = self.most.max(self.counts.total);
            self.owed = if self.counts.total == 0 { 0.0 } else { self.owed + pace / 100.0 };
            while self.owed >= 1.0 && self.counts.total > 0 {
                self.owed -= 1.0;
                self.done += 1;
                self.counts.leave(&acme, true, self.now);
            }
        }
    }
}

#[test]
fn under_a_steady_overload_two_seconds_worth_is_at_work_and_as_much_is_done_as_can_be() {
    for pace in [200.0, 450.0] {
        let mut house = House::new();
        house.run(10.0, pace, pace * 3.0, ANY);
        house.run(60.0, pace, pace * 3.0, ANY);
        assert!((f64::from(house.done) - 60.0 * pace).abs() <= 60.0, "{} of {}", house.done, 60.0 * pace);
        assert!(house.most <= (pace * 2.2) as usize, "{} at work at a pace of {pace}", house.most);
        assert!(f64::from(house.refused) >= 60.0 * pace * 1.9, "{} refused", house.refused);
    }
}

#[test]
fn a_slower_house_is_noticed_within_seconds_and_a_faster_one_too() {
    let mut house = House::new();
    house.run(20.0, 450.0, 2_000.0, ANY);
    let before = house.most;
    house.run(5.0, 150.0, 2_000.0, ANY);
    house.run(20.0, 150.0, 2_000.0, ANY);
    assert!(before > 800 && house.most <= 340, "{before}, then {}", house.most);
    house.run(5.0, 450.0, 2_000.0, ANY);
    house.run(20.0, 450.0, 2_000.0, ANY);
    assert!(house.most > 800, "{}", house.most);
}

#[test]
fn what_little_came_says_nothing_about_the_pace() {
    let mut house = House::new();
    house.run(20.0, 450.0, 2_000.0, ANY);
    let pace = house.counts.pace.per_second;
    house.run(600.0, 450.0, 3.0, ANY);
    assert!(house.refused == 0 && house.counts.pace.per_second >= pace, "{}", house.counts.pace.per_second);
    // So that a burst after a quiet night is let in as one after a busy hour.
    house.run(1.0, 450.0, 1_000.0, ANY);
    assert_eq!(house.refused, 0);
}

#[test]
fn it_is_over_as_soon_as_nothing_more_comes() {
    let mut house = House::new();
    house.run(30.0, 450.0, 1_500.0, ANY);
    assert!(house.refused > 0);
    house.run(2.5, 450.0, 0.0, ANY);
    assert_eq!(house.counts.total, 0);
    house.run(5.0, 450.0, 400.0, ANY);
    assert_eq!(house.refused, 0);
}

#[test]
fn a_house_that_is_not_slow_itself_takes_what_a_tenant_may_have() {
    let rule = Rule { tenant_max: 1_000, slow: false };
    let mut house = House::new();
    // The outside does two a second: nobody's fault here.
    house.run(60.0, 2.0, 100.0, rule);
    assert!(house.most == 1_000 && house.refused > 0, "{} at work, {} refused", house.most, house.refused);
    let mut slow = House::new();
    slow.run(60.0, 2.0, 100.0, ANY);
    assert_eq!(slow.most, LEAST);
}

#[test]
fn nobody_waits_for_the_share_of_another() {
    let (flood, quiet) = (tenant("flood"), tenant("quiet"));
    let (mut counts, now) = (Counts::default(), Instant::now());
    let rule = Rule { tenant_max: 10_000, slow: true };
    let let_in = |counts: &mut Counts, tenant: &TenantId| {
        let in_time = counts.refuse(tenant, Elsewhere::default(), rule, now).is_none();
        if in_time {
            counts.enter(tenant, now);
        }
        in_time
    };
    while let_in(&mut counts, &flood) {}
    assert_eq!(counts.total, LEAST);
    let mut own = 0;
    while let_in(&mut counts, &quiet) {
        own += 1;
    }
    assert_eq!(own, LEAST / 2, "its half, though there is too much already");
    assert!(!let_in(&mut counts, &flood) && !let_in(&mut counts, &quiet));
    for _ in 0..own {
        counts.leave(&quiet, true, now);
    }
    assert!(!let_in(&mut counts, &flood), "what is left is not the flood's until it is below the margin");
    assert!(let_in(&mut counts, &quiet));
}

#[test]
fn what_the_outside_holds_is_not_counted_and_what_found_no_room_is() {
    let (acme, now) = (tenant("acme"), Instant::now());
    let mut counts = Counts::default();
    for _ in 0..1_000 {
        counts.enter(&acme, now);
    }
    let outside = Elsewhere { under_way: (500, 500), ..Elsewhere::default() };
    let turned_away = Elsewhere { turned_away: (500, 500), ..outside };
    let rule = Rule { tenant_max: 1_000, slow: false };
    assert_eq!(counts.refuse(&acme, outside, rule, now), None);
    assert!(matches!(counts.refuse(&acme, turned_away, rule, now), Some(Refused::Tenant(_))));
}

#[test]
fn one_that_is_refused_after_all_leaves_and_says_nothing_about_the_pace() {
    let backlog = Backlog::default();
    let now = Instant::now();
    let one = backlog.let_in(&tenant("acme"), Elsewhere::default(), ANY, now).expect("there is room");
    assert_eq!(backlog.at_work(&tenant("acme")), (1, 1));
    drop(one);
    assert_eq!((backlog.at_work(&tenant("acme")), backlog.0.lock().pace.left), ((0, 0), 0));
    backlog.enter(&tenant("acme"), now).done();
    assert_eq!((backlog.tenants(), backlog.0.lock().pace.left), (Vec::new(), 1));
}

proptest! {
    #[test]
    fn the_margin_is_crossed_upwards_at_the_limit_and_downwards_below_it(
        values in proptest::collection::vec(0usize..200, 1..200), allowed in 1usize..150,
    ) {
        let mut margin = Margin::default();
        let mut before = false;
        for value in values {
            let after = margin.exceeded(value, allowed);
            prop_assert!(!after || value > allowed - (allowed / 8).max(1));
            prop_assert!(after || value < allowed);
            if after != before {
                prop_assert_eq!(after, value >= allowed);
            }
            before = after;
        }
    }

    /// Whatever comes and goes: the counts are right, and a tenant below its share of what is allowed is let in.
    #[test]
    fn counts_add_up_and_shares_hold(acts in proptest::collection::vec((0usize..4, any::<bool>()), 1..2_000)) {
        let names = [tenant("a"), tenant("b"), tenant("c"), tenant("d")];
        let (mut counts, now) = (Counts::default(), Instant::now());
        let mut model = [0usize; 4];
        let rule = Rule { tenant_max: 400, slow: true };
        for (who, comes) in acts {
            if comes {
                let refused = counts.refuse(&names[who], Elsewhere::default(), rule, now);
                let tenants = model.iter().filter(|count| **count > 0).count();
                if refused.is_none() {
                    counts.enter(&names[who], now);
                    model[who] += 1;
                } else {
                    prop_assert!(model[who] * tenants >= LEAST || model[who] >= rule.tenant_max * 7 / 8);
                }
            } else if model[who] > 0 {
                counts.leave(&names[who], true, now);
                model[who] -= 1;
            }
            prop_assert_eq!(counts.total, model.iter().sum::<usize>());
            prop_assert!(counts.total <= 2 * LEAST);
        }
    }
}
