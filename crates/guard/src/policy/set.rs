//! Several bundles in force at once: the product's default and what a tenant adds. The most restrictive ruling wins.

use std::sync::Arc;

use model::verdict::{Decision, Quorum};
use model::{Digest, digest_of};

use crate::policy::ruling::{severity, stricter};
use crate::policy::{Bundle, Evaluator, PolicyError, Ruling, convert};

/// Bundles in force at once at the most.
pub const BUNDLES_MAX: usize = 32;

/// Bundles in force together. An empty set denies everything.
#[derive(Clone, Default)]
pub struct PolicySet {
    bundles: Vec<Arc<Bundle>>,
}

/// Evaluates a set; one per thread.
#[derive(Clone)]
pub struct SetEvaluator {
    evaluators: Vec<Evaluator>,
    digest: Digest,
}

impl PolicySet {
    /// Takes bundles, ordered by name. Two of one name, or more than [`BUNDLES_MAX`], are an error.
    pub fn new(mut bundles: Vec<Arc<Bundle>>) -> Result<Self, PolicyError> {
        bundles.sort_by(|a, b| a.name().cmp(b.name()));
        if let Some(pair) = bundles.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
            return Err(PolicyError::of(pair[0].name(), "the name occurs twice in the set of policies"));
        }
        if bundles.len() > BUNDLES_MAX {
            let message = format!("more than {BUNDLES_MAX} policies in force: merge some");
            return Err(PolicyError::of("policies", message));
        }
        Ok(Self { bundles })
    }

    /// The bundles, ordered by name.
    pub fn bundles(&self) -> &[Arc<Bundle>] {
        &self.bundles
    }

    /// Binds every bundle's digest, in name order.
    pub fn digest(&self) -> Digest {
        digest_of(&self.bundles.iter().map(|bundle| bundle.digest()).collect::<Vec<_>>())
    }

    /// An evaluator for one thread.
    pub fn evaluator(&self) -> SetEvaluator {
        SetEvaluator {
            evaluators: self.bundles.iter().map(|bundle| bundle.evaluator()).collect(),
            digest: self.digest(),
        }
    }
}

impl SetEvaluator {
    /// The digest of the set that decides.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Asks every bundle; the most restrictive decision wins, all reasons of that severity are given. A bundle that
    /// only restricts (it has no `allow` and no `decision`) and of which no rule spoke leaves the decision to the
    /// others; when nobody allows, the answer is no.
    /// An error of any bundle is an error of the set, and the caller denies.
    pub fn decide(&mut self, input: &serde_json::Value) -> Result<Ruling, PolicyError> {
        let input = convert::to_rego(input).map_err(|e| PolicyError::of("input", e))?;
        let mut result: Option<Ruling> = None;
        // Bundles come in name order, so the ones with no view of their own may come first.
        let mut first_only_restricts = true;
        for evaluator in &mut self.evaluators {
            let ruling = evaluator.decide_converted(input.clone())?;
            result = Some(match result {
                Some(before) if evaluator.only_restricts() && silent(&ruling) => before,
                Some(before) if first_only_restricts && silent(&before) => ruling,
                Some(before) => combine(before, ruling),
                None => ruling,
            });
            first_only_restricts &= evaluator.only_restricts();
        }
        Ok(result.unwrap_or_else(|| Ruling {
            decision: Decision::Deny,
            reasons: vec!["no policy is in force".to_owned()],
            redact: Vec::new(),
            limits: std::collections::BTreeMap::new(),
            explanation: Vec::new(),
        }))
    }
}

/// True when nothing but the default spoke.
fn silent(ruling: &Ruling) -> bool {
    ruling.explanation.iter().all(|because| because.rule == "default")
}

fn combine(a: Ruling, b: Ruling) -> Ruling {
    let order = severity(&a.decision).cmp(&severity(&b.decision));
    let (decision, mut reasons) = match order {
        std::cmp::Ordering::Greater => (a.decision, a.reasons),
        std::cmp::Ordering::Less => (b.decision, b.reasons),
        std::cmp::Ordering::Equal => (both(a.decision, &b.decision), [a.reasons, b.reasons].concat()),
    };
    if let Decision::Deny = decision
        && reasons.is_empty()
    {
        reasons.push("the policies accept no common role for the approval".to_owned());
    }
    let mut redact = [a.redact, b.redact].concat();
    redact.sort();
    redact.dedup();
    let mut limits = a.limits;
    for (name, number) in b.limits {
        limits.entry(name).and_modify(|have| *have = have.min(number)).or_insert(number);
    }
    Ruling { decision, reasons, redact, limits, explanation: [a.explanation, b.explanation].concat() }
}

fn both(a: Decision, b: &Decision) -> Decision {
    match (a, b) {
        (Decision::RequireApproval(a), Decision::RequireApproval(b)) => quorum_or_deny(stricter(&a, b)),
        (a, _) => a,
    }
}

fn quorum_or_deny(quorum: Quorum) -> Decision {
    if quorum.roles.is_empty() { Decision::Deny } else { Decision::RequireApproval(quorum) }
}
