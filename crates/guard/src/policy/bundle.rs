//! A named set of Rego files: compiled once, evaluated by clones, tested by its own `test_*` rules.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use model::{Digest, digest_of};
use regorus::unstable::{Rule, RuleHead};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError};
use serde::Serialize;

use crate::policy::{PolicyError, Ruling, convert, graph, lint, ruling};

/// The package whose rules decide.
pub const PACKAGE: &str = "omnihub";
/// Files of one bundle at the most.
pub const FILES_MAX: usize = 64;
/// Bytes of one file at the most.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Longest evaluation of one input.
pub const EVALUATION_MAX: Duration = Duration::from_millis(100);
/// Longest second try of an evaluation that took too long: the interpreter measures the wall clock, and a busy machine
/// that let the thread wait must not turn into a denial.
pub const EVALUATION_AGAIN_MAX: Duration = Duration::from_secs(2);
/// Work units between two looks at the interpreter's timer.
const TIMER_INTERVAL: NonZeroU32 = NonZeroU32::MIN.saturating_add(255);

/// Collects every rule of the contract as pairs, so that one evaluation shares all helper rules.
/// An undefined rule leaves its pair out.
const COLLECTOR: &str = r#"package omnihub__ruling
import rego.v1
collected contains ["decision", value] if value := data.omnihub.decision
collected contains ["deny", value] if value := data.omnihub.deny
collected contains ["approve", value] if value := data.omnihub.approve
collected contains ["allow", value] if value := data.omnihub.allow
collected contains ["redact", value] if value := data.omnihub.redact
collected contains ["limits", value] if value := data.omnihub.limits
"#;
const COLLECTED: &str = "data.omnihub__ruling.collected";

/// A policy bundle that compiles.
#[derive(Clone)]
pub struct Bundle {
    name: String,
    digest: Digest,
    tests: Vec<String>,
    only_restricts: bool,
    engine: Engine,
}

/// Evaluates one bundle. Cheap to clone from a bundle; one per thread.
#[derive(Clone)]
pub struct Evaluator {
    name: String,
    only_restricts: bool,
    engine: Engine,
}

/// The result of one `test_*` rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TestResult {
    /// Package and rule, for example `omnihub_test.test_reads_are_allowed`.
    pub name: String,
    /// Whether it held.
    pub passed: bool,
    /// What went wrong, when something did.
    pub message: Option<String>,
}

impl Bundle {
    /// Compiles a bundle from `(path, text)` pairs. Refuses with the position what does not parse, reads the
    /// outside world, calls an unknown function, holds unsafe variables, or defines none of the contract's rules.
    pub fn compile(name: &str, files: &[(&str, &str)]) -> Result<Self, PolicyError> {
        let mut files = files.to_vec();
        files.sort_unstable();
        check_files(name, &files)?;
        let mut engine = Engine::new();
        engine.set_rego_v0(false);
        engine.set_gather_prints(true);
        engine.set_strict_builtin_errors(true);
        engine.set_execution_timer_config(timer(EVALUATION_MAX));
        for (path, text) in &files {
            engine
                .add_policy((*path).to_owned(), (*text).to_owned())
                .map_err(|e| PolicyError::from_text(path, &format!("{e:#}")))?;
        }
        let rules = declared_rules(&mut engine);
        if !rules.iter().any(|(package, rule, _)| package == PACKAGE && CONTRACT.contains(&rule.as_str())) {
            let message = "the bundle decides nothing: define `decision`, `allow`, `approve` or `deny` in `package omnihub`";
            return Err(PolicyError::of(name, message));
        }
        let functions =
            rules.iter().filter(|(_, _, function)| *function).map(|(_, rule, _)| rule.clone()).collect();
        let only_restricts = !rules.iter().any(|(package, rule, _)| {
            package == PACKAGE && matches!(rule.split(['.', '[']).next(), Some("allow" | "decision"))
        });
        lint::check(&files, &functions)?;
        graph::check(&mut engine, &files)?;
        lint::shadow_builtins(&mut engine).map_err(|e| PolicyError::of(name, e))?;
        add_missing(&mut engine, &rules).map_err(|e| PolicyError::from_text(name, &e))?;
        engine.set_input(regorus::Value::new_object());
        // Compiling a clone finds unsafe variables and conflicts without evaluating anything.
        engine
            .compile_with_entrypoint(&COLLECTED.into())
            .map_err(|e| PolicyError::from_text(name, &format!("{e:#}")))?;
        let tests: BTreeSet<String> = rules
            .into_iter()
            .filter(|(package, rule, function)| {
                !function && rule.starts_with("test_") && (package == PACKAGE || package.ends_with("_test"))
            })
            .map(|(package, rule, _)| format!("{package}.{rule}"))
            .collect();
        let digest = digest_of(&(name, &files));
        Ok(Self { name: name.to_owned(), digest, tests: tests.into_iter().collect(), only_restricts, engine })
    }

    /// The bundle's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Binds the name and every file's path and text, in path order.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// An evaluator for one thread.
    pub fn evaluator(&self) -> Evaluator {
        Evaluator {
            name: self.name.clone(),
            only_restricts: self.only_restricts,
            engine: self.engine.clone(),
        }
    }

    /// Runs every `test_*` rule of packages that end in `_test` and of package `omnihub`, in name order.
    /// A test passes when it is `true`; undefined, any other value and an error are failures.
    pub fn test(&self) -> Vec<TestResult> {
        let mut engine = self.engine.clone();
        self.tests.iter().map(|test| run_test(&mut engine, test)).collect()
    }
}

impl Evaluator {
    /// True when the bundle can say no or ask, and never yes.
    pub(crate) fn only_restricts(&self) -> bool {
        self.only_restricts
    }

    /// Decides about one input document. An error means that the caller denies.
    pub fn decide(&mut self, input: &serde_json::Value) -> Result<Ruling, PolicyError> {
        let input = convert::to_rego(input).map_err(|e| PolicyError::of(&self.name, e))?;
        self.decide_converted(input)
    }

    pub(crate) fn decide_converted(&mut self, input: regorus::Value) -> Result<Ruling, PolicyError> {
        self.engine.set_input(input);
        let result = evaluated(&mut self.engine, COLLECTED);
        // What a policy prints is gathered so that it reaches no stream, and dropped.
        let _ = self.engine.take_prints();
        let collected = result.map_err(|e| PolicyError::from_text(&self.name, &e))?;
        ruling::read(&self.name, &collected)
    }
}

/// A rule's value; the error is the interpreter's text.
fn evaluated(engine: &mut Engine, rule: &str) -> Result<regorus::Value, String> {
    let mut result = engine.eval_rule(rule.to_owned());
    if result.as_ref().is_err_and(|e| matches!(e.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. })))
    {
        engine.set_execution_timer_config(timer(EVALUATION_AGAIN_MAX));
        result = engine.eval_rule(rule.to_owned());
        engine.set_execution_timer_config(timer(EVALUATION_MAX));
    }
    result.map_err(|e| match e.downcast_ref() {
        Some(LimitError::TimeLimitExceeded { .. }) => {
            format!("the evaluation took longer than {} s", EVALUATION_AGAIN_MAX.as_secs())
        }
        _ => format!("{e:#}"),
    })
}

fn timer(limit: Duration) -> ExecutionTimerConfig {
    ExecutionTimerConfig { limit, check_interval: TIMER_INTERVAL }
}

const CONTRACT: [&str; 4] = ["decision", "allow", "approve", "deny"];

fn check_files(name: &str, files: &[(&str, &str)]) -> Result<(), PolicyError> {
    if files.is_empty() || files.len() > FILES_MAX {
        let message = format!("a bundle holds 1 to {FILES_MAX} files, this one {}", files.len());
        return Err(PolicyError::of(name, message));
    }
    for (i, (path, text)) in files.iter().enumerate() {
        if text.len() > FILE_BYTES_MAX {
            return Err(PolicyError::of(
                path,
                format!("the file is larger than {FILE_BYTES_MAX} bytes: split it"),
            ));
        }
        if i > 0 && files[i - 1].0 == *path {
            return Err(PolicyError::of(path, "the path occurs twice in the bundle"));
        }
    }
    Ok(())
}

/// Package, name and whether it is a function, of every rule.
fn declared_rules(engine: &mut Engine) -> Vec<(String, String, bool)> {
    let mut rules = Vec::new();
    for module in engine.get_modules() {
        let package = get_path(&module.package.refr);
        for rule in &module.policy {
            let (refr, function) = match rule.as_ref() {
                Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => (refr, true),
                Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. }, .. } => {
                    (refr, false)
                }
                Rule::Default { refr, args, .. } => (refr, !args.is_empty()),
            };
            rules.push((package.clone(), get_path(refr), function));
        }
    }
    rules
}

fn get_path(refr: &regorus::unstable::Expr) -> String {
    lint::path_of(refr).unwrap_or_default()
}

/// Adds the collector. A reference to a rule that nobody defines would be an error, so only defined ones are kept.
fn add_missing(engine: &mut Engine, rules: &[(String, String, bool)]) -> Result<(), String> {
    let defined = |rule: &str| {
        rules.iter().any(|(package, name, function)| {
            package == PACKAGE && !function && name.split(['.', '[']).next() == Some(rule)
        })
    };
    let kept: Vec<&str> =
        COLLECTOR.lines().filter(|line| line.split('"').nth(1).is_none_or(defined)).collect();
    engine
        .add_policy("omnihub__ruling.rego".to_owned(), kept.join("\n"))
        .map(drop)
        .map_err(|e| format!("{e:#}"))
}

fn run_test(engine: &mut Engine, test: &str) -> TestResult {
    engine.set_input(regorus::Value::new_object());
    let result = evaluated(engine, &format!("data.{test}"));
    let _ = engine.take_prints();
    let message = match result {
        Ok(regorus::Value::Bool(true)) => None,
        Ok(regorus::Value::Undefined) => Some("the rule is undefined".to_owned()),
        Ok(other) => Some(format!("the rule is `{other}`, not `true`")),
        Err(e) => Some(PolicyError::from_text(test, &e).to_string()),
    };
    TestResult { name: test.to_owned(), passed: message.is_none(), message }
}
