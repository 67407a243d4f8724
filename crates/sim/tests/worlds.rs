//! Worlds repeat, many of them hold every invariant, and every invariant can fail.

use model::Timestamp;
use model::effect::Answer;
use model::event::{ApprovalDecision, EventBody};
use model::stop::Scope;
use sim::check::{self, Facts};
use sim::crash_points::Depth;
use sim::run::Base;
use sim::swarm::Swarm;
use sim::trace::Trace;
use sim::world::Crashes;
use sim::{crash_points, workloads};

/// Seeds of the bounded run; a debug build gets through them in a few seconds.
const SEEDS: u64 = 60;

fn base() -> Base {
    Base::found().unwrap_or_else(|error| panic!("{error}"))
}

/// A world in which nothing happens to one execution of a workflow.
fn quiet(base: &Base, workflow: &str) -> Facts {
    let number =
        (0..workloads::count()).find(|n| workloads::name(*n) == workflow).expect("it is one of them");
    let crashes = Crashes::At(Default::default());
    let (ended, facts) = base.run(5, Swarm::quiet(number), crashes, true).expect("the simulator runs");
    assert_eq!(ended.broken, [], "{:#?}", ended.lines);
    facts
}

/// A world in which people do what a scenario says, and nothing else happens.
fn acted(base: &Base, name: &str) -> Facts {
    let all = crash_points::scenarios();
    let scenario = all.iter().find(|scenario| scenario.name == name).expect("it is one of them");
    let (ended, facts) = crash_points::quiet(base, scenario).expect("the simulator runs");
    assert_eq!(ended.broken, [], "{:#?}", ended.lines);
    facts
}

fn broken(facts: &Facts) -> Vec<&'static str> {
    let mut names: Vec<_> = check::all(facts, &Trace::new(false)).into_iter().map(|(name, _)| name).collect();
    names.dedup();
    names
}

#[test]
fn the_same_seed_is_the_same_world() {
    let base = base();
    let other = self::base();
    for seed in 0..8 {
        let first = base.seed(seed, false).expect("it runs");
        let again = other.seed(seed, true).expect("it runs");
        assert_eq!((first.hash, first.sizes), (again.hash, again.sizes), "seed {seed}");
    }
}

#[test]
fn many_worlds_hold() {
    let base = base();
    for seed in 0..SEEDS {
        let ended = base.seed(seed, false).expect("it runs");
        assert_eq!(ended.broken, [], "seed {seed}");
    }
}

/// A sample of every scenario; `sim crash-points` tries them all.
#[test]
fn single_crashes_hold() {
    let base = base();
    for (rest, scenario) in (0..).zip(crash_points::scenarios()) {
        let points = crash_points::explore(&base, &scenario, Depth::Seventh(rest)).expect("it runs");
        assert!(points.singles >= 3, "{points:?}");
        assert_eq!(points.broken, [], "{}", points.name);
    }
}

/// The same on the real SQLite, whose files are what the power cut left.
#[test]
fn single_crashes_hold_on_sqlite() {
    let base = Base::found_on_sqlite().unwrap_or_else(|error| panic!("{error}"));
    let wanted = ["saga", "listening", "back, undoing", "planned", "program"];
    let scenarios = crash_points::scenarios();
    for scenario in scenarios.iter().filter(|scenario| wanted.contains(&scenario.name)) {
        let points = crash_points::explore(&base, scenario, Depth::Seventh(2)).expect("it runs");
        assert!(points.singles >= 3, "{points:?}");
        assert_eq!(points.broken, [], "{}", points.name);
    }
}

/// Whether an event starts the newest undo of `saga`: its effects are hold, keep, a probe, and then the undo.
fn undo_event(body: &EventBody) -> bool {
    matches!(body, EventBody::EffectStarted { effect, .. } if effect.0 == 4)
}

/// Changes what a world left behind, and expects the checker to name what is wrong.
#[test]
fn every_invariant_can_fail() {
    let base = base();
    let sequence = quiet(&base, "sequence");
    let paying = quiet(&base, "paying");
    let waiting = quiet(&base, "waiting");
    let mailing = quiet(&base, "mailing");
    let fencing = quiet(&base, "fencing");
    let mut named = Vec::new();
    let mut expect = |facts: &Facts, name: &'static str, change: &dyn Fn(&mut Facts)| {
        let mut facts = facts.clone();
        change(&mut facts);
        let found = broken(&facts);
        assert!(found.contains(&name), "`{name}` is not among {found:?}");
        named.push(name);
    };
    expect(&sequence, "every accepted execution is there", &|f| f.stored.executions.clear());
    expect(&sequence, "everything comes to rest or waits for a person", &|f| {
        f.unsettled.push("it waits".to_owned());
    });
    expect(&sequence, "acknowledged decisions and acts are in the history", &|f| {
        let (tenant, id) = f.stored.executions.keys().next().expect("one").clone();
        f.acks.acts.push((tenant, id, "execution.paused"));
    });
    expect(&sequence, "nothing starts after a kill was acknowledged", &|f| {
        f.acks.kills.push(sim::acks::Kill::On(f.ledger.sent[0].number - 1));
    });
    expect(&sequence, "controls and policies hold from their acknowledgement on", &|f| {
        f.acks.sets.push(sim::acks::Set {
            name: "safe-mode".to_owned(),
            on: true,
            operations: Vec::new(),
            reason: "a test".to_owned(),
            asked: 0,
            over: 0,
            acknowledged: true,
        });
    });
    expect(&paying, "what people must decide, people who may decided", &|f| {
        for event in f.stored.executions.values_mut().flat_map(|kept| &mut kept.events) {
            if let EventBody::EffectStarted { approval, .. } = &mut event.body {
                *approval = None;
            }
        }
    });
    expect(&sequence, "a tenant is judged by its own policies", &|f| {
        f.stored.leaves.retain(|leaf| leaf.record.action != "policy.put");
    });
    expect(&sequence, "one key, one execution", &|f| {
        let ((tenant, _), kept) = f.stored.executions.iter().next().expect("one");
        let (again, copy) = (model::ExecutionId::new("again").expect("an identifier"), kept.clone());
        f.acks.keyed.push((tenant.clone(), 0));
        f.stored.executions.insert((tenant.clone(), again), copy);
    });
    expect(&sequence, "the log tells things in their order, to whom they belong", &|f| {
        let at = |word: &str| f.stored.leaves.iter().rposition(|leaf| leaf.record.action == word);
        let (started, ended) = (at("execution.started"), at("execution.ended"));
        f.stored.leaves.swap(started.expect("it began"), ended.expect("it ended"));
    });
    expect(&sequence, "no tenant sees another's", &|f| {
        let other = if f.ledger.acts[0].tenant == workloads::first_tenant() {
            workloads::second_tenant()
        } else {
            workloads::first_tenant()
        };
        f.ledger.acts[0].tenant = other;
    });
    expect(&sequence, "nobody meets a panic or an internal error", &|f| f.panics.push("oh".to_owned()));
    expect(&sequence, "queues and memory are bounded", &|f| f.tasks = f.tasks_max + 1);
    expect(&sequence, "sequences have no gap and no reuse", &|f| {
        let kept = f.stored.executions.values_mut().next().expect("one");
        kept.events[1].at = Timestamp(0);
    });
    expect(&sequence, "replay equals snapshot", &|f| {
        f.stored.executions.values_mut().next().expect("one").snapshot = Some((1, b"{}".to_vec()));
    });
    expect(&sequence, "replay equals what was stored by the living", &|f| {
        f.stored.executions.values_mut().next().expect("one").row.status = "running".to_owned();
    });
    expect(&sequence, "every history replays", &|f| {
        f.stored.executions.values_mut().next().expect("one").events.remove(0);
    });
    expect(&sequence, "no effect without an earlier matching allow", &|f| {
        let kept = f.stored.executions.values_mut().next().expect("one");
        let judged = kept.events.iter().position(|e| matches!(e.body, EventBody::Judged { .. }));
        kept.events.remove(judged.expect("one was judged"));
    });
    // The same wait, had it been meant to last a second longer.
    expect(&waiting, "timers fire once and never early", &|f| {
        f.waits.iter_mut().for_each(|(_, _, seconds)| *seconds += 1);
    });
    expect(&paying, "an approval is used once, for its digest, by somebody else, in time", &|f| {
        let (_, approval) = f.stored.approvals.values_mut().next().expect("one was asked for");
        approval.votes[0].by = approval.requester.clone();
    });
    expect(&sequence, "nothing is sent without a durable start, and once", &|f| {
        let again = f.ledger.sent[0].clone();
        f.ledger.sent.push(again);
    });
    expect(&sequence, "a step is done at most once outside", &|f| {
        let again = f.ledger.acts[0].clone();
        f.ledger.acts.push(again);
    });
    expect(&mailing, "what is unrepeatable is tried once and then parked", &|f| {
        for kept in f.stored.executions.values_mut() {
            for event in &mut kept.events {
                if let EventBody::EffectAnswered { answer, .. } = &mut event.body
                    && matches!(answer, Answer::Done { .. })
                {
                    *answer = sim::outside::lost("it was lost");
                }
            }
            let at = kept.events.last().map_or(Timestamp(0), |event| event.at);
            let started = kept.events.iter().rfind(|e| matches!(e.body, EventBody::EffectStarted { .. }));
            let mut again = started.expect("something started").clone();
            again.at = at;
            if let EventBody::EffectStarted { effect, attempt, .. } = &mut again.body {
                (*effect, *attempt) = (model::effect::EffectNumber(1), 2);
            }
            kept.events.push(again);
        }
    });
    expect(&fencing, "an old token is not accepted", &|f| f.ledger.acts.last_mut().expect("one").token = 0);
    expect(&sequence, "outcomes are what really happened", &|f| f.ledger.acts.clear());
    expect(&sequence, "every effect, decision and act has a leaf", &|f| {
        f.stored.leaves.retain(|leaf| leaf.record.action != "effect.answered");
    });
    expect(&sequence, "the log is whole and signed", &|f| {
        f.stored.leaves.swap(0, 1);
    });
    expect(&paying, "acknowledged decisions and acts are in the history", &|f| {
        for kept in f.stored.executions.values_mut() {
            kept.events.retain(|e| {
                !matches!(e.body, EventBody::ApprovalDecided { decision: ApprovalDecision::Approved, .. })
            });
        }
        f.stored.approvals.clear();
    });
    let saga = quiet(&base, "saga");
    expect(&saga, "a saga ends whole, undone, or parked", &|f| {
        f.ledger.acts.retain(|act| !act.undoes);
        f.ledger.acts[0].undone_by = None;
    });
    expect(&saga, "an undo follows its effect, once, newest first", &|f| {
        for kept in f.stored.executions.values_mut() {
            let first =
                kept.events.iter().find(|e| undo_event(&e.body)).expect("something was undone").clone();
            kept.events.push(first);
        }
    });
    let back = acted(&base, "back, keeping");
    expect(&back, "going back never repeats silently", &|f| {
        for kept in f.stored.executions.values_mut() {
            let start = kept.events.iter().find(|e| matches!(e.body, EventBody::EffectStarted { .. }));
            let start = start.expect("something started").body.clone();
            for event in &mut kept.events {
                if let (EventBody::EffectReused { effect: again, .. }, mut body) =
                    (&event.body, start.clone())
                {
                    if let EventBody::EffectStarted { effect, attempt, .. } = &mut body {
                        (*effect, *attempt) = (*again, 1);
                    }
                    event.body = body;
                }
            }
        }
    });
    let forked = acted(&base, "forked");
    expect(&forked, "only what has ended is forgotten, and forks are there", &|f| {
        f.stored.executions.retain(|(_, id), _| *id != f.acks.forks[0].1);
    });
    expect(&waiting, "only what has ended is forgotten, and forks are there", &|f| {
        let mut gone = std::mem::take(&mut f.stored.executions);
        gone.values_mut().for_each(|kept| kept.row.ended_at = None);
        f.stored.buried = gone;
    });
    let planned = acted(&base, "planned");
    expect(&planned, "an execution of a signed plan did only what it holds", &|f| {
        for event in f.stored.executions.values_mut().flat_map(|kept| &mut kept.events) {
            if let EventBody::EffectStarted { entry, .. } = &mut event.body {
                *entry = None;
            }
        }
    });
    expect(&planned, "an execution of a signed plan did only what it holds", &|f| {
        for ((_, kind, _), document) in &mut f.stored.documents {
            if kind == "plan" {
                let mut changed = (**document).clone();
                changed["content"]["effects"][0]["arguments"]["amount"] = serde_json::json!(1);
                *document = std::sync::Arc::new(changed);
            }
        }
    });
    let stop = |f: &mut Facts, scope| {
        let (from, until) = (f.ledger.sent[0].number - 1, u64::MAX);
        f.acks.parts.push(sim::acks::PartStop { scope, tenant: None, from, until });
    };
    for scope in [
        Scope::Action("put".to_owned()),
        Scope::Target("idem.sim".to_owned()),
        Scope::Workflow("sim/sequence".to_owned()),
        Scope::Tenant(workloads::first_tenant()),
        Scope::Principal(model::PrincipalId::new("user:alice").expect("an identifier")),
    ] {
        expect(&sequence, "a stop of a part stops that part, and nothing else", &|f| stop(f, scope.clone()));
    }
    expect(&sequence, "a stop of a part stops that part, and nothing else", &|f| {
        let (tenant, id) = f.stored.executions.keys().next().expect("one").clone();
        let on = "control:kill-switch:workflow:sim/waiting".to_owned();
        f.stored.held.insert((tenant, id, on));
    });
    expect(&paying, "nothing is sent on the word of who lost the right", &|f| {
        // Whoever approved in this world, it was one of these.
        for who in ["user:bob", "user:dora"] {
            let (tenant, who) = (workloads::first_tenant(), who.to_owned());
            f.acks.disabled.push(sim::acks::Disabled { tenant, who, from: 0, until: u64::MAX });
        }
    });
    let listening = quiet(&base, "listening");
    expect(&listening, "no signal is lost or delivered twice", &|f| f.acks.told[0].id.push('x'));
    expect(&listening, "no signal is lost or delivered twice", &|f| {
        for kept in f.stored.executions.values_mut() {
            let first = kept.events.iter().position(|e| matches!(e.body, EventBody::Signalled { .. }));
            let again = kept.events[first.expect("one came")].clone();
            kept.events.push(again);
        }
    });
    expect(&sequence, "what was committed is what is on the disk", &|f| f.differs.push("a row".to_owned()));
    let missing: Vec<_> = check::names().into_iter().filter(|name| !named.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
}
