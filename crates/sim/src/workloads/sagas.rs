//! Actions and workflows that undo, race, listen and wait for people.
//!
//! `hold`, `keep` and `stub` can be taken back. The undo of `stub` is refused so many times as its argument says; `murmur`
//! happens and is not answered so many times.

/// Actions that have an undo, and the undos.
pub(super) const ACTIONS: &[&str] = &[
    "
action: take-back:1.0.0
effect: write
class: probeable
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who, key ] } }
idempotency: { key: '.key + \"/undo\"', header: Idempotency-Key }
output: { example: { status: settled, n: 1 } }
ensure: { probe: { call: 'put-read:1.0.0', with: { key: '${ .key }' } }, that: '.status == \"none\"', every: PT3S, within: PT15S }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }', undo: true } } }
",
    "
action: hard-back:1.0.0
effect: write
class: idempotent
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who, key, stubborn ] } }
idempotency: { key: '.key + \"/undo\"', header: Idempotency-Key }
output: { example: { status: settled, n: 1 } }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }', undo: true, stubborn: '${ .stubborn }' } } }
",
    "
action: sorry:1.0.0
effect: write
class: irreversible
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'once.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
output: { example: { status: settled, n: 1 } }
run: { call: http, with: { method: post, endpoint: 'http://once.sim/acts', body: { step: '${ .step }', who: '${ .who }', undo: true } } }
",
    "
action: hold:1.0.0
effect: write
class: compensable
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
idempotency: { key: '$workflow.id + \"/\" + .step', header: Idempotency-Key }
compensate: { call: 'take-back:1.0.0', with: { step: '${ .step }', who: '${ .who }', key: '${ $action.key }' } }
output: { example: { status: settled, n: 1 } }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }' } } }
",
    "
action: keep:1.0.0
effect: write
class: probeable
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who ] } }
idempotency: { key: '$workflow.id + \"/\" + .step', header: Idempotency-Key }
compensate: { call: 'take-back:1.0.0', with: { step: '${ .step }', who: '${ .who }', key: '${ $action.key }' } }
output: { example: { status: settled, n: 1 } }
ensure: { probe: { call: 'put-read:1.0.0', with: { key: '${ $action.key }' } }, that: '.status == \"settled\"', every: PT3S, within: PT15S }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }' } } }
",
    "
action: stub:1.0.0
effect: write
class: probeable
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'idem.sim' ]
input: { schema: { type: object, required: [ step, who, stubborn ] } }
idempotency: { key: '$workflow.id + \"/\" + .step', header: Idempotency-Key }
compensate: { call: 'hard-back:1.0.0', with: { step: '${ .step }', who: '${ .who }', key: '${ $action.key }', stubborn: '${ .stubborn }' } }
output: { example: { status: settled, n: 1 } }
ensure: { probe: { call: 'put-read:1.0.0', with: { key: '${ $action.key }' } }, that: '.status == \"settled\"', every: PT3S, within: PT15S }
run: { call: http, with: { method: post, endpoint: 'http://idem.sim/acts', body: { step: '${ .step }', who: '${ .who }' } } }
",
    "
action: murmur:1.0.0
effect: write
class: irreversible
blastRadius: { scope: order, max: 1, unit: order }
hosts: [ 'once.sim' ]
input: { schema: { type: object, required: [ step, who, mute ] } }
compensate: { call: 'sorry:1.0.0', with: { step: '${ .step }', who: '${ .who }' } }
output: { example: { status: settled, n: 1 } }
run: { call: http, with: { method: post, endpoint: 'http://once.sim/acts', body: { step: '${ .step }', who: '${ .who }', mute: '${ .mute }' } } }
",
];

/// Workflows: name, and tasks.
pub(super) const WORKFLOWS: &[(&str, &str)] = &[
    (
        "saga",
        "
  - a: { call: 'hold:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - b: { call: 'keep:1.0.0', with: { step: b, who: '${ $workflow.id }' } }
  - no: { raise: { error: { type: 'https://sim.example/no', status: 500 } } }",
    ),
    (
        "branches",
        "
  - both:
      fork:
        branches:
          - x:
              do:
                - x1: { call: 'hold:1.0.0', with: { step: x1, who: '${ $workflow.id }' } }
                - x2: { call: 'keep:1.0.0', with: { step: x2, who: '${ $workflow.id }' } }
          - y:
              do:
                - y1: { call: 'keep:1.0.0', with: { step: y1, who: '${ $workflow.id }' } }
                - inner:
                    fork:
                      branches:
                        - u: { call: 'hold:1.0.0', with: { step: u, who: '${ $workflow.id }' } }
                        - v: { do: [ { nap: { wait: PT1S } }, { v1: { call: 'put:1.0.0', with: { step: v1, who: '${ $workflow.id }' } } } ] }
  - z: { call: 'hold:1.0.0', with: { step: z, who: '${ $workflow.id }' } }
  - no: { raise: { error: { type: 'https://sim.example/no', status: 500 } } }",
    ),
    (
        "broken",
        "
  - before: { call: 'keep:1.0.0', with: { step: before, who: '${ $workflow.id }' } }
  - tried:
      try:
        - both:
            fork:
              branches:
                - x: { do: [ { x1: { call: 'keep:1.0.0', with: { step: x1, who: '${ $workflow.id }' } } }, { long: { wait: PT30S } } ] }
                - y: { do: [ { y1: { call: 'hold:1.0.0', with: { step: y1, who: '${ $workflow.id }' } } }, { no: { raise: { error: { type: 'https://sim.example/no', status: 500 } } } } ] }
      catch: { do: [ { instead: { call: 'put:1.0.0', with: { step: instead, who: '${ $workflow.id }' } } } ] }",
    ),
    (
        "race",
        "
  - first:
      fork:
        compete: true
        branches:
          - x: { do: [ { x1: { call: 'keep:1.0.0', with: { step: x1, who: '${ $workflow.id }' } } }, { nap: { wait: PT2S } } ] }
          - y: { do: [ { y1: { call: 'hold:1.0.0', with: { step: y1, who: '${ $workflow.id }' } } }, { long: { wait: PT40S } }, { y2: { call: 'keep:1.0.0', with: { step: y2, who: '${ $workflow.id }' } } } ] }
  - after: { call: 'put:1.0.0', with: { step: after, who: '${ $workflow.id }' } }",
    ),
    (
        "savepoints",
        "
  - a: { call: 'keep:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - mark: { call: 'checkpoint:1.0.0', with: { name: s } }
  - arm: { call: 'on-rollback:1.0.0', with: { call: 'put:1.0.0', with: { step: regret, who: '${ $workflow.id }' } } }
  - b: { call: 'keep:1.0.0', with: { step: b, who: '${ $workflow.id }' } }
  - back: { call: 'rollback:1.0.0', with: { to: s } }
  - c: { call: 'hold:1.0.0', with: { step: c, who: '${ $workflow.id }' } }
  - pivot: { call: 'release:1.0.0' }
  - d: { call: 'keep:1.0.0', with: { step: d, who: '${ $workflow.id }' } }
  - no: { raise: { error: { type: 'https://sim.example/no', status: 500 } } }",
    ),
    (
        "stubborn",
        "
  - a: { call: 'keep:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - b: { call: 'stub:1.0.0', with: { step: b, who: '${ $workflow.id }', stubborn: 2 } }
  - no: { raise: { error: { type: 'https://sim.example/no', status: 500 } } }",
    ),
    (
        "hopeless",
        "
  - a: { call: 'keep:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - b: { call: 'stub:1.0.0', with: { step: b, who: '${ $workflow.id }', stubborn: 1000 } }
  - no: { raise: { error: { type: 'https://sim.example/no', status: 500 } } }",
    ),
    (
        "murmuring",
        "
  - a: { call: 'keep:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - b: { call: 'murmur:1.0.0', with: { step: b, who: '${ $workflow.id }', mute: 1 } }
  - c: { call: 'put:1.0.0', with: { step: c, who: '${ $workflow.id }' } }",
    ),
    (
        "listening",
        "
  - first: { listen: { to: { any: [ { with: { type: tell, omnihubexecution: '${ $workflow.id }' } } ], until: 'length == 2' } } }
  - one: { call: 'put:1.0.0', with: { step: one, who: '${ $workflow.id }', heard: '${ . }' } }
  - then: { listen: { to: { one: { with: { type: tell, omnihubexecution: '${ $workflow.id }' } } } } }
  - two: { call: 'book:1.0.0', with: { step: two, who: '${ $workflow.id }', heard: '${ . }' } }",
    ),
    (
        "returning",
        "
  - a: { call: 'keep:1.0.0', with: { step: a, who: '${ $workflow.id }' } }
  - b: { call: 'keep:1.0.0', with: { step: b, who: '${ $workflow.id }' } }
  - c: { call: 'hold:1.0.0', with: { step: c, who: '${ $workflow.id }' } }
  - nap: { wait: PT9S }
  - d: { call: 'put:1.0.0', with: { step: d, who: '${ $workflow.id }' } }",
    ),
];

/// Steps that nothing undoes because a `release` came after them, by workflow: said again, so that nobody reads it from
/// what is checked.
pub const RELEASED: [(&str, &str); 2] = [("savepoints", "a"), ("savepoints", "c")];
