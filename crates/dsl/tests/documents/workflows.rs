//! What is wrong with workflow documents.

use crate::support::{compile, render, workflow};

/// Documents without their head, by what they show.
const CASES: &[(&str, &str)] = &[
    ("unknown key with the nearest", "do:\n  - pause: { wiat: PT1S }\n"),
    ("unknown key of a known task", "do:\n  - pause: { wait: PT1S, iff: .a }\n"),
    ("unknown key of the workflow", "doo: []\ndo: [ { a: { wait: PT1S } } ]\n"),
    ("missing parts", "do:\n  - a: { call: http, with: { method: get } }\n  - b: { for: { each: x } }\n"),
    (
        "wrong types",
        "do:\n  - a: { call: http, with: { method: get, endpoint: 'https://a.example/', redirect: yes, output: all } }\n  - b: { do: 5 }\n",
    ),
    ("a number where text belongs", "do:\n  - a: { set: { x: 1 }, if: 5 }\n"),
    ("empty lists", "do:\n  - a: { do: [] }\n  - b: { switch: [] }\n  - c: { set: {} }\n"),
    ("two kinds, no kind", "do:\n  - a: { set: { x: 1 }, wait: PT1S }\n  - b: { metadata: { x: 1 } }\n"),
    ("two names in one entry", "do:\n  - a: { set: { x: 1 } }\n    b: { set: { x: 2 } }\n"),
    (
        "calls of an API",
        "do:\n  - a: { call: openapi, with: { document: { endpoint: 'https://shop.example/openapi.json' }, operationId: getOrdr } }\n  - b: { call: openapi, with: { document: { endpoint: 'https://shop.example/openapi.json' }, operationId: getOrder, parameters: { order: 1 } } }\n  - c: { call: openapi, with: { document: { endpoint: 'https://shop.example/openapi.json' }, operationId: createOrder } }\n  - d: { call: openapi, with: { document: { endpoint: 'https://shop.example/gone.json' }, operationId: x } }\n  - e: { call: openapi, with: { document: { endpoint: 'https://shop.example/broken.json' }, operationId: listOrders } }\n  - f: { call: openapi, with: { document: { endpoint: 'https://shop.example/{name}.json' }, operationId: x } }\n  - g: { call: openapi, with: { document: { endpoint: '${ .address }' }, operationId: x } }\n  - h: { call: openapi, with: { document: { endpoint: 'https://shop.example/openapi.json' }, operationId: '${ .id }' } }\n  - i: { call: openapi, with: { document: { endpoint: { uri: 'https://shop.example/openapi.json', authentication: { bearer: { token: x } } } }, operationId: getOrder } }\n  - j: { call: openapi, with: { document: { endpoint: 'https://other.example/openapi.json' }, operationId: x } }\n",
    ),
    (
        "expression that does not parse",
        "do:\n  - a: { if: .amount >, set: { x: 1 } }\n  - b:\n      set: { y: '${ .a + }' }\n",
    ),
    (
        "expression in a block",
        "do:\n  - a:\n      if: |\n        .amount\n          > $wrong\n      set: { x: 1 }\n",
    ),
    (
        "unknown variables",
        "do:\n  - a:\n      for: { each: order, in: .orders }\n      do:\n        - b: { set: { x: '${ $ordr }', y: '${ $index }' } }\n  - c: { set: { x: '${ $order }' } }\n  - d: { set: { x: 1 }, output: { as: $output } }\n",
    ),
    ("secrets in expressions", "do:\n  - a: { set: { x: '${ $secrets.shop }' } }\n"),
    (
        "interpolation",
        "do:\n  - a: { set: { x: '${ .a } and ${ .b }', y: 'Hello ${ .name }', z: '${ .open' } }\n",
    ),
    (
        "dangling then",
        "do:\n  - chargeCard: { set: { x: 1 }, then: shipp }\n  - ship: { set: { x: 1 }, then: somewhere }\n",
    ),
    (
        "then to another list",
        "do:\n  - a:\n      do:\n        - inner: { set: { x: 1 } }\n  - b: { set: { x: 1 }, then: inner }\n",
    ),
    (
        "dangling then of a case",
        "do:\n  - a:\n      switch:\n        - one: { when: .x, then: bb }\n        - one: { then: exit }\n  - b: { set: { x: 1 } }\n",
    ),
    (
        "duplicate and reserved task names",
        "do:\n  - a: { set: { x: 1 } }\n  - a: { set: { x: 2 } }\n  - end: { set: { x: 2 } }\n",
    ),
    (
        "reusable parts nobody uses",
        "use:\n  retries: { r: { when: $err.status >, delay: P1M } }\n  errors: { e: { type: x, status: 5 } }\ndo: [ { a: { set: { x: 1 } } } ]\n",
    ),
    (
        "variable names",
        "do:\n  - a: { for: { each: $order, in: .orders }, do: [ { b: { set: { x: 1 } } } ] }\n  - c: { for: { each: context, at: i, in: .x }, do: [ { b: { set: { x: 1 } } } ] }\n  - d: { for: { each: i, at: i, in: .x }, do: [ { b: { set: { x: 1 } } } ] }\n  - e: { try: [ { b: { set: { x: 1 } } } ], catch: { as: 1st } }\n",
    ),
    (
        "references to nothing",
        "use:\n  errors: { notFound: { type: 'https://e.example/nf', status: 404 } }\n  retries: { slow: { delay: PT5S } }\n  secrets: [ shop ]\ndo:\n  - a: { raise: { error: notFuond } }\n  - b: { try: [ { c: { set: { x: 1 } } } ], catch: { retry: slwo } }\n  - d: { set: { x: 1 }, timeout: short }\n  - e: { call: http, with: { method: get, endpoint: { uri: 'https://a.example/', authentication: { use: basic } } } }\n  - f: { call: http, with: { method: get, endpoint: { uri: 'https://a.example/', authentication: { bearer: { use: shpo } } } } }\n",
    ),
    (
        "durations",
        "do:\n  - a: { wait: P1M }\n  - b: { wait: P1.5D }\n  - c: { wait: soon }\n  - d: { wait: { seconds: -1 } }\n  - e: { wait: { second: 1 } }\n  - f: { wait: {} }\n  - g: { set: { x: 1 }, timeout: { after: P1Y } }\n",
    ),
    (
        "schemas",
        "input:\n  schema: { document: { type: strnig } }\ndo:\n  - a:\n      set: { x: 1 }\n      input: { schema: { document: { $ref: '#' } } }\n      output: { schema: { document: { $ref: 'https://e.example/s.json' } } }\n      export: { schema: { resource: { endpoint: 'https://e.example/s.json' } } }\n  - b:\n      set: { x: 1 }\n      input: { schema: { format: avro, document: {} } }\n      output: { schema: {} }\n",
    ),
    (
        "functions",
        "do:\n  - a: { call: 'refund-craete:1.0.0' }\n  - b: { call: 'refund-create:2.0.0' }\n  - c: { call: htpp }\n  - d: { call: 'https://e.example/log.yaml' }\n  - e: { call: 'log:1.0.0@elsewhere' }\n  - f: { call: 'doubtful:1.0.0' }\n  - g: { call: 'refund-create:1.0.0', with: { orderId: 7, amount: 5 } }\n",
    ),
    (
        "errors",
        "do:\n  - a: { raise: { error: { type: not found, status: 4040 } } }\n  - b: { raise: { error: { type: timeuot, status: '404' } } }\n  - c: { try: [ { d: { set: { x: 1 } } } ], catch: { errors: { with: { type: comunication, status: 1 } } } }\n",
    ),
    (
        "endpoints",
        "do:\n  - a: { call: http, with: { method: fetch, endpoint: 'https://{host}/x' } }\n  - b: { call: http, with: { method: get, endpoint: 'ftp://a.example/' } }\n  - c: { call: http, with: { method: get, endpoint: /orders } }\n  - d: { call: http, with: { method: get, endpoint: 'https://u:p@a.example/' } }\n  - e: { call: http, with: { method: get, endpoint: 'https://a.example/{?q}' } }\n  - f: { call: http, with: { method: get, endpoint: 'https://a.example/${ .id }' } }\n  - g: { call: http, with: { method: get, endpoint: 'https://a.example/{id' } }\n",
    ),
    (
        "processes",
        "do:\n  - a: { run: { script: { language: ruby, code: puts 1 } } }\n  - b: { run: { script: { language: python, source: { endpoint: 'https://a.example/x.py' } } } }\n  - c: { run: { shell: { command: ls, arguments: all } } }\n",
    ),
    (
        "lost context",
        "do:\n  - a: { set: { x: 1 }, export: { as: { x: '${ .x }' } } }\n  - b: { set: { y: 1 }, export: { as: '{ y: .y }' } }\n  - c: { set: { y: 1 }, export: { as: '$context + { y: .y }' } }\n",
    ),
    ("schedule", "schedule: { cron: '@daily' }\ndo: [ { a: { set: { x: 1 } } } ]\n"),
    (
        "of a later version",
        "schedule: { on: { one: { with: { type: a } } }, read: data }\ndo:\n  - a: { for: { in: [ { x: 1 } ] }, do: [ { b: { set: { x: 1 } } } ] }\n  - c: { try: [ { d: { set: { x: 1 } } } ], catch: { then: a } }\n",
    ),
    (
        "not built",
        "schedule: { on: { one: { with: { type: a } } } }\nuse: { functions: { f: { set: { x: 1 } } } }\ndo:\n  - a: { fork: { branches: [ { x: { set: { x: 1 } } } ] } }\n  - b: { emit: { event: { with: { source: 'https://a.example', type: t, orderId: 1 } } } }\n  - c: { listen: { to: { any: [] }, read: data }, foreach: { item: e, at: e, output: { as: '$x' } } }\n  - u: { listen: { to: { one: { with: { type: t, omnihubupdate: true } } } } }\n  - v: { listen: { to: { any: [ { with: { omnihubupdate: false } } ], until: { any: [], until: 'true' } } }, foreach: {} }\n  - d: { call: grpc, with: { proto: { endpoint: 'file://x' }, service: { name: s, host: h }, method: m } }\n  - e: { run: { container: { image: i } } }\n  - f: { run: { workflow: { namespace: '${ .n }', name: w, version: newest }, return: all } }\n  - g: { run: { shell: { command: ls }, await: false } }\n  - h: { call: 'consensus:1.0.0', with: { quorum: 2 } }\n  - i: { call: f }\n  - j: { call: http, with: { method: get, endpoint: { uri: 'https://a.example', authentication: { oauth2: { use: s } } } } }\n",
    ),
    (
        "calls of services",
        "do:\n  - a: { call: grpc, with: { proto: { endpoint: 'https://shop.example/shop.proto' }, service: { name: shop.Orders, host: shop.example }, method: Put } }\n  - b: { call: grpc, with: { proto: { endpoint: 'https://shop.example/shop.proto' }, service: { name: shop.Orders, host: shop.example }, method: Upload } }\n  - c: { call: grpc, with: { proto: { endpoint: 'https://shop.example/shop.proto' }, service: { name: shop.Order, host: 'https://shop.example', port: 0 }, method: Put } }\n  - d: { call: grpc, with: { proto: { endpoint: 'file://shop.proto' }, service: { name: shop.Orders, host: shop.example }, method: '${ .m }' } }\n  - e: { call: grpc, with: { proto: { endpoint: 'https://shop.example/shop.proto' }, service: { name: shop.Orders, host: shop.example, authentication: { digest: { username: u, password: p } } }, method: Putt } }\n",
    ),
    (
        "brokers",
        "do:\n  - a: { call: asyncapi, with: { document: { endpoint: 'https://shop.example/asyncapi.json' }, operation: x, protocol: kafka, message: { payload: {} } } }\n  - b: { call: asyncapi, with: { document: { endpoint: 'https://shop.example/asyncapi.json' }, subscription: { consume: { amount: 0 } } } }\n",
    ),
    (
        "tools and agents",
        "do:\n  - a: { call: mcp, with: { method: tools/call, parameters: { name: post, arguments: { text: a } }, transport: { http: { endpoint: 'https://shop.example/mcp' } } } }\n  - b: { call: mcp, with: { method: tools/call, parameters: { name: pots }, transport: { http: { endpoint: 'https://shop.example/mcp' } } } }\n  - c: { call: mcp, with: { method: tools/call, parameters: { name: post, arguments: {} }, transport: { http: { endpoint: 'https://shop.example/mcp' } } } }\n  - d: { call: mcp, with: { method: tools/call, parameters: '${ . }', transport: { http: { endpoint: 'https://shop.example/mcp' } } } }\n  - e: { call: mcp, with: { method: tools/list, transport: { stdio: { command: npx, arguments: [ '${ .x }' ] } } } }\n  - f: { call: mcp, with: { method: tools/list, protocolVersion: '1999', transport: { http: { endpoint: 'https://shop.example/mcp' }, options: { a: b } } } }\n  - g: { call: a2a, with: { method: message/send } }\n  - h: { call: a2a, with: { method: message/send, server: '${ .agent }' } }\n",
    ),
    (
        "tokens",
        "use: { secrets: [ s ] }\ndo:\n  - a: { call: http, with: { method: get, endpoint: { uri: 'https://a.example', authentication: { oauth2: { use: s } } } } }\n  - b: { call: http, with: { method: get, endpoint: { uri: 'https://a.example', authentication: { oauth2: { authority: 'https://b.example', grant: authorization_code } } } } }\n  - c: { call: http, with: { method: get, endpoint: { uri: 'https://a.example', authentication: { oidc: { authority: 'https://b.example/{realm}', client: { id: i, secret: hush } } } } } }\n  - d: { call: http, with: { method: get, endpoint: { uri: 'https://a.example', authentication: { oidc: { authority: '${ .authority }', client: { id: i, secret: '${ .secret }' }, scopes: [ a ] } } } } }\n  - e: { call: http, with: { method: get, endpoint: { uri: 'https://a.example', authentication: { oauth2: { authority: 'https://b.example', client: { id: i, secret: x, authentication: private_key_jwt } } } } } }\n  - f: { call: http, with: { method: get, endpoint: { uri: 'https://a.example', authentication: { digest: { username: u } } } } }\n",
    ),
    (
        "signals",
        "do:\n  - a: { listen: { to: { one: { with: { type: go } } } } }\n  - b: { listen: { to: { all: [ { with: { type: go, omnihubexecution: '${ .other }' } } ], until: 'length > 2' } } }\n  - c: { listen: { to: { any: [ { with: { type: go, omnihubexecution: '${ $workflow.id }' }, correlate: { x: { from: .x } } } ], until: { one: { with: { type: stop } } } } }, foreach: { item: e } }\n  - d: { listen: { to: { one: { with: { type: go, omnihubexecution: '${ $workflow.id }', data: '${ $nobody }' } } }, read: all } }\n",
    ),
    (
        "savepoints and what is armed",
        "do:\n  - a: { call: 'checkpoint:1.0.0@default', with: { name: start } }\n  - b: { call: 'checkpoint:1.0.0', with: { name: '${ .x }', nmae: x } }\n  - c: { call: 'rollback:1.0.0', with: { to: strat } }\n  - d: { call: 'release:1.0.0', with: { too: start } }\n  - e: { call: 'on-rollback:1.0.0', with: { with: {} } }\n  - f: { call: 'on-rollback:1.0.0', with: { call: 'refund-cancle:1.0.0' } }\n  - g: { call: 'checkpoint:2.0.0', with: { name: x } }\n  - h: { call: 'rollback:1.0.0', with: [ start ] }\n  - i: { fork: { branches: [ { j: { call: 'rollback:1.0.0', with: { to: start } } } ] } }\n",
    ),
    (
        "branches",
        "do:\n  - a:\n      fork:\n        branches:\n          - b: { set: { x: 1 }, export: { as: '${ $context + { total: .x, b: 1 } }' } }\n          - c: { set: { x: 1 }, then: b, export: { as: { total: '${ .x }' } } }\n          - b: { set: { x: 1 }, export: { as: '${ { c: 1 } }' } }\n",
    ),
    (
        "refused by profile",
        "evaluate: { language: javascript, mode: loose }\nuse:\n  extensions: [ { x: { extend: all } } ]\n  catalogs: { c: { endpoint: 'https://c.example' } }\ndo:\n  - a: { set: { x: 1 } }\n",
    ),
    ("syntax", "do:\n  - a: { set: { x: 'open }\n"),
    ("duplicate key", "do:\n  - a:\n      set: { x: 1 }\n      set: { x: 2 }\n"),
    (
        "anchors, aliases, merge keys, tags",
        "do:\n  - a: { set: &x { x: 1 } }\n  - b: { set: *x }\n  - c: { set: { <<: { x: 1 }, y: !!str 1 } }\n",
    ),
    ("not JSON", "do:\n  - a: { set: { x: .inf, ~: 1 } }\n"),
    ("key that is a list", "do:\n  - a: { set: { [ 1 ]: 1 } }\n"),
    ("two documents", "do:\n  - a: { set: { x: 1 } }\n---\nb: 1\n"),
];

/// Documents with a head of their own.
const WHOLE: &[(&str, &str)] = &[
    ("empty", ""),
    ("a list", "- a\n- b\n"),
    (
        "the head",
        "document: { dsl: '2.0.0', namespace: 'a b', name: -x, version: 1.0, titel: x }\ndo: [ { a: { set: { x: 1 } } } ]\n",
    ),
    (
        "metadata",
        "document:\n  dsl: '1.0.3'\n  namespace: shop\n  name: refund\n  version: '1.0.0'\n  metadata:\n    other: anything\n    omnihub:\n      ownr: me\n      intents: [ 'refund {ordre}', 'a { b', 5 ]\n      slots:\n        order: { type: id, pattern: '(', into: { amount: /a } }\n        kind: { type: enum }\n        pay: { type: cash, into: amount }\ndo: [ { a: { set: { x: 1 } } } ]\n",
    ),
];

fn all() -> impl Iterator<Item = (&'static str, String)> {
    let parts = CASES.iter().map(|(name, rest)| (*name, workflow(rest)));
    parts.chain(WHOLE.iter().map(|(name, text)| (*name, (*text).to_owned())))
}

/// Every code the table shows.
pub fn codes() -> Vec<String> {
    all().flat_map(|(_, text)| compile(&text).problems).map(|p| p.code).collect()
}

#[test]
fn every_mistake_says_where_and_what_to_write() {
    let mut out = String::new();
    for (name, text) in all() {
        let compiled = compile(&text);
        out.push_str(&format!("# {name}\n{}\n", render(&compiled.problems)));
        let failed = compiled.problems.iter().any(|p| p.severity == dsl::Severity::Error);
        assert_eq!(failed, compiled.definition.is_none(), "{name}");
    }
    insta::assert_snapshot!(out);
}

#[test]
fn every_place_has_a_hint() {
    for (name, text) in all() {
        for problem in compile(&text).problems {
            assert!(problem.hint.is_some(), "{name}: {problem:?}");
        }
    }
}
