//! The workflows, actions and policies of every simulated world. Together they use every feature that can go wrong.
//!
//! Each step that changes something carries its name and its execution in the body, so that the ledger outside can tell
//! repetitions of one step from other steps, whatever keys it came with.

mod sagas;

use std::collections::BTreeMap;
use std::sync::Arc;

use app::{App, Caller, Compiled, Parts, Settings};
use model::principal::{PrincipalKind, Role};
use model::{Principal, PrincipalId, TenantId};

use store::{Batch, Put};

use crate::node::Life;
use crate::store::{Power, Stored};
use crate::swarm::Swarm;
use crate::world::{Crashes, World};

pub use sagas::RELEASED;

/// Actions. `$action.key` is what an outside system knows an act by.
const ACTIONS: &[&str] = &[
    "
action: look:1.0.0
effect: read
class: read
hosts: [ 'read.sim' ]
input: { schema: { type: object } }
output: { schema: { type: object, required: [ n ] } }
run: { call: http, with: { method: get, endpoint: 'http://read.sim/things' } }
",
    "
action: put:1.0.0
effect: write
class: idempotent
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
idempotency: { key: '$workflow.id + \"/\" + .step', header: Idempotency-Key }
output: { schema: { type: object }, example: { status: settled, n: 1 } }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }' } } }
",
    "
action: put-read:1.0.0
effect: read
class: read
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ key ] } }
output: { schema: { type: object, required: [ status ] }, example: { status: settled } }
run: { call: http, with: { method: get, endpoint: 'http://idem.sim/acts', query: { key: '${ .key }' } } }
",
    "
action: book:1.0.0
effect: write
class: probeable
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
idempotency: { key: '$workflow.id + \"/\" + .step', header: Idempotency-Key }
output: { example: { status: settled, n: 1 } }
ensure: { probe: { call: 'put-read:1.0.0', with: { key: '${ $action.key }' } }, that: '.status == \"settled\"', every: PT3S, within: PT15S }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }' } } }
",
    "
action: pay:1.0.0
effect: money
class: probeable
amount: { value: /amount, currency: /currency }
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who, amount, currency ], properties: { amount: { type: number, exclusiveMinimum: 0 } } } }
idempotency: { key: '$workflow.id + \"/\" + .step', header: Idempotency-Key }
output: { example: { status: settled, n: 1 } }
ensure: { probe: { call: 'put-read:1.0.0', with: { key: '${ $action.key }' } }, that: '.status == \"settled\"', every: PT4S, within: PT20S }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }', amount: '${ .amount }' } } }
",
    "
action: fence-read:1.0.0
effect: read
class: read
hosts: [ 'fenced.sim' ]
input: { schema: { type: object, required: [ key ] } }
output: { schema: { type: object, required: [ status ] } }
run: { call: http, with: { method: get, endpoint: 'http://fenced.sim/acts', query: { key: '${ .key }' } } }
",
    "
action: fence:1.0.0
effect: write
class: probeable
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'fenced.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
idempotency: { key: '$workflow.id + \"/\" + .step', header: Idempotency-Key }
output: { example: { status: settled, n: 1 } }
ensure: { probe: { call: 'fence-read:1.0.0', with: { key: '${ $action.key }' } }, that: '.status == \"settled\"', every: PT3S, within: PT15S }
run: { call: http, with: { method: post, endpoint: 'http://fenced.sim/acts', body: { step: '${ .step }', who: '${ .who }' } } }
",
    "
action: mail:1.0.0
effect: write
class: irreversible
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'once.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
output: { example: { status: settled, n: 1 } }
run: { call: http, with: { method: post, endpoint: 'http://once.sim/acts', body: { step: '${ .step }', who: '${ .who }' } } }
",
    // Does whatever arrives, and can be asked: nothing but asking keeps it from being done twice.
    "
action: ship-read:1.0.0
effect: read
class: read
hosts: [ 'asked.sim' ]
input: { schema: { type: object, required: [ key ] } }
output: { schema: { type: object, required: [ status ] } }
run: { call: http, with: { method: get, endpoint: 'http://asked.sim/acts', query: { key: '${ .key }' } } }
",
    "
action: ship:1.0.0
effect: write
class: probeable
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'asked.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
output: { example: { status: settled, n: 1 } }
ensure: { probe: { call: 'ship-read:1.0.0', with: { key: '${ $action.key }' } }, that: '.status == \"settled\"', every: PT5S, within: PT40S }
run: { call: http, with: { method: post, endpoint: 'http://asked.sim/acts', body: { step: '${ .step }', who: '${ .who }', ref: '${ $action.key }' } } }
",
    // Known by the key that the engine makes, not by one that the contract makes of the arguments.
    "
action: tick:1.0.0
effect: write
class: probeable
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
output: { example: { status: settled, n: 1 } }
ensure: { probe: { call: 'put-read:1.0.0', with: { key: '${ $action.key }' } }, that: '.status == \"settled\"', every: PT3S, within: PT15S }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }', ref: '${ $action.key }' } } }
",
    // Where it goes decides who learns something.
    "
action: send:1.0.0
effect: write
class: idempotent
data: [ personal ]
recipients: [ /to ]
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who, to ] } }
idempotency: { key: '$workflow.id + \"/\" + .step', header: Idempotency-Key }
output: { example: { status: settled, n: 1 } }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }' } } }
",
];

/// Workflows: name, and tasks.
const WORKFLOWS: &[(&str, &str)] = &[
    (
        "sequence",
        "
  - look: { call: 'look:1.0.0', output: { as: '${ $workflow.input }' } }
  - a: { call: 'put:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - mark: { set: { n: 1 } }
  - b: { call: 'put:1.0.0', with: { step: b, who: '${ $workflow.id }' } }
  - c: { call: 'book:1.0.0', with: { step: c, who: '${ $workflow.id }' } }",
    ),
    (
        "retrying",
        "
  - careful:
      try:
        - a: { call: 'put:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
        - b: { call: 'book:1.0.0', with: { step: b, who: '${ $workflow.id }' } }
      catch:
        errors: { with: { type: communication } }
        retry: { delay: PT2S, limit: { attempt: { count: 3 } } }
        do:
          - excuse: { call: 'put:1.0.0', with: { step: excuse, who: '${ $workflow.id }' } }",
    ),
    (
        "looping",
        "
  - each:
      for: { each: item, in: '[ \"x\", \"y\", \"z\" ]' }
      do:
        - one: { call: 'put:1.0.0', with: { step: '${ $item }', who: '${ $workflow.id }' } }
  - last: { call: 'book:1.0.0', with: { step: last, who: '${ $workflow.id }' } }",
    ),
    (
        "waiting",
        "
  - before: { call: 'put:1.0.0', with: { step: before, who: '${ $workflow.id }' } }
  - nap: { wait: PT7S }
  - after: { call: 'put:1.0.0', with: { step: after, who: '${ $workflow.id }' } }
  - again: { wait: PT1S }",
    ),
    (
        "hurried",
        "
  - brief:
      try:
        - a: { call: 'book:1.0.0', with: { step: a, who: '${ $workflow.id }' }, timeout: { after: PT6S } }
      catch:
        errors: { with: { type: timeout } }
        do:
          - plan-b: { call: 'put:1.0.0', with: { step: plan-b, who: '${ $workflow.id }' } }
  - last: { call: 'put:1.0.0', with: { step: last, who: '${ $workflow.id }' } }",
    ),
    (
        "probing",
        "
  - a: { call: 'book:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - b: { call: 'book:1.0.0', with: { step: b, who: '${ $workflow.id }' } }",
    ),
    (
        "paying",
        "
  - pay: { call: 'pay:1.0.0', with: { step: pay, who: '${ $workflow.id }', amount: 25, currency: EUR } }
  - note: { call: 'put:1.0.0', with: { step: note, who: '${ $workflow.id }' } }",
    ),
    (
        "mailing",
        "
  - mail: { call: 'mail:1.0.0', with: { step: mail, who: '${ $workflow.id }' } }
  - note: { call: 'put:1.0.0', with: { step: note, who: '${ $workflow.id }' } }",
    ),
    (
        "fencing",
        "
  - a: { call: 'fence:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - b: { call: 'fence:1.0.0', with: { step: b, who: '${ $workflow.id }' } }",
    ),
    (
        "program",
        "
  - work: { run: { shell: { command: 'echo ok' } } }
  - put: { call: 'put:1.0.0', with: { step: put, who: '${ $workflow.id }' } }
  - more: { run: { shell: { command: 'echo more' } } }",
    ),
    (
        "raising",
        "
  - a: { call: 'put:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - guard:
      try:
        - bad: { raise: { error: { type: 'https://sim.example/bad', status: 400 } } }
      catch:
        errors: { with: { type: 'https://sim.example/bad' } }
        do:
          - b: { call: 'book:1.0.0', with: { step: b, who: '${ $workflow.id }' } }
  - worse: { raise: { error: { type: 'https://sim.example/worse', status: 500 } } }",
    ),
    (
        "mixture",
        "
  - look: { call: 'look:1.0.0', output: { as: '${ $workflow.input }' } }
  - pay: { call: 'pay:1.0.0', with: { step: pay, who: '${ $workflow.id }', amount: 600, currency: EUR } }
  - nap: { wait: PT2S }
  - tell:
      try:
        - mail: { call: 'mail:1.0.0', with: { step: mail, who: '${ $workflow.id }' } }
      catch:
        do:
          - instead: { call: 'put:1.0.0', with: { step: instead, who: '${ $workflow.id }' } }",
    ),
    (
        "overdue",
        "
  - a: { call: 'book:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - nap: { wait: PT20S }
  - b: { call: 'mail:1.0.0', with: { step: b, who: '${ $workflow.id }' } }",
    ),
    (
        "asking",
        "
  - a: { call: 'ship:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - b: { call: 'ship:1.0.0', with: { step: b, who: '${ $workflow.id }' } }",
    ),
    (
        "counting",
        "
  - each:
      for: { each: item, in: '[ \"x\", \"y\", \"z\" ]' }
      do:
        - one: { call: 'tick:1.0.0', with: { step: '${ $item }', who: '${ $workflow.id }' } }",
    ),
    (
        "tainted",
        "
  - look: { call: 'look:1.0.0' }
  - send: { call: 'send:1.0.0', with: { step: send, who: '${ $workflow.id }', to: '${ .n }' } }",
    ),
];

/// Effects that the first tenant's policy lets nobody start without people: they move money, cannot be undone, or go
/// where a value from outside says. Said again, so that nobody reads it from what is checked.
pub const ASKED: [&str; 3] = ["pay:1.0.0", "mail:1.0.0", "send:1.0.0"];

/// What `mail` and `pay` need in the second tenant: nothing, so that irreversible effects start without people.
const LENIENT: &str = "
package omnihub
import rego.v1
allow if input.action.reviewed == true
allow if input.action.class == \"pure\"
";

/// What the first tenant has beside the default: much money needs two people.
const LARGE: &str = "
package omnihub
import rego.v1
approve contains {\"message\": \"it is much money\", \"approvers\": 2, \"roles\": [\"operator\", \"admin\"]} if input.amount.value >= 500
";

/// A policy beside the default that denies whatever moves money; swapped in and out.
pub const STRICT: &str = "
package omnihub
import rego.v1
deny contains \"no money today\" if input.action.effect == \"money\"
";

/// A policy beside the default that changes nothing but the digest; swapped in and out.
pub const FUSSY: &str = "
package omnihub
import rego.v1
deny contains \"never\" if input.action.operation == \"never\"
";

/// What each wait lasts in seconds, by workflow and task: said again, so that nobody reads it from what is checked.
pub const WAITS: [(&str, &str, u64); 8] = [
    ("waiting", "nap", 7),
    ("waiting", "again", 1),
    ("mixture", "nap", 2),
    ("overdue", "nap", 20),
    ("branches", "nap", 1),
    ("race", "nap", 2),
    ("race", "long", 40),
    ("returning", "nap", 9),
];

/// Number of workflows.
pub fn count() -> usize {
    all().count()
}

/// Names and tasks of all workflows.
fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    WORKFLOWS.iter().chain(sagas::WORKFLOWS)
}

/// The name of a workflow.
pub fn name(number: usize) -> &'static str {
    all().nth(number).map_or("", |(name, _)| name)
}

/// The number of a workflow by its name.
pub fn number(name: &str) -> Option<usize> {
    all().position(|(known, _)| *known == name)
}

/// The platform's tenant, where policies ask people.
pub fn first_tenant() -> TenantId {
    app::system_tenant()
}

/// Another tenant, where irreversible effects are allowed.
pub fn second_tenant() -> TenantId {
    TenantId::new("acme").expect("a literal identifier is valid")
}

/// Somebody who calls.
pub fn caller(tenant: &TenantId, name: &str, roles: &[Role]) -> Caller {
    Caller {
        principal: Principal {
            id: PrincipalId::new(name).expect("names of simulated people are identifiers"),
            tenant: tenant.clone(),
            kind: PrincipalKind::User,
            roles: roles.iter().copied().collect(),
        },
        address: None,
        agent: None,
        request_id: format!("request-of-{name}"),
    }
}

fn document(name: &str, tasks: &str) -> String {
    let limit = if name == "overdue" { "timeout: { after: PT60S }\n" } else { "" };
    format!(
        "document: {{ dsl: '1.0.3', namespace: sim, name: {name}, version: '1.0.0' }}\n{limit}do:{tasks}\n"
    )
}

/// What every world begins with: tenants, policies, actions and workflows, published by the real application.
///
/// The error is the application's word on what it refused.
pub async fn found(compiled: &Arc<Compiled>, power: Option<Arc<Power>>) -> Result<Stored, String> {
    let swarm = Swarm::quiet(0);
    let nothing = (Stored::default(), power);
    let world = World::new(0, swarm, Crashes::At(Default::default()), nothing, Arc::clone(compiled), false);
    let life = Arc::new(Life::new(0, Arc::clone(&world.clock)));
    let store = world.store_of(&life)?;
    let parts = Parts {
        store: Arc::clone(&store),
        clock: Arc::clone(&world.clock) as _,
        ids: Arc::clone(&world.ids) as _,
    };
    let told = |problem: model::Problem| format!("{problem} {:?}", problem.extra.get("problems"));
    let app = App::open_sharing(Settings::default(), parts, Arc::clone(compiled)).await.map_err(told)?;
    let root = caller(&first_tenant(), "user:root", &[Role::Admin]);
    app.create_tenant(&root, second_tenant().as_str(), "the second").await.map_err(told)?;
    let other = caller(&second_tenant(), "user:root", &[Role::Admin]);
    let modules = BTreeMap::from([("lenient.rego".to_owned(), LENIENT.to_owned())]);
    app.put_policy(&other, "default", modules, None).await.map_err(told)?;
    let modules = BTreeMap::from([("large.rego".to_owned(), LARGE.to_owned())]);
    app.put_policy(&root, "large", modules, None).await.map_err(told)?;
    for admin in [&root, &other] {
        for action in ACTIONS.iter().chain(sagas::ACTIONS) {
            app.publish_action(admin, action).await.map_err(told)?;
        }
        for (name, tasks) in all() {
            app.publish_workflow(admin, &document(name, tasks)).await.map_err(told)?;
        }
    }
    let tokens = [first_tenant(), second_tenant()].map(|tenant| hold_token(&tenant));
    let batch = Batch { lease: Some(app.lease()), puts: tokens.to_vec(), ..Batch::default() };
    for done in store.commit(vec![batch]).await {
        done.map_err(|error| error.to_string())?;
    }
    Ok(world.disk.with(|stored| stored.clone()))
}

/// The name of the token of somebody who may lose it.
pub fn token_of_dora(tenant: &TenantId) -> String {
    format!("token-of-dora-in-{tenant}")
}

/// Dora has had a token since before the world began. What it is made of is not drawn, so that worlds repeat.
fn hold_token(tenant: &TenantId) -> Put {
    let id = token_of_dora(tenant);
    let document = serde_json::json!({
        "id": id, "principal": "user:dora", "kind": "user", "tenant": tenant, "roles": ["operator"], "hash": "",
        "created_at": crate::clock::EPOCH_MS,
    });
    Put::Document { tenant: tenant.clone(), kind: "token".to_owned(), key: id, document }
}
