//! What the shop answers.

use std::sync::atomic::Ordering;

use hyper::Method;
use serde_json::{Value as Json, json};

use crate::demo::shop::ledger::{Refund, Refusal, cents};
use crate::demo::shop::{Fault, Shop};
use crate::json::text;

/// A request, read whole.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) key: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What comes back.
#[derive(Debug, PartialEq)]
pub(super) enum Reply {
    Json(u16, Json),
    /// The connection is closed without a word.
    Silence,
}

/// Answers one request of a customer of the shop.
pub(super) fn answer(shop: &Shop, asked: &Asked) -> Reply {
    let found = match (&asked.method, asked.path.as_str()) {
        (&Method::GET, "/ledger") => shop.ledger.lock().all().map(|all| Reply::Json(200, all)),
        (&Method::GET, "/refunds") => probe(shop, asked),
        (&Method::POST, "/refunds") => refund(shop, asked),
        (&Method::GET, path) => match path.strip_prefix("/orders/") {
            Some(id) => shop.ledger.lock().order(id).map(|order| match order {
                Some(order) => Reply::Json(200, order),
                None => Reply::Json(404, json!({"error": format!("there is no order `{id}`")})),
            }),
            None => Ok(nothing()),
        },
        _ => Ok(nothing()),
    };
    found.unwrap_or_else(|error| Reply::Json(500, json!({"error": error.to_string()})))
}

fn nothing() -> Reply {
    Reply::Json(404, json!({"error": "there is nothing here"}))
}

fn probe(shop: &Shop, asked: &Asked) -> rusqlite::Result<Reply> {
    match asked.query.iter().find(|(name, _)| name == "key") {
        Some((_, key)) => Ok(Reply::Json(200, shop.ledger.lock().document(key)?)),
        None => Ok(Reply::Json(400, json!({"error": "say which: ?key=…"}))),
    }
}

fn refund(shop: &Shop, asked: &Asked) -> rusqlite::Result<Reply> {
    let wrong = |why: &str| Ok(Reply::Json(400, json!({ "error": why })));
    let Some(key) = asked.key.clone().filter(|key| !key.is_empty()) else {
        return wrong("an Idempotency-Key is needed");
    };
    let Ok(body) = serde_json::from_slice::<Json>(&asked.body) else { return wrong("the body is not JSON") };
    let Some(cents) = body.get("amount").and_then(cents) else {
        return wrong("`amount` must be above zero with at most two decimal places");
    };
    let refund = Refund {
        key: key.clone(),
        order: text(&body, "/order_id"),
        cents,
        currency: text(&body, "/currency"),
        reason: text(&body, "/reason"),
    };
    if *shop.fault.borrow() == Fault::Lies {
        let amount = body.get("amount").cloned().unwrap_or_default();
        return Ok(Reply::Json(
            201,
            json!({"found": true, "status": "settled", "key": key, "refundId": "R00000",
            "orderId": refund.order, "amount": amount, "currency": refund.currency, "reason": refund.reason}),
        ));
    }
    let made = shop.ledger.lock().refund(&refund)?;
    if made.is_ok()
        && *shop.fault.borrow() == Fault::LostAnswer
        && !shop.lost_one.swap(true, Ordering::SeqCst)
    {
        return Ok(Reply::Silence);
    }
    Ok(match made {
        Ok(refund) => Reply::Json(201, refund),
        Err(Refusal::NoOrder) => {
            Reply::Json(404, json!({"error": format!("there is no order `{}`", refund.order)}))
        }
        Err(Refusal::WrongCurrency(own)) => {
            Reply::Json(422, json!({"error": format!("the order is in {own}")}))
        }
        Err(Refusal::TooMuch { left }) => Reply::Json(
            422,
            json!({"error": format!("only {}.{:02} can be refunded", left / 100, left % 100)}),
        ),
        Err(Refusal::KeyUsed) => Reply::Json(409, json!({"error": "this key was used for another refund"})),
    })
}
