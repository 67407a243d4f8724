//! Stops of a part: nothing in it starts once it is acknowledged, and nothing else is held. And rights that are lost.

use model::event::EventBody;
use model::stop::Scope;
use model::{ExecutionId, TenantId};

use super::{Found, Look, Story};
use crate::outside::Sent;
use crate::reached_in;

/// What a scope is held against.
struct Subject<'a> {
    tenant: &'a TenantId,
    workflow: String,
    version: &'a str,
    requester: &'a str,
    /// Operation and target, of an effect.
    acts: Option<(&'a str, &'a str)>,
}

impl<'a> Subject<'a> {
    fn of(story: &'a Story<'_>, acts: Option<(&'a str, &'a str)>) -> Self {
        let row = &story.kept.row;
        let workflow = format!("{}/{}", row.namespace, row.name);
        Self { tenant: story.tenant, workflow, version: &row.version, requester: &row.requester, acts }
    }
}

fn covers(scope: &Scope, subject: &Subject<'_>) -> bool {
    match scope {
        Scope::Global => true,
        Scope::Tenant(tenant) => tenant == subject.tenant,
        Scope::Principal(who) => who.as_str() == subject.requester,
        Scope::Workflow(name) => {
            *name == subject.workflow || *name == format!("{}:{}", subject.workflow, subject.version)
        }
        Scope::Action(named) => subject.acts.is_some_and(|(operation, _)| match named.strip_suffix('*') {
            Some(prefix) => operation.starts_with(prefix),
            None => operation == named || operation.rsplit_once(':').is_some_and(|(name, _)| name == named),
        }),
        Scope::Target(named) => subject.acts.is_some_and(|(_, target)| {
            let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
            let whole = named.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix));
            whole || named == target || named == host
        }),
    }
}

fn story<'a, 'b>(look: &'a Look<'b>, tenant: &TenantId, id: &ExecutionId) -> Option<&'a Story<'b>> {
    look.stories.iter().find(|story| story.tenant == tenant && story.id == id)
}

pub(crate) fn stops(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for sent in look.facts.ledger.sent.iter().filter(|sent| !sent.stale) {
        let Some(story) = story(look, &sent.tenant, &sent.execution) else { continue };
        let subject = Subject::of(story, Some((&sent.operation, &sent.target)));
        let stands = |part: &&crate::acks::PartStop| {
            (part.from..part.until).contains(&sent.number)
                && part.tenant.as_ref().is_none_or(|tenant| tenant == story.tenant)
                && covers(&part.scope, &subject)
        };
        if let Some(part) = look.facts.acks.parts.iter().find(stands) {
            found.push(format!(
                "effect {} of {} was sent ({}) while {:?} was stopped",
                sent.effect, sent.execution, sent.number, part.scope
            ));
        }
    }
    for (tenant, id, on) in &look.facts.stored.held {
        let Some(story) = story(look, tenant, id) else { continue };
        let Some(key) = on.strip_prefix("control:kill-switch:") else { continue };
        reached_in!(look, "a stop of a part held work");
        if !concerns(key, story) {
            found.push(format!("{id} was held by the stop of {key}, which does not concern it"));
        }
    }
    found
}

/// Whether a stop, by its name, concerns anything of an execution.
fn concerns(key: &str, story: &Story<'_>) -> bool {
    let (key, tenant) = match key.split_once('@') {
        Some((key, tenant)) => (key, Some(tenant)),
        None => (key, None),
    };
    let (kind, name) = key.split_once(':').unwrap_or((key, ""));
    let scope = match kind {
        "global" => Scope::Global,
        "tenant" => TenantId::new(name).map_or(Scope::Global, Scope::Tenant),
        "workflow" => Scope::Workflow(name.to_owned()),
        "action" => Scope::Action(name.to_owned()),
        "target" => Scope::Target(name.to_owned()),
        _ => model::PrincipalId::new(name).map_or(Scope::Global, Scope::Principal),
    };
    if tenant.is_some_and(|tenant| tenant != story.tenant.as_str()) {
        return false;
    }
    if covers(&scope, &Subject::of(story, None)) {
        return true;
    }
    story.state.effects.iter().any(|effect| {
        let target = effect.request.target();
        covers(&scope, &Subject::of(story, Some((&effect.operation, &target))))
    })
}

/// Nothing is sent on the word of somebody who is known to have lost the right to give it.
pub(crate) fn rights(look: &Look<'_>) -> Found {
    let mut found = Vec::new();
    for sent in look.facts.ledger.sent.iter().filter(|sent| !sent.stale) {
        let Some(approval) = approval_of(look, sent) else { continue };
        for lost in look.facts.acks.disabled.iter().filter(|lost| lost.tenant == sent.tenant) {
            let voices = approval.votes.iter().filter(|vote| vote.approve);
            let others = voices.filter(|vote| vote.by.as_str() != lost.who).count();
            if (lost.from..lost.until).contains(&sent.number) && others < approval.quorum.approvers as usize {
                found.push(format!(
                    "effect {} of {} was sent ({}) on the word of {}, who had lost the right",
                    sent.effect, sent.execution, sent.number, lost.who
                ));
            }
        }
    }
    found
}

fn approval_of<'a>(look: &'a Look<'_>, sent: &Sent) -> Option<&'a model::approval::Approval> {
    let story = story(look, &sent.tenant, &sent.execution)?;
    let id = story.kept.events.iter().find_map(|event| match &event.body {
        EventBody::EffectStarted { effect, attempt, approval, .. }
            if effect.0 == sent.effect && *attempt == sent.attempt =>
        {
            approval.clone()
        }
        _ => None,
    })?;
    look.facts.stored.approvals.get(&(sent.tenant.clone(), id)).map(|(_, approval)| approval)
}
