//! Reads a folder of feature files into scenarios, backgrounds and examples put in place.

use std::path::{Path, PathBuf};

use gherkin::{Examples, Feature, GherkinEnv};

use crate::step::Step;

/// Scenarios of one kit at the most.
const SCENARIOS_MAX: usize = 10_000;
/// A scenario that is not run with crashes: something in it may rightly end another way after one.
pub const ONCE: &str = "once";
/// A scenario that needs a clock that can be set: the binary runs by the machine's.
pub const CLOCK: &str = "clock";

/// One scenario, ready to run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file, without its folder and ending.
    pub file: String,
    /// Its name; examples of an outline add their values.
    pub name: String,
    /// `@` words of the scenario and its feature, without `@`.
    pub tags: Vec<String>,
    /// Steps in order, those of the background first.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// True when it bears the tag.
    pub fn is(&self, tag: &str) -> bool {
        self.tags.iter().any(|known| known == tag)
    }
}

/// A kit cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// A file or folder cannot be read.
    #[error("`{0}` cannot be read: {1}")]
    Read(String, String),
    /// A file is not Gherkin.
    #[error("`{0}` is not a feature file: {1}")]
    Gherkin(String, String),
    /// A step is not in the vocabulary.
    #[error("`{file}`, scenario `{scenario}`: {problem}")]
    Step {
        /// The file.
        file: String,
        /// The scenario.
        scenario: String,
        /// What is wrong with the step.
        problem: String,
    },
    /// There is nothing to run, or far too much.
    #[error("`{0}` holds {1} scenarios; there must be 1 to {SCENARIOS_MAX}")]
    Count(String, usize),
}

/// Every scenario of the feature files of a folder, by file name and place.
pub fn read(folder: &Path) -> Result<Vec<Scenario>, KitError> {
    let shown = folder.display().to_string();
    let cannot = |path: &Path, error: &dyn std::fmt::Display| {
        KitError::Read(path.display().to_string(), error.to_string())
    };
    let entries = std::fs::read_dir(folder).map_err(|error| cannot(folder, &error))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| cannot(folder, &error))?.path();
        if path.extension().is_some_and(|ending| ending == "feature") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut scenarios = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| cannot(&path, &error))?;
        let file = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        scenarios.extend(parse(&file, &text)?);
    }
    if scenarios.is_empty() || scenarios.len() > SCENARIOS_MAX {
        return Err(KitError::Count(shown, scenarios.len()));
    }
    Ok(scenarios)
}

/// The scenarios of one feature file.
pub fn parse(file: &str, text: &str) -> Result<Vec<Scenario>, KitError> {
    let feature = Feature::parse(text, GherkinEnv::default())
        .map_err(|error| KitError::Gherkin(file.to_owned(), error.to_string()))?;
    let background = feature.background.iter().flat_map(|background| &background.steps);
    let background: Vec<&gherkin::Step> = background.collect();
    let mut scenarios = Vec::new();
    for written in &feature.scenarios {
        for row in rows(&written.examples) {
            let name = row.iter().fold(written.name.clone(), |name, (_, value)| format!("{name} [{value}]"));
            let mut steps = Vec::new();
            for step in background.iter().copied().chain(&written.steps) {
                let (text, doc) = (filled(&step.value, &row), step.docstring.as_deref());
                let doc = doc.map(|doc| filled(&content(doc), &row));
                steps.push(Step::parse(&text, doc).map_err(|problem| KitError::Step {
                    file: file.to_owned(),
                    scenario: name.clone(),
                    problem,
                })?);
            }
            let tags = feature.tags.iter().chain(&written.tags);
            let tags = tags.map(|tag| tag.trim_start_matches('@').to_owned()).collect();
            scenarios.push(Scenario { file: file.to_owned(), name, tags, steps });
        }
    }
    Ok(scenarios)
}

/// The rows of an outline's examples; one empty row when it has none.
fn rows(examples: &[Examples]) -> Vec<Vec<(String, String)>> {
    let mut rows = Vec::new();
    for table in examples.iter().filter_map(|examples| examples.table.as_ref()) {
        let Some((head, body)) = table.rows.split_first() else { continue };
        rows.extend(body.iter().map(|row| head.iter().cloned().zip(row.iter().cloned()).collect()));
    }
    if rows.is_empty() { vec![Vec::new()] } else { rows }
}

fn filled(text: &str, row: &[(String, String)]) -> String {
    row.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
}

/// A doc string without its media type and its indentation.
fn content(doc: &str) -> String {
    let (first, rest) = doc.split_once('\n').unwrap_or((doc, ""));
    let lines = if first.split_whitespace().count() <= 1 { rest } else { doc };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let least = lines.lines().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    lines.lines().map(|line| format!("{}\n", line.get(least..).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_backgrounds_and_doc_strings_are_put_in_place() {
        let text = "@slow\nFeature: F\n  Background:\n    Given the workflow input is:\n    \"\"\"yaml\n    a: 1\n    \"\"\"\n\
            \n  @once\n  Scenario Outline: S\n    When the clock advances <time>\n    Examples:\n      | time |\n      | PT1S |\n      | PT2S |";
        let scenarios = parse("f", text).expect("a feature");
        let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names, ["S [PT1S]", "S [PT2S]"]);
        assert_eq!(scenarios[0].tags, ["slow", "once"]);
        assert_eq!(
            scenarios[1].steps,
            [Step::Input(serde_json::json!({"a": 1})), Step::Advance(std::time::Duration::from_secs(2))]
        );
    }

    #[test]
    fn unknown_steps_are_told_with_the_nearest() {
        let text = "Feature: F\n  Scenario: S\n    Then the workflow should completed\n";
        let problem = parse("f", text).expect_err("no such step").to_string();
        assert!(problem.contains("did you mean `the workflow should complete`?"), "{problem}");
    }
}
