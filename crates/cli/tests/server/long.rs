//! A long execution: thousands of effects, a `kill -9` in the middle, and a replay that does not begin at the beginning.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::shop::{Shop, text};

/// Iterations of the loop, each with one effect.
const ITERATIONS: u32 = 2000;
/// Looks at something that changes by itself at the most this often, 50 ms apart: ten minutes, for a slow machine.
const LOOKS_MAX: u32 = 12_000;

const EACH: &str = "
document: { dsl: '1.0.3', namespace: shop, name: each, version: '1.0.0' }
do:
  - all:
      for: { each: n, in: '${ [range(.count)] }', at: at }
      do:
        - look: { call: 'order-read:1.0.0', with: { id: '${ \"o\" + ($n | tostring) }' }, output: { as: '${ {count: $input.count, seen: (($input.seen // 0) + 1)} }' } }
";

async fn shop() -> Shop {
    let shop = Shop::open_with(&[("OMNIHUB_LOG__LEVEL", "debug")]).await;
    let at = shop.outside.address;
    let read = format!(
        "action: order-read:1.0.0\ntitle: Read an order\neffect: read\nclass: read\nhosts: ['{at}']\n\
         input: {{ schema: {{ type: object, required: [id] }} }}\n\
         run: {{ call: http, with: {{ method: get, endpoint: 'http://{at}/orders/{{id}}' }} }}\n"
    );
    shop.server.admin.post_yaml("/actions", &read).await.expect(201);
    shop.server.admin.post_yaml("/workflows", EACH).await.expect(201);
    shop
}

async fn begin(shop: &Shop, count: u32) -> String {
    let goal = json!({"workflow": {"namespace": "shop", "name": "each"}, "input": {"count": count}});
    shop.alice.post("/goals", goal).await.expect(202).str("/execution_id").to_owned()
}

async fn rise(shop: &mut Shop) {
    shop.server.start_again().await;
    shop.alice.address = shop.server.admin.address;
    shop.bob.address = shop.server.admin.address;
}

async fn until_read(shop: &Shop, orders: u32) {
    for _ in 0..LOOKS_MAX {
        if shop.outside.reads() >= orders {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} of {orders} orders were read:\n{}", shop.outside.reads(), shop.server.log());
}

/// The row in the list: cheap, while the whole execution is drawn from all its effects.
async fn ended(shop: &Shop) -> Json {
    for _ in 0..LOOKS_MAX {
        let list = shop.bob.get("/executions?limit=1").await.expect(200);
        let row = &list.json["items"][0];
        if row["status"] == "completed" {
            return row.clone();
        }
        assert!(row["status"] != "faulted" && row["status"] != "suspended", "{}", list.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not end:\n{}", shop.server.log());
}

/// Every order was read; all but those that were under way at one of the kills were read once.
fn all_were_read(shop: &Shop, count: u32, kills: u32) {
    let orders = shop.outside.orders();
    assert_eq!(orders.len(), count as usize);
    let again: u32 = orders.values().map(|times| times - 1).sum();
    assert!(again <= kills, "{again} reads were repeated after {kills} kills");
}

/// Reads the history page by page; answers the number of events.
async fn pages(shop: &Shop, execution: &str) -> u64 {
    let mut after = 0;
    loop {
        let page = shop
            .bob
            .get(&format!("/executions/{execution}/history?limit=500&after={after}"))
            .await
            .expect(200);
        for event in page.json["items"].as_array().expect("a list") {
            assert_eq!(event["sequence"], json!(after), "no gap");
            after += 1;
        }
        if page.json["next"].is_null() {
            let last =
                page.json["items"].as_array().and_then(|items| items.last()).cloned().unwrap_or_default();
            assert_eq!(last["kind"], "ended", "{last}");
            return after;
        }
    }
}

fn snapshots(shop: &Shop) -> u32 {
    let db = rusqlite::Connection::open_with_flags_and_vfs(
        shop.server.data().join("omnihub.db"),
        rusqlite::OpenFlags::default(),
        pages::register(None).expect("a layer"),
    )
    .expect("the database");
    db.query_row("SELECT count(*) FROM snapshots", [], |row| row.get(0)).expect("the table")
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_thousands() {
    let mut shop = shop().await;
    let execution = begin(&shop, ITERATIONS).await;
    until_read(&shop, ITERATIONS / 2).await;
    shop.server.kill();
    assert_eq!(snapshots(&shop), 1);
    rise(&mut shop).await;
    let row = ended(&shop).await;
    assert_eq!(text(&row["outcome"]), "verified", "{row}");
    assert!(shop.server.log().contains("brought back from a snapshot"), "{}", shop.server.log());
    all_were_read(&shop, ITERATIONS, 1);
    let events = pages(&shop, &execution).await;
    assert!(events > u64::from(ITERATIONS) * 2, "{events} events");
    let whole = shop.bob.get(&format!("/executions/{execution}")).await.expect(200);
    assert_eq!(whole.json["output"], json!({"count": ITERATIONS, "seen": ITERATIONS}));
    assert_eq!(snapshots(&shop), 0, "nobody needs it any more");
    let check = shop.server.admin.post("/audit/check", json!({})).await.expect(200);
    assert_eq!(check.json["intact"], json!(true), "{}", check.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_passed_over() {
    const COUNT: u32 = 300;
    let mut shop = shop().await;
    let execution = begin(&shop, COUNT).await;
    until_read(&shop, COUNT / 2).await;
    shop.server.kill();
    let db = rusqlite::Connection::open_with_flags_and_vfs(
        shop.server.data().join("omnihub.db"),
        rusqlite::OpenFlags::default(),
        pages::register(None).expect("a layer"),
    )
    .expect("the database");
    let damaged = db.execute("UPDATE snapshots SET bytes = x'7b7d'", []).expect("it is damaged");
    drop(db);
    assert_eq!(damaged, 1);
    rise(&mut shop).await;
    let row = ended(&shop).await;
    assert_eq!(text(&row["outcome"]), "verified", "{row}");
    assert!(shop.server.log().contains("its snapshot cannot be used"), "{}", shop.server.log());
    all_were_read(&shop, COUNT, 1);
    pages(&shop, &execution).await;
}
