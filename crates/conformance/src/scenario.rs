//! Runs the steps of one scenario against a house.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;

use crate::house::{House, Refused, Seen, Workflow};
use crate::kit::Scenario;
use crate::outside::Outside;
use crate::step::{Step, Then};

/// The one execution of a scenario.
pub const EXECUTION: &str = "kit-execution";
/// A scenario's workflow comes to rest within this time, or has failed.
const REST_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// What a scenario has set up so far.
#[derive(Debug, Default)]
struct Setting {
    actions: Vec<String>,
    workflows: Vec<String>,
    input: Option<Json>,
    refused: Option<Refused>,
    executed: bool,
    waits: bool,
    signals: usize,
    answer: Option<Result<Json, Refused>>,
}

/// Runs a scenario; the error says which step failed and why.
pub async fn run(scenario: &Scenario, house: &mut dyn House, outside: &Outside) -> Result<(), String> {
    let mut setting = Setting::default();
    outside.change_description(false);
    for (index, step) in scenario.steps.iter().enumerate() {
        perform(step, &mut setting, house, outside)
            .await
            .map_err(|problem| format!("step {}: {problem}", index + 1))?;
    }
    Ok(())
}

async fn perform(
    step: &Step,
    setting: &mut Setting,
    house: &mut dyn House,
    outside: &Outside,
) -> Result<(), String> {
    let done = match step {
        Step::Workflow(text) => {
            setting.workflows.push(outside.mapped(text));
            Ok(())
        }
        Step::Action(text) => {
            setting.actions.push(outside.mapped(text));
            Ok(())
        }
        Step::Input(input) => {
            setting.input = Some(input.clone());
            Ok(())
        }
        Step::ChangeDescription => {
            outside.change_description(true);
            Ok(())
        }
        Step::Publish => {
            publish(setting, house).await;
            Ok(())
        }
        Step::Execute => return execute(setting, house).await,
        Step::Event(event) => house.event(event).await,
        Step::Advance(by) => {
            rest(house).await?;
            house.advance(*by).await.map_err(|refused| refused.text)?;
            return until(house, |seen| !seen.overdue).await.map(drop);
        }
        Step::Restart => house.restart().await,
        Step::Signal(name, data) => {
            setting.signals += 1;
            house.signal(EXECUTION, name, &format!("kit-{}", setting.signals), data).await
        }
        Step::Update(name, data) => {
            setting.signals += 1;
            let id = format!("kit-{}", setting.signals);
            setting.answer = Some(house.update(EXECUTION, name, &id, data).await);
            Ok(())
        }
        Step::Decide(yes, answer) => {
            rest(house).await?;
            house.decide(EXECUTION, *yes, answer.as_ref()).await
        }
        Step::Cancel => {
            rest(house).await?;
            house.cancel(EXECUTION).await
        }
        Step::Then(Then::Refused(code)) => return refused(setting, code),
        Step::Then(Then::Answer(wanted)) => {
            return match &setting.answer {
                Some(Ok(answer)) if same(wanted, answer) => Ok(()),
                other => Err(format!("the answer is {other:?}, and not {wanted}")),
            };
        }
        Step::Then(Then::NoAnswer(code)) => {
            return match &setting.answer {
                Some(Err(refused)) if refused.codes.iter().any(|known| known == code) => Ok(()),
                other => Err(format!("it was not refused with {code}, but {other:?}")),
            };
        }
        Step::Then(then) => {
            hold(then, setting, house).await?;
            setting.waits |= *then == Then::Wait;
            return Ok(());
        }
    };
    done.map_err(|refused| refused.text)
}

/// Publishes everything in order, the last workflow last. A refusal is kept for the steps that expect one.
async fn publish(setting: &mut Setting, house: &mut dyn House) {
    for action in &setting.actions {
        if let Err(refused) = house.publish_action(action).await {
            setting.refused = Some(refused);
            return;
        }
    }
    for workflow in &setting.workflows {
        if let Err(refused) = house.publish(workflow).await {
            setting.refused = Some(refused);
            return;
        }
    }
}

async fn execute(setting: &mut Setting, house: &mut dyn House) -> Result<(), String> {
    publish(setting, house).await;
    if setting.refused.is_some() {
        return Ok(());
    }
    let document = setting.workflows.last().ok_or("there is no workflow")?;
    let workflow = named(document)?;
    let input = setting.input.clone().unwrap_or_else(|| serde_json::json!({}));
    match house.start(&workflow, EXECUTION, &input).await {
        Ok(()) => setting.executed = true,
        Err(refused) => setting.refused = Some(refused),
    }
    Ok(())
}

fn named(document: &str) -> Result<Workflow, String> {
    let json = dsl::data::read(document).map_err(|problems| format!("{problems:?}"))?.to_json();
    let member = |name: &str| json["document"][name].as_str().unwrap_or_default().to_owned();
    Ok(Workflow { namespace: member("namespace"), name: member("name"), version: member("version") })
}

fn refused(setting: &Setting, code: &str) -> Result<(), String> {
    match &setting.refused {
        Some(refused) if refused.codes.iter().any(|known| known == code) => Ok(()),
        Some(refused) => Err(format!("it was refused otherwise: {refused}")),
        None => Err("it was not refused".to_owned()),
    }
}

/// Waits until nothing more happens by itself.
async fn rest(house: &mut dyn House) -> Result<Seen, String> {
    until(house, Seen::rests).await
}

async fn until(house: &mut dyn House, enough: fn(&Seen) -> bool) -> Result<Seen, String> {
    let began = Instant::now();
    loop {
        let seen = house.look(EXECUTION).await.map_err(|refused| refused.text)?;
        if enough(&seen) {
            return Ok(seen);
        }
        if began.elapsed() > REST_MAX {
            return Err(format!("after {REST_MAX:?} it is `{}` ({:?})", seen.status, seen.blocked_on));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn hold(then: &Then, setting: &Setting, house: &mut dyn House) -> Result<(), String> {
    if let Some(refused) = &setting.refused {
        return Err(format!("it was refused: {refused}"));
    }
    if !setting.executed {
        return Err("nothing was executed".to_owned());
    }
    let seen = match then {
        Then::Wait => until(house, |seen| seen.status == "waiting" || seen.ended()).await?,
        // It was said that it waits: this is about what happened before.
        _ if setting.waits => until(house, |_| true).await?,
        _ => until(house, |seen| seen.ended() || seen.status == "suspended").await?,
    };
    holds(then, &seen).map_err(|why| format!("{why}; {}", told(&seen)))
}

fn told(seen: &Seen) -> String {
    format!(
        "it is `{}` (blocked on {:?}), output {}, error {}, ran {:?}",
        seen.status,
        seen.blocked_on,
        seen.output.clone().unwrap_or_default(),
        seen.error.clone().unwrap_or_default(),
        seen.ran
    )
}

/// Whether something is so; the error says what is not.
fn holds(then: &Then, seen: &Seen) -> Result<(), String> {
    let output = seen.output.clone().unwrap_or_default();
    let fine = match then {
        Then::Complete => seen.status == "completed",
        Then::CompleteWith(wanted) => seen.status == "completed" && same(wanted, &output),
        Then::Fault => seen.status == "faulted",
        Then::FaultWith(wanted) => {
            let error = seen.error.clone().unwrap_or_default();
            let members = wanted.as_object().ok_or("an error is an object")?;
            seen.status == "faulted" && members.iter().all(|(name, value)| same(value, &error[name.as_str()]))
        }
        Then::Cancelled => seen.status == "cancelled",
        Then::Wait => seen.status == "waiting",
        // Looked at before anything was executed.
        Then::Refused(_) | Then::Answer(_) | Then::NoAnswer(_) => false,
        Then::Properties(names) => {
            if let Some(missing) = names.iter().find(|name| property(&output, name).is_none()) {
                return Err(format!("the output has no property `{missing}`"));
            }
            true
        }
        Then::Property(name, wanted) => property(&output, name).is_some_and(|found| same(wanted, found)),
        Then::Items(name, count) => {
            property(&output, name).and_then(Json::as_array).is_some_and(|items| items.len() == *count)
        }
        Then::First(task) => seen.ran.first() == Some(task),
        Then::Last(task) => seen.ran.last() == Some(task),
        Then::After(task, other) => {
            let place = |name: &str| seen.ran.iter().position(|known| known == name);
            matches!((place(other), place(task)), (Some(before), Some(after)) if before < after)
        }
        Then::Times(task, times) => seen.ran.iter().filter(|known| *known == task).count() == *times,
        Then::NotRun(task) => !seen.ran.contains(task),
    };
    if fine { Ok(()) } else { Err(format!("not so: {then:?}")) }
}

/// `a.b` of an output.
fn property<'a>(output: &'a Json, name: &str) -> Option<&'a Json> {
    name.split('.').try_fold(output, |value, member| value.get(member))
}

/// Equal as JSON: 1 and 1.0 are one number.
fn same(wanted: &Json, found: &Json) -> bool {
    match (wanted, found) {
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => wanted == found,
    }
}
