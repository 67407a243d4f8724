//! Approvals: M of N, nobody approves their own request, a decision is for one digest, an edit is judged again.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::{Execution, Input, Phase};
use model::approval::{Approval, ApprovalStatus, Vote};
use model::event::ApprovalDecision;
use model::id::ApprovalId;
use model::principal::{Permission, PrincipalKind, Role};
use model::sabotage::{self, Bug};
use model::verdict::Quorum;
use model::{Label, PrincipalId, Problem, Timestamp, Value};
use serde_json::json;
use store::{ApprovalQuery, Put};

use crate::app::{App, store_problem};
use crate::caller::Caller;
use crate::executions::checked_reason;
use crate::hot::Held;
use crate::record;
use crate::runner::{Change, to_the_end};
use crate::standing::People;
use crate::view::{ApprovalView, ApprovalWord, PageOf};

impl App {
    /// Approvals that match, newest first.
    pub async fn approvals(
        &self,
        caller: &Caller,
        query: ApprovalQuery,
    ) -> Result<PageOf<ApprovalView>, Problem> {
        caller.demand(Permission::Read)?;
        let query = ApprovalQuery { limit: query.limit.clamp(1, 500), ..query };
        let page =
            self.store.approvals(&caller.principal.tenant, query).await.map_err(|e| store_problem(&e))?;
        let now = self.clock.now();
        let mut items = Vec::with_capacity(page.items.len());
        for approval in page.items {
            items.push(self.approval_view(caller, approval, now).await?);
        }
        Ok(PageOf { items, next: page.next })
    }

    /// One approval.
    pub async fn approval(&self, caller: &Caller, id: &str) -> Result<ApprovalView, Problem> {
        caller.demand(Permission::Read)?;
        let approval = self.found(caller, id).await?;
        self.approval_view(caller, approval, self.clock.now()).await
    }

    /// Says yes, or edits the arguments (which opens a new approval for somebody else to decide).
    pub async fn approve(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        word: ApprovalWord,
    ) -> Result<ApprovalView, Problem> {
        self.decide(caller, id, word, true).await
    }

    /// Says no. One no is enough.
    pub async fn reject(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        word: ApprovalWord,
    ) -> Result<ApprovalView, Problem> {
        self.decide(caller, id, word, false).await
    }

    async fn decide(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        word: ApprovalWord,
        yes: bool,
    ) -> Result<ApprovalView, Problem> {
        let (app, caller, id) = (Arc::clone(self), caller.clone(), id.to_owned());
        to_the_end(async move { app.decide_whole(&caller, &id, word, yes).await }).await
    }

    async fn decide_whole(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        word: ApprovalWord,
        yes: bool,
    ) -> Result<ApprovalView, Problem> {
        caller.demand(Permission::DecideApproval)?;
        let found = self.found(caller, id).await?;
        let reason = checked_reason(&word.reason)?;
        let (tenant, execution) = (&found.tenant, &found.execution);
        let held = self.hold(tenant, execution).await?;
        match self.change_of(caller, id, &held, &word, reason, yes).await {
            Ok(change) => self.go_on(held, change, Some(caller)).await?,
            Err(problem) => {
                self.let_go(held);
                if problem.code.0 == 3012 {
                    // It may be over only because its time is: let the clock have its say at once.
                    let _ = self.advance(tenant, execution, Input::Wake, None).await;
                }
                return Err(problem);
            }
        };
        self.approval(caller, found.id.as_str()).await
    }

    /// The approval is read while its execution is held, so that two decisions at once both see each other.
    async fn change_of(
        &self,
        caller: &Caller,
        id: &str,
        held: &Held,
        word: &ApprovalWord,
        reason: String,
        yes: bool,
    ) -> Result<Change, Problem> {
        let approval = self.found(caller, id).await?;
        let state =
            held.state().ok_or_else(|| Problem::not_found("execution", approval.execution.as_str()))?;
        let people = self.people_of(&approval.tenant).await?;
        // A clock that was set back makes no time for what has expired in the history.
        let now = self.clock.now().max(state.now);
        Decision { caller, approval, people: &people, word, reason, yes, now }.make(state)
    }

    async fn found(&self, caller: &Caller, id: &str) -> Result<Approval, Problem> {
        let parsed = ApprovalId::new(id)
            .map_err(|_| Problem::not_found("approval", &id.chars().take(64).collect::<String>()))?;
        let found =
            self.store.approval(&caller.principal.tenant, &parsed).await.map_err(|e| store_problem(&e))?;
        found.ok_or_else(|| Problem::not_found("approval", id))
    }

    async fn approval_view(
        &self,
        caller: &Caller,
        mut approval: Approval,
        now: Timestamp,
    ) -> Result<ApprovalView, Problem> {
        let row = self
            .store
            .execution(&approval.tenant, &approval.execution)
            .await
            .map_err(|e| store_problem(&e))?;
        // Time decides even before the clock's own turn has come.
        if approval.status == ApprovalStatus::Pending && approval.expires_at <= now {
            approval.status = ApprovalStatus::Expired;
        }
        let given = approval.votes.iter().filter(|vote| vote.approve).count();
        let missing = approval.quorum.approvers.saturating_sub(u32::try_from(given).unwrap_or(u32::MAX));
        let refusal = if approval.status == ApprovalStatus::Pending {
            refusal(caller, &approval, &*self.people_of(&approval.tenant).await?).map(|p| p.detail)
        } else {
            None
        };
        Ok(ApprovalView { missing, refusal, intent: row.and_then(|row| row.intent), approval })
    }
}

/// One person's decision on one approval.
struct Decision<'a> {
    caller: &'a Caller,
    approval: Approval,
    people: &'a People,
    word: &'a ApprovalWord,
    reason: String,
    yes: bool,
    now: Timestamp,
}

impl Decision<'_> {
    fn make(mut self, state: &Execution) -> Result<Change, Problem> {
        self.check(state)?;
        if self.yes
            && let Some(arguments) = self.word.arguments.clone()
        {
            return Ok(self.edit(&arguments));
        }
        self.fill_in(state)?;
        self.approval.votes.push(Vote {
            by: self.caller.principal.id.clone(),
            approve: self.yes,
            reason: self.reason.clone(),
            at: self.now,
        });
        let given = self.approval.votes.iter().filter(|vote| vote.approve).count();
        let enough = given >= self.approval.quorum.approvers as usize || sabotage::is(Bug::QuorumOne);
        let decision = match (self.yes, enough) {
            (false, _) => Some((ApprovalDecision::Rejected, ApprovalStatus::Rejected)),
            (true, true) => Some((ApprovalDecision::Approved, ApprovalStatus::Approved)),
            (true, false) => None,
        };
        let Some((decision, status)) = decision else {
            let record = self.record(
                "approval.voted",
                json!({ "given": given, "needed": self.approval.quorum.approvers }),
            );
            return Ok(Change {
                input: None,
                puts: vec![Put::Approval(Box::new(self.approval))],
                records: vec![record],
                ..Change::default()
            });
        };
        self.approval.status = status;
        self.approval.decided_at = Some(self.now);
        let input = Input::Decided {
            effect: self.approval.effect,
            approval: self.approval.id.clone(),
            decision,
            by: self.caller.principal.id.clone(),
            reason: self.reason,
            answer: self.approval.answer.clone().filter(|_| self.yes),
        };
        Ok(Change {
            input: Some(input),
            puts: vec![Put::Approval(Box::new(self.approval))],
            records: Vec::new(),
            ..Change::default()
        })
    }

    /// Everybody who says yes fills in the same form with the same answer: all of them stand behind it.
    fn fill_in(&mut self, state: &Execution) -> Result<(), Problem> {
        let given = self.word.answer.as_ref().map(|answer| Value::from_json(answer, Label::CALLER));
        let wrong = |what: String| Problem::new(422, 4220, "wrong shape", what.clone()).field("answer", what);
        if !self.yes {
            return match given {
                Some(_) => Err(wrong("who says no fills nothing in: leave `answer` out".to_owned())),
                None => Ok(()),
            };
        }
        state.check_answer(self.approval.effect, given.as_ref()).map_err(wrong)?;
        let before = self.approval.answer.as_ref().map(model::digest_of);
        if before.is_some() && before != given.as_ref().map(model::digest_of) {
            let detail = "somebody has filled in the form already, with something else: say yes to the same, or say no";
            return Err(Problem::new(409, 3015, "another answer", detail)
                .with("answer", self.approval.answer.as_ref().map_or(json!(null), Value::to_json)));
        }
        self.approval.answer = given;
        Ok(())
    }

    fn edit(mut self, arguments: &serde_json::Value) -> Change {
        self.approval.status = ApprovalStatus::Withdrawn;
        self.approval.decided_at = Some(self.now);
        let record = self.record("approval.edited", json!({ "reason": guard::pii::redact(&self.reason) }));
        let input = Input::Edit {
            effect: self.approval.effect,
            approval: self.approval.id.clone(),
            arguments: Value::from_json(arguments, Label::CALLER),
            by: self.caller.principal.id.clone(),
        };
        Change {
            input: Some(input),
            puts: vec![Put::Approval(Box::new(self.approval))],
            records: vec![record],
            ..Change::default()
        }
    }

    fn record(&self, action: &str, mut details: serde_json::Value) -> audit::Record {
        details["approval"] = json!(self.approval.id);
        details["digest"] = json!(self.approval.digest);
        let resource = format!("executions/{}/effects/{}", self.approval.execution, self.approval.effect.0);
        let mut record = record::by_caller(self.caller, self.now, action, resource, details);
        record.correlation = self.approval.execution.to_string();
        record
    }

    fn check(&self, state: &Execution) -> Result<(), Problem> {
        let effect = state.effect(self.approval.effect);
        let waits = effect.is_some_and(|e| {
            matches!(e.phase, Phase::AwaitingApproval { .. })
                && e.approval.as_ref() == Some(&self.approval.id)
        });
        let late = self.approval.expires_at <= self.now && !sabotage::is(Bug::LateYes);
        if self.approval.status != ApprovalStatus::Pending || !waits || late {
            let status = if self.approval.status == ApprovalStatus::Pending {
                "expired"
            } else {
                self.approval.status.name()
            };
            let detail = format!("approval `{}` is {status}; it can no longer be decided", self.approval.id);
            return Err(Problem::new(409, 3012, "not pending", detail));
        }
        if let Some(problem) = refusal(self.caller, &self.approval, self.people) {
            return Err(problem);
        }
        if self.word.digest != self.approval.digest.to_string() && !sabotage::is(Bug::WordUnread) {
            let detail = format!(
                "the digest is not that of the effect that waits ({}); look at the approval again",
                self.approval.digest
            );
            return Err(
                Problem::new(409, 3010, "stale digest", detail).with("digest", json!(self.approval.digest))
            );
        }
        let known = effect.and_then(|e| e.judged);
        if known != Some(self.approval.digest) {
            return Err(Problem::new(
                409,
                3010,
                "stale digest",
                "the effect has changed since the approval was opened",
            ));
        }
        Ok(())
    }
}

/// Why this caller may not decide this approval.
fn refusal(caller: &Caller, approval: &Approval, people: &People) -> Option<Problem> {
    let me = &caller.principal;
    if let Some(problem) = own_request(people, &me.id, &approval.requester)
        && !sabotage::is(Bug::SelfApproval)
    {
        return Some(problem);
    }
    let edited = approval.edited_by.as_ref().is_some_and(|editor| people.same_person(editor, &me.id));
    if edited && !sabotage::is(Bug::EditorApproves) {
        return Some(Problem::new(
            403,
            3011,
            "self-approval",
            "you edited these arguments; somebody else has to decide them",
        ));
    }
    if let Some(problem) = voted_before(people, &me.id, &approval.votes)
        && !sabotage::is(Bug::VoteTwice)
    {
        return Some(problem);
    }
    if me.kind == PrincipalKind::Agent {
        let detail = "an agent decides by a model, and an approval is a person's word; ask a person";
        return Some(Problem::new(403, 4030, "not permitted", detail));
    }
    if !may_decide(&me.roles, &approval.quorum) {
        let detail = format!("this approval is for the roles {}", approval.quorum.roles.join(", "));
        return Some(Problem::new(403, 4030, "not permitted", detail));
    }
    None
}

/// Why nobody decides what they themselves asked for, by whichever of their names.
pub(crate) fn own_request(people: &People, me: &PrincipalId, requester: &PrincipalId) -> Option<Problem> {
    let detail = if me == requester {
        "nobody decides their own request; ask somebody else".to_owned()
    } else if people.same_person(me, requester) {
        format!(
            "`{requester}` asked for it, and the same person stands behind `{me}`: nobody decides their own request; ask somebody else"
        )
    } else {
        return None;
    };
    Some(Problem::new(403, 3011, "self-approval", detail))
}

/// Why one person counts once, by whichever of their names.
pub(crate) fn voted_before(people: &People, me: &PrincipalId, votes: &[Vote]) -> Option<Problem> {
    votes.iter().any(|vote| people.same_person(&vote.by, me)).then(|| {
        Problem::new(
            409,
            3014,
            "already voted",
            "you have decided this approval already; somebody else is missing",
        )
    })
}

/// True when somebody with these roles counts for the quorum.
pub(crate) fn may_decide(roles: &BTreeSet<Role>, quorum: &Quorum) -> bool {
    roles.iter().any(|role| role.grants(Permission::DecideApproval))
        && roles.iter().any(|role| quorum.roles.iter().any(|wanted| wanted == role.name()))
}

/// Why votes that were enough do not count any more: who voted yes must still be somebody who may. None while they
/// count.
pub(crate) fn no_longer_enough(
    people: &People,
    votes: &[Vote],
    quorum: &Quorum,
    requester: &PrincipalId,
    now: Timestamp,
) -> Option<String> {
    let mut counted: Vec<&PrincipalId> = Vec::new();
    let mut lost = Vec::new();
    for vote in votes.iter().filter(|vote| vote.approve) {
        let stands = people.roles(&vote.by, now).is_none_or(|roles| may_decide(&roles, quorum));
        let stands = stands || sabotage::is(Bug::RoleLost);
        let own = people.same_person(&vote.by, requester) && !sabotage::is(Bug::SelfApproval);
        let again = counted.iter().any(|before| people.same_person(before, &vote.by));
        let again = again && !sabotage::is(Bug::VoteTwice);
        if stands && !own && !again {
            counted.push(&vote.by);
        } else {
            lost.push(format!("`{}`", vote.by));
        }
    }
    let needed = if sabotage::is(Bug::QuorumOne) { 1 } else { quorum.approvers as usize };
    (counted.len() < needed).then(|| {
        let who = if lost.is_empty() { "too few people".to_owned() } else { lost.join(", ") };
        format!("the approval does not count any more: {who} may not decide it now")
    })
}
