//! Resolution: a person who looked outside says whether an effect of unknown outcome is real.
//!
//! A parked effect is settled and the flow goes on: with an output when it is real, with the effect's error when it is
//! not. An effect that settled `unknown` earlier only changes what is known: the flow went on long ago. When it turns
//! out not to be real, the execution's outcome is `failed`, whatever the flow made of it.

use model::effect::EffectNumber;
use model::event::{EventBody, Resolved};
use model::problem::WorkflowError;
use model::{Digest, Label, Outcome, PrincipalId, Value};
use serde::{Deserialize, Serialize};

use crate::decide::Rejected;
use crate::flow::Signal;
use crate::scope::check_schema;
use crate::state::{Effect, Execution, Phase};

/// A person's word about an effect, as it is kept with the effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// What was said.
    pub outcome: Outcome,
    /// What was seen.
    pub evidence: String,
    /// Who said it.
    pub by: PrincipalId,
    /// Digest of the output that was given, when one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Digest>,
}

impl Resolution {
    fn of(resolved: &Resolved) -> Box<Self> {
        Box::new(Self {
            outcome: resolved.outcome,
            evidence: resolved.evidence.clone(),
            by: resolved.by.clone(),
            output: resolved.output.as_ref().map(model::digest_of),
        })
    }

    /// True when it says the same, whoever says it.
    fn says(&self, resolved: &Resolved) -> bool {
        self.outcome == resolved.outcome
            && self.evidence == resolved.evidence
            && self.output == resolved.output.as_ref().map(model::digest_of)
    }
}

/// What a resolution would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolvable {
    /// The flow waits for it and goes on.
    Parked,
    /// It settled unknown earlier: only what is known changes.
    Settled,
    /// The same was said before: nothing changes.
    Same,
}

impl Execution {
    /// What this resolution would change. The state must hold the effect: one with tracing holds all.
    pub fn resolvable(&self, resolved: &Resolved) -> Result<Resolvable, Rejected> {
        let number = resolved.effect;
        let effect = self.effect(number).ok_or(Rejected::NoEffect(number))?;
        if let Some(before) = &effect.resolved {
            let same = before.says(resolved);
            return if same { Ok(Resolvable::Same) } else { Err(Rejected::Resolved(number)) };
        }
        if resolved.outcome == Outcome::Unknown {
            return Err(Rejected::BadArguments("say `verified` or `failed`".to_owned()));
        }
        if effect.undo && resolved.outcome == Outcome::Failed {
            let why = "undoes something that is not undone then: try it again, or force it";
            return Err(Rejected::Settled { effect: number, why });
        }
        if matches!(effect.phase, Phase::Parked { .. }) {
            self.check_stated_output(effect, resolved)?;
            return Ok(Resolvable::Parked);
        }
        let why = match (effect.probe_of, effect.outcome) {
            (Some(_), _) => "only checks another one: resolve that one",
            (None, None) => "is neither parked nor of unknown outcome: it is still under way",
            (None, Some(Outcome::Verified | Outcome::Failed)) => "has a known outcome",
            (None, Some(Outcome::Unknown)) if effect.attempts.is_empty() => "was predicted and never sent",
            (None, Some(Outcome::Unknown)) if resolved.output.is_some() => {
                return Err(Rejected::BadArguments(
                    "the flow went on without this effect, so an output would change nothing: leave `output` out"
                        .to_owned(),
                ));
            }
            (None, Some(Outcome::Unknown)) => return Ok(Resolvable::Settled),
        };
        Err(Rejected::Settled { effect: number, why })
    }

    fn check_stated_output(&self, effect: &Effect, resolved: &Resolved) -> Result<(), Rejected> {
        let Some(output) = &resolved.output else { return Ok(()) };
        if resolved.outcome == Outcome::Failed {
            return Err(Rejected::BadArguments(
                "what did not happen has no output: leave `output` out".to_owned(),
            ));
        }
        let schema = effect.action.as_ref().and_then(|action| action.output.schema.as_ref());
        match schema {
            Some(schema) => check_schema(schema, output, "the stated output")
                .map_err(|e| Rejected::BadArguments(e.detail.unwrap_or(e.kind))),
            None => Ok(()),
        }
    }

    /// A person's word about an effect. What settled and is forgotten was looked up in the whole history by the caller.
    pub(crate) fn decide_resolved(
        &self,
        resolved: Resolved,
        looked_up: bool,
    ) -> Result<Vec<EventBody>, Rejected> {
        let number = resolved.effect;
        let requested = (1..=self.effects.requested()).contains(&number.0);
        let change = if self.effect(number).is_none() && requested && looked_up && self.unknown > 0 {
            Resolvable::Settled
        } else {
            self.resolvable(&resolved)?
        };
        Ok(match change {
            Resolvable::Same => Vec::new(),
            Resolvable::Parked | Resolvable::Settled => vec![EventBody::Resolved(Box::new(resolved))],
        })
    }

    pub(crate) fn resolved(&mut self, resolved: &Resolved) -> Signal {
        let number = resolved.effect;
        match self.effect(number).map(|effect| matches!(effect.phase, Phase::Parked { .. })) {
            Some(true) => self.resolve_parked(number, resolved),
            Some(false) | None => self.resolve_settled(number, resolved),
        }
    }

    fn resolve_parked(&mut self, number: EffectNumber, resolved: &Resolved) -> Signal {
        self.effect_mut(number).resolved = Some(Resolution::of(resolved));
        let thread = self.effect_ref(number).thread;
        self.enter(thread);
        let error = self.stated_error(number, resolved);
        let output = self.stated_output(number, resolved);
        self.settle(number, resolved.outcome, evidence_of(resolved));
        match resolved.outcome {
            Outcome::Verified | Outcome::Unknown => {
                self.effect_mut(number).output = Some(output.clone());
                self.resume_with_output(number, output)
            }
            Outcome::Failed => self.resume_with_error(number, error),
        }
    }

    /// What the flow goes on with: what was stated, what the outside answered, what the contract predicts, or `null`.
    fn stated_output(&self, number: EffectNumber, resolved: &Resolved) -> Value {
        let effect = self.effect_ref(number);
        let stated = resolved.output.as_ref().or(effect.output.as_ref());
        let predicted = effect.action.as_ref().map(|action| &action.predicted);
        stated.or(predicted).cloned().unwrap_or(Value::NULL).with_label_everywhere(Label::EXTERNAL)
    }

    fn stated_error(&self, number: EffectNumber, resolved: &Resolved) -> WorkflowError {
        let last = self.effect_ref(number).attempts.iter().rev().find_map(|attempt| attempt.error.clone());
        last.unwrap_or_else(|| {
            WorkflowError::governed("postcondition", 412, "Postcondition Failed", evidence_of(resolved))
        })
    }

    fn resolve_settled(&mut self, number: EffectNumber, resolved: &Resolved) -> Signal {
        let before = self.outcome();
        self.unknown = self.unknown.saturating_sub(1);
        self.refuted |= resolved.outcome == Outcome::Failed;
        if let Some(effect) = self.effects.kept.get_mut(&number) {
            effect.outcome = Some(resolved.outcome);
            effect.evidence = Some(evidence_of(resolved));
            effect.resolved = Some(Resolution::of(resolved));
        }
        // An end whose outcome changed is recorded once more.
        self.end_recorded &= self.outcome() == before;
        Signal::Blocked
    }
}

fn evidence_of(resolved: &Resolved) -> String {
    format!("resolved by {}: {}", resolved.by, resolved.evidence)
}
