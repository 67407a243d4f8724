//! From a sentence to a workflow and its input, without a model.
//!
//! Every published workflow may bring example sentences with `{slot}` places and typed slots ([`Template`]). A
//! sentence is matched by the stems of its words against the examples; then each slot looks for its value by type and
//! by the words that stand before its place in the examples. Nothing is guessed: two values for one slot, a currency
//! that is missing, a date that reads two ways or two equally good workflows are asked back. The same text and the
//! same templates always give the same answer. Time is linear in text times templates; texts are bounded by
//! [`TEXT_BYTES_MAX`].

mod fill;
mod money;
mod scan;
mod template;
mod words;

use serde::Serialize;

pub use fill::{Filled, Question};
pub use template::{Into, Slot, SlotType, Template, WorkflowRef};

/// Longest text that is read; anything longer matches nothing.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Workflows that are named when nothing fits, and offered when several do.
pub const NEAREST_MAX: usize = 3;
/// Share of an example's words that a text must hold to match it.
const MATCH_MIN: f64 = 0.6;
/// Two workflows whose scores are closer than this are equally good.
const TIE: f64 = 0.05;

/// Templates of everything that is published, ready for matching.
#[derive(Clone, Debug, Default)]
pub struct IntentIndex {
    templates: Vec<Template>,
    /// How many templates hold each stem: a word that all share says little.
    frequency: std::collections::BTreeMap<String, u32>,
}

/// What a text asks for.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Parsed {
    /// One workflow with its whole input.
    Match {
        /// Which.
        workflow: WorkflowRef,
        /// The input, by the slots' pointers.
        input: serde_json::Value,
        /// What was taken from where in the text.
        slots: Vec<Filled>,
        /// 0 to 1: how much of the best example the text holds.
        confidence: f64,
    },
    /// One workflow, but something is missing or reads two ways.
    Missing {
        /// Which.
        workflow: WorkflowRef,
        /// What to ask.
        missing: Vec<Question>,
        /// The input as far as it is known.
        input: serde_json::Value,
        /// What was taken from where in the text.
        slots: Vec<Filled>,
    },
    /// Several workflows fit equally well.
    Ambiguous {
        /// Best first, then by name.
        candidates: Vec<Candidate>,
    },
    /// Nothing fits.
    Unknown {
        /// What comes nearest, best first; empty when no workflow has examples.
        nearest: Vec<Candidate>,
    },
}

/// A workflow that could be meant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Candidate {
    /// Which.
    pub workflow: WorkflowRef,
    /// Its title.
    pub title: String,
    /// One of its example sentences.
    pub example: String,
}

impl IntentIndex {
    /// Takes the templates of the newest version of each workflow. The order does not matter.
    pub fn new(mut templates: Vec<Template>) -> Self {
        templates.sort_by(|a, b| a.workflow.cmp(&b.workflow));
        let mut frequency = std::collections::BTreeMap::new();
        for template in &templates {
            for stem in template.stems() {
                *frequency.entry(stem.to_owned()).or_insert(0) += 1;
            }
        }
        Self { templates, frequency }
    }

    /// The templates, by workflow.
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// Reads a text.
    pub fn parse(&self, text: &str) -> Parsed {
        if text.len() > TEXT_BYTES_MAX {
            return Parsed::Unknown { nearest: self.nearest(&[]) };
        }
        let words = words::tokens(text);
        let mut scored: Vec<(f64, &Template)> = self
            .templates
            .iter()
            .filter_map(|template| Some((self.score(template, &words)?, template)))
            .filter(|(score, template)| *score >= MATCH_MIN && !template.negated(&words))
            .collect();
        // A sort by score alone keeps the order by name among equals.
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let Some(&(best, first)) = scored.first() else {
            return Parsed::Unknown { nearest: self.nearest(&words) };
        };
        let mut equal: Vec<(f64, &Template)> = scored
            .iter()
            .filter(|(score, _)| best - score < TIE)
            .map(|(_, t)| (self.weight(t, &words), *t))
            .collect();
        if equal.len() > 1 {
            // Of two examples that are wholly there, the one that explains more of the text is meant.
            equal.sort_by(|a, b| b.0.total_cmp(&a.0));
            let most = equal[0].0;
            equal.retain(|(weight, _)| most - weight < TIE);
        }
        if equal.len() > 1 {
            let candidates = equal.iter().take(NEAREST_MAX).map(|(_, t)| candidate(t)).collect();
            return Parsed::Ambiguous { candidates };
        }
        let template = equal.first().map_or(first, |(_, template)| template);
        fill::fill(template, text, &words, best)
    }

    /// The best share of any example's weight that the words hold.
    fn score(&self, template: &Template, words: &[words::Token<'_>]) -> Option<f64> {
        let share = |sentence: &template::Sentence| {
            let whole: f64 = sentence.stems.iter().map(|stem| self.stem_weight(stem)).sum();
            let held: f64 = sentence
                .stems
                .iter()
                .filter(|s| words::holds(words, s))
                .map(|stem| self.stem_weight(stem))
                .sum();
            if whole > 0.0 { held / whole } else { 0.0 }
        };
        template.sentences.iter().map(share).max_by(f64::total_cmp)
    }

    /// How much of the text the template's best example explains.
    fn weight(&self, template: &Template, words: &[words::Token<'_>]) -> f64 {
        let held = |sentence: &template::Sentence| {
            sentence.stems.iter().filter(|s| words::holds(words, s)).map(|stem| self.stem_weight(stem)).sum()
        };
        template.sentences.iter().map(held).max_by(f64::total_cmp).unwrap_or(0.0)
    }

    fn stem_weight(&self, stem: &str) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of templates are far below 2^52")]
        let all = self.templates.len() as f64;
        let having = f64::from(self.frequency.get(stem).copied().unwrap_or(1));
        1.0 + (all / having).ln()
    }

    fn nearest(&self, words: &[words::Token<'_>]) -> Vec<Candidate> {
        let mut scored: Vec<(f64, &Template)> =
            self.templates.iter().filter_map(|t| Some((self.score(t, words)?, t))).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.into_iter().take(NEAREST_MAX).map(|(_, template)| candidate(template)).collect()
    }
}

fn candidate(template: &Template) -> Candidate {
    Candidate {
        workflow: template.workflow.clone(),
        title: template.title.clone(),
        example: template.intents.first().cloned().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
