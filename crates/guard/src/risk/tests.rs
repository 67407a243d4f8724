//! The table of docs/risk.md, by example.

use super::*;

fn contract(effect: EffectKind, class: EffectClass) -> Contract {
    Contract {
        class,
        reviewed: true,
        blast_radius: BlastRadius { scope: "customer".to_owned(), max: 1, unit: "order".to_owned() },
        ..Contract::unreviewed(effect)
    }
}

fn facts(contract: &Contract) -> Facts<'_> {
    Facts {
        contract,
        operation: "refund-create:1.0.0",
        amount: None,
        untrusted_arguments: &[],
        principal: PrincipalKind::User,
        history: ActorHistory::default(),
    }
}

fn shown(risk: &Risk) -> String {
    let factors: Vec<String> = risk.factors.iter().map(|f| format!("{} {:+}", f.name, f.points)).collect();
    format!("{} {}: {}", risk.score, risk.level.name(), factors.join(", "))
}

#[test]
fn the_refund_of_a_cup_is_medium() {
    let mut refund = contract(EffectKind::Money, EffectClass::Probeable);
    refund.data = vec!["personal".to_owned()];
    let risk = score(&Facts { amount: Some((25.0, Some("EUR"))), ..facts(&refund) });
    assert_eq!(shown(&risk), "47 medium: money +35, data +5, probeable +5, blast-radius +2");
}

#[test]
fn amounts_by_band_and_currency() {
    let refund = contract(EffectKind::Money, EffectClass::Idempotent);
    let points = |value: f64, currency: Option<&str>| {
        let risk = score(&Facts { amount: Some((value, currency)), ..facts(&refund) });
        risk.score - 37
    };
    let cases = [
        (49.99, Some("EUR"), 0),
        (50.0, Some("eur"), 5),
        (499.0, Some("USD"), 5),
        (500.0, Some("EUR"), 15),
        (5_000.0, Some("JPY"), 0),
        (5_000.0, Some("GBP"), 25),
        (50_000.0, Some("EUR"), 40),
        (1.0, Some("XYZ"), 10),
        (20.0, None, 15),
        (-1.0, Some("EUR"), 40),
        (f64::NAN, Some("EUR"), 40),
        (f64::INFINITY, None, 40),
    ];
    for (value, currency, expected) in cases {
        assert_eq!(points(value, currency), expected, "{value} {currency:?}");
    }
    assert_eq!(score(&facts(&refund)).score - 37, 15, "money without an amount");
}

#[test]
fn each_factor_counts() {
    let low = contract(EffectKind::Write, EffectClass::Idempotent);
    assert_eq!(shown(&score(&facts(&low))), "17 low: write +15, blast-radius +2");
    let inline = Contract::unreviewed(EffectKind::Write);
    assert_eq!(
        shown(&score(&facts(&inline))),
        "65 high: irreversible +25, unreviewed +15, write +15, blast-radius +10"
    );
    let outside = ["/to".to_owned(), "/note".to_owned(), "/x".to_owned(), "/y".to_owned()];
    let agent = Facts { principal: PrincipalKind::Agent, untrusted_arguments: &outside, ..facts(&low) };
    assert_eq!(
        shown(&score(&agent)),
        "47 medium: untrusted-argument +20, write +15, agent +10, blast-radius +2"
    );
    let grant = contract(EffectKind::Permission, EffectClass::Irreversible);
    assert_eq!(score(&facts(&grant)).level, RiskLevel::High);
    let mut wide = contract(EffectKind::Delete, EffectClass::Irreversible);
    wide.blast_radius = BlastRadius { scope: "everyone".to_owned(), max: 1_000_000, unit: "row".to_owned() };
    assert_eq!(score(&facts(&wide)).score, 100);
}

#[test]
fn reads_stay_low_and_the_sandbox_is_nothing() {
    let read = Contract::unreviewed(EffectKind::Read);
    assert_eq!(shown(&score(&facts(&read))), "5 low: unreviewed +5");
    assert_eq!(score(&facts(&Contract::sandboxed())).score, 0);
}

#[test]
fn history_moves_the_score_both_ways() {
    let write = contract(EffectKind::Write, EffectClass::Idempotent);
    let with = |succeeded, failed| {
        i16::from(score(&Facts { history: ActorHistory { succeeded, failed }, ..facts(&write) }).score) - 17
    };
    assert_eq!(with(4, 0), 0);
    assert_eq!(with(1, 4), 10);
    assert_eq!(with(3, 2), 5);
    assert_eq!(with(40, 1), -5);
    assert_eq!(with(10, 0), 0);
    assert_eq!(with(0, u32::MAX), 10);
}
