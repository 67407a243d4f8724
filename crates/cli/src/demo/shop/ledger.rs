//! The shop's own database: orders, and refunds by key. Amounts are kept in cents.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value as Json, json};

/// Orders and refunds.
#[derive(Debug)]
pub(super) struct Ledger(Connection);

/// Why a refund is not made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoOrder,
    WrongCurrency(String),
    TooMuch { left: i64 },
    KeyUsed,
}

/// A refund that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refund {
    pub(super) key: String,
    pub(super) order: String,
    pub(super) cents: i64,
    pub(super) currency: String,
    pub(super) reason: String,
}

/// Some orders to begin with: id, cents, currency, customer.
const ORDERS: &[(&str, i64, &str, &str)] = &[
    ("1041", 1_250, "EUR", "ada@example.com"),
    ("1042", 8_900, "EUR", "grace@example.com"),
    ("1043", 24_000, "EUR", "linus@example.com"),
    ("1044", 1_990, "USD", "barbara@example.com"),
    ("1045", 149_900, "EUR", "edsger@example.com"),
];

impl Ledger {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let db = Connection::open(path)?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS orders (
                 id TEXT PRIMARY KEY, cents INTEGER NOT NULL, currency TEXT NOT NULL, customer TEXT NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS refunds (
                 number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL REFERENCES orders (id),
                 cents INTEGER NOT NULL CHECK (cents > 0), currency TEXT NOT NULL, reason TEXT NOT NULL) STRICT;",
        )?;
        for (id, cents, currency, customer) in ORDERS {
            db.execute(
                "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)",
                params![id, cents, currency, customer],
            )?;
        }
        Ok(Self(db))
    }

    /// An order with what is left to refund.
    pub(super) fn order(&self, id: &str) -> rusqlite::Result<Option<Json>> {
        let row =
            self.0.query_row("SELECT cents, currency, customer FROM orders WHERE id = ?", [id], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            });
        let Some((cents, currency, customer)) = row.optional()? else { return Ok(None) };
        let left = cents - self.refunded(id)?;
        Ok(Some(
            json!({"orderId": id, "total": money(cents), "refundable": money(left), "currency": currency, "customer": customer}),
        ))
    }

    fn refunded(&self, order: &str) -> rusqlite::Result<i64> {
        self.0.query_row("SELECT COALESCE(SUM(cents), 0) FROM refunds WHERE order_id = ?", [order], |row| {
            row.get(0)
        })
    }

    /// Makes a refund once: the same key with the same content answers the first one again.
    pub(super) fn refund(&mut self, refund: &Refund) -> rusqlite::Result<Result<Json, Refusal>> {
        if let Some(known) = self.stored(&refund.key)? {
            let same = known == *refund;
            return Ok(if same { Ok(self.document(&refund.key)?) } else { Err(Refusal::KeyUsed) });
        }
        let order =
            self.0.query_row("SELECT cents, currency FROM orders WHERE id = ?", [&refund.order], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            });
        let Some((cents, currency)) = order.optional()? else { return Ok(Err(Refusal::NoOrder)) };
        if currency != refund.currency {
            return Ok(Err(Refusal::WrongCurrency(currency)));
        }
        let left = cents - self.refunded(&refund.order)?;
        if refund.cents > left {
            return Ok(Err(Refusal::TooMuch { left }));
        }
        self.0.execute(
            "INSERT INTO refunds (key, order_id, cents, currency, reason) VALUES (?, ?, ?, ?, ?)",
            params![refund.key, refund.order, refund.cents, refund.currency, refund.reason],
        )?;
        Ok(Ok(self.document(&refund.key)?))
    }

    fn stored(&self, key: &str) -> rusqlite::Result<Option<Refund>> {
        let query = "SELECT order_id, cents, currency, reason FROM refunds WHERE key = ?";
        self.0
            .query_row(query, [key], |row| {
                Ok(Refund {
                    key: key.to_owned(),
                    order: row.get(0)?,
                    cents: row.get(1)?,
                    currency: row.get(2)?,
                    reason: row.get(3)?,
                })
            })
            .optional()
    }

    /// What the shop says about a key: `settled` when its refund is there.
    pub(super) fn document(&self, key: &str) -> rusqlite::Result<Json> {
        let query = "SELECT number, order_id, cents, currency, reason FROM refunds WHERE key = ?";
        let found = self.0.query_row(query, [key], |row| refund_json(key, row)).optional()?;
        Ok(found.unwrap_or_else(|| json!({"found": false, "status": "missing", "key": key})))
    }

    /// Every refund, oldest first; at most 1,000.
    pub(super) fn all(&self) -> rusqlite::Result<Json> {
        let mut query = self.0.prepare(
            "SELECT number, order_id, cents, currency, reason, key FROM refunds ORDER BY number LIMIT 1000",
        )?;
        let rows = query.query_map([], |row| refund_json(&row.get::<_, String>(5)?, row))?;
        Ok(json!({ "refunds": rows.collect::<rusqlite::Result<Vec<Json>>>()? }))
    }
}

fn refund_json(key: &str, row: &rusqlite::Row<'_>) -> rusqlite::Result<Json> {
    Ok(json!({
        "found": true,
        "status": "settled",
        "key": key,
        "refundId": format!("R{:05}", row.get::<_, i64>(0)?),
        "orderId": row.get::<_, String>(1)?,
        "amount": money(row.get(2)?),
        "currency": row.get::<_, String>(3)?,
        "reason": row.get::<_, String>(4)?,
    }))
}

/// Cents as a number with two places, as the API writes amounts.
fn money(cents: i64) -> f64 {
    // Exact for every amount below 90 trillion.
    cents as f64 / 100.0
}

/// Reads an amount with at most two decimal places.
pub(super) fn cents(amount: &Json) -> Option<i64> {
    let amount = amount.as_f64()?;
    let cents = (amount * 100.0).round();
    let exact = (amount * 100.0 - cents).abs() < 1e-6;
    (exact && cents > 0.0 && cents < 1e12).then_some(cents as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refund(key: &str, cents: i64) -> Refund {
        Refund {
            key: key.into(),
            order: "1042".into(),
            cents,
            currency: "EUR".into(),
            reason: "broken".into(),
        }
    }

    #[test]
    fn a_key_is_used_once_and_an_order_gives_back_no_more_than_it_cost() {
        let mut ledger = Ledger::open(Path::new(":memory:")).expect("a database");
        let first = ledger.refund(&refund("a", 2_500)).expect("SQL").expect("made");
        assert_eq!(ledger.refund(&refund("a", 2_500)).expect("SQL"), Ok(first));
        assert_eq!(ledger.refund(&refund("a", 2_600)).expect("SQL"), Err(Refusal::KeyUsed));
        assert_eq!(ledger.refund(&refund("b", 6_401)).expect("SQL"), Err(Refusal::TooMuch { left: 6_400 }));
        let dollars = Refund { currency: "USD".into(), ..refund("c", 1) };
        assert_eq!(ledger.refund(&dollars).expect("SQL"), Err(Refusal::WrongCurrency("EUR".into())));
        let nowhere = Refund { order: "1".into(), ..refund("d", 1) };
        assert_eq!(ledger.refund(&nowhere).expect("SQL"), Err(Refusal::NoOrder));
        assert_eq!(ledger.all().expect("SQL")["refunds"].as_array().map(Vec::len), Some(1));
        assert_eq!(ledger.document("b").expect("SQL")["found"], false);
        assert_eq!(ledger.order("1042").expect("SQL").expect("an order")["refundable"], 64.0);
    }

    #[test]
    fn amounts_have_two_places() {
        for (amount, expected) in
            [(json!(25.0), Some(2_500)), (json!(25), Some(2_500)), (json!(0.29), Some(29))]
        {
            assert_eq!(cents(&amount), expected, "{amount}");
        }
        for amount in [json!(0), json!(-1), json!(1.001), json!("25"), json!(1e300)] {
            assert_eq!(cents(&amount), None, "{amount}");
        }
    }
}
