//! How much could go wrong with one effect: a score of 0 to 100 that is a sum of named factors.
//!
//! The table is in `docs/risk.md`; the constants here are its truth. A read is scored by what it shows, anything else
//! by what it does, how far it reaches, whether it can be taken back, where its arguments came from and who asks.
//! What is not stated counts as if it were bad.

use model::action::BlastRadius;
use model::principal::PrincipalKind;
use model::verdict::{Risk, RiskFactor, RiskLevel};
use model::{Contract, EffectClass, EffectKind};

/// Everything a score depends on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What the catalogue promises.
    pub contract: &'a Contract,
    /// The operation, for example `refund-create:1.0.0` or `http:POST`.
    pub operation: &'a str,
    /// How much money moves and in which ISO 4217 currency, when the contract says where to look.
    pub amount: Option<(f64, Option<&'a str>)>,
    /// Pointers of arguments whose values came from a model or the outside.
    pub untrusted_arguments: &'a [String],
    /// Who asks.
    pub principal: PrincipalKind,
    /// How this actor's earlier uses of the operation went.
    pub history: ActorHistory,
}

/// How the actor's earlier uses of this operation ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ActorHistory {
    /// Verified outcomes.
    pub succeeded: u32,
    /// Failed or unknown outcomes.
    pub failed: u32,
}

/// Euros for one unit of a currency, rounded up so that a stale rate errs to the careful side. Bands are powers of
/// ten: a rate that is off by a fifth moves few amounts.
pub const RATES: [(&str, f64); 20] = [
    ("AUD", 0.7),
    ("BRL", 0.2),
    ("CAD", 0.75),
    ("CHF", 1.1),
    ("CNY", 0.15),
    ("CZK", 0.05),
    ("DKK", 0.14),
    ("EUR", 1.0),
    ("GBP", 1.25),
    ("HUF", 0.003),
    ("INR", 0.012),
    ("JPY", 0.007),
    ("KWD", 3.3),
    ("MXN", 0.06),
    ("NOK", 0.1),
    ("NZD", 0.65),
    ("PLN", 0.25),
    ("SEK", 0.1),
    ("USD", 1.0),
    ("ZAR", 0.06),
];
/// Assumed for a currency that is missing or not in [`RATES`]: no common currency is worth more.
const RATE_UNKNOWN: f64 = 4.0;
/// Points of the data classes together at the most.
const DATA_MAX: i16 = 25;
/// Points of untrusted arguments at the most.
const UNTRUSTED_MAX: i16 = 20;

/// Scores one effect. Factors come with the most points first; equal ones by name.
pub fn score(facts: &Facts) -> Risk {
    let mut factors = Vec::new();
    if facts.contract.effect == EffectKind::Read {
        unreviewed(facts, 5, &mut factors);
    } else {
        kind(facts.contract.effect, &mut factors);
        class(facts.contract.class, &mut factors);
        amount(facts, &mut factors);
        radius(&facts.contract.blast_radius, &mut factors);
        unreviewed(facts, 15, &mut factors);
        untrusted(facts.untrusted_arguments, &mut factors);
        actor(facts.principal, facts.history, &mut factors);
    }
    data(&facts.contract.data, &mut factors);
    factors.sort_by(|a, b| b.points.cmp(&a.points).then_with(|| a.name.cmp(&b.name)));
    let sum: i32 = factors.iter().map(|factor| i32::from(factor.points)).sum();
    let score = u8::try_from(sum.clamp(0, 100)).unwrap_or(100);
    Risk { score, level: RiskLevel::of(score), factors }
}

/// A risk that is high at the least, with the factor that makes it so.
pub fn at_least_high(mut risk: Risk, name: &str, reason: String) -> Risk {
    let least = 50u8;
    if risk.score < least {
        let points = i16::from(least - risk.score);
        risk.factors.push(RiskFactor { name: name.to_owned(), points, reason });
        risk.factors.sort_by(|a, b| b.points.cmp(&a.points).then_with(|| a.name.cmp(&b.name)));
        risk.score = least;
        risk.level = RiskLevel::of(least);
    }
    risk
}

fn add(factors: &mut Vec<RiskFactor>, name: &str, points: i16, reason: String) {
    if points != 0 {
        factors.push(RiskFactor { name: name.to_owned(), points, reason });
    }
}

fn kind(kind: EffectKind, factors: &mut Vec<RiskFactor>) {
    let (points, reason) = match kind {
        EffectKind::Read => (0, "it only looks"),
        EffectKind::Write => (15, "it changes something outside"),
        EffectKind::Money => (35, "it moves money"),
        EffectKind::Delete => (40, "it removes something outside"),
        EffectKind::Permission => (45, "it changes who may do what"),
    };
    add(factors, kind.name(), points, reason.to_owned());
}

fn class(class: EffectClass, factors: &mut Vec<RiskFactor>) {
    let (points, reason) = match class {
        EffectClass::Pure | EffectClass::Read | EffectClass::Idempotent => (0, "it can be repeated"),
        EffectClass::Compensable => (3, "it can be undone, but not unseen"),
        EffectClass::Probeable => (5, "after a lost answer it must be asked whether it happened"),
        EffectClass::Irreversible => (25, "it can be neither repeated, asked nor undone"),
    };
    add(factors, class.name(), points, reason.to_owned());
}

fn amount(facts: &Facts, factors: &mut Vec<RiskFactor>) {
    let Some((value, currency)) = facts.amount else {
        if facts.contract.effect == EffectKind::Money {
            add(factors, "amount-unknown", 15, "the contract does not say how much money moves".to_owned());
        }
        return;
    };
    if !value.is_finite() || value < 0.0 {
        add(factors, "amount", 40, format!("the amount `{value}` is not a sum of money"));
        return;
    }
    let code = currency.map(str::to_ascii_uppercase);
    let known = code.as_deref().and_then(|code| RATES.iter().find(|(name, _)| *name == code));
    let euros = value * known.map_or(RATE_UNKNOWN, |(_, rate)| *rate);
    if known.is_none() {
        let reason = match &code {
            Some(code) => format!("no rate is known for `{}`", code.chars().take(8).collect::<String>()),
            None => "the amount has no currency".to_owned(),
        };
        add(factors, "currency-unknown", 10, reason);
    }
    let (points, band) = match euros {
        e if e < 50.0 => (0, "under 50"),
        e if e < 500.0 => (5, "50 to 500"),
        e if e < 5_000.0 => (15, "500 to 5,000"),
        e if e < 50_000.0 => (25, "5,000 to 50,000"),
        _ => (40, "50,000 or more"),
    };
    let shown = code.unwrap_or_default().chars().take(8).collect::<String>();
    add(factors, "amount", points, format!("{value} {shown} is in the band {band} EUR"));
}

fn radius(radius: &BlastRadius, factors: &mut Vec<RiskFactor>) {
    if radius.scope.is_empty() && radius.max == 0 {
        add(factors, "blast-radius", 10, "how much it can touch is not stated".to_owned());
        return;
    }
    let scope = match radius.scope.to_ascii_lowercase().as_str() {
        "everyone" | "global" | "fleet" | "public" => 20,
        "tenant" | "organisation" | "organization" | "company" => 12,
        "customer" | "user" | "account" | "order" | "record" => 2,
        _ => 6,
    };
    let count = match radius.max {
        1 => 0,
        2..=10 => 3,
        11..=100 => 8,
        101..=10_000 => 15,
        // 0 is "not stated" beside a scope.
        0 | 10_001.. => 20,
    };
    let unit = if radius.unit.is_empty() { "units" } else { radius.unit.as_str() };
    let most =
        if radius.max == 0 { "an unstated number of".to_owned() } else { format!("up to {}", radius.max) };
    add(
        factors,
        "blast-radius",
        scope + count,
        format!("one use touches {most} {unit} of scope `{}`", radius.scope),
    );
}

fn unreviewed(facts: &Facts, points: i16, factors: &mut Vec<RiskFactor>) {
    if !facts.contract.reviewed && facts.contract.class != EffectClass::Pure {
        add(factors, "unreviewed", points, format!("nobody reviewed a contract of `{}`", facts.operation));
    }
}

fn untrusted(arguments: &[String], factors: &mut Vec<RiskFactor>) {
    let Some(first) = arguments.first() else { return };
    let more = i16::try_from(arguments.len() - 1).unwrap_or(i16::MAX);
    let points = 10i16.saturating_add(more.saturating_mul(5)).min(UNTRUSTED_MAX);
    let reason = match arguments.len() {
        1 => format!("`{first}` came from a model or the outside"),
        n => format!("`{first}` and {} more came from a model or the outside", n - 1),
    };
    add(factors, "untrusted-argument", points, reason);
}

fn actor(kind: PrincipalKind, history: ActorHistory, factors: &mut Vec<RiskFactor>) {
    if kind == PrincipalKind::Agent {
        add(factors, "agent", 10, "an agent asks for it".to_owned());
    }
    let (failed, all) = (u64::from(history.failed), u64::from(history.failed) + u64::from(history.succeeded));
    if all < 5 {
        return;
    }
    let percent = failed * 100 / all;
    let reason = format!("{failed} of this actor's {all} earlier uses failed");
    match percent {
        51.. => add(factors, "actor-history", 10, reason),
        21..=50 => add(factors, "actor-history", 5, reason),
        0..=5 if all >= 20 => add(factors, "actor-history", -5, reason),
        _ => {}
    }
}

fn data(classes: &[String], factors: &mut Vec<RiskFactor>) {
    let points = |class: &String| match class.to_ascii_lowercase().as_str() {
        "secret" | "credential" | "health" | "biometric" => 15,
        "card" | "financial" | "payment" => 10,
        "personal" => 5,
        "public" => 0,
        _ => 3,
    };
    let sum = classes.iter().take(64).map(points).sum::<i16>().min(DATA_MAX);
    let names: Vec<&str> = classes.iter().take(64).map(String::as_str).collect();
    add(factors, "data", sum, format!("it handles data of class {}", names.join(", ")));
}

#[cfg(test)]
mod tests;
