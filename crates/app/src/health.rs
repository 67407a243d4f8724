//! Health: what works, and how fast.

use std::time::Instant;

use model::control::ControlName;
use serde_json::json;

use crate::app::{App, system_tenant};
use crate::view::DependencyView;

impl App {
    /// Every dependency with its latency.
    pub async fn health_deep(&self) -> Vec<DependencyView> {
        let mut found = Vec::new();
        let began = Instant::now();
        let store = self.store.ping().await;
        found.push(dependency(
            "store",
            began,
            store.map(|_| "reads and writes".to_owned()).map_err(|e| e.to_string()),
        ));
        let began = Instant::now();
        let head = self.store.head().await;
        found.push(dependency(
            "audit",
            began,
            head.map(|h| format!("{} leaves", h.size)).map_err(|e| e.to_string()),
        ));
        let began = Instant::now();
        let policies = self.policies_of(&system_tenant()).await;
        found.push(dependency(
            "policy",
            began,
            policies.map(|p| p.digest().short()).map_err(|e| e.to_string()),
        ));
        let began = Instant::now();
        let controls = self.switches.now();
        let on: Vec<&str> =
            ControlName::ALL.into_iter().filter(|c| controls.on(*c)).map(ControlName::name).collect();
        let text = if on.is_empty() { "none is on".to_owned() } else { format!("on: {}", on.join(", ")) };
        found.push(dependency("controls", began, Ok(text)));
        let recovered = if self.ready() {
            Ok("everything under way was found again".to_owned())
        } else {
            Err("recovery is under way".to_owned())
        };
        found.push(dependency("recovery", Instant::now(), recovered));
        found
    }

    /// The integration port: it is built later, and says so.
    #[expect(
        clippy::unused_async,
        reason = "the facade promises a future: the built port will ask the store"
    )]
    pub async fn omn_health(&self) -> serde_json::Value {
        json!({ "status": "disabled", "last_sync": null, "queue_depth": 0 })
    }
}

fn dependency(name: &str, began: Instant, state: Result<String, String>) -> DependencyView {
    let latency_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (ok, detail) = match state {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    DependencyView { name: name.to_owned(), ok, latency_us, detail }
}
