//! What the demo plays: plan, run, approval, faults, outcome, proof.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::client::segment;
use crate::commands::goals;
use crate::demo::DemoArgs;
use crate::demo::house::House;
use crate::demo::shop::Fault;
use crate::demo::stage::Stage;
use crate::exit::{Exit, Failure};
use crate::json::{items, list, number, text};
use crate::screen::{Tone, pretty};
use crate::view;

/// Broken event streams that are taken up again before the demo gives up.
const RECONNECTS_MAX: u32 = 20;

/// Plays the goal to its end; an error is the exit code of what was not verified.
pub(super) async fn play(stage: &Stage, house: &House, args: &DemoArgs) -> Result<(), Failure> {
    stage.heading("A goal becomes a plan");
    stage.show(&format!("alice wants: {}", stage.screen.paint(Tone::Strong, &args.goal)));
    let plan = house.people.alice.post("/goals", &json!({"intent": args.goal, "mode": "plan"})).await?;
    stage.show(&view::plan::draw(stage.screen, &plan));

    stage.heading("The plan runs");
    let accepted = house.people.alice.post("/goals", &json!({ "intent": args.goal })).await?;
    let id = text(&accepted, "/execution_id");
    stage.show(&format!("execution {id}"));
    let mut actor = Actor { stage, house, args, answered: BTreeSet::new(), redriven: BTreeSet::new() };
    actor.follow(&id).await?;

    let execution = house.people.alice.get(&format!("/executions/{}", segment(&id))).await?;
    stage.heading("What happened");
    stage.show(&view::execution::draw(stage.screen, &execution));
    let refunds = ledger(stage, house).await?;
    let proof = proof(stage, house, &id).await?;
    stage.show("");
    stage.show(&view::execution::in_short(stage.screen, &execution));
    stage.data(&json!({"execution": execution, "refunds": refunds, "proof": proof}))?;
    verdict(&execution, refunds)
}

/// Follows one execution and does what it waits for.
struct Actor<'a> {
    stage: &'a Stage,
    house: &'a House,
    args: &'a DemoArgs,
    answered: BTreeSet<String>,
    redriven: BTreeSet<String>,
}

impl Actor<'_> {
    /// Shows events as they come, until the end.
    async fn follow(&mut self, id: &str) -> Result<(), Failure> {
        let path = format!("/executions/{}/events", segment(id));
        let mut seen = None;
        for _ in 0..RECONNECTS_MAX {
            let mut events = self.house.people.alice.events(&path, seen).await?;
            while let Ok(Some(event)) = events.next().await {
                if event.kind == "end" {
                    return Ok(());
                }
                seen = event.id.or(seen);
                let entry: Json = serde_json::from_str(&event.data).unwrap_or(Json::Null);
                self.stage.show(&view::execution::event_line(self.stage.screen, &entry));
                if !text(&entry, "/event/approval/id").is_empty() && text(&entry, "/kind") == "judged" {
                    self.approvals(id).await?;
                }
                self.dead_letters(id).await?;
            }
        }
        Err(Failure::new(Exit::Unreachable, "the stream of events breaks again and again").code("OH-5030"))
    }

    async fn approvals(&mut self, id: &str) -> Result<(), Failure> {
        let query = [("status", Some("pending".to_owned())), ("execution", Some(id.to_owned()))];
        for approval in items(&self.house.people.bob.query("/approvals", &query).await?) {
            let approval_id = text(approval, "/id");
            if !self.answered.insert(approval_id.clone()) {
                continue;
            }
            self.stage.heading("It waits for a person, who sees exactly this");
            let path = format!("/approvals/{}", segment(&approval_id));
            let shown = self.house.people.bob.get(&path).await?;
            self.stage.show(&view::approval::draw(self.stage.screen, &shown));
            if self.args.fault == Fault::Down && self.redriven.is_empty() {
                self.house.set_fault(Fault::Down).await?;
                self.stage.note("the shop goes down");
            }
            if self.args.yes {
                let word =
                    json!({"digest": text(&shown, "/digest"), "reason": "the photo shows the broken cup"});
                self.house.people.bob.post(&format!("{path}/approve"), &word).await?;
                self.stage.heading("bob, who did not ask for it, approves");
            } else {
                self.stage.note("decide as bob:");
                self.stage.show(&format!(
                    "{} --address {} --token-file {} approvals approve {approval_id} --reason 'the photo shows the broken cup'",
                    program(),
                    self.house.address(),
                    self.house.people.bob_token.display(),
                ));
                self.stage.note(&format!("or at {}/console/approvals with that token", self.house.address()));
            }
        }
        Ok(())
    }

    async fn dead_letters(&mut self, id: &str) -> Result<(), Failure> {
        let page = self.house.people.bob.query("/dead-letters", &[("open", Some("true".to_owned()))]).await?;
        for letter in items(&page) {
            let letter_id = text(letter, "/id");
            if crate::commands::dead_letters::execution(letter) != id
                || !self.redriven.insert(letter_id.clone())
            {
                continue;
            }
            self.stage.heading("It is parked for a person, not forgotten");
            self.stage.show(&format!(
                "{} after {} attempts: {}",
                text(letter, "/operation"),
                text(letter, "/attempts"),
                text(letter, "/reason")
            ));
            if self.args.fault != Fault::Down {
                self.stage.note("trying again would not make it true; bob leaves it for an investigation");
            } else if self.args.yes {
                self.house.set_fault(Fault::None).await?;
                self.stage.note("the shop is back");
                let path = format!("/dead-letters/{}/redrive", segment(&letter_id));
                self.house.people.bob.post(&path, &json!({"reason": "the shop is back"})).await?;
                self.stage.heading("bob puts it back to work");
            } else {
                self.stage.note("bring the shop back, and put the work back:");
                self.stage.show(&format!(
                    "curl -d '{{\"fault\":\"none\"}}' {}/admin/fault",
                    self.house.control_address()
                ));
                self.stage.show(&format!(
                    "{} --address {} --token-file {} dead-letters redrive {letter_id} --reason 'the shop is back'",
                    program(),
                    self.house.address(),
                    self.house.people.bob_token.display(),
                ));
            }
        }
        Ok(())
    }
}

/// How this program was called, for lines that people copy.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "omnihub".to_owned(), |path| path.display().to_string())
}

/// What the shop itself says.
async fn ledger(stage: &Stage, house: &House) -> Result<u64, Failure> {
    stage.heading("What the shop's own ledger says");
    let ledger = match house.ledger().await {
        Ok(ledger) => ledger,
        Err(failure) if failure.exit == Exit::Unreachable => {
            stage.show("the shop is down");
            return Ok(0);
        }
        Err(failure) => return Err(failure),
    };
    let refunds = list(&ledger, "/refunds");
    let plural = if refunds.len() == 1 { "refund" } else { "refunds" };
    stage.show(&format!("{} {plural}", refunds.len()));
    for refund in refunds {
        stage.show(&format!(
            "{}  order {}  {} {}",
            text(refund, "/refundId"),
            text(refund, "/orderId"),
            text(refund, "/amount"),
            text(refund, "/currency")
        ));
    }
    Ok(refunds.len() as u64)
}

/// Proves that the last word about the execution is in the log, and checks the log whole.
async fn proof(stage: &Stage, house: &House, id: &str) -> Result<Json, Failure> {
    stage.heading("The audit log has it, and can prove it");
    let query = [
        ("correlation", Some(id.to_owned())),
        ("order", Some("newest".to_owned())),
        ("limit", Some("100".to_owned())),
    ];
    let page = house.people.admin.query("/audit", &query).await?;
    let leaves = items(&page);
    let last = leaves
        .first()
        .ok_or_else(|| Failure::new(Exit::Failed, "the audit log knows nothing of this execution"))?;
    let proof = house.people.admin.get(&format!("/audit/proof/{}", number(last, "/sequence"))).await?;
    view::proof::check(&proof)
        .map_err(|why| Failure::new(Exit::Failed, format!("the audit proof does not hold: {why}")))?;
    let check = house.people.admin.post("/audit/check", &json!({})).await?;
    if !crate::json::truth(&check, "/intact") {
        return Err(Failure::new(Exit::Failed, "the audit log is not intact").hint(pretty(&check)));
    }
    stage.show(&format!(
        "{} leaves tell of this execution; leaf {} ({}) proven against the signed head of {} leaves",
        leaves.len(),
        number(&proof, "/index"),
        text(&proof, "/record/action"),
        number(&proof, "/head/size"),
    ));
    stage.show(&format!(
        "root {}  {}",
        text(&proof, "/head/root"),
        stage.screen.paint(Tone::Good, "proof checked, log intact")
    ));
    Ok(proof)
}

/// Verified, and the shop agrees.
fn verdict(execution: &Json, refunds: u64) -> Result<(), Failure> {
    if text(execution, "/outcome") != "verified" {
        goals::verdict_of(execution)?;
        return Err(Failure::new(Exit::Failed, "the outcome is not verified"));
    }
    goals::verdict_of(execution)?;
    if refunds == 1 {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, format!("verified, but the shop's ledger has {refunds} refunds")))
    }
}
