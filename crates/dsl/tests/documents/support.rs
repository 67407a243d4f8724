//! A catalogue of a small shop, and the text form of diagnostics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use dsl::compile::{Catalogue, Compiled};
use dsl::plan::Action;
use dsl::{Description, Diagnostic, Kind, Severity};
use model::ActionRef;

/// The actions of a test.
pub struct Shop(pub BTreeMap<ActionRef, Arc<Action>>);

impl Catalogue for Shop {
    fn action(&self, reference: &ActionRef) -> Option<Arc<Action>> {
        self.0.get(reference).cloned()
    }
    fn actions(&self) -> Vec<ActionRef> {
        self.0.keys().cloned().collect()
    }
    fn description(&self, kind: Kind, uri: &str) -> Option<Result<Description, String>> {
        let text = match uri {
            "https://shop.example/openapi.json" => API,
            "https://shop.example/broken.json" => BROKEN_API,
            "https://shop.example/shop.proto" => PROTO,
            "https://shop.example/mcp" => TOOLS,
            "https://shop.example/gone.json" => return Some(Err("the answer was 404".to_owned())),
            _ => return None,
        };
        Some(Description::read(kind, uri, text))
    }
}

/// The shop's own description.
const API: &str = r#"{ "openapi": "3.0.3", "servers": [ { "url": "/v1" } ], "paths": {
  "/orders/{orderId}": { "get": { "operationId": "getOrder", "parameters": [
    { "name": "orderId", "in": "path", "required": true }, { "name": "expand", "in": "query" } ] } },
  "/orders": { "post": { "operationId": "createOrder", "requestBody": { "required": true, "content": { "application/json": {} } } } } } }"#;

/// Services of the shop, as they are kept.
const PROTO: &str = r#"{ "proto": "…", "descriptors": "", "services": { "shop.Orders": {
  "Put": { "client_streaming": false, "server_streaming": false },
  "Upload": { "client_streaming": true, "server_streaming": false } } } }"#;

/// Tools of the shop, as they are kept.
const TOOLS: &str =
    r#"{ "tools": [ { "name": "post", "inputSchema": { "type": "object", "required": [ "text" ] } } ] }"#;

/// One that refers to nothing.
const BROKEN_API: &str = r##"{ "openapi": "3.0.3", "paths": { "/orders": { "get": { "operationId": "listOrders",
  "parameters": [ { "$ref": "#/components/parameters/page" } ] } } } }"##;

pub const REFUND_CREATE: &str = r#"
action: refund-create:1.0.0
title: Refund an order
effect: money
class: probeable
blastRadius: { scope: customer, max: 1, unit: order }
data: [ personal ]
amount: { value: /amount, currency: /currency }
input:
  schema:
    type: object
    required: [ orderId, amount ]
    properties:
      orderId: { type: string }
      amount: { type: number }
      currency: { type: string }
output: { example: { status: accepted } }
idempotency: { key: '$workflow.id + "/" + .orderId', header: Idempotency-Key }
compensate: { call: 'refund-cancel:1.0.0', with: { key: '${ $action.key }' } }
ensure:
  probe: { call: 'refund-read:1.0.0', with: { key: '${ $action.key }' } }
  that: '.status == "settled"'
  every: PT5S
  within: PT1M
run:
  call: http
  with:
    method: post
    endpoint: https://shop.example/orders/{orderId}/refunds
    body: { amount: '${ .amount }' }
"#;

pub const REFUND_READ: &str = r#"
action: refund-read:1.0.0
effect: read
class: read
run: { call: http, with: { method: get, endpoint: 'https://shop.example/refunds/{key}' } }
"#;

pub const REFUND_CANCEL: &str = r#"
action: refund-cancel:1.0.0
effect: write
class: irreversible
run: { call: http, with: { method: delete, endpoint: 'https://shop.example/refunds/{key}' } }
"#;

/// Checked by an action that is no read, and undone by one that does not exist.
const DOUBTFUL: &str = r#"
action: doubtful:1.0.0
effect: write
class: probeable
compensate: { call: 'refund-cancle:1.0.0' }
ensure: { probe: { call: 'refund-cancel:1.0.0' }, that: . }
run: { call: http, with: { method: post, endpoint: 'https://shop.example/doubts' } }
"#;

/// A catalogue with the actions above.
pub fn shop() -> Shop {
    let texts = [REFUND_CREATE, REFUND_READ, REFUND_CANCEL, DOUBTFUL];
    Shop(texts.iter().map(|text| action(text)).map(|a| (a.reference.clone(), a)).collect())
}

/// An action that must compile.
pub fn action(text: &str) -> Arc<Action> {
    let compiled = dsl::action::compile(text);
    compiled.action.unwrap_or_else(|| panic!("{}", render(&compiled.problems)))
}

/// Compiles against the shop.
pub fn compile(text: &str) -> Compiled {
    dsl::compile(text, &shop())
}

/// A workflow around the text that follows the head.
pub fn workflow(rest: &str) -> String {
    format!("document: {{ dsl: '1.0.3', namespace: shop, name: test, version: '1.0.0' }}\n{rest}")
}

/// Each diagnostic as a line, its hint on the next.
pub fn render(problems: &[Diagnostic]) -> String {
    let mut out = String::new();
    for p in problems {
        let severity = if p.severity == Severity::Error { "" } else { " warning" };
        let _ = writeln!(out, "{}{severity} {}:{} {} {}", p.code, p.line, p.column, p.pointer, p.message);
        if let Some(hint) = &p.hint {
            let _ = writeln!(out, "    {hint}");
        }
    }
    out
}
