//! Health: what works, and how fast.

use std::time::Instant;

use model::control::ControlName;
use model::problem::Code;
use serde_json::json;
use store::Condition;

use crate::app::{App, stopped_problem, store_problem, system_tenant};
use crate::view::DependencyView;

impl App {
    /// Whether work is taken; the code says why not, where there is one (a start that is not over has none). A disk that
    /// was full is asked again: nobody else would write to a server that is not ready.
    pub async fn readiness(&self) -> Result<(), Option<Code>> {
        if !self.leads() {
            return Err(Some(Code(3040)));
        }
        if !self.ready() {
            return Err(None);
        }
        match self.store.condition() {
            Condition::Working => Ok(()),
            Condition::Stopped => Err(Some(stopped_problem().code)),
            Condition::Full => {
                self.store.ping().await.map(drop).map_err(|error| Some(store_problem(&error).code))
            }
        }
    }

    /// Every dependency with its latency.
    pub async fn health_deep(&self) -> Vec<DependencyView> {
        let mut found = Vec::new();
        let began = Instant::now();
        let store = self.store.ping().await;
        found.push(dependency(
            "store",
            began,
            store.map(|_| "reads and writes".to_owned()).map_err(|e| broken(&e)),
        ));
        let began = Instant::now();
        let head = self.store.head().await;
        found.push(dependency(
            "audit",
            began,
            head.map(|h| format!("{} leaves", h.size)).map_err(|e| broken(&e)),
        ));
        let began = Instant::now();
        let policies = self.policies_of(&system_tenant()).await;
        found.push(dependency(
            "policy",
            began,
            policies.map(|p| p.digest().short()).map_err(|e| (e.to_string(), Some(e.code))),
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
            Err(("recovery is under way".to_owned(), None))
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

/// What the operator reads of a store that fails, and the code.
fn broken(error: &store::StoreError) -> (String, Option<Code>) {
    (error.to_string(), Some(store_problem(error).code))
}

fn dependency(name: &str, began: Instant, state: Result<String, (String, Option<Code>)>) -> DependencyView {
    let latency_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (ok, detail, code) = match state {
        Ok(detail) => (true, detail, None),
        Err((detail, code)) => (false, detail, code),
    };
    let code = code.map(|code| code.to_string());
    DependencyView { name: name.to_owned(), ok, latency_us, detail, code }
}
