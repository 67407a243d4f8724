//! What is acted upon: systems that know a key, systems that know a fencing token, and systems that know nothing.
//!
//! Their ledger is the truth about what happened. Requests travel, arrive late, twice or never, are answered, lied to
//! or refused; all of that is drawn when a request is sent, and goes on after the node that sent it has died.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::effect::{Answer, HttpRequest};
use model::problem::WorkflowError;
use model::{ExecutionId, Label, TenantId, Value};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;

use crate::node::Life;
use crate::random::Random;
use crate::world::World;
use crate::{note, reached};

/// What happens late happens at the most so long after its sender gave it up, or its node died: less than any
/// contract of [`crate::workloads`] probes for, because nobody can know of what is still on the wire after that.
pub const LATE_MAX_MS: u64 = 8_000;

/// The kinds of systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Only answers.
    Read,
    /// Does what has a key once, and can be asked.
    Idempotent,
    /// As above, and refuses a token that is older than one it has seen.
    Fenced,
    /// Does whatever arrives, each time.
    Once,
    /// As above, and can be asked.
    Asked,
}

impl System {
    /// True when it does the same thing again for whoever asks again.
    fn repeats(self) -> bool {
        matches!(self, Self::Once | Self::Asked)
    }

    fn of(uri: &str) -> Self {
        let host = uri.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        match host {
            "idem.sim" => Self::Idempotent,
            "fenced.sim" => Self::Fenced,
            "once.sim" => Self::Once,
            "asked.sim" => Self::Asked,
            _ => Self::Read,
        }
    }
}

/// Whether the system of an address checks tokens.
pub fn is_fenced(uri: &str) -> bool {
    System::of(uri) == System::Fenced
}

/// Something that an outside system did.
#[derive(Debug, Clone)]
pub struct Act {
    /// In milliseconds since the world began.
    pub at_ms: u64,
    /// Where.
    pub system: System,
    /// Under which key, if one came with it.
    pub key: String,
    /// For whom, as the permit says.
    pub tenant: TenantId,
    /// In which execution, as the permit says.
    pub execution: ExecutionId,
    /// By which effect.
    pub effect: u32,
    /// In which attempt.
    pub attempt: u32,
    /// Which step, as the workflow's text says: stable over attempts.
    pub step: String,
    /// With which token.
    pub token: u64,
    /// True when it takes back what a step of this name did.
    pub undoes: bool,
    /// The effect that took this back.
    pub undone_by: Option<u32>,
}

/// A request that a worker sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its number in the trace.
    pub number: u64,
    /// Whose.
    pub tenant: TenantId,
    /// Which execution.
    pub execution: ExecutionId,
    /// Which effect.
    pub effect: u32,
    /// Which attempt.
    pub attempt: u32,
    /// The node that sent it.
    pub node: u32,
    /// Whether it can change anything.
    pub writes: bool,
    /// Whether it moves money.
    pub money: bool,
    /// Whether another node had taken its place: no stop reaches who sleeps, and what he sends must be refused outside.
    pub stale: bool,
    /// What was permitted.
    pub operation: String,
    /// Who is acted upon: a host, or `sandbox`.
    pub target: String,
}

/// A refusal of an old token.
#[derive(Debug, Clone, Copy)]
pub struct Fenced {
    /// What came.
    pub came: u64,
    /// What had been seen.
    pub seen: u64,
    /// Whether it was accepted all the same.
    pub accepted: bool,
}

/// What happened outside.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    /// Acts, in order.
    pub acts: Vec<Act>,
    /// Requests, in the order in which they were sent.
    pub sent: Vec<Sent>,
    /// Old tokens that came.
    pub fenced: Vec<Fenced>,
    highest: BTreeMap<TenantId, u64>,
    /// The newest undo of each step: what was asked for before it does not happen after it.
    tombs: BTreeMap<(TenantId, ExecutionId, String), u32>,
    /// How often each undo or silent act was asked for.
    asked: BTreeMap<(TenantId, ExecutionId, String), u64>,
    /// Of what is on the wire, how much its sender has given up.
    late: u32,
    /// Requests that are still on the wire, by effect.
    flying: BTreeMap<(TenantId, ExecutionId, u32), u32>,
}

impl Ledger {
    /// Whether a step of an execution is done, and not taken back.
    pub fn there(&self, tenant: &TenantId, execution: &ExecutionId, step: &str) -> bool {
        self.acts.iter().any(|act| {
            !act.undoes
                && act.undone_by.is_none()
                && act.step == step
                && act.execution == *execution
                && act.tenant == *tenant
        })
    }
}

/// Everything outside.
#[derive(Debug)]
pub struct Outside {
    ledger: Mutex<Ledger>,
    random: Mutex<Random>,
}

/// A request with everything that the wire says about it.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is sent.
    pub http: HttpRequest,
    /// Who sends it, for the ledger.
    pub sent: Sent,
    /// The fencing token that comes with it.
    pub token: u64,
    /// The attempt's limit.
    pub timeout: Duration,
}

/// What becomes of one request.
#[derive(Debug, Clone, Default)]
struct Fate {
    out: Duration,
    back: Duration,
    down: bool,
    lie: bool,
    refuse: bool,
    lost: bool,
    unanswered: bool,
    /// An answer that does not come is noticed at once, as a broken connection.
    noticed: bool,
    late_act: Option<Duration>,
    late_answer: Option<Duration>,
    double: Option<Duration>,
    malformed: bool,
}

impl Outside {
    /// Nothing has happened yet.
    pub fn new(seed: u64) -> Self {
        Self { ledger: Mutex::default(), random: Mutex::new(Random::stream(seed, "outside")) }
    }

    /// What happened so far.
    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().clone()
    }

    /// Whether something may still arrive of an effect, or of one before it, which it may undo.
    pub fn is_flying(&self, tenant: &TenantId, execution: &ExecutionId, effect: u32) -> bool {
        let place = |effect| (tenant.clone(), execution.clone(), effect);
        self.ledger.lock().flying.range(place(0)..=place(effect)).next().is_some()
    }

    /// Whether something may still arrive that its sender has given up.
    pub fn is_anything_late(&self) -> bool {
        self.ledger.lock().late > 0
    }

    fn takes_off(&self, sent: &Sent) -> (TenantId, ExecutionId, u32) {
        let place = (sent.tenant.clone(), sent.execution.clone(), sent.effect);
        *self.ledger.lock().flying.entry(place.clone()).or_default() += 1;
        place
    }

    fn lands(&self, place: &(TenantId, ExecutionId, u32)) {
        let mut ledger = self.ledger.lock();
        if let Some(flying) = ledger.flying.get_mut(place) {
            *flying -= 1;
            if *flying == 0 {
                ledger.flying.remove(place);
            }
        }
    }

    /// Notes that a worker sends.
    pub fn sends(&self, sent: Sent) {
        self.ledger.lock().sent.push(sent);
    }

    fn fate(&self, world: &World, system: System) -> Fate {
        let mut random = self.random.lock();
        let swarm = &world.swarm;
        let wire = |random: &mut Random| random.millis(0, swarm.wire_ms);
        let mut fate = Fate { out: wire(&mut random), back: wire(&mut random), ..Fate::default() };
        if world.is_healed() {
            return fate;
        }
        let late = |random: &mut Random| random.millis(0, LATE_MAX_MS);
        let changes = system != System::Read;
        fate.down = random.chance(swarm.outside_down);
        fate.lost = random.chance(swarm.request_lost);
        fate.unanswered = random.chance(swarm.answer_lost);
        fate.noticed = random.chance(500);
        fate.malformed = random.chance(swarm.malformed);
        fate.late_answer = random.chance(swarm.answer_late).then(|| late(&mut random));
        if changes {
            fate.lie = random.chance(swarm.lies);
            fate.refuse = random.chance(swarm.refused);
            // Late ones are what fences are for.
            let often = if system == System::Fenced { 5 } else { 1 };
            fate.late_act = random.chance(swarm.act_late * often).then(|| late(&mut random));
        }
        // What knows no key is never sent twice by the wire: a connection does not repeat itself.
        if changes && !system.repeats() {
            fate.double = random.chance(swarm.doubled).then(|| late(&mut random));
        }
        fate
    }
}

/// Sends a request; answers what the sender learns, or nothing when nothing comes back in time.
pub async fn send(world: &Arc<World>, life: &Arc<Life>, request: Request) -> Answer {
    let system = System::of(&request.http.uri);
    let fate = world.outside.fate(world, system);
    let timeout = request.timeout;
    let (reply, answer) = oneshot::channel();
    let (above, below) = (Arc::clone(world), Arc::clone(life));
    let place = world.outside.takes_off(&request.sent);
    tokio::spawn(async move {
        travel(Arc::clone(&above), below, system, request, fate, reply).await;
        above.outside.lands(&place);
    });
    match tokio::time::timeout(timeout, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => lost("the connection broke"),
        Err(_) => lost("no answer came in time"),
    }
}

/// One request on its way, whether or not its sender lives.
async fn travel(
    world: Arc<World>,
    life: Arc<Life>,
    system: System,
    request: Request,
    fate: Fate,
    mut reply: oneshot::Sender<Answer>,
) {
    tokio::time::sleep(fate.out).await;
    if fate.lost {
        world.trace.fault("a request was lost");
        return hold(fate.noticed, request.timeout, reply).await;
    }
    if let Some(late) = fate.late_act {
        world.trace.fault("an act came after its time limit");
        world.outside.ledger.lock().late += 1;
        tokio::select! {
            biased;
            () = reply.closed() => {}
            () = life.death() => {}
        }
        tokio::time::sleep(late).await;
        world.outside.ledger.lock().late -= 1;
    }
    // What is refused is refused however often it comes.
    if let Some(after) = fate.double.filter(|_| !(fate.down || fate.refuse || fate.lie)) {
        let (world, request) = (Arc::clone(&world), request.clone());
        let place = world.outside.takes_off(&request.sent);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            world.trace.fault("a request arrived twice");
            arrive(&world, system, &request, &Fate::default());
            world.outside.lands(&place);
        });
    }
    let answer = arrive(&world, system, &request, &fate);
    tokio::time::sleep(fate.back).await;
    let mute = answer.is_none();
    let Some(answer) = answer.filter(|_| !fate.unanswered) else {
        if !mute {
            world.trace.fault("an answer was lost");
        }
        return hold(fate.noticed, request.timeout, reply).await;
    };
    if let Some(late) = fate.late_answer {
        world.trace.fault("an answer came after its time limit");
        tokio::time::sleep(request.timeout + late).await;
    }
    // Nobody may be waiting any more.
    let _ = reply.send(answer);
}

/// Lets the sender wait, or know at once that nothing will come.
async fn hold(noticed: bool, timeout: Duration, reply: oneshot::Sender<Answer>) {
    if !noticed {
        tokio::time::sleep(timeout).await;
    }
    drop(reply);
}

/// A request arrives: the system acts and answers; or does not answer, because that is its way.
fn arrive(world: &World, system: System, request: &Request, fate: &Fate) -> Option<Answer> {
    if fate.down {
        world.trace.fault("the outside was down");
        return Some(refused(503, "the simulated system is down", true));
    }
    let read = request.http.method == "GET";
    if read {
        return Some(if fate.malformed {
            world.trace.fault("an answer made no sense");
            done(json!({ "nonsense": true }))
        } else {
            done(look(world, system, request))
        });
    }
    if fate.refuse {
        world.trace.fault("the outside refused");
        return Some(refused(422, "the simulated system refuses", false));
    }
    if fate.lie {
        world.trace.fault("the outside lied");
        bury(world, request);
        return Some(done(json!({ "status": "settled", "n": 1 })));
    }
    match act(world, system, request) {
        Err(answer) => Some(answer),
        Ok(false) => None,
        Ok(true) if fate.malformed => {
            world.trace.fault("an answer made no sense");
            Some(done(json!("nonsense")))
        }
        Ok(true) => Some(done(json!({ "status": "settled", "n": 1 }))),
    }
}

/// What a read answers.
fn look(world: &World, system: System, request: &Request) -> Json {
    if system == System::Read {
        return json!({ "n": 7 });
    }
    let key = request.http.uri.split("key=").nth(1).unwrap_or_default();
    let key = key.split('&').next().unwrap_or_default().replace("%2F", "/").replace("%3A", ":");
    let ledger = world.outside.ledger.lock();
    let here = |act: &&Act| {
        act.system == system
            && act.key == key
            && act.tenant == request.sent.tenant
            && !act.undoes
            && act.undone_by.is_none()
    };
    let found = ledger.acts.iter().any(|act| here(&act));
    json!({ "status": if found { "settled" } else { "none" } })
}

/// Whoever lies about an undo keeps at least what is still on the wire from happening: of that, no probe can know.
fn bury(world: &World, request: &Request) {
    let body = request.http.body.as_ref().map(Value::to_json).unwrap_or_default();
    if body["undo"] == json!(true) {
        let step = body["step"].as_str().unwrap_or_default().to_owned();
        let sent = &request.sent;
        let mut ledger = world.outside.ledger.lock();
        let tomb = ledger.tombs.entry((sent.tenant.clone(), sent.execution.clone(), step)).or_default();
        *tomb = sent.effect.max(*tomb);
    }
}

/// Does what is asked, as the kind of system does it; false when it does not answer.
fn act(world: &World, system: System, request: &Request) -> Result<bool, Answer> {
    let header = |name: &str| {
        let found = request.http.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let body = request.http.body.as_ref().map(Value::to_json).unwrap_or_default();
    let key =
        header("idempotency-key").or_else(|| body["ref"].as_str().map(str::to_owned)).unwrap_or_default();
    let mut ledger = world.outside.ledger.lock();
    let sent = &request.sent;
    if system == System::Fenced {
        let highest = ledger.highest.entry(sent.tenant.clone()).or_default();
        let seen = *highest;
        *highest = seen.max(request.token);
        if request.token < seen {
            ledger.fenced.push(Fenced { came: request.token, seen, accepted: false });
            reached!(world, "an old token was refused outside");
            return Err(refused(409, "the token is older than one that was seen", false));
        }
    }
    let step = body["step"].as_str().unwrap_or_default().to_owned();
    let new = Act {
        at_ms: world.clock.elapsed_ms(),
        system,
        key,
        tenant: sent.tenant.clone(),
        execution: sent.execution.clone(),
        effect: sent.effect,
        attempt: sent.attempt,
        step,
        token: request.token,
        undoes: body["undo"] == json!(true),
        undone_by: None,
    };
    let place = (new.tenant.clone(), new.execution.clone(), new.step.clone());
    let asked = ledger.asked.entry(place.clone()).or_default();
    if new.undoes || body["mute"].is_u64() {
        *asked += 1;
    }
    let asked = *asked;
    if new.undoes && asked <= body["stubborn"].as_u64().unwrap_or(0) {
        note!(world, "{system:?} does not take {} of {} back", new.step, new.execution);
        return Err(refused(422, "the simulated system does not take that back", false));
    }
    let said =
        if new.undoes { take_back(&mut ledger, new, place) } else { add(world, &mut ledger, new, &place)? };
    drop(ledger);
    if let Some(said) = said {
        note!(world, "{system:?} {said} of {} (effect {})", sent.execution, sent.effect);
    }
    Ok(asked == 0 || body["mute"].as_u64().is_none_or(|mute| asked > mute))
}

/// An undo: takes back what earlier effects did, and keeps what of them is still on the wire from happening.
fn take_back(ledger: &mut Ledger, undo: Act, place: (TenantId, ExecutionId, String)) -> Option<String> {
    let tomb = ledger.tombs.entry(place).or_default();
    *tomb = undo.effect.max(*tomb);
    let found = ledger.acts.iter_mut().find(|act| {
        !act.undoes
            && act.undone_by.is_none()
            && act.step == undo.step
            && act.execution == undo.execution
            && act.tenant == undo.tenant
            && act.effect < undo.effect
    })?;
    found.undone_by = Some(undo.effect);
    let said = format!("takes {} back", undo.step);
    ledger.acts.push(undo);
    Some(said)
}

/// Does something, unless its key says that it is done already, or an undo was faster.
fn add(
    world: &World,
    ledger: &mut Ledger,
    new: Act,
    place: &(TenantId, ExecutionId, String),
) -> Result<Option<String>, Answer> {
    if ledger.tombs.get(place).is_some_and(|tomb| new.effect < *tomb) {
        reached!(world, "an undo was faster than what it undoes");
        return Err(refused(409, "that was taken back", false));
    }
    let known = |act: &Act| {
        act.system == new.system
            && act.key == new.key
            && act.tenant == new.tenant
            && !act.undoes
            && act.undone_by.is_none()
    };
    if !new.system.repeats() && ledger.acts.iter().any(known) {
        reached!(world, "a repeated key was absorbed outside");
        return Ok(None);
    }
    let said = format!("does {}", new.step);
    ledger.acts.push(new);
    Ok(Some(said))
}

fn done(output: Json) -> Answer {
    Answer::Done { output: Value::from_json(&output, Label::EXTERNAL) }
}

fn refused(status: u16, detail: &str, transient: bool) -> Answer {
    let error = WorkflowError::standard("communication", status, "Communication Error", detail);
    Answer::Refused { error, transient, retry_after_ms: None }
}

/// Nobody knows.
pub fn lost(detail: &str) -> Answer {
    Answer::Lost { error: WorkflowError::governed("lost", 504, "Answer Lost", detail) }
}
