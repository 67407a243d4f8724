//! Runs every scenario of a kit in the ways that were asked for.

use std::fmt;
use std::sync::Arc;

use sandbox::Sandbox;

use crate::house::Refused;
use crate::inside::Inside;
use crate::kit::{CLOCK, ONCE, Scenario};
use crate::outside::Outside;
use crate::replay::{self, Actions};
use crate::scenario::{self, EXECUTION};
use crate::served::Program;
use crate::step::Step;

/// How often a scenario is run before it counts as one that never comes to its crash.
const TRIES: u32 = 3;
/// Commits of one scenario's history at the most.
const COMMITS_MAX: u32 = 1_000;

/// A way to run a scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The parts in this process.
    InProcess,
    /// The program, through its API.
    Binary,
    /// In process, with a crash after each commit, and every history replayed.
    Replay,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 3] = [Way::InProcess, Way::Binary, Way::Replay];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Binary => "binary",
            Self::Replay => "replay",
        }
    }
}

/// How a scenario went in one way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As it says; how often it was run with a crash.
    Passed(u32),
    /// Otherwise, and how.
    Failed(String),
    /// It cannot be run in this way, and why.
    Left(&'static str),
}

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// In which way.
    pub way: Way,
    /// File and scenario.
    pub scenario: String,
    /// How it went.
    pub verdict: Verdict,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (way, scenario) = (self.way.name(), &self.scenario);
        match &self.verdict {
            Verdict::Passed(0) => write!(f, "passed {way:<10} {scenario}"),
            Verdict::Passed(crashes) => write!(f, "passed {way:<10} {scenario} ({crashes} crashes)"),
            Verdict::Failed(why) => write!(f, "FAILED {way:<10} {scenario}\n       {why}"),
            Verdict::Left(why) => write!(f, "left   {way:<10} {scenario} ({why})"),
        }
    }
}

/// Everything that the scenarios of one run share.
pub struct Runner {
    outside: Outside,
    sandbox: Result<Arc<Sandbox>, String>,
    program: Option<Program>,
}

impl Runner {
    /// Starts the outside, and the program when there is one.
    pub async fn start(program: Option<&str>) -> Result<Self, Refused> {
        // Another one may have been installed by whoever uses this as a library.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let outside = Outside::start().await.map_err(Refused::unasked)?;
        let program = match program {
            Some(program) => Some(Program::start(program, &outside).await?),
            None => None,
        };
        Ok(Self { outside, sandbox: Inside::sandbox(), program })
    }

    /// Runs a scenario in one way.
    pub async fn run(&mut self, scenario: &Scenario, way: Way) -> Line {
        let verdict = match way {
            Way::InProcess => self.in_process(scenario).await.map(|()| Verdict::Passed(0)),
            Way::Binary if scenario.is(CLOCK) => Ok(Verdict::Left("its clock cannot be set")),
            Way::Binary => self.in_binary(scenario).await.map(|()| Verdict::Passed(0)),
            Way::Replay if scenario.is(ONCE) => {
                Ok(Verdict::Left("it may rightly end another way after a crash"))
            }
            Way::Replay => self.crashing(scenario).await.map(Verdict::Passed),
        };
        Line {
            way,
            scenario: format!("{}: {}", scenario.file, scenario.name),
            verdict: verdict.unwrap_or_else(Verdict::Failed),
        }
    }

    async fn open(&self, dies: Option<u32>) -> Result<Inside, String> {
        Inside::open(&self.outside, self.sandbox.clone(), dies).await.map_err(|refused| refused.text)
    }

    async fn in_process(&self, scenario: &Scenario) -> Result<(), String> {
        let mut house = self.open(None).await?;
        scenario::run(scenario, &mut house, &self.outside).await
    }

    async fn in_binary(&mut self, scenario: &Scenario) -> Result<(), String> {
        let program = self.program.as_mut().ok_or("there is no program: name it with `--program`")?;
        let mut house = program.house().await;
        scenario::run(scenario, &mut house, &self.outside).await
    }

    /// Once without a crash, then with a crash after the first, second, … commit that tells of the execution. Answers
    /// how many crashes there were.
    async fn crashing(&self, scenario: &Scenario) -> Result<u32, String> {
        let mut house = self.open(None).await?;
        scenario::run(scenario, &mut house, &self.outside).await?;
        let commits = house.commits();
        self.replayed(scenario, &house).await?;
        if commits > COMMITS_MAX {
            return Err(format!("{commits} commits are too many to crash after each"));
        }
        for dies in 1..=commits {
            let told = |why: String| format!("with a crash after commit {dies} of {commits}: {why}");
            let house = self.crashed(scenario, dies).await.map_err(told)?;
            self.replayed(scenario, &house).await.map_err(told)?;
        }
        Ok(commits)
    }

    /// A house that died after so many commits, came back, and ended as it should.
    async fn crashed(&self, scenario: &Scenario, dies: u32) -> Result<Inside, String> {
        for _ in 0..TRIES {
            let mut house = self.open(Some(dies)).await?;
            scenario::run(scenario, &mut house, &self.outside).await?;
            // Steps may share a commit where they did not the first time: then there was nothing to crash after.
            if house.died() {
                return Ok(house);
            }
        }
        Err(format!("it never came to the crash, {TRIES} times"))
    }

    /// The history that a house keeps, replayed in every way there is.
    async fn replayed(&self, scenario: &Scenario, house: &Inside) -> Result<(), String> {
        let events = house.history(EXECUTION).await.map_err(|refused| refused.text)?;
        if events.is_empty() {
            // Refused at publish: there is nothing to replay.
            return Ok(());
        }
        let (mut actions, mut last) = (Actions::new(&self.outside), None);
        for step in &scenario.steps {
            match step {
                Step::Action(text) => actions.add(&self.outside.mapped(text)),
                Step::Workflow(text) => last = Some(self.outside.mapped(text)),
                _ => {}
            }
        }
        let definition =
            last.and_then(|text| actions.workflow(&text)).ok_or("the workflow does not compile")?;
        replay::check(&definition, &events)
    }
}
