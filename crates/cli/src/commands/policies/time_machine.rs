//! `policies simulate` and `policies shadow`: what a candidate would decide, in the past and beside what is in force.

use hyper::Method;
use serde_json::{Value as Json, json};

use super::{Shadow, SimulateArgs, modules};
use crate::client::{Body, Client, segment};
use crate::exit::Failure;
use crate::json::{list, moment, number, text, when};
use crate::screen::Screen;

/// Executions of one request.
const PAGE: u64 = 500;
/// Changed decisions that are shown as a table.
const SHOWN_MAX: usize = 40;

/// Asks page by page, and sums up.
pub(super) async fn simulate(client: &Client, screen: Screen, args: SimulateArgs) -> Result<(), Failure> {
    let mut body = json!({ "name": args.name });
    if !args.files.is_empty() {
        body["modules"] = modules(&args.files)?;
    }
    for (member, given) in [
        ("since", args.since),
        ("until", args.until),
        ("workflow", args.workflow),
        ("execution", args.execution),
    ] {
        if let Some(given) = given {
            body[member] = json!(given);
        }
    }
    let mut left = args.limit.max(1);
    let mut whole: Option<Json> = None;
    loop {
        body["limit"] = json!(left.min(PAGE));
        let page = client.post("/policies/simulate", &body).await?;
        left = left.saturating_sub(number(&page, "/executions").max(1));
        let next = page["next"].clone();
        whole = Some(match whole {
            Some(before) => added(before, &page),
            None => page,
        });
        if next.is_null() || left == 0 {
            break;
        }
        body["cursor"] = next;
        if let Some(whole) = &whole {
            screen.say(format!(
                "{} executions, {} decisions …",
                number(whole, "/executions"),
                number(whole, "/decisions")
            ));
        }
    }
    let mut whole = whole.unwrap_or_default();
    rate(&mut whole);
    screen.data(&whole, || told(screen, &whole))
}

/// The sum of two answers: counts are added, lists are joined.
fn added(mut sum: Json, page: &Json) -> Json {
    match (&mut sum, page) {
        (Json::Object(sum), Json::Object(page)) => {
            for (name, value) in page {
                let before = sum.remove(name).unwrap_or_default();
                let joined = match name.as_str() {
                    // Pages go back in time: the first has the last decision.
                    "from" | "next" => value.clone(),
                    "until" => before,
                    "transitions" => transitions(before, value),
                    _ => added(before, value),
                };
                sum.insert(name.clone(), joined);
            }
            Json::Object(sum.clone())
        }
        (Json::Array(sum), Json::Array(page)) => {
            sum.extend(page.iter().cloned());
            Json::Array(std::mem::take(sum))
        }
        (Json::Number(a), Json::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => json!(a + b),
            _ => json!(a.as_f64().unwrap_or_default() + b.as_f64().unwrap_or_default()),
        },
        (Json::Null, page) => page.clone(),
        _ => sum,
    }
}

/// Approvals a day over everything that was looked at; less than a day counts as one.
fn rate(whole: &mut Json) {
    let (Some(from), Some(until)) = (moment(whole, "/from"), moment(whole, "/until")) else { return };
    #[expect(clippy::cast_precision_loss, reason = "numbers for people, far below 2^53")]
    let per_day = |count: u64| count as f64 / ((until - from) as f64 / 86_400_000.0).max(1.0);
    for (count, name) in [("/approvals/before", "per_day_before"), ("/approvals/after", "per_day_after")] {
        let value = per_day(number(whole, count));
        whole["approvals"][name] = json!(value);
    }
}

fn transitions(sum: Json, page: &Json) -> Json {
    let Json::Array(mut sum) = sum else { return page.clone() };
    for transition in page.as_array().into_iter().flatten() {
        let same = |have: &&mut Json| have["from"] == transition["from"] && have["to"] == transition["to"];
        match sum.iter_mut().find(same) {
            Some(have) => have["count"] = json!(number(have, "/count") + number(transition, "/count")),
            None => sum.push(transition.clone()),
        }
    }
    Json::Array(sum)
}

fn told(screen: Screen, whole: &Json) -> String {
    let mut out = format!(
        "{} executions, {} decisions; {} would be others, in {} executions ({} of them stopped)\n",
        number(whole, "/executions"),
        number(whole, "/decisions"),
        number(whole, "/changed"),
        number(whole, "/changed_executions"),
        number(whole, "/stopped_executions"),
    );
    out.push_str(&format!(
        "approvals: {} before, {} after ({:+}); a day: {:.1} before, {:.1} after\n",
        number(whole, "/approvals/before"),
        number(whole, "/approvals/after"),
        whole.pointer("/approvals/more").and_then(Json::as_i64).unwrap_or_default(),
        whole.pointer("/approvals/per_day_before").and_then(Json::as_f64).unwrap_or_default(),
        whole.pointer("/approvals/per_day_after").and_then(Json::as_f64).unwrap_or_default(),
    ));
    for transition in list(whole, "/transitions") {
        out.push_str(&format!(
            "  {:>6}  {} → {}\n",
            number(transition, "/count"),
            screen.word(&text(transition, "/from")),
            screen.word(&text(transition, "/to"))
        ));
    }
    for (title, pointer) in [
        ("requesters", "/concerns/requesters"),
        ("workflows", "/concerns/workflows"),
        ("asked more often", "/concerns/approver_roles"),
    ] {
        let members = whole.pointer(pointer).and_then(Json::as_object);
        let said: Vec<String> =
            members.into_iter().flatten().map(|(name, count)| format!("{name} ({count})")).collect();
        if !said.is_empty() {
            out.push_str(&format!("{title}: {}\n", said.join(", ")));
        }
    }
    let (failures, unreadable) = (number(whole, "/failures"), number(whole, "/unreadable"));
    if failures + unreadable > 0 {
        out.push_str(&format!(
            "the candidate fails on {failures} inputs, and {unreadable} histories cannot be read\n"
        ));
        for detail in list(whole, "/failure_details") {
            out.push_str(&format!("  {}\n", text(detail, "")));
        }
    }
    let changes = list(whole, "/changes");
    if !changes.is_empty() {
        out.push_str(&differences(screen, changes));
    }
    out.trim_end().to_owned()
}

fn differences(screen: Screen, changes: &[Json]) -> String {
    let rows = changes.iter().take(SHOWN_MAX).map(|change| {
        let reasons = list(change, "/to/reasons").first().map(|reason| text(reason, "")).unwrap_or_default();
        vec![
            text(change, "/execution"),
            text(change, "/effect"),
            text(change, "/operation"),
            screen.word(&text(change, "/from/decision")),
            screen.word(&text(change, "/to/decision")),
            reasons,
        ]
    });
    screen.table(&["execution", "effect", "operation", "was", "would be", "because"], rows.collect())
}

/// Runs `policies shadow …`.
pub(super) async fn shadow(client: &Client, screen: Screen, command: Shadow) -> Result<(), Failure> {
    let path = |name: &str| format!("/policies/{}/shadow", segment(name));
    match command {
        Shadow::Put { name, files } => {
            let body = json!({ "modules": modules(&files)? });
            let view = client.json_with(Method::PUT, &path(&name), Some(Body::json(&body)), &[]).await?;
            screen.data(&view, || figures(screen, &view))
        }
        Shadow::Show { name } => {
            let view = client.get(&path(&name)).await?;
            screen.data(&view, || figures(screen, &view))
        }
        Shadow::Delete { name } => {
            client.delete(&path(&name)).await?;
            screen.say(format!("shadow `{name}` is gone; it never enforced anything"));
            Ok(())
        }
    }
}

fn figures(screen: Screen, view: &Json) -> String {
    let mut out = format!(
        "{}  {}  since {} by {}\n{} judged, {} agree, {} differ, {} failed, {} not judged{}\n",
        text(view, "/name"),
        text(view, "/mode"),
        when(view, "/at"),
        text(view, "/by"),
        number(view, "/judged"),
        number(view, "/agreed"),
        number(view, "/differed"),
        number(view, "/failed"),
        number(view, "/missed"),
        if view["suspended"] == json!(true) {
            "; suspended, because it kept failing: put it again"
        } else {
            ""
        },
    );
    let cases = list(view, "/differences");
    if !cases.is_empty() {
        let newest: Vec<Json> = cases.iter().rev().cloned().collect();
        out.push_str(&differences(screen, &newest));
    }
    out.trim_end().to_owned()
}
