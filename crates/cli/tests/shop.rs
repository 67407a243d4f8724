//! The demo's shop from the outside: keys, probes, over-refunds, and its three ways to misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value as Json, json};

struct Shop {
    child: Child,
    address: String,
    control: String,
    _dir: tempfile::TempDir,
}

impl Shop {
    fn start(fault: &str) -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_omnihub"));
        command.env_clear().args(["demo-shop", "--until-stdin-ends", "--fault", fault, "--data"]);
        command.arg(dir.path().join("shop")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the shop starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let said: Json = serde_json::from_str(&line).expect("its addresses are JSON");
        let text = |name: &str| said[name].as_str().expect("an address").to_owned();
        Self { address: text("address"), control: text("control"), child, _dir: dir }
    }

    fn refund(&self, key: &str, amount: f64) -> Option<(u16, Json)> {
        let body = json!({"order_id": "1042", "amount": amount, "currency": "EUR", "reason": "broken"});
        ask(&self.address, "POST", "/refunds", &format!("Idempotency-Key: {key}\r\n"), &body.to_string())
    }

    fn probe(&self, key: &str) -> String {
        let (status, body) =
            ask(&self.address, "GET", &format!("/refunds?key={key}"), "", "").expect("an answer");
        assert_eq!(status, 200);
        body["status"].as_str().expect("a status").to_owned()
    }

    fn ledger(&self) -> usize {
        let (_, body) = ask(&self.address, "GET", "/ledger", "", "").expect("an answer");
        body["refunds"].as_array().expect("a list").len()
    }

    fn switch(&self, fault: &str) {
        let (status, _) =
            ask(&self.control, "POST", "/admin/fault", "", &json!({ "fault": fault }).to_string())
                .expect("an answer");
        assert_eq!(status, 200);
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on one connection; none when no answer came.
fn ask(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Json)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

#[test]
fn a_key_makes_one_refund_and_can_be_asked_for() {
    let shop = Shop::start("none");
    let (status, order) = ask(&shop.address, "GET", "/orders/1042", "", "").expect("an answer");
    assert_eq!((status, &order["total"], &order["currency"]), (200, &json!(89.0), &json!("EUR")));
    assert_eq!(shop.probe("k1"), "missing");
    let first = shop.refund("k1", 25.0).expect("an answer");
    assert_eq!((first.0, first.1["status"].as_str()), (201, Some("settled")));
    assert_eq!(shop.refund("k1", 25.0).expect("an answer"), first);
    assert_eq!(shop.refund("k1", 26.0).expect("an answer").0, 409);
    assert_eq!(shop.refund("k2", 64.01).expect("an answer").0, 422);
    assert_eq!(
        (shop.probe("k1").as_str(), shop.probe("k2").as_str(), shop.ledger()),
        ("settled", "missing", 1)
    );
}

#[test]
fn nonsense_is_refused() {
    let shop = Shop::start("none");
    let post = |headers: &str, body: &str| {
        ask(&shop.address, "POST", "/refunds", headers, body).expect("an answer").0
    };
    assert_eq!(post("", "{}"), 400);
    assert_eq!(post("Idempotency-Key: k\r\n", "no JSON"), 400);
    assert_eq!(post("Idempotency-Key: k\r\n", "{\"amount\": -5}"), 400);
    assert_eq!(ask(&shop.address, "GET", "/orders/1", "", "").expect("an answer").0, 404);
    assert_eq!(ask(&shop.address, "DELETE", "/ledger", "", "").expect("an answer").0, 404);
    assert_eq!(shop.ledger(), 0);
}

#[test]
fn a_lost_answer_is_lost_once_and_the_refund_is_there() {
    let shop = Shop::start("lost-answer");
    assert_eq!(shop.refund("k1", 25.0), None);
    assert_eq!((shop.probe("k1").as_str(), shop.ledger()), ("settled", 1));
    assert_eq!(shop.refund("k1", 25.0).expect("an answer").0, 201);
    assert_eq!(shop.ledger(), 1);
}

#[test]
fn a_liar_says_yes_and_does_nothing() {
    let shop = Shop::start("lies");
    assert_eq!(shop.refund("k1", 25.0).expect("an answer").0, 201);
    assert_eq!((shop.probe("k1").as_str(), shop.ledger()), ("missing", 0));
}

#[test]
fn a_shop_that_is_down_comes_back_at_the_same_address() {
    let shop = Shop::start("none");
    shop.switch("down");
    // The listener closes right after the switch; until then an answer may still come.
    while TcpStream::connect(&shop.address).is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(shop.refund("k1", 25.0), None);
    shop.switch("none");
    let back = loop {
        if let Some(answer) = shop.refund("k1", 25.0) {
            break answer;
        }
        std::thread::yield_now();
    };
    assert_eq!((back.0, shop.ledger()), (201, 1));
}

#[test]
fn the_shop_ends_with_its_standard_input() {
    let mut shop = Shop::start("none");
    drop(shop.child.stdin.take());
    assert!(shop.child.wait().expect("it ends").success());
}
