//! Verification: asks the outside whether an effect is real, and what its silence or its no means.

use std::time::Duration;

use model::effect::{Answer, EffectNumber, retry_delay};
use model::problem::WorkflowError;
use model::sabotage::{self, Bug};
use model::{Outcome, Value};

use crate::effects::{Purpose, action_var, describe};
use crate::flow::Signal;
use crate::state::{Execution, Phase, Verification};

/// Two probes are at least so far apart, whatever a contract says.
const PROBES_APART_MIN: Duration = Duration::from_millis(100);

impl Execution {
    pub(crate) fn begin_verification(&mut self, number: EffectNumber, lost: bool) -> Signal {
        let now = self.now;
        let effect = self.effect_mut(number);
        let Some(within) =
            effect.action.as_ref().and_then(|action| action.ensure.as_ref()).map(|ensure| ensure.within)
        else {
            return Signal::Blocked;
        };
        let verification =
            Verification { probe: None, next_at: None, until: now.plus(within), lost, answered: false };
        effect.phase = Phase::Verifying(verification);
        self.probe(number)
    }

    /// Asks whether an effect is real.
    pub(crate) fn probe(&mut self, number: EffectNumber) -> Signal {
        let effect = self.effect_mut(number);
        effect.probes += 1;
        let Some(action) = effect.action.clone() else { return Signal::Blocked };
        let Some(ensure) = &action.ensure else { return Signal::Blocked };
        let effect = self.effect_ref(number);
        let var = action_var(&action, &effect.key, effect.output.as_ref(), Some(&effect.arguments));
        let arguments = self
            .outer_scope()
            .with("input", &effect.arguments)
            .with("action", &var)
            .fill(&ensure.with, &effect.arguments);
        let requested = arguments
            .and_then(|arguments| self.begin_action(&ensure.probe, arguments, Purpose::Probe(number)));
        let next = EffectNumber(self.effects.requested());
        match requested {
            Ok(_) => {
                if let Phase::Verifying(v) = &mut self.effect_mut(number).phase {
                    v.probe = Some(next);
                    v.next_at = None;
                }
                Signal::Blocked
            }
            Err(error) => self.park(number, format!("its probe cannot be made: {}", describe(&error)), false),
        }
    }

    pub(crate) fn probe_answered(
        &mut self,
        probe: EffectNumber,
        checked: EffectNumber,
        answer: &Answer,
    ) -> Signal {
        match answer {
            Answer::Done { output } => match self.action_output(probe, output) {
                Ok(output) => {
                    self.effect_mut(probe).output = Some(output.clone());
                    self.settle(probe, Outcome::Verified, "the probe answered".to_owned());
                    self.judge_probe(checked, &output)
                }
                Err(error) => {
                    self.settle(probe, Outcome::Failed, describe(&error));
                    self.probe_again(checked, false)
                }
            },
            Answer::Refused { error, .. } | Answer::Lost { error } => {
                self.settle(probe, Outcome::Failed, describe(error));
                self.probe_again(checked, false)
            }
            Answer::Child(_) => Signal::Blocked,
            Answer::Stored { digest } => {
                self.settle(
                    probe,
                    Outcome::Failed,
                    format!("its answer {digest} was not put back from the blob store"),
                );
                self.probe_again(checked, false)
            }
        }
    }

    fn judge_probe(&mut self, checked: EffectNumber, output: &Value) -> Signal {
        let effect = self.effect_ref(checked);
        let Some(action) = effect.action.clone() else { return Signal::Blocked };
        let Some(ensure) = &action.ensure else { return Signal::Blocked };
        let var = action_var(&action, &effect.key, effect.output.as_ref(), Some(&effect.arguments));
        let holds = self
            .outer_scope()
            .with("input", &effect.arguments)
            .with("action", &var)
            .test(&ensure.that, output);
        match holds {
            Ok(true) => {
                let lost = matches!(&effect.phase, Phase::Verifying(v) if v.lost);
                if lost && self.may_come_yet(checked) && self.looks_again(checked) {
                    return Signal::Blocked;
                }
                let evidence = format!("`{}` held on the answer of `{}`", ensure.that.text(), ensure.probe);
                if lost {
                    // The answer never came, so what the probe saw stands in for it.
                    self.effect_mut(checked).output = Some(output.clone());
                }
                self.settle(checked, Outcome::Verified, evidence);
                let output = self.effect_ref(checked).output.clone().unwrap_or(Value::NULL);
                self.resume_with_output(checked, output)
            }
            Ok(false) => self.probe_again(checked, true),
            Err(error) => {
                let evidence = format!("`ensure.that` could not be evaluated: {}", describe(&error));
                self.park(checked, evidence, false)
            }
        }
    }

    /// True for an undo whose answer is lost, of an effect whose answer was lost as well: what is not there may still be on
    /// its way, and no undo may have been there to meet it. Only the whole window is long enough to be certain.
    fn may_come_yet(&self, undo: EffectNumber) -> bool {
        let effect = self.effect_ref(undo);
        let undone = effect.compensates.filter(|_| effect.undo).and_then(|of| self.effect(of));
        undone.is_some_and(|effect| effect.outcome == Some(Outcome::Unknown))
    }

    /// Plans the next probe; false when the window is over before it.
    fn looks_again(&mut self, checked: EffectNumber) -> bool {
        let now = self.now;
        let effect = self.effect_mut(checked);
        let every = effect
            .action
            .as_ref()
            .and_then(|action| action.ensure.as_ref())
            .map_or(Duration::ZERO, |e| e.every);
        let Phase::Verifying(v) = &mut effect.phase else { return false };
        let next = now.plus(every.max(PROBES_APART_MIN));
        let in_time = next <= v.until;
        if in_time {
            v.probe = None;
            v.next_at = Some(next);
        }
        in_time
    }

    /// The probe did not say yes. `answered` tells whether it said no.
    fn probe_again(&mut self, checked: EffectNumber, answered: bool) -> Signal {
        let Phase::Verifying(v) = &mut self.effect_mut(checked).phase else { return Signal::Blocked };
        v.probe = None;
        v.answered |= answered;
        let (lost, said_no) = (v.lost, v.answered && answered);
        let ends_early = sabotage::is(Bug::ProbeOnce) && answered;
        if !ends_early && self.looks_again(checked) {
            return Signal::Blocked;
        }
        self.verification_over(checked, lost, said_no)
    }

    fn verification_over(&mut self, number: EffectNumber, lost: bool, said_no: bool) -> Signal {
        let now = self.now;
        let that = self
            .effect_ref(number)
            .action
            .as_ref()
            .and_then(|a| a.ensure.as_ref())
            .map(|e| e.that.text().to_owned())
            .unwrap_or_default();
        match (lost, said_no) {
            (_, false) => self.park(
                number,
                "the probe gave no answer in time, so nobody knows whether it is real".to_owned(),
                true,
            ),
            (true, true) => {
                // Asked for the whole window and never seen: it did not happen, so the same key may be sent again.
                let effect = self.effect_mut(number);
                effect.failures += 1;
                if effect.failures > effect.contract.retries_max {
                    return self.park(
                        number,
                        "the answer was lost again and again, and the probe never saw it".to_owned(),
                        true,
                    );
                }
                let failures = effect.failures;
                effect.phase = Phase::Backoff { until: now.plus(retry_delay(failures)) };
                Signal::Blocked
            }
            (false, true) => {
                let detail = format!("the outside answered yes, and `{that}` does not hold");
                let effect = self.effect_ref(number);
                if effect.undo {
                    return self.park(number, detail, true);
                }
                let armed = effect.armed;
                let error =
                    WorkflowError::governed("postcondition", 412, "Postcondition Failed", detail.clone());
                // It said yes and what was promised is not there: whatever it did is undone before anybody goes on.
                self.settle_armed(number, Outcome::Failed, detail);
                if armed { self.undone_first(number, error) } else { self.resume_with_error(number, error) }
            }
        }
    }
}
